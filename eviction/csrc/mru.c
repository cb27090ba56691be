/* mru.c: most recently used: the last one hit or admitted leaves (Chou and DeWitt, An evaluation of buffer management strategies, VLDB 1985). For a loop
 * over more than fits it keeps what it met first. Memory: slots nodes. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"

static void *create(const evi_config *config) { return plain_create(config, "mru"); }

static void hit(void *policy, uint32_t slot) {
    evi_plain *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    residents_touch(&p->r, slot);
}

static uint32_t evict(void *policy) {
    evi_plain *p = policy;
    return plain_leave(p, p->r.queue[0].front);
}

const evi_ops evi_mru = PLAIN_OPS("mru");
