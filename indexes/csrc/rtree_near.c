/* The nearest rows, best first, and the join of two trees.
 *
 * Nearest: Hjaltason & Samet, "Distance browsing in spatial databases", TODS 24(2), 1999, section 3, with k known: nodes wait in a heap by
 * their distance, the k best rows so far in another with the worst on top, whose distance bounds what is still looked at.
 * Join: Brinkhoff, Kriegel & Seeger, "Efficient processing of spatial joins using R-trees", SIGMOD 1993, section 4 (both trees at once).
 */
#include "indexes/csrc/rtree_node.h"
#include <math.h>
#include <stdlib.h>

typedef struct spot {
    double gap; /* square of the distance */
    uint64_t id; /* ref of a node, or row */
} spot;

typedef struct heap {
    spot *v;
    size_t n, cap;
} heap;

static inline int before(spot a, spot b) { return a.gap < b.gap || (a.gap == b.gap && a.id < b.id); }

static int reserve(heap *h) {
    if (h->n < h->cap) return 0;
    const size_t cap = h->cap ? 2 * h->cap : 128;
    spot *v = realloc(h->v, cap * sizeof *v);
    if (!v) return IDX_RTREE_NO_MEMORY;
    h->v = v, h->cap = cap;
    return 0;
}

/* Heaps with the least on top (sign 1) or the greatest (sign 0). */
static inline int above(int least, spot a, spot b) { return least ? before(a, b) : before(b, a); }

static inline void sift_up(heap *h, int least, spot x) {
    size_t i = h->n++;
    for (; i && above(least, x, h->v[(i - 1) / 2]); i = (i - 1) / 2) h->v[i] = h->v[(i - 1) / 2];
    h->v[i] = x;
}

/* Put x in place of the top. */
static inline void sift_down(heap *h, int least, spot x) {
    size_t i = 0;
    for (size_t kid = 1; kid < h->n; kid = 2 * i + 1) {
        if (kid + 1 < h->n && above(least, h->v[kid + 1], h->v[kid])) kid++;
        if (!above(least, h->v[kid], x)) break;
        h->v[i] = h->v[kid], i = kid;
    }
    if (h->n) h->v[i] = x;
}

static int hidden(const uint64_t *hide, size_t n, uint64_t row) {
    size_t lo = 0;
    while (n > lo) {
        const size_t middle = lo + (n - lo) / 2;
        if (hide[middle] == row) return 1;
        if (hide[middle] < row)
            lo = middle + 1;
        else
            n = middle;
    }
    return 0;
}

typedef struct search {
    idx_rtree *t;
    rt_box box;
    uint64_t k;
    double limit;
    const uint64_t *hide;
    size_t n_hide;
    heap nodes, best;
} search;

/* Distances up to this may still matter; ties too, for the lesser row wins. */
static inline double bound(const search *s) { return s->best.n == s->k && s->best.v[0].gap < s->limit ? s->best.v[0].gap : s->limit; }

static int offer(search *s, spot x) {
    if (s->best.n == s->k && !before(x, s->best.v[0])) return 0;
    if (s->n_hide && hidden(s->hide, s->n_hide, x.id)) return 0;
    if (s->best.n == s->k) {
        sift_down(&s->best, 0, x);
        return 0;
    }
    if (reserve(&s->best)) return IDX_RTREE_NO_MEMORY;
    sift_up(&s->best, 0, x);
    return 0;
}

static int look_into(search *s, uint64_t ref) {
    double gaps[RT_FAN];
    rt_node n;
    rt_look(s->t, ref, &n);
    s->t->kernels.gaps(n.lo, n.hi, s->t->dims, &s->box, gaps);
    const double most = bound(s);
    for (unsigned i = 0; i < n.count; i++) {
        if (!(gaps[i] <= most)) continue;
        if (n.leaf) {
            if (offer(s, (spot){gaps[i], rt_row(s->t, &n, i)})) return IDX_RTREE_NO_MEMORY;
        } else {
            if (reserve(&s->nodes)) return IDX_RTREE_NO_MEMORY;
            sift_up(&s->nodes, 1, (spot){gaps[i], rt_child(&n, i)});
        }
    }
    return 0;
}

static int best_first(search *s) {
    s->nodes.n = s->best.n = 0;
    if (!s->t->count || !s->k) return 0;
    int failed = look_into(s, s->t->root);
    while (!failed && s->nodes.n && s->nodes.v[0].gap <= bound(s)) {
        const spot next = s->nodes.v[0];
        s->nodes.n--;
        sift_down(&s->nodes, 1, s->nodes.v[s->nodes.n]);
        failed = look_into(s, next.id);
    }
    return failed;
}

/* Append the best in order, each row once; how many were appended. */
static int emit(search *s, idx_hits *out) {
    const size_t n = s->best.n, from = out->n;
    if (rt_hits_room(out, n)) return IDX_RTREE_NO_MEMORY;
    if (out->cap_distances < out->n + n) {
        double *d = realloc(out->distances, out->cap * sizeof *d);
        if (!d) return IDX_RTREE_NO_MEMORY;
        out->distances = d, out->cap_distances = out->cap;
    }
    for (size_t i = n; i-- > 0;) {
        out->rows[from + i] = s->best.v[0].id, out->distances[from + i] = sqrt(s->best.v[0].gap);
        s->best.n--;
        sift_down(&s->best, 0, s->best.v[s->best.n]);
    }
    out->n += n;
    return 0;
}

static int by_row(const void *a, const void *b) {
    const spot *x = a, *y = b;
    return x->id != y->id ? (x->id < y->id ? -1 : 1) : (x->gap > y->gap) - (x->gap < y->gap);
}

