#include "indexes/csrc/rowset.h"
#include <stdlib.h>

enum { MOST_FEW_LISTS = 8 };

/* What is only in one of them: kept as it is, by a copy. */
static int push_copy(idx_rowset *out, uint64_t key, const container *c) {
    container copy;
    return container_copy(c, &copy, &out->mem) || rowset_push(out, key, &copy);
}

/* What a result that is like this set takes: one piece of memory is written quicker than many. */
static size_t expected_bytes(const idx_rowset *set) {
    size_t bytes = 0;
    for (size_t i = 0; i < set->n; i++) bytes += set->slots[i].type == BITMAP ? WORDS_BYTES : 64;
    return bytes;
}

static int and_into(idx_rowset *out, const idx_rowset *a, const idx_rowset *b) {
    for (size_t i = 0, j = 0; i < a->n && j < b->n; i++) {
        j = rowset_seek(b, j, a->keys[i]);
        if (j == b->n) break;
        if (b->keys[j] != a->keys[i]) {
            i = rowset_seek(a, i, b->keys[j]);
            if (i == a->n) break;
            if (a->keys[i] != b->keys[j]) {
                i--;
                continue;
            }
        }
        container c;
        if (i + 1 < a->n && j + 1 < b->n) container_ahead(&a->slots[i + 1]), container_ahead(&b->slots[j + 1]);
        if (container_combine(SET_AND, &a->slots[i], &b->slots[j], &c, &out->mem) || rowset_push(out, a->keys[i], &c)) return -1;
    }
    return 0;
}

static int merge_into(setop op, idx_rowset *out, const idx_rowset *a, const idx_rowset *b) {
    size_t i = 0, j = 0;
    while (i < a->n || (j < b->n && op != SET_ANDNOT)) {
        if (j == b->n || (i < a->n && a->keys[i] < b->keys[j])) {
            if (push_copy(out, a->keys[i], &a->slots[i])) return -1;
            i++;
        } else if (i == a->n || b->keys[j] < a->keys[i]) {
            if (op != SET_ANDNOT && push_copy(out, b->keys[j], &b->slots[j])) return -1;
            j++;
        } else {
            container c;
            if (i + 1 < a->n && j + 1 < b->n) container_ahead(&a->slots[i + 1]), container_ahead(&b->slots[j + 1]);
            if (container_combine(op, &a->slots[i], &b->slots[j], &c, &out->mem) || rowset_push(out, a->keys[i], &c)) return -1;
            i++, j++;
        }
    }
    return 0;
}

idx_rowset *idx_rowset_combine(idx_setop op, const idx_rowset *a, const idx_rowset *b) {
    const size_t least = a->n < b->n ? a->n : b->n;
    idx_rowset *out = rowset_new(op == IDX_AND ? least : op == IDX_ANDNOT ? a->n : a->n + b->n);
    if (!out) return NULL;
    out->mem.first = expected_bytes(op == IDX_AND && b->n < a->n ? b : a);
    const int failed = op == IDX_AND   ? and_into(out, a, b)
                       : op == IDX_OR  ? merge_into(SET_OR, out, a, b)
                       : op == IDX_XOR ? merge_into(SET_XOR, out, a, b)
                                       : merge_into(SET_ANDNOT, out, a, b);
    if (!failed) return out;
    idx_rowset_free(out);
    return NULL;
}

uint64_t idx_rowset_and_count(const idx_rowset *a, const idx_rowset *b) {
    uint64_t count = 0;
    if (a->n > b->n) {
        const idx_rowset *swap = a;
        a = b, b = swap;
    }
    for (size_t i = 0, j = 0; i < a->n; i++) {
        j = rowset_seek(b, j, a->keys[i]);
        if (j == b->n) break;
        if (b->keys[j] == a->keys[i]) count += container_and_count(&a->slots[i], &b->slots[j]);
    }
    return count;
}

idx_rowset *idx_rowset_expand(const idx_rowset *set, uint32_t least) {
    idx_rowset *out = rowset_new(set->n);
    int failed = !out;
    if (out) out->mem.first = set->n * (size_t)WORDS_BYTES;
    for (size_t i = 0; i < set->n && !failed; i++) {
        const container *c = &set->slots[i];
        if (c->card < least || c->card == SPAN || c->type == BITMAP) {
            failed = push_copy(out, set->keys[i], c);
            continue;
        }
        word *words = arena_take(&out->mem, WORDS_BYTES);
        if (words) container_words(c, words);
        const container wide = {.data = words, .card = c->card, .type = BITMAP};
        failed = !words || rowset_push(out, set->keys[i], &wide);
    }
    if (!failed) return out;
    idx_rowset_free(out);
    return NULL;
}

