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


NOTED = Path(__file__).with_name("wal_v2.segment")
STEPS = [(1_000_000, b"a"), (1_400_000, b"b"), (9_000_000, b"c"), (2_000_000, b"d")]


def noted_native() -> bytes:
    fs, clock = recovery.memory(), recovery.Clock()
    with recovery.WalWriter(fs, "/", 5, sync="os", segment_bytes=4096, salt=SALT, clock=clock, last_time=500) as log:
        log.note(b"a note")
        for seq, (now, payload) in enumerate(STEPS, 1):
            clock.now_ns = now
            log.append(seq, payload)
        log.rotate(6)
    return fs.read_all("/000005.log")


def noted_twin() -> bytes:
    segment = twin.Segment(5, SALT, recovery.SYNC_MODES["os"], twin.capacity_of(4096), time=500)
    assert segment.append(0, b"a note", kind=twin.NOTE)
    for seq, (now, payload) in enumerate(STEPS, 1):
        assert segment.append(seq, payload, now=now)
    segment.end(6)
    return bytes(segment.data)


def test_a_segment_of_version_2_is_written_and_read_as_ever() -> None:
    assert noted_native() == noted_twin() == NOTED.read_bytes()
    fs = recovery.memory()
    fs.write_all("/000005.log", NOTED.read_bytes())
    records, report = recovery.read_wal(fs, "/000005.log", "absolute", salt=SALT, notes=True)
    assert [r.time for r in records if r.kind == recovery.MARK] == [500, 1_000_000, 9_000_000]
    assert [r.payload for r in records if r.kind != recovery.MARK] == [b"a note", b"a", b"b", b"c", b"d"]
    assert (report.records, report.first_time, report.last_time, report.next) == (4, 500, 9_000_000, 6)


def test_marks_and_notes_are_refused_in_a_segment_of_version_1() -> None:
    segment = twin.Segment(5, SALT, 1, twin.capacity_of(4096))
    assert segment.append(1, b"a note", kind=twin.NOTE)
    fs = recovery.memory()
    fs.write_all("/000005.log", bytes(segment.data) + bytes(4096))
    with pytest.raises(recovery.WalCorruption, match="bad type"):
        recovery.read_wal(fs, "/000005.log", salt=SALT)
    assert twin.Reader(bytes(segment.data) + bytes(4096), 5, SALT).read().corrupt
