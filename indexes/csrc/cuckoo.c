/* The cuckoo filter: Fan, Andersen, Kaminsky, Mitzenmacher, "Cuckoo filter: practically better than Bloom", CoNEXT 2014. Buckets of four
 * fingerprints; a key's fingerprint is in one of two buckets, and each of the two follows from the other and the fingerprint, so that it
 * can be moved, and taken out, without the key.
 *
 * Here the two buckets add up to a hash of the fingerprint modulo the number of buckets, which need not be a power of two as with the
 * paper's xor.
 *
 * Bytes: kind u8, version u8, fingerprint bits f u8 (4 to 16), attempt u8, u32 zero, buckets u64; then 4 f bits a bucket, slot j of a
 * bucket at bit j f of it, 0 for empty; filled up to whole bytes with zeros, and 8 bytes of zeros, so that a bucket can be read as one
 * word. No capacity: no buckets.
 */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/distinct.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/kinds.h"
#include <math.h>
#include <stdlib.h>

enum { KIND = 4, VERSION = 1, HEADER = 16, SLOTS = 4, LEAST_BITS = 4, MOST_BITS = 16, PAD = 8, KICKS = 500, ATTEMPTS = 16, GROUP = 32 };

static const double LOAD = 0.95, MOST_BITS_PER_KEY = 64;

typedef struct table {
    uint8_t *at;
    uint32_t bits; /* of a fingerprint */
    uint64_t n; /* buckets */
    uint64_t ones, tops, mask;
} table;

static inline table table_of(const uint8_t *filter) {
    table t = {(uint8_t *)filter + HEADER, filter[2], idx_load64(filter + 8), 0, 0, 0};
    const uint32_t f = t.bits;
    t.ones = 1 | 1ull << f | 1ull << 2 * f | 1ull << 3 * f;
    t.tops = t.ones << (f - 1);
    t.mask = t.ones * ((1ull << f) - 1);
    return t;
}

static inline uint64_t load(const table *t, uint64_t bucket) {
    return idx_load64(t->at + (bucket * t->bits >> 1)) >> (bucket * t->bits & 1) * 4 & t->mask;
}

static inline void store(const table *t, uint64_t bucket, uint64_t value) {
    uint8_t *at = t->at + (bucket * t->bits >> 1);
    const unsigned shift = (unsigned)(bucket * t->bits & 1) * 4;
    idx_store64(at, (idx_load64(at) & ~(t->mask << shift)) | value << shift);
}

/* Not zero exactly when one of the four is value; its lowest bit is then in the first such slot. */
static inline uint64_t slots_with(const table *t, uint64_t bucket, uint32_t value) {
    const uint64_t x = bucket ^ t->ones * value;
    return (x - t->ones) & ~x & t->tops;
}

static inline uint32_t print_of(const table *t, uint64_t h) { return 1 + (uint32_t)((h & UINT32_MAX) * ((1u << t->bits) - 1) >> 32); }

static inline uint64_t bucket_of(const table *t, uint64_t h) { return (h >> 32) * t->n >> 32; }

static inline uint64_t other_bucket(const table *t, uint64_t bucket, uint32_t print) {
    const uint64_t sum = (uint64_t)(print * 0x5bd1e995u) * t->n >> 32;
    return sum >= bucket ? sum - bucket : sum + t->n - bucket;
}

static inline int put(const table *t, uint64_t bucket, uint32_t print) {
    const uint64_t now = load(t, bucket), free_slots = slots_with(t, now, 0);
    if (!free_slots) return 0;
    const int top = __builtin_ctzll(free_slots); /* of the slot */
    store(t, bucket, now | (uint64_t)print << (top + 1 - (int)t->bits));
    return 1;
}

static inline uint32_t swap(const table *t, uint64_t bucket, unsigned slot, uint32_t print) {
    const uint64_t now = load(t, bucket), mask = (1ull << t->bits) - 1;
    const unsigned shift = slot * t->bits;
    store(t, bucket, (now & ~(mask << shift)) | (uint64_t)print << shift);
    return (uint32_t)(now >> shift & mask);
}

/* Puts a fingerprint into one of its buckets, throwing out others as long as both are full. 0 when that came to no end: all is then as
 * before. */
static int insert(const table *t, uint64_t bucket, uint32_t print) {
    struct {
        uint64_t bucket;
        unsigned slot;
    } path[KICKS];
    uint64_t other = other_bucket(t, bucket, print);
    if (put(t, bucket, print) || put(t, other, print)) return 1;
    uint64_t lots = idx_mix(bucket + (uint64_t)print * IDX_GOLDEN);
    if (lots >> 63) bucket = other;
    int n = 0;
    while (n < KICKS) {
        const unsigned slot = lots & (SLOTS - 1);
        path[n].bucket = bucket, path[n++].slot = slot;
        print = swap(t, bucket, slot, print);
        bucket = other_bucket(t, bucket, print);
        if (put(t, bucket, print)) return 1;
        lots = n % 31 ? lots >> 2 : idx_mix(lots + bucket);
    }
    while (n-- > 0) print = swap(t, path[n].bucket, path[n].slot, print);
    return 0;
}

