#include "lsm/csrc/typed_impl.h"

/* What only rows are bound to: names of attributes, date.fromordinal, what makes plain values of others, then the twins in the order of the methods. */
enum { R_IDS = T_OWN, R_NAMES, R_DATE_OF, R_PLAIN, R_ENCODE, R_ENCODE_MANY, R_FIELD, R_FIELDS, R_DECODE, R_COLUMN, R_DECODE_MANY, R_COUNT };
_Static_assert((int)R_COUNT <= (int)T_MAX, "room for what rows are bound to");

/* The layout stands at the top of lsm/secondary/record_twin.py. */
enum { VERSION = 1, HEAD = 4, MAX_COLUMNS = 65535, FEW = 48 };
enum { NIL, NO, YES, INT, FLOAT, STR, BYTES, DATETIME, DATE, UUID, LIST, TUPLE, FLOAT_LIST, FLOAT_TUPLE };
#define MAX_ROW (UINT64_C(1) << 30)

static inline void put_little(uint8_t *at, uint64_t x, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) at[i] = (uint8_t)(x >> (8 * i));
}

static inline uint64_t get_little(const uint8_t *at, size_t bytes) {
    uint64_t x = 0;
    for (size_t i = 0; i < bytes; i++) x |= (uint64_t)at[i] << (8 * i);
    return x;
}

static inline size_t width_of(uint64_t largest) { return largest <= 0xFF ? 1 : largest <= 0xFFFF ? 2 : 4; }

/* Writing ---------------------------------------------------------------------------------------------------------------------- */

static int put_bytes(scratch *s, const void *p, size_t n) {
    uint8_t *at = scratch_take(s, n);
    if (!at) return FAILED;
    memcpy(at, p, n);
    return DONE;
}

static int put_int(scratch *s, PyObject *o) {
    int overflow;
    int64_t x = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow) return SLOW;
    uint64_t bits = (uint64_t)(x < 0 ? ~x : x);
    uint8_t form[8];
    put_little(form, (uint64_t)x, 8);
    return put_bytes(s, form, !x ? 0 : bits ? (size_t)(64 - __builtin_clzll(bits)) / 8 + 1 : 1);
}

static int put_double(scratch *s, double x) {
    uint64_t bits;
    uint8_t form[8];
    memcpy(&bits, &x, 8);
    put_little(form, bits, 8);
    return put_bytes(s, form, 8);
}

/* A value that is read without running any code of Python. */
static int put_simple(scratch *s, PyObject *o, uint8_t *tag) {
    PyTypeObject *type = Py_TYPE(o);
    if (type == &PyUnicode_Type) {
        Py_ssize_t n;
        const char *text = PyUnicode_AsUTF8AndSize(o, &n);
        *tag = STR;
        return text ? put_bytes(s, text, (size_t)n) : FAILED;
    }
    if (type == &PyLong_Type) return *tag = INT, put_int(s, o);
    if (type == &PyFloat_Type) return *tag = FLOAT, put_double(s, PyFloat_AsDouble(o));
    if (o == Py_None) return *tag = NIL, DONE;
    if (type == &PyBool_Type) return *tag = o == Py_True ? YES : NO, DONE;
    if (type == &PyBytes_Type) return *tag = BYTES, put_bytes(s, PyBytes_AsString(o), (size_t)PyBytes_Size(o));
    return SLOW;
}

typedef PyObject *item_of(PyObject *, Py_ssize_t);

static int put_floats(scratch *s, PyObject *o, Py_ssize_t n, item_of *item) {
    int status = DONE;
    for (Py_ssize_t i = 0; status == DONE && i < n; i++) status = put_double(s, PyFloat_AsDouble(item(o, i)));
    return status;
}

