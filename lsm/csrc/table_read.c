/* table_read.c: blocks in, entries out: every block is verified once per load. */
#include "lsm/csrc/table_impl.h"
#include "lsm/csrc/rows.h"
#include <errno.h>
#include <stdlib.h>

#define MAX_RATIO                                                                                                                          \
    65536 /* no codec packs more tightly (zstd: 128 KiB of one byte in 3 bytes and a header); a forged length gets no more memory than that */

static int check_crc(lsm_table *t, lsm_handle h, const uint8_t *raw, lsm_error *e) {
    uint32_t stored = lsm_get32(raw + h.size + 1), found = lsm_block_crc(t->env, t->number, h.offset, raw, h.size + 1);
    if (stored == found) return LSM_OK;
    lsm_note_damage(t, h.offset);
    return lsm_fail(e, LSM_CORRUPT, t->path, h.offset, "block checksum: stored %08x, computed %08x", stored, found);
}

/* raw has passed its check. */
static int decompress(lsm_table *t, lsm_handle h, const uint8_t *raw, lsm_block **out, lsm_error *e) {
    uint32_t id = raw[h.size], size = h.size;
    const lsm_codec *c = NULL;
    for (uint32_t i = 0; id && i < t->env->n_codecs; i++)
        if (t->env->codecs[i]->id == id) c = t->env->codecs[i];
    if (id && !c) return lsm_fail(e, LSM_INVALID, t->path, h.offset, "codec %u of the block is not available", id);
    if (id) {
        size = h.size >= 4 ? lsm_get32(raw) : 0;
        uint32_t most = t->env->max_block ? t->env->max_block : LSM_MAX_BLOCK, ratio = t->env->max_ratio ? t->env->max_ratio : MAX_RATIO;
        if (h.size < 4 || size > most || size / ratio > h.size)
            return lsm_fail(e, LSM_CORRUPT, t->path, h.offset, "a block of %u bytes says it holds %u", h.size, size);
    }
    lsm_block *b = lsm_block_alloc(t->env->cache, size);
    if (!b) return lsm_fail(e, LSM_NOMEM, t->path, h.offset, "out of memory for a block of %u bytes", size);
    if (!id)
        memcpy(b->data, raw, size);
    else if (c->decompress(c, raw + 4, h.size - 4, b->data, size) != (int64_t)size) {
        lsm_block_release(b);
        return lsm_fail(e, LSM_CORRUPT, t->path, h.offset, "%s cannot decompress the block", c->name);
    }
    *out = b;
    return LSM_OK;
}

int lsm_unpack_block(lsm_table *t, lsm_handle h, const uint8_t *raw, lsm_block **out, lsm_error *e) {
    int status = check_crc(t, h, raw, e);
    return status == LSM_OK ? decompress(t, h, raw, out, e) : status;
}

static int load_block(lsm_table *t, lsm_handle h, lsm_purpose why, lsm_block **out, lsm_error *e) {
    size_t n = (size_t)h.size + LSM_TRAILER;
    lsm_reader_blocks(why.by);
    if (lsm_check_size(t, h, e) != LSM_OK) return LSM_CORRUPT;
    uint8_t *raw = malloc(n);
    if (!raw) return lsm_fail(e, LSM_NOMEM, t->path, h.offset, "out of memory for a block of %zu bytes", n);
    int64_t got = t->file->ops->pread(t->file, raw, n, h.offset);
    int status;
    if (got == -EBADMSG || (got >= 0 && (size_t)got != n)) lsm_note_damage(t, h.offset);
    if (got < 0)
        status = lsm_fail_io(e, (int)got, t->path, "read");
    else if ((size_t)got != n)
        status = lsm_fail(e, LSM_CORRUPT, t->path, h.offset, "the file ends early");
    else {
        lsm_count(t->env->ledger, LSM_OP_READ, why.level, why.component, why.cause, n);
        status = lsm_unpack_block(t, h, raw, out, e);
    }
    free(raw);
    return status;
}

static inline int is_verified(const lsm_table *t, uint64_t offset) {
    return atomic_load_explicit(&t->map_verified[offset / 64], memory_order_acquire) >> (offset / 8 % 8) & 1;
}

static lsm_block *insert(lsm_table *t, lsm_handle h, uint32_t i, lsm_purpose why, lsm_block *b) {
    if (!t->env->cache || !why.fill_cache) return b;
    lsm_cell *cell = i != LSM_NO_ORDINAL ? &t->cells[i] : NULL; /* a whole index and a cache: it has cells */
    return lsm_cache_insert(t->env->cache, t->number, cell ? i : h.offset, cell, b);
}

