/* clockpro.c: CLOCK-Pro (Jiang, Chen and Zhang, CLOCK-Pro: an effective improvement of the CLOCK replacement, USENIX ATC 2005, 3.2 to 3.4), adaptive.
 *
 *    one clock of hot pages, resident cold pages and ghosts (cold, not resident, in their test period); three hands, all moving one way:
 *      hot:  a hot page without its bit turns cold; what it passes loses its test period, a ghost its place
 *      cold: the victim. With its bit and in test: hot; with its bit only: a new test period; without: out, and a ghost if in test
 *      test: ends test periods, so that ghosts stay within their bound
 *
 * The room for cold pages grows with every use in a test period, and shrinks with every test period that ends unused. A hit sets a bit and needs no lock.
 * While the cache fills pages are hot, as long as there is room for hot ones (with every page cold a loop would miss for ever: the paper is silent).
 * Parameters: cold=0.01 of the capacity, the least room for cold pages (2 units at least, where the capacity allows), ghosts=2 times the capacity.
 * Memory: slots nodes and ghosts * slots more. Worst case: a hand goes round twice at most; amortised O(1).
 * Invariants: hot pages weigh at most the capacity less the room for cold; ghosts weigh within their bound; no key is resident and a ghost. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

enum { HOT, COLD };

typedef struct {
    uint32_t next, prev;
} link;

typedef struct {
    evi_residents r; /* queues hot and cold (in no order); node.mark: the bit; node.count: in test */
    evi_ghosts h; /* ghost g is number slots + g in the clock */
    link *clock;
    uint32_t hand_hot, hand_cold, hand_test; /* EVI_NONE: the clock is empty */
    double share, ghost_share;
    uint64_t least, cold, ghosts_most; /* cold: the room for cold pages */
    int to; /* of the pending miss */
} clockpro;

static void bound_cold(clockpro *p) {
    uint64_t most = p->r.capacity > p->least ? p->r.capacity - p->least : p->r.capacity;
    if (most < p->least) most = p->least;
    if (p->cold < p->least) p->cold = p->least;
    if (p->cold > most) p->cold = most;
}

static void shares(clockpro *p) {
    p->least = (uint64_t)((double)p->r.capacity * p->share);
    if (p->least < 2) p->least = p->r.capacity < 2 ? p->r.capacity : 2;
    p->ghosts_most = (uint64_t)((double)p->r.capacity * p->ghost_share);
    bound_cold(p);
}

static uint64_t hot_most(const clockpro *p) { return p->r.capacity > p->cold ? p->r.capacity - p->cold : 0; }

static void destroy(void *policy) {
    clockpro *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    free(p->clock);
    free(p);
}

