/* pgm_format.h: the inside of a PGM-index, shared by making and reading it. Bytes and ownership: pgm.h. Threads: immutable once made. */
#ifndef IDX_PGM_FORMAT_H
#define IDX_PGM_FORMAT_H
#include "indexes/csrc/pgm.h"

enum { PGM_KIND = 0x91, PGM_VERSION = 1, PGM_HEADER = 32, PGM_LINE = 24, PGM_LEVELS = 24, PGM_MAX_SHIFT = 127 };
#define PGM_FAR (INT64_C(1) << 61) /* no place is farther away */
#define PGM_MOST (UINT64_C(1) << 48) /* elements */

struct idx_pgm {
    uint64_t n;
    uint32_t epsilon, error, level_error, levels;
    uint64_t lines[PGM_LEVELS];
    const uint8_t *level[PGM_LEVELS], *bytes;
    size_t len;
    uint8_t *own; /* NULL: borrowed */
};

/* Reads the header into p; 0 when it agrees with len. */
int idx_pgm_header(idx_pgm *p, const uint8_t *bytes, size_t len);
#endif
