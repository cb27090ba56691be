"""resume: after any failure, when its cause has passed, the database goes on; nothing acknowledged is lost, not even to a power loss."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

import lsm
import recovery
from lsm.check import check
from lsm.secondary import col

SMALL: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 8192,
    "cache": {"capacity": 1 << 20},
    "compaction": {"level_base": 4096, "output_bytes": 4096, "l0_trigger": 2},
}


class Run:
    """Writes until something fails; `acked` is what must be there, `doubt` the write that failed."""

    def __init__(self, sync: str) -> None:
        self.disk = recovery.memory()
        self.fs = recovery.fault(self.disk)
        self.db = lsm.open("/db", SMALL, fs=self.fs, wal={"sync": sync})
        self.db.keyspace("other")
        self.acked: dict[bytes, bytes] = {}
        self.doubt: dict[bytes, bytes] = {}

    def write(self, n: int, tag: bytes) -> BaseException | None:
        for i in range(n):
            key, value = b"%03d" % (i * 7 % 50), tag + b"%d" % i + b"x" * 60
            try:
                self.db.put(key, value)
            except lsm.Error as e:
                self.doubt = {key: value}
                return e
            self.acked[key] = value
            if i % 20 == 0:
                other = self.db.keyspace("other")
                try:
                    other.put(key, tag)
                except lsm.Error as e:
                    return e
        return None

    def agrees(self, found: dict[bytes, bytes]) -> None:
        assert found in (self.acked, {**self.acked, **self.doubt})
        if found != self.acked:
            self.acked = found
        self.doubt = {}

    def after_power_loss(self) -> None:
        crashed = self.disk.crash_clone("power")
        assert not check("/db", fs=crashed).problems
        with lsm.open("/db", SMALL, fs=crashed, create=False) as db:
            assert dict(db.scan()) == self.acked
            assert db.verify() == []


def calls(sync: str) -> dict[str, int]:
    run = Run(sync)
    before = {op: run.fs.calls(op) for op in OPERATIONS}
    assert run.write(150, b"a") is None
    return {op: run.fs.calls(op) - before[op] for op in OPERATIONS}


OPERATIONS = ("open", "append", "pwrite", "sync", "sync_dir", "allocate", "truncate", "rename", "close", "map")


@pytest.mark.parametrize(("sync", "code"), [("os", errno.ENOSPC), ("group", errno.EIO)], ids=["os-ENOSPC", "group-EIO"])
def test_every_call_fails_and_it_goes_on(sync: str, code: int) -> None:
    failed = 0
    for op, total in calls(sync).items():
        for nth in range(1, total + 1, max(1, total // 3)):
            run = Run(sync)
            run.fs.arm(op, "*", nth, code, sticky=True)
            try:
                error = run.write(150, b"a")
                run.fs.disarm()
                failed += error is not None
                run.db.resume()
                run.agrees(dict(run.db.scan()))
                assert run.db.health.state == "ok"
                assert run.write(60, b"b") is None
                run.db.sync()
                run.after_power_loss()
                run.db.close()
                run.after_power_loss()
            except BaseException as e:
                e.add_note(f"repeat: {op} call {nth} fails from then on with {errno.errorcode[code]}, sync={sync}")
                raise
    assert failed > 10


@pytest.mark.parametrize("op", OPERATIONS)
def test_resume_fails_too(op: str) -> None:
    """At every call of the resume: it stays read-only, what a power loss leaves is right, and it may be tried again."""
    seen = 0
    for nth in range(1, 40):
        run = Run("group")
        run.fs.arm("sync", "*.log", 40, errno.EIO)
        assert run.write(150, b"a") is not None
        run.fs.disarm()
        run.fs.arm(op, "*", nth, errno.EIO)
        before = run.fs.calls(op)
        try:
            run.db.resume()
        except lsm.IOFailure:
            seen += 1
            assert run.db.health.state == "failed"
            with pytest.raises(lsm.ReadOnlyError):
                run.db.put(b"k", b"v")
            with lsm.open("/db", SMALL, fs=run.disk.crash_clone("power"), create=False) as crashed:
                assert dict(crashed.scan()) in (run.acked, {**run.acked, **run.doubt})
            run.fs.disarm()
            run.db.resume()
        done = run.fs.calls(op) - before
        run.fs.disarm()
        run.agrees(dict(run.db.scan()))
        assert run.write(60, b"b") is None
        run.after_power_loss()
        run.db.close()
        if done < nth:
            break
    assert seen or op in ("pwrite", "truncate", "map", "close")


def test_a_file_whose_sync_failed_is_never_synced_again() -> None:
    run = Run("group")
    run.fs.arm("sync", "*.log", 5, errno.EIO)
    assert run.write(100, b"a") is not None
    run.fs.disarm()
    (log,) = [n for n in run.disk.listdir("/db") if n == recovery.segment_name(run.db.core.log()[0])]
    before = run.fs.calls("sync", f"*/{log}")
    run.db.resume()
    run.db.sync()
    assert run.fs.calls("sync", f"*/{log}") == before and not run.disk.exists(f"/db/{log}")
    run.agrees(dict(run.db.scan()))
    run.after_power_loss()


def fail_the_manifest(db: lsm.DB, fs: recovery.FaultFileSystem) -> None:
    db.wait()
    fs.arm("sync", "*MANIFEST*", 1, errno.EIO, sticky=True)
    with pytest.raises(lsm.Error):
        db.table("people").put({"id": 5, "age": 3})
        db.flush()


def fail_the_log(db: lsm.DB, fs: recovery.FaultFileSystem) -> None:
    db.wait()
    fs.arm("sync", "*.log", 1, errno.EIO, sticky=True)
    with pytest.raises(lsm.Error):
        db.table("people").put({"id": 77, "age": 7}, sync=True)


def fail_the_making_of_a_keyspace(db: lsm.DB, fs: recovery.FaultFileSystem) -> None:
    db.wait()
    fs.arm("pwrite", "*MANIFEST*", 1, errno.ENOSPC, sticky=True)
    with pytest.raises(lsm.Error):
        db.keyspace("late")


@pytest.mark.parametrize("how", [fail_the_manifest, fail_the_log, fail_the_making_of_a_keyspace])
@pytest.mark.parametrize("threads", [0, 2])
def test_indexes_agree_with_their_rows_afterwards(how: Callable[[lsm.DB, recovery.FaultFileSystem], None], threads: int) -> None:
    disk = recovery.memory()
    fs = recovery.fault(disk)
    db = lsm.open("/db", SMALL, fs=fs, threads=threads)
    people = db.table("people")
    people.create_index("by_age", "age")
    people.put_many([{"id": i, "age": i % 7} for i in range(30)])
    people.flush()
    people.put_many([{"id": i, "age": 3} for i in range(5, 10)])
    how(db, fs)
    fs.disarm()
    assert db.resume() and not db.resume()
    assert people.scrub() == [] and people.count(col("age") == 3) == sum(i % 7 == 3 for i in range(30) if not 5 <= i < 10) + 5
    people.put_many([{"id": i, "age": 4} for i in range(100, 110)])
    db.keyspace("late").put(b"k", b"v")
    db.flush()
    db.wait()
    assert people.scrub() == []
    with lsm.open("/db", SMALL, fs=disk.crash_clone("power"), create=False) as crashed:
        assert crashed.table("people").scrub() == [] and crashed.keyspace("late").get(b"k") == b"v"
        assert crashed.table("people").count(col("age") == 4) == people.count(col("age") == 4)
    db.close()
    assert not check("/db", fs=disk).problems


def test_a_background_failure_with_workers() -> None:
    run = Run("os")
    run.db.close()
    db = run.db = lsm.open("/db", SMALL, fs=run.fs, threads=2)
    run.fs.arm("append", "*.sst", 1, errno.ENOSPC, sticky=True)
    for n in range(1000):
        try:
            db.put(b"%04d" % n, b"x" * 100)
        except lsm.ReadOnlyError:
            break
        run.acked[b"%04d" % n] = b"x" * 100
    else:
        pytest.fail("the database never noticed")
    assert "no space" in db.health.error.lower()
    with pytest.raises(lsm.Error):
        db.resume()
    assert db.health.state == "failed"
    run.fs.disarm()
    db.resume()
    db.put(b"more", b"1")
    run.acked[b"more"] = b"1"
    db.flush()
    assert dict(db.scan()) == run.acked
    run.after_power_loss()
    db.close()


def test_what_resume_refuses() -> None:
    fs = recovery.memory()
    with lsm.open("/db", SMALL, fs=fs) as db:
        assert db.resume() is False
        db.put(b"k", b"v")
    with pytest.raises(lsm.ClosedError):
        db.resume()
    with lsm.open("/db", SMALL, fs=fs, read_only=True) as db, pytest.raises(lsm.ReadOnlyError, match="opened read-only"):
        db.resume()
