/* rows.h: the row cache: newest entries of single keys, by table, for look-ups of the present.
 *
 *    (table, hash of key) --> block: | seq u64 | kind u8 | key length u32 | key | value |     in an lsm_cache of its own
 *
 * A table never changes, so a row of it never goes stale; rows leave with their table. A snapshot older than the newest entry of a table
 * goes past its rows. Two keys of one hash: the second is not kept. Range tombstones are asked beside, as for entries from blocks.
 *
 * Ownership: as blocks of the cache: get gives the caller a reference. Threads: any.
 */
#ifndef LSM_ROWS_H
#define LSM_ROWS_H
#include "lsm/csrc/table.h"

/* The entry of key as the table has it, alive as long as the pin; 0: not in the row cache, or there is none. */
int lsm_rows_get(lsm_table *t, const uint8_t *key, size_t n, uint64_t snapshot, int level, lsm_reader *by, lsm_entry *out, lsm_pin *pin);
/* Keeps a copy of an entry that the table gave for that snapshot. */
void lsm_rows_put(lsm_table *t, const lsm_entry *e, uint64_t snapshot);
#endif
