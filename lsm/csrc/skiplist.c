/* skiplist.c: the memtable "skiplist": a skip list (Pugh 1990) with one writer and lock-free readers, its index apart from its entries.
 *
 *    tower:  | base | next | link 1 | link 2 | ... | link h      one for every third entry, in an arena of their own
 *                |                (a link is a tower and the prefix of its key)
 *    node:   | next | tag | key len | value len | key | value    all entries, in order: this chain is the truth
 *
 * Towers are small and lie together, so the index of a 64 MiB memtable stays in the processor's cache, and links carry the prefix of the key
 * they lead to, so a search hardly touches a node before level 0. A tower's next repeats its node's, so that landing costs no look at the node.
 *
 * Publication. The writer fills a node, then links it into the chain, then its tower from level 1 up: first link.tower, then link.prefix, all with release.
 * Readers take link.prefix first, then link.tower, with acquire. A reader that sees a half-done change so holds a prefix >= the real one: it may stay
 * on a level that it could have walked on, which costs steps and never an answer, since the answer comes from the chain.
 *
 * Anchor and filter (memtable_index.h). When the list has 256, 4096, ... entries the index is built anew with prefixes that start behind the common
 * part of the keys and published as a whole. Readers inside the old one stay right: its towers lead to nodes of the chain, only not to all that
 * came later.
 */
#include "lsm/csrc/arena.h"
#include "lsm/csrc/memtable_index.h"

#define MAX_HEIGHT 16 /* of towers; with one in three enough for 40 million entries */
#define NEAR_FROM 4096 /* entries below which everything is near */
#define LANES 16 /* look-ups in flight in get_many */

typedef struct node {
    _Atomic(struct node *) next;
    uint64_t tag;
    uint32_t key_len, value_len;
    uint8_t key[]; /* then the value */
} node;

typedef struct tower tower;
typedef struct link {
    _Atomic(tower *) tower;
    _Atomic uint64_t prefix;
} link;
struct tower {
    node *base; /* NULL: the head */
    _Atomic(node *) next; /* = base->next */
    link links[]; /* of level 1, 2, ... */
};

typedef struct index_view {
    lsm_anchor anchor;
    _Atomic int height; /* highest level in use */
    tower *head;
} index_view;

/* Where the writer put the last entry: what comes before the place behind it. */
typedef struct finger {
    node *node; /* NULL: the head */
    tower *towers[MAX_HEIGHT + 1];
} finger;

typedef struct list {
    _Atomic(index_view *) view;
    _Atomic(node *) first;
    lsm_arena arena, towers;
    uint64_t random, next_anchor;
    lsm_key_filter filter;
    _Atomic uint64_t count;
    finger finger;
} list;

typedef struct target {
    const uint8_t *key;
    size_t n;
    uint64_t prefix, tag;
} target;

static inline node *load_node(_Atomic(node *) *p) { return atomic_load_explicit(p, memory_order_acquire); }

static inline target make_target(const index_view *v, const uint8_t *key, size_t n, uint64_t tag) {
    return (target){key, n, lsm_anchor_prefix(&v->anchor, key, n), tag};
}

/* Whether x comes before t. */
static inline int before(const node *x, const target *t) {
    int c = lsm_compare_keys(x->key, x->key_len, t->key, t->n);
    return c ? c < 0 : x->tag > t->tag;
}

