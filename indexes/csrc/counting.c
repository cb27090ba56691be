/* The counting Bloom filter: Fan, Cao, Almeida, Broder, "Summary cache", IEEE/ACM Transactions on Networking 2000, section V-C: a counter
 * of 4 bits for each bit of a Bloom filter, so that keys can be taken out again. bits_per_key is memory as everywhere: 40 bits a key make
 * the rate of a Bloom filter of 10.
 *
 * Bytes: kind u8, version u8, k u8, five zeros, counters u64; then counters / 2 bytes, the even counter of each pair in its lower half. A
 * counter that has reached 15 stays there: it has lost count, and counting down from a lost count could deny a key.
 */
#include "indexes/csrc/bloom.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/kinds.h"
#include <math.h>

enum { KIND = 3, VERSION = 1, HEADER = 16, AHEAD = 8, WIDTH = 4, FULL = 15, GROUP = 128, FIRST = 2 };

static const double MOST_BITS = 64;

static size_t counting_bound(size_t n, double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS) || (double)n > (double)SIZE_MAX / 1024) return 0;
    return HEADER + (n ? ((size_t)((double)n * bits_per_key) / 64 + 1) * 8 : 0);
}

static int counting_empty(size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    const size_t need = counting_bound(n, bits_per_key);
    if (need == 0 || cap < need) return IDX_FILTER_REFUSED;
    memset(out, 0, need);
    out[0] = KIND, out[1] = VERSION, out[2] = (uint8_t)idx_bloom_probes(bits_per_key / WIDTH);
    idx_store64(out + 8, (uint64_t)(need - HEADER) * 2);
    *len = need;
    return IDX_FILTER_OK;
}

static inline unsigned counter(const uint8_t *counters, uint64_t at) { return (unsigned)counters[at / 2] >> at % 2 * WIDTH & FULL; }

/* Adds 1 or -1 to the key's counters: none that is full changes, none falls below zero. */
static inline void count(uint8_t *counters, uint64_t n_counters, int k, uint64_t h, int by) {
    const uint64_t step = idx_bloom_step(h);
    for (; k > 0; k--, h += step) {
        const uint64_t at = idx_scale(h, n_counters);
        const unsigned now = counter(counters, at);
        if (now < FULL && (by > 0 || now > 0)) counters[at / 2] = (uint8_t)(counters[at / 2] + by * (1 << at % 2 * WIDTH));
    }
}

static inline int test(const uint8_t *counters, uint64_t n_counters, int k, uint64_t h, uint64_t step) {
    for (; k > 0; k--, h += step)
        if (!counter(counters, idx_scale(h, n_counters))) return 0;
    return 1;
}

static inline void fetch(const uint8_t *counters, uint64_t n_counters, int k, uint64_t h) {
    const uint64_t step = idx_bloom_step(h);
    for (; k > 0; k--, h += step) __builtin_prefetch(counters + idx_scale(h, n_counters) / 2);
}

static size_t counting_insert(uint8_t *filter, size_t len, const uint64_t *hashes, size_t n) {
    if (len <= HEADER) return 0;
    const uint64_t n_counters = idx_load64(filter + 8);
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) fetch(filter + HEADER, n_counters, filter[2], hashes[i + AHEAD]);
        count(filter + HEADER, n_counters, filter[2], hashes[i], 1);
    }
    return n;
}

static void counting_erase(uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *erased) {
    if (len <= HEADER) {
        memset(erased, 0, n);
        return;
    }
    const uint64_t n_counters = idx_load64(filter + 8);
    for (size_t i = 0; i < n; i++) {
        erased[i] = (uint8_t)test(filter + HEADER, n_counters, filter[2], hashes[i], idx_bloom_step(hashes[i]));
        if (erased[i]) count(filter + HEADER, n_counters, filter[2], hashes[i], -1);
    }
}

