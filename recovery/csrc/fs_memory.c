/* fs_memory.c: a file system in memory that knows what would survive a crash. See fs_memory.h for the picture. */
#include "fs_memory.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    rec_file base;
    mem_fs *fs;
    inode *node;
    int holds_lock;
} mem_file;

static const rec_fs_ops memory_ops;

#define COUNT(fs, field, by) __atomic_fetch_add(&(fs)->stats.field, (uint64_t)(by), __ATOMIC_RELAXED)

static void read_lock(mem_fs *fs) { pthread_rwlock_rdlock(&fs->lock); }
static void write_lock(mem_fs *fs) { pthread_rwlock_wrlock(&fs->lock); }
static void unlock(mem_fs *fs) { pthread_rwlock_unlock(&fs->lock); }

int mem_is(const rec_fs *fs) { return fs->ops == &memory_ops; }

/* ---- files ---- */

static int mem_wrap(mem_fs *fs, inode *i, rec_file **out) {
    mem_file *f = malloc(sizeof *f);
    if (!f) return -ENOMEM;
    i->refs++;
    *f = (mem_file){{&memory_ops}, fs, i, 0};
    COUNT(fs, opens, 1);
    *out = &f->base;
    return 0;
}

static int open_locked(mem_fs *fs, const char *path, int flags, rec_file **out) {
    char leaf[NAME_MAX + 1];
    inode *dir;
    int err = mem_walk(fs, path, &dir, leaf);
    if (err) return err;
    if (!leaf[0]) return -EISDIR;
    entry *e = mem_find(&dir->now, leaf);
    if (!e && !(flags & REC_O_CREATE)) return -ENOENT;
    if (e && (flags & REC_O_CREATE) && (flags & REC_O_EXCL)) return -EEXIST;
    if (e && e->node->is_dir) return -EISDIR;
    if (e) {
        if (flags & REC_O_TRUNC) mem_set_size(e->node, 0); /* never fails to shrink */
        return mem_wrap(fs, e->node, out);
    }
    inode *i = mem_inode(fs, 0);
    if (!i) return -ENOMEM;
    err = mem_change_name(fs, dir, leaf, i);
    if (!err) err = mem_wrap(fs, i, out);
    mem_unref(fs, i);
    return err;
}

static int mf_open(rec_fs *base, const char *path, int flags, rec_file **out) {
    mem_fs *fs = (mem_fs *)base;
    write_lock(fs);
    int err = open_locked(fs, path, flags, out);
    unlock(fs);
    return err;
}

static int mf_close(rec_file *file) {
    mem_file *f = (mem_file *)file;
    write_lock(f->fs);
    if (f->holds_lock) f->node->locked = 0;
    mem_unref(f->fs, f->node);
    unlock(f->fs);
    free(f);
    return 0;
}

static int write_locked(mem_file *f, const void *data, size_t n, uint64_t offset) {
    inode *i = f->node;
    if (offset > INT64_MAX - n) return -EFBIG;
    if (!n) return 0;
    int err = offset + n > i->size ? mem_set_size(i, offset + n) : 0;
    if (err) return err;
    memcpy(i->data + offset, data, n);
    mem_mark_dirty(i, offset, offset + n);
    COUNT(f->fs, writes, 1);
    COUNT(f->fs, write_bytes, n);
    return 0;
}

static int mf_append(rec_file *file, const void *data, size_t n) {
    mem_file *f = (mem_file *)file;
    write_lock(f->fs);
    int err = write_locked(f, data, n, f->node->size);
    unlock(f->fs);
    return err;
}

static int mf_pwrite(rec_file *file, const void *data, size_t n, uint64_t offset) {
    mem_file *f = (mem_file *)file;
    write_lock(f->fs);
    int err = write_locked(f, data, n, offset);
    unlock(f->fs);
    return err;
}

