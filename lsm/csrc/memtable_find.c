/* memtable_find.c: the built-in memtables by name. */
#include "lsm/csrc/memtable_kinds.h"

const lsm_memtable_ops *lsm_memtable_find(const char *name) {
    static const lsm_memtable_ops *const all[] = {&lsm_btree_ops, &lsm_skiplist_ops, &lsm_vector_ops, &lsm_hash_ops};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (!strcmp(all[i]->name, name)) return all[i];
    return NULL;
}
