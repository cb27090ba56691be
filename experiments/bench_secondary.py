"""`lsmlab bench secondary`: what secondary indexes cost and give, beside SQLite's on the same rows, in one run.

Kernel says: a call of a segment's view in Python, the least of repeats all over the run; batches are of packed keys, and of lists of bytes.

Every way begins with an empty database: n rows of 100 bytes in batches, then updates of random rows, then everything is flushed, with the
components of the index as the writes left them; then all are merged to one. It does so twice, and the less counts. Costs of writing are the
processor time of all threads of the process. Hits are row sets; no row is read. Columns: "some" has n / 10,000 values (10,000 hits each),
"many" n / 100, "n" is unique, "at" a point.
"""

from __future__ import annotations

import math
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import lsm
from indexes import bitmap, ordered
from lsm import keys as key_code
from lsm.secondary import Table
from lsm.secondary.predicate import Leaf

BATCH = 1000
SOME, MANY = 10_000, 100  # hits of a value
PROBES, TURNS = 200, 9  # of the turns of a question the quickest counts
ROUNDS = 2
ASKED_SECONDS = 3.0  # and it has at least so many seconds of turns: the machine is slow for whole seconds at a time
WRITE_BUFFER = 8 << 20
INTERSECTED = 10_000_000
Row = dict[str, Any]


class Way(NamedTuple):
    """An index to keep, or none; ``peer``: SQLite's B-tree."""

    name: str
    column: str | None = None
    kind: str = ""
    peer: bool = False


WAYS = (
    Way("no index"),
    Way("ordered, unique", "n", "ordered"),
    Way("ordered, some", "some", "ordered"),
    Way("ordered, many", "many", "ordered"),
    Way("hash, unique", "n", "hash"),
    Way("hash, some", "some", "hash"),
    Way("hash, many", "many", "hash"),
    Way("bitmap, some", "some", "bitmap"),
    Way("bitmap, many", "many", "bitmap"),
    Way("rtree", "at", "rtree"),
    Way("sqlite, no index", peer=True),
    Way("sqlite, unique", "n", peer=True),
    Way("sqlite, some", "some", peer=True),
    Way("sqlite, many", "many", peer=True),
)


@dataclass
class Result:
    """What one run found: of each way, microseconds a row and nanoseconds a hit; of the rest, what `goals` names."""

    n: int
    updates: int
    seed: int
    ways: dict[str, dict[str, float]] = field(default_factory=dict)
    more: dict[str, float] = field(default_factory=dict)

    def goals(self) -> list[dict[str, Any]]:
        """Each goal with what was reached."""
        found: list[dict[str, Any]] = []

        def at_most(what: str, goal: float, got: float | None, unit: str) -> None:
            if got is not None and not math.isnan(got):
                found.append({"what": what, "goal": goal, "got": got, "unit": unit, "pass": got <= goal})

        base = self.ways.get("no index", {})
        for name, got in self.ways.items():
            if name.startswith("sqlite"):
                continue
            for what in ("insert", "update"):
                if name != "no index" and base:
                    at_most(f"{name}: an index adds to an {what}", 5, got[what] - base[what], "µs")
            if "some" in name:
                at_most(f"{name}: one of {SOME:,} hits, as written", 50, got.get("hit before"), "ns")
                at_most(f"{name}: one of {SOME:,} hits, merged", 5, got.get("hit after"), "ns")
        at_most("intersection over 10M rows, row sets", 0.3, self.more.get("intersection"), "ms")
        at_most("ordered: one key, kernel", 1000, self.more.get("one key"), "ns")
        at_most("ordered: a key of a batch, kernel", 100, self.more.get("batched key"), "ns")
        at_most("ordered: a range of 100, kernel", 5, self.more.get("range of 100"), "µs")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        plain = {"n": self.n, "updates": self.updates, "seed": self.seed, "sqlite": sqlite3.sqlite_version}
        return {**plain, "ways": self.ways, "more": self.more, "goals": self.goals()}


