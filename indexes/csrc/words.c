#include "indexes/csrc/words.h"
#if defined(__x86_64__) && !defined(WORDS_PORTABLE)
#define X86
#include <immintrin.h>
#ifdef WORDS_NO_AVX512 /* for tests of the other ways, as WORDS_PORTABLE */
#define HAS_AVX512 0
#else
#define HAS_AVX512 (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw"))
#endif
#define SSE42 __attribute__((target("sse4.2,popcnt")))
#define AVX2 __attribute__((target("avx2,popcnt")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vpopcntdq,popcnt")))
#endif

static inline uint64_t combine_word(setop op, uint64_t x, uint64_t y) {
    switch (op) {
    case SET_AND:
        return x & y;
    case SET_OR:
        return x | y;
    case SET_XOR:
        return x ^ y;
    default:
        return x & ~y;
    }
}

static uint32_t combine_portable(setop op, word *dst, const word *a, const word *b) {
    uint32_t count = 0;
    for (int i = 0; i < WORDS; i++) {
        const uint64_t v = combine_word(op, a[i], b[i]);
        if (dst) dst[i] = v;
        count += (uint32_t)__builtin_popcountll(v);
    }
    return count;
}

#ifdef X86
AVX512 static inline __m512i combine_512(setop op, __m512i x, __m512i y) {
    switch (op) {
    case SET_AND:
        return _mm512_and_si512(x, y);
    case SET_OR:
        return _mm512_or_si512(x, y);
    case SET_XOR:
        return _mm512_xor_si512(x, y);
    default:
        return _mm512_andnot_si512(y, x);
    }
}

AVX512 IDX_INLINE uint32_t loop_512(setop op, word *dst, const word *a, const word *b) {
    __m512i count = _mm512_setzero_si512(), more = count;
    for (int i = 0; i < WORDS; i += 16) {
        const __m512i v = combine_512(op, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
        const __m512i w = combine_512(op, _mm512_loadu_si512(a + i + 8), _mm512_loadu_si512(b + i + 8));
        if (dst) _mm512_storeu_si512(dst + i, v), _mm512_storeu_si512(dst + i + 8, w);
        count = _mm512_add_epi64(count, _mm512_popcnt_epi64(v));
        more = _mm512_add_epi64(more, _mm512_popcnt_epi64(w));
    }
    return (uint32_t)_mm512_reduce_add_epi64(_mm512_add_epi64(count, more));
}

AVX512 static uint32_t combine_avx512(setop op, word *dst, const word *a, const word *b) {
    switch (op) { /* constants reach the loop */
    case SET_AND:
        return dst ? loop_512(SET_AND, dst, a, b) : loop_512(SET_AND, NULL, a, b);
    case SET_OR:
        return dst ? loop_512(SET_OR, dst, a, b) : loop_512(SET_OR, NULL, a, b);
    case SET_XOR:
        return dst ? loop_512(SET_XOR, dst, a, b) : loop_512(SET_XOR, NULL, a, b);
    default:
        return dst ? loop_512(SET_ANDNOT, dst, a, b) : loop_512(SET_ANDNOT, NULL, a, b);
    }
}

AVX2 static inline __m256i combine_256(setop op, __m256i x, __m256i y) {
    switch (op) {
    case SET_AND:
        return _mm256_and_si256(x, y);
    case SET_OR:
        return _mm256_or_si256(x, y);
    case SET_XOR:
        return _mm256_xor_si256(x, y);
    default:
        return _mm256_andnot_si256(y, x);
    }
}

/* Nibbles looked up with a byte shuffle. */
AVX2 static inline __m256i bytes_set(__m256i v) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(v, nibble)),
                           _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble)));
}

