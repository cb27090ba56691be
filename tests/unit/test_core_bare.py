"""A keyspace without the database around it (engine.h): never published, without a log, with a log or a memtable that breaks its word."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from lsm._native import ffi, lib

import eviction
import lsm
import recovery
from lsm.memtable_python import SortedMemtable
from lsm.memtable_twin import PUT, Entry
from lsm.merge_twin import Range
from lsm.native import Cache, Watch, new_error
from lsm.native_db import CoreCursor, CoreDB, CoreKeyspace
from lsm.native_memtables import PythonMemtable, builtin_memtable, merged, sequence_cursor
from lsm.table_twin import Settings
from tests.harness.tables import Lab

NULL, NEWEST = ffi.NULL, 2**64 - 1
RANGE_DELETE = lib.LSM_RANGE_DELETE
WAL = {"sync_mode": recovery.SYNC_MODES["os"], "segment_bytes": 1 << 16, "salt": 5, "notes": 1}


class Bare:
    """One keyspace over files in memory. wal: an ops table for its log; None: without one."""

    def __init__(self, wal: Any = None, memtable: int | None = None, *, fs: Any = None, **config: int) -> None:
        self.lab = Lab(fs=fs or recovery.memory())
        self.lab.fs.mkdir("/d")
        address = recovery.wal_ops_address() if wal is None else int(ffi.cast("uintptr_t", wal))
        self.db = CoreDB(self.lab.env, "/d", address, {**WAL, **config}, 1, 0, wal is None)
        self.space = CoreKeyspace(self.db, 1, memtable or builtin_memtable("skiplist").address, (1 << 20, 0), 0, memtable is not None)

    def put(self, key: bytes, value: bytes = b"v") -> int:
        return int(lib.lsm_put(self.space.handle, key, len(key), value, len(value)))

    def get(self, key: bytes, room: int = 100) -> bytes | int:
        out, needed = ffi.new("uint8_t[]", room), ffi.new("size_t *")
        got = int(lib.lsm_get(self.space.handle, key, len(key), NEWEST, out, room, needed))
        return bytes(ffi.buffer(out, got)) if got >= 0 else got

    def close(self) -> None:
        self.space.drop()
        self.db.close()


@pytest.fixture
def bare() -> Iterator[Bare]:
    bare = Bare()
    yield bare
    bare.close()


def batch(*operations: tuple[int, bytes, bytes], space: int = 1) -> bytes:
    rows = (struct.pack("<BIIQ", kind, space, len(key), len(value)) + key + value for kind, key, value in operations)
    return struct.pack("<I", len(operations)) + b"".join(rows)


def record(seq: int, data: bytes) -> bytes:
    """A record of a log, packed as `recovery.read_packed` has it."""
    return struct.pack("<QII", seq, len(data), recovery.DATA) + data


def scanned(space: CoreKeyspace, *, reverse: bool = False) -> tuple[int, bytes]:
    cursor = CoreCursor(space, NEWEST, None, None, reverse)
    try:
        return cursor.packed(50)[:2]
    finally:
        cursor.close()


def test_a_keyspace_that_was_never_published(bare: Bare) -> None:
    for filled in (False, True):
        if filled:
            assert [bare.put(k) for k in (b"a", b"b")] == [0, 0]
            assert bare.space.seal() and not bare.space.seal()
            assert bare.put(b"c") == 0
        assert bare.get(b"a") == (b"v" if filled else lib.LSM_MISSING)
        assert bare.get(b"x") == lib.LSM_MISSING
        found = bare.space.get_many(3, b"axc", struct.pack("<3I", 1, 1, 1), NEWEST)
        assert found == [(b"vv" if filled else b"", [1, lib.LSM_MISSING, 1] if filled else [lib.LSM_MISSING] * 3)]
        assert scanned(bare.space) == ((3, b"avbvcv") if filled else (0, b""))
        assert scanned(bare.space, reverse=True) == ((3, b"cvbvav") if filled else (0, b""))


def test_room_for_a_value(bare: Bare) -> None:
    bare.put(b"k", b"12345")
    bare.put(b"empty", b"")
    assert [bare.get(b"k", room) for room in (4, 5, 6)] == [lib.LSM_SHORT, b"12345", b"12345"]
    assert bare.get(b"empty", 0) == b""


def test_without_a_log_there_is_nowhere_to_note_or_sync(bare: Bare) -> None:
    bare.db.note(b"x" * 100_000)
    bare.db.sync()
    bare.db.new_log(9)
    bare.db.rotate_log()
    assert (bare.db.log(), bare.db.log_time()) == ((0, 0), 0)
    assert bare.put(b"a") == 0 and bare.db.why_read_only() is None
    assert bare.lab.fs.listdir("/d") == []


def log_that(**functions: Callable[..., int]) -> tuple[Any, list[Any]]:
    """The log, with some functions of its table replaced."""
    table = ffi.new("rec_wal_ops *", ffi.cast("const rec_wal_ops *", recovery.wal_ops_address())[0])
    types = dict(ffi.typeof("rec_wal_ops").fields)
    callbacks = [ffi.callback(types[name].type, function) for name, function in functions.items()]
    for name, callback in zip(functions, callbacks, strict=True):
        setattr(table, name, callback)
    return table, callbacks


def test_a_note_that_cannot_be_written_makes_it_read_only() -> None:
    wal, _kept = log_that(note=lambda *args: -5)
    bare = Bare(wal)
    with pytest.raises(lsm.IOFailure):
        bare.db.note(b"here")
    assert bare.db.why_read_only() == "the log could not be written"
    bare.close()


@pytest.mark.parametrize("how", ["put", "write", "note"])
def test_a_segment_that_never_takes_the_record_is_an_error(how: str) -> None:
    """rotate makes one that can: a log that says again that it cannot is not asked for ever."""
    wal, _kept = log_that(append=lambda *args: 1, note=lambda *args: 1)
    bare = Bare(wal)
    act: dict[str, Callable[[], Any]] = {
        "put": lambda: bare.put(b"a"),
        "write": lambda: bare.db.write(batch((PUT, b"a", b"1")), False),
        "note": lambda: bare.db.note(b"here"),
    }
    if how == "put":
        assert act[how]() == lib.LSM_IO
        with pytest.raises(lsm.IOFailure, match="File too large"):
            bare.db.raise_last(lib.LSM_IO)
    else:
        with pytest.raises(lsm.IOFailure, match="File too large"):
            act[how]()
    assert bare.db.why_read_only() == "the log could not be written"
    assert bare.get(b"a") == lib.LSM_MISSING
    bare.close()


def test_notes_go_on_in_a_new_segment() -> None:
    wal, _kept = log_that()
    bare = Bare(wal)
    before = bare.db.log()[0]
    for i in range(3):
        bare.db.note(b"%d" % i * 30_000)
    assert bare.db.log()[0] > before and bare.db.why_read_only() is None
    bare.close()


def test_a_note_that_finds_no_new_segment_makes_it_read_only() -> None:
    fs = recovery.fault(recovery.memory())
    wal, _kept = log_that()
    bare = Bare(wal, fs=fs)
    bare.db.note(b"0" * 40_000)
    fs.arm("open", "*.log", error=28)
    with pytest.raises(lsm.IOFailure):
        bare.db.note(b"1" * 40_000)
    fs.disarm()
    assert bare.db.why_read_only() == "no space for a new log segment"
    bare.close()


def test_more_is_flushed_than_was_sealed(bare: Bare) -> None:
    bare.put(b"a")
    bare.space.seal()
    with pytest.raises(lsm.InvalidOptions):
        bare.space.publish([], 2)
    assert bare.get(b"a") == b"v" and bare.space.sealed_count() == 1


def test_a_dropped_keyspace_has_nothing_sealed(bare: Bare) -> None:
    bare.put(b"a")
    bare.space.seal()
    bare.space.drop()
    assert bare.space.sealed() == [] and bare.space.sealed_count() == 0
    with pytest.raises(lsm.ClosedError):
        bare.space.get_many(1, b"a", struct.pack("<I", 1), NEWEST)
    with pytest.raises(lsm.InvalidOptions, match="unknown keyspace 1"):
        bare.db.write(batch((PUT, b"a", b"1")), False)
    bare.db.replay(record(50, batch((PUT, b"a", b"1"), (PUT, b"b", b"1"))))
    bare.db.replay(record(60, batch((PUT, b"a", b"1"), (PUT, b"b", b"1"), space=99)))
    assert bare.db.sequence() == 61


def test_the_functions_of_a_dropped_keyspace() -> None:
    with lsm.open("/d", {"threads": 0}, fs=recovery.memory()) as db:
        space = db.keyspace("other")
        space.put(b"a", b"1")
        calls = [lambda: space.get(b"a"), lambda: space.put(b"a", b"2"), lambda: space.delete(b"a"), space.range]
        calls += [lambda n=n: space.get_many([b"a"] * n) for n in (1, 40, 300)]
        db.drop_keyspace("other")
        for call in calls:
            with pytest.raises(lsm.ClosedError):
                call()


def test_batches_that_are_not_to_be_had(bare: Bare) -> None:
    e = new_error()
    long = bytes(lib.LSM_MAX_KEY + 1)
    for wrong in (
        batch((RANGE_DELETE, b"a", long)),
        batch((RANGE_DELETE, b"b", b"b")),
        batch((RANGE_DELETE, long, b"b")),
        batch((lib.LSM_MERGE, b"b", b"b")),
        batch((PUT, b"b", b"b"), space=2),
    ):
        with pytest.raises(lsm.InvalidOptions):
            bare.db.write(wrong, False)
    assert bare.db.write(batch(), False) == 0
    assert bare.db.sequence() == 0
    bare.db.poison("no more")
    good = batch((PUT, b"a", b"1"))
    assert lib.lsm_write(bare.db.handle, good, len(good), 0, NULL) == lib.LSM_READONLY
    assert lib.lsm_write(bare.db.handle, good, len(good), 0, e) == lib.LSM_READONLY and ffi.string(e.what) == b"no more"


def test_sequence_numbers_have_an_end(bare: Bare) -> None:
    two = batch((PUT, b"a", b"1"), (PUT, b"b", b"2"))
    for seq in (2**56 - 1, 2**56 - 2, 2**56, 2**63):
        with pytest.raises(lsm.CorruptionError, match="sequence number"):
            bare.db.replay(record(seq, two))
    bare.db.replay(record(2**56 - 3, two))
    assert bare.get(b"b") == b"2" and bare.db.sequence() == 2**56 - 2


@pytest.mark.parametrize("slow", [0, 1])
def test_a_batch_is_as_slow_as_the_slowest_keyspace(slow: int, bare: Bare) -> None:
    spaces = [bare.space, CoreKeyspace(bare.db, 2, builtin_memtable("hash").address, (1 << 20, 0), 0, False)]
    spaces[1 - slow].admit(True, 1)
    spaces[slow].admit(True, 20_000_000)  # ns a KiB
    data = batch((PUT, b"k", bytes(2048)))
    bare.db.write(data, False)
    begun = time.monotonic_ns()
    bare.db.write(data, False)  # pays for the one before
    assert time.monotonic_ns() - begun >= 40_000_000


def test_each_thread_has_its_own_last_error(bare: Bare) -> None:
    """There is room for those of 64 threads: the oldest are forgotten."""
    e, told, failed, go = new_error(), list[tuple[int, int]](), threading.Barrier(71), threading.Event()

    def ask() -> int:
        return int(lib.lsm_last_error(bare.db.handle, e))

    def fail(i: int) -> None:
        mine = new_error()
        kinds = (lib.LSM_MAX_KEY + 1, 1) if i % 2 else (1, lib.LSM_MAX_VALUE + 1)
        status = lib.lsm_put(bare.space.handle, NULL, kinds[0], NULL, kinds[1])
        failed.wait()
        go.wait()
        if lib.lsm_last_error(bare.db.handle, mine) == 0:
            told.append((status, i % 2 == (ffi.string(mine.what) == b"key")))

    assert ask() == lib.LSM_NOT_FOUND
    threads = [threading.Thread(target=fail, args=(i,)) for i in range(70)]
    for thread in threads:
        thread.start()
    failed.wait()
    assert ask() == lib.LSM_NOT_FOUND
    go.set()
    for thread in threads:
        thread.join()
    assert told == [(lib.LSM_TOO_BIG, True)] * 64


def fill(cursor: Any, pairs: int, room: int, format_room: int | None) -> tuple[int, bytes]:
    out, lens, used, needed = ffi.new("uint8_t[]", room), ffi.new("uint32_t[]", 2 * pairs), ffi.new("size_t *"), ffi.new("size_t *")
    text = NULL if format_room is None else ffi.new("char[]", format_room)
    n = lib.lsm_cursor_fill(cursor, pairs, out, room, lens, text, format_room or 0, 0, used, needed, new_error())
    assert format_room is None or len(ffi.string(text)) == 4 * max(n, 0)
    return int(n), bytes(ffi.buffer(out, used[0]))


def test_room_for_pairs_and_for_their_format(bare: Bare) -> None:
    for key in (b"a", b"b", b"c", b"d"):
        bare.put(key)
    cursor = CoreCursor(bare.space, NEWEST, None, None, False)
    assert fill(cursor.handle, 9, 100, 20) == (lib.LSM_SHORT, b""), "a pair's format takes up to 44 bytes"
    assert fill(cursor.handle, 9, 100, 50) == (2, b"avbv")
    assert fill(cursor.handle, 9, 3, None) == (1, b"cv")
    assert fill(cursor.handle, 9, 100, None) == (1, b"dv")
    assert fill(cursor.handle, 9, 100, None) == (0, b"")
    cursor.close()


class Stumbles(Sequence[Entry]):
    """Entries, one of which is not to be had."""

    def __init__(self, entries: list[Entry], bad: int) -> None:
        self.entries, self.bad = entries, bad

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, i: Any) -> Any:
        if i == self.bad:
            raise RuntimeError("not to be had")
        return self.entries[i]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_memtable_that_stumbles_is_not_at_its_end(reverse: bool) -> None:
    class Stumbling(SortedMemtable):
        def entries(self) -> Sequence[Entry]:
            return Stumbles(list(super().entries()), 2)

    ops = PythonMemtable(Stumbling, "stumbling")
    bare = Bare(memtable=ops.address)
    for i in range(5):
        bare.put(b"%d" % i)
    for two in (False, True):
        if two:
            bare.space.seal()
            bare.put(b"9")
        cursor = CoreCursor(bare.space, NEWEST, None, None, reverse)
        shown = cursor.packed(50)[0]
        assert shown == (1 + two if reverse else 2), "what came before; backwards an older version of the third could be behind"
        for _ in range(2):
            with pytest.raises(lsm.Error, match="the scan failed"):
                cursor.packed(50)
        cursor.close()
    bare.close()


def test_what_a_child_tells_is_told_by_the_merge() -> None:
    """A memtable of a user's may have a place of its own for the details."""
    for place in (True, False):
        children = [sequence_cursor([Entry(b"a", 1, PUT, b"")]), sequence_cursor(Stumbles([Entry(b"b", 1, PUT, b"")] * 2, 1))]
        detail, told = new_error(), new_error()
        detail.status, detail.what = -2, b"why"
        if place:
            children[1].it.error = detail
        it = lib.lsm_merge_iter([c.it for c in children], 2, told)
        it.ops.first(it)
        while it.valid:
            it.ops.next(it)
        assert it.status == lib.LSM_PLUGIN
        assert ffi.string(told.what) == (b"why" if place else b"")
        it.ops.close(it)


