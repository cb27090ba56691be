/* text_vocab.h: distinct terms numbered in the order in which they came.
 *
 *    term bytes --intern--> id 0, 1, 2, ...        slots: hash (high half) | id + 1 (low half), 0 = free, linear probing
 *
 * Ownership: a vocabulary owns copies of its terms until cleared. Threads: intern by one, the rest by any number while none interns.
 * Invariants: a term has at most IDX_TERM_MOST bytes, longer ones are cut at a character's boundary; ids are below IDX_TERM_NONE.
 */
#ifndef IDX_TEXT_VOCAB_H
#define IDX_TEXT_VOCAB_H
#include "indexes/csrc/text_buf.h"

/* cdef:begin */
#define IDX_TERM_MOST 255
#define IDX_TERM_NONE 4294967295u
/* cdef:end */

typedef struct {
    uint64_t *slots;
    size_t n_slots; /* a power of two, or 0 before the first term */
    uint64_t *terms; /* offset in bytes << 8 | length */
    size_t n, cap;
    idx_buf bytes;
} idx_vocab;

void idx_vocab_clear(idx_vocab *v);
uint32_t idx_vocab_intern(idx_vocab *v, const uint8_t *term, size_t n); /* IDX_TERM_NONE: out of memory */
uint32_t idx_vocab_find(const idx_vocab *v, const uint8_t *term, size_t n); /* IDX_TERM_NONE: unknown */
size_t idx_vocab_memory(const idx_vocab *v);
size_t idx_term_cut(const uint8_t *term, size_t n); /* n, or the longest whole-character prefix of at most IDX_TERM_MOST bytes */

static inline const uint8_t *idx_vocab_term(const idx_vocab *v, uint32_t id, unsigned *n) {
    const uint64_t term = v->terms[id];
    *n = (unsigned)(term & 0xff);
    return v->bytes.at + (term >> 8);
}
#endif
