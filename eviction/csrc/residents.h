/* residents.h: what every policy keeps of the resident slots: a node each, keys, weights, and queues linked through slot numbers.
 *
 *    queue: front (newest) <-> ... <-> back (oldest)      links are slot numbers, EVI_NONE ends them
 *    node[slot]: links, the queue it is in (0: not resident, else 1 + queue), and room for the policy: a mark, a count, a word
 *
 * A node is 16 bytes, so that a hit touches the lines of the slot, of its two neighbours and of the front. Keys and weights lie apart: only a miss
 * needs them. With EVI_UNIT (policy.h) every weight is 1 and none are kept: 24 bytes a slot then, 32 otherwise.
 *
 * Ownership: the policy embeds one as its first member and frees it with residents_free. Threads: as the policy. Invariants: a slot is in at most
 * one queue or loose (for policies with an order of their own, in a heap or none); a queue's weight is the sum of its slots' weights (each at least 1); nothing is allocated after residents_init.
 */
#ifndef EVI_RESIDENTS_H
#define EVI_RESIDENTS_H
#include "eviction/csrc/policy.h"

#define EVI_QUEUES 8
#define EVI_LOOSE EVI_QUEUES /* the place of what is in no queue: counted, not linked */

typedef struct {
    uint32_t front, back, count;
    uint64_t weight;
} evi_queue;

typedef struct {
    uint32_t newer, older;
    uint8_t tag; /* 0: not resident, else 1 + the queue */
    uint8_t mark; /* a reference bit, or what the policy likes; 0 on insert */
    uint16_t count; /* the policy's; 0 on insert */
    uint32_t extra; /* the policy's; not touched here */
} evi_node;

typedef struct {
    uint64_t capacity;
    uint32_t slots;
    evi_node *node;
    uint64_t *key, *weight; /* weight NULL: all are 1 */
    evi_queue queue[EVI_QUEUES + 1]; /* the last: EVI_LOOSE, of which only count and weight are kept */
    evi_event_fn event;
    void *event_arg;
    uint64_t ghost_hits; /* for policies that have ghosts */
} evi_residents;

typedef struct {
    char *out;
    size_t n, used; /* used counts what did not fit too */
} evi_text;

int residents_init(evi_residents *r, const evi_config *config); /* 0: out of memory, nothing kept */
void residents_free(evi_residents *r);
size_t residents_bytes(const evi_residents *r); /* of the arrays */
void residents_insert_newer(evi_residents *r, uint32_t than, uint32_t slot); /* into the queue of `than`, next to it on the newer side */
void residents_text(const evi_residents *r, int queue, evi_text *text, const char *mark); /* " key" front to back, then a newline */
int residents_check(const evi_residents *r, char *why, size_t n);
void text_add(evi_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline uint64_t residents_weight(const evi_residents *r, uint32_t slot) { return r->weight ? r->weight[slot] : 1; }

static inline void residents_counted(evi_residents *r, int queue, uint32_t slot) {
    r->queue[queue].count++;
    r->queue[queue].weight += residents_weight(r, slot);
    r->node[slot].tag = (uint8_t)(queue + 1);
}

/* To the front of a queue; the slot is in none. */
static inline void residents_push(evi_residents *r, int queue, uint32_t slot) {
    evi_queue *q = &r->queue[queue];
    r->node[slot].newer = EVI_NONE;
    r->node[slot].older = q->front;
    if (q->front == EVI_NONE)
        q->back = slot;
    else
        r->node[q->front].newer = slot;
    q->front = slot;
    residents_counted(r, queue, slot);
}

/* To the back of a queue; the slot is in none. */
static inline void residents_push_back(evi_residents *r, int queue, uint32_t slot) {
    evi_queue *q = &r->queue[queue];
    r->node[slot].older = EVI_NONE;
    r->node[slot].newer = q->back;
    if (q->back == EVI_NONE)
        q->front = slot;
    else
        r->node[q->back].older = slot;
    q->back = slot;
    residents_counted(r, queue, slot);
}

static inline void residents_unlink(evi_residents *r, uint32_t slot) {
    evi_node *n = &r->node[slot];
    evi_queue *q = &r->queue[n->tag - 1];
    if (n->newer == EVI_NONE)
        q->front = n->older;
    else
        r->node[n->newer].older = n->older;
    if (n->older == EVI_NONE)
        q->back = n->newer;
    else
        r->node[n->older].newer = n->newer;
    q->count--;
    q->weight -= residents_weight(r, slot);
    n->tag = 0;
}

static inline void residents_name(evi_residents *r, uint32_t slot, uint64_t key, uint64_t weight) {
    r->key[slot] = key;
    if (r->weight) r->weight[slot] = weight ? weight : 1;
    r->node[slot].mark = 0;
    r->node[slot].count = 0;
}

/* A new resident, to the front. */
static inline void residents_place(evi_residents *r, int queue, uint32_t slot, uint64_t key, uint64_t weight) {
    residents_name(r, slot, key, weight);
    residents_push(r, queue, slot);
}

/* A slot that is in no queue becomes loose, and a loose one leaves. */
static inline void residents_loosen(evi_residents *r, uint32_t slot) { residents_counted(r, EVI_LOOSE, slot); }

static inline void residents_leave(evi_residents *r, uint32_t slot) {
    r->queue[EVI_LOOSE].count--;
    r->queue[EVI_LOOSE].weight -= residents_weight(r, slot);
    r->node[slot].tag = 0;
}

/* Moves a slot to the front of the queue it is in. */
static inline void residents_touch(evi_residents *r, uint32_t slot) {
    evi_node *n = &r->node[slot];
    evi_queue *q = &r->queue[n->tag - 1];
    if (q->front == slot) return;
    r->node[n->newer].older = n->older;
    if (n->older == EVI_NONE)
        q->back = n->newer;
    else
        r->node[n->older].newer = n->newer;
    n->newer = EVI_NONE;
    n->older = q->front;
    r->node[q->front].newer = slot;
    q->front = slot;
}

static inline void residents_tell(const evi_residents *r, int kind, uint64_t key, uint32_t slot) {
    if (__builtin_expect(r->event != NULL, 0)) r->event(r->event_arg, kind, key, slot);
}
#endif