def test_calls_that_are_under_way_have_64_slots() -> None:
    watch, what = Watch(), ffi.new("int *")
    assert [lib.lsm_watch_begin(watch.handle, i % 5) for i in range(64)] == list(range(64))
    assert [lib.lsm_watch_begin(watch.handle, 0) for _ in range(3)] == [-1] * 3, "it is not watched"
    lib.lsm_watch_end(watch.handle, -1)
    for slot in (0, 1, 3):
        lib.lsm_watch_end(watch.handle, slot)
    assert lib.lsm_watch_oldest(watch.handle, what) > 0 and what[0] == 2
    for slot in range(64):
        lib.lsm_watch_end(watch.handle, slot)
    assert lib.lsm_watch_oldest(watch.handle, what) == 0
    assert lib.lsm_watch_begin(NULL, 1) == -1


def test_a_write_that_would_wait_for_the_lock_waits_without_the_interpreter() -> None:
    """Another thread is stuck in a new segment, with the lock in its hands."""
    fs = recovery.fault(recovery.memory())
    with lsm.open("/d", {"threads": 0, "wal": {"sync": "os", "segment_bytes": 1 << 16}}, fs=fs) as db:
        db.put(b"a", bytes(40_000))
        fs.arm("open", "*.log", error="stuck")
        rotates = threading.Thread(target=db.put_many, args=([(b"b", bytes(60_000))],))
        rotates.start()
        while not fs.stuck():
            time.sleep(0.001)
        others = [threading.Thread(target=db.put, args=(b"c", b"1")), threading.Thread(target=db.delete, args=(b"a",))]
        for thread in others:
            thread.start()
        assert db.get(b"b") is None, "the interpreter is free"
        fs.disarm()
        for thread in (rotates, *others):
            thread.join()
        assert (db.get(b"a"), len(db.get(b"b") or b""), db.get(b"c")) == (None, 60_000, b"1")


