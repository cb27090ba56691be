/* lirs2.c: LIRS2 (Zhong, Zhao and Jiang, LIRS2: an improved LIRS replacement algorithm, SYSTOR 2021): LIRS by the last two reuse distances.
 *
 *    S: top (just used)   A1 h1 B1 n1 h2 A2 n2 C1 ... C2 (bottom)      Q: front (newest)  h ... g  back (victim)
 *       each block has two places in S, its last access (1) and the one before (2); A, B, C: LIR, h, g: HIR, resident, in Q; n: HIR, not resident
 *
 * The bottom of S is the oldest second-last access of a LIR block (the paper's Rmax2); nothing older is kept. A block that is used while its
 * second-last access is in S has two short distances and becomes LIR; the LIR block at the bottom goes to the front of Q.
 * At an access the second-last place becomes the last, at the top, and the last becomes the second-last where it is: one node moves.
 *
 * Where the paper is silent. A new block gets both places at once; the second does not count as an access, so its next use promotes it not. While there is
 * room for LIR a new block becomes one. A repeat of the last request changes nothing (the authors' program). A non-resident block is forgotten when its
 * last place leaves S; they weigh at most `ghosts` times the capacity (default 2), beyond which the longest evicted go, so S has at most
 * 2 (1 + ghosts) places a slot. Where Q is empty (weights) the LIR block at the bottom goes through it. Param `hir`: percent of the capacity for Q (1).
 * Other programs: Caffeine's simulator keeps non-resident blocks whose places have left S, within the same bound; keeping those too gives its hits to the
 * last one in all reference cells, and 0.01 points less on the mean, 0.4 at most (cloudphysics-sample@12244). A bound of 4 adds 0.3 on the mean.
 * Memory: 40 bytes a slot (48 with weights), 48 to 56 (8 more) a ghost, ghosts * slots + 2 of them. O(1) amortised: what is pruned an access put there.
 * Invariants: the bottom of S is the second place of a LIR block; both places of a LIR block are in S, and the last one of a ghost; LIR weigh at most
 * their share, or are one. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

enum { LIR, Q };
enum { OLD, COMING }; /* queues of ghosts: all, and the one that is requested */
#define FIRST 1u /* node.count: which of the two places is that of the last access */
#define ONCE 2u /* accessed once only */

typedef struct {
    uint32_t newer, older; /* older is the place itself where it is not in S */
} link;

typedef struct {
    evi_residents r; /* queues LIR (in no order) and Q */
    evi_ghosts h;
    link *s; /* block b has places 2b and 2b + 1; ghost g is block slots + g */
    uint32_t top, bottom, last; /* last: the slot used last */
    double hir, ghosts;
} lirs2;

static evi_node *node_of(const lirs2 *p, uint32_t b) { return b < p->r.slots ? &p->r.node[b] : &p->h.g.node[b - p->r.slots]; }
static uint32_t first_of(const lirs2 *p, uint32_t b) { return 2 * b + (node_of(p, b)->count & FIRST); }
static int is_lir(const lirs2 *p, uint32_t b) { return b < p->r.slots && p->r.node[b].tag == LIR + 1; }
static int in_s(const lirs2 *p, uint32_t x) { return p->s[x].older != x; }
static uint64_t lir_share(const lirs2 *p) { return (uint64_t)((double)p->r.capacity * (100 - p->hir) / 100); }

static void s_push(lirs2 *p, uint32_t x) {
    p->s[x] = (link){EVI_NONE, p->top};
    *(p->top == EVI_NONE ? &p->bottom : &p->s[p->top].newer) = x;
    p->top = x;
}

static void s_unlink(lirs2 *p, uint32_t x) {
    link l = p->s[x];
    if (l.older == x) return;
    *(l.newer == EVI_NONE ? &p->top : &p->s[l.newer].older) = l.older;
    *(l.older == EVI_NONE ? &p->bottom : &p->s[l.older].newer) = l.newer;
    p->s[x].older = x;
}

static void s_move(lirs2 *p, uint32_t from, uint32_t to) { /* block `to`, in no place, takes the places of block `from` */
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t x = 2 * from + i, y = 2 * to + i;
        link l = p->s[x];
        p->s[y] = l;
        p->s[x].older = x;
        if (l.older == x) {
            p->s[y].older = y;
            continue;
        }
        *(l.newer == EVI_NONE ? &p->top : &p->s[l.newer].older) = y;
        p->s[l.older].newer = y; /* the bottom is a LIR block's, and does not move */
    }
}

