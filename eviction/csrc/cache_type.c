#include "eviction/csrc/cache_type.h"
#include "eviction/csrc/cache_args.h"
#include "eviction/csrc/cache_life.h"
#include "eviction/csrc/cached_call.h"
#include <stdlib.h>
#include <string.h>

#define MODULE "eviction._native"
#define METHOD(f) ((PyCFunction)(void (*)(void))(f)) /* of METH_FASTCALL | METH_KEYWORDS, by way of void (*)(void) */
#define FAST (METH_FASTCALL | METH_KEYWORDS)
#define ARGS PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names

/* A call on a key: its hash and the time are known, the cache is entered. */
typedef struct {
    evi_cache *c;
    Py_hash_t hash;
    int64_t now;
    map_trash trash;
} key_call;

static int enter(key_call *k, PyObject *self, PyObject *key, int64_t ttl) {
    trash_init(&k->trash);
    return (k->c = life_opened(self)) && (!key || (k->hash = PyObject_Hash(key)) != -1) && cache_now(k->c, ttl, &k->now) &&
           cache_begin(k->c);
}

static PyObject *leave(key_call *k, PyObject *result) {
    result = cache_end(k->c, result);
    trash_empty(&k->trash);
    return result;
}

static PyObject *none_or_null(int ok) { return ok ? Py_NewRef(Py_None) : NULL; }

static PyObject *missing(evi_cache *c, PyObject *key) {
    if (c->has_missing) return PyObject_CallMethod(&c->ob_base, "__missing__", "O", key);
    PyErr_SetObject(PyExc_KeyError, key);
    return NULL;
}

static int weigh(evi_cache *c, PyObject *value, uint64_t *weight) {
    *weight = 1;
    if (!c->getsizeof) return 1;
    PyObject *told = PyObject_CallFunctionObjArgs(c->getsizeof, value, NULL), *size = told ? PyNumber_Index(told) : NULL;
    if (!size) {
        if (told) PyErr_Format(PyExc_ValueError, "getsizeof gave %R; allowed: an integer of 0 and more", told);
        Py_XDECREF(told);
        return 0;
    }
    int overflow;
    const long long w = PyLong_AsLongLongAndOverflow(size, &overflow);
    const int ok = overflow > 0 || (overflow == 0 && w >= 0);
    if (!ok) PyErr_Format(PyExc_ValueError, "getsizeof gave %R; allowed: an integer of 0 and more", told);
    *weight = overflow ? UINT64_MAX : w ? (uint64_t)w : 1;
    Py_DECREF(told);
    Py_DECREF(size);
    return ok;
}

static int read_ttl(const evi_cache *c, PyObject *given, int64_t *ttl) {
    *ttl = c->ttl;
    if (!given || given == Py_None) return 1;
    const double seconds = PyFloat_AsDouble(given);
    if (PyErr_Occurred()) return 0;
    if (!(seconds > 0)) return PyErr_Format(PyExc_ValueError, "ttl is %R; allowed: None or seconds above 0", given), 0;
    *ttl = seconds < 9e9 ? (int64_t)(seconds * 1e9) : CACHE_NEVER;
    if (!*ttl) *ttl = 1;
    return 1;
}

/* 1 stored, 0 declined, -1 an exception. */
static int store(PyObject *self, PyObject *key, PyObject *value, PyObject *ttl, PyObject *group, PyObject **present) {
    evi_cache *c = life_opened(self);
    cache_with with = {CACHE_NEVER, {NULL, 0}, present};
    uint64_t weight;
    key_call k;
    if (!c || !read_ttl(c, ttl, &with.ttl) || !weigh(c, value, &weight)) return -1;
    if (group && group != Py_None) {
        with.group = (cache_group){group, PyObject_Hash(group)};
        if (with.group.hash == -1) return -1;
    }
    if (!enter(&k, self, key, with.ttl)) return -1;
    const int stored = cache_store(c, key, k.hash, value, weight, &with, k.now, &k.trash);
    PyObject *done = leave(&k, none_or_null(stored >= 0));
    Py_XDECREF(done);
    return done ? stored : -1;
}

