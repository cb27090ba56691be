"""The packed R-tree against its readable twin: the same bytes, the same answers; and both kinds of tree against each other."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.rtree import RTree, Tree, build, open_segment
from indexes.twins import RTreeTwin
from indexes.twins.rtree import hilbert

SMALL = st.integers(-4, 4).map(float)
ANY = st.floats(allow_nan=False)
ROWS = st.integers(0, 40) | st.integers(0, 2**64 - 1)


def box_of(numbers: list[float]) -> tuple[float, ...]:
    dims = len(numbers) // 2
    pairs = [sorted((numbers[a], numbers[dims + a])) for a in range(dims)]
    return tuple(low for low, _ in pairs) + tuple(high for _, high in pairs)


def boxes(dims: int, number: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, ...]]:
    points = st.lists(number, min_size=dims, max_size=dims).map(lambda p: (*p, *p))
    return points | st.lists(number, min_size=2 * dims, max_size=2 * dims).map(box_of)


def cases(number: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[int, list[tuple[int, tuple[float, ...]]], tuple[float, ...]]]:
    return st.sampled_from([2, 3]).flatmap(
        lambda dims: st.tuples(st.just(dims), st.lists(st.tuples(ROWS, boxes(dims, number)), max_size=90), boxes(dims, number))
    )


def segment(entries: list[tuple[int, tuple[float, ...]]], dims: int) -> bytes:
    rows = np.array([row for row, _ in entries], np.uint64)
    return build(rows, np.array([box for _, box in entries]).reshape(-1, 2 * dims))


def grown(entries: list[tuple[int, tuple[float, ...]]], dims: int) -> RTree:
    tree = RTree(dims)
    for row, box in entries:
        tree.insert(row, box)
    tree.audit()
    return tree


def as_bits(numbers: np.ndarray) -> list[bytes]:
    return [struct.pack("<d", x) for x in numbers.tolist()]


def compare(tree: Tree, twin: RTreeTwin, box: tuple[float, ...]) -> None:
    assert tree.window(box).tolist() == twin.window(box)
    assert tree.within(box).tolist() == twin.within(box)
    assert tree.containing(box).tolist() == twin.containing(box)
    assert tree.count(box) == len(twin.window(box))
    offsets, rows = tree.windows([box, box])
    assert rows.tolist() == twin.window(box) * 2 and offsets.tolist() == [0, len(rows) // 2, len(rows)]
    assert sorted({row for part in tree.walk(box, 7) for row in part.tolist()}) == twin.window(box)
    if not all(map(math.isfinite, box)):
        return
    for radius in (0.0, 2.5, math.inf):
        assert tree.radius(box, radius).tolist() == twin.radius(box, radius)
    for k, most in ((1, math.inf), (5, 3.0), (200, math.inf)):
        near, distances = tree.nearest(box, k, most)
        expected = twin.nearest(box, k, most)
        assert near.tolist() == [row for row, _ in expected]
        assert as_bits(distances) == as_bits(np.array([d for _, d in expected], float))


@given(case=cases(SMALL) | cases(ANY))
@example(case=(2, [(i, (0.0, 0.0, 0.0, 0.0)) for i in range(40)], (0.0, 0.0, 1.0, 1.0)))
@example(case=(2, [(0, (-1.7e308, -1.7e308, 1.7e308, 1.7e308))] * 17, (0.0, 0.0, 0.0, 0.0)))
@example(case=(3, [(i, (1e9 * (i == 7), i * 5e-324, 0.0) * 2) for i in range(60)], (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)))
def test_index_rtree_bytes_and_answers_are_the_twins(case: tuple[int, list[tuple[int, tuple[float, ...]]], tuple[float, ...]]) -> None:
    dims, entries, box = case
    twin, data = RTreeTwin(entries, dims), segment(entries, dims)
    assert data == twin.to_bytes()
    view, tree = open_segment(data), grown(entries, dims)
    compare(view, twin, box)
    compare(tree, twin, box)
    compare(open_segment(tree.freeze()), twin, box)


@pytest.mark.parametrize("dims", [2, 3])
def test_index_rtree_of_three_levels_is_the_twin(dims: int) -> None:
    rng = np.random.default_rng(dims)
    corner = rng.normal(size=(5000, dims))
    entries = [
        (int(row), tuple(low) + tuple(low + size))
        for row, low, size in zip(rng.permutation(5000) * 2**33, corner, rng.random((5000, dims)) * 0.1, strict=True)
    ]
    twin, data = RTreeTwin(entries, dims), segment(entries, dims)
    assert data == twin.to_bytes()
    bulk = RTree.bulk(*open_segment(data).entries())
    bulk.audit()
    for box in ((-0.5,) * dims + (0.5,) * dims, (0.1,) * 2 * dims, (-9.0,) * dims + (9.0,) * dims):
        for tree in (open_segment(data), bulk):
            compare(tree, twin, box)


@pytest.mark.parametrize(("dims", "bits"), [(2, 4), (3, 2)])
def test_index_rtree_hilbert_curve_is_one(dims: int, bits: int) -> None:
    side = 1 << bits
    cells = [tuple(i // side**a % side for a in range(dims)) for i in range(side**dims)]
    by_distance = sorted(cells, key=lambda cell: hilbert(cell, bits))
    assert sorted(hilbert(cell, bits) for cell in cells) == list(range(len(cells)))
    assert all(sum(abs(x - y) for x, y in zip(a, b, strict=True)) == 1 for a, b in pairwise(by_distance))
