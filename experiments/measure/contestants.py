"""Who is asked in a run: this engine, RocksDB or LevelDB, behind one face that also tells what each of them counted.

Readings use this engine's words, (operation, level, component, cause) -> (count, bytes), for all that the other engine has a number for;
what it does not count is missing, not zero.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..processes import version
from .knobs import Knob, leveldb_settings, rocksdb_settings

Cells = dict[tuple[str, int, str, str], tuple[int, int]]
Pairs = Sequence[tuple[bytes, bytes]]
MIB = 1 << 20
QUIET, PENDING = 10, 100  # looks at RocksDB, 10 ms apart, that see nothing at work; universal may say for ever that a compaction is due


class Contestant(ABC):
    """An open store. The calls that are timed are attributes, the binding's own bound methods wherever it has them."""

    name = ""
    package = ""
    put: Callable[[bytes, bytes], Any]
    get: Callable[[bytes], Any]
    delete: Callable[[bytes], Any]
    range: Callable[[bytes, bytes | None, int], Pairs]  # the first pairs with start <= key < stop
    delete_range: Callable[[bytes, bytes], Any]
    put_many: Callable[[Sequence[bytes], Sequence[bytes]], Any]
    close: Callable[[], None]

    @abstractmethod
    def __init__(self, path: Path, options: Mapping[str, Any], fs: Any = None) -> None:
        """Open at path with this engine's options, which others translate as far as they can."""

    @abstractmethod
    def settle(self) -> None:
        """Flush, and wait until no background work is due."""

    @abstractmethod
    def reading(self) -> tuple[Cells, dict[str, int]]:
        """What was counted since it was opened: cells and counters."""

    @abstractmethod
    def levels(self) -> list[dict[str, int]]:
        """A row a level: level, runs, tables, bytes, entries."""

    def debt(self) -> int | None:
        """Bytes that background work has before it; None where nobody knows."""
        return None

    def admission(self) -> int:
        """Nanoseconds by which each KiB written is delayed now."""
        return 0

    def options(self) -> dict[str, Any]:
        """This engine's options, every default written out."""
        return self.given

    def knobs(self) -> list[Knob]:
        """How the options were told to this engine; empty for ours."""
        return []

    given: dict[str, Any]

    @classmethod
    def versions(cls) -> dict[str, str]:
        """Version of the binding."""
        return {cls.package: version(cls.package)}


class Ours(Contestant):
    """This engine."""

    name, package = "lsmlab", "lsmlab"

    def __init__(self, path: Path, options: Mapping[str, Any], fs: Any = None) -> None:
        import lsm

        db = self.db = lsm.open(path, dict(options), fs=fs)
        within = db.range
        self.given = db.options.to_dict()
        self.put, self.get, self.delete = db.put, db.get, db.delete
        self.range = lambda start, stop, limit: within(start, stop, limit=limit)
        self.delete_range, self.put_many, self.close = db.delete_range, db.put_many, db.close

    def settle(self) -> None:
        self.db.flush()
        self.db.wait()

    def reading(self) -> tuple[Cells, dict[str, int]]:
        stats = self.db.stats()
        return dict(stats.cells), dict(stats.counters)

    def levels(self) -> list[dict[str, int]]:
        return [
            {"level": lv.level, "runs": lv.runs, "tables": lv.tables, "bytes": lv.bytes, "entries": lv.entries} for lv in self.db.levels()
        ]

    def debt(self) -> int | None:
        return self.db.health.pending_compaction_bytes

    def admission(self) -> int:
        from lsm.stalls import admission_of

        if not self.db.options.threads:
            return 0
        with self.db.executor.lock:
            return admission_of(self.db.default)[1]


