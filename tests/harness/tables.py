"""What tests of tables share: an environment in memory, settings by name, entries in order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import indexes
import recovery
from lsm.codecs import load_codec
from lsm.memtable_twin import DELETE, PUT, Entry, order
from lsm.merge_twin import Range
from lsm.native import Cache, Env, Ledger, Table, TableProps, TableSettings, lib
from lsm.native_tables import build_table
from lsm.table_twin import TWO_LEVEL, Settings

DATABASE = 0x1122334455667788
PATH = "/t.sst"


@dataclass
class Lab:
    """An environment over files in memory."""

    fs: Any = field(default_factory=recovery.memory)
    cache: Cache | None = None
    database: int = DATABASE

    def __post_init__(self) -> None:
        self.ledger = Ledger()
        self.codecs = {kind: load_codec(kind) for kind in ("none", "lz4", "zstd")}
        filters = [indexes.filter_ops_address(kind) for kind in indexes.filter_kinds()]
        ranges = [indexes.range_ops_address("surf")]
        crc = recovery.crc32c_address()
        self.env = Env(self.fs, crc, self.cache, None, self.ledger, self.database, list(self.codecs.values()), filters, ranges)

    def settings(self, twin: Settings | None = None, *, codec: str = "", search: str = "", mapped: bool = False) -> TableSettings:
        """Return what C takes for the twin's settings."""
        s = twin or Settings()
        fields: dict[str, Any] = {
            "block_size": s.block_size,
            "restart_interval": s.restart_interval,
            "hash_index": s.hash_index,
            "hash_util": s.hash_util,
            "index_kind": s.index_kind,
            "bits_per_key": s.bits_per_key,
            "read_mode": lib.LSM_READ_MAPPED if mapped else lib.LSM_READ_BUFFERED,
        }
        if s.filter:
            fields["filter"] = indexes.filter_ops_address(s.filter)
        if s.range_filter:
            fields["range_filter"] = indexes.range_ops_address(s.range_filter)
        if codec:
            fields["codec"] = self.codecs[codec].address
        if search:
            fields["search"] = indexes.search_ops_address(search)
        return TableSettings(**fields)

    def build(
        self, settings: TableSettings, entries: Sequence[Entry], ranges: Sequence[Range] = (), *, number: int = 7, path: str = PATH
    ) -> TableProps:
        """Write a table, in place of one that may be there."""
        if self.fs.exists(path):
            self.fs.unlink(path)
        return build_table(self.env, settings, path, number, entries, ranges)

    def open(self, settings: TableSettings, *, number: int = 7, path: str = PATH, size: int = 0, crc: int = 0) -> Table:
        """Open a table."""
        return Table(self.env, settings, path, number, size, crc)


SHAPES: dict[str, tuple[Settings, dict[str, Any]]] = {
    "plain": (Settings(), {}),
    "tiny blocks": (Settings(block_size=1, restart_interval=1), {}),
    "small blocks, bloom": (Settings(block_size=200, restart_interval=3, filter="bloom"), {"search": "fence"}),
    "hash index": (Settings(block_size=400, restart_interval=4, hash_index=True, filter="blocked_bloom"), {"search": "binary"}),
    "two levels": (Settings(block_size=100, restart_interval=2, index_kind=TWO_LEVEL), {"search": "fence"}),
    "two levels, tiny": (Settings(block_size=1, restart_interval=1, index_kind=TWO_LEVEL, filter="bloom", hash_index=True), {}),
    "range filter": (Settings(block_size=300, filter="bloom", range_filter="surf"), {"search": "learned"}),
    "lz4": (Settings(block_size=500, restart_interval=4), {"codec": "lz4"}),
    "zstd, two levels": (Settings(block_size=300, index_kind=TWO_LEVEL, filter="blocked_bloom"), {"codec": "zstd"}),
}


def sample(n: int, seed: int = 1) -> list[Entry]:
    """Return about n entries in order: keys with shared beginnings, the empty key, several versions, deletes."""
    rng = random.Random(seed)
    keys = [b"", b"a", b"a\0", b"\xff" * 3, *(b"user%05d" % rng.randrange(n) + rng.randbytes(rng.randrange(3)) for _ in range(n // 2))]
    found = {}
    for seq in range(1, n + 1):
        key = rng.choice(keys) if seq % 3 else keys[-1]  # one key has a third of all versions: they go over the borders of blocks
        kind = DELETE if rng.random() < 0.2 else PUT
        found[key, seq] = Entry(key, seq, kind, b"" if kind == DELETE else bytes([seq % 5]) * rng.randrange(40))
    return sorted(found.values(), key=order)
