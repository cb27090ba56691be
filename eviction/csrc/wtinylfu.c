/* wtinylfu.c: W-TinyLFU (Einziger, Friedman and Manes, TinyLFU: a highly efficient cache admission policy, TOS 13(4), 2017, section 4),
 * with a window that adapts by hill climbing, as in Einziger, Eytan, Friedman and Manes, Adaptive software cache management, Middleware
 * 2018, but up a slope that is measured.
 *
 *    new --> window (LRU) --its oldest, against the oldest of probation--> main: probation, protected (SLRU)
 *                 |          the one asked for more often of late stays      |
 *                 +--> rejected (ghosts)                                     +--> evicted (ghosts)
 *
 * Every request counts in the sketch (sketch.h, which also says who wins), hit or miss. What is heavier than the window and than the
 * average resident does not fit into the window and meets main's oldest at once: refused, or into probation.
 *
 * The climber: a request for a key that the window lost lately says that a window larger by its weight had paid, one for a key that main
 * lost says so of main; the border moves by that weight. Both queues of ghosts are of one depth, a 16th of the capacity: the slope is that
 * of the hits at the border, and the border stands where both sides lose the same. The paper compares the hit ratios of samples of 10
 * requests a slot and turns round when it fell: that takes dozens of samples, and a change of the load looks to it like its own doing
 * (mean fraction of MIN 0.80 and 0.78 in two programs; this way 0.85).
 *
 * Parameters: window=0.01 of the capacity to begin with, and for good with adaptive=0 (at least one entry); protected=0.8 of the rest;
 * adaptive=1; aging=10 requests a resident between two halvings of the sketch.
 * Memory: slots nodes, 5.4 bytes a slot for the sketch, slots / 8 + 2 ghosts.
 * Invariants: the window holds at most its share or a single entry, protected at most its own; shares add up to the capacity, the window's
 * is from 1 to 0.8 of it once it moved; no resident is a ghost; ghosts weigh at most their depth each, or there is one.
 *
 * Beside other programs, mean difference in points of hit ratio. Static, Caffeine's simulator: +0.4, from small caches, for which our
 * sketch has a longer sample; above 512 entries +0.2, and either sign: theirs rounds the sample up to a power of two. Static, libcachesim:
 * +3.4, which does not count hits in the window and has no window at all in small caches; both with a window of 10 %: +0.9. Adaptive, Caffeine and its simulator: +1.4 and
 * +1.6, the climber. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include "eviction/csrc/sketch.h"
#include <stdio.h>

enum { WINDOW, PROBATION, PROTECTED };
enum { REJECTED, EVICTED }; /* ghosts of the window, of main */
#define MOST_WINDOW 0.8 /* the rest is kept for main, whose ghosts would otherwise end and with them the way back */

typedef struct {
    evi_residents r;
    evi_ghosts h;
    evi_sketch sketch;
    double protected_share;
    int adaptive;
    uint64_t window_most, protected_most, depth, coming; /* coming: weight of a key between its miss and its insert, else 0 */
    int to; /* the queue that it goes to */
} wtinylfu;

static void share_out(wtinylfu *p) { /* what the window leaves */
    p->protected_most = (uint64_t)((double)(p->r.capacity - p->window_most) * p->protected_share);
}

static uint64_t at_least_one(uint64_t share, uint64_t capacity) { return share ? share : capacity > 0; }

static void set_capacity(wtinylfu *p, uint64_t capacity, double window) {
    p->r.capacity = capacity;
    p->window_most = at_least_one((uint64_t)(window * (double)capacity), capacity);
    p->depth = at_least_one(capacity / 16, capacity);
    share_out(p);
}

static void destroy(void *policy) {
    wtinylfu *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    sketch_free(&p->sketch);
    free(p);
}

