"""The door to the extension for entry segments: what `indexes.ordered` and `indexes.hashed` stand on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ._native import ffi, lib
from .native_rowset import NativeRowSet, Rows, as_rows, read_only, u8s, u64s

LONGEST_KEY: int = lib.IDX_LONGEST_KEY
_BATCH = 4096
_FIRST_ROOM, _RANGE_ROOM = 64, 256
_U64S, _U64 = ffi.typeof("uint64_t[]"), ffi.typeof("uint64_t *")


class Packed(NamedTuple):
    """Keys one after the other: key i is data[offsets[i]:offsets[i + 1]]; offsets are uint64, one more than keys."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.uint64]

    def tolist(self) -> list[bytes]:
        """Return the keys as bytes."""
        data, ends = self.data.tobytes(), self.offsets.tolist()
        return [data[a:b] for a, b in itertools.pairwise(ends)]


Keys: TypeAlias = Sequence[bytes] | npt.NDArray[Any] | Packed


class EntryBatch(NamedTuple):
    """Entries in order: keys[i] with rows[i]."""

    keys: Packed
    rows: Rows


def pack(keys: Keys) -> Packed:
    """Return the keys packed: a sequence of bytes, an 'S' or 'V' array, rows of uint8, or packed ones. ValueError: a key is too long."""
    if isinstance(keys, Packed):
        data, offsets = np.ascontiguousarray(keys.data, np.uint8), np.ascontiguousarray(keys.offsets, np.uint64)
        if len(offsets) == 0 or int(offsets[-1]) > len(data) or bool((offsets[1:] < offsets[:-1]).any()):
            raise ValueError(f"offsets of {len(data)} bytes of keys; allowed: ascending, from 0 to the number of bytes, one more than keys")
    elif isinstance(keys, np.ndarray) and (keys.dtype.kind == "V" or keys.dtype == np.uint8):
        rows = np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), -1) if keys.dtype.kind == "V" else np.ascontiguousarray(keys)
        if rows.ndim != 2:
            raise ValueError(f"keys are an array of {keys.dtype} with {keys.ndim} dimensions; allowed: bytes ('S', 'V') or rows of uint8")
        data, offsets = rows.reshape(-1), np.arange(len(rows) + 1, dtype=np.uint64) * np.uint64(rows.shape[1])
    else:
        parts = keys.tolist() if isinstance(keys, np.ndarray) else keys
        data = np.frombuffer(b"".join(parts), np.uint8)
        offsets = np.zeros(len(parts) + 1, np.uint64)
        np.cumsum(np.fromiter(map(len, parts), np.uint64, len(parts)), out=offsets[1:])
    if len(offsets) > 1 and int((offsets[1:] - offsets[:-1]).max()) > LONGEST_KEY:
        raise ValueError(f"a key of {int((offsets[1:] - offsets[:-1]).max())} bytes; allowed: at most {LONGEST_KEY}")
    return Packed(data, offsets)


def key_of(key: bytes) -> bytes:
    """Return the key. ValueError when it is too long."""
    if len(key) > LONGEST_KEY:
        raise ValueError(f"a key of {len(key)} bytes; allowed: at most {LONGEST_KEY}")
    return key


def told(error: int, what: str) -> None:
    """Raise what a native error says: ValueError for malformed bytes, else MemoryError; nothing for 0."""
    if error == lib.IDX_MALFORMED:
        raise ValueError(f"{what} is malformed")
    if error:
        raise MemoryError(what)


