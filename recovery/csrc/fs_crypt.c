/* fs_crypt.c: names, keys and headers of encrypted files. The format is in fs_crypt.h. */
#define _GNU_SOURCE
#include "fs_crypt_impl.h"
#include "le.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    MAX_KEYS = 256,
    IDENTITY = 64,
    FORM_PAGED = 'P' | 'A' << 8 | 'G' << 16 | 'E' << 24,
    FORM_FRAMED = 'F' | 'R' << 8 | 'A' << 16 | 'M' << 24
};

struct crypt_keys { /* in pages of its own, which core dumps leave out */
    size_t n, current;
    uint64_t id[MAX_KEYS];
    uint8_t key[MAX_KEYS][REC_KEY];
};

static const rec_fs_ops crypt_ops;

void crypt_count(crypt_fs *fs, int what, uint64_t by) { atomic_fetch_add_explicit(&fs->n[what], by, memory_order_relaxed); }

/* ---- names ---- */

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static size_t digits(const char *p) { return strspn(p, "0123456789"); }

/* The length of the part of a name that its file is bound to; 0: none. */
static size_t identity_of(const char *name) {
    size_t n = 0;
    if (!strncmp(name, "CURRENT", 7))
        n = 7;
    else if (!strncmp(name, "MANIFEST-", 9) && digits(name + 9))
        n = 9 + digits(name + 9);
    else if (digits(name) && name[digits(name)] == '.') {
        n = digits(name) + 1;
        size_t ext = strspn(name + n, "abcdefghijklmnopqrstuvwxyz");
        n = ext ? n + ext : 0;
    }
    return n < IDENTITY && (!name[n] || name[n] == '.') ? n : 0;
}

static int is_plain(const char *path) {
    const char *name = base_of(path);
    return !strcmp(name, "LOCK") || !strcmp(name, "KEYS") || !strcmp(name, "KEYS.tmp");
}

static int form_of(const char *path) {
    const char *name = base_of(path);
    size_t n = identity_of(name);
    if (n > 5 && !memcmp(name + n - 5, ".vlog", 5)) return FORM_PAGED;
    return n > 4 && (!memcmp(name + n - 4, ".sst", 4) || !memcmp(name + n - 4, ".idx", 4)) ? FORM_PAGED : FORM_FRAMED;
}

/* May a file go from one name to the other as it is? */
static int check_names(const char *from, const char *to) {
    const char *a = base_of(from), *b = base_of(to);
    size_t n = identity_of(a);
    if (is_plain(from) != is_plain(to)) return -EINVAL;
    return n == identity_of(b) && !memcmp(a, b, n) ? 0 : -ENOTSUP;
}

/* ---- keys ---- */

static int key_by_id(crypt_fs *fs, uint64_t id, uint8_t key[REC_KEY]) {
    int err = -ENOKEY;
    pthread_mutex_lock(&fs->lock);
    for (size_t i = 0; i < fs->keys->n && err; i++)
        if (fs->keys->id[i] == id) memcpy(key, fs->keys->key[i], REC_KEY), err = 0;
    pthread_mutex_unlock(&fs->lock);
    return err;
}

static int current_key(crypt_fs *fs, uint64_t *id) {
    pthread_mutex_lock(&fs->lock);
    int err = fs->keys->n ? 0 : -ENOKEY;
    *id = fs->keys->id[fs->keys->current];
    pthread_mutex_unlock(&fs->lock);
    return err;
}

int rec_fs_crypt_add_key(rec_fs *base, uint64_t id, const uint8_t *key, int current) {
    crypt_fs *fs = (crypt_fs *)base;
    if (base->ops != &crypt_ops) return -EINVAL;
    pthread_mutex_lock(&fs->lock);
    crypt_keys *k = fs->keys;
    int err = k->n == MAX_KEYS ? -ENOSPC : 0;
    for (size_t i = 0; i < k->n; i++)
        if (k->id[i] == id) err = -EEXIST;
    if (!err) {
        k->id[k->n] = id;
        memcpy(k->key[k->n], key, REC_KEY);
        if (current) k->current = k->n;
        k->n++;
    }
    pthread_mutex_unlock(&fs->lock);
    return err;
}

/* ---- headers ---- */

