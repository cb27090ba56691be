/* values.c: reading value files. */
#include "lsm/csrc/values.h"
#include "lsm/csrc/table_format.h"
#include "lsm/csrc/merge.h"
#include "lsm/csrc/value_format.h"
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#define WINDOW ((size_t)256 << 10) /* bytes that verifying reads at once */

struct lsm_value_file {
    _Atomic uint32_t refs, published;
    _Atomic uint64_t damage; /* as of a table */
    const lsm_env *env;
    char *path;
    rec_file *file;
    uint32_t chain;
    lsm_value_props props;
};

static int damaged(const lsm_value_file *f, lsm_error *e, uint64_t offset, const char *what) {
    return lsm_fail(e, LSM_CORRUPT, f->path, offset, "%s", what);
}

static int read_at(lsm_value_file *f, uint8_t *out, size_t n, uint64_t offset, int cause, lsm_error *e) {
    int64_t got = f->file->ops->pread(f->file, out, n, offset);
    if (got < 0) return lsm_fail_io(e, (int)got, f->path, "read");
    if ((size_t)got != n) return damaged(f, e, offset, "the file ends early");
    lsm_count(f->env->ledger, LSM_OP_READ, -1, LSM_C_VALUE, cause, n);
    return LSM_OK;
}

static int decode_footer(lsm_value_file *f, const uint8_t in[LSM_VALUE_FOOTER], lsm_error *e) {
    lsm_value_props *x = &f->props;
    uint64_t at = x->file_size - LSM_VALUE_FOOTER;
    if (memcmp(in, LSM_VALUE_MAGIC, 8)) return damaged(f, e, at, "not a value file: the footer does not begin with " LSM_VALUE_MAGIC);
    uint32_t stored = lsm_get32(in + LSM_VALUE_FOOTER - 4), found = lsm_mask_crc(f->env->crc32c(0, in, LSM_VALUE_FOOTER - 4));
    if (stored != found) return lsm_fail(e, LSM_CORRUPT, f->path, at, "footer checksum: stored %08x, computed %08x", stored, found);
    if (lsm_get32(in + 8) != LSM_VALUE_VERSION)
        return lsm_fail(e, LSM_INVALID, f->path, at, "value file format %u; this program knows format %d", lsm_get32(in + 8),
                        LSM_VALUE_VERSION);
    if (lsm_get64(in + 16) != f->env->database_id)
        return lsm_fail(e, LSM_CORRUPT, f->path, at, "a value file of another database (%016" PRIx64 ", this is %016" PRIx64 ")",
                        lsm_get64(in + 16), f->env->database_id);
    if (lsm_get64(in + 24) != x->number)
        return lsm_fail(e, LSM_CORRUPT, f->path, at, "this is value file %" PRIu64 " under the name of %" PRIu64, lsm_get64(in + 24),
                        x->number);
    x->keyspace_id = lsm_get32(in + 12);
    x->records = lsm_get64(in + 32);
    x->min_seq = lsm_get64(in + 40);
    x->max_seq = lsm_get64(in + 48);
    x->heat = lsm_get32(in + 56);
    f->chain = lsm_get32(in + 60);
    x->footer_crc = stored;
    x->bytes = at;
    if (x->heat > 2 || x->min_seq > x->max_seq || x->max_seq >> 56 || x->records > at / LSM_VALUE_HEAD)
        return damaged(f, e, at, "the footer makes no sense");
    return LSM_OK;
}

static int open_file(lsm_value_file *f, uint64_t expect_size, uint32_t expect_crc, lsm_error *e) {
    rec_fs *fs = f->env->fs;
    uint8_t raw[LSM_VALUE_FOOTER];
    int r = fs->ops->open(fs, f->path, REC_O_READ, &f->file);
    if (r < 0) {
        f->file = NULL;
        return r == -2 ? damaged(f, e, 0, "the value file is missing") : lsm_fail_io(e, r, f->path, "open");
    }
    uint64_t size;
    r = f->file->ops->size_of(f->file, &size);
    if (r < 0) return lsm_fail_io(e, r, f->path, "size");
    if (expect_size && size != expect_size)
        return lsm_fail(e, LSM_CORRUPT, f->path, size, "the value file has %" PRIu64 " bytes, the manifest says %" PRIu64, size,
                        expect_size);
    if (size < LSM_VALUE_FOOTER) return lsm_fail(e, LSM_CORRUPT, f->path, 0, "too short for a value file: %" PRIu64 " bytes", size);
    f->props.file_size = size;
    int status = read_at(f, raw, sizeof raw, size - LSM_VALUE_FOOTER, LSM_BY_OPEN, e);
    if (status == LSM_OK) status = decode_footer(f, raw, e);
    if (status == LSM_OK && expect_crc && f->props.footer_crc != expect_crc)
        return lsm_fail(e, LSM_CORRUPT, f->path, f->props.bytes,
                        "not the value file that the manifest names: footer checksum %08x, expected %08x", f->props.footer_crc, expect_crc);
    return status;
}

