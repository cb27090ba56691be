"""DB.health: the state, its cause and what to do, for each way that a database stops taking writes."""

from __future__ import annotations

import dataclasses
import errno
import threading
import time
from typing import Any

import pytest

import lsm
import recovery

SMALL = {"write_buffer": 1 << 14, "compaction": {"layout": "tiering", "size_ratio": 2}}


class Idle:
    """Never compacts."""

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        return None


def fill(db: lsm.DB, runs: int) -> None:
    for i in range(runs):
        db.put(b"k%d" % i, b"v" * 100)
        db.flush()


def wait_until(db: lsm.DB, state: str) -> lsm.Health:
    """The state that background work will bring about; the suite's own time limit ends a wait in vain."""
    end = time.monotonic() + 60
    while (found := db.health).state != state and time.monotonic() < end:
        threading.Event().wait(0.01)
    assert found.state == state, str(found)
    return found


@pytest.mark.parametrize("threads", [0, 1])
def test_a_database_that_is_well(threads: int) -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=threads) as db:
        db.put(b"k", b"v")
        health = db.health
        assert (health.state, health.error, health.advice, health.stalls, health.writable) == ("ok", "", "", (), True)
        assert (health.level0_runs, health.sealed_memtables, health.running_jobs, health.pending_compaction_bytes) == (0, 0, 0, 0)
        assert str(health).startswith("state: ok\nlevel 0: up to 0 runs")
        with pytest.raises(dataclasses.FrozenInstanceError):
            health.state = "failed"  # type: ignore[misc]
    with pytest.raises(lsm.ClosedError):
        _ = db.health


def test_sizes_are_those_of_the_files() -> None:
    fs = recovery.memory()
    with lsm.open("/d", fs=fs, threads=0, write_buffer=1 << 14) as db:
        db.put_many([(b"%05d" % i, b"v" * 100) for i in range(400)])
        sizes = {name: fs.stat(f"/d/{name}")[0] for name in fs.listdir("/d")}
        assert db.health.wal_bytes == sum(n for name, n in sizes.items() if name.endswith(".log")) > 0
        assert db.health.manifest_bytes == sum(n for name, n in sizes.items() if name.startswith("MANIFEST")) > 0


def test_sizes_are_unknown_when_the_file_system_does_not_say() -> None:
    fs = recovery.fault(recovery.memory())
    with lsm.open("/d", fs=fs, threads=0) as db:
        fs.arm("list", "*", 1, 5, sticky=True)
        health = db.health
        assert (health.state, health.wal_bytes, health.manifest_bytes) == ("ok", None, None)
        assert "log ? bytes, manifest ? bytes" in str(health)
        fs.disarm()


def test_opened_read_only() -> None:
    fs = recovery.memory()
    with lsm.open("/d", fs=fs, threads=0) as db:
        db.put(b"k", b"v")
    with lsm.open("/d", fs=fs, read_only=True) as db:
        health = db.health
        assert (health.state, health.error, health.writable) == ("read_only", "", False)
        assert "read_only=True" in health.advice


# Failures


def failing(threads: int, **more: Any) -> tuple[lsm.DB, recovery.FaultFileSystem]:
    fs = recovery.fault(recovery.memory())
    db = lsm.open("/d", fs=fs, threads=threads, **{**SMALL, **more})
    db.put(b"k", b"v")
    return db, fs


def again(db: lsm.DB, fs: recovery.FaultFileSystem) -> None:
    """What the advice says: close, open, and it is well."""
    fs.disarm()
    assert db.get(b"k") == b"v"
    db.close()
    with lsm.open("/d", fs=fs, threads=0) as after:
        assert after.health.state == "ok"
        assert after.get(b"k") == b"v"


@pytest.mark.parametrize(
    ("operation", "files", "number", "advice"),
    [
        ("append", "*.sst", errno.EIO, "The disk refused a flush"),
        ("sync", "*.sst", errno.EIO, "The disk refused a flush"),
        ("append", "*.sst", errno.ENOSPC, "The disk is full"),
        ("pwrite", "*MANIFEST*", errno.EIO, "is on the disk is unknown"),
        ("pwrite", "*MANIFEST*", errno.ENOSPC, "The disk is full"),
    ],
)
def test_a_failed_flush_is_told_with_its_cause(operation: str, files: str, number: int, advice: str) -> None:
    db, fs = failing(threads=1)
    fs.arm(operation, files, 1, number, sticky=True)
    with pytest.raises(lsm.Error):
        db.flush()
    health = wait_until(db, "failed")
    assert advice in health.advice, str(health)
    assert "open the database again" in health.advice
    assert f"errno {number}" in health.error or "Errno" in health.error, health.error
    assert not health.writable
    with pytest.raises(lsm.ReadOnlyError):
        db.put(b"more", b"v")
    again(db, fs)


