/* mem.c: memtables of the engine: new, sealed, counted; keyspaces. */
#include "lsm/csrc/db.h"
#include <stdlib.h>

lsm_mem *lsm_mem_new(lsm_keyspace *ks) {
    lsm_mem *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    lsm_memtable_config config = {ks->config.write_buffer, ks->config.seed + ks->n_memtables};
    atomic_init(&m->refs, 1);
    m->ops = ks->config.memtable;
    m->log = UINT64_MAX;
    m->tombs = lsm_tombs_new();
    m->impl = m->ops->create(&config);
    if (m->tombs && m->impl) {
        ks->n_memtables++;
        return m;
    }
    if (m->impl) m->ops->destroy(m->impl);
    lsm_tombs_free(m->tombs);
    free(m);
    return NULL;
}

void lsm_mem_unref(lsm_mem *m) {
    if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
    m->ops->destroy(m->impl);
    lsm_tombs_free(m->tombs);
    free(m);
}

uint64_t lsm_mem_log(const lsm_mem *m) { return m->log; }
uint64_t lsm_mem_max_seq(const lsm_mem *m) { return m->max_seq; }
uint64_t lsm_mem_count(const lsm_mem *m) { return m->ops->count(m->impl) + lsm_tombs_count(m->tombs); }
size_t lsm_mem_memory(const lsm_mem *m) {
    return m->ops->memory(m->impl) + atomic_load_explicit(&((lsm_mem *)m)->tomb_memory, memory_order_relaxed);
}
lsm_iter *lsm_mem_iter(const lsm_mem *m) { return m->ops->iter(m->impl); }
const lsm_tombs *lsm_mem_tombs(const lsm_mem *m) { return m->tombs; }

int lsm_rotate_locked(lsm_db *db, uint64_t need, lsm_error *e) {
    if (!db->wal) return LSM_OK;
    int slot = lsm_watch_begin(db->env->watch, LSM_W_LOG_SEGMENT);
    const uint64_t ready = db->wal_ops->prepared(db->wal);
    int r = db->wal_ops->rotate(db->wal, ready ? ready : lsm_db_take_numbers(db, 1), need);
    lsm_watch_end(db->env->watch, slot);
    if (r >= 0) return LSM_OK;
    lsm_db_poison(db, LSM_IO, r == -28 ? "no space for a new log segment" : "a new log segment could not be made");
    return lsm_fail_io(e, r, "log", "start log segment");
}

/* The write lock is held. Everything that can fail for want of memory comes before anything changes. */
int lsm_seal_locked(lsm_keyspace *ks, int rotate, lsm_error *e) {
    lsm_super *now = ks->super;
    if (!now) return lsm_fail(e, LSM_CLOSED, "", 0, "the keyspace is dropped");
    if (!lsm_mem_count(now->active)) return LSM_NOT_FOUND;
    lsm_mem *fresh = lsm_mem_new(ks);
    lsm_mem **sealed = malloc((now->n_sealed + 1) * sizeof *sealed);
    lsm_super *next = NULL;
    if (fresh && sealed) {
        sealed[0] = now->active;
        memcpy(sealed + 1, now->sealed, now->n_sealed * sizeof *sealed);
        next = lsm_super_new(fresh, sealed, now->n_sealed + 1, now->version);
    }
    free(sealed);
    if (fresh) lsm_mem_unref(fresh); /* next holds it */
    if (!next) return lsm_fail(e, LSM_NOMEM, "", 0, "out of memory for a new memtable");
    now->active->ops->seal(now->active->impl);
    lsm_super_swap(ks, next);
    return rotate ? lsm_rotate_locked(ks->db, 0, e) : LSM_OK;
}

int lsm_seal(lsm_keyspace *ks, lsm_error *e) {
    lsm_db *db = ks->db;
    if (lsm_enter(db) != LSM_OK) return lsm_fail(e, LSM_CLOSED, "", 0, "the database is closed");
    pthread_mutex_lock(&db->write_lock);
    int status = lsm_seal_locked(ks, !atomic_load(&db->poison), e);
    pthread_mutex_unlock(&db->write_lock);
    lsm_leave(db);
    return status;
}

uint32_t lsm_sealed_count(lsm_keyspace *ks) {
    lsm_super *s = lsm_super_get(ks);
    uint32_t n = s ? s->n_sealed : 0;
    if (s) lsm_super_unref(s);
    return n;
}

