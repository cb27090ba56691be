"""Row sets: compressed sets of 64-bit row ids, the common currency of all indexes.

>>> from indexes.rowset import RowSet
>>> a, b = RowSet([1, 2, 3, 70000]), RowSet.range(2, 100)
>>> (a & b).rows()
array([2, 3], dtype=uint64)
>>> RowSet.from_bytes(a.to_bytes()) == a
True

The bytes are the portable 64-bit Roaring format, so other libraries read them (``pyroaring.BitMap64.deserialize``) and theirs are read
here, in place. Source: D. Lemire et al., "Roaring bitmaps: implementation of an optimized software library", SPE 48(4), 2018.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .native_rowset import AND, ANDNOT, OR, XOR, NativeEdit, NativeRowSet, Rows, and_many_count, as_rows, or_many_count

MOST = (1 << 64) - 1
WIDEST = 1 << 40  # rows in a range: its containers take some 500 MB
_CHUNK = 1 << 16


class RowSet(NativeRowSet):
    """An immutable set of row ids from 0 to 2**64 - 1. Any number of threads may read it; operations run without the GIL.

    A set that was opened over a buffer reads it in place and keeps it alive.
    """

    __slots__ = ()

    def __init__(self, rows: Iterable[int] | npt.NDArray[Any] = ()) -> None:
        """Take the row ids in any order; repeats are fine. O(n) when they ascend, else a radix sort. ValueError: not a row id."""
        self._fill(as_rows(rows))

    @classmethod
    def range(cls, first: int, last: int) -> Self:
        """Return the rows first..last, both included (none when first > last). ValueError outside 0 to 2**64 - 1 or wider than 2**40."""
        if not (0 <= first <= MOST and 0 <= last <= MOST and last - first < WIDEST):
            raise ValueError(f"range {first} to {last}; allowed: row ids from 0 to 2**64 - 1, at most 2**40 of them")
        return cls._range(first, last)

    @classmethod
    def from_bytes(cls, data: Any) -> Self:
        """Return the set that a buffer (bytes, mmap, memoryview) holds, read in place. All of it is checked first: ValueError. O(size)."""
        return cls._open(data)

    def to_bytes(self) -> bytes:
        """Return the set in the portable format: equal sets give equal bytes."""
        return self._stored()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def rows(self, limit: int | None = None, skip: int = 0) -> Rows:
        """Return the row ids ascending: all, or `limit` of them after the first `skip`. ValueError when one is negative."""
        if skip < 0 or (limit is not None and limit < 0):
            raise ValueError(f"limit {limit}, skip {skip}; allowed: 0 and more")
        left = max(0, len(self) - skip)
        return self._rows(min(skip, MOST), left if limit is None else min(limit, left))

    def __iter__(self) -> Iterator[int]:
        for skip in range(0, len(self), _CHUNK):
            yield from self._rows(skip, min(_CHUNK, len(self) - skip)).tolist()

    def __len__(self) -> int:
        return self._count()

    def __bool__(self) -> bool:
        return self._count() > 0

    def __contains__(self, row: int) -> bool:
        return 0 <= row <= MOST and self._has(row)

    def contains_many(self, rows: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell for each row id whether it is in the set; fastest when they ascend."""
        return self._has_many(as_rows(rows))

    def rank(self, row: int) -> int:
        """Return how many rows are <= the given one."""
        return 0 if row < 0 else self._rank(min(row, MOST))

    def rank_many(self, rows: npt.ArrayLike) -> Rows:
        """Return the rank of each."""
        return self._rank_many(as_rows(rows))

    def select(self, i: int) -> int:
        """Return the i-th smallest row, i from 0 (negative: from the end). IndexError when there is none."""
        place = i + len(self) if i < 0 else i
        row = self._select(place) if 0 <= place <= MOST else None
        if row is None:
            raise IndexError(f"row {i} of {len(self)}")
        return row

    def __and__(self, other: RowSet) -> Self:
        return self._combine(AND, other) if isinstance(other, NativeRowSet) else NotImplemented

    def __or__(self, other: RowSet) -> Self:
        return self._combine(OR, other) if isinstance(other, NativeRowSet) else NotImplemented

    def __xor__(self, other: RowSet) -> Self:
        return self._combine(XOR, other) if isinstance(other, NativeRowSet) else NotImplemented

    def __sub__(self, other: RowSet) -> Self:
        return self._combine(ANDNOT, other) if isinstance(other, NativeRowSet) else NotImplemented

    @classmethod
    def intersection(cls, *sets: RowSet) -> Self:
        """Return the rows that are in all of the sets, smallest first. ValueError when no set is given."""
        if not sets:
            raise ValueError("intersection of 0 sets; allowed: 1 and more")
        return cls._and_many(sets)

    @classmethod
    def union(cls, *sets: RowSet) -> Self:
        """Return the rows that are in any of the sets, all of them merged at once."""
        return cls._or_many(sets)

    @staticmethod
    def and_count(*sets: RowSet) -> int:
        """Return the size of the intersection without making it. ValueError when no set is given."""
        if not sets:
            raise ValueError("intersection of 0 sets; allowed: 1 and more")
        return sets[0]._and_count(sets[1]) if len(sets) == 2 else and_many_count(sets)

    @staticmethod
    def or_count(*sets: RowSet) -> int:
        """Return the size of the union without making it."""
        return len(sets[0]) + len(sets[1]) - sets[0]._and_count(sets[1]) if len(sets) == 2 else or_many_count(sets)

    def expanded(self, least: int = 64) -> Self:
        """Return the same set with all containers of `least` rows or more as words: the quickest to combine, at up to 8 KiB for 65,536 ids.

        For sets that are used over and over; what they give and their bytes stay the same. ValueError: least outside 1 to 65,536.
        """
        if not 1 <= least <= _CHUNK:
            raise ValueError(f"least is {least}; allowed: 1 to {_CHUNK}")
        return self._expand(least)

    def __eq__(self, other: object) -> bool:
        return self._same(other) if isinstance(other, NativeRowSet) else NotImplemented

    def __hash__(self) -> int:
        return hash((len(self), self.rows(8).tobytes()))

    def __le__(self, other: RowSet) -> bool:
        return self._within(other) if isinstance(other, NativeRowSet) else NotImplemented

    def __lt__(self, other: RowSet) -> bool:
        return len(self) < len(other) and self <= other

    def isdisjoint(self, other: RowSet) -> bool:
        """Tell whether no row is in both."""
        return self._and_count(other) == 0

    @property
    def memory(self) -> int:
        """Bytes that the set itself holds; a buffer it was opened over is not among them."""
        return self._memory()

    @property
    def forms(self) -> dict[str, int]:
        """How many containers there are of each form."""
        return dict(zip(("list", "bitmap", "run"), self._forms(), strict=True))

    def __repr__(self) -> str:
        first = ", ".join(map(str, self.rows(6).tolist()))
        return f"<RowSet of {len(self)}: {first}{', ...' if len(self) > 6 else ''}>"


class RowSetBuilder(NativeEdit):
    """A row set that changes: add, remove, arrays, ranges. One thread at a time; `freeze` gives a RowSet of what it holds."""

    __slots__ = ()

    def add_range(self, first: int, last: int) -> None:
        """Add the rows first..last. ValueError as in `RowSet.range`."""
        self._merge(OR, RowSet.range(first, last))

    def update(self, rows: RowSet) -> None:
        """Add all rows of a set."""
        self._merge(OR, rows)

    def difference_update(self, rows: RowSet) -> None:
        """Remove all rows of a set."""
        self._merge(ANDNOT, rows)

    def freeze(self) -> RowSet:
        """Return a set of what is in it now. O(containers + bytes)."""
        return RowSet.adopt(self._freeze())
