/* table_verify.c: reads a whole table and checks all that it says of itself. */
#include "lsm/csrc/merge.h"
#include "lsm/csrc/table_impl.h"
#include "lsm/csrc/values.h"
#include <stdlib.h>

typedef struct walk {
    lsm_table *t;
    lsm_error *e;
    lsm_bucket *bucket;
    const int *stop;
    uint64_t at; /* where the next block must begin */
    uint32_t chain;
    uint64_t entries, deletions, key_bytes, value_bytes, blocks;
    uint64_t min_seq, max_seq;
    uint8_t *last;
    uint32_t last_len;
    uint64_t last_seq;
    lsm_value_refs refs;
} walk;

static int damaged(walk *w, uint64_t at, const char *what) { return lsm_fail(w->e, LSM_CORRUPT, w->t->path, at, "%s", what); }

/* Checks that the block stands right behind the one before, and its trailer; adds it to the chain. out may be NULL. */
static int walk_block(walk *w, lsm_handle h, int component, lsm_block **out) {
    lsm_table *t = w->t;
    if (h.offset != w->at) return damaged(w, h.offset, "a gap or an overlap between blocks");
    if (lsm_check_size(t, h, w->e) != LSM_OK) return LSM_CORRUPT;
    size_t n = (size_t)h.size + LSM_TRAILER;
    lsm_bucket_take(w->bucket, n, w->stop);
    if (w->stop && __atomic_load_n(w->stop, __ATOMIC_RELAXED)) return lsm_fail(w->e, LSM_CANCELLED, t->path, h.offset, "stopped");
    uint8_t *raw = malloc(n);
    if (!raw) return lsm_fail(w->e, LSM_NOMEM, t->path, h.offset, "out of memory");
    int64_t got = t->file->ops->pread(t->file, raw, n, h.offset);
    lsm_block *b = NULL;
    int status;
    if (got < 0)
        status = lsm_fail_io(w->e, (int)got, t->path, "read");
    else if ((size_t)got != n)
        status = damaged(w, h.offset, "the file ends early");
    else {
        lsm_count(t->env->ledger, LSM_OP_READ, -1, component, LSM_BY_CHECK, n);
        status = lsm_unpack_block(t, h, raw, &b, w->e);
    }
    if (status == LSM_OK) {
        w->chain = t->env->crc32c(w->chain, raw + h.size, LSM_TRAILER);
        w->at += n;
    }
    free(raw);
    if (out && status == LSM_OK)
        *out = b;
    else
        lsm_block_release(b);
    return status;
}

static int check_entry(walk *w, const lsm_entry *e, lsm_handle h, const uint8_t *sep, size_t sep_len) {
    lsm_table *t = w->t;
    if (w->entries) {
        int c = lsm_compare_keys(w->last, w->last_len, e->key, e->key_len);
        if (c > 0 || (c == 0 && w->last_seq <= e->seq)) return damaged(w, h.offset, "entries out of order");
    }
    if (e->kind > LSM_VALUE_POINTER || e->kind == LSM_RANGE_DELETE) return damaged(w, h.offset, "an entry of a kind that there is not");
    int refs = e->kind == LSM_VALUE_POINTER ? lsm_value_refs_add(&w->refs, e) : LSM_OK;
    if (refs != LSM_OK)
        return refs == LSM_NOMEM ? lsm_fail(w->e, refs, t->path, h.offset, "out of memory")
                                 : damaged(w, h.offset, "a pointer of a wrong length");
    if (lsm_compare_keys(e->key, e->key_len, sep, sep_len) > 0) return damaged(w, h.offset, "a key behind its block's separator");
    if (t->filter_bytes && !t->filter->may_contain(t->filter_bytes, t->footer.filter.size, t->filter->hash(e->key, e->key_len)))
        return damaged(w, h.offset, "the filter denies a key of the table");
    if (t->range && !t->range_ops->may_contain(t->range, e->key, e->key_len))
        return damaged(w, h.offset, "the range filter denies a key of the table");
    if (lsm_compare_keys(e->key, e->key_len, t->props.smallest, t->props.smallest_len) < 0 ||
        lsm_compare_keys(e->key, e->key_len, t->props.largest, t->props.largest_len) > 0)
        return damaged(w, h.offset, "a key outside of the table's bounds");
    memcpy(w->last, e->key, e->key_len);
    w->last_len = e->key_len;
    w->last_seq = e->seq;
    w->entries++;
    w->deletions += e->kind == LSM_DELETE;
    w->key_bytes += e->key_len;
    w->value_bytes += e->value_len;
    if (e->seq < w->min_seq) w->min_seq = e->seq;
    if (e->seq > w->max_seq) w->max_seq = e->seq;
    return LSM_OK;
}

