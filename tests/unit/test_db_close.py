"""What closing, and dying soon after a flush, must leave behind."""

from __future__ import annotations

import threading

import pytest

import lsm
import recovery
from lsm.memtable_python import SortedMemtable
from lsm.memtable_twin import Entry
from lsm.native_memtables import PythonMemtable
from lsm.registry import MEMTABLES


def test_a_clean_close_keeps_the_tables() -> None:
    fs = recovery.memory()
    for _ in range(3):
        with lsm.open("/d", fs=fs, threads=0, write_buffer=1 << 16) as db:
            db.put(b"k", b"v")
            db.flush()
            assert db.get(b"k") == b"v"
    with lsm.open("/d", fs=fs, threads=0, write_buffer=1 << 16) as db:
        assert db.verify() == []
        assert list(db.scan()) == [(b"k", b"v")]


def test_a_closed_database_says_so() -> None:
    """Its tables are freed: looking at them must be an error, not a crash."""
    db = lsm.open("/d", fs=recovery.memory(), threads=0, write_buffer=1 << 16)
    db.put(b"k", b"v")
    db.flush()
    db.close()
    with pytest.raises(lsm.ClosedError):
        db.verify()
    for call in (lambda: db.get(b"k"), lambda: db.put(b"k", b"v"), lambda: list(db.scan()), db.flush, db.snapshot):
        with pytest.raises(lsm.ClosedError):
            call()


@pytest.mark.parametrize("seed", range(12))
def test_logs_that_a_power_loss_brings_back_do_no_harm(seed: int) -> None:
    """Unlinks of old log segments come undone one by one: those that were not needed any more must not be missed."""
    fs = recovery.memory()
    db = lsm.open("/d", fs=fs, threads=0, write_buffer=1 << 16, wal={"sync": "every"})
    other = db.keyspace("other")
    other.put(b"held", b"w")  # keeps every segment from here on
    for i in range(6):
        db.put(b"%d" % i, b"v")
        db.default.flush()
    other.flush()  # now they go, all at once
    expected = dict(db.scan()), dict(other.scan())
    clone = fs.crash_clone("random", seed)
    db.close()
    with lsm.open("/d", fs=clone, threads=0, write_buffer=1 << 16, wal={"sync": "every"}) as found:
        assert (dict(found.scan()), dict(found.keyspace("other").scan())) == expected
        assert found.verify() == []


@pytest.mark.threads
def test_close_waits_for_a_call_that_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up stands in a memtable written in Python while another thread closes the database."""
    inside, closed = threading.Event(), threading.Event()
    closed_meanwhile: list[bool] = []

    class Slow(SortedMemtable):
        def get(self, key: bytes, snapshot: int) -> Entry | None:
            inside.set()
            closed_meanwhile.append(closed.wait(0.5))
            return super().get(key, snapshot)

    def close() -> None:
        inside.wait()
        db.close()
        closed.set()

    ops = PythonMemtable(Slow, "slow")
    monkeypatch.setitem(MEMTABLES, "slow", ops.address)
    db = lsm.open("/db", fs=recovery.memory(), threads=0, memtable="slow")
    db.put(b"k", b"v")
    closer = threading.Thread(target=close)
    closer.start()
    assert db.get(b"k") == b"v"
    closer.join()
    assert closed_meanwhile == [False]
    with pytest.raises(lsm.ClosedError):
        db.get(b"k")
