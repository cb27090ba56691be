/* bridge.c: see bridge.h. */
#include "bridge.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int rec_bytes_add(rec_bytes *b, const void *data, size_t n) {
    if (b->failed) return -ENOMEM;
    if (n > b->cap - b->n) {
        size_t cap = (b->n + n) * 2 + 64;
        uint8_t *p = realloc(b->p, cap);
        if (!p) {
            b->failed = 1;
            return -ENOMEM;
        }
        b->p = p, b->cap = cap;
    }
    if (n) memcpy(b->p + b->n, data, n);
    b->n += n;
    return 0;
}

static int add_name(void *arg, const char *name) { return rec_bytes_add(arg, name, strlen(name) + 1); }

int rec_bridge_list(rec_fs *fs, const char *dir, uint8_t **out, size_t *n) {
    rec_bytes b = {0};
    int err = fs->ops->list(fs, dir, add_name, &b);
    if (!err && b.failed) err = -ENOMEM;
    if (err) {
        free(b.p);
        return err;
    }
    *out = b.p;
    *n = b.n;
    return 0;
}

void rec_bridge_free(uint8_t *p) { free(p); }
