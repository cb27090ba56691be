/* bitslice.h: an immutable bit-sliced segment: one number of a row, as one bitmap for every binary digit.
 *
 *    header 64 | chunk table 40 * chunks | chunk bodies | kind u64 (0 int64, 1 float64)
 *    header = "IXBS" | version u32 | rows u64 | chunks u64 | bytes of bodies u64 | checksum u64 (XXH3 of all behind the header) | 0 * 24
 *    table  = row >> 16 u64 | offset u64 | least u64 | most u64 | rows u32 | form u8 | bits u8 | 0 u16
 *    body   = form 0 (few rows): lows u16 * rows, ascending | value - least, `bits` each (0..56 or 64), lowest bits first
 *             form 1 (many): part * (bits + 1), the rows that are there first, then the digits from the lowest | their containers
 *    part   = type u8 | 0 u8 | runs u16 | card u32 | offset u32 (of the container in the body); type 0: no bit is set
 *
 * Numbers are mapped to unsigned 64-bit ones of the same order (in Python). A chunk, 65,536 consecutive row ids, knows its least and most
 * value: it is taken or left as a whole when it can be, and its digits count from its least value, so a sorted column has few.
 *
 * Ownership: a view reads the given bytes, which must outlive it and its sets' making. Threads: views are immutable.
 * Invariants: opening checks everything but values (cardinalities, order and lengths of containers, in O(size)).
 * Source: P. O'Neil, D. Quass, "Improved query performance with variant indexes", SIGMOD 1997, sections 2.3 and 3 (sums, ranges);
 * D. Rinfret, P. O'Neil, E. O'Neil, "Bit-sliced index arithmetic", SIGMOD 2001, section 4 (top k).
 */
#ifndef IDX_BITSLICE_H
#define IDX_BITSLICE_H
#include "indexes/csrc/entries.h"

/* cdef:begin */
enum { IDX_TWICE = -3 };
typedef struct idx_slices idx_slices;

/* Write values[i] of rows[i]. NULL: *error says; IDX_TWICE: a row, *which, comes twice. */
idx_buffer *idx_slices_write(const uint64_t *rows, const uint64_t *values, size_t n, int kind, int *error, uint64_t *which);
/* One segment of several, without the rows hide[i] (or NULL) of views[i]; a row that is left in several is taken from the first. */
idx_buffer *idx_slices_merge(idx_slices *const *views, const idx_rowset *const *hide, size_t n, int kind, int *error);
idx_slices *idx_slices_open(const uint8_t *bytes, size_t size, int *error);
void idx_slices_free(idx_slices *view);
uint64_t idx_slices_count(const idx_slices *view);
int idx_slices_kind(const idx_slices *view);
int idx_slices_verify(const idx_slices *view);
idx_rowset *idx_slices_all(const idx_slices *view);
/* Rows with low <= value <= high. */
idx_rowset *idx_slices_range(const idx_slices *view, uint64_t low, uint64_t high);
/* The functions below look only at the rows of a filter, unless it is NULL. -1: out of memory. */
int idx_slices_range_count(const idx_slices *view, uint64_t low, uint64_t high, const idx_rowset *filter, uint64_t *count);
/* The sum of the values as high * 2^64 + low, and how many there are. */
int idx_slices_sum(const idx_slices *view, const idx_rowset *filter, uint64_t *count, uint64_t *high, uint64_t *low);
/* Up to k rows of the largest (or smallest) values, best first; of equal values those of the smallest rows. How many. */
int64_t idx_slices_top(const idx_slices *view, const idx_rowset *filter, size_t k, int largest, uint64_t *rows, uint64_t *values);
/* values[i] of rows[i] where found[i]. */
int idx_slices_values(const idx_slices *view, const uint64_t *rows, size_t n, uint64_t *values, uint8_t *found);
/* Rows and values, ascending by row, of the chunks from *chunk on, while they have room (65,536 at least): how many; *chunk moves on. */
int64_t idx_slices_decode(const idx_slices *view, const idx_rowset *filter, uint64_t *chunk, uint64_t *rows, uint64_t *values, size_t room);
/* cdef:end */

enum { MOST_SLICES = 64 };

/* A chunk as it is worked on. */
typedef struct {
    uint64_t key, least, most;
    uint32_t count, bits;
    int sliced;
    const low *lows; /* form 0 */
    const uint8_t *packed; /* form 0 */
    container exists; /* form 1 */
    container digit[MOST_SLICES]; /* form 1; card 0: empty */
} slices_chunk;

/* Digits of a chunk as words, those that are stored otherwise expanded into `room`. */
typedef struct {
    const word *exists;
    const word *digit[MOST_SLICES];
    word *room; /* (MOST_SLICES + 1) * WORDS */
} slices_words;

void slices_chunk_at(const idx_slices *view, uint64_t i, slices_chunk *out);
uint64_t slices_chunks(const idx_slices *view);
/* All values, in the order of the rows; lows too. */
void slices_decode(const slices_chunk *c, slices_words *w, low *lows, uint64_t *values);
void slices_expand(const slices_chunk *c, slices_words *w);

/* dst = where low <= value <= high among `exists`, values being `bits` digits; how many. */
uint32_t slices_between(const word *const *digit, uint32_t bits, const word *exists, uint64_t low, uint64_t high, word *dst);
#endif
