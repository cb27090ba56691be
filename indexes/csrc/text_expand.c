/* Leaves that stand for many terms of the dictionary: prefixes, patterns, and terms within an edit distance.
 *
 * The edit distance walks the sorted dictionary as if it were a trie: rows of the dynamic program stay valid for the bytes shared with the
 * term before, and a prefix all of whose cells exceed the distance is skipped with everything below it, to the next character that the
 * query still has there. Only the 2 k + 1 cells around the diagonal are kept: Ukkonen, "Algorithms for approximate string matching",
 * Information and Control 1985.
 */
#include "indexes/csrc/text_chars.h"
#include "indexes/csrc/text_query.h"

enum { BAND = 2 * IDX_FUZZY_MOST + 1 };

typedef struct {
    uint32_t query[IDX_TERM_MOST + 1];
    unsigned n, most; /* characters of the query, distance */
    unsigned depth; /* rows[0 .. depth] are known */
    unsigned ends[IDX_TERM_MOST + 2]; /* bytes of the term that a row is behind */
    uint8_t rows[IDX_TERM_MOST + 2][BAND]; /* cell j - i + most of row i */
} fuzzy;

typedef struct {
    idx_term term;
    uint32_t id;
} match;

typedef struct {
    idx_tree *tree;
    const idx_text_node *node;
    const uint8_t *text;
    size_t n;
    fuzzy *fuzzy;
    match *matches;
    size_t n_matches, cap;
    uint64_t postings; /* of the matches together */
} expansion;

/* The characters of a term; bytes that are no character count as one each. */
static unsigned step_char(const uint8_t *p, const uint8_t *end, uint32_t *cp) {
    const unsigned n = idx_utf8_next(p, end, cp);
    if (n) return n;
    *cp = 0x110000u + *p;
    return 1;
}

static void fuzzy_init(fuzzy *f, const uint8_t *text, size_t n, unsigned most) {
    f->n = 0, f->most = most, f->depth = 0, f->ends[0] = 0;
    for (const uint8_t *p = text; p < text + n;) p += step_char(p, text + n, &f->query[f->n++]);
    for (unsigned d = 0; d < BAND; d++) f->rows[0][d] = (uint8_t)(d >= most && d - most <= f->n && d <= 2 * most ? d - most : most + 1);
}

/* Adds a character: the row behind it. 1 while some cell is within the distance. */
static int fuzzy_step(fuzzy *f, uint32_t cp, unsigned end) {
    const unsigned i = f->depth + 1, most = f->most;
    const uint8_t *above = f->rows[f->depth];
    uint8_t *row = f->rows[i];
    int alive = 0;
    for (unsigned d = 0; d <= 2 * most; d++) {
        uint8_t best = (uint8_t)(most + 1);
        if (i + d >= most && i + d - most <= f->n) {
            const unsigned j = i + d - most;
            if (d < 2 * most && above[d + 1] + 1 < best) best = (uint8_t)(above[d + 1] + 1);
            if (d > 0 && row[d - 1] + 1 < best) best = (uint8_t)(row[d - 1] + 1);
            if (j > 0 && above[d] + (f->query[j - 1] != cp) < best) best = (uint8_t)(above[d] + (f->query[j - 1] != cp));
        }
        row[d] = best;
        alive |= best <= most;
    }
    f->ends[i] = end;
    f->depth = i;
    return alive;
}

/* Reads a term of which the first `shared` bytes are as before. Bytes of the prefix that is too far, or 0; *hit: it is near enough. */
static unsigned fuzzy_term(fuzzy *f, const uint8_t *term, unsigned n, unsigned shared, int *hit) {
    *hit = 0;
    while (f->depth && f->ends[f->depth] > shared) f->depth--;
    for (unsigned at = f->ends[f->depth]; at < n;) {
        uint32_t cp;
        at += step_char(term + at, term + n, &cp);
        if (!fuzzy_step(f, cp, at)) return at;
    }
    const unsigned d = f->n + f->most - f->depth; /* the last cell of the row, when it is in the band */
    *hit = f->depth <= f->n + f->most && d <= 2 * f->most && f->rows[f->depth][d] <= f->most;
    return 0;
}

/* Whether the whole term matches the pattern; ? is any character, * any number of them. */
static int glob_matches(const uint8_t *p, const uint8_t *p_end, const uint8_t *s, const uint8_t *s_end) {
    const uint8_t *star = NULL, *retry = NULL;
    uint32_t cp;
    while (s < s_end) {
        if (p < p_end && *p == '*') {
            star = ++p, retry = s;
        } else if (p < p_end && *p == '?') {
            p++, s += step_char(s, s_end, &cp);
        } else if (p < p_end && *p == *s) {
            p++, s++;
        } else if (star) {
            p = star, retry += step_char(retry, s_end, &cp), s = retry;
        } else {
            return 0;
        }
    }
    while (p < p_end && *p == '*') p++;
    return p == p_end;
}

