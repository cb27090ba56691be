"""The database: opening and closing, keyspaces, batches, snapshots, background work, figures."""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import recovery
from recovery import FileSystem

from . import checkpoint as checkpoints
from . import manifest
from .batch import Batch, changed
from .components import make_components
from .dump import dump
from .errors import BusyError, ClosedError, Error, IOFailure, LockedError, NotADatabase, ReadOnlyError
from .executor import Executor, _as_error
from .health import Health, broken_policies, health_of
from .keyspace import Keyspace
from .native import NEWEST, SEALED, STALLED
from .native_db import CoreDB
from .options import Options, as_options
from .recover import Found, look, replay
from .scan import Scan
from .snapshot import Snapshot
from .stats import LevelStats, Stats, gather, level_stats
from .version import Edit, Version

if TYPE_CHECKING:
    from .secondary.table import Table

DEFAULT = "default"
_open: set[DB] = set()  # a database that is forgotten is closed at exit: the collector would end its parts in any order


@atexit.register
def _close_forgotten() -> None:
    for db in list(_open):
        with suppress(Error):
            db.close()


class DB:
    """An open database. Data methods are those of the default keyspace; `with` closes it. Threads may share it.

    `recovery_report` tells what opening replayed. Make one with `lsm.open`.
    """

    put: Callable[[bytes, bytes], None]
    get: Callable[..., Any]
    delete: Callable[[bytes], None]
    get_many: Callable[..., list[bytes | None]]
    put_many: Callable[..., None]
    put_packed: Callable[..., None]
    delete_many: Callable[..., None]
    delete_range: Callable[[bytes, bytes], None]
    scan: Callable[..., Scan]
    keys: Callable[..., Iterator[bytes]]
    values: Callable[..., Iterator[bytes]]
    scan_chunks: Callable[..., Iterator[Any]]
    scan_arrow: Callable[..., Iterator[Any]]

    def __init__(self, path: str, options: Options, fs: FileSystem, *, create: bool, read_only: bool) -> None:
        """Use lsm.open."""
        self.path, self.options, self.fs, self.read_only = path, options, fs, read_only
        self.closed = False
        self.cursors: weakref.WeakSet[Scan] = weakref.WeakSet()
        self.spaces: dict[str, Keyspace] = {}
        self.tables: dict[str, Table] = {}
        self._tables_lock = threading.Lock()
        self.replayed: set[tuple[int, bytes]] = set()  # keyspaces and keys of what a read-only database found in the log
        self._lock: recovery.Lock | None = None
        self.manifest: manifest.Manifest
        self.core: CoreDB
        try:
            self._prepare(create)
            found = look(fs, path)
            if found.state is None and (read_only or not create):
                raise NotADatabase(f"{path} holds no database; create=True and read_only=False make one")
            if found.state is None:
                found = self._create(found)
            assert found.state is not None
            self.state = found.state
            parts = make_components(options, fs, self.state.database_id)
            self.env, self.ledger, self.cache, self.row_cache, self.calls_out = (
                parts.env,
                parts.ledger,
                parts.cache,
                parts.row_cache,
                parts.calls_out,
            )
            records, self.recovery_report = replay(fs, path, found, options.wal.recovery, options.wal.sync)
            self._start(found, records)
        except BaseException as e:
            self._give_up()
            if isinstance(e, OSError):
                raise _as_error(e) from e
            raise
        for name in DB.__annotations__:
            if name not in ("manifest", "core", "state"):
                setattr(self, name, getattr(self.default, name))
        _open.add(self)
        self.executor.start()
        self.executor.on_sealed()

    # Opening and closing

    def _prepare(self, create: bool) -> None:
        fs, path = self.fs, self.path
        if not fs.exists(path):
            if self.read_only or not create:
                raise NotADatabase(f"{path} does not exist; create=True makes a database there")
            fs.makedirs(path)
            fs.sync_dir(os.path.dirname(path) or "/")
        if not fs.stat(path)[1]:
            raise NotADatabase(f"{path} is a file; a database is a directory")
        if not self.read_only:
            holder = f"pid {os.getpid()}"
            try:
                self._lock = fs.lock(f"{path}/LOCK", holder)
            except recovery.LockHeld as e:
                raise LockedError(path, e.holder) from None

    def _create(self, found: Found) -> Found:
        """Make an empty database: its manifest is there before its first log, so that a log without one always means damage."""
        state = manifest.State(_new_id(self.options))
        state.add_keyspace(0, DEFAULT, {})
        manifest.Manifest(self.fs, self.path, found.highest + 1, state, None).abandon()
        return look(self.fs, self.path)

    def _start(self, found: Found, records: list[tuple[int, bytes]]) -> None:
        o, state = self.options, self.state
        state.next_file = max(state.next_file, found.highest + 1)
        log = state.next_file
        last = max([state.last_seq if not records else 0, *state.flushed.values()], default=0)
        wal = {
            "sync_mode": recovery.SYNC_MODES[o.wal.sync],
            "segment_bytes": o.wal.segment_bytes or max(o.write_buffer * 5 // 4, 64 * 1024),
            "interval_ns": o.wal.interval_ms * 1_000_000,
            "salt": state.database_id,
        }
        without_log = self.read_only or not o.wal.enabled
        self.core = CoreDB(self.env, self.path, recovery.wal_ops_address(), wal, log, last, without_log)
        self.executor = Executor(self)
        for number in sorted(state.names):
            self._attach(number)
        sealed = False
        for space in self.spaces.values():
            space.core.replay_floor(state.flushed[space.number])
        for seq, payload in records:
            sealed |= self.core.replay(seq, payload) == SEALED
        if self.read_only:
            self.core.poison("the database was opened read-only")
            self.replayed = {(number, key) for _, payload in records for number, key in changed(payload) if number in state.attached}
            return
        self._begin_manifest(found, log)

    def _begin_manifest(self, found: Found, log: int) -> None:
        """Flush what was replayed, then make one manifest that holds it all; only then remove what is old."""
        core = self.core
        self.manifest = _Pending()
        for space in list(self.spaces.values()):
            space.core.seal()
            while mems := space.core.sealed():
                self.executor.flush(space, mems)
        self.state.log_floor = log
        number = core.take_numbers(1)
        self.note_counters()
        self.fs.sync_dir(self.path)
        self.manifest = manifest.Manifest(self.fs, self.path, number, self.state, found.manifest_name)
        live = {n for space in self.spaces.values() for n in space.version.tables()}
        for n in found.tables:
            if n not in live:
                self.remove(f"{n:06d}.sst")
        for n in set(found.riders) - self.state.attached_files():
            self.remove(f"{n:06d}.idx")
        for n in found.logs:
            if n < log:
                self.remove(f"{n:06d}.log")
        for name in found.manifests:
            if name != self.manifest.name:
                self.remove(name)

    def _attach(self, number: int) -> Keyspace:
        state = self.state
        options = self.options.override(state.options[number]) if state.options[number] else self.options
        space = Keyspace(self, number, state.names[number], options, state.versions[number])
        self.spaces[space.name] = space
        for level, run in space.version.runs():
            for info in run.tables:
                space.tables[info.number] = space.open_table(info, level)
        space.core.publish([(level, [space.tables[t.number] for t in run.tables]) for level, run in space.version.runs()], 0)
        return space

    def _give_up(self) -> None:
        """Opening failed: let go of everything and leave the directory as it was found."""
        self.closed = True
        if hasattr(self, "core"):
            with suppress(Error):
                self.core.close()
        for space in self.spaces.values():
            for table in space.tables.values():
                table.close()
        if isinstance(getattr(self, "manifest", None), manifest.Manifest):
            self.manifest.abandon()
        if self._lock is not None:
            self._lock.close()

    def close(self) -> None:
        """End: cancel running jobs, note a clean end in the manifest, close the log. What is in the memtables stays in the log.

        Safe to call twice. Open scans and snapshots end. IOFailure when the log or the manifest cannot be written; a RuntimeWarning when an
        eviction policy broke its rules (see `health`).
        """
        if self.closed:
            return
        for told in broken_policies(self):
            warnings.warn(told, RuntimeWarning, stacklevel=2)
        self.executor.stop()
        self.closed = True
        _open.discard(self)
        for scan in list(self.cursors):
            scan.close()
        self.sweep(logs=False)  # before the core goes: it lets go of the current version too, and those tables must stay
        failure: BaseException | None = None
        try:
            self._close_files()
        except (OSError, Error) as e:
            failure = _as_error(e)
        for space in self.spaces.values():
            space.unload()
            for table in space.tables.values():
                table.close()
            space.tables.clear()
        if self._lock is not None:
            self._lock.close()
        if failure is not None:
            raise failure

    def _close_files(self) -> None:
        clean = not self.read_only and self.core.why_read_only() is None
        log, used = self.core.log() if clean else (0, 0)
        pending = any(s.core.log_floor() != NEWEST for s in self.spaces.values())
        seq = self.core.sequence()
        try:
            self.core.close()
        except Error:
            if not self.read_only:
                self.manifest.abandon()
            raise
        if clean:
            self.note_counters(closed=True, seq=seq)
            self.manifest.close(log, used, seq if pending and self.options.wal.enabled else 0)
        elif not self.read_only:
            self.manifest.abandon()

    def __enter__(self) -> DB:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing

    def write(self, batch: Batch, *, sync: bool = False) -> None:
        """Apply a batch: all of it, at once, after it is in the log; with sync it is on the disk when this returns."""
        if not isinstance(batch, Batch):
            raise TypeError(f"write takes an lsm.Batch, not {type(batch).__name__}: {batch!r:.60}")
        if not batch.count:
            return
        payload = batch.payload()
        while (status := self.core.write(payload, sync)) == STALLED:
            self.executor.wait_for_room()
        if status == SEALED:
            self.executor.on_sealed()

    def sync(self) -> None:
        """Make everything acknowledged durable."""
        self.core.sync()

    def check_writable(self) -> None:
        """Raise ClosedError or ReadOnlyError when writes are refused."""
        if self.closed:
            raise ClosedError("the database is closed")
        if why := self.core.why_read_only():
            raise ReadOnlyError(why)
        self.executor.raise_error()

    def snapshot(self) -> Snapshot:
        """Hold this moment, over all keyspaces, until it is closed."""
        if self.closed:
            raise ClosedError("the database is closed")
        return Snapshot(self)

    # Keyspaces

    @property
    def default(self) -> Keyspace:
        """The keyspace that the database's own data methods use."""
        return self.spaces[DEFAULT]

    def keyspaces(self) -> list[str]:
        """Return the names of the keyspaces."""
        return sorted(self.spaces)

    def keyspace(self, name: str, options: Mapping[str, Any] | None = None, *, create: bool = True) -> Keyspace:
        """Return a keyspace, made when it is not there. options override the database's, for a new one only.

        KeyError when it is not there and create is False; ValueError for a name that is not 1 to 64 of A-Z a-z 0-9 . _ -
        """
        if name in self.spaces:
            return self.spaces[name]
        if not isinstance(name, str):
            raise TypeError(f"the name of a keyspace is text, not {type(name).__name__}: {name!r:.60}")
        if not create:
            raise KeyError(f"no keyspace {name!r}; there are {', '.join(self.keyspaces())}")
        if not (0 < len(name) <= 64 and name.isascii() and name.replace("-", "a").replace(".", "a").replace("_", "a").isalnum()):
            raise ValueError(f"the name of a keyspace is {name!r}; allowed: 1 to 64 of A-Z a-z 0-9 . _ -")
        self.check_writable()
        self.options.override(options or {})
        with self.executor.lock:
            number = self.state.next_keyspace
            given = dict(options or {})
            self.state.add_keyspace(number, name, given)
            self._commit(create={"id": number, "name": name, "options": given})
            return self._attach(number)

    def table(self, name: str, key: str | None = None, *, functions: Mapping[str, Callable[..., Any]] | None = None) -> Table:
        """Return a table of rows with secondary indexes, over the keyspace of that name; made when it is not there, with ``key`` ("id").

        functions: by name, for indexes of expressions; every time the table is opened, and without side effects. ValueError for another
        key than it has, or a keyspace that holds pairs; KeyError for a function that an index needs.
        """
        from .secondary.table import Table

        with self._tables_lock:
            if name not in self.tables:
                self.tables[name] = Table(self, name, key, functions or {})
            table = self.tables[name]
        if key not in (None, table.key):
            raise ValueError(f"key is {key!r}; table {name!r} has {table.key!r}")
        return table

    def drop_keyspace(self, name: str) -> None:
        """Delete a keyspace and all that is in it; of a table, with its keys. ValueError for the default one, KeyError for one that is not
        there, BusyError for one that belongs to a table.
        """
        if name == DEFAULT:
            raise ValueError("the default keyspace cannot be dropped")
        space = self.keyspace(name, create=False)
        self.check_writable()
        self.executor.wait()
        with self.executor.lock:
            attached = self.state.attached.get(space.number)
            if attached is None and space.managed:
                raise BusyError(f"keyspace {name!r} belongs to a table; drop_keyspace({name.removesuffix('.keys')!r}) drops both")
            keys = self.spaces.get(f"{name}.keys") if attached is not None and attached.get("key_kind") == "any" else None
            gone = [space] if keys is None else [space, keys]
            self.tables.pop(name, None)
            for s in gone:
                s.dropped = True
                del self.spaces[s.name]
                self.state.drop_keyspace(s.number)
            self._commit(drop=[s.number for s in gone] if len(gone) > 1 else space.number)
            for n in (attached or {}).get("files", ()):
                self.remove(f"{n:06d}.idx")
            for s in gone:
                self._let_go(s)
            self.sweep(logs=True)

    def _let_go(self, space: Keyspace) -> None:
        space.core.publish([], 0)
        space.core.drop()
        for table in space.tables.values():
            table.close()
        space.unload()

    def attach(self, space: Keyspace, row: Mapping[str, Any]) -> None:
        """Replace the attachment of a keyspace, durably. The executor's lock is held."""
        edit = Edit(space.number, attached=row)
        self.state.apply(edit)
        self._commit(edit)

    def _commit(self, *edits: Edit, **more: Any) -> None:
        self.note_counters()
        try:
            self.manifest.commit(*edits, **more)
        except OSError as e:
            self.core.poison(f"the manifest could not be written: {e}")
            raise _as_error(e) from e

    # The tree and its files

    def flush(self) -> None:
        """Flush every keyspace's memtable to tables; wait for that and for the compactions that follow."""
        for space in list(self.spaces.values()):
            space.flush()

    def compact(self, start: bytes | None = None, stop: bytes | None = None) -> None:
        """Flush the default keyspace, then merge everything in [start, stop] down. Waits."""
        self.default.compact(start, stop)

    def wait(self) -> None:
        """Wait until no background work is running or due."""
        self.executor.wait()

    def set_policy(self, policy: Any, keyspace: str = DEFAULT) -> None:
        """Use another compaction policy from now on: an object with `plan(view)`. TypeError without that."""
        if not callable(getattr(policy, "plan", None)):
            raise TypeError(f"a compaction policy has plan(view); {type(policy).__name__} has not: {policy!r:.60}")
        with self.executor.lock:
            self.spaces[keyspace].policy = policy
        self.executor.on_sealed()

    def note_counters(self, *, closed: bool = False, seq: int = 0) -> None:
        """Bring the manifest's counters up to date before a record is written."""
        state = self.state
        state.next_file = max(state.next_file, self.core.take_numbers(1) + 1 if not closed else state.next_file)
        state.last_seq = seq if closed else self.core.sequence()
        if not closed and not isinstance(self.manifest, _Pending):
            now = self.core.log()[0]  # before the floors: a write that comes meanwhile goes there or behind
            state.log_floor = max(state.log_floor, min([now, *(s.core.log_floor() for s in self.spaces.values())]))

    def sweep(self, *, logs: bool) -> None:
        """Unlink tables that nobody reads and, after a flush, log segments that nobody needs. A failure only delays it."""
        live = {number for space in self.spaces.values() for number in space.tables}
        for number in self.core.take_dead():
            if number not in live:
                self.remove(f"{number:06d}.sst")
        if logs and not isinstance(self.manifest, _Pending):
            floor = (
                self.state.log_floor
            )  # durable: unlinks may come undone one by one in a power loss, and recovery must not look for the others
            with suppress(OSError):
                for n in recovery.log_numbers(self.fs, self.path):
                    if n < floor:
                        self.remove(f"{n:06d}.log")

    def remove(self, name: str) -> None:
        """Unlink a file of ours; a failure leaves it for the next open to sweep."""
        try:
            self.fs.unlink(f"{self.path}/{name}")
        except OSError:
            return

    def checkpoint(self, path: str | Path) -> None:
        """Make a copy at path that opens on its own: tables hard-linked, log and manifest copied. NotADatabase when path exists."""
        checkpoints.make(self, os.fspath(path))

    # Looking

    def levels(self, keyspace: str = DEFAULT) -> list[LevelStats]:
        """Return a row a level of a keyspace."""
        return level_stats(self.spaces[keyspace].version)

    def stats(self) -> Stats:
        """Return the ledger, the cache's figures, the levels and the memory in use."""
        return gather(self)

    @property
    def health(self) -> Health:
        """Whether writes are taken, and if not why and what helps; the backlog of background work; sizes of log and manifest."""
        return health_of(self)

    def dump(self, keyspace: str = DEFAULT) -> str:
        """Return the tree of a keyspace as text."""
        return dump(self.spaces[keyspace].version)

    def version(self, keyspace: str = DEFAULT) -> Version:
        """Return the tree of a keyspace as it is now."""
        return self.spaces[keyspace].version

    def verify(self) -> list[str]:
        """Read and check every block of every table. Returns what is wrong, a line each; empty when all is well."""
        if self.closed:
            raise ClosedError("the database is closed")
        with self.executor.lock:  # background work may close its own references at any time
            tables = [table.share() for space in self.spaces.values() for table in space.tables.values()]
        problems = []
        for table in tables:
            try:
                table.verify()
            except Error as e:
                problems.append(str(e))
            finally:
                table.close()
        return problems

    @contextmanager
    def record_block_accesses(self, limit: int = 1 << 24) -> Iterator[Accesses]:
        """Record the block cache's accesses in order, for `eviction.replay`. Yields an object that is an array of keys at the end."""
        if self.cache is None:
            raise ValueError("cache.capacity is 0: there are no accesses to record")
        accesses = Accesses()
        stop = self.cache.record(limit)
        try:
            yield accesses
        finally:
            accesses.keys = np.frombuffer(stop(), np.uint64)

    def __getitem__(self, key: bytes) -> bytes:
        return self.default[key]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.put(key, value)

    def __delitem__(self, key: bytes) -> None:
        self.delete(key)

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        return self.keys()

    def __repr__(self) -> str:
        return f"<lsm.DB {self.path}{' closed' if self.closed else ''}>"


class Accesses:
    """Block accesses that were recorded: behaves as a sequence of uint64 keys."""

    def __init__(self) -> None:
        self.keys: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self.keys.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint64]:
        return self.keys if dtype is None else self.keys.astype(dtype)


