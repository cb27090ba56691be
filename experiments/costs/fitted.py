"""The models fitted to a tree as it is: its runs, their entries and blocks, the rates of their very filters.

Where the closed forms say what a tree of full levels costs at worst, these say what this one should. With even access, a lookup must agree
with `zero_result` and `existing` within sampling error: a self-test of the engine.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import indexes
import lsm
import recovery
from lsm.table_twin import FOOTER, FOOTER_SIZE
from lsm.table_twin_read import Reader


@dataclass(frozen=True)
class Run:
    """A sorted run: its level, entries, data blocks, filter bits an entry, and the share of evenly drawn missing keys that pass its
    filters."""

    level: int
    entries: int
    blocks: int
    bits: float
    rate: float


def runs_of(db: lsm.DB, keyspace: str = "default", missing: Sequence[bytes] = ()) -> tuple[Run, ...]:
    """The runs of an open database in search order, newest first. Reads every table file once. Nothing may change the tree meanwhile.

    A table's rate follows from the bits of its filter where the kind can tell, else it is the theory's for the memory that it has. A run's
    is the mean over `missing`, keys that do not exist, of the rate of the table that covers the key, 0 between tables; without such keys
    the mean of its tables by entries, as if there were nothing between them.
    """
    return tuple(_run(level, run, [_table(db, t) for t in run.tables], sorted(missing)) for level, run in db.version(keyspace).runs())


def _run(level: int, run: lsm.Run, parts: Sequence[Run], missing: Sequence[bytes]) -> Run:
    entries = sum(t.entries for t in parts)
    if missing:
        # keys from the smallest to the largest one of each table
        asked = [_up_to(missing, t.largest, t.largest_exclusive) - _up_to(missing, t.smallest, True) for t in run.tables]
        rate = sum(n * t.rate for n, t in zip(asked, parts, strict=True)) / len(missing)
    else:
        rate = sum(t.entries * t.rate for t in parts) / max(1, entries)
    bits = sum(t.entries * t.bits for t in parts) / max(1, entries)
    return Run(level, entries, sum(t.blocks for t in parts), bits, rate)


def _up_to(keys: Sequence[bytes], bound: bytes, exclusive: bool) -> int:
    return bisect_left(keys, bound) if exclusive else bisect_right(keys, bound)


def _table(db: lsm.DB, table: lsm.TableInfo) -> Run:
    data = db.fs.read_all(f"{db.path}/{table.number:06d}.sst")
    reader = Reader(data, FOOTER.unpack(data[-FOOTER_SIZE:-4])[3], table.number, recovery.crc32c)
    properties = reader.properties()
    blocks = int.from_bytes(properties["data_blocks"], "little")
    size = reader.filter_at[1]
    if not size or not table.entries:
        return Run(0, table.entries, blocks, 0.0, 1.0 if table.entries else 0.0)  # range tombstones alone have no blocks
    ops, bits = indexes.filter_ops(properties["filter"].decode()), 8 * size / table.entries
    if not ops.can("fpr"):
        return Run(0, table.entries, blocks, bits, ops.expected_fpr(bits))
    return Run(0, table.entries, blocks, bits, ops.fpr(np.frombuffer(reader.block(reader.filter_at), np.uint8)))


def zero_result(rates: Sequence[float]) -> float:
    """Data blocks read by a lookup of a key that does not exist, inside the range of every run: the sum of the runs' rates (C3)."""
    return sum(rates)


def zero_result_spread(rates: Sequence[float], lookups: int, keys: float = math.inf) -> float:
    """Standard error of the mean of that many lookups: each run is asked independently and errs with its rate. When the keys are drawn from
    `keys` of them with repetition, one that comes again says nothing new."""
    return math.sqrt(sum(p * (1 - p) for p in rates) / lookups * (1 + (lookups - 1) / keys))


def existing(rates: Sequence[float], entries: Sequence[float], records: float) -> float:
    """Data blocks read by a lookup of one of `records` keys, evenly drawn: one for the run that holds its newest version and the false
    positives of the runs above it. Runs newest first; a key lies in a run with chance entries / records, the oldest one holds what is
    left. C9 is the same sum with every key in the last level."""
    left, above, expected = 1.0, 0.0, 0.0
    for i, (rate, n) in enumerate(zip(rates, entries, strict=True)):
        here = left if i == len(rates) - 1 else left * min(1.0, n / records)
        expected += here * (1 + above)
        above += rate
        left -= here
    return expected


def range_lookup(entries: Sequence[float], blocks: Sequence[float], records: float, scanned: float) -> float:
    """Data blocks read by a range lookup that returns `scanned` of `records` keys: every run has its share of the range and stands one
    entry behind it, so k entries of a run with B a block cost 1 + k / B (C17 with the runs that there are)."""
    return sum(1 + scanned / records * b for n, b in zip(entries, blocks, strict=True) if n)


def space(entries: Sequence[float], live: float, written: float) -> float:
    """The most obsolete entries a live one that these runs can hold: all but the largest run hold nothing but updates of it (C19), and no
    more than were `written` in all."""
    return max(0.0, min(sum(entries) - max(entries), written - live)) / live if entries else 0.0


def merged_bytes(flushed: float, held: Sequence[float], moved_at: Sequence[float], leveled: Sequence[bool]) -> float:
    """Bytes that merges wrote to levels 1, 2, ... of a tree that took `flushed` bytes of flushes.

    held: mean bytes of level 0 and each below (of the last one: at the end). moved_at: bytes that each level had when some of it moved down
    (level 0: a flush). A byte that arrives is written once. In a leveled level it also rewrites what it overlaps, held_i / moved_at_(i-1)
    on average, whether the whole level above moves or a table of it (as long as keys are spread alike), less while the level grew from
    nothing. No paper's: the models that were published assume full levels and whole-level merges.
    """
    total, moved = 0.0, flushed
    for i in range(1, len(held)):
        moved = max(0.0, moved - held[i - 1])
        total += moved
        if leveled[i]:
            total += held[i] / max(moved_at[i - 1], 1.0) * max(0.0, moved - held[i] / 2)
    return total
