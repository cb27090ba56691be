"""The log format in plain Python: the specification that the native writer and reader are tested against.

Same bytes, same verdicts, no tricks: a segment is one ``bytes``. The picture is in csrc/wal.h, the verdicts in csrc/wal_read.h; the
idea of the durable offset is Pebble's (record/log_writer.go), the masking of checksums LevelDB's (doc/log_format.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

HEADER = struct.Struct("<4sHBBQQI")  # magic, version, sync mode, 0, number, salt, preallocated pages; then its crc
RECORD = struct.Struct("<IIIIQQ")  # crc, length, type | check << 8, log, seq, durable
END = struct.Struct("<QQ")  # next segment, length of this one
SIZE, PAGE, SECTOR = 32, 4096, 512
DATA, ENDED, MARK, NOTE = 1, 2, 3, 4
TIME = struct.Struct("<Q")  # a mark: ns since 1970
TYPES = {1: (DATA, ENDED), 2: (DATA, ENDED, MARK, NOTE)}  # by version
GROUP = 2  # sync modes from here on sync before they acknowledge


def _table() -> list[int]:
    out = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
        out.append(rest)
    return out


_TABLE = _table()


def crc32c(data: bytes, crc: int = 0) -> int:
    """Return the CRC-32C of data, continuing crc (RFC 3720, appendix B.4)."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def mask(crc: int) -> int:
    """Return the stored form of a checksum."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def header(number: int, salt: int, sync_mode: int, pages: int, version: int = 1) -> bytes:
    """Return a segment's header."""
    head = HEADER.pack(b"LWAL", version, sync_mode, 0, number, salt, pages)
    return head + struct.pack("<I", mask(crc32c(head)))


def record(salt: int, number: int, offset: int, *, seq: int, payload: bytes, durable: int = 0, kind: int = DATA) -> bytes:
    """Return a record as it stands at an offset of a segment."""
    fields = (len(payload), kind, number & 0xFFFFFFFF, seq, durable)
    hsum = crc32c(struct.pack("<QQQ", salt, number, offset) + RECORD.pack(0, *fields)[4:])
    crc = mask(crc32c(payload, hsum))
    return RECORD.pack(crc, len(payload), kind | (hsum >> 8) << 8, *fields[2:]) + payload


