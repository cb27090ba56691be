"""Ordered index components: sorted (key bytes, row id) entries; points, ranges, scans, merges.

Keys are bytes that compare as the values do (an order-preserving encoding). A segment is one immutable byte string; a view reads it in
place. The memory component takes changes and answers the same questions.

>>> from indexes import ordered
>>> view = ordered.open(ordered.build([b"ant", b"bee", b"bee", b"cat"], [4, 9, 2, 7]))
>>> view.lookup(b"bee")
array([2, 9], dtype=uint64)
>>> view.range(b"b", None).rows()
array([2, 7, 9], dtype=uint64)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .native_entries import Cursor, EntryBatch, Keys, NativeMemory, NativeOrdered, merged, sorted_entries, written
from .native_rowset import Rows
from .rowset import RowSet

Hidden = Sequence[RowSet | Rows | None]


class OrderedView(NativeOrdered):
    """A segment, read in place. Any number of threads. Wrong bytes raise ValueError where they are met, at the latest by `verify`."""

    def _places(self, low: bytes | None, high: bytes | None, after_low: bool, with_high: bool) -> tuple[int, int]:
        start = 0 if low is None else self.place(low, after_low)
        stop = len(self) if high is None else self.place(high, with_high)
        return start, max(start, stop)

    def count(self, low: bytes | None, high: bytes | None, *, after_low: bool = False, with_high: bool = False) -> int:
        """Return how many entries have a key in low <= key < high (None: no bound; after_low: low < key; with_high: key <= high).

        O(log n).
        """
        start, stop = self._places(low, high, after_low, with_high)
        return stop - start

    def range(self, low: bytes | None, high: bytes | None, *, after_low: bool = False, with_high: bool = False) -> RowSet:
        """Return the row ids of the keys between as a set."""
        return RowSet(self.range_rows(low, high, after_low=after_low, with_high=with_high))

    def scan(
        self,
        low: bytes | None = None,
        high: bytes | None = None,
        *,
        after_low: bool = False,
        with_high: bool = False,
        backward: bool = False,
        batch: int = 4096,
    ) -> Iterator[EntryBatch]:
        """Yield the entries between in order, in arrays of at most `batch`."""
        return self.cursor(*self._places(low, high, after_low, with_high), backward).batches(batch)

    def entries(self, batch: int = 4096) -> Iterator[EntryBatch]:
        """Yield all entries in order."""
        return self.scan(batch=batch)


class OrderedMemory(NativeMemory):
    """The memory component. One writer with readers excluded, or any number of readers."""

    def __init__(self) -> None:
        super().__init__(hashed=False)

    def lookup(self, key: bytes) -> Rows:
        """Return the row ids of the key, ascending."""
        return self._rows(key, key, False, True)

    def range_rows(self, low: bytes | None, high: bytes | None, *, after_low: bool = False, with_high: bool = False) -> Rows:
        """Return the row ids in the order of their keys."""
        return self._rows(low, high, after_low, with_high)

    def range(self, low: bytes | None, high: bytes | None, *, after_low: bool = False, with_high: bool = False) -> RowSet:
        """Return the row ids of the keys between as a set."""
        return RowSet(self._rows(low, high, after_low, with_high))

    def scan(
        self,
        low: bytes | None = None,
        high: bytes | None = None,
        *,
        after_low: bool = False,
        with_high: bool = False,
        backward: bool = False,
        batch: int = 4096,
    ) -> Iterator[EntryBatch]:
        """Yield the entries between in order; no change to the component until the last."""
        return self.cursor(low, high, after_low, with_high, backward).batches(batch)

    def entries(self, batch: int = 4096) -> Iterator[EntryBatch]:
        """Yield all entries in order."""
        return self.scan(batch=batch)

    def to_segment(self) -> bytes:
        """Return a segment of what it holds now."""
        return written(self.cursor(), hashed=False)


def build(keys: Keys, rows: Any) -> bytes:
    """Return a segment of the entries keys[i], rows[i], in any order; equal ones count once.

    ValueError: not as many keys as rows, or a key of more than 65,535 bytes. O(n) passes of a radix sort; the segment and 32 bytes an
    entry.
    """
    return written(sorted_entries(keys, rows, hashed=False), hashed=False)


def open(data: Any) -> OrderedView:
    """Return a view of a segment (bytes, mmap, memoryview). The header and the block index are checked here: ValueError. O(blocks)."""
    return OrderedView(data)


def hidden(hide: Hidden | None) -> list[RowSet | None] | None:
    """Return the hide sets as row sets."""
    return None if hide is None else [RowSet(h) if h is not None and not isinstance(h, RowSet) else h for h in hide]


def merge_cursors(parts: Sequence[OrderedView | OrderedMemory], hide: Hidden | None = None) -> Cursor:
    """Return the entries of several components in one order, without those of part i whose rows are in hide[i]."""
    cursors = [p.cursor(0, len(p)) if isinstance(p, OrderedView) else p.cursor() for p in parts]
    return merged(cursors, hidden(hide))


def merge(views: Sequence[OrderedView | OrderedMemory], hide: Hidden | None = None) -> bytes:
    """Return one segment of several components. hide[i]: rows (a RowSet or ascending ids) whose entries in views[i] are void. Streams."""
    return written(merge_cursors(views, hide), hashed=False)
