/* The standard Bloom filter: Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970; its k probes made of two hashes
 * as in Kirsch and Mitzenmacher, "Less hashing, same performance", ESA 2006.
 *
 * Bytes: kind u8, version u8, k u8, five zeros, nbits u64; then nbits / 8 bytes, bit i being bit i % 8 of byte i / 8.
 */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/kinds.h"
#include <math.h>

enum { KIND = 1, VERSION = 1, HEADER = 16, AHEAD = 16 };

static const double MOST_BITS = 64;

/* The best k grows from i + 1 to i + 2 where bits_per_key, rounded to thousandths, reaches MORE_PROBES[i]. */
static const uint16_t MORE_PROBES[] = {2079,  3557,  5014,  6465,  7913,  9359,  10804, 12249, 13693, 15137, 16581,
                                       18024, 19468, 20911, 22354, 23797, 25241, 26684, 28127, 29570, 31013, 32456,
                                       33899, 35341, 36784, 38227, 39670, 41113, 42556, 43999, 45441, 46884, 48327,
                                       49770, 51213, 52655, 54098, 55541, 56984, 58427, 59869, 61312, 62755};

static int probes(double bits_per_key) {
    const int n = sizeof MORE_PROBES / sizeof *MORE_PROBES;
    const int thousandths = (int)(bits_per_key * 1000 + 0.5);
    int k = 1;
    while (k <= n && thousandths >= MORE_PROBES[k - 1]) k++;
    return k;
}

static inline uint64_t scale(uint64_t h, uint64_t n) { return (uint64_t)((unsigned __int128)h * n >> 64); }

static inline uint64_t second_hash(uint64_t h) { return (h << 32 | h >> 32) | 1; }

static size_t bloom_bound(size_t n, double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS) || (double)n > (double)SIZE_MAX / 16) return 0;
    return HEADER + (n ? ((size_t)((double)n * bits_per_key) / 64 + 1) * 8 : 0);
}

static int bloom_build(const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    const size_t need = bloom_bound(n, bits_per_key);
    if (need == 0 || cap < need) return -1;
    const uint64_t nbits = (uint64_t)(need - HEADER) * 8;
    const int k = probes(bits_per_key);
    memset(out, 0, need);
    out[0] = KIND, out[1] = VERSION, out[2] = (uint8_t)k;
    idx_store64(out + 8, nbits);
    uint8_t *bits = out + HEADER;
    for (size_t i = 0; i < n; i++) {
        uint64_t h = hashes[i];
        const uint64_t step = second_hash(h);
        for (int j = 0; j < k; j++, h += step) {
            const uint64_t at = scale(h, nbits);
            bits[at / 8] |= (uint8_t)(1u << at % 8);
        }
    }
    *len = need;
    return 0;
}

static int bloom_check(const uint8_t *filter, size_t len) {
    if (len < HEADER || filter[0] != KIND || filter[1] != VERSION || filter[2] < 1 || filter[2] > 64) return -1;
    for (int i = 3; i < 8; i++)
        if (filter[i]) return -1;
    const uint64_t nbits = idx_load64(filter + 8);
    return nbits % 64 == 0 && nbits / 8 == len - HEADER ? 0 : -1;
}

static inline int test(const uint8_t *bits, uint64_t nbits, int k, uint64_t h) {
    const uint64_t step = second_hash(h);
    for (; k > 0; k--, h += step) {
        const uint64_t at = scale(h, nbits);
        if (!(bits[at / 8] >> at % 8 & 1)) return 0;
    }
    return 1;
}

static int bloom_may_contain(const uint8_t *filter, size_t len, uint64_t hash) {
    return len > HEADER && test(filter + HEADER, idx_load64(filter + 8), filter[2], hash);
}

static void bloom_may_contain_many(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out) {
    if (len <= HEADER) {
        memset(out, 0, n);
        return;
    }
    const uint64_t nbits = idx_load64(filter + 8);
    const uint8_t *bits = filter + HEADER;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) { /* half of the absent keys end at the first probe, most at the second */
            const uint64_t h = hashes[i + AHEAD];
            __builtin_prefetch(bits + scale(h, nbits) / 8);
            __builtin_prefetch(bits + scale(h + second_hash(h), nbits) / 8);
        }
        out[i] = (uint8_t)test(bits, nbits, filter[2], hashes[i]);
    }
}

static double bloom_expected_fpr(double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS)) return NAN;
    const int k = probes(bits_per_key);
    return pow(1 - exp(-k / bits_per_key), k);
}

const idx_filter_ops idx_bloom = {
    .abi = IDX_FILTER_ABI,
    .size = sizeof(idx_filter_ops),
    .name = "bloom",
    .version = VERSION,
    .hash = idx_xxh3,
    .bound = bloom_bound,
    .build = bloom_build,
    .check = bloom_check,
    .may_contain = bloom_may_contain,
    .may_contain_many = bloom_may_contain_many,
    .expected_fpr = bloom_expected_fpr,
};
