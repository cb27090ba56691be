"""ORDER BY against SQLite, and its first few against all."""

from __future__ import annotations

import heapq
import math
import sqlite3
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsm import keys
from lsm.secondary.order import Order, order_by, row_key, sort_rows, value_key

values = (
    st.none() | st.integers(-2, 2) | st.sampled_from([0.0, -0.0, 1.0, 1.5, 2**63 - 1, float(2**63), -math.inf]) | st.text("abé", max_size=2)
)
rows_of_any = st.lists(st.fixed_dictionaries({}, optional={"a": values, "b": values, "c": values}), max_size=12)
orders = st.lists(st.builds(Order, st.sampled_from("abc"), st.booleans(), st.sampled_from([None, "first", "last"])), min_size=1, max_size=3)


@given(rows_of_any, orders, st.integers(0, 13))
@example([{"a": 1, "b": 2}, {"a": 1.0, "b": 1}], [Order("a"), Order("b")], 1)
@example([{"a": 1}, {"a": 1.0}, {"a": None}, {}], [Order("a", True)], 3)
def test_the_order_is_that_of_sqlite(rows: list[dict[str, Any]], by: list[Order], limit: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE r (a, b, c)")
    connection.executemany("INSERT INTO r VALUES (?, ?, ?)", [[row.get(c) for c in "abc"] for row in rows])
    terms = [f"{o.column} {'DESC' if o.descending else 'ASC'} {f'NULLS {o.nulls.upper()}' if o.nulls else ''}" for o in by]
    expected = [i - 1 for (i,) in connection.execute(f"SELECT rowid FROM r ORDER BY {', '.join([*terms, 'rowid'])}")]
    connection.close()
    numbered = [{**row, "#": i} for i, row in enumerate(rows)]
    assert [row["#"] for row in sort_rows(iter(numbered), by)] == expected
    assert [row["#"] for row in sort_rows(iter(numbered), by, limit)] == expected[:limit]
    halves = [sort_rows(numbered[::2], by), sort_rows(numbered[1::2], by)]
    key = row_key(by)
    assert [key(row) for row in heapq.merge(*halves, key=key)] == [key(numbered[i]) for i in expected]


def reversed_of(values: list[Any]) -> list[Any]:
    return list(reversed(values))


def test_kinds_come_in_the_order_of_keys() -> None:
    moment, day = datetime(2020, 1, 1, tzinfo=UTC), date(1900, 1, 1)
    ordered = [
        None,
        False,
        True,
        -math.inf,
        -1,
        0.5,
        1,
        math.inf,
        math.nan,
        b"",
        b"a",
        "",
        "a",
        UUID(int=1),
        UUID(int=2),
        moment,
        day,
        [],
        [1],
        [1, None],
        ["a"],
    ]
    assert sorted(reversed_of(ordered), key=value_key) == ordered
    encodable = [tuple(v) if isinstance(v, list) else v for v in ordered if v is not day]
    assert sorted(reversed_of(encodable), key=keys.encode) == encodable
    rows = [{"v": v} for v in ordered]
    assert sort_rows(rows[::-1], "v") == rows
    assert sort_rows(rows, "-v") == rows[::-1]
    assert sort_rows(rows, "-v", limit=2) == rows[:-3:-1]


def test_what_is_no_order_is_refused() -> None:
    assert order_by(["a", "-b", Order("c")]) == (Order("a"), Order("b", True), Order("c"))
    with pytest.raises(ValueError, match="no columns"):
        sort_rows([], [])
    with pytest.raises(ValueError, match="limit is -1"):
        sort_rows([], "a", -1)
    with pytest.raises(ValueError, match="nulls is 'middle'; allowed: first, last"):
        Order("a", nulls="middle")
    with pytest.raises(TypeError, match="names of columns, not by int: 5"):
        sort_rows([], [5])  # type: ignore[list-item]
