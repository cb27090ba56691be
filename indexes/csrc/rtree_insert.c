/* Insert into the growing R-tree: Guttman, "R-trees", SIGMOD 1984, with the split of Beckmann et al., "The R*-tree", SIGMOD 1990, section 4.2.
 *
 * A new box goes down to the child whose area grows least (ties: whose margin grows least, then the smallest); a full page is cut along the
 * axis with the least sum of margins, where the halves overlap least. There is no forced reinsertion: it doubles the cost of an insert.
 * Many boxes at once are packed together with what there is, as a packed tree but with room left.
 */
#include "indexes/csrc/rtree_grow.h"
#include <math.h>
#include <stdlib.h>

enum { CUT = 6, LOADED = 14, OVER = RT_FAN + 1 };

static unsigned choose(const idx_rtree *t, rt_page *p, const rt_box *box) {
    double area[RT_FAN], margin[RT_FAN], more[RT_FAN], longer[RT_FAN];
    for (int i = 0; i < RT_FAN; i++) area[i] = more[i] = 1, margin[i] = longer[i] = 0;
    for (int a = 0; a < t->dims; a++) {
        const uint8_t *lo = rt_lo(p, a), *hi = rt_hi(t, p, a);
        const double l = box->lo[a], h = box->hi[a];
        for (int i = 0; i < RT_FAN; i++) {
            const double low = rt_load(lo + 8 * i), high = rt_load(hi + 8 * i);
            const double old = high - low, new = (high > h ? high : h) - (low < l ? low : l);
            area[i] *= old, more[i] *= new, margin[i] += old, longer[i] += new;
        }
    }
    unsigned best = 0;
    for (unsigned i = 1; i < p->count; i++) {
        const double growth = more[i] - area[i], least = more[best] - area[best];
        const double stretch = longer[i] - margin[i], shortest = longer[best] - margin[best];
        const int tie = growth == least;
        if (growth < least || (tie && (stretch < shortest || (stretch == shortest && area[i] < area[best])))) best = i;
    }
    return best;
}

static void widen(const idx_rtree *t, rt_page *p, unsigned i, const rt_box *box) {
    for (int a = 0; a < t->dims; a++) {
        uint8_t *lo = rt_lo(p, a) + 8 * i, *hi = rt_hi(t, p, a) + 8 * i;
        if (box->lo[a] < rt_load(lo)) rt_store(lo, box->lo[a]);
        if (box->hi[a] > rt_load(hi)) rt_store(hi, box->hi[a]);
    }
}

typedef struct cut {
    uint8_t order[OVER]; /* entries along the axis */
    int at; /* the first half has the first `at` of them */
    double margins, overlap, area;
} cut;

/* The best place to cut the entries in this order. */
static void try_cuts(int dims, const rt_slot *s, cut *c) {
    rt_box head[OVER], tail[OVER];
    head[0] = s[c->order[0]].box, tail[OVER - 1] = s[c->order[OVER - 1]].box;
    for (int i = 1; i < OVER; i++) {
        const rt_box *next = &s[c->order[i]].box, *previous = &s[c->order[OVER - 1 - i]].box;
        for (int a = 0; a < dims; a++) {
            head[i].lo[a] = next->lo[a] < head[i - 1].lo[a] ? next->lo[a] : head[i - 1].lo[a];
            head[i].hi[a] = next->hi[a] > head[i - 1].hi[a] ? next->hi[a] : head[i - 1].hi[a];
            const rt_box *after = &tail[OVER - i];
            tail[OVER - 1 - i].lo[a] = previous->lo[a] < after->lo[a] ? previous->lo[a] : after->lo[a];
            tail[OVER - 1 - i].hi[a] = previous->hi[a] > after->hi[a] ? previous->hi[a] : after->hi[a];
        }
    }
    c->margins = 0, c->at = 0, c->overlap = c->area = INFINITY;
    for (int at = CUT; at <= OVER - CUT; at++) {
        const rt_box *x = &head[at - 1], *y = &tail[at];
        double overlap = 1, first = 1, second = 1;
        for (int a = 0; a < dims; a++) {
            const double low = x->lo[a] > y->lo[a] ? x->lo[a] : y->lo[a], high = x->hi[a] < y->hi[a] ? x->hi[a] : y->hi[a];
            overlap *= high > low ? high - low : 0;
            first *= x->hi[a] - x->lo[a], second *= y->hi[a] - y->lo[a];
            c->margins += x->hi[a] - x->lo[a] + y->hi[a] - y->lo[a];
        }
        if (!c->at || overlap < c->overlap || (overlap == c->overlap && first + second < c->area))
            c->at = at, c->overlap = overlap, c->area = first + second;
    }
}

