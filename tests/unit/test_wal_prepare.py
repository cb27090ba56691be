"""Log segments made ahead: a roll-over takes them without waiting for the disk, and one that nobody takes harms nothing."""

from __future__ import annotations

import errno
import threading
import time

import pytest

import recovery


@pytest.fixture
def disk() -> recovery.FaultFileSystem:
    fs = recovery.fault(recovery.memory())
    fs.mkdir("/d")
    fs.sync_dir("/")
    return fs


def replayed(fs: recovery.FileSystem, mode: str = "point_in_time") -> list[int]:
    return [record.seq for _, records, _ in recovery.replay(fs, "/d", mode) for record in records]


def made(disk: recovery.FaultFileSystem) -> list[int]:
    """How often the calls were made that a new segment needs."""
    return [disk.calls(op) for op in ("open", "allocate", "sync", "sync_dir")]


@pytest.mark.parametrize("sync", recovery.SYNC_MODES)
def test_a_roll_over_takes_what_was_made_ahead(disk: recovery.FaultFileSystem, sync: str) -> None:
    ends = sync in ("group", "every", "interval")  # modes that sync a segment when it ends
    with recovery.WalWriter(disk, "/d", sync=sync, segment_bytes=8192) as log:
        log.append(1, b"a")
        log.prepare(5)
        assert (log.prepared, log.number, disk.listdir("/d")) == (5, 1, ["000001.log", "000005.log"])
        before = made(disk)
        log.rotate(5)
        assert made(disk) == [before[0], before[1], before[2] + ends, before[3]], "nothing is made"
        assert (log.prepared, log.number) == (0, 5)
        log.append(2, b"b")
        log.rotate(6)
        assert made(disk) != before
        log.append(3, b"c")
    assert replayed(disk, "absolute") == [1, 2, 3]


def test_it_is_made_once_and_never_behind(disk: recovery.FaultFileSystem) -> None:
    with recovery.WalWriter(disk, "/d", 4) as log:
        log.prepare(5)
        log.prepare(6)
        assert log.prepared == 5
        log.rotate(5)
        log.prepare(5)
        log.prepare(3)
        assert (log.prepared, disk.listdir("/d")) == (0, ["000004.log", "000005.log"])


def test_what_nobody_takes_goes(disk: recovery.FaultFileSystem) -> None:
    log = recovery.WalWriter(disk, "/d")
    log.append(1, b"a")
    log.prepare(2)
    log.rotate(3)
    assert (log.prepared, disk.listdir("/d")) == (0, ["000001.log", "000003.log"])
    log.append(2, b"b")
    log.prepare(7)
    log.close()
    assert disk.listdir("/d") == ["000001.log", "000003.log"]
    assert replayed(disk, "absolute") == [1, 2]


def test_a_segment_that_must_hold_more_is_made_anew_under_its_number(disk: recovery.FaultFileSystem) -> None:
    with recovery.WalWriter(disk, "/d", segment_bytes=4096) as log:
        log.prepare(2)
        log.rotate(2, 100_000)
        assert log.try_append(1, bytes(100_000)) is not None
    assert replayed(disk, "absolute") == [1]


@pytest.mark.parametrize("op", ["open", "allocate", "pwrite", "sync", "sync_dir"])
def test_when_it_cannot_be_made_the_log_goes_on(disk: recovery.FaultFileSystem, op: str) -> None:
    with recovery.WalWriter(disk, "/d", sync="every") as log:
        disk.arm(op, error=errno.ENOSPC)
        with pytest.raises(OSError, match="No space"):
            log.prepare(2)
        assert (log.prepared, disk.listdir("/d")) == (0, ["000001.log"])
        log.append(1, b"a")
        log.rotate(2)
        log.append(2, b"b")
    assert replayed(disk, "absolute") == [1, 2]


def test_one_that_cannot_be_removed_is_no_hole_in_the_log(disk: recovery.FaultFileSystem) -> None:
    """Segment 2 between 1 and 3 would be taken for a log whose end record leads past it: then there is no segment 3."""
    log = recovery.WalWriter(disk, "/d")
    log.append(1, b"a")
    log.prepare(2)
    disk.arm("unlink", error=errno.EIO)
    with pytest.raises(OSError):
        log.rotate(3)
    with pytest.raises(OSError):
        log.append(2, b"b")
    assert disk.listdir("/d") == ["000001.log", "000002.log"] and replayed(disk) == [1]
    with pytest.raises(OSError):
        log.close()
    assert replayed(disk) == [1]


def test_a_roll_over_waits_for_the_one_that_is_being_made(disk: recovery.FaultFileSystem) -> None:
    with recovery.WalWriter(disk, "/d") as log:
        log.append(1, b"a")
        disk.arm("allocate", error="stuck")
        maker = threading.Thread(target=log.prepare, args=(2,))
        maker.start()
        while not disk.stuck():
            time.sleep(0.001)
        writer = threading.Thread(target=log.rotate, args=(2,))
        writer.start()
        writer.join(0.05)
        assert writer.is_alive() and log.prepared == 2
        disk.disarm()
        maker.join()
        writer.join()
        assert (log.number, log.prepared) == (2, 0)
        log.append(2, b"b")
    assert replayed(disk, "absolute") == [1, 2]


def test_none_is_made_behind_the_one_that_a_roll_over_is_making(disk: recovery.FaultFileSystem) -> None:
    """It would stand between two segments of which the older names the newer."""
    with recovery.WalWriter(disk, "/d") as log:
        log.append(1, b"a")
        disk.arm("allocate", error="stuck")
        writer = threading.Thread(target=log.rotate, args=(3,))
        writer.start()
        while not disk.stuck():
            time.sleep(0.001)
        maker = threading.Thread(target=log.prepare, args=(2,))
        maker.start()
        maker.join(5)
        found = log.prepared, disk.listdir("/d")
        disk.disarm()
        maker.join()
        writer.join()
        assert found == (0, ["000001.log", "000003.log"])
        log.append(2, b"b")
    assert replayed(disk, "absolute") == [1, 2]


@pytest.mark.parametrize("mode", ["absolute", "tolerate_tail", "point_in_time", "skip"])
@pytest.mark.parametrize("crash", ["process", "power"])
def test_a_crash_leaves_an_empty_segment_that_replay_skips(crash: str, mode: str) -> None:
    fs = recovery.memory()
    fs.mkdir("/d")
    fs.sync_dir("/")
    log = recovery.WalWriter(fs, "/d", sync="every")
    log.append(1, b"a")
    log.append(2, b"b")
    log.prepare(9)
    clone = fs.crash_clone(crash)
    log.close()
    assert clone.listdir("/d") == ["000001.log", "000009.log"]
    assert replayed(clone, mode) == [1, 2]
