/* plain.h: what policies share whose first member is evi_residents: the functions of the ops table that do the same for many.
 *
 *    policy_miss      refuses what is heavier than the capacity, admits the rest     policy_listen     sets residents.event
 *    policy_resize    sets residents.capacity                                        policy_ghost_hits residents.ghost_hits
 *    plain            a policy of one queue (lru, fifo, clock, sieve): all but who is hit and who leaves
 *
 * Ownership: created and destroyed through the ops table. Threads: as policy.h. Invariants: residents.h's; the hand is resident or EVI_NONE.
 */
#ifndef EVI_PLAIN_H
#define EVI_PLAIN_H
#include "eviction/csrc/residents.h"

typedef struct {
    const char *name;
    double *value; /* holds the default before, the given one after */
    double min, max;
} evi_param;

/* Reads "name=value name=value" into a table ended by a NULL name. 0: an unknown name, not a number, or out of its range. */
int policy_params(const char *text, const evi_param *params);
int policy_miss(void *policy, uint64_t key, uint64_t weight);
int policy_resize(void *policy, uint64_t capacity);
uint64_t policy_ghost_hits(void *policy);
void policy_layout(void *policy, evi_layout *out); /* of the residents alone */
void policy_listen(void *policy, evi_event_fn fn, void *arg);

/* Pseudo-random numbers, seeded: splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static inline uint64_t policy_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

typedef struct {
    evi_residents r;
    const char *name;
    uint32_t hand;
} evi_plain;

void *plain_create(const evi_config *config, const char *name); /* NULL also when there are params: these policies have none */
void plain_destroy(void *policy);
void plain_insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight);
void plain_remove(void *policy, uint32_t slot);
size_t plain_dump(void *policy, char *out, size_t n);
int plain_check(void *policy, char *why, size_t n);
void plain_layout(void *policy, evi_layout *out);
uint32_t plain_leave(evi_plain *p, uint32_t slot); /* evict this resident; EVI_NONE passes through */

/* The ops table of a policy whose file defines destroy, hit, miss, evict, insert, removed, resize, dump, check and layout; maker: its create. */
#define POLICY_OPS(kind, maker)                                                                                                            \
    {.abi = EVI_ABI,                                                                                                                       \
     .size = sizeof(evi_ops),                                                                                                              \
     .name = kind,                                                                                                                         \
     .create = maker,                                                                                                                      \
     .destroy = destroy,                                                                                                                   \
     .hit = hit,                                                                                                                           \
     .miss = miss,                                                                                                                         \
     .evict = evict,                                                                                                                       \
     .insert = insert,                                                                                                                     \
     .remove = removed,                                                                                                                    \
     .resize = resize,                                                                                                                     \
     .ghost_hits = policy_ghost_hits,                                                                                                      \
     .listen = policy_listen,                                                                                                              \
     .dump = dump,                                                                                                                         \
     .check = check,                                                                                                                       \
     .layout = layout}

/* The ops table of a policy whose file defines create, hit and evict. */
#define PLAIN_OPS(kind)                                                                                                                    \
    {.abi = EVI_ABI,                                                                                                                       \
     .size = sizeof(evi_ops),                                                                                                              \
     .name = kind,                                                                                                                         \
     .create = create,                                                                                                                     \
     .destroy = plain_destroy,                                                                                                             \
     .hit = hit,                                                                                                                           \
     .miss = policy_miss,                                                                                                                  \
     .evict = evict,                                                                                                                       \
     .insert = plain_insert,                                                                                                               \
     .remove = plain_remove,                                                                                                               \
     .resize = policy_resize,                                                                                                              \
     .ghost_hits = policy_ghost_hits,                                                                                                      \
     .listen = policy_listen,                                                                                                              \
     .dump = plain_dump,                                                                                                                   \
     .check = plain_check,                                                                                                                 \
     .layout = plain_layout}
#endif