static PyObject *core_subscript(PyObject *self, PyObject *key) {
    evi_cache *c = life_opened(self);
    PyObject *value = c ? cache_lookup(c, key) : NULL;
    return value || PyErr_Occurred() ? value : missing(c, key);
}

static int remove_key(PyObject *self, PyObject *key, PyObject **value) { /* 1, 0 not there, -1 an exception */
    key_call k;
    uint32_t slot;
    if (!enter(&k, self, key, CACHE_NEVER)) return -1;
    const int found = cache_find(k.c, key, k.hash, k.now, &slot, &k.trash);
    PyObject *held = found == 1 ? Py_NewRef(k.c->map.node[slot].value) : NULL;
    if (found == 1) cache_drop(k.c, slot, &k.trash);
    PyObject *done = leave(&k, none_or_null(found >= 0));
    if (done && value) *value = Py_XNewRef(held);
    Py_XDECREF(held);
    Py_XDECREF(done);
    return done ? found : -1;
}

static int core_assign(PyObject *self, PyObject *key, PyObject *value) {
    if (value) return store(self, key, value, NULL, NULL, NULL) < 0 ? -1 : 0;
    const int found = remove_key(self, key, NULL);
    if (!found) PyErr_SetObject(PyExc_KeyError, key);
    return found == 1 ? 0 : -1;
}

static PyObject *core_get(ARGS) {
    static const arg_spec spec = {"get", {"key", "default"}, 1, 2};
    PyObject *out[2] = {NULL, Py_None};
    evi_cache *c = life_opened(self);
    if (!c || !args_take(&spec, args, n, names, out)) return NULL;
    PyObject *value = cache_lookup(c, out[0]);
    return value || PyErr_Occurred() ? value : Py_NewRef(out[1]);
}

static PyObject *peek(PyObject *self, PyObject *key, int *error) { /* a new reference, or NULL */
    key_call k;
    uint32_t slot;
    *error = 1;
    if (!enter(&k, self, key, CACHE_NEVER)) return NULL;
    const int found = cache_find(k.c, key, k.hash, k.now, &slot, &k.trash);
    PyObject *value = found == 1 ? Py_NewRef(k.c->map.node[slot].value) : NULL;
    PyObject *done = leave(&k, none_or_null(found >= 0));
    *error = !done;
    if (!done) Py_CLEAR(value);
    Py_XDECREF(done);
    return value;
}

static PyObject *core_peek(ARGS) {
    static const arg_spec spec = {"peek", {"key", "default"}, 1, 2};
    PyObject *out[2] = {NULL, Py_None};
    int error;
    if (!args_take(&spec, args, n, names, out)) return NULL;
    PyObject *value = peek(self, out[0], &error);
    return value || error ? value : Py_NewRef(out[1]);
}

static int core_contains(PyObject *self, PyObject *key) {
    int error;
    PyObject *value = peek(self, key, &error);
    Py_XDECREF(value);
    return error ? -1 : value != NULL;
}

static PyObject *core_put(ARGS) {
    static const arg_spec spec = {"put", {"key", "value", "ttl", "group"}, 2, 2};
    PyObject *out[4] = {NULL, NULL, NULL, NULL};
    if (!args_take(&spec, args, n, names, out)) return NULL;
    const int stored = store(self, out[0], out[1], out[2], out[3], NULL);
    return stored < 0 ? NULL : PyBool_FromLong(stored);
}

static PyObject *core_setdefault(ARGS) {
    static const arg_spec spec = {"setdefault", {"key", "default"}, 1, 2};
    PyObject *out[2] = {NULL, Py_None}, *present = NULL;
    evi_cache *c = life_opened(self);
    if (!c || !args_take(&spec, args, n, names, out)) return NULL;
    PyObject *value = cache_lookup(c, out[0]);
    if (value || PyErr_Occurred()) return value;
    if (store(self, out[0], out[1], NULL, NULL, &present) < 0) return NULL;
    return present ? present : Py_NewRef(out[1]);
}

