/* rowset_edit.h: a row set that changes: one row at a time, an array, a range; for memory components and the rows a run shadows.
 *
 *    hash of (row >> 16)  ->  part: sorted list that grows to 4096, then 1024 words; back to a list below 2048
 *
 * Ownership: create/free; a freeze copies. Threads: one at a time. Invariants: a part holds one row at least; a full one is still words.
 * Errors: -1 or NULL: out of memory, nothing has changed but for rows that already went in.
 * Source: Lemire et al., SPE 2018, section 2; rows in order take the way past the search.
 */
#ifndef IDX_ROWSET_EDIT_H
#define IDX_ROWSET_EDIT_H
#include "indexes/csrc/rowset.h"

/* cdef:begin */
typedef struct idx_rows_edit idx_rows_edit;

idx_rows_edit *idx_edit_new(void);
void idx_edit_free(idx_rows_edit *edit);
int idx_edit_add(idx_rows_edit *edit, uint64_t row);    /* 1: it is new, 0: it was there */
int idx_edit_remove(idx_rows_edit *edit, uint64_t row); /* 1: it was there */
int idx_edit_add_many(idx_rows_edit *edit, const uint64_t *rows, size_t n);
int idx_edit_remove_many(idx_rows_edit *edit, const uint64_t *rows, size_t n);
int idx_edit_merge(idx_rows_edit *edit, idx_setop op, const idx_rowset *set); /* OR or ANDNOT */
int idx_edit_has(const idx_rows_edit *edit, uint64_t row);
uint64_t idx_edit_count(const idx_rows_edit *edit);
uint64_t idx_edit_memory(const idx_rows_edit *edit);
idx_rowset *idx_edit_freeze(const idx_rows_edit *edit);
/* cdef:end */
#endif
