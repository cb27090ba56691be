"""R-trees for people and for the framework: what they take, give and refuse."""

from __future__ import annotations

import mmap
import threading
from pathlib import Path

import numpy as np
import pytest

from indexes.rtree import DamagedSegment, RTree, Stack, build, merge, open_segment

INF = float("inf")
NAN = float("nan")


def test_index_rtree_can_take_the_place_of_the_rtree_package() -> None:
    from rtree import index as peer

    rng = np.random.default_rng(3)
    ours, theirs = RTree(), peer.Index()
    boxes = {}
    for step in range(1500):
        row = int(rng.integers(0, 300))
        if row in boxes and rng.random() < 0.5:
            assert ours.delete(row, boxes[row]) == 1
            theirs.delete(row, boxes.pop(row))
        elif row not in boxes:
            x, y, w, h = rng.random(4).tolist()
            boxes[row] = (x, y, x + w / 9, y + h / 9)
            ours.insert(row, boxes[row])
            theirs.insert(row, boxes[row])
        if step % 25 == 0:
            x, y = rng.random(2).tolist()
            window = (x, y, x + 0.2, y + 0.2)
            assert ours.window(window).tolist() == sorted(theirs.intersection(window))
            assert ours.within(window).tolist() == sorted(theirs.contains(window))
            assert set(ours.nearest((x, y), 5)[0].tolist()) <= set(theirs.nearest((x, y, x, y), 5))
            assert len(ours) == len(boxes) and dict(iter(ours)) == boxes
    ours.audit()


def test_index_rtree_of_nothing_answers_with_nothing() -> None:
    for tree in (RTree(), open_segment(build([], np.empty((0, 2)))), open_segment(RTree().freeze())):
        assert len(tree) == 0 and tree.bounds is None and list(tree) == []
        assert tree.window((-INF, -INF, INF, INF)).tolist() == [] and tree.count((0, 0, 1, 1)) == 0
        assert [part.tolist() for part in tree.nearest((0, 0), 5)] == [[], []]
        assert list(tree.walk((0, 0, 1, 1))) == []
        assert tree.windows(np.empty((0, 4)))[0].tolist() == [0]
        assert [part.tolist() for part in tree.join(tree)] == [[], []]
    assert RTree().delete(3) == 0 and 3 not in RTree()


def test_index_rtree_rows_may_have_several_boxes() -> None:
    tree = RTree()
    for x in range(40):
        tree.insert(7, (x, 0))
        tree.insert(2**64 - 1, (x, 5))
    for view in (tree, open_segment(tree.freeze())):
        assert len(view) == 80
        assert view.window((0, 0, 99, 9)).tolist() == [7, 2**64 - 1] and view.count((0, 0, 99, 9)) == 2
        rows, distances = view.nearest((3, 1), 5)
        assert rows.tolist() == [7, 2**64 - 1] and distances.tolist() == [1, 4]
        assert [part.tolist() for part in view.join(view)] == [[7, 2**64 - 1]] * 2
    assert tree.delete(7, (3, 0)) == 1 and tree.delete(7, (3, 0)) == 0
    assert tree.delete(7) == 39 and 7 not in tree and 2**64 - 1 in tree
    tree.update(2**64 - 1, (1, 1, 2, 2))
    assert list(tree) == [(2**64 - 1, (1, 1, 2, 2))]
    tree.audit()


