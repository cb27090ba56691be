/* crc32c.c: three interleaved lanes of the crc32 instruction, joined by carry-less multiplication; else slicing-by-8.
 * After Kounavis and Berry, "Novel Table Lookup-Based Algorithms for High-Performance CRC Generation" (2008), and
 * Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction" (Intel, 2011). */
#include "crc32c.h"
#include "crc32c_tables.h"
#include <string.h>

static uint32_t load32(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

uint32_t rec_crc32c_portable(uint32_t crc, const void *data, size_t n) {
    const uint8_t *p = data;
    uint32_t c = ~crc;
    for (; n >= 8; p += 8, n -= 8) {
        uint32_t a = c ^ load32(p), b = load32(p + 4);
        c = T[7][a & 255] ^ T[6][a >> 8 & 255] ^ T[5][a >> 16 & 255] ^ T[4][a >> 24] ^ T[3][b & 255] ^ T[2][b >> 8 & 255] ^
            T[1][b >> 16 & 255] ^ T[0][b >> 24];
    }
    for (; n; p++, n--) c = T[0][(c ^ *p) & 255] ^ c >> 8;
    return ~c;
}

#if defined(__x86_64__)
#include <immintrin.h>
#define KERNEL __attribute__((target("sse4.2,pclmul")))

static inline uint64_t load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8); /* x86 is little-endian */
    return v;
}

/* crc times k in GF(2)[x]; k = x^(8n - 33) mod P, so that a crc32 step over the product shifts crc by n zero bytes. */
KERNEL static inline uint64_t times(uint64_t crc, uint32_t k) {
    return (uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi32_si128((int)k), 0));
}

/* One block of three lanes of `lane` bytes each; one = shift by a lane, two = by two lanes. */
KERNEL static inline __attribute__((always_inline)) uint64_t lanes(uint64_t c, const uint8_t *p, size_t lane, uint32_t one, uint32_t two) {
    uint64_t c1 = 0, c2 = 0;
    for (size_t i = 0; i < lane; i += 8) {
        c = _mm_crc32_u64(c, load64(p + i));
        c1 = _mm_crc32_u64(c1, load64(p + lane + i));
        c2 = _mm_crc32_u64(c2, load64(p + 2 * lane + i));
    }
    return _mm_crc32_u64(0, times(c, two) ^ times(c1, one)) ^ c2;
}

KERNEL static uint32_t crc_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    uint64_t c = ~crc;
    for (; n >= 3 * 1344; p += 3 * 1344, n -= 3 * 1344) c = lanes(c, p, 1344, 0xc9c8b782u, 0x889774e1u);
    for (; n >= 3 * 168; p += 3 * 168, n -= 3 * 168) c = lanes(c, p, 168, 0x1b3d8f29u, 0xa60ce07bu);
    for (; n >= 3 * 40; p += 3 * 40, n -= 3 * 40) c = lanes(c, p, 40, 0x3da6d0cbu, 0x39d3b296u);
    for (; n >= 8; p += 8, n -= 8) c = _mm_crc32_u64(c, load64(p));
    if (n >= 4) c = _mm_crc32_u32((uint32_t)c, load32(p)), p += 4, n -= 4;
    for (; n; p++, n--) c = _mm_crc32_u8((uint32_t)c, *p);
    return ~(uint32_t)c;
}

/* uncovered 2 (machine): a processor without these instructions */
int rec_crc32c_is_hardware(void) { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"); }

uint32_t rec_crc32c(uint32_t crc, const void *data, size_t n) {
    if (__builtin_expect(rec_crc32c_is_hardware(), 1)) return crc_hardware(crc, data, n); /* uncovered (machine): likewise */
    return rec_crc32c_portable(crc, data, n);
}
#else
int rec_crc32c_is_hardware(void) { return 0; }
uint32_t rec_crc32c(uint32_t crc, const void *data, size_t n) { return rec_crc32c_portable(crc, data, n); }
#endif
