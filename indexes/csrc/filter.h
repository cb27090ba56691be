/* filter.h: the point-filter ops table: "is this key surely absent from the table?"
 *
 *    keys --hash()--> 64-bit hashes --build()--> bytes (self-describing, portable, little-endian) --may_contain()--> 0 / 1
 *
 * Ownership: build writes into the caller's buffer of at least bound() bytes; a probe reads the caller's bytes, nothing is allocated.
 * Threads: all functions are pure; any thread, any time.
 * Invariants: no false negatives; may_contain is only called on bytes for which check returned 0. The block that holds the bytes
 * has its own checksum, check() still trusts no number in them.
 */
#ifndef IDX_FILTER_H
#define IDX_FILTER_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
#define IDX_FILTER_ABI 1

typedef struct idx_filter_ops {
    uint32_t abi, size;
    const char *name;
    uint32_t version; /* of the byte format */
    uint64_t (*hash)(const void *key, size_t n);
    size_t (*bound)(size_t n, double bits_per_key); /* bytes that build needs at most for n keys */
    /* Hashes may repeat and need not be sorted. 0, or -1 when bits_per_key is out of range or the buffer too small. */
    int (*build)(const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len);
    int (*check)(const uint8_t *filter, size_t len); /* 0 when well formed */
    int (*may_contain)(const uint8_t *filter, size_t len, uint64_t hash);
    void (*may_contain_many)(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out);
    double (*expected_fpr)(double bits_per_key); /* from the theory, for the model overlay */
} idx_filter_ops;
/* cdef:end */
#endif
