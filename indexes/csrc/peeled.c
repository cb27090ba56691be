/* Binary fuse and xor filters: every key's fingerprint is the xor of three cells. Graf and Lemire, "Xor filters", ACM JEA 2020, and
 * "Binary fuse filters", ACM JEA 2022. The two differ in where the three cells are; both are built by peeling: a cell that only one key
 * uses is left to that key, which goes, and so on.
 *
 * Bytes: kind u8, version u8, fingerprint bits u8 (8 or 16), attempt u8, log2 of the segment length u8 (xor: 0), three zeros, segments
 * u64 (xor: length of each of its three blocks); then the cells, little-endian. No keys: segments is 0, no cells.
 *
 * fuse   |seg 0|seg 1|...|seg s-1|seg s|seg s+1|     a key's cells are in three segments in a row, the first chosen by the upper bits of
 * its hash
 *    xor    |   block 0   |   block 1   |   block 2   | one cell in each
 */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/distinct.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/kinds.h"
#include <math.h>
#include <stdlib.h>

enum { VERSION = 1, HEADER = 16, ATTEMPTS = 100, MOST_LOG = 18, GROUP = 64, NEAR = 8, FAR = 16 };

static const uint64_t MOST_KEYS = 1u << 31, FINGERPRINT = 0xD6E8FEB86659FD93u;

typedef struct shape {
    uint8_t kind, width; /* width of a cell: 8 or 16 bits */
    uint8_t log; /* of the segment length; 0: xor */
    uint64_t segments; /* where a key can begin; xor: length of a block */
} shape;

static inline uint64_t cells(const shape *s) {
    if (!s->segments) return 0;
    return s->log ? (s->segments + 2) << s->log : 3 * s->segments;
}

/* Section 3 of the paper of 2022 for the segment length and the size; section 3 of the one of 2020 for 1.23 n + 32. */
static shape shape_for(uint8_t kind, uint8_t width, int fuse, size_t n) {
    shape s = {kind, width, 0, 0};
    if (n == 0) return s;
    if (!fuse) {
        s.segments = (32 + (uint64_t)ceil(1.23 * (double)n)) / 3 + 1;
        return s;
    }
    const double log_n = log((double)n);
    const int log2_length = (int)floor(log_n / log(3.33) + 2.25);
    s.log = (uint8_t)(log2_length > MOST_LOG ? MOST_LOG : log2_length);
    double factor = n > 1 ? 0.875 + 0.25 * log(1e6) / log_n : 6;
    if (factor < 1.125) factor = 1.125;
    const uint64_t capacity = (uint64_t)(factor * (double)n + 0.5), segments = (capacity + (1u << s.log) - 1) >> s.log;
    s.segments = segments > 3 ? segments - 2 : 1;
    return s;
}

static inline uint64_t rotl(uint64_t h, int r) { return h << r | h >> (-r & 63); }

static inline void places(const shape *s, uint64_t h, uint32_t at[3]) {
    if (s->log) {
        const uint32_t length = 1u << s->log;
        at[0] = (uint32_t)idx_scale(h, s->segments << s->log);
        at[1] = (at[0] + length) ^ ((uint32_t)(h >> MOST_LOG) & (length - 1));
        at[2] = (at[0] + 2 * length) ^ ((uint32_t)h & (length - 1));
        return;
    }
    for (unsigned i = 0; i < 3; i++) at[i] = (uint32_t)(i * s->segments + ((rotl(h, 21 * (int)i) >> 32) * s->segments >> 32));
}

static inline uint32_t fingerprint(const shape *s, uint64_t h) { return (uint32_t)(h * FINGERPRINT >> 32) >> (32 - s->width); }

static inline uint32_t cell(const shape *s, const uint8_t *at, uint32_t i) {
    return s->width == 8 ? at[i] : (uint32_t)at[2 * (size_t)i] | (uint32_t)at[2 * (size_t)i + 1] << 8;
}

typedef struct peeling {
    uint64_t *sums; /* of each cell: the xor of its keys */
    uint8_t *counts; /* 4 * how many they are, + the xor of which of a key's three cells this one is to each */
    uint32_t *queue; /* cells that had one key when they were put in; each once, and room for one that is not kept */
    uint64_t *order; /* keys in the order in which they went */
    uint8_t *own; /* and which of its three cells was left to each */
} peeling;

static int load(const shape *s, const uint64_t *keys, size_t n, peeling *p) {
    memset(p->sums, 0, cells(s) * sizeof *p->sums);
    memset(p->counts, 0, cells(s));
    uint8_t overflow = 0; /* 64 keys and more in one cell: no filter of this size */
    for (size_t i = 0; i < n; i++) {
        uint32_t at[3];
        places(s, keys[i], at);
        for (uint8_t j = 0; j < 3; j++) {
            p->sums[at[j]] ^= keys[i];
            p->counts[at[j]] = (uint8_t)(p->counts[at[j]] + 4) ^ j;
            overflow |= p->counts[at[j]] < 4;
        }
    }
    return overflow ? -1 : 0;
}

