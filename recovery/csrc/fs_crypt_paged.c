/* fs_crypt_paged.c: files that are written once and read at random, a page a message. The format is in fs_crypt.h.
 *
 * A writer keeps the last page, the tail, and writes it at sync and close, marked as the last; if more comes, it is sealed anew with
 * another nonce. So a file that was cut, or never finished, fails when it is opened.
 */
#include "fs_crypt_impl.h"
#include "le.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 32 }; /* pages on their way to or from the inner file at once */

static uint64_t place_of(uint64_t page) { return CRYPT_HEADER + page * CRYPT_SLOT; }

uint64_t crypt_paged_size(uint64_t physical) {
    if (physical < CRYPT_HEADER) return 0;
    uint64_t pages = (physical - CRYPT_HEADER) / CRYPT_SLOT, rest = (physical - CRYPT_HEADER) % CRYPT_SLOT;
    return pages * CRYPT_PAGE + (rest > CRYPT_MARK ? rest - CRYPT_MARK : 0);
}

static void page_aad(uint8_t aad[16], uint64_t page, int last) {
    put64(aad, page);
    put64(aad + 8, (uint64_t)last);
}

static int seal_page(crypt_file *f, uint64_t page, int last, const uint8_t *data, size_t n, uint8_t *slot) {
    uint8_t aad[16];
    page_aad(aad, page, last);
    int err = crypt_nonce(f, slot);
    return err ? err : rec_cipher_seal(f->cipher, slot, aad, sizeof aad, data, n, slot + CRYPT_MARK, slot + REC_NONCE);
}

static int open_page(crypt_file *f, uint64_t page, int last, const uint8_t *slot, size_t n, uint8_t *out) {
    uint8_t aad[16];
    page_aad(aad, page, last);
    int err = rec_cipher_open(f->cipher, slot, aad, sizeof aad, slot + CRYPT_MARK, n, out, slot + REC_NONCE);
    if (err != -EBADMSG || !f->salvage) return err;
    page_aad(aad, page, !last); /* the file was cut behind it, or has grown */
    err = rec_cipher_open(f->cipher, slot, aad, sizeof aad, slot + CRYPT_MARK, n, out, slot + REC_NONCE);
    if (err != -EBADMSG) return err;
    memset(out, 0xff, n);
    return 0;
}

/* ---- writing ---- */

static int put_tail(crypt_file *f, int last) {
    int err = seal_page(f, f->p.pages, last, f->p.tail, f->p.tail_n, f->p.out);
    if (!err) err = f->inner->ops->pwrite(f->inner, f->p.out, CRYPT_MARK + f->p.tail_n, place_of(f->p.pages));
    if (!err) f->p.dirty = 0;
    return err;
}

/* Writes a full tail and then whole pages of data, as many as leave something for the tail. Returns bytes taken of data, or -errno. */
static int64_t put_pages(crypt_file *f, const uint8_t *data, size_t n) {
    size_t out = 0, taken = 0, k = 0;
    int err = 0;
    for (; !err && k < BATCH; k++) {
        const uint8_t *from = k ? data + taken : f->p.tail;
        if (k && n - taken <= CRYPT_PAGE) break;
        err = seal_page(f, f->p.pages + k, 0, from, CRYPT_PAGE, f->p.out + out);
        out += CRYPT_SLOT;
        if (k) taken += CRYPT_PAGE;
    }
    if (!err) err = f->inner->ops->pwrite(f->inner, f->p.out, out, place_of(f->p.pages));
    if (err) return err;
    f->p.pages += k;
    f->p.tail_n = 0;
    return (int64_t)taken;
}

static int append_locked(crypt_file *f, const uint8_t *data, size_t n) {
    if (!f->p.writing) return -EBADF;
    while (n) {
        if (f->p.tail_n == CRYPT_PAGE) {
            int64_t taken = put_pages(f, data, n);
            if (taken < 0) return (int)taken;
            data += taken, n -= (size_t)taken;
        }
        size_t room = CRYPT_PAGE - f->p.tail_n, more = n < room ? n : room;
        memcpy(f->p.tail + f->p.tail_n, data, more);
        f->p.tail_n += (uint32_t)more;
        f->p.dirty = 1;
        data += more, n -= more;
    }
    return 0;
}

