#include "indexes/csrc/bitslice.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include <stdlib.h>

enum { MAGIC = 0x53425849, VERSION = 1, HEADER = 64, PART = 12, SLACK = 8, PACKED = 0, SLICED = 1 };

typedef struct {
    idx_buffer table, bodies;
    uint64_t n, chunks;
    word *words; /* (MOST_SLICES + 1) * WORDS: the rows that are there, the digits */
} writer;

static int put_packed(writer *w, const low *lows, const uint64_t *values, uint32_t n, uint64_t least, uint32_t bits) {
    const size_t bytes = ((size_t)bits * n + 7) / 8;
    uint8_t *p = buffer_more(&w->bodies, 2 * (size_t)n + bytes + SLACK);
    if (!p) return IDX_MEMORY;
    memcpy(p, lows, 2 * (size_t)n);
    p += 2 * (size_t)n;
    memset(p, 0, bytes + SLACK);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t v = values[i] - least;
        const uint32_t bit = i * bits;
        if (bits == 64)
            idx_store64(p + 8 * (size_t)i, v);
        else
            idx_store64(p + bit / 8, idx_load64(p + bit / 8) | v << bit % 8);
    }
    w->bodies.size -= SLACK;
    return 0;
}

static size_t stored_bytes(int type, uint32_t card, uint32_t runs) {
    return type == ARRAY ? 2 * (size_t)card : type == RUN ? 4 * (size_t)runs : (size_t)WORDS_BYTES;
}

/* The digits as words; the bytes that their containers take. */
static size_t slice(writer *w, const low *lows, const uint64_t *values, uint32_t n, uint64_t least, uint32_t bits) {
    size_t total = PART * (size_t)(bits + 1);
    memset(w->words, 0, (bits + 1) * (size_t)WORDS_BYTES);
    words_apply_list(SET_OR, w->words, lows, n);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t bit = UINT64_C(1) << (lows[i] & 63);
        for (uint64_t v = values[i] - least; v; v &= v - 1) w->words[(size_t)(1 + __builtin_ctzll(v)) * WORDS + (lows[i] >> 6)] |= bit;
    }
    for (uint32_t i = 0; i <= bits; i++) {
        uint32_t runs;
        const container c = {.data = w->words + (size_t)i * WORDS, .card = words_count(w->words + (size_t)i * WORDS), .type = BITMAP};
        const int type = c.card ? container_stored_type(&c, &runs) : 0;
        if (type) total += stored_bytes(type, c.card, runs);
    }
    return total;
}

static int put_slices(writer *w, uint32_t bits) {
    const size_t start = w->bodies.size;
    if (!buffer_more(&w->bodies, PART * (size_t)(bits + 1))) return IDX_MEMORY;
    for (uint32_t i = 0; i <= bits; i++) {
        const container c = {.data = w->words + (size_t)i * WORDS, .card = words_count(w->words + (size_t)i * WORDS), .type = BITMAP};
        uint32_t runs = 0;
        const int type = c.card ? container_stored_type(&c, &runs) : 0;
        if (type != RUN) runs = 0;
        const uint64_t at = c.card ? w->bodies.size - start : 0;
        uint8_t *p = w->bodies.data + start + PART * i;
        p[0] = (uint8_t)type, p[1] = 0, p[2] = (uint8_t)runs, p[3] = (uint8_t)(runs >> 8);
        idx_store64(p + 4, c.card | at << 32);
        if (!c.card) continue;
        const size_t size = stored_bytes(type, c.card, runs), count = type == RUN ? 2 : 0; /* the number of runs, which the part has */
        uint8_t *to = buffer_more(&w->bodies, size + count);
        if (!to) return IDX_MEMORY;
        container_store(&c, type, runs, to);
        memmove(to, to + count, size);
        w->bodies.size -= count;
    }
    return 0;
}