/* Seals (or opens) the data key of a header for the file of this name. */
static int wrap(crypt_fs *fs, const char *path, int seal, uint64_t id, uint8_t h[CRYPT_HEADER], uint8_t data_key[REC_KEY]) {
    uint8_t key[REC_KEY], aad[CRYPT_AAD + 16 + IDENTITY];
    const char *name = base_of(path);
    size_t n = identity_of(name);
    rec_cipher *c = NULL;
    memcpy(aad, h, CRYPT_AAD);
    memcpy(aad + CRYPT_AAD, fs->database, 16);
    memcpy(aad + CRYPT_AAD + 16, name, n);
    n += CRYPT_AAD + 16;
    int err = key_by_id(fs, id, key);
    if (!err) err = rec_cipher_new(fs->lib, key, &c);
    if (!err && seal) err = rec_cipher_seal(c, h + 28, aad, n, data_key, REC_KEY, h + 40, h + 72);
    if (!err && !seal) err = rec_cipher_open(c, h + 28, aad, n, h + 40, REC_KEY, data_key, h + 72);
    rec_cipher_free(c);
    rec_wipe(key, sizeof key);
    return err;
}

static int make_header(crypt_file *f, const char *path, int form) {
    uint8_t h[CRYPT_HEADER], data_key[REC_KEY];
    uint64_t id;
    int err = current_key(f->fs, &id);
    if (err) return err;
    memcpy(h, "LSMCRYPT", 8);
    put32(h + 8, 1);
    put32(h + 12, (uint32_t)form);
    put32(h + 16, form == FORM_PAGED ? CRYPT_PAGE : 0);
    put64(h + 20, id);
    err = rec_random(h + 28, REC_NONCE);
    if (!err) err = rec_random(data_key, REC_KEY);
    if (!err) err = wrap(f->fs, path, 1, id, h, data_key);
    if (!err) err = rec_cipher_new(f->fs->lib, data_key, &f->cipher);
    rec_wipe(data_key, sizeof data_key);
    if (!err) err = f->inner->ops->pwrite(f->inner, h, sizeof h, 0);
    if (!err && form == FORM_FRAMED) err = f->inner->ops->sync(f->inner);
    return err;
}

/* Did a crash leave this while the file was made? Nothing is behind the header, and the header lacks a word or its end. */
static int torn_header(crypt_file *f, const uint8_t *h, uint64_t n, uint64_t size, int *err) {
    static const uint8_t zeros[8];
    uint8_t chunk[4096];
    int torn = n < CRYPT_HEADER;
    for (uint64_t i = 0; i + 8 <= n; i += 8) torn |= !memcmp(h + i, zeros, 8);
    for (uint64_t at = n; torn && at < size; at += sizeof chunk) {
        int64_t got = f->inner->ops->pread(f->inner, chunk, sizeof chunk, at);
        if (got < 0) *err = (int)got;
        for (int64_t i = 0; i < got && torn; i++) torn = !chunk[i];
        if (got <= 0) break;
    }
    return torn && !*err;
}

/* Reads and checks the header. *fresh: there is none that counts. */
static int read_header(crypt_file *f, const char *path, int *form, int *fresh) {
    uint8_t h[CRYPT_HEADER], data_key[REC_KEY];
    uint64_t size;
    int err = f->inner->ops->size_of(f->inner, &size);
    int64_t got = err ? 0 : f->inner->ops->pread(f->inner, h, sizeof h, 0);
    if (err || got < 0) return err ? err : (int)got;
    *fresh = !size;
    if (*fresh) return 0;
    *form = got == CRYPT_HEADER ? (int)get32(h + 12) : 0;
    int whole = got == CRYPT_HEADER && !memcmp(h, "LSMCRYPT", 8) && get32(h + 8) == 1;
    whole = whole && (*form == FORM_PAGED || *form == FORM_FRAMED) && get32(h + 16) == (*form == FORM_PAGED ? CRYPT_PAGE : 0);
    err = whole ? wrap(f->fs, path, 0, get64(h + 20), h, data_key) : -EBADMSG;
    if (!err) err = rec_cipher_new(f->fs->lib, data_key, &f->cipher);
    rec_wipe(data_key, sizeof data_key);
    if (err == -EBADMSG || err == -ENOKEY) {
        int failed = 0;
        if (torn_header(f, h, (uint64_t)got, size, &failed)) *fresh = 1, err = 0;
        if (failed) err = failed;
    }
    return err;
}

