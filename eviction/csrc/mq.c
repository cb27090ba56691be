/* mq.c: MQ, multi-queue (Zhou, Philbin and Li, The multi-queue replacement algorithm for second level buffer caches, USENIX 2001, figure 8).
 *
 *    Q0 <-- Q1 <-- ... <-- Q7 (LRU queues)      a request: to the tail of Q[log2 of its count]      expired: to the tail of the queue below
 *    the victim is the head of the lowest that is not empty; Qout (ghosts, FIFO) keeps its count and the time of its last request
 *
 * Time is the number of requests. A block expires lifeTime after it came to its queue; a request demotes at most the head of each queue, and
 * `due`, a time before which none can, spares it the looking. lifeTime follows what the paper asks for, the peak temporal distance: of the
 * distances that exceed the number of blocks in the cache, the one that most requests have. Distances are counted in octaves, every request of a
 * block of the cache or of Qout; after as many requests as there are blocks (at least 64) lifeTime becomes the middle of the fullest octave that
 * reaches above them (of equal ones the lowest; the number of blocks where all are empty), and the counts are halved. Until then it is 64.
 * Parameters: lifetime=0 (0: as above, else fixed, in requests), qout=4 (of the capacity), queues=8. Times are 32 bits and wrap.
 * Memory: slots nodes of 4 more bytes, and qout * slots + 2 of ghosts. At most queues - 1 blocks are demoted a request.
 * Invariants: ghosts weigh at most qout of the capacity, or are one; a block is in no higher queue than its count says; no head expires before due. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/lists.h"
#include <stdio.h>
#include <stdlib.h>

enum { OUT };
#define OCTAVES 29 /* the last one reaches to the end of time */
#define LESSON 64
#define FAR (1u << 30) /* more than a lifetime, less than half of the clock */

typedef struct {
    evi_lists l; /* node.count: requests, node.extra: expiry; of ghosts node.extra: last request */
    uint32_t *last; /* request, by slot */
    double fixed, out_share;
    uint64_t out;
    int queues;
    uint32_t now, due, life, lesson; /* lesson: requests until lifeTime is looked at again */
    uint32_t distance[OCTAVES]; /* requests at a temporal distance of 2^i and less than twice that */
    uint32_t asked; /* count of the pending miss's ghost */
} mq;

static void destroy(void *policy) {
    free(((mq *)policy)->last);
    lists_destroy(policy);
}

static int resize(void *policy, uint64_t capacity) {
    mq *m = policy;
    m->l.r.capacity = capacity;
    m->out = lists_share(capacity, m->out_share);
    lists_trim(&m->l, OUT, m->out);
    return 0;
}

static void *create(const evi_config *config) {
    double life = 0, out = 4, queues = EVI_QUEUES;
    const evi_param params[] = {{"lifetime", &life, 0, FAR - 1}, {"qout", &out, 0, 16}, {"queues", &queues, 1, EVI_QUEUES}, {0}};
    if (!policy_params(config->params, params)) return NULL;
    mq *m = lists_create(config, sizeof *m, out);
    if (!m) return NULL;
    if (!(m->last = malloc(((size_t)config->slots + 1) * sizeof *m->last))) return lists_destroy(m), NULL;
    m->fixed = life;
    m->life = life > 0 ? (uint32_t)life : LESSON;
    m->out_share = out;
    m->queues = (int)queues;
    m->lesson = LESSON;
    m->due = FAR;
    resize(m, config->capacity);
    return m;
}

static int is_before(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }

static void learn(mq *m) {
    uint32_t blocks = 0, most = 0;
    int peak = -1;
    for (int i = 0; i < m->queues; i++) blocks += m->l.r.queue[i].count;
    for (int i = 0; i < OCTAVES; i++) {
        if ((uint32_t)2 << i > blocks && m->distance[i] > most) most = m->distance[peak = i];
        m->distance[i] /= 2;
    }
    m->life = peak < 0 ? blocks : (uint32_t)3 << peak >> 1;
    m->lesson = blocks > LESSON ? blocks : LESSON;
}

static void stamp(mq *m, uint32_t slot) { /* it came to its queue: it expires a lifetime later */
    evi_node *n = &m->l.r.node[slot];
    n->extra = m->now + m->life;
    if (n->tag > 1 && is_before(n->extra, m->due)) m->due = n->extra;
}

/* Out of its queue; behind a head there may be one that came when lifetimes were shorter. */
static void dequeue(mq *m, uint32_t slot) {
    evi_residents *r = &m->l.r;
    int queue = r->node[slot].tag - 1, head = r->node[slot].older == EVI_NONE;
    residents_unlink(r, slot);
    if (!queue || !head || (slot = r->queue[queue].back) == EVI_NONE) return;
    if (is_before(r->node[slot].extra, m->due)) m->due = r->node[slot].extra;
}