AVX2 IDX_INLINE uint32_t loop_256(setop op, word *dst, const word *a, const word *b) {
    __m256i count = _mm256_setzero_si256();
    for (int i = 0; i < WORDS; i += 16) {
        __m256i bytes = _mm256_setzero_si256();
        for (int j = i; j < i + 16; j += 4) {
            const __m256i v =
                combine_256(op, _mm256_loadu_si256((const __m256i_u *)(a + j)), _mm256_loadu_si256((const __m256i_u *)(b + j)));
            if (dst) _mm256_storeu_si256((__m256i_u *)(dst + j), v);
            bytes = _mm256_add_epi8(bytes, bytes_set(v));
        }
        count = _mm256_add_epi64(count, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    }
    return (uint32_t)(_mm256_extract_epi64(count, 0) + _mm256_extract_epi64(count, 1) + _mm256_extract_epi64(count, 2) +
                      _mm256_extract_epi64(count, 3));
}

AVX2 static uint32_t combine_avx2(setop op, word *dst, const word *a, const word *b) {
    switch (op) {
    case SET_AND:
        return dst ? loop_256(SET_AND, dst, a, b) : loop_256(SET_AND, NULL, a, b);
    case SET_OR:
        return dst ? loop_256(SET_OR, dst, a, b) : loop_256(SET_OR, NULL, a, b);
    case SET_XOR:
        return dst ? loop_256(SET_XOR, dst, a, b) : loop_256(SET_XOR, NULL, a, b);
    default:
        return dst ? loop_256(SET_ANDNOT, dst, a, b) : loop_256(SET_ANDNOT, NULL, a, b);
    }
}
#endif

uint32_t words_combine(setop op, word *dst, const word *a, const word *b) {
#ifdef X86
    /* uncovered 2 (machine): a processor without these instructions */
    if (HAS_AVX512) return combine_avx512(op, dst, a, b);
    /* uncovered (machine): a processor without these instructions */
    if (__builtin_cpu_supports("avx2")) return combine_avx2(op, dst, a, b);
#endif
    return combine_portable(op, dst, a, b);
}

/* Eight words at a time: a register of AVX-512, two of AVX2, four of SSE2; the compiler does what the function's target allows. */
typedef uint64_t lane __attribute__((vector_size(64), aligned(1), may_alias));

IDX_INLINE void fold(setop op, word *dst, const word *const *src, size_t n) {
    for (int i = 0; i < WORDS; i += 16) {
        lane x = *(const lane *)(src[0] + i), y = *(const lane *)(src[0] + i + 8);
        for (size_t s = 1; s < n; s++) {
            if (op == SET_AND)
                x &= *(const lane *)(src[s] + i), y &= *(const lane *)(src[s] + i + 8);
            else
                x |= *(const lane *)(src[s] + i), y |= *(const lane *)(src[s] + i + 8);
        }
        *(lane *)(dst + i) = x, *(lane *)(dst + i + 8) = y;
    }
}

IDX_INLINE uint64_t and_live(const word *const *src, size_t n) {
    uint64_t live = 0;
    for (int i = 0; i < WORDS; i += 16) {
        lane x = *(const lane *)(src[0] + i), y = *(const lane *)(src[0] + i + 8);
        for (size_t s = 1; s < n; s++) x &= *(const lane *)(src[s] + i), y &= *(const lane *)(src[s] + i + 8);
        const lane any = x | y;
        live |= (uint64_t)((any[0] | any[1] | any[2] | any[3] | any[4] | any[5] | any[6] | any[7]) != 0) << (i / 16);
    }
    return live;
}

#ifdef X86
AVX512 IDX_INLINE uint32_t fold_avx512(setop op, word *dst, const word *const *src, size_t n) {
    __m512i count = _mm512_setzero_si512(), more = count;
    for (int i = 0; i < WORDS; i += 16) {
        __m512i x = _mm512_loadu_si512(src[0] + i), y = _mm512_loadu_si512(src[0] + i + 8);
        for (size_t s = 1; s < n; s++) {
            x = combine_512(op, x, _mm512_loadu_si512(src[s] + i));
            y = combine_512(op, y, _mm512_loadu_si512(src[s] + i + 8));
        }
        _mm512_storeu_si512(dst + i, x), _mm512_storeu_si512(dst + i + 8, y);
        count = _mm512_add_epi64(count, _mm512_popcnt_epi64(x));
        more = _mm512_add_epi64(more, _mm512_popcnt_epi64(y));
    }
    return (uint32_t)_mm512_reduce_add_epi64(_mm512_add_epi64(count, more));
}

AVX512 IDX_INLINE uint64_t live_avx512(const word *const *src, size_t n) {
    uint64_t live = 0;
    for (int i = 0; i < WORDS; i += 16) {
        __m512i x = _mm512_loadu_si512(src[0] + i), y = _mm512_loadu_si512(src[0] + i + 8);
        for (size_t s = 1; s < n; s++) {
            x = _mm512_and_si512(x, _mm512_loadu_si512(src[s] + i));
            y = _mm512_and_si512(y, _mm512_loadu_si512(src[s] + i + 8));
        }
        const __m512i any = _mm512_or_si512(x, y);
        live |= (uint64_t)(_mm512_test_epi64_mask(any, any) != 0) << (i / 16);
    }
    return live;
}

AVX512 static uint32_t fold_of_avx512(setop op, word *dst, const word *const *src, size_t n) { /* constants reach the loops */
    if (op == SET_AND) return n == 2 ? fold_avx512(SET_AND, dst, src, 2) : fold_avx512(SET_AND, dst, src, n);
    return n == 2 ? fold_avx512(SET_OR, dst, src, 2) : fold_avx512(SET_OR, dst, src, n);
}

AVX512 static uint64_t live_of_avx512(const word *const *src, size_t n) { return n == 2 ? live_avx512(src, 2) : live_avx512(src, n); }

AVX2 static void fold_avx2(setop op, word *dst, const word *const *src, size_t n) {
    op == SET_AND ? fold(SET_AND, dst, src, n) : fold(SET_OR, dst, src, n);
}

AVX2 static uint64_t live_avx2(const word *const *src, size_t n) { return and_live(src, n); }
#endif

uint32_t words_fold(setop op, word *dst, const word *const *src, size_t n) {
#ifdef X86
    /* uncovered 2 (machine): a processor without these instructions */
    if (HAS_AVX512) return fold_of_avx512(op, dst, src, n);
    /* uncovered (machine): a processor without these instructions */
    if (__builtin_cpu_supports("avx2")) {
        fold_avx2(op, dst, src, n);
        return words_count(dst);
    }
#endif
    fold(op, dst, src, n);
    return words_count(dst);
}

uint64_t words_and_live(const word *const *src, size_t n) {
#ifdef X86
    /* uncovered 2 (machine): a processor without these instructions */
    if (HAS_AVX512) return live_of_avx512(src, n);
    /* uncovered (machine): a processor without these instructions */
    if (__builtin_cpu_supports("avx2")) return live_avx2(src, n);
#endif
    return and_live(src, n);
}

uint32_t words_and_list(const word *const *src, size_t n, uint64_t live, low *out, uint32_t most) {
    uint32_t count = 0;
    for (; live; live &= live - 1) {
        const uint32_t from = 16 * (uint32_t)__builtin_ctzll(live);
        for (uint32_t i = from; i < from + 16 && count <= most; i++) {
            uint64_t v = src[0][i];
            for (size_t s = 1; s < n; s++) v &= src[s][i];
            for (; v; v &= v - 1) out[count++] = (uint16_t)(i << 6 | (uint32_t)__builtin_ctzll(v));
        }
    }
    return count;
}

uint32_t words_count(const word *a) { return words_combine(SET_AND, NULL, a, a); }

uint32_t words_runs(const word *a) {
    uint32_t runs = 0;
    uint64_t carry = 0; /* the last bit of the word before */
    for (int i = 0; i < WORDS; i++) {
        const uint64_t v = a[i];
        runs += (uint32_t)__builtin_popcountll(v & ~(v << 1 | carry));
        carry = v >> 63;
    }
    return runs;
}

/* Words that are not 0, and where they are: a pass without branches on the data, so that sparse words cost little. */
static uint32_t nonzero_portable(const word *a, uint64_t *values, uint16_t *places) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        values[n] = a[i], places[n] = (uint16_t)(i << 6);
        n += a[i] != 0;
    }
    return n;
}

