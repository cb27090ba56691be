"""The shape of a tree: how many levels, how much each holds, how many runs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .cost import Mark, checked, cost


def ceiling(value: float) -> int:
    """The next whole number, forgiving what floating point adds to an exact one."""
    return math.ceil(value - 1e-9)


@cost(
    "C1", "levels of a tree", "levels", "Monkey (SIGMOD 2017) eq. 1", (Mark.PDF,), "--entries 1e9 --buffer-entries 1e6 --size-ratio 10"
)  # fmt: skip
def levels(entries: float, size_ratio: float, buffer_entries: float = 1e6) -> int:
    """Levels on disk: L = ceil(log_T(N / (P B) * (T - 1) / T)), at least 1.

    The equation leaves out the + 1 of the exact sum of a geometric series, so at N = P B T^j it counts one level less than a tree has
    whose levels hold P B T^i; C23 counts by another convention, in which level 1 is T - 1 buffers.
    """
    return max(1, ceiling(math.log(max(1.0, entries / buffer_entries * (size_ratio - 1) / size_ratio), size_ratio)))


@checked
def level_entries(entries: float, size_ratio: float, levels: int) -> tuple[float, ...]:
    """Entries of each full level, smallest first: N (T - 1) / T / T^(L - i). They sum to N (1 - T^-L). Monkey Figure 2."""
    return tuple(entries * (size_ratio - 1) / size_ratio / size_ratio ** (levels - i) for i in range(1, levels + 1))


@checked
def most_runs(layout: str, size_ratio: float) -> tuple[float, float]:
    """K and Z of a layout: the most runs in each level but the last, and in the last (Dostoevsky, SIGMOD 2018, section 4.3). 1-leveling is
    leveling here: its tiered level 0 counts as buffer."""
    tiered = size_ratio - 1
    return {"leveling": (1.0, 1.0), "1-leveling": (1.0, 1.0), "lazy-leveling": (tiered, 1.0), "tiering": (tiered, tiered)}[layout]


def runs_by_level(layout: str, size_ratio: float, levels: int) -> Iterator[float]:
    """The most runs of each level, smallest level first."""
    most, last = most_runs(layout, size_ratio)
    return (last if i == levels else most for i in range(1, levels + 1))
