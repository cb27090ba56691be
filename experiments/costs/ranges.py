"""Range lookups, and range filters."""

from __future__ import annotations

from .cost import Mark, cost
from .shape import runs_by_level


@cost(
    "C11", "range lookup", "pages read a lookup", "Monkey (SIGMOD 2017) eq. 11", (Mark.PDF,),
    "--layout leveling --size-ratio 10 --levels 4 --entries 1e6 --page-entries 32 --selectivity 1e-5",
)  # fmt: skip
def range_lookup(layout: str, size_ratio: float, levels: int, entries: float, page_entries: float, selectivity: float) -> float:
    """Q = s N / B + one page for each run: L with leveling, L (T - 1) with tiering. Here s is a share of all entries; C17 counts them."""
    return selectivity * entries / page_entries + sum(runs_by_level(layout, size_ratio, levels))


@cost(
    "C27", "false-positive rate of a range filter (bound)", "share of empty ranges", "Grafite (arXiv 2311.15380)", (Mark.ABS,),
    "--bits 16 --length 100",
)  # fmt: skip
def grafite_rate(bits: float, length: float) -> float:
    """At most l / 2^(b - 2) for ranges of l keys at b bits an entry, whatever the keys; never above 1."""
    return min(1.0, length / 2 ** (bits - 2))
