/* builtins.h: one probe of one key as a function of the interpreter itself.
 *
 *    filter.may_contain(key) --> may_contain here: plain bytes or int --> hash --> ops->may_contain --> True / False
 *                                      |  anything else: the Python function given as `slow`
 *
 * A cffi call lets the interpreter's lock go and takes it again, and wants a frame around it: three times the work of a probe. So this
 * call is bound here: `bind_probe(address of the ops table, address of the hash function, address and length of the filter, slow, owner)`
 * of the module returns it. Batches go through cffi.
 *
 * Ownership: the function holds slow and owner, which keeps the filter's bytes and the table alive. Threads: the interpreter's lock is
 * held.
 */
#ifndef IDX_BUILTINS_H
#define IDX_BUILTINS_H

/* cdef:begin */
int idx_install_builtins(void); /* puts bind_probe into the module indexes._native; 0, or -1 with an exception printed */
/* cdef:end */
#endif