#ifdef X86
AVX512 static uint32_t nonzero_avx512(const word *a, uint64_t *values, uint16_t *places) {
    const __m512i step = _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448);
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORDS; i += 8) {
        const __m512i v = _mm512_loadu_si512(a + i);
        const __mmask8 mask = _mm512_test_epi64_mask(v, v);
        _mm512_storeu_si512(values + n, _mm512_maskz_compress_epi64(mask, v));
        const __m512i at = _mm512_maskz_compress_epi64(mask, _mm512_add_epi64(step, _mm512_set1_epi64((long long)i << 6)));
        _mm512_mask_cvtepi64_storeu_epi16(places + n, 255, at);
        n += (uint32_t)__builtin_popcount(mask);
    }
    return n;
}
#endif

static uint32_t nonzero(const word *a, uint64_t *values, uint16_t *places) {
#ifdef X86
    /* uncovered 2 (machine): a processor without these instructions */
    if (HAS_AVX512) return nonzero_avx512(a, values, places);
#endif
    return nonzero_portable(a, values, places);
}

uint32_t words_list(const word *a, low *out) {
    uint64_t values[WORDS + 8]; /* room for a whole register past the last */
    uint16_t places[WORDS + 8];
    const uint32_t m = nonzero(a, values, places);
    uint32_t n = 0;
    for (uint32_t i = 0; i < m; i++) {
        uint64_t v = values[i];
        do out[n++] = (uint16_t)(places[i] | (uint32_t)__builtin_ctzll(v));
        while (v &= v - 1);
    }
    return n;
}