KEPT: list[Any] = []  # ops tables, which must outlive whatever is in a cache


def cache(policy: Any, capacity: int) -> Cache:
    """A cache with a policy in which some functions are replaced."""
    table = ffi.new("evi_ops *", ffi.cast("const evi_ops *", eviction.ops_address("lru"))[0])
    types = dict(ffi.typeof("evi_ops").fields)
    callbacks = {name: ffi.callback(types[name].type, function) for name, function in policy.items()}
    for name, callback in callbacks.items():
        setattr(table, name, callback)
    KEPT.append((table, callbacks))
    return Cache(capacity, 1, 64, int(ffi.cast("uintptr_t", table)), "", 0)


@pytest.mark.parametrize("victim", [63, 2**32 - 1, 5000], ids=["a free slot", "none", "no slot"])
def test_a_victim_that_is_not_held_is_refused_and_told(victim: int) -> None:
    made = cache({"evict": lambda policy: victim}, 2000)
    lab = Lab(cache=made)
    entries = [Entry(b"%04d" % i, 1, PUT, b"v" * 50) for i in range(100)]
    options = lab.settings()
    options.handle.block_size = 300
    lab.build(options, entries)
    table = lab.open(options)
    for _ in range(2):
        assert list(lsm.native_tables.scan(table)) == entries
    stats = made.stats()
    assert stats["refused"] > 0 and stats["wrong_slot"] == victim and stats["charge"] <= 2000
    with pytest.raises(lsm.Error, match="status -9"):
        made.resize(10)


