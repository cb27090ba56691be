/* rows.c: rows as blocks of a cache; the form is at the top of rows.h. */
#include "lsm/csrc/rows.h"
#include "lsm/csrc/table_impl.h"

#define HEAD 13 /* seq, kind, key length */

/* Older snapshots go past the rows of a table. */
static inline int is_kept(const lsm_table *t, uint64_t snapshot) { return snapshot >= t->props.max_seq; }

int lsm_rows_get(lsm_table *t, const uint8_t *key, size_t n, uint64_t snapshot, int level, lsm_reader *by, lsm_entry *out, lsm_pin *pin) {
    if (!is_kept(t, snapshot)) return 0;
    int lent; /* never: rows have no cells */
    lsm_block *b = lsm_cache_lookup(t->env->rows, t->number, lsm_block_hash(key, n), NULL, by, &lent);
    if (!b) return 0;
    const uint8_t *p = b->data;
    if (lsm_get32(p + 9) != n || memcmp(p + HEAD, key, n)) {
        lsm_block_release(b);
        return 0;
    }
    *out = (lsm_entry){
        .key = key,
        .key_len = (uint32_t)n,
        .seq = lsm_get64(p),
        .kind = p[8],
        .value = p + HEAD + n,
        .value_len = b->size - HEAD - (uint32_t)n,
    };
    pin->block = b;
    lsm_reader_count(by, t->env->ledger, LSM_OP_HIT, level, LSM_C_ROW, LSM_BY_GET, b->size);
    return 1;
}

void lsm_rows_put(lsm_table *t, const lsm_entry *e, uint64_t snapshot) {
    if (!is_kept(t, snapshot)) return;
    lsm_block *b = lsm_block_alloc(t->env->rows, (size_t)HEAD + e->key_len + e->value_len);
    if (!b) return; /* a cache may forget */
    lsm_put64(b->data, e->seq);
    b->data[8] = (uint8_t)e->kind;
    lsm_put32(b->data + 9, e->key_len);
    memcpy(b->data + HEAD, e->key, e->key_len);
    if (e->value_len) memcpy(b->data + HEAD + e->key_len, e->value, e->value_len);
    lsm_block_release(lsm_cache_insert(t->env->rows, t->number, lsm_block_hash(e->key, e->key_len), NULL, b));
}
