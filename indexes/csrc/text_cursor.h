/* text_cursor.h: walks one list of postings, wherever it is: packed in a segment, in memory, or made by a query.
 *
 *    seek(target) -> the first document >= target, by the skips or by bisection, then in the block:
 *    block:  docs[0 .. n)   frequencies[0 .. n) (decoded when asked for)   i = the place in it
 *
 * Ownership: the cursor points into its component or list. Threads: one a cursor. Invariants: documents that a cursor gives are below the
 * component's number of documents; every seek ends, whatever the bytes; damage is kept in `failed` and looks like the end of the list.
 */
#ifndef IDX_TEXT_CURSOR_H
#define IDX_TEXT_CURSOR_H
#include "indexes/csrc/postings.h"
#include "indexes/csrc/text_memory.h"
#include "indexes/csrc/text_segment.h"

typedef struct {
    const idx_text_segment *segment; /* packed postings; NULL: pairs */
    const idx_text_memory *memory; /* of pairs that are a term's of the memory component; for positions */
    const idx_posting *pairs;
    uint32_t id; /* of the term in memory */
    uint32_t most; /* highest frequency in pairs */
    idx_term term;
    const uint8_t *skips, *blocks;
    size_t blocks_n;
    uint32_t n_postings, n_blocks, n_docs;
    int failed;
    uint32_t block, n, i; /* the loaded block (n_blocks: none or beyond the end), its documents, the place in it */
    int has_frequencies;
    unsigned frequency_bits;
    const uint8_t *packed_frequencies;
    size_t packed_have;
    uint32_t docs[IDX_BLOCK + 16], frequencies[IDX_BLOCK + 8]; /* behind the documents stand sixteen numbers above all */
} idx_text_cursor;

void idx_text_cursor_packed(idx_text_cursor *c, const idx_text_segment *segment, const idx_term *term);
void idx_text_cursor_memory(idx_text_cursor *c, const idx_text_memory *memory, uint32_t id);
void idx_text_cursor_pairs(idx_text_cursor *c, const idx_posting *pairs, uint32_t n, uint32_t most, uint32_t n_docs);

/* Loads a block and stands on its first document; 0, or -1 at the end or after damage. */
int idx_text_cursor_load(idx_text_cursor *c, uint32_t block);
const uint32_t *idx_text_cursor_frequencies(idx_text_cursor *c); /* of the loaded block */
uint32_t idx_text_cursor_seek(idx_text_cursor *c, uint32_t target); /* IDX_TERM_NONE: no such document */
/* The block, from `block` on, whose last document is the first that is >= target; n_blocks when there is none. Loads nothing. */
uint32_t idx_text_cursor_block_with(const idx_text_cursor *c, uint32_t block, uint32_t target);

/* The last document of a block that is not loaded; an upper bound where a list has one block only. */
static inline uint32_t idx_text_cursor_last(const idx_text_cursor *c, uint32_t block) {
    if (!c->segment) {
        const uint64_t end = ((uint64_t)block + 1) * IDX_BLOCK;
        return c->pairs[end < c->n_postings ? end - 1 : c->n_postings - 1].doc;
    }
    return c->n_blocks == 1 ? IDX_TERM_NONE - 1 : idx_load32(c->skips + (size_t)block * TEXT_SKIP);
}

static inline uint32_t idx_text_cursor_doc(const idx_text_cursor *c) { return c->block < c->n_blocks ? c->docs[c->i] : IDX_TERM_NONE; }

/* Steps to the next document. */
static inline uint32_t idx_text_cursor_next(idx_text_cursor *c) {
    if (++c->i < c->n) return c->docs[c->i];
    return idx_text_cursor_load(c, c->block + 1) ? IDX_TERM_NONE : c->docs[0];
}

/* Reads the positions of the documents that a cursor stands on. */
typedef struct {
    uint32_t block; /* whose sums and widths are known */
    uint32_t group; /* that is unpacked */
    uint32_t before[IDX_BLOCK + 1]; /* positions of the block's documents before this one */
    const uint8_t *widths, *packed, *end;
    uint64_t n_groups;
    uint32_t gaps[IDX_BLOCK + 8];
    uint32_t *at; /* the positions */
    size_t n, cap;
} idx_positions;

int idx_positions_read(idx_positions *p, idx_text_cursor *c); /* at[0 .. n) of the cursor's document; IDX_TEXT_OK or an error */
void idx_positions_init(idx_positions *p);
void idx_positions_free(idx_positions *p);
#endif