static int64_t mf_pread(rec_file *file, void *out, size_t n, uint64_t offset) {
    mem_file *f = (mem_file *)file;
    if (offset > INT64_MAX - n) return -EINVAL;
    read_lock(f->fs);
    uint64_t size = f->node->size, got = offset >= size ? 0 : size - offset < n ? size - offset : n;
    if (got) memcpy(out, f->node->data + offset, got);
    unlock(f->fs);
    COUNT(f->fs, reads, 1);
    COUNT(f->fs, read_bytes, got);
    return (int64_t)got;
}

static int mf_sync(rec_file *file) {
    mem_file *f = (mem_file *)file;
    write_lock(f->fs);
    int err = mem_make_safe(f->node);
    unlock(f->fs);
    COUNT(f->fs, syncs, 1);
    return err;
}

static int mf_truncate(rec_file *file, uint64_t size) {
    mem_file *f = (mem_file *)file;
    write_lock(f->fs);
    int err = mem_set_size(f->node, size);
    unlock(f->fs);
    return err;
}

static int mf_allocate(rec_file *file, uint64_t size) {
    mem_file *f = (mem_file *)file;
    write_lock(f->fs);
    int err = size > f->node->size ? mem_set_size(f->node, size) : 0;
    unlock(f->fs);
    return err;
}

static int mf_size_of(rec_file *file, uint64_t *out) {
    mem_file *f = (mem_file *)file;
    read_lock(f->fs);
    *out = f->node->size;
    unlock(f->fs);
    return 0;
}

static int mf_map(rec_file *file, uint64_t offset, size_t n, int writable, void **out) {
    mem_file *f = (mem_file *)file;
    inode *i = f->node;
    if (!n || offset % MEM_BLOCK || offset > INT64_MAX - n) return -EINVAL;
    mapping *m = malloc(sizeof *m);
    if (!m) return -ENOMEM;
    write_lock(f->fs);
    int err = offset + n > i->cap ? -EINVAL : 0; /* the real one would raise SIGBUS on use */
    if (!err) {
        *m = (mapping){i->maps, offset, offset + n, writable};
        i->maps = m;
        if (writable) mem_mark_dirty(i, m->lo, m->hi);
        *out = i->data + offset;
    }
    unlock(f->fs);
    if (err) {
        free(m);
        return err;
    }
    COUNT(f->fs, maps, 1);
    COUNT(f->fs, map_bytes, n);
    return 0;
}

static int mf_unmap(rec_file *file, void *addr, size_t n) {
    mem_file *f = (mem_file *)file;
    write_lock(f->fs);
    uint64_t lo = (uint64_t)((uint8_t *)addr - f->node->data);
    mapping **at = &f->node->maps, *m;
    while ((m = *at) && !(m->lo == lo && m->hi == lo + n)) at = &m->next;
    if (m) *at = m->next;
    unlock(f->fs);
    free(m);
    return m ? 0 : -EINVAL;
}

/* ---- names ---- */

static int rename_locked(mem_fs *fs, const char *from, const char *to) {
    char a[NAME_MAX + 1], b[NAME_MAX + 1];
    inode *da, *db;
    int err = mem_walk(fs, from, &da, a);
    if (!err) err = mem_walk(fs, to, &db, b);
    if (err) return err;
    entry *ea = a[0] ? mem_find(&da->now, a) : NULL, *eb = b[0] ? mem_find(&db->now, b) : NULL;
    if (!ea) return -ENOENT;
    if (!b[0]) return -EEXIST;
    if (eb && eb->node == ea->node) return 0;
    if (eb && eb->node->is_dir != ea->node->is_dir) return eb->node->is_dir ? -EISDIR : -ENOTDIR;
    if (eb && eb->node->is_dir && eb->node->now.n) return -ENOTEMPTY;
    inode *node = ea->node;
    node->refs++;
    err = mem_log(fs, da, a, NULL, db, b, node);
    if (!err) err = mem_set(fs, &db->now, b, node);
    if (!err) err = mem_set(fs, &da->now, a, NULL);
    mem_unref(fs, node);
    return err;
}

static int mf_rename(rec_fs *base, const char *from, const char *to) {
    mem_fs *fs = (mem_fs *)base;
    write_lock(fs);
    int err = rename_locked(fs, from, to);
    unlock(fs);
    COUNT(fs, renames, 1);
    return err;
}

