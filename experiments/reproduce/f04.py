"""F4: space amplification against the ratio of updates to insertions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..costs import Mark, space
from .figure import Cell, Figure, Got, Line, Panel, Published, Row, Rows, published_lines
from .judge import Check, at_least, at_most, told, within
from .trees import Tree, numbers

LAYOUTS = {"leveling": "leveling", "lazy-leveling": "lazy leveling", "tiering": "tiering"}
T, BUFFER = 10, 1000
FULL = 0.9  # share of the last level's capacity from which C19 is asserted
PUBLISHED = (
    Published("leveling", Mark.PDF, ((1.0, 0.10),), "leveling = lazy leveling, about 10 % at 1.0, linear; read off the plot"),
    Published("lazy leveling", Mark.PDF, ((1.0, 0.10),), "as leveling; read off the plot"),
    Published("tiering", Mark.PDF, ((0.8, 0.83), (1.0, 1.0)), "about 83 % at 0.8, leaves the axis at about 100 %; read off the plot"),
    Published("leveling", Mark.SIM, ((1.0, 0.092),), "mean; largest 0.21"),
    Published("lazy leveling", Mark.SIM, ((1.0, 0.090),), "mean; largest 0.25"),
    Published("tiering", Mark.SIM, ((1.0, 0.57),), "mean; largest 0.64"),
)


def cells(tiny: bool) -> Sequence[Cell]:
    n, ratios = (40_000, (0.0, 1.0)) if tiny else (400_000, (0.0, 0.25, 0.5, 0.75, 1.0))
    return [{"layout": layout, "ratio": ratio, "n": n} for ratio in ratios for layout in LAYOUTS]


def stream(n: int, ratio: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n insertions and ratio times as many updates: the number of the key of each, evenly drawn from those written when it is an update;
    and how many keys exist after each."""
    rng = np.random.default_rng(seed)
    update = rng.random(round(n * (1 + ratio))) < ratio / (1 + ratio)
    update[0] = False
    exist = np.cumsum(~update)
    return np.where(update, (rng.random(len(exist)) * exist).astype(np.int64), exist - 1), exist


def measure(cell: Cell) -> Got:
    ids, exist = stream(cell["n"], cell["ratio"], 7)
    keys = numbers(int(exist[-1]), 42)
    options = {"table": {"filter": "none"}, "compaction": {"layout": cell["layout"], "granularity": "level", "size_ratio": T}}
    # level i holds T^i buffers with leveling; the others tier level 0 first, so that their level i takes T^(i+1)
    found: list[float] = []
    filled: list[tuple[float, float]] = []
    with Tree(buffer=BUFFER, options=options, first=T if cell["layout"] == "leveling" else T * T) as tree:

        def look(done: int) -> None:
            amplification = tree.stored() / int(exist[done - 1]) - 1
            found.append(amplification)
            last = tree.shape()[-1]
            filled.append((last["bytes"] / (tree.base * T ** (last["level"] - 1)), amplification))

        tree.put(keys[ids], look)
        tree.db.verify()
        half = found[len(found) // 10 :]
        full = [a for share, a in filled[len(found) // 10 :] if share >= FULL]
        return {
            "mean": float(np.mean(half)), "max": max(half), "end": found[-1], "full_max": max(full, default=-1.0),
            "full_samples": len(full), "levels": tree.shape(),
        }  # fmt: skip


def top(rows: Rows) -> dict[str, Row]:
    """The rows of the largest ratio by layout."""
    most = max(rows.values("ratio"))
    return {layout: rows.where(layout=layout, ratio=most)[0] for layout in LAYOUTS}


def judge(rows: Rows) -> Sequence[Check]:
    last = {layout: row.got for layout, row in top(rows).items()}
    checks = [
        within("lazy leveling = leveling, mean at a ratio of 1", last["lazy-leveling"]["mean"], last["leveling"]["mean"], 0.2),
        at_least("tiering by leveling, mean at a ratio of 1", last["tiering"]["mean"] / last["leveling"]["mean"], 4),
    ]
    bounds = {"leveling": 1.0, "lazy-leveling": 1.0, "tiering": T - 1.0}
    for layout, name in LAYOUTS.items():
        if last[layout]["full_samples"]:
            what = f"{name}: most while the last level is {FULL:.0%} full or more (C19)"
            checks.append(at_most(what, last[layout]["full_max"], space.space(T, bounds[layout])))
    checks.append(
        told("largest at any time, leveling", f"{last['leveling']['max']:.3g}", "0.21 [sim]: C19 does not hold while the last level grows")
    )
    return checks


def panels(rows: Rows) -> Sequence[Panel]:
    made: list[Line] = []
    for i, (layout, name) in enumerate(LAYOUTS.items()):
        made.append(Line(f"{name}, measured mean", rows.line("ratio", "mean", layout=layout), "measured", i))
    ratios = sorted(rows.values("ratio"))
    made.append(Line("leveling, lazy: C19 bound, 1/T", [(r, min(r, space.space(T, 1))) for r in ratios], "model", 0))
    made.append(Line("tiering: no more than was updated", [(r, r) for r in ratios], "model", 2))
    made += published_lines(PUBLISHED, {"leveling": 0, "lazy leveling": 1, "tiering": 2})
    return [Panel("T = 10, evenly drawn updates", "updates an insertion", "SA: stored / live entries, less 1", made)]


FIGURE = Figure(
    id="F4",
    title="Space: tiering pays, lazy leveling does not",
    source="Dostoevsky (SIGMOD 2018) Figure 10(F)",
    question="How much space do obsolete entries take as the share of updates grows?",
    definition="SA: entries in tables a live key, less one; mean over time after the first tenth.",
    scale="400,000 insertions and up to as many updates, buffer of 1,000 entries, T = 10.",
    published=PUBLISHED,
    cells=cells,
    measure=measure,
    judge=judge,
    panels=panels,
    why=lambda rows: "Leveling and lazy leveling keep nearly all data in one run, tiering in up to T - 1 runs, each with old versions of "
    "the others' keys. The absolute height of tiering depends on how many runs its last level has at the moment: the paper reads one "
    "state off, the mean over time is lower. While the last level of a leveled tree is not full, the levels above it hold more than 1/T "
    "of it, and the bound C19 does not apply.",
)  # fmt: skip
