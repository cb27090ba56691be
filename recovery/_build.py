"""What the extension recovery._native is made of; read by native_build.py."""

HEADERS = ["fs.h", "wal.h"]
SOURCES: list[str] = []
INCLUDES: list[str] = []
