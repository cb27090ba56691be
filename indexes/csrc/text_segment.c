/* Reading a segment's header, columns and dictionary. */
#include "indexes/csrc/text_segment.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/postings.h"

int idx_text_open(const uint8_t *bytes, size_t n, int verify, idx_text_segment **out) {
    if (n < TEXT_HEADER + 8 || memcmp(bytes, TEXT_MAGIC, 8) || idx_load32(bytes + 8) != TEXT_VERSION) return IDX_TEXT_DAMAGED;
    idx_text_segment s = {.flags = idx_load32(bytes + 12), .n = n, .n_docs = idx_load32(bytes + 24), .n_terms = idx_load32(bytes + 28)};
    s.tokens = idx_load64(bytes + 32), s.first_row = idx_load64(bytes + 40);
    if (s.flags > (TEXT_ROWS_WIDE | TEXT_LENGTHS_WIDE) || s.n_docs > INT32_MAX || idx_load64(bytes + 16) != n) return IDX_TEXT_DAMAGED;
    if (idx_load64(bytes + TEXT_HEADER - 8) != idx_xxh3(bytes, TEXT_HEADER - 8)) return IDX_TEXT_DAMAGED;
    uint64_t start = 0;
    for (int i = 0; i < TEXT_SECTIONS; i++) {
        const uint64_t end = idx_load64(bytes + TEXT_ENDS + 8 * i);
        if (end < start || end > n - 8) return IDX_TEXT_DAMAGED;
        s.section[i] = bytes + start, s.size[i] = (size_t)(end - start);
        start = end;
    }
    const uint64_t fences = ((uint64_t)s.n_terms + TEXT_DICT_BLOCK - 1) / TEXT_DICT_BLOCK;
    if (start != n - 8 || s.size[0] != TEXT_HEADER || s.size[TEXT_ROWS] != (uint64_t)s.n_docs * (s.flags & TEXT_ROWS_WIDE ? 8 : 4) ||
        s.size[TEXT_LENGTHS] != (uint64_t)s.n_docs * (s.flags & TEXT_LENGTHS_WIDE ? 4 : 2) || s.size[TEXT_FENCES] != fences * TEXT_FENCE)
        return IDX_TEXT_DAMAGED;
    if (s.tokens / IDX_BLOCK > s.size[TEXT_POSITIONS]) return IDX_TEXT_DAMAGED; /* a byte holds the width of 128 positions */
    if (verify && idx_load64(bytes + n - 8) != idx_xxh3(bytes, n - 8)) return IDX_TEXT_DAMAGED;
    idx_text_segment *segment = malloc(sizeof *segment);
    if (!segment) return IDX_TEXT_MEMORY;
    *segment = s;
    *out = segment;
    return IDX_TEXT_OK;
}

void idx_text_close(idx_text_segment *segment) { free(segment); }

void idx_text_facts_of(const idx_text_segment *s, idx_text_facts *out) {
    *out = (idx_text_facts){.documents = s->n_docs,
                            .terms = s->n_terms,
                            .tokens = s->tokens,
                            .bytes = s->n,
                            .dictionary = s->size[TEXT_FENCES] + s->size[TEXT_DICTIONARY],
                            .postings = s->size[TEXT_POSTINGS],
                            .positions = s->size[TEXT_POSITIONS],
                            .signature = s->section[TEXT_SIGNATURE],
                            .signature_n = s->size[TEXT_SIGNATURE]};
}

void idx_text_rows(const idx_text_segment *s, uint64_t *out) {
    for (uint32_t i = 0; i < s->n_docs; i++) out[i] = idx_segment_row(s, i);
}

void idx_text_lengths(const idx_text_segment *s, uint32_t *out) {
    for (uint32_t i = 0; i < s->n_docs; i++) out[i] = idx_segment_length(s, i);
}

