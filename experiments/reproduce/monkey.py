"""Lookups of nothing in a leveled tree whose levels are all full: what figures F1 and F2 measure.

With T = 2 and preemptive merges, which the equations assume, leveling is a binary counter: after 2^L - 1
flushes the levels hold 1, 2, 4 ... 2^(L-1) buffers, each one run, as Monkey's equations assume. One flush later all would be one run.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..costs import allocation, filters, fitted, lookups
from .figure import Cell, Got
from .trees import Tree, absent, numbers

BUFFER = 512
SIZE_RATIO = 2
PROBES = 200_000


def known_shape(levels: int, bits: float) -> list[float]:
    """Monkey's bits a key for level 1, 2 ... of the full tree: the least sum of false-positive rates for `bits` a key in all.

    As in the paper the shape is known beforehand. A filter has one bit a key at least; a level that would get less gets none, and the
    others share what it does not use.
    """
    entries = [float(BUFFER * 2**i) for i in range(levels)]
    for filtered in range(levels, 0, -1):
        rates = allocation.least_rates(entries[:filtered], bits * sum(entries) / sum(entries[:filtered]))
        given = [filters.bloom_bits(p) for p in rates]
        if min(given) >= 1:
            return given + [0.0] * (levels - filtered)
    return [0.0] * levels


def allocation_of(cell: Cell) -> dict[str, str]:
    """The options of the filters' memory: equal, or Monkey's by level. What is flushed keeps its filter in level 1."""
    if cell["allocation"] != "monkey":
        return {"filter_allocation": "uniform"}
    given = known_shape(cell["levels"], cell["bits"])
    return {"filter_allocation": "by_hand", "filter_params": "bits=" + ",".join(f"{b:.6f}" for b in [given[0], *given])}


def measure(cell: Cell) -> Got:
    """Build the tree and look up keys that do not exist."""
    levels, bits = cell["levels"], cell["bits"]
    options = {
        **allocation_of(cell),
        "compaction": {"layout": "leveling", "granularity": "level", "merge": "preemptive", "size_ratio": SIZE_RATIO},
        "table": {"filter": "bloom" if bits or cell["allocation"] == "monkey" else "none", "bits_per_key": max(1.0, float(bits))},
    }  # fmt: skip
    with Tree(buffer=BUFFER, options=options) as tree:
        tree.put(numbers(BUFFER * (2**levels - 1), 42))
        keys = absent(cell.get("probes", PROBES), 7)
        runs = tree.runs(keys)
        rates = [run.rate for run in runs]
        return {
            "io": tree.lookups(keys), "fitted": fitted.zero_result(rates), "spread": fitted.zero_result_spread(rates, len(keys)),
            "entries": sum(r.entries for r in runs), "runs": [r.entries for r in runs],
            "bits": sum(r.bits * r.entries for r in runs) / sum(r.entries for r in runs), "model": model(cell["allocation"], levels, bits),
        }  # fmt: skip


def model(how: str, levels: int, bits: float) -> float:
    """C6 or C8 for the full tree."""
    closed = lookups.monkey_zero_result if how == "monkey" else lookups.uniform_zero_result
    return closed("leveling", SIZE_RATIO, levels, bits)


def cells(levels: Sequence[int], bits: Sequence[float], probes: int = PROBES) -> list[Cell]:
    """Every combination, with equal filters and with Monkey's."""
    return [
        {"allocation": how, "levels": n, "bits": b, "probes": probes} for n in levels for b in bits for how in ("uniform", "monkey")
    ]  # fmt: skip
