"""The extension as typed Python: environments, tables, jobs, the database in memory. The only module that turns C statuses into errors.

Ownership: every class here owns one C object and keeps alive what that object borrows. Threads: as the headers say.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any

try:
    from ._native import ffi as ffi
    from ._native import lib as lib
except ImportError as problem:
    raise ImportError("lsm/_native is missing or does not load: run make build") from problem

from . import _stamp
from .errors import UNAUTHENTIC, Cancelled, ClosedError, CorruptionError, Error, InvalidOptions, IOFailure, ReadOnlyError, TooLarge

_stamp.check(ffi.string(lib.lsm_build_stamp()).decode())

OK, NOT_FOUND, SEALED, STALLED = lib.LSM_OK, lib.LSM_NOT_FOUND, lib.LSM_SEALED, lib.LSM_STALLED
MISSING, SHORT = lib.LSM_MISSING, lib.LSM_SHORT
NEWEST = 2**64 - 1
MAX_KEY, MAX_VALUE = lib.LSM_MAX_KEY, lib.LSM_MAX_VALUE
OPERATIONS = ("read", "write", "hit", "probe", "skip")
COMPONENTS = ("data", "index", "filter", "meta", "rangedel", "wal", "row", "range_filter", "value")
CAUSES = ("get", "scan", "flush", "compaction", "open", "check", "write", "collection")
LEVELS = lib.LSM_LEDGER_LEVELS
COUNTERS = [
    "puts",
    "deletes",
    "batches",
    "gets_missed",
    "gets_hit",
    "scans",
    "scan_entries",
    "user_bytes",
    "entries_in",
    "entries_out",
    "dropped_shadowed",
    "dropped_tombstones",
    "dropped_range",
    "filter_false_positives",
    "cache_evictions",
    "cache_inserts",
    "cache_ghost_hits",
    "range_filter_false_positives",
]
_WAL_DAMAGE = errno.EBADMSG


def _pointer(kind: str, address: int) -> Any:
    return ffi.cast(kind, address)


def raise_for(status: int, e: Any) -> None:
    """Raise what a negative status means, with the details in the lsm_error."""
    what, path = ffi.string(e.what).decode(errors="replace"), ffi.string(e.path).decode(errors="replace")
    if status == lib.LSM_CORRUPT:
        raise CorruptionError(what, path, e.offset)
    if status == lib.LSM_IO and e.sys_errno == errno.EBADMSG:
        raise CorruptionError(UNAUTHENTIC, path)
    if status == lib.LSM_IO:
        raise IOFailure(what, path, e.sys_errno)
    if status == lib.LSM_NOMEM:
        raise MemoryError(what)
    if status == lib.LSM_TOO_BIG:
        limit = {"key": f"{MAX_KEY} bytes", "value": f"{MAX_VALUE} bytes"}.get(what, "2 GiB")
        raise TooLarge(f"{what or 'batch'} is too long; allowed: up to {limit}")
    errors: dict[int, type[Error]] = {lib.LSM_READONLY: ReadOnlyError, lib.LSM_CLOSED: ClosedError, lib.LSM_CANCELLED: Cancelled}
    if status in errors:
        raise errors[status](what or {lib.LSM_CLOSED: "the database is closed"}.get(status, "cancelled"))
    if status == lib.LSM_INVALID:
        raise InvalidOptions(path or "argument", what, "see the message")
    raise Error(f"{what} (status {status})")


def new_error() -> Any:
    """Return room for the details of a failure."""
    return ffi.new("lsm_error *")


def check(status: int, e: Any) -> int:
    """Return a status that is not an error, else raise."""
    if status < 0:
        raise_for(status, e)
    return status


@dataclass(frozen=True)
class TableProps:
    """Facts of a table, as the engine stored them. Keys are user keys; `largest` is exclusive when `largest_exclusive`."""

    number: int
    file_size: int
    footer_crc: int
    entries: int
    deletions: int
    range_deletes: int
    smallest: bytes
    largest: bytes
    largest_exclusive: bool
    min_seq: int
    max_seq: int
    keyspace: str = ""  # "": not noted
    keyspace_id: int = 0
    oldest_tombstone: int = field(default=0, compare=False)  # of a table just made; 0: none, or not known: the file does not say
    values: tuple[tuple[int, int, int], ...] = ()  # value files that it points into: number, entries, bytes of their records


def _props(p: Any) -> TableProps:
    return TableProps(
        p.number,
        p.file_size,
        p.footer_crc,
        p.entries,
        p.deletions,
        p.range_deletes,
        bytes(ffi.buffer(p.smallest, p.smallest_len)),
        bytes(ffi.buffer(p.largest, p.largest_len)),
        bool(p.largest_exclusive),
        p.min_seq,
        p.max_seq,
        ffi.string(p.keyspace).decode("utf-8", "replace"),
        p.keyspace_id,
        p.oldest_tombstone,
        tuple((p.values[i].file, p.values[i].records, p.values[i].bytes) for i in range(p.n_values)),
    )


class Ledger:
    """Exact counts of the data plane; see ledger.h."""

    def __init__(self) -> None:
        self.handle = ffi.gc(lib.lsm_ledger_new(), lib.lsm_ledger_free)
        if self.handle == ffi.NULL:
            raise MemoryError("ledger")

    def sum(self) -> tuple[dict[tuple[str, int, str, str], tuple[int, int]], dict[str, int]]:
        """Return {(operation, level, component, cause): (count, bytes)} without empty cells, and the counters. Level -1: none."""
        n = lib.LSM_OPS * LEVELS * lib.LSM_COMPONENTS * lib.LSM_CAUSES
        counts, sizes, counters = ffi.new("uint64_t[]", n), ffi.new("uint64_t[]", n), ffi.new("uint64_t[]", lib.LSM_COUNTERS)
        lib.lsm_ledger_sum(self.handle, counts, sizes, counters)
        cells = {}
        for i, (count, size) in enumerate(zip(ffi.unpack(counts, n), ffi.unpack(sizes, n), strict=True)):
            if count:
                rest, cause = divmod(i, lib.LSM_CAUSES)
                rest, component = divmod(rest, lib.LSM_COMPONENTS)
                operation, level = divmod(rest, LEVELS)
                level = -1 if level == LEVELS - 1 else level
                cells[OPERATIONS[operation], level, COMPONENTS[component], CAUSES[cause]] = (count, size)
        return cells, dict(zip(COUNTERS, ffi.unpack(counters, lib.LSM_COUNTERS), strict=True))


_CACHE_FIGURES = (
    *("capacity", "charge", "blocks", "hits", "misses", "inserts", "evictions", "ghost_hits", "bypassed"),
    *("refused", "wrong_slot"),
)


class Cache:
    """A cache of blocks or of rows; see cache.h. mean: bytes an entry takes on average, at least."""

    def __init__(self, capacity: int, shards: int, mean: int, policy: int, params: str, seed: int) -> None:
        self.handle = ffi.gc(
            lib.lsm_cache_new(capacity, shards, mean, _pointer("const evi_ops *", policy), params.encode(), seed), lib.lsm_cache_free
        )
        if self.handle == ffi.NULL:
            raise InvalidOptions(
                "cache", {"capacity": capacity, "shards": shards, "params": params}, "shards a power of two, params of the policy"
            )
        self._recording: tuple[Any, Any] | None = None

    def stats(self) -> dict[str, int]:
        """Return the figures: capacity and charge are bytes; refused: victims that the policy did not hold, wrong_slot one of them."""
        s = ffi.new("lsm_cache_stats *")
        lib.lsm_cache_get_stats(self.handle, s)
        return {name: getattr(s, name) for name in _CACHE_FIGURES}

    def resize(self, capacity: int) -> None:
        """Change the capacity, in bytes; evicts down to it."""
        check(lib.lsm_cache_resize(self.handle, capacity), new_error())

    def dump(self) -> str:
        """Return the policy's queues as text."""
        n = lib.lsm_cache_dump(self.handle, ffi.NULL, 0) + 1024
        out = ffi.new("char[]", n)
        lib.lsm_cache_dump(self.handle, out, n)
        return str(ffi.string(out).decode())

    def record(self, limit: int) -> Callable[[], bytes]:
        """Record every access from now on, up to limit; call the result to end it and get the keys as little-endian uint64."""
        out, n = ffi.new("uint64_t[]", limit), ffi.new("uint64_t *")
        self._recording = (out, n)
        lib.lsm_cache_record(self.handle, out, limit, n)

        def stop() -> bytes:
            lib.lsm_cache_record(self.handle, ffi.NULL, 0, ffi.NULL)
            return bytes(ffi.buffer(out, n[0] * 8))

        return stop


