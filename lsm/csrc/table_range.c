/* table_range.c: the range filter of a table: loaded when the table is opened, asked by scans that have both bounds.
 *
 * Its block stands behind the point filter's and is named in the properties, so that a table without one has the bytes it always had.
 */
#include "lsm/csrc/table_impl.h"
#include <stdlib.h>

lsm_handle lsm_range_handle(const lsm_table_props *p) { return (lsm_handle){p->range_filter_offset, (uint32_t)p->range_filter_size}; }

int lsm_load_range_filter(lsm_table *t, lsm_error *e) {
    const uint64_t end = t->size - LSM_FOOTER, at = t->props.range_filter_offset, size = t->props.range_filter_size;
    if (!size) return LSM_OK;
    if (size > LSM_MAX_META || at >= end || size + LSM_TRAILER > end - at)
        return lsm_fail(e, LSM_CORRUPT, t->path, at, "the properties name a range filter outside of the file");
    const idx_range_ops *ops = NULL;
    for (uint32_t i = 0; i < t->env->n_range_filters; i++)
        if (!strcmp(t->env->range_filters[i]->name, t->props.range_filter_name)) ops = t->env->range_filters[i];
    if (!ops) return lsm_fail(e, LSM_INVALID, t->path, at, "range filter '%s' of the table is not registered", t->props.range_filter_name);
    lsm_pin pin = {0};
    const uint8_t *data;
    uint32_t n;
    const lsm_purpose why = {-1, LSM_C_RANGE_FILTER, LSM_BY_OPEN, 0, NULL};
    int status = lsm_read_block(t, lsm_range_handle(&t->props), LSM_NO_ORDINAL, why, &data, &n, &pin, e);
    if (status != LSM_OK) return status;
    if (ops->check(data, n))
        status = lsm_fail(e, LSM_CORRUPT, t->path, at, "the range filter is not well formed");
    else if (posix_memalign((void **)&t->range_bytes, 64, ((size_t)n + 127) & ~(size_t)63))
        t->range_bytes = NULL;
    else
        memcpy(t->range_bytes, data, n);
    lsm_unpin(&pin);
    if (status != LSM_OK) return status;
    t->range_ops = ops;
    t->range = t->range_bytes ? ops->open(t->range_bytes, n) : NULL;
    return t->range ? LSM_OK : lsm_fail(e, LSM_NOMEM, t->path, 0, "out of memory");
}

void lsm_drop_range_filter(lsm_table *t) {
    if (t->range) t->range_ops->close(t->range);
    free(t->range_bytes);
}

int lsm_table_may_hold(lsm_table *t, const lsm_bounds *s, int level, int cause) {
    const int maybe = t->range_ops->may_contain_range(t->range, s->lower, s->lower_len, s->upper, s->upper_len);
    lsm_count(t->env->ledger, maybe ? LSM_OP_PROBE : LSM_OP_SKIP, level, LSM_C_RANGE_FILTER, cause, 0);
    return maybe;
}

void lsm_table_held_none(lsm_table *t) { lsm_tally(t->env->ledger, LSM_N_RANGE_FILTER_FALSE, 1); }
int lsm_table_has_range_filter(const lsm_table *t) { return t->range != NULL; }
