/* text_merge.h: many segments into one, and a segment into its parts.
 *
 *    views, newest first, and what is hidden in each -> rows in one order, old ordinal -> new -> term by term through the writer
 *
 * Ownership: the views stay the caller's, the new bytes are the caller's (idx_text_free_bytes). Threads: pure.
 * Invariants: the same live documents give the same bytes, whichever segments they come from.
 */
#ifndef IDX_TEXT_MERGE_H
#define IDX_TEXT_MERGE_H
#include "indexes/csrc/text_segment.h"

/* cdef:begin */
/* hide[i]: n_hide[i] ascending row ids that are void in view i. IDX_TEXT_QUERY: *row is live in two views. O(bytes + rows). */
int idx_text_merge(const idx_text_segment *const *views, size_t n, const uint64_t *const *hide, const size_t *n_hide,
                   const uint8_t *signature, size_t signature_n, uint8_t **bytes, size_t *size, uint64_t *row);
/* Bytes of all terms together. A negative number is an error. */
int64_t idx_text_terms_size(const idx_text_segment *segment);
/* All terms ascending, term i at text[offsets[i] .. offsets[i + 1]), with its documents. */
int idx_text_terms(const idx_text_segment *segment, uint8_t *text, uint64_t *offsets, uint32_t *documents);
/* Every occurrence by term, document and position: term ordinal, document ordinal, position; as many as the segment has tokens. */
int idx_text_occurrences(const idx_text_segment *segment, uint32_t *terms, uint32_t *docs, uint32_t *positions);
/* cdef:end */
#endif
