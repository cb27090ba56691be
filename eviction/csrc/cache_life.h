/* cache_life.h: how a Core comes and goes, and ways to look at it.
 *
 *    life_new --> an empty object, which refuses every call --> life_open --> a cache --> life_clear (the collector), life_dealloc
 *
 * Ownership: as cache_core.h. Threads: the interpreter's lock. Invariants: no call on an object that was not opened, or was closed, does anything.
 */
#ifndef EVI_CACHE_LIFE_H
#define EVI_CACHE_LIFE_H
#include "eviction/csrc/cache_core.h"

static inline evi_cache *life_opened(PyObject *self) { /* NULL with an exception */
    evi_cache *c = (evi_cache *)self;
    if (__builtin_expect(!c->policy, 0)) PyErr_SetString(PyExc_RuntimeError, "the cache was not initialised");
    return c->policy ? c : NULL;
}

PyObject *life_new(PyTypeObject *type, PyObject *args, PyObject *named);
void life_dealloc(PyObject *self);
int life_traverse(PyObject *self, visitproc visit, void *arg);
int life_clear(PyObject *self);
PyObject *life_open(PyObject *self, PyObject *args);
PyObject *life_listen(PyObject *self, PyObject *listener);
PyObject *life_counts(PyObject *self, PyObject *none);
PyObject *life_again(PyObject *self, PyObject *none);
PyObject *life_reset(PyObject *self, PyObject *none);
PyObject *life_items(PyObject *self, PyObject *none);
PyObject *life_grouped(PyObject *self, PyObject *group);
PyObject *life_dump(PyObject *self, PyObject *none);
PyObject *life_check(PyObject *self, PyObject *none);
#endif
