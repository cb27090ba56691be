#include "eviction/csrc/cached_call.h"
#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject ob_base;
    PyObject *cache, *function, *key, *mark, *method; /* key: NULL or a function; method: the type of bound methods */
    PyObject *going, *setdefault, *waiting, *flight; /* going: NULL or a dict, with its method; flight: a type */
    PyObject *dict, *weak;
    int typed;
} cached;

static PyObject *cached_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    PyObject *cache, *function, *key, *mark, *method, *going, *waiting;
    int typed;
    if (named && PyDict_Size(named)) return PyErr_Format(PyExc_TypeError, "Cached() takes no keyword arguments");
    if (!PyArg_ParseTuple(args, "OOOpOOOO!", &cache, &function, &key, &typed, &mark, &method, &going, &PyDict_Type, &waiting)) return NULL;
    PyObject *module = PyImport_AddModule("eviction._native"), *core = module ? PyObject_GetAttrString(module, "Core") : NULL;
    const int is_core = core ? PyObject_IsInstance(cache, core) : -1;
    Py_XDECREF(core);
    if (is_core < 1 || !((evi_cache *)cache)->policy) return is_core < 0 ? NULL : PyErr_Format(PyExc_TypeError, "not a cache: %R", cache);
    PyObject *flight = PyObject_GetAttrString(module, "Flight");
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    cached *f = flight ? (cached *)alloc(type, 0) : NULL;
    if (!f) return Py_XDECREF(flight), NULL;
    f->cache = Py_NewRef(cache);
    f->function = Py_NewRef(function);
    f->key = key == Py_None ? NULL : Py_NewRef(key);
    f->mark = Py_NewRef(mark);
    f->method = Py_NewRef(method);
    f->going = going == Py_None ? NULL : Py_NewRef(going);
    f->waiting = Py_NewRef(waiting);
    f->flight = flight;
    f->dict = PyDict_New();
    f->typed = typed;
    if (!f->dict || (f->going && !(f->setdefault = PyObject_GetAttrString(going, "setdefault")))) return Py_DECREF(f), NULL;
    return (PyObject *)f;
}

static int is_plain(PyObject *key) { return Py_TYPE(key) == &PyLong_Type || Py_TYPE(key) == &PyUnicode_Type; }

static PyObject *long_key(cached *f, PyObject *args, PyObject *named) {
    const Py_ssize_t n = PyTuple_Size(args), n_named = named ? PyDict_Size(named) : 0;
    PyObject *key = PyTuple_New((n + n_named) * (f->typed ? 2 : 1) + (n_named ? n_named + 1 : 0)), *name, *value;
    Py_ssize_t at = 0, position = 0;
    if (!key) return NULL;
    for (Py_ssize_t i = 0; i < n; i++) PyTuple_SetItem(key, at++, Py_NewRef(PyTuple_GetItem(args, i)));
    if (n_named) PyTuple_SetItem(key, at++, Py_NewRef(f->mark));
    while (n_named && PyDict_Next(named, &position, &name, &value)) {
        PyTuple_SetItem(key, at++, Py_NewRef(name));
        PyTuple_SetItem(key, at++, Py_NewRef(value));
    }
    for (Py_ssize_t i = 0; f->typed && i < n; i++) PyTuple_SetItem(key, at++, Py_NewRef((PyObject *)Py_TYPE(PyTuple_GetItem(args, i))));
    for (position = 0; f->typed && n_named && PyDict_Next(named, &position, &name, &value);)
        PyTuple_SetItem(key, at++, Py_NewRef((PyObject *)Py_TYPE(value)));
    return key;
}

static inline PyObject *key_of(cached *f, PyObject *args, PyObject *named) {
    if (f->key) return PyObject_Call(f->key, args, named);
    if (f->typed || (named && PyDict_Size(named))) return long_key(f, args, named);
    if (PyTuple_Size(args) == 1) {
        PyObject *only = PyTuple_GetItem(args, 0);
        if (is_plain(only)) return Py_NewRef(only);
    }
    return Py_NewRef(args);
}

/* The flight of a key, which is `mine` where there was none: a new reference. */
static flight *board(cached *f, PyObject *key, flight *mine) {
    if (!is_plain(key))
        return (flight *)PyObject_CallFunctionObjArgs(f->setdefault, key, mine, NULL); /* one look-up, whatever __eq__ does */
    PyObject *there = PyDict_GetItemWithError(f->going, key);
    if (!there && !PyDict_SetItem(f->going, key, (PyObject *)mine))
        there = (PyObject *)mine; /* such a key is hashed and compared without fail */
    return (flight *)Py_XNewRef(there);
}

/* Stores the value, if there is one and the flight was not forgotten, and lets the others go. Returns the value, or NULL with an exception. */
static PyObject *land(cached *f, PyObject *key, flight *mine, PyObject *value, int keep) {
    PyObject *kind, *problem, *trace;
    PyErr_Fetch(&kind, &problem, &trace);
    const int going = PyDict_GetItemWithError(f->going, key) == (PyObject *)mine;
    int ok = !PyErr_Occurred();
    if (ok && going && value && keep && PyObject_SetItem(f->cache, key, value)) {
        ok = PyErr_ExceptionMatches(((evi_cache *)f->cache)->too_large);
        if (ok) PyErr_Clear();
    }
    if (!ok) {
        Py_CLEAR(value);
        Py_XDECREF(kind);
        Py_XDECREF(problem);
        Py_XDECREF(trace);
        PyErr_Fetch(&kind, &problem, &trace);
    }
    if (going) PyDict_DelItem(f->going, key);
    flight_land(mine);
    PyErr_Restore(kind, problem, trace); /* in place of what the removal may have raised */
    return value;
}

