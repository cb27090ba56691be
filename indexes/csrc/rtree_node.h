/* rtree_node.h: what the R-tree sources share: nodes of 16 entries as columns, the kernels that test them, and the two kinds of tree behind one look.
 *
 *    columns of a node:   lo x[16]  lo y[16]  (lo z[16])   hi x[16]  hi y[16]  (hi z[16])     doubles, little-endian
 *    a leaf of points has its lo columns only, and hi points at them too
 *
 * A ref names a node: in a packed tree level << 56 | index, in a growing tree the page's number.
 * Ownership: a look borrows from the tree. Threads: pure; who looks into a growing tree holds its lock.
 * Invariants: a count is at most 16, and kernels may read all 16 places of a column; places from count on are to be masked away.
 */
#ifndef IDX_RTREE_NODE_H
#define IDX_RTREE_NODE_H
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/rtree.h"
#include <pthread.h>

enum { RT_FAN = 16, RT_MOST_DIMS = 3, RT_COLUMN = RT_FAN * 8, RT_MOST_LEVELS = 16, RT_LEVEL_SHIFT = 56 };
static const uint64_t RT_INDEX = (1ull << RT_LEVEL_SHIFT) - 1;

/* idx_store64 in one move: packing does little else. */
static inline void rt_store64(uint8_t *p, uint64_t v) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    memcpy(p, &v, sizeof v);
}

static inline void rt_store32(uint8_t *p, uint32_t v) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    memcpy(p, &v, sizeof v);
}

