"""Layouts whose level capacities follow the size of the data. F, what a flush brings, is level_base / size_ratio here.

| kind | shape | source |
|---|---|---|
| capacity-lazy-leveling | T - 1 runs a level, one in the last, which holds C times what all others do | Wacky (SIGMOD 2019), CLL |
| lsm-bush | T^(X^(L-i-1)) - 1 runs in level i: smaller levels gather more before they merge | Wacky (SIGMOD 2019) |
| horizontal | l levels, level i of C(d_i, i) flushes, where n = C(d_1, 1) + ... + C(d_l, l) | Bentley and Saxe 1980; Mo et al. 2025 |
| horizontal-tiering | l levels of runs, merged the sooner the more runs lie below | Mo et al. 2025, algorithm 2 |
| vertiorizon | horizontal-tiering above two levels that grow by T / sqrt(2) | Mo et al. 2025 |

Mo, Luo, Idreos: How to Grow an LSM-tree?, 2025 (arXiv 2504.17178).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from ..options import Options
from ..params import Param
from ..plan import Plan, TreeView
from ..registry import LAYOUTS
from .base import Due, Layout, LevelShape, Shape, overlaps_of

MOST_RUNS = 1_000_000
LAST_RATIO = Param("C", 1.0, 0.01, 1e6, "bytes of the last level by those of all others")
LEVELS = Param("levels", 3, 1, 30, "levels, level 0 not counted")
MO = "Mo, Luo, Idreos, How to Grow an LSM-tree?, 2025"


def flushes(view: TreeView, size: float | None = None) -> float:
    """Return the size of the tree, or another, in flushes."""
    c = view.options.compaction
    return (view.size if size is None else size) * c.size_ratio / c.level_base


class CapacityLazyLeveling(Layout):
    """Lazy leveling whose last level is C times as large as all others together: larger C means fewer and cheaper upper levels.

    L = ceil(log_T(N C / (C + 1) / F (T - 1) / C)), counted with level 0; r_i = T.
    """

    kind, source = "capacity-lazy-leveling", "Dayan and Idreos, The Log-Structured Merge-Bush, SIGMOD 2019, equations 1 to 6"
    params: ClassVar[tuple[Param, ...]] = (LAST_RATIO,)

    def shape(self, view: TreeView) -> Shape:
        last = min(view.bottom, max(1, view.last, self.levels(view) - 1))
        tiers = [LevelShape(runs=self.runs(view, last - i), run_bytes=0) for i in range(last)]
        return Shape((*tiers, LevelShape(), tiers[-1]), last)

    def levels(self, view: TreeView) -> int:
        """Return L for the bytes that there are."""
        t, c = view.options.compaction.size_ratio, self.settings(view.options)["C"]
        return above(math.log(max(1.0, flushes(view) * (t - 1) / (c + 1)), t))

    def runs(self, view: TreeView, height: int) -> float:
        """Return the most runs of a level that is so many levels above the last."""
        return view.options.compaction.size_ratio - 1

    def most_runs(self, options: Options) -> tuple[float, float]:
        return options.compaction.size_ratio - 1, 1


class LsmBush(CapacityLazyLeveling):
    """Smaller levels gather ever more runs: r_i = T^(X^(L - i - 1)). X towards 1 is capacity-lazy-leveling.

    L = ceil(1 + log_X((X - 1) log_T(N / F / (C + 1) (T - 1) / T) + 1)), counted with level 0.
    """

    kind, source = "lsm-bush", "Dayan and Idreos, The Log-Structured Merge-Bush, SIGMOD 2019, equations 8 to 11"
    params = (LAST_RATIO, Param("X", 2.0, 1.01, 16.0, "growth of the exponent a level"))

    def levels(self, view: TreeView) -> int:
        given, t = self.settings(view.options), view.options.compaction.size_ratio
        held = math.log(max(1.0, flushes(view) / (given["C"] + 1) * (t - 1) / t), t)
        return above(1 + math.log((given["X"] - 1) * held + 1, given["X"]))

    def runs(self, view: TreeView, height: int) -> float:
        t, power = view.options.compaction.size_ratio, self.settings(view.options)["X"] ** (height - 1)
        return MOST_RUNS if power * math.log(t) > math.log(MOST_RUNS) else math.floor(t**power + 1e-9) - 1


class Horizontal(Layout):
    """l levels of one run; their sizes follow the combinatorial number of flushes that the tree holds, so that each entry is merged as
    seldom as l levels allow. A flush is merged at once with all levels down to the one whose size is to change."""

    kind, source = "horizontal", f"Bentley and Saxe, Journal of Algorithms 1980; {MO}"
    params: ClassVar[tuple[Param, ...]] = (LEVELS,)

    def shape(self, view: TreeView) -> Shape:
        last = self.last(view)
        return drained(view, self.levels(view.options), last)

    def levels(self, options: Options) -> int:
        """Return l, as far as max_levels allows."""
        return int(min(self.settings(options)["levels"], options.compaction.max_levels - 1))

    def last(self, view: TreeView) -> int:
        """Return the level that stands for level l: deeper where another layout left something there."""
        return max(self.levels(view.options), view.last)

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        if not view.level(0).runs:
            yield from super().own(view, shape)
            return
        n, last = self.levels(view.options), self.last(view)
        wanted = combinatorial(max(1, round(flushes(view))), n)
        places = [*range(1, n), last]
        deepest = last
        for i in range(1, n + 1):  # the shallowest level below which there is as much as there should be
            below = sum(flushes(view, view.level(p).size) for p in places[i:])
            if below >= sum(wanted[i:]) - 0.5:
                deepest = places[i - 1]
                break
        plan = self.carry(view, shape, Due(deepest, f"{wanted} flushes a level", through=True))
        if plan is not None:
            yield plan


class HorizontalTiering(Layout):
    """l levels of runs, level 0 the first of them; level i merges into one run of the next as soon as it and those below have k runs, the
    least with room for C(k + l - 1, l) flushes, as many as are expected. After these the same again for twice as many. Nothing leaves
    the last level."""

    kind, source = "horizontal-tiering", f"{MO}, algorithm 2"
    params = (LEVELS, Param("expected", 256, 1, 1 << 50, "flushes in all, as far as known"))

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        given, held = self.settings(view.options), max(0.0, flushes(view) - 0.5)
        last, rounds = min(given["levels"], view.options.compaction.max_levels - 1), int(math.log2(held / given["expected"] + 1))
        before = given["expected"] * (2**rounds - 1)  # flushes of the rounds that are over
        yield from self._carried(view, shape, tiers(view, last, given["expected"] * 2**rounds, held + 1 - before))

    def most_runs(self, options: Options) -> tuple[float, float]:
        return options.compaction.size_ratio - 1, options.compaction.size_ratio - 1


class Vertiorizon(Layout):
    """Horizontal-tiering of up to n flushes above two leveled ones of n T' and n T'^2, T' = T / sqrt(2). A full horizontal part goes
    down as a whole, the first leveled one by the granularity; n grows by 1 + 1/T with the last level."""

    kind, source = "vertiorizon", f"{MO}, section 5"
    params: ClassVar[tuple[Param, ...]] = (LEVELS,)

    def first(self, options: Options) -> int:
        """Return the first leveled level."""
        return int(max(1, min(self.settings(options)["levels"], options.compaction.max_levels - 2)))

    def capacity(self, view: TreeView) -> float:
        """Return n for the last level as it is: the least T' (1 + 1/T)^j that makes room for it."""
        t = view.options.compaction.size_ratio
        ratio, held = t / math.sqrt(2), flushes(view, view.level(self.second(view)).size)
        steps = above(math.log(max(1.0, held / ratio**3), 1 + 1 / t)) if held > ratio**3 else 0
        return float(ratio * (1 + 1 / t) ** steps)

    def second(self, view: TreeView) -> int:
        """Return the last level, deeper where another layout left something there."""
        return min(view.bottom, max(self.first(view.options) + 1, view.last))

    def shape(self, view: TreeView) -> Shape:
        first, last = self.first(view.options), self.second(view)
        full = self.capacity(view) / math.sqrt(2) * view.options.compaction.level_base
        levels = list(drained(view, first, last).levels)
        levels[:first] = [LevelShape(runs=math.inf, run_bytes=0)] * first
        if first < last:
            levels[first] = LevelShape(full)
        return Shape(tuple(levels))

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        first, n = self.first(view.options), self.capacity(view)
        yield from super().own(view, shape)
        above_it = [t for level in view.levels[:first] for t in level.tables]
        if above_it and flushes(view, sum(t.size for t in above_it)) >= n - 0.5:
            if len(view.level(first).runs) <= 1:
                inputs = [*above_it, *overlaps_of(view.level(first)).of(above_it)]
                plan = Plan(tuple(t.number for t in inputs), first, f"the horizontal part holds {n:.1f} flushes")
                if view.is_free(*inputs):
                    yield self.finished(view, plan, inputs)
        else:
            yield from self._carried(view, shape, tiers(view, first - 1, n, math.inf))

    def most_runs(self, options: Options) -> tuple[float, float]:
        return options.compaction.size_ratio - 1, 1


