/* fs_posix.c: the real file system (Linux). See fs.h for the contract. */
#define _GNU_SOURCE
#include "fs_kinds.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { S_OPENS, S_READS, S_READ_BYTES, S_WRITES, S_WRITE_BYTES, S_SYNCS, S_DIR_SYNCS, S_RENAMES, S_UNLINKS, S_MAPS, S_MAP_BYTES, S_COUNT };

typedef struct {
    rec_fs base;
    _Atomic uint64_t n[S_COUNT];
} posix_fs;

typedef struct {
    rec_file base;
    posix_fs *fs;
    int fd;
    uint64_t end; /* where append writes; serialised by the caller */
} posix_file;

static void count(posix_fs *fs, int what, uint64_t by) { atomic_fetch_add_explicit(&fs->n[what], by, memory_order_relaxed); }

#define RETRY(expr)                                                                                                                        \
    ({                                                                                                                                     \
        __typeof__(expr) r_;                                                                                                               \
        do r_ = (expr);                                                                                                                    \
        while (r_ < 0 && errno == EINTR);                                                                                                  \
        r_;                                                                                                                                \
    })

static const rec_fs_ops posix_ops;

static int wrap_fd(posix_fs *fs, int fd, rec_file **out) {
    struct stat st;
    int err = 0;
    if (fstat(fd, &st) < 0)
        err = -errno;
    else if (!S_ISREG(st.st_mode))
        err = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    posix_file *f = err ? NULL : malloc(sizeof *f);
    if (!f) {
        close(fd);
        return err ? err : -ENOMEM;
    }
    *f = (posix_file){{&posix_ops}, fs, fd, (uint64_t)st.st_size};
    count(fs, S_OPENS, 1);
    *out = &f->base;
    return 0;
}

static int px_open(rec_fs *fs, const char *path, int flags, rec_file **out) {
    int how = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY; /* NONBLOCK: a FIFO in place of a file must not hang us */
    how |= !(flags & REC_O_WRITE) ? O_RDONLY : O_RDWR; /* a writable mapping needs read permission too */
    if (flags & REC_O_TRUNC) how |= O_TRUNC;
    int create = (flags & REC_O_CREATE) != 0, fd = -1, made = 0;
    if (!create || !(flags & REC_O_EXCL)) fd = RETRY(open(path, how));
    if (create && fd < 0 && ((flags & REC_O_EXCL) || errno == ENOENT)) {
        made = O_CREAT | (flags & REC_O_EXCL ? O_EXCL : 0);
        fd = RETRY(open(path, how | made, 0600));
    }
    if (fd < 0) return -errno;
    if (made && fchmod(fd, 0600) < 0) { /* a umask may have taken our own rights */
        int err = -errno;
        close(fd);
        return err;
    }
    return wrap_fd((posix_fs *)fs, fd, out);
}

static int px_close(rec_file *file) {
    posix_file *f = (posix_file *)file;
    int err = close(f->fd) < 0 && errno != EINTR ? -errno : 0; /* Linux: closed also after EINTR */
    free(f);
    return err;
}

static int px_pwrite(rec_file *file, const void *data, size_t n, uint64_t offset) {
    posix_file *f = (posix_file *)file;
    const char *p = data;
    if (offset > INT64_MAX - n) return -EFBIG;
    while (n) {
        ssize_t done = RETRY(pwrite(f->fd, p, n, (off_t)offset));
        if (done <= 0) return done < 0 ? -errno : -EIO;
        count(f->fs, S_WRITES, 1);
        count(f->fs, S_WRITE_BYTES, (uint64_t)done);
        p += done, offset += (uint64_t)done, n -= (size_t)done;
        if (offset > f->end) f->end = offset;
    }
    return 0;
}

static int px_append(rec_file *file, const void *data, size_t n) { return px_pwrite(file, data, n, ((posix_file *)file)->end); }

static int64_t px_pread(rec_file *file, void *out, size_t n, uint64_t offset) {
    posix_file *f = (posix_file *)file;
    size_t got = 0;
    if (offset > INT64_MAX - n) return -EINVAL;
    while (got < n) {
        ssize_t done = RETRY(pread(f->fd, (char *)out + got, n - got, (off_t)(offset + got)));
        if (done < 0) return -errno;
        if (!done) break;
        got += (size_t)done;
    }
    count(f->fs, S_READS, 1);
    count(f->fs, S_READ_BYTES, got);
    return (int64_t)got;
}

static int px_sync(rec_file *file) {
    posix_file *f = (posix_file *)file;
    count(f->fs, S_SYNCS, 1);
    return RETRY(fdatasync(f->fd)) < 0 ? -errno : 0;
}

