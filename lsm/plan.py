"""Compaction plans: what a policy sees, what it may ask for, and what the engine checks before it obeys.

A plan names input tables and an output level. It is legal when every table that stays and overlaps an input is afterwards on the same
side of the output, newer or older, as it was of that input, and nothing in the run that is joined overlaps the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .errors import PlanRefused
from .options import Options
from .version import Edit, Level, TableInfo, Version

MOST_OUTPUT = 1 << 40  # of a plan's output_bytes, as of the option
SPARE_OUTPUTS = 8  # file numbers set aside for a job beyond what its input bytes suggest


@dataclass(frozen=True)
class Running:
    """A compaction under way: levels from its highest input to its output, bytes of its inputs."""

    top: int
    bottom: int
    bytes: int


@dataclass(frozen=True)
class TreeView:
    """The immutable picture that a policy decides from: plain values, the same from the engine and from a simulator.

    Time is logical: sequence numbers, of which every write takes one (a batch one an operation), over all keyspaces.
    """

    levels: tuple[Level, ...]
    options: Options
    busy: frozenset[int] = frozenset()  # tables that running jobs hold
    seed: int = 0
    step: int = 0  # plans made so far
    cursors: Mapping[int, bytes] = field(default_factory=dict)  # level -> largest key of the table last moved from it
    now: int = 0  # the newest sequence number
    horizon: int = 0  # sequence numbers that pass at most until the policy is asked again: buffer_entries, or the most that a flush brought
    snapshots: tuple[int, ...] = ()  # sequence numbers held, ascending: what they see is kept
    reads: Mapping[int, int] = field(default_factory=dict)  # table -> lookups and seeks that reached its blocks, where they are counted
    served: Mapping[int, int] = field(default_factory=dict)  # level -> bytes that compactions wrote to it so far
    running: tuple[Running, ...] = ()
    sealed: int = 0  # memtables that wait for their flush
    idle: bool = False  # nobody waits for what is planned now
    keeps: bool = False  # nothing may be dropped by age: rows with indexes are in it

    def level(self, number: int) -> Level:
        """Return a level, empty when it does not exist yet."""
        return self.levels[number] if number < len(self.levels) else Level(number)

    def is_free(self, *tables: TableInfo) -> bool:
        """Tell whether no running job holds any of the tables."""
        return not any(t.number in self.busy for t in tables)

    @property
    def last(self) -> int:
        """The deepest level that holds anything; 0 for an empty tree."""
        return max((lv.number for lv in self.levels if lv.runs), default=0)

    @property
    def bottom(self) -> int:
        """The deepest level that anything may go to: by max_levels, or where the tree is deeper already, because that was once larger."""
        return max(self.last, self.options.compaction.max_levels - 1)

    @property
    def size(self) -> int:
        """Bytes of all levels."""
        return sum(lv.size for lv in self.levels)

    def droppable(self, table: TableInfo) -> bool:
        """Tell whether its oldest tombstone is older than every snapshot: merged to the bottom it goes."""
        seq = table.tombstone_seq
        return seq is not None and (not self.snapshots or seq <= self.snapshots[0])


@dataclass(frozen=True)
class Plan:
    """Merge the input tables into one sorted run at output_level.

    With `new_run` the outputs are a run of their own, newest of the level (tiering); else they join a run, whose overlapping tables must be
    among the inputs: the one named by `run` (its id), or the level's single one. `cuts`: user keys at which an output must begin.
    `output_bytes`: 0 takes the option. `drop`: the inputs go with all that they hold, as far as `expire_bytes`, `expire_after` allow.
    """

    inputs: tuple[int, ...]
    output_level: int
    reason: str = ""
    new_run: bool = False
    cuts: tuple[bytes, ...] = ()
    output_bytes: int = 0
    run: int = 0
    drop: bool = False


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
    _check_form(plan)
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
    if plan.drop:
        _check_uncovered(version, inputs)
    else:
        _check_order(plan, version, inputs)
    return inputs


def _check_form(plan: Plan) -> None:
    """A plan comes from the code of a user: every field must be what it is declared to be."""
    if not isinstance(plan, Plan):
        raise PlanRefused(f"plan() returned {plan!r:.80}; allowed: a Plan or None")
    for name, kind, values in (("inputs", int, plan.inputs), ("cuts", bytes, plan.cuts)):
        if not isinstance(values, tuple) or not all(type(v) is kind for v in values):
            raise PlanRefused(f"{name} are {values!r:.80}; allowed: a tuple of {kind.__name__}")
    for name, value in (("output level", plan.output_level), ("run", plan.run)):
        if type(value) is not int:
            raise PlanRefused(f"{name} is {value!r:.80}; allowed: an integer")
    if type(plan.output_bytes) is not int or not 0 <= plan.output_bytes <= MOST_OUTPUT:
        raise PlanRefused(f"output_bytes is {plan.output_bytes!r:.80}; allowed: 0 (the option's) to {MOST_OUTPUT}")
    if not isinstance(plan.reason, str):
        raise PlanRefused(f"reason is {plan.reason!r:.80}; allowed: text")


def check_drop(plan: Plan, view: TreeView) -> None:
    """Raise PlanRefused unless the options let go of the inputs of a plan that drops them, now that nobody holds a snapshot."""
    c, known = view.options.compaction, {n: lv.by_number[n] for lv in view.levels for n in plan.inputs if n in lv.by_number}
    if view.keeps:
        raise PlanRefused("the keyspace belongs to a table: its rows are not dropped by age")
    if view.snapshots:
        raise PlanRefused(f"tables {list(plan.inputs)} cannot be dropped while a snapshot is held")
    young = [n for n in plan.inputs if not c.expire_after or view.now - known[n].max_seq <= c.expire_after]
    left = view.size - sum(known[n].size for n in plan.inputs)
    if young and not (c.expire_bytes and left + max(known[n].size for n in young) > c.expire_bytes):
        raise PlanRefused(
            f"tables {young} cannot be dropped: allowed are those older than expire_after ({c.expire_after}) and the oldest ones above "
            f"expire_bytes ({c.expire_bytes}); {view.size} bytes are held"
        )


def _check_uncovered(version: Version, inputs: list[TableInfo]) -> None:
    """What overlaps a table that is dropped and stays must be newer: else old versions would be seen again."""
    chosen, where = {t.number for t in inputs}, version.where()
    for level, i, run in version.placed(min(where[n] for n in chosen)):
        for source in inputs:
            older = run.overlapping(source.smallest, source.largest) if (level, i) > where[source.number] else ()
            if left := [t.number for t in older if t.number not in chosen]:
                raise PlanRefused(
                    f"table {left[0]} overlaps input {source.number}, is older and stays: its old versions would be seen again"
                )


def target_run(plan: Plan, version: Version) -> int | None:
    """Return the place in the output level of the run that outputs join; None: they are a run of their own. PlanRefused: no such run."""
    level = version.levels[plan.output_level] if plan.output_level < len(version.levels) else Level(plan.output_level)
    chosen = set(plan.inputs)
    if plan.run:
        if plan.new_run or not plan.output_level:
            raise PlanRefused(f"a plan has run ({plan.run}) and new_run or output level 0; allowed: one of them")
        if plan.run not in level.ids:
            raise PlanRefused(f"run {plan.run} is not in level {plan.output_level}; allowed: {level.ids}")
        found = level.ids.index(plan.run)
        return found if any(t.number not in chosen for t in level.runs[found].tables) else None
    if plan.new_run:
        return None
    left = [i for i, run in enumerate(level.runs) if any(t.number not in chosen for t in run.tables)]
    if len(left) > 1:
        raise PlanRefused(f"level {plan.output_level} has {len(left)} runs that are not inputs; joining needs one at most, or new_run")
    return left[0] if left else None


def _check_order(plan: Plan, version: Version, inputs: list[TableInfo]) -> None:
    """What overlaps an input and stays must be on the same side of the output as of that input; what is joined must not overlap at all."""
    chosen, where, covered = {t.number for t in inputs}, version.where(), span(inputs)
    places, joined = [where[t.number] for t in inputs], target_run(plan, version)
    place = (plan.output_level, -1 if joined is None else joined)  # a run of its own is the newest of its level
    for level, i, run in version.placed(min(*places, place), max(*places, place)):  # above and below these all stays so
        left = [t for t in run.overlapping(*covered) if t.number not in chosen]
        if not left:
            continue
        at = (level, i)
        crossed = [s for s, was in zip(inputs, places, strict=True) if at != was and (at < was) != (at < place)]
        for t in left:
            if joined is not None and at == place:
                raise PlanRefused(
                    f"table {t.number} in level {at[0]} overlaps the inputs, in the run that they join: it must be an input too"
                )
            for source in crossed:
                if t.overlaps(source.smallest, source.largest, source.largest_exclusive):
                    raise PlanRefused(
                        f"table {t.number} in level {at[0]} overlaps input {source.number} and would be "
                        f"{'older' if at < where[source.number] else 'newer'} than the output: it must be an input too"
                    )


def is_bottom(version: Version, inputs: list[TableInfo], output_level: int) -> bool:
    """Tell whether nothing older than the inputs can hold a key of their span: then tombstones may go."""
    chosen, where = {t.number for t in inputs}, version.where()
    covered, oldest = span(inputs), max(where[n] for n in chosen)
    return not any(
        t.number not in chosen
        for level, i, run in version.placed(min(oldest, (output_level, 0)))
        if (level, i) > oldest or level >= output_level
        for t in run.overlapping(*covered)
    )


def keeps_files(plan: Plan, version: Version, options: Options) -> bool:
    """Tell whether the tables of a legal plan are of one run, meet nothing on their way and hold nothing that merging could drop.

    Then they go to their new level as the files they are, unless the options want them merged.
    """
    known, where = version.tables(), version.where()
    tables, places = [known[n] for n in plan.inputs], {where[n] for n in plan.inputs}
    if len(places) != 1 or plan.cuts or not options.compaction.trivial_move or next(iter(places))[0] == plan.output_level:
        return False
    return not any(t.deletions or t.range_deletes for t in tables) or not is_bottom(version, tables, plan.output_level)


def outputs_of(plan: Plan, version: Version, options: Options) -> tuple[int, int]:
    """Return the bytes at which outputs are cut, and how many outputs there may be."""
    known = version.tables()
    tables = [known[n] for n in plan.inputs]
    output_bytes = plan.output_bytes or options.compaction.output_bytes
    expected = min(sum(t.size for t in tables) * 2 // output_bytes, sum(t.entries for t in tables))  # an output has an entry, or a cut
    return output_bytes, expected + len(plan.cuts) + SPARE_OUTPUTS


def edit_of(plan: Plan, version: Version, outputs: Sequence[TableInfo], keyspace: int, next_run: int) -> Edit:
    """Return the change that a legal plan makes when its inputs became these tables. next_run: id for a run that is new."""
    if plan.drop:
        return Edit(keyspace, plan.inputs)
    joined = target_run(plan, version)
    run = next_run if joined is None else version.levels[plan.output_level].runs[joined].id
    return Edit(keyspace, plan.inputs, tuple((plan.output_level, run, t) for t in outputs))


def cursor_of(plan: Plan, version: Version) -> tuple[int, bytes] | None:
    """Return the level that a plan moves data down from, by one, and the largest key of its first input; else None."""
    known, where = version.tables(), version.where()
    top = min(where[n][0] for n in plan.inputs)
    return (top, known[plan.inputs[0]].largest) if top == plan.output_level - 1 else None
