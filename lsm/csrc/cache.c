/* cache.c: shards of one open-addressed table of slots each, with linear probing and backward-shift deletion. A block with a cell is not in the table.
 *
 *    table[hash & mask] -> slot + 1 (0: empty)     slot -> key, block; free slots are a stack
 */
#include "lsm/csrc/cache.h"
#include "lsm/csrc/late.h"
#include "lsm/csrc/pages.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MIN_SLOTS 64
#define OVERHEAD 96 /* bytes charged beside the data of a block */
#define NO_SLOT UINT32_MAX
#define PAGES_FROM ((uint64_t)32 << 20) /* capacity from which huge pages are worth their slack */

typedef struct slot {
    uint64_t key;
    lsm_block *block;
} slot;

typedef struct shard {
    pthread_mutex_t lock;
    uint64_t capacity, charge, hits, misses, inserts, evictions, bypassed, refused;
    uint32_t wrong; /* the last victim that was refused: no slot that is held */
    uint32_t mask, slots, n_free;
    uint32_t *table, *free_slots;
    slot *at;
    void *policy;
    evi_layout layout; /* of the policy, where it tells */
    lsm_block *left, *leaving; /* out of their cells, and maybe seen by a look-up: since the turns below; later */
    uint64_t turns[LSM_STRIPES];
    char pad[64];
} shard;

typedef struct record {
    uint64_t *out, cap, *n;
} record;

struct lsm_cache {
    const evi_ops *ops;
    uint32_t n_shards, shift;
    uint64_t capacity;
    shard *shards;
    lsm_pages *pages; /* NULL: the heap */
    lsm_stripe *stripes;
    pthread_mutex_t record_lock;
    _Atomic int recording;
    record record;
};

lsm_block *lsm_block_alloc(lsm_cache *c, size_t size) {
    int from_heap;
    lsm_block *b = lsm_pages_take(c ? c->pages : NULL, sizeof *b + size, &from_heap);
    if (!b) return NULL;
    b->home = from_heap ? NULL : c->pages;
    atomic_init(&b->refs, 1);
    b->size = (uint32_t)size;
    b->aux = NULL;
    b->uid = 0;
    b->cell = NULL;
    return b;
}

void lsm_block_release(lsm_block *b) {
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) return;
    free(b->aux);
    if (b->home)
        lsm_pages_give(b->home, b);
    else
        free(b);
}

static inline uint64_t key_of(uint64_t uid, uint64_t number) { return uid << 40 | number; }

static inline uint64_t mix(uint64_t k) {
    k ^= k >> 32;
    k *= UINT64_C(0xD6E8FEB86659FD93);
    k ^= k >> 32;
    k *= UINT64_C(0xD6E8FEB86659FD93);
    return k ^ k >> 32;
}

static inline uint64_t charge_of(const lsm_block *b) { return b->size + OVERHEAD; }

static int shard_init(shard *s, const lsm_cache *c, uint64_t capacity, uint32_t mean, const char *params, uint64_t seed) {
    uint64_t slots = capacity / mean;
    s->slots = (uint32_t)(slots<MIN_SLOTS ? MIN_SLOTS : slots>(1u << 28) ? 1u << 28 : slots);
    uint64_t size = 4;
    while (size < 2 * (uint64_t)s->slots) size *= 2;
    s->mask = (uint32_t)(size - 1);
    s->capacity = capacity;
    s->table = calloc(size, sizeof *s->table);
    s->free_slots = malloc(s->slots * sizeof *s->free_slots);
    s->at = calloc(s->slots, sizeof *s->at);
    evi_config config = {.capacity = capacity, .slots = s->slots, .seed = seed, .params = params ? params : ""};
    s->policy = c->ops->create(&config);
    if (!s->table || !s->free_slots || !s->at || !s->policy) return -1;
    if (c->ops->layout) c->ops->layout(s->policy, &s->layout);
    for (uint32_t i = 0; i < s->slots; i++) s->free_slots[i] = s->slots - 1 - i;
    s->n_free = s->slots;
    return pthread_mutex_init(&s->lock, NULL) ? -1 : 0; /* uncovered (system): a mutex needs nothing that could be missing here */
}

