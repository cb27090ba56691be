"""Entries value | row, one a row: exact by reading old rows, checked by readers, or with a bitmap of those that count."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from indexes.rowset import RowSet, RowSetBuilder

from ...batch import Batch
from .base import ID, Entered, Ids, Keys

PASS = 1000  # entries that a pass deletes in one batch


class Composite(Entered):
    """An update reads the old row and deletes its entry, so that there are no entries but those of rows as they are.

    Qader, Cheng, Hristidis, SIGMOD 2018, section 4.3 (composite); the eager maintenance strategy of Luo and Carey, Efficient Data Ingestion
    and Query Processing for LSM-Based Storage Systems, VLDB 2019, section 3.
    """

    kind = "composite"

    def open(self) -> None:
        """Open the keyspaces."""
        super().open()
        self.index = self.index_space()

    def change(self, batch: Batch, new: Keys) -> None:
        """Put the new entries, delete those of the old rows."""
        for (row_id, key), old in zip(new.items(), self.keys_of_rows(list(new)), strict=True):
            if key != old:
                if old is not None:
                    self.write(batch, self.index, old + ID.pack(row_id), None)
                if key is not None:
                    self.write(batch, self.index, key + ID.pack(row_id), b"")

    def search(self, low: bytes, high: bytes | None) -> tuple[int, Sequence[int]]:
        """Scan the entries."""
        ids = [int.from_bytes(key[-8:], "big") for key in self.index.keys(low, high)]
        self.counters.scanned += len(ids)
        return len(ids), ids


class _Obsolete(Entered):
    """Entries may be of rows as they were; a pass deletes these."""

    def open(self) -> None:
        """Open the keyspaces."""
        super().open()
        self.index, self.key_index = self.index_space(), self.index_space("keys")

    @abstractmethod
    def current(self, entries: list[tuple[bytes, bytes]]) -> list[bool]:
        """Tell which entries are of rows as they are."""

    @abstractmethod
    def row_of(self, key: bytes, value: bytes) -> int:
        """Return the row of an entry."""

    def entries(self, low: bytes | None, high: bytes | None) -> list[tuple[bytes, bytes]]:
        """Return entries, counted."""
        found = [(bytes(k), bytes(v)) for k, v in self.index.scan(low, high)]
        self.counters.scanned += len(found)
        return found

    def search(self, low: bytes, high: bytes | None) -> tuple[int, Sequence[int]]:
        """Scan the entries and leave out the obsolete ones."""
        found = self.entries(low, high)
        return len(found), [self.row_of(k, v) for (k, v), good in zip(found, self.current(found), strict=True) if good]

    def maintain(self) -> None:
        """Delete what is obsolete."""
        found = self.entries(None, None)
        old = [key for (key, _), good in zip(found, self.current(found), strict=True) if not good]
        for at in range(0, len(old), PASS):
            batch = Batch()
            for key in old[at : at + PASS]:
                self.write(batch, self.index, key, None)
            self.db.write(batch)


class Validated(_Obsolete):
    """Entries are written blindly, with a stamp; readers look each one's row up in an index of keys and stamps, in order of the rows.

    The validation strategy of Luo and Carey, VLDB 2019, section 4; its repair is the pass.
    """

    kind = "validated"

    def change(self, batch: Batch, new: Keys) -> None:
        """Put entries and stamps; nothing is read."""
        first = self.db.core.sequence()
        for i, (row_id, key) in enumerate(new.items()):
            raw, stamp = ID.pack(row_id), ID.pack(first + i)
            if key is not None:
                self.write(batch, self.index, key + raw, stamp)
            self.write(batch, self.key_index, raw, None if key is None else stamp)

    def current(self, entries: list[tuple[bytes, bytes]]) -> list[bool]:
        """Look up, each row once, in their order."""
        rows = sorted({key[-8:] for key, _ in entries})
        stamps = dict(zip(rows, self.read(self.key_index, rows), strict=True))
        return [stamps[key[-8:]] == stamp for key, stamp in entries]

    def row_of(self, key: bytes, value: bytes) -> int:
        """The end of the key."""
        return int.from_bytes(key[-8:], "big")


class MutableBitmap(_Obsolete):
    """Each entry has a place of its own, in an index of keys too: there a write finds the place of the old entry, and clears its bit.

    The mutable-bitmap strategy of Luo and Carey, VLDB 2019, section 5, with one bitmap for the whole index. There bitmaps are logged and
    checkpointed; here opening makes it again of the index of keys, which says the same.
    """

    kind = "mutable_bitmap"

    def open(self) -> None:
        """Open the keyspaces, make the bitmap."""
        super().open()
        self.bits = RowSetBuilder()
        places = b"".join(self.key_index.values())
        self.bits.update(RowSet(np.frombuffer(places, ">u8").astype(np.uint64)))
        self.frozen: RowSet | None = None

    def change(self, batch: Batch, new: Keys) -> None:
        """Clear the bits of the old entries, put the new."""
        first = self.db.core.sequence()
        found = self.read(self.key_index, [ID.pack(i) for i in new])
        self.bits.difference_update(RowSet([int.from_bytes(old, "big") for old in found if old is not None]))
        self.bits.update(RowSet([first + i for i, key in enumerate(new.values()) if key is not None]))
        self.frozen = None
        for i, ((row_id, key), old) in enumerate(zip(new.items(), found, strict=True)):
            raw, place = ID.pack(row_id), ID.pack(first + i)
            if key is not None:
                self.write(batch, self.index, key + place, raw)
            if key is not None or old is not None:
                self.write(batch, self.key_index, raw, None if key is None else place)

    def current(self, entries: list[tuple[bytes, bytes]]) -> list[bool]:
        """Look at the bits."""
        if self.frozen is None:
            self.frozen = self.bits.freeze()
        places: Ids = np.frombuffer(b"".join(key[-8:] for key, _ in entries), ">u8").astype(np.uint64)
        return [bool(there) for there in self.frozen.contains_many(places)]

    def row_of(self, key: bytes, value: bytes) -> int:
        """The value."""
        return int.from_bytes(value, "big")

    def size(self) -> int:
        """With the bitmap."""
        return super().size() + self.bits.freeze().memory
