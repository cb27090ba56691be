/* wal_format.h: the bytes of a log segment, shared by writer and reader. The picture is in wal.h.
 *
 *     seed(salt, number) --> hsum(seed, offset, record header) --> crc over the payload
 *
 * Ownership: none. Threads: pure functions. Invariant: explicit little-endian, whatever the machine.
 */
#ifndef REC_WAL_FORMAT_H
#define REC_WAL_FORMAT_H
#include "crc32c.h"
#include "le.h"
#include "wal.h"
#include <string.h>

enum { WAL_PLAIN = 1, WAL_WITH_NOTES = 2 }; /* versions */
enum { WAL_HEADER = 32, WAL_RECORD = 32, WAL_END = 48, WAL_MARK = 40, WAL_PAGE = 4096, WAL_SECTOR = 512 };

static inline int wal_is_type(int version, int type) {
    return type >= REC_WAL_DATA && type <= (version == WAL_PLAIN ? REC_WAL_END : REC_WAL_NOTE);
}

static inline uint32_t wal_seed(uint64_t salt, uint64_t number) {
    uint8_t b[16];
    put64(b, salt);
    put64(b + 8, number);
    return rec_crc32c(0, b, sizeof b);
}

/* The sum over a record's place and header; r holds 32 bytes, its crc and check fields do not count. */
static inline uint32_t wal_hsum(uint32_t seed, uint64_t offset, const uint8_t *r) {
    uint8_t b[36];
    put64(b, offset);
    memcpy(b + 8, r + 4, 28);
    b[13] = b[14] = b[15] = 0;
    return rec_crc32c(seed, b, sizeof b);
}

static inline uint32_t wal_check(uint32_t hsum) { return hsum >> 8; }

static inline void wal_header(uint8_t h[WAL_HEADER], const rec_wal_config *config, uint64_t number, uint32_t pages) {
    memcpy(h, "LWAL", 4);
    h[4] = config->notes ? WAL_WITH_NOTES : WAL_PLAIN, h[5] = 0;
    h[6] = (uint8_t)config->sync_mode, h[7] = 0;
    put64(h + 8, number);
    put64(h + 16, config->salt);
    put32(h + 24, pages);
    put32(h + 28, rec_crc_mask(rec_crc32c(0, h, 28)));
}

/* Header fields of a record, all but its crc; returns the sum that the payload's crc continues. */
static inline uint32_t wal_record(uint8_t *r, uint32_t seed, uint64_t number, uint64_t offset, int type, uint32_t length, uint64_t seq,
                                  uint64_t durable) {
    put32(r + 4, length);
    r[8] = (uint8_t)type;
    put32(r + 12, (uint32_t)number);
    put64(r + 16, seq);
    put64(r + 24, durable);
    uint32_t hsum = wal_hsum(seed, offset, r), check = wal_check(hsum);
    r[9] = (uint8_t)check, r[10] = (uint8_t)(check >> 8), r[11] = (uint8_t)(check >> 16);
    return hsum;
}
#endif