/* A data block that is cached. 1 when it was, with a pin that holds it unless it is lent to the reader. */
static int look_up(lsm_table *t, lsm_handle h, uint32_t i, lsm_reader *by, const uint8_t **data, uint32_t *size, lsm_pin *pin) {
    if (!t->env->cache) return 0;
    lsm_cell *cell = i != LSM_NO_ORDINAL ? &t->cells[i] : NULL;
    int lent;
    lsm_block *b = lsm_cache_lookup(t->env->cache, t->number, cell ? i : h.offset, cell, by, &lent);
    if (!b) return 0;
    *data = b->data;
    *size = lent ? atomic_load_explicit(&cell->size, memory_order_relaxed) : b->size; /* the head of the block is not touched */
    pin->block = lent ? NULL : b;
    return 1;
}

/* Mapped, and without a codec: the bytes themselves. 1 when served, 0 when another way is needed, or an error. */
static int read_mapped(lsm_table *t, lsm_handle h, uint32_t i, lsm_purpose why, const uint8_t **data, uint32_t *size, lsm_pin *pin,
                       lsm_error *e) {
    const uint8_t *raw = t->map + h.offset;
    if (is_verified(t, h.offset)) {
        lsm_reader_count(why.by, t->env->ledger, LSM_OP_HIT, why.level, why.component, why.cause, h.size);
    } else {
        int status = check_crc(t, h, raw, e);
        if (status != LSM_OK) return status;
        lsm_count(t->env->ledger, LSM_OP_READ, why.level, why.component, why.cause, h.size + LSM_TRAILER);
        if (!raw[h.size]) {
            uint8_t bit = (uint8_t)(1u << (h.offset / 8 % 8));
            atomic_fetch_or_explicit(&t->map_verified[h.offset / 64], bit, memory_order_release);
        }
    }
    if (raw[h.size]) {
        lsm_block *b = NULL;
        int status = decompress(t, h, raw, &b, e);
        if (status != LSM_OK) return status;
        b = insert(t, h, i, why, b);
        *pin = (lsm_pin){b};
        *data = b->data;
        *size = b->size;
        return 1;
    }
    *pin = (lsm_pin){NULL};
    *data = raw;
    *size = h.size;
    return 1;
}

/* A block that is not cached. */
static int read_stored(lsm_table *t, lsm_handle h, uint32_t i, lsm_purpose why, const uint8_t **data, uint32_t *size, lsm_pin *pin,
                       lsm_error *e) {
    lsm_block *b = NULL;
    int status = load_block(t, h, why, &b, e);
    if (status != LSM_OK) return status;
    b = insert(t, h, i, why, b);
    pin->block = b;
    *data = b->data;
    *size = b->size;
    return LSM_OK;
}

int lsm_read_block(lsm_table *t, lsm_handle h, uint32_t i, lsm_purpose why, const uint8_t **data, uint32_t *size, lsm_pin *pin,
                   lsm_error *e) {
    if (t->map && !is_verified(t, h.offset)) lsm_reader_blocks(why.by); /* a page may have to be read */
    int mapped_raw = t->map && !t->map[h.offset + h.size];
    /* Only data is kept as bytes: partitions are kept parsed, and to look for their bytes too would count a miss twice. */
    if (!mapped_raw && why.component == LSM_C_DATA && look_up(t, h, i, why.by, data, size, pin)) {
        lsm_reader_count(why.by, t->env->ledger, LSM_OP_HIT, why.level, why.component, why.cause, *size);
        return LSM_OK;
    }
    if (t->map) {
        int status = read_mapped(t, h, i, why, data, size, pin, e);
        return status == 1 ? LSM_OK : status;
    }
    return read_stored(t, h, i, why, data, size, pin, e);
}

/* The parsed form lives in a block of its own, cached under the partition's offset with the top bit of the offset's field set aside by + 1:
 * no block begins one byte behind another. */
