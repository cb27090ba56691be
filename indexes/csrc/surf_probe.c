/* surf_probe.c: checking, opening and asking a SuRF.
 *
 * A range is asked by walking down the trie along lo and hi: together while their bytes agree, and from the node where they part along each
 * for itself ("is anything below at or behind lo?", "is anything below before hi?"). Any label strictly between the two ends the search: some key
 * lies there. Only leaves on the two paths are uncertain, and their suffixes decide; no iterator, no stack.
 */
#include "indexes/csrc/hash.h"
#include "indexes/csrc/surf.h"
#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Where a label leads: nowhere, to a leaf (its number), or to a node (its number). */
typedef struct step {
    enum { NOWHERE, LEAF, NODE } kind;
    uint32_t to;
} step;

/* A node: dense, or labels [from, end) of the sparse ones (without the mark of a key that ends here). */
typedef struct node {
    const uint8_t *dense; /* NULL: sparse */
    uint32_t from, end;
    int ends_key;
} node;

IDX_INLINE node look(const idx_surf *s, uint32_t number) {
    node v = {0};
    if (number < s->dense_nodes) {
        v.dense = s->dense + (size_t)number * SURF_NODE;
        v.ends_key = v.dense[68] & 1;
        return v;
    }
    v.from = idx_select(s->start, s->start_sample, SURF_SELECT_EVERY, number - s->dense_nodes);
    v.end = idx_next_bit(s->start, v.from + 1, s->labels);
    v.ends_key = v.end - v.from > 1 && s->label[v.from] == SURF_END;
    v.from += (uint32_t)v.ends_key;
    return v;
}

/* First label of a sparse node that is >= c; its end when there is none. Reads up to 15 bytes behind, which are there. */
IDX_INLINE uint32_t first_from(const idx_surf *s, const node *v, uint8_t c) {
    uint32_t i = v->from;
#if defined(__SSE2__)
    const __m128i wanted = _mm_set1_epi8((char)c);
    for (; i < v->end; i += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(s->label + i));
        const uint32_t hit = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(x, wanted), x));
        if (hit) return i + (uint32_t)__builtin_ctz(hit) < v->end ? i + (uint32_t)__builtin_ctz(hit) : v->end;
    }
    return v->end;
#else
    while (i < v->end && s->label[i] < c) i++;
    return i;
#endif
}

IDX_INLINE step sparse_step(const idx_surf *s, uint32_t at) {
    const uint32_t before = idx_rank(s->child, s->child_rank, at);
    if (idx_bit(s->child, at)) return (step){NODE, s->dense_children + before + 1};
    return (step){LEAF, s->dense_leaves + at - before};
}

IDX_INLINE step dense_step(const node *v, uint8_t c) {
    uint32_t labels = 0, children = 0;
    if (!idx_bit(v->dense, c)) return (step){NOWHERE, 0};
    for (size_t w = 0; w < c / 64u; w++) labels += idx_popcount(idx_word(v->dense, w)), children += idx_popcount(idx_word(v->dense, 4 + w));
    const uint64_t below = ((uint64_t)1 << c % 64) - 1;
    labels += idx_popcount(idx_word(v->dense, c / 64) & below);
    children += idx_popcount(idx_word(v->dense, 4 + c / 64) & below);
    if (idx_bit(v->dense + 32, c)) return (step){NODE, idx_load32(v->dense + 64) + children + 1};
    return (step){LEAF, (idx_load32(v->dense + 68) >> 1) + (uint32_t)v->ends_key + labels - children};
}

IDX_INLINE step follow(const idx_surf *s, const node *v, uint8_t c) {
    if (v->dense) return dense_step(v, c);
    const uint32_t at = first_from(s, v, c);
    return at < v->end && s->label[at] == c ? sparse_step(s, at) : (step){NOWHERE, 0};
}

