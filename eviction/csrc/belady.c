/* belady.c: the best that can be done (Belady, A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal 5(2),
 * 1966): the resident whose next use is farthest leaves. With bypass, what is asked for is not admitted when its own next use is farther
 * than all of theirs.
 *
 * Residents are a set of the positions of their next uses, a bitmap with summaries of 64 bits to 1 above it: the farthest is found from
 * the top, in as many steps as there are summaries (5 for 2^29 requests). Residents that are never used again are only counted. */
#include "eviction/csrc/replay.h"
#include "eviction/csrc/table.h"
#include <errno.h>

enum { LEVELS = 5, AHEAD = 16, CHUNK = 1 << 16 };

typedef struct {
    uint64_t *word[LEVELS];
    int levels;
} set;

static size_t set_init(set *s, size_t n) { /* bytes; 0: out of memory */
    size_t bytes = 0;
    for (s->levels = 0; !s->levels || n > 1; s->levels++) { /* LEVELS at most, as n is at most 2^29 */
        n = n / 64 + 1;
        if (!(s->word[s->levels] = calloc(n, sizeof(uint64_t)))) return 0;
        bytes += n * sizeof(uint64_t);
    }
    return bytes;
}

static void set_free(set *s) {
    for (int i = 0; i < LEVELS; i++) free(s->word[i]);
}

static inline int set_has(const set *s, size_t i) { return s->word[0][i / 64] >> i % 64 & 1; }

static inline void set_add(set *s, size_t i) {
    for (int level = 0; level < s->levels; level++, i /= 64) {
        uint64_t *w = &s->word[level][i / 64], old = *w;
        *w = old | UINT64_C(1) << i % 64;
        if (old) return;
    }
}

static inline void set_remove(set *s, size_t i) {
    for (int level = 0; level < s->levels; level++, i /= 64)
        if (s->word[level][i / 64] &= ~(UINT64_C(1) << i % 64)) return;
}

static inline size_t set_last(const set *s) { /* of a set that is not empty */
    size_t i = 0;
    for (int level = s->levels; level-- > 0;) i = i * 64 + 63 - (size_t)__builtin_clzll(s->word[level][i]);
    return i;
}

/* Positions that have gone by stay in the set: they are before every next use of a resident, and so never the last. */
static void run(set *s, const uint32_t *next, size_t n, uint64_t capacity, int bypass, evi_result *r) {
    uint64_t resident = 0, never = 0; /* of the residents, those that are never used again */
    for (size_t i = 0; i < n; i++) {
        if (i % CHUNK == 0) {
            __atomic_store_n(&r->done, i, __ATOMIC_RELAXED);
            if (__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) return;
        }
        if (i + AHEAD < n && next[i + AHEAD] != EVI_NONE) __builtin_prefetch(&s->word[0][next[i + AHEAD] / 64], 1);
        if (set_has(s, i)) {
            r->hits++;
        } else if (resident < capacity) {
            resident++;
        } else {
            const size_t last = never || !capacity ? SIZE_MAX : set_last(s);
            if (!capacity || (bypass && (next[i] == EVI_NONE || next[i] > last))) {
                r->bypassed++;
                continue;
            }
            if (never)
                never--;
            else
                set_remove(s, last);
            r->evictions++;
        }
        if (next[i] == EVI_NONE)
            never++;
        else
            set_add(s, next[i]);
    }
    __atomic_store_n(&r->done, n, __ATOMIC_RELAXED);
}

int evi_belady(const uint32_t *next, size_t n, uint64_t capacity, int bypass, evi_result *result) {
    if (n > (1u << 29)) return -EINVAL;
    set s = {0};
    size_t bytes = set_init(&s, n);
    result->memory = bytes + n * sizeof *next;
    if (bytes) run(&s, next, n, capacity, bypass, result);
    result->misses = result->done - result->hits;
    set_free(&s);
    return bytes ? 0 : -ENOMEM;
}

static int grow(evi_table *t, const uint64_t *keys, uint32_t entries, uint32_t n) {
    evi_table wide;
    if (!table_init(&wide, entries, n)) return 0;
    for (size_t i = 0; t->entry && i <= t->mask; i++) {
        if (t->entry[i] == TABLE_EMPTY) continue;
        const uint32_t at = t->entry[i] & t->slot_mask, home = table_home(&wide, keys[at]);
        uint32_t none;
        table_set(&wide, table_find(&wide, keys, home, keys[at], &none), home, at);
    }
    free(t->entry);
    *t = wide;
    return 1;
}

int evi_next_uses(const uint64_t *keys, size_t n, uint32_t *next) {
    if (n > (1u << 29)) return -EINVAL;
    evi_table t = {0}; /* key -> its first request of those read, from the end on */
    uint32_t entries = 1 << 15, used = 0;
    if (!grow(&t, keys, entries, (uint32_t)n)) return -ENOMEM;
    for (size_t i = n; i-- > 0;) {
        if (i >= AHEAD) __builtin_prefetch(&t.entry[table_home(&t, keys[i - AHEAD])], 1);
        const uint32_t home = table_home(&t, keys[i]), place = table_find(&t, keys, home, keys[i], &next[i]);
        table_set(&t, place, home, (uint32_t)i);
        if (next[i] == EVI_NONE && ++used == entries && !grow(&t, keys, entries *= 2, (uint32_t)n)) return free(t.entry), -ENOMEM;
    }
    free(t.entry);
    return 0;
}
