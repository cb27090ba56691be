"""The plots of a report. Each is drawn from records alone, carries its units on its axes, and has a caption that says what to see.

Colours are the Okabe-Ito set, which people with the usual colour blindnesses can tell apart; what colour says, position, marker or order
say too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .names import listed
from .overlays import OVERLAYS, Overlay, averaged, write_shares
from .overlays import writes as write_overlay
from .plots_base import (
    COLOURS,
    LEVEL_COLOURS,
    MARKERS,
    MIB,
    PERCENTILES,
    STYLE,
    WIDTH,
    Factors,
    Plot,
    legend,
    mark,
    panels,
    swatch,
)
from .plots_pareto import front, pareto
from .plots_runs import percentiles, timeline
from .plots_stalls import stalls
from .results import Record, group

__all__ = [
    "COLOURS", "LEVEL_COLOURS", "MARKERS", "MIB", "PERCENTILES", "PLOTS", "STYLE", "WIDTH", "Factors", "Plot", "by_workload", "draw_all",
    "drawable", "front", "legend", "mark", "panels", "save", "swatch",
]  # fmt: skip


def throughput(records: Sequence[Record]) -> Plot:
    """Operations per second: a point a configuration, a panel a workload."""
    f = Factors(records)
    figure, axes = panels(len(f.workloads))
    for axis, workload in zip(axes, f.workloads, strict=True):
        for r in (r for r in records if r.workload == workload):
            offset = (f.seconds.index(f.two(r)) - (len(f.seconds) - 1) / 2) * 0.2
            axis.plot(
                f.firsts.index(f.one(r)) + offset,
                r.summary["throughput"] / 1000,
                MARKERS[f.seconds.index(f.two(r)) % 7],
                color=f.colour(f.one(r)),
                ms=8,
            )
        axis.set(title=workload, xticks=range(len(f.firsts)), xlim=(-0.6, len(f.firsts) - 0.4))
        axis.set_xticklabels(f.firsts, rotation=25, ha="right")
        axis.set_ylim(0, 1.12 * max(r.summary["throughput"] for r in records if r.workload == workload) / 1000)
    axes[0].set_ylabel("thousand operations/s")
    if f.second:
        legend(figure, [mark(MARKERS[i % 7], v) for i, v in enumerate(f.seconds)])
    best = {w: max((r for r in records if r.workload == w), key=lambda r: r.summary["throughput"]) for w in f.workloads}
    said = "; ".join(
        f"{w}: {' with '.join(filter(None, (f.one(r), f.two(r))))}, {r.summary['throughput'] / 1000:.0f} thousand/s"
        for w, r in best.items()
    )
    caption = (
        f"Higher is better; every axis starts at zero, scales differ between panels. Fastest on {said}. Each point is one run: "
        "compare its distance to the others with the spread among the markers of a column before believing it."
    )
    return Plot("throughput", "Throughput", caption, figure)


def latency(records: Sequence[Record]) -> Plot:
    """Percentiles of single operations: line = median over the second factor, band = its range."""
    f = Factors(records)
    figure, axes = panels(len(f.workloads), sharey=True)
    x = range(len(PERCENTILES))
    for axis, workload in zip(axes, f.workloads, strict=True):
        for value in f.firsts:
            some = [[r.percentile(q) for q in PERCENTILES] for r in records if r.workload == workload and f.one(r) == value]
            if not some:
                continue
            lows, middle, highs = np.min(some, 0), np.median(some, 0), np.max(some, 0)
            axis.fill_between(x, lows, highs, color=f.colour(value), alpha=0.18, lw=0)
            axis.plot(x, middle, color=f.colour(value), marker=MARKERS[f.firsts.index(value) % 7], ms=5)
        axis.set(title=workload, yscale="log", xlabel="percentile", xticks=x)
        axis.set_xticklabels([f"{q:g}" for q in PERCENTILES])
    axes[0].yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes[0].yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda v, _: f"{v:g}"))
    axes[0].yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes[0].set_ylabel("latency (µs, log scale)")
    legend(figure, [mark(MARKERS[i % 7], v, f.colour(v)) for i, v in enumerate(f.firsts)])
    over = f", the band the range over {f.second}" if f.second and len(f.seconds) > 1 else ""
    worst = max(records, key=lambda r: r.percentile(99.9))
    caption = (
        f"Lower is better. The line is the median{over}. Look at how steeply it rises to the right: flushes and merges that run inside "
        "a write show only in the last per mille. The highest 99.9th percentile is "
        f"{worst.percentile(99.9):,.0f} µs ({worst.workload}, {f.one(worst)})."
    )
    return Plot("latency", "Latency", caption, figure)


WORST: Any = {"color": "black", "lw": 2, "ls": (0, (3, 1))}
FITTED: Any = {"color": "black", "lw": 2}


def overlay_lines(axis: Any, x: float, overlay: Overlay, width: float) -> None:
    """Draw both models across a bar: dashed the worst case, solid the fitted one."""
    for value, style in ((overlay.worst, WORST), (overlay.fitted, FITTED)):
        if value is not None:
            axis.plot([x - width / 2, x + width / 2], [value] * 2, **style)


def overlay_legend() -> list[Any]:
    """What the two lines are."""
    return [
        mpl.lines.Line2D([], [], label="model, worst case: full levels", **WORST),
        mpl.lines.Line2D([], [], label="model, fitted to the runs", **FITTED),
    ]


def writes(records: Sequence[Record]) -> Plot:
    """Write amplification by level, stacked, with the model's worst case."""
    f = Factors(records)
    figure, axes = panels(len(f.workloads))
    parts: dict[str, str] = {}
    totals: dict[str, list[float]] = {}
    shown: list[Overlay] = []
    for axis, workload in zip(axes, f.workloads, strict=True):
        for x, value in enumerate(f.firsts):
            some = [r for r in records if r.workload == workload and f.one(r) == value]
            if not some:
                continue
            base = 0.0
            shares = [write_shares(r) for r in some]
            for part in dict.fromkeys(part for share in shares for part in share):
                height = mean(share.get(part, 0.0) for share in shares)
                colour = parts.setdefault(part, LEVEL_COLOURS[len(parts) % len(LEVEL_COLOURS)])
                axis.bar(x, height, 0.62, bottom=base, color=colour, edgecolor="white", lw=0.6)
                base += height
            totals.setdefault(value, []).append(base)
            label = base
            if found := [o for r in some if (o := write_overlay(r))]:
                overlay = averaged(found)
                shown += found
                overlay_lines(axis, x, overlay, 0.8)
                for line in sorted(v for v in (overlay.worst, overlay.fitted) if v is not None):
                    label = line if label <= line < 1.3 * label else label  # a number that a line would strike through goes above it
            axis.text(x, label, f"{base:.1f}", ha="center", va="bottom", fontsize=9)
        axis.set(title=workload, xticks=range(len(f.firsts)))
        axis.set_xticklabels(f.firsts, rotation=25, ha="right")
        axis.margins(y=0.1)
    axes[0].set_ylabel("WA-user\n(bytes written / user byte)")
    legend(figure, [*(swatch(c, p) for p, c in parts.items()), *overlay_legend()], 5)
    said = ", ".join(f"{v} {mean(t):.1f}" for v, t in totals.items())
    caption = (
        "WA-user: log, flushes and merges, load and run together; lower is better. The dashed line is the closed form of full levels "
        f"({forms(shown)}; docs/theory.md), with 1 for the flush and 1 for the log. It assumes that a level is merged as a whole and once: "
        "leveling that pushes every flush down at once, a table at a time, exceeds it. The solid line takes levels as large as they were "
        "and counts what each move rewrites when keys are spread alike (no paper's); a picker that finds little overlap stays below it. "
        f"Mean over the workloads: {said}.{several(records)}"
    )
    return Plot("writes", "Write amplification by level", caption, figure)