def test_a_policy_that_cannot_be_resized_says_so() -> None:
    made = cache({"resize": lambda policy, capacity: -1}, 2000)
    with pytest.raises(lsm.Error, match="status -9"):
        made.resize(10_000)


def test_owners_that_are_equal_in_what_a_key_holds_are_told_apart() -> None:
    """Keys of the cache have 24 bits of a table's number."""
    made = cache({}, 1 << 16)
    lab = Lab(cache=made)
    options = lab.settings()
    options.handle.index_kind, options.handle.block_size = lib.LSM_INDEX_TWO_LEVEL, 200
    numbers = [7, 7 + (1 << 24), 7 + (5 << 24)]
    rows = [[Entry(b"%03d" % i, 1, PUT, b"%d of %03d" % (n, i)) for i in range(100)] for n in range(3)]
    tables = []
    for number, entries in zip(numbers, rows, strict=True):
        lab.build(options, entries, number=number, path=f"/{number}.sst")
        tables.append(lab.open(options, number=number, path=f"/{number}.sst"))
    for _ in range(2):
        assert [list(lsm.native_tables.scan(t)) for t in tables] == rows
        for table, entries in zip(tables, rows, strict=True):
            assert [lsm.native_tables.get(table, e.key) for e in entries] == entries
    assert made.stats()["bypassed"] > 0
    tables[0].close()
    assert [list(lsm.native_tables.scan(t)) for t in tables[1:]] == rows[1:]