lsm_cache *lsm_cache_new(uint64_t capacity, uint32_t shards, uint32_t mean, const evi_ops *policy, const char *params, uint64_t seed) {
    if (!mean || !policy || policy->abi != EVI_ABI || policy->size < sizeof(evi_ops) || (shards & (shards - 1))) return NULL;
    if (!shards)
        for (shards = 1; shards < 16 && capacity / shards > (4u << 20); shards *= 2) {
        }
    lsm_cache *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->ops = policy;
    c->capacity = capacity;
    c->shift = 64;
    for (uint32_t n = shards; n > 1; n /= 2) c->shift--;
    pthread_mutex_init(&c->record_lock, NULL);
#ifndef __SANITIZE_ADDRESS__ /* the heap shows what strays over the end of a block */
    if (capacity >= PAGES_FROM && !(c->pages = lsm_pages_new())) {
        lsm_cache_free(c);
        return NULL;
    }
#endif
    c->stripes = calloc(LSM_STRIPES, sizeof *c->stripes);
    c->shards = c->stripes ? calloc(shards, sizeof *c->shards) : NULL;
    for (; c->shards && c->n_shards < shards; c->n_shards++)
        if (shard_init(&c->shards[c->n_shards], c, capacity / shards, mean, params, seed + c->n_shards)) {
            c->n_shards++; /* free what it has */
            lsm_cache_free(c);
            return NULL;
        }
    if (!c->shards) {
        lsm_cache_free(c);
        return NULL;
    }
    return c;
}

static void release_all(lsm_block **list) {
    for (lsm_block *b = *list, *next; b; b = next) {
        next = b->next;
        lsm_block_release(b);
    }
    *list = NULL;
}

void lsm_cache_free(lsm_cache *c) {
    if (!c) return;
    for (uint32_t i = 0; i < c->n_shards; i++) {
        shard *s = &c->shards[i];
        release_all(&s->left);
        release_all(&s->leaving);
        for (uint32_t k = 0; s->at && k < s->slots; k++) lsm_block_release(s->at[k].block);
        if (s->policy) c->ops->destroy(s->policy);
        free(s->table);
        free(s->free_slots);
        free(s->at);
        pthread_mutex_destroy(&s->lock);
    }
    pthread_mutex_destroy(&c->record_lock);
    free(c->shards);
    free(c->stripes);
    lsm_pages_free(c->pages);
    free(c);
}

static inline shard *shard_of(lsm_cache *c, uint64_t hash) { return &c->shards[c->shift == 64 ? 0 : hash >> c->shift]; }

/* The place in the table of key, or of the empty cell that ends its search. */
static inline uint32_t place_of(const shard *s, uint64_t key, uint64_t hash) {
    uint32_t i = (uint32_t)hash & s->mask;
    while (s->table[i] && s->at[s->table[i] - 1].key != key) i = (i + 1) & s->mask;
    return i;
}

static void leave_table(shard *s, uint32_t i) {
    for (uint32_t j = (i + 1) & s->mask; s->table[j]; j = (j + 1) & s->mask) {
        uint32_t home = (uint32_t)mix(s->at[s->table[j] - 1].key) & s->mask;
        if (((j - home) & s->mask) < ((j - i) & s->mask)) continue;
        s->table[i] = s->table[j];
        i = j;
    }
    s->table[i] = 0;
}

/* Gives up the references to blocks that are out of their cells, as far as no look-up can have seen them. */
static void sweep(lsm_cache *c, shard *s) {
    if (!s->left && !s->leaving) return;
    uint64_t turns[LSM_STRIPES];
    int inside = 0, seen = 0; /* anybody now; anybody since the blocks of left were in their cells */
    for (int i = 0; i < LSM_STRIPES; i++) {
        turns[i] = atomic_load(&c->stripes[i].turn);
        inside |= turns[i] & 1;
        seen |= s->turns[i] & 1 && s->turns[i] == turns[i];
    }
    /* uncovered (race): a look-up is inside that began before blocks left, and none has left */
    if (inside && seen && s->left) return;
    release_all(&s->left);
    if (!inside) {
        release_all(&s->leaving);
        return;
    }
    s->left = s->leaving;
    s->leaving = NULL;
    memcpy(s->turns, turns, sizeof turns);
}

/* Forgets the block in a slot and gives up the reference to it. It is freed under the lock, maybe: that is no I/O. */
static void take_out(lsm_cache *c, shard *s, uint32_t slot) {
    lsm_block *b = s->at[slot].block;
    s->at[slot].block = NULL;
    s->free_slots[s->n_free++] = slot;
    s->charge -= charge_of(b);
    if (b->cell) {
        atomic_store(&b->cell->block, NULL);
        b->next = s->leaving;
        s->leaving = b;
        sweep(c, s);
    } else {
        leave_table(s, place_of(s, s->at[slot].key, mix(s->at[slot].key)));
        lsm_block_release(b);
    }
}

