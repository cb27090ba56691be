"""Scans as chunks and as Arrow: the same pairs as a plain scan, whatever their lengths, in order and in reverse."""

from __future__ import annotations

import random
from typing import Any

import pytest

import lsm
import recovery

RNG = random.Random(5)
PAIRS = {b"k%d" % RNG.randrange(10**9) + RNG.randbytes(RNG.randrange(4)): RNG.randbytes(RNG.choice([0, 1, 100, 3000])) for _ in range(700)}
PAIRS |= {b"": b"the empty key", b"long": b"x" * 300_000, b"nothing": b""}


@pytest.fixture(scope="module")
def db() -> Any:
    with lsm.open("/db", fs=recovery.memory(), threads=0, write_buffer=200_000) as db:
        for key, value in PAIRS.items():
            db.put(key, value)
        db.put(b"gone", b"1")
        db.delete(b"gone")
        yield db


def of(batches: Any) -> list[tuple[bytes, bytes]]:
    return [(r["key"], r["value"]) for batch in batches for r in batch.to_pylist()]


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("how", [{}, {"reverse": True}, {"prefix": b"k1"}, {"start": b"k3", "stop": b"k6"}, {"start": b"z"}])
def test_chunks_and_record_batches_are_the_pairs_of_a_scan(db: lsm.DB, how: dict[str, Any], size: int) -> None:
    pytest.importorskip("pyarrow")
    pairs = list(db.scan(**how))
    assert [p for chunk in db.scan_chunks(chunk=size, **how) for p in chunk.pairs()] == pairs
    batches = list(db.scan_arrow(chunk=size, **how))
    assert of(batches) == pairs
    assert all(1 <= b.num_rows <= size for b in batches)


def test_record_batches_are_valid_and_outlive_the_scan(db: lsm.DB) -> None:
    pa = pytest.importorskip("pyarrow")
    batches = list(db.scan_arrow(chunk=64))
    for batch in batches:
        batch.validate(full=True)
        assert batch.schema == pa.schema([("key", pa.large_binary()), ("value", pa.large_binary())])
    assert of(batches) == sorted(PAIRS.items())


def test_a_scan_as_arrow_is_of_one_moment(db: lsm.DB) -> None:
    pytest.importorskip("pyarrow")
    with db.snapshot() as then:
        db.put(b"zz later", b"1")
        assert of(db.scan_arrow(snapshot=then)) == sorted(PAIRS.items())
    db.delete(b"zz later")


@pytest.mark.parametrize("chunk", [0, -1, 1.5, "7", None])
def test_a_size_that_is_none_is_refused(db: lsm.DB, chunk: Any) -> None:
    for scan in (db.scan_chunks, db.scan_arrow):
        with pytest.raises(ValueError, match=r"chunk is .*; allowed: an integer of 1 and more"):
            scan(chunk=chunk)


def test_an_empty_database_has_no_batches() -> None:
    pytest.importorskip("pyarrow")
    with lsm.open("/empty", fs=recovery.memory(), threads=0) as db:
        assert list(db.scan_arrow()) == [] and list(db.scan_chunks()) == []


@pytest.mark.parametrize("how", [{}, {"chunk": 1 << 20}])
def test_batches_of_long_values_stay_small(how: dict[str, Any]) -> None:
    """A chunk of the usual number of pairs, all as long as these, would be of 64 GiB."""
    pytest.importorskip("pyarrow")
    with lsm.open("/long", fs=recovery.memory(), threads=0) as db:
        pairs = [(b"%02d" % i, bytes([i]) * (1 << 20)) for i in range(24)] + [(b"x", b"y" * (20 << 20))]
        db.put_many(pairs)
        batches = list(db.scan_arrow(**how))
        assert of(batches) == pairs
        assert len(batches) > 1 or how
