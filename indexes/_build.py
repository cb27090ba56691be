"""What the extension indexes._native is made of; read by native_build.py."""

HEADERS = ["filter.h", "search.h", "hash.h", "kinds.h", "builtins.h"]
SOURCES = [
    "hash.c",
    "murmur.c",
    "distinct.c",
    "bloom.c",
    "blocked.c",
    "counting.c",
    "cuckoo.c",
    "peeled.c",
    "ribbon.c",
    "search.c",
    "kinds.c",
    "builtins.c",
]
INCLUDES: list[str] = []
