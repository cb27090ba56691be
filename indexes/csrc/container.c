#include "indexes/csrc/container.h"
#include <stdlib.h>

enum { ALIGN = 64, LARGE = 256, FIRST_CHUNK = 1 << 10, LARGEST_CHUNK = 1 << 21, WORDS_FROM = 512 };

typedef uint16_t lows __attribute__((vector_size(16)));

struct arena_chunk {
    arena_chunk *next;
    size_t used, size;
    _Alignas(ALIGN) uint8_t bytes[];
};

/* Where the next take begins: what is large at a cache line's boundary. */
static size_t start_of(const arena_chunk *chunk, size_t size) {
    const size_t align = size < LARGE ? 8 : ALIGN;
    return (chunk->used + align - 1) & ~(align - 1);
}

void *arena_take(arena *a, size_t size) {
    if (!a->head || start_of(a->head, size) > a->head->size || a->head->size - start_of(a->head, size) < size) {
        size_t room = a->head ? a->head->size * 2 : a->first > FIRST_CHUNK ? a->first : FIRST_CHUNK;
        room = room > LARGEST_CHUNK ? LARGEST_CHUNK : room;
        room = ((room < size ? size : room) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
        arena_chunk *chunk = aligned_alloc(ALIGN, sizeof *chunk + room); /* both are multiples of ALIGN */
        if (!chunk) return NULL;
        chunk->next = a->head, chunk->used = 0, chunk->size = room;
        a->head = chunk;
    }
    const size_t start = start_of(a->head, size);
    a->head->used = start + size;
    return a->head->bytes + start;
}

void arena_trim(arena *a, const void *last, size_t used) { a->head->used = (size_t)((const uint8_t *)last - a->head->bytes) + used; }

void arena_free(arena *a) {
    while (a->head) {
        arena_chunk *next = a->head->next;
        free(a->head);
        a->head = next;
    }
}

void arena_reset(arena *a) {
    if (!a->head) return;
    arena old = {.head = a->head->next};
    a->head->next = NULL, a->head->used = 0;
    arena_free(&old);
}

size_t arena_size(const arena *a) {
    size_t total = 0;
    for (const arena_chunk *c = a->head; c; c = c->next) total += sizeof *c + c->size;
    return total;
}

static size_t bytes_of(const container *c) {
    return c->type == ARRAY ? 2 * (size_t)c->card : c->type == RUN ? 4 * (size_t)c->runs : (size_t)WORDS_BYTES;
}

int container_copy(const container *a, container *out, arena *mem) {
    void *data = arena_take(mem, bytes_of(a));
    if (!data) return -1;
    memcpy(data, a->data, bytes_of(a));
    *out = *a;
    out->data = data;
    return 0;
}

int container_compact(const container *a, container *out, arena *mem) {
    if (container_copy(a, out, mem)) return -1;
    return a->type == BITMAP ? container_of_words((word *)(uintptr_t)out->data, a->card, out, mem) : 0;
}

static int sound_runs(const container *c) {
    uint32_t card = 0, next = 0; /* the least that a run may begin with */
    for (uint32_t i = 0; i < c->runs; i++) {
        if (run_first(c, i) < next || run_last(c, i) >= SPAN) return 0;
        next = run_last(c, i) + 2;
        card += run_last(c, i) - run_first(c, i) + 1;
    }
    return c->runs && card == c->card;
}

int container_sound(const container *c) {
    if (c->type == BITMAP) return words_count(c->data) == c->card;
    if (c->type == RUN) return sound_runs(c);
    const low *list = c->data;
    uint32_t bad = 0;
    for (uint32_t i = 1; i < c->card; i++) bad |= list[i - 1] >= list[i];
    return !bad;
}

int container_of_words(word *words, uint32_t card, container *out, arena *mem) {
    *out = (container){.data = words, .card = card, .type = BITMAP};
    if (card <= FEW) {
        low list[FEW];
        words_list(words, list);
        memcpy(words, list, 2 * card);
        arena_trim(mem, words, 2 * card);
        out->type = ARRAY;
    } else if (card == SPAN) {
        low *run = (low *)words;
        run[0] = 0, run[1] = SPAN - 1;
        arena_trim(mem, words, 4);
        out->type = RUN, out->runs = 1;
    }
    return 0;
}

void container_apply(setop op, word *dst, const container *c) {
    if (c->type == ARRAY) {
        words_apply_list(op, dst, c->data, c->card);
    } else if (c->type == RUN) {
        for (uint32_t i = 0; i < c->runs; i++) words_range(op, dst, run_first(c, i), run_last(c, i));
    } else {
        const word *src = c->data;
        if (op == SET_OR)
            for (int i = 0; i < WORDS; i++) dst[i] |= src[i];
        else
            words_combine(op, dst, dst, src);
    }
}

void container_words(const container *c, word *dst) {
    if (c->type == BITMAP) {
        memcpy(dst, c->data, WORDS_BYTES);
    } else {
        memset(dst, 0, WORDS_BYTES);
        container_apply(SET_OR, dst, c);
    }
}

/* The run that holds x or the last one before it; -1: none. */
static int32_t run_of(const container *c, uint32_t x) {
    int32_t from = 0, to = c->runs;
    while (from < to) {
        const int32_t mid = (from + to) / 2;
        if (run_first(c, (uint32_t)mid) <= x)
            from = mid + 1;
        else
            to = mid;
    }
    return from - 1;
}

int container_has(const container *c, uint16_t x) {
    if (c->type == BITMAP) return words_has(c->data, x);
    if (c->type == RUN) {
        const int32_t i = run_of(c, x);
        return i >= 0 && x <= run_last(c, (uint32_t)i);
    }
    const low *list = c->data;
    uint32_t from = 0;
    for (uint32_t n = c->card; n > 1; n -= n / 2) from += list[from + n / 2 - 1] < x ? n / 2 : 0;
    return list[from] == x;
}

uint32_t container_below(const container *c, uint32_t x) {
    if (x >= SPAN) return c->card;
    uint32_t count = 0;
    if (c->type == ARRAY) return list_seek(c->data, c->card, 0, x);
    if (c->type == RUN) {
        for (uint32_t i = 0; i < c->runs && run_first(c, i) < x; i++)
            count += (run_last(c, i) < x ? run_last(c, i) + 1 : x) - run_first(c, i);
        return count;
    }
    const word *words = c->data;
    for (uint32_t i = 0; i < x >> 6; i++) count += (uint32_t)__builtin_popcountll(words[i]);
    return count + (uint32_t)__builtin_popcountll(words[x >> 6] & ~(~UINT64_C(0) << (x & 63)));
}

uint16_t container_select(const container *c, uint32_t i) {
    if (c->type == ARRAY) return ((const low *)c->data)[i];
    if (c->type == RUN) {
        uint32_t r = 0;
        for (uint32_t length; i >= (length = run_last(c, r) - run_first(c, r) + 1); r++) i -= length;
        return (uint16_t)(run_first(c, r) + i);
    }
    const word *words = c->data;
    uint32_t w = 0;
    for (uint32_t here; i >= (here = (uint32_t)__builtin_popcountll(words[w])); w++) i -= here;
    uint64_t v = words[w];
    while (i--) v &= v - 1;
    return (uint16_t)(w << 6 | (uint32_t)__builtin_ctzll(v));
}

uint32_t container_rows(const container *c, uint64_t base, uint64_t *out) {
    if (c->type == BITMAP) return words_rows(c->data, base, out);
    if (c->type == ARRAY) {
        const low *list = c->data;
        for (uint32_t i = 0; i < c->card; i++) out[i] = base + list[i];
        return c->card;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->runs; i++)
        for (uint32_t x = run_first(c, i); x <= run_last(c, i); x++) out[n++] = base + x;
    return n;
}

uint32_t container_runs(const container *c) {
    if (c->type == RUN) return c->runs;
    if (c->type == BITMAP) return words_runs(c->data);
    const low *list = c->data;
    lows follow = {0}; /* of each of eight places, how many rows come right after another: at most 8,192 */
    uint32_t i = 1, joined = 0;
    for (; i + 8 <= c->card; i += 8) {
        lows before, here;
        memcpy(&before, list + i - 1, sizeof before), memcpy(&here, list + i, sizeof here);
        follow -= (lows)(here == before + 1);
    }
    for (int k = 0; k < 8; k++) joined += follow[k];
    for (; i < c->card; i++) joined += list[i] == list[i - 1] + 1;
    return c->card - joined;
}

int container_same(const container *a, const container *b) {
    if (a->card != b->card) return 0;
    if (a->type == b->type && bytes_of(a) == bytes_of(b)) return memcmp(a->data, b->data, bytes_of(a)) == 0;
    return container_and_count(a, b) == a->card;
}

/* The numbers of a list that are (keep = 1) or are not (0) in c; out NULL: count only; out may be the list. */
static uint32_t filter(low *out, const low *list, uint32_t n, const container *c, uint32_t keep) {
    uint32_t count = 0;
    if (c->type == BITMAP) {
        const word *words = c->data;
        for (uint32_t i = 0; i < n; i++) {
            const uint16_t x = list[i];
            if (out) out[count] = x;
            count += (uint32_t)words_has(words, x) == keep;
        }
    } else if (c->type == RUN) {
        for (uint32_t i = 0, r = 0; i < n; i++) {
            const uint16_t x = list[i];
            while (r < c->runs && run_last(c, r) < x) r++;
            if (out) out[count] = x;
            count += (r < c->runs && run_first(c, r) <= x) == keep;
        }
    } else {
        const low *other = c->data;
        for (uint32_t i = 0, j = 0; i < n; i++) {
            const uint16_t x = list[i];
            j = list_seek(other, c->card, j, x);
            if (out) out[count] = x;
            count += (j < c->card && other[j] == x) == keep;
        }
    }
    return count;
}

static uint32_t count_ranges(const word *words, const container *runs) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < runs->runs; i++) {
        const uint32_t first = run_first(runs, i), last = run_last(runs, i);
        for (uint32_t w = first >> 6; w <= last >> 6; w++) {
            uint64_t v = words[w];
            if (w == first >> 6) v &= ~UINT64_C(0) << (first & 63);
            if (w == last >> 6) v &= ~UINT64_C(0) >> (63 - (last & 63));
            count += (uint32_t)__builtin_popcountll(v);
        }
    }
    return count;
}

