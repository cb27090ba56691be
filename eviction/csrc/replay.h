/* replay.h: run a whole trace through a policy in one call, and the best that any policy could do.
 *
 *    keys[n] --> open-addressed table key -> slot --> policy (policy.h)      result: hits, misses, or the rule it broke
 *
 * Ownership: the caller keeps keys and weights; nothing outlives a call. Threads: any, each call on its own.
 * Invariants: hits + misses = n; residents never weigh more than the capacity. Errors: -ENOMEM, -EINVAL (create refused), -EPROTO
 * (the policy returned a victim that it does not hold: result.slot; EVI_NONE: none though the cache is full).
 */
#ifndef EVI_REPLAY_H
#define EVI_REPLAY_H
#include "eviction/csrc/policy.h"

/* cdef:begin */
typedef struct evi_result {
    uint64_t hits, misses, bypassed, evictions, ghost_hits;
    uint64_t bytes, hit_bytes; /* weights of all requests, of the hits */
    uint64_t memory; /* of the driver and the policy, in bytes; 0: the policy does not tell */
    uint64_t at; /* the request where a rule was broken */
    uint32_t slot; /* and the slot */
} evi_result;

int evi_replay(const evi_ops *ops, const evi_config *config, const uint64_t *keys, const uint32_t *weights, size_t n, evi_result *result);
int evi_belady(uint64_t capacity, const uint64_t *keys, size_t n, evi_result *result); /* unit weights, no bypass */
/* cdef:end */
#endif
