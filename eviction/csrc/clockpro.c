/* clockpro.c: CLOCK-Pro (Jiang, Chen and Zhang, CLOCK-Pro: an effective improvement of the CLOCK replacement, USENIX ATC 2005, 3.2 to 3.4), adaptive.
 *
 *    one list, newest first, of hot pages, resident cold pages and ghosts (cold, not resident, in their test period); a hand stands at the oldest of
 *    its kind and moves towards the newest:
 *      cold: the victim. Used in its test period: hot, if the hot hand finds room; used otherwise: a new test period; else out, a ghost if in test
 *      hot:  a used one goes to the front, an unused one turns cold and makes room; what the hand passes loses its test period, a ghost its place
 *      test: ends test periods, so that ghosts stay within their bound
 *
 * The room for cold pages grows with every use in a test period, and shrinks with every test period that ends unused. A hit sets a bit and needs no lock.
 * Where the paper is silent, as its authors' program: a page is not promoted when the hot hand comes to it before it finds an unused hot page; while the cache
 * fills, pages are hot as long as there is room for hot ones (with every page cold a loop would miss for ever).
 * Parameters: cold=0.01 of the capacity, the least room for cold pages (2 units at least, where the capacity allows), ghosts=2 times the capacity.
 * Memory: slots nodes and ghosts * slots more. Worst case: a hand passes every page once; amortised O(1).
 * Invariants: hot pages weigh at most the capacity less the least room for cold; ghosts weigh within their bound; no key is resident and a ghost; below
 * (on the older side of) a hand there is none of its kind, and below the hot hand none in test. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

enum { HOT, COLD };

typedef struct {
    uint32_t newer, older;
} link;

typedef struct {
    evi_residents r; /* queues hot and cold (in no order); node.mark: the bit; node.count: in test */
    evi_ghosts h; /* ghost g is number slots + g in the list */
    link *list;
    uint32_t top, bottom, hot, cold, test; /* ends of the list; hands, EVI_NONE: there is none of the kind above where it was */
    double share, ghost_share;
    uint64_t least, room, ghosts_most; /* room: for cold pages */
    uint32_t last; /* the slot that came in or was hit last: an immediate repeat tells nothing of reuse */
} clockpro;

static void bound_room(clockpro *p) {
    uint64_t most = p->r.capacity > p->least ? p->r.capacity - p->least : p->r.capacity;
    if (most < p->least) most = p->least;
    if (p->room < p->least) p->room = p->least;
    if (p->room > most) p->room = most;
}

static void shares(clockpro *p) {
    p->least = (uint64_t)((double)p->r.capacity * p->share);
    if (p->least < 2) p->least = p->r.capacity < 2 ? p->r.capacity : 2;
    p->ghosts_most = (uint64_t)((double)p->r.capacity * p->ghost_share);
    bound_room(p);
}

static uint64_t hot_most(const clockpro *p) { return p->r.capacity > p->room ? p->r.capacity - p->room : 0; }

static void destroy(void *policy) {
    clockpro *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    free(p->list);
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
    p->list = malloc(((size_t)config->slots + (size_t)nodes + 1) * sizeof *p->list);
    if (!p->list) return destroy(p), NULL;
    p->top = p->bottom = p->hot = p->cold = p->test = p->last = EVI_NONE;
    shares(p);
    return p;
}

static inline int is_ghost(const clockpro *p, uint32_t x) { return x >= p->r.slots; }
static inline int is_hot(const clockpro *p, uint32_t x) { return !is_ghost(p, x) && p->r.node[x].tag == HOT + 1; }
static inline int is_cold(const clockpro *p, uint32_t x) { return !is_ghost(p, x) && p->r.node[x].tag == COLD + 1; }
static inline int in_test(const clockpro *p, uint32_t x) { return is_ghost(p, x) || p->r.node[x].count; }

static void list_push(clockpro *p, uint32_t x) {
    p->list[x] = (link){EVI_NONE, p->top};
    if (p->top == EVI_NONE)
        p->bottom = x;
    else
        p->list[p->top].newer = x;
    p->top = x;
}

/* Hands that stand there move on. */
static void list_unlink(clockpro *p, uint32_t x) {
    link l = p->list[x];
    if (p->hot == x) p->hot = l.newer;
    if (p->cold == x) p->cold = l.newer;
    if (p->test == x) p->test = l.newer;
    if (l.newer == EVI_NONE)
        p->top = l.older;
    else
        p->list[l.newer].older = l.older;
    if (l.older == EVI_NONE)
        p->bottom = l.newer;
    else
        p->list[l.older].newer = l.newer;
}

