/* table_index.h: the index of a table in memory, and the blocks that store it.
 *
 *   index block = count u32 | (separator length varint | separator | offset varint | size varint)*
 *   separator i >= every key of block i and <= every key of block i + 1; equal only when the versions of one key go over the border.
 *   A two-level index stores such blocks as partitions, and one more over the partitions (its top).
 *
 * Ownership: lsm_index_part is one allocation, freed with free(). Threads: immutable once parsed.
 */
#ifndef LSM_TABLE_INDEX_H
#define LSM_TABLE_INDEX_H
#include "lsm/csrc/table_format.h"

typedef struct lsm_index_part {
    uint32_t n;
    uint32_t *offsets; /* of keys, n + 1 */
    lsm_handle *handles;
    uint8_t *keys;
    size_t memory;
} lsm_index_part;

/* NULL with *status LSM_CORRUPT or LSM_NOMEM. Handles lie below end, in order. */
lsm_index_part *lsm_index_parse(const uint8_t *data, size_t n, uint64_t end, int *status);
/* First i with separator >= key; n when there is none. */
uint32_t lsm_index_find(const lsm_index_part *p, const uint8_t *key, size_t n);
static inline const uint8_t *lsm_index_key(const lsm_index_part *p, uint32_t i, size_t *n) {
    *n = p->offsets[i + 1] - p->offsets[i];
    return p->keys + p->offsets[i];
}

typedef struct lsm_index_builder {
    uint8_t *data; /* count goes in at finish */
    size_t n, cap;
    uint32_t count;
} lsm_index_builder;
int lsm_index_add(lsm_index_builder *b, const uint8_t *key, size_t n, lsm_handle h); /* LSM_NOMEM */
int lsm_index_finish(lsm_index_builder *b); /* data, n are the block */
void lsm_index_reset(lsm_index_builder *b);
#endif
