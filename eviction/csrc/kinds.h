/* kinds.h: the built-in eviction policies, by name.
 *
 *    "lru" "fifo" "clock" "sieve" "arc"  --evi_find-->  a const ops table (policy.h)
 *
 * Ownership: tables are constant and live as long as the extension. Threads: any. Invariant: names are unique.
 */
#ifndef EVI_KINDS_H
#define EVI_KINDS_H
#include "eviction/csrc/policy.h"

extern const evi_ops evi_lru, evi_fifo, evi_clock, evi_sieve, evi_arc;

/* cdef:begin */
const evi_ops *evi_find(const char *name); /* NULL: no such kind */
/* cdef:end */
#endif