/* Head and ends are first written as wide as they can get, then moved together. */
static int put_items(scratch *s, PyObject *o, Py_ssize_t count, item_of *item) {
    size_t start = s->used, n = (size_t)count, head = 5 + 5 * n;
    if (n > MAX_ROW / 8) return SLOW; /* uncovered (guard): a list of 2^27 values */
    if (!scratch_take(s, head)) return FAILED;
    for (size_t i = 0; i < n; i++) {
        uint8_t tag;
        int status = put_simple(s, item(o, (Py_ssize_t)i), &tag);
        if (status != DONE) return status;
        size_t end = s->used - start - head;
        if (end > MAX_ROW) return SLOW; /* uncovered (guard): a row of 1 GiB */
        put_little(s->data + start + 5 + 4 * i, end, 4);
        s->data[start + 5 + 4 * n + i] = tag;
    }
    uint8_t *base = s->data + start, *ends = base + 5, *tags = ends + 4 * n, *values = base + head;
    size_t size = s->used - start - head, width = width_of(size > n ? size : n);
    base[0] = (uint8_t)width;
    put_little(base + 1, n, width);
    uint8_t *to = base + 1 + width;
    for (size_t i = 0; i < n; i++, to += width) put_little(to, get_little(ends + 4 * i, 4), width);
    memmove(to, tags, n);
    memmove(to + n, values, size);
    s->used = (size_t)(to + n + size - s->data);
    return DONE;
}

static int put_sequence(scratch *s, PyObject *o, uint8_t *tag, int is_list) {
    item_of *item = is_list ? PyList_GetItem : PyTuple_GetItem;
    Py_ssize_t n = is_list ? PyList_Size(o) : PyTuple_Size(o), floats = 0;
    while (floats < n && Py_TYPE(item(o, floats)) == &PyFloat_Type) floats++;
    if (n && floats == n) return *tag = is_list ? FLOAT_LIST : FLOAT_TUPLE, put_floats(s, o, n, item);
    return *tag = is_list ? LIST : TUPLE, put_items(s, o, n, item);
}

static int put_moment(const typed *t, scratch *s, PyObject *o) {
    int64_t micros;
    int status = typed_micros(t, o, &micros);
    uint8_t *at = status == DONE ? scratch_take(s, 8) : NULL;
    if (!at) return status == DONE ? FAILED : status;
    put_little(at, (uint64_t)micros, 8);
    return DONE;
}

static int put_day(const typed *t, scratch *s, PyObject *o) {
    PyObject *delta = PyNumber_Subtract(o, t->o[T_DAY0]), *days = delta ? PyObject_GetAttr(delta, t->o[T_DAYS]) : NULL;
    uint8_t *at = days ? scratch_take(s, 4) : NULL;
    if (at) put_little(at, (uint64_t)PyLong_AsLongLong(days), 4);
    Py_XDECREF(days);
    Py_XDECREF(delta);
    return at ? DONE : FAILED;
}

static int put_plain(const typed *t, scratch *s, PyObject *o, uint8_t *tag) {
    int status = put_simple(s, o, tag);
    if (status != SLOW) return status;
    PyObject *type = (PyObject *)Py_TYPE(o);
    if (type == t->o[T_DATETIME]) return *tag = DATETIME, put_moment(t, s, o);
    if (type == (PyObject *)&PyList_Type || type == (PyObject *)&PyTuple_Type)
        return put_sequence(s, o, tag, type == (PyObject *)&PyList_Type);
    if (type == t->o[T_DATE]) return *tag = DATE, put_day(t, s, o);
    if (type != t->o[T_UUID]) return SLOW;
    uint8_t *at = scratch_take(s, 16);
    *tag = UUID;
    return at ? typed_uuid_bytes(t, o, at) : FAILED;
}

/* What is not of these types (numpy's scalars, datetimes of other zones, subclasses) is made so by the twin's `plain`. */
static int put_value(const typed *t, scratch *s, PyObject *o, uint8_t *tag) {
    size_t start = s->used;
    int status = put_plain(t, s, o, tag);
    if (status != SLOW) return status;
    s->used = start;
    PyObject *held = Py_NewRef(o), *plain = PyObject_CallFunctionObjArgs(t->o[R_PLAIN], held, NULL);
    status = plain ? put_plain(t, s, plain, tag) : PyErr_ExceptionMatches(PyExc_TypeError) ? (PyErr_Clear(), SLOW) : FAILED;
    Py_XDECREF(plain);
    Py_DECREF(held);
    return status;
}

