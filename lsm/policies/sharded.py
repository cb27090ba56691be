"""Layouts that merge by parts of the key range: tables of a level may overlap, and what overlaps too deeply is merged, part by part.

| kind | a part is merged when | into | source |
|---|---|---|---|
| ucs | t tables overlap: t = 2 for w < 0 (leveled, f = 2 - w), t = f = 2 + w for w >= 0 (tiered) | the level of its density | Cassandra |
| guards | more than `runs` tables overlap, or the level is full | the next level, beside what is there; the last itself | PebblesDB |

A part is a set of tables of a level that overlap, directly or through others. Outputs join the oldest run of their level that may hold
them, so that a level has as many runs as tables overlap. They are cut at shards (ucs) or guards, unless `compaction.cut` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..params import Param
from ..plan import Plan, TreeView, span
from ..registry import LAYOUTS
from ..version import Level, TableInfo
from .base import Layout, Shape
from .layouts import capacity


class Part:
    """Tables of a level that hang together, in key order, and how many of them overlap at most."""

    def __init__(self, tables: Sequence[TableInfo]) -> None:
        ends = [(t.smallest, 1, 1) for t in tables] + [(t.largest, 0 if t.largest_exclusive else 2, -1) for t in tables]
        self.tables, self.depth, depth = list(tables), 0, 0
        for _, _, step in sorted(ends):
            depth += step
            self.depth = max(self.depth, depth)
        self.size = sum(t.size for t in tables)


def parts(level: Level) -> list[Part]:
    """Return the parts of a level in key order. O(n log n)."""
    groups = list[list[TableInfo]]()
    end, inclusive = b"", False
    for t in sorted(level.tables, key=lambda t: (t.smallest, t.number)):
        if not groups or t.smallest > end or (t.smallest == end and not inclusive):
            groups.append([])
            end, inclusive = b"", False
        groups[-1].append(t)
        end, inclusive = max((end, inclusive), (t.largest, not t.largest_exclusive))
    return [Part(group) for group in groups]


def place(view: TreeView, level: int, inputs: Sequence[TableInfo]) -> int:
    """Return the id of the oldest run of a level that outputs of the inputs may join: neither it nor a newer one overlaps them. 0: none."""
    chosen, covered, found = {t.number for t in inputs}, span(inputs), 0
    for run in view.level(level).runs if level else ():  # runs of level 0 are in the order of their newest entry
        if any(t.number not in chosen and t.overlaps(*covered) for t in run.tables):
            break
        if any(t.number not in chosen for t in run.tables):
            found = run.id
    return found


class Parted(Layout):
    """Base of both: merges a part into a level, beside what is there."""

    def merged(self, view: TreeView, tables: Sequence[TableInfo], output: int, reason: str) -> Plan | None:
        """Return the plan, None when a job is in the way."""
        if not view.is_free(*tables):
            return None
        run = place(view, output, tables)
        return self.finished(view, Plan(tuple(t.number for t in tables), output, reason, new_run=not run, run=run), tables)


class Ucs(Parted):
    """Levels by density: a table of d bytes over a share s of the key range belongs to level floor(log_f(d / s / F)), F = level_base /
    size_ratio. w by level, the last one for all below."""

    kind, source, cut = "ucs", "Cassandra, UnifiedCompactionStrategy.md", "shards"
    params = (Param("w", (0,), -1000, 1000, "w_0,w_1,...: leveled below 0, tiered above, by level"),)

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        ws, bottom = self.settings(view.options)["w"], view.bottom
        c = view.options.compaction
        bound = c.level_base / c.size_ratio  # bytes at a density of 1 below which data belongs to the level
        for level in view.levels:
            w = ws[min(level.number, len(ws) - 1)]
            bound *= 2 + abs(w)
            for part in parts(level):
                if part.depth >= max(2, 2 + w):
                    dense = part.size / share(view, part.tables) >= bound
                    output = min(bottom, level.number + 1) if dense else level.number
                    plan = self.merged(view, part.tables, output, f"{part.depth} tables of level {level.number} overlap (w = {w})")
                    if plan:
                        yield plan


class Guards(Parted):
    """Fragmented LSM: a level is cut at its guards, tables of a guard may overlap, and are merged and appended to the next level without
    rewriting what is there. In the last level they are merged with each other."""

    kind, source, cut = "guards", "Raju et al., PebblesDB, SOSP 2017", "guards"
    params = (Param("runs", 4, 1, 1000, "tables of a guard that may overlap"),)

    def own(self, view: TreeView, shape: Shape) -> Iterator[Plan]:
        c, most = view.options.compaction, self.settings(view.options)["runs"]
        zero, last, bottom = view.level(0), max(1, view.last), view.bottom
        if len(zero.runs) >= c.l0_trigger:
            plan = self.merged(view, zero.tables, 1, f"level 0 has {len(zero.runs)} runs")
            if plan:
                yield plan
        for level in view.levels[1:]:
            full = level.size > capacity(view, level.number) and level.number < bottom
            output = level.number if (level.number == last and not full) or level.number == bottom else level.number + 1
            found = sorted(parts(level), key=lambda p: (-p.depth, -p.size, p.tables[0].smallest))
            for part in found:
                if part.depth > most or (full and part is found[0]):
                    why = (
                        f"{part.depth} tables of a guard of level {level.number} overlap"
                        if part.depth > most
                        else f"level {level.number} is full"
                    )
                    plan = self.merged(view, part.tables, output, why)
                    if plan:
                        yield plan


def share(view: TreeView, tables: Sequence[TableInfo]) -> float:
    """Return the share of the tree's key range that tables cover, by the first eight bytes behind what all keys share; never 0."""
    every = [t for level in view.levels for t in level.tables]
    low, high = min(t.smallest for t in every), max(t.largest for t in every)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    first, last, start, end = (
        int.from_bytes(key[same : same + 8].ljust(8, b"\0"), "big")
        for key in (low, high, min(t.smallest for t in tables), max(t.largest for t in tables))
    )
    return max((end - start) / (last - first), 1e-6) if last > first else 1.0


for _layout in (Ucs, Guards):
    LAYOUTS[_layout.kind] = _layout
