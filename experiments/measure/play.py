"""Playing a stream: every operation in its turn, timed one by one, in a closed or an open loop.

In an open loop an operation has a time at which it is due. One that could not begin then is late, and the wait counts: its latency runs
from when it was due to when it was done (the correction for coordinated omission, Tene; YCSB's intended time). A closed loop asks for the
next operation when the one before is done, so a stall hides all operations that it held up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..workloads import DELETE, EMPTY_DELETE, EMPTY_SCAN, INSERT, MERGE, RANGE_DELETE, RMW, SCAN, UPDATE, Stream
from .clocks import TimedBy, Virtual
from .contestants import Contestant
from .observe import Events, Observer

Times = NDArray[np.int64]


@dataclass(frozen=True)
class Played:
    """Nanoseconds of each operation from its begin ("service") and, in an open loop, from when it was due ("intended"); busy seconds of the
    whole and after the warm-up; seconds by the clock from the first to the last operation."""

    service: Times
    intended: Times | None
    seconds: float
    seconds_after_warmup: float
    elapsed: float


def play(
    store: Contestant,
    stream: Stream,
    values: list[bytes],
    observer: Observer,
    clock: TimedBy,
    *,
    samples: int,
    skip: int,
    due: Times | None = None,
    events: Events | None = None,
) -> Played:
    """Do every operation; sample in between; what comes before operation `skip` is the phase "warmup". due: an open loop."""
    rows = list(zip(stream.codes.tolist(), stream.keys(), values, stream.lengths.tolist(), stream.stops(), strict=True))
    service = np.zeros(len(rows), np.int64)
    intended = None if due is None else np.zeros(len(rows), np.int64)
    edges = np.unique([*np.linspace(0, len(rows), samples + 1).astype(int), skip]).tolist()
    if events is not None:
        events.begin()  # their times count from the same moment
    began = clock.now()
    seconds = warm_seconds = 0.0
    for first, last in pairwise(edges):
        if events is not None:
            events.operation = first
        wanted = None if due is None else (due[first:last] + began).tolist()
        from_ = clock.busy()
        took, late = _stretch(store, rows[first:last], wanted, observer, clock)
        seconds += clock.busy() - from_
        service[first:last] = took
        if intended is not None:
            intended[first:last] = late
        observer.sample(last, seconds, (clock.now() - began) / 1e9, service[first:last] if intended is None else intended[first:last])
        if last == skip:
            warm_seconds = seconds
            observer.phase("warmup")
    return Played(service, intended, seconds, seconds - warm_seconds, (clock.now() - began) / 1e9)


def _stretch(store: Contestant, rows: list[Any], due: list[int] | None, observer: Observer, clock: TimedBy) -> tuple[list[int], list[int]]:
    """The operations of one interval: nanoseconds of each, and nanoseconds since each was due."""
    put, get, delete, span, delete_range, now = store.put, store.get, store.delete, store.range, store.delete_range, clock.now
    times: list[int] = []
    late: list[int] = []
    written = returned = 0
    cpu = clock.cpu_ns if isinstance(clock, Virtual) else 0
    for i, (code, key, value, length, stop) in enumerate(rows):
        if due is not None:
            clock.wait_until(due[i])
        found: Any = None
        start = now()
        if cpu:
            clock.wait_until(start + cpu)
        if code in (UPDATE, INSERT):
            put(key, value)
        elif code in (SCAN, EMPTY_SCAN):
            found = span(key, stop, length)
        elif code in (DELETE, EMPTY_DELETE):
            delete(key)
        elif code == RANGE_DELETE:
            delete_range(key, stop)
        else:
            found = get(key)
            if code in (RMW, MERGE):
                put(key, value)
        end = now()
        times.append(end - start)
        if due is not None:
            late.append(end - due[i])
        if code in (UPDATE, INSERT, RMW, MERGE):
            written += len(key) + len(value)
        elif code in (DELETE, EMPTY_DELETE):
            written += len(key)
        if found is not None:
            returned += sum(len(k) + len(v) for k, v in found) if code in (SCAN, EMPTY_SCAN) else len(key) + len(found)
    observer.user_bytes += written
    observer.returned_bytes += returned
    return times, late


def due_times(stream: Stream, arrivals: str, rate: float, seed: int) -> Times:
    """When each operation of an open loop is due, in ns from its start. ValueError when the workload has no arrivals of its own."""
    if arrivals == "workload":
        if stream.arrivals_ns is None:
            raise ValueError('arrivals = "workload": this one does not say when its operations come; allowed: even, poisson')
        return stream.arrivals_ns
    if arrivals == "poisson":
        return np.cumsum(np.random.default_rng([seed, 3]).exponential(1e9 / rate, len(stream))).astype(np.int64)
    return (np.arange(len(stream)) * (1e9 / rate)).astype(np.int64)
