/* table.h: sorted string tables: an immutable file of entries in order, with index, filter and properties.
 *
 *   [data block]* [index block | index partitions, top] [filter] [range filter] [range tombstones] [properties] [footer]
 *   every block is followed by a trailer | codec id u8 | masked crc32c u32 |, the crc seeded with database id, file number and offset,
 *   so that a swapped, foreign or misdirected block never passes. The footer has its own crc, names the version of the format, the file number and the database id.
 *   Grammar of each block at the top of its .c file; docs/formats.md has it in prose.
 *
 * Ownership: lsm_table is reference-counted (ref, unref); an iterator and a pin hold a reference to what they show.
 * The builder writes through rec_fs and owns the half-written file until finish or abandon.
 * Threads: a table may be read by any number of threads; a builder belongs to one.
 * Invariants: every byte read is verified before use (a block once per load; a mapped block once per open table); lengths from the file
 * are checked against what remains before anything is allocated; nothing that is damaged is ever returned as an entry.
 */
#ifndef LSM_TABLE_H
#define LSM_TABLE_H
#include "lsm/csrc/types.h"
#include "lsm/csrc/ledger.h"
#include "lsm/csrc/cache.h"
#include "lsm/csrc/codec.h"
#include "lsm/csrc/tombs.h"
#include "lsm/csrc/watch.h"
#include "recovery/csrc/fs.h"
#include "indexes/csrc/filter.h"
#include "indexes/csrc/range_filter.h"
#include "indexes/csrc/search.h"

/* cdef:begin */
enum lsm_index_kind { LSM_INDEX_FULL = 0, LSM_INDEX_TWO_LEVEL = 1 };
enum lsm_read_mode { LSM_READ_BUFFERED = 0, LSM_READ_MAPPED = 1 };

/* What everybody who touches tables shares; outlives them. All pointers borrowed. */
typedef struct lsm_env {
    uint32_t abi, size;
    rec_fs *fs;
    uint32_t (*crc32c)(uint32_t crc, const void *data, size_t n);
    lsm_cache *cache; /* NULL: no block cache */
    lsm_ledger *ledger;
    uint64_t database_id;
    const lsm_codec *const *codecs; /* those that reading may need, by lsm_codec.id; n_codecs of them */
    uint32_t n_codecs;
    const idx_filter_ops *const *filters; /* found by name at open */
    uint32_t n_filters;
    lsm_cache *rows; /* NULL: no row cache */
    const idx_range_ops *const *range_filters; /* likewise */
    uint32_t n_range_filters;
    lsm_watch *watch; /* NULL: nobody watches */
    uint32_t max_block, max_ratio; /* of a compressed block: bytes it may hold, and times the bytes stored; 0: what the format allows */
} lsm_env;

typedef struct lsm_table_options {
    uint32_t abi, size;
    uint32_t block_size; /* target bytes of an uncompressed data block; default 4096 */
    uint32_t restart_interval; /* 4 with a hash index, 16 without one, are good */
    int hash_index; /* 1: hash index of keys inside each data block */
    double hash_util; /* entries per bucket of it; default 0.75 */
    int index_kind; /* enum lsm_index_kind */
    const lsm_codec *codec; /* NULL: none */
    int codec_level;
    const idx_filter_ops *filter; /* NULL: none */
    double bits_per_key;
    const idx_search_ops *search; /* how an opened table searches its index */
    int read_mode; /* enum lsm_read_mode */
    const idx_range_ops *range_filter; /* NULL: none */
    const char *range_params; /* what it is built with; NULL: its defaults */
    const char *keyspace; /* name of the keyspace, at most 64 bytes, for a repair that has no manifest; NULL: not noted */
    uint32_t keyspace_id;
} lsm_table_options;

/* How many of a table's entries point into a value file, and the bytes of their records there. */
typedef struct lsm_value_ref {
    uint64_t file, records, bytes;
} lsm_value_ref;

