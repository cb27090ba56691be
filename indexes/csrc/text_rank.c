/* Top-k evaluation: windows of documents between block borders, with the leaves that cannot decide alone left for lookups.
 *
 * A window's bound of a leaf is the best impact of its blocks there. The leaves are ordered by bound; those whose bounds together stay below
 * the score to beat are not essential: a document with only them cannot enter. The essential ones are added up in an array over the window,
 * the others looked up for the documents that could still enter, highest bound first. Turtle and Flood, "Query evaluation: strategies and
 * optimizations", IP&M 1995 (MaxScore); Ding and Suel, SIGIR 2011 (block-max); Mackenzie, Petri and Moffat, "Efficient query processing
 * techniques for next-page retrieval", 2021 (windows).
 */
#include "indexes/csrc/text_score.h"

enum { WINDOW = 4096, LEAST_WINDOW = 512, MOST_PRUNED = 48 };

typedef struct {
    idx_text_cursor *cursor;
    const idx_weight *weight;
    uint32_t shallow; /* the block that may hold the window's start */
    int64_t most; /* bound of the whole list where it has no impacts */
    int64_t bound; /* in the window at hand */
} lane;

typedef struct {
    idx_tree *tree;
    idx_heap *heap;
    lane *lanes;
    uint32_t n;
    int64_t *sums; /* of the window's documents */
    uint64_t *marks; /* which have any */
} rank;

/* An upper bound of the list's scores from what is known of the whole of it. */
static int64_t list_bound(const idx_text_cursor *c, const idx_weight *w) {
    uint64_t most = c->most;
    if (c->segment) most = c->term.occurrences - c->term.documents + 1;
    /* uncovered (guard): more than a test can hold */
    return idx_weight_score(w, most > UINT32_MAX ? UINT32_MAX : (uint32_t)most, 1) + 2; /* a document with the term has a length */
}

static int64_t block_bound(const lane *l, uint32_t block) {
    if (!l->cursor->segment || l->cursor->n_blocks == 1) return l->most;
    const uint8_t *impacts = l->cursor->skips + (size_t)block * TEXT_SKIP + 12;
    int64_t most = 0;
    for (int i = 0; i < IDX_IMPACTS && impacts[2 * i]; i++) {
        const int64_t one = idx_weight_score(l->weight, idx_impact_value(impacts[2 * i]), idx_impact_value(impacts[2 * i + 1]));
        if (one > most) most = one;
    }
    return most + 2; /* rounding */
}

static inline int64_t score_here(const rank *r, const lane *l) {
    const idx_text_cursor *c = l->cursor;
    return idx_weight_score(l->weight, c->frequencies[c->i], idx_part_length(&r->tree->part, c->docs[c->i]));
}

/* Adds what the lanes below `n` give the document, while it can still enter; then offers it. */
static void complete(const rank *r, uint32_t doc, int64_t score, uint32_t n, const int64_t *below) {
    for (uint32_t i = n; i-- > 0;) {
        if (score + below[i] < idx_heap_floor(r->heap)) return;
        idx_text_cursor *c = r->lanes[i].cursor;
        if (idx_text_cursor_seek(c, doc) != doc) continue;
        idx_text_cursor_frequencies(c);
        score += score_here(r, &r->lanes[i]);
    }
    if (score >= idx_heap_floor(r->heap) && !idx_is_dead(&r->tree->part, doc))
        idx_heap_offer(r->heap, score, idx_part_row(&r->tree->part, doc));
}

/* One essential lane: its documents of the window one by one. */
static void walk_one(const rank *r, uint32_t lo, uint32_t hi, uint32_t first, const int64_t *below) {
    const lane *l = &r->lanes[first];
    idx_text_cursor *c = l->cursor;
    for (uint32_t doc = idx_text_cursor_seek(c, lo); doc < hi; doc = idx_text_cursor_next(c)) {
        idx_text_cursor_frequencies(c);
        const int64_t score = score_here(r, l);
        if (first == 0) {
            if (score >= idx_heap_floor(r->heap) && !idx_is_dead(&r->tree->part, doc))
                idx_heap_offer(r->heap, score, idx_part_row(&r->tree->part, doc));
        } else if (score + below[first - 1] >= idx_heap_floor(r->heap)) {
            complete(r, doc, score, first, below);
        }
    }
}

