"""Writing the table format in plain Python: the specification that the native builder is tested against (table_twin_read: the reader).

Same bytes, no tricks: a table is one ``bytes``. Codec "none" only. The pictures are in csrc/table_format.h, csrc/block.h and
csrc/table_index.h; the block with restart points and the masked checksum are LevelDB's (doc/table_format.md, table/block_builder.cc),
the hash index of a block RocksDB's (data_block_hash_index.h).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from indexes.twins import TWINS, SurfTwin

from .memtable_twin import DELETE, VALUE_POINTER, Entry
from .merge_twin import Range

Crc = Callable[[bytes, int], int]
Handle = tuple[int, int]  # offset, size without the trailer

MAGIC, VERSION, TRAILER = b"LSMTABLE", 1, 5
FOOTER = struct.Struct("<8sIIQQQIQIQIQII")  # magic, version, index kind, database, number, four handles, chain; then its crc
FOOTER_SIZE = FOOTER.size + 4
FULL, TWO_LEVEL = 0, 1
POINTER = struct.Struct("<QQII")  # into a value file (value_twin.py): file, offset, length of the value, crc of the record
VALUE_HEAD = 20  # bytes of a record there, before its key
NONE, MANY = 255, 254  # buckets without a restart, and with several
NUMBERS = [
    "entries",
    "deletions",
    "range_deletes",
    "data_blocks",
    "raw_key_bytes",
    "raw_value_bytes",
    "data_bytes",
    "index_bytes",
    "filter_bytes",
    "min_seq",
    "max_seq",
    "largest_exclusive",
]
_WORD = 2**64 - 1


@dataclass(frozen=True)
class Settings:
    """What shapes a table; names and meaning as in lsm_table_options.

    filter: a name of `indexes.twins.TWINS`, or ""; range_filter: "surf" or "".
    """

    block_size: int = 4096
    restart_interval: int = 16
    hash_index: bool = False
    hash_util: float = 0.75
    index_kind: int = FULL
    filter: str = ""
    bits_per_key: float = 10.0
    range_filter: str = ""


def mask(crc: int) -> int:
    """Return the stored form of a checksum."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(v: int) -> bytes:
    """Return v in groups of 7 bits, lowest first; a set top bit means that more follow."""
    out = bytearray()
    while v >= 128:
        out.append(v & 127 | 128)
        v >>= 7
    return bytes([*out, v])


def block_hash(key: bytes) -> int:
    """Return the 32-bit hash of the index inside a block: multiply and fold, 8 bytes a step, the rest (maybe none) as a last word."""
    h = 0x9E3779B97F4A7C15 ^ len(key)
    whole = len(key) // 8 * 8
    for at in range(0, whole, 8):
        h = (h ^ int.from_bytes(key[at : at + 8], "little")) * 0xD6E8FEB86659FD93 & _WORD
        h ^= h >> 32
    return ((h ^ int.from_bytes(key[whole:], "little")) * 0xD6E8FEB86659FD93 & _WORD) >> 32


@dataclass
class Block:
    """A data block in the making."""

    settings: Settings
    data: bytearray = field(default_factory=bytearray)
    restarts: list[int] = field(default_factory=list)
    hashes: list[tuple[int, int]] = field(default_factory=list)  # (hash of a key, its restart's ordinal)
    since: int = 0
    last: bytes | None = None

    def add(self, e: Entry) -> None:
        """Append an entry."""
        shared, same = 0, e.key == self.last
        if self.last is None or self.since >= self.settings.restart_interval:
            self.restarts.append(len(self.data))
            self.since, same = 0, False
        else:
            shared = shared_length(self.last, e.key)
        self.data += varint(shared) + varint(len(e.key) - shared) + varint(len(e.value))
        self.data += e.key[shared:] + struct.pack("<Q", e.seq << 8 | e.kind) + e.value
        self.since, self.last = self.since + 1, e.key
        if self.settings.hash_index and not same:
            self.hashes.append((block_hash(e.key), len(self.restarts) - 1))

    def size(self) -> int:
        """Return how big the block would be now, about."""
        return len(self.data) + 4 * len(self.restarts) + 8 + int(len(self.hashes) / self.settings.hash_util)

    def finish(self) -> bytes:
        """Return the block."""
        buckets = bytearray()
        if self.hashes and len(self.restarts) < MANY:
            buckets = bytearray([NONE]) * (int(len(self.hashes) / self.settings.hash_util) | 1)
        for digest, restart in self.hashes if buckets else ():
            at = digest % len(buckets)
            buckets[at] = restart if buckets[at] in (NONE, restart) else MANY
        tail = struct.pack(f"<{len(self.restarts)}I", *self.restarts) + buckets
        return bytes(self.data) + tail + struct.pack("<II", len(buckets), len(self.restarts))


def index_block(rows: Sequence[tuple[bytes, Handle]]) -> bytes:
    """Return an index block of (separator, handle)."""
    return struct.pack("<I", len(rows)) + b"".join(varint(len(k)) + k + varint(at) + varint(n) for k, (at, n) in rows)


