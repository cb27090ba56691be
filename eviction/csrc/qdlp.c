/* qdlp.c: QD-LP-FIFO (Yang et al., FIFO can be better than LRU: the power of lazy promotion and quick demotion, HotOS 2023, section 4).
 *
 *    P (probation, FIFO, 10 %) --requested since--> M (CLOCK of 2 bits)        P --not requested--> G (ghosts, as many as M holds) --asked for--> M
 *
 * Quick demotion: a new key has to be requested again on its short way through P. Lazy promotion: a hit only counts, without a lock; the hand of M
 * spares a key as often as it was hit, up to 3. Each part makes its own room: M for a ghost that comes back and for what P hands over, P for new keys.
 * What the paper leaves open: until the first eviction a key for which P has no room goes to M, as S3-FIFO's program of the same authors has it (P
 * could fill the cache instead, and would lose every loop); a key that goes to M starts without counts.
 * Parameters: probation=0.1 (at least one entry), bits=2 (1 to 8). Memory: slots + slots + 2 nodes. The hands take at most |P| + (2^bits - 1) |M| + 1
 * steps, each but the last paid for by a hit.
 * Invariants: no key is resident and a ghost; ghosts weigh at most M's share, or are one; counts fit their bits. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/lists.h"
#include <stdio.h>

enum { P, M };
enum { G };

typedef struct {
    evi_lists l; /* node.mark counts */
    double probation;
    uint64_t main; /* share of M, and of G */
    uint64_t coming; /* weight of the pending miss of a ghost, else 0 */
    int warm; /* something was evicted */
    uint8_t most;
} qdlp;

static int resize(void *policy, uint64_t capacity) {
    qdlp *q = policy;
    uint64_t small = lists_share(capacity, q->probation);
    q->l.r.capacity = capacity;
    q->main = capacity > small ? capacity - small : 0;
    lists_trim(&q->l, G, q->main);
    return 0;
}

static void *create(const evi_config *config) {
    double probation = 0.1, bits = 2;
    if (!policy_params(config->params, (evi_param[]){{"probation", &probation, 0, 1}, {"bits", &bits, 1, 8}, {0}})) return NULL;
    qdlp *q = lists_create(config, sizeof *q, 1);
    if (!q) return NULL;
    q->probation = probation;
    q->most = (uint8_t)((1 << (int)bits) - 1);
    resize(q, config->capacity);
    return q;
}

static void hit(void *policy, uint32_t slot) { lists_mark(policy, slot, ((qdlp *)policy)->most); }

static int miss(void *policy, uint64_t key, uint64_t weight) {
    qdlp *q = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    q->coming = lists_ghost_hit(&q->l, key) ? weight + !weight : 0;
    return 1;
}

static uint32_t evict_main(qdlp *q) { /* there is one in M */
    evi_residents *r = &q->l.r;
    uint32_t slot;
    while (r->node[slot = r->queue[M].back].mark) {
        r->node[slot].mark--;
        residents_touch(r, slot);
    }
    return lists_drop(&q->l, slot);
}

static uint32_t evict(void *policy) {
    qdlp *q = policy;
    evi_residents *r = &q->l.r;
    uint32_t slot;
    q->warm = 1;
    while (r->queue[M].weight + q->coming <= q->main && (slot = r->queue[P].back) != EVI_NONE) {
        if (!r->node[slot].mark) return lists_leave(&q->l, slot, G, q->main);
        r->node[slot].mark = 0;
        lists_move(&q->l, M, slot);
        residents_tell(r, 'p', r->key[slot], slot);
    }
    return r->queue[M].count ? evict_main(q) : lists_leave(&q->l, r->queue[P].back, G, q->main);
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    qdlp *q = policy;
    int filling = !q->warm && q->l.r.queue[P].weight >= q->l.r.capacity - q->main;
    lists_place(&q->l, q->coming || filling ? M : P, slot, key, weight);
    q->coming = 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    qdlp *q = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "qdlp\n");
    lists_text(&q->l.r, P, &text, "P");
    lists_text(&q->l.r, M, &text, "M");
    lists_text(&q->l.h.g, G, &text, "G");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    qdlp *q = policy;
    for (uint32_t slot = 0; slot < q->l.r.slots; slot++)
        if (q->l.r.node[slot].mark > q->most) return snprintf(why, n, "slot %u counts %u", slot, q->l.r.node[slot].mark), 0;
    return lists_check(&q->l, why, n) && lists_check_room(&q->l, G, q->main, why, n);
}

const evi_ops evi_qdlp = LISTS_OPS("qdlp", lists_remove);
