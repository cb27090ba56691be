"""The write path: batches are checked whole, applied whole, replayed to the same; admission; what ends up in which memtable."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsm
import recovery
from experiments.torture import model as m
from lsm.memtable_python import SortedMemtable
from lsm.memtable_twin import Entry
from lsm.native import SEALED, STALLED
from lsm.native_memtables import PythonMemtable
from lsm.registry import MEMTABLES

KINDS = {"delete": 0, "put": 1, "delete_range": 3}
KEYS = st.integers(0, 12).map(lambda i: b"k%02d" % i)
OPERATION = st.one_of(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=20)),
    st.tuples(st.just("delete"), KEYS, st.just(b"")),
    st.tuples(st.just("delete_range"), KEYS, KEYS).filter(lambda t: t[1] < t[2]),
)
BATCH = st.lists(OPERATION, min_size=1, max_size=10)


def record(seq: int, batch: bytes, kind: int = recovery.DATA) -> bytes:
    """A record of a log, packed as `recovery.read_packed` has it."""
    return struct.pack("<QII", seq, len(batch), kind) + batch


def op(kind: int, key: bytes, value: bytes = b"", space: int = 0) -> bytes:
    return struct.pack("<BIIQ", kind, space, len(key), len(value)) + key + value


def payload(*ops: bytes) -> bytes:
    return struct.pack("<I", len(ops)) + b"".join(ops)


def packed(batch: list[tuple[str, bytes, bytes]]) -> bytes:
    return payload(*(op(KINDS[kind], key, value) for kind, key, value in batch))


@pytest.fixture
def db() -> Any:
    with lsm.open("/db", fs=recovery.memory(), threads=0) as db:
        yield db


GOOD = payload(op(1, b"a", b"1"), op(3, b"b", b"c"), op(0, b"d"))
BAD = {
    "empty": b"",
    "short count": b"\x01\0\0",
    "count too large": struct.pack("<I", 4) + GOOD[4:],
    "count too small": struct.pack("<I", 2) + GOOD[4:],
    "a byte behind": GOOD + b"\0",
    "unknown kind": payload(op(1, b"a", b"1"), op(9, b"a")),
    "merge": payload(op(2, b"a", b"1")),
    "empty range": payload(op(1, b"a", b"1"), op(3, b"b", b"b")),
    "range backwards": payload(op(3, b"c", b"b")),
    "unknown keyspace": payload(op(1, b"a", b"1"), op(1, b"a", b"2", space=77)),
    "key over 64 KiB": payload(op(1, b"a" * 65537)),
    "key length that runs out": struct.pack("<IBIIQ", 1, 1, 0, 5000, 0) + b"abc",
    "value length that wraps": struct.pack("<IBIIQ", 1, 1, 0, 1, 2**64 - 1) + b"abc",
}


@pytest.mark.parametrize("batch", BAD.values(), ids=BAD)
def test_a_batch_that_is_not_well_formed_changes_nothing(db: lsm.DB, batch: bytes) -> None:
    db.put(b"a", b"0")
    before = db.core.sequence(), db.core.log()
    with pytest.raises(lsm.Error):
        db.core.write(batch, False)
    assert (db.core.sequence(), db.core.log()) == before
    assert dict(db.scan()) == {b"a": b"0"}
    assert db.core.why_read_only() is None


def test_every_cut_of_a_good_batch_is_refused(db: lsm.DB) -> None:
    for n in range(len(GOOD)):
        with pytest.raises(lsm.Error):
            db.core.write(GOOD[:n], False)
    assert db.core.sequence() == db.core.visible()
    assert list(db.scan()) == []
    db.core.write(GOOD, False)
    assert dict(db.scan()) == {b"a": b"1"}


@given(batches=st.lists(BATCH, max_size=8), seals=st.integers(0, 255))
def test_the_last_operation_on_a_key_wins_and_replay_comes_to_the_same(batches: list[list[tuple[str, bytes, bytes]]], seals: int) -> None:
    state: m.State = {"default": {}}
    with lsm.open("/a", fs=recovery.memory(), threads=0) as a, lsm.open("/b", fs=recovery.memory(), threads=0) as b:
        for i, batch in enumerate(batches):
            first = a.core.sequence() + 1
            a.core.write(packed(batch), False)
            b.core.replay(record(first, packed(batch)))
            assert a.core.sequence() == a.core.visible() == b.core.visible() == first + len(batch) - 1
            state = m.apply(state, [(kind, "default", key, value) for kind, key, value in batch])
            if seals >> i & 1:
                a.spaces["default"].core.seal()
            for db in (a, b):
                keys = [b"k%02d" % n for n in range(13)]
                assert dict(db.scan()) == state["default"]
                assert db.get_many(keys) == [db.get(k) for k in keys] == [state["default"].get(k) for k in keys]


def test_replay_passes_by_what_is_flushed_and_what_is_dropped(db: lsm.DB) -> None:
    start = db.core.sequence()
    db.spaces["default"].core.replay_floor(start + 2)
    four = payload(op(1, b"a", b"1"), op(1, b"b", b"2"), op(1, b"c", b"3"), op(1, b"d", b"4", space=99))
    db.core.replay(record(start + 1, four))
    assert dict(db.scan()) == {b"c": b"3"}
    assert db.core.sequence() == start + 4


def test_a_replayed_record_that_is_damaged_is_corruption(db: lsm.DB) -> None:
    with pytest.raises(lsm.CorruptionError):
        db.core.replay(record(100, GOOD[:-1]))
    assert list(db.scan()) == []


def test_many_records_are_replayed_at_once_and_what_is_no_data_is_passed_by(db: lsm.DB) -> None:
    pairs = {b"key %05d" % (i * 7919 % 5000): b"%d" % i for i in range(5000)}
    puts = [record(1 + i, payload(op(1, key, value))) for i, (key, value) in enumerate(pairs.items())]
    notes = [record(9, b"12345678", recovery.MARK), record(9, b"a note", recovery.NOTE)]
    twice = record(5001, payload(op(1, b"a", b"1"), op(0, b"key 00000", b"")))
    db.core.replay(b"".join([*notes, *puts[:100], *notes, *puts[100:], twice, record(5003, payload()), *notes]))
    del pairs[b"key 00000"]
    assert dict(db.scan()) == pairs | {b"a": b"1"}
    assert db.core.sequence() == db.core.visible() == 5002


def test_packed_records_that_do_not_add_up_are_corruption(db: lsm.DB) -> None:
    good = record(1, GOOD)
    for n in (*range(1, len(good)), -1):
        with pytest.raises(lsm.CorruptionError, match=r"not add up|not well formed"):
            db.core.replay(good[:n] if n > 0 else good + struct.pack("<QII", 2, 2**32 - 1, recovery.DATA))
    assert db.core.sequence() == 3, "none but the whole one was applied"


def test_a_closed_door_does_nothing_and_opens_again(db: lsm.DB) -> None:
    core = db.spaces["default"].core
    put, _, _, handle = core.hot()
    core.admit(False, 0)
    before = db.core.sequence()
    assert put(handle, b"k", 1, b"v", 1) == STALLED
    assert db.core.write(GOOD, False) == STALLED
    assert db.core.sequence() == before
    core.admit(True, 0)
    assert put(handle, b"k", 1, b"v", 1) == 0
    assert db.get(b"k") == b"v"


@pytest.mark.parametrize("how", ["put", "delete_range"])
def test_a_full_memtable_is_sealed_and_the_log_goes_on_in_a_new_segment(how: str) -> None:
    with lsm.open("/db", fs=recovery.memory(), threads=0, write_buffer=65536) as db:
        log, _ = db.core.log()
        kind = KINDS[how]
        for i in range(4000):
            if db.core.write(payload(op(kind, b"%05d" % i, b"%05d" % (i + 1))), False) == SEALED:
                break
        else:
            raise AssertionError("never sealed")
        core = db.spaces["default"].core
        assert core.sealed_count() == 1
        assert db.core.log()[0] > log
        assert core.log_floor() == log
        mems = core.sealed()
        assert [mem.max_seq for mem in mems] == [db.core.sequence()]
        for mem in mems:
            mem.close()


def test_put_many_is_one_record_and_deletes_without_lengths_of_values(db: lsm.DB) -> None:
    core = db.spaces["default"].core
    lens = struct.pack("3I", 1, 0, 2)
    core.put_many(3, b"abb", lens, b"xyz", struct.pack("3I", 1, 2, 0), False)
    assert list(db.scan()) == [(b"", b"yz"), (b"a", b"x"), (b"bb", b"")]
    sequence, (_, used) = db.core.sequence(), db.core.log()
    core.put_many(3, b"abb", lens, b"", None, False)
    assert list(db.scan()) == []
    assert db.core.sequence() == sequence + 3
    assert db.core.log()[1] - used == 32 + 4 + 3 * 17 + 3


def test_after_close_every_call_says_closed() -> None:
    db = lsm.open("/db", fs=recovery.memory(), threads=0)
    put, delete, _, handle = db.spaces["default"].core.hot()
    core = db.core
    db.close()
    closed = put(handle, b"k", 1, b"v", 1)
    assert closed < 0
    assert closed == delete(handle, b"k", 1)
    with pytest.raises(lsm.ClosedError):
        core.raise_last(closed)
    with pytest.raises(lsm.ClosedError):
        core.write(GOOD, False)
    with pytest.raises(lsm.ClosedError):
        core.sync()


def test_nothing_of_a_batch_is_visible_while_it_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memtable that looks, at each entry that comes, which sequence number readers see."""
    seen: list[tuple[int, int]] = []
    of: list[lsm.DB] = []

    class Looking(SortedMemtable):
        def add(self, entry: Entry) -> None:
            seen.append((entry.seq, of[0].core.visible()))
            super().add(entry)

    ops = PythonMemtable(Looking, "looking")
    monkeypatch.setitem(MEMTABLES, "looking", ops.address)
    with lsm.open("/db", fs=recovery.memory(), threads=0, memtable="looking") as db:
        of.append(db)
        db.put(b"a", b"1")
        batch = lsm.Batch()
        for i in range(5):
            batch.put(b"%d" % i, b"2")
        db.write(batch)
        db.put_many([(b"x", b"3"), (b"y", b"3")])
        assert db.core.visible() == 8
        of.clear()
    assert seen == [(1, 0), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 6), (8, 6)]


