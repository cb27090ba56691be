"""put, put_many, get, get_many, delete as built-in functions: what they take and hand on, and that they neither leak nor block."""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import eviction
import lsm
import recovery


@pytest.fixture
def db() -> Iterator[lsm.DB]:
    with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
        yield db


def test_they_are_functions_of_the_interpreter_with_signatures(db: lsm.DB) -> None:
    for name, signature in {
        "put": "(key, value)",
        "get": "(key, default=None, *, snapshot=None)",
        "get_many": "(keys, *, snapshot=None)",
        "delete": "(key)",
        "put_many": "(pairs, values=None, *, sync=False)",
    }.items():
        function = getattr(db, name)
        assert inspect.isbuiltin(function)
        assert str(inspect.signature(function)) == signature
        assert function.__doc__


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_every_bytes_like_works(db: lsm.DB, form: type) -> None:
    db.put(form(b"k"), form(b"v"))
    assert db.get(form(b"k")) == b"v"
    assert type(db.get(form(b"k"))) is bytes
    assert db.get_many([form(b"k"), b"k", form(b"x")]) == [b"v", b"v", None]
    db.delete(form(b"k"))
    assert db.get(b"k") is None


def test_arguments_by_name_and_defaults(db: lsm.DB) -> None:
    db.put(key=b"k", value=b"v")
    marker = object()
    assert db.get(key=b"k") == b"v"
    assert db.get(b"x", marker) is marker
    assert db.get(b"x", default=marker) is marker
    with db.snapshot() as then:
        db.put(b"k", b"w")
        assert db.get(b"k", snapshot=then) == b"v"
        assert db.get_many([b"k", b"x"], snapshot=then) == [b"v", None]
    assert db.get_many(keys=(b"k",)) == [b"w"]
    db.delete(key=b"k")
    assert b"k" not in db


@pytest.mark.parametrize("wrong", [1, "k", None, [97, 98], 1.5])
def test_others_are_refused_by_name(db: lsm.DB, wrong: object) -> None:
    for call in (lambda: db.put(wrong, b"v"), lambda: db.put(b"k", wrong), lambda: db.get(wrong), lambda: db.delete(wrong)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=type(wrong).__name__):
            call()
    with pytest.raises(TypeError, match=type(wrong).__name__):
        db.get_many([b"k", wrong])
    assert list(db.scan()) == []


def test_wrong_numbers_of_arguments_are_refused(db: lsm.DB) -> None:
    for call in (lambda: db.put(b"k"), db.get, db.delete, lambda: db.get(b"k", b"d", b"e"), db.get_many):  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            call()


def test_many_keys_from_every_source(db: lsm.DB) -> None:
    keys = [b"%05d" % i for i in range(2000)]
    for i in range(0, 2000, 2):
        db.put(keys[i], b"v" * (i % 300))
    half = [b"v" * (i % 300) if i % 2 == 0 else None for i in range(2000)]
    assert db.get_many(keys) == half
    db.flush()
    assert db.get_many(keys) == half
    assert db.get_many(tuple(keys[:100])) == half[:100]
    assert db.get_many(iter_keys := dict.fromkeys(keys[:10], 1).keys()) == half[: len(iter_keys)]
    assert db.get_many([]) == []


PAIRS = [(b"%04d" % (i * 7919 % 3000), b"v" * (i % 400)) for i in range(6000)]  # each key twice, some values empty


