/* wtinylfu.c: W-TinyLFU (Einziger, Friedman and Manes, TinyLFU: a highly efficient cache admission policy, TOS 2017, section 4), adaptive by hill climbing
 * (Einziger, Eytan, Friedman and Manes, Adaptive software cache management, Middleware 2018, section 4.2).
 *
 *    window (LRU) --its oldest, against the oldest of probation: the one asked for more often of late stays--> main: probation, protected (SLRU 20 / 80)
 *
 * Every request counts in the sketch (sketch.h), hit or miss. A tie rejects the newcomer; one that is warm (6 or more) is let in once in 128 all the
 * same, so that nobody can shut keys out by flooding the sketch. The climber compares the hit ratio of a sample with that of the one before: worse turns
 * it round, a leap makes its step large again, else the step decays.
 * Parameters: window=0.01 of the capacity to begin with (at least one unit), protected=0.8 of the rest, adaptive=1, sample, step, decay, restart (of
 * the climber: requests per unit of capacity, share of the capacity, factor, change of the hit ratio).
 * Memory: slots nodes and 4 to 8 bytes a slot for the sketch. No ghosts.
 * Invariants: the window holds at most its share, protected at most its own, but for a single heavy entry; shares add up to the capacity. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include "eviction/csrc/sketch.h"
#include <stdio.h>
#include <stdlib.h>

enum { WINDOW, PROBATION, PROTECTED };
#define WARM 6

typedef struct {
    evi_residents r;
    evi_sketch sketch;
    double window, protected_share, adaptive, per_key, step_share, decay, restart; /* window: share of the capacity */
    double step, last_ratio; /* of the climber; last_ratio < 0: no sample yet */
    uint64_t window_most, protected_most, hits, requests, sample, random, coming;
} wtinylfu;

static void shares(wtinylfu *p) {
    double c = (double)p->r.capacity, w = p->window * c;
    p->window_most = w < 1 ? 1 : (uint64_t)w;
    if (p->window_most > p->r.capacity) p->window_most = p->r.capacity;
    p->protected_most = (uint64_t)((double)(p->r.capacity - p->window_most) * p->protected_share);
}

static void destroy(void *policy) {
    wtinylfu *p = policy;
    residents_free(&p->r);
    sketch_free(&p->sketch);
    free(p);
}

