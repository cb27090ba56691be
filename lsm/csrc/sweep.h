/* sweep.h: the range tombstones of a merge, swept along with its entries.
 *
 *    seq 9         f-------------t            stripe: the span of sequence numbers that the same snapshots see;
 *    seq 7   a----------m                     stripe i ends at snapshot i, the last one at "now"
 *            ^ change   ^ ... every start and end is a moment at which cover[] is worked out anew
 *
 * cover[i] is the newest tombstone of stripe i over the key under the sweep. An entry of stripe i that is older than cover[i] is invisible to
 * everybody: who sees the entry sees the tombstone. Between two changes an entry costs one key comparison and one look at cover.
 *
 * Ownership: the ranges' keys are borrowed from the inputs' tombstones and from the bounds, which outlive the sweep.
 * Threads: one. Invariants: keys are asked in ascending order; tombstones of one sequence number that touch are one again
 * (a compaction cuts them at its outputs; without this they would multiply).
 */
#ifndef LSM_SWEEP_H
#define LSM_SWEEP_H
#include "lsm/csrc/table.h"
#include "lsm/csrc/tombs.h"

typedef struct lsm_span { /* of user keys, [start, end); NULL: open */
    const uint8_t *start, *end;
    uint32_t start_len, end_len;
} lsm_span;

typedef struct lsm_sweep {
    const uint64_t *snapshots;
    uint32_t n_snapshots;
    lsm_range *ranges; /* by start once ready */
    size_t n, cap;
    size_t next; /* first range that did not begin yet */
    size_t *active; /* ranges over the sweep's key */
    size_t n_active;
    uint64_t *cover; /* a stripe, n_snapshots + 1 */
    const uint8_t *change; /* the next start or end; NULL: none */
    uint32_t change_len;
} lsm_sweep;

void lsm_sweep_init(lsm_sweep *s, const uint64_t *snapshots, uint32_t n_snapshots);
void lsm_sweep_free(lsm_sweep *s);
int lsm_sweep_add(lsm_sweep *s, const lsm_tombs *tombs, const lsm_span *bounds); /* tombs may be NULL. LSM_OK or LSM_NOMEM */
int lsm_sweep_ready(lsm_sweep *s); /* after the last add. LSM_OK or LSM_NOMEM */
void lsm_sweep_advance(lsm_sweep *s, const uint8_t *key, size_t n); /* the slow half of moving on */

/* Index of the stripe of seq: how many snapshots do not see it. */
static inline uint32_t lsm_stripe(const uint64_t *snapshots, uint32_t n, uint64_t seq) {
    uint32_t lo = 0;
    while (n > 0) {
        uint32_t half = n / 2;
        if (snapshots[lo + half] < seq) {
            lo += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return lo;
}

/* Moves the sweep on to key; cover is right for it afterwards. */
static inline void lsm_sweep_to(lsm_sweep *s, const uint8_t *key, size_t n) {
    if (s->change && lsm_compare_keys(s->change, s->change_len, key, n) <= 0) lsm_sweep_advance(s, key, n);
}

/* Whether any tombstone is left for an output of this span. bottom: those that no snapshot needs are left out. */
int lsm_sweep_any(const lsm_sweep *s, const lsm_span *span, int bottom);
/* Adds the tombstones of the span, clipped to it, to the output. */
int lsm_sweep_emit(const lsm_sweep *s, const lsm_span *span, int bottom, lsm_builder *b, lsm_error *error);
#endif
