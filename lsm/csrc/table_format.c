/* table_format.c: footer and properties of a table to bytes and back. */
#include "lsm/csrc/table_format.h"
#include <stdlib.h>

static uint8_t *put_handle(uint8_t *p, lsm_handle h) {
    lsm_put64(p, h.offset);
    lsm_put32(p + 8, h.size);
    return p + LSM_HANDLE;
}

static const uint8_t *get_handle(const uint8_t *p, lsm_handle *h) {
    h->offset = lsm_get64(p);
    h->size = lsm_get32(p + 8);
    return p + LSM_HANDLE;
}

void lsm_footer_encode(const lsm_env *env, const lsm_footer *f, uint8_t out[LSM_FOOTER]) {
    uint8_t *p = out;
    memcpy(p, LSM_TABLE_MAGIC, 8);
    lsm_put32(p + 8, LSM_TABLE_VERSION);
    lsm_put32(p + 12, f->index_kind);
    lsm_put64(p + 16, f->database_id);
    lsm_put64(p + 24, f->number);
    p = put_handle(p + 32, f->props);
    p = put_handle(p, f->index);
    p = put_handle(p, f->filter);
    p = put_handle(p, f->tombs);
    lsm_put32(p, f->chain);
    lsm_put32(p + 4, lsm_mask_crc(env->crc32c(0, out, LSM_FOOTER - 4)));
}

static int handle_fits(lsm_handle h, uint64_t end, int required) {
    if (!h.size) return !required && !h.offset;
    return h.size <= LSM_MAX_META && h.offset < end && (uint64_t)h.size + LSM_TRAILER <= end - h.offset;
}

int lsm_footer_decode(const lsm_env *env, const uint8_t in[LSM_FOOTER], const char *path, uint64_t file_size, lsm_footer *f, lsm_error *e) {
    uint64_t at = file_size - LSM_FOOTER;
    if (memcmp(in, LSM_TABLE_MAGIC, 8))
        return lsm_fail(e, LSM_CORRUPT, path, at, "not a table: the footer does not begin with %s", LSM_TABLE_MAGIC);
    uint32_t stored = lsm_get32(in + LSM_FOOTER - 4), found = lsm_mask_crc(env->crc32c(0, in, LSM_FOOTER - 4));
    if (stored != found) return lsm_fail(e, LSM_CORRUPT, path, at, "footer checksum: stored %08x, computed %08x", stored, found);
    uint32_t version = lsm_get32(in + 8);
    if (version != LSM_TABLE_VERSION)
        return lsm_fail(e, LSM_INVALID, path, at, "table format %u; this program knows up to %d", version, LSM_TABLE_VERSION);
    f->index_kind = lsm_get32(in + 12);
    f->database_id = lsm_get64(in + 16);
    f->number = lsm_get64(in + 24);
    const uint8_t *p = get_handle(in + 32, &f->props);
    p = get_handle(p, &f->index);
    p = get_handle(p, &f->filter);
    p = get_handle(p, &f->tombs);
    f->chain = lsm_get32(p);
    f->crc = stored;
    if (f->index_kind > LSM_INDEX_TWO_LEVEL) return lsm_fail(e, LSM_INVALID, path, at, "unknown index kind %u", f->index_kind);
    if (!handle_fits(f->props, at, 1) || !handle_fits(f->index, at, 1) || !handle_fits(f->filter, at, 0) || !handle_fits(f->tombs, at, 0))
        return lsm_fail(e, LSM_CORRUPT, path, at, "footer names a block outside of the file");
    return LSM_OK;
}

void lsm_props_clear(lsm_table_props *p) {
    free(p->smallest);
    free(p->largest);
    free(p->values);
    p->smallest = p->largest = NULL;
    p->smallest_len = p->largest_len = 0;
    p->values = NULL;
    p->n_values = 0;
}

/* The fixed-width properties by name, for both directions. */
/* clang-format off */
#define NUMBERS(X)                                                                                                     \
    X(entries) X(deletions) X(range_deletes) X(data_blocks) X(raw_key_bytes) X(raw_value_bytes) X(data_bytes)          \
    X(index_bytes) X(filter_bytes) X(min_seq) X(max_seq) X(largest_exclusive)
/* clang-format on */

#define VALUE_REF 24

static uint8_t *put_property(uint8_t *p, const char *name, const void *data, size_t n) {
    size_t len = strlen(name);
    *p++ = (uint8_t)len;
    memcpy(p, name, len);
    lsm_put32(p + len, (uint32_t)n);
    if (n) memcpy(p + len + 4, data, n);
    return p + len + 4 + n;
}

static uint8_t *put_number(uint8_t *p, const char *name, uint64_t v) {
    uint8_t raw[8];
    lsm_put64(raw, v);
    return put_property(p, name, raw, 8);
}

