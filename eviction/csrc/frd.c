/* frd.c: FRD (Park and Park, FRD: a filtering based buffer cache algorithm that considers both frequency and reuse distance, MSST 2017).
 *
 *    filter (LRU, 10 %): what comes first     reuse distance stack: residents (LRU, 90 %) and history, in one order of recency
 *
 *      miss, no history:  into the filter, whose oldest leaves; its history stays in the stack
 *      miss, history:     a frequent block of short reuse distance, that the filter could not keep: into the stack, whose oldest resident leaves
 *      hit in the filter: to its front, its history to the top; it is not promoted      hit in the stack: to the top
 *      history that is older than the oldest resident of the stack is dropped
 *
 * The stack is not kept as one list: history is in it exactly when it is newer than the oldest resident, so a stamp a block says it, as in
 * residents, filter and ghosts, which all lie by time. A stamp has 56 bits: 228 years at 10 M requests/s.
 *
 * Choices. While all that is held fits the share of the stack a new block goes there, then into the filter. The paper bounds history by pruning alone; here it
 * is at most `ghosts` blocks a slot (default 2) and `least` more (2048), the oldest goes first: 0.784 of MIN on the mean of the reference traces, 0.781
 * without a bound, as old history promotes what is used too seldom. Param `filter`: percent of the capacity (10). With weights the oldest of the part that is over its share leaves
 * until the block fits; a part keeps at least one block.
 * Other programs: Caffeine's simulator gives no history to blocks that come while there is room; with that, and 64 ghosts a slot, its hits come out to the
 * last one in 140 of 141 cells. As it is: 0.06 points more on the mean, above half a point in four cells (cloudphysics-sample@2449 +2.4, lirs-glimpse@1000 +1.3).
 * Memory: 24 bytes a slot (32 with weights), 32 to 40 (8 more) a ghost. O(1) amortised: what is pruned was put there once.
 * Invariants: residents, filter and ghosts lie by time; no ghost is older than the oldest resident of the stack. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

enum { STACK, FILTER };

typedef struct {
    evi_residents r; /* queues STACK (its residents) and FILTER */
    evi_ghosts h;
    uint64_t now, coming; /* the last stamp given; weight of what comes between its miss and its insert */
    double filter, ghosts, least;
    int known; /* what comes has history */
} frd;

static uint64_t stamp(const evi_node *n) { return (uint64_t)n->mark << 48 | (uint64_t)n->count << 32 | n->extra; }

static void set_stamp(evi_node *n, uint64_t at) {
    n->mark = (uint8_t)(at >> 48);
    n->count = (uint16_t)(at >> 32);
    n->extra = (uint32_t)at;
}

static uint64_t bottom(const frd *p) { /* the oldest resident of the stack */
    uint32_t slot = p->r.queue[STACK].back;
    return slot == EVI_NONE ? UINT64_MAX : stamp(&p->r.node[slot]);
}

static uint64_t stack_share(const frd *p) { return (uint64_t)((double)p->r.capacity * (100 - p->filter) / 100); }

static void prune(frd *p) {
    const evi_queue *ghosts = &p->h.g.queue[0];
    uint64_t oldest = bottom(p);
    while (ghosts->count && stamp(&p->h.g.node[ghosts->back]) < oldest) ghosts_drop(&p->h, ghosts->back);
}

static void destroy(void *policy) {
    frd *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    free(p);
}

