/* Delete from the growing R-tree, and its audit.
 *
 * An entry's item says in which leaf it is. A page left with fewer than LEAST entries joins the sibling with room that grows least, so nothing is
 * inserted again (Guttman, SIGMOD 1984, section 3.3, does); boxes above shrink at once.
 */
#include "indexes/csrc/rtree_grow.h"
#include <math.h>

enum { LEAST = 4 };

/* A sibling of entry i of a page that can take `count` more entries: the one that grows least; RT_FAN when there is none. */
static unsigned mate(const idx_rtree *t, uint32_t parent, unsigned i, unsigned count) {
    const rt_page *q = rt_page_at(t->growth, parent);
    rt_slot mine, other;
    unsigned best = RT_FAN;
    double least = INFINITY;
    rt_get(t, parent, i, &mine);
    for (unsigned j = 0; j < q->count; j++) {
        if (j == i || rt_page_at(t->growth, q->kids[j])->count + count > RT_ROOM) continue;
        double longer = 0;
        rt_get(t, parent, j, &other);
        for (int a = 0; a < t->dims; a++)
            longer += fmax(other.box.hi[a], mine.box.hi[a]) - fmin(other.box.lo[a], mine.box.lo[a]) - (other.box.hi[a] - other.box.lo[a]);
        if (best == RT_FAN || longer < least) best = j, least = longer;
    }
    return best;
}

/* A page has lost an entry: let boxes above shrink, thin pages join a sibling, empty ones go. */
static void repair(idx_rtree *t, uint32_t page) {
    rt_growth *g = t->growth;
    while (page != t->root) {
        rt_page *p = rt_page_at(g, page);
        const uint32_t parent = p->parent;
        rt_page *q = rt_page_at(g, parent);
        const unsigned i = rt_place_in(t, q, page), j = p->count && p->count < LEAST ? mate(t, parent, i, p->count) : RT_FAN;
        rt_slot s;
        if (j != RT_FAN) {
            const uint32_t sibling = q->kids[j];
            for (unsigned e = 0; e < p->count; e++) {
                rt_get(t, page, e, &s);
                rt_put(t, sibling, &s);
            }
            p->count = 0;
            rt_box box;
            rt_cover(t, sibling, &box);
            rt_set_box(t, q, j, &box);
        }
        if (p->count == 0) {
            rt_drop(t, parent, i);
            rt_free_page(g, page);
        } else {
            rt_box box;
            rt_cover(t, page, &box);
            rt_get(t, parent, i, &s);
            if (rt_same_box(t->dims, &box, &s.box)) return;
            rt_set_box(t, q, i, &box);
        }
        page = parent;
    }
    for (rt_page *p; p = rt_page_at(g, page), t->height > 1 && p->count == 1; t->height--) {
        const uint32_t only = p->kids[0];
        rt_free_page(g, page);
        page = only, rt_page_at(g, only)->parent = RT_NONE, t->root = only;
    }
    if (rt_page_at(g, page)->count == 0) rt_free_page(g, page), t->height = 0;
}

static uint64_t delete(idx_rtree *t, uint64_t row, const rt_box *box) {
    rt_growth *g = t->growth;
    if (!t->count) return 0;
    const uint32_t at = rt_find_place(g, row);
    uint64_t gone = 0;
    uint32_t first = RT_NONE, last = RT_NONE; /* the row's items that stay */
    for (uint32_t item = g->table[at], next; item != RT_NONE; item = next) {
        const uint32_t page = g->items[item].page;
        rt_page *p = rt_page_at(g, page);
        const unsigned i = rt_place_in(t, p, item);
        rt_slot s;
        next = g->items[item].next;
        rt_get(t, page, i, &s);
        if (box && !rt_same_box(t->dims, box, &s.box)) {
            *(last == RT_NONE ? &first : &g->items[last].next) = item;
            last = item;
            continue;
        }
        rt_drop(t, page, i);
        repair(t, page);
        g->items[item].next = g->free_item, g->free_item = item;
        gone++;
    }
    if (last != RT_NONE) g->items[last].next = RT_NONE;
    if (!gone) return 0;
    g->repeats -= gone - (first == RT_NONE);
    if (first == RT_NONE)
        rt_close_gap(g, at);
    else
        g->table[at] = first;
    t->count -= gone, g->changes++;
    return gone;
}

int64_t idx_rtree_delete(idx_rtree *t, uint64_t row, const double *numbers) {
    rt_box box;
    const int wrong = numbers ? rt_read_box(t->dims, numbers, 0, &box) : 0;
    if (wrong) return wrong;
    rt_lock_write(t);
    const uint64_t gone = delete(t, row, numbers ? &box : NULL);
    rt_unlock(t);
    return (int64_t)gone;
}

int64_t idx_rtree_delete_many(idx_rtree *t, const uint64_t *rows, size_t n) {
    uint64_t gone = 0;
    rt_lock_write(t);
    for (size_t i = 0; i < n; i++) gone += delete(t, rows[i], NULL);
    rt_unlock(t);
    return (int64_t)gone;
}

int idx_rtree_update(idx_rtree *t, uint64_t row, const double *numbers) {
    rt_box box;
    int failed = rt_read_box(t->dims, numbers, 0, &box);
    if (failed) return failed;
    rt_lock_write(t);
    failed = rt_reserve_items(t->growth, 1);
    if (!failed) failed = rt_reserve_pages(t->growth, (uint32_t)t->height + 2);
    if (!failed) {
        delete(t, row, NULL);
        failed = rt_insert(t, row, &box);
    }
    rt_unlock(t);
    return failed;
}

typedef struct tally {
    uint64_t entries, rows;
} tally;

static const char *audit(const idx_rtree *t, uint32_t page, tally *sum) {
    const rt_growth *g = t->growth;
    rt_page *p = rt_page_at(g, page);
    if (p->count == 0 || p->count > RT_ROOM) return "a page has no entry, or more than 15";
    for (unsigned i = 0; i < p->count; i++) {
        rt_slot s;
        rt_get(t, page, i, &s);
        if (p->level == 0) {
            const rt_item *item = &g->items[s.kid];
            sum->entries++;
            if (item->page != page || item->row != s.row) return "an item does not know its leaf or row";
            uint32_t at = g->table[rt_find_place(g, s.row)];
            sum->rows += at == s.kid;
            while (at != RT_NONE && at != s.kid) at = g->items[at].next;
            if (at == RT_NONE) return "a row does not lead to its item";
            continue;
        }
        const rt_page *kid = rt_page_at(g, s.kid);
        rt_box box;
        if (kid->parent != page || kid->level + 1 != p->level) return "a page does not know its parent, or is not one level below";
        const char *wrong = audit(t, s.kid, sum);
        if (wrong) return wrong;
        rt_cover(t, s.kid, &box);
        if (!rt_same_box(t->dims, &box, &s.box)) return "the box over a page is not the page's box";
    }
    return NULL;
}

const char *idx_rtree_audit(idx_rtree *t) {
    const char *wrong = NULL;
    tally sum = {0, 0};
    rt_lock_read(t);
    const rt_growth *g = t->growth;
    if (t->height) {
        const int level = rt_page_at(g, (uint32_t)t->root)->level;
        wrong = level + 1 == t->height ? audit(t, (uint32_t)t->root, &sum) : "the height is not the root's level";
    }
    if (!wrong && (sum.entries != t->count || sum.rows != g->table_used || sum.entries - sum.rows != g->repeats))
        wrong = "the counts of entries, rows and repeats are wrong";
    rt_unlock(t);
    return wrong;
}
