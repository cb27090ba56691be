/* typed_impl.h: what keys.c and record.c share: room for bytes in the making, the objects that functions are bound to, moments and UUIDs.
 *
 *    function --self--> capsule --> typed { o[T_DATETIME], o[T_UTC], ..., o[T_OWN], ... }
 *
 * Include before anything else: it chooses the interpreter's stable API. Ownership: `kept` owns what `o` points to. Threads: the interpreter's lock.
 * Every function that makes bytes or objects tells DONE, SLOW (not for C: ask the twin; no exception is set) or FAILED (an exception is set).
 */
#ifndef LSM_TYPED_IMPL_H
#define LSM_TYPED_IMPL_H
#undef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DONE = 0, SLOW = 1, FAILED = -1 };

/* Positions in the tuple that bind_keys and bind_records take; what only one of them needs starts at T_OWN. */
enum { T_DATETIME, T_UTC, T_EPOCH, T_DATE, T_DAY0, T_UUID, T_TZINFO, T_DAYS, T_SECONDS, T_MICROSECONDS, T_INT, T_BITS, T_OWN, T_MAX = 24 };

typedef struct typed {
    PyObject *kept;
    PyObject *o[T_MAX];
} typed;

static inline const typed *typed_of(PyObject *self) { return PyCapsule_GetPointer(self, NULL); }

/* Return a tuple of the functions bound to a tuple of objects, n_objects of them; NULL with an exception. */
PyObject *typed_bind(PyMethodDef *methods, int n_methods, PyObject *objects, Py_ssize_t n_objects);

/* Let go of an object; NULL. */
static inline PyObject *typed_drop(PyObject *o) {
    Py_DECREF(o);
    return NULL;
}

/* Call the function at position `which` with the arguments of a METH_FASTCALL | METH_KEYWORDS call. */
PyObject *typed_slow(const typed *t, int which, PyObject *const *args, Py_ssize_t n, PyObject *names);

/* Bytes in the making: on the stack while few. */
typedef struct scratch {
    uint8_t *data;
    size_t used, room;
    uint8_t first[512];
} scratch;

int scratch_grow(scratch *s, size_t n); /* 1, or 0 with MemoryError */

static inline void scratch_begin(scratch *s) { s->data = s->first, s->used = 0, s->room = sizeof s->first; }
static inline void scratch_end(scratch *s) {
    if (s->data != s->first) free(s->data);
}
/* Room for n more bytes; NULL with MemoryError. It moves what was taken before. */
static inline uint8_t *scratch_take(scratch *s, size_t n) {
    if (n > s->room - s->used && !scratch_grow(s, n)) return NULL;
    uint8_t *at = s->data + s->used;
    s->used += n;
    return at;
}

/* Microseconds since 1970 of an exact datetime; SLOW unless its zone is UTC itself. */
int typed_micros(const typed *t, PyObject *o, int64_t *out);
/* The datetime, in UTC; NULL without an exception when it is outside of the years 1 to 9999. */
PyObject *typed_datetime(const typed *t, int64_t micros);
/* The 16 bytes of an exact UUID, big-endian. */
int typed_uuid_bytes(const typed *t, PyObject *o, uint8_t out[16]);
PyObject *typed_uuid(const typed *t, const uint8_t bytes[16]);

/* What a function that made no object should do: 1 = ask the twin (the exception, if any, was of the value and is cleared), 0 = pass the exception on. */
static inline int typed_try_slow(void) {
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_ValueError)) return 0;
    PyErr_Clear();
    return 1;
}

/* The type of a METH_FASTCALL function, by way of void (*)(void), as the manual of the interpreter has it. */
#define METHOD(f) ((PyCFunction)(void (*)(void))(f))

PyObject *bind_keys(PyObject *module, PyObject *objects);
PyObject *bind_records(PyObject *module, PyObject *objects);
#endif
