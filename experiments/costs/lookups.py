"""Point lookups: pages read for a key that does not exist, and for one that does."""

from __future__ import annotations

from collections.abc import Sequence

from .allocation import filtered_cost, monkeys, unfiltered_levels
from .cost import Mark, cost
from .filters import bloom_rate
from .shape import runs_by_level

UNIT = "pages read a lookup"


@cost(
    "C3", "zero-result lookup from rates", UNIT, "Monkey (SIGMOD 2017) eq. 3; Dostoevsky (SIGMOD 2018) eq. 3", (Mark.PDF,),
    "--rates 0.001,0.01,0.1 --layout tiering --size-ratio 4",
)  # fmt: skip
def zero_result(rates: Sequence[float], layout: str, size_ratio: float) -> float:
    """R: the sum of the rates of all runs, full levels. Leveling sum(p_i), tiering (T - 1) sum(p_i), lazy leveling p_L + (T - 1) times the
    sum of the others."""
    return sum(n * p for n, p in zip(runs_by_level(layout, size_ratio, len(rates)), rates, strict=True))


@cost(
    "C6", "zero-result lookup with Monkey's filters", UNIT, "Monkey (SIGMOD 2017) eq. 7", (Mark.PDF, Mark.SIM),
    "--layout leveling --size-ratio 10 --levels 4 --bits 10",
)  # fmt: skip
def monkey_zero_result(layout: str, size_ratio: float, levels: int, bits: float) -> float:
    """R: T^(T/(T-1)) / (T-1) e^(-(M/N) ln(2)^2 T^L_u) + L_u with leveling, T - 1 times both terms with tiering; L_u from C7.

    The closed form counts infinitely many small levels, so it is cut at one page for every run that there is.
    """
    runs = monkeys(layout, size_ratio)
    unfiltered = unfiltered_levels(size_ratio, bits, levels)
    return min(levels * runs, filtered_cost(layout, size_ratio, levels, bits) + unfiltered * runs)


@cost(
    "C8", "zero-result lookup with equal filters", UNIT, "Monkey (SIGMOD 2017) appendix E, eq. 26", (Mark.PDF, Mark.SIM),
    "--layout leveling --size-ratio 10 --levels 4 --bits 10",
)  # fmt: skip
def uniform_zero_result(layout: str, size_ratio: float, levels: int, bits: float) -> float:
    """R: the number of runs times the rate of one: leveling L p, tiering L (T - 1) p, lazy leveling (1 + (L - 1) (T - 1)) p."""
    return sum(runs_by_level(layout, size_ratio, levels)) * bloom_rate(bits)


@cost(
    "C9", "lookup of a key that exists", UNIT, "Monkey (SIGMOD 2017) eq. 9; Dostoevsky (SIGMOD 2018) eq. 8", (Mark.PDF,),
    "--zero-result 0.05 --last-rate 0.01",
)  # fmt: skip
def existing(zero_result: float, last_rate: float) -> float:
    """V = R - p_L + 1: the key is in the last run asked, which costs its page; the false positives of all others come first."""
    if last_rate > zero_result + 1e-12:
        raise ValueError(f"last_rate is {last_rate:g}; allowed: 0 to zero_result = {zero_result:g}, of which it is a part")
    return zero_result - last_rate + 1
