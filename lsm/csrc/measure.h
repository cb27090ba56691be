/* measure.h: what a merge would leave, and how big its tables would be, by arithmetic on keys and lengths: no table is made, no value read.
 *
 *   stream:  operations 0, 1, ... (sequence number = operation + 1): rank of the key, kind, length of the value
 *   word  =  rank of the key << 32 | ~operation          words in ascending order are entries in the order of types.h
 *
 * Two twins in one: job.c (what is dropped, where outputs are cut) and builder.c (the bytes of a table without a codec). The simulator of
 * compaction policies runs on it; a test holds every figure against tables that were made.
 *
 * Ownership: everything given is borrowed for the call. Threads: pure functions of what they are given.
 * Errors: LSM_NOMEM; LSM_INVALID when more outputs are needed than there are rows; LSM_PLUGIN from a filter.
 * Invariants: ranks are below the stream's number of keys, keys ascend; no snapshot is held while the merge runs.
 */
#ifndef LSM_MEASURE_H
#define LSM_MEASURE_H
#include "lsm/csrc/memtable.h"
#include "lsm/csrc/table.h"

/* cdef:begin */
typedef struct lsm_stream {
    const uint8_t *keys; /* all distinct keys, ascending, packed */
    const uint64_t *key_at; /* key r is keys[key_at[r] .. key_at[r + 1]) */
    const uint32_t *ranks; /* of each operation; a range delete: its start */
    const uint32_t *ends; /* rank of the end of a range delete */
    const uint8_t *kinds; /* LSM_PUT, LSM_DELETE, LSM_RANGE_DELETE */
    const uint32_t *value_lens;
    const uint8_t *lasts; /* 1: the last operation of its record, after which a full memtable is sealed */
} lsm_stream;

typedef struct lsm_rank_range { /* [start, end) */
    uint32_t start, end;
    uint64_t seq;
} lsm_rank_range;

typedef struct lsm_measure_config {
    const lsm_stream *stream;
    const lsm_table_options *table; /* codec and range_filter are NULL */
    uint64_t output_bytes; /* as of lsm_job_config */
    uint32_t max_outputs;
    int bottom;
    const uint32_t *cuts; /* ranks, ascending */
    uint32_t n_cuts;
    const lsm_rank_range *ranges; /* by start, then newest first; those of one seq do not touch */
    uint32_t n_ranges;
} lsm_measure_config;

typedef struct lsm_measured { /* a table; its entries are [from, from + entries) of what is kept */
    uint64_t from, entries, deletions, range_deletes, file_size, min_seq, max_seq, oldest_tombstone;
    uint32_t smallest, largest; /* ranks */
    uint32_t largest_exclusive, span_start, span_end; /* ranks of its span; UINT32_MAX: open */
} lsm_measured;

typedef struct lsm_fill_limits {
    size_t budget; /* of a memtable: bytes, entries (0: any number), and its seed */
    uint64_t entries, seed;
} lsm_fill_limits;

typedef struct lsm_measure_result {
    uint64_t entries_out, shadowed, tombstones_dropped, range_covered;
    uint32_t n_outputs;
} lsm_measure_result;

/* Merges n words in order into kept (room for n) and rows (room for max_outputs). O(n + bytes of the keys). */
int lsm_measure(const lsm_measure_config *config, const uint64_t *words, uint64_t n, uint64_t *kept, lsm_measured *rows,
                lsm_measure_result *result);
/* The first operation behind those that a memtable takes from `from` on, at most `to`; *sealed says whether it was full by then. */
int lsm_measure_fill(const lsm_stream *stream, const lsm_memtable_ops *ops, const lsm_fill_limits *limits, uint64_t from, uint64_t to,
                     uint64_t *next, int *sealed);
/* cdef:end */
#endif
