/* tombs.c: range tombstones in a few immutable parts, merged as they grow, each a segment tree over the gaps between its end points.
 *
 *    parts, oldest first: 64 16 16 4 1 1      four neighbours of one size become one part, so that there are O(log n) of them
 *    a part: cuts c0 < c1 < ... ; leaf g of the tree is the gap [cg, cg+1); a range hangs on the O(log m) nodes that make it up,
 *            and every node keeps its sequence numbers newest first
 *
 * Memory O(n log^2 n), adding O(log^2 n) amortised, looking up O(log^2 n) times a binary search. A list of parts is never changed once
 * published; replaced lists and parts are kept for readers until free.
 */
#include "lsm/csrc/tombs.h"
#include <stdatomic.h>
#include <stdlib.h>

#define FAN 4 /* parts of one size that are merged */
#define CHUNKS 28 /* chunk i holds 16 << i ranges, and never moves */

typedef struct key {
    const uint8_t *data;
    uint32_t n;
} key;

typedef struct part {
    struct part *made_before; /* all parts ever made, for free */
    size_t n_ranges, n_cuts, leaves;
    const lsm_range **ranges; /* newest sequence number first */
    key *cuts;
    size_t *first; /* of node i in seqs; 2 * leaves + 1 */
    uint64_t *seqs;
} part;

typedef struct list {
    struct list *older;
    size_t n;
    const part *parts[];
} list;

struct lsm_tombs {
    _Atomic(list *) now;
    _Atomic size_t count;
    part *made;
    _Atomic(lsm_range *) chunks[CHUNKS];
};

lsm_tombs *lsm_tombs_new(void) { return calloc(1, sizeof(lsm_tombs)); }

static void free_part(part *p) {
    if (!p) return;
    free(p->ranges);
    free(p->cuts);
    free(p->first);
    free(p->seqs);
    free(p);
}

/* Chunk and place in it of the i-th range. */
static size_t chunk_of(size_t i, size_t *at) {
    size_t c = 0, room = 16;
    for (; i >= room; room *= 2, c++) i -= room;
    *at = i;
    return c;
}

static lsm_range *range_at(const lsm_tombs *t, size_t i) {
    size_t at, c = chunk_of(i, &at);
    return atomic_load_explicit(&((lsm_tombs *)t)->chunks[c], memory_order_acquire) + at;
}

void lsm_tombs_free(lsm_tombs *t) {
    if (!t) return;
    for (list *l = atomic_load(&t->now), *older; l; l = older) {
        older = l->older;
        free(l);
    }
    for (part *p = t->made, *before; p; p = before) {
        before = p->made_before;
        free_part(p);
    }
    for (size_t i = 0, n = atomic_load(&t->count); i < n; i++) free((void *)range_at(t, i)->start);
    for (size_t c = 0; c < CHUNKS; c++) free(atomic_load(&t->chunks[c]));
    free(t);
}

static int compare_cuts(const void *a, const void *b) {
    const key *x = a, *y = b;
    return lsm_compare_keys(x->data, x->n, y->data, y->n);
}

static int newest_first(const void *a, const void *b) {
    uint64_t x = (*(const lsm_range *const *)a)->seq, y = (*(const lsm_range *const *)b)->seq;
    return (x < y) - (x > y);
}

