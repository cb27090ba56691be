/* ledger.c: counters striped by thread. A stripe is found by the address of the thread's stack, coarse enough to stay the same. */
#include "lsm/csrc/ledger.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define STRIPES 8
#define CELLS (LSM_OPS * LSM_LEDGER_LEVELS * LSM_COMPONENTS * LSM_CAUSES)

typedef struct cell {
    _Atomic uint64_t count, bytes;
} cell;

typedef struct stripe {
    cell cells[CELLS];
    _Atomic uint64_t counters[LSM_COUNTERS];
    char pad[64];
} stripe;

struct lsm_ledger {
    stripe stripes[STRIPES + 1]; /* the last is the solo one */
};

lsm_ledger *lsm_ledger_new(void) { return calloc(1, sizeof(lsm_ledger)); }
void lsm_ledger_free(lsm_ledger *l) { free(l); }

static inline stripe *mine(lsm_ledger *l) {
    uint64_t id = (uint64_t)(uintptr_t)pthread_self();
    return &l->stripes[(id * UINT64_C(0x9E3779B97F4A7C15)) >> 61];
}

static inline void add(_Atomic uint64_t *to, uint64_t n) { atomic_fetch_add_explicit(to, n, memory_order_relaxed); }

static inline cell *cell_of(stripe *s, int op, int level, int component, int cause) {
    if (level < 0 || level >= LSM_LEDGER_LEVELS) level = LSM_LEDGER_LEVELS - 1;
    return &s->cells[((op * LSM_LEDGER_LEVELS + level) * LSM_COMPONENTS + component) * LSM_CAUSES + cause];
}

void lsm_count_many(lsm_ledger *l, int op, int level, int component, int cause, uint64_t count, uint64_t bytes) {
    if (!l || !count) return;
    cell *c = cell_of(mine(l), op, level, component, cause);
    add(&c->count, count);
    if (bytes) add(&c->bytes, bytes);
}

void lsm_count(lsm_ledger *l, int op, int level, int component, int cause, uint64_t bytes) {
    lsm_count_many(l, op, level, component, cause, 1, bytes);
}

void lsm_tally(lsm_ledger *l, int counter, uint64_t n) {
    if (l && n) add(&mine(l)->counters[counter], n);
}

/* Only one thread at a time writes here; others only read. */
static inline void add_solo(_Atomic uint64_t *to, uint64_t n) {
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_relaxed);
}

void lsm_count_solo(lsm_ledger *l, int op, int level, int component, int cause, uint64_t bytes) {
    if (!l) return;
    cell *c = cell_of(&l->stripes[STRIPES], op, level, component, cause);
    add_solo(&c->count, 1);
    if (bytes) add_solo(&c->bytes, bytes);
}

void lsm_tally_solo(lsm_ledger *l, int counter, uint64_t n) {
    if (l && n) add_solo(&l->stripes[STRIPES].counters[counter], n);
}

void lsm_ledger_sum(lsm_ledger *l, uint64_t *counts, uint64_t *bytes, uint64_t *counters) {
    memset(counts, 0, CELLS * sizeof *counts);
    memset(bytes, 0, CELLS * sizeof *bytes);
    memset(counters, 0, LSM_COUNTERS * sizeof *counters);
    for (int s = 0; s <= STRIPES; s++) {
        for (int i = 0; i < CELLS; i++) {
            counts[i] += atomic_load_explicit(&l->stripes[s].cells[i].count, memory_order_relaxed);
            bytes[i] += atomic_load_explicit(&l->stripes[s].cells[i].bytes, memory_order_relaxed);
        }
        for (int i = 0; i < LSM_COUNTERS; i++) counters[i] += atomic_load_explicit(&l->stripes[s].counters[i], memory_order_relaxed);
    }
}
