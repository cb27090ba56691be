"""One workload on one store in one process: `python -m experiments.bench_worker`, a job as JSON on stdin, the outcome as JSON on stdout.

Everything the loop needs is drawn before the clock starts. The time is the wall's less the time this thread waited for a core
(/proc/thread-self/schedstat), so that a busy machine blurs the comparison less. Peak memory is the peak of the resident set during the
opening and the loop, less what the process held before the store was opened.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .stores import STORES, Store
from .workloads import INSERT, MIXES, READ, RMW, SCAN, UPDATE, Values, keys_of, mixed, pick

VALUE_BYTES = 100
BATCH = 1000
MULTI = 100
SEEK = 50


@dataclass(frozen=True)
class Job:
    """What one process does: a workload over `n` records; `image` is a compacted store to start from, or None for an empty one."""

    store: str
    workload: str
    n: int
    seed: int
    path: str
    image: str | None = None


class Failed(Exception):
    """The store gave a wrong answer."""


def clock() -> tuple[float, float]:
    """Wall seconds, and seconds that this thread waited for a core."""
    waited = Path("/proc/thread-self/schedstat").read_text().split()[1]
    return time.perf_counter(), int(waited) / 1e9


def memory(field: str) -> int:
    """Bytes of a field of /proc/self/status: VmRSS now, VmHWM the peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(field)


Loop = tuple[int, Callable[[Store], Any], Callable[[Store, Any], None]]  # number of operations, what is timed, what is checked after


def put_loop(job: Job, order: str) -> Loop:
    """Single puts: ascending, or in a random order over an empty store or over the image."""
    ids = np.arange(job.n) if order == "ascending" else np.random.default_rng(job.seed).permutation(job.n)
    generation = int(job.workload == "overwrite")
    keys, values = keys_of(ids, "dense"), Values(VALUE_BYTES).of(ids, generation)

    def loop(store: Store) -> None:
        put = store.put
        for key, value in zip(keys, values, strict=True):
            put(key, value)

    return job.n, loop, lambda store, _: sample(store, keys, values)


def batch_loop(job: Job) -> Loop:
    """Batches of a thousand puts in a random order."""
    ids = np.random.default_rng(job.seed).permutation(job.n)
    keys, values = keys_of(ids, "dense"), Values(VALUE_BYTES).of(ids)
    batches = [(keys[i : i + BATCH], values[i : i + BATCH]) for i in range(0, job.n, BATCH)]

    def loop(store: Store) -> None:
        put_batch = store.put_batch
        for some_keys, some_values in batches:
            put_batch(some_keys, some_values)

    return job.n, loop, lambda store, _: sample(store, keys, values)


def get_loop(job: Job, distribution: Any, *, missing: bool = False) -> Loop:
    """Single gets."""
    ids = pick(np.random.default_rng(job.seed), distribution, job.n, job.n)
    keys = keys_of(ids, "dense", missing=missing)

    def loop(store: Store) -> None:
        get = store.get
        for key in keys:
            get(key)

    return job.n, loop, lambda store, _: sample(store, keys, [None] * len(keys) if missing else Values(VALUE_BYTES).of(ids))


def multi_loop(job: Job) -> Loop:
    """A hundred keys at once."""
    keys = keys_of(pick(np.random.default_rng(job.seed), "uniform", job.n, job.n - job.n % MULTI), "dense")
    groups = [keys[i : i + MULTI] for i in range(0, len(keys), MULTI)]

    def loop(store: Store) -> None:
        get_many = store.get_many
        for group in groups:
            get_many(group)

    return len(keys), loop, lambda store, _: _require(len(list(store.get_many(groups[0]))) >= len(set(groups[0])), "get_many gave too few")


def scan_loop(job: Job) -> Loop:
    """Every pair once, in order."""

    def loop(store: Store) -> None:
        deque(store.scan(), maxlen=0)

    def check(store: Store, _: Any) -> None:
        pairs = [(bytes(k), bytes(v)) for k, v in store.scan()]
        ids = np.arange(job.n)
        _require(pairs == list(zip(keys_of(ids, "dense"), Values(VALUE_BYTES).of(ids), strict=True)), "the scan is not what was written")

    return job.n, loop, check


