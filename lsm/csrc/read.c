/* read.c: single and batched look-ups over a superversion. */
#include "lsm/csrc/db.h"
#include <stdlib.h>

#define GROUP 32 /* look-ups of a batch that go side by side */
#define SOLO_MAX 16 /* look-ups of a batch that keep the interpreter's lock */
#define PORTION 256 /* answers that are put by until the lock is wanted */
#define PORTION_ROOM ((size_t)16 << 10) /* for their values, at first */
#define PORTION_MOST ((size_t)1 << 20) /* a group with more is handed over from where it lies */

typedef struct found {
    lsm_entry entry;
    lsm_pin pin;
} found;

/* One memtable: LSM_OK when the answer is known (out->entry.kind tells what), LSM_NOT_FOUND when older sources must be asked. */
static int ask_mem(const lsm_mem *m, const uint8_t *key, size_t n, uint64_t snapshot, found *out) {
    if (!lsm_mem_count(m)) return LSM_NOT_FOUND;
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

/* One run, likewise; or an error. likely: the key is here if anywhere, so its block's cell is asked for before the filter has answered: the
 * lines of both come at the same time. */
static int ask_run(const lsm_version_run *r, int likely, const uint8_t *key, size_t n, uint64_t prefix, hasher *h, uint64_t snapshot,
                   lsm_reader *by, found *out, lsm_error *e) {
    lsm_table *t = lsm_run_find(r, key, n, prefix);
    if (!t) return LSM_NOT_FOUND;
    const lsm_tombs *tombs = r->has_tombs ? lsm_table_tombs(t) : NULL;
    uint64_t cover = tombs ? lsm_tombs_covering(tombs, key, n, snapshot) : 0;
    const uint64_t hash = hash_for(h, t, key, n);
    const uint32_t at = likely ? lsm_table_aim(t, key, n) : LSM_NO_ORDINAL;
    int status = LSM_NOT_FOUND;
    if (lsm_table_may_contain(t, hash, r->level, by))
        status = lsm_table_get_aimed(t, at, NULL, key, n, snapshot, r->level, by, &out->entry, &out->pin, e);
    if (status < 0 || (status == LSM_OK && out->entry.seq > cover)) return status;
    if (!cover) return status;
    lsm_unpin(&out->pin);
    out->entry.kind = LSM_DELETE;
    return LSM_OK;
}

static int ask_version(const lsm_version *v, const uint8_t *key, size_t n, uint64_t snapshot, lsm_reader *by, found *out, lsm_error *e) {
    uint64_t prefix = lsm_key_prefix(key, n);
    hasher h = {0};
    for (uint32_t i = 0; v && i < v->n_runs; i++) {
        int status = ask_run(&v->runs[i], i + 1 == v->n_runs, key, n, prefix, &h, snapshot, by, out, e);
        if (status != LSM_NOT_FOUND) return status;
    }
    return LSM_NOT_FOUND;
}

/* The value that was found is in a value file: brings it in. */
static int fetch(const lsm_super *s, found *f, lsm_reader *by, lsm_error *e) {
    return lsm_value_fetch(s->version->values, s->version->n_values, &f->entry, &f->pin, LSM_BY_GET, 1, by, e);
}

static int64_t closed(lsm_db *db, const char *what) {
    lsm_error e;
    lsm_fail(&e, LSM_CLOSED, "", 0, "%s is closed", what);
    return lsm_remember(db, &e);
}

/* The look-up has its superversion. */
static int64_t look_up(lsm_lookup *l, const uint8_t *key, size_t n, uint64_t snapshot) {
    lsm_db *db = l->ks->db;
    const lsm_super *s = l->super;
    uint64_t visible = atomic_load_explicit(&db->visible, memory_order_acquire);
    if (snapshot > visible) snapshot = visible;
    found f;
    lsm_error e;
    f.pin.block = NULL;
    int status = ask_mem(s->active, key, n, snapshot, &f);
    for (uint32_t i = 0; status == LSM_NOT_FOUND && i < s->n_sealed; i++) status = ask_mem(s->sealed[i], key, n, snapshot, &f);
    if (status == LSM_NOT_FOUND) status = ask_version(s->version, key, n, snapshot, &l->by, &f, &e);
    if (status == LSM_OK && __builtin_expect(f.entry.kind == LSM_VALUE_POINTER, 0)) status = fetch(s, &f, &l->by, &e);
    l->pin = f.pin;
    int hit = status == LSM_OK && f.entry.kind == LSM_PUT;
    lsm_reader_tally(&l->by, db->env->ledger, hit ? LSM_N_GET_HIT : LSM_N_GET, 1);
    if (status < 0) return lsm_remember(db, &e);
    if (!hit) return LSM_MISSING;
    l->value = f.entry.value;
    return (int64_t)f.entry.value_len;
}

static int64_t look_up_shared(lsm_lookup *l, const uint8_t *key, size_t n, uint64_t snapshot) {
    lsm_db *db = l->ks->db;
    if (lsm_enter(db) != LSM_OK) return closed(db, "the database");
    l->super = lsm_super_get(l->ks);
    if (l->super) return look_up(l, key, n, snapshot);
    lsm_leave(db);
    return closed(db, "the keyspace");
}

static void end_shared(lsm_lookup *l) {
    if (!l->super) return;
    lsm_unpin(&l->pin);
    lsm_reader_give_back(&l->by);
    lsm_super_unref(l->super);
    lsm_leave(l->ks->db);
}

static inline void end_solo(lsm_db *db) {
    atomic_store_explicit(&db->solo, atomic_load_explicit(&db->solo, memory_order_relaxed) + 1, memory_order_release);
}

/* Cached blocks are lent to the look-up from now on, unless a component may call out: nothing may take long while they are. */
static inline void borrow(lsm_reader *by, const lsm_keyspace *ks, lsm_block **room, uint32_t cap) {
    by->lent = room;
    by->cap_lent = ks->config.calls_out ? 0 : cap;
}

/* What the look-up has seen must outlive the solo section. */
static void become_shared(lsm_reader *by) {
    lsm_lookup *l = (lsm_lookup *)by;
    lsm_db *db = l->ks->db;
    atomic_fetch_add(&db->inside, 1); /* close waits for it: it swaps the superversion out before its last wait */
    atomic_fetch_add_explicit(&l->super->refs, 1, memory_order_relaxed);
    by->solo = 0;
    end_solo(db);
    l->let_go(l->arg);
}

/* Takes the superversion: solo, or (shared: because it may take long or calls out) the lock let go. LSM_CLOSED when there is none. */
static int begin_solo(lsm_lookup *l, lsm_keyspace *ks, int shared, void (*let_go)(void *), void *arg) {
    lsm_db *db = ks->db;
    l->by = (lsm_reader){.solo = 1, .blocks = become_shared};
    l->ks = ks, l->super = NULL, l->pin.block = NULL, l->let_go = let_go, l->arg = arg;
    if (!shared && !ks->config.calls_out) { /* who calls out may let the lock go, and another look-up in */
        atomic_store(&db->solo, atomic_load_explicit(&db->solo, memory_order_relaxed) + 1); /* before the superversion is read */
        l->super = atomic_load(&ks->super);
        return l->super ? LSM_OK : LSM_CLOSED;
    }
    l->by.solo = 0;
    let_go(arg);
    if (lsm_enter(db) != LSM_OK) return LSM_CLOSED;
    l->super = lsm_super_get(ks);
    if (l->super) return LSM_OK;
    lsm_leave(db);
    return LSM_CLOSED;
}

int64_t lsm_lookup_solo(lsm_lookup *l, lsm_keyspace *ks, const uint8_t *key, size_t n, void (*let_go)(void *), void *arg) {
    if (begin_solo(l, ks, 0, let_go, arg) == LSM_OK) {
        borrow(&l->by, ks, l->lent, LSM_LENT_MAX);
        int64_t result = look_up(l, key, n, UINT64_MAX);
        if (!l->by.solo) lsm_reader_keep(&l->by); /* the caller waits for the lock now */
        return result;
    }
    return closed(ks->db, atomic_load(&ks->db->closed) ? "the database" : "the keyspace");
}

void lsm_lookup_end(lsm_lookup *l) {
    if (l->by.solo) {
        lsm_unpin(&l->pin);
        lsm_reader_give_back(&l->by);
        end_solo(l->ks->db);
    } else {
        end_shared(l);
    }
}

int64_t lsm_get(lsm_keyspace *ks, const uint8_t *key, size_t n, uint64_t snapshot, uint8_t *out, size_t cap, size_t *needed) {
    lsm_lookup l;
    l.by = (lsm_reader){0};
    l.ks = ks, l.super = NULL, l.pin.block = NULL;
    borrow(&l.by, ks, l.lent, LSM_LENT_MAX);
    int64_t result = look_up_shared(&l, key, n, snapshot);
    if (result > 0 && (uint64_t)result <= cap)
        memcpy(out, l.value, (size_t)result);
    else if (result > 0) {
        *needed = (size_t)result;
        result = LSM_SHORT;
    }
    end_shared(&l);
    return result;
}

typedef struct group {
    uint32_t n, open; /* look-ups; those without an answer */
    const uint8_t *keys[GROUP];
    size_t lens[GROUP];
    found f[GROUP];
    uint8_t done[GROUP]; /* 1: f holds the answer */
} group;

static void group_answer(group *g, uint32_t i) {
    g->done[i] = 1;
    g->open--;
}

static void group_ask_mem(group *g, const lsm_mem *m, uint64_t snapshot) {
    if (!lsm_mem_count(m)) return;
    if (!m->ops->get_many || lsm_tombs_count(m->tombs) || g->open < 2) {
        for (uint32_t i = 0; i < g->n; i++)
            if (!g->done[i] && ask_mem(m, g->keys[i], g->lens[i], snapshot, &g->f[i]) == LSM_OK) group_answer(g, i);
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
    for (uint32_t i = 0; i < n; i++) {
        if (!hit[i]) continue;
        g->f[which[i]].entry = out[i];
        group_answer(g, which[i]);
    }
}

/* Asks the filters of the tables of which[0..n), a table at a time; those that may hold their keys stay in which. Their number. */
static uint32_t group_filter(lsm_table *const *tables, const uint64_t *hashes, uint32_t *which, uint32_t n, int level,
                             const lsm_reader *by) {
    uint64_t of_table[GROUP];
    uint32_t at[GROUP], left = 0;
    uint8_t may[GROUP], asked[GROUP] = {0}, maybe[GROUP];
    for (uint32_t k = 0; k < n; k++) {
        if (asked[k]) continue;
        lsm_table *t = tables[which[k]];
        uint32_t same = 0;
        for (uint32_t j = k; j < n; j++) {
            if (tables[which[j]] != t) continue;
            of_table[same] = hashes[which[j]];
            at[same++] = j;
            asked[j] = 1;
        }
        lsm_table_may_contain_many(t, of_table, same, may, level, by);
        for (uint32_t j = 0; j < same; j++) maybe[at[j]] = may[j];
    }
    for (uint32_t k = 0; k < n; k++)
        if (maybe[k]) which[left++] = which[k];
    return left;
}

/* A run for all open look-ups, step by step: the filters, the blocks' places, the blocks, what is in them. */
static int group_ask_run(group *g, const lsm_version_run *r, hasher *h, const uint64_t *prefixes, uint64_t snapshot, lsm_reader *by,
                         lsm_error *e) {
    lsm_table *tables[GROUP];
    uint32_t which[GROUP], ordinals[GROUP], n = 0;
    uint64_t hashes[GROUP];
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->done[i] || !(tables[i] = lsm_run_find(r, g->keys[i], g->lens[i], prefixes[i]))) continue;
        int status = LSM_NOT_FOUND;
        if (r->has_tombs) {
            status = ask_run(r, 0, g->keys[i], g->lens[i], prefixes[i], &h[i], snapshot, by, &g->f[i], e);
        } else {
            hashes[i] = hash_for(&h[i], tables[i], g->keys[i], g->lens[i]);
            which[n++] = i;
        }
        if (status < 0) return status;
        if (status == LSM_OK) group_answer(g, i);
    }
    n = group_filter(tables, hashes, which, n, r->level, by);
    for (uint32_t k = 0; k < n; k++) ordinals[k] = lsm_table_aim(tables[which[k]], g->keys[which[k]], g->lens[which[k]]);
    for (uint32_t k = 0; k < n; k++) lsm_table_near(tables[which[k]], ordinals[k]);
    lsm_held held[GROUP];
    int status = LSM_OK;
    for (uint32_t k = 0; k < n; k++) held[k].view.data = NULL;
    for (uint32_t k = 0; k < n && status == LSM_OK; k++) {
        uint32_t i = which[k];
        status = lsm_table_hold(tables[i], ordinals[k], g->keys[i], g->lens[i], r->level, by, &held[k], e);
    }
    for (uint32_t k = 0; k < n && status >= 0; k++) {
        uint32_t i = which[k];
        found *f = &g->f[i];
        status =
            lsm_table_get_aimed(tables[i], ordinals[k], &held[k], g->keys[i], g->lens[i], snapshot, r->level, by, &f->entry, &f->pin, e);
        if (status == LSM_OK) group_answer(g, i);
    }
    for (uint32_t k = 0; k < n; k++)
        if (held[k].view.data) lsm_unpin(&held[k].pin);
    return status < 0 ? status : LSM_OK;
}

