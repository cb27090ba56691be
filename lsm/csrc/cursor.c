/* cursor.c: scans: one superversion, one sequence number, children merged, the newest visible version of each key.
 *
 *   forward: the first visible entry of a key decides; later (older) ones of the same key are passed by.
 *   reverse: entries of a key come oldest first; the last visible one decides, so its value is kept aside until the key changes.
 */
#include "lsm/csrc/block.h"
#include "lsm/csrc/db.h"
#include <stdlib.h>

struct lsm_cursor {
    lsm_keyspace *ks;
    lsm_db *db;
    lsm_super *super;
    lsm_iter *it;
    lsm_block_iter *block; /* forward: the block that it stands in, stepped without the iterators around it; NULL: none */
    uint64_t snapshot;
    const lsm_tombs **tombs; /* those with ranges in them */
    uint32_t n_tombs;
    uint8_t *lower, *upper;
    size_t lower_len, upper_len;
    int has_lower, has_upper, reverse;
    int placed; /* it stands where the next fill begins; 0: at the start of the bounds */
    int has_last;
    uint8_t *last; /* forward: the key decided last; reverse: the key shown */
    size_t last_len, last_cap;
    uint8_t *value; /* reverse: value shown */
    size_t value_cap;
    lsm_entry shown; /* ready to be returned when has_shown */
    int has_shown, fill_cache;
    lsm_pin pin; /* holds the value shown, when it is of a value file */
    int failed; /* a status that ends it: where it stands is not known any more */
    lsm_error error;
};

static int keep(uint8_t **to, size_t *cap, const uint8_t *from, size_t n) {
    if (*cap <= n) {
        uint8_t *more = realloc(*to, n * 2 + 64);
        if (!more) return LSM_NOMEM;
        *to = more;
        *cap = n * 2 + 64;
    }
    lsm_copy_short(*to, from, n);
    return LSM_OK;
}

static int add_tombs(lsm_cursor *c, const lsm_tombs *t) {
    if (!lsm_tombs_count(t)) return LSM_OK;
    const lsm_tombs **more = realloc(c->tombs, (c->n_tombs + 1) * sizeof *more);
    if (!more) return LSM_NOMEM;
    c->tombs = more;
    c->tombs[c->n_tombs++] = t;
    return LSM_OK;
}

static int gather_tombs(lsm_cursor *c) {
    const lsm_super *s = c->super;
    int status = add_tombs(c, s->active->tombs);
    for (uint32_t i = 0; status == LSM_OK && i < s->n_sealed; i++) status = add_tombs(c, s->sealed[i]->tombs);
    for (uint32_t i = 0; status == LSM_OK && s->version && s->version->has_tombs && i < s->version->n_runs; i++)
        for (uint32_t k = 0; status == LSM_OK && k < s->version->runs[i].n; k++)
            status = add_tombs(c, lsm_table_tombs(s->version->runs[i].tables[k]));
    return status;
}

static int covered(const lsm_cursor *c, const lsm_entry *e) {
    for (uint32_t i = 0; i < c->n_tombs; i++)
        if (lsm_tombs_covering(c->tombs[i], e->key, e->key_len, c->snapshot) > e->seq) return 1;
    return 0;
}

