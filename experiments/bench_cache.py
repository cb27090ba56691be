"""`lsmlab bench cache`: this package's eviction policies beside libcachesim's C core, in one go, on the same trace.

One process for each (policy, library, repeat); the libraries take turns inside every repeat, so that a slow minute of the machine hits all
of them. Each replays the whole trace in one call; the time is this thread's on a processor. libcachesim runs twice: with the hash table
that its constructor gives (2**24 buckets, which the targets were set against) and with one fitted to the cache, its best. Memory per cached
object is what our run held, and by how much libcachesim's process grew with the fitted table. Caches of Python objects take turns too: see
`bench_objects`.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import eviction

from . import bench_objects
from .bench_kv import BenchFailed
from .processes import anonymous_bytes, command, environment, version
from .workloads import zipf_ranks

US, PEER, FITTED = "lsmlab", "libcachesim", "libcachesim, fitted"
LIBRARIES = (US, PEER, FITTED)
SCALING, OBJECTS = "scaling", "objects"
CORES = 4
SCALING_TARGET, MEMORY_TARGET = 3.0, 0.6
DEFAULT_BUCKETS = 24  # log2
PEOPLES = ("cachetools", "theine")  # caches of objects


@dataclass(frozen=True)
class Pair:
    """A kind of ours, libcachesim's class, the ratio to reach, and whether both count the same hits."""

    kind: str
    peer: str
    target: float
    exact: bool


PAIRS = (
    Pair("lru", "LRU", 5.0, True),
    Pair("fifo", "FIFO", 5.0, True),
    Pair("clock", "Clock", 5.0, True),
    Pair("sieve", "Sieve", 5.0, True),
    Pair("slru", "SLRU", 5.0, False),  # theirs has four segments, and fills the upper ones while it warms
    Pair("slru4", "SLRU", 5.0, False),
    Pair("arc", "ARC", 3.0, True),
    Pair("lfu", "LFU", 3.0, True),
    Pair("2q", "TwoQ", 3.0, True),
    Pair("s3fifo", "S3FIFO", 3.0, False),
    Pair("wtinylfu", "WTinyLFU", 3.0, False),
    Pair("lirs", "LIRS", 3.0, False),
)


@dataclass(frozen=True)
class Job:
    """What one process does: a library replays the trace in `folder` through a policy, or measures how ours scales."""

    library: str
    kind: str
    size: int
    folder: str


@dataclass
class Result:
    """Outcomes of every repeat by (kind, library)."""

    requests: int
    objects: int
    size: int
    seed: int
    repeats: int
    versions: dict[str, str] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], list[dict[str, float]]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # libraries that are not installed

    def median(self, kind: str, library: str, what: str) -> float | None:
        """The median of a measure over the repeats."""
        runs = self.outcomes.get((kind, library))
        return statistics.median(r[what] for r in runs) if runs else None

    def rate(self, kind: str, library: str) -> float | None:
        """Requests per second of the processor, from the median time."""
        seconds = self.median(kind, library, "seconds")
        requests = (self.median(kind, library, "requests") if kind == OBJECTS else None) or self.requests
        return requests / seconds if seconds else None

    def ratio(self, kind: str, what: str, over: str) -> float | None:
        """Ours over theirs."""
        ours, theirs = self.median(kind, US, what), self.median(kind, over, what)
        return ours / theirs if ours and theirs else None

    def verdicts(self) -> list[dict[str, Any]]:
        """Each target with what was reached; what did not run is left out."""
        rows: list[dict[str, Any]] = []

        def judge(what: str, against: str, sign: str, target: float, got: float | None) -> None:
            if got is not None:
                passed = {"≥": got >= target, "≤": got <= target, "=": got == target}[sign]
                rows.append({"what": what, "against": against, "sign": sign, "target": target, "got": got, "pass": passed})

        for p in PAIRS:
            slower = self.ratio(p.kind, "seconds", PEER)
            judge(f"{p.kind}: speed", f"{PEER} {p.peer}", "≥", p.target, slower and 1 / slower)
        for p in PAIRS:
            judge(f"{p.kind}: bytes an object", f"{FITTED} {p.peer}", "≤", MEMORY_TARGET, self.ratio(p.kind, "bytes", FITTED))
        for p in PAIRS:
            if p.exact:
                judge(f"{p.kind}: hits", f"{PEER} {p.peer}", "=", 1.0, self.ratio(p.kind, "hits", PEER))
        for m in bench_objects.MATCHES:
            ours, theirs = self.median(OBJECTS, m.ours, "seconds"), self.median(OBJECTS, m.theirs, "seconds")
            if ours and theirs and m.within:
                judge(f"{m.ours}: time of a call", m.theirs, "≤", m.target, ours / theirs)
            elif ours and theirs:
                judge(f"{m.ours}: speed", m.theirs, "≥", m.target, theirs / ours)
        judge(f"passes side by side on {CORES} cores", "one thread", "≥", SCALING_TARGET, self.median(SCALING, US, "scaling"))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        runs = [{"kind": k, "library": lib, "rate": self.rate(k, lib), "runs": r} for (k, lib), r in self.outcomes.items() if k != SCALING]
        plain = {k: v for k, v in asdict(self).items() if k != "outcomes"}
        return {**plain, "results": runs, "scaling": self.median(SCALING, US, "scaling"), "targets": self.verdicts()}


