"""Bit-sliced indexes: ranges, sums, extremes and quantiles of a column of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from indexes import bitsliced
from indexes.rowset import RowSet

from .component import Stack
from .kinds import Entries, IndexType, Row, register_index
from .predicate import Leaf


@register_index
class SlicedIndex(IndexType):
    """A bitmap for every binary digit of a column of numbers: wide ranges, and aggregates of the rows that other conditions leave.

    ``numbers``: "int64" or "float64"; others refuse the row. NULL and NaN are not in it.
    """

    kind = "sliced"

    def __init__(self, columns: tuple[Any, ...], *, numbers: str = "int64") -> None:
        super().__init__(columns)
        if numbers not in bitsliced.KINDS or len(columns) != 1:
            raise ValueError(f"numbers is {numbers!r} of {len(columns)} columns; allowed: one of {', '.join(bitsliced.KINDS)}, one column")
        self.dtype: type[np.generic] = np.int64 if numbers == "int64" else np.float64

    def needs(self) -> tuple[Any, ...]:
        """Its columns."""
        return self.columns

    def payloads(self, row: Row) -> Sequence[float]:
        """Return the number. ValueError for what is none, or does not fit."""
        value = row.get(self.columns[0])
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ()
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise ValueError(f"column {self.columns[0]!r} has {value!r:.40}; a sliced index takes numbers")
        if self.dtype is np.float64 and float(value) == value:
            return (float(value),)
        if self.dtype is np.float64 or value != int(value) or not -(2**63) <= value < 2**63:
            raise ValueError(f"column {self.columns[0]!r} has {value!r:.40}; allowed: 64-bit integers, or with numbers='float64' doubles")
        return (int(value),)

    def build(self, entries: Entries) -> bytes:
        """Slice them."""
        values = np.array([p for _, p in entries], self.dtype)
        return bitsliced.build(values, np.fromiter((r for r, _ in entries), np.uint64, len(entries)))

    def open(self, data: Any) -> bitsliced.BitSlicedView:
        """Open the segment in place."""
        return bitsliced.open(data)

    def search(self, view: bitsliced.BitSlicedView, query: Sequence[tuple[Any, bool, Any, bool]]) -> RowSet:
        """Return the rows of all ranges."""
        return RowSet.union(*[view.range(a, b, after_low=not with_a, with_high=with_b) for a, with_a, b, with_b in query])

    def entries(self, view: bitsliced.BitSlicedView) -> Iterator[tuple[int, float]]:
        """Yield all by row."""
        for batch in view.entries():
            yield from zip(batch.rows.tolist(), batch.values.tolist(), strict=True)

    def merge(self, views: Sequence[Any], hide: Sequence[RowSet | None]) -> bytes:
        """Merge chunk by chunk, in C."""
        return bitsliced.merge(views, hide)

    def match(self, leaf: Leaf) -> Any | None:
        """Ranges and equality of numbers."""
        if leaf.column != self.columns[0]:
            return None
        numbers = [v for v in (leaf.values if leaf.op == "in" else leaf.values[::2] if leaf.op == "range" else ()) if v is not None]
        if not numbers or any(isinstance(v, bool) or not isinstance(v, int | float) for v in numbers):
            return None
        return [(v, True, v, True) for v in numbers] if leaf.op == "in" else [leaf.values]

    def estimate(self, view: bitsliced.BitSlicedView, query: Sequence[tuple[Any, bool, Any, bool]]) -> float:
        """Exact."""
        return float(sum(view.count(a, b, after_low=not with_a, with_high=with_b) for a, with_a, b, with_b in query))

    def cost(self, query: Any, rows: float) -> float:
        """All chunks are passed."""
        return 20.0 + 0.002 * rows

    def total(self, stack: Stack, index: int, among: RowSet | None) -> tuple[float, int]:
        """Return the sum of the values (of rows in ``among``), and how many there are."""
        total, n = 0, 0
        for view, hidden in stack.views(index, self):
            rows = _visible(view, hidden, among)
            total += view.sum(rows)
            n += len(view) if rows is None else RowSet.and_count(view.not_null(), rows)
        return total, n

    def top(self, stack: Stack, index: int, k: int, among: RowSet | None, *, largest: bool = True) -> list[tuple[int, float]]:
        """Return the k rows with the largest (smallest) values, best first; of equal values the smallest row ids."""
        best: list[tuple[float, int]] = []
        for view, hidden in stack.views(index, self):
            found = view.top(k, largest=largest, among=_visible(view, hidden, among))
            best += zip(found.values.tolist(), found.rows.tolist(), strict=True)
        best.sort(key=lambda e: (-e[0] if largest else e[0], e[1]))
        return [(row, value) for value, row in best[:k]]


def _visible(view: bitsliced.BitSlicedView, hidden: RowSet | None, among: RowSet | None) -> RowSet | None:
    if hidden is None or not hidden:
        return among
    return (view.not_null() if among is None else among) - hidden
