/* value_refs.c: what a table says of the value files that it points into; pointers. */
#include "lsm/csrc/table_format.h"
#include "lsm/csrc/values.h"
#include <stdlib.h>

void lsm_pointer_decode(const uint8_t in[LSM_POINTER], lsm_pointer *p) {
    p->file = lsm_get64(in);
    p->offset = lsm_get64(in + 8);
    p->length = lsm_get32(in + 16);
    p->crc = lsm_get32(in + 20);
}

/* Place of the first row whose file is not before this one. */
static uint32_t place_of(const lsm_value_refs *r, uint64_t file) {
    uint32_t lo = 0, n = r->n;
    while (n) {
        uint32_t half = n / 2;
        if (r->rows[lo + half].file < file) {
            lo += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return lo;
}

static int make_room(lsm_value_refs *r) {
    if (r->n < r->cap) return LSM_OK;
    uint32_t cap = r->cap ? r->cap * 2 : 8;
    lsm_value_ref *rows = realloc(r->rows, cap * sizeof *rows);
    if (!rows) return LSM_NOMEM;
    r->rows = rows;
    r->cap = cap;
    return LSM_OK;
}

int lsm_value_refs_add(lsm_value_refs *r, const lsm_entry *e) {
    if (e->value_len != LSM_POINTER) return LSM_CORRUPT;
    lsm_pointer p;
    lsm_pointer_decode(e->value, &p);
    if (r->last >= r->n || r->rows[r->last].file != p.file) {
        r->last = place_of(r, p.file);
        if (r->last == r->n || r->rows[r->last].file != p.file) {
            if (make_room(r) != LSM_OK) return LSM_NOMEM;
            memmove(r->rows + r->last + 1, r->rows + r->last, (r->n - r->last) * sizeof *r->rows);
            r->rows[r->last] = (lsm_value_ref){.file = p.file};
            r->n++;
        }
    }
    r->rows[r->last].records++;
    r->rows[r->last].bytes += lsm_value_size(e->key_len, p.length);
    return LSM_OK;
}
