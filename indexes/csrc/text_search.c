/* The searcher: live bits and counts of the components, and the queries over all of them. */
#include "indexes/csrc/text_search.h"
#include <pthread.h>

typedef struct {
    const idx_text_segment *segment;
    uint64_t *dead; /* bits */
    uint32_t *order; /* the dead documents in the order of their death */
    size_t n_dead, dead_cap;
    uint64_t live_tokens;
} component;

typedef struct {
    uint64_t key; /* component << 32 | term ordinal, + 1; 0 = free */
    uint32_t seen, dead; /* of the component's deaths: how many were looked at, how many had the term */
} counted;

struct idx_text_searcher {
    pthread_mutex_t lock;
    component *components;
    size_t n;
    idx_text_memory *memory;
    uint64_t touched; /* of memory, seen so far */
    counted *cache; /* linear probing */
    size_t n_cache, cached;
};

enum { MOST_CACHED = 1 << 20 };

static int kill_doc(component *c, uint32_t doc) {
    if (c->dead[doc / 64] >> doc % 64 & 1) return IDX_TEXT_OK;
    uint32_t *order = idx_grow(c->order, c->n_dead, &c->dead_cap, 1, sizeof *order);
    if (!order) return IDX_TEXT_MEMORY;
    c->order = order;
    c->dead[doc / 64] |= (uint64_t)1 << doc % 64;
    order[c->n_dead++] = doc;
    c->live_tokens -= idx_segment_length(c->segment, doc);
    return IDX_TEXT_OK;
}

/* The first document from `from` on whose row id is >= row: by steps that double. */
static uint32_t doc_from(const idx_text_segment *s, uint32_t from, uint64_t row) {
    uint32_t lo = from, hi = from, step = 1;
    while (hi < s->n_docs && idx_segment_row(s, hi) < row) {
        lo = hi + 1;
        hi = s->n_docs - hi > step ? hi + step : s->n_docs;
        step *= 2;
    }
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (idx_segment_row(s, mid) < row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int hide_rows(component *c, const uint64_t *rows, size_t n) {
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if ((at = doc_from(c->segment, at, rows[i])) == c->segment->n_docs) break;
        if (idx_segment_row(c->segment, at) == rows[i] && kill_doc(c, at)) return IDX_TEXT_MEMORY;
    }
    return IDX_TEXT_OK;
}

int idx_searcher_new(const idx_text_segment *const *segments, size_t n, idx_text_memory *memory, const uint64_t *const *hide,
                     const size_t *n_hide, idx_text_searcher **out) {
    idx_text_searcher *s = calloc(1, sizeof *s);
    if (!s) return IDX_TEXT_MEMORY;
    s->components = calloc(n + 1, sizeof *s->components);
    /* uncovered (system): a lock cannot be made */
    if (!s->components || pthread_mutex_init(&s->lock, NULL)) {
        free(s->components);
        free(s);
        return IDX_TEXT_MEMORY;
    }
    s->memory = memory;
    int failed = IDX_TEXT_OK;
    for (size_t i = 0; i < n && !failed; i++) {
        component *c = &s->components[s->n++];
        *c = (component){.segment = segments[i], .live_tokens = segments[i]->tokens};
        c->dead = calloc(segments[i]->n_docs / 64 + 1, sizeof *c->dead);
        failed = c->dead ? hide_rows(c, hide[i], n_hide[i]) : IDX_TEXT_MEMORY;
    }
    if (failed)
        idx_searcher_free(s);
    else
        *out = s;
    return failed;
}

void idx_searcher_free(idx_text_searcher *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) {
        free(s->components[i].dead);
        free(s->components[i].order);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->components);
    free(s->cache);
    free(s);
}

