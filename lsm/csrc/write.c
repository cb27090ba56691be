/* write.c: the write path: admission, log, memtable, publication.
 *
 *   lock | log record | memtables | last = seq | (modes without a sync: visible = seq) | seal when full | unlock | (sync, then visible)
 *
 * A write that was logged and then could not be applied (no memory) would come back at the next open: the database goes read-only instead.
 */
#include "lsm/csrc/db.h"
#include "lsm/csrc/table_format.h"
#include <stdlib.h>
#include <time.h>

/* ns of delay saved up before a writer sleeps: few waits, so that of a thousand writes hardly one has to */
#define SLEEP_FROM 4000000
#define NOW_BYTES ((size_t)64 << 10) /* a write of more is better done without the interpreter's lock */
#define NEAR 32 /* operations of a batch whose places in the memtable are sought side by side */
#define PACKED_HEAD 16 /* of a packed record: seq u64 | length u32 | type u32 */
#define TOMB_BYTES 128 /* of a range in a list of range deletes: itself, two cuts, their sequence numbers */

static int fail_here(lsm_db *db, int status, const char *what) {
    lsm_error e;
    lsm_fail(&e, status, "", 0, "%s", what);
    return lsm_remember(db, &e);
}

/* 0 when the write may go on. */
static int admission(lsm_keyspace *ks, uint64_t bytes) {
    if (__builtin_expect(!atomic_load_explicit(&ks->admit, memory_order_relaxed), 0)) return LSM_STALLED;
    uint64_t delay = atomic_load_explicit(&ks->delay_ns_per_kib, memory_order_relaxed);
    if (__builtin_expect(delay != 0, 0)) {
        uint64_t debt = atomic_fetch_add(&ks->delay_debt_ns, delay * bytes / 1024 + 1);
        if (debt >= SLEEP_FROM) {
            atomic_fetch_sub(&ks->delay_debt_ns, debt);
            struct timespec t = {(time_t)(debt / 1000000000), (long)(debt % 1000000000)};
            nanosleep(&t, NULL);
        }
    }
    return LSM_OK;
}

static int append_log(lsm_db *db, uint64_t seq, const rec_slice *parts, size_t n, size_t bytes, uint64_t *lsn, lsm_error *e) {
    if (!db->wal) return LSM_OK;
    int syncs = db->sync_mode == REC_SYNC_EVERY || db->sync_mode == REC_SYNC_INTERVAL; /* then an append may */
    int slot = syncs ? lsm_watch_begin(db->env->watch, LSM_W_LOG_SYNC) : -1;
    int r = db->wal_ops->append(db->wal, seq, parts, n, lsn);
    lsm_watch_end(db->env->watch, slot);
    if (__builtin_expect(r == 1, 0)) {
        int status = lsm_rotate_locked(db, bytes, e);
        if (status != LSM_OK) return status;
        r = db->wal_ops->append(db->wal, seq, parts, n, lsn);
        if (r == 1) r = -27; /* EFBIG */
    }
    if (__builtin_expect(r < 0, 0)) {
        lsm_db_poison(db, LSM_IO, "the log could not be written");
        return lsm_fail_io(e, r, "log", "write log");
    }
    lsm_count(db->env->ledger, LSM_OP_WRITE, -1, LSM_C_WAL, LSM_BY_WRITE, bytes + 32);
    return LSM_OK;
}

static int apply(lsm_keyspace *ks, const lsm_entry *e, uint64_t log) {
    lsm_mem *m = ks->super->active;
    int status;
    if (__builtin_expect(e->kind == LSM_RANGE_DELETE, 0)) {
        status = lsm_tombs_add(m->tombs, e->key, e->key_len, e->value, e->value_len, e->seq);
        /* Every add leaves a list of all ranges so far behind (tombs.h). */
        size_t held = lsm_tombs_count(m->tombs) * TOMB_BYTES + e->key_len + e->value_len;
        atomic_fetch_add_explicit(&m->tomb_memory, held, memory_order_relaxed);
    } else {
        status = m->ops->add(m->impl, e);
    }
    if (log < m->log) m->log = log;
    m->max_seq = e->seq;
    return status;
}

