"""Stories: small deterministic workloads of steps, each with what it does to the contents, so that after any accident one can judge.

A step that raised may have happened or not; what refused to run (read-only, closed) has not. So a play knows, at any moment, every
content that the database is allowed to have. Options are such that flushes and compactions come every few steps and nothing runs in the
background.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import lsm
import recovery
from lsm.registry import COLLECTORS, LAYOUTS, MEMTABLES, PICKERS
from lsm.secondary import col

Contents = dict[str, dict[Any, Any]]
"""Keyspace, or table and its indexes, to what is in it; the empty ones are left out."""
PATH = "/db"
COPY = "/copy"
MOST_ERRORS = 3
PROMISING = ("group", "every")
"""Sync modes in which an acknowledged write outlives power loss."""


@dataclass(frozen=True)
class Step:
    """What is done, and what it makes of the contents (None: nothing). `synced`: outlives power loss in every sync mode."""

    name: str
    do: Callable[[Play], None]
    to: Callable[[Contents], Contents] | None = None
    synced: bool = False


@dataclass(frozen=True)
class Story:
    """Steps from an empty disk on. `before` of them prepare the scene: faults and recordings begin behind them."""

    name: str
    options: lsm.Options
    steps: Sequence[Step]
    before: int = 0


@dataclass
class Play:
    """One pass of a story over a file system. `may`: the contents that are allowed now; `errors`: what was raised, by step."""

    story: Story
    fs: recovery.FileSystem
    mark: Callable[[str], None] = lambda text: None
    may: list[Contents] = field(default_factory=lambda: [{}])
    errors: list[str] = field(default_factory=list)
    db: lsm.DB | None = None
    table: Any = None

    def open(self) -> None:
        """Open the database; the steps use it."""
        self.table = None
        self.db = lsm.open(PATH, self.story.options, fs=self.fs)

    def close(self) -> None:
        """Close it, if it is open."""
        db, self.db, self.table = self.db, None, None
        if db is not None:
            db.close()

    def run(self, first: int = 0, stop: int | None = None) -> Play:
        """Do the steps from first on, up to stop, as far as errors allow."""
        for n, step in enumerate(self.story.steps[:stop]):
            if n < first:
                continue
            if self.db is None and step.name != "open":
                break
            self._do(n, step)
            if len(self.errors) >= MOST_ERRORS:
                break
        return self

    def _do(self, n: int, step: Step) -> None:
        self.mark(f"began {n}")
        try:
            step.do(self)
        except (lsm.Error, MemoryError) as e:
            self.errors.append(f"{step.name}: {type(e).__name__}: {e}")
            if step.to is not None and not isinstance(e, lsm.ReadOnlyError | lsm.ClosedError):
                for contents in [step.to(m) for m in self.may]:
                    if contents not in self.may:
                        self.may.append(contents)
            return
        if step.to is not None:
            self.may = [step.to(m) for m in self.may]
        promised = step.synced or self.story.options.wal.sync in PROMISING
        self.mark(f"acked {n}" if promised else f"done {n}")

    def wrong_reads(self) -> Iterator[str]:
        """Yield what reads of the open database answer that no allowed content explains; an error is no answer."""
        if self.db is None:
            return
        try:
            found = contents_of(self.db)
        except (lsm.Error, MemoryError):
            pass
        else:
            if found not in self.may:
                yield f"reads show {told(found)}, allowed: {' or '.join(map(told, self.may))}"
        keys = sorted({k for m in self.may for k in m.get("default", {})} | {b"nope"})
        for key in keys[:: max(1, len(keys) // 4)]:
            try:
                got = self.db.get(key)
            except (lsm.Error, MemoryError):
                continue
            if got not in [m.get("default", {}).get(key) for m in self.may]:
                yield f"get({key!r}) answers {got!r}"


def contents_of(db: lsm.DB) -> Contents:
    """Return what a database holds: its keyspaces, the rows of table t, the names of its indexes."""
    found: Contents = {name: dict(db.keyspace(name).scan()) for name in db.keyspaces() if not db.spaces[name].managed}
    if "t" in db.keyspaces() and db.spaces["t"].managed:
        table = db.table("t")
        found["t"] = {row["id"]: row for row in table}
        found["t indexes"] = dict.fromkeys(table.ready(), 1)
        for index in table.ready():
            column = index.removeprefix("by ")
            some = [row for row in found["t"].values() if row[column] >= 1]
            if sorted(r["id"] for r in table.find(col(column) >= 1)) != sorted(r["id"] for r in some):
                raise AssertionError(f"index {index} disagrees with the rows")
    return {name: inside for name, inside in found.items() if inside}


def told(contents: Contents) -> str:
    """Return contents in a few words."""
    parts = []
    for name, inside in contents.items():
        last = ", ".join(f"{k!r}={v!r:.24}" for k, v in list(inside.items())[-2:])
        parts.append(f"{name}: {len(inside)} [{last}]")
    return "{" + "; ".join(parts) + "}"


def judged(play: Play, fs: recovery.FileSystem) -> Iterator[str]:
    """Reopen on fs: yield what is wrong. The contents are allowed ones, all verifies, writing and reopening work."""
    options = play.story.options
    try:
        with lsm.open(PATH, options, fs=fs) as db:
            found = contents_of(db)
            if found not in play.may:
                yield f"reopened, it holds {told(found)}; allowed: {' or '.join(map(told, play.may))}"
                return
            yield from (f"verify: {line}" for line in db.verify())
            if "t" in found:
                yield from (f"scrub: {line}" for line in db.table("t").scrub())
            db.put(b"zz after", b"all")
            found.setdefault("default", {})[b"zz after"] = b"all"
        with lsm.open(PATH, options, fs=fs) as db:
            if (again := contents_of(db)) != found:
                yield f"after a write and a reopening it holds {told(again)}; expected {told(found)}"
    except (lsm.Error, MemoryError, AssertionError) as e:
        yield f"it does not reopen: {type(e).__name__}: {e}"


# What stories are made of


def _put(key: bytes, value: bytes) -> Step:
    return Step("put", lambda p: _db(p).put(key, value), lambda m: {**m, "default": {**m.get("default", {}), key: value}})


def _without(m: Contents, gone: Callable[[bytes], bool]) -> Contents:
    left = {k: v for k, v in m.get("default", {}).items() if not gone(k)}
    return {k: v for k, v in {**m, "default": left}.items() if v}


def _delete(key: bytes) -> Step:
    return Step("delete", lambda p: _db(p).delete(key), partial(_without, gone=lambda k: k == key))


def _delete_range(start: bytes, stop: bytes) -> Step:
    return Step("delete_range", lambda p: _db(p).delete_range(start, stop), partial(_without, gone=lambda k: start <= k < stop))


def _batch(pairs: dict[str, dict[bytes, bytes]], *, sync: bool = False) -> Step:
    def do(p: Play) -> None:
        batch = lsm.Batch()
        for space, inside in pairs.items():
            for key, value in inside.items():
                batch.put(key, value, keyspace=_db(p).keyspace(space))
        _db(p).write(batch, sync=sync)

    return Step("batch", do, lambda m: {**m, **{s: {**m.get(s, {}), **inside} for s, inside in pairs.items()}}, sync)


def _call(name: str, do: Callable[[lsm.DB], object]) -> Step:
    def run(p: Play) -> None:
        do(_db(p))

    return Step(name, run)


def _reopen(p: Play) -> None:
    try:
        p.close()
    finally:
        p.open()


def _db(p: Play) -> lsm.DB:
    assert p.db is not None
    return p.db


OPEN = Step("open", lambda p: p.open())
CLOSE = Step("close", lambda p: p.close())
REOPEN = Step("reopen", _reopen)
FLUSH = _call("flush", lambda db: db.flush())
COMPACT = _call("compact", lambda db: db.compact())
SYNC = Step("sync", lambda p: _db(p).sync(), synced=True)
VERIFY = _call("verify", lambda db: db.verify())


def _checkpoint(p: Play) -> None:
    _db(p).checkpoint(COPY)
    with lsm.open(COPY, p.story.options, fs=p.fs) as copy:
        if (found := contents_of(copy)) not in p.may:
            raise AssertionError(f"the checkpoint holds {told(found)}")


def _rows(first: int, n: int, value: int) -> Step:
    rows = [{"id": i, "a": (value + i) % 7, "b": f"v{value}"} for i in range(first, first + n)]

    def do(p: Play) -> None:
        if p.table is None:
            p.table = _db(p).table("t", "id")
        p.table.put_many(rows)

    return Step("rows", do, lambda m: {**m, "t": {**m.get("t", {}), **{r["id"]: r for r in rows}}})


def _index(kind: str) -> Step:
    def do(p: Play) -> None:
        if p.table is None:
            p.table = _db(p).table("t", "id")
        p.table.create_index("by a", "a", kind=kind)

    return Step("index", do, lambda m: {**m, "t indexes": {"by a": 1}})


def options(sync: str = "group", layout: str = "leveling", seed: int = 0) -> lsm.Options:
    """Return options under which much happens within few steps. Each seed but 0 draws some of them."""
    made: dict[str, Any] = {
        "threads": 0,
        "write_buffer": 1024,
        "seed": seed,
        "wal": {"sync": sync, "segment_bytes": 4096},
        "table": {"block_size": 128},
        "cache": {"capacity": 2048},
        "compaction": {"layout": layout, "size_ratio": 2, "output_bytes": 1024, "level_base": 2048, "l0_trigger": 2},
    }
    if seed:
        rng = random.Random(f"options {seed}")
        made["memtable"] = rng.choice(sorted(MEMTABLES))
        made["write_buffer"] = rng.choice((1024, 2048, 4096))
        made["table"] |= {"index": rng.choice(("full", "two_level")), "hash_index": rng.random() < 0.5, "block_size": rng.choice((64, 300))}
        made["table"] |= {"filter": rng.choice(("none", "bloom", "ribbon")), "range_filter": rng.choice(("none", "prefix_bloom"))}
        made["compaction"] |= {
            "picker": rng.choice(sorted(PICKERS)),
            "l0_trigger": rng.choice((2, 3)),
            "output_bytes": rng.choice((512, 4096)),
        }
    return lsm.Options.from_dict(made)


def separated(sync: str, seed: int) -> lsm.Options:
    """Return options under which most values go to value files, and those are collected all the time."""
    collector = [kind for kind in COLLECTORS if kind != "none"][seed % (len(COLLECTORS) - 1)]
    value_log = {"min_bytes": 8, "file_bytes": 256, "collector": collector, "reserve": 0.05, "batch": 1.0}
    return options(sync, seed=seed).override({"value_log": value_log})


def _key(n: int) -> bytes:
    return b"%03d" % n


def _load(n: int, seed: int) -> list[Step]:
    rng = random.Random(f"load {seed}")
    return [_put(_key(i), b"%d.%d|" % (seed, i) * rng.randint(1, 6)) for i in rng.sample(range(n), n)]


def overwrites(n: int, rng: random.Random) -> list[Step]:
    """Return n writes to a dozen keys: puts, deletes, deletes of ranges."""
    steps: list[Step] = []
    for i in range(n):
        key, draw = _key(rng.randrange(12)), rng.random()
        if draw < 0.15:
            steps.append(_delete(key))
        elif draw < 0.22:
            steps.append(_delete_range(key, _key(int(key) + 3)))
        else:
            steps.append(_put(key, b"%d-" % i * (1 + i % 9)))
    return steps


def _batches(n: int, seed: int) -> list[Step]:
    rng = random.Random(f"batches {seed}")
    return [
        _batch(
            {"default": {_key(i): b"%d" % i, b"all": b"%d" % i * rng.randint(1, 12)}, "other": {_key(i % 3): b"o%d" % seed * 7}},
            sync=i % 5 == 0,
        )
        for i in range(n)
    ]


def stories(sync: str = "group", seed: int = 0) -> dict[str, Story]:
    """Return the workloads of the fault sweep by name: one for each layout among them."""
    rng = random.Random(seed)
    plain = options(sync, seed=seed)
    kind = ("ordered", "hash", "bitmap")[seed % 3]
    index = [_rows(0, 8, 1 + seed), _index(kind), _rows(4, 4, 2), FLUSH, _rows(2, 3, 3), REOPEN]
    made = [
        Story("load", plain, [OPEN, *_load(8, seed), FLUSH, CLOSE]),
        Story("overwrite", plain, [OPEN, *overwrites(10, rng), REOPEN, VERIFY, CLOSE]),
        Story("batch", plain, [OPEN, *_batches(4, seed), FLUSH, SYNC, *_batches(1, seed), CLOSE]),
        *(
            Story(
                f"compact {layout}",
                options(sync, layout, seed),
                [OPEN, *_load(6, seed), CLOSE, OPEN, COMPACT, *_load(2, seed + 100), CLOSE],
                before=8,
            )
            for layout in LAYOUTS
        ),
        Story("recover", plain, [OPEN, *overwrites(12, rng), OPEN, *_load(1, seed + 100), CLOSE], before=13),
        Story(
            "checkpoint",
            plain,
            [OPEN, *_load(4, seed), CLOSE, OPEN, Step("checkpoint", _checkpoint), *_load(1, seed + 100), CLOSE],
            before=6,
        ),
        Story("index", plain, [OPEN, *index, COMPACT, CLOSE]),
        Story(
            "values",
            separated(sync, seed),
            [OPEN, *_load(8, seed), FLUSH, CLOSE, OPEN, *_load(3, seed + 100), COMPACT, *_load(2, seed + 200), CLOSE],
            before=11,
        ),
    ]
    return {story.name: story for story in made}
