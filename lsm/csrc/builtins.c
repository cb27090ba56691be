#undef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "lsm/csrc/builtins.h"
#include "lsm/csrc/db.h"
#include <stdlib.h>

#define MODULE "lsm._native"

/* What a function is bound to: (capsule of the keyspace, slow, after, owner). */
enum { SPACE = 0, SLOW = 1, AFTER = 2, OWNER = 3 };

static inline lsm_keyspace *space_of(PyObject *self) { return PyCapsule_GetPointer(PyTuple_GetItem(self, SPACE), NULL); }

/* The bytes of an object that is exactly bytes; NULL for others. */
static inline const uint8_t *plain(PyObject *o, Py_ssize_t *n) {
    char *data;
    return Py_TYPE(o) == &PyBytes_Type && PyBytes_AsStringAndSize(o, &data, n) == 0 ? (const uint8_t *)data : NULL;
}

static PyObject *call_slow(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    PyObject *positional = PyTuple_New(n), *named = NULL, *result = NULL;
    Py_ssize_t n_names = names ? PyTuple_Size(names) : 0;
    for (Py_ssize_t i = 0; positional && i < n; i++) PyTuple_SetItem(positional, i, Py_NewRef(args[i]));
    int ok = positional != NULL;
    if (ok && n_names) ok = (named = PyDict_New()) != NULL;
    for (Py_ssize_t i = 0; ok && i < n_names; i++) ok = PyDict_SetItem(named, PyTuple_GetItem(names, i), args[n + i]) == 0;
    if (ok) result = PyObject_Call(PyTuple_GetItem(self, SLOW), positional, named);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

/* The rest of a call that was done, with a status that is not simply OK. */
static PyObject *call_after(PyObject *self, int64_t status) {
    return PyObject_CallFunction(PyTuple_GetItem(self, AFTER), "L", (long long)status);
}

static void save_thread(void *arg) { *(PyThreadState **)arg = PyEval_SaveThread(); }

static PyObject *builtin_get(PyObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    Py_ssize_t n;
    const uint8_t *key = !names && (n_args == 1 || n_args == 2) ? plain(args[0], &n) : NULL;
    if (!key) return call_slow(self, args, n_args, names);
    PyThreadState *saved = NULL;
    lsm_lookup l;
    int64_t found = lsm_lookup_solo(&l, space_of(self), key, (size_t)n, save_thread, &saved);
    if (saved) PyEval_RestoreThread(saved);
    PyObject *result = found >= 0 ? PyBytes_FromStringAndSize((const char *)l.value, (Py_ssize_t)found) : NULL;
    lsm_lookup_end(&l);
    if (found >= 0) return result;
    if (found == LSM_MISSING) return Py_NewRef(n_args == 2 ? args[1] : Py_None);
    return call_after(self, found);
}

static PyObject *builtin_put(PyObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    Py_ssize_t kn, vn;
    const uint8_t *key = !names && n_args == 2 ? plain(args[0], &kn) : NULL, *value = key ? plain(args[1], &vn) : NULL;
    int status = value ? lsm_put_now(space_of(self), key, (size_t)kn, value, (size_t)vn) : LSM_BUSY;
    if (status == LSM_OK) return Py_NewRef(Py_None);
    return status == LSM_BUSY || status == LSM_STALLED ? call_slow(self, args, n_args, names) : call_after(self, status);
}

static PyObject *builtin_delete(PyObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    Py_ssize_t n;
    const uint8_t *key = !names && n_args == 1 ? plain(args[0], &n) : NULL;
    int status = key ? lsm_delete_now(space_of(self), key, (size_t)n) : LSM_BUSY;
    if (status == LSM_OK) return Py_NewRef(Py_None);
    return status == LSM_BUSY || status == LSM_STALLED ? call_slow(self, args, n_args, names) : call_after(self, status);
}

typedef struct many {
    PyThreadState *saved;
    PyObject *values; /* a list */
} many;

static void many_let_go(void *arg) { ((many *)arg)->saved = PyEval_SaveThread(); }
static void many_take_back(void *arg) { PyEval_RestoreThread(((many *)arg)->saved); }

static int many_give(void *arg, uint32_t i, const uint8_t *value, uint64_t n) {
    PyObject *o = value ? PyBytes_FromStringAndSize((const char *)value, (Py_ssize_t)n) : Py_NewRef(Py_None);
    return o ? PyList_SetItem(((many *)arg)->values, (Py_ssize_t)i, o) : -1;
}

/* The values of a tuple of bytes. NULL with *plain 0: one of them is something else. */
static PyObject *get_tuple(PyObject *self, PyObject *tuple, int *all_plain) {
    size_t count = (size_t)PyTuple_Size(tuple);
    const uint8_t **keys = malloc((count + 1) * (sizeof *keys + sizeof(size_t)));
    size_t *lens = (size_t *)(keys + count);
    if (!keys) return PyErr_NoMemory();
    for (size_t i = 0; i < count && *all_plain; i++) {
        Py_ssize_t n = 0;
        keys[i] = plain(PyTuple_GetItem(tuple, (Py_ssize_t)i), &n);
        lens[i] = (size_t)n;
        *all_plain = keys[i] != NULL;
    }
    many m = {NULL, *all_plain ? PyList_New((Py_ssize_t)count) : NULL};
    if (m.values) {
        lsm_caller to = {many_let_go, many_take_back, many_give, &m};
        lsm_error e = {0};
        lsm_keyspace *ks = space_of(self);
        int status = lsm_get_each(ks, (uint32_t)count, keys, lens, &to, &e);
        if (status != LSM_OK) Py_CLEAR(m.values);
        if (status != LSM_OK && !PyErr_Occurred()) {
            lsm_remember(ks->db, &e);
            Py_XDECREF(call_after(self, status)); /* raises */
        }
    }
    free(keys);
    return m.values;
}

static PyObject *builtin_get_many(PyObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    if (names || n_args != 1 || !(PyList_Check(args[0]) || PyTuple_Check(args[0]))) return call_slow(self, args, n_args, names);
    PyObject *tuple = PySequence_Tuple(args[0]); /* holds the keys, whatever happens to a list meanwhile */
    int all_plain = tuple && PyTuple_Size(tuple) < UINT32_MAX;
    PyObject *result = all_plain ? get_tuple(self, tuple, &all_plain) : NULL;
    Py_XDECREF(tuple);
    return result || all_plain || PyErr_Occurred() ? result : call_slow(self, args, n_args, names);
}

/* The type of a METH_FASTCALL | METH_KEYWORDS function, by way of void (*)(void), as the manual of the interpreter has it. */
#define METHOD(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef methods[] = {
    {"put", METHOD(builtin_put), METH_FASTCALL | METH_KEYWORDS,
     "put(key, value)\n--\n\nSet key to value. Bytes-like; keys up to 64 KiB, values up to 1 GiB."},
    {"get", METHOD(builtin_get), METH_FASTCALL | METH_KEYWORDS,
     "get(key, default=None, *, snapshot=None)\n--\n\nReturn the value of key as bytes, or default. O(levels)."},
    {"get_many", METHOD(builtin_get_many), METH_FASTCALL | METH_KEYWORDS,
     "get_many(keys, *, snapshot=None)\n--\n\nReturn a list with the value of each key, None where there is none, all as of one moment. "
     "Look-ups go side by side: much cheaper than a get a key."},
    {"delete", METHOD(builtin_delete), METH_FASTCALL | METH_KEYWORDS, "delete(key)\n--\n\nDelete key, whether it exists or not."},
};

