#include "indexes/csrc/bytes.h"
#include "indexes/csrc/rowset.h"
#include <stdlib.h>

enum { COOKIE_PLAIN = 12346, COOKIE_RUNS = 12347, OFFSETS_FROM = 4 };
enum { GOOD, NO_MEMORY, MALFORMED };

int container_stored_type(const container *c, uint32_t *runs) {
    *runs = container_runs(c);
    const uint32_t plain = c->card <= MOST_ARRAY ? 2 + 2 * c->card : (uint32_t)WORDS_BYTES; /* the specification counts 2 more for a list */
    if (2 + 4 * *runs < plain || (c->type == RUN && 2 + 4 * *runs == plain)) return RUN;
    return c->card <= MOST_ARRAY ? ARRAY : BITMAP;
}

static size_t stored_bytes(int type, uint32_t card, uint32_t runs) {
    return type == ARRAY ? 2 * (size_t)card : type == RUN ? 2 + 4 * (size_t)runs : (size_t)WORDS_BYTES;
}

/* One past the containers of the set32 that begins at container i. */
static size_t end_of_part(const idx_rowset *set, size_t i) {
    const uint64_t high = set->keys[i] >> 16;
    while (i < set->n && set->keys[i] >> 16 == high) i++;
    return i;
}

static size_t header_bytes(size_t n, int has_runs) {
    const size_t offsets = !has_runs || n >= OFFSETS_FROM ? 4 * n : 0;
    return (has_runs ? 4 + (n + 7) / 8 : 8) + 4 * n + offsets;
}

size_t idx_rowset_stored_size(const idx_rowset *set) {
    size_t size = 8;
    for (size_t i = 0; i < set->n;) {
        const size_t end = end_of_part(set, i), n = end - i;
        int has_runs = 0;
        for (; i < end; i++) {
            uint32_t runs;
            const int type = container_stored_type(&set->slots[i], &runs);
            has_runs |= type == RUN;
            size += stored_bytes(type, set->slots[i].card, runs);
        }
        size += 4 + header_bytes(n, has_runs);
    }
    return size;
}

static void store16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8); }

static void store32(uint8_t *p, uint32_t v) { store16(p, v), store16(p + 2, v >> 16); }

/* Container c in the chosen form at out. */
void container_store(const container *c, int type, uint32_t runs, uint8_t *out) {
    if (type == RUN) store16(out, runs), out += 2;
    if (c->type == type) {
        memcpy(out, c->data, type == RUN ? 4 * (size_t)runs : stored_bytes(type, c->card, runs));
    } else if (type == ARRAY && c->type == BITMAP) {
        words_list(c->data, (low *)out);
    } else if (type == BITMAP) {
        container_words(c, (word *)out);
    } else if (type == ARRAY) { /* of runs */
        for (uint32_t r = 0; r < c->runs; r++)
            for (uint32_t x = run_first(c, r); x <= run_last(c, r); x++, out += 2) store16(out, x);
    } else { /* runs of a list or a bitmap */
        low *pair = (low *)out;
        for (uint32_t i = 0, at = 0, last = 0; i < c->card; i++, last = at) {
            if (c->type == ARRAY)
                at = ((const low *)c->data)[i];
            else
                for (at = i ? at + 1 : 0; !words_has(c->data, at);) at++;
            if (i && at == last + 1) {
                pair[-1]++;
            } else {
                pair[0] = (uint16_t)at, pair[1] = 0;
                pair += 2;
            }
        }
    }
}

static uint8_t *store_part(const idx_rowset *set, size_t from, size_t end, uint8_t *out) {
    const size_t n = end - from;
    uint8_t *const start = out;
    int has_runs = 0;
    uint32_t runs;
    for (size_t i = from; i < end && !has_runs; i++) has_runs = container_stored_type(&set->slots[i], &runs) == RUN;
    uint8_t *flags = start + 4, *pairs = flags + (has_runs ? (n + 7) / 8 : 4), *offsets = pairs + 4 * n;
    uint8_t *body = start + header_bytes(n, has_runs);
    if (has_runs) {
        store32(start, COOKIE_RUNS | (uint32_t)(n - 1) << 16);
        memset(flags, 0, (n + 7) / 8);
    } else {
        store32(start, COOKIE_PLAIN), store32(start + 4, (uint32_t)n);
    }
    for (size_t i = 0; i < n; i++) {
        const container *c = &set->slots[from + i];
        const int type = container_stored_type(c, &runs);
        if (type == RUN) flags[i / 8] |= (uint8_t)(1u << i % 8);
        store16(pairs + 4 * i, (uint32_t)(set->keys[from + i] & 65535)), store16(pairs + 4 * i + 2, c->card - 1);
        if (!has_runs || n >= OFFSETS_FROM) store32(offsets + 4 * i, (uint32_t)(body - start));
        container_store(c, type, runs, body);
        body += stored_bytes(type, c->card, runs);
    }
    return body;
}

