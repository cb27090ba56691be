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
    if (Py_TYPE(o) != &PyBytes_Type) return NULL;
    *n = PyBytes_Size(o);
    return (const uint8_t *)PyBytes_AsString(o);
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
        if (status != LSM_OK) {
            Py_DECREF(m.values);
            m.values = NULL;
            if (!PyErr_Occurred()) {
                lsm_remember(ks->db, &e);
                Py_XDECREF(call_after(self, status)); /* raises */
            }
        }
    }
    free(keys);
    return m.values;
}

static PyObject *builtin_get_many(PyObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    if (names || n_args != 1 || !(PyList_Check(args[0]) || PyTuple_Check(args[0]))) return call_slow(self, args, n_args, names);
    PyObject *tuple = PySequence_Tuple(args[0]); /* holds the keys, whatever happens to a list meanwhile */
    int all_plain = tuple && PyTuple_Size(tuple) < UINT32_MAX; /* uncovered (guard): 2^32 keys in a tuple */
    PyObject *result = all_plain ? get_tuple(self, tuple, &all_plain) : NULL;
    Py_XDECREF(tuple);
    return result || all_plain || PyErr_Occurred() ? result : call_slow(self, args, n_args, names);
}

/* Puts pairs (values NULL), or keys and values: in tuples, which hold them until the end. LSM_BUSY when one is not plain or has no other. */
static int put_tuples(PyObject *self, PyObject *firsts, PyObject *values) {
    const Py_ssize_t count = PyTuple_Size(firsts);
    if (values && PyTuple_Size(values) != count) return LSM_BUSY;
    if (count >= UINT32_MAX) return LSM_BUSY; /* uncovered (guard): 2^32 pairs in a tuple */
    lsm_entry *entries = malloc(((size_t)count + 1) * sizeof *entries);
    lsm_keyspace *ks = space_of(self);
    lsm_error e = {0};
    int status = entries ? LSM_OK : lsm_fail(&e, LSM_NOMEM, "", 0, "out of memory for a batch of %llu pairs", (unsigned long long)count);
    for (Py_ssize_t i = 0; i < count && status == LSM_OK; i++) {
        PyObject *key = PyTuple_GetItem(firsts, i), *value = values ? PyTuple_GetItem(values, i) : NULL;
        if (!values) {
            if (Py_TYPE(key) != &PyTuple_Type || PyTuple_Size(key) != 2) {
                status = LSM_BUSY;
                break;
            }
            value = PyTuple_GetItem(key, 1);
            key = PyTuple_GetItem(key, 0);
        }
        Py_ssize_t kn = 0, vn = 0;
        const uint8_t *k = plain(key, &kn), *v = plain(value, &vn);
        if (!k || !v || kn > LSM_MAX_KEY)
            status = LSM_BUSY; /* the slow one says what is wrong */
        else
            entries[i] = (lsm_entry){k, v, (uint32_t)kn, LSM_PUT, (uint64_t)vn, 0};
    }
    if (status == LSM_OK) {
        PyThreadState *saved = PyEval_SaveThread();
        status = lsm_write_entries(ks, entries, (uint32_t)count, 0, &e);
        PyEval_RestoreThread(saved);
    }
    free(entries);
    if (status < 0) lsm_remember(ks->db, &e);
    return status;
}

static inline int is_sequence(PyObject *o) { return Py_TYPE(o) == &PyList_Type || Py_TYPE(o) == &PyTuple_Type; }

static PyObject *builtin_put_many(PyObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    int simple = !names && (n_args == 1 || n_args == 2) && is_sequence(args[0]) && (n_args == 1 || is_sequence(args[1]));
    if (!simple) return call_slow(self, args, n_args, names);
    PyObject *firsts = PySequence_Tuple(args[0]), *values = firsts && n_args == 2 ? PySequence_Tuple(args[1]) : NULL;
    int made = firsts && (n_args == 1 || values), status = made ? put_tuples(self, firsts, values) : LSM_OK;
    Py_XDECREF(firsts);
    Py_XDECREF(values);
    if (!made) return NULL;
    if (status == LSM_OK) return Py_NewRef(Py_None);
    return status == LSM_BUSY || status == LSM_STALLED ? call_slow(self, args, n_args, NULL) : call_after(self, status);
}