static PyObject *core_pop(ARGS) {
    static const arg_spec spec = {"pop", {"key", "default"}, 1, 2};
    PyObject *out[2] = {NULL, NULL}, *value = NULL;
    if (!args_take(&spec, args, n, names, out)) return NULL;
    const int found = remove_key(self, out[0], &value);
    if (found == 0 && !out[1]) PyErr_SetObject(PyExc_KeyError, out[0]);
    return found == 1 ? value : found == 0 ? Py_XNewRef(out[1]) : NULL;
}

static PyObject *core_discard(PyObject *self, PyObject *args) {
    PyObject *key, *value;
    key_call k;
    uint32_t slot;
    if (!PyArg_ParseTuple(args, "OO", &key, &value) || !enter(&k, self, key, CACHE_NEVER)) return NULL;
    int found = cache_find(k.c, key, k.hash, k.now, &slot, &k.trash);
    if (found == 1 && k.c->map.node[slot].value != value) found = 0;
    if (found == 1) cache_drop(k.c, slot, &k.trash);
    return leave(&k, found < 0 ? NULL : PyBool_FromLong(found));
}

static PyObject *core_popitem(PyObject *self, PyObject *Py_UNUSED(none)) {
    key_call k;
    PyObject *key = NULL, *value = NULL;
    if (!enter(&k, self, NULL, CACHE_NEVER)) return NULL;
    int got = cache_expire(k.c, k.now, UINT32_MAX, &k.trash) < 0 ? -1 : cache_pop(k.c, &k.trash, &key, &value);
    if (!got) PyErr_SetString(PyExc_KeyError, k.c->map.count ? "all entries are pinned" : "the cache is empty");
    PyObject *pair = leave(&k, got == 1 ? PyTuple_Pack(2, key, value) : NULL);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return pair;
}

static PyObject *pin(PyObject *self, PyObject *key, int (*how)(evi_cache *, uint32_t, map_trash *)) {
    key_call k;
    uint32_t slot;
    if (!enter(&k, self, key, CACHE_NEVER)) return NULL;
    const int found = cache_find(k.c, key, k.hash, k.now, &slot, &k.trash);
    const int done = found == 1 && how(k.c, slot, &k.trash);
    if (!found) PyErr_SetObject(PyExc_KeyError, key);
    return leave(&k, none_or_null(done));
}

static PyObject *core_pin(PyObject *self, PyObject *key) { return pin(self, key, cache_pin); }
static PyObject *core_unpin(PyObject *self, PyObject *key) { return pin(self, key, cache_unpin); }

static PyObject *core_clear(PyObject *self, PyObject *Py_UNUSED(none)) {
    key_call k;
    if (!enter(&k, self, NULL, CACHE_NEVER)) return NULL;
    return leave(&k, none_or_null(cache_clear(k.c, &k.trash)));
}

static PyObject *core_resize(PyObject *self, PyObject *maxsize) {
    key_call k;
    const unsigned long long size = PyLong_AsUnsignedLongLong(maxsize);
    if (PyErr_Occurred() || !enter(&k, self, NULL, CACHE_NEVER)) return NULL;
    return leave(&k, none_or_null(cache_resize(k.c, size, &k.trash)));
}

static PyObject *core_expire(PyObject *self, PyObject *Py_UNUSED(none)) {
    key_call k;
    if (!enter(&k, self, NULL, CACHE_NEVER)) return NULL;
    const int gone = cache_expire(k.c, k.now, UINT32_MAX, &k.trash);
    return leave(&k, gone < 0 ? NULL : PyLong_FromLong(gone));
}

static Py_ssize_t core_length(PyObject *self) {
    evi_cache *c = life_opened(self);
    if (!c || !c->timer.count) return c ? (Py_ssize_t)c->map.count : -1;
    PyObject *gone = core_expire(self, NULL);
    Py_XDECREF(gone);
    return gone ? (Py_ssize_t)c->map.count : -1;
}

