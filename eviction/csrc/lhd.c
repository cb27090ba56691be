/* lhd.c: least hit density (Beckmann, Chen and Cidon, LHD: improving cache hit rate by maximizing hit density, NSDI 2018, sections 3 to 5).
 *
 *    hit density of a class at age a = hits still to come / room x time still to be spent, for what has reached age a
 *
 *    events of a class by age:  hits      . : | . .        summed from the oldest age down:   hits at a or later
 *                               evictions     . . : |                                         ---------------------------------------------
 *                                                                                             sum over later ages of those that got that far
 *
 * The least density of 32 residents leaves (sample=32, to 1024; without replacement, see pool.h), the last 8 that came with a density below the usual
 * victim's being looked at too, as the authors do where nothing is bypassed. Age: requests since the last use. Class: how long the last two uses were apart, by
 * powers of 2 down from 64 requests a slot; what was never hit is with the slowest. Every `interval` requests (default 8 a slot, at least 512) the densities
 * are computed anew from events that fade by a tenth (decay=0.9); until the first time they are (class + 1) / (age + 1). With weights a density is one of a unit
 * of room. One admission or hit in 32 makes an explorer, which is only evicted among its like, while those hold under 1% (explore=0.01): else what always
 * leaves early would never show whether it is used later.
 * Unlike the authors' program, which cuts ages into 20000 equal parts, of a length set twice near the beginning, and computes every 2^20 requests (so never in
 * most of the traces that policies are compared on), ages are cut like logarithms, 8 parts an octave: any length fits, with an error of 6%, and the tables
 * are small enough to be computed often. Against libCacheSim's port of that program, on traces of less than 2 M requests: 1.0 points of hit ratio more on
 * average (78% of MIN, theirs 70%; most on scans and loops, which can only be learned), up to 1.3 less on 2_pools, sprite and multi1.
 * Memory: slots nodes, a pool, 12 bytes a slot, and tables of 92 KB. A hit is O(1), an eviction O(sample); computing takes some 10 microseconds.
 * Invariants: those of pool.h; explorers weigh what is counted; densities are not negative. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/pool.h"
#include <stdio.h>

enum { CLASSES = 16, AGES = 240, NEWCOMERS = 8, MOST_SAMPLED = 1024, EXPLORE_ONE_IN = 32 };

typedef struct {
    uint32_t last, gap; /* when it was used last, and how old it was then */
    uint8_t class, explorer;
} life;

typedef struct {
    double hits, evictions, density;
} cell;

typedef struct {
    evi_residents r;
    evi_pool pool;
    life *lives;
    uint32_t now, left; /* left: requests until the densities are computed */
    int oldest; /* log2 of the age at which anything leaves */
    uint32_t newcomer[NEWCOMERS], came; /* slots, EVI_NONE: it left */
    uint64_t state, exploring;
    double sample, interval, decay, explore, usual; /* usual: density of a victim */
    cell cells[CLASSES][AGES];
} lhd;

static inline int log2_of(uint64_t x) { return 63 - __builtin_clzll(x); } /* of more than 0 */

static inline uint32_t part_of(uint32_t age) { /* 0, 1 .. 15, 16-17, 18-19 .. 30-31, 32-35 .. */
    if (age < 8) return age;
    int octave = log2_of(age);
    return (uint32_t)(octave - 2) * 8 + (age >> (octave - 3) & 7);
}

static double width_of(uint32_t part) { return part < 16 ? 1 : (double)(1u << (part / 8 - 1)); }
static double start_of(uint32_t part) { return part < 8 ? part : (8 + part % 8) * width_of(part); }

static uint8_t class_of(const lhd *p, uint32_t gaps) {
    int class = p->oldest - (gaps ? log2_of(gaps) : 0);
    return (uint8_t)(class < 0 ? 0 : class < CLASSES ? class : CLASSES - 1);
}

static void destroy(void *policy) {
    lhd *p = policy;
    residents_free(&p->r);
    free(p->pool.all);
    free(p->lives);
    free(p);
}

