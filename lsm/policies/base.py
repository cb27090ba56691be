"""What a policy is composed of: a layout gives the shape, triggers say what is due, a granularity and a picker how much of it moves, a cut
where outputs end, a scheduler which plan comes first (Sarkar, Staratzis, Zhu, Athanassoulis, VLDB 2021; Luo and Carey, VLDB 2019).

    shape(view) --> triggers: Due --> carry: granularity, picker, arrival, cut --> Plan --> scheduler: one of them

All of it is a function of the view: asked twice with the same view it answers the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..options import Options, triggers_of
from ..params import Param, parse
from ..plan import Plan, TreeView, span
from ..registry import CUTS, GRANULARITIES, PICKERS, SCHEDULERS, TRIGGERS
from ..version import ByPlace, Level, Run, TableInfo
from .pickers import Picker, choose


@dataclass(frozen=True)
class LevelShape:
    """What a level may be at rest: bytes and sorted runs at most. What arrives joins the newest run until that has run_bytes: 0: it never
    joins (tiering), inf: it always does (leveling)."""

    capacity: float = math.inf
    runs: float = 1
    run_bytes: float = math.inf

    @property
    def is_leveled(self) -> bool:
        """Whether it holds one run, and only what overlaps of it is merged with what arrives."""
        return self.run_bytes == math.inf


TIERED = LevelShape(runs=math.inf, run_bytes=0)


@dataclass(frozen=True)
class Shape:
    """The shape of each level, from 0 on; the last one counts for all below. `last`: where the deepest data belongs, if deeper."""

    levels: tuple[LevelShape, ...]
    last: int = 0

    def at(self, level: int) -> LevelShape:
        """Return the shape of a level."""
        return self.levels[min(level, len(self.levels) - 1)]


@dataclass(frozen=True)
class Due:
    """Work that a trigger asks for: tables of a level (none named: any) should go down, be merged where they are (in_place), or the whole
    tree merged into that level (through)."""

    level: int
    reason: str
    tables: tuple[TableInfo, ...] = ()
    in_place: bool = False
    through: bool = False
    whole: bool = True  # False: a part of the level is enough, the granularity says which


class Overlaps:
    """Finds the tables of some runs that share keys with given ones. Asking: O(log n + found) a run."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs

    def of(self, tables: Sequence[TableInfo]) -> list[TableInfo]:
        """Return those that share a key with the span of the tables."""
        covered = span(tables)
        return [t for run in self.runs for t in run.overlapping(*covered)]


def overlaps_of(level: Level) -> Overlaps:
    """Return what finds overlaps with a level."""
    return Overlaps(level.runs)


