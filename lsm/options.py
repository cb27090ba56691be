"""Options: frozen dataclasses of plain values, printable and hashable, from and to dicts and TOML, validated when made.

A slot is chosen by its kind, a name in the slot's registry. An unknown key or a value that is not allowed raises InvalidOptions with
the key, the value and what is allowed. Sizes are bytes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

import tomli_w

import eviction
import indexes
import recovery

from .codecs import CODECS
from .errors import InvalidOptions, one_of
from .registry import ALLOCATIONS, COMPACTIONS, LAYOUTS, MEMTABLES, PICKERS


def _between(key: str, value: Any, low: float, high: float) -> None:
    kind = (int, float) if isinstance(low, float) else int
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise InvalidOptions(key, value, f"{'a number' if isinstance(low, float) else 'an integer'} from {low} to {high}")


@dataclass(frozen=True)
class WalOptions:
    """The write-ahead log: what an acknowledged write survives, and what recovery does with damage."""

    sync: str = "os"
    recovery: str = "point_in_time"
    segment_bytes: int = 0  # 0: follows the write buffer
    interval_ms: int = 100
    enabled: bool = True

    def __post_init__(self) -> None:
        one_of("wal.sync", self.sync, recovery.SYNC_MODES)
        one_of("wal.recovery", self.recovery, recovery.RECOVERY_MODES)
        _between("wal.segment_bytes", self.segment_bytes, 0, 1 << 32)
        _between("wal.interval_ms", self.interval_ms, 1, 3_600_000)


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
        if self.policy in eviction.BOUNDS:
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


@dataclass(frozen=True)
class CompactionOptions:
    """Layout, growth, picking and output of compactions. `policy` names a registered policy that replaces layout and picker."""

    layout: str = "leveling"
    size_ratio: int = 10
    picker: str = "least_overlap"
    output_bytes: int = 64 << 20
    l0_trigger: int = 4
    level_base: int = 256 << 20
    max_levels: int = 7
    rate_limit: int = 0
    policy: str = ""

    def __post_init__(self) -> None:
        one_of("compaction.layout", self.layout, LAYOUTS)
        one_of("compaction.picker", self.picker, PICKERS)
        _between("compaction.size_ratio", self.size_ratio, 2, 1000)
        _between("compaction.output_bytes", self.output_bytes, 256, 1 << 40)
        _between("compaction.l0_trigger", self.l0_trigger, 1, 1000)
        _between("compaction.level_base", self.level_base, 1024, 1 << 50)
        _between("compaction.max_levels", self.max_levels, 2, 32)
        _between("compaction.rate_limit", self.rate_limit, 0, 1 << 40)
        if self.policy:
            one_of("compaction.policy", self.policy, COMPACTIONS)


@dataclass(frozen=True)
class StallOptions:
    """Backpressure: level-0 runs at which writes slow down and stop."""

    slowdown_runs: int = 20
    stop_runs: int = 36
    slowdown_us_per_kib: int = 20

    def __post_init__(self) -> None:
        _between("stalls.slowdown_runs", self.slowdown_runs, 1, 10_000)
        _between("stalls.stop_runs", self.stop_runs, self.slowdown_runs, 10_000)
        _between("stalls.slowdown_us_per_kib", self.slowdown_us_per_kib, 0, 1_000_000)


@dataclass(frozen=True)
class Options:
    """Everything that a database can be told. threads=0: flushes and compactions run inline, deterministically."""

    write_buffer: int = 64 << 20
    max_sealed: int = 3
    threads: int = 2
    seed: int = 0
    memtable: str = "skiplist"
    filter_allocation: str = "uniform"
    wal: WalOptions = field(default_factory=WalOptions)
    table: TableOptions = field(default_factory=TableOptions)
    cache: CacheOptions = field(default_factory=CacheOptions)
    row_cache: RowCacheOptions = field(default_factory=RowCacheOptions)
    compaction: CompactionOptions = field(default_factory=CompactionOptions)
    stalls: StallOptions = field(default_factory=StallOptions)

    def __post_init__(self) -> None:
        _between("write_buffer", self.write_buffer, 1024, 1 << 40)
        _between("max_sealed", self.max_sealed, 1, 60)
        _between("threads", self.threads, 0, 64)
        _between("seed", self.seed, 0, (1 << 63) - 1)
        one_of("memtable", self.memtable, MEMTABLES)
        one_of("filter_allocation", self.filter_allocation, ALLOCATIONS)

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
        except tomllib.TOMLDecodeError as e:
            raise InvalidOptions("options", text[:60], f"TOML: {e}") from None

    def override(self, changes: Mapping[str, Any]) -> Options:
        """Return options with some replaced; nested settings may be dicts that name only what changes."""
        return self.from_dict(_merge(self.to_dict(), changes))


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        merged[key] = _merge(base[key], plain) if isinstance(plain, Mapping) and isinstance(base.get(key), dict) else plain
    return merged


def _from_dict(cls: type, given: Mapping[str, Any], prefix: str) -> Any:
    if not isinstance(given, Mapping):
        raise InvalidOptions(prefix.rstrip(".") or "options", given, "a table of settings")
    names = {f.name for f in fields(cls)}
    hints = get_type_hints(cls)
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
