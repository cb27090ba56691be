/* block.h: a data block: entries with prefix compression and restart points, and an optional hash index of its keys.
 *
 *   block   = entry* | restart offsets u32 x r | buckets u8 x b | b u32 | r u32
 *   entry   = shared varint | unshared varint | value length varint | unshared key bytes | tag u64 (seq << 8 | kind) | value
 *   At a restart point shared is 0. bucket = ordinal of the restart whose interval holds every key of that hash; 255 none, 254 several.
 *
 * Ownership: an iterator borrows the block; its key buffer is its own until lsm_block_iter_free. Threads: one.
 * Invariants: nothing outside of the block is ever read, whatever its bytes; each step consumes at least one byte or ends.
 */
#ifndef LSM_BLOCK_H
#define LSM_BLOCK_H
#include "lsm/csrc/table.h"

#define LSM_BUCKET_NONE 255
#define LSM_BUCKET_MANY 254

typedef struct lsm_block_builder {
    uint8_t *data, *last_key;
    size_t n, cap;
    uint32_t *restarts, n_restarts, cap_restarts, since, interval, last_len, entries;
    int hash_index;
    double hash_util;
    uint32_t *hashes; /* (hash, restart) pairs of user keys, when hash_index */
    uint32_t n_hashes, cap_hashes;
} lsm_block_builder;

int lsm_block_builder_init(lsm_block_builder *b, uint32_t interval, int hash_index, double hash_util);
void lsm_block_builder_free(lsm_block_builder *b);
int lsm_block_builder_add(lsm_block_builder *b, const lsm_entry *e); /* LSM_NOMEM */
size_t lsm_block_builder_size(const lsm_block_builder *b);
int lsm_block_builder_finish(lsm_block_builder *b); /* data, n hold the block until reset; LSM_NOMEM */
void lsm_block_builder_reset(lsm_block_builder *b);

typedef struct lsm_block_view lsm_block_view; /* table.h */

/* LSM_CORRUPT when the tail makes no sense. */
int lsm_block_view_init(lsm_block_view *v, const uint8_t *data, size_t n);

typedef struct lsm_past { /* a decoded entry of the interval that a backward scan is in */
    uint32_t at, next, key_at, key_len, kind;
    const uint8_t *value;
    uint64_t seq, value_len;
} lsm_past;

typedef struct lsm_block_iter {
    lsm_block_view v;
    lsm_entry e;
    uint32_t at, next; /* offsets of the current entry and of the one after it */
    int valid, status;
    uint8_t *buf; /* the key, when it is not whole in the block: own, or malloc'ed for long keys */
    size_t cap;
    lsm_past *past;
    uint32_t n_past, cap_past, past_at;
    uint8_t *past_keys;
    size_t past_used, past_cap;
    uint8_t own[256];
} lsm_block_iter;

void lsm_block_iter_new(lsm_block_iter *it); /* once, before anything else; the object must not move in memory afterwards */
void lsm_block_iter_init(lsm_block_iter *it, const lsm_block_view *v); /* turns to a block, keeping buffers */
void lsm_block_iter_free(lsm_block_iter *it);
void lsm_block_first(lsm_block_iter *it);
void lsm_block_last(lsm_block_iter *it);
void lsm_block_seek(lsm_block_iter *it, const uint8_t *key, size_t n, uint64_t seq);
void lsm_block_next(lsm_block_iter *it);
void lsm_block_prev(lsm_block_iter *it);
uint32_t lsm_block_hash(const uint8_t *key, size_t n);
/* block_get.c: one key without an iterator. aim says where to look, and asks for those lines: the restart that the hash index names,
 * LSM_BUCKET_NONE when the block surely does not hold the key, LSM_BUCKET_MANY when it cannot tell. find: the newest entry of key with a
 * sequence number <= seq: LSM_OK (out->key is the key given, out->value lies in the block), LSM_NOT_FOUND or LSM_CORRUPT. */
uint32_t lsm_block_aim(const lsm_block_view *v, const uint8_t *key, size_t n);
int lsm_block_find(const lsm_block_view *v, uint32_t aim, const uint8_t *key, size_t n, uint64_t seq, lsm_entry *out);
#endif
