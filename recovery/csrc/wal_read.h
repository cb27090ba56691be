/* wal_read.h: replay of one log segment.
 *
 *     NNNNNN.log --> header --> record, record, ... --> end record | zeros | damage
 *                                                                             |
 *                       legal after a crash: a torn tail                   corruption: -EBADMSG
 *
 * Damage is corruption when a later good record promises it (durable), when no crash could leave it (see looks_torn in
 * wal_read.c), or when the mode says so. Otherwise it is a torn tail.
 *
 *                      clean    torn tail, nothing good behind   torn, good records behind   corruption
 *     ABSOLUTE         0        -EBADMSG                         -EBADMSG                    -EBADMSG
 *     TOLERATE_TAIL    0        0, cut                           -EBADMSG                    -EBADMSG
 *     POINT_IN_TIME    0        0, cut                           0, cut                      -EBADMSG
 *     SKIP             0        0, cut                           0, goes on behind it        0, goes on behind it
 *
 * Ownership: nothing is kept. Threads: any, one call per report. Memory: one window of 1 MiB or of the largest record.
 * Invariants: no length is believed before its check; every turn of every loop moves on; the work is bounded by a small
 * multiple of the file's size.
 */
#ifndef REC_WAL_READ_H
#define REC_WAL_READ_H
#include "wal.h"

/* cdef:begin */
/* Replays path (its name NNNNNN.log gives the number) through fn, with salt and fall-back sync mode of config. is_last: no
 * later segment holds a record, so that an end record may be missing. 0; a non-zero value of fn; -EBADMSG with the report
 * saying where and why (records before it were delivered: the caller drops them); or another -errno of reading. report->torn_tail
 * on a segment that is not the last: later segments must not be replayed, and one that promises (promised > 0) is corruption. */
int rec_wal_read(rec_fs *fs, const char *path, const rec_wal_config *config, int mode, int is_last, rec_replay_fn fn, void *arg,
                 rec_replay_report *report);
const rec_wal_ops *rec_wal_default(void);
/* Replay into one buffer of | seq u64 | length u32 | type u32 | payload |; freed with rec_bridge_free also after an error. */
int rec_wal_collect(rec_fs *fs, const char *path, const rec_wal_config *config, int mode, int is_last, uint8_t **out, size_t *n,
                    rec_replay_report *report);
/* cdef:end */
#endif
