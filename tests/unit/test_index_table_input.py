"""Tables with indexes given what is wrong, huge, odd or forbidden: refused with a reason, and nothing is broken by it."""

from __future__ import annotations

import gc
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lsm
import recovery
from indexes import ordered, rtree
from lsm.secondary import Table, UniqueViolation, building, call, col, intersects, near

OPENED: list[lsm.DB] = []


def start(fs: recovery.FileSystem, **how: Any) -> lsm.DB:
    """Open a small database, which is closed at the end of the test."""
    OPENED.append(lsm.open("/db", fs=fs, threads=0, write_buffer=1 << 20, cache={"capacity": 1 << 20}, **how))
    return OPENED[-1]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def fs() -> recovery.MemoryFileSystem:
    return recovery.memory()


@pytest.fixture
def db(fs: recovery.MemoryFileSystem) -> lsm.DB:
    return start(fs)


def crashed(fs: recovery.MemoryFileSystem, mode: str = "process") -> lsm.DB:
    return start(fs.crash_clone(mode))


# Values that an index refuses


@pytest.mark.parametrize("value", [[1, math.nan], [2, 2, 1, 3], [1], [1, 2, 3], ["a", "b"], "ab", 5])
def test_what_is_no_box_is_refused(db: lsm.DB, value: Any) -> None:
    t = db.table("t")
    t.create_index("boxes", "place", kind="rtree")
    with pytest.raises(ValueError, match="index 'boxes' cannot take the row"):
        t.put_many([{"id": 1, "place": [0, 0]}, {"id": 2, "place": value}])
    assert list(t) == []
    t.put_many([{"id": 1, "place": [0, math.inf]}, {"id": 2, "place": None}, {"id": 3}])
    assert [r["id"] for r in t.find(intersects("place", (0, 0, 1, math.inf)))] == [1]
    assert t.scrub() == []


@pytest.mark.parametrize("value", [5, "ab", [1], [1, math.nan], ["a", 2], [True, 1], b"ab", None])
def test_a_spatial_condition_on_what_is_no_box_is_unknown(db: lsm.DB, value: Any) -> None:
    t = db.table("t")
    t.put({"id": 1, "place": value})
    for p in (intersects("place", (0, 0, 9, 9)), near("place", (0, 0), 9)):
        assert t.find(p) == t.find(~p) == []


def test_a_condition_of_other_dimensions_goes_past_an_r_tree(db: lsm.DB) -> None:
    t = db.table("t")
    t.put_many([{"id": i, "place": [i, i, i]} for i in range(300)])
    t.create_index("space", "place", kind="rtree", dims=3)
    assert t.find(intersects("place", (0, 0, 1, 1))) == []
    assert t.count(intersects("place", (0, 0, 0, 1, 1, 1))) == 2


def test_a_row_too_large_for_an_index_is_refused_before_it_is_written(db: lsm.DB) -> None:
    t = db.table("t")
    for kind in ("ordered", "hash", "bitmap"):
        t.create_index(kind, kind, kind=kind)
    long = "x" * 10_000_000
    for kind in ("ordered", "hash", "bitmap"):
        with pytest.raises(ValueError, match="10000003 bytes; allowed: up to 65535"):
            t.put({"id": 1, kind: long})
        assert t.count(col(kind) == long) == t.count((col(kind) > long) & (col(kind) == "a")) == 0
    t.put({"id": 1, "text": long})
    t.flush()
    assert t.get(1) == {"id": 1, "text": long}
    assert t.find(col("text") == long) == [t.get(1)]
    assert t.scrub() == []


def test_a_partial_index_whose_predicate_raises_refuses_the_row_and_the_build(db: lsm.DB) -> None:
    t = db.table("t", functions={"inverse": lambda a: 1 / a})
    t.create_index("some", "a", where=call("inverse", "a") > 0)
    with pytest.raises(ValueError, match=r"index 'some' cannot take the row \{'id': 1, 'a': 0\}: ZeroDivisionError"):
        t.put({"id": 1, "a": 0})
    t.drop_index("some")
    t.put({"id": 1, "a": 0})
    with pytest.raises(ValueError, match="index 'again' cannot take the row"):
        t.create_index("again", "a", where=call("inverse", "a") > 0)
    assert t.indexes() == []
    t.put({"id": 1, "a": 5})
    t.create_index("again", "a", where=call("inverse", "a") > 0)
    assert t.scrub() == []


