"""Hit ratio against size without a simulation a size: exactly for LRU, from a sample of the keys for every policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import native
from .simulate import TraceLike, as_trace, replay

_RANGE = 1 << 24  # of the hashes that sampling goes by
METHODS = ("exact", "shards", "mini")


@dataclass(frozen=True)
class Curve:
    """Hit ratio at sizes. sampled: the share of keys it was made from. error: mean absolute difference to the exact curve, if asked for."""

    policy: str
    method: str
    sizes: NDArray[np.int64]
    hit_ratio: NDArray[np.float64]
    sampled: float = 1.0
    error: float | None = None

    @property
    def miss_ratio(self) -> NDArray[np.float64]:
        """One minus the hit ratio."""
        return 1.0 - self.hit_ratio


def mrc(
    trace: TraceLike,
    policy: str = "lru",
    sizes: Sequence[int] | None = None,
    method: str = "exact",
    *,
    rate: float = 0.01,
    samples: int | None = None,
    seed: int = 0,
    check: bool = False,
) -> Curve:
    """Return the curve of a trace. sizes: in entries, default 64 from 1 to the number of keys, evenly by logarithm.

    exact: LRU from stack distances in one pass, O(n log n); other policies by a replay a size.
    shards: LRU from the distances of a sample of the keys (Waldspurger et al., Efficient MRC construction with SHARDS, FAST 2015), at a
    rate, or with so many keys at most (samples; the threshold is the final one of the paper's fixed-size variant), adjusted as in 3.3.
    mini: any policy, replayed on a sample with a cache scaled down alike (Waldspurger et al., Cache modeling and optimization using
    miniature simulations, ATC 2017). check: make the exact curve too, for `error`. ValueError for what is not allowed.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; allowed: {', '.join(METHODS)}")
    if not 0 < rate <= 1:
        raise ValueError(f"rate is {rate!r}; allowed: above 0, up to 1")
    if method == "shards" and policy != "lru":
        raise ValueError(f"shards knows LRU only, not {policy!r}; method='mini' takes every policy")
    keys = as_trace(trace).keys
    at = _sizes(keys, sizes)
    if method == "exact":
        return Curve(policy, method, at, _exact(keys, policy, at, seed))
    chosen, share = _sample(keys, rate, samples, seed)
    ratio = _shards(keys, chosen, share, at) if method == "shards" else _mini(keys, chosen, share, policy, at, seed)
    error = float(np.abs(ratio - _exact(keys, policy, at, seed)).mean()) if check else None
    return Curve(policy, method, at, ratio, share, error)


def _sizes(keys: native.Keys, sizes: Sequence[int] | None) -> NDArray[np.int64]:
    if sizes is None:
        unique = max(1, len(np.unique(keys)))
        return np.unique(np.geomspace(1, unique, 64).round().astype(np.int64))
    at = np.asarray(sizes, np.int64)
    if len(at) and at.min() < 0:
        raise ValueError(f"size is {at.min()}; allowed: 0 and more")
    return at


def _exact(keys: native.Keys, policy: str, sizes: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    if policy != "lru":
        return np.array([r.hit_ratio for r in replay(policy, keys, sizes=[int(s) for s in sizes], seed=seed)])
    return _ratio(native.stack_distances(keys), 1.0, sizes, len(keys))


def _ratio(distances: NDArray[np.uint32], share: float, sizes: NDArray[np.int64], requests: int, extra: float = 0.0) -> NDArray[np.float64]:
    """The share of requests whose distance, scaled up by the share that was sampled, is within each size."""
    if not requests:
        return np.zeros(len(sizes))
    reused = np.sort(distances[distances > 0])
    within = np.searchsorted(reused, np.floor(sizes * share + 1e-9), side="right").astype(np.float64)
    clipped: NDArray[np.float64] = np.clip((within + extra * (sizes > 0)) / requests, 0.0, 1.0)
    return clipped


def _sample(keys: native.Keys, rate: float, samples: int | None, seed: int) -> tuple[native.Keys, float]:
    """The requests of keys whose hash is below a threshold, and the share of hashes that is."""
    h = keys + np.uint64(seed * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        h = (h ^ h >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ h >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    h = (h ^ h >> np.uint64(31)) % np.uint64(_RANGE)
    threshold = round(rate * _RANGE)
    if samples is not None:
        firsts = np.sort(h[np.unique(keys, return_index=True)[1]])
        threshold = _RANGE if len(firsts) <= samples else int(firsts[samples])
    return keys[h < np.uint64(max(1, threshold))], max(1, threshold) / _RANGE


def _shards(keys: native.Keys, chosen: native.Keys, share: float, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    expected = len(keys) * share
    return _ratio(native.stack_distances(chosen), share, sizes, max(1, round(expected)), expected - len(chosen))


def _mini(keys: native.Keys, chosen: native.Keys, share: float, policy: str, sizes: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    small = np.maximum(1, np.round(sizes * share).astype(np.int64)) * (sizes > 0)
    unique, back = np.unique(small, return_inverse=True)
    hits = np.array([r.hits for r in replay(policy, chosen, sizes=[int(s) for s in unique], seed=seed)], np.float64)[back]
    expected = len(keys) * share  # what the sample has too little or too much are requests of hot keys: hits, as in SHARDS 3.3
    return np.clip((hits + (expected - len(chosen)) * (sizes > 0)) / max(1.0, expected), 0.0, 1.0)


@dataclass(frozen=True)
class TraceStats:
    """What a trace is like. reuse: percentiles of the stack distance; working_set: different keys in each tenth; zipf: fitted exponent."""

    requests: int
    unique: int
    one_hit_wonders: float
    reuse: dict[int, int]
    working_set: tuple[int, ...]
    zipf: float | None


def trace_stats(trace: TraceLike, *, percentiles: Sequence[int] = (10, 25, 50, 75, 90, 99)) -> TraceStats:
    """Return what a trace is like, O(n log n). one_hit_wonders: share of the keys that come once. zipf: by least squares of log count on
    log rank, over the ranks with a count of 2 and more; None with less than 10 of those.
    """
    keys = as_trace(trace).keys
    _, counts = np.unique(keys, return_counts=True)
    distances: Any = native.stack_distances(keys)
    reused = distances[distances > 0]
    reuse = {p: int(np.percentile(reused, p, method="lower")) for p in percentiles} if len(reused) else {}
    working = tuple(len(np.unique(part)) for part in np.array_split(keys, 10))
    ranked = np.sort(counts[counts > 1])[::-1]
    zipf = None
    if len(ranked) >= 10:
        slope = np.polyfit(np.log(np.arange(1, len(ranked) + 1)), np.log(ranked), 1)[0]
        zipf = float(-slope)
    once = float((counts == 1).mean()) if len(counts) else 0.0
    return TraceStats(len(keys), len(counts), once, reuse, working, zipf)
