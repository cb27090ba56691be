"""The log mode `interval`: what was written is durable after the interval, whether somebody writes behind it or not."""

from __future__ import annotations

import time

import lsm
import recovery


def test_a_quiet_database_syncs_what_was_written_last() -> None:
    disk = recovery.memory()
    with lsm.open("/d", fs=disk, threads=1, wal={"sync": "interval", "interval_ms": 200}) as db:
        db.put(b"j", b"v")  # may find the interval over, and sync
        db.put(b"k", b"v")
        limit = time.monotonic() + 20
        found = None
        while found is None and time.monotonic() < limit:
            with lsm.open("/d", fs=disk.crash_clone("power"), threads=0) as after:
                found = after.get(b"k")
        assert found == b"v"


def test_a_sync_that_fails_in_the_background_makes_it_read_only() -> None:
    disk = recovery.fault(recovery.memory())
    with lsm.open("/d", fs=disk, threads=1, wal={"sync": "interval", "interval_ms": 200}) as db:
        db.put(b"j", b"v")  # may find the interval over, and sync
        disk.arm("sync", "*.log", 1, 5)
        db.put(b"k", b"v")
        limit = time.monotonic() + 20
        while db.health.state != "failed" and time.monotonic() < limit:
            time.sleep(0.005)
        assert db.health.error == "the log could not be synced"
        disk.disarm()
