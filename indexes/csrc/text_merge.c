/* Merging, checking and taking apart. */
#include "indexes/csrc/text_merge.h"
#include "indexes/csrc/text_cursor.h"
#include "indexes/csrc/text_writer.h"

typedef struct {
    const idx_text_segment *segment;
    uint32_t *map; /* ordinal here -> in the result, IDX_TERM_NONE: hidden */
    idx_dict_iter terms;
    int has_term, in_term; /* a term at hand; it is the one being written */
    idx_text_cursor cursor;
    idx_positions positions;
    uint32_t doc; /* of the cursor, as the result numbers it */
} source;

typedef struct {
    source *sources;
    size_t n;
    uint64_t *rows;
    uint32_t *lengths, n_docs;
} merge;

static int map_rows(merge *m, const uint64_t *const *hide, const size_t *n_hide, uint64_t *twice) {
    size_t total = 0;
    for (size_t i = 0; i < m->n; i++) total += m->sources[i].segment->n_docs;
    /* uncovered (guard): more than a test can hold */
    if (total > INT32_MAX) return IDX_TEXT_LIMIT;
    m->rows = calloc(total + 1, sizeof *m->rows);
    m->lengths = calloc(total + 1, sizeof *m->lengths);
    size_t *at = calloc(2 * m->n + 1, sizeof *at), *hidden = at + m->n;
    int failed = m->rows && m->lengths && at ? IDX_TEXT_OK : IDX_TEXT_MEMORY;
    for (size_t i = 0; i < m->n && !failed; i++)
        if (!(m->sources[i].map = malloc((m->sources[i].segment->n_docs + (size_t)1) * sizeof(uint32_t)))) failed = IDX_TEXT_MEMORY;
    while (!failed) {
        size_t least = m->n;
        uint64_t row = 0;
        for (size_t i = 0; i < m->n; i++) {
            const idx_text_segment *s = m->sources[i].segment;
            for (; at[i] < s->n_docs; at[i]++) { /* to the next document that is not hidden */
                const uint64_t here = idx_segment_row(s, (uint32_t)at[i]);
                while (hidden[i] < n_hide[i] && hide[i][hidden[i]] < here) hidden[i]++;
                if (hidden[i] == n_hide[i] || hide[i][hidden[i]] != here) break;
                m->sources[i].map[at[i]] = IDX_TERM_NONE;
            }
            if (at[i] == s->n_docs) continue;
            const uint64_t here = idx_segment_row(s, (uint32_t)at[i]);
            if (least == m->n || here < row) least = i, row = here;
        }
        if (least == m->n) break;
        if (m->n_docs && m->rows[m->n_docs - 1] >= row) { /* within one view rows ascend, unless it is damaged */
            const uint32_t same_view = at[least] ? m->sources[least].map[at[least] - 1] : IDX_TERM_NONE;
            failed = m->rows[m->n_docs - 1] > row || same_view == m->n_docs - 1 ? IDX_TEXT_DAMAGED : IDX_TEXT_QUERY;
            *twice = row;
        }
        m->rows[m->n_docs] = row;
        m->lengths[m->n_docs] = idx_segment_length(m->sources[least].segment, (uint32_t)at[least]);
        m->sources[least].map[at[least]++] = m->n_docs++;
    }
    free(at);
    return failed;
}

/* Moves the source's cursor to its next document that is not hidden. */
static void next_doc(source *s, int first) {
    if (first) {
        if (idx_text_cursor_load(&s->cursor, 0)) s->in_term = 0;
    } else if (idx_text_cursor_next(&s->cursor) == IDX_TERM_NONE) {
        s->in_term = 0;
    }
    while (s->in_term && (s->doc = s->map[s->cursor.docs[s->cursor.i]]) == IDX_TERM_NONE)
        if (idx_text_cursor_next(&s->cursor) == IDX_TERM_NONE) s->in_term = 0;
}

