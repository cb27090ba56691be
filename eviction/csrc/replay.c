#include "eviction/csrc/replay.h"
#include "eviction/csrc/table.h"
#include <errno.h>

enum { AHEAD = 16, CHUNK = 1 << 16 }; /* requests: looked at before they are run; between two looks at result->stop */

typedef struct {
    uint32_t home, slot;
} victim;

typedef struct {
    const evi_ops *ops;
    const evi_config *config;
    void *policy;
    evi_table table;
    evi_layout layout;
    uint64_t *own_keys; /* NULL where the policy keeps the keys */
    uint64_t own_bytes;
    uint32_t *weight; /* by slot, 0: free; NULL: all are 1 */
    uint32_t *free_slot, n_free; /* with weights */
    uint32_t filled; /* slots used so far */
    uint64_t used;
    evi_result *result;
    victim victims[AHEAD];
    int gone;
} driver;

static int broke(driver *d, size_t at, uint32_t slot) {
    d->result->at = at;
    d->result->slot = slot;
    return -EPROTO;
}

/* The entries of victims are cleared a little later, when their lines have come. Until then nothing finds them: their slots have other
 * keys. */
static void forget(driver *d) {
    while (d->gone) {
        const victim v = d->victims[--d->gone];
        table_clear(&d->table, d->layout.keys, table_of_slot(&d->table, v.home, v.slot));
    }
}

/* A miss with weights 1: the slot of the victim, all slots being full, is the slot of the newcomer. */
static int admit_unit(driver *d, uint64_t key, uint32_t home, uint32_t place, size_t at) {
    const evi_ops *ops = d->ops;
    uint32_t slot = d->filled;
    if (!d->config->slots || !ops->miss(d->policy, key, 1)) {
        d->result->bypassed++;
        return 0;
    }
    if (slot < d->config->slots) {
        d->filled++;
    } else {
        slot = ops->evict(d->policy);
        if (slot >= d->filled) return broke(d, at, slot);
        uint32_t old = table_home(&d->table, d->layout.keys[slot]);
        __builtin_prefetch(&d->table.entry[old], 1);
        d->victims[d->gone++] = (victim){old, slot};
        d->result->evictions++;
        if (d->table.far || table_is_far(&d->table, place, home)) {
            forget(d); /* entries will be asked for their homes by their keys, which the victims' no longer have */
            place = table_find(&d->table, d->layout.keys, home, key, &old);
        }
    }
    if (d->own_keys) d->own_keys[slot] = key;
    ops->insert(d->policy, slot, key, 1);
    table_set(&d->table, place, home, slot);
    return 0;
}

typedef struct {
    uint32_t hash[AHEAD];
} block;

static inline void look(const evi_table *t, const uint64_t *keys, size_t n, block *b) {
    for (size_t j = 0; j < n; j++) {
        b->hash[j] = table_hash(keys[j]);
        __builtin_prefetch(&t->entry[b->hash[j] >> t->shift]);
    }
}

static inline void reach(const evi_table *t, const evi_layout *l, size_t n, const block *b) {
    for (size_t j = 0; j < n; j++) {
        const uint32_t e = t->entry[b->hash[j] >> t->shift];
        const char *node = l->nodes + (size_t)(e & t->slot_mask) * l->stride,
                   *ghost = (const char *)(l->ghosts + (b->hash[j] >> l->ghosts_shift));
        __builtin_prefetch(&l->keys[e & t->slot_mask]); /* what is not there may be fetched, it does no harm */
        __builtin_prefetch(node, 1);
        if (l->ghosts) __builtin_prefetch(ghost);
    }
}

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

static inline uint32_t weight_of(uint32_t w) { return w + !w; }

static int admit_weighed(driver *d, uint64_t key, uint32_t w, uint32_t home, size_t at) {
    const evi_ops *ops = d->ops;
    uint32_t slot;
    d->result->miss_weight += w;
    if (w > d->config->capacity || !ops->miss(d->policy, key, w)) {
        d->result->bypassed++;
        return 0;
    }
    while (d->used + w > d->config->capacity || (!d->n_free && d->filled == d->config->slots)) {
        slot = ops->evict(d->policy);
        if (slot >= d->filled || !d->weight[slot]) return broke(d, at, slot);
        table_clear(&d->table, d->layout.keys, table_of_slot(&d->table, table_home(&d->table, d->layout.keys[slot]), slot));
        d->used -= d->weight[slot];
        d->weight[slot] = 0;
        d->free_slot[d->n_free++] = slot;
        d->result->evictions++;
    }
    uint32_t none, place = table_find(&d->table, d->layout.keys, home, key, &none);
    slot = d->n_free ? d->free_slot[--d->n_free] : d->filled++;
    if (d->own_keys) d->own_keys[slot] = key;
    d->weight[slot] = w;
    d->used += w;
    ops->insert(d->policy, slot, key, w);
    table_set(&d->table, place, home, slot);
    return 0;
}