static void *create(const evi_config *config) {
    wtinylfu *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->window = 0.01;
    p->protected_share = 0.8;
    p->adaptive = 1;
    p->per_key = 10;
    p->step_share = 0.0625;
    p->decay = 0.98;
    p->restart = 0.05;
    double sample = 10;
    const evi_param params[] = {{"window", &p->window, 0, 1},    {"protected", &p->protected_share, 0, 1}, {"adaptive", &p->adaptive, 0, 1},
                                {"aging", &p->per_key, 1, 1000}, {"sample", &sample, 0.01, 1000},          {"step", &p->step_share, 0, 1},
                                {"decay", &p->decay, 0, 1},      {"restart", &p->restart, 0, 1},           {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    if (!sketch_init(&p->sketch, config->slots, p->per_key, config->seed)) return residents_free(&p->r), free(p), NULL;
    p->random = config->seed;
    p->sample = (uint64_t)((double)config->slots * sample);
    p->sample += p->sample < 16 ? 16 : 0;
    p->step = p->step_share;
    p->last_ratio = -1;
    shares(p);
    return p;
}

/* Brings every part down to its share, from the window and protected into probation. */
static void settle(wtinylfu *p, int part, uint64_t most) {
    while (p->r.queue[part].weight > most && p->r.queue[part].count > (part == WINDOW)) {
        uint32_t slot = p->r.queue[part].back;
        residents_unlink(&p->r, slot);
        residents_push(&p->r, PROBATION, slot);
        residents_tell(&p->r, 'd', p->r.key[slot], slot);
    }
}

static void climb(wtinylfu *p) {
    double ratio = (double)p->hits / (double)p->requests, change = ratio - p->last_ratio;
    p->hits = p->requests = 0;
    if (p->last_ratio >= 0) {
        if (change < 0) p->step = -p->step;
        double now = p->window + p->step;
        p->window = now < 0 ? 0 : now > 0.8 ? 0.8 : now;
        double size = change >= p->restart || change <= -p->restart ? p->step_share : (p->step < 0 ? -p->step : p->step) * p->decay;
        p->step = p->step < 0 ? -size : size;
        shares(p);
        settle(p, WINDOW, p->window_most);
        settle(p, PROTECTED, p->protected_most);
    }
    p->last_ratio = ratio;
}

static void asked(wtinylfu *p, uint64_t key, int hit) {
    sketch_add(&p->sketch, key);
    p->hits += (uint64_t)hit;
    if (++p->requests >= p->sample && p->adaptive != 0) climb(p);
}

static void hit(void *policy, uint32_t slot) {
    wtinylfu *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    if (p->r.node[slot].tag != PROBATION + 1) {
        residents_touch(&p->r, slot);
    } else {
        residents_unlink(&p->r, slot);
        residents_push(&p->r, PROTECTED, slot);
        residents_tell(&p->r, 'p', p->r.key[slot], slot);
        settle(p, PROTECTED, p->protected_most);
    }
    asked(p, p->r.key[slot], 1);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    wtinylfu *p = policy;
    asked(p, key, 0);
    p->coming = weight + !weight;
    return policy_miss(policy, key, weight);
}

static int admit(wtinylfu *p, uint32_t candidate, uint32_t victim) {
    uint32_t mine = sketch_count(&p->sketch, p->r.key[candidate]), theirs = sketch_count(&p->sketch, p->r.key[victim]);
    if (mine > theirs) return 1;
    return mine >= WARM && !(policy_random(&p->random) & 127);
}

static uint32_t evict(void *policy) {
    wtinylfu *p = policy;
    uint32_t victim = p->r.queue[PROBATION].back;
    if (victim == EVI_NONE) victim = p->r.queue[PROTECTED].back;
    uint32_t candidate = p->r.queue[WINDOW].weight + p->coming > p->window_most || victim == EVI_NONE ? p->r.queue[WINDOW].back : EVI_NONE;
    if (candidate != EVI_NONE && victim != EVI_NONE) {
        if (admit(p, candidate, victim)) {
            residents_unlink(&p->r, candidate);
            residents_push(&p->r, PROBATION, candidate);
            residents_tell(&p->r, 'd', p->r.key[candidate], candidate);
        } else {
            victim = candidate;
        }
    } else if (candidate != EVI_NONE) {
        victim = candidate;
    }
    if (victim == EVI_NONE) return victim;
    residents_unlink(&p->r, victim);
    residents_tell(&p->r, 'e', p->r.key[victim], victim);
    return victim;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    wtinylfu *p = policy;
    residents_place(&p->r, WINDOW, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
    settle(p, WINDOW, p->window_most);
    p->coming = 0;
}

static void removed(void *policy, uint32_t slot) {
    wtinylfu *p = policy;
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    wtinylfu *p = policy;
    p->r.capacity = capacity;
    shares(p);
    settle(p, WINDOW, p->window_most);
    settle(p, PROTECTED, p->protected_most);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    wtinylfu *p = policy;
    static const char *const names[] = {"window", "probation", "protected"};
    evi_text text = {out, n, 0};
    text_add(&text, "wtinylfu: window=%llu\n", (unsigned long long)p->window_most);
    for (int i = WINDOW; i <= PROTECTED; i++) {
        text_add(&text, "%s:", names[i]);
        residents_text(&p->r, i, &text, "");
    }
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    wtinylfu *p = policy;
    if (!residents_check(&p->r, why, n)) return 0;
    if (p->r.queue[WINDOW].weight > p->window_most && p->r.queue[WINDOW].count > 1)
        return snprintf(why, n, "the window is over its share"), 0;
    if (p->r.queue[PROTECTED].weight > p->protected_most) return snprintf(why, n, "protected is over its share"), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    wtinylfu *p = policy;
    policy_layout(policy, out);
    out->bytes += sizeof(wtinylfu) + sketch_memory(&p->sketch);
}

const evi_ops evi_wtinylfu = POLICY_OPS("wtinylfu", 0, create);