/* What memory touched since the last query dies in the segments. */
static int refresh(idx_text_searcher *s) {
    if (!s->memory) return IDX_TEXT_OK;
    if (s->memory->broken) return IDX_TEXT_MEMORY;
    int failed = IDX_TEXT_OK;
    pthread_mutex_lock(&s->lock);
    for (; s->touched < s->memory->n_touched && !failed; s->touched += !failed) {
        for (size_t i = 0; i < s->n && !failed; i++) {
            const uint32_t doc = idx_segment_doc(s->components[i].segment, s->memory->touched[s->touched]);
            if (doc != IDX_TERM_NONE) failed = kill_doc(&s->components[i], doc);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return failed;
}

static void stats(const idx_text_searcher *s, uint64_t *documents, uint64_t *tokens) {
    *documents = s->memory ? s->memory->live_docs : 0;
    *tokens = s->memory ? s->memory->live_tokens : 0;
    for (size_t i = 0; i < s->n; i++) {
        *documents += s->components[i].segment->n_docs - s->components[i].n_dead;
        *tokens += s->components[i].live_tokens;
    }
}

void idx_searcher_stats(idx_text_searcher *s, uint64_t *documents, uint64_t *tokens) {
    refresh(s); /* for lack of memory the numbers are those of before */
    stats(s, documents, tokens);
}

/* Part 0 is memory, when there is one; then the segments. */
static size_t n_parts(const idx_text_searcher *s) { return s->n + (s->memory != NULL); }

static const component *enter(const idx_text_searcher *s, idx_tree *t, size_t i) {
    if (s->memory && i == 0) {
        idx_tree_enter(t, i, &(idx_part){.memory = s->memory, .n_docs = (uint32_t)s->memory->n_docs, .dead = s->memory->dead});
        return NULL;
    }
    const component *c = &s->components[i - (s->memory != NULL)];
    idx_tree_enter(t, i, &(idx_part){.segment = c->segment, .n_docs = c->segment->n_docs, .dead = c->n_dead ? c->dead : NULL});
    return c;
}

static counted *cache_slot(idx_text_searcher *s, uint64_t key) {
    size_t at = (size_t)((key * 0x9E3779B97F4A7C15u) >> 24) & (s->n_cache - 1);
    while (s->cache[at].key && s->cache[at].key != key) at = (at + 1) & (s->n_cache - 1);
    return &s->cache[at];
}

static void cache_put(idx_text_searcher *s, counted entry) {
    if (s->cached * 3 >= s->n_cache * 2) {
        const size_t n = s->n_cache < MOST_CACHED ? (s->n_cache ? s->n_cache * 2 : 256) : MOST_CACHED, n_old = s->n_cache;
        counted *cache = calloc(n, sizeof *cache), *old = s->cache;
        if (!cache) return; /* it will be counted again */
        s->cache = cache, s->n_cache = n;
        if (n == n_old) s->cached = 0; /* full: everything is forgotten */
        for (size_t i = 0; i < n_old && n != n_old; i++)
            if (old[i].key) *cache_slot(s, old[i].key) = old[i];
        free(old);
    }
    counted *slot = cache_slot(s, entry.key);
    s->cached += slot->key == 0;
    *slot = entry;
}

static int by_value(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* How many of the deaths from `seen` on have the term. */
static int count_dead(const component *c, const idx_term *term, size_t seen, uint32_t *dead) {
    idx_text_cursor cursor;
    idx_text_cursor_packed(&cursor, c->segment, term);
    const size_t n = c->n_dead - seen;
    if (seen == 0 && term->documents < 8 * n) {
        for (uint32_t block = 0; block < cursor.n_blocks && idx_text_cursor_load(&cursor, block) == 0; block++)
            for (uint32_t i = 0; i < cursor.n; i++) *dead += c->dead[cursor.docs[i] / 64] >> cursor.docs[i] % 64 & 1;
        return cursor.failed;
    }
    uint32_t *docs = malloc((n + 1) * sizeof *docs);
    if (!docs) return IDX_TEXT_MEMORY;
    memcpy(docs, c->order + seen, n * sizeof *docs); /* there are some: else nothing is counted */
    qsort(docs, n, sizeof *docs, by_value);
    for (size_t i = 0; i < n; i++) *dead += idx_text_cursor_seek(&cursor, docs[i]) == docs[i];
    free(docs);
    return cursor.failed;
}

/* Live documents of a term leaf in the component entered. */
static int term_df(idx_text_searcher *s, idx_tree *t, const component *c, uint32_t leaf, uint64_t *df) {
    const int got = idx_tree_find(t, leaf);
    if (got != 1) return got;
    const idx_found *found = &t->found[t->branches[leaf].slot];
    if (!c) {
        *df += s->memory->lists[found->id].live;
        return IDX_TEXT_OK;
    }
    *df += found->term.documents;
    if (c->n_dead == 0) return IDX_TEXT_OK;
    counted entry = {.key = ((uint64_t)(c - s->components) << 32 | found->term.ordinal) + 1};
    pthread_mutex_lock(&s->lock);
    if (s->n_cache && cache_slot(s, entry.key)->key) entry = *cache_slot(s, entry.key);
    pthread_mutex_unlock(&s->lock);
    int failed = IDX_TEXT_OK;
    if (entry.seen < c->n_dead) {
        if (entry.seen && found->term.documents < c->n_dead - entry.seen) entry.seen = entry.dead = 0; /* counting anew is cheaper */
        failed = count_dead(c, &found->term, entry.seen, &entry.dead);
        entry.seen = (uint32_t)c->n_dead;
        pthread_mutex_lock(&s->lock);
        if (!failed) cache_put(s, entry);
        pthread_mutex_unlock(&s->lock);
    }
    *df -= entry.dead;
    return failed;
}

/* Live documents of a leaf of any kind in the component entered. */
static int leaf_df(idx_text_searcher *s, idx_tree *t, const component *c, uint32_t leaf, uint64_t *df) {
    if (t->branches[leaf].node->kind == IDX_NODE_TERM) return term_df(s, t, c, leaf, df);
    idx_text_cursor cursor;
    const int got = idx_tree_cursor(t, leaf, &cursor);
    if (got != 1) return got;
    for (uint32_t i = 0; i < cursor.n_postings; i++) *df += !idx_is_dead(&t->part, cursor.pairs[i].doc);
    return IDX_TEXT_OK;
}

/* The documents of the component entered that are among the rows. */
static int docs_of_rows(const idx_tree *t, const uint64_t *rows, size_t n, idx_docs *out) {
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t doc = IDX_TERM_NONE;
        if (t->part.segment) {
            if ((at = doc_from(t->part.segment, at, rows[i])) == t->part.n_docs) break;
            if (idx_segment_row(t->part.segment, at) == rows[i]) doc = at;
        } else {
            doc = idx_text_memory_doc(t->part.memory, rows[i]);
        }
        if (doc != IDX_TERM_NONE && idx_docs_push(out, doc)) return IDX_TEXT_MEMORY;
    }
    if (t->part.memory && out->n) qsort(out->at, out->n, sizeof *out->at, by_value);
    return IDX_TEXT_OK;
}

/* The live documents that match in the component entered. */
static int match_part(idx_tree *t, const uint64_t *within, size_t n_within, idx_docs *out) {
    idx_docs only = {0};
    int failed = within ? docs_of_rows(t, within, n_within, &only) : IDX_TEXT_OK;
    if (!failed) failed = idx_tree_match(t, t->root, within ? &only : NULL, out);
    free(only.at);
    size_t kept = 0;
    for (size_t i = 0; t->part.dead && i < out->n; i++)
        if (!idx_is_dead(&t->part, out->at[i])) out->at[kept++] = out->at[i];
    if (t->part.dead) out->n = kept;
    return failed;
}

static int by_row(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int idx_searcher_match(idx_text_searcher *s, const idx_text_node *nodes, uint32_t n_nodes, const uint8_t *text, size_t text_n,
                       const uint64_t *within, size_t n_within, uint64_t **rows, size_t *n) {
    idx_tree t;
    idx_docs docs = {0};
    uint64_t *out = NULL;
    size_t n_out = 0, cap = 0;
    int failed = refresh(s);
    if (failed) return failed;
    failed = idx_tree_init(&t, nodes, n_nodes, text, text_n, n_parts(s));
    for (size_t i = 0; i < n_parts(s) && !failed; i++) {
        enter(s, &t, i);
        docs.n = 0;
        if ((failed = match_part(&t, within, n_within, &docs))) break;
        uint64_t *grown = idx_grow(out, n_out, &cap, docs.n + 1, sizeof *out);
        if (!grown)
            failed = IDX_TEXT_MEMORY;
        else
            out = grown;
        for (size_t j = 0; j < docs.n && !failed; j++) out[n_out++] = idx_part_row(&t.part, docs.at[j]);
    }
    idx_tree_free(&t);
    free(docs.at);
    if (failed) {
        free(out);
        return failed;
    }
    int ascending = 1;
    for (size_t i = 1; i < n_out && ascending; i++) ascending = out[i - 1] < out[i];
    if (!ascending) qsort(out, n_out, sizeof *out, by_row);
    *rows = out, *n = n_out;
    return IDX_TEXT_OK;
}

int idx_searcher_count(idx_text_searcher *s, const idx_text_node *nodes, uint32_t n_nodes, const uint8_t *text, size_t text_n,
                       uint64_t *n) {
    idx_tree t;
    idx_docs docs = {0};
    int failed = refresh(s);
    if (failed) return failed;
    failed = idx_tree_init(&t, nodes, n_nodes, text, text_n, n_parts(s));
    *n = 0;
    for (size_t i = 0; i < n_parts(s) && !failed; i++) {
        const component *c = enter(s, &t, i);
        docs.n = 0;
        if (nodes[t.root].kind == IDX_NODE_TERM)
            failed = term_df(s, &t, c, t.root, n);
        else
            failed = match_part(&t, NULL, 0, &docs);
        *n += docs.n;
    }
    idx_tree_free(&t);
    free(docs.at);
    return failed;
}

/* The scored leaves, and how many live documents each has. */
static int leaves_df(idx_text_searcher *s, idx_tree *t, uint32_t *leaves, uint64_t *df, uint32_t *n) {
    *n = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        if (!t->branches[i].scored) continue;
        df[*n] = 0;
        leaves[(*n)++] = i;
    }
    for (size_t part = 0; part < n_parts(s); part++) {
        const component *c = enter(s, t, part);
        for (uint32_t i = 0; i < *n; i++) {
            const int failed = leaf_df(s, t, c, leaves[i], &df[i]);
            if (failed < 0) return failed;
        }
    }
    return IDX_TEXT_OK;
}

int idx_searcher_df(idx_text_searcher *s, const idx_text_node *nodes, uint32_t n_nodes, const uint8_t *text, size_t text_n, uint64_t *df,
                    size_t *n) {
    idx_tree t;
    int failed = refresh(s);
    if (failed) return failed;
    failed = idx_tree_init(&t, nodes, n_nodes, text, text_n, n_parts(s));
    uint32_t *leaves = malloc(((size_t)n_nodes + 1) * sizeof *leaves), found = 0;
    if (!failed) failed = leaves ? leaves_df(s, &t, leaves, df, &found) : IDX_TEXT_MEMORY;
    *n = found;
    free(leaves);
    idx_tree_free(&t);
    return failed;
}

static int any_of_leaves(const idx_tree *t) {
    const idx_branch *root = &t->branches[t->root];
    if (root->node->kind < IDX_NODE_AND) return 1;
    if (root->node->kind != IDX_NODE_OR) return 0;
    for (uint32_t child = root->first; child != IDX_TERM_NONE; child = t->branches[child].next)
        if (!t->branches[child].scored) return 0;
    return 1;
}

typedef struct {
    uint32_t *leaves, n;
    uint64_t *df;
    idx_weight *weights;
} scored;

static int weigh(idx_text_searcher *s, idx_tree *t, const idx_text_scoring *scoring, scored *q) {
    const size_t room = (size_t)t->n + 1;
    q->leaves = malloc(room * sizeof *q->leaves);
    q->df = malloc(room * sizeof *q->df);
    q->weights = malloc(room * sizeof *q->weights);
    if (!q->leaves || !q->df || !q->weights) return IDX_TEXT_MEMORY;
    const int failed = leaves_df(s, t, q->leaves, q->df, &q->n);
    if (failed) return failed;
    uint64_t documents, tokens;
    stats(s, &documents, &tokens);
    double most = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        idx_weight_init(&q->weights[i], scoring, t->branches[q->leaves[i]].node->boost, documents, tokens, q->df[i]);
        most += q->weights[i].w * (scoring->tf >= IDX_TF_LOG ? 32 : 1) + q->weights[i].a;
    }
    return most < 1 << (62 - IDX_SCORE_BITS) ? IDX_TEXT_OK : IDX_TEXT_LIMIT;
}

int idx_searcher_rank(idx_text_searcher *s, const idx_text_node *nodes, uint32_t n_nodes, const uint8_t *text, size_t text_n,
                      const uint64_t *within, size_t n_within, const idx_text_scoring *scoring, size_t k, int exhaustive, uint64_t *rows,
                      double *scores, size_t *n) {
    idx_tree t;
    scored q = {0};
    idx_docs docs = {0};
    idx_heap heap = {.most = k, .at = malloc(k * sizeof *heap.at)};
    int failed = refresh(s);
    if (failed || !heap.at || k == 0) {
        free(heap.at);
        *n = 0;
        return failed ? failed : k ? IDX_TEXT_MEMORY : IDX_TEXT_OK;
    }
    failed = idx_tree_init(&t, nodes, n_nodes, text, text_n, n_parts(s));
    if (!failed) failed = weigh(s, &t, scoring, &q);
    const int any = !failed && !within && any_of_leaves(&t);
    for (size_t i = 0; i < n_parts(s) && !failed; i++) {
        enter(s, &t, i);
        docs.n = 0;
        if (any)
            failed = idx_rank_any(&t, q.leaves, q.weights, q.n, exhaustive, &heap);
        else if (!(failed = match_part(&t, within, n_within, &docs)))
            failed = idx_rank_docs(&t, &docs, q.leaves, q.weights, q.n, &heap);
    }
    if (!failed) idx_heap_sort(&heap);
    *n = failed ? 0 : heap.n;
    for (size_t i = 0; i < *n; i++) {
        rows[i] = heap.at[i].row;
        scores[i] = (double)heap.at[i].score / (double)((int64_t)1 << IDX_SCORE_BITS);
    }
    idx_tree_free(&t);
    free(heap.at), free(docs.at), free(q.leaves), free(q.df), free(q.weights);
    return failed;
}

void idx_text_free_rows(uint64_t *rows) { free(rows); }
