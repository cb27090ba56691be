"""The format of value files in plain Python, both ways: what the native writer and reader are tested against, and what a repair reads with.

Same bytes, no tricks: a value file is one ``bytes``. The picture is in csrc/values.h. ``crc``: CRC-32C of data, continued.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .table_twin import POINTER, Crc, mask

MAGIC, VERSION = b"LSMVALUE", 1
HEAD = struct.Struct("<IIIQ")  # of a record: its crc, lengths of key and value, sequence number
FOOTER = struct.Struct("<8sIIQQQQQII")  # magic, version, keyspace, database, number, records, sequences, heat, chain; then its crc
FOOTER_SIZE = FOOTER.size + 4


__all__ = ["POINTER", "Damaged", "Footer", "Record", "follow", "read_footer", "read_record", "read_values", "write_values"]


class Damaged(ValueError):
    """The bytes are not what they should be; says at which offset."""


class Record(NamedTuple):
    """A value with the key and the sequence number that it was written under."""

    key: bytes
    seq: int
    value: bytes


@dataclass(frozen=True)
class Footer:
    """What the footer of a value file says."""

    keyspace: int
    database: int
    number: int
    records: int
    min_seq: int
    max_seq: int
    heat: int
    chain: int
    crc: int


def record_crc(database: int, number: int, offset: int, rest: bytes, crc: Crc) -> int:
    """Return the stored checksum of a record, bound to where it stands. rest: the record behind its checksum."""
    return mask(crc(rest, crc(struct.pack("<QQQ", database, number, offset), 0)))


def write_values(
    database: int, number: int, keyspace: int, records: Sequence[Record], crc: Crc, heat: int = 0
) -> tuple[bytes, list[bytes]]:
    """Return a value file of some records, one at least, and the pointer to each."""
    data, chain, pointers = bytearray(), 0, []
    for r in records:
        rest = struct.pack("<IIQ", len(r.key), len(r.value), r.seq) + r.key + r.value
        found = record_crc(database, number, len(data), rest, crc)
        pointers.append(POINTER.pack(number, len(data), len(r.value), found))
        stored = struct.pack("<I", found)
        chain = crc(stored, chain)
        data += stored + rest
    seqs = [r.seq for r in records]
    footer = FOOTER.pack(MAGIC, VERSION, keyspace, database, number, len(records), min(seqs), max(seqs), heat, chain)
    return bytes(data) + footer + struct.pack("<I", mask(crc(footer, 0))), pointers


def read_footer(raw: bytes, crc: Crc) -> Footer | None:
    """Return the footer at the end of some bytes; None when there is none whose checksum is right."""
    end = raw[-FOOTER_SIZE:]
    if len(end) < FOOTER_SIZE or end[:8] != MAGIC or struct.unpack("<I", end[-4:])[0] != mask(crc(end[:-4], 0)):
        return None
    _, version, keyspace, database, number, records, least, most, heat, chain = FOOTER.unpack(end[:-4])
    found = Footer(keyspace, database, number, records, least, most, heat, chain, struct.unpack("<I", end[-4:])[0])
    return found if version == VERSION else None


def read_record(raw: bytes, database: int, number: int, offset: int, crc: Crc) -> tuple[Record, int]:
    """Return the record at an offset, and where the next one begins. Damaged."""
    if offset + HEAD.size > len(raw):
        raise Damaged(f"no record at {offset}")
    stored, keys, values, seq = HEAD.unpack_from(raw, offset)
    end = offset + HEAD.size + keys + values
    if end > len(raw):
        raise Damaged(f"the record at {offset} is longer than the file")
    if stored != record_crc(database, number, offset, raw[offset + 4 : end], crc):
        raise Damaged(f"checksum of the record at {offset}")
    at = offset + HEAD.size
    return Record(raw[at : at + keys], seq, raw[at + keys : end]), end


def follow(raw: bytes, database: int, key: bytes, seq: int, pointer: bytes, crc: Crc) -> bytes:
    """Return the value that the pointer of (key, seq) leads to, in the bytes of the file that it names. Damaged when it does not."""
    if len(pointer) != POINTER.size:
        raise Damaged(f"a pointer of {len(pointer)} bytes")
    number, offset, length, found = POINTER.unpack(pointer)
    record, _ = read_record(raw, database, number, offset, crc)
    if (record.key, record.seq, len(record.value)) != (key, seq, length) or HEAD.unpack_from(raw, offset)[0] != found:
        raise Damaged(f"the record at {offset} is not the one that the pointer was made of")
    return record.value


def read_values(raw: bytes, database: int, number: int, crc: Crc) -> Iterator[Record]:
    """Yield every record of a value file, then check that its footer agrees. Damaged."""
    footer = read_footer(raw, crc)
    if footer is None or (footer.database, footer.number) != (database, number):
        raise Damaged("no footer of this value file")
    body, at, chain, seqs = raw[:-FOOTER_SIZE], 0, 0, list[int]()
    while at < len(body):
        chain = crc(body[at : at + 4], chain)
        record, at = read_record(body, database, number, at, crc)
        seqs.append(record.seq)
        yield record
    if (footer.records, footer.chain) != (len(seqs), chain) or (seqs and (footer.min_seq, footer.max_seq) != (min(seqs), max(seqs))):
        raise Damaged("the footer does not agree with the records")
