"""Filter memory allocation: bits per key of each level's filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..registry import ALLOCATIONS


def uniform(level: int, entries: Sequence[int], bits_per_key: float, size_ratio: int) -> float:
    """The same for every level."""
    return bits_per_key


def monkey(level: int, entries: Sequence[int], bits_per_key: float, size_ratio: int) -> float:
    """Monkey's allocation (Dayan, Athanassoulis, Idreos, SIGMOD 2017, section 4.2): false-positive rates fall by T a level upwards.

    Minimises the sum of false-positive rates for the memory that bits_per_key would take: p_i proportional to the level's entries,
    p_i = n_i / lambda, with lambda found by bisection so that the bits add up. `entries` per level; empty levels count for nothing.
    """
    counts = [max(n, 0) for n in entries]
    if level >= len(counts):
        counts += [0] * (level + 1 - len(counts))
    if not counts[level]:
        counts[level] = max(1, sum(counts) // (size_ratio ** max(1, len(counts) - level)))
    budget = bits_per_key * sum(counts)
    low, high = 1e-12, 1e18
    for _ in range(200):
        middle = math.sqrt(low * high)
        bits = sum(n * max(0.0, -math.log(min(1.0, n / middle))) for n in counts if n) / math.log(2) ** 2
        low, high = (middle, high) if bits < budget else (low, middle)
    return max(0.0, -math.log(min(1.0, counts[level] / low))) / math.log(2) ** 2


Allocation = Callable[[int, Sequence[int], float, int], float]
ALLOCATIONS["uniform"] = uniform
ALLOCATIONS["monkey"] = monkey