static uint64_t size_locked(const crypt_file *f) { return f->p.writing ? f->p.pages * CRYPT_PAGE + f->p.tail_n : f->p.size; }

static int pg_pwrite(rec_file *file, const void *data, size_t n, uint64_t offset) {
    crypt_file *f = (crypt_file *)file;
    pthread_mutex_lock(&f->lock);
    int err = offset == size_locked(f) ? append_locked(f, data, n) : -ENOTSUP;
    pthread_mutex_unlock(&f->lock);
    crypt_count(f->fs, C_WRITES, 1);
    crypt_count(f->fs, C_WRITE_BYTES, err ? 0 : n);
    return err;
}

static int pg_append(rec_file *file, const void *data, size_t n) {
    crypt_file *f = (crypt_file *)file;
    pthread_mutex_lock(&f->lock);
    int err = append_locked(f, data, n);
    pthread_mutex_unlock(&f->lock);
    crypt_count(f->fs, C_WRITES, 1);
    crypt_count(f->fs, C_WRITE_BYTES, err ? 0 : n);
    return err;
}

static int flush_tail(crypt_file *f) {
    pthread_mutex_lock(&f->lock);
    int err = f->p.dirty ? put_tail(f, 1) : 0;
    pthread_mutex_unlock(&f->lock);
    return err;
}

static int pg_sync(rec_file *file) {
    crypt_file *f = (crypt_file *)file;
    int err = flush_tail(f);
    crypt_count(f->fs, C_SYNCS, 1);
    return err ? err : f->inner->ops->sync(f->inner);
}

static int pg_truncate(rec_file *file, uint64_t size) {
    crypt_file *f = (crypt_file *)file;
    pthread_mutex_lock(&f->lock);
    int err = size == size_locked(f) ? 0 : -ENOTSUP;
    pthread_mutex_unlock(&f->lock);
    return err;
}

static int pg_allocate(rec_file *file, uint64_t size) {
    crypt_file *f = (crypt_file *)file;
    pthread_mutex_lock(&f->lock);
    int err = size <= size_locked(f) ? 0 : -ENOTSUP;
    pthread_mutex_unlock(&f->lock);
    return err;
}

static int pg_close(rec_file *file) {
    crypt_file *f = (crypt_file *)file;
    int err = flush_tail(f);
    if (f->p.tail) rec_wipe(f->p.tail, CRYPT_PAGE);
    free(f->p.tail);
    free(f->p.out);
    int closed = crypt_close(file);
    return err ? err : closed;
}

/* ---- reading ---- */

/* The bytes [at, at + n) of the file out of pages [page, page + count), whose slots are given. */
static int unpack(crypt_file *f, uint64_t page, uint64_t count, const uint8_t *slots, uint64_t size, uint8_t *out, uint64_t at,
                  uint64_t n) {
    uint8_t partial[CRYPT_PAGE];
    int err = 0;
    for (uint64_t k = 0; k < count && !err; k++) {
        uint64_t lo = (page + k) * CRYPT_PAGE, hi = lo + CRYPT_PAGE < size ? lo + CRYPT_PAGE : size;
        uint64_t from = lo > at ? lo : at, to = hi < at + n ? hi : at + n;
        int whole = from == lo && to == hi;
        err = open_page(f, page + k, hi == size, slots + k * CRYPT_SLOT, hi - lo, whole ? out + (from - at) : partial);
        if (!err && !whole) memcpy(out + (from - at), partial + (from - lo), to - from);
    }
    rec_wipe(partial, sizeof partial);
    return err;
}

static int64_t read_slots(crypt_file *f, uint8_t *out, uint64_t n, uint64_t at, uint64_t size) {
    uint8_t few[4 * CRYPT_SLOT], *slots = few;
    uint64_t last = (at + n - 1) / CRYPT_PAGE;
    int err = 0;
    if (last - at / CRYPT_PAGE + 1 > 4 && !(slots = malloc(BATCH * CRYPT_SLOT))) return -ENOMEM;
    for (uint64_t page = at / CRYPT_PAGE; page <= last && !err;) {
        uint64_t count = last - page + 1 < BATCH ? last - page + 1 : BATCH, end = (page + count) * CRYPT_PAGE;
        uint64_t bytes = count * CRYPT_MARK + (end < size ? end : size) - page * CRYPT_PAGE;
        int64_t got = f->inner->ops->pread(f->inner, slots, bytes, place_of(page));
        if (got < 0)
            err = (int)got;
        else if ((uint64_t)got != bytes)
            err = -EBADMSG; /* shrank since it was opened */
        else {
            uint64_t lo = page * CRYPT_PAGE > at ? page * CRYPT_PAGE : at, hi = end < at + n ? end : at + n;
            err = unpack(f, page, count, slots, size, out + (lo - at), lo, hi - lo);
        }
        page += count;
    }
    if (slots != few) free(slots);
    if (err) rec_wipe(out, n);
    return err ? err : (int64_t)n;
}