/* Any label in [low, high] of a dense node. */
IDX_INLINE int dense_any(const node *v, uint32_t low, uint32_t high) {
    if (low > high) return 0;
    for (uint32_t w = low / 64; w <= high / 64; w++) {
        uint64_t word = idx_word(v->dense, w);
        if (w == low / 64) word = word >> low % 64 << low % 64;
        if (w == high / 64) word &= ~(uint64_t)0 >> (63 - high % 64);
        if (word) return 1;
    }
    return 0;
}

IDX_INLINE int any_above(const idx_surf *s, const node *v, uint8_t c) {
    return v->dense ? dense_any(v, c + 1u, 255) : v->from < v->end && s->label[v->end - 1] > c;
}

IDX_INLINE int any_below(const idx_surf *s, const node *v, uint8_t c) {
    return v->dense ? c && dense_any(v, 0, c - 1u) : v->from < v->end && s->label[v->from] < c;
}

IDX_INLINE int any_between(const idx_surf *s, const node *v, uint8_t a, uint8_t b) { /* a < b */
    if (v->dense) return dense_any(v, a + 1u, b - 1u);
    const uint32_t at = first_from(s, v, (uint8_t)(a + 1));
    return at < v->end && s->label[at] < b;
}

IDX_INLINE uint64_t suffix_of(const idx_surf *s, uint32_t leaf) {
    const uint32_t bits = s->hash_bits + s->real_bits;
    const uint64_t at = (uint64_t)leaf * bits;
    return bits ? idx_load64(s->suffix + at / 8) >> at % 8 & (((uint64_t)1 << bits) - 1) : 0;
}

/* May the key of a leaf at this depth be at or behind lo? Its first `depth` bytes are lo's. */
IDX_INLINE int leaf_reaches(const idx_surf *s, uint32_t leaf, const uint8_t *lo, size_t n, size_t depth) {
    return !s->real_bits || suffix_of(s, leaf) >> s->hash_bits >= surf_real(lo, n, depth, s->real_bits);
}

/* May it be before hi? The least key it can be is what is known of it, without zeros at its end. */
IDX_INLINE int leaf_precedes(const idx_surf *s, uint32_t leaf, const uint8_t *hi, size_t n, size_t depth) {
    if (!s->real_bits) return n > depth;
    const uint32_t known = (uint32_t)(suffix_of(s, leaf) >> s->hash_bits << (32 - s->real_bits));
    for (uint32_t rest = known; depth < n; depth++, rest <<= 8) {
        if (!rest) return 1; /* the least key ends here, hi goes on */
        if (rest >> 24 != hi[depth]) return rest >> 24 < hi[depth];
    }
    return 0;
}

/* Is any key at or behind lo in the node, whose path is lo[0 .. depth)? */
IDX_INLINE int reaches(const idx_surf *s, uint32_t number, const uint8_t *lo, size_t n, size_t depth) {
    for (;; depth++) {
        if (depth == n) return 1;
        const node v = look(s, number);
        if (any_above(s, &v, lo[depth])) return 1;
        const step next = follow(s, &v, lo[depth]);
        if (next.kind != NODE) return next.kind == LEAF && leaf_reaches(s, next.to, lo, n, depth + 1);
        number = next.to;
    }
}

/* Is any key before hi in the node, whose path is hi[0 .. depth)? */
IDX_INLINE int precedes(const idx_surf *s, uint32_t number, const uint8_t *hi, size_t n, size_t depth) {
    for (; depth < n; depth++) {
        const node v = look(s, number);
        if (v.ends_key || any_below(s, &v, hi[depth])) return 1;
        const step next = follow(s, &v, hi[depth]);
        if (next.kind != NODE) return next.kind == LEAF && leaf_precedes(s, next.to, hi, n, depth + 1);
        number = next.to;
    }
    return 0;
}

/* -1, 0, 1: every key that begins with the shared prefix is before the bound, the bound goes on behind the prefix, or every one is at or behind it. */
IDX_INLINE int beside_prefix(const idx_surf *s, const uint8_t *bound, size_t n) {
    const size_t least = n < s->prefix_n ? n : s->prefix_n;
    const int c = least ? memcmp(s->prefix, bound, least) : 0;
    if (c) return c < 0 ? -1 : 1;
    return n > s->prefix_n ? 0 : 1;
}

