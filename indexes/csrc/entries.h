/* entries.h: streams of index entries (key bytes, row id): what segments are built from, merged by and scanned as.
 *
 *    arrays ──sort──┐
 *    memory ────────┤  cursor: next entry in order      ──> a writer (ordered.h, hashed.h)
 *    segment ───────┤                                   ──> a batch of arrays for Python
 *    cursors ─merge─┘  (entries of hidden rows left out, equal ones once)
 *
 * The order is by (rank, key, row): in ordered indexes the rank is the key's first 8 bytes as a big-endian number, which never contradicts
 * the order of the keys; in hashed ones it is XXH3-64 of the key.
 * Ownership: a cursor reads what it was made over, which must outlive it; a merge owns its parts. The key of an entry is valid until the
 * cursor's next step. Threads: a cursor belongs to one. Errors: below.
 */
#ifndef IDX_ENTRIES_H
#define IDX_ENTRIES_H
#include "indexes/csrc/rowset.h"

/* cdef:begin */
#define IDX_LONGEST_KEY 65535
enum { IDX_MEMORY = -1, IDX_MALFORMED = -2, IDX_NO_ROW = -3, IDX_LOOK_ON = -4 };

typedef struct idx_cursor idx_cursor;
typedef struct idx_buffer idx_buffer;

/* Bytes that a writer made. */
const uint8_t *idx_buffer_data(const idx_buffer *buffer);
size_t idx_buffer_size(const idx_buffer *buffer);
void idx_buffer_free(idx_buffer *buffer);

/* Sorted copies of n entries; key i is bytes[offsets[i] .. offsets[i + 1]). NULL: out of memory. */
idx_cursor *idx_cursor_arrays(const uint8_t *bytes, const uint64_t *offsets, const uint64_t *rows, size_t n, int hashed);
/* hide[i]: rows whose entries in parts[i] are void, or NULL. The parts belong to the merge, also when it fails. */
idx_cursor *idx_cursor_merge(idx_cursor **parts, const idx_rowset *const *hide, size_t n);
void idx_cursor_free(idx_cursor *cursor);
/* The next entries, at most n of them and as many as have room for their keys: offsets n + 1, rows n. How many; 0: the end, or no room for the
 * next key, which then takes *need bytes; < 0: an error. */
int64_t idx_cursor_batch(idx_cursor *cursor, size_t n, uint8_t *keys, size_t room, uint64_t *offsets, uint64_t *rows, size_t *need);
/* cdef:end */

typedef struct {
    uint64_t rank, row;
    const uint8_t *key;
    uint32_t size;
} entry;

struct idx_cursor {
    int (*next)(idx_cursor *cursor, entry *out); /* 1: an entry; 0: the end; < 0: an error */
    void (*close)(idx_cursor *cursor); /* frees all */
    entry held; /* of idx_cursor_batch: read, not yet given */
    int holds;
};

struct idx_buffer {
    uint8_t *data;
    size_t size, room;
};

int entry_order(const entry *a, const entry *b); /* < 0, 0, > 0 */
int entry_key_order(const entry *a, const entry *b); /* the row does not matter */
uint64_t key_rank(const uint8_t *key, size_t n, int hashed);
/* Room for more bytes at the end: where, or NULL. */
uint8_t *buffer_more(idx_buffer *buffer, size_t more);
int buffer_put(idx_buffer *buffer, const void *bytes, size_t n);
int buffer_put64(idx_buffer *buffer, uint64_t v);
#endif
