#include "eviction/csrc/cache_core.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TWIN UINT64_C(0x5AC3) /* the upper 16 bits of numbers that are no hashes; no small integer has them */
#define SWEEP 64 /* entries that one call expires on the way, at most */

static uint64_t policy_room(const evi_cache *c) { /* the capacity that the policy is to believe in */
    uint64_t all = !c->getsizeof && c->maxsize > c->map.slots ? c->map.slots : c->maxsize;
    return all - c->pinned;
}

static void *new_policy(const evi_cache *c) {
    evi_config config = {c->maxsize, c->map.slots, 0, c->seed, c->params};
    if (!c->getsizeof) { /* then slots and capacity are the same */
        config.capacity = c->map.slots;
        config.flags = EVI_UNIT;
    }
    void *policy = c->ops->create(&config);
    if (policy && policy_room(c) != config.capacity) c->ops->resize(policy, policy_room(c));
    return policy;
}

static void listen(const evi_cache *c, void *policy) {
    if (c->listener) c->ops->listen(policy, cache_heard, (void *)c);
}

uint64_t cache_ghost_hits(const evi_cache *c) { return c->counts.ghost_hits + c->ops->ghost_hits(c->policy); }

PyObject *cache_open(evi_cache *c, uint64_t slots) {
    if (!map_init(&c->map, (uint32_t)slots)) return PyErr_NoMemory();
    if ((c->policy = new_policy(c))) return Py_NewRef(Py_None);
    map_free(&c->map);
    return PyErr_Format(PyExc_ValueError, "policy '%s' refused capacity %llu and params '%s'", c->ops->name, (unsigned long long)c->maxsize,
                        c->params);
}

void cache_close(evi_cache *c) {
    cache_map map = c->map;
    cache_group *group = c->group;
    memset(&c->map, 0, sizeof c->map);
    if (c->policy) c->ops->destroy(c->policy);
    c->policy = NULL;
    timer_free(&c->timer);
    free(c->params);
    c->group = NULL;
    c->params = NULL;
    for (uint32_t slot = 0; slot < map.slots; slot++) {
        Py_XDECREF(map.node[slot].key);
        Py_XDECREF(map.node[slot].value);
        if (group) Py_XDECREF(group[slot].object);
    }
    map_free(&map);
    free(group);
}

int cache_now(evi_cache *c, int64_t ttl, int64_t *now) {
    *now = 0;
    if (!c->timer.count && ttl == CACHE_NEVER) return 1;
    if (c->clock) {
        PyObject *told = PyObject_CallNoArgs(c->clock);
        const double seconds = told ? PyFloat_AsDouble(told) : -1;
        Py_XDECREF(told);
        if (PyErr_Occurred()) return 0;
        *now = (int64_t)(fmax(-9e9, fmin(9e9, seconds)) * 1e9);
        return 1;
    }
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    *now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    return 1;
}

/* Forgets a slot that the policy has forgotten. Room for 3 in the trash. */
static void forget(evi_cache *c, uint32_t slot, map_trash *trash) {
    c->used -= c->map.node[slot].weight;
    if (c->map.node[slot].timed) timer_drop(&c->timer, slot);
    if (c->group) {
        trash_add(trash, c->group[slot].object);
        c->group[slot].object = NULL;
    }
    map_take(&c->map, slot, trash);
}

void cache_drop(evi_cache *c, uint32_t slot, map_trash *trash) {
    if (c->map.node[slot].pinned) {
        c->pinned -= c->map.node[slot].weight;
        c->ops->resize(c->policy, policy_room(c));
        cache_note(c, 'r', slot);
    } else {
        c->ops->remove(c->policy, slot);
        cache_tell(c, 'r', slot);
    }
    forget(c, slot, trash);
}

int cache_expire(evi_cache *c, int64_t now, uint32_t most, map_trash *trash) {
    uint32_t gone = 0, slot;
    for (; gone < most && (slot = timer_due(&c->timer, now)) != EVI_NONE; gone++) {
        if (!trash_reserve(trash, 6)) return PyErr_NoMemory(), -1; /* 3 more than it needs, for what follows */
        c->counts.expired++;
        cache_drop(c, slot, trash);
    }
    return (int)gone;
}

