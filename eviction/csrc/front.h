/* front.h: a policy with its driver's part, for a cache whose keys and values are somebody else's (Python's): slots, weights, room, pins.
 *
 *    hits: slots gathered by the owner, told in one call     admit: miss, victims, insert in one call     drop: one slot
 *
 * Ownership: the front owns the policy object; ids of keys are 64-bit numbers that the owner chooses. Threads: one at a time (the owner's lock).
 * Invariants: residents never weigh more than the capacity; a slot is taken or free; a pinned slot is never a victim; a hit of a slot that is free by
 * now is ignored.
 */
#ifndef EVI_FRONT_H
#define EVI_FRONT_H
#include "eviction/csrc/policy.h"

/* cdef:begin */
#define EVI_VICTIMS 64
typedef struct evi_front evi_front;
typedef struct evi_admission {
    uint32_t slot; /* EVI_NONE: none was given */
    uint32_t n; /* victims of this call */
    uint32_t victims[EVI_VICTIMS];
} evi_admission;
enum evi_front_status {
    EVI_ADMITTED = 0,
    EVI_BYPASSED = 1, /* by the policy */
    EVI_AGAIN = 2, /* more victims are needed than fit: take these out, and call again */
    EVI_PINNED = 3, /* no room: what is left is pinned */
    EVI_BROKEN = -1 /* the policy named a victim that it does not hold */
};
evi_front *evi_front_new(const evi_ops *ops, const evi_config *config); /* NULL: out of memory, or the policy refuses */
void evi_front_free(evi_front *f);
void evi_front_hits(evi_front *f, const uint32_t *slots, size_t n);
/* again: 1 in the calls that follow EVI_AGAIN. weight <= capacity. */
int evi_front_admit(evi_front *f, uint64_t id, uint64_t weight, int again, evi_admission *out);
int evi_front_shrink(evi_front *f, uint64_t capacity, int again, evi_admission *out); /* sets the capacity, evicts down to it */
void evi_front_drop(evi_front *f, uint32_t slot);
void evi_front_pin(evi_front *f, uint32_t slot, int by); /* counted */
uint64_t evi_front_used(const evi_front *f);
void *evi_front_policy(evi_front *f);
/* cdef:end */
#endif