static void order_by(const rt_slot *s, int axis, int by_hi, uint8_t *order) {
    double key[OVER];
    for (int i = 0; i < OVER; i++) {
        const double x = by_hi ? s[i].box.hi[axis] : s[i].box.lo[axis];
        int j = i;
        for (; j && key[j - 1] > x; j--) key[j] = key[j - 1], order[j] = order[j - 1];
        key[j] = x, order[j] = (uint8_t)i;
    }
}

/* Distribute 17 entries over the page and a new one, which is returned. */
static uint32_t split(const idx_rtree *t, uint32_t page, const rt_slot *extra) {
    rt_growth *g = t->growth;
    rt_slot s[OVER];
    cut best = {.margins = INFINITY};
    rt_page *p = rt_page_at(g, page);
    for (unsigned i = 0; i < RT_FAN; i++) rt_get(t, page, i, &s[i]);
    s[RT_FAN] = *extra;
    const int orders = p->flat && rt_is_point(t, &extra->box) ? 1 : 2;
    for (int a = 0; a < t->dims; a++) {
        cut c[2];
        double margins = 0;
        for (int by_hi = 0; by_hi < orders; by_hi++) {
            order_by(s, a, by_hi, c[by_hi].order);
            try_cuts(t->dims, s, &c[by_hi]);
            margins += c[by_hi].margins;
        }
        if (a && !(margins < best.margins)) continue;
        const int other = orders == 2 && (c[1].overlap < c[0].overlap || (c[1].overlap == c[0].overlap && c[1].area < c[0].area));
        best = c[other], best.margins = margins;
    }
    const uint32_t sibling = rt_new_page(g, p->level);
    p->count = 0, p->flat = p->level == 0;
    for (int i = 0; i < OVER; i++) rt_put(t, i < best.at ? page : sibling, &s[best.order[i]]);
    return sibling;
}

/* Put an entry into a page of its level; pages that are full are split, up to a new root. */
static void add(idx_rtree *t, uint32_t page, rt_slot s) {
    rt_growth *g = t->growth;
    for (;;) {
        rt_page *p = rt_page_at(g, page);
        if (p->count < RT_FAN) {
            rt_put(t, page, &s);
            return;
        }
        const uint32_t sibling = split(t, page, &s);
        rt_slot left = {.kid = page}, right = {.kid = sibling};
        rt_cover(t, page, &left.box);
        rt_cover(t, sibling, &right.box);
        if (page == t->root) {
            const uint32_t root = rt_new_page(g, p->level + 1);
            rt_put(t, root, &left);
            rt_put(t, root, &right);
            t->root = root, t->height++;
            return;
        }
        const uint32_t parent = p->parent;
        rt_page *q = rt_page_at(g, parent);
        rt_set_box(t, q, rt_place_in(q, page), &left.box);
        page = parent, s = right;
    }
}

