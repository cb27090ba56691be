"""Writers, readers, builds, flushes and merges of one table at once: every moment agrees with itself, and the end with the model."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

import lsm
import recovery
from lsm.secondary import building, col

WRITERS, EACH, ROUNDS = 3, 60, 60


@pytest.mark.threads
@pytest.mark.parametrize("text", [False, True], ids=["int", "text"])
def test_everything_at_once(text: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: PLR0915
    monkeypatch.setattr(building, "STRETCH", 25)
    db = lsm.open("/db", fs=recovery.memory(), threads=2, write_buffer=8192, compaction={"l0_trigger": 2, "output_bytes": 8192})
    t = db.table("t", key="k")
    name: Callable[[int], Any] = (lambda i: f"k{i}") if text else (lambda i: i)
    t.put_many([{"k": name(i), "pair": i // 2, "a": 0, "s": "x"} for i in range(WRITERS * EACH)])
    t.create_index("a", "a")
    t.create_index("pair", "pair", kind="hash")
    models: list[dict[Any, dict[str, Any]]] = [{} for _ in range(WRITERS)]
    ended, failures = threading.Event(), list[str]()

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as e:
                failures.append(f"{work!r}: {type(e).__name__}: {e}")
                ended.set()

        return threading.Thread(target=run)

    def write(w: int) -> None:
        """Both rows of a pair always change in one batch, to values that add up to nothing."""
        rng, mine = random.Random(w), models[w]
        mine.update({name(i): {"k": name(i), "pair": i // 2, "a": 0, "s": "x"} for i in range(w * EACH, w * EACH + EACH)})
        for _ in range(ROUNDS):
            i, v = w * EACH + 2 * rng.randrange(EACH // 2), rng.randrange(1, 1000)
            if rng.random() < 0.2:
                t.delete_many([name(i), name(i + 1)])
                mine.pop(name(i), None), mine.pop(name(i + 1), None)
                continue
            rows = [{"k": name(j), "pair": i // 2, "a": a, "s": "y" * (v % 9)} for j, a in ((i, v), (i + 1, -v))]
            t.put_many(rows)
            mine.update({r["k"]: r for r in rows})

    def read(seed: int) -> None:
        rng = random.Random(seed)
        while not ended.is_set():
            with t.moment() as m:
                p = rng.randrange(WRITERS * EACH // 2)
                pair = t.find(col("pair") == p, at=m)
                assert len(pair) in (0, 2), pair
                assert sum(r["a"] for r in pair) == 0, pair
                above, below = t.find(col("a") > 0, at=m), t.count(col("a") < 0, at=m)
                assert len(above) == below
                assert all(r["a"] > 0 for r in above)
                some = t.find(col("a") != 0, columns=["a"], at=m)
                assert (len(some), sum(r["a"] for r in some)) == (2 * below, 0)
                assert t.count(col("s") == "x", at=m) + t.count(col("s") != "x", at=m) == t.count(at=m)

    def make() -> None:
        n = 0
        while not ended.is_set():
            n += 1
            t.create_index(f"s{n}", "s", kind=("ordered", "hash", "bitmap")[n % 3])
            t.rename_index(f"s{n}", f"t{n}")
            t.create_index(f"u{n}", "a", unique=False, include=["s"])
            t.drop_index(f"t{n}")
            t.drop_index(f"u{n}")

    def tidy() -> None:
        while not ended.is_set():
            t.flush()
            t.space.compact()
            assert t.scrub() == []

    others = [guarded(w) for w in (lambda: read(1), lambda: read(2), make, tidy)]
    writers = [guarded(lambda w=w: write(w)) for w in range(WRITERS)]  # type: ignore[misc]
    for thread in others + writers:
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    for thread in others:
        thread.join()
    assert failures == []
    expected = {k: r for mine in models for k, r in mine.items()}
    assert {r["k"]: r for r in t} == expected
    assert t.scrub() == []
    db.close()


@pytest.mark.threads
def test_a_unique_index_made_among_writers_has_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "STRETCH", 20)
    db = lsm.open("/db", fs=recovery.memory(), threads=1, write_buffer=16384)
    t = db.table("t")
    t.put_many([{"id": i, "a": i} for i in range(200)])
    barrier = threading.Barrier(4)
    for n in range(6):
        barrier.reset()

        def write(w: int, n: int = n) -> None:
            rng = random.Random(n * 10 + w)
            barrier.wait()
            for _ in range(40):
                try:
                    t.put({"id": 1000 + w * 1000 + rng.randrange(50), "a": rng.randrange(400)})
                except lsm.secondary.UniqueViolation:
                    continue

        threads = [threading.Thread(target=write, args=(w,)) for w in range(3)]
        for thread in threads:
            thread.start()
        barrier.wait()
        try:
            t.create_index("one", "a", unique=True)
        except lsm.secondary.UniqueViolation:
            assert t.indexes() == []
        for thread in threads:
            thread.join()
        if t.indexes():
            values = [r["a"] for r in t]
            assert len(set(values)) == len(values)
            assert t.scrub() == []
            t.drop_index("one")
        t.delete_many([r["id"] for r in t if r["id"] >= 1000])
    db.close()


@pytest.mark.threads
def test_a_table_opened_by_many_threads_is_one_and_indexes_of_one_name_too() -> None:
    db = lsm.open("/db", fs=recovery.memory(), threads=1, write_buffer=1 << 20)
    barrier, tables, refused = threading.Barrier(6), list[Any](), list[str]()

    def work(i: int) -> None:
        barrier.wait()
        tables.append(db.table("t"))
        tables[-1].put({"id": i, f"c{i}": i})
        for name in ("same", f"own{i}"):
            try:
                tables[-1].create_index(name, "id")
            except ValueError as e:
                refused.append(str(e))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(t) for t in tables}) == 1
    assert refused == ["there is an index 'same' already"] * 5
    assert len({x.id for x in tables[0].riding.indexes.values()}) == 7
    assert tables[0].scrub() == []
    assert sorted(r["id"] for r in tables[0]) == list(range(6))
    db.close()


@pytest.mark.threads
def test_an_index_dropped_while_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "STRETCH", 5)
    fs = recovery.memory()
    db = lsm.open("/db", fs=fs, threads=0, write_buffer=1 << 20)
    t = db.table("t")
    t.put_many([{"id": i, "a": i} for i in range(20)])
    for at in (5, 20):
        with pytest.raises(lsm.BusyError, match="index 'x' was dropped while it was made"):
            t.create_index("x", "a", progress=lambda done, at=at: t.drop_index("x") if done == at else None)
        assert t.indexes() == []
        assert t.riding.runs.components == () or all(c.main for c in t.riding.runs.components)
        assert {f for f in fs.listdir("/db") if f.endswith(".idx")} == {f"{n:06d}.idx" for n in db.state.attached_files()}
    db.close()
