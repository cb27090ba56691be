/* distinct.h: what filters that need all keys at once begin with: the hashes mixed under a seed, sorted, each once.
 *
 *    hashes (any order, repeats) --mix(h + seed)--> radix passes over the top bits --insertion--> ascending, distinct
 *
 * Sorted, because a key's place in the filter grows with its mixed hash: the build then walks memory from one end to the other, and its
 * bytes do not depend on the order of the keys. Mixing is a bijection: distinct hashes stay distinct, under every seed.
 *
 * Ownership: the caller's arrays. Threads: pure. Source of the mixer: A. Appleby, MurmurHash3 (fmix64).
 */
#ifndef IDX_DISTINCT_H
#define IDX_DISTINCT_H
#include <stddef.h>
#include <stdint.h>

#define IDX_GOLDEN 0x9E3779B97F4A7C15u

/* The seed of a build's attempt 0, 1, ...: files keep the number of the attempt. */
static inline uint64_t idx_seed(unsigned attempt) { return attempt * IDX_GOLDEN; }

static inline uint64_t idx_mix(uint64_t h) {
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

/* h scaled to 0 .. n - 1 by its upper bits, without a division; it grows with h. */
static inline uint64_t idx_scale(uint64_t h, uint64_t n) { return (uint64_t)((unsigned __int128)h * n >> 64); }

/* Fills out with the distinct mixed hashes in ascending order; scratch is as long. Returns how many there are. O(n). */
size_t idx_distinct(const uint64_t *hashes, size_t n, uint64_t seed, uint64_t *out, uint64_t *scratch);
#endif
