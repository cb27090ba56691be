/* Cursors over postings and the reading of positions. */
#include "indexes/csrc/text_cursor.h"

enum { WIDTHS = 2, MOST_BITS = 32, STRIDE = 16 };

static void reset(idx_text_cursor *c, uint32_t n_postings, uint32_t n_docs) {
    c->n_postings = n_postings, c->n_docs = n_docs;
    c->n_blocks = (n_postings + IDX_BLOCK - 1) / IDX_BLOCK;
    c->block = c->n_blocks, c->n = c->i = 0, c->failed = IDX_TEXT_OK, c->has_frequencies = 0;
}

void idx_text_cursor_packed(idx_text_cursor *c, const idx_text_segment *segment, const idx_term *term) {
    c->segment = segment, c->memory = NULL, c->pairs = NULL, c->term = *term;
    reset(c, term->documents, segment->n_docs);
    const size_t skips = c->n_blocks > 1 ? (size_t)c->n_blocks * TEXT_SKIP : 0;
    c->skips = term->postings, c->blocks = term->postings + skips;
    if (skips > term->postings_n) {
        c->failed = IDX_TEXT_DAMAGED, c->n_blocks = c->block = 0;
        return;
    }
    c->blocks_n = term->postings_n - skips;
}

void idx_text_cursor_memory(idx_text_cursor *c, const idx_text_memory *memory, uint32_t id) {
    const idx_list *list = &memory->lists[id];
    idx_text_cursor_pairs(c, list->at, list->n, list->most, (uint32_t)memory->n_docs);
    c->memory = memory, c->id = id;
}

void idx_text_cursor_pairs(idx_text_cursor *c, const idx_posting *pairs, uint32_t n, uint32_t most, uint32_t n_docs) {
    c->segment = NULL, c->memory = NULL, c->pairs = pairs, c->most = most;
    reset(c, n, n_docs);
}

static int damaged(idx_text_cursor *c) {
    c->failed = IDX_TEXT_DAMAGED;
    c->block = c->n_blocks;
    return -1;
}

static int load_packed(idx_text_cursor *c, uint32_t block) {
    size_t start = 0, end = c->blocks_n;
    uint32_t before = IDX_TERM_NONE;
    if (c->n_postings == 1) {
        uint64_t doc;
        if (!idx_varint(c->blocks, c->blocks + c->blocks_n, &doc) || doc >= c->n_docs || c->term.occurrences > UINT32_MAX)
            return damaged(c);
        c->docs[0] = (uint32_t)doc, c->frequencies[0] = (uint32_t)c->term.occurrences, c->has_frequencies = 1;
        return 0;
    }
    if (c->n_blocks > 1) {
        const uint8_t *skip = c->skips + (size_t)block * TEXT_SKIP;
        end = idx_load32(skip + 4);
        if (block) start = idx_load32(skip - TEXT_SKIP + 4), before = idx_load32(skip - TEXT_SKIP);
    }
    if (end > c->blocks_n || start > end || end - start < WIDTHS) return damaged(c);
    const uint8_t *p = c->blocks + start;
    const unsigned gap_bits = p[0], frequency_bits = p[1];
    const size_t gaps = idx_bits_size(c->n, gap_bits);
    if (gap_bits > MOST_BITS || frequency_bits > MOST_BITS || WIDTHS + gaps + idx_bits_size(c->n, frequency_bits) > end - start)
        return damaged(c);
    const uint8_t *readable = c->segment->section[TEXT_POSTINGS] + c->segment->size[TEXT_POSTINGS];
    p += WIDTHS;
    idx_bits_unpack(p, (size_t)(readable - p), c->n, gap_bits, c->docs);
    if (idx_gaps_sum(c->docs, c->n, before) >= c->n_docs) return damaged(c);
    c->frequency_bits = frequency_bits, c->packed_frequencies = p + gaps, c->packed_have = (size_t)(readable - p) - gaps;
    c->has_frequencies = 0;
    return 0;
}

int idx_text_cursor_load(idx_text_cursor *c, uint32_t block) {
    if (block >= c->n_blocks) {
        c->block = c->n_blocks, c->n = c->i = 0;
        return -1;
    }
    c->n = block + 1 < c->n_blocks ? IDX_BLOCK : c->n_postings - block * IDX_BLOCK;
    c->block = block, c->i = 0;
    if (c->segment) {
        if (load_packed(c, block)) return -1;
    } else {
        const idx_posting *from = c->pairs + (size_t)block * IDX_BLOCK;
        for (uint32_t i = 0; i < c->n; i++) c->docs[i] = from[i].doc, c->frequencies[i] = from[i].frequency;
        c->has_frequencies = 1;
    }
    for (uint32_t i = c->n; i < c->n + STRIDE; i++) c->docs[i] = IDX_TERM_NONE;
    return 0;
}

const uint32_t *idx_text_cursor_frequencies(idx_text_cursor *c) {
    if (!c->has_frequencies) {
        idx_bits_unpack(c->packed_frequencies, c->packed_have, c->n, c->frequency_bits, c->frequencies);
        for (uint32_t i = 0; i < c->n; i++) c->frequencies[i]++;
        c->has_frequencies = 1;
    }
    return c->frequencies;
}

