/* fs_fault.c: a file system that fails on command. See fs_kinds.h. */
#define _GNU_SOURCE
#include "fs_kinds.h"
#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Calls that can fail, by the names of their members in rec_fs_ops. */
enum {
    OPEN,
    CLOSE,
    APPEND,
    PWRITE,
    PREAD,
    SYNC,
    TRUNCATE,
    ALLOCATE,
    SIZE_OF,
    MAP,
    RENAME,
    LINK,
    UNLINK,
    MKDIR,
    RMDIR,
    STAT,
    LIST,
    SYNC_DIR,
    LOCK,
    OPS
};
static const char *const NAMES[OPS] = {"open",   "close", "append", "pwrite", "pread", "sync", "truncate", "allocate", "size_of", "map",
                                       "rename", "link",  "unlink", "mkdir",  "rmdir", "stat", "list",     "sync_dir", "lock"};

typedef struct rule {
    struct rule *next;
    char *op, *glob;
    uint64_t nth, seen, amount;
    int err, sticky;
} rule;

typedef struct seen { /* how often each call was made on one path */
    struct seen *next;
    char *path;
    uint64_t calls[OPS];
} seen;

typedef struct {
    rec_fs base;
    rec_fs *inner;
    pthread_mutex_t lock; /* all but flips; never held across a call of the inner file system */
    pthread_cond_t let_go;
    rule *rules;
    seen *paths;
    uint64_t flips, stuck, disarmed; /* disarmed: how often, so that who is stuck sees it */
} fault_fs;

typedef struct {
    rec_file base;
    fault_fs *fs;
    rec_file *inner;
    seen *path;
} fault_file;

static const rec_fs_ops fault_ops;

static int is_fault(const rec_fs *fs) { return fs->ops == &fault_ops; }

/* The counters of a path, made on first use; NULL when out of memory. */
static seen *path_of(fault_fs *fs, const char *path) {
    pthread_mutex_lock(&fs->lock);
    seen *s = fs->paths;
    while (s && strcmp(s->path, path)) s = s->next;
    if (!s && (s = calloc(1, sizeof *s))) {
        if ((s->path = strdup(path))) {
            s->next = fs->paths;
            fs->paths = s;
        } else {
            free(s);
            s = NULL;
        }
    }
    pthread_mutex_unlock(&fs->lock);
    return s;
}

static int can_act(int err, int op) {
    if (err == REC_FAULT_SHORT) return op == APPEND || op == PWRITE;
    if (err == REC_FAULT_LIE) return op == SYNC || op == SYNC_DIR;
    return (err != REC_FAULT_FLIP && err != REC_FAULT_SHORT_READ) || op == PREAD;
}

static void wait_ns(uint64_t ns) {
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) && errno == EINTR) { /* uncovered (guard): it knows no other error of a right time */
    }
}

static void be_stuck(fault_fs *fs) { /* lock held */
    uint64_t since = fs->disarmed;
    fs->stuck++;
    while (fs->disarmed == since) pthread_cond_wait(&fs->let_go, &fs->lock);
    fs->stuck--;
}

/* Counts the call, holds it up, and returns 0 or the fault to act out. other: the second path of rename and link, or NULL. */
static int decide(fault_fs *fs, int op, seen *path, const char *other) {
    int fault = 0, stuck = 0;
    uint64_t delay = 0;
    if (!path) return -ENOMEM;
    pthread_mutex_lock(&fs->lock);
    path->calls[op]++;
    for (rule *r = fs->rules; r; r = r->next) {
        if (!can_act(r->err, op) || fnmatch(r->op, NAMES[op], 0)) continue;
        if (fnmatch(r->glob, path->path, 0) && (!other || fnmatch(r->glob, other, 0))) continue;
        r->seen++;
        if (r->seen != r->nth && !(r->sticky && r->seen > r->nth)) continue;
        if (r->err == REC_FAULT_LATENCY)
            delay += r->amount;
        else if (r->err == REC_FAULT_STUCK)
            stuck = 1;
        else if (!fault)
            fault = r->err;
    }
    if (stuck) be_stuck(fs);
    pthread_mutex_unlock(&fs->lock);
    if (delay) wait_ns(delay);
    return fault;
}

/* Both names of a call on the file system; the inner call goes through only when 0 comes back. */
static int on_path(rec_fs *fs, int op, const char *path, const char *other) {
    fault_fs *f = (fault_fs *)fs;
    return decide(f, op, path_of(f, path), other);
}

static int on_file(rec_file *file, int op) {
    fault_file *f = (fault_file *)file;
    return decide(f->fs, op, f->path, NULL);
}

#define INNER_FS(fs) (((fault_fs *)(fs))->inner)
#define INNER(file) (((fault_file *)(file))->inner)
#define PASS_FS(fs, call, ...) INNER_FS(fs)->ops->call(INNER_FS(fs), __VA_ARGS__)
#define PASS(file, call, ...) INNER(file)->ops->call(INNER(file), __VA_ARGS__)

