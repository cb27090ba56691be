"""Bit-sliced components against their readable twin and numpy."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes import bitsliced
from indexes.rowset import RowSet
from indexes.twins import bitsliced as twin

INTS = st.one_of(st.integers(-5, 300), st.sampled_from([-(2**63), 2**63 - 1, 0, -1]), st.integers(-(2**63), 2**63 - 1))
FLOATS = st.one_of(st.floats(allow_nan=False), st.integers(-50, 50).map(lambda v: v / 4), st.sampled_from([0.0, -0.0, math.inf, -math.inf]))
ROWS = st.one_of(st.integers(0, 300), st.integers(0, 2**18), st.integers(0, 2**64 - 1))


def _column(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[int, float]]:
    return st.dictionaries(ROWS, values, max_size=60)


def _runs(pair: tuple[int, int]) -> dict[int, float]:
    return {i * (1 + pair[1] % 3): i // max(1, pair[1]) - 40 for i in range(pair[0])}


COLUMNS = st.one_of(
    _column(INTS).map(lambda c: (c, np.int64)),
    _column(FLOATS).map(lambda c: (c, np.float64)),
    st.tuples(st.integers(300, 6000), st.integers(1, 90)).map(lambda p: (_runs(p), np.int64)),
)


def _build(column: dict[int, float], dtype: type) -> bytes:
    return bitsliced.build(np.array(list(column.values()), dtype), np.array(list(column), np.uint64))


def _number(value: float, dtype: type) -> int:
    if dtype is np.int64:
        return int(value) + 2**63
    (bits,) = struct.unpack("<Q", struct.pack("<d", value + 0.0))
    return bits ^ (2**64 - 1 if bits >> 63 else 2**63)


@settings(max_examples=80, deadline=None)
@given(COLUMNS)
def test_bytes_equal_the_twins(made: tuple[dict[int, float], type]) -> None:
    column, dtype = made
    data = _build(column, dtype)
    assert data == twin.build([(row, _number(v, dtype)) for row, v in column.items()], int(dtype is np.float64))
    view = bitsliced.open(data)
    view.verify()
    assert len(view) == len(column) and set(view.not_null()) == set(column)
    got = {r: v for b in view.entries() for r, v in zip(b.rows.tolist(), b.values.tolist(), strict=True)}
    assert got == column and list(got) == sorted(column)


@settings(max_examples=120, deadline=None)
@given(COLUMNS, st.none() | INTS | FLOATS, st.none() | INTS | FLOATS, st.booleans(), st.booleans(), st.integers(0, 5))
def test_ranges(
    made: tuple[dict[int, float], type], low: float | None, high: float | None, after: bool, including: bool, step: int
) -> None:
    """Bounds of either type compare exactly, as Python's numbers do."""
    column, dtype = made
    view, memory = bitsliced.open(_build(column, dtype)), bitsliced.BitSlicedMemory(np.dtype(dtype).name)
    for row, value in column.items():
        memory.insert(value, row)
    want = {
        row
        for row, v in column.items()
        if (low is None or (v > low if after else v >= low)) and (high is None or (v <= high if including else v < high))
    }
    how = {"after_low": after, "with_high": including}
    assert set(view.range(low, high, **how)) == want == set(memory.range(low, high, **how))
    among = RowSet(list(column)[:: step + 1])
    assert view.count(low, high, **how, among=among) == len(want & set(among)) and view.count(low, high, **how) == len(want)


@settings(max_examples=80, deadline=None)
@given(COLUMNS, st.integers(0, 70), st.integers(0, 4), st.floats(0, 1))
def test_aggregates(made: tuple[dict[int, float], type], k: int, step: int, q: float) -> None:
    column, dtype = made
    view = bitsliced.open(_build(column, dtype))
    for among in (None, RowSet(list(column)[:: step + 1])):
        left = {row: v for row, v in column.items() if among is None or row in among}
        if dtype is np.int64:
            assert view.sum(among) == sum(int(v) for v in left.values())
        elif all(abs(v) < 1e15 for v in left.values()):
            assert math.isclose(view.sum(among), math.fsum(left.values()), abs_tol=1e-3)
        for largest in (True, False):
            best = sorted(left.items(), key=lambda e: (-e[1] if largest else e[1], e[0]))[:k]
            got = view.top(k, largest=largest, among=among)
            assert list(zip(got.rows.tolist(), got.values.tolist(), strict=True)) == best
        ordered = sorted(left.values())
        assert view.min(among) == (ordered[0] if ordered else None) and view.max(among) == (ordered[-1] if ordered else None)
        assert view.quantile(q, among) == (ordered[max(1, math.ceil(q * len(ordered))) - 1] if ordered else None)
        assert (view.mean(among) is None) == (not left)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 500), st.integers(0, 1000), max_size=40), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 9)
)
def test_algorithms_of_the_twin(values: dict[int, int], low: int, high: int, k: int) -> None:
    """The native answers are those of the papers' algorithms on bitmaps."""
    slices, view = twin.Slices(values), bitsliced.open(_build(values, np.int64))
    top = (1 << slices.bits) - 1
    if low <= top and low <= high:
        assert set(view.range(low, high, with_high=True)) == {r for r in values if slices.between(low, min(high, top)) >> r & 1}
    assert view.sum() == slices.sum(slices.exists)
    best = slices.top(k, slices.exists)
    assert all(best >> r & 1 for r in view.top(k).rows.tolist()) and best.bit_count() >= min(k, len(values))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(_column(INTS), st.none() | st.lists(ROWS, max_size=8)), max_size=4))
