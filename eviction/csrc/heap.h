/* heap.h: slots by priority: a heap of four children a node, the least (major, then minor) on top.
 *
 *    entry[0] .. entry[count)  { major, minor, slot }      children of i: 4 i + 1 .. 4 i + 4      spot[slot]: its place in it, and a word for the policy
 *
 * Priorities lie in the entries, so that four children are compared within two cache lines. A use that makes a slot worth more mostly looks at those alone.
 *
 * Ownership: the policy embeds one; all memory (32 bytes a slot) is taken at init. Threads: as the policy. Cost: O(log n) a change.
 * Invariants: entry[spot[s].place].slot is s for every slot that is in; no child is less than its parent.
 */
#ifndef EVI_HEAP_H
#define EVI_HEAP_H
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    double major;
    uint64_t minor;
    uint32_t slot;
} heap_entry;

typedef struct {
    uint32_t place, note; /* note: the policy's; not touched here */
} heap_spot;

typedef struct {
    heap_entry *entry;
    heap_spot *spot; /* by slot */
    uint32_t count;
} evi_heap;

static inline void heap_free(evi_heap *h) {
    free(h->entry);
    free(h->spot);
}

static inline int heap_init(evi_heap *h, uint32_t slots) { /* 0: out of memory, nothing kept */
    size_t n = (size_t)slots + 1;
    *h = (evi_heap){malloc(n * sizeof *h->entry), calloc(n, sizeof *h->spot), 0};
    if (h->entry && h->spot) return 1;
    heap_free(h);
    return 0;
}

static inline uint64_t heap_bytes(uint32_t slots) { return ((uint64_t)slots + 1) * (sizeof(heap_entry) + sizeof(heap_spot)); }

static inline uint32_t heap_top(const evi_heap *h) { return h->entry[0].slot; } /* of more than none */

static inline double heap_major(const evi_heap *h, uint32_t slot) { return h->entry[h->spot[slot].place].major; }

static inline int heap_less(const heap_entry *a, const heap_entry *b) {
    return a->major < b->major || (a->major == b->major && a->minor < b->minor);
}

static inline void heap_put(evi_heap *h, uint32_t i, heap_entry e) {
    h->entry[i] = e;
    h->spot[e.slot].place = i;
}

static inline void heap_up(evi_heap *h, uint32_t i, heap_entry e) {
    for (; i && heap_less(&e, &h->entry[(i - 1) / 4]); i = (i - 1) / 4) heap_put(h, i, h->entry[(i - 1) / 4]);
    heap_put(h, i, e);
}

static inline void heap_down(evi_heap *h, uint32_t i, heap_entry e) {
    for (;;) {
        uint32_t child = 4 * i + 1, least = child, end = child + 4 < h->count ? child + 4 : h->count;
        if (child >= h->count) break;
        while (++child < end)
            if (heap_less(&h->entry[child], &h->entry[least])) least = child;
        if (!heap_less(&h->entry[least], &e)) break;
        heap_put(h, i, h->entry[least]);
        i = least;
    }
    heap_put(h, i, e);
}

static inline void heap_add(evi_heap *h, uint32_t slot, double major, uint64_t minor) {
    heap_up(h, h->count++, (heap_entry){major, minor, slot});
}

static inline void heap_replace(evi_heap *h, uint32_t i, heap_entry e) {
    if (heap_less(&e, &h->entry[i]))
        heap_up(h, i, e);
    else
        heap_down(h, i, e);
}

static inline void heap_change(evi_heap *h, uint32_t slot, double major, uint64_t minor) {
    heap_replace(h, h->spot[slot].place, (heap_entry){major, minor, slot});
}

static inline void heap_remove(evi_heap *h, uint32_t slot) {
    const heap_entry last = h->entry[--h->count];
    if (last.slot != slot) heap_replace(h, h->spot[slot].place, last);
}

static inline int heap_greater_first(const void *a, const void *b) { return heap_less(a, b) - heap_less(b, a); }

/* A copy of the entries in order, the least last, for a dump; to be freed; NULL: out of memory. */
static inline heap_entry *heap_sorted(const evi_heap *h) {
    heap_entry *out = malloc(((size_t)h->count + 1) * sizeof *out);
    if (!out) return NULL;
    for (uint32_t i = 0; i < h->count; i++) out[i] = h->entry[i];
    qsort(out, h->count, sizeof *out, heap_greater_first);
    return out;
}

static inline int heap_check(const evi_heap *h) {
    for (uint32_t i = 0; i < h->count; i++)
        if (h->spot[h->entry[i].slot].place != i || (i && heap_less(&h->entry[i], &h->entry[(i - 1) / 4]))) return 0;
    return 1;
}
#endif
