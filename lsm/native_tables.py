"""One table by hand: build it, walk it, look a key up. What flushes and compactions do in C, for tests, notebooks and the twin."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from .memtable_twin import MAX_SEQ, Entry
from .merge_twin import Range
from .native import CAUSES, OK, Env, Table, TableProps, TableSettings, _props, check, ffi, holding, lib, new_error


def _bytes(pointer: Any, n: int) -> bytes:
    return bytes(ffi.buffer(pointer, n)) if n else b""


def _entry(raw: Any) -> Entry:
    return Entry(_bytes(raw.key, raw.key_len), raw.seq, raw.kind, _bytes(raw.value, raw.value_len))


def build_table(
    env: Env,
    settings: TableSettings,
    path: str,
    number: int,
    entries: Iterable[Entry],
    ranges: Iterable[Range] = (),
    *,
    level: int = 0,
    cause: str = "flush",
) -> TableProps:
    """Write a table of entries that come in order, and of range tombstones; sync the file (not its directory).

    level and cause are what the ledger books the bytes under. On any error the file is gone again: InvalidOptions when entries are
    out of order or there is nothing to write, TooLarge, IOFailure (the path must be new), MemoryError. O(bytes).
    """
    out, e = ffi.new("lsm_builder **"), new_error()
    check(lib.lsm_builder_new(env.handle, settings.handle, os.fsencode(path), number, level, CAUSES.index(cause), out, e), e)
    builder: Any = out[0]
    try:
        raw, span = ffi.new("lsm_entry *"), ffi.new("lsm_range *")
        for entry in entries:
            key, value = ffi.from_buffer("uint8_t[]", entry.key), ffi.from_buffer("uint8_t[]", entry.value)
            raw.key, raw.value, raw.key_len, raw.value_len = key, value, len(key), len(value)
            raw.seq, raw.kind = entry.seq, entry.kind
            check(lib.lsm_builder_add(builder, raw, e), e)
        for r in ranges:
            start, end = ffi.from_buffer("uint8_t[]", r.start), ffi.from_buffer("uint8_t[]", r.end)
            span.start, span.end, span.start_len, span.end_len, span.seq = start, end, len(start), len(end), r.seq
            check(lib.lsm_builder_add_range(builder, span, e), e)
        props = ffi.new("lsm_table_props *")
        ending, builder = builder, None  # finish frees it, whatever comes of it
        check(lib.lsm_builder_finish(ending, props, e), e)
    except BaseException:
        if builder is not None:
            lib.lsm_builder_abandon(builder)
        raise
    try:
        return _props(props)
    finally:
        lib.lsm_props_clear(props)


class TableCursor:
    """A position in a table. A move returns the entry there, or None at an end; CorruptionError and IOFailure end the cursor.

    One thread at a time. Close it, or use it in a ``with``; it keeps its table open.
    """

    def __init__(self, table: Table, *, level: int = 0, cause: str = "scan", fill_cache: bool = True, readahead: int = 0) -> None:
        """Open a cursor. readahead: bytes fetched from the file at once, past the cache; 0: a block. MemoryError."""
        self._table, self._error = table, new_error()
        it = lib.lsm_table_iter(table.handle, level, CAUSES.index(cause), fill_cache, readahead, self._error)
        if it == ffi.NULL:
            raise MemoryError("table cursor")
        self._it: Any = holding(it, lambda it: it.ops.close(it), table.env)

    def _show(self) -> Entry | None:
        check(self._it.status, self._error)
        return _entry(self._it.entry) if self._it.valid else None

    def first(self) -> Entry | None:
        """Move to the first entry."""
        self._it.ops.first(self._it)
        return self._show()

    def last(self) -> Entry | None:
        """Move to the last entry."""
        self._it.ops.last(self._it)
        return self._show()

    def seek(self, key: bytes, seq: int = MAX_SEQ) -> Entry | None:
        """Move to the first entry at or after (key, seq): of this key the newest version with at most that sequence number."""
        self._it.ops.seek(self._it, ffi.from_buffer("uint8_t[]", key), len(key), seq)
        return self._show()

    def seek_before(self, key: bytes) -> Entry | None:
        """Move to the last entry whose key is less."""
        self._it.ops.seek_before(self._it, ffi.from_buffer("uint8_t[]", key), len(key))
        return self._show()

    def next(self) -> Entry | None:
        """Move on by one. IndexError unless the cursor stands on an entry."""
        self._require()
        self._it.ops.next(self._it)
        return self._show()

    def prev(self) -> Entry | None:
        """Move back by one. IndexError unless the cursor stands on an entry."""
        self._require()
        self._it.ops.prev(self._it)
        return self._show()

    def _require(self) -> None:
        if not self._it.valid:
            raise IndexError("the cursor stands on no entry")

    def close(self) -> None:
        """Free the cursor."""
        ffi.release(self._it)

    def __enter__(self) -> TableCursor:
        """Return the cursor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def scan(table: Table, *, reverse: bool = False, **options: Any) -> Iterator[Entry]:
    """Yield every entry of a table in order, or in reverse; options as `TableCursor` takes them."""
    with TableCursor(table, **options) as cursor:
        entry = cursor.last() if reverse else cursor.first()
        while entry is not None:
            yield entry
            entry = cursor.prev() if reverse else cursor.next()


def get(table: Table, key: bytes, snapshot: int = MAX_SEQ, *, level: int = 0) -> Entry | None:
    """Return the newest version of key with seq <= snapshot, or None; the filter is asked first. Range tombstones do not count here."""
    out, pin, e = ffi.new("lsm_entry *"), ffi.new("lsm_pin *"), new_error()
    ops = lib.lsm_table_filter(table.handle)
    raw = ffi.from_buffer("uint8_t[]", key)
    digest = ops.hash(raw, len(key)) if ops != ffi.NULL else 0
    if check(lib.lsm_table_get(table.handle, raw, len(key), digest, snapshot, level, out, pin, e), e) != OK:
        return None
    try:
        return _entry(out)
    finally:
        lib.lsm_block_release(pin.block)


def covering(table: Table, key: bytes, snapshot: int = MAX_SEQ) -> int:
    """Return the newest sequence number <= snapshot of a range tombstone that holds key; 0 when there is none."""
    return int(lib.lsm_tombs_covering(lib.lsm_table_tombs(table.handle), ffi.from_buffer("uint8_t[]", key), len(key), snapshot))


def ranges(table: Table) -> list[Range]:
    """Return the table's range tombstones, in the order of the file."""
    tombs = lib.lsm_table_tombs(table.handle)
    found = (lib.lsm_tombs_at(tombs, i) for i in range(lib.lsm_tombs_count(tombs)))
    return [Range(_bytes(r.start, r.start_len), _bytes(r.end, r.end_len), r.seq) for r in found]
