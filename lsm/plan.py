"""Compaction plans: what a policy sees, what it may ask for, and what the engine checks before it obeys.

A plan names input tables and an output level. It is legal when, for every key range that it moves down, nothing newer is left above
what it moves and nothing older is jumped over: inputs are closed under version order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .errors import PlanRefused
from .options import Options
from .version import Level, TableInfo, Version


@dataclass(frozen=True)
class TreeView:
    """The immutable picture that a policy decides from. `busy`: tables that a running job holds; `step` counts plans made so far."""

    levels: tuple[Level, ...]
    options: Options
    busy: frozenset[int] = frozenset()
    seed: int = 0
    step: int = 0
    cursors: dict[int, bytes] = field(default_factory=dict)  # level -> largest key of the table last moved from it

    def level(self, number: int) -> Level:
        """Return a level, empty when it does not exist yet."""
        return self.levels[number] if number < len(self.levels) else Level(number)

    def is_free(self, *tables: TableInfo) -> bool:
        """Tell whether no running job holds any of the tables."""
        return not any(t.number in self.busy for t in tables)


@dataclass(frozen=True)
class Plan:
    """Merge the input tables into one sorted run at output_level.

    With `new_run` the outputs are a run of their own, newest of the level (tiering); else they join the level's single run, whose
    overlapping tables must be among the inputs. `cuts`: user keys at which an output must begin. `output_bytes`: 0 takes the option.
    """

    inputs: tuple[int, ...]
    output_level: int
    reason: str = ""
    new_run: bool = False
    cuts: tuple[bytes, ...] = ()
    output_bytes: int = 0


class CompactionPolicy(Protocol):
    """Decides; never acts. A pure function of the view: no I/O, no clock, no global randomness."""

    def plan(self, view: TreeView) -> Plan | None:
        """Return the next plan, or None when nothing is due."""


def span(tables: Sequence[TableInfo]) -> tuple[bytes, bytes, bool]:
    """Return the smallest and the largest key of some tables, and whether the largest is outside (an exclusive end)."""
    last = max(tables, key=lambda t: (t.largest, not t.largest_exclusive))
    return min(t.smallest for t in tables), last.largest, last.largest_exclusive


def validate(plan: Plan, version: Version, busy: frozenset[int]) -> list[TableInfo]:
    """Return the input tables of a legal plan. PlanRefused tells the rule that a plan breaks."""
    known, where = version.tables(), version.where()
    if not plan.inputs or len(set(plan.inputs)) != len(plan.inputs):
        raise PlanRefused(f"inputs are {plan.inputs}; allowed: one or more different tables")
    if unknown := [n for n in plan.inputs if n not in known]:
        raise PlanRefused(f"tables {unknown} are not in the tree")
    if held := sorted(busy & set(plan.inputs)):
        raise PlanRefused(f"tables {held} are held by a running job")
    inputs = [known[n] for n in plan.inputs]
    deepest = max(where[n][0] for n in plan.inputs)
    if not deepest <= plan.output_level <= 31:
        raise PlanRefused(f"output level is {plan.output_level}; allowed: {deepest} (the deepest input) to 31")
    if list(plan.cuts) != sorted(set(plan.cuts)):
        raise PlanRefused("cuts must be different and ascending")
    _check_order(plan, version, inputs)
    return inputs


def _check_order(plan: Plan, version: Version, inputs: list[TableInfo]) -> None:
    """Everything in the span that lies between the newest input and the output's place must be an input too."""
    chosen, where = {t.number for t in inputs}, span(inputs)
    first = min((lv, i) for n in plan.inputs for lv, i in [version.where()[n]])
    for level in version.levels:
        for i, run in enumerate(level.runs):
            place = (level.number, i)
            behind = place > first and level.number <= plan.output_level
            joined = plan.new_run and level.number == plan.output_level and not any(t.number in chosen for t in run.tables)
            if not behind or (joined and not _older_inputs(version, chosen, place)):
                continue
            for t in run.tables:
                if t.number not in chosen and t.overlaps(*where):
                    raise PlanRefused(
                        f"table {t.number} in level {level.number} overlaps the inputs and lies between the newest input and the output: "
                        "it must be an input too"
                    )
    target = version.levels[plan.output_level].runs if plan.output_level < len(version.levels) else ()
    left = [r for r in target if any(t.number not in chosen for t in r.tables)]
    if not plan.new_run and len(left) > 1:
        raise PlanRefused(f"level {plan.output_level} has {len(left)} runs that are not inputs; joining needs one at most, or new_run")
    if plan.new_run and first[0] == plan.output_level and left and first[1] > 0:
        raise PlanRefused(f"a new run at level {plan.output_level} would be newer than the runs above the inputs")


def _older_inputs(version: Version, chosen: set[int], place: tuple[int, int]) -> bool:
    """Tell whether an input lies behind (is older than) a place."""
    return any(where > place for n, where in version.where().items() if n in chosen)


def is_bottom(version: Version, inputs: list[TableInfo], output_level: int) -> bool:
    """Tell whether nothing older than the inputs can hold a key of their span: then tombstones may go."""
    chosen, where = {t.number for t in inputs}, version.where()
    covered = span(inputs)
    oldest = max(where[n] for n in chosen)
    for number, place in where.items():
        if number not in chosen and (place > oldest or place[0] >= output_level) and version.tables()[number].overlaps(*covered):
            return False
    return True
