"""A keyspace: one tree with options of its own, sharing the log, the sequence numbers, the cache and the workers of its database."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .batch import BadRange, Batch, bytes_of
from .codecs import CODECS
from .collectors import Collector
from .errors import BusyError, ClosedError
from .manual import by_hand, claim_range
from .native import MAX_VALUE, MISSING, NEWEST, SEALED, SHORT, STALLED, Bucket, Table, TableSettings
from .native_db import CoreCursor, CoreKeyspace, result_buffer
from .native_memtables import builtin_memtable
from .native_values import Heat, ValueFile
from .options import Options, triggers_of
from .plan import TreeView
from .policies import make_policy
from .policies.allocation import Filled
from .registry import ALLOCATIONS, COLLECTORS, COMPILED, MEMTABLES
from .rider import Rider
from .scan import Chunk, Scan, arrow, bounds, chunks, open_cursor
from .settings import counts_reads, filled_of, settings_of
from .version import TableInfo, ValueInfo, Version

if TYPE_CHECKING:
    from .db import DB
    from .snapshot import Snapshot


class Keyspace:
    """The data methods of one keyspace. Most are attributes: built-in functions of the extension.

    put(key, value): set. put_many(pairs), put_many(keys, values): one atomic batch, also of a mapping or an iterable of pairs.
    delete(key): whether it exists or not. get(key, default=None, *, snapshot=None): the value or default.
    Keys are bytes-like, up to 64 KiB, values up to 1 GiB; TooLarge and TypeError past that. Writes raise ReadOnlyError after a failure
    of the log. Any thread may call anything; a Scan belongs to one thread.
    """

    put: Callable[[bytes, bytes], None]
    get: Callable[..., Any]
    get_many: Callable[..., list[bytes | None]]
    range: Callable[..., list[tuple[bytes, bytes]]]
    delete: Callable[[bytes], None]
    put_many: Callable[..., None]

    def __init__(self, db: DB, number: int, name: str, options: Options, version: Version) -> None:
        self.db, self.number, self.name, self.options = db, number, name, options
        address = MEMTABLES[options.memtable]
        self.memtable = builtin_memtable(options.memtable).address if address is None else address
        self.core = CoreKeyspace(
            db.core, number, self.memtable, (options.write_buffer, options.buffer_entries), options.seed, db.calls_out or not in_c(address)
        )
        self.codec = CODECS[options.table.codec]().build()
        self.bucket = Bucket(options.compaction.rate_limit)
        self.policy = make_policy(options)
        self.version, self.tables, self.value_files = version, dict[int, Table](), dict[int, ValueFile]()
        self.collector: Collector = COLLECTORS[options.value_log.collector]()
        self.heat: Heat | None = None
        self.cursors: dict[int, bytes] = {}
        self.served: dict[int, int] = {}
        self.step, self.flush_span, self.dropped = 0, 0, False
        self.by_hand = 0  # calls of `compact` that are about to claim what they merge: the policy is not asked
        self.rider: Rider | None = None
        slow = (make_put(self), make_get(self), self._get_many, self._range, make_delete(self), self._put_many)
        bound = self.core.bind(slow, lambda status: _after(self, status))
        self.put, self.get, self.get_many, self.range, self.delete, self.put_many = bound
        self.managed = db.state.is_managed(number)
        if self.managed:
            self.manage()

    # Reading

    def _get_many(self, keys: Sequence[bytes], *, snapshot: Snapshot | None = None) -> list[bytes | None]:
        """The get_many that takes every bytes-like and a snapshot: one cffi call."""
        if not keys:
            return []
        try:
            packed, lens = b"".join(keys), array("I", map(len, keys))
        except TypeError:
            keys = [bytes_of(k) for k in keys]
            packed, lens = b"".join(keys), array("I", map(len, keys))
        return self.get_packed(len(keys), packed, lens, snapshot)

    def get_packed(self, count: int, keys: bytes, key_lens: Any, snapshot: Snapshot | None = None) -> list[bytes | None]:
        """The get_many of keys that are packed already, with their lengths as array("I")."""
        values: list[bytes | None] = []
        for data, found in self.core.get_many(count, keys, key_lens, _moment(snapshot)) if count else ():
            at = 0
            for n in found:
                if n < 0:
                    values.append(None)
                else:
                    values.append(data[at : at + n])
                    at += n
        return values

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        snapshot: Snapshot | None = None,
        fill_cache: bool = True,
    ) -> Scan:
        """Iterate over (key, value) with start <= key < stop, as of now or of a snapshot; reverse: from the end.

        ValueError for limit < 0.
        """
        return self._scan("items", start, stop, prefix, reverse, limit, snapshot, fill_cache)

    def _range(self, start: bytes | None = None, stop: bytes | None = None, **how: Any) -> list[tuple[bytes, bytes]]:
        """The range that takes all that a scan takes."""
        return list(self.scan(start, stop, **how))

    def keys(self, start: bytes | None = None, stop: bytes | None = None, **how: Any) -> Iterator[bytes]:
        """Iterate over keys; arguments as of scan."""
        return self._scan("keys", start, stop, **how)  # type: ignore[return-value]

    def values(self, start: bytes | None = None, stop: bytes | None = None, **how: Any) -> Iterator[bytes]:
        """Iterate over values; arguments as of scan."""
        return self._scan("values", start, stop, **how)  # type: ignore[return-value]

    def _scan(
        self,
        mode: str,
        start: bytes | None,
        stop: bytes | None,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        snapshot: Snapshot | None = None,
        fill_cache: bool = True,
    ) -> Scan:
        if limit is not None and not isinstance(limit, int):
            raise TypeError(f"limit is {limit!r:.60}; allowed: None or an integer of 0 and more")
        if limit is not None and limit < 0:
            raise ValueError(f"limit is {limit}; allowed: None or 0 and more")
        lower, upper = bounds(start, stop, prefix)
        return Scan(self, open_cursor(self, lower, upper, reverse, snapshot, fill_cache), limit, mode)

    def scan_chunks(self, start: bytes | None = None, stop: bytes | None = None, *, chunk: int = 4096, **how: Any) -> Iterator[Chunk]:
        """Iterate over chunks of packed pairs: no Python object a pair. how: prefix, reverse, snapshot."""
        return chunks(self._chunk_cursor(start, stop, chunk, how), chunk)

    def _chunk_cursor(self, start: bytes | None, stop: bytes | None, chunk: int, how: Mapping[str, Any]) -> CoreCursor:
        if not isinstance(chunk, int) or chunk < 1:
            raise ValueError(f"chunk is {chunk!r:.60}; allowed: an integer of 1 and more")
        lower, upper = bounds(start, stop, how.get("prefix"))
        return open_cursor(self, lower, upper, how.get("reverse", False), how.get("snapshot"), how.get("fill_cache", True))

    def scan_arrow(self, start: bytes | None = None, stop: bytes | None = None, *, chunk: int = 65536, **how: Any) -> Iterator[Any]:
        """Iterate over pyarrow RecordBatches with columns key and value. Needs pyarrow: install lsmlab[arrow]."""
        return arrow(self._chunk_cursor(start, stop, chunk, how), chunk)

    # Writing

    def _put_many(
        self,
        pairs: Iterable[tuple[bytes, bytes]] | Mapping[bytes, bytes] | Sequence[bytes],
        values: Sequence[bytes] | None = None,
        *,
        sync: bool = False,
    ) -> None:
        """The put_many that may wait, syncs, and takes every iterable, mapping and bytes-like: one cffi call."""
        keys: Sequence[Any]
        if values is None:
            given = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
            if wrong := next((p for p in given if not isinstance(p, tuple | list) or len(p) != 2), None):
                raise TypeError(f"put_many takes pairs (key, value), or keys and values; not {wrong!r:.60}")
            keys, values = [p[0] for p in given], [p[1] for p in given]
        else:
            keys = pairs  # type: ignore[assignment]
        if len(keys) != len(values):
            raise ValueError(f"{len(keys)} keys and {len(values)} values; allowed: as many of each")
        try:
            packed, packed_values = b"".join(keys), b"".join(values)
        except TypeError:
            keys, values = [bytes_of(k) for k in keys], [bytes_of(v) for v in values]
            packed, packed_values = b"".join(keys), b"".join(values)
        if keys:
            lens, value_lens = array("I", map(len, keys)), array("I", map(len, values))
            _settled(self, lambda: self.core.put_many(len(keys), packed, lens, packed_values, value_lens, sync))

    def put_packed(self, keys: Any, key_lens: Any, values: Any, value_lens: Any, *, sync: bool = False) -> None:
        """Put pairs packed in buffers, lengths as uint32 (array or numpy), as one atomic batch. ValueError when they do not add up."""
        if self.managed:
            self._refuse()
        count = len(key_lens)
        if memoryview(key_lens).itemsize != 4 or memoryview(value_lens).itemsize != 4:
            raise ValueError("lengths are uint32: array('I') or numpy.uint32")
        if count != len(value_lens) or _total(key_lens) != memoryview(keys).nbytes or _total(value_lens) != memoryview(values).nbytes:
            raise ValueError("the lengths do not add up to the buffers")
        if count:
            _settled(self, lambda: self.core.put_many(count, keys, key_lens, values, value_lens, sync))

    def delete_many(self, keys: Sequence[bytes], *, sync: bool = False) -> None:
        """Delete many keys as one atomic batch."""
        if self.managed:
            self._refuse()
        keys = [bytes_of(k) for k in keys]
        if keys:
            packed, lens = b"".join(keys), array("I", map(len, keys))
            _settled(self, lambda: self.core.put_many(len(keys), packed, lens, b"", None, sync))

    def delete_range(self, start: bytes, stop: bytes) -> None:
        """Delete every key with start <= key < stop. ValueError unless start < stop. O(1) now, paid by compaction."""
        batch = Batch()
        batch.delete_range(start, stop, keyspace=self)
        self.db.write(batch)

    # The tree

    def flush(self) -> None:
        """Write the memtable to a table of level 0, and wait until that is done."""
        self.db.check_writable()
        self.core.seal()
        self.db.executor.on_sealed()
        self.db.executor.wait()

    def compact(self, start: bytes | None = None, stop: bytes | None = None) -> None:
        """Flush, then merge every table that holds a key of [start, stop] into the deepest level that has tables. Waits.

        BadRange when start > stop.
        """
        start, stop = bounds(start, stop, None)
        if start is not None and stop is not None and start > stop:
            raise BadRange(f"compact from {start!r} to {stop!r}; allowed: start <= stop")
        self.db.check_writable()
        with by_hand(self):
            self.flush()
            claimed = claim_range(self.db, self, start, stop)
        if claimed is not None:
            self.db.executor.compact(self, claimed)
        self.db.executor.wait()

    def set_policy(self, policy: Any) -> None:
        """Use another compaction policy; arguments as of `DB.set_policy`."""
        self.db.set_policy(policy, self.name)

    def manage(self) -> None:
        """From now on a table writes this keyspace: writes of pairs are refused, which its indexes would not see."""
        self.managed = True
        self.put = self.delete = self.put_many = self._refuse

    def _refuse(self, *_: Any, **__: Any) -> None:
        raise BusyError(f"keyspace {self.name!r} belongs to a table; db.table({self.name!r}) writes it")

    @property
    def waits(self) -> bool:
        """Tell whether an attachment waits for its rider: until then nothing is compacted."""
        return self.rider is None and self.number in self.db.state.attached

    def unload(self) -> None:
        """Let the rider go."""
        rider, self.rider = self.rider, None
        if rider is not None:
            rider.close()

    def view(self, busy: frozenset[int] = frozenset(), idle: bool = False) -> TreeView:
        """Return what a compaction policy sees now."""
        core, executor = self.db.core, self.db.executor
        return TreeView(
            self.version.levels,
            self.options,
            busy,
            self.options.seed,
            self.step,
            dict(self.cursors),
            now=core.sequence(),
            horizon=max(self.options.buffer_entries, self.flush_span),
            snapshots=tuple(core.snapshots()),
            reads={n: t.reads() for n, t in self.tables.items()} if self.counts_reads else {},
            served=dict(self.served),
            running=executor.running(self),
            sealed=self.core.sealed_count(),
            idle=idle,
            keeps=self.rider is not None or self.managed,
        )

    def open_table(self, info: TableInfo, level: int) -> Table:
        """Open a table of this keyspace. CorruptionError when it is not the one that the manifest names."""
        path = f"{self.db.path}/{info.number:06d}.sst"
        table = Table(self.db.env, self.table_settings(level), path, info.number, info.size, info.footer_crc)
        table.count_reads(self.counts_reads)
        return table

    @property
    def counts_reads(self) -> bool:
        """Whether a part that the options name wants to know how often each table is read."""
        return counts_reads(self.options, self.policy)

    def open_value(self, info: ValueInfo) -> ValueFile:
        """Open a value file of this keyspace. CorruptionError when it is not the one that the manifest names."""
        return ValueFile(self.db.env, f"{self.db.path}/{info.number:06d}.vlog", info.number, info.size, info.footer_crc)

    def publish(self, version: Version, flushed: int = 0) -> None:
        """Show readers a version whose files are open; the oldest ``flushed`` sealed memtables leave in the same step."""
        runs = [(level, [self.tables[t.number] for t in run.tables]) for level, run in version.runs()]
        self.core.publish(runs, flushed, [self.value_files[v.number] for v in version.values])

    def file_names(self) -> list[str]:
        """Return the names of the tables and value files in use."""
        return [f"{n:06d}.sst" for n in self.tables] + [f"{n:06d}.vlog" for n in self.value_files]

    def close_files(self) -> None:
        """Let go of every table and value file."""
        for table in self.tables.values():
            table.close()
        for value in self.value_files.values():
            value.close()
        self.tables.clear()
        self.value_files.clear()

    def table_settings(self, level: int) -> TableSettings:
        """Return the settings of tables made for a level, its share of filter memory included."""
        bits = ALLOCATIONS[self.options.filter_allocation]().bits(level, self.filled())
        return settings_of(self.options, self.name, self.number, bits, self.codec.address if self.options.table.codec != "none" else 0)

    def is_overdue(self) -> bool:
        """Whether the memtable is to be sealed though nothing is written to it: its share of memory shrank, or it may hold a tombstone
        that is half as old as the options let one become, while others are written to."""
        if self.db.budget is not None and not self.core.sealed_count() and self.core.memory() > self.options.write_buffer + _GRAIN:
            return True
        deadline = dict(triggers_of(self.options.compaction.triggers)).get("tombstone_deadline")
        return deadline is not None and self.db.core.sequence() - self.db.state.flushed[self.number] >= max(1, deadline // 2)

    def filled(self) -> Filled:
        """Return what a filter allocation decides from."""
        reads: list[int] = []
        if self.counts_reads:
            with self.db.executor.lock:
                levels = self.version.levels
                reads = [sum(self.tables[t.number].reads() for t in lv.tables if t.number in self.tables) for lv in levels]
        return filled_of(self.options, self.version, self.policy, reads)

    # As a mapping

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return bytes(value)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.put(key, value)

    def __delitem__(self, key: bytes) -> None:
        self.delete(key)

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        return self.keys()


_GRAIN = 128 << 10  # a memtable takes its memory in pieces: so much more than its share is nothing


def in_c(address: int | None) -> bool:
    """Tell whether a component is known to be C all through: None, a built-in's, or one that `compile_component` made."""
    return address is None or address in COMPILED


