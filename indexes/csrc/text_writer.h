/* text_writer.h: makes a segment from terms in ascending order, each with its documents in ascending order.
 *
 *    begin(rows, lengths, signature) -> ( term -> posting* )* -> finish: the segment's bytes
 *
 * Ownership: the writer owns its buffers until finish hands the bytes over (to be freed with idx_text_free_bytes) or until abandoned.
 * Threads: one a writer. Invariants: after an error only idx_writer_abandon may follow. The same calls give the same bytes.
 */
#ifndef IDX_TEXT_WRITER_H
#define IDX_TEXT_WRITER_H
#include "indexes/csrc/postings.h"
#include "indexes/csrc/text_status.h"
#include "indexes/csrc/text_vocab.h"

typedef struct {
    const uint64_t *rows; /* the caller's, ascending, until finish */
    const uint32_t *lengths;
    uint32_t n_docs, n_terms;
    uint32_t flags;
    idx_buf signature, fence, dictionary, postings, positions;
    uint8_t before[IDX_TERM_MOST]; /* the term before */
    unsigned before_n;
    /* the term at hand */
    uint32_t documents;
    uint64_t occurrences;
    size_t positions_start;
    idx_buf skips, blocks;
    /* its block at hand */
    uint32_t n, docs[IDX_BLOCK], frequencies[IDX_BLOCK], last;
    uint32_t *gaps; /* of positions */
    size_t n_gaps, gaps_cap;
} idx_writer;

/* All functions but abandon: IDX_TEXT_OK or an error. */
int idx_writer_begin(idx_writer *w, const uint64_t *rows, const uint32_t *lengths, uint32_t n_docs, const uint8_t *signature, size_t n);
/* One document of the term at hand: positions ascending, at least one. */
int idx_writer_posting(idx_writer *w, uint32_t doc, const uint32_t *positions, uint32_t frequency);
int idx_writer_term(idx_writer *w, const uint8_t *term, unsigned n); /* ends the term at hand, whose postings came before; none: nothing */
int idx_writer_finish(idx_writer *w, uint8_t **bytes, size_t *n);
void idx_writer_abandon(idx_writer *w);
#endif
