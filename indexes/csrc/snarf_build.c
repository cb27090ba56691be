/* snarf_build.c: keys in order to a SNARF.
 *
 * What all keys share is known at the end only. Until then a key's value is taken behind what the keys so far share; `runs` say from which key on that
 * was how much, so that the values of earlier keys are put right with bytes of the first key, which they share.
 */
#include "indexes/csrc/snarf.h"
#include <stdlib.h>

typedef struct run {
    size_t from, shared; /* from this value on; with the first key */
} run;

typedef struct builder {
    uint32_t slots, every;
    uint8_t *first, *last;
    size_t first_n, last_n, last_cap;
    int has_key;
    uint64_t *values;
    size_t n, cap;
    run *runs;
    size_t n_runs, cap_runs;
    idx_snarf s;
    size_t size;
} builder;

/* slots=<places a key> every=<keys a knot> */
static int snarf_begin(const char *params, void **out) {
    builder *b = calloc(1, sizeof *b);
    if (!b) return IDX_RANGE_NOMEM;
    b->slots = 256, b->every = 128;
    idx_param p;
    int more, status = IDX_RANGE_OK;
    while (status == IDX_RANGE_OK && (more = idx_next_param(&params, &p)) != 0) {
        const int64_t v = more > 0 ? idx_param_number(p.value, p.value_n, SNARF_MOST_SLOTS) : -1;
        if (v >= 1 && idx_param_is(&p, "slots"))
            b->slots = (uint32_t)v;
        else if (v >= 1 && v <= SNARF_MOST_EVERY && idx_param_is(&p, "every"))
            b->every = (uint32_t)v;
        else
            status = IDX_RANGE_BAD;
    }
    if (status == IDX_RANGE_OK)
        *out = b;
    else
        free(b);
    return status;
}

static void snarf_drop(void *builder_) {
    builder *b = builder_;
    free(b->first);
    free(b->last);
    free(b->values);
    free(b->runs);
    free(b);
}

static int begin_run(builder *b, size_t shared) {
    if (b->n_runs == b->cap_runs) {
        const size_t cap = b->cap_runs * 2 + 8;
        run *more = realloc(b->runs, cap * sizeof *more);
        if (!more) return IDX_RANGE_NOMEM;
        b->runs = more;
        b->cap_runs = cap;
    }
    b->runs[b->n_runs++] = (run){b->n, shared};
    return IDX_RANGE_OK;
}

static int keep_last(builder *b, const uint8_t *key, size_t n) {
    if (n > b->last_cap || !b->last) {
        uint8_t *more = realloc(b->last, n * 2 + 16);
        if (!more) return IDX_RANGE_NOMEM;
        b->last = more;
        b->last_cap = n * 2 + 16;
    }
    if (n) memcpy(b->last, key, n);
    b->last_n = n;
    return IDX_RANGE_OK;
}

static int take_first(builder *b, const uint8_t *key, size_t n) {
    b->first = malloc(n + 1);
    if (!b->first) return IDX_RANGE_NOMEM;
    if (n) memcpy(b->first, key, n);
    b->first_n = n;
    b->has_key = 1;
    return begin_run(b, n);
}

static int snarf_add(void *builder_, const uint8_t *key, size_t n) {
    builder *b = builder_;
    int status = IDX_RANGE_OK;
    if (!b->has_key) {
        status = take_first(b, key, n);
    } else {
        const size_t least = n < b->last_n ? n : b->last_n;
        const int c = least ? memcmp(b->last, key, least) : 0;
        if (c > 0 || (c == 0 && b->last_n > n)) return IDX_RANGE_ORDER;
        if (c == 0 && b->last_n == n) return IDX_RANGE_OK;
        const size_t before = b->runs[b->n_runs - 1].shared;
        size_t shared = 0;
        while (shared < before && shared < n && key[shared] == b->first[shared]) shared++;
        if (shared < before) status = begin_run(b, shared);
    }
    if (status == IDX_RANGE_OK) status = keep_last(b, key, n);
    if (status == IDX_RANGE_OK && b->n == b->cap) {
        const size_t cap = b->cap ? b->cap * 2 : 256;
        uint64_t *more = realloc(b->values, cap * sizeof *more);
        if (!more) return IDX_RANGE_NOMEM;
        b->values = more;
        b->cap = cap;
    }
    if (status == IDX_RANGE_OK) b->values[b->n++] = snarf_value(key, n, b->runs[b->n_runs - 1].shared);
    return status;
}

