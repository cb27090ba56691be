/* The documents in memory: pending tokens, commits, deletions, the map of rows. */
#include "indexes/csrc/text_memory.h"

idx_text_memory *idx_text_memory_new(int searchable, int mapped) {
    idx_text_memory *m = calloc(1, sizeof *m);
    if (m) m->searchable = searchable != 0, m->mapped = mapped != 0, m->ascending = 1;
    return m;
}

void idx_text_memory_free(idx_text_memory *m) {
    if (!m) return;
    idx_vocab_clear(&m->raw);
    idx_vocab_clear(&m->terms);
    idx_tokens_clear(&m->tokens);
    for (size_t i = 0; i < m->n_lists; i++) free(m->lists[i].at);
    free(m->map);
    free(m->ends);
    free(m->docs);
    free(m->dead);
    free(m->slots);
    free(m->touched);
    free(m->lists);
    free(m);
}

void idx_text_memory_facts_of(const idx_text_memory *m, idx_text_memory_facts *out) {
    size_t bytes = sizeof *m + idx_vocab_memory(&m->raw) + idx_vocab_memory(&m->terms) + m->list_bytes;
    bytes += m->map_cap * sizeof *m->map + m->tokens.cap * sizeof *m->tokens.ids + m->ends_cap * sizeof *m->ends;
    bytes += m->docs_cap * sizeof *m->docs + m->dead_cap * 8 + m->n_slots * sizeof *m->slots + m->touched_cap * 8;
    bytes += m->lists_cap * sizeof *m->lists;
    *out = (idx_text_memory_facts){m->live_docs, (uint32_t)m->terms.n, m->live_tokens, m->n_touched, bytes};
}

static idx_vocab *incoming(idx_text_memory *m) { return m->mapped ? &m->raw : &m->terms; }

static int end_document(idx_text_memory *m) {
    size_t *ends = idx_grow(m->ends, m->n_ends, &m->ends_cap, 1, sizeof *ends);
    if (!ends) return IDX_TEXT_MEMORY;
    m->ends = ends;
    const size_t start = m->n_ends ? ends[m->n_ends - 1] : m->committed;
    /* uncovered (guard): more than a test can hold */
    if (m->tokens.n - start >= INT32_MAX) return IDX_TEXT_LIMIT;
    ends[m->n_ends++] = m->tokens.n;
    return IDX_TEXT_OK;
}

static void drop_pending(idx_text_memory *m) { m->tokens.n = m->committed, m->n_ends = 0; }

int idx_text_memory_tokenise(idx_text_memory *m, const idx_text_rules *rules, const uint8_t *text, const uint64_t *offsets, size_t n_docs) {
    drop_pending(m);
    for (size_t i = 0; i < n_docs; i++) {
        if (idx_tokenise(rules, text + offsets[i], offsets[i + 1] - offsets[i], incoming(m), &m->tokens)) return IDX_TEXT_MEMORY;
        const int failed = end_document(m);
        if (failed) return failed;
    }
    return IDX_TEXT_OK;
}

int idx_text_memory_terms(idx_text_memory *m, const uint8_t *text, const uint64_t *offsets, const uint32_t *counts, size_t n_docs) {
    const uint64_t hole = (uint64_t)1 << 63;
    drop_pending(m);
    for (size_t i = 0; i < n_docs; i++) {
        for (uint32_t j = 0; j < counts[i]; j++, offsets++) {
            const uint64_t start = offsets[0] & ~hole, end = offsets[1] & ~hole;
            uint32_t id = IDX_TERM_NONE;
            if (!(offsets[0] & hole) && (id = idx_vocab_intern(incoming(m), text + start, end - start)) == IDX_TERM_NONE)
                return IDX_TEXT_MEMORY;
            if (idx_tokens_push(&m->tokens, id, 0, 0)) return IDX_TEXT_MEMORY;
        }
        const int failed = end_document(m);
        if (failed) return failed;
    }
    return IDX_TEXT_OK;
}

size_t idx_text_memory_unmapped(const idx_text_memory *m, size_t *bytes) {
    *bytes = 0;
    if (!m->mapped || m->n_map == m->raw.n) return 0;
    *bytes = m->raw.bytes.n - (size_t)(m->raw.terms[m->n_map] >> 8);
    return m->raw.n - m->n_map;
}