static int wrap(rec_fs *fs, const char *path, rec_file *inner, rec_file **out) {
    fault_file *f = malloc(sizeof *f);
    if (!f) {
        inner->ops->close(inner);
        return -ENOMEM;
    }
    *f = (fault_file){{&fault_ops}, (fault_fs *)fs, inner, path_of((fault_fs *)fs, path)};
    *out = &f->base;
    return 0;
}

static int ff_open(rec_fs *fs, const char *path, int flags, rec_file **out) {
    rec_file *inner;
    int err = on_path(fs, OPEN, path, NULL);
    if (!err) err = PASS_FS(fs, open, path, flags, &inner);
    return err ? err : wrap(fs, path, inner, out);
}

static int ff_close(rec_file *file) {
    int fault = on_file(file, CLOSE), err = INNER(file)->ops->close(INNER(file));
    free(file);
    return fault ? fault : err;
}

static int ff_append(rec_file *file, const void *data, size_t n) {
    int fault = on_file(file, APPEND);
    if (fault < 0) return fault;
    int err = PASS(file, append, data, fault ? n / 2 : n);
    return fault ? -ENOSPC : err;
}

static int ff_pwrite(rec_file *file, const void *data, size_t n, uint64_t offset) {
    int fault = on_file(file, PWRITE);
    if (fault < 0) return fault;
    int err = PASS(file, pwrite, data, fault ? n / 2 : n, offset);
    return fault ? -ENOSPC : err;
}

