/* kinds.h: the built-in eviction policies, by name.
 *
 *    "lru", "fifo", "clock" ...  --evi_find-->  a const ops table (policy.h)
 *
 * Ownership: tables are constant and live as long as the extension. Threads: any. Invariant: names are unique.
 */
#ifndef EVI_KINDS_H
#define EVI_KINDS_H
#include "eviction/csrc/policy.h"

/* clang-format off */
extern const evi_ops evi_lru;
extern const evi_ops evi_fifo;
extern const evi_ops evi_clock;
extern const evi_ops evi_sieve;
extern const evi_ops evi_arc;
extern const evi_ops evi_s3fifo;
extern const evi_ops evi_slru4;
extern const evi_ops evi_slru;
extern const evi_ops evi_2q;
extern const evi_ops evi_lfu;
extern const evi_ops evi_lirs;
extern const evi_ops evi_wtinylfu;
extern const evi_ops evi_tinylfu;
extern const evi_ops evi_clockpro;
extern const evi_ops evi_fifo_reinsertion;
extern const evi_ops evi_mru;
extern const evi_ops evi_random;
extern const evi_ops evi_lfuda;
extern const evi_ops evi_gdsf;
extern const evi_ops evi_lruk;
extern const evi_ops evi_clockpro_plus;
extern const evi_ops evi_hyperbolic;
extern const evi_ops evi_lecar;
extern const evi_ops evi_cacheus;
extern const evi_ops evi_lirs2;
extern const evi_ops evi_lhd;
extern const evi_ops evi_frd;
extern const evi_ops evi_car;
extern const evi_ops evi_cart;
extern const evi_ops evi_mq;
extern const evi_ops evi_qdlp;
extern const evi_ops evi_clock2qplus;
/* clang-format on */

/* cdef:begin */
const evi_ops *evi_find(const char *name); /* NULL: no such kind */
/* The create of TinyLFU admission in front of any policy (tinylfu.c): an ops table like evi_tinylfu whose create calls it. */
void *evi_tinylfu_over(const evi_ops *inner, const evi_config *config);
/* cdef:end */
#endif
