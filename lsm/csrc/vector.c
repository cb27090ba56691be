/* vector.c: the memtable "vector": append, sort in steps (the logarithmic method of Bentley and Saxe 1980, fan-out 8).
 *
 *    view:  [sorted run 16384][sorted run 2048][sorted run 2048][sorted 256]...   + tail of up to 256 entries as they came
 *
 * A full tail is sorted and becomes a run; eight runs of one size are merged into one of the next size. An add so costs O(log8 n)
 * amortised; a get looks at the tail and at each run, newest first. Good where writes come much faster than reads, or in order: merging what is in order
 * is a copy.
 *
 * Publication: a view (runs and tail) never changes but for the tail's count, which grows with release after the slot was written; a new view replaces it as
 * a whole. Replaced views and runs stay until destroy, as readers may be inside: about 16 bytes an entry and size step.
 */
#include "lsm/csrc/merge.h"
#include "lsm/csrc/sorted_records.h"
#include <stdlib.h>

#define TAIL 256
#define FAN_OUT 8
#define MAX_RUNS 96 /* 7 of each of 13 sizes and one */

typedef struct sorted_run {
    lsm_slot *slots;
    size_t n;
} sorted_run;

typedef struct view {
    lsm_slot *tail; /* TAIL of them */
    _Atomic size_t tail_n;
    size_t n_runs;
    sorted_run runs[]; /* oldest and largest first */
} view;

typedef struct vector {
    _Atomic(view *) view;
    lsm_arena arena;
    _Atomic uint64_t count;
} vector;

static view *new_view(vector *m, const sorted_run *runs, size_t n_runs) {
    view *v = lsm_arena_alloc(&m->arena, sizeof(*v) + n_runs * sizeof(sorted_run));
    lsm_slot *tail = v ? lsm_arena_alloc(&m->arena, TAIL * sizeof(lsm_slot)) : NULL;
    if (!tail) return NULL;
    v->tail = tail;
    atomic_init(&v->tail_n, 0);
    v->n_runs = n_runs;
    if (n_runs) memcpy(v->runs, runs, n_runs * sizeof(sorted_run));
    return v;
}

static void *vector_create(const lsm_memtable_config *config) {
    vector *m = calloc(1, sizeof(*m));
    if (!m) return NULL;
    lsm_arena_init(&m->arena, config->budget);
    view *v = new_view(m, NULL, 0);
    if (!v) {
        lsm_arena_free(&m->arena);
        free(m);
        return NULL;
    }
    atomic_init(&m->view, v);
    return m;
}

static void vector_destroy(void *self) {
    vector *m = self;
    lsm_arena_free(&m->arena);
    free(m);
}

/* Merges the last k runs into one, in place of the first of them. They are neighbours in size, so merging pairwise from the back is close to the best order. */
static int merge_last_runs(vector *m, sorted_run *runs, size_t *n_runs, size_t k) {
    size_t n = 0, first = *n_runs - k;
    for (size_t i = first; i < *n_runs; i++) n += runs[i].n;
    lsm_slot *out = lsm_arena_alloc(&m->arena, n * sizeof(lsm_slot));
    lsm_slot *spare = malloc(n * sizeof(lsm_slot));
    if (!out || !spare) {
        free(spare);
        return LSM_NOMEM;
    }
    size_t at = 0;
    for (size_t i = first; i < *n_runs; at += runs[i++].n) memcpy(out + at, runs[i].slots, runs[i].n * sizeof(lsm_slot));
    lsm_slots_sort(out, n, spare);
    free(spare);
    runs[first] = (sorted_run){out, n};
    *n_runs = first + 1;
    return LSM_OK;
}

/* How many of the last runs make one of the next size: FAN_OUT of about equal size, or none. */
static size_t merge_due(const sorted_run *runs, size_t n) {
    if (n < FAN_OUT) return 0;
    return runs[n - FAN_OUT].n < FAN_OUT * runs[n - 1].n ? FAN_OUT : 0;
}

/* Turns the tail into a run (all: everything into one run) and publishes the view. */
static int fold(vector *m, int all) {
    view *old = atomic_load_explicit(&m->view, memory_order_relaxed);
    sorted_run runs[MAX_RUNS];
    size_t n = old->n_runs, tail_n = atomic_load_explicit(&old->tail_n, memory_order_relaxed), k;
    if (n) memcpy(runs, old->runs, n * sizeof(sorted_run));
    if (tail_n) {
        lsm_slot spare[TAIL], *slots = lsm_arena_alloc(&m->arena, tail_n * sizeof(lsm_slot));
        if (!slots) return LSM_NOMEM;
        memcpy(slots, old->tail, tail_n * sizeof(lsm_slot));
        lsm_slots_sort(slots, tail_n, spare);
        runs[n++] = (sorted_run){slots, tail_n};
    }
    while ((k = all ? (n > 1 ? n : 0) : merge_due(runs, n)))
        if (merge_last_runs(m, runs, &n, k) < 0) return LSM_NOMEM;
    view *v = new_view(m, runs, n);
    if (!v) return LSM_NOMEM;
    atomic_store_explicit(&m->view, v, memory_order_release);
    return LSM_OK;
}

