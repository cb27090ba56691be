/* db.h: the inside of a database in memory, shared by writing, reading, versions and cursors.
 *
 *    lsm_db -- write lock: log, last sequence, active memtables        keyspace -- spin lock: which superversion is current
 *
 * Ownership: a superversion holds its memtables and its version, a version its tables; all are reference-counted. The lsm_db object itself is
 * reference-counted by cursors, so that a cursor that outlives close gets LSM_CLOSED and nothing worse.
 * Threads: everything marked (w) is touched under the write lock only; the spin lock is held for a pointer and a count, never for I/O.
 * A look-up that runs solo holds no reference: who swaps a superversion waits until the one that may have seen the old one is done.
 * Invariants: visible <= last; sealed memtables are newest first; a flushed memtable leaves in the step that adds its tables.
 */
#ifndef LSM_DB_H
#define LSM_DB_H
#include "lsm/csrc/engine.h"
#include <pthread.h>
#include <stdatomic.h>

#define LSM_SEQ_MAX ((UINT64_C(1) << 56) - 1)
#define LSM_ERROR_SLOTS 64
#define LSM_OP_HEADER 17 /* kind u8 | keyspace u32 | key length u32 | value length u64 */

struct lsm_mem {
    _Atomic uint32_t refs;
    const lsm_memtable_ops *ops;
    void *impl;
    lsm_tombs *tombs;
    uint64_t log, max_seq; /* (w) log: UINT64_MAX while empty */
    _Atomic size_t tomb_memory; /* what the range deletes hold, by estimate */
};

typedef struct lsm_version_run {
    lsm_table **tables;
    uint64_t *prefixes; /* of the tables' largest keys */
    uint32_t n;
    int level, has_tombs, has_range_filters;
} lsm_version_run;

typedef struct lsm_version {
    _Atomic uint32_t refs;
    lsm_db *db;
    uint32_t n_runs, n_values;
    int has_tombs;
    lsm_value_file **values; /* by number */
    lsm_version_run runs[];
} lsm_version;

typedef struct lsm_super {
    _Atomic uint32_t refs;
    lsm_mem *active;
    lsm_version *version; /* NULL: no tables */
    uint32_t n_sealed;
    lsm_mem *sealed[]; /* newest first */
} lsm_super;

struct lsm_keyspace {
    lsm_db *db;
    lsm_keyspace_config config;
    atomic_flag spin;
    _Atomic(lsm_super *) super; /* changed under spin; NULL once dropped */
    _Atomic int admit;
    _Atomic uint64_t delay_ns_per_kib, delay_debt_ns;
    uint64_t floor, n_memtables; /* (w) */
    int dropped; /* (w) */
};

typedef struct lsm_thread_error {
    pthread_t thread;
    int used;
    lsm_error error;
} lsm_thread_error;

struct lsm_db {
    _Atomic uint32_t refs;
    _Atomic uint64_t inside; /* calls that are under way */
    _Atomic uint64_t solo; /* odd while a look-up runs solo (reader.h) */
    _Atomic int closed;
    const lsm_env *env;
    const rec_wal_ops *wal_ops;
    rec_wal *wal; /* (w) NULL: no log */
    char *dir; /* of the log */
    rec_wal_config wal_config;
    _Atomic uint32_t syncing; /* calls that sync a log outside of the write lock: it may not be closed under them */
    _Atomic int in_doubt; /* sealed memtables may be flushed though some of their writes are not visible */
    int sync_mode;
    pthread_mutex_t write_lock, misc_lock;
    _Atomic uint64_t last, visible, next_number;
    _Atomic int poison; /* 0, or a status */
    lsm_error why; /* under misc_lock */
    lsm_keyspace **spaces;
    uint32_t n_spaces; /* (w) */
    uint64_t *snapshots; /* under misc_lock: sorted, with repeats */
    uint32_t n_snapshots, cap_snapshots;
    uint64_t *dead; /* under misc_lock */
    uint32_t n_dead, cap_dead;
    lsm_thread_error errors[LSM_ERROR_SLOTS]; /* under misc_lock */
    uint32_t next_error;
};