static int write_term(merge *m, const idx_dict_iter *term, idx_writer *w) {
    uint8_t bytes[IDX_TERM_MOST];
    const unsigned n = term->n;
    memcpy(bytes, term->bytes, n);
    for (size_t i = 0; i < m->n; i++) {
        source *s = &m->sources[i];
        s->in_term = s->has_term && s->terms.n == n && memcmp(s->terms.bytes, bytes, n) == 0;
        if (!s->in_term) continue;
        idx_text_cursor_packed(&s->cursor, s->segment, &s->terms.term);
        s->positions.block = IDX_TERM_NONE;
        next_doc(s, 1);
        if (s->cursor.failed) return s->cursor.failed;
    }
    for (uint64_t before = 0;;) {
        source *least = NULL;
        for (size_t i = 0; i < m->n; i++)
            if (m->sources[i].in_term && (!least || m->sources[i].doc < least->doc)) least = &m->sources[i];
        if (!least) break;
        if (least->doc < before) return IDX_TEXT_DAMAGED;
        before = (uint64_t)least->doc + 1;
        int failed = idx_positions_read(&least->positions, &least->cursor);
        if (!failed && least->positions.n == 0) failed = IDX_TEXT_DAMAGED;
        if (!failed) failed = idx_writer_posting(w, least->doc, least->positions.at, (uint32_t)least->positions.n);
        next_doc(least, 0);
        if (failed || least->cursor.failed) return failed ? failed : least->cursor.failed;
    }
    const int failed = idx_writer_term(w, bytes, n);
    for (size_t i = 0; i < m->n && !failed; i++) {
        source *s = &m->sources[i];
        if (!s->has_term || s->terms.n != n || memcmp(s->terms.bytes, bytes, n)) continue;
        const int got = idx_dict_next(&s->terms);
        if (got < 0) return got;
        s->has_term = got;
    }
    return failed;
}

static int merge_terms(merge *m, idx_writer *w) {
    for (size_t i = 0; i < m->n; i++) {
        idx_dict_first(&m->sources[i].terms, m->sources[i].segment);
        idx_positions_init(&m->sources[i].positions);
    }
    int failed = IDX_TEXT_OK;
    for (size_t i = 0; i < m->n && !failed; i++) {
        const int got = idx_dict_next(&m->sources[i].terms);
        m->sources[i].has_term = got > 0;
        if (got < 0) failed = got;
    }
    while (!failed) {
        const idx_dict_iter *least = NULL;
        for (size_t i = 0; i < m->n; i++) {
            const idx_dict_iter *it = &m->sources[i].terms;
            if (!m->sources[i].has_term) continue;
            const int order = least ? memcmp(it->bytes, least->bytes, it->n < least->n ? it->n : least->n) : -1;
            if (order < 0 || (order == 0 && it->n < least->n)) least = it;
        }
        if (!least) break;
        failed = write_term(m, least, w);
    }
    for (size_t i = 0; i < m->n; i++) idx_positions_free(&m->sources[i].positions);
    return failed;
}

int idx_text_merge(const idx_text_segment *const *views, size_t n, const uint64_t *const *hide, const size_t *n_hide,
                   const uint8_t *signature, size_t signature_n, uint8_t **bytes, size_t *size, uint64_t *row) {
    merge m = {.sources = calloc(n + 1, sizeof *m.sources), .n = n};
    idx_writer w = {0};
    if (!m.sources) return IDX_TEXT_MEMORY;
    for (size_t i = 0; i < n; i++) m.sources[i].segment = views[i];
    int failed = map_rows(&m, hide, n_hide, row);
    if (!failed) failed = idx_writer_begin(&w, m.rows, m.lengths, m.n_docs, signature, signature_n);
    if (!failed) failed = merge_terms(&m, &w);
    if (!failed) failed = idx_writer_finish(&w, bytes, size);
    if (failed) idx_writer_abandon(&w);
    for (size_t i = 0; i < n; i++) free(m.sources[i].map);
    free(m.sources);
    free(m.rows);
    free(m.lengths);
    return failed;
}

int64_t idx_text_terms_size(const idx_text_segment *segment) {
    idx_dict_iter it;
    int64_t size = 0;
    int got;
    idx_dict_first(&it, segment);
    while ((got = idx_dict_next(&it)) == 1) size += it.n;
    return got < 0 ? got : size;
}

int idx_text_terms(const idx_text_segment *segment, uint8_t *text, uint64_t *offsets, uint32_t *documents) {
    idx_dict_iter it;
    uint64_t at = 0;
    int got;
    idx_dict_first(&it, segment);
    while ((got = idx_dict_next(&it)) == 1) {
        memcpy(text + at, it.bytes, it.n);
        *documents++ = it.term.documents;
        *offsets++ = at;
        at += it.n;
    }
    *offsets = at;
    return got;
}

typedef int visit(void *state, const idx_dict_iter *term, uint32_t doc, const uint32_t *positions, size_t n);