class Rocks(Contestant):
    """RocksDB through rocksdict in raw mode; its statistics are on, which its makers say costs 5 to 10 per cent."""

    name, package = "rocksdb", "rocksdict"

    def __init__(self, path: Path, options: Mapping[str, Any], fs: Any = None) -> None:
        import rocksdict

        import lsm

        self.given = lsm.Options.from_dict(options).to_dict()
        self.native, self._knobs = rocksdb_settings(self.given)
        # Named explicitly, else a reopened store takes the options file's column family, without the filter and the cache set here.
        db: Any = rocksdict.Rdict(str(path), self.native, column_families={"default": self.native})
        self.db, self._batch = db, rocksdict.WriteBatch
        self.put, self.get, self.delete, self.delete_range, self.close = db.put, db.get, db.delete, db.delete_range, db.close
        self.range, self.put_many = self._range, self._put_many

    def _range(self, start: bytes, stop: bytes | None, limit: int) -> Pairs:
        pairs = islice(self.db.items(from_key=start), limit)
        return list(pairs) if stop is None else [p for p in pairs if p[0] < stop]

    def _put_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        batch = self._batch(raw_mode=True)
        for key, value in zip(keys, values, strict=True):
            batch.put(key, value)
        self.db.write(batch)

    def settle(self) -> None:
        working = ("mem-table-flush-pending", "num-running-compactions", "num-running-flushes")
        self.db.flush()
        quiet = 0
        while quiet < QUIET or (quiet < PENDING and self._told("compaction-pending")):
            quiet = 0 if any(map(self._told, working)) else quiet + 1
            time.sleep(0.01)

    def _told(self, name: str) -> bool:
        return bool(int(self.db.property_value(f"rocksdb.{name}") or 0))

    def reading(self) -> tuple[Cells, dict[str, int]]:
        lines = (line.split(" COUNT : ") for line in str(self.native.get_statistics()).splitlines())
        n = {part[0].removeprefix("rocksdb."): int(part[1]) for part in lines if len(part) == 2 and part[1].isdigit()}
        hits, misses = n.get("block.cache.data.hit", 0), n.get("block.cache.data.miss", 0)
        cells: Cells = {
            ("write", -1, "wal", "write"): (n.get("write.wal", 0), n.get("wal.bytes", 0)),
            ("write", 0, "data", "flush"): (0, n.get("flush.write.bytes", 0)),
            ("write", -1, "data", "compaction"): (0, n.get("compact.write.bytes", 0)),
            ("read", -1, "data", "compaction"): (0, n.get("compact.read.bytes", 0)),
            ("read", -1, "data", "get"): (misses, n.get("block.cache.data.bytes.insert", 0)),  # of gets and scans together
            ("hit", -1, "data", "get"): (hits, 0),
            ("skip", -1, "filter", "get"): (n.get("bloom.filter.useful", 0), 0),
        }
        return cells, {"stall_us": n.get("stall.micros", 0)}

    def levels(self) -> list[dict[str, int]]:
        out: dict[int, dict[str, int]] = {}
        for f in self.db.live_files():
            row = out.setdefault(f["level"], {"level": f["level"], "runs": 0, "tables": 0, "bytes": 0, "entries": 0})
            row["tables"] += 1
            row["bytes"] += f["size"]
            row["entries"] += f["num_entries"]
            row["runs"] = row["tables"] if f["level"] == 0 else 1
        return [out[level] for level in sorted(out)]

    def debt(self) -> int | None:
        return int(self.db.property_value("rocksdb.estimate-pending-compaction-bytes") or 0)

    def knobs(self) -> list[Knob]:
        return self._knobs


class Level(Contestant):
    """LevelDB through plyvel. It tells bytes by level, rounded to MiB, and nothing of its log, of blocks or of debt."""

    name, package = "leveldb", "plyvel"

    def __init__(self, path: Path, options: Mapping[str, Any], fs: Any = None) -> None:
        import plyvel

        import lsm

        self.given = lsm.Options.from_dict(options).to_dict()
        settings, self._knobs = leveldb_settings(self.given)
        db = self.db = plyvel.DB(str(path), create_if_missing=True, **settings)
        self.put, self.get, self.delete, self.close = db.put, db.get, db.delete, db.close
        self.range = lambda start, stop, limit: list(islice(db.iterator(start=start, stop=stop), limit))
        self.delete_range, self.put_many = self._delete_range, self._put_many

    def _delete_range(self, start: bytes, stop: bytes) -> None:
        with self.db.write_batch() as batch:
            for key in self.db.iterator(start=start, stop=stop, include_value=False):
                batch.delete(key)

    def _put_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        with self.db.write_batch() as batch:
            for key, value in zip(keys, values, strict=True):
                batch.put(key, value)

    def settle(self) -> None:
        beyond = b"\xff" * 64
        self.db.compact_range(start=beyond, stop=beyond)  # flushes, and merges nothing
        before = None  # it has no wait: quiet is when nothing was written for a while
        while (now := self._table()) != before:
            before = now
            time.sleep(0.2)

    def _table(self) -> list[list[float]]:
        rows = [line.split() for line in self.db.get_property(b"leveldb.stats").decode().splitlines()]
        return [[float(cell) for cell in row] for row in rows if len(row) == 6 and row[0].isdigit()]

    def reading(self) -> tuple[Cells, dict[str, int]]:
        cells: Cells = {}
        for level, _, _, _, read, write in self._table():
            cause = "flush" if level == 0 else "compaction"
            cells["write", int(level), "data", cause] = (0, int(write) * MIB)
            cells["read", int(level), "data", "compaction"] = (0, int(read) * MIB)
        return cells, {}

    def levels(self) -> list[dict[str, int]]:
        out = []
        for level, tables, size, *_ in self._table():
            runs = int(tables) if level == 0 else min(1, int(tables))
            out.append({"level": int(level), "runs": runs, "tables": int(tables), "bytes": int(size) * MIB, "entries": 0})
        return out

    def knobs(self) -> list[Knob]:
        return self._knobs


CONTESTANTS: dict[str, type[Contestant]] = {c.name: c for c in (Ours, Rocks, Level)}
