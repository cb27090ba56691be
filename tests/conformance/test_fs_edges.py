"""The edges of the contract of fs.h, for every file system: what is refused and how, and the NULLs that are allowed."""

from __future__ import annotations

import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from recovery._native import ffi, lib

import recovery

FAR = 2**63
KEY = b"k" * 32
Disk = tuple[recovery.FileSystem, str]


def crypt(inner: recovery.FileSystem | None = None) -> recovery.CryptFileSystem:
    return recovery.crypt(inner or recovery.memory(), bytes(range(16)), {1: KEY}, 1)


KINDS = recovery.FILESYSTEMS


@pytest.fixture(params=sorted(KINDS))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    fs = KINDS[request.param]()
    if request.param != "posix":
        fs.mkdir("/top")
    yield fs, str(tmp_path) if request.param == "posix" else "/top"


def refused(code: int | str, call: Callable[[], object]) -> None:
    with pytest.raises(OSError) as caught:
        call()
    assert errno.errorcode[caught.value.errno] == (errno.errorcode[code] if isinstance(code, int) else code)


def test_offsets_and_sizes_that_no_file_has(disk: Disk) -> None:
    fs, top = disk
    with fs.open(f"{top}/000001.log", "w") as f:
        f.append(b"data")
        refused("EFBIG", lambda: f.pwrite(b"x", FAR - 1))
        refused("EFBIG", lambda: f.truncate(FAR))
        refused("EFBIG", lambda: f.allocate(FAR))
        refused("EINVAL", lambda: f.pread(1, FAR))
        f.allocate(2)
        assert f.pread(0, 0) == b""
        assert f.read_all() == b"data"


def test_maps_that_there_cannot_be(disk: Disk) -> None:
    fs, top = disk
    with fs.open(f"{top}/000001.log", "w") as f:
        f.append(bytes(8192))
        for writable in (False, True):
            for offset, n in ((0, 0), (5, 4096), (FAR - 4096, 8192)):
                with pytest.raises(OSError) as caught:
                    f.map(offset, n, writable=writable)
                assert caught.value.errno in (errno.EINVAL, errno.ENOTSUP)


def test_files_and_directories_in_each_others_place(disk: Disk) -> None:
    fs, top = disk
    for name in ("d", "e", "full"):
        fs.mkdir(f"{top}/{name}")
    for name in ("a", "b", "full/x"):
        fs.write_all(f"{top}/{name}", name.encode())
    for wrong, code in (
        (lambda: fs.open(f"{top}/d", "a"), "EISDIR"),
        (lambda: fs.open(f"{top}/a/x"), "ENOTDIR"),
        (lambda: fs.open(f"{top}/none/x", "a"), "ENOENT"),
        (lambda: fs.rename(f"{top}/none", f"{top}/b"), "ENOENT"),
        (lambda: fs.rename(f"{top}/none/x", f"{top}/b"), "ENOENT"),
        (lambda: fs.rename(f"{top}/a", f"{top}/none/b"), "ENOENT"),
        (lambda: fs.rename(f"{top}/a", f"{top}/d"), "EISDIR"),
        (lambda: fs.rename(f"{top}/d", f"{top}/a"), "ENOTDIR"),
        (lambda: fs.rename(f"{top}/d", f"{top}/full"), "ENOTEMPTY"),
        (lambda: fs.link(f"{top}/none", f"{top}/l"), "ENOENT"),
        (lambda: fs.link(f"{top}/a", f"{top}/none/l"), "ENOENT"),
        (lambda: fs.link(f"{top}/a", f"{top}/b"), "EEXIST"),
        (lambda: fs.link(f"{top}/d", f"{top}/l"), "EPERM"),
        (lambda: fs.unlink(f"{top}/none"), "ENOENT"),
        (lambda: fs.unlink(f"{top}/none/x"), "ENOENT"),
        (lambda: fs.unlink(f"{top}/d"), "EISDIR"),
        (lambda: fs.rmdir(f"{top}/none"), "ENOENT"),
        (lambda: fs.rmdir(f"{top}/a"), "ENOTDIR"),
        (lambda: fs.rmdir(f"{top}/full"), "ENOTEMPTY"),
        (lambda: fs.mkdir(f"{top}/d"), "EEXIST"),
        (lambda: fs.mkdir(f"{top}/none/x"), "ENOENT"),
        (lambda: fs.stat(f"{top}/none"), "ENOENT"),
        (lambda: fs.listdir(f"{top}/a"), "ENOTDIR"),
        (lambda: fs.sync_dir(f"{top}/a"), "ENOTDIR"),
        (lambda: fs.sync_dir(f"{top}/none"), "ENOENT"),
        (lambda: fs.lock(f"{top}/none/LOCK"), "ENOENT"),
        (lambda: fs.write_all(f"{top}/{'n' * 256}", b""), "ENAMETOOLONG"),
    ):
        refused(code, wrong)
    fs.rename(f"{top}/a", f"{top}/a")
    fs.rename(f"{top}/d", f"{top}/e")
    fs.rename(f"{top}/a", f"{top}/b")
    assert (fs.listdir(top), fs.read_all(f"{top}/b")) == (["b", "e", "full"], b"a")


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"posix"}))
def test_the_root_and_odd_paths(kind: str) -> None:
    fs = KINDS[kind]()
    fs.mkdir("/d")
    for wrong, code in (
        (lambda: fs.open("/", "a"), "EISDIR"),
        (lambda: fs.rename("/d", "/"), "EEXIST"),
        (lambda: fs.rename("/", "/d"), "ENOENT"),
        (lambda: fs.link("/d", "/"), "EEXIST"),
        (lambda: fs.unlink("/"), "EBUSY"),
        (lambda: fs.rmdir("/"), "EBUSY"),
        (lambda: fs.mkdir("/"), "EEXIST"),
        (lambda: fs.mkdir("/d/../e"), "EINVAL"),
    ):
        refused(code, wrong)
    fs.write_all("no slash", b"1")
    fs.write_all("//d/./..hidden", b"2")
    for name in (".x", "xy"):
        fs.write_all(f"/{name}", b"")
        fs.unlink(f"/{name}")
    assert fs.stat("/") == (0, True)
    assert (fs.listdir("/"), fs.listdir("/d/"), fs.read_all("/no slash")) == (["d", "no slash"], ["..hidden"], b"1")