void idx_text_memory_unmapped_terms(const idx_text_memory *m, uint8_t *text, uint64_t *offsets) {
    uint64_t at = 0;
    for (size_t i = m->n_map; i < m->raw.n; i++) {
        unsigned n;
        const uint8_t *term = idx_vocab_term(&m->raw, (uint32_t)i, &n);
        memcpy(text + at, term, n);
        *offsets++ = at;
        at += n;
    }
    *offsets = at;
}

int idx_text_memory_map(idx_text_memory *m, const uint8_t *text, const uint64_t *offsets, const uint8_t *drop, size_t n) {
    if (n > m->raw.n - m->n_map) return IDX_TEXT_LIMIT;
    uint32_t *map = idx_grow(m->map, m->n_map, &m->map_cap, n, sizeof *map);
    if (!map && n) return IDX_TEXT_MEMORY;
    m->map = map;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = IDX_TERM_NONE;
        if (!drop[i] && (id = idx_vocab_intern(&m->terms, text + offsets[i], offsets[i + 1] - offsets[i])) == IDX_TERM_NONE)
            return IDX_TEXT_MEMORY;
        map[m->n_map++] = id;
    }
    return IDX_TEXT_OK;
}

static inline size_t slot_of(const idx_text_memory *m, uint64_t row) {
    size_t at = (size_t)((row * 0x9E3779B97F4A7C15u) >> 20) & (m->n_slots - 1);
    while (m->slots[at].used && m->slots[at].row != row) at = (at + 1) & (m->n_slots - 1);
    return at;
}

static int grow_slots(idx_text_memory *m, size_t more) {
    size_t n = m->n_slots ? m->n_slots : 64;
    while ((m->n_touched + more) * 3 >= n * 2) n *= 2;
    if (n == m->n_slots) return IDX_TEXT_OK;
    idx_row_slot *old = m->slots, *slots = calloc(n, sizeof *slots);
    if (!slots) return IDX_TEXT_MEMORY;
    const size_t n_old = m->n_slots;
    m->slots = slots, m->n_slots = n;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].used) slots[slot_of(m, old[i].row)] = old[i];
    free(old);
    return IDX_TEXT_OK;
}

/* Takes a live document out of every count. */
static void bury(idx_text_memory *m, uint32_t doc) {
    const idx_doc *d = &m->docs[doc];
    m->dead[doc / 64] |= (uint64_t)1 << doc % 64;
    m->live_docs--, m->live_tokens -= d->length;
    if (!m->searchable) return;
    for (uint32_t i = 0; i < d->tokens; i++) {
        const uint32_t id = m->tokens.ids[d->at + i];
        if (id == IDX_TERM_NONE || m->lists[id].mark == (uint64_t)doc + 1) continue;
        m->lists[id].mark = (uint64_t)doc + 1;
        m->lists[id].live--;
    }
}

/* The row's slot now holds the document (IDX_TERM_NONE: none); what it held before is buried. 1 when there was something. */
static int assign(idx_text_memory *m, uint64_t row, uint32_t doc) {
    idx_row_slot *slot = &m->slots[slot_of(m, row)];
    const int had = slot->used && slot->doc != IDX_TERM_NONE;
    if (had) bury(m, slot->doc);
    if (!slot->used) m->touched[m->n_touched++] = row;
    *slot = (idx_row_slot){row, doc, 1};
    return had;
}

static int reserve_rows(idx_text_memory *m, size_t n) {
    uint64_t *touched = idx_grow(m->touched, m->n_touched, &m->touched_cap, n, sizeof *touched);
    if (!touched && n) return IDX_TEXT_MEMORY;
    m->touched = touched;
    return grow_slots(m, n);
}

static int post(idx_text_memory *m, uint32_t id, uint32_t doc) {
    idx_list *list = &m->lists[id];
    if (list->n && list->at[list->n - 1].doc == doc) {
        const uint32_t frequency = ++list->at[list->n - 1].frequency;
        if (frequency > list->most) list->most = frequency;
        return IDX_TEXT_OK;
    }
    if (list->n == list->cap) {
        const uint32_t cap = list->cap ? list->cap * 2 : 3; /* three fit the allocator's smallest piece */
        /* uncovered (guard): more than a test can hold */
        if (cap < list->cap) return IDX_TEXT_MEMORY;
        idx_posting *at = realloc(list->at, (size_t)cap * sizeof *at);
        if (!at) return IDX_TEXT_MEMORY;
        m->list_bytes += (cap - list->cap) * sizeof *at;
        list->at = at, list->cap = cap;
    }
    list->at[list->n++] = (idx_posting){doc, 1};
    list->live++;
    if (list->most == 0) list->most = 1;
    return IDX_TEXT_OK;
}

