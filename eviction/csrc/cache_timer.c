#include "eviction/csrc/cache_timer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int timer_room(cache_timer *t, uint32_t slots) {
    if (slots <= t->slots) return 1;
    uint32_t *heap = realloc(t->heap, (size_t)slots * sizeof *heap);
    if (heap) t->heap = heap;
    uint32_t *place = heap ? realloc(t->place, (size_t)slots * sizeof *place) : NULL;
    if (place) t->place = place;
    int64_t *when = place ? realloc(t->when, (size_t)slots * sizeof *when) : NULL;
    if (!when) return 0;
    t->when = when;
    memset(place + t->slots, 0xFF, (size_t)(slots - t->slots) * sizeof *place);
    t->slots = slots;
    return 1;
}

void timer_free(cache_timer *t) {
    free(t->heap);
    free(t->place);
    free(t->when);
    memset(t, 0, sizeof *t);
}

static void put(cache_timer *t, uint32_t at, uint32_t slot) {
    t->heap[at] = slot;
    t->place[slot] = at;
}

static void sift(cache_timer *t, uint32_t at, uint32_t slot) { /* from the free place `at` to where the slot belongs */
    const int64_t when = t->when[slot];
    for (; at && t->when[t->heap[(at - 1) / 2]] > when; at = (at - 1) / 2) put(t, at, t->heap[(at - 1) / 2]);
    for (uint32_t child; (child = 2 * at + 1) < t->count; at = child) {
        if (child + 1 < t->count && t->when[t->heap[child + 1]] < t->when[t->heap[child]]) child++;
        if (t->when[t->heap[child]] >= when) break;
        put(t, at, t->heap[child]);
    }
    put(t, at, slot);
}

void timer_set(cache_timer *t, uint32_t slot, int64_t when) {
    t->when[slot] = when;
    sift(t, t->place[slot] == EVI_NONE ? t->count++ : t->place[slot], slot);
}

void timer_drop(cache_timer *t, uint32_t slot) {
    const uint32_t at = t->place[slot], last = t->heap[--t->count];
    t->place[slot] = EVI_NONE;
    if (last != slot) sift(t, at, last);
}

int timer_check(const cache_timer *t, char *why, size_t n) {
    uint32_t timed = 0;
    for (uint32_t slot = 0; slot < t->slots; slot++) {
        if (t->place[slot] == EVI_NONE) continue;
        timed++;
        if (t->place[slot] >= t->count || t->heap[t->place[slot]] != slot)
            return snprintf(why, n, "slot %u is misplaced in the heap", slot), 0;
    }
    for (uint32_t i = 1; i < t->count; i++)
        if (t->when[t->heap[(i - 1) / 2]] > t->when[t->heap[i]]) return snprintf(why, n, "the heap is out of order at %u", i), 0;
    return timed == t->count ? 1 : (snprintf(why, n, "%u slots timed, %u in the heap", timed, t->count), 0);
}
