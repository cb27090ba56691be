/* cached_call.h: the callable that the decorator puts in the place of a function.
 *
 *    f(x) --> key of the arguments --> cache_lookup --> the value
 *                                         '--> nothing held: the function, once a key at a time: `going` holds key -> flight meanwhile
 *                                                 '--> a flight of another thread: wait until it landed, look again
 *
 * A key is the only argument itself where that is exactly an int or a str, else the tuple of the arguments, as functools has it; named ones
 * follow a mark, in the order given; typed: the types follow. A bound method's object is the first argument. Without `going` what is not
 * held is function(key), for coroutines, which wait in their own way.
 *
 * `waiting` (thread -> the flight that it waits for, of all functions) tells who would wait for who waits for them: they call the function
 * themselves, which recurses without end as it would without a cache. A flight that `going` no longer holds when it lands, because the cache
 * was cleared, stores nothing.
 *
 * Ownership: holds what it was made of. Threads: the interpreter's lock, let go only while waiting. Invariants: a hit runs no function in
 * Python but `key`, where one was given; a flight lands, whatever its function does.
 */
#ifndef EVI_CACHED_CALL_H
#define EVI_CACHED_CALL_H
#include "eviction/csrc/cache_core.h"

PyObject *cached_type(void); /* a new type, or NULL with an exception */
PyObject *flight_type(void); /* likewise */

typedef struct {
    PyObject ob_base;
    unsigned long owner; /* a thread */
    int landed;
    PyThread_type_lock lock; /* made by the first who waits, held until it landed */
} flight;

flight *flight_new(PyObject *type);
int flight_wait(flight *of, PyObject *waiting); /* 1 it landed, 0 it would never, -1 an exception */
void flight_land(flight *f);
#endif
