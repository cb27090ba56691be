"""What the extension eviction._native is made of; read by native_build.py."""

HEADERS = ["policy.h", "kinds.h", "replay.h", "front.h"]
SOURCES = [
    "kinds.c",
    "residents.c",
    "ghosts.c",
    "plain.c",
    "belady.c",
    "replay.c",
    "front.c",
    "lru.c",
    "fifo.c",
    "clock.c",
    "sieve.c",
    "arc.c",
    "experts.c",
    "lruk.c",
    "aging.c",
    "random.c",
    "mru.c",
    "clockpro.c",
    "wtinylfu.c",
    "sketch.c",
    "lirs.c",
    "lfu.c",
    "s3fifo.c",
    "slru.c",
    "two_queue.c",
    "lirs2.c",
    "frd.c",
    "lists.c",
]
INCLUDES: list[str] = []