/* Facts of a finished table, stored in its properties block and given to the manifest. Keys and values are malloc'ed: lsm_props_clear. */
typedef struct lsm_table_props {
    uint64_t number, file_size;
    uint64_t entries, deletions, range_deletes, data_blocks;
    uint64_t raw_key_bytes, raw_value_bytes, data_bytes, index_bytes, filter_bytes;
    uint64_t min_seq, max_seq;
    uint64_t oldest_tombstone; /* its sequence number; 0: none, or not known: the file does not have it */
    uint32_t footer_crc; /* crc of the footer, which chains to every block: names this very file */
    uint8_t *smallest, *largest; /* user keys; range tombstones count: largest may be an exclusive end, then largest_exclusive is 1 */
    uint32_t smallest_len, largest_len;
    int largest_exclusive;
    double bits_per_key;
    char filter_name[32], codec_name[32];
    uint64_t range_filter_offset, range_filter_size; /* size 0: it has none */
    char range_filter_name[32];
    char keyspace[65]; /* "": not noted */
    uint32_t keyspace_id;
    lsm_value_ref *values; /* by file */
    uint32_t n_values;
} lsm_table_props;

typedef struct lsm_table lsm_table;
void lsm_props_clear(lsm_table_props *p);
/* Opens and verifies footer, properties, index, filter and tombstones. expect_size and expect_footer_crc come from the manifest (0: unknown). */
int lsm_table_open(const lsm_env *env, const lsm_table_options *options, const char *path, uint64_t number, uint64_t expect_size,
                   uint32_t expect_footer_crc, lsm_table **out, lsm_error *error);
void lsm_table_ref(lsm_table *t);
void lsm_table_unref(lsm_table *t);
const lsm_table_props *lsm_table_properties(const lsm_table *t);
void lsm_table_count_reads(lsm_table *t, int on); /* off when it is opened */
uint64_t lsm_table_reads(const lsm_table *t); /* look-ups that its filter let through and scans that reached it, while they were counted */
/* 1 + the first place where a read found wrong bytes since the table was opened or forget; 0: nowhere. */
uint64_t lsm_table_damage(const lsm_table *t);
void lsm_table_forget_damage(lsm_table *t);
size_t lsm_table_memory(const lsm_table *t); /* bytes held outside the cache: index, filter, tombstones */
/* Reads every block past the cache, checks checksums, order, filter, properties and that all bytes of the file are accounted for. bucket (may be
 * NULL) limits the bytes a second; LSM_CANCELLED soon after *stop is set from another thread (stop may be NULL). */
struct lsm_bucket;
int lsm_table_verify(lsm_table *t, struct lsm_bucket *bucket, const int *stop, lsm_error *error);
/* Iterator over all entries; level and cause are for the ledger. fill_cache 0: blocks read do not enter the cache. readahead: bytes fetched at once, 0 = a block. */
lsm_iter *lsm_table_iter(lsm_table *t, int level, int cause, int fill_cache, size_t readahead, lsm_error *error);
/* The block in which an iterator of a table stands; NULL when it is of something else. Who steps it asks the iterator for nothing but the
 * next move, which goes on from there. */
struct lsm_block_iter;
struct lsm_block_iter *lsm_table_iter_block(lsm_iter *it);

/* Holds what an entry points into. Release exactly once; a zeroed pin is empty. */
typedef struct lsm_pin {
    lsm_block *block;
} lsm_pin;

/* Newest entry of key with seq <= snapshot: LSM_OK, LSM_NOT_FOUND or an error. hash = filter hash of key (of this table's filter);
 * the filter is asked first. Point entries only: range tombstones are in lsm_table_tombs. */
int lsm_table_get(lsm_table *t, const uint8_t *key, size_t n, uint64_t hash, uint64_t snapshot, int level, lsm_entry *out, lsm_pin *pin,
                  lsm_error *error);
