"""Operation traces in a file: every call that was made of a store, in order, columns in compressed blocks. The form is in docs/formats.md.

A trace holds keys, lengths and times, but no values: a replay writes values of the same sizes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from backports import zstd
from numpy.typing import NDArray

import recovery

MAGIC = b"LSMOPS\r\n"
VERSION = 1
BLOCK = 65_536  # operations
MAX_BLOCK_BYTES = 1 << 30
HEADER = struct.Struct("<8sII")  # magic, version, checksum of both
BLOCK_HEAD = struct.Struct("<IIII")  # operations, bytes unpacked, bytes packed, checksum of the packed bytes and of what is before it
END = struct.Struct("<IIQ")  # 0, checksum of the number, number of operations
GET, PUT, DELETE, SCAN, DELETE_RANGE = range(5)
NAMES = ("get", "put", "delete", "scan", "delete_range")
_COLUMNS = (("op", "u1"), ("found", "u1"), ("key_bytes", "<u2"), ("stop_bytes", "<u2"), ("length", "<u4"), ("gap_us", "<u4"))
_ROW = sum(np.dtype(t).itemsize for _, t in _COLUMNS)


class TraceFileError(ValueError):
    """A file that is no operation trace, or a damaged one: the file, the offset, what is wrong."""


@dataclass(frozen=True)
class Operations:
    """Operations in order. `length`: bytes of the value that a put wrote or a get found, pairs that a scan gave. `found`: whether a get
    found something. `gap_us`: microseconds since the operation before began."""

    op: NDArray[np.uint8]
    found: NDArray[np.uint8]
    length: NDArray[np.uint32]
    gap_us: NDArray[np.uint32]
    keys: list[bytes]
    stops: list[bytes]  # the end of a scan or of a range that was deleted; b"": none

    def __len__(self) -> int:
        return len(self.op)


class Writer:
    """Writes a trace; the file is whole after `close`, which `with` calls. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._file: IO[bytes] = path.open("xb")
        head = HEADER.pack(MAGIC, VERSION, 0)[:-4]
        self._file.write(head + struct.pack("<I", recovery.crc32c(head)))
        self._rows: list[tuple[int, int, int, int, int, int]] = []
        self._keys: list[bytes] = []

    def add(self, op: int, key: bytes, *, stop: bytes = b"", length: int = 0, found: bool = False, gap_us: int = 0) -> None:
        """Append an operation. Keys are as long as the engine's at most, 64 KiB less one."""
        self._rows.append((op, found, len(key), len(stop), min(length, 2**32 - 1), min(gap_us, 2**32 - 1)))
        self._keys.append(key)
        self._keys.append(stop)
        if len(self._rows) == BLOCK:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        body = b"".join(np.array(c, t).tobytes() for c, (_, t) in zip(columns, _COLUMNS, strict=True)) + b"".join(self._keys)
        packed = zstd.compress(body)
        head = BLOCK_HEAD.pack(len(self._rows), len(body), len(packed), 0)[:-4]
        self._file.write(head + struct.pack("<I", recovery.crc32c(head + packed)) + packed)
        self.count += len(self._rows)
        self._rows.clear()
        self._keys.clear()

    def close(self) -> None:
        """End the file: what was added is in it, and on the disk."""
        if self._file.closed:
            return
        try:
            self._flush()
            number = struct.pack("<Q", self.count)
            self._file.write(struct.pack("<II", 0, recovery.crc32c(number)) + number)
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.close()


def read(path: Path) -> Iterator[Operations]:
    """The blocks of a trace in order. Raises TraceFileError where it is damaged, with the offset; a file that was not closed is damaged
    at its end. O(a block) memory."""
    with path.open("rb") as file:
        head = file.read(HEADER.size)
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            raise TraceFileError(f"{path}: not an operation trace of lsmlab")
        _, version, checksum = HEADER.unpack(head)
        if recovery.crc32c(head[:-4]) != checksum or version != VERSION:
            raise TraceFileError(f"{path}: header of version {version}; this reads version {VERSION}")
        total = 0
        while True:
            offset = file.tell()
            start = file.read(BLOCK_HEAD.size)
            if len(start) < BLOCK_HEAD.size:
                raise TraceFileError(f"{path}, offset {offset}: it ends without its end mark, after {total} operations")
            count, size, packed_size, checksum = BLOCK_HEAD.unpack(start)
            if not count:
                _check_end(path, offset, start, total, file.read(1))
                return
            if count > BLOCK or not count * _ROW <= size <= MAX_BLOCK_BYTES or packed_size > MAX_BLOCK_BYTES:
                raise TraceFileError(f"{path}, offset {offset}: a block of {count} operations and {size} bytes cannot be")
            packed = file.read(packed_size)
            if len(packed) < packed_size or recovery.crc32c(start[:-4] + packed) != checksum:
                raise TraceFileError(f"{path}, offset {offset}: the block's checksum is wrong")
            yield _parse(path, offset, count, size, packed)
            total += count


def _check_end(path: Path, offset: int, end: bytes, total: int, behind: bytes) -> None:
    _, checksum, number = END.unpack(end)
    if recovery.crc32c(end[8:]) != checksum or number != total or behind:
        raise TraceFileError(
            f"{path}, offset {offset}: the end mark says {number} operations, there are {total}{' and more bytes' if behind else ''}"
        )


def _parse(path: Path, offset: int, count: int, size: int, packed: bytes) -> Operations:
    try:
        frame = zstd.get_frame_info(packed)
        body = zstd.decompress(packed) if frame.decompressed_size == size else b""
    except zstd.ZstdError as e:
        raise TraceFileError(f"{path}, offset {offset}: {e}") from None
    if len(body) != size:
        raise TraceFileError(f"{path}, offset {offset}: the block unpacks to another size than it says")
    columns: dict[str, NDArray[Any]] = {}
    at = 0
    for name, kind in _COLUMNS:
        columns[name] = np.frombuffer(body, kind, count, at)
        at += count * np.dtype(kind).itemsize
    lengths = np.stack([columns.pop("key_bytes"), columns.pop("stop_bytes")], axis=1).ravel().astype(np.int64)
    ends = at + np.cumsum(lengths)
    if (ends[-1] if count else at) != size or (columns["op"] >= len(NAMES)).any():
        raise TraceFileError(f"{path}, offset {offset}: the keys do not add up to the block, or an operation is unknown")
    parts = [body[e - n : e] for e, n in zip(ends.tolist(), lengths.tolist(), strict=True)]
    return Operations(columns["op"], columns["found"], columns["length"], columns["gap_us"], parts[::2], parts[1::2])