def test_results_that_nobody_wants(disk: Disk) -> None:
    fs, top = disk
    fs.write_all(f"{top}/a", b"12345")
    raw, path = fs.pointer, f"{top}/a".encode()
    size, is_dir = ffi.new("uint64_t *"), ffi.new("int *")
    assert raw.ops.stat(raw, path, ffi.NULL, ffi.NULL) == 0
    assert raw.ops.stat(raw, path, size, ffi.NULL) == 0
    assert raw.ops.stat(raw, path, ffi.NULL, is_dir) == 0
    assert (size[0], is_dir[0]) == (5, 0)

    @ffi.callback("rec_name_fn")
    def enough(arg: object, name: object) -> int:
        heard.append(ffi.string(name))
        return 1

    fs.write_all(f"{top}/b", b"")
    heard: list[bytes] = []
    assert raw.ops.list(raw, top.encode(), enough, ffi.NULL) == 0
    assert len(heard) == 1, "the listing goes on after the caller has enough"


@pytest.mark.parametrize(("room", "told"), [(None, b""), (0, b""), (1, b""), (4, b"som"), (100, b"somebody")])
def test_the_holder_of_a_lock_in_little_room(disk: Disk, room: int | None, told: bytes) -> None:
    fs, top = disk
    raw, path, out = fs.pointer, f"{top}/LOCK".encode(), ffi.new("rec_file **")
    lock = fs.lock(f"{top}/LOCK", "somebody")
    found = ffi.NULL if room is None else ffi.new("char[]", b"-" * 100)
    assert raw.ops.lock(raw, path, b"me", found, room or 0, out) == -errno.EWOULDBLOCK
    if room:
        assert ffi.string(found) == told
    lock.close()
    assert raw.ops.lock(raw, path, b"", found, room or 0, out) == 0
    assert not room or found[0] == b"\0"
    out[0].ops.close(out[0])
    assert raw.ops.lock(raw, path, b"me", found, room or 0, out) == 0, "one that nobody holds any more is free"
    out[0].ops.close(out[0])


