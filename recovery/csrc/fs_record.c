/* fs_record.c: see fs_record.h. */
#define _GNU_SOURCE
#include "fs_record.h"
#include "bridge.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 256 };

typedef struct {
    rec_fs base;
    rec_fs *inner;
    pthread_mutex_t lock; /* everything below; held across inner calls that change something */
    rec_bytes log;
    uint64_t files;
    pthread_t threads[MOST_THREADS];
    uint32_t thread_n;
} record_fs;

typedef struct {
    rec_file base;
    record_fs *fs;
    rec_file *inner;
    uint64_t id;
    char *path;
} record_file;

static const rec_fs_ops record_ops;

#define INNER_FS(fs) (((record_fs *)(fs))->inner)
#define INNER(file) (((record_file *)(file))->inner)
#define PASS_FS(fs, call, ...) INNER_FS(fs)->ops->call(INNER_FS(fs), __VA_ARGS__)
#define PASS(file, call, ...) INNER(file)->ops->call(INNER(file), __VA_ARGS__)

static void lock(record_fs *fs) { pthread_mutex_lock(&fs->lock); }
static void unlock(record_fs *fs) { pthread_mutex_unlock(&fs->lock); }

static uint32_t thread_of(record_fs *fs) { /* lock held; those past the last place share it */
    uint32_t i = 0;
    while (i < fs->thread_n && !pthread_equal(fs->threads[i], pthread_self())) i++;
    if (i == fs->thread_n && i < MOST_THREADS) fs->threads[fs->thread_n++] = pthread_self();
    return i + 1;
}

typedef struct {
    int op;
    int64_t result;
    uint64_t file, offset, length;
    const char *path, *other;
    const void *data;
    size_t n;
} event;

static void note(record_fs *fs, event e) { /* lock held */
    size_t path = e.path ? strlen(e.path) : 0, other = e.other ? strlen(e.other) : 0;
    if (e.n > UINT32_MAX) fs->log.failed = 1; /* uncovered (guard): no write of the engine's comes near */
    rec_event_head head = {(uint32_t)e.op, thread_of(fs),  e.result,        e.file,        e.offset,
                           e.length,       (uint32_t)path, (uint32_t)other, (uint32_t)e.n, 0};
    rec_bytes_add(&fs->log, &head, sizeof head);
    rec_bytes_add(&fs->log, e.path, path);
    rec_bytes_add(&fs->log, e.other, other);
    rec_bytes_add(&fs->log, e.data, e.n);
}

static int64_t noted(record_fs *fs, event e) { /* a call that was made without the lock */
    lock(fs);
    note(fs, e);
    unlock(fs);
    return e.result;
}

static event on(rec_file *file, int op) {
    return (event){.op = op, .file = ((record_file *)file)->id, .path = ((record_file *)file)->path};
}

/* The file of an open or a lock that worked; lock held. The file stays open in the inner file system only if this works too. */
static int wrap(record_fs *fs, const char *path, rec_file *inner, rec_file **out) {
    record_file *f = malloc(sizeof *f);
    char *copy = strdup(path);
    if (!f || !copy) {
        free(f);
        free(copy);
        inner->ops->close(inner);
        return -ENOMEM;
    }
    *f = (record_file){{&record_ops}, fs, inner, ++fs->files, copy};
    *out = &f->base;
    return 0;
}

static int rf_open(rec_fs *base, const char *path, int flags, rec_file **out) {
    record_fs *fs = (record_fs *)base;
    rec_file *inner;
    lock(fs);
    int err = PASS_FS(fs, open, path, flags, &inner);
    if (!err) err = wrap(fs, path, inner, out);
    note(fs, (event){.op = REC_EV_OPEN, .result = err, .file = err ? 0 : fs->files, .offset = (uint64_t)flags, .path = path});
    unlock(fs);
    return err;
}

