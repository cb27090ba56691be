/* merge.h: many sorted runs into one order, and the executor of flushes and compactions.
 *
 *    inputs, newest first: [run: tables in key order | memtable] ...  --merge-->  drop what no snapshot can see  --cut-->  tables
 *
 * Ownership: a job borrows tables and memtables for its life (the caller holds references). Outputs stay on disk, named by number, until the caller
 * either publishes or unlinks them; on failure or cancel the job unlinks its own.
 * Threads: run is called by one thread without the GIL; cancel and progress by any other.
 * Invariants: entries in = entries out + dropped (by reason); an entry visible to a snapshot or to "now" keeps its visible version; a tombstone is dropped only where
 * no older run outside the inputs can hold its key (bottom == 1). All versions of one user key go to one output. A read error ends the job, it is never taken
 * for the end of an input.
 */
#ifndef LSM_MERGE_H
#define LSM_MERGE_H
#include "lsm/csrc/types.h"
#include "lsm/csrc/table.h"
#include "lsm/csrc/memtable.h"
#include "lsm/csrc/values.h"

/* cdef:begin */
typedef struct lsm_bucket lsm_bucket; /* token bucket: bytes a second */
lsm_bucket *lsm_bucket_new(uint64_t bytes_per_second, uint64_t burst); /* 0: unlimited */
void lsm_bucket_set(lsm_bucket *b, uint64_t bytes_per_second);
void lsm_bucket_free(lsm_bucket *b);

typedef struct lsm_job_input {
    lsm_table *const *tables; /* in key order, not overlapping */
    uint32_t n_tables;
    int level; /* for the ledger */
    const struct lsm_mem *memtable; /* instead of tables */
} lsm_job_input;

typedef struct lsm_job_config {
    uint32_t abi, size;
    const lsm_env *env;
    const lsm_table_options *table;
    const char *dir; /* outputs are dir/NNNNNN.sst */
    uint64_t first_number; /* outputs take first_number, first_number + 1, ... */
    uint32_t max_outputs; /* numbers reserved; more outputs than that: the last one grows */
    uint64_t output_bytes; /* cut after this many bytes; 0: never */
    const uint8_t *const *cuts; /* user keys: a new output begins at each; sorted; n_cuts */
    const uint32_t *cut_lens;
    uint32_t n_cuts;
    const uint8_t *begin, *end; /* user-key bounds [begin, end) of what is merged; NULL: open */
    uint32_t begin_len, end_len;
    const uint64_t *snapshots; /* ascending sequence numbers that readers hold; "now" is implied */
    uint32_t n_snapshots;
    int bottom; /* 1: nothing older than the inputs exists for the merged range */
    int level, cause; /* of the outputs, for the ledger */
    lsm_bucket *bucket; /* may be NULL */
    lsm_value_writer
        *values; /* borrowed: takes the values of a flush that are long enough, and those that are moved; NULL: pointers are copied */
    lsm_value_file *const *moved; /* value files, by number: what pointers into them lead to is moved to `values`; n_moved */
    uint32_t n_moved;
} lsm_job_config;

/* Entries: point entries inside the bounds. bytes_read: file sizes of the input tables; bytes_written: of the outputs. */
typedef struct lsm_job_result {
    uint64_t entries_in, entries_out, shadowed, tombstones_dropped, range_covered, bytes_read, bytes_written;
    uint64_t values_separated, values_moved; /* entries */
    uint32_t n_outputs;
} lsm_job_result;

typedef struct lsm_job lsm_job;
lsm_job *lsm_job_new(const lsm_job_config *config, const lsm_job_input *inputs, uint32_t n_inputs);
int lsm_job_run(lsm_job *j, lsm_job_result *result, lsm_error *error);
const lsm_table_props *lsm_job_output(lsm_job *j, uint32_t i); /* after a successful run */
void lsm_job_cancel(lsm_job *j); /* run returns LSM_CANCELLED soon */
void lsm_job_pause(lsm_job *j, int on); /* run stands still until told to go on, or cancelled; from any thread */
double lsm_job_progress(lsm_job *j); /* 0..1, by input entries */
void lsm_job_free(lsm_job *j);

/* Merging iterator over n children (newest first) in the order of types.h; equal (key, seq, kind) come newest child first. Takes ownership of the children
 * (not of the array), also when it returns NULL: out of memory. */
lsm_iter *lsm_merge_iter(lsm_iter *const *children, size_t n, lsm_error *error);
/* Waits, not beyond the moment that *stop is raised; returns the ns that it had to wait. b and stop may be NULL. */
uint64_t lsm_bucket_take(lsm_bucket *b, uint64_t bytes, const int *stop);
/* cdef:end */

/* Iterator over the tables of one sorted run, opened one at a time. Holds references. */
lsm_iter *lsm_run_iter(lsm_table *const *tables, size_t n, int level, int cause, int fill_cache, size_t readahead, lsm_error *error);
/* The same as lsm_table_iter_block, of a run too. */
struct lsm_block_iter *lsm_iter_block(lsm_iter *it);
/* The same for who wants entries of the span only: tables whose range filter denies the span, or what is left of it behind a seek, are not
 * opened. It may end anywhere outside of the span. The span's bytes outlive it. */
lsm_iter *lsm_run_iter_within(lsm_table *const *tables, size_t n, int level, int cause, int fill_cache, size_t readahead,
                              const lsm_bounds *span, lsm_error *error);
#endif
