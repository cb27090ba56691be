#include "eviction/csrc/cache_life.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PyObject *life_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    (void)args, (void)named;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return alloc(type, 0); /* zeroes */
}

PyObject *life_open(PyObject *self, PyObject *args) {
    evi_cache *c = (evi_cache *)self;
    unsigned long long ops, maxsize, slots, seed;
    long long ttl;
    const char *params;
    PyObject *getsizeof, *clock, *trouble, *too_large;
    int python;
    if (!PyArg_ParseTuple(args, "KKKOLKsOOOp", &ops, &maxsize, &slots, &getsizeof, &ttl, &seed, &params, &clock, &trouble, &too_large,
                          &python))
        return NULL;
    if (c->policy) return PyErr_Format(PyExc_RuntimeError, "the cache is initialised already");
    c->ops = (const evi_ops *)(uintptr_t)ops;
    c->maxsize = maxsize;
    c->seed = seed;
    c->ttl = ttl < 0 ? CACHE_NEVER : ttl;
    c->params = strdup(params);
    c->getsizeof = getsizeof == Py_None ? NULL : Py_NewRef(getsizeof);
    c->clock = clock == Py_None ? NULL : Py_NewRef(clock);
    c->trouble = Py_NewRef(trouble);
    c->too_large = Py_NewRef(too_large);
    c->lock = python ? PyThread_allocate_lock() : NULL;
    if (!c->params || (python && !c->lock)) return PyErr_NoMemory();
    c->slow = c->lock != NULL;
    PyObject *missing = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__missing__");
    c->has_missing = missing != NULL;
    Py_XDECREF(missing);
    PyErr_Clear();
    return cache_open(c, slots);
}

int life_clear(PyObject *self) {
    evi_cache *c = (evi_cache *)self;
    cache_close(c); /* no call is under way, so there are no events */
    if (c->lock) PyThread_free_lock(c->lock);
    c->lock = NULL;
    Py_CLEAR(c->getsizeof);
    Py_CLEAR(c->clock);
    Py_CLEAR(c->listener);
    Py_CLEAR(c->trouble);
    Py_CLEAR(c->too_large);
    return 0;
}