static int walk_data(walk *w, const lsm_index_part *part) {
    for (uint32_t i = 0; i < part->n; i++) {
        lsm_block *b = NULL;
        lsm_block_view v;
        lsm_block_iter it;
        size_t sn;
        const uint8_t *sep = lsm_index_key(part, i, &sn);
        int status = walk_block(w, part->handles[i], LSM_C_DATA, &b);
        if (status != LSM_OK) return status;
        w->blocks++;
        lsm_block_iter_new(&it);
        status =
            lsm_block_view_init(&v, b->data, b->size) == LSM_OK ? LSM_OK : damaged(w, part->handles[i].offset, "the block does not parse");
        if (status == LSM_OK) {
            lsm_block_iter_init(&it, &v);
            for (lsm_block_first(&it); status == LSM_OK && it.valid; lsm_block_next(&it))
                status = check_entry(w, &it.e, part->handles[i], sep, sn);
            if (status == LSM_OK && it.status != LSM_OK)
                status = it.status == LSM_NOMEM ? lsm_fail(w->e, LSM_NOMEM, w->t->path, part->handles[i].offset, "out of memory")
                                                : damaged(w, part->handles[i].offset, "the block does not parse");
        }
        lsm_block_iter_free(&it);
        lsm_block_release(b);
        if (status != LSM_OK) return status;
    }
    return LSM_OK;
}

static int walk_two_level(walk *w) {
    lsm_table *t = w->t;
    int status = LSM_OK;
    for (int pass = 0; pass < 2; pass++) /* all data blocks come before all partitions */
        for (uint32_t j = 0; status == LSM_OK && j < t->index->n; j++) {
            const lsm_index_part *part;
            lsm_pin pin = {0};
            if (pass) {
                status = walk_block(w, t->index->handles[j], LSM_C_INDEX, NULL);
                continue;
            }
            status = lsm_read_partition(t, j, (lsm_purpose){-1, LSM_C_INDEX, LSM_BY_CHECK, 0, NULL}, &part, &pin, w->e);
            if (status != LSM_OK) break;
            status = walk_data(w, part);
            size_t n, m;
            const uint8_t *top = lsm_index_key(t->index, j, &n), *own = lsm_index_key(part, part->n - 1, &m);
            if (status == LSM_OK && lsm_compare_keys(top, n, own, m))
                status = damaged(w, t->index->handles[j].offset, "partition and top disagree");
            lsm_unpin(&pin);
        }
    return status;
}

static int check_totals(walk *w) {
    const lsm_table_props *x = &w->t->props;
    for (size_t i = 0, n = lsm_tombs_count(w->t->tombs); i < n; i++) {
        uint64_t seq = lsm_tombs_at(w->t->tombs, i).seq;
        if (seq < w->min_seq) w->min_seq = seq;
        if (seq > w->max_seq) w->max_seq = seq;
    }
    if (w->entries != x->entries || w->deletions != x->deletions || w->key_bytes != x->raw_key_bytes ||
        w->value_bytes != x->raw_value_bytes || w->blocks != x->data_blocks || w->min_seq != x->min_seq || w->max_seq != x->max_seq)
        return damaged(w, w->t->footer.props.offset, "the properties do not agree with the entries");
    if (w->refs.n != x->n_values || (x->n_values && memcmp(w->refs.rows, x->values, x->n_values * sizeof *x->values)))
        return damaged(w, w->t->footer.props.offset, "the properties do not agree with the entries on value files");
    if (w->at != w->t->size - LSM_FOOTER) return damaged(w, w->at, "bytes that belong to no block");
    if (w->chain != w->t->footer.chain)
        return damaged(w, w->t->size - LSM_FOOTER, "the chain over all blocks does not end as the footer says");
    return LSM_OK;
}

int lsm_table_verify(lsm_table *t, struct lsm_bucket *bucket, const int *stop, lsm_error *error) {
    walk w = {.t = t, .e = error, .bucket = bucket, .stop = stop, .min_seq = UINT64_MAX, .last = malloc(LSM_MAX_KEY)};
    if (!w.last) return lsm_fail(error, LSM_NOMEM, t->path, 0, "out of memory");
    int status = t->footer.index_kind == LSM_INDEX_FULL ? walk_data(&w, t->index) : walk_two_level(&w);
    if (status == LSM_OK) status = walk_block(&w, t->footer.index, LSM_C_INDEX, NULL);
    if (status == LSM_OK && t->footer.filter.size) status = walk_block(&w, t->footer.filter, LSM_C_FILTER, NULL);
    if (status == LSM_OK && t->range) status = walk_block(&w, lsm_range_handle(&t->props), LSM_C_RANGE_FILTER, NULL);
    if (status == LSM_OK && t->footer.tombs.size) status = walk_block(&w, t->footer.tombs, LSM_C_RANGEDEL, NULL);
    if (status == LSM_OK) status = walk_block(&w, t->footer.props, LSM_C_META, NULL);
    if (status == LSM_OK) status = check_totals(&w);
    if (status == LSM_OK) { /* the footer was read at open; the file may have changed since */
        uint8_t raw[LSM_FOOTER];
        lsm_footer again;
        int64_t got = t->file->ops->pread(t->file, raw, LSM_FOOTER, t->size - LSM_FOOTER);
        if (got < 0)
            status = lsm_fail_io(error, (int)got, t->path, "read");
        else if (got != LSM_FOOTER)
            status = damaged(&w, t->size - LSM_FOOTER, "the file ends early");
        else {
            lsm_count(t->env->ledger, LSM_OP_READ, -1, LSM_C_META, LSM_BY_CHECK, LSM_FOOTER);
            status = lsm_footer_decode(t->env, raw, t->path, t->size, &again, error);
        }
    }
    free(w.refs.rows);
    free(w.last);
    return status;
}