def compared(metrics: Mapping[str, str], records: Sequence[Record]) -> tuple[Figure, list[Overlay]]:
    """Bars of metrics that have a model, a panel a metric (name -> title), with both models on each. Gives the figure and what it shows."""
    f = Factors(records)
    figure, axes = panels(len(metrics), 3.4)
    all_shown = []
    for axis, (metric, title) in zip(axes, metrics.items(), strict=True):
        shown = [w for w in f.workloads if any(OVERLAYS[metric](r) for r in records if r.workload == w)]
        for w, workload in enumerate(shown):
            for i, value in enumerate(f.firsts):
                some = [o for r in records if r.workload == workload and f.one(r) == value if (o := OVERLAYS[metric](r))]
                if not some:
                    continue
                x = w + (i - (len(f.firsts) - 1) / 2) * (0.78 / len(f.firsts))
                bar = averaged(some)
                axis.bar(x, bar.measured, 0.72 / len(f.firsts), color=f.colour(value))
                overlay_lines(axis, x, bar, 0.66 / len(f.firsts))
                all_shown += some
                axis.set_ylabel(some[0].definition)
        axis.set(title=title, xticks=range(len(shown)), xticklabels=shown)
    legend(figure, [*(swatch(f.colour(v), v) for v in f.firsts), *overlay_legend()], 5)  # as wide as the page with long names
    return figure, all_shown


