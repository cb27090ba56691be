/* clockpro.c: CLOCK-Pro (Jiang, Chen and Zhang, USENIX ATC 2005, 3.2 to 3.4), adaptive, and CLOCK-Pro+ (Li, SYSTOR 2019), which adapts otherwise.
 *
 *    one list by recency   old ->  . g . g g | c c . c? H c? . H . c? H c ... c?   <- head (new)
 *      H hot, c resident cold, g ghost (cold, not resident); ? in its test period, as are all ghosts; any resident may have its reference bit
 *      hand hot: the oldest H, what is older has no test period     hand cold: the oldest c, next victim     hand test: the oldest in test
 *
 * A page changes place only to go to the head. So the one list is three queues by time (hot, cold, ghosts), merged by the stamp a node holds
 * (46 bits, compared modulo), and the hands are their backs. A ghost is older than every resident cold page: it was at the hand cold.
 *
 *      cold hand: bit and test: becomes hot, if the hot hand finds room, else starts a new test; bit alone: starts a test; no bit: leaves, a ghost if
 *                 in test; ghosts beyond `ghosts` times the capacity (2; CLOCK-Pro+ 1) end their test
 *      hot hand:  bit: cleared, to the head; none: becomes cold, at the head; ends every test it passes. A promotion is given up when the hand comes to
 *                 the page to promote first (the authors' program)
 *      target of cold pages: clockpro: plus a page per use in a test period, minus one per test that ends unused; clockpro+: plus max(1, demoted/ghosts)
 *                 when a ghost is used, minus max(1, ghosts/demoted) when a page that the hot hand demoted is (integer division)
 *
 * A hit only sets the bit and needs no lock. An immediate repeat of a miss sets none: it is one correlated reference (3.3), as in the authors' program.
 * The paper is silent about warming up: pages are hot until only the least share of cold ones is free (all cold, a loop would never hit).
 * Params, in percent of the capacity: `cold` (1), the least target, at least 2 pages; `most` (99; CLOCK-Pro+ 50), the greatest. Where no cold page is
 * left (weights, removals) the hot hand makes one. Memory: 24 bytes a slot, 32 with weights, and 40 or 48 a ghost, ghosts * slots + 2 of them.
 * Other programs: hit for hit the simulator of Caffeine on all reference traces (155 cells each kind). The authors' own has 1.4 points less on the mean
 * and 33 less on corda-vaultservice@512 (0.5 %): its target ends up at the least share, where nothing but the hot pages of the start is kept. libCacheSim's has 21 less: it fills half of the cache.
 * Worst case of a request: all bits cleared, all tests ended; amortised O(1), as each such step is paid by a hit or a miss of its own.
 * Invariants: queues by time; nothing older than the oldest hot page is in test; hot pages leave the least cold share; ghosts within their bound. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

enum { HOT, COLD };
#define TEST 0x8000u /* flags beside the high bits of the stamp */
#define DEMOTED 0x4000u
#define STAMP_BITS 46

typedef struct {
    evi_residents r; /* queues HOT and COLD; mark: the reference bit */
    evi_ghosts h;
    int plus;
    uint64_t now, target, least, most, ghosts_most, demoted; /* demoted: weight of the cold pages with that flag */
    double cold_share, most_share, ghost_share; /* params */
    uint32_t hand; /* in COLD: what is older has been passed by the hot hand */
    uint32_t last; /* the slot filled last, EVI_NONE once another was used */
    uint32_t pending; /* the ghost that is requested, EVI_NONE once its test has ended */
} clockpro;

static uint64_t stamp(const evi_node *n) { return (uint64_t)(n->count & 0x3FFF) << 32 | n->extra; }
static int older(uint64_t a, uint64_t b) { return (int)((a - b) >> (STAMP_BITS - 1) & 1); }

static void set_stamp(evi_node *n, uint64_t at, uint32_t flags) {
    n->count = (uint16_t)((at >> 32 & 0x3FFF) | flags);
    n->extra = (uint32_t)at;
}

static void stamped(clockpro *p, uint32_t slot, uint32_t flags) { /* what was just pushed to a front */
    set_stamp(&p->r.node[slot], ++p->now, flags);
    p->r.node[slot].mark = 0;
    if (p->r.node[slot].tag == COLD + 1 && p->hand == EVI_NONE) p->hand = slot;
}

