"""mixgraph: the model of Facebook's ZippyDB that db_bench has, with the parameters that were published for it.

Sources: Cao, Dong, Vemuri, Du, "Characterizing, Modeling, and Benchmarking RocksDB Key-Value Workloads at Facebook", FAST 2020; the
parameters with the patch (facebook/rocksdb, db_bench_tool.cc and its wiki page on trace, replay and workload generation). The range of a
key has a hotness a e^(b x) + c e^(d x); within it the key follows a power law, F(x) = a x^b, of a rank that is hashed to its place; sizes
of values and lengths of scans are generalized Pareto; the rate of queries is a sine of the time.

What db_bench does on the way is kept: values below 10 bytes have 10, above the most they wrap, as scans do. Two things are not: its draws
of range, rank, size and operation share one random number, here they know nothing of each other, as the paper models them; and the hash
is another one, so keys differ from db_bench's, and their distribution does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draws import mixed64, pareto
from .stream import READ, SCAN, UPDATE, Ids, Stream


@dataclass(frozen=True)
class Mixgraph:
    """The parameters under db_bench's names; c of the rate is 0."""

    key_dist_a: float = 0.002312
    key_dist_b: float = 0.3467
    keyrange_dist_a: float = 14.18
    keyrange_dist_b: float = -2.917
    keyrange_dist_c: float = 0.0164
    keyrange_dist_d: float = -0.08082
    keyrange_num: int = 30
    value_k: float = 0.2615
    value_sigma: float = 25.45
    iter_k: float = 2.517
    iter_sigma: float = 14.236
    get_ratio: float = 0.85
    put_ratio: float = 0.14
    seek_ratio: float = 0.01
    sine_a: float = 350.0
    sine_b: float = 0.0105
    sine_d: float = 50_000.0
    max_scan: int = 10_000
    max_value: int = 1_024
    key_bytes: int = 48

    def __post_init__(self) -> None:
        if abs(self.get_ratio + self.put_ratio + self.seek_ratio - 1) > 1e-9:
            raise ValueError(f"the ratios of gets, puts and seeks sum to 1, these to {self.get_ratio + self.put_ratio + self.seek_ratio:g}")
        if self.keyrange_num < 1 or self.sine_d <= abs(self.sine_a):
            raise ValueError(f"keyrange_num = {self.keyrange_num}, sine_d = {self.sine_d:g}; allowed: 1 and more, more than |sine_a|")

    def hotness(self) -> NDArray[np.float64]:
        """Share of the accesses of each key range, hottest first; rounded down to wholes of the coldest one's, as db_bench does."""
        x = np.arange(1, self.keyrange_num + 1, dtype=np.float64)
        p = self.keyrange_dist_a * np.exp(self.keyrange_dist_b * x) + self.keyrange_dist_c * np.exp(self.keyrange_dist_d * x)
        p[p < 1e-16] = 0.0
        whole = np.floor(p * (np.floor(1 / p[p > 0].min()) + 1))
        return np.asarray(whole / whole.sum())

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """A stream over the loaded records; the published test has 5 million. Arrivals follow the sine."""
        rng = np.random.default_rng(seed)
        kinds = np.array([READ, UPDATE, SCAN], np.uint8)
        codes = kinds[rng.choice(3, operations, p=(self.get_ratio, self.put_ratio, self.seek_ratio))]
        lengths = np.where(codes == SCAN, np.ceil(pareto(rng, operations, self.iter_k, self.iter_sigma)) % self.max_scan, 0)
        sizes = self.value_sizes(rng, operations)
        arrivals = self.arrivals(operations)
        return Stream(
            codes, self._ids(rng, records, operations), np.maximum(lengths, codes == SCAN).astype(np.uint32), records, "dense",
            self.key_bytes, sizes=sizes, load_sizes=self.value_sizes(np.random.default_rng([seed, 5]), records), arrivals_ns=arrivals,
        )  # fmt: skip

    def value_sizes(self, rng: np.random.Generator, count: int) -> NDArray[np.uint32]:
        """Bytes of values, about 35 on average."""
        sizes = np.ceil(pareto(rng, count, self.value_k, self.value_sigma))
        sizes = np.where(sizes < 10, 10, np.where(sizes > self.max_value, sizes % self.max_value, sizes))
        return sizes.astype(np.uint32)

    def _ids(self, rng: np.random.Generator, records: int, count: int) -> Ids:
        ranges = min(self.keyrange_num, records)
        width = records // ranges
        hotness = self.hotness()[:ranges]
        place = np.random.default_rng(self.keyrange_num).permutation(ranges)  # hot ranges lie anywhere, at the same places for every seed
        chosen = place[np.searchsorted(np.cumsum(hotness / hotness.sum()), rng.random(count), side="right").clip(0, ranges - 1)]
        rank = np.ceil((rng.random(count) / self.key_dist_a) ** (1 / self.key_dist_b)).astype(np.uint64)
        offset = mixed64(rank) % np.uint64(width)
        ids: Ids = chosen * width + offset.astype(np.int64)
        return ids

    def arrivals(self, count: int) -> Ids:
        """When each query comes: the integral of the rate a sin(b t) + d, inverted.."""
        knots = np.linspace(0, 1.1 * count / (self.sine_d - abs(self.sine_a)) + 1e-9, 10_000)
        done = self.sine_d * knots + (self.sine_a / self.sine_b * (1 - np.cos(self.sine_b * knots)) if self.sine_b else 0.0)
        seconds: NDArray[np.float64] = np.interp(np.arange(count), done, knots)
        return (seconds * 1e9).astype(np.int64)
