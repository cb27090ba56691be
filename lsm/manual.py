"""Compaction by hand: everything in a range of keys, merged down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import BusyError
from .plan import Plan, validate

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace


def compact_range(db: DB, space: Keyspace, start: bytes | None, stop: bytes | None) -> None:
    """Merge all tables that overlap [start, stop], with what lies between, into the deepest level with tables."""
    if space.waits:
        raise BusyError(f"keyspace {space.name!r} belongs to a table that is not open; db.table({space.name!r}) opens it")
    db.executor.wait()
    with db.executor.lock:
        while db.executor.busy.get(space.name):
            db.executor.idle.wait(0.02)
        tables = [
            t for t in space.version.tables().values() if t.overlaps(start if start is not None else t.smallest, _end(stop, t.largest))
        ]
        if not tables:
            return
        deepest = max(1, *(lv.number for lv in space.version.levels if lv.runs))
        while True:  # what lies between inputs and output must come along
            low, high = min(t.smallest for t in tables), max(t.largest for t in tables)
            wider = [t for t in space.version.tables().values() if t.overlaps(low, high)]
            if len(wider) == len(tables):
                break
            tables = wider
        chosen = {t.number for t in tables}
        target = space.version.levels[deepest].runs if deepest < len(space.version.levels) else ()
        left = sum(any(t.number not in chosen for t in run.tables) for run in target)
        plan = Plan(tuple(t.number for t in tables), deepest, "compact", new_run=left != 1)  # nothing that stays overlaps it
        validate(plan, space.version, frozenset())
        db.executor.claim(space, plan)
    db.executor.compact(space, plan)
    db.executor.wait()


def _end(stop: bytes | None, largest: bytes) -> bytes:
    return largest if stop is None else stop
