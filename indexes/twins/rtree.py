"""The packed R-tree and its queries, readable.

Kamel & Faloutsos, "On Packing R-trees", CIKM 1993: sort the boxes along a Hilbert curve through their centres, fill leaves of 16, then fill
each level above from the one below. The curve: Skilling, "Programming the Hilbert curve", AIP Conf. Proc. 707, 2004. Nearest: Hjaltason &
Samet, "Distance browsing in spatial databases", TODS 24(2), 1999.
"""

from __future__ import annotations

import heapq
import math
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import xxhash

Box: TypeAlias = tuple[float, ...]  # least corner, greatest corner
Entry: TypeAlias = tuple[int, Box]

_FAN = 16
_HEADER = struct.Struct("<4sBBBBQQQ32x")  # magic, version, dims, flags, width, entries, base, size
_POINTS, _REPEATS = 1, 2


def hilbert(cells: Sequence[int], bits: int) -> int:
    """Return the distance along the Hilbert curve of a cell of a grid of 2**bits cells an axis."""
    x = list(cells)
    for q in range(bits - 1, 0, -1):  # undo the turns of each cube within its parent
        below = (1 << q) - 1
        for a in range(len(x)):
            if x[a] >> q & 1:
                x[0] ^= below
            else:
                swap = (x[0] ^ x[a]) & below
                x[0] ^= swap
                x[a] ^= swap
    for a in range(1, len(x)):  # Gray code to binary
        x[a] ^= x[a - 1]
    turn = 0
    for q in range(bits - 1, 0, -1):
        if x[-1] >> q & 1:
            turn ^= (1 << q) - 1
    distance = 0
    for q in range(bits - 1, -1, -1):
        for v in x:
            distance = distance << 1 | (v ^ turn) >> q & 1
    return distance


def curve_order(boxes: Sequence[Box], dims: int) -> list[int]:
    """Return the places of the boxes in the order of packing."""
    most = sys.float_info.max
    clamped = [[max(-most, min(most, v)) for v in box] for box in boxes]
    centres = [[0.25 * b[a] + 0.25 * b[dims + a] for a in range(dims)] for b in clamped]  # halves: no overflow
    return _arrange(list(range(len(boxes))), centres, dims, {2: 22, 3: 14}[dims])


def _arrange(places: list[int], centres: list[list[float]], dims: int, bits: int) -> list[int]:
    if len(places) <= _FAN:
        return places
    least = [min(centres[p][a] for p in places) for a in range(dims)]
    extent = [max(centres[p][a] for p in places) - least[a] for a in range(dims)]
    if not any(extent):
        return places
    keys = {
        p: hilbert([int((centres[p][a] - least[a]) / extent[a] * ((1 << bits) - 1)) if extent[a] else 0 for a in range(dims)], bits)
        for p in places
    }
    cells: dict[int, list[int]] = {}
    for p in places:
        cells.setdefault(keys[p], []).append(p)
    return [p for key in sorted(cells) for p in _arrange(cells[key], centres, dims, bits)]  # crowded cells get a grid of their own


def _union(boxes: Sequence[Box], dims: int) -> Box:
    return tuple(min(b[a] for b in boxes) for a in range(dims)) + tuple(max(b[dims + a] for b in boxes) for a in range(dims))


def _inside(least: Sequence[float], most: Sequence[float]) -> bool:
    """Tell whether no number is above its counterpart."""
    return all(a <= b for a, b in zip(least, most, strict=True))


def _gap(box: Box, other: Box, dims: int) -> float:
    """Return the square of the distance between two boxes."""
    total = 0.0
    for a in range(dims):
        gap = max(box[a] - other[dims + a], other[a] - box[dims + a], 0.0)
        total += gap * gap
    return total


def _node(boxes: Sequence[Box], columns: int) -> bytes:
    padded = [*boxes, *[(math.nan,) * columns] * (_FAN - len(boxes))]
    return struct.pack(f"<{columns * _FAN}d", *(box[c] for c in range(columns) for box in padded))


def _groups(n: int) -> Iterator[slice]:
    return (slice(i, i + _FAN) for i in range(0, n, _FAN))