def forms(overlays: Sequence[Overlay]) -> str:
    """The closed forms of the dashed lines, by number, where there are any."""
    return ", ".join(dict.fromkeys(o.models for o in overlays if o.worst is not None)) or "none of these layouts has one"


def several(records: Sequence[Record]) -> str:
    """What a bar is where seeds or a second factor give it more than one run."""
    f = Factors(records)
    most = max(map(len, group(records, lambda r: (r.workload, f.one(r))).values()))
    return f" A bar and its lines are means of {most} runs." if most > 1 else ""


def largest_gap(overlays: Sequence[Overlay], *, in_errors: bool = False) -> float:
    """The largest distance between a measurement and its fitted model, in its unit or in standard errors where those are known."""
    gaps = [(abs(o.measured - o.fitted), o.spread) for o in overlays if o.fitted is not None]
    return max([gap / spread for gap, spread in gaps if spread] if in_errors else [gap for gap, _ in gaps], default=0.0)


def reads(records: Sequence[Record]) -> Plot:
    """Blocks per lookup, measured and by both models, for keys that exist and keys that do not."""
    figure, shown = compared({"hits": "keys that exist", "misses": "keys that do not exist"}, records)
    caption = (
        "RA-io: data blocks touched by a lookup in the tree as each run left it, whether the block came from the disk or the cache, so the "
        "cache policy plays no part. Left, one is the least possible; right, zero is, and everything above is false positives, so the bars "
        "grow with the number of runs at that moment: a tiered tree has few just after a large merge. The solid line is the model for the "
        "very filters of the runs that are there (C3 and C9: Monkey eq. 3 and 9), which must be met within sampling error; "
        f"the largest gap is {largest_gap(shown):.3f} blocks, on the right {largest_gap(shown, in_errors=True):.1f} standard "
        f"errors. The dashed line has all levels full ({forms(shown)}).{several(records)}"
    )
    return Plot("reads", "Read I/O per lookup", caption, figure)


def scans(records: Sequence[Record]) -> Plot:
    """Blocks per range lookup, measured and by both models."""
    figure, shown = compared({"scans": "range lookups"}, records)
    caption = (
        "RA-io: data blocks touched by a range lookup while the run went on. Every sorted run costs a block, however short the range; the "
        f"entries cost the rest. The dashed line has all levels full and obsolete entries in them ({forms(shown)}), the solid line "
        f"the runs that were there, averaged over time; the largest gap to it is {largest_gap(shown):.2f} blocks.{several(records)}"
    )
    return Plot("scans", "Read I/O per range lookup", caption, figure)