/* --- many --- */

/* All of the containers of one key (n >= 2, those of the smaller sets first) into *out; with count_only just its card is of use. */
static int and_containers(const container *const *group, size_t n, int count_only, container *out, arena *mem) {
    size_t bitmaps = 0;
    while (bitmaps < n && bitmaps < MOST_FOLD && group[bitmaps]->type == BITMAP) bitmaps++;
    if (bitmaps == n) return container_and_bitmaps(group, n, out, mem);
    *out = *group[0];
    for (size_t i = 1; i < n && out->card; i++) {
        container next;
        if (count_only && i + 1 == n)
            out->card = container_and_count(out, group[i]);
        else if (container_combine(SET_AND, out, group[i], &next, mem))
            return -1;
        else
            *out = next;
    }
    return 0;
}

typedef struct {
    const idx_rowset *set;
    size_t at;
} follower;

static int by_count(const void *a, const void *b) {
    const idx_rowset *x = ((const follower *)a)->set, *y = ((const follower *)b)->set;
    return (x->count > y->count) - (x->count < y->count);
}

/* Every key that all sets have; the smallest set leads, the others gallop. */
static int and_many(const idx_rowset *const *sets, size_t n, idx_rowset *out, uint64_t *count) {
    follower *f = malloc(n * sizeof *f);
    const container **group = malloc(n * sizeof *group);
    arena scratch = {0};
    int failed = !f || !group;
    for (size_t s = 0; !failed && s < n; s++) f[s] = (follower){.set = sets[s]};
    if (!failed) qsort(f, n, sizeof *f, by_count);
    for (size_t i = 0; !failed && i < f[0].set->n; i++) {
        const uint64_t key = f[0].set->keys[i];
        size_t s = 1;
        for (group[0] = &f[0].set->slots[i]; s < n; s++) {
            const idx_rowset *set = f[s].set;
            const size_t at = f[s].at = rowset_seek(set, f[s].at, key);
            if (at == set->n || set->keys[at] != key) break;
            group[s] = &set->slots[at];
        }
        if (s < n) continue;
        container c = {0};
        arena *mem = out && group[0]->type == BITMAP ? &out->mem : &scratch; /* a fold's result is where it stays */
        if (n > 1) failed = and_containers(group, n, !out, &c, mem);
        if (!failed && !out) *count += n > 1 ? c.card : group[0]->card;
        if (!failed && out && n == 1) failed = push_copy(out, key, group[0]);
        if (!failed && out && c.card) failed = mem == &scratch ? push_copy(out, key, &c) : rowset_push(out, key, &c);
        arena_reset(&scratch);
    }
    arena_free(&scratch);
    free(f);
    free(group);
    return failed ? -1 : 0;
}

idx_rowset *idx_rowset_and_many(const idx_rowset *const *sets, size_t n) {
    if (n == 2) return idx_rowset_combine(IDX_AND, sets[0], sets[1]);
    idx_rowset *out = rowset_new(0);
    if (out && and_many(sets, n, out, NULL)) {
        idx_rowset_free(out);
        return NULL;
    }
    return out;
}

int idx_rowset_and_many_count(const idx_rowset *const *sets, size_t n, uint64_t *count) {
    *count = 0;
    return and_many(sets, n, NULL, count);
}

typedef struct {
    uint64_t key;
    const container *c;
} keyed;

/* Sort by key, least significant byte first. */
static keyed *sort_keyed(keyed *from, keyed *to, size_t n) {
    uint64_t differ = 0;
    for (size_t i = 1; i < n; i++) differ |= from[i].key ^ from[0].key;
    for (int shift = 0; shift < 48; shift += 8) {
        if (!(differ >> shift & 255)) continue;
        size_t starts[257] = {0};
        for (size_t i = 0; i < n; i++) starts[(from[i].key >> shift & 255) + 1]++;
        for (int b = 1; b < 256; b++) starts[b] += starts[b - 1];
        for (size_t i = 0; i < n; i++) to[starts[from[i].key >> shift & 255]++] = from[i];
        keyed *swap = from;
        from = to, to = swap;
    }
    return from;
}

