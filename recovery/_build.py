"""What the extension recovery._native is made of; read by native_build.py."""

HEADERS = ["fs.h", "fs_kinds.h", "fs_record.h", "fs_device.h", "crc32c.h", "bridge.h", "wal.h", "wal_read.h", "aead.h", "fs_crypt.h"]
SOURCES = [
    "crc32c.c",
    "fs_posix.c",
    "fs_memory.c",
    "fs_memory_inode.c",
    "fs_memory_crash.c",
    "fs_fault.c",
    "fs_record.c",
    "fs_device.c",
    "bridge.c",
    "wal.c",
    "wal_read.c",
    "aead.c",
    "fs_crypt.c",
    "fs_crypt_paged.c",
    "fs_crypt_framed.c",
]
INCLUDES: list[str] = []
