/* Tokenisers. Bytes below 0x80 go through one table; the rest is decoded, classified and folded character by character. */
#include "indexes/csrc/text_tokens.h"
#include "indexes/csrc/text_chars.h"

typedef struct {
    const idx_text_rules *rules;
    const uint8_t *text, *end;
    idx_vocab *vocab;
    idx_tokens *out;
    uint32_t hint;
} scan;

typedef struct {
    uint8_t bytes[IDX_TERM_MOST + 4];
    unsigned n, most; /* most falls to n when a character did not fit: what follows it must not be added either */
} word;

enum { MULTIBYTE = 0xff, RING = 16 };

/* What the byte is in a word: 0 not part of one, MULTIBYTE to be decoded, or the folded byte. */
static inline uint8_t ascii(uint8_t byte) {
    if (byte >= 0x80) return MULTIBYTE;
    if ((uint8_t)(byte - '0') < 10 || (uint8_t)(byte - 'a') < 26) return byte;
    return (uint8_t)(byte - 'A') < 26 ? byte | 0x20 : 0;
}

int idx_tokens_push(idx_tokens *t, uint32_t id, uint64_t start, uint64_t end) {
    uint32_t *ids = idx_grow(t->ids, t->n, &t->cap, 1, sizeof *ids);
    if (!ids) return -1;
    t->ids = ids;
    if (t->with_spans) {
        uint64_t *spans = idx_grow(t->spans, t->n, &t->spans_cap, 1, sizeof *spans);
        if (!spans) return -1;
        t->spans = spans;
        spans[t->n] = start << 32 | end;
    }
    ids[t->n++] = id;
    return 0;
}

void idx_tokens_clear(idx_tokens *t) {
    free(t->ids);
    free(t->spans);
    *t = (idx_tokens){.with_spans = t->with_spans};
}

static int emit(scan *s, const uint8_t *term, size_t n, const uint8_t *start, const uint8_t *end) {
    const uint32_t id = idx_vocab_intern(s->vocab, term, n);
    if (id == IDX_TERM_NONE) return -1;
    return idx_tokens_push(s->out, id, (uint64_t)(start - s->text), (uint64_t)(end - s->text));
}

static inline void add(word *w, uint32_t cp) {
    uint8_t bytes[4];
    const unsigned n = idx_utf8_put(cp, bytes);
    if (w->n + n > w->most) {
        w->most = w->n;
        return;
    }
    memcpy(w->bytes + w->n, bytes, 4);
    w->n += n;
}

/* A run of ideographs from p on; returns its end, or NULL when out of memory. */
static const uint8_t *ideographs(scan *s, const uint8_t *p) {
    const uint8_t *before = NULL; /* the character before p, in the run */
    int paired = s->rules->singles != 0;
    while (p < s->end) {
        uint32_t cp;
        const unsigned n = idx_utf8_next(p, s->end, &cp);
        if (!n || idx_char_class(cp, &s->hint) != IDX_CHAR_IDEOGRAPH) break;
        if (s->rules->singles) {
            if (emit(s, p, n, p, p + n)) return NULL;
        } else if (before) {
            if (emit(s, before, (size_t)(p + n - before), before, p + n)) return NULL;
            paired = 1;
        }
        before = p;
        p += n;
    }
    return paired || emit(s, before, (size_t)(p - before), before, p) == 0 ? p : NULL;
}

/* The word from p on, whose first character is a word's; returns its end. */
static const uint8_t *take_word(scan *s, const uint8_t *p, word *w) {
    const int fold = s->rules->fold != 0;
    w->n = 0, w->most = IDX_TERM_MOST;
    while (p < s->end) {
        const uint8_t c = ascii(*p);
        if (c == 0) break;
        if (c != MULTIBYTE) {
            if (w->n < w->most) w->bytes[w->n++] = fold ? c : *p;
            p++;
            continue;
        }
        uint32_t cp;
        const unsigned n = idx_utf8_next(p, s->end, &cp);
        if (!n || idx_char_class(cp, &s->hint) != IDX_CHAR_WORD) break;
        add(w, fold ? idx_char_fold(cp) : cp);
        p += n;
    }
    return p;
}

