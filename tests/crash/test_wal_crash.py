"""The log over crashes: nothing acknowledged is lost, nothing is invented, and no crash is taken for corruption."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recovery


def content(n: int) -> bytes:
    return random.Random(n).randbytes(n * 37 % 900) + b"." if n % 5 else bytes(n * 11 % 700)


@given(
    st.sampled_from(list(recovery.SYNC_MODES)),
    st.integers(0, 60),
    st.sets(st.integers(0, 60)),
    st.integers(0, 2**32),
    st.sampled_from(["process", "power", "random"]),
    st.sets(st.integers(0, 60)),
)
def test_any_crash_leaves_a_prefix_with_all_that_was_acknowledged(
    sync: str, count: int, forced: set[int], seed: int, mode: str, ahead: set[int]
) -> None:
    fs = recovery.memory()
    fs.mkdir("/d")
    fs.sync_dir("/")
    log = recovery.WalWriter(fs, "/d", sync=sync, segment_bytes=8192, interval_ns=10**12)
    durable = 0
    for n in range(count):
        if n in ahead:
            log.prepare(log.number + 1)
        lsn = log.append(n, content(n))
        if sync == "group" and n % 3 == 0:
            log.sync_to(lsn)
        if n in forced:
            log.sync_to()
        if sync == "every" or (sync == "group" and n % 3 == 0) or n in forced:
            durable = n + 1
    if mode == "process" and sync != "none":
        durable = count
    clone = fs.crash_clone(mode, seed)
    found = [(r.seq, r.payload) for _, records, _ in recovery.replay(clone, "/d") for r in records]
    assert found == [(n, content(n)) for n in range(len(found))]
    assert durable <= len(found) <= count
    log.close()


@pytest.mark.parametrize("mode", ["power", "random"])
def test_a_clean_close_survives_power_loss(mode: str) -> None:
    fs = recovery.memory()
    log = recovery.WalWriter(fs, "/", sync="os", segment_bytes=4096)
    for n in range(40):
        log.append(n, content(n))
    log.close()
    for seed in range(20):
        clone = fs.crash_clone(mode, seed)
        assert sum(len(records) for _, records, _ in recovery.replay(clone, "/", "absolute")) == 40


def test_a_new_segment_is_durable_before_its_first_record() -> None:
    """Records nobody was told of may survive without the sectors before them, the header's excepted: then they would look like damage."""
    fs = recovery.memory()
    log = recovery.WalWriter(fs, "/", sync="group", segment_bytes=8192)
    for n in range(20):
        log.append(n, b"+" * 200)
    for seed in range(60):
        found = [r.seq for _, records, _ in recovery.replay(fs.crash_clone("random", seed), "/") for r in records]
        assert found == list(range(len(found))), f"crash_clone('random', {seed})"
    log.close()


def test_records_before_a_roll_over_are_durable() -> None:
    fs = recovery.memory()
    log = recovery.WalWriter(fs, "/", sync="group", segment_bytes=4096)
    log.append(1, b"before")
    log.rotate(2)
    log.sync_to(log.append(2, b"behind"))
    assert [r.seq for _, records, _ in recovery.replay(fs.crash_clone("power"), "/") for r in records] == [1, 2]
    log.close()


@pytest.mark.parametrize("sync", ["group", "os"])
def test_a_segment_that_dies_in_the_making_holds_nothing_and_harms_nothing(sync: str) -> None:
    """Its header may be on the disk, its size not."""
    for op in ("allocate", "pwrite", "sync", "sync_dir"):
        fs = recovery.memory()
        dying = recovery.fault(fs)
        dying.arm(op, "*", 1, 5)
        dying.arm("unlink", "*", 1, 5)
        with pytest.raises(OSError):
            recovery.WalWriter(dying, "/", sync=sync, segment_bytes=8192)
        for seed in range(60):
            clone = fs.crash_clone("random", seed)
            assert [records for _, records, _ in recovery.replay(clone, "/", sync=sync) if records] == [], (op, seed)