static inline int is_full(const lsm_keyspace *ks) {
    const lsm_mem *m = ks->super->active;
    return lsm_mem_memory(m) >= ks->config.write_buffer || (ks->config.buffer_entries && lsm_mem_count(m) >= ks->config.buffer_entries);
}

static void raise_visible(lsm_db *db, uint64_t seq) {
    uint64_t now = atomic_load_explicit(&db->visible, memory_order_relaxed);
    /* uncovered (race): two writes become visible at one moment */
    while (now < seq && !atomic_compare_exchange_weak_explicit(&db->visible, &now, seq, memory_order_release, memory_order_relaxed)) {
    }
}

/* Before unlock: the log that settle must sync, held until then; NULL when it need not. */
static rec_wal *to_settle(lsm_db *db, int status, int sync) {
    if (status != LSM_OK || !db->wal || (db->sync_mode != REC_SYNC_GROUP && !sync)) return NULL;
    atomic_fetch_add(&db->syncing, 1);
    return db->wal;
}

/* After unlock: makes the record durable where the mode or the caller wants it, then visible. */
static int settle(lsm_db *db, rec_wal *wal, uint64_t seq, uint64_t lsn, int sync, lsm_error *e) {
    if (wal) {
        int slot = lsm_watch_begin(db->env->watch, LSM_W_LOG_SYNC);
        int r = db->wal_ops->sync_to(wal, sync && db->sync_mode != REC_SYNC_GROUP ? UINT64_MAX : lsn);
        lsm_watch_end(db->env->watch, slot);
        atomic_fetch_sub(&db->syncing, 1);
        if (r < 0) {
            lsm_db_poison(db, LSM_IO, "the log could not be synced");
            return lsm_fail_io(e, r, "log", "sync log");
        }
    }
    if (db->sync_mode == REC_SYNC_GROUP) raise_visible(db, seq);
    return LSM_OK;
}

static int read_only(lsm_db *db, lsm_error *e) {
    lsm_db_status(db, e);
    if (e) e->status = LSM_READONLY;
    return LSM_READONLY;
}

static int after_apply(lsm_db *db, uint64_t seq) {
    atomic_store_explicit(&db->last, seq, memory_order_relaxed);
    if (db->sync_mode != REC_SYNC_GROUP) atomic_store_explicit(&db->visible, seq, memory_order_release);
    return LSM_OK;
}

/* Whether a write may have to wait for more than a lock: for a delay, a sync, a new segment or memtable, the interpreter. */
static int may_wait(lsm_keyspace *ks, size_t bytes) {
    lsm_db *db = ks->db;
    return atomic_load_explicit(&ks->delay_ns_per_kib, memory_order_relaxed) || ks->config.calls_out ||
           (db->sync_mode != REC_SYNC_OS && db->sync_mode != REC_SYNC_NONE) || bytes > NOW_BYTES;
}

