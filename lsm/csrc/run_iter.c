/* run_iter.c: the tables of a sorted run as one iterator; only the table it stands in is open. */
#include "lsm/csrc/merge.h"
#include <stdlib.h>

typedef struct run_iter {
    lsm_iter base;
    lsm_iter *open; /* NULL: none */
    size_t at; /* the table that is open */
    size_t n;
    int level, cause, fill_cache;
    size_t readahead;
    int bounded; /* only entries of the span are wanted */
    int asked; /* the range filter of the table to be opened said maybe */
    lsm_bounds span;
    lsm_table *tables[];
} run_iter;

static void take(run_iter *r) {
    r->base.valid = r->open->valid;
    r->base.status = r->open->status;
    if (r->open->valid) r->base.entry = r->open->entry;
}

static void show_end(run_iter *r) {
    r->base.valid = 0;
    r->base.status = LSM_OK;
}

/* Opens table i unless it is open. 0: it is not, and the iterator stopped on the error. */
static int enter(run_iter *r, size_t i) {
    if (r->open && r->at == i) return 1;
    if (r->open) r->open->ops->close(r->open);
    r->at = i;
    r->open = lsm_table_iter(r->tables[i], r->level, r->cause, r->fill_cache, r->readahead, r->base.error);
    if (r->open) return 1;
    r->base.valid = 0;
    r->base.status = LSM_NOMEM;
    return 0;
}

static int may_hold(run_iter *r, size_t i, const lsm_bounds *left) {
    r->asked = lsm_table_has_range_filter(r->tables[i]);
    return !r->asked || lsm_table_may_hold(r->tables[i], left, r->level, r->cause);
}

/* The first table from i on that may hold a key of the span at or behind the given one; n when there is none. */
static size_t wanted_from(run_iter *r, size_t i, const uint8_t *key, size_t key_len) {
    const lsm_bounds left = {key, r->span.upper, key_len, r->span.upper_len};
    for (; r->bounded && i < r->n; i++) {
        const lsm_table_props *p = lsm_table_properties(r->tables[i]);
        if (lsm_compare_keys(p->smallest, p->smallest_len, left.upper, left.upper_len) >= 0) return r->n;
        if (may_hold(r, i, &left)) break;
    }
    return i;
}

/* Of the first i tables: the number of those up to the last one that may hold a key of the span before the given one; 0 when there is none. */
static size_t wanted_before(run_iter *r, size_t i, const uint8_t *key, size_t key_len) {
    const lsm_bounds left = {r->span.lower, key, r->span.lower_len, key_len};
    for (; r->bounded && i > 0; i--) {
        const lsm_table_props *p = lsm_table_properties(r->tables[i - 1]);
        if (lsm_compare_keys(p->largest, p->largest_len, left.lower, left.lower_len) < 0) return 0;
        if (may_hold(r, i - 1, &left)) break;
    }
    return i;
}

/* Takes what the table shows where it was placed first; counts it when its range filter was wrong. */
static void take_first(run_iter *r) {
    take(r);
    if (!r->asked || r->base.status < 0) return;
    r->asked = 0;
    const lsm_entry *e = &r->base.entry;
    if (!r->base.valid || lsm_compare_keys(e->key, e->key_len, r->span.lower, r->span.lower_len) < 0 ||
        lsm_compare_keys(e->key, e->key_len, r->span.upper, r->span.upper_len) >= 0)
        lsm_table_held_none(r->tables[r->at]);
}

/* Tables may be without entries (only tombstones), or not be wanted: go on to the first that shows one. */
static void skip_forward(run_iter *r) {
    while (!r->base.valid && r->base.status >= 0) {
        const size_t i = wanted_from(r, r->at + 1, r->span.lower, r->span.lower_len);
        if (i >= r->n || !enter(r, i)) return;
        r->open->ops->first(r->open);
        take_first(r);
    }
}

static void skip_back(run_iter *r) {
    while (!r->base.valid && r->base.status >= 0) {
        const size_t i = wanted_before(r, r->at, r->span.upper, r->span.upper_len);
        if (i == 0 || !enter(r, i - 1)) return;
        r->open->ops->last(r->open);
        take_first(r);
    }
}

static void run_first(lsm_iter *base) {
    run_iter *r = (run_iter *)base;
    if (!enter(r, 0)) return;
    r->open->ops->first(r->open);
    take(r);
    skip_forward(r);
}

