/* read.c: single and batched look-ups over a superversion. */
#include "lsm/csrc/db.h"
#include <stdlib.h>

#define GROUP 32 /* look-ups of a batch that go side by side */

typedef struct found {
    lsm_entry entry;
    lsm_pin pin;
} found;

/* One memtable: LSM_OK when the answer is known (out->entry.kind tells what), LSM_NOT_FOUND when older sources must be asked. */
static int ask_mem(const lsm_mem *m, const uint8_t *key, size_t n, uint64_t snapshot, found *out) {
    uint64_t cover = lsm_tombs_count(m->tombs) ? lsm_tombs_covering(m->tombs, key, n, snapshot) : 0;
    int status = m->ops->get(m->impl, key, n, snapshot, &out->entry);
    if (status == LSM_OK && out->entry.seq > cover) return LSM_OK;
    if (!cover) return status;
    out->entry.kind = LSM_DELETE;
    return LSM_OK;
}

typedef struct hasher {
    const idx_filter_ops *by;
    uint64_t value;
} hasher;

static inline uint64_t hash_for(hasher *h, const lsm_table *t, const uint8_t *key, size_t n) {
    const idx_filter_ops *f = lsm_table_filter(t);
    if (f && h->by != f) {
        h->value = f->hash(key, n);
        h->by = f;
    }
    return h->value;
}

/* One run, likewise; or an error. */
static int ask_run(const lsm_version_run *r, const uint8_t *key, size_t n, uint64_t prefix, hasher *h, uint64_t snapshot, found *out,
                   lsm_error *e) {
    lsm_table *t = lsm_run_find(r, key, n, prefix);
    if (!t) return LSM_NOT_FOUND;
    const lsm_tombs *tombs = r->has_tombs ? lsm_table_tombs(t) : NULL;
    uint64_t cover = tombs ? lsm_tombs_covering(tombs, key, n, snapshot) : 0;
    int status = lsm_table_get(t, key, n, hash_for(h, t, key, n), snapshot, r->level, &out->entry, &out->pin, e);
    if (status < 0 || (status == LSM_OK && out->entry.seq > cover)) return status;
    if (!cover) return status;
    lsm_unpin(&out->pin);
    out->entry.kind = LSM_DELETE;
    return LSM_OK;
}

static int ask_version(const lsm_version *v, const uint8_t *key, size_t n, uint64_t snapshot, found *out, lsm_error *e) {
    uint64_t prefix = lsm_key_prefix(key, n);
    hasher h = {0};
    for (uint32_t i = 0; v && i < v->n_runs; i++) {
        int status = ask_run(&v->runs[i], key, n, prefix, &h, snapshot, out, e);
        if (status != LSM_NOT_FOUND) return status;
    }
    return LSM_NOT_FOUND;
}

static int closed(lsm_db *db, const char *what) {
    lsm_error e;
    lsm_fail(&e, LSM_CLOSED, "", 0, "%s is closed", what);
    return lsm_remember(db, &e);
}

int64_t lsm_get(lsm_keyspace *ks, const uint8_t *key, size_t n, uint64_t snapshot, uint8_t *out, size_t cap, size_t *needed) {
    lsm_db *db = ks->db;
    if (lsm_enter(db) != LSM_OK) return closed(db, "the database");
    lsm_super *s = lsm_super_get(ks);
    if (!s) {
        lsm_leave(db);
        return closed(db, "the keyspace");
    }
    uint64_t visible = atomic_load_explicit(&db->visible, memory_order_acquire);
    if (snapshot > visible) snapshot = visible;
    found f;
    lsm_error e;
    f.pin.block = NULL;
    int status = ask_mem(s->active, key, n, snapshot, &f);
    for (uint32_t i = 0; status == LSM_NOT_FOUND && i < s->n_sealed; i++) status = ask_mem(s->sealed[i], key, n, snapshot, &f);
    if (status == LSM_NOT_FOUND) status = ask_version(s->version, key, n, snapshot, &f, &e);
    int64_t result = LSM_MISSING;
    if (status < 0)
        result = lsm_remember(db, &e);
    else if (status == LSM_OK && f.entry.kind == LSM_PUT) {
        if (f.entry.value_len <= cap) {
            if (f.entry.value_len) memcpy(out, f.entry.value, f.entry.value_len);
            result = (int64_t)f.entry.value_len;
        } else {
            *needed = f.entry.value_len;
            result = LSM_SHORT;
        }
    }
    lsm_unpin(&f.pin);
    lsm_super_unref(s);
    lsm_tally(db->env->ledger, result >= 0 ? LSM_N_GET_HIT : LSM_N_GET, 1);
    lsm_leave(db);
    return result;
}

typedef struct group {
    uint32_t n, open; /* look-ups; those without an answer */
    const uint8_t *keys[GROUP];
    size_t lens[GROUP];
    found f[GROUP];
    uint8_t done[GROUP]; /* 1: f holds the answer */
} group;

static void group_ask_mem(group *g, const lsm_mem *m, uint64_t snapshot) {
    if (!m->ops->get_many || lsm_tombs_count(m->tombs) || g->open < 2) {
        for (uint32_t i = 0; i < g->n; i++)
            if (!g->done[i] && ask_mem(m, g->keys[i], g->lens[i], snapshot, &g->f[i]) == LSM_OK) g->done[i] = 1, g->open--;
        return;
    }
    const uint8_t *keys[GROUP];
    size_t lens[GROUP];
    lsm_entry out[GROUP];
    uint8_t hit[GROUP];
    uint32_t which[GROUP], n = 0;
    for (uint32_t i = 0; i < g->n; i++)
        if (!g->done[i]) keys[n] = g->keys[i], lens[n] = g->lens[i], which[n++] = i;
    m->ops->get_many(m->impl, keys, lens, n, snapshot, out, hit);
    for (uint32_t i = 0; i < n; i++)
        if (hit[i]) g->f[which[i]].entry = out[i], g->done[which[i]] = 1, g->open--;
}

