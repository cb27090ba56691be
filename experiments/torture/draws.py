"""What the random rows draw options from: one table of choices for every option of the engine, for `random` and for Hypothesis alike.

Values are small, so that a few hundred operations fill memtables, blocks, levels and caches many times over. All registered parts come,
a user's own too; `register_python` adds one in plain Python to each slot that takes some.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import eviction
import indexes
import lsm
import recovery

Options = dict[str, Any]
PAIRED: dict[str, tuple[str, dict[Any, tuple[Any, ...]]]] = {  # drawn together: the second value goes with the first
    "table.range_filter": (
        "table.range_params",
        {"surf": ("", "suffix=4,4 dense_ratio=2"), "prefix_bloom": ("", "lengths=1,3 bits=8000"), "snarf": ("", "slots=4 every=2")},
    ),
    "stalls.stop_runs": ("stalls.slowdown_runs", {36: (20, 1), 12: (4,), 6: (6, 2)}),
    "stalls.admission": ("stalls.admission_params", {"debt_proportional": ("", "slow_bytes=4000 stop_bytes=60000")}),
    "filter_allocation": ("filter_params", {"by_hand": ("", "bits=12,0,3")}),
    "arbiter": ("arbiter_params", {"marginal": ("", "step=0.25 threshold=1 least_bits=0")}),
    "compaction.layout": (
        "compaction.layout_params",
        {
            "fluid": ("K=2 Z=1", "K=2 Z=2", ""),
            "runs-vector": ("runs=2,1", "runs=1,2,1"),
            "lsm-bush": ("", "X=1.5"),
            "horizontal": ("", "levels=2"),
            "horizontal-tiering": ("levels=1", "levels=2"),
            "vertiorizon": ("", "levels=1"),
            "ucs": ("", "w=2", "w=-3", "w=2,0,-2"),
            "guards": ("runs=1", "runs=2"),
            "time-windows": ("window=40", ""),
        },
    ),
    "compaction.picker": ("compaction.tie_break", {"least_overlap": ("", "largest_key"), "largest": ("random", "oldest", "newest")}),
    "compaction.granularity": ("compaction.granularity_params", {"files": ("", "k=2")}),
    "compaction.cut": ("compaction.cut_params", {"shards": ("", "base=2 growth=0")}),
    "compaction.scheduler": ("compaction.scheduler_params", {"silk": ("", "runs=1")}),
}


TRIGGERS = (
    "idle", "manual", "space_amp=0.5", "staleness=100", "tombstone_density=0.3", "tombstone_deadline=60", "reads=3",
    "tombstone_deadline=20 space_amp=0.1 idle",
)  # fmt: skip


def choices() -> dict[str, list[Any]]:
    """Return the values of every option, by its name with dots. A value that stands twice comes twice as often."""
    live = [kind for kind in eviction.POLICIES if kind not in eviction.BOUNDS]
    return {
        "write_buffer": [1024, 4096, 16384, 1 << 20],
        "max_sealed": [1, 2, 3],
        "threads": [0, 0, 0, 0, 0, 1, 2],
        "seed": [0, 1, 2],
        "memtable": list(lsm.MEMTABLES),
        "buffer_entries": [0, 0, 0, 3, 50],
        "filter_allocation": list(lsm.ALLOCATIONS),
        "filter_params": [""],
        "memory": [0, 0, 0, 1 << 20, 1 << 22],
        "arbiter": list(lsm.ARBITERS),
        "arbiter_params": [""],
        "wal.sync": list(recovery.SYNC_MODES),
        "wal.recovery": list(recovery.RECOVERY_MODES),
        "wal.segment_bytes": [0, 4096, 65536],
        "wal.interval_ms": [1, 100],
        "wal.enabled": [True, True, True, True, True, False],
        "wal.archive": [""],  # it would be a folder on the real disk
        "wal.archive_key": [""],
        "wal.archive_codec": list(recovery.BACKUP_CODECS),
        "table.block_size": [32, 64, 512, 4096],
        "table.restart_interval": [1, 2, 4, 16],
        "table.hash_index": [True, False],
        "table.hash_util": [0.75, 0.1, 4.0],
        "table.index": ["full", "two_level"],
        "table.search": list(indexes.SEARCHES),
        "table.codec": list(lsm.CODECS),
        "table.codec_level": [0, 1, 3],
        "table.filter": list(indexes.FILTERS),
        "table.bits_per_key": [10.0, 1.0, 4.5, 20.0],
        "table.read_mode": ["buffered", "mapped"],
        "table.range_filter": list(indexes.RANGE_FILTERS),
        "table.range_params": [""],
        "cache.policy": live,
        "cache.capacity": [1 << 12, 0, 1 << 16, 1 << 20],
        "cache.shards": [0, 1, 4],
        "cache.params": [""],
        "row_cache.policy": live,
        "row_cache.capacity": [0, 0, 1 << 12, 1 << 16],
        "row_cache.shards": [0, 1],
        "row_cache.params": [""],
        **{f"compaction.{name}": values for name, values in compactions().items()},
        "value_log.min_bytes": [0, 1, 8, 100],
        "value_log.file_bytes": [256, 4096, 1 << 20],
        "value_log.collector": list(lsm.COLLECTORS),
        "value_log.reserve": [0.3, 0.05, 0.9, 100.0],
        "value_log.batch": [0.25, 0.01, 1.0],
        "stalls.slowdown_runs": [20],
        "stalls.stop_runs": [36, 12, 6],
        "stalls.slowdown_us_per_kib": [0, 20],
        "stalls.disk_ms": [1000, 0],
        "stalls.admission": list(lsm.ADMISSIONS),
        "stalls.admission_params": [""],
        "scrub.bytes_per_second": [0, 0, 1 << 24],
        "scrub.interval_s": [86_400, 0],
        "scrub.heal": [""],
        "scrub.heal_key": [""],
    }


def compactions() -> dict[str, list[Any]]:
    """Return the values of the options of compaction."""
    return {
        "layout": list(lsm.LAYOUTS),
        "size_ratio": [2, 3, 10],
        "layout_params": [""],
        "picker": list(lsm.PICKERS),
        "picker_params": [""],
        "tie_break": [""],
        "triggers": ["", "", "", *TRIGGERS],
        "granularity": list(lsm.GRANULARITIES),
        "granularity_params": [""],
        "cut": list(lsm.CUTS),
        "cut_params": [""],
        "merge": ["recursive", "preemptive"],
        "trivial_move": [True, True, False],
        "overlap_cap": [0.0, 0.0, 2.0],
        "scheduler": list(lsm.SCHEDULERS),
        "scheduler_params": [""],
        "expire_bytes": [0],  # the model forgets nothing
        "expire_after": [0],
        "output_bytes": [1024, 256, 8192, 1 << 20],
        "l0_trigger": [2, 1, 4, 8],
        "level_base": [4096, 1024, 65536],
        "max_levels": [7, 2, 3],
        "rate_limit": [0, 0, 1 << 30],
        "policy": ["", "", "", "", *lsm.COMPACTIONS],
    }


def nested(flat: dict[str, Any]) -> Options:
    """Turn names with dots into nested dicts."""
    out: Options = {}
    for name, value in flat.items():
        group, _, key = name.rpartition(".")
        (out.setdefault(group, {}) if group else out)[key] = value
    return out


def fitting(flat: dict[str, Any]) -> dict[str, Any]:
    """Return options by name without what does not go together."""
    layout = lsm.LAYOUTS[flat["compaction.layout"]]
    return flat if getattr(layout, "takes_triggers", True) else flat | {"compaction.triggers": ""}


def draw_options(rng: random.Random, **fixed: Any) -> Options:
    """Draw every option; fixed: values by name, with __ for the dot."""
    flat = {name: rng.choice(values) for name, values in choices().items()}
    for name, (other, by_value) in PAIRED.items():
        flat[other] = rng.choice(by_value.get(flat[name], ("",)))
    return nested(fitting(flat) | {name.replace("__", "."): value for name, value in fixed.items()})


def override(options: Options, **changes: Any) -> Options:
    """Return options with some replaced; names with __ for the dot."""
    new = {k: dict(v) if isinstance(v, dict) else v for k, v in options.items()}
    for name, value in changes.items():
        group, _, key = name.rpartition("__")
        (new[group] if group else new)[key] = value
    return new


# Parts in plain Python


class AnyMerge:
    """A policy that is legal and without any plan: it merges the newest runs of a level drawn from the step, on or one deeper."""

    kind = "any-merge"

    def plan(self, view: lsm.TreeView) -> lsm.Plan | None:
        """Merge level by level once a level has three runs; the level that is merged into comes along where it overlaps."""
        for level in view.levels:
            if len(level.runs) < 3 or level.number >= 3:
                continue
            deeper = view.levels[level.number + 1].tables if level.number + 1 < len(view.levels) else ()
            inputs = tuple(t.number for t in (*level.tables, *deeper))
            if not view.busy.intersection(inputs):
                return lsm.Plan(inputs, level.number + 1, "three runs")
        return None


class OldestSlot:
    """First in, first out, as an eviction policy in Python."""

    def __init__(self, capacity: int, slots: int, seed: int = 0) -> None:
        """Hold slots in the order they came."""
        self.queue: dict[int, None] = {}

    def hit(self, slot: int) -> None:
        """Nothing changes."""

    def miss(self, key: int, weight: int) -> bool:
        """Take all."""
        return True

    def insert(self, slot: int, key: int, weight: int) -> None:
        """Join the end."""
        self.queue[slot] = None

    def evict(self) -> int | None:
        """Return the first."""
        slot = next(iter(self.queue), None)
        if slot is not None:
            del self.queue[slot]
        return slot

    def remove(self, slot: int) -> None:
        """Forget one."""
        self.queue.pop(slot, None)


@cache
def register_python() -> Any:
    """Register a memtable, filters, an eviction policy and a compaction policy in Python; returns what must stay alive."""
    from indexes.native_filter import PythonFilter
    from indexes.twins import BloomTwin
    from lsm.memtable_python import SortedMemtable
    from lsm.native_memtables import PythonMemtable

    class PythonBloom(BloomTwin):
        name = "python_bloom"

    memtable = PythonMemtable(SortedMemtable, "sorted")
    lsm.MEMTABLES["sorted"] = memtable.address
    indexes.register_filter("python_bloom", PythonFilter(PythonBloom()))
    eviction.register("oldest_slot", OldestSlot)
    lsm.register_compaction(AnyMerge.kind, AnyMerge)
    return memtable
