/* cache_type.h: eviction.Cache's inside as a type of the interpreter itself, and the decorator's call.
 *
 *    cache[key], cache.get(key) ... --> Core (cache_type.c) --> cache_core.h
 *    f(x), decorated            --> Cached (cached_call.c) --> cache_core.h; what is not held: a function in Python
 *
 * A call through cffi wants a frame around it, lets the interpreter's lock go and takes it again: 150 to 200 ns, three times the work of a hit.
 * These calls hold the lock throughout, which is what makes the cache safe among threads.
 *
 * Ownership: the types belong to the module. Threads: the interpreter's lock. Invariant: installing twice is harmless.
 */
#ifndef EVI_CACHE_TYPE_H
#define EVI_CACHE_TYPE_H

/* cdef:begin */
int evi_install_cache(void); /* puts the types Core and Cached into the module eviction._native; 0, or -1 with an exception printed */
/* cdef:end */
#endif