/* A run for all open look-ups: first every filter, then the blocks of those that may be there. */
static int group_ask_run(group *g, const lsm_version_run *r, hasher *h, const uint64_t *prefixes, uint64_t snapshot, lsm_error *e) {
    lsm_table *tables[GROUP];
    for (uint32_t i = 0; i < g->n; i++) {
        tables[i] = g->done[i] ? NULL : lsm_run_find(r, g->keys[i], g->lens[i], prefixes[i]);
        if (tables[i]) lsm_table_prefetch(tables[i], hash_for(&h[i], tables[i], g->keys[i], g->lens[i]));
    }
    if (r->has_tombs) {
        for (uint32_t i = 0; i < g->n; i++) {
            if (!tables[i]) continue;
            int status = ask_run(r, g->keys[i], g->lens[i], prefixes[i], &h[i], snapshot, &g->f[i], e);
            if (status < 0) return status;
            if (status == LSM_OK) g->done[i] = 1, g->open--;
        }
        return LSM_OK;
    }
    for (uint32_t i = 0; i < g->n; i++)
        if (tables[i] && !lsm_table_may_contain(tables[i], h[i].value, r->level)) tables[i] = NULL;
    for (uint32_t i = 0; i < g->n; i++) {
        if (!tables[i]) continue;
        int status = lsm_table_get_unfiltered(tables[i], g->keys[i], g->lens[i], snapshot, r->level, &g->f[i].entry, &g->f[i].pin, e);
        if (status < 0) return status;
        if (status == LSM_OK) g->done[i] = 1, g->open--;
    }
    return LSM_OK;
}

static int group_ask(group *g, const lsm_super *s, uint64_t snapshot, lsm_error *e) {
    hasher h[GROUP];
    uint64_t prefixes[GROUP];
    g->open = g->n;
    group_ask_mem(g, s->active, snapshot);
    for (uint32_t i = 0; g->open && i < s->n_sealed; i++) group_ask_mem(g, s->sealed[i], snapshot);
    if (!g->open || !s->version) return LSM_OK;
    for (uint32_t i = 0; i < g->n; i++) {
        h[i].by = NULL;
        h[i].value = 0;
        prefixes[i] = lsm_key_prefix(g->keys[i], g->lens[i]);
    }
    int status = LSM_OK;
    for (uint32_t i = 0; status == LSM_OK && g->open && i < s->version->n_runs; i++)
        status = group_ask_run(g, &s->version->runs[i], h, prefixes, snapshot, e);
    return status;
}

/* Copies the answers out in order. Returns how many fit. */
static uint32_t group_copy(group *g, uint8_t *out, size_t cap, size_t *used, int64_t *lens, size_t *needed, uint64_t *hits) {
    uint32_t i = 0;
    for (; i < g->n; i++) {
        const lsm_entry *e = &g->f[i].entry;
        if (!g->done[i] || e->kind != LSM_PUT) {
            lens[i] = LSM_MISSING;
            continue;
        }
        if (e->value_len > cap - *used) {
            *needed = e->value_len;
            break;
        }
        if (e->value_len) memcpy(out + *used, e->value, e->value_len);
        *used += e->value_len;
        lens[i] = (int64_t)e->value_len;
        ++*hits;
    }
    return i;
}

int64_t lsm_get_many(lsm_keyspace *ks, uint32_t count, const uint8_t *keys, const uint32_t *key_lens, uint64_t snapshot, uint8_t *out,
                     size_t cap, int64_t *lens, size_t *needed, lsm_error *error) {
    lsm_db *db = ks->db;
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    lsm_super *s = lsm_super_get(ks);
    uint64_t visible = atomic_load_explicit(&db->visible, memory_order_acquire), hits = 0;
    int64_t answered = s ? 0 : lsm_fail(error, LSM_CLOSED, "", 0, "the keyspace is dropped");
    if (snapshot > visible) snapshot = visible;
    size_t used = 0;
    group g;
    while (s && answered >= 0 && answered < count) {
        for (g.n = 0; g.n < GROUP && answered + g.n < count; g.n++) {
            g.keys[g.n] = keys;
            g.lens[g.n] = key_lens[answered + g.n];
            g.done[g.n] = 0;
            g.f[g.n].pin.block = NULL;
            keys += g.lens[g.n];
        }
        int status = group_ask(&g, s, snapshot, error);
        uint32_t copied = status < 0 ? 0 : group_copy(&g, out, cap, &used, lens + answered, needed, &hits);
        for (uint32_t i = 0; i < g.n; i++) lsm_unpin(&g.f[i].pin);
        if (status < 0)
            answered = status;
        else
            answered += copied;
        if (copied < g.n) break;
    }
    if (s) lsm_super_unref(s);
    lsm_tally(db->env->ledger, LSM_N_GET_HIT, hits);
    if (answered > 0) lsm_tally(db->env->ledger, LSM_N_GET, (uint64_t)answered - hits);
    lsm_leave(db);
    return answered;
}
