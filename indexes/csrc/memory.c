#include "indexes/csrc/memory.h"
#include <stdlib.h>

enum { FAN = 64 };

typedef struct record {
    struct record *of_row; /* the next entry of the same row */
    uint64_t row;
    uint32_t size;
    uint8_t key[];
} record;

typedef struct node {
    uint32_t n;      /* items */
    uint32_t height; /* 0: leaf */
    uint64_t rank[FAN];
    record *item[FAN];
    struct node *prev, *next; /* leaves */
    struct node *child[];     /* inner: n + 1 */
} node;

struct idx_memory {
    node *root;
    record **rows; /* open addressing by row; capacity a power of two */
    size_t capacity, used;
    uint64_t count, node_bytes;
    int hashed;
    arena mem;
};

typedef struct {
    const node *leaf;
    uint32_t at;
} position;

static node *new_node(idx_memory *m, uint32_t height) {
    const size_t size = sizeof(node) + (height ? (FAN + 1) * sizeof(node *) : 0);
    node *p = malloc(size);
    if (p) p->n = 0, p->height = height, p->prev = p->next = NULL, m->node_bytes += size;
    return p;
}

idx_memory *idx_memory_new(int hashed) {
    idx_memory *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->hashed = hashed, m->capacity = 16;
    m->root = new_node(m, 0), m->rows = calloc(m->capacity, sizeof *m->rows);
    if (m->root && m->rows) return m;
    idx_memory_free(m);
    return NULL;
}

static void free_nodes(node *p) {
    if (!p) return;
    for (uint32_t i = 0; p->height && i <= p->n; i++) free_nodes(p->child[i]);
    free(p);
}

void idx_memory_free(idx_memory *m) {
    if (!m) return;
    free_nodes(m->root);
    arena_free(&m->mem);
    free(m->rows);
    free(m);
}

uint64_t idx_memory_count(const idx_memory *m) { return m->count; }

uint64_t idx_memory_bytes(const idx_memory *m) { return sizeof *m + m->node_bytes + m->capacity * sizeof *m->rows + arena_size(&m->mem); }

static entry entry_of(const node *p, uint32_t i) {
    return (entry){.rank = p->rank[i], .row = p->item[i]->row, .key = p->item[i]->key, .size = p->item[i]->size};
}

