"""One number for all memory: the budget `memory` is shared by memtables, filters and the block cache as an arbiter says.

    memory = write buffers (memtables that are written, and as much again for those being flushed)
           + tables (filters, indexes: what they hold)  +  rows (the row cache)  +  cache (the rest)

Whenever a memtable is sealed or the tree has changed, the cache is cut to what the others leave; so memtables that pile up push blocks out
and the whole stays within the budget, but for what is written until the next time (`docs/architecture.md`). Not counted: the log, which
is a mapped file, compactions while they run, what secondary indexes keep in memory, and the cache's own tables (about 6 % of its blocks).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .native import NEWEST
from .options import Options
from .policies.arbiters import MemoryView, Split, Traffic
from .registry import ARBITERS

if TYPE_CHECKING:
    from .db import DB
    from .keyspace import Keyspace

FIRST = 5  # the part of the budget that write buffers get at first
LEAST_BUFFER, LEAST_CACHE = 16 << 10, 64 << 10
WRITE = 64, 3, 4  # from a 64th to three quarters
OFTEN = 8  # the part of the budget that is written or read between two questions


@dataclass(frozen=True)
class MemoryReport:
    """How the budget is shared: bytes that writes and the cache may have, bits a key of new filters, bytes that are held by part.

    moves: how often the arbiter changed something; refused: why it is not asked any more, "" when it is.
    """

    total: int
    write: int
    cache: int
    bits_per_key: float
    used: dict[str, int]
    moves: int
    refused: str


def divided(options: Options) -> Options:
    """Return options whose write buffer and cache are those that a budget starts with; the same without a budget."""
    if not options.memory:
        return options
    write = options.memory // FIRST
    cache = replace(options.cache, capacity=options.memory - write) if options.cache.capacity else options.cache
    return replace(options, write_buffer=max(LEAST_BUFFER, write // 2), cache=cache)


class Memory:
    """Owns the shares of one database. Everything is called under the executor's lock."""

    def __init__(self, db: DB) -> None:
        o = db.options
        self.db, self.total, self.moves, self.refused = db, o.memory, 0, ""
        self.split = Split(o.memory // FIRST, o.table.bits_per_key)
        self._arbiter = ARBITERS[o.arbiter]()
        self._before = self._sums()
        self._flushed = dict(db.state.flushed), dict(db.state.flushed)  # at the last two questions
        self._capacity = db.cache.stats()["capacity"] if db.cache else 0

    def used(self) -> dict[str, int]:
        """Return the bytes held by part."""
        db, spaces = self.db, list(self.db.spaces.values())
        used = {"memtables": sum(s.core.memory() for s in spaces), "tables": sum(t.memory() for s in spaces for t in s.tables.values())}
        for name, cache in (("cache", db.cache), ("rows", db.row_cache)):
            used[name] = cache.stats()["charge"] if cache else 0
        return used

    def report(self) -> MemoryReport:
        """Return how memory is shared now."""
        return MemoryReport(self.total, self.split.write, self._capacity, self.split.bits_per_key, self.used(), self.moves, self.refused)

    def settle(self) -> None:
        """Give every part its share as things are: write buffers first, the cache what is left."""
        spaces = list(self.db.spaces.values())
        written = [s for s in spaces if self._is_written(s)] or spaces
        limit = max(LEAST_BUFFER, self.split.write // 2 // max(1, len(written)))
        for space in spaces:
            if space.options.write_buffer != limit or space.options.table.bits_per_key != self.split.bits_per_key:
                table = replace(space.options.table, bits_per_key=self.split.bits_per_key)
                space.options = replace(space.options, write_buffer=limit, table=table)
                space.core.limit(limit)
        cache, used = self.db.cache, self.used()
        if cache is None:
            return
        growing = sum(limit if s.core.sealed_count() else max(0, limit - s.core.memory()) for s in written)
        held = max(self.split.write, used["memtables"] + growing) + used["tables"] + self.db.options.row_cache.capacity
        capacity = max(LEAST_CACHE, self.total - held)
        if capacity < self._capacity or capacity > self._capacity + self.total // 100:
            self._capacity = capacity
            cache.resize(capacity)

    def _is_written(self, space: Keyspace) -> bool:
        """Whether a keyspace holds something in memtables, or did at one of the last two questions."""
        flushed = self.db.state.flushed.get(space.number, 0)
        return space.core.log_floor() != NEWEST or flushed != self._flushed[0].get(space.number, 0)

    def balance(self, now: bool = False) -> None:
        """Ask the arbiter when enough was written and read, or now, and settle."""
        sums = self._sums()
        since = Traffic(*(b - a for a, b in zip(self._before, sums, strict=True)))
        if now or since.written + since.missed >= self.total // OFTEN:
            self._before = sums
            self._flushed = self._flushed[1], dict(self.db.state.flushed)
            self._ask(since)
        self.settle()

    def _ask(self, since: Traffic) -> None:
        o = self.db.options
        if self.refused:
            return
        levels = [lv for s in self.db.spaces.values() for lv in s.version.levels]
        data, entries = sum(lv.size for lv in levels), sum(t.entries for lv in levels for t in lv.tables)
        view = MemoryView(self.total, self.split, self.used(), data, entries, o.table.block_size, since, o.arbiter_params)
        try:
            split = _checked(self._arbiter.divide(view), self.total)
        except Exception as e:  # it is the code of a user
            self.refused = f"{o.arbiter}: {e}" if isinstance(e, _Refused) else f"{o.arbiter}: divide() raised {type(e).__name__}: {e}"
            warnings.warn(f"arbiter of memory: {self.refused}; memory stays shared as it is", RuntimeWarning, stacklevel=2)
            return
        self.moves += split != self.split
        self.split = split

    def _sums(self) -> tuple[int, int, int, int, int, int]:
        cells, counters = self.db.ledger.sum()
        merged = missed = probes = 0
        for (operation, _, component, cause), (count, size) in cells.items():
            if cause == "compaction" and operation in ("read", "write"):
                merged += size
            elif operation == "read" and cause in ("get", "scan") and component == "data":
                missed += size
            elif operation == "probe":
                probes += count
        ghosts = self.db.cache.stats()["ghost_hits"] if self.db.cache else 0
        return counters["user_bytes"], merged, missed, ghosts, probes, counters["filter_false_positives"]


class _Refused(ValueError):
    pass


def _checked(split: Split, total: int) -> Split:
    """Return what an arbiter said, if it is allowed."""
    if not isinstance(split, Split):
        raise _Refused(f"divide() returned {split!r:.80}, not a Split")
    least, most = total // WRITE[0], total * WRITE[1] // WRITE[2]
    if isinstance(split.write, bool) or not isinstance(split.write, int) or not least <= split.write <= most:
        raise _Refused(f"write is {split.write!r}; allowed: an integer from {least} to {most}")
    if not isinstance(split.bits_per_key, int | float) or not 0 <= split.bits_per_key <= 64:
        raise _Refused(f"bits_per_key is {split.bits_per_key!r}; allowed: a number from 0 to 64")
    return replace(split, bits_per_key=float(split.bits_per_key))
