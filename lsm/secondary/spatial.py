"""R-tree indexes: points and boxes in two or three dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import le
from typing import Any

import numpy as np

from indexes import rtree
from indexes.native_rtree import box_array
from indexes.rowset import RowSet

from .changes import Gathered, Ids, Payloads
from .component import Stack
from .kinds import Entries, IndexType, Row, register_index
from .predicate import Leaf

_OPS = {"intersects": "window", "within": "within", "near": "radius"}


FEW = 8  # boxes that are quicker to look at one by one than to make an array of


def _plain_box(box: Any, dims: int) -> tuple[float, ...] | None:
    """Return a box or point of plain numbers in order; None for those that `box_array` must look at."""
    if type(box) not in (tuple, list) or len(box) not in (dims, 2 * dims) or not set(map(type, box)) <= {float, int}:
        return None
    low, high = tuple(map(float, box[:dims])), tuple(map(float, box[-dims:]))
    return low + high if all(map(le, low, high)) else None


@register_index
class RTreeIndex(IndexType):
    """A Hilbert-packed R-tree a segment over a column of points (x, y) or boxes (x0, y0, x1, y1); with dims=3 (x, y, z) or six numbers."""

    kind = "rtree"

    def __init__(self, columns: tuple[Any, ...], *, dims: int = 2) -> None:
        super().__init__(columns)
        if dims not in (2, 3) or len(columns) != 1:
            raise ValueError(f"an R-tree has one column and 2 or 3 dims, not {len(columns)} and {dims!r}")
        self.dims = dims

    def needs(self) -> tuple[Any, ...]:
        """Its columns."""
        return self.columns

    def payloads(self, row: Row) -> Sequence[tuple[float, ...]]:
        """Return the box of the row, unless NULL. ValueError for NaN, inverted boxes, another number of coordinates."""
        value = row.get(self.columns[0])
        if value is None:
            return ()
        array, _ = box_array([value], self.dims)
        return (tuple(array[0].tolist()),)

    def gather(self, rows: Sequence[Row]) -> Gathered:
        """All boxes at once, as one array."""
        values = [row.get(self.columns[0]) for row in rows]
        places = [i for i, v in enumerate(values) if v is not None]
        boxes = [v for v in values if v is not None]
        if len(boxes) <= FEW and None not in (plain := [_plain_box(b, self.dims) for b in boxes]):
            return Gathered(None if len(boxes) == len(rows) else places, plain)
        if len(set(map(len, boxes))) > 1:
            return super().gather(rows)
        array = box_array(boxes, self.dims)[0] if boxes else np.empty((0, 2 * self.dims))
        return Gathered(None if len(boxes) == len(rows) else places, array)

    def build(self, entries: Entries) -> bytes:
        """Pack them."""
        return self.build_many(np.fromiter((r for r, _ in entries), np.uint64, len(entries)), [p for _, p in entries])

    def build_many(self, rows: Ids, payloads: Payloads) -> bytes:
        """Pack them."""
        numbers = payloads if isinstance(payloads, np.ndarray) else np.fromiter(chain.from_iterable(payloads), np.float64)
        boxes = np.asarray(numbers, np.float64).reshape(-1, 2 * self.dims)
        if len(boxes) and bool((boxes[:, : self.dims] == boxes[:, self.dims :]).all()):
            boxes = boxes[:, : self.dims]
        return rtree.build(rows, boxes)

    def open(self, data: Any) -> rtree.RTreeSegment:
        """Open the segment in place; its checksum was verified with the file."""
        return rtree.open_segment(data, verify=False)

    def search(self, view: rtree.RTreeSegment, query: tuple[str, tuple[Any, ...]]) -> RowSet:
        """Return the rows of a window, or within a radius."""
        method, values = query
        return RowSet(getattr(view, method)(*values))

    def entries(self, view: rtree.RTreeSegment) -> Iterator[tuple[int, tuple[float, ...]]]:
        """Yield all."""
        return iter(view)

    def merge(self, views: Sequence[Any], hide: Sequence[RowSet | None]) -> bytes:
        """Pack what is left of all anew."""
        return rtree.merge(views, [None if h is None else h.rows() for h in hide])

    def match(self, leaf: Leaf) -> Any | None:
        """Windows, and distances from a point."""
        if leaf.column != self.columns[0] or leaf.op not in _OPS:
            return None
        wanted = self.dims if leaf.op == "near" else 2 * self.dims
        return (_OPS[leaf.op], tuple(leaf.values)) if len(leaf.values[0]) == wanted else None

    def estimate(self, view: rtree.RTreeSegment, query: tuple[str, tuple[Any, ...]]) -> float:
        """By counting whole nodes; a circle as its box."""
        method, values = query
        box = values[0]
        if method == "radius":
            box = [c - values[1] for c in values[0]] + [c + values[1] for c in values[0]]
        return float(view.count(box))

    def nearest(self, stack: Stack, index: int, centre: Sequence[float], k: int) -> list[tuple[int, float]]:
        """Return the k nearest (row id, distance), nearest first."""
        views = stack.views(index, self)
        if not views:
            return []
        trees = rtree.Stack([view for view, _ in views], [None if hidden is None else hidden.rows() for _, hidden in views])
        rows, distances = trees.nearest(centre, k=k)
        return list(zip(rows.tolist(), distances.tolist(), strict=True))