class RTreeTwin:
    """A packed tree: levels[0] are the entries' boxes in order, levels[i + 1] the boxes around each 16 of levels[i]."""

    def __init__(self, entries: Sequence[Entry], dims: int) -> None:
        order = curve_order([box for _, box in entries], dims)
        self.dims = dims
        self.rows = [entries[i][0] for i in order]
        self.levels: list[list[Box]] = [[entries[i][1] for i in order]] if entries else []
        while self.levels and len(self.levels[-1]) > _FAN:
            below = self.levels[-1]
            self.levels.append([_union(below[group], dims) for group in _groups(len(below))])

    def to_bytes(self) -> bytes:
        """Return the segment, byte for byte what `indexes.rtree.build` makes."""
        n, dims = len(self.rows), self.dims
        points = all(box[a] == box[dims + a] for box in (self.levels[0] if n else []) for a in range(dims))
        base = min(self.rows, default=0)
        width = 4 if max(self.rows, default=0) - base < 1 << 32 else 8
        base = base if width == 4 else 0
        body = b"".join(
            _node(level[group], dims if points and level is self.levels[0] else 2 * dims)
            for level in self.levels
            for group in _groups(len(level))
        )
        body += struct.pack(f"<{n}{'I' if width == 4 else 'Q'}", *(row - base for row in self.rows))
        body += bytes(-len(body) % 8)
        flags = _POINTS * points | _REPEATS * (len(set(self.rows)) < n)
        data = _HEADER.pack(b"IDXR", 1, dims, flags, width, n, base, _HEADER.size + len(body) + 8) + body
        return data + struct.pack("<Q", xxhash.xxh3_64_intdigest(data))

    def _children(self, level: int, i: int) -> range:
        """Return the places in the level below of what stands under entry i."""
        return range(i * _FAN, min((i + 1) * _FAN, len(self.levels[level - 1])))

    def _search(self, descend: Callable[[Box], bool], answer: Callable[[Box], bool]) -> list[int]:
        found: set[int] = set()

        def visit(level: int, places: range) -> None:
            for i in places:
                box = self.levels[level][i]
                if level == 0:
                    found.update([self.rows[i]] if answer(box) else [])
                elif descend(box):
                    visit(level - 1, self._children(level, i))

        if self.levels:
            visit(len(self.levels) - 1, range(len(self.levels[-1])))
        return sorted(found)

    def window(self, box: Box) -> list[int]:
        """Return the rows whose boxes meet this one."""
        meets = lambda b: _inside(b[: self.dims], box[self.dims :]) and _inside(box[: self.dims], b[self.dims :])  # noqa: E731
        return self._search(meets, meets)

    def within(self, box: Box) -> list[int]:
        """Return the rows whose boxes lie in this one."""
        d = self.dims
        meets = lambda b: _inside(b[:d], box[d:]) and _inside(box[:d], b[d:])  # noqa: E731
        return self._search(meets, lambda b: _inside(box[:d], b[:d]) and _inside(b[d:], box[d:]))

    def containing(self, box: Box) -> list[int]:
        """Return the rows whose boxes have this one in them."""
        around = lambda b: _inside(b[: self.dims], box[: self.dims]) and _inside(box[self.dims :], b[self.dims :])  # noqa: E731
        return self._search(around, around)

    def radius(self, box: Box, radius: float) -> list[int]:
        """Return the rows at most `radius` away."""
        near = lambda b: _gap(b, box, self.dims) <= radius * radius  # noqa: E731
        return self._search(near, near)

    def nearest(self, box: Box, k: int, max_distance: float = math.inf) -> list[tuple[int, float]]:
        """Return the k nearest rows and their distances, by (distance, row): at equal distance nodes leave the heap before rows."""
        heap: list[tuple[float, int, int]] = []  # square of the distance, level (or: rows after all nodes), place or row
        after = len(self.levels)

        def push(level: int, places: range) -> None:
            for i in places:
                gap = _gap(self.levels[level][i], box, self.dims)
                heapq.heappush(heap, (gap, level, i) if level else (gap, after, self.rows[i]))

        if self.levels:
            push(after - 1, range(len(self.levels[-1])))
        out: dict[int, float] = {}
        while heap and len(out) < k and heap[0][0] <= max_distance * max_distance:
            gap, level, at = heapq.heappop(heap)
            if level == after:
                out.setdefault(at, math.sqrt(gap))
            else:
                push(level - 1, self._children(level, at))
        return list(out.items())