static int open_children(lsm_cursor *c, int fill_cache, size_t readahead) {
    const lsm_super *s = c->super;
    uint32_t n_runs = s->version ? s->version->n_runs : 0, n = 0;
    lsm_iter **children = malloc((1 + s->n_sealed + n_runs) * sizeof *children);
    if (!children) return LSM_NOMEM;
    int bad = 0;
    for (uint32_t i = 0; i <= s->n_sealed; i++) {
        const lsm_mem *m = i ? s->sealed[i - 1] : s->active;
        if (!m->ops->count(m->impl)) continue;
        children[n] = lsm_mem_iter(m);
        if (children[n])
            children[n++]->error = &c->error;
        else
            bad = 1;
    }
    for (uint32_t i = 0; i < n_runs; i++) {
        const lsm_version_run *r = &s->version->runs[i];
        if (r->has_range_filters && c->has_lower && c->has_upper) {
            const lsm_bounds span = {c->lower, c->upper, c->lower_len, c->upper_len};
            children[n] = lsm_run_iter_within(r->tables, r->n, r->level, LSM_BY_SCAN, fill_cache, readahead, &span, &c->error);
        } else
            children[n] = r->n == 1 ? lsm_table_iter(r->tables[0], r->level, LSM_BY_SCAN, fill_cache, readahead, &c->error)
                                    : lsm_run_iter(r->tables, r->n, r->level, LSM_BY_SCAN, fill_cache, readahead, &c->error);
        if (children[n])
            n++;
        else
            bad = 1;
    }
    if (bad) {
        for (uint32_t i = 0; i < n; i++) children[i]->ops->close(children[i]);
    } else {
        c->it = n == 0 ? lsm_iter_empty() : n == 1 ? children[0] : lsm_merge_iter(children, n, &c->error);
    }
    free(children);
    return c->it ? LSM_OK : LSM_NOMEM;
}

int lsm_cursor_new(lsm_keyspace *ks, uint64_t snapshot, const uint8_t *lower, size_t ln, const uint8_t *upper, size_t un, int reverse,
                   int fill_cache, size_t readahead, lsm_cursor **out, lsm_error *error) {
    lsm_db *db = ks->db;
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    lsm_cursor *c = calloc(1, sizeof *c);
    int status = c ? LSM_OK : LSM_NOMEM;
    if (c) {
        c->ks = ks;
        c->db = db;
        atomic_fetch_add(&db->refs, 1);
        c->super = lsm_super_get(ks);
        uint64_t visible = atomic_load_explicit(&db->visible, memory_order_acquire);
        c->snapshot = snapshot < visible ? snapshot : visible;
        c->reverse = reverse;
        c->fill_cache = fill_cache;
        c->has_lower = lower != NULL;
        c->has_upper = upper != NULL;
        c->lower_len = ln;
        c->upper_len = un;
        size_t cap = 0;
        if (!c->super) status = LSM_CLOSED;
        if (status == LSM_OK && lower) status = keep(&c->lower, &cap, lower, ln);
        cap = 0;
        if (status == LSM_OK && upper) status = keep(&c->upper, &cap, upper, un);
        if (status == LSM_OK) status = gather_tombs(c);
        if (status == LSM_OK) status = open_children(c, fill_cache, readahead);
    }
    lsm_tally(db->env->ledger, LSM_N_SCAN, 1);
    lsm_leave(db);
    if (status == LSM_OK)
        *out = c;
    else if (c)
        lsm_cursor_close(c);
    return status == LSM_OK ? LSM_OK : lsm_fail(error, status, "", 0, status == LSM_NOMEM ? "out of memory" : "the keyspace is dropped");
}

void lsm_cursor_close(lsm_cursor *c) {
    lsm_db *db = c->db;
    if (c->it) c->it->ops->close(c->it);
    lsm_unpin(&c->pin);
    if (c->super) lsm_super_unref(c->super);
    free(c->tombs);
    free(c->lower);
    free(c->upper);
    free(c->last);
    free(c->value);
    free(c);
    lsm_db_unref(db);
}

/* After every move of the iterators themselves. Where one table or one run is all there is, its blocks show what it shows. */
static void enter_block(lsm_cursor *c) { c->block = c->reverse ? NULL : lsm_iter_block(c->it); }

static inline void step_forward(lsm_cursor *c) {
    lsm_block_iter *b = c->block;
    if (b && b->next < b->v.limit) {
        lsm_block_next(b);
        if (__builtin_expect(b->valid, 1)) return;
    }
    c->it->ops->next(c->it); /* goes on behind the block, or tells what is wrong with it */
    enter_block(c);
}

