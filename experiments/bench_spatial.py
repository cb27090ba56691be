"""`lsmlab bench spatial`: the R-trees of `indexes` beside geoindex-rs, shapely, Rtree, SQLite's R*Tree and scipy, in one go.

All contestants live in one process and answer the same questions; each must find as many rows as the first did. They take turns inside
every repeat, so that a slow minute of the machine hits all of them; times are this thread's on a processor, the least of the repeats.
No peer sorts the rows of a window, so the growing tree is asked for them as found; what its sorted answers take is a column of its own.
Segments always sort.
"""

from __future__ import annotations

import importlib
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from indexes.rtree import RTree, Stack, Tree, build, open_segment

from .console import PROBLEMS, emit, guarded, out, print_table, progress

Boxes = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
SEGMENT, RUNS, GROWN, PACKED, STATIC = "segment", "4 segments", "RTree", "RTree.bulk", "geoindex-rs"
SHAPES = ("points", "clusters", "boxes")
AREAS = {"window 1e-5": 1e-5, "window 1e-3": 1e-3, "window 1e-2": 1e-2}
LARGEST, SORTED = "window 1e-2", "sorted 1e-2"
NEAREST = 10


class Contestant:
    """A library's index. What it cannot do stays None."""

    batch: Callable[[Boxes], int] | None = None
    nearest: Callable[[float, float], int] | None = None
    insert: Callable[[int, Box], Any] | None = None
    delete: Callable[[int, Box], Any] | None = None
    window: Callable[[Box], Any]
    ordered: Callable[[Box], Any] | None = None  # rows sorted, where `window` gives them as found
    size = 0  # bytes, when known


class Ours(Contestant):
    """A tree of indexes.rtree."""

    def __init__(self, tree: Tree) -> None:
        self.window, self.size = tree.window, tree.nbytes
        self.batch = lambda boxes: len(tree.windows(boxes)[1])
        self.nearest = lambda x, y: len(tree.nearest((x, y), NEAREST)[0])
        if isinstance(tree, RTree):
            self.window, self.ordered = partial(tree.window, ordered=False), tree.window
            self.insert, self.delete = tree.insert, tree.delete


def _grown(boxes: Boxes) -> Contestant:
    tree = RTree()
    for row, box in enumerate(boxes.tolist()):
        tree.insert(row, box)
    return Ours(tree)


class FourRuns(Contestant):
    """Four segments of a quarter of the rows each, as an LSM tree has them."""

    def __init__(self, boxes: Boxes) -> None:
        rows = np.arange(len(boxes))
        trees = [open_segment(build(rows[part::4], boxes[part::4])) for part in range(4)]
        self.size = sum(tree.nbytes for tree in trees)
        stack = Stack(trees)
        self.window = stack.window
        self.nearest = lambda x, y: len(stack.nearest((x, y), NEAREST)[0])


class Geoindex(Contestant):
    """geoindex-rs, Hilbert: a static tree in Rust."""

    def __init__(self, boxes: Boxes) -> None:
        rtree: Any = importlib.import_module("geoindex_rs.rtree")
        builder = rtree.RTreeBuilder(len(boxes))
        builder.add(*(np.ascontiguousarray(column) for column in boxes.T))
        tree = builder.finish(method="hilbert")
        self.size = memoryview(tree).nbytes
        self.window = lambda box: rtree.search(tree, *box)
        self.nearest = lambda x, y: len(rtree.neighbors(tree, x, y, max_results=NEAREST))


class Shapely(Contestant):
    """shapely's STRtree: a static tree in C++ (GEOS)."""

    def __init__(self, boxes: Boxes) -> None:
        import shapely

        flat = bool((boxes[:, :2] == boxes[:, 2:]).all())
        tree = shapely.STRtree(shapely.points(boxes[:, :2]) if flat else shapely.box(*boxes.T))
        self.window = lambda box: tree.query(shapely.box(*box))
        self.batch = lambda windows: tree.query(shapely.box(*windows.T)).shape[1]


class LibRtree(Contestant):
    """Rtree over libspatialindex: a dynamic tree in C++."""

    def __init__(self, boxes: Boxes) -> None:
        from rtree import index

        tree = index.Index((np.arange(len(boxes)), boxes[:, :2].copy(), boxes[:, 2:].copy()))
        self.window = lambda box: list(tree.intersection(box))
        self.nearest = lambda x, y: len(list(tree.nearest((x, y, x, y), NEAREST))[:NEAREST])
        self.insert, self.delete = tree.insert, tree.delete


class Sqlite(Contestant):
    """SQLite's R*Tree in memory."""

    def __init__(self, boxes: Boxes) -> None:
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.execute("CREATE VIRTUAL TABLE t USING rtree(id, x0, x1, y0, y1)")
        db.execute("BEGIN")
        put = "INSERT INTO t VALUES (?, ?, ?, ?, ?)"
        db.executemany(put, ((row, b[0], b[2], b[1], b[3]) for row, b in enumerate(boxes.tolist())))
        find = "SELECT id FROM t WHERE x0 <= ? AND x1 >= ? AND y0 <= ? AND y1 >= ?"
        self.window = lambda b: db.execute(find, (b[2], b[0], b[3], b[1])).fetchall()
        self.insert = lambda row, b: db.execute(put, (row, b[0], b[2], b[1], b[3]))
        self.delete = lambda row, _: db.execute("DELETE FROM t WHERE id = ?", (row,))


