"""The door to the R-tree kernels: queries on trees of both kinds, packing, and the growing tree. See `indexes.rtree` for the face."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from . import native as native  # checks the extension's stamp
from ._native import ffi, lib
from .native_rowset import read_only

Rows: TypeAlias = "npt.NDArray[np.uint64]"
Boxes: TypeAlias = "npt.NDArray[np.float64]"
Numbers: TypeAlias = "Sequence[float] | npt.NDArray[Any]"

INTERSECTS, WITHIN, CONTAINS, NEAR = lib.IDX_RTREE_INTERSECTS, lib.IDX_RTREE_WITHIN, lib.IDX_RTREE_CONTAINS, lib.IDX_RTREE_NEAR
_SMALL: int = lib.IDX_RTREE_SMALL
_KEEP = 1 << 17  # an answer place that has grown beyond this many rows is not used again
_DAMAGE = {
    lib.IDX_RTREE_MAGIC: "does not begin with IDXR",
    lib.IDX_RTREE_VERSION: "is of a version other than 1",
    lib.IDX_RTREE_HEADER: "has a header field that version 1 does not allow",
    lib.IDX_RTREE_LENGTH: "is not as long as its header says",
    lib.IDX_RTREE_CHECKSUM: "has a wrong checksum",
}
_WRONG = {
    lib.IDX_RTREE_NAN: "has a NaN; allowed: numbers and infinities",
    lib.IDX_RTREE_INVERTED: "has a lower bound above its upper bound; allowed: lower <= upper on each axis",
    lib.IDX_RTREE_INFINITE: "has an infinity; a distance needs finite numbers",
}


class DamagedSegment(ValueError):
    """The bytes are no R-tree segment, or not as they were written."""


class _Hits:
    """A place for answers in C, with a window of numpy arrays on small ones."""

    def __init__(self) -> None:
        self.rows = np.empty(_SMALL, np.uint64)
        self.distances = np.empty(_SMALL, np.float64)
        handle = lib.idx_hits_new(_pointer("uint64_t[]", self.rows), _pointer("double[]", self.distances))
        if handle == ffi.NULL:
            raise MemoryError("a place for answers")
        self.handle = ffi.gc(handle, lib.idx_hits_free)


_free: list[_Hits] = []  # pop and append are atomic


def _borrow() -> _Hits:
    try:
        return _free.pop()
    except IndexError:
        return _Hits()


def _pointer(ctype: str, array: npt.NDArray[Any]) -> Any:
    return ffi.from_buffer(ctype, array)


def _fail(code: int, subject: str) -> NoReturn:
    if code == lib.IDX_RTREE_NO_MEMORY:
        raise MemoryError(subject)
    if code == lib.IDX_RTREE_CHANGED:
        raise RuntimeError(f"{subject}: the tree changed meanwhile")
    if code == lib.IDX_RTREE_FULL:
        raise OverflowError(f"{subject}: a growing tree holds at most 2**30 entries")
    raise ValueError(f"{subject} {_WRONG[code]}")


def row_ids(rows: Any, n: int | None = None) -> Rows:
    """Return row ids as a contiguous uint64 array (n of them). ValueError when they are not whole numbers from 0 to 2**64 - 1."""
    array = np.asarray(rows)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.uint64)
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise ValueError(f"rows are an array of {array.dtype} of shape {array.shape}; allowed: one dimension of whole numbers")
    if array.dtype.kind == "i" and array.size and int(array.min()) < 0:
        raise ValueError(f"row {int(array.min())}; allowed: 0 to 2**64 - 1")
    if n is not None and len(array) != n:
        raise ValueError(f"{len(array)} rows for {n} boxes; allowed: one for each")
    return np.ascontiguousarray(array, np.uint64)


def box_array(boxes: Any, dims: int | None = None) -> tuple[Boxes, bool]:
    """Return boxes as (n, 2 * dims) numbers, and whether all are points. ValueError names the first bad box and its place.

    Points may be given as (n, dims). Without `dims`: 2 or 4 columns are two dimensions, 3 or 6 are three.
    """
    array = np.asarray(boxes, np.float64)
    wide = array.shape[1] if array.ndim == 2 else 0
    if wide not in ((2, 3, 4, 6) if dims is None else (dims, 2 * dims)):
        allowed = "n rows of 2, 3 (points), 4 or 6 (boxes)" if dims is None else f"n rows of {dims} (points) or {2 * dims} (boxes)"
        raise ValueError(f"boxes are an array of shape {array.shape}; allowed: {allowed} numbers")
    if wide < 4:
        array = np.concatenate([array, array], axis=1)
    array = np.ascontiguousarray(array)
    bad, points = ffi.new("size_t *"), ffi.new("int *")
    code = lib.idx_rtree_check(array.shape[1] // 2, _pointer("double[]", array), len(array), bad, points)
    if code:
        _fail(code, f"box {array[bad[0]].tolist()} at place {bad[0]}")
    return array, bool(points[0])


def pack(rows: Rows, boxes: Boxes, points: bool, *, portable: bool = False) -> bytes:
    """Return the bytes of a packed tree of checked entries. O(n) and 32 bytes an entry beside the result."""
    n, dims = len(rows), boxes.shape[1] // 2
    order = np.empty(n, np.uint64)
    given = [_pointer("double[]", boxes), _pointer("uint64_t[]", rows), _pointer("uint64_t[]", order)]
    code = lib.idx_rtree_order(dims, given[0], n, portable, given[2])
    if code:
        _fail(code, f"packing {n} entries")
    out = np.empty(int(lib.idx_rtree_size(dims, points, given[1], n)), np.uint8)
    code = lib.idx_rtree_pack(dims, points, *given, n, _pointer("uint8_t[]", out))
    if code:
        _fail(code, f"packing {n} entries")
    return out.tobytes()


class Queries:
    """Queries on one tree or several, from any thread and without the interpreter's lock.

    A box is a sequence (least corner, greatest corner) of 2 * dims numbers, closed; where a point will do, dims numbers will. Rows come as
    sorted unique uint64 unless said otherwise. Every query raises ValueError for a box of the wrong length, a NaN or an inverted box. With
    n entries and r rows in the answer, a query costs O(log n + r) where boxes overlap little.
    """

    def __init__(self, parts: Any, dims: int) -> None:
        self._parts, self._n_parts = parts, len(parts)
        self.dims = dims
        self._wide = 2 * dims

    def _box(self, box: Numbers) -> Any:
        if len(box) != self._wide:
            if len(box) != self.dims:
                raise ValueError(f"box {box!r} has {len(box)} numbers; allowed: {self._wide}, or {self.dims} for a point")
            box = [*box, *box]
        return box if type(box) is tuple or type(box) is list else [float(x) for x in box]

    def _rows(self, n: int, hits: _Hits, box: Any) -> Rows:
        if n < 0:
            _fail(n, f"box {tuple(box)}")
        if n <= _SMALL:
            out = hits.rows[:n].copy()
        else:
            out = np.empty(n, np.uint64)
            lib.idx_hits_take(hits.handle, _pointer("uint64_t[]", out))
        if n <= _KEEP:
            _free.append(hits)
        return out

    def _distances(self, n: int, hits: _Hits) -> npt.NDArray[np.float64]:
        if n <= _SMALL:
            return hits.distances[:n].copy()
        out = np.empty(n, np.float64)
        lib.idx_hits_take_distances(hits.handle, _pointer("double[]", out))
        return out

    def window(self, box: Numbers) -> Rows:
        """Return the rows with a box that intersects this one (touching counts). Bounds may be infinite."""
        box, hits = self._box(box), _borrow()
        return self._rows(lib.idx_rtree_find_over(self._parts, self._n_parts, INTERSECTS, box, 0.0, hits.handle), hits, box)

    def within(self, box: Numbers) -> Rows:
        """Return the rows with a box that lies wholly in this one."""
        box, hits = self._box(box), _borrow()
        return self._rows(lib.idx_rtree_find_over(self._parts, self._n_parts, WITHIN, box, 0.0, hits.handle), hits, box)

    def containing(self, box: Numbers) -> Rows:
        """Return the rows with a box in which this point or box lies wholly."""
        box, hits = self._box(box), _borrow()
        return self._rows(lib.idx_rtree_find_over(self._parts, self._n_parts, CONTAINS, box, 0.0, hits.handle), hits, box)

    def radius(self, centre: Numbers, radius: float) -> Rows:
        """Return the rows with a box at most `radius` from a point or box (Euclid). ValueError for a radius that is negative or NaN."""
        _distance("radius", radius)
        box, hits = self._box(centre), _borrow()
        return self._rows(lib.idx_rtree_find_over(self._parts, self._n_parts, NEAR, box, radius, hits.handle), hits, box)

    def nearest(self, centre: Numbers, k: int = 1, max_distance: float = math.inf) -> tuple[Rows, npt.NDArray[np.float64]]:
        """Return the k rows nearest to a point or box and their distances, in the order of (distance, row).

        Rows farther than max_distance do not count. A box has the distance of its nearest point: 0 when they meet. O(log n + k log k) where
        boxes overlap little. ValueError for k < 0, a negative or NaN max_distance, an infinite centre.
        """
        if not 0 <= k < 1 << 32:
            raise ValueError(f"k is {k}; allowed: 0 to 4294967295")
        _distance("max_distance", max_distance)
        box, hits = self._box(centre), _borrow()
        n = lib.idx_rtree_nearest(self._parts, self._n_parts, box, k, max_distance, hits.handle)
        distances = self._distances(n, hits) if n >= 0 else hits.distances
        return self._rows(n, hits, box), distances

    def entries(self) -> tuple[Rows, Boxes]:
        """Return the entries, rows and boxes (n, 2 * dims), in the order of the tree or trees, each as it is at one moment. O(n)."""
        while True:
            most = sum(int(lib.idx_rtree_count(part.tree)) for part in self._parts)
            rows, boxes = np.empty(most, np.uint64), np.empty((most, self._wide))
            n = lib.idx_rtree_gather(self._parts, self._n_parts, _pointer("uint64_t[]", rows), _pointer("double[]", boxes), most)
            if n >= 0:
                return rows[:n], boxes[:n]  # else another thread has inserted between the two calls


class Stack(Queries):
    """Several trees as one, such as the components of an LSM index: of tree i the rows in the sorted array hide[i] do not count.

    A query is one call, and the nearest of one tree bound the search in the next. ValueError for no tree, other dimensions, another number
    of hide arrays, or one that is not sorted.
    """

    def __init__(self, trees: Sequence[Tree], hide: Sequence[Rows | None] | None = None) -> None:
        if not trees or len({tree.dims for tree in trees}) > 1:
            raise ValueError(f"trees have dimensions {[tree.dims for tree in trees]}; allowed: one or more trees of equal dimensions")
        if hide is not None and len(hide) != len(trees):
            raise ValueError(f"hide has {len(hide)} arrays for {len(trees)} trees; allowed: one (or None) for each")
        self._hide = [np.empty(0, np.uint64) if rows is None else row_ids(rows) for rows in hide or [None] * len(trees)]
        for rows in self._hide:
            if (rows[1:] <= rows[:-1]).any():
                late = rows[1:][rows[1:] <= rows[:-1]][0]
                raise ValueError(f"hide has {late} after a row that is not less; allowed: sorted rows, each once")
        self.trees = tuple(trees)
        parts = [(tree._tree, _pointer("uint64_t[]", rows), len(rows)) for tree, rows in zip(trees, self._hide, strict=True)]
        super().__init__(ffi.new("idx_rtree_part[]", parts), trees[0].dims)


class Tree(Queries):
    """What both kinds of tree answer."""

    def __init__(self, tree: Any, dims: int) -> None:
        self._tree = tree
        super().__init__(ffi.new("idx_rtree_part[]", [(tree, ffi.NULL, 0)]), dims)

    def use_portable(self) -> None:
        """Do without the processor's vectors, as on other machines: the answers are the same. Before the first query."""
        lib.idx_rtree_portable(self._tree)

    def window(self, box: Numbers, *, ordered: bool = True) -> Rows:
        """Return the rows with a box that intersects this one (touching counts). Bounds may be infinite.

        Without `ordered` the rows come as the tree holds them, each once: thousands that need no order, in half the time.
        """
        box, hits = self._box(box), _borrow()
        return self._rows(lib.idx_rtree_find(self._tree, INTERSECTS, box, ordered, hits.handle), hits, box)

    def within(self, box: Numbers) -> Rows:
        """Return the rows with a box that lies wholly in this one."""
        box, hits = self._box(box), _borrow()
        return self._rows(lib.idx_rtree_find(self._tree, WITHIN, box, True, hits.handle), hits, box)

    def containing(self, box: Numbers) -> Rows:
        """Return the rows with a box in which this point or box lies wholly."""
        box, hits = self._box(box), _borrow()
        return self._rows(lib.idx_rtree_find(self._tree, CONTAINS, box, True, hits.handle), hits, box)

    def count(self, box: Numbers) -> int:
        """Return how many rows `window` would, without making them: nodes wholly inside count as one step (unless rows repeat)."""
        box, hits = self._box(box), _borrow()
        n = int(lib.idx_rtree_count_in(self._tree, INTERSECTS, box, hits.handle))
        if n < 0:
            _fail(n, f"box {tuple(box)}")
        _free.append(hits)
        return n

    def windows(self, boxes: Any, *, what: int = INTERSECTS) -> tuple[npt.NDArray[np.int64], Rows]:
        """Answer many windows in one crossing: offsets (n + 1) and rows; the rows of box i are rows[offsets[i]:offsets[i + 1]].

        `what` is INTERSECTS, WITHIN or CONTAINS of this module.
        """
        array, _ = box_array(boxes, self.dims)
        hits, offsets, bad = _borrow(), np.zeros(len(array) + 1, np.int64), ffi.new("size_t *")
        places = ffi.cast("uint64_t *", _pointer("int64_t[]", offsets))
        n = lib.idx_rtree_find_many(self._tree, what, _pointer("double[]", array), len(array), places, hits.handle, bad)
        return offsets, self._rows(n, hits, array[bad[0] : bad[0] + 1])

    def nearest_many(
        self, centres: Any, k: int = 1, max_distance: float = math.inf
    ) -> tuple[npt.NDArray[np.int64], Rows, npt.NDArray[np.float64]]:
        """Answer `nearest` for many points or boxes in one crossing: offsets, rows, distances."""
        if not 0 <= k < 1 << 32:
            raise ValueError(f"k is {k}; allowed: 0 to 4294967295")
        _distance("max_distance", max_distance)
        array, _ = box_array(centres, self.dims)
        hits, offsets, bad = _borrow(), np.zeros(len(array) + 1, np.int64), ffi.new("size_t *")
        places = ffi.cast("uint64_t *", _pointer("int64_t[]", offsets))
        n = lib.idx_rtree_nearest_many(self._tree, _pointer("double[]", array), len(array), k, max_distance, places, hits.handle, bad)
        distances = self._distances(n, hits) if n >= 0 else hits.distances
        return offsets, self._rows(n, hits, array[bad[0] : bad[0] + 1]), distances

    def join(self, other: Tree, distance: float = 0.0) -> tuple[Rows, Rows]:
        """Return all pairs (row here, row there) whose boxes meet, or are at most `distance` apart: two arrays, sorted by (left, right).

        Both trees are walked at once. ValueError when they differ in dimensions, or for a negative or NaN distance.
        """
        _distance("distance", distance)
        if other.dims != self.dims:
            raise ValueError(f"the other tree has {other.dims} dimensions; allowed: {self.dims}, as this one")
        hits = _borrow()
        n = lib.idx_rtree_join(self._tree, other._tree, distance, hits.handle)
        if n < 0:
            _fail(n, "join")
        left, right = np.empty(n // 2, np.uint64), np.empty(n // 2, np.uint64)
        lib.idx_hits_take_pairs(hits.handle, _pointer("uint64_t[]", left), _pointer("uint64_t[]", right))
        if n <= _KEEP:
            _free.append(hits)
        order = np.lexsort((right, left))
        left, right = left[order], right[order]
        if len(left) and (lib.idx_rtree_repeats(self._tree) or lib.idx_rtree_repeats(other._tree)):
            fresh = np.r_[True, (left[1:] != left[:-1]) | (right[1:] != right[:-1])]
            left, right = left[fresh], right[fresh]
        return left, right

    def walk(self, box: Numbers, chunk: int = 1 << 16, *, what: int = INTERSECTS) -> Iterator[Rows]:
        """Yield a window's rows in arrays of about `chunk`, in the tree's order and not sorted; rows with several boxes may repeat.

        Memory stays O(chunk) however large the answer. RuntimeError when a growing tree changes between steps.
        """
        if chunk < 1:
            raise ValueError(f"chunk is {chunk}; allowed: at least 1")
        box, error = self._box(box), ffi.new("int *")
        walk = lib.idx_rtree_walk_new(self._tree, what, box, error)
        if walk == ffi.NULL:
            _fail(error[0], f"box {tuple(box)}")
        return self._steps(ffi.gc(walk, lib.idx_rtree_walk_free), chunk)

    def _steps(self, walk: Any, chunk: int) -> Iterator[Rows]:
        while True:
            hits = _borrow()
            n = lib.idx_rtree_walk_next(walk, chunk, hits.handle)
            if n < 0:
                _fail(n, "walk")
            rows = self._rows(n, hits, ())
            if not n:
                return
            yield rows

    def __len__(self) -> int:
        """Return the number of entries (a row with several boxes counts as often)."""
        return int(lib.idx_rtree_count(self._tree))

    def __iter__(self) -> Iterator[tuple[int, tuple[float, ...]]]:
        """Yield (row, box) of all entries as they are now."""
        rows, boxes = self.entries()
        return zip(rows.tolist(), map(tuple, boxes.tolist()), strict=True)

    @property
    def bounds(self) -> tuple[float, ...] | None:
        """The least box around everything; None when there is nothing."""
        out = ffi.new("double[]", self._wide)
        return None if lib.idx_rtree_bounds(self._tree, out) else tuple(out)

    @property
    def nbytes(self) -> int:
        """Bytes of the segment, or of the memory that a growing tree holds."""
        return int(lib.idx_rtree_memory(self._tree))


def _distance(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name} is {value}; allowed: 0 or more")


class PackedTree(Tree):
    """A packed tree over any buffer of bytes, which is kept alive and not copied."""

    def __init__(self, data: Any, verify: bool) -> None:
        view = read_only(data)
        error = ffi.new("int *")
        tree = lib.idx_rtree_open(view, len(view), verify, error)
        if tree == ffi.NULL:
            if error[0] in _DAMAGE:
                raise DamagedSegment(f"a segment of {len(view)} bytes {_DAMAGE[error[0]]}")
            _fail(error[0], "opening a segment")
        self._data = view
        super().__init__(ffi.gc(tree, lib.idx_rtree_close), int(lib.idx_rtree_dims(tree)))


class GrowingTree(Tree):
    """A tree in memory that takes and loses entries; each call is atomic for threads."""

    def __init__(self, dims: int) -> None:
        if dims not in (2, 3):
            raise ValueError(f"dims is {dims}; allowed: 2 or 3")
        tree = lib.idx_rtree_new(dims)
        if tree == ffi.NULL:
            raise MemoryError("a growing R-tree")
        super().__init__(ffi.gc(tree, lib.idx_rtree_close), dims)

    def insert(self, row: int, box: Numbers) -> None:
        """Add a box (or point) of a row; a row may have several. O(log n). ValueError for a bad box or row."""
        box = self._box(box)
        try:
            code = lib.idx_rtree_insert(self._tree, row, box)
        except OverflowError:
            raise _bad_row(row) from None
        if code:
            _fail(code, f"box {tuple(box)} of row {row}")

    def insert_many(self, rows: Any, boxes: Any) -> None:
        """Add a box (or point) for each row: nothing is added when one of them is bad.

        When they are as many as what the tree has, all is packed anew, in O(n); else one by one, in O(log n) each.
        """
        array, _ = box_array(boxes, self.dims)
        ids = row_ids(rows, len(array))
        code = lib.idx_rtree_insert_many(self._tree, _pointer("uint64_t[]", ids), _pointer("double[]", array), len(ids))
        if code:
            _fail(code, f"inserting {len(ids)} entries")

    def delete(self, row: int, box: Numbers | None = None) -> int:
        """Take away the row's boxes, or those equal to `box`, and return how many there were. O(log n) each."""
        given = ffi.NULL if box is None else self._box(box)
        try:
            gone = int(lib.idx_rtree_delete(self._tree, row, given))
        except OverflowError:
            raise _bad_row(row) from None
        if gone < 0:
            _fail(gone, f"box {tuple(given)} of row {row}")
        return gone

    def delete_many(self, rows: Any) -> int:
        """Take away all boxes of these rows and return how many there were."""
        ids = row_ids(rows)
        return int(lib.idx_rtree_delete_many(self._tree, _pointer("uint64_t[]", ids), len(ids)))

    def update(self, row: int, box: Numbers) -> None:
        """Let the row have this box and no other, in one step for readers."""
        box = self._box(box)
        try:
            code = lib.idx_rtree_update(self._tree, row, box)
        except OverflowError:
            raise _bad_row(row) from None
        if code:
            _fail(code, f"box {tuple(box)} of row {row}")

    def repack(self) -> None:
        """Pack all anew, along the curve: large windows are answered two to three times faster after many single inserts. O(n)."""
        code = lib.idx_rtree_repack(self._tree)
        if code:
            _fail(code, "packing anew")

    def clear(self) -> None:
        """Take everything away; memory is kept for what comes."""
        lib.idx_rtree_clear(self._tree)

    def __contains__(self, row: object) -> bool:
        """Tell whether the row has a box."""
        return isinstance(row, int | np.integer) and 0 <= int(row) < 1 << 64 and bool(lib.idx_rtree_holds(self._tree, int(row)))

    def audit(self) -> None:
        """Check every page, item and count. AssertionError names the broken invariant: a fault of this package. O(n)."""
        wrong = lib.idx_rtree_audit(self._tree)
        if wrong != ffi.NULL:
            raise AssertionError(ffi.string(wrong).decode())


def _bad_row(row: int) -> ValueError:
    return ValueError(f"row {row}; allowed: 0 to 2**64 - 1")
