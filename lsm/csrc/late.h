/* late.h: hits without a lock: who is looking, and what it hit, to be told to the policies later.
 *
 *    thread --hash--> stripe [ turn: odd while a thread is inside | hits seen here, not yet told ]
 *
 * A look-up enters its stripe, reads the cell, takes a reference, notes the hit, leaves; or it takes none, and leaves when it is done with the block
 * (reader.h). Who takes a block out clears its cell first and looks at the
 * turns then: stripes that are outside, or that moved on since, cannot reach it any more (read-copy-update; McKenney and Slingwine,
 * PDCS 1998). Full stripes are told to the policies in batches, shard by shard (as in Ding, Jiang and Zhang, BP-Wrapper, ICDE 2009, section 3).
 *
 * Ownership: the cache's. Threads: one inside a stripe at a time; who finds another there takes the lock instead. Nobody waits for a stripe.
 * Invariants: turn never decreases; what is inside is only touched between enter and leave, but for n, which others may read.
 */
#ifndef LSM_LATE_H
#define LSM_LATE_H
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define LSM_STRIPES 16
#define LSM_LATE 256 /* hits a stripe */
#define LSM_LATE_TELL (LSM_LATE / 2) /* so many are told at the next moment */

typedef struct lsm_late {
    uint32_t shard, slot;
    const void *block; /* NULL: told */
} lsm_late;

typedef struct lsm_stripe {
    _Atomic uint64_t turn, hits; /* hits: all since the beginning */
    _Atomic uint32_t n;
    lsm_late at[LSM_LATE];
    char pad[64];
} lsm_stripe;

static inline lsm_stripe *lsm_stripe_mine(lsm_stripe *stripes) {
    return &stripes[((uint64_t)(uintptr_t)pthread_self() * UINT64_C(0x9E3779B97F4A7C15)) >> 60];
}

/* 1: inside. The order of turn and cells is that of one sequence over all threads. */
static inline int lsm_stripe_enter(lsm_stripe *q) {
    uint64_t turn = atomic_load_explicit(&q->turn, memory_order_relaxed);
    /* uncovered (race): two threads enter a stripe at one moment */
    return !(turn & 1) && atomic_compare_exchange_strong(&q->turn, &turn, turn + 1);
}

static inline void lsm_stripe_leave(lsm_stripe *q) {
    atomic_store_explicit(&q->turn, atomic_load_explicit(&q->turn, memory_order_relaxed) + 1, memory_order_release);
}

static inline uint32_t lsm_stripe_noted(const lsm_stripe *q) { return atomic_load_explicit(&q->n, memory_order_relaxed); }

/* Notes a hit; the stripe must not be full. */
static inline void lsm_stripe_note(lsm_stripe *q, lsm_late hit) {
    uint32_t n = lsm_stripe_noted(q);
    q->at[n] = hit;
    atomic_store_explicit(&q->n, n + 1, memory_order_relaxed);
    atomic_store_explicit(&q->hits, atomic_load_explicit(&q->hits, memory_order_relaxed) + 1, memory_order_relaxed);
}
#endif
