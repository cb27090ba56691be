"""Layouts by age: old data is not merged but dropped, table by table, when the options `expire_bytes` or `expire_after` say so.

| kind | tables | source |
|---|---|---|
| fifo | as they were flushed, in level 1 | RocksDB, FIFO compaction; Cassandra |
| time-windows | merged within windows of sequence numbers; one run a closed window, in level 2 | Cassandra, TimeWindowCompactionStrategy |

A table is dropped only without snapshots, only the oldest one of its key range, and the engine checks the options again. Both decide all by
themselves: `compaction.triggers` must be empty.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..params import Param
from ..plan import Plan, TreeView
from ..registry import LAYOUTS
from ..version import Run
from .base import Layout, Shape


def expired(view: TreeView) -> Plan | None:
    """Return the plan that drops the oldest table that the options let go of, None when there is none or something is held."""
    c, deepest = view.options.compaction, view.level(view.last)
    if view.snapshots or view.keeps or not deepest.runs or not (c.expire_bytes or c.expire_after):
        return None
    oldest = min(deepest.runs[-1].tables, key=lambda t: (t.max_seq, t.number))
    if not view.is_free(oldest):
        return None
    if c.expire_after and view.now - oldest.max_seq > c.expire_after:
        return Plan((oldest.number,), view.last, f"all of table {oldest.number} is older than {c.expire_after}", drop=True)
    if c.expire_bytes and view.size > c.expire_bytes:
        return Plan((oldest.number,), view.last, f"{view.size} bytes are more than {c.expire_bytes}", drop=True)
    return None


class Fifo(Layout):
    """No merges: flushes move to level 1 as they are, and the oldest tables go."""

    kind, source, takes_triggers = "fifo", "RocksDB, FIFO compaction", False

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        if plan := expired(view):
            yield plan
        for run in view.level(0).runs[-1:]:
            if view.is_free(*run.tables):
                yield Plan(tuple(t.number for t in run.tables), 1, "a flush", new_run=True)


class TimeWindows(Layout):
    """Runs of a window are merged with each other alone: T of level 0 into one of level 1, T of level 1 into one, and when the window
    is over all of it into one run of level 2. A run belongs to the window of its newest entry."""

    kind, source, takes_triggers = "time-windows", "Cassandra, TimeWindowCompactionStrategy", False
    params = (Param("window", 1_000_000, 1, 1 << 56, "sequence numbers"),)

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        if plan := expired(view):
            yield plan
        window, t = self.settings(view.options)["window"], view.options.compaction.size_ratio
        waiting = set[int]()  # windows of which a shallower level holds a run
        for number in (0, 1):
            by_window: dict[int, list[Run]] = {}
            for run in view.level(number).runs:
                by_window.setdefault(max(table.max_seq for table in run.tables) // window, []).append(run)
            for which, runs in sorted(by_window.items()):
                closed = which < view.now // window
                output = number if number and not closed else number + 1
                if output > view.bottom:
                    continue
                tables = [table for run in runs for table in run.tables]
                if number and closed:
                    due = which < min(waiting, default=which + 1)
                else:
                    due = closed or len(runs) >= t
                first = output == number or which == min(by_window)  # older windows go down before
                if due and first and view.is_free(*tables):
                    why = f"window {which} is over" if closed else f"window {which} has {len(runs)} runs in level {number}"
                    yield self.finished(view, Plan(tuple(x.number for x in tables), output, why, new_run=True), tables)
            waiting |= by_window.keys()


for _layout in (Fifo, TimeWindows):
    LAYOUTS[_layout.kind] = _layout
