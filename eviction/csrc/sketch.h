/* sketch.h: how often a key was asked for of late: a count-min sketch of 4-bit counters that ages (Einziger, Friedman and Manes, TinyLFU:
 * a highly efficient cache admission policy, TOS 13(4), 2017, sections 3.2 to 3.4).
 *
 *    hash of key and seed --> block (64 bytes, one line) = 4 rows of 32 counters      add: a counter of each row + 1, up to 15
 *                                                                                     count: the least of the four
 *
 * Every request is added, hit or miss. When the sample is full (W additions, those too that find their counters at 15: else a sample of
 * nothing but hot keys never ends) the reset halves all counters, and the sample with them, less what halving cut off the odd ones. W is
 * `per_key` (10) times the residents, at least 512 of them: a sample of some hundred requests says nothing (mean fraction of MIN of static
 * W-TinyLFU 0.83 with this least, 0.79 without).
 *
 * A reset sweeps nothing at once: it turns the clock `now`, and a block that is behind is halved when it is next used or when the hand
 * comes by, one block an addition. What is read is as if all had been halved at the reset.
 *
 * Ownership: the policy embeds one. Threads: as the policy. Memory: 16/3 bytes a slot and a 64th of that, at least 2.7 KB, all at init.
 * Invariants: age is `now`, or, where the hand has not been yet, `now` - 1; the hand is back before the next reset.
 */
#ifndef EVI_SKETCH_H
#define EVI_SKETCH_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
typedef struct evi_sketch {
    uint64_t *words; /* 8 a block; row i of block b: words 8 b + 2 i and the next */
    uint8_t *age; /* of each block: `now` when it was halved last */
    uint32_t blocks, hand; /* the hand rests at `blocks` */
    uint8_t now;
    uint64_t seed, additions, sample, odd; /* odd: counters that the present sweep found odd */
    uint64_t random; /* of admissions of the warm */
    double per_key;
} evi_sketch;

int sketch_init(evi_sketch *s, uint32_t slots, double per_key, uint64_t seed); /* 0: out of memory, nothing kept */
void sketch_free(evi_sketch *s);
void sketch_add(evi_sketch *s, uint64_t key);
uint32_t sketch_count(evi_sketch *s, uint64_t key); /* 0 to 15; halves its block when that is behind */
/* TinyLFU's answer: does the candidate deserve the victim's place? It does when it was asked for more often. A tie rejects it; one that is warm
 * (6 or more) is let in once in 128 all the same, so that nobody can shut keys out by flooding the sketch. */
int sketch_admits(evi_sketch *s, uint64_t candidate, uint64_t victim);
void sketch_fit(evi_sketch *s, uint64_t residents); /* W for that many */
size_t sketch_bytes(const evi_sketch *s);
int sketch_check(const evi_sketch *s, char *why, size_t n);
/* cdef:end */
#endif
