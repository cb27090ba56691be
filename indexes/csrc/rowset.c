#include "indexes/csrc/rowset.h"
#include <stdlib.h>

idx_rowset *rowset_new(size_t room) {
    idx_rowset *set = calloc(1, sizeof *set);
    if (!set) return NULL;
    room = room ? room : 1;
    set->keys = malloc(room * sizeof *set->keys), set->slots = malloc(room * sizeof *set->slots), set->room = room;
    if (set->keys && set->slots) return set;
    idx_rowset_free(set);
    return NULL;
}

void idx_rowset_free(idx_rowset *set) {
    if (!set) return;
    arena_free(&set->mem);
    free(set->keys);
    free(set->slots);
    free(set);
}

int rowset_push(idx_rowset *set, uint64_t key, const container *c) {
    if (c->card == 0) return 0;
    if (set->n == set->room) {
        const size_t room = set->room * 2;
        uint64_t *keys = realloc(set->keys, room * sizeof *keys);
        if (!keys) return -1;
        set->keys = keys;
        container *slots = realloc(set->slots, room * sizeof *slots);
        if (!slots) return -1;
        set->slots = slots, set->room = room;
    }
    set->keys[set->n] = key, set->slots[set->n++] = *c;
    set->count += c->card;
    return 0;
}

int rowset_push_best(idx_rowset *set, uint64_t key, const container *c) {
    uint32_t runs;
    container out = {.card = c->card, .type = (uint8_t)container_stored_type(c, &runs)};
    uint8_t *data = arena_take(&set->mem, out.type == ARRAY ? 2 * (size_t)c->card
                                          : out.type == RUN ? 2 + 4 * (size_t)runs
                                                            : (size_t)WORDS_BYTES);
    if (!data) return -1;
    container_store(c, out.type, runs, data);
    out.data = out.type == RUN ? data + 2 : data; /* the number of runs stands before them */
    out.runs = (uint16_t)(out.type == RUN ? runs : 0);
    return rowset_push(set, key, &out);
}

