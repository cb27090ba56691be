"""Two lines to draw beside a measurement: the closed form of a tree whose levels are full ("worst case"), and the model fitted to the runs
that the tree has. Each metric names its definition.

Definitions (others use the same words for other things): WA-user, bytes written by log, flushes and merges a byte of user data; RA-io, data
blocks touched an operation, cached or not; SA, entries stored a live entry, less one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import lsm
from lsm.policies.allocation import Filled

from .costs import filters, fitted
from .fitted_writes import fitted_writes
from .full_levels import Full, full_levels
from .results import Record


@dataclass(frozen=True)
class Overlay:
    """A measurement and what the models say of it; None where none applies. `models`: numbers of the worst case's models."""

    definition: str
    measured: float
    worst: float | None
    fitted: float | None
    models: str
    spread: float | None = None  # standard error of the measurement if the fitted model is right, where that is known


def filter_of(record: Record) -> tuple[str, float]:
    """Kind and bits a key of the filters as the options have them."""
    table = record.options["table"]
    kind = table["filter"] if isinstance(table["filter"], str) else table["filter"].get("kind", "none")
    return kind, float(table["bits_per_key"])


def foreign(record: Record) -> bool:
    """Whether another engine ran: the models are of our tree."""
    return bool(record.config.get("run", {}).get("store", "lsmlab") != "lsmlab")


def full(record: Record) -> Full | None:
    """The tree of full levels; None without a closed form of the layout, under a policy of the user's, and for another engine."""
    return None if foreign(record) else full_levels(record.options["compaction"], last_level(record))


def last_level(record: Record) -> int:
    """The deepest level that holds anything at the end, at least 1."""
    return max([lv["level"] for lv in record.series[-1]["levels"] if lv["bytes"]], default=0) or 1


def full_rates(record: Record, tree: Full) -> list[float]:
    """The rate of the filters of each level of the full tree, by the engine's own allocation."""
    kind, bits = filter_of(record)
    total = max(1.0, sum(lv["entries"] for lv in record.series[-1]["levels"]))
    held = [max(1, round(total * share)) for share in tree.shares]
    filled = Filled(held, bits, record.options["compaction"]["size_ratio"], params=record.options.get("filter_params", ""))
    allocation = lsm.ALLOCATIONS[record.options["filter_allocation"]]()
    each = [min(64.0, allocation.bits(level, filled)) for level in range(len(held))]
    return [filters.filter_rate(kind, b) if b >= 1 else 1.0 for b in each]


def runs_of(record: Record) -> tuple[list[float], list[float]]:
    """Rate and entries of every run of the final tree, newest first: of the very filters where the record has them, else of the kind at its
    bits a key and of runs of a level taken as equal."""
    if record.runs:
        return [r["rate"] for r in record.runs], [r["entries"] for r in record.runs]
    rate = filters.filter_rate(*filter_of(record))
    entries = [lv["entries"] / lv["runs"] for lv in record.series[-1]["levels"] if lv["runs"] for _ in range(lv["runs"])]
    return [rate] * len(entries), entries


def live(record: Record) -> float:
    """Live entries at the end, or as many as were loaded for a record that does not say."""
    if "live" in record.summary:
        return record.summary["live"]
    return float(record.config["records"] if record.workload != "trace" else max(runs_of(record)[1], default=1))


def blocks_per_lookup(record: Record, phase: str) -> float:
    """Data blocks that a probe touched, from the disk or from the cache."""
    blocks = record.total("count", phase=phase, operation=("read", "hit"), component="data", cause="get")
    return blocks / max(1, int(record.config["probes"]))


def _counts_blocks(record: Record) -> bool:
    return not foreign(record) or any(row["component"] == "data" and row["cause"] == "get" for row in record.ledger)


def misses(record: Record) -> Overlay | None:
    """Lookups of keys that do not exist, in the final tree."""
    if "misses" not in record.counters or not _counts_blocks(record):
        return None
    worst, tree = None, full(record)
    if tree is not None:
        worst = sum(n * p for n, p in zip(tree.runs, full_rates(record, tree), strict=True))
    if foreign(record):
        return Overlay("RA-io, data blocks per lookup", blocks_per_lookup(record, "misses"), worst, None, "–")
    rates = runs_of(record)[0]
    spread = fitted.zero_result_spread(rates, max(1, int(record.config["probes"])), max(1.0, live(record)))
    return Overlay(
        "RA-io, data blocks per lookup", blocks_per_lookup(record, "misses"), worst, fitted.zero_result(rates),
        tree.reads if tree else "C3", spread,
    )  # fmt: skip


