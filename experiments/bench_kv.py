"""`lsmlab bench kv`: this engine beside other stores, in one go, on the same operations.

One process for each (store, workload, repeat); the stores take turns inside every repeat, so that a slow minute of the machine hits all of
them; reads start from a compacted image warmed by one scan. What is judged are medians over the repeats, as ratios to the peers. Every
outcome is kept in a file as soon as it is there: a run that was interrupted goes on where it was.
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

from .bench_kv_rows import RATE, US, Verdict, judge
from .bench_kv_special import ON_IMAGE, OWN, SPECIAL
from .bench_series import NONE
from .bench_worker import IMAGE, OURS, VALUE_BYTES, WORKLOADS, WRITES, Job
from .processes import code_id, command, environment
from .stores import BUDGET, STORES

DEFAULT_STORES = ("lsmlab", "rocksdb", "leveldb", "lmdb")
SPECIALS = tuple(name for name in SPECIAL if name != "load-and-die")
ALL = (*WORKLOADS, *SPECIALS)
GROUPS = {
    "fill": ("fillseq", "fillrandom", "fillbatch", "put-buffers", "overwrite", "delete"),
    "get": ("get-hot", "get-uniform", "get-zipf", "get-missing", "get-many"),
    "scans": ("scan", "scan-chunks", "scan-arrow", "seek"),
    "ycsb": tuple(w for w in WORKLOADS if w.startswith("ycsb")),
    "fsync": ("fsync-1", "fsync-16"),
    "open": ("open-killed", "open-clean"),
}
RUNS = "runs.jsonl"


class BenchFailed(Exception):
    """A process of the benchmark ended with an error; the text is what it printed."""


@dataclass
class Result:
    """Outcomes of the repeats by (store, workload)."""

    n: int
    seed: int
    repeats: int
    value: int = VALUE_BYTES
    budget: int = BUDGET
    versions: dict[str, str] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    def samples(self, store: str, workload: str, figure: str = RATE) -> list[float]:
        """A figure of every repeat. The peaks of memory are those of all workloads that every store did."""
        if figure.startswith("peak"):
            return self._peaks(store, 1 / self.budget if figure == "peak / budget" else 1)
        runs = self.outcomes.get((store, workload), ())
        if figure == RATE:
            return [r["operations"] / r["seconds"] for r in runs if "seconds" in r]
        return [r[figure] for r in runs if figure in r]

    def _peaks(self, store: str, scale: float) -> list[float]:
        done = [runs for (s, w), runs in self.outcomes.items() if s == store and w in WORKLOADS and w not in OURS]
        peaks = [statistics.median(r["peak"] for r in runs) for runs in done]
        return [max(peaks) * scale] if peaks else []

    def figure(self, store: str, workload: str, figure: str = RATE) -> float | None:
        """Median over the repeats; None when there are none."""
        found = self.samples(store, workload, figure)
        return statistics.median(found) if found else None

    def noise(self, store: str, workload: str, figure: str = RATE) -> float | None:
        """The store against itself: the largest of the repeats over the smallest; None with fewer than two."""
        found = self.samples(store, workload, figure)
        return max(found) / min(found) if len(found) > 1 and min(found) > 0 else None

    def stores(self) -> list[str]:
        """The stores that ran, in the order of the registry."""
        return [s for s in STORES if any(s == store for store, _ in self.outcomes)]

    def verdicts(self) -> list[Verdict]:
        """Each row with what was reached."""
        ran = self.stores()
        return judge(ran, [s for s in ran if STORES[s].is_lsm], self.figure, self.noise, self.n, self.value)

    def noises(self) -> dict[str, list[float]]:
        """Of each store the noise of every workload, ascending."""
        return {s: sorted(x for (of, w) in self.outcomes if of == s and (x := self.noise(s, w))) for s in self.stores()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        runs = [{"store": s, "workload": w, "rate": self.figure(s, w), "runs": r} for (s, w), r in self.outcomes.items()]
        rows = [
            {
                "row": v.row.name, "ours": v.ours, "best_lsm": v.best_lsm, "best": v.best, "ratio_lsm": v.ratio(v.best_lsm),
                "ratio": v.ratio(v.best), "target_lsm": v.targets[0], "target": v.targets[1], "limit": v.row.limit, "noise": v.noise,
                "pass": v.passed,
            }
            for v in self.verdicts()
        ]  # fmt: skip
        return {**{k: v for k, v in asdict(self).items() if k != "outcomes"}, "results": runs, "rows": rows, "noise": self.noises()}


def call(job: Job) -> dict[str, Any]:
    """Run the job in a fresh process."""
    order = json.dumps(asdict(job))
    done = subprocess.run(command("bench_worker"), env=environment(), input=order, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise BenchFailed(f"{job.workload} on {job.store}: {said[-1]}")
    out: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return out


def installed() -> tuple[list[str], list[str]]:
    """The stores that can be run, and those whose binding is not installed."""
    there = [name for name, s in STORES.items() if name == "sqlite" or s.version()]
    return there, [name for name in STORES if name not in there]


def check_names(stores: Iterable[str], workloads: Iterable[str]) -> None:
    """ValueError with what is allowed when a name is unknown."""
    for what, names, known in (("store", stores, STORES), ("workload", workloads, (*ALL, IMAGE))):
        for name in names:
            if name not in known:
                raise ValueError(f"unknown {what} {name!r}; there are: {', '.join(known)}")


def chosen_workloads(only: str) -> list[str]:
    """The workloads that --only names, groups among them; all when it is empty. ValueError for an unknown name."""
    words = [w for w in only.split(",") if w]
    named = [n for w in words for n in GROUPS.get(w, (w,))] or [IMAGE, *ALL]
    for name in named:
        if name not in (*ALL, IMAGE):
            raise ValueError(f"unknown workload {name!r}; there are: {', '.join((*ALL, IMAGE))}; groups: {', '.join(GROUPS)}")
    return list(dict.fromkeys(named))


def does(store: str, workload: str) -> bool:
    """Whether a store has that workload."""
    if store == NONE:
        return workload == "sustained"
    return store == US or workload not in (*OURS, *OWN)


def steps(stores: Sequence[str], workloads: Sequence[str], repeats: int) -> list[tuple[str, str, int]]:
    """What is to be run, in order: (store, workload, repeat). The first store to run is another one in each repeat."""
    found = [(s, IMAGE, 0) for s in stores if IMAGE in workloads]
    for repeat in range(repeats):
        for workload in (w for w in workloads if w != IMAGE):
            turn = [*stores[repeat % len(stores) :], *stores[: repeat % len(stores)], NONE]
            found += [(s, workload, repeat) for s in turn if does(s, workload)]
    return found


class Kept:
    """The file of outcomes: a line an outcome. Lines of another build, seed, size or budget are passed over."""

    def __init__(self, folder: Path, result: Result) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.result = folder / RUNS, result
        self.of = {"n": result.n, "seed": result.seed, "value": result.value, "budget": result.budget, "code": code_id()}
        self.done: set[tuple[str, str, int]] = set()
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line that an interruption cut
            if row["of"] == self.of:
                self._take(row["store"], row["workload"], row["repeat"], row["figures"])

    def add(self, store: str, workload: str, repeat: int, figures: dict[str, Any]) -> None:
        """Keep an outcome."""
        row = {"store": store, "workload": workload, "repeat": repeat, "figures": figures, "of": self.of}
        with self.path.open("a") as f:
            f.write(json.dumps(row) + "\n")
        self._take(store, workload, repeat, figures)

    def _take(self, store: str, workload: str, repeat: int, figures: dict[str, Any]) -> None:
        if (store, workload, repeat) not in self.done:
            self.done.add((store, workload, repeat))
            self.result.outcomes.setdefault((store, workload), []).append(figures)
        if "version" in figures:
            self.result.versions[store] = figures["version"]


def bench(
    stores: Sequence[str], workloads: Sequence[str], result: Result, folder: Path, home: Path, told: Callable[[str, int, int], None]
) -> Result:
    """Run what is not in `folder` yet, with the databases under `home` (emptied of what was made). `told`: what runs, how many are done, of
    how many. ValueError, BenchFailed.
    """
    check_names(stores, workloads)
    kept = Kept(folder, result)
    plan = steps(stores, workloads, result.repeats)
    left = [s for s in plan if s not in kept.done]
    images = {s: home / f"image-{s}" for s in stores}
    home.mkdir(parents=True, exist_ok=True)
    try:
        for i, (store, workload, repeat) in enumerate(left):
            told(f"{workload} on {store}, repeat {repeat + 1} of {result.repeats}", len(plan) - len(left) + i, len(plan))
            on_image = workload in ON_IMAGE or (workload in WORKLOADS and workload not in WRITES)
            if (on_image or workload == IMAGE) and not images[store].exists():
                made = call(Job(store, IMAGE, result.n, result.seed, str(images[store]), None, result.value, result.budget))
                kept.add(store, IMAGE, 0, made)
            if workload == IMAGE:
                continue
            path = home / f"run-{store}"
            shutil.rmtree(path, ignore_errors=True)
            image = str(images[store]) if on_image else None
            job = Job(store, workload, result.n, result.seed + repeat, str(path), image, result.value, result.budget)
            kept.add(store, workload, repeat, call(job))
            shutil.rmtree(path, ignore_errors=True)
    finally:
        for place in (*images.values(), *(home / f"run-{s}" for s in (*stores, NONE))):
            shutil.rmtree(place, ignore_errors=True)
    return result