typedef struct field {
    size_t at, size;
    uint32_t id;
    uint8_t tag;
} field;

/* The bytes of a row from its fields, which are in order of ids; NULL with an exception. */
static PyObject *assemble(const field *fields, size_t n, const scratch *s) {
    size_t id_width = n && fields[n - 1].id > 0xFF ? 2 : 1, end_width = width_of(s->used), head = HEAD + n * (id_width + end_width + 1),
           end = 0;
    PyObject *row = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(head + s->used));
    if (!row) return NULL;
    uint8_t *p = (uint8_t *)PyBytes_AsString(row), *ids = p + HEAD, *ends = ids + n * id_width, *tags = ends + n * end_width,
            *values = p + head;
    p[0] = VERSION, p[1] = (uint8_t)(id_width | end_width << 4);
    put_little(p + 2, n, 2);
    for (size_t i = 0; i < n; i++) {
        memcpy(values + end, s->data + fields[i].at, fields[i].size);
        end += fields[i].size;
        put_little(ids + i * id_width, fields[i].id, id_width);
        put_little(ends + i * end_width, end, end_width);
        tags[i] = fields[i].tag;
    }
    return row;
}

static int collect(const typed *t, PyObject *row, PyObject *ids, field *fields, size_t room, size_t *count, scratch *s) {
    PyObject *name, *value;
    Py_ssize_t at = 0;
    size_t n = 0;
    while (PyDict_Next(row, &at, &name, &value)) {
        PyObject *id = n < room && Py_TYPE(name) == &PyUnicode_Type ? PyDict_GetItemWithError(ids, name) : NULL;
        if (!id) return PyErr_Occurred() ? FAILED : SLOW;
        field f = {.at = s->used, .id = (uint32_t)PyLong_AsUnsignedLongLongMask(id)};
        int status = put_value(t, s, value, &f.tag);
        if (status != DONE) return status;
        f.size = s->used - f.at;
        size_t j = n++;
        for (; j && fields[j - 1].id > f.id; j--) fields[j] = fields[j - 1]; /* rows come in the order of the ids, or nearly */
        fields[j] = f;
    }
    *count = n;
    return s->used > MAX_ROW ? SLOW : DONE;
}

/* One row; SLOW, FAILED, or DONE with *out. */
static int encode_row(const typed *t, PyObject *row, PyObject *ids, PyObject **out) {
    if (Py_TYPE(row) != &PyDict_Type) return SLOW;
    field few[FEW], *fields = few;
    size_t room = (size_t)PyDict_Size(row), n = 0;
    if (room > MAX_COLUMNS) return SLOW;
    if (room > FEW && !(fields = malloc(room * sizeof *fields))) return PyErr_NoMemory(), FAILED;
    scratch s;
    scratch_begin(&s);
    int status = collect(t, row, ids, fields, room, &n, &s);
    if (status == DONE && !(*out = assemble(fields, n, &s))) status = FAILED;
    scratch_end(&s);
    if (fields != few) free(fields);
    return status == FAILED && typed_try_slow() ? SLOW : status;
}

static PyObject *record_encode(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    if (names || n != 2) return typed_slow(t, R_ENCODE, args, n, names);
    PyObject *ids = PyObject_GetAttr(args[1], t->o[R_IDS]), *out = NULL;
    int status = !ids ? FAILED : PyDict_Check(ids) ? encode_row(t, args[0], ids, &out) : SLOW;
    Py_XDECREF(ids);
    return status == SLOW ? typed_slow(t, R_ENCODE, args, n, NULL) : out;
}

