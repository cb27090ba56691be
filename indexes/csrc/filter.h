/* filter.h: the point-filter ops table: "is this key surely absent from the table?"
 *
 *    keys --hash()--> 64-bit hashes --build()--> bytes (self-describing, portable, little-endian) --may_contain()--> 0 / 1
 *                                   --empty()--> bytes --insert(), erase(), unite()--> the same bytes, changed
 *
 * Ownership: build and empty write into the caller's buffer of at least bound() bytes; a probe reads the caller's bytes and allocates
 * nothing. Threads: all functions are pure; any thread, any time. The caller keeps probes away from bytes that insert, erase or unite
 * change. Invariants: no false negatives; may_contain is only called on bytes for which check returned 0. The block that holds the bytes
 * has its own checksum, check() still trusts no number in them.
 */
#ifndef IDX_FILTER_H
#define IDX_FILTER_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
#define IDX_FILTER_ABI 1
enum idx_filter_status {
    IDX_FILTER_OK = 0,
    IDX_FILTER_REFUSED = -1, /* bits_per_key is out of range or the buffer too small; unite: the two are not alike */
    IDX_FILTER_NO_MEMORY = -2, /* for the scratch space of build */
    IDX_FILTER_FAILED = -3 /* no seed of a bounded number worked; unite: no room */
};

typedef struct idx_filter_ops {
    uint32_t abi, size;
    const char *name;
    uint32_t version; /* of the byte format */
    uint64_t (*hash)(const void *key, size_t n);
    size_t (*bound)(size_t n, double bits_per_key); /* bytes that build needs at most for n keys */
    /* Hashes may repeat and need not be sorted. A status. Kinds of a fixed width do not look at bits_per_key beyond its range. */
    int (*build)(const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len);
    int (*check)(const uint8_t *filter, size_t len); /* 0 when well formed */
    int (*may_contain)(const uint8_t *filter, size_t len, uint64_t hash);
    void (*may_contain_many)(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out);
    double (*expected_fpr)(double bits_per_key); /* from the theory, for the model overlay */
    /* From here on NULL where a kind cannot. */
    double (*fpr)(const uint8_t *filter, size_t len); /* the rate that follows from what stands in these checked bytes */
    int (*empty)(size_t capacity, double bits_per_key, uint8_t *out, size_t cap, size_t *len); /* no keys yet; a status */
    size_t (*insert)(uint8_t *filter, size_t len, const uint64_t *hashes, size_t n); /* how many went in; the next one found no room */
    /* Only what went in may be taken out. erased[i] is 0 when hash i was surely absent. */
    void (*erase)(uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *erased);
    int (*unite)(uint8_t *into, size_t len, const uint8_t *other, size_t other_len); /* both checked; a status, and into is lost unless 0 */
} idx_filter_ops;
/* cdef:end */
#endif
