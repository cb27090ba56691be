/* sieve.c: SIEVE (Zhang et al., NSDI 2024, algorithm 1). The hand walks from the back to the front, clears marks in place and takes
 * the first unmarked slot; nothing ever moves in the queue. A hit is an atomic byte that needs no lock. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"

static void *create(const evi_config *config) { return plain_create(config, "sieve"); }

static void hit(void *policy, uint32_t slot) {
    evi_plain *p = policy;
    if (!__atomic_load_n(&p->r.node[slot].mark, __ATOMIC_RELAXED)) __atomic_store_n(&p->r.node[slot].mark, 1, __ATOMIC_RELAXED);
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static uint32_t evict(void *policy) {
    evi_plain *p = policy;
    uint32_t slot = p->hand == EVI_NONE ? p->r.queue[0].back : p->hand;
    while (slot != EVI_NONE && p->r.node[slot].mark) {
        p->r.node[slot].mark = 0;
        slot = p->r.node[slot].newer == EVI_NONE ? p->r.queue[0].back : p->r.node[slot].newer;
    }
    p->hand = slot;
    return plain_leave(p, slot); /* moves the hand on to the next newer one */
}

const evi_ops evi_sieve = PLAIN_OPS("sieve");
