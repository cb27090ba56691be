/* surf_build.c: keys in order to a SuRF, in one pass and one key behind: a key's cut depends on its two neighbours only.
 *
 *   key i is stored down to depth max(shared with i - 1, shared with i + 1) + 1; what it shares with i - 1 is in the trie already, so that
 *   each of its other bytes goes to the end of its level.
 */
#include "indexes/csrc/surf.h"
#include "indexes/csrc/hash.h"
#include <stdlib.h>

enum { CHILD = 1, START = 2, ENDS = 4 };

typedef struct level {
    uint8_t *label, *mark; /* mark: has a child, begins a node, is the end of a key */
    uint32_t *suffix; /* of the leaves */
    size_t n, cap, leaves, cap_leaves, nodes;
} level;

typedef struct builder {
    uint32_t hash_bits, real_bits, dense_ratio;
    int has_key, has_empty;
    uint8_t *key; /* waits for its successor */
    size_t key_n, key_cap;
    size_t shared; /* with its predecessor */
    level *levels;
    size_t n_levels, cap_levels, first, dense; /* levels below first are the shared prefix; those below dense are dense */
    idx_surf s;
    size_t size;
} builder;

static int set_suffix(builder *b, const idx_param *p) {
    const char *comma = memchr(p->value, ',', p->value_n);
    const size_t n = comma ? (size_t)(comma - p->value) : p->value_n;
    const int64_t hash = idx_param_number(p->value, n, SURF_MAX_SUFFIX);
    const int64_t real = comma ? idx_param_number(comma + 1, p->value_n - n - 1, SURF_MAX_SUFFIX) : -1;
    if (hash < 0 || real < 0 || hash + real > SURF_MAX_SUFFIX) return IDX_RANGE_BAD;
    b->hash_bits = (uint32_t)hash, b->real_bits = (uint32_t)real;
    return IDX_RANGE_OK;
}

/* suffix=<hash bits>,<real bits> dense_ratio=<n>: upper levels are dense if that costs at most 1 / n of what the lower ones take. */
static int surf_begin(const char *params, void **out) {
    builder *b = calloc(1, sizeof *b);
    if (!b) return IDX_RANGE_NOMEM;
    b->real_bits = 8, b->dense_ratio = 16;
    idx_param p;
    int more, status = IDX_RANGE_OK;
    while (status == IDX_RANGE_OK && (more = idx_next_param(&params, &p)) != 0) {
        const int64_t ratio = more > 0 && idx_param_is(&p, "dense_ratio") ? idx_param_number(p.value, p.value_n, UINT32_MAX) : -1;
        if (ratio >= 0)
            b->dense_ratio = (uint32_t)ratio;
        else
            status = more > 0 && idx_param_is(&p, "suffix") ? set_suffix(b, &p) : IDX_RANGE_BAD;
    }
    if (status == IDX_RANGE_OK)
        *out = b;
    else
        free(b);
    return status;
}

static void surf_drop(void *builder_) {
    builder *b = builder_;
    for (size_t i = 0; i < b->n_levels; i++) {
        free(b->levels[i].label);
        free(b->levels[i].mark);
        free(b->levels[i].suffix);
    }
    free(b->levels);
    free(b->key);
    free(b);
}

static int need_levels(builder *b, size_t n) {
    if (n > b->cap_levels) {
        level *more = realloc(b->levels, (n + 16) * 2 * sizeof *more);
        if (!more) return IDX_RANGE_NOMEM;
        b->levels = more;
        b->cap_levels = (n + 16) * 2;
    }
    for (; b->n_levels < n; b->n_levels++) b->levels[b->n_levels] = (level){0};
    return IDX_RANGE_OK;
}

static int push_label(level *v, uint8_t label, int mark) {
    if (v->n == v->cap) {
        const size_t cap = v->cap ? v->cap * 2 : 16;
        uint8_t *labels = realloc(v->label, cap), *marks = labels ? realloc(v->mark, cap) : NULL;
        if (labels) v->label = labels;
        if (!marks) return IDX_RANGE_NOMEM;
        v->mark = marks;
        v->cap = cap;
    }
    v->label[v->n] = label;
    v->mark[v->n++] = (uint8_t)mark;
    v->nodes += (mark & START) != 0;
    return IDX_RANGE_OK;
}