static void *create(const evi_config *config) {
    lhd *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->sample = 32;
    p->interval = 8.0 * config->slots < 512 ? 512 : 8.0 * config->slots;
    p->decay = 0.9;
    p->explore = 0.01;
    p->state = config->seed;
    const evi_param params[] = {{"sample", &p->sample, 1, MOST_SAMPLED},
                                {"interval", &p->interval, 1, UINT32_MAX},
                                {"decay", &p->decay, 0, 1},
                                {"explore", &p->explore, 0, 1},
                                {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    p->lives = malloc(((size_t)config->slots + 1) * sizeof *p->lives);
    if (!pool_init(&p->pool, config->slots) || !p->lives) return destroy(p), NULL;
    p->left = (uint32_t)p->interval;
    p->oldest = log2_of((uint64_t)config->slots * 64 + 64);
    for (int i = 0; i < NEWCOMERS; i++) p->newcomer[i] = EVI_NONE;
    for (int c = 0; c < CLASSES; c++)
        for (uint32_t a = 0; a < AGES; a++) p->cells[c][a].density = (c + 1) / (start_of(a) + 1);
    return p;
}

static void compute(lhd *p) {
    for (int c = 0; c < CLASSES; c++) {
        double hits = 0, events = 0, time = 0;
        for (uint32_t a = AGES; a-- > 0;) {
            cell *at = &p->cells[c][a];
            hits += at->hits *= p->decay;
            events += at->hits + (at->evictions *= p->decay);
            time += events * width_of(a);
            at->density = events > 1e-5 ? hits / time : 0;
        }
    }
}

static inline void tick(lhd *p) {
    p->now++;
    if (--p->left) return;
    p->left = (uint32_t)p->interval;
    compute(p);
}

static inline double rank(const lhd *p, uint32_t slot) {
    const life l = p->lives[slot];
    const uint32_t age = p->now - l.last;
    if (age >> p->oldest) return -1;
    const double density = p->cells[l.class][part_of(age)].density + (l.explorer ? 1e9 : 0);
    return p->r.weight ? density / (double)p->r.weight[slot] : density;
}

/* A use begins: one in some makes an explorer. */
static void begin(lhd *p, uint32_t slot) {
    p->lives[slot].last = p->now;
    p->lives[slot].explorer = 0;
    if (policy_random(&p->state) % EXPLORE_ONE_IN) return;
    const uint64_t weight = residents_weight(&p->r, slot);
    if ((double)(p->exploring + weight) > p->explore * (double)p->r.capacity) return;
    p->exploring += weight;
    p->lives[slot].explorer = 1;
}

static void end(lhd *p, uint32_t slot) {
    if (p->lives[slot].explorer) p->exploring -= residents_weight(&p->r, slot);
}

static void hit(void *policy, uint32_t slot) {
    lhd *p = policy;
    life *l = &p->lives[slot];
    tick(p);
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    const uint32_t age = p->now - l->last, gaps = age + l->gap;
    p->cells[l->class][part_of(age)].hits += 1;
    end(p, slot);
    l->class = class_of(p, gaps < age ? UINT32_MAX : gaps);
    l->gap = age;
    begin(p, slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    tick(policy);
    return policy_miss(policy, key, weight);
}

static void forget(lhd *p, uint32_t slot) {
    end(p, slot);
    for (int i = 0; i < NEWCOMERS; i++)
        if (p->newcomer[i] == slot) p->newcomer[i] = EVI_NONE;
    pool_drop(&p->pool, &p->r, slot);
}

static uint32_t evict(void *policy) {
    lhd *p = policy;
    uint32_t drawn[MOST_SAMPLED + NEWCOMERS], victim = EVI_NONE;
    uint32_t n = pool_sample(&p->pool, &p->state, (uint32_t)p->sample, drawn);
    for (uint32_t i = 0; i < n; i++) __builtin_prefetch(&p->lives[drawn[i]]);
    for (int i = 0; i < NEWCOMERS; i++)
        if (p->newcomer[i] != EVI_NONE) drawn[n++] = p->newcomer[i];
    double least = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double of = rank(p, drawn[i]);
        if (i && of >= least) continue;
        victim = drawn[i];
        least = of;
    }
    if (victim == EVI_NONE) return victim;
    const life *l = &p->lives[victim];
    p->cells[l->class][part_of(p->now - l->last)].evictions += 1;
    p->usual = 0.9 * p->usual + 0.1 * least;
    forget(p, victim);
    residents_tell(&p->r, 'e', p->r.key[victim], victim);
    return victim;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    lhd *p = policy;
    pool_place(&p->pool, &p->r, slot, key, weight);
    p->lives[slot] = (life){0};
    begin(p, slot);
    if (rank(p, slot) < p->usual) p->newcomer[p->came++ % NEWCOMERS] = slot;
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    lhd *p = policy;
    forget(p, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    lhd *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "lhd: usual=%.6g\n", p->usual);
    for (uint32_t i = 0; i < p->pool.n; i++) {
        const uint32_t slot = p->pool.all[i];
        const life *l = &p->lives[slot];
        text_add(&text, "%llu%s class=%u age=%u rank=%.6g\n", (unsigned long long)p->r.key[slot], l->explorer ? "!" : "", l->class,
                 p->now - l->last, rank(p, slot));
    }
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    lhd *p = policy;
    uint64_t exploring = 0;
    if (!residents_check(&p->r, why, n)) return 0;
    if (!pool_check(&p->pool, &p->r)) return snprintf(why, n, "the pool is not the residents"), 0;
    for (uint32_t i = 0; i < p->pool.n; i++) {
        const uint32_t slot = p->pool.all[i];
        if (p->lives[slot].class >= CLASSES) return snprintf(why, n, "slot %u has no class", slot), 0;
        exploring += p->lives[slot].explorer ? residents_weight(&p->r, slot) : 0;
    }
    if (exploring != p->exploring) return snprintf(why, n, "explorers weigh %llu", (unsigned long long)exploring), 0;
    for (int i = 0; i < NEWCOMERS; i++)
        if (p->newcomer[i] != EVI_NONE && !p->r.node[p->newcomer[i]].tag) return snprintf(why, n, "newcomer %d has left", i), 0;
    for (int c = 0; c < CLASSES; c++)
        for (int a = 0; a < AGES; a++)
            if (!(p->cells[c][a].density >= 0)) return snprintf(why, n, "the density of class %d in part %d is negative", c, a), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    lhd *p = policy;
    policy_layout(policy, out);
    out->nodes = (const char *)p->lives; /* all that a hit reads of its slot */
    out->stride = sizeof *p->lives;
    out->bytes += sizeof(lhd) + pool_bytes(&p->r) + ((size_t)p->r.slots + 1) * sizeof *p->lives;
}

const evi_ops evi_lhd = POLICY_OPS("lhd", create);
