"""The commands about encryption: a key, copies encrypted and in clear, and the other commands on an encrypted database."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import lsm
from experiments.cli import app


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert result.exit_code == code, result.output
    return result


def contents(path: Path, key: str | None = None) -> dict[bytes, bytes]:
    with lsm.open(path, create=False, encryption=key) as db:
        assert db.verify() == []
        return dict(db.scan())


def test_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, key, other = (tmp_path / n for n in ("plain", "sealed", "a.key", "b.key"))
    with lsm.open(first, threads=0, write_buffer=20_000) as db:
        for i in range(800):
            db.put(b"plainkey%d" % i, b"plainvalue%d" % i)
    expected = contents(first)
    for k in (key, other):
        run("keygen", k)
        assert k.stat().st_mode & 0o777 == 0o600
    assert key.read_text() != other.read_text()
    run("keygen", key, code=1)
    run("encrypt", first, second, "--key", f"file:{key}")
    assert contents(second, f"file:{key}") == expected
    assert not any(b"plain" in p.read_bytes() for p in second.iterdir())
    run("encrypt", second, tmp_path / "third", "--key", f"file:{other}", "--old-key", f"file:{key}")
    assert contents(tmp_path / "third", f"file:{other}") == expected
    assert '"files"' in run("decrypt", tmp_path / "third", tmp_path / "back", "--key", f"file:{other}", "--json").output
    assert contents(tmp_path / "back") == expected
    assert "is encrypted" in run("get", second, "plainkey7", code=1).output
    monkeypatch.setenv("LSMLAB_KEY", f"file:{key}")
    assert "plainvalue7" in run("get", second, "plainkey7").output


def test_what_is_refused(tmp_path: Path) -> None:
    lsm.open(tmp_path / "db").close()
    run("keygen", tmp_path / "key")
    key = f"file:{tmp_path}/key"
    assert "not encrypted" in run("decrypt", tmp_path / "db", tmp_path / "new", "--key", key, code=1).output
    assert "holds no database" in run("encrypt", tmp_path / "none", tmp_path / "new", "--key", key, code=1).output
    assert "exists" in run("encrypt", tmp_path / "db", tmp_path, "--key", key, code=1).output
    with lsm.open(tmp_path / "db"):
        assert "open elsewhere" in run("encrypt", tmp_path / "db", tmp_path / "new", "--key", key, code=1).output
    assert "cannot be read" in run("encrypt", tmp_path / "db", tmp_path / "new2", "--key", "file:/no/such", code=1).output