/* Keep of rows[from..n) the first of each row, in their order, `most` of them at most. */
static int keep_first(idx_hits *out, size_t from, uint64_t most) {
    const size_t n = out->n - from;
    spot *v = malloc(n * sizeof *v + 1);
    if (!v) return IDX_RTREE_NO_MEMORY;
    for (size_t i = 0; i < n; i++) v[i] = (spot){(double)i, out->rows[from + i]}; /* gap: the place */
    qsort(v, n, sizeof *v, by_row);
    for (size_t i = 1; i < n; i++)
        if (v[i].id == v[i - 1].id) out->distances[from + (size_t)v[i].gap] = -1;
    free(v);
    size_t kept = from;
    for (size_t i = from; i < out->n && kept - from < most; i++) {
        if (out->distances[i] < 0) continue;
        out->rows[kept] = out->rows[i], out->distances[kept] = out->distances[i];
        kept++;
    }
    out->n = kept;
    return 0;
}

static int nearest(search *s, idx_hits *out, int repeats) {
    const uint64_t k = s->k;
    const size_t from = out->n;
    for (;; s->k *= 2) { /* k entries may be fewer rows: then ask for more entries, until there are no more */
        out->n = from;
        if (best_first(s)) return IDX_RTREE_NO_MEMORY;
        const int all = s->best.n < s->k;
        if (emit(s, out) || (repeats && keep_first(out, from, k))) return IDX_RTREE_NO_MEMORY;
        if (!repeats || all || out->n - from == k) break;
    }
    s->k = k;
    return 0;
}

int64_t idx_rtree_nearest(idx_rtree *t, const double *box, uint64_t k, double most, const uint64_t *hide, size_t n_hide, idx_hits *out) {
    search s = {.t = t, .k = k, .limit = most * most, .hide = hide, .n_hide = n_hide};
    int wrong = rt_read_box(t->dims, box, 1, &s.box);
    if (wrong) return wrong;
    out->n = 0;
    rt_lock_read(t);
    wrong = nearest(&s, out, rt_repeats(t));
    rt_unlock(t);
    free(s.nodes.v);
    free(s.best.v);
    return wrong ? wrong : rt_hits_done(out, 1);
}

int64_t idx_rtree_nearest_many(idx_rtree *t, const double *boxes, size_t n, uint64_t k, double most, uint64_t *offsets, idx_hits *out,
                               size_t *bad) {
    search s = {.t = t, .k = k, .limit = most * most};
    int wrong = 0;
    out->n = 0, offsets[0] = 0;
    rt_lock_read(t);
    for (size_t i = 0; i < n && !wrong; i++) {
        *bad = i;
        wrong = rt_read_box(t->dims, boxes + i * 2 * (unsigned)t->dims, 1, &s.box);
        if (!wrong) wrong = nearest(&s, out, rt_repeats(t));
        offsets[i + 1] = out->n;
    }
    rt_unlock(t);
    free(s.nodes.v);
    free(s.best.v);
    return wrong ? wrong : rt_hits_done(out, 1);
}

typedef struct pairing {
    const idx_rtree *left, *right;
    double limit; /* square of the distance */
    idx_hits *out;
} pairing;

static uint32_t partners(const pairing *j, const rt_node *n, const rt_box *box) {
    if (j->limit == 0) return rt_valid(n) & j->right->kernels.mask(n->lo, n->hi, j->right->dims, box->hi, box->lo);
    double gaps[RT_FAN];
    uint32_t mask = 0;
    j->right->kernels.gaps(n->lo, n->hi, j->right->dims, box, gaps);
    for (unsigned i = 0; i < RT_FAN; i++) mask |= (uint32_t)(gaps[i] <= j->limit) << i;
    return mask & rt_valid(n);
}

static int pair(const pairing *j, uint64_t left, uint64_t right) {
    rt_node a, b;
    rt_box box;
    rt_look(j->left, left, &a);
    rt_look(j->right, right, &b);
    uint32_t some = 0; /* of b, when only b has a level below */
    for (unsigned i = 0; i < a.count; i++) {
        rt_box_at(&a, j->left->dims, i, &box);
        uint32_t mask = partners(j, &b, &box);
        if (a.leaf && !b.leaf) {
            some |= mask;
        } else if (!a.leaf && b.leaf) {
            if (mask && pair(j, rt_child(&a, i), right)) return IDX_RTREE_NO_MEMORY;
        } else if (a.leaf) {
            if (rt_hits_room(j->out, 2 * RT_FAN)) return IDX_RTREE_NO_MEMORY;
            for (; mask; mask &= mask - 1) {
                j->out->rows[j->out->n++] = rt_row(j->left, &a, i);
                j->out->rows[j->out->n++] = rt_row(j->right, &b, (unsigned)__builtin_ctz(mask));
            }
        } else {
            for (; mask; mask &= mask - 1)
                if (pair(j, rt_child(&a, i), rt_child(&b, (unsigned)__builtin_ctz(mask)))) return IDX_RTREE_NO_MEMORY;
        }
    }
    for (; some; some &= some - 1)
        if (pair(j, left, rt_child(&b, (unsigned)__builtin_ctz(some)))) return IDX_RTREE_NO_MEMORY;
    return 0;
}

int64_t idx_rtree_join(idx_rtree *left, idx_rtree *right, double distance, idx_hits *out) {
    const pairing j = {left, right, distance * distance, out};
    idx_rtree *first = left < right ? left : right, *second = left < right ? right : left; /* all joins lock in one order */
    int failed = 0;
    out->n = 0;
    rt_lock_read(first);
    if (first != second) rt_lock_read(second);
    if (left->count && right->count) failed = pair(&j, left->root, right->root);
    if (first != second) rt_unlock(second);
    rt_unlock(first);
    return failed ? failed : (int64_t)out->n; /* pairs are taken whole */
}
