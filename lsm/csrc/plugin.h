/* plugin.h: loading a component that a user compiled: a shared library with `const void *lsmlab_component(void)`.
 *
 * Ownership: the library stays loaded until lsm_plugin_close. Threads: any. The caller checks abi and size of the table it gets.
 */
#ifndef LSM_PLUGIN_H
#define LSM_PLUGIN_H
#include <stddef.h>

/* cdef:begin */
/* The ops table that the library's lsmlab_component returns; NULL with the reason in why. */
const void *lsm_plugin_open(const char *path, void **handle, char *why, size_t n);
void lsm_plugin_close(void *handle);
/* cdef:end */
#endif
