"""What the extension eviction._native is made of; read by native_build.py."""

HEADERS = ["policy.h", "kinds.h", "replay.h", "cache_type.h"]
SOURCES = [
    "kinds.c",
    "residents.c",
    "ghosts.c",
    "plain.c",
    "belady.c",
    "replay.c",
    "lru.c",
    "fifo.c",
    "clock.c",
    "sieve.c",
    "arc.c",
    "clockpro.c",
    "wtinylfu.c",
    "sketch.c",
    "lirs.c",
    "lfu.c",
    "s3fifo.c",
    "slru.c",
    "two_queue.c",
    "cache_map.c",
    "cache_timer.c",
    "cache_core.c",
    "cache_events.c",
    "cache_args.c",
    "cache_life.c",
    "cache_type.c",
    "cached_call.c",
    "flight.c",
]
INCLUDES: list[str] = []