/* now: LSM_BUSY instead of waiting. */
static int write_one(lsm_keyspace *ks, int kind, const uint8_t *key, size_t kn, const uint8_t *value, size_t vn, int now) {
    lsm_db *db = ks->db;
    if (now && may_wait(ks, kn + vn)) return LSM_BUSY;
    if (kn > LSM_MAX_KEY || vn > LSM_MAX_VALUE) return fail_here(db, LSM_TOO_BIG, kn > LSM_MAX_KEY ? "key" : "value");
    int status = admission(ks, kn + vn), sealed = 0;
    if (status != LSM_OK) return status;
    if (lsm_enter(db) != LSM_OK) return fail_here(db, LSM_CLOSED, "the database is closed");
    uint8_t head[4 + LSM_OP_HEADER];
    lsm_put32(head, 1);
    head[4] = (uint8_t)kind;
    lsm_put32(head + 5, ks->config.id);
    lsm_put32(head + 9, (uint32_t)kn);
    lsm_put64(head + 13, vn);
    rec_slice parts[3] = {{head, sizeof head}, {key, kn}, {value, vn}};
    lsm_error e = {0};
    uint64_t lsn = 0;
    if (!now) {
        pthread_mutex_lock(&db->write_lock);
    } else if (pthread_mutex_trylock(&db->write_lock)) {
        lsm_leave(db);
        return LSM_BUSY;
    } else if (ks->super && (lsm_mem_memory(ks->super->active) + 2 * NOW_BYTES > ks->config.write_buffer ||
                             (ks->config.buffer_entries && lsm_mem_count(ks->super->active) + 1 >= ks->config.buffer_entries))) {
        pthread_mutex_unlock(&db->write_lock);
        lsm_leave(db);
        return LSM_BUSY; /* it may be the write that seals */
    }
    uint64_t seq = atomic_load_explicit(&db->last, memory_order_relaxed) + 1;
    if (__builtin_expect(atomic_load_explicit(&db->poison, memory_order_relaxed), 0))
        status = read_only(db, &e);
    else if (ks->dropped)
        status = lsm_fail(&e, LSM_CLOSED, "", 0, "the keyspace is dropped");
    else
        status = append_log(db, seq, parts, 3, sizeof head + kn + vn, &lsn, &e);
    if (status == LSM_OK) {
        lsm_entry entry = {key, value, (uint32_t)kn, (uint32_t)kind, vn, seq};
        if (apply(ks, &entry, db->wal ? db->wal_ops->number(db->wal) : 0) != LSM_OK) {
            lsm_db_poison(db, LSM_NOMEM, "out of memory after a write was logged");
            status = lsm_fail(&e, LSM_NOMEM, "", 0, "out of memory");
        } else {
            after_apply(db, seq);
            sealed = is_full(ks);
            if (sealed) lsm_seal_locked(ks, 1, NULL); /* when that fails the next write tries again */
        }
    }
    rec_wal *wal = to_settle(db, status, 0);
    pthread_mutex_unlock(&db->write_lock);
    if (status == LSM_OK) {
        lsm_tally(db->env->ledger, kind == LSM_PUT ? LSM_N_PUT : LSM_N_DELETE, 1);
        lsm_tally(db->env->ledger, LSM_N_USER_BYTES, kn + vn);
        status = settle(db, wal, seq, lsn, 0, &e);
    }
    lsm_leave(db);
    if (status < 0) lsm_remember(db, &e);
    return status == LSM_OK && sealed ? LSM_SEALED : status;
}

int lsm_put(lsm_keyspace *ks, const uint8_t *key, size_t kn, const uint8_t *value, size_t vn) {
    return write_one(ks, LSM_PUT, key, kn, value, vn, 0);
}
int lsm_put_now(lsm_keyspace *ks, const uint8_t *key, size_t kn, const uint8_t *value, size_t vn) {
    return write_one(ks, LSM_PUT, key, kn, value, vn, 1);
}
int lsm_delete(lsm_keyspace *ks, const uint8_t *key, size_t kn) { return write_one(ks, LSM_DELETE, key, kn, NULL, 0, 0); }
int lsm_delete_now(lsm_keyspace *ks, const uint8_t *key, size_t kn) { return write_one(ks, LSM_DELETE, key, kn, NULL, 0, 1); }

/* Reads the operation at p; returns its end, or NULL when the bytes do not hold one that is legal. seq is not set. */
static const uint8_t *parse_op(const uint8_t *p, const uint8_t *end, lsm_entry *e, uint32_t *space) {
    if (end - p < LSM_OP_HEADER) return NULL;
    e->kind = p[0];
    *space = lsm_get32(p + 1);
    e->key_len = lsm_get32(p + 5);
    e->value_len = lsm_get64(p + 9);
    p += LSM_OP_HEADER;
    if (e->kind > LSM_RANGE_DELETE || e->kind == LSM_MERGE || e->key_len > LSM_MAX_KEY || e->value_len > LSM_MAX_VALUE) return NULL;
    if ((uint64_t)(end - p) < e->key_len || (uint64_t)(end - p) - e->key_len < e->value_len) return NULL;
    e->key = p;
    e->value = p + e->key_len;
    if (e->kind == LSM_RANGE_DELETE && (e->value_len > LSM_MAX_KEY || lsm_compare_keys(e->key, e->key_len, e->value, e->value_len) >= 0))
        return NULL;
    return e->value + e->value_len;
}

