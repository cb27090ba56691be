/* builder.c: writes a table from entries in order.
 *
 *   add -> data block -> (codec) -> trailer -> 256 KiB buffer -> rec_fs append
 *
 * The keys' hashes are kept for the filter (8 bytes a key); separators and handles go to the index builder as blocks end.
 */
#include "lsm/csrc/block.h"
#include "lsm/csrc/table_index.h"
#include "lsm/csrc/values.h"
#include <stdlib.h>

#define OUT_BUFFER ((size_t)256 << 10)

struct lsm_builder {
    const lsm_env *env;
    lsm_table_options opt;
    char *path;
    uint64_t number;
    int level, cause, status;
    rec_file *file;
    uint8_t *out, *scratch;
    size_t out_n, scratch_cap;
    uint64_t offset; /* of the next byte of the file */
    uint32_t chain;
    lsm_block_builder block;
    lsm_index_builder index, top; /* top: over partitions, when two-level */
    uint8_t **parts; /* finished partitions wait for the end of the data */
    size_t *part_sizes;
    size_t n_parts;
    uint8_t *pending; /* last key of the block that has ended; its separator waits for the next key */
    uint32_t pending_len;
    lsm_handle pending_handle;
    int has_pending;
    uint8_t *last; /* last key added */
    uint64_t last_seq;
    uint64_t *hashes;
    size_t n_hashes, cap_hashes;
    void *range; /* the range filter's builder; NULL: none */
    lsm_tombs *tombs;
    lsm_value_refs refs;
    lsm_table_props props;
};

static int fail_at(lsm_builder *b, int status, lsm_error *e, const char *what) {
    b->status = status;
    return lsm_fail(e, status, b->path, b->offset, "%s", what);
}

static int fail_io(lsm_builder *b, int r, const char *operation, lsm_error *e) {
    b->status = LSM_IO;
    return lsm_fail_io(e, r, b->path, operation);
}

static int no_memory(lsm_builder *b, lsm_error *e) { return fail_at(b, LSM_NOMEM, e, "out of memory"); }

int lsm_builder_new(const lsm_env *env, const lsm_table_options *options, const char *path, uint64_t number, int level, int cause,
                    lsm_builder **out, lsm_error *error) {
    lsm_builder *b = calloc(1, sizeof *b);
    if (!b) return lsm_fail(error, LSM_NOMEM, path, 0, "out of memory");
    b->env = env;
    b->opt = *options;
    b->number = number;
    b->level = level;
    b->cause = cause;
    b->path = strdup(path);
    b->out = malloc(OUT_BUFFER);
    b->last = malloc(LSM_MAX_KEY);
    b->pending = malloc(LSM_MAX_KEY);
    b->tombs = lsm_tombs_new();
    b->props.min_seq = UINT64_MAX;
    b->props.keyspace_id = options->keyspace_id;
    strncpy(b->props.keyspace, options->keyspace ? options->keyspace : "", sizeof b->props.keyspace - 1);
    int bad = lsm_block_builder_init(&b->block, options->restart_interval, options->hash_index, options->hash_util);
    if (bad || !b->path || !b->out || !b->last || !b->pending || !b->tombs) {
        lsm_builder_abandon(b);
        return lsm_fail(error, LSM_NOMEM, path, 0, "out of memory");
    }
    if (options->range_filter && options->range_filter->begin(options->range_params ? options->range_params : "", &b->range)) {
        b->range = NULL;
        lsm_builder_abandon(b);
        return lsm_fail(error, LSM_PLUGIN, path, 0, "the range filter could not be begun");
    }
    int r = env->fs->ops->open(env->fs, path, REC_O_WRITE | REC_O_CREATE | REC_O_EXCL, &b->file);
    if (r < 0) {
        b->file = NULL;
        lsm_builder_abandon(b);
        return lsm_fail_io(error, r, path, "open");
    }
    *out = b;
    return LSM_OK;
}

