/* pgm.h: the PGM-index: straight lines that say where in a sorted array a key is, within a bound.
 *
 *    level 0: lines over the array, each off by at most `error` places        level i + 1: lines over the first keys of level i's lines
 *    search:  the one line of the top -> a few lines of the level below -> ... -> a window of the array
 *
 * Ferragina and Vinciguerra, "The PGM-index: a fully-dynamic compressed learned index with provable worst-case bounds", VLDB 2020, section 3; the
 * longest lines within the bound by O'Rourke, "An on-line algorithm for fitting straight lines between data ranges", CACM 1981. A line is kept in
 * whole numbers, so that it says the same on every machine.
 *
 * Ownership: the index owns its bytes, or borrows those it was opened over; the array stays the caller's. Threads: immutable once made.
 * Invariants: the window of a key holds its rank (the number of smaller elements) for the array it was built over; for any other array and
 * for any checked bytes it lies within [0, n].
 *
 *    bytes  = header (32 bytes) | lines of each level u64 | line of level 0 * | ... | the one line of the last level
 *    header = kind u8 | version u8 | levels u8 | zero u8 | epsilon u32 | error u32 | error of the levels above u32 | n u64 | lines in all u64
 *    line   = key u64 | place at the key i64 | slope u32 | shift u32          place of x = place + ((x - key) * slope >> shift)
 */
#ifndef IDX_PGM_H
#define IDX_PGM_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
typedef struct idx_pgm idx_pgm;
/* keys ascend, repeats allowed. NULL: out of memory. */
idx_pgm *idx_pgm_build(const uint64_t *keys, size_t n, uint32_t epsilon);
idx_pgm *idx_pgm_open(const uint8_t *bytes, size_t len); /* of checked bytes, which outlive it; NULL: out of memory */
int idx_pgm_check(const uint8_t *bytes, size_t len); /* 0 when well formed; O(len) */
void idx_pgm_free(idx_pgm *p);
const uint8_t *idx_pgm_bytes(const idx_pgm *p, size_t *len);
size_t idx_pgm_count(const idx_pgm *p); /* elements of the array */
size_t idx_pgm_lines(const idx_pgm *p, uint32_t level); /* 0: no such level */
uint32_t idx_pgm_epsilon(const idx_pgm *p); /* as asked for */
uint32_t idx_pgm_error(const idx_pgm *p); /* as found: epsilon, or one or two more for the rounding of the slopes */
/* The rank of key is at least *from and at most *to. */
void idx_pgm_window(const idx_pgm *p, uint64_t key, size_t *from, size_t *to);
size_t idx_pgm_search(const idx_pgm *p, const uint64_t *keys, uint64_t key); /* rank of key */
void idx_pgm_search_many(const idx_pgm *p, const uint64_t *keys, const uint64_t *wanted, size_t n, uint64_t *out);
void idx_pgm_window_many(const idx_pgm *p, const uint64_t *wanted, size_t n, uint64_t *from, uint64_t *to);
/* cdef:end */
#endif
