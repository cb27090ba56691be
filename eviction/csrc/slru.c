/* slru.c: segmented LRU (Karedla, Love, Wherry, IEEE Computer 27(3), 1994), as two policies.
 *
 *    "slru"  2 segments: probation and protected (protected=0.8 of the capacity)      "slru4"  4 segments of a quarter each
 *
 * Segments are LRU queues. A new key goes to the front of segment 0, a hit promotes by one segment; a segment that is over its share hands its
 * oldest to the front of the one below it. The victim is the oldest of the lowest segment that is not empty. While the cache fills, new keys go
 * to segment 0 too: nothing is protected that was not hit (libCacheSim's puts them into the upper ones: 4.9 points of hit ratio more on the mean of the
 * shared traces, 55 on a loop; Caffeine's simulator is met to the hit). No ghosts. Memory: slots nodes. A hit hands down what it pushes up, amortised one entry.
 * Invariant: every segment but the lowest holds at most its share (rounded down, at least 1), or one entry, however heavy. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    evi_residents r; /* queue i: segment i */
    int segments;
    double protected;
} slru;

static uint64_t share(const slru *p) { /* of a segment above the lowest */
    double part = p->segments == 2 ? p->protected : 1.0 / p->segments;
    uint64_t share = (uint64_t)((double)p->r.capacity * part);
    return share + !share;
}

/* Hands what is too much down, from the top. */
static void settle(slru *p, int from) {
    uint64_t most = share(p);
    for (int i = from; i > 0; i--)
        while (p->r.queue[i].weight > most && p->r.queue[i].count > 1) {
            uint32_t slot = p->r.queue[i].back;
            residents_unlink(&p->r, slot);
            residents_push(&p->r, i - 1, slot);
            residents_tell(&p->r, 'd', p->r.key[slot], slot);
        }
}

static void destroy(void *policy) {
    slru *p = policy;
    residents_free(&p->r);
    free(p);
}

static void *create_with(const evi_config *config, int segments) {
    slru *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->segments = segments;
    p->protected = 0.8;
    const evi_param params[] = {{segments == 2 ? "protected" : NULL, &p->protected, 0, 1}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    return p;
}

static void hit(void *policy, uint32_t slot) {
    slru *p = policy;
    int at = p->r.node[slot].tag - 1;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    if (at == p->segments - 1) {
        residents_touch(&p->r, slot);
        return;
    }
    residents_unlink(&p->r, slot);
    residents_push(&p->r, at + 1, slot);
    residents_tell(&p->r, 'p', p->r.key[slot], slot);
    settle(p, at + 1);
}

static int miss(void *policy, uint64_t key, uint64_t weight) { return policy_miss(policy, key, weight); }

static uint32_t evict(void *policy) {
    slru *p = policy;
    for (int i = 0; i < p->segments; i++) {
        uint32_t slot = p->r.queue[i].back;
        if (slot == EVI_NONE) continue;
        residents_unlink(&p->r, slot);
        residents_tell(&p->r, 'e', p->r.key[slot], slot);
        return slot;
    }
    return EVI_NONE;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    slru *p = policy;
    residents_place(&p->r, 0, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    slru *p = policy;
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    slru *p = policy;
    p->r.capacity = capacity;
    settle(p, p->segments - 1);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    slru *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "%s\n", p->segments == 2 ? "slru" : "slru4");
    for (int i = p->segments - 1; i >= 0; i--) {
        text_add(&text, "%d:", i);
        residents_text(&p->r, i, &text, "");
    }
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    slru *p = policy;
    if (!residents_check(&p->r, why, n)) return 0;
    for (int i = 1; i < p->segments; i++)
        if (p->r.queue[i].weight > share(p) && p->r.queue[i].count > 1) return snprintf(why, n, "segment %d is over its share", i), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    policy_layout(policy, out);
    out->bytes += sizeof(slru);
}

static void *create_2(const evi_config *config) { return create_with(config, 2); }
static void *create_4(const evi_config *config) { return create_with(config, 4); }

const evi_ops evi_slru = POLICY_OPS("slru", create_2);
const evi_ops evi_slru4 = POLICY_OPS("slru4", create_4);
