#include "indexes/csrc/bitslice.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include <stdlib.h>

enum { MAGIC = 0x53425849, VERSION = 1, HEADER = 64, ROW = 40, PART = 12, SLACK = 8, PACKED = 0, SLICED = 1 };

struct idx_slices {
    const uint8_t *table, *bodies;
    uint64_t n, chunks;
    size_t size;
    int kind;
};

static uint64_t packed_value(const uint8_t *p, uint32_t bits, uint32_t i) {
    if (bits == 64) return idx_load64(p + 8 * (size_t)i);
    const uint32_t bit = i * bits;
    return idx_load64(p + bit / 8) >> bit % 8 & ((UINT64_C(1) << bits) - 1);
}

static container part_at(const uint8_t *body, uint32_t i) {
    const uint8_t *p = body + PART * i;
    return (container){.data = body + idx_load32(p + 8), .card = idx_load32(p + 4), .runs = (uint16_t)(p[2] | p[3] << 8), .type = p[0]};
}

void slices_chunk_at(const idx_slices *v, uint64_t i, slices_chunk *c) {
    const uint8_t *row = v->table + ROW * i, *body = v->bodies + idx_load64(row + 8);
    c->key = idx_load64(row), c->least = idx_load64(row + 16), c->most = idx_load64(row + 24);
    c->count = idx_load32(row + 32), c->sliced = row[36] == SLICED, c->bits = row[37];
    if (c->sliced) {
        c->exists = part_at(body, 0);
        for (uint32_t d = 0; d < c->bits; d++) c->digit[d] = part_at(body, d + 1);
    } else {
        c->lows = (const low *)body, c->packed = body + 2 * (size_t)c->count;
    }
}

uint64_t slices_chunks(const idx_slices *v) { return v->chunks; }

/* A container's bytes in a body of `size`, its content sound and within `card` rows. */
static int sound_part(const uint8_t *body, uint64_t size, uint32_t i, uint32_t most, int may_be_empty) {
    const uint8_t *p = body + PART * i;
    const container c = part_at(body, i);
    const uint64_t at = idx_load32(p + 8), bytes = c.type == ARRAY ? 2 * (uint64_t)c.card
                                                   : c.type == RUN ? 4 * (uint64_t)c.runs
                                                                   : (uint64_t)WORDS_BYTES;
    if (p[1] || c.card > most) return 0;
    if (c.type == 0) return may_be_empty && c.card == 0 && c.runs == 0 && at == 0;
    return c.type <= RUN && c.card > 0 && (c.type == RUN || c.runs == 0) && at <= size && bytes <= size - at && container_sound(&c);
}

static int sound_chunk(const uint8_t *row, const uint8_t *body, uint64_t size) {
    const uint64_t least = idx_load64(row + 16), most = idx_load64(row + 24), span = most - least;
    const uint32_t count = idx_load32(row + 32), bits = row[37];
    const uint32_t need = span ? 64 - (uint32_t)__builtin_clzll(span) : 0;
    if (idx_load64(row) >> 48 || least > most || count < 1 || count > SPAN || row[38] || row[39]) return 0;
    if (row[36] == PACKED) {
        const container lows = {.data = body, .card = count, .type = ARRAY};
        if (bits != (need > 56 ? 64 : need) || 2 * (uint64_t)count + ((uint64_t)bits * count + 7) / 8 != size) return 0;
        return container_sound(&lows);
    }
    if (row[36] != SLICED || bits != need || PART * (uint64_t)(bits + 1) > size) return 0;
    for (uint32_t i = 0; i <= bits; i++)
        if (!sound_part(body, size, i, count, i > 0)) return 0;
    return part_at(body, 0).card == count;
}

