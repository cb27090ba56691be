/* s3fifo.c: S3-FIFO (Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023, algorithm 1 and section 4.1).
 *
 *    S (FIFO, 10 %) --hit more than once--> M (FIFO) --hit: once more round, one count less-->        S --else--> G (ghosts, as many as M holds)
 *
 * A hit only counts, up to 3, without a lock. Room is made in S while it holds its share or more (or M is empty): its oldest moves to M, its count
 * cleared, when it was hit `threshold` times, until one leaves and becomes a ghost; otherwise in M, by the oldest that has no count left. A ghost
 * hit goes to M. Where S was all moved to M, M makes the room (the algorithm's evictM inside evictS would evict two for one).
 * The paper is silent on warming up: until the first eviction, keys for which S has no room go to M, as in the authors' program; a loop that is
 * longer than the cache then keeps what it met first, where it would miss for ever: 3.9 points of hit ratio on the mean of the shared traces over
 * Caffeine's simulator, in which S fills the cache first (without the rule the two are equal on the mean); libCacheSim's has 0.1 less.
 * Parameters: small=0.1 (at least one entry), threshold=2. Memory: slots + slots + 2 nodes. A hand takes at most |S| + 3 |M| + 1 steps, each but the
 * last paid for by a hit.
 * Invariants: no key is resident and a ghost; ghosts weigh at most M's share, or are one; counts are at most 3. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/lists.h"
#include <stdio.h>

enum { S, M };
enum { G };
#define MOST 3

typedef struct {
    evi_lists l; /* node.mark counts */
    double small_share, threshold;
    uint64_t small, room; /* shares of S; of M and of G */
    int again, warm; /* the pending miss was a ghost; something was evicted */
} s3fifo;

static int resize(void *policy, uint64_t capacity) {
    s3fifo *p = policy;
    p->l.r.capacity = capacity;
    p->small = lists_share(capacity, p->small_share);
    p->room = capacity > p->small ? capacity - p->small : 0;
    lists_trim(&p->l, G, p->room);
    return 0;
}

static void *create(const evi_config *config) {
    double small = 0.1, threshold = 2;
    if (!policy_params(config->params, (evi_param[]){{"small", &small, 0, 1}, {"threshold", &threshold, 1, MOST}, {0}})) return NULL;
    s3fifo *p = lists_create(config, sizeof *p, 1);
    if (!p) return NULL;
    p->small_share = small;
    p->threshold = threshold;
    resize(p, config->capacity);
    return p;
}

static void hit(void *policy, uint32_t slot) { lists_mark(policy, slot, MOST); }

static int miss(void *policy, uint64_t key, uint64_t weight) {
    s3fifo *p = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    p->again = lists_ghost_hit(&p->l, key);
    return 1;
}

static uint32_t evict(void *policy) {
    s3fifo *p = policy;
    evi_residents *r = &p->l.r;
    uint32_t slot;
    p->warm = 1;
    if (r->queue[S].weight >= p->small || !r->queue[M].count) {
        while ((slot = r->queue[S].back) != EVI_NONE) {
            if (r->node[slot].mark < p->threshold) return lists_leave(&p->l, slot, G, p->room);
            r->node[slot].mark = 0;
            lists_move(&p->l, M, slot);
            residents_tell(r, 'p', r->key[slot], slot);
        }
    }
    while ((slot = r->queue[M].back) != EVI_NONE && r->node[slot].mark) {
        r->node[slot].mark--;
        residents_touch(r, slot);
    }
    return lists_drop(&p->l, slot);
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    s3fifo *p = policy;
    int filling = !p->warm && p->l.r.queue[S].weight >= p->small;
    lists_place(&p->l, p->again || filling ? M : S, slot, key, weight);
}

static size_t dump(void *policy, char *out, size_t n) {
    s3fifo *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "s3fifo\n");
    lists_text(&p->l.r, S, &text, "S");
    lists_text(&p->l.r, M, &text, "M");
    lists_text(&p->l.h.g, G, &text, "G");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    s3fifo *p = policy;
    for (uint32_t slot = 0; slot < p->l.r.slots; slot++)
        if (p->l.r.node[slot].mark > MOST) return snprintf(why, n, "slot %u counts %u", slot, p->l.r.node[slot].mark), 0;
    return lists_check(&p->l, why, n) && lists_check_room(&p->l, G, p->room, why, n);
}

const evi_ops evi_s3fifo = LISTS_OPS("s3fifo", lists_remove);
