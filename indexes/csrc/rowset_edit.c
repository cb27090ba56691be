#include "indexes/csrc/rowset_edit.h"
#include <stdlib.h>

enum { BACK_TO_LIST = 2048, FIRST_ROOM = 4, EMPTY = 0 };

typedef struct {
    uint64_t key;
    void *data; /* low[room], or words when room is 0 */
    uint32_t card; /* EMPTY: no part here */
    uint32_t room;
} part;

struct idx_rows_edit {
    part *table; /* open addressing, linear probing; capacity a power of two */
    size_t capacity, used;
    size_t last; /* where the last row went */
    uint64_t count, bytes;
};

static size_t home(const idx_rows_edit *e, uint64_t key) { return (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (e->capacity - 1); }

idx_rows_edit *idx_edit_new(void) {
    idx_rows_edit *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->capacity = 4;
    e->table = calloc(e->capacity, sizeof *e->table);
    if (e->table) return e;
    free(e);
    return NULL;
}

void idx_edit_free(idx_rows_edit *e) {
    if (!e) return;
    for (size_t i = 0; i < e->capacity; i++) free(e->table[i].data);
    free(e->table);
    free(e);
}

/* Where the key's part is, or the free place for it. */
static size_t find(const idx_rows_edit *e, uint64_t key) {
    if (e->table[e->last].key == key && e->table[e->last].card) return e->last;
    size_t i = home(e, key);
    while (e->table[i].card && e->table[i].key != key) i = (i + 1) & (e->capacity - 1);
    return i;
}

static int grow(idx_rows_edit *e) {
    part *old = e->table;
    const size_t n = e->capacity;
    part *table = calloc(n * 2, sizeof *table);
    if (!table) return -1;
    e->table = table, e->capacity = n * 2, e->last = 0;
    for (size_t i = 0; i < n; i++)
        if (old[i].card) e->table[find(e, old[i].key)] = old[i];
    free(old);
    return 0;
}

/* The part at i goes; what follows it moves up so that no probe meets a gap. */
static void erase(idx_rows_edit *e, size_t i) {
    const size_t mask = e->capacity - 1;
    free(e->table[i].data);
    for (size_t j = (i + 1) & mask; e->table[j].card; j = (j + 1) & mask) {
        if (((j - home(e, e->table[j].key)) & mask) < ((j - i) & mask)) continue;
        e->table[i] = e->table[j];
        i = j;
    }
    e->table[i] = (part){0};
    e->used--, e->last = 0;
}

static size_t bytes_of(const part *p) { return p->room ? p->room * sizeof(low) : p->data ? (size_t)WORDS_BYTES : 0; }

/* The list becomes words. */
static int to_words(idx_rows_edit *e, part *p) {
    word *words = calloc(1, WORDS_BYTES);
    if (!words) return -1;
    words_apply_list(SET_OR, words, p->data, p->card);
    e->bytes += WORDS_BYTES - bytes_of(p);
    free(p->data);
    p->data = words, p->room = 0;
    return 0;
}

/* Room for one more in a list. */
static int make_room(idx_rows_edit *e, part *p) {
    if (p->card == MOST_ARRAY) return to_words(e, p);
    const uint32_t room = p->room ? p->room * 2 : FIRST_ROOM;
    low *list = realloc(p->data, room * sizeof *list);
    if (!list) return -1;
    e->bytes += room * sizeof *list - bytes_of(p);
    p->data = list, p->room = room;
    return 0;
}

static int add_to(idx_rows_edit *e, part *p, uint16_t x) {
    if (p->card && p->room == 0) {
        word *w = (word *)p->data + (x >> 6);
        const uint64_t bit = UINT64_C(1) << (x & 63);
        const int is_new = !(*w & bit);
        *w |= bit, p->card += (uint32_t)is_new;
        return is_new;
    }
    low *list = p->data;
    uint32_t i = p->card;
    if (i && list[i - 1] >= x) {
        i = list_seek(list, p->card, 0, x);
        if (list[i] == x) return 0;
    }
    if (p->card == p->room || p->card == MOST_ARRAY) {
        if (make_room(e, p)) return -1;
        if (p->room == 0) return add_to(e, p, x);
        list = p->data;
    }
    memmove(list + i + 1, list + i, (p->card - i) * sizeof *list);
    list[i] = x;
    p->card++;
    return 1;
}

int idx_edit_add(idx_rows_edit *e, uint64_t row) {
    size_t i = find(e, row >> 16);
    const int fresh = !e->table[i].card;
    if (fresh) {
        if ((e->used + 1) * 4 > e->capacity * 3) {
            if (grow(e)) return -1;
            i = find(e, row >> 16);
        }
        e->table[i] = (part){.key = row >> 16};
        e->used++;
    }
    const int added = add_to(e, &e->table[i], (uint16_t)row);
    if (added < 0 && fresh) erase(e, i);
    if (added > 0) e->count++, e->last = i;
    return added;
}

int idx_edit_remove(idx_rows_edit *e, uint64_t row) {
    const size_t i = find(e, row >> 16);
    part *p = &e->table[i];
    const uint16_t x = (uint16_t)row;
    if (!p->card) return 0;
    if (p->room == 0) {
        word *w = (word *)p->data + (x >> 6);
        if (!(*w >> (x & 63) & 1)) return 0;
        *w &= ~(UINT64_C(1) << (x & 63));
        if (p->card - 1 < BACK_TO_LIST) {
            low *list = malloc(MOST_ARRAY * sizeof *list);
            if (list) {
                words_list(p->data, list);
                free(p->data);
                p->data = list, p->room = MOST_ARRAY; /* as many bytes as the words */
            }
        }
    } else {
        low *list = p->data;
        const uint32_t at = list_seek(list, p->card, 0, x);
        if (at == p->card || list[at] != x) return 0;
        memmove(list + at, list + at + 1, (p->card - at - 1) * sizeof *list);
    }
    e->count--;
    if (--p->card == 0) {
        e->bytes -= bytes_of(p);
        erase(e, i);
    }
    return 1;
}

int idx_edit_add_many(idx_rows_edit *e, const uint64_t *rows, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (idx_edit_add(e, rows[i]) < 0) return -1;
    return 0;
}

int idx_edit_remove_many(idx_rows_edit *e, const uint64_t *rows, size_t n) {
    for (size_t i = 0; i < n; i++) idx_edit_remove(e, rows[i]);
    return 0;
}

int idx_edit_merge(idx_rows_edit *e, idx_setop op, const idx_rowset *set) {
    uint64_t *rows = malloc(SPAN * sizeof *rows);
    int failed = !rows;
    for (size_t i = 0; !failed && i < set->n; i++) {
        const uint32_t n = container_rows(&set->slots[i], set->keys[i] << 16, rows);
        failed = op == IDX_OR ? idx_edit_add_many(e, rows, n) : idx_edit_remove_many(e, rows, n);
    }
    free(rows);
    return failed ? -1 : 0;
}

int idx_edit_has(const idx_rows_edit *e, uint64_t row) {
    const part *p = &e->table[find(e, row >> 16)];
    if (!p->card) return 0;
    const container c = {.data = p->data, .card = p->card, .type = p->room ? ARRAY : BITMAP};
    return container_has(&c, (uint16_t)row);
}

uint64_t idx_edit_count(const idx_rows_edit *e) { return e->count; }

uint64_t idx_edit_memory(const idx_rows_edit *e) { return sizeof *e + e->capacity * sizeof *e->table + e->bytes; }

idx_rowset *idx_edit_freeze(const idx_rows_edit *e) {
    uint64_t *keys = malloc((e->used ? e->used : 1) * 2 * sizeof *keys);
    idx_rowset *set = keys ? rowset_new(e->used) : NULL;
    size_t n = 0;
    for (size_t i = 0; set && i < e->capacity; i++)
        if (e->table[i].card) keys[n++] = e->table[i].key;
    if (set) sort_rows(keys, keys + n, n);
    for (size_t i = 0; set && i < n; i++) {
        const part *p = &e->table[find(e, keys[i])];
        const container c = {.data = p->data, .card = p->card, .type = p->room ? ARRAY : BITMAP};
        if (rowset_push_best(set, keys[i], &c)) {
            idx_rowset_free(set);
            set = NULL;
        }
    }
    free(keys);
    return set;
}
