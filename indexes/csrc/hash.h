/* hash.h: the hashes of keys that filters may be built on: XXH3 (64 bits, seed 0, default secret), which tables use, and MurmurHash3
 * (x64, 128 bits, seed 0).
 *
 *    XXH3      length 0 | 1-3 | 4-8 | 9-16 | 17-128 | 129-240 | longer (stripes of 64 bytes over 8 accumulators)
 *    Murmur3   pairs of 64-bit words over two accumulators | up to 15 bytes at the end | both mixed
 *
 * Ownership: none. Threads: pure. Invariants: the same on every machine (input is read little-endian), for good: files hold what they gave.
 * Sources: Y. Collet, "XXH3 algorithm specification", xxHash documentation (doc/xxhash_spec.md), sections on the 64-bit variant; A.
 * Appleby, SMHasher, MurmurHash3_x64_128.
 */
#ifndef IDX_HASH_H
#define IDX_HASH_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
typedef uint64_t (*idx_hash_fn)(const void *key, size_t n);
uint64_t idx_xxh3(const void *key, size_t n);
uint64_t idx_murmur3(const void *key, size_t n); /* the first half */
void idx_murmur3_128(const void *key, size_t n, uint64_t out[2]);
/* cdef:end */

void idx_xxh3_rows8(const uint8_t *rows, size_t n, uint64_t *out); /* of n keys of 8 bytes, one after the other */
#endif
