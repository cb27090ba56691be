/* Windows, containment, radius, counts, batches, walks and the entries themselves, on both kinds of tree. */
#include "indexes/csrc/rtree_node.h"
#include <math.h>
#include <stdlib.h>

typedef struct run {
    idx_rtree *t;
    int what, counting, as_found;
    rt_box box;
    double limit; /* square of the radius */
    idx_hits *out;
    uint64_t found; /* when counting */
} run;

enum { BLOCK = 16 };
static const uint64_t WHOLE = 1ull << 63; /* in a ref on the way down: all below answers, nothing needs a test */

static inline int add_row(const run *r, const rt_node *n, uint32_t mask) {
    if (rt_hits_room(r->out, RT_FAN)) return IDX_RTREE_NO_MEMORY;
    uint64_t *rows = r->out->rows + r->out->n;
    if (n->kids && mask == rt_valid(n)) {
        memcpy(rows, n->rows, RT_ROOM * sizeof *rows); /* there is room, and a fixed length is no call */
        rows += n->count;
    } else if (n->width == 4) {
        for (; mask; mask &= mask - 1) *rows++ = n->base + idx_load32(n->rows + 4 * __builtin_ctz(mask));
    } else {
        for (; mask; mask &= mask - 1) *rows++ = rt_row(r->t, n, (unsigned)__builtin_ctz(mask));
    }
    r->out->n = (size_t)(rows - r->out->rows);
    return 0;
}

/* Rows first to end of a packed tree: what stands under a node stands together. */
static int add_range(run *r, uint64_t first, uint64_t end) {
    const idx_rtree *t = r->t;
    if (r->counting) {
        r->found += end - first;
        return 0;
    }
    if (rt_hits_room(r->out, end - first)) return IDX_RTREE_NO_MEMORY;
    uint64_t *rows = r->out->rows + r->out->n;
    if (t->width == 4)
        for (uint64_t i = first; i < end; i++) *rows++ = t->base + idx_load32(t->rows + 4 * i);
    else
        for (uint64_t i = first; i < end; i++) *rows++ = idx_load64(t->rows + 8 * i);
    r->out->n += end - first;
    return 0;
}

/* Everything below a node of a packed tree. */
static int take(run *r, uint64_t ref) {
    const uint64_t wide = (uint64_t)RT_FAN << 4 * (ref >> RT_LEVEL_SHIFT), first = (ref & RT_INDEX) * wide;
    return add_range(r, first, r->t->count - first < wide ? r->t->count : first + wide);
}

static inline uint32_t near(const run *r, const rt_node *n) {
    double gaps[RT_FAN];
    uint32_t mask = 0;
    r->t->kernels.gaps(n->lo, n->hi, r->t->dims, &r->box, gaps);
    for (unsigned i = 0; i < RT_FAN; i++) mask |= (uint32_t)(gaps[i] <= r->limit) << i;
    return mask;
}

/* Which entries answer (leaf) or may have answers below (inner node). */
static inline uint32_t pick(const run *r, const rt_node *n) {
    const rt_kernels *k = &r->t->kernels;
    const double *lo = r->box.lo, *hi = r->box.hi;
    const int dims = r->t->dims;
    uint32_t mask;
    if (r->what == IDX_RTREE_NEAR)
        mask = near(r, n);
    else if (r->what == IDX_RTREE_CONTAINS)
        mask = k->mask(n->lo, n->hi, dims, lo, hi);
    else if (r->what == IDX_RTREE_WITHIN && n->leaf)
        mask = k->mask(n->hi, n->lo, dims, hi, lo);
    else
        mask = k->mask(n->lo, n->hi, dims, hi, lo);
    return mask & rt_valid(n);
}

/* Which of the picked nodes lie wholly in the window, so that nothing below needs a test. */
static inline uint32_t wholly(const run *r, const rt_node *n, uint32_t picked) {
    if (!picked || r->what == IDX_RTREE_CONTAINS || r->what == IDX_RTREE_NEAR) return 0;
    return picked & r->t->kernels.mask(n->hi, n->lo, r->t->dims, r->box.hi, r->box.lo);
}

