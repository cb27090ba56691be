/* bytes.h: little-endian loads and stores on any machine, at any alignment; keys as numbers of the same order.
 *
 * Ownership: the caller's bytes, whose bounds it checked. Threads: pure.
 */
#ifndef IDX_BYTES_H
#define IDX_BYTES_H
#include <stdint.h>
#include <string.h>

#ifdef __OPTIMIZE__ /* inlined, so that a caller's constants and processor reach it */
#define IDX_INLINE static inline __attribute__((always_inline))
#else /* a function like any other, so that each of its branches is there once */
#define IDX_INLINE static inline
#endif

static inline uint32_t idx_load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static inline uint64_t idx_load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint32_t idx_big32(const uint8_t *p) { return __builtin_bswap32(idx_load32(p)); }

static inline uint64_t idx_big64(const uint8_t *p) { return __builtin_bswap64(idx_load64(p)); }

/* The first 8 bytes of a key as a number that compares as they do, padded with zeros: loads that overlap, none of which leaves the key. */
static inline uint64_t idx_prefix64(const uint8_t *key, size_t n) {
    if (n >= 8) return idx_big64(key);
    if (n >= 4) return (uint64_t)idx_big32(key) << 32 | (uint64_t)idx_big32(key + n - 4) << (64 - 8 * n);
    if (n == 0) return 0;
    return (uint64_t)key[0] << 56 | (uint64_t)key[n / 2] << (56 - 8 * (n / 2)) | (uint64_t)key[n - 1] << (64 - 8 * n);
}

static inline void idx_store32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static inline void idx_store64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> 8 * i);
}
#endif
