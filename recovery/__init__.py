"""What survives a crash: files (real, in memory, failing on command, recorded), crash states, order rules, checksums, the write-ahead log.

>>> import recovery
>>> disk = recovery.memory()
>>> disk.write_all("/a", b"hello")
>>> disk.crash_clone("power").exists("/a")
False
"""

from __future__ import annotations

import os
from collections.abc import Callable

from .alloc_fault import AllocationFaults
from .alloc_fault import build as build_alloc_fault
from .alloc_fault import environment as alloc_fault_environment
from .backup_crypt import CODECS as BACKUP_CODECS
from .backup_crypt import load_key
from .backup_store import MAX_OBJECT, BackupStore, Stored, StoreDamage, file_pieces
from .crash_states import CrashState, crash_states, files_of, materialise
from .failures import SEVERITIES, Severity, classify
from .keyring import KeysDamaged, WrongKey
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
from .native_crypt import CryptFileSystem, Crypto, CryptoMissing, crypt, load_crypto
from .native_device import PROFILES as DEVICES
from .native_device import DeviceFileSystem, DeviceProfile, device
from .native_record import Listener, RecordFileSystem, record
from .native_wal import (
    DATA,
    FORCE,
    MARK,
    NOTE,
    RECOVERY_MODES,
    SEGMENT_HEADER,
    SYNC_MODES,
    Clock,
    Record,
    ReplayReport,
    WalCorruption,
    WalWriter,
    read_wal,
    segment_capacity,
    segment_name,
    unpack,
    wal_ops_address,
    wal_read_address,
)
from .order_rules import Broken, Files, OrderBroken, OrderRules
from .recording import Event
from .replay import log_numbers, replay, replay_packed
from .retry import Guard, TargetUnavailable

FILESYSTEMS: dict[str, Callable[[], FileSystem]] = {
    "posix": posix,
    "memory": memory,
    "fault": lambda: fault(memory()),
    "crypt": lambda: crypt(memory(), bytes(16), {1: os.urandom(32)}, 1),
    "record": lambda: record(memory()),
    "device": lambda: device(memory()),
}
"""Kind of file system to its constructor."""

__all__ = [
    "BACKUP_CODECS",
    "CRASH_MODES",
    "DATA",
    "DEVICES",
    "FAULT_KINDS",
    "FILESYSTEMS",
    "FORCE",
    "MARK",
    "MAX_OBJECT",
    "NOTE",
    "RECOVERY_MODES",
    "SEGMENT_HEADER",
    "SEVERITIES",
    "SYNC_MODES",
    "AllocationFaults",
    "BackupStore",
    "Broken",
    "Clock",
    "CrashState",
    "CryptFileSystem",
    "Crypto",
    "CryptoMissing",
    "DeviceFileSystem",
    "DeviceProfile",
    "Event",
    "FaultFileSystem",
    "File",
    "FileSystem",
    "Files",
    "Guard",
    "KeysDamaged",
    "Listener",
    "Lock",
    "LockHeld",
    "MemoryFileSystem",
    "OrderBroken",
    "OrderRules",
    "Record",
    "RecordFileSystem",
    "ReplayReport",
    "Severity",
    "StoreDamage",
    "Stored",
    "TargetUnavailable",
    "WalCorruption",
    "WalWriter",
    "WrongKey",
    "alloc_fault_environment",
    "build_alloc_fault",
    "classify",
    "crash_states",
    "crc32c",
    "crc32c_address",
    "crypt",
    "device",
    "fault",
    "file_pieces",
    "files_of",
    "load_crypto",
    "load_key",
    "log_numbers",
    "mask",
    "materialise",
    "memory",
    "posix",
    "read_wal",
    "record",
    "replay",
    "replay_packed",
    "segment_capacity",
    "segment_name",
    "unmask",
    "unpack",
    "wal_ops_address",
    "wal_read_address",
]
