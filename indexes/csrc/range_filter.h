/* range_filter.h: the range-filter ops table: "is there surely no key in [lo, hi)?"
 *
 *    sorted keys --begin, add ..., finish, write--> bytes (self-describing, portable, little-endian) --check, open--> may_contain_range()
 *
 * Ownership: a builder belongs to who began it and ends with drop. write fills the caller's buffer. What open returns reads the caller's bytes,
 * which outlive it; it allocates no more than a few words.
 * Threads: a builder belongs to one thread; everything else is pure, any thread, any time.
 * Invariants: no false negatives; open and the probes are only called on bytes for which check returned 0. The block that holds the
 * bytes has its own checksum, check() still trusts no number in them: after it no probe reads out of bounds or fails to end.
 * Keys are compared bytewise, a prefix first. lo is inclusive, hi exclusive; hi NULL: no end.
 */
#ifndef IDX_RANGE_FILTER_H
#define IDX_RANGE_FILTER_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
#define IDX_RANGE_ABI 1

enum idx_range_status {
    IDX_RANGE_OK = 0,
    IDX_RANGE_BAD = -1, /* parameters that are not understood, or more than the format holds */
    IDX_RANGE_NOMEM = -2,
    IDX_RANGE_ORDER = -3 /* a key before its predecessor */
};

typedef struct idx_range_ops {
    uint32_t abi, size;
    const char *name;
    uint32_t version; /* of the byte format */
    int (*begin)(const char *params, void **builder); /* params: "name=value name=value"; "": the defaults */
    int (*add)(void *builder, const uint8_t *key, size_t n); /* in order; repeats are fine */
    int (*finish)(void *builder, size_t *len); /* no more keys; how many bytes write will give */
    int (*write)(void *builder, uint8_t *out); /* after finish, len bytes */
    void (*drop)(void *builder); /* at any time, once */
    int (*check)(const uint8_t *filter, size_t len); /* 0 when well formed; O(len) */
    void *(*open)(const uint8_t *filter, size_t len); /* NULL: out of memory */
    void (*close)(void *opened);
    int (*may_contain)(const void *opened, const uint8_t *key, size_t n);
    int (*may_contain_range)(const void *opened, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n);
} idx_range_ops;
/* cdef:end */
#endif
