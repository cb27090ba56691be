/* Freezing: the forward lists of the live documents are turned by counting sort into the postings of the terms in order. */
#include "indexes/csrc/text_memory.h"
#include "indexes/csrc/text_writer.h"

typedef struct {
    uint64_t row;
    uint32_t doc;
} row_doc;

typedef struct {
    uint64_t head; /* the first eight bytes, big-endian: most terms differ there */
    const uint8_t *at;
    uint32_t n, id;
} sortable;

typedef struct {
    uint32_t n_docs, *order; /* documents of the component by ascending row id */
    uint64_t *rows;
    uint32_t *lengths;
    uint32_t n_terms;
    sortable *terms; /* used ones, ascending */
    uint64_t *starts; /* by id: where its occurrences begin, then where the next goes */
    uint32_t *docs, *positions; /* of each occurrence, by term, document, position */
} inversion;

static int by_row(const void *a, const void *b) {
    const uint64_t x = ((const row_doc *)a)->row, y = ((const row_doc *)b)->row;
    return (x > y) - (x < y);
}

static int by_bytes(const void *a, const void *b) {
    const sortable *x = a, *y = b;
    if (x->head != y->head) return x->head < y->head ? -1 : 1;
    const int order = memcmp(x->at, y->at, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static void inversion_free(inversion *v) {
    free(v->order);
    free(v->rows);
    free(v->lengths);
    free(v->terms);
    free(v->starts);
    free(v->docs);
    free(v->positions);
}

static int order_documents(const idx_text_memory *m, inversion *v) {
    const size_t n = m->live_docs;
    row_doc *pairs = malloc((n + 1) * sizeof *pairs);
    v->order = malloc((n + 1) * sizeof *v->order);
    v->rows = malloc((n + 1) * sizeof *v->rows);
    v->lengths = malloc((n + 1) * sizeof *v->lengths);
    if (!pairs || !v->order || !v->rows || !v->lengths) {
        free(pairs);
        return IDX_TEXT_MEMORY;
    }
    for (uint32_t doc = 0; doc < m->n_docs; doc++)
        if (!idx_text_memory_dead(m, doc)) pairs[v->n_docs++] = (row_doc){m->docs[doc].row, doc};
    if (!m->ascending) qsort(pairs, v->n_docs, sizeof *pairs, by_row);
    for (uint32_t i = 0; i < v->n_docs; i++) {
        v->order[i] = pairs[i].doc, v->rows[i] = pairs[i].row;
        v->lengths[i] = m->docs[pairs[i].doc].length;
    }
    free(pairs);
    return IDX_TEXT_OK;
}

static uint64_t head_of(const uint8_t *p, unsigned n) {
    uint64_t head = 0;
    for (unsigned i = 0; i < 8; i++) head = head << 8 | (i < n ? p[i] : 0);
    return head;
}

/* Counts the occurrences, sorts the terms that have any, and gives each its place. */
static int order_terms(const idx_text_memory *m, inversion *v) {
    v->starts = calloc(m->terms.n + 1, sizeof *v->starts);
    v->terms = malloc((m->terms.n + 1) * sizeof *v->terms);
    if (!v->starts || !v->terms) return IDX_TEXT_MEMORY;
    for (uint32_t i = 0; i < v->n_docs; i++) {
        const idx_doc *d = &m->docs[v->order[i]];
        for (uint32_t j = 0; j < d->tokens; j++) {
            const uint32_t id = m->tokens.ids[d->at + j];
            if (id != IDX_TERM_NONE) v->starts[id]++;
        }
    }
    for (uint32_t id = 0; id < m->terms.n; id++) {
        if (!v->starts[id]) continue;
        unsigned n;
        const uint8_t *at = idx_vocab_term(&m->terms, id, &n);
        v->terms[v->n_terms++] = (sortable){head_of(at, n), at, n, id};
    }
    qsort(v->terms, v->n_terms, sizeof *v->terms, by_bytes);
    uint64_t start = 0;
    for (uint32_t i = 0; i < v->n_terms; i++) {
        const uint64_t n = v->starts[v->terms[i].id];
        v->starts[v->terms[i].id] = start;
        start += n;
    }
    return IDX_TEXT_OK;
}

static int scatter(const idx_text_memory *m, inversion *v) {
    v->docs = malloc((m->live_tokens + 1) * sizeof *v->docs);
    v->positions = malloc((m->live_tokens + 1) * sizeof *v->positions);
    if (!v->docs || !v->positions) return IDX_TEXT_MEMORY;
    for (uint32_t i = 0; i < v->n_docs; i++) {
        const idx_doc *d = &m->docs[v->order[i]];
        for (uint32_t j = 0; j < d->tokens; j++) {
            const uint32_t id = m->tokens.ids[d->at + j];
            if (id == IDX_TERM_NONE) continue;
            const uint64_t to = v->starts[id]++;
            v->docs[to] = i, v->positions[to] = j;
        }
    }
    return IDX_TEXT_OK;
}

static int write_terms(const inversion *v, idx_writer *w) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < v->n_terms; i++) {
        const sortable *term = &v->terms[i];
        for (const uint64_t end = v->starts[term->id]; at < end;) {
            uint64_t next = at + 1;
            while (next < end && v->docs[next] == v->docs[at]) next++;
            const int failed = idx_writer_posting(w, v->docs[at], v->positions + at, (uint32_t)(next - at));
            if (failed) return failed;
            at = next;
        }
        const int failed = idx_writer_term(w, term->at, term->n);
        if (failed) return failed;
    }
    return IDX_TEXT_OK;
}

int idx_text_memory_freeze(const idx_text_memory *m, const uint8_t *signature, size_t n, uint8_t **bytes, size_t *size) {
    if (m->broken) return IDX_TEXT_MEMORY;
    inversion v = {0};
    idx_writer w = {0};
    int failed = order_documents(m, &v);
    if (!failed) failed = order_terms(m, &v);
    if (!failed) failed = scatter(m, &v);
    if (!failed) failed = idx_writer_begin(&w, v.rows, v.lengths, v.n_docs, signature, n);
    if (!failed) failed = write_terms(&v, &w);
    if (!failed) failed = idx_writer_finish(&w, bytes, size);
    if (failed) idx_writer_abandon(&w);
    inversion_free(&v);
    return failed;
}

void idx_text_free_bytes(uint8_t *bytes) { free(bytes); }
