#include "eviction/csrc/cache_map.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int trash_reserve(map_trash *t, size_t more) {
    if (t->n + more <= t->room) return 1;
    size_t room = 2 * (t->n + more);
    PyObject **item = realloc(t->item == t->few ? NULL : t->item, room * sizeof *item);
    if (!item) return 0;
    if (t->item == t->few) memcpy(item, t->few, t->n * sizeof *item);
    t->item = item;
    t->room = room;
    return 1;
}

void trash_empty(map_trash *t) {
    for (size_t i = 0; i < t->n; i++) Py_DECREF(t->item[i]);
    if (t->item != t->few) free(t->item);
}

/* A table for so many slots: a power of two, at least half as many again, with an empty entry always. */
static map_entry *new_table(uint32_t slots, uint32_t *mask, int *shift) {
    int bits = 2;
    while (((uint64_t)2 << bits) < 3 * (uint64_t)slots + 2) bits++;
    map_entry *table = malloc(sizeof *table << bits);
    if (table) memset(table, 0xFF, sizeof *table << bits);
    *mask = (uint32_t)(((uint64_t)1 << bits) - 1);
    *shift = 32 - bits;
    return table;
}

static void enter(map_entry *table, uint32_t mask, int shift, uint32_t slot, uint32_t tag) {
    uint32_t i = tag >> shift;
    while (table[i].slot != EVI_NONE) i = (i + 1) & mask;
    table[i] = (map_entry){slot, tag};
}

int map_init(cache_map *m, uint32_t slots) {
    memset(m, 0, sizeof *m);
    m->table = new_table(slots, &m->mask, &m->shift);
    m->node = calloc((size_t)slots + 1, sizeof *m->node);
    m->free_slot = malloc(((size_t)slots + 1) * sizeof *m->free_slot);
    if (!m->table || !m->node || !m->free_slot) return map_free(m), 0;
    m->slots = m->n_free = slots;
    for (uint32_t i = 0; i < slots; i++) m->free_slot[i] = slots - 1 - i;
    return 1;
}

int map_grow(cache_map *m, uint32_t slots) {
    uint32_t mask;
    int shift;
    map_node *node = realloc(m->node, ((size_t)slots + 1) * sizeof *node);
    if (node) m->node = node;
    uint32_t *free_slot = node ? realloc(m->free_slot, ((size_t)slots + 1) * sizeof *free_slot) : NULL;
    if (free_slot) m->free_slot = free_slot;
    map_entry *table = free_slot ? new_table(slots, &mask, &shift) : NULL;
    if (!table) return 0;
    memset(node + m->slots, 0, ((size_t)slots + 1 - m->slots) * sizeof *node);
    for (uint32_t i = 0; i <= m->mask; i++)
        if (m->table[i].slot != EVI_NONE) enter(table, mask, shift, m->table[i].slot, m->table[i].tag);
    free(m->table);
    m->table = table;
    m->mask = mask;
    m->shift = shift;
    memmove(free_slot + (slots - m->slots), free_slot, m->n_free * sizeof *free_slot); /* the old ones are taken first */
    for (uint32_t i = 0; i < slots - m->slots; i++) free_slot[i] = slots - 1 - i;
    m->n_free += slots - m->slots;
    m->slots = slots;
    m->changes++;
    return 1;
}

void map_free(cache_map *m) {
    free(m->table);
    free(m->node);
    free(m->free_slot);
    memset(m, 0, sizeof *m);
}

size_t map_bytes(const cache_map *m) {
    return ((size_t)m->mask + 1) * sizeof *m->table + ((size_t)m->slots + 1) * (sizeof *m->node + sizeof *m->free_slot);
}

int map_equal(cache_map *m, uint32_t slot, PyObject *key) {
    PyObject *mine = Py_NewRef(m->node[slot].key);
    const uint64_t changes = m->changes;
    const int equal = PyObject_RichCompareBool(mine, key, Py_EQ);
    Py_DECREF(mine);
    return equal < 0 ? -1 : m->changes != changes ? -2 : equal;
}

int map_has_hash(const cache_map *m, Py_hash_t hash) {
    const uint32_t tag = map_tag(hash);
    for (uint32_t i = tag >> m->shift; m->table[i].slot != EVI_NONE; i = (i + 1) & m->mask)
        if (m->table[i].tag == tag && m->node[m->table[i].slot].hash == hash) return 1;
    return 0;
}

uint32_t map_add(cache_map *m, Py_hash_t hash, PyObject *key, PyObject *value, uint64_t weight) {
    const uint32_t slot = m->free_slot[--m->n_free];
    m->node[slot] = (map_node){.hash = hash, .key = Py_NewRef(key), .value = Py_NewRef(value), .weight = weight};
    enter(m->table, m->mask, m->shift, slot, map_tag(hash));
    m->count++;
    m->changes++;
    return slot;
}

static uint32_t entry_of(const cache_map *m, uint32_t slot) {
    uint32_t i = map_tag(m->node[slot].hash) >> m->shift;
    while (m->table[i].slot != slot) i = (i + 1) & m->mask;
    return i;
}

void map_take(cache_map *m, uint32_t slot, map_trash *trash) {
    uint32_t i = entry_of(m, slot);
    for (uint32_t j = i;;) {
        j = (j + 1) & m->mask;
        const map_entry e = m->table[j];
        if (e.slot == EVI_NONE) break;
        if (((j - (e.tag >> m->shift)) & m->mask) < ((j - i) & m->mask)) continue; /* it would no longer be found */
        m->table[i] = e;
        i = j;
    }
    m->table[i].slot = EVI_NONE;
    trash_add(trash, m->node[slot].key);
    trash_add(trash, m->node[slot].value);
    m->node[slot].key = m->node[slot].value = NULL;
    m->free_slot[m->n_free++] = slot;
    m->count--;
    m->changes++;
}

int map_check(const cache_map *m, char *why, size_t n) {
    uint32_t held = 0, entries = 0;
    for (uint32_t slot = 0; slot < m->slots; slot++) {
        if (!m->node[slot].key) continue;
        held++;
        uint32_t i = map_tag(m->node[slot].hash) >> m->shift;
        while (m->table[i].slot != slot && m->table[i].slot != EVI_NONE) i = (i + 1) & m->mask;
        if (m->table[i].slot != slot) return snprintf(why, n, "slot %u is not found by its hash", slot), 0;
    }
    for (uint32_t i = 0; i <= m->mask; i++) entries += m->table[i].slot != EVI_NONE;
    if (held == m->count && entries == held && m->n_free == m->slots - held) return 1;
    return snprintf(why, n, "%u slots held, %u entries, %u counted, %u free of %u", held, entries, m->count, m->n_free, m->slots), 0;
}
