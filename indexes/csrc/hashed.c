#include "indexes/csrc/hashed.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/varint.h"
#include <stdlib.h>

enum { MAGIC = 0x41485849, VERSION = 1, HEADER = 64, OFFSET = 5, SLACK = 3, PER_BUCKET = 4, MOST_BITS = 40, TOGETHER = 16 };

struct idx_hashed {
    const uint8_t *records, *directory;
    uint64_t entries, keys, body;
    size_t size;
    uint32_t bits;
};

static inline uint64_t offset_at(const uint8_t *directory, uint64_t b) {
    return idx_load64(directory + OFFSET * b) & ((UINT64_C(1) << 40) - 1);
}

static inline uint64_t bucket_of(uint32_t bits, uint64_t hash) { return bits ? hash >> (64 - bits) : 0; }

typedef struct {
    const uint8_t *key, *rows, *end;
    uint64_t size, count;
    uint8_t tag;
} record;

/* The record at p, and past it; NULL: malformed. */
static inline const uint8_t *read_record(const uint8_t *p, const uint8_t *end, record *r) {
    uint64_t list;
    if (p >= end) return NULL;
    r->tag = *p++;
    if (!(p = varint_get(p, end, &r->size)) || r->size > IDX_LONGEST_KEY || !(p = varint_get(p, end, &r->count)) || r->count == 0)
        return NULL;
    if (r->count > 1 && !(p = varint_get(p, end, &list))) return NULL;
    if (r->size > (uint64_t)(end - p)) return NULL;
    r->key = p, r->rows = p + r->size;
    if (r->count == 1) {
        uint64_t row;
        r->end = varint_get(r->rows, end, &row);
        return r->end;
    }
    if (list > (uint64_t)(end - r->rows) || r->count > list) return NULL; /* a row takes a byte at least */
    r->end = r->rows + list;
    return r->end;
}

static int read_rows(const record *r, uint64_t *out, uint64_t room) {
    const uint64_t n = r->count < room ? r->count : room;
    const uint8_t *p = r->rows;
    uint64_t row = 0;
    for (uint64_t i = 0; i < n;) {
        const uint64_t eight = n - i >= 8 && r->end - p >= 8 ? idx_load64(p) : UINT64_MAX;
        if (!(eight & UINT64_C(0x8080808080808080))) { /* steps of a byte each, as in a list of many rows */
            for (int k = 0; k < 8; k++) out[i + (uint64_t)k] = row += eight >> 8 * k & 0xFF;
            i += 8, p += 8;
            continue;
        }
        const uint32_t w = r->end - p < 4 ? 0x8080 : idx_load32(p), two = w >> 7 & 1;
        uint64_t step =
            (w & 0x7F) | (w >> 1 & 0x3F80 & (0 - two)); /* one or two bytes, as nearly all are, without a branch between these */
        if ((w & 0x8080) != 0x8080)
            p += 1 + two;
        else if (!(p = varint_get(p, r->end, &step)))
            return IDX_MALFORMED;
        out[i++] = row += step;
    }
    return 0;
}

static int find(const idx_hashed *v, uint64_t hash, const uint8_t *key, size_t n, record *r) {
    const uint64_t b = bucket_of(v->bits, hash);
    const uint8_t *p = v->records + offset_at(v->directory, b), *end = v->records + offset_at(v->directory, b + 1);
    while (p < end) {
        p = read_record(p, end, r);
        if (!p) return IDX_MALFORMED;
        if (r->tag == (uint8_t)hash && r->size == n && memcmp(r->key, key, n) == 0) return 1;
    }
    return 0;
}

int64_t idx_hashed_lookup(const idx_hashed *v, const uint8_t *key, size_t n, uint64_t *out, size_t room) {
    record r;
    int found = find(v, idx_xxh3(key, n), key, n, &r);
    if (found == 1) found = read_rows(&r, out, room) ? IDX_MALFORMED : 1;
    return found == 1 ? (int64_t)r.count : found;
}

int64_t idx_hashed_first(const idx_hashed *v, const uint8_t *key, size_t n) {
    uint64_t row = 0;
    const int64_t found = idx_hashed_lookup(v, key, n, &row, 1);
    return found < 0 ? found : found == 0 ? IDX_NO_ROW : found > 1 || row >> 63 ? IDX_LOOK_ON : (int64_t)row;
}