def test_merge(parts: list[tuple[dict[int, int], list[int] | None]]) -> None:
    views = [bitsliced.open(_build(column, np.int64)) for column, _ in parts]
    left: dict[int, int] = {}
    for column, hide in parts:
        for row, value in column.items():
            if row not in (hide or ()):
                left.setdefault(row, value)
    hides = [None if h is None else np.array(sorted(set(h)), np.uint64) for _, h in parts]
    assert bitsliced.merge(views, hides) == _build(left, np.int64)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20), INTS), max_size=50))
def test_memory_follows_a_dict(steps: list[tuple[bool, int, int]]) -> None:
    memory, model = bitsliced.BitSlicedMemory(), {}
    for is_insert, row, value in steps:
        if is_insert:
            memory.insert(value, row)
            model[row] = value
        else:
            assert memory.delete_row(row) == (row in model)
            model.pop(row, None)
    assert len(memory) == len(model) and set(memory.not_null()) == set(model)
    assert memory.to_segment() == _build(model, np.int64)
    assert memory.segment_view().sum() == sum(model.values())


@pytest.mark.parametrize("shape", ["uniform", "sorted", "few", "float"])
def test_larger_columns(shape: str) -> None:
    rng = np.random.default_rng(11)
    values = rng.integers(0, 3 if shape == "few" else 5000, 150_000)
    if shape == "sorted":
        values.sort()
    values = values / 8 if shape == "float" else values
    rows = np.sort(rng.choice(400_000, len(values), replace=False))
    view = bitsliced.open(bitsliced.build(values, rows))
    view.verify()
    low, high = np.quantile(values, [0.2, 0.6])
    inside = (values >= low) & (values < high)
    assert view.range(float(low), float(high)).rows().tolist() == rows[inside].tolist()
    among = RowSet(rows[::7])
    assert view.sum(among) == values[::7].sum() and view.quantile(0.3, among) == np.sort(values[::7])[math.ceil(0.3 * len(values[::7])) - 1]
    best = np.lexsort((rows, -values))[:500]
    assert view.top(500).rows.tolist() == rows[best].tolist()
    found_values, found = view.values_at(np.concatenate([rows[::1000], [399_999_999]]))
    assert found.tolist() == [True] * 150 + [False] and found_values[:-1].tolist() == values[::1000].tolist()


@pytest.mark.parametrize(
    ("values", "rows", "message"),
    [
        ([1.0, math.nan], [1, 2], "value 1 is NaN"),
        ([1, 2], [3], "2 values and 1 row"),
        ([1, 2], [7, 7], "row 7 has two values"),
        (np.array([2**63], np.uint64), [1], "allowed: int64 or float64"),
        (["x"], [1], "allowed: int64 or float64"),
        ([[1]], [1], "allowed: int64 or float64"),
    ],
)
def test_no_columns(values: object, rows: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bitsliced.build(values, rows)


def test_no_queries() -> None:
    view, memory = bitsliced.open(bitsliced.build([1, 2], [1, 2])), bitsliced.BitSlicedMemory()
    for call in (lambda: view.quantile(1.5), lambda: view.top(-1), lambda: bitsliced.BitSlicedMemory("text")):
        with pytest.raises(ValueError, match="allowed"):
            call()
    assert not view.range(math.nan, None) and len(view.range(-math.inf, math.inf)) == 2
    for value, row in ((2**63, 1), (math.nan, 1), (1, -1), (1, 2**64)):
        with pytest.raises(ValueError, match="allowed"):
            memory.insert(value, row)
        assert len(memory) == 0 and not memory.not_null() and memory.to_segment() == _build({}, np.int64)
    with pytest.raises(ValueError, match="one kind"):
        bitsliced.merge([view, bitsliced.open(bitsliced.build([0.5], [1]))])


@pytest.mark.parametrize(
    "column",
    [{1: 5, 9: -3, 70_000: 2**62}, {i: i % 5 for i in range(70)}, {i: i // 9 for i in range(65_530, 65_560)}, {}, {5: 0}],
)
def test_hostile_bytes(column: dict[int, int]) -> None:
    """Cut or flipped, a segment is refused or answers something; it never reads outside, and verify finds all of it."""
    good = _build(column, np.int64)
    for n in range(len(good)):
        with pytest.raises(ValueError, match="wrong magic, version or lengths"):
            bitsliced.open(good[:n])
    for i in range(len(good)):
        for bit in (0, 2, 5, 7):
            bad = bytearray(good)
            bad[i] ^= 1 << bit
            try:
                view = bitsliced.open(bytes(bad))
            except ValueError:
                continue
            view.range(0, 3)
            view.sum(RowSet([1, 2]))
            view.top(3)
            view.quantile(0.5)
            view.values_at([1, 9, 70_000])
            list(view.entries())
            bitsliced.merge([view], [np.array([1], np.uint64)])
            with pytest.raises(ValueError, match="malformed"):
                view.verify()