/* Short lists one after the other into a list: for so few this is less than to clear and to read 1024 words. */
static int or_lists(const keyed *group, size_t n, container *out, arena *mem) {
    *out = *group[0].c;
    for (size_t i = 1; i < n; i++) {
        container next;
        if (container_combine(SET_OR, out, group[i].c, &next, mem)) return -1;
        *out = next;
    }
    return 0;
}

/* Any of the containers of one key (n > 2) as words, bitmaps all in one pass. */
static uint32_t or_words(const keyed *group, size_t n, word *dst) {
    const word *words[MOST_FOLD];
    size_t bitmaps = 0;
    for (size_t i = 0; i < n && bitmaps < MOST_FOLD; i++)
        if (group[i].c->type == BITMAP) words[bitmaps++] = group[i].c->data;
    uint32_t card = 0;
    if (bitmaps)
        card = words_fold(SET_OR, dst, words, bitmaps);
    else
        memset(dst, 0, WORDS_BYTES);
    if (bitmaps == n) return card;
    for (size_t i = 0, seen = 0; i < n; i++)
        if (group[i].c->type != BITMAP || seen++ >= MOST_FOLD) container_apply(SET_OR, dst, group[i].c);
    return words_count(dst);
}

static int or_group(const keyed *group, size_t n, word *words, arena *scratch, idx_rowset *out, uint64_t *count) {
    container c;
    if (n == 1) {
        if (out) return push_copy(out, group->key, group->c);
        *count += group->c->card;
        return 0;
    }
    if (n == 2) {
        if (out) return container_combine(SET_OR, group[0].c, group[1].c, &c, &out->mem) || rowset_push(out, group->key, &c);
        *count += group[0].c->card + group[1].c->card - container_and_count(group[0].c, group[1].c);
        return 0;
    }
    uint32_t total = 0, lists = 0;
    for (size_t i = 0; i < n; i++) total += group[i].c->card, lists += group[i].c->type == ARRAY;
    if (lists == n && total <= 128 && n <= MOST_FEW_LISTS) {
        if (or_lists(group, n, &c, scratch) || (out && push_copy(out, group->key, &c))) return -1;
        if (!out) *count += c.card;
        arena_reset(scratch);
        return 0;
    }
    word *dst = out ? arena_take(&out->mem, WORDS_BYTES) : words;
    if (!dst) return -1;
    const uint32_t card = or_words(group, n, dst);
    if (!out) {
        *count += card;
        return 0;
    }
    return container_of_words(dst, card, &c, &out->mem) || rowset_push(out, group->key, &c);
}

static int or_many(const idx_rowset *const *sets, size_t n, idx_rowset *out, uint64_t *count) {
    size_t total = 0, m = 0;
    for (size_t s = 0; s < n; s++) total += sets[s]->n;
    keyed *all = malloc((total ? total : 1) * 2 * sizeof *all);
    word *words = malloc(WORDS_BYTES);
    arena scratch = {0};
    int failed = !all || !words;
    for (size_t s = 0; !failed && s < n; s++)
        for (size_t i = 0; i < sets[s]->n; i++) all[m++] = (keyed){.key = sets[s]->keys[i], .c = &sets[s]->slots[i]};
    const keyed *sorted = failed ? NULL : sort_keyed(all, all + total, total);
    for (size_t i = 0; !failed && i < total;) {
        size_t j = i + 1;
        while (j < total && sorted[j].key == sorted[i].key) j++;
        failed = or_group(sorted + i, j - i, words, &scratch, out, count);
        i = j;
    }
    arena_free(&scratch);
    free(words);
    free(all);
    return failed ? -1 : 0;
}

idx_rowset *idx_rowset_or_many(const idx_rowset *const *sets, size_t n) {
    if (n == 2) return idx_rowset_combine(IDX_OR, sets[0], sets[1]);
    idx_rowset *out = rowset_new(n ? sets[0]->n : 0);
    if (out && or_many(sets, n, out, NULL)) {
        idx_rowset_free(out);
        return NULL;
    }
    return out;
}

int idx_rowset_or_many_count(const idx_rowset *const *sets, size_t n, uint64_t *count) {
    *count = 0;
    return or_many(sets, n, NULL, count);
}
