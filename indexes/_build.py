"""What the extension indexes._native is made of; read by native_build.py."""

HEADERS = ["filter.h", "search.h", "hash.h", "kinds.h", "range_filter.h", "ranges.h", "pgm.h"]
SOURCES = ["hash.c", "bloom.c", "blocked.c", "search.c", "kinds.c"]
SOURCES += ["ranges.c", "surf_build.c", "surf_probe.c", "snarf.c", "snarf_build.c", "prefix_bloom.c", "pgm.c", "pgm_build.c", "learned.c"]
INCLUDES: list[str] = []
