"""Small traces by formula, seeded: for tests, for examples, and where no real one is at hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def loop(keys: int, requests: int) -> Keys:
    """Return 0 .. keys - 1 over and over: LRU hits nothing that does not fit whole."""
    return np.arange(requests, dtype=np.uint64) % np.uint64(max(1, keys))


def scan(requests: int, start: int = 0) -> Keys:
    """Return every key once: nobody can hit."""
    return np.arange(start, start + requests, dtype=np.uint64)


def zipf(keys: int, requests: int, alpha: float = 0.99, seed: int = 0) -> Keys:
    """Return requests with P(rank r) ~ 1 / r ** alpha; which key has which rank is shuffled."""
    rng = np.random.default_rng(seed)
    below = np.cumsum(1.0 / np.arange(1, keys + 1) ** alpha)
    ranks = np.searchsorted(below, rng.random(requests) * below[-1], side="right")
    requested: Keys = rng.permutation(keys)[np.minimum(ranks, keys - 1)].astype(np.uint64)
    return requested


def phases(keys: int, requests: int, count: int = 4, alpha: float = 0.99, seed: int = 0) -> Keys:
    """Return `count` Zipf phases of equal length, each over keys of its own: what was hot is cold."""
    parts = [
        zipf(keys, len(part), alpha, seed + i) + np.uint64(i * keys) for i, part in enumerate(np.array_split(np.arange(requests), count))
    ]
    return np.concatenate(parts)
