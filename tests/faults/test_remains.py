"""Opening over the remains of a database never makes a new one; the recovery report says what opening did, segment by segment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import lsm
import recovery


def made() -> recovery.MemoryFileSystem:
    fs = recovery.memory()
    with lsm.open("/d", fs=fs, threads=0, write_buffer=1 << 14) as db:
        people = db.table("people")
        people.create_index("by_age", "age")
        people.put_many([{"id": i, "age": i} for i in range(20)])
        db.flush()
        db.put(b"k", b"v")
    return fs


def keep(*ends: str) -> Callable[[str], bool]:
    return lambda name: any(end in name for end in ends)


@pytest.mark.parametrize(
    "kept",
    [keep(".sst"), keep(".log"), keep(".idx"), keep("MANIFEST"), keep("MANIFEST", ".sst", ".log", ".idx"), keep("CURRENT"),
     keep("CURRENT", ".sst", ".log")],
    ids=["tables", "logs", "indexes", "manifest", "no CURRENT", "CURRENT", "no manifest"],
)  # fmt: skip
def test_no_new_database_over_the_remains_of_one(kept: Callable[[str], bool]) -> None:
    fs = made()
    for name in fs.listdir("/d"):
        if not kept(name):
            fs.unlink(f"/d/{name}")
    left = {n: fs.read_all(f"/d/{n}") for n in fs.listdir("/d")}
    for read_only in (False, True):
        with pytest.raises(lsm.CorruptionError):
            lsm.open("/d", fs=fs, threads=0, read_only=read_only)
    assert {n: fs.read_all(f"/d/{n}") for n in fs.listdir("/d") if n != "LOCK"} == {n: d for n, d in left.items() if n != "LOCK"}


@pytest.mark.parametrize("op", ["rename", "sync_dir", "sync", "append", "open"])
def test_a_database_that_died_while_it_was_made_is_made_again(op: str) -> None:
    for nth in range(1, 30):
        disk = recovery.memory()
        fs = recovery.fault(disk)
        fs.arm(op, "*", nth, 5, sticky=True)
        try:
            lsm.open("/d", fs=fs, threads=0).close()
            break
        except lsm.Error:
            pass
        for mode in ("process", "power"):
            with lsm.open("/d", fs=disk.crash_clone(mode), threads=0) as db:
                db.put(b"k", b"v")


def test_the_recovery_report_goes_segment_by_segment() -> None:
    fs = recovery.memory()
    db = lsm.open("/d", fs=fs, threads=0, write_buffer=1 << 14)
    db.put(b"a", b"1")
    db.put_many([(b"b", b"2"), (b"c", b"3")])
    crashed = fs.crash_clone("process")
    log = recovery.segment_name(db.core.log()[0])
    size = crashed.stat(f"/d/{log}")[0]
    crashed.write_all(f"/d/{log}", crashed.read_all(f"/d/{log}")[: db.core.log()[1] - 8].ljust(size, b"\0"))
    crashed.write_all("/d/000777.sst", b"left over by a crash")
    db.close()
    with lsm.open("/d", fs=crashed, threads=0, read_only=True) as look:
        assert look.recovery_report.removed == ()
    with lsm.open("/d", fs=crashed, threads=0) as again:
        report = again.recovery_report
        assert again.get(b"a") == b"1" and again.get(b"b") is None
    (segment,) = report.logs
    assert (segment.number, segment.records, segment.first_seq, segment.last_seq) == (int(log[:-4]), 1, 1, 1)
    assert segment.torn and segment.dropped == 1 and segment.dropped_bytes > 0 and segment.reason != "intact"
    assert (report.records, report.dropped) == (1, 1) and report.seconds > 0
    assert "000777.sst" in report.removed and log in report.removed
    assert report.to_dict()["logs"][0]["number"] == segment.number