class Watch:
    """Which calls to the disk are under way; see watch.h."""

    def __init__(self) -> None:
        self.handle = ffi.gc(lib.lsm_watch_new(), lib.lsm_watch_free)
        if self.handle == ffi.NULL:
            raise MemoryError("watch")

    @contextmanager
    def manifest(self) -> Iterator[None]:
        """Mark a write of the manifest, or of what belongs to it."""
        slot = lib.lsm_watch_begin(self.handle, lib.LSM_W_MANIFEST)
        try:
            yield
        finally:
            lib.lsm_watch_end(self.handle, slot)

    def oldest(self) -> tuple[float, str]:
        """Return the seconds for which the call that began first has been under way, and what it is; 0.0 when there is none."""
        what = ffi.new("int *")
        ns = int(lib.lsm_watch_oldest(self.handle, what))
        return ns / 1e9, WATCHED[what[0]]


WATCHED = ("sync of the log", "new log segment", "write of a table", "sync of a table", "write of the manifest")


class Env:
    """What everybody who touches tables shares; see lsm_env. Keeps alive what it points to."""

    def __init__(
        self,
        fs: Any,
        crc32c: int,
        cache: Cache | None,
        rows: Cache | None,
        ledger: Ledger,
        database_id: int,
        codecs: Sequence[Any],
        filters: Sequence[int],
        range_filters: Sequence[int] = (),
        watch: Watch | None = None,
    ) -> None:
        self.keep = (fs, cache, rows, ledger, tuple(codecs), watch)
        self._codecs = ffi.new("const lsm_codec *[]", [_pointer("const lsm_codec *", c.address) for c in codecs])
        self._filters = ffi.new("const idx_filter_ops *[]", [_pointer("const idx_filter_ops *", f) for f in filters])
        self._ranges = ffi.new("const idx_range_ops *[]", [_pointer("const idx_range_ops *", f) for f in range_filters])
        self.handle = ffi.new("lsm_env *")
        e = self.handle
        e.abi, e.size = lib.LSM_ABI, ffi.sizeof("lsm_env")
        e.fs = _pointer("rec_fs *", fs.address)
        e.crc32c = _pointer("uint32_t(*)(uint32_t, const void *, size_t)", crc32c)
        e.cache = cache.handle if cache else ffi.NULL
        e.rows = rows.handle if rows else ffi.NULL
        e.ledger = ledger.handle
        e.database_id = database_id
        e.watch = watch.handle if watch else ffi.NULL
        e.codecs, e.n_codecs = self._codecs, len(codecs)
        e.filters, e.n_filters = self._filters, len(filters)
        e.range_filters, e.n_range_filters = self._ranges, len(range_filters)

    def count(self, ledger: Ledger | None) -> None:
        """Book what is done from now on in this ledger, or nowhere: to measure what booking costs. Any time."""
        self.handle.ledger = ledger.handle if ledger else ffi.NULL

    def limit(self, block: int, ratio: int) -> None:
        """Refuse compressed blocks that say they hold more bytes than that, or more than so many times what is stored."""
        self.handle.max_block, self.handle.max_ratio = block, ratio