int crypt_nonce(crypt_file *f, uint8_t nonce[REC_NONCE]) {
    if (f->counter == UINT32_MAX) return -EOVERFLOW; /* uncovered (guard): 2^32 messages through one handle */
    int err = f->counter ? 0 : rec_random(f->session, sizeof f->session);
    if (err) return err;
    memcpy(nonce, f->session, sizeof f->session);
    put32(nonce + 8, f->counter++);
    return 0;
}

/* ---- files ---- */

int crypt_close(rec_file *file) {
    crypt_file *f = (crypt_file *)file;
    int err = f->inner->ops->close(f->inner);
    rec_cipher_free(f->cipher);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return err;
}

int crypt_no_map(rec_file *file, uint64_t offset, size_t n, int writable, void **out) {
    (void)file, (void)writable, (void)out;
    return !n || offset % 4096 || offset > INT64_MAX - n ? -EINVAL : -ENOTSUP;
}

int crypt_unmap(rec_file *file, void *addr, size_t n) {
    (void)file, (void)addr, (void)n;
    return -EINVAL;
}

/* Gives the file its header, old or new, and its body. */
static int set_up(crypt_file *f, const char *path, int writing) {
    int form = form_of(path), fresh = 0, err = read_header(f, path, &form, &fresh);
    if (fresh) form = form_of(path);
    if (!err && fresh && writing) {
        err = f->inner->ops->truncate(f->inner, 0);
        if (!err) err = make_header(f, path, form);
    }
    if (err) return err;
    f->base.ops = form == FORM_PAGED ? &crypt_paged_ops : &crypt_framed_ops;
    return form == FORM_PAGED ? crypt_paged_open(f, fresh, writing) : crypt_framed_open(f, fresh);
}

static int cr_open(rec_fs *base, const char *path, int flags, rec_file **out) {
    crypt_fs *fs = (crypt_fs *)base;
    int inner_flags = flags & ~REC_O_SALVAGE, writing = (flags & REC_O_WRITE) != 0;
    if (is_plain(path)) return fs->inner->ops->open(fs->inner, path, inner_flags, out);
    crypt_file *f = calloc(1, sizeof *f);
    if (!f) return -ENOMEM;
    f->fs = fs;
    f->salvage = (flags & REC_O_SALVAGE) != 0;
    int err = fs->inner->ops->open(fs->inner, path, writing ? inner_flags | REC_O_READ : inner_flags, &f->inner);
    if (err) {
        free(f);
        return err;
    }
    pthread_mutex_init(&f->lock, NULL);
    err = set_up(f, path, writing);
    if (err) {
        crypt_close(&f->base);
        return err;
    }
    crypt_count(fs, C_OPENS, 1);
    *out = &f->base;
    return 0;
}

/* ---- the file system ---- */

static rec_fs *inner_of(rec_fs *fs) { return ((crypt_fs *)fs)->inner; }

static int cr_rename(rec_fs *fs, const char *from, const char *to) {
    int err = check_names(from, to);
    crypt_count((crypt_fs *)fs, C_RENAMES, 1);
    return err ? err : inner_of(fs)->ops->rename(inner_of(fs), from, to);
}

static int cr_link(rec_fs *fs, const char *from, const char *to) {
    int err = check_names(from, to);
    return err ? err : inner_of(fs)->ops->link(inner_of(fs), from, to);
}

static int cr_unlink(rec_fs *fs, const char *path) {
    crypt_count((crypt_fs *)fs, C_UNLINKS, 1);
    return inner_of(fs)->ops->unlink(inner_of(fs), path);
}

static int cr_mkdir(rec_fs *fs, const char *path) { return inner_of(fs)->ops->mkdir(inner_of(fs), path); }

static int cr_rmdir(rec_fs *fs, const char *path) { return inner_of(fs)->ops->rmdir(inner_of(fs), path); }

/* The size of a framed file takes a look at all its frames. */
static int cr_stat(rec_fs *fs, const char *path, uint64_t *size, int *is_dir) {
    uint64_t physical;
    int dir, err = inner_of(fs)->ops->stat(inner_of(fs), path, &physical, &dir);
    if (err) return err;
    if (is_dir) *is_dir = dir;
    if (!size) return 0;
    *size = dir || is_plain(path) ? physical : crypt_paged_size(physical);
    if (dir || is_plain(path) || form_of(path) == FORM_PAGED) return 0;
    rec_file *f;
    err = cr_open(fs, path, REC_O_READ | REC_O_SALVAGE, &f);
    if (err) return err;
    err = f->ops->size_of(f, size);
    int closed = f->ops->close(f);
    return err ? err : closed;
}

