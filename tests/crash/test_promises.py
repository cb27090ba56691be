"""The tables of docs/durability.md, cell by cell: what survives by sync mode, and what recovery does by mode and damage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lsm
import recovery

PAIRS = [(b"%04d" % i, b"v" * 200) for i in range(1000)]
BUFFERED = 64 << 10  # bytes of the log that the process may hold back with sync="none"


def opened(fs: recovery.FileSystem, sync: str = "os", mode: str = "point_in_time", **wal: Any) -> lsm.DB:
    return lsm.open("/d", fs=fs, threads=0, wal={"sync": sync, "recovery": mode, "segment_bytes": 1 << 20, "interval_ms": 3_600_000, **wal})


def written(fs: recovery.FileSystem, sync: str, **wal: Any) -> lsm.DB:
    db = opened(fs, sync, **wal)
    for key, value in PAIRS:
        db.put(key, value)
    return db


def left(fs: recovery.MemoryFileSystem, how: str) -> int:
    """How many pairs a crash leaves: always the first ones."""
    with opened(fs.crash_clone(how)) as db:
        found = list(db.scan())
    assert found == PAIRS[: len(found)]
    return len(found)


@pytest.mark.parametrize("sync", recovery.SYNC_MODES)
def test_every_cell_of_the_table_of_sync_modes(sync: str) -> None:
    fs = recovery.memory()
    db = written(fs, sync)
    least = len(PAIRS) - BUFFERED // 200 - 1 if sync == "none" else len(PAIRS)
    assert least <= left(fs, "process") <= len(PAIRS)
    if sync in ("group", "every"):
        assert left(fs, "power") == len(PAIRS)
    else:
        assert left(fs, "power") < len(PAIRS), "the test sees what is not durable"
    db.close()


MAKES_DURABLE: dict[str, Callable[[lsm.DB], object]] = {
    "sync=True": lambda db: db.write(lsm.Batch(), sync=True),
    "db.sync": lambda db: db.sync(),
    "flush": lambda db: db.flush(),
    "close": lambda db: db.close(),
}


@pytest.mark.parametrize("how", MAKES_DURABLE)
@pytest.mark.parametrize("sync", recovery.SYNC_MODES)
def test_what_makes_durable_does_so_in_every_mode(sync: str, how: str) -> None:
    fs = recovery.memory()
    db = written(fs, sync)
    MAKES_DURABLE[how](db)
    assert left(fs, "power") == left(fs, "process") == len(PAIRS)
    db.close()


@pytest.mark.parametrize("how", ["flush", "close after a flush"])
def test_without_a_log_flushes_are_durable_and_nothing_else(how: str) -> None:
    fs = recovery.memory()
    db = written(fs, "os", enabled=False)
    assert left(fs, "process") == left(fs, "power") == 0
    db.flush()
    if how != "flush":
        db.close()
    assert left(fs, "process") == left(fs, "power") == len(PAIRS)
    db.close()


TABLE = {  # what comes of ten records: all but the torn one, those before the damage, all but the damaged one, or a refusal
    ("absolute", "torn tail"): None,
    ("absolute", "crash"): None,
    ("absolute", "other"): None,
    ("tolerate_tail", "torn tail"): 9,
    ("tolerate_tail", "crash"): None,
    ("tolerate_tail", "other"): None,
    ("point_in_time", "torn tail"): 9,
    ("point_in_time", "crash"): 4,
    ("point_in_time", "other"): None,
    ("skip", "torn tail"): 9,
    ("skip", "crash"): "all but one",
    ("skip", "other"): "all but one",
}


def damaged(what: str) -> recovery.MemoryFileSystem:
    """Ten records of 1000 bytes: the last one torn; or the fifth gone, and a later one promises that it was synced (other), or not."""
    fs = recovery.memory()
    db = opened(fs, "os")
    for i in range(10):
        if i == 9 and what == "other":
            db.sync()
        db.put(b"%d" % i, b"%d" % i * 1000)
    dead = fs.crash_clone("process")
    db.close()
    (path,) = [p for p in dead.walk_files("/d") if p.endswith(".log")]
    raw = dead.read_all(path)
    at = raw.index(b"%d" % (9 if what == "torn tail" else 4) * 1000)
    with dead.open(path, "r+") as f:
        f.pwrite(bytes(2000 if what == "torn tail" else 500), at + 300)
    return dead


@pytest.mark.parametrize(("mode", "what"), TABLE)
def test_every_cell_of_the_table_of_recovery_modes(mode: str, what: str) -> None:
    expected, fs = TABLE[mode, what], damaged(what)
    if expected is None:
        with pytest.raises(lsm.CorruptionError, match=r"\.log"):
            opened(fs, mode=mode)
        return
    with opened(fs, mode=mode) as db:
        kept = [i for i in range(10) if db.get(b"%d" % i) == b"%d" % i * 1000]
        assert len(list(db.scan())) == len(kept)
        told = db.recovery_report
    if expected == "all but one":
        assert kept == [0, 1, 2, 3, 5, 6, 7, 8, 9] and told.dropped == 1
    else:
        assert kept == list(range(int(expected)))
        assert told.reasons and (told.dropped == 6 or what == "torn tail")
