"""Paired statistics: was the difference between two configurations on the same streams more than chance, and how large is it?

Own code because it is small and exact, and no library of statistics is needed at run time; tests hold it against SciPy.
Sources: Wilcoxon, Biometrics Bulletin 1 (1945); Kerby, Comprehensive Psychology 3 (2014), for the effect size; Holm, Scand. J. Statist. 6
(1979); Efron, Ann. Statist. 7 (1979); Mann, Econometrica 13 (1945), and Sen, JASA 63 (1968), for the trend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EXACT = 50  # pairs up to which the distribution of the signed ranks is counted out, when no ranks are tied
RESAMPLES = 10_000


@dataclass(frozen=True)
class Paired:
    """b against a on `pairs` streams. `ratio`: mean of b over a, geometric; `low` and `high`: its 95 % interval. `effect`: from -1 (b is
    smaller in every pair) to 1. `p`: chance of such a sum of ranks if neither were larger; `adjusted`: after Holm."""

    pairs: int
    ratio: float
    low: float
    high: float
    effect: float
    p: float
    adjusted: float

    @property
    def clear(self) -> bool:
        """Whether the difference is more than chance at 5 %, also beside the other comparisons of the family."""
        return self.adjusted < 0.05


def ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs."""
    order = np.argsort(values, kind="stable")
    _, place, counts = np.unique(values[order], return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    out = np.empty(len(values))
    out[order] = ((ends - counts + 1 + ends) / 2)[place]
    return out


def wilcoxon(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Two-sided p of the signed-rank test and the rank-biserial correlation of b - a; pairs without a difference are left out.

    Exact up to EXACT pairs without ties, else by the normal approximation with the correction for ties and no continuity correction.
    """
    d = np.asarray(b, float) - np.asarray(a, float)
    d = d[d != 0]
    n = len(d)
    if not n:
        return 1.0, 0.0
    r = ranks(np.abs(d))
    plus = float(r[d > 0].sum())
    all_ranks = n * (n + 1) / 2
    effect = (2 * plus - all_ranks) / all_ranks
    smaller = min(plus, all_ranks - plus)
    if n <= EXACT and len(np.unique(r)) == n:
        ways = np.zeros(int(all_ranks) + 1)  # how many of the 2^n signs give each sum
        ways[0] = 1.0
        for rank in range(1, n + 1):
            ways[rank:] = ways[rank:] + ways[: len(ways) - rank]
        return min(1.0, 2 * float(ways[: int(smaller) + 1].sum()) / 2.0**n), effect
    _, ties = np.unique(r, return_counts=True)
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((ties**3 - ties).sum()) / 48
    if variance <= 0:
        return 1.0, effect
    return min(1.0, 2 * NormalDist().cdf((smaller - all_ranks / 2) / math.sqrt(variance))), effect


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: each p as it counts among all of the family."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    out, worst = [0.0] * len(p), 0.0
    for place, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - place) * p[i]))
        out[i] = worst
    return out


def bootstrap(values: Sequence[float], statistic: Callable[[Floats], Floats], seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a statistic along the last axis, from RESAMPLES resamples with replacement. Seeded, so it can be repeated."""
    given = np.asarray(values, float)
    picks = np.random.default_rng(seed).integers(0, len(given), (RESAMPLES, len(given)))
    low, high = np.quantile(statistic(given[picks]), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compare(base: Sequence[float], others: Sequence[Sequence[float]], seed: int = 0) -> list[Paired]:
    """Each of the others against the base, pair by pair, as one family for Holm. Values are above 0. ValueError when they do not pair."""
    raw = []
    for other in others:
        if len(other) != len(base) or not len(base):
            raise ValueError(f"{len(base)} and {len(other)} values do not pair")
        if min(*base, *other) <= 0:
            raise ValueError("ratios need values above 0")
        logs = np.log(np.asarray(other, float)) - np.log(np.asarray(base, float))
        low, high = bootstrap(logs.tolist(), lambda x: x.mean(axis=-1), seed)
        raw.append((len(base), math.exp(logs.mean()), math.exp(low), math.exp(high), *wilcoxon(base, other)))
    adjusted = holm([row[4] for row in raw])
    return [Paired(n, ratio, low, high, effect, p, q) for (n, ratio, low, high, p, effect), q in zip(raw, adjusted, strict=True)]


def trend(values: Sequence[float]) -> tuple[float, float]:
    """Mann and Kendall's two-sided p of a trend, and its size: Sen's slope times the length, as a share of the median. O(n^2)."""
    y = np.asarray(values, float)
    n = len(y)
    if n < 4:
        return 1.0, 0.0
    i, j = np.triu_indices(n, 1)
    difference = y[j] - y[i]
    s = float(np.sign(difference).sum())
    _, ties = np.unique(y, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    p = 1.0 if variance <= 0 or s == 0 else 2 * NormalDist().cdf(-(abs(s) - 1) / math.sqrt(variance))
    middle = float(np.median(np.abs(y)))
    drift = float(np.median(difference / (j - i))) * (n - 1)
    return min(1.0, p), drift / middle if middle else 0.0
