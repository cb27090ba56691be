"""A table with indexes beside SQLite, step by step: writes, indexes made in mid-load, flushes, merges, reopening, death and power loss."""

from __future__ import annotations

import sqlite3
from typing import Any
from unittest import mock

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import lsm
import recovery
from lsm.secondary import Moment, UniqueViolation, building, col, planner
from tests.harness.examples import examples
from tests.harness.sqlrows import CONDITIONS, FUNCTIONS, ROWS, Both, Row, Rows, open_rows

INT_KEYS = st.integers(0, 30) | st.sampled_from([2**40, 2**63 - 1])
OTHER_KEYS = st.sampled_from([f"k{i}" for i in range(20)]) | st.tuples(st.sampled_from(["x", "y"]), st.integers(0, 5))
INDEXES: list[dict[str, Any]] = [
    {"columns": "a"},
    {"columns": "s"},
    {"columns": "tags"},
    {"columns": ["n", "a"]},
    {"columns": ["n", "s", "f"]},
    {"columns": ["tags", "n"]},
    {"columns": "a", "include": ["s", "n"]},
    {"columns": ["n", "b"], "include": ["a", "f"]},
    {"columns": "a", "where": col("n") > 1},
    {"columns": "s", "where": col("a").not_null()},
    {"columns": "n", "where": (col("f") == True) & col("s").isin(["a", "b", "ab"])},  # noqa: E712
    {"columns": {"call": "double"}},
    {"columns": "a", "where": {"call": "double"}},
    {"columns": "s", "kind": "hash"},
    {"columns": ["n", "f"], "kind": "hash"},
    {"columns": "tags", "kind": "hash"},
    {"columns": {"call": "joined"}, "kind": "hash"},
    {"columns": "n", "kind": "bitmap"},
    {"columns": "f", "kind": "bitmap"},
    {"columns": "tags", "kind": "bitmap"},
    {"columns": "a", "kind": "bitmap", "where": col("n").not_null()},
    {"columns": "where", "kind": "rtree"},
    {"columns": "where", "kind": "rtree", "where": col("n") < 3},
    {"columns": "a", "unique": True},
    {"columns": ["n", "s"], "unique": True},
    {"columns": "b", "kind": "hash", "unique": True},
]
OPTIONS = st.fixed_dictionaries(
    {
        "threads": st.sampled_from([0, 0, 0, 1]),
        "write_buffer": st.sampled_from([2048, 1 << 20]),
        "wal": st.fixed_dictionaries({"sync": st.sampled_from(["os", "every"])}),
        "compaction": st.fixed_dictionaries({"layout": st.sampled_from(["leveling", "tiering"]), "l0_trigger": st.sampled_from([1, 4])}),
    }
)


ASKED = st.lists(CONDITIONS, min_size=2, max_size=4)


def definition(chosen: dict[str, Any]) -> dict[str, Any]:
    how = dict(chosen)
    doubled, joined = lsm.secondary.call("double", "a"), lsm.secondary.call("joined", "s", "n")
    if isinstance(how["columns"], dict):
        how["columns"] = doubled if how["columns"]["call"] == "double" else joined
    if isinstance(how.get("where"), dict):
        how["where"] = doubled >= 0
    return how


def violates(chosen: dict[str, Any], rows: Rows) -> bool:
    """Tell whether two rows have equal values in the columns of a unique index, none of them NULL."""
    columns = [chosen["columns"]] if isinstance(chosen["columns"], str) else chosen["columns"]
    seen = [key for r in rows.values() if None not in (key := tuple(r.get(c) for c in columns))]
    return len(set(seen)) < len(seen)


