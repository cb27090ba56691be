"""Bitmap components against their readable twin, with pyroaring and plain Python sets as the oracles of answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from indexes import bitmap
from indexes.rowset import RowSet
from indexes.twins import bitmap as twin

VALUES = st.sampled_from([b"", b"a", b"ab", b"b", b"c\0", b"c"])
ROWS = st.one_of(st.integers(0, 200), st.integers(0, 2**20), st.integers(0, 2**64 - 1))
SPANS = st.tuples(st.integers(0, 9), st.integers(1, 3000), st.integers(1, 90)).map(
    lambda p: [(b"v%d" % (i % p[0] if p[0] else 0), i * p[2]) for i in range(p[1])]
)
ENTRIES = st.one_of(st.lists(st.tuples(VALUES, ROWS), max_size=40), SPANS)


def _columns(entries: list[tuple[bytes, int]]) -> tuple[list[bytes], list[int]]:
    return [value for value, _ in entries], [row for _, row in entries]


@settings(max_examples=60, deadline=None)
@given(ENTRIES, VALUES, VALUES, st.booleans(), st.booleans())
def test_bytes_and_answers(entries: list[tuple[bytes, int]], low: bytes, high: bytes, after: bool, including: bool) -> None:
    segment = bitmap.build(*_columns(entries))
    assert segment == twin.build(entries)
    view, memory = bitmap.open(segment), bitmap.BitmapMemory()
    view.verify()
    memory.insert_many(*_columns(entries))
    assert memory.to_segment() == segment
    rows_of = {value: {row for v, row in entries if v == value} for value, _ in entries}
    assert dict(view.histogram()) == {value: len(rows) for value, rows in rows_of.items()}
    for part in (view, memory):
        assert len(part) == len(set(entries))
        for value in [*rows_of, b"none"]:
            assert set(part.equal(value)) == rows_of.get(value, set()) and part.count(value) == len(rows_of.get(value, ()))
        assert set(part.not_null()) == {row for _, row in entries}
        assert set(part.isin([low, high, b"none"])) == rows_of.get(low, set()) | rows_of.get(high, set())
        inside = [v for v in rows_of if (v > low if after else v >= low) and (v <= high if including else v < high)]
        assert set(part.range(low, high, after_low=after, with_high=including)) == set().union(*(rows_of[v] for v in inside))
        assert [e for b in part.entries(9) for e in zip(b.keys.tolist(), b.rows.tolist(), strict=True)] == sorted(set(entries))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(ENTRIES, st.none() | st.lists(ROWS, max_size=10)), max_size=4))
def test_merge(parts: list[tuple[list[tuple[bytes, int]], list[int] | None]]) -> None:
    views = [bitmap.open(bitmap.build(*_columns(entries))) for entries, _ in parts]
    hide = [None if h is None else np.array(sorted(set(h)), np.uint64) for _, h in parts]
    left = [e for entries, h in parts for e in entries if e[1] not in set(h or ())]
    assert bitmap.merge(views, hide) == twin.build(left)
    if views:
        with pytest.raises(ValueError, match="allowed: as many"):
            bitmap.merge(views, [None] * (len(views) + 1))


@pytest.mark.parametrize("cardinality", [3, 40, 3000])
def test_larger_columns_against_pyroaring(cardinality: int) -> None:
    rng = np.random.default_rng(cardinality)
    column = rng.integers(0, cardinality, 200_000)
    view = bitmap.open(bitmap.build(column.astype(">u4").view("V4"), np.arange(len(column))))
    theirs = [BitMap64(np.flatnonzero(column == v)) for v in range(3)]
    ours = [view.equal(v.to_bytes(4, "big")) for v in range(3)]
    assert [s.to_bytes() for s in ours] == [t.serialize() for t in theirs]
    assert view.isin(v.to_bytes(4, "big") for v in range(3)).rows().tolist() == list(theirs[0] | theirs[1] | theirs[2])
    assert view.not_null() == RowSet.range(0, len(column) - 1)
    part = view.range((1).to_bytes(4, "big"), (cardinality // 2).to_bytes(4, "big"), after_low=True)
    assert part.rows().tolist() == np.flatnonzero((column > 1) & (column < cardinality // 2)).tolist()


def test_sets_outlive_their_view() -> None:
    rows = bitmap.open(bytearray(bitmap.build([b"x"] * 30_000, range(0, 60_000, 2)))).equal(b"x")
    assert rows == RowSet(range(0, 60_000, 2))


def _use(data: bytes, asked: list[bytes]) -> None:
    view = bitmap.open(data)
    for value in asked:
        view.equal(value)
    view.isin(asked)
    view.not_null()
    for _ in view.entries():
        pass
    bitmap.merge([view], [np.array([1], np.uint64)])


@pytest.mark.parametrize(
    "entries",
    [
        [(b"a", 1), (b"a", 70_000), (b"bc", 5), (b"d", 2**63)],
        [(b"v%d" % (i % 3), i * 1000) for i in range(30)],
        [(b"v%d" % (i // 20), i) for i in range(60)],
        [],
    ],
)
def test_hostile_bytes(entries: list[tuple[bytes, int]]) -> None:
    """Cut or flipped, a segment is refused or answers something; it never reads outside, and verify finds all of it."""
    good = bitmap.build(*_columns(entries))
    asked = [value for value, _ in entries] + [b"", b"zz"]
    for n in range(len(good)):
        with pytest.raises(ValueError, match="wrong magic, version or lengths"):
            bitmap.open(good[:n])
    for i in range(len(good)):
        for bit in (0, 2, 5, 7):
            bad = bytearray(good)
            bad[i] ^= 1 << bit
            try:
                _use(bytes(bad), asked)
            except ValueError:
                continue
            with pytest.raises(ValueError, match="malformed"):
                bitmap.open(bytes(bad)).verify()
