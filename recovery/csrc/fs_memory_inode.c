/* fs_memory_inode.c: inodes, directories, the log of unsynced changes and file data of the memory file system. */
#include "fs_memory.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE (1u << 20) /* bytes from which a file's memory comes from the system page by page */

/* ---- inodes and directories ---- */

inode *mem_inode(mem_fs *fs, int is_dir) {
    inode *i = calloc(1, sizeof *i);
    if (!i) return NULL;
    i->is_dir = is_dir;
    i->refs = 1;
    i->next = fs->all;
    if (fs->all) fs->all->prev = i;
    fs->all = i;
    return i;
}

static void drop_entries(mem_fs *fs, entries *e) {
    for (size_t k = 0; k < e->n; k++) {
        free(e->v[k].name);
        mem_unref(fs, e->v[k].node);
    }
    free(e->v);
}

void mem_unref(mem_fs *fs, inode *i) {
    if (!i || --i->refs) return;
    drop_entries(fs, &i->now);
    drop_entries(fs, &i->safe);
    if (i->prev)
        i->prev->next = i->next;
    else
        fs->all = i->next;
    if (i->next) i->next->prev = i->prev;
    mem_drop(i->data, i->cap);
    mem_drop(i->safe_data, i->safe_cap);
    while (i->maps) { /* its file was closed without unmapping */
        mapping *m = i->maps;
        i->maps = m->next;
        free(m);
    }
    free(i);
}

entry *mem_find(const entries *e, const char *name) {
    for (size_t k = 0; k < e->n; k++)
        if (!strcmp(e->v[k].name, name)) return &e->v[k];
    return NULL;
}

int mem_set(mem_fs *fs, entries *e, const char *name, inode *node) {
    entry *old = mem_find(e, name);
    if (old) {
        inode *gone = old->node;
        if (node)
            node->refs++, old->node = node;
        else {
            free(old->name);
            *old = e->v[--e->n];
        }
        mem_unref(fs, gone);
        return 0;
    }
    if (!node) return 0;
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 8;
        entry *v = realloc(e->v, cap * sizeof *v);
        if (!v) return -ENOMEM;
        e->v = v, e->cap = cap;
    }
    char *copy = strdup(name);
    if (!copy) return -ENOMEM;
    node->refs++;
    e->v[e->n++] = (entry){copy, node};
    return 0;
}

int mem_log(mem_fs *fs, inode *dir, const char *name, inode *node, inode *dir2, const char *name2, inode *node2) {
    if (fs->log_n == fs->log_cap) {
        size_t cap = fs->log_cap ? fs->log_cap * 2 : 16;
        change *v = realloc(fs->log, cap * sizeof *v);
        if (!v) return -ENOMEM;
        fs->log = v, fs->log_cap = cap;
    }
    change c = {.part = {{dir, node, strdup(name)}, {dir2, node2, name2 ? strdup(name2) : NULL}}, .parts = dir2 ? 2 : 1};
    if (!c.part[0].name || (dir2 && !c.part[1].name)) {
        free(c.part[0].name);
        free(c.part[1].name);
        return -ENOMEM;
    }
    for (int p = 0; p < c.parts; p++) {
        c.part[p].dir->refs++;
        if (c.part[p].node) c.part[p].node->refs++;
    }
    fs->log[fs->log_n++] = c;
    return 0;
}

void mem_forget(mem_fs *fs, change *c) {
    for (int p = 0; p < c->parts; p++) {
        free(c->part[p].name);
        mem_unref(fs, c->part[p].node);
        mem_unref(fs, c->part[p].dir);
    }
}

/* Walks all but the last name of path into *dir and copies the last to leaf ("" for the root itself). */
int mem_walk(mem_fs *fs, const char *path, inode **dir, char leaf[NAME_MAX + 1]) {
    inode *at = fs->root;
    leaf[0] = 0;
    for (const char *p = path;;) {
        while (*p == '/') p++;
        size_t n = strcspn(p, "/");
        if (!n) break;
        if (n > NAME_MAX) return -ENAMETOOLONG;
        if (n == 2 && p[0] == '.' && p[1] == '.') return -EINVAL; /* not needed here, and easy to get wrong */
        if (!(n == 1 && p[0] == '.')) {
            if (leaf[0]) {
                entry *e = mem_find(&at->now, leaf);
                if (!e) return -ENOENT;
                if (!e->node->is_dir) return -ENOTDIR;
                at = e->node;
            }
            memcpy(leaf, p, n);
            leaf[n] = 0;
        }
        p += n;
    }
    *dir = at;
    return 0;
}

int mem_lookup(mem_fs *fs, const char *path, inode **out) {
    char leaf[NAME_MAX + 1];
    inode *dir;
    int err = mem_walk(fs, path, &dir, leaf);
    if (err) return err;
    entry *e = leaf[0] ? mem_find(&dir->now, leaf) : NULL;
    if (leaf[0] && !e) return -ENOENT;
    *out = e ? e->node : dir;
    return 0;
}

/* Puts node (NULL: nothing) under a name, now, and notes the change as unsynced. */
int mem_change_name(mem_fs *fs, inode *dir, const char *name, inode *node) {
    int err = mem_log(fs, dir, name, node, NULL, NULL, NULL);
    return err ? err : mem_set(fs, &dir->now, name, node);
}