static int keep(expansion *e, const idx_term *term, uint32_t id, uint32_t documents) {
    match *matches = idx_grow(e->matches, e->n_matches, &e->cap, 1, sizeof *matches);
    if (!matches) return IDX_TEXT_MEMORY;
    e->matches = matches;
    matches[e->n_matches].id = id;
    if (term) matches[e->n_matches].term = *term;
    e->n_matches++;
    e->postings += documents;
    return IDX_TEXT_OK;
}

static size_t literal(const expansion *e) { /* bytes that every match starts with */
    size_t n = 0;
    while (n < e->n && e->text[n] != '*' && e->text[n] != '?') n++;
    return e->node->kind == IDX_NODE_GLOB ? n : e->n;
}

static int scan_sorted(expansion *e) {
    idx_dict_iter it = {.segment = e->tree->part.segment};
    const size_t prefix = literal(e);
    int got, failed = IDX_TEXT_OK;
    for (got = idx_dict_seek(&it, e->text, prefix); got == 1 && !failed; got = failed ? failed : idx_dict_next(&it)) {
        if (it.n < prefix || memcmp(it.bytes, e->text, prefix)) return IDX_TEXT_OK;
        if (e->node->kind == IDX_NODE_PREFIX || glob_matches(e->text, e->text + e->n, it.bytes, it.bytes + it.n))
            failed = keep(e, &it.term, 0, it.term.documents);
    }
    return got < 0 ? got : failed;
}

/* From a term whose first `dead` bytes are too far on to the next that may not be. The row before the last spent the whole distance, so
 * only characters of the query in the band could have gone on: the least of them above the one that was there. */
static int fuzzy_next(const fuzzy *f, idx_dict_iter *it, unsigned dead) {
    const uint8_t *above = f->rows[f->depth - 1];
    const unsigned parent = f->ends[f->depth - 1], i = f->depth;
    uint32_t was, best = UINT32_MAX;
    step_char(it->bytes + parent, it->bytes + dead, &was);
    if (was > 0x10ffff) return idx_dict_skip_prefix(it, dead); /* no character has a place behind it */
    for (unsigned d = 0; d <= 2 * f->most; d++) {
        if (i + d <= f->most || i + d - f->most > f->n || above[d] > f->most) continue;
        const uint32_t wanted = f->query[i + d - f->most - 1];
        if (wanted > was && wanted < best) best = wanted;
    }
    if (best > 0x10ffff || parent + 4 > IDX_TERM_MOST) return idx_dict_skip_prefix(it, best == UINT32_MAX ? parent : dead);
    uint8_t target[IDX_TERM_MOST + 4];
    memcpy(target, it->bytes, parent);
    return idx_dict_seek(it, target, parent + idx_utf8_put(best, target + parent));
}

static int scan_fuzzy(expansion *e) {
    idx_dict_iter it;
    idx_dict_first(&it, e->tree->part.segment);
    int got = idx_dict_next(&it), failed = IDX_TEXT_OK;
    while (got == 1 && !failed) {
        int hit;
        const unsigned dead = fuzzy_term(e->fuzzy, it.bytes, it.n, it.shared, &hit);
        if (hit) failed = keep(e, &it.term, 0, it.term.documents);
        const uint32_t before = it.next;
        got = dead ? fuzzy_next(e->fuzzy, &it, dead) : idx_dict_next(&it);
        if (got == 1 && it.next <= before) got = IDX_TEXT_DAMAGED; /* back in a dictionary that does not ascend */
    }
    return got < 0 ? got : failed;
}

static int scan_memory(expansion *e) {
    const idx_text_memory *m = e->tree->part.memory;
    const size_t prefix = literal(e);
    for (uint32_t id = 0; id < m->n_lists; id++) {
        unsigned n;
        const uint8_t *term = idx_vocab_term(&m->terms, id, &n);
        int hit;
        if (!m->lists[id].live) continue;
        if (e->node->kind == IDX_NODE_FUZZY)
            fuzzy_term(e->fuzzy, term, n, 0, &hit);
        else if (n < prefix || memcmp(term, e->text, prefix))
            continue;
        else
            hit = e->node->kind == IDX_NODE_PREFIX || glob_matches(e->text, e->text + e->n, term, term + n);
        if (hit && keep(e, NULL, id, m->lists[id].n)) return IDX_TEXT_MEMORY;
    }
    return IDX_TEXT_OK;
}

static int open_match(const expansion *e, const match *m, idx_text_cursor *c) {
    if (e->tree->part.segment)
        idx_text_cursor_packed(c, e->tree->part.segment, &m->term);
    else
        idx_text_cursor_memory(c, e->tree->part.memory, m->id);
    return c->failed;
}

