#include "indexes/csrc/ranges.h"
#include <string.h>

const idx_range_ops *idx_range_find(const char *name) {
    const idx_range_ops *const all[] = {&idx_prefix_bloom_ops, &idx_snarf_ops, &idx_surf_ops};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}

int idx_range_add_many(const idx_range_ops *ops, void *builder, const uint8_t *bytes, const uint64_t *offsets, size_t n, size_t *done) {
    for (*done = 0; *done < n; ++*done) {
        const int status = ops->add(builder, bytes + offsets[*done], offsets[*done + 1] - offsets[*done]);
        if (status != IDX_RANGE_OK) return status;
    }
    return IDX_RANGE_OK;
}

void idx_range_probe_keys(const idx_range_ops *ops, const void *opened, const uint8_t *bytes, const uint64_t *offsets, size_t n,
                          uint8_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)ops->may_contain(opened, bytes + offsets[i], offsets[i + 1] - offsets[i]);
}

void idx_range_probe_ranges(const idx_range_ops *ops, const void *opened, const uint8_t *lo, const uint64_t *lo_at, const uint8_t *hi,
                            const uint64_t *hi_at, const uint8_t *open_end, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *end = open_end[i] ? NULL : hi + hi_at[i];
        out[i] = (uint8_t)ops->may_contain_range(opened, lo + lo_at[i], lo_at[i + 1] - lo_at[i], end, hi_at[i + 1] - hi_at[i]);
    }
}

int idx_next_param(const char **at, idx_param *p) {
    const char *s = *at + strspn(*at, " ");
    if (!*s) return 0;
    p->name = s;
    p->name_n = strcspn(s, "= ");
    if (s[p->name_n] != '=') return -1;
    p->value = s + p->name_n + 1;
    p->value_n = strcspn(p->value, " ");
    *at = p->value + p->value_n;
    return 1;
}

int idx_param_is(const idx_param *p, const char *name) { return strlen(name) == p->name_n && !memcmp(p->name, name, p->name_n); }

int64_t idx_param_number(const char *text, size_t n, uint32_t most) {
    int64_t v = 0;
    if (!n) return -1;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        v = v * 10 + (text[i] - '0');
        if (v > most) return -1;
    }
    return v;
}