static int mf_link(rec_fs *base, const char *from, const char *to) {
    mem_fs *fs = (mem_fs *)base;
    char leaf[NAME_MAX + 1];
    inode *node, *dir;
    write_lock(fs);
    int err = mem_lookup(fs, from, &node);
    if (!err) err = mem_walk(fs, to, &dir, leaf);
    if (!err && (!leaf[0] || mem_find(&dir->now, leaf))) err = -EEXIST;
    if (!err && node->is_dir) err = -EPERM;
    if (!err) err = mem_change_name(fs, dir, leaf, node);
    unlock(fs);
    return err;
}

static int remove_name(mem_fs *fs, const char *path, int is_dir) {
    char leaf[NAME_MAX + 1];
    inode *dir;
    int err = mem_walk(fs, path, &dir, leaf);
    if (err) return err;
    entry *e = leaf[0] ? mem_find(&dir->now, leaf) : NULL;
    if (!e) return leaf[0] ? -ENOENT : -EBUSY;
    if (e->node->is_dir != is_dir) return is_dir ? -ENOTDIR : -EISDIR;
    if (is_dir && e->node->now.n) return -ENOTEMPTY;
    return mem_change_name(fs, dir, leaf, NULL);
}

static int mf_unlink(rec_fs *base, const char *path) {
    mem_fs *fs = (mem_fs *)base;
    write_lock(fs);
    int err = remove_name(fs, path, 0);
    unlock(fs);
    COUNT(fs, unlinks, 1);
    return err;
}

static int mf_rmdir(rec_fs *base, const char *path) {
    mem_fs *fs = (mem_fs *)base;
    write_lock(fs);
    int err = remove_name(fs, path, 1);
    unlock(fs);
    return err;
}

static int mf_mkdir(rec_fs *base, const char *path) {
    mem_fs *fs = (mem_fs *)base;
    char leaf[NAME_MAX + 1];
    inode *dir, *node = NULL;
    write_lock(fs);
    int err = mem_walk(fs, path, &dir, leaf);
    if (!err && (!leaf[0] || mem_find(&dir->now, leaf))) err = -EEXIST;
    if (!err && !(node = mem_inode(fs, 1))) err = -ENOMEM;
    if (!err) err = mem_change_name(fs, dir, leaf, node);
    mem_unref(fs, node);
    unlock(fs);
    return err;
}

static int mf_stat(rec_fs *base, const char *path, uint64_t *size, int *is_dir) {
    mem_fs *fs = (mem_fs *)base;
    inode *i;
    read_lock(fs);
    int err = mem_lookup(fs, path, &i);
    if (!err && size) *size = i->size;
    if (!err && is_dir) *is_dir = i->is_dir;
    unlock(fs);
    return err;
}

/* The names are copied first: fn may call back into this file system. */
static int mf_list(rec_fs *base, const char *path, rec_name_fn fn, void *arg) {
    mem_fs *fs = (mem_fs *)base;
    inode *i;
    char **names = NULL;
    size_t n = 0;
    read_lock(fs);
    int err = mem_lookup(fs, path, &i);
    if (!err && !i->is_dir) err = -ENOTDIR;
    if (!err && i->now.n && !(names = calloc(i->now.n, sizeof *names))) err = -ENOMEM;
    for (; !err && n < i->now.n; n++)
        if (!(names[n] = strdup(i->now.v[n].name))) err = -ENOMEM;
    unlock(fs);
    int stop = err;
    for (size_t k = 0; k < n; k++) {
        if (!stop) stop = fn(arg, names[k]);
        free(names[k]);
    }
    free(names);
    return err;
}

static int mf_sync_dir(rec_fs *base, const char *path) {
    mem_fs *fs = (mem_fs *)base;
    inode *dir;
    write_lock(fs);
    int err = mem_lookup(fs, path, &dir);
    if (!err && !dir->is_dir) err = -ENOTDIR;
    size_t kept = 0;
    for (size_t k = 0; k < fs->log_n; k++) {
        change c = fs->log[k];
        int ours = !err && (c.part[0].dir == dir || (c.parts == 2 && c.part[1].dir == dir));
        if (ours) {
            for (int p = c.parts; p-- && !err;) err = mem_set(fs, &c.part[p].dir->safe, c.part[p].name, c.part[p].node);
            mem_forget(fs, &c);
        } else {
            fs->log[kept++] = c;
        }
    }
    fs->log_n = kept;
    unlock(fs);
    COUNT(fs, dir_syncs, 1);
    return err;
}