/* A chunk of n rows, ascending. Digits are taken as long as they need no more than twice the bytes of packed values: they answer quicker. */
static int put_chunk(writer *w, uint64_t key, const low *lows, const uint64_t *values, uint32_t n) {
    uint64_t least = values[0], most = values[0];
    for (uint32_t i = 1; i < n; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    uint32_t bits = most > least ? 64 - (uint32_t)__builtin_clzll(most - least) : 0;
    const uint32_t packed_bits = bits > 56 ? 64 : bits;
    const size_t packed = 2 * (size_t)n + ((size_t)packed_bits * n + 7) / 8, at = w->bodies.size;
    const int sliced = slice(w, lows, values, n, least, bits) <= 2 * packed;
    if (!sliced) bits = packed_bits;
    uint8_t *p = buffer_more(&w->table, 40);
    if (!p) return IDX_MEMORY;
    idx_store64(p, key), idx_store64(p + 8, at), idx_store64(p + 16, least), idx_store64(p + 24, most);
    idx_store64(p + 32, n | (uint64_t)(sliced ? SLICED : PACKED) << 32 | (uint64_t)bits << 40);
    w->n += n, w->chunks++;
    return sliced ? put_slices(w, bits) : put_packed(w, lows, values, n, least, bits);
}

static idx_buffer *finish(writer *w, int kind, int *error) {
    idx_buffer *out = *error ? NULL : calloc(1, sizeof *out);
    uint8_t *p = out ? buffer_more(out, HEADER + w->table.size + w->bodies.size + 8) : NULL;
    if (!p) {
        *error = *error ? *error : IDX_MEMORY;
        idx_buffer_free(out);
        out = NULL;
    } else {
        if (w->n) {
            memcpy(p + HEADER, w->table.data, w->table.size);
            memcpy(p + HEADER + w->table.size, w->bodies.data, w->bodies.size);
        }
        idx_store64(p + HEADER + w->table.size + w->bodies.size, (uint64_t)kind);
        memset(p, 0, HEADER);
        idx_store64(p, MAGIC | (uint64_t)VERSION << 32);
        idx_store64(p + 8, w->n), idx_store64(p + 16, w->chunks), idx_store64(p + 24, w->bodies.size);
        idx_store64(p + 32, idx_xxh3(p + HEADER, out->size - HEADER));
    }
    free(w->table.data);
    free(w->bodies.data);
    free(w->words);
    return out;
}

static writer writer_new(int *error) {
    writer w = {.words = malloc((MOST_SLICES + 1) * (size_t)WORDS_BYTES)};
    *error = w.words ? 0 : IDX_MEMORY;
    return w;
}

/* Places in the order of rows; NULL: out of memory. */
static size_t *sorted_places(const uint64_t *rows, size_t n) {
    size_t *from = malloc((n ? n : 1) * sizeof *from), *to = malloc((n ? n : 1) * sizeof *to);
    uint64_t differ = 0;
    int sorted = 1;
    for (size_t i = 0; from && i < n; i++) {
        from[i] = i, differ |= rows[i] ^ rows[0];
        sorted &= i == 0 || rows[i - 1] <= rows[i];
    }
    for (int shift = 0; from && to && !sorted && shift < 64; shift += 8) {
        if (!(differ >> shift & 255)) continue;
        size_t starts[257] = {0};
        for (size_t i = 0; i < n; i++) starts[(rows[i] >> shift & 255) + 1]++;
        for (int b = 1; b < 256; b++) starts[b] += starts[b - 1];
        for (size_t i = 0; i < n; i++) to[starts[rows[from[i]] >> shift & 255]++] = from[i];
        size_t *swap = from;
        from = to, to = swap;
    }
    if (!to) free(from), from = NULL;
    free(to);
    return from;
}

idx_buffer *idx_slices_write(const uint64_t *rows, const uint64_t *values, size_t n, int kind, int *error, uint64_t *which) {
    writer w = writer_new(error);
    low *lows = malloc(SPAN * sizeof *lows);
    uint64_t *part = malloc(SPAN * sizeof *part);
    size_t *order = sorted_places(rows, n);
    if (!lows || !part || !order) *error = IDX_MEMORY;
    for (size_t i = 0; !*error && i < n;) {
        const uint64_t key = rows[order[i]] >> 16;
        uint32_t m = 0;
        for (; i < n && rows[order[i]] >> 16 == key; i++) {
            if (i && rows[order[i]] == rows[order[i - 1]]) {
                *error = IDX_TWICE, *which = rows[order[i]];
                break;
            }
            lows[m] = (uint16_t)rows[order[i]], part[m++] = values[order[i]];
        }
        if (!*error) *error = put_chunk(&w, key, lows, part, m);
    }
    free(lows);
    free(part);
    free(order);
    return finish(&w, kind, error);
}

typedef struct {
    slices_words w;
    low lows[SPAN];
    uint64_t values[SPAN];
    uint64_t merged[SPAN]; /* by low */
    word there[WORDS];
} merge_room;

/* Lay the chunk's visible rows beside those that are there. */
static void lay(merge_room *r, const slices_chunk *c, const container *hide) {
    slices_decode(c, &r->w, r->lows, r->values);
    for (uint32_t i = 0; i < c->count; i++) {
        const uint16_t x = r->lows[i];
        if (words_has(r->there, x) || (hide && container_has(hide, x))) continue;
        r->there[x >> 6] |= UINT64_C(1) << (x & 63);
        r->merged[x] = r->values[i];
    }
}

static const container *hidden_at(const idx_rowset *hide, uint64_t key) {
    if (!hide) return NULL;
    const size_t i = rowset_seek(hide, 0, key);
    return i < hide->n && hide->keys[i] == key ? &hide->slots[i] : NULL;
}

static int merge_into(writer *w, idx_slices *const *views, const idx_rowset *const *hide, size_t n, uint64_t *at, merge_room *r) {
    slices_chunk c;
    for (;;) {
        uint64_t key = UINT64_MAX;
        for (size_t i = 0; i < n; i++) {
            if (at[i] == slices_chunks(views[i])) continue;
            slices_chunk_at(views[i], at[i], &c);
            key = c.key < key ? c.key : key;
        }
        if (key == UINT64_MAX) return 0;
        memset(r->there, 0, WORDS_BYTES);
        for (size_t i = 0; i < n; i++) {
            if (at[i] == slices_chunks(views[i])) continue;
            slices_chunk_at(views[i], at[i], &c);
            if (c.key != key) continue;
            lay(r, &c, hidden_at(hide[i], key));
            at[i]++;
        }
        const uint32_t m = words_list(r->there, r->lows);
        for (uint32_t i = 0; i < m; i++) r->values[i] = r->merged[r->lows[i]];
        if (m && put_chunk(w, key, r->lows, r->values, m)) return IDX_MEMORY;
    }
}

idx_buffer *idx_slices_merge(idx_slices *const *views, const idx_rowset *const *hide, size_t n, int kind, int *error) {
    writer w = writer_new(error);
    uint64_t *at = calloc(n + 1, sizeof *at);
    merge_room *r = malloc(sizeof *r);
    if (r) r->w.room = malloc((MOST_SLICES + 1) * (size_t)WORDS_BYTES);
    if (!at || !r || !r->w.room) *error = IDX_MEMORY;
    if (!*error) *error = merge_into(&w, views, hide, n, at, r);
    if (r) free(r->w.room);
    free(r);
    free(at);
    return finish(&w, kind, error);
}
