#include "lsm/csrc/typed_impl.h"
#include <math.h>

/* What only keys are bound to. */
enum { K_DESC = T_OWN, K_PART, K_ENCODE, K_DECODE, K_COUNT };
_Static_assert((int)K_COUNT <= (int)T_MAX, "room for what keys are bound to");

/* The format stands at the top of lsm/keys.py. */
enum {
    END = 0x00,
    NONE = 0x02,
    FALSE_TAG = 0x04,
    TRUE_TAG = 0x05,
    NEG_INF = 0x10,
    MINUS_ZERO = 0x1B,
    ZERO = 0x1C,
    FLOAT_ZERO = 0x1D,
    SMALL = 0x1E,
    HUGE_TAG = 0x27,
    INF = 0x28,
    NAN_TAG = 0x29,
    BYTES = 0x30,
    STR = 0x31,
    UUID = 0x32,
    DATETIME = 0x33,
    TUPLE = 0x34,
    MIRROR = SMALL + 0x1A,
    MAX_DEPTH = 32,
};
enum { WHOLE_INT, WHOLE_FLOAT, FRACTION };
#define MAX_NUMBER 17 /* tag, 8 bytes of whole part, kind, 7 of fraction */

static inline uint8_t *put_big(uint8_t *at, uint64_t x, int bytes) {
    while (bytes--) *at++ = (uint8_t)(x >> (8 * bytes));
    return at;
}

static inline uint64_t get_big(const uint8_t *at, size_t bytes) {
    uint64_t x = 0;
    while (bytes--) x = x << 8 | *at++;
    return x;
}

static inline void flip_bytes(uint8_t *at, size_t n) {
    for (size_t i = 0; i < n; i++) at[i] ^= 0xFF;
}

static size_t mirrored(uint8_t *form, const uint8_t *end, int negative) {
    if (negative) {
        form[0] = (uint8_t)(MIRROR - form[0]);
        flip_bytes(form + 1, (size_t)(end - form) - 1);
    }
    return (size_t)(end - form);
}

static inline uint8_t *put_whole(uint8_t *at, uint64_t whole) {
    int bytes = (71 - __builtin_clzll(whole)) / 8;
    *at++ = (uint8_t)(SMALL + bytes);
    return put_big(at, whole, bytes);
}

static size_t int_form(uint8_t form[MAX_NUMBER], uint64_t magnitude, int negative) {
    if (!magnitude) return form[0] = ZERO, 1;
    uint8_t *at = put_whole(form, magnitude);
    *at++ = WHOLE_INT;
    return mirrored(form, at, negative);
}

/* 0: not a float for C (2**64 and more). */
static size_t float_form(uint8_t form[MAX_NUMBER], double x) {
    double m = fabs(x);
    int negative = signbit(x) != 0;
    if (m == 0 || !isfinite(x))
        return form[0] = isnan(x) ? NAN_TAG : m == 0 ? (negative ? MINUS_ZERO : FLOAT_ZERO) : negative ? NEG_INF : INF, 1;
    if (m >= 0x1p64) return 0;
    uint8_t *at;
    if (m < 1) {
        uint64_t bits;
        memcpy(&bits, &m, 8);
        form[0] = SMALL;
        at = put_big(form + 1, bits, 8);
    } else {
        uint64_t whole = (uint64_t)m;
        at = put_whole(form, whole);
        double fraction = m < 0x1p53 ? m - (double)whole : 0;
        *at++ = fraction > 0 ? FRACTION : WHOLE_FLOAT;
        if (fraction > 0) at = put_big(at, (uint64_t)(fraction * 0x1p56), 7);
    }
    return mirrored(form, at, negative);
}

static int put_form(scratch *s, const uint8_t *form, size_t n) {
    uint8_t *at = scratch_take(s, n);
    if (!at) return FAILED;
    memcpy(at, form, n);
    return DONE;
}

static int put_int(scratch *s, PyObject *o) {
    uint8_t form[MAX_NUMBER];
    int overflow;
    int64_t x = PyLong_AsLongLongAndOverflow(o, &overflow);
    uint64_t magnitude = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    if (overflow < 0) return SLOW;
    if (overflow > 0) {
        magnitude = PyLong_AsUnsignedLongLong(o);
        if (PyErr_Occurred()) return PyErr_Clear(), SLOW;
    }
    return put_form(s, form, int_form(form, magnitude, !overflow && x < 0));
}

