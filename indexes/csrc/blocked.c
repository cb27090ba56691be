/* The blocked Bloom filter: one cache line a probe. Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters", WEA 2007,
 * section 3.
 *
 * Bytes: kind u8, version u8, k u8, five zeros, number of blocks u64, 48 zeros (so that blocks are lines when the bytes start at one); then
 * blocks of 512 bits, bit i being bit i % 8 of byte i / 8. A key's block is the high half of its hash scaled to the number of blocks, its
 * bits in the block are the top 9 bits of (low half * GOLDEN^i mod 2^32), i = 1..k (multiplicative hashing, Knuth, TAOCP 3, section 6.4).
 */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/kinds.h"
#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { KIND = 2, VERSION = 1, HEADER = 64, LINE = 64, LINE_BITS = 512, AHEAD = 16, MOST_PROBES = 20 };

static const double MOST_BITS = 64;

/* The best k grows from i + 1 to i + 2 where bits_per_key, rounded to thousandths, reaches MORE_PROBES[i]. */
static const uint16_t MORE_PROBES[] = {2082,  3585,  5104,  6674,  8318,  10058, 11921, 13933, 16124, 18528,
                                       21185, 24140, 27445, 31162, 35361, 40127, 45559, 51775, 58916};

/* GOLDEN^1 .. GOLDEN^24 mod 2^32, GOLDEN = 0x9E3779B9. */
static const uint32_t POWERS[24] = {
    0x9E3779B9u, 0xE35E67B1u, 0x734297E9u, 0x35FBE861u, 0xDEB7C719u, 0x0448B211u, 0x3459B749u, 0xAB25F4C1u,
    0x52941879u, 0x9C95E071u, 0xF5AB9AA9u, 0x2D6BA521u, 0x8BEDEDD9u, 0x9BFB72D1u, 0x3AE1C209u, 0x7FCA7981u,
    0xC576C739u, 0xD23EE931u, 0x0335AD69u, 0xC04FF1E1u, 0x98702499u, 0x7535C391u, 0x9F70DCC9u, 0x0E198E41u,
};

static int probes(double bits_per_key) {
    const int n = sizeof MORE_PROBES / sizeof *MORE_PROBES;
    const int thousandths = (int)(bits_per_key * 1000 + 0.5);
    int k = 1;
    while (k <= n && thousandths >= MORE_PROBES[k - 1]) k++;
    return k;
}

static inline size_t line_of(uint64_t h, uint64_t lines) { return (size_t)((h >> 32) * lines >> 32) * LINE; }

static size_t blocked_bound(size_t n, double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS)) return 0;
    const double lines = ceil((double)n * bits_per_key / LINE_BITS);
    return lines > (double)UINT32_MAX ? 0 : HEADER + (size_t)lines * LINE;
}

static int blocked_empty(size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    const size_t need = blocked_bound(n, bits_per_key);
    if (need == 0 || cap < need) return IDX_FILTER_REFUSED;
    memset(out, 0, need);
    out[0] = KIND, out[1] = VERSION, out[2] = (uint8_t)probes(bits_per_key);
    idx_store64(out + 8, (need - HEADER) / LINE);
    *len = need;
    return IDX_FILTER_OK;
}

static size_t blocked_insert(uint8_t *filter, size_t len, const uint64_t *hashes, size_t n) {
    if (len <= HEADER) return 0;
    const uint64_t lines = idx_load64(filter + 8);
    const int k = filter[2];
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) __builtin_prefetch(filter + HEADER + line_of(hashes[i + AHEAD], lines), 1);
        uint8_t *line = filter + HEADER + line_of(hashes[i], lines);
        for (int j = 0; j < k; j++) {
            const uint32_t at = (uint32_t)hashes[i] * POWERS[j] >> 23;
            line[at / 8] |= (uint8_t)(1u << at % 8);
        }
    }
    return n;
}

static int blocked_build(const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    const int status = blocked_empty(n, bits_per_key, out, cap, len);
    if (status == IDX_FILTER_OK) blocked_insert(out, *len, hashes, n);
    return status;
}

static int blocked_check(const uint8_t *filter, size_t len) {
    if (len < HEADER || filter[0] != KIND || filter[1] != VERSION || filter[2] < 1 || filter[2] > MOST_PROBES) return -1;
    for (int i = 3; i < HEADER; i++)
        if (filter[i] && (i < 8 || i >= 16)) return -1;
    const uint64_t lines = idx_load64(filter + 8);
    return lines <= UINT32_MAX && lines * LINE == len - HEADER ? 0 : -1;
}

/* All k bits at once, without a branch on the data: a miss costs as much as a hit, and no misprediction. */
static inline int test(const uint8_t *line, int k, uint32_t h) {
    uint32_t all = 1;
    for (int j = 0; j < k; j++) {
        const uint32_t at = h * POWERS[j] >> 23;
        all &= (uint32_t)line[at / 8] >> at % 8;
    }
    return (int)(all & 1);
}

static int blocked_may_contain(const uint8_t *filter, size_t len, uint64_t hash) {
    if (len <= HEADER) return 0;
    return test(filter + HEADER + line_of(hash, idx_load64(filter + 8)), filter[2], (uint32_t)hash);
}

