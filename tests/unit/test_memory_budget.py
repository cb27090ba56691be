"""One budget of memory: it is kept, it moves to where it saves I/O, and an arbiter of a user's is served or refused."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import lsm
import recovery
from lsm.policies.arbiters import Arbiter, MemoryView, Split

MB = 1 << 20
KEYS = 40_000


def key(i: int) -> bytes:
    return b"%012d" % i


def open_mem(**how: Any) -> lsm.DB:
    return lsm.open("/db", fs=recovery.memory(), **({"memory": 2 * MB, "threads": 0} | how))


def report(db: lsm.DB) -> lsm.MemoryReport:
    found = db.memory
    assert found is not None
    return found


def pairs(n: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    rng = random.Random(seed)
    for _ in range(n):
        yield key(rng.randrange(KEYS)), rng.randbytes(100)


def put_some(db: lsm.DB, n: int, seed: int = 1) -> None:
    for k, v in pairs(n, seed):
        db.put(k, v)


def get_some(db: lsm.DB, n: int, seed: int = 1, odd: bytes = b"") -> None:
    rng = random.Random(seed)
    for i in range(n):
        db.get(key(int(rng.random() ** 2 * KEYS)) + odd)
        if i % 500 == 0:
            db.balance()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"memory": 1000}, ["memory", "1000", "1048576"]),
        ({"memory": -1}, ["memory", "-1"]),
        ({"memory": 1.5}, ["memory", "1.5", "integer"]),
        ({"arbiter": "fair"}, ["arbiter", "fair", "marginal", "fixed"]),
        ({"arbiter_params": "step=2"}, ["step", "0.25"]),
        ({"arbiter": "fixed", "arbiter_params": "step=0.1"}, ["arbiter_params", "no parameters"]),
    ],
)
def test_what_is_not_allowed_is_named(given: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(lsm.InvalidOptions) as e:
        lsm.Options.from_dict(given)
    assert all(word in str(e.value) for word in named)


def test_without_a_budget_there_is_none() -> None:
    with open_mem(memory=0) as db:
        assert db.memory is None
        with pytest.raises(ValueError, match="memory=BYTES"):
            db.balance()


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("arbiter", ["marginal", "fixed"])
def test_the_budget_is_kept_with_several_keyspaces(threads: int, arbiter: str) -> None:
    rng = random.Random(7)
    with open_mem(threads=threads, arbiter=arbiter) as db:
        spaces = [db.default, db.keyspace("b", create=True), db.keyspace("c", create=True)]
        most = 0
        for i in range(60_000):
            space = spaces[0 if i < 20_000 else rng.randrange(3)]  # one alone has it all at first
            if i % 3:
                space.put(key(rng.randrange(KEYS)), rng.randbytes(100))
            else:
                space.get(key(rng.randrange(KEYS)))
            if i % 200 == 0:
                most = max(most, sum(report(db).used.values()))
        assert MB // 4 < most <= 1.15 * 2 * MB


def test_a_memtable_larger_than_its_new_share_is_flushed() -> None:
    with open_mem(arbiter="fixed", memory=16 * MB) as db:
        limit = db.options.write_buffer
        while report(db).used["memtables"] < 0.9 * limit:
            put_some(db, 500)
        other = db.keyspace("other", create=True)
        for i in range(10_000):
            other.put(key(i), bytes(200))
        assert db.default.core.memory() < limit // 2


def test_writes_and_reads_pull_memory_to_their_side() -> None:
    with open_mem() as db:
        put_some(db, 60_000)
        written = report(db)
        assert written.write == MB
        get_some(db, 30_000)
        read = report(db)
        assert read.write == 2 * MB // 16
        assert read.cache > written.cache + MB // 2
        assert read.used["cache"] > 0.9 * read.cache
        put_some(db, 60_000, seed=2)
        assert report(db).write > read.write
        assert report(db).moves > written.moves


def test_gets_of_absent_keys_pull_memory_to_filters() -> None:
    with open_mem(table={"bits_per_key": 3.0}, arbiter_params="least_bits=1") as db:
        put_some(db, 40_000)
        before = report(db).bits_per_key
        get_some(db, 30_000, odd=b"x")
        assert report(db).bits_per_key > before
        put_some(db, 20_000)
        assert db.default.options.table.bits_per_key == report(db).bits_per_key


def test_less_is_read_and_written_than_with_shares_that_stay() -> None:
    def moved(arbiter: str) -> int:
        with open_mem(arbiter=arbiter) as db:
            for phase in range(2):
                put_some(db, 40_000, seed=phase)
                get_some(db, 20_000, seed=phase)
            s = db.stats()
            return s.bytes(cause="compaction", op="read") + s.bytes(cause="compaction", op="write") + s.bytes(cause="get", op="read")

    assert moved("marginal") < 0.85 * moved("fixed")


def test_without_a_cache_the_rest_works() -> None:
    with open_mem(cache={"capacity": 0}) as db:
        put_some(db, 20_000)
        get_some(db, 1000)
        assert report(db).used["cache"] == 0
        assert report(db).cache == 0


class Third(Arbiter):
    """A user's: a third for writes, whatever happens."""

    kind, source = "third", "none"
    seen: ClassVar[list[MemoryView]] = []

    def divide(self, view: MemoryView) -> Split:
        self.seen.append(view)
        return Split(view.total // 3, 8)


def test_an_arbiter_of_a_users_is_asked_and_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lsm.ARBITERS, "third", Third)
    with open_mem(arbiter="third") as db:
        put_some(db, 20_000)
        get_some(db, 2000)
        db.balance()
        assert report(db).write == 2 * MB // 3
        assert db.default.options.write_buffer == 2 * MB // 6
        assert sum(v.since.written for v in Third.seen) <= db.stats().counters["user_bytes"]
        assert sum(v.since.missed for v in Third.seen) == db.stats().bytes(op="read", cause="get", component="data")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "not a Split"),
        (Split(0, 8), "write is 0"),
        (Split(True, 8), "write is True"),
        (Split(2 * MB, 8), "write is 2097152"),
        (Split(MB, 65), "bits_per_key is 65"),
        (Split(MB, float("nan")), "bits_per_key is nan"),
        (Split(MB, "x"), "bits_per_key is 'x'"),  # type: ignore[arg-type]
        (KeyError("k"), "raised KeyError: 'k'"),
    ],
)
def test_a_wrong_arbiter_is_refused_and_the_data_are_whole(answer: Any, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Third):
        def divide(self, view: MemoryView) -> Split:
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[no-any-return]

    monkeypatch.setitem(lsm.ARBITERS, "wrong", Wrong)
    with open_mem(arbiter="wrong") as db:
        before = report(db).write
        with pytest.warns(RuntimeWarning, match=why):
            put_some(db, 20_000)
        assert why in report(db).refused
        assert report(db).write == before
        assert dict(db.scan()) == dict(pairs(20_000))


