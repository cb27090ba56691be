"""Versions: immutable pictures of a keyspace's tree: levels, in each sorted runs (newest first), in each run tables in key order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, TypeVar

from .native import TableProps

KEPT_CHANGES = 16  # of a run
FEW_PLACES = 8  # of runs, that are looked for one by one
V = TypeVar("V")
MISSING: Any = object()
"""Stands for a value that nobody has worked out yet."""


@dataclass(frozen=True)
class ValueInfo:
    """A value file: records and their bytes, dead ones too; the least and the largest sequence number in it.

    `heat`: 0 not told apart, 1 hot, 2 cold.
    """

    number: int
    size: int
    records: int
    bytes: int
    min_seq: int
    max_seq: int
    heat: int
    footer_crc: int
    keyspace: int

    def to_row(self) -> dict[str, Any]:
        """Return plain values for the manifest."""
        return dict(vars(self))

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ValueInfo:
        """Read what to_row wrote. TypeError when it is not that."""
        return cls(**row)


@dataclass(frozen=True)
class TableInfo:
    """What a policy may know of a table. Keys are user keys; `largest` is exclusive when `largest_exclusive`. Numbers grow.

    `oldest_tombstone`: the smallest sequence number of a tombstone in it, 0: none, or not known (a table of an older version or repaired).
    `created`: the sequence number at which it was made, 0: not known. Both are in the manifest alone.
    `values`: the value files that it points into: (number, entries that do, bytes of their records).
    """

    number: int
    size: int
    entries: int
    deletions: int
    smallest: bytes
    largest: bytes
    largest_exclusive: bool = False
    min_seq: int = 0
    max_seq: int = 0
    range_deletes: int = 0
    footer_crc: int = 0
    oldest_tombstone: int = field(default=0, compare=False)
    created: int = field(default=0, compare=False)
    values: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(cls, p: TableProps, created: int = 0) -> TableInfo:
        """Take the facts of a finished table."""
        return cls(
            p.number,
            p.file_size,
            p.entries,
            p.deletions,
            p.smallest,
            p.largest,
            p.largest_exclusive,
            p.min_seq,
            p.max_seq,
            p.range_deletes,
            p.footer_crc,
            p.oldest_tombstone,
            created,
            p.values,
        )

    @property
    def tombstone_seq(self) -> int | None:
        """The sequence number that no tombstone in it is below; None when it holds none."""
        if not self.deletions and not self.range_deletes:
            return None
        return self.oldest_tombstone or self.min_seq

    def overlaps(self, smallest: bytes, largest: bytes, exclusive: bool = False) -> bool:
        """Tell whether the key ranges have a key in common."""
        if self.smallest > largest or (exclusive and self.smallest == largest):
            return False
        return self.largest > smallest or (self.largest == smallest and not self.largest_exclusive)

    def to_row(self) -> dict[str, Any]:
        """Return plain values for the manifest."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "values"}
        row |= {"values": [list(v) for v in self.values]} if self.values else {}
        for name in ("oldest_tombstone", "created"):
            if not row[name]:
                del row[name]
        return row | {"smallest": self.smallest.hex(), "largest": self.largest.hex()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TableInfo:
        """Read what to_row wrote. ValueError or TypeError or KeyError when it is not that."""
        values = tuple((file, records, size) for file, records, size in row.get("values", ()))
        return cls(**dict(row) | {"smallest": bytes.fromhex(row["smallest"]), "largest": bytes.fromhex(row["largest"]), "values": values})


@dataclass(frozen=True, eq=False)
class Change:
    """The span of the keys in which a run was changed. Each is itself alone."""

    smallest: bytes
    largest: bytes


@dataclass(frozen=True)
class Notes:
    """What somebody worked out for the tables of a run: values in their order, MISSING where not yet. `since`: the last change of the
    other run that the values depend on, when they were."""

    values: Sequence[Any]
    since: Change | None = None


@dataclass(frozen=True)
class Run:
    """A sorted run: tables in key order, no two overlapping. `id` is the same as long as the run lives."""

    id: int
    tables: tuple[TableInfo, ...]

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return sum([t.size for t in self.tables])

    @cached_property
    def entries(self) -> int:
        """Entries, of all versions."""
        return sum([t.entries for t in self.tables])

    @cached_property
    def max_seq(self) -> int:
        """Its newest sequence number."""
        return max([t.max_seq for t in self.tables])

    @cached_property
    def firsts(self) -> list[bytes]:
        """The smallest key of each table, for bisection."""
        return [t.smallest for t in self.tables]

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """How it came to be what it is: the last KEPT_CHANGES of its changes, the first of a new run stands for its beginning."""
        return (Change(b"", b""),)

    @cached_property
    def notes(self) -> dict[Any, Notes]:
        """What was worked out for its tables, by who did. A run that comes of this one has it for all tables but the new ones and those
        beside them."""
        return {}

    def changed_since(self, change: Change | None) -> tuple[Change, ...] | None:
        """Return the changes after one; None when it is none of this run's, or too long ago."""
        for place in range(len(self.changes) - 1, -1, -1):
            if self.changes[place] is change:
                return self.changes[place + 1 :]
        return None

    def places(self, smallest: bytes, largest: bytes) -> range:
        """Return the places of tables outside of which none shares a key with a range, both ends in it. O(log tables)."""
        return range(max(bisect_right(self.firsts, smallest) - 1, 0), bisect_right(self.firsts, largest))

    def overlapping(self, smallest: bytes, largest: bytes, exclusive: bool = False) -> list[TableInfo]:
        """Return the tables that share a key with a range, in order. O(log tables + result)."""
        near = self.places(smallest, largest)
        return [t for t in self.tables[near.start : near.stop] if t.overlaps(smallest, largest, exclusive)]


class ByLevel(Mapping[int, V]):
    """A mapping for each level, as one. Looking up takes O(levels), the deepest first: most tables are there."""

    def __init__(self, levels: Sequence[Mapping[int, V]]) -> None:
        self.levels = levels

    def __getitem__(self, key: int) -> V:
        for level in reversed(self.levels):
            if key in level:
                return level[key]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return any(key in level for level in self.levels)

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.levels)

    def __len__(self) -> int:
        return sum(map(len, self.levels))