/* ---- data ---- */

uint8_t *mem_bytes(uint64_t cap) {
    if (cap >= LARGE) {
        void *p = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    }
    uint8_t *p = aligned_alloc(MEM_BLOCK, cap);
    if (p) memset(p, 0, cap);
    return p;
}

void mem_drop(uint8_t *p, uint64_t cap) {
    if (p && cap >= LARGE)
        munmap(p, cap);
    else
        free(p);
}

/* Bytes that a mapping may be storing to at this moment: a word is caught whole or not at all, as by a disk. */
#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize("thread")))
#endif
static int is_zero(const uint8_t *p, uint64_t n) {
    uint64_t any = 0, k = 0;
    for (; k + 8 <= n; k += 8) any |= __atomic_load_n((const uint64_t *)(const void *)(p + k), __ATOMIC_RELAXED);
    for (; k < n; k++) any |= __atomic_load_n(&p[k], __ATOMIC_RELAXED);
    return !any;
}

#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize("thread")))
#endif
static void copy_shared(uint8_t *to, const uint8_t *from, uint64_t n) {
    uint64_t k = 0;
    for (; k < n && (uintptr_t)(from + k) % 8; k++) to[k] = __atomic_load_n(&from[k], __ATOMIC_RELAXED);
    for (; k + 8 <= n; k += 8) {
        const uint64_t word = __atomic_load_n((const uint64_t *)(const void *)(from + k), __ATOMIC_RELAXED);
        memcpy(to + k, &word, sizeof word);
    }
    for (; k < n; k++) to[k] = __atomic_load_n(&from[k], __ATOMIC_RELAXED);
}

uint64_t mem_copy(uint8_t *to, const uint8_t *from, uint64_t lo, uint64_t hi, uint64_t zero_from) {
    for (uint64_t at = lo, n; at < hi; at += n) {
        n = MEM_BLOCK - at % MEM_BLOCK;
        if (n > hi - at) n = hi - at;
        if (at >= zero_from && at % 8 == 0 && is_zero(from + at, n)) continue;
        copy_shared(to + at, from + at, n);
        if (at + n > zero_from) zero_from = (at + n + MEM_BLOCK - 1) / MEM_BLOCK * MEM_BLOCK;
    }
    return zero_from;
}

/* Cuts: whole blocks of a large file go back to the system, which gives zeros for them. */
static void clear(inode *i, uint64_t lo, uint64_t hi) {
    uint64_t a = (lo + MEM_BLOCK - 1) / MEM_BLOCK * MEM_BLOCK, b = hi / MEM_BLOCK * MEM_BLOCK;
    if (i->cap < LARGE || a >= b || madvise(i->data + a, b - a, MADV_DONTNEED)) {
        memset(i->data + lo, 0, hi - lo);
        return;
    }
    memset(i->data + lo, 0, a - lo);
    memset(i->data + b, 0, hi - b);
}

static int reserve(inode *i, uint64_t size) {
    if (size <= i->cap) return 0;
    if (i->maps) return -EBUSY; /* the bytes must not move under a mapping */
    if (size > (uint64_t)1 << 40) return -EFBIG;
    uint64_t cap = size < 2 * i->cap ? 2 * i->cap : size;
    cap = (cap + MEM_BLOCK - 1) / MEM_BLOCK * MEM_BLOCK;
    uint8_t *data = mem_bytes(cap);
    if (!data) return -ENOSPC;
    mem_copy(data, i->data, 0, i->size, 0);
    mem_drop(i->data, i->cap);
    i->data = data, i->cap = cap;
    return 0;
}

void mem_mark_dirty(inode *i, uint64_t lo, uint64_t hi) {
    if (!i->dirty_hi) i->dirty_lo = lo, i->dirty_hi = hi;
    if (lo < i->dirty_lo) i->dirty_lo = lo;
    if (hi > i->dirty_hi) i->dirty_hi = hi;
}

int mem_make_safe(inode *i) {
    if (i->safe_cap < i->size) {
        uint8_t *p = mem_bytes(i->cap);
        if (!p) return -EIO;
        i->safe_used = mem_copy(p, i->safe_data, 0, i->safe_size, 0);
        mem_drop(i->safe_data, i->safe_cap);
        i->safe_data = p, i->safe_cap = i->cap;
    }
    uint64_t hi = i->dirty_hi < i->size ? i->dirty_hi : i->size;
    i->safe_used = mem_copy(i->safe_data, i->data, i->dirty_lo, hi, i->safe_used);
    i->safe_size = i->size;
    i->dirty_lo = i->dirty_hi = 0;
    for (const mapping *m = i->maps; m; m = m->next)
        if (m->writable) mem_mark_dirty(i, m->lo, m->hi);
    return 0;
}

/* Grows or shrinks; what is cut reads as zeros when the file grows again. */
int mem_set_size(inode *i, uint64_t size) {
    int err = reserve(i, size);
    if (err) return err;
    if (size < i->size)
        clear(i, size, i->size), mem_mark_dirty(i, size, i->size);
    else if (size > i->size)
        mem_mark_dirty(i, i->size, size);
    i->size = size;
    return 0;
}
