#include "eviction/csrc/replay.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is resident: an open-addressed table of (tag, slot). A tag is a bijection of a 32-bit key, so that for such keys equal tags are equal keys and
 * a look-up touches nothing but the table; wider keys are compared too. Taking one out moves others by their tags alone. */
typedef struct {
    uint32_t tag, slot; /* slot EVI_NONE: empty */
} cell;

typedef struct {
    cell *cells;
    uint32_t mask, *tag; /* tag[slot] */
    uint64_t *key; /* key[slot]; NULL: all keys are below 2^32 */
} table;

static inline uint32_t tag_of(uint64_t key) { /* the finalizer of MurmurHash3, a bijection of 32 bits */
    uint32_t h = (uint32_t)key ^ (uint32_t)(key >> 32) * 0x9E3779B1u;
    h = (h ^ h >> 16) * 0x85EBCA6Bu;
    h = (h ^ h >> 13) * 0xC2B2AE35u;
    return h ^ h >> 16;
}

static int table_init(table *t, uint32_t slots, int wide) {
    size_t size = 4;
    while (size < 2 * (size_t)slots) size *= 2;
    t->mask = (uint32_t)(size - 1);
    t->cells = malloc(size * sizeof *t->cells);
    t->tag = malloc(((size_t)slots + 1) * sizeof *t->tag);
    t->key = wide ? malloc(((size_t)slots + 1) * sizeof *t->key) : NULL;
    if (!t->cells || !t->tag || (wide && !t->key)) return 0;
    memset(t->cells, 0xFF, size * sizeof *t->cells);
    return 1;
}

static void table_free(table *t) {
    free(t->cells);
    free(t->tag);
    free(t->key);
}

static size_t table_memory(const table *t, uint32_t slots) {
    return ((size_t)t->mask + 1) * sizeof *t->cells + ((size_t)slots + 1) * (sizeof *t->tag + (t->key ? sizeof *t->key : 0));
}

static inline uint32_t table_find(const table *t, uint32_t tag, uint64_t key) { /* the slot, or EVI_NONE */
    for (uint32_t i = tag & t->mask;; i = (i + 1) & t->mask) {
        cell c = t->cells[i];
        if (c.slot == EVI_NONE || (c.tag == tag && (!t->key || t->key[c.slot] == key))) return c.slot;
    }
}

static inline void table_add(table *t, uint32_t tag, uint64_t key, uint32_t slot) {
    uint32_t i = tag & t->mask;
    while (t->cells[i].slot != EVI_NONE) i = (i + 1) & t->mask;
    t->cells[i] = (cell){tag, slot};
    t->tag[slot] = tag;
    if (t->key) t->key[slot] = key;
}

static inline void table_drop(table *t, uint32_t slot) {
    uint32_t i = t->tag[slot] & t->mask;
    while (t->cells[i].slot != slot) i = (i + 1) & t->mask;
    for (uint32_t j = (i + 1) & t->mask; t->cells[j].slot != EVI_NONE; j = (j + 1) & t->mask) {
        if (((j - t->cells[j].tag) & t->mask) < ((j - i) & t->mask)) continue; /* its home lies behind the gap */
        t->cells[i] = t->cells[j];
        i = j;
    }
    t->cells[i].slot = EVI_NONE;
}

typedef struct {
    const evi_ops *ops;
    void *policy;
    const evi_config *config;
    const uint8_t *nodes; /* NULL: not known */
    size_t stride;
    table t;
    uint8_t *taken; /* by slot */
    uint32_t *weight, *free_slot, n_free; /* by slot; NULL when every weight is 1: then fresh slots in order, and the victim's */
    uint64_t used;
} driver;

#define FAR 24 /* requests ahead whose table line is fetched */
#define NEAR 10 /* and whose node is */

static inline void look_ahead(const driver *d, const uint64_t *keys, size_t i, size_t n) {
    if (i + FAR < n) __builtin_prefetch(&d->t.cells[tag_of(keys[i + FAR]) & d->t.mask]);
    if (d->nodes && i + NEAR < n) {
        uint32_t slot = d->t.cells[tag_of(keys[i + NEAR]) & d->t.mask].slot; /* that of the home cell: mostly the right one */
        if (slot != EVI_NONE) __builtin_prefetch(d->nodes + slot * d->stride, 1);
    }
}

