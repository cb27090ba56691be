"""Pickers: which table of an over-full level moves down next, each with a declared tie-break (Sarkar et al., VLDB 2021, section 4).

A picker sees the candidates (free tables of the level's run) and the run of the next level; it returns one candidate. Cost: O(candidates
log next), except where noted.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

from ..plan import TreeView
from ..registry import PICKERS
from ..version import TableInfo


class Picker(Protocol):
    """Chooses one of the candidates, which are in key order and at least one."""

    kind: str
    tie_break: str

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        """Return the table to move from level; below is what the next level holds, in key order."""


def overlap(table: TableInfo, below: Sequence[TableInfo]) -> int:
    """Return the bytes of the tables below that share a key with table."""
    return sum(t.size for t in below if t.overlaps(table.smallest, table.largest, table.largest_exclusive))


class LeastOverlap:
    """The table whose merge rewrites the least of the next level per byte moved."""

    kind, tie_break = "least_overlap", "smallest key"

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        return min(candidates, key=lambda t: (overlap(t, below) / max(t.size, 1), t.smallest))


class RoundRobin:
    """The table behind the one moved last from this level, by key, around the ring (LevelDB)."""

    kind, tie_break = "round_robin", "none needed: tables of a run do not overlap"

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        last = view.cursors.get(level)
        place = 0 if last is None else bisect_left([t.smallest for t in candidates], last)
        if last is not None and place < len(candidates) and candidates[place].smallest == last and candidates[place].largest == last:
            place += 1
        return candidates[place % len(candidates)]


class Oldest:
    """The table whose newest entry is oldest: cold data sinks first."""

    kind, tie_break = "oldest", "smallest table number"

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        return min(candidates, key=lambda t: (t.max_seq, t.number))


class Random:
    """Any table with equal chance, from the database's seed and the number of plans so far."""

    kind, tie_break = "random", "seeded"

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        return random.Random(f"{view.seed}:{view.step}:{level}").choice(list(candidates))


for _picker in (LeastOverlap, RoundRobin, Oldest, Random):
    PICKERS[_picker.kind] = _picker
