"""The token bucket by its arithmetic: how long it says that it made the taker wait. No clock is asserted from above."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from lsm._native import ffi, lib


def bucket(rate: int, burst: int) -> object:
    return ffi.gc(lib.lsm_bucket_new(rate, burst), lib.lsm_bucket_free)


def take(b: object, n: int, stop: object = ffi.NULL) -> int:
    return int(lib.lsm_bucket_take(b, n, stop))


def test_unlimited_never_waits() -> None:
    assert [take(bucket(0, 0), 1 << 40), take(ffi.NULL, 1 << 40)] == [0, 0]


def test_the_burst_is_free_and_what_is_over_it_is_paid() -> None:
    b = bucket(1_000_000, 10_000_000)
    assert take(b, 9_000_000) == 0
    waited = take(b, 1_010_000)  # 10 ms too much, less what passed meanwhile
    assert 0 < waited <= 10_000_000


def test_each_taker_pays_for_those_before() -> None:
    b = bucket(10_000_000, 0)
    assert [take(b, n) <= n * 100 for n in (1000, 5000, 20000)] == [True] * 3
    assert take(b, 50_000) > 0


@pytest.mark.threads
def test_takers_queue_up() -> None:
    """Four takers of 5 ms each at once: the waits add up to what one after the other would take."""
    b, waits, start = bucket(1_000_000, 0), [], threading.Barrier(4)

    def one() -> None:
        start.wait()
        waits.append(take(b, 5_000))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 4 and max(waits) > 5_000_000


def test_a_new_rate_counts_from_the_next_take() -> None:
    b = bucket(1, 1000)
    assert take(b, 1000) == 0
    lib.lsm_bucket_set(b, 0)
    assert take(b, 1 << 40) == 0


def test_a_signal_does_not_shorten_the_wait() -> None:
    b, heard = bucket(1_000_000, 0), []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    begun = time.monotonic_ns()
    try:
        waited = take(b, 200_000)
        assert time.monotonic_ns() - begun >= waited > 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard


def test_nothing_costs_nothing_and_the_rate_can_change() -> None:
    b = bucket(1, 0)
    assert take(b, 0) == 0
    lib.lsm_bucket_set(b, 0)
    assert take(b, 1 << 40) == 0


def test_the_burst_does_not_hang_on_how_long_the_machine_is_up() -> None:
    b = bucket(1, 1 << 40)  # a burst of 35,000 years
    assert take(b, 1 << 40) == 0
    raised = ffi.new("int *", 1)
    assert take(b, 1 << 20, raised) > 0


def test_who_is_told_to_stop_waits_no_longer() -> None:
    b, stop, began = bucket(1, 0), ffi.new("int *"), threading.Event()

    def one() -> None:
        began.set()
        take(b, 1 << 40, stop)

    thread = threading.Thread(target=one, daemon=True)
    thread.start()
    began.wait()
    stop[0] = 1
    thread.join(60)
    assert not thread.is_alive()
