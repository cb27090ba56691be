/* cache_map.h: any hashable object -> slot, and what a slot holds: the key, the value, a weight. The mapping under eviction.Cache.
 *
 *    hash --> table of (slot, tag): open addressing, linear probing, at most 2/3 full --> node[slot]: hash, key, value, weight
 *
 * A tag is 32 bits of the mixed hash: it tells an entry's home, so that a removal (Knuth 3, 6.4, algorithm R) reads no node and calls no code
 * of the interpreter, and it lets hardly ever a node be read in vain. Only a look-up calls an object's __eq__, as a dict does: where that
 * changed the map, the look-up begins again. 8 bytes an entry, 32 a node: 44 to 56 bytes a slot, policy and objects not counted.
 *
 * Ownership: nodes own their references; map_take hands them over, so that objects are let go when the cache is consistent again (their
 * finalizers may use it). Threads: the interpreter's lock. Invariants: a slot is free or in the table once; `changes` counts whatever may
 * move a node or an entry.
 */
#ifndef EVI_CACHE_MAP_H
#define EVI_CACHE_MAP_H
#undef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "eviction/csrc/policy.h"

#define MAP_SLOTS (1u << 29)
#define MAP_WEIGHT UINT64_C(0xFFFFFFFFFFFF)
#define MAP_PINS 0x3FFF

typedef struct {
    Py_hash_t hash;
    PyObject *key, *value; /* key NULL: the slot is free */
    uint64_t weight : 48;
    uint64_t pinned : 14; /* how often */
    uint64_t timed : 1; /* has a time to leave */
    uint64_t twin : 1; /* the policy knows it by another number than its hash */
} map_node;

typedef struct {
    uint32_t slot, tag;
} map_entry;

typedef struct {
    map_node *node;
    map_entry *table;
    uint32_t *free_slot;
    uint32_t slots, count, n_free, mask;
    int shift;
    uint64_t changes;
} cache_map;

typedef struct { /* references to let go of at the end of a call */
    PyObject **item, *few[12];
    size_t n, room;
} map_trash;

static inline void trash_init(map_trash *t) {
    t->item = t->few;
    t->n = 0;
    t->room = sizeof t->few / sizeof *t->few;
}

int trash_reserve(map_trash *t, size_t more); /* 0: out of memory, nothing changed */
void trash_empty(map_trash *t); /* runs finalizers */

static inline void trash_add(map_trash *t, PyObject *o) { /* after a reserve; NULL is nothing */
    if (o) t->item[t->n++] = o;
}

int map_init(cache_map *m, uint32_t slots); /* 0: out of memory, nothing kept */
int map_grow(cache_map *m, uint32_t slots); /* 0: out of memory, nothing changed */
void map_free(cache_map *m); /* the arrays; the nodes are free by now */
size_t map_bytes(const cache_map *m);
int map_equal(cache_map *m, uint32_t slot, PyObject *key); /* 1, 0, -1 an exception, -2 the map changed meanwhile */
int map_has_hash(const cache_map *m, Py_hash_t hash); /* whichever key it belongs to */
uint32_t map_add(cache_map *m, Py_hash_t hash, PyObject *key, PyObject *value, uint64_t weight); /* there is a free slot, no such key */
void map_take(cache_map *m, uint32_t slot, map_trash *trash); /* frees the slot; room for 2 in the trash */
int map_check(const cache_map *m, char *why, size_t n);

static inline uint32_t map_tag(Py_hash_t hash) {
    uint64_t h = (uint64_t)hash;
    return (uint32_t)(((h ^ h >> 32) * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

/* 1: found, 0: not there, -1: an exception. May run code of the interpreter, which may change the map; what is told is true at the end. */
static inline int map_find(cache_map *m, PyObject *key, Py_hash_t hash, uint32_t *slot) {
    const uint32_t tag = map_tag(hash);
    for (uint32_t i = tag >> m->shift;; i = (i + 1) & m->mask) {
        const map_entry e = m->table[i];
        if (e.slot == EVI_NONE) return 0;
        if (e.tag != tag || m->node[e.slot].hash != hash) continue;
        if (m->node[e.slot].key != key) {
            const int equal = map_equal(m, e.slot, key);
            if (equal == -1) return -1;
            if (equal == -2) i = ((tag >> m->shift) - 1) & m->mask;
            if (equal != 1) continue;
        }
        *slot = e.slot;
        return 1;
    }
}
#endif