/* Adds a lane's scores of the window to the sums. */
static void add_lane(const rank *r, const lane *l, uint32_t lo, uint32_t hi) {
    idx_text_cursor *c = l->cursor;
    if (idx_text_cursor_seek(c, lo) >= hi) return;
    do {
        idx_text_cursor_frequencies(c);
        uint32_t i = c->i;
        for (; i < c->n && c->docs[i] < hi; i++) {
            const uint32_t at = c->docs[i] - lo;
            if (c->docs[i] < lo) continue; /* only in damaged lists */
            r->sums[at] += idx_weight_score(l->weight, c->frequencies[i], idx_part_length(&r->tree->part, c->docs[i]));
            r->marks[at / 64] |= (uint64_t)1 << at % 64;
        }
        c->i = i < c->n ? i : c->n - 1;
        if (i < c->n) return;
    } while (idx_text_cursor_load(c, c->block + 1) == 0);
}

static void offer_sums(const rank *r, uint32_t lo, uint32_t hi, uint32_t first, const int64_t *below) {
    for (uint32_t w = 0; w * 64 < hi - lo; w++) {
        for (uint64_t rest = r->marks[w]; rest; rest &= rest - 1) {
            const uint32_t at = w * 64 + (uint32_t)__builtin_ctzll(rest);
            const int64_t score = r->sums[at];
            r->sums[at] = 0;
            if (score + (first ? below[first - 1] : 0) >= idx_heap_floor(r->heap)) complete(r, lo + at, score, first, below);
        }
        r->marks[w] = 0;
    }
}

/* Bounds of the window [lo, *hi), which is shortened to it; 0 when every lane has ended. */
static int choose_window(rank *r, uint32_t lo, uint32_t *hi) {
    uint32_t end = IDX_TERM_NONE;
    for (uint32_t i = 0; i < r->n; i++) {
        lane *l = &r->lanes[i];
        l->shallow = idx_text_cursor_block_with(l->cursor, l->shallow, lo);
        if (l->shallow == l->cursor->n_blocks) continue;
        const uint32_t last = idx_text_cursor_last(l->cursor, l->shallow);
        if (last < end) end = last;
    }
    if (end == IDX_TERM_NONE) return 0;
    *hi = end < *hi ? end + 1 : *hi;
    if (*hi < lo + LEAST_WINDOW) *hi = lo + LEAST_WINDOW;
    if (*hi > r->tree->part.n_docs) *hi = r->tree->part.n_docs;
    for (uint32_t i = 0; i < r->n; i++) {
        lane *l = &r->lanes[i];
        l->bound = 0;
        for (uint32_t block = l->shallow; block < l->cursor->n_blocks; block++) {
            const int64_t bound = block_bound(l, block);
            if (bound > l->bound) l->bound = bound;
            if (idx_text_cursor_last(l->cursor, block) >= *hi - 1) break;
        }
    }
    return 1;
}

static int pruned(rank *r) {
    int64_t below[MOST_PRUNED]; /* the bounds of the lanes up to this one together */
    const uint32_t n_docs = r->tree->part.n_docs;
    for (uint32_t lo = 0, hi; lo < n_docs; lo = hi) {
        hi = n_docs - lo > WINDOW && r->n > 1 ? lo + WINDOW : n_docs;
        if (!choose_window(r, lo, &hi)) break;
        for (uint32_t i = 1; i < r->n; i++) { /* by rising bound; they change little from window to window */
            const lane one = r->lanes[i];
            uint32_t j = i;
            for (; j && r->lanes[j - 1].bound > one.bound; j--) r->lanes[j] = r->lanes[j - 1];
            r->lanes[j] = one;
        }
        uint32_t first = r->n;
        for (uint32_t i = 0; i < r->n; i++) {
            below[i] = r->lanes[i].bound + (i ? below[i - 1] : 0);
            if (first == r->n && below[i] >= idx_heap_floor(r->heap)) first = i;
        }
        if (first == r->n) continue;
        if (first + 1 == r->n) {
            walk_one(r, lo, hi, first, below);
            continue;
        }
        for (uint32_t i = first; i < r->n; i++) add_lane(r, &r->lanes[i], lo, hi);
        offer_sums(r, lo, hi, first, below);
    }
    return IDX_TEXT_OK;
}