const lsm_tombs *lsm_table_tombs(const lsm_table *t); /* NULL when it has none */
const idx_filter_ops *lsm_table_filter(const lsm_table *t);

typedef struct lsm_builder lsm_builder;
int lsm_builder_new(const lsm_env *env, const lsm_table_options *options, const char *path, uint64_t number, int level, int cause,
                    lsm_builder **out, lsm_error *error);
int lsm_builder_add(lsm_builder *b, const lsm_entry *e, lsm_error *error); /* in order; LSM_INVALID otherwise */
int lsm_builder_add_range(lsm_builder *b, const lsm_range *r, lsm_error *error);
uint64_t lsm_builder_size(const lsm_builder *b); /* bytes so far, open block included */
uint64_t lsm_builder_entries(const lsm_builder *b);
int lsm_builder_finish(lsm_builder *b, lsm_table_props *props,
                       lsm_error *error); /* writes the rest and syncs the file; frees b in every case */
void lsm_builder_abandon(lsm_builder *b); /* unlinks the file and frees b */
/* cdef:end */

/* The two halves of a get, so that a batch of look-ups can ask all filters before it reads any block. by: see reader.h, may be NULL. */
int lsm_table_may_contain(lsm_table *t, uint64_t hash, int level, const lsm_reader *by);
/* The same of n hashes at once: out[i] is 1 or 0. */
void lsm_table_may_contain_many(lsm_table *t, const uint64_t *hashes, uint32_t n, uint8_t *out, int level, const lsm_reader *by);
int lsm_table_get_unfiltered(lsm_table *t, const uint8_t *key, size_t n, uint64_t snapshot, int level, lsm_reader *by, lsm_entry *out,
                             lsm_pin *pin, lsm_error *error);
/* The steps of a get in a batch, so that the memory that one look-up waits for is fetched while others go on: aim finds the block (or says
 * LSM_NO_ORDINAL) and asks for its cell, near asks for the block, hold brings it in and asks for the entry in it, get_aimed looks into it. */
#define LSM_NO_ORDINAL UINT32_MAX
uint32_t lsm_table_aim(const lsm_table *t, const uint8_t *key, size_t n);
void lsm_table_near(const lsm_table *t, uint32_t ordinal);
typedef struct lsm_held { /* a block between the steps; whoever holds it gives it to get_aimed, or unpins it */
    struct lsm_block_view {
        const uint8_t *data; /* NULL: nothing is held */
        uint32_t limit; /* end of the entries */
        uint32_t n_restarts, n_buckets;
    } view;
    uint32_t aim; /* where the key is looked for in it (block.h) */
    lsm_pin pin; /* empty when the block is lent to the reader */
} lsm_held;
int lsm_table_hold(lsm_table *t, uint32_t ordinal, const uint8_t *key, size_t n, int level, lsm_reader *by, lsm_held *out,
                   lsm_error *error);
/* held: as hold made it, taken over in every case; NULL: nothing was. */
int lsm_table_get_aimed(lsm_table *t, uint32_t ordinal, lsm_held *held, const uint8_t *key, size_t n, uint64_t snapshot, int level,
                        lsm_reader *by, lsm_entry *out, lsm_pin *pin, lsm_error *error);
/* Whether a key of [lower, upper) may be in the table: its range filter, which it must have, is asked, and that is counted. */
typedef struct lsm_bounds {
    const uint8_t *lower, *upper;
    size_t lower_len, upper_len;
} lsm_bounds;
int lsm_table_has_range_filter(const lsm_table *t);
int lsm_table_may_hold(lsm_table *t, const lsm_bounds *s, int level, int cause);
void lsm_table_held_none(lsm_table *t); /* it said maybe, and there was none */
/* How many published versions hold the table: count up or down, the new count is returned. */
uint32_t lsm_table_publish(lsm_table *t, int delta);
static inline void lsm_unpin(lsm_pin *p) {
    if (p->block) lsm_block_release(p->block);
    p->block = NULL;
}
#endif
