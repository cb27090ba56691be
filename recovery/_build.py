"""What the extension recovery._native is made of; read by native_build.py."""

HEADERS = ["fs.h", "fs_kinds.h", "crc32c.h", "bridge.h", "wal.h", "wal_read.h"]
SOURCES = [
    "crc32c.c",
    "fs_posix.c",
    "fs_memory.c",
    "fs_memory_inode.c",
    "fs_memory_crash.c",
    "fs_fault.c",
    "bridge.c",
    "wal.c",
    "wal_read.c",
]
INCLUDES: list[str] = []