/* How many items of the node are < the probe, or with or_equal, <= it. */
static uint32_t below(const node *p, const entry *probe, int or_equal) {
    uint32_t from = 0, to = p->n;
    while (from < to) {
        const uint32_t mid = (from + to) / 2;
        int c = p->rank[mid] < probe->rank ? -1 : p->rank[mid] > probe->rank;
        if (c == 0) {
            const entry e = entry_of(p, mid);
            c = entry_order(&e, probe);
        }
        if (c < or_equal)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

/* The first entry >= the probe, or with after, > it; at the end of the last leaf when there is none. */
static position locate(const idx_memory *m, const entry *probe, int after) {
    const node *p = m->root;
    while (p->height) p = p->child[below(p, probe, 1)];
    position at = {p, below(p, probe, after)};
    while (at.at == at.leaf->n && at.leaf->next) at = (position){at.leaf->next, 0};
    return at;
}

/* --- entries by row --- */

static size_t row_slot(const idx_memory *m, uint64_t row) {
    size_t i = (size_t)(row * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (m->capacity - 1);
    while (m->rows[i] && m->rows[i]->row != row) i = (i + 1) & (m->capacity - 1);
    return i;
}

static int grow_rows(idx_memory *m) {
    record **old = m->rows, **rows = calloc(m->capacity * 2, sizeof(record *));
    if (!rows) return IDX_MEMORY;
    const size_t n = m->capacity;
    m->rows = rows, m->capacity = n * 2;
    for (size_t i = 0; i < n; i++)
        if (old[i]) rows[row_slot(m, old[i]->row)] = old[i];
    free(old);
    return 0;
}

static void drop_slot(idx_memory *m, size_t i) {
    const size_t mask = m->capacity - 1;
    for (size_t j = (i + 1) & mask; m->rows[j]; j = (j + 1) & mask) {
        const size_t home = (size_t)(m->rows[j]->row * UINT64_C(0x9E3779B97F4A7C15) >> 20) & mask;
        if (((j - home) & mask) < ((j - i) & mask)) continue;
        m->rows[i] = m->rows[j];
        i = j;
    }
    m->rows[i] = NULL;
    m->used--;
}

/* --- insertion --- */

static void insert_item(node *p, uint32_t at, uint64_t rank, record *item) {
    memmove(p->rank + at + 1, p->rank + at, (p->n - at) * sizeof *p->rank);
    memmove(p->item + at + 1, p->item + at, (p->n - at) * sizeof(record *));
    p->rank[at] = rank, p->item[at] = item;
    p->n++;
}

/* Child i of an inner node with room is full: its upper half becomes child i + 1. Past the end of the last leaf it stays nearly full. */
static int split_child(idx_memory *m, node *p, uint32_t i, int at_end) {
    node *left = p->child[i], *right = new_node(m, left->height);
    if (!right) return IDX_MEMORY;
    const uint32_t keep = at_end ? FAN - 2 : FAN / 2, up = left->height ? 1 : 0; /* an inner node's middle item moves up */
    right->n = FAN - keep - up;
    memcpy(right->rank, left->rank + keep + up, right->n * sizeof *left->rank);
    memcpy(right->item, left->item + keep + up, right->n * sizeof(record *));
    if (left->height) memcpy(right->child, left->child + keep + 1, (right->n + 1) * sizeof(node *));
    left->n = keep;
    memmove(p->child + i + 2, p->child + i + 1, (p->n - i) * sizeof(node *));
    p->child[i + 1] = right;
    insert_item(p, i, left->rank[keep], left->item[keep]);
    if (!left->height) {
        right->prev = left, right->next = left->next;
        if (right->next) right->next->prev = right;
        left->next = right;
    }
    return 0;
}

/* The leaf for the probe, with room, splitting full nodes on the way down. */
static node *leaf_with_room(idx_memory *m, const entry *probe) {
    if (m->root->n == FAN) {
        node *root = new_node(m, m->root->height + 1);
        if (!root) return NULL;
        root->child[0] = m->root;
        m->root = root;
    }
    node *p = m->root;
    while (p->height) {
        uint32_t i = below(p, probe, 1);
        const node *child = p->child[i];
        if (child->n == FAN) {
            const int at_end = i == p->n && below(child, probe, 1) == FAN;
            if (split_child(m, p, i, at_end)) return NULL;
            i = below(p, probe, 1);
        }
        p = p->child[i];
    }
    return p;
}

int idx_memory_add(idx_memory *m, const uint8_t *key, size_t n, uint64_t row) {
    const entry probe = {.rank = key_rank(key, n, m->hashed), .row = row, .key = key, .size = (uint32_t)n};
    if ((m->used + 1) * 4 > m->capacity * 3 && grow_rows(m)) return IDX_MEMORY;
    node *leaf = leaf_with_room(m, &probe);
    if (!leaf) return IDX_MEMORY;
    const uint32_t at = below(leaf, &probe, 0);
    if (at < leaf->n && leaf->rank[at] == probe.rank) {
        const entry here = entry_of(leaf, at);
        if (entry_order(&here, &probe) == 0) return 0;
    }
    record *r = arena_take(&m->mem, sizeof *r + n);
    if (!r) return IDX_MEMORY;
    const size_t slot = row_slot(m, row);
    m->used += m->rows[slot] == NULL;
    *r = (record){.of_row = m->rows[slot], .row = row, .size = (uint32_t)n};
    if (n) memcpy(r->key, key, n);
    m->rows[slot] = r;
    insert_item(leaf, at, probe.rank, r);
    m->count++;
    return 1;
}

int idx_memory_add_many(idx_memory *m, const uint8_t *bytes, const uint64_t *offsets, const uint64_t *rows, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (idx_memory_add(m, bytes + offsets[i], offsets[i + 1] - offsets[i], rows[i]) < 0) return IDX_MEMORY;
    return 0;
}

/* --- removal --- */

static int remove_item(idx_memory *m, const entry *e) {
    const position found = locate(m, e, 0);
    node *leaf = (node *)(uintptr_t)found.leaf;
    if (found.at == leaf->n) return 0;
    const entry here = entry_of(leaf, found.at);
    if (entry_order(&here, e) != 0) return 0;
    memmove(leaf->rank + found.at, leaf->rank + found.at + 1, (leaf->n - found.at - 1) * sizeof *leaf->rank);
    memmove(leaf->item + found.at, leaf->item + found.at + 1, (leaf->n - found.at - 1) * sizeof(record *));
    leaf->n--;
    m->count--;
    return 1;
}

int idx_memory_remove(idx_memory *m, const uint8_t *key, size_t n, uint64_t row) {
    const entry e = {.rank = key_rank(key, n, m->hashed), .row = row, .key = key, .size = (uint32_t)n};
    if (!remove_item(m, &e)) return 0;
    const size_t slot = row_slot(m, row);
    record **at = &m->rows[slot];
    while ((*at)->size != n || memcmp((*at)->key, key, n) != 0) at = &(*at)->of_row;
    if (at == &m->rows[slot] && !(*at)->of_row)
        drop_slot(m, slot);
    else
        *at = (*at)->of_row;
    return 1;
}

uint64_t idx_memory_remove_row(idx_memory *m, uint64_t row) {
    const size_t slot = row_slot(m, row);
    uint64_t removed = 0;
    if (!m->rows[slot]) return 0;
    for (const record *r = m->rows[slot]; r; r = r->of_row) {
        const entry e = {.rank = key_rank(r->key, r->size, m->hashed), .row = row, .key = r->key, .size = r->size};
        removed += (uint64_t)remove_item(m, &e);
    }
    drop_slot(m, slot);
    return removed;
}

/* --- reading --- */

static position first_from(const idx_memory *m, const uint8_t *key, int32_t n, int after) {
    if (n >= 0) {
        const entry probe = {
            .rank = key_rank(key, (size_t)n, m->hashed), .row = after ? UINT64_MAX : 0, .key = key, .size = (uint32_t)n};
        return locate(m, &probe, after);
    }
    const node *p = m->root;
    while (p->height) p = p->child[0];
    position at = {p, 0};
    while (at.at == at.leaf->n && at.leaf->next) at = (position){at.leaf->next, 0};
    return at;
}

static position end_of(const idx_memory *m) {
    const node *p = m->root;
    while (p->height) p = p->child[p->n];
    return (position){p, p->n};
}

static position next_of(position p) {
    p.at++;
    while (p.at == p.leaf->n && p.leaf->next) p = (position){p.leaf->next, 0};
    return p;
}

static int same(position a, position b) { return a.leaf == b.leaf && a.at == b.at; }

/* The bounds as positions; 0: nothing between them. */
static int bounds(const idx_memory *m, const uint8_t *low, int32_t n_low, int after_low, const uint8_t *high, int32_t n_high, int with_high,
                  position *from, position *to) {
    if (n_low >= 0 && n_high >= 0) {
        const entry a = {.rank = key_rank(low, (size_t)n_low, m->hashed), .key = low, .size = (uint32_t)n_low};
        const entry b = {.rank = key_rank(high, (size_t)n_high, m->hashed), .key = high, .size = (uint32_t)n_high};
        const int c = entry_key_order(&a, &b);
        if (c > 0 || (c == 0 && (after_low || !with_high))) return 0;
    }
    *from = first_from(m, low, n_low, after_low);
    *to = n_high < 0 ? end_of(m) : first_from(m, high, n_high, with_high);
    return 1;
}

uint64_t idx_memory_rows(const idx_memory *m, const uint8_t *low, int32_t n_low, int after_low, const uint8_t *high, int32_t n_high,
                         int with_high, uint64_t *out, uint64_t room) {
    position from, to;
    uint64_t count = 0;
    if (!bounds(m, low, n_low, after_low, high, n_high, with_high, &from, &to)) return 0;
    for (; !same(from, to); from = next_of(from), count++)
        if (count < room) out[count] = from.leaf->item[from.at]->row;
    return count;
}

typedef struct {
    idx_cursor base;
    position from, to;
    int backward;
} memory_cursor;

static int cursor_next(idx_cursor *cursor, entry *out) {
    memory_cursor *c = (memory_cursor *)cursor;
    if (same(c->from, c->to)) return 0;
    if (c->backward) {
        while (c->to.at == 0) c->to = (position){c->to.leaf->prev, c->to.leaf->prev->n};
        c->to.at--;
        *out = entry_of(c->to.leaf, c->to.at);
    } else {
        *out = entry_of(c->from.leaf, c->from.at);
        c->from = next_of(c->from);
    }
    return 1;
}

static void cursor_close(idx_cursor *cursor) { free(cursor); }

idx_cursor *idx_memory_cursor(const idx_memory *m, const uint8_t *low, int32_t n_low, int after_low, const uint8_t *high, int32_t n_high,
                              int with_high, int backward) {
    memory_cursor *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    *c = (memory_cursor){.base = {.next = cursor_next, .close = cursor_close}, .backward = backward};
    if (!bounds(m, low, n_low, after_low, high, n_high, with_high, &c->from, &c->to)) c->from = c->to = end_of(m);
    return &c->base;
}
