/* residents.h: what every policy keeps of the resident slots: keys, weights, and queues linked through arrays.
 *
 *    queue: front (newest) <-> ... <-> back (oldest)      links are slot numbers, EVI_NONE ends them
 *    tag[slot]: 0 not resident, else 1 + the queue it is in; mark[slot]: one byte for the policy (a reference bit)
 *
 * Ownership: the policy embeds one and frees it with residents_free. Threads: as the policy. Invariants: a slot is in at most one
 * queue; a queue's weight is the sum of its slots' weights (each at least 1); nothing is allocated after residents_init.
 */
#ifndef EVI_RESIDENTS_H
#define EVI_RESIDENTS_H
#include "eviction/csrc/policy.h"

#define EVI_QUEUES 4

typedef struct {
    uint32_t front, back, count;
    uint64_t weight;
} evi_queue;

typedef struct {
    uint64_t capacity;
    uint32_t slots;
    uint64_t *key, *weight;
    uint32_t *newer, *older;
    uint8_t *tag, *mark;
    evi_queue queue[EVI_QUEUES];
    evi_event_fn event;
    void *event_arg;
} evi_residents;

typedef struct {
    char *out;
    size_t n, used; /* used counts what did not fit too */
} evi_text;

int residents_init(evi_residents *r, uint64_t capacity, uint32_t slots); /* 0: out of memory, nothing kept */
void residents_free(evi_residents *r);
void residents_push(evi_residents *r, int queue, uint32_t slot); /* to the front; the slot is in no queue */
void residents_unlink(evi_residents *r, uint32_t slot);
void residents_place(evi_residents *r, int queue, uint32_t slot, uint64_t key, uint64_t weight);
void residents_text(const evi_residents *r, int queue, evi_text *text, const char *mark); /* " key" front to back, then a newline */
int residents_check(const evi_residents *r, char *why, size_t n);
void text_add(evi_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void residents_tell(const evi_residents *r, int kind, uint64_t key, uint32_t slot) {
    if (__builtin_expect(r->event != NULL, 0)) r->event(r->event_arg, kind, key, slot);
}
#endif
