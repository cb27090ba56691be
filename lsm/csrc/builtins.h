/* builtins.h: put, get, get_many, range, delete and put_many as functions of the interpreter itself.
 *
 *    db.get(key) --> get here --> lsm_lookup_solo, the interpreter's lock held --> bytes
 *                        |  anything but plain bytes, or a snapshot: the Python function given as `slow` (one cffi call)
 *                        |  a block that is not in the cache: the lock is let go, the look-up goes on
 *
 * A cffi call lets the interpreter's lock go and takes it again, wants a frame around it and a buffer for the value: 150 to 200 ns, as much as the work of
 * a get that the filter answers, and two threads that do that in turn stop each other. These six calls are therefore bound here: `bind(address of the
 * keyspace, slow, after, owner)` of the module returns (put, get, get_many, range, delete, put_many). Everything else goes through cffi.
 *
 * put_many takes lists and tuples of plain bytes: their bytes go from where they are into the log and the memtable, no Python object and no copy
 * in between. The tuples made of what was given hold them while the interpreter's lock is let go.
 *
 * Ownership: each function holds slow, after and owner, which keeps the keyspace alive. Threads: as the engine.
 * Invariants: no code of the interpreter runs while a look-up is solo; nothing blocks while its lock is held, but for a new log segment.
 */
#ifndef LSM_BUILTINS_H
#define LSM_BUILTINS_H

/* cdef:begin */
int lsm_install_builtins(void); /* puts bind into the module lsm._native; 0, or -1 with an exception printed */
/* cdef:end */
#endif
