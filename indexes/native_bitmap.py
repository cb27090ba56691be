"""The door to the extension for bitmap and bit-sliced segments: what `indexes.bitmap` and `indexes.bitsliced` stand on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import ffi, lib
from .native_entries import Cursor, hide_sets, key_of, opened, taken, told
from .native_rowset import NativeRowSet, Rows, u8s, u64s
from .rowset import RowSet

WHAT = "a bitmap segment"
SLICES = "a bit-sliced segment"
_ROOM = 1 << 17


class NativeBitmap:
    """A view of a bitmap segment: immutable, any number of threads."""

    def __init__(self, data: Any) -> None:
        self._view, self._buffer = opened(lib.idx_bitmap_open, lib.idx_bitmap_free, data, "bitmap segment")
        self.size = len(self._buffer)
        self.values = int(lib.idx_bitmap_values(self._view))

    def __len__(self) -> int:
        return int(lib.idx_bitmap_count(self._view))

    def verify(self) -> None:
        """Check every byte: the checksum, the order of the values, every set. ValueError when something is wrong. O(size)."""
        told(lib.idx_bitmap_verify(self._view), WHAT)

    def _place(self, key: bytes, after: bool = False) -> int:
        return int(lib.idx_bitmap_place(self._view, key_of(key), len(key), after))

    def _find(self, key: bytes) -> int:
        return int(lib.idx_bitmap_find(self._view, key_of(key), len(key)))

    def _count(self, place: int) -> int:
        return int(lib.idx_bitmap_rows_of(self._view, place))

    def _key(self, place: int) -> bytes:
        size = ffi.new("size_t *")
        data = lib.idx_bitmap_key(self._view, place, size)
        return bytes(ffi.buffer(data, size[0]))

    def _adopted(self, handle: Any, error: Any) -> RowSet:
        if handle == ffi.NULL:
            told(error[0], WHAT)
        return RowSet.adopt(handle, self)

    def _set(self, place: int) -> RowSet:
        error = ffi.new("int *")
        return self._adopted(lib.idx_bitmap_set(self._view, place, error), error)

    def _union(self, places: Sequence[int], start: int, stop: int) -> RowSet:
        error, array = ffi.new("int *"), np.array(places, np.uint64)
        return self._adopted(lib.idx_bitmap_union(self._view, u64s(array), len(array), start, stop, error), error)

    def cursor(self) -> Cursor:
        """Return all entries in the order of the values."""
        return Cursor(lib.idx_bitmap_cursor(self._view), self)


def write_bitmap(cursor: Cursor) -> bytes:
    """Return all that the cursor gives, in the order of keys, as a bitmap segment."""
    error = ffi.new("int *")
    return taken(lib.idx_bitmap_write(cursor.handle, error), error, WHAT)


def merge_bitmaps(views: Sequence[NativeBitmap], hide: Sequence[NativeRowSet | None] | None) -> bytes:
    """Return one segment of several without the hidden rows of each."""
    error = ffi.new("int *")
    return taken(lib.idx_bitmap_merge([v._view for v in views], hide_sets(hide, len(views)), len(views), error), error, WHAT)


class NativeSlices:
    """A view of a bit-sliced segment: immutable, any number of threads. Values are unsigned 64-bit numbers of the values' order."""

    def __init__(self, data: Any) -> None:
        self._view, self._buffer = opened(lib.idx_slices_open, lib.idx_slices_free, data, "bit-sliced segment")
        self.size = len(self._buffer)
        self._kind = int(lib.idx_slices_kind(self._view))

    def __len__(self) -> int:
        return int(lib.idx_slices_count(self._view))

    def verify(self) -> None:
        """Check every byte: the checksum, and every value against its chunk's bounds. ValueError when something is wrong. O(size)."""
        told(lib.idx_slices_verify(self._view), SLICES)

    def _range(self, low: int, high: int) -> RowSet:
        return RowSet.adopt(lib.idx_slices_range(self._view, low, high))

    def not_null(self) -> RowSet:
        """Return the rows that have a value."""
        return RowSet.adopt(lib.idx_slices_all(self._view))

    def _range_count(self, low: int, high: int, among: RowSet | None) -> int:
        count = ffi.new("uint64_t *")
        told(lib.idx_slices_range_count(self._view, low, high, ffi.NULL if among is None else among._set, count), SLICES)
        return int(count[0])

    def _sum(self, among: RowSet | None) -> tuple[int, int]:
        out = ffi.new("uint64_t[3]")
        told(lib.idx_slices_sum(self._view, ffi.NULL if among is None else among._set, out, out + 1, out + 2), SLICES)
        return out[0], out[1] << 64 | out[2]

    def _top(self, k: int, largest: bool, among: RowSet | None) -> tuple[Rows, Rows]:
        rows, values = np.empty(k, np.uint64), np.empty(k, np.uint64)
        filtered = ffi.NULL if among is None else among._set
        n = lib.idx_slices_top(self._view, filtered, k, largest, u64s(rows), u64s(values))
        told(min(n, 0), SLICES)
        return rows[:n], values[:n]

    def _values(self, rows: Rows) -> tuple[Rows, npt.NDArray[np.bool_]]:
        values, found = np.empty(len(rows), np.uint64), np.empty(len(rows), np.bool_)
        told(
            lib.idx_slices_values(self._view, u64s(rows), len(rows), u64s(values), u8s(found)),
            SLICES,
        )
        return values, found

    def _decode(self, among: RowSet | None) -> Iterator[tuple[Rows, Rows]]:
        chunk, filtered = ffi.new("uint64_t *"), ffi.NULL if among is None else among._set
        while True:
            rows, values = np.empty(_ROOM, np.uint64), np.empty(_ROOM, np.uint64)
            n = lib.idx_slices_decode(self._view, filtered, chunk, u64s(rows), u64s(values), _ROOM)
            told(min(n, 0), SLICES)
            if n == 0:
                return
            yield rows[:n], values[:n]


def write_slices(rows: Rows, values: Rows, kind: int) -> bytes:
    """Return a bit-sliced segment of values[i] of rows[i]. ValueError: a row comes twice."""
    error, which = ffi.new("int *"), ffi.new("uint64_t *")
    buffer = lib.idx_slices_write(u64s(rows), u64s(values), len(rows), kind, error, which)
    if error[0] == lib.IDX_TWICE:
        raise ValueError(f"row {which[0]} has two values; allowed: one")
    return taken(buffer, error, SLICES)


def merge_slices(views: Sequence[NativeSlices], hide: Sequence[NativeRowSet | None] | None, kind: int) -> bytes:
    """Return one segment of several without the hidden rows of each."""
    error = ffi.new("int *")
    return taken(lib.idx_slices_merge([v._view for v in views], hide_sets(hide, len(views)), len(views), kind, error), error, SLICES)
