"""What the full torture run found that the quick one had not, each by itself."""

from __future__ import annotations

import errno

import pytest

import lsm
import recovery

SMALL = {"threads": 0, "write_buffer": 16 << 10, "wal": {"sync": "every"}}


def test_a_write_that_is_in_the_log_is_not_refused_for_the_segment_behind_it() -> None:
    """With threads=0 it raised ReadOnlyError, which says that nothing was written; after reopening it was there."""
    fs = recovery.fault(recovery.memory())
    acknowledged = {}
    with lsm.open("/db", SMALL, fs=fs) as db:
        db.keyspace("other").put(b"k", b"v")
        fs.arm("open", error=errno.ENOSPC, sticky=True)
        with pytest.raises(lsm.ReadOnlyError, match="no space for a new log segment"):
            for i in range(1_000):
                db.put(b"%04d" % i, bytes(100))
                acknowledged[b"%04d" % i] = bytes(100)
        assert dict(db.scan()) == acknowledged
    fs.disarm()
    with lsm.open("/db", SMALL, fs=fs) as db:
        assert dict(db.scan()) == acknowledged


def test_a_bit_that_flips_on_the_way_from_the_disk_costs_no_record() -> None:
    """Above what a sync promised, damage with words of zeros is a torn tail: but only when a second reading shows it too."""
    disk = recovery.memory()
    db = lsm.open("/db", threads=0, write_buffer=128 << 10, fs=disk)
    for i in range(80):
        db.put(b"%04d" % i, bytes(600))
    left = disk.crash_clone("process")
    db.close()
    log = max(f"/db/{name}" for name in left.listdir("/db") if name.endswith(".log"))
    refused = 0
    for turn in range(40):  # the bit is another one each time
        fs = recovery.fault(left.crash_clone("process"))
        fs.arm("pread", error="flip", sticky=True)
        for _ in range(turn):
            fs.read_all(log)
        fs.disarm()
        fs.arm("pread", path=log, error="flip")
        try:
            with lsm.open("/db", threads=0, write_buffer=128 << 10, fs=fs) as db:
                assert len(dict(db.scan())) == 80
        except lsm.IOFailure:
            refused += 1
        fs.disarm()
        with lsm.open("/db", threads=0, write_buffer=128 << 10, fs=fs) as db:
            assert len(dict(db.scan())) == 80
    assert refused > 5