/* Evicts one. 0: the policy broke its contract. */
static inline int make_room(driver *d, uint32_t *slot, evi_result *result) {
    *slot = d->ops->evict(d->policy);
    if (*slot >= d->config->slots || !d->taken[*slot]) return 0;
    table_drop(&d->t, *slot);
    d->taken[*slot] = 0;
    d->used -= d->weight ? d->weight[*slot] : 1;
    if (d->weight) d->free_slot[d->n_free++] = *slot;
    result->evictions++;
    return 1;
}

static int run(driver *d, const uint64_t *keys, const uint32_t *weights, size_t n, evi_result *result) {
    uint32_t fresh = 0;
    for (size_t i = 0; i < n; i++) {
        look_ahead(d, keys, i, n);
        uint64_t key = keys[i];
        uint32_t tag = tag_of(key), w = weights && weights[i] ? weights[i] : 1, slot = table_find(&d->t, tag, key);
        result->bytes += w;
        if (slot != EVI_NONE) {
            d->ops->hit(d->policy, slot);
            result->hits++;
            result->hit_bytes += w;
            continue;
        }
        if (w > d->config->capacity || !d->ops->miss(d->policy, key, w)) {
            result->bypassed++;
            continue;
        }
        int full = 0;
        while (d->used + w > d->config->capacity || (d->weight && !d->n_free)) {
            if (!make_room(d, &slot, result)) {
                result->at = i;
                result->slot = slot;
                return -EPROTO;
            }
            full = 1;
        }
        if (d->weight)
            slot = d->free_slot[--d->n_free];
        else if (!full)
            slot = fresh++;
        table_add(&d->t, tag, key, slot);
        d->taken[slot] = 1;
        if (d->weight) d->weight[slot] = w;
        d->used += w;
        d->ops->insert(d->policy, slot, key, w);
    }
    return 0;
}

static int driver_init(driver *d, const evi_ops *ops, const evi_config *config, const uint64_t *keys, size_t n) {
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all |= keys[i];
    size_t slots = (size_t)config->slots + 1;
    *d = (driver){.ops = ops, .config = config};
    d->taken = calloc(slots, 1);
    if (!(config->flags & EVI_UNIT)) {
        d->weight = malloc(slots * sizeof *d->weight);
        d->free_slot = malloc(slots * sizeof *d->free_slot);
        if (!d->weight || !d->free_slot) return 0;
        for (uint32_t i = 0; i < config->slots; i++) d->free_slot[i] = config->slots - 1 - i;
        d->n_free = config->slots;
    }
    return d->taken && table_init(&d->t, config->slots, all > UINT32_MAX);
}

static void measure(driver *d, evi_result *result) {
    size_t slots = (size_t)d->config->slots + 1;
    size_t own = table_memory(&d->t, d->config->slots) + slots * (1 + (d->weight ? sizeof *d->weight + sizeof *d->free_slot : 0));
    result->memory = d->ops->memory ? own + d->ops->memory(d->policy) : 0;
}

int evi_replay(const evi_ops *ops, const evi_config *config, const uint64_t *keys, const uint32_t *weights, size_t n, evi_result *result) {
    memset(result, 0, sizeof *result);
    if (config->slots > (1u << 29)) return -EINVAL;
    driver d = {0};
    int code = -ENOMEM;
    if (driver_init(&d, ops, config, keys, n)) {
        code = -EINVAL;
        if ((d.policy = ops->create(config))) {
            if (ops->nodes) d.nodes = ops->nodes(d.policy, &d.stride);
            code = run(&d, keys, weights, n, result);
            result->misses = n - result->hits;
            result->ghost_hits = ops->ghost_hits(d.policy);
            measure(&d, result);
            ops->destroy(d.policy);
        }
    }
    table_free(&d.t);
    free(d.taken);
    free(d.weight);
    free(d.free_slot);
    return code;
}