int lsm_read_partition(lsm_table *t, uint32_t i, lsm_purpose why, const lsm_index_part **out, lsm_pin *pin, lsm_error *e) {
    lsm_handle h = t->index->handles[i];
    int lent; /* never: a partition has no cell */
    lsm_block *b = t->env->cache ? lsm_cache_lookup(t->env->cache, t->number, h.offset + 1, NULL, why.by, &lent) : NULL;
    if (!b) {
        lsm_pin raw = {0};
        const uint8_t *data;
        uint32_t n;
        lsm_purpose once = {why.level, LSM_C_INDEX, why.cause, 0, why.by};
        int status = lsm_read_block(t, h, LSM_NO_ORDINAL, once, &data, &n, &raw, e);
        if (status != LSM_OK) return status;
        lsm_index_part *part = lsm_index_parse(data, n, t->size, &status);
        lsm_unpin(&raw);
        if (!part)
            return lsm_fail(e, status, t->path, h.offset, status == LSM_NOMEM ? "out of memory" : "the index partition does not parse");
        b = part->n ? lsm_block_alloc(t->env->cache, 0) : NULL;
        if (!b) {
            status = part->n ? LSM_NOMEM : LSM_CORRUPT;
            free(part);
            return lsm_fail(e, status, t->path, h.offset, status == LSM_NOMEM ? "out of memory" : "an empty index partition");
        }
        b->aux = part;
        b->size = (uint32_t)part->memory; /* what the cache charges */
        if (t->env->cache && why.fill_cache) b = lsm_cache_insert(t->env->cache, t->number, h.offset + 1, NULL, b);
    } else {
        lsm_reader_count(why.by, t->env->ledger, LSM_OP_HIT, why.level, LSM_C_INDEX, why.cause, h.size);
    }
    pin->block = b;
    *out = b->aux;
    return LSM_OK;
}

uint32_t lsm_table_find(const lsm_table *t, const uint8_t *key, size_t n) {
    return t->searcher ? t->search->find(t->searcher, key, n) : lsm_index_find(t->index, key, n);
}

int lsm_table_may_contain(lsm_table *t, uint64_t hash, int level, const lsm_reader *by) {
    if (!t->filter_bytes) return 1;
    int maybe = t->filter->may_contain(t->filter_bytes, t->footer.filter.size, hash);
    lsm_reader_count(by, t->env->ledger, maybe ? LSM_OP_PROBE : LSM_OP_SKIP, level, LSM_C_FILTER, LSM_BY_GET, 0);
    return maybe;
}

void lsm_table_may_contain_many(lsm_table *t, const uint64_t *hashes, uint32_t n, uint8_t *out, int level, const lsm_reader *by) {
    memset(out, 1, n);
    if (!t->filter_bytes || !n) return;
    t->filter->may_contain_many(t->filter_bytes, t->footer.filter.size, hashes, n, out);
    uint32_t maybe = 0;
    for (uint32_t i = 0; i < n; i++) maybe += out[i];
    lsm_reader_count_many(by, t->env->ledger, LSM_OP_PROBE, level, LSM_C_FILTER, LSM_BY_GET, maybe);
    lsm_reader_count_many(by, t->env->ledger, LSM_OP_SKIP, level, LSM_C_FILTER, LSM_BY_GET, n - maybe);
}

uint32_t lsm_table_aim(const lsm_table *t, const uint8_t *key, size_t n) {
    if (!t->cells) return LSM_NO_ORDINAL;
    uint32_t i = lsm_table_find(t, key, n);
    if (i < t->index->n) __builtin_prefetch(&t->cells[i]);
    return i;
}

void lsm_table_near(const lsm_table *t, uint32_t i) {
    if (i < t->index->n) lsm_cell_prefetch(&t->cells[i]);
}

/* Block i of a part, looked at for key. i is its ordinal in the table when the part is the whole index. */
static int get_block(lsm_table *t, const lsm_index_part *part, uint32_t i, const uint8_t *key, size_t n, int level, lsm_reader *by,
                     lsm_held *out, lsm_error *e) {
    const lsm_purpose why = {level, LSM_C_DATA, LSM_BY_GET, 1, by};
    const uint8_t *data = NULL;
    uint32_t size = 0;
    int status = LSM_OK;
    out->pin.block = NULL;
    if (part != t->index)
        status = lsm_read_block(t, part->handles[i], LSM_NO_ORDINAL, why, &data, &size, &out->pin, e);
    else if (t->map || !t->cells)
        status = lsm_read_block(t, part->handles[i], i, why, &data, &size, &out->pin, e);
    else if (look_up(t, (lsm_handle){0}, i, by, &data, &size, &out->pin)) /* what is cached needs no handle */
        lsm_reader_hit(by, t->env->ledger, level, size);
    else
        status = read_stored(t, part->handles[i], i, why, &data, &size, &out->pin, e);
    if (status == LSM_OK && lsm_block_view_init(&out->view, data, size) != LSM_OK) {
        lsm_unpin(&out->pin);
        status = lsm_fail(e, LSM_CORRUPT, t->path, part->handles[i].offset, "the block does not parse");
    }
    if (status == LSM_OK)
        out->aim = lsm_block_aim(&out->view, key, n);
    else
        out->view.data = NULL;
    return status;
}

