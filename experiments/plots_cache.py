"""The plots of `lsmlab cache run`: hit ratio against size, and the fraction of Belady's MIN as a heat map of policies and traces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

from .cachesim import FREE, MIN, Row, fractions
from .plots_base import COLOURS, MARKERS, STYLE, WIDTH, Plot, legend, panels

SHOWN = 6  # lines that a panel bears in colour


def _told_apart(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """The policies to draw in colour, best first, and those to draw in grey."""
    kinds = [k for k in dict.fromkeys(r.policy for r in rows) if k not in (MIN, FREE)]
    ranked = list(fractions(rows)) or sorted(kinds, key=lambda k: -mean(r.hit_ratio for r in rows if r.policy == k))
    if len(ranked) <= SHOWN:
        return ranked, []
    shown = [k for k in ranked if k != "lru"][: SHOWN - 1] + [k for k in ranked if k == "lru"]
    return shown, [k for k in ranked if k not in shown]


def _style(kind: str, shown: Sequence[str]) -> dict[str, Any]:
    if kind == MIN:
        return {"color": "black", "ls": "--", "lw": 1.6, "zorder": 4}
    if kind == FREE:
        return {"color": "#666666", "ls": ":", "lw": 1.6, "zorder": 1}
    if kind not in shown:
        return {"color": "#c4c4c4", "lw": 0.8, "zorder": 0}
    i = shown.index(kind)
    return {"color": COLOURS[i], "marker": MARKERS[i], "ms": 4.5, "lw": 1.4, "zorder": 3}


def _short(size: int) -> str:
    for unit, name in ((1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size:,}"


def _apart(sizes: Sequence[int]) -> list[int]:
    """The sizes whose labels do not run into each other on a logarithmic axis."""
    least = math.log(max(2.0, sizes[-1] / max(1, sizes[0]))) / 9
    kept = [sizes[0]]
    for size in sizes[1:]:
        if math.log(size / max(1, kept[-1])) >= least:
            kept.append(size)
    return kept


def curves(rows: Sequence[Row], *, in_bytes: bool = False) -> Plot:
    """Hit ratio (of bytes, when sizes are bytes) against cache size: a panel a trace, a line a policy, and the bounds."""
    traces = list(dict.fromkeys(r.trace for r in rows))
    shown, grey = _told_apart(rows)
    with plt.rc_context(STYLE):
        figure, axes = panels(len(traces), 4.6 if len(traces) == 1 else 3.2, 3)
        for axis, trace in zip(axes, traces, strict=True):
            some = [r for r in rows if r.trace == trace]
            for kind in dict.fromkeys([*grey, FREE, *reversed(shown), MIN]):
                line = sorted((r for r in some if r.policy == kind), key=lambda r: r.size)
                axis.plot(
                    [r.size for r in line], [100 * (r.byte_hit_ratio if in_bytes else r.hit_ratio) for r in line], **_style(kind, shown)
                )
            sizes = sorted({r.size for r in some})
            ticks = _apart(sizes)
            title = trace if len(traces) > 1 else f"{trace}: {some[0].requests:,} requests to {some[0].unique:,} keys"
            axis.set(title=title, xscale="log", xlabel="cache size (log scale)")
            axis.set_xticks(ticks, [_short(s) for s in ticks], rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
            axis.xaxis.set_minor_locator(mpl.ticker.NullLocator())
            axis.set_ylim(bottom=0)
        for axis in axes[:: min(3, len(axes))]:
            axis.set_ylabel("byte hit ratio (%)" if in_bytes else "hit ratio (%)")
        present = {r.policy for r in rows}
        handles = [
            mpl.lines.Line2D([], [], label={MIN: "MIN", FREE: "unbounded"}.get(k, k), **_style(k, shown))
            for k in [*shown, MIN, FREE]
            if k in present
        ]
        if grey:
            handles.append(mpl.lines.Line2D([], [], label=f"{len(grey)} others", **_style("", shown)))
        legend(figure, handles, 5)
    caption = (
        "Higher is better. No policy passes MIN without refusing objects, and none the unbounded cache, which misses first requests alone."
    )
    if grey:
        caption += f" Grey: {', '.join(grey)}."
    return Plot("hit-ratio", "Hit ratio against cache size", caption, figure)


def heat_map(rows: Sequence[Row]) -> Plot:
    """The mean over the sizes of hits as a fraction of MIN's: policies, best first, against traces, and the mean over these."""
    table = fractions(rows)
    traces = list(dict.fromkeys(r.trace for r in rows))
    values = np.array([[by.get(t, np.nan) for t in traces] for by in table.values()])
    values = np.hstack([values, np.nanmean(values, axis=1, keepdims=True)])
    with plt.rc_context({**STYLE, "axes.grid": False}):
        size = (min(WIDTH, 2.6 + 0.95 * len(traces)), 1.7 + 0.27 * len(table))
        figure, axis = plt.subplots(figsize=size, layout="constrained")
        image = axis.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
        for (y, x), value in np.ndenumerate(values):
            if not np.isnan(value):
                weight = "bold" if x == len(traces) or value == np.nanmax(values[:, x]) else "normal"
                axis.text(
                    x, y, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white" if value < 0.6 else "black", weight=weight
                )
        axis.axvline(len(traces) - 0.5, color="white", lw=4)
        axis.set_xticks(range(len(traces) + 1), [*traces, "mean"], rotation=35, ha="right", rotation_mode="anchor", fontsize=9)
        axis.set_yticks(range(len(table)), list(table), fontsize=9)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        figure.colorbar(image, ax=axis, label="hits / hits of MIN", fraction=0.05, pad=0.02)
    best, top = next(iter(table)), values[0, -1]
    caption = (
        "1 is what Belady's MIN has, which knows the future. The mean is over the sizes of each trace, then over the traces; bold in a "
        f"column: its best policy. Best overall: {best}, {top:.3f}."
    )
    return Plot("fraction-of-min", "Fraction of MIN", caption, figure)