static void run_last(lsm_iter *base) {
    run_iter *r = (run_iter *)base;
    if (!enter(r, r->n - 1)) return;
    r->open->ops->last(r->open);
    take(r);
    skip_back(r);
}

static void run_seek(lsm_iter *base, const uint8_t *key, size_t n, uint64_t seq) {
    run_iter *r = (run_iter *)base;
    size_t lo = 0, hi = r->n; /* first table whose largest >= key */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const lsm_table_props *p = lsm_table_properties(r->tables[mid]);
        if (lsm_compare_keys(p->largest, p->largest_len, key, n) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    lo = wanted_from(r, lo, key, n);
    if (lo == r->n) {
        show_end(r);
        return;
    }
    if (!enter(r, lo)) return;
    r->open->ops->seek(r->open, key, n, seq);
    take_first(r);
    skip_forward(r);
}

static void run_seek_before(lsm_iter *base, const uint8_t *key, size_t n) {
    run_iter *r = (run_iter *)base;
    size_t lo = 0, hi = r->n; /* number of tables whose smallest < key */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const lsm_table_props *p = lsm_table_properties(r->tables[mid]);
        if (lsm_compare_keys(p->smallest, p->smallest_len, key, n) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    lo = wanted_before(r, lo, key, n);
    if (lo == 0) {
        show_end(r);
        return;
    }
    if (!enter(r, lo - 1)) return;
    r->open->ops->seek_before(r->open, key, n);
    take_first(r);
    skip_back(r);
}

static void run_next(lsm_iter *base) {
    run_iter *r = (run_iter *)base;
    r->open->ops->next(r->open);
    take(r);
    skip_forward(r);
}

static void run_prev(lsm_iter *base) {
    run_iter *r = (run_iter *)base;
    r->open->ops->prev(r->open);
    take(r);
    skip_back(r);
}

static void run_close(lsm_iter *base) {
    run_iter *r = (run_iter *)base;
    if (r->open) r->open->ops->close(r->open);
    for (size_t i = 0; i < r->n; i++) lsm_table_unref(r->tables[i]);
    free(r);
}

static const lsm_iter_ops run_ops = {
    LSM_ABI, sizeof(lsm_iter_ops), run_first, run_last, run_seek, run_seek_before, run_next, run_prev, run_close,
};

static run_iter *new_run_iter(lsm_table *const *tables, size_t n, int level, int cause, int fill_cache, size_t readahead,
                              lsm_error *error) {
    run_iter *r = calloc(1, sizeof(*r) + n * sizeof(lsm_table *));
    if (!r) {
        lsm_fail(error, LSM_NOMEM, NULL, 0, "iterating a run of %zu tables", n);
        return NULL;
    }
    r->base.ops = &run_ops;
    r->base.error = error;
    r->n = n;
    r->level = level;
    r->cause = cause;
    r->fill_cache = fill_cache;
    r->readahead = readahead;
    memcpy(r->tables, tables, n * sizeof(lsm_table *));
    for (size_t i = 0; i < n; i++) lsm_table_ref(tables[i]);
    return r;
}

struct lsm_block_iter *lsm_iter_block(lsm_iter *it) {
    if (it->ops != &run_ops) return lsm_table_iter_block(it);
    lsm_iter *open = ((run_iter *)it)->open;
    return open ? lsm_table_iter_block(open) : NULL;
}

lsm_iter *lsm_run_iter(lsm_table *const *tables, size_t n, int level, int cause, int fill_cache, size_t readahead, lsm_error *error) {
    if (n == 0) return lsm_iter_empty();
    if (n == 1) return lsm_table_iter(tables[0], level, cause, fill_cache, readahead, error);
    return (lsm_iter *)new_run_iter(tables, n, level, cause, fill_cache, readahead, error);
}

lsm_iter *lsm_run_iter_within(lsm_table *const *tables, size_t n, int level, int cause, int fill_cache, size_t readahead,
                              const lsm_bounds *span, lsm_error *error) {
    run_iter *r = new_run_iter(tables, n, level, cause, fill_cache, readahead, error);
    if (r) {
        r->bounded = 1;
        r->span = *span;
    }
    return (lsm_iter *)r;
}
