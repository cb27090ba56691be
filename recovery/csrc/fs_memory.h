/* fs_memory.h: the inside of the memory file system, shared by fs_memory.c (calls) and fs_memory_crash.c (clones).
 *
 *     directory inode:  now[]  name -> inode      what calls see
 *                       safe[] name -> inode      what survives power loss
 *     mem_fs.log[]:     directory changes since then, oldest first; sync_dir moves a directory's changes to safe[]
 *     file inode:       data/size what calls see; safe/safe_size what survives; they differ at most inside [dirty_lo, dirty_hi)
 *
 * Ownership: an inode lives while entries, log changes or open files refer to it (refs); all are on mem_fs.all.
 * Threads: everything under mem_fs.lock, except stores through mappings: those may race with a sync, which then takes
 * some of the bytes, as a disk would.
 * Invariants: data has cap bytes, zero behind size; it does not move while a mapping lives.
 */
#ifndef REC_FS_MEMORY_H
#define REC_FS_MEMORY_H
#include "fs_kinds.h"
#include <limits.h>
#include <pthread.h>

#define MEM_BLOCK 4096u

typedef struct inode inode;

typedef struct {
    char *name;
    inode *node;
} entry;

typedef struct {
    entry *v;
    size_t n, cap;
} entries;

typedef struct mapping {
    struct mapping *next;
    uint64_t lo, hi;
    int writable;
} mapping;

struct inode {
    inode *next, *prev; /* in mem_fs.all */
    inode *twin; /* its copy, while a clone is made */
    size_t refs;
    int is_dir, locked;
    entries now, safe;
    uint8_t *data, *safe_data;
    uint64_t size, cap, safe_size, safe_cap, safe_used; /* safe_data is zero from safe_used on */
    uint64_t dirty_lo, dirty_hi; /* hi = 0: none */
    mapping *maps;
};

typedef struct { /* one unsynced directory change: all of its parts or none survive */
    struct {
        inode *dir, *node; /* node NULL: the name goes away */
        char *name;
    } part[2];
    int parts;
} change;

typedef struct {
    rec_fs base;
    pthread_rwlock_t lock;
    inode *all, *root;
    change *log;
    size_t log_n, log_cap;
    rec_fs_stats stats; /* relaxed atomics */
    uint64_t clock; /* what now_ns says, 0: the system; relaxed atomic */
} mem_fs;

mem_fs *mem_make(void);
inode *mem_inode(mem_fs *fs, int is_dir);
void mem_unref(mem_fs *fs, inode *i);
int mem_set(mem_fs *fs, entries *e, const char *name, inode *node); /* node NULL removes; may fail with -ENOMEM */
int mem_log(mem_fs *fs, inode *dir, const char *name, inode *node, inode *dir2, const char *name2, inode *node2);
void mem_forget(mem_fs *fs, change *c);
int mem_is(const rec_fs *fs);
entry *mem_find(const entries *e, const char *name);
/* Walks all but the last name of path into *dir and copies the last to leaf ("" for the root itself). */
int mem_walk(mem_fs *fs, const char *path, inode **dir, char leaf[NAME_MAX + 1]);
int mem_lookup(mem_fs *fs, const char *path, inode **out);
/* Puts node (NULL: nothing) under a name, now, and notes the change as unsynced. */
int mem_change_name(mem_fs *fs, inode *dir, const char *name, inode *node);
void mem_mark_dirty(inode *i, uint64_t lo, uint64_t hi);
int mem_make_safe(inode *i);
/* cap zero bytes, of which the large take no memory until they are written to; NULL: out of memory. */
uint8_t *mem_bytes(uint64_t cap);
void mem_drop(uint8_t *p, uint64_t cap);
/* Copies [lo, hi), which mappings may be storing to. `to` is zero from zero_from on: blocks of zeros there stay untouched. Returns the new zero_from. */
uint64_t mem_copy(uint8_t *to, const uint8_t *from, uint64_t lo, uint64_t hi, uint64_t zero_from);
int mem_set_size(inode *i, uint64_t size); /* what is cut reads as zeros when the file grows again */
#endif
