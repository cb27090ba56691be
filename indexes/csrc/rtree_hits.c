/* Answers of R-tree queries: a growing array of rows. It is sorted by setting bits where it is dense, else by radix (least digit first) over
 * the bits in which the rows differ. */
#include "indexes/csrc/rtree_node.h"
#include <stdlib.h>

enum { BY_INSERTION = 48, SHORT_LIST = 768, NARROW = 8, WIDE = 11, MOST_PASSES = 8 };

idx_hits *idx_hits_new(uint64_t *small, double *small_distances) {
    idx_hits *h = calloc(1, sizeof *h);
    if (h) h->small = small, h->small_distances = small_distances;
    return h;
}

void idx_hits_free(idx_hits *h) {
    if (!h) return;
    free(h->rows);
    free(h->spare);
    free(h->distances);
    free(h->front[0].refs);
    free(h->front[1].refs);
    free(h);
}

int rt_hits_more(idx_hits *h, size_t extra) {
    size_t cap = h->cap < 512 ? 1024 : 2 * h->cap;
    if (cap < h->n + extra) cap = h->n + extra;
    uint64_t *rows = realloc(h->rows, cap * sizeof *rows);
    if (!rows) return IDX_RTREE_NO_MEMORY;
    h->rows = rows, h->cap = cap;
    return 0;
}

static void insertion(uint64_t *v, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const uint64_t x = v[i];
        size_t j = i;
        for (; j && v[j - 1] > x; j--) v[j] = v[j - 1];
        v[j] = x;
    }
}

/* Two passes over what two digits hold, the first into half as many bytes: answers of thousands of rows stay near the processor. */
static void radix_short(uint64_t *v, uint32_t *spare, size_t n, int shift, int width) {
    uint32_t low_next[1 << WIDE], high_next[1 << WIDE], low_sum = 0, high_sum = 0;
    const uint32_t digit = (1u << width) - 1;
    const uint64_t same = v[0] & ~((((uint64_t)1 << 2 * width) - 1) << shift);
    memset(low_next, 0, (digit + 1) * sizeof *low_next), memset(high_next, 0, (digit + 1) * sizeof *high_next);
    for (size_t i = 0; i < n; i++) low_next[v[i] >> shift & digit]++, high_next[v[i] >> (shift + width) & digit]++;
    for (uint32_t d = 0; d <= digit; d++) {
        const uint32_t low_here = low_next[d], high_here = high_next[d];
        low_next[d] = low_sum, low_sum += low_here;
        high_next[d] = high_sum, high_sum += high_here;
    }
    for (size_t i = 0; i < n; i++) spare[low_next[v[i] >> shift & digit]++] = (uint32_t)(v[i] >> shift);
    for (size_t i = 0; i < n; i++)
        v[high_next[spare[i] >> width & digit]++] = same | (uint64_t)(spare[i] & (digit << width | digit)) << shift;
}

/* Sort by the bits of `differ`, the only ones in which the values differ; spare has n places too. */
static void radix(uint64_t *v, uint64_t *spare, size_t n, uint64_t differ) {
    uint32_t start[MOST_PASSES][1 << WIDE];
    const int most = n < SHORT_LIST ? NARROW : WIDE, shift = __builtin_ctzll(differ), bits = 64 - __builtin_clzll(differ) - shift;
    if (bits > most && bits <= 2 * most) {
        radix_short(v, (uint32_t *)(void *)spare, n, shift, (bits + 1) / 2);
        return;
    }
    const int passes = (bits + most - 1) / most, width = (bits + passes - 1) / passes;
    const uint64_t low = (1u << width) - 1;
    for (int d = 0; d < passes; d++) memset(start[d], 0, (low + 1) * sizeof *start[d]);
    for (size_t i = 0; i < n; i++)
        for (int d = 0; d < passes; d++) start[d][v[i] >> (shift + d * width) & low]++;
    uint64_t *from = v, *to = spare;
    for (int d = 0; d < passes; d++) {
        const int at = shift + d * width;
        if (!(differ >> at & low)) continue;
        uint32_t *next = start[d], sum = 0;
        for (uint32_t digit = 0; digit <= low; digit++) {
            const uint32_t here = next[digit];
            next[digit] = sum, sum += here;
        }
        for (size_t i = 0; i < n; i++) to[next[from[i] >> at & low]++] = from[i];
        uint64_t *swap = from;
        from = to, to = swap;
    }
    if (from != v) memcpy(v, from, n * sizeof *v);
}