def hits(record: Record) -> Overlay | None:
    """Lookups of keys that exist, in the final tree; None when some of them had been deleted."""
    if "hits" not in record.counters or not _counts_blocks(record):
        return None
    if record.counters["hits"].get("found", record.config["probes"]) != record.config["probes"]:
        return None
    worst, tree = None, full(record)
    if tree is not None:
        rates = full_rates(record, tree)
        worst = 1 + sum(n * p for n, p in zip(tree.runs, rates, strict=True)) - rates[-1]
    if foreign(record):
        return Overlay("RA-io, data blocks per lookup", blocks_per_lookup(record, "hits"), worst, None, "–")
    rates, entries = runs_of(record)
    model = fitted.existing(rates, entries, max(1.0, live(record))) if entries else 0.0
    return Overlay("RA-io, data blocks per lookup", blocks_per_lookup(record, "hits"), worst, model, "C9")


def write_shares(record: Record) -> dict[str, float]:
    """Bytes written per byte of user data by where they went: log, flush, then each level that a merge wrote to."""
    user = sum(c.get("user_bytes", 0) for c in record.counters.values()) or 1
    shares = {"log": record.total(operation="write", component="wal") / user}
    shares["flush"] = record.total(operation="write", cause="flush") / user
    for level in sorted({row["level"] for row in record.ledger if row["operation"] == "write" and row["cause"] == "compaction"}):
        shares[f"merge to L{level}" if level >= 0 else "merges"] = record.total(operation="write", cause="compaction", level=level) / user
    return shares


def writes(record: Record) -> Overlay | None:
    """All bytes written, load and run together."""
    tree = full(record)
    worst = None if tree is None or tree.merges is None else 2 + tree.merges
    model = None if tree is None else fitted_writes(record, last_level(record))
    models = f"{tree.writes} + flush + log" if tree else "–"
    return Overlay("WA-user, bytes written per byte of user data", sum(write_shares(record).values()), worst, model, models)


def spaces(record: Record) -> Overlay | None:
    """Entries stored in the final tree."""
    if not record.summary.get("live"):
        return None  # an empty tree, or a record from before this was counted
    tree, entries, alive = full(record), runs_of(record)[1], live(record)
    if foreign(record):
        return Overlay("SA, entries stored per live entry - 1", sum(entries) / alive - 1, None, None, "–") if sum(entries) else None
    model = fitted.space(entries, alive, record.summary["written"])
    return Overlay(
        "SA, entries stored per live entry - 1",
        sum(entries) / alive - 1,
        tree.space if tree else None,
        model,
        tree.sizes if tree else "C19",
    )


def scans(record: Record) -> Overlay | None:
    """Range lookups during the run; the fitted model is the mean over the trees that the run went through."""
    counted = record.counters.get("run", {})
    if not counted.get("scans"):
        return None
    number, scanned = counted["scans"], counted["scan_entries"] / counted["scans"]
    blocks = record.total("count", phase="run", operation=("read", "hit"), component="data", cause="scan")
    total, size = (sum(lv[what] for lv in record.series[-1]["levels"]) for what in ("entries", "bytes"))
    a_block = max(1.0, total / max(1, size) * record.options["table"]["block_size"])
    worst, tree = None, full(record)
    if tree is not None:
        worst = sum(tree.runs) + scanned / a_block * (1 + tree.space)
    model = mean(_fitted_scan(sample, live(record), scanned, a_block) for sample in record.series)
    return Overlay("RA-io, data blocks per range lookup", blocks / number, worst, model, tree.scans if tree else "C17")


def _fitted_scan(sample: Mapping[str, Any], records: float, scanned: float, a_block: float) -> float:
    entries = [lv["entries"] / lv["runs"] for lv in sample["levels"] if lv["runs"] for _ in range(lv["runs"])]
    return fitted.range_lookup(entries, [n / a_block for n in entries], max(1.0, records), scanned)


def averaged(overlays: Sequence[Overlay]) -> Overlay:
    """The mean of several, for a bar that stands for several runs: a model that one of them lacks is None."""

    def average(values: Sequence[float | None]) -> float | None:
        there = [v for v in values if v is not None]
        return mean(there) if len(there) == len(values) else None

    models = ", ".join(dict.fromkeys(o.models for o in overlays))
    worst, fitted_ = average([o.worst for o in overlays]), average([o.fitted for o in overlays])
    return Overlay(overlays[0].definition, mean(o.measured for o in overlays), worst, fitted_, models)


OVERLAYS: Mapping[str, Callable[[Record], Overlay | None]] = {
    "writes": writes, "misses": misses, "hits": hits, "scans": scans, "space": spaces,
}  # fmt: skip