/* Runs in both; out NULL: only the number of rows, in *card. */
static uint32_t and_runs(low *out, const container *a, const container *b, uint32_t *card) {
    uint32_t n = 0, total = 0;
    for (uint32_t i = 0, j = 0; i < a->runs && j < b->runs;) {
        const uint32_t first = run_first(a, i) > run_first(b, j) ? run_first(a, i) : run_first(b, j);
        const uint32_t last_a = run_last(a, i), last_b = run_last(b, j), last = last_a < last_b ? last_a : last_b;
        if (first <= last) {
            if (out) out[2 * n] = (uint16_t)first, out[2 * n + 1] = (uint16_t)(last - first);
            n++, total += last - first + 1;
        }
        i += last_a <= last_b;
        j += last_b <= last_a;
    }
    *card = total;
    return n;
}

uint32_t container_and_count(const container *a, const container *b) {
    if (a->type == ARRAY && b->type == ARRAY) return list_and(NULL, a->data, a->card, b->data, b->card);
    if (a->type == ARRAY) return filter(NULL, a->data, a->card, b, 1);
    if (b->type == ARRAY) return filter(NULL, b->data, b->card, a, 1);
    if (a->type == BITMAP && b->type == BITMAP) return words_combine(SET_AND, NULL, a->data, b->data);
    if (a->type == BITMAP) return count_ranges(a->data, b);
    if (b->type == BITMAP) return count_ranges(b->data, a);
    uint32_t card;
    and_runs(NULL, a, b, &card);
    return card;
}

