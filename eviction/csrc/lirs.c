/* lirs.c: LIRS (Jiang and Zhang, LIRS: an efficient low inter-reference recency set replacement policy, SIGMETRICS 2002, section 3), as its authors' program.
 *
 *    S: top (just used)  L h n L n ... L (bottom: always a LIR)      Q: front (newest)  h h h  back (victim)
 *       L: LIR, resident; h: HIR, resident; n: HIR, not resident (a ghost)         every h is in Q, in S or not
 *
 * A key that is used again while it is in S has a short recency: it becomes LIR, and the LIR at the bottom goes to the front of Q. Below the lowest LIR
 * nothing is kept (pruning). An immediate repeat of the last key counts as a hit and changes nothing, as in the authors' program.
 * Parameters: hir=0.01 of the capacity for Q (at least 2 units), ghosts=64: at most so many times the slots and 4096 are remembered, the longest
 * evicted go first (the paper and the program have no bound; with a bound of 8 one cell in ten of the reference counts differs). Memory: slots nodes
 * and, made as they are needed, ghosts.
 * Worst case: pruning passes what it takes out of S, each of which was put in by a request of its own: O(1) amortised.
 * Invariants: the bottom of S is LIR; LIR weigh at most the capacity less Q's share; every resident that is not LIR is in Q. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { Q, LIR };
#define FIRST_GHOSTS 64
#define MORE_GHOSTS 4096

typedef struct {
    uint32_t newer, older;
} link;

typedef struct {
    evi_residents r; /* queues Q and LIR (in no order); node.mark: in S */
    evi_ghosts h; /* node g is number slots + g in S */
    link *s;
    uint32_t top, bottom, last; /* last: the slot that was used last */
    double hir;
    uint32_t ghosts_most;
    uint64_t lir_most;
    int to_lir; /* the pending miss is of a ghost */
} lirs;

static void shares(lirs *p) {
    uint64_t q = (uint64_t)((double)p->r.capacity * p->hir);
    q = q < 2 ? 2 : q;
    p->lir_most = p->r.capacity > q ? p->r.capacity - q : 0;
}

static void destroy(void *policy) {
    lirs *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    free(p->s);
    free(p);
}

