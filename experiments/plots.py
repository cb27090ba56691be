"""The plots of a report. Each is drawn from records alone, carries its units on its axes, and has a caption that says what to see.

Colours are the Okabe-Ito set, which people with the usual colour blindnesses can tell apart; what colour says, position, marker or order
say too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .models import Prediction, filter_fpr, hit_reads, write_amplification, zero_result_reads
from .results import Record, group

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LEVEL_COLOURS = ("#999999", "#56B4E9", "#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#F0E442", "#000000")
WIDTH = 9.6
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
MIB = 1 << 20
STYLE: Any = {
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True,
    "legend.frameon": False, "figure.dpi": 110, "savefig.dpi": 160, "axes.titlesize": 10.5, "axes.titleweight": "bold",
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A drawn plot. `caption` tells how to read it and what these data show."""

    name: str
    title: str
    caption: str
    figure: Figure


class Factors:
    """What varies in a set of records: the first factor is told by colour, the second by marker."""

    def __init__(self, records: Sequence[Record]) -> None:
        names = [k for k in records[0].point if len({str(r.point.get(k)) for r in records}) > 1] or list(records[0].point)[:1]
        self.first, self.second = (*names[:2], None, None)[:2]
        self.firsts = self._values(records, self.first)
        self.seconds = self._values(records, self.second)
        self.left = len(records[0].point)  # columns of a table that name the run rather than measure it, after the workload
        self.workloads = list(dict.fromkeys(r.workload for r in records))

    @staticmethod
    def _values(records: Sequence[Record], name: str | None) -> list[str]:
        return list(dict.fromkeys(str(r.point.get(name)) for r in records)) if name else [""]

    def one(self, record: Record) -> str:
        """Value of the first factor."""
        return str(record.point.get(self.first)) if self.first else ""

    def two(self, record: Record) -> str:
        """Value of the second factor."""
        return str(record.point.get(self.second)) if self.second else ""

    def colour(self, value: str) -> str:
        """Colour of a value of the first factor."""
        return COLOURS[self.firsts.index(value) % len(COLOURS)]


def panels(n: int, height: float = 3.1, columns: int = 4, **options: Any) -> tuple[Figure, list[Any]]:
    """A figure as wide as the page with n panels in rows of at most `columns`."""
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows), squeeze=False, layout="constrained", **options)
    flat = list(axes.flat)
    for axis in flat[n:]:
        axis.set_visible(False)
    return figure, flat[:n]


def legend(figure: Figure, handles: Sequence[Any], columns: int = 8) -> None:
    """One legend above all panels."""
    figure.legend(handles=list(handles), loc="outside upper center", ncols=min(columns, len(handles)))


def swatch(colour: str, label: str) -> Any:
    """A square of a colour for a legend."""
    return mpl.patches.Patch(color=colour, label=label)


def mark(marker: str, label: str, colour: str = "#444444") -> Any:
    """A marker for a legend."""
    return mpl.lines.Line2D([], [], color=colour, marker=marker, linestyle="none", label=label)


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


def write_shares(record: Record) -> dict[str, float]:
    """Bytes written per byte of user data by where they went: log, flush, then each level that a merge wrote to."""
    user = sum(c.get("user_bytes", 0) for c in record.counters.values()) or 1
    shares = {"log": record.total(operation="write", component="wal") / user}
    shares["flush"] = record.total(operation="write", cause="flush") / user
    for level in sorted({row["level"] for row in record.ledger if row["operation"] == "write" and row["cause"] == "compaction"}):
        shares[f"merge to L{level}"] = record.total(operation="write", cause="compaction", level=level) / user
    return shares


def model_writes(record: Record) -> Prediction | None:
    """The closed form for the layout and the number of levels that the tree ended with; None when there is no model of the layout."""
    compaction = record.options["compaction"]
    if compaction.get("policy"):
        return None  # a policy of the user's replaces the layout
    deepest = max((lv["level"] for lv in record.series[-1]["levels"] if lv["bytes"]), default=1)
    try:
        return write_amplification(compaction["layout"], compaction["size_ratio"], max(1, deepest))
    except ValueError:
        return None


def writes(records: Sequence[Record]) -> Plot:
    """Write amplification by level, stacked, with the model's worst case."""
    f = Factors(records)
    figure, axes = panels(len(f.workloads))
    parts: dict[str, str] = {}
    totals: dict[str, list[float]] = {}
    for axis, workload in zip(axes, f.workloads, strict=True):
        for x, value in enumerate(f.firsts):
            some = [r for r in records if r.workload == workload and f.one(r) == value]
            if not some:
                continue
            base = 0.0
            for part, height in write_shares(some[0]).items():
                colour = parts.setdefault(part, LEVEL_COLOURS[len(parts) % len(LEVEL_COLOURS)])
                axis.bar(x, height, 0.62, bottom=base, color=colour, edgecolor="white", lw=0.6)
                base += height
            totals.setdefault(value, []).append(base)
            label = base
            if model := model_writes(some[0]):
                worst = 1 + model.value
                axis.plot([x - 0.4, x + 0.4], [worst] * 2, color="black", lw=2, ls=(0, (3, 1)))
                label = worst if base <= worst < 1.2 * base else base  # a number that the line would strike through goes above it
            axis.text(x, label, f"{base:.1f}", ha="center", va="bottom", fontsize=9)
        axis.set(title=workload, xticks=range(len(f.firsts)))
        axis.set_xticklabels(f.firsts, rotation=25, ha="right")
        axis.margins(y=0.1)
    axes[0].set_ylabel("bytes written / user byte")
    legend(
        figure,
        [
            *(swatch(c, p) for p, c in parts.items()),
            mpl.lines.Line2D([], [], color="black", lw=2, ls=(0, (3, 1)), label="model, full levels"),
        ],
        6,
    )
    said = ", ".join(f"{v} {mean(t):.1f}" for v, t in totals.items())
    caption = (
        "Load and run together; lower is better. The dashed line is the closed form for full levels (Monkey eq. 10, Dostoevsky eq. 12) "
        "with 1 for the flush and 1 for the log. It assumes that a level is merged as a whole and once: a tree whose last level is not "
        "full stays below it; leveling that pushes every flush down at once, a table at a time, exceeds it. "
        f"Mean over the workloads: {said}."
    )
    return Plot("writes", "Write amplification by level", caption, figure)


