/* wal.c: the writer of the log. The format is in wal.h and wal_format.h.
 *
 * Modes OS, GROUP, EVERY and INTERVAL store into a mapped window of the preallocated segment: no system call per record. A
 * record never straddles two windows. Without mappings (-ENOTSUP) each record is one pwrite. NONE gathers 64 KiB per pwrite.
 */
#include "wal.h"
#include "wal_format.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WINDOW = 1 << 20, GATHER = 64 << 10 };

typedef struct {
    rec_file *file;
    uint64_t number, capacity; /* capacity: bytes a segment may take */
    uint32_t seed;
} segment;

struct rec_wal {
    rec_fs *fs;
    char *dir;
    rec_wal_config config;
    segment seg;
    segment ready; /* under lock: made ahead, or being made while `preparing`; number 0 when there is none */
    int preparing; /* under lock */
    uint64_t newest; /* under lock: largest number of a segment that is there or being made */
    int mapped;
    uint8_t *window; /* of [window_lo, window_hi) of the segment, or NULL */
    uint64_t window_lo, window_hi;
    uint8_t *buffer; /* unmapped modes: what is not yet in the file, ending at end; guarded by lock in mode NONE */
    size_t buffered, buffer_cap;
    uint64_t end; /* of the current segment; stored atomically by the appender */
    uint64_t number; /* atomic: seg.number for other threads */
    uint64_t base; /* lsn of offset 0 of the current segment; the appender's */
    uint64_t last_seq, last_sync_ns;
    uint64_t time; /* atomic: the last mark; stored by the appender */
    uint64_t written; /* atomic: base + end, released after the bytes */
    uint64_t promise; /* atomic: offset of the current segment known to be synced */
    uint64_t syncs; /* atomic */
    int failed; /* atomic: the first error, sticky */
    pthread_mutex_t lock;
    pthread_cond_t turn;
    int syncing; /* under lock: a leader, or a roll-over, is at work on the file */
    uint64_t durable; /* under lock: lsn up to which all is synced */
    uint64_t *unsynced; /* older segments that were ended without a sync; the leader's */
    size_t unsynced_n, unsynced_cap;
};

static int dead(rec_wal *w) { return __atomic_load_n(&w->failed, __ATOMIC_ACQUIRE); }

