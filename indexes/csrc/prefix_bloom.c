/* prefix_bloom.c: a Bloom filter of prefixes of the keys: one range filter of prefixes of fixed lengths and of those that a delimiter ends.
 *
 * Dong et al., "Optimizing Space Amplification in RocksDB", CIDR 2017, section 3.3 (prefix Bloom filters); several lengths and the enumeration of a
 * few neighbouring prefixes as in the dyadic ranges of Luo et al., "Rosetta", SIGMOD 2020, section 2.
 *
 *   fixed length L: the first L bytes of a key, shorter keys filled up with zeros, so that prefixes come in the order of the keys: [lo, hi) covers
 *                   the prefixes from lo's to hi's, and if they are few each is asked for
 *   delimiter:      a key up to and with its i-th delimiter, if it has so many; answers ranges in which all keys begin with one such prefix
 *
 * Bytes: kind u8 | version u8 | lengths u8 | has delimiter u8 | delimiter u8 | occurrence u8 | zero u8 x 2 | length u32 each | zeros to a multiple of 8 |
 * the Bloom filter (bloom.c) of the prefixes' hashes, each XORed with its extractor's number (the delimiter's is the last) times a constant.
 */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/kinds.h"
#include "indexes/csrc/ranges.h"
#include <stdlib.h>

enum { KIND = 0x81, VERSION = 1, HEADER = 8, MOST_LENGTHS = 8, MOST_LENGTH = 256, MOST_PROBES = 64 };

typedef struct extractors {
    uint32_t n; /* fixed lengths, ascending */
    uint32_t length[MOST_LENGTHS];
    int has_delimiter;
    uint8_t delimiter, occurrence;
} extractors;

typedef struct builder {
    extractors by;
    double bits;
    uint64_t *hashes, last[MOST_LENGTHS + 1]; /* last: of each extractor, so that a prefix enters once */
    size_t n, cap;
    uint8_t *key;
    size_t key_n, key_cap;
    int has_key, has_last[MOST_LENGTHS + 1];
} builder;

typedef struct opened {
    extractors by;
    const uint8_t *bloom;
    size_t len;
} opened;

static size_t head_size(uint32_t lengths) { return ((size_t)HEADER + 4 * lengths + 7) & ~(size_t)7; }

static uint64_t mix(uint64_t hash, uint32_t extractor) { return hash ^ extractor * UINT64_C(0x9E3779B97F4A7C15); }

static void fill_up(const uint8_t *key, size_t n, uint32_t length, uint8_t *out) {
    const size_t least = n < length ? n : length;
    if (least) memcpy(out, key, least);
    memset(out + least, 0, length - least);
}

/* Length of the key up to and with the delimiter's occurrence; 0 when it has not so many. */
static size_t delimited(const extractors *by, const uint8_t *key, size_t n) {
    size_t at = 0;
    for (uint32_t i = 0; i < by->occurrence; i++) {
        const uint8_t *hit = at < n ? memchr(key + at, by->delimiter, n - at) : NULL;
        if (!hit) return 0;
        at = (size_t)(hit - key) + 1;
    }
    return at;
}

static int set_lengths(extractors *by, const char *text, size_t n) {
    for (by->n = 0; n;) {
        const char *comma = memchr(text, ',', n);
        const size_t len = comma ? (size_t)(comma - text) : n;
        const int64_t v = idx_param_number(text, len, MOST_LENGTH);
        if (v < 1 || by->n == MOST_LENGTHS || (by->n && (uint32_t)v <= by->length[by->n - 1])) return IDX_RANGE_BAD;
        by->length[by->n++] = (uint32_t)v;
        text += len + (comma != NULL), n -= len + (comma != NULL);
        if (comma && !n) return IDX_RANGE_BAD;
    }
    return IDX_RANGE_OK;
}

/* lengths=<bytes>,<bytes>... ascending; delimiter=<byte as a number> occurrence=<i>; bits=<thousandths of a bit for each prefix> */
static int set_param(builder *b, const idx_param *p) {
    if (idx_param_is(p, "lengths")) return set_lengths(&b->by, p->value, p->value_n);
    const int is_bits = idx_param_is(p, "bits"), is_delimiter = idx_param_is(p, "delimiter");
    const int64_t v = idx_param_number(p->value, p->value_n, is_bits ? 64000 : 255);
    if (is_bits && v >= 1000)
        b->bits = (double)v / 1000;
    else if (is_delimiter && v >= 0)
        b->by.has_delimiter = 1, b->by.delimiter = (uint8_t)v;
    else if (idx_param_is(p, "occurrence") && v >= 1)
        b->by.occurrence = (uint8_t)v;
    else
        return IDX_RANGE_BAD;
    return IDX_RANGE_OK;
}

