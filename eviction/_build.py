"""What the extension eviction._native is made of; read by native_build.py."""

HEADERS = ["policy.h", "kinds.h", "replay.h"]
SOURCES = ["kinds.c", "residents.c", "plain.c", "lru.c", "fifo.c", "clock.c", "sieve.c", "arc.c", "replay.c"]
INCLUDES: list[str] = []
