/* heap.h: slots by priority: a binary heap of slot numbers, the least (major, then minor) on top.
 *
 * Ownership: the policy embeds one; all memory (24 bytes a slot) is taken at init. Threads: as the policy. Cost: O(log n) a change.
 * Invariant: at[place[slot]] is the slot; no child is less than its parent.
 */
#ifndef EVI_HEAP_H
#define EVI_HEAP_H
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    uint32_t *at, *place, count;
    double *major;
    uint64_t *minor; /* by slot */
} evi_heap;

static inline void heap_free(evi_heap *h) {
    free(h->at);
    free(h->place);
    free(h->major);
    free(h->minor);
}

static inline int heap_init(evi_heap *h, uint32_t slots) { /* 0: out of memory, nothing kept */
    size_t n = (size_t)slots + 1;
    *h = (evi_heap){malloc(n * sizeof *h->at), malloc(n * sizeof *h->place), 0, malloc(n * sizeof *h->major), malloc(n * sizeof *h->minor)};
    if (h->at && h->place && h->major && h->minor) return 1;
    heap_free(h);
    return 0;
}

static inline uint64_t heap_bytes(uint32_t slots) { return ((uint64_t)slots + 1) * 24; }

static inline int heap_less(const evi_heap *h, uint32_t a, uint32_t b) {
    return h->major[a] < h->major[b] || (h->major[a] == h->major[b] && h->minor[a] < h->minor[b]);
}

static inline void heap_put(evi_heap *h, uint32_t i, uint32_t slot) {
    h->at[i] = slot;
    h->place[slot] = i;
}

/* Moves the slot at i to where it belongs. */
static inline void heap_settle(evi_heap *h, uint32_t i) {
    uint32_t slot = h->at[i];
    for (; i && heap_less(h, slot, h->at[(i - 1) / 2]); i = (i - 1) / 2) heap_put(h, i, h->at[(i - 1) / 2]);
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && heap_less(h, h->at[child + 1], h->at[child])) child++;
        if (!heap_less(h, h->at[child], slot)) break;
        heap_put(h, i, h->at[child]);
        i = child;
    }
    heap_put(h, i, slot);
}

static inline void heap_add(evi_heap *h, uint32_t slot, double major, uint64_t minor) {
    h->major[slot] = major;
    h->minor[slot] = minor;
    heap_put(h, h->count++, slot);
    heap_settle(h, h->count - 1);
}

static inline void heap_change(evi_heap *h, uint32_t slot, double major, uint64_t minor) {
    h->major[slot] = major;
    h->minor[slot] = minor;
    heap_settle(h, h->place[slot]);
}

static inline void heap_remove(evi_heap *h, uint32_t slot) {
    uint32_t i = h->place[slot], last = h->at[--h->count];
    if (last == slot) return;
    heap_put(h, i, last);
    heap_settle(h, i);
}

static inline int heap_check(const evi_heap *h) {
    for (uint32_t i = 0; i < h->count; i++)
        if (h->place[h->at[i]] != i || (i && heap_less(h, h->at[i], h->at[(i - 1) / 2]))) return 0;
    return 1;
}
#endif