static int mf_lock(rec_fs *base, const char *path, const char *holder, char *found, size_t n, rec_file **out) {
    mem_fs *fs = (mem_fs *)base;
    rec_file *file = NULL;
    if (found && n) found[0] = 0;
    write_lock(fs);
    int err = open_locked(fs, path, REC_O_READ | REC_O_WRITE | REC_O_CREATE, &file);
    mem_file *f = (mem_file *)file;
    if (!err && f->node->locked) {
        size_t got = f->node->size < n ? f->node->size : n ? n - 1 : 0;
        if (found && n) {
            if (got) memcpy(found, f->node->data, got);
            found[got] = 0;
        }
        err = -EWOULDBLOCK;
    }
    if (!err) err = mem_set_size(f->node, 0);
    if (!err) err = write_locked(f, holder, strlen(holder), 0);
    if (!err) f->node->locked = f->holds_lock = 1;
    unlock(fs);
    if (err) {
        if (file) mf_close(file);
        return err;
    }
    *out = file;
    return 0;
}

static void mf_stats(rec_fs *base, rec_fs_stats *out) {
    const uint64_t *from = (const uint64_t *)&((mem_fs *)base)->stats;
    uint64_t *to = (uint64_t *)out;
    for (size_t k = 0; k < sizeof *out / sizeof *to; k++) to[k] = __atomic_load_n(&from[k], __ATOMIC_RELAXED);
}

static uint64_t mf_now_ns(rec_fs *base) {
    uint64_t set = __atomic_load_n(&((mem_fs *)base)->clock, __ATOMIC_RELAXED);
    struct timespec t;
    if (set) return set;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void mf_destroy(rec_fs *base) {
    mem_fs *fs = (mem_fs *)base;
    for (size_t k = 0; k < fs->log_n; k++) mem_forget(fs, &fs->log[k]);
    free(fs->log);
    mem_unref(fs, fs->root);
    pthread_rwlock_destroy(&fs->lock);
    free(fs);
}

static const rec_fs_ops memory_ops = {
    .abi = REC_FS_ABI,
    .size = sizeof(rec_fs_ops),
    .name = "memory",
    .open = mf_open,
    .close = mf_close,
    .append = mf_append,
    .pwrite = mf_pwrite,
    .pread = mf_pread,
    .sync = mf_sync,
    .truncate = mf_truncate,
    .allocate = mf_allocate,
    .size_of = mf_size_of,
    .map = mf_map,
    .unmap = mf_unmap,
    .rename = mf_rename,
    .link = mf_link,
    .unlink = mf_unlink,
    .mkdir = mf_mkdir,
    .rmdir = mf_rmdir,
    .stat = mf_stat,
    .list = mf_list,
    .sync_dir = mf_sync_dir,
    .lock = mf_lock,
    .stats = mf_stats,
    .now_ns = mf_now_ns,
    .destroy = mf_destroy,
};

mem_fs *mem_make(void) {
    mem_fs *fs = calloc(1, sizeof *fs);
    if (!fs) return NULL;
    fs->base.ops = &memory_ops;
    pthread_rwlock_init(&fs->lock, NULL);
    return fs;
}

rec_fs *rec_fs_memory(void) {
    mem_fs *fs = mem_make();
    if (!fs) return NULL;
    if (!(fs->root = mem_inode(fs, 1))) {
        mf_destroy(&fs->base);
        return NULL;
    }
    return &fs->base;
}

int rec_fs_memory_set_clock(rec_fs *base, uint64_t ns) {
    if (!mem_is(base)) return -EINVAL;
    __atomic_store_n(&((mem_fs *)base)->clock, ns, __ATOMIC_RELAXED);
    return 0;
}
