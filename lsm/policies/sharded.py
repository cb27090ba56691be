"""Layouts that merge by parts of the key range: tables of a level may overlap, and what overlaps too deeply is merged, part by part.

| kind | a part is merged when | into | source |
|---|---|---|---|
| ucs | t tables overlap: t = 2 for w < 0 (leveled, f = 2 - w), t = f = 2 + w for w >= 0 (tiered) | the level of its density | Cassandra |
| guards | more than `runs` tables overlap, or the level is full | the next level, beside what is there; the last itself | PebblesDB |

A part is a set of tables of a level that overlap, directly or through others. Outputs join the oldest run of their level that may hold
them, so that a level has as many runs as tables overlap. They are cut at shards (ucs) or guards, unless `compaction.cut` says otherwise.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from ..params import Param
from ..plan import Plan, TreeView, span
from ..registry import LAYOUTS
from ..version import Level, LevelNote, TableInfo
from .base import Layout, Shape
from .layouts import capacity


class Part:
    """Tables of a level that hang together, in key order, and how many of them overlap at most."""

    def __init__(self, tables: Sequence[TableInfo]) -> None:
        self.tables, self.depth = list(tables), 0
        self.size, self.first, depth = sum([t.size for t in tables]), tables[0].smallest, 0
        if len(tables) == 1 and tables[0].smallest < tables[0].largest:
            self.depth = 1
            return
        ends = [(t.smallest, 1, 1) for t in tables] + [(t.largest, 0 if t.largest_exclusive else 2, -1) for t in tables]
        for _, _, step in sorted(ends):
            depth += step
            self.depth = max(self.depth, depth)


class Parts:
    """The parts of a level in key order, `deep` those of them that are two tables deep or more; nothing of it is changed."""

    def __init__(self, parts: list[Part], deep: list[Part]) -> None:
        self.all, self.deep = parts, deep

    def __iter__(self) -> Iterator[Part]:
        return iter(self.all)

    def deeper(self, depth: int) -> list[Part]:
        """Return the parts that are deeper than that, 1 or more: the deepest first, of them the largest."""
        return sorted([p for p in self.deep if p.depth > depth], key=_urgency) if self.deepest > depth else []

    @cached_property
    def first(self) -> list[Part]:
        """The deepest part, of several the largest one; nothing of an empty level."""
        return [min(self.deep or self.all, key=_urgency)] if self.all else []

    @cached_property
    def deepest(self) -> int:
        """The depth of the deepest."""
        return max([p.depth for p in self.deep], default=1)

    def changed(self, gone: Sequence[TableInfo], added: Sequence[TableInfo]) -> Parts:
        """Return the parts of the same level without some tables and with others. Looked at are those that hold or meet one of them."""
        if not gone and not added:
            return self
        low, high = min([t.smallest for t in (*gone, *added)]), max([t.largest for t in (*gone, *added)])
        without = {t.number for t in gone}
        first, end = _between(self.all, low, high)
        fresh = grouped([*(t for p in self.all[first:end] for t in p.tables if t.number not in without), *added])
        start = bisect_left(self.deep, self.all[first].first, key=_first_of) if first < end else 0
        stop = bisect_right(self.deep, self.all[end - 1].first, key=_first_of) if first < end else 0
        deep = [*self.deep[:start], *(p for p in fresh if p.depth > 1), *self.deep[stop:]]
        return Parts([*self.all[:first], *fresh, *self.all[end:]], deep)


def _urgency(part: Part) -> tuple[int, int, bytes]:
    return -part.depth, -part.size, part.first


def _first_of(part: Part) -> bytes:
    return part.first


def _between(parts: Sequence[Part], low: bytes, high: bytes) -> tuple[int, int]:
    """Return the first of the parts that may have a key from low to high, both in it, and the one behind the last."""
    return max(bisect_left(parts, low, key=_first_of) - 1, 0), bisect_right(parts, high, key=_first_of)


def parts(level: Level) -> Parts:
    """Return the parts of a level. O(n log n) at first; if those of the level it came of are known, for what changed."""
    note = level.notes.get(Parts)
    found = note.value if note else Parts([], []).changed((), level.tables)
    for gone, added in note.changes if note else ():
        found = found.changed(gone, added)
    level.notes[Parts] = LevelNote(found)
    return found


def grouped(tables: Iterable[TableInfo]) -> list[Part]:
    """Return the parts that tables hang together in, in key order. O(n log n)."""
    groups = list[list[TableInfo]]()
    end, inclusive = b"", False
    for t in sorted(tables, key=lambda t: (t.smallest, t.number)):
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
        if any(t.number not in chosen for t in run.overlapping(*covered)):
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
            if parts(level).deepest < max(2, 2 + w):
                continue
            for part in parts(level).deep:
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
            for part in parts(level).deeper(most) or (parts(level).first if full else []):
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
    reached = [level.reach for level in view.levels if level.reach is not None]
    low, high = min(first for first, _ in reached), max(last for _, last in reached)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    first, last, start, end = (
        int.from_bytes(key[same : same + 8].ljust(8, b"\0"), "big")
        for key in (low, high, min(t.smallest for t in tables), max(t.largest for t in tables))
    )
    return max((end - start) / (last - first), 1e-6) if last > first else 1.0


for _layout in (Ucs, Guards):
    LAYOUTS[_layout.kind] = _layout
