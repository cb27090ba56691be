"""Snapshots: what is held, what compaction must keep for them, and what it may drop once they are released."""

from __future__ import annotations

import random

import pytest

import lsm
import recovery


def test_held_sequences_are_sorted_and_distinct_and_counted() -> None:
    with lsm.open("/db", fs=recovery.memory(), threads=0) as db:
        db.put(b"a", b"1")
        first, again = db.core.snapshot(), db.core.snapshot()
        db.put(b"a", b"2")
        last = db.core.snapshot()
        assert first == again < last == db.core.visible()
        assert db.core.snapshots() == [first, last]
        db.core.release(first)
        assert db.core.snapshots() == [first, last]  # held once more
        db.core.release(first)
        db.core.release(12345)  # nobody holds it
        assert db.core.snapshots() == [last]
        db.core.release(last)
        assert db.core.snapshots() == []


def test_many_more_than_the_first_room() -> None:
    with lsm.open("/db", fs=recovery.memory(), threads=0) as db:
        held = []
        for i in range(200):
            db.put(b"k", b"%d" % i)
            held.append(db.core.snapshot())
        assert db.core.snapshots() == held
        random.Random(3).shuffle(held)
        while held:
            db.core.release(held.pop())
            assert db.core.snapshots() == sorted(held)


@pytest.mark.parametrize("work", ["none", "seal", "flush", "compact"])
def test_every_snapshot_reads_its_own_state_whatever_runs_meanwhile(work: str) -> None:
    rng = random.Random(5)
    with lsm.open("/db", fs=recovery.memory(), threads=0, write_buffer=4096) as db:
        model: dict[bytes, bytes] = {}
        held = []
        for i in range(300):
            key = b"%02d" % rng.randrange(40)
            what = rng.randrange(10)
            if what < 6:
                model[key] = b"%d" % i
                db.put(key, model[key])
            elif what < 8:
                model.pop(key, None)
                db.delete(key)
            else:
                end = key + b"\xff"
                model = {k: v for k, v in model.items() if not key <= k < end}
                db.delete_range(key, end)
            if i % 40 == 7:
                held.append((db.snapshot(), dict(model)))
            if i % 60 == 30 and work != "none":
                db.spaces["default"].core.seal() if work == "seal" else getattr(db, work)()
        keys = [b"%02d" % i for i in range(40)]
        for snapshot, state in held:
            assert dict(snapshot.scan()) == state
            assert list(snapshot.scan(reverse=True)) == sorted(state.items(), reverse=True)
            assert snapshot.get_many(keys) == [state.get(k) for k in keys] == [snapshot.get(k) for k in keys]
            snapshot.close()
        assert dict(db.scan()) == model


def test_compaction_drops_old_versions_only_when_nobody_holds_them() -> None:
    with lsm.open("/db", fs=recovery.memory(), threads=0) as db:
        db.put(b"k", b"old")
        snapshot = db.snapshot()
        db.put(b"k", b"new")
        db.flush()
        db.compact()
        assert sum(level.entries for level in db.levels()) == 2
        assert snapshot.get(b"k") == b"old"
        snapshot.close()
        db.put(b"z", b"")  # something to merge
        db.flush()
        db.compact()
        assert sum(level.entries for level in db.levels()) == 2
        assert db.get(b"k") == b"new"


@pytest.mark.parametrize("memtable", ["btree", "skiplist", "vector", "hash"])
def test_a_snapshot_over_a_memtable(memtable: str) -> None:
    """One key or many, active memtable or sealed: what was there, whatever came behind."""
    with lsm.open("/db", fs=recovery.memory(), threads=0, memtable=memtable, cache={"capacity": 1 << 14}) as db:
        keys = [b"a", b"b", b"c"]
        db.put_many([(k, b"old") for k in keys])
        with db.snapshot() as before:
            db.put(b"a", b"new")
            db.delete(b"b")
            db.delete_range(b"c", b"d")
            for _ in range(2):
                assert [before.get(k) for k in keys] == before.get_many(keys) == [b"old"] * 3
                assert [before.get_many([k])[0] for k in keys] == [b"old"] * 3
                assert [db.get(k) for k in keys] == db.get_many(keys) == [b"new", None, None]
                db.default.core.seal()
