"""Segments with false fields under right checksums: the native reader and its twin agree in every mode; and the edges of the writer."""

from __future__ import annotations

import errno
import itertools
import struct
from collections.abc import Callable

import pytest
from recovery._native import ffi, lib

import recovery
from recovery import wal_twin as twin

SALT, NUMBER, MODES = 7, 3, list(recovery.RECOVERY_MODES)


def forged(at: int, payload: bytes = b"payload", **false: int) -> bytes:
    """A record for an offset with some fields set, its check right, and its crc unless `crc` says otherwise."""
    length, kind = false.get("length", len(payload)), false.get("kind", twin.DATA)
    fields = (false.get("log", NUMBER), false.get("seq", 5), false.get("durable", 0))
    hsum = twin.crc32c(struct.pack("<QQQ", false.get("salt", SALT), NUMBER, at) + twin.RECORD.pack(0, length, kind, *fields)[4:])
    crc = false.get("crc", twin.mask(twin.crc32c(payload, hsum)))
    return twin.RECORD.pack(crc, length, kind | (hsum >> 8) << 8, *fields) + payload


def segment(*parts: Callable[[int], bytes] | bytes, version: int = 1, sync: int = 1, pages: int = 0) -> bytes:
    """A segment of records, each made for its place."""
    data = twin.header(NUMBER, SALT, sync, pages, version)
    for part in parts:
        data += part if isinstance(part, bytes) else part(len(data))
    return data


def head(at: int, value: int, *, magic: bytes = b"LWAL") -> bytes:
    """A header with one byte changed, under a right crc."""
    raw = bytearray(twin.header(NUMBER, SALT, 1, 0))
    raw[:4] = magic
    raw[at] = value
    return bytes(raw[:28]) + struct.pack("<I", twin.mask(twin.crc32c(bytes(raw[:28]))))


def false(**fields: int) -> Callable[[int], bytes]:
    return lambda at: forged(at, **fields)


