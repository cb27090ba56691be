/* measure.c: see measure.h. Every function is named after the one of block_builder.c, builder.c or job.c whose sums it does. */
#include "lsm/csrc/measure.h"
#include "lsm/csrc/table_format.h"
#include "lsm/csrc/block.h"
#include <stdlib.h>

#define NONE UINT32_MAX
#define PROBE 1000 /* keys of the empty filter that tells whether the size of one follows from the number of its keys */
#define TOMB_BYTES 128 /* as in write.c */
#define AHEAD 16 /* words */

typedef struct part { /* a finished partition of a two-level index */
    uint64_t size, last_len;
} part;

typedef struct state {
    const lsm_measure_config *c;
    lsm_measured *rows;
    lsm_measure_result *result;
    int open, by_build; /* by_build: the filter has to be built for its size */
    double hash_util;
    uint32_t next_cut, start; /* start: rank where the span under way begins; NONE: open */
    uint64_t offset, n, restarts, since, in_block; /* of the file; of the block: bytes, restarts, entries since the last one, entries */
    uint64_t buckets; /* of the block's hash index, as far as its entries ask for */
    uint64_t index_n, index_count, blocks, last_len; /* last_len: of the index's last separator */
    part *parts;
    size_t n_parts, cap_parts;
    uint32_t last, pending; /* ranks */
    lsm_handle handle; /* of the block that waits for its separator */
    uint64_t *digests;
    size_t cap_digests;
} state;

static const uint8_t *key_of(const state *s, uint32_t rank, uint32_t *n) {
    const lsm_stream *t = s->c->stream;
    *n = (uint32_t)(t->key_at[rank + 1] - t->key_at[rank]);
    return t->keys + t->key_at[rank];
}

static uint32_t shared(const uint8_t *a, uint32_t an, const uint8_t *b, uint32_t bn) {
    uint32_t n = an < bn ? an : bn, i = 0;
    while (i < n && a[i] == b[i]) i++;
    return i;
}

static uint64_t varint(uint64_t v) {
    uint64_t n = 1;
    for (; v >= 128; v >>= 7) n++;
    return n;
}

static uint64_t block_size(const state *s) { return s->n + 4 * s->restarts + 8 + s->buckets; }

static int index_add(state *s, uint64_t len, lsm_handle h) {
    if (!s->index_n) s->index_n = 4;
    s->index_n += varint(len) + len + varint(h.offset) + varint(h.size);
    s->index_count++;
    s->last_len = len;
    return LSM_OK;
}

static int end_partition(state *s) {
    if (!s->index_count) return LSM_OK;
    if (s->n_parts == s->cap_parts) {
        size_t cap = s->cap_parts ? 2 * s->cap_parts : 16;
        part *more = realloc(s->parts, cap * sizeof *more);
        if (!more) return LSM_NOMEM;
        s->parts = more;
        s->cap_parts = cap;
    }
    s->parts[s->n_parts++] = (part){s->index_n, s->last_len};
    s->index_n = s->index_count = 0;
    return LSM_OK;
}

static int settle(state *s, uint32_t next) {
    if (s->pending == NONE) return LSM_OK;
    uint32_t len, n;
    const uint8_t *last = key_of(s, s->pending, &len);
    if (next != NONE) {
        const uint8_t *key = key_of(s, next, &n);
        uint32_t common = shared(last, len, key, n);
        if (common + 1 < len && last[common] + 1 < key[common]) len = common + 1; /* last <= key: where they differ the key goes on */
    }
    s->pending = NONE;
    index_add(s, len, s->handle);
    if (s->c->table->index_kind == LSM_INDEX_TWO_LEVEL && s->index_n >= s->c->table->block_size) return end_partition(s);
    return LSM_OK;
}

static void end_block(state *s) {
    const lsm_table_options *o = s->c->table;
    if (!s->in_block) return;
    uint64_t size = s->n + 4 * s->restarts + 8;
    if (o->hash_index && s->restarts < LSM_BUCKET_MANY) size += s->buckets | 1;
    s->handle = (lsm_handle){s->offset, (uint32_t)size};
    s->offset += size + LSM_TRAILER;
    s->blocks++;
    s->pending = s->last;
    s->n = s->restarts = s->since = s->in_block = s->buckets = 0;
}