int idx_hashed_lookup_many(const idx_hashed *v, const uint8_t *bytes, const uint64_t *offsets, size_t m, uint64_t *counts, uint64_t *out,
                           size_t room, uint64_t *total) {
    uint64_t hash[TOGETHER];
    *total = 0;
    for (size_t i = 0; i < m; i += TOGETHER) {
        const size_t k = m - i < TOGETHER ? m - i : TOGETHER;
        for (size_t j = 0; j < k; j++) { /* the misses of a group overlap */
            hash[j] = idx_xxh3(bytes + offsets[i + j], offsets[i + j + 1] - offsets[i + j]);
            __builtin_prefetch(v->directory + OFFSET * bucket_of(v->bits, hash[j]));
        }
        for (size_t j = 0; j < k; j++) {
            const uint8_t *p = v->records + offset_at(v->directory, bucket_of(v->bits, hash[j]));
            __builtin_prefetch(p);
            __builtin_prefetch(p + 64);
        }
        for (size_t j = 0; j < k; j++) {
            record r;
            const int found = find(v, hash[j], bytes + offsets[i + j], offsets[i + j + 1] - offsets[i + j], &r);
            counts[i + j] = found == 1 ? r.count : 0;
            if (found < 0) return found;
            if (found && *total + r.count <= room && read_rows(&r, out + *total, r.count)) return IDX_MALFORMED;
            *total += counts[i + j];
        }
    }
    return 0;
}

idx_hashed *idx_hashed_open(const uint8_t *bytes, size_t size, int *error) {
    *error = IDX_MALFORMED;
    if (size < HEADER || idx_load32(bytes) != MAGIC || idx_load32(bytes + 4) != VERSION) return NULL;
    idx_hashed view = {.records = bytes + HEADER,
                       .entries = idx_load64(bytes + 8),
                       .keys = idx_load64(bytes + 16),
                       .body = idx_load64(bytes + 24),
                       .size = size,
                       .bits = bytes[40]};
    for (int i = 41; i < HEADER; i++)
        if (bytes[i]) return NULL;
    if (view.bits > MOST_BITS || view.body > size || view.keys > view.body || view.entries > view.body || view.entries < view.keys)
        return NULL;
    const uint64_t buckets = UINT64_C(1) << view.bits;
    if (HEADER + view.body + OFFSET * (buckets + 1) + SLACK != size) return NULL;
    view.directory = view.records + view.body;
    uint64_t before = 0;
    for (uint64_t b = 0; b <= buckets; b++) {
        const uint64_t at = offset_at(view.directory, b);
        if (at < before || at > view.body || (b == 0 && at != 0)) return NULL;
        before = at;
    }
    if (before != view.body || bytes[size - 1] || bytes[size - 2] || bytes[size - 3]) return NULL;
    idx_hashed *v = malloc(sizeof *v);
    *error = v ? 0 : IDX_MEMORY;
    if (v) *v = view;
    return v;
}

void idx_hashed_free(idx_hashed *v) { free(v); }

uint64_t idx_hashed_count(const idx_hashed *v) { return v->entries; }

uint64_t idx_hashed_keys(const idx_hashed *v) { return v->keys; }

/* --- cursor --- */

typedef struct {
    idx_cursor base;
    const uint8_t *at, *end, *row_at;
    record r;
    uint64_t left, row, rank;
} hashed_cursor;

static int cursor_next(idx_cursor *cursor, entry *out) {
    hashed_cursor *c = (hashed_cursor *)cursor;
    if (c->left == 0) {
        if (c->at == c->end) return 0;
        c->at = read_record(c->at, c->end, &c->r);
        if (!c->at) return IDX_MALFORMED;
        c->left = c->r.count, c->row = 0, c->row_at = c->r.rows, c->rank = idx_xxh3(c->r.key, c->r.size);
    }
    uint64_t step;
    c->row_at = varint_get(c->row_at, c->r.end, &step);
    if (!c->row_at) return IDX_MALFORMED;
    c->row += step, c->left--;
    *out = (entry){.rank = c->rank, .row = c->row, .key = c->r.key, .size = (uint32_t)c->r.size};
    return 1;
}

static void cursor_close(idx_cursor *cursor) { free(cursor); }

idx_cursor *idx_hashed_cursor(const idx_hashed *v) {
    hashed_cursor *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->base = (idx_cursor){.next = cursor_next, .close = cursor_close};
    c->at = v->records, c->end = v->records + v->body;
    return &c->base;
}

int idx_hashed_verify(const idx_hashed *v) {
    if (idx_xxh3(v->records, v->size - HEADER) != idx_load64(v->records - HEADER + 32)) return IDX_MALFORMED;
    uint64_t keys = 0, entries = 0;
    entry before = {0};
    for (uint64_t b = 0; b < UINT64_C(1) << v->bits; b++) {
        const uint8_t *p = v->records + offset_at(v->directory, b), *end = v->records + offset_at(v->directory, b + 1);
        while (p < end) {
            record r;
            if (!(p = read_record(p, end, &r))) return IDX_MALFORMED;
            const entry here = {.rank = idx_xxh3(r.key, r.size), .key = r.key, .size = (uint32_t)r.size};
            if (bucket_of(v->bits, here.rank) != b || r.tag != (uint8_t)here.rank || (keys && entry_key_order(&before, &here) >= 0))
                return IDX_MALFORMED;
            const uint8_t *q = r.rows;
            uint64_t row = 0, step;
            for (uint64_t i = 0; i < r.count; i++, row += step) {
                if (!(q = varint_get(q, r.end, &step)) || (i && (step == 0 || row + step < row))) return IDX_MALFORMED;
            }
            if (q != r.end) return IDX_MALFORMED;
            keys++, entries += r.count, before = here;
        }
    }
    return keys == v->keys && entries == v->entries ? 0 : IDX_MALFORMED;
}