class Layout:
    """Base of layouts: a subclass gives `kind`, `source`, `params` and `shape`; or plans of its own by `own`."""

    kind: ClassVar[str]
    source: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()
    takes_triggers: ClassVar[bool] = True
    cut: ClassVar[str] = "size"  # where outputs end unless the options say otherwise

    def __init__(self, picker: Picker | None = None) -> None:
        """Make it with a picker of its own instead of the one that the options name."""
        self.given = picker

    def shape(self, view: TreeView) -> Shape:
        """Return the shape that the tree should have."""
        return Shape((TIERED,))

    def most_runs(self, options: Options) -> tuple[float, float]:
        """Return K and Z: the most runs that rest in a level above the last one, and in the last one."""
        return 1.0, 1.0

    def settings(self, options: Options) -> Mapping[str, Any]:
        """Return the values of `params`: from `compaction.layout_params` where the options name this layout, else defaults."""
        c = options.compaction
        return parse("compaction.layout_params", c.layout_params if c.layout == self.kind else "", self.params)

    def plan(self, view: TreeView) -> Plan | None:
        """Return the plan that comes next, or None when nothing is due or what is due must wait."""
        c = view.options.compaction
        chosen: Plan | None = SCHEDULERS[c.scheduler]().choose(view, self.plans(view))
        return chosen

    def plans(self, view: TreeView) -> Iterator[Plan]:
        """Yield all plans that could run now, in order of urgency: deadlines, what the layout asks for, what else the options ask for."""
        shape = self.shape(view)
        named = triggers_of(view.options.compaction.triggers) if self.takes_triggers else ()
        manual = any(kind == "manual" for kind, _ in named)
        for urgent in (True, False):
            for kind, value in named:
                if TRIGGERS[kind].urgent == urgent:
                    yield from self._carried(view, shape, TRIGGERS[kind]().due(view, shape, value))
            if urgent and not manual:
                yield from self.own(view, shape)

    def resting_runs(self, view: TreeView) -> float:
        """Return the runs that may rest in level 0: so many are no reason to hold writes back."""
        return self.shape(view).at(0).runs

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        """Yield what the layout itself asks for: levels with too many runs, and levels that are too full."""
        for kind in ("run_count", "level_full"):
            yield from self._carried(view, shape, TRIGGERS[kind]().due(view, shape, None))

    def _carried(self, view: TreeView, shape: Shape, dues: Iterable[Due]) -> Iterator[Plan]:
        for due in dues:
            plan = self.carry(view, shape, due)
            if plan is not None:
                yield plan

    def picker(self, view: TreeView) -> Picker:
        """Return the picker in use."""
        picker: Picker = self.given or PICKERS[view.options.compaction.picker]()
        return picker

    # From what is due to a plan

    def carry(self, view: TreeView, shape: Shape, due: Due) -> Plan | None:
        """Return the plan for what is due; None when a running job is in the way."""
        level, bottom = view.level(due.level), view.bottom
        if due.in_place:
            return self._in_place(view, level, due)
        if due.through:
            return self._all_into(view, level, due)
        partial = shape.at(due.level).is_leveled and GRANULARITIES[view.options.compaction.granularity].partial
        asked = bool(due.tables) or (partial and not due.whole)
        if asked and 0 < due.level < bottom and len(level.runs) == 1 and shape.at(due.level + 1).is_leveled:
            return self._move_part(view, level, due)
        return self._move_all(view, shape, level, due)

    def _in_place(self, view: TreeView, level: Level, due: Due) -> Plan | None:
        """Rewrite the named tables of a single run, or merge all runs of the level."""
        single = bool(due.tables) and len(level.runs) == 1
        inputs = list(due.tables[:1] if single else level.tables)
        if not view.is_free(*inputs):
            return None
        return self.finished(view, Plan(tuple(t.number for t in inputs), level.number, due.reason, new_run=not single), inputs)

    def _all_into(self, view: TreeView, level: Level, due: Due) -> Plan | None:
        inputs = [t for lv in view.levels[: level.number + 1] for t in lv.tables]
        if not view.is_free(*inputs):
            return None
        output = max(1, level.number)
        return self.finished(view, Plan(tuple(t.number for t in inputs), output, due.reason, new_run=True), inputs)

    def _move_all(self, view: TreeView, shape: Shape, level: Level, due: Due) -> Plan | None:
        output = min(level.number + 1, view.bottom)
        inputs, new_run = list(level.tables), True
        if output != level.number:
            arrived = self.arrive(view, shape, inputs, output)
            if arrived is None:
                return None
            inputs, output, new_run = arrived
        if not view.is_free(*inputs):
            return None
        return self.finished(view, Plan(tuple(t.number for t in inputs), output, due.reason, new_run), inputs)

    def arrive(self, view: TreeView, shape: Shape, inputs: list[TableInfo], output: int) -> tuple[list[TableInfo], int, bool] | None:
        """Return inputs, output level and whether they become a run of their own, of whole levels that go to level output.

        With preemptive merges a level that would be overfilled comes along, and so on down (Dostoevsky, appendix D). None: it must wait.
        """
        c = view.options.compaction
        while True:
            level, wanted, arriving = view.level(output), shape.at(output), sum(t.size for t in inputs)
            joined, new_run = list[TableInfo](), True
            if wanted.is_leveled:
                if len(level.runs) > 1:
                    return None  # its runs are merged first
                joined, new_run = overlaps_of(level).of(inputs), not level.runs
            elif level.runs and level.runs[0].size + arriving / 2 <= wanted.run_bytes:
                joined = list(level.runs[0].tables)
            runs = len(level.runs) + (not joined and not wanted.is_leveled)
            overfull = level.size + arriving > wanted.capacity or runs > wanted.runs
            if c.merge != "preemptive" or not overfull or not level.runs or output >= view.bottom:
                return [*inputs, *joined], output, new_run
            inputs, output = [*inputs, *level.tables], output + 1

    def _move_part(self, view: TreeView, level: Level, due: Due) -> Plan | None:
        below = view.level(level.number + 1)
        if len(below.runs) > 1:
            return None
        overlaps, tables = overlaps_of(below), due.tables or level.tables
        candidates = [t for t in tables if view.is_free(t, *overlaps.of([t]))] if view.busy else tables
        if not candidates:
            return None
        picker = self.picker(view)
        picked = choose(picker, view, level.number, candidates, below.tables)
        unit = GRANULARITIES[view.options.compaction.granularity]().unit(view, level, picked)
        inputs = [picked, *(t for t in unit if t.number != picked.number)]
        inputs += overlaps.of(inputs)
        if not view.is_free(*inputs):
            return None
        reason = f"{due.reason}, {picker.kind} picked {picked.number}"
        return self.finished(view, Plan(tuple(t.number for t in inputs), level.number + 1, reason), inputs)

    def finished(self, view: TreeView, plan: Plan, inputs: Sequence[TableInfo]) -> Plan:
        """Return the plan with its cuts; a table that only moves is not cut."""
        where = ByPlace(view.levels)
        places = {where[t.number] for t in inputs}
        if view.options.compaction.trivial_move and len(places) == 1 and next(iter(places))[0] != plan.output_level:
            return plan
        named = view.options.compaction.cut
        cuts: tuple[bytes, ...] = CUTS[named if named != "size" else self.cut]().cuts(view, plan, inputs)
        cuts += capped(view, plan, inputs)
        low, high = min(t.smallest for t in inputs), max(t.largest for t in inputs)
        return replace(plan, cuts=tuple(sorted({c for c in cuts if low < c <= high})))


def capped(view: TreeView, plan: Plan, inputs: Sequence[TableInfo]) -> tuple[bytes, ...]:
    """Return where outputs must end so that none overlaps more of the level below than `overlap_cap` allows (LevelDB: ten outputs)."""
    c = view.options.compaction
    if not c.overlap_cap:
        return ()
    met, cuts = 0, []
    for t in sorted(overlaps_of(view.level(plan.output_level + 1)).of(inputs), key=lambda t: t.smallest):
        if met and met + t.size > c.overlap_cap * c.output_bytes:
            cuts.append(t.smallest)
            met = 0
        met += t.size
    return tuple(cuts)