def test_accesses_are_recorded_up_to_a_limit() -> None:
    made = cache({}, 1 << 16)
    lab = Lab(cache=made)
    entries = [Entry(b"%03d" % i, 1, PUT, b"v" * 60) for i in range(100)]
    options = lab.settings()
    options.handle.block_size = 300
    lab.build(options, entries)
    table = lab.open(options)
    stop = made.record(3)
    assert list(lsm.native_tables.scan(table)) == entries
    assert len(stop()) == 3 * 8
    assert list(lsm.native_tables.scan(table)) == entries


def test_nothing_is_counted_without_a_ledger(bare: Bare) -> None:
    put, get, get_many, range_, delete, put_many = bare.space.bind((print,) * 6, lambda status: status)
    bare.lab.env.handle.ledger = NULL
    assert bare.put(b"a") == 0 and put_many([(b"b", b"1")]) is None and put(b"d", b"") is None and delete(b"c") is None
    assert (get(b"a"), get(b"x"), bare.get(b"b"), get_many([b"a", b"x"])) == (b"v", None, b"1", [b"v", None])
    assert range_() == [(b"a", b"v"), (b"b", b"1"), (b"d", b"")] and scanned(bare.space)[0] == 3
    settings = bare.lab.settings()
    bare.lab.env.handle.cache = (kept := Cache(1 << 16, 1, 400, eviction.ops_address("lru"), "", 0)).handle
    bare.lab.build(settings, [Entry(b"t", 1, PUT, b"of a table")])
    bare.space.publish([(1, [table := bare.lab.open(settings)])], 0)
    assert [get(b"t") for _ in range(3)] == [b"of a table"] * 3 and kept.stats()["hits"] == 2
    assert bare.lab.ledger.sum()[1]["puts"] == 0
    bare.space.publish([], 0)
    table.close()
    bare.lab.env.handle.cache = NULL