class Cursor:
    """Entries in order, once through. It keeps what it reads alive; the component must not change meanwhile."""

    def __init__(self, handle: Any, alive: Any) -> None:
        if handle == ffi.NULL:
            raise MemoryError("a cursor")
        self.handle, self.alive = ffi.gc(handle, lib.idx_cursor_free), alive

    def give(self) -> Any:
        """Return the native cursor; whoever takes it frees it."""
        ffi.gc(self.handle, None)
        return self.handle

    def batches(self, n: int = _BATCH) -> Iterator[EntryBatch]:
        """Yield what is left in arrays of at most n entries. ValueError: n < 1, or the segment is malformed."""
        if n < 1:
            raise ValueError(f"batches of {n}; allowed: 1 and more")
        room, need = 64 * n, ffi.new("size_t *")
        while True:
            keys, offsets, rows = np.empty(room, np.uint8), np.empty(n + 1, np.uint64), np.empty(n, np.uint64)
            got = lib.idx_cursor_batch(self.handle, n, u8s(keys), room, u64s(offsets), u64s(rows), need)
            if got < 0:
                told(int(got), "a segment")
            if got:
                yield EntryBatch(Packed(keys[: int(offsets[got])], offsets[: got + 1]), rows[:got])
            elif need[0]:
                room = max(need[0], 2 * room)
            else:
                return


def sorted_entries(keys: Keys, rows: Any, hashed: bool) -> Cursor:
    """Return the entries in the order of a segment. ValueError when there are not as many keys as rows."""
    packed, ids = pack(keys), as_rows(rows)
    if len(packed.offsets) - 1 != len(ids):
        raise ValueError(f"{len(packed.offsets) - 1} keys and {len(ids)} row ids; allowed: as many")
    handle = lib.idx_cursor_arrays(u8s(packed.data), u64s(packed.offsets), u64s(ids), len(ids), hashed)
    return Cursor(handle, (packed, ids))


def hide_sets(hide: Sequence[NativeRowSet | None] | None, n: int) -> list[Any]:
    """Return the native sets of hidden rows of n components. ValueError when there are not as many."""
    if hide is not None and len(hide) != n:
        raise ValueError(f"{n} components and {len(hide)} hide sets; allowed: as many")
    return [ffi.NULL if h is None else h._set for h in hide or [None] * n]


def merged(parts: Sequence[Cursor], hide: Sequence[NativeRowSet | None] | None = None) -> Cursor:
    """Return the entries of all parts in order, equal ones once, without those of part i whose rows are in hide[i]."""
    sets = hide_sets(hide, len(parts))
    handle = lib.idx_cursor_merge([p.give() for p in parts], sets, len(parts))
    return Cursor(handle, (parts, hide))


def written(cursor: Cursor, hashed: bool) -> bytes:
    """Return all that the cursor gives as a segment."""
    error = ffi.new("int *")
    write = lib.idx_hashed_write if hashed else lib.idx_ordered_write
    return taken(write(cursor.handle, error), error, "a segment")


def taken(buffer: Any, error: Any, what: str) -> bytes:
    """Return the bytes of a native buffer and free it; raise what the error says when there is none."""
    if buffer == ffi.NULL:
        told(error[0], what)
    try:
        return bytes(ffi.buffer(lib.idx_buffer_data(buffer), lib.idx_buffer_size(buffer)))
    finally:
        lib.idx_buffer_free(buffer)


def opened(function: Any, free: Any, data: Any, what: str) -> tuple[Any, Any]:
    """Return (a native view, the buffer it reads). ValueError when the bytes are not such a segment."""
    buffer, error = read_only(data), ffi.new("int *")
    handle = function(buffer, len(buffer), error)
    if handle == ffi.NULL:
        if error[0] == lib.IDX_MALFORMED:
            raise ValueError(f"{len(buffer)} bytes are no {what}: wrong magic, version or lengths")
        raise MemoryError(what)
    return ffi.gc(handle, free), buffer


def looked_up(function: Any, view: Any, key: bytes, what: str) -> Rows:
    """Return the rows that a native lookup gives, in one call unless they are many."""
    room = _FIRST_ROOM
    while True:
        out = np.empty(room, np.uint64)
        n = function(view, key, len(key), ffi.from_buffer(_U64S, out), room)
        if 0 <= n <= room:
            return out[:n]
        told(min(n, 0), what)
        room = n


