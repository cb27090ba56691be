/* text_buf.h: growing arrays and variable-length integers for the full-text code.
 *
 *    LEB128: seven bits a byte, low ones first, the top bit set on all but the last byte
 *
 * Ownership: a buffer owns its bytes until idx_buf_free or until idx_buf_take hands them over. Threads: one at a time.
 * Invariants: after a failed growth the buffer is as it was. Reading never passes end and takes at most ten bytes a number.
 */
#ifndef IDX_TEXT_BUF_H
#define IDX_TEXT_BUF_H
#include "indexes/csrc/bytes.h"
#include <stdlib.h>

typedef struct {
    uint8_t *at;
    size_t n, cap;
} idx_buf;

/* Room for `more` items of `size` bytes behind the n that are there: the array (moved perhaps), or NULL and nothing changed. */
static inline void *idx_grow(void *items, size_t n, size_t *cap, size_t more, size_t size) {
    if (n + more <= *cap) return items;
    size_t want = *cap + *cap / 2 + 16;
    if (want < n + more) want = n + more;
    /* uncovered 2 (guard): more than a test can hold */
    if (want < n || want > SIZE_MAX / 2 / size) return NULL;
    void *moved = realloc(items, want * size);
    if (moved) *cap = want;
    return moved;
}

static inline uint8_t *idx_buf_room(idx_buf *b, size_t more) {
    uint8_t *at = idx_grow(b->at, b->n, &b->cap, more, 1);
    if (at) b->at = at;
    return at ? at + b->n : NULL;
}

static inline int idx_buf_put(idx_buf *b, const void *bytes, size_t n) {
    uint8_t *to = idx_buf_room(b, n + 1); /* never NULL for lack of need */
    if (!to) return -1;
    if (n) memcpy(to, bytes, n);
    b->n += n;
    return 0;
}

static inline int idx_buf_varint(idx_buf *b, uint64_t v) {
    uint8_t *to = idx_buf_room(b, 10);
    if (!to) return -1;
    while (v >= 0x80) *to++ = (uint8_t)(v | 0x80), v >>= 7;
    *to++ = (uint8_t)v;
    b->n = (size_t)(to - b->at);
    return 0;
}

static inline void idx_buf_free(idx_buf *b) {
    free(b->at);
    *b = (idx_buf){0};
}

/* The byte behind the number at p; NULL when it does not end before `end` or does not fit. */
static inline const uint8_t *idx_varint(const uint8_t *p, const uint8_t *end, uint64_t *v) {
    uint64_t got = 0;
    for (unsigned shift = 0; p < end; shift += 7) {
        const uint8_t byte = *p++;
        if (shift == 63 && byte > 1) return NULL;
        got |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return *v = got, p;
    }
    return NULL;
}
#endif
