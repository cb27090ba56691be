"""Checkpoints: a directory that opens on its own, made while the database is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import manifest
from .errors import NotADatabase
from .executor import _as_error

if TYPE_CHECKING:
    from .db import DB


def make(db: DB, path: str) -> None:
    """Flush, then link every table into path and write a manifest for them. Nothing of path is left when it fails."""
    db.check_writable()
    fs = db.fs
    if fs.exists(path):
        raise NotADatabase(f"{path} exists; a checkpoint makes its own directory")
    with db.executor.lock:
        db.flush()
        fs.makedirs(path)
        made: list[str] = []
        try:
            files = [f"{n:06d}.sst" for space in db.spaces.values() for n in space.version.tables()]
            for name in files + [f"{n:06d}.idx" for n in sorted(db.state.attached_files())]:
                fs.link(f"{db.path}/{name}", f"{path}/{name}")
                made.append(name)
            number = db.core.take_numbers(1)
            db.note_counters()
            floor, db.state.log_floor = db.state.log_floor, number
            try:
                copy = manifest.Manifest(fs, path, number, db.state, None)
            finally:
                db.state.log_floor = floor
            made += [copy.name, "CURRENT"]
            copy.abandon()
        except OSError as e:
            for name in made:
                if fs.exists(f"{path}/{name}"):
                    fs.unlink(f"{path}/{name}")
            fs.rmdir(path)
            raise _as_error(e) from e
