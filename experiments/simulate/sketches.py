"""Sketched contents: of a table only its key range and how many entries are expected there. For trees of terabytes.

Keys are places in [0, 1). A key is new once: a *fresh* entry is the first of its key, an *again* entry goes to a key that was there,
evenly drawn. When a newer run B meets an older one A in a part of the range that N keys live in, n_A / N of B's again entries find their
key in A and replace it: the union has n_A + n_B - again_B n_A / N entries. Sizes come from the builder's own sums on samples (`Bytes`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lsm
from lsm import Options, TableInfo
from lsm.decisions import Decision
from lsm.native_measure import PUT
from lsm.settings import settings_of

from .counters import Counters
from .exact import Exact, Fill, Simulated
from .operations import DIGITS, WORKLOADS, Operations
from .tree import Outcome, Shape, Tree

Floats = NDArray[np.float64]
KEY_SPACE = 10**DIGITS
SAMPLE = 4096
SAMPLE_BUFFER = 4 << 20  # bytes: from here on a memtable takes writes in proportion
LOG_RECORD = 32 + 4 + 17  # of a record with one operation, without key and value
FRESH, AGAIN, DELETED = range(3)  # rows of counts; DELETED: which of both are tombstones


@dataclass(frozen=True)
class Sketch:
    """Entries by part of the key range: `edges` n + 1 places, `counts` 3 rows of n. `seq`: its newest."""

    edges: Floats
    counts: Floats
    seq: int


class Bytes:
    """What entries take in a table, by how dense they are: keys that lie close share their beginnings."""

    def __init__(self, options: Options, key_bytes: int, value_bytes: int) -> None:
        """Ask the builder's sums about samples. ValueError for options that make sizes depend on the data."""
        self.options, self.key_bytes, self.value_bytes = options, key_bytes, value_bytes
        self._known: dict[float, tuple[Floats, Floats]] = {}
        self.base = 600.0

    def of(self, bits: float) -> tuple[Floats, Floats]:
        """Densities (entries if all the range were so) as logarithms, and bytes an entry."""
        if bits not in self._known:
            logs = np.arange(3.0, 14.0)
            self._known[bits] = logs, np.array([self._measured(float(10**log), bits) for log in logs])
        return self._known[bits]

    def _measured(self, density: float, bits: float) -> float:
        rng = np.random.default_rng(7)
        numbers = np.unique(rng.integers(0, max(int(SAMPLE / density * KEY_SPACE), 2 * SAMPLE), SAMPLE)) + KEY_SPACE // 3
        keys = [b"k" * (self.key_bytes - DIGITS) + b"%0*d" % (DIGITS, n) for n in numbers.tolist()]
        n = len(keys)
        columns = (np.zeros(n, np.uint32), np.full(n, PUT, np.uint8), np.full(n, self.value_bytes, np.uint32), np.ones(n, np.uint8))
        stream = Operations(keys, np.arange(n, dtype=np.uint32), *columns)
        words = (np.arange(n, dtype=np.uint64) << np.uint64(32)) | (np.uint64(2**32 - 1) - np.arange(n, dtype=np.uint64))
        table = settings_of(self.options, "default", 0, bits, 0)
        done = stream.measure().merge(words, (), table, output_bytes=0, max_outputs=1, bottom=True)
        return (done.tables[0].file_size - self.base) / n