static void unlink_page(clockpro *p, uint32_t slot) {
    if (p->hand == slot) p->hand = p->r.node[slot].newer;
    if (p->r.node[slot].count & DEMOTED) p->demoted -= residents_weight(&p->r, slot);
    residents_unlink(&p->r, slot);
}

static void to_head(clockpro *p, uint32_t slot, int queue, uint32_t flags) {
    int was = p->r.node[slot].tag - 1;
    unlink_page(p, slot);
    residents_push(&p->r, queue, slot);
    stamped(p, slot, flags);
    if (was != queue) residents_tell(&p->r, queue == HOT ? 'p' : 'd', p->r.key[slot], slot);
}

static void more_cold(clockpro *p, uint64_t by) { p->target = p->most - p->target > by ? p->target + by : p->most; }
static void less_cold(clockpro *p, uint64_t by) { p->target = p->target - p->least > by ? p->target - by : p->least; }

static void demoted_used(clockpro *p, uint32_t slot) { /* CLOCK-Pro+: the hot share was too small */
    uint64_t d = p->h.g.queue[0].weight / p->demoted, w = residents_weight(&p->r, slot);
    p->r.node[slot].count &= (uint16_t)~DEMOTED;
    less_cold(p, (d ? d : 1) * w);
    p->demoted -= w;
}

static void forget_ghost(clockpro *p, uint32_t node) {
    if (p->pending == node) p->pending = EVI_NONE;
    ghosts_drop(&p->h, node);
}

static void end_ghost(clockpro *p, uint32_t node) { /* its test period ended unused */
    if (!p->plus) less_cold(p, residents_weight(&p->h.g, node));
    forget_ghost(p, node);
}

/* The hot hand goes past what is older than `until`; only where it looks for a hot page (`looking`) does it heed the bits of demoted ones. */
static void pass(clockpro *p, uint64_t until, int looking) {
    const evi_queue *ghosts = &p->h.g.queue[0];
    while (ghosts->count && older(stamp(&p->h.g.node[ghosts->back]), until)) end_ghost(p, ghosts->back);
    while (p->hand != EVI_NONE && older(stamp(&p->r.node[p->hand]), until)) {
        evi_node *n = &p->r.node[p->hand];
        if (n->count & TEST) {
            n->count &= (uint16_t)~TEST;
            if (!p->plus) (n->mark ? more_cold : less_cold)(p, residents_weight(&p->r, p->hand));
        } else if (looking && n->count & DEMOTED && n->mark) {
            demoted_used(p, p->hand);
        }
        p->hand = n->newer;
    }
}

static void settle(clockpro *p) { /* the hot hand stops at the oldest hot page */
    uint32_t slot = p->r.queue[HOT].back;
    if (slot != EVI_NONE) pass(p, stamp(&p->r.node[slot]), 0);
}

/* Turns the oldest hot page without its bit cold. 0: there is none older than the trigger. */
static int run_hot(clockpro *p, uint64_t trigger) {
    uint32_t slot;
    while ((slot = p->r.queue[HOT].back) != EVI_NONE) {
        if (!p->r.node[slot].mark) {
            if (p->plus) p->demoted += residents_weight(&p->r, slot);
            to_head(p, slot, COLD, p->plus ? DEMOTED : 0);
            settle(p);
            return 1;
        }
        to_head(p, slot, HOT, 0);
        uint64_t next = stamp(&p->r.node[p->r.queue[HOT].back]);
        int met = older(trigger, next);
        pass(p, met ? trigger : next, 1);
        if (met) return settle(p), 0;
    }
    return 0;
}

/* Whether a page used in its test period can be hot; slot EVI_NONE: the pending ghost. */
static int can_promote(clockpro *p, uint32_t slot, uint64_t weight) {
    int ghost = slot == EVI_NONE;
    uint64_t at = ghost ? stamp(&p->h.g.node[p->pending]) : stamp(&p->r.node[slot]);
    uint64_t d = p->plus && ghost ? p->demoted / p->h.g.queue[0].weight : 1;
    if (ghost || !p->plus) more_cold(p, (d ? d : 1) * weight);
    if (!ghost) p->r.node[slot].mark = 0;
    while (p->r.queue[HOT].weight + weight > p->r.capacity - p->target) {
        int in_test = ghost ? p->pending != EVI_NONE : p->r.node[slot].count & TEST;
        if (!in_test || !run_hot(p, at)) return 0;
    }
    return 1;
}

