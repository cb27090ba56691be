/* The storage of a growing tree: pages in chunks, entries in pages, items, and the hash table from a row to its items. */
#include "indexes/csrc/rtree_grow.h"
#include <math.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { FIRST_TABLE_BITS = 8, LARGE_PAGE = 1 << 21 };

void rt_get(const idx_rtree *t, uint32_t page, unsigned i, rt_slot *out) {
    rt_node n;
    rt_look(t, page, &n);
    rt_box_at(&n, t->dims, i, &out->box);
    rt_page *p = rt_page_at(t->growth, page);
    out->kid = rt_refs(t, p)[i], out->row = p->level ? 0 : p->rows[i];
}

int rt_is_point(const idx_rtree *t, const rt_box *box) {
    int same = 1;
    for (int a = 0; a < t->dims; a++) same &= box->lo[a] == box->hi[a];
    return same;
}

/* The page's own box; it has entries. */
void rt_cover(const idx_rtree *t, uint32_t page, rt_box *out) {
    rt_node n;
    rt_look(t, page, &n);
    for (int a = 0; a < t->dims; a++) {
        double lo = INFINITY, hi = -INFINITY;
        for (unsigned i = 0; i < n.count; i++) {
            const double l = rt_load(n.lo + a * RT_COLUMN + 8 * i), h = rt_load(n.hi + a * RT_COLUMN + 8 * i);
            lo = l < lo ? l : lo, hi = h > hi ? h : hi;
        }
        out->lo[a] = lo, out->hi[a] = hi;
    }
}

void rt_set_box(const idx_rtree *t, rt_page *p, unsigned i, const rt_box *box) {
    for (int a = 0; a < t->dims; a++) {
        rt_store(rt_lo(p, a) + 8 * i, box->lo[a]);
        if (!p->flat) rt_store(rt_hi(t, p, a) + 8 * i, box->hi[a]);
    }
}

/* Put an entry into a page that has room, and make what it leads to know where it is. */
void rt_put(const idx_rtree *t, uint32_t page, const rt_slot *s) {
    rt_growth *g = t->growth;
    rt_page *p = rt_page_at(g, page);
    if (p->flat && !rt_is_point(t, &s->box)) {
        for (int a = 0; a < t->dims; a++) memcpy(rt_hi(t, p, a), rt_lo(p, a), RT_COLUMN);
        p->flat = 0;
    }
    const unsigned i = p->count++;
    rt_set_box(t, p, i, &s->box);
    rt_refs(t, p)[i] = s->kid;
    if (p->level == 0)
        p->rows[i] = s->row, g->items[s->kid].page = page;
    else
        rt_page_at(g, s->kid)->parent = page;
}

void rt_drop(const idx_rtree *t, uint32_t page, unsigned i) {
    rt_page *p = rt_page_at(t->growth, page);
    rt_slot last;
    rt_get(t, page, p->count - 1u, &last);
    p->count--;
    if (i == p->count) return;
    rt_set_box(t, p, i, &last.box);
    rt_refs(t, p)[i] = last.kid;
    if (p->level == 0) p->rows[i] = last.row;
}

unsigned rt_place_in(const idx_rtree *t, rt_page *p, uint32_t kid) { /* it is there */
    const uint32_t *refs = rt_refs(t, p);
    unsigned i = 0;
    while (refs[i] != kid) i++;
    return i;
}

int rt_same_box(int dims, const rt_box *a, const rt_box *b) {
    int same = 1;
    for (int i = 0; i < dims; i++) same &= a->lo[i] == b->lo[i] && a->hi[i] == b->hi[i];
    return same;
}

/* Make sure that `wanted` pages can be had without asking for memory, so that no insert stops in the middle. */
int rt_reserve_pages(rt_growth *g, uint32_t wanted) {
    while (g->free_pages + (g->n_chunks << RT_CHUNK_BITS) - g->n_pages < wanted) {
        /* uncovered (guard): more than a test can hold */
        if (g->n_chunks >= UINT32_MAX >> RT_CHUNK_BITS) return IDX_RTREE_FULL;
        if (g->n_chunks == g->cap_chunks) {
            const uint32_t cap = g->cap_chunks ? 2 * g->cap_chunks : 16;
            uint8_t **chunks = realloc(g->chunks, cap * sizeof *chunks);
            if (!chunks) return IDX_RTREE_NO_MEMORY;
            g->chunks = chunks, g->cap_chunks = cap;
        }
        const size_t size = ((g->stride << RT_CHUNK_BITS) + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
        void *chunk = aligned_alloc(LARGE_PAGE, size);
        if (!chunk) return IDX_RTREE_NO_MEMORY;
#if defined(__linux__)
        if (g->n_chunks) madvise(chunk, size, MADV_HUGEPAGE); /* a small tree does not take a whole large page */
#endif
        g->chunks[g->n_chunks++] = chunk;
    }
    return 0;
}

uint32_t rt_new_page(rt_growth *g, int level) {
    uint32_t at = g->free_page;
    if (at != RT_NONE)
        g->free_page = rt_page_at(g, at)->parent, g->free_pages--;
    else
        at = g->n_pages++;
    rt_page *p = rt_page_at(g, at);
    p->parent = RT_NONE, p->level = (uint16_t)level, p->count = 0, p->flat = level == 0;
    return at;
}

void rt_free_page(rt_growth *g, uint32_t at) {
    rt_page_at(g, at)->parent = g->free_page;
    g->free_page = at, g->free_pages++;
}

static inline uint32_t home(const rt_growth *g, uint64_t row) {
    row ^= row >> 32;
    return (uint32_t)(row * 0x9E3779B97F4A7C15u >> (64 - g->table_bits));
}

uint32_t rt_find_place(const rt_growth *g, uint64_t row) {
    const uint32_t mask = (1u << g->table_bits) - 1;
    uint32_t at = home(g, row);
    while (g->table[at] != RT_NONE && g->items[g->table[at]].row != row) at = (at + 1) & mask;
    return at;
}

static int widen_table(rt_growth *g, uint32_t bits) {
    uint32_t *old = g->table, *table = malloc(sizeof *table << bits); /* RT_MOST_ITEMS take 31 bits */
    if (!table) return IDX_RTREE_NO_MEMORY;
    memset(table, 0xFF, sizeof *table << bits);
    const uint32_t old_size = old ? 1u << g->table_bits : 0;
    g->table = table, g->table_bits = bits;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i] != RT_NONE) table[rt_find_place(g, g->items[old[i]].row)] = old[i];
    free(old);
    return 0;
}

