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
from .native_wal import (
    FORCE,
    RECOVERY_MODES,
    SYNC_MODES,
    Record,
    ReplayReport,
    WalCorruption,
    WalWriter,
    read_wal,
    segment_name,
    wal_ops_address,
    wal_read_address,
)
from .replay import log_numbers, replay

FILESYSTEMS: dict[str, Callable[[], FileSystem]] = {"posix": posix, "memory": memory, "fault": lambda: fault(memory())}
"""Kind of file system to its constructor."""

__all__ = [
    "CRASH_MODES",
    "FAULT_KINDS",
    "FILESYSTEMS",
    "FORCE",
    "RECOVERY_MODES",
    "SYNC_MODES",
    "FaultFileSystem",
    "File",
    "FileSystem",
    "Lock",
    "LockHeld",
    "MemoryFileSystem",
    "Record",
    "ReplayReport",
    "WalCorruption",
    "WalWriter",
    "crc32c",
    "crc32c_address",
    "fault",
    "log_numbers",
    "mask",
    "memory",
    "posix",
    "read_wal",
    "replay",
    "segment_name",
    "unmask",
    "wal_ops_address",
    "wal_read_address",
]
