/* sketch.h: how often a key was asked for of late: a count-min sketch of 4-bit counters that ages (Einziger, Friedman, Manes, TinyLFU, TOS 2017, 3.3 and 3.4).
 *
 *    block (64 bytes, one line: 128 counters), chosen by the hash; in each of its 4 quarters one counter, chosen by other bits
 *    count = the least of the four; they saturate at 15; after `sample` increments all are halved, and so is the tally
 *
 * Ownership: the policy embeds one. Threads: as the policy. Memory: half a byte to a byte for each of 8 counters a key: 4 to 8 bytes a key.
 * Invariant: the tally counts increments that changed something since the last halving, less what halving took away.
 */
#ifndef EVI_SKETCH_H
#define EVI_SKETCH_H
#include <stdint.h>

typedef struct {
    uint64_t *words, seed; /* 8 words a block */
    uint32_t mask; /* of blocks */
    uint64_t tally, sample;
} evi_sketch;

int sketch_init(evi_sketch *s, uint64_t keys, double sample_per_key, uint64_t seed); /* 0: out of memory */
void sketch_free(evi_sketch *s);
void sketch_add(evi_sketch *s, uint64_t key);
uint32_t sketch_count(const evi_sketch *s, uint64_t key); /* 0 to 15 */
uint64_t sketch_memory(const evi_sketch *s);
#endif
