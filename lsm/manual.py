"""Compaction by hand: everything in a range of keys, merged down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import BusyError
from .plan import Plan, validate

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace


@contextmanager
def by_hand(space: Keyspace) -> Iterator[None]:
    """Let the policy of a keyspace begin nothing meanwhile: else a merge by hand would write the same data a second time."""
    lock = space.db.executor.lock
    with lock:
        space.by_hand += 1
    try:
        yield
    finally:
        with lock:
            space.by_hand -= 1


def claim_range(db: DB, space: Keyspace, start: bytes | None, stop: bytes | None) -> Plan | None:
    """Claim a merge of all tables that overlap [start, stop], with what lies between, into the deepest level with tables; None without any.

    Waits for merges under way. The caller sees to it that the policy begins none.
    """
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
            return None
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
    return plan


def _end(stop: bytes | None, largest: bytes) -> bytes:
    return largest if stop is None else stop
