"""Rules of row G about tables: rows in and out, indexes of every kind made, dropped, renamed and asked, moments held across changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import lsm
import recovery
from lsm.secondary import Predicate, UniqueViolation, call, col, intersects, near, text, within

from .machine_base import TABLE, Base, stored_key, stored_row

Row = dict[str, Any]
FUNCTIONS: dict[str, Callable[..., Any]] = {"double": lambda x: None if x is None else x * 2}
WORDS = ["alpha", "beta", "gamma", "alpha beta", "beta gamma delta", ""]
NS, XS, SS = st.integers(0, 5), st.integers(-20, 20), st.sampled_from(["", "a", "ab", "abc", "b"])
POINTS = st.tuples(st.integers(0, 8), st.integers(0, 8)).map(list)
ROW = st.fixed_dictionaries(
    {"n": NS},
    optional={
        "x": st.none() | XS, "s": st.none() | SS, "at": POINTS, "tags": st.lists(st.sampled_from(["p", "q", "r"]), max_size=2),
        "w": st.sampled_from(WORDS),
    },
)  # fmt: skip
FULL: Row = {"n": 0, "x": 0, "s": "", "at": [0, 0], "tags": ["p"], "w": "alpha"}
INDEXES: list[Row] = [
    {"columns": "n"},
    {"columns": "s"},
    {"columns": ["n", "x"]},
    {"columns": "x", "include": ["s", "n"]},
    {"columns": "x", "where": col("n") > 1},
    {"columns": call("double", "x")},
    {"columns": "s", "kind": "hash"},
    {"columns": ["n", "s"], "kind": "hash"},
    {"columns": "n", "kind": "bitmap"},
    {"columns": "tags", "kind": "bitmap"},
    {"columns": "x", "kind": "sliced", "numbers": "int64"},
    {"columns": "at", "kind": "rtree"},
    {"columns": "w", "kind": "text"},
    {"columns": "x", "unique": True},
    {"columns": ["n", "s"], "kind": "hash", "unique": True},
]


class Asked(NamedTuple):
    """A condition, and the same over a row."""

    condition: Predicate
    holds: Callable[[Row], bool]
    words: bool = False

    def __repr__(self) -> str:
        return repr(self.condition)


def _at(r: Row, test: Callable[[int, int], bool]) -> bool:
    return r.get("at") is not None and test(*r["at"])


def _has(r: Row, column: str, test: Callable[[Any], bool]) -> bool:
    return r.get(column) is not None and test(r[column])


LEAVES = st.one_of(
    NS.map(lambda n: Asked(col("n") == n, lambda r: r["n"] == n)),
    st.lists(NS, max_size=3).map(lambda ns: Asked(col("n").isin(ns), lambda r: r["n"] in ns)),
    XS.map(lambda x: Asked(col("x") > x, lambda r: _has(r, "x", lambda v: v > x))),
    st.tuples(XS, XS).map(lambda b: Asked(col("x").between(*b), lambda r: _has(r, "x", lambda v: b[0] <= v <= b[1]))),
    XS.map(lambda x: Asked(call("double", "x") <= x, lambda r: _has(r, "x", lambda v: v * 2 <= x))),
    SS.map(lambda s: Asked(col("s") == s, lambda r: r.get("s") == s)),
    SS.map(lambda s: Asked(col("s").startswith(s), lambda r: _has(r, "s", lambda v: v.startswith(s)))),
    st.sampled_from(["s", "x"]).map(lambda c: Asked(col(c).is_null(), lambda r: r.get(c) is None)),
    st.sampled_from(["p", "q"]).map(lambda t: Asked(col("tags").isin([t]), lambda r: _has(r, "tags", lambda v: t in v))),
    st.tuples(POINTS, st.integers(0, 5)).map(
        lambda a: Asked(near("at", a[0], a[1]), lambda r: _at(r, lambda x, y: (x - a[0][0]) ** 2 + (y - a[0][1]) ** 2 <= a[1] ** 2))
    ),
    st.tuples(POINTS, st.sampled_from([intersects, within])).map(
        lambda a: Asked(
            a[1]("at", (*a[0], a[0][0] + 2, a[0][1] + 3)),
            lambda r: _at(r, lambda x, y: a[0][0] <= x <= a[0][0] + 2 and a[0][1] <= y <= a[0][1] + 3),
        )
    ),
    st.sampled_from(["alpha", "beta", "delta"]).map(lambda w: Asked(text("w", w), lambda r: _has(r, "w", lambda v: w in v.split()), True)),
)  # fmt: skip
CONDITIONS = LEAVES | st.tuples(LEAVES, LEAVES).flatmap(
    lambda p: st.sampled_from(
        [
            Asked(p[0].condition & p[1].condition, lambda r: p[0].holds(r) and p[1].holds(r), p[0].words or p[1].words),
            Asked(p[0].condition | p[1].condition, lambda r: p[0].holds(r) or p[1].holds(r), p[0].words or p[1].words),
        ]
    )
)
has_table = precondition(lambda self: self.table is not None)


def taken(how: Row, rows: dict[Any, Row]) -> bool:
    """Tell whether two rows have equal values in the columns of a unique index, none of them NULL."""
    columns = [how["columns"]] if isinstance(how["columns"], str) else how["columns"]
    values = [v for r in rows.values() if None not in (v := tuple(r.get(c) for c in columns))]
    return len(set(values)) < len(values)


class Tables(Base):
    """A table ``t``; its rows are in ``rows`` and, as pairs, in the model. Keys are integers, or words and pairs."""

    rows: dict[Any, Row]
    ints = True

    def open_table(self) -> None:
        """Open it; rows as the model has them now."""
        self.table = self.db.table(TABLE, key="k", functions=FUNCTIONS)
        self.take_rows()

    def take_rows(self) -> None:
        """The rows that the model has: after a power loss, those that came back."""
        stored = self.model.state[TABLE]
        known = {stored_key(k): (k, r) for k, r in self.ever.items()}
        self.rows = {}
        for key, data in stored.items():
            k, _ = known[key]
            self.rows[k] = dict(self.versions[data])

    def keys(self, numbers: list[int]) -> list[Any]:
        """Return keys of this table's kind."""
        return numbers if self.ints else [f"w{n}" if n % 3 else ("pair", n) for n in numbers]

    def put_rows(self, rows: list[Row], sync: bool = False) -> None:
        """Put rows: all, or none when a unique index refuses them."""
        after = self.rows | {r["k"]: r for r in rows}
        refused = any(how.get("unique") and taken(how, after) for how in self.indexes.values())
        try:
            self.table.put_many(rows, sync=sync)
        except UniqueViolation as e:
            assert refused, e
            return
        assert not refused, f"{rows} was taken"
        self.rows = after
        for r in rows:
            self.ever[r["k"]] = r
            self.versions[stored_row(r)] = r
        self.wrote([("put", TABLE, stored_key(r["k"]), stored_row(r)) for r in rows], sync)

    @precondition(lambda self: self.table is None)
    @rule(ints=st.booleans())
    def make_table(self, ints: bool) -> None:
        """With a first row, so that every column is known."""
        self.ints, self.rows = ints, {}
        self.ever: dict[Any, Row] = {}
        self.versions: dict[bytes, Row] = {}
        self.model.made_space(TABLE)
        self.open_table()
        (key,) = self.keys([0])
        self.put_rows([{"k": key, **FULL}], sync=True)

    @has_table
    @rule()
    def drop_table(self) -> None:
        """With its keys and indexes."""
        self.forget_readers()
        self.db.drop_keyspace(TABLE)
        self.model.dropped_space(TABLE)
        self.table, self.indexes = None, {}
        assert f"{TABLE}.keys" not in self.db.keyspaces()

    # Rows

    @has_table
    @rule(numbers=st.lists(st.integers(0, 25), min_size=1, max_size=5), rows=st.lists(ROW, min_size=5, max_size=5), sync=st.booleans())
    def insert_rows(self, numbers: list[int], rows: list[Row], sync: bool) -> None:
        """New ones and others in the place of old ones."""
        self.put_rows([{"k": k, **r} for k, r in zip(self.keys(numbers), rows, strict=False)], sync)

    @has_table
    @rule(row=ROW, count=st.integers(5, 30))
    def load_rows(self, row: Row, count: int) -> None:
        """Many at once."""
        self.put_rows([{"k": k, **row, "n": i % 6, "x": i * 7 % 23 - 9} for i, k in enumerate(self.keys(list(range(30, 30 + count))))])

    @has_table
    @rule(numbers=st.lists(st.integers(0, 40), min_size=1, max_size=6))
    def delete_rows(self, numbers: list[int]) -> None:
        """Those that are there, and others."""
        keys = self.keys(numbers)
        self.table.delete_many(keys)
        self.rows = {k: r for k, r in self.rows.items() if k not in keys}
        self.wrote([("delete", TABLE, stored_key(k), b"") for k in keys])

    @has_table
    @rule(numbers=st.lists(st.integers(0, 40), max_size=6))
    def get_rows(self, numbers: list[int]) -> None:
        """By key."""
        keys = self.keys(numbers)
        found = self.table.get_many(keys)
        assert [None if r is None else stored_row(r) for r in found] == [stored_row(r) if (r := self.rows.get(k)) else None for k in keys]

    @has_table
    @rule()
    def iterate_rows(self) -> None:
        """All of them."""
        assert {stored_key(r["k"]): stored_row(r) for r in self.table} == dict(self.model.state[TABLE])

    @has_table
    @rule(row=ROW)
    def refused_rows(self, row: Row) -> None:
        """Rows without a key or of what cannot be stored; pairs written past the indexes."""
        (key,) = self.keys([1])
        bad: list[Callable[[], Any]] = [
            lambda: self.table.put_many([{"k": key, **row}, row]),
            lambda: self.table.put({"k": key, "n": object()}),
            lambda: self.db.keyspace(TABLE).put(b"a", b"b"),
            lambda: self.db.keyspace(TABLE).put_many([(b"a", b"b")]),
            lambda: self.table.find(col("no such column") == 1),
            lambda: self.db.table(TABLE, key="another"),
        ]
        for attempt in bad:
            try:
                attempt()
            except (ValueError, TypeError, lsm.BusyError):
                continue
            raise AssertionError("what is not allowed was done")

    # Indexes

    def check_indexes(self) -> None:
        """Those that were made are ready."""
        assert {x["name"]: x["state"] for x in self.table.indexes()} == dict.fromkeys(self.indexes, "ready")

    def build_index(self, name: str, how: Row) -> None:
        """Make one; a unique one is refused where rows are equal."""
        refused = bool(how.get("unique")) and taken(how, self.rows)
        try:
            self.table.create_index(name, **how)
        except UniqueViolation:
            assert refused
            return
        assert not refused
        self.indexes[name] = how

    @has_table
    @rule(how=st.sampled_from(INDEXES))
    def create_index(self, how: Row) -> None:
        """Of any kind; five at a time."""
        if len(self.indexes) < 5:
            self.build_index(next(f"i{i}" for i in range(6) if f"i{i}" not in self.indexes), how)
        self.check_indexes()

    @precondition(lambda self: self.indexes)
    @rule(which=st.integers(0, 4))
    def drop_index(self, which: int) -> None:
        """One of them."""
        name = sorted(self.indexes)[which % len(self.indexes)]
        self.table.drop_index(name)
        del self.indexes[name]
        self.check_indexes()

    @precondition(lambda self: self.indexes)
    @rule(which=st.integers(0, 4))
    def rebuild_index(self, which: int) -> None:
        """Drop one and make it again."""
        name = sorted(self.indexes)[which % len(self.indexes)]
        self.table.drop_index(name)
        self.build_index(name, self.indexes.pop(name))
        self.check_indexes()

    @precondition(lambda self: self.indexes)
    @rule(which=st.integers(0, 4))
    def rename_index(self, which: int) -> None:
        """There and back; a name that is taken is refused."""
        name = sorted(self.indexes)[which % len(self.indexes)]
        self.table.rename_index(name, "other")
        with suppress(ValueError):
            self.table.create_index("other", "n")
            raise AssertionError("a name was given twice")
        self.table.rename_index("other", name)
        self.check_indexes()

    @precondition(lambda self: self.indexes)
    @rule(how=st.sampled_from(INDEXES), seed=st.integers(0, 1 << 16))
    def dies_while_building(self, how: Row, seed: int) -> None:
        """The build is finished when the table is opened, or the index was never there."""
        if how.get("unique") or len(self.indexes) > 4 or not self.logged or self.options["wal"]["sync"] == "none":
            return
        self.forget_readers()
        clones: list[Any] = []
        self.table.create_index("dying", progress=lambda done: clones.append(self.memory.crash_clone("process")), **how)
        if clones:
            self.db.close()
            self.memory = clones[seed % len(clones)]
            self.fs = recovery.fault(self.memory)
            self.open()
        if "dying" in {x["name"] for x in self.table.indexes()}:
            self.table.drop_index("dying")
        self.check_indexes()

    # Questions

    def words_known(self, indexes: dict[str, Row]) -> bool:
        """Text queries need a text index."""
        return any(how.get("kind") == "text" for how in indexes.values())

    def ask(self, asked: Asked, rows: dict[Any, Row], indexes: dict[str, Row], at: Any) -> None:
        """Compare rows, their number, and rows cut to some columns."""
        if asked.words and not self.words_known(indexes):
            return
        expected = sorted(stored_row(r) for r in rows.values() if asked.holds(r))
        found = self.table.find(asked.condition, at=at)
        assert sorted(stored_row(r) for r in found) == expected, f"{asked}: {found}; {self.table.explain(asked.condition, at=at)}"
        assert self.table.count(asked.condition, at=at) == len(expected)
        cut = self.table.find(asked.condition, columns=["x", "n"], at=at)
        wanted = sorted(((r.get("x"), r["n"]) for r in rows.values() if asked.holds(r)), key=repr)
        assert sorted(((r["x"], r["n"]) for r in cut), key=repr) == wanted, f"{asked}: {cut}"

    @has_table
    @rule(asked=CONDITIONS)
    def find(self, asked: Asked) -> None:
        """By whatever indexes there are."""
        self.ask(asked, self.rows, self.indexes, None)

    @precondition(lambda self: self.indexes)
    @rule(asked=st.lists(CONDITIONS, min_size=2, max_size=4))
    def find_more(self, asked: list[Asked]) -> None:
        """Several conditions where there are indexes."""
        for one in asked:
            self.ask(one, self.rows, self.indexes, None)

    @has_table
    @rule(by=st.sampled_from([("x",), ("-x",), ("n", "-x"), ("s", "n")]), limit=st.sampled_from([0, 1, 4, None]), asked=st.none() | LEAVES)
    def find_in_order(self, by: tuple[str, ...], limit: int | None, asked: Asked | None) -> None:
        """NULLs first; a minus sign descends, and then they come last."""
        if asked is not None and asked.words:
            return
        found = self.table.find(None if asked is None else asked.condition, order_by=by, limit=limit)
        rows = [r for r in self.rows.values() if asked is None or asked.holds(r)]
        for column in reversed(by):
            name = column.removeprefix("-")
            rows.sort(key=lambda r, name=name: (0,) if r.get(name) is None else (1, r[name]), reverse=column[0] == "-")  # type: ignore[misc]
        names = [c.removeprefix("-") for c in by]
        assert [[r.get(c) for c in names] for r in found] == [[r.get(c) for c in names] for r in rows[:limit]]

    def has_kind(self, kind: str, column: str) -> bool:
        """Tell whether there is an index of a kind on a column."""
        return any(how.get("kind") == kind and how["columns"] == column for how in self.indexes.values())

    @precondition(lambda self: self.table is not None and self.has_kind("rtree", "at"))
    @rule(point=POINTS, k=st.integers(1, 6))
    def nearest(self, point: list[int], k: int) -> None:
        """The distances of the k nearest."""
        found = self.table.nearest("at", point, k)
        distances = sorted(((r["at"][0] - point[0]) ** 2 + (r["at"][1] - point[1]) ** 2) ** 0.5 for r in self.rows.values() if r.get("at"))
        assert [round(d, 6) for _, d in found] == [round(d, 6) for d in distances[:k]]

    @precondition(lambda self: self.table is not None and self.has_kind("sliced", "x"))
    @rule(k=st.integers(1, 6), largest=st.booleans(), asked=st.none() | LEAVES)
    def top_and_total(self, k: int, largest: bool, asked: Asked | None) -> None:
        """The largest, the smallest, the sum."""
        if asked is not None and asked.words:
            return
        where = None if asked is None else asked.condition
        values = sorted(
            (r["x"] for r in self.rows.values() if r.get("x") is not None and (asked is None or asked.holds(r))), reverse=largest
        )
        assert [v for _, v in self.table.top("x", k, where=where, largest=largest)] == values[:k]
        assert self.table.total("x", where=where) == (sum(values), len(values))

    @precondition(lambda self: self.table is not None and self.has_kind("text", "w"))
    @rule(word=st.sampled_from(["alpha", "beta", "delta"]), k=st.integers(1, 40))
    def best(self, word: str, k: int) -> None:
        """The k best all have the word, and scores do not rise."""
        found = self.table.best("w", word, k)
        having = {stored_key(key) for key, r in self.rows.items() if word in (r.get("w") or "").split()}
        assert len(found) == min(k, len(having)) and {stored_key(r["k"]) for r, _ in found} <= having
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)

    # Moments, the tree, the end

    @has_table
    @rule()
    def hold_moment(self) -> None:
        """Rows and indexes as they are now."""
        if len(self.moments) < 3:
            self.moments.append((self.table.moment(), dict(self.rows), dict(self.indexes)))

    @precondition(lambda self: self.moments)
    @rule(which=st.integers(0, 2), asked=CONDITIONS)
    def find_at_moment(self, which: int, asked: Asked) -> None:
        """As they were."""
        moment, rows, indexes = self.moments[which % len(self.moments)]
        self.ask(asked, rows, indexes, moment)

    @precondition(lambda self: self.moments)
    @rule()
    def close_moment(self) -> None:
        """The oldest."""
        self.moments.pop(0)[0].close()

    @has_table
    @rule()
    def flush_table(self) -> None:
        """Rows and index runs together."""
        self.table.flush()

    @has_table
    @rule()
    def compact_table(self) -> None:
        """Rows and index runs."""
        self.table.compact()

    @has_table
    @rule()
    def scrub(self) -> None:
        """Indexes say what rows say."""
        self.table_agrees()

    def table_agrees(self) -> None:
        """Compare all, both ways."""
        if self.table is not None and TABLE in self.model.state:
            assert self.table.scrub() == []
            self.check_indexes()
            self.iterate_rows()
