#include "indexes/csrc/entries.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/hash.h"
#include <stdlib.h>

int entry_key_order(const entry *a, const entry *b) {
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    const uint32_t least = a->size < b->size ? a->size : b->size;
    const int c = least ? memcmp(a->key, b->key, least) : 0;
    return c ? c : (a->size > b->size) - (a->size < b->size);
}

int entry_order(const entry *a, const entry *b) {
    const int c = entry_key_order(a, b);
    return c ? c : (a->row > b->row) - (a->row < b->row);
}

uint64_t key_rank(const uint8_t *key, size_t n, int hashed) {
    if (hashed) return idx_xxh3(key, n);
    if (n >= 8) return __builtin_bswap64(idx_load64(key));
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)key[i] << (56 - 8 * i);
    return v;
}

/* --- buffer --- */

const uint8_t *idx_buffer_data(const idx_buffer *b) { return b->data; }

size_t idx_buffer_size(const idx_buffer *b) { return b->size; }

void idx_buffer_free(idx_buffer *b) {
    if (!b) return;
    free(b->data);
    free(b);
}

uint8_t *buffer_more(idx_buffer *b, size_t more) {
    if (b->room - b->size < more) {
        size_t room = b->room ? b->room * 2 : 4096;
        if (room - b->size < more) room = b->size + more;
        uint8_t *data = realloc(b->data, room);
        if (!data) return NULL;
        b->data = data, b->room = room;
    }
    uint8_t *at = b->data + b->size;
    b->size += more;
    return at;
}

int buffer_put(idx_buffer *b, const void *bytes, size_t n) {
    if (n == 0) return 0;
    uint8_t *at = buffer_more(b, n);
    if (!at) return IDX_MEMORY;
    memcpy(at, bytes, n);
    return 0;
}

int buffer_put64(idx_buffer *b, uint64_t v) {
    uint8_t *at = buffer_more(b, 8);
    if (!at) return IDX_MEMORY;
    idx_store64(at, v);
    return 0;
}

/* --- cursors --- */

void idx_cursor_free(idx_cursor *c) {
    if (c) c->close(c);
}

int64_t idx_cursor_batch(idx_cursor *c, size_t n, uint8_t *keys, size_t room, uint64_t *offsets, uint64_t *rows, size_t *need) {
    size_t used = 0, i = 0;
    offsets[0] = 0, *need = 0;
    for (; i < n; i++) {
        if (!c->holds) {
            const int got = c->next(c, &c->held);
            if (got < 0) return got;
            if (got == 0) break;
        }
        c->holds = room - used < c->held.size;
        if (c->holds) {
            *need = c->held.size;
            break;
        }
        if (c->held.size) memcpy(keys + used, c->held.key, c->held.size);
        used += c->held.size;
        offsets[i + 1] = used, rows[i] = c->held.row;
    }
    return (int64_t)i;
}

/* Sorting: by rank with a radix sort of (rank, place), then whole entries where ranks are equal. */
typedef struct {
    uint64_t rank;
    size_t place;
} ranked;

typedef struct {
    idx_cursor base;
    const uint8_t *bytes;
    const uint64_t *offsets, *rows;
    ranked *order; /* with short keys: (rank, row), all that there is, so that nothing is looked up out of order */
    size_t n, at;
    int is_short; /* all keys are of `width` bytes, 8 at most, and the rank is the key */
    uint32_t width;
    uint8_t key[8];
} arrays_cursor;

static entry entry_at(const arrays_cursor *c, size_t i) {
    const size_t p = c->order[i].place;
    if (c->is_short) return (entry){.rank = c->order[i].rank, .row = p};
    return (entry){.rank = c->order[i].rank,
                   .row = c->rows[p],
                   .key = c->bytes + c->offsets[p],
                   .size = (uint32_t)(c->offsets[p + 1] - c->offsets[p])};
}

static int arrays_next(idx_cursor *cursor, entry *out) {
    arrays_cursor *c = (arrays_cursor *)cursor;
    if (c->at == c->n) return 0;
    *out = entry_at(c, c->at++);
    if (c->is_short) {
        const uint64_t first_low = __builtin_bswap64(out->rank);
        memcpy(c->key, &first_low, 8);
        out->key = c->key, out->size = c->width;
    }
    return 1;
}

static void arrays_close(idx_cursor *cursor) {
    free(((arrays_cursor *)cursor)->order);
    free(cursor);
}

static ranked *sort_ranked(ranked *from, ranked *to, size_t n) {
    uint64_t differ = 0;
    for (size_t i = 1; i < n; i++) differ |= from[i].rank ^ from[0].rank;
    for (int shift = 0; shift < 64; shift += 8) {
        if (!(differ >> shift & 255)) continue;
        size_t starts[257] = {0};
        for (size_t i = 0; i < n; i++) starts[(from[i].rank >> shift & 255) + 1]++;
        for (int b = 1; b < 256; b++) starts[b] += starts[b - 1];
        for (size_t i = 0; i < n; i++) to[starts[from[i].rank >> shift & 255]++] = from[i];
        ranked *swap = from;
        from = to, to = swap;
    }
    return from;
}

/* Merge sort of order[from, to), of one rank, by (key, row). */
static void sort_ties(arrays_cursor *c, ranked *other, size_t from, size_t to) {
    for (size_t width = 1; width < to - from; width *= 2) {
        for (size_t a = from; a < to; a += 2 * width) {
            const size_t b = to - a > width ? a + width : to, end = to - a > 2 * width ? a + 2 * width : to;
            size_t i = a, j = b;
            for (size_t k = a; k < end; k++) {
                const entry x = i < b ? entry_at(c, i) : (entry){0}, y = j < end ? entry_at(c, j) : (entry){0};
                other[k] = j == end || (i < b && entry_order(&x, &y) <= 0) ? c->order[i++] : c->order[j++];
            }
        }
        memcpy(c->order + from, other + from, (to - from) * sizeof *other);
    }
}

