/* ledger.h: exact counts of what the data plane did: bytes and calls by (operation, level, component, cause).
 *
 * Fixed arrays, striped by thread so that counting costs one relaxed add in a line that is the thread's own; summed on read. One more stripe
 * belongs to whoever reads solo (reader.h): its only writer adds without a locked instruction.
 * Threads: count from anywhere; sum sees every count made before it was called.
 * Invariant: counts only grow.
 */
#ifndef LSM_LEDGER_H
#define LSM_LEDGER_H
#include <stdint.h>

/* cdef:begin */
enum lsm_operation { LSM_OP_READ = 0, LSM_OP_WRITE = 1, LSM_OP_HIT = 2, LSM_OP_PROBE = 3, LSM_OP_SKIP = 4, LSM_OPS = 5 };
/* READ, WRITE: backend bytes and blocks. HIT: block found in the cache. PROBE: filter asked. SKIP: filter said absent. */
enum lsm_component {
    LSM_C_DATA = 0,
    LSM_C_INDEX = 1,
    LSM_C_FILTER = 2,
    LSM_C_META = 3,
    LSM_C_RANGEDEL = 4,
    LSM_C_WAL = 5,
    LSM_C_ROW = 6, /* of the row cache */
    LSM_C_RANGE_FILTER = 7,
    LSM_C_VALUE = 8, /* of value files, which have no level */
    LSM_COMPONENTS = 9
};
enum lsm_cause {
    LSM_BY_GET = 0,
    LSM_BY_SCAN = 1,
    LSM_BY_FLUSH = 2,
    LSM_BY_COMPACTION = 3,
    LSM_BY_OPEN = 4,
    LSM_BY_CHECK = 5,
    LSM_BY_WRITE = 6,
    LSM_BY_COLLECTION = 7, /* of dead values */
    LSM_CAUSES = 8
};
#define LSM_LEDGER_LEVELS 33

/* Scalars beside the table. */
enum lsm_counter {
    LSM_N_PUT = 0,
    LSM_N_DELETE = 1,
    LSM_N_BATCH = 2,
    LSM_N_GET = 3,
    LSM_N_GET_HIT = 4,
    LSM_N_SCAN = 5,
    LSM_N_SCAN_ENTRIES = 6,
    LSM_N_USER_BYTES = 7,
    LSM_N_ENTRIES_IN = 8,
    LSM_N_ENTRIES_OUT = 9,
    LSM_N_DROP_SHADOWED = 10,
    LSM_N_DROP_TOMBSTONE = 11,
    LSM_N_DROP_RANGE = 12,
    LSM_N_FILTER_FALSE = 13,
    LSM_N_EVICTIONS = 14,
    LSM_N_CACHE_INSERTS = 15,
    LSM_N_GHOST_HITS = 16,
    LSM_N_RANGE_FILTER_FALSE = 17,
    LSM_COUNTERS = 18
};

typedef struct lsm_ledger lsm_ledger;
lsm_ledger *lsm_ledger_new(void);
void lsm_ledger_free(lsm_ledger *l);
/* out: counts and bytes, each LSM_OPS * LSM_LEDGER_LEVELS * LSM_COMPONENTS * LSM_CAUSES long in that order of indices; counters: LSM_COUNTERS */
void lsm_ledger_sum(lsm_ledger *l, uint64_t *counts, uint64_t *bytes, uint64_t *counters);
/* cdef:end */

/* level is the tree level, or LSM_LEDGER_LEVELS - 1 for what has none (WAL, memtable). l may be NULL. */
void lsm_count(lsm_ledger *l, int op, int level, int component, int cause, uint64_t bytes);
void lsm_count_many(lsm_ledger *l, int op, int level, int component, int cause, uint64_t count, uint64_t bytes);
void lsm_tally(lsm_ledger *l, int counter, uint64_t n);
void lsm_count_solo(lsm_ledger *l, int op, int level, int component, int cause, uint64_t bytes);
void lsm_tally_solo(lsm_ledger *l, int counter, uint64_t n);
#endif
