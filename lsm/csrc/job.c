/* job.c: the executor of flushes and compactions.
 *
 * What may be dropped. Snapshots cut the sequence numbers into stripes (sweep.h); everybody who sees any number of a stripe and reads a
 * key sees the newest version of that key in the stripe, so of each user key and stripe
 *
 *     seq   12   11 |  9    8    7 |  5                         snapshots 6 and 10
 *           put  -- | del   --  -- | put       -- dropped as shadowed
 *
 * only the newest version stays, unless a range tombstone of the same stripe is newer than it. Tombstones themselves go only at the bottom, and only in stripe 0:
 * a newer one may still hide a version that an older stripe keeps. Merge operands shadow nothing.
 *
 * Outputs. A cut is made only in front of a user key that was not seen yet, so versions of a key stay together. The outputs tile the merged span: each holds the range
 * tombstones clipped to [its cut, the next cut).
 */
#include "lsm/csrc/arena.h"
#include "lsm/csrc/engine.h"
#include "lsm/csrc/memtable_kinds.h"
#include "lsm/csrc/sweep.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BEAT 256 /* entries between looks at the cancel flag and payments to the bucket */
#define PAUSE_NS 500000 /* between looks whether a paused job may go on */
#define READAHEAD (256u << 10) /* bytes */
#define NO_STRIPE UINT32_MAX

struct lsm_job {
    lsm_job_config config; /* with everything it points at copied into arena, except env and table options */
    lsm_job_input *inputs;
    uint32_t n_inputs;
    lsm_arena arena;
    int cancelled; /* atomic, as the bucket looks at it too */
    _Atomic int paused;
    _Atomic uint64_t done; /* entries */
    uint64_t total;
    lsm_table_props *outputs;
    uint32_t n_outputs;
};

/* The state of one run. */
typedef struct run {
    lsm_job *job;
    lsm_job_result *result;
    lsm_error *error;
    lsm_iter *it;
    lsm_sweep sweep;
    lsm_builder *out; /* NULL: none open */
    uint64_t paid; /* bytes of it that went through the bucket */
    uint64_t paid_values; /* likewise, of value files */
    uint32_t next_cut; /* first of the config's cuts that the merge did not reach */
    lsm_span span; /* of the open output; its end is set when it is closed */
    uint8_t *cut_key; /* owns span.start after a cut by size */
    uint8_t *key; /* the user key under way */
    size_t key_len, key_cap;
    uint32_t stripe; /* of the newest version of key that hides older ones; NO_STRIPE: none yet */
} run;

static void *keep(lsm_job *j, const void *data, size_t n) {
    if (!data) return NULL;
    void *p = lsm_arena_alloc(&j->arena, n ? n : 1);
    if (p && n) memcpy(p, data, n);
    return p;
}

/* Copies what config points at. 0: out of memory. */
static int keep_config(lsm_job *j, const lsm_job_config *c) {
    j->config = *c;
    j->config.dir = keep(j, c->dir, strlen(c->dir) + 1);
    j->config.begin = keep(j, c->begin, c->begin_len);
    j->config.end = keep(j, c->end, c->end_len);
    j->config.snapshots = keep(j, c->n_snapshots ? c->snapshots : NULL, c->n_snapshots * sizeof(uint64_t));
    j->config.moved = keep(j, c->n_moved ? c->moved : NULL, c->n_moved * sizeof(*c->moved));
    j->config.cut_lens = keep(j, c->n_cuts ? c->cut_lens : NULL, c->n_cuts * sizeof(uint32_t));
    const uint8_t **cuts = c->n_cuts ? lsm_arena_alloc(&j->arena, c->n_cuts * sizeof(*cuts)) : NULL;
    j->config.cuts = cuts;
    if (!j->config.dir || (c->begin && !j->config.begin) || (c->end && !j->config.end) || (c->n_snapshots && !j->config.snapshots) ||
        (c->n_moved && !j->config.moved) || (c->n_cuts && (!cuts || !j->config.cut_lens)))
        return 0;
    for (uint32_t i = 0; i < c->n_cuts; i++)
        if (!(cuts[i] = keep(j, c->cuts[i], c->cut_lens[i]))) return 0;
    return 1;
}

