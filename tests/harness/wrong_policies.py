"""Compaction policies that are wrong on purpose, each in its own way, and what the refusal must say."""

from __future__ import annotations

import lsm


class TooLittle:
    """Merges too little: one table of level 0 goes down alone, below tables of level 0 that are older and hold the same keys."""

    tie_break = "none"

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        zero = view.level(0)
        return lsm.Plan((zero.runs[0].tables[0].number,), 1, "one is enough") if len(zero.runs) > 2 else None


class Overlapping:
    """Drops overlapping runs: joins the run of level 1 without the tables there that it overlaps."""

    tie_break = "none"

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        zero = view.level(0).tables
        return lsm.Plan(tuple(t.number for t in zero), 1, "level 0 alone") if len(zero) > 2 and not view.busy else None


class Busy:
    """Names a busy file: once a job runs, it wants the same tables again."""

    tie_break = "none"

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        if view.busy:
            return lsm.Plan((min(view.busy),), 1, "me first")
        tables = [t.number for level in view.levels[:2] for t in level.tables]
        return lsm.Plan(tuple(tables), 1, "all") if len(view.level(0).runs) > 2 else None


class Upside:
    """Puts a newer run below an older one: the newest run of level 0 goes below level 1."""

    tie_break = "none"

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        zero, one = view.level(0), view.level(1)
        if view.busy:
            return None
        if one.runs and len(zero.runs) > 1:
            return lsm.Plan(tuple(t.number for t in zero.tables), 2, "down it goes", new_run=True)
        return lsm.Plan(tuple(t.number for t in zero.tables), 1, "first") if len(zero.runs) > 2 and not one.runs else None


class Endless:
    """Never terminates: rewrites what it has just written."""

    tie_break = "none"

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        tables = tuple(t.number for level in view.levels[:2] for t in level.tables)
        return lsm.Plan(tables, 1, "again") if tables and not view.busy else None


class Vague:
    """Gives what is no plan."""

    tie_break = "none"

    def plan(self, view: lsm.TreeView) -> object:
        return {"inputs": [1]} if len(view.level(0).runs) > 2 else None


class Falls:
    """Has a bug."""

    tie_break = "none"

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        return lsm.Plan((view.level(0).runs[7].tables[0].number,), 1)


WRONG: dict[type, str] = {
    TooLittle: "would be older than the output|would be newer than the output",
    Overlapping: "overlaps the inputs, in the run that they join: it must be an input too",
    Busy: "held by a running job",
    Upside: "would be newer than the output: it must be an input too",
    Endless: "does not come to an end",
    Vague: r"plan\(\) returned .* allowed: a Plan or None",
    Falls: r"plan\(\) raised IndexError",
}
