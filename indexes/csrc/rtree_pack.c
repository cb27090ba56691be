/* Packed R-trees as bytes: full nodes in the order given, level over level, every place computed from the number of entries.
 *
 *    header 64 bytes | leaves | nodes over leaves | ... | root | row ids | zeros to a multiple of 8 | XXH3-64 of all before u64
 *    header = "IDXR" | version u8 | dims u8 | flags u8 (1: points, 2: a row may repeat) | width u8 (4 or 8: bytes of a row id)
 *           | entries u64 | base u64 (what row ids of 4 bytes count from) | size u64 | 32 zeros
 *    node   = columns of 16 doubles, axis by axis: lo, then hi (a leaf of points: lo only); unused places are NaN
 *
 * Node i of a level has the entries 16 i to 16 i + 15 of the level below, so there is no pointer that could be wrong.
 */
#include "indexes/csrc/hash.h"
#include "indexes/csrc/rtree_node.h"
#include <math.h>
#include <stdlib.h>

enum { VERSION = 1, HEADER = 64, POINTS = 1, REPEATS = 2, SUM = 8, SMALL_ROW = 4, LARGE_ROW = 8 };
static const char MAGIC[4] = {'I', 'D', 'X', 'R'};

typedef struct shape {
    int levels;
    uint64_t entries[RT_MOST_LEVELS], start[RT_MOST_LEVELS], rows, size;
} shape;

static uint64_t block(int dims, int points, int level) { return (uint64_t)(level == 0 && points ? 1 : 2) * (unsigned)dims * RT_COLUMN; }

/* n is below 2^56, so nothing overflows. */
static shape shape_of(int dims, int points, int width, uint64_t n) {
    shape s = {.rows = HEADER};
    for (uint64_t left = n; left > 0; s.levels++) { /* 14 levels at most */
        s.entries[s.levels] = left, s.start[s.levels] = s.rows;
        left = (left + RT_FAN - 1) / RT_FAN;
        s.rows += left * block(dims, points, s.levels);
        if (left == 1) left = 0;
    }
    s.size = s.rows + (n * (unsigned)width + 7) / 8 * 8 + SUM;
    return s;
}

int idx_rtree_check(int dims, const double *boxes, size_t n, size_t *bad, int *points) {
    rt_box box;
    *points = 1;
    for (size_t i = 0; i < n; i++, boxes += 2 * dims) {
        const int wrong = rt_read_box(dims, boxes, 0, &box);
        if (wrong) {
            *bad = i;
            return wrong;
        }
        for (int a = 0; a < dims; a++) *points &= box.lo[a] == box.hi[a];
    }
    return 0;
}

static int width_of(const uint64_t *rows, size_t n, uint64_t *base) {
    uint64_t least = n ? UINT64_MAX : 0, most = 0;
    for (size_t i = 0; i < n; i++) least = rows[i] < least ? rows[i] : least, most = rows[i] > most ? rows[i] : most;
    const int small = n == 0 || most - least <= UINT32_MAX;
    *base = small ? least : 0;
    return small ? SMALL_ROW : LARGE_ROW;
}

/* Whether a row stands twice: 1, 0, or NO_MEMORY. */
static int repeats(const uint64_t *rows, size_t n) {
    size_t i = 1;
    while (i < n && rows[i] > rows[i - 1]) i++;
    if (i >= n) return 0;
    idx_hits *h = idx_hits_new(NULL, NULL);
    int found = IDX_RTREE_NO_MEMORY;
    if (h && !rt_hits_room(h, n)) {
        memcpy(h->rows, rows, n * sizeof *rows);
        h->n = n;
        if (!rt_hits_sort(h, 0, 1)) found = h->n < n;
    }
    idx_hits_free(h);
    return found;
}

uint64_t idx_rtree_size(int dims, int points, const uint64_t *rows, size_t n) {
    uint64_t base;
    return shape_of(dims, points, width_of(rows, n, &base), n).size;
}

static void fill_leaves(int dims, int points, const double *boxes, const uint64_t *order, size_t n, uint8_t *out) {
    const size_t size = block(dims, points, 0), half = (size_t)dims * RT_COLUMN;
    for (size_t i = 0; i < (n + RT_FAN - 1) / RT_FAN * RT_FAN; i++) {
        if (order && i + RT_FAN < n) __builtin_prefetch(boxes + order[i + RT_FAN] * 2 * (unsigned)dims);
        uint8_t *p = out + i / RT_FAN * size + i % RT_FAN * 8;
        const double *box = i < n ? boxes + (order ? order[i] : i) * 2 * (unsigned)dims : NULL;
        for (int a = 0; a < dims; a++) {
            rt_store(p + a * RT_COLUMN, box ? box[a] : NAN);
            if (!points) rt_store(p + half + a * RT_COLUMN, box ? box[dims + a] : NAN);
        }
    }
}

