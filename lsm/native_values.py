"""Value files (values.h) as typed Python: open ones, the writer that flushes and collections share, the sketch of hot keys."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import CorruptionError
from .memtable_twin import PUT, VALUE_POINTER, Entry
from .native import CAUSES, Bucket, Env, Flag, Table, check, ffi, holding, lib, new_error
from .version import ValueInfo

POINTER = int(lib.LSM_POINTER)


def _info(p: Any) -> ValueInfo:
    return ValueInfo(p.number, p.file_size, p.records, p.bytes, p.min_seq, p.max_seq, p.heat, p.footer_crc, p.keyspace_id)


class ValueFile:
    """An open value file. Reference-counted in C; close lets go of this reference."""

    def __init__(self, env: Env, path: str, number: int, size: int = 0, footer_crc: int = 0) -> None:
        """Open and check the footer. CorruptionError when it is not the file of that number, size and checksum (0: any); IOFailure."""
        out, e = ffi.new("lsm_value_file **"), new_error()
        check(lib.lsm_value_file_open(env.handle, os.fsencode(path), number, size, footer_crc, out, e), e)
        self.env, self.path, self.number = env, path, number
        self.handle = holding(out[0], lib.lsm_value_file_unref, env)
        self.info = _info(lib.lsm_value_file_properties(self.handle))

    def share(self) -> ValueFile:
        """Return another reference, to be closed on its own."""
        other = object.__new__(ValueFile)
        other.__dict__.update(self.__dict__)
        lib.lsm_value_file_ref(self.handle)
        other.handle = holding(ffi.cast("lsm_value_file *", self.handle), lib.lsm_value_file_unref, self.env)
        return other

    def verify(self, bucket: Bucket | None = None, stop: Flag | None = None) -> None:
        """Read and check every record. CorruptionError names the file and the offset; Cancelled soon after ``stop`` was raised."""
        e = new_error()
        limit, flag = (ffi.NULL if x is None else x.handle for x in (bucket, stop))
        check(lib.lsm_value_file_verify(self.handle, limit, flag, e), e)

    def damage(self) -> int | None:
        """Return the first offset where a read found wrong bytes since it was opened or this was forgotten."""
        at = int(lib.lsm_value_file_damage(self.handle))
        return at - 1 if at else None

    def forget_damage(self) -> None:
        """It was found to be whole."""
        lib.lsm_value_file_forget_damage(self.handle)

    def read(self, key: bytes, seq: int, pointer: bytes, cause: str = "check") -> bytes:
        """Return the value that the pointer of (key, seq) leads to, past the cache. CorruptionError unless it is there, whole."""
        if len(pointer) != POINTER:
            raise CorruptionError(f"a value pointer of {len(pointer)} bytes; allowed: {POINTER}", self.path, 0)
        e, pin, value, size = new_error(), ffi.new("lsm_pin *"), ffi.new("const uint8_t **"), ffi.new("uint64_t *")
        raw, way = ffi.from_buffer("uint8_t[]", key), ffi.from_buffer("uint8_t[]", pointer)
        check(lib.lsm_value_file_read(self.handle, raw, len(key), seq, way, CAUSES.index(cause), pin, value, size, e), e)
        try:
            return bytes(ffi.buffer(value[0], size[0]))
        finally:
            lib.lsm_block_release(pin.block)

    def close(self) -> None:
        """Let go. The file stays open as long as a version or a scan holds it."""
        ffi.release(self.handle)


class Heat:
    """How often keys were written within the last ``window`` writes, by estimate."""

    def __init__(self, window: int) -> None:
        """Make room for that many keys: 4 to 8 bytes each."""
        self.window = window
        self.handle = ffi.gc(lib.lsm_heat_new(window), lib.lsm_heat_free)
        if self.handle == ffi.NULL:
            raise MemoryError("heat sketch")

    def touch(self, key: bytes) -> None:
        """A write of the key."""
        lib.lsm_heat_touch(self.handle, ffi.from_buffer("uint8_t[]", key), len(key))

    def of(self, key: bytes) -> int:
        """Return the writes of a key in the window: never too few until counts are halved, up to 255."""
        return int(lib.lsm_heat_of(self.handle, ffi.from_buffer("uint8_t[]", key), len(key)))


class ValueWriter:
    """Writes value files; jobs add to it. Close it in any case: what was not finished is unlinked."""

    def __init__(
        self,
        env: Env,
        directory: str,
        *,
        first_number: int,
        max_files: int,
        min_bytes: int,
        file_bytes: int,
        keyspace_id: int,
        cause: str,
        heat: Heat | None = None,
        hot: int = 0,
    ) -> None:
        """Make no file yet. They take the numbers from first_number on; hot: writes in the window from which on a key is hot."""
        o, self._dir = ffi.new("lsm_value_options *"), ffi.new("char[]", os.fsencode(directory))
        o.abi, o.size, o.dir = lib.LSM_ABI, ffi.sizeof("lsm_value_options"), self._dir
        o.first_number, o.max_files, o.min_bytes, o.file_bytes = first_number, max_files, min_bytes, file_bytes
        o.keyspace_id, o.cause, o.hot = keyspace_id, CAUSES.index(cause), hot
        o.heat = heat.handle if heat is not None else ffi.NULL
        out, e = ffi.new("lsm_value_writer **"), new_error()
        check(lib.lsm_value_writer_new(env.handle, o, out, e), e)
        self.env, self._heat = env, heat
        self.handle = holding(out[0], lib.lsm_value_writer_free, env, heat)

    def add(self, key: bytes, seq: int, value: bytes) -> bytes:
        """Write a value; return the pointer to it. What jobs do in C, for tests and tools. IOFailure."""
        e, entry, pointer = new_error(), ffi.new("lsm_entry *"), ffi.new("uint8_t[]", POINTER)
        raw, data = ffi.from_buffer("uint8_t[]", key), ffi.from_buffer("uint8_t[]", value)
        entry.key, entry.key_len, entry.value, entry.value_len = raw, len(key), data, len(value)
        entry.seq, entry.kind = seq, lib.LSM_PUT
        check(lib.lsm_value_writer_add(self.handle, entry, pointer, e), e)
        return bytes(ffi.buffer(pointer))

    def finish(self) -> tuple[ValueInfo, ...]:
        """Write the rest, sync the files (not their directory) and return what they are. On an error they are gone after `close`."""
        e, out = new_error(), ffi.new("lsm_value_props **")
        check(lib.lsm_value_writer_finish(self.handle, e), e)
        n = lib.lsm_value_writer_files(self.handle, ffi.cast("const lsm_value_props **", out))
        return tuple(_info(out[0][i]) for i in range(n))

    def close(self) -> None:
        """Let go; unlinks the files unless they were finished."""
        ffi.release(self.handle)


def value_of(entry: Entry, files: Mapping[int, ValueFile], cause: str = "check") -> bytes | None:
    """Return the value of a table's entry, out of a value file where it is there; None for what has none. CorruptionError."""
    if entry.kind != VALUE_POINTER:
        return entry.value if entry.kind == PUT else None
    number = int.from_bytes(entry.value[:8], "little")
    if number not in files:
        raise CorruptionError(f"a pointer leads to value file {number}, which is not there", "", 0)
    return files[number].read(entry.key, entry.seq, entry.value, cause)


def check_pointers(table: Table, files: Sequence[ValueFile]) -> None:
    """Raise CorruptionError for the first pointer of a table that does not lead to its record, whole, in one of the files. O(bytes)."""
    e = new_error()
    check(lib.lsm_table_check_values(table.handle, handles(files), len(files), e), e)


def handles(files: Sequence[ValueFile]) -> Any:
    """Return an array of open value files, by number, as C takes it."""
    return ffi.new("lsm_value_file *[]", [f.handle for f in sorted(files, key=lambda f: f.number)])
