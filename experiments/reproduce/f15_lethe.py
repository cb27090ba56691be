"""F15, Lethe: deletes that are gone for good before a deadline, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..costs import Mark
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows
from .judge import Check, above, at_least, at_most, below, told
from .streams import mixed
from .trees import Tree, numbers, probe_entry

T, BUFFER, FILE, N = 10, 1_000, 500, 400_000
DEADLINES, DELETES = (0.03, 0.12, 0.25, 0.50), (0.02, 0.05, 0.10)
PUBLISHED = (
    Published("space amplification by the baseline's", Mark.PDF, ((0.50, 0.52),), "-48 % at a deadline of half the run"),
    Published("bytes written by the baseline's", Mark.PDF, ((0.50, 1.045),), "+4.5 %"),
    Published("compactions by the baseline's", Mark.PDF, (), "-45 % at 2 % deletes; no tombstone older than the deadline"),
)


def cells(tiny: bool) -> Sequence[Cell]:
    n, deletes, deadlines = (30_000, (0.10,), (0.10, 0.50)) if tiny else (N, DELETES, DEADLINES)
    return [{"deadline": d, "deletes": share, "n": n} for share in deletes for d in (0.0, *deadlines)]


def measure(cell: Cell) -> Got:
    table = {"filter": "none", "block_size": 1024}
    chosen: dict[str, Any] = {"layout": "leveling", "size_ratio": T, "picker": "least_overlap"}
    if cell["deadline"]:
        chosen |= {"triggers": f"tombstone_deadline={round(cell['deadline'] * cell['n'])}"}
    chosen["output_bytes"] = int(FILE * probe_entry(8, {"table": table}))
    writes = mixed(cell["n"], 1, cell["deletes"], 5)
    keys = numbers(int(writes.ids.max()) + 1, 42)
    ages, space = [0], [0.0]
    with Tree(buffer=BUFFER, options={"table": table, "compaction": chosen}, first=T) as tree:

        def look(done: int) -> None:
            version, now = tree.db.version(), tree.db.default.view().now
            ages.append(max((now - t.oldest_tombstone for t in version.tables().values() if t.oldest_tombstone), default=0))
            if done > cell["n"] // 2:
                space.append(tree.stored() / int(writes.exist[done - 1]) - 1)

        tree.put(keys[writes.ids], look, writes.deleted)
        counts = tree.counts()
        moved = sum(counts.bytes(op=op, cause="compaction", component="data") for op in ("read", "write"))
        written = counts.bytes(op="write", component="data")
        return {
            "oldest": max(ages) / cell["n"], "space": sum(space) / max(1, len(space) - 1), "written": written, "moved": moved,
            "jobs": tree.db.default.step, "tombstones": sum(lv.deletions for lv in tree.db.levels()), "deletes": int(writes.deleted.sum()),
        }  # fmt: skip


def judge(rows: Rows) -> Sequence[Check]:
    shares, deadlines = sorted(rows.values("deletes")), sorted({*rows.values("deadline")} - {0.0})
    base = {s: rows.one(deletes=s, deadline=0.0) for s in shares}
    checks = []
    for d in deadlines:
        some = [rows.one(deletes=s, deadline=d) for s in shares]
        checks.append(
            at_most(f"deadline {d:.0%} of the run: age of the oldest tombstone at any time, by the run", max(g["oldest"] for g in some), d)
        )
    last, most, first = deadlines[-1], shares[-1], deadlines[0]
    written = {s: rows.one(deletes=s, deadline=first)["written"] / base[s]["written"] for s in shares}
    half, tight = rows.one(deletes=most, deadline=last), rows.one(deletes=most, deadline=first)
    return [
        *checks,
        above(
            "without a deadline a tombstone lives longer than all but the last, by the run",
            max(b["oldest"] for b in base.values()),
            deadlines[-2],
        ),
        below(f"tombstones left, deadline {first:.0%} by the baseline", tight["tombstones"] / max(1, base[most]["tombstones"]), 1),
        below(f"space amplification, deadline {first:.0%} by the baseline", tight["space"] / base[most]["space"], 1),
        *(at_least(f"bytes written, {s:.0%} deletes, deadline {first:.0%} by the baseline", w, 1) for s, w in written.items()),
        told(
            f"space amplification, deadline {first:.0%}", f"{tight['space'] / base[most]['space'] - 1:+.0%}", "-48 % [PDF], deadline 50 %"
        ),
        told(f"space amplification, deadline {last:.0%}", f"{half['space'] / base[most]['space'] - 1:+.0%}", "-48 % [PDF]"),
        told(f"bytes written, deadline {last:.0%}", f"{half['written'] / base[most]['written'] - 1:+.1%}", "+4.5 % [PDF]"),
        told(
            "compactions at 2 % deletes",
            f"{rows.one(deletes=shares[0], deadline=last)['jobs'] / base[shares[0]]['jobs'] - 1:+.0%}",
            "-45 % [PDF]",
        ),
    ]


def panels(rows: Rows) -> Sequence[Panel]:
    shares, deadlines = sorted(rows.values("deletes")), sorted({*rows.values("deadline")} - {0.0})

    def by(what: str) -> list[Line]:
        lines = []
        for i, s in enumerate(shares):
            base = rows.one(deletes=s, deadline=0.0)[what]
            points = [(d, rows.one(deletes=s, deadline=d)[what] / max(base, 1e-9)) for d in deadlines]
            lines.append(Line(f"{s:.0%} deletes, measured", points, "measured", i))
        return lines

    oldest = [Line(f"{s:.0%} deletes, measured", [(d, rows.one(deletes=s, deadline=d)["oldest"]) for d in deadlines], "measured", i)
              for i, s in enumerate(shares)]  # fmt: skip
    oldest.append(Line("the deadline", [(d, d) for d in deadlines], "model", -1))
    published = [Line("", p.points, "published", len(shares) - 1, source="published [PDF]") for p in PUBLISHED]
    x = "deadline, by the length of the run"
    return [
        Panel("Oldest tombstone at any time", x, "age by the run", oldest),
        Panel("Space amplification", x, "by the baseline's", [*by("space"), published[0]]),
        Panel("Bytes written", x, "by the baseline's", [*by("written"), published[1]]),
    ]


FIGURE = Figure(
    id="F15-lethe",
    title="Lethe: deletes persist before a deadline",
    source="Lethe (SIGMOD 2020) Figure 6",
    question="Can a deadline for tombstones be kept, and at what price?",
    definition="Age of a tombstone: writes since it was written, at the end of every flush. Space: entries in tables a live key, less "
    "one, mean over the second half. The baseline: leveling, least overlap.",
    scale="400,000 writes, as many updates as insertions, buffer of 1,000 entries, files of 500, T = 10; the paper has 1 GB.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "The deadline is a hard assertion, and holds: no tombstone is in any table longer, at any time. What it saves "
    "depends on how long tombstones live without one: here not half of the run, so that the paper's deadline of a half saves little "
    "space and one of a few per cent saves more than the paper reports, and costs more. With 200 buffers instead of 400, and updates "
    "among the writes, what is purged early and so not moved again outweighed the merges that the deadline adds (0.97 of the bytes, 10 % "
    "deletes): the tree was too small for the paper's sign.",
)  # fmt: skip
