/* reader.h: how a look-up runs: shared with other threads, or solo.
 *
 *   solo: the thread holds a lock that only one thread can hold (the interpreter's), so that no other look-up of this database runs solo; what
 *   must wait for it waits for lsm_db.solo (db.h). It takes no reference on the superversion and counts without locked instructions.
 *   Before the first thing that may block (I/O, a lock held by another) lsm_reader_blocks turns it into a shared one.
 *
 *   lent: a block that the cache holds is lent to the reader: no reference is taken, the reader stays inside the stripe of its thread (late.h),
 *   so that nothing that leaves the cache is freed, until it gives all back at its end. Before it may have to wait, it takes the references.
 *
 * Ownership: on the stack of the look-up, as is the room for what is lent. Threads: one.
 * Invariants: solo goes from 1 to 0 at most once; nobody waits for anything inside a stripe.
 */
#ifndef LSM_READER_H
#define LSM_READER_H
#include "lsm/csrc/ledger.h"

typedef struct lsm_gathered { /* counts of cached blocks at a level */
    int level;
    uint32_t count;
    uint64_t bytes;
} lsm_gathered;

typedef struct lsm_reader {
    int solo;
    int gathers; /* counts of hits wait for lsm_reader_settle, so that a batch counts once a level */
    lsm_gathered hits;
    uint32_t n_lent, n_kept, cap_lent; /* the first n_kept of n_lent blocks have a reference each */
    void (*blocks)(struct lsm_reader *by); /* ends solo */
    struct lsm_block **lent; /* room for cap_lent; none: every block comes with a reference */
    struct lsm_cache *lender; /* NULL: it is not inside a stripe */
    struct lsm_stripe *stripe;
} lsm_reader;

void lsm_reader_keep(lsm_reader *by); /* what is lent has references from now on; the stripe is left (cache.c) */
void lsm_reader_give_back(lsm_reader *by); /* at the end, always */

/* Before the first thing that may take long. */
static inline void lsm_reader_blocks(lsm_reader *by) {
    if (!by) return;
    if (by->lender) lsm_reader_keep(by);
    if (by->solo) by->blocks(by);
}

static inline void lsm_reader_count(const lsm_reader *by, lsm_ledger *l, int op, int level, int component, int cause, uint64_t bytes) {
    if (by && by->solo)
        lsm_count_solo(l, op, level, component, cause, bytes);
    else
        lsm_count(l, op, level, component, cause, bytes);
}

static inline void lsm_reader_count_many(const lsm_reader *by, lsm_ledger *l, int op, int level, int component, int cause, uint32_t count) {
    if (by && by->solo)
        for (uint32_t i = 0; i < count; i++) lsm_count_solo(l, op, level, component, cause, 0);
    else
        lsm_count_many(l, op, level, component, cause, count, 0);
}

static inline void lsm_reader_settle(lsm_reader *by, lsm_ledger *l) {
    lsm_count_many(l, LSM_OP_HIT, by->hits.level, LSM_C_DATA, LSM_BY_GET, by->hits.count, by->hits.bytes);
    by->hits.count = 0;
    by->hits.bytes = 0;
}

/* A look-up's data block was in the cache. */
static inline void lsm_reader_hit(lsm_reader *by, lsm_ledger *l, int level, uint64_t bytes) {
    if (!by || !by->gathers || by->solo) {
        lsm_reader_count(by, l, LSM_OP_HIT, level, LSM_C_DATA, LSM_BY_GET, bytes);
        return;
    }
    if (by->hits.level != level) lsm_reader_settle(by, l);
    by->hits.level = level;
    by->hits.count++;
    by->hits.bytes += bytes;
}

static inline void lsm_reader_tally(const lsm_reader *by, lsm_ledger *l, int counter, uint64_t n) {
    if (by && by->solo)
        lsm_tally_solo(l, counter, n);
    else
        lsm_tally(l, counter, n);
}
#endif