int rt_reserve_items(rt_growth *g, uint64_t wanted) {
    /* uncovered (guard): more than a test can hold */
    if (g->n_items + wanted > RT_MOST_ITEMS) return IDX_RTREE_FULL;
    if (g->n_items + wanted > g->cap_items) {
        uint64_t cap = g->cap_items ? g->cap_items + g->cap_items / 2 : 256;
        if (cap < g->n_items + wanted) cap = g->n_items + wanted;
        rt_item *items = realloc(g->items, cap * sizeof *items);
        if (!items) return IDX_RTREE_NO_MEMORY;
        g->items = items, g->cap_items = (uint32_t)cap;
    }
    uint32_t bits = g->table_bits ? g->table_bits : FIRST_TABLE_BITS;
    while ((g->table_used + wanted) * 3 > (2ull << bits)) bits++; /* at most two thirds full */
    return bits == g->table_bits ? 0 : widen_table(g, bits);
}

uint32_t rt_new_item(rt_growth *g, uint64_t row) {
    uint32_t item = g->free_item;
    if (item != RT_NONE)
        g->free_item = g->items[item].next;
    else
        item = g->n_items++;
    const uint32_t at = rt_find_place(g, row);
    const int again = g->table[at] != RT_NONE;
    g->items[item] = (rt_item){row, RT_NONE, g->table[at]};
    g->table[at] = item;
    g->repeats += (unsigned)again, g->table_used += !again;
    return item;
}

/* Take a place out of the table: entries behind it that would no longer be found move up (Knuth, TAOCP 3, 6.4, algorithm R). */
void rt_close_gap(rt_growth *g, uint32_t at) {
    const uint32_t mask = (1u << g->table_bits) - 1;
    for (uint32_t next = (at + 1) & mask; g->table[next] != RT_NONE; next = (next + 1) & mask) {
        const uint32_t from = home(g, g->items[g->table[next]].row);
        if (((next - from) & mask) < ((next - at) & mask)) continue;
        g->table[at] = g->table[next], at = next;
    }
    g->table[at] = RT_NONE, g->table_used--;
}

void rt_reset(idx_rtree *t) {
    rt_growth *g = t->growth;
    t->count = t->root = 0, t->height = 0;
    g->repeats = 0;
    g->n_pages = g->free_pages = g->n_items = g->table_used = 0, g->free_page = g->free_item = RT_NONE;
    if (g->table) memset(g->table, 0xFF, sizeof *g->table << g->table_bits);
}

void rt_growth_free(rt_growth *g) {
    for (uint32_t i = 0; i < g->n_chunks; i++) free(g->chunks[i]);
    free(g->chunks);
    free(g->items);
    free(g->table);
    pthread_rwlock_destroy(&g->lock);
    free(g);
}

idx_rtree *idx_rtree_new(int dims) {
    idx_rtree *t = calloc(1, sizeof *t);
    rt_growth *g = calloc(1, sizeof *g);
    /* uncovered (system): a lock cannot be made */
    if (!t || !g || pthread_rwlock_init(&g->lock, NULL)) {
        free(t);
        free(g);
        return NULL;
    }
    g->stride = (sizeof(rt_page) + 2 * (size_t)dims * RT_COLUMN + RT_ROOM * sizeof(uint32_t) + 63) / 64 * 64;
    t->kernels = rt_kernels_here(0), t->dims = dims, t->growth = g;
    rt_reset(t);
    return t;
}

void idx_rtree_clear(idx_rtree *t) {
    rt_lock_write(t);
    rt_reset(t);
    t->growth->changes++;
    rt_unlock(t);
}

int idx_rtree_holds(idx_rtree *t, uint64_t row) {
    rt_lock_read(t);
    const rt_growth *g = t->growth;
    const int some = t->count && g->table[rt_find_place(g, row)] != RT_NONE;
    rt_unlock(t);
    return some;
}

uint64_t idx_rtree_changes(idx_rtree *t) {
    rt_lock_read(t);
    const uint64_t n = t->growth->changes;
    rt_unlock(t);
    return n;
}

uint64_t idx_rtree_memory(idx_rtree *t) {
    if (!t->growth) return t->size;
    rt_lock_read(t);
    const rt_growth *g = t->growth;
    uint64_t sum = sizeof *t + sizeof *g + g->cap_chunks * sizeof *g->chunks + g->cap_items * sizeof *g->items;
    sum += (uint64_t)g->n_chunks * (g->stride << RT_CHUNK_BITS) + (g->table ? sizeof *g->table << g->table_bits : 0);
    rt_unlock(t);
    return sum;
}