def test_index_rtree_takes_infinite_boxes_and_windows() -> None:
    tree = RTree()
    tree.insert(1, (0, 10, INF, 20))  # from 0 on
    tree.insert(2, (-INF, -INF, INF, INF))
    tree.insert(3, (5, 15))
    for view in (tree, open_segment(tree.freeze())):
        assert view.window((1e300, 12, 1e301, 13)).tolist() == [1, 2]
        assert view.within((-INF, 0, INF, 30)).tolist() == [1, 3]
        assert view.nearest((-3, 14), 3)[1].tolist() == [0, 3, np.hypot(8, 1)]
        assert view.bounds == (-INF, -INF, INF, INF)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: t.insert(1, (0, 0, NAN, 1)), "nan.* of row 1 has a NaN"),
        (lambda t: t.insert(1, (0, 2, 1, 1)), r"\(0, 2, 1, 1\) of row 1 has a lower bound above"),
        (lambda t: t.insert(1, (0, 0, 0, 1, 1, 1)), "has 6 numbers; allowed: 4, or 2 for a point"),
        (lambda t: t.insert(-1, (0, 0)), "row -1; allowed: 0 to"),
        (lambda t: t.insert(2**64, (0, 0)), "row 18446744073709551616; allowed"),
        (lambda t: t.update(-1, (0, 0)), "row -1; allowed: 0 to"),
        (lambda t: t.delete(-1), "row -1; allowed: 0 to"),
        (lambda t: t.delete(1, (NAN, 0)), "NaN"),
        (lambda t: t.window((NAN, 0, 1, 1)), "has a NaN"),
        (lambda t: t.window((2, 0, 1, 1)), r"\(2, 0, 1, 1\) has a lower bound above"),
        (lambda t: t.within((1, 1, 0, 0)), "above its upper"),
        (lambda t: t.count((1, 1, 0, 0)), "above its upper"),
        (lambda t: t.walk((1, 1, 0, 0)), "above its upper"),
        (lambda t: t.walk((0, 0, 1, 1), 0), "chunk is 0"),
        (lambda t: t.containing((0, 0, 0)), "has 3 numbers"),
        (lambda t: t.nearest((0, INF)), "has an infinity"),
        (lambda t: t.nearest((0, 0), -1), "k is -1"),
        (lambda t: t.nearest((0, 0), 1, NAN), "max_distance is nan"),
        (lambda t: t.nearest_many([(0, 0)], 1, -1), "max_distance is -1"),
        (lambda t: t.nearest_many([(0, 0), (0, INF)]), r"\[0.0, inf.* has an infinity|inf.* has an infinity"),
        (lambda t: t.radius((0, 0), -1), "radius is -1; allowed: 0 or more"),
        (lambda t: t.radius((0, INF), 1), "has an infinity"),
        (lambda t: t.windows([(0, 0, 1, 1), (0, 1, 1, 0)]), r"\[0.0, 1.0, 1.0, 0.0\] at place 1 has a lower bound above"),
        (lambda t: t.windows([0, 0, 1, 1]), r"shape \(4,\); allowed: n rows of 2 \(points\) or 4"),
        (lambda t: t.join(RTree(3)), "3 dimensions; allowed: 2"),
        (lambda t: t.join(t, NAN), "distance is nan"),
        (lambda t: t.insert_many([1, 2], [(0, 0), (NAN, 0)]), "at place 1 has a NaN"),
        (lambda t: t.insert_many([1], [(0, 0), (1, 0)]), "1 rows for 2 boxes"),
        (lambda t: t.insert_many([1, -2], [(0, 0), (1, 0)]), "row -2"),
        (lambda t: t.insert_many([1.5], [(0, 0)]), "float64"),
        (lambda t: t.insert_many([1], [(0, 0, 0)]), r"shape \(1, 3\)"),
        (lambda t: RTree(4), "dims is 4; allowed: 2 or 3"),
        (lambda t: build([1], [(0, 0, 0, 0, 0)]), r"shape \(1, 5\)"),
        (lambda t: build([1], [(0, 1, 2, 0, 0, 2)]), "at place 0 has a lower bound above"),
        (lambda t: merge([]), r"dimensions \[\]"),
        (lambda t: merge([t, RTree(3)]), r"dimensions \[2, 3\]"),
        (lambda t: Stack([]), r"dimensions \[\]"),
        (lambda t: Stack([t, RTree(3)]), r"dimensions \[2, 3\]"),
        (lambda t: Stack([t], [np.array([3, 9, 9])]), "hide has 9 after a row that is not less"),
        (lambda t: Stack([t]).radius((0, 0), -1), "radius is -1"),
        (lambda t: Stack([t]).window((0, NAN)), "has a NaN"),
        (lambda t: merge([t], [None, None]), "2 arrays for 1 trees"),
    ],
)
def test_index_rtree_refuses_and_says_why(call, says: str) -> None:  # type: ignore[no-untyped-def]
    tree = RTree()
    tree.insert(9, (0, 0, 1, 1))
    with pytest.raises(ValueError, match=says):
        call(tree)
    assert list(tree) == [(9, (0, 0, 1, 1))]
    tree.audit()


def test_index_rtree_takes_arrays_and_integers_but_no_words() -> None:
    tree = RTree()
    tree.insert(np.uint64(3), np.array([1, 2]))  # type: ignore[arg-type]
    assert np.uint64(3) in tree and "3" not in tree
    assert tree.window([0, 0, np.float32(2), 2]).tolist() == [3]
    with pytest.raises((TypeError, ValueError)):
        tree.insert(4, "abcd")  # type: ignore[arg-type]
    assert len(tree) == 1