/* Evicts until need more bytes and a slot are free. 0 when that cannot be. */
static int make_room(lsm_cache *c, shard *s, uint64_t need) {
    while (s->charge + need > s->capacity || !s->n_free) {
        uint32_t slot = c->ops->evict(s->policy);
        if (slot >= s->slots || !s->at[slot].block) return s->refused++, s->wrong = slot, 0;
        take_out(c, s, slot);
        s->evictions++;
    }
    return 1;
}

static void note_access(lsm_cache *c, uint64_t key) {
    pthread_mutex_lock(&c->record_lock);
    /* uncovered (race): the recording ends at the moment of an access */
    if (c->record.out && *c->record.n < c->record.cap) c->record.out[(*c->record.n)++] = key;
    pthread_mutex_unlock(&c->record_lock);
}

/* The slot of a block that is in the cache, or NO_SLOT. The lock is held. */
static inline uint32_t find(const shard *s, uint64_t uid, uint64_t key, uint64_t hash, const lsm_cell *cell) {
    if (cell)
        return atomic_load_explicit(&cell->block, memory_order_relaxed) ? atomic_load_explicit(&cell->slot, memory_order_relaxed) : NO_SLOT;
    uint32_t at = s->table[place_of(s, key, hash)];
    return at && s->at[at - 1].block->uid == uid ? at - 1 : NO_SLOT;
}

static void lock(shard *s, lsm_reader *by) {
    if (!pthread_mutex_trylock(&s->lock)) return;
    lsm_reader_blocks(by);
    pthread_mutex_lock(&s->lock);
}

/* Asks for what telling will read: the slots, and the policies' own nodes where they say where these are.
 * Inlined always: gcc takes a function that only fetches for one that does nothing, and drops the call. */
__attribute__((always_inline)) static inline void reach(const lsm_cache *c, const lsm_stripe *q, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const shard *s = &c->shards[q->at[i].shard];
        __builtin_prefetch(&s->at[q->at[i].slot]);
        if (s->layout.nodes) __builtin_prefetch(s->layout.nodes + q->at[i].slot * s->layout.stride);
    }
}

/* Tells the policies what was hit inside a stripe, in its order, a shard at a time. Not wait: shards that are locked are told another time. */
static void tell(lsm_cache *c, lsm_stripe *q, int wait, lsm_reader *by) {
    uint32_t n = lsm_stripe_noted(q), left = 0;
    reach(c, q, n);
    for (uint32_t i = 0; i < n; i++) {
        if (!q->at[i].block) continue;
        shard *s = &c->shards[q->at[i].shard];
        if (wait) {
            lock(s, by);
        } else if (pthread_mutex_trylock(&s->lock)) {
            q->at[left++] = q->at[i]; /* uncovered (race): another thread has the shard at this moment */
            continue; /* uncovered (race): likewise */
        }
        for (uint32_t k = i; k < n; k++) {
            lsm_late *hit = &q->at[k];
            if (!hit->block || &c->shards[hit->shard] != s) continue;
            if (s->at[hit->slot].block == hit->block) c->ops->hit(s->policy, hit->slot);
            hit->block = NULL;
        }
        sweep(c, s);
        pthread_mutex_unlock(&s->lock);
    }
    atomic_store_explicit(&q->n, left, memory_order_relaxed);
}

static void settle(lsm_cache *c, lsm_stripe *q, lsm_reader *by) {
    if (!lsm_stripe_noted(q) || !lsm_stripe_enter(q)) return;
    tell(c, q, 1, by);
    lsm_stripe_leave(q);
}

static inline void settle_mine(lsm_cache *c, lsm_reader *by) { settle(c, lsm_stripe_mine(c->stripes), by); }

static void settle_all(lsm_cache *c) {
    for (int i = 0; i < LSM_STRIPES; i++) settle(c, &c->stripes[i], NULL);
}

/* The block of a cell whose stripe the thread is inside of, noted as hit. NULL: a miss, or no room for the note. */
static inline lsm_block *note_cell(lsm_cache *c, lsm_stripe *q, uint64_t hash, lsm_cell *cell) {
    lsm_block *b = atomic_load(&cell->block);
    if (!b || lsm_stripe_noted(q) == LSM_LATE) return NULL;
    lsm_stripe_note(q, (lsm_late){(uint32_t)(shard_of(c, hash) - c->shards), atomic_load_explicit(&cell->slot, memory_order_relaxed), b});
    return b;
}