def test_calls_for_another_kind_of_file_system() -> None:
    memory, fault = recovery.memory(), recovery.fault(recovery.memory())
    for call in (
        lambda: recovery.FaultFileSystem.arm(memory),  # type: ignore[arg-type]
        lambda: recovery.FaultFileSystem.disarm(memory),  # type: ignore[arg-type]
        lambda: recovery.RecordFileSystem.mark(memory, "x"),  # type: ignore[arg-type]
        lambda: recovery.CryptFileSystem.add_key(memory, 1, KEY),  # type: ignore[arg-type]
        lambda: recovery.CryptFileSystem.key_of(memory, "/a"),  # type: ignore[arg-type]
        lambda: recovery.MemoryFileSystem.set_clock(fault, 1),  # type: ignore[arg-type]
    ):
        refused("EINVAL", call)
    assert recovery.FaultFileSystem.stuck(memory) == 0  # type: ignore[arg-type]
    assert recovery.FaultFileSystem.calls(memory) == 0  # type: ignore[arg-type]
    for mode in ("process", "power"):
        with pytest.raises(MemoryError):
            recovery.MemoryFileSystem.crash_clone(fault, mode)  # type: ignore[arg-type]
    for mode in (-1, 99):
        assert lib.rec_fs_memory_clone(memory.pointer, 0, mode) == ffi.NULL
    assert lib.rec_fs_record_take(memory.pointer, ffi.new("uint8_t **"), ffi.new("size_t *")) == -errno.EINVAL
    assert [lib.rec_fs_fault_arm(fault.pointer, b"*", b"*", n, e, 0, 0) for n, e in ((0, -5), (1, 0), (1, 99))] == [-errno.EINVAL] * 3


def test_a_file_in_memory_does_not_grow_under_a_mapping() -> None:
    fs = recovery.memory()
    f = fs.open("/a", "w")
    f.append(bytes(8192))
    f.sync()
    fs.sync_dir("/")
    views = [f.map(0, 4096), f.map(4096, 4096, writable=True), f.map(0, 8192)]
    views[1].buffer[100:103] = b"abc"
    refused("EBUSY", lambda: f.truncate(10**6))
    refused("EBUSY", lambda: f.append(bytes(10**6)))
    refused("EINVAL", lambda: f.map(0, 10**6))
    f.sync()
    assert fs.crash_clone("power").read_all("/a")[4196:4199] == b"abc"
    assert f.handle.ops.unmap(f.handle, views[0]._address, 5) == -errno.EINVAL, "no such mapping"
    assert f.handle.ops.unmap(f.handle, views[1]._address, 5) == -errno.EINVAL
    views[0].close()
    f.pwrite(b"x" * 5, 3)
    f.pwrite(b"y" * 3, 4097)
    f.sync()
    f.close()  # with two mappings left: they go with the file
    assert fs.crash_clone("power").read_all("/a")[:10] == b"\0\0\0xxxxx\0\0"
    refused("EFBIG", lambda: fs.open("/b", "w").truncate(2**41))


def test_a_sync_takes_any_bytes_under_a_mapping() -> None:
    fs = recovery.memory()
    f = fs.open("/a", "w")
    f.append(bytes(4096))
    f.sync()
    fs.sync_dir("/")
    expected, view = bytearray(4096), f.map(0, 4096)
    for at, n in ((3, 1), (5, 10), (0, 3), (8, 8), (17, 30)):
        f.pwrite(bytes([at + 1]) * n, at)
        expected[at : at + n] = bytes([at + 1]) * n
        f.sync()
        assert fs.crash_clone("power").read_all("/a") == expected
    view.close()


def test_a_rename_between_directories_survives_as_a_whole() -> None:
    for synced in ("/d", "/e"):
        fs = recovery.memory()
        for name in ("/d", "/e"):
            fs.mkdir(name)
        fs.write_all("/d/a", b"")
        for name in ("/", "/d"):
            fs.sync_dir(name)
        fs.rename("/d/a", "/e/b")
        fs.sync_dir(synced)
        left = fs.crash_clone("power")
        assert (left.listdir("/d"), left.listdir("/e")) == ([], ["b"])


