"""Filter memory shared between levels: Monkey's closed form, its least-cost solution for any runs, its iterative one, and the limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lsm.policies.allocation import iterated

from .cost import Mark, checked, cost
from .filters import LN2_SQUARED, bloom_rate
from .shape import ceiling, most_runs


def monkeys(layout: str, size_ratio: float) -> float:
    """Runs a level of the two layouts that Monkey models. ValueError for others."""
    if layout not in ("leveling", "tiering"):
        raise ValueError(f"layout is {layout!r}; allowed: leveling, tiering (C13 models lazy-leveling, C16 everything between)")
    return most_runs(layout, size_ratio)[0]


@cost(
    "C7", "levels that get no filter", "levels", "Monkey (SIGMOD 2017) eq. 8", (Mark.PDF, Mark.SIM),
    "--entries 1e9 --size-ratio 10 --bits 0.1",
)  # fmt: skip
def unfiltered_levels(size_ratio: float, bits: float, levels: int) -> int:
    """L_u, the largest levels whose rate is 1 for want of memory: 0 from M_th / N = ln T / (T - 1) / ln(2)^2 bits an entry,
    ceil(log_T(M_th / M)) below that, all L below M_th / T^L."""
    threshold = math.log(size_ratio) / (size_ratio - 1) / LN2_SQUARED
    if bits >= threshold:
        return 0
    if bits < threshold / size_ratio**levels:
        return levels
    return min(levels, ceiling(math.log(threshold / bits, size_ratio)))


def filtered_cost(layout: str, size_ratio: float, levels: int, bits: float) -> float:
    """R - L_u (leveling) or R - L_u (T - 1) (tiering): the cost of the levels that have filters (Monkey eq. 7)."""
    unfiltered = unfiltered_levels(size_ratio, bits, levels)
    runs = monkeys(layout, size_ratio)
    if unfiltered == levels:
        return 0.0
    constant: float = size_ratio ** (size_ratio / (size_ratio - 1)) / (size_ratio - 1)
    return runs * constant * bloom_rate(bits * size_ratio**unfiltered)


@cost(
    "C5", "Monkey's false-positive rates", "share of lookups, smallest level first", "Monkey (SIGMOD 2017) eq. 5, 6", (Mark.PDF,),
    "--layout leveling --size-ratio 10 --levels 3 --bits 5",
)  # fmt: skip
def monkey_rates(layout: str, size_ratio: float, levels: int, bits: float) -> tuple[float, ...]:
    """p_i of every run of level i: (R - L_u) (T - 1) / T^(L_f + 1 - i) with leveling, (R - L_u (T - 1)) / T^(L_f + 1 - i) with tiering, for
    the L_f = L - L_u levels with filters, R from C6; 1 below them."""
    with_filters = levels - unfiltered_levels(size_ratio, bits, levels)
    share = filtered_cost(layout, size_ratio, levels, bits) * (size_ratio - 1) / monkeys(layout, size_ratio)
    return tuple(
        min(1.0, share / size_ratio ** (with_filters + 1 - i)) if i <= with_filters else 1.0 for i in range(1, levels + 1)
    )  # fmt: skip


@cost(
    "C14", "least memory at which every level has a filter", "bits an entry", "Dostoevsky (SIGMOD 2018) eq. 7", (Mark.PDF,),
    "--size-ratio 3",
)  # fmt: skip
def least_memory(size_ratio: float) -> float:
    """Lazy leveling: M / N >= (ln T / (T - 1) + ln(T - 1) / T) / ln(2)^2. Of all whole T it is largest at 3: 1.62."""
    return (math.log(size_ratio) / (size_ratio - 1) + math.log(size_ratio - 1) / size_ratio) / LN2_SQUARED


@checked
def uniform_rates(run_entries: Sequence[float], bits: float) -> tuple[float, ...]:
    """The same rate for every run."""
    return (bloom_rate(bits),) * len(run_entries)


@checked
def least_rates(run_entries: Sequence[float], bits: float) -> tuple[float, ...]:
    """The rates with the least sum for `bits` an entry over runs of any sizes: p_i = min(1, n_i / lambda).

    Exact: the Lagrange condition of Monkey's Appendix B for runs as they are; the largest runs go without a filter as long as their rate
    would pass 1. O(n log n).
    """
    order = sorted(range(len(run_entries)), key=lambda i: run_entries[i])
    nats = bits * sum(run_entries) * LN2_SQUARED
    rates = [1.0] * len(order)
    for some in range(len(order), 0, -1):
        chosen = [run_entries[i] for i in order[:some]]
        log_lambda = (nats + sum(n * math.log(n) for n in chosen)) / sum(chosen)
        if math.log(chosen[-1]) <= log_lambda:
            for i in order[:some]:
                rates[i] = math.exp(math.log(run_entries[i]) - log_lambda)
            break
    return tuple(rates)


@checked
def monkey_iterative(run_entries: Sequence[float], bits: float) -> tuple[float, ...]:
    """The same by Monkey's Appendix C: all memory to one run, then move delta bits between two runs while the sum of rates falls, halving
    delta when no move helps, down to one bit. O(runs^2 log memory) moves tried a round; `least_rates` is what it comes to."""
    return tuple(bloom_rate(given) for given in iterated(run_entries, [1] * len(run_entries), bits))
