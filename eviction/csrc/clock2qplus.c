/* clock2qplus.c: Clock2Q+ (Zhai et al., Clock2Q+: a simple and efficient replacement algorithm for metadata cache in VMware vSAN, 2025, section 3.4).
 *
 *    S (small FIFO, 10 %): [ correlation window | rest ] --referenced--> M (clock)        S --not referenced--> G (ghosts, 50 %) --asked for--> M
 *
 * A hit sets the reference bit, without a lock, but not within the correlation window: the newest blocks of S, up to half of its share. Reuse
 * that follows an insertion at once is correlated (several keys of one leaf of a tree) and tells nothing. Room is made in S while it holds its share
 * or more (or M is empty), else by the hand of M, which spares referenced blocks once; what leaves M leaves no ghost.
 * The window is told by a flag: a block leaves it when what came to S after it weighs `window` of S's share (not rounded, so that an S of one
 * entry has a window). What the paper leaves open: a block goes to M behind the hand, its bit clear; until the first eviction, blocks for which S
 * has no room go to M, as in libCacheSim's program.
 * Parameters: small=0.1 (at least one entry), window=0.5, ghosts=0.5, hand=0 (section 5.5.2: spared blocks after which the hand of M takes the next
 * one anyway; 0: no bound but |S| + |M| + 1 steps, each but the last paid for by a hit).
 * Memory: slots + ghosts * slots + 2 nodes.
 * Invariants: no key is resident and a ghost; ghosts weigh at most their share, or are one; the window is the newest part of S. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/lists.h"
#include <stdio.h>

enum { S, M };
enum { G };

typedef struct {
    evi_lists l; /* node.mark: referenced; node.count: 1 within the window */
    double small_share, window_share, ghost_share;
    uint64_t small, room;
    uint64_t inside; /* weight of the window's blocks */
    uint32_t edge; /* the oldest of them */
    uint32_t hand;
    int again, warm; /* the pending miss was a ghost; something was evicted */
} clock2q;

/* Blocks that are too old for the window leave it. */
static void age(clock2q *c) {
    double window = (double)c->small * c->window_share;
    while (c->edge != EVI_NONE && (double)(c->inside - residents_weight(&c->l.r, c->edge)) >= window) {
        c->l.r.node[c->edge].count = 0;
        c->inside -= residents_weight(&c->l.r, c->edge);
        c->edge = c->l.r.node[c->edge].newer;
    }
}

/* Called before a block leaves S by any way. */
static void leave_window(clock2q *c, uint32_t slot) {
    evi_node *n = &c->l.r.node[slot];
    if (!n->count) return;
    n->count = 0;
    c->inside -= residents_weight(&c->l.r, slot);
    if (c->edge == slot) c->edge = n->newer;
}

static int resize(void *policy, uint64_t capacity) {
    clock2q *c = policy;
    c->l.r.capacity = capacity;
    c->small = lists_share(capacity, c->small_share);
    c->room = lists_share(capacity, c->ghost_share);
    lists_trim(&c->l, G, c->room);
    age(c);
    return 0;
}

static void *create(const evi_config *config) {
    double small = 0.1, window = 0.5, ghosts = 0.5, hand = 0;
    const evi_param params[] = {
        {"small", &small, 0, 1}, {"window", &window, 0, 1}, {"ghosts", &ghosts, 0, 4}, {"hand", &hand, 0, 1e9}, {0}};
    if (!policy_params(config->params, params)) return NULL;
    clock2q *c = lists_create(config, sizeof *c, ghosts);
    if (!c) return NULL;
    c->small_share = small;
    c->window_share = window;
    c->ghost_share = ghosts;
    c->hand = (uint32_t)hand;
    c->edge = EVI_NONE;
    resize(c, config->capacity);
    return c;
}

static void hit(void *policy, uint32_t slot) {
    clock2q *c = policy;
    lists_mark(&c->l, slot, c->l.r.node[slot].count ? 0 : 1);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    clock2q *c = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    c->again = lists_ghost_hit(&c->l, key);
    return 1;
}

static uint32_t evict(void *policy) {
    clock2q *c = policy;
    evi_residents *r = &c->l.r;
    uint32_t slot;
    c->warm = 1;
    if (r->queue[S].weight >= c->small || !r->queue[M].count) {
        while ((slot = r->queue[S].back) != EVI_NONE) {
            leave_window(c, slot);
            if (!r->node[slot].mark) return lists_leave(&c->l, slot, G, c->room);
            r->node[slot].mark = 0;
            lists_move(&c->l, M, slot);
            residents_tell(r, 'p', r->key[slot], slot);
        }
    }
    for (uint32_t spared = 0; (slot = r->queue[M].back) != EVI_NONE && r->node[slot].mark && (!c->hand || spared < c->hand); spared++) {
        r->node[slot].mark = 0;
        residents_touch(r, slot);
    }
    return lists_drop(&c->l, slot);
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    clock2q *c = policy;
    int filling = !c->warm && c->l.r.queue[S].weight >= c->small;
    lists_place(&c->l, c->again || filling ? M : S, slot, key, weight);
    if (c->again || filling) return;
    c->l.r.node[slot].count = 1;
    c->inside += residents_weight(&c->l.r, slot);
    if (c->edge == EVI_NONE) c->edge = slot;
    age(c);
}

static void removed(void *policy, uint32_t slot) {
    leave_window(policy, slot);
    lists_remove(policy, slot);
}

static size_t dump(void *policy, char *out, size_t n) {
    clock2q *c = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "clock2q+");
    if (c->edge != EVI_NONE) text_add(&text, ": window to %llu", (unsigned long long)c->l.r.key[c->edge]);
    text_add(&text, "\n");
    lists_text(&c->l.r, S, &text, "S");
    lists_text(&c->l.r, M, &text, "M");
    lists_text(&c->l.h.g, G, &text, "G");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    clock2q *c = policy;
    const evi_residents *r = &c->l.r;
    uint64_t inside = 0;
    uint32_t slot = c->edge == EVI_NONE ? EVI_NONE : r->queue[S].front, edge = EVI_NONE;
    for (; slot != EVI_NONE && r->node[slot].count; edge = slot, slot = r->node[slot].older) inside += residents_weight(r, slot);
    if (edge != c->edge || inside != c->inside) return snprintf(why, n, "the window's edge is not where its weight ends"), 0;
    for (; slot != EVI_NONE; slot = r->node[slot].older)
        if (r->node[slot].count) return snprintf(why, n, "slot %u is in the window, but older than its edge", slot), 0;
    return lists_check(&c->l, why, n) && lists_check_room(&c->l, G, c->room, why, n);
}

const evi_ops evi_clock2qplus = LISTS_OPS("clock2q+", removed);
