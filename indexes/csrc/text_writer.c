/* The segment writer: postings go to blocks as they come, terms to the dictionary, all to one allocation at the end. */
#include "indexes/csrc/text_writer.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/text_format.h"
#include "indexes/csrc/varint.h"

static int put_packed(idx_buf *b, const uint32_t *v, size_t n, unsigned width) {
    const size_t size = idx_bits_size(n, width);
    uint8_t *to = idx_buf_room(b, size + 1);
    if (!to) return IDX_TEXT_MEMORY;
    idx_bits_pack(v, n, width, to);
    b->n += size;
    return IDX_TEXT_OK;
}

int idx_writer_begin(idx_writer *w, const uint64_t *rows, const uint32_t *lengths, uint32_t n_docs, const uint8_t *signature, size_t n) {
    *w = (idx_writer){.rows = rows, .lengths = lengths, .n_docs = n_docs};
    if (n_docs && rows[n_docs - 1] - rows[0] > UINT32_MAX) w->flags |= TEXT_ROWS_WIDE;
    for (uint32_t i = 0; i < n_docs; i++)
        if (lengths[i] > UINT16_MAX) w->flags |= TEXT_LENGTHS_WIDE;
    return idx_buf_put(&w->signature, signature, n) ? IDX_TEXT_MEMORY : IDX_TEXT_OK;
}

static int flush_positions(idx_writer *w) {
    const size_t groups = (w->n_gaps + IDX_BLOCK - 1) / IDX_BLOCK;
    uint8_t *width = idx_buf_room(&w->positions, groups + 1);
    if (!width) return IDX_TEXT_MEMORY;
    for (size_t g = 0; g < groups; g++) {
        const size_t n = g + 1 < groups ? IDX_BLOCK : w->n_gaps - g * IDX_BLOCK;
        width[g] = (uint8_t)idx_bits_width(w->gaps + g * IDX_BLOCK, n);
    }
    const size_t widths = w->positions.n;
    w->positions.n += groups;
    for (size_t g = 0; g < groups; g++) {
        const size_t n = g + 1 < groups ? IDX_BLOCK : w->n_gaps - g * IDX_BLOCK;
        if (put_packed(&w->positions, w->gaps + g * IDX_BLOCK, n, w->positions.at[widths + g])) return IDX_TEXT_MEMORY;
    }
    w->n_gaps = 0;
    return IDX_TEXT_OK;
}

static int flush_block(idx_writer *w) {
    uint32_t gaps[IDX_BLOCK], lengths[IDX_BLOCK], less[IDX_BLOCK];
    uint16_t impacts[IDX_IMPACTS];
    uint32_t before = w->last; /* of the block before, or all ones */
    for (uint32_t i = 0; i < w->n; i++) {
        gaps[i] = w->docs[i] - before - 1;
        before = w->docs[i];
        lengths[i] = w->lengths[w->docs[i]];
        less[i] = w->frequencies[i] - 1;
    }
    idx_impacts(w->frequencies, lengths, w->n, impacts);
    const unsigned gap_bits = idx_bits_width(gaps, w->n), frequency_bits = idx_bits_width(less, w->n);
    const size_t gap_bytes = idx_bits_size(w->n, gap_bits), frequency_bytes = idx_bits_size(w->n, frequency_bits);
    uint8_t *to = idx_buf_room(&w->blocks, 2 + gap_bytes + frequency_bytes), *skip = to ? idx_buf_room(&w->skips, TEXT_SKIP) : NULL;
    if (!skip || flush_positions(w)) return IDX_TEXT_MEMORY;
    to[0] = (uint8_t)gap_bits, to[1] = (uint8_t)frequency_bits;
    idx_bits_pack(gaps, w->n, gap_bits, to + 2);
    idx_bits_pack(less, w->n, frequency_bits, to + 2 + gap_bytes);
    w->blocks.n += 2 + gap_bytes + frequency_bytes;
    const size_t positions = w->positions.n - w->positions_start;
    /* uncovered 2 (guard): more than a test can hold */
    if (w->blocks.n > UINT32_MAX || positions > UINT32_MAX) return IDX_TEXT_LIMIT;
    idx_store32(skip, before), idx_store32(skip + 4, (uint32_t)w->blocks.n), idx_store32(skip + 8, (uint32_t)positions);
    for (int i = 0; i < IDX_IMPACTS; i++) skip[12 + 2 * i] = (uint8_t)impacts[i], skip[13 + 2 * i] = (uint8_t)(impacts[i] >> 8);
    w->skips.n += TEXT_SKIP;
    w->last = before;
    w->n = 0;
    return IDX_TEXT_OK;
}

int idx_writer_posting(idx_writer *w, uint32_t doc, const uint32_t *positions, uint32_t frequency) {
    if (w->n == IDX_BLOCK) {
        const int failed = flush_block(w);
        if (failed) return failed;
    }
    if (w->documents == 0) w->last = UINT32_MAX, w->positions_start = w->positions.n;
    uint32_t *gaps = idx_grow(w->gaps, w->n_gaps, &w->gaps_cap, frequency, sizeof *gaps);
    if (!gaps) return IDX_TEXT_MEMORY;
    w->gaps = gaps;
    gaps += w->n_gaps;
    gaps[0] = positions[0];
    for (uint32_t i = 1; i < frequency; i++) gaps[i] = positions[i] - positions[i - 1] - 1;
    w->n_gaps += frequency;
    w->docs[w->n] = doc, w->frequencies[w->n++] = frequency;
    w->documents++, w->occurrences += frequency;
    return IDX_TEXT_OK;
}