/* A hit without the lock and with a reference, or NULL: also when another thread is inside the stripe. */
static lsm_block *look_in_cell(lsm_cache *c, uint64_t hash, lsm_cell *cell) {
    lsm_stripe *q = lsm_stripe_mine(c->stripes);
    if (!lsm_stripe_enter(q)) return NULL;
    lsm_block *b = note_cell(c, q, hash, cell);
    if (b) {
        lsm_cell_prefetch(cell);
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
        if (lsm_stripe_noted(q) >= LSM_LATE_TELL) tell(c, q, 1, NULL);
    }
    lsm_stripe_leave(q);
    return b;
}

/* The same, but lent: the reader is inside the stripe from the first time on. */
static lsm_block *lend(lsm_cache *c, uint64_t hash, lsm_cell *cell, lsm_reader *by) {
    if (!by->lender) {
        lsm_stripe *q = lsm_stripe_mine(c->stripes);
        if (!lsm_stripe_enter(q)) return NULL;
        by->lender = c;
        by->stripe = q;
    }
    lsm_block *b = note_cell(c, by->stripe, hash, cell);
    if (!b) return NULL;
    lsm_cell_prefetch(cell);
    return by->lent[by->n_lent++] = b;
}

void lsm_reader_keep(lsm_reader *by) {
    for (; by->n_kept < by->n_lent; by->n_kept++) atomic_fetch_add_explicit(&by->lent[by->n_kept]->refs, 1, memory_order_relaxed);
    if (by->lender) lsm_stripe_leave(by->stripe);
    by->lender = NULL;
}

void lsm_reader_give_back(lsm_reader *by) {
    if (by->lender) {
        if (lsm_stripe_noted(by->stripe) >= LSM_LATE_TELL) tell(by->lender, by->stripe, 0, NULL);
        lsm_stripe_leave(by->stripe);
        by->lender = NULL;
    }
    for (uint32_t i = 0; i < by->n_kept; i++) lsm_block_release(by->lent[i]);
    by->n_lent = by->n_kept = 0;
}

/* With the lock, and a reference. */
static lsm_block *look_in_shard(lsm_cache *c, uint64_t uid, uint64_t key, uint64_t hash, lsm_cell *cell, lsm_reader *by) {
    shard *s = shard_of(c, hash);
    lsm_block *b = NULL;
    if (by && by->lender == c) lsm_reader_keep(by); /* it has hits to be told first */
    settle_mine(c, by);
    lock(s, by);
    uint32_t slot = find(s, uid, key, hash, cell);
    if (slot != NO_SLOT) {
        if (cell) lsm_cell_prefetch(cell);
        b = s->at[slot].block;
        c->ops->hit(s->policy, slot);
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
        s->hits++;
    } else {
        s->misses++;
    }
    pthread_mutex_unlock(&s->lock);
    return b;
}

lsm_block *lsm_cache_lookup(lsm_cache *c, uint64_t uid, uint64_t number, lsm_cell *cell, lsm_reader *by, int *lent) {
    uint64_t key = key_of(uid, number), hash = mix(key);
    if (__builtin_expect(atomic_load_explicit(&c->recording, memory_order_relaxed), 0)) {
        lsm_reader_blocks(by);
        note_access(c, key);
    }
    *lent = cell && by && by->n_lent < by->cap_lent;
    lsm_block *b = *lent ? lend(c, hash, cell, by) : cell ? look_in_cell(c, hash, cell) : NULL;
    if (b) return b;
    *lent = 0;
    return look_in_shard(c, uid, key, hash, cell, by);
}

static void place(lsm_cache *c, shard *s, uint64_t uid, uint64_t key, uint64_t hash, lsm_cell *cell, lsm_block *b) {
    uint64_t need = charge_of(b);
    uint32_t slot = s->free_slots[--s->n_free];
    b->uid = uid;
    b->cell = cell;
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed); /* of the cache, before anybody sees the block */
    if (cell) {
        atomic_store_explicit(&cell->size, b->size, memory_order_relaxed);
        atomic_store_explicit(&cell->slot, slot, memory_order_relaxed);
        atomic_store_explicit(&cell->block, b, memory_order_release);
    } else {
        s->table[place_of(s, key, hash)] = slot + 1;
    }
    s->at[slot].key = key;
    s->at[slot].block = b;
    s->charge += need;
    s->inserts++;
    c->ops->insert(s->policy, slot, key, need);
}