static int rf_lock(rec_fs *base, const char *path, const char *holder, char *found, size_t n, rec_file **out) {
    record_fs *fs = (record_fs *)base;
    rec_file *inner;
    lock(fs);
    int err = PASS_FS(fs, lock, path, holder, found, n, &inner);
    if (!err) err = wrap(fs, path, inner, out);
    note(fs, (event){.op = REC_EV_LOCK, .result = err, .file = err ? 0 : fs->files, .path = path, .data = holder, .n = strlen(holder)});
    unlock(fs);
    return err;
}

static int rf_close(rec_file *file) {
    record_file *f = (record_file *)file;
    event e = on(file, REC_EV_CLOSE);
    lock(f->fs);
    e.result = f->inner->ops->close(f->inner);
    note(f->fs, e);
    unlock(f->fs);
    free(f->path);
    free(f);
    return (int)e.result;
}

static int rf_append(rec_file *file, const void *data, size_t n) {
    record_file *f = (record_file *)file;
    event e = on(file, REC_EV_APPEND);
    lock(f->fs);
    e.result = PASS(f, size_of, &e.offset);
    if (!e.result) e.result = PASS(f, append, data, n);
    e.length = n, e.data = data, e.n = n;
    note(f->fs, e);
    unlock(f->fs);
    return (int)e.result;
}

static int rf_pwrite(rec_file *file, const void *data, size_t n, uint64_t offset) {
    record_file *f = (record_file *)file;
    event e = on(file, REC_EV_PWRITE);
    lock(f->fs);
    e.result = PASS(f, pwrite, data, n, offset);
    e.offset = offset, e.length = n, e.data = data, e.n = n;
    note(f->fs, e);
    unlock(f->fs);
    return (int)e.result;
}

static int64_t rf_pread(rec_file *file, void *out, size_t n, uint64_t offset) {
    event e = on(file, REC_EV_PREAD);
    e.result = PASS(file, pread, out, n, offset);
    e.offset = offset, e.length = n;
    return noted(((record_file *)file)->fs, e);
}

static int rf_sync(rec_file *file) {
    record_file *f = (record_file *)file;
    event e = on(file, REC_EV_SYNC);
    lock(f->fs);
    e.result = f->inner->ops->sync(f->inner);
    note(f->fs, e);
    unlock(f->fs);
    return (int)e.result;
}

static int resize(rec_file *file, int op, int (*call)(rec_file *, uint64_t), uint64_t size) {
    record_file *f = (record_file *)file;
    event e = on(file, op);
    lock(f->fs);
    e.result = call(f->inner, size);
    e.length = size;
    note(f->fs, e);
    unlock(f->fs);
    return (int)e.result;
}

static int rf_truncate(rec_file *file, uint64_t size) { return resize(file, REC_EV_TRUNCATE, INNER(file)->ops->truncate, size); }
static int rf_allocate(rec_file *file, uint64_t size) { return resize(file, REC_EV_ALLOCATE, INNER(file)->ops->allocate, size); }

static int rf_size_of(rec_file *file, uint64_t *out) {
    event e = on(file, REC_EV_SIZE_OF);
    e.result = PASS(file, size_of, out);
    return (int)noted(((record_file *)file)->fs, e);
}

static int rf_map(rec_file *file, uint64_t offset, size_t n, int writable, void **out) {
    event e = on(file, REC_EV_MAP);
    e.result = writable ? -ENOTSUP : PASS(file, map, offset, n, 0, out);
    e.offset = offset, e.length = n;
    return (int)noted(((record_file *)file)->fs, e);
}

static int rf_unmap(rec_file *file, void *addr, size_t n) {
    event e = on(file, REC_EV_UNMAP);
    e.result = PASS(file, unmap, addr, n);
    e.length = n;
    return (int)noted(((record_file *)file)->fs, e);
}

static int two_paths(rec_fs *base, int op, int (*call)(rec_fs *, const char *, const char *), const char *from, const char *to) {
    record_fs *fs = (record_fs *)base;
    lock(fs);
    int err = call(fs->inner, from, to);
    note(fs, (event){.op = op, .result = err, .path = from, .other = to});
    unlock(fs);
    return err;
}

static int one_path(rec_fs *base, int op, int (*call)(rec_fs *, const char *), const char *path) {
    record_fs *fs = (record_fs *)base;
    lock(fs);
    int err = call(fs->inner, path);
    note(fs, (event){.op = op, .result = err, .path = path});
    unlock(fs);
    return err;
}

