/* varint.h: whole numbers in groups of 7 bits, the lowest first, the top bit set in all bytes but the last.
 *
 * Ownership: the caller's bytes. Threads: pure. Invariants: nothing at or past `end` is read; more than 64 bits are refused.
 */
#ifndef IDX_VARINT_H
#define IDX_VARINT_H
#include <stddef.h>
#include <stdint.h>

enum { VARINT_MOST = 10 };

/* Into room for VARINT_MOST bytes: how many it took. */
static inline size_t varint_put(uint8_t *p, uint64_t v) {
    size_t n = 0;
    for (; v >= 128; v >>= 7) p[n++] = (uint8_t)(v | 128);
    p[n++] = (uint8_t)v;
    return n;
}

/* Past the number, or NULL. */
static inline const uint8_t *varint_get(const uint8_t *p, const uint8_t *end, uint64_t *v) {
    *v = 0;
    for (int shift = 0; p < end && shift < 64; shift += 7) {
        if (shift == 63 && (*p & 126)) return NULL;
        *v |= (uint64_t)(*p & 127) << shift;
        if (!(*p++ & 128)) return p;
    }
    return NULL;
}
#endif