static lsm_keyspace *find_space(lsm_db *db, uint32_t id) {
    for (uint32_t i = 0; i < db->n_spaces; i++)
        if (db->spaces[i]->config.id == id && !db->spaces[i]->dropped) return db->spaces[i];
    return NULL;
}

/* Checks a whole payload before anything of it is logged. The write lock is held. */
static int check_batch(lsm_db *db, const uint8_t *batch, size_t n, int must_know, uint32_t *count, uint64_t *user_bytes, lsm_error *e) {
    const uint8_t *p = batch + 4, *end = batch + n;
    *count = n >= 4 ? lsm_get32(batch) : 0;
    if (n < 4 || n > LSM_MAX_BATCH) return lsm_fail(e, n < 4 ? LSM_INVALID : LSM_TOO_BIG, "", 0, "batch");
    for (uint32_t i = 0; i < *count; i++) {
        lsm_entry op;
        uint32_t space;
        p = parse_op(p, end, &op, &space);
        if (!p) return lsm_fail(e, LSM_INVALID, "", i, "operation %u of the batch is not well formed", i);
        if (must_know && !find_space(db, space))
            return lsm_fail(e, LSM_INVALID, "", i, "operation %u of the batch names unknown keyspace %u", i, space);
        *user_bytes += op.key_len + op.value_len;
    }
    return p == end ? LSM_OK : lsm_fail(e, LSM_INVALID, "", 0, "bytes behind the last operation of the batch");
}

/* Tells the memtable which keys come next: those of the operations from p on, as long as they go to one keyspace. */
static void bring_near(lsm_db *db, const uint8_t *p, const uint8_t *end, uint32_t n) {
    const uint8_t *keys[NEAR];
    size_t lens[NEAR];
    uint32_t first = 0, id = 0, count = 0;
    for (lsm_entry op; count < n; count++) {
        p = parse_op(p, end, &op, &id); /* the batch was checked */
        if (count && id != first) break;
        first = id;
        keys[count] = op.key;
        lens[count] = op.key_len;
    }
    const lsm_keyspace *ks = find_space(db, first);
    if (ks && ks->config.memtable->near) ks->config.memtable->near(ks->super->active->impl, keys, lens, count);
}

static int apply_batch(lsm_db *db, const uint8_t *batch, size_t n, uint64_t seq, uint64_t log, int replay) {
    uint32_t count = lsm_get32(batch);
    const uint8_t *p = batch + 4;
    for (uint32_t i = 0; i < count; i++) {
        lsm_entry op;
        uint32_t id;
        if (i % NEAR == 0 && count - i > 1) bring_near(db, p, batch + n, count - i < NEAR ? count - i : NEAR);
        p = parse_op(p, batch + n, &op, &id);
        op.seq = seq + i;
        lsm_keyspace *ks = find_space(db, id);
        if (!ks || (replay && op.seq <= ks->floor)) continue;
        if (apply(ks, &op, log) != LSM_OK) return LSM_NOMEM;
    }
    return LSM_OK;
}

static int seal_full(lsm_db *db, int rotate) {
    int sealed = 0;
    for (uint32_t i = 0; i < db->n_spaces; i++)
        if (db->spaces[i]->super && is_full(db->spaces[i])) sealed |= lsm_seal_locked(db->spaces[i], rotate, NULL) != LSM_NOT_FOUND;
    return sealed;
}

/* Operations that have been checked: their record, and where they are applied from, the record or the entries. */
typedef struct writes {
    const rec_slice *parts;
    size_t n_parts, bytes; /* of the record */
    uint64_t user_bytes;
    uint32_t count;
    lsm_keyspace *ks; /* of the entries; NULL: the record is one part */
    lsm_entry *entries;
} writes;

