/* Ribbon filters: Dillinger and Walzer, "Ribbon filter: practically smaller than Bloom and Xor", 2021 (arXiv 2103.02515); sections 2
 * (banding), 3 (standard and homogeneous), 4 (columns: interleaved layout, fractions of bits).
 *
 * A key gives an equation over GF(2): the xor of some of 128 slots in a row, from its start on, is its fingerprint (homogeneous: is
 * zero). The starts spread over the slots, so the matrix of all keys is a band: elimination in the order of the starts only ever looks a
 * few slots ahead, and solves from the last slot backwards.
 *
 * Bytes: kind u8, version u8, columns u8, attempt u8, blocks u32, lower u32, zero u32; then for each block of 128 slots a word of 128
 * bits for every column, bit i for slot i. The first `lower` blocks have `columns` words, the others one more, which is how a fraction of
 * a bit a key is had. A key's columns are those of the block that it starts in. No keys: no blocks.
 */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/distinct.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/kinds.h"
#include <math.h>
#include <stdlib.h>

enum { VERSION = 1, HEADER = 16, WIDTH = 128, WORD = WIDTH / 8, ATTEMPTS = 64, CHOOSY = 4, MOST_COLUMNS = 32, GROUP = 32 };

typedef unsigned __int128 row;

typedef struct band {
    uint32_t columns, blocks, lower;
} band;

static inline size_t words(const band *b) { return (size_t)b->blocks * b->columns + (b->blocks - b->lower); }
static inline uint64_t starts(const band *b) { return (uint64_t)(b->blocks - 1) * WIDTH + 1; }
static inline size_t word_of(const band *b, uint64_t block) {
    return (size_t)block * b->columns + (block > b->lower ? (size_t)(block - b->lower) : 0);
}
static inline uint32_t columns_of(const band *b, uint64_t block) { return b->columns + (block >= b->lower); }

/* More slots than keys. Homogeneous: by the share of section 4 of the paper, (4 + r / 4) / w, where the rate is hardly above 2^-r.
 * Standard: by a share that grows with the logarithm of the number of keys, measured so that the first seed fails in one build of twenty.
 * Late attempts get still more. */
static double slots_for(int homogeneous, size_t n, double bits_per_key, unsigned attempt) {
    const double keys = (double)n;
    const double share = homogeneous ? (4 + fmin(bits_per_key, MOST_COLUMNS) / 4) / WIDTH : fmax(0.005, 0.0037 * log2(keys) - 0.029);
    return ceil(keys * (1 + share + (attempt > 8 ? 0.005 * (attempt - 8) : 0)) + 20);
}

/* All the memory that n keys have at bits_per_key; of very few keys a little more, for a block is not divisible. blocks is 0 when there
 * would be too many. */
static band band_for(int homogeneous, size_t n, double bits_per_key, unsigned attempt) {
    band b = {0, 0, 0};
    const double blocks = ceil(slots_for(homogeneous, n, bits_per_key, attempt) / WIDTH);
    if (blocks > (double)(UINT32_MAX / WIDTH)) return b;
    const double least = floor(0.8 * bits_per_key), available = floor((double)n * bits_per_key / WIDTH);
    uint64_t total = (uint64_t)fmax(available, blocks * fmax(least, 1));
    b.blocks = (uint32_t)blocks;
    if (total > (uint64_t)b.blocks * MOST_COLUMNS) total = (uint64_t)b.blocks * MOST_COLUMNS;
    b.columns = (uint32_t)(total / b.blocks);
    b.lower = b.blocks - (uint32_t)(total % b.blocks);
    return b;
}

static inline row coefficients(uint64_t h) {
    uint64_t low = h * 0x9FB21C651E98DF25u, high = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
    low ^= low >> 32;
    high ^= high >> 29;
    return (row)high << 64 | low | 1;
}

static inline uint32_t fingerprint(uint64_t h) { return (uint32_t)((h ^ h >> 31) * 0xA24BAED4963EE407u >> 32); }