static int fail(rec_wal *w, int err) {
    int none = 0;
    __atomic_compare_exchange_n(&w->failed, &none, err, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    return dead(w);
}

static int synced_mode(const rec_wal *w) { return w->config.sync_mode >= REC_SYNC_GROUP; }

static int path_of(const rec_wal *w, uint64_t number, char *out, size_t n) {
    int len = snprintf(out, n, "%s/%06llu.log", w->dir, (unsigned long long)number);
    return len < 0 || (size_t)len >= n ? -ENAMETOOLONG : 0; /* uncovered (guard): the format is right */
}

/* ---- segments ---- */

/* The size of a segment that can take a record of `need` bytes. */
static uint64_t size_for(const rec_wal *w, uint64_t need) {
    uint64_t overhead = WAL_HEADER + WAL_RECORD + WAL_END + (w->config.notes ? WAL_MARK : 0), size = w->config.segment_bytes;
    if (size < need + overhead) size = need + overhead;
    return (size + WAL_PAGE - 1) / WAL_PAGE * WAL_PAGE;
}

/* A new segment, its size, header and name durable (mode NONE: only the name, with the header still to be written by the caller). */
static int make_segment(rec_wal *w, uint64_t number, uint64_t need, segment *out) {
    char path[4096];
    if (need > UINT32_MAX) return -EFBIG;
    const uint64_t size = size_for(w, need);
    int reserve = w->config.sync_mode != REC_SYNC_NONE, err = path_of(w, number, path, sizeof path);
    if (err) return err;
    rec_file *f;
    err = w->fs->ops->open(w->fs, path, REC_O_READ | REC_O_WRITE | REC_O_CREATE | REC_O_EXCL, &f);
    if (err) return err;
    uint8_t header[WAL_HEADER];
    wal_header(header, &w->config, number, reserve ? (uint32_t)(size / WAL_PAGE) : 0);
    if (reserve) err = f->ops->allocate(f, size);
    if (!err) err = f->ops->pwrite(f, header, sizeof header, 0);
    if (!err && reserve) err = f->ops->sync(f);
    if (!err) err = w->fs->ops->sync_dir(w->fs, w->dir);
    if (err) {
        f->ops->close(f); /* the first error is the one to tell */
        int left = w->fs->ops->unlink(w->fs, path);
        if (left && left != -ENOENT) *out = (segment){.number = number}; /* the name: it must go before a log goes on behind it */
        return err;
    }
    *out = (segment){f, number, size, wal_seed(w->config.salt, number)};
    return 0;
}

/* A segment that nothing was written to goes. */
static int discard_segment(rec_wal *w, segment s) {
    char path[4096];
    if (!s.number) return 0;
    int closed = s.file ? s.file->ops->close(s.file) : 0, err = path_of(w, s.number, path, sizeof path);
    if (!err) err = w->fs->ops->unlink(w->fs, path);
    return err ? err : closed;
}

static void start_segment(rec_wal *w, segment s) {
    w->seg = s;
    __atomic_store_n(&w->end, WAL_HEADER, __ATOMIC_RELAXED);
    __atomic_store_n(&w->number, s.number, __ATOMIC_RELAXED);
    w->mapped = w->config.sync_mode != REC_SYNC_NONE;
    __atomic_store_n(&w->promise, synced_mode(w) ? WAL_HEADER : 0, __ATOMIC_RELEASE);
    __atomic_store_n(&w->written, w->base + w->end, __ATOMIC_RELEASE);
}

static int drop_window(rec_wal *w) {
    uint8_t *p = w->window;
    w->window = NULL;
    return p ? w->seg.file->ops->unmap(w->seg.file, p, w->window_hi - w->window_lo) : 0;
}

/* Makes [end, end + need) part of the window. */
static int move_window(rec_wal *w, uint64_t need) {
    int err = drop_window(w);
    if (err) return err; /* uncovered (system): what was mapped cannot be unmapped */
    w->window_lo = w->end / WAL_PAGE * WAL_PAGE;
    uint64_t hi = w->end + need;
    if (hi < w->window_lo + WINDOW) hi = w->window_lo + WINDOW;
    hi = (hi + WAL_PAGE - 1) / WAL_PAGE * WAL_PAGE;
    w->window_hi = hi < w->seg.capacity ? hi : w->seg.capacity;
    void *p = NULL;
    err = w->seg.file->ops->map(w->seg.file, w->window_lo, w->window_hi - w->window_lo, 1, &p);
    if (err == -ENOTSUP)
        w->mapped = 0;
    else if (!err)
        w->window = p;
    return err == -ENOTSUP ? 0 : err;
}

/* ---- appending ---- */

static void compose(rec_wal *w, uint8_t *p, int type, uint64_t seq, const rec_slice *parts, size_t n, uint32_t length) {
    uint64_t promise = __atomic_load_n(&w->promise, __ATOMIC_ACQUIRE);
    uint32_t hsum = wal_record(p, w->seg.seed, w->seg.number, w->end, type, length, seq, promise);
    uint8_t *to = p + WAL_RECORD;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].size) memcpy(to, parts[i].data, parts[i].size);
        to += parts[i].size;
    }
    uint32_t crc = rec_crc_mask(rec_crc32c(hsum, p + WAL_RECORD, length));
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* last: killed before this, the record has no crc */
    put32(p, crc);
}

static int flush(rec_wal *w) {
    size_t n = w->buffered;
    if (!n) return 0;
    int err = w->seg.file->ops->pwrite(w->seg.file, w->buffer, n, w->end - n);
    w->buffered = 0;
    if (w->buffer_cap > WINDOW) { /* do not keep the room of one giant record */
        free(w->buffer);
        w->buffer = NULL;
        w->buffer_cap = 0;
    }
    return err;
}

static int gather(rec_wal *w, int type, uint64_t seq, const rec_slice *parts, size_t n, uint32_t length) {
    uint64_t need = WAL_RECORD + (uint64_t)length;
    int err = w->buffered + need > GATHER ? flush(w) : 0;
    if (err) return err;
    if (need > w->buffer_cap) {
        size_t cap = need > GATHER ? need : GATHER;
        uint8_t *p = realloc(w->buffer, cap);
        if (!p) return -ENOMEM;
        w->buffer = p, w->buffer_cap = cap;
    }
    compose(w, w->buffer + w->buffered, type, seq, parts, n, length);
    w->buffered += need;
    __atomic_store_n(&w->end, w->end + need, __ATOMIC_RELAXED);
    return w->config.sync_mode == REC_SYNC_NONE && w->buffered < GATHER ? 0 : flush(w);
}

