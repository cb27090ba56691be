"""Exact contents: an entry is a word, its key's rank and its operation; merging is sorting words. Sizes are the builder's, to the byte."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import lsm
from lsm import Options, TableInfo
from lsm.decisions import Decision
from lsm.native import TableSettings
from lsm.native_measure import OPEN, PUT, RANGE_DELETE, Measured, RankRange, StreamMeasure, Words
from lsm.native_memtables import MemtableOps, builtin_memtable
from lsm.settings import settings_of

from .counters import Counters
from .operations import Operations
from .tree import Outcome, Shape, Tree

_PAGE, _LOG_HEADER, _LOG_RECORD, _LOG_END = 4096, 32, 32, 48  # docs/formats.md, the log
_OPERATION, _COUNT = 17, 4  # of a record's payload: head of an operation, count


@dataclass(frozen=True)
class Held:
    """What a table holds: entries as words in order, and range tombstones."""

    words: Words
    ranges: tuple[RankRange, ...] = ()
    age: int = 0  # of its ranks: how often keys had been added by then


class Exact:
    """Merges of exact contents. ValueError for options that a table's size cannot be told for."""

    def __init__(self, operations: Operations, options: Options) -> None:
        if options.table.codec != "none" or options.table.range_filter != "none":
            raise ValueError(
                f"table.codec is {options.table.codec!r}, table.range_filter {options.table.range_filter!r}; "
                "an exact simulation allows none, none: the size of a table would depend on the data"
            )
        self.operations, self.options = operations, options
        self.measure: StreamMeasure = operations.measure()
        self._added: list[NDArray[np.int64]] = []  # each time keys were added: new rank of each key
        self._settings: dict[float, TableSettings] = {}

    def settings(self, bits: float) -> TableSettings:
        """Table settings with filters of so many bits a key."""
        if bits not in self._settings:
            self._settings[bits] = settings_of(self.options, "default", 0, bits, 0)
        return self._settings[bits]

    def memtable(self, start: int, end: int) -> Held:
        """What the operations [start, end) leave in a memtable."""
        o = self.operations
        ranks, kinds = o.ranks[start:end].astype(np.uint64), o.kinds[start:end]
        words = (ranks << np.uint64(32)) | (np.uint64(OPEN) - np.arange(start, end, dtype=np.uint64))
        spans = np.flatnonzero(kinds == RANGE_DELETE) + start
        ranges = [(int(o.ranks[i]), int(o.ends[i]), int(i) + 1) for i in spans]
        return Held(np.sort(words[kinds != RANGE_DELETE]), tuple(ranges), len(self._added))

    def merge(self, inputs: Sequence[Sequence[Held]], shape: Shape) -> Outcome[Held]:
        """As the job does it (csrc/job.c)."""
        if shape.cuts and any(h.ranges for run in inputs for h in run):
            self._add(shape.cuts)
        held = [self._current(h) for run in inputs for h in run]
        words = np.concatenate([h.words for h in held])
        words.sort(kind="stable")  # the one that merges what is in order
        ranges = joined(r for h in held for r in h.ranges)
        cuts = [bisect_left(self.operations.keys, cut) for cut in shape.cuts]  # a cut between two keys is one before the second
        made = self.measure.merge(
            words, ranges, self.settings(shape.bits_per_key), output_bytes=shape.output_bytes, max_outputs=shape.max_outputs,
            bottom=shape.bottom, cuts=cuts,
        )  # fmt: skip
        kept = () if shape.bottom else ranges
        tables = [
            (
                self._info(t, shape.number + i, shape.now),
                Held(made.kept[t.start : t.start + t.entries], _clipped(kept, t.span), len(self._added)),
            )
            for i, t in enumerate(made.tables)
        ]
        return Outcome(tuple(tables), len(words), made.shadowed + made.tombstones_dropped + made.range_covered)

    def _add(self, cuts: Sequence[bytes]) -> None:
        """Make cuts keys of the stream: a range tombstone that is cut there ends or begins with it."""
        o = self.operations
        places = [(bisect_left(o.keys, cut), cut) for cut in cuts]
        fresh = [(i, cut) for i, cut in places if i == len(o.keys) or o.keys[i] != cut]
        if not fresh:
            return
        old = np.arange(len(o.keys))
        to_new = old + np.searchsorted([i for i, _ in fresh], old, "right")
        keys = sorted([*o.keys, *(cut for _, cut in fresh)])
        self.operations = replace(o, keys=keys, ranks=to_new[o.ranks].astype(np.uint32), ends=to_new[o.ends].astype(np.uint32))
        self.measure = self.operations.measure()
        self._added.append(to_new)

    def _current(self, h: Held) -> Held:
        """The same with the ranks of now."""
        words, ranges = h.words, h.ranges
        for to_new in self._added[h.age :]:
            words = (to_new[words >> np.uint64(32)].astype(np.uint64) << np.uint64(32)) | (words & np.uint64(OPEN))
            ranges = tuple((int(to_new[s]), int(to_new[e]), seq) for s, e, seq in ranges)
        return Held(words, ranges, len(self._added))

    def _info(self, t: Measured, number: int, now: int) -> TableInfo:
        keys = self.operations.keys
        ends = (keys[t.smallest], keys[t.largest], t.largest_exclusive)
        return TableInfo(
            number, t.file_size, t.entries, t.deletions, *ends, t.min_seq, t.max_seq, t.range_deletes, 0, t.oldest_tombstone, now
        )


