/* arena.h: memory that only grows, freed at once: what memtables put their entries in.
 *
 *    [block 4 KiB][block]...[block, at most budget / 16 and 4 MiB]   [own block: one entry bigger than a quarter of that]
 *
 * Blocks grow with what is held (an eighth of it), so that a small memtable stays small and the slack of a large one is a few per cent.
 *
 * Ownership: what alloc returns lives until lsm_arena_free. Threads: alloc by one thread at a time, memory by any.
 * Invariants: every allocation is 8-byte aligned; memory is exactly the bytes taken from the system, slack included.
 */
#ifndef LSM_ARENA_H
#define LSM_ARENA_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lsm_arena {
    uint8_t *at;
    size_t left;
    struct lsm_arena_block *blocks;
    size_t max_block;
    _Atomic size_t memory;
} lsm_arena;

void lsm_arena_init(lsm_arena *a, size_t budget); /* takes no memory yet */
void lsm_arena_free(lsm_arena *a);
void *lsm_arena_grow(lsm_arena *a, size_t n); /* the slow half of alloc */

/* n > 0 bytes, 8-byte aligned, or NULL: out of memory. */
static inline void *lsm_arena_alloc(lsm_arena *a, size_t n) {
    n = (n + 7) & ~(size_t)7;
    if (n > a->left) return lsm_arena_grow(a, n);
    void *p = a->at;
    a->at += n;
    a->left -= n;
    return p;
}

/* The same for memory that starts at a multiple of line, a power of two. */
static inline void *lsm_arena_alloc_lines(lsm_arena *a, size_t n, size_t line) {
    size_t pad = -(uintptr_t)a->at & (line - 1);
    if (pad + n <= a->left) {
        a->at += pad;
        a->left -= pad;
        return lsm_arena_alloc(a, n);
    }
    uint8_t *p = lsm_arena_grow(a, (n + line - 1 + 7) & ~(size_t)7);
    return p ? p + (-(uintptr_t)p & (line - 1)) : NULL;
}

static inline size_t lsm_arena_memory(const lsm_arena *a) { return atomic_load_explicit(&a->memory, memory_order_relaxed); }
#endif
