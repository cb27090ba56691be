"""Lists of operations, drawn from a seed, and what plays them: a database under any options, and the model.

Both give one answer an operation. "pause" is where a database may do what must change no answer: flush, merge, close and open, lose its
process, change its policy. Snapshots and scans that are open end there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import lsm
import recovery
from lsm.secondary import col

from . import draws, model

Op = tuple[Any, ...]
SPACES = ("default", "other")
PATH = "/db"
PAUSES = ("nothing", "flush", "compact", "reopen", "dies", "power", "policy", "checkpoint")
INDEXES: dict[str, dict[str, Any]] = {
    "by_n": {"columns": "n"},
    "by_s_n": {"columns": ["s", "n"], "include": ["x"]},
    "hash_s": {"columns": "s", "kind": "hash"},
    "bits_n": {"columns": "n", "kind": "bitmap"},
    "slices_x": {"columns": "x", "kind": "sliced", "numbers": "int64"},
    "places": {"columns": "at", "kind": "rtree"},
    "words": {"columns": "s", "kind": "text"},
    "some_x": {"columns": "x", "where": col("n") > 2},
}


def _key(rng: random.Random) -> bytes:
    how = rng.random()
    if how < 0.5:
        return b"%02d" % rng.randrange(60)
    if how < 0.8:
        return b"user/%03d/" % rng.randrange(40) + b"ab"[: rng.randrange(3)]
    return rng.choice([b"", b"\0", b"\xff", b"\xff\xff", b"a" * 60, b"user", b"user/", rng.randbytes(rng.randrange(1, 5))])


def _value(rng: random.Random) -> bytes:
    return bytes([rng.randrange(256)]) * rng.choice([0, 1, 5, 20, 60, 200, 1500])


def _row(rng: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {"k": rng.randrange(60), "n": rng.randrange(6), "s": rng.choice(["", "ab", "abc", "one two", "two"])}
    if rng.random() < 0.8:
        row["x"] = rng.randrange(-50, 50)
    if rng.random() < 0.5:
        row["at"] = [rng.randrange(9), rng.randrange(9)]
    return row


def _bounds(rng: random.Random) -> tuple[bytes, bytes]:
    a, b = sorted((_key(rng), _key(rng)))
    return a, b + b"\0" * (a == b)


def _scan(rng: random.Random) -> dict[str, Any]:
    how: dict[str, Any] = {"reverse": rng.random() < 0.4, "limit": rng.choice([None, None, 0, 1, 7])}
    if rng.random() < 0.3:
        return how | {"prefix": rng.choice([b"", b"1", b"user/", b"user/01", b"\xff", _key(rng)])}
    start, stop = _bounds(rng)
    return how | {"start": rng.choice([None, start]), "stop": rng.choice([None, stop])}


def _draw(rng: random.Random, kind: str) -> Op:
    name = rng.choice(SPACES)
    if kind == "put":
        return kind, name, _key(rng), _value(rng)
    if kind == "delete":
        return kind, name, _key(rng), b""
    if kind == "delete_range":
        return kind, name, *_bounds(rng)
    if kind == "batch":
        return kind, [_draw(rng, rng.choice(["put", "put", "put", "delete", "delete_range"])) for _ in range(rng.randrange(1, 9))]
    if kind == "put_many":
        return kind, name, [(_key(rng), _value(rng)) for _ in range(rng.randrange(1, 25))]
    if kind == "delete_many":
        return kind, name, [_key(rng) for _ in range(rng.randrange(1, 9))]
    if kind == "get":
        return kind, name, [_key(rng) for _ in range(rng.randrange(1, 9))]
    if kind == "scan":
        return kind, name, _scan(rng)
    if kind == "rows":
        return kind, [_row(rng) for _ in range(rng.randrange(1, 6))]
    if kind == "delete_rows":
        return kind, [rng.randrange(60) for _ in range(rng.randrange(1, 4))]
    if kind == "find":
        return kind, rng.randrange(len(CONDITIONS)), rng.randrange(6), rng.choice(["ab", "two", "", "x"])
    if kind == "index":
        return kind, rng.choice(list(INDEXES))
    return kind, rng.randrange(1 << 16)


KINDS = {
    "put": 20, "delete": 8, "delete_range": 4, "batch": 6, "put_many": 6, "delete_many": 3, "get": 14, "scan": 12, "snapshot": 2,
    "read_snapshot": 4, "release": 1, "begin": 2, "next": 4, "pause": 4, "rows": 4, "delete_rows": 2, "find": 5, "index": 1,
}  # fmt: skip


def draw_ops(rng: random.Random, count: int) -> list[Op]:
    """Return a list of operations."""
    return [_draw(rng, kind) for kind in rng.choices(list(KINDS), list(KINDS.values()), k=count)]


CONDITIONS: list[tuple[Any, Any]] = [
    (lambda n, s: col("n") == n, lambda r, n, s: r["n"] == n),
    (lambda n, s: (col("n") > n) & (col("s") == s), lambda r, n, s: r["n"] > n and r["s"] == s),
    (lambda n, s: col("s").startswith(s), lambda r, n, s: r["s"].startswith(s)),
    (lambda n, s: col("x").between(-n * 5, n * 5), lambda r, n, s: r.get("x") is not None and -n * 5 <= r["x"] <= n * 5),
    (lambda n, s: (col("n") == n) | (col("x") < 0), lambda r, n, s: r["n"] == n or (r.get("x") is not None and r["x"] < 0)),
    (lambda n, s: col("s").isin([s, "abc"]) & ~(col("n") == n), lambda r, n, s: r["s"] in (s, "abc") and r["n"] != n),
    (lambda n, s: lsm.secondary.near("at", (n, n), 3), lambda r, n, s: "at" in r and (r["at"][0] - n) ** 2 + (r["at"][1] - n) ** 2 <= 9),
]


class Expected:
    """The answers of the model."""

    def __init__(self) -> None:
        self.model = model.Model()
        self.model.made_space("other")
        self.rows: dict[int, dict[str, Any]] = {}
        self.indexes: set[str] = set()
        self.pause()

    def pause(self) -> None:
        """Snapshots and scans end."""
        self.snapshots: list[model.State] = []
        self.scans: list[Iterator[tuple[bytes, bytes]]] = []

    def play(self, op: Op) -> Any:
        """Return the answer."""
        kind, *args = op
        if kind in ("put", "delete", "delete_range"):
            self.model.write([(kind, args[0], args[1], args[2])])
            return None
        return getattr(self, f"_{kind}")(*args)

    def _batch(self, ops: list[Any]) -> None:
        self.model.write(ops)

    def _put_many(self, name: str, pairs: list[tuple[bytes, bytes]]) -> None:
        self.model.write([("put", name, k, v) for k, v in pairs])

    def _delete_many(self, name: str, keys: list[bytes]) -> None:
        self.model.write([("delete", name, k, b"") for k in keys])

    def _get(self, name: str, keys: list[bytes]) -> list[bytes | None]:
        return [self.model.state[name].get(k) for k in keys]

    def _scan(self, name: str, how: dict[str, Any]) -> list[tuple[bytes, bytes]]:
        return model.scan(self.model.state[name], **how)

    def _snapshot(self, n: int) -> None:
        if len(self.snapshots) < 3:
            self.snapshots.append(self.model.freeze())

    def _read_snapshot(self, n: int) -> Any:
        if not self.snapshots:
            return None
        state = self.snapshots[n % len(self.snapshots)]
        return [model.scan(state[name], reverse=bool(n & 1)) for name in SPACES]

    def _release(self, n: int) -> None:
        if self.snapshots:
            del self.snapshots[n % len(self.snapshots)]

    def _begin(self, n: int) -> None:
        if len(self.scans) < 3:
            self.scans.append(iter(model.scan(self.model.state[SPACES[n & 1]], reverse=bool(n & 2))))

    def _next(self, n: int) -> Any:
        if not self.scans:
            return None
        scan = self.scans[n % len(self.scans)]
        return [next(scan, None) for _ in range(n % 40)]

    def _pause(self, n: int) -> None:
        self.pause()

    def _rows(self, rows: list[dict[str, Any]]) -> None:
        self.rows |= {r["k"]: r for r in rows}

    def _delete_rows(self, keys: list[int]) -> None:
        for k in keys:
            self.rows.pop(k, None)

    def _find(self, which: int, n: int, s: str) -> Any:
        return sorted((r for r in self.rows.values() if CONDITIONS[which][1](r, n, s)), key=lambda r: r["k"])

    def _index(self, name: str) -> list[str]:
        self.indexes ^= {name}
        return sorted(self.indexes)

    def content(self) -> Any:
        """Return all there is at the end."""
        return [model.scan(self.model.state[name]) for name in SPACES], sorted(self.rows.items()), sorted(self.indexes)


class Played:
    """A database that plays a list. pauses: what it does at pauses, in turn."""

    def __init__(self, options: draws.Options, pauses: Sequence[str] = ("nothing",), fs: recovery.MemoryFileSystem | None = None) -> None:
        self.options, self.pauses, self.paused = options, pauses, 0
        self.fs = fs or recovery.memory()
        self.copies = 0
        self.open()
        self.table.put_many([{"k": 0, "n": 0, "s": "", "x": 0, "at": [0, 0]}])  # so that every column is known
        self.table.delete(0)

    def open(self) -> None:
        """Open the database, its second keyspace and its table."""
        self.db = lsm.open(PATH, self.options, fs=self.fs)
        self.other = self.db.keyspace("other", {"memtable": "vector"})
        self.table = self.db.table("t", key="k")
        self.snapshots: list[lsm.Snapshot] = []
        self.scans: list[Any] = []

    def space(self, name: str) -> Any:
        """Return a keyspace."""
        return self.db.default if name == "default" else self.other

    def play(self, op: Op) -> Any:
        """Return the answer."""
        kind, *args = op
        return getattr(self, f"_{kind}")(*args)

    def _put(self, name: str, key: bytes, value: bytes) -> None:
        self.space(name).put(key, value)

    def _delete(self, name: str, key: bytes, _: bytes) -> None:
        self.space(name).delete(key)

    def _delete_range(self, name: str, start: bytes, stop: bytes) -> None:
        self.space(name).delete_range(start, stop)

    def _batch(self, ops: list[Any]) -> None:
        batch = lsm.Batch()
        for kind, name, first, second in ops:
            args = (first,) if kind == "delete" else (first, second)
            getattr(batch, kind)(*args, keyspace=self.space(name))
        self.db.write(batch)

    def _put_many(self, name: str, pairs: list[tuple[bytes, bytes]]) -> None:
        self.space(name).put_many(pairs)

    def _delete_many(self, name: str, keys: list[bytes]) -> None:
        self.space(name).delete_many(keys)

    def _get(self, name: str, keys: list[bytes]) -> list[bytes | None]:
        space = self.space(name)
        one_by_one, together = [space.get(k) for k in keys], space.get_many(keys)
        if one_by_one != together:
            raise AssertionError(f"get {one_by_one} and get_many {together} of {keys} differ")
        return together  # type: ignore[no-any-return]

    def _scan(self, name: str, how: dict[str, Any]) -> list[tuple[bytes, bytes]]:
        space = self.space(name)
        pairs, together = list(space.scan(**how)), space.range(**how)
        if pairs != together:
            raise AssertionError(f"scan {pairs} and range {together} of {how} differ")
        return pairs

    def _snapshot(self, n: int) -> None:
        if len(self.snapshots) < 3:
            self.snapshots.append(self.db.snapshot())

    def _read_snapshot(self, n: int) -> Any:
        if not self.snapshots:
            return None
        snapshot = self.snapshots[n % len(self.snapshots)]
        return [list(self.space(name).scan(snapshot=snapshot, reverse=bool(n & 1))) for name in SPACES]

    def _release(self, n: int) -> None:
        if self.snapshots:
            self.snapshots.pop(n % len(self.snapshots)).close()

    def _begin(self, n: int) -> None:
        if len(self.scans) < 3:
            self.scans.append(self.space(SPACES[n & 1]).scan(reverse=bool(n & 2)))

    def _next(self, n: int) -> Any:
        if not self.scans:
            return None
        scan = self.scans[n % len(self.scans)]
        return [next(scan, None) for _ in range(n % 40)]

    def _pause(self, n: int) -> None:
        for reader in (*self.scans, *self.snapshots):
            reader.close()
        self.scans, self.snapshots = [], []
        how = self.pauses[self.paused % len(self.pauses)]
        self.paused += 1
        if how == "flush":
            self.db.flush()
        elif how == "compact":
            for space in (self.db.default, self.other, self.table.space):
                space.compact()
        elif how == "policy":
            self.db.set_policy(draws.AnyMerge(), SPACES[n & 1])
        elif how == "checkpoint":
            self._checkpoint()
        elif how != "nothing":
            self._again(how, n)

    def _again(self, how: str, seed: int) -> None:
        if not self.options["wal"]["enabled"]:
            self.db.flush()  # what is not logged is kept so
        elif how == "power" or (how == "dies" and self.options["wal"]["sync"] == "none"):
            self.db.sync()
        clone = self.fs if how == "reopen" else self.fs.crash_clone("process" if how == "dies" else "random", seed)
        self.db.close()
        self.fs = clone
        self.open()

    def _checkpoint(self) -> None:
        """The copy must open and be equal; from then on it is the database."""
        self.copies += 1
        path = f"/copy{self.copies}"
        self.db.checkpoint(path)
        with lsm.open(path, self.options, fs=self.fs) as copy:
            for name in SPACES:
                there, here = list(copy.keyspace(name, create=False).scan()), list(self.space(name).scan())
                if there != here:
                    raise AssertionError(f"the checkpoint's keyspace {name} has {there}, the database {here}")

    def _rows(self, rows: list[dict[str, Any]]) -> None:
        self.table.put_many(rows)

    def _delete_rows(self, keys: list[int]) -> None:
        self.table.delete_many(keys)

    def _find(self, which: int, n: int, s: str) -> Any:
        return sorted(self.table.find(CONDITIONS[which][0](n, s)), key=lambda r: r["k"])

    def _index(self, name: str) -> list[str]:
        if name in self.table.ready():
            self.table.drop_index(name)
        else:
            self.table.create_index(name, **INDEXES[name])
        return sorted(self.table.ready())

    def content(self) -> Any:
        """Return all there is at the end, after checking that the other ways to read agree and everything verifies."""
        spaces = [list(self.space(name).scan()) for name in SPACES]
        for name, pairs in zip(SPACES, spaces, strict=True):
            backwards = list(self.space(name).scan(reverse=True))
            chunked = [p for chunk in self.space(name).scan_chunks(chunk=7) for p in chunk.pairs()]
            if backwards[::-1] != pairs or chunked != pairs:
                raise AssertionError(f"keyspace {name}: forward {pairs}, backward {backwards}, in chunks {chunked}")
        if problems := self.db.verify() + self.table.scrub():
            raise AssertionError(f"verify and scrub: {problems}")
        return spaces, sorted((r["k"], r) for r in self.table), sorted(self.table.ready())

    def close(self) -> None:
        """End."""
        if not self.db.closed:
            self.db.close()