static const uint8_t OTHERS[3][2] = {{1, 2}, {0, 2}, {0, 1}};

/* No function: gcc takes one that only fetches for one that does nothing. */
#define FETCH(p, at)                                                                                                                       \
    {                                                                                                                                      \
        __builtin_prefetch(&(p)->sums[at], 1);                                                                                             \
        __builtin_prefetch(&(p)->counts[at], 1);                                                                                           \
    }

/* How many keys went: all of them, or the three-uniform graph of this seed has a core. */
static size_t peel(const shape *s, peeling *p) {
    const uint64_t n_cells = cells(s);
    size_t head = 0, tail = 0, gone = 0;
    for (uint64_t i = 0; i < n_cells; i++) {
        p->queue[tail] = (uint32_t)i;
        tail += p->counts[i] >> 2 == 1;
    }
    while (head < tail) {
        if (head + FAR < tail) { /* a cell first, then the others of the key that it has by now; where that changes, nothing is lost */
            const uint32_t far = p->queue[head + FAR];
            FETCH(p, far)
            uint32_t soon[3];
            places(s, p->sums[p->queue[head + NEAR]], soon);
            for (int j = 0; j < 3; j++) FETCH(p, soon[j])
        }
        const uint32_t here = p->queue[head++];
        if (p->counts[here] >> 2 == 0) continue;
        const uint64_t key = p->sums[here];
        const uint8_t own = p->counts[here] & 3;
        uint32_t at[3];
        places(s, key, at);
        p->order[gone] = key;
        p->own[gone++] = own;
        p->counts[here] = 0;
        for (int k = 0; k < 2; k++) {
            const uint8_t j = OTHERS[own][k];
            p->sums[at[j]] ^= key;
            p->counts[at[j]] = (uint8_t)(p->counts[at[j]] - 4) ^ j;
            p->queue[tail] = at[j];
            tail += p->counts[at[j]] >> 2 == 1;
        }
    }
    return gone;
}

/* Last gone, first served: nobody served later uses the cell that is a key's own. */
static void assign(const shape *s, const peeling *p, size_t n, uint8_t *out) {
    while (n-- > 0) {
        uint32_t at[3];
        places(s, p->order[n], at);
        const uint32_t value = fingerprint(s, p->order[n]) ^ cell(s, out, at[0]) ^ cell(s, out, at[1]) ^ cell(s, out, at[2]);
        const size_t own = at[p->own[n]];
        if (s->width == 8) {
            out[own] = (uint8_t)value;
        } else {
            out[2 * own] = (uint8_t)value;
            out[2 * own + 1] = (uint8_t)(value >> 8);
        }
    }
}

static int attempts(const shape *s, const uint64_t *hashes, size_t n, peeling *p, uint64_t *keys, uint8_t *out) {
    /* uncovered (guard): no seed in a row of them fails */
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        const size_t distinct = idx_distinct(hashes, n, idx_seed(attempt), keys, p->order);
        if (load(s, keys, distinct, p) != 0 || peel(s, p) != distinct) continue;
        out[3] = (uint8_t)attempt;
        assign(s, p, distinct, out + HEADER);
        return IDX_FILTER_OK;
    }
    return IDX_FILTER_FAILED;
}

static size_t peeled_bound(uint8_t kind, uint8_t width, int fuse, size_t n, double bits_per_key) {
    if (!(bits_per_key >= 1 && bits_per_key <= 64) || n > MOST_KEYS) return 0;
    const shape s = shape_for(kind, width, fuse, n);
    return HEADER + (size_t)cells(&s) * (width / 8);
}

static int peeled_build(uint8_t kind, uint8_t width, int fuse, const uint64_t *hashes, size_t n, double bits_per_key, uint8_t *out,
                        size_t cap, size_t *len) {
    const size_t need = peeled_bound(kind, width, fuse, n, bits_per_key);
    if (need == 0 || cap < need) return IDX_FILTER_REFUSED;
    const shape s = shape_for(kind, width, fuse, n);
    memset(out, 0, need);
    out[0] = kind, out[1] = VERSION, out[2] = width, out[4] = s.log;
    idx_store64(out + 8, s.segments);
    *len = need;
    if (n == 0) return IDX_FILTER_OK;
    const size_t m = (size_t)cells(&s);
    uint8_t *scratch = malloc(m * (sizeof(uint64_t) + sizeof(uint32_t) + 1) + sizeof(uint32_t) + n * (2 * sizeof(uint64_t) + 1));
    if (!scratch) return IDX_FILTER_NO_MEMORY;
    peeling p = {.sums = (uint64_t *)scratch};
    p.order = p.sums + m;
    uint64_t *keys = p.order + n;
    p.queue = (uint32_t *)(keys + n);
    p.counts = (uint8_t *)(p.queue + m + 1);
    p.own = p.counts + m;
    const int status = attempts(&s, hashes, n, &p, keys, out);
    free(scratch);
    return status;
}