idx_slices *idx_slices_open(const uint8_t *bytes, size_t size, int *error) {
    *error = IDX_MALFORMED;
    if (size < HEADER || idx_load32(bytes) != MAGIC || idx_load32(bytes + 4) != VERSION) return NULL;
    const uint64_t n = idx_load64(bytes + 8), chunks = idx_load64(bytes + 16), body = idx_load64(bytes + 24);
    if (chunks > size / ROW || body > size || HEADER + ROW * chunks + body + SLACK != size) return NULL;
    for (int i = 40; i < HEADER; i++)
        if (bytes[i]) return NULL;
    const uint64_t kind = idx_load64(bytes + size - SLACK);
    if (kind > 1) return NULL;
    const uint8_t *table = bytes + HEADER, *bodies = table + ROW * chunks;
    uint64_t rows = 0;
    for (uint64_t i = 0; i < chunks; i++) {
        const uint8_t *row = table + ROW * i;
        const uint64_t from = idx_load64(row + 8), to = i + 1 < chunks ? idx_load64(row + ROW + 8) : body;
        if (from > to || to > body || (i == 0 && from != 0) || (i && idx_load64(row) <= idx_load64(row - ROW))) return NULL;
        if (!sound_chunk(row, bodies + from, to - from)) return NULL;
        rows += idx_load32(row + 32);
    }
    if (rows != n || (chunks == 0 && body)) return NULL;
    idx_slices *v = malloc(sizeof *v);
    *error = v ? 0 : IDX_MEMORY;
    if (v) *v = (idx_slices){.table = table, .bodies = bodies, .n = n, .chunks = chunks, .size = size, .kind = (int)kind};
    return v;
}

void idx_slices_free(idx_slices *v) { free(v); }

uint64_t idx_slices_count(const idx_slices *v) { return v->n; }

int idx_slices_kind(const idx_slices *v) { return v->kind; }

void slices_expand(const slices_chunk *c, slices_words *w) {
    for (uint32_t i = 0; i <= c->bits; i++) {
        const container *part = i ? &c->digit[i - 1] : &c->exists;
        const word *at = part->data;
        if (part->type != BITMAP) {
            word *to = w->room + (size_t)i * WORDS;
            memset(to, part->card == SPAN ? 255 : 0, WORDS_BYTES);
            if (part->card && part->card < SPAN) container_apply(SET_OR, to, part);
            at = to;
        }
        *(i ? &w->digit[i - 1] : &w->exists) = at;
    }
}

static uint64_t digits_at(const slices_chunk *c, const slices_words *w, uint32_t low) {
    uint64_t v = 0;
    for (uint32_t i = 0; i < c->bits; i++) v |= (w->digit[i][low >> 6] >> (low & 63) & 1) << i;
    return c->least + v;
}

void slices_decode(const slices_chunk *c, slices_words *w, low *lows, uint64_t *values) {
    if (!c->sliced) {
        memcpy(lows, c->lows, 2 * (size_t)c->count);
        for (uint32_t i = 0; i < c->count; i++) values[i] = c->least + packed_value(c->packed, c->bits, i);
        return;
    }
    slices_expand(c, w);
    words_list(w->exists, lows);
    for (uint32_t i = 0; i < c->count; i++) values[i] = digits_at(c, w, lows[i]);
}

int idx_slices_verify(const idx_slices *v) {
    if (idx_xxh3(v->table, v->size - HEADER) != idx_load64(v->table - HEADER + 32)) return IDX_MALFORMED;
    slices_words w = {.room = malloc((MOST_SLICES + 1) * (size_t)WORDS_BYTES)};
    low *lows = malloc(SPAN * sizeof *lows);
    uint64_t *values = malloc(SPAN * sizeof *values);
    int error = w.room && lows && values ? 0 : IDX_MEMORY;
    for (uint64_t i = 0; i < v->chunks && !error; i++) {
        slices_chunk c;
        slices_chunk_at(v, i, &c);
        slices_decode(&c, &w, lows, values);
        uint64_t least = UINT64_MAX, most = 0;
        for (uint32_t k = 0; k < c.count; k++) least = values[k] < least ? values[k] : least, most = values[k] > most ? values[k] : most;
        if (least != c.least || most != c.most) error = IDX_MALFORMED;
        for (uint32_t d = 0; c.sliced && d < c.bits; d++)
            if (c.digit[d].card && words_combine(SET_ANDNOT, NULL, w.digit[d], w.exists)) error = IDX_MALFORMED;
    }
    free(w.room);
    free(lows);
    free(values);
    return error;
}

/* --- queries --- */

typedef struct {
    const idx_slices *view;
    const idx_rowset *filter;
    slices_chunk c;
    slices_words w;
    word *among, *hits; /* rows looked at; an answer */
    size_t at; /* in the filter */
} query;

static int query_open(query *q, const idx_slices *view, const idx_rowset *filter) {
    *q = (query){.view = view, .filter = filter};
    q->w.room = malloc((MOST_SLICES + 3) * (size_t)WORDS_BYTES);
    if (!q->w.room) return IDX_MEMORY;
    q->among = q->w.room + (MOST_SLICES + 1) * (size_t)WORDS, q->hits = q->among + WORDS;
    return 0;
}