def test_the_first_error_stays() -> None:
    db, fs = failing(threads=1)
    fs.arm("append", "*.sst", 1, errno.EIO, sticky=True)
    with pytest.raises(lsm.Error):
        db.flush()
    first = wait_until(db, "failed").error
    db.executor.fail(OSError("a later one"))
    assert db.health.error == first
    again(db, fs)


@pytest.mark.parametrize(("sync", "error"), [("every", "the log could not be written"), ("group", "the log could not be synced")])
@pytest.mark.parametrize("number", [errno.EIO, errno.EDQUOT])
def test_a_failed_log_is_told(sync: str, error: str, number: int) -> None:
    db, fs = failing(threads=0, wal={"sync": sync})
    fs.arm("sync", "*.log", 1, number)
    with pytest.raises(lsm.IOFailure):
        db.put(b"other", b"v")
    health = db.health
    assert (health.state, health.error) == ("failed", error)
    assert "may be there or not" in health.advice
    again(db, fs)


def test_no_space_for_the_next_log_segment() -> None:
    db, fs = failing(threads=0)
    fs.arm("open", "*.log", 1, errno.ENOSPC)
    with pytest.raises(lsm.Error):
        for i in range(1000):
            db.put(b"%05d" % i, b"v" * 100)
    health = db.health
    assert health.state == "failed"
    assert "The disk is full" in health.advice
    again(db, fs)


def test_a_policy_that_fails_is_not_blamed_on_the_disk() -> None:
    class Broken:
        def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
            raise ZeroDivisionError("by me")

    db, fs = failing(threads=1)
    db.set_policy(Broken())
    with pytest.warns(RuntimeWarning, match="by me"):
        db.flush()
        db.wait()
    health = wait_until(db, "degraded")
    assert (health.error, len(health.policies)) == ("", 1) and "ZeroDivisionError: by me" in health.policies[0]
    assert "set_policy" in health.advice and "disk" not in health.advice
    db.put(b"more", b"1")
    db.flush()
    assert db.get(b"more") == b"1" and db.health.writable, "writes go on"
    again(db, fs)


def test_damage_names_the_file() -> None:
    inner = recovery.memory()
    fs = recovery.fault(inner)
    db = lsm.open("/d", fs=fs, threads=1, **SMALL)
    db.set_policy(Idle())
    fill(db, 1)
    (number,) = db.version().tables()
    fs.arm("pread", f"*{number:06d}.sst", 1, "flip", sticky=True)
    db.set_policy(_everything())
    db.wait()
    health = wait_until(db, "damaged")
    assert len(health.damaged) == 1 and f"/d/{number:06d}.sst at byte" in health.damaged[0] and not health.error, str(health)
    assert "db.heal" in health.advice and "db.scrub" in health.advice
    db.put(b"more", b"1")
    db.flush()
    assert db.get(b"more") == b"1", "all else goes on"
    fs.disarm()
    assert db.scrub() == [] and db.health.state == "ok"
    db.close()


def _everything() -> Any:
    class Everything:
        def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
            tables = tuple(t.number for t in view.level(0).tables)
            return lsm.Plan(tables, 0, "all", cuts=(b"k",)) if tables and view.is_free(*view.level(0).tables) else None

    return Everything()


def test_what_is_raised_in_the_callers_face_and_tried_again_is_no_failure() -> None:
    """Without threads a failed flush is raised where it happened; the next one does it again."""
    db, fs = failing(threads=0)
    fs.arm("append", "*.sst", 1, errno.EIO)
    with pytest.raises(lsm.IOFailure):
        db.flush()
    health = db.health
    assert (health.state, health.sealed_memtables) == ("ok", 1)
    fs.disarm()
    db.flush()
    assert (db.health.sealed_memtables, db.health.level0_runs) == (0, 1)
    again(db, fs)


# Backpressure


def stalling(threads: int = 1) -> lsm.DB:
    db = lsm.open("/d", fs=recovery.memory(), threads=threads, stalls={"slowdown_runs": 3, "stop_runs": 5}, **SMALL)
    db.set_policy(Idle())
    return db