static PyMethodDef methods[] = {
    {"get", METHOD(core_get), FAST, "get(key, default=None)\n--\n\nReturn the value of key, or default; counts as a request."},
    {"peek", METHOD(core_peek), FAST, "peek(key, default=None)\n--\n\nReturn the value of key, or default; the policy is not told."},
    {"put", METHOD(core_put), FAST,
     "put(key, value, *, ttl=None, group=None)\n--\n\nStore a value and tell whether the policy admitted it.\n\n"
     "ttl: seconds, None for the cache's own, math.inf for no end. group: what invalidate(group=...) names."},
    {"setdefault", METHOD(core_setdefault), FAST,
     "setdefault(key, default=None)\n--\n\nReturn the value of key; without one store and return default. Counts as a request."},
    {"pop", METHOD(core_pop), FAST, "Remove key and return its value, or default when given; else KeyError. Counts nothing."},
    {"popitem", core_popitem, METH_NOARGS,
     "popitem()\n--\n\nRemove and return the pair that the policy would evict next. KeyError: empty, or all entries are pinned."},
    {"pin", core_pin, METH_O,
     "pin(key, /)\n--\n\nKeep the entry of key from being evicted until it is unpinned as often. KeyError: there is none."},
    {"unpin", core_unpin, METH_O,
     "unpin(key, /)\n--\n\nTake a pin back; without any left the entry may be evicted again, and is new to the policy. KeyError: there is "
     "none."},
    {"clear", core_clear, METH_NOARGS, "clear()\n--\n\nRemove everything, pinned entries and the policy's history too; counts go on."},
    {"expire", core_expire, METH_NOARGS, "expire()\n--\n\nRemove every entry whose time is over, and return how many."},
    {"_discard", core_discard, METH_VARARGS, "Remove key where it still has this very value."},
    {"_resize", core_resize, METH_O, "Change maxsize and evict down to it."},
    {"_open", life_open, METH_VARARGS, "Set everything, once."},
    {"_listen", life_listen, METH_O, "Call this at every event from now on, None: nobody."},
    {"_counts", life_counts, METH_NOARGS, "(hits, misses, evictions, ghost hits, bypassed, expired, entries, weight, pinned, bytes)"},
    {"_again", life_again, METH_NOARGS, "Take back a miss: the request is made again."},
    {"_reset", life_reset, METH_NOARGS, "Count from 0."},
    {"_items", life_items, METH_NOARGS, "A list of (key, value, number by which the policy knows it)."},
    {"_grouped", life_grouped, METH_O, "A list of (key, value, group) of groups of this hash."},
    {"_dump", life_dump, METH_NOARGS, "The policy's queues, by number."},
    {"_check", life_check, METH_NOARGS, "None when every invariant holds, else which does not."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Cache[K, V], for type checkers."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, life_new},
    {Py_tp_dealloc, life_dealloc},
    {Py_tp_traverse, life_traverse},
    {Py_tp_clear, life_clear},
    {Py_tp_methods, methods},
    {Py_mp_subscript, core_subscript},
    {Py_mp_ass_subscript, core_assign},
    {Py_mp_length, core_length},
    {Py_sq_contains, core_contains},
    {0, NULL},
};

static PyType_Spec spec_of_core = {MODULE ".Core", sizeof(evi_cache), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                                   slots};

int evi_install_cache(void) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *module = PyImport_AddModule(MODULE);
    int ok = module != NULL;
    for (int i = 0; ok && i < 3; i++) {
        PyObject *type = i == 0 ? PyType_FromSpec(&spec_of_core) : i == 1 ? cached_type() : flight_type();
        ok = type && !PyObject_SetAttrString(module, i == 0 ? "Core" : i == 1 ? "Cached" : "Flight", type);
        Py_XDECREF(type);
    }
    if (!ok) PyErr_Print();
    PyGILState_Release(state);
    return ok ? 0 : -1;
}
