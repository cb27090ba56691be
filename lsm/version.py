"""Versions: immutable pictures of a keyspace's tree: levels, in each sorted runs (newest first), in each run tables in key order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .native import TableProps


@dataclass(frozen=True)
class TableInfo:
    """What a policy may know of a table. Keys are user keys; `largest` is exclusive when `largest_exclusive`. `age`: order of creation."""

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

    @classmethod
    def of(cls, p: TableProps) -> TableInfo:
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
        )

    def overlaps(self, smallest: bytes, largest: bytes, exclusive: bool = False) -> bool:
        """Tell whether the key ranges have a key in common."""
        if self.smallest > largest or (exclusive and self.smallest == largest):
            return False
        return self.largest > smallest or (self.largest == smallest and not self.largest_exclusive)

    def to_row(self) -> dict[str, Any]:
        """Return plain values for the manifest."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return row | {"smallest": self.smallest.hex(), "largest": self.largest.hex()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TableInfo:
        """Read what to_row wrote. ValueError or TypeError or KeyError when it is not that."""
        return cls(**dict(row) | {"smallest": bytes.fromhex(row["smallest"]), "largest": bytes.fromhex(row["largest"])})


@dataclass(frozen=True)
class Run:
    """A sorted run: tables in key order, no two overlapping. `id` is the same as long as the run lives."""

    id: int
    tables: tuple[TableInfo, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(t.size for t in self.tables)

    @property
    def entries(self) -> int:
        """Entries, of all versions."""
        return sum(t.entries for t in self.tables)


@dataclass(frozen=True)
class Level:
    """A level: sorted runs, newest first."""

    number: int
    runs: tuple[Run, ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(r.size for r in self.runs)

    @property
    def tables(self) -> tuple[TableInfo, ...]:
        """All tables, run by run."""
        return tuple(t for r in self.runs for t in r.tables)


@dataclass(frozen=True)
class Edit:
    """A change of one keyspace's tree. `added`: (level, run id, table); a run that does not exist is made, newest of its level.

    `attached`: the row of its rider from now on, None when that stays.
    """

    keyspace: int
    removed: tuple[int, ...] = ()
    added: tuple[tuple[int, int, TableInfo], ...] = ()
    flushed_seq: int | None = None
    attached: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Version:
    """The tree of one keyspace. Level 0 is always there."""

    levels: tuple[Level, ...] = field(default_factory=lambda: (Level(0),))

    def tables(self) -> dict[int, TableInfo]:
        """Return all tables by number."""
        return {t.number: t for level in self.levels for t in level.tables}

    def where(self) -> dict[int, tuple[int, int]]:
        """Return table number -> (level, place of its run in the level)."""
        return {t.number: (lv.number, i) for lv in self.levels for i, run in enumerate(lv.runs) for t in run.tables}

    def runs(self) -> Iterable[tuple[int, Run]]:
        """Yield (level, run) in search order, newest first."""
        for level in self.levels:
            for run in level.runs:
                yield level.number, run

    def apply(self, edit: Edit) -> Version:
        """Return the version after an edit. ValueError when it removes what is not there or makes a run overlap itself."""
        known, removed = self.tables(), set(edit.removed)
        if missing := removed - known.keys():
            raise ValueError(f"edit removes tables that are not there: {sorted(missing)}")
        rows: dict[int, list[tuple[int, list[TableInfo]]]] = {
            lv.number: [(r.id, [t for t in r.tables if t.number not in removed]) for r in lv.runs] for lv in self.levels
        }
        for number, run_id, table in edit.added:
            level = rows.setdefault(number, [])
            for existing, tables in level:
                if existing == run_id:
                    tables.append(table)
                    break
            else:
                level.insert(0, (run_id, [table]))
        levels = []
        for number in range(max(rows, default=0) + 1):
            runs = [Run(i, tuple(sorted(ts, key=lambda t: (t.smallest, t.largest)))) for i, ts in rows.get(number, []) if ts]
            if number == 0:
                runs.sort(key=lambda r: -max(t.max_seq for t in r.tables))
            levels.append(Level(number, tuple(runs)))
        for level_made in levels:
            for run in level_made.runs:
                _check_run(level_made.number, run)
        while len(levels) > 1 and not levels[-1].runs:
            levels.pop()
        return Version(tuple(levels))


def _check_run(level: int, run: Run) -> None:
    for a, b in zip(run.tables, run.tables[1:], strict=False):
        if a.overlaps(b.smallest, b.largest, b.largest_exclusive):
            raise ValueError(f"tables {a.number} and {b.number} of run {run.id} in level {level} overlap")
