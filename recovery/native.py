"""The extension's files and checksums as typed Python: the only door to ``recovery._native`` (with ``native_wal``)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any, Self

try:
    from ._native import ffi, lib
except ImportError as problem:
    raise ImportError("recovery/_native is missing or does not load: run make build") from problem

from . import _stamp

_stamp.check(ffi.string(lib.recovery_build_stamp()).decode())

Path = str | os.PathLike[str]
Buffer = bytes | bytearray | memoryview

READ, WRITE, CREATE, EXCL, TRUNC = (int(getattr(lib, f"REC_O_{n}")) for n in ("READ", "WRITE", "CREATE", "EXCL", "TRUNC"))
_MODES = {
    "r": READ,
    "r+": READ | WRITE,
    "a": READ | WRITE | CREATE,
    "w": READ | WRITE | CREATE | TRUNC,
    "x": READ | WRITE | CREATE | EXCL,
    "salvage": READ | lib.REC_O_SALVAGE,
}

CRASH_MODES: dict[str, int] = {"process": lib.REC_CRASH_PROCESS, "power": lib.REC_CRASH_POWER, "random": lib.REC_CRASH_RANDOM}
FAULT_KINDS: dict[str, int] = {
    kind: int(getattr(lib, f"REC_FAULT_{kind.upper()}")) for kind in ("short", "flip", "short_read", "lie", "latency", "stuck")
}


class LockHeld(BlockingIOError):
    """Another opener holds the lock; ``holder`` is the text it left in the file."""

    holder: str = ""


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _path(path: Path) -> bytes:
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise ValueError(f"a path cannot hold a zero byte: {path!r}")
    return raw


def check(code: int, path: object = None, other: object = None) -> int:
    """Return a non-negative code unchanged; raise the matching OSError for -errno, naming the path."""
    if code >= 0:
        return code
    if path is None:
        raise OSError(-code, os.strerror(-code))
    names = (str(path),) if other is None else (str(path), None, str(other))
    raise OSError(-code, os.strerror(-code), *names)


def crc32c(data: Buffer, crc: int = 0) -> int:
    """Return the CRC-32C (Castagnoli) of data, continuing ``crc``; O(n), about 10 bytes a nanosecond with SSE4.2."""
    view = ffi.from_buffer(data)
    return int(lib.rec_crc32c(crc, view, len(view)))


def crc32c_portable(data: Buffer, crc: int = 0) -> int:
    """Like :func:`crc32c`, by the kernel that needs no special CPU."""
    view = ffi.from_buffer(data)
    return int(lib.rec_crc32c_portable(crc, view, len(view)))


def mask(crc: int) -> int:
    """Return the form of a checksum that is stored in files (LevelDB, doc/log_format.md)."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def unmask(masked: int) -> int:
    """Undo :func:`mask`."""
    rot = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return ((rot >> 17) | (rot << 15)) & 0xFFFFFFFF