EVI_INLINE int replay_some(driver *d, const uint64_t *keys, const uint32_t *weights, size_t from,
                           size_t to) { /* weights: NULL at compile time where all are 1 */
    const evi_table t = d->table;
    const evi_layout l = d->layout;
    void (*const hit)(void *, uint32_t) = d->ops->hit;
    void *const policy = d->policy;
    block blocks[3];
    uint64_t hits = 0, hit_weight = 0;
    size_t n = least(AHEAD, to - from), next = least(AHEAD, to - from - n), after;
    look(&t, keys + from, n, &blocks[0]);
    look(&t, keys + from + n, next, &blocks[1]);
    reach(&t, &l, n, &blocks[0]);
    for (size_t i = from, now = 0; i < to; n = next, next = after, now = now == 2 ? 0 : now + 1) {
        after = least(AHEAD, to - i - n - next);
        look(&t, keys + i + n + next, after, &blocks[now == 0 ? 2 : now - 1]);
        reach(&t, &l, next, &blocks[now == 2 ? 0 : now + 1]);
        for (size_t j = 0; j < n; j++, i++) {
            const uint32_t home = blocks[now].hash[j] >> t.shift;
            uint32_t slot, place = table_find(&t, l.keys, home, keys[i], &slot);
            if (__builtin_expect(slot != EVI_NONE, 1)) {
                hit(policy, slot);
                hits++;
                if (weights) hit_weight += weight_of(weights[i]);
                continue;
            }
            int code = weights ? admit_weighed(d, keys[i], weight_of(weights[i]), home, i) : admit_unit(d, keys[i], home, place, i);
            if (code) return code;
        }
        if (d->gone) forget(d);
    }
    d->result->hits += hits;
    d->result->hit_weight += hit_weight;
    return 0;
}

static void ask(driver *d) { /* where the policy keeps what: again now and then, it may have grown */
    if (d->ops->layout) d->ops->layout(d->policy, &d->layout);
    if (!d->layout.keys) d->layout.keys = d->own_keys;
    const uint64_t bytes = d->own_bytes + d->layout.bytes;
    if (bytes > d->result->memory) d->result->memory = bytes;
}

static int start(driver *d, int weighed) { /* what it took is given back by finish, also after an error */
    const size_t n = (size_t)d->config->slots + 1;
    if (!table_init(&d->table, d->config->slots, d->config->slots)) return -ENOMEM;
    d->own_bytes = table_bytes(&d->table);
    if (!(d->policy = d->ops->create(d->config))) return -EINVAL;
    if (d->ops->layout) d->ops->layout(d->policy, &d->layout);
    if (!d->layout.keys) {
        if (!(d->own_keys = malloc(n * sizeof *d->own_keys))) return -ENOMEM;
        d->own_bytes += n * sizeof *d->own_keys;
    }
    if (weighed) {
        d->weight = calloc(n, sizeof *d->weight);
        d->free_slot = malloc(n * sizeof *d->free_slot);
        if (!d->weight || !d->free_slot) return -ENOMEM;
        d->own_bytes += n * (sizeof *d->weight + sizeof *d->free_slot);
    }
    return 0;
}

static void finish(driver *d) {
    if (d->policy) {
        d->result->ghost_hits = d->ops->ghost_hits(d->policy);
        d->ops->destroy(d->policy);
    }
    free(d->table.entry);
    free(d->own_keys);
    free(d->weight);
    free(d->free_slot);
}

int evi_replay(const evi_ops *ops, const evi_config *config, const uint64_t *keys, const uint32_t *weights, size_t n, evi_result *result) {
    if (config->slots > (1u << 29)) return -EINVAL;
    driver d = {.ops = ops, .config = config, .result = result};
    int code = start(&d, weights != NULL);
    for (size_t i = 0; i < n && !code && !__atomic_load_n(&result->stop, __ATOMIC_RELAXED); i = result->done) {
        size_t to = n - i < CHUNK ? n : i + CHUNK;
        ask(&d);
        code = weights ? replay_some(&d, keys, weights, i, to) : replay_some(&d, keys, NULL, i, to);
        __atomic_store_n(&result->done, to, __ATOMIC_RELAXED);
    }
    result->misses = result->done - result->hits;
    if (!code) ask(&d);
    finish(&d);
    return code;
}