/* First node at or after t, or NULL. *last becomes the node before it (NULL: none); towers (may be NULL) the last tower before t on every level. */
static node *search(const index_view *v, const target *t, node **last, tower **towers) {
    tower *x = v->head;
    for (int l = atomic_load_explicit(&v->height, memory_order_acquire) - 1; l >= 0; l--) {
        for (;;) {
            uint64_t p = atomic_load_explicit(&x->links[l].prefix, memory_order_acquire);
            if (p > t->prefix) break;
            tower *to = atomic_load_explicit(&x->links[l].tower, memory_order_acquire);
            if (p == t->prefix && (!to || !before(to->base, t))) break;
            x = to;
        }
        if (towers) towers[l] = x;
    }
    node *at = x->base, *n = load_node(&x->next);
    while (n && before(n, t)) {
        at = n;
        n = load_node(&n->next);
    }
    *last = at;
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

static tower *new_tower(list *m, int height, node *base) {
    tower *w = lsm_arena_alloc(&m->towers, sizeof(*w) + (size_t)height * sizeof(link));
    if (!w) return NULL;
    w->base = base;
    atomic_init(&w->next, base ? load_node(&base->next) : load_node(&m->first));
    for (int l = 0; l < height; l++) {
        atomic_init(&w->links[l].tower, NULL);
        atomic_init(&w->links[l].prefix, UINT64_MAX);
    }
    return w;
}

static index_view *new_view(list *m, const uint8_t *common, size_t skip) {
    index_view *v = lsm_arena_alloc(&m->towers, sizeof(*v));
    if (!v || !(v->head = new_tower(m, MAX_HEIGHT, NULL))) return NULL;
    v->anchor = (lsm_anchor){common, skip};
    atomic_init(&v->height, 0);
    return v;
}

/* Puts w behind towers, which afterwards stand at w. */
static void link_tower(index_view *v, tower *w, int height, uint64_t prefix, tower **towers) {
    int old = atomic_load_explicit(&v->height, memory_order_relaxed);
    for (int l = 0; l < height; l++) {
        link *from = l < old ? &towers[l]->links[l] : &v->head->links[l], *to = &w->links[l];
        atomic_store_explicit(&to->tower, atomic_load_explicit(&from->tower, memory_order_relaxed), memory_order_relaxed);
        atomic_store_explicit(&to->prefix, atomic_load_explicit(&from->prefix, memory_order_relaxed), memory_order_relaxed);
        atomic_store_explicit(&from->tower, w, memory_order_release);
        atomic_store_explicit(&from->prefix, prefix, memory_order_release);
        towers[l] = w;
    }
    if (height > old) atomic_store_explicit(&v->height, height, memory_order_release);
}

/* Builds the index anew behind the keys' common part. Out of memory is no error: the list goes on with the index it has. */
static void anchor(list *m) {
    const index_view *old = atomic_load_explicit(&m->view, memory_order_relaxed);
    node *first = load_node(&m->first), *last = first;
    for (node *x = first; x; x = load_node(&x->next)) last = x;
    size_t skip = lsm_anchor_length(first->key, first->key_len, last->key, last->key_len);
    if (skip == old->anchor.skip) return;
    index_view *v = new_view(m, first->key, skip);
    if (!v) return;
    finger f = {0};
    for (node *x = first; x; x = load_node(&x->next)) {
        int height = random_height(m);
        if (!height) continue;
        tower *w = new_tower(m, height, x);
        if (!w) return;
        link_tower(v, w, height, lsm_anchor_prefix(&v->anchor, x->key, x->key_len), f.towers);
    }
    f.node = last;
    m->finger = f;
    atomic_store_explicit(&m->view, v, memory_order_release);
}

static void skiplist_destroy(void *self) {
    list *m = self;
    lsm_arena_free(&m->arena);
    lsm_arena_free(&m->towers);
    free(m->filter.words);
    free(m);
}

static void *skiplist_create(const lsm_memtable_config *config) {
    list *m = calloc(1, sizeof(*m));
    if (!m) return NULL;
    lsm_arena_init(&m->arena, config->budget);
    lsm_arena_init(&m->towers, config->budget);
    m->random = config->seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    m->next_anchor = LSM_ANCHOR_FIRST;
    index_view *v = lsm_key_filter_make(&m->filter, config) ? new_view(m, NULL, 0) : NULL;
    if (!v) {
        skiplist_destroy(m);
        return NULL;
    }
    atomic_init(&m->view, v);
    return m;
}

/* Whether t belongs right behind the finger, as in a load in key order. */
static int at_finger(const finger *f, const target *t) {
    if (!f->node || !before(f->node, t)) return 0;
    const node *next = load_node(&f->node->next);
    return !next || !before(next, t);
}

static void link_node(list *m, index_view *v, node *x) {
    node *last = m->finger.node;
    tower *w = atomic_load_explicit(&v->height, memory_order_relaxed) ? m->finger.towers[0] : v->head;
    _Atomic(node *) *from = last ? &last->next : &m->first;
    atomic_store_explicit(&x->next, atomic_load_explicit(from, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(from, x, memory_order_release);
    if (w->base == last) atomic_store_explicit(&w->next, x, memory_order_release);
    m->finger.node = x;
}

static int skiplist_add(void *self, const lsm_entry *e) {
    list *m = self;
    index_view *v = atomic_load_explicit(&m->view, memory_order_relaxed);
    int height = random_height(m);
    node *x = lsm_arena_alloc(&m->arena, sizeof(*x) + e->key_len + e->value_len);
    tower *w = height && x ? new_tower(m, height, x) : NULL;
    if (!x || (height && !w)) return LSM_NOMEM;
    x->tag = lsm_tag(e->seq, e->kind);
    x->key_len = e->key_len;
    x->value_len = (uint32_t)e->value_len;
    if (e->key_len) memcpy(x->key, e->key, e->key_len);
    if (e->value_len) memcpy(x->key + e->key_len, e->value, e->value_len);
    lsm_key_filter_set(&m->filter, e->key, e->key_len);
    target t = make_target(v, e->key, e->key_len, x->tag);
    if (!at_finger(&m->finger, &t)) search(v, &t, &m->finger.node, m->finger.towers);
    link_node(m, v, x);
    if (w) {
        atomic_store_explicit(&w->next, atomic_load_explicit(&x->next, memory_order_relaxed), memory_order_relaxed);
        link_tower(v, w, height, t.prefix, m->finger.towers);
    }
    uint64_t count = atomic_load_explicit(&m->count, memory_order_relaxed) + 1;
    atomic_store_explicit(&m->count, count, memory_order_release);
    if (count == m->next_anchor) {
        m->next_anchor *= LSM_ANCHOR_GROWTH;
        anchor(m);
    }
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

static inline int matches(const node *x, const target *t) { return x && x->key_len == t->n && !memcmp(x->key, t->key, t->n); }

static int skiplist_get(void *self, const uint8_t *key, size_t n, uint64_t snapshot, lsm_entry *out) {
    list *m = self;
    if (lsm_key_filter_absent(&m->filter, key, n)) return LSM_NOT_FOUND;
    const index_view *v = atomic_load_explicit(&m->view, memory_order_acquire);
    target t = make_target(v, key, n, lsm_seek_tag(snapshot));
    node *last, *x = search(v, &t, &last, NULL);
    if (!matches(x, &t)) return LSM_NOT_FOUND;
    fill_entry(x, out);
    return LSM_OK;
}

/* One look-up in flight: at a tower, waiting for the base of another one, or (level 0) waiting for a node of the chain. */
typedef struct lane {
    target t;
    tower *x, *waiting;
    node *n;
    int level;
    size_t slot;
} lane;

/* Runs a look-up until it wants a line that may not be in the cache (0), or is done (1: the answer is n). */
static int lane_step(lane *a) {
    if (a->level == 0) {
        if (!a->n || !before(a->n, &a->t)) return 1;
        a->n = load_node(&a->n->next);
        __builtin_prefetch(a->n);
        return 0;
    }
    if (a->waiting) {
        if (before(a->waiting->base, &a->t))
            a->x = a->waiting;
        else
            a->level--;
        a->waiting = NULL;
    }
    for (; a->level > 0; a->level--) {
        link *k = &a->x->links[a->level - 1];
        uint64_t p = atomic_load_explicit(&k->prefix, memory_order_acquire);
        if (p > a->t.prefix) continue;
        tower *to = atomic_load_explicit(&k->tower, memory_order_acquire);
        if (!to) continue;
        if (p == a->t.prefix) {
            a->waiting = to;
            __builtin_prefetch(to->base);
        } else {
            a->x = to;
            __builtin_prefetch(&to->links[a->level - 1]);
        }
        return 0;
    }
    a->n = load_node(&a->x->next);
    __builtin_prefetch(a->n);
    return 0;
}

/* Many searches side by side. found NULL: only for what they bring near. */
static void search_many(list *m, const uint8_t *const *keys, const size_t *lens, size_t count, uint64_t tag, lsm_entry *out,
                        uint8_t *found) {
    const index_view *v = atomic_load_explicit(&m->view, memory_order_acquire);
    int height = atomic_load_explicit(&v->height, memory_order_acquire);
    lane lanes[LANES];
    size_t begun = 0, active = 0;
    while (active || begun < count) {
        for (; active < LANES && begun < count; begun++) {
            if (found) found[begun] = 0;
            if (found && lsm_key_filter_absent(&m->filter, keys[begun], lens[begun])) continue;
            lanes[active] = (lane){make_target(v, keys[begun], lens[begun], tag), v->head, NULL, NULL, height, begun};
            if (!height) lanes[active].n = load_node(&v->head->next);
            active++;
        }
        for (size_t i = 0; i < active;) {
            lane *a = &lanes[i];
            if (!lane_step(a)) {
                i++;
                continue;
            }
            if (found && (found[a->slot] = (uint8_t)matches(a->n, &a->t))) fill_entry(a->n, &out[a->slot]);
            *a = lanes[--active];
        }
    }
}

static void skiplist_get_many(void *self, const uint8_t *const *keys, const size_t *lens, size_t count, uint64_t snapshot, lsm_entry *out,
                              uint8_t *found) {
    search_many(self, keys, lens, count, lsm_seek_tag(snapshot), out, found);
}

static void skiplist_near(void *self, const uint8_t *const *keys, const size_t *lens, size_t count) {
    list *m = self;
    if (atomic_load_explicit(&m->count, memory_order_relaxed) < NEAR_FROM) return;
    search_many(m, keys, lens, count, UINT64_MAX, NULL, NULL);
    for (size_t i = 0; i < count; i++) lsm_key_filter_near(&m->filter, keys[i], lens[i]);
}

typedef struct skiplist_iter {
    lsm_iter base;
    list *list;
    node *x;
} skiplist_iter;

static inline void show(skiplist_iter *it, node *x) {
    it->x = x;
    it->base.valid = x != NULL;
    if (!x) return;
    fill_entry(x, &it->base.entry);
    __builtin_prefetch(atomic_load_explicit(&x->next, memory_order_relaxed));
}

static void iter_first(lsm_iter *base) {
    skiplist_iter *it = (skiplist_iter *)base;
    show(it, load_node(&it->list->first));
}

static void iter_last(lsm_iter *base) {
    skiplist_iter *it = (skiplist_iter *)base;
    const index_view *v = atomic_load_explicit(&it->list->view, memory_order_acquire);
    tower *x = v->head, *to;
    for (int l = atomic_load_explicit(&v->height, memory_order_acquire) - 1; l >= 0; l--)
        while ((to = atomic_load_explicit(&x->links[l].tower, memory_order_acquire))) x = to;
    node *last = x->base, *n = load_node(&x->next);
    for (; n; n = load_node(&n->next)) last = n;
    show(it, last);
}

static void iter_seek(lsm_iter *base, const uint8_t *key, size_t n, uint64_t seq) {
    skiplist_iter *it = (skiplist_iter *)base;
    const index_view *v = atomic_load_explicit(&it->list->view, memory_order_acquire);
    target t = make_target(v, key, n, lsm_seek_tag(seq));
    node *last;
    show(it, search(v, &t, &last, NULL));
}

static void show_before(skiplist_iter *it, const uint8_t *key, size_t n, uint64_t tag) {
    const index_view *v = atomic_load_explicit(&it->list->view, memory_order_acquire);
    target t = make_target(v, key, n, tag);
    node *last;
    search(v, &t, &last, NULL);
    show(it, last);
}

static void iter_seek_before(lsm_iter *base, const uint8_t *key, size_t n) { show_before((skiplist_iter *)base, key, n, UINT64_MAX); }

static void iter_next(lsm_iter *base) {
    skiplist_iter *it = (skiplist_iter *)base;
    show(it, load_node(&it->x->next));
}

/* No back links: a step back is a search for the node before this one. */
static void iter_prev(lsm_iter *base) {
    skiplist_iter *it = (skiplist_iter *)base;
    show_before(it, it->x->key, it->x->key_len, it->x->tag);
}

static void iter_close(lsm_iter *base) { free(base); }

static const lsm_iter_ops iter_ops = {
    LSM_ABI, sizeof(lsm_iter_ops), iter_first, iter_last, iter_seek, iter_seek_before, iter_next, iter_prev, iter_close};

static lsm_iter *skiplist_iter_new(void *self) {
    skiplist_iter *it = calloc(1, sizeof(*it));
    if (!it) return NULL;
    it->base.ops = &iter_ops;
    it->list = self;
    return &it->base;
}

static size_t skiplist_memory(void *self) {
    list *m = self;
    return sizeof(*m) + lsm_key_filter_memory(&m->filter) + lsm_arena_memory(&m->arena) + lsm_arena_memory(&m->towers);
}
static uint64_t skiplist_count(void *self) { return atomic_load_explicit(&((list *)self)->count, memory_order_acquire); }
static void skiplist_seal(void *self) { (void)self; } /* sorted at any time */

const lsm_memtable_ops lsm_skiplist_ops = {
    LSM_ABI,           sizeof(lsm_memtable_ops), "skiplist",      skiplist_create, skiplist_destroy, skiplist_add,  skiplist_get,
    skiplist_get_many, skiplist_iter_new,        skiplist_memory, skiplist_count,  skiplist_seal,    skiplist_near,
};
