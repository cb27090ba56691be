#include "indexes/csrc/bitmap.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { MAGIC = 0x4D425849, VERSION = 1, HEADER = 64, SLACK = 8, ROARING = 0, ELIAS_FANO = 1 };

struct idx_bitmap {
    const uint8_t *counts, *key_ends, *set_ends, *keys, *sets;
    uint64_t n, entries;
    size_t size;
    _Atomic(uint8_t) *checked; /* of every set: its bytes were checked in full */
};

static uint64_t number(const uint8_t *table, uint64_t i) { return idx_load64(table + 8 * i); }

const uint8_t *idx_bitmap_key(const idx_bitmap *v, uint64_t place, size_t *n) {
    const uint64_t from = number(v->key_ends, place);
    *n = number(v->key_ends, place + 1) - from;
    return v->keys + from;
}

uint64_t idx_bitmap_values(const idx_bitmap *v) { return v->n; }

uint64_t idx_bitmap_count(const idx_bitmap *v) { return v->entries; }

uint64_t idx_bitmap_rows_of(const idx_bitmap *v, uint64_t place) { return place < v->n ? number(v->counts, place) : 0; }

/* A table of n + 1 places that ascends from 0 to the whole. */
static int sound_ends(const uint8_t *table, uint64_t n, uint64_t whole, uint64_t longest) {
    uint64_t before = 0;
    for (uint64_t i = 0; i <= n; i++) {
        const uint64_t at = number(table, i);
        if (at < before || at > whole || at - before > longest || (i == 0 && at != 0)) return 0;
        before = at;
    }
    return before == whole;
}

idx_bitmap *idx_bitmap_open(const uint8_t *bytes, size_t size, int *error) {
    *error = IDX_MALFORMED;
    if (size < HEADER || idx_load32(bytes) != MAGIC || idx_load32(bytes + 4) != VERSION) return NULL;
    const uint64_t n = idx_load64(bytes + 8), keys = idx_load64(bytes + 24), sets = idx_load64(bytes + 32);
    if (n > size / 24 || keys > size || sets > size || HEADER + 8 * (3 * n + 3) + keys + sets + SLACK != size) return NULL;
    for (int i = 48; i < HEADER; i++)
        if (bytes[i]) return NULL;
    idx_bitmap *v = calloc(1, sizeof *v);
    *error = IDX_MEMORY;
    if (!v) return NULL;
    v->n = n, v->entries = idx_load64(bytes + 16), v->size = size;
    v->counts = bytes + HEADER, v->key_ends = v->counts + 8 * n, v->set_ends = v->key_ends + 8 * (n + 1);
    v->keys = v->set_ends + 8 * (n + 2), v->sets = v->keys + keys;
    v->checked = calloc(n + 1, sizeof *v->checked);
    if (v->checked)
        *error = sound_ends(v->key_ends, n, keys, IDX_LONGEST_KEY) && sound_ends(v->set_ends, n + 1, sets, sets) ? 0 : IDX_MALFORMED;
    if (*error == 0) return v;
    idx_bitmap_free(v);
    return NULL;
}

void idx_bitmap_free(idx_bitmap *v) {
    if (v) free((void *)v->checked);
    free(v);
}

