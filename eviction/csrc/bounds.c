/* bounds.c: the best that any policy could do, with the future known (replay.h). */
#include "eviction/csrc/replay.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct { /* key -> number; the keys live in an array by number */
    uint32_t *place, mask;
    uint64_t *key;
} map;

static int map_init(map *m, size_t n) {
    size_t size = 4;
    while (size < 2 * n) size *= 2;
    m->mask = (uint32_t)(size - 1);
    m->place = malloc(size * sizeof *m->place);
    m->key = malloc((n + 1) * sizeof *m->key);
    if (!m->place || !m->key) return 0;
    memset(m->place, 0xFF, size * sizeof *m->place);
    return 1;
}

static uint32_t map_home(const map *m, uint64_t key) {
    key = (key ^ (key >> 32)) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(key >> 32) & m->mask;
}

static uint32_t map_find(const map *m, uint64_t key) {
    uint32_t i = map_home(m, key);
    while (m->place[i] != EVI_NONE && m->key[m->place[i]] != key) i = (i + 1) & m->mask;
    return i;
}

/* Belady's MIN (IBM Systems Journal 5(2), 1966): the resident whose next use is farthest leaves. A max-heap of (next use), with
 * outdated entries left in until they come up: an entry is current when it is its key's next use. O(n log n). */
typedef struct {
    uint64_t *at; /* heap of positions; keys[at] is the object's key, n + x for "never again" */
    size_t count;
} heap;

static void heap_push(heap *h, uint64_t at) {
    size_t i = h->count++;
    for (; i && h->at[(i - 1) / 2] < at; i = (i - 1) / 2) h->at[i] = h->at[(i - 1) / 2];
    h->at[i] = at;
}

static uint64_t heap_pop(heap *h) {
    uint64_t top = h->at[0], last = h->at[--h->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && h->at[child + 1] > h->at[child]) child++;
        if (h->at[child] <= last) break;
        h->at[i] = h->at[child];
        i = child;
    }
    h->at[i] = last;
    return top;
}

static void next_uses(map *m, const uint64_t *keys, size_t n, uint32_t *id, uint64_t *next, uint64_t *seen) {
    uint32_t ids = 0;
    for (size_t i = n; i-- > 0;) { /* next[i]: position of the next request of the same key, n + id when there is none */
        uint32_t place = map_find(m, keys[i]);
        if (m->place[place] == EVI_NONE) {
            m->key[ids] = keys[i];
            seen[ids] = n + ids;
            m->place[place] = ids++;
        }
        id[i] = m->place[place];
        next[i] = seen[id[i]];
        seen[id[i]] = i;
    }
}

int evi_belady(uint64_t capacity, const uint64_t *keys, size_t n, evi_result *result) {
    memset(result, 0, sizeof *result);
    if (n > (1u << 29)) return -EINVAL;
    map m = {0};
    heap h = {malloc((n + 1) * sizeof *h.at), 0};
    uint64_t *next = malloc((n + 1) * sizeof *next), *due = malloc((n + 1) * sizeof *due);
    uint32_t *id = malloc((n + 1) * sizeof *id);
    int code = -ENOMEM;
    if (map_init(&m, n) && h.at && next && due && id) {
        uint64_t resident = 0;
        next_uses(&m, keys, n, id, next, due);
        memset(due, 0xFF, (n + 1) * sizeof *due); /* due[id]: next use of a resident, UINT64_MAX when not resident */
        for (size_t i = 0; i < n; i++) {
            if (due[id[i]] != UINT64_MAX) {
                result->hits++;
            } else {
                result->misses++;
                if (!capacity) continue;
                if (resident == capacity) {
                    uint64_t at = heap_pop(&h); /* the largest is after i, hence current: an outdated entry is at or before i */
                    due[at < n ? id[at] : at - n] = UINT64_MAX;
                    result->evictions++;
                    resident--;
                }
                resident++;
            }
            due[id[i]] = next[i];
            heap_push(&h, next[i]);
        }
        code = 0;
    }
    free(m.place);
    free(m.key);
    free(h.at);
    free(next);
    free(due);
    free(id);
    return code;
}
