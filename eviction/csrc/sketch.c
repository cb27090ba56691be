#include "eviction/csrc/sketch.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP 15
#define WARM 6
#define LEAST_KEYS 512
#define KEYS_PER_BLOCK 12
#define ONES UINT64_C(0x1111111111111111)
#define SEVENS UINT64_C(0x7777777777777777)

static inline uint64_t mix(uint64_t x) { /* the finalizer of splitmix64 */
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

int sketch_init(evi_sketch *s, uint32_t slots, double per_key, uint64_t seed) {
    memset(s, 0, sizeof *s);
    s->blocks = s->hand = (slots > LEAST_KEYS ? slots : LEAST_KEYS) / KEYS_PER_BLOCK + 1;
    s->seed = s->random = seed;
    s->per_key = per_key;
    s->words = aligned_alloc(64, (size_t)s->blocks * 64);
    s->age = calloc(s->blocks, 1);
    if (!s->words || !s->age) return sketch_free(s), 0;
    memset(s->words, 0, (size_t)s->blocks * 64);
    sketch_fit(s, slots);
    return 1;
}

void sketch_free(evi_sketch *s) {
    free(s->words);
    free(s->age);
    s->words = NULL;
    s->age = NULL;
}

size_t sketch_bytes(const evi_sketch *s) { return (size_t)s->blocks * 65; }

void sketch_fit(evi_sketch *s, uint64_t residents) {
    uint64_t w = (uint64_t)((double)(residents > LEAST_KEYS ? residents : LEAST_KEYS) * s->per_key);
    s->sample = w > 2 * (uint64_t)s->blocks ? w : 2 * (uint64_t)s->blocks; /* the hand is back before half a sample is over */
}

static void halve(evi_sketch *s, uint32_t block) {
    uint64_t *word = &s->words[(size_t)block * 8];
    for (int i = 0; i < 8; i++) {
        s->odd += (uint64_t)__builtin_popcountll(word[i] & ONES);
        word[i] = word[i] >> 1 & SEVENS;
    }
    s->age[block] = s->now;
}

static inline uint64_t *block_of(evi_sketch *s, uint64_t h) {
    uint32_t block = (uint32_t)((h >> 32) * s->blocks >> 32);
    if (__builtin_expect(s->age[block] != s->now, 0)) halve(s, block);
    return &s->words[(size_t)block * 8];
}

static void grow_older(evi_sketch *s) {
    if (__builtin_expect(s->hand < s->blocks, 0)) {
        if (s->age[s->hand] != s->now) halve(s, s->hand);
        if (++s->hand == s->blocks) { /* an addition is four steps of counters: a quarter of the odd ones, and half of that */
            uint64_t at_reset = s->additions - (s->blocks - 1);
            s->additions -= s->odd / 8 < at_reset ? s->odd / 8 : at_reset;
        }
    }
    if (__builtin_expect(++s->additions >= s->sample, 0) && s->hand == s->blocks) {
        s->additions /= 2;
        s->now++;
        s->odd = s->hand = 0;
    }
}

void sketch_add(evi_sketch *s, uint64_t key) {
    uint64_t h = mix(key + s->seed), *word = block_of(s, h);
    for (int i = 0; i < 4; i++, h >>= 5) { /* five bits choose the counter of the row */
        uint64_t *w = &word[2 * i + (h >> 4 & 1)];
        int shift = (int)(h & 15) * 4;
        *w += (uint64_t)((*w >> shift & TOP) != TOP) << shift;
    }
    grow_older(s);
}

uint32_t sketch_count(evi_sketch *s, uint64_t key) {
    uint64_t h = mix(key + s->seed), least = TOP;
    const uint64_t *word = block_of(s, h);
    for (int i = 0; i < 4; i++, h >>= 5) {
        uint64_t count = word[2 * i + (h >> 4 & 1)] >> (h & 15) * 4 & TOP;
        least = count < least ? count : least;
    }
    return (uint32_t)least;
}

int sketch_admits(evi_sketch *s, uint64_t candidate, uint64_t victim) {
    uint32_t mine = sketch_count(s, candidate);
    return mine > sketch_count(s, victim) || (mine >= WARM && !(policy_random(&s->random) & 127));
}

int sketch_check(const evi_sketch *s, char *why, size_t n) {
    for (uint32_t b = 0; b < s->blocks; b++) {
        if (s->age[b] != s->now && (b < s->hand || (uint8_t)(s->age[b] + 1) != s->now))
            return snprintf(why, n, "block %u of the sketch is behind", b), 0;
    }
    return 1;
}
