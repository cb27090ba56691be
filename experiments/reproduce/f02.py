"""F2: lookups of nothing against the memory of the filters, equal filters and Monkey's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..costs import Mark
from . import monkey
from .f01 import MONKEY, NAMES, UNIFORM
from .figure import Cell, Figure, Line, Panel, Published, Rows, published_lines
from .judge import Check, equal, told, worst_within

BITS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
PUBLISHED = (
    Published(UNIFORM, Mark.SIM, ((0, 9), (1, 5.70), (2, 3.55), (5, 0.823), (8, 0.193), (10, 0.074)), "the study's simulation, N = 2^18"),
    Published(MONKEY, Mark.SIM, ((0, 9), (1, 2.58), (2, 1.59), (5, 0.365), (8, 0.086), (10, 0.032)), "the study's simulation, N = 2^18"),
    Published("shape", Mark.PDF, (), "the curves meet at 0 bits and go to 0 at 10; Monkey needs up to about 60 % less memory"),
)


def cells(tiny: bool) -> Sequence[Cell]:
    return monkey.cells((5,), (0, 2, 5), 20_000) if tiny else monkey.cells((9,), BITS)


def saved(rows: Rows) -> float:
    """The largest share of memory that Monkey saves at equal cost: on the logarithms of the costs, between measured points."""
    lines = {how: [(b, io) for b, io in rows.line("bits", "io", allocation=how) if io > 0] for how in NAMES}
    bits = [b for b, _ in lines["monkey"]]
    logs = [-np.log(io) for _, io in lines["monkey"]]
    return max((1 - float(np.interp(-np.log(io), logs, bits)) / b for b, io in lines["uniform"] if b), default=0.0)


def judge(rows: Rows) -> Sequence[Check]:
    none = {how: rows.one(allocation=how, bits=0) for how in NAMES}
    pairs = {
        how: [(f"{r.cell['bits']} bits", r.got["io"], r.got["model"]) for r in rows.where(allocation=how) if r.cell["bits"]]
        for how in NAMES
    }
    return [
        worst_within("equal filters = C8", pairs["uniform"], 0.05),
        worst_within("Monkey = C6", pairs["monkey"], 0.05),
        equal("at 0 bits, Monkey and equal filters", none["monkey"]["io"], none["uniform"]["io"]),
        worst_within("at 0 bits, one read for each level", [("0 bits", none["uniform"]["io"], none["uniform"]["model"])], 0.01),
        told("Monkey saves memory at equal cost, at most", f"{saved(rows):.0%}", "up to about 60 % [PDF]"),
    ]


def panels(rows: Rows) -> Sequence[Panel]:
    def made(least: float) -> list[Line]:
        out = []
        for i, (how, name) in enumerate(NAMES.items()):
            some = [p for p in rows.line("bits", "io", allocation=how) if p[0] >= least]
            closed = [p for p in rows.line("bits", "model", allocation=how) if p[0] >= least]
            out += [
                Line(f"{name}, measured", some, "measured", i),
                Line(f"{name}, model {'C8' if how == 'uniform' else 'C6'}", closed, "model", i),
            ]
        kept = [Published(p.series, p.mark, tuple(x for x in p.points if x[0] >= least)) for p in PUBLISHED]
        return out + published_lines(kept, {UNIFORM: 0, MONKEY: 1})

    x, y = "filter memory, bits a key", "RA-io: data blocks read a lookup"
    return [Panel("N = 2^18, T = 2", x, y, made(0)), Panel("the same, logarithmic", x, y, made(1), yscale="log", from_zero=False)]


FIGURE = Figure(
    id="F2",
    title="What Monkey's filters save in memory",
    source="Monkey (SIGMOD 2017) Figure 11(C)",
    question="How does the cost of a lookup of nothing fall with the memory of the filters?",
    definition="RA-io: data blocks read a lookup of a key that does not exist; no cache.",
    scale="2^18 entries of 16 bytes less one buffer of 512, 9 full levels, T = 2; the paper has 2^22 of 1 KB.",
    published=PUBLISHED,
    cells=cells,
    measure=monkey.measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "Where the points lie a few per cent above the model, at one and two bits, it is because the model takes the best "
    "number of hash functions as a real number, and a filter has one or two; and because a filter has at least one bit a key, where "
    "Monkey would give the largest filtered level half a bit.",
)  # fmt: skip