static void *create(const evi_config *config) {
    double window = 0.01, share = 0.8, adaptive = 1, aging = 10;
    const evi_param params[] = {
        {"window", &window, 0, 1}, {"protected", &share, 0, 1}, {"adaptive", &adaptive, 0, 1}, {"aging", &aging, 1, 1000}, {0}};
    if (!policy_params(config->params, params)) return NULL;
    wtinylfu *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    if (!residents_init(&p->r, config)) return free(p), NULL;
    if (!ghosts_init(&p->h, adaptive != 0 ? 2 * (config->slots / 16 + 1) : 0, config->flags)) return residents_free(&p->r), free(p), NULL;
    if (!sketch_init(&p->sketch, config->slots, aging, config->seed)) return residents_free(&p->r), ghosts_free(&p->h), free(p), NULL;
    p->protected_share = share;
    p->adaptive = adaptive != 0;
    set_capacity(p, config->capacity, p->adaptive && window > MOST_WINDOW ? MOST_WINDOW : window);
    return p;
}

static void demote(wtinylfu *p, int from) {
    uint32_t slot = p->r.queue[from].back;
    residents_unlink(&p->r, slot);
    residents_push(&p->r, PROBATION, slot);
    residents_tell(&p->r, 'd', p->r.key[slot], slot);
}

/* Brings window and protected down to their shares. Every slot that moves was moved up once: O(1) amortised. */
static void settle(wtinylfu *p) {
    const evi_queue *window = &p->r.queue[WINDOW];
    while (window->weight > p->window_most && window->count > 1) demote(p, WINDOW);
    while (p->r.queue[PROTECTED].weight > p->protected_most) demote(p, PROTECTED);
}

static void hit(void *policy, uint32_t slot) {
    wtinylfu *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    sketch_add(&p->sketch, p->r.key[slot]);
    if (p->r.node[slot].tag != PROBATION + 1) {
        residents_touch(&p->r, slot);
        return;
    }
    residents_unlink(&p->r, slot);
    residents_push(&p->r, PROTECTED, slot);
    residents_tell(&p->r, 'p', p->r.key[slot], slot);
    settle(p);
}

static void climb(wtinylfu *p, uint32_t ghost, uint64_t weight) {
    uint64_t most = at_least_one((uint64_t)(MOST_WINDOW * (double)p->r.capacity), p->r.capacity);
    int larger = p->h.g.node[ghost].tag == REJECTED + 1;
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', p->h.g.key[ghost], EVI_NONE);
    ghosts_drop(&p->h, ghost);
    if (larger && p->window_most < most) p->window_most = weight < most - p->window_most ? p->window_most + weight : most;
    if (!larger) p->window_most = weight < p->window_most ? p->window_most - weight : 1;
    share_out(p);
    settle(p);
}

static void remember(wtinylfu *p, int ghosts, uint64_t key, uint64_t weight) {
    if (!p->adaptive) return;
    const evi_queue *q = &p->h.g.queue[ghosts];
    while (q->count && (q->weight + weight > p->depth || q->count >= p->h.g.slots / 2)) ghosts_drop(&p->h, q->back);
    ghosts_add(&p->h, ghosts, key, weight);
}

static uint32_t oldest_of_main(const wtinylfu *p) {
    return p->r.queue[PROBATION].count ? p->r.queue[PROBATION].back : p->r.queue[PROTECTED].back;
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    wtinylfu *p = policy;
    const evi_queue *q = p->r.queue;
    uint64_t used = q[WINDOW].weight + q[PROBATION].weight + q[PROTECTED].weight,
             count = (uint64_t)q[WINDOW].count + q[PROBATION].count + q[PROTECTED].count;
    uint32_t ghost = p->adaptive ? ghosts_find(&p->h, key) : EVI_NONE;
    weight += !weight;
    sketch_add(&p->sketch, key);
    p->coming = 0;
    if (!policy_miss(policy, key, weight)) return 0;
    if (ghost != EVI_NONE) climb(p, ghost, weight);
    p->to = WINDOW;
    if (weight > p->window_most && (double)weight * (double)count > (double)used) {
        uint32_t victim = oldest_of_main(p);
        p->to = PROBATION;
        if (used + weight > p->r.capacity && victim != EVI_NONE && !sketch_admits(&p->sketch, key, p->r.key[victim])) {
            remember(p, REJECTED, key, weight);
            residents_tell(&p->r, 'b', key, EVI_NONE);
            return 0;
        }
    }
    p->coming = weight;
    return 1;
}

