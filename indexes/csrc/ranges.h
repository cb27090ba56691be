/* ranges.h: the range filters that this package ships, by name, and the batches that Python needs.
 *
 * Ownership: the tables are constants of the extension. Threads: as range_filter.h.
 */
#ifndef IDX_RANGES_H
#define IDX_RANGES_H
#include "indexes/csrc/range_filter.h"

/* cdef:begin */
const idx_range_ops *idx_range_find(const char *name); /* "prefix_bloom", "snarf", "surf"; NULL: unknown */
/* Keys are packed: key i is bytes[offsets[i] .. offsets[i+1]); n + 1 offsets. *done: how many were added. */
int idx_range_add_many(const idx_range_ops *ops, void *builder, const uint8_t *bytes, const uint64_t *offsets, size_t n, size_t *done);
void idx_range_probe_keys(const idx_range_ops *ops, const void *opened, const uint8_t *bytes, const uint64_t *offsets, size_t n,
                          uint8_t *out);
/* Range i is [lo i, hi i); open_end[i] != 0: hi i is not looked at. */
void idx_range_probe_ranges(const idx_range_ops *ops, const void *opened, const uint8_t *lo, const uint64_t *lo_at, const uint8_t *hi,
                            const uint64_t *hi_at, const uint8_t *open_end, size_t n, uint8_t *out);
/* cdef:end */

extern const idx_range_ops idx_surf_ops, idx_snarf_ops, idx_prefix_bloom_ops;

/* The next "name=value" of a text: 1, 0 at its end, -1 when there is no '='. *at moves on. */
typedef struct idx_param {
    const char *name, *value;
    size_t name_n, value_n;
} idx_param;
int idx_next_param(const char **at, idx_param *p);
int idx_param_is(const idx_param *p, const char *name);
/* The value, or the part of it up to the next comma, as a number of at most `most`; -1 when it is none. */
int64_t idx_param_number(const char *text, size_t n, uint32_t most);
#endif
