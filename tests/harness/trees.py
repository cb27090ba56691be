"""A tree without files: tables are dicts of keys, plans are carried out as the engine would, every look-up is compared with a model."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from lsm import Options, Plan, TreeView
from lsm.plan import check_drop, is_bottom, target_run, validate
from lsm.policies import make_policy
from lsm.version import Edit, TableInfo, Version

ENTRY = 100  # bytes
Content = dict[bytes, tuple[int, bool]]  # key -> sequence number, whether it is there (False: a tombstone)


class Tree:
    """`flush` brings a memtable, `step` carries out one plan, `drain` all that are due. Options are those of `Options`, by name.

    Every view is asked twice, by two policy objects: they must plan the same.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = Options.from_dict({"threads": 0, **options})
        self.version, self.content, self.model = Version(), dict[int, Content](), dict[bytes, bool]()
        self.seq, self.number, self.steps, self.horizon, self.written = 0, 0, 0, 0, 0
        self.cursors, self.reads, self.served = dict[int, bytes](), dict[int, int](), dict[int, int]()
        self.snapshots, self.idle, self.dropped = tuple[int, ...](), False, 0

    def view(self) -> TreeView:
        return TreeView(
            self.version.levels,
            self.options,
            seed=self.options.seed,
            step=self.steps,
            cursors=dict(self.cursors),
            now=self.seq,
            horizon=self.horizon,
            snapshots=self.snapshots,
            reads=dict(self.reads),
            served=dict(self.served),
            idle=self.idle,
        )

    def flush(self, writes: Iterable[tuple[bytes, bool]]) -> None:
        """Take writes (key, True: put, False: delete) as one memtable."""
        memory: Content = {}
        before = self.seq
        for key, there in writes:
            self.seq += 1
            memory[key] = (self.seq, there)
            self.model[key] = there
        self.horizon = max(self.horizon, self.seq - before)
        info = self.table(memory)
        self.version = self.version.apply(Edit(0, added=((0, info.number, info),)))

    def table(self, content: Content) -> TableInfo:
        """Make a table."""
        self.number += 1
        self.content[self.number] = content
        seqs, dead = [s for s, _ in content.values()], [s for s, there in content.values() if not there]
        self.written += len(content)
        low, high = min(content), max(content)
        return TableInfo(
            self.number, ENTRY * len(content), len(content), len(dead), low, high, False, min(seqs), max(seqs),
            oldest_tombstone=min(dead, default=0), created=self.seq,
        )  # fmt: skip

    def step(self) -> Plan | None:
        """Carry out one plan; None when nothing is due."""
        view = self.view()
        plan = make_policy(self.options).plan(view)
        assert plan == make_policy(self.options).plan(view), "the same view, another plan"
        if plan is not None:
            self.carry_out(plan, view)
        return plan

    def carry_out(self, plan: Plan, view: TreeView) -> None:
        tables = validate(plan, self.version, frozenset())
        where = self.version.where()
        top, runs = min(where[n][0] for n in plan.inputs), {where[n] for n in plan.inputs}
        if plan.drop:
            check_drop(plan, view)
            self.dropped += len(tables)
            self.version = self.version.apply(Edit(0, plan.inputs))
            for t in tables:
                for key, (seq, _) in self.content.pop(t.number).items():
                    if not any(key in other for other in self.content.values()):
                        self.model.pop(key, None)
                    assert seq <= self.seq
            self.steps += 1
            return
        c, bottom = self.options.compaction, is_bottom(self.version, tables, plan.output_level)
        dead = any(t.deletions for t in tables)
        moves = c.trivial_move and len(runs) == 1 and not plan.cuts and top < plan.output_level and not (dead and bottom)
        joined = target_run(plan, self.version)
        run = self.number + 1 if joined is None else self.version.levels[plan.output_level].runs[joined].id
        outputs = tables if moves else self.merged(plan, tables, bottom)
        if not moves:
            self.served[plan.output_level] = self.served.get(plan.output_level, 0) + sum(t.size for t in outputs)
        if joined is None:
            run = max(run, self.number + 1)
            self.number += 1
        self.version = self.version.apply(Edit(0, plan.inputs, tuple((plan.output_level, run, t) for t in outputs)))
        if top == plan.output_level - 1:
            self.cursors[top] = next(t for t in tables if t.number == plan.inputs[0]).largest
        self.steps += 1

    def merged(self, plan: Plan, tables: list[TableInfo], bottom: bool) -> list[TableInfo]:
        merged: Content = {}
        for t in tables:
            for key, entry in self.content.pop(t.number).items():
                if key not in merged or merged[key] < entry:
                    merged[key] = entry
        if bottom and not self.snapshots:
            merged = {k: e for k, e in merged.items() if e[1]}
        most = max(1, (plan.output_bytes or self.options.compaction.output_bytes) // ENTRY)
        outputs, part, cuts = list[TableInfo](), Content(), list(plan.cuts)
        for key in sorted(merged):
            cut = False
            while cuts and cuts[0] <= key:
                cuts.pop(0)
                cut = True
            if part and (cut or len(part) >= most):
                outputs.append(self.table(part))
                part = {}
            part[key] = merged[key]
        return outputs + ([self.table(part)] if part else [])

    def drain(self, most: int = 300) -> list[Plan]:
        """Carry out all that is due; AssertionError when it does not end."""
        plans = list[Plan]()
        while (plan := self.step()) is not None:
            plans.append(plan)
            assert len(plans) < most, f"plans without end: {plans[-3:]}"
        return plans

    def check(self) -> None:
        """Compare every key with the model, newest run first."""
        found: dict[bytes, bool] = {}
        for _, run in self.version.runs():
            for t in run.tables:
                for key, (_, there) in self.content[t.number].items():
                    found.setdefault(key, there)
        assert {k for k, there in found.items() if there} == {k for k, there in self.model.items() if there}

    def oldest_tombstone(self) -> int:
        """Return the age of the oldest tombstone of the tree; 0: there is none."""
        ages = [self.seq - s for content in self.content.values() for s, there in content.values() if not there]
        return max(ages, default=0)


def writes(rng: random.Random, count: int, keys: int, deletes: float = 0.2) -> list[tuple[bytes, bool]]:
    """Return random writes, over a part of the key range now and then."""
    low = rng.randrange(keys) if rng.random() < 0.3 else 0
    high = min(keys, low + rng.randint(2, keys // 3)) if low else keys
    return [(b"%05d" % rng.randrange(low, high), rng.random() >= deletes) for _ in range(count)]
