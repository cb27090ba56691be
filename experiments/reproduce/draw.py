"""Drawing, every figure in one manner. Filled markers or bars: measured here. Dashed lines: a model. Hollow diamonds: published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from ..plots import COLOURS, MARKERS, STYLE, panels
from .figure import Figure, Line, Panel, Rows

GREY = "#555555"


def marker(line: Line) -> str:
    """The marker of a series: another one where its colour comes again."""
    return MARKERS[(line.colour + 3 * (line.colour // len(COLOURS))) % len(MARKERS)]


def colour(line: Line) -> str:
    """The colour of a series; -1: none of its own."""
    return COLOURS[line.colour % len(COLOURS)] if line.colour >= 0 else GREY


def style(line: Line) -> dict[str, Any]:
    """How points of a kind look, bars apart."""
    if line.kind == "measured":
        join = "-" if line.joined else "none"
        return {"color": colour(line), "marker": marker(line), "ls": join, "lw": 1.2, "ms": 5, "zorder": 5}
    if line.kind == "model":
        dash = "--" if line.joined else "none"
        return {"color": colour(line), "ls": dash, "marker": "" if line.joined else "_", "ms": 16, "mew": 2, "lw": 1.6, "zorder": 2}
    simulated = line.source.endswith("[sim]")
    return {
        "color": colour(line), "marker": "d" if simulated else "D", "mfc": "white", "mew": 1.6, "ms": 6 if simulated else 8.5,
        "ls": "none", "zorder": 4,
    }  # fmt: skip


def draw(figure: Figure, rows: Rows) -> Any:
    """Draw all panels of a figure, published points and models among the measurements.

    Published points have the colour of their series; the legend names each mark once."""
    wanted = list(figure.panels(rows))
    across = 1 if len(wanted) == 1 else 2 if len(wanted) in (2, 4) else 3
    with plt.rc_context(STYLE):
        drawn, axes = panels(len(wanted), 4.6 if len(wanted) < 3 else 4.3, across)
        seen: dict[str, Any] = {}
        for axis, panel in zip(axes, wanted, strict=True):
            _panel(axis, panel, seen)
        longest = max(map(len, seen), default=0)
        drawn.legend(
            handles=list(seen.values()), labels=list(seen), loc="outside lower center", ncols=2 if longest > 44 else 3, fontsize=8.5
        )
        drawn.suptitle(f"{figure.id}  {figure.title}", fontsize=12, weight="bold", x=0.01, ha="left")
    return drawn


def _panel(axis: Any, panel: Panel, seen: dict[str, Any]) -> None:
    places = {name: i for i, name in enumerate(panel.categories)}
    bars = [line for line in panel.lines if line.kind == "measured"] if places else []
    width = 0.72 / max(1, len(bars))
    for line in panel.lines:
        points = [(places[x] if places else x, y) for x, y in line.points if not places or x in places]
        if not points:
            continue
        xs, ys = [x for x, _ in points], [y for _, y in points]
        if line in bars:
            shift = (bars.index(line) - (len(bars) - 1) / 2) * width
            made = axis.bar([x + shift for x in xs], ys, width * 0.94, color=colour(line), alpha=0.85, zorder=2)
            seen.setdefault(line.label, made)
            continue
        made = axis.plot(xs, ys, **style(line))[0]
        if line.kind == "published":
            shared = line.source.startswith(("published", "the study's"))  # by several series, each in its colour
            seen.setdefault(line.source, mpl.lines.Line2D([], [], **style(line) | ({"color": GREY} if shared else {})))
        else:
            seen.setdefault(line.label, made)
    axis.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    axis.set_xscale(panel.xscale)
    axis.set_yscale(panel.yscale)
    if places:
        crowded = sum(map(len, places)) > 24
        axis.set_xticks(range(len(places)), list(places), rotation=25 * crowded, ha="right" if crowded else "center", fontsize=8.5)
    elif panel.ticks:
        axis.set_xticks([x for x, _ in panel.ticks], [name for _, name in panel.ticks])
        axis.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    if panel.from_zero and panel.yscale == "linear":
        axis.set_ylim(bottom=0)


def save(figure: Figure, rows: Rows, folder: Path) -> dict[str, Path]:
    """Write FIGURE.svg and FIGURE.png; gives the paths by form."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw(figure, rows)
    paths = {form: folder / f"{figure.id}.{form}" for form in ("svg", "png")}
    with plt.rc_context({**STYLE, "svg.hashsalt": "lsmlab"}):
        drawn.savefig(paths["svg"], metadata={"Date": None})
        drawn.savefig(paths["png"])
    plt.close(drawn)
    return paths