idx_cursor *idx_cursor_arrays(const uint8_t *bytes, const uint64_t *offsets, const uint64_t *rows, size_t n, int hashed) {
    arrays_cursor *c = calloc(1, sizeof *c);
    ranked *order = malloc((n ? n : 1) * sizeof *order), *other = malloc((n ? n : 1) * sizeof *other);
    if (!c || !order || !other) {
        free(c);
        free(order);
        free(other);
        return NULL;
    }
    *c = (arrays_cursor){.base = {.next = arrays_next, .close = arrays_close}, .bytes = bytes, .offsets = offsets, .rows = rows, .n = n};
    int sorted = 1;
    c->width = n ? (uint32_t)(offsets[1] - offsets[0]) : 0;
    c->is_short = !hashed && c->width <= 8 && sizeof(size_t) == 8;
    for (size_t i = 1; i < n && c->is_short; i++) c->is_short = offsets[i + 1] - offsets[i] == c->width;
    for (size_t i = 0; i < n; i++) {
        const uint64_t rank = key_rank(bytes + offsets[i], offsets[i + 1] - offsets[i], hashed);
        order[i] = (ranked){rank, c->is_short ? (size_t)rows[i] : i};
        sorted &= i == 0 || order[i - 1].rank <= order[i].rank;
    }
    c->order = sorted ? order : sort_ranked(order, other, n);
    if (c->order != order) other = order;
    for (size_t i = 0, j; i < n; i = j) {
        int tidy = 1;
        j = i + 1;
        if (j == n || c->order[j].rank != c->order[i].rank) continue;
        entry before = entry_at(c, i);
        for (; j < n && c->order[j].rank == c->order[i].rank; j++) {
            const entry here = entry_at(c, j);
            tidy &= entry_order(&before, &here) <= 0;
            before = here;
        }
        if (!tidy) sort_ties(c, other, i, j);
    }
    free(other);
    return &c->base;
}

/* --- merge: a heap of the parts' next entries --- */

typedef struct {
    entry head;
    idx_cursor *from;
    const idx_rowset *hide;
} stream;

typedef struct {
    idx_cursor base;
    stream *heap; /* heap[0] has the least head */
    size_t n;
    int started;
    idx_buffer last; /* key of the last entry given, to leave out its equals */
    entry given;
    idx_cursor **parts;
    size_t all;
} merge_cursor;

static int advance(stream *s) {
    int got;
    do got = s->from->next(s->from, &s->head);
    while (got == 1 && s->hide && idx_rowset_has(s->hide, s->head.row));
    return got;
}

static void sift_down(merge_cursor *m, size_t i) {
    const stream moving = m->heap[i];
    for (size_t child; (child = 2 * i + 1) < m->n; i = child) {
        if (child + 1 < m->n && entry_order(&m->heap[child + 1].head, &m->heap[child].head) < 0) child++;
        if (entry_order(&moving.head, &m->heap[child].head) <= 0) break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = moving;
}

/* Step the first stream, or drop it at its end. */
static int step(merge_cursor *m, size_t i) {
    const int got = advance(&m->heap[i]);
    if (got < 0) return got;
    if (got == 0) m->heap[i] = m->heap[--m->n];
    if (i < m->n && m->started) sift_down(m, i);
    return got;
}

static int merge_next(idx_cursor *cursor, entry *out) {
    merge_cursor *m = (merge_cursor *)cursor;
    if (!m->started) {
        for (size_t i = m->n; i-- > 0;) {
            const int got = step(m, i);
            if (got < 0) return got;
        }
        for (size_t i = m->n / 2; i-- > 0;) sift_down(m, i);
        m->started = 1;
    } else if (m->given.key) {
        int same = 1;
        while (m->n && same) {
            const int got = step(m, 0);
            if (got < 0) return got;
            same = m->n && entry_order(&m->heap[0].head, &m->given) == 0;
        }
    }
    if (m->n == 0) return 0;
    *out = m->heap[0].head;
    m->last.size = 0; /* a copy: the stream's own key goes with its next step */
    if (buffer_put(&m->last, out->key, out->size) || !buffer_more(&m->last, 1)) return IDX_MEMORY;
    m->given = *out, m->given.key = m->last.data;
    return 1;
}

static void merge_close(idx_cursor *cursor) {
    merge_cursor *m = (merge_cursor *)cursor;
    for (size_t i = 0; i < m->all; i++) idx_cursor_free(m->parts[i]);
    free(m->last.data);
    free(m->heap);
    free(m->parts);
    free(m);
}

idx_cursor *idx_cursor_merge(idx_cursor **parts, const idx_rowset *const *hide, size_t n) {
    merge_cursor *m = calloc(1, sizeof *m);
    stream *heap = calloc(n ? n : 1, sizeof *heap);
    idx_cursor **own = calloc(n ? n : 1, sizeof(idx_cursor *));
    if (!m || !heap || !own) {
        for (size_t i = 0; i < n; i++) idx_cursor_free(parts[i]);
        free(m);
        free(heap);
        free(own);
        return NULL;
    }
    *m = (merge_cursor){.base = {.next = merge_next, .close = merge_close}, .heap = heap, .n = n, .parts = own, .all = n};
    for (size_t i = 0; i < n; i++) {
        own[i] = parts[i];
        heap[i] = (stream){.from = parts[i], .hide = hide[i]};
    }
    return &m->base;
}
