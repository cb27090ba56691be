/* fs_device.h: a file system on a simulated device, with a clock that only moves when the device works or it is told to.
 *
 *     caller --> device(inner) --> inner            every call is made at once, and is charged:
 *                   |
 *                   +--> clock += seek (if it does not go on where the last request ended)
 *                               + latency x rounds, rounds = ceil(ceil(n / unit) / depth)
 *                               + n / bandwidth
 *
 * One request is at work at a time, of which up to `depth` parts of at most `unit` bytes go side by side. Reads and writes have a
 * latency and a bandwidth each. A write is charged as it is made, a sync with its own latency: there is no cache of the operating
 * system, as with O_DIRECT. A mapping for reading is charged as a read of all of it; one for writing is refused with -ENOTSUP, so that
 * callers write by calls. Opening, closing and names cost `meta` each. Work that costs no input or output takes no time.
 *
 * Ownership: the inner file system must outlive the wrapper, which the caller destroys.
 * Threads: any; charges are added under a lock. The clock is the same again only when the calls come in the same order: one thread.
 * Errors: as the inner call, which is charged also when it fails.
 * Invariant: the clock never goes back.
 */
#ifndef REC_FS_DEVICE_H
#define REC_FS_DEVICE_H
#include "fs.h"

/* cdef:begin */
typedef struct rec_device_profile {
    uint64_t seek_ns, read_ns, write_ns, sync_ns, meta_ns;
    uint64_t read_bytes_per_s, write_bytes_per_s; /* from 1 */
    uint64_t depth, unit; /* from 1 */
} rec_device_profile;

typedef struct rec_device_stats { /* monotonic */
    uint64_t reads, read_bytes, writes, write_bytes, syncs, seeks, metas;
    uint64_t read_ns, write_ns, sync_ns, meta_ns; /* seeks are in what they were for */
} rec_device_stats;

rec_fs *rec_fs_device(rec_fs *inner, const rec_device_profile *p); /* NULL: out of memory, or a profile that is not allowed */
/* Moves the clock forward to `ns`, or not at all when it is later; -EINVAL on a fs of another kind. */
int rec_fs_device_advance(rec_fs *fs, uint64_t ns);
int rec_fs_device_stats(rec_fs *fs, rec_device_stats *out);
/* cdef:end */
#endif
