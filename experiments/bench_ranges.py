"""`lsmlab bench ranges`: range filters, learned search and short scans of nothing, each beside what one would take instead, in one run.

Filters: random 64-bit keys and ranges of several widths that hold none of them, asked in one batch. Search: the PGM-index beside pygm's and
numpy.searchsorted on the same sorted array. Scans: a database of several sorted runs is asked for short ranges in which there is nothing,
with each kind of range filter and with none. Times are this process's on a processor, the least of several repeats.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

import indexes
import lsm
from indexes.learned import PGM
from indexes.ranges import range_filter_class

from .processes import version

Words = npt.NDArray[np.uint64]
FILTERS: dict[str, tuple[str, str]] = {
    "surf base": ("surf", indexes.SurfSettings("none").params),
    "surf real 4": ("surf", indexes.SurfSettings("real", 4).params),
    "surf real 8": ("surf", indexes.SurfSettings("real", 8).params),
    "surf hash 4": ("surf", indexes.SurfSettings("hash", 4).params),
    "surf mixed 8": ("surf", indexes.SurfSettings("mixed", 8).params),
    "snarf 256": ("snarf", indexes.SnarfSettings(256).params),
    "snarf 512": ("snarf", indexes.SnarfSettings(512).params),
    "prefix bloom 3, 5": ("prefix_bloom", indexes.PrefixBloomSettings((3, 5)).params),
}
WIDTHS = (0, 20, 40)  # log2
SCANNED = {
    "none": "",
    "surf": indexes.SurfSettings("real", 8).params,
    "snarf": indexes.SnarfSettings(256).params,
    "prefix_bloom": indexes.PrefixBloomSettings((4,)).params,
}
RUNS, SCANS, SINGLES = 8, 2000, 50_000
RANGES, SCANNED_KEYS, SCANNED_WIDTH = 500_000, 160_000, 30
PEER = "pygm"
EPSILON = 64


@dataclass(frozen=True)
class FilterRow:
    """A range filter: nanoseconds a key and a range, and the share of empty ranges it said maybe to, by log2 of the width."""

    name: str
    bits: float
    build: float
    hit: float
    ask: dict[int, float]
    false: dict[int, float]


@dataclass(frozen=True)
class SearchRow:
    """A search in a sorted array: nanoseconds a key to build, to find one, and one of a batch; bytes beside the array."""

    name: str
    build: float | None
    one: float
    batch: float | None
    size: float
    lines: int | None


@dataclass(frozen=True)
class ScanRow:
    """Scans of nothing: microseconds for each with all blocks cached and with none, blocks touched, share saved of the tables asked."""

    name: str
    cached: float
    uncached: float
    blocks: float
    saved: float


@dataclass
class Result:
    """Everything of a run."""

    n: int
    seed: int
    repeats: int
    versions: dict[str, str] = field(default_factory=dict)
    filters: list[FilterRow] = field(default_factory=list)
    searches: list[SearchRow] = field(default_factory=list)
    scans: list[ScanRow] = field(default_factory=list)

    def goals(self) -> list[dict[str, Any]]:
        """The study's goals: of SuRF what its authors' program does, of searches the peers of this run."""
        rows: list[dict[str, Any]] = []

        def judge(what: str, goal: float, got: float, unit: str) -> None:
            rows.append({"what": what, "goal": goal, "got": got, "unit": unit, "pass": got <= goal})

        real = next((row for row in self.filters if row.name == "surf real 4"), None)
        if real:
            judge("surf real 4: size", 14.7, real.bits, "bits/key")
            judge("surf real 4: false answers at 2^40", 0.67, 100 * real.false[40], "%")
            judge("surf real 4: build", 1000, real.build, "ns/key")
            judge("surf real 4: a range of 2^40", 280, real.ask[40], "ns")
        if snarf := next((row for row in self.filters if row.name == "snarf 256"), None):
            judge("snarf 256: size", 12, snarf.bits, "bits/key")
            judge("snarf 256: false answers at 2^40", 0.67, 100 * snarf.false[40], "%")
            judge("snarf 256: a range of 2^40", 280, snarf.ask[40], "ns")
        ours, by = (next((r for r in self.searches if r.name.startswith("PGM")), None), {r.name: r for r in self.searches})
        if ours and ours.batch and (numpy := by.get("numpy.searchsorted")) and numpy.batch:
            judge("PGM: one of a batch, over numpy's", 1.0, ours.batch / numpy.batch, "×")
        if ours and (peer := by.get(PEER)):
            judge("PGM: one call, over pygm's", 1.5, ours.one / peer.one, "×")
        scans = {row.name: row for row in self.scans}
        if "none" in scans and "surf" in scans:
            judge("scan of nothing with surf, over none, no cache", 0.7, scans["surf"].uncached / scans["none"].uncached, "×")
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {**asdict(self), "goals": self.goals()}


def least(repeats: int, what: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least seconds of a processor that a call took, and what it gave."""
    best, got = float("inf"), None
    for _ in range(repeats):
        start = time.process_time()
        got = what()
        best = min(best, time.process_time() - start)
    return best, got


