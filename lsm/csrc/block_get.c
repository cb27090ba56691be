/* block_get.c: one key in a data block, without an iterator: nothing of the block is copied. */
#include "lsm/csrc/block.h"
#include "lsm/csrc/table_format.h"

enum { LINE = 64, NEAR_LINES = 8, NEAR_RESTARTS = 16 };

static inline uint32_t restart_at(const lsm_block_view *v, uint32_t i) { return lsm_get32(v->data + v->limit + 4 * (size_t)i); }

uint32_t lsm_block_aim(const lsm_block_view *v, const uint8_t *key, size_t n) {
    uint32_t i = LSM_BUCKET_MANY;
    if (v->n_buckets) i = v->data[v->limit + 4 * (size_t)v->n_restarts + lsm_block_hash(key, n) % v->n_buckets];
    if (i == LSM_BUCKET_NONE) return i;
    if (i < v->n_restarts && i != LSM_BUCKET_MANY) {
        const uint8_t *at = v->data + restart_at(v, i); /* asking for a line harms nobody, wherever it is */
        const uint32_t end = i + 1 < v->n_restarts ? restart_at(v, i + 1) : v->limit, lines = (end - restart_at(v, i)) / LINE + 1;
        for (uint32_t k = 0; k < NEAR_LINES && k < lines; k++) __builtin_prefetch(at + k * LINE);
        return i;
    }
    if (v->n_restarts <= NEAR_RESTARTS)
        for (uint32_t k = 0; k < v->n_restarts; k++) __builtin_prefetch(v->data + restart_at(v, k));
    return LSM_BUCKET_MANY;
}

/* Bytes that a and b begin with alike. */
static inline size_t alike(const uint8_t *a, size_t an, const uint8_t *b, size_t bn) {
    const size_t most = an < bn ? an : bn;
    size_t i = 0;
    for (; i + 8 <= most; i += 8) {
        const uint64_t differ = lsm_get64(a + i) ^ lsm_get64(b + i);
        if (differ) return i + (size_t)__builtin_ctzll(differ) / 8;
    }
    while (i < most && a[i] == b[i]) i++;
    return i;
}

static inline const uint8_t *varint(const uint8_t *p, const uint8_t *end, uint64_t *v) {
    if (__builtin_expect(p < end && *p < 128, 1)) {
        *v = *p;
        return p + 1;
    }
    return lsm_get_varint(p, end, v);
}

typedef struct cut { /* an entry as it is stored */
    const uint8_t *suffix; /* of the key; the tag and the value follow */
    uint64_t shared, unshared, value_len;
} cut;

/* 0: it does not parse. before: length of the key of the entry before it. */
static inline int take(const lsm_block_view *v, uint32_t at, uint64_t before, cut *c) {
    const uint8_t *end = v->data + v->limit, *p = v->data + at;
    if (at >= v->limit || !(p = varint(p, end, &c->shared)) || !(p = varint(p, end, &c->unshared)) ||
        !(p = varint(p, end, &c->value_len)) || c->shared > before || c->unshared > LSM_MAX_KEY || c->shared + c->unshared > LSM_MAX_KEY ||
        (uint64_t)(end - p) < c->unshared + 8 || (uint64_t)(end - p) - c->unshared - 8 < c->value_len)
        return 0;
    c->suffix = p;
    return 1;
}

static inline uint64_t seq_of(const cut *c) { return lsm_get64(c->suffix + c->unshared) >> 8; }

/* The last restart whose first entry is before (key, seq); 0 when there is none. -1: damaged. */
static int64_t find_restart(const lsm_block_view *v, const uint8_t *key, size_t n, uint64_t seq) {
    uint32_t lo = 0, hi = v->n_restarts; /* restart lo is before the target (or lo is 0), hi is not */
    while (hi - lo > 1) {
        const uint32_t mid = lo + (hi - lo) / 2;
        cut c;
        if (!take(v, restart_at(v, mid), 0, &c)) return -1;
        const int order = lsm_compare_keys(c.suffix, c.unshared, key, n);
        if (order < 0 || (order == 0 && seq_of(&c) > seq))
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

int lsm_block_find(const lsm_block_view *v, uint32_t aim, const uint8_t *key, size_t n, uint64_t seq, lsm_entry *out) {
    if (aim == LSM_BUCKET_NONE) return LSM_NOT_FOUND;
    const int64_t restart = aim == LSM_BUCKET_MANY ? find_restart(v, key, n, seq) : (int64_t)aim;
    if (restart < 0) return LSM_CORRUPT;
    uint64_t len = 0, same = 0; /* of the key of the entry before; of its bytes, those that key begins with, too */
    uint32_t at = restart_at(v, (uint32_t)restart);
    do {
        cut c;
        if (!take(v, at, len, &c)) return LSM_CORRUPT;
        len = c.shared + c.unshared;
        at = (uint32_t)(c.suffix + c.unshared + 8 + c.value_len - v->data);
        if (c.shared > same) continue; /* it differs from key where the entry before it, which is before key, does */
        same = c.shared + alike(c.suffix, c.unshared, key + c.shared, n - c.shared);
        if (same < n && (same == len || c.suffix[same - c.shared] < key[same])) continue; /* before key */
        if (same < len) return LSM_NOT_FOUND; /* behind it */
        if (seq_of(&c) > seq) continue;
        const uint64_t tag = lsm_get64(c.suffix + c.unshared);
        *out = (lsm_entry){.key = key,
                           .value = c.suffix + c.unshared + 8,
                           .key_len = (uint32_t)n,
                           .kind = tag & 255,
                           .value_len = c.value_len,
                           .seq = tag >> 8};
        return LSM_OK;
    } while (at != v->limit);
    return LSM_NOT_FOUND;
}
