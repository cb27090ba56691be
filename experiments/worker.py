"""One run in one fresh process: `python -m experiments.worker`, {"config", "folder", "keep"} as JSON on stdin, the path of the record on
stdout.

Phases: load (a seeded order, in batches), run (each operation timed; the first share `warmup` is left out of the samples), then two
probes of the tree as it stands, keys that exist and keys that do not, whose block counts are what the models predict. Block accesses of
the run are recorded and replayed at many capacities against each policy and Belady's bound.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eviction
import lsm

from . import traces
from .bench_worker import clock
from .processes import version
from .results import Record, write
from .suite import TRACE, run_id
from .workloads import DELETE, INSERT, RMW, SCAN, UPDATE, Mix, Stream, Values, keys_of, mixed, replayed

BATCH = 1_000
CURVE_POINTS = 10
MAX_ACCESSES = 2_000_000
NOT_DATA = ("LOCK",)


def draw(config: Mapping[str, Any]) -> tuple[Stream, str, list[dict[str, Any]]]:
    """The stream of a configuration, where it comes from in words, and the hit-ratio curves of the trace itself when it is one."""
    seed = config["seed"]
    if config["workload"] != TRACE:
        mix = Mix(**config["mix"])
        return mixed(mix, config["records"], config["operations"], seed), f"{config['workload']}: {mix}", []
    t = config["trace"]
    trace = traces.find(t["path"], t["requests"], seed)
    stream = replayed(trace.keys.astype(np.int64), t["update_share"], seed)
    return stream, trace.source, curves(trace.keys, config["curves"], "trace")


def curves(accesses: NDArray[np.uint64], policies: list[str], stream: str) -> list[dict[str, Any]]:
    """Hit ratio of each policy at capacities spread evenly in ratio from 1 % of the distinct blocks to all of them."""
    if not len(accesses) or not policies:
        return []
    distinct = len(np.unique(accesses))
    blocks = sorted({max(1, int(b)) for b in np.geomspace(max(1, distinct / 100), distinct, CURVE_POINTS)})
    return [
        {
            "stream": stream,
            "policy": policy,
            "blocks": blocks,
            "hit_ratio": [float(r.hit_ratio) for r in eviction.replay(policy, accesses, sizes=blocks)],
        }
        for policy in policies
    ]


def load_plugins(config: Mapping[str, Any]) -> None:
    """Run the suite's plug-in files: they register kinds. Raises ValueError when a file is no longer the one that was configured."""
    for name, digest in config["plugins"].items():
        path = Path(config["plugin_folder"]) / name
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ValueError(f"{path} has changed since the run was configured")
        spec = importlib.util.spec_from_file_location(f"lsmlab_plugin_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)


def ledger(phase: str, before: Mapping[Any, tuple[int, int]], after: Mapping[Any, tuple[int, int]]) -> list[dict[str, Any]]:
    """Rows of what was counted between two readings."""
    rows = []
    for key, (count, size) in after.items():
        old_count, old_size = before.get(key, (0, 0))
        if (count, size) != (old_count, old_size):
            operation, level, component, cause = key
            rows.append(
                {
                    "phase": phase,
                    "operation": operation,
                    "level": level,
                    "component": component,
                    "cause": cause,
                    "count": count - old_count,
                    "bytes": size - old_size,
                }
            )
    return rows


class Observer:
    """Readings of the engine's ledger and counters, phase by phase, and of the tree's shape over time."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.rows: list[dict[str, Any]] = []
        self.counters: dict[str, dict[str, int]] = {}
        self.series: list[dict[str, Any]] = []
        self._ledger, self._counters = self._read()

    def _read(self) -> tuple[dict[Any, tuple[int, int]], dict[str, int]]:
        stats = self.db.stats()
        table = {(r["operation"], r["level"], r["component"], r["cause"]): (r["count"], r["bytes"]) for r in stats.rows()}
        return table, dict(stats.counters)

    def phase(self, name: str) -> None:
        """What happened since the last phase belongs to this one."""
        table, counters = self._read()
        self.rows += ledger(name, self._ledger, table)
        self.counters[name] = {k: v - self._counters.get(k, 0) for k, v in counters.items()}
        self._ledger, self._counters = table, counters

    def sample(self, operations: int, seconds: float) -> None:
        """Take one row of the time series."""
        stats = self.db.stats()
        written = stats.bytes(op="write", cause="flush") + stats.bytes(op="write", cause="compaction")
        levels = [
            {"level": lv.level, "runs": lv.runs, "tables": lv.tables, "bytes": lv.bytes, "entries": lv.entries} for lv in self.db.levels()
        ]
        self.series.append(
            {
                "operations": operations,
                "seconds": seconds,
                "user_bytes": stats.counters["user_bytes"],
                "written_bytes": written,
                "levels": levels,
            }
        )


def play(db: Any, stream: Stream, values: list[bytes], observer: Observer, samples: int) -> tuple[NDArray[np.uint32], float]:
    """Do every operation, timing each; sample the tree in between. Gives nanoseconds per operation and the seconds of the whole."""
    put, get, delete, scan = db.put, db.get, db.delete, db.scan
    rows = list(zip(stream.codes.tolist(), stream.keys(), values, stream.lengths.tolist(), strict=True))
    latency = np.zeros(len(rows), np.uint32)
    now: Callable[[], int] = time.perf_counter_ns
    seconds = 0.0
    edges = np.unique(np.linspace(0, len(rows), samples + 1).astype(int)).tolist()
    for first, last in pairwise(edges):
        times = []
        began, waited = clock()
        for code, key, value, length in rows[first:last]:
            start = now()
            if code in (UPDATE, INSERT):
                put(key, value)
            elif code == SCAN:
                list(scan(key, limit=length))
            elif code == DELETE:
                delete(key)
            else:
                get(key)
                if code == RMW:
                    put(key, value)
            times.append(now() - start)
        ended, waited_after = clock()
        seconds += (ended - began) - (waited_after - waited)
        latency[first:last] = np.minimum(times, 2**32 - 1)
        observer.sample(last, seconds)
    return latency, seconds


def load(db: Any, stream: Stream, values: Values, seed: int) -> None:
    """Put the records that exist before the run, in a seeded order, in batches; wait until the tree is quiet."""
    ids = np.random.default_rng([seed, 1]).permutation(stream.loaded)
    keys, load_values = keys_of(ids, stream.numbering), values.of(ids)
    for i in range(0, len(keys), BATCH):
        db.put_many(keys[i : i + BATCH], load_values[i : i + BATCH])
    db.wait()


def execute(config: Mapping[str, Any], home: Path, keep: bool) -> Record:
    """Do the run with its database under `home` (removed unless keep). Raises what the engine raises."""
    load_plugins(config)
    stream, source, trace_curves = draw(config)
    values = Values(config["trace"]["value_bytes"] if config["workload"] == TRACE else config["value_bytes"], config["seed"])
    run_values = values.of(stream.ids, 1)
    path = home / "db"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with lsm.open(path, config["options"]) as db:
        options = db.options.to_dict()
        observer = Observer(db)
        load(db, stream, values, config["seed"])
        observer.phase("load")
        observer.sample(0, 0.0)
        with db.record_block_accesses(MAX_ACCESSES) as accesses:
            latency, seconds = play(db, stream, run_values, observer, config["samples"])
        db.flush()
        db.wait()
        observer.phase("run")
        observer.sample(len(stream), seconds)
        probe(db, stream, observer, config["probes"], config["seed"])
        final = observer.series[-1]["levels"]
    skip = int(len(stream) * config["warmup"])
    summary = {
        "operations": len(stream),
        "seconds": seconds,
        "throughput": len(stream) / seconds,
        "accesses": len(accesses),
        "levels": len(final),
    }
    record = Record(
        id=run_id(config),
        suite=config["suite"],
        workload=config["workload"],
        seed=config["seed"],
        stream=stream.digest(),
        source=source,
        point=config["point"],
        config=config,
        options=options,
        machine=machine(),
        versions=versions(),
        summary=summary,
        counters=observer.counters,
        files=digests(path),
        latency_ns=latency[skip:],
        codes=stream.codes[skip:],
        ledger=tuple(observer.rows),
        series=tuple(observer.series),
        curves=(*trace_curves, *curves(accesses.keys, config["curves"], "blocks")),
    )
    if not keep:
        shutil.rmtree(home)
    return record


def probe(db: Any, stream: Stream, observer: Observer, count: int, seed: int) -> None:
    """Look up `count` records evenly drawn, then as many keys beside them that do not exist. Raises ValueError when an answer is wrong."""
    if not count:
        return
    ids = np.random.default_rng([seed, 2]).integers(0, stream.loaded, count)
    deleted = DELETE in stream.codes
    for phase, missing in (("hits", False), ("misses", True)):
        found = sum(db.get(key) is not None for key in keys_of(ids, stream.numbering, missing=missing))
        if found != (0 if missing else count) and (missing or not deleted):
            raise ValueError(f"{found} of {count} probes found a value where {'none' if missing else 'all'} should")
        observer.phase(phase)


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of every file of a closed database, by name."""
    return {
        str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(path.rglob("*"))
        if p.is_file() and p.name not in NOT_DATA
    }


def machine() -> dict[str, Any]:
    """What the run ran on."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": model, "cores": os.cpu_count(), "memory_bytes": memory, "system": platform.platform(), "load": os.getloadavg()[0]}


def versions() -> dict[str, str]:
    """Versions of what took part."""
    names = ("lsmlab", "numpy", "cffi", "pyarrow")
    return {"python": platform.python_version(), **{n: version(n) for n in names}}


def main() -> None:
    """Read the order, run it, store the record."""
    order = json.load(sys.stdin)
    folder = Path(order["folder"])
    record = execute(order["config"], folder / "work" / run_id(order["config"]), order["keep"])
    print(write(record, folder))


if __name__ == "__main__":
    main()
