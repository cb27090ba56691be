"""The database in memory (engine.h) as typed Python: the hot calls as bound C functions, the rest as methods."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native as builtins
from .native import NEWEST, SHORT, Env, Table, check, ffi, holding, lib, new_error, raise_for
from .native_values import ValueFile, handles

if lib.lsm_install_builtins():
    raise ImportError("lsm/_native does not fit this interpreter: run make build")
_DEAD_VALUES = int(lib.LSM_DEAD_VALUES)
Words = NDArray[np.int64]
Bytes = NDArray[np.uint8]
FIRST_ROOM = 64 * 1024  # bytes of a result buffer; it grows when a value does not fit


class Mem:
    """A sealed memtable, with a reference."""

    def __init__(self, handle: Any) -> None:
        self.handle = ffi.gc(handle, lib.lsm_mem_unref)

    @property
    def max_seq(self) -> int:
        """Largest sequence number in it."""
        return int(lib.lsm_mem_max_seq(self.handle))

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        return int(lib.lsm_mem_memory(self.handle))

    def close(self) -> None:
        """Give the reference back."""
        ffi.release(self.handle)


class CoreDB:
    """lsm_db: log, sequence numbers, snapshots."""

    def __init__(
        self, env: Env, directory: str, wal_ops: int, wal: dict[str, int], first_log: int, last_sequence: int, disable_wal: bool
    ) -> None:
        c, self._dir = ffi.new("lsm_db_config *"), ffi.new("char[]", os.fsencode(directory))
        c.abi, c.size, c.env, c.dir = lib.LSM_ABI, ffi.sizeof("lsm_db_config"), env.handle, self._dir
        c.wal = ffi.cast("const rec_wal_ops *", wal_ops)
        for name, value in wal.items():
            setattr(c.wal_config, name, ffi.cast("uint64_t *", value) if name == "clock" else value)
        c.first_log, c.last_sequence, c.disable_wal = first_log, last_sequence, disable_wal
        out, e = ffi.new("lsm_db **"), new_error()
        check(lib.lsm_db_open(c, out, e), e)
        self.env = env
        self.handle = holding(out[0], lib.lsm_db_free, env)
        self.closed = False

    def close(self) -> None:
        """Refuse new calls, wait for those inside, close the log."""
        if not self.closed:
            self.closed = True
            e = new_error()
            check(lib.lsm_db_close(self.handle, e), e)

    def disown(self) -> None:
        """In a child that fork made: refuse all calls, and leave the log as it is."""
        self.closed = True
        lib.lsm_db_disown(self.handle)

    def __del__(self) -> None:
        if not getattr(self, "closed", True):
            self.closed = True
            lib.lsm_db_close(self.handle, new_error())

    def sync(self) -> None:
        """Make everything acknowledged durable."""
        e = new_error()
        check(lib.lsm_db_sync(self.handle, e), e)

    def poison(self, why: str) -> None:
        """Read-only from now on."""
        lib.lsm_db_poison(self.handle, lib.LSM_IO, why.encode()[:250])

    def why_read_only(self) -> str | None:
        """Return why writes are refused, or None."""
        e = new_error()
        return str(ffi.string(e.what).decode(errors="replace")) if lib.lsm_db_status(self.handle, e) else None

    def failed_for_want_of_memory(self) -> bool:
        """Tell whether it is read-only because a write was logged and not applied as a whole."""
        return bool(lib.lsm_db_status(self.handle, new_error()) == lib.LSM_NOMEM)

    def new_log(self, number: int) -> None:
        """Go on in a log of its own that begins with segment ``number``; the old one is closed. IOFailure: nothing has changed."""
        e = new_error()
        check(lib.lsm_db_new_log(self.handle, number, e), e)

    def in_doubt(self, on: bool) -> None:
        """While on, memtables may be flushed though some of their writes are not visible."""
        lib.lsm_db_in_doubt(self.handle, on)

    def revive(self) -> None:
        """Take writes again; all that was applied is visible."""
        lib.lsm_db_revive(self.handle)

    def take_numbers(self, n: int = 1) -> int:
        """Return the first of n fresh file numbers."""
        return int(lib.lsm_db_take_numbers(self.handle, n))

    def raise_number(self, n: int) -> None:
        """Make sure that numbers below n are not given out."""
        lib.lsm_db_raise_number(self.handle, n)

    def sequence(self) -> int:
        """Return the last sequence number."""
        return int(lib.lsm_db_last_sequence(self.handle))

    def visible(self) -> int:
        """Return the newest visible sequence number."""
        return int(lib.lsm_db_visible(self.handle))

    def log(self) -> tuple[int, int]:
        """Return number and bytes in use of the current log segment."""
        return int(lib.lsm_db_log_number(self.handle)), int(lib.lsm_db_log_used(self.handle))

    def log_time(self) -> int:
        """Return the last time mark in the log, ns; 0 when there is none."""
        return int(lib.lsm_db_log_time(self.handle))

    def note(self, data: bytes) -> None:
        """Put a note into the log."""
        e = new_error()
        check(lib.lsm_db_log_note(self.handle, data, len(data), e), e)

    def rotate_log(self) -> None:
        """End the log segment and begin the next one."""
        e = new_error()
        check(lib.lsm_db_rotate_log(self.handle, e), e)

    def prepare_log(self) -> None:
        """Make the log segment that follows, if it is not there yet. What goes wrong is told when the segment's turn comes."""
        lib.lsm_db_prepare_log(self.handle)

    def snapshot(self) -> int:
        """Hold and return the newest visible sequence number. MemoryError."""
        seq = int(lib.lsm_snapshot(self.handle))
        if seq == NEWEST:
            raise MemoryError("snapshot")
        return seq

    def release(self, seq: int) -> None:
        """Let a held sequence number go."""
        lib.lsm_snapshot_release(self.handle, seq)

    def snapshots(self) -> list[int]:
        """Return the held sequence numbers, ascending."""
        room = 64
        while True:
            out = ffi.new("uint64_t[]", room)
            n = lib.lsm_snapshots(self.handle, out, room)
            if n <= room:
                return list(ffi.unpack(out, n))
            room = n + 16

    def take_dead(self) -> list[str]:
        """Return the names of tables and value files that nobody reads any more."""
        out = ffi.new("uint64_t[]", 256)
        n = lib.lsm_db_take_dead(self.handle, out, 256)
        names = [f"{x & ~_DEAD_VALUES:06d}.{'vlog' if x & _DEAD_VALUES else 'sst'}" for x in ffi.unpack(out, n)]
        return names + (self.take_dead() if n == 256 else [])

    def write(self, batch: bytes, sync: bool) -> int:
        """Log and apply a batch. OK, SEALED or STALLED."""
        e = new_error()
        return check(lib.lsm_write(self.handle, batch, len(batch), sync, e), e)

    def replay(self, packed: bytes) -> None:
        """Apply the records of a log segment, packed as `recovery.read_packed` has them. CorruptionError for what is not well formed."""
        e = new_error()
        check(lib.lsm_replay_many(self.handle, packed, len(packed), e), e)

    def raise_last(self, status: int) -> None:
        """Raise this thread's last error."""
        e = new_error()
        lib.lsm_last_error(self.handle, e)
        raise_for(status, e)