/* Nodes lie anywhere in memory, most on a page of the system whose address is not at hand, where a prefetch does nothing. So a block of
 * them is touched by loads that do not wait for each other, and only then is the rest of each asked for. */
static void ask_for(const idx_rtree *t, const uint64_t *refs, size_t n) {
    const uint8_t *at[BLOCK];
    size_t size = sizeof(rt_page) + (size_t)t->dims * RT_COLUMN;
    for (size_t i = 0; i < n; i++) {
        if (t->growth) {
            at[i] = (const uint8_t *)rt_page_at(t->growth, (uint32_t)refs[i]);
        } else {
            rt_node node;
            rt_look(t, refs[i], &node);
            at[i] = node.lo, size = (size_t)t->dims * RT_COLUMN * (node.lo == node.hi ? 1 : 2);
            if (node.leaf) *(const volatile uint8_t *)node.rows;
        }
        *(const volatile uint8_t *)at[i];
    }
    for (size_t i = 0; i < n; i++)
        for (size_t line = 64; line < (refs[i] & WHOLE ? sizeof(rt_page) : size); line += 64) __builtin_prefetch(at[i] + line);
}

static int push(rt_front *f, uint64_t ref) {
    if (f->n == f->cap) {
        const size_t cap = f->cap ? 2 * f->cap : 256;
        uint64_t *refs = realloc(f->refs, cap * sizeof *refs);
        if (!refs) return IDX_RTREE_NO_MEMORY;
        f->refs = refs, f->cap = cap;
    }
    f->refs[f->n++] = ref;
    return 0;
}

static int visit(run *r, uint64_t ref, rt_front *below) {
    rt_node n;
    rt_look(r->t, ref & ~WHOLE, &n);
    const uint32_t picked = ref & WHOLE ? rt_valid(&n) : pick(r, &n);
    if (n.leaf) {
        if (!r->counting) return add_row(r, &n, picked);
        r->found += (uint64_t)__builtin_popcount(picked);
        return 0;
    }
    const uint32_t whole = ref & WHOLE ? picked : wholly(r, &n, picked);
    for (uint32_t left = picked; left; left &= left - 1) {
        const unsigned i = (unsigned)__builtin_ctz(left);
        const uint64_t child = rt_child(&n, i);
        if (!(whole >> i & 1)) {
            if (push(below, child)) return IDX_RTREE_NO_MEMORY;
        } else if (n.kids ? push(below, child | WHOLE) : take(r, child)) {
            return IDX_RTREE_NO_MEMORY;
        }
    }
    return 0;
}

/* Level by level. */
static int descend(run *r, uint64_t root) {
    rt_front *here = &r->out->front[0], *below = &r->out->front[1];
    here->n = 0;
    if (push(here, root)) return IDX_RTREE_NO_MEMORY;
    while (here->n) {
        below->n = 0;
        for (size_t i = 0; i < here->n; i++) {
            if (i % BLOCK == 0 && here->n > 1) ask_for(r->t, here->refs + i, here->n - i < BLOCK ? here->n - i : BLOCK);
            if (visit(r, here->refs[i], below)) return IDX_RTREE_NO_MEMORY;
        }
        rt_front *swap = here;
        here = below, below = swap;
    }
    return 0;
}

/* Run a query; its rows come behind those that are there, sorted unless they may come as found. The lock is held. */
static int collect(run *r) {
    const size_t from = r->out->n;
    if (r->t->count && descend(r, r->t->root)) return IDX_RTREE_NO_MEMORY;
    const int repeats = rt_repeats(r->t);
    return r->as_found && !repeats ? 0 : rt_hits_sort(r->out, from, repeats);
}

