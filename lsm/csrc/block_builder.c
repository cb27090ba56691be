/* block_builder.c: entries in, one data block out. */
#include "lsm/csrc/block.h"
#include "lsm/csrc/table_format.h"
#include <stdlib.h>

int lsm_block_builder_init(lsm_block_builder *b, uint32_t interval, int hash_index, double hash_util) {
    memset(b, 0, sizeof *b);
    b->interval = interval ? interval : 1;
    b->hash_index = hash_index;
    b->hash_util = hash_util > 0.1 && hash_util <= 4 ? hash_util : 0.75;
    b->last_key = malloc(LSM_MAX_KEY);
    return b->last_key ? LSM_OK : LSM_NOMEM;
}

void lsm_block_builder_free(lsm_block_builder *b) {
    free(b->data);
    free(b->last_key);
    free(b->restarts);
    free(b->hashes);
    memset(b, 0, sizeof *b);
}

static int reserve(lsm_block_builder *b, size_t more) {
    if (b->cap - b->n >= more) return LSM_OK;
    size_t cap = b->cap ? b->cap * 2 : 8192;
    while (cap - b->n < more) cap *= 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data) return LSM_NOMEM;
    b->data = data;
    b->cap = cap;
    return LSM_OK;
}

static int push(uint32_t **array, uint32_t *n, uint32_t *cap, uint32_t v) {
    if (*n == *cap) {
        uint32_t more = *cap ? *cap * 2 : 64, *bigger = realloc(*array, more * sizeof **array);
        if (!bigger) return LSM_NOMEM;
        *array = bigger;
        *cap = more;
    }
    (*array)[(*n)++] = v;
    return LSM_OK;
}

int lsm_block_builder_add(lsm_block_builder *b, const lsm_entry *e) {
    uint32_t shared = 0;
    int same = b->entries && b->last_len == e->key_len && !memcmp(b->last_key, e->key, e->key_len);
    if (b->entries && b->since < b->interval) {
        uint32_t most = b->last_len < e->key_len ? b->last_len : e->key_len;
        while (shared < most && b->last_key[shared] == e->key[shared]) shared++;
    } else {
        if (push(&b->restarts, &b->n_restarts, &b->cap_restarts, (uint32_t)b->n) != LSM_OK) return LSM_NOMEM;
        b->since = 0;
        same = 0; /* a key that goes on in the next interval is in two buckets' worth of intervals */
    }
    size_t unshared = e->key_len - shared;
    if (reserve(b, 30 + unshared + 8 + e->value_len) != LSM_OK) return LSM_NOMEM;
    uint8_t *p = b->data + b->n;
    p = lsm_put_varint(p, shared);
    p = lsm_put_varint(p, unshared);
    p = lsm_put_varint(p, e->value_len);
    memcpy(p, e->key + shared, unshared);
    p += unshared;
    lsm_put64(p, e->seq << 8 | e->kind);
    p += 8;
    if (e->value_len) memcpy(p, e->value, e->value_len);
    b->n = (size_t)(p - b->data) + e->value_len;
    memcpy(b->last_key + shared, e->key + shared, unshared);
    b->last_len = e->key_len;
    b->since++;
    b->entries++;
    if (b->hash_index && !same) {
        if (push(&b->hashes, &b->n_hashes, &b->cap_hashes, lsm_block_hash(e->key, e->key_len)) != LSM_OK) return LSM_NOMEM;
        push(&b->hashes, &b->n_hashes, &b->cap_hashes, b->n_restarts - 1); /* they come in pairs: there is room */
    }
    return LSM_OK;
}

size_t lsm_block_builder_size(const lsm_block_builder *b) {
    return b->n + 4 * (size_t)b->n_restarts + 8 + (b->hash_index ? (size_t)(b->n_hashes / 2 / b->hash_util) : 0);
}

int lsm_block_builder_finish(lsm_block_builder *b) {
    uint32_t buckets = 0;
    if (b->hash_index && b->n_restarts < LSM_BUCKET_MANY) buckets = (uint32_t)(b->n_hashes / 2 / b->hash_util) | 1;
    if (reserve(b, 4 * (size_t)b->n_restarts + buckets + 8) != LSM_OK) return LSM_NOMEM;
    uint8_t *p = b->data + b->n;
    for (uint32_t i = 0; i < b->n_restarts; i++, p += 4) lsm_put32(p, b->restarts[i]);
    if (buckets) memset(p, LSM_BUCKET_NONE, buckets);
    for (uint32_t i = 0; buckets && i < b->n_hashes; i += 2) {
        uint8_t *cell = &p[b->hashes[i] % buckets], restart = (uint8_t)b->hashes[i + 1];
        *cell = *cell == LSM_BUCKET_NONE || *cell == restart ? restart : LSM_BUCKET_MANY;
    }
    p += buckets;
    lsm_put32(p, buckets);
    lsm_put32(p + 4, b->n_restarts);
    b->n = (size_t)(p + 8 - b->data);
    return LSM_OK;
}

void lsm_block_builder_reset(lsm_block_builder *b) {
    b->n = 0;
    b->n_restarts = b->since = b->entries = b->n_hashes = b->last_len = 0;
}