static void *create(const evi_config *config) {
    lirs *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    double ghosts = 64;
    p->hir = 0.01;
    const evi_param params[] = {{"hir", &p->hir, 0, 1}, {"ghosts", &ghosts, 0, 64}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    double most = (double)config->slots * ghosts + MORE_GHOSTS;
    p->ghosts_most = most < (1u << 29) ? (uint32_t)most : 1u << 29;
    if (!ghosts_init(&p->h, FIRST_GHOSTS, config->flags)) return residents_free(&p->r), free(p), NULL;
    p->s = malloc(((size_t)config->slots + FIRST_GHOSTS + 1) * sizeof *p->s);
    if (!p->s) return destroy(p), NULL;
    p->top = p->bottom = p->last = EVI_NONE;
    shares(p);
    return p;
}

static void s_push(lirs *p, uint32_t x) { /* a slot */
    p->s[x] = (link){EVI_NONE, p->top};
    if (p->top == EVI_NONE)
        p->bottom = x;
    else
        p->s[p->top].newer = x;
    p->top = x;
    p->r.node[x].mark = 1;
}

static void s_unlink(lirs *p, uint32_t x) {
    link *l = &p->s[x];
    if (l->newer == EVI_NONE)
        p->top = l->older;
    else
        p->s[l->newer].older = l->older;
    if (l->older == EVI_NONE)
        p->bottom = l->newer;
    else
        p->s[l->older].newer = l->newer;
    if (x < p->r.slots) p->r.node[x].mark = 0;
}

/* Puts a ghost where a slot of Q was, which is not the bottom: that is a LIR. */
static void s_replace(lirs *p, uint32_t slot, uint32_t ghost) {
    link l = p->s[ghost] = p->s[slot];
    if (l.newer == EVI_NONE)
        p->top = ghost;
    else
        p->s[l.newer].older = ghost;
    p->s[l.older].newer = ghost;
    p->r.node[slot].mark = 0;
}

static void drop_ghost(lirs *p, uint32_t node) {
    s_unlink(p, p->r.slots + node);
    ghosts_drop(&p->h, node);
}

static int is_lir(const lirs *p, uint32_t x) { return x < p->r.slots && p->r.node[x].tag == LIR + 1; }

static void prune(lirs *p) {
    while (p->bottom != EVI_NONE && !is_lir(p, p->bottom)) {
        if (p->bottom < p->r.slots)
            s_unlink(p, p->bottom); /* it stays in Q */
        else
            drop_ghost(p, p->bottom - p->r.slots);
    }
}

/* The LIR at the bottom of S becomes the newest of Q. S is pruned. */
static void demote(lirs *p) {
    uint32_t slot = p->bottom;
    s_unlink(p, slot);
    residents_unlink(&p->r, slot);
    residents_push(&p->r, Q, slot);
    residents_tell(&p->r, 'd', p->r.key[slot], slot);
    prune(p);
}

static void promote(lirs *p, uint32_t slot) {
    residents_unlink(&p->r, slot);
    residents_push(&p->r, LIR, slot);
    residents_tell(&p->r, 'p', p->r.key[slot], slot);
    while (p->r.queue[LIR].weight > p->lir_most) demote(p);
}

static void hit(void *policy, uint32_t slot) {
    lirs *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    if (slot == p->last) return;
    p->last = slot;
    int was_in = p->r.node[slot].mark, lir = is_lir(p, slot);
    if (was_in) s_unlink(p, slot);
    s_push(p, slot);
    if (!lir && was_in)
        promote(p, slot);
    else if (!lir)
        residents_touch(&p->r, slot);
    prune(p);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    lirs *p = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t node = ghosts_find(&p->h, key);
    p->to_lir = node != EVI_NONE;
    if (!p->to_lir) return 1;
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', key, EVI_NONE);
    drop_ghost(p, node);
    return 1;
}

/* Makes sure of a free node, by growing, else at the cost of the ghost that was evicted longest ago. */
static void room_for_ghost(lirs *p) {
    if (p->h.free_node != EVI_NONE) return;
    uint32_t nodes = p->h.g.slots < p->ghosts_most / 2 ? 2 * p->h.g.slots : p->ghosts_most;
    link *s = nodes > p->h.g.slots ? realloc(p->s, ((size_t)p->r.slots + nodes + 1) * sizeof *s) : NULL;
    if (s) p->s = s;
    if (!s || !ghosts_grow(&p->h, nodes)) drop_ghost(p, p->h.g.queue[0].back);
}

static uint32_t evict(void *policy) {
    lirs *p = policy;
    if (!p->r.queue[Q].count && p->bottom != EVI_NONE) demote(p);
    uint32_t slot = p->r.queue[Q].back;
    if (slot == EVI_NONE) return slot;
    residents_unlink(&p->r, slot);
    if (p->r.node[slot].mark) {
        room_for_ghost(p);
        s_replace(p, slot, p->r.slots + ghosts_add(&p->h, 0, p->r.key[slot], residents_weight(&p->r, slot)));
    }
    if (p->last == slot) p->last = EVI_NONE;
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    lirs *p = policy;
    weight += !weight;
    int room = p->r.queue[LIR].weight + weight <= p->lir_most; /* while the cache fills, or after deletes */
    residents_place(&p->r, room ? LIR : Q, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
    s_push(p, slot);
    p->last = slot;
    if (!room && p->to_lir) promote(p, slot);
    prune(p); /* without a single LIR nothing is below anything */
}

static void removed(void *policy, uint32_t slot) {
    lirs *p = policy;
    residents_unlink(&p->r, slot);
    if (p->r.node[slot].mark) s_unlink(p, slot);
    prune(p);
    if (p->last == slot) p->last = EVI_NONE;
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    lirs *p = policy;
    p->r.capacity = capacity;
    shares(p);
    while (p->r.queue[LIR].weight > p->lir_most) demote(p);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    lirs *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "lirs\nS:");
    for (uint32_t x = p->top; x != EVI_NONE; x = p->s[x].older)
        text_add(&text, " %llu/%s", (unsigned long long)(x < p->r.slots ? p->r.key[x] : p->h.g.key[x - p->r.slots]),
                 is_lir(p, x)     ? "L"
                 : x < p->r.slots ? "h"
                                  : "n");
    text_add(&text, "\nQ:");
    residents_text(&p->r, Q, &text, "");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    lirs *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    if (p->bottom != EVI_NONE && !is_lir(p, p->bottom)) return snprintf(why, n, "the bottom of S is no LIR"), 0;
    if (p->r.queue[LIR].weight > p->lir_most) return snprintf(why, n, "the LIR weigh %llu", (unsigned long long)p->r.queue[LIR].weight), 0;
    uint32_t lir = 0, ghosts = 0, last = EVI_NONE;
    for (uint32_t x = p->top; x != EVI_NONE; last = x, x = p->s[x].older) {
        if (p->s[x].newer != last) return snprintf(why, n, "S is broken at %u", x), 0;
        if (x < p->r.slots && (!p->r.node[x].tag || !p->r.node[x].mark)) return snprintf(why, n, "slot %u in S is not resident", x), 0;
        lir += (uint32_t)is_lir(p, x);
        ghosts += x >= p->r.slots;
    }
    if (lir != p->r.queue[LIR].count || ghosts != p->h.g.queue[0].count || last != p->bottom)
        return snprintf(why, n, "S holds %u LIR and %u ghosts", lir, ghosts), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    lirs *p = policy;
    policy_layout(policy, out);
    ghosts_layout(&p->h, out);
    out->ghosts = NULL; /* it moves when it grows */
    out->bytes += sizeof(lirs) + ((size_t)p->r.slots + p->h.g.slots + 1) * sizeof *p->s;
}

const evi_ops evi_lirs = POLICY_OPS("lirs", create);
