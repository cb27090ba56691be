"""What the extension eviction._native is made of; read by native_build.py."""

HEADERS = ["policy.h"]
SOURCES: list[str] = []
INCLUDES: list[str] = []
