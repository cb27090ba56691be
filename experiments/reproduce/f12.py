"""F12: what range filters save: points, open seeks and closed seeks of mostly empty ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from indexes import SurfSettings

from ..costs import Mark
from .figure import Cell, Figure, Got, Line, Panel, Published, Rows
from .judge import Check, at_most, rising, told, within
from .trees import Ints, Tree, numbers, packed

T, BUFFER, VALUE, CACHED = 10, 1_000, 56, 0.05
EMPTY = (0.10, 0.50, 0.90, 0.99)  # chance that a closed range holds nothing
FILTERS: Mapping[str, Mapping[str, Any]] = {
    "none": {"filter": "none"},
    "Bloom": {"filter": "bloom", "bits_per_key": 14.0},
    "SuRF-hash": {"filter": "none", "range_filter": "surf", "range_params": SurfSettings("hash", 4).params},
    "SuRF-real": {"filter": "none", "range_filter": "surf", "range_params": SurfSettings("real", 4).params},
}
KINDS = ("point", "open seek")
PUBLISHED = (
    Published("point", Mark.PDF, (("none", 1.419), ("Bloom", 0.022), ("SuRF-hash", 0.047), ("SuRF-real", 0.056)), "SuRF Figure 12"),
    Published("open seek", Mark.PDF, (("none", 1.627), ("Bloom", 1.646), ("SuRF-hash", 1.303), ("SuRF-real", 1.023)), "SuRF Figure 12"),
    Published("closed seek, SuRF-real", Mark.PDF, ((0.99, 0.2),), "SuRF Figure 13: falls to about 0.2 at 99 % empty"),
    Published("closed seek, Bloom", Mark.PDF, ((0.99, 1.6),), "SuRF Figure 13: stays at about 1.6"),
)


def cells(tiny: bool) -> Sequence[Cell]:
    return [{"filter": name, "buffers": 20 if tiny else 999, "queries": 500 if tiny else 10_000} for name in FILTERS]


def measure(cell: Cell) -> Got:
    name, count = cell["filter"], cell["queries"]
    options = {"table": dict(FILTERS[name]), "compaction": {"layout": "leveling", "granularity": "level", "size_ratio": T}}
    keys = numbers(BUFFER * cell["buffers"], 42)
    cache = int(CACHED * len(keys) * (VALUE + 16))
    with Tree(buffer=BUFFER, value=VALUE, options=options, first=T - 0.5, cache=cache) as tree:
        tree.put(keys)
        gap = 2**64 / len(keys)
        starts = np.random.default_rng(3).integers(0, 2**63 - int(8 * gap), 2 * count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        _closed(tree, starts[:count], round(4 * gap))  # what a cache of that size holds of the upper levels
        asked = starts[count:]
        surf = name.startswith("SuRF")
        got: dict[str, Any] = {"point": _points(tree, asked, closed=surf), "open seek": _open(tree, asked, gap, widening=surf)}
        got["closed"] = [_closed(tree, asked, max(1, round(gap * math.log(1 / p)))) for p in EMPTY]
        return {**got, "runs": [lv["entries"] for lv in tree.shape()]}


def _reads(tree: Tree, queries: int, before: Any) -> float:
    return tree.counts().since(before).count(op="read", component="data", cause=("get", "scan")) / queries


def _points(tree: Tree, asked: Ints, *, closed: bool) -> float:
    """Lookups of keys that do not exist; the engine asks a range filter when a range is closed, so a point is the range of one key."""
    before = tree.counts()
    if closed:
        return _closed(tree, asked, 1)
    tree.db.get_many(packed(asked))
    return _reads(tree, len(asked), before)


def _closed(tree: Tree, asked: Ints, width: int) -> float:
    before = tree.counts()
    for low, high in zip(packed(asked), packed(asked + np.uint64(width)), strict=True):
        tree.db.range(low, high, limit=1)
    return _reads(tree, len(asked), before)


def _open(tree: Tree, asked: Ints, gap: float, *, widening: bool) -> float:
    """The first key from here on. With a range filter: closed ranges that double until one holds a key, each from where the last one ended;
    that stands for asking SuRF for the next key."""
    before = tree.counts()
    for start in asked.tolist():
        if not widening:
            tree.db.range(start.to_bytes(8, "big"), limit=1)
            continue
        low, width = start, max(1, round(gap / 64))
        while low < 2**64 - 1:
            high = min(low + width, 2**64 - 1)
            if tree.db.range(low.to_bytes(8, "big"), high.to_bytes(8, "big"), limit=1):
                break
            low, width = high, 2 * width
    return _reads(tree, len(asked), before)


def judge(rows: Rows) -> Sequence[Check]:
    got = {r.cell["filter"]: r.got for r in rows}
    checks = [within("open seek: Bloom = none", got["Bloom"]["open seek"], got["none"]["open seek"], 0.03)]
    checks += [within(f"closed seek, {p:.0%} empty: Bloom = none", b, n, 0.03)
               for p, b, n in zip(EMPTY, got["Bloom"]["closed"], got["none"]["closed"], strict=True)]  # fmt: skip
    return [
        *checks,
        at_most("open seek: SuRF-real", got["SuRF-real"]["open seek"], 1.1),
        rising("closed seek: SuRF-real, as more ranges are empty", got["SuRF-real"]["closed"], falling=True),
        rising("closed seek: SuRF-hash, as more ranges are empty", got["SuRF-hash"]["closed"], falling=True),
        told("point: none, Bloom, SuRF-hash, SuRF-real", ", ".join(f"{got[f]['point']:.3f}" for f in FILTERS), "1.419, 0.022, 0.047, "
        "0.056 [PDF]"),
        told("open seek: none, SuRF-hash, SuRF-real", ", ".join(f"{got[f]['open seek']:.3f}" for f in ("none", "SuRF-hash", "SuRF-real")),
             "1.627, 1.303, 1.023 [PDF]"),
        told("closed seek at 99 % empty: Bloom, SuRF-real", f"{got['Bloom']['closed'][-1]:.2f}, {got['SuRF-real']['closed'][-1]:.2f}",
             "1.6, 0.2 [PDF]"),
    ]  # fmt: skip


def panels(rows: Rows) -> Sequence[Panel]:
    by = {r.cell["filter"]: r.got for r in rows}
    y = "RA-io: data blocks read a query"
    made = []
    for kind in KINDS:
        published = next(p for p in PUBLISHED if p.series == kind)
        lines = [
            Line("measured", [(f, g[kind]) for f, g in by.items()], "measured", 0),
            Line("", published.points, "published", 1, source="published [PDF]"),
        ]
        made.append(Panel(kind.capitalize(), "", y, lines, categories=list(FILTERS)))
    closed = [Line(f"closed seek, {f}", [(100 * p, v) for p, v in zip(EMPTY, g["closed"], strict=True)], "measured", i)
              for i, (f, g) in enumerate(by.items())]  # fmt: skip
    colours = {"closed seek, SuRF-real": 3, "closed seek, Bloom": 1}
    closed += [
        Line("", [(100 * x, v) for x, v in p.points], "published", colours[p.series], source="published [PDF]")
        for p in PUBLISHED
        if p.series in colours
    ]
    return [*made, Panel("Closed seek", "ranges that are empty, %", y, closed)]


FIGURE = Figure(
    id="F12",
    title="Seeks that read nothing: range filters",
    source="SuRF (SIGMOD 2018) Figures 12, 13",
    question="How many blocks do points, open seeks and closed seeks read with each filter?",
    definition="RA-io: data blocks read from files a query, with a cache of 5 % of the data. Points: keys that do not exist.",
    scale="999,000 random 64-bit keys, 3 full levels (T = 10), values of 56 bytes; gaps are exponential as in the paper, ranges gap "
    "ln(1/P) wide. The paper has 100 GB and a cache of 1 GB.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "A Bloom filter cannot say that a range is empty. SuRF can, and the emptier the ranges the less is read. The engine "
    "asks range filters for closed ranges alone; the open seek is therefore made of closed ranges that double until one holds a key, in "
    "place of SuRF's own next key. Heights without a filter depend on what the cache holds of the upper levels.",
)  # fmt: skip