/* Sort by setting bits, of which there are 64 * words; `low` covers those in which the values differ. Each value once; how many there are. */
static size_t by_bits(uint64_t *v, uint64_t *bits, size_t n, uint64_t low, uint64_t words) {
    const uint64_t high = v[0] & ~low;
    size_t kept = 0;
    memset(bits, 0, words * sizeof *bits);
    for (size_t i = 0; i < n; i++) bits[(v[i] & low) >> 6] |= 1ull << (v[i] & 63);
    for (uint64_t w = 0; w < words; w++)
        for (uint64_t left = bits[w]; left; left &= left - 1) v[kept++] = high | (64 * w + (unsigned)__builtin_ctzll(left));
    return kept;
}

static int spare_room(idx_hits *h, size_t n) {
    if (h->cap_spare >= n) return 0;
    free(h->spare);
    h->spare = malloc(n * sizeof *h->spare), h->cap_spare = h->spare ? n : 0;
    return h->spare ? 0 : IDX_RTREE_NO_MEMORY;
}

/* Bits in which some values differ. */
static uint64_t differences(const uint64_t *v, size_t n) {
    uint64_t some[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++) some[j] |= v[i + (unsigned)j] ^ v[0];
    for (; i < n; i++) some[0] |= v[i] ^ v[0];
    return some[0] | some[1] | some[2] | some[3];
}

int rt_hits_sort(idx_hits *h, size_t from, int repeats) {
    const size_t n = h->n - from;
    uint64_t *v = h->rows + from;
    size_t rising = 1;
    while (rising < n && v[rising] >= v[rising - 1]) rising++;
    if (n <= BY_INSERTION) {
        insertion(v, n);
    } else if (rising < n) {
        const uint64_t differ = differences(v, n), low = ~0ull >> __builtin_clzll(differ);
        if (n > UINT32_MAX || spare_room(h, n)) return IDX_RTREE_NO_MEMORY; /* counters of 32 bits */
        if (low / 64 < n / 8) {
            h->n = from + by_bits(v, h->spare, n, low, low / 64 + 1);
            return 0;
        }
        radix(v, h->spare, n, differ);
    }
    if (!repeats || !n) return 0;
    size_t kept = 1;
    for (size_t i = 1; i < n; i++)
        if (v[i] != v[kept - 1]) v[kept++] = v[i];
    h->n = from + kept;
    return 0;
}

int64_t rt_hits_done(idx_hits *h, int distances) {
    if (h->n && h->n <= IDX_RTREE_SMALL) {
        memcpy(h->small, h->rows, h->n * sizeof *h->rows);
        if (distances) memcpy(h->small_distances, h->distances, h->n * sizeof *h->distances);
    }
    return (int64_t)h->n;
}

void idx_hits_take(const idx_hits *h, uint64_t *rows) {
    if (h->n) memcpy(rows, h->rows, h->n * sizeof *rows);
}

void idx_hits_take_distances(const idx_hits *h, double *distances) {
    if (h->n) memcpy(distances, h->distances, h->n * sizeof *distances);
}

void idx_hits_take_pairs(const idx_hits *h, uint64_t *left, uint64_t *right) {
    for (size_t i = 0; i < h->n / 2; i++) left[i] = h->rows[2 * i], right[i] = h->rows[2 * i + 1];
}
