"""Every store of the benchmark behind one small face: this engine, RocksDB, LevelDB, LMDB, SQLite and a plain dict.

The attributes `put`, `get`, `delete` are the binding's own bound methods wherever it has one, so that a timed loop pays for no adapter.
Budgets are equal: 64 MiB write buffer and 256 MiB cache (LMDB and SQLite have one cache: the system's, or 320 MiB), Bloom filter of 10
bits a key where there is one, no compression, log on and handed to the operating system before a put returns, no fsync.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from .processes import version

MIB = 1 << 20
WRITE_BUFFER = 64 * MIB
CACHE = 256 * MIB
BUDGET = WRITE_BUFFER + CACHE
BLOOM_BITS = 10
Pair = tuple[bytes, bytes]


class Store(ABC):
    """What a benchmark needs of a store. Subclasses open at `path` and set the bound methods."""

    name = ""
    package = ""
    put: Any  # (key, value)
    get: Any  # (key) -> value or None
    delete: Any  # (key)
    get_many: Any  # (keys) -> values
    put_batch: Any  # (keys, values), atomic
    scan: Any  # () -> iterable of all pairs in key order

    @abstractmethod
    def __init__(self, path: Path) -> None:
        """Open at path."""

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
        """Version of the binding that is installed."""
        return version(cls.package)


class Lsmlab(Store):
    """This engine."""

    name, package = "lsmlab", "lsmlab"

    def __init__(self, path: Path) -> None:
        import lsm

        self.db = lsm.open(
            path, write_buffer=WRITE_BUFFER, cache={"capacity": CACHE}, table={"bits_per_key": float(BLOOM_BITS), "codec": "none"}
        )
        self.put, self.get, self.delete = self.db.put, self.db.get, self.db.delete
        self.get_many, self.put_batch = self.db.get_many, self.db.put_many
        self.scan = self.db.scan

    def seek(self, key: bytes, count: int) -> list[Pair]:
        return list(self.db.scan(key, limit=count))

    def compact(self) -> None:
        self.db.compact()

    def close(self) -> None:
        self.db.close()


class RocksDB(Store):
    """RocksDB through rocksdict in raw mode."""

    name, package = "rocksdb", "rocksdict"

    def __init__(self, path: Path) -> None:
        import rocksdict as r

        options = r.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(WRITE_BUFFER)
        options.set_compression_type(r.DBCompressionType.none())
        table = r.BlockBasedOptions()
        table.set_block_cache(r.Cache(CACHE))
        table.set_bloom_filter(BLOOM_BITS, False)
        options.set_block_based_table_factory(table)
        # Named explicitly, else a reopened store takes the options file's column family, without the filter and the cache set here.
        self.db: Any = r.Rdict(str(path), options, column_families={"default": options})
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


class LevelDB(Store):
    """LevelDB through plyvel."""

    name, package = "leveldb", "plyvel"

    def __init__(self, path: Path) -> None:
        import plyvel

        self.db = plyvel.DB(
            str(path),
            create_if_missing=True,
            write_buffer_size=WRITE_BUFFER,
            lru_cache_size=CACHE,
            bloom_filter_bits=BLOOM_BITS,
            compression=None,
        )
        self.put, self.get, self.delete, self.scan = self.db.put, self.db.get, self.db.delete, self.db.iterator
        get = self.get
        self.get_many = lambda keys: [get(k) for k in keys]

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


class LMDB(Store):
    """LMDB: a copy-on-write B+-tree in a map; a put is a transaction of its own."""

    name, package = "lmdb", "lmdb"

    def __init__(self, path: Path) -> None:
        import lmdb

        self.env = lmdb.open(str(path), map_size=8 << 30, sync=False, metasync=False, lock=True)
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

    name, package = "sqlite", ""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path / "kv.sqlite", isolation_level=None)
        run = self.db.execute
        for pragma in ("journal_mode=wal", "synchronous=off", f"cache_size=-{BUDGET // 1024}"):
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


STORES: dict[str, type[Store]] = {s.name: s for s in (Lsmlab, RocksDB, LevelDB, LMDB, SQLite)}
