/* What a cache does around a call when somebody listens or the policy is written in Python: the lock, the events, the policy's troubles. */
#include "eviction/csrc/cache_core.h"
#include <stdlib.h>

int cache_begin_slow(evi_cache *c) {
    if (!c->lock) return 1;
    const unsigned long me = PyThread_get_thread_ident();
    if (c->holder == me) {
        PyErr_Format(PyExc_RuntimeError, "a cache is not used from inside its policy %s", c->ops->name);
        return 0;
    }
    if (!PyThread_acquire_lock(c->lock, 0)) {
        Py_BEGIN_ALLOW_THREADS PyThread_acquire_lock(c->lock, 1);
        Py_END_ALLOW_THREADS
    }
    c->holder = me;
    return 1;
}

/* Keeps an event; nothing of the interpreter runs. Without memory it is lost. */
void cache_heard(void *arg, int kind, uint64_t number, uint32_t slot) {
    evi_cache *c = arg;
    if (c->hushed) return;
    if (c->n_events == c->room_events) {
        size_t room = c->room_events ? 2 * c->room_events : 16;
        cache_event *events = realloc(c->events, room * sizeof *events);
        if (!events) return;
        c->events = events;
        c->room_events = room;
    }
    PyObject *key = slot < c->map.slots ? c->map.node[slot].key : number == c->asked_number ? c->asked : NULL;
    c->events[c->n_events++] = (cache_event){kind, number, Py_XNewRef(key)};
}

static const char *name_of(int kind) {
    switch (kind) {
    case 'a':
        return "admit";
    case 'h':
        return "hit";
    case 'p':
        return "promote";
    case 'd':
        return "demote";
    case 'g':
        return "ghost hit";
    case 'e':
        return "evict";
    case 'r':
        return "remove";
    default:
        return "bypass";
    }
}

static void deliver(PyObject *listener, const cache_event *e) {
    PyObject *told = e->key ? PyObject_CallFunction(listener, "sO", name_of(e->kind), e->key)
                            : PyObject_CallFunction(listener, "sK", name_of(e->kind), (unsigned long long)e->number);
    if (!told) PyErr_WriteUnraisable(listener);
    Py_XDECREF(told);
}

PyObject *cache_end_slow(evi_cache *c, PyObject *result) {
    cache_event *events = c->events;
    const size_t n = c->n_events;
    PyObject *kind, *value, *trace, *listener = Py_XNewRef(c->listener);
    c->events = NULL;
    c->n_events = c->room_events = 0;
    PyErr_Fetch(&kind, &value, &trace); /* of the call itself, if it failed */
    int broken = 0;
    if (c->lock) {
        PyObject *fine = kind ? Py_NewRef(Py_None) : PyObject_CallFunction(c->trouble, "O", Py_None);
        broken = !fine;
        Py_XDECREF(fine);
        c->holder = 0;
        PyThread_release_lock(c->lock);
    }
    if (broken) {
        Py_CLEAR(result);
        PyErr_Fetch(&kind, &value, &trace);
    }
    for (size_t i = 0; i < n; i++) {
        deliver(listener, &events[i]); /* where there are any, there is one */
        Py_XDECREF(events[i].key);
    }
    free(events);
    Py_XDECREF(listener);
    PyErr_Restore(kind, value, trace);
    return result;
}