static int by_doc(const void *a, const void *b) {
    const idx_posting *x = a, *y = b;
    return (x->doc > y->doc) - (x->doc < y->doc);
}

/* Few postings: all of them sorted, then those of one document added up. */
static int unite_sorted(const expansion *e, idx_made *out) {
    idx_text_cursor c;
    for (size_t i = 0; i < e->n_matches; i++) {
        if (open_match(e, &e->matches[i], &c)) return c.failed;
        for (uint32_t block = 0; block < c.n_blocks && idx_text_cursor_load(&c, block) == 0; block++) {
            const uint32_t *frequencies = idx_text_cursor_frequencies(&c);
            for (uint32_t j = 0; j < c.n; j++)
                if (idx_made_push(out, c.docs[j], frequencies[j])) return IDX_TEXT_MEMORY;
        }
        if (c.failed) return c.failed;
    }
    if (e->n_matches > 1) qsort(out->at, out->n, sizeof *out->at, by_doc);
    size_t kept = 0;
    for (size_t i = 0; i < out->n; i++) {
        if (kept && out->at[kept - 1].doc == out->at[i].doc)
            out->at[kept - 1].frequency += out->at[i].frequency;
        else
            out->at[kept++] = out->at[i];
        if (out->at[kept - 1].frequency > out->most) out->most = out->at[kept - 1].frequency;
    }
    out->n = kept;
    return IDX_TEXT_OK;
}

/* Adds a list to the sums; marks tell which documents have one. */
static int add_list(const expansion *e, const match *m, uint32_t *sums, uint64_t *marks) {
    idx_text_cursor c;
    if (open_match(e, m, &c)) return c.failed;
    for (uint32_t block = 0; block < c.n_blocks && idx_text_cursor_load(&c, block) == 0; block++) {
        const uint32_t *frequencies = idx_text_cursor_frequencies(&c);
        for (uint32_t j = 0; j < c.n; j++) {
            const uint32_t doc = c.docs[j];
            const uint64_t bit = (uint64_t)1 << doc % 64, had = marks[doc / 64] & bit;
            sums[doc] = frequencies[j] + (had ? sums[doc] : 0);
            marks[doc / 64] |= bit;
        }
    }
    return c.failed;
}

/* Many: a sum for every document of the component that has any. */
static int unite_dense(const expansion *e, idx_made *out) {
    const uint32_t n_docs = e->tree->part.n_docs;
    const size_t words = (size_t)n_docs / 64 + 1;
    uint32_t *sums = malloc(((size_t)n_docs + 1) * sizeof *sums), most = 0;
    uint64_t *marks = calloc(words, sizeof *marks);
    int failed = sums && marks ? IDX_TEXT_OK : IDX_TEXT_MEMORY;
    for (size_t i = 0; i < e->n_matches && !failed; i++) failed = add_list(e, &e->matches[i], sums, marks);
    size_t n = 0;
    for (size_t w = 0; w < words && !failed; w++) n += (size_t)__builtin_popcountll(marks[w]);
    idx_posting *at = failed ? NULL : idx_grow(out->at, 0, &out->cap, n + 1, sizeof *at);
    if (!failed && !at) failed = IDX_TEXT_MEMORY;
    if (!failed) {
        out->at = at, out->n = n;
        for (size_t w = 0; w < words; w++) {
            for (uint64_t rest = marks[w]; rest; rest &= rest - 1) {
                const uint32_t doc = (uint32_t)(w * 64 + (size_t)__builtin_ctzll(rest));
                most = sums[doc] > most ? sums[doc] : most;
                *at++ = (idx_posting){doc, sums[doc]};
            }
        }
        out->most = most;
    }
    free(sums);
    free(marks);
    return failed;
}

int idx_expand_make(idx_tree *t, uint32_t leaf, idx_made *out) {
    const idx_text_node *node = t->branches[leaf].node;
    expansion e = {.tree = t, .node = node, .text = t->text + node->text, .n = node->n};
    int failed = IDX_TEXT_OK;
    if (node->kind == IDX_NODE_FUZZY) {
        if (!(e.fuzzy = malloc(sizeof *e.fuzzy))) return IDX_TEXT_MEMORY;
        fuzzy_init(e.fuzzy, e.text, e.n, node->number);
    }
    if (!t->part.segment)
        failed = scan_memory(&e);
    else
        failed = node->kind == IDX_NODE_FUZZY ? scan_fuzzy(&e) : scan_sorted(&e);
    if (!failed) failed = e.postings > t->part.n_docs / 64 + 16 ? unite_dense(&e, out) : unite_sorted(&e, out);
    free(e.fuzzy);
    free(e.matches);
    return failed;
}
