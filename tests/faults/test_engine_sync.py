"""A log that fails: nothing unsynced is acknowledged or seen, the database is read-only and says why, reads go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import lsm
import recovery


def opened(sync: str) -> tuple[lsm.DB, recovery.FaultFileSystem]:
    fs = recovery.fault(recovery.memory())
    db = lsm.open("/db", fs=fs, threads=0, wal={"sync": sync})
    db.put(b"a", b"1")
    return db, fs


def still_reads(db: lsm.DB, expected: dict[bytes, bytes]) -> None:
    assert dict(db.scan()) == expected
    assert {k: db.get(k) for k in (b"a", b"b")} == {k: expected.get(k) for k in (b"a", b"b")}
    assert db.get_many([b"a", b"b"]) == [expected.get(b"a"), expected.get(b"b")]


@pytest.mark.parametrize("sync", ["group", "every"])
@pytest.mark.parametrize("how", ["put", "delete_range", "put_many"])
def test_a_write_whose_sync_failed_is_never_seen(sync: str, how: str) -> None:
    db, fs = opened(sync)
    fs.arm("sync", "*.log", nth=1, error=5)
    with pytest.raises(lsm.IOFailure):
        if how == "put":
            db.put(b"b", b"2")
        elif how == "delete_range":
            db.delete_range(b"a", b"z")
        else:
            db.put_many([(b"a", b"9"), (b"b", b"2")])
    still_reads(db, {b"a": b"1"})
    assert db.core.why_read_only()
    fs.disarm()
    with pytest.raises(lsm.ReadOnlyError):
        db.put(b"b", b"3")
    with pytest.raises(lsm.Error):
        db.core.sync()
    still_reads(db, {b"a": b"1"})
    assert db.spaces["default"].core.sealed() == []
    db.close()


def test_a_flush_leaves_out_what_was_never_synced() -> None:
    db, fs = opened("group")
    core = db.spaces["default"].core
    fs.arm("sync", "*.log", nth=1, error=5)
    with pytest.raises(lsm.IOFailure):
        db.put(b"b", b"2")
    core.seal()
    assert core.sealed_count() == 1
    assert core.sealed() == []  # it holds b, which nobody may see
    still_reads(db, {b"a": b"1"})
    db.close()


@pytest.mark.parametrize("sync", ["os", "group", "every"])
def test_no_new_segment_means_read_only_and_nothing_is_lost(sync: str) -> None:
    db, fs = opened(sync)
    fs.arm("open", "*.log", nth=1, error=28)
    with pytest.raises(lsm.Error):
        db.spaces["default"].core.seal()
    assert "space" in (db.core.why_read_only() or "")
    still_reads(db, {b"a": b"1"})
    with pytest.raises(lsm.ReadOnlyError):
        db.put(b"b", b"2")
    fs.disarm()
    db.close()
    with lsm.open("/db", fs=fs, threads=0) as again:
        still_reads(again, {b"a": b"1"})


def test_a_forced_sync_that_fails_is_told() -> None:
    db, fs = opened("os")
    fs.arm("sync", "*.log", nth=1, error=5)
    batch = lsm.Batch()
    batch.put(b"b", b"2")
    with pytest.raises(lsm.IOFailure):
        db.write(batch, sync=True)
    assert db.core.why_read_only()
    assert db.get(b"a") == b"1"
    db.close()


@pytest.mark.parametrize("what", ["flush", "keyspace", "compact"])
def test_a_manifest_that_failed_once_is_not_written_again(what: str) -> None:
    """Whether the record is on the disk is unknown: nothing may be appended behind it, and nothing acknowledged that leans on it."""
    db, fs = opened("every")
    if what == "compact":
        db.flush()
        db.put(b"b", b"2")
        db.flush()
    before = dict(db.scan())
    fs.arm("pwrite", "*MANIFEST*", 1, "short")
    calls: dict[str, Callable[[], object]] = {"flush": db.flush, "keyspace": lambda: db.keyspace("more"), "compact": db.compact}
    with pytest.raises(lsm.Error):
        calls[what]()
    assert "manifest" in (db.core.why_read_only() or "")
    appended = fs.calls("pwrite", "*MANIFEST*")
    for call in (lambda: db.put(b"c", b"3"), db.flush, lambda: db.keyspace("again"), db.wait, db.compact):
        with pytest.raises(lsm.ReadOnlyError):
            call()
    still_reads(db, before)
    assert fs.calls("pwrite", "*MANIFEST*") == appended, "row G found that waiting, inline, went on with compactions"
    db.close()
    with lsm.open("/db", fs=fs, threads=0) as again:
        still_reads(again, before)
        assert again.verify() == []
