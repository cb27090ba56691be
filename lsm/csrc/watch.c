/* watch.c: slots of calls that are under way. */
#include "lsm/csrc/watch.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define SLOTS 64

struct lsm_watch {
    struct {
        _Atomic uint64_t since; /* ns; 0: free */
        _Atomic int what;
    } slots[SLOTS];
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + 1;
}

lsm_watch *lsm_watch_new(void) { return calloc(1, sizeof(lsm_watch)); }
void lsm_watch_free(lsm_watch *w) { free(w); }

int lsm_watch_begin(lsm_watch *w, int what) {
    uint64_t now = w ? now_ns() : 0;
    for (int i = 0; w && i < SLOTS; i++) {
        uint64_t none = 0;
        if (!atomic_load_explicit(&w->slots[i].since, memory_order_relaxed) &&
            atomic_compare_exchange_strong(&w->slots[i].since, &none, now)) { /* uncovered (race): two calls want a slot at one moment */
            atomic_store(&w->slots[i].what, what);
            return i;
        }
    }
    return -1;
}

void lsm_watch_end(lsm_watch *w, int slot) {
    if (w && slot >= 0) atomic_store(&w->slots[slot].since, 0);
}

uint64_t lsm_watch_oldest(lsm_watch *w, int *what) {
    uint64_t oldest = UINT64_MAX, now = now_ns();
    for (int i = 0; i < SLOTS; i++) {
        uint64_t since = atomic_load(&w->slots[i].since);
        if (!since || since >= oldest) continue;
        oldest = since;
        *what = atomic_load(&w->slots[i].what);
    }
    return oldest > now ? 0 : now - oldest;
}
