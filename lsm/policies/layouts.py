"""Layouts: how many sorted runs a level holds, and how many bytes. Each is a shape; what is due and what moves follows from it (base.py).

| kind | runs in levels 1 .. L-1 | runs in the last level | source |
|---|---|---|---|
| leveling | 1 | 1 | O'Neil et al. 1996; LevelDB |
| 1-leveling | up to l0_trigger in level 0, then 1 | 1 | RocksDB's leveled style: full level 0, partial below |
| tiering | up to T - 1 | up to T - 1 | Jagadish et al. 1997; Dayan et al., SIGMOD 2017 |
| lazy-leveling | up to T - 1 | 1 | Dostoevsky, SIGMOD 2018 |
| fluid | up to K | up to Z | Dostoevsky, SIGMOD 2018 |
| runs-vector | up to K_i, a number a level | the same | Endure, VLDB 2022; K-LSM |

Others: `growth.py` (CLL, LSM-bush, horizontal, Vertiorizon), `sharded.py` (UCS, guards), `expiring.py` (FIFO, time windows).

Level 0 takes the flushes, a run each, in all of them. With leveling level 0 merges as soon as there is one run; level i holds
level_base * T^(i-1) bytes. With tiering a level merges when it has T runs, into one new run of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..options import Options
from ..params import Param
from ..plan import TreeView
from ..registry import LAYOUTS
from .base import Layout, LevelShape, Shape


def capacity(view: TreeView, level: int) -> float:
    """Return the bytes that a level may hold: level_base * T^(level - 1)."""
    c = view.options.compaction
    return float(c.level_base * c.size_ratio ** (level - 1))


class Leveling(Layout):
    """One run a level; of an over-full level what the granularity says moves down, the most full level first."""

    kind, source = "leveling", "O'Neil et al., Acta Informatica 1996; LevelDB"

    def shape(self, view: TreeView) -> Shape:
        below = (LevelShape(capacity(view, i)) for i in range(1, view.options.compaction.max_levels))
        return Shape((LevelShape(runs=self.flushed_runs(view)), *below))

    def flushed_runs(self, view: TreeView) -> int:
        """Return the runs that may rest in level 0."""
        return 0


class OneLeveling(Leveling):
    """Leveling below a tiered level 0: l0_trigger runs gather there before they merge."""

    kind, source = "1-leveling", "RocksDB, leveled compaction"

    def flushed_runs(self, view: TreeView) -> int:
        """One less than the option l0_trigger."""
        return view.options.compaction.l0_trigger - 1


class Tiering(Layout):
    """Up to T - 1 runs a level; T of them become one run of the next."""

    kind, source = "tiering", "Jagadish et al., VLDB 1997; Dayan et al., SIGMOD 2017"

    def shape(self, view: TreeView) -> Shape:
        return Shape((LevelShape(runs=view.options.compaction.size_ratio - 1, run_bytes=0),))

    def most_runs(self, options: Options) -> tuple[float, float]:
        return options.compaction.size_ratio - 1, options.compaction.size_ratio - 1


class LazyLeveling(Layout):
    """Tiering above, one run in the last level: T runs of the level before it merge into that run. A last level that outgrows
    level_base * T^(L-1) bytes moves down, untouched."""

    kind, source = "lazy-leveling", "Dayan and Idreos, Dostoevsky, SIGMOD 2018"

    def shape(self, view: TreeView) -> Shape:
        last = view.last
        tiers = LevelShape(runs=view.options.compaction.size_ratio - 1, run_bytes=0)
        if not last:
            return Shape((tiers,))
        return Shape((*[tiers] * last, LevelShape(), tiers), last + (view.level(last).size > capacity(view, last)))

    def most_runs(self, options: Options) -> tuple[float, float]:
        return options.compaction.size_ratio - 1, 1


def bounded(view: TreeView, runs: Sequence[float]) -> Shape:
    """Return the shape of at most runs[i - 1] runs in level i, the last number for all below: runs fill up to their share of the level's
    capacity, one after the other; a full level moves down as a whole."""
    levels = [LevelShape(runs=0)]
    for i in range(1, view.options.compaction.max_levels):
        k, full = runs[min(i, len(runs)) - 1], capacity(view, i)
        levels.append(LevelShape(full) if k == 1 else LevelShape(full, k, full / k))
    return Shape(tuple(levels))


class Fluid(Layout):
    """At most K runs in each level, Z in the last. K = Z = 1 is leveling, K = T - 1 and Z = 1 lazy leveling, K = Z = T - 1 tiering."""

    kind, source = "fluid", "Dayan and Idreos, Dostoevsky, SIGMOD 2018, section 4.3"
    params = (
        Param("K", 1, 1, 1000, "runs in each level but the last; at most size_ratio - 1 make a difference"),
        Param("Z", 1, 1, 1000, "runs in the last level; at most size_ratio - 1 make a difference"),
    )

    def shape(self, view: TreeView) -> Shape:
        k, z = self.most_runs(view.options)
        return bounded(view, [*[k] * (max(1, view.last) - 1), z])

    def most_runs(self, options: Options) -> tuple[float, float]:
        given, most = self.settings(options), options.compaction.size_ratio - 1
        return min(given["K"], most), min(given["Z"], most)


class RunsVector(Layout):
    """At most K_i runs in level i, from level 1 on; the last number counts for all deeper levels."""

    kind, source = "runs-vector", "Huynh et al., Endure, VLDB 2022; K-LSM"
    params = (Param("runs", (1,), 1, 1000, "K_1,K_2,...: runs by level; at most size_ratio - 1 make a difference"),)

    def shape(self, view: TreeView) -> Shape:
        return bounded(view, self.vector(view.options))

    def vector(self, options: Options) -> list[float]:
        """K_1, K_2, ..."""
        return [min(k, options.compaction.size_ratio - 1) for k in self.settings(options)["runs"]]

    def most_runs(self, options: Options) -> tuple[float, float]:
        *above, last = self.vector(options)
        return max(above, default=last), last


for _layout in (Leveling, OneLeveling, Tiering, LazyLeveling, Fluid, RunsVector):
    LAYOUTS[_layout.kind] = _layout
