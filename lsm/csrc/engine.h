/* engine.h: a database in memory: keyspaces, write path, read path, snapshots, iterators.
 *
 *    put --> WAL --> active memtable --seal--> sealed memtables --flush job--> runs          get: superversion = active + sealed + version
 *
 * Python decides (what to flush, merge, publish); this does. A keyspace's superversion {active, sealed..., version} is reference-counted and swapped
 * atomically; a reader takes it without a lock that is ever held across I/O.
 *
 * Ownership: Python owns the lsm_db and the keyspaces and closes them last. Publishing a version takes references on its tables; tables marked
 * dead by a publish are unlinked by Python once lsm_db_take_dead returns them (nobody reads them any more).
 * Threads: everything may be called from any thread, except open, create and close. Writers are serialised inside.
 * Invariants: a batch becomes visible at once and only after the log took it (and, in the sync modes that promise it, after the sync);
 * after a failed log write the database is read-only and says why; sequence numbers only grow, visible <= last.
 */
#ifndef LSM_ENGINE_H
#define LSM_ENGINE_H
#include "lsm/csrc/types.h"
#include "lsm/csrc/memtable.h"
#include "lsm/csrc/table.h"
#include "lsm/csrc/merge.h"
#include "recovery/csrc/wal.h"

/* cdef:begin */
typedef struct lsm_db lsm_db;
typedef struct lsm_keyspace lsm_keyspace;
typedef struct lsm_mem lsm_mem; /* a memtable with its range tombstones, log number and count of references */
typedef struct lsm_cursor lsm_cursor;

typedef struct lsm_db_config {
    uint32_t abi, size;
    const lsm_env *env;
    const rec_wal_ops *wal;
    const char *dir; /* of the log segments */
    rec_wal_config wal_config;
    uint64_t first_log; /* number of the first segment to create */
    uint64_t last_sequence; /* recovered */
    int disable_wal;
} lsm_db_config;

int lsm_db_open(const lsm_db_config *config, lsm_db **out, lsm_error *error); /* creates the first log segment */
/* Refuses new calls (LSM_CLOSED from now on), waits for those inside, closes the log, lets go of memtables and tables. Once. */
int lsm_db_close(lsm_db *db, lsm_error *error);
void lsm_db_disown(lsm_db *db); /* in the child of a fork, in the place of close: refuses all calls, touches no file and no lock */
void lsm_db_free(lsm_db *db); /* after close, when no thread can call any more; db and its keyspaces are gone with the last cursor */
uint64_t lsm_db_last_sequence(lsm_db *db);
uint64_t lsm_db_visible(lsm_db *db);
uint64_t lsm_db_log_number(lsm_db *db);
uint64_t lsm_db_log_used(lsm_db *db);
uint64_t lsm_db_log_time(lsm_db *db); /* the last time mark in the log, ns */
int lsm_db_log_note(lsm_db *db, const uint8_t *data, size_t n, lsm_error *error); /* into the log at this place; without a log, nowhere */
int lsm_db_sync(lsm_db *db, lsm_error *error); /* everything acknowledged is durable on return */
int lsm_db_rotate_log(lsm_db *db, lsm_error *error); /* a new segment begins */
void lsm_db_prepare_log(lsm_db *db); /* makes the segment that follows, so that the writer who needs it does not wait for the disk */
void lsm_db_poison(lsm_db *db, int status, const char *why); /* read-only from now on */
int lsm_db_status(lsm_db *db, lsm_error *out); /* LSM_OK, or why it is read-only */
/* Resuming a read-only database, in this order: a log of its own for what comes, the old one is closed and never synced again; memtables sealed
 * and flushed (in_doubt: with writes whose outcome is not known, while a snapshot holds what is visible); made durable; then revived. */
int lsm_db_new_log(lsm_db *db, uint64_t number, lsm_error *error);
void lsm_db_in_doubt(lsm_db *db, int on);
void lsm_db_revive(lsm_db *db); /* writes are taken again, and all that was applied is visible */
/* File numbers for tables and logs come from one counter. */
uint64_t lsm_db_take_numbers(lsm_db *db, uint64_t n); /* first of n */
void lsm_db_raise_number(lsm_db *db, uint64_t next);

