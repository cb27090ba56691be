/* value_writer.c: writes value files; which keys are hot.
 *
 *   add -> (heat: hot or cold) -> record -> buffer of that class -> rec_fs append; a file ends after file_bytes
 */
#include "lsm/csrc/block.h"
#include "lsm/csrc/table_format.h"
#include "lsm/csrc/value_format.h"
#include "lsm/csrc/values.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define OUT_BUFFER ((size_t)256 << 10)
#define CLASSES 2
#define PATH 512

typedef struct out { /* the file under way of one class */
    rec_file *file; /* NULL: none */
    uint8_t *buffer;
    size_t n;
    uint32_t which; /* of the files */
    uint32_t chain;
} out;

struct lsm_value_writer {
    const lsm_env *env;
    lsm_value_options opt;
    char *dir;
    lsm_value_props *files;
    uint32_t n_files;
    uint64_t bytes;
    int status, finished;
    out outs[CLASSES];
};

static void path_of(const lsm_value_writer *w, uint32_t which, char path[PATH]) {
    snprintf(path, PATH, "%s/%06" PRIu64 ".vlog", w->dir, w->opt.first_number + which);
}

static int fail_io(lsm_value_writer *w, const out *o, int r, const char *what, lsm_error *e) {
    char path[PATH];
    path_of(w, o->which, path);
    w->status = LSM_IO;
    return lsm_fail_io(e, r, path, what);
}

int lsm_value_writer_new(const lsm_env *env, const lsm_value_options *options, lsm_value_writer **result, lsm_error *error) {
    if (options->abi != LSM_ABI || options->size < sizeof *options || !options->max_files)
        return lsm_fail(error, LSM_INVALID, options->dir, 0, "lsm_value_options of another version, or without a file number");
    lsm_value_writer *w = calloc(1, sizeof *w);
    if (!w) return lsm_fail(error, LSM_NOMEM, options->dir, 0, "out of memory");
    w->env = env;
    w->opt = *options;
    w->dir = strdup(options->dir);
    w->files = calloc(options->max_files, sizeof *w->files);
    if (!w->dir || !w->files) {
        lsm_value_writer_free(w);
        return lsm_fail(error, LSM_NOMEM, options->dir, 0, "out of memory");
    }
    *result = w;
    return LSM_OK;
}

static int flush_out(lsm_value_writer *w, out *o, lsm_error *e) {
    int slot = lsm_watch_begin(w->env->watch, LSM_W_TABLE_WRITE), r = o->file->ops->append(o->file, o->buffer, o->n);
    lsm_watch_end(w->env->watch, slot);
    o->n = 0;
    return r < 0 ? fail_io(w, o, r, "append", e) : LSM_OK;
}

static int emit(lsm_value_writer *w, out *o, const void *data, size_t n, lsm_error *e) {
    if (o->n + n > OUT_BUFFER && flush_out(w, o, e) != LSM_OK) return w->status;
    if (n > OUT_BUFFER) {
        int slot = lsm_watch_begin(w->env->watch, LSM_W_TABLE_WRITE), r = o->file->ops->append(o->file, data, n);
        lsm_watch_end(w->env->watch, slot);
        if (r < 0) return fail_io(w, o, r, "append", e);
    } else if (n) {
        memcpy(o->buffer + o->n, data, n);
        o->n += n;
    }
    return LSM_OK;
}

static int open_out(lsm_value_writer *w, out *o, uint32_t heat, lsm_error *e) {
    char path[PATH];
    o->which = w->n_files;
    path_of(w, o->which, path);
    if (!o->buffer && !(o->buffer = malloc(OUT_BUFFER))) {
        w->status = LSM_NOMEM;
        return lsm_fail(e, LSM_NOMEM, path, 0, "out of memory");
    }
    int r = w->env->fs->ops->open(w->env->fs, path, REC_O_WRITE | REC_O_CREATE | REC_O_EXCL, &o->file);
    if (r < 0) {
        o->file = NULL;
        return fail_io(w, o, r, "open", e);
    }
    o->chain = 0;
    o->n = 0;
    w->files[w->n_files++] = (lsm_value_props){
        .number = w->opt.first_number + o->which,
        .min_seq = UINT64_MAX,
        .keyspace_id = w->opt.keyspace_id,
        .heat = heat,
    };
    return LSM_OK;
}

