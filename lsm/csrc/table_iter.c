/* table_iter.c: all entries of a table in order, forwards and backwards.
 *
 *   position = partition j (0 of a full index) . block i . entry        a block is read when the position enters it
 *
 * Readahead: a forward scan that does not go through the cache reads spans of whole blocks at once and takes blocks out of the span.
 */
#include "lsm/csrc/table_impl.h"
#include <errno.h>
#include <stdlib.h>

typedef struct table_iter {
    lsm_iter base;
    lsm_table *t;
    lsm_purpose why;
    const lsm_index_part *part;
    lsm_pin part_pin, pin;
    uint32_t j, i; /* partition, block in it */
    int noted; /* a block was entered */
    lsm_block_iter block;
    uint8_t *span; /* readahead: bytes [span_at, span_at + span_n) of the file */
    uint64_t span_at;
    size_t span_n, span_cap, readahead;
} table_iter;

/* The block shows an entry, or has failed. */
static void sync_base(table_iter *it) {
    it->base.valid = it->block.valid;
    if (it->block.valid)
        it->base.entry = it->block.e;
    else
        it->base.status = lsm_fail(it->base.error, it->block.status, it->t->path, it->part->handles[it->i].offset,
                                   it->block.status == LSM_NOMEM ? "out of memory" : "the block does not parse");
}

static int stop(table_iter *it, int status) {
    it->base.valid = 0;
    it->block.valid = 0;
    if (status < 0) it->base.status = status;
    return 0;
}

static uint32_t n_parts(const table_iter *it) { return it->t->footer.index_kind == LSM_INDEX_FULL ? 1 : it->t->index->n; }

static int enter_part(table_iter *it, uint32_t j) {
    lsm_unpin(&it->part_pin);
    it->j = j;
    if (it->t->footer.index_kind == LSM_INDEX_FULL) {
        it->part = it->t->index;
        return 1;
    }
    int status = lsm_read_partition(it->t, j, it->why, &it->part, &it->part_pin, it->base.error);
    return status == LSM_OK ? 1 : stop(it, status);
}

/* Fills the span with as many whole blocks from block i on as readahead allows. */
static int fill_span(table_iter *it, uint32_t i) {
    lsm_table *t = it->t;
    const lsm_handle *h = it->part->handles, *first = h + i;
    uint64_t from = h[i].offset, to = from + h[i].size + LSM_TRAILER;
    for (i++; i < it->part->n && h[i].offset + h[i].size + LSM_TRAILER - from <= it->readahead; i++)
        to = h[i].offset + h[i].size + LSM_TRAILER;
    if (it->span_cap < to - from) {
        free(it->span);
        it->span_cap = to - from > it->readahead ? to - from : it->readahead;
        if (!(it->span = malloc(it->span_cap))) {
            it->span_cap = it->span_n = 0;
            return lsm_fail(it->base.error, LSM_NOMEM, t->path, from, "out of memory for readahead");
        }
    }
    int64_t got = t->file->ops->pread(t->file, it->span, to - from, from);
    it->span_n = 0;
    if (got == -EBADMSG || (got >= 0 && (uint64_t)got != to - from)) lsm_note_damage(t, from);
    if (got < 0) return lsm_fail_io(it->base.error, (int)got, t->path, "read");
    if ((uint64_t)got != to - from) return lsm_fail(it->base.error, LSM_CORRUPT, t->path, from, "the file ends early");
    it->span_at = from;
    it->span_n = to - from;
    for (const lsm_handle *b = first; b->offset < to && b < h + it->part->n; b++)
        lsm_count(t->env->ledger, LSM_OP_READ, it->why.level, LSM_C_DATA, it->why.cause, b->size + LSM_TRAILER);
    return LSM_OK;
}

static int read_ahead(table_iter *it, uint32_t i, const uint8_t **data, uint32_t *size) {
    lsm_handle h = it->part->handles[i];
    if (lsm_check_size(it->t, h, it->base.error) != LSM_OK) return LSM_CORRUPT;
    if (h.offset < it->span_at || h.offset + h.size + LSM_TRAILER > it->span_at + it->span_n) {
        int status = fill_span(it, i);
        if (status != LSM_OK) return status;
    }
    lsm_block *b = NULL;
    int status = lsm_unpack_block(it->t, h, it->span + (h.offset - it->span_at), &b, it->base.error);
    if (status != LSM_OK) return status;
    it->pin.block = b;
    *data = b->data;
    *size = b->size;
    return LSM_OK;
}

static int enter_block(table_iter *it, uint32_t i) {
    const uint8_t *data = NULL;
    uint32_t size = 0;
    lsm_block_view v;
    lsm_unpin(&it->pin);
    it->i = i;
    if (it->why.cause == LSM_BY_SCAN && !it->noted) lsm_note_read(it->t);
    it->noted = 1;
    int status = it->readahead && !it->t->map ? read_ahead(it, i, &data, &size)
                                              : lsm_read_block(it->t, it->part->handles[i], it->part == it->t->index ? i : LSM_NO_ORDINAL,
                                                               it->why, &data, &size, &it->pin, it->base.error);
    if (status != LSM_OK) return stop(it, status);
    if (lsm_block_view_init(&v, data, size) != LSM_OK)
        return stop(it, lsm_fail(it->base.error, LSM_CORRUPT, it->t->path, it->part->handles[i].offset, "the block does not parse"));
    lsm_block_iter_init(&it->block, &v);
    if (it->t->cells && it->part == it->t->index) lsm_table_near(it->t, i + 1); /* a scan comes there next */
    return 1;
}