uint32_t idx_segment_doc(const idx_text_segment *s, uint64_t row) {
    uint32_t lo = 0, hi = s->n_docs; /* the first document with a row id >= row is in [lo, hi] */
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (idx_segment_row(s, mid) < row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n_docs && idx_segment_row(s, lo) == row ? lo : IDX_TERM_NONE;
}

/* Puts the iterator before the first term of a dictionary block. */
static int to_block(idx_dict_iter *it, uint32_t block) {
    const idx_text_segment *s = it->segment;
    const uint8_t *fence = s->section[TEXT_FENCES] + (size_t)block * TEXT_FENCE;
    const uint32_t offset = idx_load32(fence);
    it->postings = idx_load64(fence + 4), it->positions = idx_load64(fence + 12);
    if (offset > s->size[TEXT_DICTIONARY] || it->postings > s->size[TEXT_POSTINGS] || it->positions > s->size[TEXT_POSITIONS])
        return IDX_TEXT_DAMAGED;
    it->at = s->section[TEXT_DICTIONARY] + offset;
    it->next = block * TEXT_DICT_BLOCK;
    it->n = it->shared = 0;
    return IDX_TEXT_OK;
}

void idx_dict_first(idx_dict_iter *it, const idx_text_segment *segment) {
    it->segment = segment;
    it->at = segment->section[TEXT_DICTIONARY];
    it->next = 0, it->postings = it->positions = 0, it->n = it->shared = 0;
}

int idx_dict_next(idx_dict_iter *it) {
    const idx_text_segment *s = it->segment;
    if (it->next >= s->n_terms) return 0;
    const uint8_t *end = s->section[TEXT_DICTIONARY] + s->size[TEXT_DICTIONARY], *p = it->at;
    uint64_t shared, rest, documents, more, postings, positions;
    if (!(p = idx_varint(p, end, &shared)) || !(p = idx_varint(p, end, &rest))) return IDX_TEXT_DAMAGED;
    if (shared > it->n || rest > IDX_TERM_MOST - shared || rest > (size_t)(end - p)) return IDX_TEXT_DAMAGED;
    if (it->next % TEXT_DICT_BLOCK == 0 && shared) return IDX_TEXT_DAMAGED;
    memcpy(it->bytes + shared, p, rest);
    p += rest;
    if (!(p = idx_varint(p, end, &documents)) || !(p = idx_varint(p, end, &more)) || !(p = idx_varint(p, end, &postings)) ||
        !(p = idx_varint(p, end, &positions)))
        return IDX_TEXT_DAMAGED;
    if (documents == 0 || documents > s->n_docs || more > UINT64_MAX / 2 || postings > s->size[TEXT_POSTINGS] - it->postings ||
        positions > s->size[TEXT_POSITIONS] - it->positions)
        return IDX_TEXT_DAMAGED;
    it->term = (idx_term){.ordinal = it->next++,
                          .documents = (uint32_t)documents,
                          .occurrences = documents + more,
                          .postings = s->section[TEXT_POSTINGS] + it->postings,
                          .positions = s->section[TEXT_POSITIONS] + it->positions,
                          .postings_n = (size_t)postings,
                          .positions_n = (size_t)positions};
    it->n = (unsigned)(shared + rest), it->shared = (unsigned)shared;
    it->postings += postings, it->positions += positions;
    it->at = p;
    return 1;
}

static inline int compare(const uint8_t *a, size_t an, const uint8_t *b, size_t bn) {
    const int by_bytes = memcmp(a, b, an < bn ? an : bn);
    return by_bytes ? by_bytes : (an > bn) - (an < bn);
}

/* The last block whose first term is <= the bytes, or 0; or -1 when damaged. */
static int64_t block_of(const idx_text_segment *s, const uint8_t *term, size_t n) {
    const uint8_t *dictionary = s->section[TEXT_DICTIONARY], *end = dictionary + s->size[TEXT_DICTIONARY];
    uint32_t lo = 0, hi = (uint32_t)(s->size[TEXT_FENCES] / TEXT_FENCE);
    while (hi > lo + 1) {
        const uint32_t mid = lo + (hi - lo) / 2, offset = idx_load32(s->section[TEXT_FENCES] + (size_t)mid * TEXT_FENCE);
        if (offset > s->size[TEXT_DICTIONARY]) return -1;
        uint64_t shared, rest;
        const uint8_t *p = idx_varint(dictionary + offset, end, &shared);
        if (!p || !(p = idx_varint(p, end, &rest)) || rest > (size_t)(end - p)) return -1;
        if (compare(p, (size_t)rest, term, n) <= 0)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

int idx_dict_seek(idx_dict_iter *it, const uint8_t *term, size_t n) {
    if (it->segment->n_terms == 0) return 0;
    const int64_t block = block_of(it->segment, term, n);
    if (block < 0 || to_block(it, (uint32_t)block)) return IDX_TEXT_DAMAGED;
    int got;
    while ((got = idx_dict_next(it)) == 1 && compare(it->bytes, it->n, term, n) < 0) {
    }
    it->shared = 0; /* the caller did not see the terms passed over */
    return got;
}

int idx_dict_skip_prefix(idx_dict_iter *it, unsigned n) {
    uint8_t after[IDX_TERM_MOST + 1];
    memcpy(after, it->bytes, n);
    for (int near = 0; near < 2 * TEXT_DICT_BLOCK; near++) {
        const int same_block = it->next % TEXT_DICT_BLOCK != 0;
        const int got = idx_dict_next(it);
        if (got != 1) return got;
        if (same_block ? it->shared < n : it->n < n || memcmp(it->bytes, after, n)) {
            if (!same_block) {
                it->shared = 0;
                while (it->shared < n && it->shared < it->n && it->bytes[it->shared] == after[it->shared]) it->shared++;
            }
            return 1;
        }
    }
    while (n && after[n - 1] == 0xff) n--;
    if (n == 0) {
        it->next = it->segment->n_terms;
        return 0;
    }
    after[n - 1]++;
    return idx_dict_seek(it, after, n);
}

int idx_segment_find(const idx_text_segment *s, const uint8_t *term, size_t n, idx_term *out) {
    idx_dict_iter it = {.segment = s};
    const int got = idx_dict_seek(&it, term, n);
    if (got != 1 || compare(it.bytes, it.n, term, n)) return got == 1 ? 0 : got;
    *out = it.term;
    return 1;
}