size_t lsm_props_encode(const lsm_table_props *x, uint8_t **out) {
    uint8_t *start = malloc(1024 + x->smallest_len + x->largest_len + VALUE_REF * (size_t)x->n_values), *p = start;
    if (!start) return 0;
    uint64_t bits;
    memcpy(&bits, &x->bits_per_key, 8);
    p += 2;
    uint32_t count = 0;
#define PUT(name) p = put_number(p, #name, (uint64_t)x->name), count++;
    NUMBERS(PUT)
#undef PUT
    p = put_number(p, "bits_per_key", bits);
    p = put_property(p, "filter", x->filter_name, strlen(x->filter_name));
    p = put_property(p, "codec", x->codec_name, strlen(x->codec_name));
    p = put_property(p, "smallest", x->smallest, x->smallest_len);
    p = put_property(p, "largest", x->largest, x->largest_len);
    count += 5;
    if (x->range_filter_size) {
        p = put_property(p, "range_filter", x->range_filter_name, strlen(x->range_filter_name));
        p = put_number(p, "range_filter_offset", x->range_filter_offset);
        p = put_number(p, "range_filter_size", x->range_filter_size);
        count += 3;
    }
    if (x->keyspace[0]) {
        uint8_t raw[4 + sizeof x->keyspace];
        lsm_put32(raw, x->keyspace_id);
        memcpy(raw + 4, x->keyspace, strlen(x->keyspace));
        p = put_property(p, "keyspace", raw, 4 + strlen(x->keyspace));
        count++;
    }
    if (x->n_values) {
        p = put_property(p, "value_files", NULL, 0);
        lsm_put32(p - 4, VALUE_REF * x->n_values);
        for (uint32_t i = 0; i < x->n_values; i++, p += VALUE_REF) {
            lsm_put64(p, x->values[i].file);
            lsm_put64(p + 8, x->values[i].records);
            lsm_put64(p + 16, x->values[i].bytes);
        }
        count++;
    }
    start[0] = (uint8_t)count;
    start[1] = 0;
    *out = start;
    return (size_t)(p - start);
}

static int copy_key(const uint8_t *data, uint32_t n, uint8_t **key, uint32_t *len) {
    if (n > LSM_MAX_KEY || *key) return LSM_CORRUPT;
    if (!(*key = malloc(n + 1))) return LSM_NOMEM;
    memcpy(*key, data, n);
    *len = n;
    return LSM_OK;
}

static int copy_name(const uint8_t *data, uint32_t n, char out[32]) {
    if (n >= 32) return LSM_CORRUPT;
    memcpy(out, data, n);
    out[n] = 0;
    return LSM_OK;
}

static int take_keyspace(const uint8_t *data, uint32_t n, lsm_table_props *x) {
    if (n < 5 || n - 4 >= sizeof x->keyspace) return LSM_CORRUPT;
    x->keyspace_id = lsm_get32(data);
    memcpy(x->keyspace, data + 4, n - 4);
    x->keyspace[n - 4] = 0;
    return LSM_OK;
}

static int take_values(const uint8_t *data, uint32_t n, lsm_table_props *x) {
    if (!n || n % VALUE_REF || x->values) return LSM_CORRUPT;
    if (!(x->values = calloc(n / VALUE_REF, sizeof *x->values))) return LSM_NOMEM;
    for (x->n_values = 0; x->n_values < n / VALUE_REF; x->n_values++, data += VALUE_REF) {
        lsm_value_ref *r = &x->values[x->n_values];
        *r = (lsm_value_ref){lsm_get64(data), lsm_get64(data + 8), lsm_get64(data + 16)};
        if (!r->records || (x->n_values && r->file <= r[-1].file)) return LSM_CORRUPT;
    }
    return LSM_OK;
}

/* Unknown properties are skipped: later versions may add some. */
static int take_property(const char *name, size_t len, const uint8_t *data, uint32_t n, lsm_table_props *x, uint64_t *bits) {
#define IS(text) (len == sizeof(text) - 1 && !memcmp(name, text, len))
    if (IS("smallest")) return copy_key(data, n, &x->smallest, &x->smallest_len);
    if (IS("largest")) return copy_key(data, n, &x->largest, &x->largest_len);
    if (IS("filter")) return copy_name(data, n, x->filter_name);
    if (IS("range_filter")) return copy_name(data, n, x->range_filter_name);
    if (IS("value_files")) return take_values(data, n, x);
    if (IS("keyspace")) return take_keyspace(data, n, x);
    if (IS("codec")) return copy_name(data, n, x->codec_name);
    uint64_t v = n == 8 ? lsm_get64(data) : 0;
#define TAKE(field)                                                                                                                        \
    if (IS(#field)) {                                                                                                                      \
        x->field = (__typeof__(x->field))v;                                                                                                \
        return n == 8 ? LSM_OK : LSM_CORRUPT;                                                                                              \
    }
    NUMBERS(TAKE)
    TAKE(range_filter_offset)
    TAKE(range_filter_size)
#undef TAKE
    if (IS("bits_per_key")) {
        *bits = v;
        return n == 8 ? LSM_OK : LSM_CORRUPT;
    }
#undef IS
    return LSM_OK;
}

int lsm_props_decode(const uint8_t *data, size_t n, const char *path, lsm_table_props *x, lsm_error *e) {
    const uint8_t *p = data, *end = data + n;
    uint64_t bits = 0;
    int status = n < 2 ? LSM_CORRUPT : LSM_OK;
    uint32_t count = n < 2 ? 0 : (uint32_t)data[0] | (uint32_t)data[1] << 8;
    for (p += 2; status == LSM_OK && count; count--) {
        if (p >= end || (size_t)(end - p) < (size_t)p[0] + 5) {
            status = LSM_CORRUPT;
            break;
        }
        size_t len = p[0];
        const char *name = (const char *)p + 1;
        uint32_t size = lsm_get32(p + 1 + len);
        p += len + 5;
        if (size > (size_t)(end - p))
            status = LSM_CORRUPT;
        else
            status = take_property(name, len, p, size, x, &bits);
        p += size;
    }
    if (status == LSM_OK && (p != end || !x->smallest || !x->largest)) status = LSM_CORRUPT;
    memcpy(&x->bits_per_key, &bits, 8);
    if (status == LSM_OK) return LSM_OK;
    lsm_props_clear(x);
    return lsm_fail(e, status, path, 0, status == LSM_NOMEM ? "out of memory" : "the properties block does not parse");
}
