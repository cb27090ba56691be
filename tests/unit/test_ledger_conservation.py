"""The ledger conserves: what it says was read, written, looked up and taken in is what files, cache and callers saw, to the byte."""

from __future__ import annotations

import random
from typing import Any

import pytest

import lsm
import recovery
from lsm.table_twin import FOOTER_SIZE

Counts = dict[str, int]
TABLES: dict[str, dict[str, Any]] = {
    "plain": {"codec": "none", "filter": "none"},
    "default": {},
    "zstd two-level": {"codec": "zstd", "index": "two_level", "filter": "bloom"},
    "lz4 hash": {"codec": "lz4", "hash_index": True, "restart_interval": 4},
    "ranges": {"range_filter": "surf", "search": "learned"},
    "mapped": {"codec": "none", "read_mode": "mapped"},
    "mapped zstd two-level": {"codec": "zstd", "read_mode": "mapped", "index": "two_level"},
}
LAYOUTS = ["leveling", "tiering", "lazy-leveling", "1-leveling"]
CASES = [(table, LAYOUTS[i % len(LAYOUTS)], cache) for i, table in enumerate(TABLES) for cache in (0, 1 << 14, 1 << 20)]
CACHED = [case for case in CASES if case[2]]
READS = ("get", "scan")


class Store:
    """A database over files in memory that knows the size of every table and log that ever was there."""

    def __init__(self, table: str, layout: str, cache: int, **more: Any) -> None:
        self.fs = recovery.memory()
        self.gone: Counts = {}
        self.records: Counts = {}
        self.read_logs = False  # reading them counts as reading
        self._unlink = self.fs.unlink
        self.fs.unlink = self._count_and_unlink  # type: ignore[method-assign, assignment]
        self.options = {
            "threads": 0,
            "write_buffer": 1 << 14,
            "table": {"block_size": 512, **TABLES[table]},
            "cache": {"capacity": cache, "shards": 1},
            "compaction": {"layout": layout, "size_ratio": 3, "l0_trigger": 2, "level_base": 1 << 15, "output_bytes": 1 << 13},
            **more,
        }
        self.db = lsm.open("/d", self.options, fs=self.fs)

    def _count_and_unlink(self, path: Any) -> None:
        if str(path).endswith(".sst"):
            self.gone[str(path)] = self.fs.stat(path)[0]
        elif self.read_logs and str(path).endswith(".log"):
            self.records[str(path)] = self.log_bytes(str(path))
        self._unlink(path)

    def log_bytes(self, path: str) -> int:
        """The bytes of a log's records, as recovery reads them."""
        records, _ = recovery.read_wal(self.fs, path, salt=self.db.state.database_id)
        return sum(32 + len(r.payload) for r in records)

    def sizes(self, suffix: str) -> Counts:
        return {name: self.fs.stat(f"/d/{name}")[0] for name in self.fs.listdir("/d") if name.endswith(suffix)}

    def tables_ever(self) -> int:
        return sum(self.gone.values()) + sum(self.sizes(".sst").values())


def work(db: lsm.DB, seed: int, steps: int = 1500) -> int:
    """Write, read, scan, delete. Returns the bytes of keys and values given."""
    rng = random.Random(seed)
    print(f"repeat with seed {seed}")
    given = 0
    for _ in range(steps):
        key, value = b"%05d" % rng.randrange(900), rng.choice([b"x", b"yz" * 20, rng.randbytes(60)])
        match rng.randrange(12):
            case 0:
                db.delete(key)
                given += len(key)
            case 1:
                batch = lsm.Batch()
                stop = b"%05d" % (int(key) + 5)
                batch.put(key + b"+", value)
                batch.delete_range(key, stop)
                db.write(batch)
                given += len(key) + 1 + len(value) + len(key) + len(stop)
            case 2:
                db.put_many([(key, value), (key + b"-", value)])
                given += 2 * (len(key) + len(value)) + 1
            case 3 | 4:
                db.get(key)
            case 5:
                db.get_many([key, b"%05d" % rng.randrange(900), b"none"])
            case 6:
                for _ in db.scan(key, b"%05d" % (int(key) + 30), reverse=rng.random() < 0.5):
                    pass
            case _:
                db.put(key, value)
                given += len(key) + len(value)
    return given


@pytest.fixture(params=CASES, ids=lambda c: f"{c[0]}-{c[1]}-{c[2]}")
def case(request: pytest.FixtureRequest) -> tuple[str, str, int]:
    chosen: tuple[str, str, int] = request.param
    return chosen