/* Puts a ghost where a slot was. */
static void list_replace(clockpro *p, uint32_t slot, uint32_t ghost) {
    link l = p->list[ghost] = p->list[slot];
    if (p->hot == slot) p->hot = ghost;
    if (p->cold == slot) p->cold = ghost;
    if (p->test == slot) p->test = ghost;
    if (l.newer == EVI_NONE)
        p->top = ghost;
    else
        p->list[l.newer].older = ghost;
    if (l.older == EVI_NONE)
        p->bottom = ghost;
    else
        p->list[l.older].newer = ghost;
}

/* The hand at the oldest of its kind: from where it stands, or from the bottom when it had come to the end. */
static uint32_t settle_hand(clockpro *p, uint32_t *hand, int (*kind)(const clockpro *, uint32_t)) {
    if (*hand == EVI_NONE) *hand = p->bottom;
    while (*hand != EVI_NONE && !kind(p, *hand)) *hand = p->list[*hand].newer;
    return *hand;
}

static void to_front(clockpro *p, uint32_t slot, int as, int test) {
    list_unlink(p, slot);
    list_push(p, slot);
    p->r.node[slot].mark = 0;
    p->r.node[slot].count = (uint16_t)test;
    if (p->r.node[slot].tag == as + 1) return;
    residents_unlink(&p->r, slot);
    residents_push(&p->r, as, slot);
    residents_tell(&p->r, as == HOT ? 'p' : 'd', p->r.key[slot], slot);
}

static void drop_ghost(clockpro *p, uint32_t x) {
    list_unlink(p, x);
    ghosts_drop(&p->h, x - p->r.slots);
}

static void more_room(clockpro *p, uint64_t by) {
    p->room += by;
    bound_room(p);
}

static void less_room(clockpro *p, uint64_t by) {
    p->room = p->room > by ? p->room - by : 0;
    bound_room(p);
}

static void end_test(clockpro *p, uint32_t x) {
    if (is_ghost(p, x)) {
        less_room(p, residents_weight(&p->h.g, x - p->r.slots));
        drop_ghost(p, x);
    } else if (p->r.node[x].count) {
        p->r.node[x].count = 0;
        (p->r.node[x].mark ? more_room : less_room)(p, residents_weight(&p->r, x));
    }
}

/* The hot hand rests at the oldest hot page; what is below it has had its time. */
static void settle_hot(clockpro *p) {
    if (p->hot == EVI_NONE) p->hot = p->bottom;
    while (p->hot != EVI_NONE && !is_hot(p, p->hot)) {
        uint32_t x = p->hot;
        p->hot = p->list[x].newer;
        end_test(p, x);
    }
}

/* The hot hand goes on to an unused hot page, which turns cold. 0: it came to `until` first, or there is none. */
static int run_hot(clockpro *p, uint32_t until) {
    while (p->r.queue[HOT].count) {
        if (p->hot == EVI_NONE) p->hot = p->bottom; /* all were used: round again, to those whose bit it took */
        uint32_t x = p->hot;
        if (x == until) return 0;
        p->hot = p->list[x].newer;
        if (!is_hot(p, x)) {
            end_test(p, x);
        } else if (p->r.node[x].mark) {
            to_front(p, x, HOT, 0);
        } else {
            to_front(p, x, COLD, 0);
            settle_hot(p);
            return 1;
        }
    }
    return 0;
}

/* Whether x, which was used in its test period, may be hot. It may lose its place in the list on the way, if it is a ghost. */
static int can_promote(clockpro *p, uint32_t x, uint64_t key, uint64_t weight) {
    more_room(p, weight);
    while (p->r.queue[HOT].weight + weight > hot_most(p)) {
        int there = is_ghost(p, x) ? ghosts_find(&p->h, key) != EVI_NONE : p->r.node[x].count != 0;
        if (!there || !run_hot(p, x)) return 0;
    }
    return 1;
}

static void run_test(clockpro *p) {
    while (p->h.g.queue[0].weight > p->ghosts_most && settle_hand(p, &p->test, in_test) != EVI_NONE) {
        uint32_t x = p->test;
        p->test = p->list[x].newer;
        end_test(p, x);
    }
}

static void hit(void *policy, uint32_t slot) {
    clockpro *p = policy;
    if (__atomic_load_n(&p->last, __ATOMIC_RELAXED) != slot) {
        __atomic_store_n(&p->r.node[slot].mark, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&p->last, slot, __ATOMIC_RELAXED);
    }
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    clockpro *p = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    if (ghosts_find(&p->h, key) != EVI_NONE) {
        p->r.ghost_hits++;
        residents_tell(&p->r, 'g', key, EVI_NONE);
    }
    return 1;
}

