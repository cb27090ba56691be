#include "indexes/csrc/kinds.h"
#include <string.h>

const idx_filter_ops *idx_filter_find(const char *name) {
    const idx_filter_ops *const all[] = {&idx_bloom, &idx_blocked_bloom};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}

const idx_search_ops *idx_search_find(const char *name) {
    const idx_search_ops *const all[] = {&idx_fence, &idx_binary, &idx_learned};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}

void idx_hash_keys(const idx_filter_ops *ops, const uint8_t *bytes, const uint64_t *offsets, size_t n, uint64_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = ops->hash(bytes + offsets[i], offsets[i + 1] - offsets[i]);
}

void idx_hash_rows(const idx_filter_ops *ops, const uint8_t *bytes, size_t width, size_t n, uint64_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = ops->hash(bytes + i * width, width);
}

void idx_search_find_many(const idx_search_ops *ops, const void *search, const uint8_t *bytes, const uint64_t *offsets, size_t n,
                          uint32_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = ops->find(search, bytes + offsets[i], offsets[i + 1] - offsets[i]);
}