def joined(ranges: Iterable[RankRange]) -> tuple[RankRange, ...]:
    """Tombstones of one sequence number that touch are one again; by start, then newest first (csrc/sweep.c)."""
    out: list[RankRange] = []
    for start, end, seq in sorted(ranges, key=lambda r: (r[2], r[0], r[1])):
        if out and out[-1][2] == seq and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]), seq)
        else:
            out.append((start, end, seq))
    return tuple(sorted(out, key=lambda r: (r[0], -r[2])))


def _clipped(ranges: Iterable[RankRange], span: tuple[int, int]) -> tuple[RankRange, ...]:
    start, end = (0 if span[0] == OPEN else span[0]), span[1]
    clipped = ((max(s, start), min(e, end), seq) for s, e, seq in ranges)
    return tuple(r for r in clipped if r[0] < r[1])


@dataclass(frozen=True)
class Simulated:
    """What came of a simulation: its counters and the tree at the end."""

    counters: Counters
    version: lsm.Version


class Fill:
    """Where memtables end and how often the log is rotated: the same for every policy, so worked out once for several."""

    def __init__(self, exact: Exact) -> None:
        """O(operations)."""
        o, options = exact.operations, exact.options
        address = lsm.MEMTABLES[options.memtable]
        memtable = builtin_memtable(options.memtable) if address is None else MemtableOps(address)
        self.payloads = o.payloads()
        records = np.flatnonzero(o.lasts) + 1
        totals = np.concatenate([[0], np.cumsum(self.payloads + _OPERATION)])
        self.sizes = totals[records] - totals[np.concatenate([[0], records[:-1]])] + _COUNT if len(records) else np.zeros(0, np.int64)
        self.memtables: list[tuple[int, int, int]] = []  # first operation, the one behind the last, segments of the log that were filled
        start, done, made = 0, 0, 0
        ends = [*o.flushes, len(o)]
        while start < len(o):
            stop = next(end for end in ends if end > start)
            end, sealed = exact.measure.fill(memtable, (options.write_buffer, options.buffer_entries), options.seed + made, start, stop)
            here = int(np.searchsorted(records, end, "right"))
            if sealed or end == stop:
                self.memtables.append((start, end, self._rotations(done, here, options) if options.wal.enabled else 0))
            start, done, made = end, here, made + 1
        self.last_is_full = not self.memtables or sealed

    def _rotations(self, first: int, last: int, options: Options) -> int:
        """Segments that the records [first, last) fill, beginning in a fresh one (csrc/wal.c)."""
        segment = options.wal.segment_bytes or max(options.write_buffer * 5 // 4, 64 * 1024)
        ends = np.cumsum(self.sizes[first:last] + _LOG_RECORD)
        at, rotations, need = 0, 0, 0
        while True:
            capacity = -(-max(segment, need + _LOG_HEADER + _LOG_RECORD + _LOG_END) // _PAGE) * _PAGE
            before = int(ends[at - 1]) if at else 0
            at = int(np.searchsorted(ends, before + capacity - _LOG_HEADER - _LOG_END, "right"))
            if at >= len(ends):
                return rotations
            rotations, need = rotations + 1, int(self.sizes[first + at])


def simulate(
    policy: lsm.CompactionPolicy,
    options: Options,
    operations: Operations,
    *,
    told: Callable[[Decision], None] = lambda decision: None,
    progress: Callable[[int], None] = lambda done: None,
    filled: tuple[Exact, Fill] | None = None,
    flush_last: bool = True,
) -> Simulated:
    """Run a policy on exact contents: what the engine does with threads=0 on the same operations, without the data.

    told hears every decision; flush_last: as `DB.flush` at the end. filled: of the same operations and options, to share between policies.
    Refused when the policy breaks a rule; ValueError for options that make sizes depend on data. O(bytes written / entry size).
    """
    exact, fill = filled or prepare(operations, options)
    tree: Tree[Held] = Tree(policy, options, exact, told)
    for i, (start, end, segments) in enumerate(fill.memtables):
        if i == len(fill.memtables) - 1 and not fill.last_is_full and not flush_last:
            break
        tree.take(segments + (1 if options.wal.enabled else 0))  # full segments of the log, and the one that begins when it is sealed
        tree.flush(exact.memtable(start, end), end)
        if end in operations.flushes:
            tree.wait()
        progress(end)
    tree.wait()
    c = tree.counters
    c.user_entries, c.user_bytes = len(operations), int(fill.payloads.sum())
    c.log_bytes = int((fill.sizes + _LOG_RECORD).sum()) if options.wal.enabled else 0
    c.live_bytes = live_bytes(operations, fill.payloads)
    return Simulated(c, tree.version)


def prepare(operations: Operations, options: Options) -> tuple[Exact, Fill]:
    """What does not depend on the policy."""
    exact = Exact(operations, options)
    return exact, Fill(exact)


def live_bytes(operations: Operations, payloads: NDArray[np.int64]) -> int:
    """Bytes of keys and values that are there after all operations."""
    o = operations
    newest = np.full(len(o.keys), -1, np.int64)
    points = np.flatnonzero(o.kinds != RANGE_DELETE)
    np.maximum.at(newest, o.ranks[points], points)
    for i in np.flatnonzero(o.kinds == RANGE_DELETE):
        part = newest[o.ranks[i] : o.ends[i]]
        part[part < i] = -1
    there = newest[newest >= 0]
    return int(payloads[there][o.kinds[there] == PUT].sum())
