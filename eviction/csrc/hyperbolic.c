/* hyperbolic.c: hyperbolic caching (Blankstein, Sen and Freedman, Hyperbolic caching: flexible caching for Web applications, USENIX ATC 2017, section 2).
 *
 *    priority = n / t: requests since it came, over the time since then, in requests      the least of a sample leaves
 *
 * A sample of 64 residents, as in the paper (sample=64, to 1024), without replacement (pool.h); all of them where there are no more; of equal ones the first
 * drawn. The admitting request counts, so that n is 1 at first; t is at least 1, so that a key that is as old as the eviction is not divided by 0. Every
 * request is a tick, also one that is not admitted. With weights the priority is one of a unit of room: n / (t * weight) (size=0: weights do not matter).
 * Against other programs, on traces of less than 2 M requests: libCacheSim (64 drawn with replacement) -0.05 points of hit ratio on average, Caffeine's simulator
 * with its 8 (sample=8) -0.04; more on loops (cs at 1300: 8 drawn give 55%, 64 give 8%, all LRU's 2%).
 * Memory: slots nodes, a pool, 8 bytes a slot. A hit is O(1), an eviction O(sample). Counts stop at 2^32 - 1; t is modulo 2^32. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/pool.h"
#include <stdio.h>

#define MOST_SAMPLED 1024

typedef struct {
    uint32_t n, since;
} life;

typedef struct {
    evi_residents r;
    evi_pool pool;
    life *lives; /* by slot */
    uint64_t state;
    double sample, size;
    uint32_t now;
} hyperbolic;

static void destroy(void *policy) {
    hyperbolic *p = policy;
    residents_free(&p->r);
    free(p->pool.all);
    free(p->lives);
    free(p);
}

static void *create(const evi_config *config) {
    hyperbolic *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->sample = 64;
    p->size = 1;
    p->state = config->seed;
    const evi_param params[] = {{"sample", &p->sample, 1, MOST_SAMPLED}, {"size", &p->size, 0, 1}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    p->lives = malloc(((size_t)config->slots + 1) * sizeof *p->lives);
    return pool_init(&p->pool, config->slots) && p->lives ? p : (destroy(p), NULL);
}

static void hit(void *policy, uint32_t slot) {
    hyperbolic *p = policy;
    life *l = &p->lives[slot];
    p->now++;
    l->n += l->n < UINT32_MAX;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    ((hyperbolic *)policy)->now++;
    return policy_miss(policy, key, weight);
}

/* The least n / held of the drawn, by products: exact, and cheaper than so many divisions. held is 32 bits without weights, up to 96 with. */
EVI_INLINE uint32_t least(const hyperbolic *p, const uint32_t *drawn, uint32_t n, int weighed) {
    uint32_t victim = EVI_NONE, requests = 1;
    unsigned __int128 held = 0;
    for (uint32_t i = 0; i < n; i++) {
        const life l = p->lives[drawn[i]];
        const uint32_t t = p->now - l.since, age = t + !t;
        const unsigned __int128 mine = weighed ? (unsigned __int128)age * residents_weight(&p->r, drawn[i]) : age;
        const int less = weighed ? l.n * held < requests * mine : (uint64_t)l.n * (uint64_t)held < (uint64_t)requests * age;
        if (i && !less) continue;
        victim = drawn[i];
        requests = l.n;
        held = mine;
    }
    return victim;
}

static uint32_t evict(void *policy) {
    hyperbolic *p = policy;
    uint32_t drawn[MOST_SAMPLED], n = pool_sample(&p->pool, &p->state, (uint32_t)p->sample, drawn);
    for (uint32_t i = 0; i < n; i++) __builtin_prefetch(&p->lives[drawn[i]]);
    uint32_t victim = p->r.weight && p->size != 0 ? least(p, drawn, n, 1) : least(p, drawn, n, 0);
    if (victim == EVI_NONE) return victim;
    pool_drop(&p->pool, &p->r, victim);
    residents_tell(&p->r, 'e', p->r.key[victim], victim);
    return victim;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    hyperbolic *p = policy;
    pool_place(&p->pool, &p->r, slot, key, weight);
    p->lives[slot] = (life){1, p->now};
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    hyperbolic *p = policy;
    pool_drop(&p->pool, &p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    hyperbolic *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "hyperbolic:");
    for (uint32_t i = 0; i < p->pool.n; i++) {
        const uint32_t slot = p->pool.all[i];
        text_add(&text, " %llu/%u/%u", (unsigned long long)p->r.key[slot], p->lives[slot].n, p->now - p->lives[slot].since);
    }
    text_add(&text, "\n");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    hyperbolic *p = policy;
    if (!residents_check(&p->r, why, n)) return 0;
    if (!pool_check(&p->pool, &p->r)) return snprintf(why, n, "the pool is not the residents"), 0;
    for (uint32_t i = 0; i < p->pool.n; i++)
        if (!p->lives[p->pool.all[i]].n) return snprintf(why, n, "slot %u was never asked for", p->pool.all[i]), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    hyperbolic *p = policy;
    policy_layout(policy, out);
    out->nodes = (const char *)p->lives; /* all that a hit reads */
    out->stride = sizeof *p->lives;
    out->bytes += sizeof(hyperbolic) + pool_bytes(&p->r) + ((size_t)p->r.slots + 1) * sizeof *p->lives;
}

const evi_ops evi_hyperbolic = POLICY_OPS("hyperbolic", create);
