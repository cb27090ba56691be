#include "eviction/csrc/ghosts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ghosts_init(evi_ghosts *h, uint32_t nodes, uint32_t flags) {
    if (nodes > (1u << 29)) return 0;
    evi_config config = {.capacity = UINT64_MAX, .slots = nodes, .flags = flags};
    memset(h, 0, sizeof *h);
    if (!residents_init(&h->g, &config)) return 0;
    if (!table_init(&h->table, nodes, nodes)) return ghosts_free(h), 0;
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
    uint32_t old = h->g.slots;
    size_t n = (size_t)nodes + 1;
    evi_table table;
    if (!grow_array((void **)&h->g.node, n * sizeof *h->g.node) || !grow_array((void **)&h->g.key, n * sizeof *h->g.key) ||
        (h->g.weight && !grow_array((void **)&h->g.weight, n * sizeof *h->g.weight)) || !table_init(&table, nodes, nodes))
        return 0;
    free(h->table.entry);
    h->table = table;
    memset(h->g.node + old, 0, (n - old) * sizeof *h->g.node);
    h->g.slots = nodes;
    for (uint32_t i = old; i < nodes; i++) h->g.node[i].older = i + 1 < nodes ? i + 1 : EVI_NONE;
    h->free_node = old;
    for (uint32_t i = 0; i < old; i++) {
        uint32_t home = table_home(&h->table, h->g.key[i]), none;
        table_set(&h->table, table_find(&h->table, h->g.key, home, h->g.key[i], &none), home, i);
    }
    return 1;
}

void ghosts_free(evi_ghosts *h) {
    residents_free(&h->g);
    free(h->table.entry);
}

void ghosts_layout(const evi_ghosts *h, evi_layout *out) {
    out->bytes += residents_bytes(&h->g) + table_bytes(&h->table);
    out->ghosts = h->table.entry;
    out->ghosts_shift = (uint32_t)h->table.shift;
}

uint32_t ghosts_find(const evi_ghosts *h, uint64_t key) {
    uint32_t node;
    table_find(&h->table, h->g.key, table_home(&h->table, key), key, &node);
    return node;
}

void ghosts_drop(evi_ghosts *h, uint32_t node) {
    table_clear(&h->table, h->g.key, table_of_slot(&h->table, table_home(&h->table, h->g.key[node]), node));
    residents_unlink(&h->g, node);
    h->g.node[node].older = h->free_node;
    h->free_node = node;
}

uint32_t ghosts_add(evi_ghosts *h, int queue, uint64_t key, uint64_t weight) {
    for (int i = 0; h->free_node == EVI_NONE && i < EVI_QUEUES; i++) {
        const evi_queue *q = &h->g.queue[(queue + i) % EVI_QUEUES];
        if (q->count) ghosts_drop(h, q->back);
    }
    uint32_t node = h->free_node, home = table_home(&h->table, key), none;
    if (node == EVI_NONE) return node; /* there are no nodes at all */
    h->free_node = h->g.node[node].older;
    table_set(&h->table, table_find(&h->table, h->g.key, home, key, &none), home, node);
    residents_place(&h->g, queue, node, key, weight);
    return node;
}

int ghosts_check(const evi_ghosts *h, char *why, size_t n) {
    if (!residents_check(&h->g, why, n)) return 0;
    for (uint32_t i = 0; i < h->g.slots; i++)
        if (h->g.node[i].tag && ghosts_find(h, h->g.key[i]) != i) return snprintf(why, n, "ghost %u is not found by its key", i), 0;
    return 1;
}