def filter_row(name: str, keys: Words, r: Result) -> FilterRow:
    """Measure one filter."""
    kind, params = FILTERS[name]
    cls, rng, n = range_filter_class(kind), np.random.default_rng(r.seed + 1), len(keys)
    built, f = least(r.repeats, lambda: cls.from_keys(keys, params))
    shuffled = rng.permutation(keys)
    hit, found = least(r.repeats, lambda: f.may_contain_many(shuffled))
    if not found.all():
        raise AssertionError(f"{name} denies a key")
    ask, false = {}, {}
    for width in WIDTHS:
        lo, hi = empty_ranges(keys, rng, width)
        seconds, maybe = least(r.repeats, partial(f.may_contain_ranges, lo, hi))
        ask[width], false[width] = 1e9 * seconds / len(lo), float(maybe.mean())
    return FilterRow(name, f.bits_per_key, 1e9 * built / n, 1e9 * hit / n, ask, false)


def empty_ranges(keys: Words, rng: np.random.Generator, width: int) -> tuple[Words, Words]:
    """Return bounds of random ranges of 2^width without a key."""
    keys = np.sort(keys)
    lo = rng.integers(0, 2**64 - 2**width, RANGES, dtype=np.uint64)
    hi = lo + np.uint64(1 << width)
    at = np.searchsorted(keys, lo)
    free = (at == len(keys)) | (keys[np.minimum(at, len(keys) - 1)] >= hi)
    return lo[free], hi[free]


def search_rows(keys: Words, r: Result) -> list[SearchRow]:
    """Measure our index and the others on the same array."""
    rng, n = np.random.default_rng(r.seed + 2), len(keys)
    wanted = rng.choice(keys, n)
    some = wanted[:SINGLES].tolist()

    def singly(find: Callable[[int], int]) -> float:
        return 1e9 * least(r.repeats, lambda: [find(key) for key in some])[0] / len(some)

    build, ours = least(r.repeats, lambda: PGM.build(keys, EPSILON))
    batch, ranks = least(r.repeats, lambda: ours.search_many(wanted))
    theirs, right = least(r.repeats, lambda: np.searchsorted(keys, wanted))
    if not (ranks == right).all():
        raise AssertionError("PGM and numpy.searchsorted disagree")
    rows = [
        SearchRow(f"PGM, epsilon {EPSILON}", 1e9 * build / n, singly(ours.search), 1e9 * batch / n, ours.size, ours.lines[0]),
        SearchRow("numpy.searchsorted", None, singly(lambda key: int(keys.searchsorted(np.uint64(key)))), 1e9 * theirs / n, 0, None),
    ]
    if importlib.util.find_spec(PEER):
        import pygm

        build, peer = least(r.repeats, lambda: pygm.SortedList(keys, epsilon=EPSILON))
        stats = peer.stats()
        rows.insert(1, SearchRow(PEER, 1e9 * build / n, singly(peer.bisect_left), None, stats["index size"], stats["leaf segments"]))
        r.versions[PEER] = version(PEER)
    return rows


def scan_row(kind: str, keys: Words, r: Result) -> ScanRow:
    """Fill databases of several runs, with a cache for all and with none, and scan short ranges of nothing, forwards."""
    lo, hi = empty_ranges(keys, np.random.default_rng(r.seed + 3), SCANNED_WIDTH)
    bounds = [(int(a).to_bytes(8, "big"), int(b).to_bytes(8, "big")) for a, b in zip(lo[:SCANS], hi[:SCANS], strict=True)]
    order = np.array_split(np.random.default_rng(r.seed + 4).permutation(keys), RUNS)
    micros, counts = [], []
    for capacity in (256 << 20, 0):
        options = {
            "threads": 0,
            "write_buffer": 256 << 20,
            "wal": {"enabled": False},
            "cache": {"capacity": capacity},
            "table": {"range_filter": kind, "range_params": SCANNED[kind]},
            "compaction": {"layout": "tiering", "size_ratio": 100, "l0_trigger": 100},
        }
        with tempfile.TemporaryDirectory(prefix="lsmlab-bench-") as folder, lsm.open(folder, options) as db:
            for part in order:
                db.put_many([(int(key).to_bytes(8, "big"), b"v" * 32) for key in part])
                db.flush()
            scan = partial(_scan_all, db, bounds)
            scan()  # what the cache takes is in it now
            before = db.stats()
            seconds, found = least(r.repeats, scan)
            after = db.stats()
        if found:
            raise AssertionError(f"{found} keys where there are none")
        micros.append(1e6 * seconds / SCANS)
        ops = [("probe", "range_filter"), ("skip", "range_filter"), ("read", "data"), ("hit", "data")]
        counts = [after.counts(op=op, component=c, cause="scan") - before.counts(op=op, component=c, cause="scan") for op, c in ops]
    maybe, no, read, hit = counts
    return ScanRow(kind, micros[0], micros[1], (read + hit) / (r.repeats * SCANS), no / (maybe + no) if maybe + no else 0.0)


def _scan_all(db: lsm.DB, bounds: Sequence[tuple[bytes, bytes]]) -> int:
    return sum(len(list(db.keys(lo, hi))) for lo, hi in bounds)


def bench(names: Sequence[str], r: Result, told: Callable[[str], None]) -> Result:
    """Run everything into an empty result; `told` hears what is about to run."""
    r.versions["lsmlab"] = version("lsmlab")
    keys = np.unique(np.random.default_rng(r.seed).integers(0, 2**64, r.n, dtype=np.uint64))
    for name in names:
        told(name)
        r.filters.append(filter_row(name, keys, r))
    told("search")
    r.searches = search_rows(np.unique(keys >> np.uint64(1)), r)
    for kind in SCANNED:
        told(f"scans, {kind}")
        r.scans.append(scan_row(kind, np.random.default_rng(r.seed).permutation(keys)[:SCANNED_KEYS], r))
    return r
