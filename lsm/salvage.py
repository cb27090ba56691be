"""A damaged table, read piece by piece: which blocks are whole, what they hold, and exactly what is lost.

    footer good -> index -> data blocks by their handles          index or footer lost -> data blocks one behind the other, by checksum

Nothing is taken that has not passed its checksum, which names database, table and place. A block that was found without the index must
also parse to its last byte and keep the order. The rules of the format are those of table_twin_read; codecs are the engine's.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from recovery import FileSystem, crc32c

from .errors import Error
from .memtable_twin import Entry
from .merge_twin import Range
from .native import Env
from .native_salvage import block_content, block_size, next_block
from .table_twin import FOOTER, FOOTER_SIZE, FULL, MAGIC, TRAILER, TWO_LEVEL, VERSION, mask
from .table_twin_read import read_varint

PIECE = 1 << 20
LARGEST_GUESS = 1 << 20  # bytes of a block that is looked for without an index
FEW = 1 << 16  # likewise, behind damage, where every place must be tried
LAST_SEQ = (1 << 56) - 1


@dataclass(frozen=True)
class Hole:
    """A stretch of a table that cannot be read. For component "data", ``first`` and ``last`` bound the keys it held (None: open)."""

    component: str
    offset: int
    size: int
    what: str
    first: bytes | None = None
    last: bytes | None = None


@dataclass(frozen=True)
class Footer:
    """What a footer says whose checksum is right. Handles are (offset, size)."""

    index_kind: int
    database: int
    number: int
    props: tuple[int, int]
    index: tuple[int, int]
    filter: tuple[int, int]
    tombs: tuple[int, int]
    crc: int


@dataclass
class Examined:
    """What is left of a table. ``blocks``: (offset, size) of whole data blocks, in order; ``props``: None when they are lost."""

    path: str
    number: int
    size: int
    footer: Footer | None
    props: dict[str, bytes] | None = None
    blocks: list[tuple[int, int]] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    entries: int = 0  # in whole blocks
    min_seq: int = LAST_SEQ
    max_seq: int = 0
    _raw: bytes = b""
    _env: Env | None = None

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries of whole blocks, in order."""
        for at, size in self.blocks:
            yield from parse_data(self.content(at, size)) or ()

    def content(self, at: int, size: int) -> bytes:
        """Return a block's content. CorruptionError."""
        assert self._env is not None
        return block_content(self._env, self.number, self.path, self._raw, at, size)

    def number_of(self, name: str) -> int | None:
        """Return a property that is a number, None when it is lost."""
        raw = (self.props or {}).get(name, b"")
        return int.from_bytes(raw, "little") if len(raw) == 8 else None

    @property
    def keyspace(self) -> tuple[int, str] | None:
        """Number and name of the keyspace, when the table names it."""
        raw = (self.props or {}).get("keyspace", b"")
        return (int.from_bytes(raw[:4], "little"), raw[4:].decode("utf-8", "replace")) if len(raw) > 4 else None


def read_what_can_be(fs: FileSystem, path: str) -> tuple[bytes, list[tuple[int, int, str]]]:
    """Return a file's bytes, zeros where the disk refuses (0xff where the encryption does), and what was refused (offset, size, why)."""
    parts, bad = list[bytes](), list[tuple[int, int, str]]()
    with fs.open(path, "salvage") as f:
        size = f.size()
        for at in range(0, size, PIECE):
            n = min(PIECE, size - at)
            try:
                data = f.pread(n, at)
            except OSError:
                data = b"".join(_read_page(f, at + k, min(4096, n - k), bad) for k in range(0, n, 4096))
            parts.append(data.ljust(n, b"\0"))
    return b"".join(parts), bad


def _read_page(f: object, at: int, n: int, bad: list[tuple[int, int, str]]) -> bytes:
    try:
        data: bytes = f.pread(n, at)  # type: ignore[attr-defined]
        return data.ljust(n, b"\0")
    except OSError as e:
        bad.append((at, n, os.strerror(e.errno or 0)))
        return bytes(n)


def read_footer(raw: bytes) -> Footer | None:
    """Return the footer at the end of a table's bytes; None when there is none whose checksum is right."""
    if len(raw) < FOOTER_SIZE or raw[-FOOTER_SIZE:][:8] != MAGIC:
        return None
    (crc,) = struct.unpack("<I", raw[-4:])
    if mask(crc32c(raw[-FOOTER_SIZE:-4])) != crc:
        return None
    _, version, kind, database, number, *rest, _ = FOOTER.unpack(raw[-FOOTER_SIZE:-4])
    props, index, filters, tombs = zip(rest[::2], rest[1::2], strict=True)
    return Footer(kind, database, number, props, index, filters, tombs, crc) if version == VERSION and kind in (FULL, TWO_LEVEL) else None


