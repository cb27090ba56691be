#include "indexes/csrc/ordered.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include <stdlib.h>

enum { MAGIC = 0x524F5849, VERSION = 1, HEADER = 64, BLOCK = 128, BLOCK_HEADER = 20, PAD = 8, TOGETHER = 16 };

struct idx_ordered {
    const uint8_t *bytes, *ranks, *offsets;
    uint64_t n, blocks;
    size_t size;
};

/* A block whose lengths were checked. */
typedef struct {
    const uint8_t *shared, *table, *suffixes, *rows;
    uint32_t n, shared_size, suffix, form, bits;
    uint64_t least;
} block;

static uint64_t rank_at(const idx_ordered *v, uint64_t b) { return idx_load64(v->ranks + 8 * b); }

static int enter(const idx_ordered *v, uint64_t b, block *out) {
    const uint64_t from = idx_load64(v->offsets + 8 * b), to = idx_load64(v->offsets + 8 * b + 8); /* checked by open */
    const uint64_t room = to - from;
    if (room < BLOCK_HEADER + PAD) return IDX_MALFORMED;
    const uint8_t *p = v->bytes + from;
    out->n = b + 1 < v->blocks ? BLOCK : (uint32_t)(v->n - b * BLOCK);
    out->shared_size = idx_load32(p), out->suffix = idx_load32(p + 4), out->form = p[8], out->bits = p[9], out->least = idx_load64(p + 12);
    if ((out->form != 0 && out->form != 2 && out->form != 4) || (out->bits > 56 && out->bits != 64) || out->shared_size > IDX_LONGEST_KEY)
        return IDX_MALFORMED;
    const uint64_t table = out->form ? (uint64_t)out->form * (out->n + 1) : 0;
    const uint64_t suffixes = out->form ? out->suffix : (uint64_t)out->suffix * out->n, rows = ((uint64_t)out->bits * out->n + 7) / 8;
    if (BLOCK_HEADER + out->shared_size + table + suffixes + rows + PAD != room) return IDX_MALFORMED;
    if (out->form == 0 && out->suffix > IDX_LONGEST_KEY - out->shared_size) return IDX_MALFORMED;
    out->shared = p + BLOCK_HEADER, out->table = out->shared + out->shared_size;
    out->suffixes = out->table + table, out->rows = out->suffixes + suffixes;
    return 0;
}

/* Suffix i; one whose offsets do not fit is empty: with the shared part it is no longer than a key may be. */
static inline const uint8_t *suffix_at(const block *b, uint32_t i, uint32_t *size) {
    uint32_t from, to;
    if (b->form == 0) {
        *size = b->suffix;
        return b->suffixes + (size_t)i * b->suffix;
    }
    if (b->form == 2) {
        const uint32_t both = idx_load32(b->table + 2 * i);
        from = both & 65535, to = both >> 16;
    } else {
        from = idx_load32(b->table + 4 * i), to = idx_load32(b->table + 4 * i + 4);
    }
    if (from > to || to > b->suffix || to - from > IDX_LONGEST_KEY - b->shared_size) from = to = 0;
    *size = to - from;
    return b->suffixes + from;
}

static inline uint64_t row_at(const block *b, uint32_t i) {
    if (b->bits == 64) return b->least + idx_load64(b->rows + 8 * (size_t)i);
    const uint32_t bit = i * b->bits; /* 8 bytes from there are within the block and its padding */
    return b->least + (idx_load64(b->rows + bit / 8) >> bit % 8 & ((UINT64_C(1) << b->bits) - 1));
}

/* Key i of the block against the given one whose shared part is equal. */
static inline int order_of(const block *b, uint32_t i, const uint8_t *rest, size_t n) {
    uint32_t size;
    const uint8_t *suffix = suffix_at(b, i, &size);
    const size_t least = size < n ? size : n;
    const int c = least ? memcmp(suffix, rest, least) : 0;
    return c ? c : (size > n) - (size < n);
}

