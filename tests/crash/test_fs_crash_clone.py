"""What a clone of the memory file system keeps after each kind of crash."""

from __future__ import annotations

import pytest

import recovery


def sectors(seed: int, data: bytes) -> str:
    return "".join("." if not any(data[i : i + 512]) else "x" for i in range(0, len(data), 512))


@pytest.fixture
def disk() -> recovery.MemoryFileSystem:
    fs = recovery.memory()
    fs.mkdir("/d")
    fs.sync_dir("/")
    with fs.open("/d/a", "x") as f:
        f.append(b"A" * 1024)
        f.sync()
    fs.sync_dir("/d")
    return fs


def test_process_death_keeps_everything_and_what_is_pending(disk: recovery.MemoryFileSystem) -> None:
    disk.write_all("/d/b", b"new")
    clone = disk.crash_clone("process")
    assert clone.read_all("/d/b") == b"new"
    assert clone.crash_clone("power").listdir("/d") == ["a"]
    disk.write_all("/d/b", b"changed")
    assert clone.read_all("/d/b") == b"new"


def test_power_loss_keeps_what_was_synced_only(disk: recovery.MemoryFileSystem) -> None:
    with disk.open("/d/a", "r+") as f:
        f.append(b"B" * 100)
        f.pwrite(b"C", 0)
    disk.write_all("/d/unsynced name", b"x", sync=True)
    clone = disk.crash_clone("power")
    assert clone.read_all("/d/a") == b"A" * 1024
    assert clone.listdir("/d") == ["a"]


def test_a_synced_name_without_synced_data_is_empty(disk: recovery.MemoryFileSystem) -> None:
    disk.write_all("/d/b", b"data")
    disk.sync_dir("/d")
    assert disk.crash_clone("power").read_all("/d/b") == b""


def test_rename_is_lost_or_done_as_a_whole(disk: recovery.MemoryFileSystem) -> None:
    disk.write_all("/d/b", b"B", sync=True)
    disk.sync_dir("/d")
    disk.rename("/d/b", "/d/a")
    assert disk.crash_clone("power").read_all("/d/a") == b"A" * 1024
    seen = set()
    for seed in range(20):
        clone = disk.crash_clone("random", seed)
        seen.add((tuple(clone.listdir("/d")), clone.read_all("/d/a")[:1]))
    assert seen == {(("a", "b"), b"A"), (("a",), b"B")}


def test_an_unlinked_name_may_come_back(disk: recovery.MemoryFileSystem) -> None:
    disk.unlink("/d/a")
    assert disk.crash_clone("power").read_all("/d/a") == b"A" * 1024
    assert {disk.crash_clone("random", s).exists("/d/a") for s in range(10)} == {True, False}
    disk.sync_dir("/d")
    assert not disk.crash_clone("power").exists("/d/a")


def test_sectors_survive_one_by_one(disk: recovery.MemoryFileSystem) -> None:
    with disk.open("/d/a", "r+") as f:
        f.truncate(0)
        f.allocate(8 * 512)
        f.sync()
        f.pwrite(b"x" * 8 * 512, 0)
    seen = {sectors(s, disk.crash_clone("random", s).read_all("/d/a")) for s in range(40)}
    assert len(seen) > 20
    assert all(len(s) == 8 for s in seen)
    torn = [
        c
        for s in range(40)
        for c in [disk.crash_clone("random", s).read_all("/d/a")]
        if any(0 < c.count(b"x", i, i + 512) < 512 for i in range(0, 4096, 512))
    ]
    assert torn, "no sector was ever torn"


def test_the_same_seed_gives_the_same_disk(disk: recovery.MemoryFileSystem) -> None:
    for name in "bcdef":
        disk.write_all(f"/d/{name}", name.encode() * 2000)
    one, two = ({p: c.read_all(p) for p in c.walk_files("/")} for c in (disk.crash_clone("random", 7), disk.crash_clone("random", 7)))
    assert one == two
    assert any({p: c.read_all(p) for p in c.walk_files("/")} != one for c in (disk.crash_clone("random", s) for s in range(5)))


def test_stores_through_a_mapping_are_pending_until_sync(disk: recovery.MemoryFileSystem) -> None:
    with disk.open("/d/m", "x") as f:
        f.allocate(4096)
        f.sync()
        disk.sync_dir("/d")
        view = f.map(0, 4096, writable=True)
        view.buffer[0:1] = b"1"
        assert disk.crash_clone("power").read_all("/d/m")[:2] == b"\0\0"
        f.sync()
        view.buffer[1:2] = b"2"
        assert disk.crash_clone("power").read_all("/d/m")[:2] == b"1\0"
        assert disk.crash_clone("process").read_all("/d/m")[:2] == b"12"
        view.close()
        f.sync()
    assert disk.crash_clone("power").read_all("/d/m")[:2] == b"12"


def test_locks_are_gone_in_a_clone(disk: recovery.MemoryFileSystem) -> None:
    lock = disk.lock("/d/LOCK", "me")
    disk.crash_clone("process").lock("/d/LOCK", "you").close()
    with pytest.raises(BlockingIOError):
        disk.lock("/d/LOCK")
    lock.close()


def test_unknown_modes_are_refused(disk: recovery.MemoryFileSystem) -> None:
    with pytest.raises(ValueError, match="crash mode 'fire'"):
        disk.crash_clone("fire")
    with pytest.raises(ValueError, match="crash mode 9"):
        disk.crash_clone(9)