static int px_truncate(rec_file *file, uint64_t size) {
    posix_file *f = (posix_file *)file;
    if (size > INT64_MAX) return -EFBIG;
    if (RETRY(ftruncate(f->fd, (off_t)size)) < 0) return -errno;
    f->end = size;
    return 0;
}

/* Where fallocate is missing, zeros written by hand reserve the blocks. */
static int fill_zeros(posix_file *f, uint64_t size) {
    static const char zeros[65536];
    while (f->end < size) {
        uint64_t n = size - f->end < sizeof zeros ? size - f->end : sizeof zeros;
        int err = px_pwrite(&f->base, zeros, n, f->end);
        if (err) return err;
    }
    return 0;
}

static int px_allocate(rec_file *file, uint64_t size) {
    posix_file *f = (posix_file *)file;
    uint64_t before = f->end;
    if (size > INT64_MAX) return -EFBIG;
    if (!size) return 0;
    int err = RETRY(fallocate(f->fd, 0, 0, (off_t)size)) < 0 ? -errno : 0;
    if (err == -EOPNOTSUPP || err == -ENOSYS) err = fill_zeros(f, size);
    if (err) {
        if (RETRY(ftruncate(f->fd, (off_t)before)) == 0) f->end = before;
        return err;
    }
    if (size > f->end) f->end = size;
    return 0;
}

static int px_size_of(rec_file *file, uint64_t *out) {
    struct stat st;
    if (fstat(((posix_file *)file)->fd, &st) < 0) return -errno;
    *out = (uint64_t)st.st_size;
    return 0;
}

/* Where a store into a page that was written back needs a new block, as it does where data is copied on write or logged, reserved blocks and
 * faults taken early do not help: on a full disk that store is a SIGBUS. Nor is there an errno to have of a network's or a user's file
 * system. There, as on every file system that has no mappings, the log is written by calls. */
static int stores_may_fail(int fd) {
    struct statfs s;
    if (fstatfs(fd, &s) < 0) return 1;
    switch ((uint32_t)s.f_type) {
    case 0x9123683E: /* btrfs */
    case 0x2FC12FC1: /* zfs */
    case 0xCA451A4E: /* bcachefs */
    case 0xF2F52010: /* f2fs */
    case 0x6969: /* nfs */
    case 0xFF534D42: /* cifs */
    case 0xFE534D42: /* smb2 */
    case 0x01021997: /* 9p */
    case 0x65735546: /* fuse */
        return 1;
    default:
        return 0;
    }
}

/* The page faults of a writable mapping are taken now, in one go: later stores are cheap, and a full disk shows up here as an
 * error and not as SIGBUS. The faults go through a fresh descriptor because the kernel's read-ahead state sits in it: one that has
 * seen many windows makes ever larger folios, and each write fault then walks the whole folio (ext4: 2 us a page against 5 to 10). */
static int map_writable(posix_file *f, uint64_t offset, size_t n, void **out) {
    char self[64];
    if (stores_may_fail(f->fd)) return -ENOTSUP;
    snprintf(self, sizeof self, "/proc/self/fd/%d", f->fd);
    int fresh = RETRY(open(self, O_RDWR | O_CLOEXEC)), err = 0;
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fresh < 0 ? f->fd : fresh, (off_t)offset);
    if (p == MAP_FAILED)
        err = errno == ENODEV ? -ENOTSUP : -errno;
    else if (madvise(p, n, MADV_POPULATE_WRITE) < 0 && errno != EINVAL) { /* EINVAL: a kernel before 5.14 */
        err = errno == EFAULT || errno == EHWPOISON ? -EIO : -errno;
        munmap(p, n);
    }
    if (fresh >= 0) close(fresh);
    *out = p;
    return err;
}

static int px_map(rec_file *file, uint64_t offset, size_t n, int writable, void **out) {
    posix_file *f = (posix_file *)file;
    if (!n || offset % 4096 || offset > INT64_MAX - n) return -EINVAL;
    int err = 0;
    if (writable)
        err = map_writable(f, offset, n, out);
    else {
        void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, f->fd, (off_t)offset);
        if (p == MAP_FAILED) err = errno == ENODEV ? -ENOTSUP : -errno;
        *out = p;
    }
    if (err) return err;
    count(f->fs, S_MAPS, 1);
    count(f->fs, S_MAP_BYTES, n);
    return 0;
}

static int px_unmap(rec_file *file, void *addr, size_t n) {
    (void)file;
    return munmap(addr, n) < 0 ? -errno : 0;
}

static int px_rename(rec_fs *fs, const char *from, const char *to) {
    count((posix_fs *)fs, S_RENAMES, 1);
    return rename(from, to) < 0 ? -errno : 0;
}

