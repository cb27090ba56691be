"""Figures: the ledger's exact counts, the cache's, and the tree's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .version import Version

if TYPE_CHECKING:
    from .db import DB

Cells = dict[tuple[str, int, str, str], tuple[int, int]]


@dataclass(frozen=True)
class LevelStats:
    """One level: sorted runs, tables, bytes, entries of all versions."""

    level: int
    runs: int
    tables: int
    bytes: int
    entries: int
    deletions: int


def level_stats(version: Version) -> list[LevelStats]:
    """Return a row a level."""
    return [
        LevelStats(lv.number, len(lv.runs), len(lv.tables), lv.size, sum(t.entries for t in lv.tables), sum(t.deletions for t in lv.tables))
        for lv in version.levels
    ]


@dataclass(frozen=True)
class ValueStats:
    """The value files of a keyspace: how many; bytes of all records and of those that are alive; the rest is garbage."""

    files: int
    records: int
    bytes: int
    live_records: int
    live_bytes: int
    garbage_bytes: int


def value_stats(version: Version) -> ValueStats:
    """Return the figures of a version's value files."""
    live = version.live_values().values()
    total, used = sum(v.bytes for v in version.values), sum(size for _, size in live)
    return ValueStats(len(version.values), sum(v.records for v in version.values), total, sum(n for n, _ in live), used, total - used)


@dataclass(frozen=True)
class Stats:
    """What the engine did since it was opened. Cells are (operation, level, component, cause) -> (count, bytes); level -1 has none."""

    cells: Cells
    counters: dict[str, int]
    cache: dict[str, int]
    row_cache: dict[str, int]
    levels: dict[str, list[LevelStats]]
    memory: dict[str, int]
    archive: dict[str, int] = field(
        default_factory=dict
    )  # of the log archive: shipped, pending, retries, failures by severity, the breaker
    values: dict[str, ValueStats] = field(default_factory=dict)  # by keyspace
    care: dict[str, int] = field(default_factory=dict)  # failures by severity, resumes, scrubs, damaged and healed files, calls of backups

    def _sum(self, place: int, op: str | None, level: int | None, component: str | None, cause: str | None) -> int:
        wanted = (op, level, component, cause)
        return sum(v[place] for key, v in self.cells.items() if all(w is None or w == k for w, k in zip(wanted, key, strict=True)))

    def bytes(self, *, op: str | None = None, level: int | None = None, component: str | None = None, cause: str | None = None) -> int:
        """Return the bytes of the cells that match. op: read write hit probe skip."""
        return self._sum(1, op, level, component, cause)

    def counts(self, *, op: str | None = None, level: int | None = None, component: str | None = None, cause: str | None = None) -> int:
        """Return the number of blocks or calls of the cells that match."""
        return self._sum(0, op, level, component, cause)

    def rows(self) -> list[dict[str, Any]]:
        """Return the cells as rows, sorted."""
        names = ("operation", "level", "component", "cause")
        return [dict(zip(names, key, strict=True)) | {"count": c, "bytes": b} for key, (c, b) in sorted(self.cells.items())]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        levels = {name: [vars(lv) for lv in rows] for name, rows in self.levels.items()}
        return {
            "counters": self.counters,
            "cache": self.cache,
            "row_cache": self.row_cache,
            "memory": self.memory,
            "archive": self.archive,
            "care": self.care,
            "levels": levels,
            "values": {name: vars(v) for name, v in self.values.items()},
            "ledger": self.rows(),
        }


def gather(db: DB) -> Stats:
    """Return the figures of an open database as of now."""
    cells, counters = db.ledger.sum()
    cache = db.cache.stats() if db.cache else {}
    rows = db.row_cache.stats() if db.row_cache else {}
    for prefix, figures in (("cache", cache), ("row_cache", rows)):
        counters |= {f"{prefix}_{name}": figures.get(name, 0) for name in ("evictions", "inserts", "ghost_hits")}
    with db.executor.lock:
        spaces = dict(db.spaces)
        tables = sum(t.memory() for s in spaces.values() for t in s.tables.values())
    memory = {"memtables": sum(s.core.memory() for s in spaces.values()), "tables": tables}
    memory |= {"cache": cache.get("charge", 0), "rows": rows.get("charge", 0)}
    levels = {name: level_stats(s.version) for name, s in spaces.items()}
    archive = db.archiver.metrics() if db.archiver is not None else {}
    values = {name: value_stats(s.version) for name, s in spaces.items()}
    care = db.events.figures() | {"scrubs": db.scrubber.passes, "damaged_files": len(db.scrubber.damaged)}
    return Stats(cells, counters, cache, rows, levels, memory, archive, values, care)
