"""`lsmlab bench kv`: this engine beside other stores, in one go, on the same operations.

One process for each (store, workload, repeat); the stores take turns inside every repeat, so that a slow minute of the machine hits all of
them; reads start from a compacted image warmed by one scan. What is printed are medians over the repeats, and ratios to the peers.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .bench_worker import IMAGE, WORKLOADS, WRITES, Job
from .processes import command, environment
from .stores import BUDGET, STORES

DEFAULT_STORES = ("lsmlab", "rocksdb", "leveldb", "lmdb")
DEFAULT_WORKLOADS = tuple(w for w in WORKLOADS if not w.startswith("ycsb") or w in ("ycsb-a", "ycsb-e"))
US = "lsmlab"
MEMORY_ALLOWANCE = 1.3


@dataclass(frozen=True)
class Target:
    """`workload` on this engine is to reach `ratio` times the best of `peers`."""

    workload: str
    ratio: float
    peers: tuple[str, ...]


TARGETS = (
    Target("fillrandom", 2.0, ("rocksdb",)),
    Target("fillrandom", 1.5, ("leveldb",)),
    Target("fillbatch", 1.5, ("rocksdb", "leveldb")),
    Target("get-hot", 2.0, ("rocksdb",)),
    Target("get-missing", 3.0, ("rocksdb",)),
    Target("get-many", 2.0, ("rocksdb",)),
    Target("scan", 1.5, ("rocksdb", "leveldb")),
)


@dataclass
class Result:
    """Outcomes of every repeat by (store, workload)."""

    n: int
    seed: int
    repeats: int
    versions: dict[str, str] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], list[dict[str, float]]] = field(default_factory=dict)

    def rate(self, store: str, workload: str) -> float | None:
        """Median operations per second."""
        runs = self.outcomes.get((store, workload))
        return statistics.median(r["operations"] / r["seconds"] for r in runs) if runs else None

    def peak(self, store: str) -> float | None:
        """The largest peak of memory over the workloads, median over the repeats, in bytes."""
        peaks = [statistics.median(r["peak"] for r in runs) for (s, _), runs in self.outcomes.items() if s == store]
        return max(peaks) if peaks else None

    def verdicts(self) -> list[dict[str, Any]]:
        """Each target with what was reached; targets whose stores did not run are left out."""
        rows: list[dict[str, Any]] = []
        for t in TARGETS:
            ours, theirs = self.rate(US, t.workload), [r for p in t.peers if (r := self.rate(p, t.workload))]
            if ours and theirs:
                got = ours / max(theirs)
                rows.append({"what": t.workload, "against": " and ".join(t.peers), "target": t.ratio, "got": got, "pass": got >= t.ratio})
        if peak := self.peak(US):
            got = peak / BUDGET
            rows.append(
                {
                    "what": "peak memory",
                    "against": "configured budgets",
                    "target": MEMORY_ALLOWANCE,
                    "got": got,
                    "pass": got <= MEMORY_ALLOWANCE,
                }
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        runs = [{"store": s, "workload": w, "rate": self.rate(s, w), "runs": r} for (s, w), r in self.outcomes.items()]
        return {**{k: v for k, v in asdict(self).items() if k != "outcomes"}, "results": runs, "targets": self.verdicts()}


class BenchFailed(Exception):
    """A process of the benchmark ended with an error; the text is what it printed."""


def call(job: Job) -> dict[str, Any]:
    """Run the job in a fresh process."""
    order = json.dumps(asdict(job))
    done = subprocess.run(command("bench_worker"), env=environment(), input=order, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise BenchFailed(f"{job.workload} on {job.store}: {said[-1]}")
    out: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return out


def check_names(stores: Iterable[str], workloads: Iterable[str]) -> None:
    """ValueError with what is allowed when a name is unknown."""
    for what, names, known in (("store", stores, STORES), ("workload", workloads, WORKLOADS)):
        for name in names:
            if name not in known:
                raise ValueError(f"unknown {what} {name!r}; there are: {', '.join(known)}")


def bench(stores: Sequence[str], workloads: Sequence[str], result: Result, folder: Path, told: Callable[[str], None]) -> Result:
    """Run everything under `folder` (emptied of what was made) into an empty result; `told` hears what is about to run."""
    check_names(stores, workloads)
    n, seed, repeats = result.n, result.seed, result.repeats
    folder.mkdir(parents=True, exist_ok=True)
    images = {s: folder / f"image-{s}" for s in stores}
    try:
        for store in stores:
            told(f"{store}: building the image")
            shutil.rmtree(images[store], ignore_errors=True)
            result.versions[store] = call(Job(store, IMAGE, n, seed, str(images[store])))["version"]
        for repeat in range(repeats):
            for workload in workloads:
                for i in range(len(stores)):
                    store = stores[(i + repeat) % len(stores)]
                    told(f"{workload} on {store}, repeat {repeat + 1} of {repeats}")
                    path = folder / f"run-{store}"
                    shutil.rmtree(path, ignore_errors=True)
                    job = Job(store, workload, n, seed + repeat, str(path), None if workload in WRITES else str(images[store]))
                    result.outcomes.setdefault((store, workload), []).append(call(job))
                    shutil.rmtree(path, ignore_errors=True)
    finally:
        for store in stores:
            shutil.rmtree(images[store], ignore_errors=True)
            shutil.rmtree(folder / f"run-{store}", ignore_errors=True)
    return result