static int put_float(scratch *s, double x) {
    uint8_t form[MAX_NUMBER];
    size_t n = float_form(form, x);
    return n ? put_form(s, form, n) : SLOW;
}

static int put_string(scratch *s, int tag, const uint8_t *p, size_t n) {
    size_t zeros = 0;
    for (const uint8_t *z = p; (z = memchr(z, 0, n - (size_t)(z - p))); z++) zeros++;
    uint8_t *at = scratch_take(s, n + zeros + 3);
    if (!at) return FAILED;
    *at++ = (uint8_t)tag;
    if (zeros)
        for (size_t i = 0; i < n; i++) {
            *at++ = p[i];
            if (!p[i]) *at++ = 0xFF;
        }
    else
        at = (uint8_t *)memcpy(at, p, n) + n;
    at[0] = 0x00, at[1] = 0x01;
    return DONE;
}

static int put_byte(scratch *s, int byte) {
    uint8_t *at = scratch_take(s, 1);
    if (!at) return FAILED;
    *at = (uint8_t)byte;
    return DONE;
}

static int put_part(const typed *t, scratch *s, PyObject *o, int depth);

static int put_tuple(const typed *t, scratch *s, PyObject *o, int depth) {
    Py_ssize_t n = PyTuple_Size(o);
    int status = depth == MAX_DEPTH ? SLOW : put_byte(s, TUPLE);
    for (Py_ssize_t i = 0; status == DONE && i < n; i++) status = put_part(t, s, PyTuple_GetItem(o, i), depth + 1);
    return status == DONE ? put_byte(s, END) : status;
}

static int put_desc(const typed *t, scratch *s, PyObject *o, int depth) {
    PyObject *part = PyObject_GetAttr(o, t->o[K_PART]);
    if (!part) return FAILED;
    size_t start = s->used;
    int status = put_part(t, s, part, depth);
    Py_DECREF(part);
    flip_bytes(s->data + start, s->used - start);
    return status;
}

static int put_moment(const typed *t, scratch *s, PyObject *o) {
    int64_t micros;
    int status = typed_micros(t, o, &micros);
    uint8_t *at = status == DONE ? scratch_take(s, 9) : NULL;
    if (!at) return status == DONE ? FAILED : status;
    at[0] = DATETIME;
    put_big(at + 1, (uint64_t)micros ^ (UINT64_C(1) << 63), 8);
    return DONE;
}

static int put_part(const typed *t, scratch *s, PyObject *o, int depth) {
    PyTypeObject *type = Py_TYPE(o);
    if (type == &PyUnicode_Type) {
        Py_ssize_t n;
        const char *text = PyUnicode_AsUTF8AndSize(o, &n);
        return text ? put_string(s, STR, (const uint8_t *)text, (size_t)n) : FAILED;
    }
    if (type == &PyLong_Type) return put_int(s, o);
    if (type == &PyFloat_Type) return put_float(s, PyFloat_AsDouble(o));
    if (type == &PyBytes_Type) return put_string(s, BYTES, (const uint8_t *)PyBytes_AsString(o), (size_t)PyBytes_Size(o));
    if (o == Py_None) return put_byte(s, NONE);
    if (type == &PyBool_Type) return put_byte(s, o == Py_True ? TRUE_TAG : FALSE_TAG);
    if ((PyObject *)type == t->o[T_DATETIME]) return put_moment(t, s, o);
    if (type == &PyTuple_Type) return put_tuple(t, s, o, depth);
    if ((PyObject *)type == t->o[K_DESC]) return put_desc(t, s, o, depth);
    if ((PyObject *)type == t->o[T_UUID]) {
        uint8_t *at = scratch_take(s, 17);
        if (!at) return FAILED;
        at[0] = UUID;
        return typed_uuid_bytes(t, o, at + 1);
    }
    return SLOW;
}

static PyObject *key_encode(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    if (names) return typed_slow(t, K_ENCODE, args, n, names);
    scratch s;
    scratch_begin(&s);
    int status = DONE;
    for (Py_ssize_t i = 0; status == DONE && i < n; i++) status = put_part(t, &s, args[i], 0);
    PyObject *key = status == DONE ? PyBytes_FromStringAndSize((const char *)s.data, (Py_ssize_t)s.used) : NULL;
    scratch_end(&s);
    if (status == SLOW || (status == FAILED && typed_try_slow())) return typed_slow(t, K_ENCODE, args, n, NULL);
    return key;
}

typedef struct reader {
    const typed *t;
    const uint8_t *p;
    size_t at, n;
} reader;

