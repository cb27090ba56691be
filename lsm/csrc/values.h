/* values.h: value files: long values that are kept apart from their keys, so that merging keys does not copy them.
 *
 *    table entry (key, seq, VALUE_POINTER) --pointer--> value file: record* | footer          flush separates, collection moves, merging passes by
 *
 *   record  = masked crc u32 | key length u32 | value length u32 | sequence u64 | key | value       crc over the rest, seeded as that of a block
 *   footer  = "LSMVALUE" | version u32 | keyspace u32 | database u64 | number u64 | records u64 | least and largest sequence u64 each |
 *             heat u32 | chain u32 | masked crc u32                                    chain: crc over the stored checksums of all records
 *   pointer = file u64 | offset u64 | value length u32 | masked crc u32                what a table has in the place of the value
 *
 * After WiscKey (Lu et al., FAST 2016); separated at flush and immutable as in Titan and BlobDB, so that the log and its promises stay as they are.
 *
 * Ownership: a value file is reference-counted; a version holds those that its tables point into. The writer owns the files that it makes until
 * finish; after that they are the caller's, to be published or unlinked. Threads: a value file may be read by any number of threads; a writer
 * belongs to one. A heat sketch belongs to the writers of one keyspace, one after the other or side by side: its counts are estimates.
 * Errors: LSM_CORRUPT with path and offset; a pointer that does not lead to the very record it was made of is corruption.
 * Invariants: every record is verified before use, also in its key and sequence number; lengths are checked against the file before anything
 * is allocated; a file is synced before its numbers are given out.
 */
#ifndef LSM_VALUES_H
#define LSM_VALUES_H
#include "lsm/csrc/table.h"

/* cdef:begin */
#define LSM_POINTER 24

/* Facts of a value file. heat: 0 not told apart, 1 hot, 2 cold. bytes: of all records. */
typedef struct lsm_value_props {
    uint64_t number, file_size, records, bytes, min_seq, max_seq;
    uint32_t keyspace_id, footer_crc, heat;
} lsm_value_props;

typedef struct lsm_value_file lsm_value_file;
/* Opens and verifies the footer. expect_size and expect_footer_crc come from the manifest (0: unknown). */
int lsm_value_file_open(const lsm_env *env, const char *path, uint64_t number, uint64_t expect_size, uint32_t expect_footer_crc,
                        lsm_value_file **out, lsm_error *error);
void lsm_value_file_ref(lsm_value_file *f);
void lsm_value_file_unref(lsm_value_file *f);
const lsm_value_props *lsm_value_file_properties(const lsm_value_file *f);
/* As lsm_table_damage. */
uint64_t lsm_value_file_damage(const lsm_value_file *f);
void lsm_value_file_forget_damage(lsm_value_file *f);
/* Reads every record past the cache and checks that all bytes of the file are accounted for. bucket and stop as of lsm_table_verify. */
int lsm_value_file_verify(lsm_value_file *f, struct lsm_bucket *bucket, const int *stop, lsm_error *error);
/* Whether every pointer of a table leads to its record, whole, in one of the files, which are sorted by number. LSM_CORRUPT for the first
 * that does not. */
int lsm_table_check_values(lsm_table *t, lsm_value_file *const *files, uint32_t n, lsm_error *error);
/* The value that a pointer of (key, seq) leads to, past the cache; it lives until the pin is released. LSM_CORRUPT when it is not there, whole. */
int lsm_value_file_read(lsm_value_file *f, const uint8_t *key, size_t n, uint64_t seq, const uint8_t *pointer, int cause, lsm_pin *pin,
                        const uint8_t **value, uint64_t *len, lsm_error *error);

/* How often keys were written of late, by estimate: a count-min sketch (Cormode and Muthukrishnan 2005) whose counts are halved once a window. */
typedef struct lsm_heat lsm_heat;
lsm_heat *lsm_heat_new(uint32_t window); /* writes; NULL: out of memory */
void lsm_heat_free(lsm_heat *h);
void lsm_heat_touch(lsm_heat *h, const uint8_t *key, size_t n);
uint32_t lsm_heat_of(const lsm_heat *h, const uint8_t *key, size_t n);

typedef struct lsm_value_options {
    uint32_t abi, size;
    const char *dir; /* files are dir/NNNNNN.vlog */
    uint64_t first_number; /* they take first_number, first_number + 1, ... */
    uint32_t max_files; /* numbers reserved: more than that, the last ones grow */
    uint32_t min_bytes; /* values shorter than this stay with their keys */
    uint64_t file_bytes; /* a new file is begun after this many */
    uint32_t keyspace_id;
    int cause; /* for the ledger */
    lsm_heat *heat; /* borrowed; NULL: all values go to the same files */
    uint32_t hot; /* writes in the window from which on a key is hot */
} lsm_value_options;
typedef struct lsm_value_writer lsm_value_writer;
int lsm_value_writer_new(const lsm_env *env, const lsm_value_options *options, lsm_value_writer **out,
                         lsm_error *error); /* makes no file */
int lsm_value_writer_add(lsm_value_writer *w, const lsm_entry *e, uint8_t *pointer, lsm_error *error); /* pointer: LSM_POINTER bytes */
uint64_t lsm_value_writer_bytes(const lsm_value_writer *w); /* of all files so far */
uint32_t lsm_value_writer_files(const lsm_value_writer *w, const lsm_value_props **out); /* how many; all facts are there after finish */
int lsm_value_writer_finish(lsm_value_writer *w, lsm_error *error); /* writes the rest and syncs; on an error the files are gone */
void lsm_value_writer_free(lsm_value_writer *w); /* unlinks what was not finished */
/* cdef:end */

typedef struct lsm_pointer {
    uint64_t file, offset;
    uint32_t length, crc;
} lsm_pointer;

#define LSM_VALUE_HEAD 20 /* of a record, before its key */
static inline uint64_t lsm_value_size(uint64_t key_len, uint64_t length) { return LSM_VALUE_HEAD + key_len + length; }
void lsm_pointer_decode(const uint8_t in[LSM_POINTER], lsm_pointer *p);

/* How much of which value files a table points to: one row a file, by number. */
typedef struct lsm_value_refs {
    lsm_value_ref *rows;
    uint32_t n, cap, last;
} lsm_value_refs;
int lsm_value_refs_add(lsm_value_refs *r, const lsm_entry *e); /* an entry with a pointer. LSM_OK, LSM_NOMEM, LSM_CORRUPT: it is none */

/* The one of the files, sorted by number, that a pointer leads into; NULL: none. */
lsm_value_file *lsm_value_find(lsm_value_file *const *files, uint32_t n, const uint8_t *pointer);
/* Puts the value in the place of an entry's pointer: files are sorted by number. The pin then holds the value. cache 0: read from the file, keep
 * nothing. by may be NULL. */
int lsm_value_fetch(lsm_value_file *const *files, uint32_t n, lsm_entry *e, lsm_pin *pin, int cause, int cache, lsm_reader *by,
                    lsm_error *error);
uint32_t lsm_value_file_publish(lsm_value_file *f, int delta); /* as lsm_table_publish */
int lsm_value_writer_wants(const lsm_value_writer *w, const lsm_entry *e); /* whether its value is to be kept apart */
void lsm_value_writer_touch(lsm_value_writer *w, const lsm_entry *e); /* an entry went by: its key is that much hotter */
#endif
