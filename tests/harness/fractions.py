"""How near policies come to Belady's MIN on the shared traces, as the reference tables count it."""

from __future__ import annotations

import csv
from collections import defaultdict
from fractions import Fraction
from math import ceil
from statistics import fmean

import eviction

from .driven import SHARED

GROUPS = {
    "loops": ("lirs-cs", "lirs-glimpse", "lirs-loop", "lirs-ps", "lirs-scan"),
    "mixed": ("lirs-2_pools", "lirs-cpp", "lirs-multi1", "lirs-multi2", "lirs-sprite"),
    "recency": ("corda-vaultservice", "lirs-backf", "lirs-zigzag"),
    "OLTP": ("arc-OLTP",),
    "web": ("adaptsize-request", "cache2k-web07", "cache2k-web12"),
    "VM I/O": ("cloudphysics-sample",),
}
SHARES = (1, 5, 10, 25, 50)  # percent of the unique keys


def fractions(kind: str, params: str = "") -> dict[str, float]:
    """Return the fraction of MIN's hits by group: the mean over sizes, then over the traces. {} where the shared folder is absent."""
    path = SHARED / "reference" / "eviction-others.csv"
    if not path.exists():
        return {}
    best: dict[str, dict[int, int]] = defaultdict(dict)
    with path.open() as file:
        for row in csv.DictReader(file):
            size, unique = int(row["cache_size"]), int(row["unique"])
            if size in {ceil(Fraction(unique * share, 100)) for share in SHARES} and int(row["min_hits"] or 0):
                best[row["trace"]][size] = int(row["min_hits"])
    return {group: fmean(_of_trace(kind, name, best[name], params) for name in names) for group, names in GROUPS.items()}


def _of_trace(kind: str, name: str, best: dict[int, int], params: str) -> float:
    trace = eviction.load(next((SHARED / "traces").glob(f"{name}.*")))
    return fmean(r.hits / best[r.size] for r in eviction.replay(kind, trace, list(best), weights=1, params=params))
