/* s3fifo.c: S3-FIFO (Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023, algorithm 1 and section 4.1).
 *
 *    small (FIFO, 10 %) --count > 1--> main (FIFO) --count > 0: once more round, one less-->        small --else--> ghosts (as many as main holds)
 *
 * A hit only counts, up to 3, without a lock. The victim: while small is over its share (or main is empty) its oldest moves to main when it was hit more than
 * once, else it leaves and becomes a ghost; otherwise the oldest of main that has no count left. A ghost hit goes to main.
 * The paper is silent on warming up: until the first eviction, keys for which small has no room go to main, as in the authors' program; a loop that is
 * longer than the cache then keeps what it met first, where it would miss for ever. On the move to main the count starts over.
 * Parameters: small=0.1, threshold=2 (hits that promote). Memory: slots + 0.9 slots + 2 nodes. Worst case of a hand: three rounds of main.
 * Invariants: no key is resident and a ghost; ghosts weigh at most what main may. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

enum { SMALL, MAIN };
#define MOST 3

typedef struct {
    evi_residents r; /* queues small and main; node.mark counts */
    evi_ghosts h;
    double small_share, threshold;
    uint64_t small; /* at least 1 */
    int to, warm; /* queue of the pending miss; something was evicted */
} s3fifo;

static void shares(s3fifo *p) {
    p->small = (uint64_t)((double)p->r.capacity * p->small_share);
    p->small += !p->small;
}

static void trim(s3fifo *p) {
    uint64_t most = p->r.capacity > p->small ? p->r.capacity - p->small : 0;
    while (p->h.g.queue[0].weight > most) ghosts_drop(&p->h, p->h.g.queue[0].back);
}

static void destroy(void *policy) {
    s3fifo *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    free(p);
}

static void *create(const evi_config *config) {
    s3fifo *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->small_share = 0.1;
    p->threshold = 2;
    const evi_param params[] = {{"small", &p->small_share, 0, 1}, {"threshold", &p->threshold, 1, MOST}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    if (!ghosts_init(&p->h, config->slots + 1, config->flags)) return residents_free(&p->r), free(p), NULL;
    shares(p);
    return p;
}

static void hit(void *policy, uint32_t slot) {
    s3fifo *p = policy;
    uint8_t count = __atomic_load_n(&p->r.node[slot].mark, __ATOMIC_RELAXED);
    if (count < MOST) __atomic_store_n(&p->r.node[slot].mark, count + 1, __ATOMIC_RELAXED);
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    s3fifo *p = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t ghost = ghosts_find(&p->h, key);
    p->to = ghost != EVI_NONE || (!p->warm && p->r.queue[SMALL].weight >= p->small) ? MAIN : SMALL;
    if (ghost == EVI_NONE) return 1;
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', key, EVI_NONE);
    ghosts_drop(&p->h, ghost);
    return 1;
}

static uint32_t leave(s3fifo *p, uint32_t slot) {
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

/* The oldest of small that is not promoted, EVI_NONE when small has come down to its share by promotions. */
static uint32_t evict_small(s3fifo *p) {
    while (p->r.queue[SMALL].count) {
        uint32_t slot = p->r.queue[SMALL].back;
        if (p->r.node[slot].mark < p->threshold) {
            leave(p, slot);
            ghosts_add(&p->h, 0, p->r.key[slot], residents_weight(&p->r, slot));
            trim(p);
            return slot;
        }
        residents_unlink(&p->r, slot);
        p->r.node[slot].mark = 0;
        residents_push(&p->r, MAIN, slot);
        residents_tell(&p->r, 'p', p->r.key[slot], slot);
        if (p->r.queue[SMALL].weight <= p->small && p->r.queue[MAIN].count > 1) break;
    }
    return EVI_NONE;
}

static uint32_t evict(void *policy) {
    s3fifo *p = policy;
    p->warm = 1;
    if (p->r.queue[SMALL].weight > p->small || !p->r.queue[MAIN].count) {
        uint32_t slot = evict_small(p);
        if (slot != EVI_NONE) return slot;
    }
    uint32_t slot;
    while ((slot = p->r.queue[MAIN].back) != EVI_NONE && p->r.node[slot].mark) {
        p->r.node[slot].mark--;
        residents_touch(&p->r, slot);
    }
    return slot == EVI_NONE ? slot : leave(p, slot);
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    s3fifo *p = policy;
    residents_place(&p->r, p->to, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    s3fifo *p = policy;
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    s3fifo *p = policy;
    p->r.capacity = capacity;
    shares(p);
    trim(p);
    return 0;
}

static void queue_text(const s3fifo *p, int queue, evi_text *text) {
    for (uint32_t s = p->r.queue[queue].front; s != EVI_NONE; s = p->r.node[s].older)
        text_add(text, " %llu/%u", (unsigned long long)p->r.key[s], p->r.node[s].mark);
}

static size_t dump(void *policy, char *out, size_t n) {
    s3fifo *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "s3fifo\nsmall:");
    queue_text(p, SMALL, &text);
    text_add(&text, "\nmain:");
    queue_text(p, MAIN, &text);
    text_add(&text, "\nghosts:");
    residents_text(&p->h.g, 0, &text, "");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    s3fifo *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    for (uint32_t s = 0; s < p->r.slots; s++) {
        if (!p->r.node[s].tag) continue;
        if (p->r.node[s].mark > MOST) return snprintf(why, n, "slot %u counts %u", s, p->r.node[s].mark), 0;
        if (ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    }
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    policy_layout(policy, out);
    ghosts_layout(&((s3fifo *)policy)->h, out);
    out->bytes += sizeof(s3fifo);
}

const evi_ops evi_s3fifo = POLICY_OPS("s3fifo", 1, create);
