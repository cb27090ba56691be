/* plain.h: what the policies of one queue share (lru, fifo, clock, sieve): all but who is hit and who leaves.
 *
 *    plain = residents, all in queue 0, and SIEVE's hand
 *
 * Ownership: created and destroyed through the ops table. Threads: as policy.h. Invariants: residents.h's; the hand is resident or EVI_NONE.
 */
#ifndef EVI_PLAIN_H
#define EVI_PLAIN_H
#include "eviction/csrc/residents.h"

typedef struct {
    evi_residents r;
    const char *name;
    uint32_t hand;
} evi_plain;

void *plain_create(const evi_config *config, const char *name); /* NULL also when there are params: these policies have none */
void plain_destroy(void *policy);
int plain_miss(void *policy, uint64_t key, uint64_t weight);
void plain_insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight);
void plain_remove(void *policy, uint32_t slot);
int plain_resize(void *policy, uint64_t capacity);
uint64_t plain_ghost_hits(void *policy);
void plain_listen(void *policy, evi_event_fn fn, void *arg);
size_t plain_dump(void *policy, char *out, size_t n);
int plain_check(void *policy, char *why, size_t n);
uint32_t plain_leave(evi_plain *p, uint32_t slot); /* evict this resident; EVI_NONE passes through */

/* The ops table of a policy whose file defines create, hit and evict. */
#define PLAIN_OPS(kind, lock_free)                                                                                                         \
    {EVI_ABI, sizeof(evi_ops), kind,         lock_free,    create,           plain_destroy, hit,        plain_miss,                        \
     evict,   plain_insert,    plain_remove, plain_resize, plain_ghost_hits, plain_listen,  plain_dump, plain_check}
#endif