static void place(lsm_cursor *c) {
    lsm_iter *it = c->it;
    if (!c->reverse) {
        if (c->has_lower)
            it->ops->seek(it, c->lower, c->lower_len, LSM_SEQ_MAX);
        else
            it->ops->first(it);
    } else {
        if (c->has_upper)
            it->ops->seek_before(it, c->upper, c->upper_len);
        else
            it->ops->last(it);
    }
    c->has_last = 0;
    c->placed = 1;
    enter_block(c);
}

static inline int is_last(const lsm_cursor *c, const lsm_entry *e) {
    return c->has_last && lsm_same_key(c->last, c->last_len, e->key, e->key_len);
}

/* Finds the next pair in direction forward into shown (which points into the iterator's entry). 1, 0 at the end, or an error. */
static int find_forward(lsm_cursor *c) {
    lsm_iter *it = c->it;
    for (; it->valid; step_forward(c)) {
        const lsm_entry *e = c->block ? &c->block->e : &it->entry;
        if (e->seq > c->snapshot || is_last(c, e)) continue;
        if (c->has_upper && lsm_compare_keys(e->key, e->key_len, c->upper, c->upper_len) >= 0) return 0;
        if (keep(&c->last, &c->last_cap, e->key, e->key_len) != LSM_OK) return LSM_NOMEM;
        c->last_len = e->key_len;
        c->has_last = 1;
        if (e->kind == LSM_DELETE || (c->n_tombs && covered(c, e))) continue;
        c->shown = *e;
        c->has_shown = 1;
        return 1;
    }
    return it->status < 0 ? it->status : 0;
}

static int find_reverse(lsm_cursor *c) {
    lsm_iter *it = c->it;
    while (it->valid) {
        if (c->has_lower && lsm_compare_keys(it->entry.key, it->entry.key_len, c->lower, c->lower_len) < 0) return 0;
        if (keep(&c->last, &c->last_cap, it->entry.key, it->entry.key_len) != LSM_OK) return LSM_NOMEM;
        c->last_len = it->entry.key_len;
        c->has_last = 1;
        int live = 0;
        for (; it->valid && is_last(c, &it->entry); it->ops->prev(it)) {
            const lsm_entry *e = &it->entry;
            if (e->seq > c->snapshot) continue;
            live = e->kind != LSM_DELETE && !(c->n_tombs && covered(c, e));
            if (!live) continue;
            if (keep(&c->value, &c->value_cap, e->value, e->value_len) != LSM_OK) return LSM_NOMEM;
            c->shown = *e;
        }
        if (it->status < 0) return it->status; /* what was found may not be the newest */
        if (!live) continue;
        c->shown.key = c->last;
        c->shown.value = c->value;
        c->has_shown = 1;
        return 1;
    }
    return it->status < 0 ? it->status : 0;
}

/* Brings in the value shown, when it is in a value file. */
static int fetch(lsm_cursor *c) {
    if (__builtin_expect(c->shown.kind != LSM_VALUE_POINTER, 1)) return LSM_OK;
    const lsm_version *v = c->super->version;
    return lsm_value_fetch(v->values, v->n_values, &c->shown, &c->pin, LSM_BY_SCAN, c->fill_cache, NULL, &c->error);
}

static char *put_number(char *p, uint64_t v) {
    char digits[20];
    int n = 0;
    do digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n) *p++ = digits[--n];
    return p;
}

/* Shows the next pair. 1, 0 at the end, or an error. */
static inline int show(lsm_cursor *c, int keys_only) {
    int status = 1;
    if (!c->has_shown) status = c->failed ? c->failed : c->reverse ? find_reverse(c) : find_forward(c);
    if (status != 1) {
        if (status < 0) c->failed = status;
        return status;
    }
    if (keys_only || (status = fetch(c)) == LSM_OK) return 1;
    c->failed = status;
    c->has_shown = 0;
    return status;
}

static inline void shown(lsm_cursor *c) {
    c->has_shown = 0;
    if (!c->reverse) step_forward(c);
}