def crc32c_address() -> int:
    """Return the address of ``uint32_t rec_crc32c(uint32_t, const void *, size_t)`` for another extension."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, "rec_crc32c")))


_held: dict[int, FileSystem] = {}
"""File system of every open file: the garbage collector ends a cycle in any order, and a file must go before its file system."""


class File:
    """An open file. Methods raise OSError with errno and the path. Close it, or use it in a ``with``; calls may come from any thread."""

    def __init__(self, fs: FileSystem, handle: Any, path: Path) -> None:
        """Take over an open handle; use :meth:`FileSystem.open`."""
        self._handle: Any = handle
        _held[_address(handle)] = fs
        self.path = path

    @property
    def handle(self) -> Any:
        """The ``rec_file *``; ValueError once closed."""
        if self._handle is None:
            raise ValueError(f"{self.path}: the file is closed")
        return self._handle

    def append(self, data: Buffer) -> None:
        """Write all of data at the end of the file."""
        view = ffi.from_buffer(data)
        check(self.handle.ops.append(self.handle, view, len(view)), self.path)

    def pwrite(self, data: Buffer, offset: int) -> None:
        """Write all of data at a byte offset."""
        view = ffi.from_buffer(data)
        check(self.handle.ops.pwrite(self.handle, view, len(view), offset), self.path)

    def pread(self, n: int, offset: int) -> bytes:
        """Return up to n bytes from a byte offset; fewer only at the end of the file.

        OSError EIO when the file system returns fewer than its own size says: never taken for the end.
        """
        n = min(n, max(0, self.size() - offset))
        out = bytearray(n)
        got = check(self.handle.ops.pread(self.handle, ffi.from_buffer(out), n, offset), self.path)
        if got != n:
            raise OSError(errno.EIO, f"a read at byte {offset} returned {got} bytes of {n}", str(self.path))
        return bytes(out)

    def read_all(self) -> bytes:
        """Return the whole content."""
        return self.pread(self.size(), 0)

    def sync(self) -> None:
        """Make data and size durable. After a failure nothing may be assumed of what was written: do not retry."""
        check(self.handle.ops.sync(self.handle), self.path)

    def truncate(self, size: int) -> None:
        """Set the size; growing fills with zeros."""
        check(self.handle.ops.truncate(self.handle, size), self.path)

    def allocate(self, size: int) -> None:
        """Reserve space and grow to size, zero filled; a full disk shows up here (ENOSPC)."""
        check(self.handle.ops.allocate(self.handle, size), self.path)

    def size(self) -> int:
        """Return the size in bytes."""
        out = ffi.new("uint64_t *")
        check(self.handle.ops.size_of(self.handle, out), self.path)
        return int(out[0])

    def map(self, offset: int, n: int, *, writable: bool = False) -> Mapping:
        """Return a shared mapping; ``offset`` is a multiple of 4096. OSError ENOTSUP where there is none."""
        out = ffi.new("void **")
        check(self.handle.ops.map(self.handle, offset, n, writable, out), self.path)
        return Mapping(self, out[0], n)

    def close(self) -> None:
        """Close; a second call does nothing. An error of the close is raised, and the file is closed all the same."""
        handle, self._handle = self._handle, None
        if handle is not None:
            fs = _held.pop(_address(handle))  # alive until the handle is closed
            check(handle.ops.close(handle), self.path)
            del fs

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Close a forgotten file without raising."""
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            fs = _held.pop(_address(handle))
            handle.ops.close(handle)
            del fs


class Mapping:
    """A shared mapping of a file: ``buffer`` reads (and writes) its bytes until :meth:`close`, which comes before the file's."""

    def __init__(self, file: File, address: Any, n: int) -> None:
        """Take over a mapping; use :meth:`File.map`."""
        self._file, self._address, self._n = file, address, n
        self.buffer = ffi.buffer(address, n)

    def close(self) -> None:
        """Unmap; ``buffer`` must not be used any more."""
        del self.buffer
        check(self._file.handle.ops.unmap(self._file.handle, self._address, self._n), self._file.path)


class Lock(File):
    """A held lock; :meth:`close` releases it, and so does the death of the process."""


