/* rowset.h: a compressed set of 64-bit row ids (Roaring): the answer of every index, and what they are combined by.
 *
 *    keys   |k0|k1|k2|...     row >> 16, ascending        slots  |c0|c1|c2|...     the containers (container.h)
 *
 * Stored form: the portable 64-bit format of the Roaring specification ("RoaringFormatSpec", sections on 32 and 64 bits), in which this
 * writer always takes a container's smallest form, so that equal sets have equal bytes:
 *
 *    set64 = count u64 | (row >> 32 u32 | set32)*                                    count of set32s
 *    set32 = cookie | [run flags] | (key u16 | card - 1 u16)* | [offset u32 *] | containers
 *
 * Ownership: every function that returns a set gives it to the caller (idx_rowset_free). A set that was opened reads the given bytes, which
 * must outlive it; only its directory (24 bytes a container) is its own. Threads: sets are immutable: any number of readers.
 * Invariants: opened bytes were checked in full (order, cardinalities, lengths), so no kernel meets content that could lead it astray.
 * Errors: NULL or -1: out of memory, but for idx_rowset_open, which says.
 * Source: Lemire et al., SPE 2018 (words.h), section 4.5 on many inputs at once.
 */
#ifndef IDX_ROWSET_H
#define IDX_ROWSET_H
#include "indexes/csrc/container.h"

/* cdef:begin */
typedef struct idx_rowset idx_rowset;
typedef enum { IDX_AND, IDX_OR, IDX_XOR, IDX_ANDNOT } idx_setop;

void idx_rowset_free(idx_rowset *set);
/* Rows in any order; repeats are fine. */
idx_rowset *idx_rowset_of(const uint64_t *rows, size_t n);
idx_rowset *idx_rowset_range(uint64_t first, uint64_t last);
/* Checks all and reads in place: *error 0: good; 1: out of memory; 2: malformed at *at (an offset). */
idx_rowset *idx_rowset_open(const uint8_t *bytes, size_t size, int *error, size_t *at);
size_t idx_rowset_stored_size(const idx_rowset *set);
void idx_rowset_store(const idx_rowset *set, uint8_t *out); /* idx_rowset_stored_size bytes */

uint64_t idx_rowset_count(const idx_rowset *set);
uint64_t idx_rowset_memory(const idx_rowset *set); /* bytes it holds, those it was opened over not among them */
void idx_rowset_forms(const idx_rowset *set, uint64_t out[3]); /* containers: lists, bitmaps, runs */
size_t idx_rowset_rows(const idx_rowset *set, uint64_t skip, uint64_t *out, size_t room); /* ascending, from the skip-th on */
int idx_rowset_has(const idx_rowset *set, uint64_t row);
void idx_rowset_has_many(const idx_rowset *set, const uint64_t *rows, size_t n, uint8_t *out);
uint64_t idx_rowset_rank(const idx_rowset *set, uint64_t row); /* how many are <= row */
void idx_rowset_rank_many(const idx_rowset *set, const uint64_t *rows, size_t n, uint64_t *out);
int idx_rowset_select(const idx_rowset *set, uint64_t i, uint64_t *row); /* the i-th smallest; -1: there is none */
int idx_rowset_equal(const idx_rowset *a, const idx_rowset *b);
int idx_rowset_subset(const idx_rowset *a, const idx_rowset *b);

/* A copy whose containers of `least` rows or more are words. */
idx_rowset *idx_rowset_expand(const idx_rowset *set, uint32_t least);
idx_rowset *idx_rowset_combine(idx_setop op, const idx_rowset *a, const idx_rowset *b);
uint64_t idx_rowset_and_count(const idx_rowset *a, const idx_rowset *b);
idx_rowset *idx_rowset_and_many(const idx_rowset *const *sets, size_t n); /* n >= 1 */
idx_rowset *idx_rowset_or_many(const idx_rowset *const *sets, size_t n);
/* The numbers of rows only; -1: out of memory. */
int idx_rowset_and_many_count(const idx_rowset *const *sets, size_t n, uint64_t *count);
int idx_rowset_or_many_count(const idx_rowset *const *sets, size_t n, uint64_t *count);
/* cdef:end */

struct idx_rowset {
    uint64_t *keys;
    container *slots;
    size_t n, room;
    uint64_t count;
    arena mem;
};

/* idx_rowset_open, but with trusted = 1 the content of containers, checked before, is not looked at again. */
idx_rowset *rowset_open(const uint8_t *bytes, size_t size, int trusted, int *error, size_t *at);
/* For the makers of sets: an empty one; append a container with a key above all before (card 0: nothing). -1: out of memory. */
idx_rowset *rowset_new(size_t room);
int rowset_push(idx_rowset *set, uint64_t key, const container *c);
/* A copy of the container, a list or a bitmap, in the form it would be stored in. */
int rowset_push_best(idx_rowset *set, uint64_t key, const container *c);
/* Rows that ascend strictly. */
idx_rowset *rowset_of_sorted(const uint64_t *rows, size_t n);
/* First index >= from with keys[index] >= key. */
size_t rowset_seek(const idx_rowset *set, size_t from, uint64_t key);
/* The form a container is stored in, and the number of its runs. */
int container_stored_type(const container *c, uint32_t *runs);
/* The container in that form, at out. */
void container_store(const container *c, int type, uint32_t runs, uint8_t *out);
/* Sort in place. */
void sort_rows(uint64_t *rows, uint64_t *other, size_t n); /* other: room for n more */
#endif