static int keep_inputs(lsm_job *j, const lsm_job_input *inputs, uint32_t n) {
    j->inputs = lsm_arena_alloc(&j->arena, n * sizeof(*inputs) + 1);
    j->n_inputs = n;
    if (!j->inputs) return 0;
    for (uint32_t i = 0; i < n; i++) {
        j->inputs[i] = inputs[i];
        if (inputs[i].memtable) {
            j->total += lsm_mem_count(inputs[i].memtable);
            continue;
        }
        j->inputs[i].tables = keep(j, inputs[i].tables, inputs[i].n_tables * sizeof(lsm_table *));
        if (inputs[i].n_tables && !j->inputs[i].tables) return 0;
        for (uint32_t t = 0; t < inputs[i].n_tables; t++) j->total += lsm_table_properties(inputs[i].tables[t])->entries;
    }
    return 1;
}

lsm_job *lsm_job_new(const lsm_job_config *config, const lsm_job_input *inputs, uint32_t n_inputs) {
    lsm_job *j = calloc(1, sizeof(*j));
    if (!j) return NULL;
    lsm_arena_init(&j->arena, 0);
    j->outputs = calloc(config->max_outputs ? config->max_outputs : 1, sizeof(lsm_table_props));
    if (!j->outputs || !keep_config(j, config) || !keep_inputs(j, inputs, n_inputs)) {
        lsm_job_free(j);
        return NULL;
    }
    return j;
}

void lsm_job_free(lsm_job *j) {
    if (!j) return;
    for (uint32_t i = 0; j->outputs && i < j->n_outputs; i++) lsm_props_clear(&j->outputs[i]);
    free(j->outputs);
    lsm_arena_free(&j->arena);
    free(j);
}

const lsm_table_props *lsm_job_output(lsm_job *j, uint32_t i) { return i < j->n_outputs ? &j->outputs[i] : NULL; }
void lsm_job_cancel(lsm_job *j) { __atomic_store_n(&j->cancelled, 1, __ATOMIC_RELAXED); }

void lsm_job_pause(lsm_job *j, int on) { atomic_store_explicit(&j->paused, on, memory_order_relaxed); }

double lsm_job_progress(lsm_job *j) {
    uint64_t done = atomic_load_explicit(&j->done, memory_order_relaxed);
    return done >= j->total ? 1.0 : (double)done / (double)j->total;
}

static void output_path(const lsm_job *j, uint64_t number, char *out, size_t n) {
    snprintf(out, n, "%s/%06" PRIu64 ".sst", j->config.dir, number);
}

static int open_output(run *r) {
    lsm_job *j = r->job;
    if (r->out) return LSM_OK;
    if (j->n_outputs >= j->config.max_outputs)
        return lsm_fail(r->error, LSM_INVALID, j->config.dir, 0, "no file number was reserved for an output");
    char path[512];
    uint64_t number = j->config.first_number + j->n_outputs;
    output_path(j, number, path, sizeof(path));
    r->paid = 0;
    return lsm_builder_new(j->config.env, j->config.table, path, number, j->config.level, j->config.cause, &r->out, r->error);
}

/* Ends the span under way at end (NULL: the end of the merge): its tombstones, and the table when there is anything in it. */
static int close_output(run *r, const uint8_t *end, uint32_t end_len) {
    lsm_job *j = r->job;
    r->span.end = end;
    r->span.end_len = end_len;
    if (lsm_sweep_any(&r->sweep, &r->span, j->config.bottom)) {
        int rc = open_output(r);
        if (rc >= 0) rc = lsm_sweep_emit(&r->sweep, &r->span, j->config.bottom, r->out, r->error);
        if (rc < 0) return rc;
    }
    r->span.start = end;
    r->span.start_len = end_len;
    if (!r->out) return LSM_OK;
    lsm_table_props *props = &j->outputs[j->n_outputs];
    lsm_builder *b = r->out;
    r->out = NULL;
    int rc = lsm_builder_finish(b, props, r->error);
    if (rc < 0) {
        char path[512];
        output_path(j, j->config.first_number + j->n_outputs, path, sizeof(path));
        j->config.env->fs->ops->unlink(j->config.env->fs, path);
        return rc;
    }
    j->n_outputs++;
    r->result->bytes_written += props->file_size;
    if (props->file_size > r->paid) lsm_bucket_take(j->config.bucket, props->file_size - r->paid, &j->cancelled);
    return LSM_OK;
}

