#include "lsm/csrc/pages.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define REGION ((size_t)2 << 20)
#define SMALLEST 8 /* log2 of the first class */
#define LARGEST 17 /* log2 of the last one */
#define STEPS 16 /* classes per doubling */
#define CLASSES ((LARGEST - SMALLEST) * STEPS + 1)
#define KEEP 2 /* empty regions held back */

typedef struct region {
    struct region *next, *prev; /* among those of the class with room, or the empty ones */
    void *free; /* given back: a list through the objects */
    uint32_t size, used, made, room; /* bytes of an object; objects out, ever handed out, that fit */
    uint32_t class, pad;
} region;

struct lsm_pages {
    pthread_mutex_t lock;
    region *with_room[CLASSES], *empty;
    uint32_t n_empty;
};

lsm_pages *lsm_pages_new(void) {
    lsm_pages *p = calloc(1, sizeof *p);
    if (p) pthread_mutex_init(&p->lock, NULL);
    return p;
}

void lsm_pages_free(lsm_pages *p) {
    if (!p) return;
    for (region *r = p->empty, *next; r; r = next) {
        next = r->next;
        munmap(r, REGION);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* The smallest class that holds n bytes, and its size; CLASSES when there is none. */
static uint32_t class_of(size_t n, uint32_t *size) {
    if (n <= (1u << SMALLEST)) return *size = 1u << SMALLEST, 0;
    if (n > ((size_t)1 << LARGEST)) return CLASSES;
    uint32_t log = 63 - (uint32_t)__builtin_clzll(n - 1), step = 1u << (log - 4), above = (uint32_t)(n - 1 - ((size_t)1 << log)) / step + 1;
    *size = (1u << log) + above * step;
    return (log - SMALLEST) * STEPS + above;
}

static void push(region **list, region *r) {
    r->prev = NULL;
    r->next = *list;
    if (*list) (*list)->prev = r;
    *list = r;
}

static void drop(region **list, region *r) {
    if (r->prev)
        r->prev->next = r->next;
    else
        *list = r->next;
    if (r->next) r->next->prev = r->prev;
}

static region *map_region(void) {
    uint8_t *p = mmap(NULL, 2 * REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t head = -(uintptr_t)p & (REGION - 1);
    if (head) munmap(p, head); /* uncovered (machine): where the kernel puts a mapping */
    munmap(p + head + REGION, REGION - head);
    madvise(p + head, REGION, MADV_HUGEPAGE); /* a wish: without it small pages serve */
    return (region *)(p + head);
}

static region *fresh_region(lsm_pages *p, uint32_t class, uint32_t size) {
    region *r = p->empty;
    if (r) {
        drop(&p->empty, r);
        p->n_empty--;
    } else if (!(r = map_region())) {
        return NULL;
    }
    *r = (region){.size = size, .class = class, .room = (uint32_t)((REGION - sizeof(region)) / size)};
    push(&p->with_room[class], r);
    return r;
}

void *lsm_pages_take(lsm_pages *p, size_t n, int *from_heap) {
    uint32_t size, class = p ? class_of(n, &size) : CLASSES;
    void *object = NULL;
    if (class < CLASSES) {
        pthread_mutex_lock(&p->lock);
        region *r = p->with_room[class];
        if (!r) r = fresh_region(p, class, size);
        if (r && r->free) {
            object = r->free;
            r->free = *(void **)object;
        } else if (r) {
            object = (uint8_t *)(r + 1) + (size_t)r->made++ * size;
        }
        if (r && ++r->used == r->room) drop(&p->with_room[class], r);
        pthread_mutex_unlock(&p->lock);
    }
    *from_heap = !object;
    return object ? object : malloc(n);
}

void lsm_pages_give(lsm_pages *p, void *object) {
    region *r = (region *)((uintptr_t)object & ~(uintptr_t)(REGION - 1));
    pthread_mutex_lock(&p->lock);
    if (r->used-- == r->room) push(&p->with_room[r->class], r);
    *(void **)object = r->free;
    r->free = object;
    if (!r->used) {
        drop(&p->with_room[r->class], r);
        if (p->n_empty < KEEP) {
            push(&p->empty, r);
            p->n_empty++;
            r = NULL;
        }
    } else {
        r = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    if (r) munmap(r, REGION);
}