def test_slowed_then_stopped_then_well_again() -> None:
    with stalling() as db:
        states = []
        slow, stop = 4, 6  # tiering with T = 2 moves both limits up by one
        for runs in range(1, stop + 1):
            fill(db, 1)
            health = db.health
            states.append(health.state)
            assert health.level0_runs == runs
            if runs >= slow:
                expected = f"keyspace default: {runs} runs in level 0; writes slow down from {slow} on and stop at {stop}"
                assert health.stalls == (expected,)
                assert "faster than they are flushed and merged" in health.advice
                assert f"stall: {expected}" in str(health)
        assert states == ["ok"] * 3 + ["slowed"] * 2 + ["stopped"]
        assert db.health.writable
        db.compact()
        health = db.health
        assert (health.state, health.stalls, health.advice) == ("ok", (), "")


def test_memtables_that_wait_stop_writes_too() -> None:
    fs = recovery.fault(recovery.memory())
    with lsm.open("/d", fs=fs, threads=1, max_sealed=1, **SMALL) as db:
        with db.executor.lock:  # keeps the worker from flushing
            for i in range(2):
                db.put(b"k%d" % i, b"v")
                db.default.core.seal()
            health = db.health
            assert (health.state, health.sealed_memtables) == ("stopped", 2)
            assert health.stalls == ("keyspace default: 2 memtables wait for their flush; writes stop above 1",)
        db.flush()
        assert (db.health.state, db.health.sealed_memtables) == ("ok", 0)


def test_the_reason_is_the_one_that_the_rule_goes_by() -> None:
    """By debt: not runs in level 0, of which a rule that goes by bytes knows nothing."""
    stalls = {"admission": "debt_proportional", "admission_params": "slow_bytes=1 stop_bytes=100000", "slowdown_runs": 2}
    with lsm.open("/d", fs=recovery.memory(), threads=1, stalls=stalls, **SMALL) as db:
        with db.executor.lock:  # keeps the worker from merging
            for i in range(4):
                db.put(b"k%d" % i, b"v" * 100)
                db.default.core.seal()
                db.executor.flush(db.default, db.default.core.sealed())
            health = db.health
        assert health.state == "slowed"
        (why,) = health.stalls
        assert f"{health.pending_compaction_bytes} bytes are due to be merged; writes slow down from 1 on and stop at 100000" in why


def test_without_threads_nobody_waits() -> None:
    with stalling(threads=0) as db:
        fill(db, 8)
        assert (db.health.state, db.health.stalls, db.health.level0_runs) == ("ok", (), 8)


def test_the_keyspace_that_stalls_is_named() -> None:
    with stalling() as db:
        other = db.keyspace("other")
        db.set_policy(Idle(), "other")
        for i in range(6):
            other.put(b"k%d" % i, b"v" * 100)
            other.flush()
        health = db.health
        assert health.state == "stopped"
        assert [s.split(":")[0] for s in health.stalls] == ["keyspace other"]
        assert health.level0_runs == 6


# Work that is due


def test_pending_bytes_are_the_inputs_of_what_is_due() -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=0, **SMALL) as db:
        policy = db.default.policy
        db.set_policy(Idle())
        fill(db, 3)
        assert db.health.pending_compaction_bytes == 0
        db.default.policy = policy  # tiering, T = 2: all of level 0 is due
        tables = db.version().tables().values()
        assert db.health.pending_compaction_bytes == sum(t.size for t in tables)
        db.executor.busy["default"] = {next(iter(tables)).number}  # a job holds one; the plan needs it and must wait
        assert db.health.pending_compaction_bytes == next(iter(tables)).size
        db.executor.busy["default"] = set()
        db.wait()
        db.compact()
        assert db.health.pending_compaction_bytes == 0


def test_a_policy_that_plans_the_same_for_ever_does_not_hang_the_question() -> None:
    class Stubborn:
        def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
            return lsm.Plan(tuple(t.number for t in view.level(0).tables), 0)

    with lsm.open("/d", fs=recovery.memory(), threads=0, **SMALL) as db:
        db.set_policy(Idle())
        fill(db, 1)
        db.default.policy = Stubborn()
        assert db.health.pending_compaction_bytes == sum(t.size for t in db.version().tables().values())
        db.set_policy(Idle())


def test_a_long_reason_is_cut_between_characters() -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
        db.core.poison("x" * 249 + "é")
        assert db.health.error.startswith("x" * 249)
