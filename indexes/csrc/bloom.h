/* bloom.h: where a key's probes are in a Bloom filter of cells (bits, or the counters of counting.c), and how many are best.
 *
 *    probe i of a hash h: (h + i * swapped halves of h) scaled to the number of cells
 *
 * Ownership: none. Threads: pure. Source: Kirsch and Mitzenmacher, "Less hashing, same performance", ESA 2006.
 */
#ifndef IDX_BLOOM_H
#define IDX_BLOOM_H
#include "indexes/csrc/distinct.h"

static inline uint64_t idx_bloom_step(uint64_t h) { return (h << 32 | h >> 32) | 1; }

/* The number of probes with the least rate at this many cells a key: 1 to 44. */
int idx_bloom_probes(double cells_per_key);
#endif
