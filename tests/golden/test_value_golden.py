"""A value file written by version 1 of the format stays readable, and both writers still make exactly it."""

from __future__ import annotations

from pathlib import Path

import pytest

import recovery
from lsm.native_values import ValueFile
from lsm.value_twin import Record, follow, read_values, write_values
from tests.equivalence.test_value_twin import written
from tests.harness.tables import DATABASE, Lab

NUMBER = 2**33 + 6
RECORDS = [
    *(Record(b"key%04d" % i, 3 * i + 1, b"v%d" % i * (i % 11)) for i in range(60)),
    Record(b"", 400, b"empty key"),
    Record(b"empty value", 2**56 - 1, b""),
    Record(b"\xff" * 70, 0, bytes(range(256)) * 5),
]
GOLDEN = Path(__file__).with_name("values_v1.vlog")


def test_both_writers_still_make_it(request: pytest.FixtureRequest) -> None:
    made, _ = write_values(DATABASE, NUMBER, 3, RECORDS, recovery.crc32c)
    if request.config.getoption("--rewrite"):
        GOLDEN.write_bytes(made)
    assert made == GOLDEN.read_bytes()
    lab = Lab()
    written(lab, NUMBER, RECORDS)
    assert lab.fs.read_all(f"/v/{NUMBER:06d}.vlog") == made


def test_both_readers_take_it() -> None:
    golden, lab = GOLDEN.read_bytes(), Lab()
    assert list(read_values(golden, DATABASE, NUMBER, recovery.crc32c)) == RECORDS
    lab.fs.write_all("/v", golden)
    file = ValueFile(lab.env, "/v", NUMBER, len(golden))
    file.verify()
    _, pointers = write_values(DATABASE, NUMBER, 3, RECORDS, recovery.crc32c)
    for record, pointer in zip(RECORDS, pointers, strict=True):
        assert file.read(record.key, record.seq, pointer) == follow(golden, DATABASE, record.key, record.seq, pointer, recovery.crc32c)
    file.close()
