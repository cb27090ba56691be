"""A compaction policy of four functions over the view, the primitives of Sarkar et al. (VLDB 2021), with a declared tie-break.

    trigger(view)                -> [(level, reason), ...]       which levels are due, the most urgent first
    layout(view, level)          -> (output level, new_run)      where its data go, and whether as a run of their own
    granularity(view, level)     -> [[table, ...], ...]          units that may move alone, one of which is picked
    picker(view, level, unit)    -> number                       how bad it is to move this one; the least is picked, ties as TIE_BREAKS say

What a unit must take along so that no version of a key overtakes another is added here: such a policy is legal by construction, as far as
its functions name tables of the view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import InvalidOptions
from ..plan import Plan, TreeView, span
from ..registry import register_compaction
from ..version import TableInfo
from .dice import dice

Trigger = Callable[[TreeView], Iterable[tuple[int, str]]]
Layout = Callable[[TreeView, int], tuple[int, bool]]
Granularity = Callable[[TreeView, int], Sequence[Sequence[TableInfo]]]
Score = Callable[[TreeView, int, Sequence[TableInfo]], Any]

TIE_BREAKS: dict[str, Callable[[TreeView, Sequence[TableInfo]], Any]] = {
    "smallest_key": lambda view, unit: (min(t.smallest for t in unit), min(t.number for t in unit)),
    "oldest": lambda view, unit: min(t.number for t in unit),
    "newest": lambda view, unit: -max(t.number for t in unit),
    "largest": lambda view, unit: (-sum(t.size for t in unit), min(t.number for t in unit)),
    "random": lambda view, unit: dice(view.seed, view.step, min(t.number for t in unit)),
}
"""What decides between units that score the same."""


class Functions:
    """The policy that four functions make. `plan` is pure when they are."""

    def __init__(self, name: str, *, trigger: Trigger, layout: Layout, granularity: Granularity, picker: Score, tie_break: str) -> None:
        """InvalidOptions for a tie-break that is none of TIE_BREAKS."""
        if tie_break not in TIE_BREAKS:
            raise InvalidOptions(f"tie_break of {name}", tie_break, f"{', '.join(TIE_BREAKS)}: the order of a list is no tie-break")
        self.name, self.tie_break = name, tie_break
        self.trigger, self.layout, self.granularity, self.picker = trigger, layout, granularity, picker

    def plan(self, view: TreeView) -> Plan | None:
        """Return the plan for the first level that is due and has a unit that no running job is in the way of."""
        tie = TIE_BREAKS[self.tie_break]
        for level, reason in self.trigger(view):
            output, new_run = self.layout(view, level)
            units = [list(unit) for unit in self.granularity(view, level) if unit]
            for unit in sorted(units, key=lambda u: (self.picker(view, level, u), tie(view, u))):
                inputs = with_what_must_follow(view, unit, output, new_run=new_run)
                if view.is_free(*inputs):
                    return Plan(tuple(t.number for t in inputs), output, f"{self.name}: {reason}", new_run)
        return None


def with_what_must_follow(view: TreeView, unit: Sequence[TableInfo], output: int, *, new_run: bool) -> list[TableInfo]:
    """Return a unit with every table that its data would overtake, or overlap in the run that they join, on their way to a level.

    Those are tables of runs between the unit and the output that share a key with what goes; again, until there is none. Joining a level of
    several runs takes them all.
    """
    target = view.level(output).runs
    joins = bool(target) and not new_run
    inputs = {t.number: t for t in unit}
    if joins and len(target) > 1:
        inputs |= {t.number: t for t in view.level(output).tables}
    places = [((level.number, i), run) for level in view.levels for i, run in enumerate(level.runs)]
    goes_to = (output, len(target) - 1 if joins else -1)  # a run of its own is the newest of its level
    while True:
        at = [place for place, run in places if any(t.number in inputs for t in run.tables)]
        first, last, covered = min(*at, goes_to), max(*at, goes_to), span(list(inputs.values()))
        more = {t.number: t for place, run in places if first <= place <= last for t in run.overlapping(*covered)}
        if more.keys() <= inputs.keys():
            return list(inputs.values())
        inputs |= more


def register_policy(name: str, *, trigger: Trigger, layout: Layout, granularity: Granularity, picker: Score, tie_break: str) -> None:
    """Register the policy of four functions under a name, which `compaction.policy` takes then. InvalidOptions for an unknown tie-break."""
    parts: dict[str, Any] = {"trigger": trigger, "layout": layout, "granularity": granularity, "picker": picker}
    made = Functions(name, **parts, tie_break=tie_break)
    register_compaction(name, lambda: made)


__all__ = ["TIE_BREAKS", "Functions", "register_policy", "with_what_must_follow"]
