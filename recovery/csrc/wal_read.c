/* wal_read.c: the reader of the log. The rules are in wal_read.h, the format in wal.h. */
#include "wal_read.h"
#include "bridge.h"
#include "wal_format.h"
#include <errno.h>
#include <stdlib.h>

#define NOWHERE UINT64_MAX
enum { WINDOW = 1 << 20 };

typedef struct {
    rec_file *file;
    uint64_t size; /* of the file, when opened */
    uint8_t *buf;
    uint64_t lo, n, cap; /* buf holds [lo, lo + n) */
    uint64_t budget; /* bytes that checks of guessed records may still read */
    uint64_t number;
    uint32_t seed;
    int sync_mode, version; /* version: with notes, until the header says otherwise */
    uint64_t capacity; /* preallocated bytes, by the header; 0: none */
} reader;

typedef struct {
    uint32_t length, hsum;
    int type, known; /* known: the header passed its check */
    uint64_t seq, durable, offset;
    const uint8_t *payload; /* until the next look */
} record;

/* The n bytes at offset, which the file has; NULL with *err set. */
static const uint8_t *look(reader *r, uint64_t offset, uint64_t n, int *err) {
    if (offset >= r->lo && offset - r->lo <= r->n && n <= r->n - (offset - r->lo)) return r->buf + (offset - r->lo);
    uint64_t want = n > WINDOW ? n : WINDOW;
    if (want > r->size - offset) want = r->size - offset;
    if (want > r->cap) {
        uint8_t *p = realloc(r->buf, want);
        if (!p) {
            *err = -ENOMEM;
            return NULL;
        }
        r->buf = p, r->cap = want;
    }
    r->lo = offset, r->n = 0;
    int64_t got = r->file->ops->pread(r->file, r->buf, want, offset);
    if (got < 0 || (uint64_t)got < n) {
        *err = got < 0 ? (int)got : -EIO; /* shrank while we read */
        return NULL;
    }
    r->n = (uint64_t)got;
    return r->buf + 0;
}

/* Offset of the first byte in [from, to) that is not zero; to when there is none. */
static uint64_t first_nonzero(reader *r, uint64_t from, uint64_t to, int *err) {
    static const uint8_t blank[64];
    while (from < to) {
        uint64_t n = to - from < 65536 ? to - from : 65536;
        const uint8_t *p = look(r, from, n, err);
        if (!p) return to;
        uint64_t i = 0;
        while (i + 64 <= n && !memcmp(p + i, blank, 64)) i += 64; /* the end of a segment that was made for more is tens of megabytes */
        for (; i < n; i++)
            if (p[i]) return from + i;
        from += n;
    }
    return to;
}

static int zeros(reader *r, uint64_t from, uint64_t to, int *err) { return first_nonzero(r, from, to, err) == to; }

/* REC_INTACT and *out, or what is wrong with the record at offset (*err: reading failed). */
static int parse(reader *r, uint64_t offset, record *out, int *err) {
    *out = (record){.offset = offset};
    if (r->size - offset < WAL_RECORD) return REC_TRUNCATED;
    const uint8_t *p = look(r, offset, WAL_RECORD, err);
    if (!p) return REC_TRUNCATED;
    out->length = get32(p + 4), out->type = p[8];
    out->seq = get64(p + 16), out->durable = get64(p + 24);
    out->hsum = wal_hsum(r->seed, offset, p);
    uint32_t check = (uint32_t)p[9] | (uint32_t)p[10] << 8 | (uint32_t)p[11] << 16, crc = get32(p);
    if (check != wal_check(out->hsum)) {
        if (!wal_is_type(r->version, out->type)) return REC_BAD_TYPE;
        if (get32(p + 12) != (uint32_t)r->number) return REC_FOREIGN;
        return out->length > r->size - offset - WAL_RECORD ? REC_BAD_LENGTH : REC_BAD_CRC;
    }
    out->known = 1;
    if (get32(p + 12) != (uint32_t)r->number) return REC_FOREIGN;
    if (!wal_is_type(r->version, out->type)) return REC_BAD_TYPE;
    if (out->length > r->size - offset - WAL_RECORD) return REC_TRUNCATED;
    if (out->durable > offset) return REC_BAD_HEADER;
    p = look(r, offset, WAL_RECORD + (uint64_t)out->length, err);
    if (!p) return REC_TRUNCATED;
    out->payload = p + WAL_RECORD;
    return rec_crc_unmask(crc) == rec_crc32c(out->hsum, out->payload, out->length) ? REC_INTACT : REC_BAD_CRC;
}

