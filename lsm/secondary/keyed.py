"""Conditions on a table's own integer key: the row ids themselves, read without an index."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexes.rowset import RowSet

from .predicate import And, Leaf, Predicate

if TYPE_CHECKING:
    from .table import Moment

WIDEST = 100_000  # row ids that are tried at most; the condition is checked on the rows that there are


@dataclass
class Keyed:
    """Row ids that a condition names. Some may have no row, so the rows are always checked."""

    column: str
    rows: RowSet
    exact: bool = False

    @property
    def estimate(self) -> float:
        """How many row ids."""
        return float(len(self.rows))

    @property
    def cost(self) -> float:
        """Microseconds beside those of reading rows."""
        return 1.0

    def run(self, _: Moment, among: RowSet | None = None) -> RowSet:
        """Return the row ids (of `among`)."""
        return self.rows if among is None else self.rows & among

    def lines(self) -> list[str]:
        """Return a line for `explain`."""
        return [f"key {self.column!r}: {len(self.rows)} row ids"]


def keyed(node: Predicate, column: str, most: Callable[[], int]) -> Keyed | None:
    """Return the row ids to which a condition on the key leads, if they are few; most: gives the largest that there is."""
    for leaf in node.parts if isinstance(node, And) else (node,):
        if isinstance(leaf, Leaf) and leaf.column == column and (rows := _rows(leaf, most)) is not None:
            return Keyed(column, rows)
    return None


def _rows(leaf: Leaf, most: Callable[[], int]) -> RowSet | None:
    values: Sequence[object] = leaf.values if leaf.op == "in" else leaf.values[::2] if leaf.op == "range" else ()
    numbers = [v for v in values if v is not None]
    if not numbers or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
        return None
    if leaf.op == "in":
        return RowSet([int(v) for v in numbers if isinstance(v, int | float) and math.isfinite(v) and v == int(v) and 0 <= v < 1 << 63])
    low, _, high, _ = leaf.values
    if any(v is not None and not math.isfinite(v) for v in (low, high)):
        return None
    first = max(0, int(low)) if low is not None else 0
    last = most() if high is None else min(int(high), (1 << 63) - 1)
    return RowSet.range(first, last) if last - first < WIDEST else None