def chosen(kinds: Sequence[str]) -> list[Pair]:
    """The pairs of these kinds, or when none is named, all whose kind is registered. ValueError on a kind without a pair."""
    known = {p.kind: p for p in PAIRS if p.kind in eviction.POLICIES}
    for kind in kinds:
        if kind not in known:
            raise ValueError(f"{kind!r} is not compared; there are: {', '.join(known)}")
    return [known[kind] for kind in kinds] if kinds else list(known.values())


def write_trace(folder: Path, requests: int, objects: int, seed: int) -> None:
    """A Zipf trace (0.99, scattered ids) as an array for us and as libcachesim's oracleGeneral file."""
    rng = np.random.default_rng(seed)
    keys = rng.permutation(objects)[zipf_ranks(rng, objects, requests)].astype(np.uint64)
    np.save(folder / "keys.npy", keys)
    rows = np.zeros(requests, np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")]))
    rows["id"], rows["size"], rows["next"] = keys, 1, -1
    rows.tofile(folder / "trace.oracleGeneral")


def bench(pairs: Sequence[Pair], result: Result, folder: Path, told: Callable[[str], None]) -> Result:
    """Run everything into an empty result; `told` hears what is about to run. BenchFailed when a process fails."""
    if importlib.util.find_spec(PEER) is None:
        raise ModuleNotFoundError(PEER, name=PEER)
    sides, result.missing = bench_objects.present()
    result.versions = {name: version(name) for name in (US, PEER, *PEOPLES) if name not in result.missing}
    told("making the trace")
    write_trace(folder, result.requests, result.objects, result.seed)
    for repeat in range(result.repeats):
        for pair in pairs:
            for i in range(len(LIBRARIES)):
                library = LIBRARIES[(i + repeat) % len(LIBRARIES)]
                told(f"{pair.kind} by {library}, repeat {repeat + 1} of {result.repeats}")
                got = call(Job(library, pair.kind, result.size, str(folder)))
                result.outcomes.setdefault((pair.kind, library), []).append(got)
        for i in range(len(sides)):
            name = sides[(i + repeat) % len(sides)]
            told(f"{name}, repeat {repeat + 1} of {result.repeats}")
            job = {"name": name, "folder": str(folder), "size": result.size}
            result.outcomes.setdefault((OBJECTS, name), []).append(_process("bench_objects", job, name))
        told(f"side by side, repeat {repeat + 1} of {result.repeats}")
        result.outcomes.setdefault((SCALING, US), []).append(call(Job(US, SCALING, result.size, str(folder))))
    return result


def call(job: Job) -> dict[str, float]:
    """Run the job in a fresh process."""
    return _process("bench_cache", asdict(job), f"{job.kind} by {job.library}")


def _process(module: str, job: dict[str, Any], what: str) -> dict[str, float]:
    done = subprocess.run(command(module), env=environment(), input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise BenchFailed(f"{what}: {said[-1]}")
    out: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return out


def run(job: Job) -> dict[str, float]:
    """Do the job in this process: seconds of the processor, hits and bytes a cached object; or how many times faster four threads are."""
    if job.library != US:
        return _peer(job)
    keys = np.load(Path(job.folder) / "keys.npy")
    if job.kind == SCALING:
        return _scaling(keys, job.size)
    (got,) = eviction.replay(job.kind, keys, job.size)
    return {"seconds": got.seconds, "hits": got.hits, "bytes": (got.memory or 0) / job.size}


def _scaling(keys: Any, size: int) -> dict[str, float]:
    walls: dict[int, list[float]] = {1: [], CORES: []}
    for _ in range(3):
        for threads, wall in walls.items():
            start = time.perf_counter()
            eviction.replay(["lru", "fifo", "clock", "sieve"], keys, [size // 10, size // 3, size], threads=threads)
            wall.append(time.perf_counter() - start)
    return {"scaling": min(walls[1]) / min(walls[CORES])}


def _peer(job: Job) -> dict[str, float]:
    import libcachesim

    pair = next(p for p in PAIRS if p.kind == job.kind)
    path = str(Path(job.folder) / "trace.oracleGeneral")
    reader = libcachesim.TraceReader(path, libcachesim.TraceType.ORACLE_GENERAL_TRACE, libcachesim.ReaderInitParam(ignore_obj_size=True))
    before = anonymous_bytes()
    cache = getattr(libcachesim, pair.peer)(job.size, hashpower=job.size.bit_length() + 1 if job.library == FITTED else DEFAULT_BUCKETS)
    start = time.thread_time()
    missed, _ = cache.process_trace(reader)
    seconds = time.thread_time() - start
    requests = len(np.load(Path(job.folder) / "keys.npy", mmap_mode="r"))
    return {"seconds": seconds, "hits": round((1 - missed) * requests), "bytes": (anonymous_bytes() - before) / job.size}


if __name__ == "__main__":
    print(json.dumps(run(Job(**json.loads(sys.stdin.read())))))