/* A cheap test of a guessed place before its sum is computed. */
static int plausible(const reader *r, const uint8_t *p) { return wal_is_type(r->version, p[8]) && get32(p + 12) == (uint32_t)r->number; }

/* The next good record behind offset, its place in out->offset; NOWHERE when there is none. A file made to have guesses without
 * end uses the budget up; then the damage counts as covered (*err = -EBADMSG). */
static void next_good(reader *r, uint64_t offset, record *out, int *err) {
    uint64_t at = offset + 1;
    while (!*err && r->size >= WAL_RECORD && at <= r->size - WAL_RECORD) {
        uint64_t n = r->size - at < 65536 ? r->size - at : 65536;
        const uint8_t *p = look(r, at, n, err);
        if (!p) break;
        uint64_t i = 0, last = n - WAL_RECORD;
        while (i <= last && !plausible(r, p + i)) i++;
        at += i;
        if (i > last) continue;
        int what = parse(r, at, out, err);
        if (what == REC_INTACT || *err) return;
        uint64_t cost = WAL_RECORD + (out->known ? (uint64_t)out->length : 0);
        if (cost > r->budget) {
            *err = -EBADMSG;
            return;
        }
        r->budget -= cost;
        at++;
    }
    *out = (record){.offset = NOWHERE};
}

/* Does a record behind the damage promise that the place was synced? Good ones are hopped over and counted, bad places searched. */
static int promised(reader *r, uint64_t damage, record next, uint64_t *good, int *err) {
    while (!*err && next.offset != NOWHERE) {
        if (next.durable > damage) return 1;
        *good += next.type == REC_WAL_DATA;
        uint64_t at = next.offset + WAL_RECORD + next.length;
        if (at < r->size && parse(r, at, &next, err) == REC_INTACT) continue;
        if (!*err) next_good(r, at - 1, &next, err);
    }
    return 0;
}

/* Is an aligned word of these bytes all zeros? */
static int blank_word(reader *r, uint64_t from, uint64_t to, int *err) {
    for (uint64_t at = (from + 7) / 8 * 8; at + 8 <= to && !*err; at += 8)
        if (zeros(r, at, at + 8, err)) return 1;
    return 0;
}

/* Could a crash have left this? Lost sectors read as zeros from some byte on to the sector's end; a record that the process did not
 * finish has no crc; and a sync while it was written may have caught some words of it and not others, before its header came to the
 * disk without the rest. next: the place of the next good record, or NOWHERE. */
static int looks_torn(reader *r, const record *d, uint64_t next, int *err) {
    uint64_t left = r->size - d->offset, stop = d->offset + WAL_RECORD + (d->known ? (uint64_t)d->length : 0);
    if (next == NOWHERE && (left < WAL_RECORD || (d->known && stop > r->size))) return 1; /* the file ends in the record */
    if (stop > r->size) stop = r->size;
    if (stop > next) stop = next;
    const uint8_t *p = look(r, d->offset, left < 4 ? left : 4, err);
    if (!p) return 0;
    if (left < 4 || !get32(p)) return 1;
    for (uint64_t b = (d->offset / WAL_SECTOR + 1) * WAL_SECTOR; b < stop; b += WAL_SECTOR) {
        uint64_t from = b - d->offset < 8 ? d->offset : b - 8;
        if (zeros(r, from, b, err)) return 1;
    }
    if (d->known) return zeros(r, stop - 1, stop, err) || blank_word(r, d->offset + WAL_RECORD, stop, err);
    uint64_t sector = (d->offset + WAL_RECORD + WAL_SECTOR - 1) / WAL_SECTOR * WAL_SECTOR; /* a header cut off inside its sector */
    if (sector > r->size) sector = r->size;
    if (sector > next) return 0;
    return zeros(r, stop, sector, err) && zeros(r, stop - 8, stop, err);
}