def above(value: float) -> int:
    """Return the next whole number, at least 1, forgiving what floating point adds to an exact one."""
    return max(1, math.ceil(value - 1e-9))


def combinatorial(n: int, digits: int) -> list[int]:
    """Return [C(d_1, 1), ..., C(d_l, l)] with 0 <= d_1 < d_2 < ... and sum n: the combinatorial number system. O(digits log n)."""
    out = []
    for i in range(digits, 0, -1):
        low, high = i - 1, i
        while math.comb(high, i) <= n:
            low, high = high, 2 * high
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (middle, high) if math.comb(middle, i) <= n else (low, middle)
        out.append(math.comb(low, i))
        n -= out[-1]
    return out[::-1]


def tiers(view: TreeView, last: int, room: float, fresh: float) -> Iterator[Due]:
    """Yield the levels above `last` that hold, with all from them down to it, k runs: algorithm 2, whose counters are k less those runs.
    Only the newest `fresh` flushes count; older runs of the last level are of a round before."""
    k, counted = 1, 0
    while math.comb(k + last, last + 1) < room:
        k += 1
    held = sum(flushes(view, level.size) for level in view.levels[:last])
    for run in view.level(last).runs:
        held += flushes(view, run.size)
        counted += held <= fresh
    for i in range(last):
        runs = counted + sum(len(level.runs) for level in view.levels[i:last])
        if view.level(i).runs and runs >= k:
            yield Due(i, f"levels {i} to {last} have {runs} of {k} runs")


def drained(view: TreeView, levels: int, last: int) -> Shape:
    """Return single runs of any size, of which those between the layout's own levels and the last one are to be emptied into it."""
    between = range(levels, last)
    shapes = [LevelShape(capacity=0.5 if i in between else math.inf) for i in range(view.bottom + 1)]
    shapes[0] = LevelShape(runs=0)
    return Shape(tuple(shapes))


for _layout in (CapacityLazyLeveling, LsmBush, Horizontal, HorizontalTiering, Vertiorizon):
    LAYOUTS[_layout.kind] = _layout