/* The block after the current one; 0 at the end. */
static int next_block(table_iter *it) {
    if (it->i + 1 < it->part->n) return enter_block(it, it->i + 1);
    if (it->j + 1 >= n_parts(it)) return stop(it, 0);
    return enter_part(it, it->j + 1) && enter_block(it, 0);
}

static int prev_block(table_iter *it) {
    if (it->i) return enter_block(it, it->i - 1);
    if (!it->j) return stop(it, 0);
    return enter_part(it, it->j - 1) && enter_block(it, it->part->n - 1);
}

static int is_empty(table_iter *it) {
    if (it->base.status < 0 || !it->t->index->n) {
        it->base.valid = 0;
        return 1;
    }
    return 0;
}

static void iter_first(lsm_iter *base) {
    table_iter *it = (table_iter *)base;
    if (is_empty(it) || !enter_part(it, 0) || !enter_block(it, 0)) return;
    lsm_block_first(&it->block);
    sync_base(it);
}

static void iter_last(lsm_iter *base) {
    table_iter *it = (table_iter *)base;
    if (is_empty(it) || !enter_part(it, n_parts(it) - 1) || !enter_block(it, it->part->n - 1)) return;
    lsm_block_last(&it->block);
    sync_base(it);
}

/* Skips ends of blocks, forwards. */
static void settle_forward(table_iter *it) {
    while (!it->block.valid && it->block.status == LSM_OK) {
        if (!next_block(it)) return;
        lsm_block_first(&it->block);
    }
    sync_base(it);
}

static void settle_backward(table_iter *it) {
    while (!it->block.valid && it->block.status == LSM_OK) {
        if (!prev_block(it)) return;
        lsm_block_last(&it->block);
    }
    sync_base(it);
}

/* Places part and i at the first block whose separator is >= key. 0 when every key is smaller. */
static int locate(table_iter *it, const uint8_t *key, size_t n) {
    uint32_t i = lsm_table_find(it->t, key, n);
    if (i == it->t->index->n) return stop(it, 0);
    const int full = it->t->footer.index_kind == LSM_INDEX_FULL;
    if (!enter_part(it, full ? 0 : i)) return 0;
    if (full) return enter_block(it, i);
    i = lsm_index_find(it->part, key, n);
    if (i == it->part->n) return stop(it, lsm_fail(it->base.error, LSM_CORRUPT, it->t->path, 0, "index partitions contradict their top"));
    return enter_block(it, i);
}

static void iter_seek(lsm_iter *base, const uint8_t *key, size_t n, uint64_t seq) {
    table_iter *it = (table_iter *)base;
    if (is_empty(it) || !locate(it, key, n)) return;
    lsm_block_seek(&it->block, key, n, seq);
    while (!it->block.valid && it->block.status == LSM_OK) { /* newer versions of key may go on in the next block: seek there too */
        if (!next_block(it)) return;
        lsm_block_seek(&it->block, key, n, seq);
    }
    sync_base(it);
}

static void iter_seek_before(lsm_iter *base, const uint8_t *key, size_t n) {
    table_iter *it = (table_iter *)base;
    if (is_empty(it)) return;
    if (!locate(it, key, n)) {
        if (base->status == LSM_OK) iter_last(base);
        return;
    }
    lsm_block_seek(&it->block, key, n, UINT64_MAX);
    if (it->block.valid)
        lsm_block_prev(&it->block);
    else if (it->block.status == LSM_OK)
        lsm_block_last(&it->block);
    settle_backward(it);
}

static void iter_next(lsm_iter *base) {
    table_iter *it = (table_iter *)base;
    lsm_block_next(&it->block);
    if (__builtin_expect(it->block.valid, 1)) {
        base->entry = it->block.e;
        return;
    }
    settle_forward(it);
}

static void iter_prev(lsm_iter *base) {
    table_iter *it = (table_iter *)base;
    lsm_block_prev(&it->block);
    settle_backward(it);
}

static void iter_close(lsm_iter *base) {
    table_iter *it = (table_iter *)base;
    lsm_unpin(&it->pin);
    lsm_unpin(&it->part_pin);
    lsm_block_iter_free(&it->block);
    free(it->span);
    lsm_table_unref(it->t);
    free(it);
}

static const lsm_iter_ops table_ops = {
    LSM_ABI, sizeof(lsm_iter_ops), iter_first, iter_last, iter_seek, iter_seek_before, iter_next, iter_prev, iter_close,
};

lsm_block_iter *lsm_table_iter_block(lsm_iter *it) { return it->ops == &table_ops ? &((table_iter *)it)->block : NULL; }

lsm_iter *lsm_table_iter(lsm_table *t, int level, int cause, int fill_cache, size_t readahead, lsm_error *error) {
    table_iter *it = calloc(1, sizeof *it);
    if (!it) return NULL;
    it->base.ops = &table_ops;
    it->base.error = error;
    it->t = t;
    it->why = (lsm_purpose){level, LSM_C_DATA, cause, fill_cache, NULL};
    it->readahead = readahead;
    it->part = t->index;
    lsm_block_iter_new(&it->block);
    lsm_table_ref(t);
    return &it->base;
}
