"""The door to the extension for row sets: what `indexes.rowset` stands on.

Every class holds one native object and frees it; a call gives up the GIL for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from ._native import ffi, lib

Rows: TypeAlias = npt.NDArray[np.uint64]
AND, OR, XOR, ANDNOT = lib.IDX_AND, lib.IDX_OR, lib.IDX_XOR, lib.IDX_ANDNOT


def as_rows(rows: Any) -> Rows:
    """Return the row ids (an array, or any iterable of numbers) as a contiguous uint64 array.

    ValueError: negative, fractional or too large.
    """
    if not isinstance(rows, np.ndarray):
        return _whole(list(rows))
    if rows.dtype == np.uint64 and rows.flags.c_contiguous and rows.ndim == 1:
        return rows
    if rows.size == 0:
        return np.empty(0, np.uint64)
    if rows.dtype.kind not in "iub" or rows.ndim != 1:
        raise ValueError(f"row ids are {rows.dtype} of {rows.ndim} dimensions; allowed: whole numbers from 0 to 2**64 - 1 in a row")
    if rows.dtype.kind == "i" and int(rows.min()) < 0:
        raise ValueError(f"row id {int(rows.min())}; allowed: 0 to 2**64 - 1")
    return np.ascontiguousarray(rows, np.uint64)


def _whole(numbers: list[Any]) -> Rows:
    try:
        return np.array([index(x) for x in numbers], np.uint64)  # numpy itself would round a mixed list
    except (OverflowError, TypeError):
        bad = next(x for x in numbers if not isinstance(x, int | np.integer) or not 0 <= x < 1 << 64)
        raise ValueError(f"row id {bad!r}; allowed: whole numbers from 0 to 2**64 - 1") from None


def u64s(array: npt.NDArray[Any]) -> Any:
    """Return a contiguous array of 8-byte items as what C takes; it keeps the array alive."""
    return ffi.from_buffer("uint64_t[]", array)


def u8s(array: npt.NDArray[Any]) -> Any:
    """Return a contiguous array of bytes as what C takes; it keeps the array alive."""
    return ffi.from_buffer("uint8_t[]", array)


def read_only(data: Any) -> Any:
    """Return a view of a buffer that C reads, without a copy; it keeps the buffer alive.

    By way of an array, which the garbage collector does not look into: it crashes CPython when it clears a memoryview in a cycle whose
    bytes are lent out.
    """
    return ffi.from_buffer("uint8_t[]", np.frombuffer(data, np.uint8) if isinstance(data, memoryview) else data)


class NativeRowSet:
    """An immutable set of row ids in C."""

    __slots__ = ("_buffer", "_set")
    _set: Any
    _buffer: Any

    @classmethod
    def adopt(cls, handle: Any, buffer: Any = None) -> Self:
        """Return the owner of a native set; `buffer` is what the set reads in place. MemoryError when the handle is NULL."""
        if handle == ffi.NULL:
            raise MemoryError("a row set")
        self = cls.__new__(cls)
        self._set = ffi.gc(handle, lib.idx_rowset_free)
        self._buffer = buffer
        return self

    def _fill(self, rows: Rows) -> None:
        made = NativeRowSet.adopt(lib.idx_rowset_of(u64s(rows), len(rows)))
        self._set, self._buffer = made._set, None

    @classmethod
    def _range(cls, first: int, last: int) -> Self:
        return cls.adopt(lib.idx_rowset_range(first, last))

    @classmethod
    def _open(cls, data: Any) -> Self:
        buffer = read_only(data)
        error, at = ffi.new("int *"), ffi.new("size_t *")
        handle = lib.idx_rowset_open(buffer, len(buffer), error, at)
        if error[0] == 2:
            raise ValueError(f"{len(buffer)} bytes are no row set: malformed at offset {at[0]}")
        return cls.adopt(handle, buffer)

    def _stored(self) -> bytes:
        out = bytearray(lib.idx_rowset_stored_size(self._set))
        lib.idx_rowset_store(self._set, ffi.from_buffer("uint8_t[]", out))
        return bytes(out)

    def _count(self) -> int:
        return int(lib.idx_rowset_count(self._set))

    def _memory(self) -> int:
        return int(lib.idx_rowset_memory(self._set))

    def _forms(self) -> tuple[int, int, int]:
        out = ffi.new("uint64_t[3]")
        lib.idx_rowset_forms(self._set, out)
        return out[0], out[1], out[2]

    def _rows(self, skip: int, limit: int) -> Rows:
        out = np.empty(limit, np.uint64)
        n = lib.idx_rowset_rows(self._set, skip, u64s(out), limit)
        return out[:n]

    def _has(self, row: int) -> bool:
        return bool(lib.idx_rowset_has(self._set, row))

    def _has_many(self, rows: Rows) -> npt.NDArray[np.bool_]:
        out = np.empty(len(rows), np.bool_)
        lib.idx_rowset_has_many(self._set, u64s(rows), len(rows), u8s(out))
        return out

    def _rank(self, row: int) -> int:
        return int(lib.idx_rowset_rank(self._set, row))

    def _rank_many(self, rows: Rows) -> Rows:
        out = np.empty(len(rows), np.uint64)
        lib.idx_rowset_rank_many(self._set, u64s(rows), len(rows), u64s(out))
        return out

    def _select(self, i: int) -> int | None:
        row = ffi.new("uint64_t *")
        return None if lib.idx_rowset_select(self._set, i, row) else int(row[0])

    def _same(self, other: NativeRowSet) -> bool:
        return bool(lib.idx_rowset_equal(self._set, other._set))

    def _within(self, other: NativeRowSet) -> bool:
        return bool(lib.idx_rowset_subset(self._set, other._set))

    def _combine(self, op: int, other: NativeRowSet) -> Self:
        return self.adopt(lib.idx_rowset_combine(op, self._set, other._set))

    def _expand(self, least: int) -> Self:
        return self.adopt(lib.idx_rowset_expand(self._set, least))

    def _and_count(self, other: NativeRowSet) -> int:
        return int(lib.idx_rowset_and_count(self._set, other._set))

    @classmethod
    def _and_many(cls, sets: Sequence[NativeRowSet]) -> Self:
        return cls.adopt(lib.idx_rowset_and_many([s._set for s in sets], len(sets)))

    @classmethod
    def _or_many(cls, sets: Sequence[NativeRowSet]) -> Self:
        return cls.adopt(lib.idx_rowset_or_many([s._set for s in sets], len(sets)))


def and_many_count(sets: Sequence[NativeRowSet]) -> int:
    """Return how many rows are in all of the sets, which are one at least."""
    return _counted(lib.idx_rowset_and_many_count, sets)


def or_many_count(sets: Sequence[NativeRowSet]) -> int:
    """Return how many rows are in any of the sets."""
    return _counted(lib.idx_rowset_or_many_count, sets)


def _counted(function: Any, sets: Sequence[NativeRowSet]) -> int:
    count = ffi.new("uint64_t *")
    if function([s._set for s in sets], len(sets), count):
        raise MemoryError(f"combining {len(sets)} row sets")
    return int(count[0])


class NativeEdit:
    """A row set that changes, in C. One thread at a time."""

    __slots__ = ("_edit",)

    def __init__(self) -> None:
        handle = lib.idx_edit_new()
        if handle == ffi.NULL:
            raise MemoryError("a row set builder")
        self._edit = ffi.gc(handle, lib.idx_edit_free)

    def add(self, row: int) -> bool:
        """Add a row id; tell whether it is new. O(1) amortised for rows in order, else O(4096) at worst."""
        return _done(lib.idx_edit_add(self._edit, row)) == 1

    def remove(self, row: int) -> bool:
        """Remove a row id; tell whether it was there."""
        return bool(lib.idx_edit_remove(self._edit, row))

    def add_many(self, rows: Any) -> None:
        """Add an array of row ids, in any order."""
        array = as_rows(rows)
        _done(lib.idx_edit_add_many(self._edit, u64s(array), len(array)))

    def remove_many(self, rows: Any) -> None:
        """Remove an array of row ids; those that are not there do not matter."""
        array = as_rows(rows)
        _done(lib.idx_edit_remove_many(self._edit, u64s(array), len(array)))

    def _merge(self, op: int, other: NativeRowSet) -> None:
        _done(lib.idx_edit_merge(self._edit, op, other._set))

    def __contains__(self, row: int) -> bool:
        return bool(lib.idx_edit_has(self._edit, row))

    def __len__(self) -> int:
        return int(lib.idx_edit_count(self._edit))

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        return int(lib.idx_edit_memory(self._edit))

    def _freeze(self) -> Any:
        return lib.idx_edit_freeze(self._edit)


def _done(result: int) -> int:
    if result < 0:
        raise MemoryError("a row set builder")
    return result
