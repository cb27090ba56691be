"""Writes of a tree as it was: what merges write in levels as large as they were on average. No paper's (docs/theory.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul
from statistics import mean
from typing import Any

from .costs import fitted, symbols
from .full_levels import bounded_runs, bush_ratios
from .results import Record


def fitted_writes(record: Record, last: int) -> float | None:
    """Log, flush and merges, bytes per byte of user data, of a tree whose deepest level is `last`; None without a model of the layout, and
    when nothing was flushed."""
    user = sum(c.get("user_bytes", 0) for c in record.counters.values())
    flushed = record.total(operation="write", cause="flush")
    flushes = record.total("count", operation="write", cause="flush", component="meta") // 2  # properties and footer of each table
    if not user or not flushes:
        return None
    held = [mean(_bytes(sample, level) for sample in record.series) for level in range(last)] + [_bytes(record.series[-1], last)]
    merged = _merged(record, flushed, flushed / flushes, held)
    return None if merged is None else 1 + (flushed + merged) / user


def _merged(record: Record, flushed: float, flush: float, held: Sequence[float]) -> float | None:
    """Bytes that merges wrote, of a tree whose levels held so much on average, the last one at the end."""
    compaction, last = record.options["compaction"], len(held) - 1
    layout = compaction["layout"]
    if layout in ("fluid", "runs-vector"):
        return _bounded(compaction, flushed, flush, held)
    if layout in ("capacity-lazy-leveling", "lsm-bush"):
        moved_at = [flush * n for n in accumulate(bush_ratios(compaction, last), mul)]
        return fitted.merged_bytes(flushed, held, moved_at, [False] * last + [True])
    return fitted.merged_bytes(flushed, held, *_named(record, flush, last)) if layout in symbols.LAYOUTS else None


def _named(record: Record, flush: float, last: int) -> tuple[list[float], list[bool]]:
    """What each level but the last has when some of it moves down; which levels merge what arrives into their run."""
    compaction = record.options["compaction"]
    layout, ratio = compaction["layout"], compaction["size_ratio"]
    leveled = layout in ("leveling", "1-leveling")
    several = _arriving(record) if leveled and record.options["threads"] else None
    zero = several or flush * (compaction["l0_trigger"] if layout == "1-leveling" else 1 if layout == "leveling" else ratio)
    if leveled:
        # a level moves tables down while it is above its capacity: by half of what arrives at a time, on average
        arriving = [zero, *[compaction["output_bytes"]] * last]
        moved_at = [zero, *(compaction["level_base"] * ratio ** (i - 1) + arriving[i - 1] / 2 for i in range(1, last))]
    else:
        moved_at = [zero * ratio**level for level in range(last)]
    return moved_at, [leveled] * last + [leveled or layout == "lazy-leveling"]


def _bounded(compaction: Mapping[str, Any], flushed: float, flush: float, held: Sequence[float]) -> float:
    """Of K_i runs the newest takes in what arrives until it has its share of the level, so it is half as large on average, less half of
    what arrives. A level of one run is as with leveling: it moves down by tables, others as a whole."""
    last, runs = len(held) - 1, bounded_runs(compaction, len(held) - 1)
    total, moved, unit, above = 0.0, flushed, flush, flush
    for i, k in enumerate(runs, 1):
        capacity = compaction["level_base"] * compaction["size_ratio"] ** (i - 1)
        moved = max(0.0, moved - held[i - 1])
        total += moved
        if k == 1:
            total += held[i] / above * max(0.0, moved - held[i] / 2)
        else:
            most = min(capacity / k, held[i] * (1 if i == last else 2))
            total += max(0.0, most - above) / 2 / above * moved
        above = capacity + unit / 2
        unit = compaction["output_bytes"] if k == 1 else above
    return total


def _arriving(record: Record) -> float | None:
    """Bytes of flushes that a merge into level 1 took at a time. With threads more than are due, when writers are faster than merges."""
    flushed = sum(e["bytes_out"] for e in record.events if e["kind"] == "flush")
    merges = sum(e["kind"] == "compaction" and e["level"] == 1 for e in record.events)
    return flushed / merges if flushed and merges else None


def _bytes(sample: Mapping[str, Any], level: int) -> float:
    return float(sum(lv["bytes"] for lv in sample["levels"] if lv["level"] == level))
