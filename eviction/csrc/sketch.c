#include "eviction/csrc/sketch.h"
#include <stdlib.h>
#include <string.h>

#define COUNTERS_PER_KEY 8

static uint64_t mix(uint64_t x) { /* the finalizer of splitmix64 */
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

int sketch_init(evi_sketch *s, uint64_t keys, double sample_per_key, uint64_t seed) {
    uint64_t blocks = 1;
    while (blocks * 128 < keys * COUNTERS_PER_KEY && blocks < (1u << 26)) blocks *= 2;
    memset(s, 0, sizeof *s);
    s->mask = (uint32_t)(blocks - 1);
    s->seed = seed;
    s->sample = (uint64_t)((double)(keys ? keys : 1) * sample_per_key);
    s->sample += !s->sample;
    s->words = aligned_alloc(64, blocks * 64);
    if (s->words) memset(s->words, 0, blocks * 64);
    return s->words != NULL;
}

void sketch_free(evi_sketch *s) { free(s->words); }

uint64_t sketch_memory(const evi_sketch *s) { return ((uint64_t)s->mask + 1) * 64; }

/* Quarter i of the block: 32 counters in two words; 5 bits of the hash choose one. */
static inline uint64_t *word_of(const evi_sketch *s, uint64_t h, int i, int *shift) {
    uint32_t at = h >> (32 + 5 * i) & 31;
    *shift = (at & 15) * 4;
    return &s->words[(uint64_t)((uint32_t)h & s->mask) * 8 + 2 * (uint32_t)i + (at >> 4)];
}

static void halve(evi_sketch *s) {
    uint64_t n = ((uint64_t)s->mask + 1) * 8;
    for (uint64_t i = 0; i < n; i++) s->words[i] = s->words[i] >> 1 & UINT64_C(0x7777777777777777);
    s->tally /= 2;
}

void sketch_add(evi_sketch *s, uint64_t key) {
    uint64_t h = mix(key + s->seed);
    int changed = 0;
    for (int i = 0; i < 4; i++) {
        int shift;
        uint64_t *w = word_of(s, h, i, &shift);
        if ((*w >> shift & 15) == 15) continue;
        *w += UINT64_C(1) << shift;
        changed = 1;
    }
    if (changed && ++s->tally >= s->sample) halve(s);
}

uint32_t sketch_count(const evi_sketch *s, uint64_t key) {
    uint64_t h = mix(key + s->seed);
    uint32_t least = 15;
    for (int i = 0; i < 4; i++) {
        int shift;
        const uint64_t word = *word_of(s, h, i, &shift); /* on its own: it sets the shift */
        uint32_t count = word >> shift & 15;
        least = count < least ? count : least;
    }
    return least;
}