_TABLE_PARTS = {
    "codec": "const lsm_codec *",
    "filter": "const idx_filter_ops *",
    "search": "const idx_search_ops *",
    "range_filter": "const idx_range_ops *",
}


class TableSettings:
    """lsm_table_options, filled."""

    def __init__(self, **fields: Any) -> None:
        self.handle = ffi.new("lsm_table_options *")
        self.handle.abi, self.handle.size = lib.LSM_ABI, ffi.sizeof("lsm_table_options")
        self.keep: list[Any] = [fields]
        for name, value in fields.items():
            if name in _TABLE_PARTS:
                value = _pointer(_TABLE_PARTS[name], value)  # noqa: PLW2901
            elif isinstance(value, str):
                value = ffi.new("char[]", value.encode())  # noqa: PLW2901
                self.keep.append(value)
            setattr(self.handle, name, value)


_held: dict[int, tuple[Any, ...]] = {}
"""What open C objects borrow: the garbage collector ends a cycle in any order, and the borrower must go first."""
_numbers = itertools.count()


def holding(handle: Any, free: Callable[[Any], Any], *borrowed: Any) -> Any:
    """Return the handle, freed with its last reference; what it borrows stays alive until that has been done."""
    key = next(_numbers)  # not its address: references to one object may end in several threads at once
    _held[key] = borrowed

    def release(it: Any) -> None:
        keep = _held.pop(key)
        free(it)
        del keep

    return ffi.gc(handle, release)