/* Whether another output may follow the one under way: a file number is left for it. */
static int may_cut(const run *r) { return r->job->n_outputs + 1 < r->job->config.max_outputs; }

/* Makes the cuts in front of a user key not seen before. */
static int cut_before(run *r, const uint8_t *key, size_t n) {
    const lsm_job_config *c = &r->job->config;
    while (r->next_cut < c->n_cuts && lsm_compare_keys(c->cuts[r->next_cut], c->cut_lens[r->next_cut], key, n) <= 0) {
        uint32_t i = r->next_cut++;
        int rc = may_cut(r) ? close_output(r, c->cuts[i], c->cut_lens[i]) : LSM_OK;
        if (rc < 0) return rc;
    }
    if (!r->out || !c->output_bytes || lsm_builder_size(r->out) < c->output_bytes || !may_cut(r)) return LSM_OK;
    uint8_t *copy = malloc(n); /* a smaller key is in the output: this one is not empty */
    if (!copy) return lsm_fail(r->error, LSM_NOMEM, NULL, 0, "cutting an output");
    memcpy(copy, key, n);
    int rc = close_output(r, copy, (uint32_t)n);
    free(r->cut_key);
    r->cut_key = copy;
    return rc;
}

/* Takes over the key of a first version. */
static int begin_key(run *r, const lsm_entry *e) {
    if (e->key_len > r->key_cap || !r->key) {
        size_t cap = 2 * (size_t)e->key_len + 64;
        uint8_t *grown = realloc(r->key, cap);
        if (!grown) return lsm_fail(r->error, LSM_NOMEM, NULL, 0, "a key of %u bytes", e->key_len);
        r->key = grown;
        r->key_cap = cap;
    }
    if (e->key_len) memcpy(r->key, e->key, e->key_len);
    r->key_len = e->key_len;
    r->stripe = NO_STRIPE;
    lsm_sweep_to(&r->sweep, e->key, e->key_len);
    return cut_before(r, e->key, e->key_len);
}

/* Gives the value of an entry to the value files, where it belongs there: then *out is the same entry with a pointer, else *e. */
static int place_value(run *r, const lsm_entry *e, lsm_entry *out, uint8_t *pointer) {
    const lsm_job_config *c = &r->job->config;
    lsm_pin pin = {0};
    *out = *e;
    int rc = LSM_OK, moves = 0;
    if (e->kind == LSM_VALUE_POINTER && c->n_moved) {
        if (e->value_len != LSM_POINTER)
            return lsm_fail(r->error, LSM_CORRUPT, "", 0, "a value pointer of %" PRIu64 " bytes", e->value_len);
        moves = lsm_value_find(c->moved, c->n_moved, e->value) != NULL;
        if (moves) rc = lsm_value_fetch(c->moved, c->n_moved, out, &pin, c->cause, 0, NULL, r->error);
    }
    if (rc >= 0 && (moves || lsm_value_writer_wants(c->values, e))) {
        rc = lsm_value_writer_add(c->values, out, pointer, r->error);
        out->kind = LSM_VALUE_POINTER;
        out->value = pointer;
        out->value_len = LSM_POINTER;
        r->result->values_moved += moves != 0;
        r->result->values_separated += !moves;
    }
    lsm_unpin(&pin);
    return rc;
}