/* The next bytes, XORed with flip, in `out`; 0 when there are fewer. */
static int take(reader *r, uint8_t *out, size_t n, uint8_t flip) {
    if (n > r->n - r->at) return 0;
    for (size_t i = 0; i < n; i++) out[i] = r->p[r->at + i] ^ flip;
    r->at += n;
    return 1;
}

/* The tag says up to 8 bytes of whole part. A number's value is read leniently, and made again: only the form that encode makes comes out the same. */
static PyObject *read_number(reader *r, uint8_t tag, uint8_t flip) {
    uint8_t form[MAX_NUMBER], again[MAX_NUMBER] = {0};
    int negative = tag < ZERO, length = (negative ? MIRROR - tag : tag) - SMALL;
    uint8_t inner = negative ? (uint8_t)~flip : flip;
    size_t start = r->at - 1, n = 0, body = length ? (size_t)length + 1 : 8;
    if (!take(r, form, body, inner)) return NULL;
    PyObject *value = NULL;
    if (length && form[length] == WHOLE_INT) {
        uint64_t whole = get_big(form, (size_t)length);
        n = int_form(again, whole, negative);
        if (!negative)
            value = PyLong_FromUnsignedLongLong(whole);
        else if (whole <= UINT64_C(1) << 63)
            value = PyLong_FromLongLong((int64_t)(0 - whole));
    } else {
        double x = length ? (double)get_big(form, (size_t)length) : 0;
        if (!length) {
            uint64_t bits = get_big(form, 8);
            memcpy(&x, &bits, 8);
        } else if (form[length] == FRACTION) {
            if (!take(r, form, 7, inner)) return NULL;
            x += (double)get_big(form, 7) * 0x1p-56;
        }
        x = negative ? -x : x;
        n = float_form(again, x);
        value = PyFloat_FromDouble(x);
    }
    if (flip) flip_bytes(again, n);
    if (value && (n != r->at - start || memcmp(again, r->p + start, n) != 0)) value = typed_drop(value);
    return value;
}

static PyObject *read_string(reader *r, uint8_t tag, uint8_t flip) {
    scratch s;
    scratch_begin(&s);
    PyObject *value = NULL;
    for (;;) {
        const uint8_t *from = r->p + r->at, *zero = memchr(from, flip, r->n - r->at);
        size_t n = zero ? (size_t)(zero - from) : 0;
        uint8_t *to = zero ? scratch_take(&s, n + 1) : NULL, after;
        if (!to) break;
        take(r, to, n + 1, flip); /* the zero too: it stays when it is escaped */
        if (!take(r, &after, 1, flip)) break;
        if (after == 0xFF) continue;
        if (after != 0x01) break;
        s.used--;
        value = tag == STR ? PyUnicode_DecodeUTF8((const char *)s.data, (Py_ssize_t)s.used, NULL)
                           : PyBytes_FromStringAndSize((const char *)s.data, (Py_ssize_t)s.used);
        break;
    }
    scratch_end(&s);
    return value;
}

static PyObject *read_part(reader *r, uint8_t flip, int depth);

static PyObject *read_parts(reader *r, uint8_t flip, int depth, int to_end) {
    PyObject *parts = PyList_New(0), *tuple = NULL;
    while (parts && (to_end ? r->at < r->n : r->at < r->n && r->p[r->at] != (END ^ flip))) {
        PyObject *part = read_part(r, flip, depth);
        int ok = part && PyList_Append(parts, part) == 0;
        Py_XDECREF(part);
        if (!ok) parts = typed_drop(parts);
    }
    if (parts && (to_end || r->at++ < r->n)) tuple = PyList_AsTuple(parts);
    Py_XDECREF(parts);
    return tuple;
}