static int list_result(low *list, uint32_t card, container *out, arena *mem) {
    arena_trim(mem, list, 2 * card);
    *out = (container){.data = list, .card = card, .type = ARRAY};
    return 0;
}

static int run_result(low *runs, uint32_t n, uint32_t card, container *out, arena *mem) {
    arena_trim(mem, runs, 4 * n);
    *out = (container){.data = runs, .card = card, .runs = (uint16_t)n, .type = RUN};
    return 0;
}

/* The union or, with exclusive = 1, the symmetric difference of two lists. */
static uint32_t merge_lists(low *out, const container *a, const container *b, uint32_t exclusive) {
    const low *x = a->data, *y = b->data;
    uint32_t n = 0, i = 0, j = 0;
    while (i < a->card && j < b->card) {
        const uint16_t u = x[i], v = y[j];
        out[n] = u < v ? u : v;
        n += !exclusive | (u != v);
        i += u <= v;
        j += v <= u;
    }
    while (i < a->card) out[n++] = x[i++];
    while (j < b->card) out[n++] = y[j++];
    return n;
}

/* Runs in either; room for all of both. */
static uint32_t or_runs(low *out, const container *a, const container *b, uint32_t *card) {
    uint32_t n = 0, total = 0, i = 0, j = 0, first = 0, last = 0;
    while (i < a->runs || j < b->runs) {
        const int from_a = j == b->runs || (i < a->runs && run_first(a, i) <= run_first(b, j));
        const uint32_t f = from_a ? run_first(a, i) : run_first(b, j), l = from_a ? run_last(a, i) : run_last(b, j);
        i += (uint32_t)from_a, j += (uint32_t)!from_a;
        if (n && f <= last + 1) {
            last = l > last ? l : last;
        } else {
            first = f, last = l, n++;
        }
        out[2 * n - 2] = (uint16_t)first, out[2 * n - 1] = (uint16_t)(last - first);
    }
    for (uint32_t r = 0; r < n; r++) total += out[2 * r + 1] + 1u;
    *card = total;
    return n;
}

