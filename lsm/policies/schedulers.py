"""Schedulers: which of the plans that could run now comes next, and which running ones stand still meanwhile.

| kind | next is | source |
|---|---|---|
| fifo | what the triggers call most urgent | LevelDB |
| l0_first | the plan that starts highest in the tree | RocksDB; SILK (ATC 2019) |
| fair | the plan into the level to which least was written so far | Luo and Carey (VLDB 2019), fair scheduler |
| greedy | the plan with the least bytes to merge | Luo and Carey (VLDB 2019), greedy scheduler |
| silk | l0_first; under load deeper plans wait, and running ones stand still for a flush or a merge of level 0 | SILK (ATC 2019) |

A scheduler is a function of the view and the plans, as a policy is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ..params import Param, parse
from ..plan import Plan, Running, TreeView
from ..registry import SCHEDULERS


class Scheduler:
    """Base: a subclass gives `kind`, `source`, `params`, `choose`, and `pauses` if it stops running plans."""

    kind: ClassVar[str]
    source: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()

    def choose(self, view: TreeView, plans: Iterable[Plan]) -> Plan | None:
        """Return the plan to run next, None when none should start now. Plans come in order of urgency."""
        return next(iter(plans), None)

    def pauses(self, view: TreeView, running: Running, flushing: bool) -> bool:
        """Tell whether a running plan should stand still; asked again whenever something begins or ends. flushing: a flush runs."""
        return False


class Fifo(Scheduler):
    """In the order in which they are due."""

    kind, source = "fifo", "LevelDB"


class L0First(Scheduler):
    """Level 0 before level 1, and so on down; in a level as they are due."""

    kind, source = "l0_first", "RocksDB; Balmau et al., SILK, ATC 2019"

    def choose(self, view: TreeView, plans: Iterable[Plan]) -> Plan | None:
        return min(plans, key=lambda p: top_of(view, p), default=None)


class Fair(Scheduler):
    """All levels get the same share of the bandwidth: next is the plan into the level to which least was written so far."""

    kind, source = "fair", "Luo and Carey, VLDB 2019"

    def choose(self, view: TreeView, plans: Iterable[Plan]) -> Plan | None:
        return min(plans, key=lambda p: view.served.get(p.output_level, 0), default=None)


class Greedy(Scheduler):
    """The merge with the least bytes left: the number of runs falls soonest."""

    kind, source = "greedy", "Luo and Carey, VLDB 2019"

    def choose(self, view: TreeView, plans: Iterable[Plan]) -> Plan | None:
        return min(plans, key=lambda p: bytes_of(view, p), default=None)


class Silk(Scheduler):
    """Flushes and merges of level 0 first: of several workers one is never given to anything deeper. Under load (memtables wait, or
    level 0 has `runs` runs) nothing deeper starts beside a merge of level 0, and what runs deeper stands still as long as a flush or a
    merge of level 0 runs."""

    kind, source = "silk", "Balmau et al., SILK, ATC 2019"
    params = (Param("runs", 4, 1, 1000, "runs in level 0 from which there is load"),)

    def choose(self, view: TreeView, plans: Iterable[Plan]) -> Plan | None:
        due = sorted(plans, key=lambda p: top_of(view, p))
        deep = sum(r.top > 0 for r in view.running)
        if due and top_of(view, due[0]) > 0:
            if deep < len(view.running) and self.under_load(view):
                return None  # what runs in level 0 ends, and the policy is asked again
            if 0 < view.options.threads - 1 <= deep:
                return None  # a merge that stands still holds its worker: one more must be free for what it stands still for
        return due[0] if due else None

    def pauses(self, view: TreeView, running: Running, flushing: bool) -> bool:
        return running.top > 0 and self.under_load(view) and (flushing or any(r.top == 0 for r in view.running))

    def under_load(self, view: TreeView) -> bool:
        """Tell whether writes are about to wait."""
        c = view.options.compaction
        given = parse("compaction.scheduler_params", c.scheduler_params if c.scheduler == self.kind else "", self.params)
        return view.sealed > 0 or len(view.level(0).runs) >= given["runs"]


def top_of(view: TreeView, plan: Plan) -> int:
    """Return the highest level that a plan takes tables from."""
    chosen = set(plan.inputs)
    return next((level.number for level in view.levels if any(t.number in chosen for t in level.tables)), plan.output_level)


def bytes_of(view: TreeView, plan: Plan) -> int:
    """Return the bytes of a plan's inputs."""
    chosen = set(plan.inputs)
    return sum(t.size for level in view.levels for t in level.tables if t.number in chosen)


for _scheduler in (Fifo, L0First, Fair, Greedy, Silk):
    SCHEDULERS[_scheduler.kind] = _scheduler
