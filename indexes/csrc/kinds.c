#include "indexes/csrc/kinds.h"
#include <string.h>

enum { PIECE = 512 };

const idx_filter_ops *idx_filter_find(const char *name) {
    const idx_filter_ops *const all[] = {
        &idx_bloom,        &idx_blocked_bloom, &idx_counting_bloom, &idx_cuckoo, &idx_ribbon, &idx_homogeneous_ribbon,
        &idx_binary_fuse8, &idx_binary_fuse16, &idx_xor8,           &idx_xor16,
    };
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

idx_hash_fn idx_hash_find(const char *name) {
    if (strcmp(name, "xxh3") == 0) return idx_xxh3;
    return strcmp(name, "murmur3") == 0 ? idx_murmur3 : NULL;
}

void idx_hash_keys(idx_hash_fn hash, const uint8_t *bytes, const uint64_t *offsets, size_t n, uint64_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = hash(bytes + offsets[i], offsets[i + 1] - offsets[i]);
}

void idx_hash_rows(idx_hash_fn hash, const uint8_t *bytes, size_t width, size_t n, uint64_t *out) {
    if (hash == idx_xxh3 && width == 8)
        idx_xxh3_rows8(bytes, n, out);
    else
        for (size_t i = 0; i < n; i++) out[i] = hash(bytes + i * width, width);
}

/* A piece of keys at a time: their hashes stay in the nearest cache. */
void idx_filter_probe_rows(const idx_filter_ops *ops, idx_hash_fn hash, const uint8_t *filter, size_t len, const uint8_t *bytes,
                           size_t width, size_t n, uint8_t *out) {
    uint64_t hashes[PIECE];
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t piece = n - i < PIECE ? n - i : PIECE;
        idx_hash_rows(hash, bytes + i * width, width, piece, hashes);
        ops->may_contain_many(filter, len, hashes, piece, out + i);
    }
}

void idx_filter_probe_keys(const idx_filter_ops *ops, idx_hash_fn hash, const uint8_t *filter, size_t len, const uint8_t *bytes,
                           const uint64_t *offsets, size_t n, uint8_t *out) {
    uint64_t hashes[PIECE];
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t piece = n - i < PIECE ? n - i : PIECE;
        idx_hash_keys(hash, bytes, offsets + i, piece, hashes);
        ops->may_contain_many(filter, len, hashes, piece, out + i);
    }
}

void idx_search_find_many(const idx_search_ops *ops, const void *search, const uint8_t *bytes, const uint64_t *offsets, size_t n,
                          uint32_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = ops->find(search, bytes + offsets[i], offsets[i + 1] - offsets[i]);
}
