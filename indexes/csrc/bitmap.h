/* bitmap.h: an immutable bitmap-index segment: every distinct value (key bytes) with the set of its rows.
 *
 *    header 64 | counts u64 * n | key ends u64 * (n + 1) | set ends u64 * (n + 2) | keys | sets | 0 * 8
 *    header = "IXBM" | version u32 | values n u64 | entries u64 | bytes of keys u64 | bytes of sets u64 | checksum u64 | 0 * 16
 *    ends   = where part i begins, the first 0, the last the whole size; set n is all rows that have a value
 *    set    = form u8 | bytes: form 0 the portable Roaring format (rowset.h); form 1 Elias-Fano, taken when it is the smaller:
 *             count varint | first varint | low bits u8 | bytes of highs varint | highs | packed lows
 *
 * Elias-Fano: of every row - first the `low bits` lowest bits are packed as they are; the rest, ascending, as ones in a bit string: the i-th one
 * stands at place (rest + i). Some 2 + log2(span / count) bits a row, where a list of a scattered set takes 16 and its container's header.
 *
 * Ownership: a view reads the given bytes, which must outlive it and every set opened from it. Threads: views are immutable but for the marks of
 * what was checked, which are atomic. Invariants: opening checks the header and the three tables; a set is checked in full at its first use.
 * Source: P. O'Neil, D. Quass, "Improved query performance with variant indexes", SIGMOD 1997, section 2.1 (value-list index);
 * S. Vigna, "Quasi-succinct indices", WSDM 2013, section 4 (Elias-Fano).
 */
#ifndef IDX_BITMAP_H
#define IDX_BITMAP_H
#include "indexes/csrc/entries.h"

/* cdef:begin */
typedef struct idx_bitmap idx_bitmap;

/* Write all that the cursor gives, which must be in ordered order. NULL: *error says. */
idx_buffer *idx_bitmap_write(idx_cursor *cursor, int *error);
/* One segment of several, without the rows hide[i] (or NULL) of views[i]. */
idx_buffer *idx_bitmap_merge(idx_bitmap *const *views, const idx_rowset *const *hide, size_t n, int *error);
idx_bitmap *idx_bitmap_open(const uint8_t *bytes, size_t size, int *error);
void idx_bitmap_free(idx_bitmap *view);
uint64_t idx_bitmap_values(const idx_bitmap *view);
uint64_t idx_bitmap_count(const idx_bitmap *view); /* entries */
int idx_bitmap_verify(idx_bitmap *view);
/* The place of the first value >= the key, or with after = 1, > it. */
uint64_t idx_bitmap_place(const idx_bitmap *view, const uint8_t *key, size_t n, int after);
/* The place of the value, or -1. */
int64_t idx_bitmap_find(const idx_bitmap *view, const uint8_t *key, size_t n);
uint64_t idx_bitmap_rows_of(const idx_bitmap *view, uint64_t place); /* how many rows it has */
const uint8_t *idx_bitmap_key(const idx_bitmap *view, uint64_t place, size_t *n);
/* The rows of the value at a place; at the place after the last: of all values. NULL: *error says. */
idx_rowset *idx_bitmap_set(idx_bitmap *view, uint64_t place, int *error);
/* The rows of the values at m places, and of from..to - 1. */
idx_rowset *idx_bitmap_union(idx_bitmap *view, const uint64_t *places, size_t m, uint64_t from, uint64_t to, int *error);
idx_cursor *idx_bitmap_cursor(idx_bitmap *view);
/* cdef:end */

/* Elias-Fano of n >= 1 ascending rows: appended to the buffer. */
int ef_store(idx_buffer *out, const uint64_t *rows, size_t n);
/* The rows at p..end, of which 8 bytes more may be read: *rows to be freed. 0 or an error. */
int ef_rows(const uint8_t *p, const uint8_t *end, uint64_t **rows, size_t *n);
#endif
