"""Closed forms to draw beside a measurement. Every function names its source and unit.

Symbols: N entries, T size ratio, L levels on disk, b filter bits a key, B entries a block, P_i false-positive rate of level i. All assume
unique keys, full levels and whole-level (preemptive) merges, so they bound or centre a real tree; none of them counts the log.
Sources: Monkey = Dayan, Athanassoulis, Idreos, SIGMOD 2017. Dostoevsky = Dayan, Idreos, SIGMOD 2018.
The rates of the filters as they are built are theirs (indexes.theory).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import indexes

LN2_SQUARED = math.log(2) ** 2


@dataclass(frozen=True)
class Prediction:
    """A number, its unit, and where the formula comes from."""

    value: float
    unit: str
    source: str


def levels(entries: float, buffer_entries: float, size_ratio: float) -> int:
    """Levels on disk of a full tree: ceil(log_T(N / buffer * (T - 1) / T)), at least 1. Monkey equation 1."""
    return max(1, math.ceil(math.log(max(1.0, entries / buffer_entries * (size_ratio - 1) / size_ratio), size_ratio) - 1e-9))


def bloom_fpr(bits_per_key: float) -> float:
    """False-positive rate of a Bloom filter with the best number of hashes: exp(-b ln(2)^2). Monkey equation 2."""
    return math.exp(-bits_per_key * LN2_SQUARED)


def filter_fpr(kind: str, bits_per_key: float) -> float:
    """The rate of a kind of filter of the engine; 1 for none."""
    if kind == "none" or bits_per_key <= 0:
        return 1.0
    if kind not in indexes.BUILT_IN:
        raise ValueError(f"no model of the filter {kind!r}; there are {', '.join(sorted(indexes.BUILT_IN))}")
    return indexes.filter_ops(kind).expected_fpr(bits_per_key)


def zero_result_reads(rates: Iterable[float]) -> Prediction:
    """Data blocks read by a lookup of a key that does not exist: the sum of the false-positive rates of the runs that cover it. Monkey
    equation 3."""
    return Prediction(sum(rates), "data blocks per lookup", "Monkey eq. 3, fitted to the runs present")


def hit_reads(rates: Sequence[float], entries: Sequence[float], records: float) -> Prediction:
    """Data blocks read by a lookup of one of `records` keys, evenly drawn: one for the run that holds its newest version and the false
    positives of the runs above it. Runs are given newest first; a key lies in a run with chance entries / records, the oldest run holds
    whatever is left. Monkey equation 9 is the same sum with every key in the last level."""
    left, above, expected = 1.0, 0.0, 0.0
    for i, (rate, n) in enumerate(zip(rates, entries, strict=True)):
        here = left if i == len(rates) - 1 else left * min(1.0, n / records)
        expected += here * (1 + above)
        above += rate
        left -= here
    return Prediction(expected, "data blocks per lookup", "Monkey eq. 9, fitted to the runs present")


def level_writes(layout: str, size_ratio: float, last: bool) -> float:
    """How often an entry is written at one level. Leveling (T - 1) / 2 (Monkey equation 10), tiering (T - 1) / T, lazy leveling tiers all
    levels but the last, which it levels (Dostoevsky equation 12 with K = T - 1, Z = 1)."""
    leveled, tiered = (size_ratio - 1) / 2, (size_ratio - 1) / size_ratio
    if layout in ("leveling", "1-leveling"):
        return leveled
    if layout == "tiering":
        return tiered
    if layout == "lazy-leveling":
        return leveled if last else tiered
    raise ValueError(f"no model of the layout {layout!r}; there are leveling, 1-leveling, tiering, lazy-leveling")


def write_amplification(layout: str, size_ratio: float, n_levels: int) -> Prediction:
    """Bytes written by flushes and merges for each byte that a flush wrote: 1 for the flush and the writes at every level (worst case:
    full levels)."""
    merges = sum(level_writes(layout, size_ratio, i == n_levels - 1) for i in range(n_levels))
    return Prediction(1 + merges, "bytes written per byte of user data, no log", "Monkey eq. 10 / Dostoevsky eq. 12, plus 1 for the flush")


def uniform_reads(layout: str, size_ratio: float, n_levels: int, fpr: float) -> Prediction:
    """Worst case of a lookup of nothing with equal filters: leveling L p, tiering L (T - 1) p (Monkey appendix E, equation 26), lazy
    leveling (1 + (L - 1) (T - 1)) p (Dostoevsky equation 3)."""
    runs = {
        "leveling": n_levels,
        "1-leveling": n_levels,
        "tiering": n_levels * (size_ratio - 1),
        "lazy-leveling": 1 + (n_levels - 1) * (size_ratio - 1),
    }
    return Prediction(runs[layout] * fpr, "data blocks per lookup", "Monkey eq. 26 / Dostoevsky eq. 3, full levels")
