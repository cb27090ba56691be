#include "lsm/csrc/typed_impl.h"
#include "lsm/csrc/typed.h"

#define MODULE "lsm._native"

static void unbind(PyObject *capsule) {
    typed *t = PyCapsule_GetPointer(capsule, NULL);
    Py_DECREF(t->kept);
    free(t);
}

PyObject *typed_bind(PyMethodDef *methods, int n_methods, PyObject *objects, Py_ssize_t n_objects) {
    if (!PyTuple_Check(objects) || PyTuple_Size(objects) != n_objects) {
        PyErr_Format(PyExc_TypeError, "bind takes a tuple of %zd objects", n_objects);
        return NULL;
    }
    typed *t = malloc(sizeof *t);
    if (!t) return PyErr_NoMemory();
    PyObject *self = PyCapsule_New(t, NULL, unbind);
    if (!self) {
        free(t);
        return NULL;
    }
    t->kept = Py_NewRef(objects);
    for (Py_ssize_t i = 0; i < n_objects; i++) t->o[i] = PyTuple_GetItem(objects, i);
    PyObject *result = PyTuple_New(n_methods);
    for (int i = 0; result && i < n_methods; i++) {
        PyObject *function = PyCFunction_NewEx(&methods[i], self, NULL);
        if (!function)
            result = typed_drop(result);
        else
            PyTuple_SetItem(result, i, function);
    }
    Py_DECREF(self);
    return result;
}

PyObject *typed_slow(const typed *t, int which, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    PyObject *positional = PyTuple_New(n), *named = NULL, *result = NULL;
    Py_ssize_t n_names = names ? PyTuple_Size(names) : 0;
    for (Py_ssize_t i = 0; positional && i < n; i++) PyTuple_SetItem(positional, i, Py_NewRef(args[i]));
    int ok = positional != NULL;
    if (ok && n_names) ok = (named = PyDict_New()) != NULL;
    for (Py_ssize_t i = 0; ok && i < n_names; i++) ok = PyDict_SetItem(named, PyTuple_GetItem(names, i), args[n + i]) == 0;
    if (ok) result = PyObject_Call(t->o[which], positional, named);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

int scratch_grow(scratch *s, size_t n) {
    size_t room = 2 * s->room > s->used + n ? 2 * s->room : s->used + n;
    /* uncovered (guard): lengths of objects do not wrap */
    uint8_t *data = room >= n ? realloc(s->data == s->first ? NULL : s->data, room) : NULL;
    if (!data) {
        PyErr_NoMemory();
        return 0;
    }
    if (s->data == s->first) memcpy(data, s->first, s->used);
    s->data = data, s->room = room;
    return 1;
}

static int64_t number_of(PyObject *delta, PyObject *name) {
    PyObject *n = PyObject_GetAttr(delta, name);
    int64_t value = n ? PyLong_AsLongLong(n) : -1;
    Py_XDECREF(n);
    return value;
}

int typed_micros(const typed *t, PyObject *o, int64_t *out) {
    PyObject *zone = PyObject_GetAttr(o, t->o[T_TZINFO]);
    Py_XDECREF(zone); /* the datetime holds it */
    if (!zone) return FAILED; /* uncovered (guard): every datetime has this attribute */
    if (zone != t->o[T_UTC]) return SLOW;
    PyObject *delta = PyNumber_Subtract(o, t->o[T_EPOCH]);
    if (!delta) return FAILED;
    int64_t days = number_of(delta, t->o[T_DAYS]), seconds = number_of(delta, t->o[T_SECONDS]);
    *out = (days * 86400 + seconds) * 1000000 + number_of(delta, t->o[T_MICROSECONDS]);
    Py_DECREF(delta);
    return PyErr_Occurred() ? FAILED : DONE;
}

PyObject *typed_datetime(const typed *t, int64_t micros) {
    if (micros < -62135596800000000 || micros > 253402300799999999) return NULL;
    uint64_t since = (uint64_t)(micros + 62135596800000000); /* since 0001-01-01 */
    uint32_t us = (uint32_t)(since % 1000000), seconds = (uint32_t)(since / 1000000 % 86400);
    /* Days to year, month and day: years begin in March, so that a leap day is the last of its year (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
    uint32_t day = (uint32_t)(since / 86400000000) + 306, era = day / 146097, of_era = day % 146097;
    uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year + year / 4 - year / 100), march = (5 * of_year + 2) / 153;
    uint32_t month = march < 10 ? march + 3 : march - 9;
    year += 400 * era + (month <= 2);
    const uint8_t fields[10] = {(uint8_t)(year >> 8),
                                (uint8_t)year,
                                (uint8_t)month,
                                (uint8_t)(of_year - (153 * march + 2) / 5 + 1),
                                (uint8_t)(seconds / 3600),
                                (uint8_t)(seconds / 60 % 60),
                                (uint8_t)(seconds % 60),
                                (uint8_t)(us >> 16),
                                (uint8_t)(us >> 8),
                                (uint8_t)us};
    PyObject *state = PyBytes_FromStringAndSize((const char *)fields,
                                                sizeof fields); /* the form in which datetimes are pickled: 4 times as fast as 8 ints */
    PyObject *made = state ? PyObject_CallFunctionObjArgs(t->o[T_DATETIME], state, t->o[T_UTC], NULL) : NULL;
    Py_XDECREF(state);
    return made;
}

int typed_uuid_bytes(const typed *t, PyObject *o, uint8_t out[16]) {
    PyObject *number = PyObject_GetAttr(o, t->o[T_INT]), *high = number ? PyNumber_Rshift(number, t->o[T_BITS]) : NULL;
    uint64_t words[2] = {high ? PyLong_AsUnsignedLongLongMask(high) : 0, number ? PyLong_AsUnsignedLongLongMask(number) : 0};
    for (int i = 0; i < 16; i++) out[i] = (uint8_t)(words[i / 8] >> (56 - 8 * (i % 8)));
    Py_XDECREF(high);
    Py_XDECREF(number);
    return PyErr_Occurred() ? FAILED : DONE;
}

PyObject *typed_uuid(const typed *t, const uint8_t bytes[16]) {
    PyObject *raw = PyBytes_FromStringAndSize((const char *)bytes, 16), *made = NULL;
    if (raw) made = PyObject_CallFunctionObjArgs(t->o[T_UUID], Py_None, raw, NULL); /* UUID(hex=None, bytes=raw) */
    Py_XDECREF(raw);
    return made;
}

static PyMethodDef binders[] = {
    {"bind_keys", bind_keys, METH_O, "bind_keys(objects)\n--\n\nReturn (encode, decode) of lsm.keys."},
    {"bind_records", bind_records, METH_O, "bind_records(objects)\n--\n\nReturn the functions of lsm.secondary.record."},
};

int lsm_install_typed(void) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *module = PyImport_AddModule(MODULE);
    int status = module ? 0 : -1; /* uncovered (system): the interpreter has no memory when the module is loaded */
    for (size_t i = 0; !status && i < sizeof binders / sizeof *binders; i++) { /* uncovered (system): likewise */
        PyObject *function = PyCFunction_NewEx(&binders[i], NULL, NULL);
        status = function ? PyObject_SetAttrString(module, binders[i].ml_name, function) : -1; /* uncovered (system): likewise */
        Py_XDECREF(function);
    }
    if (status) PyErr_Print(); /* uncovered (system): likewise */
    PyGILState_Release(state);
    return status;
}