class _Pending(manifest.Manifest):
    """Stands in for the manifest while recovery flushes: its edits go into the snapshot that the new manifest begins with."""

    def __init__(self) -> None:
        """Nothing to write to."""

    def commit(self, *edits: Any, **more: Any) -> None:
        """Nothing yet."""

    def abandon(self) -> None:
        """Nothing to close."""


def _new_id(options: Options) -> int:
    """Random, except for the deterministic mode: there it follows from the seed."""
    if options.threads:
        return int.from_bytes(os.urandom(8), "little") | 1
    return int.from_bytes(hashlib.blake2b(str(options.seed).encode(), digest_size=8).digest(), "little") | 1


def open(
    path: str | os.PathLike[str],
    options: Options | Mapping[str, Any] | str | Path | None = None,
    *,
    create: bool = True,
    read_only: bool = False,
    fs: FileSystem | None = None,
    **overrides: Any,
) -> DB:
    """Open a database, made when it is not there (create). options: Options, a dict or a TOML file; overrides by name.

    fs: where the files live, default the real file system; `recovery.memory()` keeps them in memory. read_only replays the log
    into memory and writes nothing. Raises NotADatabase, CorruptionError (file, offset, what), LockedError (holder), InvalidOptions
    (key, value, allowed), IOFailure.

    >>> import lsm, recovery
    >>> with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
    ...     db[b"k"] = b"v"
    ...     db.get(b"k"), db.get(b"other")
    (b'v', None)
    """
    chosen = as_options(options, overrides)
    return DB(os.path.abspath(os.fspath(path)), chosen, fs or recovery.posix(), create=create, read_only=read_only)


__all__ = ["DB", "Accesses", "IOFailure", "open", "threading"]
