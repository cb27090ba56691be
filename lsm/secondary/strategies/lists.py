"""Posting lists, one a value: kept whole, or in fragments."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from ...batch import Batch
from .base import ID, Entered, Ids, Keys

FRAGMENTS = 4  # of a value, beyond which the pass folds them
_NONE = np.zeros(0, np.uint64)


def _pack(added: Iterable[int], removed: Iterable[int] = ()) -> bytes:
    more, less = (np.array(sorted(ids), np.uint64) for ids in (added, removed))
    return len(more).to_bytes(4, "little") + more.tobytes() + less.tobytes()


def _folded(fragments: Iterable[bytes]) -> Ids:
    """Apply fragments (number added | added | removed), oldest first: of a row the last word counts."""
    ids, there = [_NONE], [np.zeros(0, np.bool_)]
    for f in fragments:
        ids.append(np.frombuffer(f, np.uint64, offset=4))
        there.append(np.arange(len(ids[-1])) < int.from_bytes(f[:4], "little"))
    rows, last = np.unique(np.concatenate(ids)[::-1], return_index=True)
    left: Ids = rows[np.concatenate(there)[::-1][last]]
    return left


class _Lists(Entered):
    def open(self) -> None:
        """Open the keyspaces."""
        super().open()
        self.index = self.index_space()

    def _moves(self, new: Keys) -> dict[bytes, tuple[set[int], set[int]]]:
        """Read the old rows; return by value which rows come and which go."""
        moves: dict[bytes, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
        for (row_id, key), old in zip(new.items(), self.keys_of_rows(list(new)), strict=True):
            if key != old:
                if old is not None:
                    moves[old][1].add(row_id)
                if key is not None:
                    moves[key][0].add(row_id)
        return moves


class Eager(_Lists):
    """The list of a value is one pair, read, changed and written back: every write costs as much as the lists are long.

    Qader, Cheng, Hristidis, A Comparative Study of Secondary Indexing Techniques in LSM-based NoSQL Databases, SIGMOD 2018, section 4.1.
    """

    kind = "eager"

    def change(self, batch: Batch, new: Keys) -> None:
        """Read, change and write the lists."""
        moves = self._moves(new)
        for (key, (come, go)), old in zip(moves.items(), self.read(self.index, list(moves)), strict=True):
            ids = np.union1d(np.setdiff1d(_folded([old] if old else []), np.array(list(go), np.uint64)), np.array(list(come), np.uint64))
            self.write(batch, self.index, key, _pack(ids.tolist()) if len(ids) else None)

    def search(self, low: bytes, high: bytes | None) -> tuple[int, Ids]:
        """Read the lists."""
        lists = [_folded([value]) for value in self.index.values(low, high)]
        self.counters.scanned += len(lists)
        ids = np.concatenate([_NONE, *lists])
        return len(ids), ids


class Lazy(_Lists):
    """Writes add a fragment, rows that come and rows that go; queries fold the fragments of a value, and a pass writes them back as one.

    The same study, section 4.2; there nothing is read before a write and hits are checked on the rows. Fragments of what goes are what
    RocksDB's merge operators make of it.
    """

    kind = "lazy"

    def change(self, batch: Batch, new: Keys) -> None:
        """Write fragments."""
        stamp = ID.pack(self.db.core.sequence())
        for key, (come, go) in self._moves(new).items():
            self.write(batch, self.index, key + stamp, _pack(come, go))

    def _fragments(self, low: bytes | None, high: bytes | None) -> Iterable[tuple[bytes, list[tuple[bytes, bytes]]]]:
        for key, pairs in itertools.groupby(self.index.scan(low, high), lambda pair: bytes(pair[0][:-8])):
            fragments = [(bytes(k), bytes(v)) for k, v in pairs]
            self.counters.scanned += len(fragments)
            yield key, fragments

    def search(self, low: bytes, high: bytes | None) -> tuple[int, Ids]:
        """Fold."""
        ids = np.concatenate([_NONE, *(_folded(v for _, v in fragments) for _, fragments in self._fragments(low, high))])
        return len(ids), ids

    def maintain(self) -> None:
        """Fold the values of many fragments for good, into the place of the newest."""
        for _, fragments in list(self._fragments(None, None)):
            if len(fragments) > FRAGMENTS:
                self._fold(fragments)

    def _fold(self, fragments: Sequence[tuple[bytes, bytes]]) -> None:
        batch, ids = Batch(), _folded(v for _, v in fragments)
        for key, _ in fragments[:-1]:
            self.write(batch, self.index, key, None)
        self.write(batch, self.index, fragments[-1][0], _pack(ids.tolist()) if len(ids) else None)
        self.db.write(batch)