def test_tables_written_are_the_tables_that_were(case: tuple[str, str, int]) -> None:
    store = Store(*case)
    work(store.db, 1)
    store.db.flush()
    store.db.compact()
    stats = store.db.stats()
    assert store.gone, "nothing was compacted away"
    assert stats.bytes(op="write") - stats.bytes(op="write", component="wal") == store.tables_ever()
    assert stats.bytes(op="write", cause="flush") > 0
    assert stats.bytes(op="write", cause="flush") + stats.bytes(op="write", cause="compaction") == store.tables_ever()
    store.db.close()


def test_the_file_system_wrote_tables_and_manifest_and_no_more() -> None:
    store = Store("default", "leveling", 1 << 20, wal={"enabled": False})
    before, manifest = store.fs.stats(), sum(n for name, n in _manifests(store).items())
    work(store.db, 2)
    store.db.flush()
    wrote = store.fs.stats()["write_bytes"] - before["write_bytes"]
    stats = store.db.stats()
    assert stats.bytes(op="write", component="wal") == 0
    assert wrote == stats.bytes(op="write") + sum(_manifests(store).values()) - manifest
    store.db.close()


def _manifests(store: Store) -> Counts:
    """Bytes of the records: behind them is reserved space, zeros that nobody wrote."""
    return {name: len(store.fs.read_all(f"/d/{name}").rstrip(b"\0")) for name in store.fs.listdir("/d") if name.startswith("MANIFEST")}


@pytest.mark.parametrize("sync", sorted(recovery.SYNC_MODES))
def test_log_bytes_are_those_of_the_records(sync: str) -> None:
    store = Store("default", "leveling", 1 << 20, wal={"sync": sync})
    store.read_logs = True
    work(store.db, 3)
    store.db.sync()
    live = sum(store.log_bytes(f"/d/{name}") for name in store.sizes(".log"))
    assert store.records, "no log was ever swept"
    assert store.db.stats().bytes(op="write", component="wal") == sum(store.records.values()) + live
    store.db.close()


def test_bytes_read_are_those_that_the_file_system_gave(case: tuple[str, str, int]) -> None:
    store = Store(*case)
    before = store.fs.stats()["read_bytes"]
    work(store.db, 4)
    gave = store.fs.stats()["read_bytes"] - before
    stats = store.db.stats()
    said = stats.bytes(op="read")
    if "mapped" in case[0]:  # the file system gives the footers; blocks come through the mapping, without a codec each once a table
        opened = stats.counts(op="read", component="meta", cause="open") // 2  # footer and properties
        assert gave == opened * FOOTER_SIZE
        assert gave < said
        if TABLES[case[0]]["codec"] == "none":
            assert said <= store.tables_ever()
    else:
        assert said == gave
    assert any(stats.bytes(op="read", cause=c) for c in READS)
    checked = stats.bytes(op="read", cause="check")
    before = store.fs.stats()["read_bytes"]
    assert store.db.verify() == []
    after = store.db.stats().bytes(op="read", cause="check") - checked
    assert after == store.fs.stats()["read_bytes"] - before
    once = sum(store.sizes(".sst").values())
    assert after >= once if "two-level" in case[0] else after == once  # index partitions: as blocks of the file, and to find the data
    store.db.close()


def test_opening_counts_every_read_of_a_table() -> None:
    inner = recovery.memory()
    with lsm.open("/d", Store("default", "leveling", 0).options, fs=inner) as db:
        work(db, 5)
        db.flush()
    fs = recovery.fault(inner)
    with lsm.open("/d", fs=fs, threads=0) as db:
        stats = db.stats()
        assert stats.counts(op="read", cause="open") == fs.calls("pread", "*.sst") > 0
        assert stats.counts(op="read") == stats.counts(op="read", cause="open")


@pytest.mark.parametrize("case", CACHED, ids=lambda c: f"{c[0]}-{c[1]}-{c[2]}")
def test_hits_and_misses_are_the_look_ups(case: tuple[str, str, int]) -> None:
    table = case[0]
    store = Store(*case)
    with store.db.record_block_accesses() as accesses:
        work(store.db, 6)
    stats = store.db.stats()
    cache = stats.cache
    assert cache["hits"] + cache["misses"] == len(accesses)
    if "mapped" not in table:
        assert cache["hits"] == stats.counts(op="hit") > 0
    elif TABLES[table]["codec"] == "none":
        assert len(accesses) == 0
    if "two-level" not in table and "mapped" not in table:  # a miss is one block read for a caller
        assert cache["misses"] == sum(stats.counts(op="read", cause=c) for c in READS)
    assert cache["inserts"] + cache["bypassed"] <= cache["misses"]
    assert cache["inserts"] - cache["evictions"] >= cache["blocks"]
    store.db.close()


