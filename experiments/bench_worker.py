"""One workload on one store in one process: `python -m experiments.bench_worker`, a job as JSON on stdin, the outcome as JSON on stdout.

Everything the loop needs is drawn before the clock starts. The time is the wall's less the time this thread waited for a core
(/proc/thread-self/schedstat), so that a busy machine blurs the comparison less. Peak memory is the peak of the resident set during the
opening and the loop, less what the process held before the store was opened.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .measure.clocks import wall_and_waited
from .stores import BUDGET, STORES, Store
from .workloads import INSERT, MIXES, READ, RMW, SCAN, UPDATE, Values, keys_of, mixed, pick

VALUE_BYTES = 100
BATCH = 1000
MULTI = 100
SEEK = 50
MOST_READS = 1_000_000  # a loop over more records reads as often as one over a million


@dataclass(frozen=True)
class Job:
    """What one process does: a workload over `n` records; `image` is a compacted store to start from, or None for an empty one."""

    store: str
    workload: str
    n: int
    seed: int
    path: str
    image: str | None = None
    value: int = VALUE_BYTES
    budget: int = BUDGET

    def open(self, path: Path | None = None, durable: bool = False) -> Store:
        """The store at a path, at its own unless given."""
        return STORES[self.store](path or Path(self.path), self.budget, durable)

    def values(self, ids: Any, generation: int = 0) -> list[bytes]:
        """Values of records."""
        return Values(self.value).of(ids, generation)

    @property
    def reads(self) -> int:
        """How many operations a loop of reads does."""
        return min(self.n, MOST_READS)


class Failed(Exception):
    """The store gave a wrong answer."""


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
    keys, values = keys_of(ids, "dense"), job.values(ids, generation)

    def loop(store: Store) -> None:
        put = store.put
        for key, value in zip(keys, values, strict=True):
            put(key, value)

    return job.n, loop, lambda store, _: sample(store, keys, values)


def delete_loop(job: Job) -> Loop:
    """Single deletes of every record in a random order."""
    keys = keys_of(np.random.default_rng(job.seed).permutation(job.n), "dense")

    def loop(store: Store) -> None:
        delete = store.delete
        for key in keys:
            delete(key)

    return job.n, loop, lambda store, _: sample(store, keys, [None] * len(keys))


def batch_loop(job: Job) -> Loop:
    """Batches of a thousand puts in a random order."""
    ids = np.random.default_rng(job.seed).permutation(job.n)
    keys, values = keys_of(ids, "dense"), job.values(ids)
    batches = [(keys[i : i + BATCH], values[i : i + BATCH]) for i in range(0, job.n, BATCH)]

    def loop(store: Store) -> None:
        put_batch = store.put_batch
        for some_keys, some_values in batches:
            put_batch(some_keys, some_values)

    return job.n, loop, lambda store, _: sample(store, keys, values)


def packed_loop(job: Job) -> Loop:
    """The same batches as buffers, which this engine takes as they are."""
    ids = np.random.default_rng(job.seed).permutation(job.n)
    keys, values = keys_of(ids, "dense"), job.values(ids)
    key_lens, value_lens = np.full(BATCH, len(keys[0]), np.uint32), np.full(BATCH, job.value, np.uint32)
    packed = [
        (b"".join(some), key_lens[: len(some)], b"".join(values[i : i + BATCH]), value_lens[: len(some)])
        for i in range(0, job.n, BATCH)
        for some in [keys[i : i + BATCH]]
    ]

    def loop(store: Any) -> None:
        put_packed = store.db.put_packed
        for batch in packed:
            put_packed(*batch)

    return job.n, loop, lambda store, _: sample(store, keys, values)


def get_loop(job: Job, distribution: Any, *, missing: bool = False) -> Loop:
    """Single gets."""
    ids = pick(np.random.default_rng(job.seed), distribution, job.n, job.reads)
    keys = keys_of(ids, "dense", missing=missing)

    def loop(store: Store) -> None:
        get = store.get
        for key in keys:
            get(key)

    return len(keys), loop, lambda store, _: sample(store, keys, [None] * len(keys) if missing else job.values(ids))


def multi_loop(job: Job) -> Loop:
    """A hundred keys at once."""
    keys = keys_of(pick(np.random.default_rng(job.seed), "uniform", job.n, job.reads - job.reads % MULTI), "dense")
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
        _require(pairs == list(zip(keys_of(ids, "dense"), job.values(ids), strict=True)), "the scan is not what was written")

    return job.n, loop, check


def chunk_loop(job: Job) -> Loop:
    """Every pair once, in chunks of packed bytes."""

    def check(store: Any, _: Any) -> None:
        chunks = list(store.db.scan_chunks())
        _require(sum(map(len, chunks)) == job.n and chunks[0].pairs()[0][0] == keys_of(np.arange(1), "dense")[0], "the chunks lack some")

    return job.n, lambda store: deque(store.db.scan_chunks(), maxlen=0), check


def arrow_loop(job: Job) -> Loop:
    """Every pair once, in Arrow record batches."""
    import pyarrow  # noqa: F401 (else the loop would load it)

    def check(store: Any, _: Any) -> None:
        _require(sum(b.num_rows for b in store.db.scan_arrow()) == job.n, "the record batches lack some")

    return job.n, lambda store: deque(store.db.scan_arrow(), maxlen=0), check


def seek_loop(job: Job) -> Loop:
    """Fifty pairs from a random key on; counted in seeks."""
    count = max(1, job.reads // 20)
    keys = keys_of(pick(np.random.default_rng(job.seed), "uniform", job.n - SEEK, count), "dense")

    def loop(store: Store) -> None:
        seek = store.seek
        for key in keys:
            seek(key, SEEK)

    return count, loop, lambda store, _: _require(store.seek(keys[0], SEEK)[0][0] == keys[0], "seek begins elsewhere")


def mix_loop(job: Job) -> Loop:
    """A YCSB mix."""
    mix = MIXES[job.workload]
    stream = mixed(mix, job.n, job.reads // 10 if mix.scan else job.reads, job.seed, "dense")
    values = job.values(stream.ids, 1)
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
    "put-buffers": packed_loop,
}
UPDATES: dict[str, Callable[[Job], Loop]] = {
    "overwrite": lambda j: put_loop(j, "random"),
    "delete": delete_loop,
    **dict.fromkeys(("ycsb-a", "ycsb-b", "ycsb-d", "ycsb-e", "ycsb-f"), mix_loop),
}
READS: dict[str, Callable[[Job], Loop]] = {
    "get-hot": lambda j: get_loop(j, "hot"),
    "get-uniform": lambda j: get_loop(j, "uniform"),
    "get-zipf": lambda j: get_loop(j, "zipfian"),
    "get-missing": lambda j: get_loop(j, "uniform", missing=True),
    "get-many": multi_loop,
    "scan": scan_loop,
    "scan-chunks": chunk_loop,
    "scan-arrow": arrow_loop,
    "seek": seek_loop,
    "ycsb-c": mix_loop,
}
WORKLOADS: dict[str, Callable[[Job], Loop]] = {**WRITES, **READS, **UPDATES}
OURS = ("put-buffers", "scan-chunks", "scan-arrow")
"""Workloads of ways in and out that only this engine has."""
IMAGE = "image"


def build_image(job: Job) -> dict[str, Any]:
    """Fill an empty store at job.path in a random order and bring it into its settled form. Give what that wrote and what it left."""
    ids = np.random.default_rng(job.seed).permutation(job.n)
    keys, values = keys_of(ids, "dense"), job.values(ids)
    before = written_bytes()
    store = job.open()
    for i in range(0, job.n, BATCH):
        store.put_batch(keys[i : i + BATCH], values[i : i + BATCH])
    store.compact()
    store.close()
    user = job.n * (len(keys[0]) + job.value)
    space = sum(p.stat().st_blocks * 512 for p in Path(job.path).rglob("*") if p.is_file())
    return {"version": STORES[job.store].version(), "written": (written_bytes() - before) / user, "space": space / user}


def written_bytes() -> int:
    """Bytes that this process had written to files, mapped ones too, as the system counts them: by pages."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


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
    store = job.open(path)
    if job.workload in READS:
        store.only_reads()
    if job.image:
        deque(store.scan(), maxlen=0)  # warm
    started, waited = wall_and_waited()
    outcome = loop(store)
    ended, waited_after = wall_and_waited()
    peak = memory("VmHWM") - before
    check(store, outcome)
    store.close()
    return {"operations": count, "seconds": (ended - started) - (waited_after - waited), "wall": ended - started, "peak": peak}


def main() -> None:
    """Read the job, run it, print the outcome."""
    from .bench_kv_special import SPECIAL

    job = Job(**json.load(sys.stdin))
    do = build_image if job.workload == IMAGE else SPECIAL.get(job.workload, run)
    print(json.dumps(do(job)))


if __name__ == "__main__":
    main()