#define N ((int)(sizeof methods / sizeof *methods))

static PyObject *bind(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long address;
    PyObject *slow[N], *after, *owner, *result = PyTuple_New(N);
    if (!result || !PyArg_ParseTuple(args, "K(OOOO)OO", &address, &slow[0], &slow[1], &slow[2], &slow[3], &after, &owner)) {
        Py_XDECREF(result);
        return NULL;
    }
    for (int i = 0; i < N; i++) {
        PyObject *capsule = PyCapsule_New((void *)(uintptr_t)address, NULL, NULL);
        PyObject *self = capsule ? PyTuple_Pack(4, capsule, slow[i], after, owner) : NULL;
        PyObject *function = self ? PyCFunction_NewEx(&methods[i], self, NULL) : NULL;
        Py_XDECREF(capsule);
        Py_XDECREF(self);
        if (!function) {
            Py_DECREF(result);
            return NULL;
        }
        PyTuple_SetItem(result, i, function);
    }
    return result;
}

static PyMethodDef bind_method = {
    "bind", bind, METH_VARARGS,
    "bind(keyspace, (put, get, get_many, delete), after, owner)\n--\n\nReturn these functions of the keyspace."};

int lsm_install_builtins(void) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *module = PyImport_AddModule(MODULE), *function = module ? PyCFunction_NewEx(&bind_method, NULL, NULL) : NULL;
    int status = function ? PyObject_SetAttrString(module, "bind", function) : -1;
    Py_XDECREF(function);
    if (status) PyErr_Print();
    PyGILState_Release(state);
    return status;
}
