"""What a merge would make, measured without data: tables of the very sizes that the builder writes, and errors where it has them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from lsm._native import ffi, lib

import indexes
from lsm.memtable_twin import DELETE, PUT, Entry
from lsm.merge_twin import Range
from lsm.native import TableSettings
from lsm.native_measure import OPEN, Merged, RankRange, StreamMeasure
from lsm.native_memtables import BUILT_IN, builtin_memtable
from tests.harness.tables import Lab

KEYS = [b"", *(b"%05d" % i + b"x" * (i % 7 * 30) for i in range(1200))]


class Stream:
    """A put or delete of each key, some of them twice."""

    def __init__(self, seed: int, n: int = 1500) -> None:
        rng = random.Random(seed)
        ranks = [*range(len(KEYS)), *(rng.randrange(len(KEYS)) for _ in range(n - len(KEYS)))]
        rng.shuffle(ranks)
        self.kinds = [DELETE if rng.random() < 0.2 else PUT for _ in ranks]
        self.lens = [rng.choice([0, 5, 40, 300]) for _ in ranks]
        self.ranks = ranks
        rows = (np.array(ranks, np.uint32), np.zeros(n, np.uint32), np.array(self.kinds, np.uint8), np.array(self.lens, np.uint32))
        self.measure = StreamMeasure(KEYS, *rows, np.array([i % 3 == 2 for i in range(n)], np.uint8))
        self.words = np.sort(np.array([r << 32 | (2**32 - 1 - op) for op, r in enumerate(ranks)], np.uint64))

    def entry(self, word: int) -> Entry:
        op = 2**32 - 1 - (word & (2**32 - 1))
        value = b"v" * self.lens[op] if self.kinds[op] == PUT else b""
        return Entry(KEYS[word >> 32], op + 1, self.kinds[op], value)

    def merge(self, table: TableSettings, ranges: list[RankRange] | None = None, **how: Any) -> Merged:
        settings = {"output_bytes": 0, "max_outputs": 9, "bottom": False, **how}
        return self.measure.merge(self.words, ranges or [], table, **settings)


def table(**fields: Any) -> TableSettings:
    return TableSettings(**{"block_size": 500, "restart_interval": 4, "bits_per_key": 10.0, **fields})


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no restarts": {"restart_interval": 0},
    "two levels": {"index_kind": lib.LSM_INDEX_TWO_LEVEL, "block_size": 150},
    "hash index": {"hash_index": 1, "hash_util": 0.5},
    "hash index out of range": {"hash_index": 1, "hash_util": 9.0},
    "hash index of many restarts": {"hash_index": 1, "restart_interval": 1, "block_size": 1 << 16},
    "named": {"keyspace": "a keyspace", "keyspace_id": 3},
    **{f"filter {kind}": {"filter": indexes.filter_ops_address(kind)} for kind in indexes.filter_kinds()},
}
HOW: dict[str, tuple[list[RankRange], dict[str, Any]]] = {
    "one table": ([], {}),
    "cut by size": ([], {"output_bytes": 40_000}),
    "cut by keys": ([], {"cuts": [0, 100, 100, 700, len(KEYS) - 1]}),
    "too few tables": ([], {"cuts": [100, 700], "output_bytes": 9000, "max_outputs": 2}),
    "ranges": (
        [(0, 50, 2000), (40, 90, 700), (600, 1100, 1400), (1150, 1200, 1990)],
        {"cuts": [45, 80, 650, 1160], "output_bytes": 30_000},
    ),
    "at the bottom": ([(0, 50, 2000), (600, 1100, 1400)], {"bottom": True, "cuts": [650]}),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", SETTINGS)
def test_tables_are_as_large_as_the_builder_makes_them(name: str, how: str) -> None:
    stream, options, (ranges, more) = Stream(1), table(**SETTINGS[name]), HOW[how]
    merged = stream.merge(options, ranges, **more)
    assert len(merged.kept) + merged.shadowed + merged.tombstones_dropped + merged.range_covered == len(stream.words)
    assert len(merged.tables) <= more.get("max_outputs", 9) and (len(merged.tables) > 1) == (
        how not in ("one table", "at the bottom") or bool(more.get("cuts"))
    )
    lab, whole = Lab(), 0
    for t in merged.tables:
        entries = [stream.entry(int(word)) for word in merged.kept[t.start : t.start + t.entries]]
        first, last = (0 if t.span[0] == OPEN else t.span[0]), (len(KEYS) if t.span[1] == OPEN else t.span[1])
        spans = [(max(a, first), min(b, last), seq) for a, b, seq in ranges if not more.get("bottom")]
        clipped = [Range(KEYS[a], KEYS[b], seq) for a, b, seq in spans if a < b]
        props = lab.build(options, entries, clipped)
        assert (props.file_size, props.entries, props.deletions, props.range_deletes) == (
            t.file_size,
            t.entries,
            t.deletions,
            t.range_deletes,
        )
        assert (props.smallest, props.largest, props.largest_exclusive) == (KEYS[t.smallest], KEYS[t.largest], t.largest_exclusive)
        assert (props.min_seq, props.max_seq, props.oldest_tombstone) == (t.min_seq, t.max_seq, t.oldest_tombstone)
        whole += t.entries
    assert whole == len(merged.kept)


def broken(**functions: Any) -> tuple[TableSettings, Any]:
    ops = ffi.new("idx_filter_ops *", ffi.cast("const idx_filter_ops *", indexes.filter_ops_address("bloom"))[0])
    types = dict(ffi.typeof("idx_filter_ops").fields)
    callbacks = {name: ffi.callback(types[name].type, function) for name, function in functions.items()}
    for name, callback in callbacks.items():
        setattr(ops, name, callback)
    return table(filter=int(ffi.cast("uintptr_t", ops))), (ops, callbacks)


@pytest.mark.parametrize("how", HOW)
def test_a_filter_that_cannot_be_built_fails_the_measure(how: str) -> None:
    options, _kept = broken(build=lambda *args: -1, empty=lambda *args: -1)
    ranges, more = HOW[how]
    with pytest.raises(RuntimeError, match="status -9"):
        Stream(2).merge(options, ranges, **more)


def test_a_filter_that_fails_behind_the_last_entry() -> None:
    """The last cuts are behind all entries, the table before them is ended there."""
    options, _kept = broken(build=lambda *args: -1, empty=lambda *args: -1)
    stream = Stream(3)
    stream.words = stream.words[:300]
    with pytest.raises(RuntimeError, match="status -9"):
        stream.merge(options, cuts=[900, 1000])


def test_cuts_behind_the_last_entry_make_no_table_more() -> None:
    stream = Stream(3)
    stream.words = stream.words[:300]
    for most in (1, 9):
        assert len(stream.merge(table(), cuts=[900, 1000], max_outputs=most).tables) == 1


@pytest.mark.parametrize("bound", [0, 1 << 40])
def test_a_filter_of_no_good_size_is_left_out(bound: int) -> None:
    options, _kept = broken(bound=lambda n, bits: bound)
    merged, stream, lab = Stream(1).merge(options), Stream(1), Lab()
    entries = [stream.entry(int(word)) for word in merged.kept]
    assert merged.tables[0].file_size == lab.build(options, entries).file_size


def test_no_table_may_be_made() -> None:
    for ranges in ([], [(5, 9, 2000)]):
        stream = Stream(1)
        if ranges:
            stream.words = stream.words[:0]
        with pytest.raises(RuntimeError, match="status -4"):
            stream.merge(table(), ranges, max_outputs=0)
    nothing = Stream(1)
    nothing.words = nothing.words[:0]
    assert nothing.merge(table()).tables == ()


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_memtable_is_full_where_that_of_the_engine_is(kind: str) -> None:
    stream, ops = Stream(1), builtin_memtable(kind)
    for limits in ((1 << 16, 0), (1 << 24, 100), (1 << 24, 0), (1, 0)):
        at, full = stream.measure.fill(ops, limits, 0, 0, 1500)
        assert full == (limits != (1 << 24, 0)) and (at == 1500 or at % 3 == 0), "it is sealed behind a record"
        if limits[1]:
            assert at == 102
        if limits[0] == 1:
            assert at == 3
