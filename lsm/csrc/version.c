/* version.c: superversions and the versions in them: swapped under a spin lock, freed by the last reader. */
#include "lsm/csrc/db.h"
#include <sched.h>
#include <stdlib.h>

static void spin_lock(lsm_keyspace *ks) {
    /* uncovered (race): two threads take it at one moment */
    for (int n = 0; atomic_flag_test_and_set_explicit(&ks->spin, memory_order_acquire); n++) {
        if (n > 64) /* uncovered 2 (race): likewise, and one of them is not running */
            sched_yield();
        else
            __builtin_ia32_pause();
    }
}
static void spin_unlock(lsm_keyspace *ks) { atomic_flag_clear_explicit(&ks->spin, memory_order_release); }

static void free_version(lsm_version *v) {
    for (uint32_t i = 0; i < v->n_runs; i++) {
        for (uint32_t k = 0; k < v->runs[i].n; k++) {
            lsm_table *t = v->runs[i].tables[k];
            uint64_t number = lsm_table_properties(t)->number;
            uint32_t left = lsm_table_publish(t, -1);
            lsm_table_unref(t);
            if (!left) lsm_add_dead(v->db, number); /* without memory the file stays until the next open sweeps it */
        }
        free(v->runs[i].tables);
        free(v->runs[i].prefixes);
    }
    for (uint32_t i = 0; i < v->n_values; i++) {
        uint64_t number = lsm_value_file_properties(v->values[i])->number;
        uint32_t left = lsm_value_file_publish(v->values[i], -1);
        lsm_value_file_unref(v->values[i]);
        if (!left) lsm_add_dead(v->db, number | LSM_DEAD_VALUES);
    }
    free(v->values);
    lsm_db_unref(v->db);
    free(v);
}

static void version_unref(lsm_version *v) {
    if (v && atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1) free_version(v);
}

lsm_super *lsm_super_new(lsm_mem *active, lsm_mem *const *sealed, uint32_t n, lsm_version *v) {
    lsm_super *s = malloc(sizeof *s + n * sizeof(lsm_mem *));
    if (!s) return NULL;
    atomic_init(&s->refs, 1);
    s->active = active;
    s->version = v;
    s->n_sealed = n;
    atomic_fetch_add(&active->refs, 1);
    if (v) atomic_fetch_add(&v->refs, 1);
    for (uint32_t i = 0; i < n; i++) {
        s->sealed[i] = sealed[i];
        atomic_fetch_add(&sealed[i]->refs, 1);
    }
    return s;
}

void lsm_super_unref(lsm_super *s) {
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    lsm_mem_unref(s->active);
    for (uint32_t i = 0; i < s->n_sealed; i++) lsm_mem_unref(s->sealed[i]);
    version_unref(s->version);
    free(s);
}

lsm_super *lsm_super_get(lsm_keyspace *ks) {
    spin_lock(ks);
    lsm_super *s = ks->super;
    if (s) atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    spin_unlock(ks);
    return s;
}

void lsm_super_swap(lsm_keyspace *ks, lsm_super *next) {
    spin_lock(ks);
    lsm_super *old = atomic_exchange(&ks->super, next);
    spin_unlock(ks);
    uint64_t solo = atomic_load(&ks->db->solo);
    /* uncovered 3 (race): a look-up runs solo at the moment of the swap */
    while (solo & 1 && atomic_load(&ks->db->solo) == solo) sched_yield(); /* it never waits for anything: microseconds */
    if (old) lsm_super_unref(old);
}

static int fill_run(lsm_version_run *to, const lsm_run *from) {
    to->level = from->level;
    to->tables = malloc((from->n_tables + 1) * sizeof *to->tables);
    to->prefixes = malloc((from->n_tables + 1) * sizeof *to->prefixes);
    if (!to->tables || !to->prefixes) return LSM_NOMEM;
    for (uint32_t i = 0; i < from->n_tables; i++) {
        lsm_table *t = from->tables[i];
        const lsm_table_props *p = lsm_table_properties(t);
        lsm_table_ref(t);
        lsm_table_publish(t, 1);
        to->tables[to->n] = t;
        to->prefixes[to->n++] = lsm_key_prefix(p->largest, p->largest_len);
        to->has_tombs |= lsm_table_tombs(t) != NULL;
        to->has_range_filters |= lsm_table_has_range_filter(t);
    }
    return LSM_OK;
}

static int fill_values(lsm_version *v, lsm_value_file *const *values, uint32_t n) {
    if (!n) return LSM_OK;
    v->values = malloc(n * sizeof *v->values);
    if (!v->values) return LSM_NOMEM;
    for (; v->n_values < n; v->n_values++) {
        v->values[v->n_values] = values[v->n_values];
        lsm_value_file_ref(values[v->n_values]);
        lsm_value_file_publish(values[v->n_values], 1);
    }
    return LSM_OK;
}

static lsm_version *new_version(lsm_db *db, const lsm_run *runs, uint32_t n_runs, lsm_value_file *const *values, uint32_t n_values) {
    lsm_version *v = calloc(1, sizeof *v + n_runs * sizeof(lsm_version_run));
    if (!v) return NULL;
    atomic_init(&v->refs, 1);
    v->db = db;
    atomic_fetch_add(&db->refs, 1);
    v->n_runs = n_runs;
    int status = fill_values(v, values, n_values);
    for (uint32_t i = 0; i < n_runs && status == LSM_OK; i++) {
        status = fill_run(&v->runs[i], &runs[i]);
        v->has_tombs |= v->runs[i].has_tombs;
    }
    if (status == LSM_OK) return v;
    version_unref(v);
    return NULL;
}

int lsm_publish(lsm_keyspace *ks, const lsm_run *runs, uint32_t n_runs, lsm_value_file *const *values, uint32_t n_values,
                uint32_t n_flushed) {
    lsm_db *db = ks->db;
    if (lsm_enter(db) != LSM_OK) return LSM_CLOSED;
    lsm_version *v = new_version(db, runs, n_runs, values, n_values);
    int status = v ? LSM_OK : LSM_NOMEM;
    pthread_mutex_lock(&db->write_lock);
    lsm_super *now = ks->super, *next = NULL;
    if (!now)
        status = LSM_CLOSED;
    else if (n_flushed > now->n_sealed)
        status = LSM_INVALID;
    if (status == LSM_OK) {
        next = lsm_super_new(now->active, now->sealed, now->n_sealed - n_flushed, v);
        if (next)
            lsm_super_swap(ks, next);
        else
            status = LSM_NOMEM;
    }
    pthread_mutex_unlock(&db->write_lock);
    version_unref(v);
    lsm_leave(db);
    return status;
}

lsm_table *lsm_run_find(const lsm_version_run *r, const uint8_t *key, size_t n, uint64_t prefix) {
    uint32_t lo = 0, hi = r->n; /* first table whose end is behind key */
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        int before = r->prefixes[mid] < prefix;
        if (r->prefixes[mid] == prefix) {
            const lsm_table_props *p = lsm_table_properties(r->tables[mid]);
            int c = lsm_compare_keys(p->largest, p->largest_len, key, n);
            before = c < 0 || (c == 0 && p->largest_exclusive);
        }
        if (before)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == r->n) return NULL;
    const lsm_table_props *p = lsm_table_properties(r->tables[lo]);
    return lsm_compare_keys(p->smallest, p->smallest_len, key, n) <= 0 ? r->tables[lo] : NULL;
}