static int take_entry(run *r, const lsm_entry *e) {
    const lsm_job_config *c = &r->job->config;
    lsm_job_result *res = r->result;
    uint32_t stripe = c->n_snapshots ? lsm_stripe(c->snapshots, c->n_snapshots, e->seq) : 0;
    res->entries_in++;
    if (__builtin_expect(c->values != NULL && !c->n_moved, 0)) lsm_value_writer_touch(c->values, e);
    if (r->stripe == stripe) {
        res->shadowed++;
        return LSM_OK;
    }
    if (e->kind != LSM_MERGE) r->stripe = stripe;
    if (r->sweep.cover[stripe] > e->seq) {
        res->range_covered++;
        return LSM_OK;
    }
    if (e->kind == LSM_DELETE && c->bottom && stripe == 0) {
        res->tombstones_dropped++;
        return LSM_OK;
    }
    lsm_entry placed;
    uint8_t pointer[LSM_POINTER];
    int rc = open_output(r);
    if (rc >= 0 && __builtin_expect(c->values != NULL, 0)) {
        rc = place_value(r, e, &placed, pointer);
        e = &placed;
    }
    if (rc >= 0) rc = lsm_builder_add(r->out, e, r->error);
    if (rc >= 0) res->entries_out++;
    return rc;
}

/* Every BEAT entries: shows progress, looks whether to stop or to stand still, pays for what was written. */
static int beat(run *r) {
    lsm_job *j = r->job;
    atomic_store_explicit(&j->done, r->result->entries_in, memory_order_relaxed);
    while (atomic_load_explicit(&j->paused, memory_order_relaxed) && !__atomic_load_n(&j->cancelled, __ATOMIC_RELAXED))
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
    if (__atomic_load_n(&j->cancelled, __ATOMIC_RELAXED)) return lsm_fail(r->error, LSM_CANCELLED, j->config.dir, 0, "job cancelled");
    uint64_t written = r->out ? lsm_builder_size(r->out) : 0;
    if (written > r->paid) {
        lsm_bucket_take(j->config.bucket, written - r->paid, &j->cancelled);
        r->paid = written;
    }
    uint64_t values = j->config.values ? lsm_value_writer_bytes(j->config.values) : 0;
    if (values > r->paid_values) {
        lsm_bucket_take(j->config.bucket, values - r->paid_values, &j->cancelled);
        r->paid_values = values;
    }
    return LSM_OK;
}

static int open_inputs(run *r) {
    lsm_job *j = r->job;
    const lsm_job_config *c = &j->config;
    const lsm_span bounds = {c->begin, c->end, c->begin_len, c->end_len};
    lsm_iter **children = calloc(j->n_inputs + 1, sizeof(*children));
    uint32_t n = 0;
    int rc = children ? LSM_OK : lsm_fail(r->error, LSM_NOMEM, NULL, 0, "a merge of %u inputs", j->n_inputs);
    lsm_sweep_init(&r->sweep, c->snapshots, c->n_snapshots);
    for (; rc >= 0 && n < j->n_inputs; n++) {
        const lsm_job_input *in = &j->inputs[n];
        if (in->memtable) {
            children[n] = lsm_mem_iter(in->memtable);
            rc = lsm_sweep_add(&r->sweep, lsm_mem_tombs(in->memtable), &bounds);
        } else {
            children[n] = lsm_run_iter(in->tables, in->n_tables, in->level, c->cause, 0, READAHEAD, r->error);
        }
        if (!children[n]) {
            rc = r->error->status < 0 ? r->error->status : lsm_fail(r->error, LSM_NOMEM, NULL, 0, "opening input %u of a merge", n);
            break;
        }
        for (uint32_t t = 0; !in->memtable && rc >= 0 && t < in->n_tables; t++) {
            r->result->bytes_read += lsm_table_properties(in->tables[t])->file_size;
            rc = lsm_sweep_add(&r->sweep, lsm_table_tombs(in->tables[t]), &bounds);
        }
    }
    if (rc >= 0) rc = lsm_sweep_ready(&r->sweep);
    if (rc >= 0) {
        r->it = lsm_merge_iter(children, n, r->error);
        if (!r->it) rc = LSM_NOMEM;
    } else {
        for (uint32_t i = 0; i < n; i++) children[i]->ops->close(children[i]);
    }
    free(children);
    return rc == LSM_NOMEM && r->error->status >= 0 ? lsm_fail(r->error, rc, NULL, 0, "a merge of %u inputs", j->n_inputs) : rc;
}

