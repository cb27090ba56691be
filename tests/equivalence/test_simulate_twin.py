"""The twin engine takes the decisions of the engine: the same lines for every flush, merge and move on the same operations."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import indexes
import lsm
import recovery
from experiments.simulate import Delete, DeleteRange, Operation, Operations, Put, simulate
from lsm.policies import make_policy

SMALL: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 16384,
    "table": {"block_size": 512},
    "cache": {"capacity": 0},
    "compaction": {"size_ratio": 3, "l0_trigger": 2, "level_base": 8192, "output_bytes": 2048, "max_levels": 5},
}


def in_engine(options: lsm.Options, operations: Operations) -> tuple[list[str], str]:
    """Every decision, and the tree at the end."""
    lines: list[str] = []
    with lsm.open("/d", options, fs=recovery.memory()) as db:
        db.trace(lambda keyspace, decision: lines.append(str(decision)))
        operations.play(db)
        db.flush()
        assert not db.health.policies
        return lines, db.dump()


def in_simulator(options: lsm.Options, operations: Operations) -> tuple[list[str], str]:
    lines: list[str] = []
    done = simulate(make_policy(options), options, operations, told=lambda decision: lines.append(str(decision)))
    return lines, lsm.dump.dump(done.version)


def agree(options: lsm.Options, operations: Operations) -> list[str]:
    """Require equal traces; give them."""
    (lines, tree), (twin_lines, twin_tree) = in_engine(options, operations), in_simulator(options, operations)
    for i, (line, twin) in enumerate(zip(lines, twin_lines, strict=False)):
        assert twin == line, f"line {i}"
    assert (len(twin_lines), twin_tree) == (len(lines), tree)
    return lines


@pytest.mark.parametrize("picker", sorted(lsm.PICKERS))
@pytest.mark.parametrize("layout", sorted(lsm.LAYOUTS))
def test_every_layout_with_every_picker(layout: str, picker: str) -> None:
    chosen = {"layout": layout, "picker": picker, "expire_bytes": 40_000 if layout == "fifo" else 0}
    options = lsm.Options.from_dict(SMALL).override({"compaction": chosen})
    operations = Operations.drawn("fillrandom", 2500, value_bytes=20, updates=0.3, deletes=0.1, seed=len(layout) + len(picker))
    lines = agree(options, operations)
    assert sum(not line.startswith("flush") for line in lines) >= 2


def test_tombstones_are_cut_at_keys_that_nobody_wrote() -> None:
    rows = [Put(b"%03d" % (i * 37 % 1000), 60) for i in range(700)]
    for i in range(20, 700, 50):
        rows[i] = DeleteRange(b"%03d" % (i % 500), b"%03d" % (i % 500 + 300))  # type: ignore[call-overload]
    chosen = {"layout": "tiering", "cut": "shards", "output_bytes": 1024, "level_base": 4096}
    options = lsm.Options.from_dict(SMALL).override({"buffer_entries": 90, "compaction": chosen})
    written = {row.key for row in rows if isinstance(row, Put)} | {k for r in rows if isinstance(r, DeleteRange) for k in (r.start, r.end)}
    lines = agree(options, Operations.of(rows))
    ends = {m[1] for line in lines if line.startswith("merge") for m in re.finditer(r"\.\.(\S+)\) ", line)}
    assert ends and not ends <= {k.decode() for k in written}, "the exclusive end of a clipped tombstone is a cut"


keys = st.one_of(st.binary(max_size=3), st.integers(0, 400).map(lambda i: b"user%06d" % i))
operation: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Put, keys, st.sampled_from([0, 1, 7, 100, 300, 2000])),
    st.builds(Put, keys, st.integers(0, 200)),
    st.builds(Delete, keys),
    st.tuples(keys, keys).filter(lambda r: r[0] != r[1]).map(lambda r: DeleteRange(min(r), max(r))),
)
tables = st.fixed_dictionaries(
    {},
    optional={
        "block_size": st.sampled_from([64, 512, 4096]),
        "restart_interval": st.sampled_from([1, 4, 16]),
        "hash_index": st.booleans(),
        "hash_util": st.sampled_from([0.1, 0.5, 0.75, 3.0]),
        "index": st.sampled_from(["full", "two_level"]),
        "filter": st.sampled_from(sorted(indexes.FILTERS)),
        "bits_per_key": st.sampled_from([1.0, 5.0, 10.0, 20.0]),
    },
)
compactions = st.fixed_dictionaries(
    {},
    optional={
        "layout": st.sampled_from(sorted(lsm.LAYOUTS)),
        "picker": st.sampled_from(sorted(lsm.PICKERS)),
        "size_ratio": st.integers(2, 5),
        "output_bytes": st.sampled_from([256, 1024, 4096, 1 << 20]),
        "level_base": st.sampled_from([1024, 8192]),
        "cut": st.sampled_from(sorted(lsm.registry.CUTS)),
        "granularity": st.sampled_from(sorted(lsm.registry.GRANULARITIES)),
        "scheduler": st.sampled_from(sorted(lsm.registry.SCHEDULERS)),
        "merge": st.sampled_from(["recursive", "preemptive"]),
        "triggers": st.sampled_from(
            ["", "idle", "tombstone_density=0.2", "tombstone_deadline=300", "space_amp=1.3 staleness=200", "reads=5"]
        ),
        "trivial_move": st.booleans(),
        "overlap_cap": st.sampled_from([0.0, 2.0]),
        "expire_bytes": st.sampled_from([0, 20_000]),
        "expire_after": st.sampled_from([0, 300]),
    },
)
others = st.fixed_dictionaries(
    {},
    optional={
        "memtable": st.sampled_from(sorted(k for k, address in lsm.MEMTABLES.items() if address is None)),
        "write_buffer": st.sampled_from([12000, 16384, 40000]),
        "buffer_entries": st.sampled_from([0, 40, 300]),
        "filter_allocation": st.sampled_from(sorted(lsm.ALLOCATIONS)),
        "seed": st.integers(0, 5),
        "wal": st.sampled_from([{}, {"enabled": False}, {"segment_bytes": 4096}, {"sync": "none"}]),
    },
)


@given(st.lists(operation, min_size=50, max_size=300), st.integers(1, 3), tables, compactions, others)
def test_drawn_operations_and_options(rows: list[Operation], times: int, table: Any, compaction: Any, other: Any) -> None:
    assume(lsm.LAYOUTS[compaction.get("layout", "leveling")].takes_triggers or not compaction.get("triggers"))
    options = lsm.Options.from_dict(SMALL).override({**other, "table": table, "compaction": compaction})
    agree(options, Operations.of(rows * times))