/* A writer's tail is in memory only, or sealed as the last page: it is copied from memory. */
static int64_t read_writer(crypt_file *f, uint8_t *out, uint64_t n, uint64_t at) {
    uint64_t tail = f->p.pages * CRYPT_PAGE, before = at >= tail ? 0 : tail - at < n ? tail - at : n;
    int64_t got = before ? read_slots(f, out, before, at, UINT64_MAX) : 0;
    if (got < 0) return got;
    if (n > before) memcpy(out + before, f->p.tail + (at + before - tail), n - before);
    return (int64_t)n;
}

static int64_t pg_pread(rec_file *file, void *out, size_t n, uint64_t offset) {
    crypt_file *f = (crypt_file *)file;
    int64_t got = 0;
    if (offset > INT64_MAX - n) return -EINVAL;
    if (f->p.writing) pthread_mutex_lock(&f->lock);
    uint64_t size = size_locked(f);
    if (offset < size && n) {
        if (n > size - offset) n = size - offset;
        got = f->p.writing ? read_writer(f, out, n, offset) : read_slots(f, out, n, offset, size);
    }
    if (f->p.writing) pthread_mutex_unlock(&f->lock);
    crypt_count(f->fs, C_READS, 1);
    crypt_count(f->fs, C_READ_BYTES, got > 0 ? (uint64_t)got : 0);
    return got;
}

static int pg_size_of(rec_file *file, uint64_t *out) {
    crypt_file *f = (crypt_file *)file;
    pthread_mutex_lock(&f->lock);
    *out = size_locked(f);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

/* The last page must be marked so; a writer keeps it. */
int crypt_paged_open(crypt_file *f, int fresh, int writing) {
    uint64_t physical;
    int err = f->inner->ops->size_of(f->inner, &physical);
    if (err) return err;
    f->p.writing = writing;
    if (writing && (!(f->p.tail = malloc(CRYPT_PAGE)) || !(f->p.out = malloc(BATCH * CRYPT_SLOT)))) {
        free(f->p.tail);
        return -ENOMEM;
    }
    if (fresh) {
        f->p.dirty = writing;
        return 0;
    }
    uint8_t slot[CRYPT_SLOT], page[CRYPT_PAGE];
    uint64_t body = physical - CRYPT_HEADER, pages = body ? (body - 1) / CRYPT_SLOT : 0, n = body - pages * CRYPT_SLOT;
    if (f->salvage && n < CRYPT_MARK) {
        f->p.size = crypt_paged_size(physical);
        return 0;
    }
    int64_t got = n < CRYPT_MARK ? -EBADMSG : f->inner->ops->pread(f->inner, slot, n, place_of(pages));
    err = got < 0 ? (int)got : (uint64_t)got != n ? -EBADMSG : open_page(f, pages, 1, slot, n - CRYPT_MARK, page);
    f->p.size = crypt_paged_size(physical);
    f->p.pages = pages;
    f->p.tail_n = (uint32_t)(n - CRYPT_MARK);
    if (!err && writing) memcpy(f->p.tail, page, f->p.tail_n);
    rec_wipe(page, sizeof page);
    if (err) {
        free(f->p.tail);
        free(f->p.out);
    }
    return err;
}

const rec_fs_ops crypt_paged_ops = {
    .abi = REC_FS_ABI,
    .size = sizeof(rec_fs_ops),
    .name = "crypt paged",
    .close = pg_close,
    .append = pg_append,
    .pwrite = pg_pwrite,
    .pread = pg_pread,
    .sync = pg_sync,
    .truncate = pg_truncate,
    .allocate = pg_allocate,
    .size_of = pg_size_of,
    .map = crypt_no_map,
    .unmap = crypt_unmap,
};
