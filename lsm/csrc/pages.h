/* pages.h: memory for cached blocks, from huge pages: objects of a size class packed in 2 MiB regions.
 *
 *    region (2 MiB, aligned) = header | object | object | ...        class = 16 sizes per doubling, 256 bytes to 128 KiB
 *
 * A random look-up into a cache of hundreds of MiB misses the TLB on every line when its blocks lie in 4 KiB pages; in huge pages it does not.
 *
 * Ownership: lsm_pages is freed by its owner after every object was given back. What is bigger than a class, or cannot have a region, comes from malloc.
 * Threads: take and give by any thread, under one lock that covers list work only.
 * Invariants: a region serves one class at a time; an empty region beyond KEEP goes back to the system.
 */
#ifndef LSM_PAGES_H
#define LSM_PAGES_H
#include <stddef.h>

typedef struct lsm_pages lsm_pages;
lsm_pages *lsm_pages_new(void); /* NULL: out of memory */
void lsm_pages_free(lsm_pages *p);
/* n bytes, 16-byte aligned; *from_heap tells which of give and free() ends it. NULL: out of memory. */
void *lsm_pages_take(lsm_pages *p, size_t n, int *from_heap);
void lsm_pages_give(lsm_pages *p, void *object);
#endif
