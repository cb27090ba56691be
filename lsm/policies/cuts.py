"""Cuts: where an output ends before it has `output_bytes`, as the least keys of the outputs that follow.

| kind | an output ends | source |
|---|---|---|
| size | by its size alone | LevelDB, RocksDB |
| next_level | where a table of the level below its own begins | Spooky (VLDB 2022) |
| guards | at the guards of its level: every T^(L - i)-th beginning of a table in the last level L, for level i | PebblesDB (SOSP 2017) |
| shards | at fixed parts of the key range | Cassandra, unified compaction |

`compaction.overlap_cap` cuts as well. PebblesDB chooses guards at random among the keys inserted; a policy sees tables alone, so it takes
those of the last level, thinned by the size ratio a level as there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from ..params import Param, parse
from ..plan import Plan, TreeView
from ..registry import CUTS
from ..version import TableInfo


class Cut:
    """Base: a subclass gives `kind`, `source`, `params` and `cuts`."""

    kind: ClassVar[str]
    source: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()

    def cuts(self, view: TreeView, plan: Plan, inputs: Sequence[TableInfo]) -> tuple[bytes, ...]:
        """Return the keys at which an output of the plan must begin, in any order; keys outside the inputs' span do not matter."""
        return ()


class Size(Cut):
    """By size alone."""

    kind, source = "size", "LevelDB; RocksDB"


class NextLevel(Cut):
    """Where tables of the level below begin: a table then overlaps one of them, not parts of two. In the last level by size alone."""

    kind, source = "next_level", "Dayan et al., Spooky, VLDB 2022"

    def cuts(self, view: TreeView, plan: Plan, inputs: Sequence[TableInfo]) -> tuple[bytes, ...]:
        return tuple(t.smallest for t in view.level(plan.output_level + 1).tables)


class Guards(Cut):
    """At the guards of the output level."""

    kind, source = "guards", "Raju et al., PebblesDB, SOSP 2017"

    def cuts(self, view: TreeView, plan: Plan, inputs: Sequence[TableInfo]) -> tuple[bytes, ...]:
        return guards(view, plan.output_level)


class Shards(Cut):
    """At fixed parts of the key range, base for small outputs and more for larger ones: as many as the unified strategy asks for."""

    kind, source = "shards", "Cassandra, UnifiedCompactionStrategy.md"
    params = (
        Param("base", 4, 1, 1 << 16, "shards of small outputs"),
        Param("growth", 1 / 3, 0.0, 1.0, "0: outputs of output_bytes and more shards, 1: base shards and larger outputs"),
    )

    def cuts(self, view: TreeView, plan: Plan, inputs: Sequence[TableInfo]) -> tuple[bytes, ...]:
        given = parse("compaction.cut_params", view.options.compaction.cut_params, self.params)
        n = shards(sum(t.size for t in inputs), view.options.compaction.output_bytes, given["base"], given["growth"])
        return boundaries(view, n)


def guards(view: TreeView, level: int) -> tuple[bytes, ...]:
    """Return the guards of a level, ascending; none for the last level and below."""
    last = view.last
    if level >= last:
        return ()
    starts = view.level(last).starts
    return tuple(starts[view.options.compaction.size_ratio ** (last - level) - 1 :: view.options.compaction.size_ratio ** (last - level)])


def shards(density: float, target: float, base: int, growth: float) -> int:
    """Return base * 2^round((1 - growth) log2(density / (target base))), base when the density is below that."""
    if density < target * base:
        return base
    return int(base * 2 ** math.floor((1 - growth) * math.log2(density / (target * base)) + 0.5))


def boundaries(view: TreeView, n: int) -> tuple[bytes, ...]:
    """Return the n - 1 keys that divide the key range of the tree into n equal parts, by the eight bytes behind what all keys share."""
    reached = [level.reach for level in view.levels if level.reach is not None]
    if not reached:
        return ()
    low, high = min(first for first, _ in reached), max(last for _, last in reached)
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    first, last = (int.from_bytes(key[shared : shared + 8].ljust(8, b"\0"), "big") for key in (low, high))
    places = [first + (last - first) * i // n for i in range(1, n)]
    return tuple(low[:shared] + place.to_bytes(8, "big") for place in places)


for _cut in (Size, NextLevel, Guards, Shards):
    CUTS[_cut.kind] = _cut