static int append(lsm_builder *b, const uint8_t *data, size_t n) {
    int slot = lsm_watch_begin(b->env->watch, LSM_W_TABLE_WRITE), r = b->file->ops->append(b->file, data, n);
    lsm_watch_end(b->env->watch, slot);
    return r;
}

static int flush_out(lsm_builder *b, lsm_error *e) {
    if (!b->out_n) return LSM_OK;
    int r = append(b, b->out, b->out_n);
    b->out_n = 0;
    return r < 0 ? fail_io(b, r, "append", e) : LSM_OK;
}

static int emit(lsm_builder *b, const uint8_t *data, size_t n, lsm_error *e) {
    if (b->out_n + n > OUT_BUFFER && flush_out(b, e) != LSM_OK) return b->status;
    if (n > OUT_BUFFER) {
        int r = append(b, data, n);
        if (r < 0) return fail_io(b, r, "append", e);
    } else {
        memcpy(b->out + b->out_n, data, n);
        b->out_n += n;
    }
    b->offset += n;
    return LSM_OK;
}

/* Compresses into scratch: raw size u32 | bytes | codec id. 0 when it does not pay (less than an eighth saved). */
static size_t compress(lsm_builder *b, const uint8_t *data, size_t n) {
    const lsm_codec *c = b->opt.codec;
    if (!c || !c->id) return 0;
    size_t need = c->bound(c, n) + 5;
    if (b->scratch_cap < need) {
        free(b->scratch);
        b->scratch = malloc(need);
        b->scratch_cap = b->scratch ? need : 0;
        if (!b->scratch) return 0;
    }
    int64_t got = c->compress(c, data, n, b->scratch + 4, need - 5, b->opt.codec_level);
    if (got <= 0 || (size_t)got + 4 > n - n / 8) return 0;
    lsm_put32(b->scratch, (uint32_t)n);
    b->scratch[4 + got] = (uint8_t)c->id;
    return (size_t)got + 4;
}

/* Writes a block and its trailer. data has room for one more byte behind n. */
static int write_block(lsm_builder *b, uint8_t *data, size_t n, int component, int try_codec, lsm_handle *h, lsm_error *e) {
    size_t packed = try_codec ? compress(b, data, n) : 0;
    const uint8_t *bytes = packed ? b->scratch : data;
    size_t size = packed ? packed : n;
    if (!packed) data[n] = 0;
    uint8_t trailer[LSM_TRAILER] = {bytes[size]};
    *h = (lsm_handle){b->offset, (uint32_t)size};
    lsm_put32(trailer + 1, lsm_block_crc(b->env, b->number, b->offset, bytes, size + 1));
    b->chain = b->env->crc32c(b->chain, trailer, LSM_TRAILER);
    if (emit(b, bytes, size, e) != LSM_OK || emit(b, trailer, LSM_TRAILER, e) != LSM_OK) return b->status;
    lsm_count(b->env->ledger, LSM_OP_WRITE, b->level, component, b->cause, size + LSM_TRAILER);
    return LSM_OK;
}

/* Gives a finished index block to the list of partitions. */
static int end_partition(lsm_builder *b) {
    if (!b->index.count) return LSM_OK;
    uint8_t **parts = realloc(b->parts, (b->n_parts + 1) * sizeof *parts);
    if (!parts) return LSM_NOMEM;
    b->parts = parts;
    size_t *sizes = realloc(b->part_sizes, (b->n_parts + 1) * sizeof *sizes);
    if (!sizes) return LSM_NOMEM;
    b->part_sizes = sizes;
    lsm_index_finish(&b->index); /* it has entries, and so room */
    uint8_t *copy = malloc(b->index.n + 1);
    if (!copy) return LSM_NOMEM;
    memcpy(copy, b->index.data, b->index.n);
    b->parts[b->n_parts] = copy;
    b->part_sizes[b->n_parts++] = b->index.n;
    lsm_index_reset(&b->index);
    return LSM_OK;
}