enum { RANGE_PAIRS = 64, RANGE_ROOM = 16 << 10 };

/* Pairs on their way from a cursor to objects. */
typedef struct range {
    lsm_cursor *cursor;
    uint8_t *data;
    size_t room, used, needed;
    uint32_t lens[2 * RANGE_PAIRS];
    lsm_error error;
    uint8_t first[RANGE_ROOM];
} range;

/* The next pairs, `most` of them at most. Their number, 0 at the end, or an error. */
static int64_t range_fill(range *r, uint32_t most) {
    for (;;) {
        int64_t n = lsm_cursor_fill(r->cursor, most, r->data, r->room, r->lens, NULL, 0, 0, &r->used, &r->needed, &r->error);
        if (n != LSM_SHORT) return n;
        uint8_t *more = realloc(r->data == r->first ? NULL : r->data, r->needed);
        if (!more) return LSM_NOMEM;
        r->data = more, r->room = r->needed;
    }
}

static PyObject *pair_of(const char *at, Py_ssize_t kn, Py_ssize_t vn) {
    PyObject *pair = PyTuple_New(2), *key = PyBytes_FromStringAndSize(at, kn), *value = PyBytes_FromStringAndSize(at + kn, vn);
    if (!pair || !key || !value) {
        Py_XDECREF(pair);
        Py_XDECREF(key);
        Py_XDECREF(value);
        return NULL;
    }
    PyTuple_SetItem(pair, 0, key);
    PyTuple_SetItem(pair, 1, value);
    return pair;
}

/* Adds what was filled to the list of pairs; makes the list when there is none. */
static int range_give(const range *r, int64_t n, PyObject **pairs) {
    const char *at = (const char *)r->data;
    const int first = !*pairs;
    if (first && !(*pairs = PyList_New((Py_ssize_t)n))) return -1;
    for (int64_t i = 0; i < n; i++) {
        const Py_ssize_t kn = r->lens[2 * i], vn = r->lens[2 * i + 1];
        PyObject *pair = pair_of(at, kn, vn);
        if (!pair) return -1;
        if (first) {
            PyList_SetItem(*pairs, (Py_ssize_t)i, pair); /* takes it */
        } else {
            const int failed = PyList_Append(*pairs, pair);
            Py_DECREF(pair);
            if (failed) return -1;
        }
        at += kn + vn;
    }
    return 0;
}

/* All pairs in [start, stop), limit at most, as a list; NULL with an exception. */
static PyObject *range_list(PyObject *self, const uint8_t *start, Py_ssize_t sn, const uint8_t *stop, Py_ssize_t en, uint64_t limit) {
    lsm_keyspace *ks = space_of(self);
    range r;
    r.cursor = NULL, r.data = r.first, r.room = sizeof r.first, r.error.status = 0;
    PyObject *pairs = NULL;
    int64_t n = 0;
    uint64_t left = limit;
    int failed = 0;
    for (int more = left > 0; more && !failed;) {
        PyThreadState *saved = PyEval_SaveThread();
        if (!r.cursor) n = lsm_cursor_new(ks, UINT64_MAX, start, (size_t)sn, stop, (size_t)en, 0, 1, 0, &r.cursor, &r.error);
        if (r.cursor) n = range_fill(&r, left < RANGE_PAIRS ? (uint32_t)left : RANGE_PAIRS);
        left -= n > 0 ? (uint64_t)n : 0;
        more = n > 0 && left;
        if (!more && r.cursor) {
            lsm_cursor_close(r.cursor); /* which may be the last to hold a table */
            r.cursor = NULL;
        }
        PyEval_RestoreThread(saved);
        if (n > 0) failed = range_give(&r, n, &pairs);
    }
    if (n < 0) {
        if (!r.error.status) lsm_fail(&r.error, (int)n, "", 0, "out of memory");
        lsm_remember(ks->db, &r.error);
        Py_XDECREF(call_after(self, n)); /* raises */
        failed = 1;
    }
    if (r.cursor) lsm_cursor_close(r.cursor);
    if (r.data != r.first) free(r.data);
    if (failed) Py_CLEAR(pairs);
    return failed || pairs ? pairs : PyList_New(0);
}

