/* memtable_kinds.h: the built-in memtables, and what they share: a key's place in the order as one word, and a hash.
 *
 *    order of entries = (key ascending, tag descending)      tag = seq << 8 | kind      prefix = 8 bytes of the key, big-endian, zero-padded
 *
 * Comparing prefixes decides most comparisons without touching key bytes: p(a) < p(b) implies a < b, equal prefixes decide nothing.
 * Threads and ownership: pure functions.
 */
#ifndef LSM_MEMTABLE_KINDS_H
#define LSM_MEMTABLE_KINDS_H
#include "lsm/csrc/memtable.h"

extern const lsm_memtable_ops lsm_btree_ops, lsm_skiplist_ops, lsm_vector_ops, lsm_hash_ops;

#define LSM_MAX_SEQ ((UINT64_C(1) << 56) - 1)

static inline uint64_t lsm_tag(uint64_t seq, uint32_t kind) { return seq << 8 | kind; }

/* The tag to look for when the newest entry with seq <= snapshot is wanted, whatever its kind. */
static inline uint64_t lsm_seek_tag(uint64_t snapshot) { return snapshot >= LSM_MAX_SEQ ? UINT64_MAX : snapshot << 8 | 0xff; }

static inline uint64_t lsm_prefix(const uint8_t *key, size_t n) {
    uint64_t v = 0;
    if (n >= 8) {
        memcpy(&v, key, 8);
        return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(v) : v;
    }
    for (size_t i = 0; i < n; i++) v |= (uint64_t)key[i] << (56 - 8 * i);
    return v;
}

/* 8 bytes at a time, multiplied and folded; seeded, so that nobody can choose keys that collide. */
static inline uint64_t lsm_hash_key(uint64_t seed, const uint8_t *key, size_t n) {
    uint64_t h = seed ^ (n * UINT64_C(0x9E3779B97F4A7C15)), w;
    for (; n >= 8; key += 8, n -= 8) {
        memcpy(&w, key, 8);
        h = (h ^ w) * UINT64_C(0xBF58476D1CE4E5B9);
        h ^= h >> 32;
    }
    w = 0;
    if (n) memcpy(&w, key, n);
    h = (h ^ w) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 29;
}
#endif
