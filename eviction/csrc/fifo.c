/* fifo.c: first in, first out. A hit changes nothing (and so needs no lock). */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"

static void *create(const evi_config *config) { return plain_create(config, "fifo"); }

static void hit(void *policy, uint32_t slot) {
    evi_plain *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static uint32_t evict(void *policy) {
    evi_plain *p = policy;
    return plain_leave(p, p->r.queue[0].back);
}

const evi_ops evi_fifo = PLAIN_OPS("fifo");