void life_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    life_clear(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

int life_traverse(PyObject *self, visitproc visit, void *arg) {
    evi_cache *c = (evi_cache *)self;
    Py_VISIT(Py_TYPE(self));
    for (uint32_t slot = 0; slot < c->map.slots; slot++) {
        if (!c->map.node[slot].key) continue;
        Py_VISIT(c->map.node[slot].key);
        Py_VISIT(c->map.node[slot].value);
        if (c->group) Py_VISIT(c->group[slot].object);
    }
    for (size_t i = 0; i < c->n_events; i++) Py_VISIT(c->events[i].key);
    Py_VISIT(c->getsizeof);
    Py_VISIT(c->clock);
    Py_VISIT(c->listener);
    Py_VISIT(c->trouble);
    Py_VISIT(c->too_large);
    return 0;
}

PyObject *life_listen(PyObject *self, PyObject *listener) {
    evi_cache *c = life_opened(self);
    if (!c || !cache_begin(c)) return NULL;
    const int was_slow = c->slow;
    PyObject *before = c->listener;
    c->listener = listener == Py_None ? NULL : Py_NewRef(listener);
    c->slow = c->lock || c->listener;
    c->ops->listen(c->policy, c->listener && !c->lock ? cache_heard : NULL, c);
    PyObject *result = was_slow ? cache_end_slow(c, Py_NewRef(Py_None)) : Py_NewRef(Py_None);
    Py_XDECREF(before);
    return result;
}

PyObject *life_counts(PyObject *self, PyObject *none) {
    (void)none;
    evi_cache *c = life_opened(self);
    if (!c) return NULL;
    evi_layout told = {0};
    if (c->ops->layout) c->ops->layout(c->policy, &told);
    const size_t bytes = map_bytes(&c->map) + c->timer.slots * 16 + (c->group ? c->map.slots * sizeof *c->group : 0) + told.bytes;
    const cache_counts *n = &c->counts;
    return Py_BuildValue("KKKKKKIKKn", n->hits, n->misses, n->evictions, cache_ghost_hits(c), n->bypassed, n->expired, c->map.count,
                         c->used, c->pinned, (Py_ssize_t)bytes);
}

PyObject *life_again(PyObject *self, PyObject *none) {
    (void)none;
    evi_cache *c = life_opened(self);
    if (!c) return NULL;
    c->counts.misses--;
    return Py_NewRef(Py_None);
}

PyObject *life_reset(PyObject *self, PyObject *none) {
    (void)none;
    evi_cache *c = life_opened(self);
    if (!c) return NULL;
    const uint64_t ghosts = c->ops->ghost_hits(c->policy);
    c->counts = (cache_counts){.ghost_hits = 0 - ghosts};
    return Py_NewRef(Py_None);
}

/* A list of tuples of the slots that `of` makes one of; they are all made before anything can change the cache: the collector is the only code
 * that may run meanwhile, so the objects are held first. */
static PyObject *collect(evi_cache *c, Py_hash_t hash, int grouped) {
    map_trash held;
    trash_init(&held);
    uint64_t *number = malloc(((size_t)c->map.count + 1) * sizeof *number);
    size_t n = 0;
    int ok = number && trash_reserve(&held, 3 * (size_t)c->map.count);
    for (uint32_t slot = 0; ok && slot < c->map.slots; slot++) {
        const map_node *node = &c->map.node[slot];
        if (!node->key || (grouped && !(c->group[slot].object && c->group[slot].hash == hash))) continue;
        trash_add(&held, Py_NewRef(node->key));
        trash_add(&held, Py_NewRef(node->value));
        trash_add(&held, Py_NewRef(grouped ? c->group[slot].object : Py_None));
        number[n++] = node->twin ? UINT64_MAX : (uint64_t)node->hash;
    }
    PyObject *list = ok ? PyList_New((Py_ssize_t)n) : PyErr_NoMemory();
    for (size_t i = 0; list && i < n; i++) {
        PyObject **o = held.item + 3 * i;
        PyObject *row = grouped ? PyTuple_Pack(3, o[0], o[1], o[2]) : Py_BuildValue("OOK", o[0], o[1], (unsigned long long)number[i]);
        if (row)
            PyList_SetItem(list, (Py_ssize_t)i, row);
        else
            Py_DECREF(list), list = NULL;
    }
    free(number);
    trash_empty(&held);
    return list;
}

PyObject *life_items(PyObject *self, PyObject *none) {
    (void)none;
    evi_cache *c = life_opened(self);
    return c ? collect(c, 0, 0) : NULL;
}

PyObject *life_grouped(PyObject *self, PyObject *group) {
    evi_cache *c = life_opened(self);
    const Py_hash_t hash = c ? PyObject_Hash(group) : -1;
    if (hash == -1) return NULL;
    return c->group ? collect(c, hash, 1) : PyList_New(0);
}

PyObject *life_dump(PyObject *self, PyObject *none) {
    (void)none;
    evi_cache *c = life_opened(self);
    if (!c || !cache_begin(c)) return NULL;
    const size_t n = c->ops->dump(c->policy, NULL, 0);
    char *text = malloc(n + 1);
    PyObject *result = NULL;
    if (text) {
        const size_t got = c->ops->dump(c->policy, text, n + 1);
        result = PyUnicode_DecodeUTF8(text, (Py_ssize_t)(got < n ? got : n), "replace");
    } else {
        PyErr_NoMemory();
    }
    free(text);
    return cache_end(c, result);
}

static int sums_are_right(const evi_cache *c, char *why, size_t n) {
    uint64_t used = 0, pinned = 0, timed = 0;
    for (uint32_t slot = 0; slot < c->map.slots; slot++) {
        const map_node *node = &c->map.node[slot];
        if (!node->key) continue;
        used += node->weight;
        pinned += node->pinned ? node->weight : 0;
        timed += node->timed;
        if (node->timed && c->timer.place[slot] == EVI_NONE) return snprintf(why, n, "slot %u has no time", slot), 0;
    }
    if (used == c->used && pinned == c->pinned && timed == c->timer.count && used <= c->maxsize) return 1;
    return snprintf(why, n, "weights: %llu held, %llu counted, %llu and %llu pinned, of %llu; %llu and %u timed", (unsigned long long)used,
                    (unsigned long long)c->used, (unsigned long long)pinned, (unsigned long long)c->pinned, (unsigned long long)c->maxsize,
                    (unsigned long long)timed, c->timer.count),
           0;
}

PyObject *life_check(PyObject *self, PyObject *none) {
    (void)none;
    evi_cache *c = life_opened(self);
    char why[200];
    if (!c || !cache_begin(c)) return NULL;
    const int ok = map_check(&c->map, why, sizeof why) && timer_check(&c->timer, why, sizeof why) && sums_are_right(c, why, sizeof why) &&
                   c->ops->check(c->policy, why, sizeof why);
    return cache_end(c, ok ? Py_NewRef(Py_None) : PyUnicode_FromString(why));
}
