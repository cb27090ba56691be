/* fs_device.c: see fs_device.h. */
#define _GNU_SOURCE
#include "fs_device.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

typedef struct {
    rec_fs base;
    rec_fs *inner;
    rec_device_profile p;
    pthread_mutex_t lock; /* everything below */
    uint64_t clock, files;
    uint64_t at_file, at_offset; /* where the last request ended; file 0: nowhere */
    rec_device_stats stats;
} device_fs;

typedef struct {
    rec_file base;
    device_fs *fs;
    rec_file *inner;
    uint64_t id;
} device_file;

static const rec_fs_ops device_ops;

#define INNER_FS(fs) (((device_fs *)(fs))->inner)
#define INNER(file) (((device_file *)(file))->inner)
#define PASS_FS(fs, call, ...) INNER_FS(fs)->ops->call(INNER_FS(fs), __VA_ARGS__)
#define PASS(file, call, ...) INNER(file)->ops->call(INNER(file), __VA_ARGS__)

static uint64_t sum(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

/* a * b / c without overflow on the way; too large is UINT64_MAX */
static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c) {
    unsigned __int128 x = (unsigned __int128)a * b / c;
    return x > UINT64_MAX ? UINT64_MAX : (uint64_t)x;
}

static void spend(device_fs *fs, uint64_t ns, uint64_t *kind) { /* lock held */
    fs->clock = sum(fs->clock, ns);
    *kind = sum(*kind, ns);
}

/* A transfer of n bytes at an offset of a file. */
static void transfer(device_file *f, size_t n, uint64_t offset, int writing) {
    device_fs *fs = f->fs;
    const rec_device_profile *p = &fs->p;
    if (!n) return;
    pthread_mutex_lock(&fs->lock);
    uint64_t parts = (n - 1) / p->unit + 1, rounds = (parts - 1) / p->depth + 1;
    uint64_t ns = scaled(rounds, writing ? p->write_ns : p->read_ns, 1);
    ns = sum(ns, scaled(n, 1000000000u, writing ? p->write_bytes_per_s : p->read_bytes_per_s));
    if (fs->at_file != f->id || fs->at_offset != offset) {
        ns = sum(ns, p->seek_ns);
        fs->stats.seeks++;
    }
    fs->at_file = f->id, fs->at_offset = offset + n;
    if (writing) {
        fs->stats.writes++, fs->stats.write_bytes += n;
    } else {
        fs->stats.reads++, fs->stats.read_bytes += n;
    }
    spend(fs, ns, writing ? &fs->stats.write_ns : &fs->stats.read_ns);
    pthread_mutex_unlock(&fs->lock);
}

static void synced(device_fs *fs) {
    pthread_mutex_lock(&fs->lock);
    fs->stats.syncs++;
    spend(fs, fs->p.sync_ns, &fs->stats.sync_ns);
    pthread_mutex_unlock(&fs->lock);
}

static int named(device_fs *fs, int result) { /* a call on a name: charged, its result given back */
    pthread_mutex_lock(&fs->lock);
    fs->stats.metas++;
    spend(fs, fs->p.meta_ns, &fs->stats.meta_ns);
    pthread_mutex_unlock(&fs->lock);
    return result;
}

static int wrap(device_fs *fs, rec_file *inner, rec_file **out) {
    device_file *f = malloc(sizeof *f);
    if (!f) {
        inner->ops->close(inner);
        return -ENOMEM;
    }
    pthread_mutex_lock(&fs->lock);
    *f = (device_file){{&device_ops}, fs, inner, ++fs->files};
    pthread_mutex_unlock(&fs->lock);
    *out = &f->base;
    return 0;
}

static int dv_open(rec_fs *base, const char *path, int flags, rec_file **out) {
    rec_file *inner;
    int err = named((device_fs *)base, PASS_FS(base, open, path, flags, &inner));
    return err ? err : wrap((device_fs *)base, inner, out);
}

static int dv_lock(rec_fs *base, const char *path, const char *holder, char *found, size_t n, rec_file **out) {
    rec_file *inner;
    int err = named((device_fs *)base, PASS_FS(base, lock, path, holder, found, n, &inner));
    return err ? err : wrap((device_fs *)base, inner, out);
}

static int dv_close(rec_file *file) {
    device_file *f = (device_file *)file;
    int err = named(f->fs, f->inner->ops->close(f->inner));
    free(f);
    return err;
}

static int dv_append(rec_file *file, const void *data, size_t n) {
    uint64_t end = 0;
    int err = PASS(file, size_of, &end);
    if (!err) err = PASS(file, append, data, n);
    transfer((device_file *)file, n, end, 1);
    return err;
}

static int dv_pwrite(rec_file *file, const void *data, size_t n, uint64_t offset) {
    int err = PASS(file, pwrite, data, n, offset);
    transfer((device_file *)file, n, offset, 1);
    return err;
}

