#include "indexes/csrc/bitslice.h"

/* Eight words at a time: a register of AVX-512, two of AVX2, four of SSE2; the compiler does what the function's target allows. */
typedef uint64_t lane __attribute__((vector_size(64), aligned(1), may_alias));

/* value >= low, from the lowest digit up: what the digits so far say stands unless this one differs: r = digit & r where low has a 1, digit | r
 * where it has a 0. value <= high likewise with the digits negated. Digits below the lowest 1 of low (0 of high) cannot change it. */
IDX_INLINE void between(const word *const *digit, uint32_t bits, const word *exists, uint64_t low, uint64_t high, word *dst) {
    const uint32_t from_low = low ? (uint32_t)__builtin_ctzll(low) : bits, from_high = ~high ? (uint32_t)__builtin_ctzll(~high) : bits;
    for (int w = 0; w < WORDS; w += 16) {
        const lane ones = ~(lane){0};
        lane a = ones, b = ones, c = ones, d = ones; /* a, b: >= low; c, d: <= high */
        for (uint32_t i = from_low; i < bits; i++) {
            const lane x = *(const lane *)(digit[i] + w), y = *(const lane *)(digit[i] + w + 8);
            if (low >> i & 1)
                a &= x, b &= y;
            else
                a |= x, b |= y;
        }
        for (uint32_t i = from_high; i < bits; i++) {
            const lane x = ~*(const lane *)(digit[i] + w), y = ~*(const lane *)(digit[i] + w + 8);
            if (high >> i & 1)
                c |= x, d |= y;
            else
                c &= x, d &= y;
        }
        *(lane *)(dst + w) = a & c & *(const lane *)(exists + w);
        *(lane *)(dst + w + 8) = b & d & *(const lane *)(exists + w + 8);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void between_avx512(const word *const *digit, uint32_t bits, const word *exists, uint64_t low,
                                                              uint64_t high, word *dst) {
    between(digit, bits, exists, low, high, dst);
}

__attribute__((target("avx2"))) static void between_avx2(const word *const *digit, uint32_t bits, const word *exists, uint64_t low,
                                                         uint64_t high, word *dst) {
    between(digit, bits, exists, low, high, dst);
}
#endif

uint32_t slices_between(const word *const *digit, uint32_t bits, const word *exists, uint64_t low, uint64_t high, word *dst) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) /* uncovered (machine): a processor without these instructions */
        between_avx512(digit, bits, exists, low, high, dst);
    else if (__builtin_cpu_supports("avx2")) /* uncovered 2 (machine): a processor without these instructions */
        between_avx2(digit, bits, exists, low, high, dst);
    else
#endif
        between(digit, bits, exists, low, high, dst);
    return words_count(dst);
}