def _after(space: Keyspace, status: int) -> None:
    """The rest of a call that was done but not simply: a flush is due, or an error is to be raised."""
    if status == SEALED:
        space.db.executor.after_write()
    elif status < 0:
        if space.db.core.closed:
            raise ClosedError("the database is closed")
        space.db.core.raise_last(status)


def _total(lens: Any) -> int:
    """Return the sum of lengths as C reads them, whatever type of four bytes they claim to be."""
    return int(np.frombuffer(lens, np.uint32).sum(dtype=np.uint64))


def _moment(snapshot: Snapshot | None) -> int:
    """Return the sequence number to read at."""
    if snapshot is None:
        return NEWEST
    if not hasattr(snapshot, "held"):
        raise TypeError(f"snapshot is what db.snapshot() gives, not {type(snapshot).__name__}: {snapshot!r:.60}")
    return snapshot.held()


def _settled(space: Keyspace, call: Callable[[], int]) -> None:
    """Make a write, again as long as it finds the door closed."""
    while (status := call()) == STALLED:
        space.db.executor.wait_for_room()
    _after(space, status)


def make_put(space: Keyspace) -> Callable[[bytes, bytes], None]:
    """Return the put that may wait and takes every bytes-like: one cffi call."""
    c_put, _, _, handle = space.core.hot()

    def put(key: bytes, value: bytes) -> None:
        key, value = bytes_of(key), bytes_of(value)
        _settled(space, lambda: c_put(handle, key, len(key), value, len(value)))

    return put


def make_delete(space: Keyspace) -> Callable[[bytes], None]:
    """Return the delete that may wait and takes every bytes-like."""
    _, c_delete, _, handle = space.core.hot()

    def delete(key: bytes) -> None:
        key = bytes_of(key)
        _settled(space, lambda: c_delete(handle, key, len(key)))

    return delete


def make_get(space: Keyspace) -> Callable[..., Any]:
    """Return the get that takes every bytes-like and a snapshot."""
    _, _, c_get, handle = space.core.hot()

    def get(key: bytes, default: Any = None, *, snapshot: Snapshot | None = None) -> Any:
        seq = _moment(snapshot)
        key = bytes_of(key)
        out, view, room, needed = result_buffer()
        while True:
            n = c_get(handle, key, len(key), seq, out, room, needed)
            if n >= 0:
                return view[:n]
            if n == MISSING:
                return default
            if n != SHORT or needed[0] > MAX_VALUE:
                _after(space, n)
            out, view, room, needed = result_buffer(needed[0])

    return get
