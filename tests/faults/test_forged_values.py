"""Value files and pointers made to deceive: every checksum is right, and what stands under it is not; and writers whose calls fail."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from typing import Any

import pytest
from lsm._native import ffi, lib

import eviction
import lsm
import recovery
from lsm.memtable_twin import PUT, VALUE_POINTER, Entry
from lsm.native import Cache, Flag, new_error
from lsm.native_db import CoreCursor, CoreDB, CoreKeyspace
from lsm.native_memtables import builtin_memtable
from lsm.native_values import Heat, ValueFile, ValueWriter, check_pointers
from lsm.table_twin import POINTER, mask
from lsm.value_twin import Record, write_values
from tests.harness.tables import DATABASE, Lab

NUMBER, PATH = 30, "/v/000030.vlog"
FOOTER = struct.Struct("<8sIIQQQQQII")  # magic, version, keyspace, database, number, records, least, largest, heat, chain; then its crc
VERSION, BASE, FILE, RECORDS, LEAST, MOST, HEAT, CHAIN = 1, 3, 4, 5, 6, 7, 8, 9
ROWS = [Record(b"k%02d" % i, i + 1, b"value %d " % i * 5) for i in range(20)]
crc = recovery.crc32c


class Forgery:
    """A value file in the making."""

    def __init__(self, rows: list[Record] = ROWS, cache: Cache | None = None) -> None:
        self.lab = Lab(cache=cache)
        self.lab.fs.mkdir("/v")
        data, self.pointers = write_values(DATABASE, NUMBER, 3, rows, crc)
        self.records, self.fields = bytearray(data[: -FOOTER.size - 4]), list(FOOTER.unpack(data[-FOOTER.size - 4 : -4]))

    def record(self, i: int, at: int, value: int) -> None:
        """Change a number in the head of a record (4: length of the key, 8: of the value, 12: sequence) and make its checksum right."""
        _, offset, _, _ = POINTER.unpack(self.pointers[i])
        kn, vn = struct.unpack_from("<II", self.records, offset + 4)
        struct.pack_into("<I" if at < 12 else "<Q", self.records, offset + at, value)
        seed = struct.pack("<QQQ", DATABASE, NUMBER, offset)
        struct.pack_into("<I", self.records, offset, mask(crc(bytes(self.records[offset + 4 : offset + 20 + kn + vn]), crc(seed))))

    def write(self) -> None:
        footer = FOOTER.pack(*self.fields)
        self.lab.fs.write_all(PATH, bytes(self.records) + footer + struct.pack("<I", mask(crc(footer))))

    def open(self, size: int = 0, footer_crc: int = 0) -> ValueFile:
        self.write()
        return ValueFile(self.lab.env, PATH, NUMBER, size, footer_crc)


def test_an_honest_forgery_passes() -> None:
    made = Forgery()
    file = made.open()
    file.verify()
    assert [file.read(r.key, r.seq, p) for r, p in zip(ROWS, made.pointers, strict=True)] == [r.value for r in ROWS]


FOOTERS: dict[str, tuple[int, Any, str]] = {
    "magic": (0, b"LSMVALUF", "not a value file"),
    "version": (VERSION, 2, "format 2"),
    "database": (BASE, 5, "another database"),
    "number": (FILE, 31, "this is value file 31 under the name of 30"),
    "heat": (HEAT, 3, "the footer makes no sense"),
    "least behind the largest": (LEAST, 21, "the footer makes no sense"),
    "too large a number": (MOST, 1 << 56, "the footer makes no sense"),
    "more records than there is room for": (RECORDS, 1 << 40, "the footer makes no sense"),
}


@pytest.mark.parametrize("name", FOOTERS)
def test_a_footer_that_cannot_be(name: str) -> None:
    field, value, told = FOOTERS[name]
    made = Forgery()
    made.fields[field] = value
    with pytest.raises(lsm.Error, match=told) as e:
        made.open()
    assert isinstance(e.value, lsm.InvalidOptions if name == "version" else lsm.CorruptionError)


@pytest.mark.parametrize(("field", "value"), [(RECORDS, 19), (RECORDS, 21), (LEAST, 0), (MOST, 21), (CHAIN, 5)])
def test_verify_finds_a_footer_that_does_not_agree(field: int, value: int) -> None:
    made = Forgery()
    made.fields[field] = value
    with pytest.raises(lsm.CorruptionError, match="does not agree with the records"):
        made.open().verify()


def test_files_that_are_not_the_ones_meant() -> None:
    made = Forgery()
    file = made.open()
    size, stored = file.info.size, file.info.footer_crc
    made.open(size, stored).verify()
    with pytest.raises(lsm.CorruptionError, match="the manifest says"):
        made.open(size + 1)
    with pytest.raises(lsm.CorruptionError, match="not the value file that the manifest names"):
        made.open(size, stored ^ 1)
    with pytest.raises(lsm.CorruptionError, match="the value file is missing"):
        ValueFile(made.lab.env, "/v/nothing", 1)
    made.lab.fs.write_all("/v/short", bytes(67))
    with pytest.raises(lsm.CorruptionError, match="too short"):
        ValueFile(made.lab.env, "/v/short", 1)


def test_a_file_without_records() -> None:
    made = Forgery([ROWS[0]])
    made.records.clear()
    made.fields[RECORDS], made.fields[LEAST], made.fields[MOST], made.fields[CHAIN] = 0, 0, 0, 0
    made.open().verify()


@pytest.mark.parametrize(
    ("at", "value"), [(4, lib.LSM_MAX_KEY + 1), (8, lib.LSM_MAX_VALUE + 1), (8, 1 << 29)], ids=["key", "value", "longer than the file"]
)
def test_verify_finds_lengths_that_cannot_be(at: int, value: int) -> None:
    made = Forgery()
    made.record(7, at, value)
    with pytest.raises(lsm.CorruptionError, match="a record is longer than the file"):
        made.open().verify()


def test_verify_finds_bytes_behind_the_last_record() -> None:
    made = Forgery()
    made.records += b"something"
    with pytest.raises(lsm.CorruptionError, match="bytes that belong to no record"):
        made.open().verify()


def test_verify_goes_from_window_to_window() -> None:
    """Records longer than what it reads at once, and some that go over its border."""
    rows = [Record(b"%d" % i, i, bytes([i]) * n) for i, n in enumerate((10, 200_000, 100_000, 700_000, 5, 250_000, 262_000, 300), 1)]
    made = Forgery(rows)
    file = made.open()
    file.verify()
    stop = Flag()
    stop.raise_()
    with pytest.raises(lsm.errors.Cancelled):
        file.verify(stop=stop)
    file.verify(stop=Flag())
    made.records[-5] ^= 1
    with pytest.raises(lsm.CorruptionError, match="record checksum"):
        made.open().verify()


@pytest.mark.parametrize("how", ["another", "damaged"])
def test_verify_finds_a_footer_that_has_changed_since(how: str) -> None:
    made = Forgery()
    file = made.open()
    if how == "another":
        made.fields[2] += 1
        made.write()
    else:
        data = bytearray(made.lab.fs.read_all(PATH))
        data[-60] ^= 1
        made.lab.fs.write_all(PATH, bytes(data))
    with pytest.raises(lsm.CorruptionError, match="not the one that was read when the file was opened"):
        file.verify()


def pointer(i: int, made: Forgery, **changes: int) -> bytes:
    fields = dict(zip(("file", "offset", "length", "crc"), POINTER.unpack(made.pointers[i]), strict=True)) | changes
    return POINTER.pack(*fields.values())


def shifted(made: Forgery) -> bytes:
    """The record says that a byte of its value is one of its key."""
    _, offset, length, _ = POINTER.unpack(made.pointers[2])
    made.record(2, 4, 4)
    made.record(2, 8, length - 1)
    seed = struct.pack("<QQQ", DATABASE, NUMBER, offset)
    struct.pack_into("<I", made.records, offset, mask(crc(bytes(made.records[offset + 4 : offset + 23 + length]), crc(seed))))
    return pointer(2, made, crc=struct.unpack_from("<I", made.records, offset)[0])


def other_seq(made: Forgery) -> bytes:
    made.record(2, 12, 77)
    return pointer(2, made, crc=struct.unpack_from("<I", made.records, POINTER.unpack(made.pointers[2])[1])[0])


def other_length(made: Forgery) -> bytes:
    made.record(2, 8, 5)
    return pointer(2, made, crc=struct.unpack_from("<I", made.records, POINTER.unpack(made.pointers[2])[1])[0])


POINTERS: dict[str, tuple[Callable[[Forgery], bytes], bytes, int, str]] = {  # of k02
    "another file": (lambda m: pointer(2, m, file=31), b"k02", 3, "another value file"),
    "behind the end": (lambda m: pointer(2, m, offset=1 << 40), b"k02", 3, "leads outside of the value file"),
    "over the end": (lambda m: pointer(19, m, length=500), b"k02", 3, "leads outside of the value file"),
    "longer than the file": (lambda m: pointer(2, m, length=1 << 20), b"k02", 3, "leads outside of the value file"),
    "longer than a value": (lambda m: pointer(2, m, length=lib.LSM_MAX_VALUE + 1), b"k02", 3, "leads outside of the value file"),
    "between two records": (lambda m: pointer(2, m, offset=POINTER.unpack(m.pointers[2])[1] + 1), b"k02", 3, "record checksum"),
    "another checksum": (lambda m: pointer(2, m, crc=5), b"k02", 3, "not the one that the pointer was made of"),
    "another key": (lambda m: pointer(2, m), b"k03", 3, "not the one that the pointer was made of"),
    "another sequence number": (lambda m: pointer(2, m), b"k02", 4, "not the one that the pointer was made of"),
    "a record of another key length": (shifted, b"k02", 3, "not the one that the pointer was made of"),
    "a record of another value length": (other_length, b"k02", 3, "not the one that the pointer was made of"),
    "a record of another sequence number": (other_seq, b"k02", 3, "not the one that the pointer was made of"),
}


@pytest.mark.parametrize("name", POINTERS)
def test_a_pointer_that_leads_elsewhere(name: str) -> None:
    make, key, seq, told = POINTERS[name]
    made = Forgery()
    at = make(made)
    file = made.open()
    with pytest.raises(lsm.CorruptionError, match=told):
        file.read(key, seq, at)


class Tree:
    """A keyspace with one table of these entries and the value file of a forgery."""

    def __init__(self, made: Forgery, entries: list[Entry]) -> None:
        self.lab, self.file = made.lab, made.open()
        options = self.lab.settings()
        options.handle.block_size = 400
        self.lab.build(options, entries, number=7, path="/t.sst")
        self.table = self.lab.open(options, number=7, path="/t.sst")
        self.db = CoreDB(self.lab.env, "/d", recovery.wal_ops_address(), {}, 1, 100, True)
        self.space = CoreKeyspace(self.db, 1, builtin_memtable("skiplist").address, (1 << 20, 0), 0, False)
        self.space.publish([(1, [self.table])], 0, [self.file])

    def get(self, key: bytes) -> bytes:
        out, needed = ffi.new("uint8_t[]", 1000), ffi.new("size_t *")
        got = lib.lsm_get(self.space.handle, key, len(key), 2**64 - 1, out, 1000, needed)
        if got < 0:
            self.db.raise_last(got)
        return bytes(ffi.buffer(out, got))

    def get_many(self, *keys: bytes) -> bytes:
        (found,) = self.space.get_many(len(keys), b"".join(keys), struct.pack(f"<{len(keys)}I", *map(len, keys)), 2**64 - 1)
        return found[0]

    def scan(self, *, reverse: bool = False) -> bytes:
        cursor = CoreCursor(self.space, 2**64 - 1, None, None, reverse)
        found = b""
        try:
            while (part := cursor.packed(100))[0]:
                found += part[1]
            return found
        finally:
            cursor.close()

    def close(self) -> None:
        self.space.drop()
        self.db.close()


@pytest.mark.parametrize("cached", [False, True], ids=["no cache", "cache"])
@pytest.mark.parametrize("name", POINTERS)
def test_a_table_that_points_elsewhere(name: str, cached: bool) -> None:
    """Read after the record that is really there, which is in the cache then."""
    make, _, _, told = POINTERS[name]
    made = Forgery(cache=Cache(1 << 16, 1, 400, eviction.ops_address("lru"), "", 0) if cached else None)
    bad = make(made)
    key, seq = POINTERS[name][1:3]
    good = [] if name.startswith("a record") else [Entry(b"k02", 3, VALUE_POINTER, made.pointers[2])]
    entries = [Entry(b"k00", 1, VALUE_POINTER, made.pointers[0])]
    entries += good if key != b"k02" or seq != 3 else []
    entries += [Entry(key, seq, VALUE_POINTER, bad), Entry(b"plain", 50, PUT, b"here")]
    tree = Tree(made, sorted(entries, key=lambda e: (e.key, -e.seq)))
    told = told.replace("another value file", "which is not there")
    for _ in range(2):
        assert tree.get(b"k00") == ROWS[0].value and tree.get(b"plain") == b"here"
        if good and key == b"k03":
            assert tree.get(b"k02") == ROWS[2].value
        for read in (lambda: tree.get(key), lambda: tree.get_many(b"k00", key), tree.scan, lambda: tree.scan(reverse=True)):
            with pytest.raises(lsm.CorruptionError, match=told):
                read()
        with pytest.raises(lsm.CorruptionError, match=told):
            check_pointers(tree.table, [tree.file])
    tree.close()


def test_two_entries_that_point_to_one_record() -> None:
    """The first one is right, and brings it into the cache: the others are of another size, checksum, sequence number, key."""
    made = Forgery(cache=Cache(1 << 16, 1, 400, eviction.ops_address("lru"), "", 0))
    right = made.pointers[2]
    wrong = {
        b"k0": (3, right),
        b"k03": (3, right),
        b"k04": (3, pointer(2, made, crc=5)),
        b"k05": (4, right),
        b"k06": (3, pointer(2, made, length=9)),
    }
    rows = [Entry(b"k02", 3, VALUE_POINTER, right), *(Entry(k, s, VALUE_POINTER, p) for k, (s, p) in wrong.items())]
    tree = Tree(made, sorted(rows, key=lambda e: e.key))
    for _ in range(2):
        assert tree.get(b"k02") == ROWS[2].value
        for key in wrong:
            with pytest.raises(lsm.CorruptionError, match="not the one that the pointer was made of"):
                tree.get(key)
    tree.close()


def test_a_table_that_is_damaged_between_its_pointers() -> None:
    made = Forgery()
    tree = Tree(made, [Entry(r.key, r.seq, VALUE_POINTER, p) for r, p in zip(ROWS, made.pointers, strict=True)])
    check_pointers(tree.table, [tree.file])
    data = bytearray(tree.lab.fs.read_all("/t.sst"))
    data[500] ^= 1
    tree.lab.fs.write_all("/t.sst", bytes(data))
    with pytest.raises(lsm.CorruptionError, match=r"/t\.sst"):
        check_pointers(tree.table, [tree.file])
    tree.close()


def writer(lab: Lab, **more: Any) -> ValueWriter:
    settings = {"first_number": 5, "max_files": 4, "min_bytes": 1, "file_bytes": 400_000, "keyspace_id": 1, "cause": "flush", **more}
    return ValueWriter(lab.env, "/v", **settings)


def story(lab: Lab, **more: Any) -> int:
    """Values that fill the buffer, one that is longer than it, several files. How many files there are."""
    made = writer(lab, **more)
    try:
        for i in range(40):
            made.add(b"%03d" % i, i + 1, bytes(20_000 + i))
        made.add(b"big", 90, bytes(300_000))
        made.add(b"small", 91, b"")
        return len(made.finish())
    finally:
        made.close()


@pytest.mark.parametrize("op", ["open", "append", "sync", "close"])
def test_each_call_on_the_files_of_a_writer_fails(op: str) -> None:
    base = recovery.memory()
    base.mkdir("/v")
    fs = recovery.fault(base)
    lab = Lab(fs=fs)
    for heat in (None, Heat(10)):
        base_calls = fs.calls(op, "*.vlog")
        files = story(lab, heat=heat, hot=1)
        calls = fs.calls(op, "*.vlog") - base_calls
        assert files == len(base.listdir("/v")) >= 2 and calls >= files
        for name in base.listdir("/v"):
            base.unlink(f"/v/{name}")
        for nth in range(1, calls + 1):
            fs.arm(op, "*.vlog", nth, errno.EIO)
            with pytest.raises(lsm.IOFailure):
                story(lab, heat=heat, hot=1)
            fs.disarm()
            assert base.listdir("/v") == [], (op, nth)


def test_a_writer_that_failed_stays_so() -> None:
    base = recovery.memory()
    base.mkdir("/v")
    fs = recovery.fault(base)
    made = writer(Lab(fs=fs))
    made.add(b"a", 1, b"1")
    fs.arm("append", "*.vlog", error=errno.ENOSPC)
    with pytest.raises(lsm.IOFailure):
        made.add(b"b", 2, bytes(300_000))
    for again in (lambda: made.add(b"c", 3, b"3"), made.finish):
        with pytest.raises(lsm.Error, match="the value file has failed before"):
            again()
    made.close()
    assert base.listdir("/v") == []


def test_what_a_writer_does_not_take() -> None:
    lab, e, entry = Lab(), new_error(), ffi.new("lsm_entry *")
    lab.fs.mkdir("/v")
    made, out = writer(lab), ffi.new("uint8_t[24]")
    for key_len, value_len in ((lib.LSM_MAX_KEY + 1, 1), (1, lib.LSM_MAX_VALUE + 1)):
        entry.key_len, entry.value_len, entry.kind = key_len, value_len, lib.LSM_PUT
        assert lib.lsm_value_writer_add(made.handle, entry, out, e) == lib.LSM_TOO_BIG
    made.add(b"a", 1, b"1")
    assert len(made.finish()) == 1
    right = {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_value_options"), "dir": ffi.new("char[]", b"/v"), "max_files": 1}
    for wrong in ({"abi": 0}, {"size": 8}, {"max_files": 0}):
        options = ffi.new("lsm_value_options *", {**right, **wrong})
        assert lib.lsm_value_writer_new(lab.env.handle, options, ffi.new("lsm_value_writer **"), e) == lib.LSM_INVALID
    lib.lsm_value_writer_free(ffi.NULL)


def test_hot_and_cold_with_one_number() -> None:
    lab, heat = Lab(), Heat(100)
    lab.fs.mkdir("/v")
    heat.touch(b"000")
    assert story(lab, heat=heat, hot=1, max_files=1) == 1


def test_counts_of_heat_end_at_255_and_sketches_at_their_largest() -> None:
    heat = Heat(1 << 30)
    for _ in range(600):
        heat.touch(b"a")
    assert (heat.of(b"a"), heat.of(b"b")) == (255, 0)
    busy = Heat(10)
    for i in range(1023):
        busy.touch(b"%d" % (i % 7))
    assert all(busy.of(b"%d" % i) >= 146 for i in range(7))
    busy.touch(b"0")  # the end of a window
    assert all(73 <= busy.of(b"%d" % i) <= 74 for i in range(7))


def test_whichever_part_of_a_record_finds_no_room_a_failed_write_is_told() -> None:
    """The first value leaves a few bytes less each time, so that the buffer is written in front of head, key, value and footer once."""
    base = recovery.memory()
    base.mkdir("/v")
    fs = recovery.fault(base)
    lab = Lab(fs=fs)
    for left in range(0, 160, 4):
        made = writer(lab, max_files=1)
        fs.arm("append", "*.vlog", 1, errno.EIO)
        with pytest.raises(lsm.IOFailure):
            made.add(b"a", 1, bytes((256 << 10) - 21 - left))
            made.add(b"k" * 30, 2, b"v" * 30)
            made.finish()
        fs.disarm()
        made.close()
        assert base.listdir("/v") == []
    whole = writer(lab, max_files=1)
    whole.add(b"", 1, bytes((256 << 10) - 20 - 68))  # to the last byte
    assert whole.finish()[0].size == 256 << 10


def test_a_value_that_is_shown_by_its_key_first() -> None:
    """A cursor that had no room for a key: whether its value is asked for is up to the next call."""
    made = Forgery()
    bad = pointer(3, made, crc=5)
    tree = Tree(made, [Entry(b"k02", 3, VALUE_POINTER, made.pointers[2]), Entry(b"k03", 4, VALUE_POINTER, bad)])
    out, lens, used, needed = ffi.new("uint8_t[1000]"), ffi.new("uint32_t[20]"), ffi.new("size_t *"), ffi.new("size_t *")
    cursor, e = CoreCursor(tree.space, 2**64 - 1, None, None, False), new_error()

    def fill(room: int, keys_only: int) -> tuple[int, bytes]:
        n = lib.lsm_cursor_fill(cursor.handle, 1, out, room, lens, ffi.NULL, 0, keys_only, used, needed, e)
        return int(n), bytes(ffi.buffer(out, used[0]))

    assert fill(0, 1) == fill(1, 1) == (lib.LSM_SHORT, b"")
    assert fill(3, 0) == (lib.LSM_SHORT, b"") and needed[0] == 3 + len(ROWS[2].value)
    assert fill(1000, 0) == (1, b"k02" + ROWS[2].value)
    assert fill(0, 1) == (lib.LSM_SHORT, b"")
    assert fill(1000, 0)[0] == lib.LSM_CORRUPT
    cursor.close()
    tree.close()


def test_keys_that_no_record_has() -> None:
    made = Forgery()
    file = made.open()
    with pytest.raises(lsm.CorruptionError, match="leads outside of the value file"):
        file.read(bytes(lib.LSM_MAX_KEY + 1), 3, made.pointers[2])


def test_reads_of_value_files_that_fail_or_end_early() -> None:
    base = recovery.memory()
    fs = recovery.fault(base)
    made = Forgery([Record(b"%d" % i, i, bytes([i]) * 150_000) for i in range(1, 6)])
    made.write()
    base.mkdir("/v")
    base.write_all(PATH, made.lab.fs.read_all(PATH))
    lab = Lab(fs=fs)
    fs.arm("pread", "*", error=errno.EIO)
    with pytest.raises(lsm.IOFailure):
        ValueFile(lab.env, PATH, NUMBER)
    file = ValueFile(lab.env, PATH, NUMBER)
    before = fs.calls("pread", "*")
    file.verify()
    for nth in range(1, fs.calls("pread", "*") - before + 1):
        for error, told in ((errno.EIO, lsm.IOFailure), ("short_read", lsm.CorruptionError)):
            fs.arm("pread", "*", nth, error)
            with pytest.raises(told):
                file.verify()
            fs.disarm()
    file.verify()