/* How many cuts are <= k. */
static size_t cuts_up_to(const part *p, const uint8_t *k, size_t n) {
    size_t lo = 0, hi = p->n_cuts;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (lsm_compare_keys(p->cuts[mid].data, p->cuts[mid].n, k, n) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Hangs every range on its nodes: counts them in next (fill 0), or writes the sequence numbers there (fill 1). */
static void hang(part *p, size_t *next, int fill) {
    for (size_t i = 0; i < p->n_ranges; i++) {
        const lsm_range *r = p->ranges[i];
        size_t lo = cuts_up_to(p, r->start, r->start_len) - 1 + p->leaves, hi = cuts_up_to(p, r->end, r->end_len) - 1 + p->leaves;
        for (; lo < hi; lo /= 2, hi /= 2) {
            size_t nodes[2], n = 0;
            if (lo & 1) nodes[n++] = lo++;
            if (hi & 1) nodes[n++] = --hi;
            while (n--) {
                size_t place = next[nodes[n]]++;
                if (fill) p->seqs[place] = r->seq;
            }
        }
    }
}

/* Fills cuts, first and seqs from ranges. */
static int grow_tree(part *p) {
    size_t n = p->n_ranges, m = 0;
    p->cuts = malloc(2 * n * sizeof *p->cuts);
    if (!p->cuts) return LSM_NOMEM;
    qsort(p->ranges, n, sizeof *p->ranges, newest_first);
    for (size_t i = 0; i < n; i++) {
        p->cuts[2 * i] = (key){p->ranges[i]->start, p->ranges[i]->start_len};
        p->cuts[2 * i + 1] = (key){p->ranges[i]->end, p->ranges[i]->end_len};
    }
    qsort(p->cuts, 2 * n, sizeof *p->cuts, compare_cuts);
    for (size_t i = 0; i < 2 * n; i++)
        if (!m || compare_cuts(&p->cuts[m - 1], &p->cuts[i])) p->cuts[m++] = p->cuts[i];
    p->n_cuts = m;
    p->leaves = m - 1;
    size_t nodes = 2 * p->leaves, total = 0, *next = calloc(nodes + 1, sizeof *next);
    p->first = malloc((nodes + 1) * sizeof *p->first);
    if (next && p->first) {
        hang(p, next, 0);
        for (size_t i = 0; i <= nodes; i++) {
            size_t here = next[i];
            p->first[i] = next[i] = total;
            total += here;
        }
        p->seqs = malloc(total * sizeof *p->seqs);
        if (p->seqs) hang(p, next, 1);
    }
    free(next);
    return p->first && p->seqs ? LSM_OK : LSM_NOMEM;
}

/* The list that follows old by one range: as many neighbours at its end as are of one size become one part. */
static int follow(const list *old, const lsm_range *r, part **made, list **out) {
    size_t n = old ? old->n : 0, keep = n, ranges = 1;
    while (keep >= FAN - 1 &&
           old->parts[keep - (FAN - 1)]->n_ranges == ranges) { /* and so those behind it: sizes never grow towards the end */
        ranges *= FAN;
        keep -= FAN - 1;
    }
    list *l = malloc(sizeof *l + (keep + 1) * sizeof *l->parts);
    part *p = calloc(1, sizeof *p);
    if (p) p->ranges = malloc(ranges * sizeof *p->ranges);
    if (!l || !p || !p->ranges) goto no_memory;
    p->ranges[p->n_ranges++] = r;
    for (size_t i = keep; i < n; i++) {
        memcpy(p->ranges + p->n_ranges, old->parts[i]->ranges, old->parts[i]->n_ranges * sizeof *p->ranges);
        p->n_ranges += old->parts[i]->n_ranges;
    }
    if (grow_tree(p) != LSM_OK) goto no_memory;
    if (keep) memcpy(l->parts, old->parts, keep * sizeof *l->parts);
    l->parts[keep] = p;
    l->n = keep + 1;
    *made = p;
    *out = l;
    return LSM_OK;
no_memory:
    free_part(p);
    free(l);
    return LSM_NOMEM;
}

int lsm_tombs_add(lsm_tombs *t, const uint8_t *start, size_t sn, const uint8_t *end, size_t en, uint64_t seq) {
    if (sn > LSM_MAX_KEY || en > LSM_MAX_KEY || lsm_compare_keys(start, sn, end, en) >= 0) return LSM_INVALID;
    list *old = atomic_load_explicit(&t->now, memory_order_relaxed), *l;
    size_t n = atomic_load_explicit(&t->count, memory_order_relaxed), at, c = chunk_of(n, &at);
    if (c >= CHUNKS) return LSM_NOMEM; /* uncovered (guard): 4 billion ranges */
    lsm_range *chunk = atomic_load_explicit(&t->chunks[c], memory_order_relaxed);
    if (!chunk) {
        if (!(chunk = malloc(((size_t)16 << c) * sizeof *chunk))) return LSM_NOMEM;
        atomic_store_explicit(&t->chunks[c], chunk, memory_order_release);
    }
    uint8_t *copy = malloc(sn + en);
    if (!copy) return LSM_NOMEM;
    if (sn) memcpy(copy, start, sn);
    memcpy(copy + sn, end, en);
    chunk[at] = (lsm_range){copy, copy + sn, (uint32_t)sn, (uint32_t)en, seq};
    part *made;
    if (follow(old, &chunk[at], &made, &l) != LSM_OK) {
        free(copy);
        return LSM_NOMEM;
    }
    made->made_before = t->made;
    t->made = made;
    l->older = old;
    atomic_store_explicit(&t->now, l, memory_order_release);
    atomic_store_explicit(&t->count, n + 1, memory_order_release);
    return LSM_OK;
}

size_t lsm_tombs_count(const lsm_tombs *t) { return t ? atomic_load_explicit(&((lsm_tombs *)t)->count, memory_order_acquire) : 0; }

/* The first of seqs[lo .. hi), newest first, that is <= snapshot; 0 when none is. */
static uint64_t newest_up_to(const uint64_t *seqs, size_t lo, size_t hi, uint64_t snapshot) {
    size_t end = hi;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (seqs[mid] > snapshot)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < end ? seqs[lo] : 0;
}

uint64_t lsm_tombs_covering(const lsm_tombs *t, const uint8_t *k, size_t n, uint64_t snapshot) {
    const list *l = t ? atomic_load_explicit(&((lsm_tombs *)t)->now, memory_order_acquire) : NULL;
    uint64_t newest = 0;
    for (size_t i = 0; l && i < l->n; i++) {
        const part *p = l->parts[i];
        size_t gap = cuts_up_to(p, k, n);
        if (!gap || gap == p->n_cuts) continue;
        for (size_t node = gap - 1 + p->leaves; node; node /= 2) {
            uint64_t seq = newest_up_to(p->seqs, p->first[node], p->first[node + 1], snapshot);
            if (seq > newest) newest = seq;
        }
    }
    return newest;
}

lsm_range lsm_tombs_at(const lsm_tombs *t, size_t i) { return *range_at(t, i); }
