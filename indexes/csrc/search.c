#include "indexes/csrc/bytes.h"
#include "indexes/csrc/kinds.h"
#include <stdlib.h>
#include <string.h>

enum { LINE = 8, LINE_BYTES = 64, MOST_LEVELS = 11 }; /* prefixes in a line of the cache; 8^11 > 2^32 */

typedef struct {
    const uint8_t *bytes;
    const uint32_t *offsets;
    uint32_t n;
    uint32_t shared; /* bytes that all keys begin with; 0 in "binary" */
    uint32_t levels;
    size_t memory;
    uint64_t *level[MOST_LEVELS]; /* "fence": a tree of lines, see fence_open; level[0] has a prefix of each key */
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

static inline size_t lines_of(size_t n) { return (n + LINE - 1) / LINE; }

static void *binary_open(const uint8_t *bytes, const uint32_t *offsets, uint32_t n) {
    searcher *s = malloc(sizeof *s);
    if (s) *s = (searcher){.bytes = bytes, .offsets = offsets, .n = n, .memory = sizeof *s};
    return s;
}

static uint32_t binary_find(const void *search, const uint8_t *key, size_t n) {
    const searcher *s = search;
    return search_range(s, 0, s->n, key, n);
}

static size_t memory_of(const void *search) { return ((const searcher *)search)->memory; }

/* Level 0: the 8 bytes of each key behind the shared ones, big-endian, padded with zeros. Each level above has the last of every line of the one
 * below, up to a level of one line; lines are filled up with the greatest number. A search reads a line a level, far fewer than a binary one. */
static void *fence_open(const uint8_t *bytes, const uint32_t *offsets, uint32_t n) {
    uint32_t levels = 0;
    size_t lines = 0, head = lines_of(sizeof(searcher) / sizeof(uint64_t)) * LINE_BYTES;
    for (size_t left = n, more = n > 0; more; left = lines_of(left), levels++) {
        lines += lines_of(left);
        more = left > LINE;
    }
    const size_t memory = head + lines * LINE_BYTES;
    searcher *s = aligned_alloc(LINE_BYTES, memory);
    if (!s) return NULL;
    *s = (searcher){.bytes = bytes, .offsets = offsets, .n = n, .levels = levels, .memory = memory};
    if (n == 0) return s;
    const uint8_t *first = bytes + offsets[0], *last = bytes + offsets[n - 1];
    const uint32_t shortest = offsets[1] - offsets[0], end = offsets[n] - offsets[n - 1];
    while (s->shared < shortest && s->shared < end && first[s->shared] == last[s->shared])
        s->shared++; /* sorted: all in between share it too */
    uint64_t *to = (uint64_t *)((uint8_t *)s + head);
    memset(to, 255, lines * LINE_BYTES);
    for (uint32_t i = 0; i < n; i++) to[i] = idx_prefix64(bytes + offsets[i] + s->shared, offsets[i + 1] - offsets[i] - s->shared);
    s->level[0] = to;
    size_t below = n;
    for (uint32_t k = 1; k < levels; k++) {
        s->level[k] = s->level[k - 1] + lines_of(below) * LINE;
        for (size_t i = 0; i < lines_of(below); i++) s->level[k][i] = s->level[k - 1][i * LINE + LINE - 1];
        below = lines_of(below);
    }
    return s;
}

/* First i with prefix i >= p, in a tree without a branch on the data; n when there is none. */
static inline uint32_t lower_bound(const searcher *s, uint64_t p) {
    if (s->level[0][s->n - 1] < p) return s->n;
    size_t at = 0; /* of a line, then of a place in it, which is that of a line below */
    for (uint32_t k = s->levels; k-- > 0;) {
        const uint64_t *line = s->level[k] + at * LINE;
        size_t before = 0;
        for (int i = 0; i < LINE; i++) before += line[i] < p;
        at = at * LINE + before;
    }
    return (uint32_t)at;
}

static uint32_t fence_find(const void *search, const uint8_t *key, size_t n) {
    const searcher *s = search;
    if (s->n == 0) return 0;
    const size_t least = n < s->shared ? n : s->shared;
    const int c = least ? memcmp(key, s->bytes + s->offsets[0], least) : 0;
    if (c) return c < 0 ? 0 : s->n;
    if (n < s->shared) return 0;
    const uint64_t p = idx_prefix64(key + s->shared, n - s->shared);
    const uint64_t *prefix = s->level[0];
    const uint32_t low = lower_bound(s, p);
    if (low == s->n || prefix[low] != p) return low;
    uint32_t high = low + 1; /* resolve the keys of equal prefix in full; they are few as a rule, so gallop to their end */
    for (uint32_t step = 1; high < s->n && prefix[high] == p; step *= 2) high = s->n - high > step ? high + step : s->n;
    return search_range(s, low, high, key, n);
}

const idx_search_ops idx_binary = {.abi = IDX_SEARCH_ABI,
                                   .size = sizeof(idx_search_ops),
                                   .name = "binary",
                                   .open = binary_open,
                                   .close = free,
                                   .find = binary_find,
                                   .memory = memory_of};

const idx_search_ops idx_fence = {.abi = IDX_SEARCH_ABI,
                                  .size = sizeof(idx_search_ops),
                                  .name = "fence",
                                  .open = fence_open,
                                  .close = free,
                                  .find = fence_find,
                                  .memory = memory_of};
