/* btree.c: the default memtable: a B+-tree with one writer and lock-free readers, its nodes of four cache lines apart from its entries.
 *
 *    inner:  | order | next | low | splits, level | 14 prefixes | 14 children |      leaf: the same with entries in the place of children
 *    entry:  | tag | key len | value len | key | value |                             in an arena of their own, in the order of arrival
 *
 *    order:  version (4 bits) | count (4 bits) | 14 numbers of slots (4 bits each), first those in use, in order, then those that are free
 *
 * A slot holds the prefix of a key (memtable_index.h) and what it leads to. A search counts the prefixes that are less, all 14 at once, and
 * touches an entry only when prefixes are equal, so that an insert misses the cache for one leaf, and its entry is written where the last one
 * ended. In the style of Masstree (Mao, Kohler, Morris 2012) slots never move: `order` has their places.
 *
 * Publication. An insert fills a free slot, then stores the order that has it, one word. A split fills a new right neighbour, hangs it into the
 * chain (next), then stores the order of the lower half, with another version: only from then on the slots of the upper half are used again.
 * A reader takes order first, then slots and next, then looks whether the version is still the same (`splits` tells a version from the
 * one 16 splits later) and starts the node over when not: what it took was whole, and a writer that sleeps delays nobody.
 * The chain of leaves is the truth. An inner node leads to a leaf that begins at or before what is sought, and a reader goes on to the right as
 * long as the next leaf begins before it. So children may be hung in after their leaf is in the chain. `low` is a node's first entry when it
 * was made: it stays first for good (the leftmost nodes have none), as a node only ever gives away its upper half.
 *
 * An iterator holds a copy of its leaf's entries; where the copy is older than the split behind which `next` leads, it passes by what it had.
 * A load in key order finds its leaf without a search (the finger) and leaves full leaves behind.
 */
#include "lsm/csrc/memtable_index.h"
#include "lsm/csrc/sorted_records.h"

#define SLOTS 14
#define KEEP (SLOTS / 2) /* what a node that is split keeps */
#define MAX_LEVELS 24 /* of nodes that are at least half full when they are split: enough for any memory */
#define NEAR_FROM 4096 /* entries below which everything is near */
#define LANES 16 /* look-ups in flight in get_many */
#define LINE 64
#define AHEAD 3 /* entries that an iterator fetches ahead */

typedef lsm_record entry;

typedef struct node {
    _Atomic uint64_t order;
    _Atomic(struct node *) next; /* on this level */
    const entry *low; /* NULL: the leftmost of its level */
    _Atomic uint32_t splits;
    uint32_t level; /* 0: a leaf */
    _Atomic uint64_t prefix[SLOTS]; /* ~0 in slots that are free; in a leftmost node the first child's says nothing */
    _Atomic(const void *) what[SLOTS]; /* an entry, or a child */
} node;
_Static_assert(sizeof(node) == 4 * LINE, "a node is four cache lines");

#define ORDER_FIRST UINT64_C(0x00dcba9876543210)
#define SLOT_BITS ((UINT64_C(1) << 4 * SLOTS) - 1)

/* The index with one anchor. What is behind root is the writer's. */
typedef struct tree {
    lsm_anchor anchor;
    _Atomic(node *) root;
    node *leaf; /* the finger: prefixes between from and to, both excluded, belong into leaf */
    uint64_t from, to;
    unsigned place; /* where in leaf the last insert went */
} tree;

typedef struct btree {
    _Atomic(tree *) tree;
    lsm_arena arena, nodes;
    lsm_key_filter filter;
    uint64_t next_anchor;
    _Atomic uint64_t count;
} btree;

typedef struct target {
    const uint8_t *key;
    size_t n;
    uint64_t prefix, tag;
} target;

/* The way from the root to a leaf: nodes by level, and which child was taken. */
typedef struct path {
    node *node[MAX_LEVELS];
    unsigned at[MAX_LEVELS];
} path;

static inline unsigned count_of(uint64_t order) { return order >> 56 & 15; }
static inline unsigned slot_of(uint64_t order, unsigned at) { return order >> 4 * at & 15; }
static inline uint64_t order_now(const node *x) { return atomic_load_explicit(&x->order, memory_order_acquire); }
static inline node *next_of(const node *x) { return atomic_load_explicit(&x->next, memory_order_acquire); }
static inline node *root_of(const tree *b) { return atomic_load_explicit(&b->root, memory_order_acquire); }
static inline tree *tree_of(const btree *m) { return atomic_load_explicit(&m->tree, memory_order_acquire); }
static inline uint32_t splits_of(const node *x) { return atomic_load_explicit(&x->splits, memory_order_acquire); }

