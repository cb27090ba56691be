"""Scans: cursors filled in chunks, handed on as tuples, chunks of buffers or Arrow record batches."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .batch import bytes_of
from .errors import ClosedError
from .native_db import NEWEST, CoreCursor

if TYPE_CHECKING:
    from .keyspace import Keyspace
    from .snapshot import Snapshot

FIRST_CHUNK, CHUNK = 16, 1024  # pairs; the first is small so that a short scan reads little


@lru_cache(maxsize=256)
def _layout(text: bytes) -> struct.Struct:
    return struct.Struct(text.decode())


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the smallest key behind all keys with this prefix; None when there is none.

    >>> prefix_end(b"ab"), prefix_end(b"a\\xff"), prefix_end(b"\\xff")
    (b'ac', b'b', None)
    """
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def bounds(start: bytes | None, stop: bytes | None, prefix: bytes | None) -> tuple[bytes | None, bytes | None]:
    """Return the bounds [lower, upper) of a scan. ValueError when a prefix comes with start or stop."""
    if prefix is None:
        return (None if start is None else bytes_of(start)), (None if stop is None else bytes_of(stop))
    if start is not None or stop is not None:
        raise ValueError("a scan takes a prefix, or start and stop, not both")
    return bytes_of(prefix), prefix_end(bytes_of(prefix))


class Scan(Iterator[tuple[bytes, bytes]]):
    """An iterator over (key, value) pairs as they were when it began. Close it early, or let it end; one thread."""

    __slots__ = ("__weakref__", "_cursor", "_ended", "_items", "_left", "_mode", "_size", "_space")

    def __init__(self, space: Keyspace, cursor: CoreCursor, limit: int | None, mode: str) -> None:
        self._space, self._cursor, self._mode = space, cursor, mode
        self._left, self._ended = limit, False
        self._size = FIRST_CHUNK if limit is None else min(limit, CHUNK)
        self._items: Iterator[Any] = iter(())
        space.db.cursors.add(self)

    def __iter__(self) -> Iterator[Any]:
        """Iterate without a Python frame a pair: over the same position as `next`."""
        return chain.from_iterable(self._chunks())

    def _chunks(self) -> Iterator[Iterator[Any]]:
        yield self._items
        while self._more():
            yield self._items

    def __next__(self) -> Any:
        for item in self._items:
            return item
        if not self._more():
            raise StopIteration
        return next(self._items)

    def _more(self) -> bool:
        if self._cursor is None:
            if self._space.db.closed and not self._ended:
                raise ClosedError("the database was closed before the scan came to its end")
            return False
        size = self._size if self._left is None else min(self._size, self._left)
        n = 0
        if size > 0:
            n, view, text, _ = self._cursor.fill(size, self._mode == "keys")
        if n == 0:
            self._ended = True
            self.close()
            return False
        fields = _layout(text).unpack_from(view) if n > 4 else struct.unpack_from(text, view)
        if self._mode == "items":
            self._items = zip(fields[::2], fields[1::2], strict=True)
        else:
            self._items = iter(fields[::2] if self._mode == "keys" else fields[1::2])
        if self._left is not None:
            self._left -= n
        self._size = CHUNK
        return True

    def close(self) -> None:
        """Let go of the snapshot and the files that the scan holds. Safe to call twice."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None  # type: ignore[assignment]
            self._items = iter(())
            self._space.db.cursors.discard(self)

    def __del__(self) -> None:
        if getattr(self, "_cursor", None) is not None:
            self.close()


@dataclass(frozen=True)
class Chunk:
    """Pairs packed in one buffer: key, value, key, value ...; lengths has a row (key length, value length) a pair."""

    data: bytes
    lengths: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.lengths)

    def offsets(self) -> NDArray[np.int64]:
        """Return the 2 n + 1 offsets of the fields in data."""
        out = np.zeros(2 * len(self.lengths) + 1, np.int64)
        np.cumsum(self.lengths.ravel(), out=out[1:])
        return out

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """Return the pairs as tuples."""
        cut = self.offsets().tolist()
        fields = [self.data[a:b] for a, b in pairwise(cut)]
        return list(zip(fields[::2], fields[1::2], strict=True))


def open_cursor(
    space: Keyspace, lower: bytes | None, upper: bytes | None, reverse: bool, snapshot: Snapshot | None, fill_cache: bool
) -> CoreCursor:
    """Open a cursor at a snapshot, or now. ClosedError when the snapshot is closed."""
    if snapshot is not None and snapshot.seq is None:
        raise ClosedError("the snapshot is closed")
    seq = NEWEST if snapshot is None or snapshot.seq is None else snapshot.seq
    return CoreCursor(space.core, seq, lower, upper, reverse, fill_cache)


def chunks(cursor: CoreCursor, size: int) -> Iterator[Chunk]:
    """Yield chunks of a cursor until its end, then close it."""
    try:
        while True:
            n, data, lengths = cursor.packed(size)
            if not n:
                return
            yield Chunk(data, np.frombuffer(lengths, np.uint32).reshape(-1, 2))
    finally:
        cursor.close()


def arrow(cursor: CoreCursor, size: int) -> Iterator[Any]:
    """Yield pyarrow RecordBatches of a cursor, columns key and value, until its end; then close it. ImportError: install lsmlab[arrow]."""
    try:
        import pyarrow as pa

        while columns := cursor.columns(size):
            made = [
                pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
                for offsets, data in columns
            ]
            yield pa.RecordBatch.from_arrays(made, names=["key", "value"])
    finally:
        cursor.close()


def take(scan: Scan, n: int) -> list[tuple[bytes, bytes]]:
    """Return the next n pairs of a scan, or as many as there are."""
    return list(islice(scan, n))