class CoreKeyspace:
    """lsm_keyspace: one tree in memory."""

    def __init__(self, db: CoreDB, number: int, memtable: int, limits: tuple[int, int], seed: int, calls_out: bool) -> None:
        """limits: bytes and entries (0: any number) at which the active memtable is sealed."""
        c = ffi.new("lsm_keyspace_config *")
        c.abi, c.size, c.id = lib.LSM_ABI, ffi.sizeof("lsm_keyspace_config"), number
        c.memtable = ffi.cast("const lsm_memtable_ops *", memtable)
        (c.write_buffer, c.buffer_entries), c.seed, c.calls_out = limits, seed, calls_out
        out, e = ffi.new("lsm_keyspace **"), new_error()
        check(lib.lsm_keyspace_new(db.handle, c, out, e), e)
        self.db, self.handle = db, out[0]

    def drop(self) -> None:
        """Every later call fails with ClosedError."""
        lib.lsm_keyspace_drop(self.handle)

    def admit(self, is_open: bool, delay_ns_per_kib: int) -> None:
        """Open or close the door for writes, or slow them down."""
        lib.lsm_keyspace_admit(self.handle, is_open, delay_ns_per_kib)

    def limit(self, write_buffer: int) -> None:
        """Change the bytes after which the active memtable is sealed, from the next write on."""
        lib.lsm_keyspace_limit(self.handle, write_buffer)

    def replay_floor(self, seq: int) -> None:
        """Records up to seq are in tables already."""
        lib.lsm_keyspace_replay_floor(self.handle, seq)

    def seal(self) -> bool:
        """Seal the active memtable; False when it is empty."""
        e = new_error()
        return bool(check(lib.lsm_seal(self.handle, e), e) == lib.LSM_OK)

    def sealed_count(self) -> int:
        """Return the number of sealed memtables."""
        return int(lib.lsm_sealed_count(self.handle))

    def sealed(self) -> list[Mem]:
        """Return the sealed memtables whose writes are all visible, oldest first."""
        out = ffi.new("lsm_mem *[]", 64)
        return [Mem(out[i]) for i in range(lib.lsm_sealed(self.handle, out, 64))]

    def log_floor(self, flushed: int = 0) -> int:
        """Return the smallest log segment that memtables, but the oldest ``flushed`` that are sealed, still need; NEWEST when none."""
        return int(lib.lsm_keyspace_log_floor(self.handle, flushed))

    def memory(self) -> int:
        """Return bytes of all memtables."""
        return int(lib.lsm_keyspace_memory(self.handle))

    def publish(self, runs: Sequence[tuple[int, Sequence[Table]]], flushed: int, values: Sequence[ValueFile] = ()) -> None:
        """Swap in a version: (level, tables) newest first; the oldest `flushed` sealed memtables leave in the same step.

        values: the value files that the tables point into.
        """
        arrays = [ffi.new("lsm_table *[]", [t.handle for t in tables]) for _, tables in runs]
        rows = ffi.new("lsm_run[]", len(runs))
        for row, array, (level, tables) in zip(rows, arrays, runs, strict=True):
            row.tables, row.n_tables, row.level = array, len(tables), level
        status = lib.lsm_publish(self.handle, rows, len(runs), handles(values), len(values), flushed)
        if status < 0:
            raise_for(status, new_error())

    def put_many(self, count: int, keys: Any, key_lens: Any, values: Any, value_lens: Any, sync: bool) -> int:
        """Log and apply packed pairs as one batch; value_lens None deletes. OK, SEALED or STALLED."""
        e = new_error()
        lens = ffi.from_buffer("uint32_t[]", value_lens) if value_lens is not None else ffi.NULL
        key_bytes = ffi.from_buffer("uint8_t[]", keys)
        value_bytes = ffi.from_buffer("uint8_t[]", values) if value_lens is not None else ffi.NULL
        status = lib.lsm_put_many(self.handle, count, key_bytes, ffi.from_buffer("uint32_t[]", key_lens), value_bytes, lens, sync, e)
        return check(status, e)

    def get_many(self, count: int, keys: bytes, key_lens: Any, snapshot: int) -> list[tuple[bytes, list[int]]]:
        """Look up packed keys. Parts in order: packed values, and per key its length or MISSING."""
        e, lens, needed = new_error(), ffi.new("int64_t[]", count), ffi.new("size_t *")
        room, at, parts = max(FIRST_ROOM, 256 * count), 0, []
        key_lens = ffi.from_buffer("uint32_t[]", key_lens)
        key_bytes: Any = ffi.from_buffer("uint8_t[]", keys)
        while at < count:
            out = ffi.new_allocator(should_clear_after_alloc=False)("uint8_t[]", room)
            n = lib.lsm_get_many(self.handle, count - at, key_bytes, key_lens + at, snapshot, out, room, lens, needed, e)
            check(n, e)
            found = ffi.unpack(lens, n)
            parts.append((bytes(ffi.buffer(out, sum(x for x in found if x > 0))), found))
            key_bytes = key_bytes + sum(key_lens[i] for i in range(at, at + n))
            at += n
            room = max(room, needed[0])
        return parts

    def hot(self) -> tuple[Callable[..., int], Callable[..., int], Callable[..., int], Any]:
        """Return the C functions put, delete, get, and the keyspace to call them with."""
        return lib.lsm_put, lib.lsm_delete, lib.lsm_get, self.handle

    def bind(self, slow: tuple[Callable[..., Any], ...], after: Callable[[int], None]) -> tuple[Callable[..., Any], ...]:
        """Return put, get, get_many, range, delete, put_many as built-ins (builtins.h). slow: do the rest; after: gets a status not OK."""
        bound: tuple[Callable[..., Any], ...] = builtins.bind(int(ffi.cast("uintptr_t", self.handle)), slow, after, self)
        return bound