static inline uint64_t prefix_at(const node *x, uint64_t order, unsigned at) {
    return atomic_load_explicit(&x->prefix[slot_of(order, at)], memory_order_acquire);
}
static inline const void *what_at(const node *x, uint64_t order, unsigned at) {
    return atomic_load_explicit(&x->what[slot_of(order, at)], memory_order_acquire);
}

/* Whether the slots that order names were still its own until now. Everything taken from them was loaded with acquire. */
static inline int is_steady(const node *x, uint64_t order, uint32_t splits) {
    return !((order_now(x) ^ order) >> 60) && splits_of(x) - splits < 8;
}

static inline void fetch(const node *x) {
    for (size_t i = 0; i < sizeof(node); i += LINE) __builtin_prefetch((const char *)x + i);
}

static inline target make_target(const tree *b, const uint8_t *key, size_t n, uint64_t tag) {
    return (target){key, n, lsm_anchor_prefix(&b->anchor, key, n), tag};
}

/* Whether x comes before t. */
static inline int before(const entry *x, const target *t) {
    int c = lsm_compare_keys(x->key, x->key_len, t->key, t->n);
    return c ? c < 0 : x->tag > t->tag;
}

static int is_before(const node *x, uint64_t order, unsigned at, const target *t) {
    const void *p = what_at(x, order, at);
    return before(x->level ? ((const node *)p)->low : p, t);
}

/* The first place from `from` on that is not before t. Counts over all slots; where a writer or a split got in between that, place by place. */
static unsigned place_of(const node *x, uint64_t order, const target *t, unsigned from) {
    const uint64_t prefix = t->prefix;
    unsigned n = count_of(order), r = 0;
#pragma GCC unroll 14
    for (unsigned i = 0; i < SLOTS; i++) r += atomic_load_explicit(&x->prefix[i], memory_order_relaxed) < prefix;
    if (r < from) r = from;
    if (r > n || (r > from && prefix_at(x, order, r - 1) >= t->prefix) || (r < n && prefix_at(x, order, r) < t->prefix)) {
        /* uncovered (race): a slot was filled or freed meanwhile */
        for (r = from; r < n && prefix_at(x, order, r) < t->prefix;) r++;
    }
    if (r >= n || prefix_at(x, order, r) != t->prefix || !is_before(x, order, r, t)) return r;
    unsigned end = n;
    for (r++; r < end;) { /* equal prefixes: the keys decide */
        unsigned middle = (r + end) / 2;
        if (prefix_at(x, order, middle) == t->prefix && is_before(x, order, middle, t))
            r = middle + 1;
        else
            end = middle;
    }
    return r;
}

/* Reading -------------------------------------------------------------------------------------------------------------------------- */

/* Of an inner node: the last child that begins before t. */
static node *child_of(const node *x, const target *t) {
    for (;;) {
        uint32_t splits = splits_of(x);
        uint64_t order = order_now(x);
        const void *child = what_at(x, order, place_of(x, order, t, 1) - 1);
        if (is_steady(x, order, splits)) return (node *)child;
    }
}

static node *leaf_of(const tree *b, const target *t) {
    node *x = root_of(b);
    while (x->level) {
        x = child_of(x, t);
        fetch(x);
    }
    return x;
}

/* The first entry at or after t, or NULL; x: a leaf that does not begin after t. */
static const entry *find_from(const node *x, const target *t) {
    for (;;) {
        uint32_t splits = splits_of(x);
        uint64_t order = order_now(x);
        unsigned at = place_of(x, order, t, 0);
        const entry *found = at < count_of(order) ? what_at(x, order, at) : NULL;
        const node *next = found ? NULL : next_of(x);
        if (!is_steady(x, order, splits)) continue;
        if (found || !next) return found;
        if (!before(next->low, t)) return next->low;
        x = next;
    }
}

static inline int matches(const entry *x, const target *t) { return x && x->key_len == t->n && !memcmp(x->key, t->key, t->n); }