static int px_link(rec_fs *fs, const char *from, const char *to) {
    (void)fs;
    return link(from, to) < 0 ? -errno : 0;
}

static int px_unlink(rec_fs *fs, const char *path) {
    count((posix_fs *)fs, S_UNLINKS, 1);
    return unlink(path) < 0 ? -errno : 0;
}

static int px_mkdir(rec_fs *fs, const char *path) {
    (void)fs;
    return mkdir(path, 0700) < 0 || chmod(path, 0700) < 0 ? -errno : 0; /* a umask may have taken our own rights */
}

static int px_rmdir(rec_fs *fs, const char *path) {
    (void)fs;
    return rmdir(path) < 0 ? -errno : 0;
}

static int px_stat(rec_fs *fs, const char *path, uint64_t *size, int *is_dir) {
    struct stat st;
    (void)fs;
    if (stat(path, &st) < 0) return -errno;
    if (size) *size = S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size;
    if (is_dir) *is_dir = S_ISDIR(st.st_mode);
    return 0;
}

static int px_list(rec_fs *fs, const char *path, rec_name_fn fn, void *arg) {
    (void)fs;
    DIR *d = opendir(path);
    if (!d) return -errno;
    int err = 0, stop = 0;
    while (!stop) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e) {
            err = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) stop = fn(arg, e->d_name);
    }
    closedir(d);
    return err;
}

static int px_sync_dir(rec_fs *fs, const char *path) {
    count((posix_fs *)fs, S_DIR_SYNCS, 1);
    int fd = RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0) return -errno;
    int err = RETRY(fsync(fd)) < 0 ? -errno : 0;
    close(fd);
    return err;
}

/* An open-file-description lock, so that a second opener in the same process is refused too. */
static int take_lock(int fd) {
    struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (RETRY(fcntl(fd, F_OFD_SETLK, &want)) == 0) return 0;
    if (errno == EAGAIN || errno == EACCES) return -EWOULDBLOCK;
    if (errno != EINVAL) return -errno;
    return RETRY(flock(fd, LOCK_EX | LOCK_NB)) < 0 ? -errno : 0; /* a kernel without them */
}

static int px_lock(rec_fs *fs, const char *path, const char *holder, char *found, size_t n, rec_file **out) {
    rec_file *f;
    if (found && n) found[0] = 0;
    int err = px_open(fs, path, REC_O_READ | REC_O_WRITE | REC_O_CREATE, &f);
    if (err) return err;
    err = take_lock(((posix_file *)f)->fd);
    if (err == -EWOULDBLOCK && found && n) {
        int64_t got = px_pread(f, found, n - 1, 0);
        found[got > 0 ? got : 0] = 0;
    }
    if (!err) err = px_truncate(f, 0);
    if (!err) err = px_append(f, holder, strlen(holder));
    if (err) {
        px_close(f);
        return err;
    }
    *out = f;
    return 0;
}

static void px_stats(rec_fs *fs, rec_fs_stats *out) {
    uint64_t v[S_COUNT];
    for (int i = 0; i < S_COUNT; i++) v[i] = atomic_load_explicit(&((posix_fs *)fs)->n[i], memory_order_relaxed);
    *out = (rec_fs_stats){v[S_OPENS],     v[S_READS],   v[S_READ_BYTES], v[S_WRITES], v[S_WRITE_BYTES], v[S_SYNCS],
                          v[S_DIR_SYNCS], v[S_RENAMES], v[S_UNLINKS],    v[S_MAPS],   v[S_MAP_BYTES]};
}

static uint64_t px_now_ns(rec_fs *fs) {
    struct timespec t;
    (void)fs;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void px_destroy(rec_fs *fs) { free(fs); }

static const rec_fs_ops posix_ops = {
    .abi = REC_FS_ABI,
    .size = sizeof(rec_fs_ops),
    .name = "posix",
    .open = px_open,
    .close = px_close,
    .append = px_append,
    .pwrite = px_pwrite,
    .pread = px_pread,
    .sync = px_sync,
    .truncate = px_truncate,
    .allocate = px_allocate,
    .size_of = px_size_of,
    .map = px_map,
    .unmap = px_unmap,
    .rename = px_rename,
    .link = px_link,
    .unlink = px_unlink,
    .mkdir = px_mkdir,
    .rmdir = px_rmdir,
    .stat = px_stat,
    .list = px_list,
    .sync_dir = px_sync_dir,
    .lock = px_lock,
    .stats = px_stats,
    .now_ns = px_now_ns,
    .destroy = px_destroy,
};

rec_fs *rec_fs_posix(void) {
    posix_fs *fs = calloc(1, sizeof *fs);
    if (!fs) return NULL;
    fs->base.ops = &posix_ops;
    return &fs->base;
}
