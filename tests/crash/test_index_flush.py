"""Indexes and rows over flushes, merges and crashes: one record for both, and what only the log holds is indexed when it comes back."""

from __future__ import annotations

from typing import Any

import lsm
import recovery
from lsm import manifest
from lsm.batch import Batch
from lsm.secondary import Table, col

OPTIONS: dict[str, Any] = {"threads": 0, "write_buffer": 1 << 16, "cache": {"capacity": 1 << 14}, "wal": {"sync": "every"}}


def made(fs: Any) -> tuple[lsm.DB, Table]:
    db = lsm.open("/db", OPTIONS, fs=fs)
    table = db.table("t")
    table.create_index("a", "a")
    table.put_many([{"id": i, "a": i % 7} for i in range(40)])
    table.flush()
    return db, table


def test_rows_and_index_are_flushed_in_one_record() -> None:
    fs = recovery.memory()
    db, table = made(fs)
    table.put_many([{"id": i, "a": 50} for i in range(10)])
    table.flush()
    path = f"/db/{db.manifest.name}"
    edits = [e for row in manifest.read_rows(fs.read_all(path), path) for e in row.get("edits", ()) if e["keyspace"] == table.space.number]
    flushes = [e for e in edits if e["flushed"] is not None]
    assert len(flushes) == 2
    for e in flushes:
        assert e["added"] and e["attached"]["covered"] == e["flushed"]
        assert len(e["attached"]["components"]) > 0
    db.close()


def test_an_old_value_is_found_no_more() -> None:
    """The row's entry is in a file, in a newer file, in memory: each hides those before it."""
    db, table = made(recovery.memory())
    for value in (100, 101, 102):
        table.put_many([{"id": i, "a": value} for i in range(0, 40, 2)])
        assert table.count(col("a") == value) == 20
        assert table.find(col("a") == value - 1) == []
        table.delete(value - 100)
        for a in (*range(7), *range(100, 103)):
            assert table.count(col("a") == a) == sum(r["a"] == a for r in table), (value, a)
        assert table.scrub() == []
        if value != 102:
            table.flush()
    db.close()


def test_deletions_that_only_the_log_holds_reach_the_index() -> None:
    fs = recovery.memory()
    db, table = made(fs)
    table.delete_many(range(0, 40, 3))
    right = sorted(r["id"] for r in table if r["a"] == 3)
    with lsm.open("/db", OPTIONS, fs=fs.crash_clone("process")) as after:
        again = after.table("t")
        assert again.scrub() == []
        assert sorted(r["id"] for r in again.find(col("a") == 3)) == right
        assert again.count(col("a") >= 0) == len(list(again)) == 40 - 14
    db.close()


def test_what_came_behind_a_flush_is_indexed_after_a_crash() -> None:
    fs = recovery.memory()
    db, table = made(fs)
    table.put({"id": 100, "a": 5})
    table.space.core.seal()
    sealed = table.space.core.sealed()
    table.put({"id": 101, "a": 5})
    db.executor.flush(table.space, sealed)
    with lsm.open("/db", OPTIONS, fs=fs.crash_clone("process")) as after:
        again = after.table("t")
        assert again.scrub() == []
        assert {r["id"] for r in again.find(col("a") == 5)} >= {100, 101}
    db.close()


def test_an_index_survives_a_power_loss() -> None:
    fs = recovery.memory()
    db, table = made(fs)
    for i in range(5):
        table.put_many([{"id": j, "a": 10 + i} for j in range(i, 30, 3)])
        table.flush()
        table.riding.merge_all()
        for seed in range(3):
            with lsm.open("/db", OPTIONS, fs=fs.crash_clone("power" if not seed else "random", seed)) as after:
                again = after.table("t")
                assert again.scrub() == []
                assert list(again) == list(table)
                assert again.count(col("a") == 10 + i) == table.count(col("a") == 10 + i) > 0
    db.close()


def test_scrub_finds_what_is_planted_on_either_side() -> None:
    """Rows written and deleted behind the table's back."""
    db, table = made(recovery.memory())
    assert table.scrub() == []
    key, value = next(iter(table.space.scan()))
    gone = Batch(table=True)
    gone.delete(key, keyspace=table.space)
    db.core.write(gone.payload(), False)
    (problem,) = table.scrub()
    assert "there is no such row" in problem
    more = Batch(table=True)
    more.put((99).to_bytes(8, "big"), value, keyspace=table.space)
    db.core.write(more.payload(), False)
    problems = table.scrub()
    assert len(problems) == 2 and any("row 99" in p and "lacks" in p for p in problems)
    db.close()