static int push_suffix(builder *b, level *v, size_t depth) {
    if (b->hash_bits + b->real_bits == 0) {
        v->leaves++;
        return IDX_RANGE_OK;
    }
    if (v->leaves == v->cap_leaves) {
        const size_t cap = v->cap_leaves ? v->cap_leaves * 2 : 16;
        uint32_t *more = realloc(v->suffix, cap * sizeof *more);
        if (!more) return IDX_RANGE_NOMEM;
        v->suffix = more;
        v->cap_leaves = cap;
    }
    uint64_t bits = surf_real(b->key, b->key_n, depth, b->real_bits);
    if (b->hash_bits) bits = bits << b->hash_bits | (idx_xxh3(b->key, b->key_n) & (((uint64_t)1 << b->hash_bits) - 1));
    v->suffix[v->leaves++] = (uint32_t)bits;
    return IDX_RANGE_OK;
}

/* Puts the waiting key into the trie; it shares `next` bytes with its successor. */
static int insert(builder *b, size_t next) {
    const size_t depth = (next > b->shared ? next : b->shared) + 1;
    const size_t whole = depth < b->key_n ? depth : b->key_n;
    int status = need_levels(b, depth);
    for (size_t i = b->shared; status == IDX_RANGE_OK && i < whole; i++) {
        const int starts = i > b->shared || b->levels[i].n == 0;
        status = push_label(&b->levels[i], b->key[i], (starts ? START : 0) | (i + 1 < depth ? CHILD : 0));
    }
    if (status == IDX_RANGE_OK && depth > b->key_n) status = push_label(&b->levels[depth - 1], SURF_END, START | ENDS);
    return status == IDX_RANGE_OK ? push_suffix(b, &b->levels[depth - 1], whole) : status;
}

static int surf_add(void *builder_, const uint8_t *key, size_t n) {
    builder *b = builder_;
    if (n == 0) {
        b->has_empty |= !b->has_key;
        return b->has_key ? IDX_RANGE_ORDER : IDX_RANGE_OK;
    }
    size_t same = 0;
    if (b->has_key) {
        const size_t least = n < b->key_n ? n : b->key_n;
        while (same < least && key[same] == b->key[same]) same++;
        if (same == n && same == b->key_n) return IDX_RANGE_OK;
        if (same == n || (same < b->key_n && key[same] < b->key[same])) return IDX_RANGE_ORDER;
        const int status = insert(b, same);
        if (status != IDX_RANGE_OK) return status;
    }
    if (n > b->key_cap) {
        uint8_t *more = realloc(b->key, n * 2);
        if (!more) return IDX_RANGE_NOMEM;
        b->key = more;
        b->key_cap = n * 2;
    }
    memcpy(b->key + same, key + same, n - same);
    b->key_n = n;
    b->shared = same;
    b->has_key = 1;
    return IDX_RANGE_OK;
}

/* How many levels are the bytes that all keys share, and how many of the others are dense. */
static int divide(builder *b) {
    while (b->first < b->n_levels && b->levels[b->first].n == 1 && b->levels[b->first].mark[0] & CHILD) b->first++;
    uint64_t dense = 0, upper = 0, lower = 0; /* bits: of the upper levels as bitmaps and as labels, of the lower ones as labels */
    for (size_t i = b->first; i < b->n_levels; i++) lower += b->levels[i].n * 10;
    /* uncovered 2 (guard): more than a test can hold */
    if (lower / 10 >> 31 || b->first >> 31) return IDX_RANGE_BAD;
    b->dense = b->first;
    for (size_t i = b->first; i < b->n_levels; i++) {
        const level *v = &b->levels[i];
        dense += v->nodes * SURF_NODE * 8, upper += v->n * 10, lower -= v->n * 10;
        if (dense <= upper || (dense - upper) * b->dense_ratio <= lower) b->dense = i + 1;
    }
    return IDX_RANGE_OK;
}

static int surf_finish(void *builder_, size_t *len) {
    builder *b = builder_;
    int status = b->has_key ? insert(b, b->shared) : IDX_RANGE_OK;
    if (status == IDX_RANGE_OK) status = divide(b);
    if (status != IDX_RANGE_OK) return status;
    idx_surf *s = &b->s;
    *s = (idx_surf){
        .prefix_n = (uint32_t)b->first, .hash_bits = b->hash_bits, .real_bits = b->real_bits, .has_empty = (uint32_t)b->has_empty};
    for (size_t i = b->first; i < b->n_levels; i++) {
        const level *v = &b->levels[i];
        if (i < b->dense) {
            s->dense_nodes += (uint32_t)v->nodes;
            s->dense_leaves += (uint32_t)v->leaves;
        } else {
            s->labels += (uint32_t)v->n;
            s->nodes += (uint32_t)v->nodes;
            s->children += (uint32_t)(v->n - v->leaves);
        }
        if (i < b->dense) s->dense_children += (uint32_t)v->n - (uint32_t)v->leaves;
    }
    *len = b->size = surf_place(s, NULL);
    return IDX_RANGE_OK;
}