/* The segment's header: REC_INTACT and the fields, or what is wrong. */
static int parse_header(reader *r, const rec_wal_config *config, int *err) {
    if (r->size < WAL_HEADER) return REC_TRUNCATED;
    const uint8_t *p = look(r, 0, WAL_HEADER, err);
    if (!p) return REC_TRUNCATED;
    if (rec_crc_unmask(get32(p + 28)) != rec_crc32c(0, p, 28) || memcmp(p, "LWAL", 4)) return REC_BAD_HEADER;
    if (get64(p + 8) != r->number || get64(p + 16) != config->salt) return REC_FOREIGN;
    if (p[4] < WAL_PLAIN || p[4] > WAL_WITH_NOTES || p[5] || p[6] > REC_SYNC_INTERVAL || p[7]) return REC_BAD_HEADER;
    r->sync_mode = p[6], r->version = p[4];
    r->capacity = (uint64_t)get32(p + 24) * WAL_PAGE;
    return REC_INTACT;
}

/* Damage that another reading does not show is not the file's, and nothing may be dropped for it: 0 when the bytes that were looked at
 * last are the same again, else -EIO or what the reading said. */
static int read_again(reader *r) {
    if (!r->n) return 0;
    uint32_t before = rec_crc32c(0, r->buf, r->n);
    int64_t got = r->file->ops->pread(r->file, r->buf, r->n, r->lo);
    if (got < 0) return (int)got;
    return (uint64_t)got == r->n && rec_crc32c(0, r->buf, r->n) == before ? 0 : -EIO;
}

/* What to do about damage d: 1 go on at *at, 0 stop here (legal), -EBADMSG or -errno. */
static int judge(reader *r, int mode, int is_last, int what, const record *d, uint64_t *at, rec_replay_report *report) {
    record next = {.offset = NOWHERE};
    uint64_t good = 0;
    int err = read_again(r);
    if (err) return err;
    if (report->damage_offset == NOWHERE) report->damage_offset = d->offset, report->reason = what;
    if (mode == REC_RECOVER_ABSOLUTE) return -EBADMSG;
    next_good(r, d->offset, &next, &err);
    if (err == -EBADMSG && mode == REC_RECOVER_SKIP) err = 0, next.offset = NOWHERE;
    if (err) return err;
    uint64_t until = next.offset == NOWHERE ? r->size : next.offset;
    if (mode == REC_RECOVER_SKIP) {
        report->dropped_records++;
        report->dropped_bytes += until - d->offset;
        report->torn_tail = next.offset == NOWHERE && is_last;
        *at = until;
        return next.offset != NOWHERE;
    }
    int synced = r->sync_mode >= REC_SYNC_GROUP;
    int cut_off = synced && r->capacity && r->size < r->capacity;
    if (!is_last && (synced || mode == REC_RECOVER_TOLERATE_TAIL)) return -EBADMSG;
    if (cut_off || (mode == REC_RECOVER_TOLERATE_TAIL && next.offset != NOWHERE)) return -EBADMSG;
    if (!looks_torn(r, d, next.offset, &err) || err) return err ? err : -EBADMSG;
    if (promised(r, d->offset, next, &good, &err) || err) return err ? err : -EBADMSG;
    report->torn_tail = 1;
    report->dropped_records += 1 + good;
    report->dropped_bytes += r->size - d->offset;
    return 0;
}

/* Behind the last record, at offset at: an end record, or nothing. 1: damage. A segment is shorter than its header says when the crash came
 * while it was made; once it holds a record its size was durable before. */
static int missing_end(reader *r, int is_last, uint64_t at, const rec_replay_report *report) {
    if (report->ended) return 0;
    return !is_last || (at > WAL_HEADER && r->sync_mode >= REC_SYNC_GROUP && r->capacity && r->size < r->capacity);
}

static int deliver(record *rec, rec_replay_fn fn, void *arg, rec_replay_report *report) {
    if (rec->type == REC_WAL_DATA) {
        if (!report->records++) report->first_seq = rec->seq;
        report->last_seq = rec->seq;
        report->bytes += rec->length;
    } else if (rec->type == REC_WAL_MARK) {
        report->last_time = get64(rec->payload);
        if (!report->first_time) report->first_time = report->last_time;
    }
    return fn ? fn(arg, rec->type, rec->seq, rec->payload, rec->length) : 0;
}

/* An end record must tell the truth about its place. */
static int take_end(const record *rec, rec_replay_report *report) {
    if (rec->length != WAL_END - WAL_RECORD || get64(rec->payload + 8) != rec->offset + WAL_END) return REC_BAD_LENGTH;
    report->ended = 1;
    report->next = get64(rec->payload);
    return REC_INTACT;
}