def first_of(got: int, function: Any, view: Any, key: bytes, what: str) -> int | None:
    """Return the least row of the key, from what the native first gave when that is not it."""
    if got == lib.IDX_NO_ROW:
        return None
    if got == lib.IDX_LOOK_ON:
        return int(looked_up(function, view, key, what)[0])
    told(got, what)
    raise AssertionError(got)


def many_looked_up(function: Any, view: Any, keys: Keys, what: str) -> tuple[Rows, Rows]:
    """Return (ends, rows) that a native batch lookup gives."""
    packed = pack(keys)
    n = len(packed.offsets) - 1
    room, total, ends = 2 * n, ffi.new(_U64), np.zeros(n + 1, np.uint64)
    while True:
        out = np.empty(room, np.uint64)
        told(function(view, u8s(packed.data), u64s(packed.offsets), n, u64s(ends[1:]), u64s(out), room, total), what)
        if total[0] <= room:
            break
        room = total[0]
    np.cumsum(ends, out=ends)
    return ends, out[: total[0]]


class NativeOrdered:
    """A view of an ordered segment: immutable, any number of threads."""

    def __init__(self, data: Any) -> None:
        self._view, self._buffer = opened(lib.idx_ordered_open, lib.idx_ordered_free, data, "ordered segment")
        self.size = len(self._buffer)
        self._count = int(lib.idx_ordered_count(self._view))

    def __len__(self) -> int:
        return self._count

    def verify(self) -> None:
        """Check every byte: the checksum, the order, the block index. ValueError when something is wrong. O(size)."""
        told(lib.idx_ordered_verify(self._view), "an ordered segment")

    def place(self, key: bytes, after: bool = False) -> int:
        """Return the place of the first entry with a key >= (after: >) the given one. O(log n)."""
        out = ffi.new("uint64_t *")
        told(lib.idx_ordered_place(self._view, key_of(key), len(key), after, out), "an ordered segment")
        return int(out[0])

    def lookup(self, key: bytes) -> Rows:
        """Return the row ids of the key, ascending. O(log n)."""
        return looked_up(lib.idx_ordered_lookup, self._view, key, "an ordered segment")

    def first(self, key: bytes) -> int | None:
        """Return the least row id of the key, None when there is none: the quickest for unique keys."""
        got: int = lib.idx_ordered_first(self._view, key, len(key))
        return got if got >= 0 else first_of(got, lib.idx_ordered_lookup, self._view, key, "an ordered segment")

    def range_rows(self, low: bytes | None, high: bytes | None, *, after_low: bool = False, with_high: bool = False) -> Rows:
        """Return the row ids in the order of their keys; a row of several keys comes several times. O(log n + result)."""
        a, b = ffi.NULL if low is None else key_of(low), ffi.NULL if high is None else key_of(high)
        sizes = 0 if low is None else len(low), 0 if high is None else len(high)
        room = _RANGE_ROOM
        while True:
            out = np.empty(room, np.uint64)
            n = lib.idx_ordered_range(self._view, a, sizes[0], after_low, b, sizes[1], with_high, ffi.from_buffer(_U64S, out), room)
            if 0 <= n <= room:
                return out[:n]
            told(min(n, 0), "an ordered segment")
            room = n

    def lookup_many(self, keys: Keys) -> tuple[Rows, Rows]:
        """Return (ends, rows): the rows of key i are rows[ends[i]:ends[i + 1]]. The keys' cache misses overlap."""
        return many_looked_up(lib.idx_ordered_lookup_many, self._view, keys, "an ordered segment")

    def cursor(self, start: int, stop: int, backward: bool = False) -> Cursor:
        """Return the entries at these places."""
        return Cursor(lib.idx_ordered_cursor(self._view, start, stop, backward), self)