def shared_length(a: bytes, b: bytes) -> int:
    """Return how many bytes two keys have in common at their beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def separator(last: bytes, key: bytes) -> bytes:
    """Return what divides a block that ends in last from one that begins with key: last, or shorter where a byte lies between."""
    n = shared_length(last, key)
    return last[:n] + bytes([last[n] + 1]) if n + 1 < len(last) and n < len(key) and last[n] + 1 < key[n] else last


class File:
    """The blocks of a file, each with its trailer."""

    def __init__(self, database: int, number: int, crc: Crc) -> None:
        self.data, self.chain = bytearray(), 0
        self.database, self.number, self.crc = database, number, crc

    def sum(self, offset: int, stored: bytes) -> int:
        """Return the checksum of a block and its codec id, bound to where it stands."""
        return mask(self.crc(stored, self.crc(struct.pack("<QQQ", self.database, self.number, offset), 0)))

    def write(self, block: bytes) -> Handle:
        """Append a block and its trailer."""
        handle = len(self.data), len(block)
        trailer = struct.pack("<BI", 0, self.sum(handle[0], block + b"\0"))
        self.chain = self.crc(trailer, self.chain)
        self.data += block + trailer
        return handle


def write_table(database: int, number: int, entries: Sequence[Entry], ranges: Sequence[Range], settings: Settings, crc: Crc) -> bytes:
    """Return the table of entries in order (crc: CRC-32C of data, continued). O(bytes)."""
    f, rows = File(database, number, crc), []
    blocks = list(_cut(entries, settings))
    for i, block in enumerate(blocks):
        built = Block(settings)
        for e in block:
            built.add(e)
        last = block[-1].key
        rows.append((separator(last, blocks[i + 1][0].key) if i + 1 < len(blocks) else last, f.write(built.finish())))
    data_bytes = len(f.data)
    index = _write_index(f, rows, settings)
    index_bytes = len(f.data) - data_bytes
    handles = {"filter": (0, 0), "tombs": (0, 0)}
    keys = dict.fromkeys(e.key for e in entries)
    if settings.filter and keys:
        twin = TWINS[settings.filter]()
        handles["filter"] = f.write(bytes(twin.build([twin.hash(k) for k in keys], settings.bits_per_key)))
    filtered = handles["filter"][1] > 0
    ranged = f.write(SurfTwin(list(keys)).data) if settings.range_filter and keys else None
    if ranges:
        packed = (varint(len(r.start)) + varint(len(r.end)) + struct.pack("<Q", r.seq) + r.start + r.end for r in ranges)
        handles["tombs"] = f.write(struct.pack("<I", len(ranges)) + b"".join(packed))
    seqs = [e.seq for e in entries] + [r.seq for r in ranges]
    largest = entries[-1].key if entries else None
    ends = max((r.end for r in ranges), default=None)
    exclusive = ends is not None and (largest is None or ends > largest)
    numbers = dict.fromkeys(NUMBERS, 0) | {
        "entries": len(entries),
        "deletions": sum(e.kind == DELETE for e in entries),
        "range_deletes": len(ranges),
        "data_blocks": len(rows),
        "raw_key_bytes": sum(len(e.key) for e in entries),
        "raw_value_bytes": sum(len(e.value) for e in entries),
        "data_bytes": data_bytes,
        "index_bytes": index_bytes,
        "filter_bytes": handles["filter"][1] + TRAILER if filtered else 0,
        "min_seq": min(seqs),
        "max_seq": max(seqs),
        "largest_exclusive": int(exclusive),
    }
    properties = {name: struct.pack("<Q", v) for name, v in numbers.items()} | {
        "bits_per_key": struct.pack("<d", settings.bits_per_key if filtered else 0.0),
        "filter": settings.filter.encode() if filtered else b"",
        "codec": b"",
        "smallest": min([*(e.key for e in entries[:1]), *(r.start for r in ranges)]),
        "largest": ends if exclusive and ends is not None else largest or b"",
    }
    if ranged:
        properties["range_filter"] = settings.range_filter.encode()
        properties |= {f"range_filter_{what}": struct.pack("<Q", v) for what, v in zip(("offset", "size"), ranged, strict=True)}
    if refs := value_refs(entries):
        properties["value_files"] = b"".join(struct.pack("<QQQ", *row) for row in refs)
    named = (bytes([len(name)]) + name.encode() + struct.pack("<I", len(v)) + v for name, v in properties.items())
    props = f.write(struct.pack("<H", len(properties)) + b"".join(named))
    fields = (settings.index_kind, database, number, *props, *index, *handles["filter"], *handles["tombs"], f.chain)
    footer = FOOTER.pack(MAGIC, VERSION, *fields)
    return bytes(f.data) + footer + struct.pack("<I", mask(crc(footer, 0)))


def value_refs(entries: Iterable[Entry]) -> list[tuple[int, int, int]]:
    """Return the value files that entries point into, by number: file, entries, bytes of their records."""
    found: dict[int, tuple[int, int]] = {}
    for e in entries:
        if e.kind == VALUE_POINTER:
            file, _, length, _ = POINTER.unpack(e.value)
            count, size = found.get(file, (0, 0))
            found[file] = count + 1, size + VALUE_HEAD + len(e.key) + length
    return [(file, *found[file]) for file in sorted(found)]


def _cut(entries: Iterable[Entry], settings: Settings) -> Iterator[list[Entry]]:
    """Yield the entries of each data block: a block ends before the entry that would make it too big."""
    block = Block(settings)
    now: list[Entry] = []
    for e in entries:
        if now and block.size() + len(e.key) + len(e.value) + 16 > settings.block_size:
            yield now
            block, now = Block(settings), []
        block.add(e)
        now.append(e)
    if now:
        yield now


def _write_index(f: File, rows: list[tuple[bytes, Handle]], settings: Settings) -> Handle:
    """Write the index, or partitions (each ends once it has block_size bytes) and their top; return its handle."""
    if settings.index_kind == FULL:
        return f.write(index_block(rows))
    parts: list[list[tuple[bytes, Handle]]] = [[]]
    for row in rows:
        if parts[-1] and len(index_block(parts[-1])) >= settings.block_size:
            parts.append([])
        parts[-1].append(row)
    return f.write(index_block([(part[-1][0], f.write(index_block(part))) for part in parts if part]))
