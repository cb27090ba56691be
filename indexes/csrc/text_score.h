/* text_score.h: what a posting is worth, and the list of the best.
 *
 *    score of a document = sum over the query's leaves in it of  boost * idf(N, df) * tfc(frequency, length / average length)
 *
 * Scores are summed as 64-bit integers with IDX_SCORE_BITS fractional bits: the order of the additions cannot show, so pruned and exhaustive
 * evaluation, one component or many, give the same scores bit for bit and the same order (score descending, row id ascending).
 * Sources: Robertson and Zaragoza, "The probabilistic relevance framework", FnTIR 2009; the variants as in Kamphuis, de Vries, Boytsov and
 * Lin, "Which BM25 do you mean?", ECIR 2020; SMART's ltn in Manning, Raghavan and Schuetze, "Introduction to information retrieval", 6.4.3.
 *
 * Ownership: a heap owns its array. Threads: a weight is read by any number, a heap belongs to one.
 * Invariants: a weight grows with the frequency, falls with the length and is never negative: a block's impacts bound it.
 */
#ifndef IDX_TEXT_SCORE_H
#define IDX_TEXT_SCORE_H
#include "indexes/csrc/text_query.h"

/* cdef:begin */
#define IDX_SCORE_BITS 40

enum { /* tfc; c = frequency / (1 - b + b * length / average) */
       IDX_TF_BM25 = 0, /* f / (f + k1 (1 - b + b length / average)) */
       IDX_TF_BM25_K = 1, /* the same times k1 + 1 */
       IDX_TF_BM25_PLUS = 2, /* the same plus delta */
       IDX_TF_BM25L = 3, /* (k1 + 1) (c + delta) / (k1 + c + delta) */
       IDX_TF_LOG = 4, /* 1 + ln f */
       IDX_TF_LDP = 5 /* 1 + ln(1 + ln(c + delta)) */
};
enum { /* idf; R = (N - df + 0.5) / (df + 0.5) */
       IDX_IDF_ROBERTSON = 0, /* ln max(1, R) */
       IDX_IDF_LUCENE = 1, /* ln(1 + R) */
       IDX_IDF_ATIRE = 2, /* ln(N / df) */
       IDX_IDF_BM25L = 3, /* ln((N + 1) / (df + 0.5)) */
       IDX_IDF_BM25_PLUS = 4, /* ln((N + 1) / df) */
       IDX_IDF_FTS5 = 5, /* ln R, or 1e-6 where that is not above 0 */
       IDX_IDF_ONE = 6 /* 1 */
};

typedef struct {
    uint32_t tf, idf;
    double k1, b, delta;
} idx_text_scoring;
/* cdef:end */

typedef struct {
    uint32_t tf;
    double w, a, c1, c2; /* w (f + c1 norm) / (f + c2 norm) + a, for the first four */
    double norm_base, norm_slope; /* norm = 1 - b + b * length / average */
} idx_weight;

typedef struct {
    int64_t score;
    uint64_t row;
} idx_hit;

typedef struct {
    idx_hit *at; /* the worst on top */
    size_t n, most;
} idx_heap;

void idx_weight_init(idx_weight *w, const idx_text_scoring *s, double boost, uint64_t documents, uint64_t tokens, uint64_t df);
double idx_weight_log(const idx_weight *w, double frequency, double norm);

static inline int64_t idx_weight_score(const idx_weight *w, uint32_t frequency, uint32_t length) {
    const double f = frequency ? frequency : 1, norm = w->norm_base + w->norm_slope * length;
    const double score = w->tf <= IDX_TF_BM25L ? w->w * ((f + w->c1 * norm) / (f + w->c2 * norm)) + w->a : idx_weight_log(w, f, norm);
    return (int64_t)(score * (double)((int64_t)1 << IDX_SCORE_BITS));
}

static inline int idx_hit_worse(const idx_hit *a, const idx_hit *b) { return a->score != b->score ? a->score < b->score : a->row > b->row; }

static inline int64_t idx_heap_floor(const idx_heap *h) { return h->n == h->most ? h->at[0].score : -1; } /* below it nothing enters */
void idx_heap_offer(idx_heap *h, int64_t score, uint64_t row);
void idx_heap_sort(idx_heap *h); /* best first */

/* The best documents with any of the leaves. `exhaustive` scores every posting: what the pruned way is tested against. */
int idx_rank_any(idx_tree *t, const uint32_t *leaves, const idx_weight *weights, uint32_t n, int exhaustive, idx_heap *heap);
/* The best of these documents. */
int idx_rank_docs(idx_tree *t, const idx_docs *docs, const uint32_t *leaves, const idx_weight *weights, uint32_t n, idx_heap *heap);
#endif