def seek_loop(job: Job) -> Loop:
    """Fifty pairs from a random key on; counted in seeks."""
    count = max(1, job.n // 20)
    keys = keys_of(pick(np.random.default_rng(job.seed), "uniform", job.n - SEEK, count), "dense")

    def loop(store: Store) -> None:
        seek = store.seek
        for key in keys:
            seek(key, SEEK)

    return count, loop, lambda store, _: _require(store.seek(keys[0], SEEK)[0][0] == keys[0], "seek begins elsewhere")


def mix_loop(job: Job) -> Loop:
    """A YCSB mix."""
    mix = MIXES[job.workload]
    stream = mixed(mix, job.n, job.n // 10 if mix.scan else job.n, job.seed, "dense")
    values = Values(VALUE_BYTES).of(stream.ids, 1)
    rows = list(zip(stream.codes.tolist(), stream.keys(), values, stream.lengths.tolist(), strict=True))

    def loop(store: Store) -> None:
        put, get, seek = store.put, store.get, store.seek
        for code, key, value, length in rows:
            if code == READ:
                get(key)
            elif code in (UPDATE, INSERT):
                put(key, value)
            elif code == SCAN:
                seek(key, length)
            elif code == RMW:
                get(key)
                put(key, value)

    written = {key: value for code, key, value, _ in rows if code in (UPDATE, INSERT, RMW)}
    return len(rows), loop, lambda store, _: sample(store, list(written), list(written.values()))


def sample(store: Store, keys: list[bytes], values: list[Any]) -> None:
    """Compare a thousand answers with what was written last."""
    want = dict(zip(keys, values, strict=True))
    for key in list(want)[:: max(1, len(want) // 1000)]:
        got = store.get(key)
        _require((None if got is None else bytes(got)) == want[key], f"{store.name} gave a wrong value for {key!r}")


def _require(good: bool, what: str) -> None:
    if not good:
        raise Failed(what)


WRITES: dict[str, Callable[[Job], Loop]] = {
    "fillseq": lambda j: put_loop(j, "ascending"),
    "fillrandom": lambda j: put_loop(j, "random"),
    "fillbatch": batch_loop,
}
UPDATES: dict[str, Callable[[Job], Loop]] = {
    "overwrite": lambda j: put_loop(j, "random"),
    **dict.fromkeys(("ycsb-a", "ycsb-b", "ycsb-d", "ycsb-e", "ycsb-f"), mix_loop),
}
READS: dict[str, Callable[[Job], Loop]] = {
    "get-hot": lambda j: get_loop(j, "hot"),
    "get-uniform": lambda j: get_loop(j, "uniform"),
    "get-zipf": lambda j: get_loop(j, "zipfian"),
    "get-missing": lambda j: get_loop(j, "uniform", missing=True),
    "get-many": multi_loop,
    "scan": scan_loop,
    "seek": seek_loop,
    "ycsb-c": mix_loop,
}
WORKLOADS: dict[str, Callable[[Job], Loop]] = {**WRITES, **READS, **UPDATES}
IMAGE = "image"


def build_image(job: Job) -> None:
    """Fill an empty store at job.path in a random order and bring it into its settled form."""
    store = STORES[job.store](Path(job.path))
    ids = np.random.default_rng(job.seed).permutation(job.n)
    keys, values = keys_of(ids, "dense"), Values(VALUE_BYTES).of(ids)
    for i in range(0, job.n, BATCH):
        store.put_batch(keys[i : i + BATCH], values[i : i + BATCH])
    store.compact()
    store.close()


def run(job: Job) -> dict[str, float]:
    """Do the job; give operations, seconds, and bytes of peak memory above the process's own."""
    path = Path(job.path)
    count, loop, check = WORKLOADS[job.workload](job)
    if job.image and job.workload in UPDATES:
        shutil.copytree(job.image, path)
    elif job.image:
        path = Path(job.image)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts over
    before = memory("VmRSS")
    store = STORES[job.store](path)
    if job.workload in READS:
        store.only_reads()
    if job.image:
        deque(store.scan(), maxlen=0)  # warm
    started, waited = clock()
    outcome = loop(store)
    ended, waited_after = clock()
    peak = memory("VmHWM") - before
    check(store, outcome)
    store.close()
    return {"operations": count, "seconds": (ended - started) - (waited_after - waited), "wall": ended - started, "peak": peak}


def main() -> None:
    """Read the job, run it, print the outcome."""
    job = Job(**json.load(sys.stdin))
    if job.workload == IMAGE:
        build_image(job)
        print(json.dumps({"version": STORES[job.store].version()}))
    else:
        print(json.dumps(run(job)))


if __name__ == "__main__":
    main()
