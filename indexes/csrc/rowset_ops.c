#include "indexes/csrc/rowset.h"
#include <stdlib.h>

/* What is only in one of them: kept as it is, by a copy. */
static int push_copy(idx_rowset *out, uint64_t key, const container *c) {
    container copy;
    return container_copy(c, &copy, &out->mem) || rowset_push(out, key, &copy);
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
    const int failed = op == IDX_AND      ? and_into(out, a, b)
                       : op == IDX_OR     ? merge_into(SET_OR, out, a, b)
                       : op == IDX_XOR    ? merge_into(SET_XOR, out, a, b)
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

/* --- many --- */

static int by_card(const void *a, const void *b) {
    const container *x = *(const container *const *)a, *y = *(const container *const *)b;
    return (x->card > y->card) - (x->card < y->card);
}

/* All of the containers, fewest rows first. With count_only only out->card is of use. */
static int and_containers(const container **group, size_t n, int count_only, container *out, arena *mem) {
    qsort(group, n, sizeof *group, by_card);
    if (group[0]->type == BITMAP && group[n - 1]->type == BITMAP) {
        size_t bitmaps = 0;
        while (bitmaps < n && group[bitmaps]->type == BITMAP) bitmaps++;
        if (bitmaps == n) { /* one pass over words that stay in the nearest cache */
            word *dst = arena_take(mem, WORDS_BYTES);
            if (!dst) return -1;
            uint32_t card = words_combine(SET_AND, n > 2 || !count_only ? dst : NULL, group[0]->data, group[1]->data);
            for (size_t i = 2; i < n && card; i++)
                card = words_combine(SET_AND, count_only && i + 1 == n ? NULL : dst, dst, group[i]->data);
            if (count_only) {
                out->card = card;
                return 0;
            }
            return container_of_words(dst, card, out, mem);
        }
    }
    container so_far = *group[0];
    for (size_t i = 1; i < n && so_far.card; i++) {
        if (count_only && i + 1 == n) {
            so_far.card = container_and_count(&so_far, group[i]);
        } else {
            container next;
            if (container_combine(SET_AND, &so_far, group[i], &next, mem)) return -1;
            so_far = next;
        }
    }
    *out = so_far;
    return 0;
}

/* Every key that all sets have; the set with the fewest containers leads, the others gallop. */
static int and_many(const idx_rowset *const *sets, size_t n, idx_rowset *out, uint64_t *count) {
    size_t *at = calloc(n, sizeof *at), lead = 0;
    const container **group = malloc(n * sizeof *group);
    arena scratch = {0};
    int failed = !at || !group;
    for (size_t s = 1; s < n; s++)
        if (sets[s]->n < sets[lead]->n) lead = s;
    for (size_t i = 0; !failed && i < sets[lead]->n; i++) {
        const uint64_t key = sets[lead]->keys[i];
        int all = 1;
        for (size_t s = 0; s < n && all; s++) {
            at[s] = s == lead ? i : rowset_seek(sets[s], at[s], key);
            all = at[s] < sets[s]->n && sets[s]->keys[at[s]] == key;
            if (all) group[s] = &sets[s]->slots[at[s]];
        }
        if (!all) continue;
        container c = {0};
        if (out) {
            failed = n == 1 ? push_copy(out, key, group[0])
                            : and_containers(group, n, 0, &c, &scratch) || (c.card && push_copy(out, key, &c));
        } else if (n == 1) {
            *count += group[0]->card;
        } else {
            failed = and_containers(group, n, 1, &c, &scratch);
            *count += c.card;
        }
        arena_reset(&scratch);
    }
    arena_free(&scratch);
    free(at);
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

/* Any of the containers of one key. */
static int or_group(const keyed *group, size_t n, word *words, idx_rowset *out, uint64_t *count) {
    if (n == 1) {
        if (out) return push_copy(out, group->key, group->c);
        *count += group->c->card;
        return 0;
    }
    container c;
    if (n == 2 && !out) {
        *count += group[0].c->card + group[1].c->card - container_and_count(group[0].c, group[1].c);
        return 0;
    }
    if (n == 2) return container_combine(SET_OR, group[0].c, group[1].c, &c, &out->mem) || rowset_push(out, group->key, &c);
    word *dst = out ? arena_take(&out->mem, WORDS_BYTES) : words;
    if (!dst) return -1;
    container_words(group[0].c, dst);
    uint32_t card = 0;
    for (size_t i = 1; i + 1 < n; i++) container_apply(SET_OR, dst, group[i].c);
    if (group[n - 1].c->type == BITMAP) {
        card = words_combine(SET_OR, dst, dst, group[n - 1].c->data);
    } else {
        container_apply(SET_OR, dst, group[n - 1].c);
        card = words_count(dst);
    }
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
    int failed = !all || !words;
    for (size_t s = 0; !failed && s < n; s++)
        for (size_t i = 0; i < sets[s]->n; i++) all[m++] = (keyed){.key = sets[s]->keys[i], .c = &sets[s]->slots[i]};
    const keyed *sorted = failed ? NULL : sort_keyed(all, all + total, total);
    for (size_t i = 0; !failed && i < total;) {
        size_t j = i + 1;
        while (j < total && sorted[j].key == sorted[i].key) j++;
        failed = or_group(sorted + i, j - i, words, out, count);
        i = j;
    }
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