static int cr_list(rec_fs *fs, const char *dir, rec_name_fn fn, void *arg) { return inner_of(fs)->ops->list(inner_of(fs), dir, fn, arg); }

static int cr_sync_dir(rec_fs *fs, const char *dir) {
    crypt_count((crypt_fs *)fs, C_DIR_SYNCS, 1);
    return inner_of(fs)->ops->sync_dir(inner_of(fs), dir);
}

static int cr_lock(rec_fs *fs, const char *path, const char *holder, char *found, size_t n, rec_file **out) {
    if (!is_plain(path)) return -EINVAL;
    return inner_of(fs)->ops->lock(inner_of(fs), path, holder, found, n, out);
}

static void cr_stats(rec_fs *base, rec_fs_stats *out) {
    uint64_t v[C_COUNT];
    for (int i = 0; i < C_COUNT; i++) v[i] = atomic_load_explicit(&((crypt_fs *)base)->n[i], memory_order_relaxed);
    *out = (rec_fs_stats){v[C_OPENS], v[C_READS],     v[C_READ_BYTES], v[C_WRITES],  v[C_WRITE_BYTES],
                          v[C_SYNCS], v[C_DIR_SYNCS], v[C_RENAMES],    v[C_UNLINKS], 0,
                          0};
}

static uint64_t cr_now_ns(rec_fs *fs) { return inner_of(fs)->ops->now_ns(inner_of(fs)); }

static void cr_destroy(rec_fs *base) {
    crypt_fs *fs = (crypt_fs *)base;
    rec_wipe(fs->keys, sizeof *fs->keys);
    munmap(fs->keys, sizeof *fs->keys);
    pthread_mutex_destroy(&fs->lock);
    free(fs);
}

static const rec_fs_ops crypt_ops = {
    .abi = REC_FS_ABI,
    .size = sizeof(rec_fs_ops),
    .name = "crypt",
    .open = cr_open,
    .rename = cr_rename,
    .link = cr_link,
    .unlink = cr_unlink,
    .mkdir = cr_mkdir,
    .rmdir = cr_rmdir,
    .stat = cr_stat,
    .list = cr_list,
    .sync_dir = cr_sync_dir,
    .lock = cr_lock,
    .stats = cr_stats,
    .now_ns = cr_now_ns,
    .destroy = cr_destroy,
};

rec_fs *rec_fs_crypt(rec_fs *inner, const rec_crypto *lib, const uint8_t *database) {
    crypt_fs *fs = calloc(1, sizeof *fs);
    void *keys = mmap(NULL, sizeof *fs->keys, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!fs || keys == MAP_FAILED) { /* uncovered (system): no address space left */
        if (keys != MAP_FAILED) munmap(keys, sizeof *fs->keys); /* uncovered (system): likewise */
        free(fs);
        return NULL;
    }
    madvise(keys, sizeof *fs->keys, MADV_DONTDUMP); /* best effort: a kernel without it dumps them */
    fs->base.ops = &crypt_ops;
    fs->inner = inner;
    fs->lib = lib;
    fs->keys = keys;
    memcpy(fs->database, database, sizeof fs->database);
    pthread_mutex_init(&fs->lock, NULL);
    return &fs->base;
}

int rec_fs_crypt_key_of(rec_fs *base, const char *path, uint64_t *id) {
    crypt_fs *fs = (crypt_fs *)base;
    uint8_t h[CRYPT_HEADER];
    rec_file *f;
    if (base->ops != &crypt_ops) return -EINVAL;
    if (is_plain(path)) return -ENODATA;
    int err = fs->inner->ops->open(fs->inner, path, REC_O_READ, &f);
    if (err) return err;
    uint64_t size = 0;
    err = f->ops->size_of(f, &size);
    int64_t got = err ? err : f->ops->pread(f, h, sizeof h, 0);
    err = f->ops->close(f);
    if (got < 0 || err) return got < 0 ? (int)got : err;
    if ((uint64_t)got < sizeof h && (uint64_t)got < size) return -EIO; /* a short read is not the end of the file */
    if (got < CRYPT_HEADER || memcmp(h, "LSMCRYPT", 8)) return -ENODATA;
    *id = get64(h + 20);
    return 0;
}