/* Every public call stands between these. LSM_CLOSED when the database is closing. */
static inline int lsm_enter(lsm_db *db) {
    atomic_fetch_add_explicit(&db->inside, 1, memory_order_seq_cst);
    if (__builtin_expect(!atomic_load_explicit(&db->closed, memory_order_seq_cst), 1)) return LSM_OK;
    atomic_fetch_sub_explicit(&db->inside, 1, memory_order_release);
    return LSM_CLOSED;
}
static inline void lsm_leave(lsm_db *db) { atomic_fetch_sub_explicit(&db->inside, 1, memory_order_release); }

int lsm_remember(lsm_db *db, const lsm_error *e); /* as this thread's last error; returns its status */
void lsm_db_unref(lsm_db *db);
int lsm_add_dead(lsm_db *db, uint64_t number);
/* mem.c */
lsm_mem *lsm_mem_new(lsm_keyspace *ks); /* (w) */
int lsm_seal_locked(lsm_keyspace *ks, int rotate, lsm_error *e);
int lsm_rotate_locked(lsm_db *db, uint64_t need, lsm_error *e);
/* write.c: as lsm_put and lsm_delete, but LSM_BUSY, and nothing done, where they might have to wait (a new log segment excepted: it is rare). */
int lsm_put_now(lsm_keyspace *ks, const uint8_t *key, size_t kn, const uint8_t *value, size_t vn);
int lsm_delete_now(lsm_keyspace *ks, const uint8_t *key, size_t kn);
/* Entries of any kinds but ranges as one record, which is gathered from where they are; sets their seq. As lsm_put_many. */
int lsm_write_entries(lsm_keyspace *ks, lsm_entry *entries, uint32_t count, int sync, lsm_error *error);
/* read.c: a look-up by a thread that holds the interpreter's lock. let_go(arg) is called once, before the first thing that may block; by.solo is 0
 * from then on. Returns the length of the value, which is at l->value until the end, or as lsm_get. */
#define LSM_LENT_MAX 8 /* blocks of one look-up: one a run that the filter lets through */
typedef struct lsm_lookup {
    lsm_reader by; /* first */
    lsm_keyspace *ks;
    lsm_super *super; /* NULL: closed */
    const uint8_t *value;
    lsm_pin pin;
    void (*let_go)(void *arg);
    void *arg;
    struct lsm_block *lent[LSM_LENT_MAX];
} lsm_lookup;
int64_t lsm_lookup_solo(lsm_lookup *l, lsm_keyspace *ks, const uint8_t *key, size_t n, void (*let_go)(void *), void *arg);
void lsm_lookup_end(lsm_lookup *l); /* always */
/* Many look-ups that see the same state. give is called in order, with the interpreter's lock held (taken back before where it was let go); value
 * NULL: none; other than 0 ends it with LSM_CANCELLED. The lock is held on return. */
typedef struct lsm_caller {
    void (*let_go)(void *arg);
    void (*take_back)(void *arg);
    int (*give)(void *arg, uint32_t i, const uint8_t *value, uint64_t n);
    void *arg;
} lsm_caller;
int lsm_get_each(lsm_keyspace *ks, uint32_t count, const uint8_t *const *keys, const size_t *lens, const lsm_caller *to, lsm_error *error);
/* version.c */
lsm_super *lsm_super_get(lsm_keyspace *ks); /* with a reference; NULL when dropped */
void lsm_super_unref(lsm_super *s);
lsm_super *lsm_super_new(lsm_mem *active, lsm_mem *const *sealed, uint32_t n, lsm_version *v); /* takes a reference on each */
void lsm_super_swap(lsm_keyspace *ks, lsm_super *next); /* (w); takes over the reference */
/* The table of a run that may hold key, or NULL. */
lsm_table *lsm_run_find(const lsm_version_run *r, const uint8_t *key, size_t n, uint64_t prefix);
static inline uint64_t lsm_key_prefix(const uint8_t *key, size_t n) {
    uint64_t p = 0;
    if (n >= 8) {
        memcpy(&p, key, 8);
        return __builtin_bswap64(p);
    }
    for (size_t i = 0; i < n; i++) p |= (uint64_t)key[i] << (56 - 8 * i);
    return p;
}
#endif
