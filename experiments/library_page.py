"""The page of `lsmlab library`: figures, plots, a map, a search and plans in one HTML file that opens anywhere."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from .library import Result
from .library_queries import BY
from .library_stores import INDEXES, THEM, US
from .plots import save
from .plots_base import COLOURS, STYLE, WIDTH, Plot
from .report import page

OURS, PEER, LIT = COLOURS[0], COLOURS[1], COLOURS[5]
KIB = 1024


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def latency(r: Result) -> Plot:
    """Medians and what nine of ten queries lie between, on a logarithmic axis."""
    kinds = sorted(r.asked, key=lambda k: r.asked[k].ratio)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.4 * len(kinds) + 1.1), layout="constrained")
    for y, kind in enumerate(kinds):
        asked = r.asked[kind]
        axes.plot([asked.median(s) for s in (US, THEM)], [y, y], color="#c3cad1", lw=2.5, zorder=1)
        for store, colour, marker, up in ((THEM, PEER, "s", -0.17), (US, OURS, "o", 0.17)):
            low, high = np.percentile(asked.times[store], [10, 90])
            axes.plot([low, high], [y + up, y + up], color=colour, lw=1.1, alpha=0.75)
            axes.scatter(asked.median(store), y, color=colour, marker=marker, s=46, zorder=3)
        axes.text(1.01, y, f"{asked.ratio:.2g}×", transform=axes.get_yaxis_transform(), va="center", fontsize=9.5, color="#1d2329")
    axes.set(xscale="log", xlabel="microseconds a query (logarithmic)", yticks=range(len(kinds)), ylim=(-0.6, len(kinds) - 0.4))
    axes.set_yticklabels(kinds)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:g}"))
    axes.grid(axis="y", visible=False)
    handles = [Line2D([], [], color=c, marker=m, lw=0, ms=7, label=s) for s, c, m in ((US, OURS, "o"), (THEM, PEER, "s"))]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.03 + 0.6 / len(kinds)), ncols=2)
    won = sum(a.ratio >= 1 for a in r.asked.values())
    caption = (
        f"Marks are medians, thin lines hold eight of ten queries; at the right, how many times as fast as {THEM} lsmlab is. "
        f"It is the quicker in {won} of {len(kinds)} types, the best first; the geometric mean of all is {geometric(r):.2f}×."
    )
    return Plot("latency", "Latency by type of query", caption, figure)


def geometric(r: Result) -> float:
    """The geometric mean of the ratios."""
    return math.exp(statistics.mean(math.log(a.ratio) for a in r.asked.values()))


def _dots(axes: Any, points: Sequence[tuple[float, float]], **how: Any) -> None:
    if points:
        axes.scatter([x for x, _ in points], [y for _, y in points], lw=0, **how)


def _bars(axes: Any, values: Mapping[str, Mapping[str, float]], label: str, unit: float) -> None:
    names = [s.title for s in INDEXES]
    for store, colour, up in ((US, OURS, -0.2), (THEM, PEER, 0.2)):
        heights = [values[s.name][store] / unit for s in INDEXES]
        axes.barh([i + up for i in range(len(names))], heights, 0.38, color=colour, label=store)
        for i, v in enumerate(heights):
            axes.text(v, i + up, f" {number(v)}", va="center", fontsize=8)
    axes.set(xlabel=label, yticks=range(len(names)), xscale="log")
    axes.set_yticklabels(names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:g}"))
    axes.grid(axis="y", visible=False)


def indexes(r: Result) -> Plot:
    """Sizes and build rates of the indexes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.6), layout="constrained", sharey=True)
    _bars(left, r.bytes, "KiB on disk (logarithmic)", KIB)
    rates = {name: {s: r.rows / seconds for s, seconds in of.items()} for name, of in r.build.items()}
    _bars(right, rates, "thousand rows a second, made online (logarithmic)", 1000)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    mine, theirs = (sum(b[s] for b in r.bytes.values()) for s in (US, THEM))
    made, made_there = (sum(b[s] for b in r.build.values()) for s in (US, THEM))
    caption = (
        f"All nine indexes take {mine / KIB:,.0f} KiB here and {theirs / KIB:,.0f} KiB in {THEM}, {theirs / mine:.1f} times as much. "
        f"Made one by one they took {made:.1f} s here, {made_there:.1f} s there; "
        f"loading with all of them in place takes {r.load_indexed[US]:.1f} s and {r.load_indexed[THEM]:.1f} s."
    )
    return Plot("indexes", "Size and build rate of each index", caption, figure)


