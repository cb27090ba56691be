#include "indexes/csrc/words.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2,popcnt")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vpopcntdq")))
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

#if defined(__x86_64__)
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

AVX512 static inline __attribute__((always_inline)) uint32_t loop_512(setop op, word *dst, const word *a, const word *b) {
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
    const __m256i table =
        _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(v, nibble)),
                           _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble)));
}

AVX2 static inline __attribute__((always_inline)) uint32_t loop_256(setop op, word *dst, const word *a, const word *b) {
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
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw")) return combine_avx512(op, dst, a, b);
    if (__builtin_cpu_supports("avx2")) return combine_avx2(op, dst, a, b);
#endif
    return combine_portable(op, dst, a, b);
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

uint32_t words_list(const word *a, low *out, uint32_t room) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORDS; i++)
        for (uint64_t v = a[i]; v; v &= v - 1) {
            if (n == room) return n;
            out[n++] = (uint16_t)(i << 6 | (uint32_t)__builtin_ctzll(v));
        }
    return n;
}

uint32_t words_rows(const word *a, uint64_t base, uint64_t *out, uint32_t room) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORDS; i++)
        for (uint64_t v = a[i]; v; v &= v - 1) {
            if (n == room) return n;
            out[n++] = base + (i << 6 | (uint32_t)__builtin_ctzll(v));
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

void words_apply_list(setop op, word *a, const low *list, uint32_t n) {
    if (op == SET_OR)
        for (uint32_t i = 0; i < n; i++) a[list[i] >> 6] |= UINT64_C(1) << (list[i] & 63);
    else if (op == SET_XOR)
        for (uint32_t i = 0; i < n; i++) a[list[i] >> 6] ^= UINT64_C(1) << (list[i] & 63);
    else
        for (uint32_t i = 0; i < n; i++) a[list[i] >> 6] &= ~(UINT64_C(1) << (list[i] & 63));
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

#if defined(__x86_64__)
/* Eight against eight: the block of b and its rotations beside each other in one register, compared in four steps. */
AVX2 static uint32_t and_avx2(low *out, const low *a, uint32_t na, const low *b, uint32_t nb) {
    uint32_t count = 0, i = 0, j = 0;
    while (i + 8 <= na && j + 8 <= nb) {
        const __m128i block = _mm_loadu_si128((const __m128i_u *)(b + j));
        const __m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)(a + i)));
        const __m256i y = _mm256_set_m128i(_mm_alignr_epi8(block, block, 8), block);
        const __m256i same = _mm256_or_si256(
            _mm256_or_si256(_mm256_cmpeq_epi16(x, y), _mm256_cmpeq_epi16(x, _mm256_alignr_epi8(y, y, 2))),
            _mm256_or_si256(_mm256_cmpeq_epi16(x, _mm256_alignr_epi8(y, y, 4)), _mm256_cmpeq_epi16(x, _mm256_alignr_epi8(y, y, 6))));
        const __m128i hit = _mm_or_si128(_mm256_castsi256_si128(same), _mm256_extracti128_si256(same, 1));
        uint32_t mask = (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(hit, _mm_setzero_si128()));
        const uint16_t last_a = a[i + 7], last_b = b[j + 7];
        if (out)
            for (; mask; mask &= mask - 1) out[count++] = a[i + (uint32_t)__builtin_ctz(mask)];
        else
            count += (uint32_t)__builtin_popcount(mask);
        i += last_a <= last_b ? 8 : 0;
        j += last_b <= last_a ? 8 : 0;
    }
    return and_merging(out, count, a + i, na - i, b + j, nb - j);
}
#endif

uint32_t list_and(low *out, const low *a, uint32_t na, const low *b, uint32_t nb) {
    if (na > nb / 32 && nb > na / 32) {
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx2")) return and_avx2(out, a, na, b, nb);
#endif
        return and_merging(out, 0, a, na, b, nb);
    }
    return na < nb ? and_galloping(out, a, na, b, nb) : and_galloping(out, b, nb, a, na);
}
