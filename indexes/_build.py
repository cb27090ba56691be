"""What the extension indexes._native is made of; read by native_build.py."""

HEADERS = ["filter.h", "search.h", "hash.h", "kinds.h", "rtree.h"]
SOURCES = [
    "hash.c",
    "bloom.c",
    "blocked.c",
    "search.c",
    "kinds.c",
    "rtree_node.c",
    "rtree_hits.c",
    "rtree_order.c",
    "rtree_pack.c",
    "rtree_query.c",
    "rtree_near.c",
    "rtree_store.c",
    "rtree_insert.c",
    "rtree_delete.c",
]
INCLUDES: list[str] = []