class NativeHashed:
    """A view of a hashed segment: immutable, any number of threads."""

    def __init__(self, data: Any) -> None:
        self._view, self._buffer = opened(lib.idx_hashed_open, lib.idx_hashed_free, data, "hashed segment")
        self.size = len(self._buffer)

    def __len__(self) -> int:
        return int(lib.idx_hashed_count(self._view))

    @property
    def keys(self) -> int:
        """How many different keys there are."""
        return int(lib.idx_hashed_keys(self._view))

    def verify(self) -> None:
        """Check every byte: the checksum, the order, the directory. ValueError when something is wrong. O(size)."""
        told(lib.idx_hashed_verify(self._view), "a hashed segment")

    def lookup(self, key: bytes) -> Rows:
        """Return the key's row ids, ascending. O(1) and its rows."""
        return looked_up(lib.idx_hashed_lookup, self._view, key, "a hashed segment")

    def first(self, key: bytes) -> int | None:
        """Return the least row id of the key, None when there is none: the quickest for unique keys."""
        got: int = lib.idx_hashed_first(self._view, key, len(key))
        return got if got >= 0 else first_of(got, lib.idx_hashed_lookup, self._view, key, "a hashed segment")

    def lookup_many(self, keys: Keys) -> tuple[Rows, Rows]:
        """Return (ends, rows): the rows of key i are rows[ends[i]:ends[i + 1]]. The keys' cache misses overlap."""
        return many_looked_up(lib.idx_hashed_lookup_many, self._view, keys, "a hashed segment")

    def cursor(self) -> Cursor:
        """Return all entries, in the order of the keys' hashes."""
        return Cursor(lib.idx_hashed_cursor(self._view), self)


class NativeMemory:
    """The memory component of both: a B+-tree in C. One writer with readers excluded, or readers."""

    def __init__(self, hashed: bool) -> None:
        handle = lib.idx_memory_new(hashed)
        if handle == ffi.NULL:
            raise MemoryError("a memory component")
        self._memory, self._hashed = ffi.gc(handle, lib.idx_memory_free), hashed

    def insert(self, key: bytes, row: int) -> bool:
        """Add an entry; tell whether it is new. O(log n)."""
        got = lib.idx_memory_add(self._memory, key_of(key), len(key), row)
        if got < 0:
            raise MemoryError("a memory component")
        return bool(got)

    def insert_many(self, keys: Keys, rows: Any) -> None:
        """Add entries: keys[i] with rows[i]. ValueError when there are not as many."""
        packed, ids = pack(keys), as_rows(rows)
        if len(packed.offsets) - 1 != len(ids):
            raise ValueError(f"{len(packed.offsets) - 1} keys and {len(ids)} row ids; allowed: as many")
        data, offsets = u8s(packed.data), u64s(packed.offsets)
        told(lib.idx_memory_add_many(self._memory, data, offsets, u64s(ids), len(ids)), "a memory component")

    def delete(self, key: bytes, row: int) -> bool:
        """Remove an entry; tell whether it was there."""
        return bool(lib.idx_memory_remove(self._memory, key_of(key), len(key), row))

    def delete_row(self, row: int) -> int:
        """Remove all entries of a row, whatever their keys; return how many there were."""
        return int(lib.idx_memory_remove_row(self._memory, row))

    def __len__(self) -> int:
        return int(lib.idx_memory_count(self._memory))

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        return int(lib.idx_memory_bytes(self._memory))

    def _between(self, low: bytes | None, high: bytes | None, after_low: bool, with_high: bool) -> tuple[Any, ...]:
        a, b = (key_of(low or b""), key_of(high or b""))
        return a, -1 if low is None else len(a), after_low, b, -1 if high is None else len(b), with_high

    def _rows(self, low: bytes | None, high: bytes | None, after_low: bool, with_high: bool) -> Rows:
        bounds, room = self._between(low, high, after_low, with_high), _FIRST_ROOM
        while True:
            out = np.empty(room, np.uint64)
            n = lib.idx_memory_rows(self._memory, *bounds, u64s(out), room)
            if n <= room:
                return out[:n]
            room = n

    def cursor(
        self, low: bytes | None = None, high: bytes | None = None, after_low: bool = False, with_high: bool = False, backward: bool = False
    ) -> Cursor:
        """Return the entries between two keys (None: no bound)."""
        return Cursor(lib.idx_memory_cursor(self._memory, *self._between(low, high, after_low, with_high), backward), self)
