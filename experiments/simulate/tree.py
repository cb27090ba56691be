"""The tree of a simulation: the policy object, view, checks and edits are those of the engine; what tables hold is elsewhere.

    Content.flush, Content.merge -> tables      Tree: numbers, version, plan after plan, counters, decisions

It does what lsm.executor does with threads=0, and takes file numbers as the engine does, so that a view here is a view there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, Protocol, TypeVar

import lsm
from lsm import Options, Plan, TableInfo, TreeView, Version
from lsm.decisions import Decision
from lsm.options import triggers_of
from lsm.plan import check_drop, cursor_of, edit_of, is_bottom, keeps_files, outputs_of, validate
from lsm.progress import Progress
from lsm.settings import counts_reads, filled_of
from lsm.version import Edit

from .counters import Counters

FIRST_NUMBER = 5
"""What the engine's counter stands at after a database was made: two manifests, a log and a record came before."""

C = TypeVar("C")


@dataclass(frozen=True)
class Shape:
    """How a merge is to be done: where outputs end, how many there may be, whether tombstones may go, and the bits a key of filters; the
    number of the first output, the others follow, and the sequence number at which they are made."""

    level: int
    bottom: bool
    bits_per_key: float
    output_bytes: int = 0
    max_outputs: int = 1
    cuts: tuple[bytes, ...] = ()
    number: int = 0
    now: int = 0


@dataclass(frozen=True)
class Outcome(Generic[C]):
    """Tables with their contents, and the entries that went in and were dropped."""

    tables: tuple[tuple[TableInfo, C], ...]
    entries_in: int
    dropped: int


class Content(Protocol[C]):
    """What tables hold, and what comes of merging them."""

    def merge(self, inputs: Sequence[Sequence[C]], shape: Shape) -> Outcome[C]:
        """Merge runs of tables, newest run first."""


class Refused(lsm.PlanRefused):
    """A policy broke a rule in a simulation. `step`: how many plans it had made."""

    def __init__(self, why: str, step: int) -> None:
        self.step = step
        super().__init__(why)


class Tree(Generic[C]):
    """A tree in the making. `told` hears every decision."""

    def __init__(
        self, policy: lsm.CompactionPolicy, options: Options, content: Content[C], told: Callable[[Decision], None] = lambda decision: None
    ) -> None:
        if options.memory:
            raise ValueError(f"memory is {options.memory}; a simulation allows 0: how a budget is shared depends on what is read")
        self.policy, self.options, self.content, self.told = policy, options, content, told
        self.version, self.counters = Version(), Counters()
        self.contents: dict[int, C] = {}
        self.cursors: dict[int, bytes] = {}
        self.step, self.next_number, self.next_run = 0, FIRST_NUMBER, 1
        self.now = self.flush_span = 0
        self.progress = Progress()

    def take(self, n: int) -> int:
        """Return the first of n file numbers."""
        first, self.next_number = self.next_number, self.next_number + n
        return first

    def flush(self, memtable: C, now: int) -> None:
        """A full memtable becomes a run of level 0; then all is done that the policy wants. now: the sequence number by then.

        Refused: what the policy did against the rules.
        """
        self.flush_span, self.now = max(self.flush_span, now - self.now), now
        shape = Shape(0, not self.version.tables(), self.bits(0), number=self.take(1), now=now)
        outcome = self.content.merge([[memtable]], shape)
        tables = self._taken(outcome)
        self._install(Edit(0, added=tuple((0, self.next_run, t) for t in tables)))
        self.progress.restart()
        self.counters.flushed(outcome.entries_in, outcome.dropped, tables)
        self.told(Decision.flushed(tables))
        while self._compact(idle=False):
            pass
        self.counters.rested(self.version)

    def wait(self) -> None:
        """At the end: what the policy does while nobody waits."""
        if any(kind == "idle" for kind, _ in triggers_of(self.options.compaction.triggers)):
            while self._compact(idle=True):
                pass
            self.counters.rested(self.version)

    def view(self, *, idle: bool) -> TreeView:
        """What the policy sees. Nothing is read in a simulation."""
        counted = counts_reads(self.options, self.policy)
        return TreeView(
            self.version.levels,
            self.options,
            frozenset(),
            self.options.seed,
            self.step,
            dict(self.cursors),
            now=self.now,
            horizon=max(self.options.buffer_entries, self.flush_span),
            reads=dict.fromkeys(self.version.tables(), 0) if counted else {},
            served={level: n for (level, cause), n in self.counters.written.items() if cause == "compaction"},
            idle=idle,
        )

    def bits(self, level: int) -> float:
        """Bits a key of the filters of tables made for a level."""
        filled = filled_of(self.options, self.version, self.policy)
        bits: float = lsm.ALLOCATIONS[self.options.filter_allocation]().bits(level, filled)
        return bits

    def _compact(self, *, idle: bool) -> bool:
        """Do one plan; False when the policy wants nothing."""
        try:
            plan = self.policy.plan(self.view(idle=idle))
            if plan is None:
                return False
            validate(plan, self.version, frozenset())
            if plan.drop:
                check_drop(plan, self.view(idle=False))
            self.progress.check(self.version)
        except Exception as e:
            why = str(e) if isinstance(e, lsm.PlanRefused) else f"plan() raised {type(e).__name__}: {e}"
            raise Refused(why, self.step) from e
        self.step += 1
        version, known = self.version, self.version.tables()
        tables: tuple[TableInfo, ...] = tuple(known[n] for n in plan.inputs)
        what = "drop" if plan.drop else "move" if keeps_files(plan, version, self.options) else "merge"
        if what == "merge":
            tables = self._merged(plan)
        elif what == "drop":
            self.counters.entries_dropped += sum(t.entries for t in tables)
            tables = ()
        else:
            self.counters.moved += len(tables)
        self._install(edit_of(plan, version, tables, 0, self.next_run))
        self.told(Decision.of(what, plan, tables))
        if cursor := cursor_of(plan, version):
            self.cursors[cursor[0]] = cursor[1]
        return True

    def _merged(self, plan: Plan) -> tuple[TableInfo, ...]:
        known, where = self.version.tables(), self.version.where()
        tables = sorted([known[n] for n in plan.inputs], key=lambda t: (where[t.number], t.smallest))
        runs = [(level, list(run)) for (level, _), run in groupby(tables, key=lambda t: where[t.number])]
        output_bytes, most = outputs_of(plan, self.version, self.options)
        bottom, bits = is_bottom(self.version, tables, plan.output_level), self.bits(plan.output_level)
        shape = Shape(plan.output_level, bottom, bits, output_bytes, most, plan.cuts, self.take(most), self.now)
        outcome = self.content.merge([[self.contents[t.number] for t in run] for _, run in runs], shape)
        made = self._taken(outcome)
        self.counters.merged([(level, t) for level, run in runs for t in run], plan.output_level, made, outcome.dropped)
        return made

    def _taken(self, outcome: Outcome[C]) -> tuple[TableInfo, ...]:
        self.contents.update({t.number: held for t, held in outcome.tables})
        return tuple([t for t, _ in outcome.tables])

    def _install(self, edit: Edit) -> None:
        self.version = self.version.apply(edit)
        for _, run, _ in edit.added:
            self.next_run = max(self.next_run, run + 1)
        kept = {t.number for _, _, t in edit.added}
        for number in edit.removed:
            if number not in kept:
                del self.contents[number]
        self.take(1)  # the record of the manifest takes one
