/* postings.h: small unsigned numbers packed to the bits they need, and the codes of a block's score bound.
 *
 *    n numbers of w bits = one little-endian bit string of ceil(n w / 8) bytes; eight numbers start at every w-th byte
 *
 * An impact is an upper bound of what a posting can score, kept apart from the statistics that change: a term frequency rounded up and a
 * document length rounded down, each to a byte (exact to 15, then three bits behind the leading one). A block of postings keeps at most
 * IDX_IMPACTS of them, so that every posting in it has an impact with as high a frequency and as short a document.
 * Source: Lemire and Boytsov, "Decoding billions of integers per second through vectorization", SP&E 2015; Ding and Suel, "Faster top-k
 * document retrieval using block-max indexes", SIGIR 2011.
 *
 * Ownership: none. Threads: pure. Invariants: reading never passes the bytes given; `out` has room for n rounded up to eight.
 */
#ifndef IDX_POSTINGS_H
#define IDX_POSTINGS_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
#define IDX_BLOCK 128
#define IDX_IMPACTS 4

unsigned idx_bits_width(const uint32_t *v, size_t n); /* of the largest */
size_t idx_bits_size(size_t n, unsigned width);
void idx_bits_pack(const uint32_t *v, size_t n, unsigned width, uint8_t *out); /* idx_bits_size(n, width) bytes */
/* `have` bytes may be read, at least idx_bits_size(n, width); width <= 32 */
void idx_bits_unpack(const uint8_t *in, size_t have, size_t n, unsigned width, uint32_t *out);
void idx_bits_unpack_portable(const uint8_t *in, size_t have, size_t n, unsigned width, uint32_t *out); /* the same without SIMD */
/* gaps less one to documents: v[i] = previous + 1 + the sum of v[0..i] + i, modulo 2^32; the largest of them */
uint32_t idx_gaps_sum(uint32_t *v, size_t n, uint32_t previous);
uint32_t idx_gaps_sum_portable(uint32_t *v, size_t n, uint32_t previous);

uint8_t idx_impact_code(uint32_t v); /* of the largest value with a code that is <= v */
uint32_t idx_impact_value(uint8_t code);
/* The impacts of n postings: out[i] = frequency code | length code << 8, by falling frequency, 0 = none. */
void idx_impacts(const uint32_t *frequencies, const uint32_t *lengths, size_t n, uint16_t out[IDX_IMPACTS]);
/* cdef:end */
#endif
