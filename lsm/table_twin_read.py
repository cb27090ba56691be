"""Reading the table format in plain Python: the counterpart of table_twin, for tests and for a look into a file."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from indexes.twins import TWINS

from .memtable_twin import Entry
from .merge_twin import Range
from .table_twin import FOOTER, FOOTER_SIZE, FULL, MAGIC, VERSION, Crc, File, Handle, mask


class Damaged(ValueError):
    """The bytes are not a table of this database and number."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at an offset, and the offset behind it."""
    v = shift = 0
    while data[at] >= 128:
        v |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return v | data[at] << shift, at + 1


class Reader:
    """A table's bytes, checked block by block. Damaged (or IndexError, struct.error on bytes that pass no check) is raised."""

    def __init__(self, data: bytes, database: int, number: int, crc: Crc) -> None:
        self.data, self.crc, self.file = data, crc, File(database, number, crc)
        if len(data) < FOOTER_SIZE or data[-FOOTER_SIZE:][:8] != MAGIC:
            raise Damaged("no footer")
        raw = data[-FOOTER_SIZE:-4]
        if struct.unpack("<I", data[-4:])[0] != mask(crc(raw, 0)):
            raise Damaged("footer checksum")
        _, version, self.index_kind, found_database, found_number, *rest, self.chain = FOOTER.unpack(raw)
        if (version, found_database, found_number) != (VERSION, database, number):
            raise Damaged(f"version {version}, table {found_number} of database {found_database:x}")
        handles: list[Handle] = list(zip(rest[::2], rest[1::2], strict=True))
        self.props_at, self.index_at, self.filter_at, self.tombs_at = handles

    def block(self, handle: Handle) -> bytes:
        """Return a block whose checksum is right."""
        at, n = handle
        stored = self.data[at : at + n + 1]
        codec, crc = struct.unpack_from("<BI", self.data, at + n)
        if codec or crc != self.file.sum(at, stored):
            raise Damaged(f"block at {at}")
        return stored[:-1]

    def properties(self) -> dict[str, bytes]:
        """Return the properties by name."""
        raw, at, out = self.block(self.props_at), 2, {}
        for _ in range(struct.unpack_from("<H", raw)[0]):
            name = raw[at + 1 : at + 1 + raw[at]].decode()
            at += 1 + raw[at]
            (n,) = struct.unpack_from("<I", raw, at)
            out[name] = raw[at + 4 : at + 4 + n]
            at += 4 + n
        return out

    def rows(self, handle: Handle) -> Iterator[tuple[bytes, Handle]]:
        """Yield (separator, handle) of an index block."""
        raw, at = self.block(handle), 4
        for _ in range(struct.unpack_from("<I", raw)[0]):
            n, at = read_varint(raw, at)
            key = raw[at : at + n]
            offset, at = read_varint(raw, at + n)
            size, at = read_varint(raw, at)
            yield key, (offset, size)

    def entries(self) -> Iterator[Entry]:
        """Yield every entry in order."""
        parts = [self.index_at] if self.index_kind == FULL else [handle for _, handle in self.rows(self.index_at)]
        for part in parts:
            for _, handle in self.rows(part):
                yield from read_block(self.block(handle))

    def ranges(self) -> Iterator[Range]:
        """Yield the range tombstones in the order of the file."""
        raw, at = self.block(self.tombs_at) if self.tombs_at[1] else bytes(4), 4
        for _ in range(struct.unpack_from("<I", raw)[0]):
            n, at = read_varint(raw, at)
            m, at = read_varint(raw, at)
            yield Range(raw[at + 8 : at + 8 + n], raw[at + 8 + n : at + 8 + n + m], struct.unpack_from("<Q", raw, at)[0])
            at += 8 + n + m

    def may_contain(self, key: bytes) -> bool:
        """Ask the filter; True when there is none."""
        if not self.filter_at[1]:
            return True
        twin = TWINS[self.properties()["filter"].decode()]()
        return bool(twin.may_contain(memoryview(self.block(self.filter_at)), twin.hash(key)))


def read_block(block: bytes) -> Iterator[Entry]:
    """Yield the entries of a data block."""
    buckets, restarts = struct.unpack("<II", block[-8:])
    end, at, key = len(block) - 8 - 4 * restarts - buckets, 0, b""
    while at < end:
        shared, at = read_varint(block, at)
        unshared, at = read_varint(block, at)
        size, at = read_varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        (tag,) = struct.unpack_from("<Q", block, at)
        yield Entry(key, tag >> 8, tag & 255, block[at + 8 : at + 8 + size])
        at += 8 + size