static int apply_entries(const writes *w, uint64_t seq, uint64_t log) {
    for (uint32_t i = 0; i < w->count; i++) {
        if (i % NEAR == 0 && w->ks->config.memtable->near) {
            const uint8_t *keys[NEAR];
            size_t lens[NEAR];
            uint32_t n = w->count - i < NEAR ? w->count - i : NEAR;
            for (uint32_t j = 0; j < n; j++) keys[j] = w->entries[i + j].key, lens[j] = w->entries[i + j].key_len;
            w->ks->config.memtable->near(w->ks->super->active->impl, keys, lens, n);
        }
        w->entries[i].seq = seq + i;
        if (apply(w->ks, &w->entries[i], log) != LSM_OK) return LSM_NOMEM;
    }
    return LSM_OK;
}

/* The write lock is held and let go. */
static int commit_locked(lsm_db *db, const writes *w, int sync, lsm_error *e) {
    uint64_t seq = atomic_load(&db->last) + 1, lsn = 0;
    int sealed = 0, status = append_log(db, seq, w->parts, w->n_parts, w->bytes, &lsn, e);
    if (status == LSM_OK) {
        uint64_t log = db->wal ? db->wal_ops->number(db->wal) : 0;
        if ((w->ks ? apply_entries(w, seq, log) : apply_batch(db, w->parts->data, w->bytes, seq, log, 0)) != LSM_OK) {
            lsm_db_poison(db, LSM_NOMEM, "out of memory after a batch was logged");
            status = lsm_fail(e, LSM_NOMEM, "", 0, "out of memory");
        }
    }
    if (status == LSM_OK) {
        after_apply(db, seq + w->count - 1);
        sealed = seal_full(db, 1);
    }
    rec_wal *wal = to_settle(db, status, sync);
    pthread_mutex_unlock(&db->write_lock);
    if (status == LSM_OK) {
        lsm_tally(db->env->ledger, LSM_N_BATCH, 1);
        lsm_tally(db->env->ledger, LSM_N_USER_BYTES, w->user_bytes);
        status = settle(db, wal, seq + w->count - 1, lsn, sync, e);
    }
    return status == LSM_OK && sealed ? LSM_SEALED : status;
}

static int admit_all(lsm_db *db, size_t n) {
    int status = LSM_OK;
    pthread_mutex_lock(&db->write_lock);
    for (uint32_t i = 0; i < db->n_spaces && status == LSM_OK; i++)
        if (!db->spaces[i]->dropped && !atomic_load(&db->spaces[i]->admit)) status = LSM_STALLED;
    lsm_keyspace *slowest = NULL;
    for (uint32_t i = 0; i < db->n_spaces && status == LSM_OK; i++)
        if (!db->spaces[i]->dropped &&
            (!slowest || atomic_load(&db->spaces[i]->delay_ns_per_kib) > atomic_load(&slowest->delay_ns_per_kib)))
            slowest = db->spaces[i];
    pthread_mutex_unlock(&db->write_lock);
    return status == LSM_OK && slowest ? admission(slowest, n) : status;
}

int lsm_write(lsm_db *db, const uint8_t *batch, size_t n, int sync, lsm_error *error) {
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    uint32_t count = 0;
    uint64_t user_bytes = 0;
    int status = admit_all(db, n);
    if (status == LSM_OK) {
        pthread_mutex_lock(&db->write_lock);
        status = atomic_load(&db->poison) ? read_only(db, error) : check_batch(db, batch, n, 1, &count, &user_bytes, error);
        rec_slice part = {batch, n};
        writes w = {&part, 1, n, user_bytes, count, NULL, NULL};
        if (status == LSM_OK && count)
            status = commit_locked(db, &w, sync, error);
        else
            pthread_mutex_unlock(&db->write_lock);
    }
    lsm_leave(db);
    return status;
}

