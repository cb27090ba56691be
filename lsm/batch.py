"""Write batches: several changes, over keyspaces too, that happen together or not at all."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .errors import BusyError, Error, TooLarge
from .native import MAX_KEY, MAX_VALUE

if TYPE_CHECKING:
    from .keyspace import Keyspace

_HEAD = struct.Struct("<BIIQ")
DELETE, PUT, RANGE_DELETE = 0, 1, 3


class Batch:
    """Changes gathered for `db.write`. In order: a later change of a key wins.

    >>> import lsm, recovery
    >>> db = lsm.open("/b", fs=recovery.memory())
    >>> batch = lsm.Batch()
    >>> batch.put(b"a", b"1")
    >>> batch.delete(b"b")
    >>> db.write(batch)
    >>> db[b"a"]
    b'1'
    >>> db.close()
    """

    __slots__ = ("_parts", "_table", "count", "size")

    def __init__(self, *, table: bool = False) -> None:
        """Begin with nothing. `count` operations, `size` bytes as logged. ``table``: a table's own, for keyspaces that it alone writes."""
        self._parts: list[bytes] = []
        self._table = table
        self.count, self.size = 0, 4

    def _add(self, kind: int, keyspace: Keyspace | None, key: bytes, value: bytes) -> None:
        if len(key) > MAX_KEY or len(value) > MAX_VALUE:
            raise TooLarge(f"key of {len(key)} bytes, value of {len(value)}; allowed: up to {MAX_KEY} and {MAX_VALUE}")
        if keyspace is not None and keyspace.managed and not self._table:
            raise BusyError(f"keyspace {keyspace.name!r} belongs to a table; db.table({keyspace.name!r}) writes it")
        self._parts += (_HEAD.pack(kind, keyspace.number if keyspace is not None else 0, len(key), len(value)), key, value)
        self.count += 1
        self.size += _HEAD.size + len(key) + len(value)

    def put(self, key: bytes, value: bytes, *, keyspace: Keyspace | None = None) -> None:
        """Set key to value. TooLarge over 64 KiB or 1 GiB. O(1)."""
        self._add(PUT, keyspace, bytes_of(key), bytes_of(value))

    def delete(self, key: bytes, *, keyspace: Keyspace | None = None) -> None:
        """Delete key, whether it exists or not. O(1)."""
        self._add(DELETE, keyspace, bytes_of(key), b"")

    def delete_range(self, start: bytes, stop: bytes, *, keyspace: Keyspace | None = None) -> None:
        """Delete every key with start <= key < stop. ValueError unless start < stop. O(1)."""
        start, stop = bytes_of(start), bytes_of(stop)
        if start >= stop:
            raise BadRange(f"delete_range from {start!r} to {stop!r}; allowed: start < stop")
        if len(stop) > MAX_KEY:
            raise TooLarge(f"stop has {len(stop)} bytes; allowed: up to {MAX_KEY}")
        self._add(RANGE_DELETE, keyspace, start, stop)

    def clear(self) -> None:
        """Forget all operations."""
        self._parts.clear()
        self.count, self.size = 0, 4

    def __len__(self) -> int:
        return self.count

    def payload(self) -> bytes:
        """Return the log record's payload."""
        return struct.pack("<I", self.count) + b"".join(self._parts)


def changed(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the keyspace, key) of each operation of a log record's payload; of a range, its start."""
    at = 4
    for _ in range(struct.unpack_from("<I", payload)[0]):
        _, number, key, value = _HEAD.unpack_from(payload, at)
        at += _HEAD.size
        yield number, payload[at : at + key]
        at += key + value


class BadRange(Error, ValueError):
    """A range whose start is not before its stop."""


def bytes_of(data: object) -> bytes:
    """Return bytes of anything bytes-like. TypeError names what was given instead."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    hint = " (encode it, e.g. key.encode())" if isinstance(data, str) else " (typed keys that keep their order: lsm.keys.encode)"
    shown = "" if isinstance(data, int) and data.bit_length() > 200 else f": {data!r:.60}"  # a huge integer has no text
    raise TypeError(f"keys and values are bytes-like, not {type(data).__name__}{shown}{hint}")