typedef struct lsm_keyspace_config {
    uint32_t abi, size;
    uint32_t id;
    const lsm_memtable_ops *memtable;
    size_t write_buffer; /* bytes after which the active memtable is sealed */
    uint64_t buffer_entries; /* and entries; 0: any number */
    uint64_t seed;
    int calls_out; /* 1: a component of the read path runs code of the interpreter */
} lsm_keyspace_config;
int lsm_keyspace_new(lsm_db *db, const lsm_keyspace_config *config, lsm_keyspace **out, lsm_error *error);
void lsm_keyspace_drop(lsm_keyspace *ks); /* writes and reads fail with LSM_CLOSED; memory goes with the last reader */

/* Admission: while closed, writes return LSM_STALLED at once and do nothing. delay_ns > 0: each write first waits that long per KiB written. */
void lsm_keyspace_admit(lsm_keyspace *ks, int open, uint64_t delay_ns_per_kib);
void lsm_keyspace_limit(lsm_keyspace *ks,
                        size_t write_buffer); /* from now on; what is in the active memtable stays there until the next write */

/* Writes. LSM_OK, LSM_SEALED (done, and a flush is due), LSM_STALLED, or an error. sync: durable on return whatever the mode. */
int lsm_put(lsm_keyspace *ks, const uint8_t *key, size_t kn, const uint8_t *value, size_t vn);
int lsm_delete(lsm_keyspace *ks, const uint8_t *key, size_t kn);
/* A batch: the payload of one log record: u32 count, then per operation: u8 kind | u32 keyspace id | u32 key length | u64 value length | key | value.
 * For LSM_RANGE_DELETE key is the start, value the end. Little-endian. Verified before anything is applied. */
int lsm_write(lsm_db *db, const uint8_t *batch, size_t n, int sync, lsm_error *error);
/* count puts: keys and values packed, with their lengths; one record (atomic). value_lens NULL: deletes. */
int lsm_put_many(lsm_keyspace *ks, uint32_t count, const uint8_t *keys, const uint32_t *key_lens, const uint8_t *values,
                 const uint32_t *value_lens, int sync, lsm_error *error);
/* Applies a replayed record to the memtables without logging it; keyspaces that are unknown (dropped) or whose floor >= seq are skipped. LSM_SEALED when a flush is due. */
int lsm_replay(lsm_db *db, uint64_t seq, const uint8_t *batch, size_t n, lsm_error *error);
/* Many of them, as rec_wal_collect packs them (recovery/csrc/wal_read.h); what is no data is passed by. LSM_CORRUPT when they do not add up. */
int lsm_replay_many(lsm_db *db, const uint8_t *packed, size_t n, lsm_error *error);
void lsm_keyspace_replay_floor(lsm_keyspace *ks, uint64_t flushed_seq);
int lsm_last_error(lsm_db *db, lsm_error *out); /* details of this thread's last failed put, delete or get */

/* Memtables. */
int lsm_seal(lsm_keyspace *ks, lsm_error *error); /* LSM_OK sealed, LSM_NOT_FOUND empty; the log goes on in a new segment */
uint32_t lsm_sealed_count(lsm_keyspace *ks);
uint32_t lsm_sealed(lsm_keyspace *ks, lsm_mem **out, uint32_t cap); /* oldest first, with a reference each: lsm_mem_unref */
void lsm_mem_unref(lsm_mem *m);
uint64_t lsm_mem_log(const lsm_mem *m); /* smallest segment that holds any of its records */
uint64_t lsm_mem_max_seq(const lsm_mem *m);
uint64_t lsm_mem_count(const lsm_mem *m);
size_t lsm_mem_memory(const lsm_mem *m);
/* Smallest segment that the active and sealed memtables but the `flushed` oldest still need; UINT64_MAX when all are empty. */
uint64_t lsm_keyspace_log_floor(lsm_keyspace *ks, uint32_t flushed);
size_t lsm_keyspace_memory(lsm_keyspace *ks);

