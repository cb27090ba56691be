"""What the extension indexes._native is made of; read by native_build.py."""

HEADERS = ["filter.h", "search.h"]
SOURCES: list[str] = []
INCLUDES: list[str] = []