def test_index_rtree_is_saved_and_opened(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    tree = RTree.bulk(np.arange(500), rng.random((500, 3)))
    tree.save(tmp_path / "places")
    again = RTree.open(tmp_path / "places")
    assert sorted(again) == sorted(tree) and again.dims == 3 and list(tmp_path.iterdir()) == [tmp_path / "places"]
    again.insert(1000, (5, 5, 5))
    again.save(tmp_path / "places")
    assert 1000 in RTree.open(tmp_path / "places")
    with (tmp_path / "places").open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    segment = open_segment(mapped)
    assert len(segment) == 501 and segment.nbytes == len(mapped)
    with pytest.raises(BufferError):
        mapped.close()  # the segment reads it
    (tmp_path / "places").write_bytes(b"something else")
    with pytest.raises(DamagedSegment, match="14 bytes"):
        RTree.open(tmp_path / "places")


def test_index_rtree_merge_hides_rows_and_keeps_the_rest() -> None:
    rng = np.random.default_rng(9)
    old = open_segment(build(np.arange(300), rng.random((300, 2))))
    new = RTree.bulk(np.arange(200, 400), rng.random((200, 2)))
    touched = np.arange(200, 420, dtype=np.uint64)
    merged = open_segment(merge([new, old], [None, touched]))
    kept = {row: box for row, box in old if row < 200} | dict(iter(new))
    assert dict(iter(merged)) == kept and len(merged) == 400
    assert len(open_segment(merge([old, new]))) == 500
    assert len(open_segment(merge([old], [np.arange(300, dtype=np.uint64)]))) == 0


def test_index_rtree_stack_answers_as_the_merged_segment_does() -> None:
    rng = np.random.default_rng(12)
    layers, touched = [], []
    for _ in range(4):  # from old to new; each touches rows of those before, and deletes some
        rows = np.unique(rng.integers(0, 600, 250)).astype(np.uint64)
        corner = rng.random((len(rows), 2))
        kept = rng.random(len(rows)) < 0.9
        boxes = np.concatenate([corner, corner + rng.random((len(rows), 2)) * 0.02], axis=1)
        layers.insert(0, RTree.bulk(rows[kept], boxes[kept]) if len(layers) == 0 else open_segment(build(rows[kept], boxes[kept])))
        touched.insert(0, rows)
    hide = [None, *(np.unique(np.concatenate(touched[:i])) for i in range(1, 4))]
    stack, merged = Stack(layers, hide), open_segment(merge(layers, hide))
    assert len(merged) == len(stack.window((-1, -1, 2, 2))) > 400
    for box in rng.random((50, 2)):
        window = (*box, *(box + 0.2))
        assert stack.window(window).tolist() == merged.window(window).tolist()
        assert stack.within(window).tolist() == merged.within(window).tolist()
        assert stack.containing(box).tolist() == merged.containing(box).tolist()
        assert stack.radius(box, 0.1).tolist() == merged.radius(box, 0.1).tolist()
        for k in (0, 1, 20, 1000):
            rows, distances = stack.nearest(box, k)
            expected = merged.nearest(box, k)
            assert rows.tolist() == expected[0].tolist() and distances.tolist() == expected[1].tolist()
        assert stack.nearest(box, 9, 0.02)[0].tolist() == merged.nearest(box, 9, 0.02)[0].tolist()


def test_index_rtree_bulk_insert_into_a_tree_that_has_entries() -> None:
    rng = np.random.default_rng(10)
    points = rng.random((3000, 2))
    tree = RTree()
    for start, end in ((0, 5), (5, 40), (40, 1000), (1000, 1400), (1400, 3000)):
        tree.insert_many(np.arange(start, end), points[start:end])
        tree.audit()
        assert len(tree) == end and tree.window((0, 0, 1, 1)).tolist() == list(range(end))
    assert tree.delete_many(np.arange(0, 3000, 2)) == 1500
    tree.audit()
    assert tree.window((0, 0, 1, 1)).tolist() == list(range(1, 3000, 2))
    tree.clear()
    tree.audit()
    assert len(tree) == 0 and 1 not in tree


def test_index_rtree_walk_notices_that_the_tree_changed() -> None:
    tree = RTree.bulk(np.arange(1000), np.random.default_rng(1).random((1000, 2)))
    steps = tree.walk((0, 0, 1, 1), 100)
    assert 100 <= len(next(steps)) < 200
    tree.insert(5000, (0, 0))
    with pytest.raises(RuntimeError, match="changed"):
        next(steps)


def test_index_rtree_large_answers_are_whole_and_sorted() -> None:
    rng = np.random.default_rng(2)
    n = 60_000
    for rows in (rng.permutation(n).astype(np.uint64), rng.permutation(n).astype(np.uint64) << np.uint64(40)):
        segment = open_segment(build(rows, rng.random((n, 2))))
        assert (segment.window((-1, -1, 2, 2)) == np.sort(rows)).all()
        assert segment.count((-1, -1, 2, 2)) == n
        some = segment.window((0.1, 0.2, 0.8, 0.7))
        assert 10_000 < len(some) < 30_000 and (np.diff(some.astype(np.int64)) > 0).all()


@pytest.mark.parametrize("several", [False, True])
def test_index_rtree_rows_as_found_are_the_same_rows_each_once(several: bool) -> None:
    rng = np.random.default_rng(8)
    rows, points = rng.permutation(5000), rng.random((5000, 2))
    if several:
        rows, points = np.concatenate([rows, rows[:900]]), np.concatenate([points, points[:900] + 1e-3])
    tree = RTree()
    for row, point in zip(rows.tolist(), points.tolist(), strict=True):
        tree.insert(row, point)
    for each in (tree, RTree.bulk(rows, points), open_segment(build(rows, points))):
        as_found = each.window((0.1, 0.1, 0.9, 0.8), ordered=False)
        assert np.sort(as_found).tolist() == each.window((0.1, 0.1, 0.9, 0.8)).tolist()
        assert len(as_found) > 2000 and (as_found[1:] > as_found[:-1]).all() == several  # to be each once they must be sorted


def test_index_rtree_one_far_box_does_not_spoil_the_order_of_the_rest() -> None:
    points = np.random.default_rng(4).random((20_000, 2))
    near = open_segment(build(np.arange(20_000), points))
    far = open_segment(build(np.arange(20_001), np.concatenate([points, [[1e15, -1e15]]])))

    def leaves_touched(tree) -> int:  # type: ignore[no-untyped-def]
        _, boxes = tree.entries()
        lo = [boxes[i : i + 16, :2].min(0) for i in range(0, 20_000, 16)]
        hi = [boxes[i : i + 16, 2:].max(0) for i in range(0, 20_000, 16)]
        return sum((low <= 0.6).all() and (high >= 0.5).all() for low, high in zip(lo, hi, strict=True))

    assert leaves_touched(far) < 2 * leaves_touched(near)


@pytest.mark.threads
def test_index_rtree_threads_read_and_write_at_once() -> None:
    tree = RTree.bulk(np.arange(2000), np.random.default_rng(0).random((2000, 2)))
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for i in range(1500):
            tree.insert(10_000 * seed + i, rng.random(2).tolist())
            tree.update(10_000 * seed + i // 2, rng.random(2).tolist())
            if i % 3 == 0:
                tree.delete(10_000 * seed + i)

    def read() -> None:
        for _ in range(300):
            rows = tree.window((0.2, 0.2, 0.7, 0.7))
            assert (rows[1:] > rows[:-1]).all()
            assert len(tree.nearest((0.5, 0.5), 10)[0]) == 10
            tree.join(tree)

    def guarded(work) -> None:  # type: ignore[no-untyped-def]
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (lambda: write(1), lambda: write(2), read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    tree.audit()


@pytest.mark.parametrize("first", [0, 3, 1 << 40, (1 << 63) + 5])
@pytest.mark.parametrize("apart", [1, 4, 1 << 13, 1 << 50])
@pytest.mark.parametrize("n", [60, 500, 3000])
def test_index_rtree_rows_come_sorted_whatever_bits_they_differ_in(first: int, apart: int, n: int) -> None:
    rng = np.random.default_rng(n)
    rows = np.array(sorted({(first + apart * int(i)) % (1 << 64) for i in rng.integers(0, 5 * n, n)}), np.uint64)
    points = rng.random((len(rows), 2))
    tree = RTree.bulk(rng.permutation(rows), np.hstack([points, points]))
    assert tree.window((0.0, 0.0, 1.0, 1.0)).tolist() == rows.tolist()
