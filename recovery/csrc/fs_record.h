/* fs_record.h: a file system that passes every call on and keeps a log of them, for crash states and order rules.
 *
 *     caller --> record(inner) --> inner
 *                   |
 *                   +--> entry* : | head 56 | path | other path | bytes written, or the text of a mark |
 *
 * Calls that change something are made one by one, so that the log has them in the order in which they took effect; reads are
 * logged after they were made. A store through a writable mapping is no call: writable maps are refused with -ENOTSUP, and callers
 * take their pwrite path. Read-only maps pass.
 *
 * Ownership: the inner file system must outlive the wrapper, which the caller destroys. *out is freed with rec_bridge_free.
 * Threads: as fs.h. Errors: as the inner call. When the log has no memory left, calls go on and take() returns -ENOMEM.
 */
#ifndef REC_FS_RECORD_H
#define REC_FS_RECORD_H
#include "fs.h"

/* cdef:begin */
enum rec_event_op { /* open: offset is the flags; append: offset is where it began; rename, link: other is the new name */
                    REC_EV_OPEN,
                    REC_EV_CLOSE,
                    REC_EV_APPEND,
                    REC_EV_PWRITE,
                    REC_EV_PREAD,
                    REC_EV_SYNC,
                    REC_EV_TRUNCATE,
                    REC_EV_ALLOCATE,
                    REC_EV_SIZE_OF,
                    REC_EV_MAP,
                    REC_EV_UNMAP,
                    REC_EV_RENAME,
                    REC_EV_LINK,
                    REC_EV_UNLINK,
                    REC_EV_MKDIR,
                    REC_EV_RMDIR,
                    REC_EV_STAT,
                    REC_EV_LIST,
                    REC_EV_SYNC_DIR,
                    REC_EV_LOCK,
                    REC_EV_MARK,
                    REC_EV_COUNT
};

typedef struct rec_event_head { /* in the machine's own byte order: the log never leaves the process */
    uint32_t op, thread; /* thread: from 1, in the order of their first call; who ended may share with who came later */
    int64_t result;
    uint64_t file; /* of this open: from 1; 0: no file */
    uint64_t offset, length;
    uint32_t path, other, data, unused; /* bytes that follow */
} rec_event_head;

rec_fs *rec_fs_record(rec_fs *inner); /* NULL: out of memory */
int rec_fs_record_mark(rec_fs *fs, const char *text); /* -EINVAL on a fs of another kind */
/* Takes the log from its beginning, or from where the last take ended. */
int rec_fs_record_take(rec_fs *fs, uint8_t **out, size_t *n);
/* cdef:end */
#endif
