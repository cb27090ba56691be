/* reader.h: how a look-up runs: shared with other threads, or solo.
 *
 *   solo: the thread holds a lock that only one thread can hold (the interpreter's), so that no other look-up of this database runs solo; what
 *   must wait for it waits for lsm_db.solo (db.h). It takes no reference on the superversion and counts without locked instructions.
 *   Before the first thing that may block (I/O, a lock held by another) lsm_reader_blocks turns it into a shared one.
 *
 * Ownership: on the stack of the look-up. Threads: one. Invariant: solo goes from 1 to 0 at most once.
 */
#ifndef LSM_READER_H
#define LSM_READER_H
#include "lsm/csrc/ledger.h"

typedef struct lsm_reader {
    int solo;
    void (*blocks)(struct lsm_reader *by); /* ends solo */
} lsm_reader;

static inline void lsm_reader_blocks(lsm_reader *by) {
    if (by && by->solo) by->blocks(by);
}

static inline void lsm_reader_count(const lsm_reader *by, lsm_ledger *l, int op, int level, int component, int cause, uint64_t bytes) {
    if (by && by->solo)
        lsm_count_solo(l, op, level, component, cause, bytes);
    else
        lsm_count(l, op, level, component, cause, bytes);
}

static inline void lsm_reader_tally(const lsm_reader *by, lsm_ledger *l, int counter, uint64_t n) {
    if (by && by->solo)
        lsm_tally_solo(l, counter, n);
    else
        lsm_tally(l, counter, n);
}
#endif