/* Gives the block that ended before key its separator, as short as can be. */
static int settle(lsm_builder *b, const uint8_t *key) {
    if (!b->has_pending) return LSM_OK;
    uint32_t len = b->pending_len, common = 0;
    if (key) {
        while (common < len && b->pending[common] == key[common])
            common++; /* pending <= key: it is not the longer one of two that begin alike */
        /* where they differ, a byte between them ends a shorter separator */
        if (common + 1 < len && b->pending[common] + 1 < key[common]) {
            b->pending[common]++;
            len = common + 1;
        }
    }
    b->has_pending = 0;
    if (lsm_index_add(&b->index, b->pending, len, b->pending_handle) != LSM_OK) return LSM_NOMEM;
    if (b->opt.index_kind == LSM_INDEX_TWO_LEVEL && b->index.n >= b->opt.block_size) return end_partition(b);
    return LSM_OK;
}

static int end_block(lsm_builder *b, lsm_error *e) {
    if (!b->block.entries) return LSM_OK;
    if (lsm_block_builder_finish(&b->block) != LSM_OK) return no_memory(b, e);
    /* uncovered (guard): keys and values are limited when they are written */
    if (b->block.n > LSM_MAX_BLOCK) return fail_at(b, LSM_TOO_BIG, e, "a block over 2 GiB");
    if (b->block.n == b->block.cap) { /* room for the codec byte */
        uint8_t *more = realloc(b->block.data, b->block.cap + 64);
        if (!more) return no_memory(b, e);
        b->block.data = more;
        b->block.cap += 64;
    }
    lsm_handle h;
    if (write_block(b, b->block.data, b->block.n, LSM_C_DATA, 1, &h, e) != LSM_OK) return b->status;
    b->props.data_blocks++;
    b->props.data_bytes += h.size + LSM_TRAILER;
    memcpy(b->pending, b->last, b->props.largest_len);
    b->pending_len = b->props.largest_len;
    b->pending_handle = h;
    b->has_pending = 1;
    lsm_block_builder_reset(&b->block);
    return LSM_OK;
}

static int note_hash(lsm_builder *b, const lsm_entry *e) {
    if (b->n_hashes == b->cap_hashes) {
        size_t cap = b->cap_hashes ? b->cap_hashes * 2 : 1024;
        uint64_t *more = realloc(b->hashes, cap * sizeof *more);
        if (!more) return LSM_NOMEM;
        b->hashes = more;
        b->cap_hashes = cap;
    }
    b->hashes[b->n_hashes++] = b->opt.filter->hash(e->key, e->key_len);
    return LSM_OK;
}

static void note_seq(lsm_builder *b, uint64_t seq) {
    if (seq < b->props.min_seq) b->props.min_seq = seq;
    if (seq > b->props.max_seq) b->props.max_seq = seq;
}

static void note_tombstone(lsm_builder *b, uint64_t seq) {
    if (!b->props.oldest_tombstone || seq < b->props.oldest_tombstone) b->props.oldest_tombstone = seq;
}

static int set_key(uint8_t **to, uint32_t *len, const uint8_t *key, uint32_t n) {
    uint8_t *copy = malloc(n + 1);
    if (!copy) return LSM_NOMEM;
    memcpy(copy, key, n);
    free(*to);
    *to = copy;
    *len = n;
    return LSM_OK;
}

