/* two_queue.c: 2Q, full version (Johnson and Shasha, VLDB 1994, section 3, figure 2).
 *
 *    A1in (FIFO, first seen) --oldest--> A1out (ghosts, FIFO) --seen again--> Am (LRU)
 *
 * A hit in A1in changes nothing: correlated references count once. The victim is the oldest of A1in while that holds more than Kin (or Am is
 * empty), else of Am; only what leaves A1in becomes a ghost. A key seen again leaves A1out before room is made for it.
 * Parameters: kin=0.25, kout=0.5 of the capacity, each at least 1. Memory: slots + kout * slots + 2 nodes.
 * Invariants: no key is resident and a ghost; ghosts weigh at most Kout, or are one. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/lists.h"

enum { A1IN, AM };
enum { A1OUT };

typedef struct {
    evi_lists l;
    double in_share, out_share;
    uint64_t in, out; /* Kin, Kout */
    int to; /* of the pending miss */
} two_queue;

static int resize(void *policy, uint64_t capacity) {
    two_queue *q = policy;
    q->l.r.capacity = capacity;
    q->in = lists_share(capacity, q->in_share);
    q->out = lists_share(capacity, q->out_share);
    lists_trim(&q->l, A1OUT, q->out);
    return 0;
}

static void *create(const evi_config *config) {
    double in = 0.25, out = 0.5;
    if (!policy_params(config->params, (evi_param[]){{"kin", &in, 0, 1}, {"kout", &out, 0, 4}, {0}})) return NULL;
    two_queue *q = lists_create(config, sizeof *q, out);
    if (!q) return NULL;
    q->in_share = in;
    q->out_share = out;
    resize(q, config->capacity);
    return q;
}

static void hit(void *policy, uint32_t slot) {
    evi_residents *r = policy;
    residents_tell(r, 'h', r->key[slot], slot);
    if (r->node[slot].tag == AM + 1) residents_touch(r, slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    two_queue *q = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    q->to = lists_ghost_hit(&q->l, key) ? AM : A1IN;
    return 1;
}

static uint32_t evict(void *policy) { /* the paper's reclaimfor */
    two_queue *q = policy;
    const evi_queue *in = &q->l.r.queue[A1IN], *am = &q->l.r.queue[AM];
    if (in->weight > q->in || !am->count) return lists_leave(&q->l, in->back, A1OUT, q->out);
    return lists_drop(&q->l, am->back);
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    two_queue *q = policy;
    lists_place(&q->l, q->to, slot, key, weight);
}

static size_t dump(void *policy, char *out, size_t n) {
    two_queue *q = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "2q\n");
    lists_text(&q->l.r, A1IN, &text, "A1in");
    lists_text(&q->l.r, AM, &text, "Am");
    lists_text(&q->l.h.g, A1OUT, &text, "A1out");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    two_queue *q = policy;
    return lists_check(&q->l, why, n) && lists_check_room(&q->l, A1OUT, q->out, why, n);
}

const evi_ops evi_2q = LISTS_OPS("2q", lists_remove);