int container_and_bitmaps(const container *const *group, size_t n, container *out, arena *mem) {
    const word *src[MOST_FOLD];
    uint64_t expected = SPAN; /* bits in common, were they anywhere */
    for (size_t i = 0; i < n; i++) src[i] = group[i]->data, expected = expected * group[i]->card / SPAN;
    if (expected <= FEW / 2) { /* to write a bitmap would take longer than all else */
        const uint64_t live = words_and_live(src, n);
        low *list = __builtin_popcountll(live) <= FEW ? arena_take(mem, 2 * (FEW + 64)) : NULL;
        const uint32_t card = list ? words_and_list(src, n, live, list, FEW) : SPAN;
        if (card <= FEW) return list_result(list, card, out, mem);
        if (list) arena_trim(mem, list, 0);
    }
    word *dst = arena_take(mem, WORDS_BYTES);
    return dst ? container_of_words(dst, words_fold(SET_AND, dst, src, n), out, mem) : -1;
}

static int through_words(setop op, const container *a, const container *b, container *out, arena *mem) {
    if (op == SET_AND && a->type == BITMAP && b->type == BITMAP)
        return container_and_bitmaps((const container *const[]){a, b}, 2, out, mem);
    word *dst = arena_take(mem, WORDS_BYTES);
    if (!dst) return -1;
    uint32_t card;
    if (a->type == BITMAP && b->type == BITMAP) {
        card = words_combine(op, dst, a->data, b->data);
    } else if (op == SET_AND) { /* a bitmap and runs: clear what is between the runs */
        const container *bits = a->type == BITMAP ? a : b, *runs = a->type == BITMAP ? b : a;
        container_words(bits, dst);
        uint32_t next = 0;
        for (uint32_t i = 0; i < runs->runs; i++) {
            if (run_first(runs, i) > next) words_range(SET_ANDNOT, dst, next, run_first(runs, i) - 1);
            next = run_last(runs, i) + 1;
        }
        if (next < SPAN) words_range(SET_ANDNOT, dst, next, SPAN - 1);
        card = words_count(dst);
    } else {
        container_words(a, dst);
        container_apply(op, dst, b);
        card = words_count(dst);
    }
    return container_of_words(dst, card, out, mem);
}

int container_combine(setop op, const container *a, const container *b, container *out, arena *mem) {
    if (op == SET_AND && b->type == ARRAY && a->type != ARRAY) {
        const container *swap = a;
        a = b, b = swap;
    }
    const uint32_t total = a->card + b->card;
    low *list;
    if (a->type == ARRAY && (op == SET_AND || op == SET_ANDNOT)) {
        list = arena_take(mem, 2 * (size_t)a->card);
        if (!list) return -1;
        const uint32_t n = op == SET_AND && b->type == ARRAY ? list_and(list, a->data, a->card, b->data, b->card)
                                                             : filter(list, a->data, a->card, b, op == SET_AND);
        return list_result(list, n, out, mem);
    }
    if (a->type == ARRAY && b->type == ARRAY && total <= WORDS_FROM) {
        list = arena_take(mem, 2 * (size_t)total);
        return list ? list_result(list, merge_lists(list, a, b, op == SET_XOR), out, mem) : -1;
    }
    if (a->type == RUN && b->type == RUN && (op == SET_AND || op == SET_OR) && a->runs + b->runs < WORDS_BYTES / 4) {
        list = arena_take(mem, 4 * (size_t)(a->runs + b->runs));
        if (!list) return -1;
        uint32_t card;
        const uint32_t n = op == SET_AND ? and_runs(list, a, b, &card) : or_runs(list, a, b, &card);
        return run_result(list, n, card, out, mem);
    }
    if (op == SET_AND && a->type == RUN && b->type == RUN) { /* many runs: one of them as words */
        container bits;
        word words[WORDS];
        container_words(a, words);
        bits = (container){.data = words, .card = a->card, .type = BITMAP};
        return through_words(op, &bits, b, out, mem);
    }
    return through_words(op, a, b, out, mem);
}