class Tables(RuleBasedStateMachine):
    """``rows`` are those acknowledged; ``possible``: every state that a power loss may bring back."""

    @initialize(
        options=OPTIONS,
        ints=st.booleans(),
        stretch=st.sampled_from([3, 7, 1000]),
        scan=st.sampled_from([planner.SCAN, 1000.0]),  # else indexes are used whenever one can be
        rows=st.lists(ROWS, max_size=20),
        indexes=st.lists(st.sampled_from(INDEXES), max_size=5),
    )
    def start(self, options: dict[str, Any], ints: bool, stretch: int, scan: float, rows: list[Row], indexes: list[dict[str, Any]]) -> None:
        self.patches = [mock.patch.object(building, "STRETCH", stretch), mock.patch.object(planner, "SCAN", scan)]
        for patch in self.patches:
            patch.start()
        self.options, self.ints = options, ints
        self.rows: dict[Any, Row] = {}
        self.possible: list[dict[Any, Row]] = [self.rows]
        self.made: dict[str, dict[str, Any]] = {}
        self.moments: list[tuple[Moment, dict[Any, Row]]] = []
        self.count = 0
        self.fs = recovery.memory()
        self.open()
        if rows:
            self.put([{"k": 50 + i if ints else f"row{i}", **r} for i, r in enumerate(rows)])
        for chosen in indexes:
            self.make(chosen)

    def open(self) -> None:
        self.db = lsm.open("/db", self.options, fs=self.fs)
        self.table = self.db.table("t", key="k", functions=FUNCTIONS)

    def keys(self, data: st.DataObject) -> Any:
        return data.draw(INT_KEYS if self.ints else OTHER_KEYS)

    def became(self, rows: dict[Any, Row]) -> None:
        self.rows = rows
        durable = self.options["wal"]["sync"] == "every"
        self.possible = [rows] if durable else [*self.possible, rows]

    # Changes

    def put(self, rows: list[Row]) -> None:
        after = self.rows | {r["k"]: r for r in rows}
        unique = [c for c in self.made.values() if c.get("unique") and violates(c, after)]
        try:
            self.table.put_many(rows)
        except UniqueViolation as e:
            assert unique, e
            assert repr(e.key) in str(e)
            assert e.holder in after
        else:
            assert not unique
            self.became(after)

    @rule(data=st.data(), rows=st.lists(ROWS, min_size=1, max_size=8))
    def put_many(self, data: st.DataObject, rows: list[Row]) -> None:
        self.put([{"k": self.keys(data), **r} for r in rows])
        self.ask(data)

    @rule(data=st.data(), row=ROWS, count=st.integers(10, 40))
    def load(self, data: st.DataObject, row: Row, count: int) -> None:
        self.put([{"k": 100 + i if self.ints else f"load{i}", **row, "a": i * 7 % 11, "n": i % 5} for i in range(count)])
        self.ask(data)

    @rule(data=st.data(), count=st.integers(1, 5))
    def delete(self, data: st.DataObject, count: int) -> None:
        if not self.rows:
            return
        there = st.sampled_from(sorted(self.rows, key=repr))
        keys = [self.keys(data) if data.draw(st.booleans()) else data.draw(there) for _ in range(count)]
        self.table.delete_many(keys)
        self.became({k: r for k, r in self.rows.items() if k not in keys})
        self.ask(data)

    # Indexes

    @rule(data=st.data(), chosen=st.sampled_from(INDEXES), rows=st.lists(ROWS, max_size=3), deaths=st.sampled_from([0, 0, 0, 1, 2]))
    def create_index(self, data: st.DataObject, chosen: dict[str, Any], rows: list[Row], deaths: int) -> None:
        """Rows are written while it is made; the process may die at a stretch, and the index is finished when the table is opened."""
        more = [] if chosen.get("unique") else [{"k": self.keys(data), **r} for r in rows]
        clones: list[Any] = []

        def progress(done: int) -> None:
            if more:
                self.put([more.pop()])
            if len(clones) < deaths:
                clones.append((self.fs.crash_clone("process"), self.rows))

        self.make(chosen, progress)
        if clones and not chosen.get("unique"):
            clone, self.rows = clones[-1]
            self.crash(clone)
            self.possible = [self.rows]
        self.check_indexes()
        self.ask(data)

    def make(self, chosen: dict[str, Any], progress: Any = None) -> None:
        self.count += 1
        duplicates = bool(chosen.get("unique")) and violates(chosen, self.rows)
        try:
            self.table.create_index(f"i{self.count}", progress=progress, **definition(chosen))
        except UniqueViolation:
            assert duplicates
        else:
            assert not duplicates
            self.made[f"i{self.count}"] = chosen
        self.check_indexes()

    def check_indexes(self) -> None:
        assert {x["name"]: x["state"] for x in self.table.indexes()} == dict.fromkeys(self.made, "ready")

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.made)))
        self.table.drop_index(name)
        del self.made[name]
        self.check_indexes()

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def rename(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.made)))
        self.table.rename_index(name, name + "'")
        self.made[name + "'"] = self.made.pop(name)
        self.check_indexes()

    # The tree

    @rule(data=st.data())
    def flush(self, data: st.DataObject) -> None:
        self.table.flush()
        self.ask(data)

    @rule(data=st.data())
    def flush_another(self, data: st.DataObject) -> None:
        self.db.put(b"x", b"y")
        self.db.default.flush()
        self.ask(data)

    @rule(data=st.data(), rows=st.lists(ROWS, min_size=5, max_size=5))
    def many_flushes(self, data: st.DataObject, rows: list[Row]) -> None:
        for row in rows:
            self.put([{"k": self.keys(data), **row}])
            self.table.flush()
        self.ask(data)

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        self.table.space.compact()
        self.ask(data)

    # Time

    def forget(self) -> None:
        for moment, _ in self.moments:
            moment.close()
        self.moments = []

    def crash(self, clone: Any) -> None:
        self.forget()
        self.db.close()
        self.fs = clone
        self.open()

    @rule(data=st.data())
    def reopen(self, data: st.DataObject) -> None:
        self.forget()
        self.db.close()
        self.open()
        self.check_indexes()
        self.possible = [self.rows]
        self.ask(data)

    @rule(data=st.data())
    def process_dies(self, data: st.DataObject) -> None:
        self.crash(self.fs.crash_clone("process"))
        self.check_indexes()
        assert {r["k"]: r for r in self.table} == self.rows
        self.possible = [self.rows]
        self.ask(data)

    @rule(data=st.data(), mode=st.sampled_from(["power", "random"]), seed=st.integers(0, 1 << 16))
    def power_fails(self, data: st.DataObject, mode: str, seed: int) -> None:
        self.crash(self.fs.crash_clone(mode, seed))
        self.check_indexes()
        found = {r["k"]: r for r in self.table}
        assert found in self.possible
        self.rows = found
        self.possible = [found]
        self.ask(data)

    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        if len(self.moments) < 3:
            self.moments.append((self.table.moment(), self.rows))
        self.ask(data)

    # Questions

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        self.check(data.draw(ASKED), self.rows, None, data)
        if self.moments and data.draw(st.booleans()):
            moment, rows = data.draw(st.sampled_from(self.moments))
            self.check(data.draw(ASKED), rows, moment, data)

    @precondition(lambda self: self.moments)
    @rule()
    def let_go(self) -> None:
        self.moments.pop(0)[0].close()

    @rule(data=st.data())
    def scrub(self, data: st.DataObject) -> None:
        assert self.table.scrub() == []
        assert {r["k"]: r for r in self.table} == self.rows
        keys = [*self.rows, 999 if self.ints else "none"]
        assert self.table.get_many(keys) == [*self.rows.values(), None]
        self.ask(data)

    def check(self, asked: list[Both], rows: dict[Any, Row], moment: Moment | None, data: st.DataObject) -> None:
        known = {"k", *self.table.names}
        sql, numbered = open_rows(rows), list(rows)
        for one in asked:
            if not set(lsm.secondary.leaves.columns_of(one.condition)) <= known:
                continue
            keys = {numbered[i] for (i,) in sql.execute(f"SELECT i FROM r WHERE {one.sql}", one.parameters)}
            note(f"{one!r}; {self.table.explain(one.condition, at=moment)}")
            found = self.table.find(one.condition, at=moment)
            assert {r["k"]: r for r in found} == {k: rows[k] for k in keys}
            assert len(found) == len(keys) == self.table.count(one.condition, at=moment)
            self.check_covering(one, {k: rows[k] for k in keys}, moment, sorted(known & {"k", "a", "n", "s"}))
            self.check_order(one, sql, numbered, moment, data, known)
        sql.close()

    def check_covering(self, one: Both, expected: dict[Any, Row], moment: Moment | None, columns: list[str]) -> None:
        found = self.table.find(one.condition, columns=columns, at=moment)
        listed = sorted(([r.get(c) for c in columns] for r in expected.values()), key=repr)
        assert sorted(([r[c] for c in columns] for r in found), key=repr) == listed or sorted(found, key=lambda r: repr(r["k"])) == [
            {c: r.get(c) for c in columns} for _, r in sorted(expected.items(), key=lambda kr: repr(kr[0]))
        ]

    def check_order(
        self, one: Both, sql: sqlite3.Connection, numbered: list[Any], moment: Moment | None, data: st.DataObject, known: set[str]
    ) -> None:
        by = [c for c in data.draw(st.sampled_from([("a",), ("-a",), ("s",), ("n", "-a"), ("-n", "s")])) if c.removeprefix("-") in known]
        limit = data.draw(st.sampled_from([0, 1, 2, 5, None]))
        if not by:
            return
        wanted = ", ".join(f"{c.removeprefix('-')} {'DESC' if c[0] == '-' else 'ASC'}" for c in by)
        where, one = (one.condition, one) if data.draw(st.booleans()) else (None, Both(one.condition, "true"))
        rows = sql.execute(f"SELECT {', '.join(c.removeprefix('-') for c in by)} FROM r WHERE {one.sql} ORDER BY {wanted}", one.parameters)
        note(f"{by} {limit}: {self.table.explain(where, order_by=by, limit=limit, at=moment)}")
        found = self.table.find(where, order_by=by, limit=limit, at=moment)
        assert [tuple(r.get(c.removeprefix("-")) for c in by) for r in found] == rows.fetchall()[:limit]
        keys = [r["k"] for r in found]
        assert len(set(keys)) == len(keys)

    def teardown(self) -> None:
        if hasattr(self, "db"):
            if not self.db.closed:
                assert self.table.scrub() == []
                self.forget()
                self.db.close()
            for patch in self.patches:
                patch.stop()


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=examples(40), stateful_step_count=15)
