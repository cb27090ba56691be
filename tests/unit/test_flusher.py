"""Writers beside background work: a flush waits for no merge, a writer for no install, and nobody burns the processor while waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import lsm
import recovery
from lsm.check import check
from lsm.executor import Executor
from lsm.policies.admission import Load

TINY = {"write_buffer": 1 << 16, "buffer_entries": 50}


def until(what: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, method: str) -> Iterator[threading.Event]:
    """A step of the workers lasts until the end of the block. Yields an event: one has begun."""
    begun, let_go, real = threading.Event(), threading.Event(), getattr(Executor, method)

    def slow(self: Executor, *args: Any, **named: Any) -> Any:
        begun.set()
        let_go.wait()
        return real(self, *args, **named)

    monkeypatch.setattr(Executor, method, slow)
    try:
        yield begun
    finally:
        let_go.set()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_memtable_is_flushed_while_every_worker_merges(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    options = {**TINY, "compaction": {"l0_trigger": 2}, "stalls": {"slowdown_runs": 5000, "stop_runs": 10_000}}
    with lsm.open("/d", options, fs=recovery.memory(), threads=threads) as db, held(monkeypatch, "_merged") as merging:
        for i in range(100_000):
            db.put(b"%06d" % i, b"v")
            if merging.is_set():
                break
        assert merging.wait(20)
        runs = len(db.version().levels[0].runs)
        for i in range(200):
            db.put(b"x%06d" % i, b"v")
        until(lambda: len(db.version().levels[0].runs) > runs + 1)


def test_a_worker_asks_the_policy_though_a_memtable_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else writers that keep it flushing let level 0 grow without a merge and without a stop."""
    done: list[str] = []
    with lsm.open("/d", TINY, fs=recovery.memory(), threads=1) as db:
        with db.executor.lock, monkeypatch.context() as patch:  # the other threads stand still
            patch.setattr(Executor, "_next_plan", lambda self, *args: done.append("plan"))
            patch.setattr(Executor, "flush", lambda self, *args: done.append("flush"))
            db.put(b"a", b"1")
            db.default.core.seal()
            assert db.executor.step(db.default)
            assert done == ["plan", "flush"]
            assert db.executor.step(db.default, merges=False)
            assert done == ["plan", "flush", "flush"]
        db.flush()
        assert db.get(b"a") == b"1"


def test_a_writer_that_seals_does_not_wait_for_an_install() -> None:
    with lsm.open("/d", TINY, fs=recovery.memory(), threads=2) as db:
        got, let_go = threading.Event(), threading.Event()

        def install() -> None:
            with db.executor.lock:
                got.set()
                let_go.wait()

        holder = threading.Thread(target=install)
        holder.start()
        got.wait()
        for i in range(100):  # two memtables
            db.put(b"%03d" % i, b"v")
        assert db.default.core.sealed_count() == 2
        let_go.set()
        holder.join()
        until(lambda: db.default.core.sealed_count() == 0)


def test_nobody_spins_while_a_writer_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[str] = []
    ask = Executor._next_plan
    monkeypatch.setattr(Executor, "_next_plan", lambda self, *args: rounds.append(threading.current_thread().name) or ask(self, *args))
    with lsm.open("/d", TINY, fs=recovery.memory(), threads=4, max_sealed=1) as db:
        with held(monkeypatch, "flush"):
            writer = threading.Thread(target=lambda: [db.put(b"%03d" % i, b"v") for i in range(200)])
            writer.start()
            until(lambda: db.default.core.sealed_count() == 2)
            rounds.clear()
            time.sleep(0.5)
            assert writer.is_alive()
            assert len(rounds) < 200, "4 workers that look 20 times a second, not thousands of times"
        writer.join()
    with lsm.open("/d", fs=db.fs) as again:
        assert sum(1 for _ in again) == 200


@pytest.mark.parametrize("rule", lsm.ADMISSIONS)
def test_the_last_memtable_before_the_stop_is_filled_slowly(rule: str) -> None:
    options = lsm.Options.from_dict({"stalls": {"admission": rule, "slowdown_us_per_kib": 30}, "max_sealed": 3})
    rules = lsm.ADMISSIONS[rule]()
    found = [rules.rule(Load(options, 0, sealed)) for sealed in range(5)]
    assert found == [(True, 0), (True, 0), (True, 12_000), (True, 30_000), (False, 0)]
    assert list(rules.reasons(Load(options, 0, 1))) == []
    assert list(rules.reasons(Load(options, 0, 3))) == ["3 memtables wait for their flush; writes slow down, and stop above 3"]
    one = lsm.Options.from_dict({"stalls": {"admission": rule}, "max_sealed": 1})
    assert rules.rule(Load(one, 0, 1)) == (True, 0) and list(rules.reasons(Load(one, 0, 1))) == []


@pytest.mark.parametrize("crash", ["process", "power"])
def test_a_crash_beside_a_log_segment_made_ahead(crash: str) -> None:
    """Its empty file is found by everything that opens what the crash has left."""
    fs = recovery.memory()
    with lsm.open("/d", TINY, fs=fs, threads=2, wal={"sync": "every"}) as db:
        for i in range(120):
            db.put(b"%03d" % i, b"v")
        db.wait()
        until(lambda: max(recovery.log_numbers(fs, "/d")) > db.core.log()[0])
        db.put(b"last", b"v")
        clone = fs.crash_clone(crash)
    want = [*(b"%03d" % i for i in range(120)), b"last"]
    assert recovery.log_numbers(fs, "/d") == [db.state.log_floor], "a clean close removes it"
    assert check("/d", fs=clone).problems == []
    with lsm.open("/d", fs=clone, read_only=True) as db:
        assert list(db.keys()) == want and db.recovery_report.dropped == 0
    with lsm.open("/d", fs=clone, untrusted=True) as db:
        assert list(db.keys()) == want
    with lsm.open("/d", fs=clone) as db:
        assert list(db.keys()) == want and db.recovery_report.dropped == 0 and not db.recovery_report.reasons


def test_files_are_removed_without_the_lock_of_the_tree() -> None:
    """A disk that is told of freed blocks takes its time over each."""
    fs = recovery.fault(recovery.memory())
    with lsm.open("/d", TINY, fs=fs, threads=2) as db:
        fs.arm("unlink", error="stuck")
        for i in range(200):
            db.put(b"%03d" % i, b"v")
        until(fs.stuck)
        try:
            assert db.executor.lock.acquire(timeout=10)
            db.executor.lock.release()
        finally:
            fs.disarm()
