/* replay.h: run a whole trace through a policy in one call, and the best that any policy could do.
 *
 *    keys[n] --> table.h: key -> slot --> policy (policy.h)      result: hits, misses, or the rule it broke
 *      '--> next uses of each request --> Belady's MIN, with and without bypass
 *
 * Ownership: the caller keeps keys and weights and zeroes the result; nothing outlives a call. Threads: any, each call on its own;
 * result.done may be read and result.stop set by another thread meanwhile. Invariants: hits + misses = n (result.done when stopped);
 * residents never weigh more than the capacity. Errors: -ENOMEM, -EINVAL (create refused; more than 2^29 slots or, for next uses,
 * requests), -EPROTO (the policy returned a victim that it does not hold: result.slot; EVI_NONE: none though the cache is full).
 */
#ifndef EVI_REPLAY_H
#define EVI_REPLAY_H
#include "eviction/csrc/policy.h"

/* cdef:begin */
typedef struct evi_result {
    uint64_t hits, misses, bypassed, evictions, ghost_hits;
    uint64_t hit_weight, miss_weight; /* bytes; of the request, not of the resident; 0 without weights */
    uint64_t memory; /* bytes: of the driver and, as far as it tells, of the policy */
    uint64_t done; /* requests so far, for another thread to read */
    uint64_t at; /* the request where a rule was broken */
    uint32_t slot; /* and the slot */
    uint32_t stop; /* set by another thread: ends soon */
} evi_result;

int evi_replay(const evi_ops *ops, const evi_config *config, const uint64_t *keys, const uint32_t *weights, size_t n, evi_result *result);
int evi_next_uses(const uint64_t *keys, size_t n, uint32_t *next); /* next[i]: the next request of keys[i], EVI_NONE: there is none */
/* distance[i]: how many different keys were requested since the last request of keys[i], itself included; 0: it is the first. O(n log n). */
int evi_stack_distances(const uint32_t *next, size_t n, uint32_t *distance);
int evi_belady(const uint32_t *next, size_t n, uint64_t capacity, int bypass, evi_result *result); /* weights 1 */
/* cdef:end */
#endif
