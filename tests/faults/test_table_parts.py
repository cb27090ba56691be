"""The parts that a table is built of may refuse or break their word: the builder leaves them out, or fails, says so, and leaves no file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lsm._native import ffi, lib

import indexes
import lsm
import recovery
from lsm.memtable_twin import MERGE, PUT, Entry
from lsm.native import TableSettings, new_error
from lsm.native_tables import get, scan
from lsm.table_twin import FOOTER, FOOTER_SIZE, Settings
from tests.harness.tables import PATH, Lab

ENTRIES = [Entry(b"key%03d" % i, i + 1, PUT, b"v" * 90) for i in range(40)]
KINDS = {"codec": "lsm_codec", "filter": "idx_filter_ops", "range_filter": "idx_range_ops", "search": "idx_search_ops"}


class Broken:
    """A part with some of its functions replaced by these, which live as long as it does."""

    def __init__(self, part: str, address: int, **functions: Callable[..., Any]) -> None:
        kind = KINDS[part]
        self.table = ffi.new(f"{kind} *", ffi.cast(f"const {kind} *", address)[0])
        types = dict(ffi.typeof(kind).fields)
        self.callbacks = {name: ffi.callback(types[name].type, function) for name, function in functions.items()}
        for name, callback in self.callbacks.items():
            setattr(self.table, name, callback)
        self.settings = {part: int(ffi.cast("uintptr_t", self.table))}


def settings(broken: Broken | None = None, **more: Any) -> TableSettings:
    fields = {"block_size": 600, "restart_interval": 4, "bits_per_key": 10.0, **more, **(broken.settings if broken else {})}
    return TableSettings(**fields)


def handles(lab: Lab) -> list[int]:
    """Sizes of the blocks that the footer names: properties, index, filter, tombstones."""
    fields = FOOTER.unpack(lab.fs.read_all(PATH)[-FOOTER_SIZE:-4])
    return list(fields[6:14:2])


def test_a_codec_that_cannot_leaves_blocks_as_they_are() -> None:
    for got in (-1, 0):
        lab = Lab()
        broken = Broken("codec", lab.codecs["lz4"].address, compress=lambda *args, got=got: got)
        lab.build(settings(broken), ENTRIES)
        assert b"v" * 90 in lab.fs.read_all(PATH)
        assert list(scan(lab.open(settings(broken)))) == ENTRIES
    lab = Lab()
    lab.build(settings(codec=lab.codecs["none"].address), ENTRIES)
    assert list(scan(lab.open(settings()))) == ENTRIES


def set_size(size: int) -> Callable[..., int]:
    def finish(builder: Any, length: Any) -> int:
        length[0] = size
        return 0

    return finish


@pytest.mark.parametrize("functions", [{"bound": lambda n, bits: 1 << 40}, {"bound": lambda n, bits: 0}], ids=["too large", "nothing"])
def test_a_filter_of_no_good_size_is_left_out(functions: dict[str, Any]) -> None:
    lab = Lab()
    broken = Broken("filter", indexes.filter_ops_address("bloom"), **functions)
    lab.build(settings(broken), ENTRIES)
    assert handles(lab)[2] == 0
    table = lab.open(settings())
    assert [get(table, e.key) for e in ENTRIES] == ENTRIES


@pytest.mark.parametrize("size", [0, 1 << 40], ids=["nothing", "too large"])
def test_a_range_filter_of_no_good_size_is_left_out(size: int) -> None:
    lab = Lab()
    broken = Broken("range_filter", indexes.range_ops_address("surf"), finish=set_size(size))
    lab.build(settings(broken), ENTRIES)
    table = lab.open(settings())
    assert list(scan(table)) == ENTRIES and b"range_filter" not in lab.fs.read_all(PATH)


@pytest.mark.parametrize(
    ("part", "function"),
    [("filter", "build"), ("range_filter", "begin"), ("range_filter", "add"), ("range_filter", "finish"), ("range_filter", "write")],
)
def test_a_part_that_fails_fails_the_table(part: str, function: str) -> None:
    lab = Lab()
    address = indexes.filter_ops_address("bloom") if part == "filter" else indexes.range_ops_address("surf")
    broken = Broken(part, address, **{function: lambda *args: -1})
    with pytest.raises(lsm.Error, match="filter could not"):
        lab.build(settings(broken), ENTRIES)
    assert not lab.fs.exists(PATH)


def raw(entry: Entry) -> Any:
    out = ffi.new("lsm_entry *")
    kept = ffi.new("uint8_t[]", entry.key or 1), ffi.new("uint8_t[]", entry.value or 1)
    (out.key, out.value), out.key_len, out.value_len = kept, len(entry.key), len(entry.value)
    out.seq, out.kind = entry.seq, entry.kind
    raws.append((out, kept))
    return out


raws: list[Any] = []
FIRST = Entry(b"m", 5, PUT, b"v")


def changed(**fields: int) -> Any:
    entry = raw(Entry(b"z", 4, PUT, b"v"))
    for name, value in fields.items():
        setattr(entry, name, value)
    return entry


def span(start_len: int, end_len: int) -> Any:
    key = ffi.new("uint8_t[]", lib.LSM_MAX_KEY + 2)
    out = ffi.new("lsm_range *", {"start": key, "end": key, "start_len": start_len, "end_len": end_len, "seq": 1})
    raws.append((out, key))
    return out


WRONG: dict[str, tuple[Callable[[], Any], int]] = {
    "a smaller key": (lambda: raw(Entry(b"l", 4, PUT, b"")), lib.LSM_INVALID),
    "a newer version behind": (lambda: raw(Entry(b"m", 6, PUT, b"")), lib.LSM_INVALID),
    "the same version again": (lambda: raw(FIRST), lib.LSM_INVALID),
    "too long a key": (lambda: changed(key_len=lib.LSM_MAX_KEY + 1), lib.LSM_TOO_BIG),
    "too long a value": (lambda: changed(value_len=lib.LSM_MAX_VALUE + 1), lib.LSM_TOO_BIG),
    "a pointer of a wrong length": (lambda: changed(kind=lib.LSM_VALUE_POINTER), lib.LSM_INVALID),
    "too long a start": (lambda: span(lib.LSM_MAX_KEY + 1, lib.LSM_MAX_KEY + 2), lib.LSM_INVALID),
    "too long an end": (lambda: span(0, lib.LSM_MAX_KEY + 1), lib.LSM_INVALID),
    "a range of nothing": (lambda: span(2, 2), lib.LSM_INVALID),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_builder_that_was_given_wrong_entries_stays_failed(name: str) -> None:
    lab, e, out = Lab(), new_error(), ffi.new("lsm_builder **")
    made, status = WRONG[name]
    assert lib.lsm_builder_new(lab.env.handle, settings().handle, PATH.encode(), 7, 0, lib.LSM_BY_FLUSH, out, e) == 0
    assert lib.lsm_builder_add(out[0], raw(FIRST), e) == 0
    wrong = made()
    add = lib.lsm_builder_add_range if ffi.typeof(wrong) is ffi.typeof("lsm_range *") else lib.lsm_builder_add
    assert add(out[0], wrong, e) == status
    for again in (
        lambda: lib.lsm_builder_add(out[0], raw(Entry(b"zz", 1, PUT, b"")), e),
        lambda: lib.lsm_builder_add_range(out[0], span(1, 2), e),
    ):
        assert again() == status and ffi.string(e.what) == b"the table has failed before"
    assert lib.lsm_builder_finish(out[0], ffi.new("lsm_table_props *"), e) == status
    assert not lab.fs.exists(PATH)


def test_a_table_of_nothing() -> None:
    lab = Lab()
    with pytest.raises(lsm.InvalidOptions, match="a table needs an entry or a range tombstone"):
        lab.build(settings(), [])
    assert not lab.fs.exists(PATH)


def test_an_environment_without_a_ledger_counts_nothing() -> None:
    lab = Lab()
    lab.env.handle.ledger = ffi.NULL
    twin = Settings(block_size=300, filter="bloom", range_filter="surf")
    lab.build(lab.settings(twin), ENTRIES)
    table = lab.open(lab.settings(twin))
    assert list(scan(table)) == ENTRIES and get(table, b"key007") == ENTRIES[7] and get(table, b"none") is None
    table.verify()
    assert lab.ledger.sum() == (({}, dict.fromkeys(lab.ledger.sum()[1], 0)))


@pytest.mark.parametrize("level", [-7, lib.LSM_LEDGER_LEVELS, 1 << 20])
def test_levels_that_no_tree_has_are_counted_as_none(level: int) -> None:
    lab = Lab()
    lab.build(settings(), ENTRIES)
    table = lab.open(settings())
    before = lab.ledger.sum()[0].get(("read", -1, "data", "scan"), (0, 0))[0]
    assert list(scan(table, level=level)) == ENTRIES
    assert lab.ledger.sum()[0]["read", -1, "data", "scan"][0] > before


def test_blocks_of_every_size_have_room_for_what_is_added() -> None:
    """The last value is a byte longer each time: restarts end where the room does, once."""
    lab = Lab()
    for more in range(480, 510):
        entries = [Entry(b"%02d" % i, 1, PUT, b"v" * 120) for i in range(56)] + [Entry(b"z", 1, PUT, b"x" * more)]
        lab.build(settings(restart_interval=1, block_size=1 << 20), entries)
        table = lab.open(settings())
        table.verify()
        assert list(scan(table)) == entries


@pytest.mark.parametrize("fields", [{"restart_interval": 0}, {"hash_index": 1, "hash_util": 0.01}, {"hash_index": 1, "hash_util": 50.0}])
def test_settings_out_of_range_mean_the_usual_ones(fields: dict[str, Any]) -> None:
    usual = {"restart_interval": 1} if "restart_interval" in fields else {**fields, "hash_util": 0.75}
    lab = Lab()
    files = []
    for some in (fields, usual):
        lab.build(settings(**some), ENTRIES)
        files.append(lab.fs.read_all(PATH))
    assert files[0] == files[1]


def test_long_keys_that_begin_alike() -> None:
    """An iterator makes room for a longer key again and again, forwards and backwards."""
    entries = [Entry(b"k" * (200 + 60 * i), 1, PUT, b"%d" % i) for i in range(40)]
    lab = Lab()
    lab.build(settings(restart_interval=100, block_size=1 << 22), entries)
    table = lab.open(settings())
    assert list(scan(table)) == entries
    assert list(scan(table, reverse=True)) == entries[::-1]
    assert [get(table, e.key) for e in entries] == entries


def test_merge_operands_shadow_nothing() -> None:
    lab = Lab()
    entries = [Entry(b"a", 9, MERGE, b"3"), Entry(b"a", 8, MERGE, b"2"), Entry(b"a", 7, PUT, b"1"), Entry(b"a", 6, PUT, b"0")]
    lab.build(settings(), entries)
    job = lsm.native.Job(
        lab.env, settings(), [lsm.native.JobInput((lab.open(settings()),), 1)], directory="/", first_number=20, max_outputs=1,
        output_bytes=0, cuts=[], snapshots=[], bottom=True, level=2, cause="compaction",
    )  # fmt: skip
    result = job.run()
    assert (result.entries_out, result.shadowed) == (3, 1)
    assert list(scan(lab.open(settings(), number=20, path="/000020.sst"))) == entries[:3]


def test_a_map_that_is_not_to_be_had_is_done_without() -> None:
    base = recovery.memory()
    fs = recovery.fault(base)
    lab = Lab(fs=fs)
    lab.build(settings(), ENTRIES)
    fs.arm("map", "*", error=95, sticky=True)
    table = lab.open(settings(read_mode=lib.LSM_READ_MAPPED))
    assert list(scan(table)) == ENTRIES
    fs.disarm()
    fs.arm("map", "*", error=5)
    with pytest.raises(lsm.IOFailure):
        lab.open(settings(read_mode=lib.LSM_READ_MAPPED))


def test_what_an_open_table_needs() -> None:
    lab = Lab()
    lab.build(settings(filter=indexes.filter_ops_address("bloom")), ENTRIES)
    broken = Broken("search", indexes.search_ops_address("learned"), open=lambda *args: ffi.NULL)
    with pytest.raises(MemoryError):
        lab.open(settings(broken))
    out, e = ffi.new("lsm_table **"), new_error()
    assert lib.lsm_table_open(lab.env.handle, ffi.NULL, PATH.encode(), 7, 0, 0, out, e) == 0, "without settings, the usual ones"
    lib.lsm_table_unref(out[0])
    lab.env.handle.n_filters = 0
    with pytest.raises(lsm.InvalidOptions, match="filter 'bloom' of the table is not registered"):
        lab.open(settings())
    lab.fs.unlink(PATH)
    lab.fs.write_all(PATH, b"x" * 10)
    with pytest.raises(lsm.CorruptionError, match="too short for a table"):
        lab.open(settings())


@pytest.mark.parametrize("two_level", [False, True])
def test_reads_that_end_early(two_level: bool) -> None:
    """The n-th read of a file gives half of what it should, for each n: told as damage, by every way of reading."""
    base = recovery.memory()
    fs = recovery.fault(base)
    lab = Lab(fs=fs)
    options = settings(index_kind=int(two_level))
    lab.build(options, ENTRIES)
    ways: list[Callable[[], Any]] = [
        lambda: get(lab.open(options), b"key020"),
        lambda: list(scan(lab.open(options))),
        lambda: list(scan(lab.open(options), readahead=1500)),
        lambda: lab.open(options).verify(),
    ]
    for way in ways:
        before = fs.calls("pread", "*")
        way()
        calls = fs.calls("pread", "*") - before
        for nth in range(1, calls + 1):
            fs.arm("pread", "*", nth, "short_read")
            with pytest.raises(lsm.CorruptionError, match="the file ends early"):
                way()
            fs.disarm()
        assert calls > 3