static uint32_t evict(void *policy) {
    wtinylfu *p = policy;
    const evi_queue *q = p->r.queue;
    uint32_t victim = oldest_of_main(p), candidate = q[WINDOW].back;
    uint64_t in_window = q[WINDOW].weight + (p->to == WINDOW ? p->coming : 0);
    int from = EVICTED;
    sketch_fit(&p->sketch,
               (uint64_t)q[WINDOW].count + q[PROBATION].count + q[PROTECTED].count); /* full: what the capacity holds of these weights */
    if (candidate != EVI_NONE && (victim == EVI_NONE || in_window > p->window_most)) {
        if (victim == EVI_NONE || !sketch_admits(&p->sketch, p->r.key[candidate], p->r.key[victim])) {
            victim = candidate;
            from = REJECTED;
        } else {
            demote(p, WINDOW);
        }
    }
    if (victim == EVI_NONE) return victim;
    residents_unlink(&p->r, victim);
    remember(p, from, p->r.key[victim], residents_weight(&p->r, victim));
    residents_tell(&p->r, 'e', p->r.key[victim], victim);
    return victim;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    wtinylfu *p = policy;
    residents_place(&p->r, p->to, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
    p->coming = 0;
    settle(p);
}

static void removed(void *policy, uint32_t slot) {
    wtinylfu *p = policy;
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { /* the window keeps its share of it */
    wtinylfu *p = policy;
    set_capacity(p, capacity, p->r.capacity ? (double)p->window_most / (double)p->r.capacity : 0.01);
    for (int i = REJECTED; i <= EVICTED; i++)
        while (p->h.g.queue[i].weight > p->depth && p->h.g.queue[i].count > 1) ghosts_drop(&p->h, p->h.g.queue[i].back);
    settle(p);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    wtinylfu *p = policy;
    static const char *const names[] = {"window", "probation", "protected"}, *const lost[] = {"rejected", "evicted"};
    evi_text text = {out, n, 0};
    text_add(&text, "wtinylfu: window=%llu\n", (unsigned long long)p->window_most);
    for (int i = WINDOW; i <= PROTECTED; i++) {
        text_add(&text, "%s:", names[i]);
        residents_text(&p->r, i, &text, "");
    }
    for (int i = REJECTED; i <= EVICTED && p->adaptive; i++) {
        text_add(&text, "%s:", lost[i]);
        residents_text(&p->h.g, i, &text, "");
    }
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    wtinylfu *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n) || !sketch_check(&p->sketch, why, n)) return 0;
    if (p->r.queue[WINDOW].weight > p->window_most && p->r.queue[WINDOW].count > 1)
        return snprintf(why, n, "the window is over its share"), 0;
    if (p->r.queue[PROTECTED].weight > p->protected_most) return snprintf(why, n, "protected is over its share"), 0;
    if (p->window_most > p->r.capacity || (p->r.capacity && !p->window_most))
        return snprintf(why, n, "the window's share is out of range"), 0;
    for (int i = REJECTED; i <= EVICTED; i++)
        if (p->h.g.queue[i].weight > p->depth && p->h.g.queue[i].count > 1) return snprintf(why, n, "ghosts %d are too deep", i), 0;
    for (uint32_t s = 0; s < p->r.slots; s++)
        if (p->r.node[s].tag && ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    wtinylfu *p = policy;
    policy_layout(policy, out);
    ghosts_layout(&p->h, out);
    out->bytes += sizeof(wtinylfu) + sketch_bytes(&p->sketch);
}

const evi_ops evi_wtinylfu = POLICY_OPS("wtinylfu", create);
