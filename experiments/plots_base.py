"""What all plots share: colours, the figure as wide as the page, what varies in a set of records, legends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .results import Record

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
    """A drawn plot, which pyplot need not keep any more. `caption` tells how to read it and what these data show."""

    name: str
    title: str
    caption: str
    figure: Figure

    def __post_init__(self) -> None:
        plt.close(self.figure)


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


def line(colour: str, style: str, label: str) -> Any:
    """A line for a legend."""
    return mpl.lines.Line2D([], [], color=colour, ls=style, label=label)