static void everything(rank *r) {
    const uint32_t n_docs = r->tree->part.n_docs;
    for (uint32_t lo = 0, hi; lo < n_docs; lo = hi) {
        hi = n_docs - lo > WINDOW ? lo + WINDOW : n_docs;
        for (uint32_t i = 0; i < r->n; i++) add_lane(r, &r->lanes[i], lo, hi);
        offer_sums(r, lo, hi, 0, NULL);
    }
}

int idx_rank_any(idx_tree *t, const uint32_t *leaves, const idx_weight *weights, uint32_t n, int exhaustive, idx_heap *heap) {
    rank r = {.tree = t, .heap = heap};
    idx_text_cursor *cursors = malloc((n + 1) * sizeof *cursors);
    r.lanes = malloc((n + 1) * sizeof *r.lanes);
    int failed = cursors && r.lanes ? IDX_TEXT_OK : IDX_TEXT_MEMORY;
    for (uint32_t i = 0; i < n && !failed; i++) {
        const int got = idx_tree_cursor(t, leaves[i], &cursors[r.n]);
        if (got < 0) failed = got;
        if (got != 1) continue;
        r.lanes[r.n] = (lane){.cursor = &cursors[r.n], .weight = &weights[i], .most = list_bound(&cursors[r.n], &weights[i])};
        r.n++;
    }
    if (!failed && (r.n > 1 || exhaustive)) {
        r.sums = calloc(WINDOW, sizeof *r.sums);
        r.marks = calloc(WINDOW / 64, sizeof *r.marks);
        if (!r.sums || !r.marks) failed = IDX_TEXT_MEMORY;
    }
    if (!failed && r.n) {
        if (exhaustive || r.n > MOST_PRUNED)
            everything(&r);
        else
            pruned(&r);
        for (uint32_t i = 0; i < r.n && !failed; i++) failed = cursors[i].failed;
    }
    free(cursors);
    free(r.lanes);
    free(r.sums);
    free(r.marks);
    return failed;
}

int idx_rank_docs(idx_tree *t, const idx_docs *docs, const uint32_t *leaves, const idx_weight *weights, uint32_t n, idx_heap *heap) {
    int64_t *sums = calloc(docs->n + 1, sizeof *sums);
    int failed = sums ? IDX_TEXT_OK : IDX_TEXT_MEMORY;
    idx_text_cursor c;
    for (uint32_t leaf = 0; leaf < n && !failed; leaf++) {
        const int got = idx_tree_cursor(t, leaves[leaf], &c);
        if (got < 0) failed = got;
        if (got != 1) continue;
        for (size_t i = 0; i < docs->n; i++) {
            const uint32_t doc = docs->at[i], at = idx_text_cursor_seek(&c, doc);
            if (at == IDX_TERM_NONE) break;
            if (at != doc) continue;
            idx_text_cursor_frequencies(&c);
            sums[i] += idx_weight_score(&weights[leaf], c.frequencies[c.i], idx_part_length(&t->part, doc));
        }
        failed = c.failed;
    }
    for (size_t i = 0; i < docs->n && !failed; i++)
        if (!idx_is_dead(&t->part, docs->at[i]) && sums[i] >= idx_heap_floor(heap))
            idx_heap_offer(heap, sums[i], idx_part_row(&t->part, docs->at[i]));
    free(sums);
    return failed;
}
