/* merge.c: the merging iterator: a binary heap of children, ordered by cached key prefixes.
 *
 *    children (0 = newest)  [0]  [1]  [2]  [3]            heap[0] is the child whose entry is shown
 *                             \    \   /    /             a step moves that child and sifts it down; it mostly stays on top,
 *                              heap by (prefix, key,      which costs two comparisons of one word each
 *                              seq, kind, child)
 *
 * The order is total (equal entries: the newer child first), so that going back shows exactly the entries of going forth, reversed. On a turn every other
 * child is sought to its place beside the entry shown: all children before it when going back, all after it when going forth.
 */
#include "lsm/csrc/merge.h"
#include "lsm/csrc/memtable_kinds.h"
#include <stdlib.h>

typedef struct slot {
    uint64_t prefix;
    lsm_iter *it;
    size_t rank; /* index of the child */
} slot;

typedef struct merge_iter {
    lsm_iter base;
    size_t n, live; /* children; entries of the heap */
    int reverse;
    slot *heap; /* the first live are in use */
    lsm_iter *children[]; /* newest first */
} merge_iter;

static int compare_full(const slot *a, const slot *b) {
    int c = lsm_compare_entries(&a->it->entry, &b->it->entry);
    return c ? c : (a->rank > b->rank) - (a->rank < b->rank);
}

/* Whether a is shown before b in the direction of travel. */
static inline int above(const slot *a, const slot *b, int reverse) {
    if (a->prefix != b->prefix) return (a->prefix < b->prefix) != reverse;
    return (compare_full(a, b) < 0) != reverse;
}

static void sift_down(merge_iter *m, size_t i) {
    slot moving = m->heap[i];
    for (size_t child; (child = 2 * i + 1) < m->live; i = child) {
        if (child + 1 < m->live && above(&m->heap[child + 1], &m->heap[child], m->reverse)) child++;
        if (!above(&m->heap[child], &moving, m->reverse)) break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = moving;
}

/* Stops on the error of a child: never to be taken for the end. */
static void stop(merge_iter *m, const lsm_iter *child) {
    m->base.valid = 0;
    m->base.status = child->status;
    m->live = 0;
    if (m->base.error && child->error && child->error != m->base.error) *m->base.error = *child->error;
}

static inline void show_top(merge_iter *m) {
    m->base.valid = m->live > 0;
    if (m->live) m->base.entry = m->heap[0].it->entry;
}

/* Makes the heap anew from where the children are. */
static void rebuild(merge_iter *m, int reverse) {
    m->reverse = reverse;
    m->live = 0;
    m->base.status = LSM_OK;
    for (size_t i = 0; i < m->n; i++) {
        lsm_iter *c = m->children[i];
        if (c->status < 0) {
            stop(m, c);
            return;
        }
        if (c->valid) m->heap[m->live++] = (slot){lsm_prefix(c->entry.key, c->entry.key_len), c, i};
    }
    for (size_t i = m->live / 2; i-- > 0;) sift_down(m, i);
    show_top(m);
}

/* After the child on top moved. */
static void settle(merge_iter *m) {
    lsm_iter *c = m->heap[0].it;
    if (c->valid) {
        m->heap[0].prefix = lsm_prefix(c->entry.key, c->entry.key_len);
    } else {
        if (c->status < 0) {
            stop(m, c);
            return;
        }
        m->heap[0] = m->heap[--m->live];
    }
    if (m->live > 1) sift_down(m, 0);
    show_top(m);
}

/* Puts every child but the one on top at its first entry after the one on top (reverse: at its last one before it), then moves that one. */
static void turn(merge_iter *m, int reverse) {
    slot top = m->heap[0];
    const lsm_entry *e = &top.it->entry;
    for (size_t i = 0; i < m->n; i++) {
        lsm_iter *c = m->children[i];
        if (c == top.it) continue;
        slot other = {0, c, i};
        c->ops->seek(c, e->key, e->key_len, e->seq);
        while (c->valid && compare_full(&other, &top) < 0) c->ops->next(c);
        if (!reverse || c->status < 0) continue;
        if (c->valid)
            c->ops->prev(c);
        else
            c->ops->last(c);
    }
    if (reverse)
        top.it->ops->prev(top.it);
    else
        top.it->ops->next(top.it);
    rebuild(m, reverse);
}

static void merge_first(lsm_iter *base) {
    merge_iter *m = (merge_iter *)base;
    for (size_t i = 0; i < m->n; i++) m->children[i]->ops->first(m->children[i]);
    rebuild(m, 0);
}

static void merge_last(lsm_iter *base) {
    merge_iter *m = (merge_iter *)base;
    for (size_t i = 0; i < m->n; i++) m->children[i]->ops->last(m->children[i]);
    rebuild(m, 1);
}

static void merge_seek(lsm_iter *base, const uint8_t *key, size_t n, uint64_t seq) {
    merge_iter *m = (merge_iter *)base;
    for (size_t i = 0; i < m->n; i++) m->children[i]->ops->seek(m->children[i], key, n, seq);
    rebuild(m, 0);
}

static void merge_seek_before(lsm_iter *base, const uint8_t *key, size_t n) {
    merge_iter *m = (merge_iter *)base;
    for (size_t i = 0; i < m->n; i++) m->children[i]->ops->seek_before(m->children[i], key, n);
    rebuild(m, 1);
}

static void merge_next(lsm_iter *base) {
    merge_iter *m = (merge_iter *)base;
    if (m->reverse) {
        turn(m, 0);
        return;
    }
    m->heap[0].it->ops->next(m->heap[0].it);
    settle(m);
}

static void merge_prev(lsm_iter *base) {
    merge_iter *m = (merge_iter *)base;
    if (!m->reverse) {
        turn(m, 1);
        return;
    }
    m->heap[0].it->ops->prev(m->heap[0].it);
    settle(m);
}

static void merge_close(lsm_iter *base) {
    merge_iter *m = (merge_iter *)base;
    for (size_t i = 0; i < m->n; i++) m->children[i]->ops->close(m->children[i]);
    free(m->heap);
    free(m);
}

static const lsm_iter_ops merge_ops = {
    LSM_ABI, sizeof(lsm_iter_ops), merge_first, merge_last, merge_seek, merge_seek_before, merge_next, merge_prev, merge_close,
};

lsm_iter *lsm_merge_iter(lsm_iter *const *children, size_t n, lsm_error *error) {
    if (n == 0) return lsm_iter_empty();
    if (n == 1) return children[0];
    merge_iter *m = calloc(1, sizeof(*m) + n * sizeof(lsm_iter *));
    slot *heap = calloc(n, sizeof(slot));
    if (!m || !heap) {
        for (size_t i = 0; i < n; i++) children[i]->ops->close(children[i]);
        free(m);
        free(heap);
        lsm_fail(error, LSM_NOMEM, NULL, 0, "merging %zu iterators", n);
        return NULL;
    }
    m->base.ops = &merge_ops;
    m->base.error = error;
    m->n = n;
    m->heap = heap;
    memcpy(m->children, children, n * sizeof(lsm_iter *));
    return &m->base;
}
