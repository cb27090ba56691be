/* tombs.h: range tombstones [start, end)@seq of one memtable or table, cut at their end points for look-up.
 *
 *      a-----------------m@7          fragments:  a--f@7   f--m@9,7   m--t@9
 *           f-------------------t@9
 *
 * Ownership: add copies. Threads: add by one writer, covering and the rest by any number of readers at the same time (lists of
 * immutable parts are published atomically; replaced ones are kept until free). Invariant: covering(k, s) is the
 * largest seq <= s of a tombstone whose range holds k, 0 when there is none.
 */
#ifndef LSM_TOMBS_H
#define LSM_TOMBS_H
#include "lsm/csrc/types.h"

/* cdef:begin */
typedef struct lsm_tombs lsm_tombs;
typedef struct lsm_range {
    const uint8_t *start, *end;
    uint32_t start_len, end_len;
    uint64_t seq;
} lsm_range;

size_t lsm_tombs_count(const lsm_tombs *t); /* ranges added; cheap enough for every get */
uint64_t lsm_tombs_covering(const lsm_tombs *t, const uint8_t *key, size_t n, uint64_t snapshot);
/* The i-th range as added, i < count. */
lsm_range lsm_tombs_at(const lsm_tombs *t, size_t i);
/* cdef:end */
lsm_tombs *lsm_tombs_new(void);
void lsm_tombs_free(lsm_tombs *t);
int lsm_tombs_add(lsm_tombs *t, const uint8_t *start, size_t sn, const uint8_t *end, size_t en,
                  uint64_t seq); /* LSM_INVALID unless start < end */
#endif
