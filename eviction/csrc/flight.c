/* A call under way, and how others wait for it. */
#include "eviction/csrc/cached_call.h"

flight *flight_new(PyObject *type) {
    allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);
    flight *f = (flight *)alloc((PyTypeObject *)type, 0);
    if (f) f->owner = PyThread_get_thread_ident();
    return f;
}

void flight_land(flight *f) {
    f->landed = 1;
    if (f->lock) PyThread_release_lock(f->lock);
}

static int would_wait_for(flight *f, unsigned long me, PyObject *waiting) { /* does it, directly or not, wait for this thread? */
    while (f) {
        if (f->owner == me) return 1;
        PyObject *owner = PyLong_FromUnsignedLong(f->owner);
        if (!owner) return -1;
        f = (flight *)PyDict_GetItemWithError(waiting, owner);
        Py_DECREF(owner);
    }
    return PyErr_Occurred() ? -1 : 0;
}

static int lock_and_pass_on(flight *f) { /* each who waited wakes the next */
    PyLockStatus got;
    do {
        Py_BEGIN_ALLOW_THREADS got = PyThread_acquire_lock_timed(f->lock, -1, 1);
        Py_END_ALLOW_THREADS if (got == PY_LOCK_INTR && PyErr_CheckSignals()) return -1;
    } while (got == PY_LOCK_INTR);
    PyThread_release_lock(f->lock);
    return 1;
}

int flight_wait(flight *f, PyObject *waiting) {
    const unsigned long me = PyThread_get_thread_ident();
    if (f->landed) return 1;
    int never = would_wait_for(f, me, waiting);
    if (never) return never < 0 ? -1 : 0;
    if (!f->lock) {
        if (!(f->lock = PyThread_allocate_lock())) return PyErr_NoMemory(), -1;
        PyThread_acquire_lock(f->lock, 1); /* new, so at once */
    }
    PyObject *mine = PyLong_FromUnsignedLong(me);
    if (!mine || PyDict_SetItem(waiting, mine, (PyObject *)f)) return Py_XDECREF(mine), -1;
    int done = lock_and_pass_on(f);
    PyObject *kind, *value, *trace;
    PyErr_Fetch(&kind, &value, &trace);
    PyDict_DelItem(waiting, mine);
    PyErr_Restore(kind, value, trace); /* in place of what the removal may have raised */
    Py_DECREF(mine);
    return done;
}

static void flight_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    if (((flight *)self)->lock) PyThread_free_lock(((flight *)self)->lock);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

PyObject *flight_type(void) {
    static PyType_Slot slots[] = {{Py_tp_dealloc, flight_dealloc}, {0, NULL}};
    static PyType_Spec spec = {"eviction._native.Flight", sizeof(flight), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    return PyType_FromSpec(&spec);
}
