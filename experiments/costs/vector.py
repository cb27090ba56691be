"""K-LSM: a bound on the runs of every level of its own, as the tuner Endure models it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .cost import Mark, checked, cost
from .filters import bloom_rate
from .shape import ceiling
from .symbols import at_most


@dataclass(frozen=True)
class Vector:
    """rates: of each run by level, smallest first. Z0, Z1, Q, W of the source: pages an operation."""

    levels: int
    rates: tuple[float, ...]
    zero_result: float
    existing: float
    range_lookup: float
    update: float


@checked
def vector_levels(entries: float, size_ratio: float, buffer_entries: float = 1e6) -> int:
    """ceil(ln(N / (P B) + 1) / ln T): levels that hold (T - 1) T^(i - 1) buffers."""
    return max(1, ceiling(math.log(entries / buffer_entries + 1) / math.log(size_ratio)))


@checked
def vector_merges(size_ratio: float, runs: Sequence[float], last_fill: float = 1.0) -> float:
    """Writes an entry by merges: sum of (T - 1 + K_i) / (2 K_i), that of the last level by the share of it that is filled."""
    each = [(size_ratio - 1 + k) / (2 * k) for k in runs]
    return sum(each[:-1]) + last_fill * each[-1]


@cost("C23", "K-LSM: runs by level", "levels; share of lookups; pages an operation", "Endure and AXE, cost models in code", (Mark.CODE,),
      "--entries 1e7 --size-ratio 10 --runs 9,1 --bits 10 --page-entries 32")  # fmt: skip
def vector(
    entries: float, size_ratio: float, runs: Sequence[float], bits: float, page_entries: float, selectivity: float = 0.0,
    buffer_entries: float = 1e6, write_cost: float = 1.0,
) -> Vector:  # fmt: skip
    """L = ceil(ln(N / (P B) + 1) / ln T); p_i = e^(-b ln(2)^2) T^(T/(T-1)) / T^(L+1-i), at most 1; Z0 = sum K_i p_i;
    Z1 = sum P_i (1 + sum over j < i of K_j p_j + (K_i - 1) / 2 p_i), P_i the share of entries in level i; Q = sum K_i + s N / B;
    W = (1 + phi) / B sum (T - 1 + K_i) / (2 K_i), the last level by its fill. With K_i = 1 a level costs T / 2 here, (T - 1) / 2 in C10 and
    C18. Below the memory of C7 the rates cut at 1
    cost more memory than there is: C5 has it right. `runs` has a value a level; ValueError tells how many."""
    t, n = size_ratio, vector_levels(entries, size_ratio, buffer_entries)
    if len(runs) != n:
        raise ValueError(f"runs has {len(runs)} values; allowed: {n}, one for each level of {entries:g} entries")
    at_most("runs", max(runs), t - 1, "size_ratio - 1")
    full = [(t - 1) * t ** (i - 1) * buffer_entries for i in range(1, n + 1)]
    held = [*full[:-1], entries - sum(full[:-1])]
    rates = [min(1.0, bloom_rate(bits) * t ** (t / (t - 1)) / t ** (n + 1 - i)) for i in range(1, n + 1)]
    above, found = 0.0, 0.0
    for k, p, inside in zip(runs, rates, held, strict=True):
        found += inside / entries * (1 + above + (k - 1) / 2 * p)
        above += k * p
    writes = vector_merges(t, runs, held[-1] / full[-1])
    return Vector(
        n, tuple(rates), above, found, sum(runs) + selectivity * entries / page_entries, (1 + write_cost) / page_entries * writes
    )  # fmt: skip