/* Load chunk i and the rows of it that the filter lets through; 0: none. */
static uint32_t query_load(query *q, uint64_t i, const container **filter) {
    slices_chunk_at(q->view, i, &q->c);
    *filter = NULL;
    if (!q->filter) return q->c.count;
    q->at = rowset_seek(q->filter, q->at < q->filter->n && q->filter->keys[q->at] <= q->c.key ? q->at : 0, q->c.key);
    if (q->at == q->filter->n || q->filter->keys[q->at] != q->c.key) return 0;
    *filter = &q->filter->slots[q->at];
    return (*filter)->card;
}

/* The words of a sliced chunk, and among them those that count: how many. */
static uint32_t query_words(query *q, const container *filter) {
    slices_expand(&q->c, &q->w);
    if (!filter) {
        memcpy(q->among, q->w.exists, WORDS_BYTES);
        return q->c.count;
    }
    container_words(filter, q->among);
    return words_combine(SET_AND, q->among, q->among, q->w.exists);
}

/* The places in a packed chunk that the filter lets through, as a list: how many. */
static uint32_t query_places(const query *q, const container *filter, low *places) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->c.count; i++) {
        places[n] = (uint16_t)i;
        n += !filter || container_has(filter, q->c.lows[i]);
    }
    return n;
}

/* A chunk that is not wholly in or out: its rows within, as words or a list in q->hits. */
static container query_between(query *q, uint64_t from, uint64_t to, const container *filter) {
    const uint64_t a = from > q->c.least ? from - q->c.least : 0, b = (to < q->c.most ? to : q->c.most) - q->c.least;
    if (q->c.sliced) {
        query_words(q, filter);
        const uint32_t card = slices_between(q->w.digit, q->c.bits, q->among, a, b, q->hits);
        return (container){.data = q->hits, .card = card, .type = BITMAP};
    }
    low *list = (low *)q->w.room;
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->c.count; i++) {
        const uint64_t v = packed_value(q->c.packed, q->c.bits, i);
        list[n] = q->c.lows[i];
        n += v >= a && v <= b && (!filter || container_has(filter, q->c.lows[i]));
    }
    return (container){.data = list, .card = n, .type = ARRAY};
}

static container everything(const query *q) {
    return q->c.sliced ? q->c.exists : (container){.data = q->c.lows, .card = q->c.count, .type = ARRAY};
}

idx_rowset *idx_slices_range(const idx_slices *v, uint64_t from, uint64_t to) {
    query q;
    idx_rowset *out = query_open(&q, v, NULL) ? NULL : rowset_new(v->chunks);
    for (uint64_t i = 0; out && i < v->chunks; i++) {
        const container *filter;
        query_load(&q, i, &filter);
        if (from > to || from > q.c.most || to < q.c.least) continue;
        const container hits = from <= q.c.least && to >= q.c.most ? everything(&q) : query_between(&q, from, to, NULL);
        container copy;
        if (hits.card && (container_compact(&hits, &copy, &out->mem) || rowset_push(out, q.c.key, &copy))) {
            idx_rowset_free(out);
            out = NULL;
        }
    }
    free(q.w.room);
    return out;
}

idx_rowset *idx_slices_all(const idx_slices *v) { return idx_slices_range(v, 0, UINT64_MAX); }

int idx_slices_range_count(const idx_slices *v, uint64_t from, uint64_t to, const idx_rowset *filter, uint64_t *count) {
    query q;
    *count = 0;
    if (query_open(&q, v, filter)) return IDX_MEMORY;
    for (uint64_t i = 0; i < v->chunks; i++) {
        const container *some;
        if (!query_load(&q, i, &some) || from > to || from > q.c.most || to < q.c.least) continue;
        if (from <= q.c.least && to >= q.c.most) {
            const container all = everything(&q);
            *count += some ? container_and_count(&all, some) : all.card;
        } else {
            *count += query_between(&q, from, to, some).card;
        }
    }
    free(q.w.room);
    return 0;
}

