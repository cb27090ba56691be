/* table_index.c: index blocks to memory and back. */
#include "lsm/csrc/table_index.h"
#include <stdlib.h>

static const uint8_t *take(const uint8_t *p, const uint8_t *end, uint64_t *key_len, const uint8_t **key, lsm_handle *h) {
    uint64_t size;
    if (!(p = lsm_get_varint(p, end, key_len)) || *key_len > LSM_MAX_KEY || *key_len > (uint64_t)(end - p)) return NULL;
    *key = p;
    if (!(p = lsm_get_varint(p + *key_len, end, &h->offset)) || !(p = lsm_get_varint(p, end, &size)) || size > LSM_MAX_BLOCK) return NULL;
    h->size = (uint32_t)size;
    return p;
}

lsm_index_part *lsm_index_parse(const uint8_t *data, size_t n, uint64_t file_end, int *status) {
    *status = LSM_CORRUPT;
    if (n < 4) return NULL;
    uint32_t count = lsm_get32(data);
    const uint8_t *end = data + n;
    if (count > (n - 4) / 3) return NULL; /* none: a table of range tombstones only */
    size_t keys_max = n, memory = sizeof(lsm_index_part) + (size_t)count * (sizeof(lsm_handle) + 4) + 4 + keys_max;
    lsm_index_part *part = malloc(memory);
    if (!part) {
        *status = LSM_NOMEM;
        return NULL;
    }
    part->n = count;
    part->memory = memory;
    part->handles = (lsm_handle *)(part + 1);
    part->offsets = (uint32_t *)(part->handles + count);
    part->keys = (uint8_t *)(part->offsets + count + 1);
    uint32_t used = 0;
    uint64_t at = 0;
    const uint8_t *p = data + 4;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t len;
        const uint8_t *key;
        lsm_handle h;
        p = take(p, end, &len, &key, &h);
        int ok = p && h.offset >= at && h.offset < file_end && (uint64_t)h.size + LSM_TRAILER <= file_end - h.offset;
        if (ok && i) ok = lsm_compare_keys(part->keys + part->offsets[i - 1], used - part->offsets[i - 1], key, len) <= 0;
        if (!ok) {
            free(part);
            return NULL;
        }
        part->offsets[i] = used;
        part->handles[i] = h;
        memcpy(part->keys + used, key, len);
        used += (uint32_t)len;
        at = h.offset + h.size + LSM_TRAILER;
    }
    part->offsets[count] = used;
    if (p != end) {
        free(part);
        return NULL;
    }
    *status = LSM_OK;
    return part;
}

uint32_t lsm_index_find(const lsm_index_part *p, const uint8_t *key, size_t n) {
    uint32_t lo = 0, hi = p->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        size_t len;
        const uint8_t *k = lsm_index_key(p, mid, &len);
        if (lsm_compare_keys(k, len, key, n) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int lsm_index_add(lsm_index_builder *b, const uint8_t *key, size_t n, lsm_handle h) {
    if (!b->n) b->n = 4;
    if (b->cap < b->n + n + 32) {
        size_t cap = (b->cap + n + 1024) * 2;
        uint8_t *data = realloc(b->data, cap);
        if (!data) return LSM_NOMEM;
        b->data = data;
        b->cap = cap;
    }
    uint8_t *p = lsm_put_varint(b->data + b->n, n);
    if (n) memcpy(p, key, n);
    p = lsm_put_varint(p + n, h.offset);
    p = lsm_put_varint(p, h.size);
    b->n = (size_t)(p - b->data);
    b->count++;
    return LSM_OK;
}

int lsm_index_finish(lsm_index_builder *b) {
    if (!b->data && !(b->data = malloc(b->cap = 64))) return LSM_NOMEM;
    if (!b->n) b->n = 4;
    lsm_put32(b->data, b->count);
    return LSM_OK;
}

void lsm_index_reset(lsm_index_builder *b) {
    b->n = 0;
    b->count = 0;
}