int rt_insert(idx_rtree *t, uint64_t row, const rt_box *box) {
    rt_growth *g = t->growth;
    int failed = rt_reserve_pages(g, (uint32_t)t->height + 2);
    if (!failed) failed = rt_reserve_items(g, 1);
    if (failed) return failed;
    if (!t->height) t->root = rt_new_page(g, 0), t->height = 1;
    uint32_t page = (uint32_t)t->root;
    for (rt_page *p; p = rt_page_at(g, page), p->level > 0;) {
        const unsigned i = choose(t, p, box);
        widen(t, p, i, box);
        page = p->kids[i];
    }
    const rt_slot s = {*box, rt_new_item(g, row), row};
    add(t, page, s);
    t->count++, g->changes++;
    return 0;
}

int idx_rtree_insert(idx_rtree *t, uint64_t row, const double *numbers) {
    rt_box box;
    int failed = rt_read_box(t->dims, numbers, 0, &box);
    if (failed) return failed;
    rt_lock_write(t);
    failed = rt_insert(t, row, &box);
    rt_unlock(t);
    return failed;
}

/* Fill the empty tree with boxes in this order: leaves first, then level over level. */
static void load(idx_rtree *t, const uint64_t *rows, const double *boxes, const uint64_t *order, size_t n) {
    rt_growth *g = t->growth;
    rt_slot s;
    uint32_t page = 0, first = g->n_pages, end;
    for (size_t i = 0; i < n; i++) {
        if (i % LOADED == 0) page = rt_new_page(g, 0);
        rt_read_box(t->dims, boxes + order[i] * 2 * (unsigned)t->dims, 0, &s.box);
        s.row = rows[order[i]], s.kid = rt_new_item(g, s.row);
        rt_put(t, page, &s);
    }
    for (t->height = 1; (end = g->n_pages) - first > 1; t->height++, first = end)
        for (uint32_t kid = first; kid < end; kid++) {
            if ((kid - first) % LOADED == 0) page = rt_new_page(g, t->height);
            s.kid = kid;
            rt_cover(t, kid, &s.box);
            rt_put(t, page, &s);
        }
    t->root = first, t->count = n;
}

/* Pack the tree's entries and n more together. Nothing has changed when it fails. */
static int pack_again(idx_rtree *t, const uint64_t *rows, const double *boxes, size_t n) {
    const size_t old = t->count, all = old + n, wide = 2 * (unsigned)t->dims;
    if (all > UINT32_MAX / 4) return IDX_RTREE_FULL;
    uint64_t *every = malloc(2 * all * sizeof *every), pages = 1, at = 0; /* rows, then their order */
    double *everywhere = malloc(all * wide * sizeof *everywhere);
    int failed = every && everywhere ? 0 : IDX_RTREE_NO_MEMORY;
    if (!failed) {
        if (old) rt_dump(t, t->root, every, everywhere, &at);
        memcpy(every + old, rows, n * sizeof *rows);
        memcpy(everywhere + old * wide, boxes, n * wide * sizeof *boxes);
        failed = idx_rtree_order(t->dims, everywhere, all, every + all);
    }
    for (size_t level = all; level > 1; level = (level + LOADED - 1) / LOADED) pages += (level + LOADED - 1) / LOADED;
    if (!failed) failed = rt_reserve_pages(t->growth, (uint32_t)pages);
    if (!failed) failed = rt_reserve_items(t->growth, all);
    if (!failed) {
        rt_reset(t);
        load(t, every, everywhere, every + all, all);
    }
    free(every);
    free(everywhere);
    return failed;
}

int idx_rtree_insert_many(idx_rtree *t, const uint64_t *rows, const double *boxes, size_t n) {
    int failed = 0;
    rt_box box;
    rt_lock_write(t);
    if (n >= t->count && n > RT_FAN) {
        failed = pack_again(t, rows, boxes, n);
    } else {
        for (size_t i = 0; i < n && !failed; i++) {
            failed = rt_read_box(t->dims, boxes + i * 2 * (unsigned)t->dims, 0, &box);
            if (!failed) failed = rt_insert(t, rows[i], &box);
        }
    }
    t->growth->changes++;
    rt_unlock(t);
    return failed;
}
