"""The two stores of `lsmlab library` with the same rows and indexes: a table of this package, and SQLite on disk in the same folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lsm
from lsm.secondary import Table

from .library_corpus import COLUMNS, Row

US, THEM = "lsmlab", "SQLite"
BATCH = 1000  # rows a transaction
_PAIRS = (("x", "y"), ("a", "b"))
_TOKENIZE = "tokenize='unicode61 remove_diacritics 0'"
_PUT = "insert into library values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_WORDS = "insert into search(rowid, text) values (?, ?)"
_PUT_POINT = "insert into points values (?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class Spec:
    """An index of both: how it is made here, and the statements there; ``fill`` for one that does not fill itself."""

    name: str
    columns: Any
    kind: str
    sql: str
    fill: tuple[str, ...] = ()
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """For people."""
        listed = self.columns if isinstance(self.columns, list) else [self.columns]
        kept = "".join(f" + {c}" for _, columns in self.params for c in columns) if self.params and self.kind == "ordered" else ""
        return f"{self.kind}: {', '.join(listed)}{kept}"

    @property
    def peer(self) -> str:
        """What SQLite has in its place."""
        return {"rtree": "R*Tree", "text": "FTS5"}.get(self.kind, "B-tree") if self.sql else "none"


INDEXES = (
    Spec("by_name", "name", "hash", "create index by_name on library(name)"),
    Spec("by_line", "line", "ordered", "create index by_line on library(line)"),
    Spec("shelf", ["source", "kind", "words"], "ordered", "create index shelf on library(source, kind, words)"),
    Spec("sizes", ["words"], "ordered", "create index sizes on library(words, name)", params=(("include", ("name",)),)),
    Spec("kinds", "kind", "bitmap", "create index kinds on library(kind)"),
    Spec("sources", "source", "bitmap", "create index sources on library(source)"),
    Spec("lengths", "lines", "sliced", "create index lengths on library(lines)"),
    Spec(
        "points",
        "at",
        "rtree",
        "create virtual table points using rtree(id, x, a, y, b)",
        ("insert into points select id, x, x, y, y from library",),
    ),
    Spec(
        "words",
        "text",
        "text",
        f"create virtual table search using fts5(text, content='library', content_rowid='id', {_TOKENIZE})",
        ("insert into search(search) values('rebuild')", "insert into search(search) values('optimize')"),
    ),
)


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows, some at a time."""
    return (rows[i : i + BATCH] for i in range(0, len(rows), BATCH))


class Ours:
    """A table. Its log is written, not synced, as SQLite's is here."""

    def __init__(self, home: Path) -> None:
        self.home = home / "lsmlab"
        self.db = lsm.open(self.home)
        self.table: Table = self.db.table("library", key="id")

    def put(self, rows: Sequence[Row]) -> None:
        """Write rows as one batch."""
        self.table.put_many(rows)

    def index(self, spec: Spec) -> None:
        """Make an index of what there is."""
        self.table.create_index(spec.name, spec.columns, kind=spec.kind, **dict(spec.params))

    def settle(self) -> None:
        """Have everything in files."""
        self.table.flush()
        self.db.wait()

    def read(self) -> None:
        """Pass over all rows."""
        for _ in self.table:
            pass

    def bytes(self) -> int:
        """In files, without the log, which has its room beforehand."""
        return sum(p.stat().st_size for p in self.home.rglob("*") if p.is_file() and p.suffix != ".log")

    def index_bytes(self) -> dict[str, int]:
        """Bytes by index."""
        return {x["name"]: x["bytes"] for x in self.table.indexes()}

    def close(self) -> None:
        """Let go."""
        self.db.close()


class Theirs:
    """SQLite: log written ahead, not synced at every commit, and room in memory for everything."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.path = home / "sqlite.db"
        self.con = sqlite3.connect(self.path, isolation_level=None)
        for pragma in ("journal_mode=wal", "synchronous=normal", "cache_size=-524288", "mmap_size=2147483648", "temp_store=memory"):
            self.con.execute(f"pragma {pragma}")
        self.con.execute(
            "create table library(id integer primary key, source text, name text, kind text, line integer, lines integer, words integer, "
            "text text, x real, y real)"
        )
        self.made: set[str] = set()

    def put(self, rows: Sequence[Row]) -> None:
        """Write rows as one transaction, into the virtual tables too."""
        with self.con:
            self.con.execute("begin")
            self.con.executemany(_PUT, [flat(row) for row in rows])
            if "points" in self.made:
                self.con.executemany(_PUT_POINT, [(r["id"], r["at"][0], r["at"][0], r["at"][1], r["at"][1]) for r in rows])
            if "words" in self.made:
                self.con.executemany(_PUT_WORDS, [(r["id"], r["text"]) for r in rows])

    def replace(self, row: Row) -> None:
        """Put a row in the place of the one of its id."""
        with self.con:
            self.con.execute("begin")
            self.con.execute("insert into search(search, rowid, text) select 'delete', id, text from library where id = ?", (row["id"],))
            self.con.execute("delete from points where id = ?", (row["id"],))
            self.con.execute("delete from library where id = ?", (row["id"],))
            self.put_one(row)

    def put_one(self, row: Row) -> None:
        """Insert a row within a transaction."""
        x, y = row["at"]
        self.con.execute(_PUT, flat(row))
        self.con.execute(_PUT_POINT, (row["id"], x, x, y, y))
        self.con.execute(_PUT_WORDS, (row["id"], row["text"]))

    def index(self, spec: Spec, *, fill: bool = True) -> None:
        """Make an index; of what there is."""
        self.con.execute(spec.sql)
        for statement in spec.fill if fill else ():
            self.con.execute(statement)
        self.made.add(spec.name)

    def settle(self) -> None:
        """Have everything in the file."""
        self.con.execute("pragma wal_checkpoint(truncate)")

    def read(self) -> None:
        """Pass over all rows."""
        self.con.execute("select sum(length(text)) from library").fetchone()

    def analyze(self) -> None:
        """Tell its planner what there is."""
        self.con.execute("analyze")

    def bytes(self) -> int:
        """In files."""
        return sum(p.stat().st_size for p in self.path.parent.glob("sqlite.db*"))

    def pages_bytes(self) -> int:
        """In pages that are used, so that what an index adds can be told."""
        used, free, size = (self.con.execute(f"pragma {p}").fetchone()[0] for p in ("page_count", "freelist_count", "page_size"))
        return int((used - free) * size)

    def close(self) -> None:
        """Let go."""
        self.con.close()


def flat(row: Row) -> tuple[Any, ...]:
    """The row as SQLite has it."""
    return (*(row[c] for c in COLUMNS[:-1]), *row["at"])
