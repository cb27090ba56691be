/* table.c: opening a table: footer, properties, index, filter, tombstones, each verified before it is used. */
#include "lsm/csrc/table_impl.h"
#include <stdlib.h>

static int open_file(lsm_table *t, uint64_t expect_size, lsm_error *e) {
    rec_fs *fs = t->env->fs;
    int r = fs->ops->open(fs, t->path, REC_O_READ, &t->file);
    if (r < 0) {
        t->file = NULL;
        if (r == -2) return lsm_fail(e, LSM_CORRUPT, t->path, 0, "the table is missing");
        return lsm_fail_io(e, r, t->path, "open");
    }
    r = t->file->ops->size_of(t->file, &t->size);
    if (r < 0) return lsm_fail_io(e, r, t->path, "size");
    if (expect_size && t->size != expect_size)
        return lsm_fail(e, LSM_CORRUPT, t->path, t->size, "the table has %llu bytes, the manifest says %llu", (unsigned long long)t->size,
                        (unsigned long long)expect_size);
    if (t->size < LSM_FOOTER) return lsm_fail(e, LSM_CORRUPT, t->path, 0, "too short for a table: %llu bytes", (unsigned long long)t->size);
    return LSM_OK;
}

static int read_footer(lsm_table *t, uint32_t expect_crc, lsm_error *e) {
    uint8_t raw[LSM_FOOTER];
    uint64_t at = t->size - LSM_FOOTER;
    int64_t got = t->file->ops->pread(t->file, raw, LSM_FOOTER, at);
    if (got < 0) return lsm_fail_io(e, (int)got, t->path, "read");
    if (got != LSM_FOOTER) return lsm_fail(e, LSM_CORRUPT, t->path, at, "the file ends early");
    lsm_count(t->env->ledger, LSM_OP_READ, -1, LSM_C_META, LSM_BY_OPEN, LSM_FOOTER);
    int status = lsm_footer_decode(t->env, raw, t->path, t->size, &t->footer, e);
    if (status != LSM_OK) return status;
    if (t->footer.database_id != t->env->database_id)
        return lsm_fail(e, LSM_CORRUPT, t->path, at, "a table of another database (%016llx, this is %016llx)",
                        (unsigned long long)t->footer.database_id, (unsigned long long)t->env->database_id);
    if (t->footer.number != t->number)
        return lsm_fail(e, LSM_CORRUPT, t->path, at, "this is table %llu under the name of table %llu",
                        (unsigned long long)t->footer.number, (unsigned long long)t->number);
    if (expect_crc && t->footer.crc != expect_crc)
        return lsm_fail(e, LSM_CORRUPT, t->path, at, "not the table that the manifest names: footer checksum %08x, expected %08x",
                        t->footer.crc, expect_crc);
    return LSM_OK;
}

static lsm_purpose at_open(int component) { return (lsm_purpose){-1, component, LSM_BY_OPEN, 0, NULL}; }

static int load_props(lsm_table *t, lsm_error *e) {
    lsm_pin pin = {0};
    const uint8_t *data;
    uint32_t n;
    int status = lsm_read_block(t, t->footer.props, LSM_NO_ORDINAL, at_open(LSM_C_META), &data, &n, &pin, e);
    if (status != LSM_OK) return status;
    status = lsm_props_decode(data, n, t->path, &t->props, e);
    lsm_unpin(&pin);
    t->props.number = t->number;
    t->props.file_size = t->size;
    t->props.footer_crc = t->footer.crc;
    return status;
}

