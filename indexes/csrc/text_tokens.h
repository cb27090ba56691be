/* text_tokens.h: the built-in tokenisers: UTF-8 text to a sequence of numbered terms with the bytes that each covers.
 *
 *    "The LSM-trees" --unicode--> the[0,3) lsm[4,7) trees[8,13)     whitespace: the[0,3) lsm-trees[4,13)     ngram 3: the, "he ", "e l", ...
 *
 * unicode: maximal runs of word characters; a run of ideographs gives its overlapping pairs (a lone one itself), or single characters.
 * whitespace: what Unicode white space separates. ngram: every n characters in a row. Case is folded when the rules say so.
 *
 * Ownership: the caller's text; a token list owns its arrays until cleared. Threads: one a list and vocabulary.
 * Invariants: any bytes may be given: malformed UTF-8 separates tokens. Terms are cut as text_vocab.h says.
 */
#ifndef IDX_TEXT_TOKENS_H
#define IDX_TEXT_TOKENS_H
#include "indexes/csrc/text_vocab.h"

/* cdef:begin */
enum { IDX_TOKENS_UNICODE = 0, IDX_TOKENS_WHITESPACE = 1, IDX_TOKENS_NGRAM = 2 };

typedef struct {
    uint32_t kind;
    uint32_t ngram; /* characters of an n-gram, 1 to 16 */
    uint32_t fold; /* 1: case is folded */
    uint32_t singles; /* 1: ideographs one by one, 0: in pairs */
} idx_text_rules;

/* One text taken apart: its distinct terms in order of appearance, its tokens as numbers of terms and byte spans. */
typedef struct idx_text_scan idx_text_scan;
int idx_scan_text(const idx_text_rules *rules, const uint8_t *text, size_t n, idx_text_scan **out); /* 0, or -1: out of memory */
void idx_scan_free(idx_text_scan *scan);
void idx_scan_sizes(const idx_text_scan *scan, size_t *tokens, size_t *terms, size_t *bytes);
/* Token i is term ids[i] and covers the bytes from spans[i] >> 32 to (uint32_t)spans[i]; term j is text[offsets[j] .. offsets[j + 1]). */
void idx_scan_get(const idx_text_scan *scan, uint32_t *ids, uint64_t *spans, uint8_t *text, uint64_t *offsets);
/* cdef:end */

typedef struct {
    uint32_t *ids;
    size_t n, cap;
    uint64_t *spans; /* start << 32 | end, when with_spans */
    size_t spans_cap;
    int with_spans;
} idx_tokens;

int idx_tokens_push(idx_tokens *t, uint32_t id, uint64_t start, uint64_t end); /* 0, or -1: out of memory */
void idx_tokens_clear(idx_tokens *t);
/* Appends the tokens of the text. 0, or -1: out of memory. */
int idx_tokenise(const idx_text_rules *rules, const uint8_t *text, size_t n, idx_vocab *vocab, idx_tokens *out);
#endif
