"""A sample of the rows of a table, at one moment, and how many rows satisfy a condition by it.

Rows are drawn by Li's Algorithm L (ACM TOMS 1994): a reservoir that skips rows. A table that is not larger than the sample is known
exactly, and so is everything that is estimated from it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .leaves import Node, value_of
from .predicate import And, Column, Leaf, Not, Or, leaf_value
from .sketches import ColumnSketch, ColumnStats, installed, stats_of

if TYPE_CHECKING:
    from .table import Table

BATCH = 4096  # rows decoded at once for sketches
TRUSTED = 30  # rows of the sample that are enough to say how many there are

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass
class Sample:
    """``rows`` of a table of ``total``, with their row ids, ascending, and statistics of each column."""

    rows: list[dict[str, Any]]
    ids: np.ndarray[Any, np.dtype[np.uint64]]
    total: int
    columns: dict[str, ColumnStats]
    functions: Mapping[str, Callable[..., Any]]
    row_bytes: float = 0.0
    _masks: dict[Node, Mask] = field(default_factory=dict, repr=False)
    _values: dict[Column, tuple[list[Any], Any]] = field(default_factory=dict, repr=False)

    @property
    def exact(self) -> bool:
        """Whether it is the whole table."""
        return len(self.rows) >= self.total

    @property
    def scale(self) -> float:
        """Rows of the table for a row of the sample."""
        return self.total / len(self.rows) if self.rows else 0.0

    def alone(self) -> Sample:
        """Return the sample as a table of its own."""
        stats = {c: stats_of(c, [row.get(c) for row in self.rows], len(self.rows)) for c in self.columns}
        return replace(self, total=len(self.rows), columns=stats)

    def stats(self, column: Column) -> ColumnStats:
        """Return the statistics of a column, or of an expression."""
        name = column if isinstance(column, str) else repr(column)
        if name not in self.columns:
            self.columns[name] = stats_of(name, self.values(column), self.total)
        return self.columns[name]

    def values(self, column: Column) -> list[Any]:
        """Return the value of a column in each row."""
        return self._held(column)[0]

    def _held(self, column: Column) -> tuple[list[Any], Any]:
        """Return the values, and as an array when all are numbers or NULL."""
        held = self._values.get(column)
        if held is None:
            values = [value_of(column, row, self.functions) for row in self.rows]
            plain = all(type(v) in (int, float) and abs(v) < 2**53 for v in values if v is not None)
            array = np.array([math.nan if v is None else v for v in values], np.float64) if plain else None
            held = self._values[column] = values, array
        return held

    # Conditions

    def mask(self, node: Node) -> Mask:
        """Return which rows satisfy a condition. ValueError for one that cannot be evaluated on rows."""
        known = self._masks.get(node)
        if known is None:
            known = self._masks[node] = self._mask(node)
        return known

    def _mask(self, node: Node) -> Mask:
        if isinstance(node, Leaf):
            return self._leaf(node)
        assert isinstance(node, And | Or)
        parts = [self.mask(p) for p in node.parts]
        start = np.full(len(self.rows), isinstance(node, And))
        both = np.logical_and if isinstance(node, And) else np.logical_or
        return np.asarray(both.reduce([start, *parts]), bool)

    def _leaf(self, leaf: Leaf) -> Mask:
        values, array = self._held(leaf.column)
        numbers = [v for v in leaf.values[::2] if v is not None] if leaf.op == "range" else leaf.values
        plain = all(type(v) in (int, float) and abs(v) < 2**53 for v in numbers)
        if array is not None and leaf.op in ("in", "range") and numbers and plain:
            if leaf.op == "in":
                return np.asarray(np.isin(array, np.array(numbers, np.float64)), bool)
            low, with_low, high, with_high = leaf.values
            keep = np.ones(len(array), bool) if low is None else array >= low if with_low else array > low
            return keep if high is None else keep & (array <= high if with_high else array < high)
        return np.fromiter((leaf_value(leaf, v) is True for v in values), bool, len(values))

    def estimate(self, node: Node | None) -> float:
        """Return about how many rows of the table satisfy a condition.

        Many in the sample speak for themselves. Few: the shares of the single conditions, multiplied as if they were independent, within
        two standard deviations of what the sample has.
        """
        if node is None:
            return float(self.total)
        if not self.rows:
            return 0.0
        hits, n = int(self.mask(node).sum()), len(self.rows)
        if self.exact or hits >= TRUSTED:
            guess = self._by_rank(node) if isinstance(node, Leaf) else None
            return self.total * hits / n if guess is None else self.total * guess
        spread = 2 * math.sqrt(hits)
        low, high = max(0.0, hits - spread) / n, (hits + spread + 3) / n
        return self.total * min(max(self._share(node), low), high, 1.0)

    def _share(self, node: Node) -> float:
        if isinstance(node, And):
            return math.prod(self._share(p) for p in node.parts)
        if isinstance(node, Or):
            return min(1.0, sum(self._share(p) for p in node.parts))
        assert isinstance(node, Leaf) and not isinstance(node, Not)
        if node.op == "in":
            stats = self.stats(node.column)
            return min(1.0, sum(stats.share(v) for v in node.values))
        ranked = self._by_rank(node)
        return (float(self.mask(node).sum()) + 0.5) / (len(self.rows) + 1) if ranked is None else ranked

    def _by_rank(self, leaf: Leaf) -> float | None:
        """Return the share of a range of numbers, when a sketch of all rows knows it better than the sample."""
        if leaf.op != "range" or self.exact or not isinstance(leaf.column, str):
            return None
        stats = self.stats(leaf.column)
        low, with_low, high, with_high = leaf.values
        edges = [v for v in (low, high) if v is not None]
        if stats.ranks is None or stats.lists or not all(type(v) in (int, float) for v in edges):
            return None
        if self._held(leaf.column)[1] is None or stats.ranks.error > 1 / math.sqrt(len(self.rows)):
            return None
        below = 0.0 if low is None else stats.ranks.below(low, included=not with_low)
        upto = 1.0 if high is None else stats.ranks.below(high, included=with_high)
        return max(0.0, upto - below) * (1 - stats.nulls)


def take_sample(table: Table, size: int, seed: int, sketches: bool | None = None) -> Sample:
    """Read all rows at one moment, keep ``size`` of them at random, and gather statistics of the columns.

    ``sketches``: of all rows (True: ImportError without the package ``datasketches``), of the sample (False), or by what is installed
    (None). The columns are those that the rows have, and the key.
    """
    if size < 1:
        raise ValueError(f"sample is {size!r}; allowed: 1 and more")
    by_column: dict[str, ColumnSketch] | None = {} if (installed() if sketches is None else sketches) else None
    if by_column is not None:
        ColumnSketch()
    counted = _Counted()
    with table.db.snapshot() as snapshot:
        pairs: Iterable[tuple[bytes, bytes]] = counted.through(table.space.scan(snapshot=snapshot))
        if by_column is not None:
            pairs = _sketched(table, pairs, by_column)
        kept = sorted(_reservoir(pairs, size, random.Random(seed)))
    ids = np.array([int.from_bytes(k, "big") for k, _ in kept], np.uint64)
    rows = [table.row_of(int(i), v) for i, (_, v) in zip(ids, kept, strict=True)]
    names = [table.key, *(n for n in table.names if n != table.key)]
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        sketch = by_column.get(name) if by_column is not None and counted.rows > len(rows) else None
        columns[name] = stats_of(name, values, counted.rows) if sketch is None else sketch.stats(name, values)
    return Sample(rows, ids, counted.rows, columns, table.functions, counted.size / max(1, counted.rows))


class _Counted:
    rows = size = 0

    def through(self, pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for key, value in pairs:
            self.rows += 1
            self.size += len(key) + len(value)
            yield key, value


def _sketched(table: Table, pairs: Iterable[tuple[bytes, bytes]], into: dict[str, ColumnSketch]) -> Iterator[tuple[bytes, bytes]]:
    batch: list[dict[str, Any]] = []
    done = 0

    def take() -> None:
        for name in {c for row in batch for c in row}:
            sketch = into.setdefault(name, ColumnSketch())
            if sketch.rows < done:  # a column that earlier rows have not
                sketch.nulls += done - sketch.rows
                sketch.rows = done
            sketch.add([row.get(name) for row in batch])

    for key, value in pairs:
        batch.append(table.row_of(int.from_bytes(key, "big"), value))
        if len(batch) == BATCH:
            take()
            done += len(batch)
            batch.clear()
        yield key, value
    take()
    done += len(batch)
    for sketch in into.values():
        sketch.nulls += done - sketch.rows
        sketch.rows = done


def _reservoir(items: Iterable[Any], size: int, draw: random.Random) -> Sequence[Any]:
    """Return size of the items, each set of so many as likely as any other."""
    kept: list[Any] = []
    w, skip = 1.0, 0
    for item in items:
        if len(kept) < size:
            kept.append(item)
            if len(kept) == size:
                w = math.exp(math.log(1 - draw.random()) / size)
                skip = _gap(draw, w)
        elif skip:
            skip -= 1
        else:
            kept[draw.randrange(size)] = item
            w *= math.exp(math.log(1 - draw.random()) / size)
            skip = _gap(draw, w)
    return kept


def _gap(draw: random.Random, w: float) -> int:
    below = math.log1p(-w) if w < 1 else -math.inf
    return int(math.log(1 - draw.random()) / below) if below < 0 else 1 << 62
