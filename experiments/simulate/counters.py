"""What a simulation counts, and the amplifications that follow. Each has a definition id: others use the same words for other things.

| id | is |
|---|---|
| WA-user | bytes written by log, flushes and merges a byte of user data (PebblesDB, TidesDB) |
| WA-noWAL | the same without the log |
| WA-compaction | bytes written by merges a byte that was flushed (mdcallag) |
| WA-merge | times that an entry was merged, on average (Wacky) |
| WA-entries | entries written by flushes and merges an entry of the user (the unit of C10 + 1) |
| SA | bytes stored a live byte, less one (Dostoevsky) |
| RA-runs | sorted runs at rest, averaged over the flushes: what a lookup without filters probes at most |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lsm import TableInfo, Version

DEFINITIONS = ("WA-user", "WA-noWAL", "WA-compaction", "WA-merge", "WA-entries", "SA", "RA-runs")


@dataclass
class Counters:
    """Bytes by level and cause; jobs, moves, entries. `user_*`, `log_bytes` and `live_bytes` come from whoever knows the operations."""

    written: Counter[tuple[int, str]] = field(default_factory=Counter)  # (level, "flush" or "compaction") -> bytes of tables made there
    read: Counter[int] = field(default_factory=Counter)  # level -> bytes of tables read by merges
    flushes: int = 0
    merges: int = 0
    moved: int = 0  # tables
    entries_flushed: int = 0
    entries_merged: int = 0  # written by merges
    entries_dropped: int = 0
    rests: int = 0
    runs_at_rest: int = 0
    most_runs: int = 0
    user_entries: int = 0
    user_bytes: int = 0
    log_bytes: int = 0
    live_bytes: int = 0
    stored_bytes: int = 0

    def flushed(self, entries_in: int, dropped: int, tables: Iterable[TableInfo]) -> None:
        """A memtable became tables."""
        self.flushes += 1
        self.entries_dropped += dropped
        self.entries_flushed += entries_in - dropped
        for t in tables:
            self.written[0, "flush"] += t.size

    def merged(self, inputs: Iterable[tuple[int, TableInfo]], level: int, outputs: Iterable[TableInfo], dropped: int) -> None:
        """Tables of some levels became tables of another one."""
        self.merges += 1
        self.entries_dropped += dropped
        for from_level, t in inputs:
            self.read[from_level] += t.size
        for t in outputs:
            self.written[level, "compaction"] += t.size
            self.entries_merged += t.entries

    def rested(self, version: Version) -> None:
        """The policy wants nothing: the tree is at rest."""
        runs = sum(len(level.runs) for level in version.levels)
        self.rests += 1
        self.runs_at_rest += runs
        self.most_runs = max(self.most_runs, runs)
        self.stored_bytes = sum(level.size for level in version.levels)

    def bytes(self, cause: str) -> int:
        """Bytes of tables that a cause wrote."""
        return sum(n for (_, c), n in self.written.items() if c == cause)

    def amplifications(self) -> dict[str, float | None]:
        """The figures by definition id; None where there is nothing to divide by."""

        def ratio(a: float, b: float) -> float | None:
            return a / b if b else None

        flush, merge = self.bytes("flush"), self.bytes("compaction")
        stored = ratio(self.stored_bytes, self.live_bytes)
        return {
            "WA-user": ratio(self.log_bytes + flush + merge, self.user_bytes),
            "WA-noWAL": ratio(flush + merge, self.user_bytes),
            "WA-compaction": ratio(merge, flush),
            "WA-merge": ratio(self.entries_merged, self.user_entries),
            "WA-entries": ratio(self.entries_flushed + self.entries_merged, self.user_entries),
            "SA": None if stored is None else stored - 1,
            "RA-runs": ratio(self.runs_at_rest, self.rests),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the figures, and bytes by level."""
        levels = sorted({level for level, _ in self.written} | set(self.read))
        return {
            "amplifications": self.amplifications(),
            "flushes": self.flushes, "merges": self.merges, "moved_tables": self.moved, "most_runs": self.most_runs,
            "user_entries": self.user_entries, "user_bytes": self.user_bytes, "log_bytes": self.log_bytes,
            "stored_bytes": self.stored_bytes, "live_bytes": self.live_bytes, "entries_dropped": self.entries_dropped,
            "levels": [
                {
                    "level": level,
                    "flush_bytes": self.written[level, "flush"],
                    "compaction_bytes": self.written[level, "compaction"],
                    "read_bytes": self.read[level],
                }
                for level in levels
            ],
        }  # fmt: skip