def test_a_partition_of_an_index_is_looked_up_once() -> None:
    """One block, one look-up: a miss of an index partition must not count twice in the hit ratio."""
    store = Store("zstd two-level", "leveling", 1 << 20)
    store.db.put_many([(b"%05d" % i, b"v" * 40) for i in range(900)])
    store.db.flush()
    with store.db.record_block_accesses() as accesses:
        assert store.db.get(b"00450") == b"v" * 40
    stats = store.db.stats()
    blocks = sum(stats.counts(op=op, cause="get") for op in ("read", "hit"))
    assert blocks == len(accesses) == 2, "one partition, one data block"
    store.db.close()


def test_user_bytes_are_the_keys_and_values_given(case: tuple[str, str, int]) -> None:
    store = Store(*case)
    given = work(store.db, 7)
    counters = store.db.stats().counters
    assert counters["user_bytes"] == given
    store.db.close()


def test_writes_that_are_refused_are_not_counted() -> None:
    inner = recovery.memory()
    with lsm.open("/d", fs=inner, threads=0) as db:
        db.put(b"a", b"b")
    with lsm.open("/d", fs=inner, threads=0, read_only=True) as db:
        before = db.stats().counters
        for write in (lambda: db.put(b"key", b"value"), lambda: db.delete(b"key"), lambda: db.put_many([(b"k", b"v")])):
            with pytest.raises(lsm.ReadOnlyError):
                write()
        assert db.stats().counters == before


def test_each_look_up_is_counted_once() -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
        db.put(b"small", b"1")
        db.put(b"large", b"x" * 300_000)
        for key, hit in [(b"small", True), (b"large", True), (b"none", False)]:
            before = db.stats().counters
            assert (db.get(key) is not None) == hit
            after = db.stats().counters
            assert (after["gets_hit"] - before["gets_hit"], after["gets_missed"] - before["gets_missed"]) == (int(hit), int(not hit)), key


def test_counters_of_the_cache_are_the_caches() -> None:
    store = Store("default", "leveling", 1 << 13)
    work(store.db, 8)
    stats = store.db.stats()
    assert stats.cache["evictions"] > 0
    assert stats.counters["cache_evictions"] == stats.cache["evictions"]
    assert stats.counters["cache_inserts"] == stats.cache["inserts"]
    assert stats.counters["cache_ghost_hits"] == stats.cache["ghost_hits"]
    store.db.close()


def test_entries_are_conserved_by_jobs(case: tuple[str, str, int]) -> None:
    """What went into jobs came out or was dropped for a reason that is counted."""
    store = Store(*case)
    work(store.db, 9)
    store.db.compact()
    c = store.db.stats().counters
    assert c["entries_in"] == c["entries_out"] + c["dropped_shadowed"] + c["dropped_tombstones"] + c["dropped_range"]
    store.db.close()


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_failed_job_counts_what_it_wrote_and_what_it_was_about_to(nth: int) -> None:
    """Blocks are counted when they are handed to the output, which is buffered: a failure leaves a buffer's worth over, and no more."""
    inner = recovery.memory()
    fs = recovery.fault(inner)
    db = lsm.open("/d", fs=fs, threads=0, wal={"enabled": False}, write_buffer=1 << 20)
    db.put_many([(b"%06d" % i, random.Random(i).randbytes(500)) for i in range(1500)])
    before, sizes = inner.stats()["write_bytes"], sum(inner.stat(f"/d/{n}")[0] for n in inner.listdir("/d") if n.startswith("MANIFEST"))
    fs.arm("append", "*.sst", nth, 5)
    with pytest.raises(lsm.Error):
        db.flush()
    assert sizes == sum(inner.stat(f"/d/{n}")[0] for n in inner.listdir("/d") if n.startswith("MANIFEST"))
    wrote, said = inner.stats()["write_bytes"] - before, db.stats().bytes(op="write")
    assert wrote <= said <= wrote + (256 << 10) + 8192
    assert (wrote > 0) == (nth > 1)
    db.close()
