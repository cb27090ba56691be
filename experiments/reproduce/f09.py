"""F9: write and read amplification of a plain LSM tree as the data grow, with values of 1 KB: why WiscKey takes the values out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..costs import Mark, updates
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows
from .judge import Check, at_most, rising, told, within
from .trees import Tree, absent, numbers, packed, probe_entry

VALUE, BUFFER, T, PROBES = 1_024, 64, 4, 5_000
PUBLISHED = (
    Published("writes", Mark.PDF, ((1.0, 3.1), (100.0, 14.0)), "LevelDB at 1 GB and 100 GB; write buffer 4 MB"),
    Published(
        "reads", Mark.PDF, ((1.0, 8.2), (100.0, 327.0)), "LevelDB at 1 GB and 100 GB; worst case 24 KB in each of 14 files: 336 a KB"
    ),
)


def cells(tiny: bool) -> Sequence[Cell]:
    return [{"levels": n, "buffers": T**n - 1} for n in ((1, 2, 3) if tiny else (1, 2, 3, 4, 5))]


def measure(cell: Cell) -> Got:
    options = {
        "table": {"filter": "bloom", "bits_per_key": 10.0, "block_size": 4096},
        "compaction": {"layout": "leveling", "granularity": "level", "merge": "preemptive", "size_ratio": T,
                       "output_bytes": int(64 * probe_entry(VALUE, {}))},
    }  # fmt: skip
    with Tree(buffer=BUFFER, value=VALUE, options=options, first=T - 0.5) as tree:
        keys = numbers(BUFFER * cell["buffers"], 42)
        tree.put(keys)
        counts = tree.counts()
        flushed, merged = (counts.bytes(op="write", cause=cause) for cause in ("flush", "compaction"))
        parts = {c: counts.bytes(op="write", component=c) / counts.bytes(op="write", component="data") for c in ("index", "filter")}
        tables = [lv["bytes"] / lv["tables"] for lv in tree.shape()]
        overhead = {c: share * float(np.mean(tables)) for c, share in parts.items()}
        before = tree.counts()
        for some in (packed(np.random.default_rng(3).choice(keys, PROBES)), absent(PROBES, 7)):
            tree.db.get_many(some)
        done = tree.counts().since(before)
        asked = done.count(op=("probe", "skip"), component="filter", cause="get")
        data = done.count(op="read", component="data", cause="get")
        size = done.bytes(op="read", component="data", cause="get")
        runs = sum(lv["runs"] for lv in tree.shape())
        read = (size + asked * overhead["filter"] + data * overhead["index"]) / PROBES
        block = size / max(1, data)
        bound = 2 * runs * (overhead["index"] + overhead["filter"] + block) / VALUE  # two lookups for each value that is found
        model = updates.write_amplification("leveling", T, cell["levels"])
        return {"writes": 1 + merged / flushed, "reads": read / VALUE, "bound": bound, "runs": runs, "model": model}


def slope(rows: Rows) -> float:
    """Writes a level, by least squares."""
    line = rows.line("levels", "writes")
    return float(np.polyfit([x for x, _ in line], [y for _, y in line], 1)[0])


def judge(rows: Rows) -> Sequence[Check]:
    return [
        within("writes for each level more", slope(rows), (T - 1) / 2, 0.2),
        rising("writes as the data grow", [y for _, y in rows.line("levels", "writes")]),
        at_most(
            "reads by their bound: files asked x (index + filter + block), most", max(r.got["reads"] / r.got["bound"] for r in rows), 1
        ),
        rising("reads as the data grow", [y for _, y in rows.line("levels", "reads")]),
        told("writes at 100 times the data by those at once", f"{_at(rows, 'writes', 100):.1f}x", "14 / 3.1 = 4.5x [PDF]"),
    ]


def _at(rows: Rows, what: str, factor: float) -> float:
    """How much a figure grows over so much more data: over the log of the data, from the second level on."""
    line = [(math.log(r.cell["buffers"]), r.got[what]) for r in sorted(rows, key=lambda r: r.cell["levels"])]
    start = line[0][1]
    return float(np.interp(line[0][0] + math.log(factor), [x for x, _ in line], [y for _, y in line]) / start)


def panels(rows: Rows) -> Sequence[Panel]:
    size = [(r.cell["buffers"], r.got) for r in sorted(rows, key=lambda r: r.cell["levels"])]
    per_gb = 250  # write buffers of 4 MB in 1 GB
    writes = [
        Line("leveling, measured", [(x, g["writes"]) for x, g in size], "measured", 0),
        Line("model C10 + flush", [(x, g["model"]) for x, g in size], "model", 0),
    ]
    reads = [
        Line("leveling, measured", [(x, g["reads"]) for x, g in size], "measured", 0),
        Line("bound: all files asked", [(x, g["bound"]) for x, g in size], "model", 3),
    ]
    for panel, p in ((writes, PUBLISHED[0]), (reads, PUBLISHED[1])):
        panel.append(Line("", tuple((x * per_gb, y) for x, y in p.points), "published", 0, source="LevelDB, published [PDF]"))
    x = "data, write buffers"
    return [
        Panel("Writes", x, "WA: (flushed + merged) / flushed", writes, xscale="log"),
        Panel("Reads", x, "RA-bytes: bytes read / returned", reads, xscale="log", yscale="log", from_zero=False),
    ]


FIGURE = Figure(
    id="F9",
    title="Why values are taken out: amplification of large values",
    source="WiscKey (FAST 2016) Figure 2",
    question="How do write and read amplification of a plain LSM tree grow with the data, when values have 1 KB?",
    definition="WA: bytes written by flushes and merges by those of flushes. RA-bytes: bytes of data blocks read, and of filters and "
    "indexes of the files asked as if they were read too, by the bytes of the values returned; half of the lookups find nothing.",
    scale="3 to 1,023 write buffers of 64 KB instead of 1 and 100 GB; T = 4, so that five levels fit.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "Writes grow by (T - 1)/2 for each level, so with the logarithm of the data. LevelDB's T is 10 and its merges are "
    "partial: steeper, and at 1 GB its upper levels are nearly empty. Its reads are far above ours because a lookup there opens files "
    "whose index and filter take 20 KB each; here a file is 64 KB, and its index and filter are a few hundred bytes.",
)  # fmt: skip