int lsm_builder_add(lsm_builder *b, const lsm_entry *e, lsm_error *error) {
    if (b->status) return lsm_fail(error, b->status, b->path, b->offset, "the table has failed before");
    uint32_t last_len = b->props.largest_len;
    int first = !b->props.entries;
    int c = first ? 1 : lsm_compare_keys(e->key, e->key_len, b->last, last_len);
    if (e->key_len > LSM_MAX_KEY || e->value_len > LSM_MAX_VALUE) return fail_at(b, LSM_TOO_BIG, error, "key or value is too long");
    if (c < 0 || (c == 0 && e->seq >= b->last_seq)) return fail_at(b, LSM_INVALID, error, "entries must come in order");
    if (__builtin_expect(e->kind == LSM_VALUE_POINTER, 0)) {
        int status = lsm_value_refs_add(&b->refs, e);
        if (status != LSM_OK) return fail_at(b, status == LSM_NOMEM ? status : LSM_INVALID, error, "a value pointer is 24 bytes");
    }
    if (b->block.entries && lsm_block_builder_size(&b->block) + e->key_len + e->value_len + 16 > b->opt.block_size &&
        end_block(b, error) != LSM_OK)
        return b->status;
    if (b->has_pending && settle(b, e->key) != LSM_OK) return no_memory(b, error);
    if (lsm_block_builder_add(&b->block, e) != LSM_OK) return no_memory(b, error);
    if (first && set_key(&b->props.smallest, &b->props.smallest_len, e->key, e->key_len) != LSM_OK) return no_memory(b, error);
    if (b->opt.filter && c > 0 && note_hash(b, e) != LSM_OK) return no_memory(b, error);
    if (b->range && c > 0 && b->opt.range_filter->add(b->range, e->key, e->key_len))
        return fail_at(b, LSM_PLUGIN, error, "the range filter could not take a key");
    memcpy(b->last, e->key, e->key_len);
    b->props.largest_len = e->key_len;
    b->last_seq = e->seq;
    note_seq(b, e->seq);
    b->props.entries++;
    if (e->kind == LSM_DELETE) note_tombstone(b, e->seq);
    b->props.deletions += e->kind == LSM_DELETE;
    b->props.raw_key_bytes += e->key_len;
    b->props.raw_value_bytes += e->value_len;
    return LSM_OK;
}

int lsm_builder_add_range(lsm_builder *b, const lsm_range *r, lsm_error *error) {
    if (b->status) return lsm_fail(error, b->status, b->path, b->offset, "the table has failed before");
    int status = lsm_tombs_add(b->tombs, r->start, r->start_len, r->end, r->end_len, r->seq);
    if (status != LSM_OK) return fail_at(b, status, error, "a range tombstone needs start < end");
    note_seq(b, r->seq);
    note_tombstone(b, r->seq);
    b->props.range_deletes++;
    return LSM_OK;
}

uint64_t lsm_builder_size(const lsm_builder *b) { return b->offset + lsm_block_builder_size(&b->block); }
uint64_t lsm_builder_entries(const lsm_builder *b) { return b->props.entries; }

static int write_index(lsm_builder *b, lsm_handle *out, lsm_error *e) {
    uint64_t from = b->offset;
    if (b->opt.index_kind == LSM_INDEX_TWO_LEVEL) {
        if (end_partition(b) != LSM_OK) return no_memory(b, e);
        for (size_t i = 0; i < b->n_parts; i++) {
            lsm_handle h;
            int status;
            lsm_index_part *part = lsm_index_parse(b->parts[i], b->part_sizes[i], b->offset, &status);
            if (!part) return fail_at(b, status, e, "the index just made does not parse");
            if (write_block(b, b->parts[i], b->part_sizes[i], LSM_C_INDEX, 0, &h, e) == LSM_OK) {
                size_t n;
                const uint8_t *key = lsm_index_key(part, part->n - 1, &n);
                if (lsm_index_add(&b->top, key, n, h) != LSM_OK) no_memory(b, e);
            }
            free(part);
            if (b->status) return b->status;
        }
    }
    lsm_index_builder *last = b->opt.index_kind == LSM_INDEX_TWO_LEVEL ? &b->top : &b->index;
    if (lsm_index_finish(last) != LSM_OK) return no_memory(b, e);
    if (write_block(b, last->data, last->n, LSM_C_INDEX, 0, out, e) != LSM_OK) return b->status;
    b->props.index_bytes = b->offset - from;
    return LSM_OK;
}