static void many_portable(const uint8_t *lines, uint64_t n_lines, int k, const uint64_t *hashes, size_t n, uint8_t *out) {
    /* uncovered 2 (machine): a processor without these instructions */
    for (size_t i = 0; i < n; i++) {
        /* uncovered 2 (machine): a processor without these instructions */
        if (i + AHEAD < n) __builtin_prefetch(lines + line_of(hashes[i + AHEAD], n_lines));
        out[i] = (uint8_t)test(lines + line_of(hashes[i], n_lines), k, (uint32_t)hashes[i]);
    }
}

#if defined(__x86_64__)
/* Eight probes a step: each lane takes its 32-bit word out of the line (two registers) and shifts its bit to the sign. */
__attribute__((target("avx2"))) static int test_avx2(const uint8_t *line, int k, uint32_t h) {
    const __m256i low = _mm256_loadu_si256((const __m256i *)line), high = _mm256_loadu_si256((const __m256i *)(line + 32));
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (int j = 0; j < k; j += 8) {
        const __m256i at = _mm256_mullo_epi32(_mm256_set1_epi32((int)h), _mm256_loadu_si256((const __m256i *)(POWERS + j)));
        const __m256i word = _mm256_srli_epi32(at, 28); /* 0..15; its low 3 bits choose the lane, the top bit of at the half */
        const __m256 from_low = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(low, word));
        const __m256 from_high = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(high, word));
        const __m256i value = _mm256_castps_si256(_mm256_blendv_ps(from_low, from_high, _mm256_castsi256_ps(at)));
        const __m256i bit = _mm256_and_si256(_mm256_srli_epi32(at, 23), _mm256_set1_epi32(31));
        const __m256i hit = _mm256_sllv_epi32(value, _mm256_sub_epi32(_mm256_set1_epi32(31), bit));
        const __m256i beyond = _mm256_cmpgt_epi32(lanes, _mm256_set1_epi32(k - j - 1));
        if (_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_or_si256(hit, beyond))) != 0xFF) return 0;
    }
    return 1;
}

__attribute__((target("avx2"))) static void many_avx2(const uint8_t *lines, uint64_t n_lines, int k, const uint64_t *hashes, size_t n,
                                                      uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) __builtin_prefetch(lines + line_of(hashes[i + AHEAD], n_lines));
        out[i] = (uint8_t)test_avx2(lines + line_of(hashes[i], n_lines), k, (uint32_t)hashes[i]);
    }
}
#endif

static void blocked_may_contain_many(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out) {
    if (len <= HEADER) {
        memset(out, 0, n);
        return;
    }
    const uint64_t lines = idx_load64(filter + 8);
#if defined(__x86_64__)
    /* uncovered (machine): a processor without these instructions */
    if (__builtin_cpu_supports("avx2")) {
        many_avx2(filter + HEADER, lines, filter[2], hashes, n, out);
        return;
    }
#endif
    many_portable(filter + HEADER, lines, filter[2], hashes, n, out);
}

/* The number of keys in a block is Poisson distributed; the distribution of set bits after each key follows exactly from throwing bits
 * one by one. */
static double blocked_expected_fpr(double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS)) return NAN;
    const int k = probes(bits_per_key);
    const double load = LINE_BITS / bits_per_key;
    const int most = (int)(load + 12 * sqrt(load) + 20);
    double set[LINE_BITS + 1] = {1}, weight = exp(-load), sum = 0; /* set[x]: probability that x bits are set */
    for (int keys = 1; keys <= most; keys++) {
        for (int j = 0; j < k; j++)
            for (int x = LINE_BITS; x >= 0; x--) set[x] = (set[x] * x + (x ? set[x - 1] * (LINE_BITS - x + 1) : 0)) / LINE_BITS;
        weight *= load / keys;
        double hit = 0;
        for (int x = 1; x <= LINE_BITS; x++) hit += set[x] * pow((double)x / LINE_BITS, k);
        sum += weight * hit;
    }
    return sum;
}

/* A probe meets each block with the same probability, and all its bits in it. */
static double blocked_fpr(const uint8_t *filter, size_t len) {
    if (len <= HEADER) return 0;
    double sum = 0;
    for (size_t line = HEADER; line < len; line += LINE) {
        int set = 0;
        for (size_t i = 0; i < LINE; i += 8) set += __builtin_popcountll(idx_load64(filter + line + i));
        sum += pow((double)set / LINE_BITS, filter[2]);
    }
    return sum * LINE / (double)(len - HEADER);
}

static int blocked_unite(uint8_t *into, size_t len, const uint8_t *other, size_t other_len) {
    if (len != other_len || memcmp(into, other, HEADER) != 0) return IDX_FILTER_REFUSED;
    for (size_t i = HEADER; i < len; i++) into[i] |= other[i];
    return IDX_FILTER_OK;
}

const idx_filter_ops idx_blocked_bloom = {
    .abi = IDX_FILTER_ABI,
    .size = sizeof(idx_filter_ops),
    .name = "blocked_bloom",
    .version = VERSION,
    .hash = idx_xxh3,
    .bound = blocked_bound,
    .build = blocked_build,
    .check = blocked_check,
    .may_contain = blocked_may_contain,
    .may_contain_many = blocked_may_contain_many,
    .expected_fpr = blocked_expected_fpr,
    .fpr = blocked_fpr,
    .empty = blocked_empty,
    .insert = blocked_insert,
    .unite = blocked_unite,
};