static int btree_get(void *self, const uint8_t *key, size_t n, uint64_t snapshot, lsm_entry *out) {
    btree *m = self;
    if (lsm_key_filter_absent(&m->filter, key, n)) return LSM_NOT_FOUND;
    const tree *b = tree_of(m);
    target t = make_target(b, key, n, lsm_seek_tag(snapshot));
    const entry *x = find_from(leaf_of(b, &t), &t);
    if (!matches(x, &t)) return LSM_NOT_FOUND;
    lsm_record_entry(x, out);
    return LSM_OK;
}

/* Down to their leaves side by side, as all leaves are equally deep. */
static void leaves_of(const tree *b, const target *t, node **x, size_t n) {
    node *root = root_of(b);
    for (size_t i = 0; i < n; i++) x[i] = root;
    for (uint32_t level = root->level; level; level--)
        for (size_t i = 0; i < n; i++) {
            x[i] = child_of(x[i], &t[i]);
            fetch(x[i]);
        }
}

static void btree_get_many(void *self, const uint8_t *const *keys, const size_t *lens, size_t count, uint64_t snapshot, lsm_entry *out,
                           uint8_t *found) {
    btree *m = self;
    const tree *b = tree_of(m);
    target t[LANES];
    node *x[LANES];
    const entry *e[LANES];
    size_t slot[LANES];
    for (size_t begun = 0; begun < count;) {
        size_t n = 0;
        for (; n < LANES && begun < count; begun++) {
            found[begun] = 0;
            if (lsm_key_filter_absent(&m->filter, keys[begun], lens[begun])) continue;
            slot[n] = begun;
            t[n++] = make_target(b, keys[begun], lens[begun], lsm_seek_tag(snapshot));
        }
        leaves_of(b, t, x, n);
        for (size_t i = 0; i < n; i++) {
            e[i] = find_from(x[i], &t[i]);
            __builtin_prefetch(e[i]);
        }
        for (size_t i = 0; i < n; i++)
            if ((found[slot[i]] = (uint8_t)matches(e[i], &t[i]))) lsm_record_entry(e[i], &out[slot[i]]);
    }
}

static void btree_near(void *self, const uint8_t *const *keys, const size_t *lens, size_t count) {
    btree *m = self;
    if (atomic_load_explicit(&m->count, memory_order_relaxed) < NEAR_FROM) return;
    const tree *b = tree_of(m);
    target t[LANES];
    node *x[LANES];
    for (size_t done = 0, n; done < count; done += n) {
        for (n = 0; n < LANES && done + n < count; n++) {
            t[n] = make_target(b, keys[done + n], lens[done + n], UINT64_MAX);
            lsm_key_filter_near(&m->filter, keys[done + n], lens[done + n]);
        }
        leaves_of(b, t, x, n);
    }
}

/* Writing -------------------------------------------------------------------------------------------------------------------------- */

static node *new_node(btree *m, uint32_t level) {
    node *x = lsm_arena_alloc_lines(&m->nodes, sizeof(*x), LINE);
    if (!x) return NULL;
    atomic_init(&x->order, ORDER_FIRST);
    atomic_init(&x->next, NULL);
    x->low = NULL;
    atomic_init(&x->splits, 0);
    x->level = level;
    for (unsigned i = 0; i < SLOTS; i++) {
        atomic_init(&x->prefix[i], UINT64_MAX);
        atomic_init(&x->what[i], NULL);
    }
    return x;
}

static tree *new_tree(btree *m, const uint8_t *common, size_t skip) {
    tree *b = lsm_arena_alloc(&m->nodes, sizeof(*b));
    node *root = b ? new_node(m, 0) : NULL;
    if (!root) return NULL;
    *b = (tree){.anchor = {common, skip}, .leaf = root, .from = 0, .to = UINT64_MAX};
    atomic_init(&b->root, root);
    return b;
}

/* Into a node that has room. */
static void put(node *x, unsigned at, uint64_t prefix, const void *what) {
    uint64_t order = atomic_load_explicit(&x->order, memory_order_relaxed);
    unsigned n = count_of(order), slot = slot_of(order, n);
    atomic_store_explicit(&x->prefix[slot], prefix, memory_order_release);
    atomic_store_explicit(&x->what[slot], what, memory_order_release);
    uint64_t below = (UINT64_C(1) << 4 * at) - 1, above = SLOT_BITS & ~((UINT64_C(1) << 4 * (n + 1)) - 1);
    uint64_t moved = (order & ((UINT64_C(1) << 4 * n) - 1) & ~below) << 4;
    uint64_t kept = (order & (below | above)) | (order >> 60 << 60);
    atomic_store_explicit(&x->order, kept | moved | (uint64_t)slot << 4 * at | (uint64_t)(n + 1) << 56, memory_order_release);
}