def ended(payload: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda at: forged(at, payload(at), kind=twin.ENDED)


GOOD, RIGHT_END = false(seq=9), ended(lambda at: twin.END.pack(4, at + 48))
FORGED: dict[str, bytes] = {
    **{f"header byte {at} is {v}": head(at, v) + forged(32) for at, v in ((4, 0), (4, 9), (5, 1), (6, 5), (6, 255), (7, 1))},
    "magic": head(4, 1, magic=b"LWAX") + forged(32),
    "magic and nothing else": head(4, 1, magic=b"LWAX"),
    "another log": segment(GOOD, false(log=4), GOOD),
    "another log without a right check": segment(GOOD, lambda at: forged(at + 1, log=4), GOOD),
    "a type that there is not": segment(GOOD, false(kind=9), GOOD),
    "a mark in a log without marks": segment(GOOD, false(kind=twin.MARK), GOOD),
    "a promise of what is behind": segment(GOOD, false(durable=10**6), GOOD),
    "a promise of damage": segment(GOOD, false(crc=0), lambda at: forged(at, durable=at)),
    "longer than the file": segment(GOOD, false(length=10**6)),
    "longer than the file, and one behind": segment(GOOD, false(length=10**6), GOOD),
    "longer than the file, without a crc, and one behind": segment(GOOD, false(length=10**6, crc=0), GOOD),
    "over the next": segment(GOOD, false(length=30, crc=1), GOOD, GOOD),
    "over the next, without a crc": segment(GOOD, false(length=30, crc=0), GOOD, GOOD),
    "a wrong crc": segment(GOOD, false(crc=1), GOOD),
    "a wrong crc at the end": segment(GOOD, false(crc=1)),
    "no crc at the end": segment(GOOD, false(crc=0)),
    "a short end record": segment(GOOD, ended(lambda at: b"12345678")),
    "an end record of another place": segment(GOOD, ended(lambda at: twin.END.pack(4, at))),
    "an end": segment(GOOD, RIGHT_END),
    "an end and zeros": segment(GOOD, RIGHT_END, bytes(5000)),
    "an end and dirt": segment(GOOD, RIGHT_END, bytes(100) + b"dirt"),
    "a short mark": segment(GOOD, false(kind=twin.MARK), GOOD, version=2),
    "a mark": segment(lambda at: forged(at, twin.TIME.pack(5), kind=twin.MARK), GOOD, version=2),
    "a note": segment(GOOD, false(kind=twin.NOTE), version=2),
    "no end in a synced log of its size": segment(GOOD, bytes(4096), sync=2, pages=1)[:4096],
    "a synced log that is cut": segment(GOOD, sync=2, pages=1),
    "a synced log without records that is cut": segment(sync=2, pages=1),
    "a record that is cut, in a synced log": segment(GOOD, false(length=100), sync=2),
    **{f"{n} bytes at the end": segment(GOOD, b"\xff" * n) for n in (1, 3, 4, 5, 31, 32)},
    **{f"{n} bytes at the end, zeros first": segment(GOOD, bytes(3) + b"\xff" * n) for n in (1, 2, 40)},
    **{f"a header of {n} bytes": twin.header(NUMBER, SALT, 1, 0)[:n] for n in (0, 1, 31)},
    "zeros": bytes(5000),
    "a torn header": bytes(28) + b"\xff" * 4,
}


@pytest.mark.parametrize("name", FORGED)
def test_both_readers_agree(name: str) -> None:
    for mode, is_last in itertools.product(MODES, (False, True)):
        fs = recovery.memory()
        fs.write_all("/000003.log", FORGED[name])
        try:
            records, report = recovery.read_wal(fs, "/000003.log", mode, salt=SALT, is_last=is_last, notes=True)
        except recovery.WalCorruption:
            found = None
        else:
            data = [(r.seq, r.payload) for r in records if r.kind == recovery.DATA]
            found = (data, [(r.kind, r.seq, r.payload) for r in records if r.kind != recovery.DATA], report.torn_tail)
        wanted = twin.Reader(FORGED[name], NUMBER, SALT, mode, is_last).read()
        assert found == (None if wanted.corrupt else (wanted.records, wanted.noted, wanted.torn)), f"{mode}, is_last {is_last}"


@pytest.mark.parametrize("salt", [SALT, SALT + 1])
@pytest.mark.parametrize("mode", MODES)
def test_a_value_that_holds_a_record_is_no_record(mode: str, salt: int) -> None:
    """Behind a damaged record a reader looks for the next one, in what users wrote too: what they cannot know is the salt of the log."""

    def value(at: int) -> bytes:
        return forged(at, b"before" + b"".join(forged(at + 32 + 6 + 39 * i, b"evil it", seq=77, salt=salt) for i in range(3)), crc=1)

    fs = recovery.memory()
    fs.write_all("/000003.log", segment(GOOD, value, false(seq=9)))
    try:
        records, _ = recovery.read_wal(fs, "/000003.log", mode, salt=SALT)
    except recovery.WalCorruption:
        records = []
    evil = [r for r in records if r.payload == b"evil it"]
    assert bool(evil) == (mode == "skip" and salt == SALT), "with the salt known it can be done: the test sees it"


def guesses() -> bytes:
    """A file in which every other place looks like a record of half the file: reading them all would take for ever."""
    data = segment(GOOD, GOOD)
    data += b"\xff" * 32
    while len(data) < 1 << 16:
        data += forged(len(data), b"\xff" * 8, length=1 << 15)
    return data + forged(len(data), seq=77)


def test_a_file_made_to_cost_time_is_corruption() -> None:
    fs = recovery.memory()
    fs.write_all("/000003.log", guesses())
    for mode in MODES[:3]:
        with pytest.raises(recovery.WalCorruption):
            recovery.read_wal(fs, "/000003.log", mode, salt=SALT)
    records, report = recovery.read_wal(fs, "/000003.log", "skip", salt=SALT)
    assert [r.seq for r in records] == [9, 9]
    assert report.dropped_bytes == len(guesses()) - report.end_offset


def test_a_failed_read_is_told_wherever_it_comes() -> None:
    whole = recovery.memory()
    whole.mkdir("/d")
    with recovery.WalWriter(whole, "/d", NUMBER, sync="os", segment_bytes=8 << 20, salt=SALT) as log:
        for seq in range(1, 13):
            log.append(seq, bytes([seq]) * (700_000 if seq % 3 else 10))
    raw = whole.read_all("/d/000003.log")
    base = recovery.memory()
    fs = recovery.fault(base)

    def read(mode: str) -> object:
        try:
            return recovery.read_wal(fs, "/000003.log", mode, salt=SALT)
        except OSError as e:
            return e.errno

    for at, what in ((1_000_000, b"\xff"), (1_000_000, bytes(2000)), (1_400_100, b"\xff" * 40), (3_000_000, bytes(9000)), (0, b"XX")):
        base.write_all("/000003.log", raw[:at] + what + raw[at + len(what) :])
        for mode in MODES:
            fs.disarm()
            before = fs.calls("pread")
            want = read(mode)
            for nth, kind in itertools.product(range(1, fs.calls("pread") - before + 1), (errno.EIO, "short_read")):
                fs.arm("pread", nth=nth, error=kind)
                assert read(mode) in (want, errno.EIO), f"{what[:4]!r} at {at}, mode {mode}, read {nth}: {kind}"
                fs.disarm()


@pytest.mark.parametrize("name", ["x.log", ".log", "3.txt", "3.log.tmp", "12345678901234567890.log", "/d/log"])
def test_a_name_that_is_no_segments(name: str) -> None:
    with pytest.raises(OSError) as caught:
        recovery.read_wal(recovery.memory(), name)
    assert caught.value.errno == errno.EINVAL


def test_a_reader_that_wants_only_the_report() -> None:
    fs = recovery.memory()
    fs.write_all("3.log", segment(GOOD, GOOD))
    config, report = ffi.new("rec_wal_config *", {"salt": SALT}), ffi.new("rec_replay_report *")
    assert lib.rec_wal_read(fs.pointer, b"3.log", config, lib.REC_RECOVER_ABSOLUTE, 1, ffi.NULL, ffi.NULL, report) == 0
    assert report.records == 2
    for mode in (-1, 4):
        assert lib.rec_wal_read(fs.pointer, b"3.log", config, mode, 1, ffi.NULL, ffi.NULL, report) == -errno.EINVAL


def refused(code: int, call: Callable[[], object]) -> None:
    with pytest.raises(OSError) as caught:
        call()
    assert caught.value.errno == code


def test_logs_that_cannot_be() -> None:
    fs, out = recovery.memory(), ffi.new("rec_wal **")
    refused(errno.EINVAL, lambda: recovery.WalWriter(fs, "/", segment_bytes=2**41))
    refused(errno.ENAMETOOLONG, lambda: recovery.WalWriter(fs, "/" + "d" * 5000))
    for sync in (-1, 5):
        config = ffi.new("rec_wal_config *", {"sync_mode": sync, "segment_bytes": 4096})
        assert lib.rec_wal_default().create(fs.pointer, b"/", 1, config, out) == -errno.EINVAL
    assert fs.listdir("/") == []


def test_records_that_no_log_takes() -> None:
    fs = recovery.memory()
    ops = lib.rec_wal_default()
    log = recovery.WalWriter(fs, "/", 1, clock=recovery.Clock(10**18))
    byte = ffi.new("char *")
    huge = ffi.new("rec_slice[]", [(byte, 2**31), (byte, 2**31)])
    assert ops.append(log._open, 1, huge, 2, ffi.NULL) == -errno.EFBIG
    assert ops.note(log._open, byte, 2**32) == -errno.EFBIG
    assert ops.append(log._open, 1, ffi.new("rec_slice[]", [(byte, 1)]), 1, ffi.NULL) == 0, "who does not want the lsn passes NULL"
    refused(errno.EINVAL, lambda: log.rotate(1))
    refused(errno.EFBIG, lambda: log.rotate(2, 2**33))
    for call in (lambda: log.append(2, b"x"), lambda: log.note(b"x"), lambda: log.rotate(2), log.close):
        refused(errno.EFBIG, call)  # after a failure it is dead


def test_a_record_that_is_larger_than_the_buffer() -> None:
    fs = recovery.memory()
    with recovery.WalWriter(fs, "/", 1, sync="none", segment_bytes=1 << 23) as log:
        for seq, n in enumerate((10, 2_000_000, 10, 3_000_000, 60_000, 60_000), 1):
            log.append(seq, bytes([seq]) * n)
        refused(errno.EINVAL, lambda: log.note(b"a log without a clock takes none"))
    records, _ = recovery.read_wal(fs, "/000001.log", "absolute")
    assert [(r.seq, len(r.payload)) for r in records] == [(1, 10), (2, 2_000_000), (3, 10), (4, 3_000_000), (5, 60_000), (6, 60_000)]


def test_a_buffer_that_cannot_be_written_ends_the_log() -> None:
    fs = recovery.fault(recovery.memory())
    log = recovery.WalWriter(fs, "/", 1, sync="none", segment_bytes=1 << 23)
    fs.arm("pwrite", error=errno.ENOSPC)
    refused(errno.ENOSPC, lambda: [log.append(seq, bytes(1000)) for seq in range(100)])
    refused(errno.ENOSPC, lambda: log.append(100, b"x"))
    refused(errno.ENOSPC, log.close)