static int prefix_begin(const char *params, void **out) {
    builder *b = calloc(1, sizeof *b);
    if (!b) return IDX_RANGE_NOMEM;
    b->by = (extractors){.n = 1, .length = {4}, .occurrence = 1};
    b->bits = 10;
    idx_param p;
    int more, status = IDX_RANGE_OK;
    while (status == IDX_RANGE_OK && (more = idx_next_param(&params, &p)) != 0) status = more < 0 ? IDX_RANGE_BAD : set_param(b, &p);
    if (status == IDX_RANGE_OK && !b->by.n && !b->by.has_delimiter) status = IDX_RANGE_BAD;
    if (status == IDX_RANGE_OK)
        *out = b;
    else
        free(b);
    return status;
}

static void prefix_drop(void *builder_) {
    builder *b = builder_;
    free(b->hashes);
    free(b->key);
    free(b);
}

static int note(builder *b, uint32_t extractor, uint64_t hash) {
    if (b->has_last[extractor] && b->last[extractor] == hash) return IDX_RANGE_OK;
    if (b->n == b->cap) {
        const size_t cap = b->cap ? b->cap * 2 : 256;
        uint64_t *more = realloc(b->hashes, cap * sizeof *more);
        if (!more) return IDX_RANGE_NOMEM;
        b->hashes = more;
        b->cap = cap;
    }
    b->has_last[extractor] = 1;
    b->hashes[b->n++] = b->last[extractor] = hash;
    return IDX_RANGE_OK;
}

/* Keeps the key to compare its successor with. */
static int take_turn(builder *b, const uint8_t *key, size_t n) {
    const size_t least = n < b->key_n ? n : b->key_n;
    const int c = least ? memcmp(b->key, key, least) : 0;
    if (b->has_key && (c > 0 || (c == 0 && b->key_n > n))) return IDX_RANGE_ORDER;
    if (n > b->key_cap || !b->key) {
        uint8_t *more = realloc(b->key, n * 2 + 16);
        if (!more) return IDX_RANGE_NOMEM;
        b->key = more;
        b->key_cap = n * 2 + 16;
    }
    if (n) memcpy(b->key, key, n);
    b->key_n = n;
    b->has_key = 1;
    return IDX_RANGE_OK;
}

static int prefix_add(void *builder_, const uint8_t *key, size_t n) {
    builder *b = builder_;
    const extractors *by = &b->by;
    int status = take_turn(b, key, n);
    uint8_t filled[MOST_LENGTH];
    for (uint32_t i = 0; status == IDX_RANGE_OK && i < by->n; i++) {
        fill_up(key, n, by->length[i], filled);
        status = note(b, i, mix(idx_xxh3(filled, by->length[i]), i));
    }
    const size_t end = by->has_delimiter && status == IDX_RANGE_OK ? delimited(by, key, n) : 0;
    return end ? note(b, by->n, mix(idx_xxh3(key, end), by->n)) : status;
}

static int prefix_finish(void *builder_, size_t *len) {
    builder *b = builder_;
    const size_t bound = idx_bloom.bound(b->n, b->bits);
    *len = head_size(b->by.n) + bound;
    return bound ? IDX_RANGE_OK : IDX_RANGE_BAD;
}

static int prefix_write(void *builder_, uint8_t *out) {
    builder *b = builder_;
    const extractors *by = &b->by;
    const size_t head = head_size(by->n), bound = idx_bloom.bound(b->n, b->bits);
    size_t len;
    memset(out, 0, head);
    out[0] = KIND, out[1] = VERSION, out[2] = (uint8_t)by->n, out[3] = (uint8_t)by->has_delimiter;
    if (by->has_delimiter) out[4] = by->delimiter, out[5] = by->occurrence;
    for (uint32_t i = 0; i < by->n; i++) idx_store32(out + HEADER + 4 * i, by->length[i]);
    return idx_bloom.build(b->hashes, b->n, b->bits, out + head, bound, &len) ? IDX_RANGE_BAD : IDX_RANGE_OK;
}

static int read_header(const uint8_t *f, size_t len, opened *o) {
    if (len < HEADER || f[0] != KIND || f[1] != VERSION || f[2] > MOST_LENGTHS || f[3] > 1 || f[6] || f[7]) return -1;
    o->by = (extractors){.n = f[2], .has_delimiter = f[3], .delimiter = f[4], .occurrence = f[5]};
    const size_t head = head_size(o->by.n);
    if (len < head || (f[3] ? !f[5] : f[4] || f[5])) return -1;
    for (uint32_t i = 0; i < o->by.n; i++) {
        o->by.length[i] = idx_load32(f + HEADER + 4 * i);
        if (!o->by.length[i] || o->by.length[i] > MOST_LENGTH || (i && o->by.length[i] <= o->by.length[i - 1])) return -1;
    }
    for (size_t i = HEADER + 4 * (size_t)o->by.n; i < head; i++)
        if (f[i]) return -1;
    o->bloom = f + head;
    o->len = len - head;
    return 0;
}

