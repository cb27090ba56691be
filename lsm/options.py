"""Options: frozen dataclasses of plain values, printable and hashable, from and to dicts and TOML, validated when made.

A slot is chosen by its kind, a name in the slot's registry. An unknown key or a value that is not allowed raises InvalidOptions with
the key, the value and what is allowed. Sizes are bytes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

import tomli_w

import eviction
import indexes
import recovery

from .codecs import CODECS
from .errors import InvalidOptions, one_of
from .params import params_of, parse
from .registry import (
    ADMISSIONS,
    ALLOCATIONS,
    ARBITERS,
    COLLECTORS,
    COMPACTIONS,
    CUTS,
    GRANULARITIES,
    LAYOUTS,
    MEMTABLES,
    PICKERS,
    SCHEDULERS,
    TIE_BREAKS,
    TRIGGERS,
)


def _between(key: str, value: Any, low: float, high: float) -> None:
    kind = (int, float) if isinstance(low, float) else int
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise InvalidOptions(key, value, f"{'a number' if isinstance(low, float) else 'an integer'} from {low} to {high}")


def _directory(key: str, value: Any) -> None:
    if not isinstance(value, str) or (value and not value.startswith("/")):
        raise InvalidOptions(key, value, "the absolute path of a directory, or nothing")


def _key_source(key: str, value: Any) -> None:
    if not isinstance(value, str) or (value and not value.startswith(("file:", "env:"))):
        raise InvalidOptions(key, "(not shown)", "file:PATH, env:NAME or nothing")


@dataclass(frozen=True)
class WalOptions:
    """The write-ahead log: what an acknowledged write survives, and what recovery does with damage."""

    sync: str = "os"
    recovery: str = "point_in_time"
    segment_bytes: int = 0  # 0: follows the write buffer
    interval_ms: int = 100
    enabled: bool = True
    archive: str = ""  # a backup target that closed segments go to, for point-in-time restore; "": none
    archive_key: str = ""  # of an encrypted target: file:PATH or env:NAME
    archive_codec: str = "none"

    def __post_init__(self) -> None:
        one_of("wal.sync", self.sync, recovery.SYNC_MODES)
        one_of("wal.recovery", self.recovery, recovery.RECOVERY_MODES)
        _between("wal.segment_bytes", self.segment_bytes, 0, 1 << 32)
        _between("wal.interval_ms", self.interval_ms, 1, 3_600_000)
        one_of("wal.archive_codec", self.archive_codec, recovery.BACKUP_CODECS)
        _directory("wal.archive", self.archive)
        _key_source("wal.archive_key", self.archive_key)


@dataclass(frozen=True)
class TableOptions:
    """The format of new tables and how tables are read."""

    block_size: int = 4096
    restart_interval: int = 4
    hash_index: bool = True
    hash_util: float = 0.75
    index: str = "full"
    search: str = "fence"
    codec: str = "none"
    codec_level: int = 0
    filter: str = "blocked_bloom"
    bits_per_key: float = 10.0
    read_mode: str = "buffered"
    range_filter: str = "none"
    range_params: str = ""  # of the range filter: "name=value name=value"

    def __post_init__(self) -> None:
        _between("table.block_size", self.block_size, 32, 64 << 20)
        _between("table.restart_interval", self.restart_interval, 1, 4096)
        _between("table.hash_util", self.hash_util, 0.1, 4.0)
        one_of("table.index", self.index, INDEXES)
        one_of("table.search", self.search, indexes.SEARCHES)
        one_of("table.codec", self.codec, CODECS)
        _between("table.codec_level", self.codec_level, -100, 22)
        one_of("table.filter", self.filter, indexes.FILTERS)
        _between("table.bits_per_key", self.bits_per_key, 1.0, 64.0)
        one_of("table.read_mode", self.read_mode, READ_MODES)
        one_of("table.range_filter", self.range_filter, indexes.RANGE_FILTERS)
        if not isinstance(self.range_params, str) or not indexes.accepts_params(self.range_filter, self.range_params):
            raise InvalidOptions("table.range_params", self.range_params, f"parameters that the range filter {self.range_filter} takes")


INDEXES = {"full": 0, "two_level": 1}
READ_MODES = {"buffered": 0, "mapped": 1}


@dataclass(frozen=True)
class CacheOptions:
    """The block cache, shared by all keyspaces; capacity 0 turns it off."""

    policy: str = "lru"
    capacity: int = 256 << 20
    shards: int = 0  # 0: by capacity
    params: str = ""
    where: ClassVar[str] = "cache"

    def __post_init__(self) -> None:
        live = [kind for kind in eviction.POLICIES if kind not in eviction.BOUNDS]
        if isinstance(self.policy, str) and self.policy in eviction.BOUNDS:
            raise InvalidOptions(f"{self.where}.policy", self.policy, f"{', '.join(live)} ({self.policy} looks ahead: for replay alone)")
        one_of(f"{self.where}.policy", self.policy, live)
        _between(f"{self.where}.capacity", self.capacity, 0, 1 << 44)
        _between(f"{self.where}.shards", self.shards, 0, 1024)
        if self.shards & (self.shards - 1):
            raise InvalidOptions(f"{self.where}.shards", self.shards, "0 or a power of two")


@dataclass(frozen=True)
class RowCacheOptions(CacheOptions):
    """The row cache, of single entries of tables: for small hot rows in big cold blocks. Off unless it has a capacity, in bytes."""

    capacity: int = 0
    where: ClassVar[str] = "row_cache"


def _chosen(group: str, field: str, kind: Any, registry: Mapping[str, Any], params_field: str, params: Any) -> None:
    """Check the kind of a part that is chosen by name, and its parameters."""
    one_of(f"{group}{field}", kind, registry)
    parse(f"{group}{params_field}", params, params_of(registry[kind]))


MERGES = ("recursive", "preemptive")


@dataclass(frozen=True)
class CompactionOptions:
    """What is compacted when, how much of it, and what first; docs/compaction.md has all kinds with their parameters.

    `*_params` are written "name=value name=value". `policy` names a registered policy that replaces layout, triggers and picker.
    """

    layout: str = "leveling"
    layout_params: str = ""
    size_ratio: int = 10
    picker: str = "least_overlap"
    picker_params: str = ""
    triggers: str = ""  # besides those of the layout, "kind=value kind=value"
    granularity: str = "file"  # what of a full level moves
    granularity_params: str = ""
    cut: str = "size"  # where outputs end before they have output_bytes
    cut_params: str = ""
    merge: str = "recursive"  # preemptive: a merge takes a level along that it would overfill
    tie_break: str = ""  # between tables that the picker scores alike; "": as the picker declares
    trivial_move: bool = True  # tables that meet nothing keep their files
    overlap_cap: float = 0.0  # bytes of the level below its own that an output may overlap, in output_bytes; 0: no cap
    output_bytes: int = 64 << 20
    l0_trigger: int = 4
    level_base: int = 256 << 20
    max_levels: int = 7
    rate_limit: int = 0
    scheduler: str = "fifo"
    scheduler_params: str = ""
    expire_bytes: int = 0  # layouts that drop old tables, with their data: above these bytes; 0: never
    expire_after: int = 0  # and when all of a table is older than these sequence numbers; 0: never
    policy: str = ""

    def __post_init__(self) -> None:
        _chosen("compaction.", "layout", self.layout, LAYOUTS, "layout_params", self.layout_params)
        _chosen("compaction.", "picker", self.picker, PICKERS, "picker_params", self.picker_params)
        _chosen("compaction.", "granularity", self.granularity, GRANULARITIES, "granularity_params", self.granularity_params)
        _chosen("compaction.", "cut", self.cut, CUTS, "cut_params", self.cut_params)
        _chosen("compaction.", "scheduler", self.scheduler, SCHEDULERS, "scheduler_params", self.scheduler_params)
        self._check_picker()
        self._check_triggers()
        one_of("compaction.merge", self.merge, MERGES)
        if not isinstance(self.trivial_move, bool):
            raise InvalidOptions("compaction.trivial_move", self.trivial_move, "true or false")
        _between("compaction.overlap_cap", self.overlap_cap, 0.0, 1e6)
        _between("compaction.size_ratio", self.size_ratio, 2, 1000)
        _between("compaction.output_bytes", self.output_bytes, 256, 1 << 40)
        _between("compaction.l0_trigger", self.l0_trigger, 1, 1000)
        _between("compaction.level_base", self.level_base, 1024, 1 << 50)
        _between("compaction.max_levels", self.max_levels, 2, 32)
        _between("compaction.rate_limit", self.rate_limit, 0, 1 << 40)
        _between("compaction.expire_bytes", self.expire_bytes, 0, 1 << 50)
        _between("compaction.expire_after", self.expire_after, 0, 1 << 56)
        if self.policy:
            one_of("compaction.policy", self.policy, COMPACTIONS)

    def _check_picker(self) -> None:
        """A picker that leaves ties to chance is refused: which of two equal tables moves changes write amplification tenfold."""
        picker, declared = PICKERS[self.picker], getattr(PICKERS[self.picker], "tie_break", None)
        if declared not in TIE_BREAKS:
            raise InvalidOptions(
                "compaction.picker", self.picker, f"a picker with tie_break, one of {', '.join(TIE_BREAKS)}; it has {declared!r}"
            )
        if self.tie_break:
            one_of("compaction.tie_break", self.tie_break, TIE_BREAKS)
            if not hasattr(picker, "score"):
                raise InvalidOptions("compaction.tie_break", self.tie_break, f"nothing with picker {self.picker}: it gives no scores")

    def _check_triggers(self) -> None:
        if not isinstance(self.triggers, str):
            raise InvalidOptions("compaction.triggers", self.triggers, "text: name=value name=value")
        named = triggers_of(self.triggers)
        if named and not getattr(LAYOUTS[self.layout], "takes_triggers", True):
            raise InvalidOptions("compaction.triggers", self.triggers, f"none with layout {self.layout}, which decides all by itself")


@cache
def triggers_of(text: str) -> tuple[tuple[str, Any], ...]:
    """Return the triggers that `compaction.triggers` names, with their values, in order. InvalidOptions for others and for bad values."""
    if not isinstance(text, str):
        raise InvalidOptions("compaction.triggers", text, "text: kind=value kind=value")
    found = []
    for word in text.split():
        kind, equals, value = word.partition("=")
        one_of("compaction.triggers (a kind)", kind, TRIGGERS)
        declared = params_of(TRIGGERS[kind])
        if bool(equals) != bool(declared):
            allowed = f"{kind}=VALUE, VALUE {declared[0].allowed}" if declared else f"{kind} alone: it takes no value"
            raise InvalidOptions(f"compaction.triggers ({kind})", word, allowed)
        found.append((kind, declared[0].parse("compaction.triggers", value) if declared else None))
    if len({kind for kind, _ in found}) != len(found):
        raise InvalidOptions("compaction.triggers", text, "each kind once")
    return tuple(found)


@dataclass(frozen=True)
class ValueLogOptions:
    """Key-value separation: values of `min_bytes` and more go to value files at flush, tables point to them; 0: off.

    `collector` frees the space of dead values once they are more than `reserve` times the live ones, a `batch` of that reserve at a time.
    """

    min_bytes: int = 0
    file_bytes: int = 64 << 20
    collector: str = "greedy"
    reserve: float = 0.3
    batch: float = 0.25

    def __post_init__(self) -> None:
        _between("value_log.min_bytes", self.min_bytes, 0, 1 << 30)
        _between("value_log.file_bytes", self.file_bytes, 256, 1 << 38)
        one_of("value_log.collector", self.collector, COLLECTORS)
        _between("value_log.reserve", self.reserve, 0.01, 100.0)
        _between("value_log.batch", self.batch, 0.01, 1.0)


@dataclass(frozen=True)
class StallOptions:
    """Backpressure: the rule that admits writes, level-0 runs at which they slow down and stop; after how long a silent disk is told."""

    slowdown_runs: int = 20
    stop_runs: int = 36
    slowdown_us_per_kib: int = 20
    disk_ms: int = 1000  # a call to the disk that takes longer is told; 0: never
    admission: str = "slow_stop"
    admission_params: str = ""

    def __post_init__(self) -> None:
        _between("stalls.slowdown_runs", self.slowdown_runs, 1, 10_000)
        _between("stalls.stop_runs", self.stop_runs, self.slowdown_runs, 10_000)
        _between("stalls.slowdown_us_per_kib", self.slowdown_us_per_kib, 0, 1_000_000)
        _between("stalls.disk_ms", self.disk_ms, 0, 86_400_000)
        _chosen("stalls.", "admission", self.admission, ADMISSIONS, "admission_params", self.admission_params)


@dataclass(frozen=True)
class ScrubOptions:
    """Reading all tables round and round in the background, so that damage is found while there is still a copy. 0 bytes a second: off."""

    bytes_per_second: int = 0
    interval_s: int = 86_400  # from the end of a pass to the next one
    heal: str = ""  # a checkpoint or a target of backups: what a pass finds damaged is taken from there; "": nothing is
    heal_key: str = ""  # of backups that are encrypted: file:PATH or env:NAME

    def __post_init__(self) -> None:
        _between("scrub.bytes_per_second", self.bytes_per_second, 0, 1 << 40)
        _between("scrub.interval_s", self.interval_s, 0, 1 << 30)
        _directory("scrub.heal", self.heal)
        _key_source("scrub.heal_key", self.heal_key)


@dataclass(frozen=True)
class Options:
    """Everything that a database can be told. threads: those that compact, beside one that flushes; 0: both run inline, deterministically.

    memory: one budget for write buffers, filters and cache, shared by the arbiter, in place of `write_buffer` and `cache.capacity`.
    """

    write_buffer: int = 64 << 20
    buffer_entries: int = 0  # a memtable is also full when it has so many; 0: bytes alone count
    max_sealed: int = 3
    threads: int = 2
    seed: int = 0
    memtable: str = "btree"
    filter_allocation: str = "uniform"
    filter_params: str = ""  # of the allocation
    memory: int = 0  # 0: none, each part has its own
    arbiter: str = "marginal"
    arbiter_params: str = ""
    wal: WalOptions = field(default_factory=WalOptions)
    table: TableOptions = field(default_factory=TableOptions)
    cache: CacheOptions = field(default_factory=CacheOptions)
    row_cache: RowCacheOptions = field(default_factory=RowCacheOptions)
    compaction: CompactionOptions = field(default_factory=CompactionOptions)
    stalls: StallOptions = field(default_factory=StallOptions)
    scrub: ScrubOptions = field(default_factory=ScrubOptions)
    value_log: ValueLogOptions = field(default_factory=ValueLogOptions)

    def __post_init__(self) -> None:
        _between("write_buffer", self.write_buffer, 1024, 1 << 40)
        _between("buffer_entries", self.buffer_entries, 0, 1 << 40)
        _between("max_sealed", self.max_sealed, 1, 60)
        _between("threads", self.threads, 0, 64)
        _between("seed", self.seed, 0, (1 << 63) - 1)
        one_of("memtable", self.memtable, MEMTABLES)
        _chosen("", "filter_allocation", self.filter_allocation, ALLOCATIONS, "filter_params", self.filter_params)
        if self.memory != 0:
            _between("memory", self.memory, 1 << 20, 1 << 44)
        _chosen("", "arbiter", self.arbiter, ARBITERS, "arbiter_params", self.arbiter_params)

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dicts, every default written out."""
        return asdict(self)

    def to_toml(self) -> str:
        """Return the options as TOML."""
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Options:
        """Make options from nested dicts; what is not named keeps its default. InvalidOptions for unknown keys or values."""
        made = _from_dict(cls, given, "")
        assert isinstance(made, Options)
        return made

    @classmethod
    def from_toml(cls, text: str) -> Options:
        """Make options from TOML text. InvalidOptions also when it does not parse."""
        try:
            return cls.from_dict(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, RecursionError) as e:
            raise InvalidOptions("options", text[:60], f"TOML: {e}") from None

    def override(self, changes: Mapping[str, Any]) -> Options:
        """Return options with some replaced; nested settings may be dicts that name only what changes."""
        return self.from_dict(_merge(self.to_dict(), changes))


