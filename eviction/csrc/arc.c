/* arc.c: ARC (Megiddo and Modha, FAST 2003, figure 4), word for word when every weight is 1.
 *
 *    L1 = T1 (resident, seen once) + B1 (its ghosts)      L2 = T2 (seen again) + B2 (its ghosts)      p: the target weight of T1
 *
 * Sizes are weights and a step of p is scaled by the weight of the request. p is a double, as in the paper (|B2| / |B1| is not rounded).
 * Ghosts are nodes in arrays, at most 2 * slots + 2, found through an open-addressed table by key.
 * Invariants: T1 + B1 <= c; T1 + T2 + B1 + B2 <= 2c; 0 <= p <= c. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T1, T2 };
enum { B1, B2 };

typedef struct {
    evi_residents r; /* queues T1 and T2 */
    evi_ghosts h; /* queues B1 and B2 */
    double p;
    uint64_t coming; /* weight of a new key between its miss and its insert, else 0 */
    int from_b2, to; /* of the pending miss */
} arc;

static uint64_t weight_of(const arc *a, int list) { return a->r.queue[list].weight + a->h.g.queue[list].weight; }

static void trim(arc *a, uint64_t in_l1, uint64_t in_all) { /* make room in the lists for what comes */
    while (a->h.g.queue[B1].count && weight_of(a, 0) + in_l1 > a->r.capacity) ghosts_drop(&a->h, a->h.g.queue[B1].back);
    while (weight_of(a, 0) + weight_of(a, 1) + in_all > 2 * a->r.capacity && a->h.g.queue[B2].count)
        ghosts_drop(&a->h, a->h.g.queue[B2].back);
    while (weight_of(a, 0) + weight_of(a, 1) + in_all > 2 * a->r.capacity && a->h.g.queue[B1].count)
        ghosts_drop(&a->h, a->h.g.queue[B1].back);
}

static void destroy(void *policy) {
    arc *a = policy;
    residents_free(&a->r);
    ghosts_free(&a->h);
    free(a);
}

static void *create(const evi_config *config) {
    if (config->params[0] || config->slots > (1u << 29)) return NULL;
    arc *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    if (!residents_init(&a->r, config)) return free(a), NULL;
    if (!ghosts_init(&a->h, 2 * config->slots + 2, config->flags)) return residents_free(&a->r), free(a), NULL;
    return a;
}

static void hit(void *policy, uint32_t slot) { /* case I */
    arc *a = policy;
    residents_tell(&a->r, 'h', a->r.key[slot], slot);
    if (a->r.node[slot].tag == T2 + 1) {
        residents_touch(&a->r, slot);
        return;
    }
    residents_tell(&a->r, 'p', a->r.key[slot], slot);
    residents_unlink(&a->r, slot);
    residents_push(&a->r, T2, slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    arc *a = policy;
    double c = (double)a->r.capacity, b1 = (double)a->h.g.queue[B1].weight, b2 = (double)a->h.g.queue[B2].weight;
    weight += !weight;
    a->coming = 0;
    a->from_b2 = 0;
    if (weight > a->r.capacity) {
        residents_tell(&a->r, 'b', key, EVI_NONE);
        return 0;
    }
    uint32_t node = ghosts_find(&a->h, key);
    if (node == EVI_NONE) { /* case IV */
        a->to = T1;
        a->coming = weight;
        /* where T1 alone fills L1, its oldest will leave without a ghost, and B2 keeps all of its own (case IV A) */
        trim(a, weight, a->r.queue[T1].weight + weight > a->r.capacity ? 0 : weight);
        return 1;
    }
    double step = 0;
    if (a->h.g.node[node].tag == B1 + 1) { /* case II */
        step = (b2 > b1 ? b2 / b1 : 1) * (double)weight;
        a->p = a->p + step < c ? a->p + step : c;
    } else { /* case III */
        step = (b1 > b2 ? b1 / b2 : 1) * (double)weight;
        a->p = a->p > step ? a->p - step : 0;
        a->from_b2 = 1;
    }
    a->r.ghost_hits++;
    residents_tell(&a->r, 'g', key, EVI_NONE);
    ghosts_drop(&a->h, node);
    a->to = T2;
    trim(a, 0, weight);
    return 1;
}

static uint32_t evict(void *policy) { /* REPLACE, and the T1-only way of case IV A */
    arc *a = policy;
    const evi_queue *t1 = &a->r.queue[T1], *t2 = &a->r.queue[T2];
    double size = (double)t1->weight;
    int alone = a->coming && t1->weight + a->coming > a->r.capacity;
    int list = T2;
    if (t1->count && (alone || !t2->count || size > a->p || (a->from_b2 && size >= a->p))) list = T1;
    uint32_t slot = a->r.queue[list].back;
    if (slot == EVI_NONE) return slot;
    residents_unlink(&a->r, slot);
    if (!alone) {
        ghosts_add(&a->h, list, a->r.key[slot], residents_weight(&a->r, slot));
        trim(a, 0, a->coming);
    }
    residents_tell(&a->r, 'e', a->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    arc *a = policy;
    trim(a, 0, weight + !weight);
    residents_place(&a->r, a->to, slot, key, weight);
    residents_tell(&a->r, 'a', key, slot);
    a->coming = 0;
    a->from_b2 = 0;
}

static void removed(void *policy, uint32_t slot) {
    arc *a = policy;
    residents_unlink(&a->r, slot);
    residents_tell(&a->r, 'r', a->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    arc *a = policy;
    a->r.capacity = capacity;
    if (a->p > (double)capacity) a->p = (double)capacity;
    trim(a, 0, 0);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    arc *a = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "arc: p=%.6g\nT1:", a->p);
    residents_text(&a->r, T1, &text, "");
    text_add(&text, "T2:");
    residents_text(&a->r, T2, &text, "");
    text_add(&text, "B1:");
    residents_text(&a->h.g, B1, &text, "");
    text_add(&text, "B2:");
    residents_text(&a->h.g, B2, &text, "");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    arc *a = policy;
    if (!residents_check(&a->r, why, n) || !ghosts_check(&a->h, why, n)) return 0;
    if (weight_of(a, 0) > a->r.capacity) return snprintf(why, n, "T1 and B1 weigh more than the capacity"), 0;
    if (weight_of(a, 0) + weight_of(a, 1) > 2 * a->r.capacity) return snprintf(why, n, "the lists weigh more than twice the capacity"), 0;
    if (!(a->p >= 0 && a->p <= (double)a->r.capacity)) return snprintf(why, n, "p is %g", a->p), 0;
    for (uint32_t s = 0; s < a->r.slots; s++)
        if (a->r.node[s].tag && ghosts_find(&a->h, a->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    policy_layout(policy, out);
    ghosts_layout(&((arc *)policy)->h, out);
    out->bytes += sizeof(arc);
}

const evi_ops evi_arc = POLICY_OPS("arc", create);