/* Bytes of the record of these entries, and of the user's in them. */
static int measure_entries(const lsm_entry *entries, uint32_t count, uint64_t *bytes, uint64_t *keys, uint64_t *user_bytes, lsm_error *e) {
    for (uint32_t i = 0; i < count; i++) {
        const lsm_entry *x = &entries[i];
        if (x->key_len > LSM_MAX_KEY || x->value_len > LSM_MAX_VALUE)
            return lsm_fail(e, LSM_TOO_BIG, "", i, x->key_len > LSM_MAX_KEY ? "key" : "value");
        *keys += x->key_len;
        *user_bytes += x->key_len + x->value_len;
    }
    *bytes = 4 + (uint64_t)count * LSM_OP_HEADER + *user_bytes;
    return *bytes > LSM_MAX_BATCH ? lsm_fail(e, LSM_TOO_BIG, "", 0, "batch") : LSM_OK;
}

/* The record of entries as slices: of heads and keys, which are written one after another to `to`, and of the values where they are. */
static size_t slice_entries(uint32_t id, const lsm_entry *entries, uint32_t count, uint8_t *to, rec_slice *parts) {
    size_t n = 0;
    const uint8_t *from = to;
    lsm_put32(to, count);
    to += 4;
    for (uint32_t i = 0; i < count; i++) {
        const lsm_entry *x = &entries[i];
        to[0] = (uint8_t)x->kind;
        lsm_put32(to + 1, id);
        lsm_put32(to + 5, x->key_len);
        lsm_put64(to + 9, x->value_len);
        to += LSM_OP_HEADER;
        if (x->key_len) memcpy(to, x->key, x->key_len);
        to += x->key_len;
        if (!x->value_len) continue;
        parts[n++] = (rec_slice){from, (size_t)(to - from)};
        parts[n++] = (rec_slice){x->value, x->value_len};
        from = to;
    }
    parts[n++] = (rec_slice){from, (size_t)(to - from)};
    return n;
}

int lsm_write_entries(lsm_keyspace *ks, lsm_entry *entries, uint32_t count, int sync, lsm_error *error) {
    lsm_db *db = ks->db;
    if (!count) return LSM_OK;
    uint64_t bytes = 0, keys = 0, user_bytes = 0;
    int status = measure_entries(entries, count, &bytes, &keys, &user_bytes, error);
    if (status == LSM_OK) status = admission(ks, user_bytes);
    if (status != LSM_OK) return status;
    size_t n_parts = 2 * (size_t)count + 1;
    rec_slice *parts = malloc(n_parts * sizeof *parts + 4 + (size_t)count * LSM_OP_HEADER + keys);
    if (!parts) return lsm_fail(error, LSM_NOMEM, "", 0, "out of memory for a batch of %llu bytes", (unsigned long long)bytes);
    writes w = {.parts = parts, .bytes = bytes, .user_bytes = user_bytes, .count = count, .ks = ks, .entries = entries};
    w.n_parts = slice_entries(ks->config.id, entries, count, (uint8_t *)(parts + n_parts), parts);
    status = lsm_enter(db) == LSM_OK ? LSM_OK : lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    if (status == LSM_OK) {
        pthread_mutex_lock(&db->write_lock);
        if (atomic_load(&db->poison))
            status = read_only(db, error);
        else if (ks->dropped)
            status = lsm_fail(error, LSM_CLOSED, "", 0, "the keyspace is dropped");
        if (status == LSM_OK)
            status = commit_locked(db, &w, sync, error);
        else
            pthread_mutex_unlock(&db->write_lock);
        lsm_leave(db);
    }
    free(parts);
    return status;
}

int lsm_put_many(lsm_keyspace *ks, uint32_t count, const uint8_t *keys, const uint32_t *key_lens, const uint8_t *values,
                 const uint32_t *value_lens, int sync, lsm_error *error) {
    if (!count) return LSM_OK;
    lsm_entry *entries = malloc((size_t)count * sizeof *entries);
    if (!entries) return lsm_fail(error, LSM_NOMEM, "", 0, "out of memory for a batch of %u operations", count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t v = value_lens ? value_lens[i] : 0;
        entries[i] = (lsm_entry){keys, values, key_lens[i], value_lens ? LSM_PUT : LSM_DELETE, v, 0};
        if (key_lens[i]) keys += key_lens[i]; /* they may be NULL when all are empty */
        if (v) values += v;
    }
    int status = lsm_write_entries(ks, entries, count, sync, error);
    free(entries);
    return status;
}