static int open_output(state *s) {
    if (s->open) return LSM_OK;
    if (s->result->n_outputs >= s->c->max_outputs) return LSM_INVALID;
    lsm_measured *row = &s->rows[s->result->n_outputs];
    *row = (lsm_measured){.from = s->result->entries_out, .min_seq = UINT64_MAX, .smallest = NONE, .largest = NONE};
    s->open = 1;
    s->offset = s->n = s->restarts = s->since = s->in_block = s->buckets = s->index_n = s->index_count = s->blocks = 0;
    s->n_parts = 0;
    s->last = s->pending = NONE;
    return LSM_OK;
}

static void note_seq(lsm_measured *row, uint64_t seq) {
    if (seq < row->min_seq) row->min_seq = seq;
    if (seq > row->max_seq) row->max_seq = seq;
}

static void note_tombstone(lsm_measured *row, uint64_t seq) {
    if (!row->oldest_tombstone || seq < row->oldest_tombstone) row->oldest_tombstone = seq;
}

static int note_hash(state *s, lsm_measured *row, const uint8_t *key, uint32_t n) {
    if (row->entries == s->cap_digests) {
        size_t cap = s->cap_digests ? 2 * s->cap_digests : 1024;
        uint64_t *more = realloc(s->digests, cap * sizeof *more);
        if (!more) return LSM_NOMEM;
        s->digests = more;
        s->cap_digests = cap;
    }
    s->digests[row->entries] = s->c->table->filter->hash(key, n);
    return LSM_OK;
}

static int add(state *s, uint32_t rank, uint64_t op) {
    const lsm_stream *t = s->c->stream;
    const lsm_table_options *o = s->c->table;
    lsm_measured *row = &s->rows[s->result->n_outputs];
    uint32_t n, common = 0;
    const uint8_t *key = key_of(s, rank, &n);
    uint64_t value = t->kinds[op] == LSM_PUT ? t->value_lens[op] : 0;
    if (s->in_block && block_size(s) + n + value + 16 > o->block_size) end_block(s);
    int rc = settle(s, rank);
    if (rc < 0 || (s->by_build && (rc = note_hash(s, row, key, n)) < 0)) return rc;
    if (s->in_block && s->since < (o->restart_interval ? o->restart_interval : 1)) {
        uint32_t last_n;
        const uint8_t *last = key_of(s, s->last, &last_n);
        common = shared(last, last_n, key, n);
    } else {
        s->restarts++;
        s->since = 0;
    }
    s->n += varint(common) + varint(n - common) + varint(value) + (n - common) + 8 + value;
    s->since++;
    s->in_block++;
    if (o->hash_index) s->buckets = (uint64_t)((double)s->in_block / s->hash_util); /* each key once */
    if (row->smallest == NONE) row->smallest = rank;
    row->largest = s->last = rank;
    note_seq(row, op + 1);
    row->entries++;
    if (t->kinds[op] == LSM_DELETE) {
        row->deletions++;
        note_tombstone(row, op + 1);
    }
    return LSM_OK;
}

/* The part of a range inside [from, to). 0: there is none. */
static int clip(lsm_rank_range *r, uint32_t from, uint32_t to) {
    if (from != NONE && r->start < from) r->start = from;
    if (to != NONE && r->end > to) r->end = to;
    return r->start < r->end;
}

/* The bytes of the tombstones' block, its trailer included; they widen the row. */
static uint64_t tombs_size(state *s, lsm_measured *row, uint32_t to) {
    uint64_t size = 4;
    for (uint32_t i = 0; i < s->c->n_ranges && !s->c->bottom; i++) {
        lsm_rank_range r = s->c->ranges[i];
        if (!clip(&r, s->start, to)) continue;
        uint32_t start_n, end_n;
        key_of(s, r.start, &start_n);
        key_of(s, r.end, &end_n);
        size += varint(start_n) + varint(end_n) + 8 + start_n + end_n;
        note_seq(row, r.seq);
        note_tombstone(row, r.seq);
        row->range_deletes++;
        if (row->smallest == NONE || r.start < row->smallest) row->smallest = r.start;
        if (row->largest == NONE || r.end > row->largest) {
            row->largest = r.end;
            row->largest_exclusive = 1;
        }
    }
    return row->range_deletes ? size + LSM_TRAILER : 0;
}

