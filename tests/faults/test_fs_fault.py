"""The fault file system fails what it was told to, and nothing else."""

from __future__ import annotations

import errno
import threading

import pytest

import recovery


@pytest.fixture
def disk() -> recovery.FaultFileSystem:
    return recovery.fault(recovery.memory())


def test_the_nth_call_fails_once(disk: recovery.FaultFileSystem) -> None:
    disk.arm("append", "*.log", 2, errno.EIO)
    with disk.open("/a.log", "w") as log, disk.open("/b.txt", "w") as other:
        log.append(b"1")
        other.append(b"1")
        other.append(b"2")
        with pytest.raises(OSError) as caught:
            log.append(b"2")
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, "/a.log")
        log.append(b"3")
        assert log.read_all() == b"13"
    assert disk.calls("append", "*.log") == 3
    assert disk.calls("append") == 5


def test_sticky_faults_stay_until_disarmed(disk: recovery.FaultFileSystem) -> None:
    disk.arm("mkdir", nth=2, error=errno.ENOSPC, sticky=True)
    disk.mkdir("/1")
    for _ in range(3):
        with pytest.raises(OSError):
            disk.mkdir("/2")
    disk.disarm()
    disk.mkdir("/2")


def test_a_short_write_leaves_half(disk: recovery.FaultFileSystem) -> None:
    disk.arm("*", error="short", nth=2)
    with disk.open("/a", "w") as f:
        f.append(b"whole")
        with pytest.raises(OSError) as caught:
            f.append(b"12345678")
        assert caught.value.errno == errno.ENOSPC
        assert f.read_all() == b"whole1234"


def test_a_flip_changes_one_bit_of_one_read(disk: recovery.FaultFileSystem) -> None:
    disk.write_all("/a", bytes(100))
    disk.arm("*", error="flip")
    with disk.open("/a") as f:
        assert sum(b.bit_count() for b in f.read_all()) == 1
        assert f.read_all() == bytes(100)


def test_both_names_of_a_rename_match(disk: recovery.FaultFileSystem) -> None:
    disk.write_all("/a", b"")
    disk.arm("rename", "/b", sticky=True)
    with pytest.raises(OSError):
        disk.rename("/a", "/b")
    disk.rename("/a", "/c")


def test_bad_rules_are_refused(disk: recovery.FaultFileSystem) -> None:
    with pytest.raises(ValueError, match="error 0"):
        disk.arm(error=0)
    with pytest.raises(ValueError, match="error 'fire'"):
        disk.arm(error="fire")
    with pytest.raises(OSError):
        disk.arm(nth=0)
    with pytest.raises(ValueError, match="nanoseconds 0 with 'latency'"):
        disk.arm(error="latency")
    with pytest.raises(ValueError, match="nanoseconds 5 with 'flip'"):
        disk.arm(error="flip", nanoseconds=5)


@pytest.mark.parametrize("op", ["open", "close", "append", "pwrite", "pread", "sync", "truncate", "allocate", "size_of", "map", "rename",
                                "link", "unlink", "mkdir", "rmdir", "stat", "list", "sync_dir", "lock"])  # fmt: skip
def test_every_call_can_fail(disk: recovery.FaultFileSystem, op: str) -> None:
    def use_all() -> None:
        disk.mkdir("/d")
        with disk.open("/d/a", "w") as f:
            f.append(b"1")
            f.pwrite(b"2", 0)
            f.allocate(4096)
            f.map(0, 4096).close()
            f.pread(1, 0)
            f.truncate(1)
            f.sync()
        disk.rename("/d/a", "/d/b")
        disk.link("/d/b", "/d/c")
        disk.stat("/d")
        disk.listdir("/d")
        disk.sync_dir("/d")
        disk.lock("/d/LOCK").close()
        for name in ("b", "c", "LOCK"):
            disk.unlink(f"/d/{name}")
        disk.rmdir("/d")

    use_all()
    assert disk.calls(op) > 0
    disk.arm(op, error=errno.EDQUOT)
    with pytest.raises(OSError) as caught:
        use_all()
    assert caught.value.errno == errno.EDQUOT


def test_a_short_read_in_the_middle_of_a_file_is_an_error_and_not_its_end(disk: recovery.FaultFileSystem) -> None:
    disk.write_all("/a", bytes(100))
    disk.arm("*", error="short_read")
    with disk.open("/a") as f:
        with pytest.raises(OSError, match="50 bytes of 100") as caught:
            f.read_all()
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, "/a")
        assert f.read_all() == bytes(100)
        assert f.pread(1000, 90) == bytes(10)


@pytest.mark.parametrize("op", ["sync", "sync_dir"])
def test_a_lying_sync_loses_what_it_was_told_to_keep(op: str) -> None:
    inner = recovery.memory()
    disk = recovery.fault(inner)
    disk.arm(op, error="lie", sticky=True)
    disk.write_all("/a", b"1", sync=True)
    disk.sync_dir("/")
    assert disk.read_all("/a") == b"1"
    after = inner.crash_clone("power")
    assert (after.read_all("/a") == b"") if op == "sync" else not after.exists("/a")


def test_latency_holds_a_call_up(disk: recovery.FaultFileSystem) -> None:
    disk.arm("mkdir", nth=2, error="latency", nanoseconds=30_000_000)
    begun = disk.now_ns()
    disk.mkdir("/1")
    disk.mkdir("/2")
    assert disk.now_ns() - begun >= 30_000_000
    assert disk.listdir("/") == ["1", "2"]


def test_a_stuck_call_goes_on_when_the_rules_are_forgotten(disk: recovery.FaultFileSystem) -> None:
    disk.arm("mkdir", error="stuck")
    thread = threading.Thread(target=disk.mkdir, args=("/1",))
    thread.start()
    while not disk.stuck():
        assert thread.is_alive()
    assert disk.listdir("/") == []
    disk.mkdir("/2")  # armed for one call only
    disk.disarm()
    thread.join(30)
    assert (disk.stuck(), disk.listdir("/")) == (0, ["1", "2"])


def test_faults_stack() -> None:
    inner = recovery.fault(recovery.memory())
    disk = recovery.fault(inner)
    inner.arm("mkdir", nth=2, error=errno.EDQUOT)
    disk.arm("mkdir", nth=1, error=errno.EMFILE)
    for code in (errno.EMFILE, 0, errno.EDQUOT, 0):
        try:
            disk.mkdir(f"/{disk.calls('mkdir')}")
        except OSError as e:
            assert e.errno == code
        else:
            assert code == 0
    assert inner.calls("mkdir") == 3
