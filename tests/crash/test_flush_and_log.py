"""Flushes, the log and the numbers that tie them: what a log still holds for somebody stays, and no number is given twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lsm
import recovery

OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "cache": {"capacity": 1 << 14},
    "compaction": {"layout": "1-leveling", "l0_trigger": 100},
}


def opened(fs: Any, sync: str = "every") -> lsm.DB:
    return lsm.open("/db", OPTIONS, fs=fs, wal={"sync": sync})


def all_of(db: lsm.DB) -> dict[str, dict[bytes, bytes]]:
    return {name: dict(db.keyspace(name).scan()) for name in db.keyspaces()}


@pytest.mark.parametrize("mode", ["process", "power"])
def test_what_is_sealed_while_a_flush_runs_is_kept(mode: str) -> None:
    fs = recovery.memory()
    with opened(fs) as db:
        core = db.default.core
        db.put(b"a", b"1")
        core.seal()
        oldest = core.sealed()
        db.put(b"b", b"2")
        core.seal()
        db.put(b"c", b"3")
        db.executor.flush(db.default, oldest)
        right = {b"a": b"1", b"b": b"2", b"c": b"3"}
        assert dict(db.scan()) == right
        assert [db.get(k) for k in right] == list(right.values())
        with opened(fs.crash_clone(mode)) as after:
            assert dict(after.scan()) == right


def test_the_newest_sealed_memtable_is_asked_first() -> None:
    with opened(recovery.memory()) as db:
        for value in (b"1", b"2", b"3"):
            db.put(b"k", value)
            db.default.core.seal()
        assert db.get(b"k") == b"3" and db.get_many([b"k"]) == [b"3"]
        assert len(db.default.core.sealed()) == 3


@pytest.mark.parametrize("copy", [lambda db: db.checkpoint("/copy"), lambda db: db.backup("/backups")], ids=["checkpoint", "backup"])
@pytest.mark.parametrize("mode", ["process", "power"])
def test_a_log_goes_only_when_a_durable_record_says_so_also_behind_a_copy(copy: Callable[[lsm.DB], None], mode: str) -> None:
    """Row G found that a copy moved the floor of the log on in memory, and the log archive's sweep believed it."""
    fs = recovery.memory()
    db = lsm.open("/db", fs=fs, threads=0, wal={"sync": "every", "archive": "/archive"})
    db.put(b"k", b"v")
    db.flush()
    db.keyspace("other")  # noted in the log, which no memtable needs
    copy(db)
    db.archive_now()
    with db.executor.lock:
        db.sweep(logs=True)  # as the archive's thread does then
    with lsm.open("/db", fs=fs.crash_clone(mode), threads=0, create=False) as again:
        assert again[b"k"] == b"v"
    db.close()


@pytest.mark.parametrize("mode", ["process", "power"])
def test_a_log_is_kept_for_every_keyspace(mode: str) -> None:
    fs = recovery.memory()
    with opened(fs) as db:
        other = db.keyspace("other")
        other.put(b"held", b"v")
        for i in range(3):
            db.put(b"%d" % i, b"v")
            db.default.flush()
        with opened(fs.crash_clone(mode)) as after:
            assert all_of(after) == all_of(db)
            assert all_of(after)["other"] == {b"held": b"v"}


@pytest.mark.parametrize("sync", ["os", "none", "every", "group"])
def test_a_log_goes_with_the_flush_of_what_it_holds(sync: str) -> None:
    """Not with the flush after that: it would take its room until then, for good when nothing is written any more."""
    fs = recovery.memory()
    with opened(fs, sync) as db:
        other = db.keyspace("other")
        for i in range(5):
            db.put(b"%d" % i, bytes(1000))
            db.flush()
            assert recovery.log_numbers(fs, "/db") == [db.core.log()[0]]
        other.put(b"held", b"v")
        first = db.core.log()[0]
        for i in range(5, 8):
            db.put(b"%d" % i, bytes(1000))
            db.default.flush()
            assert recovery.log_numbers(fs, "/db")[0] == first
        other.flush()
        assert recovery.log_numbers(fs, "/db") == [db.core.log()[0]]
        for mode, seed in (("process", 0), ("power", 0), *(("random", n) for n in range(10))):
            with opened(fs.crash_clone(mode, seed), sync) as after:
                assert all_of(after) == all_of(db), (mode, seed)