void idx_rowset_store(const idx_rowset *set, uint8_t *out) {
    uint64_t parts = 0;
    uint8_t *at = out + 8;
    for (size_t i = 0; i < set->n; parts++) {
        const size_t end = end_of_part(set, i);
        store32(at, (uint32_t)(set->keys[i] >> 16));
        at = store_part(set, i, end, at + 4);
        i = end;
    }
    idx_store64(out, parts);
}

/* A container with this many rows at `left` bytes of p: its bytes in *used. */
static int read_container(const uint8_t *p, size_t left, int is_run, int trusted, container *c, size_t *used) {
    c->type = is_run ? RUN : c->card <= MOST_ARRAY ? ARRAY : BITMAP;
    c->data = p;
    if (is_run) {
        if (left < 2) return MALFORMED;
        c->runs = (uint16_t)(p[0] | p[1] << 8);
        c->data = p + 2;
    }
    *used = stored_bytes(c->type, c->card, c->runs);
    if (left < *used) return MALFORMED;
    if (trusted) return GOOD;
    return container_sound(c) ? GOOD : MALFORMED;
}

/* The set32 at p; *used: its bytes, or where it is malformed. */
static int read_part(idx_rowset *set, uint64_t high, const uint8_t *p, size_t size, int trusted, size_t *used) {
    *used = 0;
    if (size < 8) return MALFORMED;
    const uint32_t cookie = idx_load32(p);
    const int has_runs = (cookie & 65535) == COOKIE_RUNS;
    if (!has_runs && cookie != COOKIE_PLAIN) return MALFORMED;
    const size_t n = has_runs ? (cookie >> 16) + 1 : idx_load32(p + 4);
    if (n < 1 || n > SPAN || size < header_bytes(n, has_runs)) return MALFORMED;
    const uint8_t *flags = p + 4, *pairs = flags + (has_runs ? (n + 7) / 8 : 4), *offsets = pairs + 4 * n;
    const int has_offsets = !has_runs || n >= OFFSETS_FROM;
    size_t at = header_bytes(n, has_runs);
    int64_t before = -1;
    for (size_t i = 0; i < n; i++) {
        const uint32_t pair = idx_load32(pairs + 4 * i);
        container c = {.card = (pair >> 16) + 1};
        size_t bytes = 0;
        *used = at;
        if ((int64_t)(pair & 65535) <= before || (has_offsets && idx_load32(offsets + 4 * i) != at)) return MALFORMED;
        if (read_container(p + at, size - at, has_runs && flags[i / 8] >> i % 8 & 1, trusted, &c, &bytes)) return MALFORMED;
        before = pair & 65535;
        if (rowset_push(set, high << 16 | (pair & 65535), &c)) return NO_MEMORY;
        at += bytes;
    }
    *used = at;
    return GOOD;
}

idx_rowset *idx_rowset_open(const uint8_t *bytes, size_t size, int *error, size_t *at) { return rowset_open(bytes, size, 0, error, at); }

idx_rowset *rowset_open(const uint8_t *bytes, size_t size, int trusted, int *error, size_t *at) {
    *error = MALFORMED, *at = 0;
    if (size < 8) return NULL;
    const uint64_t parts = idx_load64(bytes);
    size_t offset = 8;
    int64_t before = -1;
    idx_rowset *set = rowset_new(0);
    *error = set ? GOOD : NO_MEMORY;
    for (uint64_t i = 0; i < parts && *error == GOOD; i++) {
        size_t used = 0;
        *at = offset;
        *error = size - offset < 4 || (int64_t)idx_load32(bytes + offset) <= before ? MALFORMED : GOOD;
        if (*error) break;
        before = idx_load32(bytes + offset);
        *error = read_part(set, (uint64_t)before, bytes + offset + 4, size - offset - 4, trusted, &used);
        offset += 4 + used;
        *at = offset;
    }
    if (*error == GOOD && offset != size) *error = MALFORMED, *at = offset;
    if (*error == GOOD) return set;
    idx_rowset_free(set);
    return NULL;
}