static void shares(clockpro *p) {
    double c = (double)p->r.capacity;
    p->least = (uint64_t)(c * p->cold_share / 100);
    if (p->least < 2) p->least = p->r.capacity > 2 ? 2 : p->r.capacity > 0;
    p->most = (uint64_t)(c * p->most_share / 100);
    if (p->most > p->r.capacity - p->least) p->most = p->r.capacity - p->least;
    if (p->most < p->least) p->most = p->least;
    p->target = p->target < p->least ? p->least : p->target > p->most ? p->most : p->target;
    p->ghosts_most = (uint64_t)(c * p->ghost_share);
}

static void destroy(void *policy) {
    clockpro *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    free(p);
}

static void *make(const evi_config *config, int plus) {
    clockpro *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->plus = plus;
    p->cold_share = 1;
    p->most_share = plus ? 50 : 99;
    p->ghost_share = plus ? 1 : 2;
    p->hand = p->last = p->pending = EVI_NONE;
    const evi_param params[] = {
        {"cold", &p->cold_share, 0, 100}, {"most", &p->most_share, 0, 100}, {"ghosts", &p->ghost_share, 0, 64}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    double nodes = config->slots * p->ghost_share + 2;
    if (nodes > 1 << 29 || !ghosts_init(&p->h, (uint32_t)nodes, config->flags)) return residents_free(&p->r), free(p), NULL;
    shares(p);
    return p;
}

static void *create(const evi_config *config) { return make(config, 0); }
static void *create_plus(const evi_config *config) { return make(config, 1); }

static void hit(void *policy, uint32_t slot) {
    clockpro *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    uint32_t last = __atomic_load_n(&p->last, __ATOMIC_RELAXED);
    if (last == slot) return;
    if (last != EVI_NONE) __atomic_store_n(&p->last, EVI_NONE, __ATOMIC_RELAXED);
    if (!__atomic_load_n(&p->r.node[slot].mark, __ATOMIC_RELAXED)) __atomic_store_n(&p->r.node[slot].mark, 1, __ATOMIC_RELAXED);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    clockpro *p = policy;
    p->pending = EVI_NONE;
    if (!policy_miss(policy, key, weight)) return 0;
    p->pending = ghosts_find(&p->h, key);
    if (p->pending == EVI_NONE) return 1;
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', key, EVI_NONE);
    return 1;
}

static void leave_ghost(clockpro *p, uint32_t slot) {
    const evi_queue *ghosts = &p->h.g.queue[0];
    if (ghosts->count == p->h.g.slots) end_ghost(p, ghosts->back);
    uint32_t node = ghosts_add(&p->h, 0, p->r.key[slot], residents_weight(&p->r, slot));
    set_stamp(&p->h.g.node[node], stamp(&p->r.node[slot]), 0);
    while (ghosts->weight > p->ghosts_most) end_ghost(p, ghosts->back);
}

static uint32_t evict(void *policy) {
    clockpro *p = policy;
    for (;;) {
        uint32_t slot = p->r.queue[COLD].back;
        if (slot == EVI_NONE && !run_hot(p, p->now + 1 + p->r.slots)) return EVI_NONE; /* a trigger that no hot page gets beyond */
        if (slot == EVI_NONE) continue;
        evi_node *n = &p->r.node[slot];
        if (!n->mark) {
            unlink_page(p, slot);
            if (n->count & TEST) leave_ghost(p, slot);
            if (p->last == slot) p->last = EVI_NONE;
            residents_tell(&p->r, 'e', p->r.key[slot], slot);
            return slot;
        }
        int hot = n->count & TEST && can_promote(p, slot, residents_weight(&p->r, slot));
        if (n->count & DEMOTED) demoted_used(p, slot);
        to_head(p, slot, hot ? HOT : COLD, hot ? 0 : TEST);
        settle(p); /* it may be the only hot page */
    }
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    clockpro *p = policy;
    weight += !weight;
    uint64_t hot_weight = p->r.queue[HOT].weight + weight, all = hot_weight + p->r.queue[COLD].weight;
    int hot = all <= p->r.capacity - p->least && hot_weight <= p->r.capacity - p->target; /* warming up */
    if (!hot && p->pending != EVI_NONE) hot = can_promote(p, EVI_NONE, weight);
    if (p->pending != EVI_NONE) forget_ghost(p, p->pending);
    residents_place(&p->r, hot ? HOT : COLD, slot, key, weight);
    stamped(p, slot, hot ? 0 : TEST);
    settle(p);
    p->last = slot;
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    clockpro *p = policy;
    unlink_page(p, slot);
    settle(p);
    if (p->last == slot) p->last = EVI_NONE;
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    clockpro *p = policy;
    p->r.capacity = capacity;
    shares(p);
    while (p->r.queue[HOT].weight > capacity - p->least) run_hot(p, p->now + 1 + p->r.slots);
    while (p->h.g.queue[0].weight > p->ghosts_most) end_ghost(p, p->h.g.queue[0].back);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    clockpro *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "%s: cold=%llu\nhot:", p->plus ? "clockpro+" : "clockpro", (unsigned long long)p->target);
    residents_text(&p->r, HOT, &text, "*");
    text_add(&text, "cold:");
    for (uint32_t s = p->r.queue[COLD].front; s != EVI_NONE; s = p->r.node[s].older)
        text_add(&text, " %llu%s%s%s", (unsigned long long)p->r.key[s], p->r.node[s].count & TEST ? "?" : "",
                 p->r.node[s].count & DEMOTED ? "!" : "", p->r.node[s].mark ? "*" : "");
    text_add(&text, "\nghosts:");
    residents_text(&p->h.g, 0, &text, "");
    return text.used;
}

