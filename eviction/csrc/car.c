/* car.c: CAR, clock with adaptive replacement (Bansal and Modha, FAST 2004, figure 2), word for word when every weight is 1.
 *
 *    T1 (clock, seen once) --hit--> T2 (clock, seen again)      B1, B2: their ghosts, LRU      p: the target weight of T1
 *
 * A hit only sets a bit, without a lock. Room is made in T1 while it weighs at least max(1, p), else in T2 (in the other one where one is empty): a
 * page whose bit is set goes to the tail of T2 without it, the first without a bit leaves and becomes a ghost. As in the figure p moves after room
 * was made, by the sizes the ghost lists have then, the ghost asked for included; it is a double: the ratios are not rounded.
 * For weights a step of p is scaled by the weight of the request, and as many ghosts go as the bounds ask for. No parameters.
 * Memory: slots + 2 slots + 2 nodes. A hand takes at most |T1| + |T2| + 1 steps, each but the last paid for by a hit.
 * Invariants (I1 to I4 of the paper): T1 + T2 <= c; T1 + B1 <= c; T1 + T2 + B1 + B2 <= 2c, hence T2 + B2 <= 2c; 0 <= p <= c. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/lists.h"
#include <stdio.h>

enum { T1, T2 };
enum { B1, B2 };

typedef struct {
    evi_lists l;
    double p;
    uint64_t was; /* the weight of the ghost of the pending miss */
    int from; /* its list, or -1 */
} car;

static uint64_t resident(const car *c, int list) { return c->l.r.queue[list].weight; }
static uint64_t ghost(const car *c, int list) { return c->l.h.g.queue[list].weight; }

/* The directory's bounds, with room for what comes to T1 and for what comes at all. */
static void trim(car *c, uint64_t in_t1, uint64_t in_all) {
    const evi_queue *b1 = &c->l.h.g.queue[B1], *b2 = &c->l.h.g.queue[B2];
    uint64_t capacity = c->l.r.capacity;
    while (b1->count && resident(c, T1) + b1->weight + in_t1 > capacity) ghosts_drop(&c->l.h, b1->back);
    uint64_t held = resident(c, T1) + resident(c, T2) + in_all;
    while (b2->count && held + b1->weight + b2->weight > 2 * capacity) ghosts_drop(&c->l.h, b2->back);
    while (b1->count && held + b1->weight > 2 * capacity) ghosts_drop(&c->l.h, b1->back);
}

static int resize(void *policy, uint64_t capacity) {
    car *c = policy;
    c->l.r.capacity = capacity;
    if (c->p > (double)capacity) c->p = (double)capacity;
    trim(c, 0, 0);
    return 0;
}

static void *create(const evi_config *config) {
    if (!policy_params(config->params, (evi_param[]){{0}})) return NULL;
    return lists_create(config, sizeof(car), 2);
}

static void hit(void *policy, uint32_t slot) { lists_mark(policy, slot, 1); }

static int miss(void *policy, uint64_t key, uint64_t weight) {
    car *c = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t node = ghosts_find(&c->l.h, key);
    c->from = -1;
    if (node == EVI_NONE) return 1;
    c->from = c->l.h.g.node[node].tag - 1;
    c->was = residents_weight(&c->l.h.g, node);
    lists_take(&c->l, node);
    return 1;
}

static uint32_t evict(void *policy) { /* replace() */
    car *c = policy;
    evi_residents *r = &c->l.r;
    for (;;) {
        double size = (double)resident(c, T1);
        int list = r->queue[T1].count && (size >= (c->p > 1 ? c->p : 1) || !r->queue[T2].count) ? T1 : T2;
        uint32_t slot = r->queue[list].back;
        if (slot == EVI_NONE) return slot;
        if (!r->node[slot].mark) {
            lists_leave(&c->l, slot, list, UINT64_MAX);
            trim(c, 0, 0); /* finds nothing while the cache is full: what left T1 is in B1 */
            return slot;
        }
        r->node[slot].mark = 0;
        lists_move(&c->l, T2, slot);
        if (list == T1) residents_tell(r, 'p', r->key[slot], slot);
    }
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    car *c = policy;
    double b1 = (double)ghost(c, B1), b2 = (double)ghost(c, B2), most = (double)c->l.r.capacity;
    weight += !weight;
    if (c->from == B1) {
        b1 += (double)c->was;
        c->p += (b2 > b1 ? b2 / b1 : 1) * (double)weight;
        if (c->p > most) c->p = most;
    } else if (c->from == B2) {
        b2 += (double)c->was;
        c->p -= (b1 > b2 ? b1 / b2 : 1) * (double)weight;
        if (c->p < 0) c->p = 0;
    }
    trim(c, c->from < 0 ? weight : 0, weight);
    lists_place(&c->l, c->from < 0 ? T1 : T2, slot, key, weight);
}

static size_t dump(void *policy, char *out, size_t n) {
    car *c = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "car: p=%.6g\n", c->p);
    lists_text(&c->l.r, T1, &text, "T1");
    lists_text(&c->l.r, T2, &text, "T2");
    lists_text(&c->l.h.g, B1, &text, "B1");
    lists_text(&c->l.h.g, B2, &text, "B2");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    car *c = policy;
    uint64_t capacity = c->l.r.capacity;
    if (!lists_check(&c->l, why, n)) return 0;
    if (resident(c, T1) + ghost(c, B1) > capacity) return snprintf(why, n, "T1 and B1 weigh more than the capacity"), 0;
    if (resident(c, T1) + resident(c, T2) + ghost(c, B1) + ghost(c, B2) > 2 * capacity)
        return snprintf(why, n, "the lists weigh more than twice the capacity"), 0;
    if (!(c->p >= 0 && c->p <= (double)capacity)) return snprintf(why, n, "p is %g", c->p), 0;
    return 1;
}

const evi_ops evi_car = LISTS_OPS("car", lists_remove);