/* One record at the end of the segment, which has room for it. */
static int put_record(rec_wal *w, int type, uint64_t seq, const rec_slice *parts, size_t n, uint32_t length) {
    uint64_t need = WAL_RECORD + (uint64_t)length;
    int err = 0;
    if (w->mapped && (!w->window || w->end + need > w->window_hi)) err = move_window(w, need);
    if (err) return err;
    if (w->mapped) {
        compose(w, w->window + (w->end - w->window_lo), type, seq, parts, n, length);
        __atomic_store_n(&w->end, w->end + need, __ATOMIC_RELAXED);
    } else {
        int shared = w->config.sync_mode == REC_SYNC_NONE; /* a forced sync flushes from another thread */
        if (shared) pthread_mutex_lock(&w->lock);
        err = gather(w, type, seq, parts, n, length);
        if (shared) pthread_mutex_unlock(&w->lock);
    }
    w->last_seq = seq;
    __atomic_store_n(&w->written, w->base + w->end, __ATOMIC_RELEASE);
    return err;
}

/* ---- syncing ---- */

/* Older segments first: nobody may see the newer log without them. The caller is the leader. */
static int sync_older(rec_wal *w) {
    for (; w->unsynced_n; w->unsynced_n--) {
        char path[4096];
        rec_file *f;
        int err = path_of(w, w->unsynced[w->unsynced_n - 1], path, sizeof path);
        /* uncovered (guard): it had that path when it was made */
        if (!err) err = w->fs->ops->open(w->fs, path, REC_O_READ | REC_O_WRITE, &f);
        if (err == -ENOENT) continue; /* flushed to tables and removed */
        if (err) return err;
        err = f->ops->sync(f);
        int closed = f->ops->close(f);
        if (err || closed) return err ? err : closed;
    }
    return 0;
}

static int sync_file(rec_wal *w) {
    int err = sync_older(w);
    if (!err) err = w->seg.file->ops->sync(w->seg.file);
    __atomic_fetch_add(&w->syncs, 1, __ATOMIC_RELAXED);
    return err;
}

static void take_turn(rec_wal *w) { /* lock held */
    while (w->syncing) pthread_cond_wait(&w->turn, &w->lock);
    w->syncing = 1;
}

static void end_turn(rec_wal *w) { /* lock held */
    w->syncing = 0;
    pthread_cond_broadcast(&w->turn);
}

/* The leader's work, outside of the lock; lock held on entry and on return. */
static void lead(rec_wal *w) {
    w->syncing = 1;
    int err = w->config.sync_mode == REC_SYNC_NONE ? flush(w) : 0; /* the others' buffer is the appender's alone */
    uint64_t upto = __atomic_load_n(&w->written, __ATOMIC_ACQUIRE), base = w->base;
    pthread_mutex_unlock(&w->lock);
    if (!err) err = sync_file(w);
    pthread_mutex_lock(&w->lock);
    if (err)
        fail(w, err);
    else {
        w->durable = upto;
        __atomic_store_n(&w->promise, upto - base, __ATOMIC_RELEASE);
    }
    end_turn(w);
}

static int wal_sync_to(rec_wal *w, uint64_t lsn) {
    int force = lsn == UINT64_MAX;
    if (!force && !synced_mode(w)) return dead(w);
    uint64_t target = force ? __atomic_load_n(&w->written, __ATOMIC_ACQUIRE) : lsn;
    pthread_mutex_lock(&w->lock);
    while (!dead(w) && w->durable < target) {
        if (w->syncing)
            pthread_cond_wait(&w->turn, &w->lock);
        else
            lead(w);
    }
    pthread_mutex_unlock(&w->lock);
    return dead(w);
}

