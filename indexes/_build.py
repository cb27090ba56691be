"""What the extension indexes._native is made of; read by native_build.py."""

<<<<<<< HEAD
HEADERS = ["filter.h", "search.h", "hash.h", "kinds.h", "rowset.h", "rowset_edit.h", "entries.h", "ordered.h", "hashed.h", "memory.h"]
SOURCES = ["hash.c", "bloom.c", "blocked.c", "search.c", "kinds.c", "words.c", "container.c", "rowset.c", "rowset_ops.c", "rowset_form.c", "rowset_edit.c", "entries.c", "ordered.c", "hashed.c", "memory.c"]
=======
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
>>>>>>> ix4
INCLUDES: list[str] = []
