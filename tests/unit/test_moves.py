"""Plans by hand: a table that moves keeps its file, deletes that reach the bottom go, and plans that no longer fit are given up."""

from __future__ import annotations

from typing import Any

import pytest

import lsm
import recovery
from lsm.plan import Plan

OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "cache": {"capacity": 1 << 14},
    "compaction": {"layout": "1-leveling", "l0_trigger": 100},
}


@pytest.fixture
def fs() -> recovery.MemoryFileSystem:
    return recovery.memory()


@pytest.fixture
def db(fs: recovery.MemoryFileSystem) -> Any:
    with lsm.open("/d", OPTIONS, fs=fs) as db:
        yield db


def flushed(db: lsm.DB, *pairs: tuple[bytes, bytes]) -> int:
    """Write a table; return its number."""
    for key, value in pairs:
        db.put(key, value)
    db.flush()
    return max(db.version().tables())


def run(db: lsm.DB, plan: Plan) -> bool:
    assert db.executor.claim(db.default, plan)
    return db.executor.compact(db.default, plan)


def places(db: lsm.DB) -> dict[int, int]:
    return {number: level for number, (level, _) in db.version().where().items()}


def test_a_table_that_moves_keeps_its_file(db: lsm.DB, fs: recovery.MemoryFileSystem) -> None:
    number = flushed(db, (b"a", b"1"), (b"b", b"2"))
    for level in (1, 2, 4):
        assert run(db, Plan((number,), level))
        assert places(db) == {number: level}
        assert fs.exists(f"/d/{number:06d}.sst")
        assert dict(db.scan()) == {b"a": b"1", b"b": b"2"} and db.get(b"a") == b"1"
        assert db.verify() == []
        with lsm.open("/d", OPTIONS, fs=fs.crash_clone("process")) as after:
            assert places(after) == {number: level}
            assert dict(after.scan()) == dict(db.scan())


def test_deletes_that_reach_the_bottom_are_merged_away(db: lsm.DB, fs: recovery.MemoryFileSystem) -> None:
    flushed(db, (b"z", b"1"))
    db.delete(b"a")
    db.delete_range(b"b", b"c")
    db.flush()
    number = max(db.version().tables())
    assert run(db, Plan((number,), 3))
    assert number not in db.version().tables()
    assert not fs.exists(f"/d/{number:06d}.sst")
    assert sum(t.deletions + t.range_deletes for t in db.version().tables().values()) == 0


def test_a_delete_over_an_older_table_stays(db: lsm.DB) -> None:
    old = flushed(db, (b"a", b"1"), (b"b", b"2"))
    assert run(db, Plan((old,), 3))
    db.delete(b"a")
    db.flush()
    flushed(db, (b"b", b"3"))
    young = [n for n, level in places(db).items() if level == 0]
    assert run(db, Plan(tuple(young), 1))
    assert db.get(b"a") is None and dict(db.scan()) == {b"b": b"3"}
    db.compact()
    assert db.get(b"a") is None and dict(db.scan()) == {b"b": b"3"}


def test_a_flush_keeps_its_deletes(db: lsm.DB) -> None:
    """The only other table is older, and holds what they hide."""
    flushed(db, (b"a", b"1"), (b"b", b"2"))
    db.delete(b"a")
    db.delete_range(b"b", b"c")
    db.flush()
    assert dict(db.scan()) == {} and db.get(b"a") is None and db.get(b"b") is None


def test_a_plan_waits_for_one_whose_span_it_meets(db: lsm.DB) -> None:
    tables = [flushed(db, (k, b"1"), (k + b"9", b"1")) for k in (b"a", b"b", b"m")]
    assert db.executor.claim(db.default, Plan((tables[0], tables[1]), 1))
    assert not db.executor.claim(db.default, Plan((tables[1],), 1))
    assert not db.executor.claim(db.default, Plan((tables[0],), 2))
    apart = Plan((tables[2],), 1)
    assert db.executor.claim(db.default, apart)
    assert db.executor.compact(db.default, apart)
    assert not db.executor.claim(db.default, Plan((tables[1],), 1))
    assert db.executor.compact(db.default, Plan((tables[0], tables[1]), 1))
    assert dict(db.scan()) == {k + s: b"1" for k in (b"a", b"b", b"m") for s in (b"", b"9")}


def test_a_plan_that_the_tree_outran_is_given_up(db: lsm.DB, fs: recovery.MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """While two old runs are merged to the newest of level 0, a flush brings one that is newer: nothing may change then."""
    tables = [flushed(db, (b"k", b"%d" % i)) for i in range(2)]
    job = db.executor._run

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        result = job(*args, **kwargs)
        if kwargs["cause"] == "compaction":
            monkeypatch.undo()
            flushed(db, (b"k", b"young"))
        return result

    monkeypatch.setattr(db.executor, "_run", overtaken)
    assert not run(db, Plan((tables[1], tables[0]), 0, new_run=True))
    assert set(db.version().tables()) > set(tables)
    assert db.get(b"k") == b"young" and dict(db.scan()) == {b"k": b"young"}
    assert sorted(n for n in fs.listdir("/d") if n.endswith(".sst")) == [f"{n:06d}.sst" for n in sorted(db.version().tables())]
