"""Updates: page I/O and writes an entry, and the throughput that follows from all costs."""

from __future__ import annotations

from dataclasses import dataclass

from .cost import Mark, checked, cost
from .shape import runs_by_level


@checked
def merges(layout: str, size_ratio: float, levels: int) -> float:
    """How often merges write an entry on its way to the last level: (T - 1) / (K_i + 1) at each level, so leveling (T - 1) / 2 and tiering
    (T - 1) / T a level (Monkey eq. 10, Dostoevsky eq. 12). Whole levels are merged, preemptively."""
    return sum((size_ratio - 1) / (k + 1) for k in runs_by_level(layout, size_ratio, levels))


@checked
def write_amplification(layout: str, size_ratio: float, levels: int) -> float:
    """Bytes written by flushes and merges for each byte flushed: 1 for the flush, and `merges`. No log."""
    return 1 + merges(layout, size_ratio, levels)


@cost(
    "C10", "update", "pages moved an update, weighted", "Monkey (SIGMOD 2017) eq. 10", (Mark.PDF, Mark.SIM),
    "--layout tiering --size-ratio 10 --levels 4 --page-entries 32",
)  # fmt: skip
def update(layout: str, size_ratio: float, levels: int, page_entries: float, write_cost: float = 1.0) -> float:
    """W: leveling (L / B) (T - 1) / 2 (1 + phi), tiering (L / B) (T - 1) / T (1 + phi); for lazy leveling the same sum level by level. Each
    page that is merged is read once (1) and written once (phi). Neither flush nor log is counted."""
    return merges(layout, size_ratio, levels) / page_entries * (1 + write_cost)


@dataclass(frozen=True)
class Throughput:
    """theta: mean cost of an operation in I/O. tau: operations a second."""

    io_per_operation: float
    operations_per_second: float


@cost(
    "C12", "throughput of a mix", "I/O an operation; operations a second", "Monkey (SIGMOD 2017) eq. 12, 13", (Mark.PDF,),
    "--zero-share 0.2 --zero-result 0.05 --existing-share 0.3 --existing-cost 1.04 --range-share 0 --range-cost 10 --update-share 0.5 "
    "--update-cost 0.2 --read-seconds 1e-4",
)  # fmt: skip
def throughput(
    zero_share: float, zero_result: float, existing_share: float, existing_cost: float, range_share: float, range_cost: float,
    update_share: float, update_cost: float, read_seconds: float,
) -> Throughput:  # fmt: skip
    """theta = r R + v V + q Q + w W; tau = 1 / (theta Omega). The shares sum to 1."""
    total = zero_share + existing_share + range_share + update_share
    if abs(total - 1) > 1e-6:
        raise ValueError(f"zero_share + existing_share + range_share + update_share is {total:g}; allowed: 1")
    theta = zero_share * zero_result + existing_share * existing_cost + range_share * range_cost + update_share * update_cost
    if theta == 0:
        raise ValueError("the mean cost is 0; allowed: at least one cost above 0 with a share above 0")
    return Throughput(theta, 1 / (theta * read_seconds))
