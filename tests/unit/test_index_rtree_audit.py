"""The audit of a growing R-tree names what is wrong: pages, items and counts are changed behind its back. And trees of many pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI
from indexes._native import ffi as native_ffi
from indexes._native import lib

import indexes
from indexes import native_rtree, rtree
from tests.harness.policy_structs import Damage

NONE = 0xFFFFFFFF


def _declared() -> FFI:
    """The structs of a tree, as rtree_node.h has them."""
    text = (Path(indexes.__file__).parent / "csrc" / "rtree_node.h").read_text()
    found = FFI()
    found.cdef("typedef struct { uint64_t words[7]; } pthread_rwlock_t; typedef struct idx_rtree idx_rtree;")
    found.cdef("\n".join(re.findall(r"^enum \{.*?\};", text, re.M)))
    found.cdef("\n".join(re.findall(r"^typedef struct rt_\w+ \{.*?^\} \w+;", text, re.S | re.M)))
    found.cdef(re.findall(r"^struct idx_rtree \{.*?^\};", text, re.S | re.M)[0])
    return found


FIELDS = _declared()


def columns_of(page: Any) -> Any:
    return FIELDS.cast("uint8_t *", FIELDS.addressof(page)) + FIELDS.offsetof("rt_page", "columns")


class Inside:
    """What a tree keeps: itself, its pages and items."""

    def __init__(self, tree: rtree.RTree) -> None:
        self.tree = FIELDS.cast("idx_rtree *", int(native_ffi.cast("uintptr_t", tree._tree)))[0]
        self.growth = self.tree.growth[0]
        self.root = self.page(self.tree.root)
        self.leaf_at = self.tree.root
        while self.page(self.leaf_at).level:
            self.leaf_at = self.page(self.leaf_at).kids[0]
        self.leaf = self.page(self.leaf_at)
        self.first = FIELDS.cast("uint32_t *", columns_of(self.leaf) + 2 * self.tree.dims * 128)[0]  # items are behind the columns
        self.item = self.growth.items[self.first]

    def page(self, at: int) -> Any:
        chunk = self.growth.chunks[at >> 11]
        return FIELDS.cast("rt_page *", chunk + (at & 2047) * self.growth.stride)[0]

    def place(self) -> int:
        """Of the leaf's first row in the table."""
        return next(i for i in range(1 << self.growth.table_bits) if self.growth.table[i] == self.first)


def grown(repeated: bool = False) -> rtree.RTree:
    tree = rtree.RTree()
    points = np.random.default_rng(4).random((300, 2))
    for row, point in enumerate(points.tolist()):
        tree.insert(row % 100 if repeated else row, point)
    return tree


def _box(t: Inside, damage: Damage) -> None:
    lo = FIELDS.cast("double *", columns_of(t.root))
    damage.put(lo, 0, lo[0] - 1)


def _end_of_row(t: Inside, damage: Damage) -> None:
    damage.put(t.growth.items[t.growth.table[next(i for i in range(1 << 8) if t.growth.table[i] != NONE)]], "next", NONE)


Breaks = Callable[[Inside, Damage], None]
COUNTS, LEADS = "the counts of entries, rows and repeats are wrong", "a row does not lead to its item"
ITEM, PARENT = "an item does not know its leaf or row", "a page does not know its parent"
ROWS: list[tuple[str, Breaks]] = [
    ("a page has no entry", lambda t, d: d.put(t.leaf, "count", 0)),
    ("a page has no entry, or more than 15", lambda t, d: d.put(t.root, "count", 16)),
    ("the height is not the root's level", lambda t, d: d.add(t.tree, "height", 1)),
    (ITEM, lambda t, d: d.add(t.item, "page", 1)),
    (ITEM, lambda t, d: d.add(t.item, "row", 1000)),
    (LEADS, lambda t, d: d.put(t.growth.table, t.place(), NONE)),
    (PARENT, lambda t, d: d.add(t.page(t.root.kids[0]), "parent", 1)),
    (PARENT, lambda t, d: d.add(t.page(t.root.kids[0]), "level", 1)),
    ("the box over a page is not the page's box", _box),
    (COUNTS, lambda t, d: d.add(t.tree, "count", 1)),
    (COUNTS, lambda t, d: d.add(t.growth, "table_used", 1)),
    (COUNTS, lambda t, d: d.add(t.growth, "repeats", 1)),
]


@pytest.mark.parametrize(("told", "breaks"), ROWS)
def test_what_is_broken_is_told(told: str, breaks: Breaks) -> None:
    tree = grown()
    assert tree.audit() is None
    damage = Damage()
    breaks(Inside(tree), damage)
    with pytest.raises(AssertionError, match=told):
        tree.audit()
    damage.undo()
    assert tree.audit() is None and len(tree.window((0, 0, 1, 1))) == 300


def test_entries_of_a_row_that_are_lost_are_told() -> None:
    tree = grown(repeated=True)
    assert tree.audit() is None and len(tree.window((0, 0, 1, 1))) == 100
    damage = Damage()
    _end_of_row(Inside(tree), damage)
    with pytest.raises(AssertionError, match=LEADS):
        tree.audit()
    damage.undo()
    assert tree.audit() is None


def test_an_update_to_what_is_no_box_changes_nothing() -> None:
    tree = grown()
    for box in ((float("nan"), 0.5), (0.9, 0.9, 0.1, 0.1)):
        with pytest.raises(ValueError, match="allowed"):
            tree.update(5, box)
    assert 5 in tree and len(tree) == 300 and tree.audit() is None


