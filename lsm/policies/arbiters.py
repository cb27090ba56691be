"""Arbiters: how one budget of memory (`memory`) is shared by write buffers, filters and the block cache.

| kind | shares | source |
|---|---|---|
| fixed | as at the start, for good | RocksDB's cache with a write buffer manager |
| marginal | the next byte goes where it saves the most bytes of I/O | Luo and Carey (VLDB 2020), memory tuner; Monkey (SIGMOD 2017) |

An arbiter says what write buffers get and how many bits a key filters of new tables have; the cache has the rest. It is asked when as many
bytes as an eighth of the budget were written by users or read from tables since it was asked last.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..params import Param, parse
from ..registry import ARBITERS


@dataclass(frozen=True)
class Split:
    """How memory is shared: bytes for write buffers, bits a key of new filters."""

    write: int
    bits_per_key: float


@dataclass(frozen=True)
class Traffic:
    """What happened since the arbiter was asked last. Bytes, but for the probes of filters and those that were in vain."""

    written: int  # by users
    merged: int  # read and written by compactions
    missed: int  # blocks read from tables for gets and scans: misses of the cache
    ghosts: int  # misses of the cache, in blocks, that its policy had evicted not long ago; 0 where it does not remember
    probes: int
    false_positives: int


@dataclass(frozen=True)
class MemoryView:
    """What an arbiter decides from. `used`: bytes held by memtables, cache, rows and tables (filters and indexes)."""

    total: int
    split: Split
    used: Mapping[str, int]
    data: int  # bytes of tables
    entries: int  # in them
    block: int  # bytes of a block
    since: Traffic
    params: str = ""

    @property
    def cache(self) -> int:
        """Bytes that the cache may have."""
        return max(0, self.total - self.split.write - self.used.get("tables", 0) - self.used.get("rows", 0))


class Arbiter(ABC):
    """Base: a subclass gives `kind`, `source`, `params` and `divide`."""

    kind: ClassVar[str]
    source: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()

    @abstractmethod
    def divide(self, view: MemoryView) -> Split:
        """Return how memory is to be shared from now on: write from 1/64 to 3/4 of the total, bits_per_key from 0 to 64."""


class Fixed(Arbiter):
    """As at the start: a fifth for write buffers, `table.bits_per_key` for filters."""

    kind, source = "fixed", "RocksDB, WriteBufferManager"

    def divide(self, view: MemoryView) -> Split:
        return view.split


class Marginal(Arbiter):
    """Moves a step towards the part where one byte more saves the most bytes of I/O, if that is clearly more than where it comes from.

    Write buffers: merges cost as ln(data / buffers), so a byte saves merged / (buffers * ln(data / buffers)). Cache: a byte saves what the
    data that is not cached is read on average, or more where the policy remembers what it evicted. Filters: a bit more a key takes the
    share 1 - 0.6185 from the false positives, each of them a block.
    """

    kind, source = "marginal", "Luo, Carey, Breaking Down Memory Walls, VLDB 2020, section 5; Monkey, SIGMOD 2017"
    params = (
        Param("step", 0.05, 0.001, 0.25, "share of the budget that moves at once"),
        Param("threshold", 1.25, 1.0, 100.0, "how many times the gain must be the loss"),
        Param("least_bits", 5.0, 0.0, 64.0, "bits a key that filters keep"),
        Param("most_bits", 16.0, 0.0, 64.0, "bits a key that filters have at most"),
    )

    def divide(self, view: MemoryView) -> Split:
        p = parse("arbiter_params", view.params, self.params)
        write, cache, filters = gains(view)
        now, step = view.split, int(p["step"] * view.total)
        size, bits = now.write, now.bits_per_key
        if write > p["threshold"] * cache:
            size = min(size + step, view.total // 2)
        elif cache > p["threshold"] * write:
            size = max(size - step, view.total // 16)
        if view.since.probes and filters > p["threshold"] * max(cache, write):
            bits = max(bits, min(bits + 1, p["most_bits"]))
        elif view.since.probes and max(cache, write) > p["threshold"] * filters:
            bits = min(bits, max(bits - 1, p["least_bits"]))
        return Split(size, bits)


def gains(view: MemoryView) -> tuple[float, float, float]:
    """Return the bytes of I/O that a byte more would have saved since the last time: in write buffers, in the cache, in filters."""
    since, size = view.since, max(1, view.split.write)
    write = since.merged / (size * math.log(max(math.e, view.data / size)))
    cold = max(view.block, view.data - view.used.get("cache", 0))
    cache = max(since.missed / cold, since.ghosts * view.block / max(view.block, view.cache)) if since.missed else 0.0
    filters = since.false_positives * view.block * (1 - math.exp(-(math.log(2) ** 2))) * 8 / max(1, view.entries)
    return write, cache, filters


for _cls in (Fixed, Marginal):
    ARBITERS[_cls.kind] = _cls
