"""Tables made by hand, block by block: every checksum is right and a block says what cannot be. Every way of reading tells."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import eviction
import lsm
import recovery
from indexes.twins import SurfTwin
from lsm.memtable_twin import PUT, VALUE_POINTER, Entry
from lsm.merge_twin import Range
from lsm.native import Cache, Job, JobInput, Table
from lsm.native_db import CoreDB, CoreKeyspace
from lsm.native_memtables import builtin_memtable
from lsm.native_salvage import block_content, block_size, next_block
from lsm.native_tables import covering, get, ranges, scan
from lsm.native_values import ValueFile, ValueWriter
from lsm.table_twin import (
    FOOTER,
    FULL,
    MAGIC,
    NUMBERS,
    TRAILER,
    TWO_LEVEL,
    VERSION,
    Block,
    File,
    Handle,
    Settings,
    block_hash,
    index_block,
    mask,
    varint,
)
from tests.harness.tables import DATABASE, PATH, SHAPES, Lab

NUMBER = 7
MOST = 65536  # bytes of a key
Rows = list[tuple[bytes, Handle]]


def entry(key: bytes, seq: int = 1, *, shared: int = 0, kind: int = PUT, value: bytes = b"", length: int | None = None) -> bytes:
    """One entry of a block; length: what it says of its value."""
    head = varint(shared) + varint(len(key)) + varint(len(value) if length is None else length)
    return head + key + struct.pack("<Q", seq << 8 | kind) + value


def block(data: bytes, restarts: Sequence[int] = (0,), buckets: bytes = b"") -> bytes:
    return data + struct.pack(f"<{len(restarts)}I", *restarts) + buckets + struct.pack("<II", len(buckets), len(restarts))


def good(*keys: bytes) -> bytes:
    return block(b"".join(entry(k) for k in keys))


class Handmade:
    """A table of blocks of (separator, bytes); whatever it says of itself can be changed before it is opened."""

    def __init__(self, blocks: Sequence[tuple[bytes, bytes]], lab: Lab | None = None) -> None:
        self.lab = lab or Lab()
        self.file = File(DATABASE, NUMBER, recovery.crc32c)
        self.rows: Rows = [(separator, self.file.write(data)) for separator, data in blocks]
        self.kind, self.index, self.tombs, self.behind = FULL, index_block(self.rows), b"", b""
        self.properties: dict[str, bytes] = {name: struct.pack("<Q", 0) for name in NUMBERS} | {
            "data_blocks": struct.pack("<Q", len(self.rows)),
            "bits_per_key": struct.pack("<d", 0.0),
            "filter": b"",
            "codec": b"",
            "smallest": b"",
            "largest": b"\xff" * 9,
        }
        self.more: list[tuple[bytes, bytes]] = []  # properties that come twice or by no good name
        self.props: bytes | None = None
        self.footer: dict[int, int] = {}  # places in the footer, and what stands there instead

    def two_level(self, parts: Sequence[tuple[bytes, Rows]]) -> None:
        """Make the index one of partitions: what the top says of each, and what is in it."""
        self.index = index_block([(top, self.file.write(index_block(rows))) for top, rows in parts])
        self.kind = TWO_LEVEL

    def write(self) -> None:
        index = self.file.write(self.index)
        tombs = self.file.write(self.tombs) if self.tombs else (0, 0)
        rows = [*((name.encode(), v) for name, v in self.properties.items()), *self.more]
        named = b"".join(bytes([len(name)]) + name + struct.pack("<I", len(v)) + v for name, v in rows)
        props = self.file.write(struct.pack("<H", len(rows)) + named if self.props is None else self.props)
        self.file.data += self.behind
        fields = [MAGIC, VERSION, self.kind, DATABASE, NUMBER, *props, *index, 0, 0, *tombs, self.file.chain]
        footer = FOOTER.pack(*(self.footer.get(i, value) for i, value in enumerate(fields)))
        self.lab.fs.write_all(PATH, bytes(self.file.data) + footer + struct.pack("<I", mask(recovery.crc32c(footer))))

    def open(self, **settings: Any) -> Table:
        self.write()
        return self.lab.open(self.lab.settings(Settings(), **settings), number=NUMBER)


def ways(key: bytes) -> dict[str, Callable[[Table], Any]]:
    """Every way of reading that comes upon the block with this key."""
    return {
        "get": lambda t: get(t, key),
        "scan": lambda t: list(scan(t)),
        "scan ahead": lambda t: list(scan(t, readahead=1 << 16)),
        "back": lambda t: list(scan(t, reverse=True)),
        "seek": lambda t: lsm.native_tables.TableCursor(t).seek(key),
        "seek before": lambda t: lsm.native_tables.TableCursor(t).seek_before(key),
        "verify": lambda t: t.verify(),
    }


LAST = entry(b"c" * 40000)
BLOCKS: dict[str, bytes] = {  # each stands for the keys from b to d
    "too short": b"\0" * 7,
    "without restarts": block(entry(b"b"), []),
    "more restarts than bytes": entry(b"b") + struct.pack("<II", 0, 1 << 30),
    "a head cut off": block(b"\0"),
    "a key cut off": block(b"\0" + b"\xff"),
    "more buckets than bytes": entry(b"b") + struct.pack("<III", 0, 1 << 31, 1),
    "without entries": block(b""),
    "the first restart behind the end": block(entry(b"c"), [500]),
    "the first key is shared": block(entry(b"c", shared=1)),
    "more is shared than there was": block(entry(b"c") + entry(b"c", shared=2)),
    "a key beyond the limit": block(entry(b"c" * (MOST + 1))),
    "a key beyond the limit by what is shared": block(LAST + entry(b"d" * 40000, shared=40000)),
    "an entry that ends behind the block": block(entry(b"c", length=50)),
    "a key that ends behind the block": block(varint(0) + varint(60) + varint(0) + b"c" * 10),
    "a length that does not end": block(b"\xff" * 20),
    "a length cut off": block(b"\xff" * 3),
    "a second length that does not end": block(b"\0" + b"\xff" * 20),
    "a third length that does not end": block(b"\0\1" + b"\xff" * 20),
}


def three(middle: bytes) -> Handmade:
    return Handmade([(b"a", good(b"a")), (b"d", middle), (b"e", good(b"e"))])


@pytest.mark.parametrize("way", ways(b""))
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_that_makes_no_sense_is_told(name: str, way: str) -> None:
    with pytest.raises(lsm.CorruptionError, match=PATH):
        ways(b"d")[way](three(BLOCKS[name]).open())


def test_a_last_block_without_entries_is_not_the_end() -> None:
    """Backwards it passed for the end of the table once: what was before it did not show."""
    made = Handmade([(b"a", good(b"a")), (b"c", block(b""))])
    for reverse in (False, True):
        with pytest.raises(lsm.CorruptionError, match="does not parse"):
            list(scan(made.open(), reverse=reverse))


RESTARTS: dict[str, bytes] = {  # entries of 12 bytes
    "behind the end": block(entry(b"b") + entry(b"c") + entry(b"d"), [0, 400, 24]),
    "in the midst of an entry": block(entry(b"b") + entry(b"c" * 200) + entry(b"d"), [0, 20, 12 + 212]),
    "one whose key is shared": block(entry(b"b") + entry(b"", shared=1) + entry(b"d"), [0, 12, 23]),
    "one that ends behind the block": block(entry(b"b") + varint(0) + varint(9) + varint(0) + b"c" * 9, [0, 12, 12]),
    "lengths that do not end": block(entry(b"b") + b"\xff" * 14, [0, 12, 12]),
    "second lengths that do not end": block(entry(b"b") + b"\0" + b"\xff" * 14, [0, 12, 12]),
    "third lengths that do not end": block(entry(b"b") + b"\0\1" + b"\xff" * 14, [0, 12, 12]),
    "a key beyond the limit": block(entry(b"b") + entry(b"c" * (MOST + 1)), [0, 12, 12]),
}


@pytest.mark.parametrize("name", RESTARTS)
def test_restarts_that_make_no_sense_are_told(name: str) -> None:
    """By a binary search over the restarts."""
    for way in ("get", "seek", "seek before"):
        with pytest.raises(lsm.CorruptionError, match=PATH):
            ways(b"c")[way](three(RESTARTS[name]).open())


def test_an_interval_that_does_not_end_where_the_next_begins() -> None:
    """Backwards over two restarts: the second one lies within an entry."""
    data = entry(b"b") + entry(b"c", value=entry(b"c")) + entry(b"d")
    made = three(block(data, [0, 12 + 12]))
    with pytest.raises(lsm.CorruptionError, match="does not parse"):
        list(scan(made.open(), reverse=True))
    behind = three(block(entry(b"b") + entry(b"d"), [12]))  # the only restart is not the first entry
    with pytest.raises(lsm.CorruptionError, match="does not parse"):
        list(scan(behind.open(), reverse=True))


@pytest.mark.parametrize("bucket", [254, 253, 5], ids=["many", "a restart that is not there", "another"])
def test_a_bucket_that_does_not_help(bucket: int) -> None:
    """The block is searched; with 300 restarts, too, of which a bucket can name the first ones alone."""
    for n in (2, 300):
        keys = [b"c%05d" % i for i in range(n)]
        data = block(b"".join(entry(k) for k in keys), range(0, 17 * n, 17), bytes([bucket if n == 2 else 254]))
        table = three(data).open()
        assert [get(table, key) for key in keys[:1] + keys[-1:]] == [Entry(k, 1, PUT, b"") for k in (keys[0], keys[-1])]


def test_partitions_that_contradict_their_top() -> None:
    made = Handmade([(b"a", good(b"a")), (b"c", good(b"c")), (b"m", good(b"m"))])
    made.two_level([(b"a", made.rows[:1]), (b"k", made.rows[1:2]), (b"m", made.rows[2:])])
    table = made.open()
    assert get(table, b"c") == Entry(b"c", 1, PUT, b"")
    for way in ("seek", "seek before"):
        with pytest.raises(lsm.CorruptionError, match="contradict their top"):
            ways(b"j")[way](table)
    with pytest.raises(lsm.CorruptionError, match="partition and top disagree"):
        table.verify()


@pytest.mark.parametrize("bad", [index_block([]), b"\1", index_block([(b"x", (1 << 40, 9))])], ids=["empty", "short", "outside"])
def test_a_partition_that_makes_no_sense(bad: bytes) -> None:
    made = Handmade([(b"a", good(b"a")), (b"c", good(b"c"))])
    made.index = index_block([(b"a", made.file.write(index_block(made.rows[:1]))), (b"c", made.file.write(bad))])
    made.kind = TWO_LEVEL
    for name, way in ways(b"c").items():
        with pytest.raises(lsm.CorruptionError, match="partition"):
            way(made.open()), name


def test_limits_of_what_is_read_at_once() -> None:
    """As for a directory that is not trusted."""
    made = Handmade([(b"a", good(b"a")), (b"c", block(entry(b"c", value=b"x" * 5000))), (b"e", good(b"e"))])
    made.lab.env.limit(1000, 100)
    table = made.open()
    for name, way in ways(b"c").items():
        print(name)
        with pytest.raises(lsm.CorruptionError, match="the limit is 1000"):
            way(table)


def numbered(made: Handmade, **numbers: int) -> Handmade:
    made.properties |= {name: struct.pack("<Q", value) for name, value in numbers.items()}
    return made


ENTRIES_WRONG: dict[str, tuple[list[tuple[bytes, bytes]], str]] = {
    "keys out of order": ([(b"z", good(b"c", b"b"))], "entries out of order"),
    "a version behind an older one": ([(b"z", block(entry(b"b", 3) + entry(b"b", 4)))], "entries out of order"),
    "a version twice": ([(b"z", block(entry(b"b", 3) + entry(b"b", 3)))], "entries out of order"),
    "a kind that there is not": ([(b"z", block(entry(b"b", kind=9)))], "an entry of a kind that there is not"),
    "a range delete": ([(b"z", block(entry(b"b", kind=3)))], "an entry of a kind that there is not"),
    "a short pointer": ([(b"z", block(entry(b"b", kind=VALUE_POINTER, value=b"1")))], "a pointer of a wrong length"),
    "a key behind its separator": ([(b"a", good(b"b"))], "a key behind its block's separator"),
    "a key behind the largest": ([(b"\xff" * 20, good(b"\xff" * 10))], "a key outside of the table's bounds"),
}


@pytest.mark.parametrize("name", ENTRIES_WRONG)
def test_verify_finds_entries_that_cannot_be(name: str) -> None:
    blocks, told = ENTRIES_WRONG[name]
    with pytest.raises(lsm.CorruptionError, match=told):
        Handmade(blocks).open().verify()


def test_verify_finds_a_key_before_the_smallest() -> None:
    made = Handmade([(b"z", good(b"b"))])
    made.properties["smallest"] = b"c"
    with pytest.raises(lsm.CorruptionError, match="a key outside of the table's bounds"):
        made.open().verify()


TOTALS = {"entries": 1, "raw_key_bytes": 1, "min_seq": 1, "max_seq": 1}


def test_verify_finds_bytes_that_belong_to_no_block() -> None:
    numbered(Handmade([(b"b", good(b"b"))]), **TOTALS).open().verify()
    made = numbered(Handmade([(b"b", good(b"b"))]), **TOTALS)
    made.behind = b"something else"
    with pytest.raises(lsm.CorruptionError, match="bytes that belong to no block"):
        made.open().verify()
    apart = numbered(Handmade([(b"b", good(b"b"))]), **TOTALS)
    apart.file.data += b"something else"
    with pytest.raises(lsm.CorruptionError, match="a gap or an overlap between blocks"):
        apart.open().verify()


@pytest.mark.parametrize("name", ["entries", "deletions", "raw_key_bytes", "raw_value_bytes", "min_seq", "max_seq"])
def test_verify_finds_properties_that_do_not_agree(name: str) -> None:
    made = numbered(Handmade([(b"b", good(b"b"))]), **(TOTALS | {name: TOTALS.get(name, 0) + 1}))
    with pytest.raises(lsm.CorruptionError, match="the properties do not agree with the entries"):
        made.open().verify()


def tomb(start: bytes, end: bytes, seq: int = 5) -> bytes:
    return varint(len(start)) + varint(len(end)) + struct.pack("<Q", seq) + start + end


COUNT = struct.pack("<I", 1)
TOMBS: dict[str, bytes] = {
    "fewer bytes than a number": b"\1",
    "another number than the properties say": struct.pack("<I", 2) + tomb(b"a", b"b") + tomb(b"b", b"c"),
    "a length that does not end": COUNT + b"\xff" * 20,
    "an end whose length does not end": COUNT + b"\1" + b"\xff" * 20,
    "too long a start": COUNT + varint(MOST + 1) + varint(1) + bytes(MOST + 20),
    "too long an end": COUNT + varint(1) + varint(MOST + 1) + bytes(MOST + 20),
    "keys behind the end": COUNT + varint(5) + varint(5) + bytes(10),
    "a range of nothing": COUNT + tomb(b"b", b"b"),
    "bytes behind the last": COUNT + tomb(b"a", b"b") + b"x",
}


@pytest.mark.parametrize("name", TOMBS)
def test_range_tombstones_that_make_no_sense(name: str) -> None:
    made = numbered(Handmade([(b"b", good(b"b"))]), range_deletes=1)
    made.tombs = TOMBS[name]
    with pytest.raises(lsm.CorruptionError, match="the range tombstones do not parse"):
        made.open()


def test_range_tombstones_as_they_should_be() -> None:
    made = numbered(Handmade([(b"b", good(b"b"))]), range_deletes=1)
    made.tombs = COUNT + tomb(b"a", b"b")
    table = made.open()
    assert ranges(table) == [Range(b"a", b"b", 5)] and covering(table, b"a") == 5 and covering(table, b"a", 4) == 0
    assert covering(Handmade([(b"b", good(b"b"))]).open(), b"a") == 0, "it has none"


REF = struct.pack("<QQQ", 5, 1, 30)
PROPERTIES: dict[str, Callable[[Handmade], None]] = {
    "no bytes": lambda m: setattr(m, "props", b"\0"),
    "a name behind the end": lambda m: setattr(m, "props", b"\1\0\xffname"),
    "a number of them too many": lambda m: setattr(m, "props", b"\1\0"),
    "a value behind the end": lambda m: setattr(m, "props", b"\1\0" + b"\5codec" + struct.pack("<I", 9) + b"lz4"),
    "bytes behind the last": lambda m: setattr(m, "props", b"\0\0something"),
    "no smallest key": lambda m: m.properties.pop("smallest") and None,
    "no largest key": lambda m: m.properties.pop("largest") and None,
    "too long a name of a range filter": lambda m: m.properties.update(range_filter=b"f" * 32),
    "too long a name of a codec": lambda m: m.properties.update(codec=b"f" * 32),
    "two smallest keys": lambda m: m.more.append((b"smallest", b"")),
    "too long a key": lambda m: m.properties.update(largest=bytes(MOST + 1)),
    **{
        f"{name} of 7 bytes": lambda m, name=name: m.properties.update({name: bytes(7)})
        for name in (*NUMBERS, "range_filter_offset", "range_filter_size")
    },
    "bits of 9 bytes": lambda m: m.properties.update(bits_per_key=bytes(9)),
    "too long a name of a filter": lambda m: m.properties.update(filter=b"f" * 32),
    "a keyspace without a name": lambda m: m.properties.update(keyspace=bytes(4)),
    "a keyspace of too long a name": lambda m: m.properties.update(keyspace=bytes(4) + b"k" * 65),
    "no value files": lambda m: m.properties.update(value_files=b""),
    "half a value file": lambda m: m.properties.update(value_files=REF + REF[:12]),
    "a value file twice": lambda m: m.properties.update(value_files=REF * 2),
    "a value file without records": lambda m: m.properties.update(value_files=struct.pack("<QQQ", 5, 0, 0)),
    "value files twice": lambda m: m.more.extend([(b"value_files", REF)] * 2),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties_that_make_no_sense(name: str) -> None:
    made = Handmade([(b"b", good(b"b"))])
    PROPERTIES[name](made)
    with pytest.raises(lsm.CorruptionError, match="the properties block does not parse"):
        made.open()


def test_properties_that_are_not_known_are_passed_by() -> None:
    made = Handmade([(b"b", good(b"b"))])
    made.properties["of_a_later_version"] = b"whatever"
    made.more += [(b"?" * n, b"of any length of name") for n in range(1, 30)]
    made.properties["keyspace"] = struct.pack("<I", 3) + b"k" * 64
    assert made.open().props.keyspace == "k" * 64


def test_range_filters_that_are_not_there() -> None:
    def say(offset: int, size: int, name: bytes = b"surf") -> Handmade:
        made = numbered(Handmade([(b"b", good(b"b"))]), range_filter_offset=offset, range_filter_size=size)
        made.properties["range_filter"] = name
        return made

    for offset, size in ((1 << 40, 20), (0, 1 << 40), (5, 300 << 20), (0, 100_000)):
        with pytest.raises(lsm.CorruptionError, match="a range filter outside of the file"):
            say(offset, size).open()
    with pytest.raises(lsm.InvalidOptions, match="is not registered"):
        say(0, 10, b"strange").open()
    first = len(good(b"b"))
    with pytest.raises(lsm.CorruptionError, match="the range filter is not well formed"):
        say(0, first).open()
    with pytest.raises(lsm.CorruptionError, match="block checksum"):
        say(0, first - 1).open()


def test_verify_finds_a_range_filter_that_denies_a_key() -> None:
    made = numbered(Handmade([(b"q", good(b"q"))]), **TOTALS)
    made.properties["range_filter"] = b"surf"
    offset, size = made.file.write(bytes(SurfTwin([b"a"]).data))  # of another key
    with pytest.raises(lsm.CorruptionError, match="the range filter denies a key of the table"):
        numbered(made, range_filter_offset=offset, range_filter_size=size).open().verify()


def test_what_a_table_says_of_its_memory() -> None:
    for twin, more in SHAPES.values():
        for cached in (False, True):
            for mapped in (False, True):
                lab = Lab(cache=Cache(1 << 20, 1, 400, eviction.ops_address("lru"), "", 0) if cached else None)
                lab.build(lab.settings(twin, **more), [Entry(b"%03d" % i, 1, PUT, b"v" * 30) for i in range(200)])
                table = lab.open(lab.settings(twin, mapped=mapped, **more))
                assert 400 < table.memory() < len(lab.fs.read_all(PATH)) * 4
                assert len(list(scan(table))) == 200


def test_blocks_are_found_by_their_checksums_alone() -> None:
    made = Handmade([(b"a", good(b"a")), (b"c", good(b"c")), (b"e", good(b"e", b"e" * 50))])
    made.write()
    data, env = made.lab.fs.read_all(PATH), made.lab.env
    places = [handle for _, handle in made.rows]
    for at, size in places:
        assert block_size(env, NUMBER, data, at, 4000) == size
        assert block_size(env, NUMBER, data, at, size - 1) == 0, "it is longer than what is looked for"
        assert block_content(env, NUMBER, PATH, data, at, size) == data[at : at + size]
        assert block_size(env, NUMBER + 1, data, at, 4000) == 0
        for other in (at, at + 1):
            with pytest.raises(lsm.CorruptionError, match="block checksum"):
                block_content(env, NUMBER, PATH, data, other, size - 1)
    assert next_block(env, NUMBER, data, 1, len(data), 4000) == places[1]
    assert next_block(env, NUMBER, data, 1, 5, 4000) == (5, 0)
    for at in (len(data), len(data) + 5, len(data) - TRAILER, len(data) - 1):
        assert block_size(env, NUMBER, data, at, 4000) == 0
    for at, size in ((len(data) + 1, 1), (0, len(data)), (len(data) - 3, 1)):
        with pytest.raises(lsm.CorruptionError, match="the file ends early"):
            block_content(env, NUMBER, PATH, data, at, size)


def test_a_codec_that_is_not_there_is_no_sign_of_a_block() -> None:
    file = File(DATABASE, NUMBER, recovery.crc32c)
    packed = good(b"a") + bytes([200])
    data = packed + struct.pack("<I", file.sum(0, packed)) + bytes(40)
    lab = Lab()
    assert block_size(lab.env, NUMBER, data, 0, 100) == 0
    with pytest.raises(lsm.InvalidOptions, match="codec 200"):
        block_content(lab.env, NUMBER, PATH, data, 0, len(packed) - 1)


def test_a_hash_index_that_has_too_many_restarts_is_left_out() -> None:
    s = Settings(block_size=1 << 16, restart_interval=1, hash_index=True)
    entries = [Entry(b"%04d" % i, 1, PUT, b"") for i in range(400)]
    lab = Lab()
    lab.build(lab.settings(s), entries)
    twin = Block(s)
    for e in entries:
        twin.add(e)
    assert lab.fs.read_all(PATH).startswith(twin.finish())
    table = lab.open(lab.settings(s))
    assert [get(table, e.key) for e in entries] == entries and block_hash(b"x") != block_hash(b"y")


FOOTERS: dict[str, tuple[dict[int, int], str]] = {
    "a later version": ({1: 2}, "table format 2"),
    "a kind of index that there is not": ({2: 2}, "unknown index kind 2"),
    "no properties": ({5: 0, 6: 0}, "outside of the file"),
    "no index": ({7: 0, 8: 0}, "outside of the file"),
    "a filter of nothing somewhere": ({9: 5, 10: 0}, "outside of the file"),
    "tombstones of nothing somewhere": ({11: 5, 12: 0}, "outside of the file"),
    "another chain": ({13: 5}, "the chain over all blocks"),
}


@pytest.mark.parametrize("name", FOOTERS)
def test_footers_that_cannot_be(name: str) -> None:
    changes, told = FOOTERS[name]
    made = numbered(Handmade([(b"b", good(b"b"))]), **TOTALS)
    made.footer = changes
    with pytest.raises(lsm.Error, match=told):
        made.open().verify()


ROW = varint(1) + b"b"
INDEXES: dict[str, bytes] = {
    "too short": b"\1\0",
    "more rows than bytes": struct.pack("<I", 100) + bytes(20),
    "a length that does not end": struct.pack("<I", 1) + b"\xff" * 20,
    "too long a key": struct.pack("<I", 1) + varint(MOST + 1) + bytes(MOST + 9),
    "a key behind the end": struct.pack("<I", 1) + varint(9) + b"bbbb",
    "an offset that does not end": struct.pack("<I", 1) + ROW + b"\xff" * 20,
    "no size": struct.pack("<I", 1) + ROW + b"\0",
    "too large a size": struct.pack("<I", 1) + ROW + b"\0" + varint((1 << 31) + 1),
    "a block behind the end": index_block([(b"b", (1 << 40, 5))]),
    "a block over the end": index_block([(b"b", (0, 1 << 30))]),
    "keys out of order": index_block([(b"c", (0, 1)), (b"b", (20, 1))]),
    "blocks out of order": index_block([(b"b", (20, 1)), (b"c", (0, 1))]),
    "bytes behind the last": index_block([(b"b", (0, 12))]) + b"x",
}


@pytest.mark.parametrize("name", INDEXES)
def test_indexes_that_make_no_sense(name: str) -> None:
    made = Handmade([(b"b", good(b"b"))])
    made.index = INDEXES[name]
    with pytest.raises(lsm.CorruptionError, match="the index does not parse"):
        made.open()


def test_an_index_of_another_number_of_blocks_than_the_properties_say() -> None:
    with pytest.raises(lsm.CorruptionError, match="the index names 1 blocks, the properties say 5"):
        numbered(Handmade([(b"b", good(b"b"))]), data_blocks=5).open()
    made = numbered(Handmade([(b"b", good(b"b"))]), **TOTALS, data_blocks=5)
    made.two_level([(b"b", made.rows)])
    with pytest.raises(lsm.CorruptionError, match="the properties do not agree with the entries"):
        made.open().verify()


@pytest.mark.parametrize("refs", [b"", REF, REF + struct.pack("<QQQ", 6, 1, 30)], ids=["none", "another", "more"])
def test_verify_finds_value_files_that_are_not_those_of_the_entries(refs: bytes) -> None:
    pointer = struct.pack("<QQII", 5, 0, 30, 7)  # 51 bytes of a record
    made = numbered(Handmade([(b"b", block(entry(b"b", kind=VALUE_POINTER, value=pointer)))]), **TOTALS, raw_value_bytes=24)
    if refs:
        made.properties["value_files"] = refs
    with pytest.raises(lsm.CorruptionError, match="do not agree with the entries on value files"):
        made.open().verify()


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("stored", [b"", b"\1\0\0", struct.pack("<I", 50) + b"not lz4"], ids=["nothing", "short", "damaged"])
def test_packed_blocks_that_cannot_be_unpacked(stored: bytes, mapped: bool) -> None:
    made = Handmade([])
    packed = stored + b"\1"
    made.file.data += packed + struct.pack("<I", made.file.sum(0, packed))
    made.index = index_block([(b"c", (0, len(stored)))])
    table = numbered(made, data_blocks=1).open(mapped=mapped)
    for way in ("get", "scan", "back"):
        with pytest.raises(lsm.CorruptionError):
            ways(b"c")[way](table)


def test_keys_behind_all_that_the_index_names() -> None:
    """The properties say that the table goes on: single look-ups and those in a batch find nothing there."""
    made = Handmade([(b"b", good(b"b"))], Lab(cache=Cache(1 << 16, 1, 400, eviction.ops_address("lru"), "", 0)))
    table = made.open()
    db = CoreDB(made.lab.env, "/d", recovery.wal_ops_address(), {}, 1, 10, True)
    space = CoreKeyspace(db, 1, builtin_memtable("skiplist").address, (1 << 20, 0), 0, False)
    space.publish([(1, [table])], 0)
    for _ in range(2):
        assert space.get_many(3, b"bxy", struct.pack("<3I", 1, 1, 1), 2**64 - 1) == [(b"", [0, -100, -100])]
        assert get(table, b"x") is None
    space.drop()
    db.close()


def test_a_pointer_of_a_wrong_length_is_not_moved() -> None:
    made = numbered(Handmade([(b"b", block(entry(b"b", kind=VALUE_POINTER, value=b"short")))]), entries=1)
    made.properties["value_files"] = REF
    made.lab.fs.mkdir("/v")
    writer = ValueWriter(made.lab.env, "/v", first_number=5, max_files=1, min_bytes=1, file_bytes=1 << 20, keyspace_id=1, cause="flush")
    writer.add(b"k", 1, b"v")
    (info,) = writer.finish()
    writer.close()
    file = ValueFile(made.lab.env, f"/v/{info.number:06}.vlog", info.number)
    table = made.open()
    options = made.lab.settings(Settings())
    for moved, told in (([file], "a value pointer of 5 bytes"), ([], "a value pointer is 24 bytes")):
        values = ValueWriter(made.lab.env, "/v", first_number=9, max_files=1, min_bytes=1, file_bytes=1, keyspace_id=1, cause="collection")
        job = Job(
            made.lab.env, options, [JobInput((table,), 1)], directory="/v", first_number=20, max_outputs=1, output_bytes=0, cuts=[],
            snapshots=[], bottom=True, level=1, cause="collection", values=values, moved=moved,
        )  # fmt: skip
        with pytest.raises(lsm.Error, match=told):
            job.run()
        values.close()
    assert made.lab.fs.listdir("/v") == ["000005.vlog"]
    db = CoreDB(made.lab.env, "/d", recovery.wal_ops_address(), {}, 1, 10, True)
    space = CoreKeyspace(db, 1, builtin_memtable("skiplist").address, (1 << 20, 0), 0, False)
    space.publish([(1, [table])], 0, [file])
    with pytest.raises(lsm.CorruptionError, match="a value pointer of 5 bytes"):
        space.get_many(1, b"b", struct.pack("<I", 1), 2**64 - 1)
    space.drop()
    db.close()