def test_a_tree_of_many_pages() -> None:
    """Half a million points take more chunks of pages than there was first room for."""
    n = 500_000
    points = np.random.default_rng(2).random((n, 2))
    tree = rtree.RTree()
    empty = tree.nbytes
    tree.insert_many(np.arange(n), points)
    assert tree.nbytes > empty + n * 16 and Inside(tree).growth.cap_chunks > 16
    box = (0.25, 0.25, 0.5, 0.75)
    inside = (points[:, 0] >= 0.25) & (points[:, 0] <= 0.5) & (points[:, 1] >= 0.25) & (points[:, 1] <= 0.75)
    assert np.array_equal(tree.window(box), np.flatnonzero(inside)) and tree.count(box) == inside.sum()
    assert tree.audit() is None
    rows, distances = tree.nearest((0.5, 0.5), 2000)
    apart = np.hypot(points[:, 0] - 0.5, points[:, 1] - 0.5)
    assert np.array_equal(rows, np.argsort(apart, kind="stable")[:2000]) and np.allclose(distances, apart[rows])


def test_more_entries_than_there_can_be() -> None:
    """What a caller of the C functions says of its arrays is looked at before they are."""
    tree = grown()
    one, numbers = native_ffi.new("uint64_t[1]"), native_ffi.new("double[4]")
    assert lib.idx_rtree_insert_many(tree._tree, one, numbers, (1 << 30) + 1) == lib.IDX_RTREE_FULL
    assert tree.audit() is None and len(tree) == 300
    with pytest.raises(OverflowError, match="at most 2"):
        native_rtree._fail(lib.IDX_RTREE_FULL, "here")


def test_trees_of_all_heights_joined() -> None:
    """A leaf against a taller tree, either way round, near and touching."""
    rng = np.random.default_rng(5)
    trees = [(rtree.open_segment(rtree.build(np.arange(n), p)), p) for n in (0, 5, 40, 900) for p in [rng.random((n, 2))]]
    for left, a in trees:
        for right, b in trees:
            for distance in (0.0, 0.05):
                got = sorted(zip(*(side.tolist() for side in left.join(right, distance)), strict=True))
                near = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1]) <= distance
                assert got == [(int(i), int(j)) for i, j in np.argwhere(near)], (len(a), len(b), distance)


def test_what_cannot_be_read_ends_an_insert_of_many() -> None:
    """Python looks at boxes before; C looks at them too, and what came before the bad one is in."""
    tree = grown()
    rows, numbers = (
        native_ffi.new("uint64_t[]", [1000, 1001, 1002]),
        native_ffi.new("double[]", [0, 0, 1, 1, 0.5, 0.5, float("nan"), 1, 0, 0, 1, 1]),
    )
    assert lib.idx_rtree_insert_many(tree._tree, rows, numbers, 3) == lib.IDX_RTREE_NAN
    assert 1000 in tree and 1001 not in tree and 1002 not in tree and tree.audit() is None


def test_a_gather_with_too_little_room() -> None:
    """As when the tree grew since its size was asked for: nothing is written past the room."""
    tree = grown()
    part = native_ffi.new("idx_rtree_part[1]", [(tree._tree, native_ffi.NULL, 0)])
    rows, boxes = native_ffi.new("uint64_t[1]", [7]), native_ffi.new("double[4]")
    assert lib.idx_rtree_gather(part, 1, rows, boxes, 1) == lib.IDX_RTREE_CHANGED and rows[0] == 7
    with pytest.raises(RuntimeError, match="the tree changed meanwhile"):
        native_rtree._fail(lib.IDX_RTREE_CHANGED, "entries")


@pytest.mark.parametrize("columns", [1, 2, 3, 700])
@pytest.mark.parametrize("dims", [2, 3])
def test_points_that_stand_in_columns(columns: int, dims: int) -> None:
    """Many equal coordinates on an axis: packed, grown and split they answer as they should."""
    rng = np.random.default_rng(columns)
    points = np.stack([rng.integers(0, columns, 1500) * 1.0, *(rng.random(1500) for _ in range(dims - 1))], axis=1)
    tree = rtree.RTree(dims)
    for row, point in enumerate(points[:600].tolist()):
        tree.insert(row, [*point, *(x + row % 2 * 0.01 for x in point)])
    packed = rtree.open_segment(rtree.build(np.arange(1500), points))
    low, high = [0.0, *[0.2] * (dims - 1)], [columns / 2, *[0.7] * (dims - 1)]
    inside = np.all((points >= low) & (points <= high), axis=1)
    assert np.array_equal(packed.window((*low, *high)), np.flatnonzero(inside))
    grown_inside = np.all((points[:600] <= high) & (points[:600] + (np.arange(600) % 2 * 0.01)[:, None] >= low), axis=1)
    assert np.array_equal(tree.window((*low, *high)), np.flatnonzero(grown_inside)) and tree.audit() is None
    tree.delete_many(np.arange(0, 600, 3))
    grown_inside[::3] = False
    assert np.array_equal(tree.window((*low, *high)), np.flatnonzero(grown_inside)) and tree.audit() is None


def test_answers_of_every_length() -> None:
    """Short and long, sorted and not, with and without rows that repeat."""
    for n in (0, 1, 47, 49, 255, 257, 900, 5000):
        for repeated in (1, 3):
            rows = np.random.default_rng(n).permutation(n).astype(np.uint64) // np.uint64(repeated) * np.uint64(1 + n % 7 * 2**20)
            tree = rtree.open_segment(rtree.build(rows, np.zeros((n, 2))))
            assert np.array_equal(tree.window((0, 0, 0, 0)), np.unique(rows)), (n, repeated)
            assert tree.count((0, 0, 0, 0)) == len(np.unique(rows))
            near, apart = tree.nearest((0, 0), n + 1)
            assert np.array_equal(near, np.unique(rows)) and not apart.any()