class Unsuited(Exception):
    """A peer that cannot take these boxes; the message says why."""


class Scipy(Contestant):
    """scipy's cKDTree: points only, so its windows are squares."""

    def __init__(self, boxes: Boxes) -> None:
        from scipy.spatial import cKDTree

        if (boxes[:, :2] != boxes[:, 2:]).any():
            raise Unsuited("takes points only")
        tree = cKDTree(boxes[:, :2])
        self.window = lambda b: tree.query_ball_point(((b[0] + b[2]) / 2, (b[1] + b[3]) / 2), (b[2] - b[0]) / 2, p=np.inf)
        self.nearest = lambda x, y: len(tree.query((x, y), k=NEAREST)[0])


CONTESTANTS: dict[str, Callable[[Boxes], Contestant]] = {
    SEGMENT: lambda boxes: Ours(open_segment(build(np.arange(len(boxes)), boxes), verify=False)),
    RUNS: FourRuns,
    GROWN: _grown,
    PACKED: lambda boxes: Ours(RTree.bulk(np.arange(len(boxes)), boxes)),
    STATIC: Geoindex,
    "shapely": Shapely,
    "rtree": LibRtree,
    "sqlite": Sqlite,
    "scipy": Scipy,
}
DISTRIBUTIONS = {STATIC: "geoindex-rs", "shapely": "shapely", "rtree": "rtree", "scipy": "scipy"}


@dataclass
class Result:
    """Least microseconds of each measure by contestant; `missing` says why a contestant or a measure is not there."""

    n: int
    shape: str
    seed: int
    repeats: int
    times: dict[str, dict[str, float]] = field(default_factory=dict)
    hits: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, what: str, microseconds: float) -> None:
        """Keep the least."""
        mine = self.times.setdefault(name, {})
        mine[what] = min(microseconds, mine.get(what, math.inf))

    def verdicts(self) -> list[dict[str, Any]]:
        """Each goal with what was reached; what was not measured is left out."""
        rows: list[dict[str, Any]] = []

        def judge(what: str, goal: float, got: float | None, unit: str) -> None:
            if got is not None:
                rows.append({"what": what, "goal": goal, "got": got, "unit": unit, "pass": got <= goal})

        for name, most in ((SEGMENT, 1.5), (RUNS, 3.0), (GROWN, 1.5)):
            for what in (*AREAS, "nearest"):
                ours, theirs = self.times.get(name, {}).get(what), self.times.get(STATIC, {}).get(what)
                judge(f"{name}: {what} / {STATIC}", most, ours / theirs if ours and theirs else None, "×")
        mine = self.times.get(SEGMENT, {})
        judge("segment: bulk", 200, 1000 * mine["build"] if mine else None, "ns an entry")
        for what, most in (("insert", 3.0), ("delete", 5.0)):
            judge(f"RTree: {what}", most, self.times.get(GROWN, {}).get(what), "µs")
        return rows