int idx_slices_sum(const idx_slices *v, const idx_rowset *filter, uint64_t *count, uint64_t *high, uint64_t *low_half) {
    query q;
    unsigned __int128 sum = 0;
    *count = 0;
    if (query_open(&q, v, filter)) return IDX_MEMORY;
    for (uint64_t i = 0; i < v->chunks; i++) {
        const container *some;
        if (!query_load(&q, i, &some)) continue;
        uint32_t n;
        if (q.c.sliced) {
            const word *among = q.among;
            if (some && some->type == BITMAP && q.c.exists.card == SPAN) { /* all rows are there: the filter as it is */
                slices_expand(&q.c, &q.w);
                among = some->data, n = some->card;
            } else {
                n = query_words(&q, some);
            }
            for (uint32_t d = 0; n && d < q.c.bits; d++) sum += (unsigned __int128)words_combine(SET_AND, NULL, among, q.w.digit[d]) << d;
        } else {
            low *places = (low *)q.w.room;
            n = query_places(&q, some, places);
            for (uint32_t k = 0; k < n; k++) sum += packed_value(q.c.packed, q.c.bits, places[k]);
        }
        sum += (unsigned __int128)q.c.least * n;
        *count += n;
    }
    free(q.w.room);
    *high = (uint64_t)(sum >> 64), *low_half = (uint64_t)sum;
    return 0;
}

/* Rows and values of the loaded chunk that the filter lets through. */
static uint32_t query_decode(query *q, const container *filter, uint64_t *rows, uint64_t *values) {
    const uint64_t base = q->c.key << 16;
    uint32_t n;
    if (q->c.sliced) {
        n = query_words(q, filter);
        words_rows(q->among, base, rows);
        for (uint32_t i = 0; i < n; i++) values[i] = digits_at(&q->c, &q->w, (uint32_t)(rows[i] & 65535));
        return n;
    }
    low *places = (low *)q->w.room;
    n = query_places(q, filter, places);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = base + q->c.lows[places[i]], values[i] = q->c.least + packed_value(q->c.packed, q->c.bits, places[i]);
    return n;
}

int64_t idx_slices_decode(const idx_slices *v, const idx_rowset *filter, uint64_t *chunk, uint64_t *rows, uint64_t *values, size_t room) {
    query q;
    size_t n = 0;
    if (query_open(&q, v, filter)) return IDX_MEMORY;
    for (; *chunk < v->chunks; (*chunk)++) {
        const container *some;
        const uint32_t most = query_load(&q, *chunk, &some);
        if (room - n < (most < q.c.count ? most : q.c.count)) break;
        if (most) n += query_decode(&q, some, rows + n, values + n);
    }
    free(q.w.room);
    return (int64_t)n;
}

int idx_slices_values(const idx_slices *v, const uint64_t *rows, size_t n, uint64_t *values, uint8_t *found) {
    slices_chunk c;
    uint64_t loaded = UINT64_MAX; /* the key of c */
    for (size_t i = 0; i < n; i++) {
        const uint64_t key = rows[i] >> 16;
        if (key != loaded) {
            uint64_t from = 0, to = v->chunks;
            while (from < to) {
                const uint64_t mid = (from + to) / 2;
                if (idx_load64(v->table + ROW * mid) < key)
                    from = mid + 1;
                else
                    to = mid;
            }
            c.count = 0, loaded = key;
            if (from < v->chunks && idx_load64(v->table + ROW * from) == key) slices_chunk_at(v, from, &c);
        }
        const uint16_t x = (uint16_t)rows[i];
        found[i] = 0, values[i] = 0;
        if (c.count == 0) continue;
        if (c.sliced) {
            found[i] = (uint8_t)container_has(&c.exists, x);
            for (uint32_t d = 0; found[i] && d < c.bits; d++)
                values[i] |= (uint64_t)(c.digit[d].card && container_has(&c.digit[d], x)) << d;
        } else {
            const uint32_t at = list_seek(c.lows, c.count, 0, x);
            found[i] = at < c.count && c.lows[at] == x;
            if (found[i]) values[i] = packed_value(c.packed, c.bits, at);
        }
        if (found[i]) values[i] += c.least;
    }
    return 0;
}

/* --- top k: a heap with the worst of the best on top --- */

typedef struct {
    uint64_t value, row;
} ranked;

/* A worse one is replaced first. Values are turned round when the smallest are wanted. */
static int worse(const ranked *a, const ranked *b) { return a->value != b->value ? a->value < b->value : a->row > b->row; }

static void settle(ranked *heap, size_t n, size_t i) {
    const ranked moving = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(&heap[child + 1], &heap[child])) child++;
        if (!worse(&heap[child], &moving)) break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

