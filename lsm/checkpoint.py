"""Checkpoints: a directory that opens on its own, made while the database is in use."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import recovery

from . import backup, manifest
from .errors import CorruptionError, NotADatabase
from .executor import _as_error

if TYPE_CHECKING:
    from .db import DB


def make(db: DB, path: str) -> None:
    """Link every table into path, copy the log, write a manifest for them; CURRENT comes last. Nothing of path is left when it fails."""
    db.check_writable()
    fs = db.fs
    with backup.translated():
        if fs.exists(path):
            raise NotADatabase(f"{path} exists; a checkpoint makes its own directory")
    try:
        with backup.pinned(db) as picture:
            fs.makedirs(path)
            fs.sync_dir(os.path.dirname(path) or "/")
            if db.encryption is not None:
                db.encryption.save(path, db.encryption.load(db.path))
            for name in picture.names:
                fs.link(f"{db.path}/{name}", f"{path}/{name}")
            state = manifest.state_of([picture.row], db.path)
            salt, state.timeline = state.log_salt, new_timeline(state, deterministic=not db.options.threads)
            _copy_log(db, path, picture, state, salt)
            number, state.next_file = state.next_file, state.next_file + 1
            manifest.Manifest(fs, path, number, state, None).abandon()
    except BaseException as e:
        with suppress(OSError):
            for name in fs.listdir(path):
                fs.unlink(f"{path}/{name}")
            fs.rmdir(path)
        raise _as_error(e) from e


def _copy_log(db: DB, path: str, picture: backup.Picture, state: manifest.State, salt: int) -> None:
    """Write what the memtables held into a log of the copy's own timeline."""
    first = state.log_floor = state.next_file
    with recovery.WalWriter(db.fs, path, first, salt=state.log_salt) as log:
        for segment in picture.logs:
            source = f"{db.path}/{recovery.segment_name(segment.number)}"
            try:
                records, _ = recovery.read_wal(db.fs, source, "absolute", salt=salt, is_last=False)
            except recovery.WalCorruption as e:
                raise CorruptionError(f"the log is damaged: {e.strerror}", source, e.report.damage_offset) from None
            for record in records:
                log.append(record.seq, record.payload)
        log.sync_to()
        state.next_file = log.number + 1
    state.unshipped, state.closed, state.no_log = [], None, False


def new_timeline(state: manifest.State, *, deterministic: bool = False) -> int:
    """Return the number of a copy's timeline: random, but where the same calls are to make the same bytes."""
    if not deterministic:
        return int.from_bytes(os.urandom(8), "little") | 1
    told = f"{state.database_id} {state.timeline} {state.last_seq} {state.next_file}"
    return int.from_bytes(hashlib.blake2b(told.encode(), digest_size=8).digest(), "little") | 1
