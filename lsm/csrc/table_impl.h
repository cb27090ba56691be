/* table_impl.h: the inside of an open table, shared by opening, reading, iterating and verifying.
 *
 * Ownership: a table owns its file, mapping, index, filter bytes and tombstones. Threads: immutable after open, except refs, counts, the
 * place of damage and the verified bits of a mapped table (atomic).
 */
#ifndef LSM_TABLE_IMPL_H
#define LSM_TABLE_IMPL_H
#include "lsm/csrc/block.h"
#include "lsm/csrc/table_index.h"
#include <stdatomic.h>

struct lsm_table {
    _Atomic uint32_t refs;
    _Atomic uint32_t published; /* versions that hold it */
    _Atomic int counts_reads;
    _Atomic uint64_t reads; /* look-ups that its filter let through and scans that reached it, while they are counted */
    const lsm_env *env;
    char *path;
    rec_file *file;
    uint64_t number, size;
    lsm_table_props props;
    lsm_footer footer;
    lsm_index_part *index; /* over blocks, or over partitions when two-level */
    const idx_search_ops *search;
    void *searcher; /* over index; NULL: plain binary search */
    const idx_filter_ops *filter;
    uint8_t *filter_bytes; /* 64-byte aligned */
    const idx_range_ops *range_ops;
    uint8_t *range_bytes; /* 64-byte aligned */
    void *range; /* over range_bytes; NULL: no range filter */
    lsm_tombs *tombs;
    lsm_cell *cells; /* a data block each, when the index is whole; NULL: the cache is asked by offset, or there is none */
    const uint8_t *map; /* mapped mode */
    _Atomic uint8_t *
        map_verified; /* a bit per 8 bytes of file (no block and its trailer are shorter): the block that begins there has passed its check */
    _Atomic uint64_t damage; /* 1 + the first place where a read found wrong bytes; 0: none so far */
};

static inline void lsm_note_read(lsm_table *t) {
    if (__builtin_expect(atomic_load_explicit(&t->counts_reads, memory_order_relaxed), 0))
        atomic_fetch_add_explicit(&t->reads, 1, memory_order_relaxed);
}

static inline void lsm_note_damage(lsm_table *t, uint64_t at) {
    uint64_t none = 0;
    atomic_compare_exchange_strong(&t->damage, &none, at + 1);
}

/* What a block read is for: ledger and cache. */
typedef struct lsm_purpose {
    int level, component, cause, fill_cache;
    lsm_reader *by; /* NULL: shared */
} lsm_purpose;

/* LSM_OK, or an error: a block that is larger than the environment allows, told before memory is asked for it. */
static inline int lsm_check_size(const lsm_table *t, lsm_handle h, lsm_error *e) {
    if (!t->env->max_block || h.size <= t->env->max_block) return LSM_OK;
    return lsm_fail(e, LSM_CORRUPT, t->path, h.offset, "a block of %u bytes; the limit is %u", h.size, t->env->max_block);
}

/* A verified, uncompressed block: data and size, alive as long as the pin (and the table). i: its ordinal among the data blocks of a whole
 * index, LSM_NO_ORDINAL for others. */
int lsm_read_block(lsm_table *t, lsm_handle h, uint32_t i, lsm_purpose why, const uint8_t **data, uint32_t *size, lsm_pin *pin,
                   lsm_error *e);
/* The same from bytes already in memory (readahead): raw = stored block and trailer. */
int lsm_unpack_block(lsm_table *t, lsm_handle h, const uint8_t *raw, lsm_block **out, lsm_error *e);
/* A partition of a two-level index, parsed; alive as long as the pin. */
int lsm_read_partition(lsm_table *t, uint32_t i, lsm_purpose why, const lsm_index_part **out, lsm_pin *pin, lsm_error *e);
/* table_range.c */
lsm_handle lsm_range_handle(const lsm_table_props *p);
int lsm_load_range_filter(lsm_table *t, lsm_error *e);
void lsm_drop_range_filter(lsm_table *t);
uint32_t lsm_table_find(const lsm_table *t, const uint8_t *key, size_t n); /* in the index, or the top of a two-level one */
#endif
