"""Row sets against pyroaring (whose portable bytes they share) and against their readable twin."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from indexes.rowset import RowSet, RowSetBuilder
from indexes.twins import rowset as twin


def _lists(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 1 << 20, 3000)


def _bitmaps(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 1 << 18, 60_000)


def _runs(rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([np.arange(a, a + n) for a, n in zip(rng.integers(0, 1 << 18, 50), rng.integers(1, 3000, 50), strict=True)])


def _full(rng: np.random.Generator) -> np.ndarray:
    return np.arange(int(rng.integers(3)) << 16, 200_000)


def _wide(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2**64 - 1, 500, dtype=np.uint64)


def _pairs(rng: np.random.Generator) -> np.ndarray:
    return np.arange(0, 1 << 17, 2) + int(rng.integers(2))  # as many runs as can be


SHAPES: list[Callable[[np.random.Generator], np.ndarray]] = [_lists, _bitmaps, _runs, _full, _wide, _pairs]


def _both(rows: np.ndarray) -> tuple[RowSet, BitMap64]:
    return RowSet(rows.astype(np.uint64)), BitMap64(rows.tolist())


def _equal(ours: RowSet, theirs: BitMap64) -> bool:
    return len(ours) == len(theirs) and BitMap64.deserialize(ours.to_bytes()) == theirs and ours.rows().tolist() == list(theirs)


@pytest.mark.parametrize("a", SHAPES)
@pytest.mark.parametrize("b", SHAPES)
def test_every_pair_of_forms(a: Callable[..., np.ndarray], b: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng([SHAPES.index(a), SHAPES.index(b)])
    (x, px), (y, py) = _both(a(rng)), _both(b(rng))
    assert _equal(x & y, px & py)
    assert _equal(x | y, px | py)
    assert _equal(x ^ y, px ^ py)
    assert _equal(x - y, px - py)
    assert RowSet.and_count(x, y) == px.intersection_cardinality(py)
    assert RowSet.or_count(x, y) == px.union_cardinality(py)
    assert (x <= y, x < (x | y), x <= x | y, (x & y) <= y) == (px.issubset(py), not py.issubset(px), True, True)
    assert x.isdisjoint(y) == (len(px & py) == 0)
    assert (x == y) == (px == py) and x == RowSet.from_bytes(x.to_bytes())
    assert (x | y) - y == x - y, "a result in another form equals one that was stored"


@pytest.mark.parametrize("seed", range(8))
def test_many_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = [_both(SHAPES[int(rng.integers(len(SHAPES)))](rng)) for _ in range(int(rng.integers(3, 7)))]
    sets, theirs = [s for s, _ in made], [t for _, t in made]
    both, any_of = theirs[0].copy(), theirs[0].copy()
    for t in theirs[1:]:
        both &= t
        any_of |= t
    assert _equal(RowSet.intersection(*sets), both) and RowSet.and_count(*sets) == len(both)
    assert _equal(RowSet.union(*sets), any_of) and RowSet.or_count(*sets) == len(any_of)


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_are_pyroarings(shape: Callable[..., np.ndarray]) -> None:
    ours, theirs = _both(shape(np.random.default_rng(5)))
    assert ours.to_bytes() == theirs.serialize()
    assert RowSet.from_bytes(theirs.serialize()) == ours
    assert pickle.loads(pickle.dumps(ours)) == ours and hash(pickle.loads(pickle.dumps(ours))) == hash(ours)


@pytest.mark.parametrize("shape", SHAPES)
def test_rank_select_contains(shape: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(9)
    ours, theirs = _both(shape(rng))
    asked = np.concatenate([rng.integers(0, 1 << 20, 100).astype(np.uint64), ours.rows()[::37], [np.uint64(2**64 - 1)]]).astype(np.uint64)
    assert ours.rank_many(asked).tolist() == [theirs.rank(int(q)) for q in asked] == [ours.rank(int(q)) for q in asked]
    assert ours.contains_many(asked).tolist() == [int(q) in theirs for q in asked] == [int(q) in ours for q in asked]
    assert [ours.select(i) for i in range(0, len(ours), 97)] == [theirs[i] for i in range(0, len(theirs), 97)]
    assert ours.select(-1) == theirs.max() == max(ours.rows(skip=len(ours) - 1))
    assert ours.rows(limit=10, skip=len(ours) // 2).tolist() == list(theirs)[len(ours) // 2 :][:10]
    with pytest.raises(IndexError):
        ours.select(len(ours))


ROWS = st.lists(
    st.one_of(st.integers(0, 300), st.integers(65_500, 65_600), st.integers(0, 2**64 - 1), st.integers(2**32 - 5, 2**32 + 5)), max_size=60
)
SPANS = st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 9000)), max_size=4)


@settings(max_examples=60, deadline=None)
@given(ROWS, SPANS)
def test_bytes_equal_the_twins(rows: list[int], spans: list[tuple[int, int]]) -> None:
    every = {*rows, *(x for a, n in spans for x in range(a, a + n))}
    ours = RowSet(every)
    assert ours.to_bytes() == twin.stored(every)
    assert twin.read(ours.to_bytes()) == every == set(ours)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "range", "cut", "many"]), st.integers(0, 140_000), st.integers(0, 6000)), max_size=30
    )
)
def test_builder_follows_a_set(steps: list[tuple[str, int, int]]) -> None:
    builder, model = RowSetBuilder(), set()
    for what, a, n in steps:
        span = set(range(a, a + n))
        if what == "add":
            assert builder.add(a) == (a not in model)
            model.add(a)
        elif what == "remove":
            assert builder.remove(a) == (a in model)
            model.discard(a)
        elif what == "range":
            builder.add_range(a, a + n)
            model |= span | {a + n}
        elif what == "cut":
            builder.difference_update(RowSet(span))
            model -= span
        else:
            builder.add_many(np.array(sorted(span)[::3], np.uint64))
            model |= set(sorted(span)[::3])
        assert len(builder) == len(model) and (a in builder) == (a in model)
    assert builder.freeze().to_bytes() == twin.stored(model)


def test_builder_with_rows_far_apart() -> None:
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 2**64 - 1, 5000, dtype=np.uint64)
    builder = RowSetBuilder()
    builder.add_many(rows)
    builder.remove_many(rows[::2])
    assert builder.freeze() == RowSet(rows[1::2]) - RowSet(rows[::2])
    builder.remove_many(rows)
    assert len(builder) == 0 and not builder.freeze()


def test_ranges() -> None:
    assert RowSet.range(5, 4) == RowSet() and RowSet.range(7, 7).rows().tolist() == [7]
    top = RowSet.range(2**64 - 70_000, 2**64 - 1)
    assert len(top) == 70_000 and top.select(-1) == 2**64 - 1 and top.forms["run"] == 2
    for first, last in ((-1, 5), (0, 2**64), (0, 2**41)):
        with pytest.raises(ValueError, match="allowed"):
            RowSet.range(first, last)


@pytest.mark.parametrize("rows", [[-1], [2**64], [1.5], np.array([-3]), np.array([0.5]), np.zeros((2, 2), np.uint64)])
def test_no_row_ids(rows: object) -> None:
    with pytest.raises(ValueError, match="allowed"):
        RowSet(rows)


def _damaged(good: bytes) -> list[bytes]:
    cut = [good[:n] for n in range(len(good))]
    flipped = [good[:i] + bytes([good[i] ^ 1 << bit]) + good[i + 1 :] for i in range(len(good)) for bit in (0, 3, 7)]
    return [*cut, *flipped, good + b"\0"]


@pytest.mark.parametrize(
    "rows", [{1, 2, 3, 70_000, 2**40}, set(range(10, 50)) | {65_536, 65_538}, set(), {x << 16 for x in range(6)} | set(range(100))]
)
def test_hostile_bytes(rows: set[int]) -> None:
    """What is refused raises; what is taken is a sound set, of which every operation and the bytes agree with pyroaring's reading."""
    for bad in _damaged(RowSet(rows).to_bytes()):
        try:
            got = RowSet.from_bytes(bad)
        except ValueError:
            continue
        values = got.rows()
        assert len(values) == len(got) and bool((values[1:] > values[:-1]).all())
        assert twin.stored(values.tolist()) == got.to_bytes()
        assert (got & RowSet(rows)).rows().tolist() == sorted(set(values.tolist()) & rows)


