/* watch.h: which calls to the disk are under way, and since when, so that one that hangs is noticed while it hangs.
 *
 *    sync of the log, new segment, writes and sync of a table --begin--> slot {since, what} --end--> free          a thread in Python looks
 *
 * Only calls that are slow anyway are marked: no read, and no write of the log through its mapping.
 *
 * Ownership: lsm_watch_new to lsm_watch_free, after all who mark are done. Threads: any, without locks. Errors: none; when all slots are taken, a
 * call is not watched. Invariants: a slot belongs to one call from begin to end.
 */
#ifndef LSM_WATCH_H
#define LSM_WATCH_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
enum lsm_watched {
    LSM_W_LOG_SYNC = 0,
    LSM_W_LOG_SEGMENT = 1,
    LSM_W_TABLE_WRITE = 2,
    LSM_W_TABLE_SYNC = 3,
    LSM_W_MANIFEST = 4,
    LSM_W_KINDS = 5
};
typedef struct lsm_watch lsm_watch;
lsm_watch *lsm_watch_new(void); /* NULL: out of memory */
void lsm_watch_free(lsm_watch *w);
int lsm_watch_begin(lsm_watch *w, int what); /* a slot for end, or -1; w may be NULL */
void lsm_watch_end(lsm_watch *w, int slot);
/* Nanoseconds for which the call that began first of all that are under way has been, and what it is; 0: there is none. */
uint64_t lsm_watch_oldest(lsm_watch *w, int *what);
/* cdef:end */
#endif