@dataclass(frozen=True)
class Load:
    """What is written, as rates: of each write the share that is a new key, an update, a delete; and how many keys there are by then."""

    workload: str
    entries: int
    updates: float
    deletes: float

    def keys(self, seq: float) -> float:
        """Distinct keys after so many writes."""
        if self.workload == "overwrite":
            return max(1.0, self.entries // 2)
        return max(1.0, seq * (1 - self.updates - self.deletes))

    def memtable(self, start: int, end: int) -> Sketch:
        """What the writes [start, end) leave in a memtable, as expected."""
        n, here = end - start, self.keys((start + end) / 2)
        again = here * -np.expm1(-n * (1.0 if self.workload == "overwrite" else self.updates + self.deletes) / here)
        shares = 1.0 if self.workload == "overwrite" else self.updates + self.deletes
        gone = again * self.deletes / shares if shares else 0.0
        fresh = 0.0 if self.workload == "overwrite" else n * (1 - shares)
        if self.workload != "fillseq":
            return Sketch(np.array([0.0, 1.0]), np.array([[fresh], [again], [gone]]), end)
        low, high = start / self.entries, end / self.entries
        if not shares or not start:
            return Sketch(np.array([low, high]), np.array([[fresh], [again], [gone]]), end)
        old = low / high
        counts = [[0.0, fresh], [again * old, again * (1 - old)], [gone * old, gone * (1 - old)]]
        return Sketch(np.array([0.0, low, high]), np.array(counts), end)

    def alive(self, steps: int = 10_000) -> float:
        """Keys that hold a value after all writes, as expected."""
        alive, step, seq = 0.0, self.entries / steps, 0.0
        again = 1.0 if self.workload == "overwrite" else self.updates + self.deletes
        for _ in range(steps):
            seq += step
            n, put = self.keys(seq), again - self.deletes
            share = min(1.0, alive / n)
            alive += step * ((1 - again) + put * (1 - share) - self.deletes * share)
        return alive


class Sketched:
    """Merges of sketches."""

    def __init__(self, load: Load, sizes: Bytes) -> None:
        self.load, self.sizes = load, sizes
        self.chance = np.random.default_rng(7)

    def merge(self, inputs: Sequence[Sequence[Sketch]], shape: Shape) -> Outcome[Sketch]:
        """The union as expected, cut where outputs are full."""
        edges = np.sort(np.concatenate([s.edges for run in inputs for s in run] + [_places(shape.cuts)]))
        edges = edges[np.concatenate([[True], edges[1:] != edges[:-1]])]
        held = np.zeros((3, len(edges) - 1))
        widths, seq, total = edges[1:] - edges[:-1], 0, 0.0
        for run in inputs:  # newest first
            older = _spread(run, edges)
            total += older[FRESH].sum() + older[AGAIN].sum()
            held = self._union(held, older, self.load.keys(seq) * widths) if seq else older
            seq = max(seq, *(s.seq for s in run))
        if shape.bottom:
            kept = 1 - _ratio(held[DELETED], held[FRESH] + held[AGAIN])
            held = held * kept
            held[DELETED] = 0.0
        tables = self._cut(edges, held, inputs, shape)
        out = sum(t.entries for t, _ in tables)
        return Outcome(tuple(tables), round(total), max(0, round(total) - out))

    def _union(self, newer: Floats, older: Floats, keys: Floats) -> Floats:
        found = newer[AGAIN] * np.minimum(1.0, _ratio(older[FRESH] + older[AGAIN], keys))
        covered = np.minimum(1.0, _ratio(newer[AGAIN], keys))
        both: Floats = newer + older
        both[AGAIN] -= found
        both[DELETED] = newer[DELETED] + older[DELETED] * (1 - covered)
        return both

    def _cut(self, edges: Floats, held: Floats, inputs: Sequence[Sequence[Sketch]], shape: Shape) -> list[tuple[TableInfo, Sketch]]:
        entries, widths = held[FRESH] + held[AGAIN], edges[1:] - edges[:-1]
        logs, per_entry = self.sizes.of(shape.bits_per_key)
        each = np.interp(np.log10(np.maximum(_ratio(entries, widths), 1.0)), logs, per_entry)
        upto = np.concatenate([[0.0], np.cumsum(entries * each - held[DELETED] * self.sizes.value_bytes)])
        bounds = self._bounds(edges, upto, shape)
        sums = np.concatenate([np.zeros((3, 1)), np.cumsum(held, axis=1)], axis=1)
        places = np.interp(bounds, upto, edges)
        at = np.stack([np.interp(bounds, upto, row) for row in sums])
        counts = at[:, 1:] - at[:, :-1]
        keys, sizes = [_key(place) for place in places.tolist()], (bounds[1:] - bounds[:-1] + self.sizes.base).tolist()
        many, deleted = (np.rint(row).astype(np.int64).tolist() for row in (counts[FRESH] + counts[AGAIN], counts[DELETED]))
        newest = _newest(inputs, places, self.chance)
        out: list[tuple[TableInfo, Sketch]] = []
        for i, n in enumerate(many):
            if n < 1 or keys[i] >= keys[i + 1]:
                continue
            number, seq = shape.number + len(out), newest[i]
            info = TableInfo(number, round(sizes[i]), n, deleted[i], keys[i], keys[i + 1], True, 1, seq, created=shape.now)
            out.append((info, Sketch(places[i : i + 2], counts[:, i : i + 1], seq)))
        return out

    def _bounds(self, edges: Floats, upto: Floats, shape: Shape) -> Floats:
        """Where outputs begin and end, in bytes from the beginning: at cuts, and where they are full."""
        most = max(1.0, shape.output_bytes - self.sizes.base) if shape.output_bytes else np.inf
        end = float(upto[-1])
        starts = [0.0, *sorted(set(np.interp(_places(shape.cuts), edges, upto).tolist()) - {0.0, end}), end] if end else [0.0]
        parts = [a + np.arange(0.0, b - a, most) for a, b in pairwise(starts)] or [upto[:0]]
        return np.append(np.concatenate(parts)[: shape.max_outputs], end)


def _newest(inputs: Sequence[Sequence[Sketch]], places: Floats, chance: np.random.Generator) -> list[int]:
    """The newest sequence number in each part between the places.

    An input's newest entry is evenly somewhere in its range; a part without it has one that is older by as many writes as pass, by
    chance, until one meets the part.
    """
    widths = np.maximum(places[1:] - places[:-1], 1e-18)
    chances = chance.random((2, len(widths)))
    best = np.zeros(len(widths))
    for run in inputs:
        starts, ends = (np.array([s.edges[i] for s in run]) for i in (0, -1))
        seqs = np.array([s.seq for s in run], np.float64)
        first, stop = np.searchsorted(ends, places[:-1], "right"), np.searchsorted(starts, places[1:], "left")
        for back in range(int(max(stop - first, default=0))):
            at = np.minimum(first + back, len(run) - 1)
            shared = np.minimum(ends[at], places[1:]) - np.maximum(starts[at], places[:-1])
            has = chances[0] < shared / (ends - starts)[at]
            seq = seqs[at] - np.where(has, 0.0, np.floor(-np.log(1 - chances[1]) / np.maximum(shared, 1e-18)))
            best = np.where(first + back < stop, np.maximum(best, seq), best)
    return [int(seq) for seq in np.maximum(best, 1.0).tolist()]


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _spread(run: Sequence[Sketch], edges: Floats) -> Floats:
    """The counts of a run over finer edges, which contain its own."""
    if len(run) == 1 and len(edges) == 2:
        return run[0].counts
    starts, ends = np.concatenate([s.edges[:-1] for s in run]), np.concatenate([s.edges[1:] for s in run])
    counts = np.concatenate([s.counts for s in run], axis=1)
    part = np.maximum(np.searchsorted(starts, edges[:-1], "right") - 1, 0)
    inside = (starts[part] <= edges[:-1]) & (edges[:-1] < ends[part])
    share = np.where(inside, edges[1:] - edges[:-1], 0.0) / (ends - starts)[part]
    spread: Floats = counts[:, part] * share
    return spread


def _key(place: float) -> bytes:
    return int(place * 2.0**62).to_bytes(8, "big")


def _places(keys: Sequence[bytes]) -> Floats:
    return np.array([int.from_bytes(k[:8].ljust(8, b"\0"), "big") / 2.0**62 for k in keys], np.float64)


def _memtable(options: Options, workload: str, sizes: dict[str, Any]) -> tuple[int, int]:
    """Writes that a memtable takes and segments of the log that they fill, from a sample that is scaled up for large ones."""
    part = min(options.write_buffer, SAMPLE_BUFFER)
    sample = Operations.drawn(workload, 2 * part // (24 + sizes["key_bytes"] + sizes["value_bytes"]) + SAMPLE, **sizes)
    _, end, segments = Fill(Exact(sample, options.override({"write_buffer": part}))).memtables[0]
    return end * options.write_buffer // part, segments


def sketch(
    policy: lsm.CompactionPolicy,
    options: Options,
    workload: str = "fillrandom",
    entries: int = 10**9,
    *,
    key_bytes: int = 16,
    value_bytes: int = 100,
    updates: float = 0.0,
    deletes: float = 0.0,
    told: Callable[[Decision], None] = lambda decision: None,
    progress: Callable[[int], None] = lambda done: None,
) -> Simulated:
    """Run a policy on sketched contents; arguments as of Operations.drawn. O(jobs x tables a job), whatever the number of entries.

    What it gives is an expectation: bytes within a few per cent of an exact run, not its decisions. Refused as of simulate; ValueError.
    """
    if workload not in WORKLOADS or entries < 1:
        raise ValueError(f"workload {workload!r}, entries {entries}; allowed: {', '.join(WORKLOADS)}, and 1 or more")
    sizes = {"key_bytes": key_bytes, "value_bytes": value_bytes, "updates": updates, "deletes": deletes}
    taken, segments = _memtable(options, workload, sizes)
    load = Load(workload, entries, updates, deletes)
    tree: Tree[Sketch] = Tree(policy, options, Sketched(load, Bytes(options, key_bytes, value_bytes)), told)
    for start in range(0, entries, taken):
        end = min(start + taken, entries)
        tree.take(segments + (1 if options.wal.enabled else 0))
        tree.flush(load.memtable(start, end), end)
        progress(end)
    tree.wait()
    c: Counters = tree.counters
    puts = entries * (1 - deletes)
    c.user_entries, c.user_bytes = entries, round(entries * key_bytes + puts * value_bytes)
    c.log_bytes = c.user_bytes + LOG_RECORD * entries if options.wal.enabled else 0
    c.live_bytes = round(load.alive() * (key_bytes + value_bytes))
    return Simulated(c, tree.version)