/* There is a byte left. */
static PyObject *read_part(reader *r, uint8_t flip, int depth) {
    uint8_t tag = r->p[r->at++] ^ flip, bytes[16];
    if (tag >= 0x80) tag = (uint8_t)~tag, flip = (uint8_t)~flip; /* descending */
    switch (tag) {
    case NONE:
        return Py_NewRef(Py_None);
    case FALSE_TAG:
        return Py_NewRef(Py_False);
    case TRUE_TAG:
        return Py_NewRef(Py_True);
    case NEG_INF:
        return PyFloat_FromDouble(-INFINITY);
    case INF:
        return PyFloat_FromDouble(INFINITY);
    case NAN_TAG:
        return PyFloat_FromDouble(NAN);
    case MINUS_ZERO:
        return PyFloat_FromDouble(-0.0);
    case FLOAT_ZERO:
        return PyFloat_FromDouble(0.0);
    case ZERO:
        return PyLong_FromLong(0);
    case BYTES:
    case STR:
        return read_string(r, tag, flip);
    case UUID:
        return take(r, bytes, 16, flip) ? typed_uuid(r->t, bytes) : NULL;
    case DATETIME:
        return take(r, bytes, 8, flip) ? typed_datetime(r->t, (int64_t)(get_big(bytes, 8) ^ (UINT64_C(1) << 63))) : NULL;
    case TUPLE:
        return depth < MAX_DEPTH ? read_parts(r, flip, depth + 1, 0) : NULL;
    default:
        return tag > NEG_INF && tag < HUGE_TAG && tag != MIRROR - HUGE_TAG ? read_number(r, tag, flip) : NULL;
    }
}

static PyObject *key_decode(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    if (names || n != 1 || Py_TYPE(args[0]) != &PyBytes_Type) return typed_slow(t, K_DECODE, args, n, names);
    reader r = {t, (const uint8_t *)PyBytes_AsString(args[0]), 0, (size_t)PyBytes_Size(args[0])};
    PyObject *parts = read_parts(&r, 0, 0, 1);
    return parts || !typed_try_slow() ? parts : typed_slow(t, K_DECODE, args, n, NULL);
}

/* A value of a row as the key of an index: equal values give equal keys, so a float of whole value counts as an int; lists are not for C. */
static int put_indexed(const typed *t, scratch *s, PyObject *o) {
    if (Py_TYPE(o) == &PyTuple_Type || (PyObject *)Py_TYPE(o) == t->o[K_DESC]) return SLOW;
    if (Py_TYPE(o) != &PyFloat_Type) return put_part(t, s, o, 0);
    double x = PyFloat_AsDouble(o);
    if (!isfinite(x) || trunc(x) != x) return put_float(s, x);
    if (fabs(x) >= 0x1p63) return SLOW;
    uint8_t form[MAX_NUMBER];
    return put_form(s, form, int_form(form, (uint64_t)fabs(x), x < 0));
}

static PyObject *key_indexed(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    if (names || n != 2) return PyErr_Format(PyExc_TypeError, "indexed takes values and a function, not %zd arguments", n), NULL;
    PyObject *values = PySequence_Tuple(args[0]), *keys = values ? PyList_New(PyTuple_Size(values)) : NULL;
    scratch s;
    scratch_begin(&s);
    for (Py_ssize_t i = 0; keys && i < PyTuple_Size(values); i++) {
        PyObject *value = PyTuple_GetItem(values, i), *key = NULL;
        s.used = 0;
        int status = put_indexed(t, &s, value);
        if (status == DONE)
            key = PyBytes_FromStringAndSize((const char *)s.data, (Py_ssize_t)s.used);
        else if (status == SLOW || typed_try_slow())
            key = PyObject_CallFunctionObjArgs(args[1], value, NULL);
        if (!key)
            keys = typed_drop(keys);
        else
            PyList_SetItem(keys, i, key);
    }
    scratch_end(&s);
    Py_XDECREF(values);
    return keys;
}

static PyMethodDef methods[] = {
    {"encode", METHOD(key_encode), METH_FASTCALL | METH_KEYWORDS,
     "encode(*parts)\n--\n\nReturn the key of a tuple. KeyTypeError, KeyValueError. O(bytes).\n\n"
     "bytearray and memoryview count as bytes; subclasses (an IntEnum, a named tuple) as the type that they are made of."},
    {"decode", METHOD(key_decode), METH_FASTCALL | METH_KEYWORDS,
     "decode(data)\n--\n\nReturn the parts of a key, the descending ones as plain values. KeyDecodeError unless `encode` made it. "
     "O(bytes)."},
    {"indexed", METHOD(key_indexed), METH_FASTCALL | METH_KEYWORDS,
     "indexed(values, other)\n--\n\nReturn the keys of values in an index, a list: equal values have equal keys, 1.0 that of 1.\n\n"
     "What is not None, bool, int, float, bytes, str, UUID or datetime, or has no key, is left to `other`, which returns what takes its "
     "place in the list."},
};

PyObject *bind_keys(PyObject *module, PyObject *objects) {
    (void)module;
    return typed_bind(methods, sizeof methods / sizeof *methods, objects, K_COUNT);
}
