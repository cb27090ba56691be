#include "eviction/csrc/ghosts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t home(const evi_ghosts *h, uint64_t key) {
    key = (key ^ (key >> 32)) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(key >> 32) & h->mask;
}

static uint32_t place_of(const evi_ghosts *h, uint64_t key) { /* where key is, or the empty place where it would be */
    uint32_t i = home(h, key);
    while (h->table[i] != EVI_NONE && h->g.key[h->table[i]] != key) i = (i + 1) & h->mask;
    return i;
}

int ghosts_init(evi_ghosts *h, uint32_t nodes, uint32_t flags) {
    if (nodes > (1u << 30)) return 0;
    evi_config config = {.capacity = UINT64_MAX, .slots = nodes, .flags = flags};
    uint32_t size = 4;
    while (size < 2 * nodes) size *= 2;
    memset(h, 0, sizeof *h);
    h->mask = size - 1;
    if (!residents_init(&h->g, &config)) return 0;
    h->table = malloc((size_t)size * sizeof *h->table);
    if (!h->table) return ghosts_free(h), 0;
    memset(h->table, 0xFF, (size_t)size * sizeof *h->table);
    for (uint32_t i = 0; i < nodes; i++) h->g.node[i].older = i + 1 < nodes ? i + 1 : EVI_NONE;
    h->free_node = nodes ? 0 : EVI_NONE;
    return 1;
}

static int grow_array(void **array, size_t n) {
    void *more = realloc(*array, n);
    if (more) *array = more;
    return more != NULL;
}

int ghosts_grow(evi_ghosts *h, uint32_t nodes) {
    uint32_t old = h->g.slots, size = h->mask + 1;
    if (nodes <= old || nodes > (1u << 30)) return nodes <= old;
    while (size < 2 * nodes) size *= 2;
    size_t n = (size_t)nodes + 1;
    if (!grow_array((void **)&h->g.node, n * sizeof *h->g.node) || !grow_array((void **)&h->g.key, n * sizeof *h->g.key) ||
        (h->g.weight && !grow_array((void **)&h->g.weight, n * sizeof *h->g.weight)) ||
        !grow_array((void **)&h->table, (size_t)size * sizeof *h->table))
        return 0;
    memset(h->g.node + old, 0, (n - old) * sizeof *h->g.node);
    h->g.slots = nodes;
    for (uint32_t i = old; i < nodes; i++) h->g.node[i].older = i + 1 < nodes ? i + 1 : h->free_node;
    h->free_node = old;
    memset(h->table, 0xFF, (size_t)size * sizeof *h->table);
    h->mask = size - 1;
    for (uint32_t i = 0; i < old; i++)
        if (h->g.node[i].tag) h->table[place_of(h, h->g.key[i])] = i;
    return 1;
}

void ghosts_free(evi_ghosts *h) {
    residents_free(&h->g);
    free(h->table);
}

uint32_t ghosts_find(const evi_ghosts *h, uint64_t key) { return h->table[place_of(h, key)]; }

void ghosts_drop(evi_ghosts *h, uint32_t node) {
    uint32_t i = place_of(h, h->g.key[node]), j = i;
    residents_unlink(&h->g, node);
    h->g.node[node].older = h->free_node;
    h->free_node = node;
    for (;;) { /* close the gap: move back what would no longer be found */
        h->table[i] = EVI_NONE;
        for (;;) {
            j = (j + 1) & h->mask;
            if (h->table[j] == EVI_NONE) return;
            uint32_t at = home(h, h->g.key[h->table[j]]);
            if (((j - at) & h->mask) >= ((j - i) & h->mask)) break;
        }
        h->table[i] = h->table[j];
        i = j;
    }
}

uint32_t ghosts_add(evi_ghosts *h, int queue, uint64_t key, uint64_t weight) {
    for (int i = 0; h->free_node == EVI_NONE && i < EVI_QUEUES; i++) {
        const evi_queue *q = &h->g.queue[(queue + i) % EVI_QUEUES];
        if (q->count) ghosts_drop(h, q->back);
    }
    uint32_t node = h->free_node;
    if (node == EVI_NONE) return node; /* there are no nodes at all */
    h->free_node = h->g.node[node].older;
    h->table[place_of(h, key)] = node;
    h->g.key[node] = key;
    residents_place(&h->g, queue, node, key, weight);
    return node;
}

size_t ghosts_memory(const evi_ghosts *h) { return residents_memory(&h->g) + ((size_t)h->mask + 1) * sizeof *h->table; }

int ghosts_check(const evi_ghosts *h, char *why, size_t n) {
    if (!residents_check(&h->g, why, n)) return 0;
    for (uint32_t i = 0; i < h->g.slots; i++)
        if (h->g.node[i].tag && ghosts_find(h, h->g.key[i]) != i) return snprintf(why, n, "ghost %u is not found by its key", i), 0;
    return 1;
}
