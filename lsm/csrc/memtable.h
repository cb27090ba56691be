/* memtable.h: the memtable ops table: where writes live, sorted, until they are flushed.
 *
 *    add (one writer at a time) --> [ btree | skiplist | vector | hash | yours ] --> get, iter (any number of readers, no lock)
 *
 * Ownership: add copies key and value; pointers from get and iter live as long as the memtable, which is reference-counted by its owner (engine.h).
 * Threads: add is serialised by the caller and runs side by side with get and iter, which take no lock and see every
 * entry whose add had returned before they began. seal is called once, after the last add, before iter for the flush; get goes on.
 * Invariants: iteration yields the order of types.h; nothing is overwritten: each (key, seq) is an entry of its own.
 * An iterator may be asked for before seal too (scans read the active memtable).
 */
#ifndef LSM_MEMTABLE_H
#define LSM_MEMTABLE_H
#include "lsm/csrc/types.h"

/* cdef:begin */
typedef struct lsm_memtable_config {
    size_t budget; /* bytes after which the engine will seal it */
    uint64_t seed;
} lsm_memtable_config;

typedef struct lsm_memtable_ops {
    uint32_t abi, size; /* LSM_ABI, sizeof(lsm_memtable_ops) */
    const char *name;
    void *(*create)(const lsm_memtable_config *config); /* NULL: out of memory */
    void (*destroy)(void *m);
    int (*add)(void *m, const lsm_entry *entry); /* LSM_OK, LSM_NOMEM (then nothing was added) */
    /* Newest entry of key with seq <= snapshot, whatever its kind: LSM_OK and out, or LSM_NOT_FOUND. */
    int (*get)(void *m, const uint8_t *key, size_t n, uint64_t snapshot, lsm_entry *out);
    /* Several look-ups at once, to overlap cache misses; found[i] is 1 and out[i] filled where there is one. May be NULL. */
    void (*get_many)(void *m, const uint8_t *const *keys, const size_t *lens, size_t count, uint64_t snapshot, lsm_entry *out,
                     uint8_t *found);
    lsm_iter *(*iter)(void *m);
    size_t (*memory)(void *m); /* bytes held, arena slack included */
    uint64_t (*count)(void *m);
    void (*seal)(void *m);
    /* Hint: these keys will be added next. May bring the places where they will go into the processor's cache, all at once. May be NULL. */
    void (*near)(void *m, const uint8_t *const *keys, const size_t *lens, size_t count);
} lsm_memtable_ops;

const lsm_memtable_ops *lsm_memtable_find(const char *name); /* "btree", "skiplist", "vector", "hash"; NULL when unknown */
/* cdef:end */
#endif