static uint32_t bits_for(double bits_per_key) {
    const double bits = floor(bits_per_key * LOAD);
    return bits < LEAST_BITS ? LEAST_BITS : bits > MOST_BITS ? MOST_BITS : (uint32_t)bits;
}

/* What the memory has room for, at least what the keys need at the usual load; more in later attempts. */
static double buckets_for(size_t n, double bits_per_key, unsigned attempt) {
    if (n == 0) return 0;
    const double needed = ceil((double)n / (SLOTS * LOAD)), room = floor((double)n * bits_per_key / (SLOTS * bits_for(bits_per_key)));
    const double at_most = 2 * needed; /* emptier is not better worth having than fingerprints of 16 bits */
    return fmax(needed, fmin(room, at_most)) + ceil(needed * 0.03) * attempt;
}

static size_t size_for(double buckets, uint32_t bits) { return HEADER + (buckets > 0 ? ((size_t)buckets * bits + 1) / 2 + PAD : 0); }

static size_t cuckoo_bound(size_t n, double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS_PER_KEY)) return 0;
    const double most = buckets_for(n, bits_per_key, ATTEMPTS - 1);
    return most > (double)UINT32_MAX ? 0 : size_for(most, bits_for(bits_per_key));
}

static size_t start(size_t n, double bits_per_key, unsigned attempt, uint8_t *out) {
    const uint32_t bits = bits_for(bits_per_key);
    const double buckets = buckets_for(n, bits_per_key, attempt);
    const size_t size = size_for(buckets, bits);
    memset(out, 0, size);
    out[0] = KIND, out[1] = VERSION, out[2] = (uint8_t)bits, out[3] = (uint8_t)attempt;
    idx_store64(out + 8, (uint64_t)buckets);
    return size;
}

static int cuckoo_empty(size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    const size_t bound = cuckoo_bound(n, bits_per_key);
    if (bound == 0 || cap < bound) return IDX_FILTER_REFUSED;
    *len = start(n, bits_per_key, 0, out);
    return IDX_FILTER_OK;
}

/* Each distinct key once: two copies of a key would take two slots, and nine could have none. */
static int cuckoo_build(const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out, size_t cap, size_t *len) {
    int status = cuckoo_empty(n, bits_per_key, out, cap, len);
    if (status != IDX_FILTER_OK || n == 0) return status;
    uint64_t *keys = malloc(2 * n * sizeof *keys);
    if (!keys) return IDX_FILTER_NO_MEMORY;
    status = IDX_FILTER_FAILED;
    /* uncovered (guard): no seed in a row of them fails */
    for (unsigned attempt = 0; attempt < ATTEMPTS && status != IDX_FILTER_OK; attempt++) {
        *len = start(n, bits_per_key, attempt, out);
        const table t = table_of(out);
        const size_t distinct = idx_distinct(hashes, n, idx_seed(attempt), keys, keys + n);
        size_t i = 0;
        while (i < distinct && insert(&t, bucket_of(&t, keys[i]), print_of(&t, keys[i]))) i++;
        if (i == distinct) status = IDX_FILTER_OK;
    }
    free(keys);
    return status;
}

static int cuckoo_check(const uint8_t *filter, size_t len) {
    if (len < HEADER || filter[0] != KIND || filter[1] != VERSION || filter[2] < LEAST_BITS || filter[2] > MOST_BITS) return -1;
    const uint64_t buckets = idx_load64(filter + 8);
    if (filter[3] >= ATTEMPTS || idx_load32(filter + 4) || buckets > UINT32_MAX || size_for((double)buckets, filter[2]) != len) return -1;
    if (!buckets) return 0;
    const uint64_t spare = idx_load64(filter + len - PAD);
    return spare || (buckets * filter[2] % 2 && filter[len - PAD - 1] >> 4) ? -1 : 0;
}

static inline int test(const table *t, uint64_t h) {
    const uint32_t print = print_of(t, h);
    const uint64_t bucket = bucket_of(t, h), other = other_bucket(t, bucket, print);
    return (slots_with(t, load(t, bucket), print) | slots_with(t, load(t, other), print)) != 0;
}

static int cuckoo_may_contain(const uint8_t *filter, size_t len, uint64_t hash) {
    if (len <= HEADER) return 0;
    const table t = table_of(filter);
    return test(&t, idx_mix(hash + idx_seed(filter[3])));
}