@pytest.mark.parametrize("sync", ["os", "none", "group"])
@pytest.mark.parametrize(
    "form",
    [
        lambda pairs: (pairs,),
        lambda pairs: (tuple(pairs),),
        lambda pairs: (iter(pairs),),
        lambda pairs: ([[*p] for p in pairs],),
        lambda pairs: ([(bytearray(k), v) for k, v in pairs],),
        lambda pairs: ([k for k, _ in pairs], [v for _, v in pairs]),
        lambda pairs: (tuple(k for k, _ in pairs), [memoryview(v) for _, v in pairs]),
    ],
)
def test_many_pairs_in_every_form(form: Callable[[Any], tuple[Any, ...]], sync: str) -> None:
    """In the log, in the ledger and in the tree is the same, whichever way it went."""
    fs = recovery.memory()
    with lsm.open("/d", fs=fs, threads=0, wal={"sync": sync}) as db:
        for i in range(0, len(PAIRS), 1500):
            db.put_many(*form(PAIRS[i : i + 1500]))
        db.put_many(*form([]))
        db.put_many(*form([(b"", b"of the empty key"), (b"k" * 65536, bytes(2 << 20))]), sync=True)
        want = sorted({**dict(PAIRS), b"": b"of the empty key", b"k" * 65536: bytes(2 << 20)}.items())
        assert db.range() == want
        writes = db.ledger.sum()[1]
        assert writes["batches"] == 5 and writes["user_bytes"] == sum(len(k) + len(v) for k, v in PAIRS) + 16 + 65536 + (2 << 20)
    with lsm.open("/d", fs=fs, threads=0) as db:
        assert db.range() == want


def test_many_pairs_that_are_refused_leave_nothing(db: lsm.DB) -> None:
    for args, error in (
        (([(b"a", b"1"), (b"b",)],), TypeError),
        (([(b"a", b"1"), (b"b", "2")],), TypeError),
        (([(b"a", b"1"), b"ab"],), TypeError),
        (([b"a", b"b"], [b"1"]), ValueError),
        (([b"a", "b"], [b"1", b"2"]), TypeError),
        (([(b"a", b"1"), (b"b" * 65537, b"2")],), lsm.TooLarge),
        ((7,), TypeError),
    ):
        with pytest.raises(error):
            db.put_many(*args)
    assert db.range() == []


def test_many_pairs_wait_for_room_and_start_flushes() -> None:
    with lsm.open("/d", fs=recovery.memory(), write_buffer=1 << 16) as db:
        for i in range(300):
            db.put_many([(b"%06d" % (i * 20 + j), b"v" * 100) for j in range(20)])
        db.flush()
        assert len(db.range()) == 6000 and db.default.version.levels


@pytest.mark.parametrize("flushed", [False, True])
def test_long_and_short_values_of_a_batch_come_in_order(db: lsm.DB, flushed: bool) -> None:
    """Values are put by in portions, but for groups that hold more than a mebibyte, which are handed over at once."""
    sizes = {i: 700_000 if i in (40, 41, 130, 299) else 3 * i for i in range(300) if i % 7}
    for i, n in sizes.items():
        db.put(b"%05d" % i, bytes([i % 251]) * n)
    if flushed:
        db.flush()
    for start, count in ((0, 16), (0, 17), (30, 32), (0, 300), (3, 257), (42, 80)):
        got = db.get_many([b"%05d" % i for i in range(start, start + count)])
        assert got == [bytes([i % 251]) * sizes[i] if i in sizes else None for i in range(start, start + count)]


@pytest.mark.threads
def test_a_batch_lets_other_threads_in() -> None:
    """Batches of four threads beside writes, flushes and compactions: every answer is of the value that the key always has."""
    wrong: list[object] = []
    with lsm.open("/d", fs=recovery.memory(), write_buffer=1 << 16, cache={"capacity": 1 << 16}) as db:
        keys = [b"%05d" % i for i in range(3000)]
        db.put_many([(k, k * 20) for k in keys])
        done = threading.Event()

        def read(part: int) -> None:
            n = 0
            try:
                while not done.is_set():
                    some = keys[(n * 37 + part) % 2000 :][:150]
                    if db.get_many(some) != [k * 20 for k in some]:
                        wrong.append(some)
                    n += 1
            except BaseException as e:
                wrong.append(e)

        threads = [threading.Thread(target=read, args=(part,)) for part in range(4)]
        for t in threads:
            t.start()
        for n in range(6):
            db.put_many([(k, k * 20) for k in keys[n::3]])
            db.compact() if n % 2 else db.flush()
        done.set()
        for t in threads:
            t.join()
    assert wrong == []