def capacity_of(segment_bytes: int, need: int = 0, *, notes: bool = False) -> int:
    """Return the bytes that a segment may take: whole pages, room for header, one record of ``need`` bytes, its mark and the end record."""
    return -(-max(segment_bytes, need + 3 * SIZE + END.size + (SIZE + TIME.size) * notes) // PAGE) * PAGE


@dataclass
class Segment:
    """A segment being written; :attr:`data` is what the native writer leaves in the file up to ``used``."""

    number: int
    salt: int
    sync_mode: int
    capacity: int
    data: bytearray = field(default_factory=bytearray)
    seq: int = 0
    time: int | None = None  # the last mark of the whole log; None: a log without marks and notes

    def __post_init__(self) -> None:
        """Begin with the header."""
        pages = self.capacity // PAGE if self.sync_mode else 0
        self.data += header(self.number, self.salt, self.sync_mode, pages, 1 if self.time is None else 2)

    def append(self, seq: int, payload: bytes, durable: int = 0, *, now: int = 0, kind: int = DATA) -> bool:
        """Append a record, behind a mark when one is due; False when they do not fit beside the end record."""
        mark = None if self.time is None else max(now, self.time)
        if mark is not None and len(self.data) > SIZE and mark // 10**6 == (self.time or 0) // 10**6:
            mark = None
        room = self.capacity - len(self.data) - (0 if mark is None else SIZE + TIME.size)
        if SIZE + len(payload) + SIZE + END.size > room:
            return False
        if mark is not None:
            self.time = mark
            self._put(seq, TIME.pack(mark), durable, MARK)
        self._put(seq, payload, durable, kind)
        return True

    def _put(self, seq: int, payload: bytes, durable: int, kind: int) -> None:
        self.data += record(self.salt, self.number, len(self.data), seq=seq, payload=payload, durable=durable, kind=kind)
        self.seq = seq

    def end(self, following: int, durable: int = 0) -> None:
        """Append the end record."""
        payload = END.pack(following, len(self.data) + SIZE + END.size)
        self.data += record(self.salt, self.number, len(self.data), seq=self.seq, payload=payload, durable=durable, kind=ENDED)


@dataclass(frozen=True)
class Found:
    """A record in a segment, or the damage in its place (``good`` False)."""

    offset: int
    good: bool
    known: bool = False  # the header passed its check, so the length is right
    kind: int = 0
    seq: int = 0
    durable: int = 0
    length: int = 0
    payload: bytes = b""

    @property
    def stop(self) -> int:
        """Offset behind the record."""
        return self.offset + SIZE + self.length


@dataclass
class Verdict:
    """What a replay gives: the records, whether the segment is corrupt, whether its tail was cut."""

    records: list[tuple[int, bytes]] = field(default_factory=list)
    noted: list[tuple[int, int, bytes]] = field(default_factory=list)  # type, seq, payload of marks and notes
    corrupt: bool = False
    torn: bool = False


@dataclass(frozen=True)
class Reader:
    """One segment's bytes under one recovery mode ("absolute", "tolerate_tail", "point_in_time", "skip")."""

    data: bytes
    number: int
    salt: int = 0
    mode: str = "point_in_time"
    is_last: bool = True
    sync_mode: int = 1

    @cached_property
    def types(self) -> tuple[int, ...]:
        """The types of records that the segment may have: of its version, of any when its header is bad."""
        return TYPES[self.data[4] if self._head()[0] else 2]

    def parse(self, at: int) -> Found:
        """Return the record at an offset."""
        if at + SIZE > len(self.data):
            return Found(at, False)
        crc, length, typed, log, seq, durable = RECORD.unpack_from(self.data, at)
        kind = typed & 255
        hsum = crc32c(struct.pack("<QQQ", self.salt, self.number, at) + RECORD.pack(0, length, kind, log, seq, durable)[4:])
        if typed >> 8 != hsum >> 8:
            return Found(at, False)
        payload = self.data[at + SIZE : at + SIZE + length]
        good = (
            log == self.number & 0xFFFFFFFF
            and kind in self.types
            and durable <= at
            and len(payload) == length
            and crc == mask(crc32c(payload, hsum))
        )
        return Found(at, good, True, kind, seq, durable, length, payload)

    def behind(self, at: int) -> Iterator[Found]:
        """Yield the good records behind an offset, wherever they stand."""
        at += 1
        while at + SIZE <= len(self.data):
            near = self.data[at + 8] in self.types and self.data[at + 12 : at + 16] == struct.pack("<I", self.number & 0xFFFFFFFF)
            found = self.parse(at) if near else None
            if found and found.good:
                yield found
                at = found.stop
            else:
                at += 1

    def looks_torn(self, damage: Found, following: int | None) -> bool:
        """Tell whether a crash could have left this: lost sectors read as zeros to their end, an unfinished record has no crc, and a
        sync in the middle of one has some of its words.
        """
        at, end = damage.offset, len(self.data)
        stop = at + SIZE + (damage.length if damage.known else 0)
        if following is None and (end - at < SIZE or (damage.known and stop > end)):
            return True
        stop = min(stop, end, following if following is not None else end)
        if not any(self.data[at : at + 4]):
            return True
        for boundary in range((at // SECTOR + 1) * SECTOR, stop, SECTOR):
            if not any(self.data[max(at, boundary - 8) : boundary]):
                return True
        if damage.known:
            words = range(-(-(at + SIZE) // 8) * 8, stop - 7, 8)
            return self.data[stop - 1] == 0 or any(not any(self.data[w : w + 8]) for w in words)
        sector = min(-(-(at + SIZE) // SECTOR) * SECTOR, end)
        return (following is None or sector <= following) and not any(self.data[stop - 8 : sector])

    def judge(self, damage: Found, sync_mode: int, capacity: int) -> bool:
        """Tell whether damage is a legal end in this mode (not for "skip")."""
        later = list(self.behind(damage.offset))
        synced = sync_mode >= GROUP
        if self.mode == "absolute" or (not self.is_last and (synced or self.mode == "tolerate_tail")):
            return False
        if (synced and len(self.data) < capacity) or (self.mode == "tolerate_tail" and later):
            return False
        if not self.looks_torn(damage, later[0].offset if later else None):
            return False
        return not any(r.durable > damage.offset for r in later)

    def _head(self) -> tuple[bool, int, int]:
        """Return (header is good, sync mode, capacity)."""
        head = self.data[:SIZE]
        if len(head) == SIZE:
            _, _, sync_mode, _, _, _, pages = HEADER.unpack_from(head)
            if sync_mode <= 4 and head[4] in TYPES and head == header(self.number, self.salt, sync_mode, pages, head[4]):
                return True, sync_mode, pages * PAGE
        return False, self.sync_mode, 0

    def read(self) -> Verdict:
        """Replay the segment."""
        out = Verdict()
        good, sync_mode, capacity = self._head()
        at, ended, damage = SIZE, False, None
        if not good:
            if self.is_last and not any(self.data):
                return out
            damage = Found(0, False)
        while True:
            if damage is None:
                if not any(self.data[at:]):
                    cut = at > SIZE and sync_mode >= GROUP and len(self.data) < capacity  # without records: a crash while it was made
                    missing = not ended and (not self.is_last or cut)
                    if not missing:
                        return out
                    damage = Found(at, False)
                elif ended:
                    out.corrupt = self.mode == "absolute"
                    return out
                else:
                    found = self.parse(at)
                    lies = found.good and found.kind == ENDED and (found.length != END.size or END.unpack(found.payload)[1] != found.stop)
                    lies = lies or (found.good and found.kind == MARK and found.length != TIME.size)
                    if not found.good or lies:
                        damage = found
                    else:
                        if found.kind == DATA:
                            out.records.append((found.seq, found.payload))
                        elif found.kind != ENDED:
                            out.noted.append((found.kind, found.seq, found.payload))
                        ended, at = found.kind == ENDED, found.stop
            if damage is not None:
                if self.mode != "skip":
                    out.torn = self.judge(damage, sync_mode, capacity)
                    out.corrupt = not out.torn
                    return out
                following = next(self.behind(damage.offset), None)
                if following is None:
                    out.torn = self.is_last
                    return out
                at, damage = following.offset, None
