/* text_segment.h: reads a segment in place: documents, dictionary.
 *
 *    bytes --open--> view --find / seek, next--> term: where its postings and positions are (read with text_cursor.h)
 *
 * Ownership: the bytes stay the caller's and outlive the view, which is a small allocation of its own. Threads: any number may read a view;
 * an iterator belongs to one. Invariants: open has checked the header and that the sections tile the bytes (and the checksum when asked);
 * everything read later is checked against the end of its section again, so bytes that lie give errors or wrong answers, never wild reads.
 */
#ifndef IDX_TEXT_SEGMENT_H
#define IDX_TEXT_SEGMENT_H
#include "indexes/csrc/text_format.h"
#include "indexes/csrc/text_status.h"
#include "indexes/csrc/text_vocab.h"

/* cdef:begin */
typedef struct idx_text_segment idx_text_segment;

typedef struct {
    uint32_t documents, terms;
    uint64_t tokens;
    uint64_t bytes, dictionary, postings, positions; /* sizes; dictionary with its fence */
    const uint8_t *signature;
    size_t signature_n;
} idx_text_facts;

/* *out is set only with IDX_TEXT_OK. verify: the checksum of all bytes is compared, in O(n). */
int idx_text_open(const uint8_t *bytes, size_t n, int verify, idx_text_segment **out);
void idx_text_close(idx_text_segment *segment);
void idx_text_facts_of(const idx_text_segment *segment, idx_text_facts *out);
void idx_text_rows(const idx_text_segment *segment, uint64_t *out); /* row ids of all documents, ascending */
void idx_text_lengths(const idx_text_segment *segment, uint32_t *out);
/* Everything: order, every posting, every position, sums. O(n). IDX_TEXT_OK, IDX_TEXT_MEMORY or IDX_TEXT_DAMAGED. */
int idx_text_check(const idx_text_segment *segment);
/* cdef:end */

struct idx_text_segment {
    uint32_t flags, n_docs, n_terms;
    uint64_t n, tokens, first_row;
    const uint8_t *section[TEXT_SECTIONS];
    size_t size[TEXT_SECTIONS];
};

enum { TEXT_SIGNATURE = 1, TEXT_ROWS, TEXT_LENGTHS, TEXT_FENCES, TEXT_DICTIONARY, TEXT_POSTINGS, TEXT_POSITIONS };

typedef struct {
    uint32_t ordinal, documents;
    uint64_t occurrences;
    const uint8_t *postings, *positions;
    size_t postings_n, positions_n;
} idx_term;

typedef struct {
    const idx_text_segment *segment;
    const uint8_t *at; /* the next entry */
    uint32_t next; /* its ordinal */
    uint64_t postings, positions; /* offsets of the next entry's */
    idx_term term;
    unsigned n, shared; /* of the term at hand: its length, and what it surely shares with the one before */
    uint8_t bytes[IDX_TERM_MOST + 1];
} idx_dict_iter;

static inline uint32_t idx_segment_length(const idx_text_segment *s, uint32_t doc) {
    const uint8_t *lengths = s->section[TEXT_LENGTHS];
    return s->flags & TEXT_LENGTHS_WIDE ? idx_load32(lengths + (size_t)doc * 4)
                                        : (uint32_t)(lengths[(size_t)doc * 2] | lengths[(size_t)doc * 2 + 1] << 8);
}

static inline uint64_t idx_segment_row(const idx_text_segment *s, uint32_t doc) {
    const uint8_t *rows = s->section[TEXT_ROWS];
    return s->first_row + (s->flags & TEXT_ROWS_WIDE ? idx_load64(rows + (size_t)doc * 8) : idx_load32(rows + (size_t)doc * 4));
}

uint32_t idx_segment_doc(const idx_text_segment *s, uint64_t row); /* IDX_TERM_NONE: no such row */

/* 1 and the term at hand, 0 at the end, or an error. */
int idx_dict_next(idx_dict_iter *it);
/* To the first term >= the bytes, which becomes the one at hand: as idx_dict_next. The iterator needs only its segment set. */
int idx_dict_seek(idx_dict_iter *it, const uint8_t *term, size_t n);
/* To the first term that does not start with the first n bytes of the one at hand: as idx_dict_next. */
int idx_dict_skip_prefix(idx_dict_iter *it, unsigned n);
void idx_dict_first(idx_dict_iter *it, const idx_text_segment *segment); /* before the first term */
int idx_segment_find(const idx_text_segment *s, const uint8_t *term, size_t n, idx_term *out); /* 1, 0 or an error */
#endif