def world(r: Result) -> Plot:
    """The places of the time zones, the nearest to one and those of a window."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4.9), layout="constrained")
    places, near, (x0, y0, x1, y1) = r.map["places"], r.map["near"], r.map["box"]
    _dots(axes, places, s=9, color="#9aa5b1", label=f"{len(places)} places")
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fc=OURS, alpha=0.07))
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, ec=OURS, fc="none", lw=1.2))
    inside = [at for _, at in r.map["inside"]]
    _dots(axes, inside, s=16, color=OURS, label=f"{len(inside)} in the window")
    (name, centre, _), others = near[0], near[1:]
    for _, at, _ in others:
        if abs(at[0] - centre[0]) < 180:
            axes.plot([centre[0], at[0]], [centre[1], at[1]], color=LIT, lw=0.7, alpha=0.7)
    _dots(axes, [at for _, at, _ in others], s=22, color=LIT, label=f"the {len(others)} nearest to {name}")
    axes.scatter(centre[0], centre[1], marker="*", s=150, color=LIT, ec="white", lw=0.8, zorder=4)
    axes.set(xlim=(-182, 182), ylim=(-80, 85), aspect="equal", xticks=range(-180, 181, 60), yticks=range(-60, 61, 30))
    axes.set(xlabel="longitude (degrees)", ylabel="latitude (degrees)")
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
    listed = ", ".join(f"{n.rpartition('/')[2].replace('_', ' ')} {km:,.0f} km" for n, _, km in others[:4])
    caption = (
        f"The places of {r.map['source']}, real coordinates that every machine has. Nearest over ground, by a three-dimensional R-tree of "
        f"points on the sphere: {listed}. The window is asked of a two-dimensional one; both were checked against all places."
    )
    return Plot("map", "The nearest and a window, on real places", caption, figure)


def scatter(r: Result) -> Plot:
    """The points of the rows, a window and the nearest to a point."""
    figure, axes = plt.subplots(figsize=(WIDTH, 5), layout="constrained")
    x0, y0, x1, y1 = r.window["box"]
    _dots(axes, r.points, s=2.2, color="#8a949e", alpha=0.35, rasterized=True, label="rows")
    inside = [(x, y) for x, y in r.points if x0 <= x <= x1 and y0 <= y <= y1]
    _dots(axes, inside, s=3, color=OURS, alpha=0.6, rasterized=True, label=f"{r.window['inside']:,} rows in the window")
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, ec=OURS, fc="none", lw=1.4))
    _dots(axes, r.window["near"], s=26, color=LIT, label="the 10 nearest to (100, 2512)")
    axes.scatter(2.0, 3.4, marker="+", s=110, color="black", lw=1.3, zorder=4)
    power = FuncFormatter(lambda v, _: f"{10**v:,.0f}")
    axes.xaxis.set_major_formatter(power)
    axes.yaxis.set_major_formatter(power)
    axes.set(xlabel="line of the file where the row begins (logarithmic)", ylabel="characters of its text (logarithmic)")
    axes.set(xticks=range(math.floor(max(p[0] for p in r.points)) + 1), yticks=range(math.floor(max(p[1] for p in r.points)) + 1))
    shown = axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1.0), borderaxespad=0.2, markerscale=1.6)
    for handle in filter(None, shown.legend_handles):
        handle.set_alpha(1)
    return Plot(
        "points", "Every row is a point",
        f"Where a text begins in its file and how long it is, as logarithms: {min(len(r.points), r.rows):,} of {r.rows:,} rows are drawn. "
        "The left edge is modules; the columns beside it are first sections of manual pages, which begin on the same lines.", figure,
    )  # fmt: skip


def marked(snippet: str) -> list[tuple[str, bool]]:
    """A snippet as parts, and which of them are hits."""
    parts = re.split("[\x01\x02]", snippet)
    return [(part, bool(i % 2)) for i, part in enumerate(parts) if part]


def _cards(r: Result) -> list[tuple[str, str]]:
    mine, theirs = (sum(b[s] for b in r.bytes.values()) for s in (US, THEM))
    best = max(r.asked.values(), key=lambda a: a.ratio).ratio
    won = sum(a.ratio >= 1 for a in r.asked.values())
    return [
        (f"{geometric(r):.2f}×", f"as fast as {THEM}, geometric mean of {len(r.asked)} types of query"),
        (f"{won} of {len(r.asked)}", f"types quicker than in {THEM}; the best {best:.1f}×"),
        (
            f"{r.rows / r.load_indexed[US] / 1000:,.0f} k/s",
            f"rows loaded with nine indexes; {THEM} {r.rows / r.load_indexed[THEM] / 1000:,.0f} k/s",
        ),
        (f"{r.rows / r.load[US] / 1000:,.0f} k/s", f"rows loaded without indexes; {THEM} {r.rows / r.load[THEM] / 1000:,.0f} k/s"),
        (f"{mine / theirs:.2f}", f"bytes of all indexes a byte of {THEM}'s"),
    ]


def _indexes_table(r: Result) -> list[list[str]]:
    rows = []
    for spec in INDEXES:
        cells = [number(r.bytes[spec.name][s] / KIB) for s in (US, THEM)]
        for store in (US, THEM):
            seconds = r.build[spec.name][store]
            text = f" ({r.megabytes / seconds:.0f} MB/s)" if spec.kind == "text" else ""
            cells.append(f"{number(r.rows / seconds / 1000)}{text}")
        rows.append([spec.title, spec.peer, *cells])
    return rows


def _facts(r: Result) -> list[tuple[str, str]]:
    m = r.machine
    return [
        ("machine", f"{m['cpu']}, {m['cores']} cores, {m['memory_bytes'] / 2**30:.0f} GiB, {m['system']}, load {m['load']:.1f}"),
        ("versions", ", ".join(f"{name} {v}" for name, v in r.versions.items())),
        ("rows", f"{r.rows:,}: {r.sources}; drawn with seed {r.seed}. Texts in scripts that tokenisers cut differently are left out"),
        ("loads", "batches of 1,000 rows, a transaction each, not synced one by one, until all is in files; read once before indexes"),
        ("size of files", "; ".join(f"{s} {r.size[s] / 2**20:.1f} MiB, with indexes {r.size_indexed[s] / 2**20:.1f}" for s in (US, THEM))),
        (THEM, "write-ahead log, 512 MiB of cache, mapped into memory, analyzed, FTS5 optimised; its rows come as tuples, ours as dicts"),
        ("nearest in SQLite", "a window about the point, ordered by distance, doubled until the tenth is surely among them"),
        ("answers", f"{r.compared:,} compared: after the build, with changed rows in memory and in files, and after a load into indexes"),
    ]  # fmt: skip


def draw(r: Result) -> list[Plot]:
    """All plots; the map where the machine has a time zone table."""
    with plt.rc_context(STYLE):
        return [latency(r), indexes(r), *([world(r)] if r.map else []), scatter(r)]


def write(r: Result, folder: Path, command: str) -> Path:
    """Draw, and write folder/index.html with everything in it."""
    plots: Sequence[Plot] = draw(r)
    images = save(plots, folder / "plots")
    searches = [s | {"found": [(n, source, score, marked(text)) for n, source, score, text in s["found"]]} for s in r.searches]
    html = page(
        "library.html", plots, images, r=r, us=US, them=THEM, by=BY, number=number, cards=_cards(r),
        indexes=_indexes_table(r), searches=searches, facts=_facts(r), command=command,
    )  # fmt: skip
    path = folder / "index.html"
    path.write_text(html, encoding="utf-8")
    return path
