/* cache_core.h: a cache of the interpreter's objects over any policy: the mapping, the room, times to leave, pins, what happened.
 *
 *    cache_map (object -> slot) --hit(slot)--> policy (policy.h), which knows an object by its hash
 *         '--> cache_timer (who leaves when)         '--> events, kept until the call is over
 *
 * A pinned entry is taken out of the policy, whose capacity shrinks by its weight, and comes back as a new one after as many unpins; to listeners
 * it was there all the time. The policy is made for so
 * many slots; when entries need more than that (weights, or a size past the first slots) it is made anew, twice as large, and the residents
 * are handed over in the order in which they would have left: histories end there. Objects whose hash a resident has already get a number
 * of their own, so that a policy never knows two residents by one.
 *
 * Ownership: the object of the type Core (cache_type.c) embeds one. Threads: the interpreter's lock; where the policy is written in Python
 * (its calls may let that lock go) a lock of the cache besides, held from cache_begin to cache_end. Invariants: what is held never weighs
 * more than maxsize once a call is over; between the end of map_find and cache_end no code of the interpreter runs, but a Python policy's.
 */
#ifndef EVI_CACHE_CORE_H
#define EVI_CACHE_CORE_H
#include "eviction/csrc/cache_map.h"
#include "eviction/csrc/cache_timer.h"

#define CACHE_NEVER INT64_MAX

typedef struct {
    int kind;
    uint64_t number;
    PyObject *key; /* NULL: not known any more */
} cache_event;

typedef struct {
    uint64_t hits, misses, evictions, ghost_hits, bypassed, expired; /* ghost_hits: of policies replaced since */
} cache_counts;

typedef struct {
    PyObject *object; /* NULL: none */
    Py_hash_t hash;
} cache_group;

typedef struct evi_cache {
    PyObject ob_base;
    cache_map map;
    cache_timer timer;
    const evi_ops *ops;
    void *policy; /* NULL: not opened */
    uint64_t maxsize, used, pinned; /* weights */
    uint64_t seed, twins;
    int64_t ttl; /* of entries without their own; nanoseconds, CACHE_NEVER */
    cache_counts counts;
    char *params;
    PyObject *getsizeof, *clock, *listener; /* NULL: none */
    PyObject *trouble, *too_large; /* trouble(slot or None) raises what a policy broke; the exception of a value that does not fit */
    cache_group *group; /* by slot; NULL: there are none yet */
    cache_event *events;
    size_t n_events, room_events;
    PyObject *asked; /* the key that is being admitted, borrowed, and its number */
    uint64_t asked_number;
    PyThread_type_lock lock; /* NULL: the policy is native */
    unsigned long holder;
    int slow, has_missing; /* slow: there is a lock or a listener */
    int hushed; /* what the policy says now is told to nobody */
} evi_cache;

typedef struct { /* what is given besides key and value */
    int64_t ttl; /* nanoseconds; CACHE_NEVER */
    cache_group group;
    PyObject **present; /* not NULL: where the key is held nothing changes, and its value goes here, a new reference */
} cache_with;

/* Every call: cache_begin, cache_find and what is wanted, cache_end, which lets objects go, tells the listener and returns its argument or NULL. */
int cache_begin_slow(evi_cache *c);
PyObject *cache_end_slow(evi_cache *c, PyObject *result);
PyObject *cache_open(evi_cache *c, uint64_t slots); /* all fields are set; None, or NULL with an exception */
void cache_close(evi_cache *c); /* runs finalizers, when nothing is there any more */
int cache_now(evi_cache *c, int64_t ttl, int64_t *now); /* before cache_begin; 0: an exception */
int cache_store(evi_cache *c, PyObject *key, Py_hash_t hash, PyObject *value, uint64_t weight, const cache_with *with, int64_t now,
                map_trash *trash); /* 1 stored, 0 declined by the policy, -1 an exception */
void cache_drop(evi_cache *c, uint32_t slot, map_trash *trash); /* room for 3 in the trash, which there is at the beginning of a call */
int cache_pop(evi_cache *c, map_trash *trash, PyObject **key, PyObject **value); /* by the policy's choice; 0: none, -1 an exception */
int cache_expire(evi_cache *c, int64_t now, uint32_t most, map_trash *trash); /* how many; -1 an exception */
int cache_resize(evi_cache *c, uint64_t maxsize, map_trash *trash); /* 0: an exception */
int cache_pin(evi_cache *c, uint32_t slot, map_trash *trash); /* 0: an exception */
int cache_unpin(evi_cache *c, uint32_t slot, map_trash *trash); /* 0: an exception */
int cache_clear(evi_cache *c, map_trash *trash); /* 0: an exception */
void cache_heard(void *arg, int kind, uint64_t number, uint32_t slot); /* an evi_event_fn */
uint64_t cache_ghost_hits(const evi_cache *c);

static inline int cache_begin(evi_cache *c) { return !__builtin_expect(c->slow, 0) || cache_begin_slow(c); }

static inline PyObject *cache_end(evi_cache *c, PyObject *result) {
    return __builtin_expect(c->slow, 0) ? cache_end_slow(c, result) : result;
}

static inline void cache_note(evi_cache *c, int kind, uint32_t slot) { /* what the policy does not know of */
    if (c->listener) cache_heard(c, kind, c->asked_number, slot);
}

static inline void cache_tell(evi_cache *c, int kind, uint32_t slot) { /* for a policy in Python, which has no events */
    if (c->lock) cache_note(c, kind, slot);
}

/* A request of a resident. */
static inline void cache_hit(evi_cache *c, uint32_t slot) {
    if (__builtin_expect(c->map.node[slot].pinned, 0)) {
        cache_note(c, 'h', slot);
        return;
    }
    c->ops->hit(c->policy, slot);
    if (__builtin_expect(c->slow, 0)) cache_tell(c, 'h', slot);
}

/* The slot of a living entry: 1, or 0: there is none (an expired one leaves), or -1 with an exception. The first of a call. */
static inline int cache_find(evi_cache *c, PyObject *key, Py_hash_t hash, int64_t now, uint32_t *slot, map_trash *trash) {
    const int found = map_find(&c->map, key, hash, slot);
    if (found != 1 || !c->map.node[*slot].timed || c->timer.when[*slot] > now) return found;
    c->counts.expired++;
    cache_drop(c, *slot, trash);
    return 0;
}

/* What a look-up of the cache returns and counts: a new reference; NULL with no exception: there is none. */
PyObject *cache_lookup(evi_cache *c, PyObject *key);
#endif