class Unmade(Arbiter):
    kind, source = "unmade", "a user"

    def __init__(self) -> None:
        raise LookupError("no settings")

    def divide(self, view: MemoryView) -> Split:
        return view.split


@pytest.mark.parametrize("how", [{"threads": 0}, {"threads": 2}, {"threads": 1, "wal": {"sync": "interval"}}], ids=str)
def test_an_arbiter_that_cannot_be_made_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]) -> None:
    """The database stayed half open behind the error, with its lock held and its threads at work."""
    monkeypatch.setitem(lsm.ARBITERS, "unmade", Unmade)
    with lsm.open(tmp_path / "db", **how) as db:
        put_some(db, 500)
    before = set(threading.enumerate())
    with pytest.raises(LookupError, match="no settings"):
        lsm.open(tmp_path / "db", memory=2 * MB, arbiter="unmade", **how)
    assert set(threading.enumerate()) == before
    with lsm.open(tmp_path / "db", memory=2 * MB, **how) as db:
        assert dict(db.scan()) == dict(pairs(500))


def test_a_budget_on_disk_survives_reopening_with_another(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db", memory=2 * MB) as db:
        put_some(db, 20_000)
        content = list(db.scan())
    with lsm.open(tmp_path / "db", memory=MB) as db:
        assert list(db.scan()) == content
        assert report(db).total == MB
    with lsm.open(tmp_path / "db", read_only=True, memory=MB) as db:
        assert list(db.scan()) == content
        assert sum(report(db).used.values()) <= 1.15 * MB
