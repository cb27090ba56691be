/* search.h: the block-search ops table: which block of a table may hold a key.
 *
 * A table's index is a sorted list of separators, one a block: keys[i] >= every key in block i, and < every key in block i + 1.
 * find(key) is the first i with keys[i] >= key (n when there is none): the only block that can hold the key.
 *
 * Ownership: the arrays stay the caller's and outlive the object; open allocates only its own helper structure (e.g. 8-byte
 * prefixes). Threads: open and close by one thread, find by any number.
 */
#ifndef IDX_SEARCH_H
#define IDX_SEARCH_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
#define IDX_SEARCH_ABI 1

typedef struct idx_search_ops {
    uint32_t abi, size;
    const char *name;
    /* key i is bytes[offsets[i] .. offsets[i+1]); n + 1 offsets. NULL: out of memory. */
    void *(*open)(const uint8_t *bytes, const uint32_t *offsets, uint32_t n);
    void (*close)(void *search);
    uint32_t (*find)(const void *search, const uint8_t *key, size_t n);
    size_t (*memory)(const void *search); /* bytes of the helper structure */
} idx_search_ops;
/* cdef:end */
#endif