static int write_index(state *s) {
    if (s->c->table->index_kind == LSM_INDEX_TWO_LEVEL) {
        if (end_partition(s) != LSM_OK) return LSM_NOMEM;
        size_t n = s->n_parts;
        for (size_t i = 0; i < n; i++) {
            lsm_handle h = {s->offset, (uint32_t)s->parts[i].size};
            s->offset += s->parts[i].size + LSM_TRAILER;
            index_add(s, s->parts[i].last_len, h);
        }
    }
    s->offset += (s->index_n ? s->index_n : 4) + LSM_TRAILER;
    return LSM_OK;
}

/* The size of a row's filter; 0: it has none. */
static int filter_size(state *s, const lsm_measured *row, size_t *size) {
    const idx_filter_ops *f = s->c->table->filter;
    size_t bound = f && row->entries ? f->bound(row->entries, s->c->table->bits_per_key) : 0;
    *size = bound > LSM_MAX_META ? 0 : bound;
    if (!*size || !s->by_build) return LSM_OK;
    uint8_t *data = malloc(bound + 1);
    if (!data) return LSM_NOMEM;
    int bad = f->build(s->digests, row->entries, s->c->table->bits_per_key, data, bound, size);
    free(data);
    return bad ? LSM_PLUGIN : LSM_OK;
}

static int write_tail(state *s, lsm_measured *row, uint32_t to) {
    size_t filter = 0;
    end_block(s);
    int rc = settle(s, NONE);
    if (rc >= 0) rc = write_index(s);
    if (rc >= 0) rc = filter_size(s, row, &filter);
    if (rc < 0) return rc;
    if (filter) s->offset += filter + LSM_TRAILER;
    s->offset += tombs_size(s, row, to);
    const lsm_table_options *o = s->c->table;
    lsm_table_props x = {.keyspace_id = o->keyspace_id};
    x.smallest = (uint8_t *)key_of(s, row->smallest, &x.smallest_len);
    x.largest = (uint8_t *)key_of(s, row->largest, &x.largest_len);
    if (filter) strncpy(x.filter_name, o->filter->name, sizeof x.filter_name - 1);
    strncpy(x.keyspace, o->keyspace ? o->keyspace : "", sizeof x.keyspace - 1);
    uint8_t *props;
    size_t n = lsm_props_encode(&x, &props);
    if (!n) return LSM_NOMEM;
    free(props);
    row->file_size = s->offset + n + LSM_TRAILER + LSM_FOOTER;
    return LSM_OK;
}

static int any_range(const state *s, uint32_t to) {
    for (uint32_t i = 0; i < s->c->n_ranges && !s->c->bottom; i++) {
        lsm_rank_range r = s->c->ranges[i];
        if (clip(&r, s->start, to)) return 1;
    }
    return 0;
}

static int close_output(state *s, uint32_t to) {
    int rc = any_range(s, to) ? open_output(s) : LSM_OK;
    if (rc >= 0 && s->open) {
        lsm_measured *row = &s->rows[s->result->n_outputs];
        rc = write_tail(s, row, to);
        row->span_start = s->start;
        row->span_end = to;
        s->open = 0;
        if (rc >= 0) s->result->n_outputs++;
    }
    s->start = to;
    return rc;
}

static int may_cut(const state *s) { return s->result->n_outputs + 1 < s->c->max_outputs; }

static int cut_before(state *s, uint32_t rank) {
    const lsm_measure_config *c = s->c;
    int rc = LSM_OK;
    while (rc >= 0 && s->next_cut < c->n_cuts && c->cuts[s->next_cut] <= rank) {
        uint32_t to = c->cuts[s->next_cut++];
        if (may_cut(s)) rc = close_output(s, to);
    }
    if (rc >= 0 && s->open && c->output_bytes && s->offset + block_size(s) >= c->output_bytes && may_cut(s)) rc = close_output(s, rank);
    return rc;
}

/* The newest range tombstone over a key, and the first rank where that may change. */
static uint64_t cover_of(const lsm_measure_config *c, uint32_t rank, uint32_t *change) {
    uint64_t newest = 0;
    *change = NONE;
    for (uint32_t i = 0; i < c->n_ranges; i++) {
        const lsm_rank_range *r = &c->ranges[i];
        uint32_t next = rank < r->start ? r->start : rank < r->end ? r->end : NONE;
        if (next < *change) *change = next;
        if (r->start <= rank && rank < r->end && r->seq > newest) newest = r->seq;
    }
    return newest;
}

