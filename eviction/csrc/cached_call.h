/* cached_call.h: the callable that the decorator puts in the place of a function.
 *
 *    f(x) --> key of the arguments --> cache_lookup --> the value
 *                                         '--> nothing held: miss(key, args, named), a function in Python, which calls, waits, stores
 *
 * A key is the only argument itself where that is exactly an int or a str, else the tuple of the arguments, as functools has it; named ones
 * follow a mark, in the order given; typed: the types follow. A bound method's object is the first argument.
 *
 * Ownership: holds the cache, miss, key, mark and its attributes. Threads: the interpreter's lock. Invariant: a hit runs no function in Python but
 * `key`, where one was given.
 */
#ifndef EVI_CACHED_CALL_H
#define EVI_CACHED_CALL_H
#include "eviction/csrc/cache_core.h"

PyObject *cached_type(void); /* a new type, or NULL with an exception */
#endif
