"""What `lsmlab bench kv` measures that is no plain loop: tails, fsync, opening after a kill, threads, and what the ledger costs.

Each function does one job in a process of its own, as bench_worker.run does, and gives figures by name.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from .bench_series import NONE, write
from .bench_worker import MULTI, Failed, Job, sample
from .measure.clocks import wall_and_waited
from .processes import command, environment
from .stores import shares
from .workloads import keys_of

SUSTAINED = 3_000_000
COMMITS = 480  # durable ones, of one thread; four times as many of several together
OPENS = 9
ROUNDS = 40  # of the ledger's cost: on, off, off, on
STEP = 2_000  # operations between two looks at the clock
FULL = 0.75  # of the write buffer, by the bytes of the user, is in the log when the process is killed
Figures = dict[str, Any]


def sustained(job: Job) -> Figures:
    """Single puts of random keys without a pause, each timed by the wall's clock; the store "none" is the empty loop."""
    store = None if job.store == NONE else job.open()
    put = (lambda key, value: None) if store is None else store.put
    made = write(put, 0, job.seed, puts_wanted=min(3 * job.n, SUSTAINED), value_bytes=job.value)
    if store is not None:
        store.close()
    made.store = job.store
    tails = {"p50": made.percentile(50), "p99": made.percentile(99), "p999": made.percentile(99.9)}
    return {"operations": made.puts, "seconds": made.seconds, **tails, "max": made.longest, "stalls": made.stalls, "series": made.to_dict()}


def synced(job: Job, threads: int) -> Figures:
    """Commits that are on the disk when they return, by so many threads."""
    store = job.open(durable=True)
    count = COMMITS if threads == 1 else 4 * COMMITS  # a sync takes several of them
    keys, values = keys_of(np.arange(count), "dense"), job.values(np.arange(count))
    put, alone, failed = store.put, threading.Lock(), list[BaseException]()

    def taken(key: bytes, value: bytes) -> None:
        with alone:
            put(key, value)

    do = put if store.threads_share or threads == 1 else taken

    def work(part: int) -> None:
        try:
            for key, value in zip(keys[part::threads], values[part::threads], strict=True):
                do(key, value)
        except BaseException as e:
            failed.append(e)

    put(b"first", b"commit")  # makes the log
    began = time.perf_counter()
    _together(work, threads)
    seconds = time.perf_counter() - began
    if failed:
        raise failed[0]
    sample(store, keys, values)
    store.close()
    return {"operations": count, "seconds": seconds}


def _together(work: Callable[[int], None], threads: int) -> None:
    group = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for t in group:
        t.start()
    for t in group:
        t.join()


def threaded_reads(job: Job) -> Figures:
    """get_many by four threads against one. A thread's time is the wall's less what it waited for a core; the slowest counts."""
    keys = keys_of(np.random.default_rng(job.seed).integers(0, job.n, job.reads - job.reads % (4 * MULTI)), "dense")
    groups = [keys[i : i + MULTI] for i in range(0, len(keys), MULTI)]
    assert job.image is not None
    store = job.open(Path(job.image))
    store.only_reads()
    deque(store.scan(), maxlen=0)

    def rate(threads: int) -> float:
        spent = [0.0] * threads

        def work(part: int) -> None:
            get_many, (began, waited) = store.get_many, wall_and_waited()
            for group in groups[part::threads]:
                get_many(group)
            ended, waited_after = wall_and_waited()
            spent[part] = (ended - began) - (waited_after - waited)

        _together(work, threads)
        return len(keys) / max(spent)

    rates = [(rate(1), rate(4)) for _ in range(3)]
    store.close()
    one, four = (statistics.median(r) for r in zip(*rates, strict=True))
    return {"one": one, "four": four, "scaling": statistics.median(b / a for a, b in rates)}