class Table:
    """An open table. Reference-counted in C; close lets go of this reference."""

    def __init__(self, env: Env, settings: TableSettings, path: str, number: int, size: int = 0, footer_crc: int = 0) -> None:
        out, e = ffi.new("lsm_table **"), new_error()
        check(lib.lsm_table_open(env.handle, settings.handle, os.fsencode(path), number, size, footer_crc, out, e), e)
        self.env, self.path, self.number = env, path, number
        self.handle = holding(out[0], lib.lsm_table_unref, env)
        self.props = _props(lib.lsm_table_properties(self.handle))

    def share(self) -> Table:
        """Return another reference, to be closed on its own: it stays good when this one is closed."""
        other = copy(self)
        lib.lsm_table_ref(self.handle)
        other.handle = holding(ffi.cast("lsm_table *", self.handle), lib.lsm_table_unref, self.env)
        return other

    def verify(self, bucket: Bucket | None = None, stop: Flag | None = None) -> None:
        """Read and check everything. CorruptionError names the file and the offset; Cancelled soon after ``stop`` was raised."""
        e = new_error()
        limit, flag = (ffi.NULL if x is None else x.handle for x in (bucket, stop))
        check(lib.lsm_table_verify(self.handle, limit, flag, e), e)

    def damage(self) -> int | None:
        """Return the first offset where a read found wrong bytes since it was opened or this was forgotten."""
        at = int(lib.lsm_table_damage(self.handle))
        return at - 1 if at else None

    def forget_damage(self) -> None:
        """It was found to be whole."""
        lib.lsm_table_forget_damage(self.handle)

    def count_reads(self, on: bool) -> None:
        """Count reads from now on, or no more."""
        lib.lsm_table_count_reads(self.handle, on)

    def reads(self) -> int:
        """Return the look-ups that the filter let through and the scans that reached the table, while they were counted."""
        return int(lib.lsm_table_reads(self.handle))

    def memory(self) -> int:
        """Return bytes held outside of the cache: index, filter, tombstones."""
        return int(lib.lsm_table_memory(self.handle))

    def close(self) -> None:
        """Let go. The file stays open as long as a version or a scan holds it."""
        ffi.release(self.handle)


class Flag:
    """Something that one thread raises and C code in another looks at."""

    def __init__(self) -> None:
        self.handle = ffi.new("int *")

    def raise_(self) -> None:
        """Raise it, for good."""
        self.handle[0] = 1

    def __bool__(self) -> bool:
        """Whether it is raised."""
        return bool(self.handle[0])


