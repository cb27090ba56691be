"""The row cache: rows without their blocks, never stale, gone with their tables, counted; by any policy."""

from __future__ import annotations

import random
from typing import Any

import pytest

import eviction
import lsm
import recovery
from lsm.table_twin import block_hash


def opened(fs: Any = None, **more: Any) -> lsm.DB:
    options = {"threads": 0, "cache": {"capacity": 0}, "row_cache": {"capacity": 1 << 20, "shards": 1}, **more}
    return lsm.open("/d", options, fs=fs or recovery.memory())


def filled(db: lsm.DB, n: int = 1000, value: bytes = b"v") -> lsm.DB:
    db.put_many([(b"%05d" % i, value + b"%d" % i) for i in range(n)])
    db.flush()
    return db


def blocks_read(db: lsm.DB) -> int:
    return db.stats().counts(op="read", component="data", cause="get")


def test_a_row_that_was_read_costs_no_block() -> None:
    with filled(opened()) as db:
        for _ in range(3):
            assert db.get(b"00500") == b"v500"
        stats = db.stats()
        assert blocks_read(db) == 1
        assert stats.counts(op="hit", component="row", cause="get") == stats.row_cache["hits"] == 2
        assert stats.row_cache["misses"] == stats.row_cache["inserts"] == stats.row_cache["blocks"] == 1
        assert stats.memory["rows"] == stats.row_cache["charge"] > 0


def test_off_by_default() -> None:
    with filled(lsm.open("/d", {"threads": 0}, fs=recovery.memory())) as db:
        assert db.get(b"00001") == db.get(b"00001") == b"v1"
        assert db.stats().row_cache == {}
        assert db.stats().counts(op="hit", component="row") == 0


def test_newer_values_deletes_and_range_deletes_are_seen_over_cached_rows() -> None:
    with filled(opened()) as db:
        assert db.get_many([b"00001", b"00002", b"00003"]) == [b"v1", b"v2", b"v3"]
        db.put(b"00001", b"new")
        db.delete(b"00002")
        db.delete_range(b"00003", b"00004")
        for _ in range(3):
            assert [db.get(k) for k in (b"00001", b"00002", b"00003")] == [b"new", None, None]
            db.flush()
        db.compact()
        assert db.get_many([b"00001", b"00002", b"00003", b"00004"]) == [b"new", None, None, b"v4"]


def test_a_tombstone_is_a_row_too() -> None:
    with filled(opened(compaction={"l0_trigger": 4})) as db:
        db.delete(b"00007")
        db.flush()
        assert db.get(b"00007") is None
        before = blocks_read(db)
        assert db.get(b"00007") is None
        assert blocks_read(db) == before


def test_snapshots_see_their_own_past() -> None:
    with opened() as db:
        db.put(b"k", b"old")
        with db.snapshot() as past:
            db.put(b"k", b"young")
            db.flush()
            for _ in range(3):
                assert db.get(b"k") == b"young"
                assert past.get(b"k") == b"old"


def test_rows_leave_with_their_table() -> None:
    with filled(opened()) as db:
        for i in range(100):
            db.get(b"%05d" % i)
        assert db.stats().row_cache["blocks"] == 100
        db.put(b"00000", b"x")
        db.flush()
        db.compact()
        assert db.stats().row_cache["blocks"] == 0
        assert db.get(b"00001") == b"v1"


@pytest.mark.parametrize("policy", sorted(set(eviction.POLICIES) - set(eviction.BOUNDS)))
def test_rows_leave_with_their_table_by_any_policy(policy: str) -> None:
    with filled(opened(row_cache={"capacity": 1 << 13, "shards": 1, "policy": policy}), 500) as db:
        for i in (*range(0, 500, 3), *range(0, 500, 2)):
            db.get(b"%05d" % i)
        assert db.stats().row_cache["blocks"] > 10
        evicted = db.stats().row_cache["evictions"]
        db.put(b"00000", b"x")
        db.flush()
        db.compact()
        figures = db.stats().row_cache
        assert (figures["blocks"], figures["charge"], figures["evictions"]) == (0, 0, evicted), "leaving is no eviction"
        assert [db.get(b"%05d" % i) for i in range(1, 500)] == [b"v%d" % i for i in range(1, 500)]
        assert figures["refused"] == 0


def test_rows_bigger_than_the_cache_are_read_and_not_kept() -> None:
    with opened(row_cache={"capacity": 1 << 14, "shards": 1}) as db:
        db.put(b"big", b"b" * 50_000)
        db.flush()
        assert db.get(b"big") == db.get(b"big") == b"b" * 50_000
        assert db.stats().row_cache["bypassed"] == 2
        assert db.stats().row_cache["blocks"] == 0


@pytest.mark.parametrize("policy", sorted(set(eviction.POLICIES) - set(eviction.BOUNDS)))
def test_every_policy_keeps_rows_within_the_capacity(policy: str) -> None:
    rng = random.Random(policy)
    options = {"capacity": 1 << 14, "shards": 2, "policy": policy}
    with filled(opened(row_cache=options, cache={"capacity": 1 << 15, "policy": policy}), 2000) as db:
        for _ in range(3000):
            i = min(int(rng.expovariate(0.01)), 1999)
            assert db.get(b"%05d" % i) == b"v%d" % i
        stats = db.stats()
        assert stats.row_cache["charge"] <= 1 << 14
        assert stats.row_cache["hits"] + stats.row_cache["misses"] == 3000
        assert stats.row_cache["hits"] == stats.counts(op="hit", component="row") > 300
        assert stats.row_cache["evictions"] > 100


def test_bad_options_name_the_row_cache() -> None:
    for wrong in ({"capacity": -1}, {"policy": "lruu"}, {"shards": 3}):
        with pytest.raises(lsm.InvalidOptions, match=r"row_cache\."):
            lsm.Options.from_dict({"row_cache": wrong})


@pytest.mark.parametrize(("one", "two"), [(b"2132880", b"4000228"), (b"0111221", b"000013583")], ids=["one length", "two lengths"])
def test_keys_of_one_hash_are_kept_apart(one: bytes, two: bytes) -> None:
    """Rows are kept by a hash of 32 bits: two keys that share one, one of them there."""
    assert block_hash(one) == block_hash(two)
    with opened(table={"filter": "none"}) as db:
        db.put_many([(one, b"1"), (two, b"2"), (b"", b""), (b"9", b"")])
        db.flush()
        for _ in range(3):
            assert (db.get(one), db.get(two)) == (b"1", b"2")
        db.delete(two)
        db.flush()
        db.compact()
        for _ in range(3):
            assert (db.get(one), db.get(two)) == (b"1", None)