int lsm_table_hold(lsm_table *t, uint32_t i, const uint8_t *key, size_t n, int level, lsm_reader *by, lsm_held *out, lsm_error *e) {
    if (i == LSM_NO_ORDINAL || i >= t->index->n || t->env->rows) return LSM_OK; /* a row that is cached needs no block */
    return get_block(t, t->index, i, key, n, level, by, out, e);
}

/* Looks for key in one block, the one held if there is one. LSM_NOT_FOUND when it has no version of it that is old enough. */
static int get_in_block(lsm_table *t, const lsm_index_part *part, uint32_t i, lsm_held *held, const uint8_t *key, size_t n,
                        uint64_t snapshot, int level, lsm_reader *by, lsm_entry *out, lsm_pin *pin, lsm_error *e) {
    lsm_held own = *held;
    int status = held->view.data ? LSM_OK : get_block(t, part, i, key, n, level, by, &own, e);
    held->view.data = NULL;
    if (status != LSM_OK) return status;
    status = lsm_block_find(&own.view, own.aim, key, n, snapshot, out);
    if (status == LSM_OK)
        *pin = own.pin;
    else
        lsm_unpin(&own.pin);
    return status < 0 ? lsm_fail(e, status, t->path, part->handles[i].offset, "the block does not parse") : status;
}

/* Goes on over blocks as long as the separator says that versions of key go on in the next one. */
static int get_in_part(lsm_table *t, const lsm_index_part *part, uint32_t i, lsm_held *held, const uint8_t *key, size_t n,
                       uint64_t snapshot, int level, lsm_reader *by, lsm_entry *out, lsm_pin *pin, int *more, lsm_error *e) {
    *more = 0;
    for (; i < part->n; i++) {
        int status = get_in_block(t, part, i, held, key, n, snapshot, level, by, out, pin, e);
        if (status != LSM_NOT_FOUND) return status;
        size_t sn;
        const uint8_t *s = lsm_index_key(part, i, &sn);
        if (sn != n || memcmp(s, key, n)) return LSM_NOT_FOUND;
    }
    *more = 1;
    return LSM_NOT_FOUND;
}

int lsm_table_get_unfiltered(lsm_table *t, const uint8_t *key, size_t n, uint64_t snapshot, int level, lsm_reader *by, lsm_entry *out,
                             lsm_pin *pin, lsm_error *e) {
    uint32_t i = lsm_table_find(t, key, n);
    int more, status = LSM_NOT_FOUND;
    lsm_held none = {0};
    if (t->footer.index_kind == LSM_INDEX_FULL) return get_in_part(t, t->index, i, &none, key, n, snapshot, level, by, out, pin, &more, e);
    for (more = 1; more && i < t->index->n; i++) {
        const lsm_index_part *part;
        lsm_pin hold = {0};
        status = lsm_read_partition(t, i, (lsm_purpose){level, LSM_C_INDEX, LSM_BY_GET, 1, by}, &part, &hold, e);
        if (status != LSM_OK) return status;
        status = get_in_part(t, part, lsm_index_find(part, key, n), &none, key, n, snapshot, level, by, out, pin, &more, e);
        lsm_unpin(&hold);
    }
    return status;
}

int lsm_table_get_aimed(lsm_table *t, uint32_t i, lsm_held *held, const uint8_t *key, size_t n, uint64_t snapshot, int level,
                        lsm_reader *by, lsm_entry *out, lsm_pin *pin, lsm_error *e) {
    lsm_note_read(t);
    lsm_held none = {0};
    if (t->env->rows && lsm_rows_get(t, key, n, snapshot, level, by, out, pin)) return LSM_OK;
    int more, status = i == LSM_NO_ORDINAL
                           ? lsm_table_get_unfiltered(t, key, n, snapshot, level, by, out, pin, e)
                           : get_in_part(t, t->index, i, held ? held : &none, key, n, snapshot, level, by, out, pin, &more, e);
    if (status == LSM_NOT_FOUND && t->filter_bytes) lsm_reader_tally(by, t->env->ledger, LSM_N_FILTER_FALSE, 1);
    if (status == LSM_OK && t->env->rows) lsm_rows_put(t, out, snapshot);
    return status;
}

int lsm_table_get(lsm_table *t, const uint8_t *key, size_t n, uint64_t hash, uint64_t snapshot, int level, lsm_entry *out, lsm_pin *pin,
                  lsm_error *e) {
    if (!lsm_table_may_contain(t, hash, level, NULL)) return LSM_NOT_FOUND;
    return lsm_table_get_aimed(t, LSM_NO_ORDINAL, NULL, key, n, snapshot, level, NULL, out, pin, e);
}