int64_t idx_rtree_find(idx_rtree *t, int what, const double *box, int ordered, idx_hits *out) {
    run r = {.t = t, .what = what, .as_found = !ordered, .out = out};
    int wrong = rt_read_box(t->dims, box, 0, &r.box);
    if (wrong) return wrong;
    out->n = 0;
    rt_lock_read(t);
    wrong = collect(&r);
    rt_unlock(t);
    return wrong ? wrong : rt_hits_done(out, 0);
}

int64_t idx_rtree_find_over(const idx_rtree_part *parts, size_t n_parts, int what, const double *box, double radius, idx_hits *out) {
    run r = {.what = what, .limit = radius * radius, .out = out};
    int wrong = rt_read_box(parts->tree->dims, box, what == IDX_RTREE_NEAR, &r.box), repeats = n_parts > 1;
    out->n = 0;
    for (size_t i = 0; i < n_parts && !wrong; i++) {
        const size_t from = out->n;
        r.t = parts[i].tree;
        rt_lock_read(r.t);
        repeats |= rt_repeats(r.t);
        if (r.t->count) wrong = descend(&r, r.t->root);
        rt_unlock(r.t);
        if (!parts[i].n_hide) continue;
        size_t kept = from;
        for (size_t j = from; j < out->n; j++)
            if (!rt_hidden(parts[i].hide, parts[i].n_hide, out->rows[j])) out->rows[kept++] = out->rows[j];
        out->n = kept;
    }
    if (!wrong) wrong = rt_hits_sort(out, 0, repeats);
    return wrong ? wrong : rt_hits_done(out, 0);
}

int64_t idx_rtree_count_in(idx_rtree *t, int what, const double *box, idx_hits *out) {
    run r = {.t = t, .what = what, .out = out, .counting = 1};
    int wrong = rt_read_box(t->dims, box, 0, &r.box);
    if (wrong) return wrong;
    out->n = 0;
    rt_lock_read(t);
    if (rt_repeats(t)) r.counting = 0;
    wrong = collect(&r);
    const int64_t found = r.counting ? (int64_t)r.found : (int64_t)out->n;
    rt_unlock(t);
    return wrong ? wrong : found;
}

int64_t idx_rtree_find_many(idx_rtree *t, int what, const double *boxes, size_t n, uint64_t *offsets, idx_hits *out, size_t *bad) {
    run r = {.t = t, .what = what, .out = out};
    int wrong = 0;
    out->n = 0;
    offsets[0] = 0;
    rt_lock_read(t);
    for (size_t i = 0; i < n && !wrong; i++) {
        *bad = i;
        wrong = rt_read_box(t->dims, boxes + i * 2 * (unsigned)t->dims, 0, &r.box);
        if (!wrong) wrong = collect(&r);
        offsets[i + 1] = out->n;
    }
    rt_unlock(t);
    return wrong ? wrong : rt_hits_done(out, 0);
}

void rt_dump(const idx_rtree *t, uint64_t ref, uint64_t *rows, double *boxes, uint64_t *at) {
    rt_node n;
    rt_look(t, ref, &n);
    for (unsigned i = 0; i < n.count; i++) {
        if (!n.leaf) {
            rt_dump(t, rt_child(&n, i), rows, boxes, at);
            continue;
        }
        rt_box box;
        rt_box_at(&n, t->dims, i, &box);
        double *out = boxes + *at * 2 * (unsigned)t->dims;
        memcpy(out, box.lo, (unsigned)t->dims * sizeof *out);
        memcpy(out + t->dims, box.hi, (unsigned)t->dims * sizeof *out);
        rows[(*at)++] = rt_row(t, &n, i);
    }
}