/* One entry leaves by the policy's choice: its slot, not yet forgotten; EVI_NONE with an exception. */
static uint32_t choose(evi_cache *c, map_trash *trash) {
    if (!trash_reserve(trash, 6)) return PyErr_NoMemory(), EVI_NONE;
    const uint32_t slot = c->ops->evict(c->policy);
    if (slot < c->map.slots && c->map.node[slot].key && !c->map.node[slot].pinned) {
        c->counts.evictions++;
        cache_tell(c, 'e', slot);
        return slot;
    }
    PyObject *raised = PyObject_CallFunction(c->trouble, "k", (unsigned long)slot);
    Py_XDECREF(raised);
    if (raised) PyErr_SetString(PyExc_RuntimeError, "a policy broke its rules");
    return EVI_NONE;
}

static int make_room(evi_cache *c, uint64_t weight, map_trash *trash) {
    const uint64_t all = policy_room(c) + c->pinned;
    /* uncovered (guard): as many slots as there can be are more than a test can hold */
    while (c->used + weight > all || (weight && !c->map.n_free)) {
        const uint32_t slot = choose(c, trash);
        if (slot == EVI_NONE) return 0;
        forget(c, slot, trash);
    }
    return 1;
}

/* The residents that the policy knows, those that would leave first in front; it knows none afterwards. */
static uint32_t drain(evi_cache *c, uint32_t *order, uint8_t *seen) {
    uint32_t n = 0;
    c->ops->listen(c->policy, NULL, NULL);
    for (uint32_t slot; (slot = c->ops->evict(c->policy)) < c->map.slots && c->map.node[slot].key && !seen[slot];) {
        seen[slot] = 1;
        order[n++] = slot;
    }
    for (uint32_t slot = 0; slot < c->map.slots; slot++) /* what a policy of somebody's own held back */
        if (c->map.node[slot].key && !c->map.node[slot].pinned && !seen[slot]) order[n++] = slot;
    return n;
}

/* The number by which the policy is to know a key that is not resident. */
static uint64_t number_of(evi_cache *c, Py_hash_t hash, int *twin) {
    *twin = (uint64_t)hash >> 48 == TWIN || map_has_hash(&c->map, hash);
    return *twin ? TWIN << 48 | (c->twins++ & ((UINT64_C(1) << 48) - 1)) : (uint64_t)hash;
}

/* What a policy was to take back leaves by its choice. Room for 3 in the trash. */
static void declined_again(evi_cache *c, uint32_t slot, map_trash *trash) {
    c->counts.evictions++;
    cache_note(c, 'e', slot);
    forget(c, slot, trash);
}

static int grow(evi_cache *c, map_trash *trash) {
    const uint32_t old = c->map.slots;
    uint64_t most = c->getsizeof || c->maxsize > MAP_SLOTS ? MAP_SLOTS : c->maxsize, slots = old < 8 ? 16 : 2 * (uint64_t)old;
    if (slots > most) slots = most;
    uint32_t *order = malloc((size_t)old * sizeof *order + old + 1), n = 0;
    cache_group *group = c->group ? realloc(c->group, slots * sizeof *group) : NULL;
    if (group) memset((c->group = group) + old, 0, (slots - old) * sizeof *group);
    void *policy = NULL;
    const size_t may_leave = 3 * ((size_t)c->map.count + 1); /* 3 more than they need, for what follows */
    if (order && (group || !c->group) && trash_reserve(trash, may_leave) && (!c->timer.slots || timer_room(&c->timer, (uint32_t)slots)) &&
        map_grow(&c->map, (uint32_t)slots))
        policy = new_policy(c);
    if (!policy) return free(order), PyErr_NoMemory(), 0;
    memset(order + old, 0, old);
    n = drain(c, order, (uint8_t *)(order + old));
    c->counts.ghost_hits += c->ops->ghost_hits(c->policy);
    c->ops->destroy(c->policy);
    c->policy = policy;
    for (uint32_t i = 0; i < n; i++) {
        map_node *node = &c->map.node[order[i]];
        const uint64_t number = node->twin ? TWIN << 48 | c->twins++ : (uint64_t)node->hash;
        if (c->ops->miss(policy, number, node->weight))
            c->ops->insert(policy, order[i], number, node->weight);
        else
            declined_again(c, order[i], trash);
    }
    listen(c, policy);
    free(order);
    return 1;
}

