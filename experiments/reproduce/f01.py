"""F1: lookups of nothing against the number of entries, equal filters and Monkey's."""

from __future__ import annotations

from collections.abc import Sequence

from ..costs import Mark
from . import monkey
from .figure import Cell, Figure, Line, Panel, Published, Rows, published_lines
from .judge import Check, above, below, told, worst_within

UNIFORM, MONKEY = "equal filters", "Monkey"
PUBLISHED = (
    Published(UNIFORM, Mark.PDF, ((2**23, 1.0),), "LevelDB rises with log N to about 1 I/O at 2^23 entries"),
    Published(MONKEY, Mark.PDF, ((2**15, 0.2), (2**23, 0.2)), "flat at about 0.2 I/O, up to 80 % lower"),
    Published(UNIFORM, Mark.SIM, ((2**13, 0.366), (2**20, 1.011)), "the study's simulation, T = 2, 5 bits, buffer of 512"),
    Published(MONKEY, Mark.SIM, ((2**13, 0.282), (2**20, 0.368)), "the study's simulation"),
)
NAMES = {"uniform": UNIFORM, "monkey": MONKEY}


def cells(tiny: bool) -> Sequence[Cell]:
    return monkey.cells((4, 6), (5.0,), 20_000) if tiny else monkey.cells(range(4, 12), (5.0,))


def lines(rows: Rows, y: str, how: str) -> list[tuple[float, float]]:
    """(entries, y) of one allocation."""
    return sorted((r.got["entries"], r.got[y]) for r in rows.where(allocation=how))


def judge(rows: Rows) -> Sequence[Check]:
    grown = {how: lines(rows, "io", how)[-1][1] / lines(rows, "io", how)[0][1] for how in NAMES}
    pairs = {how: [(f"N = {r.got['entries']:,}", r.got["io"], r.got["fitted"]) for r in rows.where(allocation=how)] for how in NAMES}
    last = {how: lines(rows, "io", how)[-1][1] for how in NAMES}
    return [
        worst_within("equal filters = model fitted to the runs", pairs["uniform"], 0.05),
        worst_within("Monkey = model fitted to the runs", pairs["monkey"], 0.05),
        above("equal filters grow by", grown["uniform"], 2),
        below("Monkey grows by", grown["monkey"], 1.4),
        told("Monkey is lower at the largest N by", f"{1 - last['monkey'] / last['uniform']:.0%}", "up to 80 % [PDF], at 2^23 entries"),
    ]


def panels(rows: Rows) -> Sequence[Panel]:
    made: list[Line] = []
    for i, (how, name) in enumerate(NAMES.items()):
        made.append(Line(f"{name}, measured", lines(rows, "io", how), "measured", i))
        made.append(Line(f"{name}, model {'C8' if how == 'uniform' else 'C6'}: full levels", lines(rows, "model", how), "model", i))
    made += published_lines(PUBLISHED, {UNIFORM: 0, MONKEY: 1})
    ticks = [(2.0**n, f"$2^{{{n}}}$") for n in range(13, 24, 2)]
    return [
        Panel(
            "Lookups of keys that do not exist, T = 2, 5 bits a key",
            "entries N",
            "RA-io: data blocks read a lookup",
            made,
            "log",
            ticks=ticks,
        )
    ]


FIGURE = Figure(
    id="F1",
    title="Monkey's filters keep lookups of nothing flat as data grow",
    source="Monkey (SIGMOD 2017) Figure 11(A)",
    question="How does the cost of a lookup of nothing grow with the data, with equal filters and with Monkey's?",
    definition="RA-io: data blocks read a lookup of a key that does not exist; no cache.",
    scale="2^13 to 2^20 entries of 16 bytes instead of 2^15 to 2^23 of 1 KB; buffer of 512 entries. Sizes are one buffer short of a "
    "power of two, so that all levels are full.",
    published=PUBLISHED,
    cells=cells,
    measure=monkey.measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "The two curves are the paper's: equal filters cost one rate more for every level, Monkey's sum stays at "
    "T^(T/(T-1))/(T-1) times the rate of one filter. The paper's level of 0.2 for Monkey is not asserted: its own equation 7 gives 0.36 "
    "for T = 2 and 5 bits in a tree of full levels, and that is what is measured here; a tree whose levels have gaps (partial "
    "compaction, or a last level that is not full) stays below it.",
)  # fmt: skip
