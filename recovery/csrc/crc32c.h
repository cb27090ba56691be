/* crc32c.h: CRC-32C (Castagnoli), the checksum of every byte the engine writes.
 *
 *     bytes --> rec_crc32c(0, p, n) --> rec_crc_mask --> stored
 *
 * Ownership: none. Threads: pure functions.
 * Invariants: rec_crc32c(rec_crc32c(0, a), b) == rec_crc32c(0, a ++ b); the SSE4.2 and the portable kernel agree.
 * Stored sums are masked (LevelDB, doc/log_format.md) because a sum over bytes that hold their own sum is weak.
 */
#ifndef REC_CRC32C_H
#define REC_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
uint32_t rec_crc32c(uint32_t crc, const void *data, size_t n); /* fastest kernel of this CPU */
uint32_t rec_crc32c_portable(uint32_t crc, const void *data, size_t n); /* slicing-by-8 */
int rec_crc32c_is_hardware(void);
/* cdef:end */

static inline uint32_t rec_crc_mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

static inline uint32_t rec_crc_unmask(uint32_t masked) {
    uint32_t rot = masked - 0xa282ead8u;
    return (rot >> 17) | (rot << 15);
}
#endif