def fitted_runs(record: Record) -> tuple[list[float], list[float]]:
    """False-positive rate and entries of every run of the final tree, newest first, runs of a level taken as equal."""
    table = record.options["table"]
    kind = table["filter"] if isinstance(table["filter"], str) else table["filter"].get("kind", "none")
    rate = filter_fpr(kind, float(table["bits_per_key"]))
    entries = [lv["entries"] / lv["runs"] for lv in record.series[-1]["levels"] if lv["runs"] for _ in range(lv["runs"])]
    return [rate] * len(entries), entries


def reads_per_lookup(record: Record, phase: str) -> float:
    """Data blocks that a probe touched, from the disk or from the cache."""
    blocks = record.total("count", phase=phase, operation=("read", "hit"), component="data", cause="get")
    return blocks / max(1, int(record.config["probes"]))


def reads(records: Sequence[Record]) -> Plot:
    """Blocks per lookup, measured and fitted, for keys that exist and keys that do not."""
    f = Factors(records)
    figure, axes = panels(2, 3.4)
    worst = 0.0
    for axis, (phase, title) in zip(axes, (("hits", "keys that exist"), ("misses", "keys that do not exist")), strict=True):
        for w, workload in enumerate(f.workloads):
            for i, value in enumerate(f.firsts):
                some = [r for r in records if r.workload == workload and f.one(r) == value and phase in r.counters]
                if not some:
                    continue
                rates, entries = fitted_runs(some[0])
                live = some[0].config["records"] if some[0].workload != "trace" else max(entries, default=1)
                model = (hit_reads(rates, entries, live) if phase == "hits" else zero_result_reads(rates)).value
                got = mean(reads_per_lookup(r, phase) for r in some)
                worst = max(worst, abs(got - model))
                x = w + (i - (len(f.firsts) - 1) / 2) * 0.26
                axis.bar(x, got, 0.24, color=f.colour(value))
                axis.plot([x - 0.11, x + 0.11], [model] * 2, color="black", lw=2)
        axis.set(title=title, xticks=range(len(f.workloads)), xticklabels=f.workloads)
    axes[0].set_ylabel("data blocks per lookup")
    legend(
        figure,
        [
            *(swatch(f.colour(v), v) for v in f.firsts),
            mpl.lines.Line2D([], [], color="black", lw=2, label="Bloom model, fitted to the runs"),
        ],
    )
    caption = (
        "Data blocks touched by a lookup in the tree as each run left it, whether the block came from the disk or the cache, so the cache "
        "policy plays no part. Left, one is the least possible; right, zero is, and everything above is false positives, so the bars grow "
        "with the number of runs at that moment: a tiered tree has few just after a large merge. The black line is the Bloom model for "
        "the runs that are there (Monkey eq. 3 and 9); "
        f"the largest gap is {worst:.3f} blocks."
    )
    return Plot("reads", "Read I/O per lookup", caption, figure)


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
    "throughput": throughput, "latency": latency, "writes": writes, "reads": reads, "hit-ratio": hit_ratios, "tree": tree,
}  # fmt: skip


def drawable(records: Sequence[Record]) -> dict[str, Callable[[Sequence[Record]], Plot]]:
    """The plots for which these records hold what is needed."""
    lacking = {
        name
        for name, there in (("hit-ratio", any(r.curves for r in records)), ("reads", any("hits" in r.counters for r in records)))
        if not there
    }
    return {name: draw for name, draw in PLOTS.items() if name not in lacking}


def draw_all(records: Sequence[Record], names: Sequence[str] = ()) -> list[Plot]:
    """Draw the plots named (all that can be drawn when none is). ValueError on an unknown name."""
    for name in names:
        if name not in PLOTS:
            raise ValueError(f"unknown plot {name!r}; there are {', '.join(PLOTS)}")
    with plt.rc_context(STYLE):
        return [draw(records) for name, draw in drawable(records).items() if not names or name in names]


def save(plots: Sequence[Plot], folder: Path) -> list[Path]:
    """Write each plot as <name>.png and close it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for plot in plots:
        path = folder / f"{plot.name}.png"
        plot.figure.savefig(path)
        plt.close(plot.figure)
        paths.append(path)
    return paths


def by_workload(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records of each workload."""
    return group(records, lambda r: r.workload)
