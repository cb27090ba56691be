"""R-tree indexes: points and boxes in two or three dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from indexes import rtree
from indexes.native_rtree import box_array
from indexes.rowset import RowSet

from .component import Stack
from .kinds import Entries, IndexType, Row, register_index
from .predicate import Leaf

_OPS = {"intersects": "window", "within": "within", "near": "radius"}


@register_index
class RTreeIndex(IndexType):
    """A Hilbert-packed R-tree a segment over a column of points (x, y) or boxes (x0, y0, x1, y1); with dims=3 (x, y, z) or six numbers."""

    kind = "rtree"

    def __init__(self, columns: tuple[Any, ...], *, dims: int = 2) -> None:
        super().__init__(columns)
        if dims not in (2, 3) or len(columns) != 1:
            raise ValueError(f"an R-tree has one column and 2 or 3 dims, not {len(columns)} and {dims!r}")
        self.dims = dims

    def payloads(self, row: Row) -> Sequence[tuple[float, ...]]:
        """Return the box of the row, unless NULL. ValueError for NaN, inverted boxes, another number of coordinates."""
        value = row.get(self.columns[0])
        if value is None:
            return ()
        array, _ = box_array([value], self.dims)
        return (tuple(array[0].tolist()),)

    def build(self, entries: Entries) -> bytes:
        """Pack them."""
        boxes = np.array([p for _, p in entries], np.float64).reshape(-1, 2 * self.dims)
        if len(boxes) and bool((boxes[:, : self.dims] == boxes[:, self.dims :]).all()):
            boxes = boxes[:, : self.dims]
        return rtree.build(np.fromiter((r for r, _ in entries), np.uint64, len(entries)), boxes)

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