def test_scrub_finds_a_function_that_is_not_deterministic_and_one_that_raises(db: lsm.DB) -> None:
    n = itertools.count()
    broken = [False]
    t = db.table("t", functions={"next": lambda a: next(n), "odd": lambda a: 1 // 0 if broken[0] else a})
    t.create_index("random", call("next", "a"))
    t.create_index("odd", call("odd", "a"))
    t.put_many([{"id": i, "a": i} for i in range(3)])
    broken[0] = True
    said = t.scrub()
    assert "index 'random': its function gives one row different values, for 3 rows: it must depend on the row alone" in said
    assert sum("index 'odd' cannot take the row" in line for line in said) == 3


def test_values_are_indexed_as_they_come_back(db: lsm.DB, fs: recovery.MemoryFileSystem) -> None:
    t = db.table("t")
    t.create_index("some", "a", where=col("n") > 1)
    t.create_index("tags", "tags")
    t.create_index("b", "b", kind="hash")
    t.put({"id": np.int64(1), "a": np.float32(0.5), "n": np.int16(5), "tags": np.array([1, 2]), "b": bytearray(b"x")})
    assert t.scrub() == []
    assert t.find((col("a") == 0.5) & (col("n") > 1) & (col("tags") == 2) & (col("b") == b"x")) == [t.get(1)]
    assert crashed(fs).table("t").scrub() == []


def test_lists_with_nulls_and_without_elements(db: lsm.DB) -> None:
    t = db.table("t")
    t.put_many([{"id": i, "tags": v} for i, v in enumerate(([None], [], [None, 3], [3, 20], None, 3, "a", [True]))])
    asked = [col("tags").is_null(), col("tags").not_null(), ~col("tags").between(2, 9), col("tags") == 3, col("tags") != 3, col("tags") > 5]
    asked += [~col("tags").isin([]), col("tags").isin([True])]
    expected = [[r["id"] for r in t.find(p)] for p in asked]
    assert expected[0] == [4]
    assert expected[2] == [1]
    t.put_many([{"id": 100 + i, "tags": b"-"} for i in range(200)])
    for kind in ("ordered", "hash", "bitmap"):
        t.create_index(kind, "tags", kind=kind)
        assert [[r["id"] for r in t.find(p) if r["id"] < 100] for p in asked] == expected, kind
        t.drop_index(kind)


@pytest.mark.parametrize("by", ["tags", "-tags"])
def test_the_order_of_rows_with_lists_is_the_same_with_an_index(db: lsm.DB, by: str) -> None:
    t = db.table("t")
    t.put_many([{"id": i, "tags": v} for i, v in enumerate(([5], [], 7, [1, 9], "b", None, *range(20, 120)))])
    expected = [r["id"] for r in t.find(order_by=by)]
    t.create_index("tags", "tags")
    assert [[r["id"] for r in t.find(order_by=by, limit=n)] for n in range(8)] == [expected[:n] for n in range(8)]


def test_equal_numbers_are_found_whatever_their_type_and_size(db: lsm.DB) -> None:
    t = db.table("t")
    numbers = [1, 1.0, 2**53, float(2**53), 2**63, float(2**63), 10**30, 1e30, -0.0, 0, 1e300]
    t.put_many([{"id": i, "a": v} for i, v in enumerate(numbers)] + [{"id": 100 + i, "a": "x"} for i in range(100)])
    expected = [[i for i, w in enumerate(numbers) if w == v] for v in numbers]
    for kind in ("ordered", "hash", "bitmap"):
        t.create_index(kind, "a", kind=kind)
        assert [[r["id"] for r in t.find(col("a") == v)] for v in numbers] == expected, kind
        t.drop_index(kind)


# Uniqueness


@pytest.mark.parametrize("kind", ["ordered", "hash"])
def test_a_unique_violation_names_the_key_and_the_holder(db: lsm.DB, kind: str) -> None:
    t = db.table("t", key="name")
    t.create_index("one", "a", kind=kind, unique=True)
    t.put_many([{"name": "x", "a": 1}, {"name": "y", "a": None}, {"name": "z"}])
    with pytest.raises(UniqueViolation, match="unique index 'one': row 'new' has 1, which row 'x' has already") as e:
        t.put({"name": "new", "a": 1.0})
    assert (e.value.index, e.value.value, e.value.key, e.value.holder) == ("one", 1, "new", "x")
    with pytest.raises(UniqueViolation, match="row 'q' has 7, which row 'p' has already"):
        t.put_many([{"name": "p", "a": 7}, {"name": "q", "a": 7}])
    t.put_many([{"name": "x", "a": 2}, {"name": "new", "a": 1}, {"name": "new", "a": 3}, {"name": "y", "a": 1}])  # swapped in one batch
    t.flush()
    with pytest.raises(UniqueViolation, match="row 'late' has 3, which row 'new' has already"):
        t.put({"name": "late", "a": 3})
    t.delete("new")
    t.put({"name": "late", "a": 3})
    assert sorted(r["name"] for r in t) == ["late", "x", "y", "z"]
    assert t.scrub() == []


@pytest.mark.parametrize("flushed", [False, True])
def test_a_unique_index_is_not_made_over_duplicates(db: lsm.DB, flushed: bool) -> None:
    t = db.table("t")
    t.put_many([{"id": i, "a": i % 9} for i in range(10)])
    if flushed:
        t.flush()
    with pytest.raises(UniqueViolation, match=r"row 9 has 0, which row 0 has already|row 0 has 0, which row 9 has already"):
        t.create_index("one", "a", unique=True)
    assert t.indexes() == []
    t.delete(9)
    t.create_index("one", "a", unique=True)
    with pytest.raises(UniqueViolation):
        t.put({"id": 9, "a": 0})


@pytest.mark.parametrize("where", ["first", "later"])
def test_duplicates_that_come_during_the_build_of_a_unique_index_are_refused(
    db: lsm.DB, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(building, "STRETCH", 5)
    t = db.table("t")
    t.put_many([{"id": i, "a": i} for i in range(20)])
    refused = []

    def progress(done: int) -> None:
        try:
            if where == "first" and done == 5:
                t.put({"id": 100, "a": 17})  # of a row that the scan has not come to
            elif where == "later" and done == 20:
                t.put_many([{"id": 3, "a": 50}, {"id": 101, "a": 3}])  # a value that has just been given up
        except UniqueViolation as e:
            refused.append(e)

    if where == "first":
        with pytest.raises(UniqueViolation, match="17"):
            t.create_index("one", "a", unique=True, progress=progress)
        assert t.indexes() == []
        t.delete(100)
    t.create_index("one", "a", unique=True, progress=progress if where == "later" else None)
    assert refused == []
    assert t.scrub() == []
    with pytest.raises(UniqueViolation):
        t.put({"id": 200, "a": 17})


def test_a_unique_build_that_died_and_cannot_be_finished_does_not_keep_the_table_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "STRETCH", 5)
    fs = recovery.memory()
    t = start(fs).table("t")
    t.put_many([{"id": i, "a": i % 19} for i in range(20)])
    clones: list[recovery.MemoryFileSystem] = []
    with pytest.raises(UniqueViolation):
        t.create_index("one", "a", unique=True, progress=lambda _: clones.append(fs.crash_clone()))
    for clone in clones:
        db = start(clone)
        with pytest.warns(RuntimeWarning, match="index 'one' of table 't' was not made: unique index 'one'"):
            again = db.table("t")
        assert again.indexes() == []
        assert len(list(again)) == 20
        db.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert start(clone).table("t").indexes() == []


# Names, keys, parameters


def test_an_unknown_column_names_the_near_ones(db: lsm.DB) -> None:
    t = db.table("t")
    t.put({"id": 1, "name": "x", "age": 3})
    for ask in (
        lambda: t.find(col("nmae") == "x"),
        lambda: t.count(call("f", "nmae") == "x"),
        lambda: t.find(columns=["nmae"]),
        lambda: t.find(order_by="-nmae"),
    ):
        with pytest.raises(ValueError, match="no row has a column 'nmae'; near: name; there are id, name, age"):
            ask()


@pytest.mark.parametrize("key", [-1, 2**63, 1.5, "1", True, b"1", (1,), None, [1]])
def test_keys_of_another_kind_than_the_first(db: lsm.DB, key: Any) -> None:
    t = db.table("t")
    t.put_many([{"id": 1, "v": "one"}, {"id": 0}])
    uses: list[Callable[[], Any]] = [lambda: t.put({"id": key}), lambda: t.put_many([{"id": 5}, {"id": key}]), lambda: t.delete(key)]
    for use in [*uses, lambda: t.get(key)]:
        with pytest.raises(ValueError, match=r"key 'id' is .*; allowed: integers from 0 to|the row has no key 'id'"):
            use()
    assert [r["id"] for r in t] == [0, 1]


def test_a_first_row_that_is_refused_decides_nothing(db: lsm.DB) -> None:
    t = db.table("t")
    t.delete("x")
    assert t.get("x") is None
    for bad in ({"id": object()}, {"id": "x", "v": object()}, {"id": -1}, {"v": 1}, {"id": [1]}):
        with pytest.raises((ValueError, TypeError)):
            t.put(bad)
    with pytest.raises(TypeError, match="a row is a mapping of columns to values, not list"):
        t.put([1, 2])  # type: ignore[arg-type]
    t.put({"id": 1})
    assert db.keyspaces() == ["default", "t"]


def test_keys_that_python_takes_for_equal_are_rows_of_their_own(db: lsm.DB) -> None:
    t = db.table("t")
    t.put({"id": "first"})
    t.put_many([{"id": 1, "v": 1}, {"id": True, "v": 2}, {"id": 1, "v": 3}])
    assert [(r["id"], r.get("v")) for r in t] == [("first", None), (1, 3), (True, 2)]
    assert (t.get(1)["v"], t.get(True)["v"]) == (3, 2)
    t.delete_many([1, 1, "none"])
    assert t.get(1) is None
    t.put_many([])
    t.delete_many([])
    assert len(list(t)) == 2


@pytest.mark.parametrize(
    ("how", "error", "match"),
    [
        ({"columns": "a", "kind": "orderd"}, ValueError, "near: ordered"),
        ({"columns": "a", "kind": "rtree", "dims": np.int64(3)}, TypeError, "plain values"),
        ({"columns": "a", "kind": "rtree", "dims": 4}, ValueError, "2 or 3 dims"),
        ({"columns": ["a", "b"], "kind": "bitmap"}, ValueError, "one column"),
        ({"columns": "a", "kind": "bitmap", "unique": True}, ValueError, "cannot be unique"),
        ({"columns": call("nope", "a")}, KeyError, "needs the function 'nope'"),
        ({"columns": 5}, TypeError, "a column is a name"),
        ({"columns": "a", "wrong": 1}, TypeError, "wrong"),
    ],
    ids=repr,
)
def test_a_definition_that_is_refused_leaves_nothing(db: lsm.DB, how: dict[str, Any], error: type[Exception], match: str) -> None:
    t = db.table("t")
    with pytest.raises(error, match=match):
        t.create_index("i", **how)
    t.put({"id": 1, "a": 1})
    t.flush()
    assert t.indexes() == []


# Who may write


def refusals(db: lsm.DB, space: lsm.Keyspace) -> list[Callable[[], Any]]:
    def batch(call: str, *args: bytes) -> None:
        b = lsm.Batch()
        getattr(b, call)(*args, keyspace=space)
        db.write(b)

    lens = np.array([1], np.uint32)
    return [
        lambda: space.put(b"k", b"v"),
        lambda: space.__setitem__(b"k", b"v"),
        lambda: space.delete(b"k"),
        lambda: space.put_many([(b"k", b"v")]),
        lambda: space.put_packed(b"k", lens, b"v", lens),
        lambda: space.delete_many([b"k"]),
        lambda: space.delete_range(b"a", b"z"),
        lambda: batch("put", b"k", b"v"),
        lambda: batch("delete", b"k"),
        lambda: batch("delete_range", b"a", b"z"),
    ]


def test_only_the_table_writes_its_keyspaces(db: lsm.DB, fs: recovery.MemoryFileSystem) -> None:
    t = db.table("t")
    t.put({"id": "x"})
    db.keyspace("u.keys").put(b"mine", b"own")
    for each in (db, crashed(fs)):  # there before the table is opened too
        for name in ("t", "t.keys"):
            for write in refusals(each, each.keyspace(name)):
                with pytest.raises(lsm.BusyError, match=f"'{name}' belongs to a table"):
                    write()
        assert [r["id"] for r in each.table("t")] == ["x"]
        each.keyspace("u.keys").put(b"still", b"own")
    with pytest.raises(ValueError, match="the default keyspace is for pairs"):
        db.table("default")
    with pytest.raises(ValueError, match=r"'t.keys' belongs to another table"):
        db.table("t.keys")
    with pytest.raises(ValueError, match="holds pairs of its own"):
        db.table("u.keys")
    with pytest.raises(ValueError, match=r"'u.keys' holds pairs of its own"):
        db.table("u").put({"id": "text"})
    with pytest.raises(ValueError, match="key is 'other'; table 't' has 'id'"):
        db.table("t", key="other")


def test_a_keyspace_whose_pairs_are_all_deleted_can_become_a_table(db: lsm.DB, fs: recovery.MemoryFileSystem) -> None:
    space = db.keyspace("t")
    space.put_many([(b"abc", b"x"), (b"12345678", b"y")])
    db.flush()
    space.delete_many([b"abc", b"12345678"])
    t = db.table("t")
    t.create_index("a", "a")
    t.put({"id": 1, "a": 2})
    again = crashed(fs).table("t")
    assert again.find(col("a") == 2) == [{"id": 1, "a": 2}]
    assert again.scrub() == []


def test_dropping_the_keyspace_of_a_table_drops_its_keys_and_its_files(db: lsm.DB, fs: recovery.MemoryFileSystem) -> None:
    t = db.table("t", key="name")
    t.put_many([{"name": f"n{i}", "a": i} for i in range(5)])
    t.create_index("a", "a")
    t.flush()
    with pytest.raises(lsm.BusyError, match=r"drop_keyspace\('t'\) drops both"):
        db.drop_keyspace("t.keys")
    db.drop_keyspace("t")
    assert db.keyspaces() == ["default"]
    assert not [name for name in fs.listdir("/db") if name.endswith(".idx")]
    for each in (db, crashed(fs)):
        again = each.table("t", key="name")
        again.put_many([{"name": "n4", "a": 1}])
        again.put_many([{"name": f"m{i}", "a": 1} for i in range(9)])
        assert len(list(again)) == 10
        assert again.indexes() == []
    with pytest.raises(lsm.Error):
        t.put({"name": "x"})


# Copies and read-only


@pytest.mark.parametrize("key", [1, "x"])
def test_read_only_sees_what_is_in_the_log(fs: recovery.MemoryFileSystem, key: Any) -> None:
    name = (lambda i: i) if key == 1 else (lambda i: f"n{i}")
    with lsm.open("/db", fs=fs, threads=0, write_buffer=1 << 20) as db:
        t = db.table("t")
        t.put_many([{"id": name(i), "a": i} for i in range(300)])
        t.create_index("a", "a")
        t.put_many([{"id": name(i), "a": 1000 + i} for i in range(5)])
        t.delete_many([name(7), name(8)])
        db.put(b"other", b"pairs")
    with lsm.open("/db", fs=fs, threads=0, write_buffer=1 << 20, read_only=True) as db:
        t = db.table("t")
        assert t.scrub() == []
        assert (t.count(col("a") >= 1000), t.count(col("a") < 10)) == (5, 3)
        for write in (
            lambda: t.put({"id": name(1)}),
            lambda: t.delete(name(1)),
            lambda: t.create_index("b", "a"),
            lambda: t.drop_index("a"),
        ):
            with pytest.raises(lsm.ReadOnlyError):
                write()
        with pytest.raises(lsm.ReadOnlyError):
            t.rename_index("a", "b")
        with pytest.raises(lsm.ReadOnlyError):
            t.flush()
        with pytest.raises(lsm.ReadOnlyError):
            db.table("none")


def test_a_checkpoint_with_indexes_opens_and_is_clean(db: lsm.DB, fs: recovery.MemoryFileSystem) -> None:
    t = db.table("t", key="name", functions={"twice": lambda a: 2 * a})
    t.create_index("a", "a")
    t.create_index("twice", call("twice", "a"), kind="hash")
    for i in range(12):
        t.put_many([{"name": f"n{j}", "a": i + j} for j in range(i, i + 20)])
        t.flush()
    t.put({"name": "late", "a": 99})
    db.checkpoint("/copy")
    t.put({"name": "later", "a": 99})
    with lsm.open("/copy", fs=fs, threads=0, write_buffer=1 << 20) as copy:
        with pytest.raises(KeyError, match="index 'twice' needs the function 'twice'"):
            copy.table("t")
        again = copy.table("t", functions={"twice": lambda a: 2 * a})
        assert again.scrub() == []
        assert [r["name"] for r in again.find(col("a") == 99)] == ["late"]
        again.put({"name": "own", "a": 99})
        again.flush()
        assert again.count(call("twice", "a") == 198) == 2


# Order of components


def test_an_index_made_over_unflushed_rows_keeps_the_order_of_changes(db: lsm.DB, fs: recovery.MemoryFileSystem) -> None:
    """What was in memory when the build began comes to a file before the base; else merges took older files for newer."""
    t = db.table("t")
    t.create_index("a", "a")
    for i in range(3):
        t.put_many([{"id": j, "a": i, "b": j} for j in range(10)])
        t.flush()
    t.put_many([{"id": j, "a": 100, "b": j} for j in range(5)])
    t.create_index("b", "b")
    db.put(b"x", b"y")
    db.default.flush()
    assert t.scrub() == []
    t.flush()
    assert t.scrub() == []
    assert t.count(col("a") == 2) == 5
    for mode in ("process", "power"):
        again = crashed(fs, mode).table("t")
        assert again.scrub() == []
        again.put({"id": 1, "a": 7, "b": 7})
        again.flush()
        assert again.scrub() == []


def test_an_index_never_holds_rows_that_a_power_loss_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "STRETCH", 3)
    fs = recovery.memory()
    db = start(fs, wal={"sync": "os"})
    t: Table = db.table("t")
    t.put_many([{"id": j, "a": j} for j in range(10)])
    db.sync()
    t.put_many([{"id": j, "a": 100 + j} for j in range(20)])
    t.create_index("a", "a", progress=lambda done: t.put({"id": done, "a": -done}))
    for seed in range(10):
        lost = start(fs.crash_clone("random", seed))
        again = lost.table("t")
        assert again.scrub() == [], seed
        again.put_many([{"id": j, "a": 7} for j in range(3)])
        again.flush()
        assert again.scrub() == [], seed
        assert again.count(col("a") == 7) == 3
        lost.close()


def test_a_segment_in_a_cycle_is_collected_in_any_order() -> None:
    """CPython 3.11 crashed when it cleared a memoryview in a cycle while its bytes were lent to C."""
    for _ in range(20):
        for made, view_of in ((ordered.build([b"a"], [1]), ordered.open), (rtree.build([1], [[0.0, 0.0]]), rtree.open_segment)):
            cycle: dict[str, Any] = {"data": memoryview(made)[:]}
            cycle["view"], cycle["self"] = view_of(cycle["data"]), cycle
        del cycle
        gc.collect()
