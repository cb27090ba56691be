/* Bit packing with AVX2 where the machine has it, and impacts. */
#include "indexes/csrc/postings.h"
#include "indexes/csrc/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define WITH_AVX2 __attribute__((target("avx2")))
enum { SIMD_MOST = 25 }; /* bits: a number and the shift before it still fit in four bytes */
#endif

unsigned idx_bits_width(const uint32_t *v, size_t n) {
    uint32_t all = 0;
    for (size_t i = 0; i < n; i++) all |= v[i];
    return all ? 32 - (unsigned)__builtin_clz(all) : 0;
}

size_t idx_bits_size(size_t n, unsigned width) { return (n * width + 7) / 8; }

void idx_bits_pack(const uint32_t *v, size_t n, unsigned width, uint8_t *out) {
    uint64_t held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        held |= (uint64_t)v[i] << bits;
        for (bits += width; bits >= 8; bits -= 8, held >>= 8) *out++ = (uint8_t)held;
    }
    if (bits) *out = (uint8_t)held;
}

static inline uint64_t load_up_to_8(const uint8_t *p, size_t have) {
    if (have >= 8) return idx_load64(p);
    uint64_t v = 0;
    for (size_t i = 0; i < have; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void unpack_from(const uint8_t *in, size_t have, size_t from, size_t n, unsigned width, uint32_t *out) {
    const uint64_t mask = ((uint64_t)1 << width) - 1;
    for (size_t i = from; i < n; i++) {
        const size_t bit = i * width, byte = bit / 8;
        out[i] = (uint32_t)(load_up_to_8(in + byte, have - byte) >> bit % 8 & mask);
    }
}

void idx_bits_unpack_portable(const uint8_t *in, size_t have, size_t n, unsigned width, uint32_t *out) {
    if (width == 0)
        memset(out, 0, n * sizeof *out);
    else
        unpack_from(in, have, 0, n, width, out);
}

uint32_t idx_gaps_sum_portable(uint32_t *v, size_t n, uint32_t previous) {
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        previous += v[i] + 1;
        v[i] = previous;
        if (previous > largest) largest = previous;
    }
    return largest;
}

#ifdef WITH_AVX2
/* Lane i of eight holds the four bytes that start at bit i * width, shifted right by (i * width) % 8. Lanes 0-3 come from the sixteen
 * bytes at the group's start, lanes 4-7 from those at byte 4 * width / 8. */
WITH_AVX2 static size_t unpack_avx2(const uint8_t *in, size_t have, size_t n, unsigned width, uint32_t *out) {
    uint8_t order[32];
    uint32_t shifts[8];
    const unsigned half = 4 * width / 8;
    for (unsigned lane = 0; lane < 8; lane++) {
        const unsigned byte = lane * width / 8 - (lane < 4 ? 0 : half);
        for (unsigned i = 0; i < 4; i++) order[lane * 4 + i] = (uint8_t)(byte + i);
        shifts[lane] = lane * width % 8;
    }
    const __m256i shuffle = _mm256_loadu_si256((const __m256i *)order), shift = _mm256_loadu_si256((const __m256i *)shifts);
    const __m256i mask = _mm256_set1_epi32((int)(((uint32_t)1 << width) - 1));
    size_t i = 0;
    for (const uint8_t *p = in; i < n && (size_t)(p - in) + half + 16 <= have; i += 8, p += width) {
        const __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                                                      _mm_loadu_si128((const __m128i *)(p + half)), 1);
        const __m256i lanes = _mm256_srlv_epi32(_mm256_shuffle_epi8(bytes, shuffle), shift);
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_and_si256(lanes, mask));
    }
    return i < n ? i : n;
}