/* Versions. runs in search order (newest first); tables of a run in key order. Drops the n_flushed oldest sealed memtables in the same step. */
typedef struct lsm_run {
    lsm_table *const *tables;
    uint32_t n_tables;
    int level;
} lsm_run;
/* values: the value files that the tables point into, by number. */
int lsm_publish(lsm_keyspace *ks, const lsm_run *runs, uint32_t n_runs, lsm_value_file *const *values, uint32_t n_values,
                uint32_t n_flushed);
/* Numbers of tables, and of value files with LSM_DEAD_VALUES added, whose last reference from a published version went away. Returns how many
 * were written to out. */
#define LSM_DEAD_VALUES 0x8000000000000000
uint32_t lsm_db_take_dead(lsm_db *db, uint64_t *out, uint32_t cap);

/* Snapshots: sequence numbers held. */
uint64_t lsm_snapshot(lsm_db *db); /* UINT64_MAX: out of memory, nothing is held */
void lsm_snapshot_release(lsm_db *db, uint64_t seq);
uint32_t lsm_snapshots(lsm_db *db, uint64_t *out, uint32_t cap); /* ascending, distinct; returns the total */

/* Reads. snapshot = UINT64_MAX: the newest visible. */
/* Length of the value copied to out (>= 0), or a negative status; LSM_MISSING for none. LSM_SHORT: *needed is the length. */
#define LSM_MISSING -100
int64_t lsm_get(lsm_keyspace *ks, const uint8_t *key, size_t n, uint64_t snapshot, uint8_t *out, size_t cap, size_t *needed);
/* Values of count packed keys: values packed into out, lens[i] = length or -100 for none. Returns how many keys were answered (< count: out is full, go on from
 * there with more room; *needed = room for the next value), or a negative status. */
int64_t lsm_get_many(lsm_keyspace *ks, uint32_t count, const uint8_t *keys, const uint32_t *key_lens, uint64_t snapshot, uint8_t *out,
                     size_t cap, int64_t *lens, size_t *needed, lsm_error *error);

/* A cursor sees one superversion and one sequence number, whatever happens meanwhile. [lower, upper) bound it; NULL: open. */
int lsm_cursor_new(lsm_keyspace *ks, uint64_t snapshot, const uint8_t *lower, size_t ln, const uint8_t *upper, size_t un, int reverse,
                   int fill_cache, size_t readahead, lsm_cursor **out, lsm_error *error);
/* The next entries in the cursor's direction, packed key, value, key, value ... into out; lens has 2 a pair: key length, value length. format (may be NULL) becomes the text
 * of a Python struct format ("16s100s16s100s...") with its NUL. Returns the number of pairs (0 = end), LSM_SHORT (*needed bytes for the next pair) or an error. */
int64_t lsm_cursor_fill(lsm_cursor *c, uint32_t max, uint8_t *out, size_t cap, uint32_t *lens, char *format, size_t format_cap,
                        int keys_only, size_t *used, size_t *needed, lsm_error *error);
typedef struct lsm_columns { /* keys after keys, values after values; pair i ends at ends[i + 1] in both, and ends[0] is 0 */
    uint8_t *keys, *values;
    size_t keys_cap, values_cap;
    int64_t *key_ends, *value_ends;
} lsm_columns;
/* The next entries as columns. Returns their number, or an error. *needed: 0 at the end and at max, else there is no room for the next pair, which has so many bytes. */
int64_t lsm_cursor_columns(lsm_cursor *c, uint32_t max, const lsm_columns *to, size_t *needed, lsm_error *error);
int lsm_cursor_seek(lsm_cursor *c, const uint8_t *key, size_t n,
                    lsm_error *error); /* next fill begins at the first key >= key (reverse: last key <= key) */
void lsm_cursor_close(lsm_cursor *c);
/* cdef:end */

/* What merge.c needs of a sealed memtable. */
lsm_iter *lsm_mem_iter(const lsm_mem *m);
const lsm_tombs *lsm_mem_tombs(const lsm_mem *m);
#endif
