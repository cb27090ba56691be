/* types.h: the words that every part of the engine shares: status, error, entry, iterator.
 *
 * Order of entries everywhere: user key ascending (bytewise, a prefix first), then sequence number descending, then kind descending.
 *
 * Ownership: an lsm_entry borrows its key and value; they live until the next move of the iterator or release of the pin they came
 * from. Threads: an iterator belongs to one thread at a time.
 * Invariants: status is 0 or negative for errors; an iterator that stopped on an error has valid == 0 and status < 0, so that an error never
 * looks like the end.
 */
#ifndef LSM_TYPES_H
#define LSM_TYPES_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* cdef:begin */
#define LSM_ABI 1
#define LSM_MAX_KEY 65536
#define LSM_MAX_VALUE 1073741824
#define LSM_MAX_BATCH 2147483647
#define LSM_MAX_LEVELS 32

enum lsm_status {
    LSM_OK = 0,
    LSM_NOT_FOUND = 1,
    LSM_SEALED = 2, /* done, and the memtable was sealed: run or wake a flush */
    LSM_STALLED = 3, /* nothing was done: admission is closed, wait and try again */
    LSM_BUSY = 4, /* nothing was done: it would have to wait, and the caller said that it must not */
    LSM_CORRUPT = -1, /* bytes that fail a check: path, offset, what */
    LSM_IO = -2, /* the file system said no: path, sys_errno, what = operation */
    LSM_NOMEM = -3,
    LSM_INVALID = -4, /* a wrong argument */
    LSM_READONLY = -5,
    LSM_CLOSED = -6,
    LSM_CANCELLED = -7,
    LSM_TOO_BIG = -8,
    LSM_PLUGIN = -9, /* a plug-in broke its contract */
    LSM_SHORT = -10 /* the caller's buffer is too small: nothing was returned, the size needed is told */
};

enum lsm_kind { LSM_DELETE = 0, LSM_PUT = 1, LSM_MERGE = 2, LSM_RANGE_DELETE = 3, LSM_VALUE_POINTER = 4 };

typedef struct lsm_error {
    int status;
    int sys_errno;
    uint64_t offset;
    char path[512];
    char what[256];
} lsm_error;

typedef struct lsm_entry {
    const uint8_t *key;
    const uint8_t *value;
    uint32_t key_len;
    uint32_t kind; /* enum lsm_kind */
    uint64_t value_len;
    uint64_t seq; /* below 2^56 */
} lsm_entry;

typedef struct lsm_iter lsm_iter;
typedef struct lsm_iter_ops {
    uint32_t abi, size;
    void (*first)(lsm_iter *it);
    void (*last)(lsm_iter *it);
    void (*seek)(lsm_iter *it, const uint8_t *key, size_t n,
                 uint64_t seq); /* first entry >= (key, seq): of this key the newest with seq <= seq */
    void (*seek_before)(lsm_iter *it, const uint8_t *key, size_t n); /* last entry with user key < key */
    void (*next)(lsm_iter *it); /* only when valid */
    void (*prev)(lsm_iter *it); /* only when valid */
    void (*close)(lsm_iter *it);
} lsm_iter_ops;

/* Implementations put this first in their own struct. After every move entry is filled when valid. */
struct lsm_iter {
    const lsm_iter_ops *ops;
    lsm_entry entry;
    int valid;
    int status;
    lsm_error *error; /* where details go; may be NULL */
};
/* cdef:end */

static inline int lsm_compare_keys(const uint8_t *a, size_t an, const uint8_t *b, size_t bn) {
    size_t n = an < bn ? an : bn;
    int c = n ? memcmp(a, b, n) : 0;
    return c ? c : (an > bn) - (an < bn);
}

/* memcpy of what is short as a rule, without a call. */
static inline void lsm_copy_short(uint8_t *to, const uint8_t *from, size_t n) {
    uint64_t a[2], b[2];
    if (n >= 8 && n <= 16) {
        memcpy(a, from, 8);
        memcpy(b, from + n - 8, 8);
        memcpy(to, a, 8);
        memcpy(to + n - 8, b, 8);
    } else if (n > 16 && n <= 32) {
        memcpy(a, from, 16);
        memcpy(b, from + n - 16, 16);
        memcpy(to, a, 16);
        memcpy(to + n - 16, b, 16);
    } else if (n > 32) {
        memcpy(to, from, n);
    } else {
        for (size_t i = 0; i < n; i++) to[i] = from[i];
    }
}

/* Whether two keys are the same one. In order they differ near their ends, as a rule. */
static inline int lsm_same_key(const uint8_t *a, size_t an, const uint8_t *b, size_t bn) {
    if (an != bn) return 0;
    if (an >= 8) {
        uint64_t x, y;
        memcpy(&x, a + an - 8, 8);
        memcpy(&y, b + bn - 8, 8);
        if (x != y) return 0;
    }
    return !an || !memcmp(a, b, an);
}

/* Full order of entries. */
static inline int lsm_compare_entries(const lsm_entry *a, const lsm_entry *b) {
    int c = lsm_compare_keys(a->key, a->key_len, b->key, b->key_len);
    if (c) return c;
    if (a->seq != b->seq) return a->seq > b->seq ? -1 : 1;
    return (a->kind < b->kind) - (a->kind > b->kind);
}

int lsm_fail(lsm_error *e, int status, const char *path, uint64_t offset, const char *fmt, ...)
    __attribute__((format(printf, 5, 6))); /* fills e (may be NULL) and returns status */
int lsm_fail_io(lsm_error *e, int neg_errno, const char *path, const char *operation);
lsm_iter *lsm_iter_empty(void); /* never valid; close frees it */
#endif
