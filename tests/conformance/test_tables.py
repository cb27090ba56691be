"""Every kind of table holds its entries: walked, searched and looked up, it answers like the sorted list."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest

from lsm.memtable_twin import MAX_SEQ, Entry, MemtableTwin, order
from lsm.native_tables import TableCursor, get, scan
from lsm.table_twin import Settings
from tests.harness.tables import SHAPES, Lab, sample

ENTRIES = sample(300)
MODES = {"buffered": {}, "mapped": {"mapped": True}}


def model_of(entries: list[Entry]) -> MemtableTwin:
    model = MemtableTwin()
    for e in entries:
        model.add(e)
    return model


MODEL = model_of(ENTRIES)
KEYS = sorted({e.key for e in ENTRIES} | {e.key + b"\0" for e in ENTRIES} | {e.key[:-1] for e in ENTRIES} | {b"\xff" * 9})


@pytest.fixture(params=[(shape, mode) for shape in SHAPES for mode in MODES], ids=" ".join)
def table(request: pytest.FixtureRequest):
    shape, mode = request.param
    twin, more = SHAPES[shape]
    lab = Lab()
    settings = lab.settings(twin, **more, **MODES[mode])
    props = lab.build(settings, ENTRIES)
    opened = lab.open(settings, size=props.file_size, crc=props.footer_crc)
    assert opened.props == props
    yield opened
    opened.close()


@pytest.mark.parametrize("readahead", [0, 1, 1000])
def test_forward_and_reverse(table, readahead: int) -> None:
    assert list(scan(table, readahead=readahead)) == ENTRIES
    assert list(scan(table, reverse=True, readahead=readahead)) == ENTRIES[::-1]


def test_verify(table) -> None:
    table.verify()
    assert (table.props.smallest, table.props.largest, table.props.largest_exclusive) == (ENTRIES[0].key, ENTRIES[-1].key, False)
    assert (table.props.min_seq, table.props.max_seq) == (min(e.seq for e in ENTRIES), max(e.seq for e in ENTRIES))
    assert table.props.deletions == sum(e.kind == 0 for e in ENTRIES)


def test_seeks(table) -> None:
    with TableCursor(table) as cursor:
        for key in KEYS:
            for seq in (0, 1, 50, 150, 299, MAX_SEQ):
                assert cursor.seek(key, seq) == MODEL.seek(key, seq), (key, seq)
            assert cursor.seek_before(key) == MODEL.seek_before(key), key


def test_every_version_is_found(table) -> None:
    with TableCursor(table) as cursor:
        for e in ENTRIES:
            assert cursor.seek(e.key, e.seq) == e
            assert get(table, e.key, e.seq) == e
    for key in KEYS:
        for snapshot in (0, 10, 100, 200, MAX_SEQ):
            assert get(table, key, snapshot) == MODEL.get(key, snapshot), (key, snapshot)


@pytest.mark.parametrize("seed", range(3))
def test_direction_changes(table, seed: int) -> None:
    rng = random.Random(seed)
    with TableCursor(table) as cursor:
        at = 0
        cursor.first()
        for step in range(1500):
            if not 0 <= at < len(ENTRIES) or rng.random() < 0.02:
                key, seq = rng.choice(KEYS), rng.choice([MAX_SEQ, rng.randrange(300)])
                at = bisect_left(ENTRIES, (key, -seq, -255), key=order)
                got = cursor.seek(key, seq)
            elif rng.random() < 0.5:
                at, got = at + 1, cursor.next()
            else:
                at, got = at - 1, cursor.prev()
            assert got == (ENTRIES[at] if 0 <= at < len(ENTRIES) else None), f"seed {seed}, step {step}"


def test_versions_behind_the_border_of_a_block() -> None:
    lab = Lab()
    entries = [Entry(b"k", seq, 1, b"v" * 50) for seq in range(20, 0, -1)]
    settings = lab.settings(SHAPES["tiny blocks"][0])
    lab.build(settings, entries)
    table = lab.open(settings)
    with TableCursor(table) as cursor:
        assert [cursor.seek(b"k", e.seq) for e in entries] == entries
        assert cursor.seek(b"k", 0) is None


def test_a_cursor_must_stand_on_an_entry_to_move() -> None:
    lab = Lab()
    lab.build(lab.settings(), ENTRIES)
    with TableCursor(lab.open(lab.settings())) as cursor:
        with pytest.raises(IndexError):
            cursor.next()
        assert cursor.seek(b"\xff" * 9) is None
        with pytest.raises(IndexError):
            cursor.prev()


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_blocks_that_do_not_shrink_stand_beside_those_that_do(codec: str) -> None:
    rng = random.Random(1)
    entries = [Entry(b"%03d" % i, i + 1, 1, rng.randbytes(300) if i % 3 else b"z" * 300) for i in range(60)]
    lab = Lab()
    settings = lab.settings(Settings(block_size=250), codec=codec)
    props = lab.build(settings, entries)
    assert 40 * 300 < props.file_size < 55 * 300
    table = lab.open(settings)
    table.verify()
    assert list(scan(table)) == entries
    assert [get(table, e.key) for e in entries] == entries
