"""What every strategy offers, and what is the same in all: the rows, and the counters."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from ... import keys as key_code
from ...batch import Batch
from ...scan import prefix_end
from ..ordered import encoded
from ..record import Names, column, encode_many

if TYPE_CHECKING:
    from ...db import DB
    from ...keyspace import Keyspace

ID = struct.Struct(">Q")
Ids = npt.NDArray[np.uint64]
Keys = Mapping[int, bytes | None]  # row -> the key of its value in the index; None: there is no such row


@dataclass
class Counters:
    """What the index cost; of rows only what was read for its sake. candidates == hits + false_hits."""

    reads: int = 0  # point reads: of old rows, lists, places, to check a hit
    scanned: int = 0  # entries, fragments or rows that queries and passes went through
    writes: int = 0  # entries put or deleted
    bytes: int = 0  # of keys and values of these
    candidates: int = 0  # rows that a query had to decide on
    hits: int = 0
    false_hits: int = 0


class Strategy(ABC):
    """An index of one column. One thread. ``spaces``: the keyspaces of the index."""

    kind: ClassVar[str]

    def __init__(self, db: DB, name: str, columns: Sequence[str], column: str) -> None:
        """Use `make`."""
        if column not in columns or "id" in columns:
            raise ValueError(f"column {column!r} of {', '.join(columns)}; allowed: one of them, none called id")
        self.db, self.name, self.column = db, name, column
        self.names = Names(columns)
        self.counters = Counters()
        self.spaces: list[Keyspace] = []
        self.open()

    def open(self) -> None:
        """Open the keyspaces."""
        self.rows = self.db.keyspace(f"{self.name}.rows")

    def index_space(self, name: str = "index") -> Keyspace:
        """Return a keyspace of the index."""
        self.spaces.append(self.db.keyspace(f"{self.name}.{name}"))
        return self.spaces[-1]

    # Writing

    def put(self, row: Mapping[str, Any]) -> None:
        """Insert or replace a row."""
        self.put_many((row,))

    @abstractmethod
    def put_many(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or replace rows; of rows with one id the last counts."""

    @abstractmethod
    def delete(self, row_id: int) -> None:
        """Delete a row, whether it is there or not."""

    def write(self, batch: Batch, space: Keyspace, key: bytes, value: bytes | None) -> None:
        """Put or delete an entry of the index, counted."""
        self.counters.writes += 1
        self.counters.bytes += len(key) + len(value or b"")
        if value is None:
            batch.delete(key, keyspace=space)
        else:
            batch.put(key, value, keyspace=space)

    # Reading

    def read(self, space: Keyspace, keys: Sequence[bytes]) -> list[bytes | None]:
        """Look keys up, counted."""
        self.counters.reads += len(keys)
        return [None if v is None else bytes(v) for v in space.get_many(keys)] if keys else []

    def keys_of_rows(self, ids: Sequence[int]) -> list[bytes | None]:
        """Read rows: the keys of their values."""
        found = self.read(self.rows, [ID.pack(i) for i in ids])
        there = [v for v in found if v is not None]
        keys = iter(key_code.indexed(column(there, self.names[self.column]), encoded))
        return [None if v is None else next(keys) for v in found]

    def lookup(self, value: Any) -> Ids:
        """Return the ids of rows with this value, ascending."""
        key = encoded(value)
        return self._found(key, prefix_end(key))

    def range(self, low: Any, high: Any) -> Ids:
        """Return the ids of rows with low <= value < high, ascending."""
        return self._found(encoded(low), encoded(high))

    def _found(self, low: bytes, high: bytes | None) -> Ids:
        candidates, ids = self.search(low, high)
        self.counters.candidates += candidates
        self.counters.hits += len(ids)
        self.counters.false_hits += candidates - len(ids)
        return np.sort(np.array(ids, np.uint64))

    @abstractmethod
    def search(self, low: bytes, high: bytes | None) -> tuple[int, Sequence[int] | Ids]:
        """Return how many rows had to be decided on, and those of them whose keys are between."""

    # Keeping house

    def maintain(self) -> None:
        """Do the work that this way leaves for later; most leave none."""
        return

    def flush(self) -> None:
        """Write rows and index to tables."""
        self.db.flush()

    def compact(self) -> None:
        """Do all work that is left, then merge everything down."""
        self.maintain()
        for space in (self.rows, *self.spaces):
            space.compact()

    def size(self) -> int:
        """Bytes of the index in tables and in memory of its own."""
        return sum(t.size for space in self.spaces for t in space.version.tables().values())

    def written(self) -> int:
        """Bytes of the index that flushes and merges wrote, beside those in the ledger of the database."""
        return 0


class Entered(Strategy):
    """Entries of the index are written with the rows, in one batch."""

    def put_many(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or replace rows, with one batch for rows and index; of rows with one id the last counts."""
        last = {row["id"]: {c: row.get(c) for c in self.names} for row in rows}
        keys = key_code.indexed([row[self.column] for row in last.values()], encoded)
        batch = Batch()
        for row_id, data in zip(last, encode_many(last.values(), self.names), strict=True):
            batch.put(ID.pack(row_id), data, keyspace=self.rows)
        self.change(batch, dict(zip(last, keys, strict=True)))
        self.db.write(batch)

    def delete(self, row_id: int) -> None:
        """Delete a row, whether it is there or not."""
        batch = Batch()
        batch.delete(ID.pack(row_id), keyspace=self.rows)
        self.change(batch, {row_id: None})
        self.db.write(batch)

    @abstractmethod
    def change(self, batch: Batch, new: Keys) -> None:
        """Add to the batch what the index has to know of rows, none of which is written yet."""
