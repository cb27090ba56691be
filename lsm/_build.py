"""What the extension lsm._native is made of; read by native_build.py."""

HEADERS = ["types.h", "ledger.h", "codec.h", "memtable.h", "cache.h", "table.h", "merge.h", "engine.h"]
SOURCES: list[str] = [
    "arena.c",
    "bucket.c",
    "hashmem.c",
    "job.c",
    "memtable_find.c",
    "merge.c",
    "run_iter.c",
    "skiplist.c",
    "sorted_records.c",
    "sweep.c",
    "vector.c",
]
INCLUDES = ["recovery/csrc/fs.h", "recovery/csrc/wal.h", "eviction/csrc/policy.h", "indexes/csrc/filter.h", "indexes/csrc/search.h"]
