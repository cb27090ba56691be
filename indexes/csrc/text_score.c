/* Weights from live statistics, and the heap of the best. */
#include "indexes/csrc/text_score.h"
#include <math.h>

static double idf_of(uint32_t kind, double n, double df) {
    const double odds = (n - df + 0.5) / (df + 0.5);
    switch (kind) {
    case IDX_IDF_ROBERTSON:
        return odds > 1 ? log(odds) : 0;
    case IDX_IDF_LUCENE:
        return log(1 + odds);
    case IDX_IDF_ATIRE:
        return log(n / df);
    case IDX_IDF_BM25L:
        return log((n + 1) / (df + 0.5));
    case IDX_IDF_BM25_PLUS:
        return log((n + 1) / df);
    case IDX_IDF_FTS5:
        return odds > 1 ? log(odds) : 1e-6;
    default:
        return 1;
    }
}

void idx_weight_init(idx_weight *w, const idx_text_scoring *s, double boost, uint64_t documents, uint64_t tokens, uint64_t df) {
    const double average = documents && tokens ? (double)tokens / (double)documents : 1;
    const double idf = df ? idf_of(s->idf, (double)documents, (double)df) : 0;
    *w = (idx_weight){.tf = s->tf, .norm_base = 1 - s->b, .norm_slope = s->b / average, .c2 = s->k1};
    w->w = boost * (idf > 0 ? idf : 0);
    if (s->tf == IDX_TF_BM25_PLUS) w->a = w->w * s->delta;
    if (s->tf == IDX_TF_BM25L) w->c1 = s->delta, w->c2 = s->k1 + s->delta;
    if (s->tf == IDX_TF_LDP) w->c1 = s->delta;
    if (s->tf >= IDX_TF_BM25_K && s->tf <= IDX_TF_BM25L) w->w *= s->k1 + 1;
}

double idx_weight_log(const idx_weight *w, double frequency, double norm) {
    if (w->tf == IDX_TF_LOG) return w->w * (1 + log(frequency));
    return w->w * (1 + log(1 + log(frequency / (norm > 1e-9 ? norm : 1e-9) + w->c1)));
}

/* Moves the hit down from the top until no child is worse. */
static void sink(idx_hit *at, size_t n, size_t i, idx_hit hit) {
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && idx_hit_worse(&at[child + 1], &at[child])) child++;
        if (!idx_hit_worse(&at[child], &hit)) break;
        at[i] = at[child];
    }
    at[i] = hit;
}

void idx_heap_offer(idx_heap *h, int64_t score, uint64_t row) {
    const idx_hit hit = {score, row};
    if (h->n < h->most) {
        size_t i = h->n++;
        for (; i && idx_hit_worse(&hit, &h->at[(i - 1) / 2]); i = (i - 1) / 2) h->at[i] = h->at[(i - 1) / 2];
        h->at[i] = hit;
    } else if (h->most && idx_hit_worse(&h->at[0], &hit)) {
        sink(h->at, h->n, 0, hit);
    }
}

void idx_heap_sort(idx_heap *h) {
    for (size_t n = h->n; n > 1; n--) {
        const idx_hit worst = h->at[0];
        sink(h->at, n - 1, 0, h->at[n - 1]);
        h->at[n - 1] = worst;
    }
}