static void *create(const evi_config *config) {
    clockpro *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->share = 0.01;
    p->ghost_share = 2;
    const evi_param params[] = {{"cold", &p->share, 0, 1}, {"ghosts", &p->ghost_share, 0, 16}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    double nodes = (double)config->slots * p->ghost_share + 2;
    if (nodes > (1u << 29) || !ghosts_init(&p->h, (uint32_t)nodes, config->flags)) return residents_free(&p->r), free(p), NULL;
    p->clock = malloc(((size_t)config->slots + (size_t)nodes + 1) * sizeof *p->clock);
    if (!p->clock) return destroy(p), NULL;
    p->hand_hot = p->hand_cold = p->hand_test = EVI_NONE;
    shares(p);
    return p;
}

/* To the head of the clock: where the hot hand comes last. */
static void clock_add(clockpro *p, uint32_t x) {
    if (p->hand_hot == EVI_NONE) {
        p->clock[x] = (link){x, x};
        p->hand_hot = p->hand_cold = p->hand_test = x;
        return;
    }
    uint32_t next = p->hand_hot, prev = p->clock[next].prev;
    p->clock[x] = (link){next, prev};
    p->clock[prev].next = p->clock[next].prev = x;
}

static void clock_unlink(clockpro *p, uint32_t x) {
    link l = p->clock[x];
    uint32_t next = l.next == x ? EVI_NONE : l.next;
    if (p->hand_hot == x) p->hand_hot = next;
    if (p->hand_cold == x) p->hand_cold = next;
    if (p->hand_test == x) p->hand_test = next;
    p->clock[l.prev].next = l.next;
    p->clock[l.next].prev = l.prev;
}

/* Puts a ghost where a slot was. */
static void clock_replace(clockpro *p, uint32_t slot, uint32_t ghost) {
    link l = p->clock[slot];
    if (p->hand_hot == slot) p->hand_hot = ghost;
    if (p->hand_cold == slot) p->hand_cold = ghost;
    if (p->hand_test == slot) p->hand_test = ghost;
    if (l.next == slot) {
        p->clock[ghost] = (link){ghost, ghost};
        return;
    }
    p->clock[ghost] = l;
    p->clock[l.prev].next = p->clock[l.next].prev = ghost;
}

static inline int is_ghost(const clockpro *p, uint32_t x) { return x >= p->r.slots; }
static inline int is(const clockpro *p, uint32_t x, int what) { return x < p->r.slots && p->r.node[x].tag == what + 1; }

static void change(clockpro *p, uint32_t slot, int to) {
    residents_unlink(&p->r, slot);
    residents_push(&p->r, to, slot);
    residents_tell(&p->r, to == HOT ? 'p' : 'd', p->r.key[slot], slot);
}

static void drop_ghost(clockpro *p, uint32_t x) {
    clock_unlink(p, x);
    ghosts_drop(&p->h, x - p->r.slots);
}

/* The room for cold pages, by the weight of a use in a test period or of one that ended unused. */
static void grow_cold(clockpro *p, uint64_t by) {
    p->cold += by;
    bound_cold(p);
}

static void shrink_cold(clockpro *p, uint64_t by) {
    p->cold = p->cold > by ? p->cold - by : 0;
    bound_cold(p);
}

/* Ends the test period of x, if it is in one. */
static void end_test(clockpro *p, uint32_t x) {
    if (is_ghost(p, x)) {
        shrink_cold(p, residents_weight(&p->h.g, x - p->r.slots));
        drop_ghost(p, x);
    } else if (p->r.node[x].count) {
        p->r.node[x].count = 0;
        shrink_cold(p, residents_weight(&p->r, x));
    }
}

static void run_hot(clockpro *p) {
    while (p->r.queue[HOT].weight > hot_most(p)) {
        uint32_t x = p->hand_hot;
        p->hand_hot = p->clock[x].next;
        if (!is(p, x, HOT)) {
            end_test(p, x);
        } else if (p->r.node[x].mark) {
            p->r.node[x].mark = 0;
        } else {
            change(p, x, COLD);
        }
    }
}

static void run_test(clockpro *p) {
    while (p->h.g.queue[0].weight > p->ghosts_most) {
        uint32_t x = p->hand_test;
        p->hand_test = p->clock[x].next;
        if (!is(p, x, HOT)) end_test(p, x);
    }
}

static void hit(void *policy, uint32_t slot) {
    clockpro *p = policy;
    if (!__atomic_load_n(&p->r.node[slot].mark, __ATOMIC_RELAXED)) __atomic_store_n(&p->r.node[slot].mark, 1, __ATOMIC_RELAXED);
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    clockpro *p = policy;
    weight += !weight;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t ghost = ghosts_find(&p->h, key);
    p->to = ghost != EVI_NONE ? HOT : COLD;
    if (ghost == EVI_NONE) return 1;
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', key, EVI_NONE);
    drop_ghost(p, p->r.slots + ghost);
    grow_cold(p, weight);
    return 1;
}

static uint32_t leave(clockpro *p, uint32_t slot) {
    residents_unlink(&p->r, slot);
    if (p->r.node[slot].count && p->h.free_node != EVI_NONE) {
        clock_replace(p, slot, p->r.slots + ghosts_add(&p->h, 0, p->r.key[slot], residents_weight(&p->r, slot)));
        run_test(p);
    } else {
        clock_unlink(p, slot);
    }
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static uint32_t evict(void *policy) {
    clockpro *p = policy;
    if (p->hand_cold == EVI_NONE || !(p->r.queue[HOT].count + p->r.queue[COLD].count)) return EVI_NONE;
    for (;;) {
        if (!p->r.queue[COLD].count) { /* all are hot: make the hot hand find one that is not used */
            uint32_t x = p->hand_hot;
            p->hand_hot = p->clock[x].next;
            if (is(p, x, HOT) && !p->r.node[x].mark)
                change(p, x, COLD);
            else if (is(p, x, HOT))
                p->r.node[x].mark = 0;
            else
                end_test(p, x);
            continue;
        }
        uint32_t x = p->hand_cold;
        if (!is(p, x, COLD)) {
            p->hand_cold = p->clock[x].next;
            continue;
        }
        if (!p->r.node[x].mark) return leave(p, x);
        p->r.node[x].mark = 0;
        clock_unlink(p, x);
        clock_add(p, x);
        if (p->r.node[x].count) {
            p->r.node[x].count = 0;
            grow_cold(p, residents_weight(&p->r, x));
            change(p, x, HOT);
            run_hot(p);
        } else {
            p->r.node[x].count = 1;
        }
    }
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    clockpro *p = policy;
    weight += !weight;
    int filling = p->to == COLD && !p->h.g.queue[0].count && p->r.queue[HOT].weight + weight <= hot_most(p);
    int to = filling ? HOT : p->to;
    residents_place(&p->r, to, slot, key, weight);
    p->r.node[slot].count = to == COLD;
    residents_tell(&p->r, 'a', key, slot);
    clock_add(p, slot);
    run_hot(p);
}

static void removed(void *policy, uint32_t slot) {
    clockpro *p = policy;
    residents_unlink(&p->r, slot);
    clock_unlink(p, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    clockpro *p = policy;
    p->r.capacity = capacity;
    shares(p);
    run_hot(p);
    run_test(p);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    clockpro *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "clockpro: cold=%llu\n", (unsigned long long)p->cold);
    uint32_t x = p->hand_hot;
    if (x != EVI_NONE) do {
            uint64_t key = is_ghost(p, x) ? p->h.g.key[x - p->r.slots] : p->r.key[x];
            text_add(&text, " %llu/%s%s%s%s", (unsigned long long)key,
                     is_ghost(p, x)  ? "ghost"
                     : is(p, x, HOT) ? "hot"
                                     : "cold",
                     !is_ghost(p, x) && p->r.node[x].count ? "?" : "", !is_ghost(p, x) && p->r.node[x].mark ? "*" : "",
                     x == p->hand_cold ? "<" : "");
        } while ((x = p->clock[x].next) != p->hand_hot);
    text_add(&text, "\n");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    clockpro *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    if (p->r.queue[HOT].weight > hot_most(p)) return snprintf(why, n, "hot pages are over their share"), 0;
    if (p->h.g.queue[0].weight > p->ghosts_most) return snprintf(why, n, "ghosts are over their bound"), 0;
    uint32_t count = 0, x = p->hand_hot, all = p->r.queue[HOT].count + p->r.queue[COLD].count + p->h.g.queue[0].count;
    if (x != EVI_NONE) do {
            if (p->clock[p->clock[x].next].prev != x || count++ > all) return snprintf(why, n, "the clock is broken at %u", x), 0;
        } while ((x = p->clock[x].next) != p->hand_hot);
    if (count != all) return snprintf(why, n, "the clock has %u of %u", count, all), 0;
    for (uint32_t s = 0; s < p->r.slots; s++)
        if (p->r.node[s].tag && ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

static size_t memory(void *policy) {
    clockpro *p = policy;
    return sizeof *p + residents_memory(&p->r) + ghosts_memory(&p->h) + ((size_t)p->r.slots + p->h.g.slots + 1) * sizeof *p->clock;
}

const evi_ops evi_clockpro = POLICY_OPS("clockpro", 1, create);
