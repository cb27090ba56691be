/* table.h: key -> slot, for drivers of a policy: open addressing, 4 bytes an entry, no key in it.
 *
 *    entry: | low bits of its home | slot |     home: where the hash of the key points     keys: an array by slot, somebody else's
 *
 * Linear probing, at most half full. The spare bits of an entry tell its home: a look-up reads no key but of entries of the same home, and
 * closing the gap of a removal (Knuth, The art of computer programming 3, 6.4, algorithm R) reads none. Only once an entry lay farther from
 * its home than those bits can tell (never in practice) are the homes hashed again.
 *
 * Ownership: the table owns the entries, never the keys. Threads: one. Invariants: a slot that is looked for by its home has an entry;
 * keys[slot] is the key of the entry (the driver of replay.c says where it bends this).
 */
#ifndef EVI_TABLE_H
#define EVI_TABLE_H
#include "eviction/csrc/policy.h"
#include <stdlib.h>
#include <string.h>

#define TABLE_EMPTY UINT32_MAX

typedef struct {
    uint32_t *entry, mask, slot_mask;
    int shift, slot_bits, far;
} evi_table;

static inline size_t table_bytes(const evi_table *t) { return ((size_t)t->mask + 1) * sizeof *t->entry; }

/* For so many entries at once, of slots below `slots`, both at most 2^29. 0: out of memory. */
static inline int table_init(evi_table *t, uint32_t entries, uint32_t slots) {
    int bits = 6; /* room for some more than was asked for */
    while ((size_t)1 << bits < 2 * (size_t)entries) bits++;
    t->slot_bits = 1;
    while ((size_t)1 << t->slot_bits <= slots) t->slot_bits++;
    t->mask = (uint32_t)(((size_t)1 << bits) - 1);
    t->slot_mask = ((uint32_t)1 << t->slot_bits) - 1;
    t->shift = 32 - bits;
    t->far = 0;
    t->entry = malloc(table_bytes(t));
    if (t->entry) memset(t->entry, 0xFF, table_bytes(t));
    return t->entry != NULL;
}

static inline uint32_t table_hash(uint64_t key) { return (uint32_t)(((key ^ key >> 32) * UINT64_C(0x9E3779B97F4A7C15)) >> 32); }

static inline uint32_t table_home(const evi_table *t, uint64_t key) { return table_hash(key) >> t->shift; }

/* Where the key is, or the empty entry where it would be: *slot is EVI_NONE then. */
static inline uint32_t table_find(const evi_table *t, const uint64_t *keys, uint32_t home, uint64_t key, uint32_t *slot) {
    const uint32_t mine = home << t->slot_bits;
    for (uint32_t i = home;; i = (i + 1) & t->mask) {
        const uint32_t e = t->entry[i];
        *slot = e & t->slot_mask;
        if (e == TABLE_EMPTY) return *slot = EVI_NONE, i;
        if ((e ^ mine) <= t->slot_mask && keys[*slot] == key) return i;
    }
}

static inline uint32_t table_of_slot(const evi_table *t, uint32_t home, uint32_t slot) { /* where a slot that has an entry has it */
    const uint32_t e = home << t->slot_bits | slot;
    uint32_t i = home;
    while (t->entry[i] != e) i = (i + 1) & t->mask;
    return i;
}

static inline int table_is_far(const evi_table *t, uint32_t i, uint32_t home) {
    return ((i - home) & t->mask) > UINT32_MAX >> t->slot_bits;
}

static inline void table_set(evi_table *t, uint32_t i, uint32_t home, uint32_t slot) { /* at an empty entry, from table_find */
    t->far |= table_is_far(t, i, home);
    t->entry[i] = home << t->slot_bits | slot;
}

static inline void table_clear(evi_table *t, const uint64_t *keys, uint32_t i) {
    const uint32_t told = UINT32_MAX >> t->slot_bits;
    for (uint32_t j = i;;) {
        j = (j + 1) & t->mask;
        const uint32_t e = t->entry[j];
        if (e == TABLE_EMPTY) break;
        const uint32_t home = t->far ? table_home(t, keys[e & t->slot_mask]) : j - ((j - (e >> t->slot_bits)) & told);
        if (((j - home) & t->mask) < ((j - i) & t->mask)) continue; /* it would no longer be found */
        t->entry[i] = e;
        i = j;
    }
    t->entry[i] = TABLE_EMPTY;
}
#endif
