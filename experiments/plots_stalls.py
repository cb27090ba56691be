"""Stalls over time: when writes were slowed down or stopped, by what and for how long, under the throughput that they left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from .plots_base import COLOURS, WIDTH, Factors, Plot, legend, swatch
from .plots_runs import columns
from .results import Record
from .steady import seconds_of

STOPPED, SLOWED = "stopped", "slowed down"
SHADES = {STOPPED: "#D55E00", SLOWED: "#E69F00"}
WINDOWS = 240
LEAST_WIDTH = 0.002  # of the axis: a shorter stall is drawn so wide
_NUMBER, _SPACE = re.compile(r"^[\d,]+ "), re.compile(r"^keyspace [^:]+: ")


@dataclass(frozen=True)
class Wait:
    """A stretch in which writes were stopped or slowed down: seconds since the first operation, and what for."""

    kind: str
    cause: str
    start: float
    length: float


def waits(record: Record) -> list[Wait]:
    """All of a record, in order. With threads=0 each flush and merge runs within a write and stops it; else writers wait for them."""
    inline = not record.options["threads"]
    found = []
    for e in record.events:
        if e["kind"] in ("stall", "slowed"):
            cause = _NUMBER.sub("", _SPACE.sub("", e["reason"]).split(";")[0])
            found.append(Wait(SLOWED if e["kind"] == "slowed" else STOPPED, cause, e["start_ns"] / 1e9, e["length_ns"] / 1e9))
        elif inline:
            cause = "flush" if e["kind"] == "flush" else f"merge to level {e['level']}"
            found.append(Wait(STOPPED, cause, e["start_ns"] / 1e9, e["length_ns"] / 1e9))
    return sorted(found, key=lambda w: w.start)


def finished(record: Record) -> NDArray[np.float64]:
    """Seconds since the first operation at which each operation after the warm-up was done, in a closed loop: within an interval of the
    series as the latencies say, stretched to the time that the clock says."""
    skip = int(record.summary.get("warmup_operations", 0))
    done = np.zeros(len(record.latency_ns))
    for a, b in pairwise(record.series):
        first, last = a["operations"] - skip, b["operations"] - skip
        if 0 <= first < last:
            took = np.cumsum(record.latency_ns[first:last], dtype=np.float64)
            done[first:last] = seconds_of(a) + took * (seconds_of(b) - seconds_of(a)) / max(1.0, took[-1])
    return done


def rates(record: Record) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges in seconds, and operations a second between them: of short windows in a closed loop, of the intervals of the series in an open
    one, where a latency does not tell when its operation ended."""
    skip = record.summary.get("warmup_operations", 0)
    rows = [s for s in record.series if s["operations"] >= skip]
    edges = np.array([seconds_of(s) for s in rows])
    done = np.diff([float(s["operations"]) for s in rows])
    if not record.summary.get("offered") and len(record.latency_ns):
        ends = finished(record)
        done, edges = np.histogram(ends, min(WINDOWS, len(ends)), (edges[0], edges[-1]))
    kept = np.diff(edges) > 0
    return edges[np.concatenate([[True], kept])], done[kept] / np.diff(edges)[kept]


