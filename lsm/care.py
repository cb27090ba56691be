"""What keeps a database well: checkpoints, health, verification. The methods are DB's; what they do is in modules of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import recovery
from recovery import FileSystem, Guard

from . import backup as backups
from . import checkpoint as checkpoints
from . import encryption
from . import heal as heals
from . import resume as resumes
from .decisions import Decision
from .encryption import KeyReport, KeySource
from .errors import BackupError, ClosedError
from .health import Health, health_of
from .memory import MemoryReport
from .scrub import Progress

if TYPE_CHECKING:
    from recovery import Clock

    from .db import DB


def _db(care: Care) -> DB:
    return cast("DB", care)


class Care:
    """The part of DB that looks after its files."""

    clock: Clock | None

    def checkpoint(self, path: str | Path) -> None:
        """Make a copy at path that opens on its own: tables hard-linked, log and manifest copied. NotADatabase when path exists."""
        checkpoints.make(_db(self), os.fspath(path))

    def rotate_key(self, source: KeySource) -> None:
        """Wrap the keys of an encrypted database by another master key; no data is rewritten, and a crash leaves one or the other.

        Checkpoints made before stay under the old one. EncryptionError for a bad source or a database that is not encrypted.
        """
        encryption.rotate_master(_db(self), source)

    def rotate_data_keys(self) -> KeyReport:
        """Use a new key for new files from now on; files under older ones go as compaction, flushes and reopening replace them.

        Older keys that no file is under are forgotten. Returns what key_report returns. EncryptionError when it is not encrypted.
        """
        return encryption.rotate_data(_db(self))

    def key_report(self) -> KeyReport:
        """Return the current key, how many there are, and how many files are under older ones. O(files)."""
        return encryption.report(_db(self))

    def backup(
        self,
        target: str | Path,
        *,
        key: bytes | str | None = None,
        codec: str = "none",
        fs: FileSystem | None = None,
        threads: int | None = None,
        told: backups.Told | None = None,
    ) -> backups.Backup:
        """Add a backup to the store at target, which is made when it is not there. Only what the store has not is copied; writers go on.

        key: 32 bytes, "file:PATH" or "env:NAME"; the store is encrypted then, and that of an encrypted database must be. codec: "zstd"
        compresses. fs: where target is, default where the database is. told(file, done, all) is called as it goes. BackupError,
        CorruptionError, IOFailure, BusyError (somebody else writes to the store); then what the target had is as it was, and what
        was copied is used by the next attempt.
        """
        db = _db(self)
        store = backups.open_store(backups.target_of(db, fs, key), os.path.abspath(os.fspath(target)), key=key, codec=codec, make=True)
        guard = Guard(f"backup target {target}", sleep=time.sleep)
        try:
            return backups.create(db, store, guard, told, threads if threads is not None else 4 if db.options.threads else 1)
        finally:
            db.events.called(guard.metrics)

    def archive_now(self) -> None:
        """End the log segment and ship it to `wal.archive`: on return everything acknowledged is there. BackupError says why not;
        then the log stays until it is shipped.
        """
        db = _db(self)
        if db.archiver is None:
            raise BackupError("wal.archive is not set: there is no archive")
        db.check_writable()
        if db.core.log()[1] > recovery.SEGMENT_HEADER:
            db.core.rotate_log()
        db.core.sync()
        if not db.archiver.ship():
            raise BackupError(db.archiver.problem() or f"{db.options.wal.archive} is in use by a backup or a prune; do it again")

    def wall_ns(self) -> int:
        """Return the wall clock, ns since 1970."""
        return self.clock.now_ns if self.clock is not None else time.time_ns()

    @property
    def health(self) -> Health:
        """Whether writes are taken, and if not why and what helps; the backlog of background work; sizes of log and manifest."""
        return health_of(_db(self))

    @property
    def memory(self) -> MemoryReport | None:
        """How the budget `memory` is shared now; None without one. O(tables)."""
        db = _db(self)
        with db.executor.lock:
            return db.budget.report() if db.budget is not None else None

    def balance(self) -> MemoryReport:
        """Ask the arbiter of memory now, whatever happened since it was asked last. ValueError without a budget. O(tables)."""
        db = _db(self)
        with db.executor.lock:
            if db.budget is None:
                raise ValueError("the database has no budget of memory: open it with memory=BYTES")
            db.budget.balance(now=True)
        db.executor.on_sealed()  # a memtable may be larger than its share now
        return db.budget.report()

    def resume(self) -> bool:
        """Go on after a failure, when its cause has passed: space is back, the disk answers. True when there was something to do.

        After a failed sync or write of the log, of the manifest, of a flush or a compaction the database is read-only, and `health` says
        why. This makes everything acknowledged durable again in new files (a new log, tables of all memtables, a new manifest), and only
        then takes writes; no sync is tried again on a file that failed one. A write that raised may be there or not. IOFailure: the
        cause is still there; the database stays read-only, and this may be tried again. O(bytes of the memtables).
        """
        return resumes.resume(_db(self))

    def trace(self, told: Callable[[str, Decision], None] | None) -> None:
        """Call told(keyspace, decision) with every flush, merge and move from now on, as it is installed; None ends it.

        With threads=0 the lines of one run are those of any other one on the same writes, and those of the simulator. told must be quick:
        it is called under the lock of the tree.
        """
        _db(self).executor.told = told

    def scrub(self, *, progress: Progress | None = None) -> list[str]:
        """Read and check every live table, value file and index file now, past the cache. Returns what is wrong, a line each.

        progress: called with a file's name, the bytes done and the bytes to do. `health` keeps what is damaged; the options' group
        ``scrub`` does the same round and round in the background. O(bytes of all tables).
        """
        db = _db(self)
        if db.closed:
            raise ClosedError("the database is closed")
        return db.scrubber.scan(None, progress)

    def rebuild_indexes(self, table: str) -> list[str]:
        """Throw away the index files of a table that is not open, and build its indexes again from its rows when it is opened.

        For index files that are damaged: `DB.table` and reads of the indexes raise CorruptionError then. Returns the names of the
        indexes. KeyError: no such table; BusyError: it is open; ReadOnlyError; IOFailure.
        """
        from .secondary.rebuild import rebuild

        return rebuild(_db(self), table)

    def verify(self) -> list[str]:
        """Read and check every block of every table and every record of every value file. Returns what is wrong, a line each."""
        return self.scrub()

    def heal(self, copy: str | Path, *, key: bytes | str | None = None, fs: FileSystem | None = None) -> list[str]:
        """Replace each file that `health` calls damaged by the same table or value file of a copy: a checkpoint, a target of backups, or
        any directory with it.

        The same is: its size, its footer's checksum, its number and the database's id; and it is verified whole before it takes the place
        of the damaged one, atomically, while reads and writes go on. Returns the names of the files that are whole again. key: of backups
        that are encrypted. fs: where the copy lives, default the database's own. NotADatabase: no such directory; BackupError; IOFailure.
        """
        return heals.heal(_db(self), os.fspath(copy), fs, key)