/* The mark that is due before the next record: its time; 0: none is. */
static uint64_t due_mark(rec_wal *w) {
    struct timespec t;
    if (!w->config.clock) clock_gettime(CLOCK_REALTIME_COARSE, &t);
    uint64_t now =
        w->config.clock ? __atomic_load_n(w->config.clock, __ATOMIC_RELAXED) : (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    if (now < w->time) now = w->time; /* the clock went backwards */
    return w->end == WAL_HEADER || now / 1000000 != w->time / 1000000 ? now : 0;
}

static int put_mark(rec_wal *w, uint64_t mark, uint64_t seq) {
    uint8_t payload[8];
    put64(payload, mark);
    rec_slice part = {payload, sizeof payload};
    __atomic_store_n(&w->time, mark, __ATOMIC_RELAXED);
    return put_record(w, REC_WAL_MARK, seq, &part, 1, sizeof payload);
}

static int wal_append(rec_wal *w, uint64_t seq, const rec_slice *parts, size_t n, uint64_t *lsn) {
    uint64_t length = 0, mark = 0;
    int err = dead(w);
    if (err) return err;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].size > UINT32_MAX - length) return -EFBIG;
        length += parts[i].size;
    }
    if (__builtin_expect(w->config.notes, 0)) mark = due_mark(w);
    if (w->end + (mark ? WAL_MARK : 0) + WAL_RECORD + length + WAL_END > w->seg.capacity) return 1;
    if (mark) err = put_mark(w, mark, seq);
    if (!err) err = put_record(w, REC_WAL_DATA, seq, parts, n, (uint32_t)length);
    if (err) return fail(w, err);
    uint64_t upto = w->base + w->end;
    if (lsn) *lsn = upto;
    if (w->config.sync_mode == REC_SYNC_EVERY) return wal_sync_to(w, upto);
    if (w->config.sync_mode == REC_SYNC_INTERVAL) {
        uint64_t now = w->fs->ops->now_ns(w->fs);
        if (now - w->last_sync_ns < w->config.interval_ns) return 0;
        w->last_sync_ns = now;
        return wal_sync_to(w, upto);
    }
    return 0;
}

static int wal_note(rec_wal *w, const void *data, size_t n) {
    int err = dead(w);
    if (err) return err;
    if (!w->config.notes) return -EINVAL;
    if (n > UINT32_MAX) return -EFBIG;
    uint64_t mark = due_mark(w);
    if (w->end + (mark ? WAL_MARK : 0) + WAL_RECORD + n + WAL_END > w->seg.capacity) return 1;
    rec_slice part = {data, n};
    if (mark) err = put_mark(w, mark, w->last_seq);
    if (!err) err = put_record(w, REC_WAL_NOTE, w->last_seq, &part, 1, (uint32_t)n);
    return err ? fail(w, err) : 0;
}

/* ---- beginning and end ---- */

/* Ends the current segment and closes its file in every case. The caller has the turn. */
static int end_segment(rec_wal *w, uint64_t next, int sync) {
    uint8_t payload[16];
    rec_file *f = w->seg.file;
    int err = dead(w);
    if (!err) {
        put64(payload, next);
        put64(payload + 8, w->end + WAL_END);
        rec_slice part = {payload, sizeof payload};
        err = put_record(w, REC_WAL_END, w->last_seq, &part, 1, sizeof payload);
        if (!err && !w->mapped) err = flush(w);
    }
    if (!err && sync) err = sync_file(w);
    int unmapped = drop_window(w);
    if (!err) err = unmapped;
    if (!err) err = f->ops->truncate(f, w->end);
    if (!err && !next) err = f->ops->sync(f); /* a clean close leaves nothing to chance */
    int closed = f->ops->close(f);
    w->seg.file = NULL;
    return err ? err : closed;
}

static uint64_t wal_number(rec_wal *w) { return __atomic_load_n(&w->number, __ATOMIC_RELAXED); }

static uint64_t wal_prepared(rec_wal *w) {
    pthread_mutex_lock(&w->lock);
    const uint64_t number = w->ready.number;
    pthread_mutex_unlock(&w->lock);
    return number;
}

static int remember_unsynced(rec_wal *w) {
    if (w->unsynced_n == w->unsynced_cap) {
        size_t cap = w->unsynced_cap ? w->unsynced_cap * 2 : 8;
        uint64_t *p = realloc(w->unsynced, cap * sizeof *p);
        if (!p) return -ENOMEM;
        w->unsynced = p, w->unsynced_cap = cap;
    }
    w->unsynced[w->unsynced_n++] = w->seg.number;
    return 0;
}

