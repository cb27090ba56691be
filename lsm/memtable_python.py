"""A memtable in Python on `sortedcontainers`: the example of a component of one's own, behind the same ops table as the native ones.

Every entry crosses between C and Python, so it takes some 20 microseconds an operation where the default takes one: right for a first
try of an idea, wrong for a measurement of speed. `native_memtables.PythonMemtable` puts it (or your class) behind the ops table::

    ops = PythonMemtable(SortedMemtable, "sorted")
"""

from __future__ import annotations

from typing import Protocol

from sortedcontainers import SortedKeyList

from .memtable_twin import MAX_SEQ, Entry, order


class MemtableObject(Protocol):
    """What the adapter asks of a memtable written in Python. Calls never overlap.

    The entries it returns must be the very objects that were added: C code reads their bytes in place.
    """

    def add(self, entry: Entry) -> None:
        """Insert a version; nothing is overwritten, also not an equal key."""

    def get(self, key: bytes, snapshot: int) -> Entry | None:
        """Return the newest version of key with seq <= snapshot, whatever its kind; None when there is none."""

    def entries(self) -> list[Entry]:
        """Return all entries in the order of `memtable_twin.order`, as a list that later adds leave alone."""


class SortedMemtable:
    """Versions in a `SortedKeyList` (lists of lists, after Hettinger): add and get O(log n) in practice, entries O(n).

    >>> m = SortedMemtable(budget=1 << 20, seed=0)
    >>> m.add(Entry(b"b", 1, 1, b"x")); m.add(Entry(b"a", 2, 1, b"y"))
    >>> [e.key for e in m.entries()], m.get(b"b", 9).value
    ([b'a', b'b'], b'x')
    """

    def __init__(self, budget: int, seed: int) -> None:
        """Take the settings that every memtable gets: bytes after which the engine will seal it, and a seed. Neither is needed here."""
        self._list = SortedKeyList(key=order)

    def add(self, entry: Entry) -> None:
        """Insert a version. O(log n)."""
        self._list.add(entry)

    def get(self, key: bytes, snapshot: int) -> Entry | None:
        """Return the newest version of key with seq <= snapshot. O(log n)."""
        at = self._list.bisect_key_left((key, -min(snapshot, MAX_SEQ), -255))
        if at == len(self._list):
            return None
        found: Entry = self._list[at]
        return found if found.key == key else None

    def entries(self) -> list[Entry]:
        """Return all entries in order. O(n)."""
        return list(self._list)
