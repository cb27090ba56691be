"""R-trees against programs that others wrote: shapely's STRtree, SQLite's R*Tree, scipy's cKDTree; and against a plain scan."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from indexes.rtree import WITHIN, RTree, Tree, build, open_segment

N = 3000


def _inserted(rows: np.ndarray, boxes: np.ndarray) -> RTree:
    tree = RTree(boxes.shape[1] // 2)
    for row, box in zip(rows.tolist(), boxes.tolist(), strict=True):
        tree.insert(row, box)
    return tree


def _thinned(rows: np.ndarray, boxes: np.ndarray) -> RTree:
    """Twice as many, of which every second is taken away again."""
    tree = _inserted(np.concatenate([rows, rows + N]), np.concatenate([boxes, boxes[::-1]]))
    for row in rows.tolist():
        assert tree.delete(row + N) == 1
    tree.audit()
    return tree


MAKERS: dict[str, Callable[[np.ndarray, np.ndarray], Tree]] = {
    "segment": lambda rows, boxes: open_segment(build(rows, boxes)),
    "bulk": RTree.bulk,
    "inserted": _inserted,
    "thinned": _thinned,
}


def _data(shape: str, dims: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    if shape == "clusters":
        corner = rng.random((20, dims))[rng.integers(0, 20, N)] + rng.normal(0, 0.004, (N, dims))
    else:
        corner = rng.random((N, dims))
    corner = np.round(corner, 3).astype(np.float32).astype(float)  # many ties, and numbers that SQLite's floats hold exactly
    size = 0.001 + rng.random((N, dims)).round(2) * 0.03 if shape == "boxes" else np.zeros((N, dims))
    boxes = np.concatenate([corner, (corner + size).astype(np.float32).astype(float)], axis=1)
    centres = rng.random((30, dims))
    windows = np.concatenate([centres - rng.random((30, 1)) * 0.2, centres + rng.random((30, 1)) * 0.2], axis=1)
    return rng.permutation(N).astype(np.uint64), boxes, windows.astype(np.float32).astype(float)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("shape", ["points", "clusters", "boxes"])
def test_index_rtree_2d_against_shapely(maker: str, shape: str) -> None:
    import shapely

    rows, boxes, windows = _data(shape, 2)
    tree = MAKERS[maker](rows, boxes)
    peer = shapely.STRtree(shapely.box(*boxes.T))
    offsets, found = tree.windows(windows)
    for i, window in enumerate(windows):
        expected = np.sort(rows[peer.query(shapely.box(*window))])
        assert tree.window(window).tolist() == expected.tolist()
        assert found[offsets[i] : offsets[i + 1]].tolist() == expected.tolist()
        assert tree.count(window) == len(expected)
        assert tree.within(window).tolist() == np.sort(rows[peer.query(shapely.box(*window), predicate="covers")]).tolist()
        point = shapely.Point(*window[:2])
        assert tree.radius(tuple(window[:2]), 0.1).tolist() == np.sort(rows[peer.query(point, predicate="dwithin", distance=0.1)]).tolist()


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("shape", ["clusters", "boxes"])
def test_index_rtree_against_sqlite(maker: str, dims: int, shape: str) -> None:
    rows, boxes, windows = _data(shape, dims)
    tree = MAKERS[maker](rows, boxes)
    db = sqlite3.connect(":memory:")
    axes = ["x", "y", "z"][:dims]
    db.execute(f"CREATE VIRTUAL TABLE t USING rtree(id, {', '.join(f'{a}0, {a}1' for a in axes)})")
    pairs = [c for a in range(dims) for c in (a, dims + a)]
    db.executemany(
        f"INSERT INTO t VALUES ({', '.join('?' * (2 * dims + 1))})",
        ((row, *box) for row, box in zip(rows.tolist(), boxes[:, pairs].tolist(), strict=True)),
    )
    meets = " AND ".join(f"{a}0 <= ? AND {a}1 >= ?" for a in axes)
    inside = " AND ".join(f"{a}1 <= ? AND {a}0 >= ?" for a in axes)
    around = " AND ".join(f"{a}0 <= ? AND {a}1 >= ?" for a in axes)
    for window in windows.tolist():
        ends = [x for a in range(dims) for x in (window[dims + a], window[a])]
        spot = [x for a in range(dims) for x in (window[a], window[a])]
        ask = lambda where, numbers: sorted(row for (row,) in db.execute(f"SELECT id FROM t WHERE {where}", numbers))  # noqa: E731
        assert tree.window(window).tolist() == ask(meets, ends)
        assert tree.within(window).tolist() == ask(inside, ends)
        assert tree.containing(window[:dims]).tolist() == ask(around, spot)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("dims", [2, 3])
def test_index_rtree_nearest_against_scipy(maker: str, dims: int) -> None:
    from scipy import spatial

    rows, boxes, windows = _data("clusters", dims)
    tree, peer = MAKERS[maker](rows, boxes), spatial.cKDTree(boxes[:, :dims])
    where = dict(zip(rows.tolist(), boxes[:, :dims], strict=True))
    for k in (1, 10, 200):
        offsets, many, apart = tree.nearest_many(windows[:, :dims], k)
        for i, centre in enumerate(windows[:, :dims]):
            expected, _ = peer.query(centre, k=k)
            near, distances = tree.nearest(centre, k)
            assert distances == pytest.approx(np.atleast_1d(expected), rel=1e-12)
            assert [np.linalg.norm(where[row] - centre) for row in near.tolist()] == pytest.approx(distances, rel=1e-12)
            assert len(set(near.tolist())) == k
            assert (many[offsets[i] : offsets[i + 1]] == near).all() and (apart[offsets[i] : offsets[i + 1]] == distances).all()
    for centre in windows[:, :dims]:
        near, distances = tree.nearest(centre, N, max_distance=0.07)
        assert sorted(near.tolist()) == sorted(rows[peer.query_ball_point(centre, 0.07)].tolist())
        assert (np.diff(distances) >= 0).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_index_rtree_nearest_boxes_against_a_scan(dims: int) -> None:
    rows, boxes, windows = _data("boxes", dims)
    trees = [make(rows, boxes) for make in MAKERS.values()]
    hide = np.sort(rows[::3])
    shown = ~np.isin(rows, hide)
    for window in windows:
        gaps = np.maximum(np.maximum(boxes[:, :dims] - window[dims:], window[:dims] - boxes[:, dims:]), 0)
        squares = gaps[:, 0] ** 2 + gaps[:, 1] ** 2
        if dims == 3:
            squares += gaps[:, 2] ** 2
        order = np.lexsort((rows, squares))
        expected = rows[order[shown[order]][:15]].tolist()
        for tree in trees:
            assert tree.nearest(window, 15, hide=hide)[0].tolist() == expected
            assert tree.nearest(window, 15)[0].tolist() == rows[order[:15]].tolist()


@pytest.mark.parametrize("distance", [0.0, 0.02])
def test_index_rtree_join_against_shapely(distance: float) -> None:
    import shapely

    rows, boxes, _ = _data("boxes", 2)
    others, small, _ = _data("points", 2, seed=6)
    others, small = others[:700], small[:700]
    peer = shapely.STRtree(shapely.box(*boxes.T))
    how = {"predicate": "dwithin", "distance": distance} if distance else {}
    right, left = peer.query(shapely.points(small[:, :2]), **how)
    expected = sorted(zip(rows[left].tolist(), others[right].tolist(), strict=True))
    for make in MAKERS.values():
        a, b = make(rows, boxes), RTree.bulk(others, small)
        assert list(zip(*(x.tolist() for x in a.join(b, distance)), strict=True)) == expected
        assert sorted(zip(*(x.tolist() for x in reversed(b.join(a, distance))), strict=True)) == expected


def test_index_rtree_join_of_a_tree_with_itself_against_a_scan() -> None:
    rows, boxes, _ = _data("boxes", 3)
    tree = RTree.bulk(rows, boxes)
    meet = ((boxes[:, None, :3] <= boxes[None, :, 3:]) & (boxes[:, None, 3:] >= boxes[None, :, :3])).all(2)
    left, right = (rows[i] for i in np.nonzero(meet))
    order = np.lexsort((right, left))
    got = tree.join(tree)
    assert (got[0] == left[order]).all() and (got[1] == right[order]).all()


def test_index_rtree_within_in_batches_is_what_single_calls_give() -> None:
    rows, boxes, windows = _data("boxes", 2)
    tree = open_segment(build(rows, boxes))
    offsets, found = tree.windows(windows, what=WITHIN)
    assert [found[a:b].tolist() for a, b in pairwise(offsets)] == [tree.within(w).tolist() for w in windows]
