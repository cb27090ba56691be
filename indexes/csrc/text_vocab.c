/* Interned terms. The seed of the hash is the table's address, which a hostile text cannot know; it shows in no output. */
#include "indexes/csrc/text_vocab.h"

static inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load_short(const uint8_t *p, size_t n) { /* the n <= 8 bytes, as a number that tells them apart given n */
    if (n >= 4) return (uint64_t)idx_load32(p) << 32 | idx_load32(p + n - 4);
    return n ? (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1] : 0;
}

static inline uint64_t hash_term(const idx_vocab *v, const uint8_t *p, size_t n) {
    uint64_t h = (uint64_t)(uintptr_t)v ^ n * 0x9E3779B97F4A7C15u;
    for (; n > 8; n -= 8, p += 8) h = fold_multiply(h ^ idx_load64(p), 0xA0761D6478BD642Fu);
    return fold_multiply(h ^ load_short(p, n), 0xE7037ED1A0B428DBu);
}

size_t idx_term_cut(const uint8_t *term, size_t n) {
    if (n <= IDX_TERM_MOST) return n;
    n = IDX_TERM_MOST;
    while (n && (term[n] & 0xc0) == 0x80) n--;
    return n;
}

static inline int same(const idx_vocab *v, uint32_t id, const uint8_t *term, size_t n) {
    unsigned len;
    const uint8_t *have = idx_vocab_term(v, id, &len);
    return len == n && memcmp(have, term, n) == 0;
}

static int grow_slots(idx_vocab *v) {
    const size_t n = v->n_slots ? v->n_slots * 2 : 256;
    uint64_t *slots = calloc(n, sizeof *slots);
    if (!slots) return -1;
    for (size_t i = 0; i < v->n_slots; i++) {
        if (!v->slots[i]) continue;
        unsigned len;
        const uint8_t *term = idx_vocab_term(v, (uint32_t)v->slots[i] - 1, &len);
        size_t at = hash_term(v, term, len) & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = v->slots[i];
    }
    free(v->slots);
    v->slots = slots, v->n_slots = n;
    return 0;
}

uint32_t idx_vocab_intern(idx_vocab *v, const uint8_t *term, size_t n) {
    n = idx_term_cut(term, n);
    if (v->n * 3 >= v->n_slots * 2 && grow_slots(v)) return IDX_TERM_NONE;
    const uint64_t hash = hash_term(v, term, n);
    size_t at = hash & (v->n_slots - 1);
    for (; v->slots[at]; at = (at + 1) & (v->n_slots - 1)) {
        const uint64_t slot = v->slots[at];
        if (slot >> 32 == hash >> 32 && same(v, (uint32_t)slot - 1, term, n)) return (uint32_t)slot - 1;
    }
    uint64_t *terms = idx_grow(v->terms, v->n, &v->cap, 1, sizeof *terms);
    if (!terms) return IDX_TERM_NONE;
    v->terms = terms;
    const size_t offset = v->bytes.n;
    if (v->n >= IDX_TERM_NONE - 2 || idx_buf_put(&v->bytes, term, n)) return IDX_TERM_NONE;
    terms[v->n] = (uint64_t)offset << 8 | n;
    v->slots[at] = (hash >> 32) << 32 | (uint32_t)(v->n + 1);
    return (uint32_t)v->n++;
}

uint32_t idx_vocab_find(const idx_vocab *v, const uint8_t *term, size_t n) {
    if (!v->n_slots) return IDX_TERM_NONE;
    n = idx_term_cut(term, n);
    const uint64_t hash = hash_term(v, term, n);
    for (size_t at = hash & (v->n_slots - 1); v->slots[at]; at = (at + 1) & (v->n_slots - 1)) {
        const uint64_t slot = v->slots[at];
        if (slot >> 32 == hash >> 32 && same(v, (uint32_t)slot - 1, term, n)) return (uint32_t)slot - 1;
    }
    return IDX_TERM_NONE;
}

size_t idx_vocab_memory(const idx_vocab *v) { return v->n_slots * sizeof *v->slots + v->cap * sizeof *v->terms + v->bytes.cap; }

void idx_vocab_clear(idx_vocab *v) {
    free(v->slots);
    free(v->terms);
    idx_buf_free(&v->bytes);
    *v = (idx_vocab){0};
}
