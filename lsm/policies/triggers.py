"""Triggers: what is due, and why. Each looks at the view and yields work; those of the layout itself are run_count and level_full.

`compaction.triggers = "tombstone_deadline=50000 space_amp=0.5"` adds others; urgent ones come before what the layout asks for.

| kind | value | due is |
|---|---|---|
| run_count | none | a level with more runs than its shape allows |
| level_full | none | a level with more bytes than its shape allows |
| space_amp | bytes above the last level by those in it | all levels, merged into the last one |
| staleness | sequence numbers | a table made longer ago: down a level, in the last one rewritten |
| tombstone_density | share of tombstones | the table with the largest share, down a level; in the last one rewritten |
| tombstone_deadline | sequence numbers | a table with a tombstone that must move on for all to be gone in time |
| reads | look-ups and seeks | a table that was read more often, down a level (LevelDB's seek compaction) |
| idle | none | when nobody waits: a level with several runs becomes one |
| manual | none | nothing: the layout's own triggers rest, merges come from `compact` alone |

Every trigger ends: what it asks for removes its cause, or moves it to a deeper level, of which there are `max_levels`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from ..params import Param
from ..plan import TreeView
from ..registry import TRIGGERS
from ..version import Level, TableInfo
from .base import Due, Shape
from .pickers import density


class Trigger(ABC):
    """Base of triggers: a subclass gives `kind`, `source`, `due`, and in `params` the value it takes."""

    kind: ClassVar[str]
    source: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()
    urgent: ClassVar[bool] = False
    counts_reads: ClassVar[bool] = False

    @abstractmethod
    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        """Yield what is due, most pressing first."""


class RunCount(Trigger):
    """A level with more sorted runs than its shape allows; one that should be a single run is merged where it is."""

    kind, source = "run_count", "Jagadish et al., VLDB 1997"

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        for level in view.levels[1:]:
            if len(level.runs) > 1 and shape.at(level.number).is_leveled:
                yield Due(level.number, f"level {level.number} has {len(level.runs)} runs", in_place=True)
        for level in view.levels:
            wanted = shape.at(level.number)
            if len(level.runs) > wanted.runs and not (level.number and wanted.is_leveled):
                yield Due(level.number, f"level {level.number} has {len(level.runs)} runs")


class LevelFull(Trigger):
    """A level with more bytes than its capacity, the fullest first; or the deepest one when the shape is deeper than the tree."""

    kind, source = "level_full", "O'Neil et al., Acta Informatica 1996"

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        fills = [(lv.size / shape.at(lv.number).capacity, lv.number) for lv in view.levels[1 : view.bottom]]
        for fill, number in sorted(fills, key=lambda f: (-f[0], f[1])):
            if fill > 1:
                yield Due(number, f"level {number} is {fill:.2f} full", whole=False)
        last = view.last
        if 0 < last < min(shape.last, view.bottom) and len(view.level(last).runs) == 1:
            yield Due(last, f"level {last} outgrew its capacity")


class SpaceAmp(Trigger):
    """More bytes above the last level than the value times those in it, or several runs in it: everything becomes one run."""

    kind, source = "space_amp", "RocksDB, universal compaction, max_size_amplification_percent"
    params = (Param("ratio", 0.25, 0.01, 1e3, "bytes above the last run by bytes of the last run"),)

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        runs = [(level.number, run) for level in view.levels for run in level.runs]
        if len(runs) > 1 and view.size - runs[-1][1].size > value * runs[-1][1].size:
            over = (view.size - runs[-1][1].size) / max(1, runs[-1][1].size)
            yield Due(view.last, f"{over:.2f} bytes above each of the last run", through=True)


class Staleness(Trigger):
    """Tables that were made longer ago than the value, the oldest first."""

    kind, source = "staleness", "RocksDB, ttl and periodic_compaction_seconds"
    params = (Param("age", 1_000_000, 1, 1 << 56, "sequence numbers"),)

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        for level in view.levels:
            stale = [t for t in level.tables if view.now - (t.created or t.max_seq) > value]
            if stale:
                stale.sort(key=lambda t: (t.created or t.max_seq, t.number))
                yield sinking(view, level, stale, f"table {stale[0].number} is older than {value}")


class Density(Trigger):
    """Tables of which a larger share than the value are tombstones, the densest first."""

    kind, source = "tombstone_density", "Pebble; TidesDB; RocksDB, CompactOnDeletionCollector"
    params = (Param("share", 0.5, 0.001, 1.0, "tombstones by entries"),)

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        for level in view.levels:
            dense = [t for t in sinkable(view, level) if density(t) >= value]
            if dense:
                dense.sort(key=lambda t: (-density(t), t.number))
                yield sinking(view, level, dense, f"{density(dense[0]):.2f} of table {dense[0].number} are tombstones")


class Deadline(Trigger):
    """FADE: no tombstone grows older than the value. Each level has a share of the time that grows with the size ratio; a table whose
    oldest tombstone has used up the shares of its level and those above goes down, and in the last level tombstones are gone.

    The policy is asked after each flush, so that `horizon` is taken off. Snapshots keep what they see. A tombstone in a memtable is
    covered by `buffer_entries`, when that is at most the value.
    """

    kind, source = "tombstone_deadline", "Lethe, SIGMOD 2020, section 4.1"
    params = (Param("age", 1_000_000, 1, 1 << 56, "sequence numbers"),)
    urgent = True

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        ratio, last, left = view.options.compaction.size_ratio, max(1, view.last), max(0, value - view.horizon)
        shares = [ratio**i for i in range(last)]
        for level in view.levels:
            allowed = left * sum(shares[: level.number + 1]) / sum(shares) if level.number < last else 0
            expired = [t for t in sinkable(view, level) if view.now - (t.tombstone_seq or 0) >= allowed]
            if expired:
                expired.sort(key=lambda t: (t.tombstone_seq or 0, t.number))
                oldest = view.now - (expired[0].tombstone_seq or 0)
                yield sinking(view, level, expired, f"a tombstone of table {expired[0].number} is {oldest} old")


class Reads(Trigger):
    """Tables that were read more often than the value and have older ones below them."""

    kind, source = "reads", "LevelDB, allowed_seeks"
    params = (Param("count", 1000, 1, 1 << 40, "look-ups and seeks that reached its blocks"),)
    counts_reads = True

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        for level in view.levels[: view.last]:
            hot = [t for t in level.tables if view.reads.get(t.number, 0) > value]
            if hot:
                hot.sort(key=lambda t: (-view.reads.get(t.number, 0), t.number))
                yield Due(level.number, f"table {hot[0].number} was read {view.reads[hot[0].number]} times", (hot[0],))


class Idle(Trigger):
    """When nobody waits, the shallowest level with several runs becomes one run, so that reads cost less."""

    kind, source = "idle", "bLSM (SIGMOD 2012) and SILK (ATC 2019): spare bandwidth goes to compaction"

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        if view.idle:
            for level in view.levels:
                if len(level.runs) > 1:
                    yield Due(level.number, f"idle, and level {level.number} has {len(level.runs)} runs", in_place=True)


class Manual(Trigger):
    """Nothing by itself."""

    kind, source = "manual", "RocksDB, disable_auto_compactions"

    def due(self, view: TreeView, shape: Shape, value: Any) -> Iterator[Due]:
        return iter(())


def sinkable(view: TreeView, level: Level) -> Iterator[TableInfo]:
    """Yield tables with tombstones that merging could bring nearer to their end."""
    for t in level.tables:
        if t.tombstone_seq is not None and (level.number < view.last or view.droppable(t)):
            yield t


def sinking(view: TreeView, level: Level, tables: list[TableInfo], reason: str) -> Due:
    """Return the work that takes the first of the tables down, or in the last level merges it with itself."""
    at_end = level.number >= max(1, view.last)
    return Due(level.number, reason, (tables[0],), in_place=at_end)


for _trigger in (RunCount, LevelFull, SpaceAmp, Staleness, Density, Deadline, Reads, Idle, Manual):
    TRIGGERS[_trigger.kind] = _trigger