static int grow_lists(idx_text_memory *m) {
    const size_t more = m->terms.n - m->n_lists;
    idx_list *lists = idx_grow(m->lists, m->n_lists, &m->lists_cap, more, sizeof *lists);
    if (!lists && more) return IDX_TEXT_MEMORY;
    m->lists = lists;
    if (more) memset(lists + m->n_lists, 0, more * sizeof *lists);
    m->n_lists += more;
    return IDX_TEXT_OK;
}

static int add_document(idx_text_memory *m, uint64_t row, size_t start, size_t end) {
    const uint32_t doc = (uint32_t)m->n_docs;
    uint32_t length = 0;
    for (size_t i = start; i < end; i++) {
        uint32_t id = m->tokens.ids[i];
        if (m->mapped && id != IDX_TERM_NONE) m->tokens.ids[i] = id = m->map[id];
        if (id == IDX_TERM_NONE) continue;
        length++;
        if (m->searchable && post(m, id, doc)) return IDX_TEXT_MEMORY;
    }
    if (doc && row <= m->docs[doc - 1].row) m->ascending = 0;
    m->docs[m->n_docs++] = (idx_doc){row, start, (uint32_t)(end - start), length};
    m->live_docs++, m->live_tokens += length;
    m->committed = end;
    assign(m, row, doc);
    return IDX_TEXT_OK;
}

int idx_text_memory_commit(idx_text_memory *m, const uint64_t *rows, size_t n_docs) {
    if (m->broken) return IDX_TEXT_MEMORY;
    /* uncovered (guard): more than a test can hold */
    if (n_docs != m->n_ends || (m->mapped && m->n_map != m->raw.n) || m->n_docs + n_docs >= INT32_MAX) return IDX_TEXT_LIMIT;
    idx_doc *docs = idx_grow(m->docs, m->n_docs, &m->docs_cap, n_docs, sizeof *docs);
    if (!docs && n_docs) return IDX_TEXT_MEMORY;
    m->docs = docs;
    const size_t words = (m->n_docs + 63) / 64, more = (m->n_docs + n_docs + 63) / 64 - words;
    uint64_t *dead = idx_grow(m->dead, words, &m->dead_cap, more, sizeof *dead);
    if (!dead && more) return IDX_TEXT_MEMORY;
    m->dead = dead;
    if (more) memset(dead + words, 0, more * sizeof *dead);
    if (reserve_rows(m, n_docs) || (m->searchable && grow_lists(m))) return IDX_TEXT_MEMORY;
    for (size_t i = 0; i < n_docs; i++) {
        if (add_document(m, rows[i], m->committed, m->ends[i])) {
            m->broken = 1;
            return IDX_TEXT_MEMORY;
        }
    }
    m->n_ends = 0;
    return IDX_TEXT_OK;
}

int idx_text_memory_delete(idx_text_memory *m, const uint64_t *rows, size_t n, uint8_t *found) {
    if (m->broken || reserve_rows(m, n)) return IDX_TEXT_MEMORY;
    for (size_t i = 0; i < n; i++) found[i] = (uint8_t)assign(m, rows[i], IDX_TERM_NONE);
    return IDX_TEXT_OK;
}

void idx_text_memory_touched(const idx_text_memory *m, uint64_t *out) {
    if (m->n_touched) memcpy(out, m->touched, m->n_touched * sizeof *out);
}

uint32_t idx_text_memory_doc(const idx_text_memory *m, uint64_t row) {
    if (!m->n_slots) return IDX_TERM_NONE;
    const idx_row_slot *slot = &m->slots[slot_of(m, row)];
    return slot->used ? slot->doc : IDX_TERM_NONE;
}

int idx_text_memory_has(const idx_text_memory *m, uint64_t row) { return idx_text_memory_doc(m, row) != IDX_TERM_NONE; }