lsm_block *lsm_cache_insert(lsm_cache *c, uint64_t uid, uint64_t number, lsm_cell *cell, lsm_block *b) {
    uint64_t key = key_of(uid, number), hash = mix(key), need = charge_of(b);
    shard *s = shard_of(c, hash);
    lsm_block *use = b;
    settle_mine(c, NULL);
    pthread_mutex_lock(&s->lock);
    uint32_t slot = find(s, uid, key, hash, cell);
    if (slot != NO_SLOT) {
        use = s->at[slot].block;
        atomic_fetch_add_explicit(&use->refs, 1, memory_order_relaxed);
    } else if (!cell && s->table[place_of(s, key, hash)]) {
        s->bypassed++; /* another owner, equal in the bits that a key holds */
    } else if (need > s->capacity || !c->ops->miss(s->policy, key, need) || !make_room(c, s, need)) {
        s->bypassed++;
    } else {
        place(c, s, uid, key, hash, cell, b);
    }
    pthread_mutex_unlock(&s->lock);
    if (use != b) lsm_block_release(b);
    return use;
}

static void erase(lsm_cache *c, shard *s, uint32_t slot) {
    c->ops->remove(s->policy, slot);
    take_out(c, s, slot);
}

void lsm_cache_erase(lsm_cache *c, uint64_t uid, lsm_cell *cells, uint32_t n_cells) {
    settle_mine(c, NULL);
    for (uint32_t i = 0; i < n_cells; i++) {
        shard *s = shard_of(c, mix(key_of(uid, i)));
        pthread_mutex_lock(&s->lock);
        if (atomic_load_explicit(&cells[i].block, memory_order_relaxed)) erase(c, s, cells[i].slot);
        pthread_mutex_unlock(&s->lock);
    }
    for (uint32_t i = 0; !cells && i < c->n_shards; i++) {
        shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        for (uint32_t slot = 0; slot < s->slots; slot++)
            if (s->at[slot].block && s->at[slot].block->uid == uid) erase(c, s, slot);
        pthread_mutex_unlock(&s->lock);
    }
}

int lsm_cache_resize(lsm_cache *c, uint64_t capacity) {
    int status = LSM_OK;
    settle_all(c);
    for (uint32_t i = 0; i < c->n_shards; i++) {
        shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        s->capacity = capacity / c->n_shards;
        if (c->ops->resize(s->policy, s->capacity) < 0) status = LSM_PLUGIN;
        if (s->charge > s->capacity && !make_room(c, s, 0)) status = LSM_PLUGIN;
        pthread_mutex_unlock(&s->lock);
    }
    c->capacity = capacity;
    return status;
}

void lsm_cache_get_stats(lsm_cache *c, lsm_cache_stats *out) {
    memset(out, 0, sizeof *out);
    out->capacity = c->capacity;
    settle_all(c);
    for (int i = 0; i < LSM_STRIPES; i++) out->hits += atomic_load_explicit(&c->stripes[i].hits, memory_order_relaxed);
    for (uint32_t i = 0; i < c->n_shards; i++) {
        shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        out->charge += s->charge;
        out->blocks += s->slots - s->n_free;
        out->hits += s->hits;
        out->misses += s->misses;
        out->inserts += s->inserts;
        out->evictions += s->evictions;
        if (s->refused) out->refused += s->refused, out->wrong_slot = s->wrong;
        out->bypassed += s->bypassed;
        out->ghost_hits += c->ops->ghost_hits(s->policy);
        pthread_mutex_unlock(&s->lock);
    }
}

size_t lsm_cache_dump(lsm_cache *c, char *out, size_t n) {
    size_t total = 0;
    settle_all(c);
    for (uint32_t i = 0; i < c->n_shards; i++) {
        shard *s = &c->shards[i];
        int head = snprintf(total < n ? out + total : NULL, total < n ? n - total : 0, "shard %u\n", i);
        total += (size_t)head;
        pthread_mutex_lock(&s->lock);
        total += c->ops->dump(s->policy, total < n ? out + total : NULL, total < n ? n - total : 0);
        pthread_mutex_unlock(&s->lock);
    }
    return total;
}

void lsm_cache_record(lsm_cache *c, uint64_t *out, uint64_t cap, uint64_t *n) {
    pthread_mutex_lock(&c->record_lock);
    c->record = (record){out, cap, n};
    atomic_store(&c->recording, out != NULL);
    pthread_mutex_unlock(&c->record_lock);
}