int lsm_value_file_open(const lsm_env *env, const char *path, uint64_t number, uint64_t expect_size, uint32_t expect_footer_crc,
                        lsm_value_file **out, lsm_error *error) {
    lsm_value_file *f = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path))) {
        free(f);
        return lsm_fail(error, LSM_NOMEM, path, 0, "out of memory");
    }
    atomic_init(&f->refs, 1);
    f->env = env;
    f->props.number = number;
    int status = open_file(f, expect_size, expect_footer_crc, error);
    if (status == LSM_OK)
        *out = f;
    else
        lsm_value_file_unref(f);
    return status;
}

void lsm_value_file_ref(lsm_value_file *f) { atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed); }

void lsm_value_file_unref(lsm_value_file *f) {
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1) return;
    if (f->env->cache) lsm_cache_erase(f->env->cache, f->props.number, NULL, 0);
    if (f->file) f->file->ops->close(f->file);
    free(f->path);
    free(f);
}

const lsm_value_props *lsm_value_file_properties(const lsm_value_file *f) { return &f->props; }
uint32_t lsm_value_file_publish(lsm_value_file *f, int delta) { return atomic_fetch_add(&f->published, (uint32_t)delta) + (uint32_t)delta; }

/* Whether p leads to a place that may hold a record of a key of n bytes. */
static int check_place(const lsm_value_file *f, const lsm_pointer *p, size_t n, lsm_error *e) {
    uint64_t size = lsm_value_size(n, p->length);
    if (p->length <= LSM_MAX_VALUE && n <= LSM_MAX_KEY && size <= f->props.bytes && p->offset <= f->props.bytes - size) return LSM_OK;
    return damaged(f, e, p->offset, "a pointer leads outside of the value file");
}

/* The record of (key, seq) that p says, as a block. */
static int load(lsm_value_file *f, const lsm_pointer *p, const uint8_t *key, size_t n, uint64_t seq, int cause, lsm_block **out,
                lsm_error *e) {
    uint64_t size = lsm_value_size(n, p->length);
    if (check_place(f, p, n, e) != LSM_OK) return LSM_CORRUPT;
    lsm_block *b = lsm_block_alloc(f->env->cache, size);
    if (!b) return lsm_fail(e, LSM_NOMEM, f->path, p->offset, "out of memory for a value of %u bytes", p->length);
    int status = read_at(f, b->data, size, p->offset, cause, e);
    if (status == LSM_OK) {
        uint32_t stored = lsm_get32(b->data), found = lsm_block_crc(f->env, f->props.number, p->offset, b->data + 4, size - 4);
        if (stored != found)
            status = lsm_fail(e, LSM_CORRUPT, f->path, p->offset, "record checksum: stored %08x, computed %08x", stored, found);
        else if (stored != p->crc || lsm_get32(b->data + 4) != n || lsm_get32(b->data + 8) != p->length || lsm_get64(b->data + 12) != seq ||
                 (n && memcmp(b->data + LSM_VALUE_HEAD, key, n)))
            status = damaged(f, e, p->offset, "the record is not the one that the pointer was made of");
    }
    if (status == LSM_OK) {
        *out = b;
        return LSM_OK;
    }
    uint64_t none = 0;
    if (status == LSM_CORRUPT || (e && e->sys_errno == EBADMSG)) atomic_compare_exchange_strong(&f->damage, &none, p->offset + 1);
    lsm_block_release(b);
    return status;
}

uint64_t lsm_value_file_damage(const lsm_value_file *f) { return atomic_load(&f->damage); }
void lsm_value_file_forget_damage(lsm_value_file *f) { atomic_store(&f->damage, 0); }

