"""Small databases with every kind of file, each with all that may ever be read from it: what the corruption campaign damages.

A sample is made in memory, in three parts: tables of several levels, range tombstones, two keyspaces and a table of rows with an index of
every kind; then a log that was not flushed; then a clean close, or a death. The log's part is a row of states, one a record: after
damage to the log, a state before the last is right if no promise was made for what is lost, and the loss is told.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import lsm
import recovery
from lsm.secondary import col, near, text
from recovery import wal_twin

HOME = "/db"
State = dict[str, Any]  # what is asked -> the answer
_WORDS = ["amber", "basalt", "cedar", "dune", "ember", "fjord", "glade", "harbour", "inlet", "juniper"]
_SMALL: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 1 << 16,
    "cache": {"capacity": 1 << 16, "shards": 1},
    "wal": {"segment_bytes": 1 << 12},
}


@dataclass(frozen=True)
class Logged:
    """A record of the log: its segment, its bytes [start, end), the promise that it makes, and its bytes [at, stop) of the file."""

    segment: str
    start: int
    end: int
    durable: int
    at: int
    stop: int


@dataclass(frozen=True)
class Sample:
    """Files by name, the options to open them with, and the states that the log goes through: one record leads from each to the next."""

    name: str
    options: dict[str, Any]
    files: dict[str, bytes]
    states: list[State]
    log: list[Logged]
    closed: bool
    key: bytes | None = None  # of an encrypted one
    ends: dict[str, int] = field(default_factory=dict)  # of files with reserved space that nothing is told of: where that begins

    def counts(self, name: str, data: bytes) -> bytes:
        """What of a file's bytes is to be noticed when it changes: not the space behind that is preallocated."""
        return data[: self.ends[name]] if name in self.ends else data.rstrip(b"\0")

    def least(self, damaged: Mapping[str, bytes]) -> int:
        """Return the first state that may come back: all is lost behind it that no whole record promises which is behind that."""
        last = len(self.states) - 1
        if self.closed:
            return last
        promised = 0
        for at, later in enumerate(self.log):
            data = damaged.get(later.segment, b"")
            if not later.durable or data[later.at : later.stop] != self.files[later.segment][later.at : later.stop]:
                continue
            covered = (r.segment != later.segment or r.start < later.durable for r in self.log[:at])
            promised = max(promised, sum(covered))
        return max(0, promised - (len(self.log) - last))  # the first ones are in tables already

    def file_system(self) -> recovery.MemoryFileSystem:
        """Return a new file system with the files."""
        fs = recovery.memory()
        fs.mkdir(HOME)
        for name, data in self.files.items():
            fs.write_all(f"{HOME}/{name}", data, sync=True)
        fs.sync_dir(HOME)
        return fs


@dataclass(frozen=True)
class Recipe:
    """How a sample is made: options on top of the small ones, those of the second keyspace, how it ends, what it holds."""

    options: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    closed: bool = False
    rows: bool = False
    keys: int = 40
    writes: int = 12  # batches that stay in the log
    encrypted: bool = False


RECIPES: dict[str, Recipe] = {
    "plain": Recipe(closed=True),
    "two_level": Recipe(
        {"table": {"index": "two_level", "block_size": 256, "filter": "ribbon"}}, {"table": {"index": "two_level", "filter": "cuckoo"}}
    ),
    "codecs": Recipe(
        {"table": {"codec": "zstd", "codec_level": 3, "filter": "bloom"}}, {"table": {"codec": "lz4", "hash_index": False}}, closed=True
    ),
    "ranges": Recipe(
        {"table": {"range_filter": "surf", "block_size": 512}},
        {"table": {"range_filter": "snarf", "filter": "binary_fuse8", "restart_interval": 16}},
    ),
    "prefixes": Recipe({"table": {"range_filter": "prefix_bloom", "read_mode": "mapped"}}, {"table": {"filter": "none"}}, closed=True),
    "log_every": Recipe({"wal": {"sync": "every"}}, keys=6, writes=40),
    "log_group": Recipe({"wal": {"sync": "group", "segment_bytes": 1 << 16}}, keys=6, writes=40),
    "log_os": Recipe({"wal": {"sync": "os"}}, keys=6, writes=40),
    "log_interval": Recipe({"wal": {"sync": "interval"}}, keys=6, writes=40, closed=True),
    "rows": Recipe(closed=True, rows=True, keys=10, writes=4),
    "rows_dead": Recipe({"wal": {"sync": "every"}}, rows=True, keys=10, writes=4),
    "encrypted": Recipe({"wal": {"sync": "every"}}, rows=True, keys=6, writes=8, encrypted=True),
    "values": Recipe(
        {"value_log": {"min_bytes": 8, "file_bytes": 512, "reserve": 100.0}},  # no file goes whose damage nobody then could see
        {"value_log": {"min_bytes": 16, "collector": "hot_cold"}},
        closed=True,
    ),
    "tiers": Recipe({"compaction": {"layout": "tiering", "l0_trigger": 2, "size_ratio": 2}, "memtable": "vector"}, keys=80, closed=True),
}


