/* words.h: kernels over one container of a row set: 65,536 bits in 1024 words, and sorted lists of 16-bit numbers.
 *
 *    words   |0..63|64..127| ... |65472..65535|      bit i is bit i % 64 of word i / 64
 *    list    low[0] < low[1] < ... < low[n-1]
 *
 * Ownership: the caller's memory; a list that a function fills has the room that is said there.
 * Threads: pure. Invariants: stored words and lists may stand at any address (the types say so); AVX-512, AVX2, SSE4.2 and portable paths give the
 * same. Little-endian machines only: what is stored is worked on where it is.
 * Source: D. Lemire et al., "Roaring bitmaps: implementation of an optimized software library", SPE 48(4), 2018, sections 4.1 to 4.3;
 * W. Mula, N. Kurz, D. Lemire, "Faster population counts using AVX2 instructions", Computer Journal 61(1), 2018, section 4.
 */
#ifndef IDX_WORDS_H
#define IDX_WORDS_H
#include "indexes/csrc/bytes.h"
#include <stddef.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "row sets work on stored little-endian words where they are"
#endif

enum { WORDS = 1024, WORDS_BYTES = 8192, SPAN = 65536 };

typedef uint64_t word __attribute__((aligned(1), may_alias));
typedef uint16_t low __attribute__((aligned(1), may_alias));

typedef enum { SET_AND, SET_OR, SET_XOR, SET_ANDNOT } setop;

/* dst = a op b, and the number of its bits. dst may be a or b; NULL: count only. */
uint32_t words_combine(setop op, word *dst, const word *a, const word *b);
/* dst = src[0] op ... op src[n - 1] (n >= 1) in one pass, and the number of its bits; AND or OR. dst is none of them. */
uint32_t words_fold(setop op, word *dst, const word *const *src, size_t n);
/* Where the AND of all has bits: bit i is 0 if its words 16i..16i+15 are 0. Nothing is written. */
uint64_t words_and_live(const word *const *src, size_t n);
/* The bits of the AND of all as a list, `live` as above; past `most` it ends with more than these. out has room for most + 64. */
uint32_t words_and_list(const word *const *src, size_t n, uint64_t live, low *out, uint32_t most);
uint32_t words_count(const word *a);
/* The number of maximal runs of ones. */
uint32_t words_runs(const word *a);
/* The bits as a list, as rows (base + bit): returns how many. The caller knows that there is room. */
uint32_t words_list(const word *a, low *out);
uint32_t words_rows(const word *a, uint64_t base, uint64_t *out);
/* Set, clear or flip the bits first..last. */
void words_range(setop op, word *a, uint32_t first, uint32_t last);
/* OR sets the list's bits, XOR flips them, ANDNOT clears them. */
void words_apply_list(setop op, word *a, const low *list, uint32_t n);

/* Common numbers of two lists into out, which has room for the shorter one (NULL: count only) and is neither of them. */
uint32_t list_and(low *out, const low *a, uint32_t na, const low *b, uint32_t nb);
/* First i >= from with list[i] >= x; n when there is none. Gallops. */
uint32_t list_seek(const low *list, uint32_t n, uint32_t from, uint32_t x);

static inline int words_has(const word *a, uint32_t bit) { return (int)(a[bit >> 6] >> (bit & 63) & 1); }
#endif