def test_the_log_stays_where_a_flush_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    fs = recovery.memory()
    with opened(fs) as db:
        db.put(b"1", b"v")
        floor = db.state.log_floor
        with monkeypatch.context() as patch:
            patch.setattr(db.manifest, "commit", refuse)
            with pytest.raises(lsm.IOFailure):
                db.flush()
        assert db.state.log_floor == floor and all_of(db)["default"] == {b"1": b"v"}
        db.sweep(logs=True)
        with opened(fs.crash_clone("power")) as after:
            assert all_of(after) == all_of(db)
        assert db.resume()
        db.put(b"2", b"v")
        with opened(fs.crash_clone("power")) as after:
            assert all_of(after) == all_of(db) == {"default": {b"1": b"v", b"2": b"v"}}


def refuse(*_: Any, **__: Any) -> None:
    raise OSError(5, "refused")


def test_a_log_goes_only_when_a_record_says_that_it_is_not_needed() -> None:
    """The flush that made the oldest segments useless was recorded while they were still in use."""
    fs = recovery.memory()
    with opened(fs) as db:
        other = db.keyspace("other")
        other.put(b"held", b"v")
        for i in range(4):
            db.put(b"%d" % i, b"v")
            db.default.flush()
        other.flush()
        for mode, seed in (("process", 0), ("power", 0), *(("random", n) for n in range(10))):
            with opened(fs.crash_clone(mode, seed)) as after:
                assert all_of(after) == all_of(db), (mode, seed)
        db.put(b"more", b"v")
        db.flush()
        assert len([n for n in fs.listdir("/db") if n.endswith(".log")]) <= 2


@pytest.mark.parametrize("which", ["default", "other"])
def test_a_batch_over_keyspaces_is_not_split_by_a_flush(which: str) -> None:
    """The log is not synced; the flush of one keyspace is: then the other's half must be durable too."""
    fs = recovery.memory()
    with opened(fs, sync="os") as db:
        other = db.keyspace("other")
        batch = lsm.Batch()
        batch.put(b"a", b"1")
        batch.put(b"b", b"2", keyspace=other)
        db.write(batch)
        db.keyspace(which).flush()
        with opened(fs.crash_clone("power"), sync="os") as after:
            assert all_of(after) == {"default": {b"a": b"1"}, "other": {b"b": b"2"}}


def test_numbers_of_files_that_a_crash_left_are_not_given_again() -> None:
    """A table is written and its record in the manifest fails: the next open takes it away, and its number is gone for good."""
    fs = recovery.memory()
    failing = recovery.fault(fs)
    db = opened(failing)
    db.put(b"a", b"1")
    failing.arm("pwrite", "*MANIFEST*", 1, 5, sticky=True)
    with pytest.raises(lsm.Error):
        db.flush()
    left = max(int(name[:6]) for name in fs.listdir("/db") if name.endswith(".sst"))
    clone = fs.crash_clone("process")
    failing.disarm()
    db.close()
    with opened(clone) as after:
        assert dict(after.scan()) == {b"a": b"1"}
        tables = sorted(after.version().tables())
        assert tables[0] > left
        assert [f"{n:06d}.sst" for n in tables] == [name for name in clone.listdir("/db") if name.endswith(".sst")]
        assert after.verify() == []


def test_sequence_numbers_go_on_after_reopening() -> None:
    fs = recovery.memory()
    last = 0
    for value in (b"1", b"2", b"3"):
        with opened(fs) as db:
            assert db.core.sequence() >= last
            for _ in range(5):
                db.put(b"k", b"old")
            db.put(b"k", value)
            db.flush()
            with db.snapshot() as now:
                db.put(b"k", b"young")
                assert now.get(b"k") == value
            assert db.get(b"k") == b"young"
            last = db.core.sequence()
            db.compact()
    with opened(fs) as db:
        assert list(db.scan()) == [(b"k", b"young")]


def test_sequence_numbers_go_on_after_a_crash() -> None:
    """A write behind what was replayed is the newer one."""
    fs = recovery.memory()
    db = opened(fs)
    for i in range(9):
        db.put(b"k", b"%d" % i)
    for _ in range(3):
        with opened(fs := fs.crash_clone("process")) as after:
            assert after.core.sequence() == after.core.visible() >= 9
            assert after.get(b"k") == b"8"
            after.put(b"k", b"new")
            after.flush()
            assert after.get(b"k") == b"new"
            after.put(b"k", b"8")
    db.close()
