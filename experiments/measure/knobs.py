"""How this engine's options are told to RocksDB and LevelDB, knob by knob, and what they have no knob for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Knob:
    """Our option, what the other engine calls it, the value it got; "none" where it has no such knob, with why in `value`."""

    ours: str
    theirs: str
    value: str


class _Told:
    """Notes each knob as it is set."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.knobs: list[Knob] = []

    def value(self, ours: str) -> Any:
        """The value of one of our options by its dotted name."""
        found: Any = self.options
        for part in ours.split("."):
            found = found[part]
        return found

    def note(self, ours: str, theirs: str, value: Any) -> Any:
        self.knobs.append(Knob(ours, theirs, str(value)))
        return value

    def lacking(self, ours: str, why: str) -> None:
        self.knobs.append(Knob(ours, "none", f"{self.value(ours)}: {why}"))


def rocksdb_settings(options: Mapping[str, Any]) -> tuple[Any, list[Knob]]:
    """rocksdict.Options for our options, and the table of knobs. ValueError for a layout or a codec that RocksDB has not."""
    import rocksdict as r

    told, native, table = _Told(options), r.Options(raw_mode=True), r.BlockBasedOptions()
    v = told.value
    native.create_if_missing(True)
    native.enable_statistics()
    simple = {
        "write_buffer": ("write_buffer_size", native.set_write_buffer_size),
        "compaction.level_base": ("max_bytes_for_level_base", native.set_max_bytes_for_level_base),
        "compaction.output_bytes": ("target_file_size_base", native.set_target_file_size_base),
        "compaction.l0_trigger": ("level0_file_num_compaction_trigger", native.set_level_zero_file_num_compaction_trigger),
        "compaction.max_levels": ("num_levels", native.set_num_levels),
        "stalls.slowdown_runs": ("level0_slowdown_writes_trigger", native.set_level_zero_slowdown_writes_trigger),
        "stalls.stop_runs": ("level0_stop_writes_trigger", native.set_level_zero_stop_writes_trigger),
        "table.block_size": ("block_size", table.set_block_size),
        "table.restart_interval": ("block_restart_interval", table.set_block_restart_interval),
    }
    for ours, (theirs, put) in simple.items():
        put(told.note(ours, theirs, v(ours)))
    native.set_max_bytes_for_level_multiplier(
        told.note("compaction.size_ratio", "max_bytes_for_level_multiplier", float(v("compaction.size_ratio")))
    )
    native.set_level_compaction_dynamic_level_bytes(told.note("compaction.level_base", "level_compaction_dynamic_level_bytes", False))
    native.set_max_write_buffer_number(told.note("max_sealed", "max_write_buffer_number (the active one included)", v("max_sealed") + 1))
    jobs = max(1, v("threads"))
    native.set_max_background_jobs(told.note("threads", "max_background_jobs", jobs + (jobs == 1)))
    table.set_block_cache(r.Cache(told.note("cache.capacity", "block_cache (LRU)", v("cache.capacity"))))
    if v("table.filter") != "none":
        bits = told.note("table.bits_per_key", "filter_policy=bloomfilter (full filter, 512-bit blocks)", v("table.bits_per_key"))
        table.set_bloom_filter(bits, False)
    native.set_block_based_table_factory(table)
    _rocks_codec(told, native, r)
    _rocks_layout(told, native, r)
    for ours, why in (
        ("cache.policy", "its LRU"),
        ("filter_allocation", "uniform"),
        ("memtable", "its B+-tree"),
        ("threads", "flushes and merges always run beside"),
    ):
        told.lacking(ours, why)
    return native, told.knobs


def _rocks_codec(told: _Told, native: Any, r: Any) -> None:
    codecs = {"none": r.DBCompressionType.none, "lz4": r.DBCompressionType.lz4, "zstd": r.DBCompressionType.zstd}
    codec = told.value("table.codec")
    if codec not in codecs:
        raise ValueError(f"RocksDB runs with table.codec {', '.join(codecs)}, not {codec!r}")
    native.set_compression_type(codecs[codec]())
    told.note("table.codec", "compression", codec)


def _rocks_layout(told: _Told, native: Any, r: Any) -> None:
    layout, ratio = told.value("compaction.layout"), told.value("compaction.size_ratio")
    styles = {"leveling": "level", "1-leveling": "level", "tiering": "universal"}
    if layout not in styles or told.value("compaction.policy"):
        raise ValueError(f"RocksDB runs with compaction.layout {', '.join(styles)}, not {told.value('compaction.policy') or layout!r}")
    if styles[layout] == "universal":
        universal = r.UniversalCompactOptions()
        universal.min_merge_width = ratio
        native.set_compaction_style(r.DBCompactionStyle.universal())
        native.set_universal_compaction_options(universal)
        told.note("compaction.size_ratio", "compaction_options_universal.min_merge_width", ratio)
    told.note("compaction.layout", "compaction_style", styles[layout])
    told.note("compaction.picker", "compaction_pri", "kMinOverlappingRatio (its default; the binding has no call for it)")


def leveldb_settings(options: Mapping[str, Any]) -> tuple[dict[str, Any], list[Knob]]:
    """Arguments of plyvel.DB for our options, and the table of knobs. ValueError for a layout that LevelDB has not."""
    told = _Told(options)
    v = told.value
    if v("compaction.layout") not in ("leveling", "1-leveling") or v("compaction.policy"):
        raise ValueError(
            f"LevelDB runs with compaction.layout leveling, 1-leveling, not {v('compaction.policy') or v('compaction.layout')!r}"
        )
    bits = round(v("table.bits_per_key")) if v("table.filter") != "none" else 0
    settings = {
        "write_buffer_size": told.note("write_buffer", "write_buffer_size", v("write_buffer")),
        "lru_cache_size": told.note("cache.capacity", "lru_cache_size", v("cache.capacity")),
        "block_size": told.note("table.block_size", "block_size", v("table.block_size")),
        "block_restart_interval": told.note("table.restart_interval", "block_restart_interval", v("table.restart_interval")),
        "bloom_filter_bits": told.note("table.bits_per_key", "bloom_filter_bits", bits),
        "max_file_size": told.note("compaction.output_bytes", "max_file_size", max(1 << 20, min(1 << 30, v("compaction.output_bytes")))),
        "compression": told.note("table.codec", "compression", None),
    }  # fmt: skip
    fixed = {"compaction.size_ratio": "always 10", "compaction.level_base": "always 10 MiB", "compaction.l0_trigger": "always 4",
             "stalls.slowdown_runs": "always 8", "stalls.stop_runs": "always 12", "max_sealed": "always 1", "threads": "always one",
             "cache.policy": "its LRU", "compaction.picker": "round robin"}  # fmt: skip
    for ours, why in fixed.items():
        told.lacking(ours, why)
    return settings, told.knobs
