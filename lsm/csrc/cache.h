/* cache.h: the block cache: sharded, charged in bytes, ordered by an eviction policy behind evi_ops.
 *
 *    (owner uid, number) --hash--> shard [ lock | open-addressed table -> slot -> block | policy ]
 *                                       cell of the owner -> block: where it has one a block, a look-up needs no table
 *
 * A block is known by its owner and a number below 2^40: its ordinal where the owner keeps cells, else its offset; the policy's key is uid << 40 | number.
 *
 * Ownership: a block is reference-counted; the cache holds one reference while resident, every look-up gives one to the caller, who releases it,
 * or lends the block (reader.h).
 * A block evicted while in use lives until its last release. Blocks of a large cache lie in huge pages (pages.h), others on the heap.
 * Threads: everything may be called by any thread. No lock is held across I/O. A look-up by cell that hits takes no lock (late.h); the others
 * take that of the shard. A thread's late hits reach the policy before whatever else it does, so that one thread alone sees the order it made.
 * Invariants: resident charge <= capacity, except by blocks in use; a block bigger than a shard is handed out and never kept.
 */
#ifndef LSM_CACHE_H
#define LSM_CACHE_H
#include "lsm/csrc/types.h"
#include "lsm/csrc/reader.h"
#include "eviction/csrc/policy.h"
#include <stdatomic.h>

/* cdef:begin */
typedef struct lsm_cache lsm_cache;
typedef struct lsm_block lsm_block;
typedef struct lsm_cache_stats {
    uint64_t capacity, charge, blocks, hits, misses, inserts, evictions, ghost_hits, bypassed;
    uint64_t refused, wrong_slot; /* victims that the policy did not hold, and one of them */
} lsm_cache_stats;

/* shards: a power of two, 0 = by capacity. mean: bytes that a block takes on average at least; more of them evict as if room were short. policy is only borrowed for the life of the cache. NULL: out of memory or bad params. */
lsm_cache *lsm_cache_new(uint64_t capacity, uint32_t shards, uint32_t mean, const evi_ops *policy, const char *params, uint64_t seed);
void lsm_cache_free(lsm_cache *c); /* no block may be in use */
void lsm_cache_get_stats(lsm_cache *c, lsm_cache_stats *out);
int lsm_cache_resize(lsm_cache *c, uint64_t capacity);
size_t lsm_cache_dump(lsm_cache *c, char *out, size_t n); /* the policies' queues; bytes needed */
/* Every access (uid << 40 | number) in order, for replay; NULL ends it. Records at most cap keys into out; *n grows. */
void lsm_cache_record(lsm_cache *c, uint64_t *out, uint64_t cap, uint64_t *n);
void lsm_block_release(lsm_block *b); /* NULL is fine */
/* cdef:end */

struct lsm_block {
    _Atomic uint32_t refs;
    uint32_t size; /* bytes of data */
    uint64_t uid; /* the owner in full, once in a cache: its keys hold 24 bits of it */
    void *aux; /* parsed form that lives and dies with the block; freed with free() unless NULL */
    struct lsm_pages *home; /* NULL: the heap */
    struct lsm_cell *cell; /* NULL: in the table */
    lsm_block *next; /* among those that left and may be seen by a look-up still */
    uint8_t data[]; /* uncompressed, verified */
};

/* The owner's own way to a block; zeroed at first. Written under the lock of the block's shard; read under it, or inside a stripe (late.h). */
typedef struct lsm_cell {
    _Atomic(lsm_block *) block; /* NULL: not in the cache */
    _Atomic uint32_t size; /* of the block: the same whenever it is there */
    _Atomic uint32_t slot;
} lsm_cell;

/* Brings the end of a cell's block near, where the restarts of a data block are, if it is there. No lock: it may be gone by now. */
static inline void lsm_cell_prefetch(const lsm_cell *cell) {
    const lsm_block *b = atomic_load_explicit(&cell->block, memory_order_relaxed);
    uintptr_t end = (uintptr_t)b + sizeof *b + atomic_load_explicit(&cell->size, memory_order_relaxed);
    __builtin_prefetch((const void *)(end - 1));
    __builtin_prefetch((const void *)(end - 65));
}

lsm_block *lsm_block_alloc(lsm_cache *c, size_t size); /* for c, which may be NULL; refs = 1; NULL: out of memory */
/* The block, or NULL on a miss. With a reference for the caller, unless *lent: then it lives until by gives back what it was lent. by (may be NULL) is
 * asked before the thread waits for a lock. */
lsm_block *lsm_cache_lookup(lsm_cache *c, uint64_t uid, uint64_t number, lsm_cell *cell, lsm_reader *by, int *lent);
/* Offers a block just read. Returns the one to use, with a reference for the caller, in place of b: b itself, or the one another thread put first. */
lsm_block *lsm_cache_insert(lsm_cache *c, uint64_t uid, uint64_t number, lsm_cell *cell, lsm_block *b);
/* All blocks of a dead owner: those of its cells, or, where it has none, what a walk over all slots finds. */
void lsm_cache_erase(lsm_cache *c, uint64_t uid, lsm_cell *cells, uint32_t n_cells);
#endif