/* The bounds of every node of one level become the entries of the next. */
static void fill_level(int dims, const shape *s, int points, int level, uint8_t *data) {
    const size_t below = block(dims, points, level - 1), size = block(dims, points, level), half = (size_t)dims * RT_COLUMN;
    const size_t hi = level == 1 && points ? 0 : half;
    const uint64_t n = s->entries[level];
    for (uint64_t i = 0; i < (n + RT_FAN - 1) / RT_FAN * RT_FAN; i++) {
        uint8_t *p = data + s->start[level] + i / RT_FAN * size + i % RT_FAN * 8;
        const uint8_t *from = data + s->start[level - 1] + i * below;
        const uint64_t left = i < n ? s->entries[level - 1] - i * RT_FAN : 0;
        for (int a = 0; a < dims; a++) {
            double least = left ? INFINITY : NAN, most = left ? -INFINITY : NAN;
            for (unsigned j = 0; j < RT_FAN && j < left; j++) {
                const double l = rt_load(from + a * RT_COLUMN + 8 * j), h = rt_load(from + hi + a * RT_COLUMN + 8 * j);
                least = l < least ? l : least, most = h > most ? h : most;
            }
            rt_store(p + a * RT_COLUMN, least);
            rt_store(p + half + a * RT_COLUMN, most);
        }
    }
}

int idx_rtree_pack(int dims, int points, const double *boxes, const uint64_t *rows, const uint64_t *order, size_t n, uint8_t *out) {
    uint64_t base;
    const int width = width_of(rows, n, &base), twice = repeats(rows, n);
    if (twice < 0) return twice;
    const shape s = shape_of(dims, points, width, n);
    memset(out, 0, HEADER);
    memcpy(out, MAGIC, sizeof MAGIC);
    out[4] = VERSION, out[5] = (uint8_t)dims, out[6] = (uint8_t)((points ? POINTS : 0) | (twice ? REPEATS : 0)), out[7] = (uint8_t)width;
    idx_store64(out + 8, n);
    idx_store64(out + 16, base);
    idx_store64(out + 24, s.size);
    if (n) fill_leaves(dims, points, boxes, order, n, out + HEADER);
    for (int level = 1; level < s.levels; level++) fill_level(dims, &s, points, level, out);
    memset(out + s.size - SUM - 8, 0, 8);
    for (size_t i = 0; i < n; i++) {
        const uint64_t row = rows[order ? order[i] : i];
        if (width == LARGE_ROW)
            rt_store64(out + s.rows + 8 * i, row);
        else
            rt_store32(out + s.rows + 4 * i, (uint32_t)(row - base));
    }
    idx_store64(out + s.size - SUM, idx_xxh3(out, s.size - SUM));
    return 0;
}

static int examine(const uint8_t *data, uint64_t size, int verify) {
    if (size < HEADER + SUM) return IDX_RTREE_LENGTH;
    if (memcmp(data, MAGIC, sizeof MAGIC) != 0) return IDX_RTREE_MAGIC;
    if (data[4] != VERSION) return IDX_RTREE_VERSION;
    if ((data[5] != 2 && data[5] != 3) || data[6] > (POINTS | REPEATS) || (data[7] != SMALL_ROW && data[7] != LARGE_ROW))
        return IDX_RTREE_HEADER;
    for (int i = 32; i < HEADER; i++)
        if (data[i]) return IDX_RTREE_HEADER;
    const uint64_t n = idx_load64(data + 8);
    if (idx_load64(data + 24) != size || n > size / SMALL_ROW || shape_of(data[5], data[6] & POINTS, data[7], n).size != size)
        return IDX_RTREE_LENGTH;
    if (verify && idx_xxh3(data, size - SUM) != idx_load64(data + size - SUM)) return IDX_RTREE_CHECKSUM;
    return 0;
}

idx_rtree *idx_rtree_open(const uint8_t *data, uint64_t size, int verify, int *error) {
    *error = examine(data, size, verify);
    if (*error) return NULL;
    idx_rtree *t = calloc(1, sizeof *t);
    if (!t) {
        *error = IDX_RTREE_NO_MEMORY;
        return NULL;
    }
    const shape s = shape_of(data[5], data[6] & POINTS, data[7], idx_load64(data + 8));
    t->kernels = rt_kernels_here(0);
    t->dims = data[5], t->points = data[6] & POINTS, t->repeats = (data[6] & REPEATS) != 0, t->width = data[7];
    t->count = idx_load64(data + 8), t->base = idx_load64(data + 16), t->size = size;
    t->height = s.levels, t->rows = data + s.rows;
    for (int level = 0; level < s.levels; level++) t->level[level] = data + s.start[level], t->entries[level] = s.entries[level];
    t->root = s.levels ? (uint64_t)(s.levels - 1) << RT_LEVEL_SHIFT : 0;
    return t;
}

void idx_rtree_close(idx_rtree *t) {
    if (t && t->growth) rt_growth_free(t->growth);
    free(t);
}

void idx_rtree_portable(idx_rtree *t) { t->kernels = rt_kernels_here(1); }

int idx_rtree_dims(const idx_rtree *t) { return t->dims; }
