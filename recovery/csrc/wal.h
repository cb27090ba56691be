/* wal.h: the write-ahead log.
 *
 *   segment NNNNNN.log = header, records, [end record], zeros up to the preallocated size
 *   header (32) = | "LWAL" | version u16 | sync mode u8 | 0 u8 | number u64 | salt u64 | preallocated 4 KiB pages u32 | crc u32 |
 *   record (32 + length) = | crc u32 | length u32 | type u8 | check u24 | log u32 | seq u64 | durable u64 | payload |
 *   end record: type 2, payload = | next segment's number u64, 0 after a clean close | length of this segment u64 |
 *   time mark: type 3, payload = | wall clock, ns since 1970 u64 |: the records behind it, up to the next, were made then; seq of the next one
 *   note: type 4, payload = what the owner of the log wants to remember at this place, opaque; seq of the record before
 *
 * Version 1 has types 1 and 2 alone; version 2, made when config.notes is set, all four. A mark stands before the first record of each
 * segment and of each millisecond; marks never go backwards, whatever the clock does.
 *
 * All little-endian. hsum = CRC32C(salt, number, offset of the record, record[4..32) with check = 0); check = hsum >> 8;
 * crc = masked CRC32C continuing hsum over the payload, stored last. So a record of another database, segment or place never
 * passes, and a length is trusted only after its check. durable = offset in this segment up to which the log (older segments
 * included) was known to be synced when the record was made; 0: nothing known. log = number, low 32 bits.
 *
 * Damage below a durable offset that a later record promises is corruption, and so is damage that no crash leaves behind (a
 * crash leaves lost 512-byte sectors, which read as zeros, and records without crc); else it is a torn tail.
 *
 * Ownership: the caller owns rec_wal and ends it with close(). Threads: append and rotate are serialised by the caller;
 * sync_to may be called by many threads at once with append running (leader syncs for the queue), prepare by any.
 * Errors: 0 or -errno. After any failed write, sync or roll-over the log is dead: every later call returns the same error,
 * nothing is retried.
 */
#ifndef REC_WAL_H
#define REC_WAL_H
#include "fs.h"

/* cdef:begin */
#define REC_WAL_ABI 3

enum rec_wal_type { REC_WAL_DATA = 1, REC_WAL_END = 2, REC_WAL_MARK = 3, REC_WAL_NOTE = 4 };

enum rec_sync_mode {
    REC_SYNC_NONE = 0, /* buffered in the process: a crash of the process may lose the tail */
    REC_SYNC_OS = 1, /* in the page cache when append returns: survives the death of the process */
    REC_SYNC_GROUP = 2, /* sync_to before acknowledging; one leader syncs for everybody waiting */
    REC_SYNC_EVERY = 3, /* append itself syncs */
    REC_SYNC_INTERVAL = 4 /* like OS, and synced when interval_ns have passed since the last sync */
};

enum rec_recovery_mode {
    REC_RECOVER_ABSOLUTE = 0, /* any damage or torn tail is an error */
    REC_RECOVER_TOLERATE_TAIL = 1, /* a torn tail of the last segment is cut, any other damage is an error */
    REC_RECOVER_POINT_IN_TIME = 2, /* stop at the first damage that no durable promise covers; else an error */
    REC_RECOVER_SKIP = 3 /* skip damaged records, report each */
};

typedef struct rec_slice {
    const void *data;
    size_t size;
} rec_slice;

typedef struct rec_wal_config {
    int sync_mode;
    uint64_t segment_bytes; /* preallocated size of a segment; a larger record gets a segment of its own size */
    uint64_t interval_ns;
    uint64_t salt; /* the database's id: records of another database never pass the checksum */
    int notes; /* 1: time marks, and notes are taken */
    uint64_t last_time; /* the last mark of this database, ns: earlier ones are not made */
    const uint64_t *clock; /* where the wall clock stands, ns (tests); NULL: the system's, coarse */
} rec_wal_config;

typedef struct rec_wal rec_wal;

typedef struct rec_wal_ops {
    uint32_t abi, size;
    const char *name;
    /* Creates dir/NNNNNN.log (it must not exist), durable in its directory before the first append returns. */
    int (*create)(rec_fs *fs, const char *dir, uint64_t number, const rec_wal_config *config, rec_wal **out);
    /* One record from n parts. lsn counts payload and header bytes over the whole life of the log, for sync_to.
     * 1 instead of 0 tells that the segment cannot take such a record: call rotate, then append again (nothing was written). */
    int (*append)(rec_wal *w, uint64_t seq, const rec_slice *parts, size_t n, uint64_t *lsn);
    int (*sync_to)(rec_wal *w, uint64_t lsn); /* all up to lsn durable on return; no-op work for NONE/OS unless forced by lsn=UINT64_MAX */
    /* Ends the segment (cut to its length, synced first unless the mode is NONE/OS) and starts segment number, able to hold need bytes. */
    int (*rotate)(rec_wal *w, uint64_t number, uint64_t need);
    uint64_t (*used)(rec_wal *w); /* bytes of the current segment in use */
    uint64_t (*number)(rec_wal *w); /* current segment */
    uint64_t (*written)(rec_wal *w); /* bytes written over the life of the log, headers included */
    uint64_t (*syncs)(rec_wal *w);
    int (*close)(rec_wal *w); /* cuts the segment to its length, syncs it, frees w whatever happens */
    int (*note)(rec_wal *w, const void *data, size_t n); /* as append; -EINVAL without config.notes */
    uint64_t (*time)(rec_wal *w); /* the last mark, 0 when there is none */
    /* Makes segment number ahead of its turn, so that a rotate to it finds the disk's work done. The log goes on when it cannot: an error
     * is this call's alone. close removes a segment that no rotate has taken; a crash leaves an empty one at the end, which replay skips. */
    int (*prepare)(rec_wal *w, uint64_t number);
    uint64_t (*prepared)(rec_wal *w); /* the number of the segment that waits, 0 when there is none */
} rec_wal_ops;

/* What replay of one segment found. */
typedef struct rec_replay_report {
    uint64_t records, bytes, dropped_records, dropped_bytes;
    uint64_t first_seq, last_seq;
    uint64_t end_offset; /* behind the last good record */
    uint64_t damage_offset; /* first damage, UINT64_MAX when none */
    int torn_tail; /* 1: damage that is a legal end after a crash */
    int reason; /* enum rec_damage */
    int ended; /* 1: an end record was found */
    uint64_t next; /* the segment it names; 0 after a clean close */
    uint64_t promised; /* largest durable offset that a good record names: > 0 promises every older segment too */
    uint64_t first_time, last_time; /* of its marks; 0: none */
} rec_replay_report;

enum rec_damage {
    REC_INTACT = 0,
    REC_BAD_HEADER = 1,
    REC_BAD_CRC = 2,
    REC_BAD_LENGTH = 3,
    REC_BAD_TYPE = 4,
    REC_FOREIGN = 5,
    REC_TRUNCATED = 6
};

/* Called for each good record in order, of any type but END; non-zero stops the replay with that value. */
typedef int (*rec_replay_fn)(void *arg, int type, uint64_t seq, const uint8_t *payload, size_t n);
/* cdef:end */
#endif
