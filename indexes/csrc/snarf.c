/* snarf.c: checking, opening and asking a SNARF. */
#include "indexes/csrc/snarf.h"
#include <stdlib.h>

/* Is any place in [from, to]? */
IDX_INLINE int any_place(const idx_snarf *s, uint64_t from, uint64_t to) {
    const uint64_t high = from >> s->low_bits, low = from & (((uint64_t)1 << s->low_bits) - 1);
    uint64_t at = high ? (uint64_t)idx_select(s->end, s->end_sample, SNARF_SAMPLE, (uint32_t)(high - 1)) + 1 : 0;
    uint64_t i = at - high; /* the first place with this high part, if there is one, has this number */
    for (; !idx_bit(s->end, at); at++, i++)
        if (snarf_low(s, i) >= low) return (high << s->low_bits | snarf_low(s, i)) <= to;
    if (i == s->places) return 0;
    for (; idx_bit(s->end, at); at++) /* the next place, whatever its high part */
        if ((at - i) << s->low_bits > to) return 0;
    return ((at - i) << s->low_bits | snarf_low(s, i)) <= to;
}

/* -1, 0, 1: every key is before the bound, the bound begins as all keys do, or every key is at or behind it. */
IDX_INLINE int beside_shared(const idx_snarf *s, const uint8_t *bound, size_t n) {
    const size_t least = n < s->shared_n ? n : s->shared_n;
    const int c = least ? memcmp(s->shared, bound, least) : 0;
    if (c) return c < 0 ? -1 : 1;
    return n >= s->shared_n ? 0 : 1;
}

/* Is any key's value in [low, high]? */
IDX_INLINE int any_value(const idx_snarf *s, uint64_t low, uint64_t high) {
    const uint64_t first = idx_load64(s->knot), last = idx_load64(s->knot + 8 * (s->knots - 1));
    if (high < first || low > last) return 0;
    if (low <= first || high >= last) return 1; /* those two are keys */
    const uint64_t knot = snarf_knot(s, low), same = knot + 1 == s->knots || high < idx_load64(s->knot + 8 * (knot + 1));
    return any_place(s, snarf_spread(s, knot, low), snarf_spread(s, same ? knot : snarf_knot(s, high), high));
}

IDX_INLINE int range(const idx_snarf *s, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n) {
    const size_t least = lo_n < hi_n ? lo_n : hi_n;
    const int c = hi && least ? memcmp(lo, hi, least) : 0;
    if (!s->values || (hi && (c > 0 || (c == 0 && lo_n >= hi_n)))) return 0;
    const int from = beside_shared(s, lo, lo_n), to = hi ? beside_shared(s, hi, hi_n) : -1;
    if (from < 0 || to > 0) return 0;
    const uint64_t low = from > 0 ? 0 : snarf_value(lo, lo_n, s->shared_n);
    uint64_t high = to < 0 ? UINT64_MAX : snarf_value(hi, hi_n, s->shared_n);
    if (to == 0) { /* the least key with hi's value is that value without its last zeros: is it before hi? */
        const size_t zeros = high ? (size_t)__builtin_ctzll(high) / 8 : 8;
        if (hi_n - s->shared_n <= 8 - zeros && high-- == 0) return 0;
    }
    return any_value(s, low, high);
}

IDX_INLINE int point(const idx_snarf *s, const uint8_t *key, size_t n) {
    if (!s->values || n < s->shared_n || (s->shared_n && memcmp(key, s->shared, s->shared_n))) return 0;
    const uint64_t value = snarf_value(key, n, s->shared_n);
    return any_value(s, value, value);
}

#ifdef IDX_HAS_FAST
IDX_FAST static int fast_point(const idx_snarf *s, const uint8_t *key, size_t n) { return point(s, key, n); }
IDX_FAST static int fast_range(const idx_snarf *s, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n) {
    return range(s, lo, lo_n, hi, hi_n);
}
#endif

int idx_snarf_may_contain(const void *opened, const uint8_t *key, size_t n) {
#ifdef IDX_HAS_FAST
    /* uncovered 2 (machine): a processor without these instructions */
    if (idx_is_fast()) return fast_point(opened, key, n);
#endif
    return point(opened, key, n);
}

int idx_snarf_may_contain_range(const void *opened, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n) {
#ifdef IDX_HAS_FAST
    /* uncovered 2 (machine): a processor without these instructions */
    if (idx_is_fast()) return fast_range(opened, lo, lo_n, hi, hi_n);
#endif
    return range(opened, lo, lo_n, hi, hi_n);
}

static int read_header(const uint8_t *f, size_t len, idx_snarf *s) {
    if (len < SNARF_HEADER || f[0] != SNARF_KIND || f[1] != SNARF_VERSION || f[2] > SNARF_MOST_LOW || f[3]) return -1;
    *s = (idx_snarf){.low_bits = f[2],
                     .shared_n = idx_load32(f + 4),
                     .slots = idx_load32(f + 8),
                     .every = idx_load32(f + 12),
                     .values = idx_load64(f + 16),
                     .places = idx_load64(f + 24)};
    if (idx_load64(f + 32) || idx_load64(f + 40) || s->shared_n >> 31 || !s->slots || s->slots > SNARF_MOST_SLOTS) return -1;
    if (!s->every || s->every > SNARF_MOST_EVERY || s->values > SNARF_MOST_VALUES || s->places > s->values) return -1;
    if (!s->places != !s->values || (snarf_universe(s) >> s->low_bits) + s->places >= UINT32_MAX) return -1;
    return snarf_place(s, f) == len ? 0 : -1;
}

int idx_snarf_check(const uint8_t *filter, size_t len) {
    idx_snarf s;
    if (read_header(filter, len, &s)) return -1;
    for (uint64_t i = 1; i < s.knots; i++)
        if (idx_load64(s.knot + 8 * i) <= idx_load64(s.knot + 8 * (i - 1))) return -1;
    uint64_t ends = 0, next = 0; /* next: the number of the bit that is sampled next */
    const uint64_t bits = s.highs + s.places, words = (bits + 63) / 64;
    for (uint64_t w = 0; w < words; w++) {
        const uint64_t word = idx_word(s.end, w);
        const uint32_t n = idx_popcount(word);
        if (ends + n > s.highs) return -1;
        if (next < ends + n) {
            if (idx_load32(s.end_sample + next / SNARF_SAMPLE * 4) != w * 64 + idx_select_word(word, (uint32_t)(next - ends))) return -1;
            next += SNARF_SAMPLE;
        }
        ends += n;
    }
    if (ends != s.highs || (bits % 64 && idx_word(s.end, words - 1) >> bits % 64)) return -1;
    return !bits || idx_bit(s.end, bits - 1) ? 0 : -1;
}

void *idx_snarf_open(const uint8_t *filter, size_t len) {
    idx_snarf *s = malloc(sizeof *s);
    if (s) read_header(filter, len, s);
    return s;
}

void idx_snarf_close(void *opened) { free(opened); }
