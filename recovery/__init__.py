"""What survives a crash: files (real, in memory, failing on command), checksums and the write-ahead log.

>>> import recovery
>>> disk = recovery.memory()
>>> disk.write_all("/a", b"hello")
>>> disk.crash_clone("power").exists("/a")
False
"""

from __future__ import annotations

from collections.abc import Callable

from .native import (
    CRASH_MODES,
    FAULT_KINDS,
    FaultFileSystem,
    File,
    FileSystem,
    Lock,
    LockHeld,
    MemoryFileSystem,
    crc32c,
    crc32c_address,
    fault,
    mask,
    memory,
    posix,
    unmask,
)

FILESYSTEMS: dict[str, Callable[[], FileSystem]] = {"posix": posix, "memory": memory, "fault": lambda: fault(memory())}
"""Kind of file system to its constructor."""

__all__ = [
    "CRASH_MODES",
    "FAULT_KINDS",
    "FILESYSTEMS",
    "FaultFileSystem",
    "File",
    "FileSystem",
    "Lock",
    "LockHeld",
    "MemoryFileSystem",
    "crc32c",
    "crc32c_address",
    "fault",
    "mask",
    "memory",
    "posix",
    "unmask",
]