def parse_data(block: bytes) -> list[Entry] | None:
    """Return the entries of a data block; None unless all bytes are as a data block has them, with its entries in order."""
    try:
        buckets, restarts = struct.unpack("<II", block[-8:])
        end = len(block) - 8 - 4 * restarts - buckets
        if not restarts or end <= 0:
            return None
        offsets = struct.unpack_from(f"<{restarts}I", block, end)
        starts, found, at, key = set[int](), list[Entry](), 0, b""
        while at < end:
            starts.add(at)
            shared, at = read_varint(block, at)
            unshared, at = read_varint(block, at)
            size, at = read_varint(block, at)
            if shared > len(key) or at + unshared + 8 + size > end:
                return None
            key = key[:shared] + block[at : at + unshared]
            at += unshared
            (tag,) = struct.unpack_from("<Q", block, at)
            found.append(Entry(key, tag >> 8, tag & 255, block[at + 8 : at + 8 + size]))
            at += 8 + size
    except (struct.error, IndexError, OverflowError):
        return None
    in_order = all((a.key, -a.seq) < (b.key, -b.seq) for a, b in pairwise(found))
    return found if at == end and offsets[0] == 0 and starts.issuperset(offsets) and in_order else None


def parse_index(block: bytes) -> list[tuple[bytes, tuple[int, int]]] | None:
    """Return (separator, handle) of an index block; None unless all bytes are as one has them."""
    try:
        (count,) = struct.unpack_from("<I", block)
        rows, at, behind = [], 4, 0
        for _ in range(min(count, len(block))):
            n, at = read_varint(block, at)
            key = block[at : at + n]
            offset, at = read_varint(block, at + n)
            size, at = read_varint(block, at)
            if offset < behind:
                return None
            rows.append((key, (offset, size)))
            behind = offset + size + TRAILER
    except (struct.error, IndexError):
        return None
    return rows if at == len(block) and len(rows) == count else None


def parse_ranges(block: bytes) -> list[Range] | None:
    """Return the range tombstones of their block; None unless all bytes are as one has them."""
    try:
        (count,) = struct.unpack_from("<I", block)
        found, at = [], 4
        for _ in range(min(count, len(block))):
            n, at = read_varint(block, at)
            m, at = read_varint(block, at)
            (seq,) = struct.unpack_from("<Q", block, at)
            at += 8 + n + m
            found.append(Range(block[at - n - m : at - m], block[at - m : at], seq))
    except (struct.error, IndexError):
        return None
    return found if count and at == len(block) and len(found) == count and all(r.start < r.end for r in found) else None


def parse_props(block: bytes) -> dict[str, bytes] | None:
    """Return the properties; None unless all bytes are as their block has them."""
    try:
        (count,) = struct.unpack_from("<H", block)
        found, at = dict[str, bytes](), 2
        for _ in range(count):
            name = block[at + 1 : at + 1 + block[at]].decode("ascii")
            at += 1 + block[at]
            (n,) = struct.unpack_from("<I", block, at)
            found[name] = block[at + 4 : at + 4 + n]
            at += 4 + n
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    return found if at == len(block) and {"smallest", "largest", "entries"} <= found.keys() else None