static int too_large(const evi_cache *c, uint64_t weight, uint64_t pinned) {
    const unsigned long long w = weight, most = c->maxsize, others = pinned;
    if (pinned)
        PyErr_Format(c->too_large, "value too large: it weighs %llu, maxsize is %llu, other pinned entries weigh %llu", w, most, others);
    else if (weight > MAP_WEIGHT)
        PyErr_Format(c->too_large, "value too large: it weighs 2**48 or more, maxsize is %llu", most);
    else
        PyErr_Format(c->too_large, "value too large: it weighs %llu, maxsize is %llu", w, most);
    return -1;
}

static int declined(evi_cache *c) {
    c->counts.bypassed++;
    cache_tell(c, 'b', EVI_NONE);
    return 0;
}

/* What is given besides a value, to a slot that is held. Memory was taken before. */
static void dress(evi_cache *c, uint32_t slot, const cache_with *with, int64_t now, map_trash *trash) {
    if (with->ttl != CACHE_NEVER) {
        timer_set(&c->timer, slot, now > CACHE_NEVER - with->ttl ? CACHE_NEVER : now + with->ttl);
        c->map.node[slot].timed = 1;
    } else if (c->map.node[slot].timed) {
        timer_drop(&c->timer, slot);
        c->map.node[slot].timed = 0;
    }
    if (!c->group) return;
    trash_add(trash, c->group[slot].object);
    Py_XINCREF(with->group.object);
    c->group[slot] = with->group;
}

static int room_to_dress(evi_cache *c, const cache_with *with) {
    if (with->group.object && !c->group && !(c->group = calloc((size_t)c->map.slots + 1, sizeof *c->group))) return 0;
    return with->ttl == CACHE_NEVER || timer_room(&c->timer, c->map.slots);
}

/* The policy hears of its room; it may be written in Python, and an exception that is set stays. */
static void tell_room(evi_cache *c) {
    PyObject *kind, *value, *trace;
    PyErr_Fetch(&kind, &value, &trace);
    c->ops->resize(c->policy, policy_room(c));
    PyErr_Restore(kind, value, trace);
}

/* A pinned entry weighs so much from now on. */
static void weigh_pinned(evi_cache *c, map_node *node, uint64_t weight) {
    c->pinned += weight - node->weight;
    c->used += weight - node->weight;
    node->weight = weight;
    tell_room(c);
}

/* A new value for a key that is held; 1 done, 0 it is to be stored as a new one, -1 an exception. */
static int replace(evi_cache *c, uint32_t slot, PyObject *value, uint64_t weight, const cache_with *with, int64_t now, map_trash *trash) {
    map_node *node = &c->map.node[slot];
    const uint64_t before = node->weight, others = c->pinned - before;
    if (before != weight && !node->pinned) return cache_drop(c, slot, trash), 0;
    if (before != weight) {
        if (weight > c->maxsize - others) return too_large(c, weight, others);
        weigh_pinned(c, node, weight);
        if (!make_room(c, 0, trash)) return weigh_pinned(c, node, before), -1;
    }
    trash_add(trash, node->value);
    node->value = Py_NewRef(value);
    dress(c, slot, with, now, trash);
    cache_hit(c, slot);
    return 1;
}

static int admitted(evi_cache *c, PyObject *key, uint64_t number, uint64_t weight) {
    c->asked = key;
    c->asked_number = number;
    const int yes = c->ops->miss(c->policy, number, weight);
    if (!yes) declined(c);
    c->asked = NULL;
    return yes;
}

int cache_store(evi_cache *c, PyObject *key, Py_hash_t hash, PyObject *value, uint64_t weight, const cache_with *with, int64_t now,
                map_trash *trash) {
    uint32_t slot = EVI_NONE;
    int found = cache_find(c, key, hash, now, &slot, trash), twin; /* the last code of the interpreter, but for a Python policy */
    if (found < 0) return -1;
    if (found && with->present) return *with->present = Py_NewRef(c->map.node[slot].value), 1;
    if (weight > c->maxsize) return too_large(c, weight, 0);
    if (!room_to_dress(c, with)) return PyErr_NoMemory(), -1;
    if (found && (found = replace(c, slot, value, weight, with, now, trash))) return found;
    if (weight > c->maxsize - c->pinned) return declined(c);
    if (cache_expire(c, now, SWEEP, trash) < 0) return -1;
    /* uncovered (guard): as many slots as there can be are more than a test can hold */
    if (!c->map.n_free && c->used + weight <= c->maxsize && c->map.slots < MAP_SLOTS) {
        if (!grow(c, trash)) return -1;
        if (!room_to_dress(c, with)) return PyErr_NoMemory(), -1; /* times are kept from the first slots on that there are */
    }
    const uint64_t number = number_of(c, hash, &twin);
    if (!admitted(c, key, number, weight)) return 0;
    if (!make_room(c, weight, trash)) return -1;
    slot = map_add(&c->map, hash, key, value, weight);
    c->map.node[slot].twin = (unsigned)twin;
    c->used += weight;
    c->ops->insert(c->policy, slot, number, weight);
    cache_tell(c, 'a', slot);
    dress(c, slot, with, now, trash);
    return 1;
}

