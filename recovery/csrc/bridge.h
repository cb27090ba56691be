/* bridge.h: calls with callbacks, turned into calls that return one buffer, for Python.
 *
 *     list(fn)  -->  "name\0name\0..."
 *
 * Ownership: *out is malloc'd and freed by the caller with rec_bridge_free; untouched on error.
 * Threads: as the calls behind them. Errors: -errno.
 */
#ifndef REC_BRIDGE_H
#define REC_BRIDGE_H
#include "fs.h"

/* cdef:begin */
int rec_bridge_list(rec_fs *fs, const char *dir, uint8_t **out, size_t *n);
void rec_bridge_free(uint8_t *p);
/* cdef:end */
/* A growing byte string; failed is sticky. */
typedef struct rec_bytes {
    uint8_t *p;
    size_t n, cap;
    int failed;
} rec_bytes;
int rec_bytes_add(rec_bytes *b, const void *data, size_t n);
#endif
