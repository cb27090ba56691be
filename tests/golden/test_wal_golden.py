"""A segment written by version 1 of the log format stays readable, and writers still make exactly it."""

from __future__ import annotations

from pathlib import Path

import pytest

import recovery
from recovery import wal_twin as twin

GOLDEN = Path(__file__).with_name("wal_v1.segment")
ITEMS = [(1, b"first"), (2, b""), (2**56 - 1, bytes(range(256))), (2**64 - 1, b"\0" * 600)]
NUMBER, SALT = 2**33 + 3, 0x0123456789ABCDEF


def test_the_native_reader_takes_it() -> None:
    fs = recovery.memory()
    path = f"/{recovery.segment_name(NUMBER)}"
    fs.write_all(path, GOLDEN.read_bytes())
    records, report = recovery.read_wal(fs, path, "absolute", salt=SALT)
    assert [(r.seq, r.payload) for r in records] == ITEMS
    assert (report.ended, report.next, report.end_offset) == (True, NUMBER + 1, GOLDEN.stat().st_size)


def test_the_twin_takes_it() -> None:
    verdict = twin.Reader(GOLDEN.read_bytes(), NUMBER, SALT, "absolute", is_last=False).read()
    assert (verdict.records, verdict.corrupt) == (ITEMS, False)


def test_the_twin_still_writes_it() -> None:
    segment = twin.Segment(NUMBER, SALT, recovery.SYNC_MODES["os"], twin.capacity_of(4096))
    for seq, payload in ITEMS:
        assert segment.append(seq, payload)
    segment.end(NUMBER + 1)
    assert bytes(segment.data) == GOLDEN.read_bytes()


def test_the_native_writer_still_writes_it() -> None:
    fs = recovery.memory()
    with recovery.WalWriter(fs, "/", NUMBER, sync="os", segment_bytes=4096, salt=SALT) as log:
        for seq, payload in ITEMS:
            log.append(seq, payload)
        log.rotate(NUMBER + 1)
    assert fs.read_all(f"/{recovery.segment_name(NUMBER)}") == GOLDEN.read_bytes()


@pytest.mark.parametrize(("at", "name"), [(4, "bad header"), (8, "bad header"), (16, "bad header")])
def test_a_changed_header_is_told(at: int, name: str) -> None:
    fs = recovery.memory()
    data = bytearray(GOLDEN.read_bytes())
    data[at] ^= 2
    path = f"/{recovery.segment_name(NUMBER)}"
    fs.write_all(path, bytes(data))
    with pytest.raises(recovery.WalCorruption, match=name):
        recovery.read_wal(fs, path, salt=SALT)