static int by_time(const evi_residents *r, int queue) {
    for (uint32_t s = r->queue[queue].front; s != EVI_NONE && r->node[s].older != EVI_NONE; s = r->node[s].older)
        if (!older(stamp(&r->node[r->node[s].older]), stamp(&r->node[s]))) return 0;
    return 1;
}

static int check(void *policy, char *why, size_t n) {
    clockpro *p = policy;
    const evi_queue *hot = &p->r.queue[HOT], *cold = &p->r.queue[COLD], *ghosts = &p->h.g.queue[0];
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    if (!by_time(&p->r, HOT) || !by_time(&p->r, COLD) || !by_time(&p->h.g, 0)) return snprintf(why, n, "a queue does not lie by time"), 0;
    if (hot->weight > p->r.capacity - p->least) return snprintf(why, n, "hot pages leave less than the least share of cold ones"), 0;
    if (p->target < p->least || p->target > p->most) return snprintf(why, n, "the target is %llu", (unsigned long long)p->target), 0;
    if (ghosts->weight > p->ghosts_most) return snprintf(why, n, "ghosts weigh %llu", (unsigned long long)ghosts->weight), 0;
    if (ghosts->count && cold->count && older(stamp(&p->r.node[cold->back]), stamp(&p->h.g.node[ghosts->front])))
        return snprintf(why, n, "a ghost is newer than a resident cold page"), 0;
    if (ghosts->count && hot->count && older(stamp(&p->h.g.node[ghosts->back]), stamp(&p->r.node[hot->back])))
        return snprintf(why, n, "a ghost is older than the oldest hot page"), 0;
    uint64_t demoted = 0;
    for (uint32_t s = cold->front; s != EVI_NONE; s = p->r.node[s].older) {
        if (p->r.node[s].count & DEMOTED) demoted += residents_weight(&p->r, s);
        if (p->r.node[s].count & TEST && hot->count && older(stamp(&p->r.node[s]), stamp(&p->r.node[hot->back])))
            return snprintf(why, n, "slot %u is in test, older than the oldest hot page", s), 0;
    }
    if (demoted != p->demoted) return snprintf(why, n, "the demoted weigh %llu", (unsigned long long)demoted), 0;
    for (uint32_t s = 0; s < p->r.slots; s++)
        if (p->r.node[s].tag && ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    policy_layout(policy, out);
    ghosts_layout(&((clockpro *)policy)->h, out);
    out->bytes += sizeof(clockpro);
}

const evi_ops evi_clockpro = POLICY_OPS("clockpro", create);
const evi_ops evi_clockpro_plus = POLICY_OPS("clockpro+", create_plus);
