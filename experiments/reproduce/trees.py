"""Trees to measure: real bytes in the engine's memory file system, flushes after an exact number of entries, figures out of the ledger.

Keys are random 64-bit numbers (even ones exist, odd ones do not), big-endian, so that all levels cover the whole key space. No log: the
papers' models do not count it. threads=0: the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lsm
import recovery

from ..costs import fitted

Ints = NDArray[np.uint64]
HUGE = 1 << 38
"""Output size at which a level is one table: merges of whole levels, as the models have them."""


def numbers(count: int, seed: int) -> Ints:
    """Different even numbers in random order."""
    rng = np.random.default_rng(seed)
    drawn = np.unique(rng.integers(0, 2**63, count + count // 100 + 100, dtype=np.uint64))
    return rng.permutation(drawn)[:count] * np.uint64(2)


def absent(count: int, seed: int) -> list[bytes]:
    """Keys that do not exist, evenly drawn."""
    return packed(np.random.default_rng([seed, 1]).integers(0, 2**63, count, dtype=np.uint64) * np.uint64(2) + np.uint64(1))


def packed(keys: Ints) -> list[bytes]:
    """Numbers as keys."""
    data = keys.astype(">u8").tobytes()
    return [data[i : i + 8] for i in range(0, len(data), 8)]


class Tree:
    """An open database that is flushed after every `buffer` entries. `entry`: bytes of an entry in a table, roughly, for level capacities.

    `full` compaction makes each level one table. level_base holds `first` buffers' worth; the default, one and a half, lets a level take
    T - 1 times what arrives and move down with the next.
    """

    def __init__(
        self, *, buffer: int, value: int = 8, options: Mapping[str, Any] | None = None, first: float = 1.5, cache: int = 0
    ) -> None:  # fmt: skip
        self.buffer, self.value = buffer, value
        self.entry = probe_entry(value, options or {})
        self.base = max(1024, int(first * buffer * self.entry))
        base = {
            "threads": 0, "write_buffer": 1 << 30, "wal": {"enabled": False}, "cache": {"capacity": cache, "shards": 1},
            "compaction": {"output_bytes": HUGE, "level_base": self.base, "max_levels": 24},
        }  # fmt: skip
        self.db = lsm.open("/tree", lsm.Options.from_dict(base).override(options or {}), fs=recovery.memory())
        self.keys: Ints = np.zeros(0, np.uint64)
        self.lens = np.full(buffer, 8, np.uint32)
        self.value_lens = np.full(buffer, value, np.uint32)
        self.pending = 0

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()

    def put(self, keys: Ints, after: Callable[[int], None] | None = None, deleted: NDArray[np.bool_] | None = None) -> None:
        """Put keys in order (delete those that `deleted` marks), flush whenever the buffer is full.

        after(n): called after each flush with the entries written by this call."""
        at = 0
        while at < len(keys):
            some = keys[at : at + self.buffer - self.pending]
            n = len(some)
            gone = deleted[at : at + n] if deleted is not None else None
            kept = some if gone is None else some[~gone]
            if len(kept):
                data = kept.astype(">u8").tobytes()
                self.db.put_packed(data, self.lens[: len(kept)], bytes(len(kept) * self.value), self.value_lens[: len(kept)])
            if gone is not None and gone.any():
                self.db.delete_many(packed(some[gone]))
            self.pending += n
            at += n
            if self.pending == self.buffer:
                self.db.flush()
                self.pending = 0
                if after is not None:
                    after(at)

    def counts(self) -> Counts:
        """What the ledger has now."""
        return Counts(self.db.stats())

    def shape(self) -> list[dict[str, int]]:
        """Levels that hold anything."""
        return [{"level": lv.level, "runs": lv.runs, "tables": lv.tables, "entries": lv.entries, "bytes": lv.bytes}
                for lv in self.db.levels() if lv.runs]  # fmt: skip

    def stored(self) -> int:
        """Entries in tables, all versions."""
        return sum(lv.entries for lv in self.db.levels())

    def lookups(self, keys: Sequence[bytes]) -> float:
        """Data blocks read or found cached by a lookup of these keys, on average."""
        before = self.counts()
        for i in range(0, len(keys), 10_000):
            self.db.get_many(keys[i : i + 10_000])
        return self.counts().since(before).count(op=("read", "hit"), component="data", cause="get") / len(keys)

    def runs(self, missing: Sequence[bytes]) -> tuple[fitted.Run, ...]:
        """The runs with the rates of their very filters."""
        return fitted.runs_of(self.db, missing=missing)


class Counts:
    """Cells of a ledger, or the difference of two."""

    def __init__(self, stats: lsm.Stats | Mapping[Any, tuple[int, int]], counters: Mapping[str, int] | None = None) -> None:
        self.cells = dict(stats.cells) if isinstance(stats, lsm.Stats) else dict(stats)
        self.counters = dict(stats.counters) if isinstance(stats, lsm.Stats) else dict(counters or {})

    def since(self, before: Counts) -> Counts:
        """What came after another reading."""
        cells = {k: (c - before.cells.get(k, (0, 0))[0], b - before.cells.get(k, (0, 0))[1]) for k, (c, b) in self.cells.items()}
        return Counts(cells, {k: v - before.counters.get(k, 0) for k, v in self.counters.items()})

    def _matching(self, wanted: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
        for (op, level, component, cause), value in self.cells.items():
            have = {"op": op, "level": level, "component": component, "cause": cause}
            if all(have[k] in v if isinstance(v, tuple) else have[k] == v for k, v in wanted.items()):
                yield value

    def count(self, **wanted: Any) -> int:
        """Blocks or calls of the cells that match; a tuple: any of them."""
        return sum(c for c, _ in self._matching(wanted))

    def bytes(self, **wanted: Any) -> int:
        """Bytes of the cells that match."""
        return sum(b for _, b in self._matching(wanted))


def probe_entry(value: int, options: Mapping[str, Any]) -> float:
    """Bytes that an entry takes in a table of these options: measured on a small one."""
    table = dict(options.get("table", {}))
    plain = {"threads": 0, "wal": {"enabled": False}, "cache": {"capacity": 0}, "table": table}
    keys = numbers(20_000, 1)
    with lsm.open("/probe", plain, fs=recovery.memory()) as db:
        n = len(keys)
        db.put_packed(keys.astype(">u8").tobytes(), np.full(n, 8, np.uint32), bytes(n * value), np.full(n, value, np.uint32))
        db.flush()
        return db.levels()[-1].bytes / n if not db.levels()[0].bytes else db.levels()[0].bytes / n
