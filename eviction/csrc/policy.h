/* policy.h: the eviction ops table: who leaves the cache.
 *
 *    cache or simulator (owns the key -> slot table, the weights, the room)      policy (owns order, ghosts, history)
 *      lookup hit         ------------------------------------------------->      hit(slot)
 *      lookup miss        ------------------------------------------------->      miss(key, weight): 1 admit / 0 bypass
 *        while no room    <-- slot to free ---------------------------------      evict()
 *        place in slot    ------------------------------------------------->      insert(slot, key, weight)
 *      delete, invalidate ------------------------------------------------->      remove(slot)
 *
 * A slot is a small number below config.slots that the driver gave to a resident object; the policy keeps its links in arrays
 * indexed by slot, so a hit costs no hash look-up in the policy. Ghosts (keys without data) are the policy's own, keyed by the 64-bit key.
 * Order of a miss: miss, then evict as often as needed, then insert; nothing of the same policy runs in between.
 * Threads: one policy object is used by one thread at a time (the cache shards, each with its own policy and lock).
 * Invariants: evict returns a slot that is resident and forgets it as resident (it may keep a ghost); after remove(slot) nothing
 * of the slot is kept; memory is bounded by a documented multiple of slots.
 */
#ifndef EVI_POLICY_H
#define EVI_POLICY_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
#define EVI_ABI 1
#define EVI_NONE 4294967295
#define EVI_UNIT 1

typedef struct evi_config {
    uint64_t capacity; /* in weight units: bytes, or objects when every weight is 1 */
    uint32_t slots; /* upper bound of residents at once */
    uint32_t flags; /* EVI_UNIT: every weight is 1, and slots is the capacity */
    uint64_t seed;
    const char *params; /* "key=value key=value", or "" */
} evi_config;

/* Tells what happened, for tests and notebooks: kind 'a'dmit 'h'it 'p'romote 'd'emote 'g'host hit 'e'vict 'r'emove 'b'ypass. */
typedef void (*evi_event_fn)(void *arg, int kind, uint64_t key, uint32_t slot);

/* Where a policy keeps what it keeps, for a driver that counts memory and fetches ahead. Nodes and keys stay where they are until destroy. */
typedef struct evi_layout {
    uint64_t bytes; /* all that the policy allocated, ghosts and histories included */
    const char *nodes; /* what hit(slot) reads is at nodes + slot * stride; NULL: not told */
    size_t stride;
    const uint64_t *keys; /* keys[slot]: as of its last insert, until the next; NULL: not kept, the driver keeps its own */
    const uint32_t *ghosts; /* what a miss reads first is at ghosts + (table_hash(key) >> ghosts_shift), see table.h; NULL: not told */
    uint32_t ghosts_shift;
} evi_layout;

typedef struct evi_ops {
    uint32_t abi, size; /* EVI_ABI, sizeof(evi_ops) */
    const char *name;
    void *(*create)(const evi_config *config); /* NULL: out of memory or bad params */
    void (*destroy)(void *policy);
    void (*hit)(void *policy, uint32_t slot);
    int (*miss)(void *policy, uint64_t key, uint64_t weight);
    uint32_t (*evict)(void *policy); /* EVI_NONE when nothing is resident */
    void (*insert)(void *policy, uint32_t slot, uint64_t key, uint64_t weight);
    void (*remove)(void *policy, uint32_t slot);
    int (*resize)(void *policy, uint64_t capacity); /* the driver evicts down to it afterwards */
    uint64_t (*ghost_hits)(void *policy);
    void (*listen)(void *policy, evi_event_fn fn, void *arg); /* NULL ends it */
    size_t (*dump)(void *policy, char *out, size_t n); /* text of the queues by key; bytes needed, as snprintf */
    int (*check)(void *policy, char *why, size_t n); /* 1 when every invariant holds, else 0 and why */
    void (*layout)(void *policy, evi_layout *out); /* NULL: nothing is told */
} evi_ops;
/* cdef:end */

#ifdef __OPTIMIZE__ /* inlined, so that a caller's constants reach it */
#define EVI_INLINE static inline __attribute__((always_inline))
#else /* a function like any other, so that each of its branches is there once */
#define EVI_INLINE static inline
#endif
#endif
