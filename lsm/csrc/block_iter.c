/* block_iter.c: reading a data block forwards, backwards and by key. */
#include "lsm/csrc/block.h"
#include "lsm/csrc/table_format.h"
#include <stdlib.h>

int lsm_block_view_init(lsm_block_view *v, const uint8_t *data, size_t n) {
    if (n < 8) return LSM_CORRUPT;
    uint32_t restarts = lsm_get32(data + n - 4), buckets = lsm_get32(data + n - 8);
    uint64_t tail = 8 + 4 * (uint64_t)restarts + buckets;
    if (!restarts || tail >= n) return LSM_CORRUPT; /* no block is without entries */
    *v = (lsm_block_view){data, (uint32_t)(n - tail), restarts, buckets};
    return LSM_OK;
}

uint32_t lsm_block_hash(const uint8_t *key, size_t n) {
    uint64_t h = UINT64_C(0x9E3779B97F4A7C15) ^ n;
    for (; n >= 8; key += 8, n -= 8) {
        h = (h ^ lsm_get64(key)) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    uint64_t rest = 0;
    for (size_t i = 0; i < n; i++) rest |= (uint64_t)key[i] << 8 * i;
    h = (h ^ rest) * UINT64_C(0xD6E8FEB86659FD93);
    return (uint32_t)(h >> 32);
}

void lsm_block_iter_new(lsm_block_iter *it) {
    memset(it, 0, offsetof(lsm_block_iter, own));
    it->buf = it->own;
    it->cap = sizeof it->own;
}

void lsm_block_iter_init(lsm_block_iter *it, const lsm_block_view *v) {
    it->v = *v;
    it->valid = 0;
    it->status = LSM_OK;
    it->n_past = 0;
}

void lsm_block_iter_free(lsm_block_iter *it) {
    if (it->buf != it->own) free(it->buf);
    free(it->past);
    free(it->past_keys);
}

static void fail(lsm_block_iter *it, int status) {
    it->valid = 0;
    it->status = status;
}

static int grow_key(lsm_block_iter *it, size_t n) {
    if (n <= it->cap) return 1;
    size_t cap = n < 512 ? 512 : n * 2;
    uint8_t *buf = malloc(cap);
    if (!buf) {
        fail(it, LSM_NOMEM);
        return 0;
    }
    memcpy(buf, it->buf, it->cap);
    if (it->e.key == it->buf) it->e.key = buf;
    if (it->buf != it->own) free(it->buf);
    it->buf = buf;
    it->cap = cap;
    return 1;
}

static inline const uint8_t *small_varint(const uint8_t *p, const uint8_t *end, uint64_t *v) {
    if (__builtin_expect(p < end && *p < 128, 1)) {
        *v = *p;
        return p + 1;
    }
    return lsm_get_varint(p, end, v);
}

/* Decodes the entry at offset at. The current key must be that of the entry before it, unless it is a restart. */
static inline void decode(lsm_block_iter *it, uint32_t at) {
    const uint8_t *end = it->v.data + it->v.limit, *p = it->v.data + at;
    uint64_t shared, unshared, value_len;
    if (!(p = small_varint(p, end, &shared)) || !(p = small_varint(p, end, &unshared)) || !(p = small_varint(p, end, &value_len)) ||
        (shared && (!it->valid || shared > it->e.key_len)) || unshared > LSM_MAX_KEY || shared + unshared > LSM_MAX_KEY ||
        (uint64_t)(end - p) < unshared + 8 || (uint64_t)(end - p) - unshared - 8 < value_len) {
        fail(it, LSM_CORRUPT);
        return;
    }
    size_t n = shared + unshared;
    if (!shared) {
        it->e.key = p;
    } else {
        if (!grow_key(it, n)) return;
        if (it->e.key != it->buf) lsm_copy_short(it->buf, it->e.key, shared);
        lsm_copy_short(it->buf + shared, p, unshared);
        it->e.key = it->buf;
    }
    p += unshared;
    uint64_t tag = lsm_get64(p);
    it->e.key_len = (uint32_t)n;
    it->e.seq = tag >> 8;
    it->e.kind = tag & 255;
    it->e.value = p + 8;
    it->e.value_len = value_len;
    it->at = at;
    it->next = (uint32_t)(p + 8 + value_len - it->v.data);
    it->valid = 1;
}

static inline uint32_t restart_at(const lsm_block_iter *it, uint32_t i) { return lsm_get32(it->v.data + it->v.limit + 4 * (size_t)i); }

static void go_restart(lsm_block_iter *it, uint32_t i) {
    uint32_t at = restart_at(it, i);
    it->n_past = 0;
    it->valid = 0;
    if (at >= it->v.limit)
        fail(it, LSM_CORRUPT);
    else
        decode(it, at);
}

void lsm_block_first(lsm_block_iter *it) { go_restart(it, 0); }

static inline void step(lsm_block_iter *it) {
    if (it->next < it->v.limit)
        decode(it, it->next);
    else
        it->valid = 0;
}

void lsm_block_next(lsm_block_iter *it) {
    if (__builtin_expect(it->status != LSM_OK, 0)) return;
    it->n_past = 0;
    step(it);
}

static int compare_to(const lsm_entry *e, const uint8_t *key, size_t n, uint64_t seq) {
    int c = lsm_compare_keys(e->key, e->key_len, key, n);
    return c ? c : (e->seq < seq) - (e->seq > seq);
}

/* The last restart whose first entry is before (key, seq); 0 when there is none. -1: damaged. */
static int64_t find_restart(lsm_block_iter *it, const uint8_t *key, size_t n, uint64_t seq) {
    const uint8_t *end = it->v.data + it->v.limit;
    uint32_t lo = 0, hi = it->v.n_restarts; /* restart lo is before the target (or lo is 0), hi is not */
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2, at = restart_at(it, mid);
        uint64_t shared, unshared, value_len;
        const uint8_t *p = it->v.data + at;
        if (at >= it->v.limit || !(p = small_varint(p, end, &shared)) || !(p = small_varint(p, end, &unshared)) ||
            !(p = small_varint(p, end, &value_len)) || shared || unshared > LSM_MAX_KEY || (uint64_t)(end - p) < unshared + 8)
            return -1;
        lsm_entry e = {.key = p, .key_len = (uint32_t)unshared, .seq = lsm_get64(p + unshared) >> 8};
        if (compare_to(&e, key, n, seq) < 0)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

void lsm_block_seek(lsm_block_iter *it, const uint8_t *key, size_t n, uint64_t seq) {
    int64_t restart = find_restart(it, key, n, seq);
    if (restart < 0) {
        fail(it, LSM_CORRUPT);
        return;
    }
    go_restart(it, (uint32_t)restart);
    while (it->valid && compare_to(&it->e, key, n, seq) < 0) step(it);
}

/* Remembers the current entry among those of the interval. */
static int remember(lsm_block_iter *it) {
    if (it->n_past == it->cap_past) {
        uint32_t cap = it->cap_past ? it->cap_past * 2 : 32;
        lsm_past *past = realloc(it->past, cap * sizeof *past);
        if (!past) return 0;
        it->past = past;
        it->cap_past = cap;
    }
    if (it->past_cap - it->past_used < it->e.key_len) {
        size_t cap = (it->past_cap + it->e.key_len) * 2;
        uint8_t *keys = realloc(it->past_keys, cap);
        if (!keys) return 0;
        it->past_keys = keys;
        it->past_cap = cap;
    }
    if (it->e.key_len) memcpy(it->past_keys + it->past_used, it->e.key, it->e.key_len);
    it->past[it->n_past++] =
        (lsm_past){it->at, it->next, (uint32_t)it->past_used, it->e.key_len, it->e.kind, it->e.value, it->e.seq, it->e.value_len};
    it->past_used += it->e.key_len;
    return 1;
}

/* Decodes the interval that ends at offset end into past. */
static void decode_interval(lsm_block_iter *it, uint32_t restart, uint32_t end) {
    go_restart(it, restart);
    it->past_used = 0;
    while (it->valid) {
        if (!remember(it)) {
            fail(it, LSM_NOMEM);
            return;
        }
        if (it->next >= end) break;
        decode(it, it->next);
    }
    it->past_at = it->n_past;
    if (it->status == LSM_OK && it->past[it->n_past - 1].next != end) fail(it, LSM_CORRUPT);
}

static void show_past(lsm_block_iter *it) {
    const lsm_past *p = &it->past[--it->past_at];
    if (!grow_key(it, p->key_len)) return;
    if (p->key_len) memcpy(it->buf, it->past_keys + p->key_at, p->key_len);
    it->e = (lsm_entry){it->buf, p->value, p->key_len, p->kind, p->value_len, p->seq};
    it->at = p->at;
    it->next = p->next;
    it->valid = 1;
}

/* The last restart with an offset below at. -1: damaged. */
static int64_t restart_before(const lsm_block_iter *it, uint32_t at) {
    uint32_t lo = 0, hi = it->v.n_restarts;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (restart_at(it, mid) < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (int64_t)lo - 1;
}

static void go_before(lsm_block_iter *it, uint32_t end) {
    int64_t restart = end ? restart_before(it, end) : -1;
    if (restart < 0) {
        it->valid = 0;
        if (end) fail(it, LSM_CORRUPT);
        return;
    }
    decode_interval(it, (uint32_t)restart, end);
    if (it->status == LSM_OK) show_past(it);
}

void lsm_block_last(lsm_block_iter *it) { go_before(it, it->v.limit); }

void lsm_block_prev(lsm_block_iter *it) {
    if (it->n_past && it->past_at)
        show_past(it);
    else
        go_before(it, it->at);
}
