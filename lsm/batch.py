"""Write batches: operations that become visible and durable together, over keyspaces too."""

from __future__ import annotations

import struct
from typing import Protocol

from .errors import TooLarge

_HEAD = struct.Struct("<BIIQ")
DELETE, PUT, RANGE_DELETE = 0, 1, 3
MAX_KEY, MAX_VALUE, MAX_BATCH = 65536, 1 << 30, (1 << 31) - 1


class HasId(Protocol):
    """A keyspace, for a batch."""

    @property
    def id(self) -> int:
        """Its number in the log."""


def as_bytes(value: object, what: str) -> bytes:
    """Return bytes of any bytes-like value. TypeError names what it was."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    hint = " (encode it first, or use lsm.keys)" if isinstance(value, str | int | float | tuple) else ""
    raise TypeError(f"{what} must be bytes, bytearray or memoryview, not {type(value).__name__}{hint}")


class Batch:
    """Operations for `DB.write`, applied in order, all or nothing. Reusable: writing does not empty it.

    >>> batch = Batch()
    >>> batch.put(b"a", b"1")
    >>> batch.delete(b"b")
    >>> len(batch)
    2
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 4
        self._count = 0

    def _add(self, kind: int, key: bytes, value: bytes, keyspace: HasId | None) -> None:
        if len(key) > MAX_KEY:
            raise TooLarge(f"a key of {len(key)} bytes; allowed: up to {MAX_KEY}")
        if len(value) > (MAX_KEY if kind == RANGE_DELETE else MAX_VALUE):
            raise TooLarge(f"a value of {len(value)} bytes; allowed: up to {MAX_VALUE}")
        size = self._size + _HEAD.size + len(key) + len(value)
        if size > MAX_BATCH:
            raise TooLarge(f"a batch of {size} bytes; allowed: up to {MAX_BATCH}")
        self._parts += (_HEAD.pack(kind, 0 if keyspace is None else keyspace.id, len(key), len(value)), key, value)
        self._size = size
        self._count += 1

    def put(self, key: bytes, value: bytes, *, keyspace: HasId | None = None) -> None:
        """Set a key to a value."""
        self._add(PUT, as_bytes(key, "key"), as_bytes(value, "value"), keyspace)

    def delete(self, key: bytes, *, keyspace: HasId | None = None) -> None:
        """Delete a key."""
        self._add(DELETE, as_bytes(key, "key"), b"", keyspace)

    def delete_range(self, start: bytes, stop: bytes, *, keyspace: HasId | None = None) -> None:
        """Delete every key from start up to, not including, stop. Nothing when start >= stop."""
        start, stop = as_bytes(start, "start"), as_bytes(stop, "stop")
        if start < stop:
            self._add(RANGE_DELETE, start, stop, keyspace)

    def clear(self) -> None:
        """Forget all operations."""
        self._parts, self._size, self._count = [], 4, 0

    def __len__(self) -> int:
        """Return the number of operations."""
        return self._count

    def payload(self) -> bytes:
        """Return the bytes that go into the log."""
        return b"".join([struct.pack("<I", self._count), *self._parts])