static int vector_add(void *self, const lsm_entry *e) {
    vector *m = self;
    view *v = atomic_load_explicit(&m->view, memory_order_relaxed);
    size_t n = atomic_load_explicit(&v->tail_n, memory_order_relaxed);
    if (n == TAIL) {
        if (fold(m, 0) < 0) return LSM_NOMEM;
        v = atomic_load_explicit(&m->view, memory_order_relaxed);
        n = 0;
    }
    const lsm_record *r = lsm_record_new(&m->arena, e, 0);
    if (!r) return LSM_NOMEM;
    v->tail[n] = lsm_slot_of(r);
    atomic_store_explicit(&v->tail_n, n + 1, memory_order_release);
    atomic_fetch_add_explicit(&m->count, 1, memory_order_release);
    return LSM_OK;
}

static int same_key(const lsm_slot *s, uint64_t prefix, const uint8_t *key, size_t n) {
    return s->prefix == prefix && s->record->key_len == n && !memcmp(s->record->key, key, n);
}

static int vector_get(void *self, const uint8_t *key, size_t n, uint64_t snapshot, lsm_entry *out) {
    const view *v = atomic_load_explicit(&((vector *)self)->view, memory_order_acquire);
    uint64_t prefix = lsm_prefix(key, n), limit = lsm_seek_tag(snapshot);
    const lsm_record *best = NULL;
    size_t tail_n = atomic_load_explicit(&v->tail_n, memory_order_acquire);
    for (size_t i = 0; i < tail_n; i++)
        if (same_key(&v->tail[i], prefix, key, n) && v->tail[i].record->tag <= limit && (!best || v->tail[i].record->tag > best->tag))
            best = v->tail[i].record;
    for (size_t i = v->n_runs; i-- > 0;) {
        const sorted_run *run = &v->runs[i];
        size_t at = lsm_slots_seek(run->slots, run->n, key, n, limit);
        if (at < run->n && same_key(&run->slots[at], prefix, key, n) && (!best || run->slots[at].record->tag > best->tag))
            best = run->slots[at].record;
    }
    if (!best) return LSM_NOT_FOUND;
    lsm_record_entry(best, out);
    return LSM_OK;
}

/* A merge of the runs and of a sorted copy of the tail. */
static lsm_iter *vector_iter(void *self) {
    const view *v = atomic_load_explicit(&((vector *)self)->view, memory_order_acquire);
    lsm_iter *children[MAX_RUNS + 1];
    size_t n = 0, tail_n = atomic_load_explicit(&v->tail_n, memory_order_acquire);
    int failed = 0;
    if (tail_n) {
        lsm_slot spare[TAIL], *copy = malloc(tail_n * sizeof(lsm_slot));
        if (!copy) return NULL;
        memcpy(copy, v->tail, tail_n * sizeof(lsm_slot));
        lsm_slots_sort(copy, tail_n, spare);
        children[n] = lsm_slots_iter(copy, tail_n, 1);
        if (!children[n++]) return NULL;
    }
    for (size_t i = v->n_runs; i-- > 0 && !failed; n += !failed) {
        children[n] = lsm_slots_iter(v->runs[i].slots, v->runs[i].n, 0);
        failed = !children[n];
    }
    if (!failed) return lsm_merge_iter(children, n, NULL);
    for (size_t i = 0; i < n; i++) children[i]->ops->close(children[i]);
    return NULL;
}

static size_t vector_memory(void *self) { return sizeof(vector) + lsm_arena_memory(&((vector *)self)->arena); }
static uint64_t vector_count(void *self) { return atomic_load_explicit(&((vector *)self)->count, memory_order_acquire); }

/* One run, so that the flush reads one array. Out of memory is no error: the runs are in order as they are. */
static void vector_seal(void *self) { (void)fold(self, 1); }

const lsm_memtable_ops lsm_vector_ops = {
    LSM_ABI,        sizeof(lsm_memtable_ops),
    "vector",       vector_create,
    vector_destroy, vector_add,
    vector_get,     NULL,
    vector_iter,    vector_memory,
    vector_count,   vector_seal,
    NULL,
};