static inline int lowest(row r) { return (uint64_t)r ? __builtin_ctzll((uint64_t)r) : 64 + __builtin_ctzll((uint64_t)(r >> 64)); }

static inline uint32_t parity(row r) { return (uint32_t)__builtin_parityll((uint64_t)r ^ (uint64_t)(r >> 64)); }

/* Elimination on the fly: a row goes to the slot of its first coefficient; the row that is there already is taken off it first. Returns
 * how many equations followed from those before, or SIZE_MAX when one contradicts them. */
static size_t eliminate(const uint64_t *keys, size_t n, uint64_t n_starts, int homogeneous, row *rows, uint32_t *results) {
    size_t redundant = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t at = idx_scale(keys[i], n_starts);
        row c = coefficients(keys[i]);
        uint32_t result = homogeneous ? 0 : fingerprint(keys[i]);
        while (rows[at]) {
            c ^= rows[at];
            result ^= results[at];
            if (!c) break;
            const int skip = lowest(c);
            at += (uint64_t)skip;
            c >>= skip;
        }
        if (!c && result) return SIZE_MAX;
        redundant += !c;
        if (c) rows[at] = c, results[at] = result;
    }
    return redundant;
}

static inline void store_word(uint8_t *at, row word) {
    idx_store64(at, (uint64_t)word);
    idx_store64(at + 8, (uint64_t)(word >> 64));
}

static inline row load_word(const uint8_t *at) { return (row)idx_load64(at + 8) << 64 | idx_load64(at); }

/* From the last slot backwards; state[j] holds column j of the 128 slots from here on. A slot without a row is free: zero, or noise where
 * all equations are homogeneous (all zero would solve them, and every key would seem present). */
static void solve(const band *b, int homogeneous, const row *rows, const uint32_t *results, uint8_t *out) {
    row state[MOST_COLUMNS + 1] = {0};
    for (uint64_t at = (uint64_t)b->blocks * WIDTH; at-- > 0;) {
        const uint64_t block = at / WIDTH;
        const uint32_t columns = columns_of(b, block);
        const row c = rows[at];
        const uint64_t noise = c || !homogeneous ? 0 : idx_mix(at + IDX_GOLDEN);
        for (uint32_t j = 0; j < columns; j++) {
            const row next = state[j] << 1;
            const uint32_t bit = c ? parity(next & c) ^ (results[at] >> j & 1) : (uint32_t)(noise >> j & 1);
            state[j] = next | bit;
        }
        if (at % WIDTH == 0)
            for (uint32_t j = 0; j < columns; j++) store_word(out + (word_of(b, block) + j) * WORD, state[j]);
    }
}

static size_t ribbon_bound(int homogeneous, size_t n, double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= 64)) return 0;
    if (n == 0) return HEADER;
    const band b = band_for(homogeneous, n, bits_per_key, ATTEMPTS - 1);
    return b.blocks ? HEADER + words(&b) * WORD : 0;
}

typedef struct scratch {
    row *rows;
    uint64_t *keys, *other;
    uint32_t *results;
} scratch;

/* A homogeneous build cannot fail; but where an equation is redundant too few slots are free, and other keys that start there would seem
 * present. */
static int attempts(int homogeneous, const uint64_t *hashes, size_t n, double bits_per_key, const scratch *s, uint8_t *out, size_t *len) {
    /* uncovered (guard): no seed in a row of them fails */
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        const band b = band_for(homogeneous, n, bits_per_key, attempt);
        const size_t distinct = idx_distinct(hashes, n, idx_seed(attempt), s->keys, s->other);
        memset(s->rows, 0, (size_t)b.blocks * WIDTH * sizeof *s->rows);
        const size_t redundant = eliminate(s->keys, distinct, starts(&b), homogeneous, s->rows, s->results);
        if (redundant == SIZE_MAX || (homogeneous && redundant && attempt < CHOOSY)) continue;
        out[2] = (uint8_t)b.columns, out[3] = (uint8_t)attempt;
        idx_store32(out + 4, b.blocks);
        idx_store32(out + 8, b.lower);
        solve(&b, homogeneous, s->rows, s->results, out + HEADER);
        *len = HEADER + words(&b) * WORD;
        return IDX_FILTER_OK;
    }
    return IDX_FILTER_FAILED;
}

