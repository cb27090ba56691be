/* fs.h: the files ops table. Everything the engine does to disk goes through one of these.
 *
 *     engine, WAL, manifest (Python)  -->  rec_fs --ops-->  posix | memory | fault(inner) | yours
 *
 * Ownership: a rec_fs outlives every rec_file opened from it; close() frees the rec_file in every case, also
 * when it reports an error. A wrapper (fault) does not own its inner file system.
 * Threads: every call may come from any thread. Calls on one rec_file may run side by side, except that append,
 * pwrite, truncate and allocate on one file are serialised by the caller.
 * Errors: 0 or a count on success, -errno on failure; nothing is retried here but EINTR and short transfers.
 * Invariants: append and pwrite write all or fail (how much then reached the file is unknown);
 * pread is short only at end of file; a name is durable only after sync_dir of its directory.
 */
#ifndef REC_FS_H
#define REC_FS_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
#define REC_FS_ABI 1

enum rec_open_flags {
    REC_O_READ = 1,
    REC_O_WRITE = 2,
    REC_O_CREATE = 4, /* create when missing */
    REC_O_EXCL = 8, /* with CREATE: -EEXIST when present */
    REC_O_TRUNC = 16,
    REC_O_SALVAGE = 32 /* bytes that fail the file system's own check read as 0xff, not as -EBADMSG; for readers with checksums */
};

typedef struct rec_fs rec_fs;
typedef struct rec_file rec_file;
typedef int (*rec_name_fn)(void *arg, const char *name); /* non-zero ends the listing */

/* What the backend really did, for the ledger's conservation checks. Monotonic since creation. */
typedef struct rec_fs_stats {
    uint64_t opens, reads, read_bytes, writes, write_bytes, syncs, dir_syncs, renames, unlinks, maps, map_bytes;
} rec_fs_stats;

typedef struct rec_fs_ops {
    uint32_t abi; /* REC_FS_ABI */
    uint32_t size; /* sizeof(rec_fs_ops) as the implementer saw it */
    const char *name;
    int (*open)(rec_fs *fs, const char *path, int flags, rec_file **out);
    int (*close)(rec_file *f);
    int (*append)(rec_file *f, const void *data, size_t n); /* at the end of the file */
    int (*pwrite)(rec_file *f, const void *data, size_t n, uint64_t offset);
    int64_t (*pread)(rec_file *f, void *out, size_t n, uint64_t offset); /* bytes read */
    int (*sync)(rec_file *f); /* data and the size needed to read it back */
    int (*truncate)(rec_file *f, uint64_t size);
    int (*allocate)(rec_file *f, uint64_t size); /* reserve blocks and grow to size, zero filled; -ENOSPC here, not later */
    int (*size_of)(rec_file *f, uint64_t *out);
    /* Shared mapping of [offset, offset + n), offset a multiple of 4096. A store through a writable mapping is a write to the
     * file. -ENOTSUP where there is none: callers must have a pread/pwrite path. */
    int (*map)(rec_file *f, uint64_t offset, size_t n, int writable, void **out);
    int (*unmap)(rec_file *f, void *addr, size_t n);
    int (*rename)(rec_fs *fs, const char *from, const char *to); /* replaces the target atomically */
    int (*link)(rec_fs *fs, const char *from, const char *to); /* -EEXIST when the target exists */
    int (*unlink)(rec_fs *fs, const char *path);
    int (*mkdir)(rec_fs *fs, const char *path); /* -EEXIST when present; mode 0700 */
    int (*rmdir)(rec_fs *fs, const char *path);
    int (*stat)(rec_fs *fs, const char *path, uint64_t *size, int *is_dir); /* -ENOENT when missing; either out may be NULL */
    int (*list)(rec_fs *fs, const char *dir, rec_name_fn fn, void *arg); /* no "." and "..", any order */
    int (*sync_dir)(rec_fs *fs, const char *dir);
    /* Exclusive advisory lock that dies with the process. holder (text, may be "") is stored in the file; when somebody else
     * holds it: -EWOULDBLOCK, and the text found is copied to found (n bytes, NUL-terminated). close() releases it. */
    int (*lock)(rec_fs *fs, const char *path, const char *holder, char *found, size_t n, rec_file **out);
    void (*stats)(rec_fs *fs, rec_fs_stats *out);
    uint64_t (*now_ns)(rec_fs *fs); /* monotonic clock */
    void (*destroy)(rec_fs *fs);
} rec_fs_ops;

/* Implementations put these first in their own structs. */
struct rec_fs {
    const rec_fs_ops *ops;
};
struct rec_file {
    const rec_fs_ops *ops;
};
/* cdef:end */
#endif
