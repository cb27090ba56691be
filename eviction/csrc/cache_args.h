/* cache_args.h: arguments of a built-in function, by place or by name.
 *
 *    f(1, b=2), names {"a", "b", NULL} --> out[0] = 1, out[1] = 2      what is not given stays as it was
 *
 * Ownership: everything is borrowed. Threads: the interpreter's lock. Invariant: 0 comes with a TypeError.
 */
#ifndef EVI_CACHE_ARGS_H
#define EVI_CACHE_ARGS_H
#include "eviction/csrc/cache_map.h"

typedef struct {
    const char *function, *names[5]; /* ended by NULL */
    int required, by_place; /* the first so many */
} arg_spec;

int args_read(const arg_spec *spec, PyObject *const *args, Py_ssize_t n, PyObject *names, PyObject **out);

/* As args_read; the common case, all by place, is done here. */
static inline int args_take(const arg_spec *spec, PyObject *const *args, Py_ssize_t n, PyObject *names, PyObject **out) {
    if (names || n < spec->required || n > spec->by_place) return args_read(spec, args, n, names, out);
    for (Py_ssize_t i = 0; i < n; i++) out[i] = args[i];
    return 1;
}
#endif
