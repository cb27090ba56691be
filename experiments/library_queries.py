"""What `lsmlab library` asks: queries of every type, drawn from the rows with a seed, for both stores, and whether they agree."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

import numpy as np

from indexes.text import bm25
from lsm.secondary import Predicate, Table, col, intersects
from lsm.secondary import text as words_of

from . import bench_text
from .library_corpus import COLUMNS, Row

Peer = Callable[[Connection], Any]
_ALL = ", ".join(f"d.{c}" for c in (*COLUMNS[:-1], "x", "y"))
_BOX = "t.x <= ? and t.a >= ? and t.y <= ? and t.b >= ?"
_SCORING = bm25("fts5")  # the formula of the peer, so that answers can be compared


class Disagreement(ValueError):
    """The two stores answered a query differently."""


@dataclass(frozen=True)
class Query:
    """One query: its type, for people, for both stores; ``condition``: what `explain` is told, where it has one."""

    kind: str
    said: str
    ours: Callable[[Table], Any]
    theirs: Peer
    condition: Predicate | None = None


def agree(query: Query, ours: Any, theirs: Any) -> int:
    """Return how many rows (or what number) both found. Disagreement names the query and both answers."""
    a, b = _plain(ours), _plain(theirs)
    if isinstance(a, float | int):
        same = isinstance(b, float | int) and math.isclose(a, b, rel_tol=1e-9)
    elif query.kind in RANKED:
        same = np.allclose([s for _, s in a], [abs(s) for _, s in b], rtol=1e-5, atol=1e-9) if len(a) == len(b) else False
        edge = a[-1][1] if a else 0
        same = same and not {i for i, s in a if not math.isclose(s, edge, rel_tol=1e-5)} - {i for i, _ in b}  # ties at the end may differ
    else:
        same = sorted(a) == sorted(b)
    if not same:
        raise Disagreement(f"{query.kind}: {query.said}\n  this package: {_short(a)}\n  SQLite:       {_short(b)}")
    return int(a) if isinstance(a, float | int) else len(a)


def _short(answer: Any) -> str:
    return f"{answer!r:.300}" if isinstance(answer, float | int) else f"{len(answer)}: {sorted(answer)!r:.300}"


def _plain(answer: Any) -> Any:
    """A number, or tuples: of whole rows, of (row id, score), or of columns."""
    if isinstance(answer, float | int):
        return answer
    if answer and isinstance(answer[0], dict):
        return [tuple(v for c in row.values() for v in (c if isinstance(c, list | tuple) else (c,))) for row in answer]
    if answer and isinstance(answer[0][0], dict):
        return [(row["id"], score) for row, score in answer]
    return answer


def _number(sql: str, *args: Any) -> Peer:
    return lambda con: con.execute(sql, args).fetchone()[0]


def _rows(sql: str, *args: Any) -> Peer:
    return lambda con: con.execute(sql, args).fetchall()


class Drawer:
    """Draws queries from rows."""

    def __init__(self, rows: Sequence[Row], queries: int, seed: int) -> None:
        self.rows, self.rng = rows, random.Random(seed)
        self.sorted = {c: sorted(r[c] for r in rows) for c in ("line", "lines", "words")}
        self.kinds = sorted({r["kind"] for r in rows})
        asked = bench_text.draw([r["text"] for r in rows], queries, seed)
        self.words = {kind: [a.words for a in asked if a.kind == kind] for kind in bench_text.TYPES}

    def range(self, column: str, most: float = 0.3) -> tuple[int, int]:
        """Between two values of a column: from a thousandth of the rows to a share, evenly on a logarithmic scale."""
        values = self.sorted[column]
        wide = int(len(values) * most * 10 ** -(2.5 * self.rng.random()))
        at = self.rng.randrange(max(1, len(values) - wide))
        return values[at], values[min(at + wide, len(values) - 1)]

    def box(self, most: float = 0.5) -> tuple[float, float, float, float]:
        """A window about the point of a row, with edges that 32 bits hold."""
        x, y = self.rng.choice(self.rows)["at"]
        w, h = (most * 10 ** -(1.2 * self.rng.random()) for _ in range(2))
        found: tuple[float, float, float, float] = tuple(np.array([x - w, y - h, x + w, y + h], np.float32).tolist())
        return found

    def draw(self, kind: str) -> Query:
        """One of a type."""
        return MAKERS[kind](self, kind)


def _by_name(d: Drawer, kind: str) -> Query:
    name = d.rng.choice(d.rows)["name"]
    where = col("name") == name
    return Query(kind, f"name = {name!r}", lambda t: t.find(where), _rows(f"select {_ALL} from library d where name = ?", name), where)


def _range(d: Drawer, kind: str) -> Query:
    low, high = d.range("line")
    where = col("line").between(low, high)
    theirs = _number("select count(*) from library where line between ? and ?", low, high)
    return Query(kind, f"line in {low}..{high}", lambda t: t.count(where), theirs, where)


def _columns(d: Drawer, kind: str) -> Query:
    row = d.rng.choice(d.rows)
    low, high = d.range("words", 0.9)
    where = (col("source") == row["source"]) & (col("kind") == row["kind"]) & col("words").between(low, high)
    sql = "select count(*) from library where source = ? and kind = ? and words between ? and ?"
    said = f"{row['source']}, {row['kind']}, {low}..{high} words"
    return Query(kind, said, lambda t: t.count(where), _number(sql, row["source"], row["kind"], low, high), where)


def _covering(d: Drawer, kind: str) -> Query:
    low, high = d.range("words", 0.02)
    where, wanted = col("words").between(low, high), ["id", "words", "name"]
    theirs = _rows("select id, words, name from library where words between ? and ?", low, high)
    return Query(kind, f"names of {low}..{high} words", lambda t: t.find(where, columns=wanted), theirs, where)


def _isin(d: Drawer, kind: str) -> Query:
    kinds = d.rng.sample(d.kinds, min(3, len(d.kinds)))
    where = col("kind").isin(kinds)
    theirs = _number(f"select count(*) from library where kind in ({', '.join('?' * len(kinds))})", *kinds)
    return Query(kind, f"kind in {', '.join(kinds)}", lambda t: t.count(where), theirs, where)


def _three(d: Drawer, kind: str) -> Query:
    one, (a, b), (p, q) = d.rng.choice(d.rows)["kind"], d.range("line", 0.5), d.range("lines", 0.5)
    where = (col("kind") == one) & col("line").between(a, b) & col("lines").between(p, q)
    theirs = _number("select count(*) from library where kind = ? and line between ? and ? and lines between ? and ?", one, a, b, p, q)
    return Query(kind, f"{one}, line in {a}..{b}, {p}..{q} lines long", lambda t: t.count(where), theirs, where)


def _sum(d: Drawer, kind: str) -> Query:
    low, high = d.range("line")
    where = col("line").between(low, high)
    theirs = _number("select total(lines) from library where line between ? and ?", low, high)
    return Query(kind, f"lines of those at {low}..{high}", lambda t: t.total("lines", where=where)[0], theirs, where)


def _top(d: Drawer, kind: str) -> Query:
    one = d.rng.choice(d.kinds)
    theirs = _rows(f"select d.id, d.lines, {_ALL} from library d where kind = ? order by lines desc limit 10", one)
    return Query(kind, f"longest of kind {one}", lambda t: t.top("lines", 10, where=col("kind") == one), _ranked(theirs))


def _ranked(peer: Peer) -> Peer:
    return lambda con: [row[:2] for row in peer(con)]


def _window(d: Drawer, kind: str) -> Query:
    x, y, a, b = d.box()
    theirs = _number(f"select count(*) from points t where {_BOX}", a, x, b, y)
    said = f"x in {x:.2f}..{a:.2f}, y in {y:.2f}..{b:.2f}"
    return Query(kind, said, lambda t: t.count(intersects("at", (x, y, a, b))), theirs, intersects("at", (x, y, a, b)))


def _nearest(d: Drawer, kind: str) -> Query:
    row = d.rng.choice(d.rows)
    x, y = (v + d.rng.uniform(-0.05, 0.05) for v in row["at"])
    start = 4 / math.sqrt(len(d.rows))
    sql = f"select t.id, (t.x - ?) * (t.x - ?) + (t.y - ?) * (t.y - ?) far from points t where {_BOX} order by far limit 10"

    def theirs(con: Connection) -> Any:
        reach = start
        while True:
            found = con.execute(sql, (x, x, y, y, x + reach, x - reach, y + reach, y - reach)).fetchall()
            if (len(found) == 10 and found[-1][1] <= reach * reach) or reach > 20:
                ids = ", ".join(str(i) for i, _ in found)
                con.execute(f"select {_ALL} from library d where id in ({ids})").fetchall()
                return [(i, math.sqrt(far)) for i, far in found]
            reach *= 2

    return Query(kind, f"nearest to ({x:.3f}, {y:.3f})", lambda t: t.nearest("at", (x, y), 10), theirs)


def _text(d: Drawer, kind: str) -> Query:
    drawn, ours, theirs = TEXTS[kind]
    words = d.rng.choice(d.words[drawn])
    where = words_of("text", ours.format(*words))
    peer = _number("select count(*) from search where search match ?", theirs.format(*words))
    return Query(kind, ours.format(*words), lambda t: t.count(where), peer, where)


def _best(d: Drawer, kind: str) -> Query:
    a, b = d.rng.choice(d.words["2 terms, or"])
    sql = f"select f.rowid, f.rank, {_ALL} from (select rowid, rank from search where search match ? order by rank limit 10) f"
    theirs = _rows(f"{sql} join library d on d.id = f.rowid order by f.rank", f'"{a}" OR "{b}"')
    return Query(kind, f"{a} {b}", lambda t: t.best("text", f"{a} {b}", 10, scoring=_SCORING), _ranked(theirs))


def _together(d: Drawer, kind: str) -> Query:
    (word,), (x, y, a, b), (low, high) = d.rng.choice(d.words["1 term, high df"]), d.box(2.0), d.range("words", 0.9)
    where = words_of("text", word) & intersects("at", (x, y, a, b)) & col("words").between(low, high)
    sql = "select count(*) from search join library d on d.id = search.rowid join points t on t.id = d.id where search match ? and"
    theirs = _number(f"{sql} {_BOX} and d.words between ? and ?", f'"{word}"', a, x, b, y, low, high)
    return Query(kind, f"{word}, {low}..{high} words, in a window", lambda t: t.count(where), theirs, where)


ONE, BEST, NEAREST, TOP, SEEN = "one word", "best 10 of two words", "nearest 10", "longest 10 of a kind", "replace a row and find it"
TOGETHER, THREE = "word, window and range together", "three indexes together"
RANKED = frozenset((BEST, NEAREST, TOP))
TEXTS = {
    ONE: ("1 term, middle", "{}", '"{}"'),
    "two words, both": ("2 terms, and", "+{} +{}", '"{}" AND "{}"'),
    "phrase of two": ("phrase of 2", '"{} {}"', '"{} {}"'),
    "prefix of four letters": ("prefix of 4", "{}*", '"{}"*'),
}
MAKERS: dict[str, Callable[[Drawer, str], Query]] = {
    "row by name": _by_name,
    "range, counted": _range,
    "three columns of one index": _columns,
    "range, columns in the index": _covering,
    "one of three values, counted": _isin,
    THREE: _three,
    "sum over a range": _sum,
    TOP: _top,
    "window, counted": _window,
    NEAREST: _nearest,
    **dict.fromkeys(TEXTS, _text),
    BEST: _best,
    TOGETHER: _together,
}
BY = {  # which indexes answer, here
    "row by name": "hash", "range, counted": "ordered", "three columns of one index": "ordered", "range, columns in the index": "ordered",
    "one of three values, counted": "bitmap", THREE: "bitmap, ordered, sliced", "sum over a range": "sliced, ordered",
    TOP: "sliced, bitmap", "window, counted": "R-tree", NEAREST: "R-tree", **dict.fromkeys(TEXTS, "text"), BEST: "text",
    TOGETHER: "text, R-tree, ordered", SEEN: "all nine",
}  # fmt: skip
