"""Bitmap index components: every distinct value with the set of its rows.

Values are bytes that compare as the values do. Right for columns of few to some ten thousand different values: equality and IN are set
unions, conditions on several columns are set intersections. Ranges over many values are quicker in a bit-sliced component
(`indexes.bitsliced`). Source: P. O'Neil, D. Quass, "Improved query performance with variant indexes", SIGMOD 1997, section 2.1.

>>> from indexes import bitmap
>>> view = bitmap.open(bitmap.build([b"blue", b"red", b"blue"], [1, 2, 3]))
>>> view.equal(b"blue").rows()
array([1, 3], dtype=uint64)
>>> len(view.not_null())
3
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .native_bitmap import NativeBitmap, merge_bitmaps, write_bitmap
from .native_entries import EntryBatch, Keys, NativeMemory, sorted_entries
from .ordered import Hidden, hidden
from .rowset import RowSet


class BitmapView(NativeBitmap):
    """A segment, read in place. Any number of threads. Wrong bytes raise ValueError where they are met, at the latest by `verify`."""

    def equal(self, value: bytes) -> RowSet:
        """Return the rows with this value; large sets are read in place. O(log values + containers)."""
        place = self._find(value)
        return RowSet() if place < 0 else self._set(place)

    def count(self, value: bytes) -> int:
        """Return how many rows have this value. O(log values)."""
        place = self._find(value)
        return 0 if place < 0 else self._count(place)

    def isin(self, values: Iterable[bytes]) -> RowSet:
        """Return the rows with any of the values, all sets merged at once."""
        places = {place for place in map(self._find, values) if place >= 0}
        return self._union(sorted(places), 0, 0)

    def range(self, low: bytes | None, high: bytes | None, *, after_low: bool = False, with_high: bool = False) -> RowSet:
        """Return the rows with a value in low <= value < high (None: no bound; after_low: low < value; with_high: value <= high)."""
        start = 0 if low is None else self._place(low, after_low)
        stop = self.values if high is None else self._place(high, with_high)
        return self._union((), start, max(start, stop))

    def not_null(self) -> RowSet:
        """Return the rows that have a value."""
        return self._set(self.values)

    def histogram(self) -> Iterator[tuple[bytes, int]]:
        """Yield every value with the number of its rows, in order."""
        return ((self._key(i), self._count(i)) for i in range(self.values))

    def entries(self, batch: int = 4096) -> Iterator[EntryBatch]:
        """Yield all (value, row) entries in order."""
        return self.cursor().batches(batch)


class BitmapMemory(NativeMemory):
    """The memory component. One writer with readers excluded, or any number of readers."""

    def __init__(self) -> None:
        super().__init__(hashed=False)

    def equal(self, value: bytes) -> RowSet:
        """Return the rows with this value."""
        return RowSet(self._rows(value, value, False, True))

    def count(self, value: bytes) -> int:
        """Return how many rows have this value."""
        return len(self._rows(value, value, False, True))

    def isin(self, values: Iterable[bytes]) -> RowSet:
        """Return the rows with any of the values."""
        return RowSet.union(*map(self.equal, set(values)))

    def range(self, low: bytes | None, high: bytes | None, *, after_low: bool = False, with_high: bool = False) -> RowSet:
        """Return the rows with a value between, as in `BitmapView.range`."""
        return RowSet(self._rows(low, high, after_low, with_high))

    def not_null(self) -> RowSet:
        """Return the rows that have a value."""
        return self.range(None, None)

    def entries(self, batch: int = 4096) -> Iterator[EntryBatch]:
        """Yield all (value, row) entries in order."""
        return self.cursor().batches(batch)

    def to_segment(self) -> bytes:
        """Return a segment of what it holds now."""
        return write_bitmap(self.cursor())


def build(values: Keys, rows: Any) -> bytes:
    """Return a segment of the entries values[i], rows[i], in any order; a row may have several values. Errors as in `ordered.build`."""
    return write_bitmap(sorted_entries(values, rows, hashed=False))


def open(data: Any) -> BitmapView:
    """Return a view of a segment (bytes, mmap, memoryview). The header and the tables are checked here: ValueError. O(values)."""
    return BitmapView(data)


def merge(views: Sequence[BitmapView], hide: Hidden | None = None) -> bytes:
    """Return one segment of several: set by set. hide[i]: rows (a RowSet or row ids) whose entries in views[i] are void."""
    return merge_bitmaps(views, hidden(hide))
