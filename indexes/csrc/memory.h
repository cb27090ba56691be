/* memory.h: the memory component of ordered and hashed indexes: a B+-tree of (key, row id), and the entries of every row.
 *
 *    inner  |rank, entry|...        first entries of the children to the right
 *    leaf   |rank, entry|... <-> leaf <-> leaf
 *    row  ->  entry -> entry        by hashing, so that a row's entries can be voided by who does not know its old keys
 *
 * Ownership: entries are copied into an arena; removed ones go with the whole component. Threads: one writer with readers excluded, or any
 * number of readers. Invariants: leaves are in the order of entries.h; a separator is <= all to its right, > all to its left.
 * Errors: IDX_MEMORY, nothing has changed. Source: D. Comer, "The ubiquitous B-tree", Computing Surveys 11(2), 1979, section 3 (B+-trees).
 */
#ifndef IDX_MEMORY_H
#define IDX_MEMORY_H
#include "indexes/csrc/entries.h"

/* cdef:begin */
typedef struct idx_memory idx_memory;

idx_memory *idx_memory_new(int hashed);
void idx_memory_free(idx_memory *m);
int idx_memory_add(idx_memory *m, const uint8_t *key, size_t n, uint64_t row); /* 1: it is new; 0: it was there */
int idx_memory_add_many(idx_memory *m, const uint8_t *bytes, const uint64_t *offsets, const uint64_t *rows, size_t n);
int idx_memory_remove(idx_memory *m, const uint8_t *key, size_t n, uint64_t row); /* 1: it was there */
uint64_t idx_memory_remove_row(idx_memory *m, uint64_t row);                      /* how many entries it had */
uint64_t idx_memory_count(const idx_memory *m);
uint64_t idx_memory_bytes(const idx_memory *m);
/* Row ids of the entries between two keys (n_low, n_high: their lengths; -1: no bound), as far as there is room: how many there are. */
uint64_t idx_memory_rows(const idx_memory *m, const uint8_t *low, int32_t n_low, int after_low, const uint8_t *high, int32_t n_high,
                         int with_high, uint64_t *out, uint64_t room);
/* The same entries in order, or from the last to the first. No change to the component while the cursor lives. */
idx_cursor *idx_memory_cursor(const idx_memory *m, const uint8_t *low, int32_t n_low, int after_low, const uint8_t *high, int32_t n_high,
                              int with_high, int backward);
/* cdef:end */
#endif