static PyObject *record_encode_many(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    if (names || n != 2) return typed_slow(t, R_ENCODE_MANY, args, n, names);
    PyObject *rows = PySequence_Tuple(args[0]), *ids = rows ? PyObject_GetAttr(args[1], t->o[R_IDS]) : NULL;
    Py_ssize_t count = rows ? PyTuple_Size(rows) : 0;
    PyObject *result = ids && PyDict_Check(ids) ? PyList_New(count) : NULL;
    for (Py_ssize_t i = 0; result && i < count; i++) {
        PyObject *one[2] = {PyTuple_GetItem(rows, i), args[1]}, *out = NULL;
        if (encode_row(t, one[0], ids, &out) == SLOW) out = typed_slow(t, R_ENCODE, one, 2, NULL);
        if (!out)
            result = typed_drop(result);
        else
            PyList_SetItem(result, i, out);
    }
    Py_XDECREF(ids);
    Py_XDECREF(rows);
    return result || PyErr_Occurred() ? result : typed_slow(t, R_ENCODE_MANY, args, n, NULL);
}

/* Reading ---------------------------------------------------------------------------------------------------------------------- */

/* A row or a list, open: `ends` and `tags` lie within the bytes, the last end is the size of the values. */
typedef struct view {
    const uint8_t *ids, *ends, *tags, *values;
    size_t count, size, id_width, end_width;
} view;

static int view_ends(view *v, const uint8_t *at, const uint8_t *end) {
    if ((size_t)(end - at) / (v->end_width + 1) < v->count) return 0;
    v->ends = at;
    v->tags = at + v->count * v->end_width;
    v->values = v->tags + v->count;
    v->size = (size_t)(end - v->values);
    return v->size == (v->count ? get_little(v->tags - v->end_width, v->end_width) : 0);
}

static int view_row(view *v, const uint8_t *p, size_t n) {
    if (n < HEAD || p[0] != VERSION) return 0;
    v->id_width = p[1] & 15, v->end_width = p[1] >> 4, v->count = (size_t)get_little(p + 2, 2);
    if (v->id_width < 1 || v->id_width > 2 || (v->end_width != 1 && v->end_width != 2 && v->end_width != 4)) return 0;
    if ((n - HEAD) / v->id_width < v->count) return 0;
    v->ids = p + HEAD;
    return view_ends(v, v->ids + v->count * v->id_width, p + n);
}

static int view_list(view *v, const uint8_t *p, size_t n) {
    if (!n || (p[0] != 1 && p[0] != 2 && p[0] != 4) || n < 1u + p[0]) return 0;
    v->ids = NULL, v->id_width = 0, v->end_width = p[0], v->count = (size_t)get_little(p + 1, p[0]);
    return view_ends(v, p + 1 + p[0], p + n);
}

/* The bytes of the i-th value; NULL when its ends are wrong. */
static const uint8_t *value_at(const view *v, size_t i, size_t *n) {
    size_t from = i ? (size_t)get_little(v->ends + (i - 1) * v->end_width, v->end_width) : 0;
    size_t to = (size_t)get_little(v->ends + i * v->end_width, v->end_width);
    if (from > to || to > v->size) return NULL;
    *n = to - from;
    return v->values + from;
}

static inline uint32_t id_at(const view *v, size_t i) { return (uint32_t)get_little(v->ids + i * v->id_width, v->id_width); }

