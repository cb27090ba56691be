"""Sizes and programs at the boundary of C that no segment can have; curves whose lines are far off."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pytest
from indexes._native import ffi, lib

import indexes
from indexes import bitsliced, rtree, text
from indexes.learned import PGM
from indexes.native_text import Program


def test_more_keys_than_a_pgm_can_have() -> None:
    """What a caller says of its array is looked at before it is."""
    assert lib.idx_pgm_build(ffi.new("uint64_t[1]"), 2**63, 4) == ffi.NULL


@pytest.mark.parametrize("epsilon", [1, 30, 1000, 2**20])
def test_curves(epsilon: int) -> None:
    """Convex, concave, steep, flat and of two halves: the hulls of what a line passes grow long."""
    n = np.arange(4000, dtype=np.uint64)
    for values in (
        n**2,
        n**3,
        np.cumsum(n[::-1] + np.uint64(1)),
        n * np.uint64(2**50),
        np.concatenate([n, n * np.uint64(2**49) + np.uint64(4000)]),
        n[:2] * np.uint64(2**63),
    ):
        keys = np.sort(values)
        built = PGM.build(keys, epsilon)
        asked = np.concatenate([keys[::7], keys[::11] + np.uint64(1), np.array([0, 2**64 - 1], np.uint64)])
        assert built.search_many(asked).tolist() == np.searchsorted(keys, asked).tolist()


def test_more_segments_than_a_query_takes() -> None:
    view = text.open(text.build([1], ["one"]))
    with pytest.raises(ValueError):
        text.TextSearcher([view] * 65_536).match("one")
    assert text.TextSearcher([view]).match("one").tolist() == [1]


WORD = (lib.IDX_NODE_TERM, b"one", 0, 0, 0, 0, 1.0)
BAD = {
    "nothing": [],
    "no boost": [(*WORD[:6], 0.0)],
    "a boost that is none": [(*WORD[:6], float("nan"))],
    "an unknown kind": [(99, *WORD[1:])],
    "two trees": [WORD, WORD],
    "more children than there are": [WORD, (lib.IDX_NODE_AND, b"", 0, 0, 2, 0, 1.0)],
}


@pytest.mark.parametrize("name", BAD)
def test_programs_that_are_none(name: str) -> None:
    searcher = text.TextSearcher([text.open(text.build([1], ["one"]))])
    for ask in (searcher._native.match, lambda program, _: searcher._native.df(program)):
        with pytest.raises((ValueError, IndexError)):
            ask(Program(BAD[name]), None)


@pytest.mark.parametrize("kind", indexes.SEARCHES)
@pytest.mark.parametrize(
    "keys",
    [
        [],
        [b""],
        [b"abc"],
        [b"abc", b"abcd"],
        [b"abc"] * 9,
        [b"", b"a"],
        [b"ab" * 40, b"ab" * 41],
        [b"x" * 20 + bytes([i]) for i in range(90)],
    ],
)
def test_keys_that_begin_alike(kind: str, keys: list[bytes]) -> None:
    asked = [b"", b"a", b"abc", b"abcd", b"abce", b"ab" * 40, b"x" * 20, b"x" * 20 + b"\x07", b"zz"]
    assert indexes.search_ops(kind).open(keys).find_many(asked).tolist() == [bisect_left(keys, key) for key in asked]


def test_infinite_and_mixed_boxes() -> None:
    inf = float("inf")
    corners = np.random.default_rng(1).random((60, 2))
    boxes = np.concatenate([corners, corners], axis=1)
    boxes[3], boxes[4], boxes[5] = (-inf, -inf, inf, inf), (0, -inf, 0, inf), (inf, inf, inf, inf)
    packed, grown = rtree.open_segment(rtree.build(np.arange(60), boxes)), rtree.RTree()
    for row in [*range(6, 21), 3, *range(21, 60), 4, 5]:  # a box into a full leaf of points
        grown.insert(row, boxes[row].tolist())
    for tree in (packed, grown):
        assert {3, 4, 5} <= set(tree.window((-inf, -inf, inf, inf)).tolist()) and tree.window((inf, inf)).tolist() == [3, 5]
        for centre in ((0, 0, inf, 1), (-inf, 0, 1, 1), (0, inf), (inf, 0)):
            with pytest.raises(ValueError, match="a distance needs finite numbers"):
                tree.nearest(centre, 2)
    assert grown.audit() is None


def test_slices_of_nothing_and_ranges_that_are_none() -> None:
    for view in (
        bitsliced.open(bitsliced.build(np.empty(0, np.int64), [])),
        bitsliced.open(bitsliced.build(np.arange(50), np.arange(50) * 3000)),
    ):
        assert len(view.range(10, 5)) == 0 and view.count(10, 5) == 0
        assert len(view.range(100, None)) == 0 and len(view.range(None, -1)) == 0 and view.count(100, 200) == 0
        assert len(view.top(5).rows) == min(5, len(view.not_null()))