static void prune(lirs2 *p) {
    while (p->bottom != EVI_NONE) {
        uint32_t x = p->bottom, b = x / 2, node = b - p->r.slots;
        if (is_lir(p, b)) return; /* its second place: the first is never older */
        s_unlink(p, x);
        if (b >= p->r.slots && !in_s(p, x ^ 1) && p->h.g.node[node].tag == OLD + 1) ghosts_drop(&p->h, node);
    }
}

static void demote(lirs2 *p) { /* the LIR block at the bottom */
    uint32_t slot = p->bottom / 2;
    residents_unlink(&p->r, slot);
    residents_push(&p->r, Q, slot);
    residents_tell(&p->r, 'd', p->r.key[slot], slot);
    prune(p);
}

static void demote_over_share(lirs2 *p) {
    while (p->r.queue[LIR].weight > lir_share(p) && p->r.queue[LIR].count > 1) demote(p);
}

static int access(lirs2 *p, uint32_t slot) { /* whether its last two distances were short */
    evi_node *n = &p->r.node[slot];
    uint32_t second = 2 * slot + !(n->count & FIRST);
    int short_ones = in_s(p, second) && !(n->count & ONCE);
    n->count = (n->count ^ FIRST) & FIRST;
    if (in_s(p, second)) s_unlink(p, second);
    prune(p);
    s_push(p, second);
    p->last = slot;
    return short_ones;
}

static void destroy(void *policy) {
    lirs2 *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    free(p->s);
    free(p);
}

static void *create(const evi_config *config) {
    lirs2 *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->hir = 1;
    p->ghosts = 2;
    p->top = p->bottom = p->last = EVI_NONE;
    const evi_param params[] = {{"hir", &p->hir, 0, 100}, {"ghosts", &p->ghosts, 0, 64}, {0}};
    if (!policy_params(config->params, params) || !residents_init(&p->r, config)) return free(p), NULL;
    double nodes = config->slots * p->ghosts + 2;
    if (nodes + config->slots > 1 << 29 || !ghosts_init(&p->h, (uint32_t)nodes, config->flags)) return residents_free(&p->r), free(p), NULL;
    uint32_t places = 2 * (config->slots + (uint32_t)nodes);
    p->s = malloc(places * sizeof *p->s);
    if (!p->s) return destroy(p), NULL;
    for (uint32_t x = 0; x < places; x++) p->s[x].older = x;
    return p;
}

static void hit(void *policy, uint32_t slot) {
    lirs2 *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    if (slot == p->last) return;
    int short_ones = access(p, slot);
    if (p->r.node[slot].tag == LIR + 1) return;
    if (short_ones) {
        residents_unlink(&p->r, slot);
        residents_push(&p->r, LIR, slot);
        residents_tell(&p->r, 'p', p->r.key[slot], slot);
        demote_over_share(p);
    } else {
        residents_touch(&p->r, slot);
    }
    prune(p); /* without a LIR block nothing is kept */
}

static void forget_ghost(lirs2 *p, uint32_t node) {
    s_unlink(p, 2 * (p->r.slots + node));
    s_unlink(p, 2 * (p->r.slots + node) + 1);
    ghosts_drop(&p->h, node); /* the bottom of S, a LIR block's, is where it was */
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    lirs2 *p = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t node = ghosts_find(&p->h, key);
    if (node == EVI_NONE) return 1;
    residents_unlink(&p->h.g, node); /* it is not forgotten before its insert */
    residents_push(&p->h.g, COMING, node);
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', key, EVI_NONE);
    return 1;
}

static void become_ghost(lirs2 *p, uint32_t slot) {
    const evi_queue *old = &p->h.g.queue[OLD];
    if (!in_s(p, first_of(p, slot))) return; /* then neither place is */
    if (old->count == p->h.g.slots - 1) forget_ghost(p, old->back);
    uint32_t node = ghosts_add(&p->h, OLD, p->r.key[slot], residents_weight(&p->r, slot));
    p->h.g.node[node].count = p->r.node[slot].count;
    s_move(p, slot, p->r.slots + node);
    while ((double)old->weight > (double)p->r.capacity * p->ghosts) forget_ghost(p, old->back);
}