def test_a_recording_tells_many_threads_apart() -> None:
    fs, n = recovery.record(recovery.memory()), 260
    together = threading.Barrier(n)

    def look() -> None:
        together.wait()
        fs.exists("/a")
        together.wait()

    threads = [threading.Thread(target=look) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = fs.events()
    assert len(events) == n
    assert {e.thread for e in events} == set(range(1, 258)), "those past the last place share it"


def test_more_than_one_rule_and_a_flip_at_the_end() -> None:
    fs = recovery.fault(recovery.memory())
    fs.write_all("/a", b"12345")
    fs.arm("pread", error="flip", sticky=True)
    with fs.open("/a") as f:
        assert f.pread(5, 5) == b""
        assert f.read_all() != b"12345"
    fs.disarm()
    fs.arm("*", "/a", error=errno.EPERM)
    fs.arm("rename", "/b", error=errno.EXDEV)
    refused("EXDEV", lambda: fs.rename("/c", "/b"))
    refused("EPERM", lambda: fs.rename("/c", "/a"))


def test_a_signal_does_not_shorten_a_delay() -> None:
    fs, heard = recovery.fault(recovery.memory()), []
    fs.arm("mkdir", error="latency", nanoseconds=200_000_000)
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    begun = time.monotonic()
    try:
        fs.mkdir("/d")
        assert time.monotonic() - begun >= 0.2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard


def test_names_of_encrypted_files() -> None:
    inner = recovery.memory()
    fs = crypt(inner)
    for name in ("CURRENT", "CURRENTx", "MANIFEST-x", "MANIFEST-000001", "000001.", "000001x", f"{'1' * 70}.log", "7.log.tmp", "KEYS.tmp"):
        fs.write_all(f"/{name}", name.encode())
        assert fs.read_all(f"/{name}") == name.encode()
        assert (fs.key_of(f"/{name}") is None) == (name == "KEYS.tmp")
    fs.rename("/CURRENTx", "/other")  # bound to no name
    fs.rename("/7.log.tmp", "/7.log")
    fs.rename("/KEYS.tmp", "/KEYS")
    assert (fs.read_all("/other"), fs.read_all("/7.log"), inner.read_all("/KEYS")) == (b"CURRENTx", b"7.log.tmp", b"KEYS.tmp")
    for source, target, code in (("/KEYS", "/x", "EINVAL"), ("/other", "/LOCK", "EINVAL"), ("/7.log", "/8.log", "ENOTSUP")):
        refused(code, lambda a=source, b=target: fs.rename(a, b))
        refused(code, lambda a=source, b=target: fs.link(a, b))
    refused("EINVAL", lambda: fs.lock("/other"))
    refused("ENOENT", lambda: fs.key_of("/none"))
    for plain in (b"", b"short", b"x" * 200):
        inner.write_all("/9.log", plain)
        assert fs.key_of("/9.log") is None


def test_no_key_no_file() -> None:
    fs = recovery.crypt(recovery.memory(), bytes(16), {}, 1)
    refused(errno.ENOKEY, lambda: fs.write_all("/7.log", b"x"))


@pytest.mark.parametrize("name", ["/7.log", "/7.sst"])
def test_an_encrypted_file_that_is_open_for_reading_only(name: str) -> None:
    inner = recovery.memory()
    fs = crypt(inner)
    inner.write_all(name, b"")
    with fs.open(name) as f:
        assert (f.size(), f.read_all()) == (0, b"")
        assert f.pread(5, 0) == b""
        refused("EBADF", lambda: f.append(b"x"))
        refused("EBADF", lambda: f.pwrite(b"x", 0))


def test_a_table_is_written_from_end_to_end() -> None:
    fs = crypt()
    with fs.open("/7.sst", "w") as f:
        f.append(b"12345")
        f.pwrite(b"67", 5)
        for call in (lambda: f.pwrite(b"x", 3), lambda: f.truncate(3), lambda: f.allocate(100)):
            refused("ENOTSUP", call)
        f.truncate(7)
        f.allocate(7)
        refused("EINVAL", lambda: f.pread(1, FAR))
        assert (f.pread(0, 2), f.pread(100, 5)) == (b"", b"67")
    with fs.open("/7.sst") as f:
        assert (f.pread(0, 2), f.pread(100, 5), f.pread(1, 100)) == (b"", b"67", b"")
        out = ffi.new("char[]", 100)
        assert f.handle.ops.pread(f.handle, out, 0, 2) == 0
        assert f.handle.ops.pread(f.handle, out, 100, 5) == 2


def test_much_goes_through_windows_into_reserved_space() -> None:
    fs = crypt()
    piece = bytes(range(1, 252)) * 400
    with fs.open("/7.log", "w") as f:
        f.allocate(4 << 20)
        f.allocate(1 << 20)
        refused("EFBIG", lambda: f.pwrite(b"x", 2**56))
        refused("EFBIG", lambda: f.pwrite(b"xx", 2**55 - 1))
        refused("EFBIG", lambda: f.truncate(2**56))
        refused("EFBIG", lambda: f.allocate(2**56))
        for i in range(30):
            f.pwrite(piece, i * len(piece))
        f.allocate(10)
        f.truncate(30 * len(piece))
        out = ffi.new("char[]", 100)
        assert f.handle.ops.pread(f.handle, out, 100, 30 * len(piece) - 7) == 7
        assert f.handle.ops.pread(f.handle, out, 100, 31 * len(piece)) == 0
    assert fs.read_all("/7.log") == piece * 30


@pytest.mark.parametrize("head", [b"LSMCRYPT", b""])
def test_a_header_that_a_crash_tore_is_read_to_its_end(head: bytes) -> None:
    inner = recovery.memory()
    below = recovery.fault(inner)
    fs = crypt(below)
    inner.write_all("/7.log", head + bytes(9000))
    assert fs.read_all("/7.log") == b""
    for nth in (1, 2, 3):
        below.arm("pread", nth=nth, error=errno.EIO)
        refused("EIO", lambda: fs.open("/7.log"))
        below.disarm()
    below.arm("pread", nth=2, error=errno.EIO)
    with suppress(OSError), fs.open("/7.log", "a") as f:
        f.append(b"x")
    below.disarm()
    inner.write_all("/7.log", head + bytes(6000) + b"x")
    refused("EBADMSG", lambda: fs.open("/7.log"))


def test_space_that_is_reserved_already_is_not_given_up() -> None:
    below = recovery.fault(recovery.memory())
    fs = crypt(below)
    below.arm("map", error=errno.ENOTSUP, sticky=True)
    with fs.open("/7.log", "w") as f:
        f.append(b"12345")
        below.arm("pwrite", error=errno.EIO)
        refused("EIO", lambda: f.allocate(1 << 20))  # the space is there, the frame that says so is not
    with fs.open("/7.log", "a") as f:
        f.allocate(5000)
        assert f.read_all() == b"12345" + bytes(4995)
    assert fs.read_all("/7.log") == b"12345" + bytes(4995)


def test_an_encrypted_file_that_changes_below_an_open_handle() -> None:
    inner = recovery.memory()
    fs = crypt(inner)
    fs.write_all("/7.log", b"12345" * 100)
    with fs.open("/7.log") as f:
        assert f.read_all() == b"12345" * 100
        with inner.open("/7.log", "r+") as raw:
            raw.pwrite(b"\xff", 89)  # in the head of the frame
        refused("EBADMSG", f.read_all)


def test_salvage_reads_damaged_pages_as_ones() -> None:
    inner = recovery.memory()
    fs = crypt(inner)
    fs.write_all("/7.sst", bytes(range(250)) * 40)
    with inner.open("/7.sst", "r+") as raw:
        raw.pwrite(b"\xff\xff", 88 + 4124 + 500)
    out, data = ffi.new("rec_file **"), ffi.new("uint8_t[]", 10_000)
    assert fs.pointer.ops.open(fs.pointer, b"/7.sst", lib.REC_O_READ | lib.REC_O_SALVAGE, out) == 0
    assert out[0].ops.pread(out[0], data, 10_000, 0) == 10_000
    out[0].ops.close(out[0])
    want = bytes(range(250)) * 40
    assert bytes(ffi.buffer(data)) == want[:4096] + b"\xff" * 4096 + want[8192:]


@pytest.mark.parametrize("sizes", [(300_000, 7, 0, 0), (5, 5, 5, 5)])
def test_a_failed_read_of_a_damaged_file_is_told(sizes: tuple[int, ...]) -> None:
    inner = recovery.memory()
    below = recovery.fault(inner)
    fs = crypt(below)
    with fs.open("/7.log", "w") as f:
        for i in range(12):
            f.append(bytes([i + 1]) * sizes[i % 4])
            f.truncate(f.size() - i % 2)
    whole = inner.read_all("/7.log")
    for at in range(100, len(whole), len(whole) // 7):
        for torn in (False, True):
            inner.write_all("/7.log", whole[:at] + (bytes(64) if torn else b"\xff" * 64) + whole[at + 64 :])

            def read() -> bytes | int:
                try:
                    return fs.read_all("/7.log")
                except OSError as e:
                    return e.errno or 0

            below.disarm()
            calls = below.calls()
            want = read()
            for nth in range(1, below.calls() - calls + 1):
                for kind in (errno.EIO, "short_read"):
                    below.arm("pread", nth=nth, error=kind)
                    assert read() in (want, errno.EIO, errno.EBADMSG), f"damage at {at}, call {nth}: {kind}"
                    below.disarm()
