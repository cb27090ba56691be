/* skiplist.c: the default memtable: a skip list (Pugh 1990) with one writer, lock-free readers and key prefixes beside its links.
 *
 *    node in memory:   [link h] ... [link 2] [link 1] | next | prefix | tag | key len | value len | key bytes | value bytes
 *                       a link is (node, its prefix)     ^ a node pointer points here; link l is l places before it
 *
 * Upper links carry the prefix of the node they lead to, so a search touches only nodes that it moves to, not those that it looks at and
 * passes by. Level 0 compares nodes themselves, as it must touch the answer anyway.
 *
 * Publication. The writer fills a node, then links it from level 0 up: first link.node, then link.prefix, both with release. Readers take
 * link.prefix first, then link.node, both with acquire. A reader that sees a half-done change so holds a prefix >= the real one of the node: it may
 * stay on a level that it could have walked on, which costs steps and never an answer, since level 0 trusts only nodes.
 *
 * Anchor. Keys often begin alike ("user0000..."), then their first 8 bytes say nothing. After ANCHOR_AT entries the list is copied once into a
 * list whose prefixes start after the common part of the keys (keys outside of that part get prefix 0 or ~0, which keeps the order).
 * The new list is published as a whole; the old one stays as it was for those who are inside.
 */
#include "lsm/csrc/arena.h"
#include "lsm/csrc/memtable_kinds.h"
#include <stdlib.h>

#define MAX_HEIGHT 16 /* of links above level 0; with p = 1/3 enough for 40 million entries */
#define ANCHOR_AT 256 /* entries */
#define ANCHOR_MAX_BYTES ((size_t)1 << 20) /* larger lists are not worth the copy */
#define LANES 16 /* look-ups in flight in get_many */

typedef struct node node;
typedef struct link {
    _Atomic(node *) node;
    _Atomic uint64_t prefix;
} link;
struct node {
    _Atomic(node *) next;
    uint64_t prefix, tag;
    uint32_t key_len, value_len;
    uint8_t key[];
};

typedef struct view {
    const uint8_t *common; /* keys are expected to begin with these */
    size_t skip; /* bytes of common */
    _Atomic int height; /* highest level in use */
    node *head;
} view;

typedef struct list {
    _Atomic(view *) view;
    lsm_arena arena;
    uint64_t random;
    _Atomic uint64_t count;
    node *path[MAX_HEIGHT + 1]; /* the writer's finger: the nodes before the place of the last insert, that insert included */
} list;

typedef struct target {
    const uint8_t *key;
    size_t n;
    uint64_t prefix, tag;
} target;

static inline link *link_of(node *x, int level) { return (link *)x - level; }
static inline node *load_next(node *x) { return atomic_load_explicit(&x->next, memory_order_acquire); }

static inline uint64_t view_prefix(const view *v, const uint8_t *key, size_t n) {
    if (!v->skip) return lsm_prefix(key, n);
    int c = memcmp(key, v->common, n < v->skip ? n : v->skip);
    if (c) return c < 0 ? 0 : UINT64_MAX;
    return n < v->skip ? 0 : lsm_prefix(key + v->skip, n - v->skip);
}

static inline target make_target(const view *v, const uint8_t *key, size_t n, uint64_t tag) {
    return (target){key, n, view_prefix(v, key, n), tag};
}

/* Whether x comes before t. */
static inline int before(const node *x, const target *t) {
    if (x->prefix != t->prefix) return x->prefix < t->prefix;
    int c = lsm_compare_keys(x->key, x->key_len, t->key, t->n);
    return c ? c < 0 : x->tag > t->tag;
}

/* First node at or after t, or NULL. path (may be NULL) becomes the last node before t on every level in use. */
static node *search(const view *v, const target *t, node **path) {
    node *x = v->head, *n;
    for (int l = atomic_load_explicit(&v->height, memory_order_acquire); l > 0; l--) {
        for (;;) {
            link *k = link_of(x, l);
            uint64_t p = atomic_load_explicit(&k->prefix, memory_order_acquire);
            if (p > t->prefix) break;
            n = atomic_load_explicit(&k->node, memory_order_acquire);
            if (p == t->prefix && (!n || !before(n, t))) break;
            x = n;
        }
        if (path) path[l] = x;
    }
    while ((n = load_next(x)) && before(n, t)) x = n;
    if (path) path[0] = x;
    return n;
}

