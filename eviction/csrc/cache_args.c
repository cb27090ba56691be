#include "eviction/csrc/cache_args.h"

int args_read(const arg_spec *spec, PyObject *const *args, Py_ssize_t n, PyObject *names, PyObject **out) {
    unsigned given = 0;
    if (n > spec->by_place) {
        PyErr_Format(PyExc_TypeError, "%s() takes %d positional arguments but %zd were given", spec->function, spec->by_place, n);
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        out[i] = args[i];
        given |= 1u << i;
    }
    for (Py_ssize_t i = 0; names && i < PyTuple_Size(names); i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        int at = 0;
        while (spec->names[at] && PyUnicode_CompareWithASCIIString(name, spec->names[at])) at++;
        if (!spec->names[at] || given >> at & 1) {
            PyErr_Format(PyExc_TypeError,
                         spec->names[at] ? "%s() got multiple values for argument '%U'" : "%s() got an unexpected keyword argument '%U'",
                         spec->function, name);
            return 0;
        }
        out[at] = args[n + i];
        given |= 1u << at;
    }
    for (int i = 0; i < spec->required; i++)
        if (!(given >> i & 1)) return PyErr_Format(PyExc_TypeError, "%s() lacks the argument '%s'", spec->function, spec->names[i]), 0;
    return 1;
}
