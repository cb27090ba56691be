"""The database: opening and closing, keyspaces, batches, snapshots, background work, figures."""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import recovery
from recovery import Clock, FileSystem

from . import dropping, manifest, swap
from .accesses import Accesses
from .archive import Archiver, catalogue
from .batch import Batch, changed
from .care import Care
from .components import make_components
from .disk_watch import DiskWatch
from .dump import dump
from .encryption import Encryption, KeySource, enter
from .errors import ClosedError, Error, IOFailure, LockedError, NotADatabase, ReadOnlyError
from .events import Events
from .executor import Executor, _as_error
from .health import broken_policies
from .holds import Holds
from .how import How
from .interval import IntervalSync
from .keyspace import Keyspace
from .memory import Memory, divided
from .native import NEWEST, SEALED, STALLED
from .native_db import CoreDB
from .opened import opened
from .options import Options, as_options
from .recover import Found, look, new_id, replay
from .scan import Scan
from .scrub import Scrubber
from .snapshot import Snapshot
from .stats import LevelStats, Stats, gather, level_stats
from .untrusted import Limits, check_directory, limits_of, options_for, verify_all
from .version import Edit, Version

if TYPE_CHECKING:
    from .secondary.table import Table

DEFAULT = "default"


class DB(Care):
    """An open database. Data methods are those of the default keyspace; `with` closes it. Threads may share it.

    `recovery_report` tells what opening replayed. Make one with `lsm.open`.
    """

    put: Callable[[bytes, bytes], None]
    get: Callable[..., Any]
    delete: Callable[[bytes], None]
    get_many: Callable[..., list[bytes | None]]
    range: Callable[..., list[tuple[bytes, bytes]]]
    put_many: Callable[..., None]
    put_packed: Callable[..., None]
    delete_many: Callable[..., None]
    delete_range: Callable[[bytes, bytes], None]
    scan: Callable[..., Scan]
    keys: Callable[..., Iterator[bytes]]
    values: Callable[..., Iterator[bytes]]
    scan_chunks: Callable[..., Iterator[Any]]
    scan_arrow: Callable[..., Iterator[Any]]

    def __init__(self, path: str, options: Options, fs: FileSystem, how: How) -> None:
        """Use lsm.open."""
        options = divided(options)
        self.path, self.options, self.fs, self.read_only, self.limits = path, options, fs, how.read_only, how.limits
        self.closed, self.clock = False, how.clock
        self.archiver: Archiver | None = None
        self.cursors: weakref.WeakSet[Scan] = weakref.WeakSet()
        self.spaces: dict[str, Keyspace] = {}
        self.tables: dict[str, Table] = {}
        self._tables_lock = threading.Lock()
        self.resuming = threading.Lock()
        self.replayed: set[tuple[int, bytes]] = set()  # keyspaces and keys of what a read-only database found in the log
        self._lock: recovery.Lock | None = None
        self.interval: IntervalSync | None = None
        self.events = Events()
        self.encryption: Encryption | None = None
        self.budget: Memory | None = None
        self.manifest: manifest.Manifest
        self.core: CoreDB
        try:
            began = time.perf_counter()
            self._prepare(how.create)
            self.fs, self.encryption = enter(fs, path, how.key, create=how.create and not how.read_only)
            fs = self.fs
            self.holds = Holds(fs, path)
            found = look(fs, path)
            if found.state is None and (how.read_only or not how.create):
                raise NotADatabase(f"{path} holds no database; create=True and read_only=False make one")
            if found.state is None:
                found = self._create(found)
            assert found.state is not None
            self.state = found.state
            parts = make_components(options, fs, self.state.database_id, how.limits)
            self.env, self.ledger, self.cache = parts.env, parts.ledger, parts.cache
            self.row_cache, self.calls_out = parts.row_cache, parts.calls_out
            self.disk, self.scrubber = DiskWatch(path, parts.watch, options.stalls.disk_ms), Scrubber(self)
            packed, self.recovery_report = replay(fs, path, found, options.wal.recovery, options.wal.sync)
            self._start(found, packed)
            gone = () if how.read_only else tuple(sorted(set(found.names) - set(fs.listdir(path))))
            self.recovery_report = replace(self.recovery_report, removed=gone, seconds=time.perf_counter() - began)
        except BaseException as e:
            self._give_up()
            if isinstance(e, OSError):
                raise _as_error(e) from e
            raise
        for name in DB.__annotations__:
            if name not in ("manifest", "core", "state"):
                setattr(self, name, getattr(self.default, name))
        opened.add(self)
        self._begin_background()

    # Opening and closing

    def _begin_background(self) -> None:
        """Start what runs beside, and do what is due; when that fails, opening has failed."""
        o = self.options
        try:
            if o.wal.sync == "interval" and o.threads and o.wal.enabled and not self.read_only:
                self.interval = IntervalSync(self.core, o.wal.interval_ms / 1000)
            if o.memory:
                self.budget = Memory(self)
                self.budget.settle()
            self.executor.start()
            self.scrubber.start()
            if o.threads:
                self.disk.start()
            self.executor.begin()
        except BaseException:
            with suppress(Error):  # the first error is the one to tell
                self.close()
            raise

    def _prepare(self, create: bool) -> None:
        fs, path = self.fs, self.path
        if not fs.exists(path):
            if self.read_only or not create:
                raise NotADatabase(f"{path} does not exist; create=True makes a database there")
            fs.makedirs(path)
        if not fs.stat(path)[1]:
            raise NotADatabase(f"{path} is a file; a database is a directory")
        check_directory(fs, path, self.limits)
        if not self.read_only:
            try:
                self._lock = fs.lock(f"{path}/LOCK", f"pid {os.getpid()}")
            except recovery.LockHeld as e:
                raise LockedError(path, e.holder) from None

    def _create(self, found: Found) -> Found:
        """Make an empty database: its manifest is there before its first log, so that a log without one always means damage."""
        o = self.options
        state = manifest.State(new_id(o.seed, deterministic=not o.threads))
        state.add_keyspace(0, DEFAULT, {})
        manifest.Manifest(self.fs, self.path, found.highest + 1, state, None).abandon()
        return look(self.fs, self.path)

    def _start(self, found: Found, packed: list[bytes]) -> None:
        o, state = self.options, self.state
        state.next_file = max(state.next_file, found.highest + 1)
        log = state.next_file
        reached = state.newest_seq
        last = max(reached, state.last_seq if not self.recovery_report.records else 0)
        wal = {
            "sync_mode": recovery.SYNC_MODES[o.wal.sync],
            "segment_bytes": o.wal.segment_bytes or max(o.write_buffer * 5 // 4, 64 * 1024),
            "interval_ns": o.wal.interval_ms * 1_000_000,
            "salt": state.log_salt,
        }
        without_log = self.read_only or not o.wal.enabled
        if o.wal.archive and not without_log:
            state.last_time = max(state.last_time, found.last_time)
            wal |= {"notes": 1, "last_time": state.last_time, "clock": self.clock.address if self.clock is not None else 0}
            self.archiver = Archiver(self, dict(state.unshipped) | found.used, (reached + 1, last))
        self.core = CoreDB(self.env, self.path, recovery.wal_ops_address(), wal, log, last, without_log)
        self.executor = Executor(self)
        for number in sorted(state.names):
            self._attach(number)
        for space in self.spaces.values():
            space.core.replay_floor(state.flushed[space.number])
        for records in packed:
            self.core.replay(records)
        if self.read_only:
            self.core.poison("the database was opened read-only")
            verify_all(self)
            payloads = (r.payload for records in packed for r in recovery.unpack(records))
            self.replayed = {(number, key) for payload in payloads for number, key in changed(payload) if number in state.attached}
            return
        self._begin_manifest(found, log)

    def _begin_manifest(self, found: Found, log: int) -> None:
        """Flush what was replayed, then make one manifest that holds it all; only then remove what is old."""
        core, archiver = self.core, self.archiver
        self.manifest = manifest.Pending()
        if archiver is not None:
            archiver.sync_sources()
        for space in list(self.spaces.values()):
            space.core.seal()
            while mems := space.core.sealed():
                self.executor.flush(space, mems)
        self.state.log_floor, self.state.no_log = log, not self.options.wal.enabled
        number = core.take_numbers(1)
        self.note_counters()
        self.state.unshipped = archiver.below(log) if archiver is not None else []
        self.fs.sync_dir(self.path)
        self.manifest = manifest.Manifest(self.fs, self.path, number, self.state, found.manifest_name)
        live = self._live_files()
        for name in sorted({*(f"{n:06d}.sst" for n in found.tables), *(f"{n:06d}.vlog" for n in found.values)} - live):
            self.remove(name)
        for n in set(found.riders) - self.state.attached_files():
            self.remove(f"{n:06d}.idx")
        if archiver is not None:
            core.note(catalogue(self))
            archiver.start(log)
        for n in found.logs:
            if n < log and (archiver is None or not archiver.needs(n)):
                self.remove(f"{n:06d}.log")
        for name in found.manifests:
            if name != self.manifest.name:
                self.remove(name)

    def _attach(self, number: int) -> Keyspace:
        state = self.state
        options = self.options.override(state.options[number]) if state.options[number] and self.limits is None else self.options
        space = Keyspace(self, number, state.names[number], options, state.versions[number])
        self.spaces[space.name] = space
        for level, run in space.version.runs():
            for info in run.tables:
                space.tables[info.number] = space.open_table(info, level)
        for value in space.version.values:
            space.value_files[value.number] = space.open_value(value)
        space.publish(space.version)
        return space

    def _give_up(self) -> None:
        """Opening failed: let go of everything and leave the directory as it was found."""
        self.closed = True
        if self.archiver is not None:
            self.archiver.stop()
        if hasattr(self, "core"):
            with suppress(Error):
                self.core.close()
        for space in self.spaces.values():
            space.close_files()
        with suppress(OSError):  # the first error is the one to tell
            if isinstance(getattr(self, "manifest", None), manifest.Manifest):
                self.manifest.abandon()
        with suppress(OSError):
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
        self.scrubber.stop()
        with self.resuming:  # else one that is under way starts new workers
            self.executor.stop()
            if self.interval is not None:
                self.interval.stop()
            self.disk.stop()
            if self.archiver is not None:
                self.archiver.stop()
            with self.executor.lock:  # a change of the tree in another thread is whole, or does not begin
                if self.closed:
                    return
                self.closed = True
        opened.discard(self)
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
            space.close_files()
        try:
            if self._lock is not None:
                self._lock.close()
        except OSError as e:
            failure = failure or _as_error(e)
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
            if sync:
                self.core.sync()
            return
        payload = batch.payload()
        while (status := self.core.write(payload, sync)) == STALLED:
            self.executor.wait_for_room()
        if status == SEALED:
            self.executor.after_write()

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
            self.commit(create={"id": number, "name": name, "options": given})
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
        dropping.drop(self, space)

    def attach(self, space: Keyspace, row: Mapping[str, Any]) -> None:
        """Replace the attachment of a keyspace, durably. The executor's lock is held."""
        edit = Edit(space.number, attached=row)
        self.state.apply(edit)
        self.commit(edit)

    def commit(self, *edits: Edit, **more: Any) -> None:
        """Make a change of the state durable. The executor's lock is held."""
        if self.closed:
            raise ClosedError("the database is closed")
        self.note_counters()
        try:
            with self.disk.calls.manifest():
                self.manifest.commit(*edits, **more)
        except OSError as e:
            self.executor.manifest_failed(e)
            raise _as_error(e) from e
        if self.archiver is not None:
            self.core.note(catalogue(self))

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
        """Use another compaction policy from now on: an object with `plan(view)`, until the database is closed; or, for good, a name
        (of a layout, or registered) or options ({"compaction": {...}}, stalls, filter_allocation). TypeError, InvalidOptions, KeyError.
        """
        swap.set_policy(self, self.spaces[keyspace], policy)

    def note_counters(self, *, closed: bool = False, seq: int = 0, space: Keyspace | None = None, flushed: int = 0) -> None:
        """Bring the manifest's counters up to date before a record is written, of a flush of space's oldest sealed memtables, too."""
        state = self.state
        state.next_file = max(state.next_file, self.core.take_numbers(1) + 1 if not closed else state.next_file)
        state.last_seq = seq if closed else self.core.sequence()
        if self.archiver is not None and not closed:
            self.archiver.collect()
            state.last_time = max(state.last_time, self.core.log_time())
        if not closed and not isinstance(self.manifest, manifest.Pending):
            now = self.core.log()[0]  # before the floors: a write that comes meanwhile goes there or behind
            state.log_floor = max(state.log_floor, min([now, *(s.core.log_floor(flushed * (s is space)) for s in self.spaces.values())]))
        if self.archiver is not None and not isinstance(self.manifest, manifest.Pending):
            state.unshipped = self.archiver.below(state.log_floor)

    def sweep(self, *, logs: bool) -> None:
        """Unlink tables that nobody reads and, after a flush, log segments that nobody needs. A failure only delays it."""
        for name in self.unneeded(logs=logs):
            self.remove(name)

    def unneeded(self, *, logs: bool) -> list[str]:
        """Return what `sweep` would unlink, under the lock under which the tree changes; dead tables are told once."""
        names = sorted(set(self.core.take_dead()) - self._live_files())
        if logs and not isinstance(self.manifest, manifest.Pending):
            floor = self.manifest.log_floor  # durable: a power loss may undo some of the unlinks, and recovery must not look for the others
            with suppress(OSError):
                budget = max(self.options.write_buffer, sum(lv.size for s in self.spaces.values() for lv in s.version.levels) // 20)
                free = self.holds.free_logs(recovery.log_numbers(self.fs, self.path), floor, budget)
                names += [f"{n:06d}.log" for n in free if self.archiver is None or not self.archiver.needs(n)]
        return names

    def _live_files(self) -> set[str]:
        return {name for space in self.spaces.values() for name in space.file_names()}

    def remove(self, name: str) -> None:
        """Unlink a file of ours, once no backup copies it; a failure leaves it for the next open to sweep."""
        self.holds.remove(name)

    # Looking

    def levels(self, keyspace: str = DEFAULT) -> list[LevelStats]:
        """Return a row a level of a keyspace."""
        return level_stats(self.spaces[keyspace].version)

    def stats(self) -> Stats:
        """Return the ledger, the cache's figures, the levels and the memory in use."""
        return gather(self)

    def dump(self, keyspace: str = DEFAULT) -> str:
        """Return the tree of a keyspace as text."""
        return dump(self.spaces[keyspace].version)

    def version(self, keyspace: str = DEFAULT) -> Version:
        """Return the tree of a keyspace as it is now."""
        return self.spaces[keyspace].version

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


def open(
    path: str | os.PathLike[str],
    options: Options | Mapping[str, Any] | str | Path | None = None,
    *,
    create: bool = True,
    read_only: bool = False,
    untrusted: bool | Limits = False,
    fs: FileSystem | None = None,
    encryption: KeySource | None = None,
    clock: Clock | None = None,
    **overrides: Any,
) -> DB:
    """Open a database, made when it is not there (create). options: Options, a dict or a TOML file; overrides by name.

    fs: where the files live, default the real file system; `recovery.memory()` keeps them in memory. read_only replays the log
    into memory and writes nothing. untrusted: the files may be made to do harm (docs/security.md): read only, all checked first, within
    Limits. encryption: the master key, 32 bytes, "file:PATH", "env:NAME" or a function that returns it: a new database is then encrypted,
    an encrypted one needs it. clock: the wall clock of time marks in the log (`wal.archive`), default the system's. Raises NotADatabase,
    CorruptionError (file, offset, what), LockedError (holder), InvalidOptions (key, value, allowed), EncryptionError, IOFailure.

    >>> import lsm, recovery
    >>> with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
    ...     db[b"k"] = b"v"
    ...     db.get(b"k"), db.get(b"other")
    (b'v', None)
    """
    limits, where = limits_of(untrusted), os.path.abspath(os.fspath(path))
    how = How(create, read_only or limits is not None, encryption, clock, limits)
    return DB(where, options_for(as_options(options, overrides), limits), fs or recovery.posix(), how)


__all__ = ["DB", "Accesses", "IOFailure", "open", "threading"]
