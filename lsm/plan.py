"""Compaction plans: what a policy sees, what it may ask for, and what the engine checks before it obeys.

A plan names input tables and an output level. It is legal when every table that stays and overlaps an input is afterwards on the same
side of the output, newer or older, as it was of that input, and nothing in the run that is joined overlaps the inputs.
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


@dataclass(frozen=True)
class Claim:
    """What a running plan may change: the levels from its highest input to its output, over the span of its inputs."""

    top: int
    bottom: int
    smallest: bytes
    largest: bytes
    exclusive: bool

    @classmethod
    def of(cls, plan: Plan, version: Version) -> Claim:
        """Return the claim of a legal plan."""
        known, where = version.tables(), version.where()
        return cls(min(where[n][0] for n in plan.inputs), plan.output_level, *span([known[n] for n in plan.inputs]))

    def meets(self, other: Claim) -> bool:
        """Tell whether two plans must not run side by side: one might put a table into a gap of the other's span, or change its bottom."""
        apart = self.bottom < other.top or other.bottom < self.top
        before = self.largest < other.smallest or (self.largest == other.smallest and self.exclusive)
        behind = other.largest < self.smallest or (other.largest == self.smallest and other.exclusive)
        return not (apart or before or behind)


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
    """What overlaps an input and stays must be on the same side of the output as of that input; what is joined must not overlap at all."""
    chosen, where, covered = {t.number for t in inputs}, version.where(), span(inputs)
    target = version.levels[plan.output_level].runs if plan.output_level < len(version.levels) else ()
    left = [i for i, run in enumerate(target) if any(t.number not in chosen for t in run.tables)]
    if not plan.new_run and len(left) > 1:
        raise PlanRefused(f"level {plan.output_level} has {len(left)} runs that are not inputs; joining needs one at most, or new_run")
    joins = bool(left) and not plan.new_run
    place = (plan.output_level, left[0] if joins else -1)  # a run of its own is the newest of its level
    for number, t in version.tables().items():
        at = where[number]
        if number in chosen or not t.overlaps(*covered):
            continue
        if joins and at == place:
            raise PlanRefused(f"table {number} in level {at[0]} overlaps the inputs, in the run that they join: it must be an input too")
        for source in inputs:
            was = where[source.number]
            overlap = at != was and t.overlaps(source.smallest, source.largest, source.largest_exclusive)
            if overlap and (at < was) != (at < place):
                raise PlanRefused(
                    f"table {number} in level {at[0]} overlaps input {source.number} and would be "
                    f"{'older' if at < was else 'newer'} than the output: it must be an input too"
                )


def is_bottom(version: Version, inputs: list[TableInfo], output_level: int) -> bool:
    """Tell whether nothing older than the inputs can hold a key of their span: then tombstones may go."""
    chosen, where = {t.number for t in inputs}, version.where()
    covered = span(inputs)
    oldest = max(where[n] for n in chosen)
    for number, place in where.items():
        if number not in chosen and (place > oldest or place[0] >= output_level) and version.tables()[number].overlaps(*covered):
            return False
    return True
