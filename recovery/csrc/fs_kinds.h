/* fs_kinds.h: the file systems that recovery brings, and what only the memory and fault ones can do.
 *
 *     rec_fs_posix()      the real one
 *     rec_fs_memory()     inodes and directories in memory, each with what is pending and what is durable
 *     rec_fs_fault(inner) passes calls on, and fails those that were armed
 *
 * Ownership: the caller ends each with fs->ops->destroy(fs), after closing every file. A clone is independent of its
 * origin; the inner file system of a fault wrapper must outlive it. NULL = out of memory.
 * Threads: as fs.h. Cloning while other threads write takes a state between two calls.
 */
#ifndef REC_FS_KINDS_H
#define REC_FS_KINDS_H
#include "fs.h"

/* cdef:begin */
enum rec_crash_mode {
    REC_CRASH_PROCESS = 0, /* the process died: everything written is there (and what was unsynced still is) */
    REC_CRASH_POWER = 1, /* power loss: all unsynced data and directory entries are lost */
    REC_CRASH_RANDOM =
        2 /* power loss: each unsynced 512-byte block, file size and directory change survives by chance (a block may be torn between words) */
};

enum rec_fault_kind { /* in place of a negative errno */
                      REC_FAULT_SHORT = 1, /* append, pwrite: half is written, then -ENOSPC */
                      REC_FAULT_FLIP = 2, /* pread: one bit of what was read is flipped */
                      REC_FAULT_SHORT_READ = 3, /* pread: half of what was asked for, also where the file goes on */
                      REC_FAULT_LIE = 4, /* sync, sync_dir: 0, and nothing is made durable */
                      REC_FAULT_LATENCY = 5, /* any call: goes through after `amount` nanoseconds */
                      REC_FAULT_STUCK = 6 /* any call: goes through once the rules are forgotten */
};

rec_fs *rec_fs_posix(void);
rec_fs *rec_fs_memory(void);
/* The memory file system as it would be found after a crash; locks are gone. NULL when mem is of another kind. */
rec_fs *rec_fs_memory_clone(rec_fs *mem, uint64_t seed, int mode);
/* From now on its now_ns is this, until it is set again; 0: the system's clock, as at first. A clone goes on with it. -EINVAL on another kind. */
int rec_fs_memory_set_clock(rec_fs *mem, uint64_t ns);

rec_fs *rec_fs_fault(rec_fs *inner);
/* From now on the nth (from 1) call whose name (member name in rec_fs_ops) and path match the patterns of fnmatch(3)
 * fails with err: -errno or a rec_fault_kind; sticky: so do all that match behind it. A kind's rule matches only the calls it
 * can act on. amount: nanoseconds of LATENCY, else 0. A SHORT_READ breaks the promise of fs.h on purpose: callers know how many
 * bytes there are, and fewer are an error to them, never the end of the file.
 * unmap, stats, now_ns and destroy never fail. -EINVAL on a fs of another kind, a bad nth or err. */
int rec_fs_fault_arm(rec_fs *fs, const char *op, const char *path_glob, uint64_t nth, int err, int sticky, uint64_t amount);
int rec_fs_fault_disarm(rec_fs *fs); /* forgets every rule; calls that are stuck go on */
uint64_t rec_fs_fault_stuck(rec_fs *fs); /* calls that are stuck now */
/* Matching calls since the wrapper was made, failed ones included. */
uint64_t rec_fs_fault_calls(rec_fs *fs, const char *op, const char *path_glob);
/* cdef:end */
#endif