_PARAMETERS = {
    "range_filter": "range_params",
    "policy": "params",
    "filter_allocation": "filter_params",
    "arbiter": "arbiter_params",
}  # of a part that is chosen by its kind
_PARAMETERS |= {part: f"{part}_params" for part in ("layout", "picker", "granularity", "cut", "scheduler", "admission")}


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if (params := _PARAMETERS.get(key)) in base and params not in changes and value != base[key]:
            merged[params] = ""  # those there are belong to the other kind
        plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        merged[key] = _merge(base[key], plain) if isinstance(plain, Mapping) and isinstance(base.get(key), dict) else plain
    return merged


@cache
def _hints(cls: type) -> dict[str, Any]:
    """The types of the fields by name. Working them out takes most of the time that opening a small database takes."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


def _from_dict(cls: type, given: Mapping[str, Any], prefix: str) -> Any:
    if not isinstance(given, Mapping):
        raise InvalidOptions(prefix.rstrip(".") or "options", given, "a table of settings")
    hints = _hints(cls)
    names = hints.keys()
    values = {}
    for key, value in given.items():
        if key not in names:
            one_of(f"{prefix}{key} (the key)", key, sorted(names))
        want = hints[key]
        if is_dataclass(want) and isinstance(want, type):
            values[key] = value if isinstance(value, want) else _from_dict(want, value, f"{prefix}{key}.")
        elif want is bool and not isinstance(value, bool):
            raise InvalidOptions(f"{prefix}{key}", value, "true or false")
        else:
            values[key] = float(value) if want is float and isinstance(value, int) and not isinstance(value, bool) else value
    return cls(**values)


def as_options(given: Options | Mapping[str, Any] | str | Path | None, changes: Mapping[str, Any]) -> Options:
    """Make Options of what a user may pass: Options, a dict, the path of a TOML file, or nothing; then apply the overrides."""
    if given is None:
        base = Options()
    elif isinstance(given, Options):
        base = replace(given)
    elif isinstance(given, str | Path):
        base = Options.from_toml(Path(given).read_text())
    else:
        base = Options.from_dict(given)
    return base.override(changes) if changes else base