/* Oldest first; ends before one that holds writes which are not visible yet (their sync is under way): a flush must see what readers see. */
uint32_t lsm_sealed(lsm_keyspace *ks, lsm_mem **out, uint32_t cap) {
    uint64_t visible = atomic_load(&ks->db->visible);
    lsm_super *s = lsm_super_get(ks);
    uint32_t n = 0;
    for (uint32_t i = s ? s->n_sealed : 0; i-- > 0 && n < cap;) {
        if (s->sealed[i]->max_seq > visible && !atomic_load(&ks->db->in_doubt)) break;
        atomic_fetch_add(&s->sealed[i]->refs, 1);
        out[n++] = s->sealed[i];
    }
    if (s) lsm_super_unref(s);
    return n;
}

uint64_t lsm_keyspace_log_floor(lsm_keyspace *ks, uint32_t flushed) {
    pthread_mutex_lock(&ks->db->write_lock);
    lsm_super *s = ks->super;
    uint64_t floor = s ? s->active->log : UINT64_MAX;
    for (uint32_t i = 0; s && i + flushed < s->n_sealed; i++) /* newest first */
        if (s->sealed[i]->log < floor) floor = s->sealed[i]->log;
    pthread_mutex_unlock(&ks->db->write_lock);
    return floor;
}

size_t lsm_keyspace_memory(lsm_keyspace *ks) {
    lsm_super *s = lsm_super_get(ks);
    if (!s) return 0;
    size_t n = lsm_mem_memory(s->active);
    for (uint32_t i = 0; i < s->n_sealed; i++) n += lsm_mem_memory(s->sealed[i]);
    lsm_super_unref(s);
    return n;
}

int lsm_keyspace_new(lsm_db *db, const lsm_keyspace_config *c, lsm_keyspace **out, lsm_error *e) {
    if (c->abi != LSM_ABI || c->size < sizeof *c || !c->memtable || c->memtable->abi != LSM_ABI ||
        c->memtable->size < sizeof(lsm_memtable_ops))
        return lsm_fail(e, LSM_INVALID, "", 0, "keyspace settings or memtable of another version");
    lsm_keyspace *ks = calloc(1, sizeof *ks);
    if (!ks) return lsm_fail(e, LSM_NOMEM, "", 0, "out of memory");
    ks->db = db;
    ks->config = *c;
    atomic_flag_clear(&ks->spin);
    atomic_init(&ks->admit, 1);
    pthread_mutex_lock(&db->write_lock);
    lsm_keyspace **spaces = realloc(db->spaces, (db->n_spaces + 1) * sizeof *spaces);
    if (spaces) db->spaces = spaces;
    lsm_mem *m = spaces ? lsm_mem_new(ks) : NULL;
    if (m) {
        ks->super = lsm_super_new(m, NULL, 0, NULL);
        lsm_mem_unref(m);
    }
    if (ks->super) db->spaces[db->n_spaces++] = ks;
    pthread_mutex_unlock(&db->write_lock);
    if (!ks->super) {
        free(ks);
        return lsm_fail(e, LSM_NOMEM, "", 0, "out of memory");
    }
    *out = ks;
    return LSM_OK;
}

void lsm_keyspace_drop(lsm_keyspace *ks) {
    pthread_mutex_lock(&ks->db->write_lock);
    ks->dropped = 1;
    lsm_super_swap(ks, NULL);
    pthread_mutex_unlock(&ks->db->write_lock);
}

void lsm_keyspace_admit(lsm_keyspace *ks, int open, uint64_t delay_ns_per_kib) {
    atomic_store(&ks->delay_ns_per_kib, delay_ns_per_kib);
    atomic_store(&ks->admit, open);
}

void lsm_keyspace_limit(lsm_keyspace *ks, size_t write_buffer) {
    pthread_mutex_lock(&ks->db->write_lock);
    ks->config.write_buffer = write_buffer;
    pthread_mutex_unlock(&ks->db->write_lock);
}

void lsm_keyspace_replay_floor(lsm_keyspace *ks, uint64_t flushed_seq) {
    pthread_mutex_lock(&ks->db->write_lock);
    ks->floor = flushed_seq;
    pthread_mutex_unlock(&ks->db->write_lock);
}
