"""R-trees: which boxes or points meet a window, which are nearest? In two or three dimensions.

`RTree` lives in memory and changes; `RTreeSegment` is immutable, packed along the Hilbert curve, and read where its bytes lie. Both answer
the same queries (see `indexes.native_rtree.Tree`).

>>> from indexes.rtree import RTree
>>> tree = RTree()
>>> tree.insert(7, (0, 0, 2, 1))
>>> tree.insert(8, (5, 5))
>>> tree.window((1, 1, 5, 5)).tolist()
[7, 8]
>>> tree.nearest((4, 4), k=1)
(array([8], dtype=uint64), array([1.41421356]))
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from .native_rtree import (
    CONTAINS,
    INTERSECTS,
    WITHIN,
    Boxes,
    DamagedSegment,
    GrowingTree,
    Numbers,
    PackedTree,
    Rows,
    Tree,
    box_array,
    pack,
    row_ids,
)

__all__ = [
    "CONTAINS",
    "INTERSECTS",
    "WITHIN",
    "Boxes",
    "DamagedSegment",
    "Numbers",
    "RTree",
    "RTreeSegment",
    "Rows",
    "Tree",
    "build",
    "merge",
    "open_segment",
]


def build(rows: Any, boxes: Any) -> bytes:
    """Return the segment of these entries: one row id and one box (or point) each; a row may stand several times.

    Boxes are (n, 4) or (n, 6) numbers, points (n, 2) or (n, 3). A segment whose boxes are all points stores them as such. O(n) time.
    ValueError for NaN, an inverted box (infinities are allowed), a row that is no unsigned 64-bit number, shapes that do not fit.
    Kamel & Faloutsos, "On Packing R-trees", CIKM 1993.
    """
    array, points = box_array(boxes)
    return pack(row_ids(rows, len(array)), array, points)


def open_segment(data: Any, *, verify: bool = True) -> RTreeSegment:
    """Open a segment over any buffer without copying it. DamagedSegment (a ValueError) when the bytes are not as `build` wrote them.

    Without `verify` the checksum is not computed, and open is O(1): for bytes that are under a checksum already.
    """
    return RTreeSegment(data, verify=verify)


def merge(views: Sequence[Tree], hide: Sequence[Rows | None] | None = None) -> bytes:
    """Return one segment of the entries of all views but those whose row is in the sorted array hide[i]. O(n), packed anew.

    ValueError when there is no view, when their dimensions differ, or when hide has another length.
    """
    if not views or len({view.dims for view in views}) > 1:
        raise ValueError(f"views have dimensions {[view.dims for view in views]}; allowed: one or more views of equal dimensions")
    if hide is not None and len(hide) != len(views):
        raise ValueError(f"hide has {len(hide)} arrays for {len(views)} views; allowed: one (or None) for each")
    parts = []
    for i, view in enumerate(views):
        rows, boxes = view.entries()
        if hide is not None and (hidden := hide[i]) is not None and len(hidden):
            kept = ~np.isin(rows, hidden)
            rows, boxes = rows[kept], boxes[kept]
        parts.append((rows, boxes))
    return build(np.concatenate([rows for rows, _ in parts]), np.concatenate([boxes for _, boxes in parts]))


class RTreeSegment(PackedTree):
    """An immutable packed tree; see `open_segment`. It holds on to its buffer."""

    def __init__(self, data: Any, *, verify: bool = True) -> None:
        super().__init__(data, verify)


class RTree(GrowingTree):
    """An R-tree in memory. Threads may share it: readers side by side, writers one at a time."""

    def __init__(self, dims: int = 2) -> None:
        super().__init__(dims)

    @classmethod
    def bulk(cls, rows: Any, boxes: Any) -> Self:
        """Return a tree of these entries, packed: many times faster than one insert each."""
        array, _ = box_array(boxes)
        tree = cls(array.shape[1] // 2)
        tree.insert_many(rows, array)
        return tree

    def freeze(self) -> bytes:
        """Return the tree's entries as a segment."""
        return build(*self.entries())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tree as a segment: the file is replaced in one step, and is on disk when this returns."""
        target = Path(path)
        fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
        with fresh.open("wb") as stream:
            stream.write(self.freeze())
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the tree that `save` wrote. DamagedSegment when the file is not as it was written."""
        return cls.bulk(*RTreeSegment(Path(path).read_bytes()).entries())
