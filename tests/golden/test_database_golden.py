"""Databases written by version 1 of the formats stay readable and writable: two folders that are kept as they are for ever."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import lsm
from experiments.torture import draws
from experiments.torture import row_q_formats as q

GOLDEN = Path(__file__).parent
NAMES = {"db_v1_dead": False, "db_v1_clean": True}


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest) -> Path:
    path = GOLDEN / str(request.param)
    if request.config.getoption("--rewrite") and not path.exists():  # only of a new version: what is there is never written again
        q.write_fixture(path, clean=NAMES[request.param])
    return path


@pytest.mark.parametrize("seed", range(8))
def test_it_opens_and_is_what_it_was(folder: Path, seed: int) -> None:
    assert q.wrong(folder, draws.draw_options(random.Random(seed))) == ""


@pytest.mark.parametrize("mode", ["absolute", "tolerate_tail", "point_in_time", "skip"])
def test_in_every_recovery_mode(folder: Path, mode: str) -> None:
    assert q.wrong(folder, {"threads": 0, "wal": {"recovery": mode}}) == ""


def test_it_has_every_part(folder: Path) -> None:
    with lsm.open("/db", fs=q.load(folder), threads=0, read_only=True) as db:
        assert db.recovery_report.records == 7
        assert set(db.keyspaces()) == {"default", "other", "people"}
        assert {x["kind"] for x in db.table("people").indexes()} == {"ordered", "hash", "bitmap", "sliced", "rtree", "text"}
        tables = [t for name in db.keyspaces() for t in db.version(name).tables().values()]
        assert len(tables) >= 3
    assert sum(p.stat().st_size for p in folder.iterdir()) < 48 << 10
    assert {p.suffix for p in folder.iterdir()} == {"", ".sst", ".idx", ".log", ".json"}


def test_every_fixture_is_tested() -> None:
    assert {p.name for p in q.fixtures()} == set(NAMES)


def test_what_is_there_is_not_written_again(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        q.write_fixture(folder, clean=True)


def test_a_fixture_that_holds_something_else_is_told(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "db_v1"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / q.CONTENT).write_text((copy / q.CONTENT).read_text().replace('"alpha beta"', '"alpha"', 1))
    assert q.wrong(copy, {"threads": 0}).startswith("opened read-only, it holds {'pairs': ")