static int ribbon_build(uint8_t kind, int homogeneous, const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out, size_t cap,
                        size_t *len) {
    const size_t need = ribbon_bound(homogeneous, n, bits_per_key);
    if (need == 0 || cap < need) return IDX_FILTER_REFUSED;
    memset(out, 0, HEADER);
    out[0] = kind, out[1] = VERSION;
    *len = HEADER;
    if (n == 0) return IDX_FILTER_OK;
    const size_t slots = (size_t)band_for(homogeneous, n, bits_per_key, ATTEMPTS - 1).blocks * WIDTH;
    scratch s = {.rows = malloc(slots * (sizeof(row) + sizeof(uint32_t)) + 2 * n * sizeof(uint64_t))};
    if (!s.rows) return IDX_FILTER_NO_MEMORY;
    s.keys = (uint64_t *)(s.rows + slots), s.other = s.keys + n;
    s.results = (uint32_t *)(s.other + n);
    const int status = attempts(homogeneous, hashes, n, bits_per_key, &s, out, len);
    free(s.rows);
    return status;
}

static inline band band_of(const uint8_t *filter) { return (band){filter[2], idx_load32(filter + 4), idx_load32(filter + 8)}; }

static int ribbon_check(uint8_t kind, const uint8_t *filter, size_t len) {
    if (len < HEADER || filter[0] != kind || filter[1] != VERSION || filter[3] >= ATTEMPTS || idx_load32(filter + 12)) return -1;
    const band b = band_of(filter);
    if (b.columns > MOST_COLUMNS || b.lower > b.blocks || b.columns + (b.lower < b.blocks) > MOST_COLUMNS) return -1;
    if (b.blocks > UINT32_MAX / WIDTH || (!b.blocks && b.columns)) return -1;
    return words(&b) * WORD == len - HEADER ? 0 : -1;
}

/* Column by column, until one disagrees: half of the absent keys end at each. The band of a key lies in the words of one block or of two
 * neighbours. */
static inline int test(const band *b, const uint8_t *at, int homogeneous, uint64_t h, uint64_t start) {
    const uint64_t block = start / WIDTH;
    const unsigned shift = start % WIDTH;
    const uint32_t columns = columns_of(b, block);
    const uint8_t *first = at + word_of(b, block) * WORD, *second = shift ? first + (size_t)columns * WORD : first;
    const row c = coefficients(h), here = c << shift, there = shift ? c >> (WIDTH - shift) : 0;
    const uint32_t wanted = homogeneous ? 0 : fingerprint(h);
    for (uint32_t j = 0; j < columns; j++)
        if (parity((load_word(first + j * WORD) & here) ^ (load_word(second + j * WORD) & there)) != (wanted >> j & 1)) return 0;
    return 1;
}

static inline int ribbon_may_contain(int homogeneous, const uint8_t *filter, size_t len, uint64_t hash) {
    if (len <= HEADER) return 0;
    const band b = band_of(filter);
    const uint64_t h = idx_mix(hash + idx_seed(filter[3]));
    return test(&b, filter + HEADER, homogeneous, h, idx_scale(h, starts(&b)));
}

IDX_INLINE void many(int homogeneous, const uint8_t *filter, const uint64_t *hashes, size_t n, uint8_t *out) {
    const band b = band_of(filter);
    const uint64_t seed = idx_seed(filter[3]), n_starts = starts(&b);
    const uint8_t *at = filter + HEADER;
    uint64_t mixed[GROUP], start[GROUP];
    for (size_t from = 0; from < n; from += GROUP) {
        const size_t group = n - from < GROUP ? n - from : GROUP;
        for (size_t i = 0; i < group; i++) {
            mixed[i] = idx_mix(hashes[from + i] + seed);
            start[i] = idx_scale(mixed[i], n_starts);
            const uint8_t *word = at + word_of(&b, start[i] / WIDTH) * WORD;
            __builtin_prefetch(word);
            __builtin_prefetch(word + (size_t)columns_of(&b, start[i] / WIDTH) * WORD);
        }
        for (size_t i = 0; i < group; i++) out[from + i] = (uint8_t)test(&b, at, homogeneous, mixed[i], start[i]);
    }
}

