#include "indexes/csrc/distinct.h"
#include <stdlib.h>
#include <string.h>

enum { DIGIT = 11, DIGITS = 1 << DIGIT };

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Stable distribution by one digit. */
static void distribute(const uint64_t *from, uint64_t *to, size_t n, int shift, size_t counts[DIGITS]) {
    size_t sum = 0;
    for (int d = 0; d < DIGITS; d++) {
        const size_t count = counts[d];
        counts[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++) to[counts[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

/* Finishes what the radix passes left; a few moves a key unless someone chose the hashes to collide. */
static void finish(uint64_t *a, size_t n) {
    size_t moves = 32 * n + 1024;
    for (size_t i = 1; i < n; i++) {
        const uint64_t v = a[i];
        size_t j = i;
        for (; j > 0 && a[j - 1] > v; j--) a[j] = a[j - 1];
        a[j] = v;
        if (i - j > moves) {
            qsort(a, n, sizeof *a, ascending);
            return;
        }
        moves -= i - j;
    }
}

size_t idx_distinct(const uint64_t *hashes, size_t n, uint64_t seed, uint64_t *out, uint64_t *scratch) {
    size_t low[DIGITS] = {0}, high[DIGITS] = {0};
    for (size_t i = 0; i < n; i++) {
        const uint64_t h = out[i] = idx_mix(hashes[i] + seed);
        low[h >> (64 - 2 * DIGIT) & (DIGITS - 1)]++;
        high[h >> (64 - DIGIT)]++;
    }
    distribute(out, scratch, n, 64 - 2 * DIGIT, low);
    distribute(scratch, out, n, 64 - DIGIT, high);
    finish(out, n);
    size_t kept = n > 0;
    for (size_t i = 1; i < n; i++)
        if (out[i] != out[kept - 1]) out[kept++] = out[i];
    return kept;
}
