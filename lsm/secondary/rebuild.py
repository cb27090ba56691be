"""Indexes anew from the rows: for index files that are damaged. Nothing is lost with them, as all in them is derived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BusyError

if TYPE_CHECKING:
    from ..db import DB


def without_files(row: Mapping[str, Any], covered: int) -> dict[str, Any]:
    """Return the attachment of a table whose indexes are still to be built, for rows up to a sequence number."""
    epoch = int(row.get("epoch", 0))
    indexes = [{**d, "state": "building", "epoch": epoch, "parts": [], "resume": 0} for d in row.get("indexes", ())]
    return {**row, "components": [], "files": [], "covered": covered, "indexes": indexes}


def rebuild(db: DB, name: str) -> list[str]:
    """Let go of a table's index files, in one record of the manifest; the next opening of the table builds. See `DB.rebuild_indexes`."""
    db.check_writable()
    with db.executor.lock:
        number = next((n for n, s in db.state.names.items() if s == name and n in db.state.attached), None)
        if number is None:
            tables = sorted(db.state.names[n] for n in db.state.attached)
            raise KeyError(f"there is no table {name!r}; there are {', '.join(tables) or 'none'}")
        if name in db.tables:
            raise BusyError(f"table {name!r} is open; close the database, open it, and do this before db.table({name!r})")
        old = db.state.attached[number]
        db.attach(db.spaces[name], without_files(old, db.state.flushed[number]))
        for n in old["files"]:
            db.remove(f"{n:06d}.idx")
    return [str(d["name"]) for d in old["indexes"]]