int cache_pop(evi_cache *c, map_trash *trash, PyObject **key, PyObject **value) {
    if (c->used == c->pinned) return 0;
    const uint32_t slot = choose(c, trash);
    if (slot == EVI_NONE) return -1;
    *key = Py_NewRef(c->map.node[slot].key);
    *value = Py_NewRef(c->map.node[slot].value);
    forget(c, slot, trash);
    return 1;
}

int cache_resize(evi_cache *c, uint64_t maxsize, map_trash *trash) {
    if (maxsize < c->pinned) {
        PyErr_Format(PyExc_ValueError, "pinned entries weigh %llu, more than %llu", (unsigned long long)c->pinned,
                     (unsigned long long)maxsize);
        return 0;
    }
    const uint64_t before = c->maxsize;
    c->maxsize = maxsize;
    c->ops->resize(c->policy, policy_room(c));
    if (make_room(c, 0, trash)) return 1;
    c->maxsize = before; /* who has left is gone, the others may stay */
    tell_room(c);
    return 0;
}

int cache_pin(evi_cache *c, uint32_t slot, map_trash *trash) {
    map_node *node = &c->map.node[slot];
    (void)trash;
    if (node->pinned == MAP_PINS) return PyErr_SetString(PyExc_OverflowError, "an entry is pinned 16383 times at most"), 0;
    if (node->pinned++) return 1;
    c->hushed = 1;
    c->ops->remove(c->policy, slot);
    c->hushed = 0;
    c->pinned += node->weight;
    c->ops->resize(c->policy, policy_room(c));
    return 1;
}

int cache_unpin(evi_cache *c, uint32_t slot, map_trash *trash) {
    map_node *node = &c->map.node[slot];
    if (!node->pinned || --node->pinned) return 1;
    c->pinned -= node->weight;
    c->ops->resize(c->policy, policy_room(c));
    const uint64_t number = node->twin ? TWIN << 48 | c->twins++ : (uint64_t)node->hash;
    c->hushed = 1;
    const int back = c->ops->miss(c->policy, number, node->weight);
    if (back) c->ops->insert(c->policy, slot, number, node->weight);
    c->hushed = 0;
    if (!back) declined_again(c, slot, trash);
    return 1;
}

int cache_clear(evi_cache *c, map_trash *trash) {
    for (uint32_t slot = 0; slot < c->map.slots; slot++) {
        if (!c->map.node[slot].key) continue;
        if (!trash_reserve(trash, 3)) return PyErr_NoMemory(), 0;
        cache_drop(c, slot, trash);
    }
    void *policy = new_policy(c);
    if (!policy) return PyErr_NoMemory(), 0;
    c->counts.ghost_hits += c->ops->ghost_hits(c->policy);
    c->ops->destroy(c->policy);
    c->policy = policy;
    listen(c, policy);
    return 1;
}

PyObject *cache_lookup(evi_cache *c, PyObject *key) {
    int64_t now;
    uint32_t slot;
    map_trash trash;
    const Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1 || !cache_now(c, CACHE_NEVER, &now) || !cache_begin(c)) return NULL;
    trash_init(&trash);
    PyObject *value = NULL;
    const int found = cache_find(c, key, hash, now, &slot, &trash);
    if (found == 1) {
        c->counts.hits++;
        cache_hit(c, slot);
        value = Py_NewRef(c->map.node[slot].value);
    } else if (!found) {
        c->counts.misses++;
    }
    value = cache_end(c, value);
    if (__builtin_expect(trash.n != 0, 0)) trash_empty(&trash);
    return value;
}
