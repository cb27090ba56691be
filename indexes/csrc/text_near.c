/* Phrases and proximity: the documents with all terms, then their positions side by side. */
#include "indexes/csrc/text_query.h"

typedef struct {
    idx_text_cursor cursor;
    idx_positions positions;
    uint32_t unit, place;
} part;

typedef struct {
    idx_docs starts; /* where the phrase begins in the document at hand, ascending */
    uint32_t length;
    size_t i;
} unit;

typedef struct {
    part *parts;
    unit *units;
    uint32_t n_parts, n_units, distance;
} near;

static void near_free(near *q) {
    for (uint32_t i = 0; q->parts && i < q->n_parts; i++) idx_positions_free(&q->parts[i].positions);
    for (uint32_t i = 0; q->units && i < q->n_units; i++) free(q->units[i].starts.at);
    free(q->parts);
    free(q->units);
}

/* 1, 0 when a term is not there, or an error. */
static int near_init(near *q, idx_tree *t, uint32_t at) {
    const idx_text_node *node = t->branches[at].node;
    *q = (near){.distance = node->number};
    q->parts = malloc((node->children + 1) * sizeof *q->parts);
    q->units = calloc(node->children + 1, sizeof *q->units);
    if (!q->parts || !q->units) return IDX_TEXT_MEMORY;
    for (uint32_t child = t->branches[at].first; child != IDX_TERM_NONE; child = t->branches[child].next) {
        part *p = &q->parts[q->n_parts];
        const int got = idx_tree_cursor(t, child, &p->cursor);
        if (got != 1) return got;
        idx_positions_init(&p->positions);
        p->unit = t->branches[child].node->unit, p->place = t->branches[child].node->place;
        q->n_parts++, q->n_units = p->unit + 1;
        unit *u = &q->units[p->unit];
        if (p->place >= INT32_MAX) return IDX_TEXT_QUERY;
        if (p->place + 1 > u->length) u->length = p->place + 1;
    }
    return q->n_parts > 0;
}

/* The phrase starts of the document that all cursors stand on; 1 when every unit has one. */
static int find_starts(near *q) {
    for (uint32_t i = 0; i < q->n_parts; i++) {
        part *p = &q->parts[i];
        idx_docs *starts = &q->units[p->unit].starts;
        const int failed = idx_positions_read(&p->positions, &p->cursor);
        if (failed) return failed;
        const uint32_t *at = p->positions.at;
        size_t kept = 0, j = 0;
        if (i == 0 || q->parts[i - 1].unit != p->unit) {
            starts->n = 0;
            for (; j < p->positions.n; j++)
                if (at[j] >= p->place && idx_docs_push(starts, at[j] - p->place)) return IDX_TEXT_MEMORY;
            kept = starts->n;
        }
        for (size_t s = kept; s < starts->n; s++) {
            const uint64_t want = (uint64_t)starts->at[s] + p->place;
            while (j < p->positions.n && at[j] < want) j++;
            if (j < p->positions.n && at[j] == want) starts->at[kept++] = starts->at[s];
        }
        starts->n = kept;
        if (kept == 0) return 0;
    }
    return 1;
}

/* How many times the units stand together: no more than `distance` tokens between the end of one and the latest start. */
static uint32_t clumps(near *q) {
    if (q->n_units == 1) return (uint32_t)q->units[0].starts.n;
    uint32_t found = 0;
    for (uint32_t u = 0; u < q->n_units; u++) q->units[u].i = 0;
    for (;;) {
        uint64_t latest = 0;
        for (uint32_t u = 0; u < q->n_units; u++) {
            const uint32_t start = q->units[u].starts.at[q->units[u].i];
            if (start > latest) latest = start;
        }
        int together = 1;
        unit *first = &q->units[0];
        for (uint32_t u = 0; u < q->n_units; u++) {
            unit *one = &q->units[u];
            while ((uint64_t)one->starts.at[one->i] + one->length + q->distance < latest) {
                together = 0;
                if (++one->i == one->starts.n) return found;
            }
            if (one->starts.at[one->i] < first->starts.at[first->i]) first = one;
        }
        if (!together) continue;
        found++;
        if (++first->i == first->starts.n) return found;
    }
}

static int by_documents(const void *a, const void *b) {
    const idx_text_cursor *x = *(idx_text_cursor *const *)a, *y = *(idx_text_cursor *const *)b;
    return (x->n_postings > y->n_postings) - (x->n_postings < y->n_postings);
}

static int near_run(near *q, const idx_docs *within, idx_made *out) {
    idx_text_cursor **order = malloc(q->n_parts * sizeof *order);
    if (!order) return IDX_TEXT_MEMORY;
    for (uint32_t i = 0; i < q->n_parts; i++) order[i] = &q->parts[i].cursor;
    qsort(order, q->n_parts, sizeof *order, by_documents);
    int failed = IDX_TEXT_OK;
    size_t w = 0;
    uint32_t found;
    for (uint32_t doc = 0; doc != IDX_TERM_NONE && !failed;) {
        if (within) {
            while (w < within->n && within->at[w] < doc) w++;
            if (w == within->n) break;
            doc = within->at[w];
        }
        const uint32_t target = doc;
        for (uint32_t i = 0; i < q->n_parts && doc == target; i++) doc = idx_text_cursor_seek(order[i], target);
        if (doc != target) continue; /* at the next document that one of them has */
        const int all = find_starts(q);
        if (all < 0)
            failed = all;
        else if (all && (found = clumps(q)))
            failed = idx_made_push(out, doc, found);
        doc++;
    }
    for (uint32_t i = 0; i < q->n_parts && !failed; i++) failed = q->parts[i].cursor.failed;
    free(order);
    return failed;
}

int idx_near_make(idx_tree *t, uint32_t branch, const idx_docs *within, idx_made *out) {
    near q;
    int got = near_init(&q, t, branch);
    if (got == 1) got = near_run(&q, within, out);
    near_free(&q);
    return got;
}
