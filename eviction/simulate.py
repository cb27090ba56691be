"""Replay: what hit ratio policies have on a trace at some cache sizes, many runs side by side over the cores."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import native, registry
from .traces import Trace, load

MAX_SIZE = 1 << 62
_SMALL = 1 << 18  # requests over all runs: below, threads cost more than they save


@dataclass(frozen=True)
class Result:
    """What one policy did at one size (in weight units: objects when every weight is 1).

    ``byte_hits`` and ``byte_misses`` are sums of the requests' weights, equal to hits and misses when every weight is 1. ``memory``: bytes
    that the run held for the cache (table, policy, ghosts; the trace is not in it), None where a policy does not tell. ``seconds``: of the
    processor.
    """

    policy: str
    size: int
    hits: int
    misses: int
    evictions: int = 0
    bypassed: int = 0
    ghost_hits: int = 0
    byte_hits: int = 0
    byte_misses: int = 0
    memory: int | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def requests(self) -> int:
        """Hits and misses together."""
        return self.hits + self.misses

    @property
    def hit_ratio(self) -> float:
        """Hits per request; 0 for an empty trace."""
        return self.hits / self.requests if self.requests else 0.0

    @property
    def byte_hit_ratio(self) -> float:
        """Bytes hit per byte requested; 0 for an empty trace."""
        total = self.byte_hits + self.byte_misses
        return self.byte_hits / total if total else 0.0


TraceLike = Trace | str | os.PathLike[str] | Iterable[int]
Weights = NDArray[np.uint32]


def as_trace(trace: TraceLike) -> Trace:
    """Return a trace from a path (see :func:`load`), an array or any iterable of integers 0 .. 2**64 - 1; ValueError otherwise."""
    if isinstance(trace, Trace):
        return Trace(_keys(trace.keys), trace.weights, trace.name)
    if isinstance(trace, str | os.PathLike):
        return load(Path(trace))
    return Trace(_keys(trace if isinstance(trace, np.ndarray) else list(trace)), None, "")


def _keys(values: NDArray[Any] | list[int]) -> NDArray[np.uint64]:
    keys = np.asarray(values)
    if keys.size == 0:
        return np.empty(0, np.uint64)
    if keys.ndim != 1:
        raise ValueError(f"a trace has one dimension, not {keys.ndim}")
    if keys.dtype.kind not in "iu":
        if isinstance(values, np.ndarray) or not all(isinstance(v, int) for v in values):
            raise ValueError(f"a trace holds integers, not {keys.dtype}")
        if not all(0 <= v < 1 << 64 for v in values):
            raise ValueError("a key is below 0 or above 2**64 - 1")
        keys = np.array(values, np.uint64)
    elif keys.dtype.kind == "i" and int(keys.min()) < 0:
        raise ValueError(f"a key is below 0: {int(keys.min())}")
    return np.ascontiguousarray(keys, np.uint64)


def _weights(given: Any, trace: Trace) -> Weights | None:
    """The weights to use, None when all are 1."""
    if given is None:
        given = trace.weights
    if given is None:
        return None
    if isinstance(given, int):
        if given == 1:
            return None
        given = [given] * len(trace.keys)
    values = np.asarray(given)
    if values.ndim != 1 or len(values) != len(trace.keys):
        raise ValueError(f"{values.size} weights for {len(trace.keys)} requests")
    if values.dtype.kind not in "iu" and not all(isinstance(w, int) for w in values.tolist()):
        raise ValueError(f"weights are integers, not {values.dtype}")
    if values.dtype != np.uint32:
        bad = np.flatnonzero((values < 0) | (values >= 1 << 32))
        if len(bad):
            raise ValueError(f"the weight {values[bad[0]]} of request {bad[0]} is not from 0 to 2**32 - 1")
    return np.ascontiguousarray(values, np.uint32) if np.any(values > 1) else None


def replay(
    policy: Any,
    trace: TraceLike,
    sizes: Sequence[int] | int,
    *,
    weights: Sequence[int] | NDArray[Any] | int | None = None,
    seed: int = 0,
    params: str = "",
    admission: str | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """Replay a trace from a cold start and return a Result for every policy and size: policies in order, for each the sizes in order.

    ``policy``: a kind of ``POLICIES``, its settings, a :class:`Policy` (replayed anew with its kind, seed and params), a
    Python class or a maker ``(capacity, slots, seed) -> object`` (see ``register``), such an object (then one size); or a list of them.
    ``weights``: one a request, or one number for all; unless given, the trace's own, else 1. A weight of 0 counts as 1; a resident keeps
    the weight that it came with; what is heavier than the cache is refused. ``seed`` and ``params`` ("key=value ...") go to every policy.
    ``admission``: "tinylfu" puts each behind that filter, and its results are called "kind+tinylfu".

    Each pass is one C call without the interpreter's lock, ``threads`` of them at a time (default: a core each). ``progress(done, total)``
    is called from this thread in requests over all passes, ten times a second and at the end. O(requests) each; the trace is shared, memory
    is per pass. Raises ValueError: unknown policy or filter, refused params, size or weight out of range, unreadable trace; BrokenPolicy:
    it evicts what it does not hold; what a Python policy raises.
    """
    sizes = [operator.index(size) for size in ([sizes] if isinstance(sizes, int) else sizes)]
    for size in sizes:
        if size < 0:
            raise ValueError(f"a cache size is not negative: {size}")
        if size > MAX_SIZE:
            raise ValueError(f"a cache size is at most 2**62: {size}")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"a seed is from 0 to 2**64 - 1: {seed}")
    if threads is not None and threads < 1:
        raise ValueError(f"at least one thread, not {threads}")
    each = policy if isinstance(policy, list | tuple) else [policy]
    players = [registry.admitting(registry.player(one), admission) for one in each]
    for player in players:
        if player.single and len(sizes) > 1:
            raise ValueError(f"policy {player.name!r} is one object with one state: give one size, or its class")
    read = as_trace(trace)
    field_of_play = _Field(read.keys, _weights(weights, read), seed, params)
    passes = [_Pass(player, size, field_of_play) for player in players for size in sizes]
    return _all(passes, threads or len(os.sched_getaffinity(0)), progress)


class _Field:
    """A trace as the passes need it; what costs a look at all of it is found when first asked for."""

    def __init__(self, keys: native.Keys, weights: Weights | None, seed: int, params: str) -> None:
        self.keys, self.weights, self.seed, self.params = keys, weights, seed, params
        self._after: NDArray[np.uint32] | None = None

    @property
    def after(self) -> NDArray[np.uint32]:
        """The next use of each request."""
        if self._after is None:
            self._after = native.next_uses(self.keys)
        return self._after

    def room(self, size: int) -> tuple[int, int]:
        """Capacity and slots for a size: no more than the whole trace needs."""
        if self.weights is None:
            slots = min(size, len(self.keys))
            return slots, slots
        unique = int(np.count_nonzero(self.after == native.NONE))
        return size, min(unique, size // max(1, int(self.weights.min(initial=1))))

    def unbounded(self) -> native.Counts:
        """What a cache without bound would count: first requests miss."""
        first = np.ones(len(self.keys), bool)
        first[self.after[self.after != native.NONE]] = False
        misses, n = int(np.count_nonzero(first)), len(self.keys)
        if self.weights is None:
            return native.Counts(n - misses, misses, 0, 0, 0, n - misses, misses, None)
        w = np.maximum(self.weights, 1).astype(np.uint64)
        lost = int(w[first].sum())
        return native.Counts(n - misses, misses, 0, 0, 0, int(w.sum()) - lost, lost, None)


class _Pass:
    """One policy at one size: a native run, or for the unbounded cache nothing to run."""

    def __init__(self, player: registry.Player, size: int, trace: _Field) -> None:
        self.player, self.size = player, size
        self.requests = len(trace.keys)
        self.run: native.Run | None = None
        if player.bound and trace.weights is not None and player.name != "unbounded":
            raise ValueError(
                f"{player.name} is the best where every request weighs 1; with other weights that is NP-hard to find: "
                "weights=1 leaves them out"
            )
        if player.name == "unbounded":
            self._counts = trace.unbounded()
        elif player.bound:
            self.run = native.belady(size, trace.after, bypass=player.name == "min-bypass", name=player.name)
        else:
            capacity, slots = trace.room(size)
            seed, params = (trace.seed, trace.params) if player.settings is None else player.settings
            self.run = native.replay(
                player.address, trace.keys, trace.weights, capacity=capacity, slots=slots, seed=seed, params=params, name=player.name
            )

    def __call__(self) -> Result:
        """Run it in this thread."""
        bridge = self.player.bridge
        start = time.thread_time()
        with bridge.lock if bridge else nullcontext():
            if bridge:
                bridge.problem = None
            try:
                counts = self._counts if self.run is None else self.run()
            except ValueError:
                if bridge and bridge.problem:
                    raise bridge.problem from None
                raise
            if bridge and bridge.problem:
                raise bridge.problem
        return Result(self.player.name, self.size, *counts, seconds=time.thread_time() - start)

    @property
    def done(self) -> int:
        """Requests so far."""
        return self.run.done if self.run else self.requests

    def stop(self) -> None:
        """Let it end soon."""
        if self.run:
            self.run.stop()


def _all(passes: list[_Pass], threads: int, progress: Callable[[int, int], None] | None) -> list[Result]:
    total = sum(p.requests for p in passes)
    if total < _SMALL:
        results = [p() for p in passes]
    else:
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(p) for p in passes]
            try:
                more = set(futures)
                while more:
                    done, more = wait(more, 0.1 if progress else None, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    if progress and more:
                        progress(sum(p.done for p in passes), total)
            finally:  # after an error or Ctrl-C nothing else needs to end
                for one, future in zip(passes, futures, strict=True):
                    future.cancel()
                    one.stop()
            results = [future.result() for future in futures]
    if progress:
        progress(total, total)
    return results
