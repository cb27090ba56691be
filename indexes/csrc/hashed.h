/* hashed.h: an immutable segment of row ids by key, for equality: a directory of buckets, and records in the order of the keys' hashes.
 *
 *    header 64 | record* | bucket offset u40 * (2^bits + 1) | 0 * 3
 *    header = "IXHA" | version u32 | entries u64 | keys u64 | bytes of records u64 | checksum u64 (XXH3 of all behind the header) | bits u8 | 0 * 23
 *    record = tag u8 | key size varint | rows varint | bytes of the row list varint, unless rows is 1 | key | first row varint, steps varint
 *
 * A key is in bucket XXH3-64(key) >> (64 - bits), about four to a bucket; its tag is the lowest byte of the hash. Records of a bucket are sorted by
 * (hash, key), so all segments have one order and merging streams.
 *
 * Ownership: a view reads the given bytes, which must outlive it. Threads: views are immutable. Invariants: opening checks the header and the
 * directory; a record's lengths are checked whenever it is read, so that wrong bytes give IDX_MALFORMED or a wrong answer, never a read
 * outside; idx_hashed_verify checks all.
 * Source: M. Zukowski, S. Heman, P. Boncz, "Architecture-conscious hashing", DaMoN 2006, on buckets kept together (bucket-chained, packed).
 */
#ifndef IDX_HASHED_H
#define IDX_HASHED_H
#include "indexes/csrc/entries.h"

/* cdef:begin */
typedef struct idx_hashed idx_hashed;

/* Write all that the cursor gives, which must be of hashed order. NULL: *error says. */
idx_buffer *idx_hashed_write(idx_cursor *cursor, int *error);
idx_hashed *idx_hashed_open(const uint8_t *bytes, size_t size, int *error);
void idx_hashed_free(idx_hashed *view);
uint64_t idx_hashed_count(const idx_hashed *view);
uint64_t idx_hashed_keys(const idx_hashed *view);
int idx_hashed_verify(const idx_hashed *view);
/* The key's row ids, ascending, as far as there is room: how many there are, or an error. */
int64_t idx_hashed_lookup(const idx_hashed *view, const uint8_t *key, size_t n, uint64_t *out, size_t room);
/* The row of a key that has one; IDX_NO_ROW; IDX_LOOK_ON: more rows, or one of 2**63 and more. */
int64_t idx_hashed_first(const idx_hashed *view, const uint8_t *key, size_t n);
/* For m keys (bytes and offsets as in entries.h) one after the other; counts[i] rows of key i, *total of all, also when there was no room. */
int idx_hashed_lookup_many(const idx_hashed *view, const uint8_t *bytes, const uint64_t *offsets, size_t m, uint64_t *counts, uint64_t *out,
                           size_t room, uint64_t *total);
idx_cursor *idx_hashed_cursor(const idx_hashed *view);
/* cdef:end */
#endif