static int put_postings(idx_writer *w) {
    if (w->documents == 1) {
        const uint32_t doc = w->docs[0];
        w->n = 0;
        return idx_buf_varint(&w->postings, doc) || flush_positions(w) ? IDX_TEXT_MEMORY : IDX_TEXT_OK;
    }
    const int failed = flush_block(w);
    if (failed) return failed;
    const int one_block = w->documents <= IDX_BLOCK;
    if ((!one_block && idx_buf_put(&w->postings, w->skips.at, w->skips.n)) || idx_buf_put(&w->postings, w->blocks.at, w->blocks.n))
        return IDX_TEXT_MEMORY;
    return IDX_TEXT_OK;
}

int idx_writer_term(idx_writer *w, const uint8_t *term, unsigned n) {
    if (w->documents == 0) return IDX_TEXT_OK;
    const size_t postings = w->postings.n, positions = w->positions_start;
    const int failed = put_postings(w);
    if (failed) return failed;
    unsigned shared = 0;
    if (w->n_terms % TEXT_DICT_BLOCK == 0) {
        /* uncovered (guard): more than a test can hold */
        if (w->dictionary.n > UINT32_MAX) return IDX_TEXT_LIMIT;
        uint8_t *fence = idx_buf_room(&w->fence, TEXT_FENCE);
        if (!fence) return IDX_TEXT_MEMORY;
        idx_store32(fence, (uint32_t)w->dictionary.n), idx_store64(fence + 4, postings), idx_store64(fence + 12, positions);
        w->fence.n += TEXT_FENCE;
    } else {
        while (shared < n && shared < w->before_n && term[shared] == w->before[shared]) shared++;
    }
    uint8_t *to = idx_buf_room(&w->dictionary, 6 * VARINT_MOST + n);
    if (!to) return IDX_TEXT_MEMORY;
    to += varint_put(to, shared);
    to += varint_put(to, n - shared);
    memcpy(to, term + shared, n - shared);
    to += n - shared;
    const uint64_t numbers[] = {w->documents, w->occurrences - w->documents, w->postings.n - postings, w->positions.n - positions};
    for (int i = 0; i < 4; i++) to += varint_put(to, numbers[i]);
    w->dictionary.n = (size_t)(to - w->dictionary.at);
    memcpy(w->before, term, n);
    w->before_n = n;
    /* uncovered (guard): more than a test can hold */
    if (++w->n_terms == UINT32_MAX) return IDX_TEXT_LIMIT;
    w->documents = 0, w->occurrences = 0, w->skips.n = 0, w->blocks.n = 0;
    return IDX_TEXT_OK;
}

static uint8_t *put_columns(const idx_writer *w, uint8_t *to, uint64_t *tokens) {
    const unsigned row_bytes = w->flags & TEXT_ROWS_WIDE ? 8 : 4, length_bytes = w->flags & TEXT_LENGTHS_WIDE ? 4 : 2;
    uint8_t eight[8];
    for (uint32_t i = 0; i < w->n_docs; i++, to += row_bytes) {
        idx_store64(eight, w->rows[i] - w->rows[0]);
        memcpy(to, eight, row_bytes);
    }
    for (uint32_t i = 0; i < w->n_docs; i++, to += length_bytes) {
        idx_store64(eight, w->lengths[i]);
        memcpy(to, eight, length_bytes);
        *tokens += w->lengths[i];
    }
    return to;
}

int idx_writer_finish(idx_writer *w, uint8_t **bytes, size_t *n) {
    const size_t rows = (size_t)w->n_docs * (w->flags & TEXT_ROWS_WIDE ? 8 : 4),
                 lengths = (size_t)w->n_docs * (w->flags & TEXT_LENGTHS_WIDE ? 4 : 2);
    const size_t sizes[TEXT_SECTIONS] = {TEXT_HEADER, w->signature.n,  rows,          lengths,
                                         w->fence.n,  w->dictionary.n, w->postings.n, w->positions.n};
    size_t total = 8;
    for (int i = 0; i < TEXT_SECTIONS; i++) total += sizes[i];
    uint8_t *out = malloc(total), *to = out;
    if (!out) return IDX_TEXT_MEMORY;
    uint64_t tokens = 0, end = 0;
    to = out + TEXT_HEADER;
    if (w->signature.n) memcpy(to, w->signature.at, w->signature.n);
    to = put_columns(w, to + w->signature.n, &tokens);
    const idx_buf *parts[] = {&w->fence, &w->dictionary, &w->postings, &w->positions};
    for (int i = 0; i < 4; to += parts[i++]->n)
        if (parts[i]->n) memcpy(to, parts[i]->at, parts[i]->n);
    memcpy(out, TEXT_MAGIC, 8);
    idx_store32(out + 8, TEXT_VERSION), idx_store32(out + 12, w->flags), idx_store64(out + 16, total);
    idx_store32(out + 24, w->n_docs), idx_store32(out + 28, w->n_terms), idx_store64(out + 32, tokens);
    idx_store64(out + 40, w->n_docs ? w->rows[0] : 0);
    for (int i = 0; i < TEXT_SECTIONS; i++) idx_store64(out + TEXT_ENDS + 8 * i, end += sizes[i]);
    idx_store64(out + TEXT_HEADER - 8, idx_xxh3(out, TEXT_HEADER - 8));
    idx_store64(to, idx_xxh3(out, total - 8));
    *bytes = out, *n = total;
    idx_writer_abandon(w);
    return IDX_TEXT_OK;
}

void idx_writer_abandon(idx_writer *w) {
    idx_buf *all[] = {&w->signature, &w->fence, &w->dictionary, &w->postings, &w->positions, &w->skips, &w->blocks};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) idx_buf_free(all[i]);
    free(w->gaps);
    w->gaps = NULL;
}
