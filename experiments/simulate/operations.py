"""Operations for a simulation: writes as columns, keys by their rank among all keys of the stream. The same stream drives the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import lsm
from lsm.native_measure import DELETE, PUT, RANGE_DELETE, Ranks, StreamMeasure

from ..workloads import format_keys, key_numbers

WORKLOADS = ("fillrandom", "fillseq", "overwrite")
DIGITS = 16
_FILLER = b"x"


@dataclass(frozen=True)
class Put:
    """Set a key to a value of `length` bytes."""

    key: bytes
    length: int


@dataclass(frozen=True)
class Delete:
    """Delete a key."""

    key: bytes


@dataclass(frozen=True)
class DeleteRange:
    """Delete the keys in [start, end)."""

    start: bytes
    end: bytes


Operation = Put | Delete | DeleteRange


@dataclass(frozen=True)
class Operations:
    """A row an operation: rank of the key (of the start), rank of the end, kind, length of the value, 1 where a record ends."""

    keys: list[bytes]  # distinct, ascending
    ranks: Ranks
    ends: Ranks
    kinds: NDArray[np.uint8]
    value_lens: Ranks
    lasts: NDArray[np.uint8]
    flushes: tuple[int, ...] = ()  # operations behind which all is flushed, and waited for; at the end it is anyway

    def __len__(self) -> int:
        return len(self.ranks)

    @classmethod
    def of(cls, rows: Iterable[Operation]) -> Operations:
        """Take operations one by one, each a record of its own. ValueError for an empty range."""
        rows = list(rows)
        if empty := next((r for r in rows if isinstance(r, DeleteRange) and r.start >= r.end), None):
            raise ValueError(f"{empty}; allowed: start < end")
        keys = sorted({k for r in rows for k in ((r.start, r.end) if isinstance(r, DeleteRange) else (r.key,))})
        rank = {k: i for i, k in enumerate(keys)}
        kind: dict[type, int] = {Put: PUT, Delete: DELETE, DeleteRange: RANGE_DELETE}
        return cls(
            keys,
            np.array([rank[r.start if isinstance(r, DeleteRange) else r.key] for r in rows], np.uint32),
            np.array([rank[r.end] if isinstance(r, DeleteRange) else 0 for r in rows], np.uint32),
            np.array([kind[type(r)] for r in rows], np.uint8),
            np.array([r.length if isinstance(r, Put) else 0 for r in rows], np.uint32),
            np.ones(len(rows), np.uint8),
        )

    @classmethod
    def drawn(
        cls,
        workload: str = "fillrandom",
        entries: int = 100_000,
        *,
        key_bytes: int = 16,
        value_bytes: int = 100,
        updates: float = 0.0,
        deletes: float = 0.0,
        batch: int = 1,
        seed: int = 1,
    ) -> Operations:
        """Draw `entries` writes, `batch` a record. ValueError for what is not allowed.

        fillrandom: new keys in random order; fillseq: in key order; overwrite: evenly drawn from entries / 2 keys. updates and deletes:
        shares of the writes that go to a key drawn evenly from those inserted before (an update or a delete of nothing is an insert).
        """
        if workload not in WORKLOADS:
            raise ValueError(f"workload is {workload!r}; allowed: {', '.join(WORKLOADS)}")
        allowed: dict[str, tuple[float, float, float]] = {
            "entries": (entries, 1, 2**31), "key_bytes": (key_bytes, DIGITS, 1 << 16), "value_bytes": (value_bytes, 0, 1 << 20),
            "updates": (updates, 0, 1), "deletes": (deletes, 0, 1), "updates + deletes": (updates + deletes, 0, 1),
            "batch": (batch, 1, 1 << 20),
        }  # fmt: skip
        for name, (value, low, high) in allowed.items():
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; allowed: {low} to {high}")
        rng = np.random.default_rng([seed, WORKLOADS.index(workload)])
        chance = rng.random(entries)
        again = (chance < updates + deletes) & (np.arange(entries) > 0)
        ids = np.cumsum(~again) - 1
        ids[again] = (rng.random(int(again.sum())) * (ids[again] + 1)).astype(np.int64)
        if workload == "overwrite":
            ids = rng.integers(0, max(1, entries // 2), entries)
            again = chance < deletes
        numbers, ranks = np.unique(key_numbers(ids, "dense" if workload == "fillseq" else "hashed"), return_inverse=True)
        kinds = np.where(again & (chance < deletes), DELETE, PUT).astype(np.uint8)
        lasts = (np.arange(1, entries + 1) % batch == 0).astype(np.uint8)
        lasts[-1] = 1
        padding = b"k" * (key_bytes - DIGITS)
        keys = [padding + k for k in format_keys(numbers)] if padding else format_keys(numbers)
        values = np.where(kinds == PUT, value_bytes, 0).astype(np.uint32)
        return cls(keys, ranks.astype(np.uint32), np.zeros(entries, np.uint32), kinds, values, lasts)

    def measure(self) -> StreamMeasure:
        """Return the stream as the extension takes it."""
        return StreamMeasure(self.keys, self.ranks, self.ends, self.kinds, self.value_lens, self.lasts)

    def payloads(self) -> NDArray[np.int64]:
        """Bytes of key and value (or end of range) of each operation."""
        lens = np.array([len(k) for k in self.keys], np.int64)
        ends = np.where(self.kinds == RANGE_DELETE, lens[self.ends] if len(self.keys) else 0, 0)
        return (lens[self.ranks] if len(self.keys) else np.zeros(0, np.int64)) + self.value_lens + ends

    def value(self, operation: int, *, distinct: bool) -> bytes:
        """The value that an operation puts; distinct: one that tells which operation it was."""
        length = int(self.value_lens[operation])
        return (b"%d." % operation * length)[:length] if distinct else _FILLER * length

    def model(self) -> dict[bytes, bytes]:
        """What a database holds after all operations, with distinct values."""
        held: dict[bytes, bytes] = {}
        for i, (rank, end, kind) in enumerate(zip(self.ranks.tolist(), self.ends.tolist(), self.kinds.tolist(), strict=True)):
            if kind == PUT:
                held[self.keys[rank]] = self.value(i, distinct=True)
            elif kind == DELETE:
                held.pop(self.keys[rank], None)
            else:
                for key in self.keys[rank:end]:
                    held.pop(key, None)
        return held

    def play(self, db: lsm.DB, told: Callable[[int], None] = lambda done: None, *, distinct: bool = False) -> None:
        """Do the operations on an open database, record by record."""
        batch = lsm.Batch()
        size = 0
        rows = zip(self.ranks.tolist(), self.ends.tolist(), self.kinds.tolist(), self.lasts.tolist(), strict=True)
        for done, (rank, end, kind, last) in enumerate(rows):
            key, alone = self.keys[rank], last and not size
            if kind == RANGE_DELETE:
                batch.delete_range(key, self.keys[end])
                size += 1
            elif kind == PUT:
                (db if alone else batch).put(key, self.value(done, distinct=distinct))
                size += not alone
            else:
                (db if alone else batch).delete(key)
                size += not alone
            if last and size:
                db.write(batch)
                batch, size = lsm.Batch(), 0
            if done + 1 in self.flushes:
                db.flush()
                db.wait()
            if done % 10_000 == 0:
                told(done)


__all__ = ["DELETE", "PUT", "RANGE_DELETE", "WORKLOADS", "Delete", "DeleteRange", "Operation", "Operations", "Put"]