uint64_t idx_bitmap_place(const idx_bitmap *v, const uint8_t *key, size_t n, int after) {
    uint64_t from = 0, to = v->n;
    while (from < to) {
        const uint64_t mid = from + (to - from) / 2;
        size_t size;
        const uint8_t *here = idx_bitmap_key(v, mid, &size);
        const size_t least = size < n ? size : n;
        int c = least ? memcmp(here, key, least) : 0;
        c = c ? c : (size > n) - (size < n);
        if (c < after)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

int64_t idx_bitmap_find(const idx_bitmap *v, const uint8_t *key, size_t n) {
    const uint64_t place = idx_bitmap_place(v, key, n, 0);
    size_t size;
    if (place == v->n) return -1;
    const uint8_t *here = idx_bitmap_key(v, place, &size);
    return size == n && (n == 0 || memcmp(here, key, n) == 0) ? (int64_t)place : -1;
}

idx_rowset *idx_bitmap_set(idx_bitmap *v, uint64_t place, int *error) {
    *error = IDX_MALFORMED;
    if (place > v->n) return NULL;
    const uint8_t *p = v->sets + number(v->set_ends, place), *end = v->sets + number(v->set_ends, place + 1);
    idx_rowset *set = NULL;
    if (p == end) return NULL;
    const uint8_t form = *p++;
    if (form == ELIAS_FANO) {
        uint64_t *rows;
        size_t n;
        *error = ef_rows(p, end, &rows, &n);
        if (*error) return NULL;
        set = rowset_of_sorted(rows, n);
        free(rows);
        if (!set) *error = IDX_MEMORY;
    } else if (form == ROARING) {
        const int checked = atomic_load_explicit(&v->checked[place], memory_order_relaxed);
        size_t at;
        int failed;
        set = rowset_open(p, (size_t)(end - p), checked, &failed, &at);
        *error = set ? 0 : failed == 1 ? IDX_MEMORY : IDX_MALFORMED;
        if (set && !checked) atomic_store_explicit(&v->checked[place], 1, memory_order_relaxed);
    }
    if (set && place < v->n && set->count != number(v->counts, place)) {
        idx_rowset_free(set);
        *error = IDX_MALFORMED;
        return NULL;
    }
    return set;
}

idx_rowset *idx_bitmap_union(idx_bitmap *v, const uint64_t *places, size_t m, uint64_t from, uint64_t to, int *error) {
    const size_t n = m + (from < to ? (size_t)(to - from) : 0);
    if (to > v->n) return *error = IDX_MALFORMED, NULL;
    idx_rowset **sets = calloc(n ? n : 1, sizeof(idx_rowset *)), *out = NULL;
    *error = sets ? 0 : IDX_MEMORY;
    for (size_t i = 0; i < n && !*error; i++) sets[i] = idx_bitmap_set(v, i < m ? places[i] : from + (i - m), error);
    if (!*error) out = idx_rowset_or_many((const idx_rowset *const *)sets, n);
    if (!*error && !out) *error = IDX_MEMORY;
    for (size_t i = 0; sets && i < n; i++) idx_rowset_free(sets[i]);
    free(sets);
    return out;
}

int idx_bitmap_verify(idx_bitmap *v) {
    const uint8_t *start = v->counts;
    if (idx_xxh3(start, v->size - HEADER) != idx_load64(start - HEADER + 40)) return IDX_MALFORMED;
    int error = 0;
    idx_rowset *all = idx_bitmap_set(v, v->n, &error), *seen = all ? idx_bitmap_union(v, NULL, 0, 0, v->n, &error) : NULL;
    if (!error && !idx_rowset_equal(all, seen)) error = IDX_MALFORMED;
    idx_rowset_free(all);
    idx_rowset_free(seen);
    uint64_t entries = 0;
    for (uint64_t i = 0; i < v->n && !error; i++) {
        size_t n;
        const uint8_t *key = idx_bitmap_key(v, i, &n);
        entries += number(v->counts, i);
        if (idx_bitmap_find(v, key, n) != (int64_t)i || number(v->counts, i) == 0) error = IDX_MALFORMED; /* out of order, or twice */
    }
    return error ? error : entries == v->entries ? 0 : IDX_MALFORMED;
}

/* --- cursor --- */

typedef struct {
    idx_cursor base;
    idx_bitmap *view;
    uint64_t value, *rows;
    size_t at, n;
    entry now;
} bitmap_cursor;

static int cursor_next(idx_cursor *cursor, entry *out) {
    bitmap_cursor *c = (bitmap_cursor *)cursor;
    if (c->at == c->n) {
        if (c->value == c->view->n) return 0;
        int error;
        idx_rowset *set = idx_bitmap_set(c->view, c->value, &error);
        if (!set) return error;
        free(c->rows);
        c->n = c->at = 0;
        c->rows = malloc((set->count ? set->count : 1) * sizeof *c->rows);
        if (c->rows) c->n = idx_rowset_rows(set, 0, c->rows, set->count);
        const uint64_t count = set->count;
        idx_rowset_free(set);
        if (c->n == 0 || c->n != count) return count ? IDX_MEMORY : IDX_MALFORMED;
        size_t size;
        c->now.key = idx_bitmap_key(c->view, c->value++, &size);
        c->now.size = (uint32_t)size, c->now.rank = key_rank(c->now.key, size, 0);
    }
    *out = c->now;
    out->row = c->rows[c->at++];
    return 1;
}

static void cursor_close(idx_cursor *cursor) {
    free(((bitmap_cursor *)cursor)->rows);
    free(cursor);
}

idx_cursor *idx_bitmap_cursor(idx_bitmap *v) {
    bitmap_cursor *c = calloc(1, sizeof *c);
    if (c) c->base = (idx_cursor){.next = cursor_next, .close = cursor_close}, c->view = v;
    return c ? &c->base : NULL;
}

/* --- writer --- */

typedef struct {
    idx_buffer counts, key_ends, set_ends, keys, sets;
    uint64_t n, entries;
} writer;

/* A set in its smaller form. Elias-Fano is tried where containers are mostly short lists. */
static int put_set(writer *w, const idx_rowset *set) {
    const size_t start = w->sets.size, roaring = idx_rowset_stored_size(set);
    uint8_t form = ELIAS_FANO;
    if (buffer_put64(&w->set_ends, start) || buffer_put(&w->sets, &form, 1)) return IDX_MEMORY;
    if (set->count && set->count / set->n < MOST_ARRAY / 8) {
        uint64_t *rows = malloc(set->count * sizeof *rows);
        if (rows) idx_rowset_rows(set, 0, rows, set->count);
        const int failed = !rows || ef_store(&w->sets, rows, set->count);
        free(rows);
        if (failed) return IDX_MEMORY;
        if (w->sets.size - start < roaring + 1) return 0;
    }
    w->sets.size = start;
    uint8_t *p = buffer_more(&w->sets, 1 + roaring);
    if (!p) return IDX_MEMORY;
    p[0] = ROARING;
    idx_rowset_store(set, p + 1);
    return 0;
}

static int put_value(writer *w, const uint8_t *key, size_t n, const idx_rowset *set) {
    if (buffer_put64(&w->counts, set->count) || buffer_put64(&w->key_ends, w->keys.size) || buffer_put(&w->keys, key, n)) return IDX_MEMORY;
    w->n++, w->entries += set->count;
    return put_set(w, set);
}

/* The parts one after the other. */
static idx_buffer *finish(writer *w, const idx_rowset *all) {
    idx_buffer *out = calloc(1, sizeof *out);
    if (!out || put_set(w, all) || buffer_put64(&w->set_ends, w->sets.size) || buffer_put64(&w->key_ends, w->keys.size)) {
        idx_buffer_free(out);
        return NULL;
    }
    const idx_buffer *const parts[] = {&w->counts, &w->key_ends, &w->set_ends, &w->keys, &w->sets};
    size_t size = HEADER + SLACK;
    for (int i = 0; i < 5; i++) size += parts[i]->size;
    uint8_t *p = buffer_more(out, size);
    if (!p) {
        idx_buffer_free(out);
        return NULL;
    }
    uint8_t *to = p + HEADER;
    for (int i = 0; i < 5; to += parts[i++]->size)
        if (parts[i]->size) memcpy(to, parts[i]->data, parts[i]->size);
    memset(to, 0, SLACK);
    memset(p, 0, HEADER);
    idx_store64(p, MAGIC | (uint64_t)VERSION << 32);
    idx_store64(p + 8, w->n), idx_store64(p + 16, w->entries), idx_store64(p + 24, w->keys.size), idx_store64(p + 32, w->sets.size);
    idx_store64(p + 40, idx_xxh3(p + HEADER, out->size - HEADER));
    return out;
}

static void drop(writer *w) {
    free(w->counts.data);
    free(w->key_ends.data);
    free(w->set_ends.data);
    free(w->keys.data);
    free(w->sets.data);
}

static int put_rows(writer *w, const idx_buffer *key, const idx_buffer *rows) {
    idx_rowset *set = rowset_of_sorted((const uint64_t *)(const void *)rows->data, rows->size / 8);
    const int failed = set ? put_value(w, key->data, key->size, set) : IDX_MEMORY;
    idx_rowset_free(set);
    return failed;
}

idx_buffer *idx_bitmap_write(idx_cursor *cursor, int *error) {
    writer w = {0};
    idx_buffer key = {0}, rows = {0}, every = {0}, *out = NULL;
    entry e;
    int got;
    while ((got = cursor->next(cursor, &e)) == 1) {
        const int same = rows.size && key.size == e.size && (e.size == 0 || memcmp(key.data, e.key, e.size) == 0);
        if (same && idx_load64(rows.data + rows.size - 8) == e.row) continue; /* given twice */
        if (!same) {
            if (rows.size && put_rows(&w, &key, &rows)) break;
            key.size = rows.size = 0;
            if (buffer_put(&key, e.key, e.size)) break;
        }
        if (buffer_put64(&rows, e.row) || buffer_put64(&every, e.row)) break;
    }
    *error = got == 1 ? IDX_MEMORY : got;
    if (!*error && rows.size) *error = put_rows(&w, &key, &rows);
    if (!*error) {
        idx_rowset *all = idx_rowset_of((const uint64_t *)(const void *)every.data, every.size / 8);
        out = all ? finish(&w, all) : NULL;
        idx_rowset_free(all);
        if (!out) *error = IDX_MEMORY;
    }
    free(key.data);
    free(rows.data);
    free(every.data);
    drop(&w);
    return out;
}

/* What a view has at a place, without what is hidden. */
static idx_rowset *visible(idx_bitmap *view, uint64_t place, const idx_rowset *hide, int *error) {
    idx_rowset *set = idx_bitmap_set(view, place, error);
    if (!set || !hide) return set;
    idx_rowset *left = idx_rowset_combine(IDX_ANDNOT, set, hide);
    idx_rowset_free(set);
    if (!left) *error = IDX_MEMORY;
    return left;
}

/* The union of the sets at the given places (-1: none there) of all views, in *out. */
static int gather(idx_bitmap *const *views, const idx_rowset *const *hide, const int64_t *places, size_t n, idx_rowset **sets,
                  idx_rowset **out) {
    size_t m = 0;
    int error = 0;
    for (size_t i = 0; i < n && !error; i++) {
        if (places[i] < 0) continue;
        sets[m] = visible(views[i], (uint64_t)places[i], hide[i], &error);
        m += sets[m] != NULL;
    }
    if (!error) *out = idx_rowset_or_many((const idx_rowset *const *)sets, m);
    if (!error && !*out) error = IDX_MEMORY;
    for (size_t i = 0; i < m; i++) idx_rowset_free(sets[i]);
    return error;
}

static int compare_keys(const idx_bitmap *a, uint64_t i, const idx_bitmap *b, uint64_t j) {
    size_t na, nb;
    const uint8_t *x = idx_bitmap_key(a, i, &na), *y = idx_bitmap_key(b, j, &nb);
    const size_t least = na < nb ? na : nb;
    const int c = least ? memcmp(x, y, least) : 0;
    return c ? c : (na > nb) - (na < nb);
}

static int merge_into(writer *w, idx_bitmap *const *views, const idx_rowset *const *hide, size_t n, uint64_t *at, int64_t *places,
                      idx_rowset **sets) {
    for (;;) {
        size_t least = n; /* the view with the least key */
        for (size_t i = 0; i < n; i++)
            if (at[i] < views[i]->n && (least == n || compare_keys(views[i], at[i], views[least], at[least]) < 0)) least = i;
        if (least == n) return 0;
        const uint64_t leader = at[least];
        size_t size;
        const uint8_t *key = idx_bitmap_key(views[least], leader, &size);
        for (size_t i = 0; i < n; i++) {
            const int same = at[i] < views[i]->n && compare_keys(views[i], at[i], views[least], leader) == 0;
            places[i] = same ? (int64_t)at[i] : -1;
            if (same && i != least) at[i]++;
        }
        at[least]++;
        idx_rowset *set = NULL;
        int error = gather(views, hide, places, n, sets, &set);
        if (!error && set->count) error = put_value(w, key, size, set);
        idx_rowset_free(set);
        if (error) return error;
    }
}

idx_buffer *idx_bitmap_merge(idx_bitmap *const *views, const idx_rowset *const *hide, size_t n, int *error) {
    writer w = {0};
    uint64_t *at = calloc(n + 1, sizeof *at);
    int64_t *places = calloc(n + 1, sizeof *places);
    idx_rowset **sets = calloc(n + 1, sizeof(idx_rowset *)), *all = NULL;
    idx_buffer *out = NULL;
    *error = at && places && sets ? merge_into(&w, views, hide, n, at, places, sets) : IDX_MEMORY;
    for (size_t i = 0; i < n && !*error; i++) places[i] = (int64_t)views[i]->n;
    if (!*error) *error = gather(views, hide, places, n, sets, &all);
    if (!*error) {
        out = finish(&w, all);
        if (!out) *error = IDX_MEMORY;
    }
    idx_rowset_free(all);
    free(at);
    free(places);
    free(sets);
    drop(&w);
    return out;
}
