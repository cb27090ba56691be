/* random.c: any resident with equal chance (Belady, A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal 5(2), 1966: RAND),
 * from the seed of the configuration. A hit changes nothing and needs no lock. Memory: slots nodes and a pool (pool.h). */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/pool.h"
#include <stdio.h>

typedef struct {
    evi_residents r;
    evi_pool pool;
    uint64_t state;
} random_policy;

static void destroy(void *policy) {
    random_policy *p = policy;
    residents_free(&p->r);
    free(p->pool.all);
    free(p);
}

static void *create(const evi_config *config) {
    if (config->params[0]) return NULL;
    random_policy *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->state = config->seed;
    if (!residents_init(&p->r, config)) return free(p), NULL;
    return pool_init(&p->pool, config->slots) ? p : (destroy(p), NULL);
}

static void hit(void *policy, uint32_t slot) {
    random_policy *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) { return policy_miss(policy, key, weight); }

static uint32_t evict(void *policy) {
    random_policy *p = policy;
    if (!p->pool.n) return EVI_NONE;
    uint32_t slot = pool_any(&p->pool, &p->state);
    pool_drop(&p->pool, &p->r, slot);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    random_policy *p = policy;
    pool_place(&p->pool, &p->r, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    random_policy *p = policy;
    pool_drop(&p->pool, &p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    random_policy *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "random:");
    for (uint32_t i = 0; i < p->pool.n; i++) text_add(&text, " %llu", (unsigned long long)p->r.key[p->pool.all[i]]);
    text_add(&text, "\n");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    random_policy *p = policy;
    if (!residents_check(&p->r, why, n)) return 0;
    if (!pool_check(&p->pool, &p->r)) return snprintf(why, n, "the pool is not the residents"), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    random_policy *p = policy;
    policy_layout(policy, out);
    out->bytes += sizeof(random_policy) + pool_bytes(&p->r);
}

const evi_ops evi_random = POLICY_OPS("random", create);