/* What is done for a key that is not held. `changes`: of the map, before it was looked for. */
static PyObject *fly(cached *f, PyObject *key, PyObject *args, PyObject *named, uint64_t changes) {
    evi_cache *c = (evi_cache *)f->cache;
    flight *mine = flight_new(f->flight), *there;
    PyObject *value = NULL;
    while (mine && (there = board(f, key, mine)) != mine) {
        const int waited = there ? flight_wait(there, f->waiting) : -1;
        const int stuck = waited == 1 && PyDict_GetItemWithError(f->going, key) == (PyObject *)there; /* __eq__ raised as it landed */
        Py_XDECREF((PyObject *)there);
        if (stuck && PyDict_DelItem(f->going, key)) PyErr_Clear();
        if (waited == 1) {
            c->counts.misses--; /* the call is one request */
            changes = c->map.changes;
            value = cache_lookup(c, key);
        } else if (!waited) {
            value = PyObject_Call(f->function, args, named);
        }
        if (value || PyErr_Occurred()) return Py_DECREF(mine), value;
    }
    if (!mine) return NULL;
    Py_DECREF(mine); /* the one of board is left */
    if (c->map.changes != changes) { /* somebody may have stored it since */
        c->counts.misses--;
        value = cache_lookup(c, key);
    }
    if (value || PyErr_Occurred())
        value = land(f, key, mine, value, 0);
    else
        value = land(f, key, mine, PyObject_Call(f->function, args, named), 1);
    Py_DECREF(mine);
    return value;
}

static PyObject *cached_call(PyObject *self, PyObject *args, PyObject *named) {
    cached *f = (cached *)self;
    if (!f->cache) return PyErr_Format(PyExc_RuntimeError, "the function's cache is gone");
    PyObject *key = key_of(f, args, named);
    if (!key) return NULL;
    const uint64_t changes = ((evi_cache *)f->cache)->map.changes;
    PyObject *value = cache_lookup((evi_cache *)f->cache, key);
    if (!value && !PyErr_Occurred()) {
        if (!f->going)
            value = PyObject_CallFunctionObjArgs(f->function, key, NULL);
        else if (!((evi_cache *)f->cache)->maxsize)
            value = PyObject_Call(f->function, args, named);
        else
            value = fly(f, key, args, named, changes);
    }
    Py_DECREF(key);
    return value;
}

static PyObject *cached_get(PyObject *self, PyObject *object, PyObject *type) {
    (void)type;
    if (!object) return Py_NewRef(self); /* of the class */
    return PyObject_CallFunctionObjArgs(((cached *)self)->method, self, object, NULL);
}

static PyObject *cached_reduce(PyObject *self,
                               PyObject *none) { /* copies and pickles are the function under its name, as those of functions */
    (void)none;
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyObject *cached_copy(PyObject *self, PyObject *arg) {
    (void)arg;
    return Py_NewRef(self);
}

static PyObject *cached_repr(PyObject *self) {
    PyObject *name = PyObject_GetAttrString(self, "__qualname__");
    PyErr_Clear();
    PyObject *text = PyUnicode_FromFormat("<cached %V at %p>", name, "function", (void *)self);
    Py_XDECREF(name);
    return text;
}

static int cached_traverse(PyObject *self, visitproc visit, void *arg) {
    cached *f = (cached *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(f->cache);
    Py_VISIT(f->function);
    Py_VISIT(f->key);
    Py_VISIT(f->mark);
    Py_VISIT(f->method);
    Py_VISIT(f->going);
    Py_VISIT(f->setdefault);
    Py_VISIT(f->waiting);
    Py_VISIT(f->flight);
    Py_VISIT(f->dict);
    return 0;
}

static int cached_clear(PyObject *self) {
    cached *f = (cached *)self;
    Py_CLEAR(f->cache);
    Py_CLEAR(f->function);
    Py_CLEAR(f->key);
    Py_CLEAR(f->mark);
    Py_CLEAR(f->method);
    Py_CLEAR(f->going);
    Py_CLEAR(f->setdefault);
    Py_CLEAR(f->waiting);
    Py_CLEAR(f->flight);
    Py_CLEAR(f->dict);
    return 0;
}

static void cached_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((cached *)self)->weak) PyObject_ClearWeakRefs(self);
    cached_clear(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

PyObject *cached_type(void) {
    static PyMemberDef members[] = {
        {"__dictoffset__", T_PYSSIZET, offsetof(cached, dict), READONLY, NULL},
        {"__weaklistoffset__", T_PYSSIZET, offsetof(cached, weak), READONLY, NULL},
        {NULL, 0, 0, 0, NULL},
    };
    static PyMethodDef methods[] = {
        {"__reduce__", cached_reduce, METH_NOARGS, NULL},
        {"__copy__", cached_copy, METH_NOARGS, NULL},
        {"__deepcopy__", cached_copy, METH_O, NULL},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef attributes[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
                                       {NULL, NULL, NULL, NULL, NULL}};
    static PyType_Slot slots[] = {
        {Py_tp_new, cached_new},
        {Py_tp_dealloc, cached_dealloc},
        {Py_tp_traverse, cached_traverse},
        {Py_tp_clear, cached_clear},
        {Py_tp_call, cached_call},
        {Py_tp_descr_get, cached_get},
        {Py_tp_repr, cached_repr},
        {Py_tp_members, members},
        {Py_tp_methods, methods},
        {Py_tp_getset, attributes},
        {0, NULL},
    };
    static PyType_Spec spec = {"eviction._native.Cached", sizeof(cached), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_METHOD_DESCRIPTOR, slots};
    return PyType_FromSpec(&spec);
}
