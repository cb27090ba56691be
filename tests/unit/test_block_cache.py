"""The block cache: its room in bytes, its shards, its counters, who is evicted, and that what it does never shows in an answer."""

from __future__ import annotations

import random
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest

import eviction
import lsm
import recovery

KEYS = 1200
OVERHEAD = 96  # charged for a block beside its data


def key(i: int) -> bytes:
    return b"%06d" % i


def value(i: int) -> bytes:
    return random.Random(i).randbytes(20 + i % 37)


def make(capacity: int, *, tables: int = 1, **more: Any) -> lsm.DB:
    """A database without filters whose KEYS keys lie in a few tables of blocks of about 512 bytes."""
    cache = {"capacity": capacity, "shards": 1, **more.pop("cache", {})}
    table = {"block_size": 512, "filter": "none", **more.pop("table", {})}
    options = {
        "threads": 0,
        "write_buffer": 1 << 20,
        "cache": cache,
        "table": table,
        "compaction": {"layout": "tiering", "size_ratio": 100},
        **more,
    }
    db = lsm.open("/d", options, fs=recovery.memory())
    for t in range(tables):
        db.put_many([(key(i), value(i)) for i in range(t, KEYS, tables)])
        db.flush()
    assert len(db.version().tables()) == tables
    return db


def residents(db: lsm.DB) -> list[list[int]]:
    """The keys (table << 40 | offset) of each shard, as the policy's dump orders them."""
    assert db.cache is not None
    shards = db.cache.dump().split("shard ")[1:]
    return [[int(n) for n in re.findall(r"\d{13,}", text)] for text in shards]


def charges(order: list[int]) -> dict[int, int]:
    """What each block costs, measured: key of the block -> bytes charged when it came in."""
    sizes: dict[int, int] = {}
    with make(1 << 24) as db:
        for i in order:
            before = db.stats().cache["charge"]
            with db.record_block_accesses() as accesses:
                db.get(key(i))
            (block,) = accesses
            sizes.setdefault(block, db.stats().cache["charge"] - before)
    return sizes


# Room


@pytest.mark.parametrize("policy", sorted(set(eviction.POLICIES) - set(eviction.BOUNDS)))
@pytest.mark.parametrize("capacity", [1, 700, 5_000, 40_000, 1 << 20])
def test_every_policy_keeps_to_the_capacity_and_to_the_values(policy: str, capacity: int) -> None:
    rng = random.Random(capacity)
    print(f"repeat with seed {capacity}")
    with make(capacity, tables=3, cache={"policy": policy}) as db:
        for step in range(1500):
            i = min(int(rng.expovariate(0.01)), KEYS) if step % 3 else rng.randrange(KEYS)
            assert db.get(key(i)) == (value(i) if i < KEYS else None)
            if step % 100 == 0:
                found = db.stats().cache
                assert found["charge"] <= found["capacity"] == capacity
        found = db.stats().cache
        assert found["charge"] <= capacity
        assert found["inserts"] - found["evictions"] == found["blocks"]
        assert found["inserts"] + found["bypassed"] == found["misses"]
        assert (found["hits"] > 0) == (capacity > 1)
        assert (found["evictions"] > 0) == (1 < capacity < 1 << 20)


def test_no_capacity_is_no_cache() -> None:
    with make(0) as db:
        assert db.cache is None
        assert db.get(key(7)) == db.get(key(7)) == value(7)
        stats = db.stats()
        assert stats.cache == {}
        assert stats.memory["cache"] == 0
        assert stats.counts(op="read", cause="get") == 2
        assert stats.counts(op="hit") == 0
        with pytest.raises(ValueError, match="capacity is 0"), db.record_block_accesses():
            pass


def test_room_for_one_block_to_the_byte() -> None:
    ((block, charge),) = charges([0]).items()
    with make(charge) as db:
        for _ in range(3):
            assert db.get(key(0)) == value(0)
        found = db.stats().cache
        assert (found["charge"], found["blocks"], found["hits"], found["misses"]) == (charge, 1, 2, 1)
        assert residents(db) == [[block]]
    with make(charge - 1) as db:
        for _ in range(3):
            assert db.get(key(0)) == value(0)
        found = db.stats().cache
        assert (found["charge"], found["blocks"], found["hits"], found["misses"], found["bypassed"]) == (0, 0, 0, 3, 3)


def test_the_charge_is_the_data_and_a_fixed_overhead() -> None:
    with make(1 << 24) as db:
        for _ in db.scan():
            pass
        stats = db.stats()
        data = stats.bytes(op="read", component="data", cause="scan") - 5 * stats.counts(op="read", component="data", cause="scan")
        assert stats.cache["charge"] == data + OVERHEAD * stats.cache["blocks"]
        assert stats.memory["cache"] == stats.cache["charge"]


