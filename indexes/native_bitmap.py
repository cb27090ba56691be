"""The door to the extension for bitmap-index segments: what `indexes.bitmap` stands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._native import ffi, lib
from .native_entries import Cursor, key_of, opened, taken, told
from .native_rowset import NativeRowSet, pointer
from .rowset import RowSet

WHAT = "a bitmap segment"


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
        return self._adopted(lib.idx_bitmap_union(self._view, pointer("uint64_t *", array), len(array), start, stop, error), error)

    def cursor(self) -> Cursor:
        """Return all entries in the order of the values."""
        return Cursor(lib.idx_bitmap_cursor(self._view), self)


def write_bitmap(cursor: Cursor) -> bytes:
    """Return all that the cursor gives, in the order of keys, as a bitmap segment."""
    error = ffi.new("int *")
    return taken(lib.idx_bitmap_write(cursor.handle, error), error, WHAT)


def merge_bitmaps(views: Sequence[NativeBitmap], hide: Sequence[NativeRowSet | None] | None) -> bytes:
    """Return one segment of several without the hidden rows of each."""
    if hide is not None and len(hide) != len(views):
        raise ValueError(f"{len(views)} components and {len(hide)} hide sets; allowed: as many")
    sets = [ffi.NULL if h is None else h._set for h in hide or [None] * len(views)]
    error = ffi.new("int *")
    return taken(lib.idx_bitmap_merge([v._view for v in views], sets, len(views), error), error, WHAT)
