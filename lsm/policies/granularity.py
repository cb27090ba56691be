"""Granularity: how much of a full level moves down at once, where both it and the next level are single runs; else the whole level does.

| kind | moves | source |
|---|---|---|
| file | the picked table (partial compaction) | LevelDB, RocksDB |
| files | the picked table and its neighbours, k in all | Sarkar et al., VLDB 2021 |
| partition | all tables that share the part of the picked one, cut at the tables of the last level | Spooky; PebblesDB |
| run, level | all of it (full compaction) | O'Neil et al. 1996; Monkey, Dostoevsky |
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import ClassVar

from ..params import Param, parse
from ..plan import TreeView
from ..registry import GRANULARITIES
from ..version import Level, TableInfo


class Granularity:
    """Base: a subclass gives `kind`, `source`, `params`, and `unit` if it is partial."""

    kind: ClassVar[str]
    source: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()
    partial: ClassVar[bool] = True

    def unit(self, view: TreeView, level: Level, picked: TableInfo) -> Sequence[TableInfo]:
        """Return the tables of a level of one run that move with the picked one, which is among them."""
        return [picked]


class File(Granularity):
    """One table."""

    kind, source = "file", "LevelDB; RocksDB"


class Files(Granularity):
    """The picked table and those behind it by key, k in all; at the end of the run those before it."""

    kind, source = "files", "Sarkar et al., VLDB 2021"
    params = (Param("k", 4, 1, 1_000_000, "tables that move at once"),)

    def unit(self, view: TreeView, level: Level, picked: TableInfo) -> Sequence[TableInfo]:
        k = parse("compaction.granularity_params", view.options.compaction.granularity_params, self.params)["k"]
        tables, place = level.tables, bisect_left(level.runs[0].firsts, picked.smallest)
        first = max(0, min(place, len(tables) - k))
        return tables[first : first + k]


class Partition(Granularity):
    """All tables that begin in the same part of the key range, where the tables of the last level begin new parts."""

    kind, source = "partition", "Spooky (VLDB 2022); PebblesDB (SOSP 2017)"

    def unit(self, view: TreeView, level: Level, picked: TableInfo) -> Sequence[TableInfo]:
        starts = [t.smallest for t in view.level(view.last).tables] if view.last > level.number else []
        part = bisect_right(starts, picked.smallest)
        return [t for t in level.tables if bisect_right(starts, t.smallest) == part]


class WholeRun(Granularity):
    """The level's run."""

    kind, source, partial = "run", "Sarkar et al., VLDB 2021", False


class WholeLevel(Granularity):
    """The whole level."""

    kind, source, partial = "level", "O'Neil et al., Acta Informatica 1996", False


for _kind in (File, Files, Partition, WholeRun, WholeLevel):
    GRANULARITIES[_kind.kind] = _kind