static int prefix_check(const uint8_t *filter, size_t len) {
    opened o;
    return read_header(filter, len, &o) || idx_bloom.check(o.bloom, o.len) ? -1 : 0;
}

static void *prefix_open(const uint8_t *filter, size_t len) {
    opened *o = malloc(sizeof *o);
    if (o) read_header(filter, len, o);
    return o;
}

static int has(const opened *o, const uint8_t *prefix, size_t n, uint32_t extractor) {
    return idx_bloom.may_contain(o->bloom, o->len, mix(idx_xxh3(prefix, n), extractor));
}

static int prefix_may_contain(const void *opened_, const uint8_t *key, size_t n) {
    const opened *o = opened_;
    uint8_t filled[MOST_LENGTH];
    for (uint32_t i = o->by.n; i-- > 0;) {
        fill_up(key, n, o->by.length[i], filled);
        if (!has(o, filled, o->by.length[i], i)) return 0;
    }
    const size_t end = o->by.has_delimiter ? delimited(&o->by, key, n) : 0;
    return !end || has(o, key, end, o->by.n);
}

/* The prefix `by` places on, by < 256; 0 when there is none. */
static int advance(uint8_t *p, uint32_t length, uint32_t by) {
    for (; length && by; by >>= 8) {
        by += p[--length];
        p[length] = (uint8_t)by;
    }
    return !by;
}

/* Fixed length: 0 when no prefix of [lo, hi) is in, 1 when one is or there are too many to ask. */
static int ask_length(const opened *o, uint32_t i, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n) {
    const uint32_t length = o->by.length[i];
    uint8_t from[MOST_LENGTH], to[MOST_LENGTH], far[MOST_LENGTH];
    fill_up(lo, lo_n, length, from);
    fill_up(hi, hi_n, length, to);
    uint32_t least = length; /* of the keys with the prefix `to` the first one is it without its last zeros: is that before hi? */
    while (least && !to[least - 1]) least--;
    const int inclusive = hi_n > least;
    memcpy(far, from, length);
    if (advance(far, length, MOST_PROBES) && memcmp(far, to, length) < inclusive) return 1;
    for (;;) {
        const int c = memcmp(from, to, length);
        if (c == 0 && !inclusive) return 0;
        if (has(o, from, length, i)) return 1;
        if (c == 0 || !advance(from, length, 1)) return 0;
    }
}

/* Do all keys of [lo, hi) begin with the first n bytes of lo? That is: is hi at most the first key behind all that do? */
static int all_begin(const uint8_t *lo, size_t n, const uint8_t *hi, size_t hi_n) {
    if (hi_n >= n && !memcmp(lo, hi, n)) return 1;
    while (n && lo[n - 1] == 0xff) n--;
    return n && hi_n == n && !memcmp(lo, hi, n - 1) && hi[n - 1] == lo[n - 1] + 1;
}

static int prefix_may_contain_range(const void *opened_, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n) {
    const opened *o = opened_;
    const size_t least = lo_n < hi_n ? lo_n : hi_n;
    const int c = hi && least ? memcmp(lo, hi, least) : 0;
    if (!hi) return 1;
    if (c > 0 || (c == 0 && lo_n >= hi_n)) return 0;
    for (uint32_t i = o->by.n; i-- > 0;)
        if (!ask_length(o, i, lo, lo_n, hi, hi_n)) return 0;
    const size_t end = o->by.has_delimiter ? delimited(&o->by, lo, lo_n) : 0;
    return !end || !all_begin(lo, end, hi, hi_n) || has(o, lo, end, o->by.n);
}

const idx_range_ops idx_prefix_bloom_ops = {.abi = IDX_RANGE_ABI,
                                            .size = sizeof(idx_range_ops),
                                            .name = "prefix_bloom",
                                            .version = VERSION,
                                            .begin = prefix_begin,
                                            .add = prefix_add,
                                            .finish = prefix_finish,
                                            .write = prefix_write,
                                            .drop = prefix_drop,
                                            .check = prefix_check,
                                            .open = prefix_open,
                                            .close = free,
                                            .may_contain = prefix_may_contain,
                                            .may_contain_range = prefix_may_contain_range};
