/* The order along the Hilbert curve: Kamel & Faloutsos, "On Packing R-trees", CIKM 1993, section 3 (by the centre of the box).
 *
 * The centres' bounds are cut into 2^22 cells an axis (2^14 in three dimensions). Where more than a leaf's worth of centres share
 * a cell, those are ordered among themselves on a grid of their own, so that one far box does not spoil the order of all others.
 * The curve: J. Skilling, "Programming the Hilbert curve", AIP Conference Proceedings 707, 2004, eight centres side by side.
 */
#include "indexes/csrc/rtree_node.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { LANES = 8, DIGIT = 11, DIGITS = 4, BY_INSERTION = 64 };

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

typedef struct place {
    uint64_t key, at;
} place;

typedef struct sorter {
    const double *boxes;
    int dims, bits; /* bits an axis, even */
    place *spare;
    void (*along)(int dims, int bits, uint32_t cells[RT_MOST_DIMS][LANES], uint64_t *keys);
} sorter;

static inline double clamped(double x) { return x > DBL_MAX ? DBL_MAX : x < -DBL_MAX ? -DBL_MAX : x; }

/* A quarter of the sum of both bounds: half the centre, which never overflows. */
static inline double centre(const sorter *s, uint64_t at, int a) {
    const double *box = s->boxes + at * 2 * (unsigned)s->dims;
    return 0.25 * clamped(box[a]) + 0.25 * clamped(box[s->dims + a]);
}

/* Of 11 bits in two dimensions, 7 in three, each in front of dims - 1 zeros. */
IDX_INLINE void spread(int dims, lanes *v) {
    lanes x = *v;
    if (dims == 2) {
        x = (x | x << 8) & 0x00FF00FF, x = (x | x << 4) & 0x0F0F0F0F, x = (x | x << 2) & 0x33333333, x = (x | x << 1) & 0x55555555;
    } else {
        x = (x | x << 16) & 0x030000FF, x = (x | x << 8) & 0x0300F00F, x = (x | x << 4) & 0x030C30C3, x = (x | x << 2) & 0x09249249;
    }
    *v = x;
}

/* Cells of eight centres to eight distances along the curve: `bits` an axis, 22 in two dimensions, 14 in three. */
IDX_INLINE void along(int dims, int bits, uint32_t cells[RT_MOST_DIMS][LANES], uint64_t *keys) {
    lanes x[RT_MOST_DIMS], half[2];
    uint32_t out[2][LANES];
    memcpy(x, cells, sizeof x);
    for (int q = bits - 1; q > 0; q--) {
        const uint32_t below = (1u << q) - 1;
        x[0] ^= -(x[0] >> q & 1) & below;
#pragma GCC unroll 2
        for (int a = 1; a < dims; a++) {
            const lanes set = -(x[a] >> q & 1), swap = (x[0] ^ x[a]) & below & ~set;
            x[0] ^= (set & below) | swap;
            x[a] ^= swap;
        }
    }
#pragma GCC unroll 2
    for (int a = 1; a < dims; a++) x[a] ^= x[a - 1];
    lanes turn = x[dims - 1] >> 1; /* each bit is to be the parity of all above it */
    turn ^= turn >> 1, turn ^= turn >> 2, turn ^= turn >> 4, turn ^= turn >> 8, turn ^= turn >> 16;
    for (int h = 0; h < 2; h++) {
        const int shift = h ? 0 : bits / 2;
        half[h] = (lanes){0};
#pragma GCC unroll 3
        for (int a = 0; a < dims; a++) {
            lanes bits_of = (x[a] ^ turn) >> shift & ((1u << bits / 2) - 1);
            spread(dims, &bits_of);
            half[h] |= bits_of << (dims - 1 - a);
        }
    }
    memcpy(out, half, sizeof out);
    for (int i = 0; i < LANES; i++) keys[i] = (uint64_t)out[0][i] << dims * bits / 2 | out[1][i];
}

