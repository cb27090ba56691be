/* types.c: filling errors, and the iterator over nothing. */
#include "lsm/csrc/types.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int lsm_fail(lsm_error *e, int status, const char *path, uint64_t offset, const char *fmt, ...) {
    if (!e) return status;
    va_list args;
    e->status = status;
    e->sys_errno = 0;
    e->offset = offset;
    snprintf(e->path, sizeof e->path, "%s", path ? path : "");
    va_start(args, fmt);
    vsnprintf(e->what, sizeof e->what, fmt, args);
    va_end(args);
    return status;
}

int lsm_fail_io(lsm_error *e, int neg_errno, const char *path, const char *operation) {
    lsm_fail(e, LSM_IO, path, 0, "%s", operation);
    if (e) e->sys_errno = neg_errno < 0 ? -neg_errno : neg_errno;
    return LSM_IO;
}

static void stay(lsm_iter *it) { it->valid = 0; }
static void stay_at(lsm_iter *it, const uint8_t *key, size_t n, uint64_t seq) {
    (void)key, (void)n, (void)seq;
    it->valid = 0;
}
static void stay_before(lsm_iter *it, const uint8_t *key, size_t n) {
    (void)key, (void)n;
    it->valid = 0;
}
static void empty_close(lsm_iter *it) { free(it); }

lsm_iter *lsm_iter_empty(void) {
    static const lsm_iter_ops ops = {LSM_ABI, sizeof ops, stay, stay, stay_at, stay_before, stay, stay, empty_close};
    lsm_iter *it = calloc(1, sizeof *it);
    if (it) it->ops = &ops;
    return it;
}
