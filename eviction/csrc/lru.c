/* lru.c: least recently used (Mattson et al., Evaluation techniques for storage hierarchies, 1970). Hits move to the front. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"

static void *create(const evi_config *config) { return plain_create(config, "lru"); }

static void hit(void *policy, uint32_t slot) {
    evi_plain *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    residents_touch(&p->r, slot);
}

static uint32_t evict(void *policy) {
    evi_plain *p = policy;
    return plain_leave(p, p->r.queue[0].back);
}

const evi_ops evi_lru = PLAIN_OPS("lru");