/* Gives the upper half of x, which is full, and the new one or that alone (as_last: behind all others), to `right`. */
static void split(node *x, node *right, unsigned at, uint64_t prefix, const void *what, int as_last) {
    uint64_t order = atomic_load_explicit(&x->order, memory_order_relaxed);
    unsigned keep = as_last ? SLOTS : KEEP;
    for (unsigned i = keep; i < SLOTS; i++) put(right, i - keep, prefix_at(x, order, i), what_at(x, order, i));
    if (at > keep || as_last) put(right, at - keep, prefix, what);
    const void *first = what_at(right, ORDER_FIRST, 0); /* the first put went to slot 0, and nothing came before it */
    right->low = right->level ? ((const node *)first)->low : first;
    atomic_store_explicit(&right->next, atomic_load_explicit(&x->next, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&x->next, right, memory_order_release);
    if (as_last) return;
    atomic_store_explicit(&x->splits, atomic_load_explicit(&x->splits, memory_order_relaxed) + 1, memory_order_release);
    uint64_t version = (order >> 60) + 1;
    atomic_store_explicit(&x->order, (order & SLOT_BITS) | (uint64_t)keep << 56 | version << 60, memory_order_release);
    for (unsigned i = keep; i < SLOTS; i++) atomic_store_explicit(&x->prefix[slot_of(order, i)], UINT64_MAX, memory_order_release);
    if (at <= keep) put(x, at, prefix, what);
}

/* The writer's way to the leaf of t, which becomes the finger. */
static node *walk(tree *b, const target *t, path *way) {
    node *x = atomic_load_explicit(&b->root, memory_order_relaxed);
    b->from = 0, b->to = UINT64_MAX;
    while (x->level) {
        uint64_t order = atomic_load_explicit(&x->order, memory_order_relaxed);
        unsigned at = place_of(x, order, t, 1);
        if (at > 1) b->from = prefix_at(x, order, at - 1);
        if (at < count_of(order)) b->to = prefix_at(x, order, at);
        way->node[x->level] = x;
        way->at[x->level] = at - 1;
        x = (node *)what_at(x, order, at - 1);
        fetch(x);
    }
    if (x != b->leaf) b->place = SLOTS;
    return b->leaf = x;
}

/* The new nodes that a split of the leaf needs, from the leaf up; 0: out of memory, with nothing changed. */
static int new_nodes(btree *m, const path *way, uint32_t height, node **fresh) {
    uint32_t level = 0;
    do {
        if (!(fresh[level] = new_node(m, level))) return 0;
        level++;
    } while (level <= height && count_of(order_now(way->node[level])) == SLOTS);
    if (level <= height) return 1;
    return (fresh[level] = new_node(m, level)) != NULL;
}

/* The leaf of the finger is full. way: to it. */
static int insert_splitting(btree *m, tree *b, const path *way, unsigned at, const entry *e, const target *t) {
    node *fresh[MAX_LEVELS], *root = atomic_load_explicit(&b->root, memory_order_relaxed), *x = b->leaf, *right = NULL;
    if (!new_nodes(m, way, root->level, fresh)) return LSM_NOMEM;
    int as_last = at == SLOTS && (!next_of(x) || b->place == SLOTS - 1), goes_right = as_last || at > KEEP;
    b->place = as_last ? 0 : goes_right ? at - KEEP : at;
    uint64_t prefix = t->prefix;
    const void *what = e;
    for (uint32_t level = 0; level <= root->level; level++) {
        if (level) x = way->node[level], at = way->at[level] + 1;
        if (count_of(order_now(x)) < SLOTS) {
            put(x, at, prefix, what);
            return LSM_OK;
        }
        as_last = as_last && at == SLOTS;
        right = fresh[level];
        split(x, right, at, prefix, what, as_last);
        prefix = prefix_at(right, ORDER_FIRST, 0);
        what = right;
        if (level) continue;
        if (goes_right) b->leaf = right;
        *(goes_right ? &b->from : &b->to) = prefix;
    }
    node *top = fresh[root->level + 1];
    put(top, 0, 0, root);
    put(top, 1, prefix, right);
    atomic_store_explicit(&b->root, top, memory_order_release);
    return LSM_OK;
}

static int insert(btree *m, tree *b, const entry *e, const target *t) {
    path way;
    int at_finger = t->prefix > b->from && t->prefix < b->to;
    node *x = at_finger ? b->leaf : walk(b, t, &way);
    uint64_t order = atomic_load_explicit(&x->order, memory_order_relaxed);
    unsigned at = place_of(x, order, t, 0);
    if (count_of(order) == SLOTS) {
        if (at_finger) walk(b, t, &way);
        return insert_splitting(m, b, &way, at, e, t);
    }
    put(x, at, t->prefix, e);
    b->place = at;
    return LSM_OK;
}

static node *first_leaf(const tree *b) {
    node *x = root_of(b);
    while (x->level) x = (node *)what_at(x, order_now(x), 0); /* the leftmost child never leaves its slot */
    return x;
}

static node *last_leaf(const tree *b) {
    node *x = root_of(b);
    while (x->level) {
        uint32_t splits = splits_of(x);
        uint64_t order = order_now(x);
        const void *child = what_at(x, order, count_of(order) - 1);
        if (is_steady(x, order, splits)) x = (node *)child;
    }
    for (node *next; (next = next_of(x));) x = next;
    return x;
}

/* Builds the index anew behind the keys' common part. Out of memory is no error: the tree goes on with the index it has. */
static void anchor(btree *m) {
    const tree *old = atomic_load_explicit(&m->tree, memory_order_relaxed);
    const node *left = first_leaf(old), *right = last_leaf(old);
    const entry *first = what_at(left, order_now(left), 0), *last = what_at(right, order_now(right), count_of(order_now(right)) - 1);
    size_t skip = lsm_anchor_length(first->key, first->key_len, last->key, last->key_len);
    if (skip == old->anchor.skip) return;
    tree *b = new_tree(m, first->key, skip);
    if (!b) return;
    for (const node *x = left; x; x = next_of(x)) {
        uint64_t order = order_now(x);
        for (unsigned i = 0; i < count_of(order); i++) {
            const entry *e = what_at(x, order, i);
            target t = make_target(b, e->key, e->key_len, e->tag);
            if (insert(m, b, e, &t) != LSM_OK) return;
        }
    }
    atomic_store_explicit(&m->tree, b, memory_order_release);
}

static int btree_add(void *self, const lsm_entry *given) {
    btree *m = self;
    tree *b = atomic_load_explicit(&m->tree, memory_order_relaxed);
    const entry *e = lsm_record_new(&m->arena, given, 0);
    if (!e) return LSM_NOMEM;
    lsm_key_filter_set(&m->filter, given->key, given->key_len);
    target t = make_target(b, e->key, e->key_len, e->tag);
    if (insert(m, b, e, &t) != LSM_OK) return LSM_NOMEM;
    uint64_t count = atomic_load_explicit(&m->count, memory_order_relaxed) + 1;
    atomic_store_explicit(&m->count, count, memory_order_release);
    if (count == m->next_anchor) {
        m->next_anchor *= LSM_ANCHOR_GROWTH;
        anchor(m);
    }
    return LSM_OK;
}

/* Iterating ------------------------------------------------------------------------------------------------------------------------ */

typedef struct btree_iter {
    lsm_iter base;
    btree *m;
    const node *next; /* the leaf behind the copy */
    unsigned at, n;
    const entry *held[SLOTS];
} btree_iter;

/* Copies the leaf x. */
static void hold(btree_iter *it, const node *x) {
    for (;;) {
        uint32_t splits = splits_of(x);
        uint64_t order = order_now(x);
        it->n = count_of(order);
        for (unsigned i = 0; i < it->n; i++) it->held[i] = what_at(x, order, i);
        it->next = next_of(x);
        if (is_steady(x, order, splits)) return;
    }
}

static inline void show(btree_iter *it, unsigned at) {
    it->at = at;
    it->base.valid = at < it->n;
    if (!it->base.valid) return;
    lsm_record_entry(it->held[at], &it->base.entry);
    if (at + AHEAD < it->n) __builtin_prefetch(it->held[at + AHEAD]);
}

/* Shows the first entry at or after t in the copy or behind it. */
static void show_from(btree_iter *it, const target *t) {
    for (;;) {
        unsigned at = 0, end = it->n;
        while (at < end) {
            unsigned middle = (at + end) / 2;
            if (before(it->held[middle], t))
                at = middle + 1;
            else
                end = middle;
        }
        if (at < it->n || !it->next) {
            show(it, at);
            return;
        }
        hold(it, it->next);
    }
}

static void iter_first(lsm_iter *base) {
    btree_iter *it = (btree_iter *)base;
    hold(it, first_leaf(tree_of(it->m)));
    show(it, 0);
}

static void iter_last(lsm_iter *base) {
    btree_iter *it = (btree_iter *)base;
    hold(it, last_leaf(tree_of(it->m)));
    while (it->next) hold(it, it->next); /* uncovered (race): the last leaf was split meanwhile */
    show(it, it->n - 1); /* of none: no place */
}

static void iter_seek(lsm_iter *base, const uint8_t *key, size_t n, uint64_t seq) {
    btree_iter *it = (btree_iter *)base;
    const tree *b = tree_of(it->m);
    target t = make_target(b, key, n, lsm_seek_tag(seq));
    hold(it, leaf_of(b, &t));
    show_from(it, &t);
}

static void show_before(btree_iter *it, const uint8_t *key, size_t n, uint64_t tag) {
    const tree *b = tree_of(it->m);
    target t = make_target(b, key, n, tag);
    hold(it, leaf_of(b, &t));
    while (it->next && before(it->next->low, &t)) hold(it, it->next);
    unsigned at = it->n;
    while (at && !before(it->held[at - 1], &t)) at--;
    show(it, at - 1); /* 0 - 1 is no place */
}

static void iter_seek_before(lsm_iter *base, const uint8_t *key, size_t n) { show_before((btree_iter *)base, key, n, UINT64_MAX); }

static void iter_next(lsm_iter *base) {
    btree_iter *it = (btree_iter *)base;
    const entry *last = it->held[it->at];
    unsigned at = it->at + 1;
    target t = {last->key, last->key_len, 0, last->tag};
    while (at == it->n && it->next) {
        hold(it, it->next);
        if (it->next) fetch(it->next);
        for (at = 0; at < it->n && (it->held[at] == last || before(it->held[at], &t));) at++; /* what an older copy had already */
    }
    show(it, at);
}

/* A step back out of the copy is a search for the entry before this one. */
static void iter_prev(lsm_iter *base) {
    btree_iter *it = (btree_iter *)base;
    if (it->at) {
        show(it, it->at - 1);
        return;
    }
    const entry *first = it->held[0];
    show_before(it, first->key, first->key_len, first->tag);
}

static void iter_close(lsm_iter *base) { free(base); }

static const lsm_iter_ops iter_ops = {
    LSM_ABI, sizeof(lsm_iter_ops), iter_first, iter_last, iter_seek, iter_seek_before, iter_next, iter_prev, iter_close};

static lsm_iter *btree_iter_new(void *self) {
    btree_iter *it = calloc(1, sizeof(*it));
    if (!it) return NULL;
    it->base.ops = &iter_ops;
    it->m = self;
    return &it->base;
}

/* The memtable -------------------------------------------------------------------------------------------------------------------- */

static void btree_destroy(void *self) {
    btree *m = self;
    lsm_arena_free(&m->arena);
    lsm_arena_free(&m->nodes);
    free(m->filter.words);
    free(m);
}

static void *btree_create(const lsm_memtable_config *config) {
    btree *m = calloc(1, sizeof(*m));
    if (!m) return NULL;
    lsm_arena_init(&m->arena, config->budget);
    lsm_arena_init(&m->nodes, config->budget);
    m->next_anchor = LSM_ANCHOR_FIRST;
    tree *b = lsm_key_filter_make(&m->filter, config) ? new_tree(m, NULL, 0) : NULL;
    if (!b) {
        btree_destroy(m);
        return NULL;
    }
    atomic_init(&m->tree, b);
    return m;
}

static size_t btree_memory(void *self) {
    btree *m = self;
    return sizeof(*m) + lsm_key_filter_memory(&m->filter) + lsm_arena_memory(&m->arena) + lsm_arena_memory(&m->nodes);
}
static uint64_t btree_count(void *self) { return atomic_load_explicit(&((btree *)self)->count, memory_order_acquire); }
static void btree_seal(void *self) { (void)self; } /* sorted at any time */

const lsm_memtable_ops lsm_btree_ops = {
    LSM_ABI,        sizeof(lsm_memtable_ops), "btree",      btree_create, btree_destroy, btree_add,  btree_get,
    btree_get_many, btree_iter_new,           btree_memory, btree_count,  btree_seal,    btree_near,
};