static int merge_all(run *r) {
    const lsm_job_config *c = &r->job->config;
    lsm_iter *it = r->it;
    int rc = beat(r);
    if (c->begin)
        it->ops->seek(it, c->begin, c->begin_len, LSM_MAX_SEQ);
    else
        it->ops->first(it);
    for (int begun = 0; rc >= 0 && it->valid; it->ops->next(it)) {
        const lsm_entry *e = &it->entry;
        if (!begun || e->key_len != r->key_len || memcmp(e->key, r->key, e->key_len) != 0) {
            if (c->end && lsm_compare_keys(e->key, e->key_len, c->end, c->end_len) >= 0) break;
            rc = begin_key(r, e);
            begun = 1;
            if (rc < 0) break;
        }
        rc = take_entry(r, e);
        if (rc >= 0 && r->result->entries_in % BEAT == 0) rc = beat(r);
    }
    if (rc >= 0 && it->status < 0) {
        if (r->error->status >= 0) lsm_fail(r->error, it->status, NULL, 0, "reading an input of a merge");
        rc = it->status;
    }
    for (; rc >= 0 && r->next_cut < c->n_cuts; r->next_cut++) /* tombstones may go on behind the last entry */
        if (may_cut(r)) rc = close_output(r, c->cuts[r->next_cut], c->cut_lens[r->next_cut]);
    return rc >= 0 ? close_output(r, c->end, c->end_len) : rc;
}

static int check_counts(const run *r) {
    const lsm_job_result *s = r->result;
    uint64_t listed = 0, out = s->entries_out + s->shadowed + s->tombstones_dropped + s->range_covered;
    for (uint32_t i = 0; i < r->job->n_outputs; i++) listed += r->job->outputs[i].entries;
    if (s->entries_in == out && listed == s->entries_out) return LSM_OK; /* uncovered 2 (guard): they add up */
    return lsm_fail(r->error, LSM_PLUGIN, r->job->config.dir, 0, "merge took %" PRIu64 " entries, accounts for %" PRIu64 ", wrote %" PRIu64,
                    s->entries_in, out, listed);
}

static void discard_outputs(run *r) {
    lsm_job *j = r->job;
    if (r->out) lsm_builder_abandon(r->out);
    for (uint32_t i = 0; i < j->n_outputs; i++) {
        char path[512];
        output_path(j, j->outputs[i].number, path, sizeof(path));
        j->config.env->fs->ops->unlink(j->config.env->fs, path);
        lsm_props_clear(&j->outputs[i]);
    }
    j->n_outputs = 0;
    r->result->bytes_written = 0;
}

int lsm_job_run(lsm_job *j, lsm_job_result *result, lsm_error *error) {
    lsm_error own = {0};
    *result = (lsm_job_result){0};
    run r = {.job = j, .result = result, .error = error ? error : &own, .stripe = NO_STRIPE};
    r.error->status = LSM_OK;
    if (j->config.values) r.paid_values = lsm_value_writer_bytes(j->config.values);
    r.span = (lsm_span){.start = j->config.begin, .start_len = j->config.begin_len};
    int rc = open_inputs(&r);
    if (rc >= 0) rc = merge_all(&r);
    if (rc >= 0) rc = check_counts(&r);
    if (rc < 0) discard_outputs(&r);
    if (r.it) r.it->ops->close(r.it);
    lsm_sweep_free(&r.sweep);
    free(r.cut_key);
    free(r.key);
    result->n_outputs = j->n_outputs;
    if (rc < 0) return rc;
    atomic_store_explicit(&j->done, j->total, memory_order_relaxed);
    lsm_ledger *ledger = j->config.env->ledger;
    lsm_tally(ledger, LSM_N_ENTRIES_IN, result->entries_in);
    lsm_tally(ledger, LSM_N_ENTRIES_OUT, result->entries_out);
    lsm_tally(ledger, LSM_N_DROP_SHADOWED, result->shadowed);
    lsm_tally(ledger, LSM_N_DROP_TOMBSTONE, result->tombstones_dropped);
    lsm_tally(ledger, LSM_N_DROP_RANGE, result->range_covered);
    return LSM_OK;
}
