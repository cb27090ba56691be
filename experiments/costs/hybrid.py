"""Lazy leveling and Fluid LSM: K runs in each level but the last, Z in the last (Dostoevsky, Dayan and Idreos, SIGMOD 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .cost import Mark, cost
from .filters import LN2_SQUARED, bloom_rate
from .symbols import at_most

SOURCE = "Dostoevsky (SIGMOD 2018)"


@dataclass(frozen=True)
class Lookup:
    """R: pages read by a zero-result lookup. rates: of each run by level, smallest level first."""

    zero_result: float
    rates: tuple[float, ...]


def check_runs(size_ratio: float, max_runs: float, last_runs: float) -> None:
    """Raise ValueError when K or Z is more than T - 1: such a level would have been merged."""
    at_most("max_runs", max_runs, size_ratio - 1, "size_ratio - 1")
    at_most("last_runs", last_runs, size_ratio - 1, "size_ratio - 1")


def constant(size_ratio: float, max_runs: float, last_runs: float) -> float:
    """R at 0 bits as eq. 10 has it: Z^((T-1)/T) K^(1/T) T^(T/(T-1)) / (T-1)."""
    t = size_ratio
    return float(last_runs ** ((t - 1) / t) * max_runs ** (1 / t) * t ** (t / (t - 1)) / (t - 1))


def floor(size_ratio: float, max_runs: float, last_runs: float) -> float:
    """Bits an entry from which no optimal rate is above 1, so that the closed forms hold. Eq. 7 (C14) for K = T - 1, Z = 1."""
    t = size_ratio
    largest = min(last_runs * t / (t - 1), max_runs * t * t / (t - 1))
    return math.log(constant(size_ratio, max_runs, last_runs) / largest) / LN2_SQUARED


@cost("C15", "Fluid LSM's false-positive rates", "share of lookups, smallest level first", f"{SOURCE} eq. 9", (Mark.PDF, Mark.SIM),
      "--zero-result 0.02 --size-ratio 10 --levels 3 --max-runs 4 --last-runs 1")  # fmt: skip
def fluid_rates(zero_result: float, size_ratio: float, levels: int, max_runs: float, last_runs: float) -> tuple[float, ...]:
    """p_L = (R / Z) (T - 1) / T and p_i = (R / K) ((T - 1) / T) / T^(L - i) for each run: the least memory that gives R."""
    check_runs(size_ratio, max_runs, last_runs)
    share = (size_ratio - 1) / size_ratio
    rates = [*(zero_result / max_runs * share / size_ratio ** (levels - i) for i in range(1, levels)), zero_result / last_runs * share]
    if max(rates) > 1 + 1e-9:
        most = zero_result / max(rates)
        raise ValueError(f"zero_result is {zero_result:g}; allowed: 0 to {most:g}, above which a rate would pass 1")
    return tuple(min(1.0, p) for p in rates)


@cost("C16", "Fluid LSM, zero-result lookup", "pages read a lookup", f"{SOURCE} eq. 10", (Mark.PDF, Mark.SIM),
      "--size-ratio 10 --max-runs 4 --last-runs 1 --bits 10")  # fmt: skip
def fluid_zero_result(size_ratio: float, max_runs: float, last_runs: float, bits: float) -> float:
    """R = e^(-(M/N) ln(2)^2) Z^((T-1)/T) K^(1/T) T^(T/(T-1)) / (T-1). K = Z = 1 is leveling, K = T - 1, Z = 1 lazy leveling, K = Z = T - 1
    tiering (C6, C13). ValueError below the memory at which a rate would pass 1."""
    check_runs(size_ratio, max_runs, last_runs)
    least = floor(size_ratio, max_runs, last_runs)
    if bits < least - 1e-9:
        raise ValueError(f"bits is {bits:g}; allowed: from {least:.4g}, below which the largest levels go without filters (C7)")
    return constant(size_ratio, max_runs, last_runs) * bloom_rate(bits)


@cost("C13", "lazy leveling, zero-result lookup and rates", "pages read a lookup; share of lookups, smallest level first",
      f"{SOURCE} eq. 3, 5, 6", (Mark.PDF, Mark.SIM), "--size-ratio 10 --levels 4 --bits 10")  # fmt: skip
def lazy_leveling(size_ratio: float, levels: int, bits: float) -> Lookup:
    """R = e^(-(M/N) ln(2)^2) T^(T/(T-1)) / (T-1)^((T-1)/T), p_L = R (T - 1) / T, p_i = R / T^(L - i + 1); R = p_L + (T - 1) sum of the
    others. ValueError below the memory of C14."""
    t = size_ratio
    least = floor(t, t - 1, 1)
    if bits < least - 1e-9:
        raise ValueError(f"bits is {bits:g}; allowed: from {least:.4g} (C14), below which the last level goes without a filter")
    r = bloom_rate(bits) * t ** (t / (t - 1)) / (t - 1) ** ((t - 1) / t)
    return Lookup(r, (*(min(1.0, r / t ** (levels - i + 1)) for i in range(1, levels)), min(1.0, r * (t - 1) / t)))


@cost("C17", "Fluid LSM, range lookup", "pages read a lookup, weighted", f"{SOURCE} eq. 11", (Mark.PDF,),
      "--size-ratio 10 --levels 4 --max-runs 9 --last-runs 1 --scanned 1000 --page-entries 32")  # fmt: skip
def fluid_range(
    size_ratio: float, levels: int, max_runs: float, last_runs: float, scanned: float, page_entries: float, sequential_speed: float = 1.0
) -> float:  # fmt: skip
    """Q = K (L - 1) + Z + (1 / mu) (s / B) (Z + 1 / T): a random page for every run, then the entries, of which Z + 1 / T versions each."""
    check_runs(size_ratio, max_runs, last_runs)
    return max_runs * (levels - 1) + last_runs + scanned / page_entries / sequential_speed * (last_runs + 1 / size_ratio)


@cost("C18", "Fluid LSM, update", "pages moved an update, weighted", f"{SOURCE} eq. 12", (Mark.PDF,),
      "--size-ratio 10 --levels 4 --max-runs 9 --last-runs 1 --page-entries 32")  # fmt: skip
def fluid_update(
    size_ratio: float, levels: int, max_runs: float, last_runs: float, page_entries: float, write_cost: float = 1.0,
    sequential_speed: float = 1.0,
) -> float:  # fmt: skip
    """W = phi / (mu B) ((T - 1) / (K + 1) (L - 1) + (T - 1) / (Z + 1)). Only writes are counted: compare C10 with phi in place of 1 + phi.
    Neither flush nor log is counted."""
    check_runs(size_ratio, max_runs, last_runs)
    writes = (size_ratio - 1) / (max_runs + 1) * (levels - 1) + (size_ratio - 1) / (last_runs + 1)
    return write_cost / (sequential_speed * page_entries) * writes
