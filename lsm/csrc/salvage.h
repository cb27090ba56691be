/* salvage.h: blocks of a table whose index or footer is lost, found by their checksums.
 *
 *   file bytes --at--> block | codec id u8 | masked crc u32        a block says where it belongs: database, file number, offset
 *
 * The size of a block stands in the index alone; without it, every size up to a limit is tried while the checksum is carried on.
 *
 * Ownership: the bytes are the caller's; a block returned is the caller's to release. Threads: pure functions.
 * Errors: as of tables. Invariants: nothing outside of the bytes given is read; what is returned has passed its checksum. A checksum
 * alone proves a guessed place to 1 in 2^32: the caller checks what a block holds, too.
 */
#ifndef LSM_SALVAGE_H
#define LSM_SALVAGE_H
#include "lsm/csrc/table.h"

/* cdef:begin */
/* Size (without the trailer) of the block that stands at `at`, up to max bytes; 0: none. O(max). */
uint32_t lsm_salvage_size(const lsm_env *env, uint64_t number, const uint8_t *file, uint64_t n, uint64_t at, uint32_t max);
/* The first place in [from, to) where a block of at most max bytes stands, and its size; `to` when there is none. O((to - from) max). */
uint64_t lsm_salvage_next(const lsm_env *env, uint64_t number, const uint8_t *file, uint64_t n, uint64_t from, uint64_t to, uint32_t max,
                          uint32_t *size);
/* The content of the block of that size at `at`, verified and uncompressed; lsm_salvage_free. */
int lsm_salvage_block(const lsm_env *env, uint64_t number, const char *path, const uint8_t *file, uint64_t n, uint64_t at, uint32_t size,
                      uint8_t **out, uint64_t *out_n, lsm_error *error);
void lsm_salvage_free(uint8_t *content);
/* cdef:end */
#endif