class _Walk:
    """One pass over a table's bytes."""

    def __init__(self, env: Env, out: Examined, database: int, bad: list[tuple[int, int, str]]) -> None:
        self.env, self.out, self.raw, self.bad = env, out, out._raw, bad
        self.last: tuple[bytes, int] | None = None
        self.seen: set[str] = set()
        footer = out.footer
        self.footer = footer if footer is not None and (footer.database, footer.number) == (database, out.number) else None

    def block(self, handle: tuple[int, int]) -> bytes | None:
        try:
            return self.out.content(*handle)
        except Error:
            return None

    def hole(self, component: str, at: int, size: int, what: str, first: bytes | None = None, last: bytes | None = None) -> None:
        for begin, n, why in self.bad:
            if begin < at + size and at < begin + n:
                what = f"the disk cannot read it: {why}"
        holes = self.out.holes
        if component == "data" and holes and holes[-1].component == "data" and holes[-1].offset + holes[-1].size == at:
            before = holes.pop()
            at, size, first, what = before.offset, before.size + size, before.first, before.what
        holes.append(Hole(component, at, size, what, first, last))

    def take(self, at: int, size: int, content: bytes) -> bool:
        """Keep a data block; False when it is none, or is out of order."""
        found = parse_data(content)
        if found is None or (self.last is not None and (found[0].key, -found[0].seq) <= self.last):
            return False
        out = self.out
        if out.holes and out.holes[-1].component == "data" and out.holes[-1].last is None:
            h = out.holes.pop()
            out.holes.append(Hole(h.component, h.offset, h.size, h.what, h.first, found[0].key))
        self.last = found[-1].key, -found[-1].seq
        out.blocks.append((at, size))
        out.entries += len(found)
        out.min_seq = min(out.min_seq, *(e.seq for e in found))
        out.max_seq = max(out.max_seq, *(e.seq for e in found))
        return True

    def lost(self, at: int, size: int, what: str, last: bytes | None = None) -> None:
        self.hole("data", at, size, what, self.last[0] if self.last else None, last)

    def by_index(self, rows: list[tuple[bytes, tuple[int, int]]]) -> None:
        for separator, handle in rows:
            content = self.block(handle)
            if content is None or not self.take(*handle, content):
                self.lost(handle[0], handle[1] + TRAILER, "checksum" if content is None else "the block does not parse", separator)

    def by_checksum(self, at: int, end: int) -> None:
        """Data blocks of [at, end), one behind the other; what else is found there is kept by what it is."""
        size = 0
        while at < end:
            size = size or block_size(self.env, self.out.number, self.raw, at, min(LARGEST_GUESS, end - at))
            content = self.block((at, size)) if size else None
            if content is not None and (self.other(content) or self.take(at, size, content)):
                at, size = at + size + TRAILER, 0
                continue
            following, size = next_block(self.env, self.out.number, self.raw, at + 1, end, FEW)
            if "data end" not in self.seen:
                self.lost(at, following - at, "no block whose checksum is right")
            at = following

    def other(self, content: bytes) -> bool:
        """Take in a block that is no data block, found without a footer."""
        if (rows := parse_index(content)) is not None and rows and {h for _, h in rows} >= set(self.out.blocks):
            self.seen |= {"data end", "index"}
        elif (ranges := parse_ranges(content)) is not None:
            self.out.ranges = ranges
            self.seen |= {"data end", "range tombstones"}
        elif (props := parse_props(content)) is not None:
            self.out.props = props
            self.seen |= {"data end", "properties"}
        else:
            return parse_data(content) is None
        return True


def examine(env: Env, fs: FileSystem, path: str, number: int, database: int) -> Examined:
    """Read a table piece by piece, as table ``number`` of a database. OSError when the file cannot be opened.

    O(bytes) with an index; without one each damaged stretch costs up to FEW times its bytes.
    """
    raw, bad = read_what_can_be(fs, path)
    out = Examined(path, number, len(raw), read_footer(raw), _raw=raw, _env=env)
    walk = _Walk(env, out, database, bad)
    footer = walk.footer
    if footer is None:
        at = max(0, len(raw) - FOOTER_SIZE)
        walk.hole("footer", at, len(raw) - at, "no footer of this table")
        walk.by_checksum(0, len(raw))
        if "data end" not in walk.seen:
            walk.lost(len(raw), 0, "the file ends before the index: how much is missing behind it is not known")
        out.holes += [Hole(c, len(raw), 0, "not found") for c in ("properties", "range tombstones") if c not in walk.seen]
    else:
        _by_footer(walk, footer)
    out.min_seq = min([out.min_seq, *(r.seq for r in out.ranges)])
    out.max_seq = max([out.max_seq, *(r.seq for r in out.ranges)])
    return out


def _by_footer(walk: _Walk, footer: Footer) -> None:
    out = walk.out
    content = walk.block(footer.props)
    out.props = parse_props(content) if content is not None else None
    if out.props is None:
        walk.hole("properties", *footer.props, "checksum")
    content = walk.block(footer.index)
    rows = parse_index(content) if content is not None else None
    if rows is None:
        walk.hole("index", *footer.index, "checksum")
        walk.by_checksum(0, footer.index[0])
    elif footer.index_kind == FULL:
        walk.by_index(rows)
    else:
        _by_partitions(walk, rows)
    if footer.filter[1] and walk.block(footer.filter) is None:
        walk.hole("filter", *footer.filter, "checksum")
    at, size = out.number_of("range_filter_offset"), out.number_of("range_filter_size")
    if at is not None and size and walk.block((at, size)) is None:
        walk.hole("range filter", at, size, "checksum")
    if footer.tombs[1]:
        content = walk.block(footer.tombs)
        out.ranges = parse_ranges(content) or [] if content is not None else []
        if not out.ranges:
            walk.hole("range tombstones", *footer.tombs, "checksum")


def _by_partitions(walk: _Walk, top: list[tuple[bytes, tuple[int, int]]]) -> None:
    """All data blocks come before all partitions; behind a lost partition they are found by their checksums."""
    parts = []
    for _, handle in top:
        content = walk.block(handle)
        parts.append(parse_index(content) if content is not None else None)
        if parts[-1] is None:
            walk.hole("index", *handle, "checksum")
    at = 0
    for i, rows in enumerate(parts):
        if rows:
            walk.by_index(rows)
            at = rows[-1][1][0] + rows[-1][1][1] + TRAILER
        else:
            end = next((later[0][1][0] for later in parts[i + 1 :] if later), top[0][1][0])
            walk.by_checksum(at, end)
            at = end