static int random_height(list *m) {
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    uint32_t r = (uint32_t)(m->random >> 32);
    int h = 0;
    while (h < MAX_HEIGHT && r < UINT32_MAX / 3) {
        h++;
        r *= 3;
    }
    return h;
}

static node *new_node(list *m, int height, size_t bytes) {
    link *raw = lsm_arena_alloc(&m->arena, (size_t)height * sizeof(link) + sizeof(node) + bytes);
    return raw ? (node *)(raw + height) : NULL;
}

static view *new_view(list *m, const uint8_t *common, size_t skip) {
    view *v = lsm_arena_alloc(&m->arena, sizeof(*v));
    node *head = v ? new_node(m, MAX_HEIGHT, 0) : NULL;
    if (!head) return NULL;
    atomic_init(&head->next, NULL);
    for (int l = 1; l <= MAX_HEIGHT; l++) {
        atomic_init(&link_of(head, l)->node, NULL);
        atomic_init(&link_of(head, l)->prefix, UINT64_MAX);
    }
    v->common = common;
    v->skip = skip;
    atomic_init(&v->height, 0);
    v->head = head;
    return v;
}

/* Links x, which is filled, after path. path then is the finger at x. */
static void link_node(view *v, node *x, int height, node **path) {
    for (int l = atomic_load_explicit(&v->height, memory_order_relaxed) + 1; l <= height; l++) path[l] = v->head;
    atomic_store_explicit(&x->next, atomic_load_explicit(&path[0]->next, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&path[0]->next, x, memory_order_release);
    path[0] = x;
    for (int l = 1; l <= height; l++) {
        link *from = link_of(path[l], l), *to = link_of(x, l);
        atomic_store_explicit(&to->node, atomic_load_explicit(&from->node, memory_order_relaxed), memory_order_relaxed);
        atomic_store_explicit(&to->prefix, atomic_load_explicit(&from->prefix, memory_order_relaxed), memory_order_relaxed);
        atomic_store_explicit(&from->node, x, memory_order_release);
        atomic_store_explicit(&from->prefix, x->prefix, memory_order_release);
        path[l] = x;
    }
    if (height > atomic_load_explicit(&v->height, memory_order_relaxed)) atomic_store_explicit(&v->height, height, memory_order_release);
}

/* The common beginning of all keys, but leaving at least 8 bytes of the shorter of first and last to the prefix. */
static size_t common_length(node *first, node *last) {
    size_t n = first->key_len < last->key_len ? first->key_len : last->key_len, i = 0;
    n = n > 8 ? n - 8 : 0;
    while (i < n && first->key[i] == last->key[i]) i++;
    return i;
}

/* Out of memory here is no error: the list goes on as it is. */
static void anchor(list *m) {
    view *old = atomic_load_explicit(&m->view, memory_order_relaxed);
    node *first = load_next(old->head), *last = first;
    for (node *x = first; x; x = load_next(x)) last = x;
    size_t skip = common_length(first, last);
    view *v = skip ? new_view(m, first->key, skip) : NULL;
    if (!v) return;
    node *path[MAX_HEIGHT + 1] = {v->head};
    for (node *x = first; x; x = load_next(x)) {
        size_t bytes = (size_t)x->key_len + x->value_len;
        int h = random_height(m);
        node *y = new_node(m, h, bytes);
        if (!y) return;
        y->prefix = view_prefix(v, x->key, x->key_len);
        y->tag = x->tag;
        y->key_len = x->key_len;
        y->value_len = x->value_len;
        memcpy(y->key, x->key, bytes);
        link_node(v, y, h, path);
    }
    m->path[0] = NULL;
    atomic_store_explicit(&m->view, v, memory_order_release);
}

static void *skiplist_create(const lsm_memtable_config *config) {
    list *m = calloc(1, sizeof(*m));
    if (!m) return NULL;
    lsm_arena_init(&m->arena, config->budget);
    m->random = config->seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    view *v = new_view(m, NULL, 0);
    if (!v) {
        lsm_arena_free(&m->arena);
        free(m);
        return NULL;
    }
    atomic_init(&m->view, v);
    return m;
}

static void skiplist_destroy(void *self) {
    list *m = self;
    lsm_arena_free(&m->arena);
    free(m);
}

static int skiplist_add(void *self, const lsm_entry *e) {
    list *m = self;
    view *v = atomic_load_explicit(&m->view, memory_order_relaxed);
    int height = random_height(m);
    node *x = new_node(m, height, e->key_len + e->value_len);
    if (!x) return LSM_NOMEM;
    target t = make_target(v, e->key, e->key_len, lsm_tag(e->seq, e->kind));
    x->prefix = t.prefix;
    x->tag = t.tag;
    x->key_len = e->key_len;
    x->value_len = (uint32_t)e->value_len;
    memcpy(x->key, e->key, e->key_len);
    if (e->value_len) memcpy(x->key + e->key_len, e->value, e->value_len);
    node *finger = m->path[0], *after = finger ? load_next(finger) : NULL;
    if (!finger || !before(finger, &t) || (after && before(after, &t))) search(v, &t, m->path);
    link_node(v, x, height, m->path);
    uint64_t count = atomic_load_explicit(&m->count, memory_order_relaxed) + 1;
    atomic_store_explicit(&m->count, count, memory_order_release);
    if (count == ANCHOR_AT && lsm_arena_memory(&m->arena) <= ANCHOR_MAX_BYTES) anchor(m);
    return LSM_OK;
}

static inline void fill_entry(const node *x, lsm_entry *e) {
    e->key = x->key;
    e->value = x->key + x->key_len;
    e->key_len = x->key_len;
    e->kind = x->tag & 0xff;
    e->value_len = x->value_len;
    e->seq = x->tag >> 8;
}

static inline int matches(const node *x, const target *t) {
    return x && x->prefix == t->prefix && x->key_len == t->n && !memcmp(x->key, t->key, t->n);
}

static int skiplist_get(void *self, const uint8_t *key, size_t n, uint64_t snapshot, lsm_entry *out) {
    list *m = self;
    const view *v = atomic_load_explicit(&m->view, memory_order_acquire);
    target t = make_target(v, key, n, lsm_seek_tag(snapshot));
    node *x = search(v, &t, NULL);
    if (!matches(x, &t)) return LSM_NOT_FOUND;
    fill_entry(x, out);
    return LSM_OK;
}

/* One look-up in flight. waiting: a node that was prefetched and must be compared before the search goes on. */
typedef struct lane {
    target t;
    node *x, *waiting;
    int level;
    size_t slot;
} lane;

/* Runs a look-up until it wants a node that may not be in the cache (0), or is done (1: the answer is in waiting). */
static int lane_step(lane *a) {
    if (a->waiting) {
        if (before(a->waiting, &a->t))
            a->x = a->waiting;
        else if (a->level-- == 0)
            return 1;
    }
    for (; a->level > 0; a->level--) {
        link *k = link_of(a->x, a->level);
        uint64_t p = atomic_load_explicit(&k->prefix, memory_order_acquire);
        if (p > a->t.prefix) continue;
        node *n = atomic_load_explicit(&k->node, memory_order_acquire);
        if (!n) continue;
        __builtin_prefetch(link_of(n, a->level));
        a->waiting = p == a->t.prefix ? n : NULL;
        if (!a->waiting) a->x = n;
        return 0;
    }
    a->waiting = load_next(a->x);
    if (!a->waiting) return 1;
    __builtin_prefetch(a->waiting);
    return 0;
}

static void skiplist_get_many(void *self, const uint8_t *const *keys, const size_t *lens, size_t count, uint64_t snapshot, lsm_entry *out,
                              uint8_t *found) {
    list *m = self;
    const view *v = atomic_load_explicit(&m->view, memory_order_acquire);
    uint64_t tag = lsm_seek_tag(snapshot);
    int height = atomic_load_explicit(&v->height, memory_order_acquire);
    lane lanes[LANES];
    size_t begun = 0, active = 0;
    while (active || begun < count) {
        while (active < LANES && begun < count) {
            lanes[active++] = (lane){make_target(v, keys[begun], lens[begun], tag), v->head, NULL, height, begun};
            begun++;
        }
        for (size_t i = 0; i < active;) {
            lane *a = &lanes[i];
            if (!lane_step(a)) {
                i++;
                continue;
            }
            found[a->slot] = (uint8_t)matches(a->waiting, &a->t);
            if (found[a->slot]) fill_entry(a->waiting, &out[a->slot]);
            *a = lanes[--active];
        }
    }
}

typedef struct skiplist_iter {
    lsm_iter base;
    const view *view;
    node *x;
} skiplist_iter;

static inline void show(skiplist_iter *it, node *x) {
    it->x = x;
    it->base.valid = x != NULL;
    if (!x) return;
    fill_entry(x, &it->base.entry);
    __builtin_prefetch(atomic_load_explicit(&x->next, memory_order_relaxed));
}

static inline void show_before(skiplist_iter *it, const target *t) {
    node *path[MAX_HEIGHT + 1];
    search(it->view, t, path);
    show(it, path[0] == it->view->head ? NULL : path[0]);
}

static void iter_first(lsm_iter *base) {
    skiplist_iter *it = (skiplist_iter *)base;
    show(it, load_next(it->view->head));
}

static void iter_last(lsm_iter *base) {
    skiplist_iter *it = (skiplist_iter *)base;
    node *x = it->view->head, *n;
    for (int l = atomic_load_explicit(&it->view->height, memory_order_acquire); l > 0; l--)
        while ((n = atomic_load_explicit(&link_of(x, l)->node, memory_order_acquire))) x = n;
    while ((n = load_next(x))) x = n;
    show(it, x == it->view->head ? NULL : x);
}

static void iter_seek(lsm_iter *base, const uint8_t *key, size_t n, uint64_t seq) {
    skiplist_iter *it = (skiplist_iter *)base;
    target t = make_target(it->view, key, n, lsm_seek_tag(seq));
    show(it, search(it->view, &t, NULL));
}

static void iter_seek_before(lsm_iter *base, const uint8_t *key, size_t n) {
    skiplist_iter *it = (skiplist_iter *)base;
    target t = make_target(it->view, key, n, UINT64_MAX);
    show_before(it, &t);
}

static void iter_next(lsm_iter *base) {
    skiplist_iter *it = (skiplist_iter *)base;
    show(it, load_next(it->x));
}

/* No back links: a step back is a search for the node before this one. */
static void iter_prev(lsm_iter *base) {
    skiplist_iter *it = (skiplist_iter *)base;
    target t = {it->x->key, it->x->key_len, it->x->prefix, it->x->tag};
    show_before(it, &t);
}

static void iter_close(lsm_iter *base) { free(base); }

static const lsm_iter_ops iter_ops = {
    LSM_ABI, sizeof(lsm_iter_ops), iter_first, iter_last, iter_seek, iter_seek_before, iter_next, iter_prev, iter_close};

static lsm_iter *skiplist_iter_new(void *self) {
    skiplist_iter *it = calloc(1, sizeof(*it));
    if (!it) return NULL;
    it->base.ops = &iter_ops;
    it->view = atomic_load_explicit(&((list *)self)->view, memory_order_acquire);
    return &it->base;
}

static size_t skiplist_memory(void *self) { return sizeof(list) + lsm_arena_memory(&((list *)self)->arena); }
static uint64_t skiplist_count(void *self) { return atomic_load_explicit(&((list *)self)->count, memory_order_acquire); }
static void skiplist_seal(void *self) { (void)self; } /* sorted at any time */

const lsm_memtable_ops lsm_skiplist_ops = {
    LSM_ABI,      sizeof(lsm_memtable_ops), "skiplist",        skiplist_create, skiplist_destroy, skiplist_add,
    skiplist_get, skiplist_get_many,        skiplist_iter_new, skiplist_memory, skiplist_count,   skiplist_seal,
};
