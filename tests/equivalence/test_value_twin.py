"""Value files by the native writer and by the twin are the same bytes, and each reads what the other wrote."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsm
import recovery
from lsm.memtable_twin import MAX_SEQ
from lsm.native_values import Heat, ValueFile, ValueWriter
from lsm.value_twin import Damaged, Record, follow, read_footer, read_values, write_values
from tests.harness.tables import DATABASE, Lab

SEQS = st.one_of(st.integers(0, 30), st.integers(0, MAX_SEQ))
VALUES = st.one_of(st.binary(max_size=30), st.builds(bytes, st.integers(0, 3000)))
RECORDS = st.lists(st.builds(Record, st.binary(max_size=9), SEQS, VALUES), min_size=1, max_size=20)
crc = recovery.crc32c


def written(lab: Lab, number: int, records: list[Record], **more: object) -> tuple[list[bytes], list[lsm.ValueInfo]]:
    """Write records natively; return their pointers and the files."""
    lab.fs.makedirs("/v")
    settings = {"max_files": 1, "min_bytes": 1, "file_bytes": 1 << 30, "keyspace_id": 3, "cause": "flush", **more}
    writer = ValueWriter(lab.env, "/v", first_number=number, **settings)  # type: ignore[arg-type]
    try:
        pointers = [writer.add(*r) for r in records]
        return pointers, list(writer.finish())
    finally:
        writer.close()


@given(RECORDS, st.integers(1, 10**15))
def test_same_bytes_and_each_reads_the_other(records: list[Record], number: int) -> None:
    lab = Lab()
    pointers, (info,) = written(lab, number, records)
    path = f"/v/{number:06d}.vlog"
    data = lab.fs.read_all(path)
    assert (data, pointers) == write_values(DATABASE, number, 3, records, crc)
    assert list(read_values(data, DATABASE, number, crc)) == records
    seqs = [r.seq for r in records]
    assert (info.size, info.records, info.bytes, info.min_seq, info.max_seq) == (
        len(data),
        len(records),
        len(data) - 68,
        min(seqs),
        max(seqs),
    )
    file = ValueFile(lab.env, path, number, info.size, info.footer_crc)
    file.verify()
    assert file.info == info
    for record, pointer in zip(records, pointers, strict=True):
        assert file.read(record.key, record.seq, pointer) == record.value == follow(data, DATABASE, record.key, record.seq, pointer, crc)
        for key, seq in ((record.key + b"x", record.seq), (record.key, record.seq ^ 1)):
            with pytest.raises(lsm.CorruptionError):
                file.read(key, seq, pointer)
            with pytest.raises(Damaged):
                follow(data, DATABASE, key, seq, pointer, crc)
    file.close()


def test_files_are_cut_and_all_of_them_are_read() -> None:
    lab, records = Lab(), [Record(b"%03d" % i, i + 1, b"v" * i) for i in range(200)]
    pointers, files = written(lab, 10, records, file_bytes=1000, max_files=8)
    assert [f.number for f in files] == list(range(10, 18))
    assert all(1000 <= f.bytes < 1300 for f in files[:-1]) and files[-1].bytes > 10_000  # numbers ran out: the last one grows
    found = [r for f in files for r in read_values(lab.fs.read_all(f"/v/{f.number:06d}.vlog"), DATABASE, f.number, crc)]
    assert found == records
    assert Counter(int.from_bytes(p[:8], "little") for p in pointers) == {f.number: f.records for f in files}


def test_a_writer_that_is_not_finished_leaves_nothing() -> None:
    lab = Lab()
    lab.fs.makedirs("/v")
    writer = ValueWriter(lab.env, "/v", first_number=5, max_files=9, min_bytes=1, file_bytes=100, keyspace_id=0, cause="flush")
    for i in range(50):
        writer.add(b"k%d" % i, i, bytes(40))
    assert len(lab.fs.listdir("/v")) > 5
    writer.close()
    assert lab.fs.listdir("/v") == []


def test_hot_and_cold_go_to_different_files() -> None:
    lab, heat = Lab(), Heat(1024)
    for i in range(100):
        for _ in range(5 if i % 4 == 0 else 1):
            heat.touch(b"%d" % i)
    records = [Record(b"%d" % i, i, b"v") for i in range(100)]
    _, files = written(lab, 1, records, max_files=2, heat=heat, hot=3)
    keys = {f.heat: [r.key for r in read_values(lab.fs.read_all(f"/v/{f.number:06d}.vlog"), DATABASE, f.number, crc)] for f in files}
    assert keys == {1: [b"%d" % i for i in range(0, 100, 4)], 2: [b"%d" % i for i in range(100) if i % 4]}


def test_heat_is_never_too_low_and_cools_down() -> None:
    heat = Heat(2000)
    for i in range(1500):
        heat.touch(b"%d" % (i % 300))
    assert all(heat.of(b"%d" % i) >= 5 for i in range(300))
    assert sum(heat.of(b"%d" % i) for i in range(300)) <= 300 * 6
    for i in range(500):
        heat.touch(b"other %d" % i)  # the window ends: all counts are halved
    assert all(2 <= heat.of(b"%d" % i) <= 3 for i in range(300))


@pytest.mark.parametrize("end", [b"", b"LSMVALUE" + bytes(60), bytes(67), bytes(68)])
def test_what_is_no_value_file_is_refused(end: bytes) -> None:
    lab = Lab()
    lab.fs.write_all("/x", end)
    assert read_footer(end, crc) is None
    with pytest.raises(lsm.CorruptionError, match="/x"):
        ValueFile(lab.env, "/x", 1)
