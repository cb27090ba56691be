/* pool.h: the residents in no order, to draw from: for policies that look at a few of them instead of keeping an order.
 *
 *    all[0 .. n)  slots      node.extra: a slot's place in it      who leaves gives its place to the last one
 *
 * A sample is without replacement: the pool is cut into as many equal parts as slots are wanted, and one is drawn from each, so that none comes twice and
 * every resident has the same chance (but for parts that differ by one). Ownership: the policy embeds one; 4 bytes a slot, taken at init. Threads: as the
 * policy. Invariants: the residents are loose (residents.h), and n; all[node[s].extra] is s for every resident s.
 */
#ifndef EVI_POOL_H
#define EVI_POOL_H
#include "eviction/csrc/plain.h"
#include <stdlib.h>

typedef struct {
    uint32_t *all, n;
} evi_pool;

static inline int pool_init(evi_pool *p, uint32_t slots) { /* 0: out of memory */
    p->n = 0;
    p->all = malloc(((size_t)slots + 1) * sizeof *p->all);
    return p->all != NULL;
}

static inline uint64_t pool_bytes(const evi_residents *r) { return ((uint64_t)r->slots + 1) * sizeof(uint32_t); }

/* A new resident, and one that leaves. */
static inline void pool_place(evi_pool *p, evi_residents *r, uint32_t slot, uint64_t key, uint64_t weight) {
    residents_name(r, slot, key, weight);
    residents_loosen(r, slot);
    r->node[slot].extra = p->n;
    p->all[p->n++] = slot;
}

static inline void pool_drop(evi_pool *p, evi_residents *r, uint32_t slot) {
    uint32_t last = p->all[--p->n], place = r->node[slot].extra;
    residents_leave(r, slot);
    p->all[place] = last;
    r->node[last].extra = place;
}

/* Any resident; there is one. */
static inline uint32_t pool_any(const evi_pool *p, uint64_t *random) { return p->all[(policy_random(random) >> 32) * p->n >> 32]; }

/* So many residents into out, all of them in the order of the pool where there are no more. Returns how many. */
static inline uint32_t pool_sample(const evi_pool *p, uint64_t *random, uint32_t want, uint32_t *out) {
    if (p->n <= want) {
        for (uint32_t i = 0; i < p->n; i++) out[i] = p->all[i];
        return p->n;
    }
    const uint32_t part = p->n / want, longer = p->n % want; /* the first `longer` parts have one more */
    uint64_t from = 0, drawn = 0;
    for (uint32_t i = 0; i < want; i++) {
        const uint64_t size = part + (i < longer);
        drawn = i & 1 ? drawn >> 32 : policy_random(random);
        out[i] = p->all[from + ((drawn & UINT32_MAX) * size >> 32)];
        from += size;
    }
    return want;
}

static inline int pool_check(const evi_pool *p, const evi_residents *r) {
    for (uint32_t i = 0; i < p->n; i++)
        if (!r->node[p->all[i]].tag || r->node[p->all[i]].extra != i) return 0;
    return p->n == r->queue[EVI_LOOSE].count;
}
#endif
