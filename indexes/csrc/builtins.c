#undef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "indexes/csrc/builtins.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/kinds.h"
#include <stdlib.h>

#define MODULE "indexes._native"

/* What the function is bound to: (capsule of a probe, slow, owner). */
enum { PROBE = 0, SLOW = 1, OWNER = 2 };

typedef struct probe {
    const idx_filter_ops *ops;
    idx_hash_fn hash;
    const uint8_t *filter;
    size_t len;
} probe;

static PyObject *may_contain(PyObject *self, PyObject *key) {
    const probe *p = PyCapsule_GetPointer(PyTuple_GetItem(self, PROBE), NULL);
    uint64_t hash;
    if (Py_TYPE(key) == &PyBytes_Type) {
        char *data;
        Py_ssize_t n;
        /* uncovered (guard): the object is exactly bytes */
        if (PyBytes_AsStringAndSize(key, &data, &n) != 0) return NULL;
        hash = p->hash(data, (size_t)n);
    } else {
        int overflow = 1;
        const long long value = Py_TYPE(key) == &PyLong_Type ? PyLong_AsLongLongAndOverflow(key, &overflow) : 0;
        if (overflow) return PyObject_CallFunctionObjArgs(PyTuple_GetItem(self, SLOW), key, NULL);
        uint8_t bytes[8];
        idx_store64(bytes, (uint64_t)value);
        hash = p->hash(bytes, sizeof bytes);
    }
    return PyBool_FromLong(p->ops->may_contain(p->filter, p->len, hash));
}

static PyMethodDef may_contain_method = {
    "may_contain", may_contain, METH_O,
    "may_contain(key, /)\n--\n\nReturn False only when the key is not in the filter. Bytes-like, or an int."};

static void free_probe(PyObject *capsule) { free(PyCapsule_GetPointer(capsule, NULL)); }

static PyObject *bind_probe(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long ops, hash, filter, len;
    PyObject *slow, *owner;
    if (!PyArg_ParseTuple(args, "KKKKOO", &ops, &hash, &filter, &len, &slow, &owner)) return NULL;
    probe *p = malloc(sizeof *p);
    if (!p) return PyErr_NoMemory();
    *p = (probe){(const idx_filter_ops *)(uintptr_t)ops, (idx_hash_fn)(uintptr_t)hash, (const uint8_t *)(uintptr_t)filter, (size_t)len};
    PyObject *capsule = PyCapsule_New(p, NULL, free_probe);
    if (!capsule) free(p);
    PyObject *self = capsule ? PyTuple_Pack(3, capsule, slow, owner) : NULL;
    PyObject *function = self ? PyCFunction_NewEx(&may_contain_method, self, NULL) : NULL;
    Py_XDECREF(capsule);
    Py_XDECREF(self);
    return function;
}

static PyMethodDef bind_probe_method = {"bind_probe", bind_probe, METH_VARARGS,
                                        "bind_probe(ops, hash, filter, size, slow, owner)\n--\n\nReturn the probe of one key."};

int idx_install_builtins(void) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *module = PyImport_AddModule(MODULE), *function = module ? PyCFunction_NewEx(&bind_probe_method, NULL, NULL) : NULL;
    int status = function ? PyObject_SetAttrString(module, "bind_probe", function) : -1;
    Py_XDECREF(function);
    if (status) PyErr_Print();
    PyGILState_Release(state);
    return status;
}
