/* snarf.h: the bytes of a SNARF, shared by building and probing.
 *
 * Vaidya, Chatterjee, Knorr, Mitzenmacher, Idreos, Kraska, "SNARF: A Learning-Enhanced Range Filter", VLDB 2022: a monotone model of the keys'
 * distribution spreads them evenly over a bitmap of `slots` places a key, of which only the set ones are kept, in an Elias-Fano code. A key
 * enters as the 8 bytes behind what all keys begin with (its value); keys that tie there are one.
 *
 *    value --spline through every `every`-th value--> place in [0, (values - 1) * slots + 2)
 *    place = high part, low bits:   ends    = a bit 1 for each high part, behind a bit 0 for each place that has it
 *                                   lows    = the low bits of each place, packed
 *
 *    header (48 bytes) | shared prefix | knots u64 * | ends | end samples | lows        each section from a multiple of 8 on; 8 zeros behind the lows
 *    header = kind u8 | version u8 | low bits u8 | zero u8 | shared length u32 | slots u32 | every u32 | values u64 | places u64 | zero u64 x 2
 *    knots  = values 0, every, 2 every ... and the last one          end sample i = place of bit 1 number 256 i (u32)
 *
 * Ownership: a view borrows the bytes. Threads: immutable.
 */
#ifndef IDX_SNARF_H
#define IDX_SNARF_H
#include "indexes/csrc/bits.h"
#include "indexes/csrc/ranges.h"

enum {
    SNARF_KIND = 0x83,
    SNARF_VERSION = 1,
    SNARF_HEADER = 48,
    SNARF_SAMPLE = 256,
    SNARF_MOST_SLOTS = 1 << 20,
    SNARF_MOST_EVERY = 1 << 16,
    SNARF_MOST_LOW = 50 /* bits */
};
#define SNARF_MOST_VALUES (UINT64_C(1) << 30)

typedef struct idx_snarf {
    uint32_t low_bits, shared_n, slots, every;
    uint64_t values, places, knots, highs; /* highs: number of high parts */
    const uint8_t *shared, *knot, *end, *end_sample, *low;
} idx_snarf;

static inline uint64_t snarf_universe(const idx_snarf *s) { return s->values ? (s->values - 1) * s->slots + 2 : 0; }

/* Sets counts that follow from others and the sections' places; returns the size of all. at may be NULL: for the size only. */
static inline size_t snarf_place(idx_snarf *s, const uint8_t *at) {
    uintptr_t p = (uintptr_t)at + SNARF_HEADER;
    s->knots = s->values ? (s->values - 1 + s->every - 1) / s->every + 1 : 0;
    s->highs = s->values ? (snarf_universe(s) >> s->low_bits) + 1 : 0;
    s->shared = (const uint8_t *)p, p += ((uintptr_t)s->shared_n + 7) & ~(uintptr_t)7;
    s->knot = (const uint8_t *)p, p += s->knots * 8;
    s->end = (const uint8_t *)p, p += (s->highs + s->places + 63) / 64 * 8;
    s->end_sample = (const uint8_t *)p, p += ((s->highs + SNARF_SAMPLE - 1) / SNARF_SAMPLE * 4 + 7) & ~(uintptr_t)7;
    s->low = (const uint8_t *)p, p += s->places ? ((s->places * s->low_bits + 7) / 8 + 7) / 8 * 8 + 8 : 0;
    return (size_t)(p - (uintptr_t)at);
}

/* The 8 bytes of a key from byte `from` on, with zeros behind its end. */
static inline uint64_t snarf_value(const uint8_t *key, size_t n, size_t from) {
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++) v = v << 8 | (from + i < n ? key[from + i] : 0);
    return v;
}

static inline uint64_t snarf_low(const idx_snarf *s, uint64_t i) {
    const uint64_t at = i * s->low_bits;
    return idx_load64(s->low + at / 8) >> at % 8 & (((uint64_t)1 << s->low_bits) - 1);
}

/* The last knot at or before the value, which is not less than the first. */
static inline uint64_t snarf_knot(const idx_snarf *s, uint64_t value) {
    uint64_t low = 0;
    for (uint64_t left = s->knots; left > 1;) {
        const uint64_t half = left / 2;
        low += (uint64_t)(idx_load64(s->knot + 8 * (low + half)) <= value) * half;
        left -= half;
    }
    return low;
}

/* The place of a value at or behind that knot; never less for a greater value. In doubles whose every step is rounded alike on all machines. */
static inline uint64_t snarf_spread(const idx_snarf *s, uint64_t knot, uint64_t value) {
    const uint64_t first = knot * s->every, from = idx_load64(s->knot + 8 * knot);
    if (knot + 1 == s->knots) return (s->values - 1) * s->slots + (value > from);
    const uint64_t next = first + s->every < s->values - 1 ? first + s->every : s->values - 1, width = (next - first) * s->slots;
    const double share = (double)(value - from) / (double)(idx_load64(s->knot + 8 * (knot + 1)) - from);
    const double steps = share * (double)width;
    return first * s->slots + (steps < (double)width ? (uint64_t)steps : width);
}

/* snarf.c: what the ops table in snarf_build.c needs */
int idx_snarf_check(const uint8_t *filter, size_t len);
void *idx_snarf_open(const uint8_t *filter, size_t len);
void idx_snarf_close(void *opened);
int idx_snarf_may_contain(const void *opened, const uint8_t *key, size_t n);
int idx_snarf_may_contain_range(const void *opened, const uint8_t *lo, size_t lo_n, const uint8_t *hi, size_t hi_n);
#endif