/* The place of a column; count when the row does not have it. */
static size_t find(const view *v, uint32_t id) {
    if (v->id_width == 1) {
        const uint8_t *at = id <= 0xFF ? memchr(v->ids, (int)id, v->count) : NULL;
        return at ? (size_t)(at - v->ids) : v->count;
    }
    size_t low = 0, high = v->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (id_at(v, middle) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < v->count && id_at(v, low) == id ? low : v->count;
}

static PyObject *load_double(const uint8_t *p) {
    uint64_t bits = get_little(p, 8);
    double x;
    memcpy(&x, &bits, 8);
    return PyFloat_FromDouble(x);
}

static PyObject *load_int(const uint8_t *p, size_t n) {
    if (n > 8) return NULL;
    uint64_t x = get_little(p, n);
    if (n && n < 8 && p[n - 1] & 0x80) x |= ~UINT64_C(0) << (8 * n);
    return PyLong_FromLongLong((int64_t)x);
}

static PyObject *load_day(const typed *t, const uint8_t *p) {
    int64_t day = (int32_t)(uint32_t)get_little(p, 4) + INT64_C(719163); /* 0001-01-01 is day 1 */
    if (day < 1 || day > 3652059) return NULL;
    PyObject *number = PyLong_FromLongLong(day), *made = number ? PyObject_CallFunctionObjArgs(t->o[R_DATE_OF], number, NULL) : NULL;
    Py_XDECREF(number);
    return made;
}

/* A scalar; NULL: an exception, or none when it is wrong or for the twin. */
static PyObject *load_scalar(const typed *t, uint8_t tag, const uint8_t *p, size_t n) {
    switch (tag) {
    case NIL:
        return n ? NULL : Py_NewRef(Py_None);
    case NO:
        return n ? NULL : Py_NewRef(Py_False);
    case YES:
        return n ? NULL : Py_NewRef(Py_True);
    case INT:
        return load_int(p, n);
    case FLOAT:
        return n == 8 ? load_double(p) : NULL;
    case STR:
        return PyUnicode_DecodeUTF8((const char *)p, (Py_ssize_t)n, NULL);
    case BYTES:
        return PyBytes_FromStringAndSize((const char *)p, (Py_ssize_t)n);
    case DATETIME:
        return n == 8 ? typed_datetime(t, (int64_t)get_little(p, 8)) : NULL;
    case DATE:
        return n == 4 ? load_day(t, p) : NULL;
    case UUID:
        return n == 16 ? typed_uuid(t, p) : NULL;
    default:
        return NULL;
    }
}

static PyObject *load_sequence(const typed *t, uint8_t tag, const uint8_t *p, size_t n) {
    view v = {.count = n / 8};
    int floats = tag == FLOAT_LIST || tag == FLOAT_TUPLE, is_list = tag == LIST || tag == FLOAT_LIST;
    if (floats ? !n || n % 8 : !view_list(&v, p, n)) return NULL;
    PyObject *result = is_list ? PyList_New((Py_ssize_t)v.count) : PyTuple_New((Py_ssize_t)v.count);
    for (size_t i = 0; result && i < v.count; i++) {
        size_t size = 8;
        const uint8_t *at = floats ? p + 8 * i : value_at(&v, i, &size);
        PyObject *item = floats ? load_double(at) : at ? load_scalar(t, v.tags[i], at, size) : NULL;
        if (!item)
            result = typed_drop(result);
        else if (is_list)
            PyList_SetItem(result, (Py_ssize_t)i, item);
        else
            PyTuple_SetItem(result, (Py_ssize_t)i, item);
    }
    return result;
}

static PyObject *load(const typed *t, const view *v, size_t i) {
    size_t n;
    const uint8_t *p = value_at(v, i, &n);
    if (!p) return NULL;
    return v->tags[i] < LIST ? load_scalar(t, v->tags[i], p, n) : v->tags[i] <= FLOAT_TUPLE ? load_sequence(t, v->tags[i], p, n) : NULL;
}

/* The bytes of a row given as an object: bytes, or anything with a buffer, which is held until it is let go. */
typedef struct held {
    view v;
    Py_buffer buffer;
    int has_buffer;
} held;

/* 1: open; 0: not a row, or not bytes. */
static int hold(held *h, PyObject *data) {
    h->has_buffer = 0;
    if (Py_TYPE(data) == &PyBytes_Type) return view_row(&h->v, (const uint8_t *)PyBytes_AsString(data), (size_t)PyBytes_Size(data));
    if (PyObject_GetBuffer(data, &h->buffer, PyBUF_SIMPLE) < 0) return PyErr_Clear(), 0;
    h->has_buffer = 1;
    return view_row(&h->v, h->buffer.buf, (size_t)h->buffer.len);
}

static void let_go(held *h) {
    if (h->has_buffer) PyBuffer_Release(&h->buffer);
}

/* The number of a column; UINT32_MAX, which no row has, for those out of range. 0: not an int. */
static int id_of(PyObject *o, uint32_t *id) {
    if (Py_TYPE(o) != &PyLong_Type) return 0;
    int overflow;
    int64_t x = PyLong_AsLongLongAndOverflow(o, &overflow);
    *id = overflow || x < 0 || x > UINT16_MAX ? UINT32_MAX : (uint32_t)x;
    return 1;
}

static PyObject *field_or(const typed *t, const view *v, uint32_t id, PyObject *missing) {
    size_t i = find(v, id);
    return i < v->count ? load(t, v, i) : Py_NewRef(missing);
}

static PyObject *record_field(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    uint32_t id;
    if (names || n < 2 || n > 3 || !id_of(args[1], &id)) return typed_slow(t, R_FIELD, args, n, names);
    held h;
    PyObject *value = hold(&h, args[0]) ? field_or(t, &h.v, id, n == 3 ? args[2] : Py_None) : NULL;
    let_go(&h);
    return value || !typed_try_slow() ? value : typed_slow(t, R_FIELD, args, n, NULL);
}

static PyObject *record_fields(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    if (names || n != 2 || (Py_TYPE(args[1]) != &PyTuple_Type && Py_TYPE(args[1]) != &PyList_Type))
        return typed_slow(t, R_FIELDS, args, n, names);
    PyObject *ids = PySequence_Tuple(args[1]); /* of a tuple, itself */
    if (!ids) return NULL;
    Py_ssize_t count = PyTuple_Size(ids);
    held h;
    PyObject *values = hold(&h, args[0]) ? PyTuple_New(count) : NULL;
    for (Py_ssize_t i = 0; values && i < count; i++) {
        uint32_t id;
        PyObject *value = id_of(PyTuple_GetItem(ids, i), &id) ? field_or(t, &h.v, id, Py_None) : NULL;
        if (!value)
            values = typed_drop(values);
        else
            PyTuple_SetItem(values, i, value);
    }
    let_go(&h);
    Py_DECREF(ids);
    return values || !typed_try_slow() ? values : typed_slow(t, R_FIELDS, args, n, NULL);
}

/* key, unless NULL, comes first, with its value. */
static PyObject *load_row(const typed *t, const view *v, PyObject *names, PyObject *key, PyObject *id) {
    PyObject *row = PyDict_New();
    if (row && key && PyDict_SetItem(row, key, id) < 0) row = typed_drop(row);
    for (size_t i = 0; row && i < v->count; i++) {
        uint32_t id = id_at(v, i);
        int known = (!i || id_at(v, i - 1) < id) && id < (size_t)PyList_Size(names);
        PyObject *name = known ? Py_NewRef(PyList_GetItem(names, (Py_ssize_t)id)) : NULL, *value = name ? load(t, v, i) : NULL;
        if (!value || PyDict_SetItem(row, name, value) < 0) row = typed_drop(row);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return row;
}

static PyObject *record_decode(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    if (names || n != 2) return typed_slow(t, R_DECODE, args, n, names);
    PyObject *list = PyObject_GetAttr(args[1], t->o[R_NAMES]);
    if (!list) return NULL;
    held h = {.has_buffer = 0};
    PyObject *row = PyList_Check(list) && hold(&h, args[0]) ? load_row(t, &h.v, list, NULL, NULL) : NULL;
    let_go(&h);
    Py_DECREF(list);
    return row || !typed_try_slow() ? row : typed_slow(t, R_DECODE, args, n, NULL);
}

static PyObject *record_decode_many(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    if (names || (n != 2 && n != 4) || (n == 4 && (args[2] == Py_None || args[3] == Py_None)))
        return typed_slow(t, R_DECODE_MANY, args, n, names);
    PyObject *datas = PySequence_Tuple(args[0]), *ids = datas && n == 4 ? PySequence_Tuple(args[3]) : NULL;
    PyObject *list = datas && (n == 2 || ids) ? PyObject_GetAttr(args[1], t->o[R_NAMES]) : NULL;
    Py_ssize_t count = datas ? PyTuple_Size(datas) : 0;
    int good = list && PyList_Check(list) && (n == 2 || PyTuple_Size(ids) == count);
    PyObject *rows = good ? PyList_New(count) : NULL;
    for (Py_ssize_t i = 0; rows && i < count; i++) {
        PyObject *data = PyTuple_GetItem(datas, i), *row = NULL;
        if (data == Py_None) {
            PyList_SetItem(rows, i, Py_NewRef(Py_None));
            continue;
        }
        held h = {.has_buffer = 0};
        if (hold(&h, data)) row = load_row(t, &h.v, list, ids ? args[2] : NULL, ids ? PyTuple_GetItem(ids, i) : NULL);
        let_go(&h);
        if (!row)
            rows = typed_drop(rows);
        else
            PyList_SetItem(rows, i, row);
    }
    if (!rows && datas && (n == 2 || ids) && typed_try_slow()) { /* what was given may be an iterator, which is at its end now */
        PyObject *given[4] = {datas, args[1], n == 4 ? args[2] : NULL, ids};
        rows = typed_slow(t, R_DECODE_MANY, given, n, NULL);
    }
    Py_XDECREF(list);
    Py_XDECREF(ids);
    Py_XDECREF(datas);
    return rows;
}

static PyObject *record_column(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    const typed *t = typed_of(self);
    uint32_t id;
    if (names || n != 2 || !id_of(args[1], &id)) return typed_slow(t, R_COLUMN, args, n, names);
    PyObject *rows = PySequence_Tuple(args[0]);
    Py_ssize_t count = rows ? PyTuple_Size(rows) : 0;
    PyObject *values = rows ? PyList_New(count) : NULL;
    for (Py_ssize_t i = 0; values && i < count; i++) {
        PyObject *one[2] = {PyTuple_GetItem(rows, i), args[1]};
        held h;
        PyObject *value = hold(&h, one[0]) ? field_or(t, &h.v, id, Py_None) : NULL;
        let_go(&h);
        if (!value && typed_try_slow()) value = typed_slow(t, R_FIELD, one, 2, NULL);
        if (!value)
            values = typed_drop(values);
        else
            PyList_SetItem(values, i, value);
    }
    Py_XDECREF(rows);
    return values;
}

#define FAST METH_FASTCALL | METH_KEYWORDS
static PyMethodDef methods[] = {
    {"encode", METHOD(record_encode), FAST,
     "encode(row, names)\n--\n\nReturn the bytes of a row. New columns get a number in names. O(bytes)."},
    {"encode_many", METHOD(record_encode_many), FAST, "encode_many(rows, names)\n--\n\nReturn the list of encode(row, names) of all rows."},
    {"field", METHOD(record_field), FAST,
     "field(data, id, default=None)\n--\n\nReturn the value of the column of this number; default when the row does not have it. "
     "O(columns)."},
    {"fields", METHOD(record_fields), FAST,
     "fields(data, ids)\n--\n\nReturn the tuple of the values of these columns; None for what the row does not have."},
    {"decode", METHOD(record_decode), FAST, "decode(data, names)\n--\n\nReturn the row as a dict, columns in the order of their numbers."},
    {"column", METHOD(record_column), FAST, "column(datas, id)\n--\n\nReturn the list of field(data, id) of all rows."},
    {"decode_many", METHOD(record_decode_many), FAST,
     "decode_many(datas, names, key=None, ids=None)\n--\n\nReturn the list of decode(data, names), None for None; key: a column that comes "
     "first, with ids."},
};

PyObject *bind_records(PyObject *module, PyObject *objects) {
    (void)module;
    return typed_bind(methods, sizeof methods / sizeof *methods, objects, R_COUNT);
}
