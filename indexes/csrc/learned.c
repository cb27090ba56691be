/* learned.c: the block search "learned": a PGM-index over eight bytes of each separator, those behind what all of them share.
 *
 * The lines give a window of a few separators, which are then compared in full; separators whose eight bytes tie are searched beyond it. So the
 * answer is right for any keys, and the memory is a few lines for all blocks instead of eight bytes a block.
 */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/kinds.h"
#include "indexes/csrc/pgm.h"
#include <stdlib.h>
#include <string.h>

enum { EPSILON = 4 };

typedef struct learned {
    const uint8_t *bytes;
    const uint32_t *offsets;
    uint32_t n, shared;
    idx_pgm *pgm;
} learned;

/* A key's part behind what all separators share. */
typedef struct tail {
    const uint8_t *at;
    size_t n;
    uint64_t first; /* its eight bytes */
} tail;

/* Is separator i less than the key? */
static inline int is_less(const learned *s, size_t i, const tail *key) {
    const uint8_t *at = s->bytes + s->offsets[i] + s->shared;
    const size_t n = s->offsets[i + 1] - s->offsets[i] - s->shared, least = n < key->n ? n : key->n;
    const uint64_t first = idx_prefix64(at, n);
    if (first != key->first) return first < key->first;
    const int c = least ? memcmp(at, key->at, least) : 0;
    return c ? c < 0 : n < key->n;
}

static void learned_close(void *search) {
    learned *s = search;
    idx_pgm_free(s->pgm);
    free(s);
}

static void *learned_open(const uint8_t *bytes, const uint32_t *offsets, uint32_t n) {
    learned *s = malloc(sizeof *s);
    uint64_t *prefixes = malloc((n + (size_t)1) * sizeof *prefixes);
    if (s && prefixes) {
        *s = (learned){.bytes = bytes, .offsets = offsets, .n = n};
        const uint8_t *first = bytes + offsets[0], *last = n ? bytes + offsets[n - 1] : first;
        const uint32_t shortest = n ? offsets[1] - offsets[0] : 0, end = n ? offsets[n] - offsets[n - 1] : 0;
        while (s->shared < shortest && s->shared < end && first[s->shared] == last[s->shared]) s->shared++;
        for (uint32_t i = 0; i < n; i++)
            prefixes[i] = idx_prefix64(bytes + offsets[i] + s->shared, offsets[i + 1] - offsets[i] - s->shared);
        s->pgm = idx_pgm_build(prefixes, n, EPSILON);
    }
    free(prefixes);
    if (s && prefixes && s->pgm) return s;
    free(s);
    return NULL;
}

static uint32_t learned_find(const void *search, const uint8_t *key, size_t n) {
    const learned *s = search;
    if (s->n == 0) return 0;
    const size_t least = n < s->shared ? n : s->shared;
    const int c = least ? memcmp(key, s->bytes + s->offsets[0], least) : 0;
    if (c) return c < 0 ? 0 : s->n;
    if (n < s->shared) return 0;
    const tail wanted = {key + s->shared, n - s->shared, idx_prefix64(key + s->shared, n - s->shared)};
    size_t low, high;
    idx_pgm_window(s->pgm, wanted.first, &low, &high);
    /* high may stand among separators that tie with the key: then the answer may lie behind it */
    for (size_t step = 1; high < s->n && is_less(s, high, &wanted); step *= 2) {
        low = high + 1;
        high = s->n - high > step ? high + step : s->n;
    }
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (is_less(s, mid, &wanted))
            low = mid + 1;
        else
            high = mid;
    }
    return (uint32_t)low;
}

static size_t learned_memory(const void *search) {
    const learned *s = search;
    size_t len;
    idx_pgm_bytes(s->pgm, &len);
    return sizeof *s + len;
}

const idx_search_ops idx_learned = {.abi = IDX_SEARCH_ABI,
                                    .size = sizeof(idx_search_ops),
                                    .name = "learned",
                                    .open = learned_open,
                                    .close = learned_close,
                                    .find = learned_find,
                                    .memory = learned_memory};