static int write_filter(lsm_builder *b, lsm_handle *out, lsm_error *e) {
    const idx_filter_ops *f = b->opt.filter;
    size_t bound = f && b->n_hashes ? f->bound(b->n_hashes, b->opt.bits_per_key) : 0, n = 0;
    if (!bound || bound > LSM_MAX_META) return LSM_OK;
    uint8_t *data = malloc(bound + 1);
    if (!data) return no_memory(b, e);
    if (f->build(b->hashes, b->n_hashes, b->opt.bits_per_key, data, bound, &n))
        fail_at(b, LSM_PLUGIN, e, "the filter could not be built");
    else if (write_block(b, data, n, LSM_C_FILTER, 0, out, e) == LSM_OK) {
        b->props.filter_bytes = n + LSM_TRAILER;
        b->props.bits_per_key = b->opt.bits_per_key;
        strncpy(b->props.filter_name, f->name, sizeof b->props.filter_name - 1);
    }
    free(data);
    return b->status;
}

static int write_range_filter(lsm_builder *b, lsm_error *e) {
    const idx_range_ops *f = b->opt.range_filter;
    size_t n = 0;
    if (!b->range || !b->props.entries) return LSM_OK;
    if (f->finish(b->range, &n)) return fail_at(b, LSM_PLUGIN, e, "the range filter could not be built");
    if (!n || n > LSM_MAX_META) return LSM_OK;
    uint8_t *data = malloc(n + 1);
    lsm_handle h;
    if (!data) return no_memory(b, e);
    if (f->write(b->range, data))
        fail_at(b, LSM_PLUGIN, e, "the range filter could not be built");
    else if (write_block(b, data, n, LSM_C_RANGE_FILTER, 0, &h, e) == LSM_OK) {
        b->props.range_filter_offset = h.offset;
        b->props.range_filter_size = h.size;
        strncpy(b->props.range_filter_name, f->name, sizeof b->props.range_filter_name - 1);
    }
    free(data);
    return b->status;
}

/* Range tombstones: count u32, then start length varint | end length varint | seq u64 | start | end. They widen smallest and largest. */
static int write_tombs(lsm_builder *b, lsm_handle *out, lsm_error *e) {
    size_t n = lsm_tombs_count(b->tombs), size = 4;
    if (!n) return LSM_OK;
    for (size_t i = 0; i < n; i++) size += 18 + (size_t)lsm_tombs_at(b->tombs, i).start_len + lsm_tombs_at(b->tombs, i).end_len;
    uint8_t *data = malloc(size + 1), *p = data;
    if (!data) return no_memory(b, e);
    lsm_put32(p, (uint32_t)n);
    p += 4;
    lsm_table_props *x = &b->props;
    for (size_t i = 0; i < n && !b->status; i++) {
        lsm_range r = lsm_tombs_at(b->tombs, i);
        p = lsm_put_varint(p, r.start_len);
        p = lsm_put_varint(p, r.end_len);
        lsm_put64(p, r.seq);
        memcpy(p + 8, r.start, r.start_len);
        memcpy(p + 8 + r.start_len, r.end, r.end_len);
        p += 8 + r.start_len + r.end_len;
        int bad = 0;
        if (!x->smallest || lsm_compare_keys(r.start, r.start_len, x->smallest, x->smallest_len) < 0)
            bad |= set_key(&x->smallest, &x->smallest_len, r.start, r.start_len);
        if (!x->largest || lsm_compare_keys(r.end, r.end_len, x->largest, x->largest_len) > 0) {
            bad |= set_key(&x->largest, &x->largest_len, r.end, r.end_len);
            x->largest_exclusive = 1;
        }
        if (bad) no_memory(b, e);
    }
    if (!b->status) write_block(b, data, (size_t)(p - data), LSM_C_RANGEDEL, 0, out, e);
    free(data);
    return b->status;
}

