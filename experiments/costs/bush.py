"""Size ratios that differ by level: capacity-lazy-leveling (CLL) and LSM-bush (Dayan and Idreos, SIGMOD 2019, "The Log-Structured
Merge-Bush & the Wacky Continuum")."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .cost import Mark, cost
from .filters import LN2_SQUARED
from .shape import ceiling

SOURCE = "Wacky (SIGMOD 2019)"


@dataclass(frozen=True)
class Shape:
    """A tree by level, smallest first: capacity by that of the level above, entries, most runs."""

    levels: int
    size_ratios: tuple[float, ...]
    entries: tuple[float, ...]
    runs: tuple[float, ...]


@dataclass(frozen=True)
class Cll(Shape):
    """With the rates of each run by level, and the filter memory in bits an entry that they take."""

    rates: tuple[float, ...]
    memory: float


@cost("C21", "capacity-lazy-leveling", "shape; share of lookups; bits an entry", f"{SOURCE} eq. 1-6", (Mark.PDF, Mark.SIM),
      "--entries 1e9 --size-ratio 4 --last-ratio 3 --total-rate 0.01")  # fmt: skip
def cll(entries: float, size_ratio: float, last_ratio: float, total_rate: float, buffer_entries: float = 1e6) -> Cll:
    """Lazy leveling whose last level is C times as large as all others together.

    L = ceil(log_T(N_L / F (T - 1) / C)); r_i = T, r_L = C T / (T - 1); N_i = N / (C + 1) (T - 1) / T T^-(L-i-1), N_L = N C / (C + 1);
    a_i = T - 1, a_L = 1; p_i = p / (C + 1) / T^(L - i), p_L = p C / (C + 1);
    M / N = ln((1 / p) (C + 1) / C^(C / (C + 1)) T^(T / ((C + 1) (T - 1)))) / ln(2)^2. The entries sum to N for many levels. Write
    amplification grows as O(C + L).
    """
    t, c, last = size_ratio, last_ratio, entries * last_ratio / (last_ratio + 1)
    n = max(1, ceiling(math.log(max(1.0, last / buffer_entries * (t - 1) / c), t)))
    inner = range(1, n)
    memory = (math.log((c + 1) / total_rate) - c / (c + 1) * math.log(c) + t / ((c + 1) * (t - 1)) * math.log(t)) / LN2_SQUARED
    return Cll(
        n,
        (*(t for _ in inner), c * t / (t - 1)),
        (*(entries / (c + 1) * (t - 1) / t * t ** -(n - i - 1) for i in inner), last),
        (*(t - 1 for _ in inner), 1.0),
        (*(total_rate / (c + 1) / t ** (n - i) for i in inner), total_rate * c / (c + 1)),
        memory,
    )


@cost("C22", "LSM-bush", "shape", f"{SOURCE} eq. 8-11", (Mark.PDF, Mark.SIM), "--entries 1e9 --size-ratio 2 --last-ratio 3 --growth 2")
def bush(entries: float, size_ratio: float, last_ratio: float, growth: float, buffer_entries: float = 1e6) -> Shape:
    """Smaller levels gather more runs before they merge: r_i = T^(X^(L - i - 1)).

    L = ceil(1 + log_X((X - 1) log_T(N / F / (C + 1) (T - 1) / T) + 1)); N_i = N / (C + 1) (T / r_i)^(1 / (X - 1)) (r_i - 1) / r_i; a_i =
    r_i - 1; the last level as in C21. The entries sum to N for many levels. X towards 1 is CLL.
    """
    t, c, x = size_ratio, last_ratio, growth
    above = math.log(max(1.0, entries / buffer_entries / (c + 1) * (t - 1) / t), t)
    n = max(1, ceiling(1 + math.log((x - 1) * above + 1, x)))
    ratios = [t ** (x ** (n - i - 1)) for i in range(1, n)]
    return Shape(
        n,
        (*ratios, c * t / (t - 1)),
        (*(entries / (c + 1) * (t / r) ** (1 / (x - 1)) * (r - 1) / r for r in ratios), entries * c / (c + 1)),
        (*(r - 1 for r in ratios), 1.0),
    )