static int close_out(lsm_value_writer *w, out *o, lsm_error *e) {
    lsm_value_props *x = &w->files[o->which];
    uint8_t raw[LSM_VALUE_FOOTER];
    memcpy(raw, LSM_VALUE_MAGIC, 8);
    lsm_put32(raw + 8, LSM_VALUE_VERSION);
    lsm_put32(raw + 12, x->keyspace_id);
    lsm_put64(raw + 16, w->env->database_id);
    lsm_put64(raw + 24, x->number);
    lsm_put64(raw + 32, x->records);
    lsm_put64(raw + 40, x->min_seq);
    lsm_put64(raw + 48, x->max_seq);
    lsm_put32(raw + 56, x->heat);
    lsm_put32(raw + 60, o->chain);
    x->footer_crc = lsm_mask_crc(w->env->crc32c(0, raw, LSM_VALUE_FOOTER - 4));
    lsm_put32(raw + 64, x->footer_crc);
    if (emit(w, o, raw, sizeof raw, e) != LSM_OK || flush_out(w, o, e) != LSM_OK) return w->status;
    lsm_count(w->env->ledger, LSM_OP_WRITE, -1, LSM_C_VALUE, w->opt.cause, sizeof raw);
    x->file_size = x->bytes + sizeof raw;
    w->bytes += sizeof raw;
    int slot = lsm_watch_begin(w->env->watch, LSM_W_TABLE_SYNC), r = o->file->ops->sync(o->file);
    lsm_watch_end(w->env->watch, slot);
    if (r < 0) return fail_io(w, o, r, "sync", e);
    r = o->file->ops->close(o->file);
    o->file = NULL;
    return r < 0 ? fail_io(w, o, r, "close", e) : LSM_OK;
}

/* Numbers that a file may still take, when each class that has none yet is to get one. */
static uint32_t numbers_left(const lsm_value_writer *w) {
    uint32_t kept = 0, left = w->opt.max_files - w->n_files;
    for (int i = 0; w->opt.heat && i < CLASSES; i++) kept += !w->outs[i].file;
    return left > kept ? left - kept : 0;
}

int lsm_value_writer_wants(const lsm_value_writer *w, const lsm_entry *e) { return e->kind == LSM_PUT && e->value_len >= w->opt.min_bytes; }

void lsm_value_writer_touch(lsm_value_writer *w, const lsm_entry *e) {
    if (w->opt.heat) lsm_heat_touch(w->opt.heat, e->key, e->key_len);
}

/* The file that an entry's value goes to. NULL: it could not be made. */
static out *out_for(lsm_value_writer *w, const lsm_entry *e, lsm_error *error) {
    int cold = w->opt.heat && lsm_heat_of(w->opt.heat, e->key, e->key_len) < w->opt.hot;
    if (w->opt.heat && w->opt.max_files == 1) cold = 0;
    out *o = &w->outs[cold];
    if (o->file && w->files[o->which].bytes >= w->opt.file_bytes && numbers_left(w) && close_out(w, o, error) != LSM_OK) return NULL;
    uint32_t heat = !w->opt.heat ? 0 : cold ? 2 : 1;
    return o->file || open_out(w, o, heat, error) == LSM_OK ? o : NULL;
}

int lsm_value_writer_add(lsm_value_writer *w, const lsm_entry *e, uint8_t *pointer, lsm_error *error) {
    if (w->status) return lsm_fail(error, w->status, w->dir, 0, "the value file has failed before");
    if (e->key_len > LSM_MAX_KEY || e->value_len > LSM_MAX_VALUE)
        return lsm_fail(error, LSM_TOO_BIG, w->dir, 0, "key or value is too long");
    out *o = out_for(w, e, error);
    if (!o) return w->status;
    lsm_value_props *x = &w->files[o->which];
    uint8_t head[LSM_VALUE_HEAD], seed[24], raw[4];
    lsm_put32(head + 4, e->key_len);
    lsm_put32(head + 8, (uint32_t)e->value_len);
    lsm_put64(head + 12, e->seq);
    lsm_put64(seed, w->env->database_id); /* as lsm_block_crc, over three pieces */
    lsm_put64(seed + 8, x->number);
    lsm_put64(seed + 16, x->bytes);
    uint32_t crc = w->env->crc32c(w->env->crc32c(0, seed, sizeof seed), head + 4, sizeof head - 4);
    crc = lsm_mask_crc(w->env->crc32c(w->env->crc32c(crc, e->key, e->key_len), e->value, e->value_len));
    lsm_put32(head, crc);
    lsm_put64(pointer, x->number);
    lsm_put64(pointer + 8, x->bytes);
    lsm_put32(pointer + 16, (uint32_t)e->value_len);
    lsm_put32(pointer + 20, crc);
    if (emit(w, o, head, sizeof head, error) != LSM_OK || emit(w, o, e->key, e->key_len, error) != LSM_OK ||
        emit(w, o, e->value, e->value_len, error) != LSM_OK)
        return w->status;
    lsm_put32(raw, crc);
    o->chain = w->env->crc32c(o->chain, raw, sizeof raw);
    uint64_t size = lsm_value_size(e->key_len, e->value_len);
    lsm_count(w->env->ledger, LSM_OP_WRITE, -1, LSM_C_VALUE, w->opt.cause, size);
    x->bytes += size;
    x->records++;
    if (e->seq < x->min_seq) x->min_seq = e->seq;
    if (e->seq > x->max_seq) x->max_seq = e->seq;
    w->bytes += size;
    return LSM_OK;
}