static void *create(const evi_config *config) {
    frd *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->filter = 10;
    p->ghosts = 2;
    p->least = 2048;
    const evi_param params[] = {{"filter", &p->filter, 0, 100}, {"ghosts", &p->ghosts, 0, 64}, {"least", &p->least, 0, 1e6}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    double nodes = config->slots * p->ghosts + p->least;
    if (nodes > 1 << 29 || !ghosts_init(&p->h, (uint32_t)nodes, config->flags)) return residents_free(&p->r), free(p), NULL;
    return p;
}

static void hit(void *policy, uint32_t slot) {
    frd *p = policy;
    int was_bottom = p->r.queue[STACK].back == slot;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    set_stamp(&p->r.node[slot], ++p->now);
    residents_touch(&p->r, slot);
    if (was_bottom) prune(p);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    frd *p = policy;
    p->known = 0;
    if (!policy_miss(policy, key, weight)) return 0;
    p->coming = weight + !weight;
    uint32_t node = ghosts_find(&p->h, key);
    if (node == EVI_NONE) return 1;
    p->known = 1;
    ghosts_drop(&p->h, node);
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', key, EVI_NONE);
    return 1;
}

static uint32_t evict(void *policy) {
    frd *p = policy;
    const evi_queue *stack = &p->r.queue[STACK], *filter = &p->r.queue[FILTER];
    uint64_t share = stack_share(p);
    int from_stack = p->known ? stack->weight + p->coming > share : filter->weight + p->coming <= p->r.capacity - share;
    uint32_t slot = (from_stack && stack->count) || !filter->count ? stack->back : filter->back;
    if (slot == EVI_NONE) return slot;
    uint64_t at = stamp(&p->r.node[slot]);
    int was_in_filter = p->r.node[slot].tag == FILTER + 1;
    residents_unlink(&p->r, slot);
    if (was_in_filter && at > bottom(p)) {
        uint32_t node = ghosts_add(&p->h, 0, p->r.key[slot], residents_weight(&p->r, slot));
        if (node != EVI_NONE) set_stamp(&p->h.g.node[node], at);
    }
    prune(p);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    frd *p = policy;
    uint64_t all = p->r.queue[STACK].weight + p->r.queue[FILTER].weight + weight + !weight;
    residents_place(&p->r, p->known || all <= stack_share(p) ? STACK : FILTER, slot, key, weight);
    set_stamp(&p->r.node[slot], ++p->now);
    residents_tell(&p->r, 'a', key, slot);
    p->known = 0;
}

static void removed(void *policy, uint32_t slot) {
    frd *p = policy;
    residents_unlink(&p->r, slot);
    prune(p);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    frd *p = policy;
    p->r.capacity = capacity;
    p->coming = 0;
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    frd *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "frd\nstack:");
    residents_text(&p->r, STACK, &text, "");
    text_add(&text, "filter:");
    for (uint32_t s = p->r.queue[FILTER].front; s != EVI_NONE; s = p->r.node[s].older)
        text_add(&text, " %llu%s", (unsigned long long)p->r.key[s], stamp(&p->r.node[s]) > bottom(p) ? "*" : "");
    text_add(&text, "\nghosts:");
    residents_text(&p->h.g, 0, &text, "");
    return text.used;
}

static int by_time(const evi_residents *r, int queue) {
    for (uint32_t s = r->queue[queue].front; s != EVI_NONE && r->node[s].older != EVI_NONE; s = r->node[s].older)
        if (stamp(&r->node[r->node[s].older]) >= stamp(&r->node[s])) return 0;
    return 1;
}

static int check(void *policy, char *why, size_t n) {
    frd *p = policy;
    const evi_queue *ghosts = &p->h.g.queue[0];
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    if (!by_time(&p->r, STACK) || !by_time(&p->r, FILTER) || !by_time(&p->h.g, 0))
        return snprintf(why, n, "a queue does not lie by time"), 0;
    if (ghosts->count && stamp(&p->h.g.node[ghosts->back]) < bottom(p)) return snprintf(why, n, "history is not pruned"), 0;
    for (uint32_t s = 0; s < p->r.slots; s++)
        if (p->r.node[s].tag && ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    frd *p = policy;
    policy_layout(policy, out);
    ghosts_layout(&p->h, out);
    out->bytes += sizeof(frd);
}

const evi_ops evi_frd = POLICY_OPS("frd", create);
