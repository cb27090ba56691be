"""Space amplification: entries stored for each live one, less one."""

from __future__ import annotations

from .cost import Mark, checked, cost
from .symbols import at_most


@cost("C19", "space amplification, worst case", "obsolete entries a live entry", "Dostoevsky (SIGMOD 2018) eq. 13", (Mark.PDF,),
      "--size-ratio 10 --last-runs 1")  # fmt: skip
def space(size_ratio: float, last_runs: float) -> float:
    """Z - 1 + 1 / T: all but one run of the last level and all levels above it hold updates of what that run holds. Assumes that the last
    level is full: while it grows, leveling is worse."""
    at_most("last_runs", last_runs, size_ratio - 1, "size_ratio - 1")
    return last_runs - 1 + 1 / size_ratio


@checked
def stored(size_ratio: float) -> float:
    """Bytes stored a byte of the last level with leveling: 1 + 1/T + 1/T^2 ... = T / (T - 1), 1.111 at T = 10. Dong et al., CIDR 2017,
    section 3."""
    return size_ratio / (size_ratio - 1)
