#include "indexes/csrc/bytes.h"
#include "indexes/csrc/kinds.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *bytes;
    const uint32_t *offsets;
    uint32_t n;
    uint32_t shared; /* bytes that all keys begin with; 0 in "binary" */
    uint64_t prefix[]; /* "fence": the 8 bytes after the shared ones, big-endian, padded with zeros */
} searcher;

/* Negative, 0 or positive as key i is before, at or after the given key. */
static inline int compare(const searcher *s, uint32_t i, const uint8_t *key, size_t n) {
    const size_t len = s->offsets[i + 1] - s->offsets[i], least = len < n ? len : n;
    const int c = least ? memcmp(s->bytes + s->offsets[i], key, least) : 0;
    return c ? c : (len > n) - (len < n);
}

/* First i in [low, high) with key i >= key, else high. */
static uint32_t search_range(const searcher *s, uint32_t low, uint32_t high, const uint8_t *key, size_t n) {
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (compare(s, mid, key, n) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static searcher *open_plain(const uint8_t *bytes, const uint32_t *offsets, uint32_t n, size_t prefixes) {
    searcher *s = malloc(sizeof *s + prefixes * sizeof s->prefix[0]);
    if (s) *s = (searcher){.bytes = bytes, .offsets = offsets, .n = n};
    return s;
}

static void *binary_open(const uint8_t *bytes, const uint32_t *offsets, uint32_t n) { return open_plain(bytes, offsets, n, 0); }

static uint32_t binary_find(const void *search, const uint8_t *key, size_t n) {
    const searcher *s = search;
    return search_range(s, 0, s->n, key, n);
}

static size_t binary_memory(const void *search) {
    (void)search;
    return sizeof(searcher);
}

static void *fence_open(const uint8_t *bytes, const uint32_t *offsets, uint32_t n) {
    searcher *s = open_plain(bytes, offsets, n, n);
    if (!s || n == 0) return s;
    const uint8_t *first = bytes + offsets[0], *last = bytes + offsets[n - 1];
    const uint32_t shortest = offsets[1] - offsets[0], end = offsets[n] - offsets[n - 1];
    while (s->shared < shortest && s->shared < end && first[s->shared] == last[s->shared])
        s->shared++; /* sorted: all in between share it too */
    for (uint32_t i = 0; i < n; i++) s->prefix[i] = idx_prefix64(bytes + offsets[i] + s->shared, offsets[i + 1] - offsets[i] - s->shared);
    return s;
}

/* First i with prefix[i] >= p: a binary search without a branch on the data. */
static inline uint32_t lower_bound(const uint64_t *prefix, uint32_t n, uint64_t p) {
    const uint64_t *base = prefix;
    for (uint32_t left = n; left > 1;) {
        const uint32_t half = left / 2;
        base += (uint64_t)(base[half - 1] < p) * half;
        left -= half;
    }
    return (uint32_t)(base - prefix) + (*base < p);
}

static uint32_t fence_find(const void *search, const uint8_t *key, size_t n) {
    const searcher *s = search;
    if (s->n == 0) return 0;
    const size_t least = n < s->shared ? n : s->shared;
    const int c = least ? memcmp(key, s->bytes + s->offsets[0], least) : 0;
    if (c) return c < 0 ? 0 : s->n;
    if (n < s->shared) return 0;
    const uint64_t p = idx_prefix64(key + s->shared, n - s->shared);
    const uint32_t low = lower_bound(s->prefix, s->n, p);
    if (low == s->n || s->prefix[low] != p) return low;
    uint32_t high = low + 1; /* resolve the keys of equal prefix in full; they are few as a rule, so gallop to their end */
    for (uint32_t step = 1; high < s->n && s->prefix[high] == p; step *= 2) high = s->n - high > step ? high + step : s->n;
    return search_range(s, low, high, key, n);
}

static size_t fence_memory(const void *search) {
    const searcher *s = search;
    return sizeof *s + s->n * sizeof s->prefix[0];
}

const idx_search_ops idx_binary = {.abi = IDX_SEARCH_ABI,
                                   .size = sizeof(idx_search_ops),
                                   .name = "binary",
                                   .open = binary_open,
                                   .close = free,
                                   .find = binary_find,
                                   .memory = binary_memory};

const idx_search_ops idx_fence = {.abi = IDX_SEARCH_ABI,
                                  .size = sizeof(idx_search_ops),
                                  .name = "fence",
                                  .open = fence_open,
                                  .close = free,
                                  .find = fence_find,
                                  .memory = fence_memory};
