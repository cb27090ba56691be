"""What the components of `lsm` do, as stories for tests/harness/allocations.py: each comes upon all of its allocations."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

import eviction
import lsm
import recovery
from lsm import native_typed
from lsm.keys import Desc
from lsm.memtable_twin import DELETE, PUT, Entry
from lsm.merge_twin import Range
from lsm.native import Bucket, Cache, Job, JobInput, Ledger, Table, Watch, ffi, lib
from lsm.native_codec import Codec
from lsm.native_db import CoreCursor, CoreDB, CoreKeyspace
from lsm.native_measure import StreamMeasure
from lsm.native_memtables import BUILT_IN, Memtable, builtin_memtable
from lsm.native_salvage import block_content, next_block
from lsm.native_tables import get, scan
from lsm.native_values import Heat, ValueFile, ValueWriter, check_pointers
from lsm.table_twin import TWO_LEVEL, Settings

from .allocations import Audit, Story
from .tables import PATH, Lab

LONG = b"a key that needs more room than an iterator has of its own " * 9


@contextmanager
def _told() -> Iterator[None]:
    """What is driven by hand tells a status; a cache says no more than that there is none."""
    try:
        yield
    except RuntimeError as e:
        if not str(e).endswith("status -3"):
            raise
        raise MemoryError from None
    except lsm.InvalidOptions as e:
        if "shards a power of two" not in str(e):
            raise
        raise MemoryError from None


def _cache(capacity: int = 1 << 16) -> Cache:
    with _told():
        return Cache(capacity, 1, 400, eviction.ops_address("lru"), "", 0)


def _memtable(kind: str, n: int) -> Story:
    entries = [Entry(b"a beginning that all share/%05d" % (i * 7919 % n // 2), i + 1, PUT, b"v" * (i % 9)) for i in range(n)]

    def story(_audit: Audit) -> Any:
        return [one(seed) for seed in range(12 if kind == "skiplist" else 1)]  # of a skip list each is another one

    def one(seed: int) -> Any:
        memtable = Memtable(builtin_memtable(kind), budget=1 << 12, seed=seed)
        try:
            with _told():
                for entry in entries:
                    memtable.add(entry)
                found = [list(memtable), [memtable.get(e.key, e.seq) for e in entries[::50]]]
                memtable.seal()
                return [*found, list(memtable), len(memtable), memtable.get(b"a beginning")]
        finally:
            memtable.close()

    return story


ENTRIES = sorted(
    [Entry(b"%04d" % i, i + 1, DELETE if i % 9 == 0 else PUT, b"" if i % 9 == 0 else b"v" * (i % 60)) for i in range(90)]
    + [Entry(LONG + b"%03d" % i * (1 + i * 40), 500 + i, PUT, b"long") for i in range(4)],
    key=lambda e: e.key,
)
RANGES = [Range(b"00%02d" % i, b"00%02d5" % i, 1000 + i) for i in range(5)]


def _table(codec: str = "", *, mapped: bool = False, cached: bool = True, search: str = "", **settings: Any) -> Story:
    twin = Settings(**settings)

    def story(audit: Audit) -> Any:
        lab = Lab(cache=_cache() if cached else None)
        made: list[bool] = []
        audit(lambda: "a table that failed is left" if not made and lab.fs.exists(PATH) else None)
        options = lab.settings(twin, codec=codec, mapped=mapped, search=search)
        props = lab.build(options, ENTRIES, RANGES)
        made.append(True)
        table = lab.open(options, size=props.file_size)
        found = [list(scan(table)), list(scan(table, reverse=True)), list(scan(table, readahead=4096))]
        found += [[get(table, e.key) for e in ENTRIES[::31]], get(table, b"none"), table.memory() > 0]
        table.verify()
        return found

    return story


def _edges(_audit: Audit) -> Any:
    """A table of tombstones alone, and blocks that are full to the last byte or nearly, so that what ends them needs room."""
    lab, found = Lab(), []
    rows = [Entry(b"%02d" % i, 1, PUT, b"v" * 120) for i in range(56)]
    options = lab.settings(Settings(block_size=1 << 20, restart_interval=1))
    for more in (0, 495, 700):
        entries = [*rows, Entry(b"z", 1, PUT, b"x" * more)] if more else []
        lab.build(options, entries, RANGES)
        table = lab.open(options)
        found.append((list(scan(table)), table.props.smallest, table.props.largest))
        table.close()
    return found


def _salvage(_audit: Audit) -> Any:
    lab = Lab()
    lab.build(lab.settings(Settings(block_size=300), codec="zstd"), ENTRIES)
    data = lab.fs.read_all(PATH)
    at, size = next_block(lab.env, 7, data, 0, 10, 1000)
    return at, block_content(lab.env, 7, PATH, data, at, size)  # its size depends on whether there was memory to pack it


def _caches(_audit: Audit) -> Any:
    """One with huge pages."""
    cache = _cache(32 << 20)
    lab = Lab(cache=cache)
    options = lab.settings(Settings(block_size=4000, index_kind=TWO_LEVEL))
    lab.build(options, ENTRIES)
    table = lab.open(options)
    return [list(scan(table)) for _ in range(2)], cache.stats()["hits"] > 0


def _small_parts(_audit: Audit) -> Any:
    codec = Codec.load("none", [])
    assert codec is not None
    names = [f.__name__ for f in native_typed.bind_keys(Desc, print, print)]
    return Ledger().sum()[1]["puts"], Watch().oldest()[0], Heat(100).of(b"a"), codec.name, names, Bucket(0).take(5)


@cache
def _tables() -> tuple[Lab, Any, list[Table], list[ValueFile]]:
    """Four tables and what they point to, made once."""
    lab = Lab()
    lab.fs.makedirs("/v")
    with_values = _written(lab, 30, [(e.key, e.seq, b"kept apart " * 9) for e in ENTRIES[:20]])
    options = lab.settings(Settings(block_size=300, restart_interval=3, range_filter="surf"))
    files = [ValueFile(lab.env, f"/v/{30 + i:06}.vlog", 30 + i) for i in range(len(with_values[1]))]
    rows = [Entry(e.key, e.seq, lib.LSM_VALUE_POINTER, p) for e, p in zip(ENTRIES[:20], with_values[0], strict=True)]
    parts: list[tuple[Sequence[Entry], Sequence[Range]]] = [(rows, ()), (ENTRIES[20:50], RANGES[:3]), (ENTRIES[50:], ()), (ENTRIES, RANGES)]
    tables = []
    for i, (entries, ranges) in enumerate(parts):
        path = f"/t{i}.sst"
        lab.build(options, entries, ranges, number=10 + i, path=path)
        tables.append(lab.open(options, number=10 + i, path=path))
    return lab, options, tables, files


def _written(lab: Lab, number: int, records: Sequence[tuple[bytes, int, bytes]]) -> tuple[list[bytes], Any]:
    heat = Heat(100)
    heat.touch(records[0][0])
    writer = ValueWriter(
        lab.env, "/v", first_number=number, max_files=4, min_bytes=1, file_bytes=900, keyspace_id=1, cause="flush", heat=heat, hot=1
    )
    try:
        return [writer.add(*record) for record in records], writer.finish()
    finally:
        writer.close()


def _values(audit: Audit) -> Any:
    lab = Lab(cache=_cache())
    lab.fs.makedirs("/v")
    made: list[bool] = []
    audit(lambda: "a value file that failed is left" if not made and lab.fs.listdir("/v") else None)
    records = [(b"%03d" % i, i + 1, b"x" * (i * 5)) for i in range(50)] + [(b"big", 99, b"y" * 300_000)]
    pointers, infos = _written(lab, 3, records)
    made.append(True)
    files = {i.number: ValueFile(lab.env, f"/v/{i.number:06}.vlog", i.number) for i in infos}
    found = [files[int.from_bytes(p[:8], "little")].read(k, s, p) for (k, s, _), p in zip(records, pointers, strict=True)]
    for file in files.values():
        file.verify()
    return pointers, infos, found


def _pointers(_audit: Audit) -> Any:
    lab, options, _, files = _tables()
    table = lab.open(options, number=10, path="/t0.sst")
    check_pointers(table, files)
    table.verify()
    return table.props.values


def _job(_audit: Audit) -> Any:
    """With parts so large that each has a block of its own in the arena; the path is too long to run it."""
    lab, options, tables, files = _tables()
    settings: dict[str, Any] = {"directory": "/" + "d" * 2000, "first_number": 50, "max_outputs": 9, "output_bytes": 1}
    settings |= {"cuts": [b"c%04d" % i * 3 for i in range(300)], "snapshots": range(300), "bottom": True, "level": 1, "cause": "flush"}
    Job(lab.env, options, [JobInput(tuple(tables[:3] * 50), 1)] * 40, moved=files * 200, **settings)
    return True


def _job_between(_audit: Audit) -> Any:
    """With bounds as large, which the wrapper of jobs does not take, and as many inputs."""
    lab, options, _, _ = _tables()
    config = ffi.new("lsm_job_config *", {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_job_config"), "max_outputs": 1})
    keys, path = [ffi.new("uint8_t[]", 5000) for _ in range(2)], ffi.new("char[]", b"/")
    config.env, config.table, config.dir = lab.env.handle, options.handle, path
    (config.begin, config.end), config.begin_len, config.end_len = keys, 5000, 5000
    job = lib.lsm_job_new(config, ffi.new("lsm_job_input[200]"), 200)
    if job == ffi.NULL:
        raise MemoryError
    lib.lsm_job_free(job)
    return True


def _merge(audit: Audit) -> Any:
    """Jobs with values, ranges, cuts by size and by key."""
    lab, options, tables, files = _tables()
    before, told = set(lab.fs.walk_files("/")), list[Any]()
    audit(lambda: "an output that failed is left" if set(lab.fs.walk_files("/")) != before else None)
    for bottom, inputs in ((False, [tables[:1], tables[1:3], tables[3:]]), (True, [tables[:1]])):
        values = ValueWriter(
            lab.env, "/v", first_number=60, max_files=1, min_bytes=1 << 30, file_bytes=1 << 30, keyspace_id=1, cause="collection"
        )
        made: list[str] = []
        try:
            job = Job(
                lab.env, options, [JobInput(tuple(run), 1) for run in inputs], directory="/v", first_number=70, max_outputs=9,
                output_bytes=3000, cuts=[b"0050"], snapshots=[40, 600], bottom=bottom, level=1, cause="compaction",
                values=values, moved=files,
            )  # fmt: skip
            result = job.run()
            made = [f"/v/{o.number:06}.sst" for o in result.outputs]
            infos = values.finish()
            made += [f"/v/{i.number:06}.vlog" for i in infos]
            told += [infos, result.values_moved, [(o.entries, o.range_deletes) for o in result.outputs]]
        finally:
            values.close()
            for path in made:
                lab.fs.unlink(path)
    return told


def _measure(_audit: Audit) -> Any:
    """A merge of more keys than there is room for at first, in two tables of many partitions, and a memtable."""
    n = 1300
    keys, ranks, row = [b"%05d" % i for i in range(n)], np.arange(n, dtype=np.uint32), np.ones(n, np.uint8)
    stream = StreamMeasure(keys, ranks, ranks, row, np.full(n, 9, np.uint32), row)
    words = (ranks.astype(np.uint64) << np.uint64(32)) | (2**32 - 1 - ranks.astype(np.uint64))
    lab = Lab()
    options = lab.settings(Settings(block_size=60, index_kind=TWO_LEVEL, filter="ribbon"))
    merged = stream.merge(words, [(4, 9, 5000)], options, output_bytes=0, max_outputs=3, bottom=False, cuts=[1200])
    filled = [stream.fill(builtin_memtable(kind), (1 << 12, 50), 0, 0, 200) for kind in BUILT_IN]
    parts = [stream.merge(words[:k], [], options, output_bytes=0, max_outputs=1, bottom=False).tables[0].file_size for k in range(60, 130)]
    return [t.file_size for t in merged.tables], filled, parts


def _operation(kind: int, key: bytes, value: bytes) -> bytes:
    return struct.pack("<BIIQ", kind, 1, len(key), len(value)) + key + value


def _batch(*operations: tuple[int, bytes, bytes]) -> bytes:
    return struct.pack("<I", len(operations)) + b"".join(_operation(*op) for op in operations)


@contextmanager
def _keyspace(lab: Lab) -> Iterator[tuple[CoreDB, CoreKeyspace]]:
    db = CoreDB(lab.env, "/d", recovery.wal_ops_address(), {}, 1, 0, True)
    space = None
    try:
        space = CoreKeyspace(db, 1, builtin_memtable("skiplist").address, (1 << 20, 0), 0, False)
        yield db, space
    finally:
        if space is not None:
            space.drop()
        db.close()


def _walk(space: CoreKeyspace, *, reverse: bool, lower: bytes | None = None, upper: bytes | None = None) -> Any:
    cursor = CoreCursor(space, 2**64 - 1, lower, upper, reverse)
    try:
        found = list[bytes]()
        for key in (LONG * 2, b"0050", b"00", b"z"):
            cursor.seek(key)
            while (part := cursor.packed(50))[0]:  # an error comes behind the pairs before it
                found.append(part[1])
        return b"".join(found)
    finally:
        cursor.close()


def _engine(_audit: Audit) -> Any:
    """Memtables, sealed ones and tables under a cursor; ranges over all; what is dead."""
    lab, _, tables, files = _tables()
    with _keyspace(lab) as (db, space):
        found: list[Any] = [_walk(space, reverse=False)]  # of nothing
        keys = b"".join(b"%04d" % i for i in range(9))
        space.put_many(9, keys, struct.pack("<9I", *[4] * 9), bytes(9000), struct.pack("<9I", *[1000] * 9), False)
        records = _batch(*((PUT, b"%04d" % i, LONG) for i in range(9)))
        db.replay(struct.pack("<QII", 100, len(records), recovery.DATA) + records)  # as `recovery.read_packed` has it
        for round_ in range(3):
            for i in range(7):
                db.write(_batch((PUT, b"%04d" % (i * 9 + round_), LONG * round_), (lib.LSM_RANGE_DELETE, b"1%d" % i, b"2%d" % i)), False)
            if round_ < 2:
                space.seal()
        held = [db.snapshot() for _ in range(40)]
        space.publish([(1, tables[:3]), (2, tables[3:])], 0, files)
        for reverse in (False, True):
            found += [_walk(space, reverse=reverse), _walk(space, reverse=reverse, lower=b"00", upper=LONG + b"z")]
        mems = space.sealed()
        found.append([m.memory > 0 for m in mems])
        for mem in mems:
            mem.close()
        space.publish([(2, tables[3:])], 1)
        for seq in held:
            db.release(seq)
        return found, set(held), len(db.take_dead()) <= 3 + len(files)


@cache
def _database() -> tuple[lsm.DB, list[bytes]]:
    """With a row cache, a block cache, values apart and long ones."""
    options = {
        "threads": 0,
        "cache": {"capacity": 1 << 15, "shards": 1},
        "row_cache": {"capacity": 1 << 15, "shards": 1},
        "table": {"block_size": 300, "index": "two_level"},
        "value_log": {"min_bytes": 200},
    }
    db = lsm.open("/d", options, fs=recovery.memory())
    keys = [b"%04d" % i for i in range(100)] + [LONG + b"%d" % i for i in range(9)]
    db.put_many([(key, b"v" * (i * 7)) for i, key in enumerate(keys)])
    db.flush()
    for i in range(0, 100, 9):
        db.put(keys[i], b"again")
    return db, keys


def _reads(_audit: Audit) -> Any:
    db, keys = _database()
    lib.lsm_cache_resize(db.core.env.handle.rows, 1)  # nothing is kept from one telling to the next
    lib.lsm_cache_resize(db.core.env.handle.cache, 1)
    lib.lsm_cache_resize(db.core.env.handle.rows, 1 << 15)
    lib.lsm_cache_resize(db.core.env.handle.cache, 1 << 15)
    some = [*keys[::7], b"none"]
    return [[db.get(key) for key in some], db.get_many(some), db.range(b"0010", b"0030"), db.range(keys[-5], None)]


STORIES: dict[str, Story] = {
    **{f"memtable {kind}": _memtable(kind, n) for kind, n in (("btree", 300), ("skiplist", 300), ("hash", 700), ("vector", 2700))},
    "table": _table(block_size=500, restart_interval=40, hash_index=True, filter="bloom", range_filter="surf"),
    "table, two levels": _table(block_size=300, index_kind=TWO_LEVEL, codec="zstd"),
    "table, mapped": _table(block_size=2000, mapped=True, search="learned"),
    "table without a cache": _table(block_size=300, cached=False, index_kind=TWO_LEVEL),
    "table, edges": _edges,
    "salvage": _salvage,
    "caches": _caches,
    "small parts": _small_parts,
    "values": _values,
    "pointers": _pointers,
    "job": _job,
    "job between": _job_between,
    "merge": _merge,
    "measure": _measure,
    "engine": _engine,
    "reads": _reads,
}