def test_values_that_do_not_fit_into_a_buffer_together(bare: Bare) -> None:
    keys = [b"%d" % i for i in range(5)]
    for key in keys:
        bare.put(key, key * 50_000)
    found = bare.space.get_many(5, b"".join(keys), struct.pack("<5I", *[1] * 5), NEWEST)
    assert b"".join(part for part, _ in found) == b"".join(key * 50_000 for key in keys)
    assert [n for _, lens in found for n in lens] == [50_000] * 5 and len(found) > 2


@pytest.mark.parametrize("kind", ["btree", "skiplist", "vector", "hash"])
def test_batches_into_a_memtable_of_thousands(kind: str) -> None:
    """From 4096 entries on the B+-tree and the skip list seek the places of a batch side by side, which changes nothing but the time."""
    bare = Bare()
    space = CoreKeyspace(bare.db, 2, builtin_memtable(kind).address, (1 << 24, 0), 0, False)
    bare.db.write(batch(*((PUT, b"%06d" % i, b"v") for i in range(0, 10_000, 2)), space=2), False)
    bare.db.write(batch(*((PUT, b"%06d" % i, b"w") for i in range(1, 200, 2)), *((PUT, b"x%d" % i, b"") for i in range(9)), space=2), False)
    mixed = struct.pack("<I", 40) + b"".join(batch((PUT, b"m%02d" % i, b"m"), space=1 + i % 2)[4:] for i in range(40))
    bare.db.write(mixed, False)
    cursor = CoreCursor(space, NEWEST, b"000000", b"000300", False)
    n, data, _ = cursor.packed(1000)
    cursor.close()
    assert n == 250 and data[:21] == b"000000v000001w000002v"
    assert bare.get(b"m00") == b"m" and bare.get(b"m01") == lib.LSM_MISSING
    space.drop()
    bare.close()


