"""Going on after a failure, when its cause has passed: everything acknowledged is made durable again, in new files.

    workers stop -> a new log -> memtables flushed to new tables -> a new manifest with all of it -> writes are taken again

After a failed sync the page cache may call clean what never came to the disk, so nothing of the old log and of the old manifest is used,
read or synced again: what is acknowledged and not in a synced table is in a memtable. Until the new manifest is durable the old files
stay as they are, so a crash in between leaves what a crash before would have left. (Rebello et al., "Can Applications Recover from fsync
Failures?", USENIX ATC 2020.)
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from . import manifest
from .errors import ClosedError, ReadOnlyError
from .executor import _as_error
from .shield import shielded

if TYPE_CHECKING:
    from .db import DB


def resume(db: DB) -> bool:
    """Make a database that failed writable again. See `DB.resume`."""
    if db.closed:
        raise ClosedError("the database is closed")
    if db.read_only:
        raise ReadOnlyError("the database was opened read-only; open it without read_only to write")
    with db.resuming:
        if db.closed:
            raise ClosedError("the database is closed")
        if db.core.why_read_only() is None and db.executor.error is None:
            return False
        if db.core.failed_for_want_of_memory():
            raise ReadOnlyError(f"{db.core.why_read_only()}: part of a write may be in memory; close and open the database")
        db.executor.stop()
        try:
            with db.executor.lock, shielded():
                _make_durable(db)
                db.core.revive()
                db.executor.error = None
                for table in list(db.tables.values()):
                    table.recover()
        except BaseException as e:
            db.executor.closing = False
            db.executor.error = db.executor.error or e  # no background work: the manifest on the disk may not know the newest tables
            raise _as_error(e) from e
        db.executor.restart()
    db.events.count("resumes")
    db.executor.on_sealed()
    return True


def _make_durable(db: DB) -> None:
    core, state, old = db.core, db.state, db.manifest
    core.poison("resuming")  # where background work failed inline, writes were still taken
    db.executor.closing = False
    log = core.take_numbers(1)
    core.new_log(log)
    for number in set(state.names) - {s.number for s in db.spaces.values()}:
        state.drop_keyspace(number)  # one whose making could not be noted
    for space in db.spaces.values():
        state.versions[space.number] = space.version
    db.manifest = manifest.Pending()
    held = core.snapshot()
    core.in_doubt(True)
    try:
        for space in list(db.spaces.values()):
            rider, space.rider = space.rider, None  # it finds what it missed in the tables, in-doubt writes too
            try:
                space.core.seal()
                while mems := space.core.sealed():
                    db.executor.flush(space, mems)
            finally:
                space.rider = rider
        db.fs.sync_dir(db.path)
        number = core.take_numbers(1)
        db.note_counters()
        floor, state.log_floor = state.log_floor, log if db.options.wal.enabled else state.log_floor
        try:
            db.manifest = manifest.Manifest(db.fs, db.path, number, state, old.name)
        except BaseException:
            state.log_floor = floor
            raise
    except BaseException:
        db.manifest = old
        raise
    finally:
        core.in_doubt(False)
        core.release(held)
    with suppress(OSError):
        old.abandon()
    db.sweep(logs=True)