static int group_ask(group *g, const lsm_super *s, uint64_t snapshot, lsm_reader *by, lsm_error *e) {
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
        status = group_ask_run(g, &s->version->runs[i], h, prefixes, snapshot, by, e);
    for (uint32_t i = 0; status == LSM_OK && i < g->n; i++)
        if (g->done[i] && g->f[i].entry.kind == LSM_VALUE_POINTER) status = fetch(s, &g->f[i], by, e);
    return status;
}

static int is_there(const group *g, uint32_t i) { return g->done[i] && g->f[i].entry.kind == LSM_PUT; }

static void group_begin(group *g, uint32_t n) {
    g->n = n;
    memset(g->done, 0, sizeof g->done);
    for (uint32_t i = 0; i < n; i++) g->f[i].pin.block = NULL;
}

static void group_end(group *g, lsm_reader *by, lsm_ledger *ledger) {
    for (uint32_t i = 0; i < g->n; i++) lsm_unpin(&g->f[i].pin);
    lsm_reader_give_back(by);
    lsm_reader_settle(by, ledger);
}

/* Copies the answers out in order. Returns how many fit. */
static uint32_t group_copy(group *g, uint8_t *out, size_t cap, size_t *used, int64_t *lens, size_t *needed, uint64_t *hits) {
    uint32_t i = 0;
    for (; i < g->n; i++) {
        const lsm_entry *e = &g->f[i].entry;
        if (!is_there(g, i)) {
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
    lsm_block *lent[2 * GROUP];
    lsm_reader by = {0};
    borrow(&by, ks, lent, 2 * GROUP);
    by.gathers = 1;
    while (s && answered < count) {
        group_begin(&g, count - answered < GROUP ? (uint32_t)(count - answered) : GROUP);
        for (uint32_t i = 0; i < g.n; i++) {
            g.keys[i] = keys;
            keys += g.lens[i] = key_lens[answered + i];
        }
        int status = group_ask(&g, s, snapshot, &by, error);
        uint32_t copied = status < 0 ? 0 : group_copy(&g, out, cap, &used, lens + answered, needed, &hits);
        group_end(&g, &by, db->env->ledger);
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

/* Answers on their way to the caller, copied so that nothing is held while the interpreter's lock is waited for. */
typedef struct portion {
    uint32_t from, n;
    int64_t lens[PORTION]; /* LSM_MISSING: none */
    uint8_t *data; /* the values, one after another */
    size_t used, room;
    uint8_t first[PORTION_ROOM];
} portion;

/* The lock is held. */
static int portion_give(portion *p, const lsm_caller *to) {
    const uint8_t *at = p->data;
    int status = LSM_OK;
    for (uint32_t i = 0; i < p->n && status == LSM_OK; i++) {
        const int hit = p->lens[i] != LSM_MISSING;
        if (to->give(to->arg, p->from + i, hit ? at : NULL, hit ? (uint64_t)p->lens[i] : 0)) status = LSM_CANCELLED;
        at += hit ? p->lens[i] : 0;
    }
    p->from += p->n;
    p->n = 0;
    p->used = 0;
    return status;
}

/* Bytes of the values of a group, or more than a portion takes. */
static size_t group_bytes(const group *g) {
    size_t sum = 0;
    for (uint32_t i = 0; i < g->n && sum <= PORTION_MOST; i++) sum += is_there(g, i) ? g->f[i].entry.value_len : 0;
    return sum;
}

static int portion_add(portion *p, const group *g, size_t bytes) {
    if (p->room - p->used < bytes) {
        const size_t room = 2 * p->room + bytes;
        uint8_t *more = malloc(room);
        if (!more) return LSM_NOMEM;
        memcpy(more, p->data, p->used);
        if (p->data != p->first) free(p->data);
        p->data = more;
        p->room = room;
    }
    for (uint32_t i = 0; i < g->n; i++) {
        const lsm_entry *e = &g->f[i].entry;
        p->lens[p->n++] = is_there(g, i) ? (int64_t)e->value_len : LSM_MISSING;
        if (!is_there(g, i) || !e->value_len) continue;
        memcpy(p->data + p->used, e->value, e->value_len);
        p->used += e->value_len;
    }
    return LSM_OK;
}

/* Hands a group over from where its values lie. The lock is held. */
static int group_give(const group *g, portion *p, const lsm_caller *to) {
    int status = portion_give(p, to);
    for (uint32_t i = 0; i < g->n && status == LSM_OK; i++) {
        const int hit = is_there(g, i);
        if (to->give(to->arg, p->from + i, hit ? g->f[i].entry.value : NULL, hit ? g->f[i].entry.value_len : 0)) status = LSM_CANCELLED;
    }
    p->from += g->n;
    return status;
}

/* One group, its superversion at hand. */
static int each_group(lsm_lookup *l, group *g, portion *p, uint64_t snapshot, const lsm_caller *to, lsm_error *e) {
    lsm_ledger *ledger = l->ks->db->env->ledger;
    uint64_t hits = 0;
    int status = group_ask(g, l->super, snapshot, &l->by, e);
    for (uint32_t i = 0; status == LSM_OK && i < g->n; i++) hits += is_there(g, i);
    if (status == LSM_OK && l->by.solo) {
        status = group_give(g, p, to);
    } else if (status == LSM_OK) {
        const size_t bytes = group_bytes(g);
        if (bytes > PORTION_MOST || p->n + g->n > PORTION || p->used > PORTION_MOST) {
            lsm_reader_keep(&l->by);
            to->take_back(to->arg);
            status = group_give(g, p, to);
            to->let_go(to->arg);
        } else if (portion_add(p, g, bytes) != LSM_OK) {
            status = lsm_fail(e, LSM_NOMEM, "", 0, "out of memory for %zu bytes of values", bytes);
        }
    }
    group_end(g, &l->by, ledger);
    lsm_reader_tally(&l->by, ledger, LSM_N_GET_HIT, hits);
    lsm_reader_tally(&l->by, ledger, LSM_N_GET, g->n - hits);
    return status;
}

int lsm_get_each(lsm_keyspace *ks, uint32_t count, const uint8_t *const *keys, const size_t *lens, const lsm_caller *to, lsm_error *e) {
    lsm_lookup l;
    group g;
    portion p;
    lsm_block *lent[2 * GROUP];
    int status = begin_solo(&l, ks, count > SOLO_MAX, to->let_go, to->arg);
    uint64_t snapshot = atomic_load_explicit(&ks->db->visible, memory_order_acquire);
    if (status != LSM_OK) lsm_fail(e, LSM_CLOSED, "", 0, "the database is closed");
    borrow(&l.by, ks, lent, 2 * GROUP);
    l.by.gathers = 1;
    p.from = p.n = 0, p.data = p.first, p.used = 0, p.room = sizeof p.first;
    for (uint32_t at = 0; at < count && status == LSM_OK; at += g.n) {
        group_begin(&g, count - at < GROUP ? count - at : GROUP);
        memcpy(g.keys, keys + at, g.n * sizeof *keys);
        memcpy(g.lens, lens + at, g.n * sizeof *lens);
        status = each_group(&l, &g, &p, snapshot, to, e);
    }
    const int held = l.by.solo;
    lsm_lookup_end(&l);
    if (!held) to->take_back(to->arg);
    if (status == LSM_OK) status = portion_give(&p, to);
    if (p.data != p.first) free(p.data);
    return status;
}