def result_buffer(size: int = FIRST_ROOM) -> tuple[Any, Any, int, Any]:
    """Return (pointer, buffer over it, size, room for the size needed) for lsm_get."""
    out = ffi.new("uint8_t[]", size)
    return out, ffi.buffer(out), size, ffi.new("size_t *")


_MOST_MEAN = 256  # bytes of a key, or of a value, that a chunk of columns has room for: longer ones make shorter chunks


class CoreCursor:
    """lsm_cursor: a scan's position, filled chunk by chunk."""

    def __init__(
        self,
        space: CoreKeyspace,
        snapshot: int,
        lower: bytes | None,
        upper: bytes | None,
        reverse: bool,
        fill_cache: bool = True,
        readahead: int = 0,
    ) -> None:
        out, e = ffi.new("lsm_cursor **"), new_error()
        low = ffi.NULL if lower is None else ffi.from_buffer("uint8_t[]", lower)
        high = ffi.NULL if upper is None else ffi.from_buffer("uint8_t[]", upper)
        status = lib.lsm_cursor_new(
            space.handle, snapshot, low, len(lower or b""), high, len(upper or b""), reverse, fill_cache, readahead, out, e
        )
        check(status, e)
        self.space = space  # the environment must outlive the cursor
        self.handle = holding(out[0], lib.lsm_cursor_close, space.db.env)
        self._room, self._pairs = 0, 0
        self._means = [24.0, 136.0]  # bytes of a key and of a value that there is room for, until there were some
        self._used, self._needed, self._error = ffi.new("size_t *"), ffi.new("size_t *"), e

    def _grow(self, pairs: int, room: int) -> None:
        if pairs > self._pairs:
            self._pairs = pairs
            self._lens, self._format = ffi.new("uint32_t[]", 2 * pairs), ffi.new("char[]", 14 * pairs + 64)
        if room > self._room:
            self._room = room
            self._out = ffi.new("uint8_t[]", room)
            self._view = ffi.buffer(self._out)

    def fill(self, pairs: int, keys_only: bool = False) -> tuple[int, Any, bytes, Any]:
        """Return (pairs, buffer, struct format of the pairs, lengths) of the next chunk; 0 pairs at the end. Valid until the next fill."""
        n = self._fill(pairs, keys_only, with_format=True)
        return n, self._view, ffi.string(self._format), self._lens

    def _fill(self, pairs: int, keys_only: bool, *, with_format: bool) -> int:
        self._grow(pairs, 256 * pairs if pairs > 8 else 4096)
        while True:
            text, room = (self._format, 14 * self._pairs + 64) if with_format else (ffi.NULL, 0)
            n = lib.lsm_cursor_fill(
                self.handle, pairs, self._out, self._room, self._lens, text, room, keys_only, self._used, self._needed, self._error
            )
            if n != SHORT:
                return check(n, self._error)
            self._grow(pairs, self._needed[0])

    def packed(self, pairs: int) -> tuple[int, bytes, bytes]:
        """Return (pairs, packed key value key value ..., their lengths as uint32 pairs) of the next chunk, copied."""
        n = self._fill(pairs, False, with_format=False)
        return n, self._view[: self._used[0]], bytes(ffi.buffer(self._lens, 8 * n))

    def columns(self, pairs: int) -> tuple[tuple[Words, Bytes], tuple[Words, Bytes]] | None:
        """Return the next chunk as two columns, keys and values: n + 1 offsets, and the bytes one after another. None at the end."""
        ends = [np.zeros(pairs + 1, np.int64) for _ in range(2)]
        data: list[Bytes] = [np.empty(int(min(mean, _MOST_MEAN) * pairs) + 64, np.uint8) for mean in self._means]
        n = self._columns(pairs, ends, data)
        if not n and (needed := self._needed[0]):  # there is no room for the first pair
            data = [np.empty(needed, np.uint8) for _ in range(2)]
            n = self._columns(pairs, ends, data)
        if not n:
            return None
        self._means = [ends[i][n] / n * 1.05 for i in (0, 1)]
        return (ends[0][: n + 1], data[0][: ends[0][n]]), (ends[1][: n + 1], data[1][: ends[1][n]])

    def _columns(self, pairs: int, ends: list[Words], data: list[Bytes]) -> int:
        """Fill columns. Returns the pairs in them, fewer when there is no room for the next one; 0 at the end, where nothing is needed."""
        to, buffers = ffi.new("lsm_columns *"), [ffi.from_buffer("uint8_t[]", d, require_writable=True) for d in data]
        offsets = [ffi.from_buffer("int64_t[]", e, require_writable=True) for e in ends]
        to.keys, to.values = buffers
        to.keys_cap, to.values_cap = (d.size for d in data)
        to.key_ends, to.value_ends = offsets
        return check(lib.lsm_cursor_columns(self.handle, pairs, to, self._needed, self._error), self._error)

    def seek(self, key: bytes) -> None:
        """The next fill begins at the first key >= key (reverse: at the last key <= key)."""
        check(lib.lsm_cursor_seek(self.handle, ffi.from_buffer("uint8_t[]", key), len(key), self._error), self._error)

    def close(self) -> None:
        """Let go of what it holds."""
        ffi.release(self.handle)


__all__ = ["NEWEST", "CoreCursor", "CoreDB", "CoreKeyspace", "Mem", "result_buffer"]
