/* cache_timer.h: when slots are to leave: a binary heap by time that knows each slot's place.
 *
 *    heap[0]: the slot that leaves first      place[slot]: where in the heap, EVI_NONE: it has no time      when[slot]: nanoseconds
 *
 * Setting, changing and dropping a time: O(log n). 16 bytes a slot, taken when the first time is set.
 * Ownership: the cache embeds one. Threads: as the cache. Invariants: heap order; place and heap agree.
 */
#ifndef EVI_CACHE_TIMER_H
#define EVI_CACHE_TIMER_H
#include "eviction/csrc/policy.h"

typedef struct {
    uint32_t *heap, *place;
    int64_t *when;
    uint32_t count, slots;
} cache_timer;

int timer_room(cache_timer *t, uint32_t slots); /* for slots below this; 0: out of memory, nothing changed */
void timer_free(cache_timer *t);
void timer_set(cache_timer *t, uint32_t slot, int64_t when); /* after timer_room */
void timer_drop(cache_timer *t, uint32_t slot); /* it has one */
int timer_check(const cache_timer *t, char *why, size_t n);

static inline uint32_t timer_due(const cache_timer *t, int64_t now) { /* a slot whose time has come, else EVI_NONE */
    return t->count && t->when[t->heap[0]] <= now ? t->heap[0] : EVI_NONE;
}
#endif
