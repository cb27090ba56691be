"""How a run went: interval by interval, and its latencies to the last one of a million."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from .plots_base import COLOURS, WIDTH, Factors, Plot, legend, mark, panels
from .results import Record
from .steady import seconds_of

STALL = "#D55E00"
MOST = 4  # columns of the timeline
NINES = (0.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)


def timeline(records: Sequence[Record]) -> Plot:
    """Throughput, percentiles, runs of level 0, debt and stalls of each interval: a column a point of the first workload that writes."""
    f = Factors(records)
    chosen = columns(records, f)
    rows = ("thousand\noperations/s", "latency\n(µs, log scale)", "sorted runs,\nlevel 0", "debt\n(MiB)", "time in\nstalls (%)")
    figure, axes = plt.subplots(
        len(rows), len(chosen), figsize=(WIDTH, 8.2), squeeze=False, layout="constrained", sharex="col", sharey="row"
    )
    for column, record in enumerate(chosen):
        steps = [(a, b) for a, b in pairwise(record.series) if b["operations"] > a["operations"]]
        x = [b["operations"] / 1000 for _, b in steps]
        spans = [max(1e-9, seconds_of(b) - seconds_of(a)) for a, b in steps]
        axes[0][column].step(
            x, [(b["operations"] - a["operations"]) / s / 1000 for (a, b), s in zip(steps, spans, strict=True)], color=COLOURS[0]
        )
        for i, (name, label) in enumerate((("p50_ns", "p50"), ("p99_ns", "p99"), ("p999_ns", "p99.9"), ("max_ns", "max"))):
            values = [max(1, b.get(name) or 0) / 1000 for _, b in steps]
            axes[1][column].plot(x, values, color=COLOURS[i], lw=1.2, label=label)
        axes[2][column].step(x, [sum(lv["runs"] for lv in b["levels"] if lv["level"] == 0) for _, b in steps], color="black", lw=1.2)
        axes[3][column].step(x, [(b.get("debt") or 0) / 2**20 for _, b in steps], color="black", lw=1.2)
        share = [min(100.0, 100 * (b.get("stall_ns") or 0) / 1e9 / s) for (_, b), s in zip(steps, spans, strict=True)]
        axes[4][column].fill_between(x, share, step="pre", color=STALL, alpha=0.7, lw=0)
        for axis in (row[column] for row in axes):
            axis.axvspan(0, record.summary.get("warmup_operations", 0) / 1000, color="#999999", alpha=0.18, lw=0)
        steady = record.steady.get("steady")
        said = "" if steady is None else "steady" if steady else "not steady"
        axes[0][column].set_title(f"{f.one(record) or record.workload}\n{said}", color="#C00000" if steady is False else "black")
        axes[-1][column].set_xlabel("operations (thousand)")
    axes[1][0].set_yscale("log")
    for row, label in zip(axes, rows, strict=True):
        row[0].set_ylabel(label)
    for row in (axes[0], *axes[2:]):
        row[0].set_ylim(bottom=0)
    handles = [mpl.lines.Line2D([], [], color=COLOURS[i], label=n) for i, n in enumerate(("p50", "p99", "p99.9", "max"))]
    legend(figure, [*handles, mpl.patches.Patch(color="#999999", alpha=0.3, label="warm-up, left out")])
    waited = [e for r in chosen for e in r.events if e["kind"] == "stall" or (e["kind"] != "slowed" and not r.options["threads"])]
    longest = max(waited, key=lambda e: e["length_ns"], default=None)
    stall = f" The longest was a {longest['kind']} {longest['reason']}: {longest['length_ns'] / 1e6:.1f} ms." if longest else ""
    due = ", from when each was due" if chosen[0].summary.get("offered") else ""
    caption = (
        f"Interval by interval on {chosen[0].workload}; latencies are of all operations of the interval{due}, time is the clock's. A stall "
        "is time in which a writer waited: for a flush or a merge within its own call with threads=0, else for work beside it."
        f"{stall} Red titles: throughput, latency, write amplification, size or debt still drifted after the warm-up, or the tree did not "
        "turn over, so what this run says of the long term is not reliable."
    )
    return Plot("timeline", f"Interval by interval, {chosen[0].workload}", caption, figure)


def columns(records: Sequence[Record], f: Factors) -> list[Record]:
    """The first record of each of the first MOST points, of the first workload that writes."""
    writing = [r for r in records if any(s["user_bytes"] > r.series[0]["user_bytes"] for s in r.series)] or list(records)
    first = [r for r in writing if r.workload == writing[0].workload]
    return list({f.one(r): r for r in reversed(first)}.values())[::-1][:MOST]


def percentiles(records: Sequence[Record]) -> Plot:
    """Latency against percentile, each further nine as wide as the last: a panel a workload, dotted the service alone in an open loop."""
    f = Factors(records)
    figure, axes = panels(len(f.workloads), 3.3, 3, sharey=True)
    opened = False
    for axis, workload in zip(axes, f.workloads, strict=True):
        for value in f.firsts:
            some = next((r for r in records if r.workload == workload and f.one(r) == value and r.histograms), None)
            if some is None:
                continue
            for name, style in (("intended", "-"), ("service", ":")):
                if not len(some.histogram(name)):
                    continue
                alone = name == "service" and not len(some.histogram("intended"))
                opened |= name == "intended"
                _curve(axis, some.histogram(name), f.colour(value), "-" if alone else style)
        depth = max(3, 1 + int(np.log10(max([1, *(len(r.latency_ns) for r in records if r.workload == workload)]))))
        shown = NINES[: depth + 1]
        axis.set(title=workload, yscale="log", xlabel="percentile", xticks=range(len(shown)), xlim=(0, len(shown) - 1))
        axis.set_xticklabels([f"{q:g}" for q in shown])
    axes[0].set_ylabel("latency (µs, log scale)")
    kinds = [mpl.lines.Line2D([], [], color="#444444", ls=":", label="service alone")] if opened else []
    legend(figure, [*(mark("s", v or "all", f.colour(v)) for v in f.firsts), *kinds])
    caption = "All operations after the warm-up, from histograms that keep three digits of every latency. " + (
        "Solid lines run from when an operation was due to when it was done: what a user waits. The dotted line below is the service "
        "alone, which a stall touches once however many operations it holds up; the gap is what a closed loop would not have told."
        if opened
        else "This was a closed loop: operations that a stall would have held up were never asked for, so the tail is better than a user's."
    )
    return Plot("percentiles", "Latency to the last nine", caption, figure)


def _curve(axis: Any, histogram: Any, colour: str, style: str) -> None:
    n = len(histogram)
    depth = np.log10(n) if n > 1 else 0.0
    x = np.linspace(0, depth, 60)
    axis.plot(x, [max(1.0, histogram.percentile(100 * (1 - 10.0**-d))) / 1000 for d in x], color=colour, ls=style, lw=1.4)
