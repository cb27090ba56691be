/* The standard Bloom filter: Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970; its k probes made of two
 * hashes as in Kirsch and Mitzenmacher, "Less hashing, same performance", ESA 2006.
 *
 * Bytes: kind u8, version u8, k u8, five zeros, nbits u64; then nbits / 8 bytes, bit i being bit i % 8 of byte i / 8.
 */
#include "indexes/csrc/bloom.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/kinds.h"
#include <math.h>

enum { KIND = 1, VERSION = 1, HEADER = 16, AHEAD = 8, GROUP = 128, FIRST = 2, NEAR = 1 << 25 /* bits */ };

static const double MOST_BITS = 64;

/* The best k grows from i + 1 to i + 2 where bits_per_key, rounded to thousandths, reaches MORE_PROBES[i]. */
static const uint16_t MORE_PROBES[] = {2079,  3557,  5014,  6465,  7913,  9359,  10804, 12249, 13693, 15137, 16581,
                                       18024, 19468, 20911, 22354, 23797, 25241, 26684, 28127, 29570, 31013, 32456,
                                       33899, 35341, 36784, 38227, 39670, 41113, 42556, 43999, 45441, 46884, 48327,
                                       49770, 51213, 52655, 54098, 55541, 56984, 58427, 59869, 61312, 62755};

int idx_bloom_probes(double cells_per_key) {
    const int n = sizeof MORE_PROBES / sizeof *MORE_PROBES;
    const int thousandths = (int)(cells_per_key * 1000 + 0.5);
    int k = 1;
    while (k <= n && thousandths >= MORE_PROBES[k - 1]) k++;
    return k;
}

static size_t bloom_bound(size_t n, double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS) || (double)n > (double)SIZE_MAX / 1024) return 0;
    return HEADER + (n ? ((size_t)((double)n * bits_per_key) / 64 + 1) * 8 : 0);
}

static int bloom_empty(size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    const size_t need = bloom_bound(n, bits_per_key);
    if (need == 0 || cap < need) return IDX_FILTER_REFUSED;
    memset(out, 0, need);
    out[0] = KIND, out[1] = VERSION, out[2] = (uint8_t)idx_bloom_probes(bits_per_key);
    idx_store64(out + 8, (uint64_t)(need - HEADER) * 8);
    *len = need;
    return IDX_FILTER_OK;
}

static inline void fetch(const uint8_t *bits, uint64_t nbits, int k, uint64_t h, uint64_t step) {
    for (; k > 0; k--, h += step) __builtin_prefetch(bits + idx_scale(h, nbits) / 8);
}

static size_t bloom_insert(uint8_t *filter, size_t len, const uint64_t *hashes, size_t n) {
    if (len <= HEADER) return 0;
    const uint64_t nbits = idx_load64(filter + 8);
    const int k = filter[2];
    uint8_t *bits = filter + HEADER;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) fetch(bits, nbits, k, hashes[i + AHEAD], idx_bloom_step(hashes[i + AHEAD]));
        uint64_t h = hashes[i];
        const uint64_t step = idx_bloom_step(h);
        for (int j = 0; j < k; j++, h += step) {
            const uint64_t at = idx_scale(h, nbits);
            bits[at / 8] |= (uint8_t)(1u << at % 8);
        }
    }
    return n;
}

static int bloom_build(const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    const int status = bloom_empty(n, bits_per_key, out, cap, len);
    if (status == IDX_FILTER_OK) bloom_insert(out, *len, hashes, n);
    return status;
}

static int bloom_check(const uint8_t *filter, size_t len) {
    if (len < HEADER || filter[0] != KIND || filter[1] != VERSION || filter[2] < 1 || filter[2] > 64) return -1;
    for (int i = 3; i < 8; i++)
        if (filter[i]) return -1;
    const uint64_t nbits = idx_load64(filter + 8);
    return nbits % 64 == 0 && nbits / 8 == len - HEADER ? 0 : -1;
}

static inline unsigned bit_at(const uint8_t *bits, uint64_t nbits, uint64_t h) {
    const uint64_t at = idx_scale(h, nbits);
    return (unsigned)bits[at / 8] >> at % 8 & 1;
}

static int bloom_may_contain(const uint8_t *filter, size_t len, uint64_t hash) {
    if (len <= HEADER) return 0;
    const uint64_t nbits = idx_load64(filter + 8), step = idx_bloom_step(hash);
    for (int k = filter[2]; k > 0; k--, hash += step)
        if (!bit_at(filter + HEADER, nbits, hash)) return 0;
    return 1;
}

/* Two probes of every key, without a branch on what they find; then the other probes of the keys that are left, likewise. Nothing is
 * mispredicted, so the loads of many keys are under way at the same time; where the bits are too many for the near caches, they are also
 * asked for beforehand. */
static void many_of_group(const uint8_t *bits, uint64_t nbits, int k, const uint64_t *hashes, size_t n, uint8_t *out) {
    const int first = k < FIRST ? k : FIRST;
    uint8_t left[GROUP];
    size_t n_left = 0;
    for (size_t i = 0; nbits > NEAR && i < n; i++) fetch(bits, nbits, first, hashes[i], idx_bloom_step(hashes[i]));
    for (size_t i = 0; i < n; i++) {
        uint64_t h = hashes[i];
        const uint64_t step = idx_bloom_step(h);
        unsigned all = 1;
        for (int j = 0; j < first; j++, h += step) all &= bit_at(bits, nbits, h);
        out[i] = (uint8_t)all;
        left[n_left] = (uint8_t)i;
        n_left += all;
    }
    for (size_t i = 0; nbits > NEAR && i < n_left; i++) {
        const uint64_t step = idx_bloom_step(hashes[left[i]]);
        fetch(bits, nbits, k - first, hashes[left[i]] + (uint64_t)first * step, step);
    }
    for (size_t i = 0; i < n_left; i++) {
        const uint64_t step = idx_bloom_step(hashes[left[i]]);
        uint64_t h = hashes[left[i]] + (uint64_t)first * step;
        unsigned all = 1;
        for (int j = first; j < k; j++, h += step) all &= bit_at(bits, nbits, h);
        out[left[i]] = (uint8_t)all;
    }
}

static void bloom_may_contain_many(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out) {
    if (len <= HEADER) {
        memset(out, 0, n);
        return;
    }
    const uint64_t nbits = idx_load64(filter + 8);
    for (size_t i = 0; i < n; i += GROUP)
        many_of_group(filter + HEADER, nbits, filter[2], hashes + i, n - i < GROUP ? n - i : GROUP, out + i);
}

static double bloom_expected_fpr(double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS)) return NAN;
    const int k = idx_bloom_probes(bits_per_key);
    return pow(1 - exp(-k / bits_per_key), k);
}

static double bloom_fpr(const uint8_t *filter, size_t len) {
    if (len <= HEADER) return 0;
    uint64_t set = 0;
    for (size_t i = HEADER; i < len; i += 8) set += (uint64_t)__builtin_popcountll(idx_load64(filter + i));
    return pow((double)set / (double)idx_load64(filter + 8), filter[2]);
}

static int bloom_unite(uint8_t *into, size_t len, const uint8_t *other, size_t other_len) {
    if (len != other_len || memcmp(into, other, HEADER) != 0) return IDX_FILTER_REFUSED;
    for (size_t i = HEADER; i < len; i++) into[i] |= other[i];
    return IDX_FILTER_OK;
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
    .fpr = bloom_fpr,
    .empty = bloom_empty,
    .insert = bloom_insert,
    .unite = bloom_unite,
};
