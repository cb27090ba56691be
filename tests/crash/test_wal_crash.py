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
)
def test_any_crash_leaves_a_prefix_with_all_that_was_acknowledged(sync: str, count: int, forced: set[int], seed: int, mode: str) -> None:
    fs = recovery.memory()
    fs.mkdir("/d")
    fs.sync_dir("/")
    log = recovery.WalWriter(fs, "/d", sync=sync, segment_bytes=8192, interval_ns=10**12)
    durable = 0
    for n in range(count):
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