static uint32_t evict(void *policy) {
    lirs2 *p = policy;
    if (!p->r.queue[Q].count && p->r.queue[LIR].count) demote(p);
    uint32_t slot = p->r.queue[Q].back;
    if (slot == EVI_NONE) return slot;
    residents_unlink(&p->r, slot);
    become_ghost(p, slot);
    if (p->last == slot) p->last = EVI_NONE;
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    lirs2 *p = policy;
    uint32_t node = p->h.g.queue[COMING].back;
    int lir = p->r.queue[LIR].weight + weight + !weight <= lir_share(p);
    if (lir && node != EVI_NONE) { /* after a removal: as a new one, so that both places are in S */
        forget_ghost(p, node);
        node = EVI_NONE;
    }
    residents_place(&p->r, lir ? LIR : Q, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
    if (node == EVI_NONE) {
        p->r.node[slot].count = ONCE;
        s_push(p, 2 * slot + 1);
        s_push(p, 2 * slot);
        p->last = slot;
    } else {
        p->r.node[slot].count = p->h.g.node[node].count;
        s_move(p, p->r.slots + node, slot);
        ghosts_drop(&p->h, node);
        if (access(p, slot)) {
            residents_unlink(&p->r, slot);
            residents_push(&p->r, LIR, slot);
            demote_over_share(p);
        }
    }
    prune(p);
}

static void removed(void *policy, uint32_t slot) {
    lirs2 *p = policy;
    residents_unlink(&p->r, slot);
    s_unlink(p, 2 * slot);
    s_unlink(p, 2 * slot + 1);
    prune(p);
    if (p->last == slot) p->last = EVI_NONE;
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    lirs2 *p = policy;
    p->r.capacity = capacity;
    demote_over_share(p);
    while ((double)p->h.g.queue[OLD].weight > (double)capacity * p->ghosts) forget_ghost(p, p->h.g.queue[OLD].back);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    lirs2 *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "lirs2\nS:");
    for (uint32_t x = p->top; x != EVI_NONE; x = p->s[x].older) {
        uint32_t b = x / 2;
        uint64_t key = b < p->r.slots ? p->r.key[b] : p->h.g.key[b - p->r.slots];
        text_add(&text, " %llu/%s%d", (unsigned long long)key,
                 is_lir(p, b)     ? "L"
                 : b < p->r.slots ? "h"
                                  : "n",
                 x == first_of(p, b) ? 1 : 2);
    }
    text_add(&text, "\nQ:");
    residents_text(&p->r, Q, &text, "");
    text_add(&text, "ghosts:");
    residents_text(&p->h.g, OLD, &text, "");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    lirs2 *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    const evi_queue *lir = &p->r.queue[LIR];
    if (lir->count > 1 && lir->weight > lir_share(p)) return snprintf(why, n, "LIR blocks weigh more than their share"), 0;
    if ((double)p->h.g.queue[OLD].weight > (double)p->r.capacity * p->ghosts) return snprintf(why, n, "ghosts weigh too much"), 0;
    if (p->bottom != EVI_NONE && (!is_lir(p, p->bottom / 2) || p->bottom == first_of(p, p->bottom / 2)))
        return snprintf(why, n, "the bottom of S is no second place of a LIR block"), 0;
    uint32_t last = EVI_NONE, places = 0;
    for (uint32_t x = p->top; x != EVI_NONE; last = x, x = p->s[x].older) {
        if (p->s[x].newer != last || !in_s(p, x)) return snprintf(why, n, "S is broken at %u", x), 0;
        if (!node_of(p, x / 2)->tag) return snprintf(why, n, "block %u in S is nobody's", x / 2), 0;
        if (x != first_of(p, x / 2) && !in_s(p, x ^ 1)) return snprintf(why, n, "block %u has its second place alone in S", x / 2), 0;
        places += (uint32_t)is_lir(p, x / 2);
    }
    if (last != p->bottom || places != 2 * lir->count) return snprintf(why, n, "%u places of LIR blocks in S", places), 0;
    for (uint32_t g = 0; g < p->h.g.slots; g++)
        if (p->h.g.node[g].tag && !in_s(p, first_of(p, p->r.slots + g))) return snprintf(why, n, "ghost %u is not in S", g), 0;
    for (uint32_t s = 0; s < p->r.slots; s++)
        if (p->r.node[s].tag && ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    lirs2 *p = policy;
    policy_layout(policy, out);
    ghosts_layout(&p->h, out);
    out->bytes += sizeof(lirs2) + 2 * ((size_t)p->r.slots + p->h.g.slots) * sizeof *p->s;
}

const evi_ops evi_lirs2 = POLICY_OPS("lirs2", create);
