"""Every store of the benchmark behind one small face: this engine, RocksDB, Speedb, LevelDB, lsm-db, LMDB and SQLite.

The attributes `put`, `get`, `delete` are the binding's own bound methods wherever it has one, so that a timed loop pays for no adapter.
Budgets are equal: a fifth for the write buffer, the rest for the cache (LMDB and lsm-db use the system's, SQLite has one), Bloom filter of
10 bits a key where there is one, no compression, log on and handed to the operating system before a put returns; no fsync, or with
`durable` one in every commit.

A binding that is not installed beside this package is looked for in the folder that LSMLAB_PEERS names (build/peers): lsm-db's module is
called `lsm` as ours is, so the two never share a folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sqlite3
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from importlib.machinery import PathFinder
from itertools import islice
from pathlib import Path
from typing import Any

MIB = 1 << 20
WRITE_BUFFER = 64 * MIB
CACHE = 256 * MIB
BUDGET = WRITE_BUFFER + CACHE
BLOOM_BITS = 10
Pair = tuple[bytes, bytes]


def peers_folder() -> str:
    """Where bindings are that cannot stand beside this package."""
    return os.path.abspath(os.environ.get("LSMLAB_PEERS", "build/peers"))


def shares(budget: int) -> tuple[int, int]:
    """Bytes of the write buffer and of the cache: 64 MiB and 256 MiB of the usual budget."""
    return budget // 5, budget - budget // 5


class Store(ABC):
    """What a benchmark needs of a store. Subclasses open at `path` and set the bound methods."""

    name = ""
    package = ""  # its distribution
    is_lsm = True
    threads_share = True  # one handle may be used by several threads at once
    put: Any  # (key, value)
    get: Any  # (key) -> value or None
    delete: Any  # (key)
    get_many: Any  # (keys) -> values
    put_batch: Any  # (keys, values), atomic
    scan: Any  # () -> iterable of all pairs in key order

    @abstractmethod
    def __init__(self, path: Path, budget: int = BUDGET, durable: bool = False) -> None:
        """Open at path with so many bytes of memory; durable: every commit is on the disk when it returns."""

    @abstractmethod
    def seek(self, key: bytes, count: int) -> list[Pair]:
        """The first `count` pairs from key on."""

    def compact(self) -> None:  # noqa: B027 (a store without a settled form has nothing to do)
        """Bring the store into its settled form."""

    def only_reads(self) -> None:  # noqa: B027 (most have no such way)
        """From here on nothing is written: a store that has a cheaper way to read may take it."""

    @abstractmethod
    def close(self) -> None:
        """Close it; what was acknowledged is in the files."""

    @classmethod
    def version(cls) -> str:
        """Version of the binding that is installed; "source tree" for this engine when it is run without being installed."""
        for found in metadata.distributions(name=cls.package, path=[*sys.path, peers_folder()]):
            return found.version
        return "source tree" if cls.package == "lsmlab" else ""


class Lsmlab(Store):
    """This engine."""

    name, package = "lsmlab", "lsmlab"

    def __init__(self, path: Path, budget: int = BUDGET, durable: bool = False) -> None:
        import lsm

        buffer, cache = shares(budget)
        table = {"bits_per_key": float(BLOOM_BITS), "codec": "none"}
        self.db = lsm.open(path, write_buffer=buffer, cache={"capacity": cache}, table=table, wal={"sync": "group" if durable else "os"})
        self.put, self.get, self.delete = self.db.put, self.db.get, self.db.delete
        self.get_many, self.put_batch = self.db.get_many, self.db.put_many
        self.scan = self.db.scan

    def seek(self, key: bytes, count: int) -> list[Pair]:
        return self.db.range(key, limit=count)

    def compact(self) -> None:
        self.db.compact()

    def close(self) -> None:
        self.db.close()


class RocksDB(Store):
    """RocksDB through rocksdict in raw mode."""

    name, package = "rocksdb", "rocksdict"

    def __init__(self, path: Path, budget: int = BUDGET, durable: bool = False) -> None:
        r = binding(self.package)
        buffer, cache = shares(budget)
        options = r.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(buffer)
        options.set_compression_type(r.DBCompressionType.none())
        table = r.BlockBasedOptions()
        table.set_block_cache(r.Cache(cache))
        table.set_bloom_filter(BLOOM_BITS, False)
        options.set_block_based_table_factory(table)
        # Named explicitly, else a reopened store takes the options file's column family, without the filter and the cache set here.
        self.db: Any = r.Rdict(str(path), options, column_families={"default": options})
        if durable:
            writes = r.WriteOptions()
            writes.sync = True
            self.db.set_write_options(writes)
        self.put, self.get, self.delete, self.get_many = self.db.put, self.db.get, self.db.delete, self.db.get
        self.scan = self.db.items
        self._batch = r.WriteBatch

    def put_batch(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        batch = self._batch(raw_mode=True)
        put = batch.put
        for key, value in zip(keys, values, strict=True):
            put(key, value)
        self.db.write(batch)

    def seek(self, key: bytes, count: int) -> list[Pair]:
        return list(islice(iter(self.db.items(from_key=key)), count))

    def compact(self) -> None:
        self.db.flush()
        self.db.compact_range(None, None)

    def close(self) -> None:
        self.db.close()


class Speedb(RocksDB):
    """Speedb, which grew out of RocksDB, through speedict: rocksdict's twin."""

    name, package = "speedb", "speedict"


