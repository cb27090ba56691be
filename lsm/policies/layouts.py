"""Layouts: how many sorted runs a level holds, and what happens when it holds too much.

| kind | runs in levels 1 .. L-1 | runs in the last level | source |
|---|---|---|---|
| leveling | 1 | 1 | O'Neil et al. 1996; LevelDB |
| tiering | up to T - 1 | up to T - 1 | Jagadish et al. 1997; Dayan et al., SIGMOD 2017 |
| 1-leveling | up to l0_trigger in level 0, then 1 | 1 | RocksDB's leveled style: full level 0, partial below |
| lazy-leveling | up to T - 1 | 1 | Dostoevsky, SIGMOD 2018 |

Level 0 takes the flushes, a run each, in all of them. With leveling level 0 merges as soon as there is one run; level i holds
level_base * T^(i-1) bytes. With tiering a level merges when it has T runs, into one new run of the next.
"""

from __future__ import annotations

from ..plan import Plan, TreeView, span
from ..registry import LAYOUTS
from ..version import Level, TableInfo
from .pickers import Picker


def capacity(view: TreeView, level: int) -> int:
    """Return the bytes that a level may hold: level_base * T^(level - 1)."""
    c = view.options.compaction
    return int(c.level_base * c.size_ratio ** (level - 1))


def overlapping(tables: tuple[TableInfo, ...], inputs: list[TableInfo]) -> list[TableInfo]:
    """Return those of some tables that share a key with the span of the inputs."""
    covered = span(inputs)
    return [t for t in tables if t.overlaps(*covered)]


def merge_level(view: TreeView, level: Level, output: int, reason: str, *, new_run: bool) -> Plan | None:
    """Plan: all of a level, with what overlaps of the next unless it becomes a run of its own. None when a job is in the way."""
    inputs = list(level.tables)
    if not new_run and output != level.number:
        inputs += overlapping(view.level(output).tables, inputs)
    if not view.is_free(*inputs):
        return None
    return Plan(tuple(t.number for t in inputs), output, reason, new_run)


class Leveling:
    """One run a level; an over-full level moves one picked table down. The most full level first."""

    kind = "leveling"
    trigger = 1

    def __init__(self, picker: Picker) -> None:
        self.picker = picker

    def plan(self, view: TreeView) -> Plan | None:
        """Level 0 first, then the level with the highest fill."""
        for level in view.levels[1:]:
            if len(level.runs) > 1:  # left by another layout, or by a plan from outside
                return merge_level(view, level, level.number, f"level {level.number} has {len(level.runs)} runs", new_run=False)
        zero = view.level(0)
        if len(zero.runs) >= self.l0_trigger(view):
            plan = merge_level(view, zero, 1, f"level 0 has {len(zero.runs)} runs", new_run=False)
            if plan:
                return plan
        fills = [(lv.size / capacity(view, lv.number), lv) for lv in view.levels[1 : view.options.compaction.max_levels - 1]]
        for fill, level in sorted(fills, key=lambda f: (-f[0], f[1].number)):
            if fill <= 1:
                break
            plan = self.move_down(view, level, fill)
            if plan:
                return plan
        return None

    def l0_trigger(self, view: TreeView) -> int:
        """Runs in level 0 from which they merge."""
        return self.trigger

    def move_down(self, view: TreeView, level: Level, fill: float) -> Plan | None:
        """Plan one picked table of a level with what overlaps below."""
        below = view.level(level.number + 1).tables
        candidates = [t for t in level.tables if view.is_free(t, *overlapping(below, [t]))]
        if not candidates:
            return None
        picked = self.picker.pick(view, level.number, candidates, below)
        inputs = [picked, *overlapping(below, [picked])]
        reason = f"level {level.number} is {fill:.2f} full, {self.picker.kind} picked {picked.number}"
        return Plan(tuple(t.number for t in inputs), level.number + 1, reason)


class OneLeveling(Leveling):
    """Leveling below a tiered level 0: l0_trigger runs gather there before they merge."""

    kind = "1-leveling"

    def l0_trigger(self, view: TreeView) -> int:
        """The option l0_trigger."""
        return view.options.compaction.l0_trigger


class Tiering:
    """Up to T - 1 runs a level; T of them become one run of the next."""

    kind = "tiering"

    def __init__(self, picker: Picker) -> None:
        self.picker = picker

    def plan(self, view: TreeView) -> Plan | None:
        """The shallowest level with T runs; in the last level that is allowed they become one run of the same level."""
        c = view.options.compaction
        for level in view.levels:
            if len(level.runs) < c.size_ratio:
                continue
            output = min(level.number + 1, c.max_levels - 1)
            plan = merge_level(view, level, output, f"level {level.number} has {len(level.runs)} runs", new_run=True)
            if plan:
                return plan
        return None


class LazyLeveling:
    """Tiering above, one run in the last level: T runs of the level before it merge into that run."""

    kind = "lazy-leveling"

    def __init__(self, picker: Picker) -> None:
        self.picker = picker

    def plan(self, view: TreeView) -> Plan | None:
        """The shallowest level with T runs. The last level grows a new one below it when it holds T times its capacity's share."""
        c = view.options.compaction
        last = max((lv.number for lv in view.levels if lv.runs), default=0)
        if last > 0 and len(view.level(last).runs) > 1:
            return merge_level(view, view.level(last), last, f"the last level has {len(view.level(last).runs)} runs", new_run=False)
        for level in view.levels:
            if len(level.runs) < c.size_ratio:
                continue
            into_last = level.number + 1 >= last and not self._deepens(view, level, last)
            output = min(level.number + 1, c.max_levels - 1)
            plan = merge_level(view, level, output, f"level {level.number} has {len(level.runs)} runs", new_run=not into_last)
            if plan:
                return plan
        return self._push_last(view, last)

    def _deepens(self, view: TreeView, level: Level, last: int) -> bool:
        """Into an empty level below there is nothing to merge with: the outputs are its first run."""
        return level.number + 1 > last

    def _push_last(self, view: TreeView, last: int) -> Plan | None:
        """Move the last level's run down, untouched, when it has outgrown its level: the level above it then tiers again."""
        level = view.level(last)
        if last == 0 or last + 1 >= view.options.compaction.max_levels or level.size <= capacity(view, last) or len(level.runs) != 1:
            return None
        if not view.is_free(*level.tables):
            return None
        return Plan(tuple(t.number for t in level.tables), last + 1, f"level {last} outgrew its capacity", new_run=True)


for _layout in (Leveling, OneLeveling, Tiering, LazyLeveling):
    LAYOUTS[_layout.kind] = _layout
