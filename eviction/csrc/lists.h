/* lists.h: what policies share that keep queues of residents beside queues of ghosts (2Q, S3-FIFO, CAR, CART, MQ, QD-LP, Clock2Q+).
 *
 *    r: queues of residents (slots)  --lists_leave-->  h: queues of ghosts (keys)  --lists_ghost_hit-->  back among the residents
 *
 * A share of the capacity is rounded down, but is at least 1, and a queue of ghosts keeps at least its newest: so every part works at any
 * capacity. In text a resident has as many stars as its mark.
 *
 * Ownership: an evi_lists is the policy's first member, and lists_create makes the whole policy. Threads: as policy.h; lists_mark may run beside
 * itself. Invariants: residents.h's and ghosts.h's; no key is resident and a ghost at once.
 */
#ifndef EVI_LISTS_H
#define EVI_LISTS_H
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/plain.h"

typedef struct {
    evi_residents r;
    evi_ghosts h;
    size_t size; /* of the policy's struct */
} evi_lists;

void *lists_create(const evi_config *config, size_t size,
                   double ghosts); /* zeroed; ghosts * slots + 2 ghosts at most; NULL: out of memory */
void lists_destroy(void *policy);
void lists_remove(void *policy, uint32_t slot);
void lists_layout(void *policy, evi_layout *out);
void lists_trim(evi_lists *l, int queue, uint64_t room); /* ghosts go, oldest first, until they weigh at most this or one is left */
uint32_t lists_leave(evi_lists *l, uint32_t slot, int queue, uint64_t room); /* evicted, to the front of the ghosts */
uint32_t lists_drop(evi_lists *l, uint32_t slot); /* evicted, without a ghost; EVI_NONE passes through */
void lists_take(evi_lists *l,
                uint32_t ghost); /* a ghost hit: the ghost is forgotten, but its weight and words can be read until the next leaves */
int lists_ghost_hit(evi_lists *l, uint64_t key); /* 1: it was a ghost, and no longer is */
void lists_text(const evi_residents *r, int queue, evi_text *text, const char *name);
int lists_check(const evi_lists *l, char *why, size_t n);
int lists_check_room(const evi_lists *l, int queue, uint64_t room, char *why, size_t n); /* of ghosts */

static inline uint64_t lists_share(uint64_t capacity, double fraction) {
    double share = (double)capacity * fraction;
    return share < 1 ? 1 : share < 9e18 ? (uint64_t)share : UINT64_C(9000000000000000000);
}

/* To the front of a queue, from any. */
static inline void lists_move(evi_lists *l, int queue, uint32_t slot) {
    residents_unlink(&l->r, slot);
    residents_push(&l->r, queue, slot);
}

/* A hit that only counts, up to `most`, without a lock: of two at once one may be lost. */
static inline void lists_mark(evi_lists *l, uint32_t slot, uint8_t most) {
    uint8_t mark = __atomic_load_n(&l->r.node[slot].mark, __ATOMIC_RELAXED);
    if (mark < most) __atomic_store_n(&l->r.node[slot].mark, (uint8_t)(mark + 1), __ATOMIC_RELAXED);
    residents_tell(&l->r, 'h', l->r.key[slot], slot);
}

static inline void lists_place(evi_lists *l, int queue, uint32_t slot, uint64_t key, uint64_t weight) {
    residents_place(&l->r, queue, slot, key, weight);
    residents_tell(&l->r, 'a', key, slot);
}

/* The ops table of a policy whose file defines create, hit, miss, evict, insert, resize, dump and check; remover: lists_remove, or more. */
#define LISTS_OPS(kind, remover)                                                                                                           \
    {.abi = EVI_ABI,                                                                                                                       \
     .size = sizeof(evi_ops),                                                                                                              \
     .name = kind,                                                                                                                         \
     .create = create,                                                                                                                     \
     .destroy = lists_destroy,                                                                                                             \
     .hit = hit,                                                                                                                           \
     .miss = miss,                                                                                                                         \
     .evict = evict,                                                                                                                       \
     .insert = insert,                                                                                                                     \
     .remove = remover,                                                                                                                    \
     .resize = resize,                                                                                                                     \
     .ghost_hits = policy_ghost_hits,                                                                                                      \
     .listen = policy_listen,                                                                                                              \
     .dump = dump,                                                                                                                         \
     .check = check,                                                                                                                       \
     .layout = lists_layout}
#endif
