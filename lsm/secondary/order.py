"""ORDER BY of rows: several columns, either way, NULLs where one wants them, all rows or the first few.

>>> rows = [{"n": 2, "s": "b"}, {"n": None, "s": "a"}, {"n": 2, "s": "a"}, {"n": 1}]
>>> [(row["n"], row.get("s")) for row in sort_rows(rows, ["-n", "s"])]
[(2, 'a'), (2, 'b'), (1, None), (None, 'a')]
>>> sort_rows(rows, [Order("n", nulls="last")], limit=1)
[{'n': 1}]

The order is that of keys (lsm.keys): NULL < bool < number < bytes < str < uuid < datetime < date < list, NaN above the other numbers;
equal numbers are ties here, 1 and 1.0 alike. A column that a row lacks is NULL.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .values import kind_of, rank

Row = TypeVar("Row", bound=Mapping[str, Any])
_CLASSES = {kind: i for i, kind in enumerate(("null", "bool", "number", "bytes", "str", "uuid", "datetime", "date", "list"))}


@dataclass(frozen=True, slots=True)
class Order:
    """One column of an ORDER BY. nulls: first, last, or None for first when it ascends and last when it descends. ValueError for others."""

    column: str
    descending: bool = False
    nulls: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.column, str):
            raise TypeError(f"rows are ordered by names of columns, not by {type(self.column).__name__}: {self.column!r:.60}")
        if self.nulls not in (None, "first", "last"):
            raise ValueError(f"nulls is {self.nulls!r}; allowed: first, last")

    @property
    def nulls_last(self) -> bool:
        """Whether NULLs come after the values."""
        return self.descending if self.nulls is None else self.nulls == "last"


def order_by(by: str | Order | Iterable[str | Order]) -> tuple[Order, ...]:
    """Return the columns of an ORDER BY: names, "-name" for descending ones, or Orders. ValueError when there are none."""
    given = (by,) if isinstance(by, str | Order) else tuple(by)
    if not given:
        raise ValueError("an order by no columns; allowed: one at least")
    return tuple(
        o if isinstance(o, Order) else Order(o.removeprefix("-"), o.startswith("-")) if isinstance(o, str) else Order(o) for o in given
    )


def value_key(value: Any) -> tuple[Any, ...]:
    """Return what compares as values of all kinds do."""
    kind = kind_of(value)
    if kind == "list":
        return (_CLASSES[kind], *map(value_key, value))
    return (_CLASSES[kind], *rank(value)) if kind == "number" else (_CLASSES[kind], value)


def _column_key(order: Order) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return the key of one column, NULLs as far up as they have to be for a sort that is reversed when it descends."""
    name, null = order.column, (1,) if order.nulls_last != order.descending else (-1,)

    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        value = row.get(name)
        return null if value is None else (0, *value_key(value))

    return key


class _Down:
    """A key that compares the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: tuple[Any, ...]) -> None:
        self.key = key

    def __lt__(self, other: _Down) -> bool:
        return other.key < self.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and other.key == self.key


def row_key(by: str | Order | Iterable[str | Order]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return the key of rows in this order: for heaps, and to merge what is sorted already (heapq.merge)."""
    keys = [(_column_key(order), order.descending) for order in order_by(by)]
    return lambda row: tuple(_Down(key(row)) if down else key(row) for key, down in keys)


def sort_rows(rows: Iterable[Row], by: str | Order | Sequence[str | Order], limit: int | None = None) -> list[Row]:
    """Return the rows in order, all of them or the first limit; rows that are equal stay in the order in which they came.

    O(n log n); with a limit O(n log limit), and only limit rows are held. ValueError: no columns, a negative limit.
    """
    orders = order_by(by)
    if limit is None:
        result = list(rows)
        for order in reversed(orders):  # sorts are stable, also reversed ones
            result.sort(key=_column_key(order), reverse=order.descending)
        return result
    if limit < 0:
        raise ValueError(f"limit is {limit}; allowed: 0 and more")
    if len(orders) == 1:
        first = heapq.nlargest if orders[0].descending else heapq.nsmallest
        return first(limit, rows, key=_column_key(orders[0]))
    return heapq.nsmallest(limit, rows, key=row_key(orders))