static void along_portable(int dims, int bits, uint32_t cells[RT_MOST_DIMS][LANES], uint64_t *keys) { along(dims, bits, cells, keys); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void along_avx2(int dims, int bits, uint32_t cells[RT_MOST_DIMS][LANES], uint64_t *keys) {
    if (dims == 2)
        along(2, bits, cells, keys);
    else
        along(3, bits, cells, keys);
}
#endif

/* Give the places their keys; false when all centres are one. */
static int key(const sorter *s, place *p, size_t n) {
    double least[RT_MOST_DIMS], extent[RT_MOST_DIMS];
    int some = 0;
    for (int a = 0; a < s->dims; a++) {
        double lo = INFINITY, hi = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            const double c = centre(s, p[i].at, a);
            lo = c < lo ? c : lo, hi = c > hi ? c : hi;
        }
        least[a] = lo, extent[a] = hi - lo;
        some |= extent[a] > 0;
    }
    if (!some) return 0;
    const double most = (double)((1u << s->bits) - 1);
    uint32_t cells[RT_MOST_DIMS][LANES] = {{0}};
    uint64_t keys[LANES];
    for (size_t i = 0; i < n; i += LANES) {
        const size_t here = n - i < LANES ? n - i : LANES;
        for (int a = 0; a < s->dims; a++)
            for (size_t j = 0; extent[a] > 0 && j < here; j++)
                cells[a][j] = (uint32_t)((centre(s, p[i + j].at, a) - least[a]) / extent[a] * most);
        s->along(s->dims, s->bits, cells, keys);
        for (size_t j = 0; j < here; j++) p[i + j].key = keys[j];
    }
    return 1;
}

static void insertion(place *p, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const place x = p[i];
        size_t j = i;
        for (; j && p[j - 1].key > x.key; j--) p[j] = p[j - 1];
        p[j] = x;
    }
}

/* By the digits from `first` up to, not including, `end`; equal ones stay in order.
 * Not inlined: its counters would stand on the stack once for each turn of the recursion in arrange. */
__attribute__((noinline)) static void radix(place *p, place *spare, size_t n, int first, int end) {
    uint64_t start[DIGITS / 2][1 << DIGIT] = {{0}};
    const uint64_t low = (1u << DIGIT) - 1;
    for (size_t i = 0; i < n; i++)
        for (int d = first; d < end; d++) start[d - first][p[i].key >> d * DIGIT & low]++;
    place *from = p, *to = spare;
    for (int d = first; d < end; d++) {
        uint64_t *const at = start[d - first];
        if (at[from->key >> d * DIGIT & low] == n) continue; /* all the same */
        for (uint64_t v = 0, sum = 0; v <= low; v++) {
            const uint64_t here = at[v];
            at[v] = sum, sum += here;
        }
        for (size_t i = 0; i < n; i++) to[at[from[i].key >> d * DIGIT & low]++] = from[i];
        place *swap = from;
        from = to, to = swap;
    }
    if (from != p) memcpy(p, from, n * sizeof *p);
}

/* By the upper half of the key, then what has the same by the lower half: as a rule a few at a time. */
static void sort(place *p, place *spare, size_t n) {
    if (n > BY_INSERTION) radix(p, spare, n, DIGITS / 2, DIGITS);
    for (size_t i = 0, j; i < n; i = j) {
        const uint64_t upper = p[i].key >> DIGITS / 2 * DIGIT;
        for (j = i + 1; j < n && (n <= BY_INSERTION || p[j].key >> DIGITS / 2 * DIGIT == upper);) j++;
        if (j - i > BY_INSERTION)
            radix(p + i, spare, j - i, 0, DIGITS / 2);
        else
            insertion(p + i, j - i);
    }
}

/* Every turn of the recursion works in one cell of the one before: an axis is halved at least 14 times, so it ends. */
static void arrange(const sorter *s, place *p, size_t n) {
    if (n <= RT_FAN || !key(s, p, n)) return;
    sort(p, s->spare, n);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && p[j].key == p[i].key;) j++;
        if (j - i > RT_FAN) arrange(s, p + i, j - i);
    }
}

int idx_rtree_order(int dims, const double *boxes, size_t n, int portable, uint64_t *order) {
    /* uncovered (guard): more than a test can hold */
    place *p = n > SIZE_MAX / 64 ? NULL : malloc(2 * n * sizeof *p + 1);
    if (!p) return IDX_RTREE_NO_MEMORY;
    for (size_t i = 0; i < n; i++) p[i].at = i;
    sorter s = {boxes, dims, dims == 2 ? 22 : 14, p + n, along_portable};
#if defined(__x86_64__)
    /* uncovered (machine): a processor without these instructions */
    if (!portable && __builtin_cpu_supports("avx2")) s.along = along_avx2;
#endif
    arrange(&s, p, n);
    for (size_t i = 0; i < n; i++) order[i] = p[i].at;
    free(p);
    return 0;
}