static int wal_prepare(rec_wal *w, uint64_t number) {
    segment fresh = {0};
    pthread_mutex_lock(&w->lock);
    const int due = !dead(w) && !w->ready.number && number > w->newest; /* never between two, the older of which names the newer */
    if (due) w->ready.number = w->newest = number, w->preparing = 1; /* from now on a rotate waits for it */
    pthread_mutex_unlock(&w->lock);
    if (!due) return 0;
    int err = make_segment(w, number, 0, &fresh);
    pthread_mutex_lock(&w->lock);
    w->ready = fresh, w->preparing = 0;
    pthread_cond_broadcast(&w->turn);
    pthread_mutex_unlock(&w->lock);
    return err;
}

static int wal_rotate(rec_wal *w, uint64_t number, uint64_t need) {
    int err = dead(w);
    if (err) return err;
    if (number <= w->seg.number) return -EINVAL;
    pthread_mutex_lock(&w->lock);
    take_turn(w);
    while (w->preparing) pthread_cond_wait(&w->turn, &w->lock);
    segment fresh = w->ready;
    w->ready = (segment){0};
    if (w->newest < number) w->newest = number;
    pthread_mutex_unlock(&w->lock);
    if (fresh.number != number || fresh.capacity < size_for(w, need)) {
        err = discard_segment(w, fresh); /* durable with the new name: else the end record might lead past it */
        fresh = (segment){0};
        if (!err) err = make_segment(w, number, need, &fresh);
    }
    /* The new name is durable before the old segment names it: an end record that leads nowhere is damage. */
    if (!err && !synced_mode(w)) err = remember_unsynced(w);
    if (!err) err = end_segment(w, number, synced_mode(w));
    if (err && fresh.file) fresh.file->ops->close(fresh.file);
    pthread_mutex_lock(&w->lock);
    if (err)
        fail(w, err);
    else {
        w->base += w->end;
        start_segment(w, fresh);
        if (synced_mode(w)) w->durable = w->base;
    }
    end_turn(w);
    pthread_mutex_unlock(&w->lock);
    return dead(w);
}

static int wal_close(rec_wal *w) {
    pthread_mutex_lock(&w->lock);
    take_turn(w);
    pthread_mutex_unlock(&w->lock);
    discard_segment(w, w->ready);
    int err = w->seg.file ? end_segment(w, 0, 1) : dead(w);
    pthread_cond_destroy(&w->turn);
    pthread_mutex_destroy(&w->lock);
    free(w->buffer);
    free(w->unsynced);
    free(w->dir);
    free(w);
    return err;
}

static int wal_create(rec_fs *fs, const char *dir, uint64_t number, const rec_wal_config *config, rec_wal **out) {
    if (config->sync_mode < REC_SYNC_NONE || config->sync_mode > REC_SYNC_INTERVAL) return -EINVAL;
    if (config->segment_bytes > (uint64_t)1 << 40) return -EINVAL;
    rec_wal *w = calloc(1, sizeof *w);
    segment fresh;
    if (!w) return -ENOMEM;
    w->fs = fs;
    w->config = *config;
    w->dir = strdup(dir);
    int err = w->dir ? make_segment(w, number, 0, &fresh) : -ENOMEM;
    if (err) {
        free(w->dir);
        free(w);
        return err;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->turn, NULL);
    w->newest = number;
    w->last_sync_ns = fs->ops->now_ns(fs);
    w->time = config->last_time;
    start_segment(w, fresh);
    *out = w;
    return 0;
}

static uint64_t wal_used(rec_wal *w) { return __atomic_load_n(&w->end, __ATOMIC_RELAXED); }
static uint64_t wal_written(rec_wal *w) { return __atomic_load_n(&w->written, __ATOMIC_ACQUIRE); }
static uint64_t wal_time(rec_wal *w) { return __atomic_load_n(&w->time, __ATOMIC_RELAXED); }
static uint64_t wal_syncs(rec_wal *w) { return __atomic_load_n(&w->syncs, __ATOMIC_RELAXED); }

static const rec_wal_ops default_ops = {
    .abi = REC_WAL_ABI,
    .size = sizeof(rec_wal_ops),
    .name = "lwal-1",
    .create = wal_create,
    .append = wal_append,
    .sync_to = wal_sync_to,
    .rotate = wal_rotate,
    .used = wal_used,
    .number = wal_number,
    .written = wal_written,
    .syncs = wal_syncs,
    .close = wal_close,
    .note = wal_note,
    .time = wal_time,
    .prepare = wal_prepare,
    .prepared = wal_prepared,
};

const rec_wal_ops *rec_wal_default(void) { return &default_ops; }