/* A bound: bytes or None. 0 when it is something else. */
static int bound_of(PyObject *o, const uint8_t **data, Py_ssize_t *n) {
    *data = NULL, *n = 0;
    return o == Py_None || (*data = plain(o, n)) != NULL;
}

static PyObject *builtin_range(PyObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    const Py_ssize_t n_names = names ? PyTuple_Size(names) : 0;
    const int named = n_names == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "limit") == 0;
    const uint8_t *start = NULL, *stop = NULL;
    Py_ssize_t sn = 0, en = 0;
    int simple = n_args <= 2 && (named || !n_names);
    if (simple && n_args > 0) simple = bound_of(args[0], &start, &sn);
    if (simple && n_args > 1) simple = bound_of(args[1], &stop, &en);
    unsigned long long limit = UINT64_MAX;
    if (simple && named && args[n_args] != Py_None) {
        limit = PyLong_Check(args[n_args]) ? PyLong_AsUnsignedLongLong(args[n_args]) : (unsigned long long)-1;
        if (limit == (unsigned long long)-1) { /* no number, or none that is allowed: the twin says so */
            PyErr_Clear();
            simple = 0;
        }
    }
    return simple ? range_list(self, start, sn, stop, en, limit) : call_slow(self, args, n_args, names);
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
    {"range", METHOD(builtin_range), METH_FASTCALL | METH_KEYWORDS,
     "range(start=None, stop=None, *, prefix=None, reverse=False, limit=None, snapshot=None)\n--\n\nReturn the pairs with "
     "start <= key < stop as a list of (key, value), limit at most. For short ranges: much cheaper than a scan."},
    {"delete", METHOD(builtin_delete), METH_FASTCALL | METH_KEYWORDS, "delete(key)\n--\n\nDelete key, whether it exists or not."},
    {"put_many", METHOD(builtin_put_many), METH_FASTCALL | METH_KEYWORDS,
     "put_many(pairs, values=None, *, sync=False)\n--\n\nPut many pairs as one atomic batch: an iterable of pairs, a mapping, or keys and "
     "values of equal length."},
};

#define N ((int)(sizeof methods / sizeof *methods))

static PyObject *bind(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long address;
    PyObject *slow[N], *after, *owner, *result = PyTuple_New(N);
    if (!result ||
        !PyArg_ParseTuple(args, "K(OOOOOO)OO", &address, &slow[0], &slow[1], &slow[2], &slow[3], &slow[4], &slow[5], &after, &owner)) {
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
    "bind(keyspace, (put, get, get_many, range, delete, put_many), after, owner)\n--\n\nReturn these functions of the keyspace."};

int lsm_install_builtins(void) {
    PyGILState_STATE state = PyGILState_Ensure();
    /* uncovered (system): the interpreter has no memory when the module is loaded */
    PyObject *module = PyImport_AddModule(MODULE), *function = module ? PyCFunction_NewEx(&bind_method, NULL, NULL) : NULL;
    int status = function ? PyObject_SetAttrString(module, "bind", function) : -1; /* uncovered (system): likewise */
    Py_XDECREF(function);
    if (status) PyErr_Print(); /* uncovered (system): likewise */
    PyGILState_Release(state);
    return status;
}
