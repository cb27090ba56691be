"""`lsmlab library`: rows and places of this machine in a table with every kind of index, and in SQLite, measured by turns in one run.

Every answer is compared between the two. Times are wall time of one thread; every query is asked once, so nothing remembers it.
"""

from __future__ import annotations

import math
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from indexes.text import snippet
from lsm.secondary import col, intersects
from lsm.secondary import text as words_of

from .capture import machine
from .library_corpus import Row, corpus, on_sphere, places
from .library_queries import MAKERS, RANKED, SEEN, THREE, TOGETHER, Disagreement, Drawer, Query, agree
from .library_stores import INDEXES, THEM, US, Ours, Theirs, batches
from .processes import version

Told = Callable[[str], None]


@dataclass
class Asked:
    """Microseconds of each query of a type by store, how many rows they found on the average, and one of them for people."""

    times: dict[str, list[float]]
    found: float
    example: str

    def median(self, store: str) -> float:
        """The median query."""
        return statistics.median(self.times[store])

    @property
    def ratio(self) -> float:
        """Times as fast as SQLite: medians."""
        return self.median(THEM) / self.median(US)


@dataclass
class Result:
    """Everything the page shows. Seconds and bytes are by store."""

    rows: int
    queries: int
    seed: int
    sources: str = ""
    megabytes: float = 0.0
    load: dict[str, float] = field(default_factory=dict)
    load_indexed: dict[str, float] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)
    size_indexed: dict[str, int] = field(default_factory=dict)
    build: dict[str, dict[str, float]] = field(default_factory=dict)
    bytes: dict[str, dict[str, int]] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    compared: int = 0
    explained: list[tuple[str, str, str]] = field(default_factory=list)
    searches: list[dict[str, Any]] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)
    window: dict[str, Any] = field(default_factory=dict)
    map: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json: medians in the place of all times."""
        kept = {k: v for k, v in asdict(self).items() if k not in ("asked", "points", "searches", "window", "map")}
        medians = {kind: {s: a.median(s) for s in (US, THEM)} | {"ratio": a.ratio, "found": a.found} for kind, a in self.asked.items()}
        return kept | {"microseconds": medians}


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = run()
    return time.perf_counter() - start, answer


def _load(store: Ours | Theirs, rows: Sequence[Row]) -> float:
    """Seconds until all rows are in files."""

    def run() -> None:
        for some in batches(rows):
            store.put(some)
        store.settle()

    return _timed(run)[0]


def _build(result: Result, ours: Ours, theirs: Theirs, told: Told) -> None:
    for spec in INDEXES:
        told(f"index {spec.title}")
        before = theirs.pages_bytes()
        result.build[spec.name] = {US: _timed(partial(ours.index, spec))[0], THEM: _timed(partial(theirs.index, spec))[0]}
        result.bytes[spec.name] = {US: ours.index_bytes()[spec.name], THEM: theirs.pages_bytes() - before}
    theirs.settle()
    theirs.analyze()


def _pass(queries: Sequence[Query], ours: Ours, theirs: Theirs, times: dict[str, list[float]]) -> list[int]:
    """Ask all of both, by turns; note the microseconds; return what was found. Disagreement when answers differ."""
    found = []
    for i, q in enumerate(queries):
        asks: dict[str, Callable[[], Any]] = {US: partial(q.ours, ours.table), THEM: partial(q.theirs, theirs.con)}
        answers = {}
        for name in (US, THEM) if i % 2 else (THEM, US):
            seconds, answers[name] = _timed(asks[name])
            times[name].append(1e6 * seconds)
        found.append(agree(q, answers[US], answers[THEM]))
    return found


def _ask(result: Result, queries: dict[str, list[Query]], ours: Ours, theirs: Theirs, told: Told) -> None:
    for kind, some in queries.items():
        told(kind)
        times: dict[str, list[float]] = {US: [], THEM: []}
        found = _pass(some, ours, theirs, times)
        result.compared += len(some)
        middle = sorted(range(len(some)), key=found.__getitem__)[len(some) // 2]
        result.asked[kind] = Asked(times, 10.0 if kind in RANKED else statistics.mean(found), some[middle].said)


def _again(result: Result, some: Sequence[Query], ours: Ours, theirs: Theirs) -> None:
    result.compared += len(_pass(some, ours, theirs, {US: [], THEM: []}))


def _replace(result: Result, rows: Sequence[Row], ours: Ours, theirs: Theirs) -> None:
    """Change rows, each found by a word that is new in it before the next is changed."""
    times: dict[str, list[float]] = {US: [], THEM: []}
    for i, old in enumerate(rows):
        word = f"changed{i}word"
        row = old | {"text": f"{old['text']} {word}", "words": old["words"] + 1, "lines": old["lines"] + 1}
        for name in (US, THEM) if i % 2 else (THEM, US):
            start = time.perf_counter()
            if name == US:
                ours.put((row,))
                found = [r["id"] for r in ours.table.find(words_of("text", word))]
            else:
                theirs.replace(row)
                found = [
                    r[0]
                    for r in theirs.con.execute("select d.* from search f join library d on d.id = f.rowid where search match ?", (word,))
                ]
            times[name].append(1e6 * (time.perf_counter() - start))
            if found != [row["id"]]:
                raise Disagreement(f"{name}: row {row['id']} was replaced, {word!r} finds {found}")
    result.asked[SEEN] = Asked(times, 1.0, "a word added to the text of a row, then searched")


def _shown(result: Result, queries: dict[str, list[Query]], rows: Sequence[Row], ours: Ours, drawer: Drawer) -> None:
    """What the page shows of the answers themselves."""
    for kind in (THREE, TOGETHER):
        q = max(queries[kind], key=lambda q: ours.table.count(q.condition))
        result.explained.append((kind, repr(q.condition), ours.table.explain(q.condition)))
    for query in ('"memory leak"', "lock thread wait", "+random +seed"):
        found = ours.table.best("text", query, 3)
        snippets = [(r["name"], r["source"], s, snippet(r["text"], query, tokens=30, before="\x01", after="\x02")) for r, s in found]
        result.searches.append({"query": query, "found": snippets, "count": ours.table.count(words_of("text", query))})
    x, y, a, b = (float(v) for v in np.quantile([r["at"] for r in rows], [0.35, 0.65], axis=0).ravel())
    inside = ours.table.find(intersects("at", (x, y, a, b)))
    near = ours.table.nearest("at", (2.0, 3.4), 10)
    result.points = [r["at"] for r in drawer.rng.sample(list(rows), min(len(rows), 20_000))]
    result.window = {"box": (x, y, a, b), "inside": len(inside), "near": [r["at"] for r, _ in near]}


def _map(result: Result, ours: Ours, seed: int) -> None:
    """Places in a table of their own: the nearest over ground to one of them, and those in a window, checked against all."""
    rows, source = places()
    if not rows:
        return
    table = ours.db.table("places", key="id")
    table.create_index("where", "at", kind="rtree")
    table.create_index("ground", "sphere", kind="rtree", dims=3)
    table.put_many(rows)
    centre = rows[seed * 7919 % len(rows)]
    near = table.nearest("sphere", centre["sphere"], 9)
    truth = sorted(math.dist(r["sphere"], on_sphere(*centre["at"])) for r in rows)[:9]
    box = (60.0, -12.0, 150.0, 35.0)
    inside = table.find(intersects("at", box) & ~(col("name") == centre["name"]))
    wanted = {r["id"] for r in rows if box[0] <= r["at"][0] <= box[2] and box[1] <= r["at"][1] <= box[3] and r is not centre}
    if any(abs(s - t) > 1e-9 for (_, s), t in zip(near, truth, strict=True)) or {r["id"] for r in inside} != wanted:
        raise Disagreement(f"places about {centre['name']}, and in {box}: {near!r:.200}, {inside!r:.200}")
    kilometres = [(r["name"], r["at"], 2 * 6371 * math.asin(min(1.0, s / 2))) for r, s in near]
    result.map = {"source": source, "places": [r["at"] for r in rows], "near": kilometres, "box": box}
    result.map["inside"] = [(r["name"], r["at"]) for r in inside]


def bench(result: Result, home: Path, told: Told) -> Result:
    """Run everything into an empty result, with databases under home. Disagreement when the stores answer differently."""
    rows, result.sources = corpus(result.rows, result.seed, told)
    result.rows, result.megabytes = len(rows), sum(len(r["text"].encode()) for r in rows) / 1e6
    result.machine = machine()
    result.versions = {US: version("lsmlab"), THEM: sqlite3.sqlite_version, "python": platform.python_version(), "numpy": version("numpy")}
    drawer = Drawer(rows, result.queries, result.seed)
    queries = {kind: [drawer.draw(kind) for _ in range(result.queries)] for kind in MAKERS}
    ours, theirs = Ours(home / "plain"), Theirs(home / "plain")
    for name, store in ((US, ours), (THEM, theirs)):
        told(f"loading into {name}, no indexes yet")
        result.load[name] = _load(store, rows)
        result.size[name] = store.bytes()
        store.read()
    _build(result, ours, theirs, told)
    _ask(result, queries, ours, theirs, told)
    told("what the page shows")
    _shown(result, queries, rows, ours, drawer)
    _map(result, ours, result.seed)
    told("replacing rows")
    _replace(result, drawer.rng.sample(rows, min(len(rows), result.queries)), ours, theirs)
    some = [q for kind in queries.values() for q in kind[:5]]
    for stage in ("with changes in memory", "with changes in files"):
        told(f"asking again, {stage}")
        _again(result, some, ours, theirs)
        ours.settle()
    ours.close()
    theirs.close()
    _load_indexed(result, rows, some, home, told)
    return result


def _load_indexed(result: Result, rows: Sequence[Row], some: Sequence[Query], home: Path, told: Told) -> None:
    """Load again, with the indexes there from the start, and ask a few."""
    ours, theirs = Ours(home / "indexed"), Theirs(home / "indexed")
    for spec in INDEXES:
        ours.index(spec)
        theirs.index(spec, fill=False)
    for name, store in ((US, ours), (THEM, theirs)):
        told(f"loading into {name} with all indexes")
        result.load_indexed[name] = _load(store, rows)
        result.size_indexed[name] = store.bytes()
    theirs.analyze()
    told("asking again, after the load with indexes")
    _again(result, some, ours, theirs)
    if wrong := ours.table.scrub():
        raise Disagreement(f"indexes and rows: {wrong[:3]}")
    ours.close()
    theirs.close()
