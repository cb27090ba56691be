/* fs_crypt_impl.h: what the parts of fs_crypt share: fs_crypt.c (names, keys, headers), fs_crypt_paged.c, fs_crypt_framed.c.
 *
 *     crypt_fs --open--> crypt_file { header read or made } --form--> paged body | framed body
 *
 * Ownership: a crypt_file owns its inner file and its cipher. Threads: lock guards the body's fields; see fs_crypt.h.
 * Errors: -errno. Invariant: cipher is NULL only in a framed file that is empty because a crash tore its header.
 */
#ifndef REC_FS_CRYPT_IMPL_H
#define REC_FS_CRYPT_IMPL_H
#include "fs_crypt.h"
#include <pthread.h>

enum { CRYPT_HEADER = 88, CRYPT_AAD = 40, CRYPT_PAGE = 4096, CRYPT_MARK = REC_NONCE + REC_TAG, CRYPT_SLOT = CRYPT_PAGE + CRYPT_MARK };
enum { C_OPENS, C_READS, C_READ_BYTES, C_WRITES, C_WRITE_BYTES, C_SYNCS, C_DIR_SYNCS, C_RENAMES, C_UNLINKS, C_COUNT };

typedef struct crypt_keys crypt_keys;

typedef struct {
    rec_fs base;
    rec_fs *inner;
    const rec_crypto *lib;
    uint8_t database[16];
    pthread_mutex_t lock; /* keys */
    crypt_keys *keys;
    _Atomic uint64_t n[C_COUNT];
} crypt_fs;

typedef struct { /* bytes of the inner file around the last place looked at */
    uint8_t *buf;
    uint64_t lo, n, cap;
} crypt_window;

typedef struct { /* of a frame, or of a gap where frames were */
    uint64_t lo, hi; /* the logical bytes that are still its own */
    uint64_t base, place; /* logical offset of the frame's first byte; where the frame is */
    uint32_t n; /* data bytes of the frame; 0: a damaged gap */
} crypt_extent;

typedef struct {
    rec_file base;
    crypt_fs *fs;
    rec_file *inner;
    rec_cipher *cipher;
    int salvage;
    uint8_t session[8];
    uint32_t counter; /* messages so far; the writer's */
    pthread_mutex_t lock;
    union {
        struct {
            uint64_t pages; /* before the tail */
            uint32_t tail_n;
            int dirty, writing; /* tail not in the file; the tail is kept (opened to write) */
            uint64_t size; /* when not writing */
            uint8_t *tail, *out; /* one page; pages on their way out */
        } p;
        struct {
            int known; /* size and end are */
            int damaged; /* what was where cannot be told */
            uint32_t seed;
            uint64_t size, end; /* logical; where the next frame goes */
            uint64_t torn; /* where the bytes begin that a crash left behind the last frame; 0: none */
            uint64_t room; /* of the inner file, reserved space included, as far as this handle knows */
            uint64_t scanned, reach; /* extents are complete up to this place; end of what a scan found */
            uint64_t seen, last_hi; /* logical size by the frames scanned; end of the last write among them */
            crypt_extent *extents;
            size_t extents_n, extents_cap;
            uint64_t reserved, window_lo, window_hi; /* end of the space reserved by this handle; the mapping of a part of it */
            uint8_t *window;
            int unmapped; /* the inner file has no mappings */
            uint8_t *out; /* the frame on its way out */
            size_t out_cap;
        } f;
    };
} crypt_file;

void crypt_count(crypt_fs *fs, int what, uint64_t by);
int crypt_nonce(crypt_file *f, uint8_t nonce[REC_NONCE]);
int crypt_close(rec_file *file);
int crypt_no_map(rec_file *file, uint64_t offset, size_t n, int writable, void **out);
int crypt_unmap(rec_file *file, void *addr, size_t n);

extern const rec_fs_ops crypt_paged_ops, crypt_framed_ops; /* only the members that act on files */
int crypt_paged_open(crypt_file *f, int fresh, int writing);
uint64_t crypt_paged_size(uint64_t physical);
int crypt_framed_open(crypt_file *f, int fresh);
#endif