static int load_index(lsm_table *t, const lsm_table_options *o, lsm_error *e) {
    lsm_pin pin = {0};
    const uint8_t *data;
    uint32_t n;
    int status = lsm_read_block(t, t->footer.index, LSM_NO_ORDINAL, at_open(LSM_C_INDEX), &data, &n, &pin, e);
    if (status != LSM_OK) return status;
    t->index = lsm_index_parse(data, n, t->size, &status);
    lsm_unpin(&pin);
    if (!t->index)
        return lsm_fail(e, status, t->path, t->footer.index.offset, status == LSM_NOMEM ? "out of memory" : "the index does not parse");
    if (t->footer.index_kind == LSM_INDEX_FULL && t->index->n != t->props.data_blocks)
        return lsm_fail(e, LSM_CORRUPT, t->path, t->footer.index.offset, "the index names %u blocks, the properties say %llu", t->index->n,
                        (unsigned long long)t->props.data_blocks);
    if (t->env->cache && t->footer.index_kind == LSM_INDEX_FULL && t->index->n && !(t->cells = calloc(t->index->n, sizeof *t->cells)))
        return lsm_fail(e, LSM_NOMEM, t->path, 0, "out of memory");
    if (o && o->search && t->index->n) {
        t->search = o->search;
        t->searcher = o->search->open(t->index->keys, t->index->offsets, t->index->n);
        if (!t->searcher) return lsm_fail(e, LSM_NOMEM, t->path, 0, "out of memory");
    }
    return LSM_OK;
}

static int load_filter(lsm_table *t, lsm_error *e) {
    if (!t->footer.filter.size) return LSM_OK;
    for (uint32_t i = 0; i < t->env->n_filters; i++)
        if (!strcmp(t->env->filters[i]->name, t->props.filter_name)) t->filter = t->env->filters[i];
    if (!t->filter)
        return lsm_fail(e, LSM_INVALID, t->path, t->footer.filter.offset, "filter '%s' of the table is not registered",
                        t->props.filter_name);
    lsm_pin pin = {0};
    const uint8_t *data;
    uint32_t n;
    int status = lsm_read_block(t, t->footer.filter, LSM_NO_ORDINAL, at_open(LSM_C_FILTER), &data, &n, &pin, e);
    if (status != LSM_OK) return status;
    if (t->filter->check(data, n))
        status = lsm_fail(e, LSM_CORRUPT, t->path, t->footer.filter.offset, "the filter is not well formed");
    else if (posix_memalign((void **)&t->filter_bytes, 64, ((size_t)n + 127) & ~(size_t)63)) {
        t->filter_bytes = NULL;
        status = lsm_fail(e, LSM_NOMEM, t->path, 0, "out of memory");
    } else
        memcpy(t->filter_bytes, data, n);
    lsm_unpin(&pin);
    return status;
}

static int load_tombs(lsm_table *t, lsm_error *e) {
    lsm_pin pin = {0};
    const uint8_t *data, *p, *end;
    uint32_t n;
    if (!t->footer.tombs.size) return LSM_OK;
    int status = lsm_read_block(t, t->footer.tombs, LSM_NO_ORDINAL, at_open(LSM_C_RANGEDEL), &data, &n, &pin, e);
    if (status != LSM_OK) return status;
    t->tombs = lsm_tombs_new();
    uint32_t count = n >= 4 ? lsm_get32(data) : 0;
    p = data + 4;
    end = data + n;
    if (!t->tombs)
        status = LSM_NOMEM;
    else if (n < 4 || count != t->props.range_deletes)
        status = LSM_CORRUPT;
    for (uint32_t i = 0; status == LSM_OK && i < count; i++) {
        uint64_t sn, en;
        if (!(p = lsm_get_varint(p, end, &sn)) || !(p = lsm_get_varint(p, end, &en)) || sn > LSM_MAX_KEY || en > LSM_MAX_KEY ||
            (uint64_t)(end - p) < sn + en + 8) {
            status = LSM_CORRUPT;
            break;
        }
        status = lsm_tombs_add(t->tombs, p + 8, sn, p + 8 + sn, en, lsm_get64(p));
        if (status == LSM_INVALID) status = LSM_CORRUPT;
        p += 8 + sn + en;
    }
    if (status == LSM_OK && p != end) status = LSM_CORRUPT;
    lsm_unpin(&pin);
    return status == LSM_OK ? LSM_OK : lsm_fail(e, status, t->path, t->footer.tombs.offset, "the range tombstones do not parse");
}

