/* memtable_index.h: what the sorted memtables put in front of their index: an anchor and a filter.
 *
 *    key:  | common part | 8 bytes: the prefix | rest |          filter: word of hash(key), 4 bits of its 64
 *
 * Anchor. Keys often begin alike ("user0000..."), then their first 8 bytes say nothing. Prefixes start behind the common part of the keys; keys
 * outside of it get prefix 0 or ~0, which keeps the order. A memtable looks again for what is common when it has 256, 4096, ... entries, and
 * builds its index anew when that has changed.
 *
 * Filter. Most gets of a database ask the memtable for a key that it has not got. A Bloom filter of one word a key (Putze, Sanders, Singler 2007),
 * a 64th of the budget in size, answers nearly all of them with one look.
 *
 * Ownership: the anchor borrows the bytes of an entry of its memtable; the filter owns its words. Threads: one writer sets bits, before it
 * publishes the entry, beside any number of readers.
 */
#ifndef LSM_MEMTABLE_INDEX_H
#define LSM_MEMTABLE_INDEX_H
#include "lsm/csrc/memtable_kinds.h"
#include <stdatomic.h>
#include <stdlib.h>

#define LSM_ANCHOR_FIRST 256 /* entries before the first anchor */
#define LSM_ANCHOR_GROWTH 16 /* and how many times more before the next one */
#define LSM_FILTER_SHARE 64 /* the filter's part of the budget: 16 bits a key when entries take 128 bytes */
#define LSM_FILTER_MAX ((size_t)8 << 20) /* bytes */

typedef struct lsm_anchor {
    const uint8_t *common; /* keys are expected to begin with these */
    size_t skip; /* bytes of common */
} lsm_anchor;

static inline uint64_t lsm_anchor_prefix(const lsm_anchor *a, const uint8_t *key, size_t n) {
    if (!a->skip) return lsm_prefix(key, n);
    int c = memcmp(key, a->common, n < a->skip ? n : a->skip);
    if (c) return c < 0 ? 0 : UINT64_MAX;
    return n < a->skip ? 0 : lsm_prefix(key + a->skip, n - a->skip);
}

/* The common beginning of all keys from first to last, but leaving at least 8 bytes of the shorter to the prefix. */
static inline size_t lsm_anchor_length(const uint8_t *first, size_t first_len, const uint8_t *last, size_t last_len) {
    size_t n = first_len < last_len ? first_len : last_len, i = 0;
    n = n > 8 ? n - 8 : 0;
    while (i < n && first[i] == last[i]) i++;
    return i;
}

typedef struct lsm_key_filter {
    uint64_t seed;
    size_t mask;
    _Atomic uint64_t *words; /* mask + 1 */
} lsm_key_filter;

/* 0: out of memory. */
static inline int lsm_key_filter_make(lsm_key_filter *f, const lsm_memtable_config *config) {
    size_t words = 8, room = config->budget / LSM_FILTER_SHARE;
    if (room > LSM_FILTER_MAX) room = LSM_FILTER_MAX;
    while (words * 2 * sizeof(uint64_t) <= room) words *= 2;
    f->seed = config->seed ^ UINT64_C(0xD6E8FEB86659FD93);
    f->mask = words - 1;
    f->words = calloc(words, sizeof(uint64_t));
    return f->words != NULL;
}

static inline size_t lsm_key_filter_memory(const lsm_key_filter *f) { return (f->mask + 1) * sizeof(uint64_t); }

/* The word of a key, and in *bits its bits there. */
static inline _Atomic uint64_t *lsm_key_filter_word(const lsm_key_filter *f, const uint8_t *key, size_t n, uint64_t *bits) {
    uint64_t h = lsm_hash_key(f->seed, key, n);
    *bits = UINT64_C(1) << (h & 63) | UINT64_C(1) << (h >> 6 & 63) | UINT64_C(1) << (h >> 12 & 63) | UINT64_C(1) << (h >> 18 & 63);
    return &f->words[(h >> 24) & f->mask];
}

static inline int lsm_key_filter_absent(const lsm_key_filter *f, const uint8_t *key, size_t n) {
    uint64_t bits;
    _Atomic uint64_t *word = lsm_key_filter_word(f, key, n, &bits);
    return (atomic_load_explicit(word, memory_order_relaxed) & bits) != bits;
}

static inline void lsm_key_filter_set(const lsm_key_filter *f, const uint8_t *key, size_t n) {
    uint64_t bits;
    _Atomic uint64_t *word = lsm_key_filter_word(f, key, n, &bits);
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) | bits, memory_order_relaxed);
}

static inline void lsm_key_filter_near(const lsm_key_filter *f, const uint8_t *key, size_t n) {
    uint64_t bits;
    __builtin_prefetch(lsm_key_filter_word(f, key, n, &bits), 1);
}
#endif