WITH_AVX2 static uint32_t gaps_sum_avx2(uint32_t *v, size_t n, uint32_t previous) {
    const __m256i one = _mm256_set1_epi32(1), last = _mm256_set1_epi32(7), third = _mm256_set1_epi32(3);
    __m256i before = _mm256_set1_epi32((int)previous), largest = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i x = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(v + i)), one);
        x = _mm256_add_epi32(x, _mm256_slli_si256(x, 4));
        x = _mm256_add_epi32(x, _mm256_slli_si256(x, 8)); /* sums within each half */
        const __m256i low = _mm256_permutevar8x32_epi32(x, third);
        x = _mm256_add_epi32(x, _mm256_blend_epi32(_mm256_setzero_si256(), low, 0xf0));
        x = _mm256_add_epi32(x, before);
        largest = _mm256_max_epu32(largest, x);
        _mm256_storeu_si256((__m256i *)(v + i), x);
        before = _mm256_permutevar8x32_epi32(x, last);
    }
    uint32_t lanes[8], most = 0;
    _mm256_storeu_si256((__m256i *)lanes, largest);
    for (int lane = 0; lane < 8; lane++)
        if (lanes[lane] > most) most = lanes[lane];
    const uint32_t rest = idx_gaps_sum_portable(v + i, n - i, (uint32_t)_mm256_extract_epi32(before, 0));
    return rest > most ? rest : most;
}
#endif

void idx_bits_unpack(const uint8_t *in, size_t have, size_t n, unsigned width, uint32_t *out) {
#ifdef WITH_AVX2
    /* uncovered (machine): a processor without these instructions */
    if (width && width <= SIMD_MOST && n >= 8 && __builtin_cpu_supports("avx2")) {
        const size_t done = unpack_avx2(in, have, n, width, out);
        unpack_from(in, have, done, n, width, out);
        return;
    }
#endif
    idx_bits_unpack_portable(in, have, n, width, out);
}

uint32_t idx_gaps_sum(uint32_t *v, size_t n, uint32_t previous) {
#ifdef WITH_AVX2
    /* uncovered (machine): a processor without these instructions */
    if (n >= 16 && __builtin_cpu_supports("avx2")) return gaps_sum_avx2(v, n, previous);
#endif
    return idx_gaps_sum_portable(v, n, previous);
}

uint8_t idx_impact_code(uint32_t v) {
    if (v < 16) return (uint8_t)v;
    const unsigned top = 31 - (unsigned)__builtin_clz(v);
    return (uint8_t)(16 + (top - 4) * 8 + (v >> (top - 3) & 7));
}

uint32_t idx_impact_value(uint8_t code) {
    if (code < 16) return code;
    const unsigned top = (code - 16u) / 8 + 4;
    return top < 32 ? (uint32_t)(8 + (code & 7)) << (top - 3) : UINT32_MAX;
}

static uint8_t code_above(uint32_t v) {
    const uint8_t code = idx_impact_code(v);
    return idx_impact_value(code) < v ? code + 1 : code;
}

void idx_impacts(const uint32_t *frequencies, const uint32_t *lengths, size_t n, uint16_t out[IDX_IMPACTS]) {
    uint32_t shortest[256]; /* by frequency code; UINT32_MAX where no posting has it */
    uint8_t most = 0;
    memset(out, 0, IDX_IMPACTS * sizeof *out);
    memset(shortest, 0xff, sizeof shortest);
    for (size_t i = 0; i < n; i++) {
        const uint8_t code = code_above(frequencies[i]);
        if (code > most) most = code;
        if (lengths[i] < shortest[code]) shortest[code] = lengths[i];
    }
    unsigned found = 0;
    int least = 256;
    for (int code = most; code > 0; code--) {
        if (shortest[code] == UINT32_MAX) continue;
        const int length = idx_impact_code(shortest[code]);
        if (length >= least) continue;
        least = length;
        if (found < IDX_IMPACTS)
            out[found++] = (uint16_t)(code | length << 8);
        else
            out[IDX_IMPACTS - 1] = (uint16_t)((out[IDX_IMPACTS - 1] & 0xff) | length << 8);
    }
}
