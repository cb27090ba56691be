/* kinds.h: the filters and searches that this package ships, by name, and the batch hashing that Python needs.
 *
 * Ownership: the tables are constants of the extension and live as long as it is loaded. Threads: pure.
 */
#ifndef IDX_KINDS_H
#define IDX_KINDS_H
#include "indexes/csrc/filter.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/search.h"

/* cdef:begin */
const idx_filter_ops *idx_filter_find(const char *name); /* "bloom", "ribbon", ...; NULL: unknown */
const idx_search_ops *idx_search_find(const char *name); /* "fence", "binary", "learned"; NULL: unknown */
idx_hash_fn idx_hash_find(const char *name); /* "xxh3", "murmur3"; NULL: unknown */
/* out[i] = hash of bytes[offsets[i] .. offsets[i+1]); n + 1 offsets. Or of row i of n rows of `width` bytes. */
void idx_hash_keys(idx_hash_fn hash, const uint8_t *bytes, const uint64_t *offsets, size_t n, uint64_t *out);
void idx_hash_rows(idx_hash_fn hash, const uint8_t *bytes, size_t width, size_t n, uint64_t *out);
/* out[i] = may_contain of the key i that is packed as above; filter is checked */
void idx_filter_probe_keys(const idx_filter_ops *ops, idx_hash_fn hash, const uint8_t *filter, size_t len, const uint8_t *bytes,
                           const uint64_t *offsets, size_t n, uint8_t *out);
void idx_filter_probe_rows(const idx_filter_ops *ops, idx_hash_fn hash, const uint8_t *filter, size_t len, const uint8_t *bytes,
                           size_t width, size_t n, uint8_t *out);
/* out[i] = find of key i; keys packed as above */
void idx_search_find_many(const idx_search_ops *ops, const void *search, const uint8_t *bytes, const uint64_t *offsets, size_t n,
                          uint32_t *out);
/* cdef:end */

extern const idx_filter_ops idx_bloom, idx_blocked_bloom, idx_counting_bloom, idx_cuckoo, idx_ribbon, idx_homogeneous_ribbon,
    idx_binary_fuse8, idx_binary_fuse16, idx_xor8, idx_xor16;
extern const idx_search_ops idx_fence, idx_binary, idx_learned;
#endif