class FileSystem:
    """Any ``rec_fs``: files by path, and directories. Methods raise OSError with errno and the path.

    Whoever passes :attr:`address` to C keeps this object alive for as long. Calls may come from any thread.
    """

    def __init__(self, pointer: Any, *, owned: bool = True, inner: FileSystem | None = None) -> None:
        """Wrap a ``rec_fs *`` (or its address as an int). ``owned``: destroy it with this object; ``inner`` is kept alive."""
        pointer = ffi.cast("rec_fs *", pointer)
        if pointer == ffi.NULL:
            raise MemoryError("no memory for a file system")
        if pointer.ops.abi != lib.REC_FS_ABI or pointer.ops.size < ffi.sizeof("rec_fs_ops"):
            raise ValueError(
                f"rec_fs of abi {pointer.ops.abi} and size {pointer.ops.size}: need {lib.REC_FS_ABI}, {ffi.sizeof('rec_fs_ops')}"
            )
        self.pointer = ffi.gc(pointer, pointer.ops.destroy) if owned else pointer
        self.inner = inner

    @property
    def address(self) -> int:
        """The ``rec_fs *`` as an integer, for another extension."""
        return int(ffi.cast("uintptr_t", self.pointer))

    @property
    def name(self) -> str:
        """The kind of file system, as it calls itself."""
        return str(ffi.string(self.pointer.ops.name).decode())

    def __repr__(self) -> str:
        """Return kind and address."""
        return f"<FileSystem {self.name} at {self.address:#x}>"

    def open(self, path: Path, mode: str | int = "r") -> File:
        """Open a file: "r" read, "r+" also write, "a" create when missing, "w" create or empty, "x" create, must not exist.

        "salvage": read, and where an encrypted file is damaged take 0xff for it: for readers with checksums of their own.
        """
        flags = mode if isinstance(mode, int) else _MODES.get(mode)
        if flags is None:
            raise ValueError(f"mode {mode!r}: one of {', '.join(_MODES)}")
        out = ffi.new("rec_file **")
        check(self.pointer.ops.open(self.pointer, _path(path), flags, out), path)
        return File(self, out[0], path)

    def read_all(self, path: Path) -> bytes:
        """Return the content of a file."""
        with self.open(path) as f:
            return f.read_all()

    def write_all(self, path: Path, data: Buffer, *, sync: bool = False) -> None:
        """Create or replace a file with this content (not atomically); ``sync`` makes the data, not the name, durable."""
        with self.open(path, "w") as f:
            f.append(data)
            if sync:
                f.sync()

    def rename(self, source: Path, target: Path) -> None:
        """Rename; replaces the target atomically."""
        check(self.pointer.ops.rename(self.pointer, _path(source), _path(target)), source, target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; FileExistsError when the target is there."""
        check(self.pointer.ops.link(self.pointer, _path(source), _path(target)), source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        check(self.pointer.ops.unlink(self.pointer, _path(path)), path)

    def mkdir(self, path: Path) -> None:
        """Make a directory (mode 0700)."""
        check(self.pointer.ops.mkdir(self.pointer, _path(path)), path)

    def makedirs(self, path: Path) -> None:
        """Make a directory and its parents, each durable in the one above; those that are there stay."""
        parent = os.path.dirname(os.fspath(path))
        if parent and parent != os.fspath(path) and not self.exists(parent):
            self.makedirs(parent)
        if not self.exists(path):
            try:
                self.mkdir(path)
            except FileExistsError:  # another made it meanwhile
                if not self.stat(path)[1]:
                    raise
            self.sync_dir(parent or ".")

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        check(self.pointer.ops.rmdir(self.pointer, _path(path)), path)

    def stat(self, path: Path) -> tuple[int, bool]:
        """Return (size in bytes, is a directory); FileNotFoundError when missing."""
        size, is_dir = ffi.new("uint64_t *"), ffi.new("int *")
        check(self.pointer.ops.stat(self.pointer, _path(path), size, is_dir), path)
        return int(size[0]), bool(is_dir[0])

    def exists(self, path: Path) -> bool:
        """Tell whether there is a file or directory; other errors than its absence are raised."""
        try:
            self.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def listdir(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted."""
        out, n = ffi.new("uint8_t **"), ffi.new("size_t *")
        check(lib.rec_bridge_list(self.pointer, _path(path), out, n), path)
        try:
            raw = bytes(ffi.buffer(out[0], n[0])) if n[0] else b""
        finally:
            lib.rec_bridge_free(out[0])
        return sorted(os.fsdecode(name) for name in raw.split(b"\0")[:-1])

    def walk_files(self, path: Path) -> Iterator[str]:
        """Yield the paths of all files under a directory, in order."""
        for name in self.listdir(path):
            below = os.path.join(os.fspath(path), name)
            if self.stat(below)[1]:
                yield from self.walk_files(below)
            else:
                yield below

    def sync_dir(self, path: Path) -> None:
        """Make the names in a directory durable."""
        check(self.pointer.ops.sync_dir(self.pointer, _path(path)), path)

    def lock(self, path: Path, holder: str = "") -> Lock:
        """Take the exclusive lock of a file, leaving ``holder`` in it; LockHeld (a BlockingIOError) names who has it."""
        out, found = ffi.new("rec_file **"), ffi.new("char[]", 512)
        code = self.pointer.ops.lock(self.pointer, _path(path), holder.encode(), found, 512, out)
        if code == -errno.EAGAIN or (code and found[0] != b"\0"):
            text = ffi.string(found).decode("utf-8", "replace")
            problem = LockHeld(-code, f"locked by {text or 'one that left no name yet'}", str(path))
            problem.holder = text
            raise problem
        check(code, path)
        return Lock(self, out[0], path)

    def stats(self) -> dict[str, int]:
        """Return what the backend really did since its creation: calls and bytes by kind."""
        out = ffi.new("rec_fs_stats *")
        self.pointer.ops.stats(self.pointer, out)
        return {name: int(getattr(out, name)) for name, _ in ffi.typeof("rec_fs_stats").fields}

    def now_ns(self) -> int:
        """Return its monotonic clock in nanoseconds."""
        return int(self.pointer.ops.now_ns(self.pointer))


class MemoryFileSystem(FileSystem):
    """Files in memory that know what would survive a crash."""

    def crash_clone(self, mode: int | str = "process", seed: int = 0) -> MemoryFileSystem:
        """Return an independent copy as found after a crash; locks are gone.

        ``process`` (0): everything written is there. ``power`` (1): all that was not synced, data and names, is lost.
        ``random`` (2): each unsynced 512-byte sector (perhaps torn between two 8-byte words), file size and directory
        change survives by chance, from ``seed``.
        """
        code = CRASH_MODES.get(mode) if isinstance(mode, str) else mode
        if code not in CRASH_MODES.values():
            raise ValueError(f"crash mode {mode!r}: one of {', '.join(CRASH_MODES)} or {list(CRASH_MODES.values())}")
        return MemoryFileSystem(lib.rec_fs_memory_clone(self.pointer, seed & (1 << 64) - 1, code))

    def set_clock(self, ns: int) -> None:
        """Let its clock stand at ns until it is set again, for runs that are to be repeated to the byte; 0: the system's clock."""
        check(lib.rec_fs_memory_set_clock(self.pointer, ns))


class FaultFileSystem(FileSystem):
    """Passes every call on to ``inner``, except those that were armed to fail."""

    def arm(
        self, op: str = "*", path: str = "*", nth: int = 1, error: int | str = 5, sticky: bool = False, *, nanoseconds: int = 0
    ) -> None:
        """From now on the nth (from 1) call matching both patterns fails; ``sticky``: so do all matching ones behind it.

        ``op`` is a pattern over the member names of ``rec_fs_ops``. ``error`` is an errno, which the caller sees (EINTR too), or a kind:
        "short": append and pwrite write half, then ENOSPC. "flip": one bit of what pread returns is wrong. "short_read": pread returns
        half, also in the middle of a file. "lie": sync and sync_dir return 0 and make nothing durable. "latency": the call goes through
        after ``nanoseconds``. "stuck": it goes through once :meth:`disarm` is called. Kinds match only the calls that they can act on.
        Stores through mappings are no calls: to see each write, arm "map" with ENOTSUP.
        """
        kind = FAULT_KINDS.get(error) if isinstance(error, str) else -error
        if kind is None or (isinstance(error, int) and error <= 0):
            raise ValueError(f"error {error!r}: a positive errno or one of {', '.join(FAULT_KINDS)}")
        if nanoseconds < 0 or bool(nanoseconds) != (error == "latency"):
            raise ValueError(f"nanoseconds {nanoseconds} with {error!r}: more than 0 with 'latency', else 0")
        check(lib.rec_fs_fault_arm(self.pointer, op.encode(), path.encode(), nth, kind, sticky, nanoseconds))

    def disarm(self) -> None:
        """Forget every rule; calls that are stuck go on."""
        check(lib.rec_fs_fault_disarm(self.pointer))

    def stuck(self) -> int:
        """Return how many calls are stuck now."""
        return int(lib.rec_fs_fault_stuck(self.pointer))

    def calls(self, op: str = "*", path: str = "*") -> int:
        """Return how many matching calls were made so far, failed ones included."""
        return int(lib.rec_fs_fault_calls(self.pointer, op.encode(), path.encode()))


def posix() -> FileSystem:
    """Return the real file system."""
    return FileSystem(lib.rec_fs_posix())


def memory() -> MemoryFileSystem:
    """Return a new, empty file system in memory."""
    return MemoryFileSystem(lib.rec_fs_memory())


def fault(inner: FileSystem) -> FaultFileSystem:
    """Return a wrapper around ``inner`` that fails on command."""
    return FaultFileSystem(lib.rec_fs_fault(inner.pointer), inner=inner)
