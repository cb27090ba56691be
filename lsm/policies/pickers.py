"""Pickers: which table of an over-full level moves down next, each with a declared tie-break (Sarkar et al., VLDB 2021, section 4).

A picker gives each candidate (a free table of the level's run) a score from what it and the run of the next level are; the least one is
picked, ties as the picker declares, or `compaction.tie_break` says. The order in which candidates come never matters. Cost: O(n log n), or
O(n) with little to do for each, where the candidates are a run whose scores are known from the plan before.

| kind | picks | source |
|---|---|---|
| random | any | Sarkar et al. |
| round_robin | the table behind the one moved last | LevelDB |
| least_overlap | least bytes overlapped in the next level a byte moved (LO+1) | RocksDB, MinOverlappingRatio |
| least_overlap_grandparent | the same of the level below that (LO+2) | Sarkar et al. |
| least_overlap_compensated | LO+1, tables that are mostly deletes counted as larger | RocksDB, compensated file size |
| oldest | its newest entry is oldest | RocksDB, OldestLargestSeqFirst |
| coldest | read least | Sarkar et al. |
| largest | most bytes | RocksDB, ByCompensatedSize |
| tombstone_density | largest share of tombstones | Lethe (SIGMOD 2020) |
| tombstone_deadline | oldest tombstone | Lethe, FADE |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Protocol

from ..errors import InvalidOptions
from ..plan import TreeView
from ..registry import PICKERS, TIE_BREAKS
from ..version import MISSING, Notes, Run, TableInfo
from .dice import dice

NOTHING = Run(0, ())


class Picker(Protocol):
    """Chooses one of the candidates, which are in key order and at least one. `tie_break`: one of TIE_BREAKS."""

    kind: str
    tie_break: str

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        """Return the table to move from level; below is what the next level holds, in key order."""


TIE_BREAKS |= {
    "smallest_key": lambda view, t: (t.smallest, t.number),
    "largest_key": lambda view, t: (*(255 - b for b in t.smallest), 256),
    "oldest": lambda view, t: t.number,
    "newest": lambda view, t: -t.number,
    "largest": lambda view, t: (-t.size, t.number),
    "random": lambda view, t: dice(view.seed, view.step, t.number),
    "none": lambda view, t: 0,
}
"""What decides between equal scores; none: there are no equal ones, which is checked."""


def choose(picker: Picker, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
    """Return what a picker picks; the candidates may come in any order. InvalidOptions for a picker that declares no tie-break."""
    if getattr(picker, "tie_break", None) not in TIE_BREAKS:
        raise InvalidOptions(
            "compaction.picker", type(picker).__name__, f"a picker that declares tie_break, one of {', '.join(TIE_BREAKS)}"
        )
    if whole_run(view, level, candidates) is None:
        candidates = sorted(candidates, key=lambda t: (t.smallest, t.number))
    return picker.pick(view, level, candidates, below)


def whole_run(view: TreeView, level: int, tables: Sequence[TableInfo]) -> Run | None:
    """Return the single run of a level when the tables are its own, or the level is empty and there are none; else None."""
    runs = view.level(level).runs
    if not runs and not tables:
        return NOTHING
    return runs[0] if len(runs) == 1 and runs[0].tables is tables else None


class Overlapped:
    """Bytes of the tables of a level that overlap a table. Asking: O(log n + found) of a sorted run, O(n) of several."""

    def __init__(self, tables: Sequence[TableInfo]) -> None:
        starts, ends = [t.smallest for t in tables], [t.largest for t in tables]
        self.run = Run(0, tuple(tables)) if starts == sorted(starts) and ends == sorted(ends) else None
        self.tables = tables

    @classmethod
    def of(cls, run: Run) -> Overlapped:
        """Take a run as it is. O(1)."""
        made = cls(())
        made.run = run
        return made

    def bytes(self, table: TableInfo) -> int:
        """Return how many there are."""
        covered = (table.smallest, table.largest, table.largest_exclusive)
        found = [t for t in self.tables if t.overlaps(*covered)] if self.run is None else self.run.overlapping(*covered)
        return sum([t.size for t in found])


class Scored(ABC):
    """Base of pickers by score: a subclass gives `kind`, `tie_break` and `score`, the least of which is picked.

    `lasting`, beside `score`, says that a score stays as long as the table and, for a number above 0, what the table overlaps so many
    levels below; then it is worked out once, and a plan costs little more than looking through the scores. None: for each plan anew.
    """

    kind: ClassVar[str]
    source: ClassVar[str]
    tie_break: ClassVar[str]
    lasting: ClassVar[int | None] = None

    @abstractmethod
    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        """Return what the tables are compared by; overlapped knows the next level."""

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        """Return the candidate with the least score."""
        tie_break = view.options.compaction.tie_break or self.tie_break
        scores = self._scores(view, level, candidates, below)
        least = min(scores)
        if scores.count(least) == 1:
            return candidates[scores.index(least)]
        best = [t for t, score in zip(candidates, scores, strict=True) if score == least]
        if tie_break == "none":
            raise InvalidOptions(
                "compaction.picker", self.kind, f"tie_break none only without ties; {len(best)} tables have score {least!r}"
            )
        return min(best, key=lambda t: TIE_BREAKS[tie_break](view, t))

    def _scores(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> list[Any]:
        """Return the score of each candidate: of a run that is known those that are new, or overlap what has changed below."""
        lasting = vars(type(self)).get("lasting")  # of a subclass with another score it says nothing
        run = None if lasting is None else whole_run(view, level, candidates)
        under = None if lasting is None else whole_run(view, level + lasting, below) if lasting else NOTHING
        if run is None or under is None:
            overlapped = Overlapped(below)
            return [self.score(view, level, t, overlapped) for t in candidates]
        noted = run.notes.get(type(self), Notes(()))
        changes = under.changed_since(noted.since)
        if changes is None:
            scores, due = [MISSING] * len(candidates), set(range(len(candidates)))
        else:
            scores, due = list(noted.values), {place for c in changes for place in run.places(c.smallest, c.largest)}
            due.update(_missing(scores))
        overlapped = Overlapped.of(under)
        for place in due:
            scores[place] = self.score(view, level, candidates[place], overlapped)
        run.notes[type(self)] = Notes(scores, under.changes[-1])
        return scores


def _missing(values: list[Any]) -> Iterator[int]:
    place = -1
    with suppress(ValueError):
        while True:
            place = values.index(MISSING, place + 1)
            yield place


class LeastOverlap(Scored):
    """The table whose merge rewrites the least of the next level per byte moved."""

    kind, tie_break = "least_overlap", "smallest_key"
    source = "RocksDB, MinOverlappingRatio; Sarkar et al., LO+1"
    lasting = 1

    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        return overlapped.bytes(table) / max(table.size, 1)


class LeastOverlapGrandparent(Scored):
    """The table that overlaps the least of the level below the next one: its outputs move on cheaply. Random without such a level."""

    kind, tie_break = "least_overlap_grandparent", "random"
    source = "Sarkar et al., LO+2"
    lasting = 2

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        return super().pick(view, level, candidates, view.level(level + 2).tables)

    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        return overlapped.bytes(table) / max(table.size, 1)


class LeastOverlapCompensated(Scored):
    """Least overlap, where a table of which more than half are deletes counts as larger: by what those deletes will free, twice."""

    kind, tie_break = "least_overlap_compensated", "smallest_key"
    source = "RocksDB, compensated file size"
    lasting = 1

    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        surplus = max(0, 2 * table.deletions - table.entries)
        compensated = table.size + 2 * surplus * table.size / max(1, table.entries)
        return overlapped.bytes(table) / max(compensated, 1)


class RoundRobin:
    """The table behind the one moved last from this level, by key, around the ring (LevelDB)."""

    kind, tie_break = "round_robin", "none"
    source = "LevelDB"

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        last = view.cursors.get(level)
        place = 0 if last is None else bisect_left(candidates, last, key=lambda t: t.smallest)
        if last is not None and place < len(candidates) and candidates[place].smallest == last and candidates[place].largest == last:
            place += 1
        return candidates[place % len(candidates)]


class Oldest(Scored):
    """The table whose newest entry is oldest: cold data sinks first."""

    kind, tie_break = "oldest", "oldest"
    source = "RocksDB, OldestLargestSeqFirst"
    lasting = 0

    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        return table.max_seq


class Coldest(Scored):
    """The table that was read least since it was made; reads are counted while this picker is chosen."""

    kind, tie_break = "coldest", "random"
    source = "Sarkar et al."
    counts_reads = True

    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        return view.reads.get(table.number, 0)


class Largest(Scored):
    """The table with most bytes: the level is within its capacity again soonest."""

    kind, tie_break = "largest", "random"
    source = "RocksDB, ByCompensatedSize"
    lasting = 0

    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        return -table.size


class TombstoneDensity(Scored):
    """The table with the largest share of tombstones; a range tombstone counts as one."""

    kind, tie_break = "tombstone_density", "random"
    source = "Sarkar et al., TSD; Lethe, SIGMOD 2020"
    lasting = 0

    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        return -density(table)


class TombstoneDeadline(Scored):
    """The table with the oldest tombstone; one without any is last (Lethe's TSA)."""

    kind, tie_break = "tombstone_deadline", "random"
    source = "Sarkar et al., TSA; Lethe, FADE"
    lasting = 0

    def score(self, view: TreeView, level: int, table: TableInfo, overlapped: Overlapped) -> Any:
        seq = table.tombstone_seq
        return (seq is None, seq or 0)


class Random:
    """Any table with equal chance, from the database's seed and the number of plans so far."""

    kind, tie_break = "random", "random"
    source = "Sarkar et al."

    def pick(self, view: TreeView, level: int, candidates: Sequence[TableInfo], below: Sequence[TableInfo]) -> TableInfo:
        return candidates[dice(view.seed, view.step, level) % len(candidates)]


def density(table: TableInfo) -> float:
    """Return the share of tombstones, range tombstones counted as one each."""
    return (table.deletions + table.range_deletes) / max(1, table.entries + table.range_deletes)


for _picker in (
    LeastOverlap, LeastOverlapGrandparent, LeastOverlapCompensated, RoundRobin, Oldest, Coldest, Largest, TombstoneDensity,
    TombstoneDeadline, Random,
):  # fmt: skip
    PICKERS[_picker.kind] = _picker
