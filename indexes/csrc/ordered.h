/* ordered.h: an immutable segment of sorted (key, row id) entries: point, range and position.
 *
 *    header 64 | block* | first ranks u64 * blocks | block offsets u64 * (blocks + 1)
 *    header = "IXOR" | version u32 | entries u64 | blocks u64 | bytes of blocks u64 | checksum u64 (XXH3 of all behind the header) | 0 * 24
 *    block  = shared u32 | suffix u32 | form u8 | row bits u8 | 0 u16 | least row u64 | shared bytes | suffixes | packed rows | 0 * 8
 *    suffixes: form 0: `suffix` bytes each; form 2 or 4: offsets of that width (entries + 1), then `suffix` bytes in all
 *    packed rows: row - least row, `row bits` each (0..56 or 64), lowest bits first
 *
 * Every block but the last has 128 entries, so that a place in the order names a block. Keys of a block begin with the same shared bytes.
 * A block is found by binary search over the first ranks (the first 8 bytes of its first key, big-endian), then over whole first keys where
 * ranks are equal.
 *
 * Ownership: a view reads the given bytes, which must outlive it. Threads: views are immutable. Invariants: opening checks the header and the
 * block index; every block's lengths are checked each time it is entered, so that wrong bytes give IDX_MALFORMED or a wrong answer, never a read
 * outside; idx_ordered_verify checks all.
 * Source: R. Bayer, K. Unterauer, "Prefix B-trees", TODS 2(1), 1977 (shared prefixes); M. Zukowski et al., "Super-scalar RAM-CPU cache
 * compression", ICDE 2006, section 3.1 (frame of reference).
 */
#ifndef IDX_ORDERED_H
#define IDX_ORDERED_H
#include "indexes/csrc/entries.h"

/* cdef:begin */
typedef struct idx_ordered idx_ordered;

/* Write all that the cursor gives. NULL: *error says. */
idx_buffer *idx_ordered_write(idx_cursor *cursor, int *error);
idx_ordered *idx_ordered_open(const uint8_t *bytes, size_t size, int *error);
void idx_ordered_free(idx_ordered *view);
uint64_t idx_ordered_count(const idx_ordered *view);
int idx_ordered_verify(const idx_ordered *view);
/* The place of the first entry with a key >= the given one, or with after = 1, > it. 0 or an error. */
int idx_ordered_place(const idx_ordered *view, const uint8_t *key, size_t n, int after, uint64_t *place);
/* The row ids of the entries with this key, ascending, as far as there is room: how many there are, or an error. */
int64_t idx_ordered_lookup(const idx_ordered *view, const uint8_t *key, size_t n, uint64_t *out, size_t room);
/* The row of a key that has one; IDX_NO_ROW; IDX_LOOK_ON: more rows, or one of 2**63 and more. */
int64_t idx_ordered_first(const idx_ordered *view, const uint8_t *key, size_t n);
/* For m keys (bytes and offsets as in entries.h) one after the other; counts[i] rows of key i, *total of all, also when there was no room. */
int idx_ordered_lookup_many(const idx_ordered *view, const uint8_t *bytes, const uint64_t *offsets, size_t m, uint64_t *counts,
                            uint64_t *out, size_t room, uint64_t *total);
/* The row ids of the keys between, in the order of the keys, as far as there is room for all: how many. NULL: no bound; after_low: low
 * itself is not among them, with_high: high is. */
int64_t idx_ordered_range(const idx_ordered *view, const uint8_t *low, size_t low_n, int after_low, const uint8_t *high, size_t high_n,
                          int with_high, uint64_t *out, size_t room);
/* Entries at from..to - 1 in order, or from the last to the first. NULL: out of memory. */
idx_cursor *idx_ordered_cursor(const idx_ordered *view, uint64_t from, uint64_t to, int backward);
/* cdef:end */
#endif