def test_resizing_evicts_down_and_lets_grow_again() -> None:
    with make(1 << 20) as db:
        assert db.cache is not None
        list(db.scan())
        full = db.stats().cache
        order = residents(db)[0]
        for capacity in (20_000, 3_000, 1):
            db.cache.resize(capacity)
            found = db.stats().cache
            assert found["charge"] <= capacity == found["capacity"]
            assert residents(db)[0] == order[: found["blocks"]], "the newest stay"
        assert found["blocks"] == 0
        db.cache.resize(1 << 20)
        assert list(db.scan()) == [(key(i), value(i)) for i in range(KEYS)]
        assert db.stats().cache["charge"] == full["charge"]


@pytest.mark.parametrize("policy", sorted(set(eviction.POLICIES) - set(eviction.BOUNDS)))
def test_resizing_while_in_use_by_any_policy(policy: str) -> None:
    rng = random.Random(policy)
    with make(40_000, tables=2, cache={"policy": policy}) as db:
        assert db.cache is not None
        for capacity in (40_000, 5_000, 1, 20_000, 700, 1 << 20, 9_000):
            db.cache.resize(capacity)
            for _ in range(200):
                i = min(int(rng.expovariate(0.01)), KEYS - 1)
                assert db.get(key(i)) == value(i)
            found = db.stats().cache
            assert found["charge"] <= capacity == found["capacity"]
            assert found["inserts"] - found["evictions"] == found["blocks"]
            assert (found["blocks"] > 0) == (capacity > 1)
            assert found["refused"] == 0


# Counters and order


def test_hits_and_misses_of_single_reads() -> None:
    with make(1 << 20) as db:
        for i, expected in [(0, (0, 1)), (0, (1, 1)), (1, (2, 1)), (KEYS - 1, (2, 2)), (0, (3, 2))]:
            db.get(key(i))
            found = db.stats().cache
            assert (found["hits"], found["misses"]) == expected, i


class Lru:
    """The model: least recently used, sizes in bytes."""

    def __init__(self, capacity: int, sizes: dict[int, int]) -> None:
        self.capacity, self.sizes, self.kept = capacity, sizes, OrderedDict[int, None]()
        self.hits = self.evictions = 0

    def access(self, block: int) -> None:
        if block in self.kept:
            self.hits += 1
            self.kept.move_to_end(block)
            return
        while sum(self.sizes[b] for b in self.kept) + self.sizes[block] > self.capacity:
            self.kept.popitem(last=False)
            self.evictions += 1
        self.kept[block] = None


@pytest.mark.parametrize("seed", range(3))
def test_one_shard_of_lru_evicts_just_as_the_model(seed: int) -> None:
    rng = random.Random(seed)
    print(f"repeat with seed {seed}")
    order = [min(int(rng.expovariate(0.004)), KEYS - 1) for _ in range(400)]
    model = Lru(9_000, charges(order))
    with make(9_000) as db, db.record_block_accesses() as accesses:
        for i in order:
            db.get(key(i))
        found = db.stats().cache
        kept = residents(db)[0]
    for block in accesses:
        model.access(block)
    assert model.evictions > 0
    assert kept == list(reversed(model.kept)), "the newest first"
    assert (found["hits"], found["evictions"], found["charge"]) == (model.hits, model.evictions, sum(model.sizes[b] for b in model.kept))


def test_a_scan_that_does_not_fill_leaves_the_cache_alone() -> None:
    with make(1 << 20) as db:
        db.get(key(3))
        before = residents(db)
        assert len(list(db.scan(fill_cache=False))) == KEYS
        assert residents(db) == before
        assert len(list(db.scan())) == KEYS
        assert len(residents(db)[0]) > 10


# Shards


@pytest.mark.parametrize("shards", [1, 2, 8])
def test_shards_split_room_and_keys(shards: int) -> None:
    with make(shards * 6_000, cache={"shards": shards}) as db:
        for _ in range(2):
            assert list(db.scan()) == [(key(i), value(i)) for i in range(KEYS)]
        found = db.stats().cache
        parts = residents(db)
        assert len(parts) == shards
        assert sum(len(p) for p in parts) == found["blocks"] == len({k for p in parts for k in p})
        assert all(parts), "a shard without a block"
        assert all(len(p) * (400 + OVERHEAD) <= 6_000 for p in parts), "no shard above its share"
        assert found["charge"] <= found["capacity"]


def test_a_block_above_a_shards_share_is_read_and_not_kept() -> None:
    with make(8 * 500, cache={"shards": 8}) as db:
        for _ in range(2):
            assert [v for _, v in db.scan()] == [value(i) for i in range(KEYS)]
        found = db.stats().cache
        assert (found["blocks"], found["charge"], found["hits"]) == (0, 0, 0)
        assert found["bypassed"] == found["misses"] > 0


