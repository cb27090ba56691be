"""`range`: the list of a scan's pairs in one call."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lsm
import recovery


def filled(n: int, **options: object) -> lsm.DB:
    db = lsm.open("/d", fs=recovery.memory(), threads=0, write_buffer=4096, **options)
    for i in range(n):
        db.put(b"%05d" % i, b"v%d" % i * (1 + i % 7))
    return db


@given(st.integers(0, 150), st.integers(-5, 155), st.integers(-5, 155), st.one_of(st.none(), st.integers(0, 500)))
@settings(max_examples=20, deadline=None)
def test_a_range_is_the_list_of_a_scan(n: int, start: int, stop: int, limit: int | None) -> None:
    with filled(n) as db:
        db.delete_range(b"00050", b"00060")
        bounds = (b"%05d" % max(0, start), b"%05d" % max(0, stop))
        assert db.range(*bounds, limit=limit) == list(db.scan(*bounds, limit=limit))
        assert db.range(bounds[0], limit=limit) == list(db.scan(bounds[0], limit=limit))
        assert db.range(limit=limit) == list(db.scan(limit=limit))


def test_everything_that_a_scan_takes() -> None:
    with filled(100) as db, db.snapshot() as moment:
        db.put(b"00010", b"new")
        for how in ({"reverse": True, "limit": 3}, {"prefix": b"0001"}, {"snapshot": moment, "limit": 20}, {"start": b"00090"}):
            assert db.range(**how) == list(db.scan(**how))
        assert db.range(bytearray(b"00010"), memoryview(b"00012")) == list(db.scan(b"00010", b"00012"))
        assert db.keyspace("other").range() == []


def test_values_larger_than_the_first_room() -> None:
    with filled(0) as db:
        pairs = [(b"%d" % i, bytes([i]) * 40_000 * i) for i in range(8)]
        db.put_many(pairs)
        assert db.range() == pairs
        assert db.range(limit=5) == pairs[:5]


@pytest.mark.parametrize("limit", [-1, "3", 2.5, 1 << 70])
def test_a_limit_that_is_none_is_refused(limit: object) -> None:
    with filled(3) as db:
        if limit == 1 << 70:
            assert len(db.range(limit=limit)) == 3
        else:
            with pytest.raises((ValueError, TypeError)):
                db.range(limit=limit)


@pytest.mark.parametrize("bad", [("a",), (b"a", 3), (b"a", b"b", 5)])
def test_bounds_that_are_no_bytes_are_refused(bad: tuple[object, ...]) -> None:
    with filled(3) as db, pytest.raises(TypeError):
        db.range(*bad)


def test_damage_is_raised_and_no_end() -> None:
    fs = recovery.memory()
    with lsm.open("/d", fs=fs, threads=0, cache={"capacity": 0}) as db:
        db.put_many([(b"%05d" % i, b"v" * 100) for i in range(1000)])
        db.flush()
        (table,) = [f"/d/{name}" for name in fs.listdir("/d") if name.endswith(".sst")]
        with fs.open(table, "r+") as f:
            f.pwrite(b"\xff\xff\xff", 40_000)
        with pytest.raises(lsm.CorruptionError, match=r"\.sst"):
            db.range()
        assert len(db.range(limit=10)) == 10


def test_after_close_it_says_closed() -> None:
    db = filled(3)
    db.close()
    with pytest.raises(lsm.ClosedError):
        db.range()