/* Inlined always: gcc takes a function that only fetches for one that does nothing, and drops the call. */
__attribute__((always_inline)) static inline void fetch(const table *t, uint64_t h) {
    const uint64_t bucket = bucket_of(t, h);
    __builtin_prefetch(t->at + (bucket * t->bits >> 1));
    __builtin_prefetch(t->at + (other_bucket(t, bucket, print_of(t, h)) * t->bits >> 1));
}

static void cuckoo_may_contain_many(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out) {
    if (len <= HEADER) {
        memset(out, 0, n);
        return;
    }
    const table t = table_of(filter);
    const uint64_t seed = idx_seed(filter[3]);
    uint64_t mixed[GROUP];
    for (size_t from = 0; from < n; from += GROUP) {
        const size_t group = n - from < GROUP ? n - from : GROUP;
        for (size_t i = 0; i < group; i++) fetch(&t, mixed[i] = idx_mix(hashes[from + i] + seed));
        for (size_t i = 0; i < group; i++) out[from + i] = (uint8_t)test(&t, mixed[i]);
    }
}

static size_t cuckoo_insert(uint8_t *filter, size_t len, const uint64_t *hashes, size_t n) {
    if (len <= HEADER) return 0;
    const table t = table_of(filter);
    const uint64_t seed = idx_seed(filter[3]);
    size_t i = 0;
    for (; i < n; i++) {
        if (i + 8 < n) fetch(&t, idx_mix(hashes[i + 8] + seed));
        const uint64_t h = idx_mix(hashes[i] + seed);
        if (!insert(&t, bucket_of(&t, h), print_of(&t, h))) break;
    }
    return i;
}

static int take(const table *t, uint64_t bucket, uint32_t print) {
    const uint64_t now = load(t, bucket), found = slots_with(t, now, print);
    if (!found) return 0;
    store(t, bucket, now & ~(((1ull << t->bits) - 1) << (__builtin_ctzll(found) + 1 - (int)t->bits)));
    return 1;
}

static void cuckoo_erase(uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *erased) {
    if (len <= HEADER) {
        memset(erased, 0, n);
        return;
    }
    const table t = table_of(filter);
    for (size_t i = 0; i < n; i++) {
        if (i + 8 < n) fetch(&t, idx_mix(hashes[i + 8] + idx_seed(filter[3])));
        const uint64_t h = idx_mix(hashes[i] + idx_seed(filter[3])), bucket = bucket_of(&t, h);
        const uint32_t print = print_of(&t, h);
        erased[i] = (uint8_t)(take(&t, bucket, print) || take(&t, other_bucket(&t, bucket, print), print));
    }
}

static int cuckoo_unite(uint8_t *into, size_t len, const uint8_t *other, size_t other_len) {
    if (len != other_len || memcmp(into, other, HEADER) != 0) return IDX_FILTER_REFUSED;
    const table t = table_of(into), from = table_of(other);
    for (uint64_t bucket = 0; bucket < t.n; bucket++)
        for (uint64_t left = load(&from, bucket); left; left >>= t.bits) {
            const uint32_t print = (uint32_t)left & ((1u << t.bits) - 1);
            if (print && !insert(&t, bucket, print)) return IDX_FILTER_FAILED;
        }
    return IDX_FILTER_OK;
}

/* A probe compares with the used ones of eight slots, each alike with probability 1 / (2^f - 1). */
static double rate(uint32_t bits, double load) { return 1 - pow(1 - 1 / (ldexp(1, (int)bits) - 1), 2 * SLOTS * load); }

static double cuckoo_expected_fpr(double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= MOST_BITS_PER_KEY)) return NAN;
    const double keys = 1e6;
    return rate(bits_for(bits_per_key), keys / (SLOTS * buckets_for((size_t)keys, bits_per_key, 0)));
}

static double cuckoo_fpr(const uint8_t *filter, size_t len) {
    if (len <= HEADER) return 0;
    const table t = table_of(filter);
    uint64_t used = 0;
    for (uint64_t bucket = 0; bucket < t.n; bucket++)
        for (uint64_t left = load(&t, bucket); left; left >>= t.bits) used += (left & ((1u << t.bits) - 1)) != 0;
    return rate(t.bits, (double)used / (double)(SLOTS * t.n));
}

const idx_filter_ops idx_cuckoo = {
    .abi = IDX_FILTER_ABI,
    .size = sizeof(idx_filter_ops),
    .name = "cuckoo",
    .version = VERSION,
    .hash = idx_xxh3,
    .bound = cuckoo_bound,
    .build = cuckoo_build,
    .check = cuckoo_check,
    .may_contain = cuckoo_may_contain,
    .may_contain_many = cuckoo_may_contain_many,
    .expected_fpr = cuckoo_expected_fpr,
    .fpr = cuckoo_fpr,
    .empty = cuckoo_empty,
    .insert = cuckoo_insert,
    .erase = cuckoo_erase,
    .unite = cuckoo_unite,
};
