/* arena.c: blocks from the heap when small, mapped when large (so that a dropped memtable goes back to the system at once). */
#include "lsm/csrc/arena.h"
#include <stdlib.h>
#include <sys/mman.h>

#define MIN_BLOCK ((size_t)4 << 10)
#define MAX_BLOCK ((size_t)4 << 20)
#define MAP_FROM ((size_t)1 << 20)
#define HUGE_PAGE ((size_t)2 << 20)

typedef struct lsm_arena_block {
    struct lsm_arena_block *next;
    size_t size;
} block;

void lsm_arena_init(lsm_arena *a, size_t budget) {
    size_t cap = budget / 16;
    a->at = NULL;
    a->left = 0;
    a->blocks = NULL;
    a->max_block = cap < MIN_BLOCK ? MIN_BLOCK : cap > MAX_BLOCK ? MAX_BLOCK : cap;
    atomic_init(&a->memory, 0);
}

/* A mapping that starts at a huge page when it is as large as one: a random look-up then costs one TLB miss less. */
static void *map_block(size_t size) {
    size_t pad = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    uint8_t *p = mmap(NULL, size + pad, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (!pad) return p;
    size_t head = -(uintptr_t)p & (HUGE_PAGE - 1);
    if (head) munmap(p, head); /* uncovered (machine): where the kernel puts a mapping */
    if (pad - head) munmap(p + head + size, pad - head); /* uncovered (machine): likewise */
    madvise(p + head, size, MADV_HUGEPAGE);
    return p + head;
}

static block *add_block(lsm_arena *a, size_t size) {
    size = (size + MIN_BLOCK - 1) & ~(MIN_BLOCK - 1);
    block *b = size >= MAP_FROM ? map_block(size) : malloc(size);
    if (!b) return NULL;
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    atomic_fetch_add_explicit(&a->memory, size, memory_order_relaxed);
    return b;
}

void *lsm_arena_grow(lsm_arena *a, size_t n) {
    if (n > SIZE_MAX / 2) return NULL; /* uncovered (guard): lengths are limited before */
    if (n > a->max_block / 4) {
        block *b = add_block(a, sizeof(block) + n);
        return b ? b + 1 : NULL;
    }
    size_t size = lsm_arena_memory(a) / 8;
    if (size > a->max_block) size = a->max_block;
    if (size < sizeof(block) + n) size = sizeof(block) + n;
    block *b = add_block(a, size);
    if (!b) return NULL;
    a->at = (uint8_t *)(b + 1) + n;
    a->left = b->size - sizeof(block) - n;
    return b + 1;
}

void lsm_arena_free(lsm_arena *a) {
    for (block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        if (b->size >= MAP_FROM)
            munmap(b, b->size);
        else
            free(b);
    }
    a->blocks = NULL;
    a->at = NULL;
    a->left = 0;
}
