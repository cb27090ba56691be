"""F14: compactions invalidate the block cache: hit ratio of reads of a hot range while writes go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..costs import Mark
from . import kept
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows, published_lines
from .judge import Check, above, at_least, told
from .trees import Tree, numbers, packed, probe_entry

VALUE, BUFFER, T, FILE, HOT, TO_HOT, UPDATES = 1_000, 320, 10, 160, 0.15, 0.98, 300
TWICE, ONCE = 2.0, 1.0  # what the cache holds, by the hot range
POLICIES: Mapping[str, Mapping[str, Any]] = {
    "plain": {"layout": "leveling", "picker": "least_overlap"},
    "prefetch": {"layout": "leveling", "picker": "least_overlap"},
    "keep": {"layout": kept.KIND, "layout_params": f"runs={T - 1}", "l0_trigger": 1},
}
NAMES = {"plain": "plain", "prefetch": "prefetch", "keep": "kept files"}
PUBLISHED = (
    Published("plain", Mark.PDF, (("LevelDB", 0.813), ("bLSM", 0.879)), "LSbM Figure 9"),
    Published("prefetch", Mark.PDF, (("incremental warm-up", 0.578),), "LSbM Figure 9"),
    Published("kept files", Mark.PDF, (("LSbM", 0.953),), "LSbM Figure 9"),
)


def cells(tiny: bool) -> Sequence[Cell]:
    size = {"n": 16_000, "steps": 15} if tiny else {"n": 64_000, "steps": 200}
    wanted = [(name, TWICE) for name in POLICIES] + [(name, ONCE) for name in ("plain", "keep")]
    return [{"policy": name, "cache": cache, **size} for name, cache in wanted]


@kept.registered()
def measure(cell: Cell) -> Got:
    """Load, fill the cache, then steps of 300 updates of any keys and 1,000 lookups, of which 98 % are in the hot range."""
    name, rng = cell["policy"], np.random.default_rng(3)
    entry = probe_entry(VALUE, {})
    chosen = {"size_ratio": T, "output_bytes": int(FILE * entry), **POLICIES[name]}
    keys = np.sort(numbers(cell["n"], 42))
    hot = keys[: int(HOT * len(keys))]
    cache = int(cell["cache"] * len(hot) * entry)
    with Tree(
        buffer=BUFFER, value=VALUE, options={"table": {"filter": "bloom", "bits_per_key": 20.0}, "compaction": chosen}, first=T, cache=cache
    ) as tree:
        tree.put(rng.permutation(keys))
        tree.db.get_many(packed(hot))
        ratios, merged, into_hot = [], [], []
        before = tree.counts()
        last = packed(hot[-1:])[0]
        for _ in range(cell["steps"]):
            known = set(tree.db.version().tables())
            tree.put(rng.choice(keys, UPDATES))
            fresh = [t for n, t in tree.db.version().tables().items() if n not in known]
            if name == "prefetch" and fresh:
                for _pair in tree.db.scan(None, last):
                    pass
            written = tree.counts()
            merged.append(written.since(before).bytes(op="write", cause="compaction"))
            into_hot.append(sum(t.smallest <= last for t in fresh))
            lookups = np.where(rng.random(1_000) < TO_HOT, rng.choice(hot, 1_000), rng.choice(keys, 1_000))
            tree.db.get_many(packed(lookups))
            before = tree.counts()
            done = before.since(written)
            hits, reads = (done.count(op=op, component="data", cause="get") for op in ("hit", "read"))
            ratios.append(hits / max(1, hits + reads))
        whole = tree.counts()
        return {
            "ratios": ratios,
            "merged": merged,
            "into_hot": into_hot,
            "mean": float(np.mean(ratios)),
            "scanned": whole.count(op="read", cause="scan"),
        }


def dips(got: Got) -> tuple[float, float]:
    """Mean hit ratio of the steps after new tables came into the hot range, and of the others."""
    ratios, touched = np.array(got["ratios"]), np.array(got["into_hot"]) > 0
    if touched.all() or not touched.any():
        return float(ratios.mean()), float(ratios.mean())
    return float(ratios[touched].mean()), float(ratios[~touched].mean())


def judge(rows: Rows) -> Sequence[Check]:
    wide = {r.cell["policy"]: r.got["mean"] for r in rows.where(cache=TWICE)}
    after, else_ = dips(rows.one(policy="plain", cache=ONCE))
    return [
        above("plain: hit ratio in steps without new tables by that after a compaction", else_ / after, 1),
        at_least("kept files over plain, points", 100 * _gain(rows, ONCE), 5),
        told("plain, after a compaction and else", f"{after:.3f}, {else_:.3f}", ""),
        told("the same with a cache of twice the hot range, points", f"{100 * _gain(rows, TWICE):+.1f}", ""),
        told("means with it: plain, prefetch, kept files", ", ".join(f"{wide[p]:.3f}" for p in POLICIES),
             "0.813 and 0.879; 0.578; 0.953 [PDF]"),
    ]  # fmt: skip


def _gain(rows: Rows, cache: float) -> float:
    """Hit ratio when old files stay, less that of plain leveling."""
    return float(rows.one(policy="keep", cache=cache)["mean"]) - float(rows.one(policy="plain", cache=cache)["mean"])


def panels(rows: Rows) -> Sequence[Panel]:
    series = []
    for i, r in enumerate(rows.where(cache=TWICE)):
        width = max(1, len(r.got["ratios"]) // 100)
        smooth = [
            (float(UPDATES) * (k + width / 2), float(np.mean(r.got["ratios"][k : k + width])))
            for k in range(0, len(r.got["ratios"]), width)
        ]
        series.append(Line(f"{NAMES[r.cell['policy']]}, measured", smooth, "measured", i))
    bars = [Line(f"cache of {label}, measured", [(NAMES[r.cell["policy"]], r.got["mean"]) for r in rows.where(cache=c)], "measured", i + 3)
            for i, (c, label) in enumerate(((TWICE, "twice the hot range"), (ONCE, "the hot range")))]  # fmt: skip
    bars += published_lines(
        [Published(p.series, p.mark, tuple((p.series, y) for _, y in p.points)) for p in PUBLISHED], dict.fromkeys(NAMES.values(), 4)
    )
    return [
        Panel("While writes go on", "updates", "hit ratio of lookups", series, from_zero=False),
        Panel("Means", "", "hit ratio of lookups", bars, categories=list(NAMES.values())),
    ]


FIGURE = Figure(
    id="F14",
    title="Compactions and the block cache",
    source="LSbM (ICDCS 2017) Figures 2, 9",
    question="How much of the cache do compactions throw away, and what helps?",
    definition="Hit ratio: data blocks that lookups found in the cache by those that they asked for, by step of 300 updates and 1,000 "
    "lookups.",
    scale="64,000 entries of 1 KB, buffer of 320, files of 160, T = 10; the hot range is 15 % of the keys and takes 98 % of the lookups, "
    "the cache holds it twice, and once; the paper has 20 GB and 3 GB.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "A compaction writes the same entries into new blocks, and the cache holds the old ones. Reading the hot range "
    "again after each compaction fills the cache at once, at the price of these reads, which the hit ratio does not show; the paper's "
    "warm-up is incremental and loads blocks that nobody asks for. Old files stay by a layout (experiments/reproduce/kept.py): where "
    f"tables are read, up to {T - 1} of a level may overlap before they are merged, where they are not read it is leveling; LSbM keeps "
    "the inputs of merges beside their outputs instead. Files that stay hold old versions among the new ones, and these take room in the "
    f"cache: when it is just as large as the hot range they cost more than they save ({100 * _gain(rows, ONCE):+.1f} points), with room "
    f"for them it is {100 * _gain(rows, TWICE):+.1f}. Plain leveling gains nothing more from a cache of twice the hot range than from one "
    "and a half, so what it misses there are blocks that compactions threw away.",
)  # fmt: skip