static int64_t ff_pread(rec_file *file, void *out, size_t n, uint64_t offset) {
    int fault = on_file(file, PREAD);
    if (fault < 0) return fault;
    int64_t got = PASS(file, pread, out, fault == REC_FAULT_SHORT_READ ? n / 2 : n, offset);
    if (fault == REC_FAULT_FLIP && got > 0) {
        fault_fs *fs = ((fault_file *)file)->fs;
        uint64_t bit = __atomic_add_fetch(&fs->flips, 1, __ATOMIC_RELAXED) * 0x9e3779b97f4a7c15u % ((uint64_t)got * 8);
        ((uint8_t *)out)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return got;
}

static int ff_sync(rec_file *file) {
    int fault = on_file(file, SYNC);
    if (fault == REC_FAULT_LIE) return 0;
    return fault ? fault : INNER(file)->ops->sync(INNER(file));
}

static int ff_truncate(rec_file *file, uint64_t size) {
    int err = on_file(file, TRUNCATE);
    return err ? err : PASS(file, truncate, size);
}

static int ff_allocate(rec_file *file, uint64_t size) {
    int err = on_file(file, ALLOCATE);
    return err ? err : PASS(file, allocate, size);
}

static int ff_size_of(rec_file *file, uint64_t *out) {
    int err = on_file(file, SIZE_OF);
    return err ? err : PASS(file, size_of, out);
}

static int ff_map(rec_file *file, uint64_t offset, size_t n, int writable, void **out) {
    int err = on_file(file, MAP);
    return err ? err : PASS(file, map, offset, n, writable, out);
}

static int ff_unmap(rec_file *file, void *addr, size_t n) { return PASS(file, unmap, addr, n); }

static int ff_rename(rec_fs *fs, const char *from, const char *to) {
    int err = on_path(fs, RENAME, from, to);
    return err ? err : PASS_FS(fs, rename, from, to);
}

static int ff_link(rec_fs *fs, const char *from, const char *to) {
    int err = on_path(fs, LINK, from, to);
    return err ? err : PASS_FS(fs, link, from, to);
}

static int ff_unlink(rec_fs *fs, const char *path) {
    int err = on_path(fs, UNLINK, path, NULL);
    return err ? err : PASS_FS(fs, unlink, path);
}

static int ff_mkdir(rec_fs *fs, const char *path) {
    int err = on_path(fs, MKDIR, path, NULL);
    return err ? err : PASS_FS(fs, mkdir, path);
}

static int ff_rmdir(rec_fs *fs, const char *path) {
    int err = on_path(fs, RMDIR, path, NULL);
    return err ? err : PASS_FS(fs, rmdir, path);
}

static int ff_stat(rec_fs *fs, const char *path, uint64_t *size, int *is_dir) {
    int err = on_path(fs, STAT, path, NULL);
    return err ? err : PASS_FS(fs, stat, path, size, is_dir);
}

static int ff_list(rec_fs *fs, const char *dir, rec_name_fn fn, void *arg) {
    int err = on_path(fs, LIST, dir, NULL);
    return err ? err : PASS_FS(fs, list, dir, fn, arg);
}

static int ff_sync_dir(rec_fs *fs, const char *dir) {
    int fault = on_path(fs, SYNC_DIR, dir, NULL);
    if (fault == REC_FAULT_LIE) return 0;
    return fault ? fault : PASS_FS(fs, sync_dir, dir);
}

static int ff_lock(rec_fs *fs, const char *path, const char *holder, char *found, size_t n, rec_file **out) {
    rec_file *inner;
    if (found && n) found[0] = 0;
    int err = on_path(fs, LOCK, path, NULL);
    if (!err) err = PASS_FS(fs, lock, path, holder, found, n, &inner);
    return err ? err : wrap(fs, path, inner, out);
}

static void ff_stats(rec_fs *fs, rec_fs_stats *out) { PASS_FS(fs, stats, out); }
static uint64_t ff_now_ns(rec_fs *fs) { return INNER_FS(fs)->ops->now_ns(INNER_FS(fs)); }

int rec_fs_fault_disarm(rec_fs *base) {
    fault_fs *fs = (fault_fs *)base;
    if (!is_fault(base)) return -EINVAL;
    pthread_mutex_lock(&fs->lock);
    while (fs->rules) {
        rule *r = fs->rules;
        fs->rules = r->next;
        free(r->op);
        free(r->glob);
        free(r);
    }
    fs->disarmed++;
    pthread_cond_broadcast(&fs->let_go);
    pthread_mutex_unlock(&fs->lock);
    return 0;
}

uint64_t rec_fs_fault_stuck(rec_fs *base) {
    fault_fs *fs = (fault_fs *)base;
    if (!is_fault(base)) return 0;
    pthread_mutex_lock(&fs->lock);
    uint64_t n = fs->stuck;
    pthread_mutex_unlock(&fs->lock);
    return n;
}

static void ff_destroy(rec_fs *base) {
    fault_fs *fs = (fault_fs *)base;
    rec_fs_fault_disarm(base);
    while (fs->paths) {
        seen *s = fs->paths;
        fs->paths = s->next;
        free(s->path);
        free(s);
    }
    pthread_cond_destroy(&fs->let_go);
    pthread_mutex_destroy(&fs->lock);
    free(fs);
}

static const rec_fs_ops fault_ops = {
    .abi = REC_FS_ABI,
    .size = sizeof(rec_fs_ops),
    .name = "fault",
    .open = ff_open,
    .close = ff_close,
    .append = ff_append,
    .pwrite = ff_pwrite,
    .pread = ff_pread,
    .sync = ff_sync,
    .truncate = ff_truncate,
    .allocate = ff_allocate,
    .size_of = ff_size_of,
    .map = ff_map,
    .unmap = ff_unmap,
    .rename = ff_rename,
    .link = ff_link,
    .unlink = ff_unlink,
    .mkdir = ff_mkdir,
    .rmdir = ff_rmdir,
    .stat = ff_stat,
    .list = ff_list,
    .sync_dir = ff_sync_dir,
    .lock = ff_lock,
    .stats = ff_stats,
    .now_ns = ff_now_ns,
    .destroy = ff_destroy,
};

rec_fs *rec_fs_fault(rec_fs *inner) {
    fault_fs *fs = calloc(1, sizeof *fs);
    if (!fs) return NULL;
    fs->base.ops = &fault_ops;
    fs->inner = inner;
    pthread_mutex_init(&fs->lock, NULL);
    pthread_cond_init(&fs->let_go, NULL);
    return &fs->base;
}

int rec_fs_fault_arm(rec_fs *base, const char *op, const char *path_glob, uint64_t nth, int err, int sticky, uint64_t amount) {
    fault_fs *fs = (fault_fs *)base;
    if (!is_fault(base) || !nth || !err || err > REC_FAULT_STUCK) return -EINVAL;
    rule *r = calloc(1, sizeof *r);
    if (!r) return -ENOMEM;
    *r = (rule){.op = strdup(op), .glob = strdup(path_glob), .nth = nth, .err = err, .sticky = sticky, .amount = amount};
    if (!r->op || !r->glob) {
        free(r->op);
        free(r->glob);
        free(r);
        return -ENOMEM;
    }
    pthread_mutex_lock(&fs->lock);
    r->next = fs->rules;
    fs->rules = r;
    pthread_mutex_unlock(&fs->lock);
    return 0;
}

uint64_t rec_fs_fault_calls(rec_fs *base, const char *op, const char *path_glob) {
    fault_fs *fs = (fault_fs *)base;
    uint64_t total = 0;
    if (!is_fault(base)) return 0;
    pthread_mutex_lock(&fs->lock);
    for (const seen *s = fs->paths; s; s = s->next)
        for (int k = 0; k < OPS; k++)
            if (s->calls[k] && !fnmatch(op, NAMES[k], 0) && !fnmatch(path_glob, s->path, 0)) total += s->calls[k];
    pthread_mutex_unlock(&fs->lock);
    return total;
}