IDX_INLINE int point(const idx_surf *s, const uint8_t *key, size_t n) {
    if (n == 0) return (int)s->has_empty;
    if (n < s->prefix_n || !(s->dense_nodes + s->nodes) || (s->prefix_n && memcmp(key, s->prefix, s->prefix_n))) return 0;
    uint32_t number = 0;
    for (size_t depth = s->prefix_n;; depth++) {
        const node v = look(s, number);
        if (depth == n) return v.ends_key;
        const step next = follow(s, &v, key[depth]);
        if (next.kind == NOWHERE) return 0;
        if (next.kind == LEAF) {
            const uint64_t suffix = suffix_of(s, next.to), hash_mask = ((uint64_t)1 << s->hash_bits) - 1;
            if (suffix >> s->hash_bits != surf_real(key, n, depth + 1, s->real_bits)) return 0;
            return !s->hash_bits || ((suffix ^ idx_xxh3(key, n)) & hash_mask) == 0;
        }
        number = next.to;
    }
}

IDX_INLINE int is_before(const uint8_t *a, size_t an, const uint8_t *b, size_t bn) {
    const size_t least = an < bn ? an : bn;
    const int c = least ? memcmp(a, b, least) : 0;
    return c ? c < 0 : an < bn;
}

IDX_INLINE int range(const idx_surf *s, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n) {
    if (hi && hi_n == lo_n + 1 && !hi[lo_n] && (!lo_n || !memcmp(lo, hi, lo_n))) return point(s, lo, lo_n); /* [key, key 00) */
    if (hi && !is_before(lo, lo_n, hi, hi_n)) return 0;
    if (s->has_empty && !lo_n) return 1;
    if (!(s->dense_nodes + s->nodes)) return 0;
    const int from = beside_prefix(s, lo, lo_n), to = hi ? beside_prefix(s, hi, hi_n) : -1;
    if (from < 0 || to > 0) return 0;
    size_t depth = s->prefix_n;
    if (from > 0) return to < 0 || precedes(s, 0, hi, hi_n, depth);
    if (to < 0) return reaches(s, 0, lo, lo_n, depth);
    for (uint32_t number = 0;; depth++) {
        if (depth == hi_n) return 0;
        if (depth == lo_n) return precedes(s, number, hi, hi_n, depth);
        const node v = look(s, number);
        const step low = follow(s, &v, lo[depth]);
        if (lo[depth] < hi[depth]) {
            if (any_between(s, &v, lo[depth], hi[depth])) return 1;
            if (low.kind == LEAF && leaf_reaches(s, low.to, lo, lo_n, depth + 1)) return 1;
            if (low.kind == NODE && reaches(s, low.to, lo, lo_n, depth + 1)) return 1;
            const step high = follow(s, &v, hi[depth]);
            if (high.kind == LEAF) return leaf_precedes(s, high.to, hi, hi_n, depth + 1);
            return high.kind == NODE && precedes(s, high.to, hi, hi_n, depth + 1);
        }
        if (low.kind == LEAF) return leaf_reaches(s, low.to, lo, lo_n, depth + 1) && leaf_precedes(s, low.to, hi, hi_n, depth + 1);
        if (low.kind == NOWHERE) return 0;
        number = low.to;
    }
}

#ifdef IDX_HAS_FAST
IDX_FAST static int fast_point(const idx_surf *s, const uint8_t *key, size_t n) { return point(s, key, n); }
IDX_FAST static int fast_range(const idx_surf *s, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n) {
    return range(s, lo, lo_n, hi, hi_n);
}
#endif

int idx_surf_may_contain(const void *opened, const uint8_t *key, size_t n) {
#ifdef IDX_HAS_FAST
    /* uncovered 2 (machine): a processor without these instructions */
    if (idx_is_fast()) return fast_point(opened, key, n);
#endif
    return point(opened, key, n);
}

int idx_surf_may_contain_range(const void *opened, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n) {
#ifdef IDX_HAS_FAST
    /* uncovered 2 (machine): a processor without these instructions */
    if (idx_is_fast()) return fast_range(opened, lo, lo_n, hi, hi_n);
#endif
    return range(opened, lo, lo_n, hi, hi_n);
}

