/* lruk.c: LRU-K (O'Neil, O'Neil and Weikum, The LRU-K page replacement algorithm for database disk buffering, SIGMOD 1993, section 2.1).
 *
 *    last K uncorrelated uses of a key: h1 (newest) > h2 > ... > hK, in requests      victim: the least hK (0: none yet, first of all), then the least h1
 *
 * Uses within `crp` requests of the last one are correlated: they only prolong that one, and a key in the middle of them is no victim unless all are. The
 * history outlives the page: as many evicted keys are remembered as there are slots (the retained information, bounded by number, not by time); without that
 * the policy is an LFU of sorts. Parameters: k=2 (1 to 8), crp=0, history=1 times the slots.
 * Memory: slots nodes, 24 + 8 (K + 1) bytes a slot, history nodes and as much each. A use costs O(log n).
 * Invariants: heap.h's; no key is resident and remembered. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/heap.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <string.h>

#define MOST_K 8
typedef struct {
    evi_residents r;
    evi_ghosts h;
    evi_heap heap;
    uint64_t *times, *ghost_times, now; /* K + 1 a slot: h1 .. hK, and the last use, correlated or not */
    double k, crp;
    int width; /* K + 1 */
    uint64_t coming[MOST_K + 1]; /* history of the pending miss */
} lruk;

static void destroy(void *policy) {
    lruk *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    heap_free(&p->heap);
    free(p->times);
    free(p->ghost_times);
    free(p);
}

static void *create(const evi_config *config) {
    lruk *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    double history = 1;
    p->k = 2;
    const evi_param params[] = {{"k", &p->k, 1, MOST_K}, {"crp", &p->crp, 0, 1e15}, {"history", &history, 0, 64}, {0}};
    if (!policy_params(config->params, params) || p->k != (int)p->k) return free(p), NULL;
    double nodes = (double)config->slots * history + 1;
    p->width = (int)p->k + 1;
    if (nodes > (1u << 29) || !residents_init(&p->r, config)) return free(p), NULL;
    if (!ghosts_init(&p->h, (uint32_t)nodes, config->flags)) return residents_free(&p->r), free(p), NULL;
    if (!heap_init(&p->heap, config->slots)) return residents_free(&p->r), ghosts_free(&p->h), free(p), NULL;
    p->times = malloc(((size_t)config->slots + 1) * (size_t)p->width * sizeof *p->times);
    p->ghost_times = malloc((size_t)nodes * (size_t)p->width * sizeof *p->ghost_times);
    if (!p->times || !p->ghost_times) return destroy(p), NULL;
    return p;
}

static uint64_t *times_of(const lruk *p, uint32_t slot) { return p->times + (size_t)slot * (size_t)p->width; }

/* A use at the present time: a new one, or the last one goes on. 1: h1 .. hK changed. */
static int use(lruk *p, uint64_t *t) {
    int k = p->width - 1, fresh = (double)(p->now - t[k]) > p->crp || !t[0];
    if (fresh) {
        uint64_t period = t[k] - t[0]; /* the correlated uses that the last one went on for do not count */
        for (int i = k - 1; i > 0; i--) t[i] = t[i - 1] ? t[i - 1] + period : 0;
        t[0] = p->now;
    }
    t[k] = p->now;
    return fresh;
}

static void hit(void *policy, uint32_t slot) {
    lruk *p = policy;
    uint64_t *t = times_of(p, slot);
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    p->now++;
    if (use(p, t)) heap_change(&p->heap, slot, (double)t[p->width - 2], t[0]);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    lruk *p = policy;
    p->now++;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t ghost = ghosts_find(&p->h, key);
    memset(p->coming, 0, sizeof p->coming);
    if (ghost == EVI_NONE) return 1;
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', key, EVI_NONE);
    memcpy(p->coming, p->ghost_times + (size_t)ghost * (size_t)p->width, (size_t)p->width * sizeof *p->coming);
    ghosts_drop(&p->h, ghost);
    return 1;
}

/* The top of the heap, or the first of the next few that is not in the middle of correlated uses; the top when all of those are. */
static uint32_t choose(lruk *p) {
    uint32_t few = p->heap.count < 64 ? p->heap.count : 64, best = EVI_NONE;
    if (p->crp == 0) return heap_top(&p->heap);
    for (uint32_t i = 0; i < few; i++) {
        uint32_t slot = p->heap.entry[i].slot;
        if ((double)(p->now - times_of(p, slot)[p->width - 1]) <= p->crp) continue;
        if (best == EVI_NONE || heap_less(&p->heap.entry[i], &p->heap.entry[p->heap.spot[best].place])) best = slot;
    }
    return best == EVI_NONE ? heap_top(&p->heap) : best;
}

static uint32_t evict(void *policy) {
    lruk *p = policy;
    if (!p->heap.count) return EVI_NONE;
    uint32_t slot = choose(p);
    heap_remove(&p->heap, slot);
    residents_unlink(&p->r, slot);
    uint32_t ghost = ghosts_add(&p->h, 0, p->r.key[slot], residents_weight(&p->r, slot));
    memcpy(p->ghost_times + (size_t)ghost * (size_t)p->width, times_of(p, slot), (size_t)p->width * sizeof *p->times);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    lruk *p = policy;
    uint64_t *t = times_of(p, slot);
    memcpy(t, p->coming, (size_t)p->width * sizeof *t);
    use(p, t);
    residents_place(&p->r, 0, slot, key, weight);
    heap_add(&p->heap, slot, (double)t[p->width - 2], t[0]);
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    lruk *p = policy;
    heap_remove(&p->heap, slot);
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    lruk *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "lru-k: now=%llu\nin order of arrival, newest first:", (unsigned long long)p->now);
    for (uint32_t s = p->r.queue[0].front; s != EVI_NONE; s = p->r.node[s].older)
        text_add(&text, " %llu/%llu/%llu", (unsigned long long)p->r.key[s], (unsigned long long)times_of(p, s)[0],
                 (unsigned long long)times_of(p, s)[p->width - 2]);
    text_add(&text, "\nremembered:");
    residents_text(&p->h.g, 0, &text, "");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    lruk *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    if (p->heap.count != p->r.queue[0].count || !heap_check(&p->heap)) return snprintf(why, n, "the heap is broken"), 0;
    for (uint32_t s = 0; s < p->r.slots; s++)
        if (p->r.node[s].tag && ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u is remembered too", s), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    lruk *p = policy;
    policy_layout(policy, out);
    ghosts_layout(&p->h, out);
    out->bytes += sizeof(lruk) + heap_bytes(p->r.slots) + ((size_t)p->r.slots + 1 + p->h.g.slots) * (size_t)p->width * sizeof *p->times;
}

const evi_ops evi_lruk = POLICY_OPS("lru-k", 0, create);