/* Every posting of the segment, by term and document; documents and positions were found to ascend. */
static int visit_all(const idx_text_segment *segment, visit *each, void *state) {
    idx_dict_iter it;
    idx_text_cursor c;
    idx_positions p;
    int got, failed = IDX_TEXT_OK;
    idx_dict_first(&it, segment);
    idx_positions_init(&p);
    while (!failed && (got = idx_dict_next(&it)) == 1) {
        uint64_t before = 0, occurrences = 0;
        idx_text_cursor_packed(&c, segment, &it.term);
        p.block = IDX_TERM_NONE;
        for (uint32_t block = 0; !failed && block < c.n_blocks && idx_text_cursor_load(&c, block) == 0; block++) {
            for (c.i = 0; c.i < c.n && !failed; c.i++) {
                failed = idx_positions_read(&p, &c);
                for (size_t i = 1; i < p.n && !failed; i++)
                    if (p.at[i] <= p.at[i - 1]) failed = IDX_TEXT_DAMAGED;
                if (!failed && (c.docs[c.i] < before || p.n == 0)) failed = IDX_TEXT_DAMAGED;
                before = (uint64_t)c.docs[c.i] + 1, occurrences += p.n;
                if (!failed) failed = each(state, &it, c.docs[c.i], p.at, p.n);
            }
            if (!failed && c.n_blocks > 1 && idx_text_cursor_last(&c, block) != c.docs[c.n - 1]) failed = IDX_TEXT_DAMAGED;
        }
        if (!failed) failed = c.failed ? c.failed : occurrences == it.term.occurrences ? IDX_TEXT_OK : IDX_TEXT_DAMAGED;
    }
    idx_positions_free(&p);
    return failed ? failed : got < 0 ? got : IDX_TEXT_OK;
}

typedef struct {
    uint32_t *terms, *docs, *positions;
    uint64_t n, most;
} occurrences;

static int take(void *state, const idx_dict_iter *term, uint32_t doc, const uint32_t *positions, size_t n) {
    occurrences *o = state;
    if (n > o->most - o->n) return IDX_TEXT_DAMAGED;
    for (size_t i = 0; i < n; i++, o->n++) o->terms[o->n] = term->term.ordinal, o->docs[o->n] = doc, o->positions[o->n] = positions[i];
    return IDX_TEXT_OK;
}

int idx_text_occurrences(const idx_text_segment *segment, uint32_t *terms, uint32_t *docs, uint32_t *positions) {
    occurrences o = {terms, docs, positions, 0, segment->tokens};
    const int failed = visit_all(segment, take, &o);
    return failed ? failed : o.n == o.most ? IDX_TEXT_OK : IDX_TEXT_DAMAGED;
}

static int subtract(void *state, const idx_dict_iter *term, uint32_t doc, const uint32_t *positions, size_t n) {
    int64_t *left = state;
    (void)term, (void)positions;
    left[doc] -= (int64_t)n;
    return IDX_TEXT_OK;
}

int idx_text_check(const idx_text_segment *segment) {
    idx_dict_iter it, before = {.n = 0};
    int got;
    idx_dict_first(&it, segment);
    for (uint32_t i = 0; (got = idx_dict_next(&it)) == 1; before = it, i++) {
        const int order = memcmp(before.bytes, it.bytes, before.n < it.n ? before.n : it.n);
        if (i && (order > 0 || (order == 0 && before.n >= it.n))) return IDX_TEXT_DAMAGED;
        if (it.next % TEXT_DICT_BLOCK == 1) {
            const uint8_t *fence = segment->section[TEXT_FENCES] + (size_t)(it.next / TEXT_DICT_BLOCK) * TEXT_FENCE;
            const uint64_t postings = (uint64_t)(it.term.postings - segment->section[TEXT_POSTINGS]);
            const uint64_t positions = (uint64_t)(it.term.positions - segment->section[TEXT_POSITIONS]);
            if (idx_load64(fence + 4) != postings || idx_load64(fence + 12) != positions) return IDX_TEXT_DAMAGED;
        }
    }
    if (got < 0) return got;
    int64_t *left = malloc(((size_t)segment->n_docs + 1) * sizeof *left);
    if (!left) return IDX_TEXT_MEMORY;
    uint64_t tokens = 0;
    int failed = IDX_TEXT_OK;
    for (uint32_t doc = 0; doc < segment->n_docs; doc++) {
        tokens += idx_segment_length(segment, doc);
        left[doc] = idx_segment_length(segment, doc);
        if (doc && idx_segment_row(segment, doc) <= idx_segment_row(segment, doc - 1)) failed = IDX_TEXT_DAMAGED;
    }
    if (tokens != segment->tokens) failed = IDX_TEXT_DAMAGED;
    if (!failed) failed = visit_all(segment, subtract, left);
    for (uint32_t doc = 0; doc < segment->n_docs && !failed; doc++)
        if (left[doc]) failed = IDX_TEXT_DAMAGED;
    free(left);
    return failed;
}
