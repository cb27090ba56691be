/* random.c: any resident with equal chance, from the seed of the configuration. A hit changes nothing and needs no lock.
 *
 *    all[0 .. n) the residents in no order      node.extra: a slot's place in it; who leaves gives its place to the last one
 *
 * Memory: slots nodes and 4 bytes a slot. Invariant: all[node.extra] is the slot. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    evi_residents r;
    uint32_t *all;
    uint64_t state;
} random_policy;

static void destroy(void *policy) {
    random_policy *p = policy;
    residents_free(&p->r);
    free(p->all);
    free(p);
}

static void *create(const evi_config *config) {
    if (config->params && config->params[0]) return NULL;
    random_policy *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->all = malloc(((size_t)config->slots + 1) * sizeof *p->all);
    if (!p->all || !residents_init(&p->r, config)) return free(p->all), free(p), NULL;
    p->state = config->seed;
    return p;
}

static void hit(void *policy, uint32_t slot) {
    random_policy *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) { return policy_miss(policy, key, weight); }

static void forget(random_policy *p, uint32_t slot) {
    residents_unlink(&p->r, slot);
    uint32_t last = p->all[p->r.queue[0].count]; /* the count is one less by now */
    p->all[p->r.node[slot].extra] = last;
    p->r.node[last].extra = p->r.node[slot].extra;
}

static uint32_t evict(void *policy) {
    random_policy *p = policy;
    uint32_t count = p->r.queue[0].count;
    if (!count) return EVI_NONE;
    uint32_t slot = p->all[policy_random(&p->state) % count];
    forget(p, slot);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    random_policy *p = policy;
    p->r.node[slot].extra = p->r.queue[0].count;
    p->all[p->r.queue[0].count] = slot;
    residents_place(&p->r, 0, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    random_policy *p = policy;
    forget(p, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    random_policy *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "random:");
    for (uint32_t i = 0; i < p->r.queue[0].count; i++) text_add(&text, " %llu", (unsigned long long)p->r.key[p->all[i]]);
    text_add(&text, "\n");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    random_policy *p = policy;
    if (!residents_check(&p->r, why, n)) return 0;
    for (uint32_t i = 0; i < p->r.queue[0].count; i++)
        if (p->r.node[p->all[i]].extra != i || !p->r.node[p->all[i]].tag) return snprintf(why, n, "place %u is wrong", i), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    policy_layout(policy, out);
    out->bytes += sizeof(random_policy) + (((random_policy *)policy)->r.slots + (size_t)1) * sizeof(uint32_t);
}

const evi_ops evi_random = POLICY_OPS("random", 1, create);