static int rf_rename(rec_fs *fs, const char *a, const char *b) { return two_paths(fs, REC_EV_RENAME, INNER_FS(fs)->ops->rename, a, b); }
static int rf_link(rec_fs *fs, const char *a, const char *b) { return two_paths(fs, REC_EV_LINK, INNER_FS(fs)->ops->link, a, b); }
static int rf_unlink(rec_fs *fs, const char *path) { return one_path(fs, REC_EV_UNLINK, INNER_FS(fs)->ops->unlink, path); }
static int rf_mkdir(rec_fs *fs, const char *path) { return one_path(fs, REC_EV_MKDIR, INNER_FS(fs)->ops->mkdir, path); }
static int rf_rmdir(rec_fs *fs, const char *path) { return one_path(fs, REC_EV_RMDIR, INNER_FS(fs)->ops->rmdir, path); }
static int rf_sync_dir(rec_fs *fs, const char *path) { return one_path(fs, REC_EV_SYNC_DIR, INNER_FS(fs)->ops->sync_dir, path); }

static int rf_stat(rec_fs *fs, const char *path, uint64_t *size, int *is_dir) {
    int err = PASS_FS(fs, stat, path, size, is_dir);
    return (int)noted((record_fs *)fs, (event){.op = REC_EV_STAT, .result = err, .path = path});
}

static int rf_list(rec_fs *fs, const char *dir, rec_name_fn fn, void *arg) {
    int err = PASS_FS(fs, list, dir, fn, arg);
    return (int)noted((record_fs *)fs, (event){.op = REC_EV_LIST, .result = err, .path = dir});
}

static void rf_stats(rec_fs *fs, rec_fs_stats *out) { PASS_FS(fs, stats, out); }
static uint64_t rf_now_ns(rec_fs *fs) { return INNER_FS(fs)->ops->now_ns(INNER_FS(fs)); }

static void rf_destroy(rec_fs *base) {
    record_fs *fs = (record_fs *)base;
    pthread_mutex_destroy(&fs->lock);
    free(fs->log.p);
    free(fs);
}

static const rec_fs_ops record_ops = {
    .abi = REC_FS_ABI,
    .size = sizeof(rec_fs_ops),
    .name = "record",
    .open = rf_open,
    .close = rf_close,
    .append = rf_append,
    .pwrite = rf_pwrite,
    .pread = rf_pread,
    .sync = rf_sync,
    .truncate = rf_truncate,
    .allocate = rf_allocate,
    .size_of = rf_size_of,
    .map = rf_map,
    .unmap = rf_unmap,
    .rename = rf_rename,
    .link = rf_link,
    .unlink = rf_unlink,
    .mkdir = rf_mkdir,
    .rmdir = rf_rmdir,
    .stat = rf_stat,
    .list = rf_list,
    .sync_dir = rf_sync_dir,
    .lock = rf_lock,
    .stats = rf_stats,
    .now_ns = rf_now_ns,
    .destroy = rf_destroy,
};

rec_fs *rec_fs_record(rec_fs *inner) {
    record_fs *fs = calloc(1, sizeof *fs);
    if (!fs) return NULL;
    fs->base.ops = &record_ops;
    fs->inner = inner;
    pthread_mutex_init(&fs->lock, NULL);
    return &fs->base;
}

int rec_fs_record_mark(rec_fs *base, const char *text) {
    if (base->ops != &record_ops) return -EINVAL;
    return (int)noted((record_fs *)base, (event){.op = REC_EV_MARK, .data = text, .n = strlen(text)});
}

int rec_fs_record_take(rec_fs *base, uint8_t **out, size_t *n) {
    record_fs *fs = (record_fs *)base;
    if (base->ops != &record_ops) return -EINVAL;
    lock(fs);
    int failed = fs->log.failed;
    if (!failed) {
        *out = fs->log.p, *n = fs->log.n;
        fs->log = (rec_bytes){0};
    }
    unlock(fs);
    return failed ? -ENOMEM : 0;
}
