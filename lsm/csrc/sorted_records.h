/* sorted_records.h: entries as records in an arena, and sorted arrays of them: what the vector and the hash memtable are made of.
 *
 *    record: | tag | key len | value len | key | value |        slot: (prefix, record)        array: slots in the order of types.h
 *
 * Sorting and searching look at the prefixes in the slots and touch records only where prefixes are equal.
 *
 * Ownership: records live in the arena given; an iterator owns its array when told so. Threads: records never change once made; an array
 * may be read by any number of threads while nobody writes it.
 */
#ifndef LSM_SORTED_RECORDS_H
#define LSM_SORTED_RECORDS_H
#include "lsm/csrc/arena.h"
#include "lsm/csrc/memtable_kinds.h"

typedef struct lsm_record {
    uint64_t tag;
    uint32_t key_len, value_len;
    uint8_t key[]; /* then the value */
} lsm_record;

typedef struct lsm_slot {
    uint64_t prefix;
    const lsm_record *record;
} lsm_slot;

lsm_record *lsm_record_new(lsm_arena *a, const lsm_entry *e,
                           size_t before); /* NULL: out of memory. before: bytes left free in front, a multiple of 8 */

static inline void lsm_record_entry(const lsm_record *r, lsm_entry *out) {
    out->key = r->key;
    out->value = r->key + r->key_len;
    out->key_len = r->key_len;
    out->kind = r->tag & 0xff;
    out->value_len = r->value_len;
    out->seq = r->tag >> 8;
}

static inline lsm_slot lsm_slot_of(const lsm_record *r) { return (lsm_slot){lsm_prefix(r->key, r->key_len), r}; }

/* Sorts n slots; spare holds n more and becomes garbage. O(n log n), stable, no recursion; sorted input costs n comparisons. */
void lsm_slots_sort(lsm_slot *slots, size_t n, lsm_slot *spare);
/* Merges two sorted arrays into out. */
void lsm_slots_merge(const lsm_slot *a, size_t an, const lsm_slot *b, size_t bn, lsm_slot *out);
/* Index of the first slot at or after (key, tag), n when there is none. */
size_t lsm_slots_seek(const lsm_slot *slots, size_t n, const uint8_t *key, size_t kn, uint64_t tag);
/* Iterator over a sorted array; owned: close frees the array. NULL: out of memory (an owned array is freed). */
lsm_iter *lsm_slots_iter(lsm_slot *slots, size_t n, int owned);
#endif