def stalls(records: Sequence[Record]) -> Plot:
    """Throughput, the stretches in which writes waited by their cause, and the length of each: a column a point."""
    f = Factors(records)
    chosen = columns(records, f)
    of = {r.id: _after_warmup(r) for r in chosen}
    causes = list(dict.fromkeys((w.kind, w.cause) for r in chosen for w in of[r.id]))
    causes.sort(key=lambda c: (c[0] != SLOWED, c[1]))
    heights = (2.2, max(0.5, 0.3 * len(causes)), 1.6)
    figure, axes = plt.subplots(
        3, len(chosen), figsize=(WIDTH, 1.2 + sum(heights)), squeeze=False, layout="constrained", sharex="col", sharey="row",
        height_ratios=heights,
    )  # fmt: skip
    for column, record in enumerate(chosen):
        _column([row[column] for row in axes], record, of[record.id], causes)
        axes[0][column].set_title(f.one(record) or record.workload)
        axes[2][column].set_xlabel("seconds")
    axes[0][0].set_ylabel("thousand\noperations/s")
    axes[0][0].set_ylim(bottom=0)
    axes[1][0].set_yticks(range(len(causes)), [cause + (" (slowed)" if kind == SLOWED else "") for kind, cause in causes])
    axes[1][0].set_ylim(-0.6, max(0.6, len(causes) - 0.4))
    axes[2][0].set_ylabel("length\n(ms, log scale)")
    if any(of.values()):
        axes[2][0].set_yscale("log")
    legend(figure, [swatch(SHADES[kind], f"writes {kind}") for kind in (STOPPED, SLOWED)])
    said = "; ".join(f"{f.one(r) or r.workload}: {_told(of[r.id], _span(r))}" for r in chosen)
    within = "With threads=0 a flush or a merge runs within the write that made it due. " if not chosen[0].options["threads"] else ""
    caption = (
        f"After the warm-up of {chosen[0].workload}. Above: operations a second, shaded where writes were held back. Middle: by what. "
        f"Below: each with its length. {within}{said}."
    )
    return Plot("stalls", f"When writes had to wait, {chosen[0].workload}", caption, figure)


def _span(record: Record) -> tuple[float, float]:
    """Seconds at which the warm-up ended and the last operation was done."""
    skip, operations = record.summary.get("warmup_operations", 0), record.series[-1]["operations"]
    times = [seconds_of(s) for s in record.series if skip <= s["operations"]]
    last = [seconds_of(s) for s in record.series if s["operations"] == operations]
    return times[0], last[0]


def _after_warmup(record: Record) -> list[Wait]:
    start, end = _span(record)
    return [w for w in waits(record) if start <= w.start <= end]


def _column(axes: Sequence[Any], record: Record, found: Sequence[Wait], causes: Sequence[tuple[str, str]]) -> None:
    above, lanes, lengths = axes
    start, end = _span(record)
    least = LEAST_WIDTH * max(1e-9, end - start)
    for kind, shade in SHADES.items():
        some = [w for w in found if w.kind == kind]
        bars = [(w.start, max(w.length, least)) for w in some]
        above.broken_barh(bars, (0, 1), transform=above.get_xaxis_transform(), color=shade, alpha=0.3, lw=0)
        lengths.plot([w.start for w in some], [max(1e-3, 1000 * w.length) for w in some], ".", color=shade, ms=4)
    edges, rate = rates(record)
    above.stairs(rate / 1000, edges, color=COLOURS[0], lw=1.1)
    for place, (kind, cause) in enumerate(causes):
        bars = [(w.start, max(w.length, least)) for w in found if (w.kind, w.cause) == (kind, cause)]
        lanes.broken_barh(bars, (place - 0.38, 0.76), color=SHADES[kind], lw=0)
    if not found:
        lanes.text(0.5, 0.5, "nobody waited", ha="center", va="center", transform=lanes.transAxes, color="#555555")
    above.set_xlim(start, end)


def _told(found: Sequence[Wait], span: tuple[float, float]) -> str:
    """Totals by kind, and the longest stop, in words."""
    words = []
    for kind in SHADES:
        some = [w for w in found if w.kind == kind]
        if some:
            share = 100 * sum(w.length for w in some) / max(1e-9, span[1] - span[0])
            words.append(f"{kind} {len(some)} times, {share:.1f} % of the time")
    stops = [w for w in found if w.kind == STOPPED]
    if stops:
        longest = max(stops, key=lambda w: w.length)
        words.append(f"longest {1000 * longest.length:.1f} ms ({longest.cause})")
    return ", ".join(words) or "nobody waited"
