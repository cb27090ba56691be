"""Filter memory allocation: bits per key of each level's filters, for a budget of `table.bits_per_key` over all entries.

| kind | bits | source |
|---|---|---|
| uniform | the same everywhere | LevelDB |
| monkey | least sum of false-positive rates for the runs as they are: rates proportional to a run's entries | Monkey, appendix B |
| monkey_closed | the closed form for full levels: rates fall by T a level upwards | Monkey, equations 5 to 8 |
| monkey_iterative | the same as monkey, by moving bits between runs while that helps | Monkey, appendix C |
| fluid | the closed form for K and Z runs a level | Dostoevsky, equation 9 |
| progressive | the budget in the last level, ln T / ln(2)^2 more a level upwards | Pebble |
| none_at_last | the budget everywhere but in the last level, which has no filters | RocksDB, optimize_filters_for_hits |
| by_hand | a list, from level 0 on | |
| access_weighted | as monkey, rates weighted by how often a level is read | ElasticBF (ATC 2019) |

A level below 1 bit a key gets no filter. All but by_hand and progressive keep to the budget, or below it. Cost: O(levels), monkey_iterative
O(runs^2 log memory) moves tried a round.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..params import Param, parse
from ..registry import ALLOCATIONS

LN2_SQUARED = math.log(2) ** 2


@dataclass(frozen=True)
class Filled:
    """What an allocation decides from, a value a level from 0 on. `most_runs`: what the layout allows above the last level and in it."""

    entries: Sequence[int]
    bits_per_key: float
    size_ratio: int
    runs: Sequence[int] = ()
    reads: Sequence[int] = ()
    most_runs: tuple[float, float] = (1, 1)
    params: str = ""

    def run_entries(self, level: int) -> tuple[list[tuple[float, int]], int]:
        """Return (entries of each run, runs) of each level and the place of `level`, which counts as filled if it is empty."""
        counts = [max(n, 0) for n in self.entries]
        counts += [0] * (level + 1 - len(counts))
        if not counts[level]:
            counts[level] = max(1, sum(counts) // (self.size_ratio ** max(1, len(counts) - level)))
        runs = [*self.runs, *[1] * (len(counts) - len(self.runs))]
        rows, place = list[tuple[float, int]](), 0
        for i, n in enumerate(counts):
            place = len(rows) if i == level else place
            if n:
                rows.append((n / max(1, runs[i]), max(1, runs[i])))
        return rows, place

    @property
    def last(self) -> int:
        """The deepest level that holds anything, at least 1."""
        return max([i for i, n in enumerate(self.entries) if n], default=1) or 1


class Allocation(ABC):
    """Base: a subclass gives `kind`, `source`, `params` and `bits`. `counts_reads`: it wants the reads of each level."""

    kind: ClassVar[str]
    source: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()
    counts_reads: ClassVar[bool] = False

    @abstractmethod
    def bits(self, level: int, filled: Filled) -> float:
        """Return the bits per key of filters of tables that go to a level."""


class Uniform(Allocation):
    """The same for every level."""

    kind, source = "uniform", "LevelDB"

    def bits(self, level: int, filled: Filled) -> float:
        return filled.bits_per_key


class Monkey(Allocation):
    """Least sum of false-positive rates: p = n / lambda for a run of n entries, lambda such that the bits add up (Lagrange)."""

    kind, source = "monkey", "Dayan, Athanassoulis, Idreos, Monkey, SIGMOD 2017, appendix B"

    def bits(self, level: int, filled: Filled) -> float:
        rows, place = filled.run_entries(level)
        return least_sum([n for n, _ in rows], [r for _, r in rows], filled.bits_per_key)[place]


class MonkeyClosed(Allocation):
    """Monkey's closed form for L full levels: leveling (eq. 5) or, where the last level may have several runs, tiering (eq. 6)."""

    kind, source = "monkey_closed", "Monkey, SIGMOD 2017, equations 5 to 8"

    def bits(self, level: int, filled: Filled) -> float:
        t, last = filled.size_ratio, filled.last
        runs = t - 1 if filled.most_runs[1] > 1 else 1
        return bits_of(monkey_rate(runs, t, last, filled.bits_per_key, level))


class MonkeyIterative(Allocation):
    """All memory to one run, then bits from run to run while the sum of rates falls, fewer each round, down to one bit."""

    kind, source = "monkey_iterative", "Monkey, SIGMOD 2017, appendix C"

    def bits(self, level: int, filled: Filled) -> float:
        rows, place = filled.run_entries(level)
        return iterated([n for n, _ in rows], [r for _, r in rows], filled.bits_per_key)[place]


class Fluid(Allocation):
    """p_L = (R / Z) (T - 1) / T, p_i = (R / K) (T - 1) / T / T^(L - i), R such that the bits add up (eq. 10)."""

    kind, source = "fluid", "Dayan and Idreos, Dostoevsky, SIGMOD 2018, equations 9 and 10"

    def bits(self, level: int, filled: Filled) -> float:
        k, z = (max(1.0, min(filled.size_ratio - 1, runs)) for runs in filled.most_runs)
        return bits_of(fluid_rate(k, z, filled.size_ratio, filled.last, filled.bits_per_key, level))


class Progressive(Allocation):
    """The last level has the budget, each smaller one ln T / ln(2)^2 bits more: 4.8 with T = 10."""

    kind, source = "progressive", "Pebble, per-level filter policies"

    def bits(self, level: int, filled: Filled) -> float:
        return filled.bits_per_key + max(0, filled.last - level) * math.log(filled.size_ratio) / LN2_SQUARED


