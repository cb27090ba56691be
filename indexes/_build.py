"""What the extension indexes._native is made of; read by native_build.py."""

HEADERS = [
    "filter.h",
    "search.h",
    "hash.h",
    "kinds.h",
    "rowset.h",
    "rowset_edit.h",
    "entries.h",
    "ordered.h",
    "hashed.h",
    "memory.h",
    "bitmap.h",
    "bitslice.h",
]
SOURCES = [
    "hash.c",
    "bloom.c",
    "blocked.c",
    "search.c",
    "kinds.c",
    "words.c",
    "container.c",
    "rowset.c",
    "rowset_ops.c",
    "rowset_form.c",
    "rowset_edit.c",
    "entries.c",
    "ordered.c",
    "hashed.c",
    "memory.c",
    "elias_fano.c",
    "bitmap.c",
    "slices.c",
    "bitslice.c",
    "bitslice_write.c",
]
INCLUDES: list[str] = []
