/* hashmem.c: the memtable "hash": a hash table for get, sorted once, at seal.
 *
 *    buckets[hash(key)] -> newest-first chain of (next | record)          seal: array of all records, sorted, for the flush
 *
 * The fastest at single writes and point reads. Before seal an iterator has to sort all entries (O(n log n) each time): for workloads without scans.
 *
 * Publication: a node is filled and then put at the head of its chain with release. Growing makes a table of twice the size with nodes of
 * its own (16 bytes an entry in the arena) while readers go on in the old one, which is left as it was; the new one replaces it with release. Old tables stay until destroy.
 * Chains are in order of insertion; sequence numbers need not be, so a get looks at the whole chain.
 */
#include "lsm/csrc/sorted_records.h"
#include <stdlib.h>

#define FIRST_BUCKETS 64

typedef struct node {
    struct node *next;
    const lsm_record *record;
    uint64_t hash;
} node;

typedef struct table {
    size_t mask;
    _Atomic(node *) buckets[];
} table;

typedef struct hashmem {
    _Atomic(table *) table;
    lsm_arena arena;
    uint64_t seed;
    _Atomic uint64_t count;
    _Atomic(lsm_slot *) sorted; /* NULL before seal */
} hashmem;

static table *new_table(hashmem *m, size_t buckets) {
    table *t = lsm_arena_alloc(&m->arena, sizeof(*t) + buckets * sizeof(t->buckets[0]));
    if (!t) return NULL;
    t->mask = buckets - 1;
    for (size_t i = 0; i < buckets; i++) atomic_init(&t->buckets[i], NULL);
    return t;
}

static void *hash_create(const lsm_memtable_config *config) {
    hashmem *m = calloc(1, sizeof(*m));
    if (!m) return NULL;
    lsm_arena_init(&m->arena, config->budget);
    m->seed = config->seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    table *t = new_table(m, FIRST_BUCKETS);
    if (!t) {
        lsm_arena_free(&m->arena);
        free(m);
        return NULL;
    }
    atomic_init(&m->table, t);
    return m;
}

static void hash_destroy(void *self) {
    hashmem *m = self;
    free(atomic_load_explicit(&m->sorted, memory_order_relaxed));
    lsm_arena_free(&m->arena);
    free(m);
}

static void push(table *t, node *x) {
    _Atomic(node *) *bucket = &t->buckets[x->hash & t->mask];
    x->next = atomic_load_explicit(bucket, memory_order_relaxed);
    atomic_store_explicit(bucket, x, memory_order_release);
}

/* Out of memory is no error: chains get longer. */
static void grow(hashmem *m, const table *old) {
    table *t = new_table(m, 2 * (old->mask + 1));
    if (!t) return;
    for (size_t i = 0; i <= old->mask; i++)
        for (node *x = atomic_load_explicit(&old->buckets[i], memory_order_relaxed); x; x = x->next) {
            node *copy = lsm_arena_alloc(&m->arena, sizeof(*copy));
            if (!copy) return;
            *copy = *x;
            push(t, copy);
        }
    atomic_store_explicit(&m->table, t, memory_order_release);
}

static int hash_add(void *self, const lsm_entry *e) {
    hashmem *m = self;
    lsm_record *r = lsm_record_new(&m->arena, e, sizeof(node));
    if (!r) return LSM_NOMEM;
    node *x = (node *)r - 1;
    x->record = r;
    x->hash = lsm_hash_key(m->seed, e->key, e->key_len);
    table *t = atomic_load_explicit(&m->table, memory_order_relaxed);
    push(t, x);
    uint64_t count = atomic_fetch_add_explicit(&m->count, 1, memory_order_release) + 1;
    if (count > t->mask) grow(m, t);
    return LSM_OK;
}

static int hash_get(void *self, const uint8_t *key, size_t n, uint64_t snapshot, lsm_entry *out) {
    hashmem *m = self;
    const table *t = atomic_load_explicit(&m->table, memory_order_acquire);
    uint64_t hash = lsm_hash_key(m->seed, key, n), limit = lsm_seek_tag(snapshot);
    const lsm_record *best = NULL;
    for (const node *x = atomic_load_explicit(&t->buckets[hash & t->mask], memory_order_acquire); x; x = x->next) {
        const lsm_record *r = x->record;
        if (x->hash == hash && r->key_len == n && !memcmp(r->key, key, n) && r->tag <= limit && (!best || r->tag > best->tag)) best = r;
    }
    if (!best) return LSM_NOT_FOUND;
    lsm_record_entry(best, out);
    return LSM_OK;
}

/* All entries in order, malloc'ed, or NULL: out of memory. *n is how many. */
static lsm_slot *sort_all(hashmem *m, size_t *n) {
    const table *t = atomic_load_explicit(&m->table, memory_order_acquire);
    size_t cap = atomic_load_explicit(&m->count, memory_order_acquire) + 64, got = 0;
    lsm_slot *slots = malloc(cap * sizeof(*slots));
    for (size_t i = 0; slots && i <= t->mask; i++)
        for (const node *x = atomic_load_explicit(&t->buckets[i], memory_order_acquire); x; x = x->next) {
            /* uncovered (race): records come while they are collected */
            if (got == cap) { /* the writer goes on meanwhile */
                lsm_slot *grown = realloc(slots, 2 * cap * sizeof(*slots));
                if (!grown) { /* uncovered 2 (race): likewise, and there is no memory */
                    free(slots);
                    return NULL;
                }
                slots = grown;
                cap *= 2;
            }
            slots[got++] = lsm_slot_of(x->record);
        }
    lsm_slot *spare = slots ? malloc((got + 1) * sizeof(*spare)) : NULL;
    if (!spare) {
        free(slots);
        return NULL;
    }
    lsm_slots_sort(slots, got, spare);
    free(spare);
    *n = got;
    return slots;
}

static lsm_iter *hash_iter(void *self) {
    hashmem *m = self;
    lsm_slot *sorted = atomic_load_explicit(&m->sorted, memory_order_acquire);
    if (sorted) return lsm_slots_iter(sorted, atomic_load_explicit(&m->count, memory_order_relaxed), 0);
    size_t n = 0;
    sorted = sort_all(m, &n);
    return sorted ? lsm_slots_iter(sorted, n, 1) : NULL;
}

static size_t hash_memory(void *self) {
    hashmem *m = self;
    size_t sorted = atomic_load_explicit(&m->sorted, memory_order_relaxed) ? atomic_load(&m->count) * sizeof(lsm_slot) : 0;
    return sizeof(*m) + lsm_arena_memory(&m->arena) + sorted;
}

static uint64_t hash_count(void *self) { return atomic_load_explicit(&((hashmem *)self)->count, memory_order_acquire); }

/* Out of memory is no error: each iterator then sorts for itself. */
static void hash_seal(void *self) {
    hashmem *m = self;
    size_t n = 0;
    lsm_slot *sorted = sort_all(m, &n);
    if (sorted) atomic_store_explicit(&m->sorted, sorted, memory_order_release);
}

const lsm_memtable_ops lsm_hash_ops = {
    LSM_ABI,      sizeof(lsm_memtable_ops),
    "hash",       hash_create,
    hash_destroy, hash_add,
    hash_get,     NULL,
    hash_iter,    hash_memory,
    hash_count,   hash_seal,
    NULL,
};