def options_of(recipe: Recipe) -> dict[str, Any]:
    """Return all options of a recipe."""
    merged = {k: dict(v) if isinstance(v, dict) else v for k, v in _SMALL.items()}
    for key, value in recipe.options.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def row_of(r: random.Random, i: int) -> dict[str, Any]:
    """Return a row with something for every kind of index."""
    words = [r.choice(_WORDS) for _ in range(4)]
    return {
        "id": i, "age": r.randrange(60), "name": words[0], "word": words[1], "sex": r.choice("fm"), "big": r.randrange(10**6),
        "at": (float(r.randrange(9)), float(r.randrange(9))), "text": " ".join(words),
    }  # fmt: skip


class _Maker:
    """Fills a database and keeps the model beside it."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.random = recipe, random.Random(seed)
        self.fs = recovery.memory()
        self.db = lsm.open(HOME, options_of(recipe), fs=self.fs, seed=seed)  # the id of the database follows from the seed
        self.other = self.db.keyspace("other", recipe.other)
        self.pairs: dict[str, dict[bytes, bytes]] = {"default": {}, "other": {}}
        self.table = self._table() if recipe.rows else None

    def _table(self) -> Any:
        table = self.db.table("people", key="id")
        self.rows: dict[int, dict[str, Any]] = {}
        table.create_index("age", "age")
        table.create_index("name", ["name", "age"], include=["at"])
        table.create_index("word", "word", kind="hash")
        table.create_index("sex", "sex", kind="bitmap")
        table.create_index("at", "at", kind="rtree")
        table.create_index("text", "text", kind="text")
        table.create_index("big", "big", kind="sliced")
        return table

    def value(self, n: int) -> bytes:
        """Bytes of which some compress and some do not, and none of which is zero."""
        return b"%d " % n + bytes(self.random.randrange(1, 256) for _ in range(8)) + b"abcabcabc" * self.random.randrange(3)

    def write(self, i: int) -> None:
        """One batch of this or that kind: one record of the log."""
        r, n = self.random, self.recipe.keys
        if self.table is not None and i % 2:
            if i % 6 == 5 and self.rows:
                gone = r.choice(list(self.rows))
                self.table.delete(gone)
                del self.rows[gone]
            else:
                rows = [row_of(r, r.randrange(1, n)) for _ in range(3)]
                self.table.put_many(rows)
                self.rows |= {row["id"]: row for row in rows}
            return
        batch = lsm.Batch()
        for name in ("default", "other"):
            space, model = self.db.keyspace(name), self.pairs[name]
            for _ in range(r.randrange(1, 4)):
                key = b"%s%03d" % (r.choice((b"k", b"key", b"item")), r.randrange(n))
                if r.random() < 0.2:
                    batch.delete(key, keyspace=space)
                    model.pop(key, None)
                else:
                    model[key] = self.value(r.randrange(100))
                    batch.put(key, model[key], keyspace=space)
        if i % 5 == 3:
            start = b"item%03d" % r.randrange(n)
            batch.delete_range(start, start + b"\xff", keyspace=self.other)
            self.pairs["other"] = {k: v for k, v in self.pairs["other"].items() if not start <= k < start + b"\xff"}
        self.db.write(batch)

    def state(self) -> State:
        """What every question is answered now."""
        found: State = {f"scan {name}": sorted(pairs.items()) for name, pairs in self.pairs.items()}
        if self.table is not None:
            rows = [self.rows[i] for i in sorted(self.rows)]
            found |= {f"find {name}": [r["id"] for r in rows if check(r)] for name, (_, check) in QUESTIONS.items()}
            found["rows"] = rows
        return found


QUESTIONS: dict[str, tuple[Any, Callable[[dict[str, Any]], bool]]] = {
    "age": (col("age") > 20, lambda r: r["age"] > 20),
    "name": (col("name") == "cedar", lambda r: r["name"] == "cedar"),
    "word": (col("word") == "dune", lambda r: r["word"] == "dune"),
    "sex": (col("sex") == "f", lambda r: r["sex"] == "f"),
    "at": (near("at", (4, 4), 2.5), lambda r: (r["at"][0] - 4) ** 2 + (r["at"][1] - 4) ** 2 <= 2.5**2),
    "text": (text("text", "ember"), lambda r: "ember" in r["text"].split()),
    "big": (col("big") > 500_000, lambda r: r["big"] > 500_000),
}


def _records(files: Mapping[str, bytes]) -> list[Logged]:
    """The records of all segments, as the readable twin reads them."""
    found = []
    for name in sorted(n for n in files if n.endswith(".log")):
        data, at = files[name], wal_twin.SIZE
        while at + wal_twin.SIZE <= len(data) and any(data[at : at + wal_twin.SIZE]):
            _, length, kind, _, _, durable = wal_twin.RECORD.unpack_from(data, at)
            end = at + wal_twin.SIZE + length
            if kind & 255 == wal_twin.DATA:
                found.append(Logged(name, at, end, durable, at, end))
            at = end
    return found


@cache
def make(name: str, seed: int = 1, fewer: int = 0) -> Sample:
    """Make a sample; the same bytes every time. fewer: as it was when so many batches less were written."""
    recipe = RECIPES[name]
    maker = _Maker(recipe, seed)
    for i in range(recipe.keys * 3):
        maker.write(i)
        if i in (recipe.keys, recipe.keys * 2):
            maker.db.flush()
            if i == recipe.keys:
                maker.db.compact()
    maker.db.flush()
    states = [maker.state()]
    for i in range(recipe.writes - fewer):
        maker.write(i)
        states.append(maker.state())
    if recipe.closed:
        maker.db.close()
        fs = maker.fs
    else:
        fs = maker.fs.crash_clone("process")
        maker.db.close()
    files = {n: fs.read_all(f"{HOME}/{n}") for n in fs.listdir(HOME) if n != "LOCK"}
    log = _records(files)
    if len(log) < len(states) - 1:
        raise AssertionError(f"sample {name}: {len(log)} records in the log, {len(states) - 1} batches written")
    sample = Sample(name, options_of(recipe), files, states, log, recipe.closed)
    if not recipe.encrypted:
        return sample
    from .sealed import seal  # needs the package cryptography

    return seal(sample, seed)


_KEYS = [b"%s%03d" % (word, i) for word in (b"k", b"key", b"item", b"no") for i in range(90)]
GROUPS = 12


def ask(db: lsm.DB, questions: State, group: int) -> Iterator[tuple[str, Any]]:
    """Yield what a database answers to each question, or the lsm.Error that it raised: scans both ways, rows by every index, and of
    the keys one in twelve, each by itself: those of this group.
    """
    for question in questions:
        what, _, name = question.partition(" ")
        try:
            yield question, _answer(db, what, name, group)
        except lsm.Error as e:
            yield question, e


def _answer(db: lsm.DB, what: str, name: str, group: int) -> Any:
    if what == "scan":
        space = db.keyspace(name, create=False)
        pairs = list(space.scan())
        if list(space.scan(reverse=True)) != pairs[::-1]:
            return "a reverse scan that differs from the scan"
        there = dict(pairs)
        for key in _KEYS[group % GROUPS :: GROUPS]:
            if (found := space.get(key)) != there.get(key):
                return f"get({key!r}) is {found!r}, the scan has {there.get(key)!r}"
        return pairs
    table = db.table("people")
    if what == "find":
        return sorted(row["id"] for row in table.find(QUESTIONS[name][0]))
    return [dict(row) for row in table]
