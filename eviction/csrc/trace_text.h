/* trace_text.h: lines of text -> columns of numbers: the inner loop of reading traces.
 *
 *    "128166372003061629,usr,1,Read,8192,4096,100\n"   columns 2, 4, 5 --> 1, 8192, 4096
 *
 * A cell is a decimal number from 0 to 2^64 - 1, or any word, which becomes a number by its hash (FNV-1a of 64 bits, then the finaliser of
 * splitmix64: of a billion different words two are taken for one with a probability of 3 %). Blanks around cells do not count; empty lines are
 * skipped, and with TEXT_STARS lines that are "*".
 *
 * Ownership: the caller keeps text and results. Threads: any. Invariants: every line has `width` cells; a refusal tells line, column and cell.
 */
#ifndef EVI_TRACE_TEXT_H
#define EVI_TRACE_TEXT_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
enum evi_text_refusal { TEXT_WIDTH = 1, TEXT_NUMBER = 2, TEXT_LARGE = 3 };
#define TEXT_STARS 1

typedef struct evi_text_form {
    uint32_t separator; /* a character, or 0: runs of blanks */
    uint32_t flags, width; /* width: cells of a line */
    uint32_t columns;
    const uint32_t *column; /* ascending */
    const uint8_t *is_word; /* 1: any word, by its hash */
} evi_text_form;

typedef struct evi_text_place {
    uint64_t line; /* lines before it in this text */
    uint64_t begin, end; /* of the cell, or the line, in the text */
    uint32_t column, why, cells; /* why: evi_text_refusal; cells of the line */
} evi_text_place;

/* Rows of `columns` numbers each; out has room for one a line. -1: refused, see place. */
int64_t evi_text_rows(const char *text, size_t n, const evi_text_form *form, uint64_t *out, evi_text_place *place);
uint64_t evi_text_hash(const char *word, size_t n);
/* cdef:end */
#endif