def rows_of(ids: np.ndarray[Any, Any], n: int, rng: np.random.Generator) -> list[Row]:
    """Return rows of 100 bytes with these keys."""
    size = len(ids)
    columns = (
        ids.tolist(),
        rng.integers(0, max(1, n // SOME), size).tolist(),
        rng.integers(0, max(1, n // MANY), size).tolist(),
        rng.integers(0, 1 << 40, size).tolist(),
        map(tuple, rng.random((size, 2)).tolist()),
    )
    return [{"id": i, "some": a, "many": b, "n": c, "at": at, "pad": "x" * 44} for i, a, b, c, at in zip(*columns, strict=True)]


def batches(n: int, updates: int, seed: int) -> Iterator[tuple[str, list[Row]]]:
    """Yield ("insert" or "update", rows): the same for every way."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    for at in range(0, n, BATCH):
        yield "insert", rows_of(order[at : at + BATCH], n, rng)
    for at in range(0, updates, BATCH):
        yield "update", rows_of(rng.integers(0, n, min(BATCH, updates - at)), n, rng)


def bench(chosen: list[Way], result: Result, home: Path, told: Callable[[str], None]) -> Result:
    """Run everything into an empty result; `told` hears what is about to run.

    Every way runs in each of `ROUNDS`, one after the other, and the kernels take a turn after every way: the least of times that all
    fall into one slow minute of the machine says more of the machine than of the index.
    """
    told("kernels")
    kernels = Kernels(result.n, result.seed)
    kernels.turn()
    for turn in range(ROUNDS):
        for way in chosen:
            told(f"{way.name} ({turn + 1} of {ROUNDS})")
            folder = home / f"{way.name.replace(', ', '-').replace(' ', '-')}-{turn}"
            got = _sqlite(way, result, folder) if way.peer else _ours(way, result, folder)
            shutil.rmtree(folder)
            least = result.ways.setdefault(way.name, got)
            least.update({what: min(value, least[what]) for what, value in got.items()})
            kernels.turn()
    result.more |= kernels.best
    return result


def _written(result: Result, put: Callable[[list[Row]], Any], settle: Callable[[], Any]) -> dict[str, float]:
    """Microseconds of the process a row, what is done at the end shared out."""
    spent = {"insert": 0.0, "update": 0.0}
    for what, rows in batches(result.n, result.updates, result.seed):
        start = time.process_time()
        put(rows)
        spent[what] += time.process_time() - start
    start = time.process_time()
    settle()
    share = (time.process_time() - start) / (result.n + result.updates)
    counts = {"insert": result.n, "update": max(1, result.updates)}
    return {what: 1e6 * (spent[what] / counts[what] + share) for what in spent}


def _questions(way: Way, n: int, seed: int) -> list[Leaf]:
    rng = np.random.default_rng(seed + 1)
    if way.kind == "rtree":
        side = math.sqrt(SOME / n)
        return [Leaf("at", "intersects", ((x, y, x + side, y + side),)) for x, y in (rng.random((PROBES, 2)) * (1 - side)).tolist()]
    assert way.column is not None
    values = rng.integers(0, max(1, n // (SOME if way.column == "some" else MANY)), PROBES).tolist()
    return [Leaf(way.column, "in", (v,)) for v in values]


def _ours(way: Way, result: Result, folder: Path) -> dict[str, float]:
    with lsm.open(folder, write_buffer=WRITE_BUFFER) as db:
        table = db.table("rows")
        if way.column is not None:
            table.put_many(rows_of(np.arange(1), result.n, np.random.default_rng(0)))  # an index is made of columns that there are
            table.create_index("index", way.column, kind=way.kind)
        got = _written(result, table.put_many, table.flush)
        if way.column is None:
            return got
        got["components"] = float(len(table.riding.runs.components))
        asked = way.column != "n"
        if asked:
            got["hit before"], got["query before"] = _hits(table, way, result)
        table.compact()
        got["bytes"] = table.indexes()[0]["bytes"] / result.n
        if asked:
            got["hit after"], got["query after"] = _hits(table, way, result)
        return got


def _hits(table: Table, way: Way, result: Result) -> tuple[float, float]:
    """Nanoseconds a hit, and microseconds a query, of row sets: the index's part of a query."""
    index = table.index("index")
    queries = [next(iter(index.type.matches([leaf])))[0] for leaf in _questions(way, result.n, result.seed)]
    with table.moment() as moment:
        moment.stack.search(index.id, index.type, queries[0])  # what is made once for all is made
        best, hits = _least(lambda: sum(len(moment.stack.search(index.id, index.type, q)) for q in queries))
    return best / max(1, hits) * 1e9, best / len(queries) * 1e6


def _least(ask: Callable[[], int]) -> tuple[float, int]:
    """Return the least seconds of the turns, of which there are more where one is short, and what the last one counted."""
    best, spent, turns, count = math.inf, 0.0, 0, 0
    while turns < TURNS or spent < ASKED_SECONDS:
        start = time.thread_time()
        count = ask()
        took = time.thread_time() - start
        best, spent, turns = min(best, took), spent + took, turns + 1
    return best, count


def _sqlite(way: Way, result: Result, folder: Path) -> dict[str, float]:
    folder.mkdir()
    db = sqlite3.connect(folder / "db", isolation_level=None)
    try:
        for line in ("journal_mode = wal", "synchronous = normal", "cache_size = -65536"):
            db.execute(f"pragma {line}")
        db.execute("create table rows (id integer primary key, some integer, many integer, n integer, x real, y real, pad text)")
        if way.column is not None:
            db.execute(f"create index i on rows ({way.column})")

        def put(rows: list[Row]) -> None:
            db.execute("begin")
            values = ((r["id"], r["some"], r["many"], r["n"], *r["at"], r["pad"]) for r in rows)
            db.executemany("insert or replace into rows values (?, ?, ?, ?, ?, ?, ?)", values)
            db.execute("commit")

        got = _written(result, put, lambda: db.execute("pragma wal_checkpoint"))
        if way.column is None:
            return got
        if way.column != "n":
            got["hit before"], got["query before"] = _sqlite_hits(db, way, result)
        pages = db.execute("pragma page_count").fetchone()[0]
        free = db.execute("pragma freelist_count").fetchone()[0]
        db.execute("drop index i")
        freed = db.execute("pragma freelist_count").fetchone()[0] - free - (pages - db.execute("pragma page_count").fetchone()[0])
        got["bytes"] = freed * db.execute("pragma page_size").fetchone()[0] / result.n
        return got
    finally:
        db.close()


def _sqlite_hits(db: sqlite3.Connection, way: Way, result: Result) -> tuple[float, float]:
    values = [q.values[0] for q in _questions(way, result.n, result.seed)]
    best, hits = _least(lambda: sum(len(db.execute(f"select id from rows where {way.column} = ?", (v,)).fetchall()) for v in values))
    return best / max(1, hits) * 1e9, best / len(values) * 1e6


class Kernels:
    """Segments alone, without a table: ordered hits among n unique keys, and two bitmap segments over ``INTERSECTED`` rows."""

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        values = np.unique(rng.integers(1 << 39, 1 << 40, n))  # keys of 7 bytes
        encoded = key_code.indexed(values.tolist(), key_code.encode)
        self.view = ordered.open(ordered.build(encoded, np.arange(len(values))))
        places = rng.integers(0, len(values) - 101, 20_000)
        self.keys = [encoded[i] for i in places.tolist()]
        self.packed = np.frombuffer(b"".join(self.keys), f"V{len(self.keys[0])}")
        self.ranges = [(encoded[i], encoded[i + 100]) for i in places[:5000].tolist()]
        drawn = (rng.integers(0, 100, INTERSECTED).astype(">u2").view("V2") for _ in range(2))
        self.bitmaps = [bitmap.open(bitmap.build(column, np.arange(INTERSECTED))) for column in drawn]
        self.values = [int(v).to_bytes(2, "big") for v in range(PROBES // 2)]
        self.best: dict[str, float] = {}

    def turn(self) -> None:
        """Time everything once more: nanoseconds of one call and of a key of a batch, microseconds of a range, milliseconds of an AND."""
        view, keys = self.view, self.keys
        self._least("one key", 1e9, len(keys), lambda: [view.first(k) for k in keys])
        self._least("one key, rows", 1e9, len(keys), lambda: [view.lookup(k) for k in keys])
        self._least("batched key", 1e9, len(keys), lambda: view.lookup_many(self.packed))
        self._least("batched key, list", 1e9, len(keys), lambda: view.lookup_many(keys))
        self._least("range of 100", 1e6, len(self.ranges), lambda: [view.range_rows(a, b) for a, b in self.ranges])
        self._least("intersection", 1e3, len(self.values), self._intersect)

    def _intersect(self) -> int:
        one, two = self.bitmaps
        found = sum(len(one.equal(a) & two.equal(b)) for a, b in zip(self.values, reversed(self.values), strict=True))
        assert found
        return found

    def _least(self, name: str, unit: float, count: int, call: Callable[[], Any]) -> None:
        for _ in range(TURNS):
            start = time.thread_time()
            call()
            took = unit * (time.thread_time() - start) / count
            self.best[name] = min(took, self.best.get(name, took))