#if defined(__x86_64__)
__attribute__((target("popcnt,bmi,bmi2"))) static void many_popcnt(int homogeneous, const uint8_t *filter, const uint64_t *hashes, size_t n,
                                                                   uint8_t *out) {
    many(homogeneous, filter, hashes, n, out);
}
#endif

static void ribbon_may_contain_many(int homogeneous, const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out) {
    if (len <= HEADER) {
        memset(out, 0, n);
        return;
    }
#if defined(__x86_64__)
    /* uncovered 2 (machine): a processor without these instructions */
    if (__builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi2")) {
        many_popcnt(homogeneous, filter, hashes, n, out);
        return;
    }
#endif
    many(homogeneous, filter, hashes, n, out);
}

static double ribbon_fpr(const uint8_t *filter, size_t len) {
    if (len <= HEADER) return 0;
    const band b = band_of(filter);
    const double share = fmin(1, (double)b.lower * WIDTH / (double)starts(&b)); /* of the starts in blocks with fewer columns */
    return share * ldexp(1, -(int)b.columns) + (1 - share) * ldexp(1, -(int)b.columns - 1);
}

/* As for a million keys: fewer need a little less for each. */
static double ribbon_expected_fpr(int homogeneous, double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= 64)) return NAN;
    const band b = band_for(homogeneous, 1000000, bits_per_key, 0);
    const double share = (double)b.lower / b.blocks;
    return share * ldexp(1, -(int)b.columns) + (1 - share) * ldexp(1, -(int)b.columns - 1);
}

#define RIBBON(ID, KIND, NAME, HOMOGENEOUS)                                                                                                \
    static size_t ID##_bound(size_t n, double bits) { return ribbon_bound(HOMOGENEOUS, n, bits); }                                         \
    static int ID##_build(const uint64_t *hashes, size_t n, double bits, uint8_t *out, size_t cap, size_t *len) {                          \
        return ribbon_build(KIND, HOMOGENEOUS, hashes, n, bits, out, cap, len);                                                            \
    }                                                                                                                                      \
    static int ID##_check(const uint8_t *filter, size_t len) { return ribbon_check(KIND, filter, len); }                                   \
    static int ID##_may_contain(const uint8_t *filter, size_t len, uint64_t hash) {                                                        \
        return ribbon_may_contain(HOMOGENEOUS, filter, len, hash);                                                                         \
    }                                                                                                                                      \
    static void ID##_many(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out) {                             \
        ribbon_may_contain_many(HOMOGENEOUS, filter, len, hashes, n, out);                                                                 \
    }                                                                                                                                      \
    static double ID##_expected_fpr(double bits) { return ribbon_expected_fpr(HOMOGENEOUS, bits); }                                        \
    const idx_filter_ops ID = {.abi = IDX_FILTER_ABI,                                                                                      \
                               .size = sizeof(idx_filter_ops),                                                                             \
                               .name = NAME,                                                                                               \
                               .version = VERSION,                                                                                         \
                               .hash = idx_xxh3,                                                                                           \
                               .bound = ID##_bound,                                                                                        \
                               .build = ID##_build,                                                                                        \
                               .check = ID##_check,                                                                                        \
                               .may_contain = ID##_may_contain,                                                                            \
                               .may_contain_many = ID##_many,                                                                              \
                               .expected_fpr = ID##_expected_fpr,                                                                          \
                               .fpr = ribbon_fpr};

RIBBON(idx_ribbon, 5, "ribbon", 0)
RIBBON(idx_homogeneous_ribbon, 6, "homogeneous_ribbon", 1)
