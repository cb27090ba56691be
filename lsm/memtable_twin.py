"""The memtable as a specification: a sorted list of versions, no tricks. The native memtables must answer like this one."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

DELETE, PUT, MERGE, VALUE_POINTER = 0, 1, 2, 4
MAX_SEQ = 2**56 - 1


class Entry(NamedTuple):
    """One version of a key. kind is DELETE, PUT, MERGE or, in tables, VALUE_POINTER; seq is below 2**56."""

    key: bytes
    seq: int
    kind: int
    value: bytes


def order(entry: Entry) -> tuple[bytes, int, int]:
    """Return what entries are sorted by everywhere: key ascending, then sequence number descending, then kind descending."""
    return entry.key, -entry.seq, -entry.kind


class MemtableTwin:
    """Versions in order. add is O(n), get and the seeks O(log n).

    >>> m = MemtableTwin()
    >>> m.add(Entry(b"a", 1, PUT, b"x")); m.add(Entry(b"a", 5, DELETE, b""))
    >>> m.get(b"a", 4).value, m.get(b"a", 9).kind, m.get(b"b", 9)
    (b'x', 0, None)
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Insert a version; nothing is overwritten."""
        insort(self._entries, entry, key=order)

    def get(self, key: bytes, snapshot: int = MAX_SEQ) -> Entry | None:
        """Return the newest version of key with seq <= snapshot, whatever its kind; None when there is none."""
        found = self.seek(key, snapshot)
        return found if found is not None and found.key == key else None

    def seek(self, key: bytes, seq: int = MAX_SEQ) -> Entry | None:
        """Return the first entry at or after (key, seq): of this key the newest with seq <= seq, else of the next key the newest."""
        at = bisect_left(self._entries, (key, -seq, -255), key=order)
        return self._entries[at] if at < len(self._entries) else None

    def seek_before(self, key: bytes) -> Entry | None:
        """Return the last entry whose key is less than key."""
        at = bisect_left(self._entries, (key, -MAX_SEQ - 1, 0), key=order)
        return self._entries[at - 1] if at else None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __reversed__(self) -> Iterator[Entry]:
        return reversed(self._entries)
