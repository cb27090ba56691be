"""What the tables of a database share: caches, codecs, filters, ledger, made from the options."""

from __future__ import annotations

from dataclasses import dataclass

import eviction
import indexes
import recovery
from recovery import FileSystem

from .codecs import available_codecs, load_codec
from .native import Cache, Env, Ledger, Watch
from .options import CacheOptions, Options
from .registry import COMPILED
from .untrusted import Limits

_ROW = 144  # bytes that a small row takes in the row cache


@dataclass(frozen=True)
class Components:
    """The environment of tables, and what it points to. ``calls_out``: a part of the read path may run code of the interpreter."""

    env: Env
    ledger: Ledger
    cache: Cache | None
    row_cache: Cache | None
    calls_out: bool
    watch: Watch


def make_components(options: Options, fs: FileSystem, database_id: int, limits: Limits | None = None) -> Components:
    """Make what the options name. limits: of blocks that are decompressed. ValueError when a component refuses its parameters."""
    ledger = Ledger()
    cache = _make_cache(options.cache, min(1024, max(64, options.table.block_size // 4)), options.seed)
    row_cache = _make_cache(options.row_cache, _ROW, options.seed)
    codecs = [load_codec(name) for name in available_codecs() if name != "none"]
    filters = [indexes.filter_ops_address(kind) for kind in indexes.FILTERS if kind != "none"]
    ranges = [indexes.range_ops_address(kind) for kind in indexes.RANGE_FILTERS if kind != "none"]
    watch = Watch()
    env = Env(fs, recovery.crc32c_address(), cache, row_cache, ledger, database_id, codecs, filters, ranges, watch)
    if limits is not None:
        env.limit(limits.block, limits.ratio)
    calls_out = any(kind not in indexes.BUILT_IN and indexes.filter_ops_address(kind) not in COMPILED for kind in indexes.FILTERS)
    return Components(env, ledger, cache, row_cache, calls_out or _calls_out(options.cache) or _calls_out(options.row_cache), watch)


def _calls_out(o: CacheOptions) -> bool:
    return o.capacity > 0 and not eviction.POLICIES[o.policy].built_in and eviction.ops_address(o.policy) not in COMPILED


def _make_cache(o: CacheOptions, mean: int, seed: int) -> Cache | None:
    if not o.capacity:
        return None
    eviction.problem(o.policy, forget=True)  # what it did elsewhere, before
    return Cache(o.capacity, o.shards, mean, eviction.ops_address(o.policy), o.params, seed)
