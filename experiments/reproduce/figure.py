"""What a figure is: a paper's question, the points that it published, cells to measure, a drawing, and assertions that can fail.

A cell is one measurement in a process of its own: plain values in, plain values out. Published numbers carry the mark of how well they were
checked (costs.Mark), and a number of one mark is never drawn or printed as if it had another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..costs import Mark
from .judge import Check

Cell = dict[str, Any]
Got = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """Numbers that somebody else found. `points`: (x, y) as on the axes of the figure, x a name where the axis has names."""

    series: str
    mark: Mark
    points: tuple[tuple[Any, float], ...]
    note: str = ""


@dataclass(frozen=True)
class Line:
    """Points of one kind on a panel. `colour` counts series: the measurement and the model of one thing share a colour."""

    label: str
    points: Sequence[tuple[Any, float]]
    kind: Literal["measured", "model", "published"] = "measured"
    colour: int = 0
    joined: bool = True
    source: str = ""  # of published points: who found them, with the mark


@dataclass(frozen=True)
class Panel:
    """One set of axes. `categories`: names instead of numbers on the x axis; measurements are bars then."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    xscale: str = "linear"
    yscale: str = "linear"
    categories: Sequence[str] = ()
    ticks: Sequence[tuple[float, str]] = ()
    from_zero: bool = True


@dataclass(frozen=True)
class Row:
    """A cell and what was measured in it."""

    cell: Cell
    got: Got
    seconds: float = 0.0


class Rows:
    """The finished cells of a figure."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = list(rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, **wanted: Any) -> list[Row]:
        """The rows whose cells have these values."""
        return [r for r in self.rows if all(r.cell.get(k) == v for k, v in wanted.items())]

    def one(self, **wanted: Any) -> Got:
        """What the only such cell measured. LookupError when there is not exactly one."""
        found = self.where(**wanted)
        if len(found) != 1:
            raise LookupError(f"{len(found)} cells with {wanted}; allowed: one")
        return found[0].got

    def line(self, x: str, y: str, **wanted: Any) -> list[tuple[Any, float]]:
        """(cell's x, measured y), sorted by x."""
        return sorted((r.cell[x], r.got[y]) for r in self.where(**wanted))

    def values(self, x: str, **wanted: Any) -> list[Any]:
        """The different values of a cell's x, in order of appearance."""
        return list(dict.fromkeys(r.cell[x] for r in self.where(**wanted)))


@dataclass(frozen=True)
class Figure:
    """A figure to reproduce. `cells(tiny)` cuts the work (tiny: to see that it runs), `measure` does one, `judge` and `panels` see all.

    `definition` says what the measured metric is exactly; `scale` what was made smaller than in the paper; `why` in words why measurement
    and paper differ, or what to make of them; `missing` why it cannot be measured here ("": it can).
    """

    id: str
    title: str
    source: str
    question: str
    definition: str
    scale: str
    published: tuple[Published, ...]
    cells: Callable[[bool], Sequence[Cell]]
    measure: Callable[[Cell], Got]
    judge: Callable[[Rows], Sequence[Check]]
    panels: Callable[[Rows], Sequence[Panel]]
    why: Callable[[Rows], str]
    missing: Callable[[], str] = lambda: ""
    seconds: float = 1800.0  # a cell that takes longer hangs
    page: Callable[[Rows], tuple[str, Mapping[str, Any]]] | None = None  # a page of its own: its template, which names the file, and values


def label_of(cell: Cell) -> str:
    """A cell in a few words."""
    return " ".join(f"{k}={v}" for k, v in cell.items())


def published_lines(published: Sequence[Published], colours: Mapping[str, int]) -> list[Line]:
    """Lines for the published points of the series that `colours` names."""
    by = {Mark.SIM: "the study's simulation", Mark.CROSS: "libCacheSim"}
    return [
        Line(p.series, p.points, "published", colours[p.series], joined=False, source=f"{by.get(p.mark, 'published')} [{mark(p.mark)}]")
        for p in published
        if p.series in colours
    ]


def mark(value: Mark) -> str:
    """A mark as the study writes it."""
    return {Mark.PDF: "PDF", Mark.ABS: "abs", Mark.CODE: "code", Mark.SIM: "sim", Mark.CROSS: "x"}[value]