static int peeled_check(uint8_t kind, uint8_t width, int fuse, const uint8_t *filter, size_t len) {
    if (len < HEADER || filter[0] != kind || filter[1] != VERSION || filter[2] != width || filter[3] >= ATTEMPTS) return -1;
    if (filter[5] || filter[6] || filter[7]) return -1;
    const shape s = {kind, width, filter[4], idx_load64(filter + 8)};
    if (s.segments > UINT32_MAX || s.log > MOST_LOG || (s.segments && fuse != (s.log > 0)) || (!s.segments && s.log)) return -1;
    return cells(&s) <= UINT32_MAX && cells(&s) * (width / 8) == len - HEADER ? 0 : -1;
}

static inline shape shape_of(const uint8_t *filter) { return (shape){filter[0], filter[2], filter[4], idx_load64(filter + 8)}; }

static int peeled_may_contain(const uint8_t *filter, size_t len, uint64_t hash) {
    if (len <= HEADER) return 0;
    const shape s = shape_of(filter);
    const uint8_t *at = filter + HEADER;
    const uint64_t h = idx_mix(hash + idx_seed(filter[3]));
    uint32_t p[3];
    places(&s, h, p);
    return fingerprint(&s, h) == (cell(&s, at, p[0]) ^ cell(&s, at, p[1]) ^ cell(&s, at, p[2]));
}

/* First where the cells are, then what is in them: the loads of a group are under way together. */
static inline void many(const shape s, const uint8_t *filter, const uint64_t *hashes, size_t n, uint8_t *out) {
    const uint8_t *cells_at = filter + HEADER;
    const uint64_t seed = idx_seed(filter[3]);
    uint32_t at[GROUP][3], wanted[GROUP];
    for (size_t from = 0; from < n; from += GROUP) {
        const size_t group = n - from < GROUP ? n - from : GROUP;
        for (size_t i = 0; i < group; i++) {
            const uint64_t h = idx_mix(hashes[from + i] + seed);
            places(&s, h, at[i]);
            wanted[i] = fingerprint(&s, h);
            for (int j = 0; j < 3; j++) __builtin_prefetch(cells_at + (size_t)at[i][j] * (s.width / 8));
        }
        for (size_t i = 0; i < group; i++) {
            const uint32_t found = cell(&s, cells_at, at[i][0]) ^ cell(&s, cells_at, at[i][1]) ^ cell(&s, cells_at, at[i][2]);
            out[from + i] = found == wanted[i];
        }
    }
}

static double of_width(uint8_t width, double bits_per_key) { return bits_per_key >= 1 && bits_per_key <= 64 ? ldexp(1, -width) : NAN; }

/* The functions of one kind: the general ones with its constants, which the compiler folds in. */
#define PEELED(ID, KIND, NAME, WIDTH, FUSE)                                                                                                \
    static size_t ID##_bound(size_t n, double bits) { return peeled_bound(KIND, WIDTH, FUSE, n, bits); }                                   \
    static int ID##_build(const uint64_t *hashes, size_t n, double bits, uint8_t *out, size_t cap, size_t *len) {                          \
        return peeled_build(KIND, WIDTH, FUSE, hashes, n, bits, out, cap, len);                                                            \
    }                                                                                                                                      \
    static int ID##_check(const uint8_t *filter, size_t len) { return peeled_check(KIND, WIDTH, FUSE, filter, len); }                      \
    static void ID##_many(const uint8_t *filter, size_t len, const uint64_t *hashes, size_t n, uint8_t *out) {                             \
        if (len <= HEADER)                                                                                                                 \
            memset(out, 0, n);                                                                                                             \
        else                                                                                                                               \
            many((shape){KIND, WIDTH, FUSE ? filter[4] : 0, idx_load64(filter + 8)}, filter, hashes, n, out);                              \
    }                                                                                                                                      \
    static double ID##_expected_fpr(double bits) { return of_width(WIDTH, bits); }                                                         \
    static double ID##_fpr(const uint8_t *filter, size_t len) {                                                                            \
        (void)filter;                                                                                                                      \
        return len <= HEADER ? 0 : of_width(WIDTH, WIDTH);                                                                                 \
    }                                                                                                                                      \
    const idx_filter_ops ID = {.abi = IDX_FILTER_ABI,                                                                                      \
                               .size = sizeof(idx_filter_ops),                                                                             \
                               .name = NAME,                                                                                               \
                               .version = VERSION,                                                                                         \
                               .hash = idx_xxh3,                                                                                           \
                               .bound = ID##_bound,                                                                                        \
                               .build = ID##_build,                                                                                        \
                               .check = ID##_check,                                                                                        \
                               .may_contain = peeled_may_contain,                                                                          \
                               .may_contain_many = ID##_many,                                                                              \
                               .expected_fpr = ID##_expected_fpr,                                                                          \
                               .fpr = ID##_fpr};

PEELED(idx_binary_fuse8, 7, "binary_fuse8", 8, 1)
PEELED(idx_binary_fuse16, 8, "binary_fuse16", 16, 1)
PEELED(idx_xor8, 9, "xor8", 8, 0)
PEELED(idx_xor16, 10, "xor16", 16, 0)
