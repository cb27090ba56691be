/* Answers of R-tree queries: a growing array of rows, sorted by radix (least digit first) over the bits in which the rows differ. */
#include "indexes/csrc/rtree_node.h"
#include <stdlib.h>

enum { BY_INSERTION = 48, SHORT_LIST = 768, NARROW = 8, WIDE = 11 };

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
    free(h);
}

int rt_hits_more(idx_hits *h, size_t extra) {
    size_t cap = h->cap < 512 ? 1024 : 2 * h->cap;
    if (cap < h->n + extra) cap = h->n + extra;
    uint64_t *rows = cap > SIZE_MAX / 16 ? NULL : realloc(h->rows, cap * sizeof *rows);
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

/* One pass: a stable distribution of from[] to to[] by the digit at shift. */
static void distribute(const uint64_t *from, uint64_t *to, size_t n, int shift, int width) {
    uint32_t start[1 << WIDE];
    const uint64_t low = (1u << width) - 1;
    memset(start, 0, (low + 1) * sizeof *start);
    for (size_t i = 0; i < n; i++) start[from[i] >> shift & low]++;
    for (uint32_t d = 0, sum = 0; d <= low; d++) {
        const uint32_t here = start[d];
        start[d] = sum, sum += here;
    }
    for (size_t i = 0; i < n; i++) to[start[from[i] >> shift & low]++] = from[i];
}

int rt_hits_sort(idx_hits *h, size_t from, int repeats) {
    const size_t n = h->n - from;
    uint64_t *v = h->rows + from;
    if (n <= BY_INSERTION) {
        insertion(v, n);
    } else {
        if (n > UINT32_MAX) return IDX_RTREE_NO_MEMORY; /* a counter of distribute would wrap */
        if (h->cap_spare < n) {
            free(h->spare);
            h->cap_spare = 0, h->spare = malloc(h->cap * sizeof *h->spare);
            if (!h->spare) return IDX_RTREE_NO_MEMORY;
            h->cap_spare = h->cap;
        }
        uint64_t differ = 0, falls = 0;
        for (size_t i = 1; i < n; i++) differ |= v[i] ^ v[0], falls |= v[i] < v[i - 1];
        uint64_t *a = v, *b = h->spare;
        const int most = n < SHORT_LIST ? NARROW : WIDE;
        while (falls && differ) {
            const int shift = __builtin_ctzll(differ), left = 64 - __builtin_clzll(differ) - shift;
            const int passes = (left + most - 1) / most, width = (left + passes - 1) / passes;
            distribute(a, b, n, shift, width);
            uint64_t *swap = a;
            a = b, b = swap;
            differ &= shift + width < 64 ? ~0ull << (shift + width) : 0;
        }
        if (a != v) memcpy(v, a, n * sizeof *v);
    }
    if (repeats && n) {
        size_t kept = 1;
        for (size_t i = 1; i < n; i++)
            if (v[i] != v[kept - 1]) v[kept++] = v[i];
        h->n = from + kept;
    }
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