def test_hostile_bitmap_and_run_content() -> None:
    rows = set(range(0, 20_000, 2))  # one bitmap container
    good = bytearray(RowSet(rows).to_bytes())
    good[-1] ^= 1
    with pytest.raises(ValueError, match="malformed at offset"):
        RowSet.from_bytes(bytes(good))  # the cardinality no longer agrees
    with pytest.raises(ValueError, match="malformed"):
        RowSet.from_bytes(b"\xff" * 8 + bytes(64))  # 2**64 parts


def test_opened_in_place_keeps_its_buffer() -> None:
    data = bytearray(3) + bytearray(RowSet(range(0, 300_000, 3)).to_bytes())
    opened = RowSet.from_bytes(memoryview(data)[3:])  # at an odd address
    del data
    assert opened == RowSet(range(0, 300_000, 3)) and opened.memory < 1000


@pytest.mark.parametrize("shape", SHAPES)
def test_expanded_is_the_same_set(shape: Callable[..., np.ndarray]) -> None:
    ours, theirs = _both(shape(np.random.default_rng(8)))
    wide = ours.expanded(1)
    assert wide == ours and wide.to_bytes() == ours.to_bytes() and _equal(wide, theirs) and wide.forms["list"] == 0
    other = RowSet(range(0, 1 << 18, 5))
    assert (wide & other, wide | other, wide ^ other, wide - other) == (ours & other, ours | other, ours ^ other, ours - other)
    with pytest.raises(ValueError, match="allowed: 1 to 65536"):
        ours.expanded(0)
