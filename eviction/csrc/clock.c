/* clock.c: second chance (Corbató, A paging experiment with the Multics system, 1968). A hit sets the reference bit, an atomic byte
 * that needs no lock; the hand is the back of the queue: a marked slot loses its bit and goes to the front, the first unmarked leaves. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"

static void *create(const evi_config *config) { return plain_create(config, "clock"); }

static void hit(void *policy, uint32_t slot) {
    evi_plain *p = policy;
    if (!__atomic_load_n(&p->r.node[slot].mark, __ATOMIC_RELAXED)) __atomic_store_n(&p->r.node[slot].mark, 1, __ATOMIC_RELAXED);
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static uint32_t evict(void *policy) {
    evi_plain *p = policy;
    uint32_t slot;
    while ((slot = p->r.queue[0].back) != EVI_NONE && p->r.node[slot].mark) {
        p->r.node[slot].mark = 0;
        residents_touch(&p->r, slot);
        residents_tell(&p->r, 'p', p->r.key[slot], slot);
    }
    return plain_leave(p, slot);
}

const evi_ops evi_clock = PLAIN_OPS("clock", 1);
