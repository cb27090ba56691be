"""Random records, sizes and times: each law by inverting its distribution in numpy, seeded by the generator that is passed in."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .stream import Ids

Distribution = Literal["zipfian", "uniform", "latest", "hot", "normal", "beta", "sequential"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("zipfian", "uniform", "latest", "hot", "normal", "beta", "sequential")
ZIPF = 0.99
MEAN, DEVIATION = 0.5, 0.1  # of "normal", as shares of the records: KVBench's, K-V-Workload-Generator, load_gen.cc
ALPHA, BETA = 1.0, 1.0  # of "beta": KVBench's


def zipf_ranks(rng: np.random.Generator, n: int, count: int, constant: float = ZIPF) -> Ids:
    """Draw `count` ranks in 0..n-1, rank r with weight (r + 1) ** -constant, by inverting the exact distribution. O(n + count log n)."""
    cumulative = np.cumsum(np.arange(1, n + 1, dtype=np.float64) ** -constant)
    ranks: Ids = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right").astype(np.int64)
    return np.minimum(ranks, n - 1)


def pick(
    rng: np.random.Generator,
    distribution: Distribution,
    n: int,
    count: int,
    *,
    skew: float = ZIPF,
    shape: tuple[float, float] | None = None,
    drift: float = 0.0,
) -> Ids:
    """Draw `count` records of 0..n-1.

    "hot" draws evenly from one record in a hundred, scattered over the range; "zipfian" scatters its ranks too; "latest" counts back from
    the newest and is a rank here; "normal" and "beta" are laid over the range, with `shape` their mean and deviation (shares of the
    range; what falls outside is drawn at the edge) or their alpha and beta. drift: by how much of the range the records that are drawn
    move from the first to the last draw.
    """
    if distribution == "uniform":
        picked = rng.integers(0, n, count, dtype=np.int64)
    elif distribution == "hot":
        picked = rng.choice(rng.permutation(n)[: max(1, n // 100)], count).astype(np.int64)
    elif distribution == "sequential":
        picked = np.arange(count, dtype=np.int64) % n
    elif distribution == "normal":
        mean, deviation = shape or (MEAN, DEVIATION)
        picked = np.clip(rng.normal(mean * n, deviation * n, count), 0, n - 1).astype(np.int64)
    elif distribution == "beta":
        picked = np.minimum(rng.beta(*(shape or (ALPHA, BETA)), count) * n, n - 1).astype(np.int64)
    elif distribution == "latest":
        return zipf_ranks(rng, n, count, skew)
    else:
        ranks = zipf_ranks(rng, n, count, skew)
        picked = rng.permutation(n)[ranks]
    if drift:
        picked = (picked + (np.arange(count) * (drift * n / max(1, count))).astype(np.int64)) % n
    return picked


def pareto(rng: np.random.Generator, count: int, k: float, sigma: float, theta: float = 0.0) -> NDArray[np.float64]:
    """Generalized Pareto: theta + sigma (u^-k - 1) / k, with u in (0, 1]; its mean is theta + sigma / (1 - k) for k < 1."""
    u = 1.0 - rng.random(count)
    drawn: NDArray[np.float64] = theta - sigma * np.log(u) if k == 0 else theta + sigma * (u**-k - 1) / k
    return drawn


def mixed64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer (Steele, Lea, Flood, OOPSLA 2014): a bijection of 64 bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def poisson_arrivals(rng: np.random.Generator, count: int, rate: float) -> Ids:
    """Times in nanoseconds of arrivals that know nothing of each other, `rate` a second."""
    return (np.cumsum(rng.exponential(1e9 / rate, count))).astype(np.int64)