uint32_t words_rows(const word *a, uint64_t base, uint64_t *out) {
    uint64_t values[WORDS + 8];
    uint16_t places[WORDS + 8];
    const uint32_t m = nonzero(a, values, places);
    uint32_t n = 0;
    for (uint32_t i = 0; i < m; i++) {
        uint64_t v = values[i];
        do out[n++] = base + (places[i] | (uint32_t)__builtin_ctzll(v));
        while (v &= v - 1);
    }
    return n;
}

void words_range(setop op, word *a, uint32_t first, uint32_t last) {
    for (uint32_t i = first >> 6; i <= last >> 6; i++) {
        uint64_t mask = ~UINT64_C(0);
        if (i == first >> 6) mask &= ~UINT64_C(0) << (first & 63);
        if (i == last >> 6) mask &= ~UINT64_C(0) >> (63 - (last & 63));
        a[i] = combine_word(op, a[i], mask);
    }
}

typedef uint32_t half __attribute__((may_alias)); /* of a word: fewer neighbours in a list share one */

/* Four stretches of a sorted list at once: a store into a half seldom waits for the one before. */
IDX_INLINE void set_bits(half *halves, const low *list, uint32_t n) {
    const uint32_t quarter = n / 4;
    const low *second = list + quarter, *third = second + quarter, *fourth = third + quarter;
    for (uint32_t i = 0; i < quarter; i++) {
        halves[list[i] >> 5] |= 1u << (list[i] & 31);
        halves[second[i] >> 5] |= 1u << (second[i] & 31);
        halves[third[i] >> 5] |= 1u << (third[i] & 31);
        halves[fourth[i] >> 5] |= 1u << (fourth[i] & 31);
    }
    for (uint32_t i = 4 * quarter; i < n; i++) halves[list[i] >> 5] |= 1u << (list[i] & 31);
}

