/* hash.h: XXH3, 64 bits, seed 0, default secret: the hash that the filters of this package put into their bytes.
 *
 *    length 0 | 1-3 | 4-8 | 9-16 | 17-128 | 129-240 | longer (stripes of 64 bytes over 8 accumulators)
 *
 * Ownership: none. Threads: pure. Invariants: the same on every machine (input is read little-endian), for good: files hold what it gave.
 * Source: Y. Collet, "XXH3 algorithm specification", xxHash documentation (doc/xxhash_spec.md), sections on the 64-bit variant.
 */
#ifndef IDX_HASH_H
#define IDX_HASH_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
uint64_t idx_xxh3(const void *key, size_t n);
/* cdef:end */
#endif