def test_what_is_not_cached_is_read_and_counted_once() -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=0, cache={"capacity": 0}) as db:
        for i in range(500):
            db.put(b"%05d" % i, b"v" * 100)
        db.flush()
        before = db.stats().counters["gets_hit"]
        assert db.get(b"%05d" % 77) == b"v" * 100
        assert db.get_many([b"%05d" % 78, b"x"]) == [b"v" * 100, None]
        assert db.stats().counters["gets_hit"] == before + 2


class Slow:
    """Evicts the newest, and calls the interpreter for every hit: look-ups must let its lock go first."""

    def __init__(self, capacity: int, slots: int, seed: int) -> None:
        self.held: list[int] = []

    def hit(self, slot: int) -> None:
        time.sleep(0)

    def miss(self, key: int, weight: int) -> bool:
        return True

    def insert(self, slot: int, key: int, weight: int) -> None:
        self.held.append(slot)

    def evict(self) -> int | None:
        return self.held.pop() if self.held else None

    def remove(self, slot: int) -> None:
        self.held.remove(slot)


@pytest.mark.threads
def test_components_in_python_are_called_without_the_lock_held() -> None:
    eviction.register("slow-newest", Slow)
    with lsm.open("/d", fs=recovery.memory(), threads=0, cache={"policy": "slow-newest", "capacity": 1 << 16}) as db:
        for i in range(300):
            db.put(b"%05d" % i, b"v" * 100)
        db.flush()
        wrong: list[object] = []

        def read() -> None:
            for i in range(200):
                if db.get(b"%05d" % (i % 300)) != b"v" * 100 or db.get_many([b"%05d" % i]) != [b"v" * 100]:
                    wrong.append(i)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not wrong


@pytest.mark.threads
def test_readers_and_writers_beside_flushes_drops_and_close() -> None:
    options = {"threads": 2, "write_buffer": 8192, "cache": {"capacity": 1 << 16}}
    db = lsm.open("/d", options, fs=recovery.memory())
    other = db.keyspace("other")
    keys = [b"%04d" % i for i in range(400)]
    for k in keys:
        db.put(k, k * 8)
        other.put(k, k)
    wrong: list[object] = []

    def read() -> None:
        try:
            while True:
                for k in keys[::7]:
                    if (got := db.get(k)) is not None and got != k * 8:
                        wrong.append((k, got))
                    other.get(k)
                if any(v is not None and v != k * 8 for k, v in zip(keys, db.get_many(keys), strict=True)):
                    wrong.append("get_many")
                time.sleep(0)
        except lsm.ClosedError:
            return
        except BaseException as e:
            wrong.append(e)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for t in readers:
        t.start()
    for _ in range(4):
        for k in keys:
            db.put(k, k * 8)
        for k in keys[::5]:
            db.delete(k)
    db.close()
    for t in readers:
        t.join()
    assert not wrong
    for call in (
        lambda: db.get(b"k"),
        lambda: db.put(b"k", b"v"),
        lambda: db.delete(b"k"),
        lambda: db.get_many([b"k"]),
        lambda: db.put_many([(b"k", b"v")]),
    ):
        with pytest.raises(lsm.ClosedError):
            call()


def test_references_are_given_back(db: lsm.DB) -> None:
    key, value, default = b"a key that nobody else has", b"its value", object()
    keys, pairs = [key] * 10, [(key, value)] * 10
    db.put(key, value)
    db.flush()
    db.get(key)
    counts = [sys.getrefcount(o) for o in (key, value, default, None, keys)]
    for _ in range(2000):
        db.put(key, value)
        db.get(key)
        db.get(b"x", default)
        db.get_many(keys)
        db.delete(b"y")
        db.put_many(pairs)
        db.put_many(keys, [value] * 10)
    now = [sys.getrefcount(o) for o in (key, value, default, None, keys)]
    assert all(abs(a - b) < 50 for a, b in zip(counts, now, strict=True))


def test_a_database_that_is_forgotten_goes_away_with_its_functions() -> None:
    db = lsm.open("/d", fs=recovery.memory(), threads=0)
    db.put(b"k", b"v")
    get = db.get
    db.close()
    del db
    gc.collect()
    with pytest.raises(lsm.ClosedError):
        get(b"k")
