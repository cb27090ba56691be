/* table_format.h: the bytes of a table that reader and builder agree on.
 *
 *   handle   = offset u64 | size u32                        size without the trailer
 *   trailer  = codec id u8 | masked crc32c u32              after every block; crc over block and codec id, seeded with where it stands
 *   stored   = block, or with a codec: raw size u32 | compressed bytes
 *   footer   = "LSMTABLE" | version u32 | index kind u32 | database id u64 | number u64 | properties, index, filter, tombstones: handle each |
 *              chain u32 | masked crc32c u32                 chain: crc over the trailers of all blocks in file order
 *
 * Ownership: plain values. Threads: pure functions.
 */
#ifndef LSM_TABLE_FORMAT_H
#define LSM_TABLE_FORMAT_H
#include "lsm/csrc/table.h"

#define LSM_TABLE_MAGIC "LSMTABLE"
#define LSM_TABLE_VERSION 1
#define LSM_TRAILER 5
#define LSM_HANDLE 12
#define LSM_FOOTER (8 + 4 + 4 + 8 + 8 + 4 * LSM_HANDLE + 4 + 4)
#define LSM_MAX_BLOCK ((uint32_t)1 << 31) /* one entry of the largest value fits */
#define LSM_MAX_META ((uint32_t)256 << 20) /* index, filter, tombstones, properties */

typedef struct lsm_handle {
    uint64_t offset;
    uint32_t size;
} lsm_handle;

typedef struct lsm_footer {
    uint32_t index_kind, chain, crc;
    uint64_t database_id, number;
    lsm_handle props, index, filter, tombs;
} lsm_footer;

static inline void lsm_put32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}
static inline void lsm_put64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> 8 * i);
}
static inline uint32_t lsm_get32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t lsm_get64(const uint8_t *p) { return (uint64_t)lsm_get32(p) | (uint64_t)lsm_get32(p + 4) << 32; }

/* Varints, 7 bits a byte, at most 10 bytes. put returns the end; get returns the end or NULL when the bytes do not hold one. */
static inline uint8_t *lsm_put_varint(uint8_t *p, uint64_t v) {
    while (v >= 128) {
        *p++ = (uint8_t)(v | 128);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}
static inline const uint8_t *lsm_get_varint(const uint8_t *p, const uint8_t *end, uint64_t *v) {
    uint64_t x = 0;
    for (int shift = 0; p < end && shift < 64; shift += 7) {
        uint8_t b = *p++;
        x |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            *v = x;
            return p;
        }
    }
    return NULL;
}

static inline uint32_t lsm_mask_crc(uint32_t c) { return ((c >> 15) | (c << 17)) + 0xa282ead8u; }

/* Where a block stands enters its checksum: database, file, offset. */
static inline uint32_t lsm_block_crc(const lsm_env *env, uint64_t number, uint64_t offset, const uint8_t *data, size_t n_with_codec) {
    uint8_t seed[24];
    lsm_put64(seed, env->database_id);
    lsm_put64(seed + 8, number);
    lsm_put64(seed + 16, offset);
    return lsm_mask_crc(env->crc32c(env->crc32c(0, seed, sizeof seed), data, n_with_codec));
}

void lsm_footer_encode(const lsm_env *env, const lsm_footer *f, uint8_t out[LSM_FOOTER]);
/* LSM_CORRUPT with what is wrong; LSM_INVALID for a newer format. */
int lsm_footer_decode(const lsm_env *env, const uint8_t in[LSM_FOOTER], const char *path, uint64_t file_size, lsm_footer *out,
                      lsm_error *e);

/* Properties block: u16 count, then per property: u8 name length | name | u32 length | bytes; numbers are u64 or IEEE double as u64;
 * value_files: (file u64 | records u64 | bytes u64)*, by file. */
size_t lsm_props_encode(const lsm_table_props *p, uint8_t **out); /* malloc'ed; 0: out of memory */
int lsm_props_decode(const uint8_t *data, size_t n, const char *path, lsm_table_props *out, lsm_error *e);
#endif
