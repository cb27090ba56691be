"""Hash index components: key bytes -> row ids, for equality only; smaller and quicker than an ordered one.

>>> from indexes import hashed
>>> view = hashed.open(hashed.build([b"ant", b"bee", b"bee"], [4, 9, 2]))
>>> view.lookup(b"bee")
array([2, 9], dtype=uint64)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .native_bitmap import Rows
from .native_entries import EntryBatch, Keys, NativeHashed, NativeMemory, merged, sorted_entries, written
from .ordered import Hidden, hidden


class HashedView(NativeHashed):
    """A segment, read in place. Any number of threads. Wrong bytes raise ValueError where they are met, at the latest by `verify`."""

    def entries(self, batch: int = 4096) -> Iterator[EntryBatch]:
        """Yield all entries, in the order of the keys' hashes."""
        return self.cursor().batches(batch)


class HashedMemory(NativeMemory):
    """The memory component. One writer with readers excluded, or any number of readers."""

    def __init__(self) -> None:
        super().__init__(hashed=True)

    def lookup(self, key: bytes) -> Rows:
        """Return the row ids of the key, ascending."""
        return self._rows(key, key, False, True)

    def entries(self, batch: int = 4096) -> Iterator[EntryBatch]:
        """Yield all entries, in the order of the keys' hashes."""
        return self.cursor().batches(batch)

    def to_segment(self) -> bytes:
        """Return a segment of what it holds now."""
        return written(self.cursor(), hashed=True)


def build(keys: Keys, rows: Any) -> bytes:
    """Return a segment of the entries keys[i], rows[i], in any order; equal ones count once. Errors as in `ordered.build`."""
    return written(sorted_entries(keys, rows, hashed=True), hashed=True)


def open(data: Any) -> HashedView:
    """Return a view of a segment (bytes, mmap, memoryview). The header and the directory are checked here: ValueError. O(keys / 4)."""
    return HashedView(data)


def merge(views: Sequence[HashedView | HashedMemory], hide: Hidden | None = None) -> bytes:
    """Return one segment of several components. hide[i]: rows (a RowSet or ascending ids) whose entries in views[i] are void. Streams."""
    return written(merged([v.cursor() for v in views], hidden(hide)), hashed=True)
