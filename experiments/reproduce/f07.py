"""F7: strategies under updates and deletes: bytes moved, tombstones left."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..costs import Mark
from . import universal
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows
from .judge import Check, above, at_most, below, rising, told
from .streams import mixed
from .trees import Tree, numbers, probe_entry

T, BUFFER, FILE, N = 10, 1_000, 500, 150_000
STREAMS = (5, 6, 7)  # seeds of streams with deletes: how many tombstones are left hangs on chance
UPDATES, DELETES = (0, 1, 2, 4, 8), (0.02, 0.05, 0.10)
STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "LO+1": {"picker": "least_overlap"},
    "LO+2": {"picker": "least_overlap_grandparent"},
    "RR": {"picker": "round_robin"},
    "Full": {"granularity": "level"},
    "Tier": {"policy": universal.KIND, "granularity": "level"},
    "TSD": {"picker": "tombstone_density"},
    "TSA10": {"picker": "least_overlap", "deadline": 0.10},
    "TSA33": {"picker": "least_overlap", "deadline": 0.33},
    "TSA50": {"picker": "least_overlap", "deadline": 0.50},
}
UPDATED = ("LO+1", "LO+2", "RR", "Full", "Tier")
DELETED = ("TSA10", "TSA33", "TSA50", "TSD", "LO+1", "Tier")
MIXED = ("LO+1", "TSA10", "TSA33", "TSA50")  # also with as many updates as insertions
PUBLISHED = (
    Published("updates", Mark.PDF, (), "Tier wins as updates grow; LO+2 moves about 20 % less than the other leveled strategies"),
    Published("tombstones", Mark.PDF, (), "TSD purges 16 % more tombstones than Tier and 5 % more than LO+1"),
    Published("bytes moved by LO+1's", Mark.PDF, (("TSA50", 1.18), ("TSA33", 1.35)), "TSA50 moves 18 % more, TSA33 35 % more"),
)


def cells(tiny: bool) -> Sequence[Cell]:
    n = 30_000 if tiny else N
    updates, deletes = ((0, 8), (0.10,)) if tiny else (UPDATES, DELETES)
    cells = [{"strategy": s, "ratio": r, "deletes": 0.0, "n": n} for r in updates for s in UPDATED]
    cells += [{"strategy": s, "ratio": 0, "deletes": d, "n": n} for d in deletes for s in DELETED]
    return [*cells, *({"strategy": s, "ratio": 1, "deletes": deletes[-1], "n": n} for s in MIXED)]


@universal.registered()
def measure(cell: Cell) -> Got:
    """The mean over the streams."""
    got = [_measured(cell, seed) for seed in (STREAMS if cell["deletes"] else STREAMS[:1])]
    return {name: statistics.fmean(g[name] for g in got) for name in got[0]}


def _measured(cell: Cell, seed: int) -> Got:
    table = {"filter": "none", "block_size": 1024}
    chosen: dict[str, Any] = {"layout": "leveling", "size_ratio": T} | dict(STRATEGIES[cell["strategy"]])
    if deadline := chosen.pop("deadline", 0):
        chosen["triggers"] = f"tombstone_deadline={round(deadline * cell['n'])}"
    entry = probe_entry(8, {"table": table})
    if chosen.get("granularity") != "level":
        chosen["output_bytes"] = int(FILE * entry)
    writes = mixed(cell["n"], cell["ratio"], cell["deletes"], seed)
    keys = numbers(int(writes.ids.max()) + 1, 42)
    with Tree(buffer=BUFFER, options={"table": table, "compaction": chosen}, first=T) as tree:
        tree.put(keys[writes.ids], deleted=writes.deleted)
        counts = tree.counts()
        moved = sum(counts.bytes(op=op, cause="compaction", component="data") for op in ("read", "write"))
        tombstones = sum(lv.deletions for lv in tree.db.levels())
        return {
            "moved": moved / (cell["n"] * entry), "tombstones": tombstones, "deletes": int(writes.deleted.sum()),
            "stored": tree.stored() / int(writes.exist[-1]) - 1, "jobs": tree.db.default.step,
        }  # fmt: skip


def judge(rows: Rows) -> Sequence[Check]:
    ratios = sorted(rows.values("ratio", deletes=0.0))
    moved = {s: [rows.one(strategy=s, ratio=r, deletes=0.0)["moved"] for r in ratios] for s in UPDATED}
    shares = sorted({*rows.values("deletes")} - {0.0})
    left = {s: [rows.one(strategy=s, ratio=0, deletes=d)["tombstones"] for d in shares] for s in DELETED}
    cost = {s: [rows.one(strategy=s, ratio=0, deletes=d)["moved"] for d in shares] for s in DELETED}
    by = {
        (s, t): [a / b for a, b in zip(cost[s], cost[t], strict=True)]
        for s, t in (("TSA50", "LO+1"), ("TSA33", "LO+1"), ("TSA33", "TSA50"))
    }
    checks = [below(f"Tier moves less than {s}, at every ratio: most", max(t / m for t, m in zip(moved["Tier"], moved[s], strict=True)), 1)
              for s in UPDATED if s != "Tier"]  # fmt: skip
    checks += [rising(f"{s}: bytes moved as updates grow", [moved[s][0], moved[s][-1]], falling=True) for s in ("LO+1", "RR", "Full")]
    order = ["TSA10", "TSD", "LO+1", "Tier"]
    for fewer, more in pairwise(order):
        what = f"tombstones left: {fewer} by {more}, at every share of deletes: most"
        checks.append(below(what, max(a / max(1, b) for a, b in zip(left[fewer], left[more], strict=True)), 1))
    checks += [
        at_most("tombstones left: TSA10 by TSA33", max(a / max(1, b) for a, b in zip(left["TSA10"], left["TSA33"], strict=True)), 1),
        above("bytes moved: TSA50 by LO+1, at every share of deletes: least", min(by["TSA50", "LO+1"]), 1),
        above("bytes moved: TSA33 by TSA50, at every share of deletes: least", min(by["TSA33", "TSA50"]), 1),
        told("bytes moved: TSA50, TSA33 by LO+1, by share of deletes",
             "; ".join(f"{a:.2f}, {b:.2f}" for a, b in zip(by["TSA50", "LO+1"], by["TSA33", "LO+1"], strict=True)), "1.18, 1.35 [PDF]"),
        told("the same when half of the writes are updates", ", ".join(f"{v:.2f}" for v in _mixed(rows).values()), "not in the paper"),
        told("tombstones left: TSD by Tier, by LO+1, most deletes", f"{left['TSD'][-1] / left['Tier'][-1]:.2f}, "
             f"{left['TSD'][-1] / left['LO+1'][-1]:.2f}", "16 % and 5 % more purged [PDF]"),
        told("bytes moved: LO+2 by LO+1, most updates", f"{moved['LO+2'][-1] / moved['LO+1'][-1]:.2f}", "about 0.8 [PDF]"),
    ]  # fmt: skip
    return checks


def _mixed(rows: Rows) -> dict[str, float]:
    """What deadlines move by what least overlap alone moves, with as many updates as insertions."""
    moved = {s: rows.one(strategy=s, ratio=1, deletes=max(rows.values("deletes")))["moved"] for s in MIXED}
    return {s: moved[s] / moved["LO+1"] for s in ("TSA50", "TSA33", "TSA10")}


def panels(rows: Rows) -> Sequence[Panel]:
    one = [Line(f"{s}, measured", rows.line("ratio", "moved", strategy=s, deletes=0.0), "measured", i) for i, s in enumerate(UPDATED)]
    colours = {"LO+1": 0, "Tier": 4, "TSD": 5, "TSA10": 6, "TSA33": 8, "TSA50": 9}

    def of(what: str) -> list[Line]:
        found = []
        for s in DELETED:
            points = sorted((100 * r.cell["deletes"], r.got[what]) for r in rows.where(strategy=s, ratio=0) if r.cell["deletes"])
            found.append(Line(f"{s}, measured", points, "measured", colours[s]))
        return found

    issued = sorted({(100 * r.cell["deletes"], r.got["deletes"]) for r in rows.where(ratio=0) if r.cell["deletes"]})
    tombstones = [*of("tombstones"), Line("deletes issued", issued, "model", -1)]
    most = max(100 * d for d in rows.values("deletes"))
    base = rows.one(strategy="LO+1", ratio=0, deletes=most / 100)["moved"]
    moved = of("moved")
    for name, factor in PUBLISHED[2].points:
        line = Line("", [(most, factor * base)], "published", colours[name], source="published, times LO+1 [PDF]")
        moved.append(line)
    y = "bytes moved by merges / written"
    return [
        Panel("Updates", "updates an insertion", y, one),
        Panel("Tombstones left", "deletes, % of the writes", "tombstones", tombstones, yscale="log"),
        Panel("What that costs", "deletes, % of the writes", y, moved),
    ]


FIGURE = Figure(
    id="F7",
    title="Updates and deletes",
    source="Sarkar et al. (VLDB 2021) Figure 8(b), (e), (g)",
    question="Which strategy moves least under updates, and which one gets rid of deleted data?",
    definition="Bytes of data blocks that merges read and wrote by those of all writes; tombstones in tables at the end.",
    scale="150,000 writes, buffer of 1,000 entries, files of 500, T = 10. Deletes come among insertions of new keys, without updates; "
    "means of three streams of them. "
    "Deadlines are shares of the run, with least overlap as long as none is near.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "Deletes sink as their files are picked: by density sooner than by overlap, by deadline in any case; RocksDB's "
    "universal compaction, the paper's Tier, holds them until a merge reaches the oldest run. A deadline costs bytes, and a shorter one "
    "more, as in the paper; less of them, for in a tree of this size few tombstones live to a third of the run. It does so where deletes "
    "come among insertions. When half of the writes are updates, a merge that a deadline adds purges the versions below too, which are "
    f"not moved again: then deadlines of 50, 33 and 10 % move {', '.join(f'{v:.2f}' for v in _mixed(rows).values())} of what least "
    "overlap alone does. LO+2 is no better than LO+1: with three levels only the first has a level below the next one.",
)  # fmt: skip