def entries(n: int, shape: str, seed: int) -> Boxes:
    """Uniform points, points in 200 clusters of Gaussian spread 0.005, or boxes of up to 0.1 % of the side, in the unit square."""
    rng = np.random.default_rng(seed)
    corner = rng.random((n, 2))
    if shape == "clusters":
        corner = rng.random((200, 2))[rng.integers(0, 200, n)] + rng.normal(0, 0.005, (n, 2))
    size = rng.random((n, 2)) * 1e-3 if shape == "boxes" else np.zeros((n, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32).astype(float)  # SQLite keeps floats of 32 bits


def _clocked(work: Callable[[], Any], times: int) -> float:
    """Microseconds of the processor a time."""
    start = time.thread_time()
    work()
    return 1e6 * (time.thread_time() - start) / times


def _ask(name: str, one: Contestant, result: Result, boxes: Boxes, fast: bool) -> None:
    rng = np.random.default_rng(result.seed + 1)
    for what, area in AREAS.items():
        centres = boxes[rng.integers(0, result.n, 500), :2] if result.shape == "clusters" else rng.random((500, 2))
        side = math.sqrt(area) / 2
        windows = np.concatenate([centres - side, centres + side], axis=1)[: 500 if fast else 50]
        asked = [tuple(w) for w in windows.tolist()]
        found = sum(len(one.window(box)) for box in asked[:50])
        if abs(found - result.hits.setdefault(what, found)) > 1e-4 * found + 2:  # numbers on an edge are rounded
            raise RuntimeError(f"{name} finds {found} rows in 50 windows of {area}, others {result.hits[what]}")
        result.note(name, what, _clocked(lambda asked=asked: [one.window(box) for box in asked], len(asked)))  # type: ignore[misc]
        if one.ordered and what == LARGEST:
            result.note(name, SORTED, _clocked(lambda asked=asked, ordered=one.ordered: [ordered(box) for box in asked], len(asked)))  # type: ignore[misc]
        if one.batch and what == "window 1e-5":
            result.note(name, "batch 1e-5", _clocked(lambda windows=windows: one.batch(windows), len(windows)))  # type: ignore[misc]
    if one.nearest:
        spots = rng.random((500 if fast else 50, 2)).tolist()
        assert one.nearest(*spots[0]) == min(NEAREST, result.n)
        result.note(name, "nearest", _clocked(lambda: [one.nearest(x, y) for x, y in spots], len(spots)))  # type: ignore[misc]


def _change(name: str, one: Contestant, result: Result) -> None:
    """New boxes in, then out again."""
    if not one.insert or not one.delete:
        return
    fresh = [tuple(box) for box in entries(min(20_000, result.n), result.shape, result.seed + 2).tolist()]
    insert, delete = one.insert, one.delete
    result.note(name, "insert", _clocked(lambda: [insert(result.n + i, box) for i, box in enumerate(fresh)], len(fresh)))
    some = list(enumerate(fresh))[: 500 if name == "rtree" else len(fresh)]  # a millisecond each
    result.note(name, "delete", _clocked(lambda: [delete(result.n + i, box) for i, box in some], len(some)))
    for i, box in list(enumerate(fresh))[len(some) :]:
        delete(result.n + i, box)


def bench(names: Sequence[str], result: Result, told: Callable[[str], None]) -> Result:
    """Build all contestants and let them answer in turn; `told` hears what is about to run."""
    boxes = entries(result.n, result.shape, result.seed)
    made: dict[str, Contestant] = {}
    for name in names:
        told(f"building {name}")
        try:
            if name in DISTRIBUTIONS:
                result.versions[name] = metadata.version(DISTRIBUTIONS[name])
            holder: list[Contestant] = []
            for _ in range(1 if name in (GROWN, "sqlite", "rtree") else result.repeats):
                holder.clear()
                result.note(name, "build", _clocked(lambda name=name, holder=holder: holder.append(CONTESTANTS[name](boxes)), result.n))  # type: ignore[misc]
            made[name] = holder[0]
        except (ImportError, metadata.PackageNotFoundError):
            result.missing[name] = "is not installed"
        except Unsuited as why:
            result.missing[name] = str(why)
    for repeat in range(result.repeats):
        for name, one in made.items():
            told(f"{name}, repeat {repeat + 1} of {result.repeats}")
            _ask(name, one, result, boxes, fast=name not in ("sqlite", "rtree"))
            _change(name, one, result)
    for name, one in made.items():
        if one.size:
            result.times[name]["bytes"] = one.size / result.n
    return result


def command(
    *,
    n: Annotated[int, typer.Option("--n", min=100, help="Entries.")] = 1_000_000,
    shape: Annotated[str, typer.Option("--shape", help="points, clusters or boxes.")] = "points",
    contestants: Annotated[str, typer.Option("--contestants", help="Names with commas between.")] = ",".join(CONTESTANTS),
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 6,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """R-trees beside geoindex-rs, shapely, Rtree, SQLite and scipy: microseconds, ratios, goals.

    Example: lsmlab bench spatial --shape clusters
    """
    with guarded():
        names = [name.strip() for name in contestants.split(",")]
        for name in names:
            if name not in CONTESTANTS:
                raise ValueError(f"unknown contestant {name!r}; there are: {', '.join(CONTESTANTS)}")
        if shape not in SHAPES:
            raise ValueError(f"shape is {shape!r}; allowed: {', '.join(SHAPES)}")
        done = 0
        with progress(len(names) * (1 + repeats), "bench") as told:

            def heard(text: str) -> None:
                nonlocal done
                told(text, done)
                done += 1

            result = bench(names, Result(n, shape, seed, repeats), heard)
        emit({**asdict(result), "goals": result.verdicts()}, as_json, lambda: _show(result))
        if not all(v["pass"] for v in result.verdicts()):
            raise typer.Exit(PROBLEMS)


def _show(result: Result) -> None:
    measures = ["build", "bytes", *AREAS, SORTED, "batch 1e-5", "nearest", "insert", "delete"]
    rows = []
    for name, times in result.times.items():
        cells = [f"{1000 * times['build']:.0f}", *(f"{times[m]:.1f}" if m in times else "–" for m in measures[1:])]
        rows.append([name, *cells])
    hits = ", ".join(f"{what.split()[1]}: {found / 50:.0f}" for what, found in result.hits.items())
    title = f"{result.n:,} {result.shape}; microseconds a call, build in ns an entry, bytes an entry; hits a window of {hits}"
    print_table(title, ["", *measures], rows)
    goals = [[v["what"], f"≤ {v['goal']:g} {v['unit']}", f"{v['got']:.2f}", "PASS" if v["pass"] else "FAIL"] for v in result.verdicts()]
    print_table("goals", ["what", "goal", "reached", ""], goals, 2)
    for name, why in result.missing.items():
        out.print(f"{name}: {why}", markup=False)
    out.print(", ".join(f"{name} {v}" for name, v in {**result.versions, "sqlite": sqlite3.sqlite_version}.items()), markup=False)