static int write_tail(lsm_builder *b, lsm_error *e) {
    lsm_footer f = {.index_kind = (uint32_t)b->opt.index_kind, .database_id = b->env->database_id, .number = b->number};
    lsm_table_props *x = &b->props;
    if (end_block(b, e) != LSM_OK) return b->status;
    if (settle(b, NULL) != LSM_OK) return no_memory(b, e);
    if (x->entries && set_key(&x->largest, &x->largest_len, b->last, x->largest_len) != LSM_OK) return no_memory(b, e);
    if (b->opt.codec) strncpy(x->codec_name, b->opt.codec->name, sizeof x->codec_name - 1);
    if (write_index(b, &f.index, e) != LSM_OK || write_filter(b, &f.filter, e) != LSM_OK || write_range_filter(b, e) != LSM_OK ||
        write_tombs(b, &f.tombs, e) != LSM_OK)
        return b->status;
    if (!x->smallest) return fail_at(b, LSM_INVALID, e, "a table needs an entry or a range tombstone");
    x->values = b->refs.rows; /* from here on the properties own them */
    x->n_values = b->refs.n;
    b->refs.rows = NULL;
    uint8_t *props = NULL, footer[LSM_FOOTER];
    size_t n = lsm_props_encode(x, &props);
    if (!n) return no_memory(b, e);
    int status = write_block(b, props, n, LSM_C_META, 0, &f.props, e);
    free(props);
    if (status != LSM_OK) return b->status;
    f.chain = b->chain;
    lsm_footer_encode(b->env, &f, footer);
    if (emit(b, footer, sizeof footer, e) != LSM_OK || flush_out(b, e) != LSM_OK) return b->status;
    lsm_count(b->env->ledger, LSM_OP_WRITE, b->level, LSM_C_META, b->cause, LSM_FOOTER);
    x->footer_crc = lsm_get32(footer + LSM_FOOTER - 4);
    x->number = b->number;
    x->file_size = b->offset;
    int slot = lsm_watch_begin(b->env->watch, LSM_W_TABLE_SYNC), r = b->file->ops->sync(b->file);
    lsm_watch_end(b->env->watch, slot);
    return r < 0 ? fail_io(b, r, "sync", e) : LSM_OK;
}

static void free_builder(lsm_builder *b) {
    for (size_t i = 0; i < b->n_parts; i++) free(b->parts[i]);
    free(b->parts);
    free(b->part_sizes);
    lsm_block_builder_free(&b->block);
    if (b->range) b->opt.range_filter->drop(b->range);
    lsm_tombs_free(b->tombs);
    lsm_props_clear(&b->props);
    free(b->refs.rows);
    free(b->index.data);
    free(b->top.data);
    free(b->hashes);
    free(b->scratch);
    free(b->pending);
    free(b->last);
    free(b->out);
    free(b->path);
    free(b);
}

int lsm_builder_finish(lsm_builder *b, lsm_table_props *props, lsm_error *error) {
    int status = b->status ? lsm_fail(error, b->status, b->path, b->offset, "the table has failed before") : write_tail(b, error);
    if (status == LSM_OK) {
        int r = b->file->ops->close(b->file);
        b->file = NULL;
        if (r < 0) {
            status = lsm_fail_io(error, r, b->path, "close");
            b->env->fs->ops->unlink(b->env->fs, b->path);
        }
    }
    if (status != LSM_OK) {
        lsm_builder_abandon(b);
        return status;
    }
    *props = b->props;
    b->props.smallest = b->props.largest = NULL;
    b->props.values = NULL;
    free_builder(b);
    return LSM_OK;
}

void lsm_builder_abandon(lsm_builder *b) {
    if (b->file) {
        b->file->ops->close(b->file);
        b->env->fs->ops->unlink(b->env->fs, b->path);
    }
    free_builder(b);
}
