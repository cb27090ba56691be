/* tombs.c: range tombstones, fragmented on each add into a new list that replaces the old one atomically.
 *
 * A list is: cuts[0] < cuts[1] < ... and for the gap [cuts[i], cuts[i+1]) the sequence numbers that cover it, newest first, in
 * seqs[first[i] .. first[i+1]). An add costs O(n^2) over n ranges at worst; memtables and tables hold few.
 */
#include "lsm/csrc/tombs.h"
#include <stdatomic.h>
#include <stdlib.h>

typedef struct key {
    const uint8_t *data;
    uint32_t n;
} key;

typedef struct list {
    struct list *older; /* kept for readers until free */
    size_t n_ranges, n_cuts;
    lsm_range *ranges; /* as added */
    key *cuts;
    uint32_t *first; /* n_cuts + 1 */
    uint64_t *seqs;
} list;

struct lsm_tombs {
    _Atomic(list *) now;
    _Atomic size_t count;
    uint8_t **bytes; /* one copy of start and end an add */
    size_t n_bytes;
};

lsm_tombs *lsm_tombs_new(void) { return calloc(1, sizeof(lsm_tombs)); }

static void free_list(list *l) {
    free(l->ranges);
    free(l->cuts);
    free(l->first);
    free(l->seqs);
    free(l);
}

void lsm_tombs_free(lsm_tombs *t) {
    if (!t) return;
    for (list *l = atomic_load(&t->now), *older; l; l = older) {
        older = l->older;
        free_list(l);
    }
    for (size_t i = 0; i < t->n_bytes; i++) free(t->bytes[i]);
    free(t->bytes);
    free(t);
}

static int compare_cuts(const void *a, const void *b) {
    const key *x = a, *y = b;
    return lsm_compare_keys(x->data, x->n, y->data, y->n);
}

static int newest_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* Fills cuts, first and seqs from ranges. */
static int fragment(list *l) {
    size_t n = l->n_ranges, used = 0, cap = 4 * n;
    l->cuts = malloc(2 * n * sizeof *l->cuts);
    l->first = malloc((2 * n + 1) * sizeof *l->first);
    l->seqs = malloc(cap * sizeof *l->seqs);
    if (!l->cuts || !l->first || !l->seqs) return LSM_NOMEM;
    for (size_t i = 0; i < n; i++) {
        l->cuts[2 * i] = (key){l->ranges[i].start, l->ranges[i].start_len};
        l->cuts[2 * i + 1] = (key){l->ranges[i].end, l->ranges[i].end_len};
    }
    qsort(l->cuts, 2 * n, sizeof *l->cuts, compare_cuts);
    size_t m = 0;
    for (size_t i = 0; i < 2 * n; i++)
        if (!m || compare_cuts(&l->cuts[m - 1], &l->cuts[i])) l->cuts[m++] = l->cuts[i];
    l->n_cuts = m;
    for (size_t i = 0; i < m; i++) {
        l->first[i] = (uint32_t)used;
        for (size_t r = 0; r < n; r++) {
            const lsm_range *x = &l->ranges[r];
            if (lsm_compare_keys(x->start, x->start_len, l->cuts[i].data, l->cuts[i].n) > 0) continue;
            if (lsm_compare_keys(x->end, x->end_len, l->cuts[i].data, l->cuts[i].n) <= 0) continue;
            if (used == cap) {
                uint64_t *more = realloc(l->seqs, 2 * cap * sizeof *more);
                if (!more) return LSM_NOMEM;
                l->seqs = more;
                cap *= 2;
            }
            l->seqs[used++] = x->seq;
        }
        qsort(l->seqs + l->first[i], used - l->first[i], sizeof *l->seqs, newest_first);
    }
    l->first[m] = (uint32_t)used;
    return LSM_OK;
}

static int keep_bytes(lsm_tombs *t, uint8_t *copy) {
    uint8_t **more = realloc(t->bytes, (t->n_bytes + 1) * sizeof *more);
    if (!more) return LSM_NOMEM;
    t->bytes = more;
    t->bytes[t->n_bytes++] = copy;
    return LSM_OK;
}

int lsm_tombs_add(lsm_tombs *t, const uint8_t *start, size_t sn, const uint8_t *end, size_t en, uint64_t seq) {
    if (sn > LSM_MAX_KEY || en > LSM_MAX_KEY || lsm_compare_keys(start, sn, end, en) >= 0) return LSM_INVALID;
    list *old = atomic_load_explicit(&t->now, memory_order_relaxed), *l = calloc(1, sizeof *l);
    uint8_t *copy = malloc(sn + en);
    size_t n = old ? old->n_ranges : 0;
    if (l) l->ranges = malloc((n + 1) * sizeof *l->ranges);
    if (!l || !copy || !l->ranges) goto no_memory;
    if (sn) memcpy(copy, start, sn);
    memcpy(copy + sn, end, en);
    if (n) memcpy(l->ranges, old->ranges, n * sizeof *l->ranges);
    l->ranges[n] = (lsm_range){copy, copy + sn, (uint32_t)sn, (uint32_t)en, seq};
    l->n_ranges = n + 1;
    l->older = old;
    if (fragment(l) != LSM_OK || keep_bytes(t, copy) != LSM_OK) goto no_memory;
    atomic_store_explicit(&t->now, l, memory_order_release);
    atomic_store_explicit(&t->count, n + 1, memory_order_release);
    return LSM_OK;
no_memory:
    free(copy);
    if (l) free_list(l);
    return LSM_NOMEM;
}

size_t lsm_tombs_count(const lsm_tombs *t) { return t ? atomic_load_explicit(&((lsm_tombs *)t)->count, memory_order_acquire) : 0; }

uint64_t lsm_tombs_covering(const lsm_tombs *t, const uint8_t *k, size_t n, uint64_t snapshot) {
    const list *l = t ? atomic_load_explicit(&((lsm_tombs *)t)->now, memory_order_acquire) : NULL;
    if (!l) return 0;
    size_t lo = 0, hi = l->n_cuts; /* the last cut <= k is lo - 1 */
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (lsm_compare_keys(l->cuts[mid].data, l->cuts[mid].n, k, n) <= 0) lo = mid + 1;
        else hi = mid;
    }
    if (!lo) return 0;
    for (uint32_t i = l->first[lo - 1]; i < l->first[lo]; i++)
        if (l->seqs[i] <= snapshot) return l->seqs[i];
    return 0;
}

lsm_range lsm_tombs_at(const lsm_tombs *t, size_t i) {
    const list *l = atomic_load_explicit(&((lsm_tombs *)t)->now, memory_order_acquire);
    return l->ranges[i];
}
