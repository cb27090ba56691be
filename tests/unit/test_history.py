"""The history of a tree: its steps are the edits that the engine made, and their bytes are those of the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

import lsm
import recovery

SMALL = {"threads": 0, "write_buffer": 16 << 10, "compaction": {"size_ratio": 3, "level_base": 64 << 10, "output_bytes": 16 << 10}}


def filled(path: str | Path, fs: recovery.FileSystem | None = None, **more: object) -> lsm.Stats:
    with lsm.open(path, SMALL | more, fs=fs) as db:
        for i in range(6_000):
            db.put(b"%06d" % (i * 7919 % 6_000), b"v" * 40)
            if i % 9 == 0:
                db.delete(b"%06d" % (i * 31 % 6_000))
        db.flush()
        return db.stats()


@pytest.mark.parametrize("layout", ["leveling", "tiering", "lazy-leveling", "1-leveling"])
def test_steps_are_what_the_ledger_counted(tmp_path: Path, layout: str) -> None:
    stats = filled(tmp_path / "db", compaction={**SMALL["compaction"], "layout": layout})  # type: ignore[dict-item]
    steps = lsm.history(tmp_path / "db")["default"]
    assert steps[0].kind == "start" and not steps[0].added
    written = {kind: sum(s.bytes_out for s in steps if s.kind == kind) for kind in ("flush", "merge")}
    assert written == {"flush": stats.bytes(op="write", cause="flush"), "merge": stats.bytes(op="write", cause="compaction")}
    assert min(written.values()) > 0
    with lsm.open(tmp_path / "db", SMALL, read_only=True) as db:
        assert [sorted(steps[-1].version.tables())] == [sorted(db.keyspace("default").version.tables())]


def test_a_move_writes_nothing(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db", SMALL) as db:
        for i in range(4_000):
            db.put(b"%06d" % i, b"v" * 40)
        db.flush()
    moves = [s for s in lsm.history(tmp_path / "db")["default"] if s.kind == "move"]
    assert moves
    assert all(s.bytes_in == s.bytes_out == 0 and "move of 1 of L" in str(s) for s in moves)


def test_it_begins_anew_when_the_database_is_opened(tmp_path: Path) -> None:
    filled(tmp_path / "db")
    before = lsm.history(tmp_path / "db")["default"][-1].version
    with lsm.open(tmp_path / "db", SMALL):
        pass
    (start,) = lsm.history(tmp_path / "db")["default"]
    assert start.kind == "start" and start.version.tables() == before.tables()


def test_keyspaces_and_encryption(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db", SMALL, encryption=bytes(32)) as db:
        db.keyspace("other").put(b"k", b"v")
        db.keyspace("gone").put(b"k", b"v")
        db.flush()
        db.keyspace("other").flush()
        db.drop_keyspace("gone")
    of = lsm.history(tmp_path / "db", encryption=bytes(32))
    assert sorted(of) == ["default", "other"]
    assert [s.kind for s in of["other"]][:2] == ["start", "flush"]
    with pytest.raises(lsm.EncryptionError):
        lsm.history(tmp_path / "db")


def test_what_is_no_database_or_is_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises((lsm.NotADatabase, lsm.Error, OSError)):
        lsm.history(tmp_path / "none")
    fs = recovery.memory()
    filled("/db", fs)
    name = next(n for n in fs.listdir("/db") if n.startswith("MANIFEST"))
    raw = bytearray(fs.read_all(f"/db/{name}"))
    raw[len(raw) // 2] ^= 1
    fs.unlink(f"/db/{name}")
    fs.write_all(f"/db/{name}", bytes(raw))
    with pytest.raises(lsm.CorruptionError, match=name):
        lsm.history("/db", fs=fs)