static int words(scan *s) {
    word w;
    for (const uint8_t *p = s->text; p < s->end;) {
        const uint8_t c = ascii(*p);
        if (c == 0) {
            p++;
            continue;
        }
        if (c == MULTIBYTE) {
            uint32_t cp;
            const unsigned n = idx_utf8_next(p, s->end, &cp);
            const int kind = n ? idx_char_class(cp, &s->hint) : IDX_CHAR_OTHER;
            if (kind == IDX_CHAR_OTHER) {
                p += n ? n : 1;
                continue;
            }
            if (kind == IDX_CHAR_IDEOGRAPH) {
                if (!(p = ideographs(s, p))) return -1;
                continue;
            }
        }
        const uint8_t *start = p;
        p = take_word(s, p, &w);
        if (emit(s, w.bytes, w.n, start, p)) return -1;
    }
    return 0;
}

static int is_space(uint32_t cp) { /* as Python's str.isspace */
    return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32) || cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static int between_spaces(scan *s) {
    word w = {.most = IDX_TERM_MOST};
    const uint8_t *start = NULL;
    for (const uint8_t *p = s->text; p <= s->end;) {
        uint32_t cp = ' ';
        const unsigned n = p < s->end ? idx_utf8_next(p, s->end, &cp) : 1;
        if (n == 0 || is_space(cp)) {
            if (start && emit(s, w.bytes, w.n, start, p)) return -1;
            start = NULL;
            p += n ? n : 1;
            continue;
        }
        if (!start) start = p, w.n = 0, w.most = IDX_TERM_MOST;
        add(&w, s->rules->fold ? idx_char_fold(cp) : cp);
        p += n;
    }
    return 0;
}

static int ngrams(scan *s) {
    const unsigned want = s->rules->ngram;
    const uint8_t *starts[RING]; /* of the last characters */
    uint32_t chars[RING];
    unsigned have = 0;
    for (const uint8_t *p = s->text; p < s->end;) {
        uint32_t cp;
        const unsigned n = idx_utf8_next(p, s->end, &cp);
        if (!n) {
            have = 0, p++;
            continue;
        }
        starts[have % want] = p, chars[have % want] = s->rules->fold ? idx_char_fold(cp) : cp;
        have++, p += n;
        if (have < want) continue;
        word w = {.most = IDX_TERM_MOST};
        for (unsigned i = 0; i < want; i++) add(&w, chars[(have + i) % want]);
        if (emit(s, w.bytes, w.n, starts[have % want], p)) return -1;
        if (have == 2 * want) have = want; /* the same place in the ring, and no overflow */
    }
    return 0;
}

int idx_tokenise(const idx_text_rules *rules, const uint8_t *text, size_t n, idx_vocab *vocab, idx_tokens *out) {
    scan s = {.rules = rules, .text = text, .end = text + n, .vocab = vocab, .out = out};
    if (rules->kind == IDX_TOKENS_WHITESPACE) return between_spaces(&s);
    if (rules->kind == IDX_TOKENS_NGRAM) return rules->ngram >= 1 && rules->ngram <= RING ? ngrams(&s) : -1;
    return words(&s);
}

struct idx_text_scan {
    idx_vocab vocab;
    idx_tokens tokens;
};

int idx_scan_text(const idx_text_rules *rules, const uint8_t *text, size_t n, idx_text_scan **out) {
    idx_text_scan *scan = calloc(1, sizeof *scan);
    if (!scan) return -1;
    scan->tokens.with_spans = 1;
    if (idx_tokenise(rules, text, n, &scan->vocab, &scan->tokens)) {
        idx_scan_free(scan);
        return -1;
    }
    *out = scan;
    return 0;
}

void idx_scan_free(idx_text_scan *scan) {
    if (!scan) return;
    idx_vocab_clear(&scan->vocab);
    idx_tokens_clear(&scan->tokens);
    free(scan);
}

void idx_scan_sizes(const idx_text_scan *scan, size_t *tokens, size_t *terms, size_t *bytes) {
    *tokens = scan->tokens.n, *terms = scan->vocab.n, *bytes = scan->vocab.bytes.n;
}

void idx_scan_get(const idx_text_scan *scan, uint32_t *ids, uint64_t *spans, uint8_t *text, uint64_t *offsets) {
    if (scan->tokens.n) {
        memcpy(ids, scan->tokens.ids, scan->tokens.n * sizeof *ids);
        memcpy(spans, scan->tokens.spans, scan->tokens.n * sizeof *spans);
    }
    if (scan->vocab.bytes.n) memcpy(text, scan->vocab.bytes.at, scan->vocab.bytes.n);
    for (size_t i = 0; i < scan->vocab.n; i++) offsets[i] = scan->vocab.terms[i] >> 8;
    offsets[scan->vocab.n] = scan->vocab.bytes.n;
}
