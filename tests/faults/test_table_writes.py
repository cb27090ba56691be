"""A table is written through a buffer: whichever block fills it, a write that fails then fails the flush, and nothing is lost."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import lsm
import recovery
from lsm.memtable_twin import PUT, Entry
from lsm.merge_twin import Range
from lsm.native_tables import scan
from lsm.table_twin import FULL, TWO_LEVEL, Settings
from tests.harness.tables import PATH, Lab

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"filter": "bloom", "bits_per_key": 20.0},
    "parts": {"index": "two_level", "filter": "ribbon", "range_filter": "prefix_bloom", "range_params": "lengths=1,3 bits=8000"},
    "ranges": {"filter": "none", "range_filter": "surf"},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_each_write_of_a_table_fails(kind: str) -> None:
    options = {"threads": 0, "write_buffer": 1 << 24, "wal": {"segment_bytes": 1 << 20}, "table": {"block_size": 256, **OPTIONS[kind]}}
    seen = set()
    for n in range(2300, 3300, 100):  # the buffer is full in another block each time
        base = recovery.memory()
        fs = recovery.fault(base)
        expected = {b"%07d" % (i * 31): b"v" * 64 for i in range(n)}
        with lsm.open("/d", options, fs=fs) as db:
            for key, value in expected.items():
                db.put(key, value)
            for i in range(0, n, 7):
                db.delete_range(b"a%07d" % i, b"a%07d" % (i + 3))
            scene = base.crash_clone("process")
        probe = recovery.fault(scene.crash_clone("process"))
        with lsm.open("/d", options, fs=probe) as db:
            db.flush()
        calls = probe.calls("append", "*.sst")
        seen.add(calls)
        for nth in range(1, calls + 1):
            fs = recovery.fault(scene.crash_clone("process"))
            fs.arm("append", "*.sst", nth=nth, error=errno.EIO)
            with pytest.raises(lsm.Error), lsm.open("/d", options, fs=fs) as db:
                db.flush()
            fs.disarm()
            with lsm.open("/d", options, fs=fs) as db:
                assert dict(db.scan()) == expected
                assert db.verify() == []
    assert seen == {1, 2}


BUFFER = 256 << 10  # of a builder


@pytest.mark.parametrize("kind", [FULL, TWO_LEVEL], ids=["whole index", "two levels"])
def test_whichever_block_finds_no_room_a_failed_write_is_told(kind: int) -> None:
    """A value leaves a few bytes less each time, so that the buffer is written in front of each block and each trailer once."""
    base = recovery.memory()
    fs = recovery.fault(base)
    lab = Lab(fs=fs)
    settings = lab.settings(Settings(block_size=100, index_kind=kind, filter="bloom", range_filter="surf"))
    rows = [Entry(b"%03d" % i, i + 1, PUT, b"v" * 40) for i in range(9)]
    spans = [Range(b"000", b"001", 20)]
    for left in range(-9, 2400, 3):
        entries = [*rows, Entry(b"big", 30, PUT, bytes(BUFFER - left))]
        for nth in (1, 2):
            fs.arm("append", "*", nth)
            try:
                lab.build(settings, entries, spans)
            except lsm.IOFailure as e:
                assert (e.errno, base.exists(PATH)) == (errno.EIO, False)
            else:
                assert nth == 2 and base.exists(PATH), "each table has one write at least"
            fs.disarm()
    lab.build(settings, entries, spans)
    assert list(scan(lab.open(settings))) == entries
    fs.arm("append", "*", 1)
    with pytest.raises(lsm.IOFailure):  # the first block goes past the buffer
        lab.build(settings, [Entry(b"a", 1, PUT, bytes(2 * BUFFER))])
    assert not base.exists(PATH)