static inline double rt_load(const uint8_t *p) {
    const uint64_t bits = idx_load64(p);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline void rt_store(uint8_t *p, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    rt_store64(p, bits);
}

typedef struct rt_box {
    double lo[RT_MOST_DIMS], hi[RT_MOST_DIMS];
} rt_box;

typedef struct rt_kernels {
    /* Bit i: first[a][i] <= most[a] and second[a][i] >= least[a] on every axis a. */
    uint32_t (*mask)(const uint8_t *first, const uint8_t *second, int dims, const double *most, const double *least);
    /* out[i]: square of the distance between entry i and the box. */
    void (*gaps)(const uint8_t *lo, const uint8_t *hi, int dims, const rt_box *box, double *out);
} rt_kernels;

rt_kernels rt_kernels_here(void);

/* A page of a growing tree; columns follow. */
typedef struct rt_page {
    uint32_t parent;
    uint16_t level; /* 0: leaf */
    uint8_t count, flat; /* flat: a leaf of points, whose hi columns are stale */
    uint32_t kids[RT_FAN]; /* leaf: items; above: pages */
    uint64_t rows[RT_FAN]; /* leaf */
    uint8_t columns[];
} rt_page;

typedef struct rt_item {
    uint64_t row;
    uint32_t page, next; /* next entry of the same row */
} rt_item;

enum { RT_CHUNK_BITS = 8 };
static const uint32_t RT_NONE = UINT32_MAX;

typedef struct rt_growth {
    pthread_rwlock_t lock;
    uint64_t changes, repeats; /* repeats: entries beyond the first of their row */
    uint8_t **chunks; /* of 1 << RT_CHUNK_BITS pages */
    uint32_t n_chunks, cap_chunks, n_pages, free_pages, free_page;
    size_t stride;
    rt_item *items;
    uint32_t n_items, cap_items, free_item;
    uint32_t *table; /* row -> first item, open addressing */
    uint32_t table_bits, table_used;
} rt_growth;

struct idx_rtree {
    rt_kernels kernels;
    int dims;
    int height; /* levels; 0: empty */
    uint64_t count, root;
    /* packed */
    const uint8_t *level[RT_MOST_LEVELS], *rows;
    uint64_t entries[RT_MOST_LEVELS], base;
    int points, width, repeats;
    uint64_t size;
    rt_growth *growth; /* or NULL */
};

typedef struct rt_node {
    const uint8_t *lo, *hi;
    const uint8_t *rows; /* leaf: row ids of `width` bytes, less `base` */
    const uint32_t *kids; /* inner, growing: refs of the children */
    uint64_t first; /* packed: ref of the first child, or the number of the first entry */
    uint64_t base;
    int width, leaf;
    unsigned count;
} rt_node;

static inline rt_page *rt_page_at(const rt_growth *g, uint32_t at) {
    return (rt_page *)(g->chunks[at >> RT_CHUNK_BITS] + (size_t)(at & ((1u << RT_CHUNK_BITS) - 1)) * g->stride);
}

static inline void rt_look(const idx_rtree *t, uint64_t ref, rt_node *n) {
    if (t->growth) {
        const rt_page *p = rt_page_at(t->growth, (uint32_t)ref);
        n->leaf = p->level == 0, n->count = p->count;
        n->lo = p->columns, n->hi = p->flat ? p->columns : p->columns + t->dims * RT_COLUMN;
        n->rows = (const uint8_t *)p->rows, n->width = 8, n->base = 0;
        n->kids = p->kids, n->first = 0;
        return;
    }
    const unsigned level = (unsigned)(ref >> RT_LEVEL_SHIFT);
    const uint64_t at = ref & RT_INDEX, left = t->entries[level] - at * RT_FAN;
    const int thin = level == 0 && t->points;
    const size_t half = (size_t)t->dims * RT_COLUMN;
    n->leaf = level == 0, n->count = left < RT_FAN ? (unsigned)left : RT_FAN;
    n->lo = t->level[level] + at * (thin ? half : 2 * half), n->hi = thin ? n->lo : n->lo + half;
    n->rows = level ? NULL : t->rows + at * RT_FAN * (unsigned)t->width, n->width = t->width, n->base = t->base;
    n->kids = NULL;
    n->first = level ? (uint64_t)(level - 1) << RT_LEVEL_SHIFT | at * RT_FAN : at * RT_FAN;
}

static inline uint64_t rt_child(const rt_node *n, unsigned i) { return n->kids ? n->kids[i] : n->first + i; }

/* Growing pages hold rows as the machine does, which is little-endian or not; stored ones are little-endian. */
static inline uint64_t rt_row(const idx_rtree *t, const rt_node *n, unsigned i) {
    if (t->growth) {
        uint64_t row;
        memcpy(&row, n->rows + 8 * i, sizeof row);
        return row;
    }
    return n->width == 4 ? n->base + idx_load32(n->rows + 4 * i) : idx_load64(n->rows + 8 * i);
}

static inline uint32_t rt_valid(const rt_node *n) { return (1u << n->count) - 1; }

static inline void rt_box_at(const rt_node *n, int dims, unsigned i, rt_box *out) {
    for (int a = 0; a < dims; a++) {
        out->lo[a] = rt_load(n->lo + a * RT_COLUMN + 8 * i);
        out->hi[a] = rt_load(n->hi + a * RT_COLUMN + 8 * i);
    }
}

/* 0, or what is wrong with a box of 2 * dims numbers; INFINITE only when `finite` asks for it. */
int rt_read_box(int dims, const double *numbers, int finite, rt_box *out);

static inline int rt_repeats(const idx_rtree *t) { return t->growth ? t->growth->repeats > 0 : t->repeats; }

static inline void rt_lock_read(idx_rtree *t) {
    if (t->growth) pthread_rwlock_rdlock(&t->growth->lock);
}

static inline void rt_unlock(idx_rtree *t) {
    if (t->growth) pthread_rwlock_unlock(&t->growth->lock);
}

/* Answers (rtree_hits.c). */
struct idx_hits {
    uint64_t *rows, *spare, *small;
    double *distances, *small_distances; /* as many places as rows when wanted */
    size_t n, cap, cap_spare, cap_distances;
};

int rt_hits_more(idx_hits *h, size_t extra); /* 0, or NO_MEMORY */

static inline int rt_hits_room(idx_hits *h, size_t extra) { return h->cap - h->n >= extra ? 0 : rt_hits_more(h, extra); }

/* Sort rows[from..n) and drop repeats when there may be some. */
int rt_hits_sort(idx_hits *h, size_t from, int repeats);
/* Bring the answer to where the caller looks; the number of rows. */
int64_t rt_hits_done(idx_hits *h, int distances);
void rt_growth_free(rt_growth *g);
/* Every entry below a node, from place *at on. */
void rt_dump(const idx_rtree *t, uint64_t ref, uint64_t *rows, double *boxes, uint64_t *at);
#endif
