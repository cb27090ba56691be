"""Twitter-like clusters: streams that have the published statistics of the caches of March 2020, cluster by cluster.

Source: github.com/twitter/cache-trace, stat/2020Mar.md (CC-BY; Yang, Yue, Rashmi, "A large scale analysis of hundreds of in-memory cache
clusters at Twitter", OSDI 2020), of which twitter_2020mar.csv holds the columns that are used: mean sizes of key and value, mix of
operations, Zipf's alpha, share of keys that are asked for once ("one-hit wonders"), rate of requests. Cluster 5 has no statistics there, 43
and 46 no alpha.

What is not published is not made up: all keys and values of a cluster have the mean size, popularity does not change over time, and TTLs
are left out, as the engine has none. Frequencies follow from the numbers of records and operations that a run asks for; the share of
one-hit wonders is met by keys that are asked for once, as far as the operations suffice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from .draws import poisson_arrivals
from .stream import DELETE, INSERT, MISSING, READ, RMW, UPDATE, Stream

CODES = {
    "get": READ, "gets": READ, "set": UPDATE, "replace": UPDATE, "add": UPDATE, "cas": RMW, "incr": RMW, "decr": RMW, "append": RMW,
    "prepend": RMW, "delete": DELETE,
}  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    """A row of the statistics. `kqps`: thousand requests a second; `one_hit`: share of the keys."""

    number: int
    key_bytes: int
    value_bytes: int
    kqps: float
    mean_frequency: float
    one_hit: float
    alpha: float | None
    operations: dict[str, float]


@cache
def clusters() -> dict[int, Cluster]:
    """All clusters with statistics, by number."""
    text = (resources.files("experiments.workloads") / "twitter_2020mar.csv").read_text()
    out = {}
    for line in text.splitlines()[2:]:
        number, key, value, kqps, frequency, once, alpha, operations = line.split(",")
        mix = {name: float(share) for name, share in (part.split(":") for part in operations.split(";"))}
        out[int(number)] = Cluster(
            int(number),
            int(key),
            int(value),
            float(kqps),
            float(frequency),
            float(once) / 100,
            None if alpha == "NA" else float(alpha),
            mix,
        )
    return out


@dataclass(frozen=True)
class Twitter:
    """A cluster by its number. `value_bytes`: another mean than the cluster's, for runs that cannot hold it; 0: the cluster's."""

    cluster: int = 52
    value_bytes: int = 0

    def __post_init__(self) -> None:
        known = [n for n, c in clusters().items() if c.alpha is not None]
        if self.cluster not in known:
            raise ValueError(f"cluster = {self.cluster!r}; those with all statistics are {', '.join(map(str, known))}")
        if self.value_bytes < 0:
            raise ValueError(f"value_bytes = {self.value_bytes}; it must be 0 or more")

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """A stream over loaded records that popularity is spread over, and keys beside them that come once."""
        c = clusters()[self.cluster]
        assert c.alpha is not None
        rng = np.random.default_rng(seed)
        weights = np.arange(1, records + 1, dtype=np.float64) ** -c.alpha
        once = one_hits(weights / weights.sum(), operations, c.one_hit)
        names = list(c.operations)
        p = np.array([c.operations[n] for n in names])
        codes = np.array([CODES[n] for n in names], np.uint8)[rng.choice(len(p), operations, p=p / p.sum())]
        cumulative = np.cumsum(weights)
        ranks = np.searchsorted(cumulative, rng.random(operations) * cumulative[-1], side="right").clip(0, records - 1)
        ids = rng.permutation(records)[ranks]
        rows = np.sort(rng.choice(operations, once, replace=False))  # the requests for keys that come once
        ids[rows] = records + np.arange(once)
        writes = np.isin(codes[rows], (UPDATE, RMW))
        codes[rows] = np.where(writes, INSERT, MISSING)
        size = self.value_bytes or c.value_bytes
        return Stream(
            codes, ids, np.zeros(operations, np.uint32), records, "hashed", max(8, c.key_bytes),
            sizes=np.full(operations, size, np.uint32), load_sizes=np.full(records, size, np.uint32),
            arrivals_ns=poisson_arrivals(rng, operations, c.kqps * 1000),
        )  # fmt: skip


def one_hits(p: NDArray[np.float64], operations: int, share: float) -> int:
    """How many of the operations must go to keys of their own, so that this share of all keys is asked for once. p: of the other keys.

    Of the keys of p about sum(1 - (1 - p)^c) come in c operations, and sum(c p (1 - p)^(c - 1)) once. O(keys log operations).
    """
    low, high = 0, operations
    while low < high:
        middle = (low + high) // 2
        c = operations - middle
        rest = np.log1p(-np.minimum(p, 1 - 1e-12))
        distinct = float(-np.expm1(c * rest).sum())
        single = float((c * p * np.exp((c - 1) * rest)).sum()) if c else 0.0
        if (middle + single) / max(1e-9, middle + distinct) < share:
            low = middle + 1
        else:
            high = middle
    return low