static int64_t told(lsm_cursor *c, int status, lsm_error *error) {
    if (c->error.status)
        *error = c->error;
    else
        lsm_fail(error, status, "", 0, status == LSM_NOMEM ? "out of memory" : "the scan failed");
    return status;
}

int64_t lsm_cursor_fill(lsm_cursor *c, uint32_t max, uint8_t *out, size_t cap, uint32_t *lens, char *format, size_t format_cap,
                        int keys_only, size_t *used, size_t *needed, lsm_error *error) {
    if (lsm_enter(c->db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    size_t at = 0;
    uint32_t n = 0;
    int status = 0, full = 0;
    char *f = format;
    if (!c->placed) place(c);
    while (n < max && (status = show(c, keys_only)) == 1) {
        size_t kn = c->shown.key_len, vn = keys_only ? 0 : c->shown.value_len;
        if (kn + vn > cap - at || (format && (size_t)(f - format) + 44 > format_cap)) {
            *needed = kn + vn;
            full = 1;
            break;
        }
        lsm_copy_short(out + at, c->shown.key, kn);
        if (vn) memcpy(out + at + kn, c->shown.value, vn);
        at += kn + vn;
        lens[2 * n] = (uint32_t)kn;
        lens[2 * n + 1] = (uint32_t)vn;
        if (format) {
            f = put_number(f, kn);
            *f++ = 's';
            f = put_number(f, vn);
            *f++ = 's';
        }
        n++;
        shown(c);
    }
    if (format) *f = 0;
    *used = at;
    lsm_tally(c->db->env->ledger, LSM_N_SCAN_ENTRIES, n);
    lsm_leave(c->db);
    if (n) return n;
    return status < 0 ? told(c, status, error) : full ? LSM_SHORT : 0;
}

int64_t lsm_cursor_columns(lsm_cursor *c, uint32_t max, const lsm_columns *to, size_t *needed, lsm_error *error) {
    if (lsm_enter(c->db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    uint32_t n = 0;
    size_t keys = 0, values = 0;
    int status = 0;
    *needed = 0;
    if (!c->placed) place(c);
    while (n < max && (status = show(c, 0)) == 1) {
        const size_t kn = c->shown.key_len, vn = c->shown.value_len;
        if (kn > to->keys_cap - keys || vn > to->values_cap - values) {
            *needed = kn + vn;
            break;
        }
        lsm_copy_short(to->keys + keys, c->shown.key, kn);
        if (vn) memcpy(to->values + values, c->shown.value, vn);
        n++;
        to->key_ends[n] = (int64_t)(keys += kn);
        to->value_ends[n] = (int64_t)(values += vn);
        shown(c);
    }
    lsm_tally(c->db->env->ledger, LSM_N_SCAN_ENTRIES, n);
    lsm_leave(c->db);
    return status < 0 && !n ? told(c, status, error) : n;
}

int lsm_cursor_seek(lsm_cursor *c, const uint8_t *key, size_t n, lsm_error *error) {
    if (lsm_enter(c->db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    lsm_iter *it = c->it;
    c->has_shown = 0;
    c->has_last = 0;
    c->failed = 0;
    c->error.status = 0;
    c->placed = 1;
    int status = LSM_OK;
    if (!c->reverse) {
        if (c->has_lower && lsm_compare_keys(key, n, c->lower, c->lower_len) < 0)
            place(c);
        else
            it->ops->seek(it, key, n, LSM_SEQ_MAX);
        enter_block(c);
    } else if (c->has_upper && lsm_compare_keys(key, n, c->upper, c->upper_len) >= 0) {
        place(c);
    } else { /* the last key <= key: before the shortest key behind it */
        status = keep(&c->value, &c->value_cap, key, n);
        if (status == LSM_OK) {
            c->value[n] = 0; /* keep leaves room */
            it->ops->seek_before(it, c->value, n + 1);
        }
    }
    lsm_leave(c->db);
    return status == LSM_OK ? LSM_OK : lsm_fail(error, status, "", 0, "out of memory");
}