def spaces(records: Sequence[Record]) -> Plot:
    """Space amplification, measured and by both models."""
    figure, shown = compared({"space": "entries stored / live - 1"}, records)
    caption = (
        "SA: entries stored in the final tree for each live one, less one; lower is better. The dashed line is the worst case "
        f"({forms(shown)}), the solid one what these very runs can hold at most: all but the largest run updates, and no more "
        f"than were written. Both are bounds: a workload that updates few records stays far below.{several(records)}"
    )
    return Plot("space", "Space amplification", caption, figure)


def hit_ratios(records: Sequence[Record]) -> Plot:
    """Hit ratio against capacity: one panel for a trace itself, one for the blocks that each workload touched in the engine."""
    chosen: dict[str, tuple[Record, list[dict[str, Any]]]] = {}
    for r in records:
        for stream, curves in _by(r.curves, "stream").items():
            title = (
                f"{r.workload}, blocks of the tree"
                if stream == "blocks"
                else f"{r.config['trace']['file'].split('.')[0]} trace itself"
                if r.config["trace"]
                else stream
            )
            chosen.setdefault(title, (r, curves))
    figure, axes = panels(len(chosen), 3.2, 3, sharey=True)
    names = list(dict.fromkeys(c["policy"] for _, curves in chosen.values() for c in curves))
    gaps = []
    for axis, (title, (record, curves)) in zip(axes, chosen.items(), strict=True):
        for c in curves:
            bound = c["policy"] == "belady"
            i = names.index(c["policy"])
            style = {"color": "black", "ls": "--"} if bound else {"color": COLOURS[i % 7], "marker": MARKERS[i % 7], "ms": 4}
            axis.plot(c["blocks"], [100 * h for h in c["hit_ratio"]], **style)
        axis.set(title=title, xscale="log", xlabel="capacity (blocks, log scale)", ylim=(0, 100))
        by = {c["policy"]: c["hit_ratio"] for c in curves}
        if "belady" in by and len(by) > 1:
            middle = len(by["belady"]) // 2
            best = max((p for p in by if p != "belady"), key=lambda p: by[p][middle])
            gaps.append(f"{title}: {best} {100 * by[best][middle]:.1f} % of Belady's {100 * by['belady'][middle]:.1f} %")
        if title.endswith("blocks of the tree") and record.options["table"]["block_size"]:
            axis.axvline(record.options["cache"]["capacity"] / record.options["table"]["block_size"], color="#888888", lw=1, ls=":")
    for axis in axes[:: min(3, len(axes))]:
        axis.set_ylabel("hit ratio (%)")
    lines = [
        mpl.lines.Line2D(
            [],
            [],
            label=n,
            **({"color": "black", "ls": "--"} if n == "belady" else {"color": COLOURS[i % 7], "marker": MARKERS[i % 7], "ms": 4}),
        )
        for i, n in enumerate(names)
    ]
    legend(figure, [*lines, mpl.lines.Line2D([], [], color="#888888", lw=1, ls=":", label="capacity of the runs")])
    caption = (
        "The same accesses replayed at many capacities. Belady's dashed line knows the future and cannot be passed; the room between it "
        "and the best policy is what a better policy could still win. No line reaches 100 %: a block's first access misses, and a merge "
        f"makes old blocks new. At the middle capacity: {'; '.join(gaps)}."
    )
    return Plot("hit-ratio", "Hit ratio against capacity", caption, figure)


def _by(rows: Sequence[dict[str, Any]], key: str) -> dict[str, list[dict[str, Any]]]:
    out: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        out.setdefault(row[key], []).append(row)
    return out