/* Suffix i of 1 to 8 bytes as a number in their order: 8 bytes from any suffix are within the block and its padding. */
static inline uint64_t short_at(const block *b, uint32_t i) {
    return idx_big64(b->suffixes + (size_t)i * b->suffix) >> (64 - 8 * b->suffix);
}

static inline int is_short(const block *b) { return b->form == 0 && b->suffix - 1 < 8; }

/* The first suffix of 1 to 8 bytes that is >= (after: >) the rest of the key, compared as numbers. */
static uint32_t place_short(const block *b, const uint8_t *rest, size_t n, int after) {
    const uint32_t width = b->suffix, shift = 64 - 8 * width;
    uint64_t least = idx_prefix64(rest, n < width ? n : width) >> shift;
    if (n > width || (after && n == width)) { /* equal ones are before the place */
        if (least == UINT64_MAX >> shift) return b->n;
        least++;
    }
    uint32_t from = 0;
    for (uint32_t left = b->n; left > 1; left -= left / 2) from += short_at(b, from + left / 2 - 1) < least ? left / 2 : 0;
    return from + (short_at(b, from) < least);
}

/* The first entry with a key >= (after: >) the given one, whose shared part is equal. */
static uint32_t place_rest(const block *b, const uint8_t *rest, size_t n, int after) {
    if (is_short(b)) return place_short(b, rest, n, after);
    uint32_t from = 0, to = b->n;
    while (from < to) {
        const uint32_t mid = (from + to) / 2;
        if (order_of(b, mid, rest, n) < after)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

/* The first n bytes of the key against those of the block's shared part. */
static inline int against_shared(const block *b, const uint8_t *key, size_t n) {
    if (n > 8) return memcmp(b->shared, key, n);
    const uint64_t ours = idx_prefix64(b->shared, n), theirs = idx_prefix64(key, n);
    return (ours > theirs) - (ours < theirs);
}

/* The first entry of the block with a key >= (after: >) the given one. */
static uint32_t place_in(const block *b, const uint8_t *key, size_t n, int after) {
    const int c = against_shared(b, key, n < b->shared_size ? n : b->shared_size);
    if (c || n < b->shared_size) return c < 0 ? b->n : 0; /* a key that ends within the shared part is before all */
    return place_rest(b, key + b->shared_size, n - b->shared_size, after);
}

/* x when it holds, else 0; never a branch, which for searches would be guessed wrong half of the time. */
static inline uint64_t when(int holds, uint64_t x) { return x & (0 - (uint64_t)holds); }

/* First block with rank >= r. */
static uint64_t block_of_rank(const idx_ordered *v, uint64_t r) {
    uint64_t base = 0;
    for (uint64_t left = v->blocks; left > 1; left -= left / 2) base += rank_at(v, base + left / 2 - 1) < r ? left / 2 : 0;
    return base + (v->blocks && rank_at(v, base) < r);
}

/* The place, given the first block with rank >= the key's: the entry is in the block before it, or among the blocks of equal rank. */
static int place_from(const idx_ordered *v, uint64_t at, uint64_t rank, const uint8_t *key, size_t n, int after, uint64_t *place) {
    block b;
    uint64_t from = at, to = at;
    for (uint64_t step = 1; to < v->blocks && rank_at(v, to) == rank; step *= 2) to = v->blocks - to > step ? to + step : v->blocks;
    while (from < to) { /* the first block whose first key is not before the place */
        const uint64_t mid = from + (to - from) / 2;
        if (enter(v, mid, &b)) return IDX_MALFORMED;
        if (rank_at(v, mid) == rank && place_in(&b, key, n, after) > 0)
            from = mid + 1;
        else
            to = mid;
    }
    if (from == 0) {
        *place = 0;
        return 0;
    }
    if (enter(v, from - 1, &b)) return IDX_MALFORMED;
    *place = (from - 1) * BLOCK + place_in(&b, key, n, after);
    return 0;
}

int idx_ordered_place(const idx_ordered *v, const uint8_t *key, size_t n, int after, uint64_t *place) {
    const uint64_t rank = key_rank(key, n, 0);
    return place_from(v, block_of_rank(v, rank), rank, key, n, after, place);
}

/* The row ids at the places from..to - 1. */
static int rows_between(const idx_ordered *v, uint64_t from, uint64_t to, uint64_t *out) {
    while (from < to) {
        block b;
        if (enter(v, from / BLOCK, &b)) return IDX_MALFORMED;
        uint32_t i = from % BLOCK;
        for (; i < b.n && from < to; i++, from++) *out++ = row_at(&b, i);
    }
    return 0;
}

int64_t idx_ordered_range(const idx_ordered *v, const uint8_t *low, size_t low_n, int after_low, const uint8_t *high, size_t high_n,
                          int with_high, uint64_t *out, size_t room) {
    uint64_t from = 0, to = v->n;
    int failed = low ? idx_ordered_place(v, low, low_n, after_low, &from) : 0;
    if (!failed && high) failed = idx_ordered_place(v, high, high_n, with_high, &to);
    if (failed || to <= from) return failed;
    if (to - from <= room) failed = rows_between(v, from, to, out);
    return failed ? failed : (int64_t)(to - from);
}

/* Fetch a block into the cache. */
static inline void ask_for(const idx_ordered *v, uint64_t b) {
    const uint64_t from = idx_load64(v->offsets + 8 * b), size = idx_load64(v->offsets + 8 * b + 8) - from;
    for (uint64_t line = 0; line < size && line < 1024; line += 64) __builtin_prefetch(v->bytes + from + line);
}

/* The key's rows when they begin and end within block b, as nearly all do: how many; 0: look everywhere. */
static uint32_t lookup_in(const block *b, const uint8_t *key, size_t n, uint64_t *out, size_t room) {
    if (n < b->shared_size || against_shared(b, key, b->shared_size) != 0) return 0;
    const uint8_t *rest = key + b->shared_size;
    const size_t size = n - b->shared_size;
    const uint32_t from = place_rest(b, rest, size, 0);
    uint32_t to = from;
    if (is_short(b)) {
        const uint64_t wanted = idx_prefix64(rest, size) >> (64 - 8 * b->suffix);
        while (to < b->n && size == b->suffix && short_at(b, to) == wanted) to++;
    } else {
        while (to < b->n && order_of(b, to, rest, size) == 0) to++;
    }
    if (to == b->n || to - from > room) return 0;
    for (uint32_t i = from; i < to; i++) out[i - from] = row_at(b, i);
    return to - from;
}

/* The key's rows as far as there is room: how many. `at`: the first block with rank >= the key's. */
static int64_t lookup(const idx_ordered *v, uint64_t at, uint64_t rank, const uint8_t *key, size_t n, uint64_t *out, size_t room) {
    if (at > 0 && (at == v->blocks || rank_at(v, at) != rank)) {
        block b;
        if (enter(v, at - 1, &b)) return IDX_MALFORMED;
        const uint32_t found = lookup_in(&b, key, n, out, room);
        if (found) return found;
    }
    uint64_t from, to;
    int failed = place_from(v, at, rank, key, n, 0, &from);
    if (!failed) failed = place_from(v, at, rank, key, n, 1, &to);
    if (failed || to <= from) return failed;
    if (to - from <= room) failed = rows_between(v, from, to, out);
    return failed ? failed : (int64_t)(to - from);
}

int64_t idx_ordered_lookup(const idx_ordered *v, const uint8_t *key, size_t n, uint64_t *out, size_t room) {
    const uint64_t rank = key_rank(key, n, 0);
    return lookup(v, block_of_rank(v, rank), rank, key, n, out, room);
}

int64_t idx_ordered_first(const idx_ordered *v, const uint8_t *key, size_t n) {
    uint64_t row = 0;
    const int64_t found = idx_ordered_lookup(v, key, n, &row, 1);
    return found < 0 ? found : found == 0 ? IDX_NO_ROW : found > 1 || row >> 63 ? IDX_LOOK_ON : (int64_t)row;
}

int idx_ordered_lookup_many(const idx_ordered *v, const uint8_t *bytes, const uint64_t *offsets, size_t m, uint64_t *counts, uint64_t *out,
                            size_t room, uint64_t *total) {
    uint64_t rank[TOGETHER], base[TOGETHER];
    *total = 0;
    for (size_t i = 0; i < m; i += TOGETHER) {
        const size_t k = m - i < TOGETHER ? m - i : TOGETHER;
        for (size_t j = 0; j < k; j++) {
            rank[j] = key_rank(bytes + offsets[i + j], offsets[i + j + 1] - offsets[i + j], 0);
            base[j] = 0;
        }
        for (uint64_t left = v->blocks; left > 1; left -= left / 2) /* step by step together: the misses overlap */
            for (size_t j = 0; j < k; j++) base[j] += when(rank_at(v, base[j] + left / 2 - 1) < rank[j], left / 2);
        for (size_t j = 0; j < k; j++) {
            base[j] += v->blocks && rank_at(v, base[j]) < rank[j];
            if (base[j]) ask_for(v, base[j] - 1);
        }
        for (size_t j = 0; j < k; j++) {
            const size_t n = offsets[i + j + 1] - offsets[i + j];
            const int64_t got = lookup(v, base[j], rank[j], bytes + offsets[i + j], n, *total < room ? out + *total : out,
                                       *total < room ? room - *total : 0);
            if (got < 0) return (int)got;
            counts[i + j] = (uint64_t)got;
            *total += (uint64_t)got;
        }
    }
    return 0;
}

idx_ordered *idx_ordered_open(const uint8_t *bytes, size_t size, int *error) {
    *error = IDX_MALFORMED;
    if (size < HEADER || idx_load32(bytes) != MAGIC || idx_load32(bytes + 4) != VERSION) return NULL;
    const uint64_t n = idx_load64(bytes + 8), blocks = idx_load64(bytes + 16), body = idx_load64(bytes + 24);
    if (blocks > size / 16 || body > size || n > blocks * BLOCK || n + BLOCK <= blocks * BLOCK) return NULL;
    if (HEADER + body + 16 * blocks + 8 != size) return NULL;
    for (int i = 40; i < HEADER; i++)
        if (bytes[i]) return NULL;
    const idx_ordered view = {.bytes = bytes + HEADER, .ranks = bytes + HEADER + body, .n = n, .blocks = blocks, .size = size};
    const uint8_t *offsets = view.ranks + 8 * blocks;
    uint64_t before = 0;
    for (uint64_t i = 0; i <= blocks; i++) {
        const uint64_t at = idx_load64(offsets + 8 * i);
        if (at < before || at > body) return NULL;
        before = at;
    }
    if (idx_load64(offsets) != 0 || before != body) return NULL;
    idx_ordered *v = malloc(sizeof *v);
    *error = v ? 0 : IDX_MEMORY;
    if (v) *v = view, v->offsets = offsets;
    return v;
}

void idx_ordered_free(idx_ordered *v) { free(v); }

uint64_t idx_ordered_count(const idx_ordered *v) { return v->n; }

/* --- cursor --- */

typedef struct {
    idx_cursor base;
    const idx_ordered *view;
    uint64_t from, to; /* what is left */
    int backward;
    uint64_t block_at; /* the block that is entered, plus 1 */
    block b;
    uint8_t key[IDX_LONGEST_KEY];
} ordered_cursor;

static int cursor_next(idx_cursor *cursor, entry *out) {
    ordered_cursor *c = (ordered_cursor *)cursor;
    if (c->from == c->to) return 0;
    const uint64_t place = c->backward ? --c->to : c->from++;
    if (c->block_at != place / BLOCK + 1) {
        if (enter(c->view, place / BLOCK, &c->b)) return IDX_MALFORMED;
        c->block_at = place / BLOCK + 1;
        memcpy(c->key, c->b.shared, c->b.shared_size);
    }
    uint32_t size;
    const uint8_t *suffix = suffix_at(&c->b, place % BLOCK, &size);
    memcpy(c->key + c->b.shared_size, suffix, size);
    out->key = c->key, out->size = c->b.shared_size + size;
    out->row = row_at(&c->b, place % BLOCK), out->rank = key_rank(out->key, out->size, 0);
    return 1;
}

static void cursor_close(idx_cursor *cursor) { free(cursor); }

idx_cursor *idx_ordered_cursor(const idx_ordered *v, uint64_t from, uint64_t to, int backward) {
    ordered_cursor *c = malloc(sizeof *c);
    if (!c) return NULL;
    c->base = (idx_cursor){.next = cursor_next, .close = cursor_close};
    to = to < v->n ? to : v->n;
    c->view = v, c->from = from < to ? from : to, c->to = to, c->backward = backward, c->block_at = 0;
    return &c->base;
}

int idx_ordered_verify(const idx_ordered *v) {
    const uint8_t *start = v->bytes;
    if (idx_xxh3(start, v->size - HEADER) != idx_load64(start - HEADER + 32)) return IDX_MALFORMED;
    idx_cursor *c = idx_ordered_cursor(v, 0, v->n, 0);
    idx_buffer last = {0};
    entry before = {0}, e;
    int result = c ? 0 : IDX_MEMORY;
    for (uint64_t i = 0; !result && i < v->n; i++) {
        result = c->next(c, &e);
        if (result != 1) break;
        result = (i && entry_order(&before, &e) >= 0) || (i % BLOCK == 0 && rank_at(v, i / BLOCK) != e.rank) ? IDX_MALFORMED : 0;
        before = e, last.size = 0;
        if (!result && (buffer_put(&last, e.key, e.size) || !buffer_more(&last, 1))) result = IDX_MEMORY;
        before.key = last.data;
    }
    free(last.data);
    idx_cursor_free(c);
    return result;
}

/* --- writer --- */

typedef struct {
    idx_buffer *out, keys, ranks, offsets;
    uint32_t ends[BLOCK + 1]; /* of the waiting keys in `keys` */
    uint64_t rows[BLOCK];
    uint32_t n;
    uint64_t total, blocks;
} writer;

static uint32_t shared_by(const uint8_t *a, uint32_t na, const uint8_t *b, uint32_t nb) {
    uint32_t i = 0;
    while (i < na && i < nb && a[i] == b[i]) i++;
    return i;
}

static void put_rows(const writer *w, uint64_t least, uint32_t bits, uint8_t *p, size_t size) {
    memset(p, 0, size);
    for (uint32_t i = 0; i < w->n; i++) {
        const uint64_t v = w->rows[i] - least;
        const uint32_t bit = i * bits;
        if (bits == 64)
            idx_store64(p + 8 * (size_t)i, v);
        else
            idx_store64(p + bit / 8, idx_load64(p + bit / 8) | v << bit % 8);
    }
}

/* The waiting entries become a block. */
static int put_block(writer *w) {
    const uint32_t n = w->n;
    const uint8_t *keys = w->keys.data;
    const uint32_t shared =
        shared_by(keys, w->ends[1], keys + w->ends[n - 1], w->ends[n] - w->ends[n - 1]); /* sorted: all between share it */
    uint64_t least = w->rows[0], most = w->rows[0];
    int fixed = 1;
    for (uint32_t i = 0; i < n; i++) {
        least = w->rows[i] < least ? w->rows[i] : least;
        most = w->rows[i] > most ? w->rows[i] : most;
        fixed &= w->ends[i + 1] - w->ends[i] == w->ends[1];
    }
    uint32_t bits = most == least ? 0 : 64 - (uint32_t)__builtin_clzll(most - least);
    bits = bits > 56 ? 64 : bits;
    const uint32_t all = w->ends[n] - n * shared, suffix = fixed ? w->ends[1] - shared : all, form = fixed ? 0 : all < 65536 ? 2 : 4;
    const uint64_t at = w->out->size - HEADER, rank = key_rank(keys, w->ends[1], 0);
    if (buffer_put64(&w->ranks, rank) || buffer_put64(&w->offsets, at)) return IDX_MEMORY;
    const size_t rows = ((size_t)bits * n + 7) / 8 + PAD;
    uint8_t *p = buffer_more(w->out, BLOCK_HEADER + shared + (form ? (size_t)form * (n + 1) : 0) + all + rows);
    if (!p) return IDX_MEMORY;
    idx_store64(p, shared | (uint64_t)suffix << 32);
    p[8] = (uint8_t)form, p[9] = (uint8_t)bits, p[10] = p[11] = 0;
    idx_store64(p + 12, least);
    memcpy(p + BLOCK_HEADER, keys, shared);
    uint8_t *table = p + BLOCK_HEADER + shared, *to = table + (form ? (size_t)form * (n + 1) : 0);
    for (uint32_t i = 0;; i++) {
        const uint32_t offset = w->ends[i] - i * shared;
        for (uint32_t k = 0; k < form; k++) table[form * i + k] = (uint8_t)(offset >> 8 * k);
        if (i == n) break;
        const uint32_t size = w->ends[i + 1] - w->ends[i] - shared;
        if (size) memcpy(to, keys + w->ends[i] + shared, size);
        to += size;
    }
    put_rows(w, least, bits, to, rows);
    w->n = 0, w->keys.size = 0, w->total += n, w->blocks++;
    return 0;
}

static int put_entries(writer *w, idx_cursor *cursor) {
    entry e;
    for (int got; (got = cursor->next(cursor, &e)) != 0;) {
        if (got < 0) return got;
        if (w->n && w->rows[w->n - 1] == e.row && w->ends[w->n] - w->ends[w->n - 1] == e.size &&
            memcmp(w->keys.data + w->ends[w->n - 1], e.key, e.size) == 0)
            continue; /* given twice */
        if (w->n == BLOCK && put_block(w)) return IDX_MEMORY;
        w->ends[0] = 0;
        if (buffer_put(&w->keys, e.key, e.size) || !buffer_more(&w->keys, 1)) return IDX_MEMORY;
        w->keys.size--; /* there are bytes even when all keys are empty */
        w->ends[w->n + 1] = (uint32_t)w->keys.size, w->rows[w->n++] = e.row;
    }
    return w->n ? put_block(w) : 0;
}

idx_buffer *idx_ordered_write(idx_cursor *cursor, int *error) {
    writer w = {.out = calloc(1, sizeof *w.out)};
    *error = w.out && buffer_more(w.out, HEADER) ? put_entries(&w, cursor) : IDX_MEMORY;
    const uint64_t body = *error ? 0 : w.out->size - HEADER;
    uint8_t *tail = *error ? NULL : buffer_more(w.out, w.ranks.size + w.offsets.size + 8);
    if (!tail) {
        *error = *error ? *error : IDX_MEMORY;
    } else {
        if (w.blocks) {
            memcpy(tail, w.ranks.data, w.ranks.size);
            memcpy(tail + w.ranks.size, w.offsets.data, w.offsets.size);
        }
        idx_store64(tail + w.ranks.size + w.offsets.size, body);
        uint8_t *p = w.out->data;
        memset(p, 0, HEADER);
        idx_store64(p, MAGIC | (uint64_t)VERSION << 32);
        idx_store64(p + 8, w.total), idx_store64(p + 16, w.blocks), idx_store64(p + 24, body);
        idx_store64(p + 32, idx_xxh3(p + HEADER, w.out->size - HEADER));
    }
    free(w.keys.data);
    free(w.ranks.data);
    free(w.offsets.data);
    if (*error) {
        idx_buffer_free(w.out);
        return NULL;
    }
    return w.out;
}