#ifdef X86
__attribute__((target("bmi2"))) static void set_bits_bmi2(half *halves, const low *list, uint32_t n) { set_bits(halves, list, n); }
#endif

static void set_list(word *a, const low *list, uint32_t n) {
#ifdef X86
    /* uncovered (machine): a processor without these instructions */
    if (__builtin_cpu_supports("bmi2")) {
        set_bits_bmi2((half *)a, list, n);
        return;
    }
#endif
    set_bits((half *)a, list, n);
}

void words_apply_list(setop op, word *a, const low *list, uint32_t n) {
    uint8_t *bytes = (uint8_t *)a; /* neighbours in a list seldom share a byte: fewer stores wait for the one before than with words */
    if (op == SET_OR)
        set_list(a, list, n);
    else if (op == SET_XOR)
        for (uint32_t i = 0; i < n; i++) bytes[list[i] >> 3] ^= (uint8_t)(1u << (list[i] & 7));
    else
        for (uint32_t i = 0; i < n; i++) bytes[list[i] >> 3] &= (uint8_t)~(1u << (list[i] & 7));
}

uint32_t list_seek(const low *list, uint32_t n, uint32_t from, uint32_t x) {
    uint32_t step = 1, at = from;
    while (at < n && list[at] < x) { /* all before `from` are smaller */
        from = at + 1;
        at = n - at > step ? at + step : n;
        step *= 2;
    }
    while (from < at) {
        const uint32_t mid = (from + at) / 2;
        if (list[mid] < x)
            from = mid + 1;
        else
            at = mid;
    }
    return from;
}

static uint32_t and_galloping(low *out, const low *few, uint32_t n, const low *many, uint32_t m) {
    uint32_t count = 0, at = 0;
    for (uint32_t i = 0; i < n && at < m; i++) {
        const uint16_t x = few[i];
        at = list_seek(many, m, at, x);
        if (at < m && many[at] == x) {
            if (out) out[count] = x;
            count++;
        }
    }
    return count;
}

static uint32_t and_merging(low *out, uint32_t count, const low *a, uint32_t na, const low *b, uint32_t nb) {
    for (uint32_t i = 0, j = 0; i < na && j < nb;) {
        const uint16_t x = a[i], y = b[j];
        if (x == y) {
            if (out) out[count] = x;
            count++;
        }
        i += x <= y;
        j += y <= x;
    }
    return count;
}

#ifdef X86
/* Which of the eight at x are among the eight at y, by an instruction to which a zero is the end of a string. */
SSE42 IDX_INLINE uint32_t among(const low *x, const low *y) {
    const __m128i a = _mm_loadu_si128((const __m128i_u *)x), b = _mm_loadu_si128((const __m128i_u *)y);
    return (uint32_t)_mm_cvtsi128_si32(_mm_cmpistrm(b, a, _SIDD_UWORD_OPS | _SIDD_CMP_EQUAL_ANY | _SIDD_BIT_MASK));
}

/* Up to eight numbers from p on, which may be the last of a page: what is behind them does not count. */
SSE42 static inline __attribute__((no_sanitize("address"))) __m128i eight(const low *p, uint32_t n) {
    if (n >= 8 || ((uintptr_t)p & 4095) <= 4096 - 16) return _mm_loadu_si128((const __m128i_u *)p);
    low room[8] = {0};
    memcpy(room, p, 2 * (size_t)n);
    return _mm_loadu_si128((const __m128i_u *)room);
}

