"""Replay: what hit ratio a policy has on a trace at some cache sizes."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import native, registry
from .traces import Trace, load


@dataclass(frozen=True)
class Result:
    """Hits and misses of one policy at one size (in weight units: objects when every weight is 1)."""

    policy: str
    size: int
    hits: int
    misses: int

    @property
    def requests(self) -> int:
        """Hits and misses together."""
        return self.hits + self.misses

    @property
    def hit_ratio(self) -> float:
        """Hits per request; 0 for an empty trace."""
        return self.hits / self.requests if self.requests else 0.0


TraceLike = Trace | str | os.PathLike[str] | Iterable[int]


def as_trace(trace: TraceLike) -> Trace:
    """Return a trace from a path (see :func:`load`), an array or any iterable of integers 0 .. 2**64 - 1; ValueError otherwise."""
    if isinstance(trace, Trace):
        return trace
    if isinstance(trace, str | os.PathLike):
        return load(Path(trace))
    values: Any = trace if isinstance(trace, np.ndarray) else list(trace)
    keys = np.asarray(values)
    if keys.size == 0:
        return Trace(np.empty(0, np.uint64), None, "")
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
    return Trace(np.ascontiguousarray(keys, np.uint64), None, "")


def replay(policy: str | Callable[[int, int, int], Any], trace: TraceLike, sizes: Sequence[int], seed: int = 0) -> list[Result]:
    """Return one Result a size, in the order of ``sizes``.

    ``policy``: a kind of ``POLICIES``, "belady" (MIN, unit weights), "unbounded" (only first requests miss), or a Python class
    (see ``register``). ``seed`` goes to the policy. One C call a size; O(requests), belady O(requests log requests). ValueError:
    unknown policy, negative size, a trace that cannot be read, or a policy that evicts what it does not hold.
    """
    name = policy if isinstance(policy, str) else policy.__name__
    if isinstance(policy, str) and name not in registry.POLICIES and name not in ("belady", "unbounded"):
        raise registry.unknown(name, ("belady", "unbounded"))
    sizes = [operator.index(size) for size in sizes]
    for size in sizes:
        if size < 0:
            raise ValueError(f"a cache size is not negative: {size}")
    read = as_trace(trace)
    if not isinstance(policy, str):
        bridge = native.Bridge(name, policy)
        return [_one(name, bridge.address, read, size=size, seed=seed, problem=lambda: bridge.problem) for size in sizes]
    if name == "belady":
        if read.weights is not None:
            raise ValueError("belady is exact for unit weights only")
        return [Result(name, size, *native.belady(size, read.keys)) for size in sizes]
    if name == "unbounded":
        first = len(np.unique(read.keys))
        return [Result(name, size, len(read.keys) - first, first) for size in sizes]
    address = registry.ops_address(name)
    return [_one(name, address, read, size=size, seed=seed, problem=lambda: registry.problem(name)) for size in sizes]


def _one(name: str, address: int, trace: Trace, *, size: int, seed: int, problem: Callable[[], BaseException | None]) -> Result:
    slots = min(size, len(trace.keys), native.MAX_SLOTS)
    keys, weights = trace.keys, trace.weights
    try:
        hits, misses = native.replay(address, keys, _contiguous(weights), capacity=size, slots=slots, seed=seed, name=name)
    except ValueError:
        raised = problem()
        if raised is not None:
            raise raised from None
        raise
    raised = problem()
    if raised is not None:
        raise raised
    return Result(name, size, hits, misses)


def _contiguous(weights: NDArray[np.uint32] | None) -> NDArray[np.uint32] | None:
    return None if weights is None else np.ascontiguousarray(weights, np.uint32)
