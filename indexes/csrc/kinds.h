/* kinds.h: the filters and searches that this package ships, by name, and the batch hashing that Python needs.
 *
 * Ownership: the tables are constants of the extension and live as long as it is loaded. Threads: pure.
 */
#ifndef IDX_KINDS_H
#define IDX_KINDS_H
#include "indexes/csrc/filter.h"
#include "indexes/csrc/search.h"

/* cdef:begin */
const idx_filter_ops *idx_filter_find(const char *name); /* "bloom", "blocked_bloom"; NULL: unknown */
const idx_search_ops *idx_search_find(const char *name); /* "fence", "binary", "learned"; NULL: unknown */
/* out[i] = ops->hash of bytes[offsets[i] .. offsets[i+1]); n + 1 offsets */
void idx_hash_keys(const idx_filter_ops *ops, const uint8_t *bytes, const uint64_t *offsets, size_t n, uint64_t *out);
void idx_hash_rows(const idx_filter_ops *ops, const uint8_t *bytes, size_t width, size_t n, uint64_t *out);
/* out[i] = find of key i; keys packed as above */
void idx_search_find_many(const idx_search_ops *ops, const void *search, const uint8_t *bytes, const uint64_t *offsets, size_t n,
                          uint32_t *out);
/* cdef:end */

extern const idx_filter_ops idx_bloom, idx_blocked_bloom;
extern const idx_search_ops idx_fence, idx_binary, idx_learned;
#endif
