/* sweep.c: see sweep.h. */
#include "lsm/csrc/sweep.h"
#include <stdlib.h>

void lsm_sweep_init(lsm_sweep *s, const uint64_t *snapshots, uint32_t n_snapshots) {
    *s = (lsm_sweep){.snapshots = snapshots, .n_snapshots = n_snapshots};
}

void lsm_sweep_free(lsm_sweep *s) {
    free(s->ranges);
    free(s->active);
    free(s->cover);
    *s = (lsm_sweep){0};
}

/* The part of r inside span, in place. 0: there is none. */
static int clip(lsm_range *r, const lsm_span *span) {
    if (span->start && lsm_compare_keys(r->start, r->start_len, span->start, span->start_len) < 0) {
        r->start = span->start;
        r->start_len = span->start_len;
    }
    if (span->end && lsm_compare_keys(r->end, r->end_len, span->end, span->end_len) > 0) {
        r->end = span->end;
        r->end_len = span->end_len;
    }
    return lsm_compare_keys(r->start, r->start_len, r->end, r->end_len) < 0;
}

int lsm_sweep_add(lsm_sweep *s, const lsm_tombs *tombs, const lsm_span *bounds) {
    size_t n = tombs ? lsm_tombs_count(tombs) : 0;
    if (s->n + n > s->cap) {
        size_t cap = 2 * (s->n + n);
        lsm_range *grown = realloc(s->ranges, cap * sizeof(lsm_range));
        if (!grown) return LSM_NOMEM;
        s->ranges = grown;
        s->cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        lsm_range r = lsm_tombs_at(tombs, i);
        if (clip(&r, bounds)) s->ranges[s->n++] = r;
    }
    return LSM_OK;
}

static int by_start(const void *x, const void *y) {
    const lsm_range *a = x, *b = y;
    int c = lsm_compare_keys(a->start, a->start_len, b->start, b->start_len);
    return c ? c : (a->seq < b->seq) - (a->seq > b->seq);
}

static int by_seq(const void *x, const void *y) {
    const lsm_range *a = x, *b = y;
    return a->seq != b->seq ? (a->seq > b->seq) - (a->seq < b->seq) : by_start(x, y);
}

int lsm_sweep_ready(lsm_sweep *s) {
    s->cover = calloc(s->n_snapshots + 1, sizeof(uint64_t));
    s->active = calloc(s->n + 1, sizeof(size_t));
    if (!s->cover || !s->active) return LSM_NOMEM;
    if (!s->n) return LSM_OK;
    qsort(s->ranges, s->n, sizeof(lsm_range), by_seq);
    size_t kept = 0;
    for (size_t i = 1; i < s->n; i++) {
        lsm_range *last = &s->ranges[kept], *r = &s->ranges[i];
        if (r->seq != last->seq || lsm_compare_keys(last->end, last->end_len, r->start, r->start_len) < 0) {
            s->ranges[++kept] = *r;
        } else if (lsm_compare_keys(last->end, last->end_len, r->end, r->end_len) < 0) {
            last->end = r->end;
            last->end_len = r->end_len;
        }
    }
    s->n = kept + 1;
    qsort(s->ranges, s->n, sizeof(lsm_range), by_start);
    s->change = s->ranges[0].start;
    s->change_len = s->ranges[0].start_len;
    return LSM_OK;
}

static void consider_change(lsm_sweep *s, const uint8_t *key, uint32_t n) {
    if (s->change && lsm_compare_keys(s->change, s->change_len, key, n) <= 0) return;
    s->change = key;
    s->change_len = n;
}

void lsm_sweep_advance(lsm_sweep *s, const uint8_t *key, size_t n) {
    while (s->next < s->n && lsm_compare_keys(s->ranges[s->next].start, s->ranges[s->next].start_len, key, n) <= 0)
        s->active[s->n_active++] = s->next++;
    size_t kept = 0;
    s->change = NULL;
    memset(s->cover, 0, (s->n_snapshots + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < s->n_active; i++) {
        const lsm_range *r = &s->ranges[s->active[i]];
        if (lsm_compare_keys(r->end, r->end_len, key, n) <= 0) continue;
        s->active[kept++] = s->active[i];
        uint64_t *cover = &s->cover[lsm_stripe(s->snapshots, s->n_snapshots, r->seq)];
        if (r->seq > *cover) *cover = r->seq;
        consider_change(s, r->end, r->end_len);
    }
    s->n_active = kept;
    if (s->next < s->n) consider_change(s, s->ranges[s->next].start, s->ranges[s->next].start_len);
}

/* At the bottom a tombstone that every snapshot sees has nothing left to hide: all that it covers was dropped in this very merge. */
static int needed(const lsm_sweep *s, lsm_range *r, const lsm_span *span, int bottom) {
    if (bottom && lsm_stripe(s->snapshots, s->n_snapshots, r->seq) == 0) return 0;
    return clip(r, span);
}

int lsm_sweep_any(const lsm_sweep *s, const lsm_span *span, int bottom) {
    for (size_t i = 0; i < s->n; i++) {
        lsm_range r = s->ranges[i];
        if (needed(s, &r, span, bottom)) return 1;
    }
    return 0;
}

int lsm_sweep_emit(const lsm_sweep *s, const lsm_span *span, int bottom, lsm_builder *b, lsm_error *error) {
    for (size_t i = 0; i < s->n; i++) {
        lsm_range r = s->ranges[i];
        if (!needed(s, &r, span, bottom)) continue;
        int rc = lsm_builder_add_range(b, &r, error);
        if (rc < 0) return rc;
    }
    return LSM_OK;
}