static int map_file(lsm_table *t, lsm_error *e) {
    void *addr = NULL;
    int r = t->file->ops->map(t->file, 0, t->size, 0, &addr);
    if (r == -95) return LSM_OK; /* not supported here: buffered reads serve */
    if (r < 0) return lsm_fail_io(e, r, t->path, "map");
    t->map = addr;
    t->map_verified = calloc(t->size / 64 + 1, 1);
    return t->map_verified ? LSM_OK : lsm_fail(e, LSM_NOMEM, t->path, 0, "out of memory");
}

int lsm_table_open(const lsm_env *env, const lsm_table_options *options, const char *path, uint64_t number, uint64_t expect_size,
                   uint32_t expect_footer_crc, lsm_table **out, lsm_error *error) {
    lsm_table *t = calloc(1, sizeof *t);
    if (!t || !(t->path = strdup(path))) {
        free(t);
        return lsm_fail(error, LSM_NOMEM, path, 0, "out of memory");
    }
    atomic_init(&t->refs, 1);
    t->env = env;
    t->number = number;
    int status = open_file(t, expect_size, error);
    if (status == LSM_OK) status = read_footer(t, expect_footer_crc, error);
    if (status == LSM_OK && options && options->read_mode == LSM_READ_MAPPED) status = map_file(t, error);
    if (status == LSM_OK) status = load_props(t, error);
    if (status == LSM_OK) status = load_index(t, options, error);
    if (status == LSM_OK) status = load_filter(t, error);
    if (status == LSM_OK) status = lsm_load_range_filter(t, error);
    if (status == LSM_OK) status = load_tombs(t, error);
    if (status != LSM_OK)
        lsm_table_unref(t);
    else
        *out = t;
    return status;
}

uint32_t lsm_table_publish(lsm_table *t, int delta) { return atomic_fetch_add(&t->published, (uint32_t)delta) + (uint32_t)delta; }

void lsm_table_ref(lsm_table *t) { atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed); }

void lsm_table_unref(lsm_table *t) {
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) return;
    if (t->env->cache) lsm_cache_erase(t->env->cache, t->number, t->cells, t->cells ? t->index->n : 0);
    if (t->env->rows) lsm_cache_erase(t->env->rows, t->number, NULL, 0);
    if (t->map) t->file->ops->unmap(t->file, (void *)t->map, t->size);
    if (t->file) t->file->ops->close(t->file);
    if (t->searcher) t->search->close(t->searcher);
    lsm_drop_range_filter(t);
    lsm_tombs_free(t->tombs);
    lsm_props_clear(&t->props);
    free((void *)t->map_verified);
    free(t->filter_bytes);
    free(t->cells);
    free(t->index);
    free(t->path);
    free(t);
}

const lsm_table_props *lsm_table_properties(const lsm_table *t) { return &t->props; }
const lsm_tombs *lsm_table_tombs(const lsm_table *t) { return t->tombs; }
void lsm_table_count_reads(lsm_table *t, int on) { atomic_store_explicit(&t->counts_reads, on, memory_order_relaxed); }
uint64_t lsm_table_reads(const lsm_table *t) { return atomic_load_explicit(&t->reads, memory_order_relaxed); }
uint64_t lsm_table_damage(const lsm_table *t) { return atomic_load(&t->damage); }
void lsm_table_forget_damage(lsm_table *t) { atomic_store(&t->damage, 0); }
const idx_filter_ops *lsm_table_filter(const lsm_table *t) { return t->filter; }

size_t lsm_table_memory(const lsm_table *t) {
    return sizeof *t + t->index->memory + t->footer.filter.size + t->props.range_filter_size +
           (t->searcher ? t->search->memory(t->searcher) : 0) + (t->cells ? t->index->n * sizeof *t->cells : 0) +
           (t->map ? t->size / 64 : 0);
}