static uint32_t leave(clockpro *p, uint32_t slot) {
    residents_unlink(&p->r, slot);
    if (p->r.node[slot].count && p->h.free_node != EVI_NONE) {
        list_replace(p, slot, p->r.slots + ghosts_add(&p->h, 0, p->r.key[slot], residents_weight(&p->r, slot)));
        run_test(p);
    } else {
        list_unlink(p, slot);
    }
    if (p->last == slot) p->last = EVI_NONE;
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static uint32_t evict(void *policy) {
    clockpro *p = policy;
    if (!(p->r.queue[HOT].count + p->r.queue[COLD].count)) return EVI_NONE;
    for (;;) {
        uint32_t x = settle_hand(p, &p->cold, is_cold);
        if (x == EVI_NONE) {
            run_hot(p, EVI_NONE); /* all are hot */
            continue;
        }
        if (!p->r.node[x].mark) return leave(p, x);
        int promote = p->r.node[x].count && can_promote(p, x, p->r.key[x], residents_weight(&p->r, x));
        to_front(p, x, promote ? HOT : COLD, !promote);
    }
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    clockpro *p = policy;
    weight += !weight;
    uint32_t ghost = ghosts_find(&p->h, key);
    int filling = !p->h.g.queue[0].count && !p->r.queue[COLD].count && p->r.queue[HOT].weight + weight <= hot_most(p);
    int hot = ghost == EVI_NONE ? filling : can_promote(p, p->r.slots + ghost, key, weight);
    if ((ghost = ghosts_find(&p->h, key)) != EVI_NONE) drop_ghost(p, p->r.slots + ghost);
    residents_place(&p->r, hot ? HOT : COLD, slot, key, weight);
    p->r.node[slot].count = !hot;
    residents_tell(&p->r, 'a', key, slot);
    list_push(p, slot);
    p->last = slot;
    if (p->r.queue[HOT].count) settle_hot(p);
}

static void removed(void *policy, uint32_t slot) {
    clockpro *p = policy;
    residents_unlink(&p->r, slot);
    list_unlink(p, slot);
    if (p->last == slot) p->last = EVI_NONE;
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    clockpro *p = policy;
    p->r.capacity = capacity;
    shares(p);
    while (p->r.queue[HOT].weight > hot_most(p)) run_hot(p, EVI_NONE);
    run_test(p);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    clockpro *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "clockpro: room=%llu\nlist:", (unsigned long long)p->room);
    for (uint32_t x = p->top; x != EVI_NONE; x = p->list[x].older) {
        uint64_t key = is_ghost(p, x) ? p->h.g.key[x - p->r.slots] : p->r.key[x];
        const char *what = is_ghost(p, x) ? "ghost" : is_hot(p, x) ? "hot" : p->r.node[x].count ? "test" : "cold";
        text_add(&text, " %llu/%s%s", (unsigned long long)key, what, !is_ghost(p, x) && p->r.node[x].mark ? "*" : "");
    }
    text_add(&text, "\n");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    clockpro *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    if (p->h.g.queue[0].weight > p->ghosts_most) return snprintf(why, n, "ghosts are over their bound"), 0;
    uint32_t count = 0, all = p->r.queue[HOT].count + p->r.queue[COLD].count + p->h.g.queue[0].count, last = EVI_NONE;
    for (uint32_t x = p->top; x != EVI_NONE && count <= all; last = x, x = p->list[x].older, count++)
        if (p->list[x].newer != last) return snprintf(why, n, "the list is broken at %u", x), 0;
    if (count != all || last != p->bottom) return snprintf(why, n, "the list has %u of %u", count, all), 0;
    for (uint32_t x = p->bottom; x != EVI_NONE && x != p->cold && p->cold != EVI_NONE; x = p->list[x].newer)
        if (is_cold(p, x)) return snprintf(why, n, "slot %u is cold and below the cold hand", x), 0;
    for (uint32_t s = 0; s < p->r.slots; s++)
        if (p->r.node[s].tag && ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    clockpro *p = policy;
    policy_layout(policy, out);
    ghosts_layout(&p->h, out);
    out->bytes += sizeof(clockpro) + ((size_t)p->r.slots + p->h.g.slots + 1) * sizeof *p->list;
}

const evi_ops evi_clockpro = POLICY_OPS("clockpro", 1, create);