class ByPlace(Mapping[int, tuple[int, int]]):
    """Table number -> (level, place of its run in the level), of some levels. Looking up takes O(levels), as of ByLevel."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels, self._found = levels, dict[int, tuple[int, int]]()

    def __getitem__(self, key: int) -> tuple[int, int]:
        if (place := self._found.get(key)) is not None:
            return place
        for level in reversed(self.levels):
            if key in level.by_number:
                self._found[key] = place = level.number, level.place_of(key)
                return place
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return any(key in level.by_number for level in self.levels)

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(level.by_number for level in self.levels)

    def __len__(self) -> int:
        return sum([len(level.by_number) for level in self.levels])


@dataclass(frozen=True)
class Level:
    """A level: sorted runs, newest first."""

    number: int
    runs: tuple[Run, ...] = ()

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return sum([r.size for r in self.runs])

    @cached_property
    def tables(self) -> tuple[TableInfo, ...]:
        """All tables, run by run."""
        return self.runs[0].tables if len(self.runs) == 1 else tuple([t for r in self.runs for t in r.tables])

    @cached_property
    def by_number(self) -> dict[int, TableInfo]:
        """All tables by number."""
        return {t.number: t for t in self.tables}

    @cached_property
    def entries(self) -> int:
        """Entries, of all versions."""
        return sum([r.entries for r in self.runs])

    @cached_property
    def ids(self) -> list[int]:
        """The id of each run."""
        return [r.id for r in self.runs]

    @cached_property
    def homes(self) -> dict[int, int]:
        """Table number -> id of its run."""
        return {t.number: r.id for r in self.runs for t in r.tables}

    @cached_property
    def reach(self) -> tuple[bytes, bytes] | None:
        """The smallest key and the largest one, which may be outside; None of an empty level."""
        if not self.runs:
            return None
        return min([r.tables[0].smallest for r in self.runs]), max([r.tables[-1].largest for r in self.runs])

    @cached_property
    def starts(self) -> list[bytes]:
        """The keys at which tables begin, ascending, each once."""
        return sorted({t.smallest for t in self.tables})

    @cached_property
    def notes(self) -> dict[Any, LevelNote]:
        """What was worked out of its tables, by who did. A level that comes of this one has it, with what changed since."""
        return {}

    @cached_property
    def _places(self) -> dict[int, int]:
        return {}

    def place_of(self, number: int) -> int:
        """Return the place of the run of a table. Of a few runs of many each is looked for; then the places of all are worked out."""
        if len(self.runs) == 1:
            return 0
        run, known = self.homes[number], self._places
        if run not in known:
            if len(known) < FEW_PLACES:
                known[run] = self.ids.index(run)
            else:
                known.update(zip(self.ids, range(len(self.ids)), strict=True))
        return known[run]


@dataclass(frozen=True)
class LevelNote:
    """What somebody worked out of the tables of a level, and the changes since: tables that went and tables that came."""

    value: Any
    changes: tuple[tuple[Sequence[TableInfo], Sequence[TableInfo]], ...] = ()


@dataclass(frozen=True)
class Edit:
    """A change of one keyspace's tree. `added`: (level, run id, table); a run that does not exist is made, newest of its level.

    `attached`: the row of its rider from now on, None when that stays. `values`: value files that the added tables point into; those
    that no table points into any more are gone.
    """

    keyspace: int
    removed: tuple[int, ...] = ()
    added: tuple[tuple[int, int, TableInfo], ...] = ()
    flushed_seq: int | None = None
    attached: Mapping[str, Any] | None = None
    values: tuple[ValueInfo, ...] = ()


@dataclass(frozen=True)
class Version:
    """The tree of one keyspace. Level 0 is always there. `values`: the value files that its tables point into, by number."""

    levels: tuple[Level, ...] = field(default_factory=lambda: (Level(0),))
    values: tuple[ValueInfo, ...] = ()

    def tables(self) -> Mapping[int, TableInfo]:
        """Return all tables by number; looking one up takes O(levels)."""
        return self._tables

    def where(self) -> Mapping[int, tuple[int, int]]:
        """Return table number -> (level, place of its run in the level); looking one up takes O(levels)."""
        return self._where

    @cached_property
    def _tables(self) -> Mapping[int, TableInfo]:
        return ByLevel([level.by_number for level in self.levels])

    @cached_property
    def _where(self) -> Mapping[int, tuple[int, int]]:
        return ByPlace(self.levels)

    def live_values(self) -> dict[int, tuple[int, int]]:
        """Return value file number -> (records, bytes) that tables point to: what is alive in it. O(tables)."""
        live: dict[int, tuple[int, int]] = {}
        for table in self.tables().values():
            for file, records, size in table.values:
                before = live.get(file, (0, 0))
                live[file] = before[0] + records, before[1] + size
        return live

    def runs(self) -> Iterable[tuple[int, Run]]:
        """Yield (level, run) in search order, newest first."""
        for level in self.levels:
            for run in level.runs:
                yield level.number, run

    def placed(self, low: tuple[int, int] = (0, 0), high: tuple[int, int] | None = None) -> Iterable[tuple[int, int, Run]]:
        """Yield (level, place in the level, run) in search order, newest first; from one place on, to another one, which is with them."""
        for level in self.levels[low[0] : None if high is None else high[0] + 1]:
            first = low[1] if level.number == low[0] else 0
            end = high[1] + 1 if high is not None and level.number == high[0] else len(level.runs)
            for i in range(max(first, 0), min(end, len(level.runs))):
                yield level.number, i, level.runs[i]

    def apply(self, edit: Edit) -> Version:
        """Return the version after an edit. ValueError when it removes what is not there or makes a run overlap itself.

        Runs that it does not touch are shared. O(tables of the runs that it does), and a copy of the lists of the levels that it does.
        """
        known, where, removed = self.tables(), self.where(), set(edit.removed)
        if missing := removed - known.keys():
            raise ValueError(f"edit removes tables that are not there: {sorted(missing)}")
        gone: dict[int, dict[int, list[TableInfo]]] = {}  # level -> place of a run -> tables
        for n in removed:
            level, place = where[n]
            gone.setdefault(level, {}).setdefault(place, []).append(known[n])
        added: dict[int, dict[int, list[TableInfo]]] = {}  # level -> id of a run -> tables
        for number, run_id, table in edit.added:
            added.setdefault(number, {}).setdefault(run_id, []).append(table)
        levels = [*self.levels, *(Level(n) for n in range(len(self.levels), max(added, default=0) + 1))]
        for number in sorted(gone.keys() | added.keys()):
            levels[number] = _edited(levels[number], gone.get(number, {}), added.get(number, {}))
        while len(levels) > 1 and not levels[-1].runs:
            levels.pop()
        made = Version(tuple(levels))
        values = {v.number: v for v in (*self.values, *edit.values)}
        if not values and not any(t.values for _, _, t in edit.added):
            return made
        live = made.live_values()
        if missing := live.keys() - values.keys():
            raise ValueError(f"tables point into value files that are not there: {sorted(missing)}")
        return replace(made, values=tuple(values[n] for n in sorted(live)))


def _edited(old: Level, gone: Mapping[int, Sequence[TableInfo]], added: Mapping[int, Sequence[TableInfo]]) -> Level:
    """Return a level without tables of some runs, by their places, and with others, by the ids of theirs."""
    ids, fresh, joined = old.ids, list[Run](), dict[int, Sequence[TableInfo]]()
    for run_id, tables in added.items():
        if run_id in ids:
            joined[ids.index(run_id)] = tables
        else:
            fresh.insert(0, _changed(old.number, run_id, None, (), tables))  # the newest of the level
    runs, emptied = list(old.runs), list[int]()
    for place in sorted(gone.keys() | joined.keys()):
        runs[place] = _changed(old.number, runs[place].id, runs[place], gone.get(place, ()), joined.get(place, ()))
        if not runs[place].tables:
            emptied.append(place)
    kept, ids = len(gone.keys() | joined.keys()) - len(emptied), list(ids)
    for place in reversed(emptied):
        del runs[place], ids[place]
    runs[:0], ids[:0] = fresh, [r.id for r in fresh]
    if old.number == 0 and (kept or len(fresh) > 1 or (fresh and len(runs) > 1 and runs[0].max_seq < runs[1].max_seq)):
        runs.sort(key=lambda r: -r.max_seq)  # else they are in order, as they were
        ids = [r.id for r in runs]
    return _level(runs, ids, old, [t for ts in gone.values() for t in ts], added)


def _changed(level: int, run_id: int, run: Run | None, gone: Sequence[TableInfo], added: Sequence[TableInfo]) -> Run:
    """Return a run without some tables and with others. Only what lies about them is looked at: the rest is in order as it was."""
    if run is None:
        run = Run(run_id, ())
    elif not gone and not added:
        return run
    keys = [t.smallest for t in (*gone, *added)]
    low, high = max(bisect_left(run.firsts, min(keys)) - 1, 0), bisect_right(run.firsts, max(keys)) + 1
    without = {t.number for t in gone}
    middle = [t for t in run.tables[low:high] if t.number not in without] + list(added)
    middle.sort(key=lambda t: (t.smallest, t.largest))
    for a, b in pairwise(middle):
        if a.overlaps(b.smallest, b.largest, b.largest_exclusive):
            raise ValueError(f"tables {a.number} and {b.number} of run {run_id} in level {level} overlap")
    made = Run(run_id, run.tables[:low] + tuple(middle) + run.tables[high:])
    made.__dict__["firsts"] = run.firsts[:low] + [t.smallest for t in middle] + run.firsts[high:]  # cheaper than from all tables
    made.__dict__["size"] = run.size + sum(t.size for t in added) - sum(t.size for t in gone)
    made.__dict__["entries"] = run.entries + sum(t.entries for t in added) - sum(t.entries for t in gone)
    changed = Change(min(keys), max([t.largest for t in (*gone, *added)]))
    made.__dict__["changes"] = (*run.changes[1 - KEPT_CHANGES :], changed)
    made.__dict__["notes"] = {
        who: replace(noted, values=[*noted.values[:low], *[MISSING] * len(middle), *noted.values[high:]])
        for who, noted in run.notes.items()
    }
    return made


def _level(runs: Sequence[Run], ids: list[int], old: Level, gone: Sequence[TableInfo], added: Mapping[int, Sequence[TableInfo]]) -> Level:
    """Return a level that was changed so; what was worked out for the old one is taken over: it may hold many thousands of tables."""
    made, was, came = Level(old.number, tuple(runs)), old.__dict__, [t for ts in added.values() for t in ts]
    now, known = made.__dict__, dict(old.by_number)
    for t in gone:
        del known[t.number]
    known.update({t.number: t for t in came})
    now["ids"], now["by_number"] = ids, known
    if "homes" in was and len(runs) > 1:
        homes = dict(was["homes"])
        for t in gone:
            del homes[t.number]
        homes.update({t.number: run_id for run_id, ts in added.items() for t in ts})
        now["homes"] = homes
    now["size"] = old.size + sum([t.size for t in came]) - sum([t.size for t in gone])
    now["entries"] = old.entries + sum([t.entries for t in came]) - sum([t.entries for t in gone])
    if "notes" in was:
        changed = (gone, came)
        notes = ((who, note) for who, note in was["notes"].items() if len(note.changes) < KEPT_CHANGES)
        now["notes"] = {who: LevelNote(note.value, (*note.changes, changed)) for who, note in notes}
    return made
