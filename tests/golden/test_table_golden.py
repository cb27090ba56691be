"""Tables written by version 1 of the format stay readable, and both writers still make exactly them."""

from __future__ import annotations

from pathlib import Path

import pytest

import recovery
from lsm.memtable_twin import DELETE, PUT, Entry, order
from lsm.merge_twin import Range
from lsm.native_tables import get, ranges, scan
from lsm.table_twin import TWO_LEVEL, Settings, write_table
from lsm.table_twin_read import Reader
from tests.harness.tables import DATABASE, PATH, Lab

NUMBER = 2**33 + 5
ENTRIES = sorted(
    [
        Entry(b"key%04d" % (i * 37 % 150), i + 1, DELETE if i % 7 == 0 else PUT, b"" if i % 7 == 0 else b"v%d" % i * (i % 9))
        for i in range(300)
    ]
    + [Entry(b"", 400, PUT, b"empty key"), Entry(b"\xff" * 70, 401, PUT, bytes(range(256))), Entry(b"a\0b", 2**56 - 1, PUT, b"\0")],
    key=order,
)
RANGES = [Range(b"", b"a", 350), Range(b"key0010", b"key0020", 351)]
SHAPES = {
    "table_v1_full.sst": Settings(block_size=600, restart_interval=4, hash_index=True, filter="blocked_bloom", bits_per_key=10.0),
    "table_v1_two_level.sst": Settings(block_size=300, restart_interval=16, index_kind=TWO_LEVEL, filter="bloom", bits_per_key=8.0),
    "table_v1_range_filter.sst": Settings(block_size=600, restart_interval=4, filter="bloom", range_filter="surf"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_both_writers_still_make_it(name: str, request: pytest.FixtureRequest) -> None:
    path = Path(__file__).with_name(name)
    made = write_table(DATABASE, NUMBER, ENTRIES, RANGES, SHAPES[name], recovery.crc32c)
    if request.config.getoption("--rewrite"):
        path.write_bytes(made)
    golden = path.read_bytes()
    assert made == golden
    lab = Lab()
    lab.build(lab.settings(SHAPES[name]), ENTRIES, RANGES, number=NUMBER)
    assert lab.fs.read_all(PATH) == golden


@pytest.mark.parametrize("name", SHAPES)
def test_both_readers_take_it(name: str) -> None:
    golden = Path(__file__).with_name(name).read_bytes()
    reader = Reader(golden, DATABASE, NUMBER, recovery.crc32c)
    assert (list(reader.entries()), list(reader.ranges())) == (ENTRIES, RANGES)
    lab = Lab()
    lab.fs.write_all(PATH, golden)
    table = lab.open(lab.settings(), number=NUMBER, size=len(golden))
    table.verify()
    assert (list(scan(table)), ranges(table)) == (ENTRIES, RANGES)
    for key in {e.key for e in ENTRIES}:
        assert get(table, key) == next(e for e in ENTRIES if e.key == key)