int lsm_value_file_read(lsm_value_file *f, const uint8_t *key, size_t n, uint64_t seq, const uint8_t *pointer, int cause, lsm_pin *pin,
                        const uint8_t **value, uint64_t *len, lsm_error *error) {
    lsm_pointer p;
    lsm_pointer_decode(pointer, &p);
    pin->block = NULL;
    if (p.file != f->props.number) return damaged(f, error, p.offset, "a pointer into another value file");
    int status = load(f, &p, key, n, seq, cause, &pin->block, error);
    if (status != LSM_OK) return status;
    *value = pin->block->data + LSM_VALUE_HEAD + n;
    *len = p.length;
    return LSM_OK;
}

lsm_value_file *lsm_value_find(lsm_value_file *const *files, uint32_t n, const uint8_t *pointer) {
    uint64_t number = lsm_get64(pointer);
    uint32_t lo = 0, hi = n;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (files[mid]->props.number < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && files[lo]->props.number == number ? files[lo] : NULL;
}

/* A cached record: what is in the cache was verified; whether it is the one that is meant costs nothing to ask. */
static int is_record(const lsm_block *b, const lsm_pointer *p, const lsm_entry *e) {
    return b->size == lsm_value_size(e->key_len, p->length) && lsm_get32(b->data) == p->crc && lsm_get64(b->data + 12) == e->seq &&
           (!e->key_len || !memcmp(b->data + LSM_VALUE_HEAD, e->key, e->key_len));
}

int lsm_value_fetch(lsm_value_file *const *files, uint32_t n, lsm_entry *e, lsm_pin *pin, int cause, int cache, lsm_reader *by,
                    lsm_error *error) {
    lsm_pointer p;
    if (e->value_len != LSM_POINTER)
        return lsm_fail(error, LSM_CORRUPT, "", 0, "a value pointer of %" PRIu64 " bytes; allowed: %d", e->value_len, LSM_POINTER);
    lsm_pointer_decode(e->value, &p);
    lsm_value_file *f = lsm_value_find(files, n, e->value);
    if (!f) return lsm_fail(error, LSM_CORRUPT, "", 0, "a pointer leads to value file %" PRIu64 ", which is not there", p.file);
    if (check_place(f, &p, e->key_len, error) != LSM_OK) return LSM_CORRUPT;
    lsm_cache *c = cache ? f->env->cache : NULL;
    int lent; /* never: a value file has no cells */
    lsm_block *b = c ? lsm_cache_lookup(c, p.file, p.offset, NULL, by, &lent) : NULL;
    if (b && !is_record(b, &p, e)) {
        lsm_block_release(b);
        return damaged(f, error, p.offset, "the record is not the one that the pointer was made of");
    }
    if (b) {
        lsm_reader_count(by, f->env->ledger, LSM_OP_HIT, -1, LSM_C_VALUE, cause, b->size);
    } else {
        lsm_reader_blocks(by);
        int status = load(f, &p, e->key, e->key_len, e->seq, cause, &b, error);
        if (status != LSM_OK) return status;
        if (c) b = lsm_cache_insert(c, p.file, p.offset, NULL, b);
    }
    lsm_unpin(pin);
    pin->block = b;
    e->kind = LSM_PUT;
    e->value = b->data + LSM_VALUE_HEAD + e->key_len;
    e->value_len = p.length;
    return LSM_OK;
}

/* Verifying ------------------------------------------------------------------------------------------------------------------------ */

typedef struct walk {
    lsm_value_file *f;
    lsm_error *e;
    uint8_t *data; /* [from, from + n) of the file */
    size_t n, cap;
    uint64_t from;
} walk;

/* Makes the n bytes at an offset, which are inside the records, be in the window. */
static int need(walk *w, uint64_t at, uint64_t n) {
    if (at + n <= w->from + w->n) return LSM_OK; /* it never goes back */
    if (n > w->cap) {
        uint8_t *more = realloc(w->data, n);
        if (!more) return lsm_fail(w->e, LSM_NOMEM, w->f->path, at, "out of memory for a record of %" PRIu64 " bytes", n);
        w->data = more;
        w->cap = n;
    }
    uint64_t left = w->f->props.bytes - at;
    w->from = at;
    w->n = left < w->cap ? left : w->cap;
    int status = read_at(w->f, w->data, w->n, at, LSM_BY_CHECK, w->e);
    if (status != LSM_OK) w->n = 0;
    return status;
}

/* The record at an offset; *size: its bytes. */
static int check_record(walk *w, uint64_t at, uint64_t *size, uint64_t *seq, uint32_t *crc) {
    const lsm_value_file *f = w->f;
    uint64_t left = f->props.bytes - at;
    if (left < LSM_VALUE_HEAD) return damaged(f, w->e, at, "bytes that belong to no record");
    int status = need(w, at, LSM_VALUE_HEAD);
    if (status != LSM_OK) return status;
    const uint8_t *p = w->data + (at - w->from);
    uint32_t kn = lsm_get32(p + 4), vn = lsm_get32(p + 8);
    *size = lsm_value_size(kn, vn);
    if (kn > LSM_MAX_KEY || vn > LSM_MAX_VALUE || *size > left) return damaged(f, w->e, at, "a record is longer than the file");
    if ((status = need(w, at, *size)) != LSM_OK) return status;
    p = w->data + (at - w->from);
    *crc = lsm_get32(p);
    uint32_t found = lsm_block_crc(f->env, f->props.number, at, p + 4, *size - 4);
    if (*crc != found) return lsm_fail(w->e, LSM_CORRUPT, f->path, at, "record checksum: stored %08x, computed %08x", *crc, found);
    *seq = lsm_get64(p + 12);
    return LSM_OK;
}

/* The footer was read at open; the file may have changed since. */
static int check_footer(lsm_value_file *f, lsm_error *e) {
    uint8_t raw[LSM_VALUE_FOOTER];
    int status = read_at(f, raw, sizeof raw, f->props.bytes, LSM_BY_CHECK, e);
    if (status == LSM_OK && (lsm_get32(raw + LSM_VALUE_FOOTER - 4) != f->props.footer_crc ||
                             lsm_mask_crc(f->env->crc32c(0, raw, LSM_VALUE_FOOTER - 4)) != f->props.footer_crc))
        status = damaged(f, e, f->props.bytes, "the footer is not the one that was read when the file was opened");
    return status;
}

int lsm_value_file_verify(lsm_value_file *f, struct lsm_bucket *bucket, const int *stop, lsm_error *error) {
    walk w = {.f = f, .e = error, .data = malloc(WINDOW), .cap = WINDOW};
    uint64_t at = 0, records = 0, least = UINT64_MAX, most = 0;
    uint32_t chain = 0;
    int status = w.data ? LSM_OK : lsm_fail(error, LSM_NOMEM, f->path, 0, "out of memory");
    while (status == LSM_OK && at < f->props.bytes) {
        uint64_t size = 0, seq = 0;
        uint32_t crc = 0;
        if (stop && __atomic_load_n(stop, __ATOMIC_RELAXED)) {
            status = lsm_fail(error, LSM_CANCELLED, f->path, at, "verifying was stopped");
            break;
        }
        if ((status = check_record(&w, at, &size, &seq, &crc)) != LSM_OK) break;
        uint8_t raw[4];
        lsm_put32(raw, crc);
        chain = f->env->crc32c(chain, raw, sizeof raw);
        least = seq < least ? seq : least;
        most = seq > most ? seq : most;
        records++;
        at += size;
        lsm_bucket_take(bucket, size, stop);
    }
    free(w.data);
    const lsm_value_props *x = &f->props;
    if (status == LSM_OK && (records != x->records || chain != f->chain || (records && (least != x->min_seq || most != x->max_seq))))
        status = damaged(f, error, x->bytes, "the footer does not agree with the records");
    return status == LSM_OK ? check_footer(f, error) : status;
}

int lsm_table_check_values(lsm_table *t, lsm_value_file *const *files, uint32_t n, lsm_error *error) {
    lsm_iter *it = lsm_table_iter(t, -1, LSM_BY_CHECK, 0, WINDOW, error);
    if (!it) return lsm_fail(error, LSM_NOMEM, "", 0, "out of memory");
    int status = LSM_OK;
    for (it->ops->first(it); status == LSM_OK && it->valid; it->ops->next(it)) {
        lsm_entry e = it->entry;
        lsm_pin pin = {0};
        if (e.kind == LSM_VALUE_POINTER) status = lsm_value_fetch(files, n, &e, &pin, LSM_BY_CHECK, 0, NULL, error);
        lsm_unpin(&pin);
    }
    if (status == LSM_OK && it->status < 0) status = it->status;
    it->ops->close(it);
    return status;
}
