"""Every byte that an encrypted database, its backups and its tools ever ask the disk to write, temporary files too: none is in clear."""

from __future__ import annotations

import os

import pytest

import lsm
import recovery
from lsm.check import check
from lsm.repair import repair
from lsm.secondary import col, text

KEY, NEXT, BACKUPS = bytes(range(32)), b"N" * 32, b"B" * 32
WORD = b"Zanzibar"  # in every key, value, column, name of an index and of a keyspace
OPTIONS = {
    "threads": 0,
    "write_buffer": 1 << 14,
    "value_log": {"min_bytes": 120, "file_bytes": 1 << 13, "reserve": 0.2},
    "table": {"block_size": 512, "codec": "none", "range_filter": "surf"},
    "compaction": {"level_base": 1 << 15, "output_bytes": 1 << 13},
}


def use(fs: recovery.FileSystem) -> None:
    """Everything that writes files."""
    wal = {"archive": "/backups", "archive_key": "env:LSMLAB_TEST_BACKUPS"}
    with lsm.open("/d", OPTIONS, fs=fs, encryption=KEY, wal=wal) as db:
        space = db.keyspace(WORD.decode())
        table = db.table(f"{WORD.decode()}.people", key="id")
        table.create_index(f"{WORD.decode()}_words", "name", kind="text")
        table.create_index("by_age", f"{WORD.decode()} age", kind="bitmap")
        for i in range(600):
            db.put(WORD + b"%04d" % (i % 300), WORD * (30 if i % 2 else 3) + b"%d" % i)
            space.put(WORD + b"%04d" % i, WORD)
            if i % 10 == 0:
                table.put({"id": i, "name": f"{WORD.decode()} of {i}", f"{WORD.decode()} age": i % 7})
            if i == 300:
                db.backup("/backups", key=BACKUPS, codec="zstd")
        db.delete_range(WORD + b"0100", WORD + b"0110")
        db.rotate_data_keys()
        db.compact()
        db.rotate_key(NEXT)
        db.put(WORD, WORD)
        db.checkpoint("/copy")
        db.backup("/backups", key=BACKUPS)
        db.archive_now()
    lsm.Backups("/backups", key=BACKUPS, fs=fs).restore("/restored", to_time=(1 << 63) - 1, encryption=KEY)
    assert not check("/restored", fs=fs, encryption=KEY).problems
    path = next(p for p in fs.walk_files("/d") if p.endswith(".sst"))
    with fs.open(path, "r+") as f:
        f.pwrite(b"?", 700)
    with lsm.open("/d", OPTIONS, fs=fs, encryption=NEXT) as db:
        db.scrub()
        assert db.heal("/backups", key=BACKUPS)
    fs.unlink("/d/CURRENT")
    assert repair("/d", fs=fs, encryption=NEXT).nothing_lost
    with lsm.open("/d.repaired", OPTIONS, fs=fs, encryption=NEXT, create=False) as db:
        table = db.table(f"{WORD.decode()}.people")
        assert [r["id"] for r in table.find(text("name", "zanzibar") & (col("id") == 550))] == [550]


def test_no_write_is_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSMLAB_TEST_BACKUPS", BACKUPS.hex())
    fs = recovery.record(recovery.memory())
    use(fs)
    events = fs.events()
    written = [e for e in events if e.op in ("append", "pwrite")]
    kinds = {os.path.splitext(e.path)[1] for e in written}
    assert {".log", ".sst", ".vlog", ".idx", ".heal"} <= kinds and len(written) > 1000
    for e in written:
        low = e.data.lower()
        assert WORD.lower() not in low and WORD[::-1].lower() not in low, str(e)
        assert KEY not in e.data and NEXT not in e.data and BACKUPS not in e.data, str(e)
    assert not [e for e in events if WORD.lower() in f"{e.path} {e.other}".lower().encode()]
    plain = recovery.record(recovery.memory())
    with lsm.open("/d", OPTIONS, fs=plain) as db:
        db.put(WORD, WORD)
    assert any(WORD in e.data for e in plain.events()), "the test sees what is in clear"