static void offer(ranked *heap, size_t *n, size_t k, ranked r) {
    if (*n < k) {
        size_t i = (*n)++;
        for (; i && worse(&r, &heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
        heap[i] = r;
    } else if (worse(&heap[0], &r)) {
        heap[0] = r;
        settle(heap, k, 0);
    }
}

/* Narrow q->among down to rows that hold its k best: those better than the k-th and those equal to it. Rinfret et al., algorithm 4.1. */
static void narrow(query *q, size_t k, int largest, word *sure, word *tied) {
    memset(sure, 0, WORDS_BYTES);
    memcpy(tied, q->among, WORDS_BYTES);
    for (uint32_t d = q->c.bits; d-- > 0;) {
        const word *digit = q->w.digit[d];
        const uint32_t better = words_combine(largest ? SET_AND : SET_ANDNOT, q->hits, tied, digit);
        const uint32_t n = words_combine(SET_OR, q->hits, q->hits, sure);
        if (n > k) {
            words_combine(largest ? SET_AND : SET_ANDNOT, tied, tied, digit);
        } else {
            if (better) memcpy(sure, q->hits, WORDS_BYTES);
            words_combine(largest ? SET_ANDNOT : SET_AND, tied, tied, digit);
            if (n == k) {
                memset(tied, 0, WORDS_BYTES);
                return;
            }
        }
    }
}

static uint64_t turned(uint64_t v, int largest) { return largest ? v : ~v; }

/* Offer the best of the loaded chunk. */
static void top_of_chunk(query *q, const container *filter, size_t k, int largest, ranked *heap, size_t *n) {
    const uint64_t base = q->c.key << 16;
    if (!q->c.sliced) {
        low *places = (low *)q->w.room;
        const uint32_t m = query_places(q, filter, places);
        for (uint32_t i = 0; i < m; i++) {
            const uint64_t v = q->c.least + packed_value(q->c.packed, q->c.bits, places[i]);
            offer(heap, n, k, (ranked){turned(v, largest), base + q->c.lows[places[i]]});
        }
        return;
    }
    word sure[WORDS], tied[WORDS];
    query_words(q, filter);
    if (*n == k) { /* only what is as good as the worst so far */
        const uint64_t bar = turned(heap[0].value, largest);
        const uint64_t a = largest && bar > q->c.least ? bar - q->c.least : 0,
                       b = !largest && bar < q->c.most ? bar - q->c.least : q->c.most - q->c.least;
        if (slices_between(q->w.digit, q->c.bits, q->among, a, b, q->among) == 0) return;
    }
    narrow(q, k, largest, sure, tied);
    size_t left = k;
    for (uint32_t pass = 0; pass < 2; pass++) /* of equal ones the first k rows are enough */
        for (uint32_t i = 0; i < WORDS; i++)
            for (uint64_t v = (pass ? tied : sure)[i]; v && (!pass || left); v &= v - 1, left -= pass) {
                const uint32_t x = i << 6 | (uint32_t)__builtin_ctzll(v);
                offer(heap, n, k, (ranked){turned(digits_at(&q->c, &q->w, x), largest), base + x});
            }
}

int64_t idx_slices_top(const idx_slices *v, const idx_rowset *filter, size_t k, int largest, uint64_t *rows, uint64_t *values) {
    query q;
    if (k == 0) return 0;
    if (query_open(&q, v, filter)) return IDX_MEMORY;
    ranked *heap = malloc(k * sizeof *heap);
    ranked *order = malloc((v->chunks ? v->chunks : 1) * sizeof *order); /* chunks, those that may hold the best on top */
    size_t n = 0, left = v->chunks;
    for (size_t i = 0; order && i < left; i++)
        order[i] =
            (ranked){turned(idx_load64(v->table + ROW * i + (largest ? 24 : 16)), !largest), i}; /* turned twice: the best is "worst" */
    for (size_t i = left / 2; order && i-- > 0;) settle(order, left, i);
    for (; heap && order && left; settle(order, left, 0)) {
        const ranked next = order[0];
        order[0] = order[--left];
        if (n == k && turned(next.value, 0) < heap[0].value) break;
        const container *some;
        if (query_load(&q, next.row, &some)) top_of_chunk(&q, some, k, largest, heap, &n);
        if (left == 0) break;
    }
    for (size_t m = n; heap && order && m > 0; m--) { /* the worst goes last */
        rows[m - 1] = heap[0].row, values[m - 1] = turned(heap[0].value, largest);
        heap[0] = heap[m - 1];
        if (m > 1) settle(heap, m - 1, 0);
    }
    const int failed = !heap || !order;
    free(heap);
    free(order);
    free(q.w.room);
    return failed ? IDX_MEMORY : (int64_t)n;
}
