"""What the extension eviction._native is made of; read by native_build.py."""

HEADERS = ["policy.h", "kinds.h", "replay.h"]
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
    "lists.c",
    "car.c",
    "mq.c",
    "cart.c",
    "qdlp.c",
    "clock2qplus.c",
]
INCLUDES: list[str] = []