/* Puts every value where what all keys share ends, and drops those that tie. */
static void settle(builder *b) {
    const size_t shared = b->n_runs ? b->runs[b->n_runs - 1].shared : 0;
    size_t kept = 0;
    for (size_t r = 0; r < b->n_runs; r++) {
        const size_t more = b->runs[r].shared - shared, end = r + 1 < b->n_runs ? b->runs[r + 1].from : b->n;
        const uint64_t head = snarf_value(b->first, b->runs[r].shared, shared);
        for (size_t i = b->runs[r].from; i < end; i++) {
            const uint64_t v = more >= 8 ? head : head | b->values[i] >> 8 * more;
            if (!kept || b->values[kept - 1] != v) b->values[kept++] = v;
        }
    }
    b->n = kept;
}

static uint64_t value_of_knot(const builder *b, uint64_t i) {
    const uint64_t at = i * b->every;
    return b->values[at < b->n ? at : b->n - 1];
}

/* The place of every value, in place of it. Returns how many different ones there are. */
static size_t spread(builder *b, const uint8_t *knots) {
    idx_snarf *s = &b->s;
    size_t kept = 0;
    s->knot = knots;
    for (size_t i = 0; i < b->n; i++) {
        const uint64_t knot = i + 1 == b->n ? s->knots - 1 : i / b->every;
        const uint64_t place = snarf_spread(s, knot, b->values[i]);
        if (!kept || b->values[kept - 1] != place) b->values[kept++] = place;
    }
    return kept;
}

static int snarf_finish(void *builder_, size_t *len) {
    builder *b = builder_;
    idx_snarf *s = &b->s;
    settle(b);
    const size_t shared = b->n_runs ? b->runs[b->n_runs - 1].shared : 0;
    /* uncovered 2 (guard): more than a test can hold */
    if (b->n > SNARF_MOST_VALUES || shared >> 31) return IDX_RANGE_BAD;
    *s = (idx_snarf){.shared_n = (uint32_t)shared, .slots = b->slots, .every = b->every, .values = b->n};
    snarf_place(s, NULL);
    uint8_t *knots = malloc(s->knots * 8 + 1); /* of the last values, before places take their room */
    if (!knots) return IDX_RANGE_NOMEM;
    for (uint64_t i = 0; i < s->knots; i++) idx_store64(knots + 8 * i, value_of_knot(b, i));
    s->places = spread(b, knots);
    while (s->places && (snarf_universe(s) >> s->low_bits) > s->places) s->low_bits++;
    if (s->low_bits && (snarf_universe(s) >> s->low_bits) < s->places) s->low_bits--;
    free(b->last);
    b->last = knots; /* kept for write */
    *len = b->size = snarf_place(s, NULL);
    return IDX_RANGE_OK;
}

static int snarf_write(void *builder_, uint8_t *out) {
    builder *b = builder_;
    idx_snarf s = b->s;
    memset(out, 0, b->size);
    snarf_place(&s, out);
    out[0] = SNARF_KIND, out[1] = SNARF_VERSION, out[2] = (uint8_t)s.low_bits;
    idx_store32(out + 4, s.shared_n);
    idx_store32(out + 8, s.slots);
    idx_store32(out + 12, s.every);
    idx_store64(out + 16, s.values);
    idx_store64(out + 24, s.places);
    if (s.shared_n) memcpy((uint8_t *)s.shared, b->first, s.shared_n);
    if (s.knots) memcpy((uint8_t *)s.knot, b->last, s.knots * 8);
    uint64_t at = 0, i = 0, low_at = 0;
    for (uint64_t high = 0; high < s.highs; high++, at++) {
        for (; i < s.places && b->values[i] >> s.low_bits == high; i++, at++, low_at += s.low_bits) {
            uint8_t *low = (uint8_t *)s.low + low_at / 8;
            idx_store64(low, idx_load64(low) | (b->values[i] & (((uint64_t)1 << s.low_bits) - 1)) << low_at % 8);
        }
        ((uint8_t *)s.end)[at / 8] |= (uint8_t)(1u << at % 8);
        if (high % SNARF_SAMPLE == 0) idx_store32((uint8_t *)s.end_sample + high / SNARF_SAMPLE * 4, (uint32_t)at);
    }
    return IDX_RANGE_OK;
}

const idx_range_ops idx_snarf_ops = {.abi = IDX_RANGE_ABI,
                                     .size = sizeof(idx_range_ops),
                                     .name = "snarf",
                                     .version = SNARF_VERSION,
                                     .begin = snarf_begin,
                                     .add = snarf_add,
                                     .finish = snarf_finish,
                                     .write = snarf_write,
                                     .drop = snarf_drop,
                                     .check = idx_snarf_check,
                                     .open = idx_snarf_open,
                                     .close = idx_snarf_close,
                                     .may_contain = idx_snarf_may_contain,
                                     .may_contain_range = idx_snarf_may_contain_range};
