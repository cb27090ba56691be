"""What `lsmlab trace` does: record a workload, replay a trace on a database, tell what is in one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lsm
import recovery

from .histogram import Histogram
from .recorder import Recorder
from .workloads import DELETE, EMPTY_DELETE, EMPTY_SCAN, INSERT, MERGE, RANGE_DELETE, RMW, SCAN, UPDATE, Values, Workload
from .workloads import operations as ops
from .workloads.traced import Traced

Told = Callable[[str, int], None]
STEP = 4096


def record(workload: Workload, records: int, operations: int, seed: int, value_bytes: int, path: Path, told: Told) -> int:
    """Play a workload on a database in memory and record its calls; what is loaded before is not in the trace. Gives the operations."""
    from .measure.trees import load

    stream = workload.draw(records, operations, seed)
    values = Values(value_bytes, seed)
    written = values.sized(stream.ids, stream.sizes, 1)
    with lsm.open("/recorded", {"threads": 0}, fs=recovery.memory()) as db:
        load(db, stream, values, seed)
        with Recorder(db, path) as recorded:
            rows = zip(stream.codes.tolist(), stream.keys(), written, stream.lengths.tolist(), stream.stops(), strict=True)
            for i, (code, key, value, length, stop) in enumerate(rows):
                if code in (UPDATE, INSERT):
                    recorded.put(key, value)
                elif code in (SCAN, EMPTY_SCAN):
                    recorded.range(key, stop, length)
                elif code in (DELETE, EMPTY_DELETE):
                    recorded.delete(key)
                elif code == RANGE_DELETE and stop is not None:
                    recorded.delete_range(key, stop)
                else:
                    recorded.get(key)
                    if code in (RMW, MERGE):
                        recorded.put(key, value)
                if i % STEP == 0:
                    told("recording", i)
    return len(stream)


def replay(path: Path, db: lsm.DB, *, timed: bool, told: Told) -> dict[str, Any]:
    """Make the calls of a trace of a database, as fast as it answers, or timed: no call earlier than it was then.

    Gives counts, seconds, percentiles in microseconds, and how many gets found something where the trace did not, or the other way
    round. What the trace found before it wrote it is put first. Raises TraceFileError.
    """
    stream = Traced(str(path)).draw(0, 1 << 62, 0)
    values = Values(0)
    names = stream.names or ()
    if stream.loaded:
        db.put_many(list(names[: stream.loaded]), values.sized(np.arange(stream.loaded), stream.load_sizes))
    written = values.sized(stream.ids, stream.sizes, 1)
    stops, done, differ = stream.stops(), 0, 0
    times = np.zeros(len(stream), np.int64)
    began = time.perf_counter_ns()
    for block in ops.read(path):
        for op, key, found, count in zip(block.op.tolist(), block.keys, block.found.tolist(), block.length.tolist(), strict=True):
            if timed and stream.arrivals_ns is not None:
                time.sleep(max(0.0, (int(stream.arrivals_ns[done]) - (time.perf_counter_ns() - began)) / 1e9))
            start = time.perf_counter_ns()
            if op == ops.GET:
                differ += (db.get(key) is not None) != bool(found)
            elif op == ops.PUT:
                db.put(key, written[done])
            elif op == ops.DELETE:
                db.delete(key)
            elif op == ops.SCAN:
                db.range(key, stops[done], limit=count)
            else:
                db.delete_range(key, stops[done] or key + b"\xff")
            times[done] = time.perf_counter_ns() - start
            done += 1
            if done % STEP == 0:
                told("replaying", done)
    seconds = (time.perf_counter_ns() - began) / 1e9
    told_of = Histogram.of(times)
    out: dict[str, Any] = {"operations": done, "seconds": seconds, "loaded": stream.loaded, "found_otherwise": differ}
    return out | {f"p{q:g}_us": told_of.percentile(q) / 1000 for q in (50, 99, 99.9, 100)}


def info(path: Path) -> dict[str, Any]:
    """What is in a trace: operations by kind, keys, bytes, seconds from the first to the last, hits of gets. Raises TraceFileError."""
    counts = np.zeros(len(ops.NAMES), np.int64)
    keys: set[bytes] = set()
    key_bytes = value_bytes = found = 0
    seconds = 0.0
    for block in ops.read(path):
        counts += np.bincount(block.op, minlength=len(ops.NAMES))
        keys.update(block.keys)
        key_bytes += sum(map(len, block.keys))
        value_bytes += int(block.length[block.op == ops.PUT].sum(dtype=np.int64))
        found += int(block.found[block.op == ops.GET].sum())
        seconds += float(block.gap_us.sum(dtype=np.int64)) / 1e6
    by_kind = {name: int(n) for name, n in zip(ops.NAMES, counts, strict=True)}
    return {
        "operations": int(counts.sum()), **by_kind, "distinct_keys": len(keys), "key_bytes": key_bytes, "value_bytes_put": value_bytes,
        "gets_found": found, "seconds": seconds, "file_bytes": path.stat().st_size,
    }  # fmt: skip
