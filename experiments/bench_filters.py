"""`lsmlab bench filters`: the filters of `indexes` beside those of rbloom, fastbloom-rs, pyfusefilter and pybloom_live, in one run.

Keys are random integers of 63 bits, in an array for those who take one and in a list for the others. Times are this thread's on a
processor, the least of several repeats; the contestants take turns in every repeat, so that a slow minute of the machine hits all of
them. pyfusefilter is called through its own cffi library, for its Python layer hashes strings of keys.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes import filter_ops, filters

from .processes import version

BITS = {"ribbon": 7.2, "homogeneous_ribbon": 7.2}  # the others: their class's default
RATES_AT = (6, 8, 10, 12, 16)
SINGLES = 50_000
RATE_PROBES = 8_000_000  # of a filter that takes arrays; the others get as many as there are keys
MEASURES = ("build", "one hit", "one miss", "batch hit", "batch miss", "remove")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Contestant:
    """How to use one filter. bits: its size in bits; batch and remove: None when it has none. Most keys: build no more than that."""

    name: str
    package: str
    build: Callable[[Ints, list[int]], Any]
    one: Callable[[Any, list[int]], int]
    batch: Callable[[Any, Ints, list[int]], int] | None
    bits: Callable[[Any], float]
    remove: Callable[[Any, Ints], Any] | None = None
    most_keys: int = 1 << 40


def _count(contains: Callable[[int], Any], keys: list[int]) -> int:
    return sum(map(bool, map(contains, keys)))


def _ours(cls: type[filters.Filter]) -> Contestant:
    bits = BITS.get(cls.kind, cls.default_bits)
    return Contestant(
        cls.kind,
        "lsmlab",
        lambda array, _: cls.build(array, bits),
        lambda f, keys: _count(f.may_contain, keys),
        lambda f, array, _: int(f.may_contain_many(array).sum()),
        lambda f: 8 * f.size_bytes,
        (lambda f, array: f.remove_many(array)) if filter_ops(cls.kind).can("erase") else None,
    )


def _rbloom(rate: float) -> Contestant:
    def build(_: Ints, keys: list[int]) -> Any:
        import rbloom

        made = rbloom.Bloom(len(keys), rate)
        made.update(keys)
        return made

    return Contestant("rbloom", "rbloom", build, lambda f, keys: _count(f.__contains__, keys), None, lambda f: float(f.size_in_bits))


def _fastbloom(rate: float) -> Contestant:
    def build(_: Ints, keys: list[int]) -> Any:
        import fastbloom_rs

        made = fastbloom_rs.BloomFilter(len(keys), rate)
        made.add_int_batch(keys)
        return made

    def batch(made: Any, _: Ints, keys: list[int]) -> int:
        return sum(made.contains_int_batch(keys))

    def size(made: Any) -> float:
        return 8.0 * len(made.get_bytes())

    return Contestant("fastbloom-rs", "fastbloom-rs", build, lambda f, keys: _count(f.contains_int, keys), batch, size)


def _pyfuse(kind: str) -> Contestant:
    """kind: xor8, xor16, binary_fuse8 or binary_fuse16 of its C library; one cffi call a probe."""

    def build(array: Ints, _: list[int]) -> Any:
        from pyfusefilter._xorfilter import ffi, lib

        made = ffi.gc(ffi.new(f"{kind}_t *"), getattr(lib, f"{kind}_free"))
        copy = array.copy()  # it sorts them in place when they repeat
        getattr(lib, f"{kind}_allocate")(len(copy), made)
        if not getattr(lib, f"{kind}_populate")(ffi.cast("uint64_t *", copy.ctypes.data), len(copy), made):
            raise ValueError(f"pyfusefilter cannot build {kind}")
        return made

    def one(made: Any, keys: list[int]) -> int:
        from pyfusefilter._xorfilter import lib

        contain = getattr(lib, f"{kind}_contain")
        return sum(contain(key, made) for key in keys)

    def size(made: Any) -> float:
        from pyfusefilter._xorfilter import lib

        return float(8 * getattr(lib, f"{kind}_size_in_bytes")(made))

    return Contestant(f"pyfusefilter {kind}", "pyfusefilter", build, one, None, size)


def _pybloom(rate: float) -> Contestant:
    def build(_: Ints, keys: list[int]) -> Any:
        import pybloom_live

        made = pybloom_live.BloomFilter(len(keys), rate)
        for key in keys:
            made.add(key)
        return made

    return Contestant(
        "pybloom_live",
        "pybloom-live",
        build,
        lambda f, keys: _count(f.__contains__, keys),
        None,
        lambda f: float(f.num_bits),
        most_keys=50_000,
    )


@dataclass
class Row:
    """Nanoseconds a key by measure (least of the repeats), bits a key, and the share of absent keys let through."""

    name: str
    ours: bool
    keys: int
    nanoseconds: dict[str, float] = field(default_factory=dict)
    bits: float = math.nan
    rate: float = math.nan


@dataclass
class Result:
    """What one run found."""

    n: int
    seed: int
    repeats: int
    rows: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    off_theory: dict[str, float] = field(default_factory=dict)

    def row(self, name: str) -> Row | None:
        """The row of a contestant, or None."""
        return next((r for r in self.rows if r.name == name), None)

    def time(self, name: str, measure: str) -> float | None:
        """Nanoseconds a key, or None."""
        row = self.row(name)
        return row.nanoseconds.get(measure) if row else None

    def goals(self) -> list[dict[str, Any]]:
        """Each goal with what was reached; those of other sizes than a million keys are for ten million."""
        large = self.n > 3_000_000
        found: list[dict[str, Any]] = []

        def at_most(what: str, goal: float, got: float | None, unit: str) -> None:
            if got is not None:
                found.append({"what": what, "goal": goal, "got": got, "unit": unit, "pass": got <= goal})

        for measure in ("batch miss", "batch hit"):
            for kind in ("bloom", "blocked_bloom"):
                at_most(f"{kind}: {measure}", 40 if large else 20, self.time(kind, measure), "ns")
        for kind, bits in (("ribbon", 7.3), ("homogeneous_ribbon", 7.3), ("binary_fuse8", 9.1), ("cuckoo", 12.85)):
            at_most(f"{kind}: bits a key", bits, row.bits if (row := self.row(kind)) else None, "bits")
        for kind, rate in (("ribbon", 1.0), ("blocked_bloom", 1.3), ("binary_fuse8", 0.41), ("cuckoo", 0.27)):
            at_most(f"{kind}: false positives", rate, 100 * row.rate if (row := self.row(kind)) else None, "%")
        for kind, build in (("ribbon", 200.0), ("binary_fuse8", 125.0 if large else 80.0), ("cuckoo", 350.0 if large else 120.0)):
            at_most(f"{kind}: build", build, self.time(kind, "build"), "ns")
        at_most("cuckoo: remove", 105, self.time("cuckoo", "remove"), "ns")
        at_most("bloom: one miss / rbloom's", 1, _over(self.time("bloom", "one miss"), self.time("rbloom", "one miss")), "×")
        faster = _over(self.time("bloom", "batch miss"), self.time("fastbloom-rs", "batch miss"))
        at_most("bloom: batch miss / fastbloom-rs's", 1, faster, "×")
        for what, off in self.off_theory.items():
            at_most(f"{what}: rate off its theory", 3, off, "%")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        rows = [{"name": r.name, "ours": r.ours, "keys": r.keys, "ns": r.nanoseconds, "bits": r.bits, "rate": r.rate} for r in self.rows]
        plain = {"n": self.n, "seed": self.seed, "repeats": self.repeats, "versions": self.versions, "missing": self.missing}
        return {**plain, "results": rows, "goals": self.goals()}


def _over(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours and theirs else None


def contestants(kinds: Sequence[str] = ()) -> list[Contestant]:
    """Ours (of these kinds, or all) and the peers. ValueError when a kind is unknown."""
    for kind in kinds:
        if kind not in filters.FILTERS:
            raise ValueError(f"kind is {kind!r}; allowed: {', '.join(filters.FILTERS)}")
    rate = filter_ops("bloom").expected_fpr(10)
    ours = [_ours(cls) for cls in filters.CLASSES if not kinds or cls.kind in kinds]
    fuse = [_pyfuse(kind) for kind in ("binary_fuse8", "binary_fuse16", "xor8", "xor16")]
    return [*ours, _rbloom(rate), _fastbloom(rate), *fuse, _pybloom(rate)]


def bench(chosen: Sequence[Contestant], result: Result, told: Callable[[str], None]) -> Result:
    """Run everything into an empty result; `told` hears what is about to run. Peers that are not installed are listed as missing."""
    rng = np.random.default_rng(result.seed)
    keys, absent = rng.integers(0, 2**62, result.n), rng.integers(2**62, 2**63 - 1, max(result.n, RATE_PROBES))
    lists = keys.tolist(), absent[: result.n].tolist()
    there: list[tuple[Contestant, Row]] = []
    for c in chosen:
        if c.package == "lsmlab" or importlib.util.find_spec(c.package.replace("-", "_")):
            there.append((c, Row(c.name, c.package == "lsmlab", min(result.n, c.most_keys))))
            result.versions[c.package] = version(c.package)
        elif c.package not in result.missing:
            result.missing.append(c.package)
    for repeat in range(result.repeats):
        for c, row in there:
            told(f"{c.name}, repeat {repeat + 1} of {result.repeats}")
            made = _measure(c, row, (keys, absent), lists)
            if repeat == 0:
                row.rate = _rate(c, made, absent, lists[1][: row.keys])
            del made
    result.rows = [row for _, row in there]
    told("rates")
    result.off_theory = {cls.kind: _off_theory(cls, rng) for cls in (filters.Bloom, filters.BlockedBloom) if result.row(cls.kind)}
    return result


def _rate(c: Contestant, made: Any, absent: Ints, as_list: list[int]) -> float:
    if c.package == "lsmlab" and c.batch:
        return c.batch(made, absent, as_list) / len(absent)
    return c.one(made, as_list) / len(as_list)


def _measure(c: Contestant, row: Row, arrays: tuple[Ints, Ints], lists: tuple[list[int], list[int]]) -> Any:
    """Time everything; return what was built, before anything is taken out."""
    arrays = arrays[0][: row.keys], arrays[1][: row.keys]
    lists = (lists[0], lists[1]) if row.keys == len(lists[0]) else (lists[0][: row.keys], lists[1][: row.keys])

    def clocked(measure: str, n: int, call: Callable[[], Any]) -> Any:
        start = time.thread_time()
        got = call()
        took = (time.thread_time() - start) / n * 1e9
        row.nanoseconds[measure] = min(took, row.nanoseconds.get(measure, math.inf))
        return got

    made = clocked("build", row.keys, lambda: c.build(arrays[0], lists[0]))
    few = [keys[:SINGLES] for keys in lists]
    if clocked("one hit", len(few[0]), lambda: c.one(made, few[0])) != len(few[0]):
        raise ValueError(f"{c.name} denies a key that it has")
    clocked("one miss", len(few[1]), lambda: c.one(made, few[1]))
    if c.batch:
        batch = c.batch
        if clocked("batch hit", row.keys, lambda: batch(made, arrays[0], lists[0])) != row.keys:
            raise ValueError(f"{c.name} denies a key that it has")
        clocked("batch miss", row.keys, lambda: batch(made, arrays[1], lists[1]))
    row.bits = c.bits(made) / row.keys
    if c.remove:
        remove, other = c.remove, c.build(arrays[0], lists[0])
        clocked("remove", row.keys, lambda: remove(other, arrays[0]))
    return made


def _off_theory(cls: type[filters.Filter], rng: np.random.Generator) -> float:
    """The largest distance in percent between the measured and the theory's rate at RATES_AT bits a key, with probes for a standard error
    below 0.7 %."""
    worst, n = 0.0, 1_000_000
    for bits in RATES_AT:
        expected = filter_ops(cls.kind).expected_fpr(bits)
        built = cls.build(rng.integers(0, 2**62, n), bits)
        rounds = math.ceil(25_000 / (expected * n))
        found = sum(int(built.may_contain_many(rng.integers(2**62, 2**63 - 1, n)).sum()) for _ in range(rounds))
        worst = max(worst, abs(found / (rounds * n) / expected - 1))
    return 100 * worst
