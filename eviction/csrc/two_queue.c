/* two_queue.c: 2Q, full version (Johnson and Shasha, VLDB 1994, section 3).
 *
 *    A1in (FIFO, first seen) --oldest--> A1out (ghosts, FIFO) --seen again--> Am (LRU)
 *
 * A hit in A1in changes nothing: correlated references count once. The victim is the oldest of A1in while that holds more than Kin, else of Am; only
 * what leaves A1in becomes a ghost. Parameters: kin=0.25, kout=0.5 of the capacity. Memory: slots + kout * slots + 1 nodes.
 * Invariants: no key is resident and a ghost; ghosts weigh at most Kout. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

enum { IN, MAIN };

typedef struct {
    evi_residents r; /* queues A1in and Am */
    evi_ghosts h; /* queue 0: A1out */
    double in_share, out_share;
    uint64_t in, out; /* Kin, Kout */
    int to; /* of the pending miss */
} two_queue;

static void shares(two_queue *q) {
    q->in = (uint64_t)((double)q->r.capacity * q->in_share);
    q->out = (uint64_t)((double)q->r.capacity * q->out_share);
}

static void trim(two_queue *q) {
    while (q->h.g.queue[0].weight > q->out) ghosts_drop(&q->h, q->h.g.queue[0].back);
}

static void destroy(void *policy) {
    two_queue *q = policy;
    residents_free(&q->r);
    ghosts_free(&q->h);
    free(q);
}

static void *create(const evi_config *config) {
    two_queue *q = calloc(1, sizeof *q);
    if (!q) return NULL;
    q->in_share = 0.25;
    q->out_share = 0.5;
    const evi_param params[] = {{"kin", &q->in_share, 0, 1}, {"kout", &q->out_share, 0, 4}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&q->r, config)) return free(q), NULL;
    if (!ghosts_init(&q->h, (uint32_t)((double)config->slots * q->out_share) + 1, config->flags))
        return residents_free(&q->r), free(q), NULL;
    shares(q);
    return q;
}

static void hit(void *policy, uint32_t slot) {
    two_queue *q = policy;
    residents_tell(&q->r, 'h', q->r.key[slot], slot);
    if (q->r.node[slot].tag == MAIN + 1) residents_touch(&q->r, slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    two_queue *q = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t ghost = ghosts_find(&q->h, key);
    q->to = ghost == EVI_NONE ? IN : MAIN;
    if (ghost == EVI_NONE) return 1;
    q->r.ghost_hits++;
    residents_tell(&q->r, 'g', key, EVI_NONE);
    ghosts_drop(&q->h, ghost);
    return 1;
}

static uint32_t evict(void *policy) {
    two_queue *q = policy;
    int from = q->r.queue[IN].weight > q->in || !q->r.queue[MAIN].count ? IN : MAIN;
    uint32_t slot = q->r.queue[from].back;
    if (slot == EVI_NONE) return slot;
    residents_unlink(&q->r, slot);
    if (from == IN) {
        ghosts_add(&q->h, 0, q->r.key[slot], residents_weight(&q->r, slot));
        trim(q);
    }
    residents_tell(&q->r, 'e', q->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    two_queue *q = policy;
    residents_place(&q->r, q->to, slot, key, weight);
    residents_tell(&q->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    two_queue *q = policy;
    residents_unlink(&q->r, slot);
    residents_tell(&q->r, 'r', q->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    two_queue *q = policy;
    q->r.capacity = capacity;
    shares(q);
    trim(q);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    two_queue *q = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "2q\nA1in:");
    residents_text(&q->r, IN, &text, "");
    text_add(&text, "Am:");
    residents_text(&q->r, MAIN, &text, "");
    text_add(&text, "A1out:");
    residents_text(&q->h.g, 0, &text, "");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    two_queue *q = policy;
    if (!residents_check(&q->r, why, n) || !ghosts_check(&q->h, why, n)) return 0;
    if (q->h.g.queue[0].weight > q->out) return snprintf(why, n, "A1out weighs more than Kout"), 0;
    for (uint32_t s = 0; s < q->r.slots; s++)
        if (q->r.node[s].tag && ghosts_find(&q->h, q->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    policy_layout(policy, out);
    ghosts_layout(&((two_queue *)policy)->h, out);
    out->bytes += sizeof(two_queue);
}

const evi_ops evi_2q = POLICY_OPS("2q", 0, create);
