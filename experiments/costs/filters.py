"""Filters: false-positive rate against memory, for one filter and for a tree."""

from __future__ import annotations

import math
from collections.abc import Sequence

import indexes

from .cost import Mark, checked, cost
from .shape import level_entries

LN2_SQUARED = math.log(2) ** 2


@cost("C2", "false-positive rate of a Bloom filter", "share of lookups", "Monkey (SIGMOD 2017) eq. 2", (Mark.PDF, Mark.SIM), "--bits 10")
def bloom_rate(bits: float) -> float:
    """p = e^(-b ln(2)^2) with b bits an entry and the best number of hash functions, not rounded: b ln 2. 1 at 0 bits."""
    return math.exp(-bits * LN2_SQUARED)


def bloom_bits(rate: float) -> float:
    """The inverse of C2: bits an entry for a rate in (0, 1]."""
    return -math.log(rate) / LN2_SQUARED


@checked
def bloom_hashes(bits: float) -> float:
    """The best number of hash functions, b ln 2, not rounded. Monkey section 2."""
    return bits * math.log(2)


@cost(
    "C4", "filter memory of a tree", "bits", "Monkey (SIGMOD 2017) eq. 4", (Mark.PDF,), "--rates 0.001,0.01 --entries 1e6 --size-ratio 10"
)  # fmt: skip
def filter_memory(rates: Sequence[float], entries: float, size_ratio: float) -> float:
    """M = -(N / ln(2)^2) ((T - 1) / T) sum over i of ln(p_i) / T^(L - i): full levels, as many as there are rates. A rate of 1 costs
    nothing, one of 0 cannot be had for any memory."""
    if min(rates) == 0:
        raise ValueError("rates has a 0; allowed: above 0 to 1, a filter without false positives needs infinite memory")
    held = level_entries(entries, size_ratio, len(rates))
    return sum(n * bloom_bits(p) for n, p in zip(held, rates, strict=True))


@cost(
    "C25", "more bits for each smaller level", "bits an entry", "Pebble options.go; follows from Monkey's p_i falling by T a level",
    (Mark.CODE,), "--size-ratio 10 --kind bloom",
)  # fmt: skip
def bits_step(size_ratio: float, kind: str = "bloom") -> float:
    """Bits an entry that a level gets more than the next larger one, so that its rate is T times lower: ln T / ln(2)^2 for Bloom filters
    (4.8 at T = 10), log2 T for filters of fingerprints (kind fuse; 3.3 at T = 10)."""
    if kind not in ("bloom", "fuse"):
        raise ValueError(f"kind is {kind!r}; allowed: bloom, fuse")
    return math.log(size_ratio) / LN2_SQUARED if kind == "bloom" else math.log2(size_ratio)


@cost(
    "C26", "false-positive rate by kind of filter", "share of lookups", "Pebble simulation.md; RocksDB blog 2021-12-29; indexes.theory",
    (Mark.CODE,), "--kind ribbon --bits 7",
)  # fmt: skip
def filter_rate(kind: str, bits: float) -> float:
    """The rate of a kind of filter of the engine at b bits an entry, from the closed or summed form of its own paper (indexes.theory): with
    the number of probes and the fingerprints that it really has. 1 for none and at 0 bits; else bits as the engine takes them, 1 to 64."""
    if kind not in (*indexes.BUILT_IN, "none"):
        raise ValueError(f"kind is {kind!r}; allowed: none, {', '.join(sorted(set(indexes.BUILT_IN) - {'none'}))}")
    if bits and not 1 <= bits <= 64:
        raise ValueError(f"bits is {bits}; allowed: 0, or 1 to 64 as in the engine's options")
    return 1.0 if kind == "none" or bits == 0 else indexes.filter_ops(kind).expected_fpr(bits)
