"""Components of a table's indexes: merged to one when asked, made of pending rows before these get many."""

from __future__ import annotations

from typing import Any

import pytest

import lsm
import recovery
from lsm.secondary import Table, building, col, riding


def flushed(table: Table, *values: int) -> None:
    for value in values:
        table.put_many([{"id": i, "a": value} for i in range(value, 10)])
        table.flush()


def answers(table: Table) -> list[list[int]]:
    return [[row["id"] for row in table.find(col("a") == value)] for value in range(5)]


def test_index_components_are_merged_to_one() -> None:
    fs = recovery.memory()
    with lsm.open("/t", fs=fs, threads=0) as db:
        table = db.table("t")
        table.put({"id": 99, "a": 99})
        table.create_index("a", "a")
        flushed(table, 0, 1, 2)
        assert len(table.riding.runs.components) > 1
        before = answers(table)
        table.compact()
        assert len(table.riding.runs.components) == 1
        assert answers(table) == before == [[0], [1], list(range(2, 10)), [], []]
        assert table.scrub() == []
        assert sum(name.endswith(".idx") for name in fs.listdir("/t")) == 1
    with lsm.open("/t", fs=fs, threads=0) as db:
        assert answers(db.table("t")) == before


def test_index_components_are_not_merged_over_where_a_build_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(riding, "FANOUT", 100)
    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put({"id": 99, "a": 99})
        table.create_index("a", "a")
        flushed(table, 0, 1)
        index = table.create_index("b", "a")
        flushed(table, 2, 3)
        assert len(table.riding.runs.components) >= 5
        index.state = "building"
        table.riding.merge_all()
        assert [c.epoch > index.epoch for c in table.riding.runs.components] == [True, False]
        index.state = "ready"
        table.riding.merge_all()
        assert len(table.riding.runs.components) == 1
        assert table.scrub() == []


def test_rows_do_not_wait_without_bound_for_their_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(riding, "MOST_PENDING", 100)
    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put({"id": 0, "a": 0})
        table.create_index("a", "a", kind="hash")
        waiting = []
        for i in range(1, 550):
            table.put({"id": i % 50, "a": i})
            waiting.append(sum(len(changes) for _, changes in table.riding.pending))
        assert max(waiting) == 99
        assert waiting[-1] < 99
        assert [row["id"] for row in table.find(col("a") == 549)] == [49]
        assert table.count(col("a") == 499) == 0
        assert table.scrub() == []


@pytest.mark.parametrize("bad", [{"id": 2, "at": (1, "x")}, {"id": 2, "at": (2, 1, 0, 3)}, {"id": 2, "at": (0, float("nan"))}])
def test_a_refused_row_of_many_is_named_and_none_is_written(bad: dict[str, Any]) -> None:
    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put({"id": 0, "at": None})
        table.create_index("r", "at", kind="rtree")
        rows = [{"id": 1, "at": (0, 0)}, bad, *({"id": i, "at": (i, i)} for i in range(3, 20))]
        for some in (rows[:2], rows):
            with pytest.raises(ValueError, match=r"index 'r' cannot take the row \{'id': 2"):
                table.put_many(some)
        assert [row["id"] for row in table] == [0]
        assert table.scrub() == []


@pytest.mark.parametrize("kind", ["ordered", "hash", "bitmap", "rtree"])
def test_updates_and_deletes_read_no_old_row(kind: str) -> None:
    """Not a block, not a filter, not the cache: what a read of the same row does show in the ledger."""

    def looked() -> int:
        stats = db.stats()
        return sum(stats.counts(op=op) for op in ("read", "hit", "probe")) + stats.cache.get("hits", 0)

    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put({"id": 0, "a": (0, 0)})
        table.create_index("i", "a", kind=kind)
        table.put_many([{"id": i, "a": (i, 1)} for i in range(500)])
        table.flush()
        before = looked()
        table.put_many([{"id": i, "a": (i, 2)} for i in range(0, 500, 3)])
        table.delete_many(range(0, 500, 5))
        assert looked() == before
        table.get(1)
        assert looked() > before
        assert table.scrub() == []


def test_a_key_that_is_too_long_beside_a_null_is_in_no_hash_index() -> None:
    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put({"id": 0, "a": 1, "b": 1})
        table.create_index("h", ["a", "b"], kind="hash")
        table.put_many([{"id": 1, "a": "x" * 70_000, "b": None}, {"id": 2, "a": 1, "b": 1}])
        assert [row["id"] for row in table.find((col("a") == 1) & (col("b") == 1))] == [0, 2]
        with pytest.raises(ValueError, match=r"index 'h' cannot take the row \{'id': 3"):
            table.put_many([{"id": 3, "a": "x" * 70_000, "b": 2}, {"id": 4, "a": 2, "b": 2}])
        assert table.scrub() == []


@pytest.mark.parametrize(("stretch", "slice_"), [(40, 7), (7, 40), (10, 10), (1000, 1000)])
def test_index_build_by_stretches_and_slices_finds_every_row(monkeypatch: pytest.MonkeyPatch, stretch: int, slice_: int) -> None:
    monkeypatch.setattr(building, "STRETCH", stretch)
    monkeypatch.setattr(building, "SLICE", slice_)
    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put_many([{"id": i, "a": i % 9} for i in range(140)])
        done: list[int] = []
        table.create_index("a", "a", progress=done.append)
        assert done[-1] == 140 and done == sorted(done)
        assert [table.count(col("a") == v) for v in range(9)] == [16] * 5 + [15] * 4
        assert table.scrub() == []


def test_index_build_rests_while_others_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "SLICE", 10)
    rests: list[float] = []
    with lsm.open("/t", fs=recovery.memory(), threads=0) as db:
        table = db.table("t")
        table.put_many([{"id": i, "a": i} for i in range(100)])
        monkeypatch.setattr(building.time, "sleep", rests.append)
        table.create_index("alone", "a")
        assert not rests
        gathered = Table.gathered
        monkeypatch.setattr(Table, "gathered", lambda *args: (db.put(b"k", b"v"), gathered(*args))[1])
        table.create_index("beside", "a")
        assert len(rests) >= 10 and all(0 < s <= 0.1 for s in rests)
        assert table.scrub() == []
