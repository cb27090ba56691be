#include "eviction/csrc/cached_call.h"
#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject ob_base;
    PyObject *cache, *miss, *key, *mark, *method, *dict, *weak; /* key: NULL or a function; method: the type of bound methods */
    int typed;
} cached;

static PyObject *cached_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    PyObject *cache, *miss, *key, *mark, *method;
    int typed;
    if (named && PyDict_Size(named)) return PyErr_Format(PyExc_TypeError, "Cached() takes no keyword arguments");
    if (!PyArg_ParseTuple(args, "OOOpOO", &cache, &miss, &key, &typed, &mark, &method)) return NULL;
    PyObject *module = PyImport_AddModule("eviction._native"), *core = module ? PyObject_GetAttrString(module, "Core") : NULL;
    const int is_core = core ? PyObject_IsInstance(cache, core) : -1;
    Py_XDECREF(core);
    if (is_core < 1 || !((evi_cache *)cache)->policy) return is_core < 0 ? NULL : PyErr_Format(PyExc_TypeError, "not a cache: %R", cache);
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    cached *f = (cached *)alloc(type, 0);
    if (!f) return NULL;
    f->cache = Py_NewRef(cache);
    f->miss = Py_NewRef(miss);
    f->key = key == Py_None ? NULL : Py_NewRef(key);
    f->mark = Py_NewRef(mark);
    f->method = Py_NewRef(method);
    f->dict = PyDict_New();
    f->typed = typed;
    if (!f->dict) Py_CLEAR(f);
    return (PyObject *)f;
}

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
        if (Py_TYPE(only) == &PyLong_Type || Py_TYPE(only) == &PyUnicode_Type) return Py_NewRef(only);
    }
    return Py_NewRef(args);
}

static PyObject *cached_call(PyObject *self, PyObject *args, PyObject *named) {
    cached *f = (cached *)self;
    if (!f->cache) return PyErr_Format(PyExc_RuntimeError, "the function's cache is gone");
    PyObject *key = key_of(f, args, named);
    if (!key) return NULL;
    PyObject *value = cache_lookup((evi_cache *)f->cache, key);
    if (!value && !PyErr_Occurred()) value = PyObject_CallFunctionObjArgs(f->miss, key, args, named ? named : Py_None, NULL);
    Py_DECREF(key);
    return value;
}

static PyObject *cached_get(PyObject *self, PyObject *object, PyObject *type) {
    (void)type;
    if (!object || object == Py_None) return Py_NewRef(self);
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
    Py_VISIT(f->miss);
    Py_VISIT(f->key);
    Py_VISIT(f->mark);
    Py_VISIT(f->method);
    Py_VISIT(f->dict);
    return 0;
}

static int cached_clear(PyObject *self) {
    cached *f = (cached *)self;
    Py_CLEAR(f->cache);
    Py_CLEAR(f->miss);
    Py_CLEAR(f->key);
    Py_CLEAR(f->mark);
    Py_CLEAR(f->method);
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