@pytest.mark.parametrize("shards", [3, 6, -1, 2048])
def test_shards_are_a_power_of_two(shards: int) -> None:
    with pytest.raises(lsm.InvalidOptions, match=r"cache\.shards"):
        make(1 << 20, cache={"shards": shards})


def test_parameters_that_a_policy_does_not_know_are_refused() -> None:
    with pytest.raises(lsm.InvalidOptions, match="params"):
        make(1 << 20, cache={"params": "no_such=1"})


def test_blocks_of_tables_with_partitions_are_kept_apart() -> None:
    """Tables of one shape have blocks at the same offsets: which file a block is of is part of its key."""
    with make(1 << 20, table={"index": "two_level"}) as db:
        young = db.keyspace("young")
        young.put_many([(key(i), value(i)[::-1]) for i in range(KEYS)])
        young.flush()
        for i in range(KEYS):
            assert (db.get(key(i)), young.get(key(i))) == (value(i), value(i)[::-1])
        assert [v for _, v in db.scan()] == [value(i) for i in range(KEYS)]
        assert [v for _, v in young.scan()] == [value(i)[::-1] for i in range(KEYS)]


# Tables that go


@pytest.mark.parametrize("policy", sorted(set(eviction.POLICIES) - set(eviction.BOUNDS)))
def test_the_blocks_of_a_dead_table_leave(policy: str) -> None:
    with make(1 << 20, tables=3, cache={"policy": policy}) as db:
        old = set(db.version().tables())
        assert [v for _, v in db.scan()] == [value(i) for i in range(KEYS)]
        assert {b >> 40 for part in residents(db) for b in part} == old
        before = db.stats().cache
        db.compact()
        assert not old & set(db.version().tables())
        found = db.stats().cache
        assert {b >> 40 for part in residents(db) for b in part} <= set(db.version().tables())
        assert found["blocks"] == found["charge"] == 0 < before["blocks"]
        assert found["evictions"] == before["evictions"], "leaving is no eviction"
        assert [v for _, v in db.scan()] == [value(i) for i in range(KEYS)]


def test_a_dropped_keyspace_takes_its_blocks_along() -> None:
    with make(1 << 20) as db:
        other = db.keyspace("other")
        other.put_many([(key(i), b"o" * 40) for i in range(200)])
        other.flush()
        list(other.scan())
        db.get(key(0))
        assert db.stats().cache["blocks"] > 1
        db.drop_keyspace("other")
        assert db.stats().cache["blocks"] == 1
        assert db.get(key(0)) == value(0)


# Blocks in use


@pytest.mark.parametrize("capacity", [1, 700, 3_000])
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_cursor_keeps_the_blocks_that_it_stands_on(capacity: int, codec: str) -> None:
    """Each step of some cursors is followed by reads that evict everything they stand on."""
    rng = random.Random(capacity)
    with make(capacity, tables=2, table={"codec": codec}) as db:
        starts = [0, 100, 555, KEYS - 60]
        cursors: list[Iterator[tuple[bytes, bytes]]] = [iter(db.scan(key(s))) for s in starts]
        back = iter(db.scan(None, key(900), reverse=True))
        for step in range(60):
            for start, cursor in zip(starts, cursors, strict=True):
                assert next(cursor) == (key(start + step), value(start + step))
            assert next(back) == (key(899 - step), value(899 - step))
            for i in rng.sample(range(KEYS), 6):
                assert db.get(key(i)) == value(i)
            assert db.stats().cache["charge"] <= capacity


def test_a_cursor_outlives_its_table_and_the_blocks_in_the_cache() -> None:
    with make(4_000, tables=2) as db:
        cursor = iter(db.scan())
        first = [next(cursor) for _ in range(10)]
        db.delete_range(key(0), key(KEYS))
        db.compact()
        assert db.get(key(3)) is None
        assert db.version().tables() == {}
        assert first + list(cursor) == [(key(i), value(i)) for i in range(KEYS)]


# Threads