static int counting_build(const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    const int status = counting_empty(n, bits_per_key, out, cap, len);
    if (status == IDX_FILTER_OK) counting_insert(out, *len, hashes, n);
    return status;
}

static int counting_check(const uint8_t *filter, size_t len) {
    if (len < HEADER || filter[0] != KIND || filter[1] != VERSION || filter[2] < 1 || filter[2] > 64) return -1;
    for (int i = 3; i < 8; i++)
        if (filter[i]) return -1;
    const uint64_t n_counters = idx_load64(filter + 8);
    return n_counters % 16 == 0 && n_counters / 2 == len - HEADER ? 0 : -1;
}

static int counting_may_contain(const uint8_t *filter, size_t len, uint64_t hash) {
    return len > HEADER && test(filter + HEADER, idx_load64(filter + 8), filter[2], hash, idx_bloom_step(hash));
}

/* Two probes of every key without a branch on what they find, then the others of the keys that are left: see bloom.c. */
static void many_of_group(const uint8_t *counters, uint64_t n_counters, int k, const uint64_t *hashes, size_t n, uint8_t *out) {
    const int first = k < FIRST ? k : FIRST;
    uint8_t left[GROUP];
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t h = hashes[i];
        const uint64_t step = idx_bloom_step(h);
        unsigned all = 1;
        for (int j = 0; j < first; j++, h += step) all &= counter(counters, idx_scale(h, n_counters)) != 0;
        out[i] = (uint8_t)all;
        left[n_left] = (uint8_t)i;
        n_left += all;
    }
    for (size_t i = 0; i < n_left; i++) {
        const uint64_t step = idx_bloom_step(hashes[left[i]]);
        out[left[i]] = (uint8_t)test(counters, n_counters, k - first, hashes[left[i]] + (uint64_t)first * step, step);
    }
}

static void counting_may_contain_many(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out) {
    if (len <= HEADER) {
        memset(out, 0, n);
        return;
    }
    const uint64_t n_counters = idx_load64(filter + 8);
    for (size_t i = 0; i < n; i += GROUP)
        many_of_group(filter + HEADER, n_counters, filter[2], hashes + i, n - i < GROUP ? n - i : GROUP, out + i);
}

static double counting_expected_fpr(double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS)) return NAN;
    const int k = idx_bloom_probes(bits_per_key / WIDTH);
    return pow(1 - exp(-k * WIDTH / bits_per_key), k);
}

static double counting_fpr(const uint8_t *filter, size_t len) {
    const uint64_t n_counters = len > HEADER ? idx_load64(filter + 8) : 0;
    uint64_t used = 0;
    for (uint64_t i = 0; i < n_counters; i++) used += counter(filter + HEADER, i) > 0;
    return n_counters ? pow((double)used / (double)n_counters, filter[2]) : 0;
}

static int counting_unite(uint8_t *into, size_t len, const uint8_t *other, size_t other_len) {
    if (len != other_len || memcmp(into, other, HEADER) != 0) return IDX_FILTER_REFUSED;
    for (size_t i = HEADER; i < len; i++) {
        const unsigned low = (into[i] & FULL) + (other[i] & FULL), high = (into[i] >> WIDTH) + (other[i] >> WIDTH);
        into[i] = (uint8_t)((low < FULL ? low : FULL) | (high < FULL ? high : FULL) << WIDTH);
    }
    return IDX_FILTER_OK;
}

const idx_filter_ops idx_counting_bloom = {
    .abi = IDX_FILTER_ABI,
    .size = sizeof(idx_filter_ops),
    .name = "counting_bloom",
    .version = VERSION,
    .hash = idx_xxh3,
    .bound = counting_bound,
    .build = counting_build,
    .check = counting_check,
    .may_contain = counting_may_contain,
    .may_contain_many = counting_may_contain_many,
    .expected_fpr = counting_expected_fpr,
    .fpr = counting_fpr,
    .empty = counting_empty,
    .insert = counting_insert,
    .erase = counting_erase,
    .unite = counting_unite,
};