/* What is left of two lists, by the same instruction with lengths: slower, but there is little of it. */
SSE42 static uint32_t meet_rest(low *out, uint32_t count, const low *a, uint32_t na, const low *b, uint32_t nb) {
    while (na && nb) {
        const uint32_t n = na < 8 ? na : 8, m = nb < 8 ? nb : 8;
        const __m128i found =
            _mm_cmpestrm(eight(b, nb), (int)m, eight(a, na), (int)n, _SIDD_UWORD_OPS | _SIDD_CMP_EQUAL_ANY | _SIDD_BIT_MASK);
        uint32_t mask = (uint32_t)_mm_cvtsi128_si32(found);
        if (!out) count += (uint32_t)__builtin_popcount(mask);
        for (; out && mask; mask &= mask - 1) out[count++] = a[__builtin_ctz(mask)];
        const uint16_t x = a[n - 1], y = b[m - 1];
        const uint32_t by = x <= y ? n : 0, over = y <= x ? m : 0;
        a += by, na -= by, b += over, nb -= over;
    }
    return count;
}

/* 8 when x <= y, which nobody can guess: without the hint the compiler may make it a branch. */
IDX_INLINE size_t past(uint16_t x, uint16_t y) { return (size_t)__builtin_expect_with_probability(x <= y, 1, 0.5) << 3; }

/* Eight against eight from both ends towards the middle: a step has to wait for the one before, so two ways side by side are quicker.
 * Steps without branches, which would be guessed wrong every other time. No zeros; out has room for na. */
SSE42 IDX_INLINE uint32_t meet(low *out, const low *a, uint32_t na, const low *b, uint32_t nb, int counts) {
    uint32_t count = 0, late = na; /* hits from the back are at out[late..na) */
    const low *a_end = a + na, *b_end = b + nb;
    while (a_end - a >= 16 && b_end - b >= 16) {
        uint32_t front = among(a, b), back = among(a_end - 8, b_end - 8);
        if (counts) {
            count += (uint32_t)__builtin_popcount(front | back << 8);
        } else {
            for (; front; front &= front - 1) out[count++] = a[__builtin_ctz(front)];
            for (; back; back &= ~(1u << (31 - __builtin_clz(back)))) out[--late] = a_end[23 - __builtin_clz(back)];
        }
        const uint16_t x = a[7], y = b[7], u = a_end[-8], v = b_end[-8];
        a += past(x, y), b += past(y, x);
        a_end -= past(v, u), b_end -= past(u, v);
    }
    while (a_end - a >= 8 && b_end - b >= 8) {
        uint32_t front = among(a, b);
        if (counts) count += (uint32_t)__builtin_popcount(front);
        for (; !counts && front; front &= front - 1) out[count++] = a[__builtin_ctz(front)];
        const uint16_t x = a[7], y = b[7];
        a += past(x, y), b += past(y, x);
    }
    count = meet_rest(out, count, a, (uint32_t)(a_end - a), b, (uint32_t)(b_end - b));
    if (!counts) memmove(out + count, out + late, 2 * (size_t)(na - late));
    return count + (na - late);
}

SSE42 static uint32_t and_sse42(low *out, const low *a, uint32_t na, const low *b, uint32_t nb) {
    if (na < 16 && nb < 16) return meet_rest(out, 0, a, na, b, nb);
    const uint32_t x = a[0] == 0, y = b[0] == 0, both = x & y; /* only the first can be zero */
    if (both && out) *out++ = 0;
    a += x, na -= x, b += y, nb -= y;
    return both + (out ? meet(out, a, na, b, nb, 0) : meet(NULL, a, na, b, nb, 1));
}
#endif

uint32_t list_and(low *out, const low *a, uint32_t na, const low *b, uint32_t nb) {
    if (na > nb / 32 && nb > na / 32) {
#ifdef X86
        /* uncovered (machine): a processor without these instructions */
        if (__builtin_cpu_supports("sse4.2")) return na < nb ? and_sse42(out, a, na, b, nb) : and_sse42(out, b, nb, a, na);
#endif
        return and_merging(out, 0, a, na, b, nb);
    }
    return na < nb ? and_galloping(out, a, na, b, nb) : and_galloping(out, b, nb, a, na);
}