static int read_header(const uint8_t *f, size_t len, idx_surf *s) {
    if (len < SURF_HEADER || f[0] != SURF_KIND || f[1] != SURF_VERSION || f[2] > SURF_HAS_EMPTY || f[5] || f[6] || f[7]) return -1;
    uint32_t counts[8];
    for (size_t i = 0; i < 8; i++) {
        counts[i] = idx_load32(f + 8 + 4 * i);
        if (counts[i] >> 31) return -1;
    }
    *s = (idx_surf){.prefix_n = counts[0],
                    .dense_nodes = counts[1],
                    .dense_children = counts[2],
                    .dense_leaves = counts[3],
                    .labels = counts[4],
                    .nodes = counts[5],
                    .children = counts[6],
                    .has_empty = f[2],
                    .hash_bits = f[3],
                    .real_bits = f[4]};
    if (counts[7] || s->hash_bits + s->real_bits > SURF_MAX_SUFFIX || s->children > s->labels || s->nodes > s->labels) return -1;
    const uint64_t nodes = (uint64_t)s->dense_nodes + s->nodes, children = (uint64_t)s->dense_children + s->children;
    if (nodes ? children != nodes - 1 : children + s->dense_leaves + s->prefix_n) return -1; /* every node but the root has a parent */
    return surf_place(s, f) == len ? 0 : -1;
}

static int check_dense(const idx_surf *s) {
    uint64_t children = 0, leaves = 0;
    for (uint32_t i = 0; i < s->dense_nodes; i++) {
        const uint8_t *d = s->dense + (size_t)i * SURF_NODE;
        const uint32_t ends = idx_load32(d + 68) & 1;
        uint32_t labels = 0, with_child = 0;
        if (idx_load32(d + 64) != children || idx_load32(d + 68) >> 1 != leaves) return -1;
        for (size_t w = 0; w < 4; w++) {
            if (idx_word(d, 4 + w) & ~idx_word(d, w)) return -1;
            labels += idx_popcount(idx_word(d, w)), with_child += idx_popcount(idx_word(d, 4 + w));
        }
        if (!labels) return -1;
        children += with_child, leaves += labels - with_child + ends;
    }
    return children == s->dense_children && leaves == s->dense_leaves ? 0 : -1;
}

static int check_sparse(const idx_surf *s) {
    uint32_t children = 0, nodes = 0, first = 0;
    for (uint32_t i = 0; i < s->labels; i++) {
        if (i % IDX_RANK_EVERY == 0 && idx_load32(s->child_rank + i / IDX_RANK_EVERY * 4) != children) return -1;
        const int starts = idx_bit(s->start, i);
        children += (uint32_t)idx_bit(s->child, i);
        if (!starts && i == 0) return -1;
        /* labels ascend, but for the mark of a key that ends here, which has no child and is followed by a label */
        if (!starts && s->label[i] <= s->label[i - 1] && !(i - 1 == first && s->label[first] == SURF_END && !idx_bit(s->child, first)))
            return -1;
        if (!starts) continue;
        if (nodes % SURF_SELECT_EVERY == 0 && (nodes >= s->nodes || idx_load32(s->start_sample + nodes / SURF_SELECT_EVERY * 4) != i))
            return -1;
        first = i;
        nodes++;
    }
    for (size_t i = s->labels; i % 64; i++)
        if (idx_bit(s->start, i) || idx_bit(s->child, i)) return -1;
    return children == s->children && nodes == s->nodes ? 0 : -1;
}

int idx_surf_check(const uint8_t *filter, size_t len) {
    idx_surf s;
    return read_header(filter, len, &s) || check_dense(&s) || check_sparse(&s) ? -1 : 0;
}

void *idx_surf_open(const uint8_t *filter, size_t len) {
    idx_surf *s = malloc(sizeof *s);
    if (s) read_header(filter, len, s);
    return s;
}

void idx_surf_close(void *opened) { free(opened); }