@pytest.mark.parametrize("policy", ["lru", "arc", "s3fifo", "wtinylfu", "clockpro"])
def test_hits_without_a_lock_reach_the_policy_in_their_order(policy: str) -> None:
    """Hits of lent blocks are told in batches, and one thread alone must not see that: by get, by get_many of one, or of all."""
    rng = random.Random(7)
    order = [[min(int(rng.expovariate(0.005)), KEYS - 1) for _ in range(rng.choice([1, 5, 300]))] for _ in range(60)]
    ends = []
    for how in ("get", "one", "all"):
        with make(30_000, cache={"policy": policy}) as db:
            for n, some in enumerate(order):
                if how == "one" and n % 3:
                    assert [db.get_many([key(i)]) for i in some] == [[value(i)] for i in some]
                elif how == "all" and n % 3:
                    assert db.get_many([key(i) for i in some]) == [value(i) for i in some]
                else:
                    assert [db.get(key(i)) for i in some] == [value(i) for i in some]
            assert db.cache is not None
            ends.append((db.cache.dump(), db.stats().cache))
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("layout", ["full", "two_level"])
@pytest.mark.parametrize("tables", [1, 12])
def test_blocks_that_a_batch_holds_may_be_evicted_by_it(tables: int, layout: str) -> None:
    """A cache of two blocks, and batches over more tables than a look-up is lent blocks of: what was lent lives until the batch is done."""
    rng = random.Random(3)
    with make(1_300, tables=tables, table={"index": layout}) as db:
        before = db.stats()
        looked_up = 0
        for n in (1, 16, 17, 100, 600):
            some = [rng.randrange(KEYS) for _ in range(n)]
            assert db.get_many([key(i) for i in some]) == [value(i) for i in some]
            assert [db.get(key(i)) for i in some] == [value(i) for i in some]
            looked_up += 2 * n
        after = db.stats()
        assert after.cache["charge"] <= 1_300
        assert after.counters["gets_hit"] - before.counters["gets_hit"] == looked_up
        if layout == "full":
            assert after.cache["hits"] == after.counts(op="hit")
            assert after.cache["misses"] == after.counts(op="read", cause="get")


def test_what_is_lent_outlives_its_eviction() -> None:
    """The first block of a batch is cached, and gone before it is looked into; all are alike in size, so another takes its memory."""
    table = {"block_size": 512, "filter": "none"}
    with lsm.open("/d", fs=recovery.memory(), threads=0, cache={"capacity": 1_300, "shards": 1}, table=table) as db:
        db.put_many([(key(i), b"%06d" % i * 10) for i in range(KEYS)])
        db.flush()
        for first in range(0, KEYS, 50):
            some = [first, *((first + 40 * i) % KEYS for i in range(1, 30))]
            before = db.stats().cache["hits"]
            assert db.get(key(first)) == b"%06d" % first * 10
            assert db.get_many([key(i) for i in some]) == [b"%06d" % i * 10 for i in some]
            assert db.stats().cache["hits"] > before


@pytest.mark.threads
@pytest.mark.parametrize("many", [False, True], ids=["get", "get_many"])
@pytest.mark.parametrize("policy", sorted(set(eviction.POLICIES) - set(eviction.BOUNDS)))
def test_threads_that_read_at_once(policy: str, many: bool) -> None:
    """Every answer is right, and the counters add up: a get of a table without a filter looks up one block."""
    wrong: list[object] = []
    with make(6_000, cache={"policy": policy, "shards": 2}) as db:
        before = db.stats().cache

        def read(seed: int) -> None:
            rng = random.Random(seed)
            try:
                for _ in range(40):
                    some = [min(int(rng.expovariate(0.01)), KEYS - 1) for _ in range(10)]
                    got = db.get_many([key(i) for i in some]) if many else [db.get(key(i)) for i in some]
                    if got != [value(i) for i in some]:
                        wrong.append((seed, some))
            except BaseException as e:
                wrong.append(e)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            assert [v for _, v in db.scan(fill_cache=False)] == [value(i) for i in range(KEYS)]
        for thread in threads:
            thread.join()
        assert wrong == []
        found = db.stats().cache
        assert found["charge"] <= 6_000
        looked_up = db.stats().counts(op="hit") + sum(db.stats().counts(op="read", cause=c) for c in ("get", "scan"))
        assert found["hits"] + found["misses"] - before["hits"] - before["misses"] == looked_up
        assert db.stats().counts(op="hit", cause="get") + db.stats().counts(op="read", cause="get") == 4 * 400
        assert found["hits"] == db.stats().counts(op="hit")


@pytest.mark.threads
def test_resizing_and_erasing_while_others_read() -> None:
    wrong: list[object] = []
    with make(20_000, tables=2, cache={"shards": 2}) as db:
        assert db.cache is not None
        done = threading.Event()

        def read(seed: int) -> None:
            rng = random.Random(seed)
            try:
                while not done.is_set():
                    some = rng.sample(range(KEYS), 30)
                    if db.get_many([key(i) for i in some]) != [value(i) for i in some] or db.get(key(some[0])) != value(some[0]):
                        wrong.append((seed, some))
            except BaseException as e:
                wrong.append(e)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for round_ in range(20):
            db.cache.resize([1, 3_000, 20_000][round_ % 3])
            db.put(key(round_), value(round_))
            db.flush()
            if round_ % 5 == 0:
                db.compact()
        done.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert db.stats().cache["charge"] <= db.stats().cache["capacity"]