uint64_t lsm_value_writer_bytes(const lsm_value_writer *w) { return w->bytes; }

uint32_t lsm_value_writer_files(const lsm_value_writer *w, const lsm_value_props **result) {
    *result = w->files;
    return w->n_files;
}

int lsm_value_writer_finish(lsm_value_writer *w, lsm_error *error) {
    if (w->status) return lsm_fail(error, w->status, w->dir, 0, "the value file has failed before");
    for (int i = 0; i < CLASSES; i++)
        if (w->outs[i].file && close_out(w, &w->outs[i], error) != LSM_OK) return w->status;
    w->finished = 1;
    return LSM_OK;
}

void lsm_value_writer_free(lsm_value_writer *w) {
    if (!w) return;
    for (int i = 0; i < CLASSES; i++) {
        if (w->outs[i].file) w->outs[i].file->ops->close(w->outs[i].file);
        free(w->outs[i].buffer);
    }
    for (uint32_t i = 0; !w->finished && i < w->n_files; i++) {
        char path[PATH];
        path_of(w, i, path);
        w->env->fs->ops->unlink(w->env->fs, path);
    }
    free(w->files);
    free(w->dir);
    free(w);
}

/* Heat ------------------------------------------------------------------------------------------------------------------------------- */

struct lsm_heat {
    uint32_t window, mask;
    _Atomic uint32_t touched;
    _Atomic uint8_t cells[]; /* two rows of mask + 1 */
};

lsm_heat *lsm_heat_new(uint32_t window) {
    uint32_t width = 1024;
    while (width / 2 < window && width < UINT32_C(1) << 24) width *= 2;
    lsm_heat *h = calloc(1, sizeof *h + 2 * (size_t)width);
    if (!h) return NULL;
    h->window = window < 1024 ? 1024 : window;
    h->mask = width - 1;
    return h;
}

void lsm_heat_free(lsm_heat *h) { free(h); }

static uint32_t second(uint32_t hash) { return (uint32_t)((hash * UINT64_C(0x9E3779B97F4A7C15)) >> 32); }

static uint8_t count(const _Atomic uint8_t *cell) { return atomic_load_explicit(cell, memory_order_relaxed); }

void lsm_heat_touch(lsm_heat *h, const uint8_t *key, size_t n) {
    uint32_t hash = lsm_block_hash(key, n);
    _Atomic uint8_t *a = &h->cells[hash & h->mask], *b = &h->cells[h->mask + 1 + (second(hash) & h->mask)];
    uint8_t x = count(a), y = count(b); /* conservative update: only the smaller one grows (Estan and Varghese 2002) */
    if (x <= y && x < UINT8_MAX) atomic_store_explicit(a, x + 1, memory_order_relaxed);
    if (y <= x && y < UINT8_MAX) atomic_store_explicit(b, y + 1, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&h->touched, 1, memory_order_relaxed) + 1 < h->window) return;
    atomic_store_explicit(&h->touched, 0, memory_order_relaxed);
    for (size_t i = 0; i < 2 * ((size_t)h->mask + 1); i++)
        atomic_store_explicit(&h->cells[i], count(&h->cells[i]) / 2, memory_order_relaxed);
}

uint32_t lsm_heat_of(const lsm_heat *h, const uint8_t *key, size_t n) {
    uint32_t hash = lsm_block_hash(key, n);
    uint8_t x = count(&h->cells[hash & h->mask]), y = count(&h->cells[h->mask + 1 + (second(hash) & h->mask)]);
    return x < y ? x : y;
}
