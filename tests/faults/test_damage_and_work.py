"""Damage and failing reads in the middle of work: no answer comes from behind them, and no damage gets a good checksum."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

import lsm
import recovery
from lsm.memtable_twin import PUT, Entry
from lsm.native_tables import get, scan
from lsm.table_twin import Settings
from tests.harness.tables import PATH, Lab

OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "cache": {"capacity": 0},
    "table": {"block_size": 128, "filter": "none", "hash_index": False},
    "compaction": {"layout": "1-leveling", "l0_trigger": 100, "output_bytes": 1 << 20},
}


def two_versions(fs: Any, **more: Any) -> lsm.DB:
    """A database with an older and a newer table over the same keys."""
    db = lsm.open("/d", OPTIONS, fs=fs, **more)
    for value in (b"old", b"new"):
        for i in range(40):
            db.put(b"%03d" % i, value * 10)
        db.flush()
    return db


def spoil(fs: Any, path: str, at: int) -> None:
    with fs.open(path, "r+") as f:
        f.pwrite(bytes([f.pread(1, at)[0] ^ 4]), at)


def newest(db: lsm.DB) -> str:
    return f"/d/{max(db.version().tables()):06d}.sst"


def test_a_compaction_does_not_launder_damage() -> None:
    fs = recovery.memory()
    with two_versions(fs) as db:
        path, before = newest(db), set(db.version().tables())
        spoil(fs, path, 60)
        for _ in range(2):
            with pytest.raises(lsm.CorruptionError, match=path):
                db.compact()
        assert set(db.version().tables()) == before
        assert sorted(name for name in fs.listdir("/d") if name.endswith(".sst")) == [f"{n:06d}.sst" for n in sorted(before)]
        (problem,) = db.verify()
        assert path in problem


READS: dict[str, Callable[[lsm.DB], Any]] = {
    "get": lambda db: db.get(b"001"),
    "get_many": lambda db: db.get_many([b"039", b"001", b"002"]),
    "get_many at a snapshot": lambda db: db.snapshot().get_many([b"039", b"001"]),
    "scan": lambda db: list(db.scan()),
    "keys": lambda db: list(db.keys()),
    "reverse": lambda db: list(db.scan(reverse=True)),
    "prefix": lambda db: list(db.scan(prefix=b"00")),
    "chunks": lambda db: list(db.scan_chunks()),
}


@pytest.mark.parametrize("how", READS)
def test_a_failed_read_is_no_answer(how: str) -> None:
    """The newest table's first block cannot be read: neither what older tables say, nor less, is an answer."""
    fs = recovery.fault(recovery.memory())
    with two_versions(fs) as db:
        right = READS[how](db)
        path = newest(db)
        fs.arm("pread", path, 1, errno.EIO, sticky=True)
        with pytest.raises(lsm.IOFailure):
            READS[how](db)
        fs.disarm()
        assert repr(READS[how](db)) == repr(right)
        spoil(fs, path, 20)
        with pytest.raises(lsm.CorruptionError, match=path):
            READS[how](db)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_that_failed_stays_failed(reverse: bool) -> None:
    """One read fails, later ones would not: what lies behind the gap must not be shown as if nothing were missing."""
    fs = recovery.fault(recovery.memory())
    with two_versions(fs) as db:
        expected = list(db.scan(reverse=reverse))
        for nth in range(1, 12):
            fs.arm("pread", "*.sst", nth, errno.EIO)
            found = db.scan(reverse=reverse)
            got = []
            with pytest.raises(lsm.IOFailure):
                for pair in found:
                    got.append(pair)
            fs.disarm()
            assert got == expected[: len(got)]
            with pytest.raises(lsm.IOFailure):
                next(found)
            found.close()


def test_a_run_with_a_table_that_cannot_be_read() -> None:
    """Three tables, one after the other, in one run; the middle one fails."""
    fs = recovery.fault(recovery.memory())
    with lsm.open("/d", OPTIONS | {"compaction": {"layout": "1-leveling", "l0_trigger": 100, "output_bytes": 4096}}, fs=fs) as db:
        for i in range(400):
            db.put(b"%03d" % i, b"v" * 30)
            if i == 200:
                db.put(b"399", b"old")
                db.flush()
        db.compact()
        (run,) = [run for _, run in db.version().runs()]
        assert len(run.tables) >= 3
        middle = f"/d/{run.tables[1].number:06d}.sst"
        fs.arm("pread", middle, 1, errno.EIO, sticky=True)
        for reverse in (False, True):
            got = []
            with pytest.raises(lsm.IOFailure):
                for pair in db.scan(reverse=reverse):
                    got.append(pair)
            assert len(got) <= sum(t.entries for t in run.tables[2 if reverse else 0 : None if reverse else 1])
        with pytest.raises(lsm.IOFailure):
            db.put(b"020", b"new")
            db.compact()
        fs.disarm()
        assert len(list(db.scan())) == 400


def test_swapped_blocks_are_found() -> None:
    """Blocks of one size change places: right checksums at the wrong place."""
    lab = Lab()
    entries = [Entry(b"%03d" % i, i + 1, PUT, b"v%03d" % i) for i in range(8)]
    settings = lab.settings(Settings(block_size=1, restart_interval=1))
    props = lab.build(settings, entries)
    whole = lab.fs.read_all(PATH)
    size = whole.index(b"v001") - whole.index(b"v000")
    swapped = whole[:size] + whole[2 * size : 3 * size] + whole[size : 2 * size] + whole[3 * size :]
    lab.fs.unlink(PATH)
    lab.fs.write_all(PATH, swapped)
    table = lab.open(settings, size=props.file_size, crc=props.footer_crc)
    assert get(table, b"000") == entries[0]
    for key in (b"001", b"002"):
        with pytest.raises(lsm.CorruptionError, match=f"{PATH} at byte {size * int(key)}"):
            get(table, key)
    for ask in (lambda: list(scan(table)), table.verify):
        with pytest.raises(lsm.CorruptionError):
            ask()


def test_an_older_table_under_the_same_name_is_refused() -> None:
    """Of the same database, number and size, whole in itself: only the manifest knows that it is another one."""
    disks = []
    for value in (b"1", b"2"):
        fs = recovery.memory()
        with lsm.open("/d", OPTIONS, fs=fs) as db:
            db.put_many([(b"%02d" % i, value * 20) for i in range(10)])
            db.flush()
        disks.append(fs)
    old, new = disks
    (name,) = (n for n in new.listdir("/d") if n.endswith(".sst"))
    was, now = old.read_all(f"/d/{name}"), new.read_all(f"/d/{name}")
    assert len(was) == len(now) and was != now
    new.unlink(f"/d/{name}")
    new.write_all(f"/d/{name}", was)
    with pytest.raises(lsm.CorruptionError, match=name):
        lsm.open("/d", OPTIONS, fs=new)