/* One record. The write lock is held. */
static int replay_locked(lsm_db *db, uint64_t seq, const uint8_t *batch, size_t n, lsm_error *error) {
    uint32_t count;
    uint64_t ignored = 0;
    int sealed = 0;
    int status = check_batch(db, batch, n, 0, &count, &ignored, error);
    if (status == LSM_OK && (seq > LSM_SEQ_MAX || count > LSM_SEQ_MAX - seq))
        status = lsm_fail(error, LSM_CORRUPT, "", 0, "a log record has sequence number %llu", (unsigned long long)seq);
    if (status == LSM_INVALID) status = LSM_CORRUPT; /* its checksum was right: it was written so */
    if (status == LSM_OK && apply_batch(db, batch, n, seq, 0, 1) != LSM_OK) status = lsm_fail(error, LSM_NOMEM, "", 0, "out of memory");
    if (status == LSM_OK && count) {
        uint64_t last = seq + count - 1;
        if (last > atomic_load(&db->last)) atomic_store(&db->last, last);
        raise_visible(db, last);
        sealed = seal_full(db, 0);
    }
    return status == LSM_OK && sealed ? LSM_SEALED : status;
}

int lsm_replay(lsm_db *db, uint64_t seq, const uint8_t *batch, size_t n, lsm_error *error) {
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    pthread_mutex_lock(&db->write_lock);
    int status = replay_locked(db, seq, batch, n, error);
    pthread_mutex_unlock(&db->write_lock);
    lsm_leave(db);
    return status;
}

/* The packed record at p: its payload and its end; NULL when it goes over the end of all. */
static const uint8_t *packed_record(const uint8_t *p, const uint8_t *end, rec_slice *payload) {
    if (end - p < PACKED_HEAD || (uint64_t)(end - p) - PACKED_HEAD < lsm_get32(p + 8)) return NULL;
    *payload = (rec_slice){p + PACKED_HEAD, lsm_get32(p + 8)};
    return p + PACKED_HEAD + payload->size;
}

/* Tells the memtable which keys come next, as bring_near does: those of the records from p on, as long as they are of one operation. */
static void bring_records_near(lsm_db *db, const uint8_t *p, const uint8_t *end) {
    const uint8_t *keys[NEAR];
    size_t lens[NEAR];
    uint32_t first = 0, id = 0, count = 0;
    rec_slice r;
    for (lsm_entry op; count < NEAR && (p = packed_record(p, end, &r)); count++) {
        const uint8_t *batch = r.data;
        if (r.size < 4 || lsm_get32(batch) != 1 || !parse_op(batch + 4, batch + r.size, &op, &id) || (count && id != first)) break;
        first = id;
        keys[count] = op.key;
        lens[count] = op.key_len;
    }
    const lsm_keyspace *ks = count > 1 ? find_space(db, first) : NULL;
    if (ks && ks->config.memtable->near) ks->config.memtable->near(ks->super->active->impl, keys, lens, count);
}

int lsm_replay_many(lsm_db *db, const uint8_t *packed, size_t n, lsm_error *error) {
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    const uint8_t *end = packed + n;
    int status = LSM_OK;
    pthread_mutex_lock(&db->write_lock);
    for (uint64_t i = 0; packed < end && status >= 0; i++) {
        rec_slice payload;
        if (i % NEAR == 0) bring_records_near(db, packed, end);
        const uint8_t *next = packed_record(packed, end, &payload);
        if (!next)
            status = lsm_fail(error, LSM_CORRUPT, "", 0, "the records of a log do not add up");
        else if (lsm_get32(packed + 12) == REC_WAL_DATA)
            status = replay_locked(db, lsm_get64(packed), payload.data, payload.size, error);
        packed = next;
    }
    pthread_mutex_unlock(&db->write_lock);
    lsm_leave(db);
    return status < 0 ? status : LSM_OK;
}
