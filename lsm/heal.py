"""Healing: a damaged table or value file is replaced by the same one of a copy of the database: a checkpoint, backups, another disk."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from recovery import FileSystem, StoreDamage

from .copies import Copy, Source
from .errors import ClosedError, Error, ReadOnlyError
from .executor import _as_error
from .keyspace import Keyspace
from .native import Table
from .native_values import ValueFile
from .version import TableInfo, ValueInfo

if TYPE_CHECKING:
    from .db import DB


def heal(db: DB, copy: str, fs: FileSystem | None, key: bytes | str | None) -> list[str]:
    """Replace each damaged table and value file that the copy has. See `DB.heal`."""
    if db.closed:
        raise ClosedError("the database is closed")
    below = fs or (db.encryption.below if db.encryption is not None else db.fs)
    where = Copy(copy, fs=fs or db.fs, below=below, key=key, database=db.state.database_id)
    tables = {f"{t.number:06d}.sst": (space, t) for space in db.spaces.values() for t in space.version.tables().values()}
    values = {f"{v.number:06d}.vlog": (space, v) for space in db.spaces.values() for v in space.version.values}
    wanted: dict[str, tuple[Keyspace, TableInfo | ValueInfo]] = {**tables, **values}
    healed = []
    for name in sorted(wanted.keys() & db.scrubber.damaged.keys()):
        space, info = wanted[name]
        source = where.find(name, info)
        if source is not None and _replace(db, space, name, info, source):
            db.scrubber.note(name, None)
            healed.append(name)
    db.events.count("healed_files", len(healed))
    if healed and not db.read_only:
        with suppress(ReadOnlyError):
            db.executor.on_sealed()  # what rested may be merged again
    return healed


def _open(db: DB, space: Keyspace, path: str, info: TableInfo | ValueInfo) -> Table | ValueFile:
    if isinstance(info, ValueInfo):
        return ValueFile(db.env, path, info.number, info.size, info.footer_crc)
    return Table(db.env, space.table_settings(0), path, info.number, info.size, info.footer_crc)


def _replace(db: DB, space: Keyspace, name: str, info: TableInfo | ValueInfo, source: Source) -> bool:
    """Copy, sync, verify whole, rename over the damaged one, publish. False when the copy is damaged too, or the file is live no more."""
    path = f"{db.path}/{name}"
    fresh = f"{path}.heal"
    try:
        try:
            with db.fs.open(fresh, "w") as new:
                for piece in source():
                    new.append(piece)
                new.sync()
            made = _open(db, space, fresh, info)
            made.verify()
            made.close()
        except (Error, StoreDamage):
            db.fs.unlink(fresh)
            return False
        with db.executor.lock:
            files: dict[int, Any] = space.tables if isinstance(info, TableInfo) else space.value_files
            if info.number not in files:
                db.fs.unlink(fresh)
                return False
            db.fs.rename(fresh, path)
            db.fs.sync_dir(db.path)
            damaged = files[info.number]
            level = next((lv for lv, run in space.version.runs() if info in run.tables), 0)
            files[info.number] = space.open_table(info, level) if isinstance(info, TableInfo) else space.open_value(info)
            space.publish(space.version)
            damaged.close()
            db.sweep(logs=False)
    except OSError as e:
        raise _as_error(e) from e
    return True
