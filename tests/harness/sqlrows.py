"""Rows in SQLite beside rows in a table: what a condition written both ways must find."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hypothesis import strategies as st

from lsm.secondary import Predicate, call, col, intersects, near, within

Row = dict[str, Any]
Rows = Mapping[Any, Row]  # by key

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "double": lambda a: None if a is None else a * 2,
    "joined": lambda s, n: None if s is None or n is None else f"{s}{n}",
}
NUMBERS = st.integers(-4, 6) | st.sampled_from([0.5, -1.5, 2.0, -0.0, 2**53, float(2**53), 2**63, float(2**63), float("inf"), 1e300])
WORDS = st.text("abé\0", max_size=3)
BLOBS = st.binary(max_size=2) | st.sampled_from([b"\0\1", b"a\0", b"\xff\xff"])
SMALL = st.integers(0, 4)
POINTS = st.tuples(st.integers(0, 8), st.integers(0, 8)).map(list)
BOXES = POINTS.flatmap(lambda p: st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda d: [*p, p[0] + d[0], p[1] + d[1]]))
TAGS = st.lists(st.sampled_from([1, 2, 3, "x", "y", 2.5, True]), max_size=3)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "a": NUMBERS,
    "n": SMALL,
    "s": WORDS,
    "b": BLOBS,
    "f": st.booleans(),
    "where": POINTS | BOXES,
    "tags": TAGS,
}
ROWS = st.fixed_dictionaries({}, optional={c: st.none() | v for c, v in VALUES.items()})


class Both(NamedTuple):
    """A condition for the table, and for SQLite with its parameters."""

    condition: Predicate
    sql: str
    parameters: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"{self.condition!r} = {self.sql} {self.parameters}"


def _tag(value: Any) -> str:
    """Values of lists as SQLite compares them here: 1 is 1.0 and not True."""
    return repr(value if isinstance(value, bool | str) else float(value))


def open_rows(rows: Rows) -> sqlite3.Connection:
    """Return a database in memory with the tables r and tags. Keys are numbered in the order of ``rows``."""
    sql = sqlite3.connect(":memory:")
    sql.execute("CREATE TABLE r (i INTEGER PRIMARY KEY, a, n, s, b, f, x0, y0, x1, y1, listed)")
    sql.execute("CREATE TABLE tags (i, v, number)")
    for i, row in enumerate(rows.values()):
        box = row.get("where") or [None] * 4
        box = box if len(box) == 4 else [*box, *box]
        tags = row.get("tags")
        plain = [float(v) if isinstance(v := row.get(c), int) and not -(2**63) <= v < 2**63 else v for c in "ansbf"]
        sql.execute("INSERT INTO r VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (i, *plain, *box, tags is not None))
        for v in tags or ():
            number = v if isinstance(v, int | float) and not isinstance(v, bool) else None
            sql.execute("INSERT INTO tags VALUES (?, ?, ?)", (i, _tag(v), number))
    sql.create_function("starts", 2, lambda v, p: None if v is None else v.startswith(p))
    sql.create_function("double", 1, lambda v: None if v is None else float(v) * 2)
    sql.create_function("joined", 2, lambda s, n: None if s is None or n is None else f"{s}{n}")
    return sql


# Conditions

_SIGNS = {"=": "__eq__", "<>": "__ne__", "<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}
_HAS = "CASE WHEN listed THEN EXISTS (SELECT 1 FROM tags t WHERE t.i = r.i AND {}) END"


def _number(v: Any) -> Any:
    return float(v) if isinstance(v, int) and v >= 2**63 else v


@st.composite
def _compared(draw: st.DrawFn) -> Both:
    column, values = draw(st.sampled_from([(c, VALUES[c]) for c in "aansbf"]))
    term, sql = col(column), column
    if column == "a" and draw(st.integers(0, 4)) == 0:
        term, sql = call("double", "a"), "double(a)"
    elif column == "s" and draw(st.integers(0, 4)) == 0:
        term, sql, values = call("joined", "s", "n"), "joined(s, n)", st.builds(lambda s, n: f"{s}{n}", WORDS, SMALL)
    how = draw(st.sampled_from(["sign", "sign", "sign", "between", "in", "in", "null", "starts"]))
    if how == "starts" and column in "sb":
        prefix = draw(values)
        return Both(term.startswith(prefix), f"starts({sql}, ?)", (prefix,))
    if how == "null":
        return draw(st.sampled_from([Both(term.is_null(), f"({sql}) IS NULL"), Both(term.not_null(), f"({sql}) IS NOT NULL")]))
    if how == "in":
        chosen = draw(st.lists(values, max_size=3))
        return Both(term.isin(chosen), f"({sql}) IN ({', '.join('?' * len(chosen))})", tuple(map(_number, chosen)))
    if how == "between":
        low, high = draw(values), draw(values)
        return Both(term.between(low, high), f"({sql}) BETWEEN ? AND ?", (_number(low), _number(high)))
    sign, value = draw(st.sampled_from(sorted(_SIGNS))), draw(values)
    return Both(getattr(term, _SIGNS[sign])(value), f"({sql}) {sign} ?", (_number(value),))


@st.composite
def _tagged(draw: st.DrawFn) -> Both:
    how = draw(st.sampled_from(["in", "in", "null", "range"]))
    if how == "null":
        return draw(st.sampled_from([Both(col("tags").is_null(), "NOT listed"), Both(col("tags").not_null(), "listed")]))
    if how == "range":
        return Both(col("tags").between(1, 2), _HAS_IN_RANGE, (1, 2))  # always this one: of two that must hold, an element satisfies both
    chosen = draw(st.lists(st.sampled_from([1, 2, 3, "x", "y", 2.5, True]), min_size=1, max_size=2))
    return Both(col("tags").isin(chosen), _HAS.format(f"v IN ({', '.join('?' * len(chosen))})"), tuple(map(_tag, chosen)))


# an element of another kind makes a range unknown, unless one is within
_HAS_IN_RANGE = (
    "CASE WHEN NOT listed THEN NULL WHEN EXISTS (SELECT 1 FROM tags t WHERE t.i = r.i AND t.number BETWEEN ? AND ?) THEN 1 "
    "WHEN EXISTS (SELECT 1 FROM tags t WHERE t.i = r.i AND t.number IS NULL) THEN NULL ELSE 0 END"
)


@st.composite
def _spatial(draw: st.DrawFn) -> Both:
    x, y, w, h = draw(st.tuples(*[st.integers(0, 8)] * 4))
    how = draw(st.sampled_from(["intersects", "within", "near"]))
    if how == "near":
        gap = "max(max(x0 - ?, ? - x1), 0)", "max(max(y0 - ?, ? - y1), 0)"
        return Both(near("where", (x, y), w), f"{gap[0]} * {gap[0]} + {gap[1]} * {gap[1]} <= ?", (x, x, x, x, y, y, y, y, w * w))
    box = (x, y, x + w, y + h)
    if how == "within":
        return Both(within("where", box), "x0 >= ? AND y0 >= ? AND x1 <= ? AND y1 <= ?", box)
    return Both(intersects("where", box), "x1 >= ? AND y1 >= ? AND x0 <= ? AND y0 <= ?", box)


def _grown(inner: st.SearchStrategy[Both]) -> st.SearchStrategy[Both]:
    both = st.tuples(inner, inner)
    return (
        inner.map(lambda p: Both(~p.condition, f"NOT ({p.sql})", p.parameters))
        | both.map(lambda p: Both(p[0].condition & p[1].condition, f"({p[0].sql}) AND ({p[1].sql})", p[0].parameters + p[1].parameters))
        | both.map(lambda p: Both(p[0].condition | p[1].condition, f"({p[0].sql}) OR ({p[1].sql})", p[0].parameters + p[1].parameters))
    )


COMPARED = _compared()
LEAVES = COMPARED | COMPARED | COMPARED | _tagged() | _spatial()
CONDITIONS = st.recursive(LEAVES, _grown, max_leaves=5)
SCALAR_CONDITIONS = st.recursive(COMPARED, _grown, max_leaves=6)
