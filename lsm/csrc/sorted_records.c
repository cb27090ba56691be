/* sorted_records.c: see sorted_records.h. */
#include "lsm/csrc/sorted_records.h"
#include <stdlib.h>

lsm_record *lsm_record_new(lsm_arena *a, const lsm_entry *e, size_t before) {
    uint8_t *raw = lsm_arena_alloc(a, before + sizeof(lsm_record) + e->key_len + e->value_len);
    if (!raw) return NULL;
    lsm_record *r = (lsm_record *)(raw + before);
    r->tag = lsm_tag(e->seq, e->kind);
    r->key_len = e->key_len;
    r->value_len = (uint32_t)e->value_len;
    if (e->key_len) memcpy(r->key, e->key, e->key_len);
    if (e->value_len) memcpy(r->key + e->key_len, e->value, e->value_len);
    return r;
}

static int after(const lsm_slot *a, const lsm_slot *b) {
    if (a->prefix != b->prefix) return a->prefix > b->prefix;
    int c = lsm_compare_keys(a->record->key, a->record->key_len, b->record->key, b->record->key_len);
    return c ? c > 0 : a->record->tag < b->record->tag;
}

void lsm_slots_merge(const lsm_slot *a, size_t an, const lsm_slot *b, size_t bn, lsm_slot *out) {
    size_t i = 0, k = 0;
    if (bn && !after(&a[an - 1], &b[0])) i = an; /* already in order */
    if (i) memcpy(out, a, an * sizeof(*a));
    out += i;
    while (i < an && k < bn) *out++ = after(&a[i], &b[k]) ? b[k++] : a[i++];
    if (i < an) memcpy(out, a + i, (an - i) * sizeof(*a));
    out += an - i;
    if (k < bn) memcpy(out, b + k, (bn - k) * sizeof(*b));
}

void lsm_slots_sort(lsm_slot *slots, size_t n, lsm_slot *spare) {
    enum { RUN = 16 };
    for (size_t base = 0; base < n; base += RUN) {
        size_t end = base + RUN < n ? base + RUN : n;
        for (size_t i = base + 1; i < end; i++) {
            lsm_slot moving = slots[i];
            size_t k = i;
            for (; k > base && after(&slots[k - 1], &moving); k--) slots[k] = slots[k - 1];
            slots[k] = moving;
        }
    }
    lsm_slot *from = slots, *to = spare;
    for (size_t width = RUN; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width) {
            size_t mid = i + width < n ? i + width : n, end = mid + width < n ? mid + width : n;
            lsm_slots_merge(from + i, mid - i, from + mid, end - mid, to + i);
        }
        lsm_slot *t = from;
        from = to;
        to = t;
    }
    if (from != slots) memcpy(slots, from, n * sizeof(*slots));
}

size_t lsm_slots_seek(const lsm_slot *slots, size_t n, const uint8_t *key, size_t kn, uint64_t tag) {
    uint64_t prefix = lsm_prefix(key, kn);
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const lsm_slot *s = &slots[mid];
        int less = s->prefix < prefix;
        if (s->prefix == prefix) {
            int c = lsm_compare_keys(s->record->key, s->record->key_len, key, kn);
            less = c ? c < 0 : s->record->tag > tag;
        }
        if (less)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

typedef struct slots_iter {
    lsm_iter base;
    lsm_slot *slots;
    size_t n, at;
    int owned;
} slots_iter;

/* at is n when there is nothing to show; one before the first is n too. */
static inline void show(slots_iter *it, size_t at) {
    it->at = at < it->n ? at : it->n;
    it->base.valid = at < it->n;
    if (at >= it->n) return;
    if (at + 4 < it->n) __builtin_prefetch(it->slots[at + 4].record);
    lsm_record_entry(it->slots[at].record, &it->base.entry);
}

static void iter_first(lsm_iter *base) { show((slots_iter *)base, 0); }
static void iter_last(lsm_iter *base) { show((slots_iter *)base, ((slots_iter *)base)->n - 1); }
static void iter_next(lsm_iter *base) { show((slots_iter *)base, ((slots_iter *)base)->at + 1); }
static void iter_prev(lsm_iter *base) { show((slots_iter *)base, ((slots_iter *)base)->at - 1); }

static void iter_seek(lsm_iter *base, const uint8_t *key, size_t n, uint64_t seq) {
    slots_iter *it = (slots_iter *)base;
    show(it, lsm_slots_seek(it->slots, it->n, key, n, lsm_seek_tag(seq)));
}

static void iter_seek_before(lsm_iter *base, const uint8_t *key, size_t n) {
    slots_iter *it = (slots_iter *)base;
    show(it, lsm_slots_seek(it->slots, it->n, key, n, UINT64_MAX) - 1);
}

static void iter_close(lsm_iter *base) {
    slots_iter *it = (slots_iter *)base;
    if (it->owned) free(it->slots);
    free(it);
}

static const lsm_iter_ops iter_ops = {
    LSM_ABI, sizeof(lsm_iter_ops), iter_first, iter_last, iter_seek, iter_seek_before, iter_next, iter_prev, iter_close};

lsm_iter *lsm_slots_iter(lsm_slot *slots, size_t n, int owned) {
    slots_iter *it = calloc(1, sizeof(*it));
    if (!it) {
        if (owned) free(slots);
        return NULL;
    }
    it->base.ops = &iter_ops;
    it->slots = slots;
    it->n = n;
    it->at = n;
    it->owned = owned;
    return &it->base;
}
