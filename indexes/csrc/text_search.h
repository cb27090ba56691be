/* text_search.h: one index out of many components, newest first: matching and ranking with exact live statistics.
 *
 *    memory (optional, newest)    its own dead documents; the rows it touched are dead in every segment
 *    segment 0, 1, ...            a bit for each dead document: what the caller hides, and what memory touched
 *
 * N, the total length and every df count live documents only. The first two are kept as documents die; df is the dictionary's number less
 * the dead documents among the postings, counted when a query first asks and kept with the number of dead documents that it saw: later
 * deaths alone are looked up again.
 *
 * Ownership: segments, memory and their bytes stay the caller's and outlive the searcher; results are the caller's (idx_text_free_rows).
 * Threads: any number may query while none changes the memory component; a lock inside guards the bits and counts, which the first query
 * after a change brings up to date before it starts. Invariants: a row is live in one component at most, provided that `hide` is right.
 */
#ifndef IDX_TEXT_SEARCH_H
#define IDX_TEXT_SEARCH_H
#include "indexes/csrc/text_score.h"

/* cdef:begin */
typedef struct idx_text_searcher idx_text_searcher;

/* hide[i]: n_hide[i] ascending row ids that are void in segment i. memory may be NULL. */
int idx_searcher_new(const idx_text_segment *const *segments, size_t n, idx_text_memory *memory, const uint64_t *const *hide,
                     const size_t *n_hide, idx_text_searcher **out);
void idx_searcher_free(idx_text_searcher *s);
void idx_searcher_stats(idx_text_searcher *s, uint64_t *documents, uint64_t *tokens);

/* Row ids of the documents that match, ascending. `within`: only these rows (ascending), unless NULL. */
int idx_searcher_match(idx_text_searcher *s, const idx_text_node *nodes, uint32_t n_nodes, const uint8_t *text, size_t text_n,
                       const uint64_t *within, size_t n_within, uint64_t **rows, size_t *n);
int idx_searcher_count(idx_text_searcher *s, const idx_text_node *nodes, uint32_t n_nodes, const uint8_t *text, size_t text_n, uint64_t *n);
/* At most k of them by score descending, row id ascending: rows[0 .. *n), scores[0 .. *n). exhaustive: without pruning (for tests). */
int idx_searcher_rank(idx_text_searcher *s, const idx_text_node *nodes, uint32_t n_nodes, const uint8_t *text, size_t text_n,
                      const uint64_t *within, size_t n_within, const idx_text_scoring *scoring, size_t k, int exhaustive, uint64_t *rows,
                      double *scores, size_t *n);
/* Live documents of each scored leaf, in the order of the program: df[0 .. *n); df has room for n_nodes. */
int idx_searcher_df(idx_text_searcher *s, const idx_text_node *nodes, uint32_t n_nodes, const uint8_t *text, size_t text_n, uint64_t *df,
                    size_t *n);
void idx_text_free_rows(uint64_t *rows);
/* cdef:end */
#endif
