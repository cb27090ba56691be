"""Compaction as text: trees in, plans out; and a small database whose tree is shown after every step (tests/scripts/compaction)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lsm
import recovery
from lsm.dump import _parse_key, dump, parse
from lsm.errors import PlanRefused
from lsm.options import as_options
from lsm.plan import Plan, TreeView, is_bottom, validate
from lsm.policies import make_policy
from lsm.version import Edit, TableInfo, Version
from tests.harness import scripts

FOLDER = Path(__file__).resolve().parent.parent / "scripts" / "compaction"


def settings(case: scripts.Case) -> dict[str, str]:
    """Return name=value arguments as a dict."""
    return dict(a.split("=", 1) for a in case.arguments if "=" in a)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(",") if n)


class Trees:
    """`tree` states one, `plan` asks a policy, `check` the validator, `apply` carries the last plan out, outputs cut as the plan says."""

    def __init__(self) -> None:
        self.version, self.last, self.fresh = Version(), None, 100

    def __call__(self, case: scripts.Case) -> str:
        return str(getattr(self, f"do_{case.command}")(case, settings(case)))

    def do_tree(self, case: scripts.Case, given: dict[str, str]) -> str:
        self.version = parse("\n".join(case.body))
        return dump(self.version)

    def view(self, given: dict[str, str]) -> TreeView:
        fields: dict[str, Any] = {"layout": given.get("layout", "leveling"), "picker": given.get("picker", "least_overlap")}
        fields |= {"size_ratio": int(given.get("T", 4)), "level_base": int(given.get("base", 1024)), "l0_trigger": int(given.get("l0", 2))}
        options = as_options({"compaction": fields, "seed": int(given.get("seed", 0))}, {})
        cursors = {}
        if "moved" in given:
            level, key = given["moved"].split(":")
            cursors[int(level)] = _parse_key(key)
        busy = frozenset(numbers(given.get("busy", "")))
        return TreeView(self.version.levels, options, busy, options.seed, int(given.get("step", 0)), cursors)

    def do_plan(self, case: scripts.Case, given: dict[str, str]) -> str:
        view = self.view(given)
        self.last = make_policy(view.options).plan(view)
        if self.last is None:
            return "nothing is due"
        return f"{self.last.reason}\n{self.show(self.last, view.busy)}"

    def show(self, plan: Plan, busy: frozenset[int]) -> str:
        inputs = validate(plan, self.version, busy)
        place = "a new run" if plan.new_run else "the run"
        bottom = "; nothing older below" if is_bottom(self.version, inputs, plan.output_level) else ""
        return f"merge {', '.join(map(str, plan.inputs))} into {place} of level {plan.output_level}{bottom}"

    def do_check(self, case: scripts.Case, given: dict[str, str]) -> str:
        cuts = tuple(_parse_key(k) for k in given["cuts"].split(",")) if "cuts" in given else ()
        self.last = Plan(numbers(given["inputs"]), int(given["output"]), "by hand", "new_run" in case.arguments, cuts)
        try:
            return self.show(self.last, frozenset(numbers(given.get("busy", ""))))
        except PlanRefused as refused:
            return f"refused: {refused}"

    def do_apply(self, case: scripts.Case, given: dict[str, str]) -> str:
        plan = self.last
        assert plan is not None
        tables = [self.version.tables()[n] for n in plan.inputs]
        target = self.version.levels[plan.output_level].runs if plan.output_level < len(self.version.levels) else ()
        kept = [r.id for r in target if any(t.number not in plan.inputs for t in r.tables)]
        self.fresh += 1
        low, high = min(t.smallest for t in tables), max(t.largest for t in tables)
        out = TableInfo(self.fresh, sum(t.size for t in tables), sum(t.entries for t in tables), 0, low, high, False, max_seq=self.fresh)
        run = kept[0] if kept and not plan.new_run else self.fresh
        self.version = self.version.apply(Edit(0, plan.inputs, ((plan.output_level, run, out),)))
        return dump(self.version)


class Once:
    """A policy that plans what it was given, once, and after that what the options say."""

    def __init__(self, plan: Plan) -> None:
        self.pending = [plan]

    def plan(self, view: TreeView) -> Plan | None:
        return self.pending.pop() if self.pending else make_policy(view.options).plan(view)


class Databases:
    """`open` makes a database in memory (threads=0), `do` takes a line an operation and shows the tree, with what its tables hold.

    `merge` carries out a plan made by hand: inputs by place, level.run.table, from 0.
    """

    def __init__(self) -> None:
        self.db: lsm.DB | None = None
        self.held: dict[str, lsm.Snapshot] = {}

    def __call__(self, case: scripts.Case) -> str:
        if case.command == "open":
            self.close()
            given = settings(case)
            compaction = {k: (v if k in ("layout", "picker") else int(v)) for k, v in given.items()}
            defaults = {"l0_trigger": 100, "level_base": 1024, "output_bytes": 1 << 20, "layout": "1-leveling"}
            self.db = lsm.open("/d", fs=recovery.memory(), threads=0, compaction={**defaults, **compaction})
            return "ok"
        assert self.db is not None
        if case.command == "merge":
            self.merge(self.db, case)
        out = [said for line in case.body if (said := self.step(self.db, line.split()))]
        return "\n".join([*out, *self.tree(self.db)])

    def step(self, db: lsm.DB, words: list[str]) -> str:
        name, args = words[0], [w.encode() for w in words[1:]]
        if name == "fill":
            for i in range(int(words[1])):
                db.put(b"k%02d" % i, args[1] * 400)
        elif name == "hold":
            self.held[words[1]] = db.snapshot()
        elif name == "release":
            self.held.pop(words[1]).close()
        elif name == "read":
            source = self.held[words[2]] if len(words) > 2 else db
            return f"{words[1]}: {' '.join(f'{k.decode()}={v.decode():.9}' for k, v in source.scan())}"
        else:
            getattr(db, name)(*args)
        return ""

    def merge(self, db: lsm.DB, case: scripts.Case) -> None:
        given, levels = settings(case), db.version().levels
        places = [[int(n) for n in place.split(".")] for place in given["inputs"].split(",")]
        inputs = tuple(levels[level].runs[run].tables[table].number for level, run, table in places)
        cuts = tuple(_parse_key(k) for k in given["cuts"].split(",")) if "cuts" in given else ()
        new_run, output_bytes = "new_run" in case.arguments, int(given.get("output_bytes", 0))
        db.set_policy(Once(Plan(inputs, int(given["output"]), "by hand", new_run, cuts, output_bytes)))
        db.wait()

    def tree(self, db: lsm.DB) -> list[str]:
        rows = []
        for level in db.version().levels:
            for run in level.runs:
                tables = (
                    f"[{t.smallest.decode()}..{t.largest.decode()}{')' if t.largest_exclusive else ']'} "
                    f"{t.entries} entries {t.deletions} deletions {t.range_deletes} ranges"
                    for t in run.tables
                )
                rows.append(f"L{level.number}: " + "; ".join(tables))
        return rows or ["no tables"]

    def close(self) -> None:
        for snapshot in self.held.values():
            snapshot.close()
        self.held.clear()
        if self.db is not None:
            self.db.close()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("plan_*.txt")), ids=lambda p: p.stem)
def test_plans(path: Path, request: pytest.FixtureRequest) -> None:
    scripts.run(path, Trees(), rewrite=request.config.getoption("--rewrite"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("tree_*.txt")), ids=lambda p: p.stem)
def test_trees(path: Path, request: pytest.FixtureRequest) -> None:
    database = Databases()
    scripts.run(path, database, rewrite=request.config.getoption("--rewrite"))
    database.close()


def test_there_are_scripts() -> None:
    assert len(list(FOLDER.glob("*.txt"))) >= 6
