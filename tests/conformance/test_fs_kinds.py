"""Every registered file system keeps the contract of fs.h."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import recovery


@pytest.fixture(params=sorted(recovery.FILESYSTEMS))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[recovery.FileSystem, str]]:
    fs = recovery.FILESYSTEMS[request.param]()
    if request.param == "posix":
        yield fs, str(tmp_path)
    else:
        fs.mkdir("/top")
        yield fs, "/top"


Disk = tuple[recovery.FileSystem, str]


def test_open_modes(disk: Disk) -> None:
    fs, top = disk
    with pytest.raises(FileNotFoundError) as caught:
        fs.open(f"{top}/a")
    assert caught.value.filename == f"{top}/a"
    fs.write_all(f"{top}/a", b"one")
    with pytest.raises(FileExistsError):
        fs.open(f"{top}/a", "x")
    with fs.open(f"{top}/a", "a") as f:
        f.append(b"two")
    assert fs.read_all(f"{top}/a") == b"onetwo"
    fs.write_all(f"{top}/a", b"")
    assert fs.stat(f"{top}/a") == (0, False)
    with pytest.raises(IsADirectoryError):
        fs.open(top)
    with pytest.raises(NotADirectoryError):
        fs.open(f"{top}/a/b", "a")
    with pytest.raises(ValueError, match="zero byte"):
        fs.open(f"{top}/\0")
    with pytest.raises(ValueError, match="mode 'q'"):
        fs.open(f"{top}/a", "q")


def test_reads_and_writes(disk: Disk) -> None:
    fs, top = disk
    with fs.open(f"{top}/a", "w") as f:
        f.append(b"")
        f.append(b"hello")
        f.pwrite(b"J", 0)
        f.pwrite(b"!", 9)
        assert f.read_all() == b"Jello\0\0\0\0!"
        f.append(b"end")
        assert f.pread(100, 8) == b"\0!end"
        assert f.pread(100, 13) == f.pread(5, 999) == b""
        f.truncate(3)
        f.truncate(6)
        assert f.read_all() == b"Jel\0\0\0"
        f.append(b"x")
        assert f.size() == 7
        f.sync()
    with pytest.raises(ValueError, match="closed"):
        f.size()


def test_allocate_reserves_zeros_and_never_shrinks(disk: Disk) -> None:
    fs, top = disk
    with fs.open(f"{top}/a", "w") as f:
        f.append(b"abc")
        f.allocate(5000)
        assert f.read_all() == b"abc" + bytes(4997)
        f.allocate(10)
        assert f.size() == 5000


def test_a_writable_mapping_is_the_file(disk: Disk) -> None:
    fs, top = disk
    with fs.open(f"{top}/a", "w") as f:
        f.allocate(16384)
        if fs.name in ("crypt", "device", "record"):  # what is on the disk is not what is read; a store is no call, so nobody hears of it
            with pytest.raises(OSError) as refused:
                f.map(4096, 8192, writable=True)
            assert refused.value.errno == errno.ENOTSUP
            return
        view = f.map(4096, 8192, writable=True)
        view.buffer[:5] = b"hello"
        assert f.pread(5, 4096) == b"hello"
        f.pwrite(b"J", 4096)
        assert view.buffer[:5] == b"Jello"
        view.close()
        other = f.map(0, 16384)
        assert other.buffer[4096:4101] == b"Jello"
        other.close()
        with pytest.raises(OSError) as caught:
            f.map(5, 10)
        assert caught.value.errno == errno.EINVAL


def test_names(disk: Disk) -> None:
    fs, top = disk
    fs.mkdir(f"{top}/d")
    with pytest.raises(FileExistsError):
        fs.mkdir(f"{top}/d")
    for name in ("b", "a", "ü"):
        fs.write_all(f"{top}/d/{name}", name.encode())
    assert fs.listdir(f"{top}/d") == ["a", "b", "ü"]
    fs.rename(f"{top}/d/a", f"{top}/d/b")
    assert fs.read_all(f"{top}/d/b") == b"a"
    with pytest.raises(FileNotFoundError):
        fs.rename(f"{top}/d/a", f"{top}/d/c")
    fs.link(f"{top}/d/b", f"{top}/second")
    with pytest.raises(FileExistsError):
        fs.link(f"{top}/d/b", f"{top}/second")
    fs.unlink(f"{top}/d/b")
    assert fs.read_all(f"{top}/second") == b"a"
    with pytest.raises(OSError) as caught:
        fs.rmdir(f"{top}/d")
    assert caught.value.errno == errno.ENOTEMPTY
    fs.unlink(f"{top}/d/ü")
    fs.sync_dir(top)
    fs.rmdir(f"{top}/d")
    assert not fs.exists(f"{top}/d")
    assert list(fs.walk_files(top)) == [f"{top}/second"]
    with pytest.raises(FileNotFoundError):
        fs.listdir(f"{top}/d")
    with pytest.raises(FileNotFoundError):
        fs.sync_dir(f"{top}/d")
    fs.makedirs(f"{top}/x/y/z")
    assert fs.stat(f"{top}/x/y/z") == (0, True)


def test_an_unlinked_open_file_lives_on(disk: Disk) -> None:
    fs, top = disk
    with fs.open(f"{top}/a", "w") as f:
        f.append(b"still here")
        fs.unlink(f"{top}/a")
        assert f.read_all() == b"still here"
    assert not fs.exists(f"{top}/a")


def test_a_lock_names_its_holder_and_ends_with_close(disk: Disk) -> None:
    fs, top = disk
    lock = fs.lock(f"{top}/LOCK", "process 12")
    with pytest.raises(BlockingIOError, match="process 12") as caught:
        fs.lock(f"{top}/LOCK", "process 13")
    assert isinstance(caught.value, recovery.LockHeld)
    assert caught.value.holder == "process 12"
    lock.close()
    fs.lock(f"{top}/LOCK", "14").close()
    assert fs.read_all(f"{top}/LOCK") == b"14"


def test_statistics_count_what_was_done(disk: Disk) -> None:
    fs, top = disk
    before = fs.stats()
    with fs.open(f"{top}/a", "w") as f:
        f.append(b"12345")
        f.pread(3, 0)
        f.sync()
    fs.sync_dir(top)
    fs.rename(f"{top}/a", f"{top}/b")
    fs.unlink(f"{top}/b")
    now = fs.stats()
    gained = {k: now[k] - before[k] for k in now if now[k] != before[k]}
    assert gained == {
        "opens": 1, "writes": 1, "write_bytes": 5, "reads": 1, "read_bytes": 3, "syncs": 1, "dir_syncs": 1, "renames": 1, "unlinks": 1,
    }  # fmt: skip
    assert fs.now_ns() <= fs.now_ns()


def test_files_are_private_and_links_are_not_followed(tmp_path: Path) -> None:
    fs = recovery.posix()
    fs.write_all(tmp_path / "a", b"secret")
    fs.mkdir(tmp_path / "d")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(OSError) as caught:
        fs.open(tmp_path / "link")
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
@pytest.mark.parametrize("kind", ["posix", "crypt"])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int, kind: str) -> None:
    fs = recovery.posix() if kind == "posix" else recovery.crypt(recovery.posix(), bytes(16), {1: bytes(32)}, 1)
    (tmp_path / "there").touch()
    (tmp_path / "there").chmod(0o640)
    before = os.umask(umask)
    try:
        fs.mkdir(tmp_path / "d")
        for name, mode in (("x", "x"), ("w", "w"), ("a", "a"), ("there", "a")):
            fs.open(tmp_path / "d" / name if name != "there" else tmp_path / name, mode).close()
        fs.lock(tmp_path / "d" / "LOCK").close()
    finally:
        os.umask(before)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "d").iterdir()} == {0o600}
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o640, "what is there keeps its mode"


def test_descriptors_are_closed_in_programs_that_are_started(tmp_path: Path) -> None:
    fs = recovery.posix()
    with fs.open(tmp_path / "a", "w"), fs.lock(tmp_path / "LOCK"):
        mine = [fd for fd in os.listdir("/proc/self/fd") if _target(fd).startswith(str(tmp_path))]
        assert len(mine) == 2
        assert not any(os.get_inheritable(int(fd)) for fd in mine)


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def test_a_missing_directory_is_told(disk: Disk) -> None:
    fs, top = disk
    with pytest.raises(FileNotFoundError):
        recovery.WalWriter(fs, f"{top}/none")
