/* typed.h: typed values as bytes, as functions of the interpreter itself: order-preserving keys (keys.c) and rows of named columns (record.c).
 *
 *    keys.encode("user", 7) --> key_encode here --> bytes          one pass over the objects, no code of Python in between
 *                                |  a part out of the ordinary, or wrong: the same function in Python, given as `slow`, does all of it
 *
 * A call by cffi would have to be given bytes already. What the interpreter's own types hold is read here by its stable API; the Python twins (lsm/keys.py,
 * lsm/secondary/record_twin.py) are the specification, do what is rare (ints of more than 64 bits, subclasses), and raise every error.
 *
 * Ownership: each function holds the objects that it was bound to. Threads: the interpreter's lock is held throughout.
 * Invariants: no code of Python runs while bytes are read off an object that somebody could change; bytes from outside are checked before use.
 */
#ifndef LSM_TYPED_H
#define LSM_TYPED_H

/* cdef:begin */
int lsm_install_typed(void); /* puts bind_keys and bind_records into the module lsm._native; 0, or -1 with an exception printed */
/* cdef:end */
#endif