static int64_t dv_pread(rec_file *file, void *out, size_t n, uint64_t offset) {
    int64_t got = PASS(file, pread, out, n, offset);
    if (got > 0) transfer((device_file *)file, (size_t)got, offset, 0);
    return got;
}

static int dv_sync(rec_file *file) {
    int err = INNER(file)->ops->sync(INNER(file));
    synced(((device_file *)file)->fs);
    return err;
}

static int dv_truncate(rec_file *file, uint64_t size) { return named(((device_file *)file)->fs, PASS(file, truncate, size)); }
static int dv_allocate(rec_file *file, uint64_t size) { return named(((device_file *)file)->fs, PASS(file, allocate, size)); }
static int dv_size_of(rec_file *file, uint64_t *out) { return PASS(file, size_of, out); }

static int dv_map(rec_file *file, uint64_t offset, size_t n, int writable, void **out) {
    int err = writable ? -ENOTSUP : PASS(file, map, offset, n, 0, out);
    if (!err) transfer((device_file *)file, n, offset, 0);
    return err;
}

static int dv_unmap(rec_file *file, void *addr, size_t n) { return PASS(file, unmap, addr, n); }

static int dv_rename(rec_fs *fs, const char *a, const char *b) { return named((device_fs *)fs, PASS_FS(fs, rename, a, b)); }
static int dv_link(rec_fs *fs, const char *a, const char *b) { return named((device_fs *)fs, PASS_FS(fs, link, a, b)); }
static int dv_unlink(rec_fs *fs, const char *path) { return named((device_fs *)fs, PASS_FS(fs, unlink, path)); }
static int dv_mkdir(rec_fs *fs, const char *path) { return named((device_fs *)fs, PASS_FS(fs, mkdir, path)); }
static int dv_rmdir(rec_fs *fs, const char *path) { return named((device_fs *)fs, PASS_FS(fs, rmdir, path)); }

static int dv_stat(rec_fs *fs, const char *path, uint64_t *size, int *is_dir) {
    return named((device_fs *)fs, PASS_FS(fs, stat, path, size, is_dir));
}

static int dv_list(rec_fs *fs, const char *dir, rec_name_fn fn, void *arg) {
    return named((device_fs *)fs, PASS_FS(fs, list, dir, fn, arg));
}

static int dv_sync_dir(rec_fs *fs, const char *dir) {
    int err = PASS_FS(fs, sync_dir, dir);
    synced((device_fs *)fs);
    return err;
}

static void dv_stats(rec_fs *fs, rec_fs_stats *out) { PASS_FS(fs, stats, out); }

static uint64_t dv_now_ns(rec_fs *base) {
    device_fs *fs = (device_fs *)base;
    pthread_mutex_lock(&fs->lock);
    uint64_t now = fs->clock;
    pthread_mutex_unlock(&fs->lock);
    return now;
}

static void dv_destroy(rec_fs *base) {
    device_fs *fs = (device_fs *)base;
    pthread_mutex_destroy(&fs->lock);
    free(fs);
}

static const rec_fs_ops device_ops = {
    .abi = REC_FS_ABI,
    .size = sizeof(rec_fs_ops),
    .name = "device",
    .open = dv_open,
    .close = dv_close,
    .append = dv_append,
    .pwrite = dv_pwrite,
    .pread = dv_pread,
    .sync = dv_sync,
    .truncate = dv_truncate,
    .allocate = dv_allocate,
    .size_of = dv_size_of,
    .map = dv_map,
    .unmap = dv_unmap,
    .rename = dv_rename,
    .link = dv_link,
    .unlink = dv_unlink,
    .mkdir = dv_mkdir,
    .rmdir = dv_rmdir,
    .stat = dv_stat,
    .list = dv_list,
    .sync_dir = dv_sync_dir,
    .lock = dv_lock,
    .stats = dv_stats,
    .now_ns = dv_now_ns,
    .destroy = dv_destroy,
};

rec_fs *rec_fs_device(rec_fs *inner, const rec_device_profile *p) {
    if (!p->read_bytes_per_s || !p->write_bytes_per_s || !p->depth || !p->unit) return NULL;
    device_fs *fs = calloc(1, sizeof *fs);
    if (!fs) return NULL;
    fs->base.ops = &device_ops;
    fs->inner = inner;
    fs->p = *p;
    pthread_mutex_init(&fs->lock, NULL);
    return &fs->base;
}

int rec_fs_device_advance(rec_fs *base, uint64_t ns) {
    device_fs *fs = (device_fs *)base;
    if (base->ops != &device_ops) return -EINVAL;
    pthread_mutex_lock(&fs->lock);
    if (fs->clock < ns) fs->clock = ns;
    pthread_mutex_unlock(&fs->lock);
    return 0;
}

int rec_fs_device_stats(rec_fs *base, rec_device_stats *out) {
    device_fs *fs = (device_fs *)base;
    if (base->ops != &device_ops) return -EINVAL;
    pthread_mutex_lock(&fs->lock);
    *out = fs->stats;
    pthread_mutex_unlock(&fs->lock);
    return 0;
}