uint32_t idx_text_cursor_block_with(const idx_text_cursor *c, uint32_t block, uint32_t target) {
    uint32_t step = 1, lo = block, hi = block; /* the answer is in [lo, hi] */
    while (hi < c->n_blocks && idx_text_cursor_last(c, hi) < target) {
        lo = hi + 1;
        hi = c->n_blocks - hi > step ? hi + step : c->n_blocks;
        step *= 2;
    }
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (idx_text_cursor_last(c, mid) < target)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The place of the first of the block's documents from `i` on that is >= target, n when there is none: by strides, then by counting, since
 * where it is cannot be predicted. Behind the n documents stand numbers above all of them. */
static uint32_t place_of(const idx_text_cursor *c, uint32_t i, uint32_t target) {
    while (i + STRIDE <= c->n && c->docs[i + STRIDE - 1] < target) i += STRIDE;
    uint32_t below = 0;
    for (uint32_t k = 0; k < STRIDE; k++) below += c->docs[i + k] < target;
    return i + below;
}

uint32_t idx_text_cursor_seek(idx_text_cursor *c, uint32_t target) {
    uint32_t block = 0;
    if (c->block < c->n_blocks) {
        if (c->docs[c->i] >= target) return c->docs[c->i];
        block = c->block;
        if (c->docs[c->n - 1] < target) block++;
    } else if (c->n || !c->n_blocks) {
        return IDX_TERM_NONE;
    }
    for (;; block++) {
        if (block != c->block) {
            if ((block = idx_text_cursor_block_with(c, block, target)) >= c->n_blocks) break;
            if (block != c->block && idx_text_cursor_load(c, block)) return IDX_TERM_NONE;
        }
        const uint32_t i = place_of(c, c->i, target);
        if (i >= c->n) continue;
        c->i = i;
        if (c->docs[i] >= target) return c->docs[i];
        damaged(c); /* not ascending */
        return IDX_TERM_NONE;
    }
    c->block = c->n_blocks, c->n = 1; /* n tells the end from the time before the first load */
    return IDX_TERM_NONE;
}

void idx_positions_init(idx_positions *p) {
    p->at = NULL, p->n = p->cap = 0;
    p->block = IDX_TERM_NONE;
}

void idx_positions_free(idx_positions *p) { free(p->at); }

/* Learns where the positions of the cursor's block are. */
static int enter_block(idx_positions *p, idx_text_cursor *c) {
    const uint32_t *frequencies = idx_text_cursor_frequencies(c);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        p->before[i] = (uint32_t)sum;
        sum += frequencies[i];
    }
    /* uncovered (guard): more than a test can hold */
    if (sum > UINT32_MAX) return IDX_TEXT_DAMAGED;
    p->before[c->n] = (uint32_t)sum;
    size_t start = 0, end = c->term.positions_n;
    if (c->n_blocks > 1) {
        const uint8_t *skip = c->skips + (size_t)c->block * TEXT_SKIP;
        end = idx_load32(skip + 8);
        if (c->block) start = idx_load32(skip - TEXT_SKIP + 8);
    }
    p->n_groups = (sum + IDX_BLOCK - 1) / IDX_BLOCK;
    if (end > c->term.positions_n || start > end || p->n_groups > end - start) return IDX_TEXT_DAMAGED;
    p->widths = c->term.positions + start, p->packed = p->widths + p->n_groups, p->end = c->term.positions + end;
    p->block = c->block, p->group = IDX_TERM_NONE;
    return IDX_TEXT_OK;
}

static int enter_group(idx_positions *p, const idx_text_cursor *c, uint32_t group) {
    if (group >= p->n_groups) return IDX_TEXT_DAMAGED;
    size_t skip = 0;
    for (uint32_t g = 0; g < group; g++) skip += (size_t)p->widths[g] * (IDX_BLOCK / 8);
    const size_t n = group + 1 < p->n_groups ? IDX_BLOCK : p->before[c->n] - (size_t)group * IDX_BLOCK;
    const unsigned width = p->widths[group];
    if (width > MOST_BITS || skip + idx_bits_size(n, width) > (size_t)(p->end - p->packed)) return IDX_TEXT_DAMAGED;
    const uint8_t *readable = c->segment->section[TEXT_POSITIONS] + c->segment->size[TEXT_POSITIONS];
    idx_bits_unpack(p->packed + skip, (size_t)(readable - p->packed) - skip, n, width, p->gaps);
    p->group = group;
    return IDX_TEXT_OK;
}

static int room(idx_positions *p, size_t n) {
    uint32_t *at = idx_grow(p->at, 0, &p->cap, n, sizeof *at);
    if (!at && n) return IDX_TEXT_MEMORY;
    p->at = at;
    return IDX_TEXT_OK;
}

static int read_forward(idx_positions *p, const idx_text_cursor *c) {
    const idx_doc *doc = &c->memory->docs[c->docs[c->i]];
    const uint32_t *tokens = c->memory->tokens.ids + doc->at;
    p->n = 0;
    if (room(p, c->frequencies[c->i])) return IDX_TEXT_MEMORY;
    for (uint32_t i = 0; i < doc->tokens && p->n < c->frequencies[c->i]; i++)
        if (tokens[i] == c->id) p->at[p->n++] = i;
    return IDX_TEXT_OK;
}

int idx_positions_read(idx_positions *p, idx_text_cursor *c) {
    if (!c->segment) return read_forward(p, c);
    if (p->block != c->block) {
        const int failed = enter_block(p, c);
        if (failed) return failed;
    }
    const uint32_t from = p->before[c->i], to = p->before[c->i + 1];
    if (room(p, to - from)) return IDX_TEXT_MEMORY;
    p->n = 0;
    uint32_t position = IDX_TERM_NONE; /* one before the first */
    for (uint32_t j = from; j < to; j++) {
        if (j / IDX_BLOCK != p->group) {
            const int failed = enter_group(p, c, j / IDX_BLOCK);
            if (failed) return failed;
        }
        position += p->gaps[j % IDX_BLOCK] + 1;
        p->at[p->n++] = position;
    }
    return IDX_TEXT_OK;
}