/* How many of the sorted rows are of the first one's container. */
static size_t stretch_of(const uint64_t *rows, size_t n) {
    const uint64_t last = rows[0] | (SPAN - 1);
    size_t from = 1, to = n < SPAN ? n : SPAN;
    if (rows[to - 1] <= last) return to;
    while (from < to) {
        const size_t mid = (from + to) / 2;
        if (rows[mid] <= last)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

idx_rowset *rowset_of_sorted(const uint64_t *rows, size_t n) {
    const uint64_t spanned = n ? (rows[n - 1] >> 16) - (rows[0] >> 16) + 1 : 0;
    const size_t containers = spanned < n ? (size_t)spanned : n; /* at most */
    idx_rowset *set = rowset_new(containers < 64 ? containers : 64);
    low *list = malloc((n < SPAN ? n + 1 : SPAN) * sizeof *list);
    if (set) set->mem.first = n / 4096 < containers ? 2 * n : containers * (size_t)WORDS_BYTES; /* one piece as a rule: quicker to walk */
    for (size_t i = 0, m; set && list && i < n; i += m) {
        m = stretch_of(rows + i, n - i);
        size_t k = 0;
        for (; k + 8 <= m; k += 8)
            for (int j = 0; j < 8; j++) list[k + (size_t)j] = (uint16_t)rows[i + k + (size_t)j];
        for (; k < m; k++) list[k] = (uint16_t)rows[i + k];
        const container c = {.data = list, .card = (uint32_t)m, .type = ARRAY};
        if (rowset_push_best(set, rows[i] >> 16, &c)) {
            idx_rowset_free(set);
            set = NULL;
        }
    }
    if (!list) {
        idx_rowset_free(set);
        set = NULL;
    }
    free(list);
    return set;
}

/* Least significant byte first; a byte that is the same in all rows takes no pass. */
void sort_rows(uint64_t *rows, uint64_t *other, size_t n) {
    uint64_t *from = rows, *to = other;
    uint64_t differ = 0;
    for (size_t i = 1; i < n; i++) differ |= rows[i] ^ rows[0];
    for (int shift = 0; shift < 64; shift += 8) {
        if (!(differ >> shift & 255)) continue;
        size_t starts[257] = {0};
        for (size_t i = 0; i < n; i++) starts[(from[i] >> shift & 255) + 1]++;
        for (int b = 1; b < 256; b++) starts[b] += starts[b - 1];
        for (size_t i = 0; i < n; i++) to[starts[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to, to = swap;
    }
    if (from != rows) memcpy(rows, from, n * sizeof *rows);
}

typedef uint64_t pair __attribute__((vector_size(16)));

/* Whether each row is above the one before. */
static int rising(const uint64_t *rows, size_t n) {
    const pair all = {UINT64_MAX, UINT64_MAX};
    pair rises[2] = {all, all}; /* the top bit: whether the row before, less the row, borrows */
    size_t i = 1;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 2; k++) {
            pair before, here;
            memcpy(&before, rows + i + 2 * k - 1, sizeof before), memcpy(&here, rows + i + 2 * k, sizeof here);
            rises[k] &= (~before & here) | (~(before ^ here) & (before - here));
        }
    int every = (rises[0][0] & rises[0][1] & rises[1][0] & rises[1][1]) >> 63;
    for (; i < n; i++) every &= rows[i] > rows[i - 1];
    return every;
}

idx_rowset *idx_rowset_of(const uint64_t *rows, size_t n) {
    const int sorted = rising(rows, n);
    if (sorted) return rowset_of_sorted(rows, n);
    uint64_t *copy = malloc(2 * n * sizeof *copy);
    if (!copy) return NULL;
    memcpy(copy, rows, n * sizeof *copy);
    sort_rows(copy, copy + n, n);
    size_t unique = 1;
    for (size_t i = 1; i < n; i++)
        if (copy[i] != copy[unique - 1]) copy[unique++] = copy[i];
    idx_rowset *set = rowset_of_sorted(copy, unique);
    free(copy);
    return set;
}

idx_rowset *idx_rowset_range(uint64_t first, uint64_t last) {
    const uint64_t from = first >> 16, to = last >> 16;
    if (first > last) return rowset_new(0);
    /* uncovered (guard): more than a test can hold */
    if (to - from >= SIZE_MAX / sizeof(container)) return NULL;
    idx_rowset *set = rowset_new((size_t)(to - from) + 1);
    low *run = NULL; /* the containers between the first and the last share one */
    for (uint64_t key = from; set && key <= to; key++) {
        const uint32_t a = key == from ? first & 65535 : 0, b = key == to ? last & 65535 : 65535;
        if (key < from + 2 || key == to) run = arena_take(&set->mem, 4);
        if (run) run[0] = (uint16_t)a, run[1] = (uint16_t)(b - a);
        const container c = {.data = run, .card = b - a + 1, .runs = 1, .type = RUN};
        if (!run || rowset_push(set, key, &c)) {
            idx_rowset_free(set);
            return NULL;
        }
    }
    return set;
}

uint64_t idx_rowset_count(const idx_rowset *set) { return set->count; }

uint64_t idx_rowset_memory(const idx_rowset *set) {
    return sizeof *set + set->room * (sizeof *set->keys + sizeof *set->slots) + arena_size(&set->mem);
}

void idx_rowset_forms(const idx_rowset *set, uint64_t out[3]) {
    out[0] = out[1] = out[2] = 0;
    for (size_t i = 0; i < set->n; i++) out[set->slots[i].type - 1]++;
}

size_t rowset_seek(const idx_rowset *set, size_t from, uint64_t key) {
    size_t step = 1, at = from;
    while (at < set->n && set->keys[at] < key) {
        from = at + 1;
        at = set->n - at > step ? at + step : set->n;
        step *= 2;
    }
    while (from < at) {
        const size_t mid = from + (at - from) / 2;
        if (set->keys[mid] < key)
            from = mid + 1;
        else
            at = mid;
    }
    return from;
}

static int holds(const idx_rowset *set, size_t i, uint64_t key) { return i < set->n && set->keys[i] == key; }

size_t idx_rowset_rows(const idx_rowset *set, uint64_t skip, uint64_t *out, size_t room) {
    size_t done = 0;
    for (size_t i = 0; i < set->n && done < room; i++) {
        const container *c = &set->slots[i];
        if (skip >= c->card) {
            skip -= c->card;
            continue;
        }
        const uint64_t base = set->keys[i] << 16;
        if (skip == 0 && room - done >= c->card) {
            done += container_rows(c, base, out + done);
        } else { /* a part of it */
            uint64_t *all = malloc(c->card * sizeof *all);
            if (!all) return done;
            container_rows(c, base, all);
            const size_t n = c->card - skip < room - done ? (size_t)(c->card - skip) : room - done;
            memcpy(out + done, all + skip, n * sizeof *all);
            free(all);
            done += n;
        }
        skip = 0;
    }
    return done;
}

int idx_rowset_has(const idx_rowset *set, uint64_t row) {
    const size_t i = rowset_seek(set, 0, row >> 16);
    return holds(set, i, row >> 16) && container_has(&set->slots[i], (uint16_t)row);
}

void idx_rowset_has_many(const idx_rowset *set, const uint64_t *rows, size_t n, uint8_t *out) {
    size_t at = 0;
    for (size_t j = 0; j < n; j++) {
        const uint64_t key = rows[j] >> 16;
        if (!holds(set, at, key)) at = rowset_seek(set, at < set->n && set->keys[at] < key ? at : 0, key);
        out[j] = (uint8_t)(holds(set, at, key) && container_has(&set->slots[at], (uint16_t)rows[j]));
    }
}

static uint64_t rank_in(const idx_rowset *set, size_t i, uint64_t row) {
    return holds(set, i, row >> 16) ? container_below(&set->slots[i], (uint32_t)(row & 65535) + 1) : 0;
}

uint64_t idx_rowset_rank(const idx_rowset *set, uint64_t row) {
    const size_t at = rowset_seek(set, 0, row >> 16);
    uint64_t before = 0;
    for (size_t i = 0; i < at; i++) before += set->slots[i].card;
    return before + rank_in(set, at, row);
}

void idx_rowset_rank_many(const idx_rowset *set, const uint64_t *rows, size_t n, uint64_t *out) {
    size_t at = 0;
    uint64_t before = 0; /* rows in the containers 0..at-1 */
    for (size_t j = 0; j < n; j++) {
        const size_t to = rowset_seek(set, at < set->n && set->keys[at] <= rows[j] >> 16 ? at : 0, rows[j] >> 16);
        for (; at < to; at++) before += set->slots[at].card;
        for (; at > to; at--) before -= set->slots[at - 1].card;
        out[j] = before + rank_in(set, at, rows[j]);
    }
}

int idx_rowset_select(const idx_rowset *set, uint64_t i, uint64_t *row) {
    for (size_t k = 0; k < set->n; k++) {
        if (i < set->slots[k].card) {
            *row = set->keys[k] << 16 | container_select(&set->slots[k], (uint32_t)i);
            return 0;
        }
        i -= set->slots[k].card;
    }
    return -1;
}

int idx_rowset_equal(const idx_rowset *a, const idx_rowset *b) {
    if (a->n != b->n || a->count != b->count || memcmp(a->keys, b->keys, a->n * sizeof *a->keys) != 0) return 0;
    for (size_t i = 0; i < a->n; i++)
        if (!container_same(&a->slots[i], &b->slots[i])) return 0;
    return 1;
}

int idx_rowset_subset(const idx_rowset *a, const idx_rowset *b) {
    if (a->count > b->count) return 0;
    for (size_t i = 0, j = 0; i < a->n; i++) {
        j = rowset_seek(b, j, a->keys[i]);
        if (!holds(b, j, a->keys[i]) || container_and_count(&a->slots[i], &b->slots[j]) != a->slots[i].card) return 0;
    }
    return 1;
}
