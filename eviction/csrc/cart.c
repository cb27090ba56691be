/* cart.c: CART, CAR with temporal filtering (Bansal and Modha, FAST 2004, figure 3), word for word when every weight is 1.
 *
 *    T1: clock of pages with a filter bit, S (short-term) or L (long-term)      T2: clock of L pages      B1: ghosts that were S      B2: that were L
 *
 * A hit only sets the reference bit, without a lock. A page comes to T1, as S when it is new and as L when it was a ghost; S becomes L when it is
 * referenced again while T1 is at least as long as min(p + 1, |B1|): not at once, but in its next round, which filters correlated references.
 * p is the target weight of T1, q that of B1; nS and nL weigh the S and the L pages of the cache. The ratios of p are real numbers; the ghost asked
 * for counts in its list until it is resident. For weights a step is scaled by the weight of the page that makes it. Where T2 is empty room is made in T1. No parameters.
 * Memory: slots + slots + 2 nodes. The hands take at most 2c + 1 steps at once; amortised, each request pays for two.
 * Invariants (I1 to I10 of the paper, as far as deletes and weights leave them): T1 + T2 <= c; B1 + B2 <= c; T2 has only L pages; nS + nL = T1 + T2;
 * 0 <= p <= c; 0 <= q <= 2c. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/lists.h"
#include <stdio.h>

enum { T1, T2 };
enum { B1, B2 };

typedef struct {
    evi_lists l; /* node.count: 1 is L */
    double p, q;
    uint64_t ns, nl;
    uint64_t asked[2]; /* the weight of the pending miss's ghost, by its list */
} cart;

static uint64_t resident(const cart *c, int list) { return c->l.r.queue[list].weight; }
static uint64_t ghost(const cart *c, int list) { return c->l.h.g.queue[list].weight + c->asked[list]; }

static void trim(cart *c) {
    const evi_queue *b1 = &c->l.h.g.queue[B1], *b2 = &c->l.h.g.queue[B2];
    while (b1->weight + b2->weight > c->l.r.capacity)
        ghosts_drop(&c->l.h, b1->count && ((double)b1->weight > c->q || !b2->count) ? b1->back : b2->back);
}

static int resize(void *policy, uint64_t capacity) {
    cart *c = policy;
    c->l.r.capacity = capacity;
    if (c->p > (double)capacity) c->p = (double)capacity;
    if (c->q > 2 * (double)capacity) c->q = 2 * (double)capacity;
    trim(c);
    return 0;
}

static void *create(const evi_config *config) {
    if (!policy_params(config->params, (evi_param[]){{0}})) return NULL;
    return lists_create(config, sizeof(cart), 1);
}

static void hit(void *policy, uint32_t slot) { lists_mark(policy, slot, 1); }

static int miss(void *policy, uint64_t key, uint64_t weight) {
    cart *c = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t node = ghosts_find(&c->l.h, key);
    c->asked[B1] = c->asked[B2] = 0;
    if (node == EVI_NONE) return 1;
    c->asked[c->l.h.g.node[node].tag - 1] = residents_weight(&c->l.h.g, node);
    lists_take(&c->l, node);
    return 1;
}

/* A page went to T1 from where L pages are: B1 may be longer when the L pages fill the cache. */
static void raise_q(cart *c, double step) {
    double most = 2 * (double)c->l.r.capacity - (double)resident(c, T1);
    if (resident(c, T2) + ghost(c, B2) + resident(c, T1) < c->ns + c->l.r.capacity) return;
    c->q = c->q + step < most ? c->q + step : most;
    if (c->q < 0) c->q = 0;
}

static void leave_out(cart *c, uint32_t slot) { *(c->l.r.node[slot].count ? &c->nl : &c->ns) -= residents_weight(&c->l.r, slot); }

/* One step of the hand of T1; 0 when its oldest is an S page without a reference. */
static int turn(cart *c) {
    evi_residents *r = &c->l.r;
    uint32_t slot = r->queue[T1].back;
    if (slot == EVI_NONE || !(r->node[slot].count || r->node[slot].mark)) return 0;
    double weight = (double)residents_weight(r, slot), b1 = (double)ghost(c, B1);
    if (r->node[slot].mark) {
        r->node[slot].mark = 0;
        residents_touch(r, slot);
        if (r->node[slot].count || (double)resident(c, T1) < (c->p + weight < b1 ? c->p + weight : b1)) return 1;
        leave_out(c, slot);
        r->node[slot].count = 1;
        c->nl += residents_weight(r, slot);
        return 1;
    }
    lists_move(&c->l, T2, slot);
    residents_tell(r, 'p', r->key[slot], slot);
    double least = (double)r->capacity - (double)resident(c, T1);
    c->q = c->q - weight > least ? c->q - weight : least;
    if (c->q < 0) c->q = 0;
    return 1;
}

