"""The settings of new tables, made from options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import indexes

from .codecs import CODECS
from .native import TableSettings
from .options import INDEXES, READ_MODES, Options, triggers_of
from .policies.allocation import Filled
from .registry import ALLOCATIONS, PICKERS, TRIGGERS
from .version import Version


def settings_of(
    options: Options, keyspace: str, keyspace_id: int, bits_per_key: float | None = None, codec: int | None = None
) -> TableSettings:
    """Return the settings of tables of a keyspace. bits_per_key: of the filter, default the options'; codec: the address of one made."""
    t = options.table
    bits = t.bits_per_key if bits_per_key is None else bits_per_key
    if codec is None:
        codec = CODECS[t.codec]().build().address if t.codec != "none" else 0
    return TableSettings(
        block_size=t.block_size,
        restart_interval=t.restart_interval,
        hash_index=t.hash_index,
        hash_util=t.hash_util,
        index_kind=INDEXES[t.index],
        codec=codec,
        codec_level=t.codec_level,
        filter=indexes.filter_ops_address(t.filter) if bits >= 1 else 0,
        bits_per_key=min(bits, 64.0),
        search=indexes.search_ops_address(t.search),
        read_mode=READ_MODES[t.read_mode],
        range_filter=indexes.range_ops_address(t.range_filter),
        range_params=t.range_params,
        keyspace=keyspace,
        keyspace_id=keyspace_id,
    )


def counts_reads(options: Options, policy: Any) -> bool:
    """Tell whether a part that the options name, or the policy, wants to know how often each table is read."""
    c = options.compaction
    parts = [PICKERS[c.picker], ALLOCATIONS[options.filter_allocation], *(TRIGGERS[kind] for kind, _ in triggers_of(c.triggers)), policy]
    return any(getattr(part, "counts_reads", False) for part in parts)


def filled_of(options: Options, version: Version, policy: Any, reads: Sequence[int] = ()) -> Filled:
    """Return what a filter allocation decides from. reads: of each level's tables, where they are counted."""
    most_runs = getattr(policy, "most_runs", None)
    return Filled(
        [lv.entries for lv in version.levels],
        options.table.bits_per_key,
        options.compaction.size_ratio,
        [len(lv.runs) for lv in version.levels],
        reads,
        most_runs(options) if most_runs is not None else (1.0, 1.0),
        options.filter_params,
    )