static int replay(reader *r, int mode, int is_last, uint64_t at, rec_replay_fn fn, void *arg, rec_replay_report *report) {
    for (;;) {
        record rec;
        int err = 0;
        if (zeros(r, at, r->size < at + WAL_RECORD ? r->size : at + WAL_RECORD, &err) && !err && zeros(r, at, r->size, &err) && !err) {
            if (!missing_end(r, is_last, at, report)) return 0;
            rec = (record){.offset = at};
            return judge(r, mode, is_last, REC_TRUNCATED, &rec, &at, report);
        }
        if (err) return err;
        int what = parse(r, at, &rec, &err);
        if (err) return err;
        if (what == REC_INTACT && rec.type == REC_WAL_END) what = take_end(&rec, report);
        if (what == REC_INTACT && rec.type == REC_WAL_MARK && rec.length != WAL_MARK - WAL_RECORD) what = REC_BAD_LENGTH;
        if (what == REC_INTACT) {
            if (rec.type != REC_WAL_END) err = deliver(&rec, fn, arg, report);
            if (rec.durable > report->promised) report->promised = rec.durable;
            at += WAL_RECORD + (uint64_t)rec.length;
            report->end_offset = at;
            if (err) return err;
            if (!report->ended) continue;
            uint64_t dirt = first_nonzero(r, at, r->size, &err);
            if (err || dirt == r->size) return err;
            report->damage_offset = dirt, report->reason = REC_BAD_LENGTH; /* worthless bytes behind the end: told, not held against it */
            report->dropped_bytes += r->size - dirt;
            return mode == REC_RECOVER_ABSOLUTE ? -EBADMSG : 0;
        }
        int on = judge(r, mode, is_last, what, &rec, &at, report);
        if (on <= 0) return on;
    }
}

/* The number in a name that ends in NNNNNN.log. */
static int number_of(const char *path, uint64_t *out) {
    const char *p = strrchr(path, '/');
    uint64_t v = 0;
    int digits = 0;
    for (p = p ? p + 1 : path; *p >= '0' && *p <= '9' && digits < 19; p++, digits++) v = v * 10 + (uint64_t)(*p - '0');
    *out = v;
    return digits && !strcmp(p, ".log") ? 0 : -EINVAL;
}

int rec_wal_read(rec_fs *fs, const char *path, const rec_wal_config *config, int mode, int is_last, rec_replay_fn fn, void *arg,
                 rec_replay_report *report) {
    reader r = {.sync_mode = config->sync_mode, .version = WAL_WITH_NOTES};
    *report = (rec_replay_report){.damage_offset = NOWHERE};
    if (mode < REC_RECOVER_ABSOLUTE || mode > REC_RECOVER_SKIP || number_of(path, &r.number)) return -EINVAL;
    int err = fs->ops->open(fs, path, REC_O_READ | REC_O_SALVAGE, &r.file); /* every byte is checked here */
    if (err) return err;
    err = r.file->ops->size_of(r.file, &r.size);
    r.budget = 4 * r.size + WINDOW;
    r.seed = wal_seed(config->salt, r.number);
    uint64_t at = WAL_HEADER;
    int go = 1, what = err ? REC_INTACT : parse_header(&r, config, &err);
    if (!err && what != REC_INTACT) {
        /* All zeros: the crash came while the segment was made. Else: salt and number are known from elsewhere, so records
         * behind a damaged header can still be told. */
        record head = {.offset = 0};
        int blank = zeros(&r, 0, r.size, &err);
        go = err || (blank && is_last) ? 0 : judge(&r, mode, is_last, what, &head, &at, report);
        if (go < 0) err = go;
    }
    if (!err && go) {
        report->end_offset = at;
        err = replay(&r, mode, is_last, at, fn, arg, report);
    }
    free(r.buf);
    int closed = r.file->ops->close(r.file);
    return err ? err : closed;
}

static int add_record(void *arg, int type, uint64_t seq, const uint8_t *payload, size_t n) {
    uint8_t head[16];
    put64(head, seq);
    put32(head + 8, (uint32_t)n);
    put32(head + 12, (uint32_t)type);
    int err = rec_bytes_add(arg, head, sizeof head);
    return err ? err : rec_bytes_add(arg, payload, n);
}

int rec_wal_collect(rec_fs *fs, const char *path, const rec_wal_config *config, int mode, int is_last, uint8_t **out, size_t *n,
                    rec_replay_report *report) {
    rec_bytes b = {0};
    int err = rec_wal_read(fs, path, config, mode, is_last, add_record, &b, report);
    *out = b.p;
    *n = b.n;
    return err;
}