class Bucket:
    """Token bucket that limits the bytes a second of jobs; 0 means unlimited."""

    def __init__(self, rate: int) -> None:
        self.handle = ffi.gc(lib.lsm_bucket_new(rate, max(rate // 10, 1 << 16)), lib.lsm_bucket_free)
        if self.handle == ffi.NULL:
            raise MemoryError("bucket")

    def set(self, rate: int) -> None:
        """Use another limit from now on."""
        lib.lsm_bucket_set(self.handle, rate)

    def take(self, n: int, stop: Flag | None = None) -> None:
        """Wait until n bytes may pass, or somebody raises the flag."""
        lib.lsm_bucket_take(self.handle, n, ffi.NULL if stop is None else stop.handle)


@dataclass(frozen=True)
class JobInput:
    """One sorted run of a job, newest first: tables in key order, or a sealed memtable."""

    tables: tuple[Table, ...] = ()
    level: int = 0
    memtable: Any = None


@dataclass(frozen=True)
class JobResult:
    """What a job did: entries, bytes, and the tables it made."""

    entries_in: int
    entries_out: int
    shadowed: int
    tombstones_dropped: int
    range_covered: int
    bytes_read: int
    bytes_written: int
    outputs: tuple[TableProps, ...]
    values_separated: int = 0
    values_moved: int = 0
    values: tuple[Any, ...] = ()  # the value files made, a ValueInfo each


class Job:
    """A flush or a compaction, ready to run in one C call; cancel from any thread."""

    def __init__(
        self,
        env: Env,
        table: TableSettings,
        inputs: Sequence[JobInput],
        *,
        directory: str,
        first_number: int,
        max_outputs: int,
        output_bytes: int,
        cuts: Sequence[bytes],
        snapshots: Sequence[int],
        bottom: bool,
        level: int,
        cause: str,
        bucket: Bucket | None = None,
        values: Any = None,
        moved: Sequence[Any] = (),
    ) -> None:
        """values: a ValueWriter that takes what is to be kept apart; moved: ValueFiles by number whose live values go to it."""
        config = ffi.new("lsm_job_config *")
        config.abi, config.size = lib.LSM_ABI, ffi.sizeof("lsm_job_config")
        arrays = [ffi.new("lsm_table *[]", [t.handle for t in i.tables]) for i in inputs]
        rows = ffi.new("lsm_job_input[]", len(inputs))
        for row, given, tables in zip(rows, inputs, arrays, strict=True):
            row.tables, row.n_tables, row.level = tables, len(given.tables), given.level
            row.memtable = given.memtable.handle if given.memtable is not None else ffi.NULL
        keys = [ffi.new("uint8_t[]", c) for c in cuts]
        self._keep = [env, table, list(inputs), arrays, rows, keys, bucket, config]
        self._keep += [ffi.new("char[]", os.fsencode(directory)), ffi.new("const uint8_t *[]", keys)]
        self._keep += [ffi.new("uint32_t[]", [len(c) for c in cuts]), ffi.new("uint64_t[]", sorted(snapshots))]
        config.env, config.table = env.handle, table.handle
        config.dir, config.cuts, config.cut_lens, config.snapshots = self._keep[-4:]
        config.n_cuts, config.n_snapshots = len(cuts), len(snapshots)
        config.first_number, config.max_outputs, config.output_bytes = first_number, max_outputs, output_bytes
        config.bottom, config.level = bottom, level
        config.cause = getattr(lib, f"LSM_BY_{cause.upper()}")
        config.bucket = bucket.handle if bucket else ffi.NULL
        config.values = values.handle if values is not None else ffi.NULL
        self._keep += [values, list(moved), ffi.new("lsm_value_file *[]", [f.handle for f in moved])]
        config.moved, config.n_moved = self._keep[-1], len(moved)
        handle = lib.lsm_job_new(config, rows, len(inputs))
        if handle == ffi.NULL:
            raise MemoryError("job")
        self.handle = ffi.gc(handle, lib.lsm_job_free)

    def run(self) -> JobResult:
        """Run to the end. On an error or a cancel its outputs are gone."""
        r, e = ffi.new("lsm_job_result *"), new_error()
        check(lib.lsm_job_run(self.handle, r, e), e)
        outputs = tuple(_props(lib.lsm_job_output(self.handle, i)) for i in range(r.n_outputs))
        return JobResult(
            r.entries_in,
            r.entries_out,
            r.shadowed,
            r.tombstones_dropped,
            r.range_covered,
            r.bytes_read,
            r.bytes_written,
            outputs,
            r.values_separated,
            r.values_moved,
        )

    def cancel(self) -> None:
        """Make run raise Cancelled soon."""
        lib.lsm_job_cancel(self.handle)

    def pause(self, on: bool) -> None:
        """Make run stand still, or go on."""
        lib.lsm_job_pause(self.handle, on)

    def progress(self) -> float:
        """Return how much is done, 0 to 1."""
        return float(lib.lsm_job_progress(self.handle))
