/* Kernels over the 16 entries of a node: in C, and four at a time with AVX2. Both give the same bits: no step is reordered or fused. */
#include "indexes/csrc/rtree_node.h"
#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

int rt_read_box(int dims, const double *numbers, int finite, rt_box *out) {
    for (int a = 0; a < dims; a++) {
        const double lo = numbers[a], hi = numbers[dims + a];
        if (isnan(lo) || isnan(hi)) return IDX_RTREE_NAN;
        if (lo > hi) return IDX_RTREE_INVERTED;
        if (finite && (isinf(lo) || isinf(hi))) return IDX_RTREE_INFINITE;
        out->lo[a] = lo, out->hi[a] = hi;
    }
    return 0;
}

static uint32_t mask_portable(const uint8_t *first, const uint8_t *second, int dims, const double *most, const double *least) {
    uint32_t all = (1u << RT_FAN) - 1;
    for (int a = 0; a < dims; a++) {
        uint32_t here = 0;
        for (unsigned i = 0; i < RT_FAN; i++) {
            const uint32_t fits = rt_load(first + a * RT_COLUMN + 8 * i) <= most[a] && rt_load(second + a * RT_COLUMN + 8 * i) >= least[a];
            here |= fits << i;
        }
        all &= here;
    }
    return all;
}

/* The greater, or the second when one is not a number (infinity less infinity: the boxes touch), as maxpd has it. */
static inline double greater(double a, double b) { return a > b ? a : b; }

static void gaps_portable(const uint8_t *lo, const uint8_t *hi, int dims, const rt_box *box, double *out) {
    for (unsigned i = 0; i < RT_FAN; i++) {
        double sum = 0;
        for (int a = 0; a < dims; a++) {
            const double below = rt_load(lo + a * RT_COLUMN + 8 * i) - box->hi[a], above = box->lo[a] - rt_load(hi + a * RT_COLUMN + 8 * i);
            const double gap = greater(greater(below, above), 0);
            sum += gap * gap;
        }
        out[i] = sum;
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint32_t mask_avx2(const uint8_t *first, const uint8_t *second, int dims, const double *most,
                                                          const double *least) {
    uint32_t all = 0;
    for (int part = 0; part < RT_FAN / 4; part++) {
        __m256d fits = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
        for (int a = 0; a < dims; a++) {
            const size_t at = (size_t)a * RT_COLUMN + (size_t)part * 32;
            const __m256d low = _mm256_loadu_pd((const double *)(first + at)), high = _mm256_loadu_pd((const double *)(second + at));
            fits = _mm256_and_pd(fits, _mm256_cmp_pd(low, _mm256_set1_pd(most[a]), _CMP_LE_OQ));
            fits = _mm256_and_pd(fits, _mm256_cmp_pd(high, _mm256_set1_pd(least[a]), _CMP_GE_OQ));
        }
        all |= (uint32_t)_mm256_movemask_pd(fits) << 4 * part;
    }
    return all;
}

__attribute__((target("avx2"))) static void gaps_avx2(const uint8_t *lo, const uint8_t *hi, int dims, const rt_box *box, double *out) {
    for (int part = 0; part < RT_FAN / 4; part++) {
        __m256d sum = _mm256_setzero_pd();
        for (int a = 0; a < dims; a++) {
            const size_t at = (size_t)a * RT_COLUMN + (size_t)part * 32;
            const __m256d below = _mm256_sub_pd(_mm256_loadu_pd((const double *)(lo + at)), _mm256_set1_pd(box->hi[a]));
            const __m256d above = _mm256_sub_pd(_mm256_set1_pd(box->lo[a]), _mm256_loadu_pd((const double *)(hi + at)));
            const __m256d gap = _mm256_max_pd(_mm256_max_pd(below, above), _mm256_setzero_pd());
            sum = _mm256_add_pd(sum, _mm256_mul_pd(gap, gap));
        }
        _mm256_storeu_pd(out + 4 * part, sum);
    }
}
#endif

rt_kernels rt_kernels_here(int portable) {
#if defined(__x86_64__)
    /* uncovered (machine): a processor without these instructions */
    if (!portable && __builtin_cpu_supports("avx2")) return (rt_kernels){mask_avx2, gaps_avx2};
#endif
    return (rt_kernels){mask_portable, gaps_portable};
}