class NoneAtLast(Allocation):
    """No filter in the last level: for look-ups of keys that exist it saves nothing."""

    kind, source = "none_at_last", "RocksDB, optimize_filters_for_hits"

    def bits(self, level: int, filled: Filled) -> float:
        return 0.0 if level >= filled.last else filled.bits_per_key


class ByHand(Allocation):
    """A list of bits, from level 0 on; the last one counts for all levels below."""

    kind, source = "by_hand", "Pebble, TableFilterPolicy by level"
    params = (Param("bits", (10.0,), 0.0, 64.0, "bits per key by level"),)

    def bits(self, level: int, filled: Filled) -> float:
        given = parse("filter_params", filled.params, self.params)["bits"]
        return float(given[min(level, len(given) - 1)])


class AccessWeighted(Allocation):
    """As monkey, with the rate of a run weighted by 1 to 1 + levels, by its level's share of all reads: hot levels get more bits."""

    kind, source = "access_weighted", "Li et al., ElasticBF, USENIX ATC 2019"
    counts_reads = True

    def bits(self, level: int, filled: Filled) -> float:
        rows, place = filled.run_entries(level)
        entries = [*filled.entries, *[0] * (level + 1 - len(filled.entries))]
        reads = [*filled.reads, *[0] * (len(entries) - len(filled.reads))]
        kept = [i for i, n in enumerate(entries) if n > 0 or i == level]
        total = sum(reads) or 1
        weights = [1 + reads[i] / total * len(kept) for i in kept]
        return least_sum([n for n, _ in rows], [r for _, r in rows], filled.bits_per_key, weights)[place]


# The formulae


def bits_of(rate: float) -> float:
    """Return the bits per key at which a Bloom filter has a false-positive rate."""
    return max(0.0, -math.log(min(1.0, rate))) / LN2_SQUARED


def least_sum(entries: Sequence[float], runs: Sequence[int], bits: float, weights: Sequence[float] | None = None) -> list[float]:
    """Return bits per key of each group of equal runs with the least (weighted) sum of rates: rates n / (lambda w), none above 1.

    Exact: groups whose rate would pass 1 go without a filter, largest n / w first. O(n^2).
    """
    w = weights or [1.0] * len(entries)
    budget = bits * sum(n * r for n, r in zip(entries, runs, strict=True)) * LN2_SQUARED
    order = sorted(range(len(entries)), key=lambda i: entries[i] / w[i])
    for some in range(len(order), 0, -1):
        chosen = order[:some]
        memory = sum(entries[i] * runs[i] for i in chosen)
        log_lambda = (budget + sum(entries[i] * runs[i] * math.log(entries[i] / w[i]) for i in chosen)) / memory
        if math.log(entries[chosen[-1]] / w[chosen[-1]]) <= log_lambda:
            rates = {i: math.exp(math.log(entries[i] / w[i]) - log_lambda) for i in chosen}
            return [bits_of(rates.get(i, 1.0)) for i in range(len(entries))]
    return [0.0] * len(entries)


def iterated(entries: Sequence[float], runs: Sequence[int], bits: float) -> list[float]:
    """Return bits per key of each group of equal runs by Monkey's iteration; runs of a group share alike."""
    total = [n * r for n, r in zip(entries, runs, strict=True)]
    memory = [0.0] * len(entries)
    memory[0] = delta = bits * sum(total)

    def rate(i: int, given: float) -> float:
        return runs[i] * math.exp(-given / total[i] * LN2_SQUARED)

    while delta >= 1:
        moved = False
        for i in range(len(memory)):
            for j in range(len(memory)):
                if i != j and memory[i] >= delta:
                    now, then = rate(i, memory[i]) + rate(j, memory[j]), rate(i, memory[i] - delta) + rate(j, memory[j] + delta)
                    if then < now - 1e-15:
                        memory[i], memory[j], moved = memory[i] - delta, memory[j] + delta, True
        if not moved:
            delta /= 2
    return [m / n for m, n in zip(memory, total, strict=True)]


def monkey_rate(runs: float, t: int, levels: int, bits: float, level: int) -> float:
    """Return p_i of eq. 5 (runs = 1) or eq. 6 (runs = T - 1); a level 0 of flushed runs is one step above level 1."""
    threshold = math.log(t) / (t - 1) / LN2_SQUARED
    unfiltered = 0
    if bits < threshold / t**levels:
        unfiltered = levels
    elif bits < threshold:
        unfiltered = min(levels, math.ceil(math.log(threshold / bits, t) - 1e-9))
    filtered = levels - unfiltered
    if level > filtered or not filtered:
        return 1.0
    cost = runs * t ** (t / (t - 1)) / (t - 1) * math.exp(-bits * t**unfiltered * LN2_SQUARED)
    return float(min(1.0, cost * (t - 1) / runs / t ** (filtered + 1 - level)))


def fluid_rate(k: float, z: float, t: int, levels: int, bits: float, level: int) -> float:
    """Return p_i of eq. 9 with R of eq. 10."""
    total = math.exp(-bits * LN2_SQUARED) * z ** ((t - 1) / t) * k ** (1 / t) * t ** (t / (t - 1)) / (t - 1)
    share = total / z if level >= levels else total / k / t ** (levels - level)
    return float(min(1.0, share * (t - 1) / t))


for _allocation in (Uniform, Monkey, MonkeyClosed, MonkeyIterative, Fluid, Progressive, NoneAtLast, ByHand, AccessWeighted):
    ALLOCATIONS[_allocation.kind] = _allocation