static void adjust(mq *m) { /* Adjust(): one head of each queue that has expired goes down */
    evi_residents *r = &m->l.r;
    if (!m->fixed && !--m->lesson) learn(m);
    if (!is_before(m->due, ++m->now)) return;
    m->due = m->now + FAR;
    for (int i = 1; i < m->queues; i++) {
        uint32_t head = r->queue[i].back;
        if (head != EVI_NONE && is_before(r->node[head].extra, m->now)) {
            lists_move(&m->l, i - 1, head);
            stamp(m, head);
            residents_tell(r, 'd', r->key[head], head);
            head = r->queue[i].back;
        }
        if (head != EVI_NONE && is_before(r->node[head].extra, m->due)) m->due = r->node[head].extra;
    }
}

static int queue_of(const mq *m, uint32_t count) {
    int log = 31 - __builtin_clz(count);
    return log < m->queues ? log : m->queues - 1;
}

static void saw(mq *m, uint32_t last) {
    int octave = 31 - __builtin_clz((m->now - last) | 1);
    m->distance[octave < OCTAVES ? octave : OCTAVES - 1]++;
}

static void hit(void *policy, uint32_t slot) {
    mq *m = policy;
    evi_residents *r = &m->l.r;
    evi_node *n = &r->node[slot];
    int was = n->tag - 1;
    residents_tell(r, 'h', r->key[slot], slot);
    saw(m, m->last[slot]);
    m->last[slot] = m->now;
    n->count += n->count < UINT16_MAX;
    dequeue(m, slot);
    residents_push(r, queue_of(m, n->count), slot);
    stamp(m, slot);
    if (n->tag - 1 > was) residents_tell(r, 'p', r->key[slot], slot);
    adjust(m);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    mq *m = policy;
    if (!policy_miss(policy, key, weight)) return 0;
    uint32_t ghost = ghosts_find(&m->l.h, key);
    m->asked = 0;
    if (ghost == EVI_NONE) return 1;
    m->asked = m->l.h.g.node[ghost].count;
    saw(m, m->l.h.g.node[ghost].extra);
    lists_take(&m->l, ghost);
    return 1;
}

static uint32_t evict(void *policy) { /* EvictBlock() */
    mq *m = policy;
    evi_residents *r = &m->l.r;
    int i = 0;
    while (i < m->queues - 1 && !r->queue[i].count) i++;
    uint32_t slot = r->queue[i].back;
    if (slot == EVI_NONE) return slot;
    evi_node *ghost = &m->l.h.g.node[ghosts_add(&m->l.h, OUT, r->key[slot], residents_weight(r, slot))];
    ghost->count = r->node[slot].count;
    ghost->extra = m->last[slot];
    lists_trim(&m->l, OUT, m->out);
    dequeue(m, slot);
    residents_tell(r, 'e', r->key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    mq *m = policy;
    uint32_t count = m->asked < UINT16_MAX ? m->asked + 1 : UINT16_MAX;
    lists_place(&m->l, queue_of(m, count), slot, key, weight);
    m->l.r.node[slot].count = (uint16_t)count;
    m->last[slot] = m->now;
    stamp(m, slot);
    adjust(m);
}

static void queue_text(const mq *m, const evi_residents *r, int queue, evi_text *text) {
    for (uint32_t s = r->queue[queue].front; s != EVI_NONE; s = r->node[s].older)
        text_add(text, " %llu/%u@%d", (unsigned long long)r->key[s], r->node[s].count, (int)(r->node[s].extra - m->now));
    text_add(text, "\n");
}

static size_t dump(void *policy, char *out, size_t n) {
    mq *m = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "mq: lifetime=%u\n", m->life);
    for (int i = m->queues - 1; i >= 0; i--) {
        text_add(&text, "Q%d:", i);
        queue_text(m, &m->l.r, i, &text);
    }
    text_add(&text, "Qout:");
    queue_text(m, &m->l.h.g, OUT, &text);
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    mq *m = policy;
    const evi_residents *r = &m->l.r;
    if (!lists_check(&m->l, why, n) || !lists_check_room(&m->l, OUT, m->out, why, n)) return 0;
    for (uint32_t s = 0; s < r->slots; s++)
        if (r->node[s].tag && r->node[s].tag - 1 > queue_of(m, r->node[s].count))
            return snprintf(why, n, "slot %u is in too high a queue", s), 0;
    for (int i = 1; i < m->queues; i++) {
        uint32_t head = r->queue[i].back;
        if (head != EVI_NONE && is_before(r->node[head].extra, m->due)) return snprintf(why, n, "the head of queue %d is due", i), 0;
    }
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    lists_layout(policy, out);
    out->bytes += ((size_t)((mq *)policy)->l.r.slots + 1) * sizeof *((mq *)policy)->last;
}

static void removed(void *policy, uint32_t slot) {
    const evi_residents *r = policy;
    dequeue(policy, slot);
    residents_tell(r, 'r', r->key[slot], slot);
}

const evi_ops evi_mq = POLICY_OPS("mq", create);
