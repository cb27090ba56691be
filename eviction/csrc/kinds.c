#include "eviction/csrc/kinds.h"
#include <string.h>

const evi_ops *evi_find(const char *name) {
    /* clang-format off */
    static const evi_ops *const all[] = {
        &evi_lru,
        &evi_fifo,
        &evi_clock,
        &evi_sieve,
        &evi_arc,
        &evi_s3fifo,
        &evi_slru4,
        &evi_slru,
        &evi_2q,
        &evi_lfu,
        &evi_lirs,
        &evi_wtinylfu,
        &evi_tinylfu,
        &evi_clockpro,
        &evi_fifo_reinsertion,
        &evi_mru,
        &evi_random,
        &evi_lfuda,
        &evi_gdsf,
        &evi_lruk,
        &evi_clockpro_plus,
        &evi_hyperbolic,
        &evi_lecar,
        &evi_cacheus,
        &evi_lirs2,
        &evi_lhd,
        &evi_frd,
        &evi_car,
        &evi_cart,
        &evi_mq,
        &evi_qdlp,
        &evi_clock2qplus,
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->name, name)) return all[i];
    return NULL;
}
