/* fs_crypt_framed.c: files that are appended and synced piece by piece, as a journal of writes. The format is in fs_crypt.h.
 *
 * What was written is never written again: a torn write cannot damage what was acknowledged before it. Into space that was reserved
 * a frame goes through a mapping of the inner file, if that has one: no system call a write. A handle that only writes knows
 * no more than size and end; the map from bytes to frames (extents) is made when somebody reads.
 */
#include "crc32c.h"
#include "fs_crypt_impl.h"
#include "le.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME = 44, HEAD = 28, MAX_DATA = 1 << 20, WINDOW = 256 << 10, WINDOW_MAP = 1 << 20, WRITE = 'W', SIZE = 'S' };
#define NOWHERE UINT64_MAX
#define LIMIT ((uint64_t)1 << 55) /* offsets and sizes */

static uint64_t span_of(uint32_t data) { return (FRAME + (uint64_t)data + 8) / 8 * 8; }

static uint32_t check_of(const crypt_file *f, uint64_t place, const uint8_t *h) {
    uint8_t b[8 + 4 + HEAD - 8];
    put64(b, place);
    memcpy(b + 8, h, 4);
    memcpy(b + 12, h + 8, HEAD - 8);
    return rec_crc_mask(rec_crc32c(f->f.seed, b, sizeof b));
}

static void frame_aad(uint8_t aad[24], uint64_t place, const uint8_t *h) {
    put64(aad, place);
    memcpy(aad + 8, h, 16);
}

static uint64_t offset_of(const uint8_t *h) { return get64(h + 8) & (((uint64_t)1 << 56) - 1); }

/* ---- writing ---- */

static int scan(crypt_file *f);

static int drop_window(crypt_file *f) {
    uint8_t *p = f->f.window;
    f->f.window = NULL;
    return p ? f->inner->ops->unmap(f->inner, p, f->f.window_hi - f->f.window_lo) : 0;
}

/* Where the next frame goes in a mapping of reserved space; *out NULL: there is none, so it is written. */
static int find_window(crypt_file *f, uint64_t span, uint8_t **out) {
    uint64_t end = f->f.end;
    *out = NULL;
    if (f->f.unmapped) return 0;
    if (end + span > f->f.reserved) return drop_window(f); /* the inner file will grow, which it may not do under a mapping */
    if (!f->f.window || end + span > f->f.window_hi) {
        int err = drop_window(f);
        if (err) return err; /* uncovered (system): what was mapped cannot be unmapped */
        f->f.window_lo = end / 4096 * 4096;
        f->f.window_hi = (end + span + WINDOW_MAP) / 4096 * 4096;
        if (f->f.window_hi > f->f.reserved) f->f.window_hi = f->f.reserved;
        void *p = NULL;
        err = f->inner->ops->map(f->inner, f->f.window_lo, f->f.window_hi - f->f.window_lo, 1, &p);
        f->f.unmapped = err == -ENOTSUP;
        if (err) return f->f.unmapped ? 0 : err;
        f->f.window = p;
    }
    *out = f->f.window + (end - f->f.window_lo);
    return 0;
}