static uint32_t evict(void *policy) { /* replace(), and the history replacement of lines 7 to 10 */
    cart *c = policy;
    evi_residents *r = &c->l.r;
    uint32_t slot;
    while ((slot = r->queue[T2].back) != EVI_NONE && r->node[slot].mark) {
        r->node[slot].mark = 0;
        lists_move(&c->l, T1, slot);
        residents_tell(r, 'd', r->key[slot], slot);
        raise_q(c, (double)residents_weight(r, slot));
    }
    while (turn(c)) {
    }
    int list = r->queue[T1].count && ((double)resident(c, T1) >= (c->p > 1 ? c->p : 1) || !r->queue[T2].count) ? T1 : T2;
    slot = r->queue[list].back;
    if (slot == EVI_NONE) return slot;
    leave_out(c, slot);
    lists_leave(&c->l, slot, list, UINT64_MAX);
    trim(c);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    cart *c = policy;
    double step = (double)(weight += !weight), most = (double)c->l.r.capacity;
    int from_b1 = c->asked[B1] > 0, from_b2 = c->asked[B2] > 0;
    if (from_b1) {
        double size = (double)ghost(c, B1), s = (double)c->ns;
        c->p += (s > size ? s / size : 1) * step;
        if (c->p > most) c->p = most;
    } else if (from_b2) {
        double size = (double)ghost(c, B2), l = (double)c->nl;
        c->p -= (l > size ? l / size : 1) * step;
        if (c->p < 0) c->p = 0;
    }
    c->asked[B1] = c->asked[B2] = 0;
    lists_place(&c->l, T1, slot, key, weight);
    c->l.r.node[slot].count = from_b1 || from_b2;
    *(from_b1 || from_b2 ? &c->nl : &c->ns) += weight;
    if (from_b2) raise_q(c, step);
}

static void removed(void *policy, uint32_t slot) {
    leave_out(policy, slot);
    lists_remove(policy, slot);
}

static size_t dump(void *policy, char *out, size_t n) {
    cart *c = policy;
    const evi_residents *r = &c->l.r;
    evi_text text = {out, n, 0};
    text_add(&text, "cart: p=%.6g q=%.6g nS=%llu nL=%llu\nT1:", c->p, c->q, (unsigned long long)c->ns, (unsigned long long)c->nl);
    for (uint32_t s = r->queue[T1].front; s != EVI_NONE; s = r->node[s].older)
        text_add(&text, " %llu%c%s", (unsigned long long)r->key[s], r->node[s].count ? 'L' : 'S', r->node[s].mark ? "*" : "");
    text_add(&text, "\n");
    lists_text(r, T2, &text, "T2");
    lists_text(&c->l.h.g, B1, &text, "B1");
    lists_text(&c->l.h.g, B2, &text, "B2");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    cart *c = policy;
    const evi_residents *r = &c->l.r;
    uint64_t s = 0, capacity = r->capacity;
    if (!lists_check(&c->l, why, n)) return 0;
    for (uint32_t slot = 0; slot < r->slots; slot++) {
        if (!r->node[slot].tag || r->node[slot].count) continue;
        if (r->node[slot].tag == T2 + 1) return snprintf(why, n, "slot %u of T2 is short-term", slot), 0;
        s += residents_weight(r, slot);
    }
    if (s != c->ns || resident(c, T1) + resident(c, T2) != c->ns + c->nl) return snprintf(why, n, "nS and nL have drifted"), 0;
    if (c->l.h.g.queue[B1].weight + c->l.h.g.queue[B2].weight > capacity)
        return snprintf(why, n, "the history is longer than the cache"), 0;
    if (!(c->p >= 0 && c->p <= (double)capacity)) return snprintf(why, n, "p is %g", c->p), 0;
    if (!(c->q >= 0 && c->q <= 2 * (double)capacity)) return snprintf(why, n, "q is %g", c->q), 0;
    return 1;
}

const evi_ops evi_cart = LISTS_OPS("cart", removed);