def load_and_die(job: Job) -> Figures:
    """Fill the log with as much as is not flushed yet, and end as a kill ends it."""
    keys, values = _logged(job)
    put = job.open().put
    for key, value in zip(keys, values, strict=True):
        put(key, value)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _logged(job: Job) -> tuple[list[bytes], list[bytes]]:
    ids = np.random.default_rng(job.seed).permutation(min(job.n, int(shares(job.budget)[0] * FULL) // (16 + job.value)))
    return keys_of(ids, "dense"), job.values(ids)


def open_after_kill(job: Job) -> Figures:
    """Seconds to open a store whose process was killed with a log that is full."""
    child = replace(job, workload="load-and-die")
    done = subprocess.run(
        command("bench_worker"), env=environment(), input=json.dumps(asdict(child)), capture_output=True, text=True, check=False
    )
    if done.returncode != -signal.SIGKILL:
        raise Failed(f"the process to be killed ended with {done.returncode}: {done.stderr[-300:]}")
    _warm_up(job)
    store, seconds = _opened(job, Path(job.path))
    keys, values = _logged(job)
    sample(store, keys, values)
    store.close()
    return {"puts": len(keys), "open": seconds}


def open_clean(job: Job) -> Figures:
    """Median seconds to open the image, which was closed in order."""
    assert job.image is not None
    _warm_up(job)
    took = []
    for _ in range(OPENS):
        store, seconds = _opened(job, Path(job.image))
        took.append(seconds)
        store.close()
    return {"open": statistics.median(took)}


def _warm_up(job: Job) -> None:
    """Import what opening imports, and run it once."""
    path = Path(f"{job.path}-warm")
    job.open(path).close()
    shutil.rmtree(path)


def _opened(job: Job, path: Path) -> tuple[Any, float]:
    began, waited = wall_and_waited()
    store = job.open(path)
    ended, waited_after = wall_and_waited()
    return store, (ended - began) - (waited_after - waited)


def ledger_cost(job: Job) -> Figures:
    """What counting adds to a put, a get, a get_many and a scan, as shares: steps with and without take turns in one process."""
    assert job.image is not None
    shutil.copytree(job.image, job.path)
    db: Any = job.open().db  # type: ignore[attr-defined]
    deque(db.scan(), maxlen=0)
    picked = np.random.default_rng(job.seed).integers(0, job.n, STEP)
    keys, values = keys_of(picked, "dense"), job.values(picked, 1)
    groups = [keys[i : i + MULTI] for i in range(0, STEP, MULTI)]
    work: dict[str, Callable[[], Iterable[Any]]] = {
        "get": lambda: map(db.get, keys),
        "get-many": lambda: map(db.get_many, groups),
        "scan": lambda: db.scan(limit=STEP),
        "put": lambda: map(db.put, keys, values),
    }
    costs = {what: _cost(db, make) for what, make in work.items()}
    db.env.count(db.ledger)
    db.close()
    return costs


def _cost(db: Any, make: Callable[[], Iterable[Any]]) -> float:
    ratios = []
    for _ in range(ROUNDS):
        spent = {True: 0.0, False: 0.0}
        for counts in (True, False, False, True):
            db.env.count(db.ledger if counts else None)
            began, waited = wall_and_waited()
            deque(make(), maxlen=0)
            ended, waited_after = wall_and_waited()
            spent[counts] += (ended - began) - (waited_after - waited)
        ratios.append(spent[True] / spent[False])
    return statistics.median(ratios) - 1


SPECIAL: dict[str, Callable[[Job], Figures]] = {
    "sustained": sustained,
    "fsync-1": lambda job: synced(job, 1),
    "fsync-16": lambda job: synced(job, 16),
    "get-threads": threaded_reads,
    "open-killed": open_after_kill,
    "open-clean": open_clean,
    "ledger": ledger_cost,
    "load-and-die": load_and_die,
}
OWN = ("get-threads", "ledger")
"""Of this engine alone."""
ON_IMAGE = ("get-threads", "open-clean", "ledger")