@pytest.mark.parametrize("how", ["put", "batch"])
def test_a_write_that_was_logged_and_not_applied_makes_it_read_only(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memtable refuses one entry. The log has it, so the next open shows it: until then nothing may be written that leans on it."""
    failing: list[bytes] = []

    class Full(SortedMemtable):
        def add(self, entry: Entry) -> None:
            if entry.key in failing:
                raise MemoryError
            super().add(entry)

    ops = PythonMemtable(Full, "full")
    monkeypatch.setitem(MEMTABLES, "full", ops.address)
    fs = recovery.memory()
    with lsm.open("/db", fs=fs, threads=0, memtable="full") as db:
        db.put(b"a", b"1")
        failing.append(b"c")
        batch = lsm.Batch()
        batch.put(b"b", b"2")
        batch.put(b"c", b"3")
        with pytest.raises(MemoryError):
            db.put(b"c", b"3") if how == "put" else db.write(batch)
        failing.clear()
        assert "out of memory" in (db.core.why_read_only() or "")
        with pytest.raises(lsm.ReadOnlyError):
            db.put(b"d", b"4")
        assert dict(db.scan()) == {b"a": b"1"}
        assert db.get(b"b") is None and db.get_many([b"a", b"b", b"c"]) == [b"1", None, None]
    with lsm.open("/db", fs=fs, threads=0) as after:
        assert dict(after.scan()) == {b"a": b"1", b"c": b"3"} | ({b"b": b"2"} if how == "batch" else {})