/* --- writer --- */

typedef struct {
    idx_buffer *out, key, rows, places; /* places: (hash, offset) of every record */
    uint64_t hash, last, count, entries, keys;
} writer;

/* The key that waits, with all of its rows, becomes a record. */
static int put_record(writer *w) {
    uint8_t head[1 + 3 * VARINT_MOST];
    size_t n = 1;
    head[0] = (uint8_t)w->hash;
    n += varint_put(head + n, w->key.size);
    n += varint_put(head + n, w->count);
    if (w->count > 1) n += varint_put(head + n, w->rows.size);
    uint8_t *place = buffer_more(&w->places, 16), *p = place ? buffer_more(w->out, n + w->key.size + w->rows.size) : NULL;
    if (!p) return IDX_MEMORY;
    idx_store64(place, w->hash), idx_store64(place + 8, (uint64_t)(p - w->out->data) - HEADER);
    memcpy(p, head, n);
    if (w->key.size) memcpy(p + n, w->key.data, w->key.size);
    memcpy(p + n + w->key.size, w->rows.data, w->rows.size);
    w->entries += w->count, w->keys++, w->count = 0;
    return 0;
}

static int put_entries(writer *w, idx_cursor *cursor) {
    entry e;
    for (int got; (got = cursor->next(cursor, &e)) != 0;) {
        if (got < 0) return got;
        const int same = w->count && w->key.size == e.size && (e.size == 0 || memcmp(w->key.data, e.key, e.size) == 0);
        if (same && w->last == e.row) continue; /* given twice */
        if (!same) {
            if (w->count && put_record(w)) return IDX_MEMORY;
            w->key.size = w->rows.size = 0, w->hash = e.rank, w->last = 0;
            if (buffer_put(&w->key, e.key, e.size)) return IDX_MEMORY;
        }
        uint8_t step[VARINT_MOST];
        if (buffer_put(&w->rows, step, varint_put(step, e.row - w->last))) return IDX_MEMORY;
        w->last = e.row, w->count++;
    }
    return w->count ? put_record(w) : 0;
}

static int put_directory(writer *w, uint32_t bits) {
    const uint64_t buckets = UINT64_C(1) << bits, body = w->out->size - HEADER, n = w->places.size / 16;
    /* uncovered (guard): more than a test can hold */
    if (body >> 40) return IDX_MEMORY;
    uint8_t *p = buffer_more(w->out, OFFSET * (buckets + 1) + SLACK);
    if (!p) return IDX_MEMORY;
    memset(p + OFFSET * (buckets + 1), 0, SLACK);
    uint64_t next = 0; /* the first record not before bucket b */
    for (uint64_t b = 0; b <= buckets; b++) {
        while (next < n && bucket_of(bits, idx_load64(w->places.data + 16 * next)) < b) next++;
        const uint64_t at = b == buckets || next == n ? body : idx_load64(w->places.data + 16 * next + 8);
        for (int i = 0; i < OFFSET; i++) p[OFFSET * b + (uint64_t)i] = (uint8_t)(at >> 8 * i);
    }
    return 0;
}

idx_buffer *idx_hashed_write(idx_cursor *cursor, int *error) {
    writer w = {.out = calloc(1, sizeof *w.out)};
    *error = w.out && buffer_more(w.out, HEADER) ? put_entries(&w, cursor) : IDX_MEMORY;
    const uint64_t body = *error ? 0 : w.out->size - HEADER;
    uint32_t bits = 0;
    /* uncovered (guard): more than a test can hold */
    while (bits < MOST_BITS && w.keys >> bits > PER_BUCKET) bits++;
    if (!*error) *error = put_directory(&w, bits);
    if (!*error) {
        uint8_t *p = w.out->data;
        memset(p, 0, HEADER);
        idx_store64(p, MAGIC | (uint64_t)VERSION << 32);
        idx_store64(p + 8, w.entries), idx_store64(p + 16, w.keys), idx_store64(p + 24, body);
        idx_store64(p + 32, idx_xxh3(p + HEADER, w.out->size - HEADER));
        p[40] = (uint8_t)bits;
    }
    free(w.key.data);
    free(w.rows.data);
    free(w.places.data);
    if (*error) {
        idx_buffer_free(w.out);
        return NULL;
    }
    return w.out;
}
