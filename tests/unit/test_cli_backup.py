"""The commands `lsmlab backup ...` do what they say and end with the exit code that they promise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lsm
from experiments import cli
from experiments.cli_backup import LATEST, parse_time, when


def lsmlab(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli.app, [str(w) for w in words])
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.output


def test_from_a_backup_to_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db, target, key = tmp_path / "db", tmp_path / "t", tmp_path / "key"
    key.write_text("ab" * 32)
    words = ("--key", f"file:{key}")
    wal = {"archive": str(target), "archive_key": f"file:{key}"}
    with lsm.open(db, wal=wal) as opened:
        opened.put(b"a", b"1")
        made = opened.backup(target, key=f"file:{key}")
        opened.put(b"a", b"2")
        opened.archive_now()
        seq = opened.core.sequence()
    assert json.loads(lsmlab("backup", "create", db, target, "--compress", "zstd", *words, "--json"))["id"] == "000002"
    rows = json.loads(lsmlab("backup", "list", target, *words, "--json"))
    assert [r["id"] for r in rows] == ["000001", "000002"]
    assert when(made.created) in lsmlab("backup", "list", target, *words)
    assert "no problems found" in lsmlab("backup", "verify", target, *words)
    for name, how, value in (
        ("r1", ("--backup", "000001"), b"1"),
        ("r2", ("--to-seq", seq), b"2"),
        ("r3", ("--to-time", "latest"), b"2"),
        ("r4", ("--to-time", when(made.time)[:-4] + ".999", "--backup", "000001"), None),
    ):
        lsmlab("backup", "restore", target, tmp_path / name, *how, *words)
        with lsm.open(tmp_path / name) as copy:
            assert value is None or copy.get(b"a") == value, name
    assert "not empty" in lsmlab("backup", "restore", target, tmp_path / "r1", *words, code=1)
    assert "needs its key" in lsmlab("backup", "list", target, code=1)
    assert "no variable" in lsmlab("backup", "list", target, "--key", "env:LSMLAB_NOT_SET", code=1)
    assert "backup 000009" in lsmlab("backup", "restore", target, tmp_path / "r9", "--backup", "000009", *words, code=1)
    assert "no time" in lsmlab("backup", "restore", target, tmp_path / "r9", "--to-time", "noon", *words, code=2)
    assert "1 backups" in lsmlab("backup", "prune", target, "--keep", "1", *words)
    lsmlab("backup", "prune", target, "--keep", "0", *words, code=2)
    victim = next((target / "objects").glob("??/*"))
    victim.write_bytes(victim.read_bytes()[:-1])
    assert victim.name in lsmlab("backup", "verify", target, *words, code=1)


def test_targets_and_databases_that_are_none(tmp_path: Path) -> None:
    assert "holds no backups" in lsmlab("backup", "list", tmp_path, code=1)
    assert "does not exist" in lsmlab("backup", "create", tmp_path / "none", tmp_path / "t", code=1)
    assert not (tmp_path / "t").exists()
    with lsm.open(tmp_path / "db") as db:
        db.put(b"a", b"1")
        assert "open elsewhere" in lsmlab("backup", "create", tmp_path / "db", tmp_path / "t", code=1)
    assert "codec" in lsmlab("backup", "create", tmp_path / "db", tmp_path / "t2", "--compress", "rar", code=2)


def test_times() -> None:
    assert parse_time("latest") == LATEST
    assert parse_time("1970-01-01T00:00:01.5") == 1_500_000_999
    assert parse_time("1970-01-01T02:00:01+02:00") == 1_000_000_999
    with pytest.raises(ValueError, match="noon"):
        parse_time("noon")