static int merge_all(state *s, const uint64_t *words, uint64_t n, uint64_t *kept) {
    const lsm_measure_config *c = s->c;
    uint32_t key = NONE, change = c->n_ranges ? 0 : NONE;
    uint64_t cover = 0;
    int rc = LSM_OK;
    for (uint64_t i = 0; i < n && rc >= 0; i++) {
        uint32_t rank = (uint32_t)(words[i] >> 32);
        uint64_t op = UINT32_MAX - (uint32_t)words[i];
        if (i + AHEAD < n) { /* in key order the operations come from anywhere */
            uint64_t next = UINT32_MAX - (uint32_t)words[i + AHEAD];
            __builtin_prefetch(&c->stream->kinds[next]);
            __builtin_prefetch(&c->stream->value_lens[next]);
        }
        if (rank == key) {
            s->result->shadowed++;
            continue;
        }
        key = rank;
        if (rank >= change) cover = cover_of(c, rank, &change);
        if ((rc = cut_before(s, rank)) < 0) break;
        if (cover > op + 1) {
            s->result->range_covered++;
        } else if (c->bottom && c->stream->kinds[op] == LSM_DELETE) {
            s->result->tombstones_dropped++;
        } else if ((rc = open_output(s)) >= 0 && (rc = add(s, rank, op)) >= 0) {
            kept[s->result->entries_out++] = words[i];
        }
    }
    for (; rc >= 0 && s->next_cut < c->n_cuts; s->next_cut++)
        if (may_cut(s)) rc = close_output(s, c->cuts[s->next_cut]);
    return rc >= 0 ? close_output(s, NONE) : rc;
}

/* Whether the size of a filter does not follow from the number of its keys. */
static int needs_build(const lsm_table_options *o) {
    const idx_filter_ops *f = o->filter;
    size_t bound = f ? f->bound(PROBE, o->bits_per_key) : 0, n = 0;
    uint8_t *data = bound && f->empty ? malloc(bound + 1) : NULL;
    int same = data && !f->empty(PROBE, o->bits_per_key, data, bound, &n) && n == bound;
    free(data);
    return bound && !same;
}

int lsm_measure(const lsm_measure_config *c, const uint64_t *words, uint64_t n, uint64_t *kept, lsm_measured *rows,
                lsm_measure_result *result) {
    double util = c->table->hash_util;
    state s = {.c = c, .rows = rows, .result = result, .start = NONE, .last = NONE, .pending = NONE, .by_build = needs_build(c->table)};
    s.hash_util = util > 0.1 && util <= 4 ? util : 0.75;
    *result = (lsm_measure_result){0};
    int rc = merge_all(&s, words, n, kept);
    free(s.parts);
    free(s.digests);
    return rc;
}

int lsm_measure_fill(const lsm_stream *t, const lsm_memtable_ops *ops, const lsm_fill_limits *limits, uint64_t from, uint64_t to,
                     uint64_t *next, int *sealed) {
    lsm_memtable_config config = {limits->budget, limits->seed};
    uint64_t most = 0, ranges = 0, at = from;
    size_t tomb_memory = 0;
    for (uint64_t i = from; i < to; i++)
        if (t->kinds[i] == LSM_PUT && t->value_lens[i] > most) most = t->value_lens[i];
    uint8_t *value = calloc(1, most + 1);
    void *m = value ? ops->create(&config) : NULL;
    int rc = m ? LSM_OK : LSM_NOMEM;
    *sealed = 0;
    while (rc == LSM_OK && at < to && !*sealed) {
        uint32_t rank = t->ranks[at], n = (uint32_t)(t->key_at[rank + 1] - t->key_at[rank]);
        if (t->kinds[at] == LSM_RANGE_DELETE) {
            uint64_t end_n = t->key_at[t->ends[at] + 1] - t->key_at[t->ends[at]];
            tomb_memory += ++ranges * TOMB_BYTES + n + end_n;
        } else {
            uint64_t value_n = t->kinds[at] == LSM_PUT ? t->value_lens[at] : 0;
            lsm_entry e = {t->keys + t->key_at[rank], value, n, t->kinds[at], value_n, at + 1};
            rc = ops->add(m, &e);
        }
        int full = ops->memory(m) + tomb_memory >= limits->budget || (limits->entries && ops->count(m) + ranges >= limits->entries);
        *sealed = t->lasts[at++] && full;
    }
    *next = at;
    if (m) ops->destroy(m);
    free(value);
    return rc;
}
