"""The backups of a target: list, verify, prune, restore."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import recovery
from recovery import FileSystem

from . import backup as making
from . import backup_form
from .backup import Backup, Told
from .encryption import KeySource
from .restore import Restored, restore


@dataclass(frozen=True)
class Pruned:
    """What a prune removed: backups, archived log segments, objects and their bytes."""

    backups: tuple[str, ...]
    segments: int
    objects: int
    bytes: int


class Backups:
    """A backup target: a directory that `DB.backup` and the log archive (`wal.archive`) write to. Changes nothing but in `prune`."""

    def __init__(self, target: str | Path, *, key: bytes | str | None = None, fs: FileSystem | None = None) -> None:
        """Open a target. key: 32 bytes, "file:PATH" or "env:NAME", for one that is encrypted. BackupError, IOFailure."""
        self.fs = fs or recovery.posix()
        self.store = making.open_store(self.fs, os.path.abspath(os.fspath(target)), key=key)

    def backups(self) -> list[Backup]:
        """Return all backups, oldest first. BackupError names a record that is damaged."""
        return making.listed(self.store)

    def verify(self, told: Told | None = None) -> list[str]:
        """Read every record and every object that one names. Returns what is wrong, a line each; empty when all is well. O(bytes)."""
        with making.translated(self.store):
            return making.verify(self.store, told)

    def prune(self, keep: int) -> Pruned:
        """Remove all but the newest `keep` backups of each database and timeline, and what only they need, archived log included.

        What is old is told by number, never by a clock. A crash on the way leaves objects that the next prune removes. ValueError for
        keep < 1; BackupError when a record is damaged: then nothing is removed.
        """
        if keep < 1:
            raise ValueError(f"keep is {keep}; allowed: 1 and more")
        store = self.store
        with making.translated(store), store.exclusive("prune"):
            store.references()  # every record can be read, or nothing goes
            lines: dict[str, list[str]] = {}
            for b in self.backups():
                lines.setdefault(f"{b.database}-{b.timeline}", []).append(b.id)
            dropped = [name for ids in lines.values() for name in ids[:-keep]]
            floors = {line: backup_form.record(store, "backup", ids[-keep:][0])["manifest"]["log_floor"] for line, ids in lines.items()}
            for name in dropped:
                store.drop_record("backup", name)
            segments = 0
            for name in backup_form.names(store, "segment"):
                line, _, number = name.rpartition("-")
                if int(number) < floors.get(line, 0):
                    store.drop_record("segment", name)
                    segments += 1
            objects, freed = store.sweep()
        return Pruned(tuple(dropped), segments, objects, freed)

    def restore(
        self,
        path: str | Path,
        *,
        backup: str | None = None,
        to_seq: int | None = None,
        to_time: int | None = None,
        database: str | None = None,
        fs: FileSystem | None = None,
        encryption: KeySource | None = None,
        told: Told | None = None,
    ) -> Restored:
        """Make a directory at path that opens as a database: the newest backup, or `backup`, as it was made.

        to_seq, to_time (ns since 1970): as it was then, from the newest backup at or before and the archived log behind it. database:
        DATABASE or DATABASE-TIMELINE, where the target has several. fs: where path is, default where the target is. encryption: the
        key of the database to make (as of lsm.open), which is encrypted then; without it it is not. RestoreError when that moment
        cannot be had or path is not empty, BackupError for damage, IOFailure; then path is no database.
        """
        where = os.path.abspath(os.fspath(path))
        return restore(
            self.store, fs or self.fs, where, backup=backup, to_seq=to_seq, to_time=to_time, database=database,
            encryption=encryption, told=told,
        )  # fmt: skip