def tree(records: Sequence[Record]) -> Plot:
    """Bytes by level (above) and sorted runs (below) while the operations went by."""
    f = Factors(records)
    writing = [r for r in records if r.workload == f.workloads[0]]
    some = [next(r for r in writing if f.one(r) == v) for v in f.firsts]
    figure, axes = plt.subplots(2, len(some), figsize=(WIDTH, 5.0), squeeze=False, layout="constrained", sharex=True, sharey="row")
    numbers = sorted({lv["level"] for r in some for s in r.series for lv in s["levels"] if lv["bytes"]})
    for column, r in enumerate(some):
        x = [s["operations"] / 1000 for s in r.series]
        heights = [[sum(lv["bytes"] for lv in s["levels"] if lv["level"] == n) / MIB for s in r.series] for n in numbers]
        axes[0][column].stackplot(x, heights, colors=[LEVEL_COLOURS[(n + 1) % 9] for n in numbers], lw=0)
        axes[1][column].step(x, [sum(lv["runs"] for lv in s["levels"]) for s in r.series], where="post", color="black", lw=1.5)
        axes[0][column].set(title=f.one(r))
        axes[1][column].set(xlabel="operations (thousand)")
    axes[1][0].set_ylim(0, 1.08 * max(sum(lv["runs"] for lv in s["levels"]) for r in some for s in r.series))
    axes[0][0].set_ylabel("size (MiB)")
    axes[1][0].set_ylabel("sorted runs")
    legend(figure, [swatch(LEVEL_COLOURS[(n + 1) % 9], f"L{n}") for n in numbers])
    runs = ", ".join(f"{f.one(r)} {mean(sum(lv['runs'] for lv in s['levels']) for s in r.series):.1f}" for r in some)
    caption = (
        "Above: bytes by level, so a step down is a merge that dropped old versions. Below: sorted runs that a lookup may have to ask; "
        "the saw-tooth is flushes piling up and merges taking them away. "
        f"Mean number of runs: {runs}."
    )
    return Plot("tree", f"Shape of the tree over time, {f.workloads[0]}", caption, figure)


PLOTS: Mapping[str, Callable[[Sequence[Record]], Plot]] = {
    "throughput": throughput, "latency": latency, "writes": writes, "reads": reads, "scans": scans, "space": spaces,
    "hit-ratio": hit_ratios, "tree": tree, "pareto": pareto, "timeline": timeline, "stalls": stalls, "percentiles": percentiles,
}  # fmt: skip


def drawable(records: Sequence[Record]) -> dict[str, Callable[[Sequence[Record]], Plot]]:
    """The plots for which these records hold what is needed."""
    lacking = {
        name
        for name, there in (
            ("hit-ratio", any(r.curves for r in records)),
            ("reads", any("hits" in r.counters for r in records)),
            ("pareto", all(any("misses" in r.counters for r in some) for some in by_workload(records).values())),
            ("scans", any(OVERLAYS["scans"](r) for r in records)),
            ("space", any(OVERLAYS["space"](r) for r in records)),
            ("timeline", any(s.get("p99_ns") is not None for r in records for s in r.series)),
            ("stalls", any(r.events for r in records)),
            ("percentiles", any(r.histograms for r in records)),
        )
        if not there
    }
    return {name: draw for name, draw in PLOTS.items() if name not in lacking}


def draw_all(records: Sequence[Record], names: Sequence[str] = ()) -> list[Plot]:
    """Draw the plots named (all that can be drawn when none is). ValueError on an unknown name."""
    for name in names:
        if name not in PLOTS:
            raise ValueError(f"unknown plot {name!r}; there are {listed(name, PLOTS)}")
    with plt.rc_context(STYLE):
        return [draw(records) for name, draw in drawable(records).items() if not names or name in names]


def save(plots: Sequence[Plot], folder: Path) -> list[Path]:
    """Write each plot as <name>.png."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for plot in plots:
        path = folder / f"{plot.name}.png"
        plot.figure.savefig(path)
        paths.append(path)
    return paths


def by_workload(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records of each workload."""
    return group(records, lambda r: r.workload)
