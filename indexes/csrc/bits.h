/* bits.h: counting and finding set bits in arrays of little-endian 64-bit words, and a directory that makes it O(1).
 *
 *    rank sample i = set bits before bit 512 i (u32)          select sample i = place of set bit i * every (u32)
 *
 * Inlined, so that a caller compiled for popcnt gets the instruction. Ownership: the caller's bytes, whose bounds it checked. Threads: pure.
 */
#ifndef IDX_BITS_H
#define IDX_BITS_H
#include "indexes/csrc/bytes.h"

#if defined(__x86_64__)
#define IDX_HAS_FAST 1
#define IDX_FAST __attribute__((target("popcnt,bmi")))
#define idx_is_fast() (__builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi"))
#endif

enum { IDX_RANK_EVERY = 512 };

IDX_INLINE uint32_t idx_popcount(uint64_t w) { return (uint32_t)__builtin_popcountll(w); }
IDX_INLINE int idx_bit(const uint8_t *words, size_t i) { return words[i / 8] >> i % 8 & 1; }
IDX_INLINE uint64_t idx_word(const uint8_t *words, size_t i) { return idx_load64(words + 8 * i); }

/* Set bits before bit i. */
IDX_INLINE uint32_t idx_rank(const uint8_t *words, const uint8_t *samples, size_t i) {
    uint32_t r = idx_load32(samples + i / IDX_RANK_EVERY * 4);
    for (size_t w = i / IDX_RANK_EVERY * 8; w < i / 64; w++) r += idx_popcount(idx_word(words, w));
    return i % 64 ? r + idx_popcount(idx_word(words, i / 64) << (64 - i % 64)) : r;
}

/* Place of set bit k (from 0) of a word that has more than k. */
IDX_INLINE uint32_t idx_select_word(uint64_t w, uint32_t k) {
    const uint64_t ones = UINT64_C(0x0101010101010101), low7 = UINT64_C(0x7f7f7f7f7f7f7f7f);
    uint64_t s = w - (w >> 1 & UINT64_C(0x5555555555555555)); /* bits of each byte, then of it and those before */
    s = (s & UINT64_C(0x3333333333333333)) + (s >> 2 & UINT64_C(0x3333333333333333));
    s = ((s + (s >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f)) * ones;
    /* the top bit of each byte whose running count is at most k */
    const uint64_t below = (((k * ones) | ~low7) - s) & ~low7;
    const uint32_t byte = idx_popcount(below) * 8;
    uint64_t rest = (w >> byte) & 255;
    for (k -= (uint32_t)((s << 8) >> byte & 255); k; k--) rest &= rest - 1;
    return byte + (uint32_t)__builtin_ctzll(rest);
}

/* Place of set bit k (from 0), with a sample for every `every` set bits; there are more than k. */
IDX_INLINE uint32_t idx_select(const uint8_t *words, const uint8_t *samples, uint32_t every, uint32_t k) {
    const uint32_t from = idx_load32(samples + k / every * 4);
    uint32_t left = k % every, here;
    size_t w = from / 64;
    uint64_t word = idx_word(words, w) >> from % 64 << from % 64;
    while ((here = idx_popcount(word)) <= left) {
        left -= here;
        word = idx_word(words, ++w);
    }
    return (uint32_t)(w * 64) + idx_select_word(word, left);
}

/* The first set bit at i or behind it, else end. */
IDX_INLINE uint32_t idx_next_bit(const uint8_t *words, uint32_t i, uint32_t end) {
    if (i >= end) return end;
    size_t w = i / 64;
    uint64_t word = idx_word(words, w) >> i % 64 << i % 64;
    while (!word) {
        if (++w * 64 >= end) return end;
        word = idx_word(words, w);
    }
    const uint32_t at = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(word);
    return at < end ? at : end;
}
#endif
