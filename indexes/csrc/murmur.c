#include "indexes/csrc/bytes.h"
#include "indexes/csrc/distinct.h"
#include "indexes/csrc/hash.h"

static const uint64_t C1 = 0x87c37b91114253d5u, C2 = 0x4cf5ad432745937fu;

static inline uint64_t rotl(uint64_t h, int r) { return h << r | h >> (64 - r); }
static inline uint64_t first_word(uint64_t k) { return rotl(k * C1, 31) * C2; }
static inline uint64_t second_word(uint64_t k) { return rotl(k * C2, 33) * C1; }

void idx_murmur3_128(const void *key, size_t n, uint64_t out[2]) {
    const uint8_t *p = key;
    uint64_t a = 0, b = 0;
    size_t left = n;
    for (; left >= 16; left -= 16, p += 16) {
        a = (rotl(a ^ first_word(idx_load64(p)), 27) + b) * 5 + 0x52dce729u;
        b = (rotl(b ^ second_word(idx_load64(p + 8)), 31) + a) * 5 + 0x38495ab5u;
    }
    uint8_t rest[16] = {0};
    memcpy(rest, p, left);
    if (left > 8) b ^= second_word(idx_load64(rest + 8));
    if (left > 0) a ^= first_word(idx_load64(rest));
    a ^= n, b ^= n;
    a += b, b += a;
    a = idx_mix(a), b = idx_mix(b);
    a += b, b += a;
    out[0] = a, out[1] = b;
}

uint64_t idx_murmur3(const void *key, size_t n) {
    uint64_t out[2];
    idx_murmur3_128(key, n, out);
    return out[0];
}
