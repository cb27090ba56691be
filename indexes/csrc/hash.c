#include "indexes/csrc/hash.h"
#include "indexes/csrc/bytes.h"

enum { SECRET_SIZE = 192, STRIPE = 64, LANES = 8, BLOCK = 1024, STRIPES_PER_BLOCK = 16 };

static const uint64_t P32_1 = 0x9E3779B1u, P32_2 = 0x85EBCA77u, P32_3 = 0xC2B2AE3Du;
static const uint64_t P64_1 = 0x9E3779B185EBCA87u, P64_2 = 0xC2B2AE3D27D4EB4Fu, P64_3 = 0x165667B19E3779F9u;
static const uint64_t P64_4 = 0x85EBCA77C2B2AE63u, P64_5 = 0x27D4EB2F165667C5u;
static const uint64_t MX_1 = 0x165667919E3779F9u, MX_2 = 0x9FB21C651E98DF25u;

static const uint8_t SECRET[SECRET_SIZE] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90,
    0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d,
    0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28,
    0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e,
    0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b,
    0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83,
    0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb, 0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16,
    0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static inline uint64_t mul_fold(uint64_t a, uint64_t b) {
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t rotl(uint64_t h, int r) { return h << r | h >> (64 - r); }

static inline uint64_t avalanche(uint64_t h) {
    h = (h ^ h >> 37) * MX_1;
    return h ^ h >> 32;
}

static inline uint64_t avalanche_xxh64(uint64_t h) { /* the finaliser of the older XXH64 */
    h = (h ^ h >> 33) * P64_2;
    h = (h ^ h >> 29) * P64_3;
    return h ^ h >> 32;
}

static inline uint64_t mix16(const uint8_t *p, const uint8_t *secret) {
    return mul_fold(idx_load64(p) ^ idx_load64(secret), idx_load64(p + 8) ^ idx_load64(secret + 8));
}

static inline uint64_t hash_4_8(const uint8_t *p, size_t n) {
    const uint64_t both = idx_load32(p + n - 4) + ((uint64_t)idx_load32(p) << 32);
    uint64_t h = both ^ idx_load64(SECRET + 8) ^ idx_load64(SECRET + 16);
    h = (h ^ rotl(h, 49) ^ rotl(h, 24)) * MX_2;
    h = (h ^ ((h >> 35) + n)) * MX_2;
    return h ^ h >> 28;
}

static inline uint64_t hash_0_16(const uint8_t *p, size_t n) {
    if (n > 8) {
        const uint64_t lo = idx_load64(p) ^ idx_load64(SECRET + 24) ^ idx_load64(SECRET + 32);
        const uint64_t hi = idx_load64(p + n - 8) ^ idx_load64(SECRET + 40) ^ idx_load64(SECRET + 48);
        return avalanche(n + __builtin_bswap64(lo) + hi + mul_fold(lo, hi));
    }
    if (n >= 4) return hash_4_8(p, n);
    if (n > 0) {
        const uint32_t packed = (uint32_t)p[0] << 16 | (uint32_t)p[n >> 1] << 24 | p[n - 1] | (uint32_t)n << 8;
        return avalanche_xxh64(packed ^ (uint64_t)(idx_load32(SECRET) ^ idx_load32(SECRET + 4)));
    }
    return avalanche_xxh64(idx_load64(SECRET + 56) ^ idx_load64(SECRET + 64));
}

/* Pairs of 16 bytes from both ends towards the middle. */
static uint64_t hash_17_128(const uint8_t *p, size_t n) {
    uint64_t acc = n * P64_1;
    for (size_t i = (n - 1) / 32 + 1; i-- > 0;) {
        acc += mix16(p + 16 * i, SECRET + 32 * i);
        acc += mix16(p + n - 16 * (i + 1), SECRET + 32 * i + 16);
    }
    return avalanche(acc);
}

static uint64_t hash_129_240(const uint8_t *p, size_t n) {
    uint64_t acc = n * P64_1;
    for (size_t i = 0; i < 8; i++) acc += mix16(p + 16 * i, SECRET + 16 * i);
    acc = avalanche(acc);
    for (size_t i = 8; i < n / 16; i++) acc += mix16(p + 16 * i, SECRET + 16 * (i - 8) + 3);
    return avalanche(acc + mix16(p + n - 16, SECRET + 136 - 17));
}

static inline void accumulate(uint64_t acc[LANES], const uint8_t *p, const uint8_t *secret) {
    for (int i = 0; i < LANES; i++) {
        const uint64_t value = idx_load64(p + 8 * i), keyed = value ^ idx_load64(secret + 8 * i);
        acc[i ^ 1] += value;
        acc[i] += (keyed & 0xFFFFFFFFu) * (keyed >> 32);
    }
}

static uint64_t hash_long(const uint8_t *p, size_t n) {
    uint64_t acc[LANES] = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1};
    const size_t blocks = (n - 1) / BLOCK, rest = (n - 1 - blocks * BLOCK) / STRIPE;
    for (size_t b = 0; b < blocks; b++) {
        for (size_t s = 0; s < STRIPES_PER_BLOCK; s++) accumulate(acc, p + b * BLOCK + s * STRIPE, SECRET + 8 * s);
        for (int i = 0; i < LANES; i++) {
            const uint64_t key = idx_load64(SECRET + SECRET_SIZE - STRIPE + 8 * i);
            acc[i] = (acc[i] ^ acc[i] >> 47 ^ key) * P32_1;
        }
    }
    for (size_t s = 0; s < rest; s++) accumulate(acc, p + blocks * BLOCK + s * STRIPE, SECRET + 8 * s);
    accumulate(acc, p + n - STRIPE, SECRET + SECRET_SIZE - STRIPE - 7);
    uint64_t h = n * P64_1;
    for (int i = 0; i < LANES; i += 2)
        h += mul_fold(acc[i] ^ idx_load64(SECRET + 11 + 8 * i), acc[i + 1] ^ idx_load64(SECRET + 19 + 8 * i));
    return avalanche(h);
}

uint64_t idx_xxh3(const void *key, size_t n) {
    const uint8_t *p = key;
    if (__builtin_expect(n <= 16, 1)) return hash_0_16(p, n);
    if (n <= 128) return hash_17_128(p, n);
    return n <= 240 ? hash_129_240(p, n) : hash_long(p, n);
}

void idx_xxh3_rows8(const uint8_t *rows, size_t n, uint64_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = hash_4_8(rows + 8 * i, 8);
}