int64_t idx_rtree_gather(const idx_rtree_part *parts, size_t n_parts, uint64_t *rows, double *boxes, uint64_t cap) {
    uint64_t n = 0;
    for (size_t i = 0; i < n_parts; i++) {
        idx_rtree *t = parts[i].tree;
        const size_t wide = 2 * (unsigned)t->dims;
        uint64_t kept = n;
        rt_lock_read(t);
        const int fits = t->count <= cap - n;
        if (t->count && fits) rt_dump(t, t->root, rows, boxes, &n);
        rt_unlock(t);
        if (!fits) return IDX_RTREE_CHANGED;
        for (uint64_t j = kept; j < n && parts[i].n_hide; j++) {
            if (rt_hidden(parts[i].hide, parts[i].n_hide, rows[j])) continue;
            rows[kept] = rows[j];
            memmove(boxes + kept++ * wide, boxes + j * wide, wide * sizeof *boxes);
        }
        if (parts[i].n_hide) n = kept;
    }
    return (int64_t)n;
}

int idx_rtree_bounds(idx_rtree *t, double *box) {
    rt_lock_read(t);
    const int some = t->count > 0;
    if (some) {
        rt_node n;
        rt_look(t, t->root, &n);
        for (int a = 0; a < t->dims; a++) {
            box[a] = INFINITY, box[t->dims + a] = -INFINITY;
            for (unsigned i = 0; i < n.count; i++) {
                const double lo = rt_load(n.lo + a * RT_COLUMN + 8 * i), hi = rt_load(n.hi + a * RT_COLUMN + 8 * i);
                box[a] = lo < box[a] ? lo : box[a];
                box[t->dims + a] = hi > box[t->dims + a] ? hi : box[t->dims + a];
            }
        }
    }
    rt_unlock(t);
    return some ? 0 : -1;
}

uint64_t idx_rtree_count(idx_rtree *t) {
    rt_lock_read(t);
    const uint64_t n = t->count;
    rt_unlock(t);
    return n;
}

int idx_rtree_repeats(idx_rtree *t) {
    rt_lock_read(t);
    const int some = rt_repeats(t);
    rt_unlock(t);
    return some;
}

/* A walk keeps its way from the root: at each level the node and which of its entries are still to be visited. */
struct idx_rtree_walk {
    run r;
    uint64_t changes;
    int depth; /* nodes on the way */
    struct {
        uint64_t ref;
        uint32_t left;
    } way[RT_MOST_LEVELS];
};

static void enter(idx_rtree_walk *w, uint64_t ref) {
    rt_node n;
    rt_look(w->r.t, ref, &n);
    w->way[w->depth].ref = ref, w->way[w->depth].left = pick(&w->r, &n);
    w->depth++;
}

idx_rtree_walk *idx_rtree_walk_new(idx_rtree *t, int what, const double *box, int *error) {
    idx_rtree_walk *w = calloc(1, sizeof *w);
    *error = w ? rt_read_box(t->dims, box, 0, &w->r.box) : IDX_RTREE_NO_MEMORY;
    if (*error) {
        free(w);
        return NULL;
    }
    w->r.t = t, w->r.what = what;
    rt_lock_read(t);
    w->changes = t->growth ? t->growth->changes : 0;
    if (t->count) enter(w, t->root);
    rt_unlock(t);
    return w;
}

int64_t idx_rtree_walk_next(idx_rtree_walk *w, uint64_t chunk, idx_hits *out) {
    idx_rtree *t = w->r.t;
    int failed = 0;
    w->r.out = out, out->n = 0;
    rt_lock_read(t);
    if (t->growth && t->growth->changes != w->changes) failed = IDX_RTREE_CHANGED;
    while (!failed && w->depth && out->n < chunk) {
        const int top = w->depth - 1;
        rt_node n;
        rt_look(t, w->way[top].ref, &n);
        const uint32_t left = w->way[top].left;
        if (n.leaf || !left) {
            if (n.leaf) failed = add_row(&w->r, &n, left);
            w->depth = top;
        } else {
            w->way[top].left = left & (left - 1);
            enter(w, rt_child(&n, (unsigned)__builtin_ctz(left)));
        }
    }
    rt_unlock(t);
    return failed ? failed : rt_hits_done(out, 0);
}

void idx_rtree_walk_free(idx_rtree_walk *w) { free(w); }