def test_the_last_entries_before_a_memtable_is_full() -> None:
    """The functions that may not wait leave the one that seals to those that may."""
    lab = Lab()
    db = CoreDB(lab.env, "/d", recovery.wal_ops_address(), {}, 1, 0, True)
    space = CoreKeyspace(db, 1, builtin_memtable("skiplist").address, (1 << 24, 3), 0, False)
    left: list[tuple[Any, ...]] = []
    put, _, _, _, delete, _ = space.bind((lambda *args: left.append(args),) * 6, print)
    for i in range(4):
        put(b"%d" % i, b"")
    assert left == [(b"2", b""), (b"3", b"")] and space.sealed_count() == 0
    assert lib.lsm_put(space.handle, b"x", 1, b"", 0) == lib.LSM_SEALED
    delete(b"0")
    assert len(left) == 2
    space.drop()
    db.close()


def test_a_batch_of_puts_waits_at_a_closed_door(bare: Bare) -> None:
    bare.space.admit(False, 0)
    assert bare.space.put_many(1, b"a", struct.pack("<I", 1), b"", struct.pack("<I", 0), False) == lib.LSM_STALLED
    bare.space.admit(True, 0)
    assert bare.space.put_many(1, b"a", struct.pack("<I", 1), b"", struct.pack("<I", 0), False) == 0


@pytest.mark.parametrize("reverse", [False, True])
def test_a_run_in_which_some_tables_have_a_range_filter(reverse: bool, bare: Bare) -> None:
    """A filter that keeps the beginnings of keys says maybe to what lies before or behind the only key of its table."""
    rows = [[Entry(b"%c%d000000" % (c, i), 1, PUT, b"") for i in (1, 5, 9)] for c in b"abcde"]
    tables = []
    for i, entries in enumerate(rows):
        settings = bare.lab.settings(Settings(range_filter="surf" if i != 1 else ""))
        bare.lab.build(settings, entries, [Range(entries[0].key, b"%cz" % entries[0].key[0], 0)], number=10 + i, path=f"/{i}.sst")
        tables.append(bare.lab.open(settings, number=10 + i, path=f"/{i}.sst"))
    bare.db.replay(record(1, batch((PUT, b"zz", b""))))  # so that sequence number 1 is visible
    bare.space.publish([(1, tables)], 0)
    keys = [e.key for entries in rows for e in entries] + [b"zz"]
    bounds = [b"%c%s" % (c, end) for c in b"abce" for end in (b"", b"1000001", b"1000002", b"5000000", b"9000001", b"9000002")] + [b"zzz"]
    for lower in bounds:
        for upper in bounds:
            cursor = CoreCursor(bare.space, NEWEST, lower, upper, reverse)
            found = cursor.packed(50)[1]
            cursor.close()
            assert found == b"".join(sorted((k for k in keys if lower <= k < upper), reverse=reverse)), (lower, upper)
    assert bare.lab.ledger.sum()[1]["range_filter_false_positives"] > 0


def test_a_damaged_table_with_range_deletes_is_told_by_a_batch_of_gets(bare: Bare) -> None:
    settings = bare.lab.settings()
    bare.lab.build(settings, [Entry(b"%02d" % i, 2, PUT, b"v" * 30) for i in range(50)], [Range(b"x", b"y", 1)])
    table = bare.lab.open(settings)
    bare.db.replay(record(2, batch((PUT, b"zz", b""))))
    bare.space.publish([(1, [table])], 0)
    lens = struct.pack("<2I", 2, 2)
    assert bare.space.get_many(2, b"0749", lens, NEWEST) == [(b"v" * 60, [30, 30])]
    data = bytearray(bare.lab.fs.read_all(table.path))
    data[100] ^= 1
    bare.lab.fs.write_all(table.path, bytes(data))
    with pytest.raises(lsm.CorruptionError, match="block checksum"):
        bare.space.get_many(2, b"0749", lens, NEWEST)


def test_entries_that_differ_in_kind_alone_are_passed_once_in_both_directions() -> None:
    put, delete = Entry(b"a", 1, PUT, b""), Entry(b"a", 1, 0, b"")
    for lists in ([[put], [delete]], [[delete], [put]], [[put], [delete, Entry(b"b", 1, PUT, b"")]]):
        cursor = merged([sequence_cursor(entries) for entries in lists])
        assert [cursor.first(), cursor.next()] == [put, delete]
        for _ in range(3):
            assert [cursor.prev(), cursor.next()] == [put, delete]
        cursor.close()
