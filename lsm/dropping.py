"""A keyspace goes, with all that is in it: no work begins in it any more, what runs there ends, then one record of the manifest says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import BusyError

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace


def drop(db: DB, space: Keyspace) -> None:
    """Drop a keyspace that is not the default one. See `DB.drop_keyspace`."""
    db.check_writable()
    db.executor.wait()
    with db.executor.lock:
        gone = _with_keys(db, space)
        for s in gone:
            if s.dropped:
                raise KeyError(f"keyspace {s.name!r} is being dropped")
        try:
            for s in gone:
                s.dropped = True
            db.executor.wait_for(gone)
        except BaseException:
            for s in gone:
                s.dropped = False
            raise
        attached = db.state.attached.get(space.number)
        db.tables.pop(space.name, None)
        for s in gone:
            del db.spaces[s.name]
            db.state.drop_keyspace(s.number)
        db.commit(drop=[s.number for s in gone] if len(gone) > 1 else space.number)
        for n in (attached or {}).get("files", ()):
            db.remove(f"{n:06d}.idx")
        for s in gone:
            _let_go(s)
        db.sweep(logs=True)


def _with_keys(db: DB, space: Keyspace) -> list[Keyspace]:
    """Return a keyspace, and that of a table's keys if it has one. BusyError for one that belongs to a table."""
    attached = db.state.attached.get(space.number)
    if attached is None and space.managed:
        raise BusyError(f"keyspace {space.name!r} belongs to a table; drop_keyspace({space.name.removesuffix('.keys')!r}) drops both")
    keys = db.spaces.get(f"{space.name}.keys") if attached is not None and attached.get("key_kind") == "any" else None
    return [space] if keys is None else [space, keys]


def _let_go(space: Keyspace) -> None:
    space.core.publish([], 0)
    space.core.drop()
    space.core.admit(True, 0)  # who waits for room is told
    space.close_files()
    space.unload()
