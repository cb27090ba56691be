/* fs_memory_crash.c: copies of a memory file system as found after a crash. See fs_kinds.h for the modes. */
#include "fs_memory.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

static uint64_t next_random(uint64_t *s) { /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = *s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- a full copy, pending changes included ---- */

static int copy_entries(mem_fs *to, entries *out, const entries *from) {
    int err = 0;
    for (size_t k = 0; k < from->n && !err; k++) err = mem_set(to, out, from->v[k].name, from->v[k].node->twin);
    return err;
}

/* Mapped files may be stored to while the copy is made, as a crash may come in the middle of a store. */
static int copy_bytes(uint8_t **out, uint64_t *used, const uint8_t *from, uint64_t n, uint64_t cap) {
    if (!cap) return 0;
    if (!(*out = mem_bytes(cap))) return -ENOMEM;
    *used = mem_copy(*out, from, 0, n, 0);
    return 0;
}

static int copy_inode(inode *to, const inode *from) {
    uint64_t used;
    int err = copy_bytes(&to->data, &used, from->data, from->size, from->cap);
    if (!err) to->cap = from->cap, to->size = from->size;
    if (!err) err = copy_bytes(&to->safe_data, &to->safe_used, from->safe_data, from->safe_size, from->safe_cap);
    if (!err) to->safe_cap = from->safe_cap, to->safe_size = from->safe_size;
    to->dirty_lo = from->dirty_lo, to->dirty_hi = from->dirty_hi;
    return err;
}

static int copy_all(mem_fs *to, mem_fs *from) {
    int err = 0;
    for (inode *i = from->all; i; i = i->next) {
        if (!(i->twin = mem_inode(to, i->is_dir))) return -ENOMEM;
        if (i == from->root) to->root = i->twin;
        if (!err) err = copy_inode(i->twin, i);
    }
    for (inode *i = from->all; i && !err; i = i->next) {
        err = copy_entries(to, &i->twin->now, &i->now);
        if (!err) err = copy_entries(to, &i->twin->safe, &i->safe);
    }
    for (size_t k = 0; k < from->log_n && !err; k++) {
        const change *c = &from->log[k];
        inode *n0 = c->part[0].node ? c->part[0].node->twin : NULL, *n1 = c->part[1].node ? c->part[1].node->twin : NULL;
        err = mem_log(to, c->part[0].dir->twin, c->part[0].name, n0, c->parts == 2 ? c->part[1].dir->twin : NULL, c->part[1].name, n1);
    }
    return err;
}

/* ---- the crash ---- */

/* Data of one file after power loss: what is safe, plus (random) some of the pending sectors, one of them perhaps torn. */
static int lose_data(inode *i, uint64_t *rng, int mode) {
    uint64_t most = i->size > i->safe_size ? i->size : i->safe_size, cap = (most + 4095) / 4096 * 4096;
    uint64_t used = 0;
    uint8_t *out = NULL;
    int err = copy_bytes(&out, &used, i->safe_data, i->safe_size, cap);
    if (err) return err;
    uint64_t size = i->safe_size;
    if (mode == REC_CRASH_RANDOM && i->size != i->safe_size) {
        uint64_t draw = next_random(rng) % 4, span = most - (i->size < i->safe_size ? i->size : i->safe_size);
        if (draw == 1 && i->size > i->safe_size)
            size = i->safe_size + next_random(rng) % (span + 1);
        else if (draw > 1)
            size = i->size;
    }
    for (uint64_t at = 0; mode == REC_CRASH_RANDOM && at < i->size; at += SECTOR) {
        uint64_t n = i->size - at < SECTOR ? i->size - at : SECTOR;
        if (!memcmp(out + at, i->data + at, n)) continue;
        uint64_t draw = next_random(rng) % 8;
        if (draw == 0) n = next_random(rng) % (n / 8 + 1) * 8; /* torn, between two words */
        if (draw < 5) memcpy(out + at, i->data + at, n), used = at + n > used ? at + n : used;
    }
    if (size < used) memset(out + size, 0, used - size);
    mem_drop(i->data, i->cap);
    mem_drop(i->safe_data, i->safe_cap);
    i->data = out, i->size = size, i->cap = cap;
    i->safe_data = NULL, i->safe_cap = i->safe_size = i->safe_used = 0;
    i->dirty_lo = i->dirty_hi = 0;
    err = copy_bytes(&i->safe_data, &i->safe_used, out, size, cap);
    if (!err) i->safe_size = size, i->safe_cap = cap;
    return err;
}

static int lose(mem_fs *fs, uint64_t seed, int mode) {
    uint64_t rng = seed;
    int err = 0;
    for (size_t k = 0; k < fs->log_n; k++) {
        change *c = &fs->log[k];
        if (mode == REC_CRASH_RANDOM && next_random(&rng) % 2)
            for (int p = c->parts; p-- && !err;) err = mem_set(fs, &c->part[p].dir->safe, c->part[p].name, c->part[p].node);
        mem_forget(fs, c);
    }
    fs->log_n = 0;
    for (inode *i = fs->all; i && !err; i = i->next) {
        if (!i->is_dir) {
            err = lose_data(i, &rng, mode);
            continue;
        }
        for (size_t k = i->now.n; k--;) { /* backwards: removal moves the last into the hole */
            free(i->now.v[k].name);
            i->now.v[k].node->refs--; /* never the last one: copy_all's own is still held */
        }
        i->now.n = 0;
        for (size_t k = 0; k < i->safe.n && !err; k++) err = mem_set(fs, &i->now, i->safe.v[k].name, i->safe.v[k].node);
    }
    return err;
}

rec_fs *rec_fs_memory_clone(rec_fs *base, uint64_t seed, int mode) {
    if (!mem_is(base) || mode < REC_CRASH_PROCESS || mode > REC_CRASH_RANDOM) return NULL;
    mem_fs *from = (mem_fs *)base, *to = mem_make();
    if (!to) return NULL;
    pthread_rwlock_wrlock(&from->lock);
    to->clock = __atomic_load_n(&from->clock, __ATOMIC_RELAXED);
    int err = copy_all(to, from);
    pthread_rwlock_unlock(&from->lock);
    if (!err && mode != REC_CRASH_PROCESS) err = lose(to, seed, mode);
    /* Let go of the references that mem_inode handed out (the root keeps its own); whatever nothing names is freed. */
    for (inode *i = to->all, *next; i; i = next) {
        next = i->next; /* still has its own reference, so it stays */
        if (i != to->root) mem_unref(to, i);
    }
    if (err) {
        to->base.ops->destroy(&to->base);
        return NULL;
    }
    return &to->base;
}