class LevelDB(Store):
    """LevelDB through plyvel."""

    name, package = "leveldb", "plyvel"

    def __init__(self, path: Path, budget: int = BUDGET, durable: bool = False) -> None:
        import plyvel

        buffer, cache = shares(budget)
        self.db = plyvel.DB(
            str(path),
            create_if_missing=True,
            write_buffer_size=buffer,
            lru_cache_size=cache,
            bloom_filter_bits=BLOOM_BITS,
            compression=None,
        )
        self.put, self.get, self.delete, self.scan = self.db.put, self.db.get, self.db.delete, self.db.iterator
        get, put = self.get, self.put
        self.get_many = lambda keys: [get(k) for k in keys]
        if durable:
            self.put = lambda key, value: put(key, value, sync=True)

    def put_batch(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        batch = self.db.write_batch()
        put = batch.put
        for key, value in zip(keys, values, strict=True):
            put(key, value)
        batch.write()

    def seek(self, key: bytes, count: int) -> list[Pair]:
        return list(islice(self.db.iterator(start=key), count))

    def compact(self) -> None:
        self.db.compact_range()

    def close(self) -> None:
        self.db.close()


class LsmDB(Store):
    """SQLite4's LSM tree through lsm-db: one file, mapped; the budget is its tree in memory. Its connection belongs to one thread."""

    name, package, threads_share = "lsm-db", "lsm-db", False

    def __init__(self, path: Path, budget: int = BUDGET, durable: bool = False) -> None:
        path.mkdir(parents=True, exist_ok=True)
        module, (buffer, _) = binding(self.package), shares(budget)
        how = {"autoflush": buffer >> 10, "autocheckpoint": buffer >> 10, "multiple_processes": False}
        safety = module.SAFETY_FULL if durable else module.SAFETY_OFF
        self.db: Any = module.LSM(str(path / "kv.lsm"), write_safety=safety, **how)
        self.put, self.delete, self._fetch = self.db.insert, self.db.delete, self.db.fetch
        get = self.get
        self.get_many = lambda keys: [get(k) for k in keys]

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes = self._fetch(key)
            return value
        except KeyError:
            return None

    def put_batch(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        with self.db.transaction():
            self.db.update(dict(zip(keys, values, strict=True)))

    def scan(self) -> Iterable[Pair]:
        pairs: Iterator[Pair] = iter(self.db)
        return pairs

    def seek(self, key: bytes, count: int) -> list[Pair]:
        return list(islice(self.db.fetch_range(key, None), count))

    def compact(self) -> None:
        self.db.flush()
        while self.db.work(1 << 20):
            pass
        self.db.checkpoint(0)

    def close(self) -> None:
        self.db.close()


class LMDB(Store):
    """LMDB: a copy-on-write B+-tree in a map; a put is a transaction of its own."""

    name, package, is_lsm = "lmdb", "lmdb", False

    def __init__(self, path: Path, budget: int = BUDGET, durable: bool = False) -> None:
        import lmdb

        self.env = lmdb.open(str(path), map_size=64 << 30, sync=durable, metasync=durable, lock=True)
        self.reader: Any = None
        self.get = self._fresh

    def only_reads(self) -> None:
        self.reader = self.env.begin()
        self.get = self.reader.get

    def put(self, key: bytes, value: bytes) -> None:
        with self.env.begin(write=True) as txn:
            txn.put(key, value)

    def _fresh(self, key: bytes) -> bytes | None:
        with self.env.begin() as txn:
            value: bytes | None = txn.get(key)
            return value

    def delete(self, key: bytes) -> None:
        with self.env.begin(write=True) as txn:
            txn.delete(key)

    def put_batch(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        with self.env.begin(write=True) as txn:
            txn.cursor().putmulti(zip(keys, values, strict=True))

    def get_many(self, keys: Sequence[bytes]) -> Any:
        return self.reader.cursor().getmulti(keys)

    def scan(self) -> Iterator[Pair]:
        with self.env.begin() as txn, txn.cursor() as cursor:
            yield from cursor

    def seek(self, key: bytes, count: int) -> list[Pair]:
        with self.env.begin() as txn, txn.cursor() as cursor:
            return list(islice(cursor.iternext(), count)) if cursor.set_range(key) else []

    def close(self) -> None:
        if self.reader is not None:
            self.reader.abort()
        self.env.close()


class SQLite(Store):
    """SQLite as a key-value table WITHOUT ROWID, write-ahead log, synchronous off."""

    name, package, is_lsm, threads_share = "sqlite", "", False, False

    def __init__(self, path: Path, budget: int = BUDGET, durable: bool = False) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path / "kv.sqlite", isolation_level=None, check_same_thread=False)
        run = self.db.execute
        for pragma in ("journal_mode=wal", f"synchronous={'full' if durable else 'off'}", f"cache_size=-{budget // 1024}"):
            run(f"pragma {pragma}")
        run("create table if not exists kv (k blob primary key, v blob) without rowid")

        def get(key: bytes) -> bytes | None:
            row = run("select v from kv where k = ?", (key,)).fetchone()
            return row[0] if row else None

        self.get = get
        self.put = lambda key, value: run("insert or replace into kv values (?, ?)", (key, value))
        self.delete = lambda key: run("delete from kv where k = ?", (key,))
        self.get_many = lambda keys: [get(k) for k in keys]

    def put_batch(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        self.db.execute("begin")
        self.db.executemany("insert or replace into kv values (?, ?)", zip(keys, values, strict=True))
        self.db.execute("commit")

    def scan(self) -> Iterable[Pair]:
        return self.db.execute("select k, v from kv order by k")

    def seek(self, key: bytes, count: int) -> list[Pair]:
        return self.db.execute("select k, v from kv where k >= ? order by k limit ?", (key, count)).fetchall()

    def compact(self) -> None:
        self.db.execute("pragma wal_checkpoint(truncate)")

    def close(self) -> None:
        self.db.close()

    @classmethod
    def version(cls) -> str:
        return sqlite3.sqlite_version


STORES: dict[str, type[Store]] = {s.name: s for s in (Lsmlab, RocksDB, Speedb, LevelDB, LsmDB, LMDB, SQLite)}


def binding(package: str) -> Any:
    """Import the module of a distribution, from the folder of peers when it is not beside us. ModuleNotFoundError."""
    if package != "lsm-db":
        if importlib.util.find_spec(package) is None:
            sys.path.append(peers_folder())  # at the end: what is in both is taken from here
        return importlib.import_module(package)
    spec = PathFinder.find_spec("lsm", [peers_folder()])
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("lsm-db", name="lsm-db")
    ours = sys.modules.get("lsm")
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:  # a module in C may have named itself
        sys.modules.pop("lsm", None)
        if ours is not None:
            sys.modules["lsm"] = ours
    return module
