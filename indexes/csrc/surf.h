/* surf.h: the bytes of a SuRF, shared by building and probing.
 *
 * Zhang, Lim, Leis, Andersen, Kaminsky, Keeton, Pavlo, "SuRF: Practical Range Query Filtering with Fast Succinct Tries", SIGMOD 2018. Each
 * key is cut behind the first byte that no other key shares and put into a trie; upper levels are stored as LOUDS-Dense (bitmaps), lower
 * ones as LOUDS-Sparse (section 2); a leaf may keep bits of the key's hash and of its next bytes (section 3.3). Beyond the paper, the bytes that
 * all keys begin with are stored once, in front of the root.
 *
 *    header (40 bytes) | shared prefix | dense nodes, 72 bytes each | labels | child bits | start bits | child ranks | start samples | suffixes
 *
 *    header     = kind u8 | version u8 | flags u8 | hash bits u8 | real bits u8 | zero u8 x 3 | prefix length u32 | dense nodes u32 | dense children
 *                 u32 | dense leaves u32 | labels u32 | sparse nodes u32 | sparse children u32 | zero u32          flags: 1 = the empty key is in
 *    dense node = labels 256 bits | those with a child 256 bits | children before u32 | leaves before << 1 | ends a key u32
 *    label      = a byte; a node's labels ascend, and one more 0xff in front of them says that a key ends at the node
 *    suffix     = hash bits (the low ones), real bits above them; bit-packed, a leaf each in the order of the levels
 *
 * Every section begins at a multiple of 8. Nodes are numbered level by level, from left to right; child i of all has number i + 1.
 * Ownership: a view borrows the bytes. Threads: immutable.
 */
#ifndef IDX_SURF_H
#define IDX_SURF_H
#include "indexes/csrc/bits.h"
#include "indexes/csrc/ranges.h"

enum {
    SURF_KIND = 0x82,
    SURF_VERSION = 1,
    SURF_HEADER = 40,
    SURF_NODE = 72,
    SURF_END = 0xff, /* the label that says "a key ends here" */
    SURF_MAX_SUFFIX = 32,
    SURF_SELECT_EVERY = 64, /* nodes a start sample */
    SURF_HAS_EMPTY = 1,
    SURF_SLACK = 16 /* readable bytes behind the labels, 8 of them behind the suffixes */
};

typedef struct idx_surf {
    uint32_t prefix_n, dense_nodes, dense_children, dense_leaves, labels, nodes, children;
    uint32_t hash_bits, real_bits, has_empty;
    const uint8_t *prefix, *dense, *label, *child, *start, *child_rank, *start_sample, *suffix;
} idx_surf;

static inline size_t surf_pad(size_t n) { return (n + 7) & ~(size_t)7; }
static inline uint64_t surf_leaves(const idx_surf *s) { return (uint64_t)s->dense_leaves + s->labels - s->children; }

static inline const uint8_t *surf_take(uintptr_t *at, size_t n) {
    const uintptr_t here = *at;
    *at += n;
    return (const uint8_t *)here;
}

/* Sets the sections' places from the counts, which are below 2^31; returns the size of all. at may be NULL: for the size only. */
static inline size_t surf_place(idx_surf *s, const uint8_t *at) {
    uintptr_t p = (uintptr_t)at + SURF_HEADER;
    const size_t words = ((size_t)s->labels + 63) / 64 * 8, bits = s->hash_bits + s->real_bits;
    s->prefix = surf_take(&p, surf_pad(s->prefix_n));
    s->dense = surf_take(&p, (size_t)s->dense_nodes * SURF_NODE);
    s->label = surf_take(&p, s->labels ? surf_pad(s->labels) + SURF_SLACK : 0);
    s->child = surf_take(&p, words);
    s->start = surf_take(&p, words);
    s->child_rank = surf_take(&p, surf_pad(((size_t)s->labels + IDX_RANK_EVERY - 1) / IDX_RANK_EVERY * 4));
    s->start_sample = surf_take(&p, surf_pad(((size_t)s->nodes + SURF_SELECT_EVERY - 1) / SURF_SELECT_EVERY * 4));
    s->suffix = surf_take(&p, bits ? surf_pad((size_t)((surf_leaves(s) * bits + 7) / 8)) + 8 : 0);
    return (size_t)(p - (uintptr_t)at);
}

/* `bits` bits of a key from byte `from` on, the first one highest; zeros behind its end. */
static inline uint32_t surf_real(const uint8_t *key, size_t n, size_t from, uint32_t bits) {
    uint64_t v = 0;
    for (size_t i = 0; i < 4; i++) v = v << 8 | (from + i < n ? key[from + i] : 0);
    return bits ? (uint32_t)(v >> (32 - bits)) : 0;
}

/* surf_probe.c: what the ops table in surf_build.c needs */
int idx_surf_check(const uint8_t *filter, size_t len);
void *idx_surf_open(const uint8_t *filter, size_t len);
void idx_surf_close(void *opened);
int idx_surf_may_contain(const void *opened, const uint8_t *key, size_t n);
int idx_surf_may_contain_range(const void *opened, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n);
#endif