/* The last byte comes last: a process that is killed before leaves a frame that reads as torn. */
static int put_frame(crypt_file *f, int kind, uint64_t offset, const uint8_t *data, uint32_t n) {
    uint8_t h[HEAD], tag[REC_TAG], aad[24], *to;
    uint64_t span = span_of(n);
    int err = crypt_nonce(f, h + 16);
    if (!err) err = find_window(f, span, &to);
    if (err) return err;
    int direct = to != NULL;
    if (!direct) to = f->f.out;
    put32(h, FRAME + n);
    put64(h + 8, offset | (uint64_t)kind << 56);
    put32(h + 4, check_of(f, f->f.end, h));
    frame_aad(aad, f->f.end, h);
    err = rec_cipher_seal(f->cipher, h + 16, aad, sizeof aad, data, n, to + FRAME, tag);
    if (err) return err;
    memcpy(to + HEAD, tag, REC_TAG);
    memset(to + FRAME + n, 0xff, span - FRAME - n - 1);
    memcpy(to, h, HEAD);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    to[span - 1] = 0xff;
    if (!direct) err = f->inner->ops->pwrite(f->inner, to, span, f->f.end);
    if (err) return err;
    pthread_mutex_lock(&f->lock);
    f->f.end += span;
    if (f->f.room < f->f.end) f->f.room = f->f.end;
    f->f.size = kind == SIZE ? offset : f->f.size > offset + n ? f->f.size : offset + n;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

/* Nothing goes behind what a crash left at the end, for then it would be damage, nor over it: a second crash could leave of both. */
static int cut_torn(crypt_file *f) {
    int err = f->inner->ops->truncate(f->inner, f->f.torn);
    if (!err) err = f->inner->ops->sync(f->inner);
    if (err) return err;
    f->f.end = f->f.scanned = f->f.room = f->f.torn;
    f->f.torn = 0;
    return 0;
}

/* Size and end must be known before the first frame; so must a cipher be there. */
static int prepare(crypt_file *f, size_t n) {
    if (!f->cipher) return -EBADF;
    pthread_mutex_lock(&f->lock);
    int err = f->f.known ? 0 : scan(f);
    if (!err && f->f.torn) err = cut_torn(f);
    size_t cap = span_of(n < MAX_DATA ? (uint32_t)n : MAX_DATA);
    if (!err && f->f.out_cap < cap) {
        uint8_t *p = realloc(f->f.out, cap < 4096 ? 4096 : cap);
        if (!p) err = -ENOMEM;
        if (p) f->f.out = p, f->f.out_cap = cap < 4096 ? 4096 : cap;
    }
    pthread_mutex_unlock(&f->lock);
    return err;
}

static int write_at(crypt_file *f, const uint8_t *data, size_t n, uint64_t offset) {
    int err = offset > LIMIT || n > LIMIT - offset ? -EFBIG : 0;
    for (size_t done = 0; done < n && !err;) {
        uint32_t more = n - done < MAX_DATA ? (uint32_t)(n - done) : MAX_DATA;
        err = put_frame(f, WRITE, offset + done, data + done, more);
        done += more;
    }
    crypt_count(f->fs, C_WRITES, 1);
    crypt_count(f->fs, C_WRITE_BYTES, err ? 0 : n);
    return err;
}

static int fr_pwrite(rec_file *file, const void *data, size_t n, uint64_t offset) {
    crypt_file *f = (crypt_file *)file;
    int err = prepare(f, n);
    return err ? err : write_at(f, data, n, offset);
}

static int fr_append(rec_file *file, const void *data, size_t n) {
    crypt_file *f = (crypt_file *)file;
    int err = prepare(f, n);
    return err ? err : write_at(f, data, n, f->f.size);
}

/* Space that was reserved and is not needed goes back. */
static int fr_truncate(rec_file *file, uint64_t size) {
    crypt_file *f = (crypt_file *)file;
    int err = size > LIMIT ? -EFBIG : prepare(f, 0);
    if (!err && size != f->f.size) err = put_frame(f, SIZE, size, NULL, 0);
    if (err || f->f.room == f->f.end) return err;
    f->f.reserved = 0;
    err = drop_window(f);
    if (!err) err = f->inner->ops->truncate(f->inner, f->f.end); /* uncovered (system): what was mapped cannot be unmapped */
    if (!err) f->f.room = f->f.end;
    return err;
}

/* How many frames the space will be taken by is not known: a quarter more than the bytes is reserved, and what goes beyond grows. */
static int fr_allocate(rec_file *file, uint64_t size) {
    crypt_file *f = (crypt_file *)file;
    int err = size > LIMIT ? -EFBIG : prepare(f, 0);
    if (err || size <= f->f.size) return err;
    uint64_t more = size - f->f.size, room = (f->f.end + more + more / 4 + 8191) / 4096 * 4096;
    err = drop_window(f);
    if (!err) err = f->inner->ops->allocate(f->inner, room); /* uncovered (system): what was mapped cannot be unmapped */
    if (err) return err;
    if (f->f.room < room) f->f.room = room;
    f->f.reserved = room;
    return put_frame(f, SIZE, size, NULL, 0);
}

static int fr_sync(rec_file *file) {
    crypt_file *f = (crypt_file *)file;
    crypt_count(f->fs, C_SYNCS, 1);
    return f->inner->ops->sync(f->inner);
}

static int fr_close(rec_file *file) {
    crypt_file *f = (crypt_file *)file;
    int unmapped = drop_window(f);
    free(f->f.out);
    free(f->f.extents);
    int err = crypt_close(file);
    return unmapped ? unmapped : err; /* uncovered (system): what was mapped cannot be unmapped */
}

/* ---- the inner file, through a window ---- */

/* n bytes at `at`, of those before limit that the file has; NULL with *err set. */
static const uint8_t *look(crypt_file *f, crypt_window *w, uint64_t at, uint64_t n, uint64_t limit, int *err) {
    if (at >= w->lo && at - w->lo <= w->n && n <= w->n - (at - w->lo)) return w->buf + (at - w->lo);
    uint64_t want = n > WINDOW ? n : WINDOW;
    if (want > limit - at) want = limit - at;
    if (want > w->cap) {
        uint8_t *p = realloc(w->buf, want);
        if (!p) {
            *err = -ENOMEM;
            return NULL;
        }
        w->buf = p, w->cap = want;
    }
    w->lo = at, w->n = 0;
    int64_t got = f->inner->ops->pread(f->inner, w->buf, want, at);
    if (got < 0 || (uint64_t)got < n) {
        *err = got < 0 ? (int)got : -EIO; /* shrank while we read */
        return NULL;
    }
    w->n = (uint64_t)got;
    return w->buf;
}

/* ---- the map ---- */

static int room_for(crypt_file *f, size_t more) {
    if (f->f.extents_n + more <= f->f.extents_cap) return 0;
    size_t cap = f->f.extents_cap * 2 + more + 16;
    crypt_extent *p = realloc(f->f.extents, cap * sizeof *p);
    if (!p) return -ENOMEM;
    f->f.extents = p, f->f.extents_cap = cap;
    return 0;
}

/* The first extent that ends behind the offset. */
static size_t find(const crypt_file *f, uint64_t offset) {
    size_t lo = 0, hi = f->f.extents_n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (f->f.extents[mid].hi <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Takes [lo, hi) away from whoever has it and puts `fresh` in its place (none when fresh is NULL). */
static int replace(crypt_file *f, uint64_t lo, uint64_t hi, const crypt_extent *fresh) {
    int err = room_for(f, 2);
    if (err) return err;
    crypt_extent *e = f->f.extents, put[3];
    size_t a = find(f, lo), b = a, n = 0;
    while (b < f->f.extents_n && e[b].lo < hi) b++;
    if (a < b && e[a].lo < lo) put[n] = e[a], put[n++].hi = lo;
    if (fresh) put[n++] = *fresh;
    if (a < b && e[b - 1].hi > hi) put[n] = e[b - 1], put[n++].lo = hi;
    memmove(e + a + n, e + b, (f->f.extents_n - b) * sizeof *e);
    memcpy(e + a, put, n * sizeof *put);
    f->f.extents_n += n - (b - a);
    return 0;
}

/* Is this the head of a frame at `place`? h holds HEAD bytes. */
static int is_head(const crypt_file *f, uint64_t place, const uint8_t *h) {
    uint32_t length = get32(h);
    int kind = h[15];
    if (length < FRAME || length > FRAME + MAX_DATA || offset_of(h) > LIMIT || (kind != WRITE && kind != SIZE)) return 0;
    return (kind == WRITE) == (length > FRAME) && get32(h + 4) == check_of(f, place, h);
}

/* The next head behind `place`, or NOWHERE; *dirt: the end of the last byte that is not zero. */
static uint64_t next_head(crypt_file *f, crypt_window *w, uint64_t place, uint64_t limit, uint64_t *dirt, int *err) {
    for (uint64_t at = place; at < limit;) {
        uint64_t n = limit - at < 65536 ? limit - at : 65536;
        const uint8_t *p = look(f, w, at, n, limit, err);
        if (!p) break;
        for (uint64_t i = 0; i < n; i += 8) {
            uint64_t word = 0;
            memcpy(&word, p + i, n - i < 8 ? n - i : 8);
            if (!word) continue;
            *dirt = at + i + 8;
            if (at + i > place && n - i >= HEAD && is_head(f, at + i, p + i)) return at + i;
        }
        at += n > HEAD && at + n < limit ? n - 24 : n; /* a head may lie across two stretches */
    }
    return NOWHERE;
}

static int has_zero_word(const uint8_t *p, uint64_t n) {
    static const uint8_t zeros[8];
    for (uint64_t i = 0; i + 8 <= n; i += 8)
        if (!memcmp(p + i, zeros, 8)) return 1;
    return 0;
}

/* What is at a place where no whole frame is: a clean end, a torn write (a hole: zeros), or damage. cut: the file ends in the frame.
 * *place: where to go on, NOWHERE at the end. */
static int skip_gap(crypt_file *f, crypt_window *w, int cut, uint64_t *place, uint64_t limit) {
    uint64_t from = *place, dirt = from, head = limit - from < 32 ? limit - from : 32;
    int err = 0;
    uint64_t next = next_head(f, w, from, limit, &dirt, &err);
    const uint8_t *p = err ? NULL : look(f, w, from, head, limit, &err);
    if (!p) return err;
    int torn = cut || head < 32 || has_zero_word(p, 32);
    *place = next;
    f->f.reach = dirt;
    if (dirt != from && torn && next == NOWHERE) f->f.torn = from;
    if (dirt == from || torn) return 0;
    f->f.damaged = 1;
    crypt_extent gap = {.lo = f->f.last_hi};
    if (next == NOWHERE)
        gap.hi = f->f.seen > gap.lo ? f->f.seen : gap.lo + (dirt - from);
    else if ((p = look(f, w, next, HEAD, limit, &err)))
        gap.hi = offset_of(p);
    if (err || gap.hi <= gap.lo) return err;
    if (f->f.seen < gap.hi) f->f.seen = gap.hi;
    return replace(f, gap.lo, gap.hi, &gap);
}

/* 0 and the data in out, -EBADMSG damage, or 1: a crash tore it. whole holds the frame's span. */
static int open_frame(crypt_file *f, uint64_t place, const uint8_t *whole, uint32_t n, uint8_t *out) {
    uint8_t aad[24];
    uint64_t span = span_of(n);
    frame_aad(aad, place, whole);
    int err = rec_cipher_open(f->cipher, whole + 16, aad, sizeof aad, whole + FRAME, n, out, whole + HEAD);
    for (uint64_t i = FRAME + (uint64_t)n; i < span && !err; i++)
        if (whole[i] != 0xff) err = -EBADMSG;
    return err == -EBADMSG && (!whole[span - 1] || has_zero_word(whole, span)) ? 1 : err;
}

/* A frame of which everything is before limit. */
static int take_frame(crypt_file *f, crypt_window *w, uint64_t place, const uint8_t *h, uint64_t limit) {
    uint32_t n = get32(h) - FRAME;
    uint64_t offset = offset_of(h);
    int err = 0;
    if (n) {
        crypt_extent fresh = {offset, offset + n, offset, place, n};
        if (f->f.seen < fresh.hi) f->f.seen = fresh.hi;
        f->f.last_hi = fresh.hi;
        return replace(f, fresh.lo, fresh.hi, &fresh);
    }
    const uint8_t *whole = look(f, w, place, span_of(0), limit, &err);
    if (!whole) return err;
    err = open_frame(f, place, whole, 0, NULL);
    if (err == -EBADMSG) f->f.damaged = 1;
    if (err) return err == 1 || err == -EBADMSG ? 0 : err;
    err = f->f.seen > offset ? replace(f, offset, f->f.seen, NULL) : 0;
    if (f->f.last_hi > offset) f->f.last_hi = offset;
    f->f.seen = offset;
    return err;
}

/* Brings the map up to date: of a file that another handle wrote, all of it; else what this handle has written since. Lock held. */
static int scan(crypt_file *f) {
    crypt_window w = {0};
    uint64_t limit = f->f.end, place = f->f.scanned;
    int err = 0;
    if (!f->f.known) err = f->inner->ops->size_of(f->inner, &limit);
    f->f.reach = place;
    while (!err && place < limit) {
        const uint8_t *h = limit - place < HEAD ? NULL : look(f, &w, place, HEAD, limit, &err);
        if (err) break;
        uint64_t span = h && is_head(f, place, h) ? span_of(get32(h) - FRAME) : 0;
        if (span && span <= limit - place) {
            err = take_frame(f, &w, place, h, limit);
            f->f.reach = place += span;
        } else
            err = skip_gap(f, &w, span != 0, &place, limit);
    }
    free(w.buf);
    if (err) return err;
    if (!f->f.known) f->f.size = f->f.seen, f->f.end = f->f.reach, f->f.room = limit > f->f.reach ? limit : f->f.reach;
    f->f.known = 1;
    f->f.scanned = f->f.end;
    return 0;
}

/* ---- reading ---- */

static int read_extent(crypt_file *f, crypt_window *w, const crypt_extent *e, uint64_t limit, uint8_t *whole, uint8_t *out, uint64_t lo,
                       uint64_t hi) {
    if (!e->n) {
        memset(out, 0xff, hi - lo); /* only with salvage does one come here */
        return 0;
    }
    int err = 0;
    const uint8_t *raw = look(f, w, e->place, span_of(e->n), limit, &err);
    if (!raw) return err;
    int direct = lo == e->base && hi == e->base + e->n;
    err = is_head(f, e->place, raw) ? open_frame(f, e->place, raw, e->n, direct ? out : whole) : -EBADMSG; /* changed since the scan? */
    if (err == -EBADMSG && f->salvage) {
        memset(out, 0xff, hi - lo);
        return 0;
    }
    if (err == 1) {
        memset(out, 0, hi - lo);
        return 0;
    }
    if (!err && !direct) memcpy(out, whole + (lo - e->base), hi - lo);
    return err;
}

static int read_locked(crypt_file *f, uint8_t *out, uint64_t n, uint64_t offset) {
    crypt_window w = {0};
    uint8_t *whole = NULL;
    int err = 0;
    size_t first = find(f, offset), stop = first;
    while (stop < f->f.extents_n && f->f.extents[stop].lo < offset + n) stop++;
    uint64_t limit = 0;
    uint32_t most = 0; /* bytes of the largest frame that is wanted in part */
    for (size_t i = first; i < stop; i++) {
        const crypt_extent *e = &f->f.extents[i];
        if (e->n > most) most = e->n;
        if (e->n && e->place + span_of(e->n) > limit) limit = e->place + span_of(e->n);
    }
    if (!err && most && !(whole = malloc(most))) err = -ENOMEM;
    memset(out, 0, n);
    for (size_t i = first; i < stop && !err; i++) {
        const crypt_extent *e = &f->f.extents[i];
        uint64_t lo = e->lo > offset ? e->lo : offset, hi = e->hi < offset + n ? e->hi : offset + n;
        err = read_extent(f, &w, e, limit, whole, out + (lo - offset), lo, hi);
    }
    if (whole) rec_wipe(whole, most);
    free(whole);
    free(w.buf);
    if (err) rec_wipe(out, n);
    return err;
}

static int64_t fr_pread(rec_file *file, void *out, size_t n, uint64_t offset) {
    crypt_file *f = (crypt_file *)file;
    if (offset > INT64_MAX - n) return -EINVAL;
    pthread_mutex_lock(&f->lock);
    int err = !f->f.known || f->f.scanned < f->f.end ? scan(f) : 0; /* without a cipher there is nothing, which is known */
    if (!err && f->f.damaged && !f->salvage) err = -EBADMSG;
    if (offset >= f->f.size) n = 0;
    if (n > f->f.size - offset) n = f->f.size - offset;
    if (!err && n) err = read_locked(f, out, n, offset);
    pthread_mutex_unlock(&f->lock);
    crypt_count(f->fs, C_READS, 1);
    crypt_count(f->fs, C_READ_BYTES, err ? 0 : n);
    return err ? err : (int64_t)n;
}

static int fr_size_of(rec_file *file, uint64_t *out) {
    crypt_file *f = (crypt_file *)file;
    pthread_mutex_lock(&f->lock);
    int err = f->f.known ? 0 : scan(f);
    *out = f->f.size;
    pthread_mutex_unlock(&f->lock);
    return err;
}

int crypt_framed_open(crypt_file *f, int fresh) {
    static const uint8_t nonce[REC_NONCE] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    uint8_t tag[REC_TAG] = {0};
    int err = f->cipher ? rec_cipher_seal(f->cipher, nonce, NULL, 0, NULL, 0, NULL, tag) : 0;
    f->f.seed = get32(tag);
    f->f.scanned = f->f.end = f->f.room = CRYPT_HEADER;
    f->f.known = fresh;
    return err;
}

const rec_fs_ops crypt_framed_ops = {
    .abi = REC_FS_ABI,
    .size = sizeof(rec_fs_ops),
    .name = "crypt framed",
    .close = fr_close,
    .append = fr_append,
    .pwrite = fr_pwrite,
    .pread = fr_pread,
    .sync = fr_sync,
    .truncate = fr_truncate,
    .allocate = fr_allocate,
    .size_of = fr_size_of,
    .map = crypt_no_map,
    .unmap = crypt_unmap,
};