static void set_bit(uint8_t *bits, size_t i) { bits[i / 8] |= (uint8_t)(1u << i % 8); }

static void write_header(const builder *b, uint8_t *out) {
    const idx_surf *s = &b->s;
    const uint32_t counts[] = {s->prefix_n, s->dense_nodes, s->dense_children, s->dense_leaves, s->labels, s->nodes, s->children};
    out[0] = SURF_KIND, out[1] = SURF_VERSION, out[2] = s->has_empty ? SURF_HAS_EMPTY : 0;
    out[3] = (uint8_t)s->hash_bits, out[4] = (uint8_t)s->real_bits;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) idx_store32(out + 8 + 4 * i, counts[i]);
}

static void write_dense(const builder *b, uint8_t *node) {
    uint32_t children = 0, leaves = 0;
    node -= SURF_NODE; /* the first label begins a node */
    for (size_t i = b->first; i < b->dense; i++) {
        const level *v = &b->levels[i];
        for (size_t k = 0; k < v->n; k++) {
            const int mark = v->mark[k];
            if (mark & START) {
                node += SURF_NODE;
                idx_store32(node + 64, children);
                idx_store32(node + 68, leaves << 1 | (mark & ENDS ? 1 : 0));
            }
            if (!(mark & ENDS)) set_bit(node, v->label[k]);
            if (mark & CHILD) set_bit(node + 32, v->label[k]);
            if (mark & CHILD)
                children++;
            else
                leaves++;
        }
    }
}

static void write_sparse(const builder *b, const idx_surf *s) {
    uint32_t at = 0, children = 0, nodes = 0;
    for (size_t i = b->dense; i < b->n_levels; i++) {
        const level *v = &b->levels[i];
        if (v->n) memcpy((uint8_t *)s->label + at, v->label, v->n);
        for (size_t k = 0; k < v->n; k++, at++) {
            if (at % IDX_RANK_EVERY == 0) idx_store32((uint8_t *)s->child_rank + at / IDX_RANK_EVERY * 4, children);
            if (v->mark[k] & CHILD) set_bit((uint8_t *)s->child, at), children++;
            if (!(v->mark[k] & START)) continue;
            set_bit((uint8_t *)s->start, at);
            if (nodes % SURF_SELECT_EVERY == 0) idx_store32((uint8_t *)s->start_sample + nodes / SURF_SELECT_EVERY * 4, at);
            nodes++;
        }
    }
}

static void write_suffixes(const builder *b, uint8_t *out) {
    const uint32_t bits = b->hash_bits + b->real_bits;
    uint64_t at = 0;
    if (!bits) return;
    for (size_t i = b->first; i < b->n_levels; i++)
        for (size_t k = 0; k < b->levels[i].leaves; k++, at += bits)
            idx_store64(out + at / 8, idx_load64(out + at / 8) | (uint64_t)b->levels[i].suffix[k] << at % 8);
}

static int surf_write(void *builder_, uint8_t *out) {
    builder *b = builder_;
    idx_surf s = b->s;
    memset(out, 0, b->size);
    surf_place(&s, out);
    write_header(b, out);
    for (size_t i = 0; i < b->first; i++) ((uint8_t *)s.prefix)[i] = b->levels[i].label[0];
    write_dense(b, (uint8_t *)s.dense);
    write_sparse(b, &s);
    write_suffixes(b, (uint8_t *)s.suffix);
    return IDX_RANGE_OK;
}

const idx_range_ops idx_surf_ops = {.abi = IDX_RANGE_ABI,
                                    .size = sizeof(idx_range_ops),
                                    .name = "surf",
                                    .version = SURF_VERSION,
                                    .begin = surf_begin,
                                    .add = surf_add,
                                    .finish = surf_finish,
                                    .write = surf_write,
                                    .drop = surf_drop,
                                    .check = idx_surf_check,
                                    .open = idx_surf_open,
                                    .close = idx_surf_close,
                                    .may_contain = idx_surf_may_contain,
                                    .may_contain_range = idx_surf_may_contain_range};
